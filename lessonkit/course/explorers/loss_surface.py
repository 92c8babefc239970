"""Two explorers: a ball that a restart throws out of a narrow pit, and a plane through a loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lessonkit import schedule
from lessonkit.course.explorers.explorer import Explorer, controls
from lessonkit.plot import COLOURS

__all__ = ["landscape", "restarts", "roll", "two_pits", "two_pits_slope"]

# --- A ball and two pits ------------------------------------------------------------------------

NARROW, WIDE = (-1.5, 0.15), (1.5, 0.8)  # where a pit is, and its half width
DEPTHS = (1.0134, 1.0)  # the bowl pulls the wide pit's bottom inwards, and so a little lower
BOWL = 0.15  # the curvature of the bowl that both pits are in
BOTTOMS = {"narrow": -1.495, "wide": 1.367}  # where the slope is zero
LIMIT = 0.044  # 2/λ of the narrow pit
STEPS_PER_EPOCH = 20


def two_pits(x: np.ndarray | float) -> np.ndarray:
    """A loss over one weight: a narrow pit and an equally deep, wide one, in a flat bowl.

    The bottoms, at -1.49 and 1.37, curve by λ = 45 and 1.65, so that 2/λ is 0.044 and 1.2.
    """
    x = np.asarray(x, dtype=float)
    return 1 + BOWL * x**2 / 2 - sum(depth for depth, _, _ in _pits(x))


def two_pits_slope(x: np.ndarray | float) -> np.ndarray:
    """The derivative of `two_pits`."""
    x = np.asarray(x, dtype=float)
    return BOWL * x + sum(depth * (x - place) / width**2 for depth, place, width in _pits(x))


def _pits(x: np.ndarray) -> list[tuple[np.ndarray, float, float]]:
    """How far each pit lies below the bowl at `x`; its place and half width."""
    return [
        (depth * np.exp(-(((x - place) / width) ** 2) / 2), place, width)
        for depth, (place, width) in zip(DEPTHS, (NARROW, WIDE), strict=True)
    ]


def roll(start: np.ndarray | float, lrs: Sequence[float]) -> np.ndarray:
    """Where gradient descent goes on `two_pits` with a schedule: float64 [steps + 1, ...].

    `start` is one ball's place, or an array of them.
    """
    places = [np.asarray(start, dtype=float)]
    for lr in lrs:
        places.append(places[-1] - lr * two_pits_slope(places[-1]))
    return np.array(places)


def restarts(
    how: str = "sgdr",
    learning_rate: float = 0.2,
    start: float = -1.5,
    n_cycle: int = 3,
    cycle_len: int = 1,
    cycle_mult: int = 2,
) -> Explorer:
    """A ball that starts in, or near, the narrow pit, and a schedule that may throw it out.

    `how` is one of "constant, LR / 20", "constant", "cosine" and "sgdr". The cycles set the number
    of steps for all four, 20 an epoch, so that they have the same budget.
    """
    values = {"how": how, "learning_rate": learning_rate, "start": start}
    values |= {"n_cycle": n_cycle, "cycle_len": cycle_len, "cycle_mult": cycle_mult}
    made = controls("restarts", **values)
    return Explorer("restarts", made, _told, _draw_restarts, columns=3, size=(11, 3.4))


def _lrs(
    how: str, learning_rate: float, n_cycle: int, cycle_len: int, cycle_mult: int
) -> np.ndarray:
    sgdr = schedule.sgdr(learning_rate, n_cycle, cycle_len, cycle_mult, STEPS_PER_EPOCH)
    return {
        "constant, LR / 20": lambda: schedule.constant(learning_rate / 20, len(sgdr)),
        "constant": lambda: schedule.constant(learning_rate, len(sgdr)),
        "cosine": lambda: schedule.cosine(learning_rate, len(sgdr)),
        "sgdr": lambda: sgdr,
    }[how]()


def _told(how: str, learning_rate: float, start: float, **cycles: int) -> str:
    ending = _ending(roll(start, _lrs(how, learning_rate, **cycles)))
    return f"{how}, LR {learning_rate:g}: the ball starts at {start:g} and {ending}."


def _ending(path: np.ndarray) -> str:
    """In words, where the last steps were."""
    last = path[-5:]
    for name, (place, width) in (("narrow", NARROW), ("wide", WIDE)):
        if (np.abs(last - place) < 2 * width).all():
            at_bottom = abs(last[-1] - BOTTOMS[name]) < 0.4 * width
            rests = at_bottom and np.ptp(last) < 0.1 * width
            return f"{'rests' if rests else 'still moves'} in the {name} pit"
    return f"is still on its way, at {path[-1]:.2g}"


def _draw_restarts(
    axes: np.ndarray, how: str, learning_rate: float, start: float, **cycles: int
) -> None:
    lrs = _lrs(how, learning_rate, **cycles)
    path, x = roll(start, lrs), np.linspace(-4, 4, 300)
    axes[0].plot(x, two_pits(x), color="0.6")
    axes[0].plot(path, two_pits(path), ".", color=COLOURS["blue"], markersize=4)
    mark = {"markeredgecolor": "black", "linestyle": "none"}
    axes[0].plot(path[0], two_pits(path[0]), "s", color=COLOURS["orange"], ms=9, **mark)
    axes[0].plot(path[-1], two_pits(path[-1]), "*", color=COLOURS["red"], ms=14, **mark)
    axes[0].set(xlim=(-4, 4), ylim=(-0.1, 2.3), xlabel="weight x", ylabel="loss")
    axes[0].set_title("from the square to the star")
    axes[1].plot(lrs, color=COLOURS["blue"])
    axes[1].axhline(LIMIT, color=COLOURS["red"], linestyle=":", label="2/λ, narrow pit")
    axes[1].set(xlabel="step", ylabel="learning rate", title=f"{how}: {len(lrs)} steps")
    axes[1].legend(loc="upper right", fontsize="small", framealpha=1)
    axes[2].plot(path, ".-", color=COLOURS["blue"], markersize=3, linewidth=0.7)
    axes[2].set(xlabel="step", ylim=(-4, 4), title="place of the ball")
    axes[2].set_yticks(list(BOTTOMS.values()), [f"{name} pit" for name in BOTTOMS])


# --- A plane through a real loss ----------------------------------------------------------------


def landscape(planes: dict[str, np.ndarray], distances: Sequence[float]) -> Explorer:
    """Move over stored slices of a loss: the plane, and the two lines that cross where you are.

    `planes` holds network name: what `landscape.slice_2d` returned for `distances`, [n, n], with
    `distances` in equal steps. All are drawn on one scale of colours.
    """
    distances = np.asarray(distances, dtype=float)
    step = float(distances[1] - distances[0])
    ends = {"min": float(distances[0]), "max": float(distances[-1]), "step": step}
    changes = {"network": {"options": list(planes)}, "a": ends, "b": ends}
    made, short = controls("landscape", changes, network=next(iter(planes))), _short(planes)

    def place(a: float, b: float) -> tuple[int, int]:
        return int(np.abs(distances - a).argmin()), int(np.abs(distances - b).argmin())

    def tell(network: str, a: float, b: float) -> str:
        column, row = place(a, b)
        a, b, here = distances[column], distances[row], short[network][row][column]
        return f"{network}: at a = {a:.2g}, b = {b:.2g} the loss is {here:.2g}."

    def draw(axes: np.ndarray, network: str, a: float, b: float) -> None:
        _draw_plane(axes, planes, network, distances, *place(a, b))

    data = {"distances": distances.tolist(), "planes": short}
    return Explorer("landscape", made, tell, draw, data, columns=2, size=(9, 3.8))


def _short(planes: dict[str, np.ndarray]) -> dict[str, list[list[float]]]:
    """The losses with five digits: what the explorer shows, and a small page."""
    return {
        name: [[float(f"{loss:.5g}") for loss in row] for row in np.asarray(plane)]
        for name, plane in planes.items()
    }


def _draw_plane(
    axes: np.ndarray, planes: dict[str, Any], network: str, distances: np.ndarray, *place: int
) -> None:
    (column, row), plane = place, planes[network]
    a, b, half = distances[column], distances[row], (distances[1] - distances[0]) / 2
    low = min(float(plane.min()) for plane in planes.values())
    high = min(max(float(plane.max()) for plane in planes.values()), 100 * low)
    edges = (distances[0] - half, distances[-1] + half)
    colours = {"cmap": "cividis", "vmin": np.log10(low), "vmax": np.log10(high)}
    axes[0].imshow(np.log10(plane), origin="lower", extent=(*edges, *edges), **colours)
    axes[0].axvline(a, color="white", linestyle="--", linewidth=1.2)
    axes[0].axhline(b, color="white", linewidth=1.2)
    axes[0].plot(a, b, "o", color=COLOURS["red"], markersize=9, markeredgecolor="white")
    axes[0].set(xlabel="a: along the first direction", ylabel="b: along the second")
    axes[0].set_title(f"{network}: dark is low", fontsize="medium")
    axes[1].plot(distances, plane[row], color=COLOURS["blue"], label="along a")
    axes[1].plot(distances, plane[:, column], "--", color=COLOURS["orange"], label="along b")
    axes[1].plot([a, b], [plane[row, column]] * 2, "o", color=COLOURS["red"], label="you are here")
    axes[1].set(yscale="log", ylim=(0.8 * low, 1.3 * high))
    axes[1].set(xlabel="distance from the trained network", ylabel="loss (log scale)")
    axes[1].legend(loc="upper center", fontsize="small", ncols=3, framealpha=1)
