"""Pictures for training: folders of photos, and the data sets that come with the course.

Pictures are decoded once, to uint8 squares of one size, and kept in a file that is mapped into
memory: the second start is instant, and a set may be larger than memory.
"""

import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lessonkit import augment as augmentation
from lessonkit import decode, embedded, progress, storage
from lessonkit.augment import Augment

__all__ = ["DataError", "ImageData", "Split", "creatures", "digits", "earth", "from_folder", "pets"]

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
VALID_SHARE = 0.2
CACHE_VERSION = 1  # to be raised when decoding or the order of pictures changes


class DataError(ValueError):
    """Pictures that can't be used for training; the message says why and what to do."""


class Split(NamedTuple):
    """Pictures uint8 [N, 3, S, S] and their classes int64 [N], as numbers into `classes`."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ImageData:
    """A training and a validation set at one size, and how training may vary the pictures."""

    train: Split
    valid: Split
    classes: list[str]
    size: int
    augment: Augment
    key: str  # differs whenever the pictures do: their activations are cached under it
    reload: Callable[[int], "ImageData"] = field(repr=False)
    skipped: list[tuple[str, str]] = field(default_factory=list)  # (path, why)
    train_files: list[str] = field(default_factory=list)  # empty unless it came from a folder
    valid_files: list[str] = field(default_factory=list)

    def resized(self, size: int) -> "ImageData":
        """The same pictures and split at another size, made from the originals again."""
        return replace(self.reload(size), augment=self.augment)

    def with_augment(self, augment: Augment) -> "ImageData":
        """The same pictures with another augmentation."""
        return replace(self, augment=augment)

    def __repr__(self) -> str:
        return (
            f"ImageData: {len(self.train.labels)} training and {len(self.valid.labels)} validation "
            f"pictures of {self.size} px, {len(self.classes)} classes, augment {self.augment.name}"
        )


def from_folder(
    path: str | Path, size: int = 128, augment: Augment | None = None, seed: int = 0
) -> ImageData:
    """Pictures in folders named after their classes, cut to squares of `size` px.

    `path/train/CLASS/*` and `path/valid/CLASS/*` (or `val`, `test`); or `path/CLASS/*`, of which
    a fifth of each class, drawn by `seed`, becomes the validation set. Folders inside a class
    belong to it. Files that can't be used are left out and listed in `.skipped` with the reason.
    `augment` is `side_on()` unless given. Raises DataError when too little is left to train on.
    """
    root = Path(path)
    _check_size(size)
    pictures, skipped = find_pictures(root, seed)
    if not pictures:
        raise DataError(
            f"{root} holds no pictures in class folders: put each class's pictures into a folder "
            "named after it, such as cats/ and dogs/."
        )
    key = storage.fingerprint(CACHE_VERSION, size, [p.identity(root) for p in pictures])
    entry = storage.cached(f"images-{key}", lambda folder: _decode(folder, root, pictures, size))
    rejected = {int(row): why for row, why in json.loads((entry / "rejected.json").read_text())}
    skipped += [(pictures[row].path, why) for row, why in rejected.items()]
    pictures = [picture for row, picture in enumerate(pictures) if row not in rejected]
    classes = _check_classes(root, pictures)

    pixels = storage.read_array(entry / "images.npy").permute(0, 3, 1, 2)
    labels = torch.tensor([classes.index(picture.label) for picture in pictures])
    n = sum(not picture.is_valid for picture in pictures)
    return ImageData(
        Split(pixels[:n], labels[:n]),
        Split(pixels[n : len(pictures)], labels[n:]),
        classes,
        size,
        augment or augmentation.side_on(),
        key,
        lambda new_size: from_folder(root, new_size, augment, seed),
        sorted(skipped),
        [picture.path for picture in pictures[:n]],
        [picture.path for picture in pictures[n:]],
    )


class Picture(NamedTuple):
    """A picture file: its path below the root, its class, and which set it belongs to."""

    path: str
    label: str
    is_valid: bool

    def identity(self, root: Path) -> list:
        """What changes when the file does, without reading it."""
        try:
            about = (root / self.path).stat()
        except OSError:
            return [*self, None]
        return [*self, about.st_size, about.st_mtime_ns, os.access(root / self.path, os.R_OK)]


def find_pictures(root: Path, seed: int = 0) -> tuple[list[Picture], list[tuple[str, str]]]:
    """All picture files of a folder, training ones first, and (path, why) for what is no picture.

    Raises DataError if there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.")
    skipped: list[tuple[str, str]] = []
    valid = next((root / name for name in ("valid", "val", "test") if (root / name).is_dir()), None)
    if not (root / "train").is_dir():
        return _draw_split(_walk(root, root, False, skipped), seed), skipped
    train = _walk(root, root / "train", False, skipped)
    if valid is None:
        return _draw_split(train, seed), skipped
    return train + _walk(root, valid, True, skipped), skipped


def _walk(root: Path, base: Path, is_valid: bool, skipped: list) -> list[Picture]:
    """Picture files below `base`, whose folders are the classes; adds other files to `skipped`."""
    found = []
    unreadable = lambda error: skipped.append(  # noqa: E731
        (Path(error.filename).relative_to(root).as_posix(), "is a folder that may not be opened")
    )
    for folder, subfolders, names in os.walk(base, onerror=unreadable):
        subfolders[:] = sorted(name for name in subfolders if not _is_system(name))
        for name in sorted(name for name in names if not _is_system(name)):
            file = Path(folder, name)
            inside, path = file.relative_to(base).parts, file.relative_to(root).as_posix()
            if file.suffix.lower() not in SUFFIXES:
                skipped.append((path, "is not a picture in a format read here, by its name"))
            elif len(inside) < 2:
                skipped.append((path, "is not inside the folder of a class"))
            else:
                found.append(Picture(path, inside[0], is_valid))
    return found


def _is_system(name: str) -> bool:
    return name.startswith((".", "~")) or name.lower() in SYSTEM_FILES


def _draw_split(pictures: list[Picture], seed: int) -> list[Picture]:
    """A fifth of each class, at least one picture of two, goes to the validation set."""
    generator = np.random.default_rng(seed)
    train, valid = [], []
    for label in sorted({picture.label for picture in pictures}):
        members = [picture for picture in pictures if picture.label == label]
        n_valid = max(round(VALID_SHARE * len(members)), min(1, len(members) - 1))
        drawn = set(generator.permutation(len(members))[:n_valid].tolist())
        for i, picture in enumerate(members):
            (valid if i in drawn else train).append(picture._replace(is_valid=i in drawn))
    return train + valid


def _decode(folder: Path, root: Path, pictures: Sequence[Picture], size: int) -> None:
    """Fill a cache entry: images.npy [N, size, size, 3], good ones first, and rejected.json."""
    shape = (len(pictures), size, size, 3)
    pixels = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    with progress.bar("reading pictures", len(pictures)) as bar:
        paths = [root / picture.path for picture in pictures]
        rejected = decode.decode_all(paths, size, pixels, bar.step)
    # Close the gaps, so that each set is one slice of the file and never has to be copied.
    good = [row for row in range(len(pictures)) if row not in rejected] if rejected else []
    for to, row in enumerate(good):
        pixels[to] = pixels[row]
    pixels.flush()
    (folder / "rejected.json").write_text(json.dumps(list(rejected.items())))


def _check_size(size: int) -> None:
    if size != int(size) or not 16 <= size <= 1024:
        raise DataError(f"size is a square's side in pixels, from 16 to 1024, not {size}.")


def _check_classes(root: Path, pictures: list[Picture]) -> list[str]:
    """The classes' names, sorted; DataError or a warning where they don't suffice for training."""
    train = Counter(picture.label for picture in pictures if not picture.is_valid)
    valid = Counter(picture.label for picture in pictures if picture.is_valid)
    if len(train) < 2:
        names = ", ".join(train) or "none with a usable picture"
        raise DataError(f"Training needs two classes or more; {root} has {names}.")
    if unknown := sorted(set(valid) - set(train)):
        raise DataError(
            f"{root}: the classes {', '.join(unknown)} have validation but no training pictures."
        )
    if not valid:
        raise DataError(f"{root}: no picture is left for validation; add some to each class.")
    for label in sorted(set(train) - set(valid)):
        warnings.warn(
            f"Class {label} of {root} has {train[label]} training picture(s) and none for "
            "validation: nothing will tell how well it is recognised. Add more pictures.",
            stacklevel=3,
        )
    return sorted(train)


def creatures(size: int = 128, seed: int = 0) -> ImageData:
    """Photos of mammals and birds, cut out on white: a small folder that comes with the course."""
    return from_folder(embedded.creatures_folder(), size, seed=seed)


def earth(size: int = 64) -> ImageData:
    """Satellite tiles of eight climates, split by place: the sets share no pixel and no region."""
    _check_size(size)
    tiles = embedded.earth_tiles(size)
    return _from_arrays("earth", tiles.images, tiles.labels, tiles.valid, tiles.classes,
                        augmentation.top_down(), earth)  # fmt: skip


def digits(size: int = 28, seed: int = 0) -> ImageData:
    """5,000 handwritten digits (MNIST), a fifth of them, drawn by `seed`, for validation."""
    _check_size(size)
    grey, labels = embedded.digit_images()
    images = torch.from_numpy(grey)[:, None].expand(-1, 3, -1, -1)
    if size != images.shape[-1]:
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    valid = np.zeros(len(labels), bool)
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

    train = split(~valid)
    size = images.shape[1]
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
