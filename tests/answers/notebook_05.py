"""Answers to the exercises of notebook 05, right and wrong."""

import math

import numpy as np

from lessonkit import schedule


def sgdr(lr, n_cycle, cycle_len, cycle_mult):
    lrs, epochs = [], cycle_len
    for _ in range(n_cycle):
        lrs += [lr * (1 + math.cos(math.pi * i / epochs)) / 2 for i in range(epochs)]
        epochs *= cycle_mult
    return lrs


def same_length(lr, n_cycle, cycle_len, cycle_mult):
    return sgdr(lr, n_cycle, cycle_len, 1)


def never_up(lr, n_cycle, cycle_len, cycle_mult):
    epochs = sum(cycle_len * cycle_mult**k for k in range(n_cycle))
    return sgdr(lr, 1, epochs, 1)


def takes_cycles_for_epochs(lr, n_cycle, cycle_len, cycle_mult):
    return sgdr(lr, 1, n_cycle, 1)


def grows_by_adding(lr, n_cycle, cycle_len, cycle_mult):
    lengths = [cycle_len + k * cycle_mult for k in range(n_cycle)]
    return [value for length in lengths for value in sgdr(lr, 1, length, 1)]


def down_and_up(lr, n_cycle, cycle_len, cycle_mult):
    lengths = [cycle_len * cycle_mult**k for k in range(n_cycle)]
    return [lr * (1 + math.cos(2 * math.pi * i / n)) / 2 for n in lengths for i in range(n)]


def line(lr, n_cycle, cycle_len, cycle_mult):
    lengths = [cycle_len * cycle_mult**k for k in range(n_cycle)]
    return [lr * (1 - i / n) for n in lengths for i in range(n)]


def ends_at_zero(lr, n_cycle, cycle_len, cycle_mult):
    lengths = [cycle_len * cycle_mult**k for k in range(n_cycle)]
    return [lr * (1 + math.cos(math.pi * i / max(1, n - 1))) / 2 for n in lengths for i in range(n)]


def vote(snapshots):
    votes = np.stack([probabilities.argmax(1) for probabilities in snapshots])
    return [max(range(10), key=list(column).count) for column in votes.T]


RIGHT = {
    "05.1": 30,
    "05.2": sgdr,
    "05.3": 0.05,
    "05.5": lambda snapshots: (sum(snapshots) / len(snapshots)).argmax(1).tolist(),
}
ALSO_RIGHT = {"05.1": ["30 epochs"]}
WRONG = {
    "05.1": [
        (4, "number of cycles"),
        (8, "cycle_mult=1"),
        (15, "cycle_len = 2"),
        (14, "there are four"),
        (16, "last cycle"),
        (20, "multiplied"),
        (32, "less than the next"),
        (7, "add them up"),
    ],
    "05.2": [
        (same_length, "equally long"),
        (never_up, "never jumps up"),
        (takes_cycles_for_epochs, "counts cycles"),
        (grows_by_adding, "by a factor"),
        (down_and_up, "half of one"),
        (line, "straight line"),
        (ends_at_zero, "n - 1"),
        (lambda *arguments: sgdr(*arguments)[::-1], "go through the cycles"),
        (lambda lr, *cycles: lr, "shape"),
        (schedule.sgdr, "write one yourself"),
        (lambda *a: [sgdr(a[0], 1, n, 1) for n in (1, 2, 4)], "join them"),
    ],
    "05.3": [
        (0.025, "in one step"),
        (20, "upside down"),
        (80, "divide"),
        (0.15, "over the rim"),
        (0.095, "momentum"),
        (0.5, "multiplies"),
    ],
    "05.4": [
        (lambda learn: learn.fit(0.03, 7), "never jumps up"),
        (lambda learn: learn.fit(0.03, 1, cycle_len=7), "never jumps up"),
        (lambda learn: learn.fit(0.3, 7, cycle_len=1), "so many short cycles"),
        (lambda learn: learn.fit(1.0, 3, cycle_len=1, cycle_mult=2), "another lr"),
        (lambda learn: learn.fit(0.01, 4, cycle_len=1, cycle_mult=2), "everybody has 7 epochs"),
    ],
    "05.5": [
        (lambda snapshots: snapshots[-1].argmax(1), "last snapshot alone"),
        (vote, "vote"),
        (lambda snapshots: np.stack(snapshots).max(0).argmax(1), "surest"),
        (lambda snapshots: np.mean(snapshots, axis=0), "averaged probabilities"),
        (lambda snapshots: np.stack(snapshots).argmax(2).mean(0), "numbers of the classes"),
        (lambda snapshots: snapshots[0].argmax(1), "average over the list"),
    ],
}
