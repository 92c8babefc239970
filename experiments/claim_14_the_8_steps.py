"""What does leaving out each of the 8 steps cost, at equal work?

The same runs also train in the ways that claims 16 and 17 compare with the 8 steps.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments import material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import augment, lr_find, models, recipe, schedule
from lessonkit.augment import Augment
from lessonkit.data import ImageData
from lessonkit.training import optimizers

N, BATCH = 320, 32
PER_EPOCH = N // BATCH
# Work is counted in passes of all training pictures forwards through the body. A training epoch of
# the whole network took as long as 4.3 to 6.4 of them, from 96 to 48 px, on one thread. (The field
# counts three, but backwards through depthwise convolutions takes longer on a CPU.)
TRAINING = 5
LENGTHS = (1, 2, 4)  # epochs of step 8's cycles: learn.fit(lrs, 3, cycle_len=1, cycle_mult=2)
BUDGET = 1 + 2 + TRAINING * sum(LENGTHS)  # features; two epochs of the head alone; the cycles
SAFE_LR = 1e-3  # of the whole network, where no finder is asked: has served photos and tiles
FINE_TUNE_LR, FINE_TUNE_TIMES = 2e-3, 100  # fastai's fine_tune: base_lr and lr_mult


class Pictures(NamedTuple):
    """A set: how it is drawn, how it may vary, and how many times lower an earlier group's LR is.

    The last as the lesson has it: 10 times for photos, 3 times for what ImageNet doesn't show.
    """

    drawn: Callable[[int], ImageData]
    changes: Augment
    times: float


SETS = {
    "cells": Pictures(
        partial(material.cells, n=N, size=64),
        Augment("mirrored", mirror=True, half_turns=True),
        3.0,
    ),
    "trash": Pictures(partial(material.trash, n=N, size=64), augment.side_on(), 10.0),
    "digits": Pictures(partial(material.digits, n=N, size=48), augment.symbols(), 3.0),
}


@dataclass(frozen=True)
class Recipe:
    """The recipe with switches: each is on, or is one way of leaving a step out."""

    changes: bool = True  # step 1: augmentation
    find: bool = True  # step 2: the head's LR from the finder, else 0.01
    head_first: bool = True  # step 3: the head on stored activations
    head_again: bool = True  # step 4: the head with augmentation
    unfreeze: bool = True  # step 5
    graded: bool = True  # step 6: lower LRs for earlier groups
    find_again: bool = True  # step 7: the finder after unfreezing, else the head's LR
    cycles: bool = True  # step 8: cycles that grow, else a constant LR


ARMS = {
    "whole": Recipe(),
    "1 augmentation": Recipe(changes=False),
    "2 finder": Recipe(find=False),
    "3 head on activations": Recipe(head_first=False),
    "4 head with augmentation": Recipe(head_again=False),
    "5 unfreezing": Recipe(unfreeze=False),
    "6 lower LRs": Recipe(graded=False),
    "7 finder again": Recipe(find_again=False),
    "8 cycles": Recipe(cycles=False),
}


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """The whole recipe, with each step left out, and the other ways of training."""
    values: dict[str, Any] = {}
    for name, pictures in SETS.items():
        task = Task(pictures, seed)
        for arm, switches in ARMS.items():
            task.start()
            values[f"{name}: {arm}"] = task.accuracy(by_recipe(switches, task))
            if arm == "whole":
                values |= {f"{name}: after step {n}": share for n, share in task.seen.items()}
                values[f"{name}: seconds, whole"] = task.seconds
        for arm, train in OTHERS.items():
            task.start()
            values[f"{name}: {arm}"] = task.accuracy(train(task))
            values[f"{name}: seconds, {arm}"] = task.seconds
    for arm in ("whole", *OTHERS):
        values[f"seconds, {arm}"] = sum(values[f"{name}: seconds, {arm}"] for name in SETS)
    return values


class Task:
    """The pictures of one run, what the frozen body makes of them, and a look at the test set."""

    def __init__(self, pictures: Pictures, seed: int):
        self.images = pictures.drawn(seed).with_augment(pictures.changes)
        self.times, self.seed = pictures.times, seed
        self.found = transfer.features(self.images.train.images)

    def start(self) -> None:
        """Forget what was seen of the arm before."""
        self.seen: dict[int, float] = {}
        self.began, self.looking = time.process_time(), 0.0

    def look(self, step: int, model: nn.Module) -> None:
        """Note the accuracy after a step; it isn't a part of the training, nor of its seconds."""
        began = time.process_time()
        self.seen[step] = self._accuracy(model)
        self.looking += time.process_time() - began

    def accuracy(self, model: nn.Module) -> float:
        """On the test pictures, at the end of the training, whose seconds are kept."""
        self.seconds = time.process_time() - self.began - self.looking
        return self._accuracy(model)

    def _accuracy(self, model: nn.Module) -> float:
        return training.right(model, self.images.valid).float().mean().item()

    def new_model(self) -> models.LayerGroups:
        """The pretrained network with a head that knows nothing."""
        model = copy.deepcopy(transfer.body())
        model[-1] = transfer.new_head(self.found.shape[1], len(self.images.classes))
        return model

    def views(self, n: int, images: ImageData) -> Tensor:
        """The body's features of `n` varied copies of each training picture [n * N, features]."""
        generator = torch.Generator().manual_seed(self.seed)
        pictures = images.train.images
        return torch.cat([transfer.features(images.augment(pictures, generator)) for _ in range(n)])


# --- The 8 steps ----------------------------------------------------------------------------------


def by_recipe(switches: Recipe, task: Task) -> nn.Module:
    """Train by the recipe; work that a left-out step would have taken goes into the last step."""
    images, work = task.images, BUDGET
    if not switches.changes:
        images = images.with_augment(augment.none())
    model = task.new_model()
    head_lr = _head_lr(task) if switches.find else 0.01
    if switches.head_first:
        _train_head(model, images, task.found, head_lr, transfer.HEAD_STEPS, task.seed)
        task.look(3, model)
        work -= 1
    if switches.head_again:
        for epoch in task.views(2, images).split(N):
            _train_head(model, images, epoch, head_lr, PER_EPOCH, task.seed)
        task.look(4, model)
        work -= 2
    if not switches.unfreeze:
        views = task.views(work, images)
        _train_head(model, images, views, head_lr, work * PER_EPOCH, task.seed)
        return model
    times = task.times if switches.graded else 1.0
    ratios = [times ** (i - 2) for i in range(3)]
    lr = _whole_lr(model, images, ratios) if switches.find_again else head_lr
    return _train_whole(model, images, _step_8(lr, work, switches.cycles), ratios, task.seed)


def _head_lr(task: Task) -> float:
    """Step 2, as the course's recipe reads the finder's curve."""
    head = models.LayerGroups(task.new_model()[-1])
    batches = list(zip(task.found.split(BATCH), task.images.train.labels.split(BATCH), strict=True))
    optimizer = optimizers.adamw(optimizers.parameter_groups(head, [1.0]))
    found = lr_find(head, optimizer, batches, F.cross_entropy)
    return recipe.careful_lr(found, 3 * SAFE_LR)[0]


def _whole_lr(model: nn.Module, images: ImageData, ratios: list[float]) -> float:
    """Step 7, likewise, on half as many mini-batches as there; they aren't counted as work."""
    batches = list(zip(*(part.split(BATCH) for part in images.train), strict=True))
    optimizer = optimizers.radam(optimizers.parameter_groups(models.layer_groups(model), ratios))
    found = lr_find(model.train(), optimizer, batches, F.cross_entropy, steps=20)
    return recipe.careful_lr(found, SAFE_LR)[0]


def _step_8(lr: float, work: int, cycles: bool) -> list[float]:
    """The LRs of step 8 for so much work: cycles that grow, the last with the rest; or constant."""
    total = round(work / TRAINING * PER_EPOCH)
    if not cycles:
        return list(schedule.constant(lr, total))
    lengths = [n * PER_EPOCH for n in LENGTHS[:-1]]
    lengths.append(total - sum(lengths))
    return [value for n in lengths for value in schedule.cosine(lr, n)]


def _train_head(
    model: nn.Module, images: ImageData, found: Tensor, lr: float, steps: int, seed: int
) -> None:
    """Train the head on features, along one cosine; the body stays."""
    flat, lrs = transfer.of_features(images, found), schedule.cosine(lr, steps)
    training.train(flat, lrs, seed, BATCH, model[-1], optimizers.adamw)


def _train_whole(
    model: nn.Module,
    images: ImageData,
    lrs: list[float],
    ratios: list[float],
    seed: int,
    optimizer: Callable = optimizers.radam,
) -> nn.Module:
    how = {"ratios": ratios, "max_grad_norm": transfer.CLIP}
    return training.train(images, lrs, seed, BATCH, model, optimizer, **how).model


# --- Other ways to spend the same work ------------------------------------------------------------


def _one_cycle(task: Task) -> nn.Module:
    """As fastai's `fine_tune` does: a frozen epoch, then one cycle with graded LRs.

    Its cycle of the momentum is left out; gradients are clipped as in the 8 steps.
    """
    model, images = task.new_model(), task.images
    flat = transfer.of_features(images, task.views(1, images))
    warm_up = schedule.one_cycle(FINE_TUNE_LR, PER_EPOCH, warm_up=0.99)
    training.train(flat, warm_up, task.seed, BATCH, model[-1], optimizers.adamw)
    steps = round((BUDGET - 1) / TRAINING * PER_EPOCH)
    lrs = schedule.one_cycle(FINE_TUNE_LR / 2, steps, start_div=5.0, final_div=1e5 / 5)
    ratios = [FINE_TUNE_TIMES ** (i / 2 - 1) for i in range(3)]
    return _train_whole(model, images, list(lrs), ratios, task.seed, optimizers.adamw)


def _all_layers(task: Task) -> nn.Module:
    """All layers from the start, at one LR, along one cosine."""
    lrs = schedule.cosine(SAFE_LR, round(BUDGET / TRAINING * PER_EPOCH))
    return _train_whole(task.new_model(), task.images, list(lrs), [1.0] * 3, task.seed)


def _converged_head(task: Task) -> nn.Module:
    """A head alone, trained to its end on the pictures and on as many varied copies as fit in."""
    model = task.new_model()
    found = torch.cat([task.found, task.views(BUDGET - 1, task.images)])
    model[-1] = transfer.converged_head(task.images, found)
    return model


OTHERS = {"one cycle": _one_cycle, "all layers": _all_layers, "converged head": _converged_head}

DELTA = 0.02  # of 640 test pictures 13: a single point would take four times the runs
_LEFT_OUT = {
    "1 augmentation": "no augmentation",
    "2 finder": "LR 0.01 for the head, without asking the finder",
    "3 head on activations": "no head on stored activations",
    "4 head with augmentation": "no epochs of the head with augmentation",
    "5 unfreezing": "the body stays frozen, the head trains on",
    "6 lower LRs": "one LR for all groups",
    "7 finder again": "the head's LR for the whole network",
    "8 cycles": "a constant LR in the last step",
}
REFUTED = "the gain is surely smaller than two points"


def _rows(name: str) -> list[Row]:
    left_out = [
        Row(f"{name}, {arm}", f"{name}: the whole recipe less: {text}", f"{name}: whole",
            f"{name}: {arm}", delta=DELTA, refuted=REFUTED)
        for arm, text in _LEFT_OUT.items()
    ]  # fmt: skip
    return [
        *left_out,
        Row(f"{name}, after step 4", f"{name}: accuracy after step 4 less after step 3",
            f"{name}: after step 4", f"{name}: after step 3", delta=DELTA, refuted=REFUTED),
        Row(f"{name}, after step 8", f"{name}: accuracy after step 8 less after step 4",
            f"{name}: whole", f"{name}: after step 4", delta=DELTA, refuted=REFUTED),
    ]  # fmt: skip


CLAIM = Claim(
    number="14",
    title="Each of the 8 steps earns its place",
    lesson="The 8 steps, one after the other, give a world-class classifier.",
    hypothesis="Leaving out any one step costs two points of accuracy, at equal work; and the "
    "accuracy rises by two points from step to step, where a step trains.",
    data=f"cells and trash, 64 px, and digits, 48 px: {N} of each to train on; 640, 640 and 2,000 "
    "to test",
    network="EfficientNet-Lite0 with ImageNet's weights, BatchNorm folded",
    varies="one step left out at a time, as each row says",
    fixed=f"work: {BUDGET} forward passes of all pictures, a training epoch of the whole network "
    f"counting {TRAINING}, which is about what it takes; what a left-out step would have taken "
    "goes into the last. Counted, not timed, so that runs repeat; the finder isn't counted. Its "
    "LRs are kept between .0003 and .003 for the head, .001 for all layers; earlier groups' are 3 "
    "times lower, on trash 10 times. AdamW for heads; RAdam, gradients clipped at 1, for all "
    "layers",
    measure="accuracy on test pictures, at the end (no best cycle is picked: that would need a "
    "third set), and after steps 3 and 4",
    rows=tuple(row for name in SETS for row in _rows(name)),
    run=run,
    seeds=(5, 80),
    minutes=360,
    chapters=("07",),
)
