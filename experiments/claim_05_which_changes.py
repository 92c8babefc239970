"""Which changes of a picture keep its label: flips for photos, digits and tiles, and colours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from experiments import creatures, material, training
from experiments.claim import Claim, Row
from lessonkit import schedule
from lessonkit.augment import Augment
from lessonkit.data import ImageData

TILES, TILE_STEPS = 512, 320
DIGITS, DIGIT_STEPS = 500, 200
SYMMETRIC = (0, 1, 8)  # digits that a mirror leaves alone, or nearly
STRONG = 0.4  # of the range, up to which each colour is made stronger or weaker


@dataclass(frozen=True)
class Flip(Augment):
    """Half of the pictures upside down (`axis` 2) or mirrored (3), nothing else."""

    axis: int = 3

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A varied copy of uint8 pictures [N, 3, S, S]."""
        flipped = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
        return torch.where(flipped, images.flip(self.axis), images)


class Colours(Augment):
    """Red, green and blue each made stronger or weaker."""

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A varied copy of uint8 pictures [N, 3, S, S]."""
        times = 1 + STRONG * (2 * torch.rand(len(images), 3, 1, 1, generator=generator) - 1)
        return (images * times).round().clamp(0, 255).to(torch.uint8)


CHANGES = {
    "none": Augment("none"),
    "mirrored": Flip("mirrored", axis=3),
    "upside down": Flip("upside down", axis=2),
    "colours": Colours("colours"),
}
LRS = {"tiles": (0.003, 0.01, 0.03, 0.1), "digits": (0.03, 0.1, 0.3, 1.0)}
SETS: dict[str, tuple[Callable[..., ImageData], int, list[str]]] = {
    "tiles": (partial(material.tiles, n=TILES), TILE_STEPS, list(CHANGES)),
    "digits": (partial(material.digits, n=DIGITS), DIGIT_STEPS, ["none", "mirrored"]),
}


def tune() -> dict[str, Any]:
    """The best LR for each set of pictures and each change."""
    found = {}
    for name, (pictures, steps, arms) in SETS.items():
        for arm in arms:

            def images(seed: int, pictures=pictures, arm=arm) -> ImageData:
                return pictures(seed, part="tuning").with_augment(CHANGES[arm])

            shape = partial(schedule.cosine, steps=steps)
            found[f"{name}: {arm}"] = training.best_lr(images, shape, LRS[name])
    return found


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """Train on tiles and digits with each change; heads for photos on 20 splits."""
    values: dict[str, Any] = {}
    for name, (pictures, steps, arms) in SETS.items():
        for arm in arms:
            images = pictures(seed).with_augment(CHANGES[arm])
            lrs = schedule.cosine(tuned[f"{name}: {arm}"]["lr"], steps)
            chances = training.probabilities(
                training.train(images, lrs, seed).model, images.valid.images
            )
            labels = images.valid.labels
            values[f"{name}: {arm}"] = training.accuracy(chances, labels)
            if name == "digits":
                same = torch.isin(labels, torch.tensor(SYMMETRIC))
                values[f"symmetric: {arm}"] = training.accuracy(chances[same], labels[same])
                values[f"others: {arm}"] = training.accuracy(chances[~same], labels[~same])
    plain, mirrored = creatures.features(), creatures.features(mirrored=True)
    for arm, copies in (("none", [plain]), ("mirrored", [plain, mirrored])):
        values[f"photos: {arm}"] = [
            creatures.head_accuracy(copies, plain, rows, seed) for rows in creatures.splits(seed)
        ]
    return values


CLAIM = Claim(
    number="05",
    title="Which changes help depends on what the pictures show",
    lesson="Photos from the side may be flipped horizontally; letters and digits must not be; "
    "satellite pictures may be flipped vertically.",
    hypothesis="Mirroring helps photos and hurts digits, but not the symmetric 0, 1 and 8; "
    "turning tiles upside down helps, changing their colours strongly hurts.",
    data="earth, 32 px, 512 tiles; 500 digits; creatures, 128 px, split 80:20, 200 times or more",
    network="small_cnn, width 8, from scratch; for creatures a head on EfficientNet-Lite0's "
    "features",
    varies="one change of the training pictures at a time",
    fixed="steps: 320 for tiles, 200 for digits, 60 for heads; the LR is tuned for each arm, but "
    "for heads",
    measure="accuracy on unchanged test pictures",
    rows=(
        Row("photos, mirrored", "photos: mirrored copies less none", "photos: mirrored",
            "photos: none", test_share=creatures.TEST_SHARE),
        Row("digits, mirrored", "digits other than 0, 1, 8: none less mirrored",
            "others: none", "others: mirrored"),
        Row("symmetric digits", "the digits 0, 1, 8: mirrored less none", "symmetric: mirrored",
            "symmetric: none", kind="equal", refuted="they surely differ by more than a point"),
        Row("tiles, upside down", "tiles: upside down less none", "tiles: upside down",
            "tiles: none"),
        Row("tiles, mirrored", "tiles: mirrored less none", "tiles: mirrored", "tiles: none"),
        Row("tiles, colours", "tiles: none less strong colours", "tiles: none", "tiles: colours"),
    ),
    run=run,
    tune=tune,
    seeds=(10, 20),
    chapters=("03",),
)  # fmt: skip
