"""The pictures of notebook 04: balls on a bowl, stairs, half a cosine, and a fair race."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from lessonkit import schedule
from lessonkit.course.pictures.shared import curves, looks, pair, runs_in_rows, single, ticks_at
from lessonkit.learner import Learner
from lessonkit.plot import COLOURS


def balls(paths: Mapping[str, np.ndarray], losses: Mapping[str, np.ndarray]) -> None:
    """Where one ball of each kind is after each step, and the mean loss of many, on a log axis."""
    axes = pair(9.5, 3.6)
    curves(paths, axes[0], xlabel="step", ylabel="weight x of one ball")
    axes[0].axhline(0, color="0.6", linewidth=1, zorder=0)
    curves(losses, axes[1], xlabel="step", ylabel="mean loss of 1,000 balls (log scale)")
    axes[1].set_yscale("log")
    plt.show()


def floors(lrs: np.ndarray, heights: Sequence[float]) -> None:
    """Measured floors of the loss over the LR, and a line proportional to the LR."""
    ax, fine = single(6.5, 3.2), np.geomspace(0.02, 0.5, 100)
    ax.plot(fine, fine / 4, "--", color="0.6", label="proportional to the LR: lr / 4")
    ax.plot(lrs, heights, "o", color=COLOURS["red"], markersize=9, label="1,000 balls")
    ax.set(xscale="log", yscale="log", xlabel="learning rate (log scale)")
    ax.set_ylabel("floor of the loss (log scale)")
    ticks_at(ax, lrs)
    ax.legend()
    plt.show()


def plans_and_losses(plans: Mapping[str, np.ndarray], losses: Mapping[str, np.ndarray]) -> None:
    """The LRs of several plans beside their losses, each point the mean of ten mini-batches."""
    axes = pair(9.5, 3.6, width_ratios=[1, 1.7])
    curves(plans, axes[0], ylabel="learning rate (log scale)")
    axes[0].set_yscale("log")
    axes[0].get_legend().remove()
    for _, values, look in looks(losses):
        tens = np.reshape(values, (-1, 10)).mean(1)
        axes[1].plot(np.arange(5, len(values), 10), tens, **look | {"marker": ""}, linewidth=1.8)
    axes[1].set(xlabel="mini-batch", ylabel="training loss, means of ten", ylim=(0, 1.2))
    axes[1].legend()
    plt.show()


def half_a_cosine(lr: float, steps: int) -> None:
    """Half a turn of a circle, its height, and the same as a schedule."""
    turn = np.linspace(0, 2 * np.pi, 200)
    half, bold = turn <= np.pi, {"color": COLOURS["blue"], "linewidth": 4}
    _, axes = plt.subplots(1, 3, figsize=(9.5, 3), layout="constrained", width_ratios=[1, 1.5, 1.5])
    axes[0].plot(np.sin(turn), np.cos(turn), color="0.7")
    axes[0].plot(np.sin(turn[half]), np.cos(turn[half]), **bold)
    axes[0].set(aspect="equal", xticks=[], ylabel="height", title="half a turn")
    axes[1].plot(turn / np.pi, np.cos(turn), color="0.7")
    axes[1].plot(turn[half] / np.pi, np.cos(turn[half]), **bold)
    axes[1].set(xlabel="angle, in units of π", title="its height: half a cosine")
    axes[2].plot(schedule.cosine(lr, steps), **bold)
    axes[2].set(xlabel="mini-batch", ylabel="learning rate", title="the schedule")
    plt.show()


def runs(learners: Mapping[str, Learner]) -> None:
    """The LR of every mini-batch of some runs, and the validation accuracy after each epoch."""
    axes = pair(9.5, 3.5)
    curves({name: learn.history.lr for name, learn in learners.items()}, axes[0])
    for _, learn, look in looks(learners):
        accuracies = [epoch["accuracy"] for epoch in learn.history.epochs]
        axes[1].plot(learn.history.ends, accuracies, **look)
    axes[1].set(xlabel="mini-batch", ylabel="validation accuracy", ylim=(None, 1))
    axes[1].legend(loc="lower right")
    plt.show()


def loss_over_lr(lrs: Sequence[float], losses: Mapping[str, Sequence[float]]) -> None:
    """For each schedule, the loss on the tuning digits over the LR it starts with."""
    ax = single(7, 4)
    for name, values, look in looks(losses):
        size = 11 if name == "linear" else 6  # else the cosine hides it
        ax.plot(lrs, values, markersize=size, **look)
    ax.set(xscale="log", xlabel="learning rate at the start", ylabel="loss on the tuning digits")
    ticks_at(ax, lrs)
    ax.legend()
    plt.show()


def race(results: Mapping[str, np.ndarray]) -> None:
    """(loss, accuracy) of the networks [n, 2] of each schedule: a point each, a bar their mean."""
    axes = pair(9.5, 3, sharey=True)
    for column, (ax, label) in enumerate(zip(axes, ("loss", "accuracy"), strict=True)):
        runs_in_rows(ax, {name: values[:, column] for name, values in results.items()})
        ax.set_xlabel(f"validation {label}; bar: mean")
    plt.show()
