"""Do earlier layers want lower learning rates, or is it only the lower learning rate?"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from experiments import material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import augment
from lessonkit.augment import Augment
from lessonkit.data import ImageData

LRS = (3e-4, 1e-3, 3e-3)
EPOCHS = (1, 2)
TIMES = {"equal": 1.0, "3 times": 3.0, "10 times": 10.0}  # lower, for each earlier group


class Pictures(NamedTuple):
    """A set of the comparison: how it is drawn, how it may vary, and the lesson's own ratio."""

    drawn: Callable[..., ImageData]
    changes: Augment
    lesson: str


SETS = {
    "tiles": Pictures(partial(material.tiles, n=384, size=48), augment.top_down(), "3 times"),
    "cells": Pictures(material.cells, Augment("mirrored", mirror=True, half_turns=True), "3 times"),
    "trash": Pictures(material.trash, augment.side_on(), "10 times"),
}


def tune() -> dict[str, Any]:
    """For each set and each ratio, the best LR of the last group."""
    found: dict[str, Any] = {}
    for name in SETS:
        reached = {arm: {f"{lr:g}": 0.0 for lr in LRS} for arm in TIMES}
        for seed in training.TUNING_SEEDS:
            images, model = _start(name, seed, "tuning")
            for arm in TIMES:
                for lr in LRS:
                    trained = _trained(model, images, lr, seed, TIMES[arm])
                    share = training.loss_and_accuracy(trained, images.valid)[1]
                    reached[arm][f"{lr:g}"] += share / len(training.TUNING_SEEDS)
        for arm, shares in reached.items():
            found[f"{name}: {arm}"] = {"lr": float(max(shares, key=shares.get)), **shares}
    return found


def _start(name: str, seed: int, part: str = "test") -> tuple[ImageData, nn.Module]:
    images = SETS[name].drawn(seed, part=part).with_augment(SETS[name].changes)
    return images, transfer.with_head(images, transfer.features(images.train.images), seed)


def _trained(
    model: nn.Module, images: ImageData, lr: float, seed: int, times: float = 1.0
) -> nn.Module:
    ratios = [times ** (i - 2) for i in range(3)]
    return transfer.fine_tuned(model, images, lr, EPOCHS, seed, ratios)


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """Train the whole network with each ratio, and with one LR as low as the middle group's."""
    values: dict[str, Any] = {"places": material.place_sizes()}
    for name, pictures in SETS.items():
        images, model = _start(name, seed)
        lrs = {arm: tuned[f"{name}: {arm}"]["lr"] for arm in TIMES}
        networks = {arm: _trained(model, images, lrs[arm], seed, TIMES[arm]) for arm in TIMES}
        lower = lrs[pictures.lesson] / TIMES[pictures.lesson]
        networks |= {"head": model, "one lower": _trained(model, images, lower, seed)}
        for arm, network in networks.items():
            right = training.right(network, images.valid)
            whole = right.float().mean().item()
            values[f"{name}: {arm}"] = material.by_place(right) if name == "tiles" else whole
    return values


def _rows(name: str) -> tuple[Row, ...]:
    lesson = SETS[name].lesson
    pairs = [(arm, "equal", "equal LRs") for arm in ("3 times", "10 times")]
    pairs.append((lesson, "one lower", f"one LR for all, that of the middle group at {lesson}"))
    return tuple(
        Row(
            f"{name}, {plus}" if minus == "equal" else f"{name}, {plus} or one lower LR",
            f"{name}: {plus} lower less {text}",
            f"{name}: {plus}",
            f"{name}: {minus}",
            places=name == "tiles",
        )
        for plus, minus, text in pairs
    )


CLAIM = Claim(
    number="13",
    title="Earlier layers want 3 to 10 times lower LRs",
    lesson="Give each earlier group of layers a lower LR than the next: 10 times for pictures "
    "like ImageNet's, 3 times for satellite or medical ones.",
    hypothesis="On photos 10 times lower LRs beat equal ones by a point; on tiles and cells 3 "
    "times lower ones do. And it is the grading that does it: one LR as low as the middle group's, "
    "for all layers, is a point worse.",
    data="earth, 48 px, 384 tiles; cells and trash, 80 px, 320 of each",
    network="EfficientNet-Lite0 with ImageNet's weights and a head trained on stored activations, "
    "in three layer groups",
    varies="how many times lower the LR of each group is than that of the next: 1, 3 or 10; or one "
    "lower LR for all",
    fixed="cycles of 1 and 2 epochs, RAdam, batches of 32; the last group's LR is tuned for each "
    "ratio and set, of .0003, .001 and .003 (seven of nine took an end), and the one lower LR "
    "follows from it",
    measure="accuracy on test pictures",
    rows=tuple(row for name in SETS for row in _rows(name)),
    run=run,
    tune=tune,
    seeds=(5, 60),
    minutes=120,
    chapters=("06", "07"),
)
