"""Answers to the exercises of notebook 06, right and wrong."""

import numpy as np
import torch
from torch import nn


def output_side(side, layers):
    """By letting torch do it."""
    pictures = torch.zeros(1, 1, side, side)
    for kernel, stride, padding in layers:
        pictures = nn.Conv2d(1, 1, kernel, stride, padding)(pictures)
    return pictures.shape[-1]


def folded(step):
    """A function of `side` and `layers` that goes through the layers with `step`."""

    def answer(side, layers):
        for layer in layers:
            side = step(side, *layer)
        return side

    return answer


RIGHT = {
    "06.1": (96 / 64) ** 2,
    "06.2": output_side,
    "06.3": lambda before, after: (np.sum((after - before) ** 2) / np.sum(before**2)) ** 0.5,
    "06.4": 0.4,
    "06.5": "freeze",
}
WRONG = {
    "06.1": [(1.5, "longer"), (3.375, "cube"), (1, "weights"), (4, "pixels")],
    "06.2": [
        (folded(lambda s, k, stride, p: (s + p - k) // stride + 1), "both sides"),
        (folded(lambda s, k, stride, p: s // stride), "evenly"),
        (folded(lambda s, k, stride, p: (s + 2 * p - k) // stride), "add 1"),
        (lambda side, layers: output_side(side, layers[:1]), "all of them"),
        (folded(lambda s, k, stride, p: (s + 2 * p) // stride), "places"),
        (lambda side, layers: [side], "single number"),
    ],
    "06.3": [
        (lambda b, a: abs(np.linalg.norm(a) - np.linalg.norm(b)) / np.linalg.norm(b), "difference"),
        (lambda b, a: np.linalg.norm(a - b), "divide"),
        (lambda b, a: np.linalg.norm(a - b) / np.linalg.norm(a), "before"),
        (lambda b, a: np.mean(abs(a - b) / abs(b)), "near zero"),
        (lambda b, a: (a - b) / b, "single number"),
    ],
    "06.4": [(0.025, "wrong way"), (0.1, "fourth"), (0.2, "square root"), (256 * 0.1, "ratio")],
    "06.5": [
        ("10 times lower", "undecided"),
        ("3 times lower", "lesson"),
        ("same LR", "recipe"),
        ("higher", "one of these"),
    ],
}
