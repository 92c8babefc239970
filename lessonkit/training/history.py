"""What happened in training, and the two ways in which it may end early."""

import math
from dataclasses import dataclass, field

__all__ = ["Diverged", "History", "Interrupted", "check_loss"]

EXPLODED = 20.0  # times the loss of guessing


@dataclass
class History:
    """What happened in all `fit`s of a learner, one after the other."""

    lr: list[float] = field(default_factory=list)  # of the last group, every mini-batch
    loss: list[float] = field(default_factory=list)  # of every mini-batch
    epochs: list[dict] = field(default_factory=list)


class Diverged(RuntimeError):
    """The loss exploded or is not a number; the weights are back as they were before this fit."""

    def _render_traceback_(self) -> list[str]:
        return [f"Diverged: {self}"]  # IPython shows this sentence in place of a traceback


class Interrupted(KeyboardInterrupt):
    """Training was stopped by hand; the history so far is kept and the model can be used."""

    def __init__(self):
        super().__init__(
            "Training was stopped. The history so far is kept, and the network can be used, or "
            "trained further, as it is."
        )

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check_loss(loss: float, lr: float, batch: int, epoch: int, n_classes: int) -> None:
    """Raise Diverged when the loss is not a number or 20 times worse than guessing's, ln(n)."""
    guessing = math.log(n_classes)
    if loss <= EXPLODED * guessing:  # never true of a NaN
        return
    raise Diverged(
        f"The loss exploded at batch {batch} of epoch {epoch}, at LR {lr:.1e}: it is {loss:.3g}, "
        f"where guessing would give {guessing:.2g}. The weights are back as they were before this "
        f"fit. Try an LR ten times lower ({lr / 10:.1e}), or ask lr_find()."
    )
