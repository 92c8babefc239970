"""Answers to the exercises of notebook 09, right and wrong."""

import numpy as np
from scipy import stats


def by_scipy(with_it, without):
    found = stats.ttest_rel(with_it, without).confidence_interval(0.95)
    return found.low, found.high


def around(differences, half):
    return np.mean(differences) - half, np.mean(differences) + half


def with_factor(t):
    def interval(with_it, without):
        differences = np.array(with_it) - np.array(without)
        n = len(differences)
        return around(differences, t(n) * stats.sem(differences))

    return interval


def of_single_runs(with_it, without):
    differences = np.array(with_it) - np.array(without)
    return around(differences, stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1))


def divided_by_n(with_it, without):
    differences = np.array(with_it) - np.array(without)
    n = len(differences)
    return around(differences, stats.t.ppf(0.975, n - 1) * differences.std() / np.sqrt(n))


def unpaired(with_it, without):
    found = stats.ttest_ind(with_it, without).confidence_interval(0.95)
    return found.low, found.high


def right_verdict(low, high, delta):
    if high < delta:
        return "does not hold here"
    return "holds" if low > 0 else "undecided"


def shouted(low, high, delta):
    return [f" {right_verdict(low, high, delta).upper()}  "]


def zero_first(low, high, delta):
    if low > 0:
        return "holds"
    return "does not hold here" if high < delta else "undecided"


def zero_only(low, high, delta):
    if low > 0:
        return "holds"
    return "does not hold here" if high < 0 else "undecided"


def surely_large(low, high, delta):
    if high < delta:
        return "does not hold here"
    return "holds" if low > delta else "undecided"


def trial(change="varied", seeds=range(5), others=None, interval=by_scipy, delta=0.02):
    """A comparison of a change with none, done in one of many ways."""

    def compare(train):
        with_it = [train(change, seed) for seed in seeds]
        without = [train("none", seed) for seed in others or seeds]
        low, high = interval(with_it, without)
        return low, high, right_verdict(low, high, delta)

    return compare


RIGHT = {
    "09.1": by_scipy,
    "09.2": right_verdict,
    "09.3": 24,
    "09.4": 0.2,
    "09.5": trial(),
}
ALSO_RIGHT = {
    "09.2": [shouted],
    "09.3": [16, 17, 25, "20 runs", "about 24", "≈24"],
    "09.4": ["p = 0.2"],
    "09.5": [
        lambda train: (*trial()(train)[:2], [" " + trial()(train)[2].upper()]),
        trial(interval=lambda a, b: np.round(by_scipy(a, b), 4)),
    ],
}
WRONG = {
    "09.1": [
        (unpaired, "seed by seed"),
        (of_single_runs, "single runs"),
        (divided_by_n, "ddof=1"),
        (with_factor(lambda n: 1.96), "1.96"),
        (with_factor(lambda n: stats.t.ppf(0.95, n - 1)), "90 %"),
        (lambda with_it, without: by_scipy(without, with_it), "without less with"),
        (lambda with_it, without: np.mean(np.subtract(with_it, without)), "shape"),
        (with_factor(lambda n: 3), "mean of the differences"),
    ],
    "09.2": [
        (zero_first, "δ first"),
        (zero_only, "zero only"),
        (
            lambda low, high, delta: "holds" if low > 0 and high >= delta else "does not hold here",
            "undecided",
        ),
        (surely_large, "more than the claim says"),
        (lambda low, high, delta: "holds", "three answers"),
    ],
    "09.3": [
        (12, "√2"),
        (36, "6 times"),
        (7, "one more"),
        (100, "1 / √n"),
        (15, "width of an interval"),
        (26, "width of an interval"),
    ],
    "09.4": [
        (0.01, "alone"),
        (0.0005, "divided"),
        (0.19, "second smallest"),
        (0.05, "usual limit"),
        (0.5, "multiplies"),
    ],
    "09.5": [
        (trial(seeds=range(3)), "five or more"),
        (trial(others=range(1, 6)), "same seeds"),
        (trial(interval=lambda a, b: by_scipy(b, a)), "without less with"),
        (trial(interval=lambda a, b: by_scipy(a, b)[::-1]), "low first"),
        (trial(interval=unpaired), "seed by seed"),
        (lambda train: trial()(lambda change, seed: 0.1 * seed), "is given"),
        (trial(change="none"), "difference"),
        (lambda train: trial()(train)[:2], "three things"),
        (lambda train: (*trial()(train)[:2], "significant"), "09.2"),
        (trial(change="blurred"), "to choose from"),
        (lambda train: trial()(train) and trial("mirrored")(train), "one change"),
        (lambda train: (train("varied", 0), train("mirrored", 0)), "one change"),
    ],
}
