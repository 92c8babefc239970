"""Forest plots: what is drawn is what the ledger says, also where it doesn't fit."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lessonkit.course.measured import forest, ledger
from lessonkit.course.measured.ledger import Entry
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED, Interval, over_seeds, verdict


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def entry(low, high, delta=0.01, kind="gain", unit="points", name="a row"):
    interval = Interval((low + high) / 2, low, high, (high - low) / 4, 5)
    said = verdict(kind, interval, delta)
    about = ["77", name, "A claim", "one less the other", ["04"], kind, unit, delta]
    return Entry(*about, [low, high], interval, said, 0.01, 0.5)


def drawn(ax, marker):
    """The points [n, 2] that are drawn with `marker`."""
    points = [line.get_xydata() for line in ax.lines if line.get_marker() == marker]
    return np.concatenate(points) if points else np.empty((0, 2))


ROWS = {
    "large": entry(0.012, 0.05),
    "small": entry(0.002, 0.008),
    "open": entry(-0.005, 0.03),
    "lower": entry(-0.009, -0.002, kind="no_worse"),
    "equal": entry(-0.005, 0.006, kind="equal"),
    "other": entry(0.02, 0.04, kind="equal"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_in_units_of_its_delta_has_the_verdict_of_the_ledger(name):
    row = forest.line(ROWS[name])
    assert row.verdict == ROWS[name].verdict
    assert row.low == pytest.approx(ROWS[name].interval.low / 0.01)


def test_units_do_not_matter_on_the_common_axis():
    points, factor = entry(0.005, 0.02), entry(np.log(1.25) / 2, 2 * np.log(1.25), np.log(1.25))
    np.testing.assert_allclose(forest.line(points)[2:], forest.line(factor)[2:])


def test_each_verdict_has_its_own_marker_at_its_mean():
    ax = plt.subplots()[1]
    rows = [forest.line(row) for row in ROWS.values()]
    forest.lines(ax, rows, range(len(rows)))
    for said, (marker, _, _) in forest.STYLES.items():
        expected = [(row.mean, at) for at, row in enumerate(rows) if row.verdict == said]
        np.testing.assert_allclose(drawn(ax, marker), expected)
    assert {row.verdict for row in rows} == {HOLDS, FAILS, UNDECIDED}
    assert len({marker for marker, _, _ in forest.STYLES.values()}) == 3


def test_what_lies_outside_gets_an_arrow_at_its_side():
    ax = plt.subplots()[1]
    far = [entry(0.3, 0.5), entry(-0.9, -0.8), entry(-0.02, 0.02), entry(-0.2, 0.2)]
    forest.lines(ax, [forest.line(row) for row in far], range(4))
    np.testing.assert_allclose(drawn(ax, "<"), [(-forest.LIMIT, 1), (-forest.LIMIT, 3)])
    np.testing.assert_allclose(drawn(ax, ">"), [(forest.LIMIT, 0), (forest.LIMIT, 3)])
    for marker, _, _ in forest.STYLES.values():
        assert np.all(np.abs(drawn(ax, marker)[:, 0]) <= forest.LIMIT)


def test_the_forest_says_what_every_row_compares_and_gives_its_effect_in_its_own_unit():
    long = "what is compared here takes so many words that no line of the picture can hold them"
    rows = [entry(0.012, 0.05), entry(0.1, 0.3, np.log(1.25), unit="×")._replace(text=long)]
    ax = forest.forest(rows)
    said = [label.get_text() for label in ax.get_yticklabels()]
    assert said[0] == "one less the other" and said[1].replace("\n", " ") == long
    assert "\n" in said[1] and ax.figure.get_figwidth() <= 9.5
    texts = [text.get_text() for text in ax.texts]
    assert "+3.1 (+1.2 to +5.0)" in texts and "×1.22 (×1.11 to ×1.35)" in texts
    assert any(text.startswith("77") and "A claim" in text for text in texts)


def test_reading_writes_the_verdicts_beside_the_rows():
    rows = [forest.line(row)._replace(label=name) for name, row in ROWS.items()]
    ax = forest.reading(rows)
    assert [text.get_text() for text in ax.texts] == [row.verdict for row in ROWS.values()]


@pytest.fixture
def stored(monkeypatch):
    """A claim of three runs with one split each, and one with lists of splits."""
    rows = [
        {"name": "one", "plus": "a", "minus": "b", "given": ""},
        {"name": "splits", "plus": "c", "minus": "d", "given": ""},
        {"name": "alone", "plus": "a", "minus": "", "given": ""},
    ]
    ran = [
        {"values": {"a": 0.8 + seed / 100, "b": 0.8, "c": [0.9, 0.7], "d": [0.8, 0.7]}}
        for seed in range(3)
    ]
    monkeypatch.setattr(ledger, "claim", lambda number: {"claim": {"rows": rows}})
    monkeypatch.setattr(ledger, "runs", lambda number: ran)


def of(name, effects, **more):
    interval = over_seeds(effects)
    row = entry(interval.low, interval.high, name=name, **more)
    return row._replace(effects=list(effects), interval=interval)


def test_the_two_sides_of_a_row_differ_by_its_effects(stored):
    minus, plus = forest.arms(of("one", [0.0, 0.01, 0.02]))
    np.testing.assert_allclose(plus - minus, [0.0, 0.01, 0.02])
    minus, plus = forest.arms(of("splits", [0.1, 0] * 3))
    np.testing.assert_allclose(plus - minus, [0.1, 0] * 3)
    with pytest.raises(ValueError, match="alone compares no two sides"):
        forest.arms(of("alone", [0.1, 0.2]))


def test_pairs_draws_each_run_on_both_sides_and_its_difference_in_points(stored):
    axes = forest.pairs(of("one", [0.0, 0.01, 0.02]), "stairs", "cosine")
    np.testing.assert_allclose(drawn(axes[0], "s"), [(0, 80)] * 3)
    np.testing.assert_allclose(drawn(axes[0], "o"), [(1, 80), (1, 81), (1, 82)])
    np.testing.assert_allclose(drawn(axes[1], "o")[:3, 1], [0, 1, 2])
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["stairs", "cosine"]
    assert axes[1].get_title() == "cosine − stairs"


def test_delta_is_drawn_only_where_it_is_known_already(stored):
    for wanted in (True, False):
        axes = forest.pairs(of("one", [0.0, 0.01, 0.02]), "b", "a", delta=wanted)
        assert ("δ" in [text.get_text() for text in axes[1].texts]) is wanted


@pytest.mark.parametrize("unit", ["points", "×", "correlation"])
@pytest.mark.parametrize("kind", ["gain", "no_worse", "equal"])
def test_the_mean_stands_beside_the_runs_in_the_unit_that_is_read(kind, unit):
    row = of("one", [0.02, 0.03, 0.05, 0.04], kind=kind, unit=unit)
    ax = plt.subplots()[1]
    forest.seeds(row, ax)
    shown = {"points": 3.5, "×": np.exp(0.035), "correlation": 0.035}[unit]
    heights = [line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 1]
    assert shown == pytest.approx(heights[0])
    assert "nan" not in ax.get_ylabel()
