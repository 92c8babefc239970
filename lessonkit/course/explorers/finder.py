"""The LR finder's curve, and the training that the learning rate you pick on it really gives."""

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes

from lessonkit import plot
from lessonkit.course.explorers.live_figure import LiveFigure, slider
from lessonkit.lr_finder import smooth
from lessonkit.plot import COLOURS

__all__ = ["pick_lr"]


def pick_lr(
    found: Any, train: Callable[[float], np.ndarray], learning_rate: float = 0.01
) -> LiveFigure:
    """The LR finder's curve, and beside it the training that the LR you pick really gives.

    `found` is what `lr_find` returns. `train(lr)` trains afresh and returns the loss of every
    step [n]; it is called once for each LR that is picked.
    """
    picked: dict[float, np.ndarray] = {}

    def draw(axes: np.ndarray, learning_rate: float) -> str:
        if learning_rate not in picked:
            picked[learning_rate] = np.asarray(train(learning_rate), dtype=float)
        axes[0].axvline(learning_rate, color=COLOURS["red"], linestyle="--", linewidth=2, zorder=1)
        axes[0].set_title(f"LR finder; dashed: you picked {learning_rate:.1e}", fontsize="medium")
        return _draw_training(axes[1], picked, learning_rate)

    lr = slider(
        widgets.FloatLogSlider, "learning rate", learning_rate, -5, 1, 0.25, readout_format=".1e"
    )
    lr.continuous_update = False  # train when the slider is let go, not all along its way

    def still(axes: np.ndarray) -> None:
        plot.lr_finder(found, axes[0]).set_xlim(0.7e-5, 14)
        # Falling curves leave room there.
        axes[0].legend(loc="lower left", fontsize="small", framealpha=1)

    return LiveFigure("pick_lr", {"learning_rate": lr}, draw, columns=2, still=still)


def _draw_training(ax: Axes, picked: dict[float, np.ndarray], lr: float) -> str:
    """Draw the losses at `lr` and the best of the others so far; returns what is to be seen."""
    losses = picked[lr]
    top = 2 * losses[0]
    kept = losses[: len(losses) if np.isfinite(losses).all() else np.isfinite(losses).argmin()]
    ax.plot(kept, color="0.75", linewidth=1, label="loss of each batch")
    ax.plot(smooth(kept), color=COLOURS["red"], linewidth=2.5, label=f"smoothed, LR {lr:.1e}")
    others = {other: smooth(curve) for other, curve in picked.items() if other != lr}
    others = {other: curve for other, curve in others.items() if np.isfinite(curve[-1])}
    best = min(others, key=lambda other: others[other][-1], default=None)
    if best is not None:
        style = {"color": COLOURS["blue"], "linestyle": "-.", "linewidth": 1.5}
        ax.plot(others[best], label=f"best of the others, LR {best:.1e}", **style)
    ax.set(xlim=(0, len(losses)), ylim=(0, top), xlabel="step", ylabel="training loss")
    ax.set_title("the training it gives", fontsize="medium")
    ax.legend(loc="upper right", fontsize="small")
    if len(kept) < len(losses):
        return f"At LR {lr:.1e} the loss is no longer a number after {len(kept)} steps."
    start, end = losses[0], smooth(losses)[-1]
    return f"At LR {lr:.1e} the loss goes from {start:.2f} to {end:.2g} in {len(losses)} steps."
