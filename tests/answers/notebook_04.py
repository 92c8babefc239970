"""Answers to the exercises of notebook 04, right and wrong."""

import math

from lessonkit import schedule


def by_formula(lr, steps, lr_min):
    return [lr_min + (lr - lr_min) * (1 + math.cos(math.pi * i / steps)) / 2 for i in range(steps)]


def shape(angle, half=0.5, shift=1.0):
    """A function of the form of the answer, with another angle, factor or shift."""

    def made(lr, steps, lr_min):
        turns = (angle(i, steps) for i in range(steps))
        return [lr_min + (lr - lr_min) * half * (shift + math.cos(turn)) for turn in turns]

    return made


def fitted(*arguments):
    return lambda learn: learn.fit(*arguments)


def unrecorded_epochs_first(learn):
    for _ in learn.steps(schedule.cosine(0.02, 12 * learn.n_batches)):
        pass
    learn.fit(1e-4, 1)


RIGHT = {
    "04.1": by_formula,
    "04.3": 0.04 / 5,
    "04.4": schedule.cosine(0.2, 300)[200],
    "04.5": "tune both",
}
ALSO_RIGHT = {"04.5": ["tune both LRs"]}
WRONG = {
    "04.1": [
        (shape(lambda i, steps: math.pi * i / (steps - 1)), "steps - 1"),
        (shape(lambda i, steps: math.pi * i / steps, half=1), "half"),
        (shape(lambda i, steps: math.pi * i / steps, half=1, shift=0), "negative"),
        (shape(lambda i, steps: math.pi / 2 * i / steps, half=1, shift=0), "quarter"),
        (shape(lambda i, steps: 2 * math.pi * i / steps), "whole turn"),
        (lambda lr, steps, lr_min: schedule.linear(lr, steps, lr_min), "straight line"),
        (lambda lr, steps, lr_min: schedule.cosine(lr, steps), "lr_min"),
        (lambda lr, steps, lr_min: lr_min + schedule.cosine(lr, steps), "above lr"),
        (lambda lr, steps, lr_min: lr, "shape"),
        (lambda lr, steps, lr_min: [lr] * steps, "begin with lr"),
    ],
    "04.2": [
        (fitted(1e-3, 3), "so low an LR"),  # what many start with
        (fitted(0.03, 3), "doesn't come down"),  # at 0.01 it is a matter of luck
        (fitted(0.1, 3), "doesn't come down"),
        (fitted(1e-3, 1, 3), "too low a top"),
        (fitted(2.0, 1, 3), "too high a top"),
        (fitted(0.03, 1, 4), "not more time"),
        (unrecorded_epochs_first, "not more time"),
    ],
    "04.3": [
        (0.0016, "25 times"),
        (0.0179, "square"),
        (0.2, "raises"),
        (0.002, "not the LR"),
        (0.03, "halved"),
    ],
    "04.4": [
        (0.0667, "straight line"),
        (0.15, "step 100"),
        (0.1, "step 150"),
        (-0.1, "halve"),
        (0.19993, "radians"),
        (0.1 * (1 + math.cos(200 / 300)), "π is missing"),
        (0.3, "formula"),
    ],
    "04.5": [
        ("constant is better", "trap"),
        ("the LR is too low for the cosine", "unfair"),
        ("more epochs", "unfair"),
        ("neither", "one of these"),
    ],
}
