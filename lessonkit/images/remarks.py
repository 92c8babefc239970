"""What to know about pictures before training: too few, copies, empty ones, doubtful classes."""

import re
from itertools import filterfalse
from pathlib import PurePath
from typing import Any

__all__ = ["about", "copies", "empty", "no_classes", "too_few"]

MOST = 3  # names in a sentence
# Words in names of sets: those that `from_folder` knows, and others that people use.
SET_WORDS = re.compile("train|training|trn|valid|val|validation|dev|test|testing|tst|pred|set|data")
FEW = 25  # validation pictures: with fewer, one more or less is over 4 points of accuracy

Places = dict[str, tuple[str, str]]  # each file's set and class


def about(images: Any) -> list[str]:
    """All remarks on an ImageData, in sentences."""
    place = {
        file: (name, images.classes[label])
        for name, (split, files) in _sets(images).items()
        for file, label in zip(files, split.labels.tolist(), strict=True)
    }
    return no_classes(images, place) + too_few(images) + copies(images, place) + empty(images)


def no_classes(images: Any, place: Places) -> list[str]:
    """Classes that look like sets (seg_train and seg_test), like copies of a tree, or hold others.

    One remark is enough to make people look.
    """
    inside, named = _folders_inside(place), set(images.classes)
    for name in images.classes:
        if _is_set(name) and (others := sorted(inside.get(name, set()) & named)):
            return [
                f"{name} is taken for a class, and holds folders called {_some(others, ', ')}, "
                "which are classes, too. If it is a set, it belongs beside the folder train."
            ]
    one, other = _two_alike(images.classes)
    if one != other:
        return [
            f"{one} and {other} are taken for two classes. If they are two sets, call them "
            "train and test, or valid."
        ]
    one, other, both = _two_that_share(inside)
    if both:
        return [
            f"{one} and {other} are taken for two classes, and both hold folders called "
            f"{_some(both, ', ')}. If those are the classes, give one of the two alone."
        ]
    return []


def _two_alike(classes: list[str]) -> tuple[str, str]:
    """Two whose names differ in a set's words alone, as train1 and testImages; or "" twice."""
    known: dict[tuple[str, ...], tuple[str, list[str]]] = {}
    for name in classes:
        words = _words(name)
        if any(map(SET_WORDS.fullmatch, words)):  # a number says which of several sets it is
            words = [*filterfalse(str.isdecimal, words)]
        plain = tuple(filterfalse(SET_WORDS.fullmatch, words))
        other, others_words = known.setdefault(plain, (name, words))
        if words != others_words:
            return other, name
    return "", ""


def _two_that_share(inside: dict[str, set[str]]) -> tuple[str, str, list[str]]:
    """Two classes with several folders of the same names in them, and these names."""
    holders: dict[str, list[str]] = {}
    for name, folders in inside.items():
        for folder in folders:
            holders.setdefault(folder, []).append(name)
    shared = [names for names in holders.values() if len(names) > 1]
    for one, other in dict.fromkeys((names[0], names[1]) for names in shared):
        if len(both := sorted(inside[one] & inside[other])) > 1:
            return one, other, both
    return "", "", []


def _words(name: str) -> list[str]:
    """The words and numbers in a name, in small letters: two of train_2, testImages."""
    apart = re.sub(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])|(?<=\D)(?=\d)|(?<=\d)(?=\D)", " ", str(name))
    return re.findall(r"[^\W_]+", apart.lower())


def _is_set(name: str) -> bool:
    """Whether nothing but a set's words are in a name, such as training_set."""
    return bool(words := _words(name)) and all(map(SET_WORDS.fullmatch, words))


def _folders_inside(place: Places) -> dict[str, set[str]]:
    """For each class the names of the folders in it, but for those of sets and above all files."""
    inside: dict[str, set[str]] = {}
    above = set.intersection(*(set(PurePath(file).parts) for file in place)) if place else set()
    for file, (_, name) in place.items():
        folders = [one for one in PurePath(file).parts[:-1] if one not in {name, *above}]
        inside.setdefault(name, set()).update(filterfalse(_is_set, folders))
    return inside


def too_few(images: Any) -> list[str]:
    """In one sentence what each validation picture weighs, if over 4 points; or that none is."""
    n = len(images.valid.labels)
    if not n:
        return ["There are no pictures for validation."]
    said = [f"{n} pictures for validation: each is {100 / n:.1f} points of accuracy."]
    return said if n < FEW else []


def copies(images: Any, place: Places) -> list[str]:
    """Files with the same pixels: in two sets at once, in two classes, and in all."""
    said = []
    groups = [[file for file in group if file in place] for group in images.copies]
    for number, kind in enumerate(("sets", "classes")):
        firsts: list[dict[str, str]] = []  # of equal files, the first in each set or class
        for group in groups:
            firsts.append({})
            for file in group:
                firsts[-1].setdefault(place[file][number], file)
        across = [first for first in firsts if len(first) > 1]
        if across:
            n_kinds = "two" if max(map(len, across)) == 2 else "several"
            named = f"{_some([*across[0].values()])} ({_some([*across[0]], ' and ')})"
            where = f"{n_kinds} {kind} at once"
            said.append(f"{len(across)} picture(s) are in {where}, such as {named}.")
    if n_more := sum(len(group) - 1 for group in groups if group):
        example = next(group for group in groups if len(group) > 1)
        said.append(f"{n_more} file(s) are copies of others, such as {_some(example)}.")
    return said


def _some(names: list[str], between: str = " = ") -> str:
    """The first of the names, and how many more there are."""
    rest = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return between.join(names[:MOST]) + rest


def empty(images: Any) -> list[str]:
    """Files whose pixels are all of one colour, as of a camera with its cap on."""
    named = []
    for split, files in _sets(images).values():
        corner, middle = split.images[:, :, :1, :1], images.size // 2
        # Most pictures differ between corner and middle: then the rest needn't be looked at.
        alike = (split.images[:, :, middle, middle] == corner.flatten(1)).all(1).nonzero().flatten()
        named += [files[i] for i in alike.tolist() if (split.images[i] == corner[i]).all()]
    said = f"{len(named)} file(s) are of one colour everywhere, such as {', '.join(named[:MOST])}."
    return [said] if named else []


def _sets(images: Any) -> dict[str, tuple[Any, list[str]]]:
    """The sets whose pictures came from files, each with these files."""
    sets = {
        "training": (images.train, images.train_files),
        "validation": (images.valid, images.valid_files),
        "test": (images.test, images.test_files),
    }
    return {name: (split, files) for name, (split, files) in sets.items() if files}
