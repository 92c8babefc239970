"""The data that comes with the course: the Earth from above, handwritten digits, creatures.

Where they come from, and under which licences, is in data/README.md.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

__all__ = [
    "CLIMATES", "TILE", "Tiles", "creatures_folder", "digit_images", "earth_map", "earth_tiles",
    "validation_pixels",
]  # fmt: skip

CLIMATES = ["rainforest", "savanna", "desert", "steppe", "temperate", "boreal", "tundra", "ice"]
TILE = 64  # px, a side
CELL = 16  # px: tiles start at multiples of this
BLOCK = 225  # px, 15 degrees: a block's tiles are all for training or all for validation
PURE = 0.8  # of a tile must be one climate
SPLIT_SEED = 4  # of the six tried the easiest: see data/README.md
MOST_TRAIN, MOST_VALID = 400, 120  # tiles of a class
VALID_SHARES = (0.2, 0.3)  # of each class's tiles are for validation
KM_PER_DEGREE = 111.2


class Tiles(NamedTuple):
    """Satellite tiles: images uint8 [N, 64, 64, 3], labels int64 [N], valid bool [N].

    `boxes` int64 [N, 4] are left, top, right, bottom in pixels of the map. `nearest_km` float64
    [N] is the way from each validation tile's centre to the nearest training tile's; 0 for others.
    """

    images: np.ndarray
    labels: np.ndarray
    valid: np.ndarray
    boxes: np.ndarray
    nearest_km: np.ndarray
    classes: list[str]


def creatures_folder() -> Path:
    """The folder with photos of mammals and birds, one folder a class."""
    return _data("creatures")


def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """5,000 handwritten digits, uint8 [5000, 28, 28], white on black, and labels int64 [5000]."""
    sprite = np.asarray(Image.open(_data("digits/digits.png")))
    images = sprite.reshape(50, 28, 100, 28).transpose(0, 2, 1, 3).reshape(-1, 28, 28)
    return images, np.repeat(np.arange(10), 500)


def earth_map() -> tuple[np.ndarray, np.ndarray]:
    """The Blue Marble, uint8 [2700, 5400, 3], and each pixel's climate, uint8 [2700, 5400].

    Longitude runs from -180° to 180°, latitude from 90° down. A climate is 0 for sea, else its
    place in `CLIMATES` plus one.
    """
    picture = np.asarray(Image.open(_data("earth/blue_marble.jpg")))
    return picture, np.asarray(Image.open(_data("earth/climates.png")))


def earth_tiles(seed: int = SPLIT_SEED) -> Tiles:
    """Tiles that are at least four fifths of one climate, split by 15-degree blocks of the map.

    A tile that lies in blocks of both sets is left out, so no validation tile shares a pixel with
    a training tile. The blocks are drawn by `seed` such that a fifth to three tenths of each
    class's tiles have their middle in validation blocks.
    """
    picture, climates = earth_map()
    tops, lefts, labels = _pure_tiles(climates)
    blocks = _block(tops + TILE // 2, lefts + TILE // 2)
    generator = np.random.default_rng(seed)
    chosen = _validation_blocks(blocks, labels, generator)
    ends = TILE - 1
    corners = [_block(tops + down, lefts + right) for down in (0, ends) for right in (0, ends)]
    inside = np.stack([np.isin(corner, chosen) for corner in corners])
    kept = []
    for label in range(len(CLIMATES)):
        for part, most in ((~inside.any(0), MOST_TRAIN), (inside.all(0), MOST_VALID)):
            kept.append(generator.permutation(np.flatnonzero((labels == label) & part))[:most])
    rows = np.sort(np.concatenate(kept))
    tops, lefts, labels, valid = tops[rows], lefts[rows], labels[rows], inside.all(0)[rows]
    images = np.stack(
        [picture[t : t + TILE, x : x + TILE] for t, x in zip(tops, lefts, strict=True)]
    )
    boxes = np.stack([lefts, tops, lefts + TILE, tops + TILE], 1)
    return Tiles(images, labels, valid, boxes, _nearest_km(boxes, valid), CLIMATES)


def validation_pixels(seed: int = SPLIT_SEED) -> np.ndarray:
    """Which pixels of the map lie in blocks whose tiles are for validation, bool [2700, 5400]."""
    climates = earth_map()[1]
    tops, lefts, labels = _pure_tiles(climates)
    blocks = _block(tops + TILE // 2, lefts + TILE // 2)
    chosen = _validation_blocks(blocks, labels, np.random.default_rng(seed))
    rows, columns = (np.arange(0, size, BLOCK) for size in climates.shape)
    return np.isin(_block(rows[:, None], columns), chosen).repeat(BLOCK, 0).repeat(BLOCK, 1)


def _block(tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
    """The number of the block that each pixel lies in."""
    return tops // BLOCK * 1000 + lefts // BLOCK


def _pure_tiles(climates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tops, lefts and labels of all tiles that are mostly one climate."""
    rows, columns, across = climates.shape[0] // CELL, climates.shape[1] // CELL, TILE // CELL
    cells = climates[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL)
    shares = []
    for climate in range(1, len(CLIMATES) + 1):
        # Pixels of this climate in each cell of 16 x 16, then in each window of 4 x 4 cells.
        pixels = (cells == climate).sum((1, 3), dtype=np.int32)
        down = sum(pixels[i : rows - across + 1 + i] for i in range(across))
        window = sum(down[:, i : columns - across + 1 + i] for i in range(across))
        shares.append(window / TILE**2)
    shares = np.stack(shares)  # [climate, row, column]
    row, column = np.nonzero(shares.max(0) >= PURE)
    return row * CELL, column * CELL, shares.argmax(0)[row, column]


def _validation_blocks(
    blocks: np.ndarray, labels: np.ndarray, generator: np.random.Generator
) -> list[int]:
    """Blocks in random order, each taken if some class needs it and none gets too many tiles."""
    count = len(CLIMATES)
    low, high = (share * np.bincount(labels, minlength=count) for share in VALID_SHARES)
    so_far, chosen = np.zeros(count), []
    for block in generator.permutation(np.unique(blocks)):
        inside = np.bincount(labels[blocks == block], minlength=count)
        if (inside[so_far < low] > 0).any() and (so_far + inside <= high).all():
            so_far += inside
            chosen.append(block)
    return chosen


def _nearest_km(boxes: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Great-circle distance of validation tiles' centres to the nearest training tile's, km."""
    longitude = np.deg2rad((boxes[:, 0] + boxes[:, 2]) / 2 / 15 - 180)
    latitude = np.deg2rad(90 - (boxes[:, 1] + boxes[:, 3]) / 2 / 15)
    flat = np.cos(latitude)
    points = np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], 1)
    cosines = (points[valid] @ points[~valid].T).max(1).clip(-1, 1)
    distances = np.zeros(len(boxes))
    distances[valid] = np.rad2deg(np.arccos(cosines)) * KM_PER_DEGREE
    return distances


def _data(name: str) -> Path:
    path = Path(__file__).resolve().parents[3] / "data" / name
    if not path.exists():
        raise FileNotFoundError(
            f"The course's data isn't at {path}: lessonkit works in a clone of the course's "
            "repository, installed with `pip install -e .`."
        )
    return path
