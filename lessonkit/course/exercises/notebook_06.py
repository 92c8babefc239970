"""Exercises and closing quiz of notebook 06, transfer learning and practical tips."""

import numpy as np

from lessonkit.course.exercises.quiz import Option, Question, choice, function, number

Layers = list[tuple[int, int, int]]  # kernel, stride, padding of each convolution


def _output_side(side: int, layers: Layers) -> int:
    for kernel, stride, padding in layers:
        side = (side + 2 * padding - kernel) // stride + 1
    return side


def _pads_once(side: int, layers: Layers) -> int:
    for kernel, stride, padding in layers:
        side = (side + padding - kernel) // stride + 1
    return side


def _strides_only(side: int, layers: Layers) -> int:
    for _, stride, _ in layers:
        side //= stride
    return side


def _one_too_few(side: int, layers: Layers) -> int:
    for kernel, stride, padding in layers:
        side = (side + 2 * padding - kernel) // stride
    return side


def _first_layer_only(side: int, layers: Layers) -> int:
    return _output_side(side, layers[:1])


def _moved(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))


def _lengths_only(before: np.ndarray, after: np.ndarray) -> float:
    return float(abs(np.linalg.norm(after) - np.linalg.norm(before)) / np.linalg.norm(before))


def _not_relative(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.linalg.norm(after - before))


def _by_the_new_length(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.linalg.norm(after - before) / np.linalg.norm(after))


def _mean_of_ratios(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.mean(np.abs(after - before) / np.abs(before)))


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
            (33, [(3, 2, 1), (5, 2, 2)]),
            (50, [(7, 3, 0), (3, 1, 1)]),
            (128, [(3, 2, 1), (3, 1, 0), (5, 2, 1), (1, 1, 0)]),
        ],
        "Each convolution turns s into (s + 2·padding - kernel) // stride + 1, for any s that is "
        "large enough: that is why the body takes pictures of any size.",
        wrong=[
            (_pads_once, "Padding is added on both sides of the map: it counts twice."),
            (
                _strides_only,
                "Dividing by the stride is right only where the padding makes up for the kernel, "
                "and the side divides evenly. Count the places where the kernel fits.",
            ),
            (
                _one_too_few,
                "One place is missing: the kernel also fits once before its first step. Add 1.",
            ),
            (_first_layer_only, "That is the side after the first layer. Go through all of them."),
        ],
        hint="How many places does the kernel have on the padded side, `stride` apart?",
    ),
    "06.3": function(
        _moved,
        [
            (np.array([3.0, 4.0]), np.array([3.0, 5.0])),
            (np.array([1.0, -2.0, 2.0]), np.array([1.5, -2.0, 1.0])),
            (np.array([0.1, 0.02, -0.2, 2.0]), np.array([0.1, 0.3, -0.5, 1.0])),
            (np.array([1.0, 1.0]), np.array([-1.0, -1.0])),
        ],
        "The length of the difference, as a share of the length before: a group that turns round "
        "without getting longer has moved too.",
        wrong=[
            (
                _lengths_only,
                "You compare the two lengths. Weights can move far and stay as long: take the "
                "length of the *difference*.",
            ),
            (_not_relative, "Divide by the length before, else large groups seem to move more."),
            (_by_the_new_length, "Divide by the length *before* training, not after it."),
            (
                _mean_of_ratios,
                "A mean of single ratios is ruled by the weights that were near zero. Take one "
                "ratio of two lengths.",
            ),
        ],
        hint="Take the length (norm) of after - before, and divide by the length of before.",
    ),
    "06.4": number(
        0.4,
        "Four times the batch, four times the LR. It is a place to start from, for SGD, as long as "
        "enough steps are left: try it, and one LR below.",
        factor=1.01,
        wrong={
            0.025: "The wrong way round. A larger batch has fewer steps, so each must be longer.",
            0.1: "With the same LR and a fourth of the steps, the network gets less far.",
            0.2: "That is the square root of 4. There is such a rule too, rather for Adam; the "
            "linear one says something else.",
            25.6: "256 times the LR? The *ratio* of the batch sizes counts.",
        },
        hint="By what factor does the batch grow? The rule multiplies the LR by the same.",
    ),
    "06.5": choice(
        "freeze",
        ["10 times lower", "3 times lower", "same LR", "freeze"],
        {
            "10 times lower": "The probes speak for letting the late layers change, which argues "
            "against it; but the ledger calls the difference undecided, and they do change.",
            "3 times lower": "That is what the lesson says for such pictures. The probes don't "
            "rule it out: at a third of the LR the late layers still change.",
            "same LR": "That is what this course's recipe takes for such pictures.",
        },
        "The late layers know no more than 32 little filters do: frozen, they would stay a "
        "ceiling. How much lower the LRs of earlier groups should be, the probes can't tell.",
        hint="What does freezing do with the late layers, and what do the probes say of them?",
    ),
}

QUESTIONS = [
    Question(
        "A probe on each layer of a pretrained network: accuracy peaks half-way. What follows?",
        [
            Option(
                "The late layers fit these pictures badly, and should be free to change.",
                True,
                "They turn what the middle knows into what ImageNet's classes need. With the same "
                "LR for all groups they can learn something else.",
            ),
            Option(
                "The network is broken.",
                False,
                "The same network peaks at its end on photos. It depends on the pictures.",
            ),
            Option(
                "The early layers need a higher LR than the head.",
                False,
                "The early ones know much already. Nothing here speaks for changing them most.",
            ),
        ],
    ),
    Question(
        "When may the head train on precomputed activations?",
        [
            Option(
                "Whenever the head is new.",
                False,
                "A new head on a body that trains needs fresh activations after each step.",
            ),
            Option(
                "As long as the body is frozen and pictures don't vary.",
                True,
                "Then the body says the same in every epoch. Augmentation does nothing meanwhile.",
            ),
            Option(
                "Only with small pictures.",
                False,
                "The size doesn't matter: the larger the picture, the more you save.",
            ),
        ],
    ),
    Question(
        "Which layer ties a network to one picture size?",
        [
            Option(
                "A convolution.",
                False,
                "It is the same filter everywhere. Larger pictures give larger maps.",
            ),
            Option(
                "The average over each map.",
                False,
                "It makes one number of a map of any size: it is what frees the network.",
            ),
            Option(
                "A linear layer on flattened maps.",
                True,
                "It has one weight for each place of each map, so the number of places is fixed.",
            ),
        ],
    ),
    Question(
        "You trained a head at 64 px and call `set_data` with the photos at 128 px. What now?",
        [
            Option(
                "Nothing: the network takes any size.",
                False,
                "It runs. In the table it was several points worse than a head made for 128 px.",
            ),
            Option(
                "Train on at 128 px, at least the head.",
                True,
                "The filters' answers depend on how many pixels a feather has.",
            ),
            Option(
                "Start again: heads can't be carried over.",
                False,
                "It starts far above guessing, so training on is quicker than starting again.",
            ),
        ],
    ),
    Question(
        "Training in train mode with BatchNorm unfolded and a batch of 25. What goes wrong?",
        [
            Option(
                "A photo's activations depend on which others are in its batch.",
                True,
                "With 24 other photos they moved by more than half of their length. Stored "
                "statistics, or folding, keep them in place.",
            ),
            Option(
                "BatchNorm has too many weights to train.",
                False,
                "It has two a channel, few beside the convolutions'.",
            ),
            Option(
                "Nothing: ImageNet networks are trained like that.",
                False,
                "With batches of hundreds or thousands, whose statistics are close to everybody's.",
            ),
        ],
    ),
    Question(
        "Your notebook moves to a graphics card. One step gets much faster, an epoch hardly. Why?",
        [
            Option(
                "The LR is too low for a graphics card.",
                False,
                "The LR changes what a step does, not how long it takes.",
            ),
            Option(
                "The network must be compiled first.",
                False,
                "That can make a step faster still. Here something else takes the time.",
            ),
            Option(
                "The card waits for pictures to be read and prepared.",
                True,
                "Decoding and augmenting are left on the processor. Decode once and keep the "
                "result, or let several processes do it ahead.",
            ),
        ],
    ),
]
