"""Trained models as files that hold numbers and a description, and no code."""

import math
from dataclasses import asdict
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lessonkit import models
from lessonkit.augment import Augment
from lessonkit.files import safe_files
from lessonkit.training import optimizers

__all__ = ["check_classes", "read", "write"]

VERSION = 2
IMAGENET = "imagenet."  # before the names of the old classifier's weights


def write(path: str | Path, learn: Any) -> None:
    """Write a learner of a network from `lessonkit.models`; an older file is replaced at the end.

    Raises ValueError for any other network or augmentation, as a file without code can't say how
    to build it, for a learner that never had pictures or has settings or weights that `read` would
    refuse, and OSError where nothing can be written.
    """
    model = learn.model
    if getattr(model, "layers", "") != repr(model):
        raise ValueError(
            "Only networks from lessonkit.models, with the layers they were made with, can be "
            "saved here; for your own use safetensors.torch.save_model(learn.model, path)."
        )
    check_classes(learn)
    if model.about["n_classes"] != len(learn.classes):
        raise ValueError(
            f"This network has {model.about['n_classes']} outputs, and there are "
            f"{len(learn.classes)} classes: make it anew, for as many."
        )
    if type(learn.augment) is not Augment:
        raise ValueError(
            "A model file can't hold an augmentation of your own: set learn.augment = "
            "augment.none(), or one of the others, before you save."
        )
    tensors = _tensors(model)
    _check_numbers(tensors)
    optimizer = [name for name, known in optimizers.BY_NAME.items() if known is learn.optimizer]
    about = {
        "version": VERSION,
        "model": model.about,
        "classes": learn.classes,
        "size": learn.size,
        "augment": asdict(learn.augment),
        "optimizer": "".join(optimizer),
        "max_grad_norm": None if learn.max_grad_norm == math.inf else learn.max_grad_norm,
        "batch_size": learn._batch_size,
        "label_smoothing": learn.label_smoothing,
        "frozen_to": learn.frozen_to,
    }
    _check(about, len(learn.groups))  # else what is written could never be read
    safe_files.write_tensors(path, tensors, about)


def check_classes(learn: Any) -> None:
    """ValueError for a learner that never had pictures, and so has no names for its answers."""
    if not hasattr(learn, "classes"):
        raise ValueError("This learner knows no classes yet: learn.set_data(images) first.")


def _tensors(model: models.LayerGroups) -> dict[str, torch.Tensor]:
    """All weights by name, those of the old classifier too."""
    return model.state_dict() | nn.Sequential(*model.imagenet).state_dict(prefix=IMAGENET)


def read(path: str | Path) -> tuple[models.LayerGroups, dict[str, Any], dict[str, Any]]:
    """The network in a file, and arguments and attributes for a Learner that goes on with it.

    Raises safe_files.ModelFileError for any other, damaged or altered file.
    """
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
        only_head = about.get("body") == "ImageNet"  # of the page "Train in the page"
        model = _from_description(about["model"], load_weights=only_head)
        tensors = _tensors(model) | tensors if only_head else tensors
        old = [name for name in tensors if name.startswith(IMAGENET)]
        old = {name.removeprefix(IMAGENET): tensors.pop(name) for name in old}
        nn.Sequential(*model.imagenet).load_state_dict(old)
        model.load_state_dict(tensors)
        _check_numbers(tensors)
        _check(about, len(models.layer_groups(model)))
        arguments = {
            "optimizer": optimizers.BY_NAME.get(about["optimizer"], _unknown_optimizer),
            "max_grad_norm": about["max_grad_norm"] or math.inf,
            "batch_size": about["batch_size"],
        }
        attributes = {name: about[name] for name in ("classes", "size", "label_smoothing")}
        if len(about["classes"]) != about["model"]["n_classes"]:
            raise ValueError("as many outputs as classes are needed")
        attributes |= {"augment": Augment(**about["augment"]), "frozen_to": about["frozen_to"]}
        return model.eval(), arguments, attributes
    # RuntimeError: other shapes. OverflowError: a whole number that no float holds.
    except (KeyError, OverflowError, TypeError, ValueError, RuntimeError) as error:
        raise safe_files.ModelFileError(
            f"{path} can't be rebuilt by this version of lessonkit and timm: use those that saved "
            f"it, or train again ({' '.join(str(error).split())[:200]})."
        ) from error


def _check_numbers(tensors: dict[str, torch.Tensor]) -> None:
    """ValueError for weights that no training can go on from, and no picture be told with."""
    for name, values in tensors.items():
        if not values.isfinite().all():
            raise ValueError(f"The weights {name} aren't all numbers: some are infinite or NaN.")


def _check(about: dict, n_groups: int) -> None:
    """ValueError, which names them, for settings that no learner can have."""
    # Numbers may be numpy's or torch's; the file will hold plain ones.
    about = {
        name: value.item() if hasattr(value, "item") else value for name, value in about.items()
    }

    def is_whole(value: Any, low: int, high: float = math.inf) -> bool:
        return isinstance(value, Integral) and low <= value <= high

    def is_real(value: Any, high: float = math.inf) -> bool:
        return isinstance(value, Real) and 0 <= value <= high

    classes, norm, n = about["classes"], about["max_grad_norm"], about["batch_size"]
    names = [name for name in classes if isinstance(name, str | int)]
    augment = dict(about["augment"])
    named, amounts = isinstance(augment.pop("name"), str), augment.values()
    is_right = {
        "classes": isinstance(classes, list | tuple) and len(set(names)) == len(classes),
        "size": is_whole(about["size"], 1),
        "frozen_to": is_whole(about["frozen_to"], 0, n_groups - 1),
        "batch_size": n is None or is_whole(n, 1),
        "max_grad_norm": norm is None or (is_real(norm) and norm > 0),
        "label_smoothing": is_real(about["label_smoothing"], 1.0),
        # -10 degrees are as good as 10; abs turns both into what is_real knows.
        "augment": named and all(isinstance(one, Real) and is_real(abs(one)) for one in amounts),
    }
    if wrong := [name for name, right in is_right.items() if not right]:
        raise ValueError(f"these settings can't be right, set them anew: {', '.join(wrong)}")


def _unknown_optimizer(groups: list[dict]) -> torch.optim.Optimizer:
    raise ValueError(
        "This network was trained with an optimiser of your own, which its file doesn't hold: set "
        "learn.optimizer before you train on."
    )


def _from_description(about: dict, load_weights: bool) -> models.LayerGroups:
    """The network that `about` describes, with ImageNet's weights or without any."""
    make = {"pretrained": models.pretrained, "small_cnn": models.small_cnn}[about["made_by"]]
    arguments = {name: value for name, value in about.items() if name != "made_by"}
    weights = {"load_weights": load_weights} if about["made_by"] == "pretrained" else {}
    return make(**arguments, **weights)
