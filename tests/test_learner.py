"""The training loop: what the lesson's words promise, tested on tiny pictures."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessonkit import Learner, augment, models, schedule
from lessonkit.data import DataError
from lessonkit.training.history import Diverged, Interrupted
from lessonkit.training.optimizers import adamw, sgd
from tests.tiny import coloured

PRETRAINED = "tf_efficientnet_lite0"


def small(seed=0, **kwargs):
    images = kwargs.pop("images", None) or coloured()
    model = models.small_cnn(len(images.classes), width=4, seed=kwargs.pop("weights", 0))
    return Learner(model, images, seed=seed, **{"batch_size": 10, **kwargs})


def weights(learn):
    return {name: tensor.clone() for name, tensor in learn.model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(scope="module")
def pretrained():
    learn = Learner.pretrained(PRETRAINED, coloured(30, 32), seed=0)
    return learn, weights(learn)


@pytest.fixture
def fresh(pretrained):
    """The pretrained learner as it was made; making one takes seconds."""
    learn, before = pretrained
    learn.model.load_state_dict(before)
    learn.freeze()
    learn.precompute = True
    learn.generator.manual_seed(0)
    learn.set_data(coloured(30, 32))
    learn.history.lr, learn.history.loss, learn.history.epochs = [], [], []
    learn._said_that_augmentation_waits = False
    return learn


# --- the schedule ---------------------------------------------------------------------------------


def test_the_lr_of_every_batch_is_the_schedules():
    learn = small()
    learn.fit(0.02, 2, cycle_len=1, cycle_mult=2)
    expected = schedule.sgdr(0.02, 2, 1, 2, learn.n_batches)
    np.testing.assert_allclose(learn.history.lr, expected, rtol=1e-12)
    learn.fit(0.01, 2)
    assert learn.history.lr[len(expected) :] == [0.01] * 2 * learn.n_batches
    assert len(learn.history.loss) == len(learn.history.lr)
    assert [epoch["epoch"] for epoch in learn.history.epochs] == [1, 2, 3, 4, 5]


def test_each_group_moves_with_its_own_lr():
    def steps(lrs):
        learn = small(optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1))
        before = weights(learn)
        learn.set_data(coloured(14))  # 9 pictures for training: one batch
        learn.fit(lrs, 1)
        after = weights(learn)
        return {n: (after[n] - before[n]).norm() for n in before if n.endswith("weight")}

    whole, graded = steps(1e-2), steps([1e-4, 1e-3, 1e-2])
    ratio = {name: (graded[name] / whole[name]).item() for name in whole}
    for name, value in ratio.items():
        assert value == pytest.approx({"0": 0.01, "1": 0.1, "2": 1}[name[0]], rel=1e-2)


@pytest.mark.parametrize("lr", [0, -1, math.nan, math.inf, [1e-3, 1e-3], [1e-3, 0, 1e-3]])
def test_a_bad_lr_gets_a_sentence_and_nothing_trains(lr):
    learn = small()
    before = weights(learn)
    with pytest.raises(ValueError, match="LR"):
        learn.fit(lr, 1)
    assert same(weights(learn), before) and not learn.history.lr


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({"n_cycle": 0}, "n_cycle"),
        ({"n_cycle": 1.5}, "n_cycle"),
        ({"n_cycle": 1, "cycle_len": 0}, "cycle_len"),
        ({"n_cycle": 2, "cycle_len": 1, "cycle_mult": 0}, "cycle_mult"),
        ({"n_cycle": 2, "cycle_mult": 2}, "cycle_len"),
    ],
)
def test_bad_counts_get_a_sentence(counts, word):
    with pytest.raises(ValueError, match=word):
        small().fit(0.01, **counts)


# --- freezing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen_to", [1, 2])
def test_frozen_groups_stay_bit_for_bit_and_run_in_eval_mode(frozen_to):
    learn = small()
    learn.freeze_to(frozen_to)
    before = weights(learn)
    learn.fit([math.nan] * frozen_to + [0.05] * (3 - frozen_to), 1)  # their entries are ignored
    after = weights(learn)
    for name in before:
        if int(name[0]) < frozen_to:  # BatchNorm's statistics too
            assert torch.equal(before[name], after[name])
    assert not torch.equal(before["2.weight"], after["2.weight"])


def test_frozen_batchnorm_normalises_as_in_eval_mode_while_the_rest_trains():
    learn = small()
    learn.freeze()
    learn._train_mode()
    modes = {type(m): m.training for m in learn.groups[0].modules()}
    assert not modes[nn.BatchNorm2d] and learn.groups[2].training


def test_unfreeze_trains_all_and_freeze_the_head():
    learn = small()
    learn.freeze()
    assert [p.requires_grad for p in learn.groups[0].parameters()] == [False] * 6
    learn.unfreeze()
    assert all(p.requires_grad for p in learn.model.parameters())


# --- reproducible ---------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_run_whatever_the_global_generators_say():
    def history(seed, global_seed):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)
        learn = small(seed, images=coloured(how=augment.side_on()))
        learn.fit(0.02, 2)
        return learn.history.loss

    assert history(0, 1) == history(0, 2)
    assert history(0, 1) != history(3, 1)


def test_it_learns():
    learn = small()
    learn.fit(0.05, 1, cycle_len=6)
    loss, accuracy = learn.validate()
    assert accuracy > 0.9 and loss < 0.5
    epochs = learn.history.epochs
    assert epochs[-1]["accuracy"] == pytest.approx(accuracy)
    assert epochs[-1]["valid_loss"] == pytest.approx(loss)


# --- precompute -----------------------------------------------------------------------------------


def test_precompute_on_and_off_give_the_same_history(fresh):
    fresh.fit(1e-2, 2)
    on = fresh.history.loss[:]
    for parameter in fresh.groups[-1].parameters():
        nn.init.zeros_(parameter)
    fresh.generator.manual_seed(0)
    fresh.precompute = False
    fresh.fit(1e-2, 2)
    np.testing.assert_allclose(fresh.history.loss[len(on) :], on, atol=1e-4)


def test_augmentation_waits_and_fit_says_so_once(fresh, capsys):
    fresh.set_data(coloured(30, 32, how=augment.side_on()))
    fresh.fit(1e-3, 1)
    fresh.fit(1e-3, 1)
    assert capsys.readouterr().out.count("augmentation does nothing") == 1


def test_unfreezing_turns_precompute_off_and_says_so(fresh, capsys):
    fresh.unfreeze()
    assert not fresh.precompute and "precompute is off" in capsys.readouterr().out
    with pytest.raises(ValueError, match="freeze"):
        fresh.precompute = True


def test_activations_follow_weights_size_and_pictures(fresh):
    first = fresh.activations()["train"].clone()
    with torch.no_grad():
        next(fresh.groups[0].parameters()).mul_(1.1)
    assert not torch.allclose(fresh.activations()["train"], first)
    fresh.set_data(coloured(30, 48))
    assert fresh.activations()["train"].shape == (18, 1280)


# --- the finder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["precompute", "frozen", "unfrozen"])
def test_lr_find_changes_nothing_before_or_after_fit(state):
    learn = small()
    if state != "unfrozen":
        learn.freeze()
        learn.precompute = state == "precompute"
    learn.fit(1e-3, 1)
    before, draws = weights(learn), learn.generator.get_state()
    found = learn.lr_find()
    assert len(found.lrs) == len(found.losses) > 5
    assert same(weights(learn), before) and torch.equal(learn.generator.get_state(), draws)
    assert len(learn.history.epochs) == 1 and not learn.model.training


def test_after_the_finder_training_goes_on_as_if_it_had_not_been():
    def losses(look):
        learn = small()
        if look:
            learn.lr_find()
        learn.fit(0.02, 1)
        return learn.history.loss

    assert losses(True) == losses(False)


# --- endings --------------------------------------------------------------------------------------


def test_divergence_says_where_and_what_to_try_and_puts_the_weights_back():
    learn = small()
    learn.fit(0.01, 1)
    before = weights(learn)
    with pytest.raises(Diverged, match=r"batch \d+ of epoch \d+, at LR 1.0e\+06.*lower.*1.0e\+05"):
        learn.fit(1e6, 3)
    assert same(weights(learn), before)
    learn.fit(0.01, 1)  # and it can be used


def test_a_loss_that_is_no_number_is_divergence_too():
    learn = small()
    with torch.no_grad():
        learn.groups[-1].weight.fill_(math.nan)
    with pytest.raises(Diverged, match="nan"):
        learn.fit(0.01, 1)


def test_the_stop_button_keeps_history_and_leaves_a_usable_model():
    learn = small()
    step, calls = learn._step, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return step(*args)

    learn._step = interrupted
    with pytest.raises(Interrupted, match="history so far is kept") as caught:
        learn.fit(0.01, 3)
    assert isinstance(caught.value, KeyboardInterrupt)
    assert caught.value._render_traceback_() == [str(caught.value)]
    assert len(learn.history.loss) == 5 and len(learn.history.epochs) == 1
    assert not learn.model.training
    learn.fit(0.01, 1)
    assert learn.validate()[1] >= 0


# --- looking at the result ------------------------------------------------------------------------


def test_tta_is_the_mean_over_the_views():
    learn = small(images=coloured(how=augment.top_down()))
    views = list(learn.augment.views(learn.images.valid.images))
    by_hand = torch.stack([learn.predict(view) for view in views]).mean(0)
    assert torch.allclose(learn.tta(), by_hand, atol=1e-6)
    assert torch.allclose(learn.tta().sum(1), torch.ones(len(by_hand)), atol=1e-5)
    loss, accuracy = learn.validate(tta=True)
    labels = learn.images.valid.labels
    assert loss == pytest.approx(F.nll_loss(by_hand.log(), labels).item(), abs=1e-5)
    assert accuracy == (by_hand.argmax(1) == labels).float().mean().item()


def test_a_network_of_ones_own_trains_too():
    images = coloured()

    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, images):
            return self.layer(images.float().mean((2, 3)) / 255)

    torch.manual_seed(0)
    learn = Learner(Flat(), images, optimizer=adamw)
    learn.fit(0.1, 5)
    assert learn.validate()[1] > 0.9 and len(learn.groups) == 1


def test_other_sizes_may_follow_but_not_other_classes():
    learn = small()
    learn.set_data(learn.images.resized(24))
    learn.fit(0.01, 1)
    assert learn.size == 24
    with pytest.raises(DataError, match="knows the classes"):
        learn.set_data(coloured(classes=2))


def test_small_sets_are_one_batch_and_batches_differ_in_size_by_one():
    learn = Learner(models.small_cnn(3, 4), coloured(14))
    assert learn.n_batches == 1 and learn.batch_size == 32
    sizes = {len(labels) for _, labels in small(images=coloured(60)).batches()}
    assert max(sizes) - min(sizes) <= 1


def test_weight_decay_spares_biases_and_norms():
    learn = small()
    for group in learn._new_optimizer([0.1] * 3).param_groups:
        decayed = group["weight_decay"] > 0
        assert all((p.ndim > 1) == decayed for p in group["params"])
    assert sgd.keywords["weight_decay"] > 0


@pytest.mark.parametrize("made", ["small", "pretrained"])
def test_what_is_saved_predicts_the_same(made, fresh, tmp_path):
    learn = small() if made == "small" else fresh
    learn.fit(1e-2, 1)
    learn.save(tmp_path / "model.pt")
    again = Learner.load(tmp_path / "model.pt")
    pictures = learn.images.valid.images
    assert torch.equal(again.predict(pictures), learn.predict(pictures))
    assert (again.classes, again.size, again.augment) == (learn.classes, learn.size, learn.augment)
    with pytest.raises(DataError, match="knows the classes"):
        Learner.load(tmp_path / "model.pt", coloured(classes=2))
    Learner.load(tmp_path / "model.pt", learn.images).fit(1e-3, 1)


@pytest.mark.parametrize("frozen_to", [1, 2])
def test_gradients_from_before_freezing_dont_count_in_clipping(frozen_to):
    after = []
    for left_over in (None, 100.0):
        learn = small(clip=0.1)
        for parameter in learn.groups[0].parameters() if left_over else []:
            parameter.grad = torch.full_like(parameter, left_over)
        learn.freeze_to(frozen_to)
        learn.fit(0.05, 1)
        after.append(weights(learn))
    assert same(*after)
