"""The pictures of notebook 07: what each of the 8 steps gains, and where two losses part."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from torch import Tensor

from lessonkit import plot
from lessonkit.course.measured import forest, ledger
from lessonkit.course.measured.verdict import over_seeds
from lessonkit.course.pictures.shared import pair, single
from lessonkit.plot import COLOURS
from lessonkit.recipe import Report

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
CELLS = "solar cells: elpv-dataset, CC BY-NC-SA 4.0 (Buerhop-Lutz et al. 2018, Deitsch et al. 2019)"


def cells(pictures: Tensor, titles: Sequence[str]) -> None:
    """Six solar cells with titles, and below them where they come from."""
    axes = plot.wall(pictures, columns=len(pictures), side=1.45)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=8, pad=3)
    figure = axes[0, 0].figure
    figure.set_size_inches(1.45 * len(pictures), 2.2)
    figure.supxlabel(CELLS, fontsize=8)
    plt.show()


def both_losses(epochs: Sequence[dict], ends: Sequence[int] = ()) -> None:
    """Training and validation loss of every epoch, a dotted line behind each cycle's last one."""
    ax, numbers = single(), range(1, len(epochs) + 1)
    for name, label, dash, marker, colour in (
        ("train_loss", "training", "--", "o", "blue"),
        ("valid_loss", "validation", "-", "s", "red"),
    ):
        values = [epoch[name] for epoch in epochs]
        style = {"color": COLOURS[colour], "marker": marker, "markersize": 4}
        ax.plot(numbers, values, dash, label=label, **style)
    for end in ends:
        ax.axvline(end + 0.5, color="0.6", linestyle=":")
    ax.set(xlabel="epoch (dotted: a new cycle begins)", ylabel="loss")
    ax.legend()
    plt.show()


def gains(report: Report) -> None:
    """Accuracy after each step that trains, on validation and on test pictures, and its seconds."""
    axes = pair(9, 3.4)
    trains = [number for number, step in enumerate(report.steps) if number in (0, 2, 3, 7)]
    steps = [report.steps[number] for number in trains]
    places, names = range(len(steps)), ["before", "step 3", "step 4", "step 8"]
    test = np.array([step.accuracy_test for step in steps])
    error = np.sqrt(test * (1 - test) / len(report.learner.images.test.labels))
    style = {"color": COLOURS["blue"], "capsize": 4, "label": "test, ± a standard error"}
    axes[0].errorbar(places, test, error, fmt="o-", **style)
    valid = {"color": COLOURS["orange"], "markeredgecolor": "black", "label": "validation"}
    axes[0].plot(places, [step.accuracy for step in steps], "s:", **valid)
    axes[0].set(ylabel="accuracy", ylim=(0.5, 1), xticks=places, xticklabels=names)
    axes[0].legend(loc="lower right")
    seconds = [step.seconds for step in report.steps]
    axes[1].bar(range(1, 9), seconds, color=COLOURS["sky"], edgecolor="black")
    axes[1].set(xlabel="step", ylabel="seconds of the step", xticks=range(1, 9))
    plt.show()


def stored_runs() -> dict[str, np.ndarray]:
    """Of each set of pictures, test accuracies [splits, 4] after steps 3, 4 and 8 and with TTA.

    From runs of `eight_steps` at 96 px, with up to 600 training pictures, that benchmarks/recipe.py
    has made and stored.
    """
    found = defaultdict(list)
    for run in json.loads((BENCHMARKS / "recipe.json").read_text(encoding="utf-8")):
        if (run["size"], run["most"]) == (96, 600):
            found[run["set"]].append([*run["steps"].values(), run["tta"]])
    return {name: np.array(rows) for name, rows in sorted(found.items())}


def six_sets(runs: dict[str, np.ndarray]) -> None:
    """Each split's accuracy after step 3 and after step 8, and their means, set by set."""
    ax = single(8)
    for place, accuracies in enumerate(runs.values()):
        for row in accuracies:
            ax.plot([place - 0.15, place + 0.15], row[[0, 2]], "-", color="0.7", linewidth=1)
        style = {"markersize": 8, "markeredgecolor": "black", "linestyle": "none"}
        means = accuracies.mean(0)
        ax.plot(place - 0.15, means[0], "o", color=COLOURS["sky"], **style)
        ax.plot(place + 0.15, means[2], "s", color=COLOURS["orange"], **style)
    ax.set(xticks=range(len(runs)), xticklabels=runs, ylabel="test accuracy")
    head, whole = ax.lines[-2:]
    names = ["after step 3", "after step 8", "one split"]
    ax.figure.legend([head, whole, ax.lines[0]], names, ncols=3, loc="outside upper center")
    plt.show()


def cells_at_224() -> dict[str, np.ndarray]:
    """Of each way to count all cells, test accuracies [splits] at 224 px, stored by tools/cells.py.

    Counted simply, a cell is defective above 1/2, and as published with any doubt, by which it
    counts.
    """
    runs = json.loads((BENCHMARKS / "cells.json").read_text(encoding="utf-8"))
    runs = [run for run in runs if run["size"] == 224]
    plain, weighted = ([run for run in runs if run["weighted"] is w] for w in (False, True))
    return {
        "counted simply, after step 3": np.array([r["steps"][2]["accuracy_test"] for r in plain]),
        "counted simply, all 8 steps": np.array([run["counted"] for run in plain]),
        "counted as published, all 8 steps": np.array([run["counted"] for run in weighted]),
        "counted as published, with TTA": np.array([run["counted_tta"] for run in weighted]),
    }


def beside_published(
    found: dict[str, np.ndarray], published: dict[str, float], n: int = 656
) -> None:
    """Accuracies [splits] by the way to count, their means, and results on one split of `n`."""
    ax, names = single(8, 3), [*found, *published]
    for place, accuracies in enumerate(found.values()):
        splits = {"color": COLOURS["sky"], "markersize": 5, "label": "a split"}
        ax.plot(accuracies, [place] * len(accuracies), "o", **splits)
        mean, low, high, *_ = over_seeds(accuracies)
        style = {"color": "black", "capsize": 4, "label": "mean, 95 % interval"}
        ax.errorbar(mean, place + 0.25, xerr=[[mean - low], [high - mean]], fmt="s", **style)
    for place, accuracy in enumerate(published.values(), len(found)):
        error = np.sqrt(accuracy * (1 - accuracy) / n)
        style = {"color": COLOURS["red"], "capsize": 4, "label": "published, ± a standard error"}
        ax.errorbar(accuracy, place, xerr=error, fmt="D", **style)
    ax.set(xlabel="test accuracy", yticks=range(len(names)), yticklabels=names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", color="0.9")
    handles = dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    ax.figure.legend(handles.values(), handles.keys(), ncols=3, loc="outside upper center")
    plt.show()


LEFT_OUT = {"cells": "cells", "trash": "rubbish", "digits": "digits"}  # in claim 14


def steps_left_out() -> None:
    """Claim 14: what each step adds to the accuracy, a panel a set, and what the verdict is."""
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), sharey=True)
    figure.subplots_adjust(0.24, 0.15, 0.98, 0.82)
    named = [row for row in ledger.entries() if row.number == "14"]
    for ax, (name, title) in zip(axes, LEFT_OUT.items(), strict=True):
        rows = [row for row in named if row.name.startswith(name) and "after" not in row.name]
        places = -np.arange(len(rows), dtype=float)
        forest.lines(ax, [forest.line(row) for row in rows], places)
        forest.bounds(ax)
        points = 100 * rows[0].delta * np.arange(-4, 5, 2)
        ax.set_xticks(range(-4, 5, 2), [f"{x:+.0f}" if x else "0" for x in points])
        ax.set_yticks(places, [row.name.partition(", ")[2] for row in rows])
        ax.set(title=title, xlim=(-4, 4), xlabel="points that the step adds")
    forest.legend(figure, loc="upper center")
    plt.show()


def equal_lrs() -> str:
    """Of claim 14's runs: the 8 steps with the lesson's LRs, with equal ones, and no head first."""
    lines, runs = [], [run["values"] for run in ledger.runs("14")]
    for name, title in LEFT_OUT.items():
        for what, plus, minus in (
            ("the lesson's LRs, less step 3", "whole", "after step 3"),
            ("equal LRs, less step 3", "6 lower LRs", "after step 3"),
            ("equal LRs, less one cycle", "6 lower LRs", "one cycle"),
            ("all layers from the start, less the lesson's", "all layers", "whole"),
        ):
            gains = [run[f"{name}: {plus}"] - run[f"{name}: {minus}"] for run in runs]
            mean, low, high, *_ = (100 * value for value in over_seeds(gains))
            lines.append(f"{title:8} {what:44} {mean:+5.1f} ({low:+.1f} to {high:+.1f})")
    return "\n".join(lines)
