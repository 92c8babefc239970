"""Exercises of notebook 09, the lesson, measured."""

import numpy as np
from scipy import stats

from lessonkit.course.exercises.quiz import choice, function, number
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED


def _interval(with_it, without, t=stats.t.ppf, spread=None) -> list[float]:
    effects = np.subtract(with_it, without)
    n = len(effects)
    spread = np.std(effects, ddof=1) / np.sqrt(n) if spread is None else spread(effects)
    half = t(0.975, n - 1) * spread
    return [effects.mean() - half, effects.mean() + half]


def _of_the_runs(with_it, without) -> list[float]:
    return _interval(with_it, without, spread=lambda effects: np.std(effects, ddof=1))


def _by_n(with_it, without) -> list[float]:
    return _interval(with_it, without, spread=lambda e: np.std(e) / np.sqrt(len(e)))


def _normal(with_it, without) -> list[float]:
    return _interval(with_it, without, t=lambda p, n: 1.96)


def _ninety(with_it, without) -> list[float]:
    return _interval(with_it, without, t=lambda p, n: stats.t.ppf(0.95, n))


def _unpaired(with_it, without) -> list[float]:
    both, n = (np.asarray(with_it), np.asarray(without)), len(with_it)
    spread = np.sqrt(sum(np.var(side, ddof=1) for side in both) / n)
    middle, half = both[0].mean() - both[1].mean(), stats.t.ppf(0.975, 2 * n - 2) * spread
    return [middle - half, middle + half]


def _turned(with_it, without) -> list[float]:
    return _interval(without, with_it)


def _runs(seed: int, n: int) -> tuple[list[float], list[float]]:
    """Made-up accuracies of `n` seeds, with a change and without it; a seed moves both alike."""
    random = np.random.default_rng(seed)
    base = random.normal(0.8, 0.03, n)
    changed = base + 0.012 + random.normal(0, 0.01, n)
    return changed.round(4).tolist(), base.round(4).tolist()


def _verdict(low: float, high: float, delta: float) -> str:
    return FAILS if high < delta else HOLDS if low > 0 else UNDECIDED


def _zero_first(low: float, high: float, delta: float) -> str:
    return HOLDS if low > 0 else FAILS if high < delta else UNDECIDED


def _zero_only(low: float, high: float, delta: float) -> str:
    return HOLDS if low > 0 else FAILS if high < 0 else UNDECIDED


def _yes_or_no(low: float, high: float, delta: float) -> str:
    return HOLDS if low > 0 and high >= delta else FAILS


def _surely_large(low: float, high: float, delta: float) -> str:
    return FAILS if high < delta else HOLDS if low > delta else UNDECIDED


EXERCISES = {
    "09.1": function(
        _interval,
        [_runs(1, 6), _runs(2, 10), _runs(3, 4), ([0.9, 0.8, 0.7], [0.88, 0.79, 0.66])],
        "The differences of each seed, their mean, and t times their standard error to either "
        "side. What a seed does to both sides alike has dropped out before anything was squared.",
        wrong=[
            (
                _unpaired,
                "This takes the two sides as if they had nothing to do with each other, so what a "
                "seed does to both stays in. Subtract seed by seed first.",
            ),
            (
                _of_the_runs,
                "This says where single runs lie. The interval is for their mean, which is surer: "
                "divide the spread by the square root of n.",
            ),
            (
                _by_n,
                "Nearly: np.std divides by n unless told ddof=1. From few runs that is too narrow.",
            ),
            (
                _normal,
                "1.96 is right for many runs. The spread of a few is itself a guess: take "
                "stats.t.ppf(0.975, n - 1).",
            ),
            (
                _ninety,
                "That leaves 5 % out on each side: it is a 90 % interval. Half of 5 % is 2.5 %.",
            ),
            (_turned, "This is without less with: a gain would look like a loss."),
        ],
        hint="Mean of the differences, minus and plus t × s / √n.",
    ),
    "09.2": function(
        _verdict,
        [
            (0.004, 0.03, 0.01),
            (-0.004, 0.03, 0.01),
            (0.002, 0.008, 0.01),
            (-0.03, -0.012, 0.01),
            (-0.006, 0.006, 0.01),
            (0.012, 0.04, 0.01),
            (-0.02, 0.012, 0.01),
        ],
        "First: can it still matter? If even the upper end is below δ, no. Then: is it surely "
        "above zero? If neither question has a sure answer, you don't know, and say so.",
        wrong=[
            (
                _zero_first,
                "An interval from 0.002 to 0.008 is surely above zero, and surely too small to "
                "matter. Ask about δ first.",
            ),
            (
                _zero_only,
                "You ask about zero only. A claim also fails if the gain is surely smaller than δ.",
            ),
            (
                _yes_or_no,
                "An interval from below zero to above δ leaves both open: it is undecided, "
                "which is not the same as a refutation.",
            ),
            (
                _surely_large,
                "You ask for more than the claim says, a gain that is surely larger than δ. The "
                "claim is a gain that is surely above zero, and perhaps large enough to matter.",
            ),
        ],
        hint="Three answers: 'does not hold here', 'holds', 'undecided'. Ask about δ first.",
    ),
    "09.3": choice(
        "undecided",
        ["it makes no difference", "it helps by half a point", "undecided"],
        {
            "it makes no difference": "A gain of three points is inside the interval, and so is a "
            "loss of two. “We saw no effect” is not “there is none”.",
            "it helps by half a point": "Half a point is the middle of what is possible. The "
            "interval reaches from a loss of two points to a gain of three.",
        },
        "With δ = 1 both are still possible: a loss that matters and a gain that matters. More "
        "runs would tell, or a measure that varies less.",
        hint="Which effects does the interval leave possible, and is δ among them?",
    ),
    "09.4": number(
        24,
        "Half the width needs four times as many runs: the width goes with 1 / √n. (A little "
        "fewer, as t also shrinks: 17 would do here.) That is why precision is dear.",
        factor=1.45,
        wrong={
            12: "Twice as many runs make it narrower by √2 only, a factor of 1.4.",
            36: "That is 6 times as many. The width goes with 1 / √n: which n halves it?",
            7: "One more changes it by a tenth at most.",
        },
        hint="The width of an interval goes with 1 / √n.",
    ),
    "09.5": number(
        0.2,
        "The smallest of twenty p-values is multiplied by twenty: 0.2. Among twenty changes that "
        "do nothing at all, one as good as this turns up nearly one time in five.",
        wrong={
            0.01: "That is its value if you had tried this one change alone. You tried twenty.",
            0.0005: "You divided by 20: trying more things can't make a find more certain.",
            0.19: "That is for the second smallest: it is multiplied by 19.",
            0.05: "0.05 is the usual limit, and not what Holm makes of 0.01.",
        },
        hint="Holm multiplies the smallest p-value by how many there are.",
    ),
}
