"""Exercises of notebook 02, the LR finder."""

import numpy as np
import torch
from torch import nn

from lessonkit import augment, data, models
from lessonkit.course.exercises.quiz import choice, function, number
from lessonkit.course.exercises.training import training
from lessonkit.learner import Learner


def _sweep(lr_min: float, lr_max: float, steps: int) -> np.ndarray:
    return lr_min * (lr_max / lr_min) ** (np.arange(steps) / (steps - 1))


def _new_problem(seed: int) -> Learner:
    """Two layers and 1,271 satellite tiles of 16 px, which the page doesn't show."""
    tiles = data.earth(size=16).with_augment(augment.none()).with_training(slice(None, None, 2))
    torch.manual_seed(seed)
    layers = nn.Flatten(), nn.Linear(3 * 16 * 16, 32), nn.ReLU(), nn.Linear(32, 8)
    normalise = models.Normalise((0.5,) * 3, (0.25,) * 3)
    return Learner(nn.Sequential(normalise, *layers), tiles, seed=seed, batch_size=32)


def _about_the_rate(learn: Learner, accuracy: float) -> str:
    if max(learn.history.lr) < 2.5e-3 and accuracy < 0.53:
        return "It learns too slowly: the learning rate is too low. What does the finder say?"
    return ""


EXERCISES = {
    "02.1": number(
        0.01,
        "The lowest point is at 0.1, and one order of magnitude to its left is 0.01. If that "
        "doesn't train well, the lesson goes on to 0.001.",
        factor=1.3,
        wrong={
            0.1: "That is the lowest point itself. There the loss is about to explode: go left.",
            1.0: "That is one order of magnitude to the right, where the loss has exploded.",
            0.001: "That is two orders of magnitude to the left: the lesson's fallback, when one "
            "order doesn't train well.",
            0.09: "You took 0.01 away. An order of magnitude is a factor of ten, not a difference.",
        },
        hint="Find the LR at which the curve is lowest, and divide it by ten.",
    ),
    "02.2": function(
        _sweep,
        [(1e-5, 10.0, 100), (1e-3, 1.0, 4), (0.02, 0.5, 7), (1e-4, 1e-2, 2)],
        "Every LR is the one before times the same factor, (lr_max / lr_min) ** (1 / (steps - 1)), "
        "so each decade gets the same number of batches.",
        wrong={
            np.linspace: "These LRs rise by equal differences. Then nearly all batches fall into "
            "the last decade: let them rise by equal factors.",
            (lambda lr_min, lr_max, steps: _sweep(lr_min, lr_max, steps + 1)[:-1]): (
                "The last LR stays below lr_max: between `steps` values there are only steps - 1 "
                "factors."
            ),
            (lambda lr_min, lr_max, steps: _sweep(lr_min, lr_max, steps + 1)): (
                "These are steps + 1 LRs. `steps` of them are wanted, and so steps - 1 factors."
            ),
            (lambda *given: _sweep(*given)[::-1]): "It runs from high to low: the network would "
            "be ruined at the start.",
            (lambda *given: np.log10(_sweep(*given))): "These are the exponents. Raise 10 to them "
            "to get the LRs.",
        },
        hint="The LRs should begin with lr_min, end with lr_max, and rise by equal factors.",
    ),
    "02.3": choice(
        "improving",
        ["lowest", "suggestion", "improving"],
        {
            "lowest": "The lowest point lies at the edge of the picture: it says where the sweep "
            "ended, not where the loss turns. A longer sweep has another one.",
            "suggestion": "It is a tenth of the lowest point, and that one lies at the edge of the "
            "picture: a tenth of where the sweep happened to end means nothing.",
        },
        "The lowest point, and all that is derived from it, is where the sweep happened to end. "
        "What is left to read is where the loss falls, and where it stops doing so clearly.",
        hint="Where is the lowest point of a curve that falls to its end? And of a longer one?",
    ),
    "02.4": choice(
        "another order",
        ["unfreeze", "AdamW", "tiles", "another order"],
        {
            "unfreeze": "This is what ruined the network in the part on unfreezing: an LR that "
            "suits a new head may be far too high for layers that are trained already.",
            "AdamW": "It divides each step by the usual size of the gradient, so its LRs are of "
            "another order of magnitude: on the digits many times lower than SGD's.",
            "tiles": "Other pictures have other gradients, and other classes need another head. "
            "The curve is about the pictures that it was drawn with.",
        },
        "The same weights train, with the same optimiser, on the same pictures. The curve will "
        "look a little different, as its mini-batches are others, but that is noise. After each of "
        "the other changes find again: it costs seconds.",
        hint="Which of them changes what trains, on what, or how a step is made?",
    ),
    "02.5": training(
        _new_problem,
        0.53,
        "At a tenth of the finder's suggestion three epochs are too few, and at ten times as much "
        "the loss explodes. On pictures and a network that this page hasn't shown, too, a hundred "
        "batches are enough to tell.",
        "Run the finder on `learn` inside your function. Of its rules take a careful one: at "
        "`lowest`, and close to it, the loss may explode.",
        "For example: learn.fit(learn.lr_find().suggestion, 3).",
        _about_the_rate,
        epochs=3,
        seeds=(7, 8, 9),
    ),
}
