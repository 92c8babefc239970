"""Numbers that are checked, exercises that answer back, and the closing quiz."""

import math
import re
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from lessonkit.course.exercises import quiz
from lessonkit.course.exercises.quiz import Option, Question, Verdict, choice, function, number


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
        wrong=[(max, "That is the largest."), (lambda values: sorted(values), "Only sorted.")],
        hint="Add up, then divide.",
    ),
    "99.7": function(
        lambda x, n: x.repeat(n), [(torch.tensor([1.0, 2.0]), 2)], why="Twice.", hint="No."
    ),
    "99.8": function(lambda x: "too high" if x > 1 else "right", [0.5, 2.0], why="Yes."),
}
QUESTIONS = [
    Question(
        "What does `lr` < 0 do?",
        [Option("climbs", True, "It goes *up* the loss."), Option("nothing", False, "It moves.")],
    ),
    Question("And 0?", [Option("climbs", False, "No step."), Option("nothing", True, "No step.")]),
]


@pytest.fixture(autouse=True)
def notebook_99(monkeypatch):
    module = ModuleType("lessonkit.course.exercises.notebook_99")
    module.EXERCISES, module.QUESTIONS = EXERCISES, QUESTIONS
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


# --- roughly ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ({"value": 0.8999, "expected": 0.86, "within": 0.04}, "≈0.86\n"),
        ({"value": 0.9, "expected": 0.86, "within": 0.04}, "≈0.86\n"),
        ({"value": 0.83, "expected": 0.86, "within": 0.04, "what": "accuracy"}, "accuracy ≈0.86\n"),
        ({"value": 2.01, "expected": 3.0, "factor": 1.5}, "≈3 (within a factor of 1.5)\n"),
        ({"value": torch.tensor(1.2e-5), "expected": 1e-5, "factor": 1.5},
         "≈1e-5 (within a factor of 1.5)\n"),
        ({"value": np.array([-0.52]), "expected": -0.5, "factor": 1.1},
         "≈-0.5 (within a factor of 1.1)\n"),
        ({"value": torch.tensor(2.0, requires_grad=True), "expected": 2, "within": 0}, "≈2\n"),
    ],
)  # fmt: skip
def test_roughly_prints_its_arguments_only(arguments, printed, capsys):
    assert quiz.roughly(**arguments) is None
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("value", "tolerance"),
    [
        (0.8, {"within": 0.04}),
        (math.nan, {"within": 0.04}),
        (math.nan, {"factor": 1.5}),
        (math.inf, {"factor": 1.5}),
        (-0.86, {"factor": 1.5}),
        (0.0, {"factor": 1.5}),
        (0.86 * 1.51, {"factor": 1.5}),
        (0.86 / 1.51, {"factor": 1.5}),
    ],
)
def test_roughly_raises_with_the_real_value(value, tolerance, capsys):
    with pytest.raises(quiz.Drifted, match=f"accuracy is {value:.5g}, where") as caught:
        quiz.roughly(value, 0.86, **tolerance, what="accuracy")
    assert isinstance(caught.value, AssertionError)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "tolerance", [{}, {"within": 1, "factor": 2}, {"within": -1}, {"factor": 0.5}]
)
def test_roughly_wants_one_sensible_tolerance(tolerance):
    with pytest.raises(ValueError, match="within"):
        quiz.roughly(1, 1, **tolerance)


@pytest.mark.parametrize("value", ["0.86", None, [0.86], torch.ones(2), True])
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
        ("99.3", 7.01, "wrong", "Not this number. Read the part above once more."),
    ],
)
def test_number(exercise, answer, status, message):
    assert quiz.judge(exercise, answer) == Verdict(status, message)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("7", "a text"), ([7], "a list"), (True, "True or False"), (mean, "a function"),
     (torch.ones(2), r"an array of shape \[2\]"), (object(), "of type object"), (7j, "complex")],
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
        ("99.4", ["b"], "wrong", "Answer with one of these: 'a', 'b'."),
        ("99.5", True, "right", "It does indeed."),
        ("99.5", "false", "wrong", "It does."),
    ],
)
def test_choice(exercise, answer, status, message):
    assert quiz.judge(exercise, answer) == Verdict(status, message)


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
        (lambda v: v[:1], "wrong", "your function([1.0, 2.0, 6.0]) returns shape [1], where a "
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


# --- The closing quiz ---------------------------------------------------------------------------


def test_the_quiz_answers_each_choice_with_sign_word_and_reason():
    closing = quiz.multiple_choice("99")
    assert [radio.index for radio in closing.radios] == [None, None]
    closing.radios[0].index = 1
    assert "✗ Not so." in closing.answers[0].value and "It moves." in closing.answers[0].value
    assert closing.answers[1].value == ""
    closing.radios[0].index = 0
    closing.radios[1].value = "nothing"
    assert "✓ Right." in closing.answers[0].value and "It moves." not in closing.answers[0].value
    assert "2 of 2" in closing.score.value


def test_the_quiz_reads_the_same_without_a_kernel():
    closing = quiz.multiple_choice("99")
    before = closing._repr_mimebundle_()
    closing.radios[0].index = 1
    bundle = closing._repr_mimebundle_()
    assert bundle == before
    assert bundle["text/plain"] == "quiz 99: 2 questions"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    page = bundle["text/html"]
    assert "<code>lr</code> &lt; 0" in page and "It goes <em>up</em> the loss." in page
    assert page.count("<details>") == 2
    before_first_answers = page.split("<details>")[0]
    assert "climbs" in before_first_answers and "✓" not in before_first_answers


def test_a_notebook_without_quiz_is_refused(notebook_99):
    notebook_99.QUESTIONS = []
    with pytest.raises(ValueError, match="Notebook 99 has no quiz"):
        quiz.multiple_choice("99")


def test_neither_quiz_nor_progress_loads_torch_or_widgets():
    heavy = "{'torch', 'matplotlib', 'ipywidgets', 'IPython', 'tqdm'}"
    code = f"import sys; from lessonkit import progress, quiz; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
