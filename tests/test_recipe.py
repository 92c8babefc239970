"""The 8 steps: their order, what they record, that the best cycle is kept."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lessonkit import Learner, augment, data, eight_steps, models, recipe
from lessonkit.lr_finder import LRFinderResult
from lessonkit.machine import progress
from lessonkit.machine.bars import Bar
from lessonkit.recipe import SAFE_LR, Report
from lessonkit.training.history import Diverged
from lessonkit.training.optimizers import radam
from tests.tiny import coloured, creatures_folder

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


@pytest.mark.parametrize(
    ("n", "given", "expected"),
    [(999, {}, {"batch_size": 32}), (1000, {}, {}), (999, {"batch_size": 8}, {"batch_size": 8})],
)
def test_a_few_hundred_pictures_train_in_small_mini_batches(monkeypatch, n, given, expected):
    asked = {}

    def pretrained(arch, images, **how):
        asked.update(how)
        raise InterruptedError  # the rest needn't be trained

    monkeypatch.setattr(Learner, "pretrained", pretrained)
    with pytest.raises(InterruptedError):
        eight_steps(coloured(1503, 16).with_training(range(n)), seed=3, **given)
    assert asked == {"seed": 3, **expected}


def small_pretrained(arch, n_classes):
    """A tiny network with what a pretrained one has: three groups, a head of zeros, a classifier"""
    model = models.small_cnn(n_classes, 8)
    model.imagenet, model.imagenet_size = (torch.nn.Linear(64, 10),), 16
    torch.nn.init.zeros_(model.imagenet[0].weight)
    torch.nn.init.zeros_(model[-1].weight)
    torch.nn.init.zeros_(model[-1].bias)
    return model


@pytest.fixture
def small(monkeypatch):
    """The 8 steps train a tiny network."""
    monkeypatch.setattr(models, "pretrained", small_pretrained)


def run():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "pretrained", small_pretrained)
        patch.setattr(recipe, "familiarity", lambda *_: 0.4)  # so that LRs of groups differ
        pictures = coloured(60, 32, how=augment.side_on())
        return eight_steps(pictures, seed=0, hold_out=0.25, cycles=1)


@pytest.fixture(scope="module")
def report():
    return run()


def test_there_are_eight_steps_in_the_lessons_order(report):
    assert [step.name for step in report.steps] == NAMES
    assert all(step.seconds >= 0 and 0 <= step.accuracy <= 1 for step in report.steps)
    assert report.seconds >= sum(step.seconds for step in report.steps)


def test_what_trains_in_steps_3_4_and_8_and_until_when(small, monkeypatch):
    calls = []

    def train_cycles(learn, lr, epochs, by_loss=False):
        calls.append((by_loss, learn.precompute, learn.frozen_to, [n / epochs[0] for n in epochs]))
        return lr, ""

    limits = []
    monkeypatch.setattr(recipe, "careful_lr", lambda found, most: (limits.append(most) or 1e-3, ""))
    monkeypatch.setattr(recipe, "train_cycles", train_cycles)
    monkeypatch.setattr(recipe, "lr_ratios", lambda learn: ([0.04, 0.2, 1.0], "5 times"))
    learn = eight_steps(coloured(60, 16), cycles=3).learner
    head = (True, True, 2, [1, 2, 4, 8])  # a head converges
    assert calls == [head, (False, False, 2, [1, 1]), (False, False, 0, [1, 2, 4])]
    assert limits == [3 * SAFE_LR, SAFE_LR]  # of the head, and of all layers
    unfamiliar, few = 1 - math.log10(5), learn.n_batches / recipe.MANY
    assert learn.label_smoothing == pytest.approx(0.1 * unfamiliar * few) and few < 1


@pytest.fixture
def planned(small, monkeypatch):
    """What the 8 steps ask for; nothing trains."""
    asked = SimpleNamespace(sweeps=[], cycles=[], lrs=[], bars=[])

    def train_cycles(learn, lr, epochs, by_loss=False):
        asked.cycles.append([*epochs])
        asked.lrs.append(lr)
        return lr, f"note {len(asked.cycles)}"

    def new_bar(title, total, *_):
        asked.bars.append(Bar(title, total))
        return asked.bars[-1]

    lr_find = lambda _, *how, **more: asked.sweeps.append((how, more))  # noqa: E731
    monkeypatch.setattr(Learner, "lr_find", lr_find)
    monkeypatch.setattr(recipe, "careful_lr", lambda found, most: (1e-3, "as ever"))
    monkeypatch.setattr(recipe, "train_cycles", train_cycles)
    monkeypatch.setattr(recipe, "lr_ratios", lambda learn: ([0.25, 0.5, 1.0], "twice"))
    monkeypatch.setattr(progress, "_new_bar", new_bar)
    return asked


@pytest.mark.parametrize("batch_size", [1, 10])
def test_how_long_cycles_and_sweeps_are_and_how_smooth_the_labels(planned, batch_size):
    learn = eight_steps(coloured(60, 16), batch_size=batch_size).learner
    n = learn.n_batches
    assert 60 <= planned.cycles[0][0] * n < 60 + n and 8 <= planned.cycles[2][0] * n < 8 + n
    assert planned.lrs[-1] == pytest.approx([0.25e-3, 0.5e-3, 1e-3])  # the head's is the highest
    assert [n / planned.cycles[-1][0] for n in planned.cycles[-1]] == [1, 2, 4, 8]
    assert planned.sweeps == [((), {}), (([0.25, 0.5, 1.0],), {"steps": 40})]
    assert learn.label_smoothing == pytest.approx(0.1 * (1 - math.log10(2)) * min(1, n / 20))


def test_without_cycles_step_8_trains_nothing(planned):
    assert eight_steps(coloured(60, 16), cycles=0).accuracy >= 0
    assert planned.cycles[-1] == []


def test_the_bar_is_full_when_all_steps_are_done(planned):
    eight_steps(coloured(60, 16))
    assert (planned.bars[0].title, planned.bars[0].total) == ("eight_steps: 8 steps", 8)
    assert planned.bars[0].done == 8


def test_the_first_step_says_what_varies_and_takes_the_time_of_the_activations(
    planned, monkeypatch
):
    order = []

    def noted(real):
        return lambda *args, **how: order.append(real.__name__) or real(*args, **how)

    monkeypatch.setattr(Learner, "activations", noted(Learner.activations))
    monkeypatch.setattr(Report, "add", noted(Report.add))
    images = coloured(60, 16, how=augment.side_on())
    assert eight_steps(images).steps[0].chose == "augmentation side_on"
    assert order[0] == "activations"
    made = eight_steps(images, hold_out=0.25)
    held = len(made.learner.images.test.labels)
    expected = f"augmentation side_on; {held} pictures choose nothing, for the result"
    assert made.steps[0].chose == expected


def test_what_steps_chose_and_what_went_wrong_stands_in_the_table(planned):
    made = eight_steps(coloured(60, 16))
    assert [step.note for step in made.steps if step.note] == ["note 1", "note 2", "note 3"]
    lines = made.table().splitlines()
    for number, step in enumerate(made.steps, 1):
        [at] = [i for i, line in enumerate(lines) if line.startswith(f"{number} {step.name}")]
        assert lines[at + 1].strip() == (step.chose or step.note)


def test_each_step_is_announced_by_its_number():
    bar = Bar("eight_steps", 8)
    made = Report(Learner(models.small_cnn(3, 4), coloured()), bar)
    for number, name in enumerate(NAMES, 1):
        made.begin(name)
        assert bar.about == f"{number} {name}" and bar.done == number - 1
        made.add(chose="nothing")


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
    assert report.learner.frozen_to == 0 and report.learner.optimizer is radam
    lines = report.table().splitlines()
    for number, (name, step) in enumerate(zip(NAMES, report.steps, strict=True), 1):
        [line] = [line for line in lines if line.startswith(f"{number} {name}")]
        assert line.split()[-2:] == [f"{step.accuracy:.3f}", f"{step.seconds:.1f}"]
        lrs = step.lr if isinstance(step.lr, list) else [step.lr] if step.lr else []
        shown = [f"{lr:.1e}" for lr in lrs] or ["–"]
        assert line.removeprefix(f"{number} {name}").split()[:-2] == shown
    [line] = [line for line in lines if line.startswith("all 8 steps")]
    assert line.split()[-2:] == [f"{report.accuracy:.3f}", f"{report.seconds:.1f}"]
    [line] = [line for line in lines if line.startswith("with test-time augmentation")]
    assert line.split()[-1] == f"{report.accuracy_tta:.3f}"


def test_the_same_seed_gives_the_same_run(report):
    again = run()
    assert again.learner.history.loss == report.learner.history.loss
    assert [step.lr for step in again.steps] == [step.lr for step in report.steps]


def test_the_result_is_measured_on_pictures_that_chose_nothing(report):
    images = report.learner.images
    everything = coloured(60, 32)
    assert len(images.test.labels) + len(images.train.labels) == len(everything.train.labels)
    assert torch.equal(images.valid.images, everything.valid.images)
    right = report.learner.predict(images.test.images).argmax(1) == images.test.labels
    assert report.accuracy_test == report.steps[-1].accuracy_test == right.float().mean().item()
    made = report.as_dict()
    assert made["accuracy_test"] == report.accuracy_test and made["n_test"] == len(right)
    assert f"on the {len(right)} test pictures" in report.result and "Result: " in report.table()


def test_without_a_test_set_the_report_says_what_its_accuracy_is_worth(report, monkeypatch):
    monkeypatch.setattr(report.learner, "_images", coloured(60, 32))
    assert "21 validation pictures, which also chose" in report.result
    assert "costs 8 of the 39 training pictures" in report.result
    assert not {"n_test", "accuracy_test", "accuracy_test_tta"} & report.as_dict().keys()


def new_report(images):
    return Report(Learner(models.small_cnn(3, 4), images), Bar("eight_steps", 8))


@pytest.mark.parametrize(("errors", "clearly"), [(-1, False), (1.6, False), (1.7, True), (5, True)])
def test_clearly_better_than_guessing_is_by_164_standard_errors(errors, clearly):
    made = new_report(coloured(60))  # 21 validation pictures, a third of each class
    made.accuracy = 1 / 3 + errors * math.sqrt(1 / 3 * 2 / 3 / 21)
    doubt = "not clearly better than always saying class 0 (0.333)"
    assert (doubt in made.result) != clearly


def test_the_last_accuracies_are_those_with_test_time_augmentation():
    made = new_report(coloured(60).with_hold_out(0.25))
    assert made.accuracy == made.accuracy_tta == made.seconds == 0.0
    learn, labels = made.learner, made.learner.images.test.labels
    learn.validate = lambda tta=False: (1.0, 0.75 if tta else 0.5)
    learn.predict = lambda _, tta=False: torch.eye(3)[labels if tta else (labels + 1) % 3]
    made.finish()
    assert (made.accuracy_tta, made.accuracy_test_tta) == (0.75, 1.0) and made.seconds > 0


def test_a_report_is_written_in_words_that_people_can_read_with_any_files_name(tmp_path):
    skipped = [("Wölfe/\udcff.jpg", "no picture")]
    made = new_report(dataclasses.replace(coloured(), skipped=skipped))
    made.write(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert "Wölfe" in text and text.endswith("}\n")
    assert len(text.splitlines()) > len(made.as_dict())  # an entry to a line
    assert json.loads(text) == made.as_dict()


def test_what_a_step_did_stays_so_and_a_report_is_about_steps_not_bars():
    step = recipe.Step("unfreeze", None, 0.5, 1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.accuracy = 1.0
    made = new_report(coloured())
    made.steps.append(step)
    assert repr(step) in repr(made) and "Bar" not in repr(made)


def test_held_out_pictures_are_a_share_of_each_class_and_stay_so_at_other_sizes():
    images = coloured(90, 16)
    held = images.with_hold_out(0.25, seed=1)
    per_class = torch.bincount(images.train.labels)
    np.testing.assert_array_equal(torch.bincount(held.test.labels), (per_class / 4).round())
    everything = torch.cat([held.train.images, held.test.images]).flatten(1).tolist()
    assert sorted(everything) == sorted(images.train.images.flatten(1).tolist())
    larger = held.resized(24)
    assert torch.equal(larger.test.labels, held.test.labels) and larger.test.images.shape[-1] == 24
    assert not torch.equal(images.with_hold_out(0.25, 2).test.images, held.test.images)
    assert images.key != held.key  # or its activations would be those of other pictures
    for share in (-0.1, 0.7, "a"):
        with pytest.raises(data.DataError, match="hold_out"):
            images.with_hold_out(share)
    for seed in (-1, 1.5):
        with pytest.raises(data.DataError, match="seed"):
            images.with_hold_out(0.25, seed)
    with pytest.raises(data.DataError, match="class 0 has 1 training picture"):
        images.with_training([0, 1, 2]).with_hold_out(0.2)
    with pytest.raises(data.DataError, match="There is a test set already"):
        held.with_hold_out(0.25)


@pytest.mark.parametrize("given", ["photos", None, torch.zeros(3, 3, 16, 16)])
def test_what_is_no_set_of_pictures_gets_a_sentence(given):
    for ask in (recipe.eight_steps, lambda one: Learner.pretrained("tf_efficientnet_lite0", one)):
        with pytest.raises(data.DataError, match="Give pictures as data"):
            ask(given)


def test_without_pictures_to_judge_by_nothing_is_trained():
    images = coloured()
    blind = dataclasses.replace(
        images, valid=data.Split(images.valid.images[:0], images.valid.labels[:0])
    )
    for ask in (recipe.eight_steps, lambda one: Learner(models.small_cnn(3, width=4), one)):
        with pytest.raises(data.DataError, match="no pictures for validation"):
            ask(blind)


@pytest.mark.parametrize("cycles", [-1, 1.5, "two"])
def test_cycles_that_cannot_be_counted_are_refused_before_any_step(cycles):
    with pytest.raises(ValueError, match="cycles is a whole number"):
        recipe.eight_steps(coloured(), cycles=cycles)


# --- Learning rates -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sure", "times", "said"),
    [(0.8, 10, "10.0 times less"), (0.4, 10**0.5, "3.2 times less"),
     (0.25, 10**0.125, "1.3 times less"), (0.1, 1, "equal for all groups")],
)  # fmt: skip
def test_the_less_familiar_the_pictures_the_more_early_layers_may_change(
    monkeypatch, report, sure, times, said
):
    monkeypatch.setattr(recipe, "familiarity", lambda *_: sure)
    ratios, why = recipe.lr_ratios(report.learner)
    assert ratios == pytest.approx([times**-2, 1 / times, 1.0])
    assert why.startswith(said) and f"{sure:.0%} sure" in why


def test_a_little_more_familiar_changes_the_ratios_a_little(monkeypatch, report):
    ratios = []
    for sure in np.linspace(0, 1, 201):
        monkeypatch.setattr(recipe, "familiarity", lambda *_, sure=sure: sure)
        ratios.append(recipe.lr_ratios(report.learner)[0][0])
    steps = np.array(ratios[1:]) / ratios[:-1]
    assert (steps <= 1).all() and steps.min() > 0.9 and ratios[-1] < ratios[0] / 50


LRS = np.geomspace(1e-5, 10, 100)


def test_the_old_classifier_is_asked_about_whole_bytes_that_do_not_wrap_around():
    model, seen = small_pretrained("", 3).eval(), []
    model[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    halves = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)  # enlarging overshoots at such an edge
    halves[..., 4:] = 255
    recipe.familiarity(model, halves)
    assert seen[0].dtype == torch.uint8 and seen[0].shape[-1] == 16
    assert (seen[0][..., :6] < 60).all() and (seen[0][..., 10:] > 195).all()
    recipe.familiarity(model, torch.zeros_like(halves))
    assert not seen[1].any()  # black stays black


def test_the_old_classifiers_answer_is_its_mean_top_probability():
    model = small_pretrained("", 3).eval()
    sure = recipe.familiarity(model, coloured().train.images)
    assert isinstance(sure, float)  # with weights of 0 its biases decide, for all pictures alike
    assert sure == pytest.approx(model.imagenet[0].bias.softmax(0).max().item())


def test_pictures_are_made_smaller_for_the_old_classifier_without_moiré():
    model, seen = small_pretrained("", 3).eval(), []
    model[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    stripes = torch.zeros(1, 3, 48, 48, dtype=torch.uint8)
    stripes[..., ::2] = 255
    recipe.familiarity(model, stripes)
    assert (seen[0] > 60).all() and (seen[0] < 195).all()


@pytest.mark.parametrize("n", [1, 99, 101, 199, 250, 399, 1024])
def test_the_old_classifier_is_asked_about_every_class(n):
    model, seen = small_pretrained("", 3).eval(), []
    model[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 0, 0, 0]))
    shades = (torch.arange(n) * 256 // n).to(torch.uint8)  # class by class, as folders are read
    recipe.familiarity(model, shades[:, None, None, None].expand(n, 3, 8, 8))
    asked = torch.cat(seen).sort().values.int()
    assert len(asked) == min(n, 100)
    edges = torch.tensor([0, *asked.tolist(), 255])
    assert edges.diff().max() <= 2 * 256 / min(n, 100) + 1


def found(losses):
    return LRFinderResult(LRS[: len(losses)], np.array(losses))


def falling(at, spike=None):
    """A finder's curve that falls most around `at` and turns up at ten times that."""
    losses = 2 / (1 + (LRS / at) ** 2) + (LRS / (20 * at)) ** 4
    if spike:
        losses[np.searchsorted(LRS, spike)] += 8.0  # after it, the running mean falls steeply
    return found(losses[losses < 9])


def test_one_rule_that_is_fooled_does_not_decide():
    plain, fooled = falling(1e-3), falling(1e-3, spike=8e-3)
    assert fooled.steepest > 5 * plain.steepest  # as on the solar cells, where it diverged
    assert recipe.careful_lr(fooled, 1)[0] == fooled.lowest / 10 < 2e-3
    by_heart = found(2 / (1 + (LRS / 1e-3) ** 2))  # learned by heart: no lowest point
    assert math.isnan(by_heart.suggestion) and by_heart.lowest == LRS[-1]
    assert recipe.careful_lr(by_heart, 1)[0] == by_heart.steepest < 1e-2


@pytest.mark.parametrize("at", [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1])
def test_an_lr_is_never_far_from_what_has_served_and_says_if_that_is_why(at):
    lr, why = recipe.careful_lr(falling(at), 3 * SAFE_LR)
    assert SAFE_LR / 3 <= lr <= 3 * SAFE_LR
    assert ("has served" in why) == (lr in (SAFE_LR, 3 * SAFE_LR))


@pytest.mark.parametrize("lr", [SAFE_LR / 3, 3 * SAFE_LR])
def test_what_is_still_near_enough_is_the_rules_own_lr(lr):
    agreed = SimpleNamespace(never_falls=False, steepest=lr, lowest=20 * lr)
    assert recipe.careful_lr(agreed, 3 * SAFE_LR) == (lr, "where the loss falls fastest")


@pytest.mark.parametrize(("lr", "kept"), [(0.32 * SAFE_LR, SAFE_LR), (3.1 * SAFE_LR, 3 * SAFE_LR)])
def test_what_is_further_from_what_has_served_is_not_taken(lr, kept):
    agreed = SimpleNamespace(never_falls=False, steepest=lr, lowest=20 * lr)
    assert recipe.careful_lr(agreed, 3 * SAFE_LR)[0] == kept


def test_a_curve_of_nothing_but_noise_gives_an_lr_that_has_served():
    for seed in range(20):
        noise = 2 + 0.02 * np.random.default_rng(seed).standard_normal(100)
        assert recipe.careful_lr(found(noise), SAFE_LR)[0] == SAFE_LR == 1e-3
        assert recipe.careful_lr(found(noise), SAFE_LR / 10)[0] == SAFE_LR / 10


def test_a_fall_by_chance_where_the_lr_is_tiny_is_no_reason_for_a_tiny_lr():
    losses = 0.02 + (LRS / 1e-3) ** 2
    losses[5:9] *= 0.5  # easy mini-batches, while nothing has been learned yet
    curve = found(losses[losses < 1])
    assert not curve.never_falls and curve.lowest < 1e-4
    assert recipe.careful_lr(curve, SAFE_LR)[0] == SAFE_LR


def test_a_head_that_knows_the_pictures_by_heart_is_no_reason_for_a_tiny_lr():
    learned = 0.01 + (LRS / 1e-3) ** 2  # any step away from it makes a loss of next to nothing more
    curve = found(learned[learned < 1])
    assert curve.suggestion < SAFE_LR / 10
    assert recipe.careful_lr(curve, SAFE_LR)[0] == SAFE_LR


# --- Cycles ---------------------------------------------------------------------------------------


class Scripted(Learner):
    """A learner whose cycles end with the (loss, accuracy) pairs that it is given."""

    def __init__(self, results):
        super().__init__(models.small_cnn(3, 4), coloured())
        self.results, self.cycles, self.now, self.lrs = list(results), [], (1.0, 0.5), []

    def fit(self, lr, n_cycle, cycle_len=None, cycle_mult=1):
        result = self.results.pop(0)
        self.lrs.append(lr)
        if result is None:
            raise Diverged("too high")
        self.cycles += [cycle_len] * n_cycle
        self.now = result
        with torch.no_grad():
            self.groups[-1].bias.fill_(len(self.cycles))

    def validate(self, tta=False):
        return self.now


@pytest.mark.parametrize(
    ("results", "cycles", "kept"),
    [
        ([(0.9, 0.6), (0.8, 0.7), (0.7, 0.8)], [1, 2, 4], 3),  # better all the way
        ([(0.9, 0.6), (0.8, 0.7), (0.9, 0.57)], [1, 2, 4], 2),  # the last is overfitting
        ([(0.9, 0.7), (1.0, 0.57), (0.1, 0.9)], [1, 2], 1),  # stops when clearly worse
        ([(0.9, 0.35), (0.8, 0.7), (0.7, 0.8)], [1, 2, 4], 3),  # the first may be worse
        ([(1.2, 0.3), (0.8, 0.7), (0.7, 0.8)], [1, 2, 4], 3),  # in its loss, too
        ([(0.9, 0.7), (0.8, 0.62), (0.9, 0.62)], [1, 2, 4], 3),  # within a standard error, .1
        ([(0.9, 0.7), (0.8, 0.62), (0.9, 0.54)], [1, 2, 4], 2),  # of the best, not of the last
        ([(0.9, 0.3), (0.8, 0.3), (0.7, 0.8)], [1, 2, 4], 3),  # worse, but the loss still falls
        ([(0.9, 0.2), (1.0, 0.3), (0.7, 0.8)], [1, 2, 4], 3),  # worse, but on the way back
        ([(0.9, 1.0), (0.8, 1.0)], [1], 1),  # all are right: more could not be seen
    ],
)
def test_cycles_double_until_they_are_clearly_worse_and_the_latest_good_one_is_kept(
    results, cycles, kept
):
    learn = Scripted(results)
    assert len(learn.images.valid.labels) == 21  # one standard error of an accuracy of .7 is .1
    recipe.train_cycles(learn, [1e-3] * 3, [1, 2, 4])
    assert learn.cycles == cycles
    assert learn.groups[-1].bias[0] == kept


def test_a_network_that_was_right_about_all_before_is_still_kept_after_its_latest_cycle():
    learn = Scripted([(0.4, 1.0)])
    learn.now = (0.5, 1.0)
    recipe.train_cycles(learn, [1e-3] * 3, [1, 2, 4])
    assert learn.cycles == [1] and learn.groups[-1].bias[0] == 1


def test_a_head_is_kept_where_the_loss_was_lowest():
    learn = Scripted([(0.5, 0.7), (0.6, 0.8), (0.7, 0.8)])
    recipe.train_cycles(learn, 1e-3, [1, 2, 4], by_loss=True)
    assert learn.cycles == [1, 2] and learn.groups[-1].bias[0] == 1


def test_if_no_cycle_is_better_the_network_stays_as_it_was():
    learn = Scripted([(2.0, 0.3), (3.0, 0.2)])
    before = learn.groups[-1].bias.clone()
    recipe.train_cycles(learn, [1e-3] * 3, [1, 2, 4])
    assert torch.equal(learn.groups[-1].bias, before)


def test_a_cycle_that_diverges_is_tried_again_with_a_tenth_of_the_lr():
    learn = Scripted([(0.9, 0.6), None, None, (0.8, 0.7), (0.7, 0.8)])
    lrs, note = recipe.train_cycles(learn, [1e-3, 1e-2], [1, 2, 4])
    assert learn.cycles == [1, 2, 4] and learn.groups[-1].bias[0] == 3
    tried = [1e-2, 1e-2, 1e-3, 1e-4, 1e-4]
    assert [lr[-1] for lr in learn.lrs] == pytest.approx(tried)
    assert lrs == pytest.approx([1e-5, 1e-4]) and "2 times" in note and "tenth" in note
    learn = Scripted([None, (0.8, 0.7)])
    assert recipe.train_cycles(learn, (1e-3, 1e-2), [1])[0] == pytest.approx([1e-4, 1e-3])


def test_after_the_fourth_divergence_the_best_so_far_is_kept_and_the_note_says_so():
    learn = Scripted([(0.9, 0.6), None, None, None, None])
    lr, note = recipe.train_cycles(learn, 1.0, [1, 2])
    assert lr == pytest.approx(1e-3) and "diverged at 4 LRs" in note
    assert learn.groups[-1].bias[0] == 1  # the first cycle's


class Explosive(torch.nn.Module):
    """A network whose loss explodes at any LR that moves its weight."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, images):
        logits = torch.eye(3)[torch.arange(len(images)) % 3] * 1e20 * (self.weight - 1)
        return logits


def test_real_divergence_ends_with_the_weights_as_they_were():
    learn = Learner(Explosive(), coloured())
    lr, note = recipe.train_cycles(learn, 1.0, [1])
    assert learn.model.weight == 1 and lr == pytest.approx(1e-3) and "diverged at 4 LRs" in note


# --- Pictures that teach nothing ------------------------------------------------------------------


def degenerate(kind):
    pictures = coloured(48, 16, classes=2)
    train, valid = pictures.train, pictures.valid
    draw = torch.Generator().manual_seed(0)
    if kind == "noise":
        train, valid = (
            data.Split(
                torch.randint(0, 256, part.images.shape, dtype=torch.uint8, generator=draw),
                torch.randint(0, 2, part.labels.shape, generator=draw),
            )
            for part in (train, valid)
        )
    if kind == "constant":
        train, valid = (
            data.Split(torch.full_like(part.images, 7), part.labels) for part in (train, valid)
        )
    if kind == "the same pictures":
        half = {part: len(part.labels) // 2 for part in (train, valid)}
        train, valid = (
            data.Split(
                torch.cat([part.images[: half[part]]] * 2),
                torch.arange(2).repeat_interleave(half[part]),
            )
            for part in (train, valid)
        )
    return dataclasses.replace(pictures, train=train, valid=valid, key=f"degenerate {kind}")


@pytest.mark.parametrize("kind", ["noise", "constant", "the same pictures"])
def test_pictures_that_teach_nothing_end_near_guessing_with_a_sentence(small, kind):
    report = eight_steps(degenerate(kind), seed=0, cycles=1)
    assert 0.2 <= report.accuracy <= 0.8
    assert "not clearly better than always saying class" in " ".join(report.table().split())


def test_three_pictures_a_class_are_enough_for_a_run(small, tmp_path):
    report = eight_steps(data.from_folder(creatures_folder(tmp_path, 3), 32), cycles=1)
    assert len(report.steps) == 8 and 0 <= report.accuracy <= 1
