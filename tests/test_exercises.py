"""Every exercise: right answers are taken, plausible wrong ones refused with fitting hints."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch

from lessonkit.course.exercises import quiz, training

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = sorted(p.stem[-2:] for p in (ROOT / "lessonkit/course/exercises").glob("notebook_*.py"))


def exercises(number):
    return importlib.import_module(f"lessonkit.course.exercises.notebook_{number}")


def answers(number):
    path = Path(__file__).with_name("answers") / f"notebook_{number}.py"
    spec = importlib.util.spec_from_file_location(f"answers_{number}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RIGHT = [(name, a) for number in NUMBERS for name, a in answers(number).RIGHT.items()]
ALSO_RIGHT = [
    (name, answer)
    for number in NUMBERS
    for name, others in getattr(answers(number), "ALSO_RIGHT", {}).items()
    for answer in others
]
WRONG = [
    (name, answer, word)
    for number in NUMBERS
    for name, wrong in answers(number).WRONG.items()
    for answer, word in wrong
]


@pytest.mark.parametrize("number", NUMBERS)
def test_every_exercise_has_a_right_answer_and_three_wrong_ones(number):
    names = set(exercises(number).EXERCISES)
    assert 3 <= len(names) <= 5 and all(name.startswith(f"{number}.") for name in names)
    assert set(answers(number).WRONG) == names
    assert set(answers(number).RIGHT) == {name for name in names if not is_trained(name)}
    assert all(len(wrong) >= 3 for wrong in answers(number).WRONG.values())


def is_trained(name):
    """Whether an exercise trains what it is given. Its right answer is in the solutions, which are
    executed and compared, and isn't trained here once more."""
    return exercises(name[:2]).EXERCISES[name].judge.__module__ == training.__name__


@pytest.mark.parametrize("number", NUMBERS)
def test_the_solutions_answer_every_exercise_and_are_right(number):
    [path] = (ROOT / "notebooks" / "solutions").glob(f"{number}_*.ipynb")
    outputs = [o for cell in nbformat.read(path, 4).cells for o in cell.get("outputs", [])]
    told = "\n".join(output.get("text", "") for output in outputs)
    assert sorted(re.findall(r"^✓ (\d\d\.\d):", told, re.M)) == sorted(exercises(number).EXERCISES)
    assert "✗" not in told


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=[name for name, _ in RIGHT])
def test_the_right_answer_is_taken(name, answer):
    verdict = quiz.judge(name, answer)
    assert verdict.status == "right", verdict.message


@pytest.mark.parametrize(
    ("name", "answer"), ALSO_RIGHT, ids=[f"{name}-{i}" for i, (name, _) in enumerate(ALSO_RIGHT)]
)
def test_the_same_answer_in_another_form_is_taken(name, answer):
    assert quiz.judge(name, answer).status == "right"


@pytest.mark.parametrize(
    ("name", "answer", "word"), WRONG, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(WRONG)]
)
def test_a_wrong_answer_is_refused_with_a_hint_that_fits(name, answer, word):
    verdict = quiz.judge(name, answer)
    assert verdict.status == "wrong"
    assert word.lower() in verdict.message.lower(), verdict.message


def test_an_lr_that_stays_is_not_called_too_high():
    said = exercises("01")._about_the_lr
    stays, falls, low = ([0.005] * 9, [0.3, 0.2, 0.1, 0.0], [0.006, 0.003, 0.0])
    assert "come down" in said(SimpleNamespace(history=SimpleNamespace(lr=stays)), 0.87)
    assert "too high" in said(SimpleNamespace(history=SimpleNamespace(lr=falls)), 0.87)
    assert "too low a top" in said(SimpleNamespace(history=SimpleNamespace(lr=low)), 0.87)


KEPT = np.arange(62) % 3 > 0  # as a mask, of as many photos as exercise 08.3 has


@pytest.mark.parametrize(
    "chosen",
    [
        KEPT,
        torch.tensor(KEPT),
        KEPT.astype(int),
        KEPT.astype(float).tolist(),
        np.flatnonzero(KEPT),
        np.where(KEPT),
        torch.where(torch.tensor(KEPT)),
        (torch.tensor(KEPT),),
        set(np.flatnonzero(KEPT).tolist()),
    ],
    ids=lambda chosen: type(chosen).__name__,
)
def test_rows_to_keep_may_be_given_in_many_ways(chosen):
    found = exercises("08")._rows(chosen, len(KEPT))
    assert sorted(found.tolist()) == np.flatnonzero(KEPT).tolist()


@pytest.mark.parametrize("name", [name for number in NUMBERS for name in answers(number).WRONG])
def test_an_unanswered_exercise_waits(name):
    assert quiz.judge(name, ...).status == "waiting"


@pytest.mark.parametrize("number", NUMBERS)
def test_the_closing_quiz_has_one_right_option_and_a_reason_for_each(number):
    for question in quiz.multiple_choice(number).questions:
        assert sum(option.right for option in question.options) == 1
        assert len({option.text for option in question.options}) >= 3
        assert all(re.search(r"\w{3}", option.why) for option in question.options)
