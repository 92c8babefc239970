"""Exercises of notebook 10, the clinic."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import numpy as np

from lessonkit.course.clinic import patients as clinic
from lessonkit.course.exercises.quiz import function
from lessonkit.course.exercises.training import training
from lessonkit.learner import Learner


def _about_the_rate(learn: Learner, accuracy: float) -> str:
    if accuracy >= 0.88:
        return ""
    top, last = max(learn.history.lr), learn.history.lr[-1]
    if top > 0.5:
        return "Now the learning rate is too high: it jumps about. Try the healthy run's."
    if top < 0.03:
        return "It still learns too slowly: the learning rate is too low. Go up by powers of ten."
    if last > top / 2:
        return "The learning rate is high enough, but it doesn't come down at the end any more."
    return ""


def _about_the_pictures(learn: Learner, accuracy: float) -> str:
    if getattr(learn.augment, "turns", False):  # a function of the reader's has neither
        return (
            "The network is still shown digits that are turned and mirrored. Its augmentation is "
            "learn.augment; which preset leaves flips out?"
        )
    if getattr(learn.augment, "mirror", False):
        return (
            "It is no longer turned, but still mirrored: look at the classes 2 and 5. Digits want "
            "a preset without any flips."
        )
    return ""


def _about_the_body(learn: Learner, accuracy: float) -> str:
    if learn.frozen_to == len(learn.groups) - 1:
        return "The body is still frozen: its weights can't move, whatever the learning rate."
    if accuracy < 0.61 and max(learn.history.lr) < 0.02:
        return "All layers may learn now, but at this learning rate they hardly do."
    return ""


_LESS = (np.less,) * 4  # no edge is part of a tile
# Every way to take one for a part, in one comparison or in several.
_LESS_OR_EQUAL = [*product((np.less, np.less_equal), repeat=4)][1:]


def _overlaps(
    train_boxes: np.ndarray, valid_boxes: np.ndarray, less: Sequence[Callable] = _LESS
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each validation tile overlaps each training tile across, and down: [valid, train].

    `less` compares left with right, right with left, top with bottom, bottom with top.
    """
    a, b = np.asarray(valid_boxes)[:, None], np.asarray(train_boxes)[None]
    across = less[0](a[..., 0], b[..., 2]) & less[1](b[..., 0], a[..., 2])
    return across, less[2](a[..., 1], b[..., 3]) & less[3](b[..., 1], a[..., 3])


def _touching(*boxes: np.ndarray, less: Sequence[Callable] = _LESS) -> np.ndarray:
    return np.logical_and(*_overlaps(*boxes, less)).any(1)


def _as_equal_squares(train_boxes: np.ndarray, valid_boxes: np.ndarray) -> np.ndarray:
    apart = np.abs(valid_boxes[:, None, :2] - train_boxes[None, :, :2])
    return (apart < 64).all(2).any(1)


def _a_corner_inside(train_boxes: np.ndarray, valid_boxes: np.ndarray) -> np.ndarray:
    last = [[0, 0], [1, 0], [0, 1], [1, 1]]  # right and bottom are the first pixels outside
    corners = valid_boxes[:, None, [[0, 1], [2, 1], [0, 3], [2, 3]]] - last
    box = train_boxes[None, :, None]
    inside = (corners >= box[..., :2]) & (corners < box[..., 2:])
    return inside.all(3).any((1, 2))


def _by_area(train_boxes: np.ndarray, valid_boxes: np.ndarray) -> np.ndarray:
    a, b = np.asarray(valid_boxes)[:, None], np.asarray(train_boxes)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return (sides.prod(2) > 0).any(1)


def _squares(corners: list[tuple[int, int]]) -> np.ndarray:
    return np.array([(x, y, x + 64, y + 64) for x, y in corners])


_BOXES = [
    # the same one, shifted by 16, edge to edge, diagonal neighbours, far away in one direction
    (
        _squares([(0, 0), (640, 640)]),
        _squares([(0, 0), (16, 48), (64, 0), (704, 704), (656, 0), (1280, 1280)]),
    ),
    # across like one tile and down like another, and yet it overlaps neither
    (_squares([(0, 320), (320, 0)]), _squares([(16, 16), (336, 16), (640, 640)])),
    (_squares([(160, 160)]), _squares([(224, 160), (160, 96), (112, 208), (320, 160)])),
    # edge to edge on the two other sides, and not from corner to corner
    (np.array([(100, 100, 200, 200)]), np.array([(36, 120, 100, 180), (120, 200, 180, 264)])),
    # the first one overlaps both training tiles
    (_squares([(0, 0), (32, 0)]), _squares([(16, 0), (640, 640)])),
    # of other sizes: one inside, one around, one across, and three that only come close
    (
        np.array([(100, 100, 300, 300), (600, 0, 640, 300)]),
        np.array(
            [
                (150, 150, 180, 180),
                (50, 50, 400, 400),
                (500, 100, 740, 140),
                (300, 100, 330, 300),
                (60, 60, 100, 100),
                (320, 120, 420, 220),
            ]
        ),
    ),
]

EXERCISES = {
    "10.1": training(  # by default with seed 7, which the notebook doesn't show
        partial(clinic.fresh, 2),
        0.88,
        "In the same four epochs it has learned its digits. Nothing was wrong with the network or "
        "the pictures: it only took steps that were hundreds of times too short.",
        "What does the finder say of its learning rate? Leave the rest as it was.",
        "Its LR was hundreds of times too low. The healthy run's was 0.1.",
        _about_the_rate,
        epochs=4,
    ),
    "10.2": training(
        partial(clinic.fresh, 6),
        0.90,
        "Now every picture that it is shown is still the digit that its label says. Which changes "
        "keep the label is a question about your pictures, not about the network.",
        "Look at what the loader gives out: which changes leave a digit what it is? Leave the "
        "learning rate as it was.",
        "Set learn.augment to the preset for letters and digits before you call fit.",
        _about_the_pictures,
        epochs=8,
    ),
    "10.3": function(
        _touching,
        _BOXES,
        "Two boxes share pixels if they overlap across and down, with one and the same training "
        "tile. This is the test that tells a leak from a good model.",
        wrong={
            (lambda train, valid: (valid[:, None] == train[None]).all(2).any(1)): (
                "This finds tiles that are exactly the same. A tile that is shifted by 16 px "
                "shares three quarters of its pixels with another, too."
            ),
            **dict.fromkeys(
                (partial(_touching, less=less) for less in _LESS_OR_EQUAL),
                "Tiles that only lie edge to edge share no pixel: right and bottom are the first "
                "pixels that no longer belong to the tile.",
            ),
            (lambda *boxes: np.logical_or(*_overlaps(*boxes)).any(1)): (
                "Overlapping across *or* down isn't enough: such tiles may be oceans apart."
            ),
            (lambda *boxes: np.logical_and(*(way.any(1) for way in _overlaps(*boxes)))): (
                "It must be one and the same training tile that overlaps across and down."
            ),
            (lambda *boxes: np.logical_and(*_overlaps(*boxes)).sum(1)): (
                "You count the training tiles. Asked for is whether there is one: True or False."
            ),
            _by_area: "Two negative numbers have a positive product: ask separately whether they "
            "overlap across, and down.",
            _as_equal_squares: "That is right for squares of 64 px only. Tiles may have any size: "
            "use right and bottom as well.",
            _a_corner_inside: "Two boxes may share pixels without a corner of the one in the "
            "other: they cross, or one lies around the other.",
        },
        hint="Compare each validation tile with every training tile, in both directions.",
    ),
    "10.4": training(
        partial(clinic.fresh, 11),
        0.61,
        "The body has learned to look at the Earth. What it knew of digits served as a start; "
        "frozen, it was a ceiling.",
        "Which of its weights can move, and at which learning rate do they learn?",
        "Unfreeze all layers, then train at an LR around 0.1.",
        _about_the_body,
        epochs=6,
    ),
}
