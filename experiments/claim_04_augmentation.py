"""Does augmentation narrow the gap between training and test, and what is it worth in data?"""

from functools import partial
from typing import Any

import numpy as np

from experiments import material, training
from experiments.claim import Claim, Row
from lessonkit import augment, schedule
from lessonkit.data import ImageData

STEPS, LRS = 384, (0.003, 0.01, 0.03, 0.1)
ARMS = {  # tiles to train on, and how they may vary
    "quarter": (256, augment.none()),
    "half": (512, augment.none()),
    "all": (1024, augment.none()),
    "augmented": (512, augment.top_down()),
}


def tune() -> dict[str, Any]:
    """The best LR for each arm."""
    cosine = partial(schedule.cosine, steps=STEPS)
    return {
        arm: training.best_lr(partial(_images, arm, part="tuning"), cosine, LRS) for arm in ARMS
    }


def _images(arm: str, seed: int, part: str = "test") -> ImageData:
    n, changes = ARMS[arm]
    return material.tiles(seed, n, part=part).with_augment(changes)


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """Train each arm; what augmentation is worth is read off the line through the other three."""
    values: dict[str, Any] = {"places": material.place_sizes()}
    for arm in ARMS:
        images = _images(arm, seed)
        model = training.train(images, schedule.cosine(tuned[arm]["lr"], STEPS), seed).model
        train = training.loss_and_accuracy(model, images.train)[1]
        test = material.by_place(training.right(model, images.valid))
        values |= {f"{arm}: accuracy": test, f"{arm}: gap": [train - there for there in test]}
    *curve, reached = (
        np.average(values[f"{arm}: accuracy"], weights=values["places"]) for arm in ARMS
    )
    return values | {"worth": _equal_data(curve, reached)}


def _equal_data(curve: list[float], reached: float) -> float:
    """How many times 512 tiles give accuracy `reached`, by the line through a half, 1 and 2 times.

    Straight in the logarithm of the number of tiles, by least squares; not read further than a
    quarter and four times, twice as far as there are measurements.
    """
    slope, middle = np.polyfit([-1.0, 0.0, 1.0], curve, 1)
    doublings = (reached - middle) / slope if slope > 0 else np.sign(reached - middle) * 2
    return float(2.0 ** np.clip(doublings, -2, 2))


CLAIM = Claim(
    number="04",
    title="Augmentation narrows the gap, and stands in for more data",
    lesson="More data is the best cure for overfitting; augmentation is the easier and cheaper "
    "one.",
    hypothesis="With flips and quarter turns the gap between training and test accuracy is "
    "narrower, the test accuracy higher, and as high as with at least a quarter more tiles.",
    data="earth, 32 px: 256, 512 or 1,024 tiles to train on; test tiles of other blocks",
    network="small_cnn, width 8, from scratch",
    varies="flips and quarter turns on or off at 512 tiles; the number of tiles without",
    fixed="384 mini-batches of 32, so equal work; the LR is tuned for each arm (with 1,024 "
    "tiles it took the lowest of four)",
    measure="accuracy on un-augmented training and test tiles; the interval of what augmentation "
    "is worth, no mean over tiles, is over seeds alone. That is read off a straight line through "
    "the three accuracies without, at a quarter to four times as many; where the line doesn't "
    "rise, it is one of these ends: it tells a sign, not a size",
    rows=(
        Row(
            "gap",
            "the gap between training and test accuracy: without less with",
            "half: gap",
            "augmented: gap",
            places=True,
        ),
        Row(
            "accuracy",
            "test accuracy: with less without",
            "augmented: accuracy",
            "half: accuracy",
            places=True,
        ),
        Row(
            "worth",
            "worth as many times the tiles",
            "worth",
            unit="×",
            delta=1.25,
            refuted="it is surely worth less than a quarter more tiles",
        ),
    ),
    run=run,
    tune=tune,
    seeds=(8, 100),
    minutes=60,
    chapters=("03",),
)
