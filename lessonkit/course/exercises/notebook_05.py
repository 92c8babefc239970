"""Exercises of notebook 05, restarts and good minima."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from lessonkit import schedule
from lessonkit.course.exercises.notebook_04 import short_of_time
from lessonkit.course.exercises.quiz import function, number
from lessonkit.course.exercises.training import training
from lessonkit.learner import Learner


def _added(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    lengths = [cycle_len + cycle_mult * k for k in range(n_cycle)]
    return np.concatenate([schedule.cosine(lr, n) for n in lengths])


def _cycles(of_one: Callable[[int], np.ndarray], *cycles: int) -> np.ndarray:
    """What `of_one` gives for each cycle's number of epochs, joined."""
    n_cycle, cycle_len, cycle_mult = cycles
    return np.concatenate([of_one(cycle_len * cycle_mult**k) for k in range(n_cycle)])


def _turned(lr: float, angles: np.ndarray) -> np.ndarray:
    return lr * (1 + np.cos(angles)) / 2


def _some_snapshots() -> list[list[np.ndarray]]:
    """Inputs on which all ways of combining snapshots differ."""
    draw, inputs = np.random.default_rng(5), []
    for n_snapshots, n_pictures, n_classes in ((3, 40, 3), (4, 30, 5), (2, 20, 2)):
        shape = (n_snapshots, n_pictures)
        inputs.append(list(draw.dirichlet(np.full(n_classes, 0.6), size=shape)))
    small = [np.array([[0.9, 0.1]]), np.array([[0.3, 0.7]])]  # which a hint can show
    return [(snapshots,) for snapshots in [*inputs, small]]


WELL = 0.67  # the accuracy that exercise 05.4 asks for


def _about_restarts(learn: Learner, accuracy: float) -> str:
    lrs = np.asarray(learn.history.lr)
    fallen = lrs[:-1] < np.maximum.accumulate(lrs)[:-1]  # a warm-up rises before that
    restarts = (fallen & (lrs[1:] > 1.5 * lrs[:-1])).sum()
    if not restarts:
        return "The LR never jumps up: a restart is asked for, one or several."
    if accuracy >= WELL:
        return ""
    if lrs[-1] > lrs.max() / 2:
        return "The last mini-batches have a high LR: end where a cycle ends."
    if restarts > 3 and lrs.max() > 0.03:
        return "From so high a top so many short cycles get nowhere: fewer of them, or a lower top."
    return "The top of the cycles doesn't suit this network: look for another LR."


EXERCISES = {
    "05.1": number(
        30,
        "2 + 4 + 8 + 16. Each of the four cycles is twice as long as the one before.",
        wrong={
            4: "That is the number of cycles. Each of them takes several epochs.",
            8: "That is four cycles of two epochs each: cycle_mult=1.",
            15: "That is 1 + 2 + 4 + 8. The first cycle takes cycle_len = 2 epochs.",
            14: "That is 2 + 4 + 8, three cycles. There are four.",
            16: "That is the last cycle alone. Add up all four.",
            20: "That is 2 + 4 + 6 + 8. The length is multiplied by 2 each time: after 4 comes 8.",
            32: "Close: the lengths 2, 4, 8, 16 add up to 2 less than the next one would be.",
        },
        hint="Write down the length of each of the four cycles, and add them up.",
    ),
    "05.2": function(
        schedule.sgdr,
        [(0.1, 3, 1, 2), (1.0, 2, 3, 1), (0.02, 1, 5, 1), (0.5, 3, 2, 3)],
        "Each cycle begins at the full LR, and its i-th of n epochs has the LR "
        "lr * (1 + cos(π i / n)) / 2. With more values per epoch, it is what `fit` trains with.",
        wrong={
            (lambda lr, n_cycle, cycle_len, _: schedule.sgdr(lr, n_cycle, cycle_len)): (
                "All your cycles are equally long: cycle_mult plays no part yet."
            ),
            (lambda lr, *cycles: schedule.cosine(lr, len(schedule.sgdr(lr, *cycles)))): (
                "The length is right, but it is one long cosine: the LR never jumps up."
            ),
            (lambda lr, n_cycle, *_: schedule.cosine(lr, n_cycle)): (
                "You took n_cycle for the number of epochs. It counts cycles, each several epochs."
            ),
            _added: "Your cycles grow by a difference. They grow by a factor: cycle_len * "
            "cycle_mult**k.",
            (lambda lr, *c: _cycles(lambda n: _turned(lr, 2 * np.pi * np.arange(n) / n), *c)): (
                "That is a whole cosine, down and up again: half of one is wanted."
            ),
            (lambda lr, *cycles: _cycles(lambda n: schedule.linear(lr, n), *cycles)): (
                "Your LR falls on a straight line. Cosine annealing is flat at both ends."
            ),
            (lambda lr, *c: _cycles(lambda n: _turned(lr, np.linspace(0, np.pi, n)), *c)): (
                "Your last epoch of each cycle has an LR of 0 and would learn nothing: divide i by "
                "n, not by n - 1."
            ),
        },
        hint="Go through the cycles, and make a cosine for each: lr * (1 + cos(π i / n)) / 2.",
    ),
    "05.3": number(
        0.05,
        "2/λ = 2/40. At higher LRs each step from near the bottom takes it further away.",
        wrong={
            0.025: "That is 1/λ, the LR that reaches the bottom in one step. The limit is twice "
            "that.",
            20: "That is λ/2, the limit upside down.",
            80: "You multiplied. The sharper the pit, the lower the limit: divide.",
            0.15: "That is three times 2/λ: about where the ball in this notebook got over the "
            "rim. Long before that it couldn't come to rest.",
            0.095: "That is the limit with momentum 0.9. Here there is none.",
        },
        hint="Each step multiplies the distance from the bottom by 1 - lr · λ.",
    ),
    "05.4": training(
        short_of_time,
        WELL,
        "What counts is the LR at the top of the cycles, and how the last of them ends. One long "
        "cosine would have done as well.",
        "Seven epochs make three cycles that double, 1 + 2 + 4. How high may the top be?",
        "Cycles of 1, 2 and 4 epochs, from an LR of about 0.01: "
        "learn.fit(lr, 3, cycle_len=1, cycle_mult=2).",
        _about_restarts,
        epochs=7,
        seeds=(7, 8, 9),
    ),
    "05.5": function(
        lambda snapshots: np.mean(snapshots, axis=0).argmax(1),
        _some_snapshots(),
        "Probabilities are averaged first, and the class is chosen last: so a snapshot that is "
        "sure counts for more than one that hesitates.",
        wrong={
            (lambda snapshots: np.asarray(snapshots[-1]).argmax(1)): (
                "That is the last snapshot alone. The others have no part in it."
            ),
            (lambda snapshots: stats.mode(np.argmax(snapshots, axis=2)).mode): (
                "That is a vote: each snapshot names one class. Average the probabilities, so that "
                "a sure snapshot counts for more."
            ),
            (lambda snapshots: np.max(snapshots, axis=0).argmax(1)): (
                "That follows the surest snapshot, class by class. Take the mean instead."
            ),
            (lambda snapshots: np.mean(snapshots, axis=0)): "These are the averaged "
            "probabilities. Take the largest one's class.",
            (lambda snapshots: np.argmax(snapshots, axis=2).mean(0)): (
                "You averaged the numbers of the classes: between a 2 and an 8 that gives a 5."
            ),
        },
        hint="Average over the list first, then take the position of the largest in each row.",
    ),
}
