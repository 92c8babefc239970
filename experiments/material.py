"""The pictures that claims are tested on, in three parts: to train, to tune, and to judge by.

Learning rates are chosen on the tuning part. The test part is seen once, by the networks that the
choices led to. Every seed draws its own training pictures.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from lessonkit import augment, data
from lessonkit.course.datasets import embedded
from lessonkit.data import ImageData, Split
from lessonkit.files import safe_files

__all__ = ["BLOCK", "digits", "tiles"]

BLOCK = 225  # px of the map, 15 degrees: tiles of one block go into one part
TUNING_SHARE = 0.2
DIGITS_TUNING, DIGITS_TEST = 1000, 2000


def tiles(seed: int, n: int = 1024, size: int = 32, part: str = "test") -> ImageData:
    """`n` training tiles drawn by `seed`; `valid` is the "test" or the "tuning" part of the Earth.

    The test tiles lie in other 15-degree blocks than all others and share no pixel with them. The
    tuning tiles lie in other blocks than the training tiles, but may touch them.
    """
    earth, tuning = _earth(size), _tuning_tiles()
    valid = earth.valid if part == "test" else _rows(earth.train, np.flatnonzero(tuning))
    train = _rows(earth.train, _draw(np.flatnonzero(~tuning), n, seed))
    return _replaced(earth, train, valid, f"{n} {seed} {part}", partial(tiles, seed, n, part=part))


def digits(seed: int, n: int = 500, part: str = "test", size: int = 28) -> ImageData:
    """`n` digits to train on, drawn by `seed`; 1,000 others to tune with and 2,000 to test."""
    whole = _digits(size)
    images, labels = (torch.cat(both) for both in zip(whole.train, whole.valid, strict=True))
    order = np.random.default_rng(2018).permutation(len(labels))
    tuning, test, rest = np.split(order, [DIGITS_TUNING, DIGITS_TUNING + DIGITS_TEST])
    everything = Split(images, labels)
    valid = _rows(everything, test if part == "test" else tuning)
    train = _rows(everything, _draw(rest, n, seed))
    return _replaced(whole, train, valid, f"{n} {seed} {part}", partial(digits, seed, n, part))


_earth, _digits = cache(data.earth), cache(data.digits)  # read once a process


@cache
def _tuning_tiles() -> np.ndarray:
    """Which training tiles are for tuning, bool [n_train]: those of a fifth of their blocks."""
    earth = embedded.earth_tiles()
    boxes = earth.boxes[~earth.valid]
    rows, columns = (boxes[:, 1] + 32) // BLOCK, (boxes[:, 0] + 32) // BLOCK
    blocks = rows * 1000 + columns
    names = np.random.default_rng(2018).permutation(np.unique(blocks))
    return np.isin(blocks, names[: round(TUNING_SHARE * len(names))])


def _draw(rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    if n > len(rows):
        raise ValueError(f"There are {len(rows)} pictures to train on, not {n}.")
    return np.random.default_rng(seed).permutation(rows)[:n]


def _rows(split: Split, rows: np.ndarray) -> Split:
    images: Tensor = split.images[torch.from_numpy(rows)]
    return Split(images, split.labels[torch.from_numpy(rows)])


def _replaced(
    images: ImageData, train: Split, valid: Split, about: str, reload: Callable[[int], ImageData]
) -> ImageData:
    """`images` with other pictures and no augmentation; `about` tells them from all others."""
    key = safe_files.fingerprint(images.key, about)
    return ImageData(train, valid, images.classes, images.size, augment.none(), key, reload)
