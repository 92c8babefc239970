"""Answers to the exercises of notebook 01, right and wrong."""

import math


def _step(x, v, gradient, lr, momentum):
    velocity = gradient + v * momentum
    return [x - velocity * lr, velocity]


def _with_old_velocity(x, v, gradient, lr, momentum):
    x -= lr * v
    v = momentum * v + gradient
    return x, v


def _lr_in_velocity(x, v, gradient, lr, momentum):
    v = momentum * v + lr * gradient
    return x - v, v


def _climbs(x, v, gradient, lr, momentum):
    v = momentum * v + gradient
    return x + lr * v, v


def fitted(*arguments):
    return lambda learn: learn.fit(*arguments)


RIGHT = {
    "01.1": 0.1 / 0.0001,
    "01.2": 2 / 8,
    "01.3": _step,
    "01.4": 7,
}
ALSO_RIGHT = {
    "01.1": ["1,000", "10**3", "10^3", "1000 times"],
    "01.2": [
        "2/8",
        "1 / 4",
        "25 %",
        "0,25",
        "= 0.25",
        "LR: 0.25",
        "LR 0.25",
        "0.25.",
        "25 %.",
        "roughly 0.25",
    ],
}
WRONG = {
    "01.1": [
        (3, "exponents"),
        (1e-3, "other way"),
        (0.1 - 0.0001, "difference"),
        (30, "10 · 10 · 10"),
        (1e4, "with 1"),
        (100, "divide"),
    ],
    "01.2": [
        (1 / 8, "one step"),
        (2 * 8, "divide"),
        (8 / 2, "upside down"),
        (2, "eight times"),
        (2 * 1.9 / 8, "momentum"),
        (1, "1 - lr"),
    ],
    "01.3": [
        (_with_old_velocity, "old velocity"),
        (_climbs, "climbs"),
        (lambda x, v, gradient, lr, momentum: (x - lr * gradient, gradient), "missing"),
        (lambda x, v, gradient, lr, momentum: _step(x, v, gradient, lr, momentum)[::-1], "order"),
        (_lr_in_velocity, "gone into the velocity"),
        (
            lambda x, v, gradient, lr, momentum: _step(
                x, v, (1 - momentum) * gradient, lr, momentum
            ),
            "scaled by",
        ),
        (lambda x, v, gradient, lr, momentum: x - lr * gradient, "shape"),
    ],
    "01.4": [
        (5, "what is left"),
        (6, "not quite"),
        (math.log(0.5) / math.log(0.9), "whole"),
        (10, "before"),
        (22, "tenth"),
        (1, "One step"),
        (3, "0.9"),
    ],
    "01.5": [
        (fitted(1e-4, 1, 2), "too low"),
        (fitted(1e-3, 1, 2), "too low"),  # what many start with
        (fitted(0.3, 1, 2), "too high"),
        (fitted(0.01, 1, 1), "1 of the 2 epochs"),
        (fitted(0.01, 1, 3), "not more time"),
    ],
}
