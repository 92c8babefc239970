"""A ball that gradient descent moves down a bowl: learning rate, momentum, start and curvature."""

from collections.abc import Callable

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes

from lessonkit.course.explorers.live_figure import LiveFigure, slider
from lessonkit.plot import COLOURS

__all__ = ["descend", "descent"]

STEPS = 30  # that the ball makes
SIDE = 5.0  # the picture reaches from -5 to 5


def descend(
    gradient: Callable[[float], float], start: float, lr: float, steps: int, momentum: float = 0.0
) -> np.ndarray:
    """Where gradient descent goes from `start`: float64 array [steps + 1].

    Momentum as in torch's SGD: v = momentum * v + gradient, then x = x - lr * v (the heavy ball).
    A position that is too large for a float is infinite, and so are all after it.
    """
    positions, velocity = np.full(steps + 1, np.float64(start)), np.float64(0)
    with np.errstate(all="ignore"):  # running out of numbers is one of the things to be seen
        for i in range(steps):
            velocity = momentum * velocity + gradient(positions[i])
            positions[i + 1] = positions[i] - lr * velocity
            if not np.isfinite(positions[i + 1]):
                positions[i + 1 :] = positions[i + 1]
                break
    return positions


def descent(
    learning_rate: float = 0.5, momentum: float = 0.0, start: float = 4.0, curvature: float = 1.0
) -> LiveFigure:
    """A ball that gradient descent moves in the bowl y = ½ λ x²; λ is the curvature."""
    kind = widgets.FloatSlider
    controls = {
        "learning_rate": slider(kind, "learning rate", learning_rate, 0.05, 4.5, 0.05),
        "momentum": slider(kind, "momentum", momentum, 0.0, 0.95, 0.05),
        "start": slider(kind, "start", start, -4.5, 4.5, 0.5),
        "curvature": slider(kind, "curvature λ", curvature, 0.5, 4.0, 0.5),
    }
    return LiveFigure("descent", controls, _draw_descent, columns=2)


def _draw_descent(
    axes: np.ndarray, learning_rate: float, momentum: float, start: float, curvature: float
) -> str:
    path = descend(lambda x: curvature * x, start, learning_rate, STEPS, momentum)
    with np.errstate(over="ignore"):
        losses = curvature / 2 * path**2
    _draw_bowl(axes[0], path, losses, curvature)
    _draw_loss(axes[1], losses)
    verdict = _verdict(learning_rate, momentum, curvature)
    axes[0].set_title(verdict, fontsize="medium")
    outside = np.flatnonzero(np.abs(path) > SIDE)
    end = f"It leaves the picture at step {outside[0]}" if len(outside) else ""
    end = end or f"After {STEPS} steps it is at {path[-1]:.2g}, where the loss is {losses[-1]:.2g}"
    return f"{verdict}. The ball starts at {start:g}. {end}."


def _verdict(lr: float, momentum: float, curvature: float) -> str:
    """Does it converge? On a bowl that is known: up to an LR of 2/λ, or 2(1 + momentum)/λ."""
    limit = 2 * (1 + momentum) / curvature
    formula = f"2(1 + {momentum:g})/λ" if momentum else "2/λ"
    if np.isclose(lr, limit):
        fate = "bounces for ever"
    elif lr > limit:
        fate = "diverges"
    elif momentum or lr < 1 / curvature:
        fate = "converges"
    else:
        fate = "converges" + (", zigzag" if lr > 1 / curvature else " in one step")
    return f"{formula} = {limit:.3g}: LR {lr:g} {fate}"


def _draw_bowl(ax: Axes, path: np.ndarray, losses: np.ndarray, curvature: float) -> None:
    x = np.linspace(-SIDE, SIDE, 200)
    ax.plot(x, curvature / 2 * x**2, color="0.6", linewidth=1.5)
    seen = np.abs(path) < 1e6  # a line to a point further off can't be drawn exactly
    steps = {"color": COLOURS["blue"], "markersize": 5, "linewidth": 1}
    ax.plot(path[seen], losses[seen], "o-", label="steps", **steps)
    start = {"color": COLOURS["orange"], "markersize": 10, "markeredgecolor": "black"}
    ax.plot(path[0], losses[0], "s", label="start", **start)
    ball = {"color": COLOURS["red"], "markersize": 15, "markeredgecolor": "black"}
    if abs(path[-1]) <= SIDE:
        ax.plot(path[-1], losses[-1], "*", label=f"after {STEPS} steps", **ball)
    top = curvature / 2 * SIDE**2
    ax.set(xlim=(-SIDE, SIDE), ylim=(-0.08 * top, top), xlabel="weight x", ylabel="loss ½ λ x²")
    ax.legend(loc="upper center", fontsize="small", framealpha=1)


def _draw_loss(ax: Axes, losses: np.ndarray) -> None:
    low, high = 1e-6, 1e4
    shown = np.clip(losses, low, high)
    steps = np.arange(len(losses))
    ax.plot(steps, shown, "o-", color=COLOURS["blue"], markersize=4, linewidth=1)
    for outside, marker, label in (
        (losses > high, "^", "higher than this picture"),
        (losses < low, "v", "lower than this picture"),
    ):
        if outside.any():
            ax.plot(steps[outside], shown[outside], marker, color=COLOURS["red"], label=label)
            ax.legend(loc="center right", fontsize="small")
    ax.set(yscale="log", ylim=(low / 3, high * 3), xlabel="step", ylabel="loss (log scale)")
    ax.set_title("loss at each step", fontsize="medium")
