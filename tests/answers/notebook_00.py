"""Answers to the exercises of notebook 00, right and wrong."""

import math
from decimal import Decimal

import numpy as np

RIGHT = {
    "00.1": 1.386,
    "00.2": lambda n_pictures, batch_size: -(-n_pictures // batch_size),
    "00.3": "about 70 %",
}
ALSO_RIGHT = {
    "00.1": [1.4, "1.39", Decimal("1.386")],
    "00.3": [70, "70%", 0.7, "0.7", 70.0, np.float64(70), "70 percent"],
}
WRONG = {
    "00.1": [
        (-math.log(0.75), "mammal"),
        (0.75, "logarithm"),
        (-1.386, "minus"),
        (0.602, "base 10"),
        (2, "base 2"),
        (5, "right class"),
    ],
    "00.2": [
        (lambda n_pictures, batch_size: n_pictures // batch_size, "leaves out"),
        (lambda n_pictures, batch_size: n_pictures // batch_size + 1, "empty mini-batch"),
        (lambda n_pictures, batch_size: n_pictures / batch_size, "fractions"),
        (lambda n_pictures, batch_size: int(n_pictures / batch_size + 0.99), "is lost here"),
        (lambda n_pictures, batch_size: batch_size, "full"),
    ],
    "00.3": [("about 99 %", "by heart"), ("about 85 %", "half old"), ("50 %", "about")],
    "00.4": [
        (lambda learn: learn.fit(1e-3, 10), "hardly begun"),  # the page's
        (lambda learn: learn.fit(0.01, 1), "use them all"),
        (lambda learn: learn.fit(1.0, 10), "jumps about"),
        (lambda learn: learn.fit(0.01, 20), "everybody has 10 epochs"),
    ],
}
