"""Training as the claims need it: along any schedule, counted in steps, and measured with care.

`Learner.fit` knows the lesson's two schedules; here a run is given the LR of every mini-batch.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonkit import models
from lessonkit.data import ImageData, Split
from lessonkit.training import optimizers

__all__ = ["Trained", "accuracy", "best_lr", "loss_and_accuracy", "probabilities", "train"]

WIDTH = 8  # of the small network: 45,000 weights
EXPLODED = 20.0  # times the loss of guessing: as in lessonkit.training.history
TUNING_SEEDS = (1001, 1002, 1003)  # no run uses them


class Trained(NamedTuple):
    """A network and what training it took."""

    model: nn.Module
    diverged: bool
    losses: list[float]  # of every mini-batch


def train(
    images: ImageData,
    lrs: Sequence[float],
    seed: int,
    batch_size: int = 32,
    model: nn.Module | None = None,
    optimizer: Callable = optimizers.sgd,
    after: Callable[[int, nn.Module], bool | None] | None = None,
    ratios: Sequence[float] | None = None,
    clip: float = math.inf,
) -> Trained:
    """A network trained for `len(lrs)` mini-batches; training ends when the loss explodes.

    A small network from scratch unless another `model` is given. `seed` decides first weights,
    order and augmentation. `after(step, model)` is called after each mini-batch and ends training
    by returning True. `ratios`: each layer group's LR as a share of `lrs`. `clip`: the longest
    gradient that a step follows.
    """
    model = models.small_cnn(len(images.classes), WIDTH, seed) if model is None else model
    groups = models.layer_groups(model)
    ratios = ratios or [1.0] * len(groups)
    made = optimizer(optimizers.parameter_groups(groups, ratios))
    guessing, losses = math.log(len(images.classes)), []
    model.train()
    batches = _batches(images, batch_size, torch.Generator().manual_seed(seed))
    for step, (lr, (pictures, labels)) in enumerate(zip(lrs, batches, strict=False)):
        for group in made.param_groups:
            group["lr"] = float(lr) * ratios[group["layer_group"]]
        loss = F.cross_entropy(model(pictures), labels)
        losses.append(loss.item())
        if not losses[-1] <= EXPLODED * guessing:
            return Trained(model.eval(), True, losses)
        made.zero_grad()
        loss.backward()
        if clip < math.inf:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        made.step()
        if after is not None and after(step, model):
            break
    return Trained(model.eval(), False, losses)


def _batches(
    images: ImageData, size: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    pictures, labels = images.train
    n = max(1, len(labels) // size)
    while True:
        for rows in torch.randperm(len(labels), generator=generator).tensor_split(n):
            yield images.augment(pictures[rows], generator), labels[rows]


@torch.no_grad()
def probabilities(model: nn.Module, pictures: Tensor) -> Tensor:
    """Probabilities [N, classes] for uint8 pictures [N, 3, S, S]."""
    model.eval()
    return torch.cat([model(part).softmax(1) for part in pictures.split(256)])


def loss_and_accuracy(model: nn.Module, split: Split) -> tuple[float, float]:
    """The mean loss and the share of pictures that are right, 0 to 1; of a broken model too."""
    chances = probabilities(model, split.images).nan_to_num(0.0)
    loss = F.nll_loss(chances.clamp_min(1e-12).log(), split.labels).item()
    return loss, accuracy(chances, split.labels)


def accuracy(chances: Tensor, labels: Tensor) -> float:
    """The share of pictures, 0 to 1, whose largest probability [N, classes] is the right one's."""
    return (chances.argmax(1) == labels).float().mean().item()


def best_lr(
    images: Callable[[int], ImageData],
    shape: Callable[[float], np.ndarray],
    lrs: Sequence[float],
    **how,
) -> dict[str, float]:
    """Of `lrs`, the one whose networks do best on the tuning part, the mean of three seeds.

    `images(seed)` gives the pictures, with the tuning part to validate on; `shape(lr)` the LR of
    every mini-batch. Returns "lr" and what each LR reached.
    """
    reached = {}
    for lr in lrs:
        results = []
        for seed in TUNING_SEEDS:
            tuning = images(seed)
            trained = train(tuning, shape(lr), seed, **how)
            results.append(loss_and_accuracy(trained.model, tuning.valid)[1])
        reached[f"{lr:g}"] = float(np.mean(results))
    return {"lr": float(max(reached, key=reached.get)), **reached}
