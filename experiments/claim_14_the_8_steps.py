"""What does leaving out each of the 8 steps cost, at equal work?"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments import material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import augment, lr_find, models, schedule
from lessonkit.data import ImageData
from lessonkit.training import optimizers

TILES, SIZE, BATCH = 384, 48, 32
PER_EPOCH = TILES // BATCH
# Work is counted in passes of all training pictures forwards through the body; a training epoch of
# the whole network is three (forwards, and twice as much backwards), as the field counts it.
TRAINING = 3
BUDGET = 1 + 2 + TRAINING * (1 + 2)  # features; two epochs of the head alone; two cycles


@dataclass(frozen=True)
class Recipe:
    """The recipe with switches: each is on, or is one way of leaving a step out."""

    changes: bool = True  # step 1: augmentation
    find: bool = True  # step 2: the head's LR from the finder, else 0.01
    head_first: bool = True  # step 3: the head on stored activations
    head_again: bool = True  # step 4: the head with augmentation
    unfreeze: bool = True  # step 5
    times: float = 1.0  # step 6: lower LRs for earlier groups; tiles want none
    find_again: bool = True  # step 7: the finder after unfreezing, else the head's LR
    cycles: bool = True  # step 8: cycles that grow, else a constant LR


ARMS = {
    "whole": Recipe(),
    "1 augmentation": Recipe(changes=False),
    "2 finder": Recipe(find=False),
    "3 head on activations": Recipe(head_first=False),
    "4 head with augmentation": Recipe(head_again=False),
    "5 unfreezing": Recipe(unfreeze=False),
    "6 LRs as for photos": Recipe(times=10.0),
    "7 finder again": Recipe(find_again=False),
    "8 cycles": Recipe(cycles=False),
    "one LR, all layers": Recipe(head_first=False, head_again=False, cycles=False),
}


def run(seed: int, tuned: dict[str, Any]) -> dict[str, float]:
    """The whole recipe, and with each step left out."""
    images = material.tiles(seed, TILES, SIZE).with_augment(augment.top_down())
    found = transfer.features(images.train.images)
    values = {}
    for arm, recipe in ARMS.items():
        model = _train(recipe, images, found, seed)
        values[arm] = training.loss_and_accuracy(model, images.valid)[1]
    return values


def _train(recipe: Recipe, images: ImageData, found: Tensor, seed: int) -> nn.Module:
    """Train by `recipe`; work that a left-out step would have taken goes into the last step."""
    work = BUDGET
    images = images if recipe.changes else images.with_augment(augment.none())
    model = copy.deepcopy(transfer.body())
    model[-1] = transfer.new_head(found.shape[1], len(images.classes))
    head_lr = _head_lr(found, images) if recipe.find else 0.01
    if recipe.head_first:
        flat = transfer.of_features(images, found)
        lrs = schedule.cosine(head_lr, transfer.HEAD_STEPS)
        training.train(flat, lrs, seed, model=model[-1], optimizer=optimizers.adamw)
        work -= 1
    if recipe.head_again:
        _train_head(model, images, head_lr, 2, seed)
        work -= 2
    if not recipe.unfreeze:
        _train_head(model, images, head_lr, work, seed)
        return model
    ratios = [recipe.times ** (i - 2) for i in range(3)]
    lr = _whole_lr(model, images, ratios) if recipe.find_again else head_lr
    lrs = _last_schedule(lr, work, recipe.cycles)
    how = {"optimizer": optimizers.radam, "max_grad_norm": transfer.CLIP, "ratios": ratios}
    return training.train(images, lrs, seed, BATCH, model, **how).model


def _last_schedule(lr: float, work: int, cycles: bool) -> list[float]:
    """The LRs of step 8 for so much work: one cycle, then one with all the rest; or constant."""
    total = round(work / TRAINING * PER_EPOCH)
    if not cycles:
        return list(schedule.constant(lr, total))
    return [*schedule.cosine(lr, PER_EPOCH), *schedule.cosine(lr, total - PER_EPOCH)]


def _train_head(model: nn.Module, images: ImageData, lr: float, epochs: int, seed: int) -> None:
    """Epochs of the head with fresh augmentation each, one cosine an epoch; the body stays."""
    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(1000 * seed + epoch)
        pictures = images.augment(images.train.images, generator)
        flat = transfer.of_features(images, transfer.features(pictures))
        lrs = schedule.cosine(lr, PER_EPOCH)
        training.train(flat, lrs, seed + epoch, model=model[-1], optimizer=optimizers.adamw)


def _head_lr(found: Tensor, images: ImageData) -> float:
    head = models.LayerGroups(transfer.new_head(found.shape[1], len(images.classes)))
    batches = list(zip(found.split(BATCH), images.train.labels.split(BATCH), strict=True))
    optimizer = optimizers.adamw(optimizers.parameter_groups(head, [1.0]))
    return lr_find(head, optimizer, batches, F.cross_entropy).steepest


def _whole_lr(model: nn.Module, images: ImageData, ratios: list[float]) -> float:
    """As in the recipe: the finder's suggestion, unless it is far from what has served before."""
    batches = list(zip(*(part.split(BATCH) for part in images.train), strict=True))
    optimizer = optimizers.radam(optimizers.parameter_groups(models.layer_groups(model), ratios))
    found = lr_find(model.train(), optimizer, batches, F.cross_entropy, steps=40).suggestion
    return found if 1e-3 / 3 <= found <= 3e-3 else 1e-3


_LEFT_OUT = {
    "1 augmentation": "no augmentation",
    "2 finder": "LR 0.01 for the head, without asking the finder",
    "3 head on activations": "no head on stored activations",
    "4 head with augmentation": "no epochs of the head with augmentation",
    "5 unfreezing": "the body stays frozen, the head trains on",
    "6 LRs as for photos": "10 times lower LRs for earlier groups, where the recipe measures that "
    "tiles want equal ones",
    "7 finder again": "the head's LR for the whole network",
    "8 cycles": "a constant LR in the last step",
    "one LR, all layers": "all layers at one constant LR from the start",
}

CLAIM = Claim(
    number="14",
    title="Each of the 8 steps earns its place",
    lesson="The 8 steps, one after the other, give a world-class classifier.",
    hypothesis="Leaving out any one step costs a point of accuracy, at equal work.",
    data="earth, 48 px: 384 tiles to train on; test tiles of other blocks",
    network="EfficientNet-Lite0 with ImageNet's weights, BatchNorm folded",
    varies="one step left out at a time, as each row says",
    fixed=f"work: {BUDGET} forward passes of all tiles, a training epoch of the whole network "
    "counting three; what a left-out step would have taken goes into the last. Counted, not "
    "timed, so that runs repeat",
    measure="accuracy on test tiles, at the end (no best cycle is picked: that would need a third "
    "set)",
    rows=tuple(
        Row(arm, f"the whole recipe less: {text}", "whole", arm) for arm, text in _LEFT_OUT.items()
    ),
    run=run,
    seeds=(5, 8),
    chapters=("07",),
)
