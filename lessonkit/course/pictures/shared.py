"""What the pictures of several notebooks share: axes, a look for each curve, rows of runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from lessonkit.plot import COLOURS, DASHES

__all__ = ["curves", "looks", "pair", "runs_in_rows", "single", "ticks_at"]

MARKERS = "os^D"


def single(width: float = 7, height: float = 3.4) -> Axes:
    """Empty axes of a size in inches."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def pair(width: float = 9, height: float = 3.4, **options: Any) -> np.ndarray:
    """Two empty axes side by side, of a size in inches together."""
    return plt.subplots(1, 2, figsize=(width, height), layout="constrained", **options)[1]


def looks(named: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Each name with what it names and the style of its curve: colour, dashes, marker, label."""
    for place, (name, values) in enumerate(named.items()):
        colour = list(COLOURS.values())[place]
        look = {"color": colour, "linestyle": DASHES[place], "marker": MARKERS[place % 4]}
        yield name, values, look | {"label": name}


def curves(
    named: Mapping[str, Sequence[float]],
    ax: Axes,
    xlabel: str = "mini-batch",
    ylabel: str = "learning rate",
) -> Axes:
    """Several curves over the same steps, each with its own colour and dashes."""
    for _, values, look in looks(named):
        ax.plot(values, **look | {"marker": ""}, linewidth=1.8)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(fontsize="small")
    return ax


def runs_in_rows(ax: Axes, named: Mapping[str, Sequence[float]]) -> None:
    """A row for each name: a point for each run, a bar for their mean."""
    for row, values in enumerate(named.values()):
        points = {"color": COLOURS["sky"], "markeredgecolor": "black"}
        ax.plot(values, [row] * len(values), MARKERS[0], **points)
        bar = {"color": COLOURS["red"], "markersize": 22, "markeredgewidth": 3}
        ax.plot(np.mean(values), row, "|", **bar)
    ax.set(yticks=range(len(named)), yticklabels=list(named), ylim=(len(named) - 0.4, -0.6))
    ax.grid(axis="x", color="0.9")


def ticks_at(ax: Axes, values: Sequence[float]) -> None:
    """On a logarithmic x axis, ticks at `values` and nowhere else."""
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.minorticks_off()
