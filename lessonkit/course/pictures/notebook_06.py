"""The pictures of notebook 06: sizes, layers, what they see and know, and learning rates."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from lessonkit import plot
from lessonkit.course.pictures.shared import looks, pair, single
from lessonkit.plot import COLOURS


def sides(files: Sequence[Path]) -> None:
    """Height over width of picture files, in px; a file's folder is the name of its class."""
    ax, sizes = single(6, 3.8), np.array([Image.open(file).size for file in files])
    longest = sizes.max() * 1.08
    for name, marker, colour in (("bird", "o", "blue"), ("mammal", "x", "red")):
        some = [file.parent.name == name for file in files]
        ax.plot(*sizes[some].T, marker, color=COLOURS[colour], label=f"{sum(some)} {name}s")
    ax.plot([0, longest], [0, longest], color="0.7", linewidth=1, zorder=0, label="square")
    ax.set(xlabel="width, px", ylabel="height, px", xlim=(0, longest), ylim=(0, longest))
    ax.legend()
    plt.show()


def layers(shapes: Mapping[str, Sequence[int]], weights: Sequence[int], n_early: int) -> None:
    """The side of each layer's maps, and its weights; the last of `weights` are the head's.

    shapes: name -> (maps, height, width). The first `n_early` of them are the early layers.
    """
    _, axes = plt.subplots(2, 1, figsize=(8.5, 5), sharex=True, layout="constrained")
    names, maps = [*shapes, "head"], [*(shape[0] for shape in shapes.values()), 2]
    groups = {
        "early layers": (slice(0, n_early), "sky", ""),
        "late layers": (slice(n_early, len(shapes)), "orange", "//"),
        "head": (slice(len(shapes), None), "pink", "xx"),
    }
    heights = [shape[1] for shape in shapes.values()] + [1], np.array(weights) / 1e6
    for ax, values in zip(axes, heights, strict=True):
        for label, (some, colour, hatch) in groups.items():
            style = {"color": COLOURS[colour], "hatch": hatch, "edgecolor": "black"}
            bars = ax.bar(names[some], values[some], label=label, **style)
            if ax is axes[0]:
                ax.bar_label(bars, [f"×{n}" for n in maps[some]])
    axes[0].set(ylabel="side of its maps, px")
    axes[0].margins(y=0.15)
    axes[0].legend()
    axes[1].set(ylabel="weights, millions")
    plt.show()


def filters(weights: np.ndarray) -> None:
    """Filters [n, 3, s, s], each stretched to its own full range of colours."""
    low, high = (edge(weights, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    plot.wall((weights - low) / (high - low), columns=16, side=0.58)
    plt.show()


def probes(curves: Mapping[str, Mapping[str, float]]) -> None:
    """Accuracy over the layers, a line for each set of pictures."""
    ax = single(8, 4)
    for _, values, look in looks(curves):
        ax.plot(list(values), list(values.values()), **look)
    ax.set(ylabel="accuracy of a linear probe", xlabel="layer", ylim=(0.45, 1))
    ax.grid(axis="y", color="0.9")
    ax.legend(loc="upper left")
    plt.show()


def fine_tuned(results: Mapping[str, tuple[float, float]]) -> None:
    """A row for each way of training: its validation loss, and its accuracy."""
    axes = pair(9, 3.2, sharey=True)
    names = list(results)
    for ax, number, label in zip(axes, (0, 1), ("loss", "accuracy"), strict=True):
        values = [result[number] for result in results.values()]
        colours = [COLOURS["sky" if name != "the head alone" else "orange"] for name in names]
        bars = ax.barh(names, values, color=colours, edgecolor="black", height=0.6)
        ax.bar_label(bars, fmt="%.2f", padding=3)
        ax.margins(x=0.15)
        ax.set_xlabel(f"validation {label}")
    axes[0].invert_yaxis()
    plt.show()


def seconds(named: Mapping[str, float]) -> None:
    """A bar of seconds for each name."""
    ax = single(7.5, 1.9)
    bars = ax.barh(list(named), list(named.values()), color=COLOURS["sky"], edgecolor="black")
    ax.bar_label(bars, fmt="%.2g s", padding=3)
    ax.margins(x=0.15)
    ax.set(xlabel="seconds for 5 epochs")
    ax.invert_yaxis()
    plt.show()


def sizes(milliseconds: Mapping[int, float], table: Sequence[Sequence[float]]) -> None:
    """What each size, px, costs a photo, and accuracies [trained at, used at]."""
    axes = pair(8.5, 3.3)
    labels = [f"{size} px" for size in milliseconds]
    axes[0].bar(labels, list(milliseconds.values()), color="0.75", edgecolor="black")
    axes[0].set(ylabel="milliseconds a photo")
    axes[1].imshow(table, cmap="cividis", vmin=0.8, vmax=1)
    for row, column in np.ndindex(*np.shape(table)):
        accuracy = table[row][column]
        style = {"ha": "center", "va": "center", "color": "black" if accuracy > 0.9 else "white"}
        axes[1].text(column, row, f"{accuracy:.2f}", **style)
    axes[1].set_xticks(range(len(labels)), labels)
    axes[1].set_yticks(range(len(labels)), labels)
    axes[1].set(xlabel="used at", ylabel="trained at", title="accuracy, mean of 40 splits")
    plt.show()


def strip(patches: np.ndarray) -> np.ndarray:
    """Patches uint8 [n, 3, s, s] side by side, white between them: uint8 [height, width, 3]."""
    edge = max(1, round(0.06 * patches.shape[-1]))
    padded = np.pad(patches, [(0, 0), (0, 0), (edge, edge), (edge, edge)], constant_values=255)
    return np.concatenate(list(padded.transpose(0, 2, 3, 1)), axis=1)


def strongest(strips: Mapping[str, np.ndarray]) -> None:
    """Strips of patches, uint8 [n, 3, s, s] each, two a row, with their names."""
    rows = -(-len(strips) // 2)
    _, axes = plt.subplots(rows, 2, figsize=(9.5, 0.9 * rows), layout="constrained")
    for ax, (name, patches) in zip(axes.flat, strips.items(), strict=True):
        ax.imshow(strip(patches), interpolation="nearest")
        ax.axis("off")
        ax.set_title(name, fontsize=9, pad=2)
    plt.show()


def batches(losses: Mapping[int, Sequence[float]], lrs: Sequence[float], guessing: float) -> None:
    """The loss over the LR, a line for each batch size; a diverged run stands at the top."""
    ax, top = single(7.5, 3.8), 1.15 * guessing
    for _, values, look in looks({f"batches of {size}": line for size, line in losses.items()}):
        ax.plot(lrs, np.minimum(values, top), **look)
    ax.axhline(guessing, color="0.6", linewidth=1)
    ax.text(lrs[0], guessing + 0.04, "guessing; above it: diverged")
    ax.set(xscale="log", xlabel="learning rate", ylabel="validation loss", ylim=(0, 1.3 * guessing))
    ax.legend(loc="lower right")
    plt.show()


def table(facts: Mapping[str, str]) -> None:
    """Names and what is to be said of them, in two columns."""
    ax = single(7.5, 2.4)
    ax.axis("off")
    drawn = ax.table(list(facts.items()), colWidths=[0.2, 0.8], cellLoc="left", loc="center")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(10)
    drawn.scale(1, 1.5)
    plt.show()


def forecasts(named: Mapping[str, tuple[float, float]]) -> None:
    """For each training run, (seconds forecast, seconds taken)."""
    ax, rows = single(8, 2.6), np.arange(len(named))
    pairs = zip(*named.values(), strict=True)
    bars = (("forecast", -0.2, "sky", ""), ("taken", 0.2, "orange", "//"))
    for values, (label, shift, colour, hatch) in zip(pairs, bars, strict=True):
        style = {"color": COLOURS[colour], "hatch": hatch, "edgecolor": "black", "label": label}
        ax.bar_label(ax.barh(rows + shift, values, 0.4, **style), fmt="%.1f s", padding=2)
    ax.set_yticks(rows, list(named))
    ax.margins(x=0.12)
    ax.set(xlabel="seconds")
    ax.invert_yaxis()
    ax.legend()
    plt.show()
