"""Answers to the exercises of notebook 03, right and wrong."""

import math

import numpy as np
import torch

from lessonkit import augment


def mirrored(images, among=0.5):
    some = torch.rand(len(images)) < among
    images[some] = images[some].flip(-1)
    return images


def shifted(images, most=2):
    """Each picture by numbers of its own: all at once, as thousands of rolls take seconds."""
    n, _, height, width = images.shape
    down, across = torch.randint(-most, most + 1, (2, n, 1))
    rows, columns = (torch.arange(height) - down) % height, (torch.arange(width) - across) % width
    each = torch.arange(n)[:, None, None]
    return images[each, :, rows[:, :, None], columns[:, None]].movedim(-1, 1)


def shifted_alike(images):
    return images.roll(tuple(torch.randint(-2, 3, (2,)).tolist()), (2, 3))


def in_place(images):
    images[:] = mirrored(shifted(images))


def worth(sizes, right, reached):
    """Between two neighbours, without NumPy."""
    for i in range(len(sizes) - 1):
        if right[i] <= reached <= right[i + 1]:
            share = (reached - right[i]) / (right[i + 1] - right[i])
            return sizes[i] * (sizes[i + 1] / sizes[i]) ** share
    raise ValueError(reached)


RIGHT = {
    "03.1": "symbols",
    "03.2": worth,
    "03.3": lambda width, height: abs(width - height) / max(width, height),
    "03.5": lambda views: [int(np.argmax(sum(v[i] for v in views))) for i in range(len(views[0]))],
}
ALSO_RIGHT = {
    "03.1": [augment.symbols, augment.symbols(), "augment.symbols"],
    "03.4": [lambda images: list(shifted(images).flip(-1))],
}
WRONG = {
    "03.1": [
        ("side_on", "mirrors"),
        ("top_down", "W"),
        ("none", "askew"),
        ("letters", "one of these"),
    ],
    "03.2": [
        (lambda sizes, right, reached: np.interp(reached, right, sizes), "linear axis"),
        (lambda sizes, right, reached: np.interp(reached, right, np.log(sizes)), "exp"),
        (
            lambda sizes, right, reached: min(
                zip(sizes, right, strict=True), key=lambda pair: abs(pair[1] - reached)
            )[0],
            "nearest",
        ),
        (lambda sizes, right, reached: math.exp(reached), "look"),
    ],
    "03.3": [
        (lambda width, height: min(width, height) / max(width, height), "left"),
        (lambda width, height: 1 - height / width, "upright"),
        (lambda width, height: abs(width - height), "pixels"),
        (lambda width, height: 100 - 100 * min(width, height) / max(width, height), "percent"),
        (lambda width, height: 0.5, "shorter side"),
    ],
    "03.4": [
        (lambda images: images, "hardly any of yours"),  # no augmentation
        (mirrored, "in both directions"),
        (shifted, "hardly any of yours"),
        (lambda images: mirrored(shifted(images, most=1)), "up to 1 px"),
        (lambda images: mirrored(shifted(images), among=0.3), "half or more mirrored"),
        (lambda images: images.flip(-1).roll((2, 2), (2, 3)), "in both directions"),
        (lambda images: shifted_alike(images).flip(-1), "its own"),
        (in_place, "returns nothing"),
        (lambda images: images.float(), "float32"),
        (lambda images: images[:, :1], "shape [50, 3, 14, 14]"),
        (torch.rand_like, "error"),
    ],
    "03.5": [
        (
            lambda views: [np.bincount(votes).argmax() for votes in views.argmax(2).T],
            "vote",
        ),
        (lambda views: views.prod(0).argmax(1), "plain mean"),
        (lambda views: views[0].argmax(1), "without TTA"),
        (lambda views: views.max(0).argmax(1), "surest"),
        (lambda views: views.mean(0), "mean probabilities"),
        (lambda views: views.mean(1).argmax(1), "shape"),
    ],
}
