"""Does test-time augmentation help, where, and how much for its cost?"""

import time
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from experiments import creatures, material, training
from experiments.claim import Claim, Row
from lessonkit import augment, schedule
from lessonkit.augment import Augment
from lessonkit.data import ImageData

LRS = (0.003, 0.01, 0.03, 0.1, 0.3)
ARMS = {  # pictures, mini-batches, changes in training, views in the test
    "tiles": (partial(material.tiles, n=1024), 224, augment.top_down(), augment.top_down()),
    "tiles, plain": (partial(material.tiles, n=1024), 224, augment.none(), augment.top_down()),
    "digits": (partial(material.digits, n=500), 200, augment.symbols(), augment.symbols()),
}
TIMES = 5  # that seconds are measured


def tune() -> dict[str, Any]:
    """The best LR for each set of pictures and way of training."""
    found = {}
    for arm, (pictures, steps, changes, _) in ARMS.items():

        def images(seed: int, pictures=pictures, changes=changes) -> ImageData:
            return pictures(seed, part="tuning").with_augment(changes)

        found[arm] = training.best_lr(images, partial(schedule.cosine, steps=steps), LRS)
    return found


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """Accuracy with one look and with all fixed views, and the seconds of each."""
    values: dict[str, Any] = {}
    for arm, (pictures, steps, changes, looks) in ARMS.items():
        images = pictures(seed).with_augment(changes)
        model = training.train(images, schedule.cosine(tuned[arm]["lr"], steps), seed).model
        tests, labels = images.valid
        values[f"{arm}: once"] = training.accuracy(training.probabilities(model, tests), labels)
        values[f"{arm}: tta"] = training.accuracy(_tta(model, tests, looks), labels)
    once, all_views = _seconds(model, tests, looks)
    values["seconds a view"] = all_views / len(list(looks.views(tests[:1])))
    values["seconds"] = once
    return values | _photos(seed)


def _tta(model: nn.Module, pictures: Tensor, looks: Augment) -> Tensor:
    views = looks.views(pictures)
    return torch.stack([training.probabilities(model, view) for view in views]).mean(0)


def _seconds(model: nn.Module, pictures: Tensor, looks: Augment) -> tuple[float, float]:
    """The quickest of several predictions, plain and with TTA."""

    def quickest(predict) -> float:
        took = []
        for _ in range(TIMES):
            started = time.perf_counter()
            predict()
            took.append(time.perf_counter() - started)
        return min(took)

    plain = quickest(lambda: training.probabilities(model, pictures))
    return plain, quickest(lambda: _tta(model, pictures, looks))


def _photos(seed: int) -> dict[str, list[float]]:
    """Heads on photos and their mirror images, tested on the photos alone and on both."""
    plain, mirrored = creatures.features(), creatures.features(mirrored=True)
    found: dict[str, list[float]] = {"photos: once": [], "photos: tta": []}
    for inside, outside in creatures.splits(seed):
        head = creatures.train_head([plain[inside], mirrored[inside]], inside, seed)
        with torch.no_grad():
            once, other = (head(looks[outside]).softmax(1) for looks in (plain, mirrored))
        labels = creatures.photos().labels[outside]
        found["photos: once"].append(training.accuracy(once, labels))
        found["photos: tta"].append(training.accuracy(once + other, labels))
    return found


CLAIM = Claim(
    number="06",
    title="Test-time augmentation helps",
    lesson="Predict several varied views of a picture and average: it costs time, and is often "
    "right where one look is wrong.",
    hypothesis="Averaging over fixed views raises the accuracy by a point on tiles, digits and "
    "photos, and takes as many times longer as there are views.",
    data="earth, 32 px, 1,024 tiles; 500 digits; creatures, 128 px, split 80:20, 200 times or more",
    network="small_cnn, width 8, from scratch; for creatures a head on EfficientNet-Lite0's "
    "features",
    varies="one view, or all fixed views: 8 of tiles, 2 of digits (a little enlarged) and of "
    "photos (mirrored)",
    fixed="the trained network itself: TTA changes nothing before the test",
    measure="accuracy on test pictures; seconds, the quickest of five",
    rows=(
        Row("tiles", "tiles, trained with flips and turns: 8 views less one", "tiles: tta",
            "tiles: once"),
        Row("tiles, plain", "tiles, trained without: 8 views less one", "tiles, plain: tta",
            "tiles, plain: once"),
        Row("digits", "digits: 2 views less one", "digits: tta", "digits: once"),
        Row("photos", "photos: 2 views less one", "photos: tta", "photos: once",
            test_share=creatures.TEST_SHARE),
        Row("cost", "seconds of each view, of those of a plain prediction", "seconds a view",
            "seconds", kind="equal", delta=1.25, unit="×", timed=True,
            refuted="a view surely costs a quarter more, or less, than a plain prediction"),
    ),
    run=run,
    tune=tune,
    seeds=(10, 16),
    chapters=("03", "07"),
)  # fmt: skip
