"""The pictures that claims are tested on, in three parts: to train, to tune, and to judge by.

Learning rates are chosen on the tuning part. The test part chooses nothing: only networks that the
choices led to are measured on it. Every seed draws its own training pictures; of cells and trash,
which are few, its own test pictures too, so that no verdict hangs on which pictures happened to be
tested. What one seed tests with, another trains on.
"""

import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lessonkit import augment, data
from lessonkit.course.datasets import embedded
from lessonkit.data import DataError, ImageData, Split
from lessonkit.files import fingerprint

__all__ = ["BLOCK", "PHOTOS", "by_place", "cells", "digits", "place_sizes", "tiles", "trash"]

BLOCK = 225  # px of the map, 15 degrees: tiles of one block go into one part
TUNING_SHARE = 0.2
DIGITS_TUNING, DIGITS_TEST = 1000, 2000
TUNING, TEST = 400, 640  # pictures of cells and of trash
PHOTOS = "LESSONKIT_PHOTOS"  # the variable that names the folder of what isn't shipped
TRASH = ["cardboard", "glass", "metal", "paper", "plastic", "trash"]


def tiles(seed: int, n: int = 1024, size: int = 32, part: str = "test") -> ImageData:
    """`n` training tiles drawn by `seed`; `valid` is the "test" or the "tuning" part of the Earth.

    The test tiles lie in other 15-degree blocks than all others and share no pixel with them. The
    tuning tiles have their middles in other blocks than the training tiles, but may overlap them.
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


def cells(seed: int, n: int = 320, part: str = "test", size: int = 80) -> ImageData:
    """`n` solar cells to train on and 640 to test, drawn by `seed`; 400 others to tune with."""
    return _by_lot(_cells(size), seed, n, part, partial(cells, seed, n, part))


def trash(seed: int, n: int = 320, part: str = "test", size: int = 80) -> ImageData:
    """`n` photos of rubbish to train on and 640 to test, drawn by `seed`; 400 others to tune with.

    TrashNet doesn't come with the course: DataError where the folder isn't there.
    """
    return _by_lot(_trash(size), seed, n, part, partial(trash, seed, n, part))


def _by_lot(whole: ImageData, seed: int, n: int, part: str, reload: Callable) -> ImageData:
    images, labels = (torch.cat(both) for both in zip(whole.train, whole.valid, strict=True))
    tuning, rest = np.split(np.random.default_rng(2018).permutation(len(labels)), [TUNING])
    drawn = _draw(rest, n + TEST, seed)
    everything = Split(images, labels)
    valid = _rows(everything, drawn[n:] if part == "test" else tuning)
    train = _rows(everything, drawn[:n])
    return _replaced(whole, train, valid, f"{n} {seed} {part}", reload)


def trash_folder() -> Path:
    """Where TrashNet lies; DataError, in a sentence, where it doesn't."""
    photos = os.environ.get(PHOTOS, "")
    folder = Path(photos).expanduser() / "trash"
    if not photos or not all((folder / name).is_dir() for name in TRASH):
        where = f"{folder} has no folders {', '.join(TRASH)}" if photos else "none was named"
        raise DataError(
            "This claim needs the photos of TrashNet, which don't come with the course: get them "
            f"as data/README.md says and name the folder above trash/ by --photos ({where})."
        )
    return folder


# Read once a process, at each size.
_earth, _digits, _cells = cache(data.earth), cache(data.digits), cache(data.cells)


@cache
def _trash(size: int) -> ImageData:
    return data.from_folder(trash_folder(), size, clean=False)


# --- Places: neighbouring tiles are alike, so what is independent is a block of the map -----------


@cache
def _test_places() -> np.ndarray:
    """The number of each test tile's block of the map, from 0 on: int64 [n_test]."""
    earth = embedded.earth_tiles()
    return np.unique(_blocks(earth.boxes[earth.valid]), return_inverse=True)[1]


def place_sizes() -> list[int]:
    """How many test tiles each place has."""
    return np.bincount(_test_places()).tolist()


def by_place(right: Tensor) -> list[float]:
    """The fraction of right answers in each place, from which tiles were `right`, bool [N]."""
    places = _test_places()
    return (np.bincount(places, right.numpy()) / np.bincount(places)).tolist()


def _blocks(boxes: np.ndarray) -> np.ndarray:
    middles = (boxes[:, :2] + embedded.TILE // 2) // BLOCK
    return middles[:, 1] * 1000 + middles[:, 0]


@cache
def _tuning_tiles() -> np.ndarray:
    """Which training tiles are for tuning, bool [n_train]: those of a fifth of their blocks."""
    earth = embedded.earth_tiles()
    blocks = _blocks(earth.boxes[~earth.valid])
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
    key = fingerprint.fingerprint(images.key, about)
    return ImageData(train, valid, images.classes, images.size, augment.none(), key, reload)
