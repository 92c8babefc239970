"""Exercises and closing quiz of notebook 08, your own images."""

import numpy as np

from lessonkit.course.exercises.quiz import Option, Question, choice, function, number


def _copies(contents: list[bytes]) -> list[int]:
    return [i for i, content in enumerate(contents) if content in contents[:i]]


def _all_involved(contents: list[bytes]) -> list[int]:
    return [i for i, content in enumerate(contents) if contents.count(content) > 1]


def _originals(contents: list[bytes]) -> list[int]:
    return [i for i, content in enumerate(contents) if content in contents[i + 1 :]]


def _by_size(contents: list[bytes]) -> list[int]:
    sizes = [len(content) for content in contents]
    return [i for i, size in enumerate(sizes) if size in sizes[:i]]


def _neighbours_only(contents: list[bytes]) -> list[int]:
    return [i for i in range(1, len(contents)) if contents[i] == contents[i - 1]]


_FILES = [
    [b"owl", b"cow", b"owl", b"hen", b"owl", b"cow"],
    [b"a", b"b", b"c"],
    [b"", b"x" * 999, b"", b"x" * 998 + b"y"],
    [b"fox", b"fox"],
]


def _by_class(
    truth: np.ndarray, guess: np.ndarray, weights: np.ndarray, n_classes: int
) -> list[float]:
    right = truth == guess
    return [
        float(np.average(right[truth == k], weights=weights[truth == k])) for k in range(n_classes)
    ]


def _of_the_guesses(
    truth: np.ndarray, guess: np.ndarray, weights: np.ndarray, n_classes: int
) -> list[float]:
    return _by_class(guess, truth, weights, n_classes)


def _unweighted(
    truth: np.ndarray, guess: np.ndarray, weights: np.ndarray, n_classes: int
) -> list[float]:
    return _by_class(truth, guess, np.ones(len(truth)), n_classes)


def _share_of_all(
    truth: np.ndarray, guess: np.ndarray, weights: np.ndarray, n_classes: int
) -> list[float]:
    right = weights * (truth == guess)
    return [float(right[truth == k].sum() / weights.sum()) for k in range(n_classes)]


_CASES = [
    (
        np.array([0, 0, 1, 1, 1, 2]),
        np.array([0, 1, 1, 1, 2, 2]),
        np.array([1.0, 0.5, 0.2, 1.0, 0.7, 0.9]),
        3,
    ),
    (np.array([0, 1, 0, 1, 0]), np.array([1, 1, 0, 0, 0]), np.array([0.3, 1.0, 0.8, 0.1, 0.6]), 2),
    (
        np.array([2, 1, 0, 3, 3, 2, 0]),
        np.array([2, 1, 3, 3, 0, 1, 0]),
        np.array([0.5, 0.5, 1.0, 0.25, 0.75, 1.0, 0.1]),
        4,
    ),
]

EXERCISES = {
    "08.1": function(
        _copies,
        _FILES,
        "The first file with a content stays, each later one is a copy. On a disk you would "
        "compare sizes first, and then a checksum, so that no file has to be kept in memory.",
        wrong=[
            (
                _all_involved,
                "The first of each group is here as well: drop these, and none is left.",
            ),
            (_originals, "These are the ones that have a copy later on: the last of each stays."),
            (_by_size, "Two files of the same size may hold different things: compare contents."),
            (_neighbours_only, "A copy may stand anywhere later in the list, not only next to it."),
        ],
        hint="Go through the list and ask of each content whether it was there before.",
    ),
    "08.2": number(
        0.8,
        "p · 0.9 + (1 - p) · 0.1 = 0.74 gives p = 0.64 / 0.8 = 0.8. The mess hides six points.",
        within=0.004,
        wrong={
            0.74: "That is what the folder says. Where its label is wrong and the network right, "
            "it counts against the network.",
            0.84: "Adding the share of wrong labels assumes that each of them cost a point. But a "
            "network that is wrong on a wrong label is counted as right.",
            0.64: "That is 0.74 - 0.1, half-way through the sum: divide by 1 - 2 · 0.1.",
            0.74 / 0.9: "That assumes that the network never agrees with a wrong label. By its own "
            "mistakes it does.",
            0.666: "Subtracting would be for a folder that flatters. Wrong labels make a good "
            "network look worse.",
            0.692: "That puts 0.74 in for p: it is the result that is 0.74, and p that is wanted.",
        },
        hint="Put w = 0.1 into p(1 - w) + (1 - p)w = 0.74 and solve for p.",
    ),
    "08.3": function(
        _by_class,
        _CASES,
        "Of the places that truly have a class, the weighted share where the guess agrees. The sum "
        "of the weights in the denominator is that class's own.",
        wrong=[
            (
                _of_the_guesses,
                "This is the share of each class's *guesses* that are right, its precision. Here "
                "the places are sorted by their true class.",
            ),
            (_unweighted, "Every place counts the same here: use the weights, above and below."),
            (
                _share_of_all,
                "Each class is divided by the weight of all places: divide by that of its own, or "
                "a small class can't score.",
            ),
        ],
        hint="For each class, take the places with truth == k and average the hits by weight.",
    ),
    "08.4": choice(
        "split by mushroom",
        ["collect more photos", "split by mushroom", "train longer", "drop the doubted ones"],
        {
            "collect more photos": "More of them would help training. But as long as the sets "
            "share mushrooms, you can't measure whether it did.",
            "train longer": "It has 0.99 already. The question is what the 0.99 is worth.",
            "drop the doubted ones": "Those may be the only photos that tell you something. First "
            "make the number mean something.",
        },
        "All photos of one mushroom belong in one set, as the climate tiles of one part of the "
        "Earth do. Otherwise the network is examined on what it knows.",
        hint="Could the network have seen the mushroom itself, if not the photo?",
    ),
}

QUESTIONS = [
    Question(
        "A fifth of the labels is wrong. What does a validation set cut out of them say?",
        [
            Option(
                "Less than the truth: a right answer to a wrong label counts as a mistake.",
                True,
                "In twenty folders it said .70 where .82 was true.",
            ),
            Option(
                "More than the truth, as the network has learned the same mistakes.",
                False,
                "That is so on the training photos, where it agreed with every label. The wrong "
                "labels of the validation photos it has never seen.",
            ),
            Option(
                "The truth: mistakes cancel out in a large set.",
                False,
                "A larger set makes the number more certain, not more true.",
            ),
        ],
    ),
    Question(
        "Why is each photo judged by a head that hasn't been trained on it?",
        [
            Option(
                "It is faster.",
                False,
                "It takes five heads instead of one.",
            ),
            Option(
                "A head that has been trained on a wrong label tends to agree with it.",
                True,
                "It still doubts the wrong ones a little more, but the list it makes is worse.",
            ),
            Option(
                "So that no wrong label is used in training at all.",
                False,
                "The four other parts have their wrong labels as well.",
            ),
        ],
    ),
    Question(
        "You drop a picture in the cleaning list and save. What has changed on your disk?",
        [
            Option(
                "The picture has been deleted.",
                False,
                "No file of the folder is ever touched.",
            ),
            Option(
                "The picture has been moved to a folder for dropped ones.",
                False,
                "The folder stays as it is, with every file where it was.",
            ),
            Option(
                "There is a small text file beside the folder.",
                True,
                "`from_folder` reads it and leaves the picture out. Delete it to undo everything.",
            ),
        ],
    ),
    Question(
        "The tiles promised 78 %, and by area 63 % agree. What explains most of the gap?",
        [
            Option(
                "Overfitting to the training blocks.",
                False,
                "That is a gap too, but the 78 % were measured in blocks not trained on.",
            ),
            Option(
                "Squares with several climates, which were left out of every set.",
                True,
                "They are two in five, and on them it agreed on 46 %, in training blocks as well.",
            ),
            Option(
                "The satellite picture is worse there.",
                False,
                "It is the same picture. What differs is which squares were chosen.",
            ),
        ],
    ),
    Question(
        "What does the saved model file hold?",
        [
            Option(
                "Weights, the classes' names, the size, and how the network is built.",
                True,
                "Numbers and a line of text: no code that could run, and none of your photos.",
            ),
            Option(
                "Weights and the training photos, so that training can go on.",
                False,
                "To train on you need the photos again: `Learner.load(path, images)`.",
            ),
            Option(
                "A Python object with its code.",
                False,
                "Files like that (pickles) can run anything when they are opened. This one can't.",
            ),
        ],
    ),
]
