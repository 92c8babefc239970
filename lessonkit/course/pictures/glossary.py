"""The pictures of the glossary: one for each word that a picture says more quickly."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from numpy.polynomial import Polynomial
from torch import Tensor

from lessonkit.course.measured.verdict import over_seeds
from lessonkit.course.pictures.shared import single
from lessonkit.plot import COLOURS


def intervals(effects: Sequence[Sequence[float]]) -> None:
    """Rows of runs, and below each row its mean and 95 % interval."""
    ax = single(7, 2.2)
    for row, runs in enumerate(effects):
        mean, low, high, *_ = over_seeds(np.asarray(runs))
        ax.plot(runs, np.full(len(runs), -row), "o", color="0.7", markersize=4)
        ax.errorbar(mean, -row - 0.25, xerr=[[mean - low], [high - mean]], fmt="ko", capsize=4)
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_yticks([-row for row in range(len(effects))], [f"{len(runs)} runs" for runs in effects])
    ax.set(xlabel="difference of each run (grey), mean and 95 % interval (black)", xlim=(-4, 6))
    plt.show()


def convolution(picture: Tensor, window: Tensor, found: Tensor) -> None:
    """A picture [H, W], the filter [h, w] that moves over it, and what it finds [H, W]."""
    axes = plt.subplots(1, 3, figsize=(7, 2.4), layout="constrained")[1]
    grids = {"picture": picture, "filter": window, "activations": found}
    for ax, (title, grid) in zip(axes, grids.items(), strict=True):
        limit = grid.abs().max()
        ax.imshow(grid, cmap="gray", vmin=0 if title == "picture" else -limit, vmax=limit)
        ax.set(title=title, xticks=[], yticks=[])
    for (row, column), weight in np.ndenumerate(window.numpy()):
        colour = "white" if weight < 0 else "black"  # on black, grey and white
        axes[1].text(column, row, f"{weight:g}", ha="center", va="center", color=colour)
    plt.show()


def groups(weights: Mapping[str, int]) -> None:
    """Layer groups in a row, the head last, each with its number of weights; the body braced."""
    ax, n = single(8, 1.5), len(weights)
    for x, (name, count) in enumerate(weights.items()):
        colour = COLOURS["orange" if x == n - 1 else "sky"]
        ax.barh(0, 0.8, left=x, height=0.5, color=colour, edgecolor="black")
        ax.text(x + 0.4, 0, name, ha="center", va="center")
        ax.text(x + 0.4, -0.38, f"{count:,} weights", ha="center", va="top", fontsize="small")
    for x in range(n + 1):  # arrows into each box, and out of the last one
        ax.annotate("", (x, 0), (x - 0.2, 0), arrowprops={"arrowstyle": "->"})
    body = n - 1.2
    ax.plot([0, 0, body, body], [0.34, 0.42, 0.42, 0.34], color="black", linewidth=1)
    ax.text(body / 2, 0.48, "body", ha="center", va="bottom")
    ax.text(-0.25, 0, "picture", ha="right", va="center")
    ax.text(n + 0.05, 0, "probabilities", ha="left", va="center")
    ax.set(xlim=(-0.75, n + 0.75), ylim=(-0.65, 0.75))
    ax.set_axis_off()
    plt.show()


def overfitting(x: np.ndarray, seen: np.ndarray, new: np.ndarray, degrees: Sequence[int]) -> None:
    """Points that two polynomials were fitted to, points that they weren't, and both curves."""
    ax, line = single(6.5, 2.6), np.linspace(x.min(), x.max(), 400)
    for degree, colour, dash in zip(degrees, ("blue", "red"), ("-", "--"), strict=True):
        curve = Polynomial.fit(x, seen, degree)(line)
        ax.plot(line, curve, dash, color=COLOURS[colour], label=f"{degree + 1} numbers learned")
    ax.plot(x, seen, "ko", label="training points")
    ax.plot(x, new, "o", color="white", markeredgecolor="black", label="new points")
    ax.set(ylim=(-0.7, 1.9), xlabel="input", ylabel="output")
    ax.legend(fontsize="small", ncol=2)
    plt.show()


def schedules(named: Mapping[str, np.ndarray]) -> None:
    """LRs of every step, by the schedule's name, side by side."""
    size = {"figsize": (10, 2.2), "sharey": True, "layout": "constrained"}
    axes = plt.subplots(1, len(named), **size)[1]
    for ax, (name, lrs) in zip(axes, named.items(), strict=True):
        ax.plot(lrs, color=COLOURS["blue"])
        ax.set(title=name, xlabel="step")
    axes[0].set_ylabel("LR / its top")
    plt.show()


def two_minima(
    landscape: Callable[[np.ndarray], np.ndarray], minima: Mapping[str, float], shift: float
) -> None:
    """A landscape with two minima, the same one moved sideways by `shift`, and what that costs."""
    ax, x = single(6.5, 2.6), np.linspace(-3.2, 3.6, 500)
    ax.plot(x, landscape(x), color="black", label="training pictures")
    ax.plot(x, landscape(x - shift), "--", color=COLOURS["red"], label="new pictures")
    for name, place in minima.items():
        before, after = landscape(place), landscape(place - shift)
        ax.vlines(place, before, after, color="0.6")
        ax.plot(place, before, "ko")
        ax.plot(place, after, "s", color=COLOURS["red"])
        ax.text(place, -0.08, name, ha="center")
    ax.set(xlabel="weight", ylabel="loss", ylim=(-0.15, 1.1))
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    plt.show()
