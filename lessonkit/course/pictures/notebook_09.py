"""The pictures of notebook 09: intervals that miss, splits that share photos, a run made again."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from lessonkit.course.measured import forest
from lessonkit.course.measured.forest import Line
from lessonkit.course.measured.ledger import Entry
from lessonkit.course.pictures.shared import single
from lessonkit.plot import COLOURS

NINE = [
    Line("A  claim: a gain", "gain", 2.6, 1.4, 3.8),
    Line("B  claim: a gain", "gain", 1.2, 0.3, 2.1),
    Line("C  claim: a gain", "gain", 1.2, -1.0, 3.4),
    Line("D  claim: a gain", "gain", 0.1, -0.6, 0.8),
    Line("E  claim: a gain", "gain", 0.5, 0.2, 0.8),
    Line("F  claim: a gain", "gain", -2.5, -3.6, -1.4),
    Line("G  claim: no worse", "no_worse", -0.2, -0.8, 0.4),
    Line("H  claim: no worse", "no_worse", -0.6, -1.6, 0.4),
    Line("I  claim: equal", "equal", 0.1, -0.6, 0.8),
]


def intervals(made: np.ndarray, truth: float, n: int = 50) -> None:
    """The first `n` of the intervals `made`, [many, 3]: mean, low and high; red ones miss."""
    mean, low, high = made[:n].T
    missed = (truth < low) | (truth > high)
    ax = single(9, 2.8)
    for these, colour, marker, name in (
        (~missed, "black", "o", "contains the truth"),
        (missed, COLOURS["red"], "X", "misses it"),
    ):
        at = np.flatnonzero(these)
        bars = [(mean - low)[at], (high - mean)[at]]
        ax.errorbar(at, mean[at], bars, fmt=marker, color=colour, markersize=6, label=name)
    ax.axhline(truth, color="0.5", linestyle="--", zorder=0, label="the truth")
    ax.set(xlabel="fifty times six made-up runs", ylabel="effect, points", xticks=[])
    ax.legend(fontsize="small", ncol=3, loc="upper left")
    ax.set_ylim(None, high.max() + 1.2)
    plt.show()


def nine_results() -> None:
    """Nine results that somebody might get, each with its verdict."""
    forest.reading(NINE)
    plt.show()


def rows(entries: Sequence[Entry]) -> None:
    """A few rows of the ledger, in large letters."""
    forest.reading([forest.line(entry)._replace(label=entry.text) for entry in entries])
    plt.show()


def half_widths(numbers: Sequence[int], halves: Mapping[str, Sequence[float]]) -> None:
    """Half of the interval over the number of splits, by the way of computing it."""
    ax = single(7, 3.2)
    for (name, half), dash, colour in zip(
        halves.items(), ["--", "-"], ["red", "black"], strict=True
    ):
        ax.plot(numbers, 100 * np.asarray(half), dash, color=COLOURS[colour], label=name)
    ax.set(xscale="log", xlabel="random splits of the same photos, one more each time")
    splits = [5, 10, 20, 50, 100, 200]
    ax.set_xticks(splits, splits)
    ax.minorticks_off()
    ax.set_ylim(0, None)
    ax.set_ylabel("half of the interval, points")
    ax.legend()
    plt.show()


def run_again(
    stored: Mapping[int, float], again: Mapping[int, float], band: Sequence[float]
) -> None:
    """Effects by seed: stored ones, those of runs made now, and where one more should fall."""
    names = sorted({*stored, *again})
    place = {seed: at for at, seed in enumerate(names)}
    ax = single(8, 3)
    ax.axhspan(100 * band[0], 100 * band[1], color="0.92", label="where one more run should fall")
    style = {"color": "0.55", "label": "stored runs"}
    ax.plot([place[s] for s in stored], [100 * x for x in stored.values()], "o", **style)
    ring = {"markersize": 12, "markerfacecolor": "none", "markeredgewidth": 2, "label": "now"}
    at = [place[s] for s in again]
    ax.plot(at, [100 * x for x in again.values()], "s", color=COLOURS["blue"], **ring)
    ax.axhline(0, color="0.3", linewidth=1)
    ax.set_xticks(range(len(names)), names)
    ax.set(xlabel="seed", ylabel="effect, points", ylim=(100 * band[0] - 2, 3))
    ax.legend(fontsize="small", ncol=3, loc="upper right")
    plt.show()
