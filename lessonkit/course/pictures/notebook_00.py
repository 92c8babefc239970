"""The pictures of notebook 00: accuracies of many splits, the loss, and this machine's forecast."""

import os
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch

from lessonkit import plot
from lessonkit.course import hardware
from lessonkit.course.pictures.shared import single
from lessonkit.images.image_data import Split
from lessonkit.plot import COLOURS


def splits(accuracies: Sequence[float], guessing: float) -> None:
    """A point for the accuracy on each split, their mean, and the most frequent class's."""
    ax = single(6.5, 2.4)
    ax.plot(accuracies, range(len(accuracies)), "o", color=COLOURS["blue"], label="one split")
    ax.axvline(np.mean(accuracies), color="black", linestyle="--", label="their mean")
    ax.axvline(guessing, color="0.4", linestyle=":", label='always "mammal"')
    ax.set(xlabel="accuracy on the photos kept aside", ylabel="split", xlim=(0.4, 1.03))
    ax.legend(loc="upper left")
    plt.show()


def loss_of_a_probability() -> None:
    """The loss over the probability of the right class, with three points to read off."""
    p, marks = np.linspace(0.01, 1, 200), np.array([1.0, 0.5, 0.1])
    ax = single(6.5, 2.8)
    ax.plot(p, -np.log(p), color="black")
    ax.plot(marks, -np.log(marks), "o", color=COLOURS["red"])
    for mark in marks:
        ax.annotate(f"  {abs(np.log(mark)):.2f}", (mark, -np.log(mark)), va="bottom")
    ax.set(xlabel="probability of the right class", ylabel="loss")
    ax.set(xlim=(0, 1.1), ylim=(-0.2, 4.8))
    plt.show()


def forecast(seconds: Mapping[str, float]) -> None:
    """The predicted seconds of each notebook, and what this machine has."""
    device = torch.device(hardware.best_device())
    bits = "with" if hardware.has_fast_bfloat16(device) else "without"
    ax = single(6.5, 3.4)
    bars = ax.barh(list(seconds), list(seconds.values()), color="0.6")
    ax.bar_label(bars, fmt="%.0f s", padding=3)
    ax.set_title(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} in use; "
        f"device: {device.type}, {bits} fast bfloat16",
        fontsize="medium",
    )
    ax.margins(x=0.15)
    ax.set(xlabel="seconds of computing, predicted", ylabel="notebook")
    ax.invert_yaxis()
    plt.show()


def examples(split: Split, classes: Sequence[str], of_each: Sequence[int], columns: int) -> None:
    """A wall of pictures, under their classes: of every class those with these numbers."""
    rows = [np.flatnonzero(split.labels == k)[i] for i in of_each for k in range(len(classes))]
    names = [classes[split.labels[row]] for row in rows]
    for ax in plot.wall(split.images[rows], names, columns=columns, side=1.1).flat:
        ax.title.set_fontsize(9)
    plt.show()
