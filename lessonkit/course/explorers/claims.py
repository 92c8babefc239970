"""The ledger to look through: by verdict, notebook and unit, down to the runs of a single row."""

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes

from lessonkit.course.exercises import quiz
from lessonkit.course.explorers.live_figure import LiveFigure, slider
from lessonkit.course.measured import forest
from lessonkit.course.measured import ledger as stored
from lessonkit.course.measured.ledger import Entry
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED
from lessonkit.plot import COLOURS

__all__ = ["guesses", "ledger"]

ALL = "all"
NAMED = 20  # rows, up to which there is room for their names
ROOM = 13  # δ, beside the axis, for names
WIDTHS = (forest.LIMIT, 20.0, 100.0)  # δ; a few fixed ones, as new ticks take long to draw


def ledger(verdict: str = ALL, notebook: str = ALL, unit: str = ALL) -> LiveFigure:
    """A forest plot of the rows that pass three filters, and one of them with all of its runs.

    `verdict` is "holds", "undecided" or "does not hold here"; `notebook` one that teaches the
    claim, such as "05"; `unit` "points", "×", "correlation" or "weight"; "all" lets all pass.
    """
    entries = stored.entries()
    notebooks = sorted({name for entry in entries for name in entry.chapters})
    units = list(dict.fromkeys(entry.unit for entry in entries))

    def passing(verdict: str, notebook: str, unit: str) -> list[Entry]:
        return [
            entry
            for entry in entries
            if verdict in (ALL, entry.verdict)
            and (notebook == ALL or notebook in entry.chapters)
            and unit in (ALL, entry.unit)
        ]

    def adapt(controls: dict[str, widgets.Widget]) -> None:
        names = ("verdict", "notebook", "unit")
        left = len(passing(*(controls[name].value for name in names)))
        controls["row"].max = max(1, left)

    def draw(axes: np.ndarray, verdict: str, notebook: str, unit: str, row: int) -> str:
        rows = passing(verdict, notebook, unit)
        axes[0].set_title(f"{len(rows)} of {len(entries)} rows", fontsize="medium")
        if not rows:
            return "No row of the ledger passes these filters."
        _draw_rows(axes[0], rows, row - 1)
        _draw_runs(axes[1], rows[row - 1])
        return _told(rows[row - 1])

    controls = {
        "verdict": _dropdown("verdict", [ALL, HOLDS, UNDECIDED, FAILS], verdict),
        "notebook": _dropdown("notebook", [ALL, *notebooks], notebook),
        "unit": _dropdown("unit", [ALL, *units], unit),
        "row": slider(widgets.IntSlider, "row, from above", 1, 1, len(entries), 1),
    }
    return LiveFigure("ledger", controls, draw, 2, (10, 5), adapt=adapt, still=_draw_axes)


def _dropdown(label: str, options: list[str], value: str) -> widgets.Dropdown:
    layout = widgets.Layout(width="230px")
    return widgets.Dropdown(options=options, value=value, description=label, layout=layout)


def _draw_axes(axes: np.ndarray) -> None:
    """What no filter changes: both axes in units of δ."""
    axes[0].set(xlim=(-forest.LIMIT - ROOM, forest.LIMIT + 0.3), xticks=range(-6, 7, 2))
    axes[1].set(ylim=(-0.3, 1.1), xlim=(-forest.LIMIT, forest.LIMIT))
    axes[1].set_yticks([-0.18, 0.5], ["mean", "runs,\nsorted"])
    axes[0].set_yticks([])
    for ax in axes:
        ax.set_xlabel("effect in units of δ")
        ax.tick_params(axis="y", length=0)
        forest.bounds(ax)


def _draw_rows(ax: Axes, rows: list[Entry], chosen: int) -> None:
    """The rows from above, named where there is room, else with their claims' numbers."""
    height = max(len(rows), 8)  # few rows shall not be thick ones
    ax.set_ylim(0.4 - height, 0.8)
    places = -np.arange(len(rows), dtype=float)
    ax.axhspan(-chosen - 0.5, -chosen + 0.5, color=COLOURS["sky"], alpha=0.35, zorder=0)
    forest.lines(ax, [forest.line(entry) for entry in rows], places, thickness=230 / height)
    text = {"ha": "right", "va": "center", "fontsize": 7.5}
    for number, (entry, place) in enumerate(zip(rows, places, strict=True)):
        if len(rows) <= NAMED:
            ax.text(-forest.LIMIT - 0.6, place, f"{entry.number}  {entry.name}", **text)
        elif number == 0 or rows[number - 1].number != entry.number:
            ax.text(-forest.LIMIT - 0.6, place, entry.number, **text)


def _draw_runs(ax: Axes, entry: Entry) -> None:
    """Every run's effect, and their mean with its interval, on an axis as wide as it takes."""
    ax.set_title(f"{entry.number}  {entry.name}", fontsize="medium")
    effects = np.sort(entry.effects) / entry.delta
    row = forest.line(entry)
    furthest = np.abs([*effects, *np.clip(row[2:], -100, 100)]).max()
    wide = next((limit for limit in WIDTHS if 1.05 * furthest < limit), WIDTHS[-1])
    ax.set_xlim(-wide, wide)
    places = 1 - np.arange(len(effects)) / max(1, len(effects) - 1)
    size = 5 if len(effects) < 60 else 2
    ax.plot(effects, places, "o", color="0.5", markersize=size)
    marker, edge, filling = forest.STYLES[row.verdict]
    ax.plot([row.low, row.high], [-0.18, -0.18], color=edge, linewidth=2)
    shape = {"markeredgecolor": edge, "markerfacecolor": filling, "markersize": 9}
    ax.plot(row.mean, -0.18, marker, **shape)


def _told(entry: Entry) -> str:
    """One row in a sentence or two."""
    mean, low, high = (entry.shown(value) for value in entry.interval[:3])
    unit = {"points": " points", "correlation": " (correlation)"}.get(entry.unit, "")
    delta = entry.shown(entry.delta).lstrip("+")
    return (
        f"{entry.number}, {entry.title}. {entry.text[0].upper()}{entry.text[1:]}: {mean}{unit}, "
        f"95 % interval {low} to {high}, δ {delta}, {entry.n} effects, p {_p(entry.p)}, "
        f"after Holm {_p(entry.holm)}. Verdict: {entry.verdict}."
    )


def _p(value: float) -> str:
    return "below .001" if value < 0.001 else f"{value:.3f}".lstrip("0")


def guesses(rows: Sequence[tuple[str, str, str]]) -> quiz.Quiz:
    """Claims to guess the verdicts of, before looking: each is (number, row's name, what to guess).

    The answers are the ledger's.
    """
    return quiz.Quiz("guesses", [_guess(stored.entry(n, name), text) for n, name, text in rows])


def _guess(entry: Entry, text: str) -> quiz.Question:
    mean, low, high = (entry.shown(value) for value in entry.interval[:3])
    found = f"Measured: {mean} ({low} to {high}), δ {entry.shown(entry.delta).lstrip('+')}."
    options = [
        quiz.Option(said, said == entry.verdict, f"{found} The ledger says: {entry.verdict}.")
        for said in (HOLDS, FAILS, UNDECIDED)
    ]
    return quiz.Question(text, options)
