"""Exercises of notebook 06, transfer learning and practical tips."""

import math
from collections.abc import Callable
from dataclasses import replace

from lessonkit import augment, data
from lessonkit.course.exercises.quiz import choice, function, number
from lessonkit.course.exercises.training import training
from lessonkit.learner import Learner

Layers = list[tuple[int, int, int]]  # kernel, stride, padding of each convolution


def _output_side(side: int, layers: Layers) -> int:
    for kernel, stride, padding in layers:
        side = (side + 2 * padding - kernel) // stride + 1
    return side


def _rounded(side: int, layers: Layers, to_whole: Callable[[float], int]) -> int:
    for kernel, stride, padding in layers:
        side = to_whole((side + 2 * padding - kernel) / stride + 1)
    return side


def _new_pictures(seed: int) -> Learner:
    """200 digits of 32 px, which the page doesn't show; the body is frozen, the head is trained."""
    digits = data.digits(32).with_augment(augment.none())
    digits = digits.with_training(slice(seed, None, 20))
    fewer = data.Split(*(part[::4] for part in digits.valid))
    learn = Learner.pretrained("tf_efficientnet_lite0", replace(digits, valid=fewer), seed=seed)
    learn.fit(1e-3, 1, cycle_len=20)
    learn.precompute = False
    return learn


def _about_the_body(learn: Learner, accuracy: float) -> str:
    if learn.frozen_to == len(learn.groups) - 1:
        return "The body is still frozen, and a head alone gets hardly further. Unfreeze it."
    if accuracy >= 0.73:
        return ""
    if accuracy < 0.45:
        return "It is worse than its head was: at this LR the body forgets what it knew."
    if learn.frozen_to > 0:
        return "The early layers are still frozen: let all of the body learn."
    return ""


EXERCISES = {
    "06.1": number(
        2.25,
        "The number of pixels counts: 96² / 64² = 1.5² = 2.25. Every map in the body gets that "
        "much larger, and so does the work of every convolution.",
        within=0.01,
        wrong={
            1.5: "That is how much longer a side gets. The filters move over both directions.",
            3.375: "That is the cube of 1.5. Pictures have two directions, not three.",
            9216: "That is the number of pixels at 96 px. By what factor are they more?",
            1.0: "The number of *weights* stays the same. Multiply-adds count how often each is "
            "used, once for each place of a map.",
        },
        hint="The work goes with the number of pixels. By what factor does that grow?",
    ),
    "06.2": function(
        _output_side,
        [
            (64, [(3, 2, 1)]),
            (62, [(3, 2, 1)]),
            (33, [(3, 2, 1), (5, 2, 2)]),
            (50, [(7, 3, 0), (3, 1, 1)]),
            (128, [(3, 2, 1), (3, 1, 0), (5, 2, 1), (1, 1, 0)]),
        ],
        "Each convolution turns s into (s + 2·padding - kernel) // stride + 1, for any s that is "
        "large enough: that is why the body takes pictures of any size.",
        wrong={
            (lambda side, layers: _output_side(side, [(k, s, p / 2) for k, s, p in layers])): (
                "Padding is added on both sides of the map: it counts twice."
            ),
            (lambda side, layers: side // math.prod(stride for _, stride, _ in layers)): (
                "Dividing by the stride is right only where the padding makes up for the kernel, "
                "and the side divides evenly. Count the places where the kernel fits."
            ),
            (lambda side, layers: _output_side(side, [(k + s, s, p) for k, s, p in layers])): (
                "One place is missing: the kernel also fits once before its first step. Add 1."
            ),
            (lambda side, layers: _output_side(side, layers[:1])): (
                "That is the side after the first layer. Go through all of them."
            ),
            (lambda side, layers: _rounded(side, layers, round)): (
                "A place that only half of the kernel has room for is none: round down, not to the "
                "nearest whole number."
            ),
            (lambda side, layers: _rounded(side, layers, math.ceil)): (
                "A place that the kernel has no room for is none: round down, not up."
            ),
        },
        hint="How many places does the kernel have on the padded side, `stride` apart?",
    ),
    "06.3": training(
        _new_pictures,
        0.73,
        "The head is new and far from done: it wants its old LR. With AdamW the body wants a lower "
        "one, but not a hundred times lower: these digits are no photos, so it has much to learn.",
        "How about the head's LR for the head, 1e-3, and lower ones for the body?",
        "Unfreeze, and try [1e-4, 3e-4, 1e-3]: each earlier group 3 times lower, as the lesson "
        "says for pictures unlike ImageNet's.",
        _about_the_body,
        epochs=3,
    ),
    "06.4": choice(
        "freeze",
        ["10 times lower", "3 times lower", "same LR", "freeze"],
        {
            "10 times lower": "At a tenth of the head's LR the late layers still change, more in "
            "many epochs; and on tiles the ledger calls the difference undecided.",
            "3 times lower": "That is what the lesson says for such pictures. The probes don't "
            "rule it out: at a third of the LR the late layers still change.",
            "same LR": "With it the late layers change most. The course's recipe comes close to it "
            "where ImageNet's classifier is unsure of the pictures.",
        },
        "The late layers know no more than 32 little filters do: frozen, they would stay a "
        "ceiling. How much lower the LRs of earlier groups should be, the probes can't tell. (What "
        "unfreezing gains on tiles, the ledger calls undecided.)",
        hint="What do the probes say of the late layers: are they good enough as they are?",
    ),
}
