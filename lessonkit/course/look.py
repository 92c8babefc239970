"""Look at your pictures before you train: sizes, duplicates, and labels that a network doubts."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lessonkit.files import safe_files
from lessonkit.images import decode
from lessonkit.images.image_data import ImageData

__all__ = [
    "Sides", "counts", "exact_duplicates", "head_on", "nearest", "near_duplicates", "out_of_fold",
    "sides",
]  # fmt: skip

THUMBNAIL = 16  # px, a side: enough to tell pictures apart, too little for what a copy changes
TURNED = range(5, 9)  # EXIF orientations that swap width and height
SMALL = 1_000_000  # numbers: a matrix that one thread multiplies in a millisecond or so


class Sides(NamedTuple):
    """The width and height, px, that a picture file is shown with, and whether EXIF turns it."""

    width: int
    height: int
    turned: bool


def counts(images: ImageData) -> dict[str, tuple[int, int]]:
    """How many pictures of each class there are (for training, for validation)."""
    n_train, n_valid = (
        torch.bincount(split.labels, minlength=len(images.classes)).tolist()
        for split in (images.train, images.valid)
    )
    return dict(zip(images.classes, zip(n_train, n_valid, strict=True), strict=True))


def sides(root: str | Path, files: Iterable[str]) -> dict[str, Sides]:
    """The sides of the pictures `files` below `root`, read from their headers only.

    Left out are files that are no pictures, which `from_folder` names in `.skipped`, and files that
    have gone since.
    """
    root, found = safe_files.of_user(root), {}
    for file in files:
        try:
            with Image.open(root / file, formats=decode.FORMATS) as image:
                (width, height), tag = image.size, decode.orientation(image)
        except Exception:  # damaged files fail in many ways
            continue
        turned = tag in TURNED
        found[file] = Sides(*((height, width) if turned else (width, height)), tag in range(2, 9))
    return found


def exact_duplicates(root: str | Path, files: Iterable[str]) -> list[list[str]]:
    """Groups of files, two or more each, that are the same byte for byte.

    Files that have gone since, or can't be read, are in none.
    """
    root, by_size = safe_files.of_user(root), defaultdict(list)
    for file in files:
        with suppress(OSError):
            by_size[(root / file).stat().st_size].append(file)
    groups = defaultdict(list)
    for size, alike in by_size.items():
        for file in alike if len(alike) > 1 else ():  # most files needn't be read at all
            with suppress(OSError), (root / file).open("rb") as stream:
                groups[size, hashlib.file_digest(stream, "sha256").digest()].append(file)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def nearest(images: Tensor) -> tuple[Tensor, Tensor]:
    """The most similar other picture for each of uint8 pictures [N, 3, S, S].

    Returns its number, int64 [N], and its similarity, float32 [N], from -1 to 1: the correlation of
    their thumbnails of 16 px, 1 for the same picture. Size, compression, brightness and contrast
    hardly change it; mirrored or cropped copies aren't found. A picture of a single colour is
    similar to nothing.
    """
    side = (THUMBNAIL, THUMBNAIL)
    parts = [F.interpolate(part.float(), side, mode="area") for part in images.split(256)]
    small = torch.cat(parts).flatten(1)
    small = F.normalize(small - small.mean(1, keepdim=True))
    best, which = [], []
    for start in range(0, len(small), 1000):  # all pairs at once may not fit into memory
        part = (small[start : start + 1000] @ small.T).clamp_(max=1)  # rounding may go beyond
        part[torch.arange(len(part)), torch.arange(start, start + len(part))] = -1  # itself
        highest = part.max(1)
        best.append(highest.values)
        which.append(highest.indices)
    return torch.cat(which), torch.cat(best)


def near_duplicates(images: Tensor, at_least: float) -> list[tuple[int, int, float]]:
    """Pairs (i, j, similarity) of pictures [N, 3, S, S], the most similar first.

    Each is a picture and its `nearest` one, if their similarity is `at_least` or more.
    """
    pairs = {}
    for i, (j, similarity) in enumerate(zip(*(t.tolist() for t in nearest(images)), strict=True)):
        if similarity >= at_least:
            pairs[min(i, j), max(i, j)] = similarity
    ordered = sorted(pairs.items(), key=lambda item: (-round(item[1], 4), item[0]))
    return [(i, j, similarity) for (i, j), similarity in ordered]


def head_on(features: Tensor, labels: Tensor, n_classes: int, steps: int = 100) -> nn.Linear:
    """A linear head trained on stored activations [N, features], all of them in each step.

    It starts at zero, so that nothing is left to chance.
    """
    head = nn.Linear(features.shape[1], n_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.AdamW(head.parameters(), 3e-3)
    with torch.enable_grad(), _one_thread(features.numel() < SMALL):
        for _ in range(steps):
            loss = F.cross_entropy(head(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return head.requires_grad_(False)


@contextmanager
def _one_thread(wanted: bool) -> Iterator[None]:
    """On small matrices several threads mostly wait for each other, on a busy machine for long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if wanted else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def out_of_fold(
    features: Tensor, labels: Tensor, n_classes: int, folds: int = 5, seed: int = 0,
    groups: Sequence[int] | None = None,
) -> Tensor:  # fmt: skip
    """What a head says about pictures that it has not been trained on: probabilities [N, classes].

    The pictures, as activations [N, features], are dealt into 2 or more `folds` by `seed`; the head
    that judges one fold is trained on the others, so it can't have learned a wrong label by heart.
    Pictures with the same number in `groups`, such as duplicates, are dealt into the same fold.
    Raises ValueError where nothing would be left to train on.
    """
    keys = np.arange(len(labels)) if groups is None else np.asarray(groups)
    names, member = np.unique(keys, return_inverse=True)
    if min(folds, len(names)) < 2:
        raise ValueError(
            "The head is trained on other folds than the one it judges: give 2 or more folds, and "
            f"2 or more groups of pictures, not {folds} and {len(names)}."
        )
    fold = torch.from_numpy(np.random.default_rng(seed).permutation(len(names)) % folds)[member]
    probabilities = torch.zeros(len(labels), n_classes)
    for number in range(folds):
        inside = fold == number
        if inside.any():
            head = head_on(features[~inside], labels[~inside], n_classes)
            probabilities[inside] = head(features[inside]).softmax(1)
    return probabilities
