"""The LR finder: train with an LR that grows each mini-batch, and watch the loss.

From Smith 2015 (arXiv 1506.01186), in the lesson's form: from a tiny LR upwards, a constant factor
per batch, until the loss explodes. Works on any torch model, optimiser and batches, and puts
everything back as it was.
"""

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["LRFinderResult", "check_steps", "lr_find", "smooth"]

SMOOTHING = 0.9  # of the running mean over the losses: about the last ten batches count
FALLS = 0.05  # a curve that falls by less than this fraction of its start "never falls"
SETTLED = 10  # batches: before that the running mean is of a few losses, and mostly luck
RISES = 0.10  # a loss has risen when it has by this fraction of its fall before, or of its start


def lr_find(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable,
    loss: Callable[[Any, Any], Tensor],
    lr_min: float = 1e-5,
    lr_max: float = 10.0,
    steps: int = 100,
    stop: float | None = 4.0,
    train_step: Callable[..., float] | None = None,
) -> "LRFinderResult":
    """Raise the LR from `lr_min` to `lr_max` over `steps` batches; stop where the loss explodes.

    `batches` yields (inputs, targets) and is started again when it ends; several inputs, as a tuple
    or a dict, become the model's arguments, unless they have a `.to`. For any other step there is
    `train_step(*batch)`, or `train_step(batch)` for a batch that is no tuple or list: it trains on
    the batch, in the modes that the modules are in, and returns the loss.

    Parameter groups keep the ratios of their LRs; under a scheduler those of their "initial_lr". A
    group of LR 0 stays at 0, and `lr_min` and `lr_max` are the LRs of the last group that doesn't.
    The sweep ends when the loss isn't finite, or, after the first ten batches, when the smoothed
    loss is `stop` times its best (None: never). A model in eval mode is put in train mode, unless
    there is a `train_step`. At the end all is as it was: see `everything_restored`. Raises
    ValueError for a bad range of LRs, number of steps or `stop`, an optimiser without an LR above 0
    or of none of the model's weights, batches that run out or can't be taken apart, a loss that is
    no single number, and a first one that isn't finite.
    """
    from lessonkit.training.restored import everything_restored  # training itself needs none

    stop = math.inf if stop is None else stop
    if not (isinstance(stop, Real) and stop > 1):
        raise ValueError(f"stop, a factor, is above 1, not {stop}.")
    lrs, losses, ratios = _rising(lr_min, lr_max, steps), [], _ratios(optimizer)
    step = train_step or _plain_step(model, optimizer, loss)
    with everything_restored(model, optimizer, loss, batches, train_step):
        if train_step is None and not model.training:  # single layers may be meant to stay in eval
            model.train()
        for lr, batch in zip(lrs, _endless(batches), strict=False):
            # Not strict: a group that train_step adds has an LR of its own.
            for group, ratio in zip(optimizer.param_groups, ratios, strict=False):
                group["lr"] = lr * ratio
            losses.append(_number(step(*batch) if isinstance(batch, tuple | list) else step(batch)))
            if not math.isfinite(losses[-1]) or _exploded(losses, stop):
                break
    if not math.isfinite(losses[0]):
        raise ValueError("The loss is not a number at the very first batch: check inputs and loss.")
    if not math.isfinite(losses[-1]):
        losses[-1] = math.inf  # whichever way it ended, that is how high the loss has risen
    return LRFinderResult(lrs[: len(losses)], np.array(losses))


def _rising(lr_min: float, lr_max: float, steps: int) -> np.ndarray:
    are_numbers = isinstance(lr_min, Real) and isinstance(lr_max, Real)
    if not (are_numbers and 0 < lr_min < lr_max < math.inf):
        raise ValueError(f"The LR must rise: from above 0, not from {lr_min} to {lr_max}.")
    return np.geomspace(lr_min, lr_max, check_steps(steps))


def check_steps(steps: int) -> int:
    """`steps`; ValueError unless a sweep can be as long."""
    if not (isinstance(steps, Integral) and steps >= 1):
        raise ValueError(f"steps is a whole number of batches, from 1 on, not {steps}.")
    return int(steps)


def _number(loss: Any) -> float:
    try:
        return float(loss)
    except (TypeError, ValueError):  # a tensor of several
        kind = type(loss).__name__
        raise ValueError(f"train_step returns a batch's loss, a number, not {kind}.") from None


def _ratios(optimizer: torch.optim.Optimizer) -> list[float]:
    """The LR of each parameter group, divided by the last one that isn't 0."""
    if not all("lr" in group for group in optimizer.param_groups):
        raise ValueError('Each parameter group of the optimiser has an "lr", for lr_find to raise.')
    lrs = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
    if not any(lrs):
        raise ValueError("All LRs of the optimiser are 0, and lr_find keeps their ratios: try 1.0.")
    last = [lr for lr in lrs if lr][-1]
    return [lr / last for lr in lrs]


def _plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable) -> Callable:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    takes_closure = asks = bool(inspect.signature(optimizer.step).parameters)

    def step(*batch: Any) -> float:
        nonlocal asks
        if len(batch) != 2:
            kind = type(batch[0]).__name__ if len(batch) == 1 else f"{len(batch)} parts"
            raise ValueError(
                f"lr_find takes batches of two parts, (inputs, targets); these are of {kind}. Give "
                "it train_step=..., a function that trains on one batch and returns its loss."
            )
        inputs, targets = _to(device, batch)
        losses = []  # LBFGS asks for the loss several times in one step, and others hand back none

        @torch.enable_grad()  # which the optimiser's step may have switched off
        def closure() -> Tensor:
            losses.append(math.nan)  # it counts as called even if it fails
            optimizer.zero_grad()
            value = loss(_outputs(model, inputs), targets)
            if not (isinstance(value, Tensor) and value.numel() == 1 and value.requires_grad):
                given = " ".join(repr(value).split())
                raise ValueError(f"loss is one number with a gradient, not {given:.50}.")
            value.backward()
            losses[-1] = value.item()
            return value

        asks = asks and _step_if_it_asks(optimizer, closure, losses)
        if not asks:
            closure()
            optimizer.step(closure) if takes_closure else optimizer.step()
        if all(p.grad is None for p in trained) and set(trained).isdisjoint(model.parameters()):
            raise ValueError(
                "The optimiser trains no weight of this model: make it from model.parameters(), "
                "once the model has all its layers."
            )
        return losses[0]

    return step


def _to(device: torch.device, batch: Any) -> Any:
    """`batch` on `device`: what has a method for it, or tuples, lists and dicts of them."""
    if hasattr(batch, "to"):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: _to(device, part) for name, part in batch.items()}
    if isinstance(batch, tuple | list):
        return getattr(batch, "_make", list)([_to(device, part) for part in batch])
    return batch


def _outputs(model: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    # A PackedSequence is a tuple, and one input.
    several = isinstance(inputs, tuple | list) and not hasattr(inputs, "to")
    return model(*inputs) if several else model(inputs)


def _step_if_it_asks(optimizer: torch.optim.Optimizer, closure: Callable, losses: list) -> bool:
    """Whether the optimiser called `closure` in a step: people's own may want gradients first."""
    optimizer.zero_grad()  # else one that doesn't ask would step by those of an earlier batch
    try:
        optimizer.step(closure)
    except Exception:  # it may have missed its gradients; if not, it fails again with them
        if losses:
            raise
    return bool(losses)


def _exploded(losses: list[float], stop: float) -> bool:
    if len(losses) <= SETTLED:
        return False
    smoothed, scatter = smooth(np.array(losses)), float(np.ptp(losses[:SETTLED]))
    best = scale = smoothed.min()
    if min(losses) <= 0 or min(losses[:SETTLED]) < scatter:
        # This loss may go below zero, and four times a negative one would be a better one. How far
        # losses are from zero, how far they fell and how they scatter say what a large change is.
        scale = max(abs(best), losses[0] - best, scatter)
    return smoothed[-1] > best + (stop - 1) * scale


def _endless(batches: Iterable) -> Iterator:
    """`batches` over and over; ValueError when there are none or an iterator has run out."""
    for turn in itertools.count():
        n = 0
        for n, batch in enumerate(batches, 1):  # noqa: B007
            yield batch
        if n == 0 and turn == 0:
            raise ValueError("There are no batches: the LR finder needs one at least.")
        if n == 0:
            raise ValueError("The batches ran out: give a list or a DataLoader, not an iterator.")


# --- Reading the curve: which learning rate does it tell you to use? -----------------------------


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class LRFinderResult:
    """The curve of an LR range test, and the LR that each rule reads off it.

    `lrs`, of the last parameter group that trains, and `losses`: float64 arrays [n], one value a
    batch. The last loss is inf where it was no finite number.
    """

    lrs: np.ndarray
    losses: np.ndarray

    @cached_property
    def smoothed(self) -> np.ndarray:
        """Running mean of the losses, float64 [n]; it lags a few batches behind. See `smooth`."""
        return smooth(self.losses)

    @property
    def start(self) -> float:
        """Where the curve begins: the mean loss of its first tenth, as single batches are noisy."""
        return float(self.losses[: max(1, len(self.losses) // 10)].mean())

    @property
    def never_falls(self) -> bool:
        """True where the loss never falls by 5 % of its start: usual once a head is trained."""
        lowest = self.smoothed[self._lowest_index()]
        return bool(lowest > self.start - FALLS * abs(self.start))

    @property
    def too_short(self) -> bool:
        """True where the sweep ended before the loss rose: its lowest point isn't on the curve.

        Risen means by a tenth of its fall, or, where it never falls, of the loss at the start.
        """
        return self._risen_index() is None

    @property
    def lowest(self) -> float:
        """The LR at the lowest smoothed loss. Too high to train with: it is about to explode."""
        return float(self.lrs[self._lowest_index()])

    @property
    def suggestion(self) -> float:
        """The lesson's first rule: one order of magnitude left of the lowest point.

        On a curve that never falls, one order left of where the loss has risen by 10 %. NaN where
        the sweep is `too_short`: nobody knows where the lowest point would have been.
        """
        risen = self._risen_index()
        if risen is None:
            return math.nan
        return (float(self.lrs[risen]) if self.never_falls else self.lowest) / 10

    @property
    def improving(self) -> float:
        """The lesson's second rule: the highest LR where the loss is still clearly improving.

        "Clearly": falling at a third or more of its steepest rate, before the lowest point.
        On a curve that never falls there is none, and this is `suggestion`.
        """
        slopes = self._slopes()[: self._lowest_index() + 1]
        if self.never_falls or slopes.min() >= 0:
            return self.suggestion
        return float(self.lrs[np.flatnonzero(slopes <= slopes.min() / 3)[-1]])

    @property
    def steepest(self) -> float:
        """The LR where the smoothed loss falls fastest per decade; an early spike can fool it."""
        return float(self.lrs[self._slopes().argmin()])

    @property
    def valley(self) -> float:
        """Halfway along the longest series of ever lower losses: the default rule of fastai 2.

        As there for 100 batches: of a running mean of weight 0.98, without the first ten (there a
        tenth of those asked for) and the last five. NaN where no batch is left.
        """
        losses, lrs = smooth(self.losses, 0.98)[SETTLED:-5], self.lrs[SETTLED:-5]
        length = np.ones(len(losses), int)  # of the longest such series that ends here
        for i in range(1, len(losses)):
            length[i] += max(length[:i][losses[:i] > losses[i]], default=0)
        if not len(length):
            return math.nan
        end = int(length.argmax())
        # fastai counts back as if nothing had been skipped: the series may have begun before.
        third = length[end] / 3
        start = end - length[end] if length[end] > 1 else 0
        return float(lrs[max(0, start + int(third) + int(third / 2))])

    def plot(self, ax: Any = None) -> Any:
        """Draw the curve and the rules' LRs; returns the matplotlib axes."""
        from lessonkit import plot

        return plot.lr_finder(self, ax)

    def __repr__(self) -> str:
        batches = f"after {len(self.losses)} batches"
        if self.too_short:
            return (
                f"no suggestion {batches}: the range of LRs was too short, the loss hadn't risen "
                f"at {self.lrs[-1]:.1e} yet; sweep to a higher one"
            )
        note = " (the loss never falls by 5 %: from where it rises)" if self.never_falls else ""
        return f"suggestion {self.suggestion:.1e}{note} {batches}"

    def _lowest_index(self) -> int:
        # The first few running means are single batches: a lucky one isn't the lowest point.
        settled = min(len(self.losses) // 10, len(self.losses) - 1)
        return settled + int(self.smoothed[settled:].argmin())

    def _risen_index(self) -> int | None:
        """Where the loss has risen, after its lowest point if it falls; None if nowhere."""
        start, lowest = self.start, self._lowest_index()
        if self.never_falls:  # and stays risen: before that, a single batch may do it
            below = np.flatnonzero(self.smoothed <= start + RISES * abs(start))
            risen = int(below[-1]) + 1 if len(below) else 0
        else:
            low = self.smoothed[lowest]
            above = np.flatnonzero(self.smoothed[lowest:] > low + RISES * (start - low))
            risen = lowest + int(above[0]) if len(above) else len(self.losses)
        return risen if risen < len(self.losses) else None

    def _slopes(self) -> np.ndarray:
        """Change of the smoothed loss per decade of LR, float64 [n]; zeros for a single batch."""
        if len(self.lrs) < 2:
            return np.zeros(len(self.lrs))
        return np.gradient(self.smoothed, np.log10(self.lrs))


def smooth(losses: np.ndarray, weight: float = SMOOTHING) -> np.ndarray:
    """Exponential running mean, float64 [n], over the weights so far: unbiased from the start."""
    means, mean = [], 0.0
    for i, loss in enumerate(losses, 1):
        mean = weight * mean + (1 - weight) * loss
        means.append(mean / (1 - weight**i))
    return np.array(means)
