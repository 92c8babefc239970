"""After unfreezing, is the learning rate that served the head still right?"""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from experiments import material, training, transfer
from experiments.claim import Claim, Row
from lessonkit import augment, lr_find, models
from lessonkit.data import ImageData
from lessonkit.lr_finder import LRFinderResult
from lessonkit.training import optimizers

PICTURES, SIZE, EPOCHS = 384, 48, (1, 2)
SETS = {
    "tiles": (material.tiles, augment.top_down()),
    "digits": (material.digits, augment.symbols()),
}


def run(seed: int, tuned: dict[str, Any]) -> dict[str, Any]:
    """Train the head; then everything, at the LR found for the head and at the one found again."""
    values: dict[str, Any] = {"places": material.place_sizes()}
    for name, (pictures, changes) in SETS.items():
        images = pictures(seed, PICTURES, size=SIZE).with_augment(changes)
        found = transfer.features(images.train.images)
        model = transfer.with_head(images, found, seed)
        head = models.LayerGroups(transfer.new_head(found.shape[1], len(images.classes)))
        old = _find(head, found, images, optimizers.adamw).steepest
        again = _find(model, images.train.images, images, optimizers.radam).suggestion
        values |= {f"{name}: old lr": old, f"{name}: new lr": again}
        values[f"{name}: head"] = _accuracy(name, training.right(model, images.valid))
        for arm, lr in (("old", old), ("again", again)):
            trained = transfer.fine_tuned(model, images, lr, EPOCHS, seed)
            values[f"{name}: {arm}"] = _accuracy(name, training.right(trained, images.valid))
    return values


def _accuracy(name: str, right: Tensor) -> float | list[float]:
    return material.by_place(right) if name == "tiles" else right.float().mean().item()


def _find(
    model: models.LayerGroups, inputs: Tensor, images: ImageData, optimizer: Callable
) -> LRFinderResult:
    """The LR finder on `model`, given pictures or, for a head alone, their features."""
    batches = list(zip(inputs.split(32), images.train.labels.split(32), strict=True))
    groups = optimizers.parameter_groups(model, [1.0] * len(model))
    return lr_find(model, optimizer(groups), batches, F.cross_entropy, steps=60)


CLAIM = Claim(
    number="02",
    title="After unfreezing, the old LR is no longer right",
    lesson="After changing the network, by unfreezing layers for example, run the finder again.",
    hypothesis="The LR found for the head alone, used for the whole network, gives a lower "
    "accuracy than the LR that the finder names after unfreezing.",
    data="earth and digits at 48 px, 384 each to train on; the test parts of both",
    network="EfficientNet-Lite0 with ImageNet's weights and a head trained on stored activations",
    varies="the LR of all layer groups: the finder's “steepest” for the head, or its “suggestion” "
    "for the whole network",
    fixed="cycles of 1 and 2 epochs, batches of 32, RAdam, gradients clipped at 1: as in the "
    "recipe",
    measure="accuracy on test pictures",
    rows=tuple(
        Row(
            name,
            f"{name}: the LR found again less the head's",
            f"{name}: again",
            f"{name}: old",
            places=name == "tiles",
        )
        for name in SETS
    ),
    run=run,
    seeds=(5, 30),
    minutes=30,
    chapters=("02", "06", "07"),
)
