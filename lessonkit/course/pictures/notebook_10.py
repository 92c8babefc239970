"""The pictures of notebook 10: charts, pictures with their labels, and the leaderboard."""

import matplotlib.pyplot as plt
from torch import Tensor

from lessonkit import plot
from lessonkit.course import challenge
from lessonkit.course.challenge import Entry
from lessonkit.course.clinic import charts
from lessonkit.course.clinic.patients import Run


def chart(run: Run) -> None:
    """A patient's chart."""
    charts.chart(run)
    plt.show()


def treated(*pairs: tuple[Run, Run]) -> None:
    """Each patient ill and treated: validation loss and accuracy."""
    charts.before_and_after(*pairs)
    plt.show()


def labelled(pictures: Tensor, labels: Tensor) -> None:
    """Pictures uint8 [N, 3, S, S], eight a row, each with its label above it."""
    plot.wall(pictures, [f"label {k}" for k in labels.tolist()], columns=8, side=0.8)
    plt.show()


def leaderboard(board: list[Entry]) -> None:
    """The entries of a board of this session's own, and those to beat."""
    challenge.draw(challenge.leaderboard(board))
    plt.show()
