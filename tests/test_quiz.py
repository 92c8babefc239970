"""Numbers that are checked, exercises that answer back, and the closing quiz."""

import contextlib
import copy
import io
import json
import math
import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
import traitlets
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval.plugin import get_sanitize_patterns

from lessonkit import Learner, schedule
from lessonkit.course import records
from lessonkit.course.exercises import quiz, solved, training
from lessonkit.course.exercises.quiz import Option, Verdict, choice, function, number
from tests.tiny import coloured
from tools.bounds import stated
from tools.notebooks import SANITIZE


def mean(values):
    return sum(values) / len(values)


EXERCISES = {
    "99.1": number(
        lambda: 1e-2,
        why="One order of magnitude left of 0.1.",
        factor=1.5,
        wrong={1e-1: "That is the lowest point itself.", 1.0: "You went right, not left."},
        hint="Find the lowest point first.",
    ),
    "99.2": number(0.86, "As measured.", within=0.04, wrong={0.5: "Guessing.", 0.55: "Nearly."}),
    "99.3": number(7, "1 + 2 + 4."),
    "99.4": choice("b", ["a", "b"], {"a": "That is the loss."}, "That is the LR."),
    "99.5": choice(True, [True, False], {False: "It does."}, "It does indeed."),
    "99.6": function(
        mean,
        inputs=[[1.0, 2.0, 6.0], [4.0, 4.0]],
        why="That is the mean.",
        wrong={max: "That is the largest.", (lambda values: sorted(values)): "Only sorted."},
        hint="Add up, then divide.",
    ),
    "99.7": function(
        lambda x, n: x.repeat(n), [(torch.tensor([1.0, 2.0]), 2)], why="Twice.", hint="No."
    ),
    "99.8": function(lambda x: "too high" if x > 1 else "right", [0.5, 2.0], why="Yes."),
}
QUESTIONS = """# Closing quiz of notebook 99

## What does `lr` < 0 do?

- [x] climbs
  It goes *up*
  the loss.
- [ ] nothing
  It moves.

## And 0,
or nearly?

- [ ] climbs
  No step.
- [x] nothing
  No step.
"""


@pytest.fixture(autouse=True)
def notebook_99(monkeypatch, tmp_path):
    monkeypatch.setenv("LESSONKIT_RECORDS", str(tmp_path / "records"))
    monkeypatch.setattr(quiz, "_misses", {})
    monkeypatch.setattr(quiz, "_hinted", set())
    module = ModuleType("lessonkit.course.exercises.notebook_99")
    module.EXERCISES = EXERCISES
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def page_99(monkeypatch, tmp_path):
    monkeypatch.setattr(quiz, "HERE", tmp_path)
    page = tmp_path / "notebook_99.md"
    page.write_text(QUESTIONS, encoding="utf-8")
    return page


# --- roughly ------------------------------------------------------------------------------------


@pytest.fixture
def outside_a_test(monkeypatch):
    monkeypatch.delenv("LESSONKIT_TEST")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ({"value": 0.8741, "expected": 0.86, "within": 0.04, "what": "accuracy"},
         "accuracy 0.874 (expected 0.86 ± 0.04)\n"),
        ({"value": 0.9, "expected": 0.86, "within": 0.04}, "0.900 (expected 0.86 ± 0.04)\n"),
        ({"value": 2.01, "expected": 3.0, "factor": 1.5}, "2.0 (expected 3, ×÷ 1.5)\n"),
        ({"value": 0.7212, "expected": 0.86, "factor": 1.2}, "0.72 (expected 0.86, ×÷ 1.2)\n"),
        ({"value": torch.tensor(1.23e-5), "expected": 1e-5, "factor": 1.5},
         "1.23e-5 (expected 1e-5, ×÷ 1.5)\n"),
        ({"value": np.array([-0.5249]), "expected": -0.5, "factor": 1.1},
         "-0.525 (expected -0.5, ×÷ 1.1)\n"),
        ({"value": torch.tensor(2.0, requires_grad=True), "expected": 2, "within": 0},
         "2 (expected 2 ± 0)\n"),
        ({"value": 6e-4, "expected": 0, "within": 0.006}, "0.0006 (expected 0 ± 0.006)\n"),
        ({"value": -1e-9, "expected": 0, "within": 0.02}, "0.000 (expected 0 ± 0.02)\n"),
        ({"value": np.int64(43), "expected": 42, "factor": 1.15}, "43 (expected 42, ×÷ 1.15)\n"),
        ({"value": 1234.4, "expected": 1000, "factor": 1.5}, "1234 (expected 1000, ×÷ 1.5)\n"),
    ],
)  # fmt: skip
def test_roughly_prints_what_was_measured_before_what_is_expected(arguments, printed, capsys):
    assert quiz.roughly(**arguments) is None
    assert capsys.readouterr().out == printed


DRIFTED = [
    (0.8, {"within": 0.04}),
    (math.nan, {"within": 0.04}),
    (math.nan, {"factor": 1.5}),
    (math.inf, {"factor": 1.5}),
    (-0.86, {"factor": 1.5}),
    (0.0, {"factor": 1.5}),
    (0.86 * 1.51, {"factor": 1.5}),
    (0.86 / 1.51, {"factor": 1.5}),
]


@pytest.mark.parametrize(("value", "tolerance"), DRIFTED)
def test_roughly_raises_under_test(value, tolerance, capsys, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(quiz.Drifted, match=r"accuracy -?[\d.naif]+ \(expected 0.86") as caught:
        quiz.roughly(value, 0.86, **tolerance, what="accuracy")
    assert isinstance(caught.value, AssertionError)
    assert capsys.readouterr().out == ""


def test_no_factor_leads_to_zero(monkeypatch, capsys):
    quiz.roughly(0.0, 0.0, factor=2)
    assert capsys.readouterr().out == "0 (expected 0, ×÷ 2)\n"
    with pytest.raises(quiz.Drifted):
        quiz.roughly(0.1, 0.0, factor=2)
    judge = number(5, "yes", factor=2, wrong={0: "Nothing?"}).judge
    assert judge(0).message == "Nothing?"
    assert judge(100).message.startswith("Not this number")


@pytest.mark.parametrize(("value", "tolerance"), DRIFTED)
def test_roughly_asks_and_goes_on_elsewhere(value, tolerance, capsys, outside_a_test):
    quiz.roughly(value, 0.86, **tolerance, what="accuracy")
    line, question = capsys.readouterr().out.splitlines()
    assert line.startswith("accuracy ") and "(expected 0.86" in line
    assert question == "outside what is expected: what did you change?"


@pytest.mark.parametrize(
    ("value", "tolerance", "well"),
    [(0.93, {"within": 0.04}, True), (0.95, {"within": 0.04}, False),
     (0.86 * 1.4, {"factor": 1.2}, True), (0.86 * 1.5, {"factor": 1.2}, False)],
)  # fmt: skip
def test_where_no_bound_was_measured_twice_as_much_is_allowed(
    value, tolerance, well, capsys, monkeypatch
):
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    if well:  # the stored line: a notebook made elsewhere is compared with it
        quiz.roughly(value, 0.86, **tolerance)
        assert capsys.readouterr().out.count("\n") == 1
    else:
        with pytest.raises(quiz.Drifted):
            quiz.roughly(value, 0.86, **tolerance)
    monkeypatch.delenv("LESSONKIT_TEST")
    quiz.roughly(value, 0.86, **tolerance)
    said = capsys.readouterr().out.splitlines()[1]
    assert said.startswith("(no bound was measured on arm64" if well else "outside")


numbers = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-9)


@given(numbers, st.floats(1e-6, 10), st.booleans(), st.floats(-1, 1))
def test_whatever_roughly_prints_is_sanitised_and_within_its_own_bounds(
    expected, size, as_factor, where
):
    expected, size = float(f"{expected:.3g}"), float(f"{size:.2g}")
    if as_factor and expected:
        bound, value = {"factor": 1 + size}, expected * (1 + size) ** where
    else:
        bound, value = {"within": size}, expected + where * size
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        quiz.roughly(value, expected, **bound, what="a loss of 0.5")
    [(pattern, replacement)] = get_sanitize_patterns(SANITIZE.read_text(encoding="ascii"))
    kept = re.sub(pattern, replacement, printed.getvalue())
    assert kept.startswith(f"a loss of 0.5 {replacement} (expected "), printed.getvalue()
    text = new_output("stream", name="stdout", text=printed.getvalue())
    [line] = stated(new_notebook(cells=[new_code_cell(outputs=[text])]))
    assert line.what == "a loss of 0.5" and line.holds(line.measured), line
    assert math.isclose(line.measured, value, rel_tol=1e-9, abs_tol=line.half_digit * 1.01)


@pytest.mark.parametrize(
    "tolerance", [{}, {"within": 1, "factor": 2}, {"within": -1}, {"factor": 0.5}]
)
def test_roughly_wants_one_sensible_tolerance(tolerance):
    with pytest.raises(ValueError, match="within"):
        quiz.roughly(1, 1, **tolerance)


@pytest.mark.parametrize("value", ["0.86", None, [0.86, 1], torch.ones(2), True])
def test_roughly_wants_a_number(value):
    with pytest.raises(TypeError, match="single numbers"):
        quiz.roughly(value, 0.86, within=1)


# --- Exercises ----------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES)
@pytest.mark.parametrize("answer", [..., None])
def test_an_unanswered_exercise_waits(exercise, answer, capsys):
    assert quiz.judge(exercise, answer).status == "waiting"
    quiz.check(exercise, answer)
    assert capsys.readouterr().out == f"{exercise} waits for your answer.\n"


def test_check_prints_mark_name_and_reason_in_lines_of_readable_length(capsys, notebook_99):
    quiz.check("99.4", "b")
    quiz.check("99.4", "a")
    assert capsys.readouterr().out == "✓ 99.4: That is the LR.\n✗ 99.4: That is the loss.\n"
    notebook_99.EXERCISES = {"99.1": number(1, why="because " * 40)}
    quiz.check("99.1", 1)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 2 and max(map(len, lines)) <= 92


SEVENS = [7, "7", "7.0", " 7 ", [7], (7.0,), np.int64(7), np.array([7]), torch.tensor([[7.0]])]


@pytest.mark.parametrize(
    ("exercise", "answer", "status", "message"),
    [
        ("99.1", 0.01, "right", "One order of magnitude left of 0.1."),
        ("99.1", 0.0145, "right", "One order of magnitude left of 0.1."),
        ("99.1", 0.12, "wrong", "That is the lowest point itself."),
        ("99.1", 1, "wrong", "You went right, not left."),
        ("99.1", 1e-6, "wrong", "Find the lowest point first."),
        ("99.1", -0.01, "wrong", "Find the lowest point first."),
        ("99.1", math.nan, "wrong", "Find the lowest point first."),
        ("99.2", np.float32(0.9), "right", "As measured."),
        ("99.2", torch.tensor(0.82), "right", "As measured."),
        ("99.2", 0.52, "wrong", "Guessing."),  # nearer to 0.5 than to 0.55
        ("99.2", 0.53, "wrong", "Nearly."),
        ("99.3", 7.0, "right", "1 + 2 + 4."),
        *(("99.3", seven, "right", "1 + 2 + 4.") for seven in SEVENS),
        ("99.3", 7.01, "wrong", "Not this number. Read the part above once more."),
    ],
)
def test_number(exercise, answer, status, message):
    assert quiz.judge(exercise, answer) == Verdict(status, message)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("seven", "a text"), ([7, 8], "a list"), ([], "a list"),
     (True, "True or False"), (mean, "a function"),
     (torch.ones(2), r"an array of shape \[2\]"), (10**400, "of type int"),
     (np.bool_(True), "True or False"), (object(), "of type object"), (7j, "complex")],
)  # fmt: skip
def test_number_says_what_it_got_instead(answer, kind):
    status, message = quiz.judge("99.3", answer)
    assert status == "wrong"
    assert message.startswith("A single number is wanted")
    assert re.search(kind, message)


@pytest.mark.parametrize(
    ("exercise", "answer", "status", "message"),
    [
        ("99.4", " B ", "right", "That is the LR."),
        ("99.4", "a", "wrong", "That is the loss."),
        ("99.4", "c", "wrong", "Answer with one of these: 'a', 'b'."),
        ("99.4", ["b"], "right", "That is the LR."),
        ("99.4", ["a", "b"], "wrong", "Answer with one of these: 'a', 'b'."),
        ("99.4", 1.5, "wrong", "Answer with one of these: 'a', 'b'."),
        ("99.5", True, "right", "It does indeed."),
        ("99.5", "false", "wrong", "It does."),
    ],
)
def test_choice(exercise, answer, status, message):
    assert quiz.judge(exercise, answer) == Verdict(status, message)


@pytest.mark.parametrize("answer", ["about 70 %", "about 70%", "About  70", "70%", "70"])
def test_a_choice_may_be_written_in_many_ways(answer):
    options = ["about 99 %", "about 70 %"]
    judge = choice("about 70 %", options, {"about 99 %": "no"}, "yes").judge
    assert judge(answer).status == "right"
    assert judge("99 %").message == "no"
    assert judge("about").message.startswith("Answer with one of these")  # either of them


def in_words():
    options = ["about 99 %", "about 70 %", "more than half"]
    wrong = {option: "no" for option in options if option != "about 70 %"}
    return choice("about 70 %", options, wrong, "yes").judge


@pytest.mark.parametrize(
    "answer",
    ["not 70 %", "it isn't 70 %", "all but 70 %", "everything except 70 %", "below about 70 %",
     "more than 70 %", "more than about 70 %"],
)  # fmt: skip
def test_words_that_turn_an_option_are_not_taken_for_it(answer):
    assert in_words()(answer).message.startswith("Answer with one of these")


def test_such_words_may_be_an_options_own_or_come_after_it():
    assert in_words()("it is about 70 %, I think").status == "right"
    assert in_words()("about 70 %, lower than before").status == "right"
    assert in_words()("I think it is more than half").message == "no"


@pytest.mark.parametrize("wrong", [{}, {"a": "no", "b": "no"}, {"a": "no", "c": "no"}])
def test_choice_needs_a_hint_for_each_wrong_option_and_no_other(wrong):
    with pytest.raises(ValueError, match="hint"):
        choice("b", ["a", "b"], wrong, "yes")


def returns_generator(values):
    yield from values[1:]


def raises(values):
    return values["loss"]


def spoils_its_argument(values):
    values.append(sum(values) / len(values))
    return values.pop()


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (lambda v: np.mean(v), "right", "That is the mean."),
        (lambda v: torch.tensor(v, dtype=torch.float32).mean(), "right", "That is the mean."),
        (spoils_its_argument, "right", "That is the mean."),
        (lambda v: max(v), "wrong", "That is the largest."),
        (sorted, "wrong", "Only sorted."),
        (lambda v: 3.0, "wrong", "Add up, then divide. One input that shows it: "
         "your function([4.0, 4.0])."),
        (lambda v: None, "waiting", "waits for your answer: the function returns nothing yet."),
        (lambda v: 3.0 if len(v) == 3 else None, "wrong",
         "your function([4.0, 4.0]) returns nothing, where a single number is wanted."),
        (lambda v: [np.mean(v)], "right", "That is the mean."),
        (lambda v: [3.0], "wrong", "Add up, then divide. One input that shows it: "
         "your function([4.0, 4.0])."),
        (lambda v: 10**400, "wrong", "your function([1.0, 2.0, 6.0]) returns something that isn't "
         "numbers (of type int), where a single number is wanted."),
        (lambda v: (sum(v) / len(v),), "right", "That is the mean."),
        (lambda v: v[:2], "wrong", "your function([1.0, 2.0, 6.0]) returns shape [2], where a "
         "single number is wanted."),
        (lambda v: "3", "wrong", "your function([1.0, 2.0, 6.0]) returns something that isn't "
         "numbers (a text), where a single number is wanted."),
        (returns_generator, "wrong", "returns_generator([1.0, 2.0, 6.0]) returns shape [2], where "
         "a single number is wanted."),
        (raises, "wrong", "raises([1.0, 2.0, 6.0]) ends in an error, TypeError: list indices must "
         "be integers or slices, not str."),
        (3.0, "wrong", "A function is wanted here; this is of type float."),
    ],
)  # fmt: skip
def test_function(answer, status, message):
    assert quiz.judge("99.6", answer) == Verdict(status, message)


def test_function_compares_tensors_and_names_them_by_shape():
    assert quiz.judge("99.7", lambda x, n: torch.cat([x] * n)).status == "right"
    assert quiz.judge("99.7", lambda x, n: [1, 2, 1, 2]).status == "right"
    assert quiz.judge("99.7", lambda x, n: [torch.tensor(v) for v in (1, 2, 1, 2)])[0] == "right"
    assert quiz.judge("99.7", lambda x, n: torch.zeros(4)).message == (
        "No. One input that shows it: your function(array of shape [2], 2)."
    )
    assert "returns shape [2], where shape [4]" in quiz.judge("99.7", lambda x, n: x).message


def test_function_says_that_lists_are_to_be_joined():
    message = quiz.judge("99.7", lambda x, n: [[1.0], [2.0, 1.0]]).message
    assert "returns lists of different lengths" in message and "(join them)" in message


def test_what_lessonkit_offers_is_no_answer():
    judge = function(schedule.cosine, [(0.1, 5)], why="yes").judge
    assert "Write one yourself" in judge(schedule.cosine).message
    assert judge(lambda lr, steps: schedule.cosine(lr, steps)).status == "right"


def test_function_may_return_words():
    assert quiz.judge("99.8", lambda x: ["right", "too high"][x > 1]).status == "right"
    assert quiz.judge("99.8", lambda x: "right").status == "wrong"
    assert quiz.judge("99.8", lambda x: 1.0).status == "wrong"


def test_ctrl_c_in_the_readers_function_is_not_an_answer():
    def interrupted(values):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quiz.check("99.6", interrupted)


@pytest.mark.parametrize(
    ("exercise", "sentence"),
    [
        ("99.9", "There is no exercise '99.9', only 99.1, 99.2"),
        ("98.1", "There is no notebook 98 with exercises."),
        ("2.1", "an exercise's \"02.1\", not '2.1'"),
        (2.1, 'an exercise\'s "02.1", not 2.1'),
    ],
)
def test_unknown_exercises_are_refused(exercise, sentence):
    with pytest.raises(ValueError) as caught:
        quiz.check(exercise, 1)
    assert sentence in str(caught.value)


# --- Hints, and what is kept ----------------------------------------------------------------------


def test_a_hint_on_request_and_then_a_stronger_one(capsys):
    for _ in range(3):
        quiz.hint("99.1")
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "Hint: Find the lowest point first."
    assert second == third == f"{first} The answer lies between 0.004 and 0.02."
    with pytest.raises(ValueError, match="There is no exercise"):
        quiz.hint("99.9")


@pytest.mark.parametrize(
    ("exercise", "wrong", "stronger"),
    [
        ("99.1", 5, "The answer lies between 0.004 and 0.02."),
        ("99.4", "a", "You have tried all of them but one."),
        ("99.4", "c", "It isn't 'a'. That is the loss."),
        ("99.5", "neither", "It isn't False. It does."),
        ("99.6", max, "For ([4.0, 4.0]) it should return 4."),
        ("99.7", lambda x, n: x, "For ([1.0, 2.0], 2) it should return [1., 2., 1., 2.]."),
    ],
)
def test_the_second_wrong_answer_gives_a_stronger_hint(exercise, wrong, stronger, capsys):
    quiz.check(exercise, wrong)
    assert "Hint" not in capsys.readouterr().out
    quiz.check(exercise, ...)
    quiz.check(exercise, wrong)
    said = " ".join(capsys.readouterr().out.split())
    assert "Hint: " in said and said.endswith(stronger)


def test_a_stronger_hint_rules_out_what_was_not_given_yet(notebook_99, capsys):
    wrong = {"a": "No A.", "b": "No B."}
    notebook_99.EXERCISES = {"99.1": choice("c", ["a", "b", "c"], wrong, "Yes.")}
    quiz.check("99.1", "a")
    quiz.check("99.1", "A")
    assert capsys.readouterr().out.endswith("Hint: It isn't 'b'. No B.\n")


@pytest.mark.parametrize("right", [-3.0, 1e-4, 250, 0.97])
def test_a_stronger_hint_about_a_number_holds(right):
    exercise = number(right, "yes")
    low, high = map(float, re.findall(r"between (\S+) and (\S+)\.$", exercise.stronger([]))[0])
    assert low < right < high


def test_tries_are_counted_until_the_first_right_answer(capsys):
    for answer in (..., 8, None, 9, 7, 8, 7):
        quiz.check("99.3", answer)
    quiz.check("99.4", "a")
    kept = json.loads(solved.where().read_text(encoding="utf-8"))
    assert (kept["99.3"]["tries"], kept["99.3"]["answer"]) == (3, "7")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\+00:00", kept["99.3"]["solved"])
    assert kept["99.4"] == {"tries": 1, "solved": None, "answer": "'a'"}
    shown = solved.table({"99": ["99.3", "99.4", "99.5"]})
    assert "✓ 99.3 (3)" in shown and "✗ 99.4" in shown and "· 99.5" in shown
    assert "1 of 3 solved" in shown


def test_a_function_is_kept_as_its_source():
    quiz.check("99.6", returns_generator)
    assert "yield from values[1:]" in solved.read()["99.6"]["answer"]
    quiz.check("99.6", max)  # built in: it has none
    assert "max" in solved.read()["99.6"]["answer"]


def test_solutions_that_are_run_are_nobodys_answers(monkeypatch, tmp_path):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebooks/solutions/99_solutions.ipynb")
    quiz.check("99.3", 7)
    assert solved.read() == {}
    (tmp_path / "solutions").mkdir()
    with monkeypatch.context() as elsewhere:  # VS Code starts the kernel there, and names no file
        elsewhere.delenv("JPY_SESSION_NAME")
        elsewhere.chdir(tmp_path / "solutions")
        quiz.check("99.3", 7)
    assert solved.read() == {}
    monkeypatch.setenv("JPY_SESSION_NAME", "/ada/solutions/course/workbook/99.ipynb")
    quiz.check("99.3", 7)
    assert solved.read()["99.3"]["solved"]


def test_answers_that_cannot_be_kept_are_judged_all_the_same(monkeypatch, capsys):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(records, "write", full)
    quiz.check("99.3", 7)
    assert capsys.readouterr().out == (
        "✓ 99.3: 1 + 2 + 4.\n(Your answer can't be kept: no space left)\n"
    )


def test_progress_in_a_notebook_stores_the_same_whoever_has_solved_what():
    before = quiz.progress()._repr_mimebundle_()["text/plain"]
    quiz.check("00.3", "about 70 %")
    board = quiz.progress()
    assert board._repr_mimebundle_()["text/plain"] == before
    assert "✓ 00.3" in board.table.value and "· 02.1" in board.table.value
    assert set(quiz.all_exercises()) >= {"00", "05", "10"}


def test_what_can_not_be_read_is_said_where_it_would_stand(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "path", lambda name: tmp_path)  # a folder, not a file
    assert "can't be read" in quiz.progress().table.value
    assert "can't be read" in quiz.guess("99.loss", "The loss?").note.value


# --- Guesses --------------------------------------------------------------------------------------


def test_a_guess_stands_beside_what_is_measured_and_is_remembered():
    loss = quiz.guess("99.loss", "The loss?")
    result = loss.beside(torch.tensor(0.5))
    assert loss.value is None and "No guess yet" in result.line.value
    before = loss._repr_mimebundle_(), result._repr_mimebundle_()
    loss.field.value = "1"
    assert loss.value == 1 and "guessed <b>1</b>" in result.line.value
    assert "2 times too high" in result.line.value
    assert (loss._repr_mimebundle_(), result._repr_mimebundle_()) == before
    assert before[0]["text/plain"] == "your guess: The loss?"
    assert quiz.guess("99.loss", "The loss?").value == 1
    loss.field.value = "0,51"
    assert "Close." in result.line.value
    for typed, meant in {"1,000": 1000, "12,345.5": 12345.5, "0,250": 0.25, "1,0000": 1}.items():
        loss.field.value = typed
        assert loss.value == meant
    loss.field.value = "0.51"
    loss.field.value = "low <b>"
    assert "no number" in loss.note.value and loss.value is None
    loss.field.value = "nan"
    assert "no number" in loss.note.value and "No guess yet" in result.line.value
    assert quiz.guess("99.loss", "The loss?").value == 0.51  # what was no guess isn't kept
    loss.field.value = "1"
    assert "Close" not in loss.beside(math.nan).line.value
    loss.field.value = ""
    assert not loss.note.value and quiz.guess("99.loss", "The loss?").value is None


# --- Exercises that train -------------------------------------------------------------------------


def trained(**options):
    return training.training(
        lambda seed: tiny_learner(seed), 0.9, "Well.", "Longer.", "Twice as long.", **options
    )


def tiny_learner(seed):
    images = coloured()
    pixels = images.train.images[0].numel()
    torch.manual_seed(seed)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), Scaled(), torch.nn.Linear(pixels, len(images.classes))
    )
    return Learner(net, images, seed=seed)


class Scaled(torch.nn.Module):
    def forward(self, x):
        return x.float() / 255


def untrained(learn):
    return None


def too_much(learn):
    learn.fit(0.1, 4)


def too_much_unrecorded(learn):
    for _ in learn.steps([0.1] * 4 * learn.n_batches):
        pass


def too_much_forgotten(learn):
    learn.fit(0.1, 2)
    learn.history.loss.clear()
    learn.batch_size = 1  # an epoch has more mini-batches now, and no more pictures
    learn.fit(0.1, 2)


def a_loop_of_its_own(learn):
    optimizer = torch.optim.SGD(learn.model.parameters(), lr=0.1)
    for _ in range(100):
        pixels, labels = learn.images.train
        torch.nn.functional.cross_entropy(learn.model(pixels), labels).backward()
        optimizer.step()


def too_much_in_a_copy(learn):
    copy.deepcopy(learn).fit(0.1, 4)


def step_by_step(learn):
    """A finder's steps are put back, and so they don't count."""
    learn.lr_find(steps=50)
    learn.batch_size = 7
    for _ in learn.steps([1e-9] * 3 * learn.n_batches):
        pass


def trains_on(part):
    """A function that trains on these pictures for one epoch, and puts the given ones back."""

    def answer(learn):
        given = learn.images
        learn.set_data(part(given))
        learn.fit(1e-9, 1)
        learn.set_data(given)

    return answer


def sleeps(learn):
    while True:
        time.sleep(0.01)


def never_stops(learn):
    with suppress(KeyboardInterrupt):
        sleeps(learn)


def out_of_time(learn):
    raise TimeoutError("of a connection")


def refused(learn):
    raise training.Refused("These are no pictures.")


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (3, "wrong", "A function is wanted here"),
        (untrained, "waiting", "nothing has been trained yet"),
        (too_much, "wrong", "Everybody has 3 epochs here"),
        (refused, "wrong", "These are no pictures."),
        (out_of_time, "wrong", "It ends in an error, TimeoutError: of a connection"),
        (lambda learn: learn.fit("fast", 1), "wrong", "It ends in an error"),
        (lambda learn: learn.fit(1e-9, 3), "wrong", "is asked for. Longer."),
        (lambda learn: learn.fit(1e-9, 1), "wrong", "trained for 1 of the 3 epochs"),
        (too_much_unrecorded, "wrong", "Everybody has 3 epochs here"),
        (too_much_forgotten, "wrong", "Everybody has 3 epochs here"),
        (too_much_in_a_copy, "wrong", "Everybody has 3 epochs here"),
        (a_loop_of_its_own, "wrong", "not by learn.fit or learn.steps"),
        (step_by_step, "wrong", "is asked for. Longer."),
        (lambda learn: learn.lr_find(steps=5), "waiting", "nothing has been trained yet"),
        (trains_on(lambda images: replace(images, train=images.valid)), "wrong", "other pictures"),
        (trains_on(lambda images: images.with_training([0, 3])), "wrong", "of the 3 epochs"),
    ],
)
def test_an_exercise_that_trains_says_what_is_wrong(answer, status, message):
    verdict = trained(epochs=3).judge(answer)
    assert verdict.status == status and message in verdict.message, verdict


def test_an_accuracy_missed_by_one_picture_is_seen_to_be_missed():
    def judged(n_right, n):
        def start(seed):
            learn = tiny_learner(seed)
            pixels = learn.images.valid.images[:1].expand(n, -1, -1, -1)
            valid = learn.images.valid._replace(images=pixels, labels=torch.zeros(n).long())
            learn.set_data(replace(learn.images, valid=valid))
            learn.predict = lambda images: torch.eye(5)[(torch.arange(n) >= n_right).long()]
            return learn

        exercise = training.training(start, 0.9, "Well.", "Longer.", "Twice as long.")
        return exercise.judge(lambda learn: learn.fit(1e-9, 1))

    assert judged(900, 1000) == Verdict("right", "Well.")
    assert "an accuracy of 0.899; 0.90 is" in judged(8996, 10000).message


def test_an_exercise_that_trains_measures_every_seed_and_the_judges_own_pictures():
    seen = []

    def perfect(learn, answer):
        seen.append(torch.initial_seed())
        learn.fit(1e-9, 1)
        learn.predict = lambda images: torch.nn.functional.one_hot(learn.images.valid.labels)

    assert trained(use=perfect, seeds=(3, 5)).judge(untrained) == Verdict("right", "Well.")
    assert seen == [3, 5]


@pytest.mark.parametrize(
    ("lr", "about"), [(1e-9, ""), (1e-9, "No."), (0.0, "")], ids=["missed", "wrong", "untrained"]
)
def test_no_further_seed_is_run_once_nothing_can_make_it_right(lr, about):
    seen = []

    def use(learn, answer):
        seen.append(torch.initial_seed())
        if lr:
            learn.fit(lr, 1)
        truth = learn.images.valid.labels
        guess = truth if about else torch.zeros_like(truth)
        learn.predict = lambda images: torch.nn.functional.one_hot(guess, 5)

    judge = trained(use=use, seeds=(3, 5, 7, 9), about=lambda learn, accuracy: about).judge
    assert judge(untrained).status == ("wrong" if lr else "waiting")
    assert seen == [3]


def test_an_exercise_that_trains_leaves_the_readers_random_numbers_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    trained().judge(lambda learn: torch.rand(5))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("answer", [sleeps, never_stops])
def test_an_exercise_that_trains_too_long_is_stopped(answer):
    started = time.monotonic()
    assert "more than 0 seconds" in trained(seconds=0.2).judge(answer).message
    assert time.monotonic() - started < 20


def test_weights_that_are_missing_are_no_try_of_the_readers():
    def start(seed):
        raise FileNotFoundError("The weights are missing.")

    exercise = training.training(start, 0.9, "Well.", "Longer.", "Twice as long.")
    with pytest.raises(FileNotFoundError, match="weights are missing"):
        exercise.judge(untrained)


def test_ctrl_c_in_an_exercise_that_trains_goes_on():
    def interrupted(learn):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained().judge(interrupted)


# --- The closing quiz ---------------------------------------------------------------------------


def test_the_quiz_answers_each_choice_with_sign_word_and_reason(page_99):
    closing = quiz.multiple_choice("99")
    assert closing.chosen == [None, None]
    climbs, nothing = closing.asked
    assert climbs["text"] == "What does <code>lr</code> &lt; 0 do?"
    assert [option["text"] for option in climbs["options"]] == ["climbs", "nothing"]
    assert [option["right"] for option in nothing["options"]] == [False, True]
    right, wrong = (option["said"] for option in climbs["options"])
    assert right == "<b>✓ Right.</b> It goes <em>up</em> the loss."
    assert wrong == "<b>✗ Not so.</b> It moves."


def test_each_click_is_kept_in_its_order(page_99, monkeypatch):
    closing, told = quiz.multiple_choice("99"), []
    monkeypatch.setattr(records, "write", lambda name, kept: told.append(kept))
    closing.keep("99", "Answers", lambda question, option: (question.text[:4], option.text))
    for question, option in ((1, 0), (1, 1), (0, 0)):
        closing._handle_custom_msg({"question": question, "option": option}, [])
    assert closing.chosen == [0, 1]
    texts = [option.text for option in closing.questions[1].options]
    assert told == [("And ", texts[0]), ("And ", texts[1]), ("What", "climbs")]


@pytest.mark.parametrize("chosen", [[], [1], [None, 2], [-1, None], ["yes", None], [None] * 3])
def test_what_nobody_can_choose_is_refused(page_99, chosen):
    closing = quiz.multiple_choice("99")
    with pytest.raises(traitlets.TraitError, match="each of the 2 questions"):
        closing.chosen = chosen
    assert closing.chosen == [None, None]
    closing.chosen = [np.int64(1), None]
    assert type(closing.chosen[0]) is int


def test_the_quiz_reads_the_same_without_a_kernel(page_99):
    closing = quiz.multiple_choice("99")
    before = closing._repr_mimebundle_()
    closing.chosen = [1, None]
    bundle = closing._repr_mimebundle_()
    assert bundle == before
    assert bundle["text/plain"] == "quiz 99: 2 questions"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    page = bundle["text/html"]
    assert "<code>lr</code> &lt; 0" in page and "It goes <em>up</em> the loss." in page
    assert page.count("<details>") == 2
    before_first_answers = page.split("<details>")[0]
    assert "climbs" in before_first_answers and "✓" not in before_first_answers


def test_a_notebook_without_quiz_is_refused(page_99):
    page_99.unlink()
    with pytest.raises(ValueError, match="Notebook 99 has no quiz"):
        quiz.multiple_choice("99")


def test_questions_are_read_as_they_are_written(page_99):
    climbs, nothing = quiz.multiple_choice("99").questions
    assert climbs.text == "What does `lr` < 0 do?"
    assert climbs.options == [
        Option("climbs", True, "It goes *up* the loss."),
        Option("nothing", False, "It moves."),
    ]
    assert nothing.text == "And 0, or nearly?"
    assert [option.right for option in nothing.options] == [False, True]
    page_99.write_text("## Why?\n\n- [ ] so\n  No.\n- [X] or so\n  Yes.\n", encoding="utf-8")
    assert [option.right for option in quiz.multiple_choice("99").questions[0].options] == [0, 1]


@pytest.mark.parametrize(
    "page",
    [
        "## Why?\n",
        "## Why?\n\n- [x] so\n- [ ] or so\n  No.\n",
        "## Why?\n\n- [ ] so\n  No.\n- [ ] or so\n  No.\n",
    ],
)
def test_a_question_without_options_or_reasons_or_a_right_one_is_named(page_99, page):
    page_99.write_text(page, encoding="utf-8")
    with pytest.raises(ValueError, match=r"notebook_99\.md, 'Why\?'"):
        quiz.multiple_choice("99")


def test_neither_quiz_nor_progress_loads_torch_or_widgets():
    heavy = "{'torch', 'matplotlib', 'ipywidgets', 'IPython', 'tqdm'}"
    code = f"import sys; from lessonkit import progress, quiz; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
