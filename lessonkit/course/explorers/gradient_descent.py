"""A ball that gradient descent moves down a bowl: learning rate, momentum, start and curvature."""

from collections.abc import Callable

import numpy as np

from lessonkit.course.explorers.explorer import Explorer, controls
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
) -> Explorer:
    """A ball that gradient descent moves in the bowl y = ½ λ x²; λ is the curvature."""
    values = {"learning_rate": learning_rate, "momentum": momentum}
    values |= {"start": start, "curvature": curvature}
    return Explorer("descent", controls("descent", **values), _told, _draw, columns=2)


def _path(
    learning_rate: float, momentum: float, start: float, curvature: float
) -> tuple[np.ndarray, np.ndarray]:
    """The ball's places and their losses, each float64 [STEPS + 1]."""
    path = descend(lambda x: curvature * x, start, learning_rate, STEPS, momentum)
    with np.errstate(over="ignore"):
        return path, curvature / 2 * path**2


def _told(learning_rate: float, momentum: float, start: float, curvature: float) -> str:
    path, losses = _path(learning_rate, momentum, start, curvature)
    outside = np.flatnonzero(np.abs(path) > SIDE)
    end = f"It leaves the picture at step {outside[0]}" if len(outside) else ""
    end = end or f"After {STEPS} steps it is at {path[-1]:.2g}, where the loss is {losses[-1]:.2g}"
    verdict = _verdict(learning_rate, momentum, curvature)
    return f"{verdict}. The ball starts at {start:g}. {end}."


def _verdict(lr: float, momentum: float, curvature: float) -> str:
    """Does it converge? On a bowl that is known: up to an LR of 2/λ, or 2(1 + momentum)/λ."""
    limit = 2 * (1 + momentum) / curvature
    formula = f"2(1 + {momentum:g})/λ" if momentum else "2/λ"
    if np.isclose(lr, limit):
        fate = "bounces forever"
    elif lr > limit:
        fate = "diverges"
    elif momentum or lr < 1 / curvature:
        fate = "converges"
    else:
        fate = "converges" + (", zigzag" if lr > 1 / curvature else " in one step")
    return f"{formula} = {limit:.3g}: LR {lr:g} {fate}"


def _draw(
    axes: np.ndarray, learning_rate: float, momentum: float, start: float, curvature: float
) -> None:
    path, losses = _path(learning_rate, momentum, start, curvature)
    x, top = np.linspace(-SIDE, SIDE, 200), curvature / 2 * SIDE**2
    axes[0].plot(x, curvature / 2 * x**2, color="0.6", linewidth=1.5)
    seen = np.abs(path) < 1e6  # a line to a point further off can't be drawn exactly
    axes[0].plot(path[seen], losses[seen], "o-", color=COLOURS["blue"], ms=5, lw=1, label="steps")
    mark = {"markeredgecolor": "black", "linestyle": "none"}
    axes[0].plot(path[0], losses[0], "s", color=COLOURS["orange"], ms=10, label="start", **mark)
    if abs(path[-1]) <= SIDE:
        label = f"after {STEPS} steps"
        axes[0].plot(path[-1], losses[-1], "*", color=COLOURS["red"], ms=15, label=label, **mark)
    axes[0].set(xlim=(-SIDE, SIDE), ylim=(-0.08 * top, top))
    axes[0].set(xlabel="weight x", ylabel="loss ½ λ x²")
    axes[0].set_title(_verdict(learning_rate, momentum, curvature), fontsize="medium")
    axes[0].legend(loc="upper center", fontsize="small", framealpha=1)
    low, high = 1e-6, 1e4
    axes[1].plot(losses.clip(low, high), "o-", color=COLOURS["blue"], markersize=4, linewidth=1)
    axes[1].set(yscale="log", ylim=(low / 3, high * 3), xlabel="step", ylabel="loss (log scale)")
    axes[1].set_title("loss at each step", fontsize="medium")
