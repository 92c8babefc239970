"""The LR finder's curve, and the training that the learning rate you pick on it really gives."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from lessonkit import plot
from lessonkit.course.explorers.explorer import Explorer, controls
from lessonkit.lr_finder import smooth
from lessonkit.plot import COLOURS

__all__ = ["pick_lr"]


def pick_lr(
    found: Any,
    train: Callable[[float], np.ndarray],
    learning_rate: float = 0.01,
    ready: Sequence[float] = (),
) -> Explorer:
    """The LR finder's curve, and beside it the training that the LR you pick really gives.

    `found` is what `lr_find` returns. `train(lr)` trains afresh and returns the loss of every
    step [n]; it is called once for each LR that is picked. Those in `ready` are trained at once:
    a page that can't train has them to choose among.
    """
    picked: dict[float, np.ndarray] = {}

    def run(lr: float) -> np.ndarray:
        if lr not in picked:
            picked[lr] = np.asarray(train(lr), dtype=float)
        return picked[lr]

    def answer(learning_rate: float) -> dict:
        run(learning_rate)
        return {"runs": [{"lr": lr, "losses": _numbers(losses)} for lr, losses in picked.items()]}

    def tell(learning_rate: float) -> str:
        return _told(learning_rate, run(learning_rate))

    def draw(axes: np.ndarray, learning_rate: float) -> None:
        run(learning_rate)
        plot.lr_finder(found, axes[0]).set_xlim(0.7e-5, 14)
        axes[0].legend(loc="lower left", fontsize="small", framealpha=1)
        axes[0].axvline(learning_rate, color=COLOURS["red"], linestyle="--", linewidth=2, zorder=1)
        axes[0].set_title(f"LR finder; dashed: you picked {learning_rate:.1e}", fontsize="medium")
        _draw_training(axes[1], picked, learning_rate)

    for lr in ready:
        run(float(lr))
    made = controls("pick_lr", learning_rate=learning_rate)
    return Explorer("pick_lr", made, tell, draw, {"found": _curve(found)}, answer, columns=2)


def _numbers(losses: np.ndarray) -> list[float | None]:
    """Losses for JSON: five digits are enough to draw, and what is no number becomes null."""
    return [float(f"{loss:.5g}") if np.isfinite(loss) else None for loss in losses]


def _curve(found: Any) -> dict[str, Any]:
    rules = {}
    for rule in plot.RULES:
        lr = float(getattr(found, rule))
        if not np.isfinite(lr):  # a sweep too short for this rule, and NaN is no JSON
            continue
        rules[rule] = [lr, float(np.interp(np.log(lr), np.log(found.lrs), found.smoothed))]
    lines = {"losses": found.losses, "smoothed": found.smoothed, "lrs": found.lrs}
    return {name: _numbers(np.asarray(line)) for name, line in lines.items()} | {"rules": rules}


def _whole(losses: np.ndarray) -> np.ndarray:
    """The losses up to the first that is no number."""
    return losses[: len(losses) if np.isfinite(losses).all() else np.isfinite(losses).argmin()]


def _told(lr: float, losses: np.ndarray) -> str:
    whole = _whole(losses)
    if len(whole) < len(losses):
        return f"At LR {lr:.1e} the loss is no longer a number after {len(whole)} steps."
    end = smooth(losses)[-1]
    return f"At LR {lr:.1e} the loss goes from {losses[0]:.2f} to {end:.2g} in {len(losses)} steps."


def _draw_training(ax: Axes, picked: dict[float, np.ndarray], lr: float) -> None:
    """Draw the losses at `lr` and the best of the others so far."""
    losses, whole = picked[lr], _whole(picked[lr])
    ax.plot(whole, color="0.75", linewidth=1, label="loss of each batch")
    ax.plot(smooth(whole), color=COLOURS["red"], linewidth=2.5, label=f"smoothed, LR {lr:.1e}")
    others = {other: smooth(curve) for other, curve in picked.items() if other != lr}
    others = {other: curve for other, curve in others.items() if np.isfinite(curve[-1])}
    if others:
        best = min(others, key=lambda other: others[other][-1])
        style = {"color": COLOURS["blue"], "linestyle": "-.", "linewidth": 1.5}
        ax.plot(others[best], label=f"best of the others, LR {best:.1e}", **style)
    ax.set(xlim=(0, len(losses)), ylim=(0, 2 * losses[0]), xlabel="step", ylabel="training loss")
    ax.set_title("the training it gives", fontsize="medium")
    ax.legend(loc="upper right", fontsize="small")
