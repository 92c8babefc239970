"""Precomputed activations: the same head, in a fraction of the time?"""

import time
from typing import Any

import torch

from experiments import material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import Learner

TILES, SIZE, EPOCHS, LR = 256, 48, 2, 1e-3


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """Two epochs of the head with and without precompute: seconds, and how far the heads differ."""
    images, heads = material.tiles(seed, TILES, SIZE), {}
    values: dict[str, Any] = {"places": material.place_sizes()}
    for arm in ("with", "without"):
        learn = Learner.pretrained(transfer.ARCH, images, precompute=arm == "with", seed=seed)
        learn.activations()  # computed once, before the clock starts
        started = time.process_time()
        learn.fit(LR, EPOCHS)
        values[f"{arm}: seconds"] = time.process_time() - started
        values[f"{arm}: accuracy"] = material.by_place(training.right(learn.model, images.valid))
        heads[arm] = torch.cat([part.detach().flatten() for part in learn.groups[-1].parameters()])
    values["difference"] = (heads["with"] - heads["without"]).abs().max().item()
    return values


CLAIM = Claim(
    number="12",
    title="Precomputed activations give the same head in a fraction of the time",
    lesson="With precompute=True the last layer trains on stored activations of the frozen body.",
    hypothesis="An epoch of the head takes less than a fourth of the time, and the head is the "
    "same.",
    data="earth, 48 px, 256 tiles without augmentation; test tiles of other blocks",
    network="EfficientNet-Lite0 with ImageNet's weights, body frozen",
    varies="precompute on or off",
    fixed="two epochs, mini-batches and their order; the body's pass before them isn't counted",
    measure="processor seconds of the two epochs, validation on 723 tiles included; accuracy; the "
    "largest difference between the two heads' weights",
    rows=(
        Row("seconds", "seconds of two epochs: without over with", "without: seconds",
            "with: seconds", unit="×", delta=4.0, timed=True,
            refuted="it surely saves less than three quarters"),
        Row("accuracy", "accuracy: with less without", "with: accuracy", "without: accuracy",
            kind="equal", delta=0.002, places=True,
            refuted="they surely differ by more than .2 points"),
        Row("same head", "the largest difference of any weight of the heads", "difference",
            kind="equal", delta=1e-4, unit="weight", refuted="it is surely more than 0.0001"),
    ),
    run=run,
    seeds=(5, 20),
    minutes=10,
    chapters=("06", "07"),
)  # fmt: skip
