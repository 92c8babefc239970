"""Every exercise: right answers are taken, plausible wrong ones refused with fitting hints."""

import copy
import importlib.util
import re
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch

from lessonkit import schedule
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


@lru_cache(maxsize=6)  # as many seeds as an exercise has at most: the networks are large
def started(start, seed):
    """What a judge's `start(seed)` returns, and where it leaves torch's random numbers."""
    learn = start(seed)
    after = torch.get_rng_state()
    learn = own_copy(learn)  # not known as the original, its activations would be made again
    if learn.precompute:
        learn.activations()
    return learn, after


def own_copy(learn):
    """A copy of a learner, with the same pictures: nobody changes those."""
    return copy.deepcopy(learn, {id(learn.images): learn.images})


@pytest.fixture(scope="module", autouse=True)
def start_each_learner_once():
    """Every answer to an exercise that trains is given a copy of the same learners."""
    plain = training._run

    def run(start, use, answer, seed, epochs):
        def again(seed):
            learn, after = started(start, seed)
            torch.set_rng_state(after)
            return own_copy(learn)

        return plain(again, use, answer, seed, epochs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_run", run)
        yield
    started.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def make_up_the_accuracies_of_09_5():
    """What 09.5 measures is made up, after the seed and the change, as if it had been trained.

    Its solution trains, and is executed and compared; here only comparisons are judged.
    """

    def accuracy(change, seed):
        if change not in exercises("09").CHANGES:
            return trained(change, seed)  # which refuses it
        of_the_seed = np.random.default_rng(seed).normal(0, 0.03)
        of_the_run = np.random.default_rng([*change.encode(), seed]).normal(0, 0.01)
        return 0.8 + of_the_seed + of_the_run

    trained = exercises("09").trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exercises("09"), "trained", accuracy)
        yield trained


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


@pytest.mark.parametrize("change", ["none", "constant LR"])
def test_a_change_of_09_5_is_trained_once(change, make_up_the_accuracies_of_09_5):
    trained = make_up_the_accuracies_of_09_5
    assert 0.6 < trained(change, 3) < 1
    known = trained.cache_info().hits
    assert trained(change, 3) == trained(change, 3) and trained.cache_info().hits == known + 2


def test_training_unvalidated_does_what_fit_does():
    fitted, unvalidated = (exercises("03")._glass_door(7) for _ in range(2))
    fitted.fit(0.01, 1, cycle_len=2)
    lrs = schedule.cosine(0.01, 2 * unvalidated.n_batches)
    training.train_unvalidated(unvalidated, lrs)
    both = (learn.model.state_dict().values() for learn in (fitted, unvalidated))
    assert all(map(torch.equal, *both))
    assert fitted.history.epochs and not unvalidated.history.epochs


def test_a_fit_of_too_many_epochs_is_refused_before_it_begins():
    def answer(learn):
        seen.append(learn)
        learn.fit(0.1, 4, cycle_len=1)

    seen = []
    assert "not more time" in quiz.judge("04.2", answer).message
    assert not seen[0].history.loss


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
