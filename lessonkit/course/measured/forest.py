"""Forest plots: many effects with their intervals on one axis, and where one of them comes from.

Effects of several units stand on one axis in units of their δ, the smallest effect that matters.
The strip behind a row is where its claim says that the effect lies.
"""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lessonkit.course.measured import ledger
from lessonkit.course.measured.ledger import Entry
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED, verdict
from lessonkit.plot import COLOURS

__all__ = [
    "LIMIT", "STYLES", "Line", "arms", "bounds", "forest", "legend", "line", "lines", "pairs",
    "reading", "seeds",
]  # fmt: skip

LIMIT = 6.0  # δ; what lies further out is cut off, and an arrow says so
ROW = 0.19  # inches
LETTERS = 68  # of what a row says, in one line
STRIPS = {"gain": (0.0, LIMIT), "no_worse": (-1.0, LIMIT), "equal": (-1.0, 1.0)}
STYLES = {  # marker, edge and filling: told apart in grey print, too
    HOLDS: ("o", COLOURS["green"], COLOURS["green"]),
    UNDECIDED: ("D", COLOURS["black"], "white"),
    FAILS: ("X", COLOURS["red"], COLOURS["red"]),
}


class Line(NamedTuple):
    """A row of a forest plot, in units of δ: what is claimed, and the interval found."""

    label: str
    kind: str
    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What `lessonkit.course.measured.verdict` says of it."""
        return verdict(self.kind, (self.mean, self.low, self.high), 1.0)


def line(entry: Entry) -> Line:
    """A row of the ledger as one of a forest plot."""
    mean, low, high = (value / entry.delta for value in entry.interval[:3])
    return Line(entry.name, entry.kind, mean, low, high)


def lines(ax: Axes, rows: Sequence[Line], places: Sequence[float], thickness: float = 10) -> None:
    """Draw `rows` at the heights `places`: strip, interval and mean; `thickness` in points.

    All rows together are a handful of artists, so that it can be drawn again and again.
    """
    places = np.asarray(places, float)
    mean, low, high = (np.array([row[i] for row in rows], float) for i in (2, 3, 4))
    said = np.array([row.verdict for row in rows])
    start, end = np.array([STRIPS[row.kind] for row in rows]).reshape(-1, 2).T
    ax.hlines(places, start, end, color="0.9", linewidth=thickness, zorder=0)
    for name, (marker, edge, filling) in STYLES.items():
        these = said == name
        if not these.any():
            continue
        left, right = (x[these].clip(-LIMIT, LIMIT) for x in (low, high))
        ax.hlines(places[these], left, right, color=edge, linewidth=1.6, zorder=2)
        shape = {"marker": marker, "markeredgecolor": edge, "markerfacecolor": filling}
        inside = mean[these].clip(-LIMIT + 0.4, LIMIT - 0.4)
        ax.plot(inside, places[these], linestyle="", markersize=6, zorder=3, **shape)
    for beyond, at, marker in ((low < -LIMIT, -LIMIT, "<"), (high > LIMIT, LIMIT, ">")):
        where = places[beyond]
        style = {"color": "black", "markersize": 5, "zorder": 3, "clip_on": False}
        ax.plot(np.full(len(where), at), where, marker, **style)


def legend(place: Any, **where: Any) -> None:
    """What markers and strip mean, for axes or a whole figure; `where` is matplotlib's."""
    shown = [
        Line2D([], [], marker=m, color=edge, markerfacecolor=filling, markersize=6, label=name)
        for name, (m, edge, filling) in STYLES.items()
    ]
    shown.append(Line2D([], [], color="0.9", linewidth=8, label="where the claim says it lies"))
    shown.append(Line2D([], [], color="0.5", linestyle=":", linewidth=1, label="±δ"))
    place.legend(handles=shown, fontsize="small", ncol=5, frameon=False, **where)


def reading(rows: Sequence[Line]) -> Axes:
    """A few rows with large labels and their verdicts, to learn reading by."""
    ax = plt.subplots(figsize=(8, 0.36 * len(rows) + 1.1), layout="constrained")[1]
    places = -np.arange(len(rows), dtype=float)
    lines(ax, rows, places, thickness=17)
    for row, place in zip(rows, places, strict=True):
        side = {"transform": ax.get_yaxis_transform(), "va": "center"}
        ax.text(1.04, place, row.verdict, **side)
    ax.set_yticks(places, [row.label for row in rows])
    ax.set(ylim=(0.6 - len(rows), 0.6))
    _axis(ax)
    return ax


def forest(entries: Sequence[Entry]) -> Axes:
    """Rows of the ledger, claim after claim, each with its effect in its own unit on the right."""
    places, headings, place, said = [], {}, 0.0, []
    for number in dict.fromkeys(entry.number for entry in entries):
        headings[place], place = number, place - 1
        for entry in (entry for entry in entries if entry.number == number):
            said.append(textwrap.fill(entry.text, LETTERS))
            more = 0.7 * said[-1].count("\n")
            places.append(place - more / 2)
            place -= 1 + more
        place -= 0.3
    inches = ROW * -place + 1.15
    figure, ax = plt.subplots(figsize=(9.5, inches))
    figure.subplots_adjust(0.45, 0.5 / inches, 0.8, 1 - 0.65 / inches)
    lines(ax, [line(entry) for entry in entries], places)
    titles = {entry.number: entry.title for entry in entries}
    beside = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 8}
    for at, number in headings.items():
        ax.text(-1.27, at, f"{number}  {titles[number]}", weight="bold", **beside)
    for entry, at in zip(entries, places, strict=True):
        mean, low, high = entry.shown_interval
        ax.text(1.03, at, f"{mean} ({low} to {high})", **beside)
    ax.set_yticks(places, said, fontsize=8, linespacing=0.95)
    ax.set_ylim(place + 0.6, 0.7)
    _axis(ax)
    ax.tick_params(axis="x", top=True, labeltop=True)  # a reader of the first rows sees no others
    legend(ax, loc="lower center", bbox_to_anchor=(0.0, 1 + 0.25 / inches))
    return ax


def bounds(ax: Axes) -> None:
    """Upright lines: solid where nothing happens, dotted at δ to either side."""
    for at, colour, dash in ((0.0, "0.3", "-"), (-1.0, "0.5", ":"), (1.0, "0.5", ":")):
        ax.axvline(at, color=colour, linestyle=dash, linewidth=1, zorder=1)


def _axis(ax: Axes) -> None:
    bounds(ax)
    ax.set_xlim(-LIMIT, LIMIT)
    ax.tick_params(axis="y", length=0, pad=9)
    ax.set_xlabel("effect in units of δ, the smallest effect that matters")
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)


# --- One row, run by run --------------------------------------------------------------------------


def arms(entry: Entry) -> tuple[np.ndarray, np.ndarray]:
    """What the two sides of a row measured, one value a run or split: `minus` and `plus`, [n] each.

    Raises ValueError for a row that compares no two sides.
    """
    row = ledger.row_of(entry)
    if row["given"] or not row["minus"]:
        raise ValueError(f"{entry.number} {entry.name} compares no two sides.")
    ran = [run["values"] for run in ledger.runs(entry.number)]
    minus, plus = (
        np.concatenate([ledger.side(row, values, name) for values in ran])
        for name in ("minus", "plus")
    )
    return minus, plus


def pairs(entry: Entry, minus: str, plus: str, delta: bool = True) -> np.ndarray:
    """Both sides of a row, called `minus` and `plus`, those of one run joined, and the differences.

    Without `delta`, the smallest effect that matters isn't drawn. Returns the two axes.
    """
    axes = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1.2, 1), layout="constrained")[1]
    times, values = 100 if entry.unit == "points" else 1, arms(entry)
    faint = {"color": "0.6", "linewidth": 0.8, "alpha": min(1, 40 / entry.n)}
    axes[0].plot([0, 1], times * np.stack(values), **faint, zorder=1)
    for side, marker, colour in ((0, "s", "blue"), (1, "o", "orange")):
        style = {"color": COLOURS[colour], "markeredgecolor": "white", "markersize": 6}
        axes[0].plot(np.full(entry.n, side), times * values[side], marker, **style)
    axes[0].set_xticks([0, 1], [minus, plus])
    axes[0].set(xlim=(-0.4, 1.4), ylabel="accuracy, %" if times == 100 else entry.unit)
    axes[0].set_title("each run with both sides", fontsize="medium")
    seeds(entry, axes[1], delta)
    axes[1].set_title(f"{plus} − {minus}", fontsize="medium")
    return axes


def seeds(entry: Entry, ax: Axes, delta: bool = True) -> None:
    """The effect of every run of a row, and beside them their mean with its interval."""
    shown = {"points": lambda x: 100 * np.asarray(x), "×": np.exp}.get(entry.unit, np.asarray)
    effects = np.sort(entry.effects)
    places = np.arange(len(effects)) / max(1, len(effects) - 1)
    size = 5 if len(effects) < 60 else 2
    ax.plot(places, shown(effects), "o", color="0.55", markersize=size, label="a run")
    mean, low, high = (float(shown(value)) for value in entry.interval[:3])
    marker, edge, filling = STYLES[entry.verdict]
    bars = [[max(0.0, mean - low)], [max(0.0, high - mean)]]
    shape = {"marker": marker, "markerfacecolor": filling, "markersize": 8, "capsize": 4}
    ax.errorbar([1.25], [mean], yerr=bars, color=edge, label="mean, 95 % interval", **shape)
    ends = {"gain": (1,), "no_worse": (-1,), "equal": (-1, 1)}[entry.kind]
    ax.axhline(float(shown(0.0)), color="0.3", linewidth=1, zorder=0)
    for times in ends if delta else ():
        at = float(shown(times * entry.delta))
        ax.axhline(at, color="0.5", linestyle=":", linewidth=1.5, zorder=0)
        ax.text(1.43, at, "−δ" if times < 0 else "δ", ha="right", va="bottom")
    unit = {"points": "points of accuracy", "×": "times", "correlation": "rank correlation"}
    ax.margins(y=0.12)
    ax.set(xlim=(-0.15, 1.45), ylabel=f"effect, {unit.get(entry.unit, entry.unit)}")
    ax.set_xticks([0.5, 1.25], ["runs, sorted", "mean"])
