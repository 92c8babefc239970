"""Training as the claims need it: counted in steps, looked at between them, measured with care."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessonkit import models
from lessonkit.data import ImageData, Split
from lessonkit.learner import Learner
from lessonkit.training import optimizers

__all__ = [
    "Trained", "accuracy", "best_lr", "loss_and_accuracy", "probabilities", "right", "train",
    "with_new_statistics",
]  # fmt: skip

WIDTH = 8  # of the small network: 37,000 weights
EXPLODED = 20.0  # times the loss of guessing
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
    ratios: float | Sequence[float] = 1.0,
    max_grad_norm: float = math.inf,
) -> Trained:
    """A network trained for `len(lrs)` mini-batches; training ends when the loss explodes.

    A small network from scratch unless another `model` is given. `seed` decides first weights,
    order and augmentation. `after(step, model)` is called after each mini-batch and ends training
    by returning True. `ratios`: each layer group's LR as a multiple of `lrs`.
    """
    model = models.small_cnn(len(images.classes), WIDTH, seed) if model is None else model
    learn = _Steps(model, images, seed, optimizer, "cpu", batch_size, max_grad_norm)
    losses, highest = [], EXPLODED * math.log(len(images.classes))
    for step, loss in enumerate(learn.steps(lrs, ratios)):
        losses.append(loss)
        if not loss <= highest or (after is not None and after(step, model)):
            break
    return Trained(model.eval(), not losses[-1] <= highest, losses)


class _Steps(Learner):
    """A learner that has no mini-batch smaller than `batch_size`, if there are so many pictures."""

    @property
    def n_batches(self) -> int:
        return max(1, len(self.images.train.labels) // self.batch_size)


def with_new_statistics(model: nn.Module, pictures: Tensor) -> nn.Module:
    """A copy of `model` whose BatchNorm layers, if any, know the statistics of these pictures.

    Those of training are a moving average, and belong to the weights of the last few steps.
    """
    model = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.optim.swa_utils.update_bn(pictures.split(64), model)
    return model.eval()


@torch.no_grad()
def probabilities(model: nn.Module, pictures: Tensor) -> Tensor:
    """Probabilities [N, classes] for uint8 pictures [N, 3, S, S]."""
    model.eval()
    return torch.cat([model(part).softmax(1) for part in pictures.split(256)])


def loss_and_accuracy(model: nn.Module, split: Split) -> tuple[float, float]:
    """The mean loss and the accuracy, 0 to 1; also of a model whose outputs are NaN."""
    chances = probabilities(model, split.images).nan_to_num(0.0)
    loss = F.nll_loss(chances.clamp_min(1e-12).log(), split.labels).item()
    return loss, accuracy(chances, split.labels)


def right(model: nn.Module, split: Split) -> Tensor:
    """Which pictures the network is right about, bool [N]."""
    return probabilities(model, split.images).nan_to_num(0.0).argmax(1) == split.labels


def accuracy(chances: Tensor, labels: Tensor) -> float:
    """The fraction of pictures, 0 to 1, whose class has the largest of `chances` [N, classes]."""
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
