"""One explorer of each kind, with what it shows made up, for tests in a browser."""

import numpy as np
import torch

from lessonkit import augment
from lessonkit.course import explorers as explore
from lessonkit.lr_finder import LRFinderResult
from tests.tiny import coloured


def every_explorer():
    """Name -> explorer."""
    lrs, grid = np.geomspace(1e-5, 2, 90), np.linspace(-1, 1, 21)
    found = LRFinderResult(lrs, 2.3 - 1.5 / (1 + (0.01 / lrs) ** 2) + np.exp(lrs * 3) - 1)
    plane = 0.3 + np.add.outer(grid**2, 4 * grid**2)
    images = coloured(n=60, size=20, how=augment.symbols())
    made = [
        explore.descent(),
        explore.schedules(),
        explore.restarts(),
        explore.landscape({"one": plane, "two": 2 * plane}, grid),
        explore.pick_lr(found, training, ready=[1e-3, 0.1]),
        explore.augmentations(images, predict, picture=9),
        explore.ledger(),
    ]
    return {figure.name: figure for figure in made}


def training(lr):
    """A made-up training: the losses of 60 steps."""
    return 2.3 * np.exp(-np.arange(60) * min(lr, 0.3) / 5)


def predict(pictures):
    """A network that is unsure about everything."""
    return torch.full((len(pictures), 3), 1 / 3)
