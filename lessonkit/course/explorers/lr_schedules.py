"""All schedules of `lessonkit.schedule` on one picture, with every parameter that they have."""

from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lessonkit import schedule
from lessonkit.course.explorers.live_figure import LiveFigure, show, slider
from lessonkit.plot import COLOURS, DASHES

__all__ = ["schedules"]

PARAMETERS = {  # kind -> the controls that it has beside the LR
    "constant": "epochs",
    "step decay": "epochs drop every",
    "linear": "epochs floor",
    "cosine": "epochs floor",
    "sgdr": "n_cycle cycle_len cycle_mult floor",
    "triangular": "epochs cycle floor",
    "one cycle": "epochs warm_up start_div final_div",
}
STAR = {"color": COLOURS["orange"], "markersize": 13, "markeredgecolor": "black"}
POINTS = 1000  # a line of more can't be told from it at this size


def schedules(kind: str = "cosine", lr: float = 0.1, steps_per_epoch: int = 50) -> LiveFigure:
    """The LR of every mini-batch under each schedule, the one of `kind` in bold.

    Only the controls of that kind are shown. The caption is the call that makes this schedule, the
    number of its epochs, and the LR at the step that you choose.
    """

    def adapt(controls: dict[str, widgets.Widget]) -> None:
        values = {name: control.value for name, control in controls.items()}
        own = PARAMETERS[values["kind"]].split()
        for name in {name for names in PARAMETERS.values() for name in names.split()}:
            show(controls[name], name in own)
        controls["step"].max = steps_per_epoch * sum(_epochs(values)) - 1

    def draw(ax: Axes, **values: Any) -> str:
        kind, step, epochs = values["kind"], values["step"], _epochs(values)
        calls = _calls(values, sum(epochs), steps_per_epoch)
        made = {
            name: getattr(schedule, _function(name))(values["lr"], **arguments)
            for name, arguments in calls.items()
            if name == kind or values["others"]
        }
        _draw(ax, made, kind, step, values["log_scale"])
        total = " + ".join(map(str, epochs)) + (f" = {sum(epochs)}" if len(epochs) > 1 else "")
        total += " epoch" if sum(epochs) == 1 else " epochs"
        ax.set_title(f"{kind}: {total}", fontsize="medium")
        arguments = "".join(f", {name}={value:g}" for name, value in calls[kind].items())
        return (
            f"schedule.{_function(kind)}({values['lr']:.3g}{arguments}): {total} of "
            f"{steps_per_epoch} mini-batches. At step {step}, in epoch "
            f"{step // steps_per_epoch + 1}, the LR is {made[kind][step]:.3g}."
        )

    controls = _controls(kind, lr)
    return LiveFigure("schedules", controls, draw, size=(9, 3.4), adapt=adapt, still=_key)


def _controls(kind: str, lr: float) -> dict[str, widgets.Widget]:
    real, whole = widgets.FloatSlider, widgets.IntSlider
    power, check = widgets.FloatLogSlider, widgets.Checkbox
    kinds = widgets.Dropdown(options=list(PARAMETERS), value=kind, description="schedule")
    return {
        "kind": kinds,
        "lr": slider(power, "learning rate, at its highest", lr, -4, 0, 0.25, readout_format=".1e"),
        "epochs": slider(whole, "epochs", 7, 1, 30, 1),
        "drop": slider(real, "drop: times", 0.1, 0.05, 1.0, 0.05),
        "every": slider(whole, "every, epochs", 3, 1, 15, 1),
        "n_cycle": slider(whole, "n_cycle", 3, 1, 5, 1),
        "cycle_len": slider(whole, "cycle_len, epochs", 1, 1, 5, 1),
        "cycle_mult": slider(whole, "cycle_mult", 2, 1, 3, 1),
        "cycle": slider(whole, "cycle: up and down, epochs", 2, 1, 15, 1),
        "floor": slider(real, "lr_min, as a share of the highest", 0.0, 0.0, 0.9, 0.05),
        "warm_up": slider(real, "warm_up, share of the steps", 0.3, 0.05, 0.95, 0.05),
        "start_div": slider(real, "start_div", 25.0, 1.0, 100.0, 1.0),
        "final_div": slider(power, "final_div", 1e4, 0, 5, 0.5, readout_format=".1e"),
        "others": check(value=True, description="show the others", indent=False),
        "log_scale": check(value=False, description="log scale", indent=False),
        "step": slider(whole, "step", 200, 0, 349, 1),
    }


def _epochs(values: dict[str, Any]) -> list[int]:
    """How many epochs: those of each cycle of SGDR, or one number for all other kinds."""
    if values["kind"] != "sgdr":
        return [values["epochs"]]
    return [values["cycle_len"] * values["cycle_mult"] ** k for k in range(values["n_cycle"])]


def _function(kind: str) -> str:
    return kind.replace(" ", "_")


def _calls(values: dict[str, Any], epochs: int, batches: int) -> dict[str, dict[str, float]]:
    """The arguments, beside the LR, that each kind's function gets for so many epochs.

    SGDR alone counts its epochs itself.
    """
    steps, low = {"steps": epochs * batches}, {"lr_min": values["floor"] * values["lr"]}
    cycles = {name: values[name] for name in ("n_cycle", "cycle_len", "cycle_mult")}
    shape = {name: values[name] for name in ("warm_up", "start_div", "final_div")}
    return {
        "constant": steps,
        "step decay": {**steps, "drop": values["drop"], "every": values["every"] * batches},
        "linear": {**steps, **low},
        "cosine": {**steps, **low},
        "sgdr": {**cycles, "steps_per_epoch": batches, **low},
        "triangular": {**steps, "cycle": values["cycle"] * batches, **low},
        "one cycle": {**steps, **shape},
    }


def _key(ax: Axes) -> None:
    """The legend, the same in every picture: drawing it takes as long as all else together."""
    lines = [
        Line2D([], [], color=colour, linestyle=dash, label=name)
        for name, colour, dash in zip(PARAMETERS, COLOURS.values(), DASHES, strict=True)
    ]
    star = Line2D([], [], linestyle="", marker="*", label="the step", **STAR)
    outside = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    ax.legend(handles=[*lines, star], title="chosen: wide line", fontsize="small", **outside)


def _draw(ax: Axes, made: dict[str, np.ndarray], kind: str, step: int, log_scale: bool) -> None:
    end = len(made[kind])
    for name, colour, dash in zip(PARAMETERS, COLOURS.values(), DASHES, strict=True):
        if name not in made:
            continue
        lrs = made[name][:end]
        seen = np.unique(np.linspace(0, len(lrs) - 1, POINTS).astype(int))
        style = {"linewidth": 1, "linestyle": dash}
        if name == kind:
            style = {"linewidth": 3.5, "zorder": 3}
        ax.plot(seen, lrs[seen], color=colour, label=name, **style)
    lr, top = made[kind][step], max(lrs.max() for lrs in made.values())
    low = min(lrs.min() for lrs in made.values())
    ax.axvline(step, color="0.5", linewidth=1, zorder=0)
    ax.plot(step, lr, "*", zorder=4, **STAR)
    limits = (max(low, top * 1e-6) / 2, 2 * top) if log_scale else (-0.04 * top, 1.08 * top)
    ax.set(yscale="log" if log_scale else "linear", ylim=limits, xlim=(-0.01 * end, 1.01 * end))
    ax.minorticks_off()  # a log scale's take as long to draw as all else
    ax.set(xlabel="mini-batch", ylabel="learning rate")
