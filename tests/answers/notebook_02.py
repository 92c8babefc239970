"""Answers to the exercises of notebook 02, right and wrong."""

import numpy as np

RIGHT = {
    "02.1": 1e-2,
    "02.2": lambda lr_min, lr_max, steps: np.geomspace(lr_min, lr_max, steps).tolist(),
    "02.3": "improving",
    "02.4": "another order",
}
ALSO_RIGHT = {"02.1": ["10^-2", "10**-2"], "02.4": ["the same digits in another order"]}
WRONG = {
    "02.1": [
        (0.1, "lowest point itself"),
        (1, "right"),
        (0.001, "fallback"),
        (0.09, "factor of ten"),
        (0.05, "divide"),
    ],
    "02.2": [
        (lambda lr_min, lr_max, steps: np.linspace(lr_min, lr_max, steps), "equal differences"),
        (
            lambda lr_min, lr_max, steps: [
                lr_min * (lr_max / lr_min) ** (i / steps) for i in range(steps)
            ],
            "stays below lr_max",
        ),
        (lambda lr_min, lr_max, steps: np.geomspace(lr_min, lr_max, steps + 1), "steps + 1"),
        (lambda lr_min, lr_max, steps: np.geomspace(lr_max, lr_min, steps), "high to low"),
        (
            lambda lr_min, lr_max, steps: np.linspace(np.log10(lr_min), np.log10(lr_max), steps),
            "exponents",
        ),
        (lambda lr_min, lr_max, steps: lr_min, "shape"),
    ],
    "02.3": [("lowest", "edge"), ("suggestion", "tenth"), ("steepest", "one of these")],
    "02.5": [
        (lambda learn: learn.fit(1e-3, 3), "too slowly"),  # what many start with
        (lambda learn: learn.fit(1e-4, 3), "too slowly"),
        (lambda learn: learn.fit(learn.lr_find().lowest, 3), "exploded"),
        (lambda learn: learn.fit(0.1, 3), "exploded"),  # what was right for the digits
        (lambda learn: learn.fit(1e-3, 8), "not more time"),
    ],
    "02.4": [
        ("unfreeze", "ruined"),
        ("AdamW", "magnitude"),
        ("tiles", "gradients"),
        ("find again", "one of these"),
    ],
}
