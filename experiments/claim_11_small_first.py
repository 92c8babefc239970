"""Small pictures first: no worse, and in less time?"""

import time
from typing import Any

from torch import nn

from experiments import material, training
from experiments.claim import Claim, Row
from lessonkit import models, schedule
from lessonkit.data import ImageData

DIGITS, EPOCHS, SMALL, SIZE = 1024, 7, 16, 28
SMALL_EPOCHS = 4  # of the 7
LRS = (0.03, 0.1, 0.3, 1.0)
PER_EPOCH = DIGITS // 32


def tune() -> dict[str, Any]:
    """The best LR for either way."""
    reached: dict[str, dict[str, float]] = {"large": {}, "small first": {}}
    for lr in LRS:
        for arm in reached:
            tries = []
            for seed in training.TUNING_SEEDS:
                model = _train(arm, seed, lr, "tuning")
                tries.append(
                    training.loss_and_accuracy(model, _digits(seed, SIZE, "tuning").valid)[1]
                )
            reached[arm][f"{lr:g}"] = sum(tries) / len(tries)
    return {arm: {"lr": float(max(r, key=r.get)), **r} for arm, r in reached.items()}


def _digits(seed: int, size: int, part: str = "test") -> ImageData:
    return material.digits(seed, DIGITS, part, size)


def _train(arm: str, seed: int, lr: float, part: str = "test") -> nn.Module:
    """One cosine over 7 epochs, the first 4 of them on small pictures, or none."""
    lrs, small = schedule.cosine(lr, EPOCHS * PER_EPOCH), 0
    model = models.small_cnn(10, training.WIDTH, seed)
    if arm == "small first":
        small = SMALL_EPOCHS * PER_EPOCH
        model = training.train(_digits(seed, SMALL, part), lrs[:small], seed, model=model).model
    return training.train(_digits(seed, SIZE, part), lrs[small:], seed, model=model).model


def run(seed: int, tuned: dict[str, Any]) -> dict[str, float]:
    """Accuracy, seconds and multiply-adds of both ways."""
    values = {}
    for size in (SMALL, SIZE):
        _digits(seed, size)  # resized before the clock starts
    for arm in ("large", "small first"):
        started = time.process_time()
        model = _train(arm, seed, tuned[arm]["lr"])
        values[f"{arm}: seconds"] = time.process_time() - started
        values[f"{arm}: accuracy"] = training.loss_and_accuracy(model, _digits(seed, SIZE).valid)[1]
        small = SMALL_EPOCHS if arm == "small first" else 0
        values[f"{arm}: work"] = small * _multiply_adds(model, SMALL) + (
            EPOCHS - small
        ) * _multiply_adds(model, SIZE)
    return values


def _multiply_adds(model: nn.Module, size: int) -> float:
    """Multiply-adds of all convolutions for one picture, in a forward pass."""
    counted: list[float] = []

    def count(layer: nn.Conv2d, _, output) -> None:
        kernel = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
        counted.append(float(kernel * output[0].numel()))

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    training.probabilities(model, _digits(0, size).valid.images[:1])
    for hook in hooks:
        hook.remove()
    return sum(counted)


# Large over small ×1.25 is a fifth less. The words said a quarter until all runs were made.
CLAIM = Claim(
    number="11",
    title="Small pictures first",
    lesson="Train on small pictures first, then on large ones: it is quicker, and guards against "
    "overfitting.",
    hypothesis="4 of 7 epochs at 16 px lose less than a point of accuracy, and take at "
    "least a fifth less time and multiply-adds.",
    data="digits, 28 px, the first epochs at 16 px: 1,024 to train on, 2,000 to test",
    network="small_cnn, width 8, from scratch",
    varies="the size in the first 4 of 7 epochs",
    fixed="mini-batches (224 of 32) and one cosine over all of them; the LR is tuned for each "
    "(small first took the lowest of four), and SGD begins anew with the large pictures",
    measure="accuracy on test digits of 28 px; processor seconds of training; multiply-adds of "
    "the convolutions, counted",
    rows=(
        Row("accuracy", "accuracy: small first less large throughout", "small first: accuracy",
            "large: accuracy", kind="no_worse", refuted="it is surely more than a point worse"),
        Row("seconds", "seconds: large throughout over small first", "large: seconds",
            "small first: seconds", unit="×", delta=1.25, timed=True,
            refuted="it surely saves less than a fifth"),
        Row("work", "multiply-adds: large throughout over small first", "large: work",
            "small first: work", unit="×", delta=1.25,
            refuted="it surely saves less than a fifth"),
    ),
    run=run,
    tune=tune,
    seeds=(6, 60),
    minutes=20,
    chapters=("06",),
)  # fmt: skip
