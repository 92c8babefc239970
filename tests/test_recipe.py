"""The 8 steps: their order, what they record, that the best cycle is kept."""

import pytest
import torch

from lessonkit import Learner, augment, eight_steps, models, recipe
from lessonkit.training.history import Diverged
from tests.tiny import coloured

NAMES = [
    "augmentation on, precompute on",
    "find a learning rate",
    "train the head",
    "train the head with augmentation",
    "unfreeze",
    "lower LRs for earlier layers",
    "find the learning rate again",
    "train the whole network",
]


@pytest.fixture(scope="module")
def report():
    return eight_steps(coloured(60, 32, how=augment.side_on()), seed=0)


def test_there_are_eight_steps_in_the_lessons_order(report):
    assert [step.name for step in report.steps] == NAMES
    assert all(step.seconds >= 0 and 0 <= step.accuracy <= 1 for step in report.steps)
    assert report.seconds >= sum(step.seconds for step in report.steps)


def test_steps_that_do_not_train_say_what_they_chose_and_keep_the_accuracy(report):
    steps = report.steps
    for number in (2, 5, 6, 7):
        assert steps[number - 1].chose
        assert steps[number - 1].accuracy == steps[number - 2].accuracy
    assert steps[1].lr == steps[2].lr == steps[3].lr > 0
    assert steps[6].lr == steps[7].lr and len(steps[7].lr) == 3
    assert steps[5].lr is None  # shares of the head's LR are no LRs


def test_the_report_is_about_the_learner_as_it_is_now(report):
    assert report.accuracy == pytest.approx(report.learner.validate()[1])
    assert report.accuracy_tta == pytest.approx(report.learner.validate(tta=True)[1])
    assert report.accuracy > 0.9  # three colours: easy
    assert all(name in report.table() for name in NAMES)


def test_the_same_seed_gives_the_same_run(report):
    again = eight_steps(coloured(60, 32, how=augment.side_on()), seed=0)
    assert again.learner.history.loss == report.learner.history.loss
    assert [s.lr for s in again.steps] == [s.lr for s in report.steps]


@pytest.mark.parametrize(("sure", "ratio"), [(0.8, 0.01), (0.4, 1 / 9), (0.1, 1.0)])
def test_the_less_familiar_the_pictures_the_more_early_layers_may_change(
    monkeypatch, report, sure, ratio
):
    monkeypatch.setattr(recipe, "familiarity", lambda *_: sure)
    ratios, _ = recipe.lr_ratios(report.learner)
    assert ratios == pytest.approx([ratio, ratio**0.5, 1.0])


class Scripted(Learner):
    """A learner whose cycles end with the (loss, accuracy) pairs that it is given."""

    def __init__(self, results):
        super().__init__(models.small_cnn(3, 4), coloured())
        self.results, self.cycles, self.now = list(results), [], (1.0, 0.5)

    def fit(self, lr, n_cycle, cycle_len=None, cycle_mult=1):
        result = self.results.pop(0)
        if result is None:
            raise Diverged("too high")
        self.cycles.append(cycle_len)
        self.now = result
        with torch.no_grad():
            self.groups[-1].bias.fill_(len(self.cycles))

    def validate(self, tta=False):
        return self.now


@pytest.mark.parametrize(
    ("results", "cycles", "kept"),
    [
        ([(0.9, 0.6), (0.8, 0.7), (0.7, 0.8)], [1, 2, 4], 3),  # better all the way
        ([(0.9, 0.6), (0.8, 0.7), (0.9, 0.6)], [1, 2, 4], 2),  # the last is overfitting
        ([(0.9, 0.7), (1.0, 0.6), (0.1, 0.9)], [1, 2], 1),  # stops when the loss rises
        ([(0.9, 0.6), (0.8, 0.6), (0.9, 0.6)], [1, 2, 4], 2),  # of equal accuracy, lower loss
        ([(0.9, 0.6), None], [1], 1),  # divergence ends it
    ],
)
def test_cycles_double_until_the_loss_rises_and_the_best_is_kept(results, cycles, kept):
    learn = Scripted(results)
    recipe.train_until_overfitting(learn, [1e-3] * 3)
    assert learn.cycles == cycles
    assert learn.groups[-1].bias[0] == kept


def test_if_no_cycle_is_better_the_network_stays_as_it_was():
    learn = Scripted([(2.0, 0.4), (3.0, 0.3)])
    before = learn.groups[-1].bias.clone()
    recipe.train_until_overfitting(learn, [1e-3] * 3)
    assert torch.equal(learn.groups[-1].bias, before)
