"""Pictures that you steer: sliders beside a picture which is drawn anew when one of them moves."""

import base64
import html
import io
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lessonkit import plot
from lessonkit.lr_rules import smooth
from lessonkit.plot import COLOURS

__all__ = ["LiveFigure", "descend", "descent", "pick_lr"]

STEPS = 30  # that the ball in `descent` makes
SIDE = 5.0  # its picture reaches from -5 to 5


class LiveFigure(widgets.VBox):
    """Controls above a picture that follows them, with a button that resets them.

    `draw(axes, **values)` draws into empty axes (an array of them if `columns` is above 1) and
    returns a sentence that says what is to be seen: caption, and alternative text for those who
    can't see it. `controls` names the widgets that give the values. Viewers without a kernel show
    the picture as it was; as text it is `name` and the values.
    """

    def __init__(
        self,
        name: str,
        controls: dict[str, widgets.Widget],
        draw: Callable[..., str],
        columns: int = 1,
        size: tuple[float, float] = (9, 3.6),  # inches, of 100 pixels
    ):
        self.name, self.controls, self.draw = name, controls, draw
        self.figure = Figure(figsize=size, dpi=100, layout="constrained")
        self.canvas = FigureCanvasAgg(self.figure)
        self.axes = self.figure.subplots(1, columns)
        self.image = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.caption = widgets.HTML()
        self.alt = ""
        self._first_values = self.values
        button = widgets.Button(description="Reset", tooltip="Put all controls back")
        button.on_click(self.reset)
        panel = widgets.Box([*controls.values(), button], layout=widgets.Layout(flex_flow="wrap"))
        super().__init__([panel, self.image, self.caption])
        self._redraw()
        # Laying out takes longer than drawing, and a picture that jumps is hard to compare.
        self.figure.set_layout_engine("none")
        for control in controls.values():
            control.observe(self._follow, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """What the controls stand at."""
        return {name: control.value for name, control in self.controls.items()}

    def reset(self, button: widgets.Button | None = None) -> None:
        """Put all controls back to where they were at first."""
        for name, value in self._first_values.items():
            self.controls[name].value = value

    def _follow(self, change: dict) -> None:
        self.caption.value = "<p>Drawing …</p>"
        try:
            self._redraw()
        except Exception as error:
            # Jupyter hides errors of a widget in its log, so they are told here as well.
            self._say(f"This could not be drawn: {error}")
            raise

    def _redraw(self) -> None:
        for ax in np.ravel(self.axes):
            ax.clear()
        self._say(self.draw(self.axes, **self.values))
        png = io.BytesIO()
        self.canvas.print_png(png)
        self.image.value = png.getvalue()

    def _say(self, sentence: str) -> None:
        self.alt = sentence
        self.caption.value = f'<p role="status">{html.escape(sentence, quote=False)}</p>'

    def __repr__(self) -> str:
        values = (f"{name}={_text(value)}" for name, value in self.values.items())
        return f"{self.name}: {' '.join(values)}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        png = base64.b64encode(self.image.value).decode()
        data = super()._repr_mimebundle_(**kwargs) | {"text/plain": repr(self), "image/png": png}
        return data, {"image/png": {"alt": self.alt}}


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _slider(kind: type, label: str, value: float, low: float, high: float, step: float, **more):
    style, layout = {"description_width": "initial"}, widgets.Layout(width="340px")
    limits = {"min": low, "max": high, "step": step, "style": style, "layout": layout}
    return kind(value=value, description=label, **limits, **more)


# --- A ball in a bowl ---------------------------------------------------------------------------


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
    slider = widgets.FloatSlider
    controls = {
        "learning_rate": _slider(slider, "learning rate", learning_rate, 0.05, 4.5, 0.05),
        "momentum": _slider(slider, "momentum", momentum, 0.0, 0.95, 0.05),
        "start": _slider(slider, "start", start, -4.5, 4.5, 0.5),
        "curvature": _slider(slider, "curvature λ", curvature, 0.5, 4.0, 0.5),
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


# --- Picking a learning rate --------------------------------------------------------------------


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
        _draw_finder(axes[0], found, learning_rate)
        return _draw_training(axes[1], picked, learning_rate)

    slider = _slider(
        widgets.FloatLogSlider, "learning rate", learning_rate, -5, 1, 0.25, readout_format=".1e"
    )
    slider.continuous_update = False  # train when the slider is let go, not all along its way
    return LiveFigure("pick_lr", {"learning_rate": slider}, draw, columns=2)


def _draw_finder(ax: Axes, found: Any, lr: float) -> None:
    plot.lr_finder(found, ax)
    ax.axvline(lr, color=COLOURS["red"], linestyle="--", linewidth=2, label="picked", zorder=1)
    ax.set_xlim(0.7e-5, 14)
    ax.legend(loc="lower left", fontsize="small", framealpha=1)  # where falling curves leave room
    ax.set_title(f"LR finder; you picked {lr:.1e}", fontsize="medium")


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
