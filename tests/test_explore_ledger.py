"""The ledger's explorer: what it shows is what the filters let pass, down to a single row."""

import io
import warnings

import pytest
from PIL import Image

from lessonkit.course import explorers as explore
from lessonkit.course.measured import ledger
from lessonkit.course.measured.verdict import FAILS, HOLDS, UNDECIDED


@pytest.fixture
def figure():
    return explore.ledger()


def titles(figure):
    return [ax.get_title() for ax in figure.axes]


def test_it_begins_with_all_rows_and_the_first_of_them(figure):
    n, first = len(ledger.entries()), ledger.entries()[0]
    assert repr(figure) == "ledger: verdict=all notebook=all unit=all row=1"
    assert titles(figure) == [f"{n} of {n} rows", f"{first.number}  {first.name}"]
    assert f"Verdict: {first.verdict}." in figure.alt and f"{first.n} effects" in figure.alt
    assert Image.open(io.BytesIO(figure.image.value)).size == (1000, 500)


def test_filters_let_pass_what_they_say(figure):
    entries = ledger.entries()
    for said in (HOLDS, UNDECIDED, FAILS):
        figure.controls["verdict"].value = said
        passing = [entry for entry in entries if entry.verdict == said]
        assert titles(figure)[0] == f"{len(passing)} of {len(entries)} rows"
        assert figure.controls["row"].max == max(1, len(passing))
    figure.reset()
    figure.controls["notebook"].value = "07"
    passing = [entry for entry in entries if "07" in entry.chapters]
    row = figure.controls["row"]
    row.value = row.max
    assert titles(figure)[1] == f"{passing[-1].number}  {passing[-1].name}"
    figure.controls["notebook"].value = "04"
    assert row.value == row.max == len([entry for entry in entries if "04" in entry.chapters])


def test_filters_that_let_nothing_pass_say_so(figure):
    figure.controls["notebook"].value = "04"
    figure.controls["unit"].value = "correlation"
    assert figure.alt == "No row of the ledger passes these filters."
    figure.reset()
    assert "Verdict" in figure.alt and len(figure.axes[0].lines) > 3


def test_all_rows_can_be_drawn(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(1, len(ledger.entries()) + 1):
            figure.controls["row"].value = number
            entry = ledger.entries()[number - 1]
            assert figure.alt.startswith(f"{entry.number}, {entry.title}."), figure.caption.value
        for name in ("verdict", "notebook", "unit"):
            for value in figure.controls[name].options:
                figure.controls[name].value = value
                assert "drawn" not in figure.caption.value
        figure.reset()


def test_guesses_are_judged_by_the_ledger():
    entry = ledger.entries()[0]
    asked = explore.guesses([(entry.number, entry.name, "What do you think?")])
    assert repr(asked) == "quiz guesses: 1 question"
    [question] = asked.questions
    assert [option.text for option in question.options if option.right] == [entry.verdict]
    assert all(f"The ledger says: {entry.verdict}" in option.why for option in question.options)
