"""The hundred photos of creatures in random splits: so few that every number needs many of them."""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from experiments import training, transfer
from lessonkit import augment, data, schedule
from lessonkit.data import ImageData, Split
from lessonkit.training import optimizers

__all__ = [
    "SPLITS_A_RUN",
    "TEST_SHARE",
    "as_images",
    "features",
    "head_accuracy",
    "photos",
    "split",
    "splits",
]

TEST_SHARE = 0.2
SPLITS_A_RUN = 20  # ten runs make 200
SIZE = 128


@cache
def photos(size: int = SIZE) -> Split:
    """All photos, uint8 [N, 3, size, size], and their classes."""
    images = data.creatures(size)
    return Split(*(torch.cat(both) for both in zip(images.train, images.valid, strict=True)))


@cache
def features(mirrored: bool = False) -> Tensor:
    """What the frozen body makes of all photos, or of their mirror images: float32 [N, 1280]."""
    pictures = photos().images
    return transfer.features(pictures.flip(3) if mirrored else pictures)


def split(seed: int) -> tuple[Tensor, Tensor]:
    """Rows to train on and rows to test on, drawn by `seed`, with each class in both."""
    random, labels = np.random.default_rng(seed), photos().labels.numpy()
    test = [
        random.permutation(np.flatnonzero(labels == label))[
            : round(TEST_SHARE * (labels == label).sum())
        ]
        for label in np.unique(labels)
    ]
    rows = np.concatenate(test)
    return torch.from_numpy(np.setdiff1d(np.arange(len(labels)), rows)), torch.from_numpy(rows)


def splits(run: int) -> list[tuple[Tensor, Tensor]]:
    """The splits of one run, of which no other run has any."""
    return [split(SPLITS_A_RUN * run + i) for i in range(SPLITS_A_RUN)]


def head_accuracy(
    train_on: list[Tensor], test_on: Tensor, rows: tuple[Tensor, Tensor], seed: int
) -> float:
    """The accuracy of a head trained on the training rows of each of `train_on`, [N, 1280] each."""
    inside, outside = rows
    head = train_head([found[inside] for found in train_on], inside, seed)
    with torch.no_grad():
        return training.accuracy(head(test_on[outside]), photos().labels[outside])


def train_head(train_on: list[Tensor], rows: Tensor, seed: int) -> torch.nn.Linear:
    """A head trained on all of `train_on`, features of the photos in `rows`."""
    labels = photos().labels[rows].repeat(len(train_on))
    found = torch.cat(train_on)
    head = transfer.new_head(found.shape[1], int(labels.max()) + 1)
    made = as_images(Split(found, labels))
    lrs = schedule.cosine(transfer.HEAD_LR, transfer.HEAD_STEPS)
    training.train(made, lrs, seed, model=head, optimizer=optimizers.adamw)
    return head


def as_images(train: Split) -> ImageData:
    """Pictures, or features in their place, in the form that `training.train` takes."""
    classes = list(data.creatures(SIZE).classes)
    return ImageData(
        train, train, classes, 0, augment.none(), "", lambda size: data.creatures(size)
    )
