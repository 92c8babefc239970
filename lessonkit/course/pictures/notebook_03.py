"""The pictures of notebook 03: changed versions, two losses, and what a network makes of them."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lessonkit import plot
from lessonkit.augment import affine, move, to_uint8
from lessonkit.course.pictures.shared import pair, runs_in_rows, single, ticks_at
from lessonkit.plot import COLOURS

MARKS = {"none": ("o-", "blue"), "symbols": ("s--", "red")}


def _grid(rows: Sequence, columns: Sequence[str], names: Sequence[str] = (), side=1.1) -> None:
    """Rows of uint8 pictures [N, 3, S, S] under titles, each with its name on the left."""
    size = side * len(columns) + 1.2 * bool(names), side * len(rows) + 0.3
    _, axes = plt.subplots(len(rows), len(columns), figsize=size, layout="constrained")
    for line, pictures in zip(axes, rows, strict=True):
        for ax, picture in zip(line, pictures, strict=True):
            ax.imshow(picture.permute(1, 2, 0))
            ax.set(xticks=[], yticks=[])
    for ax, title in zip(axes[0], columns, strict=True):
        ax.set_title(title, fontsize="medium")
    for ax, name in zip(axes[:, 0], names, strict=False):
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    plt.show()


def nine_questions(samples: Sequence[Tensor]) -> None:
    """Each uint8 picture [3, S, S] as it is, mirrored, turned by a quarter and by a half."""
    rows = [[x, x.flip(2), x.rot90(1, (1, 2)), x.flip(1, 2)] for x in samples]
    _grid(rows, ["as it is", "mirrored", "quarter turn", "half turn"], side=1.4)


def taken_for(images: Tensor, said: Tensor) -> None:
    """Twenty digits, uint8 [20, 3, S, S], and above each what a network takes it for, [20]."""
    axes = plot.wall(images, [f"“{digit}”" for digit in said.tolist()], columns=10, side=0.85)
    for ax in axes.flat:
        ax.title.set_fontsize(10)
    plt.show()


def limits(photo: Tensor) -> None:
    """How far `side_on` changes a uint8 picture [3, S, S]: to both limits, and four times as far.

    Dashed lines through the middle of the frame stay where they are.
    """
    pixels = photo.float()[None]
    mean = pixels.mean()
    ways = {
        "rotation, 10°": lambda by: move(pixels, affine(degrees=10 * by)),
        "zoom, 1.1": lambda by: move(pixels, affine(zoom=1 + 0.1 * max(by, 0))),
        "shift, 5 % of\nthe side": lambda by: move(pixels, affine(right=0.05 * by)),
        "brightness, 5 %\nof the range": lambda by: pixels + 255 * 0.05 * by,
        "contrast, 1 ± 5 %": lambda by: mean + (pixels - mean) * (1 + 0.05 * by),
    }
    rows = [[to_uint8(change(by).clone())[0] for by in (0, -1, 1, 4)] for change in ways.values()]
    for picture in (picture for row in rows for picture in row):
        middle = picture.shape[-1] // 2
        picture[:, middle, ::6] = picture[:, ::6, middle] = torch.tensor([[213], [94], [0]])
    _grid(rows, ["as it is", "one limit", "other limit", "4 × as far"], list(ways), side=1.3)


def losses(runs: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """For each way of training, three losses measured after every 20 mini-batches."""
    axes = pair(9, 3.6, sharey=True)
    for ax, (name, lines) in zip(axes, runs.items(), strict=True):
        for (line, values), style, colour in zip(
            lines.items(), ["o-", "^:", "s--"], ["black", "blue", "red"], strict=True
        ):
            steps = 20 * np.arange(1, len(values) + 1)
            ax.plot(steps, values, style, color=COLOURS[colour], markersize=5, label=line)
        ax.set(yscale="log", xlabel="mini-batches", title=f"augmentation: {name}")
    axes[0].set_ylabel("loss (log scale)")
    axes[0].legend(loc="center right", bbox_to_anchor=(1, 0.35))
    plt.show()


def as_many(accuracy: float, curve: Mapping[int, float]) -> float:
    """How many pictures give this accuracy: read off number: accuracy, over a log axis."""
    return float(np.exp(np.interp(accuracy, list(curve.values()), np.log(list(curve)))))


def worth(curves: Mapping[str, Mapping[int, float]]) -> None:
    """Accuracy over the number of training pictures, and arrows from one curve to the other."""
    ax, plain = single(7, 4), curves["none"]
    for name, curve in curves.items():
        style, colour = MARKS[name]
        ax.plot(list(curve), list(curve.values()), style, color=COLOURS[colour], label=name)
    for n in (50, 200):
        accuracy = curves["symbols"][n]
        there = as_many(accuracy, plain)
        ax.annotate("", (there, accuracy), (n, accuracy), arrowprops={"arrowstyle": "->"})
        ax.text(there * 1.06, accuracy - 0.014, f"{n} are worth {there:.0f}")
    ax.set(xscale="log", xlabel="training digits (log scale)", ylabel="accuracy, 1,000 digits")
    ax.set_xlim(right=1500)  # room for what is written beside an arrow
    ticks_at(ax, list(plain))
    ax.legend(title="augmentation", loc="lower right")
    plt.show()


def by_digit(asked: np.ndarray, without: np.ndarray, mirrored: np.ndarray) -> None:
    """Accuracies [10]: of mirrored digits, and of ordinary ones after two ways of training."""
    axes = pair(9.5, 3.6, sharey=True)
    axes[0].plot(asked, "D", color=COLOURS["green"], markersize=8, label="mirrored digits")
    axes[0].plot(without, "o", color=COLOURS["blue"], markersize=8, label="ordinary digits")
    axes[0].vlines(range(10), asked, without, color="0.7", zorder=0)
    axes[0].set_title("1. ask a network trained without")
    axes[1].plot(without, "o", color=COLOURS["blue"], markersize=8, label="trained without")
    axes[1].plot(mirrored, "s", color=COLOURS["red"], markersize=7, label="trained with mirrored")
    axes[1].vlines(range(10), without, mirrored, color="0.7", zorder=0)
    axes[1].set_title("2. train with it, test on ordinary digits")
    for ax in axes:
        ax.set(xticks=range(10), xlabel="digit", ylim=(-0.03, 1.22))
        ax.legend(loc="upper center", ncols=2)
    axes[0].set_ylabel("accuracy")
    plt.show()


def asked_and_trained(
    asked: Mapping[str, Sequence[float]], trained: Mapping[str, Sequence[float]]
) -> None:
    """Accuracies of several networks: on changed pictures, and after training with changed ones."""
    ratio = [len(asked), len(trained)]
    _, axes = plt.subplots(
        2, 1, figsize=(8, 4.8), sharex=True, height_ratios=ratio, layout="constrained"
    )
    runs_in_rows(axes[0], asked)
    axes[0].set_title("1. ask networks trained without: changed tiles")
    runs_in_rows(axes[1], trained)
    axes[1].set_title("2. train with it: tiles as they are")
    axes[1].set_xlabel("accuracy; a point for each network, a bar for the mean")
    plt.show()


def gains(named: Mapping[str, Sequence[float]]) -> None:
    """What TTA adds to the accuracy of each network, in points."""
    ax = single(8, 2.8)
    runs_in_rows(ax, {name: 100 * np.array(values) for name, values in named.items()})
    ax.axvline(0, color="black", linewidth=1)
    ax.set_xlabel("points of accuracy gained by TTA; a point for each network, a bar for the mean")
    plt.show()


def ways_to_ask(accuracies: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """For each way of training, a panel: accuracies of several networks, asked in several ways."""
    _, axes = plt.subplots(len(accuracies), 1, figsize=(8, 5), sharex=True, layout="constrained")
    for ax, (name, ways) in zip(axes, accuracies.items(), strict=True):
        runs_in_rows(ax, ways)
        ax.axvline(np.mean(next(iter(ways.values()))), color="0.4", linestyle=":", zorder=0)
        ax.set_title(f"trained with: {name}")
    axes[-1].set_xlabel("accuracy; a point for each network, a bar for the mean")
    plt.show()


def photos_asked(accuracies: Mapping[str, Sequence[float]], always: float) -> None:
    """Accuracies from several rounds of cross-validation, beside those of one constant answer."""
    ax = single(7.5, 2.8)
    runs_in_rows(ax, accuracies)
    ax.axvline(always, color="black", linestyle="--", label='always "mammal"')
    ax.set(xlabel="accuracy, 93 photos; a point for each round, a bar for the mean")
    ax.legend(loc="lower right")
    plt.show()


def crops(photos: Sequence[Image.Image], cut_off: Sequence[float]) -> None:
    """Photos with their middle square dashed, and which fraction of each lies outside."""
    _, axes = plt.subplots(1, len(photos), figsize=(9.5, 2.3), layout="constrained")
    for ax, photo, lost in zip(axes, photos, cut_off, strict=True):
        side = min(photo.size)
        corner = [(length - side) / 2 for length in photo.size]
        ax.imshow(photo)
        ax.add_patch(plt.Rectangle(corner, side - 1, side - 1, fill=False, linewidth=2, ls="--"))
        ax.set_title(f"loses {lost:.0%}", fontsize="medium")
        ax.set(xticks=[], yticks=[])
    plt.show()


def squares(accuracies: Mapping[str, float], losses: Mapping[str, float]) -> None:
    """Accuracy and loss of the photos by the square, or squares, that the network was shown."""
    axes = pair(9, 2.9, sharey=True)
    for ax, values, label in zip(
        axes, (accuracies, losses), ("accuracy, 93 photos", "loss"), strict=True
    ):
        ax.plot(list(values.values()), range(len(values)), "o", color=COLOURS["blue"], ms=9)
        ax.axvline(values["middle"], color="0.4", linestyle=":", zorder=0)
        ax.set(xlabel=label, yticks=range(len(values)), yticklabels=list(values))
        ax.locator_params(axis="x", nbins=5)
        ax.set_ylim(len(values) - 0.5, -0.5)
        ax.grid(axis="x", color="0.9")
    plt.show()
