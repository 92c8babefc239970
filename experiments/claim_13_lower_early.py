"""Do earlier layers want lower learning rates, on photos and on tiles?"""

from typing import Any

from experiments import creatures, material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import augment
from lessonkit.data import ImageData, Split

TILES, SIZE, EPOCHS = 384, 48, (1, 2)
PHOTO_SIZE, PHOTO_EPOCHS, PHOTO_LR, PHOTO_SPLITS = 64, (2, 4), 1e-3, 2  # as the recipe has it
TIMES = {"equal": 1.0, "3 times": 3.0, "10 times": 10.0}
LRS = (3e-4, 1e-3, 3e-3)


def _ratios(arm: str) -> list[float]:
    return [TIMES[arm] ** (i - 2) for i in range(3)]


def tune() -> dict[str, Any]:
    """For tiles the best LR of the last group, for each ratio."""
    found: dict[str, Any] = {}
    for arm in TIMES:
        reached = {f"{lr:g}": 0.0 for lr in LRS}
        for seed in training.TUNING_SEEDS:
            images, model = _start(seed, "tuning")
            for lr in LRS:
                trained = transfer.fine_tuned(model, images, lr, EPOCHS, seed, _ratios(arm))
                share = training.loss_and_accuracy(trained, images.valid)[1]
                reached[f"{lr:g}"] += share / len(training.TUNING_SEEDS)
        found[arm] = {"lr": float(max(reached, key=reached.get)), **reached}
    return found


def _start(seed: int, part: str = "test"):
    images = material.tiles(seed, TILES, SIZE, part).with_augment(augment.top_down())
    return images, transfer.with_head(images, transfer.features(images.train.images), seed)


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """Train the whole network with each ratio, on tiles and on two splits of the photos."""
    images, model = _start(seed)
    values: dict[str, Any] = {"tiles: head": training.loss_and_accuracy(model, images.valid)[1]}
    for arm in TIMES:
        lr = tuned[arm]["lr"]
        trained = transfer.fine_tuned(model, images, lr, EPOCHS, seed, _ratios(arm))
        values[f"tiles: {arm}"] = training.loss_and_accuracy(trained, images.valid)[1]
        values[f"photos: {arm}"] = []
    for number in range(PHOTO_SPLITS * seed, PHOTO_SPLITS * (seed + 1)):
        for arm, reached in _photos(number).items():
            values[f"photos: {arm}"].append(reached)
    return values


def _photos(number: int) -> dict[str, float]:
    inside, outside = creatures.split(number)
    photos = creatures.photos(PHOTO_SIZE)
    train, test = (Split(*(part[rows] for part in photos)) for rows in (inside, outside))
    images: ImageData = creatures.as_images(train).with_augment(augment.side_on())
    model = transfer.with_head(images, transfer.features(train.images), number)
    reached = {}
    for arm in TIMES:
        trained = transfer.fine_tuned(
            model, images, PHOTO_LR, PHOTO_EPOCHS, number, _ratios(arm), batch_size=16
        )
        reached[arm] = training.loss_and_accuracy(trained, test)[1]
    return reached


CLAIM = Claim(
    number="13",
    title="Earlier layers want 3 to 10 times lower LRs",
    lesson="Give each earlier group of layers a lower LR than the next: 10 times for pictures "
    "like ImageNet's, 3 times for satellite or medical ones.",
    hypothesis="On photos 10 times lower LRs beat equal ones by a point; on tiles 3 times lower "
    "ones do.",
    data="earth, 48 px, 384 tiles; creatures, 64 px, in random splits 80:20, two a run",
    network="EfficientNet-Lite0 with ImageNet's weights and a head trained on stored activations, "
    "in three layer groups",
    varies="how many times lower the LR of each group is than that of the next: 1, 3 or 10",
    fixed="cycles (1 and 2 epochs; of the few photos 2 and 4), RAdam; the last group's LR is "
    "tuned for each ratio on tiles; on photos, too few to tune on, it is 0.001 for all",
    measure="accuracy on test pictures",
    rows=(
        Row("tiles, 3 times", "tiles: 3 times lower less equal LRs", "tiles: 3 times",
            "tiles: equal"),
        Row("tiles, 10 times", "tiles: 10 times lower less equal LRs", "tiles: 10 times",
            "tiles: equal"),
        Row("photos, 3 times", "photos: 3 times lower less equal LRs", "photos: 3 times",
            "photos: equal", test_share=creatures.TEST_SHARE),
        Row("photos, 10 times", "photos: 10 times lower less equal LRs", "photos: 10 times",
            "photos: equal", test_share=creatures.TEST_SHARE),
    ),
    run=run,
    tune=tune,
    seeds=(6, 12),
    chapters=("06", "07"),
)  # fmt: skip
