"""Trained models as files that hold numbers and a description, and no code."""

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from lessonkit import models, storage
from lessonkit.augment import Augment

__all__ = ["SavedModel", "read", "write"]

VERSION = 1


class SavedModel(NamedTuple):
    """A network and what is needed to use it on new pictures."""

    model: models.LayerGroups
    classes: list[str]
    size: int
    augment: Augment


def write(path: str | Path, saved: SavedModel) -> None:
    """Write a model from `lessonkit.models`; an older file is replaced at the end only."""
    about = {
        "version": VERSION,
        "model": saved.model.about,
        "classes": saved.classes,
        "size": saved.size,
        "augment": asdict(saved.augment),
    }
    storage.write_tensors(path, saved.model.state_dict(), about)


def read(path: str | Path) -> SavedModel:
    """The model in a file; storage.ModelFileError for any other, damaged or altered file."""
    tensors, about = storage.read_tensors(path)
    if about["version"] != VERSION:
        raise storage.ModelFileError(
            f"{path} was saved in format {about['version']}, this lessonkit reads format "
            f"{VERSION}: use the lessonkit that saved it, or train again."
        )
    model = models.from_description(about["model"])
    model.load_state_dict(tensors)
    augment = Augment(**about["augment"])
    return SavedModel(model.eval(), about["classes"], about["size"], augment)
