"""Pictures for training, as a network wants them: squares of one size, in two sets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from torch import Tensor

from lessonkit.augment import Augment
from lessonkit.files.fingerprint import fingerprint

__all__ = [
    "DataError", "ImageData", "Split", "check_augment", "check_images", "check_seed", "check_size",
]  # fmt: skip


class DataError(ValueError):
    """Pictures that can't be used for training; the message says why and what to do."""


class Split(NamedTuple):
    """Pictures uint8 [N, 3, S, S] and their classes int64 [N], as numbers into `classes`."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ImageData:
    """A training and a validation set at one size, and how training may vary the pictures.

    `test`, where there is one, is for the result alone: what stops training or picks the best
    network has looked at `valid`, so its accuracy there is a little too good.
    """

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
    test: Split | None = None  # pictures that choose nothing: looked at once, for the result
    test_files: list[str] = field(default_factory=list)
    copies: list[list[str]] = field(default_factory=list)  # groups of files with the same pixels

    def resized(self, size: int) -> "ImageData":
        """The same pictures and split at another size, made from the originals again.

        DataError where the folder has changed, so that one of them would be in another set.
        """
        other, before = self.reload(size), self._sets()
        moved = [file for file, name in other._sets().items() if before.get(file, name) != name]
        if moved:
            raise DataError(
                f"At {size} px {moved[0]} would be in another set: since these were read pictures "
                "have come or gone, or some can't be used at each size. Read the folder again, "
                "with data.from_folder, before you train."
            )
        return replace(other, augment=self.augment)

    def _unchanged(self, other: "ImageData") -> "ImageData":
        """`other`, read later; DataError unless each row of its training set is the same file."""
        if other.train_files != self.train_files:
            raise DataError(
                "Training pictures have come or gone since these were chosen by their numbers, "
                "which would mean others now. Read the folder again, and choose anew."
            )
        return other

    def _sets(self) -> dict[str, str]:
        """The name of each file's set, if they came from files."""
        files = {"train": self.train_files, "valid": self.valid_files, "test": self.test_files}
        return {file: name for name, named in files.items() for file in named}

    def with_augment(self, augment: Augment) -> "ImageData":
        """The same pictures with another augmentation; DataError for what is none."""
        check_augment(augment)
        return replace(self, augment=augment)

    def with_training(self, rows: slice | Sequence[int]) -> "ImageData":
        """Only these rows of the training set, such as slice(None, None, 2); DataError for none."""
        n = len(self.train.labels)
        try:
            if not isinstance(rows, slice):  # numpy takes a tuple for axes, and nothing for floats
                rows = np.array(rows, dtype=None if len(rows) else int).reshape(len(rows))
            numbers = np.arange(n)[rows]
        except (IndexError, TypeError, ValueError):
            raise DataError(
                f"rows are numbers of pictures, from 0 to {n - 1}, or {n} times True or False, "
                f"not {rows!r:.60}."
            ) from None
        if not len(numbers):
            raise DataError("No training picture is left: give the number of one row at least.")
        return replace(
            self,
            train=Split(self.train.images[numbers], self.train.labels[numbers]),
            key=fingerprint(self.key, numbers.tolist()),
            reload=lambda new_size: self._unchanged(self.reload(new_size)).with_training(rows),
            train_files=[self.train_files[i] for i in numbers if self.train_files],
        )

    def remarks(self) -> list[str]:
        """What to know before training, in sentences: too few pictures to judge by, and copies."""
        from lessonkit.images import remarks  # training itself needs none

        return remarks.about(self)

    def with_hold_out(self, share: float, seed: int = 0) -> "ImageData":
        """A fraction of each class's training pictures, drawn by `seed`, becomes the test set.

        At least one of each class. DataError unless `share` is above 0 and at most 0.5, for a bad
        seed, for a class with fewer than two training pictures, and where there is a test set.
        """
        check_seed(seed)
        if self.test is not None:
            raise DataError("There is a test set already: it would be lost.")
        if not (isinstance(share, Real) and 0 < share <= 0.5):
            raise DataError(f"hold_out is a share of the training pictures, 0 to 0.5, not {share}.")
        generator, labels = np.random.default_rng(seed), self.train.labels.numpy()
        held = []
        for name, label in zip(self.classes, range(len(self.classes)), strict=True):
            rows = generator.permutation(np.flatnonzero(labels == label))
            if len(rows) < 2:
                raise DataError(f"{name} has {len(rows)} training pictures: none can be held out.")
            held += rows[: max(1, round(share * len(rows)))].tolist()
        held, kept = sorted(held), sorted(set(range(len(labels))) - set(held))
        return replace(
            self.with_training(kept),
            test=Split(self.train.images[held], self.train.labels[held]),
            test_files=[self.train_files[i] for i in held if self.train_files],
            reload=lambda new_size: self.reload(new_size).with_hold_out(share, seed),
        )

    def __repr__(self) -> str:
        from lessonkit.images.remarks import too_few

        first = (
            f"ImageData: {len(self.train.labels)} training and {len(self.valid.labels)} validation "
            f"pictures of {self.size} px, {len(self.classes)} classes, augment {self.augment.name}"
        )
        left_out = f", left out: {len(self.skipped)}" if self.skipped else ""
        return "\n".join([first + left_out, *filter(None, [self.cleaned]), *too_few(self)])


def check_size(size: int) -> int:
    """`size`, in pixels; DataError unless networks and memory can do with it."""
    if size not in range(16, 1025):
        raise DataError(f"size is a square's side in pixels, from 16 to 1024, not {size}.")
    return int(size)  # it may be a number of numpy's, which JSON can't write


def check_seed(seed: int) -> None:
    """DataError unless a split can be drawn by `seed`."""
    if not (isinstance(seed, Integral) and 0 <= seed < 2**63):
        raise DataError(f"seed is a whole number from 0 to 2**63 - 1, not {seed}.")


def check_images(images: "ImageData") -> None:
    """DataError unless these are pictures to train on."""
    if not isinstance(images, ImageData):
        raise DataError(f"Give pictures as data.from_folder reads them, not {images!r:.40}.")
    if not len(images.valid.labels):
        raise DataError("There are no pictures for validation: nothing would tell what it learns.")


def check_augment(augment: Augment) -> None:
    """DataError unless pictures can be varied by it."""
    if not (callable(augment) and hasattr(augment, "name")):
        raise DataError(f"augment is one of lessonkit.augment, as augment.none(), not {augment!r}.")
