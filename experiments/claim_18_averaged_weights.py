"""Do averaged weights, as used today, beat restarts?"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from experiments import material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import augment, models, schedule
from lessonkit.augment import Augment
from lessonkit.data import ImageData
from lessonkit.training import optimizers

EPOCHS = (1, 2, 4)  # of the restarts' cycles; as many in all for every arm
HORIZON = 10  # the moving average looks back about a tenth of all steps
SWA_FROM = 0.5  # of all steps: from there on weights are averaged


class Pictures(NamedTuple):
    """A set, how it may vary, the network to train, and learning rates to choose from."""

    drawn: Callable[..., ImageData]
    changes: Augment
    pretrained: bool
    repeat: int  # times the epochs of each cycle
    lrs: tuple[float, ...]


SETS = {
    "cells": Pictures(
        partial(material.cells, n=320, size=64),
        Augment("mirrored", mirror=True, half_turns=True),
        True, 1, (3e-4, 1e-3),
    ),
    "trash": Pictures(
        partial(material.trash, n=320, size=64), augment.side_on(), True, 1, (3e-4, 1e-3)
    ),
    "digits": Pictures(
        partial(material.digits, n=512), augment.none(), False, 2, (0.03, 0.1, 0.3)
    ),
}  # fmt: skip


def _restarts(lr: float, epochs: list[int], steps: int) -> np.ndarray:
    return np.concatenate([schedule.cosine(lr, n * steps) for n in epochs])


def _constant(lr: float, epochs: list[int], steps: int) -> np.ndarray:
    return schedule.constant(lr, sum(epochs) * steps)


def _cosine(lr: float, epochs: list[int], steps: int) -> np.ndarray:
    return schedule.cosine(lr, sum(epochs) * steps)


SHAPES = {"restarts": _restarts, "EMA": _constant, "SWA": _constant, "EMA of a cosine": _cosine}


def tune() -> dict[str, Any]:
    """The best LR for each set and arm."""
    found = {}
    for name, pictures in SETS.items():
        for arm in SHAPES:
            reached = {f"{lr:g}": 0.0 for lr in pictures.lrs}
            for seed in training.TUNING_SEEDS:
                images, start = _start(name, seed, "tuning")
                for lr in pictures.lrs:
                    model = _train(name, arm, lr, images, start, seed)
                    share = training.loss_and_accuracy(model, images.valid)[1]
                    reached[f"{lr:g}"] += share / len(training.TUNING_SEEDS)
            found[f"{name}: {arm}"] = {"lr": float(max(reached, key=reached.get)), **reached}
    return found


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """Train each set in each way, from the same start."""
    values = {}
    for name in SETS:
        images, start = _start(name, seed)
        for arm in SHAPES:
            model = _train(name, arm, tuned[f"{name}: {arm}"]["lr"], images, start, seed)
            values[f"{name}: {arm}"] = training.loss_and_accuracy(model, images.valid)[1]
    return values


def _start(name: str, seed: int, part: str = "test") -> tuple[ImageData, Callable[[], nn.Module]]:
    """The pictures, and a function that gives the network that every arm starts from."""
    pictures = SETS[name]
    images = pictures.drawn(seed, part=part).with_augment(pictures.changes)
    if not pictures.pretrained:
        return images, partial(models.small_cnn, len(images.classes), training.WIDTH, seed)
    found = transfer.features(images.train.images)
    return images, partial(transfer.with_head, images, found, seed)


def _train(
    name: str, arm: str, lr: float, images: ImageData, start: Callable, seed: int
) -> nn.Module:
    model, pretrained = start(), SETS[name].pretrained
    epochs = [n * SETS[name].repeat for n in EPOCHS]
    lrs = SHAPES[arm](lr, epochs, len(images.train.labels) // 32)
    averaged = None
    if arm != "restarts":
        # Without a function of its own AveragedModel takes the plain mean.
        ema = get_ema_multi_avg_fn(1 - HORIZON / len(lrs)) if arm.startswith("EMA") else None
        averaged = AveragedModel(model, multi_avg_fn=ema)

    def keep(step: int, model: nn.Module) -> None:
        if averaged is not None and (arm != "SWA" or step >= SWA_FROM * len(lrs)):
            averaged.update_parameters(model)

    how = {"max_grad_norm": transfer.CLIP} if pretrained else {}
    how["optimizer"] = optimizers.radam if pretrained else optimizers.sgd
    training.train(images, lrs, seed, model=model, after=keep, **how)
    if averaged is None:
        return model
    return training.with_new_statistics(averaged.module, images.train.images)


_TEXTS = {
    "EMA": "a moving average at a constant LR",
    "SWA": "the mean of the second half at a constant LR",
    "EMA of a cosine": "a moving average along one cosine",
}

CLAIM = Claim(
    number="18",
    title="Averaged weights beat restarts",
    lesson="To get out of a bad minimum, raise the LR again from time to time. What came after the "
    "lesson doesn't go from minimum to minimum but averages weights on the way: SWA (Izmailov et "
    "al. 2018, arXiv 1803.05407), or a moving average of them (EMA).",
    hypothesis="At equal work the network of averaged weights is a point better than the one at "
    "the end of the restarts.",
    data="cells and trash, 64 px, 320 of each to train on; digits, 28 px, 512",
    network="EfficientNet-Lite0 with ImageNet's weights and a trained head for cells and trash; "
    "for digits small_cnn, width 8, from scratch",
    varies="restarts (cycles of 1, 2 and 4 epochs; of digits 2, 4 and 8), or as many epochs with "
    "averaged weights, in three ways: no other averages were tried",
    fixed="first weights, pictures and their order, mini-batches of 32; the LR is tuned for each "
    "set and way (of two, cells and trash took the higher throughout). BatchNorm's statistics are "
    "measured anew for averaged weights, which have none",
    measure="accuracy on test pictures, at the end",
    rows=tuple(
        Row(f"{name}, {arm}", f"{name}: {text} less restarts", f"{name}: {arm}",
            f"{name}: restarts")
        for name in SETS
        for arm, text in _TEXTS.items()
    ),
    run=run,
    tune=tune,
    seeds=(5, 60),
    minutes=150,
    chapters=("05",),
)  # fmt: skip
