"""The clinic: patients that are really ill, treatments that change one thing, honest quizzes."""

import re
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from lessonkit import Learner, augment
from lessonkit.course import records
from lessonkit.course.clinic import diagnoses
from lessonkit.course.clinic import patients as clinic
from lessonkit.course.pictures import notebook_10 as charts
from lessonkit.data import ImageData, Split
from lessonkit.learner import History

patient, treat = cache(clinic.patient), cache(clinic.treat)  # once for all tests
ILL_BY_LOSS = [1, 2, 3, 4, 5, 6, 7, 10, 11, 12]  # 8 looks too good, 9 looks the same


@pytest.mark.slow
@pytest.mark.parametrize("number", ILL_BY_LOSS)
def test_a_treatment_lowers_the_validation_loss(number):
    ill, well = patient(number), treat(number)
    assert well.valid_loss < 0.95 * ill.valid_loss


@pytest.mark.slow
def test_the_leak_flatters_and_its_treatment_tells_the_truth():
    assert patient(8).accuracy > treat(8).accuracy + 0.08
    train, valid = clinic.boxes()
    assert len(train) == 2542 and len(valid) == 723
    known = {tuple(box) for box in train}
    assert not any(tuple(box) in known for box in valid)  # no copies: they only overlap


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_another():
    first, again, other = patient(2), clinic.patient(2), clinic.patient(2, seed=1)
    assert first.learn.history.loss == again.learn.history.loss
    assert first.learn.history.loss != other.learn.history.loss


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 6, 11])
def test_a_fresh_patient_is_untrained_and_ill_as_before(number):
    learn, ill = clinic.fresh(number), patient(number)
    assert learn.history == History()
    assert learn.augment == ill.learn.augment and learn.frozen_to == ill.learn.frozen_to
    assert torch.equal(learn.images.train.labels, ill.learn.images.train.labels)


def test_one_batch_tells_who_can_learn_and_changes_nothing():
    learn = clinic.fresh(2)
    before = [weights.clone() for weights in learn.model.state_dict().values()]
    assert clinic.loss_on_one_batch(learn) < 0.1
    pairs = zip(before, learn.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert clinic.loss_on_one_batch(learn, lr=1e-9) > 1.5  # it must be the steps that do it


def test_one_batch_has_pictures_of_all_classes():
    split = Split(torch.randn(60, 6), (torch.arange(60) >= 40).long())  # class after class
    images = ImageData(split, split, ["no", "yes"], 1, augment.none(), "rows", lambda size: None)
    says_no = nn.Linear(6, 2)
    with torch.no_grad():
        says_no.weight.zero_(), says_no.bias.copy_(torch.tensor([9.0, -9.0]))
    head = Learner(nn.Sequential(says_no), images)
    assert 3 < clinic.loss_on_one_batch(head, lr=1e-9, steps=1) < 9


def test_one_batch_may_be_small_and_may_be_activations():
    learn = clinic.fresh(2)
    learn.set_data(learn.images.with_training(range(9)))
    assert clinic.loss_on_one_batch(learn) < 0.1
    numbers = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    labels = (numbers[:, 0] > 0).long()
    split = Split(numbers, labels)
    images = ImageData(split, split, ["no", "yes"], 1, augment.none(), "numbers", lambda size: None)
    head = Learner(nn.Sequential(nn.Linear(6, 2)), images)
    assert clinic.loss_on_one_batch(head, lr=1.0) < 0.3


@pytest.mark.parametrize("number", [0, 13, -1])
def test_an_unknown_patient_gets_a_sentence(number):
    for ask in (clinic.patient, clinic.treat, clinic.mistake, diagnoses.diagnose):
        with pytest.raises(ValueError, match="1 to 12"):
            ask(number)
    with pytest.raises(ValueError, match="by hand"):
        clinic.fresh(number)


def test_every_patient_has_a_chart_a_mistake_and_a_diagnosis():
    assert set(clinic.PATIENTS) == set(diagnoses.SUSPECTS) == set(range(1, 13))
    assert set(charts.CHARTS) == set(range(13))
    for number in clinic.PATIENTS:
        assert re.fullmatch(rf"{number}, [a-z ]+: [A-Z].*\.", clinic.mistake(number))
        options = diagnoses.SUSPECTS[number]
        assert sum(option.right for option in options) == 1
        assert len({option.text for option in options}) >= 4
        assert all(len(option.text) < 90 for option in options)
        assert repr(diagnoses.diagnose(number)) == f"quiz patient {number}: 1 question"


def test_the_right_diagnosis_is_not_always_at_the_same_place():
    places = [[o.right for o in options].index(True) for options in diagnoses.SUSPECTS.values()]
    assert len(set(places)) >= 3


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSONKIT_RECORDS", str(tmp_path))


def choose(number, right, asked=None):
    """Diagnose a patient, rightly or wrongly."""
    options = diagnoses.SUSPECTS[number]
    place = [option.right for option in options].index(right)
    asked = asked or diagnoses.diagnose(number)
    asked.choose(0, place)
    return asked


def test_the_first_diagnosis_of_each_patient_is_counted(own_folder):
    score = diagnoses.score()
    assert "0 of 12 right at the first go, 12 not diagnosed yet." in score.table.value
    asked = choose(1, False)
    choose(1, True, asked)  # told what is wrong with it: too late
    choose(1, True)  # nor after a restart
    choose(9, True)
    found = diagnoses.first_diagnoses()
    assert set(found) == {1, 9} and not found[1][1] and found[9][1]
    score.show()
    assert "1 of 12 right at the first go, 10 not diagnosed yet." in score.table.value
    for number in clinic.PATIENTS:
        choose(number, True)
    score.show()
    assert "11 of 12 right at the first go.</b>" in score.table.value
    diagnoses.forget()
    assert diagnoses.first_diagnoses() == {} and not records.path("diagnoses").exists()


def test_the_score_does_not_tell_what_a_patient_has_that_is_not_diagnosed(own_folder):
    choose(2, False)
    shown = diagnoses.score().table.value
    told = [o.text for options in diagnoses.SUSPECTS.values() for o in options if o.right]
    wrong = diagnoses.first_diagnoses()[2][0]
    assert wrong in shown and not any(text in shown for text in set(told) - {wrong})


def test_what_a_notebook_stores_does_not_depend_on_diagnoses(own_folder):
    before = diagnoses.score()._repr_mimebundle_()["text/plain"]
    choose(3, True)
    assert diagnoses.score()._repr_mimebundle_()["text/plain"] == before


def test_damaged_diagnoses_are_kept_aside(own_folder, capsys):
    records.path("diagnoses").write_text('{"one": 2}', encoding="utf-8")
    assert diagnoses.first_diagnoses() == {}
    assert "can't be read" in capsys.readouterr().out
    records.write("diagnoses", {"1": "A suspect of an older edition"})
    assert diagnoses.first_diagnoses() == {}


def test_a_single_question_has_no_number_and_no_count_of_its_own(own_folder):
    asked = choose(7, True)
    assert [question["text"] for question in asked.asked] == ["What is wrong with patient 7?"]
    assert "<ol><li>" not in asked._repr_mimebundle_()["text/html"]


def test_no_chart_names_the_illness():
    for number, (notes, _) in charts.CHARTS.items():
        words = set(clinic.PATIENTS[number].__name__.split("_")) if number else set()
        telling = words - {"learning", "rate", "too", "the", "still", "not", "never", "body"}
        assert not telling & set(notes.split())


@pytest.mark.slow
def test_charts_are_drawn_from_what_was_measured(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    run = patient(3)
    charts.chart(run)
    figure = plt.gcf()
    bars = [patch.get_height() for patch in figure.axes[3].patches]
    assert bars[:3] == [1, 1, 1] and bars[3:] == [0, 0, 0]
    accuracy = figure.axes[1].lines[0].get_ydata()
    assert np.allclose(accuracy, [epoch["accuracy"] for epoch in run.learn.history.epochs])
    charts.treated((run, treat(3)))
    assert len(plt.gcf().axes) == 2
    charts.treated((run, treat(3)), (run, treat(3)))
    assert len(plt.gcf().axes) == 4 and plt.gcf().get_figwidth() <= 9.5
    plt.close("all")
