"""The Earth painted by a classifier: its climate for every place on land, beside the map's own.

A place is the pixel (row, column) of the map in the middle of a square of 64 px, which is what the
classifier sees of it.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from torch import Tensor

from lessonkit.course.datasets.embedded import CLIMATES, SPLIT_SEED, TILE, validation_pixels

__all__ = [
    "COLOURS", "agreement", "areas", "draw", "land", "legend", "paint", "shares", "sets", "tiles",
]  # fmt: skip

# Okabe and Ito's hues, which colour-blind readers can tell apart, and white. Neighbours on the map
# differ in lightness, too, for whoever prints it in grey; so does the sea from every land.
COLOURS = dict(
    zip(
        CLIMATES,
        ["#006848", "#F0A830", "#F5EC7A", "#C25400", "#CC79A7", "#005E96", "#8CCBEF", "#FFFFFF"],
        strict=True,
    )
)
SEA = "#000000"


def land(climates: np.ndarray, stride: int = 32) -> np.ndarray:
    """All places on land in a grid of `stride` px, int64 [N, 2]: row and column.

    `climates` is uint8 [H, W], 0 for sea, as from `embedded.earth_map()`.
    """
    grid = climates[stride // 2 :: stride, stride // 2 :: stride]
    return np.argwhere(grid > 0) * stride + stride // 2


def tiles(picture: np.ndarray, places: np.ndarray) -> Tensor:
    """What lies around each place: uint8 [N, 3, 64, 64] out of the map, uint8 [H, W, 3].

    The map's left and right edges meet. Near its upper and lower edge the square is moved inwards.
    """
    height, width, _ = picture.shape
    offsets = np.arange(TILE)
    tops = (places[:, 0] - TILE // 2).clip(0, height - TILE)
    rows = tops[:, None] + offsets
    columns = (places[:, 1, None] - TILE // 2 + offsets) % width
    cut = picture[rows[:, :, None], columns[:, None, :]]
    return torch.from_numpy(cut).permute(0, 3, 1, 2)


def paint(
    predict: Callable[[Tensor], Tensor], picture: np.ndarray, places: np.ndarray, batch: int = 64
) -> Tensor:
    """Probabilities [N, classes] for every place, a batch at a time: memory doesn't grow with N.

    `predict` is a learner's: uint8 [N, 3, 64, 64] to probabilities.
    """
    parts = _batches(places, batch)
    return torch.cat([predict(tiles(picture, part)) for part in parts])


def _batches(places: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    return (places[start : start + batch] for start in range(0, len(places), batch))


def shares(climates: np.ndarray, places: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The fraction of each place's square that has a climate, float64 [N].

    `numbers` [N] says which, numbered as in the map, uint8 [H, W]: from 1 on.
    """
    found = []
    for part, wanted in zip(_batches(places, 512), _batches(numbers, 512), strict=True):
        squares = tiles(climates[..., None], part)[:, 0].numpy()
        found.append((squares == wanted[:, None, None]).mean((1, 2)))
    return np.concatenate(found)


def sets(places: np.ndarray, seed: int = SPLIT_SEED) -> np.ndarray:
    """Which blocks the square around each place lies in: "training", "validation", or "both"."""
    valid = validation_pixels(seed)
    last = TILE - 1
    tops = (places[:, 0] - TILE // 2).clip(0, valid.shape[0] - TILE)
    lefts = places[:, 1] - TILE // 2
    corners = np.stack(
        [
            valid[tops + down, (lefts + right) % valid.shape[1]]
            for down in (0, last)
            for right in (0, last)
        ]
    )
    inside, reaches_in = corners.all(0), corners.any(0)
    return np.where(inside, "validation", np.where(reaches_in, "both", "training"))


def areas(places: np.ndarray) -> np.ndarray:
    """How large each place is, compared with one at the equator: the cosine of its latitude."""
    return np.cos(np.pi * ((places[:, 0] + 0.5) / 2700 - 0.5))


def agreement(truth: np.ndarray, guess: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The fraction of places where two sets of climates [N] agree, each counting by its weight."""
    return float(np.average(np.asarray(truth) == np.asarray(guess), weights=weights))


def draw(ax: Axes, places: np.ndarray, labels: np.ndarray, stride: int = 32) -> None:
    """Colour each place by its climate [N], a number into `CLIMATES`, with degrees at the axes."""
    shape = tuple(len(range(stride // 2, side, stride)) for side in (2700, 5400))
    palette = np.array([to_rgb(SEA), *(to_rgb(colour) for colour in COLOURS.values())])
    cells = np.zeros(shape, int)
    cells[tuple((places // stride).T)] = np.asarray(labels) + 1
    bottom, right = (stride * n / 15 for n in shape)
    extent = (-180, right - 180, 90 - bottom, 90)
    ax.imshow(palette[cells], extent=extent, interpolation="nearest")
    ax.set(xticks=range(-180, 181, 60), yticks=range(-90, 91, 30))
    ax.set(xlabel="longitude, degrees", ylabel="latitude, degrees")


def outline_validation(ax: Axes) -> None:
    """Draw the borders between training and validation blocks, in black, on a map from `draw`."""
    valid = validation_pixels()[::15, ::15]  # one value a degree suffices: blocks have 15
    centres = np.arange(valid.shape[1]) - 179.5, 89.5 - np.arange(valid.shape[0])
    ax.contour(*centres, valid, levels=[0.5], colors="white", linewidths=3)
    ax.contour(*centres, valid, levels=[0.5], colors="black", linewidths=1.5)


def legend(ax: Axes) -> None:
    """The colours of the climates and of the sea, in one row below a map."""
    patches = [
        Patch(facecolor=colour, edgecolor="black", label=name)
        for name, colour in {**COLOURS, "sea": SEA}.items()
    ]
    ax.legend(
        handles=patches, ncols=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False,
        fontsize="small", handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip
