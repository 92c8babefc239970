"""Reading an LR finder's curve: which learning rate does it tell you to use?

There are several rules, each with curves on which it fails; notebook 02 shows one of each.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

__all__ = ["LRFinderResult", "smooth"]

SMOOTHING = 0.9  # of the running mean over the losses: about the last ten batches count
FALLS = 0.05  # a curve that falls by less than this share of its start "never falls"
RISES = 0.10  # on such a curve the LR is too high where the loss has risen by this share


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
