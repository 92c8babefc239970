"""LEDGER.md: every row with its verdict, and what would decide those that are undecided."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lessonkit.course.measured import ledger
from lessonkit.course.measured.verdict import (
    UNDECIDED,
    Interval,
    around,
    over_places,
    over_seeds,
    t_factor,
    verdict,
)

__all__ = [
    "HALF", "HOURS", "TABLE", "half_width", "runs_needed", "runs_that_decide", "table", "undecided",
    "why_undecided", "write",
]  # fmt: skip

TABLE = ledger.ROOT / "experiments" / "LEDGER.md"
HOURS = 20  # of one core, for all runs of all claims
SANE = 100  # hours: more than that nobody would spend on one row
HALF = 0.5  # of δ: with half of an interval so wide, zero and δ can't both lie inside it


def write() -> None:
    """Make LEDGER.md from the stored runs."""
    ledger.claim.cache_clear(), ledger.entries.cache_clear()
    TABLE.write_text(
        "# The ledger\n\nEvery claim of the lesson, measured. Made by `make claims` from the runs "
        "in `experiments/results`; what each row means, and how to doubt it, is in "
        "[notebook 09](../notebooks/09_the_lesson_measured.ipynb). Effects in points of accuracy "
        "(of a hundred), as a factor (×), or as a rank correlation. Intervals of tiles allow for "
        "other places on the map, but for the last row of 04. Rows that are no longer here, and "
        f"why: [RETIRED.md](RETIRED.md).\n\n{table()}\n\n{undecided()}\n",
        encoding="utf-8",
    )


def table() -> str:
    """The ledger as a table in Markdown."""
    lines = [
        "| claim | row | effect | 95 % interval | δ | runs | worse by δ in | p | Holm | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for e in ledger.entries():
        mean, low, high = e.shown_interval
        [source] = TABLE.parent.glob(f"claim_{e.number}_*.py")
        what = f"{e.text}{_same_numbers(e)}"
        cells = [f"[{e.number}]({source.name}) {e.title}", what, mean, f"{low} to {high}"]
        runs_there = f"{e.n}, {e.places} places" if e.places else str(e.n)
        cells += [e.shown_delta, runs_there, e.failing]
        cells += [ledger.shown_p(e.p), ledger.shown_p(e.holm), e.verdict]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def undecided() -> str:
    """Which rows are undecided and what they would take, and what all runs took, in Markdown."""
    entries = ledger.entries()
    left = [e for e in entries if e.verdict == UNDECIDED]
    numbers = dict.fromkeys(e.number for e in entries)
    sources = dict.fromkeys(ledger.claim(n)["claim"]["runs_from"] or n for n in numbers)
    seconds = sum(run["seconds"] for n in sources for run in ledger.claim(n)["runs"])
    seconds += sum(ledger.claim(n).get("tuning_seconds", 0.0) for n in sources)
    lines = [f"## Undecided: {len(left)} of {len(entries)} rows", ""]
    lines += ["More runs say more about the same pictures, not about others.", ""]
    for e in left:
        why = why_undecided(ledger.row_of(e), ledger.runs(e.number))
        lines.append(f"- {e.number}, {e.name}: {why}{_asked_again(e)}.")
    hours = f"{seconds / 3600:.1f} hours of one core; {HOURS} were planned"
    limits = "The runner ends a claim at its own limits; seeds that were named went on in some."
    lines += ["", f"All runs, tuning included, took {hours}. {limits}"]
    return "\n".join(lines)


def _asked_again(one: ledger.Entry) -> str:
    """Which later claim asks the same of other runs, and its verdict; or ""."""
    later = [e for e in ledger.entries() if e.text == one.text and e.number > one.number]
    return "".join(f"; claim {e.number} asks again, with new runs: {e.verdict}" for e in later)


def _same_numbers(one: ledger.Entry) -> str:
    """Which row before has the same effects, as two sides were tuned to the same LR; or ""."""
    entries = ledger.entries()
    before = entries[: entries.index(one)]
    near = [e for e in before if (e.number, e.unit) == (one.number, one.unit)]
    same = [e.name for e in near if e.effects == one.effects]
    return f" (its numbers are those of “{same[0]}”: the same networks)" if same else ""


def why_undecided(row: dict[str, Any], ran: list[dict]) -> str:
    """What would decide a row: how many runs, and how long they would take; or more places."""
    if len(ran) < 2:
        return "too few runs"
    effects, delta, kind = ledger.effects_of(row, ran), ledger.delta_of(row), row["kind"]
    places = _places_alone(row, ran) if row.get("places") else None
    if places and verdict(kind, places, delta) == UNDECIDED:
        places_there = f"{len(ran[0]['values']['places'])} places"
        return f"if the mean stays where it is, {places_there} can't tell, however many the runs"
    # An interval of half δ on either side decides about a gain, wherever its mean comes to lie.
    # Where places are drawn as well, it may never get so narrow.
    sure = kind == "gain" and not places
    n = runs_needed(effects, delta) if sure else runs_that_decide(kind, effects, delta, places)
    hours = n * float(np.mean([run["seconds"] for run in ran])) / 3600
    if hours > SANE:
        return f"its mean lies so near a bound that more than {SANE} hours of runs would be needed"
    n = round(n, 2 - len(str(n)))  # more digits would say more than is known
    told = f"about {n:,} runs in all would tell, {hours:.1f} hours of one core"
    return told if sure else f"if the mean stays where it is, {told}"


def _places_alone(row: dict[str, Any], ran: list[dict]) -> Interval:
    """The interval after so many runs that only the places make the mean uncertain.

    Places differ in the mean of a few runs by what these happened to do in each, too. More runs
    would average that out, so it is taken off.
    """
    effects, sizes = ledger.in_places(row, ran)
    every, weights = over_places(np.tile(effects.mean(0), (len(sizes), 1)), sizes), np.array(sizes)
    weights = weights / weights.sum()
    by_chance = effects - (effects @ weights)[:, None]  # what a run did everywhere isn't a place's
    noise = float(weights**2 @ by_chance.var(0, ddof=1)) / len(ran)
    return around(every.mean, math.sqrt(max(0.0, every.spread**2 - noise)), every.freedom)


def half_width(row: dict[str, Any], ran: Sequence[dict]) -> float:
    """Half of a row's interval in units of its δ: above HALF, more runs would say more.

    Of tiles, the half that more runs could make narrower: that of the seeds.
    """
    if not ran:
        return math.inf
    of_seeds = row.get("places")
    interval = over_seeds(ledger.effects_of(row, ran)) if of_seeds else ledger.interval_of(row, ran)
    _, low, high, *_ = interval
    return (high - low) / 2 / ledger.delta_of(row)


def runs_needed(effects: Sequence[float], delta: float) -> int:
    """How many runs make half of an interval δ / 2 or less: zero and δ can't both lie inside then.

    By the spread of the `effects` so far; 2 at least.
    """
    return _runs_while(lambda half: half > HALF * delta, effects)


def runs_that_decide(
    kind: str, effects: Sequence[float], delta: float, places: Interval | None = None
) -> int:
    """How many runs give a verdict if mean and spread of the `effects` stay; a million at most.

    `places` is the interval that no number of runs makes narrower, of tiles.
    """
    mean = float(np.mean(effects))

    def open_still(half: float) -> bool:
        return verdict(kind, (mean, mean - half, mean + half), delta) == UNDECIDED

    return _runs_while(open_still, effects, places)


def _runs_while(
    too_wide: Callable[[float], bool], effects: Sequence[float], places: Interval | None = None
) -> int:
    """The first number of runs at which half of an interval isn't `too_wide`; at most a million."""
    n, spread = 2, float(np.std(effects, ddof=1))
    of_places, freedom = (places.spread, places.freedom) if places else (0.0, math.inf)

    def half() -> float:  # as over_places does it
        error = math.hypot(spread / math.sqrt(n), of_places)
        return t_factor(min(n - 1, freedom)) * error

    while n < 10**6 and too_wide(half()):
        n = math.ceil(1.02 * n + 0.5)
    return min(n, 10**6)
