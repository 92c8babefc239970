"""What the ledger says of the stored runs, and how it says it."""

import math
import re

import numpy as np
import pytest

from experiments import table
from lessonkit.course.measured import ledger
from lessonkit.course.measured.verdict import over_seeds


def entry(kind="gain", unit="points", effects=(0.02, -0.03, 0.01), delta=0.01):
    about = ["99", "row", "title", "text", ["04"], kind, unit, delta, list(effects)]
    return ledger.Entry(*about, over_seeds(effects), "undecided", 0.5, 1.0)


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [("points", 0.0123, "+1.2"), ("×", math.log(1.5), "×1.50"), ("correlation", -0.31, "-0.31")],
)
def test_an_effect_is_shown_in_its_unit(unit, value, shown):
    assert entry(unit=unit).shown(value) == shown


def test_runs_that_fail_are_counted_where_something_should_be_no_worse():
    assert entry("no_worse", effects=(0.02, -0.03, -0.009, -0.02)).failing == "2 of 4"
    assert entry("gain").failing == ""


def test_an_effect_is_a_difference_or_the_logarithm_of_a_ratio():
    values = {"a": 0.9, "b": 0.6, "splits": [0.5, 0.7], "others": [0.5, 0.5]}
    row = {"plus": "a", "minus": "b", "unit": "points"}
    assert ledger.effect(row, values) == pytest.approx(0.3)
    assert ledger.effect({**row, "unit": "×"}, values) == pytest.approx(math.log(1.5))
    assert ledger.effect({**row, "minus": "", "unit": "×"}, values) == pytest.approx(math.log(0.9))
    many = {"plus": "splits", "minus": "others", "unit": "points"}
    assert np.allclose(ledger.effect(many, values), [0.0, 0.2])


def test_an_effect_in_places_is_the_mean_over_all_pictures():
    values = {"a": [0.9, 0.5], "b": [0.6, 0.5], "places": [1, 3]}
    row = {"plus": "a", "minus": "b", "unit": "points", "places": True}
    assert ledger.effect(row, values) == pytest.approx(0.075)
    assert ledger.side(row, values, "plus") == pytest.approx([0.6])


def test_an_undecided_row_says_what_it_would_take():
    row = {"plus": "a", "minus": "", "unit": "points", "given": "", "kind": "gain", "delta": 0.01}
    far = [{"values": {"a": 0.1 * (-1) ** seed}, "seconds": 36.0} for seed in range(6)]
    hours = float(table.why_undecided(row, far).split(", ")[1].split()[0])
    runs = int(table.why_undecided(row, far).split()[1].replace(",", ""))
    assert runs > 1000 and hours == pytest.approx(runs / 100, rel=0.1)
    places = [{"values": {"a": [0.1, -0.1], "places": [4, 4]}, "seconds": 36.0} for _ in range(6)]
    said = table.why_undecided({**row, "places": True}, places)
    assert said.endswith("2 places can't tell, however many the runs")
    noisy = [
        {"values": {"a": [0.02 + x, 0.02 - x], "places": [4, 4]}, "seconds": 36.0}
        for x in (0.3, -0.25, 0.04)
    ]  # the places differ by chance alone, which more runs average out
    assert "places" not in table.why_undecided({**row, "places": True}, noisy)
    alike = [{"values": {"a": [x, x], "places": [4, 4]}, "seconds": 36.0} for x in (-0.2, 0.1, 0.0)]
    assert table.why_undecided({**row, "places": True}, alike).startswith("if the mean stays")
    close = [{"values": {"a": -0.01 + x}, "seconds": 36.0} for x in (-0.002, 0.001, 0.0)]
    told = table.why_undecided({**row, "kind": "no_worse"}, close)
    assert re.fullmatch(r"if the mean stays where it is, about [\d,]+ runs .*", told)


def test_every_notebook_that_teaches_a_claim_can_quote_it():
    for number in ("01", "02", "03", "04", "05", "06", "07"):
        quoted = ledger.chapter(number)
        assert max(map(len, quoted.splitlines())) <= 92
        assert quoted.count(" to ") >= 2
    assert "\n14  " in "\n" + ledger.chapter("07")
    assert "\n14  " not in ledger.chapter("07", without=["14"])
    with pytest.raises(ValueError, match="nothing on notebook 99"):
        ledger.chapter("99")


def test_a_row_that_isnt_there_is_answered_with_those_that_are():
    with pytest.raises(KeyError, match="equal cycles"):
        ledger.entry("08", "cycles")
