"""The ledger's explorer: what it shows is what the filters let pass, down to a single row."""

import io
import json

import pytest
from matplotlib.figure import Figure
from PIL import Image

from lessonkit.course import explorers as explore
from lessonkit.course.measured import ledger
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED
from tests.test_explore import draw_at_all_ends


@pytest.fixture
def figure():
    return explore.ledger()


def passing(figure, **values):
    """The picture's title with these filters: how many rows they let pass."""
    ax = Figure().subplots()
    figure.draw(ax, **figure.first | values)
    return ax.get_title()


def test_it_begins_with_all_rows_and_the_first_of_them(figure):
    n, first = len(ledger.entries()), ledger.entries()[0]
    assert repr(figure) == "ledger: verdict=all notebook=all unit=all row=1"
    assert passing(figure) == f"{n} of {n} rows"
    assert f"Verdict: {first.verdict}." in figure.alt and f"{first.n} effects" in figure.alt
    assert Image.open(io.BytesIO(figure.png())).size == (800, 1100)


def test_filters_let_pass_what_they_say(figure):
    entries = ledger.entries()
    for said in (HOLDS, UNDECIDED, FAILS):
        rows = [entry for entry in entries if entry.verdict == said]
        assert passing(figure, verdict=said) == f"{len(rows)} of {len(entries)} rows"
        last = figure.tell(**figure.first | {"verdict": said, "row": len(rows)})
        assert last.startswith(f"{rows[-1].number}, {rows[-1].title}.")
    rows = [entry for entry in entries if "07" in entry.chapters]
    assert passing(figure, notebook="07") == f"{len(rows)} of {len(entries)} rows"


def test_the_row_on_show_is_the_last_one_where_fewer_pass(figure):
    n = sum(entry.verdict == FAILS for entry in ledger.entries())
    ax = Figure().subplots()
    values = figure.first | {"verdict": FAILS, "row": n + 5}
    figure.draw(ax, **values)
    assert [patch.get_y() for patch in ax.patches] == [0.5 - n]
    assert figure.tell(**values) == figure.tell(**values | {"row": n})


def test_filters_that_let_nothing_pass_say_so(figure):
    nothing = {"notebook": "04", "unit": "correlation"}
    assert figure.tell(**figure.first | nothing) == "No row of the ledger passes these filters."
    assert passing(figure, **nothing).startswith("0 of ")


def test_the_page_gets_every_row_with_its_runs(figure):
    rows = json.loads(json.dumps(figure.data["rows"], allow_nan=False))
    for entry, row in zip(ledger.entries(), rows, strict=True):
        assert (row["number"], row["name"], row["verdict"]) == (
            entry.number, entry.name, entry.verdict
        )  # fmt: skip
        expected = sorted(effect / entry.delta for effect in entry.effects)
        assert row["effects"] == pytest.approx(expected, rel=1e-4)
        assert row["told"].startswith(f"{entry.number}, {entry.title}.")


def test_all_controls_can_be_drawn_at_their_ends(figure):
    draw_at_all_ends(figure)


def test_guesses_are_judged_by_the_ledger():
    entry = ledger.entries()[0]
    asked = explore.guesses([(entry.number, entry.name, "What do you think?")])
    assert repr(asked) == "quiz guesses: 1 question"
    [question] = asked.questions
    assert [option.text for option in question.options if option.right] == [entry.verdict]
    assert all(f"The ledger says: {entry.verdict}" in option.why for option in question.options)
