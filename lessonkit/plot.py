"""The course's pictures: learning rates, losses, walls of photos, confusion.

Every function draws into matplotlib axes, makes them if none are given, and returns them. Colours
are Okabe and Ito's, which colour-blind readers can tell apart; lines also differ in their dashes
and points in their shapes, for a grey print.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

__all__ = [
    "COLOURS", "confusion", "loss_history", "lr_finder", "lr_finders", "lr_history", "printable",
    "wall",
]  # fmt: skip

COLOURS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "blue": "#0072B2",
    "red": "#D55E00",
    "pink": "#CC79A7",
}
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3))]
# Name -> marker, colour, size, filled: the first are large, as others may stand on them, and the
# second is a frame, as it often stands on the first.
RULES = {
    "lowest": ("v", "black", 14, True),
    "improving": ("s", "orange", 12, False),
    "suggestion": ("o", "red", 9, True),
    "steepest": ("D", "green", 9, True),
    "valley": ("P", "blue", 9, True),
}


def _axes(ax: Axes | None, width: float = 6.5, height: float = 3.6) -> Axes:
    return ax or plt.subplots(figsize=(width, height), layout="constrained")[1]


def lr_finder(found: Any, ax: Axes | None = None) -> Axes:
    """The curve of an `LRFinderResult`, and the LR that each rule reads off it, or "none"."""
    ax = _axes(ax)
    ax.plot(found.lrs, found.losses, color="0.75", linewidth=1, label="loss of each batch")
    ax.plot(found.lrs, found.smoothed, color=COLOURS["black"], linewidth=2, label="smoothed")
    for rule in RULES:
        lr = getattr(found, rule)
        height = np.interp(np.log(lr), np.log(found.lrs), found.smoothed)
        label = f"{rule}  {lr:.2g}" if np.isfinite(lr) else f"{rule}  none"
        ax.plot(lr, height, label=label, **rule_mark(rule))
    settled = found.smoothed[np.isfinite(found.smoothed)]  # the last may be inf
    low, high = found.losses.min(), max(settled[0], np.median(settled))
    ax.set_ylim(low - 0.15 * (high - low + 1e-9), high + 0.6 * (high - low + 1e-9))
    ax.set(xscale="log", xlabel="learning rate", ylabel="training loss")
    ax.legend(fontsize="small")
    return ax


def rule_mark(rule: str) -> dict[str, Any]:
    """How to draw the LR that a rule of the finder names: arguments for matplotlib's plot."""
    marker, colour, size, filled = RULES[rule]
    mark = {"marker": marker, "markersize": size, "color": COLOURS[colour], "zorder": 3}
    frame = {"fillstyle": "none", "markeredgewidth": 3}
    return {"linestyle": "none"} | mark | ({"markeredgecolor": "white"} if filled else frame)


def lr_finders(named: dict, ax: Axes | None = None) -> Axes:
    """LR finders' smoothed curves, by name, each divided by the loss it starts with."""
    ax = _axes(ax)
    ax.set_prop_cycle(color=[*COLOURS.values()], linestyle=DASHES)
    for name, found in named.items():
        ax.plot(found.lrs, found.smoothed / found.start, linewidth=2, label=name)
    ax.axhline(1, color="0.8", linewidth=1, zorder=0)
    ax.set(xscale="log", xlabel="learning rate", ylabel="smoothed loss / its start")
    ax.legend(fontsize="small")
    return ax


def lr_history(history: Any, ax: Axes | None = None) -> Axes:
    """The LR of every mini-batch that a learner has trained on (of its last layer group)."""
    ax = _axes(ax, height=2.8)
    ax.plot(history.lr, color=COLOURS["blue"])
    ax.set(xlabel="mini-batch", ylabel="learning rate", ylim=(0, None))
    return ax


def loss_history(history: Any, ax: Axes | None = None) -> Axes:
    """The loss of every mini-batch, and training and validation loss of every epoch."""
    ax = _axes(ax)
    ax.plot(history.loss, color="0.8", linewidth=1, label="each mini-batch")
    if history.epochs:
        ends = [end - 1 for end in history.ends]
        for name, label, look, colour in (
            ("train_loss", "training", "o--", "blue"),
            ("valid_loss", "validation", "s-", "red"),
        ):
            values = [epoch[name] for epoch in history.epochs]
            ax.plot(ends, values, look, color=COLOURS[colour], label=label)
    ax.set(xlabel="mini-batch", ylabel="loss")
    ax.legend(fontsize="small")
    return ax


def wall(
    images: Any, titles: Sequence[str] = (), columns: int = 8, side: float = 1.1
) -> np.ndarray:
    """Pictures, uint8 [N, 3, S, S], as a grid with titles; returns the axes [rows, columns].

    `side` is the width of a picture in inches. Raises ValueError without pictures.
    """
    if not len(images):
        raise ValueError("There are no pictures to draw.")
    rows = -(-len(images) // columns)
    height = (side + 0.22 * (len(titles) > 0)) * rows
    _, axes = plt.subplots(
        rows, columns, figsize=(side * columns, height), squeeze=False, layout="constrained"
    )
    for ax in axes.flat:
        ax.axis("off")
    for image, ax in zip(images, axes.flat, strict=False):
        ax.imshow(np.asarray(image).transpose(1, 2, 0))
    for title, ax in zip(titles, axes.flat, strict=False):
        # A file's name may have a $, which would begin a formula.
        ax.set_title(printable(title), fontsize=8, pad=2, parse_math=False)
    return axes


def printable(name: str) -> str:
    """A name as it can be drawn: a file's or folder's may hold bytes that are no text."""
    return name.encode("utf-8", "backslashreplace").decode()


def confusion(
    labels: Sequence[int], predicted: Sequence[int], classes: Sequence[str], ax: Axes | None = None
) -> Axes:
    """How many pictures of each class (row) were taken for which (column).

    `labels` and `predicted` [N] are numbers into `classes`; colours show fractions of a row.
    """
    n = len(classes)
    ax = _axes(ax, 0.55 * n + 2.4, 0.45 * n + 1.8)
    table = np.zeros((n, n), int)
    np.add.at(table, (np.asarray(labels), np.asarray(predicted)), 1)
    ax.imshow(table / table.sum(1, keepdims=True).clip(1), cmap="cividis", vmin=0, vmax=1)
    for row, column in np.ndindex(n, n):
        light = table[row, column] > 0.5 * max(1, table[row].sum())
        text = str(table[row, column] or "")
        ax.text(column, row, text, ha="center", va="center", color="black" if light else "white")
    names = [printable(name) for name in classes]
    ax.set_xticks(range(n), names, rotation=45, ha="right", parse_math=False)
    ax.set_yticks(range(n), names, parse_math=False)
    ax.set(xlabel="predicted", ylabel="true class")
    return ax
