"""Exercises of notebook 04, annealing."""

import numpy as np

from lessonkit import augment, data, models, schedule
from lessonkit.course.exercises.quiz import choice, function, number
from lessonkit.course.exercises.training import training
from lessonkit.learner import Learner


def _cosine(lr: float, steps: int, lr_min: float, turn: float = 1.0) -> np.ndarray:
    """`turn` half turns of a cosine; one of them is cosine annealing."""
    return lr_min + (lr - lr_min) * (1 + _height(steps, turn)) / 2


def _height(steps: int, turn: float = 1.0) -> np.ndarray:
    return np.cos(turn * np.pi * np.arange(steps) / steps)


def short_of_time(seed: int) -> Learner:
    """A small network and 848 satellite tiles of 16 px: 27 batches an epoch."""
    tiles = data.earth(size=16).with_augment(augment.none()).with_training(slice(None, None, 3))
    return Learner(models.small_cnn(8, width=8, seed=seed), tiles, seed=seed, batch_size=32)


def _about_the_schedule(learn: Learner, accuracy: float) -> str:
    top, last = max(learn.history.lr), learn.history.lr[-1]
    if accuracy >= 0.6:
        return ""
    if last > top / 2 and top < 2e-3:
        return "From so low an LR 81 steps get nowhere near, whatever the schedule."
    if last > top / 2:
        return "The LR doesn't come down at the end: neither weights nor statistics settle."
    if top < 1e-2:
        return "The LR comes down from too low a top: in 81 steps it gets nowhere near."
    return "The LR comes down, but from too high a top: most of the steps lead nowhere."


EXERCISES = {
    "04.1": function(
        _cosine,
        [(0.2, 10, 0.0), (1.0, 7, 0.25), (0.03, 50, 0.001), (0.5, 2, 0.1)],
        "Half a turn, from angle 0 to π, in `steps` steps: lr_min + (lr - lr_min) · ½ (1 + "
        "cos(π i / steps)). It is what schedule.cosine returns, and what `fit` trains with.",
        wrong={
            (lambda lr, steps, lr_min: _cosine(lr, steps, lr_min, turn=steps / (steps - 1))): (
                "Your last value is lr_min itself. Divide i by steps, not by steps - 1: the last "
                "step is one before the end, so that none is wasted at an LR of zero."
            ),
            (lambda lr, steps, lr_min: lr_min + (lr - lr_min) * (1 + _height(steps))): (
                "1 + cos goes from 2 to 0, so yours starts at twice the LR: take half of it."
            ),
            (lambda lr, steps, lr_min: lr_min + (lr - lr_min) * _height(steps)): (
                "A cosine ends at −1, and so your LR becomes negative: add 1, halve."
            ),
            (lambda lr, steps, lr_min: lr_min + (lr - lr_min) * _height(steps, turn=0.5)): (
                "That is a quarter of a turn. It falls ever faster, and is not flat at its end: go "
                "as far as π."
            ),
            schedule.linear: "That is a straight line, schedule.linear. Where is the cosine?",
            (lambda lr, steps, lr_min: _cosine(lr, steps, 0.0)): "lr_min doesn't count in yours: "
            "it comes down to zero.",
            (lambda lr, steps, lr_min: lr_min + _cosine(lr, steps, 0.0)): (
                "Yours starts above lr: with lr_min added, only lr - lr_min is left to come down."
            ),
            (lambda *given: _cosine(*given, turn=2.0)): "That is a whole turn: it comes down and "
            "goes up again. Go only as far as π.",
        },
        hint="It should begin with lr and fall along half a cosine, as in the formula above.",
    ),
    "04.2": training(
        short_of_time,
        0.6,
        "A cosine gets there from any LR between 0.01 and 0.1. A constant LR must be just right, "
        "about 0.003: in 81 steps a lower one gets nowhere near, and where a higher one ends is "
        "luck: neither its weights nor BatchNorm's statistics settle.",
        "Compare the two at several LRs each, as the page does: the best LRs differ.",
        "A cosine, from an LR between 0.01 and 0.1: learn.fit(lr, 1, cycle_len=3).",
        _about_the_schedule,
        epochs=3,
        seeds=(7, 8, 9),
    ),
    "04.3": number(
        0.008,
        "The floor is proportional to the LR: a fifth of the floor takes a fifth of the LR.",
        factor=1.05,
        wrong={
            0.0016: "That is 25 times lower. The spread of x grows like the square root of the LR, "
            "so the loss grows like the LR itself.",
            0.04 / 5**0.5: "That would be right if the floor grew like the square of the LR. It "
            "grows like the LR itself.",
            0.2: "A higher LR raises the floor.",
            0.002: "That is the floor you want, not the LR.",
        },
        hint="Look at the picture of the floors: how does the floor change when the LR is halved?",
    ),
    "04.4": number(
        0.05,
        "Two thirds of half a turn are 120°, where the cosine is −½: 0.2 · ½ · (1 − ½) = 0.05.",
        within=0.001,
        wrong={
            0.2 / 3: "That is the straight line, where a third of the steps leaves a third of the "
            "LR.",
            0.15: "That is step 100. The cosine is symmetrical: at step 200 as much is left as is "
            "gone at step 100.",
            0.1: "Did you halve 1 + cos? Or that is half-way, step 150.",
            0.1786: "The π is missing: the angle of step i is π · i / steps.",
            -0.1: "That is 0.2 · cos(2π/3): shift the cosine up by 1, and halve it.",
            0.199933: "That is the LR of the start. Or was your angle in degrees? cos wants "
            "radians, π for half a turn.",
        },
        hint="Put i = 200 and steps = 300 into the formula.",
    ),
    "04.5": choice(
        "tune both",
        ["constant is better", "the LR is too low for the cosine", "tune both", "more epochs"],
        {
            "constant is better": "At this LR it is. At an LR ten times higher it may come last: "
            "that was the trap.",
            "the LR is too low for the cosine": "It may well be: the constant one has twice its "
            "mean. But raise the cosine's alone, and the comparison is unfair the other way round.",
            "more epochs": "They help both, and the comparison stays as unfair as it was.",
        },
        "Each schedule has its own best LR. Find it for both, and compare them there, on data that "
        "had no part in the choice.",
        hint="How far apart can the best LRs of two schedules be?",
    ),
}
