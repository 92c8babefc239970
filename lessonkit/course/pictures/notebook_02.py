"""The pictures of notebook 02: the LR finder's curves, and what training at an LR comes to."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from lessonkit import plot
from lessonkit.course.pictures.shared import pair, single
from lessonkit.lr_finder import LRFinderResult, smooth
from lessonkit.plot import COLOURS


def _marks(values: Mapping[float, float], found: LRFinderResult, ax: Axes) -> None:
    """A value for each LR, with the marks of those LRs that a rule of the finder named."""
    ax.plot(*zip(*sorted(values.items()), strict=True), ".-", color="0.6", label="any other LR")
    for rule in plot.RULES:
        lr = getattr(found, rule)
        if lr in values:
            ax.plot(lr, values[lr], label=rule, **plot.rule_mark(rule))
    ax.grid(axis="y", color="0.9")


def linear_and_log(lrs: np.ndarray, losses: np.ndarray) -> None:
    """The same sweep twice: over the LR, and over its logarithm."""
    axes = pair(9, 3.4, sharey=True)
    for ax, scale in zip(axes, ["linear", "log"], strict=True):
        ax.plot(lrs, losses, color="0.7", label="loss of each mini-batch")
        ax.plot(lrs, smooth(losses), color="black", linewidth=2, label="smoothed")
        ax.set(xscale=scale, xlabel=f"learning rate, {scale} scale", ylim=(0, 4))
    axes[0].set_ylabel("training loss")
    axes[0].legend()
    plt.show()


def by_hand() -> None:
    """A curve of the shape that the lesson shows, with its lowest point at 0.1."""
    decades = np.linspace(-5, 0.3, 200)
    loss = 2.3 - 1.6 / (1 + np.exp(-2.5 * (decades + 2))) + 2 * np.exp(5 * (decades + 0.27))
    ax = single(6.5, 3.2)
    ax.semilogx(10**decades, loss, color="black", linewidth=2)
    ax.set(xlabel="learning rate", ylabel="loss", ylim=(0.5, 3), xlim=(1e-5, 2))
    ax.grid(which="both", color="0.9")
    plt.show()


def after_an_epoch(found: LRFinderResult, losses: Mapping[float, float]) -> None:
    """The finder's curve above the validation loss {LR: loss} after training at each LR."""
    _, axes = plt.subplots(2, 1, figsize=(7.5, 6.2), sharex=True, layout="constrained")
    plot.lr_finder(found, axes[0]).set_xlabel("")
    _marks(losses, found, axes[1])
    axes[1].axhline(np.log(10), color="0.5", linestyle=":")
    axes[1].text(1e-5, np.log(10) - 0.2, "guessing", color="0.3")
    axes[1].set(xlabel="learning rate", ylabel="validation loss, 1 epoch", ylim=(0, None))
    plt.show()


def heads(found: LRFinderResult, runs: Mapping[float, np.ndarray]) -> None:
    """Validation loss, accuracy and confidence over the LR, from {LR: [runs, 3 or more]}."""
    _, axes = plt.subplots(2, 1, figsize=(7.5, 6.2), sharex=True, layout="constrained")
    means = {lr: values.mean(0) for lr, values in sorted(runs.items())}
    dash = {"linestyle": "none", "color": COLOURS["blue"], "marker": "_", "markersize": 9}
    for column, ax in enumerate(axes):
        for lr, values in runs.items():
            ax.plot([lr] * len(values), values[:, column], **dash)
        _marks({lr: mean[column] for lr, mean in means.items()}, found, ax)
    axes[1].plot(list(means), [mean[2] for mean in means.values()], "k--", label="confidence")
    lowest = 0.03
    hidden = [lr for lr, values in runs.items() for loss in values[:, 0] if loss < lowest]
    below = dash | {"marker": "v", "markersize": 5, "clip_on": False}
    axes[0].plot(hidden, [lowest] * len(hidden), **below, label="runs below the picture")
    axes[0].plot([], [], **dash, label="single runs")
    axes[0].legend(fontsize="small")
    axes[0].set(yscale="log", ylim=(lowest, 1000), ylabel="validation loss (log scale)")
    axes[1].set(xscale="log", ylim=(0.5, 1.05), xlabel="learning rate")
    axes[1].set_ylabel("validation accuracy, confidence")
    axes[1].legend(loc="lower right", fontsize="small")
    plt.show()


def steepest_places(runs: Sequence[LRFinderResult]) -> None:
    """Several sweeps of one network, and where each falls fastest."""
    ax = plot.lr_finders({f"run {i}": run for i, run in enumerate(runs, 1)})
    for run in runs:
        height = np.interp(np.log(run.steepest), np.log(run.lrs), run.smoothed)
        ax.plot(run.steepest, height / run.start, "Dk", markeredgecolor="white", markersize=9)
    ax.plot([], [], "Dk", label="steepest")
    ax.set_ylim(0, 2)
    ax.legend(fontsize="small")
    plt.show()


def new_and_trained(new: LRFinderResult, trained: LRFinderResult) -> None:
    """Two sweeps, with the marks of two rules on the trained network's."""
    ax = plot.lr_finders({"new": new, "after three epochs": trained})
    for rule in ("suggestion", "steepest"):
        lr = getattr(trained, rule)
        height = np.interp(np.log(lr), np.log(trained.lrs), trained.smoothed) / trained.start
        ax.plot(lr, height, label=f"{rule}, trained network", **plot.rule_mark(rule))
    ax.set_ylim(0, 4)
    ax.legend(fontsize="small")
    plt.show()
