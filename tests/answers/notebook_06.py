"""Answers to the exercises of notebook 06, right and wrong."""

import math

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


def all_layers(lr, epochs=3):
    """A function that unfreezes a learner and trains it."""

    def answer(learn):
        learn.unfreeze()
        learn.fit(lr, 1, cycle_len=epochs)

    return answer


def late_layers(learn):
    learn.freeze_to(1)
    learn.fit(1e-3, 1, cycle_len=3)


RIGHT = {
    "06.1": (96 / 64) ** 2,
    "06.2": output_side,
    "06.4": "freeze",
}
ALSO_RIGHT = {"06.1": ["×2.25", "2.25x", "9 / 4 times"], "06.4": ["freeze the late layers"]}
WRONG = {
    "06.1": [(1.5, "longer"), (3.375, "cube"), (1, "weights"), (4, "pixels")],
    "06.2": [
        (folded(lambda s, k, stride, p: (s + p - k) // stride + 1), "both sides"),
        (folded(lambda s, k, stride, p: s // stride), "evenly"),
        (folded(lambda s, k, stride, p: (s + 2 * p - k) // stride), "add 1"),
        (lambda side, layers: output_side(side, layers[:1]), "all of them"),
        (folded(lambda s, k, stride, p: (s + 2 * p) // stride), "places"),
        (folded(lambda s, k, st, p: round((s + 2 * p - k) / st + 1)), "nearest whole number"),
        (folded(lambda s, k, st, p: math.ceil((s + 2 * p - k) / st + 1)), "not up"),
        (lambda side, layers: [side, side], "single number"),
    ],
    "06.3": [
        (lambda learn: learn.fit(1e-3, 1, cycle_len=3), "frozen"),  # the default
        (late_layers, "early layers"),
        (all_layers(1e-3), "forgets"),
        (all_layers([1e-5, 1e-4, 1e-3]), "head's LR"),
        (all_layers(3e-4), "head's LR"),
        (all_layers(3e-4, epochs=4), "not more time"),
    ],
    "06.4": [
        ("10 times lower", "undecided"),
        ("3 times lower", "lesson"),
        ("same LR", "recipe"),
        ("higher", "one of these"),
        ("don't freeze them", "one of these"),
        ("not to freeze", "one of these"),
    ],
}
