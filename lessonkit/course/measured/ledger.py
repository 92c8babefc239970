"""The ledger: every claim of the lesson with its effect, interval and verdict, from stored runs.

The runs are in experiments/results/, one file a claim; `make claims` adds to them. Nothing here is
written by hand: notebooks and tables ask this module, and it works everything out anew.
"""

import json
import math
import textwrap
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lessonkit.course.measured.verdict import (
    Interval,
    holm,
    over_places,
    over_seeds,
    p_value,
    partial_rank_correlation,
    prediction,
    verdict,
)

__all__ = [
    "Entry", "chapter", "claim", "delta_of", "effect", "effects_of", "entries", "entry",
    "in_places", "interval_of", "prediction", "row_of", "runs", "shown_p", "side",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "experiments" / "results"


class Entry(NamedTuple):
    """One row of the ledger. Effects of "points" are from -1 to 1; those of "×" are logarithms."""

    number: str  # of the claim
    name: str  # of the row; with the number it names the row
    title: str  # of the claim
    text: str
    chapters: list[str]  # the notebooks that teach it
    kind: str
    unit: str
    delta: float  # in the unit of the effect
    effects: list[float]  # one a run
    interval: Interval
    verdict: str
    p: float
    holm: float  # the p-value among all rows of the ledger
    places: int = 0  # on the map, of tiles; 0 for other pictures

    @property
    def n(self) -> int:
        """How many runs the entry stands on."""
        return len(self.effects)

    def shown(self, value: float) -> str:
        """An effect as one reads it: points of a hundred, a factor, a weight or a correlation."""
        if self.unit == "×":
            return f"×{math.exp(value):.2f}"
        if self.unit == "weight":
            return f"{value:.0e}"
        return f"{100 * value:+.1f}" if self.unit == "points" else f"{value:+.2f}"

    @property
    def shown_interval(self) -> tuple[str, str, str]:
        """The mean effect and the ends of its 95 % interval, as one reads them."""
        mean, low, high, *_ = self.interval
        return self.shown(mean), self.shown(low), self.shown(high)

    @property
    def shown_delta(self) -> str:
        """The smallest effect that matters, as one reads it; without a sign."""
        return self.shown(self.delta).lstrip("+")

    @property
    def failing(self) -> str:
        """In how many runs something that should be no worse is worse by more than δ; or ""."""
        if self.kind != "no_worse":
            return ""
        return f"{sum(effect < -self.delta for effect in self.effects)} of {self.n}"


@cache
def claim(number: str) -> dict[str, Any]:
    """What is stored of a claim, "07" or "pool": "claim" (what it states), "tuned" and "runs".

    Raises FileNotFoundError, in a sentence, for one without runs.
    """
    path = RESULTS / f"{number}.json"
    if not path.exists():
        raise FileNotFoundError(
            f"Nothing is stored of claim {number}: `make claims CLAIM={number}` runs it."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def runs(number: str) -> list[dict[str, Any]]:
    """The runs that a claim stands on: its own, or those of the experiment that it reads."""
    stored = claim(number)
    source = stored["claim"]["runs_from"]
    return claim(source)["runs"] if source else stored["runs"]


@cache
def entries() -> tuple[Entry, ...]:
    """All rows of the ledger, in order of the claims; a claim without runs has none."""
    numbers = sorted(path.stem for path in RESULTS.glob("[0-9]*.json"))
    numbers = [number for number in numbers if runs(number)]
    made = [_entry(claim(n)["claim"], row) for n in numbers for row in claim(n)["claim"]["rows"]]
    adjusted = holm([entry.p for entry in made])
    return tuple(entry._replace(holm=p) for entry, p in zip(made, adjusted, strict=True))


def entry(number: str, name: str) -> Entry:
    """The row `name` of claim `number`; KeyError with the names there are, if there is none."""
    found = {e.name: e for e in entries() if e.number == number}
    if name not in found:
        raise KeyError(
            f"Claim {number} has the rows {', '.join(found) or 'of no run'}, not {name}."
        )
    return found[name]


def row_of(entry: Entry) -> dict[str, Any]:
    """What its claim states of an entry: names of values, unit, δ and so on."""
    rows = claim(entry.number)["claim"]["rows"]
    return next(row for row in rows if row["name"] == entry.name)


def _entry(stated: dict[str, Any], row: dict[str, Any]) -> Entry:
    ran = runs(stated["number"])
    effects = effects_of(row, ran)
    interval = interval_of(row, ran)
    delta = delta_of(row)
    said = verdict(row["kind"], interval, delta)
    p = p_value(row["kind"], interval, delta)
    places = len(ran[0]["values"]["places"]) if row.get("places") else 0
    about = [stated["number"], row["name"], stated["title"], row["text"]]
    about += [row["chapters"] or stated["chapters"], row["kind"], row["unit"]]
    return Entry(*about, delta, effects, interval, said, p, p, places)


def delta_of(row: dict[str, Any]) -> float:
    """The smallest effect of a row that matters, in the unit of its effects."""
    return math.log(row["delta"]) if row["unit"] == "×" else row["delta"]


def interval_of(row: dict[str, Any], ran: list[dict]) -> Interval:
    """The mean of a row's effects, and its interval."""
    if row.get("places"):
        return over_places(*in_places(row, ran))
    found = over_seeds(effects_of(row, ran))
    if row["unit"] == "correlation":  # beyond 1 there is none, whatever Student's t says
        found = found._replace(low=max(-1.0, found.low), high=min(1.0, found.high))
    return found


def in_places(row: dict[str, Any], ran: list[dict]) -> tuple[np.ndarray, list[int]]:
    """A row's effects [runs, places], and how many pictures each place has."""
    shares = [_by_place(row, run["values"]) for run in ran]
    return np.array(shares), ran[0]["values"]["places"]


def effects_of(row: dict[str, Any], ran: list[dict]) -> list[float]:
    """One effect a run, or a split; for a correlation, that over the networks of one run.

    Networks of one run share their pictures and first weights, so only runs are independent.
    """
    if not row["given"]:
        return [float(x) for run in ran for x in np.atleast_1d(effect(row, run["values"]))]
    return [partial_rank_correlation(*_networks(row, run)) for run in ran]


def effect(row: dict[str, Any], values: dict[str, Any]) -> float | np.ndarray:
    """What a row says of one run's values: `plus` less `minus`, or the logarithm of their ratio.

    Values that are lists, of one number a split, give an array.
    """
    if row.get("places"):
        return np.average(_by_place(row, values), weights=values["places"])
    ratio = row["unit"] == "×"
    plus = np.asarray(values[row["plus"]], float)
    minus = np.asarray(values[row["minus"]], float) if row["minus"] else float(ratio)
    return np.log(plus / minus) if ratio else plus - minus


def _by_place(row: dict[str, Any], values: dict[str, Any]) -> np.ndarray:
    """A run's effect in each place on the map, [places]."""
    minus = values[row["minus"]] if row["minus"] else 0.0
    return np.subtract(values[row["plus"]], minus)


def side(row: dict[str, Any], values: dict[str, Any], name: str) -> np.ndarray:
    """What one side of a row, "plus" or "minus", measured in one run: [1], or one a split."""
    weights = values["places"] if row.get("places") else None
    found = np.atleast_1d(np.asarray(values[row[name]], float))
    return found if weights is None else np.atleast_1d(np.average(found, weights=weights))


def _networks(row: dict[str, Any], run: dict) -> np.ndarray:
    """Of every network of a run the measures `plus`, `minus` and `given`: [3, networks].

    The values of the network "cosine" are named "cosine: accuracy" and so on.
    """
    wanted, found = (row["plus"], row["minus"], row["given"]), []
    names = {key.partition(": ")[0] for key in run["values"] if ": " in key}
    for name in sorted(names):
        measures = [run["values"].get(f"{name}: {measure}") for measure in wanted]
        if None not in measures and np.isfinite(measures).all():
            found.append(measures)
    return np.array(found, float).T


def chapter(notebook: str, without: Sequence[str] = ()) -> str:
    """What the ledger says of the claims that `notebook`, such as "04", teaches; for printing.

    But for those `without` lines, drawn or told elsewhere. A line a row: the effect with its 95 %
    interval, in points of a hundred, as a factor (×) or as a correlation, and the verdict.
    """
    lines, title = [], ""
    for e in entries():
        if notebook not in e.chapters or e.number in without:
            continue
        if e.title != title:
            title = e.title
            lines.append(f"{e.number}  {title} ({len(runs(e.number))} runs)")
        mean, low, high = e.shown_interval
        lines += textwrap.wrap(e.text, 88, initial_indent="      ", subsequent_indent="      ")
        worse = f" (worse by more than δ in {e.failing} runs)" if e.failing else ""
        lines.append(f"          {mean} ({low} to {high}): {e.verdict}{worse}")
    if not lines:
        raise ValueError(f"The ledger has nothing on notebook {notebook}.")
    return "\n".join(lines)


def shown_p(value: float, below: str = "<") -> str:
    """A p-value as one reads it; `below` stands before a thousandth for all that are smaller."""
    return f"{below}.001" if value < 0.001 else f"{value:.3f}".lstrip("0")
