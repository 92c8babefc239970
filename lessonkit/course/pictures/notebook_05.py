"""The pictures of notebook 05: cycles, pits, and the lines between networks."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np

from lessonkit.course import explorers
from lessonkit.course.explorers.loss_surface import BOTTOMS
from lessonkit.course.pictures.shared import curves, pair, runs_in_rows, single
from lessonkit.learner import Learner
from lessonkit.plot import COLOURS

CURVATURES = {"narrow": 45, "wide": 1.65}


def run_with_restarts(learn: Learner, restarts: Sequence[int]) -> None:
    """The LR of every mini-batch above its loss, with a dotted line at each of `restarts`."""
    _, axes = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
    learn.plot_lr(axes[0]).set_xlabel("")
    learn.plot_loss(axes[1]).set(yscale="log", ylabel="loss (log scale)")
    axes[1].lines[0].set_color("0.55")
    for ax in axes:
        for batch in restarts:
            ax.axvline(batch, color="0.6", linestyle=":")
    plt.show()


def around_a_restart(stored: np.ndarray, fresh: np.ndarray) -> None:
    """Accuracies [seeds, 9] in the first epoch of a new cycle, every two mini-batches, two ways."""
    axes, batches = pair(8, 3.4, sharey=True), 2 * np.arange(stored.shape[1])
    for ax, values, title in zip(
        axes,
        (stored, fresh),
        ("BatchNorm's stored statistics", "statistics measured anew"),
        strict=True,
    ):
        lines = ax.plot(batches, values.T, "-", color=COLOURS["sky"], linewidth=1)
        lines[0].set_label("each run")
        ax.plot(batches, values.mean(0), "o-", color=COLOURS["red"], linewidth=3, label="mean")
        ax.set(title=title, xlabel="mini-batches since the restart", xticks=batches[::2])
    axes[0].set_ylabel("validation accuracy")
    axes[1].legend(loc="lower left")
    plt.show()


def accuracies(results: Mapping[str, Sequence[float]]) -> None:
    """A row for each way of training: a point for each run, a bar for their mean."""
    ax = single(7.5, 3)
    runs_in_rows(ax, results)
    ax.set_xlabel("validation accuracy; bar: mean of the runs")
    plt.show()


def two_pits(shift: float = 0.0) -> None:
    """The loss with a narrow and a wide pit; with a `shift`, also the same moved to the right."""
    x, ax = np.linspace(-4, 4, 400), single(6.5, 3.2)
    ax.plot(x, explorers.two_pits(x), color="black", label="training loss")
    if shift:
        style = {"color": COLOURS["blue"], "label": "the same, shifted sideways"}
        ax.plot(x, explorers.two_pits(x - shift), "--", **style)
    for name, bottom in BOTTOMS.items():
        heights = explorers.two_pits(np.array([bottom, bottom - shift]))
        ax.plot([bottom, bottom], heights, "o-", color=COLOURS["red"], markersize=8, linewidth=2)
        ax.text(bottom - 0.3, 0.1, name, ha="right")
    ax.set(xlabel="weight x", ylabel="loss", ylim=(0, 2.4))
    ax.legend(loc="upper center")
    plt.show()


def places_of_the_ball(lrs: np.ndarray, hot: np.ndarray, rest: np.ndarray) -> None:
    """Over the LRs [n]: the last places [20, n] of a moving ball, and where it settled [n]."""
    ax, points = single(8, 4), {"color": COLOURS["sky"], "markersize": 3}
    ax.plot(np.tile(lrs, len(hot)), hot.ravel(), ".", label="last 20 places at this LR", **points)
    settled = {"color": COLOURS["red"], "markersize": 4}
    ax.plot(lrs, rest, "D", label="where it settles after annealing", **settled)
    for name, curvature in CURVATURES.items():
        ax.axvline(2 / curvature, color="0.5", linestyle="--")
        ax.text(2 / curvature, -3.3, f" 2/λ, {name}")
        ax.text(0.019, BOTTOMS[name] + 0.25, name)
    ax.set(xscale="log", xlim=(0.018, 2.2), ylim=(-3.6, 3.6))
    ax.set(xlabel="learning rate (log scale)", ylabel="place of the ball")
    ax.legend(loc="upper left")
    plt.show()


def thrown_out(losses: Mapping[str, Sequence[float]], straight: Mapping[str, np.ndarray]) -> None:
    """Two runs' losses over the steps, and the loss on the line from where they part."""
    axes = pair(9.5, 3.5)
    curves(losses, axes[0], xlabel="step", ylabel="training loss (log scale)")
    axes[0].set_yscale("log")
    shares = np.linspace(0, 1, len(next(iter(straight.values()))))
    for (name, line), dash, colour in zip(
        straight.items(), ["-", "--"], ["black", "orange"], strict=True
    ):
        axes[1].plot(shares, line, dash, color=COLOURS[colour], label=name)
    axes[1].set(xlabel="0: where the two runs part, 1: the end of each", ylabel="training loss")
    axes[1].legend(loc="upper right")
    plt.show()


def bowls(curves: Mapping[str, Sequence[tuple]], distances: np.ndarray) -> None:
    """For each network, (training, validation) losses along several directions."""
    axes = pair(9, 3.4, sharey=True)
    for ax, (name, pairs) in zip(axes, curves.items(), strict=True):
        for number, (training, validation) in enumerate(pairs):
            labels = ("training", "validation") if number == 0 else (None, None)
            ax.plot(distances, training, color="black", linewidth=1, label=labels[0])
            style = {"color": COLOURS["blue"], "linewidth": 1}
            ax.plot(distances, validation, "--", label=labels[1], **style)
        ax.set(title=name, xlabel="distance along a random direction", ylim=(0, 1.6))
    axes[0].set_ylabel("loss")
    axes[0].legend(loc="upper center")
    plt.show()


def towards_validation(lines: Mapping[str, tuple[np.ndarray, np.ndarray]], at: np.ndarray) -> None:
    """For each network, (training, validation) loss on the way to validation's own minimum."""
    axes = pair(9, 3.4, sharey=True)
    for ax, (name, (training, validation)) in zip(axes, lines.items(), strict=True):
        ax.plot(at, training, color="black", label="training")
        ax.plot(at, validation, "--", color=COLOURS["blue"], label="validation")
        ax.axvline(0, color="0.7", linewidth=1)
        ax.set(title=name, xlabel="0: the network, 1: trained on, to a validation loss of 0.1")
        ax.set_ylim(0, 0.8)
    axes[0].set_ylabel("loss")
    axes[0].legend(loc="upper right")
    plt.show()


def six_networks(
    flatness: Mapping[str, tuple[float, float]],
    accuracy: Mapping[tuple[str, str], float],
    tests: Sequence[str],
) -> None:
    """Sharpness of each network by two measures, and its accuracy on three kinds of digits."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
    measures, *others = axes.flat
    for name, marker, colour in zip(flatness, "osDvPX", COLOURS.values(), strict=False):
        style = {"marker": marker, "color": colour, "markersize": 9, "linestyle": "none"}
        style |= {"markeredgecolor": "black", "label": name}
        measures.plot(*flatness[name], **style)
        for ax, test in zip(others, tests, strict=True):
            ax.plot(flatness[name][1], accuracy[name, test], **style)
    for ax, test in zip(others, tests, strict=True):
        ax.set(title=f"digits {test}", xlabel="rise at 0.2", ylabel="validation accuracy")
        ax.set_ylim(0.5, 0.95)
    measures.set(title="two measures of sharpness", xlabel="λ", ylabel="rise at 0.2")
    figure.legend(*measures.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    plt.show()


def planes(losses: Mapping[str, np.ndarray], grid: np.ndarray) -> None:
    """Contours of the loss over two planes [n, n], on one logarithmic scale of colours."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4), sharey=True, layout="constrained")
    levels = np.geomspace(0.3, 100, 16)
    for ax, (name, plane) in zip(axes, losses.items(), strict=True):
        shown = ax.contourf(grid, grid, plane.clip(0.31, 99), levels, norm="log", cmap="cividis")
        ax.contour(grid, grid, plane, levels, colors="white", linewidths=0.5)
        ax.set(title=name, xlabel="distance along the first direction", aspect="equal")
    axes[0].set_ylabel("along the second direction")
    ticks = [0.3, 1, 3, 10, 30, 100]
    figure.colorbar(shown, ax=axes, label="loss (log scale)", ticks=ticks, format="%g")
    plt.show()


def curvature_while_training(found: Mapping[float, tuple[Sequence, Sequence]]) -> None:
    """Largest curvature over the steps, (steps, λ) for each LR, and the dotted limit 2/LR."""
    ax = single(7, 3.8)
    for (lr, (steps, values)), colour, marker in zip(
        found.items(), ("black", "blue", "red"), "os^", strict=True
    ):
        style = {"color": COLOURS[colour], "marker": marker, "markersize": 5}
        ax.plot(steps, values, label=f"η = {lr}", **style)
        ax.axhline(2 / lr, color=COLOURS[colour], linestyle=":")
        ax.text(420, 2 / lr, f"2/η for η = {lr}", ha="right", va="bottom")
    ax.set(xlabel="step", ylabel="largest curvature λ", xlim=(-5, 430), ylim=(0, 26))
    ax.legend(loc="upper left", ncols=3)
    plt.show()


def straight_lines(lines: Mapping[str, np.ndarray]) -> None:
    """The validation loss on straight lines from one network to another."""
    ax = single(6.5, 3.2)
    shares = np.linspace(0, 1, len(next(iter(lines.values()))))
    for (name, line), dash, colour in zip(lines.items(), ["-", "--"], ["blue", "red"], strict=True):
        ax.plot(shares, line, dash, color=COLOURS[colour], label=name)
    ax.set(xlabel="0: the first network, 1: the second", ylabel="validation loss", ylim=(0, 4.4))
    ax.legend(loc="upper left")
    plt.show()
