"""A folder of picture files becomes pictures for training: which there are, and their sets.

Which set and class a picture belongs to is read off the names of the folders it lies in:
`train/CLASS/*` and `valid/CLASS/*` (or `val`, `Validation`…); or `CLASS/train/*` and
`CLASS/valid/*`; or `CLASS/*`. A `test` beside is the test set. Folders inside a class belong to it,
and all of this may lie in one folder more.
"""

import os
import re
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lessonkit import augment as augmentation
from lessonkit.augment import Augment
from lessonkit.files import safe_files
from lessonkit.files.fingerprint import fingerprint
from lessonkit.images import cleaning, decode, store
from lessonkit.images.cleaning import PARTS, TEST, TRAIN, VALID, Picture
from lessonkit.images.image_data import (
    DataError,
    ImageData,
    Split,
    check_augment,
    check_seed,
    check_size,
)

__all__ = ["check_classes", "find_pictures", "from_folder", "is_systems"]

SYSTEM_FILES = {
    "thumbs.db", "desktop.ini", "__macosx", "@eadir", "@tmp", "@recycle", "#recycle", "#snapshot",
    "$recycle.bin", "recycler", "__pycache__", "system volume information", "lost+found",
    ".ipynb_checkpoints",
}  # fmt: skip
# Names of folders, also in capitals or with "_set" behind, and which set is in them; of several
# the first counts.
SETS = {
    "train": TRAIN, "training": TRAIN, "valid": VALID, "val": VALID, "validation": VALID,
    "test": TEST, "testing": TEST,
}  # fmt: skip
FLAT = "has no class folders: what is in it is left alone"
VALID_SHARE = 0.2
SHOWN = 5  # files in a sentence


def from_folder(
    path: str | Path,
    size: int = 128,
    augment: Augment | None = None,
    seed: int = 0,
    clean: bool = True,
) -> ImageData:
    """Pictures in folders named after their classes, cut to squares of `size` px.

    `path` holds `train/CLASS/*` and `valid/CLASS/*`, or `CLASS/*`; more is in this module's
    docstring. Without a valid, a fifth of each class, drawn by `seed`, becomes the validation set.
    `.skipped` lists files that can't be used. `augment` is `side_on()` unless given. What was
    decided about single pictures (see `images.cleaning`) holds unless `clean` is false. Raises
    DataError for a missing folder, a size outside 16 to 1024, a bad seed or augmentation, and where
    too little is left to train on.
    """
    if not isinstance(path, str | os.PathLike):
        raise DataError(f"path is the name of a folder, such as 'photos', not {path!r:.40}.")
    if path == "":  # which Python takes for the current folder
        raise DataError('Which folder? The path is empty; the current folder is ".".')
    root = safe_files.of_user(path)
    size = check_size(size)
    augment = augmentation.side_on() if augment is None else augment
    check_augment(augment)
    found = _find(root, seed)
    decoded, pictures, skipped, line = _read(root, size, found, seed, clean)
    classes = check_classes(root, pictures, skipped)
    _warn_of_folders(root, found.folders, classes, skipped)
    number = {label: number for number, label in enumerate(classes)}
    labels = [number[picture.label] for picture in pictures]
    splits = _splits(pictures, decoded.pixels.permute(0, 3, 1, 2), labels)
    files = {part: [p.path for p in pictures if p.part == part] for part in PARTS}
    digests = [decoded.digests[picture.path] for picture in pictures]
    place = root.absolute()  # a notebook may go to another folder later
    return ImageData(
        train=splits[TRAIN],
        valid=splits[VALID],
        test=splits.get(TEST),
        classes=classes,
        size=size,
        augment=augment,
        key=fingerprint(size, digests, labels, [len(files[part]) for part in PARTS]),
        reload=lambda new_size: from_folder(place, new_size, augment, seed, clean),
        skipped=skipped,
        train_files=files[TRAIN],
        valid_files=files[VALID],
        test_files=files[TEST],
        cleaned=line,
        copies=_copies(pictures, digests),
    )


def _read(
    root: Path, size: int, found: "_Found", seed: int, clean: bool
) -> tuple[store.Decoded, list[Picture], list[tuple[str, str]], str]:
    """All pictures decoded, those that remain, (path, why) for others, and what cleaning did."""
    decisions = cleaning.read(root) if clean else cleaning.Cleaning()
    name = cleaning.file_beside(root).name

    def cleaned(failed: Container[str]) -> tuple[list[Picture], list[tuple[str, str]], str]:
        pictures, dropped, line = cleaning.apply(_draw(found, seed, failed), decisions, name)
        return [p for p in pictures if p.path not in failed], dropped, line

    def in_order(failed: Container[str]) -> list[str]:
        pictures, dropped, _ = cleaned(failed)
        # The dropped ones come last: to take one back costs no decoding.
        return [p.path for p in pictures] + [path for path, _ in dropped if path not in failed]

    decoded = store.read(root, size, [p.path for p in found.pictures], in_order)
    pictures, dropped, line = cleaned(decoded.failed)
    skipped = sorted([*found.skipped, *(decoded.failed | dict(dropped)).items()])
    return decoded, pictures, skipped, line


def _copies(pictures: list[Picture], digests: list[str]) -> list[list[str]]:
    """Groups of files that hold the same pixels."""
    same = defaultdict(list)
    for picture, digest in zip(pictures, digests, strict=True):
        same[digest].append(picture.path)
    return [paths for paths in same.values() if len(paths) > 1]


def _splits(pictures: list[Picture], pixels: Tensor, labels: list[int]) -> dict[str, Split]:
    """The sets that have pictures, each a slice of the mapped file, so that none is copied."""
    rows = {part: [i for i, p in enumerate(pictures) if p.part == part] for part in PARTS}
    return {
        part: Split(pixels[i[0] : i[-1] + 1], torch.tensor(labels[i[0] : i[-1] + 1]))
        for part, i in rows.items()
        if i
    }


def find_pictures(root: Path, seed: int = 0) -> tuple[list[Picture], list[tuple[str, str]]]:
    """All picture files of a folder, training ones first, and (path, why) for what is no picture.

    They lie as `from_folder` says; `seed` draws the validation set where no folder holds it.
    Raises DataError without pictures.
    """
    found = _find(root, seed)
    return _draw(found, seed), found.skipped


class _Found(NamedTuple):
    """What lies in a folder: pictures, class -> its folders for training, and (path, why)."""

    pictures: list[Picture]
    folders: dict[str, list[str]]
    skipped: list[tuple[str, str]]


Parts = tuple[str, ...]  # the names on the way from the root to a file or folder


def _find(root: Path, seed: int) -> _Found:
    if not os.path.isdir(root):  # which takes names that no folder can have, too
        raise DataError(f"There is no folder {root}.")
    check_seed(seed)
    files, folders, skipped = _walk(root)
    found = _layout(files, folders, skipped)
    labels = {picture.label for picture in found.pictures}
    if not labels:
        raise DataError(
            f"{root} holds no pictures in class folders: put each class's pictures into a folder "
            f"named after it, such as cats/ and dogs/.{_left_out(found.skipped)}"
        )
    names = " and ".join(sorted(labels))
    if all(map(_set_of, labels)):
        if TRAIN in map(_set_of, labels):
            raise DataError(
                f"In {root}, {names} hold no class folders: put each class's pictures into a "
                "folder named after it, such as train/cats/ and train/dogs/."
            )
        raise DataError(
            f"{root} holds {names}, and no train: give that name to the folder to train on."
        )
    return found


def _walk(root: Path) -> tuple[list[Parts], list[Parts], list[tuple[str, str]]]:
    """Picture files and folders below `root`, each folder's in the order of their names.

    And (path, why) for other files.
    """
    files, folders, skipped, waiting = [], [], [], [()]
    while waiting:  # os.walk would call itself for each level, and Python allows 1,000 calls
        inside = waiting.pop()
        place = "/".join(inside)
        try:
            entries = os.scandir(safe_files.long_path(root / place))
        except OSError:
            skipped.append((place or ".", "is a folder that may not be opened"))
            continue
        deeper = []
        n_before = len(files)
        with entries:
            # Hidden ones last: beside pictures they are no classes.
            for entry in sorted(entries, key=lambda one: (is_systems(one.name), one.name)):
                parts, suffix = (*inside, entry.name), _suffix(entry.name)
                path = "/".join(parts)
                if is_systems(entry.name):
                    if len(files) == n_before and _holds_pictures(entry):
                        skipped.append((path, "is not looked at: . and ~ begin hidden names"))
                    continue
                if entry.is_dir(follow_symlinks=False):
                    deeper.append(parts)
                elif entry.is_symlink() and os.path.isdir(entry.path):  # it might lead back here
                    folders.append(parts)
                    skipped.append((path, "is a link to a folder: links are not followed"))
                elif suffix in decode.SUFFIXES:
                    files.append(parts)
                elif suffix in decode.HEIC:
                    skipped.append((path, decode.HEIC_ADVICE))
                else:
                    skipped.append((path, "is not a picture in a format read here, by its name"))
        folders += deeper
        waiting += reversed(deeper)
    return files, folders, skipped


def is_systems(name: str) -> bool:
    """Whether a file or folder of that name is hidden, or the system's: it isn't looked at."""
    return name.startswith((".", "~")) or name.lower() in SYSTEM_FILES


def _holds_pictures(hidden: os.DirEntry) -> bool:
    """Whether it is a folder with pictures, hidden by its name's first letter alone."""
    if hidden.name.lower() in SYSTEM_FILES or not hidden.is_dir(follow_symlinks=False):
        return False
    try:
        names = os.listdir(hidden.path)
    except OSError:  # nobody can say that there are pictures
        return False
    return any(_suffix(name) in decode.SUFFIXES for name in names)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _layout(files: list[Parts], folders: list[Parts], skipped: list[tuple[str, str]]) -> _Found:
    """Which set and class each picture belongs to, by the names of the folders it lies in."""
    base = _base(files, folders)
    doubled = _doubled([parts[len(base) :] for parts in (*folders, *files)])

    def seen(parts: Parts) -> Parts:  # from the base, train/train/cats as train/cats
        below = parts[len(base) :]
        return below[:1] + below[2:] if below[:1] in doubled else below

    inside: dict[str, set[str]] = defaultdict(set)  # folder at the base -> folders in it
    for below in map(seen, folders):
        if below:
            inside[below[0]].update(below[1:2])
    below_base = [*map(seen, files)]
    with_pictures = {parts[0] for parts in below_base if len(parts) == 2}
    with_classes = {parts[0] for parts in below_base if len(parts) > 2}
    roles, why_unused, unsplit = _roles(inside, with_pictures, with_classes)

    unused = {(*base, name) for name in inside.keys() - {folder[0] for folder in roles}}
    reasons = [("/".join(f), why_unused[f[-1]]) for f in unused if f[-1] in why_unused]
    found = _Found([], defaultdict(list), reasons)
    for folder, (part, label) in roles.items():
        if part == TRAIN:
            place = (*base, *folder[:1], *doubled.get(folder[:1], ()), *folder[1:])
            found.folders[label].append("/".join(place))
    found.folders.update((label, ["/".join((*base, label))]) for label in unsplit)
    for parts, below in zip(files, below_base, strict=True):
        path = "/".join(parts)
        role = roles.get(below[:2] if len(below) > 2 else ()) or roles.get(below[:1])
        if role and len(below) > 1:
            found.pictures.append(Picture(path, role[1], role[0]))
        elif parts[: len(base) + 1] not in unused:
            found.skipped.append((path, "is not inside the folder of a class"))
    for path, why in skipped:
        if tuple(path.split("/")[: len(base) + 1]) not in unused:
            found.skipped.append((path, why))
    for_valid = {"/".join((*base, *folder)) for folder, (part, _) in roles.items() if part == VALID}
    for_valid -= dict(found.skipped).keys()  # a link to a folder: it is named already
    if for_valid and not any(picture.part == VALID for picture in found.pictures):
        why = "holds no picture to validate with: a fifth of the training pictures does that"
        found.skipped.append((min(for_valid), why))
    found.pictures.sort(key=lambda picture: PARTS.index(picture.part))
    return found


def _base(files: list[Parts], folders: list[Parts]) -> Parts:
    """The folder that everything lies in, as in an unpacked archive, or one inside another."""
    base: Parts = ()
    while True:
        depth = len(base) + 1
        tops = {parts[:depth] for parts in folders if len(parts) >= depth}
        holds_pictures = any(len(parts) == depth + 1 for parts in files)
        if len(tops) != 1 or holds_pictures:
            return base
        top = tops.pop()
        inside = {parts[depth] for parts in folders if len(parts) > depth}
        wraps_sets = inside and all(map(_set_of, inside))  # as of train.zip, unpacked in train
        if top[-1].lower() in SETS and not wraps_sets:
            return base
        base = top


def _doubled(below: list[Parts]) -> dict[Parts, Parts]:
    """Sets in a second folder of their name, as archives are packed: train/train/cats, test/test.

    `below` are folders and files, seen from the base. Where classes come first, cats/train and
    train/train, a class may be called train: nothing is doubled there.
    """
    held = defaultdict(set)
    for parts in below:
        held[parts[:1]].add(parts[1:2])
    doubled = {}
    for top, within in held.items():
        inner = max(within)  # () is the folder itself
        if inner and within <= {(), inner} and _set_of(inner[0]) == (_set_of(top[0]) or None):
            doubled[top] = inner
    with_classes = any(len(parts) > 3 and parts[:1] in doubled for parts in below)
    classes_first = any(_set_of(p[1]) and not _set_of(p[0]) for p in below if len(p) > 1)
    return doubled if with_classes and not classes_first else {}


Roles = dict[Parts, tuple[str, str]]  # a folder, seen from the base -> its set and its class


def _roles(
    inside: dict[str, set[str]], with_pictures: set[str], with_classes: set[str]
) -> tuple[Roles, dict[str, str], list[str]]:
    """What the folders at the base, and those `inside` them, are for; why others aren't used.

    Of those at the base some have pictures directly in them, some have folders with pictures. Last
    comes which classes are without sets among others that have them.
    """
    flat = {name: FLAT for name, labels in inside.items() if _set_of(name) and not labels}
    others = [name for name in inside if not _set_of(name)]
    named = inside.keys() - flat.keys()
    sets = _sets(named) | _sets(named & with_classes)  # of val and valid the one with pictures
    # A class may be called train, too: then it stands beside others, or sets are in all of them.
    is_class = len(with_pictures.intersection(others)) > 1 and VALID not in _sets(inside)
    if TRAIN in sets and any(TRAIN in _sets(inside[name]) for name in others):
        is_class |= all(map(_set_of, inside[sets[TRAIN]]))
    is_sure = sets.get(TRAIN) == "train" or len(sets) > 1 or len(inside) == 1
    if TRAIN in sets and is_sure and not is_class:
        used = " and ".join(sets[part] for part in (TRAIN, VALID) if part in sets)
        why = dict.fromkeys(inside, f"is not used: pictures come from {used}") | flat
        alike = _alike(inside, others, sets[TRAIN])
        if len(alike) == 1 and VALID not in sets:
            why[alike[0]] += f"; if it is a set of its own, call it {VALID}"
        if TEST in sets and (reason := _why_not(inside, sets[TEST], inside[sets[TRAIN]])):
            why[sets.pop(TEST)] = reason
        return _of_sets(inside, sets), why, []
    if any(TRAIN in (parts := _sets(below)) and len(parts) > 1 for below in inside.values()):
        roles = {(label, name): (part, label) for label, below in inside.items()
                 for part, name in _sets(below).items()}  # fmt: skip
        unsplit = [label for label, below in inside.items() if TRAIN not in _sets(below)]
        why = "is not used: it holds no train and valid, as others do"
        return roles, dict.fromkeys(inside, why), unsplit
    alike = _alike(inside, others, sets[VALID]) if VALID in sets else []
    if len(alike) == 1:
        raise DataError(
            f"{alike[0]} and {sets[VALID]} hold the same folders. If these are classes, call "
            f"{alike[0]} {TRAIN}; if not, call {sets[VALID]} something else: it is taken for a set."
        )
    _check_names(inside)
    beside, unused = {}, {}
    for name in inside if len(others) > 1 else ():
        if _set_of(name) in (VALID, TEST):
            reason = flat.get(name) or _why_not(inside, name, others)
            if reason:
                unused[name] = reason
            else:
                beside[_set_of(name)] = name
    labels = inside.keys() - unused.keys() - set(beside.values())
    return {(label,): (TRAIN, label) for label in labels} | _of_sets(inside, beside), unused, []


def _of_sets(inside: dict[str, set[str]], sets: dict[str, str]) -> Roles:
    return {(name, label): (part, label) for part, name in sets.items() for label in inside[name]}


def _why_not(inside: dict[str, set[str]], name: str, classes: Iterable[str]) -> str:
    """Why the folder of that name is no set for these classes; empty if it is one."""
    unknown = sorted(set(map(_one_form, inside[name])) - set(map(_one_form, classes)))
    return unknown and f"is not used: it holds {', '.join(unknown[:SHOWN])}, no class here"


def _alike(inside: dict[str, set[str]], names: Iterable[str], known: str) -> list[str]:
    """Which of these folders hold some that `known`, which is a set, holds, too."""
    classes = set(map(_one_form, inside[known]))
    return [name for name in names if classes.intersection(map(_one_form, inside[name]))]


def _check_names(inside: dict[str, set[str]]) -> None:
    """DataError for sets under names of one's own: 01_train and 02_val, say, with equal folders."""
    names = [name for name in inside if re.search("train|val|test|dev", name.lower())]
    held = {frozenset(map(_one_form, inside[name])) for name in names}
    are_sets = len(held) == 1 and len(names) > 1 and any("train" in n.lower() for n in names)
    if are_sets and len(held.pop()) > 1:
        raise DataError(
            f"{' and '.join(names)} hold the same folders. If these are classes, call the two sets "
            f"{TRAIN} and {VALID}."
        )


def _set_of(name: str) -> str:
    """Which set a folder's name stands for, if any."""
    return SETS.get(_plain(name), "")


def _plain(name: str) -> str:
    return name.lower().removesuffix("set").rstrip(" _-")


def _sets(names: Iterable[str]) -> dict[str, str]:
    """For each set, which of these folders holds it."""
    known = {_plain(name): name for name in sorted(names)}  # if there are two, "train", not "Train"
    found: dict[str, str] = {}
    for name, part in SETS.items():
        if name in known:
            found.setdefault(part, known[name])
    return found


def _one_form(name: str) -> str:
    """A name in one form, NFC: a Mac may write ü as u and two dots, other systems as one letter."""
    return unicodedata.normalize("NFC", name)


def _draw(found: _Found, seed: int, failed: Container[str] = ()) -> list[Picture]:
    """All pictures, training ones first; without a folder for it, a validation set is drawn.

    A fifth of each class's pictures that haven't `failed`, at least one of two. The order of
    drawing doesn't depend on `failed`: a file that can't be read moves hardly any other.
    """
    train, valid, test = ([p for p in found.pictures if p.part == part] for part in PARTS)
    if not valid:
        generator = np.random.default_rng(seed)
        members = defaultdict(list)
        for picture in train:
            members[picture.label].append(picture)
        train = []
        for _, pictures in sorted(members.items()):
            order = generator.permutation(len(pictures)).tolist()
            good = [i for i in order if pictures[i].path not in failed]
            drawn = set(good[: max(round(VALID_SHARE * len(good)), min(1, len(good) - 1), 0)])
            for i, picture in enumerate(pictures):
                (valid if i in drawn else train).append(picture)
        valid = [picture._replace(part=VALID) for picture in valid]
    return [p._replace(label=_one_form(p.label)) for p in (*train, *valid, *test)]


def check_classes(root: Path, pictures: list[Picture], skipped: list[tuple[str, str]]) -> list[str]:
    """The classes' names, sorted; DataError or a warning where they don't suffice for training."""
    train = Counter(picture.label for picture in pictures if picture.part == TRAIN)
    valid = Counter(picture.label for picture in pictures if picture.part == VALID)
    problem = ""
    if len(train) < 2:
        names = f"only {next(iter(train))}" if train else "none with a usable training picture"
        problem = f"Training needs two classes or more; {root} has {names}."
    elif unknown := sorted({picture.label for picture in pictures} - set(train)):
        named = ", ".join(unknown[:SHOWN])
        what = "validation" if set(unknown) & set(valid) else "testing"
        problem = f"{root}: {named} has pictures for {what}, none for training."
        loosely = set(map(_loosely, unknown))
        alike = [label for label in train if _loosely(label) in loosely][:SHOWN]
        problem += f" Is it the same as {', '.join(alike)}? Write both alike." if alike else ""
    elif not valid:
        problem = f"{root}: no picture is left for validation; add some to each class."
    if problem:
        raise DataError(problem + _left_out(skipped))
    for label in sorted(set(train) - set(valid)):
        warnings.warn(
            f"Class {label} of {root} has {train[label]} training picture(s) and none for "
            "validation: nothing will tell how well it is recognised. Add more pictures.",
            stacklevel=3,
        )
    return sorted(train)


def _warn_of_folders(
    root: Path, folders: dict[str, list[str]], classes: list[str], skipped: list[tuple[str, str]]
) -> None:
    """Warn of class folders that give no class, and of two that may be meant for one."""
    alike = defaultdict(list)
    for label, places in folders.items():
        alike[_loosely(label)] += [Path(place).name for place in places]
        if _one_form(label) not in classes:
            why = [(path, why) for path, why in skipped if f"{path}/".startswith(f"{places[0]}/")]
            warnings.warn(
                f"{places[0]} of {root} gives no picture, so that {label} is not a class."
                f"{_left_out(why) or ' The folder is empty.'}",
                stacklevel=3,
            )
    for names in map(sorted, alike.values()):
        if len(names) > 1:
            n = len({_one_form(name) for name in names})
            warnings.warn(
                f"The folders {' and '.join(map(ascii, names))} of {root} differ only in case, "
                f"blanks, letters that can't be seen or the form of a letter; they count as {n} "
                f"class{'es' * (n > 1)}. Rename one of them if that is wrong.",
                stacklevel=3,
            )


def _loosely(name: str) -> str:
    """What names that a person takes for the same have in common."""
    seen = (letter for letter in name if unicodedata.category(letter) != "Cf")  # zero-width ones
    return "".join(_one_form("".join(seen)).casefold().split())


def _left_out(skipped: Sequence[tuple[str, str]]) -> str:
    named = "; ".join(f"{path} {why}" for path, why in skipped[:SHOWN])
    more = f"; and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
    return f" Left out: {named}{more}." if named else ""
