"""Pictures for training, as a network wants them: squares of one size, in two sets.

Pictures are decoded once, to uint8 squares of one size, and kept in a file that is mapped into
memory: the second start is instant, and a set may be larger than memory.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lessonkit import augment as augmentation
from lessonkit import cleaning, decode, progress, storage
from lessonkit.augment import Augment
from lessonkit.folder import DataError, check_classes, find_pictures

__all__ = ["ImageData", "Split", "check_size", "from_folder", "read_pictures"]

CACHE_VERSION = 2  # to be raised when decoding or the order of pictures changes


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
    cleaned: str = ""  # what a cleaning file beside the folder changed, in one line

    def resized(self, size: int) -> "ImageData":
        """The same pictures and split at another size, made from the originals again."""
        return replace(self.reload(size), augment=self.augment)

    def with_augment(self, augment: Augment) -> "ImageData":
        """The same pictures with another augmentation."""
        return replace(self, augment=augment)

    def with_training(self, rows: slice | Sequence[int]) -> "ImageData":
        """Only these rows of the training set, such as slice(None, None, 2); all for validation."""
        numbers = np.arange(len(self.train.labels))[rows]
        return replace(
            self,
            train=Split(self.train.images[numbers], self.train.labels[numbers]),
            key=storage.fingerprint(self.key, numbers.tolist()),
            reload=lambda new_size: self.reload(new_size).with_training(rows),
            train_files=[self.train_files[i] for i in numbers if self.train_files],
        )

    def __repr__(self) -> str:
        first = (
            f"ImageData: {len(self.train.labels)} training and {len(self.valid.labels)} validation "
            f"pictures of {self.size} px, {len(self.classes)} classes, augment {self.augment.name}"
        )
        return f"{first}\n{self.cleaned}" if self.cleaned else first


def from_folder(
    path: str | Path,
    size: int = 128,
    augment: Augment | None = None,
    seed: int = 0,
    clean: bool = True,
) -> ImageData:
    """Pictures in folders named after their classes, cut to squares of `size` px.

    `path/train/CLASS/*` and `path/valid/CLASS/*` (or `val`, `test`); or `path/CLASS/*`, of which
    a fifth of each class, drawn by `seed`, becomes the validation set. Folders inside a class
    belong to it. Files that can't be used are left out and listed in `.skipped` with the reason.
    `augment` is `side_on()` unless given. What was decided about single pictures, in a cleaning
    file beside the folder (see `lessonkit.cleaning`), holds unless `clean` is false; each picture
    stays in its set. Raises DataError when too little is left to train on.
    """
    root = Path(path)
    size = check_size(size)
    pictures, skipped = find_pictures(root, seed)
    decisions = cleaning.read(root) if clean else cleaning.Cleaning()
    name = cleaning.file_beside(root).name
    pictures, dropped, line = cleaning.apply(pictures, decisions, name)
    skipped += dropped
    key = storage.fingerprint(CACHE_VERSION, size, [p.identity(root) for p in pictures])
    paths = [root / picture.path for picture in pictures]
    entry = storage.cached(f"images-{key}", lambda folder: _decode(folder, paths, size))
    rejected = {int(row): why for row, why in json.loads((entry / "rejected.json").read_text())}
    skipped += [(pictures[row].path, why) for row, why in rejected.items()]
    pictures = [picture for row, picture in enumerate(pictures) if row not in rejected]
    classes = check_classes(root, pictures, skipped)

    pixels = storage.read_array(entry / "images.npy").permute(0, 3, 1, 2)
    labels = torch.tensor([classes.index(picture.label) for picture in pictures])
    files = [picture.path for picture in pictures]
    n, end = sum(not picture.is_valid for picture in pictures), len(pictures)
    return ImageData(
        Split(pixels[:n], labels[:n]),
        Split(pixels[n:end], labels[n:]),
        classes,
        size,
        augment or augmentation.side_on(),
        key,
        lambda new_size: from_folder(root, new_size, augment, seed, clean),
        sorted(skipped),
        files[:n],
        files[n:],
        line,
    )


def _decode(folder: Path, paths: Sequence[Path], size: int) -> None:
    """Fill a cache entry: images.npy [N, size, size, 3], good ones first, and rejected.json."""
    pixels = storage.new_array(folder / "images.npy", np.uint8, (len(paths), size, size, 3))
    with progress.bar("reading pictures", len(paths), cached=True) as bar:
        rejected = decode.decode_all(paths, size, pixels, bar.step)
    # Close the gaps, so that each set is one slice of the file and never has to be copied.
    good = [row for row in range(len(paths)) if row not in rejected] if rejected else []
    for to, row in enumerate(good):
        pixels[to] = pixels[row]
    pixels.flush()
    (folder / "rejected.json").write_text(json.dumps(list(rejected.items())))


def check_size(size: int) -> int:
    """`size`, in pixels; DataError unless networks and memory can do with it."""
    if size not in range(16, 1025):
        raise DataError(f"size is a square's side in pixels, from 16 to 1024, not {size}.")
    return int(size)  # it may be a number of numpy's, which JSON can't write


def read_pictures(paths: Sequence[str | Path], size: int) -> Tensor:
    """Picture files as uint8 [N, 3, size, size]; DataError for one that gives no picture."""
    if isinstance(paths, str | Path):  # else each letter would be taken for a path
        paths = [paths]
    squares = np.empty((len(paths), size, size, 3), np.uint8)
    for square, path in zip(squares, paths, strict=True):
        try:
            square[:] = decode.decode(Path(path), size)
        except decode.Unusable as error:
            raise DataError(f"{path} {error}.") from None
    return torch.from_numpy(squares).permute(0, 3, 1, 2)
