"""Exercises of notebook 09, the lesson, measured."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from scipy import stats

from lessonkit import augment, data, models, schedule
from lessonkit.course.exercises.judges import Exercise, Verdict, failure, no_function, plain_words
from lessonkit.course.exercises.quiz import function, number
from lessonkit.course.exercises.training import Refused, train_unvalidated
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED
from lessonkit.learner import Learner
from lessonkit.machine import progress

CHANGES = ("none", "mirrored", "varied", "smoothed labels", "constant LR")
DELTA = 0.02  # two points: what is worth having in exercise 09.5


def _interval(with_it, without, t=stats.t.ppf, spread=None) -> list[float]:
    effects = np.subtract(with_it, without)
    n = len(effects)
    spread = np.std(effects, ddof=1) / np.sqrt(n) if spread is None else spread(effects)
    half = t(0.975, n - 1) * spread
    return [effects.mean() - half, effects.mean() + half]


def _runs(seed: int, n: int) -> tuple[list[float], list[float]]:
    """Made-up accuracies of `n` seeds, with a change and without it; a seed moves both alike."""
    random = np.random.default_rng(seed)
    base = random.normal(0.8, 0.03, n)
    changed = base + 0.012 + random.normal(0, 0.01, n)
    return changed.round(4).tolist(), base.round(4).tolist()


def _verdict(low: float, high: float, delta: float) -> str:
    return FAILS if high < delta else HOLDS if low > 0 else UNDECIDED


# --- 09.5: a comparison of the reader's own -------------------------------------------------------


@cache
def trained(change: str, seed: int) -> float:
    """The accuracy of a small network after four epochs on 300 small digits drawn by `seed`.

    `change` is one of CHANGES: "none", or what is done in another way than there: digits that are
    mirrored at random, or varied as `augment.symbols` does, smoothed labels, no annealing. It takes
    less than a second, and none the second time. ValueError for any other change.
    """
    if change not in CHANGES:
        raise ValueError(f"The changes to choose from are {', '.join(CHANGES)}; not {change!r}.")
    changes = {"mirrored": augment.Augment("mirrored", mirror=True), "varied": augment.symbols()}
    drawn = np.random.default_rng(seed).permutation(4000)[:300].tolist()
    digits = data.digits(16).with_augment(changes.get(change, augment.none()))
    digits = digits.with_training(drawn)
    learn = Learner(models.small_cnn(10, width=8, seed=seed), digits, seed, batch_size=32)
    learn.label_smoothing = 0.1 if change == "smoothed labels" else 0.0
    shape = schedule.constant if change == "constant LR" else schedule.cosine
    with progress.quiet():
        train_unvalidated(learn, shape(0.1, 4 * learn.n_batches))
        _, accuracy = learn.validate()
    return accuracy


def _trial(answer: Callable) -> Verdict:
    """Whether a function of the reader's compares one change with none as this page does."""
    if refused := no_function(answer):
        return Verdict("wrong", refused)
    reached: dict[str, dict[int, float]] = {}

    def train(change: str, seed: int) -> float:
        if len({*reached, change} - {"none"}) > 1:  # said before it costs any time
            raise Refused("One change at a time, or you won't know which of them it was.")
        accuracy = trained(change, int(seed))
        reached.setdefault(change, {})[int(seed)] = accuracy
        return accuracy

    try:
        found = answer(train)
    except Refused as error:
        return Verdict("wrong", str(error))
    except Exception as error:  # whatever the reader's code does wrong is what is reported
        return Verdict("wrong", failure(error))
    if not reached and (found is None or found is ...):
        return Verdict("waiting", "waits for your answer: nothing has been trained yet.")
    if not reached:
        return Verdict("wrong", "Train with the `train` that your function is given: it counts.")
    if wrong := _about_the_runs(reached):
        return Verdict("wrong", wrong)
    try:
        low, high, verdict = found
        given = np.array([low, high], float)
    except (TypeError, ValueError):
        return Verdict("wrong", "Return three things: low, high, and the verdict.")
    [changed] = set(reached) - {"none"}
    seeds = sorted(reached["none"])
    wanted = _interval(*([reached[side][seed] for seed in seeds] for side in (changed, "none")))
    if not np.allclose(given, wanted, atol=1e-3):
        if np.allclose(given[::-1], wanted, atol=1e-3):
            return Verdict("wrong", "Return low first, then high.")
        turned = np.allclose(-given[::-1], wanted, atol=1e-3)
        about = "This is without less with." if turned else "That isn't the interval of 09.1."
        return Verdict("wrong", f"{about} Subtract seed by seed, the change less none.")
    if plain_words(verdict) != _verdict(*wanted, DELTA):
        return Verdict("wrong", "That isn't the verdict of 09.2 on your interval, with δ = 0.02.")
    return Verdict(
        "right",
        "One change, the same seeds for both sides, enough of them, an interval, and a verdict "
        "with a δ that was fixed before: that is a measurement, whatever it says.",
    )


def _about_the_runs(reached: dict[str, dict[int, float]]) -> str:
    """What is wrong with the runs of one change and none, accuracy by seed; or nothing."""
    if "none" not in reached or len(reached) == 1:
        return "An effect is a difference: train one change, and “none”."
    if len({frozenset(runs) for runs in reached.values()}) > 1:
        return "The two sides need the same seeds, or their differences keep what a seed does."
    if len(reached["none"]) < 5:
        return "From fewer than five seeds the spread itself is a guess. Take five or more."
    return ""


EXERCISES = {
    "09.1": function(
        _interval,
        [_runs(1, 6), _runs(2, 10), _runs(3, 4), ([0.9, 0.8, 0.7], [0.88, 0.79, 0.66])],
        "The differences of each seed, their mean, and t times their standard error to either "
        "side. What a seed does to both sides alike has dropped out before anything was squared.",
        wrong={
            (lambda *sides: [*stats.ttest_ind(*sides).confidence_interval()]): (
                "This takes the two sides as if they had nothing to do with each other, so what a "
                "seed does to both stays in. Subtract seed by seed first."
            ),
            (lambda *sides: _interval(*sides, spread=partial(np.std, ddof=1))): (
                "This says where single runs lie. The interval is for their mean, which is surer: "
                "divide the spread by the square root of n."
            ),
            (lambda *sides: _interval(*sides, spread=lambda e: np.std(e) / np.sqrt(len(e)))): (
                "Nearly: np.std divides by n unless told ddof=1. From few runs that is too narrow."
            ),
            (lambda *sides: _interval(*sides, t=lambda p, n: 1.96)): (
                "1.96 is right for many runs. The spread of a few is itself a guess: take "
                "stats.t.ppf(0.975, n - 1)."
            ),
            (lambda *sides: _interval(*sides, t=lambda p, n: stats.t.ppf(0.95, n))): (
                "That leaves 5 % out on each side: it is a 90 % interval. Half of 5 % is 2.5 %."
            ),
            (lambda with_it, without: _interval(without, with_it)): (
                "This is without less with: a gain would look like a loss."
            ),
        },
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
        wrong={
            (lambda low, high, delta: HOLDS if low > 0 else FAILS if high < delta else UNDECIDED): (
                "An interval from 0.002 to 0.008 is surely above zero, and surely too small to "
                "matter. Ask about δ first."
            ),
            (lambda low, high, delta: HOLDS if low > 0 else FAILS if high < 0 else UNDECIDED): (
                "You ask about zero only. A claim also fails if the gain is surely smaller than δ."
            ),
            (lambda low, high, delta: HOLDS if low > 0 and high >= delta else FAILS): (
                "An interval from below zero to above δ leaves both open: it is undecided, which "
                "is not the same as a refutation."
            ),
            (lambda low, high, d: FAILS if high < d else HOLDS if low > d else UNDECIDED): (
                "You ask for more than the claim says, a gain that is surely larger than δ. The "
                "claim is a gain that is surely above zero, and perhaps large enough to matter."
            ),
        },
        hint="Three answers: 'does not hold here', 'holds', 'undecided'. Ask about δ first.",
    ),
    "09.3": number(
        24,
        "Half the width needs four times as many runs: the width goes with 1 / √n. (Fewer "
        "in fact, as t shrinks, too: 16 or 17 would do.) That is why precision is dear.",
        between=(16, 25),
        wrong={
            12: "Twice as many runs make it narrower by √2, a factor of 1.4, and a little more as "
            "t shrinks: not by half.",
            36: "That is 6 times as many. The width goes with 1 / √n: which n halves it?",
            7: "One more makes it narrower by an eighth at most.",
        },
        hint="The width of an interval goes with 1 / √n.",
    ),
    "09.4": number(
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
    "09.5": Exercise(
        _trial,
        "Train the change and “none” with each of at least five seeds.",
        lambda given: (
            "Two lists, such as [train('varied', s) for s in range(6)] and the same with "
            "'none'; then your functions of 09.1 and 09.2, with δ = 0.02."
        ),
    ),
}
