"""Does a claim hold? An interval for its effect over repeated runs, and a verdict from that.

An effect is a difference of two arms that share everything but what the claim speaks of: the seed,
and so the data, their order and the first weights. What a seed does to both arms alike drops out.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

__all__ = [
    "FAILS", "HOLDS", "KINDS", "UNDECIDED", "Interval", "around", "holm", "over_places",
    "over_seeds", "over_splits", "p_value", "partial_rank_correlation", "prediction", "t_factor",
    "verdict",
]  # fmt: skip

CONFIDENCE = 0.95
HOLDS, FAILS, UNDECIDED = "holds", "does not hold here", "undecided"
# What a claim may say of its effect, and the value that its p-value tests against, in units of δ.
KINDS = {"gain": 0.0, "no_worse": -1.0, "equal": None}


class Interval(NamedTuple):
    """A mean effect and its 95 % interval. `spread` is the standard error behind it."""

    mean: float
    low: float
    high: float
    spread: float
    freedom: float  # degrees of freedom of the t distribution


def around(mean: float, spread: float, freedom: float) -> Interval:
    """The interval of a mean whose standard error is `spread`, by Student's t."""
    half = t_factor(freedom) * spread
    return Interval(mean, mean - half, mean + half, spread, freedom)


def over_seeds(effects: Sequence[float]) -> Interval:
    """The mean of `effects`, one a seed, and its interval by Student's t; infinite below 2 seeds.

    Seeds are drawn independently, so their mean has the standard error s / √n. It doesn't allow for
    other pictures than those that all the seeds draw from.
    """
    return _interval(effects, share=1 / max(1, len(effects)))


def over_splits(effects: Sequence[float], test_share: float) -> Interval:
    """The same over repeated random splits of one small data set, `test_share` of it for testing.

    The splits share pictures, so they are *not* independent, and s / √n is far too small. Nadeau &
    Bengio 2003 (Machine Learning 52) replace 1/n by 1/n + n_test / n_train: however many splits,
    the interval can't shrink below what so few pictures can tell.
    """
    return _interval(effects, share=1 / len(effects) + test_share / (1 - test_share))


def over_places(effects: np.ndarray, sizes: Sequence[int], draws: int = 1000) -> Interval:
    """The same for `effects` [runs, places], of which each place has `sizes` [places] pictures.

    Neighbouring pictures are alike, so a place counts as one observation, and whole places are
    drawn again, repeated ones too: a bootstrap of blocks that don't overlap (Carlstein 1986, Annals
    of Statistics 14). Their standard error and that of the seeds add up as squares: more seeds
    can't make the interval narrower than places allow.
    """
    sizes, (runs, n) = np.asarray(sizes, float), np.shape(effects)
    mean, *_, of_seeds, _ = over_seeds(effects @ sizes / sizes.sum())
    rows = np.random.default_rng(0).integers(n, size=(draws, n))
    drawn = (sizes * np.mean(effects, 0))[rows].sum(1) / sizes[rows].sum(1)
    return around(mean, math.hypot(of_seeds, float(drawn.std())), max(1, min(runs, n) - 1))


def _interval(effects: Sequence[float], share: float) -> Interval:
    n = len(effects)
    mean = float(np.mean(effects)) if n else math.nan
    if n < 2:
        return Interval(mean, -math.inf, math.inf, math.inf, 1)
    return around(mean, float(np.std(effects, ddof=1)) * math.sqrt(share), n - 1)


def prediction(effects: Sequence[float]) -> tuple[float, float]:
    """Where one more run's effect should fall, 95 times in a hundred: (low, high).

    From minus to plus infinity where fewer than two effects say how far runs differ.
    """
    _, low, high, *_ = _interval(effects, share=1 + 1 / max(1, len(effects)))
    return low, high


def partial_rank_correlation(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """Spearman's correlation of `x` and `y`, all [n], without what both owe to `given`; -1 to 1.

    Ranks, less the straight line through the ranks of `given`; then Pearson's correlation.
    """
    x, y, given = (stats.rankdata(values) for values in (x, y, given))
    left = [values - np.polyval(np.polyfit(given, values, 1), given) for values in (x, y)]
    sizes = [np.linalg.norm(rest) for rest in left]
    if min(sizes) < 1e-9 * len(x):  # nothing is left of one: it says nothing about the other
        return 0.0
    return float(left[0] @ left[1] / (sizes[0] * sizes[1]))


def verdict(kind: str, interval: Interval, delta: float) -> str:
    """What an interval says of a claim, `delta` being the smallest effect that matters.

    "gain": the effect is above zero, and large enough to matter: it fails if the whole interval is
    below δ, else it holds if the whole interval is above zero. "no_worse": the loss is less than δ.
    "equal": the effect lies within δ of zero. Where the interval leaves both open: undecided.
    """
    _, low, high, *_ = interval
    if kind == "gain":
        return FAILS if high < delta else HOLDS if low > 0 else UNDECIDED
    if kind == "no_worse":
        return FAILS if high < -delta else HOLDS if low > -delta else UNDECIDED
    if kind == "equal":
        outside = low > delta or high < -delta
        return FAILS if outside else HOLDS if -delta < low and high < delta else UNDECIDED
    raise ValueError(f"A claim is one of {', '.join(KINDS)}, not {kind}.")


def p_value(kind: str, interval: Interval, delta: float) -> float:
    """How often chance alone would show as much, if there were no gain, or a loss of δ.

    One-sided. "equal" needs two such tests, of a difference of δ to either side, and gets the
    larger p-value (Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics 15).
    """
    mean, _, _, spread, freedom = interval
    bounds = [mean + delta, delta - mean] if kind == "equal" else [mean - KINDS[kind] * delta]
    return max(_one_sided(bound, spread, freedom) for bound in bounds)


def holm(p_values: Sequence[float]) -> list[float]:
    """The same p-values, corrected for their number (Holm 1979, Scandinavian J. of Statistics 6).

    Of twenty claims without any truth one would look good by chance; read as they are, p-values
    forget that. The smallest is multiplied by their number, the next by one less, and so on.
    """
    n, adjusted, largest = len(p_values), [0.0] * len(p_values), 0.0
    for rank, row in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (n - rank) * p_values[row]))
        adjusted[row] = largest
    return adjusted


def t_factor(freedom: float) -> float:
    """How many standard errors half of an interval has, by Student's t."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


def _one_sided(above: float, spread: float, freedom: float) -> float:
    """The probability of a mean this far above its bound, if the truth is at the bound."""
    if spread == 0:
        return 0.0 if above > 0 else 1.0
    if math.isinf(spread):
        return 0.5
    return float(stats.t.sf(above / spread, freedom if math.isfinite(freedom) else 1e9))
