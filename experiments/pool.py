"""One pool of trained networks for several claims: the same digits, trained in many ways.

Claims 03 and 07 to 10 compare networks of this pool. Each is trained from the same first weights on
the same digits in the same order, as far as its setting allows, and measured in the same ways.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments import material, training
from experiments.claim import Claim
from lessonkit import augment, landscape, schedule
from lessonkit.augment import Augment
from lessonkit.data import ImageData, Split
from lessonkit.training import optimizers

DIGITS = 512
CYCLE = 2  # epochs of the shortest cycle
EPOCHS = 7 * CYCLE  # 1 + 2 + 4 of them, so that doubling cycles fit in
BATCH, LARGE = 32, 128  # a quarter of all digits: Keskar et al. called a tenth large
LRS = (0.01, 0.03, 0.1, 0.3, 1.0)
TIMES_LOWER = 10.0  # too low an upper bound
LONGER = 3  # times as many epochs, for a low LR to reach the same training loss
SLICES, DISTANCE = 2, 0.25  # random directions, and how far along each, of the filters' own length
CURVED = 64  # digits to train on: the loss whose largest curvature is measured


def steps(epochs: int = EPOCHS, batch: int = BATCH) -> int:
    """Mini-batches in `epochs` epochs."""
    return epochs * (DIGITS // batch)


SHAPES: dict[str, Callable[[float], np.ndarray]] = {
    "constant": lambda lr: schedule.constant(lr, steps()),
    "step": lambda lr: schedule.step_decay(lr, steps()),
    "linear": lambda lr: schedule.linear(lr, steps()),
    "cosine": lambda lr: schedule.cosine(lr, steps()),
    "restarts": lambda lr: schedule.sgdr(lr, 7, CYCLE, 1, steps(1)),
    "doubling": lambda lr: schedule.sgdr(lr, 3, CYCLE, 2, steps(1)),
}


def tune() -> dict[str, Any]:
    """The best LR for each schedule, for small batches without augmentation."""
    digits = partial(material.digits, n=DIGITS, part="tuning")
    return {name: training.best_lr(digits, shape, LRS) for name, shape in SHAPES.items()}


def run(seed: int, tuned: dict[str, Any]) -> dict[str, float]:
    """All networks of one seed, and their measures."""
    images = material.digits(seed, DIGITS)
    values: dict[str, float] = {}
    for name, shape in SHAPES.items():
        snapshots: list[Tensor] = []
        anew: list[Tensor] = []  # the same with BatchNorm's statistics measured again
        ends = _cycle_ends(name)

        def keep(step: int, model: nn.Module, ends=ends, snapshots=snapshots, anew=anew) -> None:
            if step in ends:
                snapshots.append(training.probabilities(model, images.valid.images))
                again = training.with_new_statistics(model, images.train.images)
                anew.append(training.probabilities(again, images.valid.images))
                model.train()

        trained = training.train(images, shape(tuned[name]["lr"]), seed, after=keep)
        values |= measures(name, trained.model, images)
        again = training.with_new_statistics(trained.model, images.train.images)
        values[f"{name}: accuracy, anew"] = training.loss_and_accuracy(again, images.valid)[1]
        for kind, looks in (("ensemble", snapshots), ("ensemble, anew", anew)):
            if looks:
                mean = torch.stack(looks[-5:]).mean(0)
                values[f"{name}: {kind}"] = training.accuracy(mean, images.valid.labels)
    lr = tuned["cosine"]["lr"]
    for name, train in _settings(lr, values["cosine: train_loss"]).items():
        values |= measures(name, train(images, seed), images)
    return values


def _cycle_ends(name: str) -> set[int]:
    """The last mini-batch of each cycle: where a snapshot is taken."""
    cycles = {"restarts": range(1, 8), "doubling": (1, 3, 7)}.get(name, ())
    return {steps(CYCLE * ends) - 1 for ends in cycles}


def _settings(lr: float, loss: float) -> dict[str, Callable[[ImageData, int], nn.Module]]:
    """The other networks, all along a cosine: name -> how to train it, from digits and a seed.

    `lr` is the best for small batches; `loss` the training loss that they end with.
    """
    scale, large = LARGE / BATCH, {"batch_size": LARGE}
    return {
        "low": _cosine(lr / TIMES_LOWER),
        "low, same loss": partial(_until, loss, lr / TIMES_LOWER),
        "high": _cosine(3 * lr),
        "large": _cosine(lr, steps(batch=LARGE), **large),
        "large, scaled": _cosine(scale * lr, steps(batch=LARGE), **large),
        "large, same steps": _cosine(lr, **large),
        "large, scaled, same steps": _cosine(scale * lr, **large),
        "augmented": _cosine(lr, changes=augment.symbols()),
        "no decay": _cosine(lr, optimizer=partial(torch.optim.SGD, momentum=0.9)),
        "adam": _cosine(0.01, optimizer=optimizers.adamw),
        "short": _cosine(lr, steps(6)),
    }


def _cosine(
    lr: float, n: int | None = None, changes: Augment | None = None, **how: Any
) -> Callable[[ImageData, int], nn.Module]:
    lrs = schedule.cosine(lr, n or steps())

    def train(images: ImageData, seed: int) -> nn.Module:
        return training.train(
            images.with_augment(changes or images.augment), lrs, seed, **how
        ).model

    return train


def _until(loss: float, lr: float, images: ImageData, seed: int) -> nn.Module:
    """Train along a longer cosine until the training loss is as low as `loss`, or to its end."""

    def low_enough(step: int, model: nn.Module) -> bool:
        if (step + 1) % steps(1):
            return False
        reached = training.loss_and_accuracy(model, images.train)[0]
        model.train()
        return reached <= loss

    lrs = schedule.cosine(lr, LONGER * steps())
    return training.train(images, lrs, seed, after=low_enough).model


def measures(name: str, model: nn.Module, images: ImageData) -> dict[str, float]:
    """What is measured of every network, under "name: measure".

    Losses and accuracies on un-augmented training and test digits; `sharpness`, by how much the
    training loss rises along random directions as long as the network's own filters, which no
    rescaling of weights can change; `curvature`, the largest of the training loss, which rescaling
    does change; `shifted`, the test accuracy with inputs moved, darkened or blurred.
    """
    train_loss, train_accuracy = training.loss_and_accuracy(model, images.train)
    test_loss, test_accuracy = training.loss_and_accuracy(model, images.valid)
    shifted = _shifted_accuracy(model, images.valid)
    found = {
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test_loss,
        "accuracy": test_accuracy,
        "gap": test_loss - train_loss,
        "sharpness": _sharpness(model, *images.train),
        "curvature": landscape.largest_curvature(
            model, F.cross_entropy, *(part[:CURVED] for part in images.train), steps=15
        ),
        "shifted": shifted,
        "lost to shifts": test_accuracy - shifted,
    }
    return {f"{name}: {measure}": value for measure, value in found.items()}


def _sharpness(model: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    rises = []
    for seed in range(SLICES):
        direction = landscape.random_direction(model, seed)
        losses = landscape.slice_1d(
            model, F.cross_entropy, pictures, labels, direction, (-DISTANCE, 0.0, DISTANCE)
        )
        rises.append((losses[0] + losses[2]) / 2 - losses[1])
    return float(np.mean(rises))


def _shifted_accuracy(model: nn.Module, split: Split) -> float:
    """The mean accuracy on digits moved by 3 px, darker by a tenth, and blurred over 3 px."""
    pictures = split.images.float()
    changed = [
        F.pad(pictures, (3, 0, 3, 0))[..., :-3, :-3],
        (pictures - 25).clamp_min(0),
        F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1),
    ]
    moved = [Split(c.round().to(torch.uint8), split.labels) for c in changed]
    return float(np.mean([training.loss_and_accuracy(model, part)[1] for part in moved]))


CLAIM = Claim(
    number="pool",
    title="A pool of networks for claims 03 and 07 to 10",
    lesson="",
    hypothesis="",
    data="digits, 28 px: 512 to train on, drawn by the seed; 2,000 to test",
    network="small_cnn, width 8, from scratch",
    varies="schedule, upper bound of the LR, batch size, augmentation, weight decay, optimiser",
    fixed="first weights, digits and, for equal batch sizes, their order",
    measure="losses, accuracies, sharpness along filter-normalised directions, largest curvature, "
    "accuracy on shifted inputs",
    rows=(),
    run=run,
    tune=tune,
    seeds=(8, 60),
    minutes=90,
)
