"""The entries to beat in notebook 10's challenge: each with three seeds, and their medians.

    OMP_NUM_THREADS=1 python benchmarks/challenge.py [SECONDS]

The figures go into TO_BEAT in lessonkit/course/challenge.py by hand.
"""

import argparse
import copy
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from lessonkit import augment, models
from lessonkit import recipe as eight
from lessonkit.course import challenge, hardware
from lessonkit.images.image_data import ImageData
from lessonkit.learner import Learner
from lessonkit.training import optimizers

ARCH = "tf_efficientnet_lite0"
SEEDS = range(3)


def fit_within(learn: Learner, lr: Any, seconds: float) -> Learner:
    """Train for one cosine cycle that ends before `seconds` are over; returns the learner.

    One mini-batch is timed first. If not even one epoch fits, fewer pictures are used. Raises
    ValueError while precompute is on: a step of the head alone is too short to plan by.
    """
    if learn.precompute:
        raise ValueError("fit_within times a step from pictures on: set learn.precompute = False.")
    started = time.perf_counter()
    inputs, labels = next(learn.batches())
    step = hardware.training_step_seconds(copy.deepcopy(learn.model).train(), inputs, labels)
    left = 0.7 * (seconds - (time.perf_counter() - started))  # validating takes time as well
    epochs = left / (step * learn.n_batches)
    if epochs < 1:
        fewer = learn.images.with_training(slice(None, None, math.ceil(1 / max(epochs, 1e-3))))
        learn.set_data(fewer.with_augment(learn.augment))
    learn.fit(lr, 1, cycle_len=max(1, int(epochs)))
    return learn


def small_network(pictures: ImageData, seconds: float, seed: int) -> Learner:
    """The small network of notebook 01, from scratch, on tiles of 32 px."""
    learn = Learner(models.small_cnn(8, width=16, seed=seed), pictures.resized(32), seed)
    return fit_within(learn, 0.1, seconds)


def recipe(pictures: ImageData, seconds: float, seed: int) -> Callable[[Tensor], Tensor]:
    """The 8 steps as far as they get: steps 1 to 3, one cycle of the whole network, and TTA."""
    started = time.perf_counter()
    learn = Learner.pretrained(ARCH, pictures.with_augment(augment.none()), seed=seed)
    lr, _ = eight.careful_lr(learn.lr_find(), 3 * eight.SAFE_LR)
    learn.fit(lr, 1, cycle_len=math.ceil(eight.HEAD_STEPS / learn.n_batches))
    learn.precompute, learn.augment = False, pictures.augment
    learn.unfreeze()
    learn.optimizer = optimizers.radam
    ratios, _ = eight.lr_ratios(learn)
    lrs = [eight.SAFE_LR * ratio for ratio in ratios]
    fit_within(learn, lrs, seconds - (time.perf_counter() - started))
    return lambda tiles: learn.predict(tiles, tta=True)


def main() -> None:
    """Run all entries, and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "seconds",
        nargs="?",
        type=float,
        default=challenge.SECONDS,
        help="of each entry, %(default)g",
    )
    seconds = parser.parse_args().seconds
    for name, train in (
        ("small network from scratch", small_network),
        ("the recipe, as far as it gets", recipe),
    ):
        board: list[challenge.Entry] = []
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as empty:  # nothing prepared by an earlier run
                os.environ["LESSONKIT_CACHE"] = empty
                print(challenge.enter(name, partial(train, seed=seed), seconds, board), flush=True)
        scores = [entry.score for entry in board if entry.score is not None]
        print(f"{name}: median {statistics.median(scores):.3f} of {len(scores)}", flush=True)


if __name__ == "__main__":
    main()
