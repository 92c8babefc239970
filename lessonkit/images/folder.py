"""A folder of picture files becomes pictures for training: which there are, and their two sets.

Pictures are decoded once, to uint8 squares of one size, and kept in a file that is mapped into
memory: the second start is instant, and a set may be larger than memory.
"""

import json
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import numpy as np
import torch

from lessonkit import augment as augmentation
from lessonkit.augment import Augment
from lessonkit.files import cache, safe_files
from lessonkit.images import cleaning, decode
from lessonkit.images.cleaning import Picture
from lessonkit.images.image_data import DataError, ImageData, Split, check_size
from lessonkit.machine import progress

__all__ = ["check_classes", "find_pictures", "from_folder"]

CACHE_VERSION = 2  # to be raised when decoding or the order of pictures changes
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
VALID_NAMES = ("valid", "val", "test")
SET_NAMES = {"train", "training", "valid", "validation", "val", "test", "testing"}
VALID_SHARE = 0.2


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
    file beside the folder (see `lessonkit.images.cleaning`), holds unless `clean` is false; each
    picture stays in its set. Raises DataError when too little is left to train on.
    """
    root = Path(path)
    size = check_size(size)
    pictures, skipped = find_pictures(root, seed)
    decisions = cleaning.read(root) if clean else cleaning.Cleaning()
    name = cleaning.file_beside(root).name
    pictures, dropped, line = cleaning.apply(pictures, decisions, name)
    skipped += dropped
    key = safe_files.fingerprint(CACHE_VERSION, size, [p.identity(root) for p in pictures])
    paths = [root / picture.path for picture in pictures]
    entry = cache.cached(f"images-{key}", lambda folder: _decode(folder, paths, size))
    rejected = {int(row): why for row, why in json.loads((entry / "rejected.json").read_text())}
    skipped += [(pictures[row].path, why) for row, why in rejected.items()]
    pictures = [picture for row, picture in enumerate(pictures) if row not in rejected]
    classes = check_classes(root, pictures, skipped)

    pixels = cache.read_array(entry / "images.npy").permute(0, 3, 1, 2)
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
    pixels = cache.new_array(folder / "images.npy", np.uint8, (len(paths), size, size, 3))
    with progress.bar("reading pictures", len(paths), cached=True) as bar:
        rejected = decode.decode_all(paths, size, pixels, bar.step)
    # Close the gaps, so that each set is one slice of the file and never has to be copied.
    good = [row for row in range(len(paths)) if row not in rejected] if rejected else []
    for to, row in enumerate(good):
        pixels[to] = pixels[row]
    pixels.flush()
    (folder / "rejected.json").write_text(json.dumps(list(rejected.items())))


def find_pictures(root: Path, seed: int = 0) -> tuple[list[Picture], list[tuple[str, str]]]:
    """All picture files of a folder, training ones first, and (path, why) for what is no picture.

    Either root/train/CLASS/* and root/valid/CLASS/* (or val, test), or root/CLASS/*, of which
    `seed` draws a fifth of each class for validation. Raises DataError without pictures.
    """
    if not os.path.isdir(root):  # which takes names that no folder can have, too
        raise DataError(f"There is no folder {root}.")
    if not (isinstance(seed, Integral) and 0 <= seed < 2**63):
        raise DataError(f"seed is a whole number from 0 to 2**63 - 1, not {seed}.")
    skipped: list[tuple[str, str]] = []
    valid = next((root / name for name in VALID_NAMES if (root / name).is_dir()), None)
    if not (root / "train").is_dir():
        pictures = _draw_split(_walk(root, root, False, skipped), seed)
        _check_no_sets_among_classes(root, pictures)
    else:
        skipped += _beside_train(root, ["train", *([valid.name] if valid else [])])
        pictures = _walk(root, root / "train", False, skipped)
        if valid is None:
            pictures = _draw_split(pictures, seed)
        else:
            pictures += _walk(root, valid, True, skipped)
    if not pictures:
        raise DataError(
            f"{root} holds no pictures in class folders: put each class's pictures into a folder "
            "named after it, such as cats/ and dogs/."
        )
    return pictures, skipped


def _walk(root: Path, base: Path, is_valid: bool, skipped: list) -> list[Picture]:
    """Picture files below `base`, whose folders are the classes; adds other files to `skipped`."""
    found, waiting = [], [base]
    while waiting:  # os.walk would call itself for each level, and Python allows 1,000 calls
        folder = waiting.pop()
        try:
            entries = [e for e in os.scandir(folder) if not _is_system(e.name)]
        except OSError:
            why = "is a folder that may not be opened"
            skipped.append((folder.relative_to(root).as_posix(), why))
            continue
        subfolders = []
        for entry in sorted(entries, key=lambda entry: entry.name):
            file = folder / entry.name
            inside, path = file.relative_to(base).parts, file.relative_to(root).as_posix()
            if entry.is_dir(follow_symlinks=False):
                subfolders.append(file)
            elif os.path.isdir(file):  # it might lead back here, and round and round
                skipped.append((path, "is a link to a folder: links are not followed"))
            elif file.suffix.lower() not in SUFFIXES:
                skipped.append((path, "is not a picture in a format read here, by its name"))
            elif len(inside) < 2:
                skipped.append((path, "is not inside the folder of a class"))
            else:
                found.append(Picture(path, inside[0], is_valid))
        waiting += reversed(subfolders)
    return found


def _beside_train(root: Path, used: list[str]) -> list[tuple[str, str]]:
    names = {path.name for path in root.iterdir() if not _is_system(path.name)}
    why = f"is not used: where there is a folder train, pictures come from {' and '.join(used)}"
    return [(name, why) for name in sorted(names.difference(used))]


def _is_system(name: str) -> bool:
    return name.startswith((".", "~")) or name.lower() in SYSTEM_FILES


def _check_no_sets_among_classes(root: Path, pictures: list[Picture]) -> None:
    labels = {picture.label for picture in pictures}
    if labels and {label.lower() for label in labels} <= SET_NAMES:
        raise DataError(
            f"{root} has the folders {', '.join(sorted(labels))}, which would be taken for "
            "classes: rename them to train and valid."
        )


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


def check_classes(root: Path, pictures: list[Picture], skipped: list[tuple[str, str]]) -> list[str]:
    """The classes' names, sorted; DataError or a warning where they don't suffice for training."""
    train = Counter(picture.label for picture in pictures if not picture.is_valid)
    valid = Counter(picture.label for picture in pictures if picture.is_valid)
    problem = ""
    if len(train) < 2:
        names = f"only {next(iter(train))}" if train else "none with a usable training picture"
        problem = f"Training needs two classes or more; {root} has {names}."
    elif unknown := sorted(set(valid) - set(train)):
        problem = f"{root}: {', '.join(unknown)} has pictures for validation, none for training."
    elif not valid:
        problem = f"{root}: no picture is left for validation; add some to each class."
    if problem:
        named = "; ".join(f"{path} {why}" for path, why in skipped[:5])
        raise DataError(f"{problem} Left out: {named}." if named else problem)
    for label in sorted(set(train) - set(valid)):
        warnings.warn(
            f"Class {label} of {root} has {train[label]} training picture(s) and none for "
            "validation: nothing will tell how well it is recognised. Add more pictures.",
            stacklevel=3,
        )
    return sorted(train)
