"""All schedules of `lessonkit.schedule` on one picture, with every parameter that they have."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lessonkit import schedule
from lessonkit.course.explorers.explorer import Explorer, controls
from lessonkit.plot import COLOURS, DASHES

__all__ = ["Schedules", "schedules"]

KINDS = ["constant", "step decay", "linear", "cosine", "sgdr", "triangular", "one cycle"]


class Schedules(Explorer):
    """The explorer of schedules; `lrs` is the one on show."""

    @property
    def lrs(self) -> np.ndarray:
        """The LR of every mini-batch, float64 [steps], as the controls stand now."""
        batches = self.data["steps_per_epoch"]
        return _lrs(self.values["kind"], self.values, batches)


def schedules(kind: str = "cosine", lr: float = 0.1, steps_per_epoch: int = 50) -> Schedules:
    """The LR of every mini-batch under each schedule, the one of `kind` in bold.

    Only the controls of that kind are shown. `lrs` of what is returned is the array on show. The
    caption is the call that makes it, the number of epochs, and the LR at the step that you choose.
    """
    made = controls("schedules", kind=kind, lr=lr)
    values = {control["name"]: control["value"] for control in made}
    steps_per_epoch = int(steps_per_epoch)  # NumPy's whole numbers, too, which JSON can't write
    last = steps_per_epoch * sum(_epochs(values)) - 1
    made[-1] |= {"value": min(200, last), "max": last}  # the step

    def tell(**values: Any) -> str:
        return _told(values, steps_per_epoch)

    def draw(ax: Axes, **values: Any) -> None:
        _draw(ax, values, steps_per_epoch)

    data = {"steps_per_epoch": steps_per_epoch}
    return Schedules("schedules", made, tell, draw, data, size=(9, 3.4))


def _epochs(values: dict[str, Any]) -> list[int]:
    """How many epochs: those of each cycle of SGDR, or one number for all other kinds."""
    if values["kind"] != "sgdr":
        return [values["epochs"]]
    return [values["cycle_len"] * values["cycle_mult"] ** k for k in range(values["n_cycle"])]


def _arguments(kind: str, values: dict[str, Any], batches: int) -> dict[str, float]:
    """The arguments, besides the LR, that a kind's function gets for as many epochs as are on show.

    SGDR alone counts its epochs itself.
    """
    steps = {"steps": sum(_epochs(values)) * batches}
    low = {"lr_min": values["floor"] * values["lr"]}
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
    }[kind]


def _lrs(kind: str, values: dict[str, Any], batches: int) -> np.ndarray:
    arguments = _arguments(kind, values, batches)
    return getattr(schedule, kind.replace(" ", "_"))(values["lr"], **arguments)


def _told(values: dict[str, Any], batches: int) -> str:
    """The call that makes the chosen schedule, its epochs, and the LR at the chosen step."""
    kind, epochs = values["kind"], _epochs(values)
    arguments = _arguments(kind, values, batches).items()
    given = "".join(f", {name}={value:g}" for name, value in arguments)
    total = " + ".join(map(str, epochs)) + (f" = {sum(epochs)}" if len(epochs) > 1 else "")
    total += " epoch" if sum(epochs) == 1 else " epochs"
    lrs = _lrs(kind, values, batches)
    step = min(values["step"], len(lrs) - 1)
    return (
        f"schedule.{kind.replace(' ', '_')}({values['lr']:.3g}{given}): {total} of {batches} "
        f"mini-batches. At step {step}, in epoch {step // batches + 1}, the LR is {lrs[step]:.3g}."
    )


def _draw(ax: Axes, values: dict[str, Any], batches: int) -> None:
    chosen = _lrs(values["kind"], values, batches)
    for kind, colour, dash in zip(KINDS, COLOURS.values(), DASHES, strict=True):
        if kind == values["kind"]:
            ax.plot(chosen, color=colour, label=kind, linewidth=3.5, zorder=3)
        elif values["others"]:
            lrs = _lrs(kind, values, batches)[: len(chosen)]
            ax.plot(lrs, color=colour, label=kind, linewidth=1, linestyle=dash)
    step = min(values["step"], len(chosen) - 1)
    star = {"color": COLOURS["orange"], "markersize": 13, "markeredgecolor": "black", "zorder": 4}
    ax.axvline(step, color="0.5", linewidth=1, zorder=0)
    ax.plot(step, chosen[step], "*", label="the step", **star)
    ax.set(xlabel="mini-batch", ylabel="learning rate", title=values["kind"])
    ax.set_yscale("log" if values["log_scale"] else "linear")
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1.01, 0.5))
