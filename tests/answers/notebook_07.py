"""Answers to the exercises of notebook 07, right and wrong."""

from dataclasses import replace

import numpy as np


def of_true_class(probabilities, labels):
    return probabilities[np.arange(len(labels)), labels]


def fitted(*arguments):
    return lambda learn: learn.fit(*arguments)


def unrecorded_epochs_first(learn):
    learn.fit(1e-4, 1, cycle_len=60)
    learn.history.loss.clear()


def on_the_validation_pictures(learn):
    learn.set_data(replace(learn.images, train=learn.images.valid))
    learn.fit(1e-3, 1)


RIGHT = {
    "07.2": lambda lr, times, n: [lr * times ** (i + 1 - n) for i in range(n)],
    "07.3": lambda probabilities, labels: np.argmin(of_true_class(probabilities, labels)),
    "07.4": 0.6,
    "07.5": "keep cycle 2",
}
ALSO_RIGHT = {"07.4": [60, "60 %", "3/5"]}
WRONG = {
    "07.1": [
        (fitted(1e-5, 1, 5), "too low"),
        (fitted(1.0, 1, 5), "too high"),
        (fitted(3e-3, 1, 6), "not more time"),
        (unrecorded_epochs_first, "not more time"),
        (on_the_validation_pictures, "other pictures"),
    ],
    "07.2": [
        (lambda lr, times, n: [lr / times**i for i in range(n)], "comes last"),
        (lambda lr, times, n: [lr * times**i for i in range(n)], "divide"),
        (lambda lr, times, n: [lr / times] * (n - 1) + [lr], "once more"),
        (lambda lr, times, n: [lr / (times * k) for k in range(n - 1, 0, -1)] + [lr], "then 20"),
        (lambda lr, times, n: lr / times, "shape"),
    ],
    "07.3": [
        (lambda probabilities, labels: of_true_class(probabilities, labels).argmax(), "correct"),
        (lambda probabilities, labels: probabilities.max(1).argmin(), "uncertain"),
        (lambda probabilities, labels: probabilities.max(1).argmax(), "surest"),
        (
            lambda p, labels: np.where(p.argmax(1) != labels, p.max(1), -1).argmax(),
            "most confidence",
        ),
        (lambda p, labels: (p.max(1) - of_true_class(p, labels)).argmax(), "largest gap"),
        (lambda probabilities, labels: of_true_class(probabilities, labels).min(), "its number"),
        (lambda probabilities, labels: 0, "true class"),
    ],
    "07.4": [(1 / 3, "vote"), (0.95, "surest"), (0.45, "view"), (0.4, "mammal"), (0.7, "bird")],
    "07.5": [
        ("keep cycle 3", "by heart"),
        ("go on", "overfitting"),
        ("lower dropout", "sooner"),
        ("stop", "one of these"),
    ],
}
