"""Trained models as files that hold numbers and a description, and no code."""

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from lessonkit import models
from lessonkit.augment import Augment
from lessonkit.files import safe_files

__all__ = ["SavedModel", "read", "write"]

VERSION = 1


class SavedModel(NamedTuple):
    """A network and what is needed to use it on new pictures."""

    model: models.LayerGroups
    classes: list[str]
    size: int
    augment: Augment


def write(path: str | Path, saved: SavedModel) -> None:
    """Write a model from `lessonkit.models`; an older file is replaced at the end only.

    Raises ValueError for any other network: a file without code can't say how to build it.
    """
    if not isinstance(saved.model, models.LayerGroups):
        raise ValueError(
            "Only networks from lessonkit.models can be saved here; for your own use "
            "safetensors.torch.save_model(learn.model, path)."
        )
    about = {
        "version": VERSION,
        "model": saved.model.about,
        "classes": saved.classes,
        "size": saved.size,
        "augment": asdict(saved.augment),
    }
    safe_files.write_tensors(path, saved.model.state_dict(), about)


def read(path: str | Path) -> SavedModel:
    """The model in a file; safe_files.ModelFileError for any other, damaged or altered file."""
    tensors, about = safe_files.read_tensors(path)
    version = about.get("version") if isinstance(about, dict) else None
    if version != VERSION:
        newer = isinstance(version, int) and version > VERSION
        way = "update lessonkit" if newer else "use the lessonkit that saved it"
        raise safe_files.ModelFileError(
            f"{path} was saved in format {version}, this lessonkit reads format {VERSION}: {way}, "
            "or train again."
        )
    try:
        model = _from_description(about["model"])
        model.load_state_dict(tensors)
        augment = Augment(**about["augment"])
        return SavedModel(model.eval(), about["classes"], about["size"], augment)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # RuntimeError: other shapes
        raise safe_files.ModelFileError(
            f"{path} can't be rebuilt by this version of lessonkit and timm: use those that saved "
            f"it, or train again ({' '.join(str(error).split())[:200]})."
        ) from error


def _from_description(about: dict) -> models.LayerGroups:
    """The network that `about` describes, without its weights."""
    make = {"pretrained": models.pretrained, "small_cnn": models.small_cnn}[about["made_by"]]
    arguments = {name: value for name, value in about.items() if name != "made_by"}
    without_weights = {"load_weights": False} if about["made_by"] == "pretrained" else {}
    return make(**arguments, **without_weights)
