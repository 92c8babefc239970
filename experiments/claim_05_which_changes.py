"""Which changes of a picture keep its label: flips for photos, digits and tiles, and colours."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from experiments import material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import schedule
from lessonkit.augment import Augment
from lessonkit.data import ImageData

TILES, TILE_STEPS = 512, 320
DIGITS, DIGIT_STEPS = 500, 200
SYMMETRIC = (0, 1, 8)  # digits that a mirror leaves alone, or nearly
PHOTOS, PHOTO_SIZE = 500, 96
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
    """Train on tiles and digits with each change; heads for photos with and without mirroring."""
    values: dict[str, Any] = {"places": material.place_sizes()}
    for name, (pictures, steps, arms) in SETS.items():
        for arm in arms:
            images = pictures(seed).with_augment(CHANGES[arm])
            lrs = schedule.cosine(tuned[f"{name}: {arm}"]["lr"], steps)
            chances = training.probabilities(
                training.train(images, lrs, seed).model, images.valid.images
            )
            labels = images.valid.labels
            right = chances.nan_to_num(0.0).argmax(1) == labels
            whole = right.float().mean().item()
            values[f"{name}: {arm}"] = material.by_place(right) if name == "tiles" else whole
            if name == "digits":
                same = torch.isin(labels, torch.tensor(SYMMETRIC))
                values[f"symmetric: {arm}"] = training.accuracy(chances[same], labels[same])
                values[f"others: {arm}"] = training.accuracy(chances[~same], labels[~same])
    return values | _photos(seed)


def _photos(seed: int) -> dict[str, float]:
    """Heads on photos alone, and on photos and their mirror images."""
    images = material.trash(seed, PHOTOS, size=PHOTO_SIZE)
    plain = transfer.features(images.train.images)
    both = torch.cat([plain, transfer.features(images.train.images.flip(3))])
    tests, labels = transfer.features(images.valid.images), images.valid.labels
    found = {}
    for arm, features in (("none", plain), ("mirrored", both)):
        head = transfer.trained_head(images, features, seed)
        with torch.no_grad():
            found[f"trash: {arm}"] = training.accuracy(head(tests), labels)
    return found


CLAIM = Claim(
    number="05",
    title="Which changes help depends on what the pictures show",
    lesson="Photos from the side may be flipped horizontally; letters and digits must not be; "
    "satellite pictures may be flipped vertically.",
    hypothesis="Mirroring helps photos and hurts digits, but not the symmetric 0, 1 and 8; "
    "turning tiles upside down helps, changing their colours strongly hurts.",
    data="earth, 32 px, 512 tiles; 500 digits; trash, 96 px, 500 photos",
    network="small_cnn, width 8, from scratch; for trash a head on EfficientNet-Lite0's "
    "features",
    varies="one change of the training pictures at a time",
    fixed="steps: 320 for tiles, 200 for digits, 60 for heads; the LR is tuned for each arm, but "
    "for heads",
    measure="accuracy on unchanged test pictures",
    rows=(
        Row("trash, mirrored", "trash: mirrored copies less none", "trash: mirrored",
            "trash: none"),
        Row("digits, mirrored", "digits other than 0, 1, 8: none less mirrored",
            "others: none", "others: mirrored"),
        Row("symmetric digits", "the digits 0, 1, 8: mirrored less none", "symmetric: mirrored",
            "symmetric: none", kind="equal", refuted="they surely differ by more than a point"),
        Row("tiles, upside down", "tiles: upside down less none", "tiles: upside down",
            "tiles: none", places=True),
        Row("tiles, mirrored", "tiles: mirrored less none", "tiles: mirrored", "tiles: none",
            places=True),
        Row("tiles, colours", "tiles: none less strong colours", "tiles: none", "tiles: colours",
            places=True),
    ),
    run=run,
    tune=tune,
    seeds=(10, 80),
    minutes=60,
    chapters=("03",),
)  # fmt: skip
