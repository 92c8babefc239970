"""The ledger to look through: by verdict, notebook and unit, down to the runs of a single row."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from lessonkit.course.exercises.questions import Option, Question
from lessonkit.course.exercises.radio_quiz import Quiz
from lessonkit.course.explorers.explorer import Explorer, controls
from lessonkit.course.measured import forest
from lessonkit.course.measured import ledger as stored
from lessonkit.course.measured.ledger import Entry
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED
from lessonkit.plot import COLOURS

__all__ = ["guesses", "ledger"]

ALL = "all"
ROOM = 9.0  # δ, beside the axis, for names
NAMES = ["number", "name", "chapters", "unit", "verdict"]


def ledger(verdict: str = ALL, notebook: str = ALL, unit: str = ALL) -> Explorer:
    """A forest plot of the rows that pass three filters, and one of them with all of its runs.

    `verdict` is "holds", "undecided" or "does not hold here"; `notebook` one that teaches the
    claim, such as "05"; `unit` "points", "×", "correlation" or "weight"; "all" lets all pass.
    """
    entries = stored.entries()
    notebooks = sorted({name for entry in entries for name in entry.chapters})
    units = list(dict.fromkeys(entry.unit for entry in entries))
    changes = {
        "notebook": {"options": [ALL, *notebooks]},
        "unit": {"options": [ALL, *units]},
        "row": {"max": len(entries)},
    }
    made = controls("ledger", changes, verdict=verdict, notebook=notebook, unit=unit)
    data = {"rows": [_row(entry) for entry in entries], "limit": forest.LIMIT}
    return Explorer("ledger", made, _told, _draw, data, size=(8, 11))


def _passing(verdict: str, notebook: str, unit: str) -> list[Entry]:
    return [
        entry
        for entry in stored.entries()
        if verdict in (ALL, entry.verdict)
        and (notebook == ALL or notebook in entry.chapters)
        and unit in (ALL, entry.unit)
    ]


def _row(entry: Entry) -> dict:
    """A row as the JavaScript draws it, in units of δ."""
    line = forest.line(entry)
    numbers = {"mean": line.mean, "low": line.low, "high": line.high}
    row = {name: float(f"{np.clip(value, -1e6, 1e6):.6g}") for name, value in numbers.items()}
    row["effects"] = [float(f"{e:.5g}") for e in np.sort(entry.effects) / entry.delta]
    row |= {"strip": forest.STRIPS[entry.kind], "told": _said(entry)}
    return row | {name: getattr(entry, name) for name in NAMES}


def _told(verdict: str, notebook: str, unit: str, row: int) -> str:
    rows = _passing(verdict, notebook, unit)
    if not rows:
        return "No row of the ledger passes these filters."
    return _said(rows[min(row, len(rows)) - 1])


def _said(entry: Entry) -> str:
    """One row in a sentence or two."""
    mean, low, high = entry.shown_interval
    p, adjusted = (stored.shown_p(value, "below ") for value in (entry.p, entry.holm))
    unit = {"points": " points", "correlation": " (correlation)"}.get(entry.unit, "")
    return (
        f"{entry.number}, {entry.title}. {entry.text[0].upper()}{entry.text[1:]}: {mean}{unit}, "
        f"95 % interval {low} to {high}, δ {entry.shown_delta}, {entry.n} effects, p {p}, "
        f"after Holm {adjusted}. Verdict: {entry.verdict}."
    )


def _draw(ax: Axes, verdict: str, notebook: str, unit: str, row: int) -> None:
    """The rows, the first at the top, each with its name."""
    rows = _passing(verdict, notebook, unit)
    height = max(len(rows), 8)  # few rows shall not be thick ones
    ax.set(xlim=(-forest.LIMIT - ROOM, forest.LIMIT + 0.3), xticks=range(-6, 7, 2))
    ax.set(ylim=(0.4 - height, 0.8), yticks=[], xlabel="effect in units of δ")
    ax.set_title(f"{len(rows)} of {len(stored.entries())} rows", fontsize="medium")
    forest.bounds(ax)
    places = -np.arange(len(rows), dtype=float)
    row = min(row, max(1, len(rows)))  # the last one, as in the sentence, where fewer pass
    ax.axhspan(0.5 - row, 1.5 - row, color=COLOURS["sky"], alpha=0.35, zorder=0)
    forest.lines(ax, [forest.line(entry) for entry in rows], places, thickness=500 / height)
    text = {"ha": "right", "va": "center", "fontsize": min(9, 520 / height)}
    for entry, place in zip(rows, places, strict=True):
        ax.text(-forest.LIMIT - 0.4, place, f"{entry.number}  {entry.name}", **text)


def guesses(rows: Sequence[tuple[str, str, str]]) -> Quiz:
    """Claims to guess the verdicts of, before looking: each is (number, row's name, what to guess).

    The answers are the ledger's.
    """
    return Quiz("guesses", [_guess(stored.entry(n, name), text) for n, name, text in rows])


def _guess(entry: Entry, text: str) -> Question:
    mean, low, high = entry.shown_interval
    found = f"Measured: {mean} ({low} to {high}), δ {entry.shown_delta}."
    options = [
        Option(said, said == entry.verdict, f"{found} The ledger says: {entry.verdict}.")
        for said in (HOLDS, FAILS, UNDECIDED)
    ]
    return Question(text, options)
