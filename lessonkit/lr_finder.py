"""The LR finder: train with an LR that grows each mini-batch, and watch the loss.

From Smith 2015 (arXiv 1506.01186), in the lesson's form: from a tiny LR upwards, a constant factor
per batch, until the loss explodes. Works on any torch model, optimiser and batches, and puts
everything back as it was.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from lessonkit.lr_rules import LRFinderResult, smooth
from lessonkit.restore import everything_restored

__all__ = ["LRFinderResult", "lr_find"]


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
) -> LRFinderResult:
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
