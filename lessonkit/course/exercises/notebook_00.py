"""Exercises of notebook 00."""

import math
from dataclasses import replace

from lessonkit import augment, data
from lessonkit.course.exercises.quiz import choice, function, number
from lessonkit.course.exercises.training import training
from lessonkit.learner import Learner

WELL = 0.64  # the accuracy that exercise 00.4 asks for


def _eight_kinds(seed: int) -> Learner:
    """A frozen body with a new head, and 423 satellite tiles of 32 px: 14 batches an epoch."""
    tiles = data.earth(size=32).with_augment(augment.none()).with_training(slice(seed, None, 6))
    fewer = data.Split(*(part[::2] for part in tiles.valid))
    return Learner.pretrained("tf_efficientnet_lite0", replace(tiles, valid=fewer), seed=seed)


def _about_the_steps(learn: Learner, accuracy: float) -> str:
    top = max(learn.history.lr)
    if accuracy >= WELL:
        return ""
    if top < 2e-3:
        return "With steps so small the head has hardly begun: try a larger learning rate."
    if top > 0.1:
        return "With steps so large the head jumps about until the end: try a smaller one."
    return ""


EXERCISES = {
    "00.1": number(
        lambda: -math.log(0.25),
        "The loss is -ln(0.25) = 1.39. Two classes with 0.5 each would give 0.69: the network is "
        "worse than a coin on this photo.",
        within=0.015,  # 1.4 as well
        wrong={
            -math.log(0.75): "That is the loss if a mammal were right: 0.75 is the probability of "
            "the *other* class.",
            0.75: "That is how far the probability is from 1. The loss is minus the logarithm of "
            "the probability itself.",
            math.log(0.25): "The logarithm of a number below 1 is negative; the loss is *minus* "
            "that.",
            -math.log10(0.25): "That is the logarithm to base 10. Here, as nearly everywhere in "
            "this field, it is the natural one: math.log.",
            -math.log2(0.25): "That is the logarithm to base 2. Here it is the natural one: "
            "math.log.",
        },
        hint="The loss is minus the natural logarithm of the probability of the right class.",
    ),
    "00.2": function(
        lambda n_pictures, batch_size: math.ceil(n_pictures / batch_size),
        [(100, 32), (64, 64), (65, 64), (1, 64), (2542, 64), (75, 32), (129, 128)],
        "Every picture takes part in the epoch, so the rest is a mini-batch too, a smaller one.",
        wrong={
            (lambda n_pictures, batch_size: n_pictures // batch_size): (
                "This leaves out the pictures that don't fill a whole mini-batch. They would never "
                "be learned from."
            ),
            (lambda n_pictures, batch_size: n_pictures // batch_size + 1): (
                "This counts an empty mini-batch where the division leaves no rest, as with 64 "
                "pictures in mini-batches of 64."
            ),
            (lambda n_pictures, batch_size: n_pictures / batch_size): (
                "There are no fractions of mini-batches: the rest is one of its own."
            ),
            (lambda n_pictures, batch_size: round(n_pictures / batch_size)): (
                "Rounding to the nearest whole number drops a small rest: round up instead."
            ),
            (lambda n_pictures, batch_size: int(n_pictures / batch_size + 0.99)): (
                "One picture left of a large mini-batch is less than 0.01 of it, and is lost here: "
                "math.ceil rounds up whatever is left."
            ),
        },
        hint="How many mini-batches are full, and is anything left after them?",
    ),
    "00.3": choice(
        "about 70 %",
        ["about 99 %", "about 85 %", "about 70 %"],
        wrong={
            "about 99 %": "That is how well it knows the photos it has learned from, partly by "
            "heart. New photos aren't among them.",
            "about 85 %": "New photos aren't half old. The network has learned from none of them, "
            "just as with the validation photos.",
        },
        why="The validation photos stand for new ones: the network has learned from neither.",
        hint="Which of the two numbers was measured on pictures that it hasn't learned from?",
    ),
    "00.4": training(
        _eight_kinds,
        WELL,
        "Learning rates from 0.003 to 0.1 get there. At this page's own, 0.001, ten epochs are too "
        "few; far above, the head jumps about. So which is right depends on the pictures and on "
        "the time there is. (The 0.03 that overshot above was for plain steps against the "
        "gradient; `fit` takes AdamW here, which divides them by the gradient's usual size.)",
        "Try learning rates a factor of three apart, and give them all ten epochs.",
        "Ten times the page's learning rate, for ten epochs: learn.fit(0.01, 10).",
        _about_the_steps,
        epochs=10,
        seeds=(7, 8),
    ),
}
