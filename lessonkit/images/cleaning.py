"""What a person decided about single pictures of a folder: kept beside the folder, never in it.

The decisions on `my_pictures/` stand in `my_pictures.cleaning.json` next to it. No picture is
moved, renamed or deleted: take that file away, and the folder counts as it is.
"""

import json
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lessonkit.files import safe_files
from lessonkit.images.image_data import DataError

__all__ = ["Cleaning", "apply", "file_beside", "read", "write"]

VERSION = 1
SHOWN = 5  # names in a sentence
PARTS = TRAIN, VALID, TEST = "train", "valid", "test"


class Picture(NamedTuple):
    """A picture file: its path below the root, its class, and which set it belongs to."""

    path: str
    label: str
    part: str  # one of PARTS


@dataclass(frozen=True)
class Cleaning:
    """Pictures to leave out, and pictures that belong to another class than their folder says.

    A picture is named by its path below the folder, with `/`, as in `ImageData.train_files`.
    """

    drop: tuple[str, ...] = ()
    relabel: dict[str, str] = field(default_factory=dict)  # path -> class

    def __bool__(self) -> bool:
        return bool(self.drop or self.relabel)


def file_beside(root: str | Path) -> Path:
    """Where the decisions on the pictures in `root` are kept."""
    # Absolute, as "." has no name; not resolved, as a link's own name counts.
    root = Path(os.path.abspath(safe_files.of_user(root)))
    return root.parent / f"{root.name}.cleaning.json"


def read(root: str | Path) -> Cleaning:
    """The decisions on the pictures in `root`; none where there is no file.

    Raises DataError for a file that holds anything else.
    """
    file = file_beside(root)
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))  # some editors begin with a mark
        if content["version"] != VERSION:
            raise ValueError(f"format {content['version']} instead of {VERSION}")
        drop, relabel = content["drop"], content["relabel"]
        are_right = isinstance(drop, list) and isinstance(relabel, dict)
        if not (are_right and all(isinstance(one, str) for one in [*drop, *relabel.values()])):
            raise ValueError("drop is a list of paths, relabel gives a class for each path")
        _check(drop, relabel)
    except FileNotFoundError:
        return Cleaning()
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise DataError(
            f"{file} can't be used ({type(error).__name__}: {error}): correct it, or delete it to "
            "start cleaning anew. The pictures themselves are untouched."
        ) from None
    labels = {path: unicodedata.normalize("NFC", label) for path, label in relabel.items()}
    return Cleaning(tuple(drop), labels)


def _check(drop: Sequence[str], relabel: dict[str, str]) -> None:
    if both := set(drop) & set(relabel):
        raise ValueError(f"{min(both)} is both dropped and given another class")


def write(root: str | Path, cleaning: Cleaning) -> Path:
    """Write the decisions beside the folder `root`, all or nothing; returns the file's path.

    Earlier decisions are replaced. Without any decision the file is removed. OSError where that
    fails; ValueError for a picture that is dropped and given another class.
    """
    file = file_beside(root)
    _check(cleaning.drop, cleaning.relabel)
    if not cleaning:
        file.unlink(missing_ok=True)
        return file
    content = {
        "version": VERSION,
        "drop": sorted(cleaning.drop),
        "relabel": dict(sorted(cleaning.relabel.items())),
    }
    with safe_files.atomic_path(file) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return file


def apply(
    pictures: Sequence[Picture], cleaning: Cleaning, name: str
) -> tuple[list[Picture], list[tuple[str, str]], str]:
    """The pictures that remain, (path, why) for those dropped, and a line on what was done.

    Each picture stays in its set. `name` is the cleaning file's. Raises DataError for a class that
    no folder has; pictures that are gone are named in the line.
    """
    if not cleaning:
        return list(pictures), [], ""
    classes = {picture.label for picture in pictures}
    if unknown := sorted(set(cleaning.relabel.values()) - classes):
        raise DataError(
            f"{name} gives pictures the class {', '.join(unknown)}, which no folder has; there are "
            f"{', '.join(sorted(classes))}."
        )
    dropped, kept = set(cleaning.drop), []
    for picture in pictures:
        if picture.path not in dropped:
            label = cleaning.relabel.get(picture.path, picture.label)
            kept.append(picture._replace(label=label))
    there = {picture.path for picture in pictures}
    skipped = [(path, f"was dropped by {name}") for path in sorted(dropped & there)]
    line = f"{name}: {len(skipped)} dropped, {len(there & set(cleaning.relabel))} relabelled"
    gone = sorted(dropped.union(cleaning.relabel) - there)
    if gone:
        named = ", ".join(gone[:SHOWN]) + (", …" if len(gone) > SHOWN else "")
        line += f"; {len(gone)} no longer there: {named}"
    return kept, skipped, line
