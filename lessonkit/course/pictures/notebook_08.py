"""The pictures of notebook 08: a folder looked at, doubted and used, and the Earth painted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from lessonkit import plot
from lessonkit.course import look
from lessonkit.course.datasets import earth_painting
from lessonkit.course.explorers.cleaner_cards import short
from lessonkit.course.pictures.shared import curves, pair, single
from lessonkit.images.as_pictures import read_pictures
from lessonkit.images.image_data import ImageData
from lessonkit.plot import COLOURS

WIDTH = 9.2  # inches: what a page has
NAMED = 12  # classes: with more of them, only the most frequent mistakes are drawn
SETS = (("training", "sky", ""), ("validation", "orange", "//"))


def sides_and_counts(images: ImageData, sides: Sequence[look.Sides]) -> None:
    """Width and height, px, of every picture, and how many there are of each class."""
    counts = look.counts(images)
    axes = pair(9, max(3.3, 0.24 * len(counts) + 0.9))
    widths, heights = [s.width for s in sides], [s.height for s in sides]
    longest = 1.05 * max(widths + heights)
    axes[0].plot(widths, heights, "o", color=COLOURS["blue"], fillstyle="none")
    axes[0].plot([0, longest], [0, longest], ":", color="black", label="square")
    axes[0].set(xlabel="width, px", ylabel="height, px", aspect="equal")
    axes[0].set(xlim=(0, longest), ylim=(0, longest))
    axes[0].legend()
    places = np.arange(len(counts))
    for offset, (part, colour, hatch) in enumerate(SETS):
        n = [of_sets[offset] for of_sets in counts.values()]
        style = {"color": COLOURS[colour], "edgecolor": "black", "hatch": hatch}
        axes[1].barh(places + 0.4 * offset, n, 0.4, label=part, **style)
    axes[1].set_yticks(places + 0.2, [short(name) for name in counts], parse_math=False)
    axes[1].set_xlabel("pictures")
    axes[1].invert_yaxis()
    axes[1].legend()
    plt.show()


def similarities(similarity: Tensor, limit: float) -> None:
    """How similar each picture is to the one most like it [N], and from where on it is a copy."""
    ax = single(7, 2.8)
    lowest = min(0.4, float(similarity.min()))
    bars = {"color": COLOURS["sky"], "edgecolor": "black"}
    ax.hist(similarity.numpy(), np.linspace(lowest, 1, 31), **bars)
    ax.axvline(limit, color=COLOURS["red"], linestyle="--", label=f"copies: {limit} and above")
    ax.set(xlabel="similarity to the most similar other picture", ylabel="pictures")
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    plt.show()


def rows_of_pictures(
    pixels: Tensor, titles: Sequence[str], rows: Mapping[str, Sequence[int]]
) -> None:
    """For each heading one row of pictures [N, 3, S, S], by their numbers, with their titles."""
    columns, height = max(map(len, rows.values())), 2.15 * len(rows)
    inside = {"left": 0.01, "right": 0.99, "bottom": 0.1 / height, "top": 1 - 0.65 / height}
    _, axes = plt.subplots(
        len(rows), columns, figsize=(WIDTH, height), squeeze=False,
        gridspec_kw=inside | {"wspace": 0.08, "hspace": 0.48},
    )  # fmt: skip
    for ax in axes.flat:
        ax.axis("off")
    for line, (heading, numbers) in zip(axes, rows.items(), strict=True):
        line[0].text(0, 1.3, heading, transform=line[0].transAxes, weight="bold")
        for ax, number in zip(line, numbers, strict=False):
            ax.imshow(np.asarray(pixels[number]).transpose(1, 2, 0))
            ax.set_title(titles[number], fontsize=8, pad=3, parse_math=False)
    plt.show()


def titles(files: Sequence[str], says: Sequence[str]) -> list[str]:
    """A file's name above what is said of it, as short as a picture is wide."""
    return [f"{short(Path(f).stem)}\n{short(s)}" for f, s in zip(files, says, strict=True)]


def answers(table: Sequence[Mapping[str, str]], size: int) -> None:
    """Pictures and what a network says of them: rows of the table that `predict --csv` writes."""
    says = [f"{short(row['class'])}\n{float(row['probability']):.0%}" for row in table]
    squares = read_pictures([row["path"] for row in table], size)
    rows_of_pictures(squares, says, {"what the network says": range(len(table))})


def mistakes(labels: Tensor, guess: Tensor, classes: Sequence[str]) -> None:
    """Which class [N] is taken for which; with many classes, the most frequent mistakes."""
    names = [short(name) for name in classes]
    if len(classes) <= NAMED:
        size = 0.5 * len(classes)
        plot.confusion(labels, guess, names, single(size + 2.6, size + 1.9)).set_ylabel("filed as")
        return plt.show()
    pairs = np.stack([labels, guess])[:, np.asarray(labels != guess)]
    kinds, n = np.unique(pairs, axis=1, return_counts=True)
    most = (-n).argsort(kind="stable")[:NAMED]
    ax = single(8, 3.8)
    ax.barh(range(len(most)), n[most], color=COLOURS["sky"], edgecolor="black")
    ax.set_yticks(
        range(len(most)),
        [f"{names[i]} taken for {names[j]}" for i, j in kinds[:, most].T],
        parse_math=False,
    )
    ax.set_xlabel("pictures")
    ax.invert_yaxis()
    return plt.show()


def _dots(ax: Axes, values: np.ndarray, names: Sequence[str]) -> None:
    """Each folder a dot, [folders, names], and a line at the mean."""
    jitter = np.linspace(-0.15, 0.15, len(values))
    for i, column in enumerate(values.T):
        ax.plot(i + jitter, column, "o", color=COLOURS["sky"], markeredgecolor="0.4")
        ax.plot([i - 0.3, i + 0.3], [column.mean()] * 2, color="black", linewidth=2)
    ax.set_xticks(range(len(names)), names)


def cost_of_a_mess(judged: np.ndarray, repaired: np.ndarray) -> None:
    """Accuracies in many folders: three ways to judge [folders, 3], four repairs [folders, 4]."""
    axes = pair(9.5, 3.8, sharey=True, width_ratios=(3, 4))
    ways = ["trained on,\nfolder's labels", "unseen,\nfolder's labels", "unseen,\ntrue labels"]
    _dots(axes[0], judged, ways)
    _dots(axes[1], repaired, ["as it was", "12 dropped\nby machine", "24 looked at", "all right"])
    axes[0].set(title="one way to train, judged in three", ylabel="accuracy", ylim=(0.5, 1.03))
    axes[1].set_title("on 31 photos put aside, after repairs")
    for ax in axes:
        ax.tick_params(axis="x", labelsize=9)
    plt.show()


def mistakes_found(found: Mapping[str, Sequence[float]], looked_at: int) -> None:
    """The fraction of the wrong labels found over the number of photos looked at."""
    ax = single()
    curves(found, ax, "photos looked at", "fraction of the wrong labels found")
    ax.axvline(looked_at, color="0.8", zorder=0)
    plt.show()


def two_earths(places: np.ndarray, truth: np.ndarray, painted: np.ndarray) -> None:
    """The climates [N] of the map at all places [N, 2], and those that the network sees there."""
    _, axes = plt.subplots(2, 1, figsize=(9, 9.6), layout="constrained")
    earth_painting.draw(axes[0], places, truth)
    axes[0].set_title("the climate map (Köppen–Geiger)")
    earth_painting.draw(axes[1], places, painted)
    axes[1].set_title("painted by the network; it was not trained inside the outlines")
    earth_painting.outline_validation(axes[1])
    earth_painting.legend(axes[1])
    plt.show()


def agreement(
    by_kind: Mapping[str, Sequence[float]], by_class: Mapping[str, Sequence[float]]
) -> None:
    """Agreement in blocks of both sets: for pure and mixed squares, and for each climate."""
    axes = pair(9.5, 3.8, sharey=True, width_ratios=(1, 1.9))
    names = ["pure", "mixed"], list(earth_painting.COLOURS)
    for ax, values, ticks in zip(axes, (by_kind, by_class), names, strict=True):
        for offset, (part, colour, hatch) in enumerate(SETS):
            style = {"color": COLOURS[colour], "edgecolor": "black", "hatch": hatch}
            where = np.arange(len(ticks)) + 0.4 * offset
            ax.bar(where, values[part], 0.4, label=f"{part} blocks", **style)
        ax.set_xticks(np.arange(len(ticks)) + 0.2, ticks)
        ax.set(ylim=(0, 1.2), yticks=np.arange(0, 1.01, 0.25))
    axes[0].set_ylabel("agreement by area")
    axes[0].legend(loc="upper right", fontsize=8)
    axes[1].tick_params(axis="x", rotation=30)
    plt.show()
