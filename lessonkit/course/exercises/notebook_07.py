"""Exercises of notebook 07, the 8 steps."""

import numpy as np

from lessonkit import augment, data
from lessonkit.course.exercises.quiz import choice, function, number
from lessonkit.course.exercises.training import training
from lessonkit.learner import Learner

WELL = 0.76  # accuracy asked for of a head on 424 tiles


def _group_lrs(head_lr: float, times: float, n_groups: int) -> list[float]:
    return [head_lr / times ** (n_groups - 1 - i) for i in range(n_groups)]


def _given(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each picture's true class was given."""
    return probabilities[np.arange(len(labels)), labels]


def _surest_mistake(probabilities: np.ndarray, labels: np.ndarray) -> int:
    wrong = probabilities.argmax(1) != labels
    return np.where(wrong, probabilities.max(1), -1).argmax()


_PROBABILITIES = [
    [[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.05, 0.9, 0.05], [0.0, 0.02, 0.98]],
    [[0.2, 0.8], [0.99, 0.01], [0.49, 0.51], [0.3, 0.7], [0.02, 0.98]],
    [[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.05, 0.85, 0.06, 0.04]],
    [[0.1, 0.8, 0.1], [0.01, 0.75, 0.24], [0.005, 0.5, 0.495]],  # three kinds of wrong
]
_LABELS = [[0, 1, 2, 2], [1, 1, 0, 0, 1], [3, 2, 1], [0, 0, 0]]
_CASES = [
    (np.array(p), np.array(labels)) for p, labels in zip(_PROBABILITIES, _LABELS, strict=True)
]


def _new_head(seed: int) -> Learner:
    """A frozen body with a new head, and 424 satellite tiles of 48 px: 14 batches an epoch."""
    tiles = data.earth(48).with_augment(augment.none()).with_training(slice(1, None, 6))
    return Learner.pretrained("tf_efficientnet_lite0", tiles, seed=seed)


def _about_the_head(learn: Learner, accuracy: float) -> str:
    if accuracy >= WELL:
        return ""
    if max(learn.history.lr) < 5e-4:
        return "That LR is too low: after five epochs the head has hardly begun to learn."
    if max(learn.history.lr) > 5e-2:
        return "That LR is too high: the head jumps about until the end."
    return ""


EXERCISES = {
    "07.1": training(
        _new_head,
        WELL,
        "A second of training, and the head is there. From 1e-3 to 1e-2 all LRs do about equally "
        "well; far below, five epochs are too few, and far above, the head doesn't settle.",
        "Ask learn.lr_find() for an LR, and give it five epochs in one cycle.",
        "Take an LR between 1e-3 and 1e-2: learn.fit(lr, 1, cycle_len=5).",
        _about_the_head,
        epochs=5,
        seeds=(7, 8),
    ),
    "07.2": function(
        _group_lrs,
        [(1e-3, 10.0, 3), (1e-3, 3.0, 3), (2e-2, 1.0, 3), (1e-2, 10.0, 2), (5e-3, 4.0, 5)],
        "The last group, the head, gets the LR itself, and each step towards the input divides "
        "once more. With a factor of 1 all groups get the same.",
        wrong={
            (lambda *given: _group_lrs(*given)[::-1]): "The groups are listed earliest first: the "
            "head, with the LR, comes last.",
            (lambda head_lr, times, n_groups: [head_lr * times**i for i in range(n_groups)]): (
                "Here the earliest group gets head_lr and the head more than that: divide, going "
                "backwards from the head."
            ),
            (lambda head_lr, times, n_groups: [head_lr / times] * (n_groups - 1) + [head_lr]): (
                "All groups but the head get the same LR here. Each group gets `times` less than "
                "the next: divide once more for every step towards the input."
            ),
            (lambda lr, times, n: [*(lr / (times * k) for k in range(n - 1, 0, -1)), lr]): (
                "Each step towards the input *divides* by `times` again: 10, then 100, not 10, "
                "then 20."
            ),
        },
        hint="Start from the head, the last in the list, and divide once for every step backwards.",
    ),
    "07.3": function(
        lambda probabilities, labels: _given(probabilities, labels).argmin(),
        _CASES,
        "Look up what each picture's true class was given, and take the smallest. With three or "
        "more classes that differs from looking for a sure prediction.",
        wrong={
            (lambda probabilities, labels: _given(probabilities, labels).argmax()): (
                "That one is the most *correct*: its true class got the most."
            ),
            (lambda probabilities, labels: probabilities.max(1).argmin()): (
                "That one is the most *uncertain*: its best class got little. It may be right."
            ),
            _surest_mistake: "That is the mistake made with most confidence. A picture can be "
            "given even less for its true class where the network wavers between two others.",
            (lambda p, labels: (p.max(1) - _given(p, labels)).argmax()): (
                "That is the largest gap between best and true class. Asked for is the smallest "
                "probability of the true one."
            ),
            (lambda probabilities, labels: _given(probabilities, labels).min()): (
                "That is its probability. Which picture has it? Return its number."
            ),
            (lambda probabilities, labels: probabilities.max(1).argmax()): (
                "That one is the surest of all, and it may well be right: use the labels."
            ),
        },
        hint="Take the probability of each picture's true class, probabilities[i, labels[i]].",
    ),
    "07.4": number(
        (0.45 + 0.4 + 0.95) / 3,
        "TTA averages probabilities: (0.45 + 0.40 + 0.95) / 3. The answer is bird, although two of "
        "the three views say mammal: a sure view counts for more than two that waver.",
        within=0.006,
        percent=True,
        wrong={
            1 / 3: "That is the fraction of views that vote for bird. TTA averages probabilities, "
            "so that a sure view counts for more.",
            0.95: "That is the surest view alone. All views count.",
            0.45: "That is the first view alone, or the median. TTA takes the mean of all views.",
            0.4: "That is the mean probability of mammal, the other class; or the second view "
            "alone.",
        },
        hint="Average the three probabilities of bird.",
    ),
    "07.5": choice(
        "keep cycle 2",
        ["keep cycle 2", "keep cycle 3", "go on", "lower dropout"],
        {
            "keep cycle 3": "Its training loss is the lowest, but that is measured on pictures "
            "that the network has by heart.",
            "go on": "The validation loss rises while the training loss falls: that is "
            "overfitting, and a longer cycle gives more of it.",
            "lower dropout": "Dropout works against overfitting: less of it would overfit sooner.",
        },
        "In cycle 3 the training loss went down and the validation loss up, and the accuracy fell "
        "by 4 points, six standard errors of 2,000 pictures: it overfits. "
        "The weights after cycle 2 are the ones to keep. More data, or more augmentation, could "
        "move that point further out.",
        hint="Compare both losses of cycle 3 with those of cycle 2.",
    ),
}
