"""Two explorers: a ball that a restart throws out of a narrow pit, and a plane through a loss."""

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes

from lessonkit import schedule
from lessonkit.course.explorers.live_figure import LiveFigure, slider
from lessonkit.plot import COLOURS

__all__ = ["landscape", "restarts", "roll", "two_pits", "two_pits_slope"]

# --- A ball and two pits ------------------------------------------------------------------------

NARROW, WIDE = (-1.5, 0.15), (1.5, 0.8)  # where a pit is, and its half width
DEPTHS = (1.0134, 1.0)  # the bowl pulls the wide pit's bottom inwards, and so a little lower
BOWL = 0.15  # the curvature of the bowl that both pits are in
BOTTOMS = {"narrow": -1.495, "wide": 1.367}  # where the slope is zero
LIMIT = 0.044  # 2/λ of the narrow pit
STEPS_PER_EPOCH = 20
SCHEDULES = ["constant, LR / 20", "constant", "cosine", "sgdr"]


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
) -> LiveFigure:
    """A ball that starts in, or near, the narrow pit, and a schedule that may throw it out.

    `how` is one of "constant, LR / 20", "constant", "cosine" and "sgdr". The cycles set the number
    of steps for all four, 20 an epoch, so that they have the same budget.
    """
    real, whole = widgets.FloatSlider, widgets.IntSlider
    controls = {
        "how": widgets.Dropdown(
            options=SCHEDULES, value=how, description="schedule", layout={"width": "340px"}
        ),
        "learning_rate": slider(real, "learning rate", learning_rate, 0.02, 1.4, 0.02),
        "start": slider(real, "start", start, -4.0, 4.0, 0.1),
        "n_cycle": slider(whole, "n_cycle", n_cycle, 1, 4, 1),
        "cycle_len": slider(whole, "cycle_len", cycle_len, 1, 3, 1),
        "cycle_mult": slider(whole, "cycle_mult", cycle_mult, 1, 2, 1),
    }
    return LiveFigure(
        "restarts", controls, _draw_restarts, columns=3, size=(11, 3.4), still=_draw_landscape
    )


def _draw_restarts(
    axes: np.ndarray,
    how: str,
    learning_rate: float,
    start: float,
    n_cycle: int,
    cycle_len: int,
    cycle_mult: int,
) -> str:
    sgdr = schedule.sgdr(learning_rate, n_cycle, cycle_len, cycle_mult, STEPS_PER_EPOCH)
    lrs = {
        "constant, LR / 20": lambda: schedule.constant(learning_rate / 20, len(sgdr)),
        "constant": lambda: schedule.constant(learning_rate, len(sgdr)),
        "cosine": lambda: schedule.cosine(learning_rate, len(sgdr)),
        "sgdr": lambda: sgdr,
    }[how]()
    path = roll(start, lrs)
    _draw_pits(axes[0], path)
    _draw_lrs(axes[1], lrs, f"{how}: {len(lrs)} steps")
    share = np.linspace(0, 1, len(path))
    axes[2].plot(share, path, ".-", color=COLOURS["blue"], markersize=3, linewidth=0.7)
    axes[2].set_title("place of the ball")
    return f"{how}, LR {learning_rate:g}: the ball starts at {start:g} and {_ending(path)}."


def _draw_landscape(axes: np.ndarray) -> None:
    """The two pits, which never change, and where they are."""
    x = np.linspace(-4, 4, 300)
    axes[0].plot(x, two_pits(x), color="0.6")
    axes[0].set(xlim=(-4, 4), ylim=(-0.1, 2.3), xlabel="weight x", ylabel="loss")
    axes[0].set(xticks=[-4, -2, 0, 2, 4], yticks=[0, 1, 2])
    for place in BOTTOMS.values():
        axes[2].axhline(place, color="0.6", linestyle="--", linewidth=1, zorder=0)
    # Shares of the run, not steps: an axis that stays as it is needn't be drawn again.
    axes[1].set(xlabel="share of the run", ylabel="learning rate", xticks=[0, 0.5, 1])
    axes[2].set(xlabel="share of the run", xlim=(0, 1), ylim=(-4, 4), xticks=[0, 0.5, 1])
    axes[2].set_yticks(list(BOTTOMS.values()), [f"{name} pit" for name in BOTTOMS])


def _draw_lrs(ax: Axes, lrs: np.ndarray, title: str) -> None:
    # One of four heights, not any, for the same reason.
    top = min(height for height in (0.1, 0.25, 0.6, 1.6) if height > 1.05 * lrs.max())
    ax.plot(np.linspace(0, 1, len(lrs), endpoint=False), lrs, color=COLOURS["blue"])
    ax.axhline(LIMIT, color=COLOURS["red"], linestyle=":")
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    ax.text(0.98, LIMIT + 0.03 * top, "2/λ, narrow pit", ha="right", va="bottom", bbox=white)
    ax.set(xlim=(0, 1), ylim=(0, top), title=title)


def _draw_pits(ax: Axes, path: np.ndarray) -> None:
    ax.plot(path, two_pits(path), ".", color=COLOURS["blue"], markersize=4)
    mark = {"markeredgecolor": "black", "linestyle": "none"}
    ax.plot(path[0], two_pits(path[0]), "s", color=COLOURS["orange"], ms=9, **mark)
    ax.plot(path[-1], two_pits(path[-1]), "*", color=COLOURS["red"], ms=14, **mark)
    ax.set_title("from the square to the star")


def _ending(path: np.ndarray) -> str:
    """In words, where the last steps were."""
    last = path[-5:]
    for name, (place, width) in (("narrow", NARROW), ("wide", WIDE)):
        if (np.abs(last - place) < 2 * width).all():
            rests = np.ptp(last) < 0.1 * width
            return f"{'rests' if rests else 'still moves'} in the {name} pit"
    return f"is still on its way, at {path[-1]:.2g}"


# --- A plane through a real loss ----------------------------------------------------------------


def landscape(
    planes: dict[str, np.ndarray], distances: Sequence[float], a: float = 0.0, b: float = 0.0
) -> LiveFigure:
    """Move over stored slices of a loss: the plane, and the two lines that cross where you are.

    `planes` holds network name: what `landscape.slice_2d` returned for `distances`, [n, n], with
    `distances` in equal steps. All are drawn on one scale of colours.
    """
    distances = np.asarray(distances, dtype=float)
    low = min(float(plane.min()) for plane in planes.values())
    high = min(max(float(plane.max()) for plane in planes.values()), 100 * low)
    ends, step = (distances[0], distances[-1]), distances[1] - distances[0]
    limits, few = (np.log10(low), np.log10(high)), [ends[0], 0, ends[1]]

    def draw(axes: np.ndarray, network: str, a: float, b: float) -> str:
        plane = planes[network]
        column, row = (int(np.abs(distances - value).argmin()) for value in (a, b))
        a, b, here = distances[column], distances[row], plane[row, column]
        edge = (ends[0] - step / 2, ends[1] + step / 2)
        colours = {"cmap": "cividis", "vmin": limits[0], "vmax": limits[1]}
        axes[0].imshow(np.log10(plane), origin="lower", extent=(*edge, *edge), **colours)
        axes[0].axvline(a, color="white", linestyle="--", linewidth=1.2)
        axes[0].axhline(b, color="white", linewidth=1.2)
        axes[0].plot(a, b, "o", color=COLOURS["red"], markersize=9, markeredgecolor="white")
        axes[0].set(xlabel="a: along the first direction", ylabel="b: along the second")
        axes[0].set(xticks=few, yticks=few)
        axes[0].set_title(f"{network}: dark is low", fontsize="medium")
        for line, style, name, colour in (
            (plane[row], "-", "along a", "blue"),
            (plane[:, column], "--", "along b", "orange"),
        ):
            axes[1].plot(distances, line, style, color=COLOURS[colour], label=name)
        axes[1].plot([a, b], [here, here], "o", color=COLOURS["red"], label="you are here")
        axes[1].set(yscale="log", ylim=(0.8 * low, 1.3 * high), xlim=ends, xticks=few)
        axes[1].set(xlabel="distance from the trained network", ylabel="loss (log scale)")
        axes[1].legend(loc="upper center", fontsize="small", ncols=3, framealpha=1)
        return f"{network}: at a = {a:.2g}, b = {b:.2g} the loss is {here:.2g}."

    names = list(planes)
    place = {"low": ends[0], "high": ends[1], "step": step}
    controls = {
        "network": widgets.Dropdown(
            options=names, value=names[0], description="network", layout={"width": "340px"}
        ),
        "a": slider(widgets.FloatSlider, "a", a, **place),
        "b": slider(widgets.FloatSlider, "b", b, **place),
    }
    return LiveFigure("landscape", controls, draw, columns=2, size=(9, 3.8))
