"""The pictures of notebook 10: patients' charts, pictures with their labels, and the leaderboard.

A chart is four pictures: the loss of training and validation, the accuracy, the learning rate, and
what was looked into besides, which depends on the patient.
"""

import math
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from lessonkit import plot
from lessonkit.course import challenge
from lessonkit.course.challenge import Entry
from lessonkit.course.clinic import patients as clinic
from lessonkit.course.clinic.patients import Run

BLUE, RED = plot.COLOURS["blue"], plot.COLOURS["red"]
# A legend above the lines: any place among them is some patient's sign.
BESIDE_TITLE = {"loc": "lower right", "bbox_to_anchor": (1.02, 0.98), "frameon": False}


def chart(run: Run) -> None:
    """A patient's chart."""
    figure, grid = plt.subplots(2, 2, figsize=(9, 5.4), layout="constrained")
    axes = grid.ravel()
    notes, examine = CHARTS[run.number]
    figure.suptitle(f"patient {run.number}: {notes}" if run.number else f"healthy: {notes}")
    _loss(axes[0], run)
    _accuracy(axes[1], run)
    plot.lr_history(run.learn.history, axes[2])
    axes[2].set_title("learning rate", fontsize="medium")
    examine(axes[3], run)
    plt.show()


def treated(*pairs: tuple[Run, Run]) -> None:
    """Loss and accuracy of the validation set, ill and treated: a line of pictures a patient."""
    size = (8.5, 2.5 * len(pairs))
    _, axes = plt.subplots(len(pairs), 2, figsize=size, squeeze=False, layout="constrained")
    for (ill, well), (left, right) in zip(pairs, axes, strict=True):
        longest = max(len(run.learn.history.epochs) for run in (ill, well))
        for run, name, dash, colour in ((ill, "ill", "--s", RED), (well, "treated", "-o", BLUE)):
            epochs = run.learn.history.epochs
            style = {"color": colour, "markersize": 4, "label": name}
            ends = range(1, len(epochs) + 1)
            left.plot(ends, [epoch["valid_loss"] for epoch in epochs], dash, **style)
            right.plot(ends, [epoch["accuracy"] for epoch in epochs], dash, **style)
            if len(epochs) < longest:  # its end beside that of the longer run
                for ax, value in ((left, "valid_loss"), (right, "accuracy")):
                    level = [epochs[-1][value]] * 2
                    ax.plot([len(epochs), longest], level, ":", color=colour, linewidth=1)
        left.set(xlabel="epoch", ylabel="validation loss", title=f"patient {ill.number}")
        left.set_ylim(0, _top(ill, well))
        for ax in (left, right):
            ax.xaxis.get_major_locator().set_params(integer=True)
        right.set(xlabel="epoch", ylabel="accuracy", ylim=(0, 1.02))
        right.legend(fontsize="small", ncols=2, **BESIDE_TITLE)
    plt.show()


def labelled(pictures: Tensor, labels: Tensor) -> None:
    """Pictures uint8 [N, 3, S, S], eight a row, each with its label above it."""
    plot.wall(pictures, [f"label {k}" for k in labels.tolist()], columns=8, side=0.8)
    plt.show()


def leaderboard(board: list[Entry]) -> None:
    """The entries of a board of this session's own, and those to beat."""
    challenge.draw(challenge.leaderboard(board))
    plt.show()


def _top(*runs: Run) -> float:
    """An upper limit for losses: guessing is well inside, a few wild epochs are cut off."""
    last = max(run.learn.history.epochs[-1]["valid_loss"] for run in runs)
    return 1.25 * max(last, math.log(len(runs[0].learn.classes)))


def _shares(run: Run) -> Tensor:
    """Which fraction of the validation pictures each class is, [classes]."""
    labels = run.learn.images.valid.labels
    return torch.bincount(labels) / len(labels)


def _loss(ax: Axes, run: Run) -> None:
    plot.loss_history(run.learn.history, ax)
    guessing = torch.special.entr(_shares(run)).sum().item()
    ax.axhline(guessing, color="black", linestyle=":", linewidth=1, label="guessing")
    ax.set(ylim=(0, _top(run)))
    ax.set_title("loss", fontsize="medium", loc="left")
    ax.legend(fontsize=7.5, ncols=4, handlelength=1.3, columnspacing=0.9, **BESIDE_TITLE)


def _accuracy(ax: Axes, run: Run) -> None:
    values = [epoch["accuracy"] for epoch in run.learn.history.epochs]
    ax.plot(range(1, len(values) + 1), values, "-s", color=RED, markersize=4)
    style = {"color": "black", "linestyle": ":", "linewidth": 1}
    ax.axhline(_shares(run).max().item(), label="always the same class", **style)
    ax.set(xlabel="epoch", ylabel="accuracy (validation)", ylim=(0, 1.02))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title("accuracy", fontsize="medium")
    ax.legend(fontsize=8)


# --- Further examinations -----------------------------------------------------------------------


@torch.no_grad()
def _units(ax: Axes, run: Run) -> None:
    """The fraction of each layer's channels that are ever above zero, over 200 pictures."""
    shares, x = [], run.learn.images.valid.images[::5]
    for layer in [*run.learn.groups[0], *run.learn.groups[1]]:
        x = layer(x)
        if isinstance(layer, nn.Sequential):  # convolution, BatchNorm, ReLU
            shares.append((x.amax((0, 2, 3)) > 0).float().mean().item())
    ax.bar(range(1, len(shares) + 1), shares, color="0.75", edgecolor="black")
    ax.set(xlabel="convolution", ylabel="fraction of its channels", ylim=(0, 1.05))
    ax.set_title("channels that ever react", fontsize="medium")


def _classes(ax: Axes, run: Run) -> None:
    """The accuracy of each class."""
    labels = run.learn.images.valid.labels
    right = run.learn.predict(run.learn.images.valid.images).argmax(1) == labels
    n = len(run.learn.classes)
    by_class = [right[labels == k].float().mean().item() for k in range(n)]
    ax.bar(range(n), by_class, color="0.75", edgecolor="black")
    ax.set_xticks(range(n), run.learn.classes)
    ax.set(xlabel="class", ylabel="accuracy", ylim=(0, 1.05))
    ax.set_title("accuracy by class", fontsize="medium")


def _sureness(ax: Axes, run: Run) -> None:
    """How often the right class got which probability, on training and validation pictures."""
    sets = (("training", run.learn.images.train, BLUE), ("validation", run.learn.images.valid, RED))
    for (name, split, colour), hatch in zip(sets, ("", "//"), strict=True):
        with torch.no_grad():  # what this patient calls pictures are activations
            probabilities = run.learn.model(split.images).softmax(1)
        given = probabilities.gather(1, split.labels[:, None]).numpy()
        style = {"facecolor": "none", "edgecolor": colour, "hatch": hatch, "label": name}
        ax.hist(given, 10, (0, 1), weights=np.full(given.shape, 1 / len(given)), **style)
    ax.set(xlabel="probability of the right class", ylabel="fraction of the pictures", ylim=(0, 1))
    ax.set_title("probability given to the truth", fontsize="medium")
    ax.legend(fontsize=8, loc="upper left")


def _inputs(ax: Axes, run: Run) -> None:
    """How far each epoch's inputs are from the first one's, each sorted over all pictures."""
    learn, seen = run.learn, []
    for _ in learn.history.epochs:
        inputs = torch.cat([inputs.flatten(1).float() for inputs, _ in learn.batches()])
        # The order is new in each epoch: values sorted over all pictures don't depend on it.
        seen.append(inputs.sort(0).values)
    first = seen[0]
    away = [((now - first).norm() / (first - first.mean(0)).norm()).item() for now in seen]
    ax.plot(range(1, len(away) + 1), away, "-D", color="black", markersize=4)
    ax.set(xlabel="epoch", ylabel="change / spread", ylim=(-0.05, 1))
    ax.set_title("inputs, compared with epoch 1", fontsize="medium")


def _answers(ax: Axes, run: Run) -> None:
    """How many validation pictures there are of each class, and how often it says so."""
    n, x = len(run.learn.classes), np.arange(len(run.learn.classes))
    labels = run.learn.images.valid.labels
    said = run.learn.predict(run.learn.images.valid.images).argmax(1)
    counts = [torch.bincount(which, minlength=n) for which in (labels, said)]
    ax.bar(x - 0.2, counts[0], 0.4, color="0.85", edgecolor="black", label="there are")
    ax.bar(x + 0.2, counts[1], 0.4, color=RED, edgecolor="black", hatch="//", label="it says")
    ax.set_xticks(x, run.learn.classes)
    ax.set(ylabel="validation pictures", ylim=(0, 1.35 * max(map(max, counts))))
    ax.set_title("what it answers", fontsize="medium")
    ax.legend(fontsize=8, ncols=2, loc="upper left")


def _moved(ax: Axes, run: Run) -> None:
    """How far the weights of each layer group have moved, as a fraction of their length."""
    start = clinic.trained_on_digits(run.seed)
    groups = [*zip(start.children(), run.learn.groups, strict=True)][:2]
    moved = []
    for before, now in groups:
        pairs = [*zip(before.parameters(), now.parameters(), strict=True)]
        far = sum((b - a).square().sum() for a, b in pairs)
        moved.append((far / sum(a.square().sum() for a, _ in pairs)).sqrt().item())
    bars = ax.bar(["early", "late"], moved, color="0.75", edgecolor="black")
    ax.bar_label(bars, fmt="%.2f")
    ax.set(xlabel="layer group", ylabel="distance / length", ylim=(0, 1))
    ax.set_title("how far weights have moved", fontsize="medium")


@torch.no_grad()
def _fed(ax: Axes, run: Run) -> None:
    """The numbers that the first convolution gets, of every 14th validation picture."""
    first = run.learn.groups[0][0](run.learn.images.valid.images[::14])
    ax.hist(first.flatten().numpy(), 40, color="0.75", edgecolor="black", linewidth=0.3)
    ax.set(xlabel="value", ylabel="how many", yticks=[])
    ax.set_title("numbers that reach the first layer", fontsize="medium")


DIGITS = "1,000 digits of 16 px, small network"
CHARTS: dict[int, tuple[str, Callable[[Axes, Run], None]]] = {
    0: (DIGITS, _units),
    1: (DIGITS, _units),
    2: (DIGITS, _units),
    3: (DIGITS, _units),
    4: (DIGITS, _classes),
    5: (DIGITS, _classes),
    6: (f"{DIGITS}, augmented", _classes),
    7: ("318 satellite tiles, a head on stored activations", _sureness),
    8: ("2,542 satellite tiles, a head on stored activations", _sureness),
    9: ("75 photos of creatures, a head on a pretrained body, augmented", _inputs),
    10: ("75 photos of creatures, a head on a pretrained body", _answers),
    11: ("1,271 satellite tiles of 16 px, augmented, a network that knows digits", _moved),
    12: ("318 satellite tiles, a head on a pretrained body", _fed),
}
