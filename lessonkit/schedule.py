"""Learning-rate schedules: pure functions that return the LR of every mini-batch.

A schedule is worked out before training starts, as one array. The training loop only indexes it,
and the same array is what a plot or a widget draws: the picture and the training can't disagree.

Every function returns a float64 array [steps]. `linear`, `cosine` and `sgdr` use `i / steps`, so
the first value is `lr` and the last one just above `lr_min`: no step is wasted at an LR of zero.
LRs are from above 0 (in `as_schedule` from 0) to 3e38, counts from 1 to 1e8: else ValueError.
"""

import math
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np

__all__ = [
    "as_schedule", "constant", "step_decay", "linear", "cosine", "sgdr", "triangular", "one_cycle",
]  # fmt: skip

MOST_STEPS = 10**8  # a gigabyte of LRs


def constant(lr: float, steps: int) -> np.ndarray:
    """The same LR for all `steps` mini-batches."""
    _check(lr, steps=steps)
    return np.full(steps, float(lr))


def step_decay(lr: float, steps: int, drop: float = 0.1, every: int | None = None) -> np.ndarray:
    """Stairs: every `every` steps, else a third of all, the LR is multiplied by `drop`, 0 to 1."""
    _check(lr, steps=steps, every=1 if every is None else every)
    every = math.ceil(steps / 3) if every is None else every
    if not 0 < drop <= 1:
        raise ValueError(f"drop must be above 0 and at most 1, not {drop}: it multiplies the LR.")
    return lr * float(drop) ** (np.arange(steps) // every)


def linear(lr: float, steps: int, lr_min: float = 0.0) -> np.ndarray:
    """A straight line from `lr` down to `lr_min`."""
    _check(lr, lr_min, steps=steps)
    return lr_min + (lr - lr_min) * (1 - np.arange(steps) / steps)


def cosine(lr: float, steps: int, lr_min: float = 0.0) -> np.ndarray:
    """Cosine annealing: one half of a cosine, from `lr` to `lr_min`, flat at both ends.

    Loshchilov & Hutter 2016, arXiv 1608.03983, equation 5, for a single cycle.
    """
    _check(lr, lr_min, steps=steps)
    return lr_min + (lr - lr_min) * (1 + np.cos(np.pi * np.arange(steps) / steps)) / 2


def sgdr(
    lr: float,
    n_cycle: int,
    cycle_len: int = 1,
    cycle_mult: int = 1,
    steps_per_epoch: int = 1,
    lr_min: float = 0.0,
) -> np.ndarray:
    """SGD with warm restarts: `n_cycle` cosines one after the other, each starting at `lr` again.

    Cycle k takes `cycle_len * cycle_mult**k` epochs of `steps_per_epoch` mini-batches each, so
    n_cycle=3, cycle_len=1, cycle_mult=2 is 1 + 2 + 4 = 7 epochs (arXiv 1608.03983).
    """
    _check(lr, lr_min, n_cycle=n_cycle, cycle_len=cycle_len, cycle_mult=cycle_mult)
    _check(lr, steps_per_epoch=steps_per_epoch)
    lengths, steps = [], 0
    for k in range(n_cycle):
        lengths.append(cycle_len * cycle_mult**k * steps_per_epoch)
        steps += lengths[-1]
        if steps > MOST_STEPS:  # asked before the next power, which may have thousands of digits
            raise ValueError(f"{n_cycle} such cycles are more than {MOST_STEPS:,} steps.")
    return np.concatenate([cosine(lr, n, lr_min) for n in lengths])


def triangular(
    lr: float, steps: int, cycle: int | None = None, lr_min: float | None = None
) -> np.ndarray:
    """Cyclical LR: straight up from `lr_min` to `lr` and down again, `cycle` steps a period.

    If `cycle` is odd, `lr` itself falls between two steps. Without `cycle` there is one period;
    without `lr_min` it starts at a quarter of `lr`. Smith 2015 (arXiv 1506.01186) suggests a third
    or a quarter.
    """
    cycle = steps if cycle is None else cycle
    _check(lr, 0.0 if lr_min is None else lr_min, steps=steps, cycle=cycle)
    lr_min = lr / 4 if lr_min is None else lr_min
    phase = (np.arange(steps) % cycle) / cycle
    return lr_min + (lr - lr_min) * (1 - np.abs(2 * phase - 1))


def one_cycle(
    lr: float, steps: int, warm_up: float = 0.3, start_div: float = 25.0, final_div: float = 1e4
) -> np.ndarray:
    """One cycle: half a cosine up from `lr / start_div` to `lr`, then another almost to zero.

    The way up takes the fraction `warm_up` of all steps, between 0 and 1 (where that is no whole
    number, `lr` itself falls between two steps); the last value is `lr / start_div / final_div`,
    both divisors from 1 on. From Smith & Topin 2017 (arXiv 1708.07120); the shape and the defaults
    are those of torch's OneCycleLR.
    """
    _check(lr, steps=steps)
    if not 0 < warm_up < 1:
        raise ValueError(f"warm_up is a share of the steps, between 0 and 1, not {warm_up}.")
    if not (1 <= start_div < math.inf and 1 <= final_div < math.inf):
        raise ValueError(f"The LR can't be divided by {start_div}, {final_div}: at least by 1.")
    i, peak, last = np.arange(steps), warm_up * steps - 1, steps - 1
    start, end = lr / start_div, lr / start_div / final_div
    up = _half_cosine(start, lr, i / peak) if peak > 0 else np.full(steps, float(lr))
    down = _half_cosine(lr, end, (i - peak) / (last - peak))
    return np.where(i <= peak, up, down)


def as_schedule(lrs: Sequence[float]) -> np.ndarray:
    """Any LRs, one a mini-batch, as float64 [steps]; ValueError unless finite and from 0 on."""
    try:
        schedule = np.asarray(lrs, float)
    except (TypeError, ValueError, OverflowError):
        schedule = np.empty(0)
    if schedule.ndim != 1 or not len(schedule) or not np.all((schedule >= 0) & (schedule < 3e38)):
        raise ValueError("A schedule is a list of LRs from 0 on, one for each mini-batch.")
    return schedule


def _half_cosine(start: float, end: float, share: np.ndarray) -> np.ndarray:
    """From `start` (where `share` is 0) to `end` (where it is 1) along one half of a cosine."""
    return end + (start - end) / 2 * (1 + np.cos(np.pi * share))


def _check(lr: float, lr_min: float = 0.0, **counts: int) -> None:
    if not (isinstance(lr, Real) and isinstance(lr_min, Real)):
        raise ValueError(f"LRs are numbers, such as 0.1, not {lr!r:.40} and {lr_min!r:.40}.")
    if not 0 < lr < 3e38:  # where float32 ends
        raise ValueError(f"The LR must be a positive number, not {lr}.")
    if not 0 <= lr_min <= lr:
        raise ValueError(f"lr_min must lie between 0 and the LR {lr}, not at {lr_min}.")
    for name, count in counts.items():
        if not isinstance(count, Integral) or not 1 <= count <= MOST_STEPS:
            allowed = f"a whole number from 1 to {MOST_STEPS:,}"
            raise ValueError(f"{name} must be {allowed}, not {count}.")
