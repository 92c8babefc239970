"""The LR finder: train with an LR that grows each mini-batch, and watch the loss.

From Smith 2015 (arXiv 1506.01186), in the lesson's form: from a tiny LR upwards, a constant factor
per batch, until the loss explodes. Works on any torch model, optimiser and batches, and puts
everything back as it was.
"""

import copy
import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["LRFinderResult", "everything_restored", "lr_find", "smooth"]

SMOOTHING = 0.9  # of the running mean over the losses: about the last ten batches count
FALLS = 0.05  # a curve that falls by less than this share of its start "never falls"
RISES = 0.10  # on such a curve the LR is too high where the loss has risen by this share


def lr_find(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    lr_min: float = 1e-5,
    lr_max: float = 10.0,
    steps: int = 100,
    stop: float = 4.0,
    train_step: Callable[[Tensor, Tensor], float] | None = None,
) -> "LRFinderResult":
    """Raise the LR from `lr_min` to `lr_max` over `steps` batches; stop where the loss explodes.

    `batches` yields (inputs, targets) and is started again when it ends. Parameter groups keep the
    ratios of their LRs, the last one is what `lr_min` and `lr_max` speak of. The sweep ends when
    the smoothed loss is `stop` times its best, or not finite. `train_step(inputs, targets)` takes
    the place of forward, backward and optimiser step, and returns the loss.

    Restored at the end, also after an error or KeyboardInterrupt: weights, buffers, optimiser, LRs,
    every module's mode, gradients and random state. Raises ValueError for a bad range of LRs or
    batches that run out.
    """
    if not (0 < lr_min < lr_max < math.inf and steps >= 1):
        raise ValueError(f"The LR must rise: from above 0, not from {lr_min} to {lr_max}.")
    step = train_step or _plain_step(model, optimizer, loss)
    last = optimizer.param_groups[-1]["lr"] or 1.0
    ratios = [(group["lr"] / last if last else 1.0) or 1.0 for group in optimizer.param_groups]
    lrs = np.geomspace(lr_min, lr_max, steps)
    losses: list[float] = []
    with everything_restored(model, optimizer):
        for lr, (inputs, targets) in zip(lrs, endless(batches), strict=False):
            for group, ratio in zip(optimizer.param_groups, ratios, strict=True):
                group["lr"] = lr * ratio
            losses.append(float(step(inputs, targets)))
            if not math.isfinite(losses[-1]) or _exploded(losses, stop):
                break
    kept = np.array(losses)
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        raise ValueError("The loss is not a number at the very first batch: check inputs and loss.")
    return LRFinderResult(lrs[: len(kept)], kept)


def _plain_step(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable) -> Callable:
    model_device = next(model.parameters()).device

    def step(inputs: Tensor, targets: Tensor) -> float:
        value = loss(model(inputs.to(model_device)), targets.to(model_device))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.item()

    return step


def _exploded(losses: list[float], stop: float) -> bool:
    smoothed = smooth(np.array(losses))
    return smoothed[-1] > stop * smoothed.min()


def endless(batches: Iterable) -> Iterator:
    """`batches` over and over; ValueError when a one-shot iterator has run out."""
    while True:
        n = 0
        for n, batch in enumerate(batches, 1):  # noqa: B007
            yield batch
        if n == 0:
            raise ValueError(
                "The batches ran out before the LR finder was done: give it a list or a DataLoader,"
                " which can be gone through again, not an iterator or generator."
            )


# --- Reading the curve: which learning rate does it tell you to use? -----------------------------


@dataclass(frozen=True)
class LRFinderResult:
    """The curve of an LR range test, and the LR that each rule reads off it.

    `lrs` (of the last parameter group), `losses`: one value a batch, float64 arrays [n].
    """

    lrs: np.ndarray
    losses: np.ndarray

    @cached_property
    def smoothed(self) -> np.ndarray:
        """Running mean of the losses [n], corrected for its start; it lags a few batches behind."""
        return smooth(self.losses)

    @property
    def never_falls(self) -> bool:
        """True where the loss doesn't fall by 5 %: usual after fine-tuning (step 7)."""
        start = self._start()
        return bool(self.smoothed[self._lowest_index()] > start - FALLS * abs(start))

    @property
    def lowest(self) -> float:
        """The LR at the lowest smoothed loss. Too high to train with: it is about to explode."""
        return float(self.lrs[self._lowest_index()])

    @property
    def suggestion(self) -> float:
        """The lesson's first rule: one order of magnitude left of the lowest point.

        On a curve that never falls, one order left of where the loss has risen by 10 %.
        """
        if not self.never_falls:
            return self.lowest / 10
        start = self._start()
        risen = np.flatnonzero(self.smoothed > start + RISES * abs(start))
        return float(self.lrs[risen[0] if len(risen) else -1]) / 10

    @property
    def improving(self) -> float:
        """The lesson's second rule: the highest LR where the loss is still clearly improving.

        "Clearly": falling at a third or more of its steepest rate, before the lowest point.
        On a curve that never falls there is none, and this is `suggestion`.
        """
        if self.never_falls:
            return self.suggestion
        slopes = self._slopes()[: self._lowest_index() + 1]
        return float(self.lrs[np.flatnonzero(slopes <= slopes.min() / 3)[-1]])

    @property
    def steepest(self) -> float:
        """The LR where the smoothed loss falls fastest per decade; an early spike can fool it."""
        return float(self.lrs[self._slopes().argmin()])

    @property
    def valley(self) -> float:
        """Halfway along the longest stretch on which the loss goes down: fastai 2's default."""
        losses = self.smoothed
        length, start = np.ones(len(losses), int), np.arange(len(losses))
        for i in range(1, len(losses)):
            before = np.flatnonzero(losses[:i] > losses[i])
            if len(before):
                best = before[length[before].argmax()]
                length[i], start[i] = length[best] + 1, start[best]
        end = int(length.argmax())
        return float(self.lrs[start[end] + (end - start[end]) // 2])

    def plot(self, ax: Any = None) -> Any:
        """Draw the curve and the rules' LRs; returns the matplotlib axes."""
        from lessonkit import plot

        return plot.lr_finder(self, ax)

    def __repr__(self) -> str:
        note = " (the loss never falls by 5 %: from where it rises)" if self.never_falls else ""
        return f"suggestion {self.suggestion:.1e}{note} after {len(self.losses)} batches"

    def _start(self) -> float:
        """Where the curve begins: the mean of the first tenth, as single batches are noisy."""
        return float(self.losses[: max(1, len(self.losses) // 10)].mean())

    def _lowest_index(self) -> int:
        # The first few running means are single batches: a lucky one isn't the lowest point.
        settled = min(len(self.losses) // 10, len(self.losses) - 1)
        return settled + int(self.smoothed[settled:].argmin())

    def _slopes(self) -> np.ndarray:
        """Change of the smoothed loss per decade of LR [n]."""
        if len(self.lrs) < 2:
            return np.zeros(len(self.lrs))
        return np.gradient(self.smoothed, np.log10(self.lrs))


def smooth(losses: np.ndarray, weight: float = SMOOTHING) -> np.ndarray:
    """Exponential running mean [n] over the weights so far: unbiased from the first value."""
    means, mean = [], 0.0
    for i, loss in enumerate(losses, 1):
        mean = weight * mean + (1 - weight) * loss
        means.append(mean / (1 - weight**i))
    return np.array(means)


# --- Putting everything back ---------------------------------------------------------------------


@contextmanager
def everything_restored(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """On leaving, `model`, `optimizer` and all random generators are bit for bit as on entering.

    That is: parameters, buffers, gradients, every module's mode, the optimiser's settings and
    state, and the random state of Python, numpy and torch; also after an error.
    """
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    modes = {module: module.training for module in model.modules()}
    gradients = {p: None if p.grad is None else p.grad.clone() for p in model.parameters()}
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    groups = copy.deepcopy(groups)
    # The keys must stay the very parameters: a copy of them would belong to nobody.
    state = {p: copy.deepcopy(values) for p, values in optimizer.state.items()}
    randomness = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        for module, training in modes.items():
            module.training = training
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        for group, settings in zip(optimizer.param_groups, groups, strict=True):
            group.update(settings)
        optimizer.state.clear()
        optimizer.state.update(state)
        torch.set_rng_state(randomness[0])
        np.random.set_state(randomness[1])
        random.setstate(randomness[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
