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
    UNDECIDED,
    Interval,
    holm,
    over_places,
    over_seeds,
    p_value,
    partial_rank_correlation,
    prediction,
    runs_needed,
    runs_that_decide,
    verdict,
)

__all__ = [
    "HALF", "HOURS", "Entry", "chapter", "claim", "effect", "entries", "entry", "half_width",
    "prediction", "runs", "shown_p", "side", "table",
]  # fmt: skip

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "experiments" / "results"
TABLE = ROOT / "experiments" / "LEDGER.md"
HOURS = 20  # of one core, for all runs of all claims
HALF = 0.5  # of δ: with half of an interval so wide, zero and δ can't both lie inside it


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
    why: str = ""  # if undecided: what it would take
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

    @property
    def source(self) -> str:
        """The file of the experiment, relative to the repository's root."""
        [file] = (ROOT / "experiments").glob(f"claim_{self.number}_*.py")
        return file.relative_to(ROOT).as_posix()


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
def entries() -> list[Entry]:
    """All rows of the ledger, in order of the claims; a claim without runs has none."""
    numbers = sorted(path.stem for path in RESULTS.glob("[0-9]*.json"))
    numbers = [number for number in numbers if runs(number)]
    made = [_entry(claim(n)["claim"], row) for n in numbers for row in claim(n)["claim"]["rows"]]
    adjusted = holm([entry.p for entry in made])
    return [entry._replace(holm=p) for entry, p in zip(made, adjusted, strict=True)]


def entry(number: str, name: str) -> Entry:
    """The row `name` of claim `number`; KeyError with the names there are, if there is none."""
    found = {e.name: e for e in entries() if e.number == number}
    if name not in found:
        raise KeyError(
            f"Claim {number} has the rows {', '.join(found) or 'of no run'}, not {name}."
        )
    return found[name]


def _entry(stated: dict[str, Any], row: dict[str, Any]) -> Entry:
    ran = runs(stated["number"])
    effects = _effects(row, ran)
    interval = _interval(row, ran)
    delta = _delta(row)
    said = verdict(row["kind"], interval, delta)
    p = p_value(row["kind"], interval, delta)
    why = _why_undecided(row, ran) if said == UNDECIDED else ""
    places = len(ran[0]["values"]["places"]) if row.get("places") else 0
    about = [stated["number"], row["name"], stated["title"], row["text"]]
    about += [row["chapters"] or stated["chapters"], row["kind"], row["unit"]]
    return Entry(*about, delta, effects, interval, said, p, p, why, places)


def _why_undecided(row: dict[str, Any], ran: list[dict]) -> str:
    """What would decide a row: how many runs, and how long they would take; or more places."""
    if len(ran) < 2:
        return "too few runs"
    if row.get("places") and _places_alone(row, ran) == UNDECIDED:
        return f"{len(ran[0]['values']['places'])} places can't tell, however many the runs"
    effects, delta, near = _effects(row, ran), _delta(row), half_width(row, ran) <= HALF
    n = runs_that_decide(row["kind"], effects, delta) if near else runs_needed(effects, delta)
    hours = n * float(np.mean([run["seconds"] for run in ran])) / 3600
    n = round(n, 2 - len(str(n)))  # more digits would say more than is known
    told = f"about {n:,} runs would tell, {hours:.1f} hours of one core"
    return f"near a bound; if the mean stays there, {told}" if near else told


def _places_alone(row: dict[str, Any], ran: list[dict]) -> str:
    """The verdict on the mean over so many runs that only the places make it uncertain."""
    shares, sizes = _in_places(row, ran)
    mean = np.tile(shares.mean(0), (len(sizes), 1))
    return verdict(row["kind"], over_places(mean, sizes), _delta(row))


def _delta(row: dict[str, Any]) -> float:
    return math.log(row["delta"]) if row["unit"] == "×" else row["delta"]


def _interval(row: dict[str, Any], ran: list[dict]) -> Interval:
    if row.get("places"):
        return over_places(*_in_places(row, ran))
    return over_seeds(_effects(row, ran))


def _in_places(row: dict[str, Any], ran: list[dict]) -> tuple[np.ndarray, list[int]]:
    """A row's effects [runs, places], and how many pictures each place has."""
    shares = [_by_place(row, run["values"]) for run in ran]
    return np.array(shares), ran[0]["values"]["places"]


def _effects(row: dict[str, Any], ran: list[dict]) -> list[float]:
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


def half_width(row: dict[str, Any], ran: Sequence[dict]) -> float:
    """Half of a row's interval in units of its δ: above HALF, more runs would say more.

    Of tiles, the half that more runs could make narrower: that of the seeds.
    """
    if not ran:
        return math.inf
    of_seeds = row.get("places")
    _, low, high, *_ = over_seeds(_effects(row, ran)) if of_seeds else _interval(row, list(ran))
    return (high - low) / 2 / _delta(row)


def chapter(notebook: str, drawn: Sequence[str] = ()) -> str:
    """What the ledger says of the claims that `notebook`, such as "04", teaches; for printing.

    Without those that it has `drawn` as a picture. A line a row: the effect with its 95 % interval,
    in points of a hundred, as a factor (×) or as a correlation, and the verdict.
    """
    lines, title = [], ""
    for e in entries():
        if notebook not in e.chapters or e.number in drawn:
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


def table() -> str:
    """The ledger as a table in Markdown."""
    lines = [
        "| claim | row | effect | 95 % interval | δ | runs | worse by δ in | p | Holm | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for e in entries():
        mean, low, high = e.shown_interval
        cells = [f"[{e.number}]({Path(e.source).name}) {e.title}", e.text, mean, f"{low} to {high}"]
        runs_there = f"{e.n}, {e.places} places" if e.places else str(e.n)
        cells += [e.shown_delta, runs_there, e.failing, shown_p(e.p), shown_p(e.holm)]
        cells.append(e.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def undecided() -> str:
    """Which rows are undecided and what they would take, and what all runs took, in Markdown."""
    left = [e for e in entries() if e.verdict == UNDECIDED]
    numbers = dict.fromkeys(e.number for e in entries())
    sources = dict.fromkeys(claim(n)["claim"]["runs_from"] or n for n in numbers)
    seconds = sum(run["seconds"] for n in sources for run in claim(n)["runs"])
    seconds += sum(claim(n).get("tuning_seconds", 0.0) for n in sources)
    lines = [f"## Undecided: {len(left)} of {len(entries())} rows", ""]
    lines += [f"- {e.number}, {e.name}: {e.why}." for e in left]
    lines += ["", f"All runs took {seconds / 3600:.1f} hours of one core; {HOURS} were set aside."]
    return "\n".join(lines)


def shown_p(value: float, below: str = "<") -> str:
    """A p-value as one reads it; `below` stands before a thousandth for all that are smaller."""
    return f"{below}.001" if value < 0.001 else f"{value:.3f}".lstrip("0")


def write_table() -> None:
    """Make LEDGER.md from the stored runs."""
    claim.cache_clear(), entries.cache_clear()
    TABLE.write_text(
        "# The ledger\n\nEvery claim of the lesson, measured. Made by `make claims` from the runs "
        "in `experiments/results`; what each row means, and how to doubt it, is in "
        "[notebook 09](../notebooks/09_the_lesson_measured.ipynb). Effects in points of accuracy "
        "(of a hundred), as a factor (×), or as a rank correlation. Intervals of tiles allow for "
        "other places on the map. Rows that are no longer here, and why: "
        f"[RETIRED.md](RETIRED.md).\n\n{table()}\n\n{undecided()}\n",
        encoding="utf-8",
    )
