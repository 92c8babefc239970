"""The pictures of the course: four data sets that come with it, one to download, and your own.

`size` is a square's side in pixels, 16 to 1024, and `seed` a whole number from 0 on, by which the
validation set is drawn: DataError otherwise.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from lessonkit import augment as augmentation
from lessonkit.augment import Augment
from lessonkit.course.datasets import cells as solar
from lessonkit.course.datasets import embedded
from lessonkit.course.datasets.pets import pets_folder
from lessonkit.files.fingerprint import fingerprint
from lessonkit.images.folder import VALID_SHARE, from_folder
from lessonkit.images.image_data import DataError, ImageData, Split, check_seed, check_size

__all__ = [
    "DataError", "ImageData", "Split",
    "cells", "creatures", "digits", "earth", "from_folder", "pets",
]  # fmt: skip


def creatures(size: int = 128, seed: int = 0) -> ImageData:
    """Photos of mammals and birds, cut out on white: a small folder that comes with the course."""
    return from_folder(embedded.creatures_folder(), size, seed=seed)


def earth(size: int = 64) -> ImageData:
    """Satellite tiles of eight climates, split by place: the sets share no pixel and no region.

    A tile is 64 px of the map, about 470 km; other sizes show the same tiles enlarged or reduced.
    """
    tiles = embedded.earth_tiles()
    return _from_arrays(
        "earth", tiles.images, tiles.labels, tiles.valid, tiles.classes, size,
        augmentation.top_down(), earth,
    )  # fmt: skip


def digits(size: int = 28, seed: int = 0) -> ImageData:
    """5,000 handwritten digits (MNIST), a fifth of them, drawn by `seed`, for validation."""
    check_seed(seed)
    grey, labels = embedded.digit_images()
    valid = np.zeros(len(labels), bool)
    order = np.random.default_rng(seed).permutation(len(labels))
    valid[order[: round(VALID_SHARE * len(labels))]] = True
    return _from_arrays(
        "digits", np.stack([grey] * 3, -1), labels, valid, [str(i) for i in range(10)], size,
        augmentation.symbols(), lambda new_size: digits(new_size, seed),
    )  # fmt: skip


def cells(size: int = 128, seed: int = 0) -> ImageData:
    """2,624 solar cells, sound or defective, a quarter of them, drawn by `seed`, for validation.

    Experts gave each cell a probability of a defect; here it is defective above 1/2. The split is
    75:25 within each class and kind of module. Deitsch et al. 2018, arXiv 1807.02894. Raises
    DataError where the package elpv-dataset, which holds them, is missing or of another edition.
    """
    check_seed(seed)
    known = solar.cell_labels()
    labels, valid = solar.split(known, seed)
    grey = solar.cell_images(known.files, check_size(size)).numpy()
    return _from_arrays(
        "cells", np.stack([grey] * 3, -1), labels, valid, ["functional", "defective"], size,
        # The busbars run sideways, so no quarter turns; no lighting, as defects are what is dark.
        Augment("mirrored", mirror=True, half_turns=True), lambda new_size: cells(new_size, seed),
    )  # fmt: skip


def _from_arrays(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    valid: np.ndarray,
    classes: Sequence[str],
    size: int,
    augment: Augment,
    reload: Callable[[int], ImageData],
) -> ImageData:
    """`images` uint8 [N, S, S, 3], `labels` [N], `valid` bool [N]: true for the validation set."""
    size = check_size(size)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    if size != pixels.shape[-1]:
        pixels = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    pixels = pixels.contiguous(memory_format=torch.channels_last)

    def split(rows: np.ndarray) -> Split:
        return Split(pixels[rows], torch.from_numpy(labels[rows]))

    key = fingerprint(name, size, pixels, torch.from_numpy(valid))
    return ImageData(split(~valid), split(valid), list(classes), size, augment, key, reload)


def pets(size: int = 128, seed: int = 0) -> ImageData:
    """Oxford-IIIT Pets, 37 breeds of cats and dogs: 800 MB, downloaded once.

    Raises DataError where there is no connection.
    """
    return from_folder(pets_folder(), size, seed=seed)
