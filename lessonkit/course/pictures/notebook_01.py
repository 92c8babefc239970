"""The pictures of notebook 01: balls on bowls and in valleys, and networks at many LRs."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np

from lessonkit.course.pictures.shared import curves, pair, runs_in_rows, single
from lessonkit.learner import Learner
from lessonkit.lr_finder import smooth
from lessonkit.plot import COLOURS

BOWL = np.linspace(-8, 8, 200)


def ball_on_a_bowl(ball: float) -> None:
    """The bowl ½ x², a ball at `ball`, the slope there, and the direction of the step."""
    ax, height = single(6.5, 3.2), ball**2 / 2
    ax.plot(BOWL, BOWL**2 / 2, color="0.6", label="loss ½ λ x², with λ = 1")
    ax.plot(BOWL, height + ball * (BOWL - ball), "--", color="black", label="its slope at the ball")
    ax.plot(ball, height, "o", color=COLOURS["red"], markersize=14, label="you are here")
    arrow = {"arrowstyle": "->", "linewidth": 2}
    ax.annotate("", (ball - 2.5, height), (ball, height), arrowprops=arrow)
    ax.text(ball - 1.3, height + 0.6, "the step", ha="center")
    ax.set(xlabel="weight x", ylabel="loss", xlim=(-5.5, 5.5), ylim=(-1, 13))
    ax.legend(loc="upper center")
    plt.show()


def paths_on_the_bowl(paths: Mapping[str, np.ndarray]) -> None:
    """The bowl ½ x² with the path of a ball, for each of four."""
    _, axes = plt.subplots(2, 2, figsize=(8, 5), sharex=True, sharey=True, layout="constrained")
    for ax, (name, path) in zip(axes.flat, paths.items(), strict=True):
        ax.plot(BOWL, BOWL**2 / 2, color="0.7")
        ax.plot(path, path**2 / 2, "o-", color=COLOURS["blue"], markersize=5, linewidth=1)
        ax.plot(path[0], path[0] ** 2 / 2, "s", color=COLOURS["orange"], markersize=10)
        ax.set(title=name, xlim=(-8, 8), ylim=(-1, 22))
    for ax in axes[1]:
        ax.set_xlabel("weight x")
    for ax in axes[:, 0]:
        ax.set_ylabel("loss")
    plt.show()


def paths_in_the_valley(paths: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Seen from above, the valley ½ (a² + 25 b²) with the path of a ball, for each of four."""
    a, b = np.meshgrid(np.linspace(-1, 5, 200), np.linspace(-2.2, 2.2, 200))
    levels = [0.1, 1, 3, 6, 10, 15, 22, 30, 42, 56]
    _, axes = plt.subplots(2, 2, figsize=(9.5, 5.3), sharex=True, sharey=True, layout="constrained")
    for ax, (name, path) in zip(axes.flat, paths.items(), strict=True):
        ax.contour(a, b, (a**2 + 25 * b**2) / 2, levels=levels, colors="0.8")
        ax.plot(*path, "o-", color=COLOURS["blue"], markersize=4, linewidth=1)
        ax.plot(4, 1, "s", color=COLOURS["orange"], markersize=9, label="start")
        ax.plot(0, 0, "*k", markersize=13, label="lowest point")
        ax.set(title=name, ylim=(-2.2, 2.2), xlim=(-1, 5))
    axes[1, 0].set(xlabel="a (curvature 1)", ylabel="b (curvature 25)")
    axes[0, 0].legend(loc="lower left")
    plt.show()


def around_the_limit(runs: Mapping[float, np.ndarray]) -> None:
    """The loss at several multiples of 2/λ, as a fraction of the loss at the start."""
    ax = curves({f"{times:g} × 2/λ": run for times, run in runs.items()}, single(6.5), "step")
    ax.set(ylim=(0.7, 3.2), ylabel="loss / loss at the start")
    plt.show()


def edge_of_stability(found: Mapping[float, tuple[np.ndarray, np.ndarray]]) -> None:
    """Largest curvature, with its limit 2/LR, above the loss, over the steps, for each LR."""
    _, axes = plt.subplots(2, 1, figsize=(7, 5.6), sharex=True, layout="constrained")
    for (lr, (curvatures, losses)), colour, dash in zip(
        found.items(), [COLOURS["blue"], COLOURS["red"]], ["-", "--"], strict=True
    ):
        style = {"color": colour, "linestyle": dash, "label": f"η = {lr}"}
        steps = np.arange(len(curvatures)) * len(losses) // len(curvatures)
        axes[0].plot(steps, curvatures, marker="o", markersize=3, **style)
        axes[0].axhline(2 / lr, color=colour, linewidth=1, linestyle=":")
        axes[0].text(0, 2 / lr, f"2/η for η = {lr}", va="bottom")
        axes[1].plot(losses, linewidth=1, **style)
    axes[0].set_ylabel("largest curvature λ")
    axes[1].set(xlabel="step", ylabel="loss", ylim=(0.08, 0.3))
    axes[0].legend(loc="lower right")
    axes[1].legend(loc="upper right")
    plt.show()


def loss_over_lr(losses: Mapping[float, float], guessing: float) -> None:
    """The loss after training at each LR, on log axes; an infinite one is at the upper edge."""
    ax, finite = single(6.5), {lr: loss for lr, loss in losses.items() if np.isfinite(loss)}
    ax.plot(list(finite), list(finite.values()), "o-", color=COLOURS["blue"])
    top, diverged = 2 * max(finite.values()), [lr for lr in losses if lr not in finite]
    style = {"color": COLOURS["red"], "markersize": 13, "label": "diverged"}
    ax.plot(diverged, [top] * len(diverged), "^", **style)
    ax.axhline(guessing, color="0.6", linestyle="--", label="guessing")
    ax.set(xscale="log", yscale="log", ylim=(None, 1.5 * top))
    ax.set_yticks([0.3, 1, 3], ["0.3", "1", "3"])
    ax.minorticks_off()
    ax.set(xlabel="learning rate (log scale)", ylabel="training loss (log scale)")
    ax.legend(loc="upper left")
    plt.show()


def two_schedules(learners: Mapping[str, Learner]) -> None:
    """The LR of every mini-batch, and the smoothed training loss, of some runs."""
    axes = pair(9, 3.3)
    curves({name: learn.history.lr for name, learn in learners.items()}, axes[0])
    losses = {name: smooth(learn.history.loss) for name, learn in learners.items()}
    curves(losses, axes[1], ylabel="smoothed training loss")
    plt.show()


def accuracies(results: Mapping[str, np.ndarray]) -> None:
    """A row for each way of training: a point for each run, a bar for their mean."""
    ax = single(7, 1.9)
    runs_in_rows(ax, results)
    ax.set_xlabel("validation accuracy; bar: mean of the runs")
    plt.show()
