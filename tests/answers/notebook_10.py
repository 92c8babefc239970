"""Answers to the exercises of notebook 10, right and wrong."""

import numpy as np

from lessonkit import augment


def overlaps(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def share_pixels(train_boxes, valid_boxes):
    return [any(overlaps(one, other) for other in train_boxes) for one in valid_boxes]


def as_squares_of_64(train_boxes, valid_boxes):
    return [
        any((abs(one[:2] - other[:2]) < 64).all() for other in train_boxes) for one in valid_boxes
    ]


def corner_inside(train_boxes, valid_boxes):
    def holds(box, x, y):
        return box[0] <= x < box[2] and box[1] <= y < box[3]

    return [
        any(
            holds(box, x, y)
            for box in train_boxes
            for x in (left, right - 1)
            for y in (top, bottom - 1)
        )
        for left, top, right, bottom in valid_boxes
    ]


def with_rate(lr, epochs=4):
    return lambda learn: learn.fit(lr, 1, cycle_len=epochs)


def augmented(how):
    def treat(learn):
        learn.augment = how
        learn.fit(0.1, 1, cycle_len=8)

    return treat


def unfrozen(lr, epochs=6):
    def treat(learn):
        learn.unfreeze()
        learn.fit(lr, 1, cycle_len=epochs)

    return treat


def how_many_overlap(train_boxes, valid_boxes):
    return [sum(overlaps(one, other) for other in train_boxes) for one in valid_boxes]


def by_area(train_boxes, valid_boxes):
    def area(a, b):
        return (min(a[2], b[2]) - max(a[0], b[0])) * (min(a[3], b[3]) - max(a[1], b[1]))

    return [any(area(one, other) > 0 for other in train_boxes) for one in valid_boxes]


def with_edges(signs):
    """As `share_pixels`, but "=" takes an edge for part of the tile: left, right, top, bottom."""

    def answer(train, valid):
        def share(one, other):
            gaps = (other[2] - one[0], one[2] - other[0], other[3] - one[1], one[3] - other[1])
            return all(gap >= 0 if sign == "=" else gap > 0
                       for gap, sign in zip(gaps, signs, strict=True))  # fmt: skip

        return [any(share(one, other) for other in train) for one in valid]

    return answer


RIGHT = {
    "10.3": share_pixels,
}
WRONG = {
    "10.1": [
        (with_rate(3e-4), "slowly"),
        (with_rate(3e-3), "powers of ten"),
        (with_rate(100.0), "exploded"),
        (lambda learn: learn.fit(0.1, 4), "doesn't come down"),
        (with_rate(3e-4, 5), "not more time"),
        (0.1, "function is wanted"),
    ],
    "10.2": [
        (lambda learn: learn.fit(0.1, 1, cycle_len=8), "turned and mirrored"),
        (augmented(augment.side_on()), "2 and 5"),
        (lambda learn: learn.fit("fast", 1), "error"),
    ],
    "10.3": [
        (
            lambda train, valid: [any((one == other).all() for other in train) for one in valid],
            "exactly the same",
        ),
        (
            lambda train, valid: [
                any(
                    overlaps([*one[:2], *(one[2:] + 1)], other)
                    or overlaps(one, [*other[:2], *(other[2:] + 1)])
                    for other in train
                )
                for one in valid
            ],
            "edge to edge",
        ),
        (with_edges("<=<<"), "edge to edge"),
        (with_edges("<<=<"), "edge to edge"),
        (with_edges("<<<="), "edge to edge"),
        (with_edges("=<<<"), "edge to edge"),
        (with_edges("<==<"), "edge to edge"),
        (as_squares_of_64, "64 px only"),
        (corner_inside, "without a corner"),
        (how_many_overlap, "count"),
        (by_area, "positive product"),
        (lambda train, valid: share_pixels(valid, train), "shape"),
        (lambda train, valid: np.ones(len(valid), bool), "both directions"),
    ],
    "10.4": [
        (lambda learn: learn.fit(0.1, 1, cycle_len=6), "still frozen"),
        (lambda learn: learn.fit(1.0, 1, cycle_len=6), "still frozen"),
        (unfrozen(1e-4), "hardly"),
        (unfrozen(0.1, 7), "not more time"),
    ],
}
