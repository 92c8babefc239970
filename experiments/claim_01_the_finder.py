"""Is the LR finder's suggestion as good as the best learning rate there is?"""

from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments import material, training
from experiments.claim import Claim, Row
from lessonkit import landscape, lr_find, models, schedule
from lessonkit.data import ImageData
from lessonkit.learner import Learner
from lessonkit.training import optimizers

DIGITS, STEPS, BATCH = 1000, 128, 32
SWEEP = np.geomspace(1e-3, 10, 9)
RULES = ("suggestion", "improving", "steepest", "valley", "lowest")
SHAPES = {"constant": schedule.constant, "cosine": schedule.cosine}
TOO_LOW = 30.0  # times below the best
MULTIPLES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)  # of 2/λ


def tune() -> dict[str, Any]:
    """The best LR of the sweep, for either schedule."""
    digits = partial(material.digits, n=DIGITS, part="tuning")
    return {
        name: training.best_lr(digits, lambda lr, shape=shape: shape(lr, STEPS), SWEEP)
        for name, shape in SHAPES.items()
    }


def run(seed: int, tuned: dict[str, Any]) -> dict[str, float]:
    """Train at the sweep's best LR, at each rule's, too low and too high."""
    images = material.digits(seed, DIGITS)
    found = _find(images, seed)
    values = {f"{rule}: lr": getattr(found, rule) for rule in RULES}
    for name, shape in SHAPES.items():
        best = tuned[name]["lr"]
        lrs = {"best": best, "too low": best / TOO_LOW, "too high": SWEEP[-1]}
        lrs |= {rule: values[f"{rule}: lr"] for rule in RULES}
        for arm, lr in lrs.items():
            trained = training.train(images, shape(lr, STEPS), seed)
            reached = training.loss_and_accuracy(trained.model, images.valid)[1]
            values[f"{arm}, {name}"] = reached
            values[f"{arm}, {name}, diverged"] = float(trained.diverged)
            if name == "constant":  # a high LR to the end leaves BatchNorm's moving average behind
                anew = training.with_new_statistics(trained.model, images.train.images)
                reached = training.loss_and_accuracy(anew, images.valid)[1]
                values[f"{arm}, {name}, anew"] = reached
    return values | {"explodes at": _explodes_at(images, seed)}


def _find(images: ImageData, seed: int):
    model = models.small_cnn(10, training.WIDTH, seed)
    optimizer = optimizers.sgd(optimizers.parameter_groups([model], [1.0]))
    order = torch.randperm(DIGITS, generator=torch.Generator().manual_seed(seed))
    batches = [tuple(part[rows] for part in images.train) for rows in order.split(BATCH)]
    model.train()
    return lr_find(model, optimizer, batches, F.cross_entropy)


def _explodes_at(images: ImageData, seed: int) -> float:
    """The lowest of a few multiples of 2/λ at which plain gradient descent makes the loss rise."""
    few = images.with_training(slice(256))
    model = models.small_cnn(10, 4, seed)
    _descend(model, few, 0.1, 60)  # from a random start λ changes too quickly
    curvature = landscape.largest_curvature(model.train(), F.cross_entropy, *few.train)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for times in MULTIPLES:
        model.load_state_dict(start)
        losses = _descend(model, few, times * 2 / curvature, 40)
        if not np.diff(losses).max() <= 0:
            return times
    return 2 * MULTIPLES[-1]


def _descend(model: nn.Module, images: ImageData, lr: float, steps: int) -> list[float]:
    """Plain gradient descent on all training pictures at once; the loss before each step."""
    n = len(images.train.labels)
    learn = Learner(model, images, optimizer=torch.optim.SGD, device="cpu", batch_size=n)
    return list(learn.steps([lr] * steps))


def _row(rule: str, shape: str, end: str = "", said: str = "") -> Row:
    return Row(
        f"{rule}, {shape}{end}",
        f"the rule “{rule}”, {shape} schedule{said}: its accuracy less that at the best LR",
        f"{rule}, {shape}{end}",
        f"best, {shape}{end}",
        kind="no_worse",
        chapters=("02",),
        refuted="it is surely more than a point worse than the best LR",
    )


_ANEW = ", BatchNorm's statistics measured again"

CLAIM = Claim(
    number="01",
    title="The finder's suggestion is as good as the best LR",
    lesson="Find the LR with the lowest loss and go back one order of magnitude, or take the "
    "highest at which the loss is still clearly improving. Too low is slow, too high diverges.",
    hypothesis="The finder's rules, the lesson's two among them, give an accuracy within a point "
    "of the best LR of a sweep; not so the LR of the lowest loss itself: of its rows, which ask "
    "the same, it is expected that they fail.",
    data="digits, 28 px: 1,000 to train on, 1,000 to tune with, 2,000 to test",
    network="small_cnn, width 8, from scratch; width 4 for 2/λ",
    varies="the LR: five rules, the best of nine (0.001 to 10) on the tuning digits, 30 times "
    "less, 10",
    fixed="128 mini-batches of 32, SGD with momentum 0.9: a reader with a fixed time chooses an LR",
    measure="accuracy on the test digits; for 2/λ the lowest of ten multiples (.5 to 1.1 by "
    "tenths, 1.25, 1.5 and 2) at which the loss rises within 40 steps of plain gradient descent: "
    "it is rounded up, and with the middles of these steps the row would be undecided",
    rows=(
        *(_row(rule, shape) for shape in SHAPES for rule in RULES),
        *(_row(rule, "constant", ", anew", _ANEW) for rule in RULES),
        *(
            Row(
                f"{name}, {shape}",
                f"the best LR, {shape}, less {text}",
                f"best, {shape}",
                f"{name}, {shape}",
            )
            for shape in SHAPES
            for name, text in (("too low", "one 30 times lower"), ("too high", "LR 10"))
        ),
        Row(
            "too low, constant, anew",
            f"the best LR, constant, less one 30 times lower{_ANEW}",
            "best, constant, anew",
            "too low, constant, anew",
        ),
        Row(
            "2/λ",
            "the LR at which gradient descent first makes the loss rise, as a multiple of 2/λ",
            "explodes at",
            kind="equal",
            delta=1.25,
            unit="×",
            refuted="it surely lies below 1/1.25 times 2/λ, or above 1.25 times",
        ),
    ),
    run=run,
    tune=tune,
    seeds=(6, 30),
    minutes=30,
    chapters=("01", "02"),
)
