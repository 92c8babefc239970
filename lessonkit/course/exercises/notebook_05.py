"""Exercises and closing quiz of notebook 05, restarts and good minima."""

from collections.abc import Sequence

import numpy as np

from lessonkit import schedule
from lessonkit.course.exercises.quiz import Option, Question, choice, function, number

Snapshots = Sequence[np.ndarray]


def _sgdr(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    return schedule.sgdr(lr, n_cycle, cycle_len, cycle_mult)


def _equal_cycles(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    return schedule.sgdr(lr, n_cycle, cycle_len)


def _one_cosine(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    return schedule.cosine(lr, len(_sgdr(lr, n_cycle, cycle_len, cycle_mult)))


def _epochs_not_cycles(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    return schedule.cosine(lr, n_cycle)


def _added(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    lengths = [cycle_len + cycle_mult * k for k in range(n_cycle)]
    return np.concatenate([schedule.cosine(lr, n) for n in lengths])


def _whole_cosine(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    lengths = [cycle_len * cycle_mult**k for k in range(n_cycle)]
    return np.concatenate([lr * (1 + np.cos(2 * np.pi * np.arange(n) / n)) / 2 for n in lengths])


def _straight(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    lengths = [cycle_len * cycle_mult**k for k in range(n_cycle)]
    return np.concatenate([schedule.linear(lr, n) for n in lengths])


def _to_zero(lr: float, n_cycle: int, cycle_len: int, cycle_mult: int) -> np.ndarray:
    lengths = [cycle_len * cycle_mult**k for k in range(n_cycle)]
    ways = (np.arange(n) / max(n - 1, 1) for n in lengths)
    return np.concatenate([lr * (1 + np.cos(np.pi * way)) / 2 for way in ways])


def _ensemble(snapshots: Snapshots) -> np.ndarray:
    return np.mean(snapshots, axis=0).argmax(1)


def _last_alone(snapshots: Snapshots) -> np.ndarray:
    return np.asarray(snapshots[-1]).argmax(1)


def _vote(snapshots: Snapshots) -> np.ndarray:
    votes = np.argmax(snapshots, axis=2)
    return np.array([np.bincount(column).argmax() for column in votes.T])


def _surest(snapshots: Snapshots) -> np.ndarray:
    return np.max(snapshots, axis=0).argmax(1)


def _probabilities(snapshots: Snapshots) -> np.ndarray:
    return np.mean(snapshots, axis=0)


def _mean_of_classes(snapshots: Snapshots) -> np.ndarray:
    return np.argmax(snapshots, axis=2).mean(0)


def _some_snapshots() -> list[list[np.ndarray]]:
    """Inputs on which all ways of combining snapshots differ."""
    draw, inputs = np.random.default_rng(5), []
    for n_snapshots, n_pictures, n_classes in ((3, 40, 3), (4, 30, 5), (2, 20, 2)):
        shape = (n_snapshots, n_pictures)
        inputs.append(list(draw.dirichlet(np.full(n_classes, 0.6), size=shape)))
    return [(snapshots,) for snapshots in inputs]


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
        _sgdr,
        [(0.1, 3, 1, 2), (1.0, 2, 3, 1), (0.02, 1, 5, 1), (0.5, 3, 2, 3)],
        "Each cycle begins at the full LR, and its i-th of n epochs has the LR "
        "lr * (1 + cos(π i / n)) / 2. With more values per epoch, it is what `fit` trains with.",
        wrong=[
            (_equal_cycles, "All your cycles are equally long: cycle_mult plays no part yet."),
            (_one_cosine, "The length is right, but it is one long cosine: the LR never jumps up."),
            (
                _epochs_not_cycles,
                "You took n_cycle for the number of epochs. It counts cycles, each several epochs.",
            ),
            (
                _added,
                "Your cycles grow by a difference. They grow by a factor: cycle_len * "
                "cycle_mult**k.",
            ),
            (_whole_cosine, "That is a whole cosine, down and up again: half of one is wanted."),
            (_straight, "Your LR falls on a straight line. Cosine annealing is flat at both ends."),
            (
                _to_zero,
                "Your last epoch of each cycle has an LR of 0 and would learn nothing: divide i by "
                "n, not by n - 1.",
            ),
        ],
        hint="Go through the cycles, and make a cosine for each: lr * (1 + cos(π i / n)) / 2.",
    ),
    "05.3": number(
        0.05,
        "2/λ = 2/40. At higher LRs each step takes it further from the bottom than it was.",
        wrong={
            0.025: "That is 1/λ, the LR that reaches the bottom in one step. The limit is twice "
            "that.",
            20: "That is λ/2, the limit upside down.",
            80: "You multiplied. The sharper the pit, the lower the limit: divide.",
            0.15: "That is three times 2/λ: about where the ball in this notebook got over the "
            "rim. It couldn't come to rest long before.",
            0.095: "That is the limit with momentum 0.9. Here there is none.",
        },
        hint="Each step multiplies the distance from the bottom by 1 - lr · λ.",
    ),
    "05.4": choice(
        "the same",
        ["worse", "the same", "better", "can't know"],
        {
            "worse": "λ is larger, but what does the network answer? Compare the two again.",
            "better": "Nothing about its answers has changed. Compare the two again.",
            "can't know": "You can: a ReLU hands on ten times as much, and the next layer takes a "
            "tenth of it. What does that do to the answers?",
        },
        "It gives the same answer to every picture, so it is right on as many. λ belongs to the "
        "weights as they are written down; generalising belongs to the function.",
        hint="Follow one picture through both layers: what does the second one receive?",
    ),
    "05.5": function(
        _ensemble,
        _some_snapshots(),
        "Probabilities are averaged first, and the class is chosen last: so a snapshot that is "
        "sure counts for more than one that hesitates.",
        wrong=[
            (_last_alone, "That is the last snapshot alone. The others have no part in it."),
            (
                _vote,
                "That is a vote: each snapshot names one class. Average the probabilities, so that "
                "a sure snapshot counts for more.",
            ),
            (_surest, "That follows the surest snapshot, class by class. Take the mean instead."),
            (_probabilities, "These are the averaged probabilities. Take the largest one's class."),
            (
                _mean_of_classes,
                "You averaged the numbers of the classes: between a 2 and an 8 that gives a 5.",
            ),
        ],
        hint="Average over the list first, then take the position of the largest in each row.",
    ),
}

QUESTIONS = [
    Question(
        "Why should a wide minimum be better than an equally deep, narrow one?",
        [
            Option("Its training loss is lower.", False, "They are equally deep."),
            Option(
                "If the landscape is moved sideways, the loss rises less.",
                True,
                "That is the argument. On the digits such a shift explained only a part of what "
                "is lost on new pictures.",
            ),
            Option(
                "Training finds it faster.",
                False,
                "That may be, but it isn't about which of the two you would rather have.",
            ),
        ],
    ),
    Question(
        "Network A has λ = 50 and network B has λ = 5. What do you know?",
        [
            Option(
                "B generalises better.",
                False,
                "Rescaling two layers turns one into the other, and no answer changes.",
            ),
            Option(
                "A's loss explodes at LRs where B's still falls.",
                True,
                "Gradient descent can rest in A below 2/50, in B below 2/5. That is what λ says.",
            ),
            Option(
                "B is robust to noise in the pictures.",
                False,
                "λ is about changes of the weights. Robustness is about changes of the pictures.",
            ),
        ],
    ),
    Question(
        "Training in large batches gave a sharp minimum. What made it so, in this notebook?",
        [
            Option(
                "The size of the batch itself.",
                False,
                "A large batch at a higher LR was as flat as the small one.",
            ),
            Option(
                "An LR that was low for that batch size.",
                True,
                "A small batch with a low LR was as sharp; a large one with a high LR was not.",
            ),
            Option(
                "Too few epochs.",
                False,
                "All networks were trained to the same loss, however long it took.",
            ),
        ],
    ),
    Question(
        "Your network must put up with noisy pictures. What do you do?",
        [
            Option(
                "Look for a flat minimum.",
                False,
                "On noise the flat ones were two points better than the sharp ones, the one that "
                "had seen noise eight points better.",
            ),
            Option(
                "Train it on noisy pictures.",
                True,
                "Each network was robust to the changes that it had met, and not to others.",
            ),
            Option(
                "Train it on moved pictures: any augmentation will do.",
                False,
                "The network that had seen moved pictures was the worst of six on noisy ones.",
            ),
        ],
    ),
    Question(
        "A run with restarts shows its loss going up after half of the epochs. What now?",
        [
            Option(
                "Stop it: it is diverging.",
                False,
                "It may just have begun a new cycle. Look at the LR of the same mini-batches.",
            ),
            Option(
                "Look at the LR: at a restart that is normal. Judge it at the end of the cycle.",
                True,
                "With restarts you pay first. At the end of a cycle the LR is near zero.",
            ),
            Option(
                "Lower cycle_mult.",
                False,
                "It changes how often the LR goes up, not that the loss rises when it does.",
            ),
        ],
    ),
    Question(
        "You can afford 8 epochs, once. Which schedule do you take?",
        [
            Option(
                "Restarts, as they find better minima.",
                False,
                "Over ten seeds they were no better at equal cost, and mostly a little worse.",
            ),
            Option(
                "One cosine over all 8 epochs.",
                True,
                "As good as anything here at that cost. Restarts are for when you may have to stop "
                "early: each cycle's end is a network that you can use.",
            ),
            Option(
                "Four cycles, and the average of the four snapshots.",
                False,
                "It gained next to nothing over the last one alone, and did not beat the cosine.",
            ),
        ],
    ),
]
