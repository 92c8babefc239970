"""Intervals and verdicts, against independent references."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments import table
from lessonkit.course.measured import verdict as v
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED, Interval

EFFECTS = [0.021, -0.004, 0.013, 0.008, 0.017, 0.002]


def interval(low, high):
    return Interval((low + high) / 2, low, high, (high - low) / 4, 10)


def test_an_interval_over_seeds_is_that_of_a_t_test():
    expected = stats.ttest_1samp(EFFECTS, 0).confidence_interval(0.95)
    mean, low, high, *_ = v.over_seeds(EFFECTS)
    assert mean == pytest.approx(np.mean(EFFECTS))
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_one_seed_decides_nothing():
    alone = v.over_seeds([0.5])
    assert (alone.low, alone.high) == (-math.inf, math.inf)
    assert v.verdict("gain", alone, 0.01) == UNDECIDED


def test_an_interval_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    made = [v.over_seeds(random.normal(0.3, 1, 7)) for _ in range(2000)]
    assert np.mean([i.low < 0.3 < i.high for i in made]) == pytest.approx(0.95, abs=0.015)


def test_a_prediction_covers_the_next_run_as_often_as_it_says():
    random = np.random.default_rng(1)
    runs = random.normal(0.3, 1, (2000, 8))
    bounds = [v.prediction(run[:7]) for run in runs]
    inside = [low < run[7] < high for run, (low, high) in zip(runs, bounds, strict=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("effects", [[], [0.3]])
def test_of_a_single_run_nothing_is_predicted(effects):
    assert v.prediction(effects) == (-math.inf, math.inf)


def test_more_splits_of_the_same_photos_do_not_make_an_interval_narrow():
    few, many = (v.over_splits(EFFECTS * times, 0.2) for times in (5, 500))
    assert many.spread == pytest.approx(math.sqrt(0.25) * np.std(EFFECTS), rel=0.01)
    assert few.high - few.low < 1.2 * (many.high - many.low)
    assert v.over_seeds(EFFECTS * 500).spread < many.spread / 10


def test_whole_places_are_drawn_so_that_seeds_alone_make_no_interval_narrow():
    random, sizes = np.random.default_rng(4), np.array([3, 10, 30, 30, 60, 12, 7, 25])
    places = random.normal(0, 1, 8)
    few, many = (v.over_places(places + random.normal(0, 1, (n, 8)), sizes) for n in (9, 900))
    alone = v.over_seeds((places + random.normal(0, 0.01, (900, 8))) @ sizes / sizes.sum())
    assert few.spread > many.spread > 10 * alone.spread
    assert many.mean == pytest.approx(places @ sizes / sizes.sum(), abs=0.1)
    assert v.over_places(np.ones((1, 8)), sizes).high == math.inf


def test_an_interval_over_places_covers_the_truth_of_all_places():
    random, sizes = np.random.default_rng(5), np.full(20, 30)
    inside = []
    for _ in range(400):
        effects = 0.3 + random.normal(0, 1, 20) + random.normal(0, 1, (8, 20))
        _, low, high, *_ = v.over_places(effects, sizes, draws=300)
        inside.append(low < 0.3 < high)
    assert np.mean(inside) > 0.93  # on the safe side: the runs' scatter counts twice


def test_as_many_runs_as_needed_and_hardly_fewer_make_an_interval_narrow_enough():
    effects = np.random.default_rng(6).normal(0, 1, 12)
    n = table.runs_needed(effects, 1.0)
    spread = np.std(effects, ddof=1)

    def half(runs):
        return stats.t.ppf(0.975, runs - 1) * spread / math.sqrt(runs)

    assert half(n) <= 0.5 < half(0.95 * n - 1)
    assert table.runs_needed([0.2, 0.2], 0.01) == 2


@pytest.mark.parametrize(("kind", "mean"), [("gain", 0.8), ("no_worse", -1.4), ("equal", 0.7)])
def test_as_many_runs_as_decide_and_hardly_fewer_leave_a_bound_outside(kind, mean):
    effects = mean + np.array([-1.0, 1.0] * 6)

    def said(runs):
        half = stats.t.ppf(0.975, runs - 1) * np.std(effects, ddof=1) / math.sqrt(runs)
        return v.verdict(kind, v.Interval(mean, mean - half, mean + half, half / 2, runs - 1), 1.0)

    n = table.runs_that_decide(kind, effects, 1.0)
    assert said(n) != v.UNDECIDED and said(int(0.95 * n - 1)) == v.UNDECIDED
    assert table.runs_that_decide("no_worse", [-2.0, 0.0], 1.0) == 10**6  # its mean is on the bound


def test_a_partial_rank_correlation_is_that_of_the_formula_for_three_correlations():
    random = np.random.default_rng(3)
    given = random.normal(size=50)
    x, y = given + random.normal(size=50), random.normal(size=50) - given
    xy, xg, yg = (stats.spearmanr(*pair)[0] for pair in ((x, y), (x, given), (y, given)))
    expected = (xy - xg * yg) / math.sqrt((1 - xg**2) * (1 - yg**2))
    assert v.partial_rank_correlation(x, y, given) == pytest.approx(expected)
    assert v.partial_rank_correlation(np.exp(x), y**3, given) == pytest.approx(expected)


def test_what_both_owe_to_a_third_is_no_correlation():
    given = np.arange(40.0)
    assert v.partial_rank_correlation(2 * given, given**3, given) == 0.0


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("gain", 0.002, 0.03, HOLDS),
        ("gain", -0.002, 0.03, UNDECIDED),
        ("gain", 0.002, 0.009, FAILS),  # above zero, but too small to matter
        ("gain", -0.03, -0.01, FAILS),
        ("no_worse", -0.009, 0.03, HOLDS),
        ("no_worse", -0.02, 0.03, UNDECIDED),
        ("no_worse", -0.03, -0.011, FAILS),
        ("equal", -0.009, 0.009, HOLDS),
        ("equal", -0.02, 0.009, UNDECIDED),
        ("equal", 0.011, 0.03, FAILS),
        ("equal", -0.03, -0.011, FAILS),
    ],
)
def test_a_verdict_follows_from_the_interval_alone(kind, low, high, expected):
    assert v.verdict(kind, interval(low, high), 0.01) == expected


def test_a_p_value_is_that_of_a_t_test_on_one_side():
    whole = v.over_seeds(EFFECTS)
    above = stats.ttest_1samp(EFFECTS, 0, alternative="greater").pvalue
    assert v.p_value("gain", whole, 0.01) == pytest.approx(above)
    above = stats.ttest_1samp(EFFECTS, -0.01, alternative="greater").pvalue
    assert v.p_value("no_worse", whole, 0.01) == pytest.approx(above)
    below = stats.ttest_1samp(EFFECTS, 0.02, alternative="less").pvalue
    above = stats.ttest_1samp(EFFECTS, -0.02, alternative="greater").pvalue
    assert v.p_value("equal", whole, 0.02) == pytest.approx(max(above, below))


def test_an_effect_without_any_spread_is_certain():
    exact = v.over_seeds([0.3, 0.3, 0.3])
    assert v.verdict("gain", exact, 0.01) == HOLDS
    assert v.p_value("gain", exact, 0.01) == 0.0
    assert v.p_value("gain", v.over_seeds([0.0, 0.0]), 0.01) == 1.0


def test_holm_multiplies_the_smallest_most_and_never_changes_the_order():
    # By hand: 4 × .01; then the largest of that and 3 × .02; 2 × .03; 1 × .04.
    assert v.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    random = np.random.default_rng(4).uniform(size=30)
    adjusted = v.holm(random)
    assert np.all(np.diff(np.array(adjusted)[np.argsort(random)]) >= 0)
    assert all(p <= q <= min(1, 30 * p) for p, q in zip(random, adjusted, strict=True))


def test_holm_finds_something_in_noise_no_more_often_than_five_times_in_a_hundred():
    random = np.random.default_rng(5)
    found = [min(v.holm(random.uniform(size=15))) < 0.05 for _ in range(2000)]
    assert np.mean(found) < 0.065
