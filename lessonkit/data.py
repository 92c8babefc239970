"""The pictures of the course: four data sets that come with it or by download, and your own."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from lessonkit import augment as augmentation
from lessonkit import embedded, storage
from lessonkit.augment import Augment
from lessonkit.folder import VALID_SHARE, DataError
from lessonkit.pictures import ImageData, Split, check_size, from_folder, read_pictures

__all__ = [
    "DataError",
    "ImageData",
    "Split",
    "creatures",
    "digits",
    "earth",
    "from_folder",
    "pets",
    "read_pictures",
]


def creatures(size: int = 128, seed: int = 0) -> ImageData:
    """Photos of mammals and birds, cut out on white: a small folder that comes with the course."""
    return from_folder(embedded.creatures_folder(), size, seed=seed)


def earth(size: int = 64) -> ImageData:
    """Satellite tiles of eight climates, split by place: the sets share no pixel and no region."""
    check_size(size)
    tiles = embedded.earth_tiles(size)
    return _from_arrays("earth", tiles.images, tiles.labels, tiles.valid, tiles.classes,
                        augmentation.top_down(), earth)  # fmt: skip


def digits(size: int = 28, seed: int = 0) -> ImageData:
    """5,000 handwritten digits (MNIST), a fifth of them, drawn by `seed`, for validation."""
    check_size(size)
    grey, labels = embedded.digit_images()
    images = torch.from_numpy(grey)[:, None].expand(-1, 3, -1, -1)
    if size != images.shape[-1]:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    valid = np.zeros(len(labels), bool)
    order = np.random.default_rng(seed).permutation(len(labels))
    valid[order[: round(VALID_SHARE * len(labels))]] = True
    return _from_arrays("digits", images.permute(0, 2, 3, 1).numpy(), labels, valid,
                        [str(i) for i in range(10)], augmentation.symbols(),
                        lambda new_size: digits(new_size, seed))  # fmt: skip


def _from_arrays(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    valid: np.ndarray,
    classes: Sequence[str],
    augment: Augment,
    reload: Callable[[int], ImageData],
) -> ImageData:
    """`images` uint8 [N, S, S, 3], `labels` [N], `valid` bool [N]: true for the validation set."""

    def split(rows: np.ndarray) -> Split:
        pixels = torch.from_numpy(np.ascontiguousarray(images[rows])).permute(0, 3, 1, 2)
        return Split(pixels, torch.from_numpy(labels[rows]))

    train, size = split(~valid), images.shape[1]
    key = storage.fingerprint(name, size, train.images, torch.from_numpy(valid))
    return ImageData(train, split(valid), list(classes), size, augment, key, reload)


def pets(size: int = 128, seed: int = 0) -> ImageData:
    """Oxford-IIIT Pets, 37 breeds of cats and dogs: 800 MB, downloaded once, by torchvision.

    Raises DataError where there is no connection.
    """
    from torchvision.datasets import OxfordIIITPet

    def download(folder: Path) -> None:
        try:
            photos = OxfordIIITPet(folder / "download", download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"The pets can't be downloaded now ({error}): use data.creatures() instead."
            ) from error
        for path, label in zip(photos._images, photos._labels, strict=True):
            target = folder / photos.classes[label] / path.name
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
        shutil.rmtree(folder / "download")

    return from_folder(storage.cached("pets", download), size, seed=seed)
