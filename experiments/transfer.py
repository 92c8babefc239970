"""Pretrained networks in experiments: a head on stored activations, then all layer groups."""

import copy
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments import training
from lessonkit import models, schedule
from lessonkit.augment import Augment
from lessonkit.data import ImageData, Split
from lessonkit.training import activations, optimizers

__all__ = [
    "ARCH", "CLIP", "HEAD_LR", "HEAD_STEPS", "body", "converged_head", "features", "fine_tuned",
    "new_head", "of_features", "trained_head", "with_head",
]  # fmt: skip

ARCH = "tf_efficientnet_lite0"
HEAD_LR, HEAD_STEPS = 3e-3, 60
L2 = 0.01  # best of four decades on cells and trash, with other splits and sizes
CLIP = 1.0
BATCH = 64
SMALL_BATCH = 32  # where all layers train


class _Unchanged(Augment):
    """For features, which can't vary as pictures do."""

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The same."""
        return images


@cache
def body() -> models.LayerGroups:
    """The pretrained network, with a head that isn't used; not to be changed."""
    return models.pretrained(ARCH, 2).eval()


def features(pictures: Tensor) -> Tensor:
    """What the frozen body makes of uint8 pictures [N, 3, S, S]: float32 [N, 1280]."""
    below = nn.Sequential(*body()[:-1])
    return torch.cat([activations.run(below, part, False) for part in pictures.split(BATCH)])


def new_head(n_features: int, n_classes: int) -> nn.Linear:
    """A head that finds all classes equally likely."""
    head = nn.Linear(n_features, n_classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def of_features(images: ImageData, found: Tensor) -> ImageData:
    """Features instead of the training pictures, for training a head; of several views of each too.

    `found` [views * N, features]: one view of all pictures after the other.
    """
    train = Split(found, images.train.labels.repeat(len(found) // len(images.train.labels)))
    return ImageData(**{**vars(images), "train": train, "augment": _Unchanged("none")})


def trained_head(images: ImageData, found: Tensor, seed: int) -> nn.Linear:
    """A head trained on the features `found` of the training pictures, as `of_features` has it."""
    head = new_head(found.shape[1], len(images.classes))
    lrs, flat = schedule.cosine(HEAD_LR, HEAD_STEPS), of_features(images, found)
    training.train(flat, lrs, seed, model=head, optimizer=optimizers.adamw)
    return head


def converged_head(images: ImageData, found: Tensor) -> nn.Linear:
    """A head at the lowest point of its loss on `found`, as `of_features` has it: no LR to choose.

    The loss is convex: the mean cross-entropy and L2 times the squares of the weights.
    """
    flat, head = of_features(images, found).train, new_head(found.shape[1], len(images.classes))
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        now = F.cross_entropy(head(flat.images), flat.labels) + L2 * head.weight.square().sum()
        now.backward()
        return now

    optimizer.step(loss)
    return head


def with_head(images: ImageData, found: Tensor, seed: int) -> models.LayerGroups:
    """The pretrained network with a head for `images`, trained on their features `found`."""
    model = copy.deepcopy(body())
    model[-1] = trained_head(images, found, seed)
    return model


def fine_tuned(
    model: nn.Module,
    images: ImageData,
    lr: float,
    epochs: Sequence[int],
    seed: int,
    ratios: float | Sequence[float] = 1.0,
) -> nn.Module:
    """A copy of `model`, all of it trained along cosines of so many `epochs` each."""
    n = max(1, len(images.train.labels) // SMALL_BATCH)
    lrs = [x for cycle in epochs for x in schedule.cosine(lr, cycle * n)]
    how = {"optimizer": optimizers.radam, "max_grad_norm": CLIP, "ratios": ratios}
    return training.train(images, lrs, seed, SMALL_BATCH, copy.deepcopy(model), **how).model
