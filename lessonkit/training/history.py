"""What happened in training, and the two ways in which it may end early."""

import math
from dataclasses import dataclass, field

__all__ = ["Diverged", "History", "Interrupted", "check_end", "check_loss"]

EXPLODED = 20.0  # times the loss that a fit began with, or the loss of guessing if that is more


@dataclass
class History:
    """What happened in all `fit`s of a learner, one after the other."""

    lr: list[float] = field(default_factory=list)  # of the last group, every mini-batch
    loss: list[float] = field(default_factory=list)  # of every mini-batch
    epochs: list[dict] = field(default_factory=list)  # the rows of the table
    ends: list[int] = field(default_factory=list)  # mini-batches so far, at the end of each epoch


class Diverged(RuntimeError):
    """The loss exploded or is not a number; the weights are back as they were before this fit."""

    def _render_traceback_(self) -> list[str]:
        return [f"Diverged: {self}"]  # IPython shows this sentence instead of a traceback


class Interrupted(KeyboardInterrupt):
    """Training was stopped by hand; the history so far is kept and the model can be used."""

    def __init__(self):
        super().__init__(
            "Training was stopped. The history so far is kept, and the network can be used, or "
            "trained further, as it is."
        )

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check_loss(losses: list[float], lrs: list[float], per_epoch: int, n_classes: int) -> None:
    """Raise Diverged if the last of a fit's `losses` has exploded or isn't a finite number.

    Exploded means above 20 times the first loss, which no step had changed yet, or above 20 times
    that of guessing, ln(n_classes), if that is more. `lrs` are those of the same mini-batches.
    """
    loss, batch, epoch = losses[-1], (len(losses) - 1) % per_epoch + 1, -(-len(losses) // per_epoch)
    if loss <= EXPLODED * max(losses[0], math.log(n_classes)) < math.inf:  # never true of a NaN
        return
    if len(losses) == 1:
        raise Diverged(
            f"The loss is {loss} at the first mini-batch, before any step: the LR has no part in "
            "it. Look for weights, or inputs, that are not finite numbers."
        )
    highest = max(lrs[:-1])  # when its loss is measured, the last one's step hasn't been taken
    raise Diverged(
        f"The loss exploded at batch {batch} of epoch {epoch} of this fit, after a step at LR "
        f"{lrs[-2]:.1e}: it is {loss:.3g}, and was {losses[0]:.3g} at first. The weights are back "
        f"as they were before this fit. Try an LR ten times lower ({highest / 10:.1e}), or ask "
        "lr_find()."
    )


def check_end(valid_loss: float, lrs: list[float]) -> None:
    """Raise Diverged if the last of `lrs` left a network whose loss elsewhere isn't finite."""
    if not math.isfinite(valid_loss):  # a mini-batch's loss is measured before its step
        raise Diverged(
            f"After the last step, at LR {lrs[-1]:.1e}, the loss on the validation set is "
            f"{valid_loss}. The weights are back as they were before this fit. Try an LR ten times "
            f"lower ({max(lrs) / 10:.1e}), or ask lr_find(). If no LR helps, look for weights, or "
            "BatchNorm's means and variances, that are not finite numbers."
        )
