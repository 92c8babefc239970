"""The training loop: what the lesson's words promise, tested on tiny pictures."""

import math
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from lessonkit import Learner, augment, models, schedule
from lessonkit.data import DataError
from lessonkit.images.image_data import Split
from lessonkit.machine import devices, progress
from lessonkit.machine.bars import Bar, as_words
from lessonkit.recipe import familiarity
from lessonkit.training import activations, memory
from lessonkit.training.history import Diverged, Interrupted, check_loss
from lessonkit.training.optimizers import adamw, lr_per_group, radam, sgd
from tests.tiny import coloured

PRETRAINED = "tf_efficientnet_lite0"


def small(seed=0, **kwargs):
    images = kwargs.pop("images", None) or coloured()
    model = models.small_cnn(len(images.classes), width=4, seed=kwargs.pop("weights", 0))
    return Learner(model, images, seed=seed, **{"batch_size": 10, **kwargs})


def plain_sgd(groups):
    """Without momentum and weight decay, a step is the gradient times the LR."""
    return torch.optim.SGD([{**group, "weight_decay": 0.0} for group in groups], lr=0.1)


def weights(learn):
    return {name: tensor.clone() for name, tensor in learn.model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def fresh():
    """A learner of which only the head trains, on stored activations."""
    learn = small()
    learn.freeze()
    learn.precompute = True
    learn._bfloat16 = False  # whatever the processor has
    return learn


# --- the schedule ---------------------------------------------------------------------------------


def test_the_bar_of_a_fit_is_told_of_each_step_and_each_epoch(monkeypatch):
    steps, rows = [], []
    monkeypatch.setattr(Bar, "step", lambda self, **figures: steps.append(figures))
    monkeypatch.setattr(Bar, "row", lambda self, row: rows.append(row))
    learn = small()
    with progress.quiet():
        learn.fit(1e-3, 2)
    told = [*zip(learn.history.loss, learn.history.lr, strict=True)]
    assert steps == [{"loss": loss, "lr": lr} for loss, lr in told] and rows == learn.history.epochs
    assert [as_words(step) for step in steps] == [f"loss {a:.3f}, LR {b:.1e}" for a, b in told]


def test_where_losses_are_read_once_an_epoch_the_bar_shows_the_last_known_one(monkeypatch):
    steps = []
    monkeypatch.setattr(Bar, "step", lambda self, **figures: steps.append(figures))
    learn = small()
    learn._reads_each_loss = False  # as on a graphics card
    with progress.quiet():
        learn.fit(1e-3, 1)
        steps.clear()
        learn.fit(1e-3, 2)
    n, losses = learn.n_batches, learn.history.loss
    assert [step.get("loss") for step in steps] == [None] * n + [losses[2 * n - 1]] * n


@pytest.mark.parametrize(("n", "title"), [(1, "fit: 1 epoch"), (2, "fit: 2 epochs")])
def test_a_fit_says_how_many_epochs_it_takes(n, title, monkeypatch):
    titles = []
    monkeypatch.setattr(progress, "_new_bar", lambda said, total, *_: titles.append(said)
                        or Bar(said, total))  # fmt: skip
    small().fit(1e-3, n)
    assert titles == [title]


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
        ({"n_cycle": 2.0}, "n_cycle"),
        ({"n_cycle": math.inf}, "n_cycle"),
        ({"n_cycle": math.inf, "cycle_len": 1}, "n_cycle"),
        ({"n_cycle": 1, "cycle_len": 0}, "cycle_len"),
        ({"n_cycle": 2, "cycle_len": 1, "cycle_mult": 0}, "cycle_mult"),
        ({"n_cycle": 2, "cycle_mult": 2}, "cycle_len"),
    ],
)
def test_bad_counts_get_a_sentence(counts, word):
    with pytest.raises(ValueError, match=word):
        small().fit(0.01, **counts)


SCHEDULES = {
    "one_cycle": lambda n: schedule.one_cycle(0.03, 3 * n),
    "step_decay": lambda n: schedule.step_decay(0.03, 2 * n, every=3),
    "triangular": lambda n: schedule.triangular(0.03, n),
    "a started epoch": lambda n: schedule.linear(0.03, 2 * n + 1),
    "less than one": lambda n: [0.01, 0.0],
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_fit_follows_any_schedule_of_any_length(name):
    learn = small()
    lrs = SCHEDULES[name](learn.n_batches)
    learn.fit_schedule(lrs)
    np.testing.assert_allclose(learn.history.lr, lrs, rtol=1e-12)
    n_epochs = math.ceil(len(lrs) / learn.n_batches)
    ends = [min(learn.n_batches * (i + 1), len(lrs)) for i in range(n_epochs)]
    assert learn.history.ends == ends
    losses, last = learn.history.loss, ([0, *ends])[-2]
    row = learn.history.epochs[-1]
    assert row["train_loss"] == pytest.approx(np.mean(losses[last:]), rel=0.1)
    assert row["valid_loss"] == pytest.approx(learn.validate()[0])
    assert [row["epoch"] for row in learn.history.epochs] == list(range(1, n_epochs + 1))


def test_fit_is_fit_schedule_along_its_own_lrs_bit_for_bit():
    one, other = small(), small()
    one.fit([5e-3, 1e-2, 2e-2], 2, cycle_len=1)
    factors = schedule.sgdr(1.0, 2, 1, 1, other.n_batches)
    other.fit_schedule(factors, ratios=[5e-3, 1e-2, 2e-2])
    assert same(weights(one), weights(other))
    assert one.history.loss == other.history.loss and one.history.lr == other.history.lr


def test_step_by_step_is_the_same_training_and_may_stop_anywhere():
    one, other = small(), small()
    lrs = schedule.cosine(0.02, 2 * one.n_batches)
    one.fit_schedule(lrs, [0.1, 0.3, 1])
    assert list(other.steps(lrs, [0.1, 0.3, 1])) == one.history.loss
    assert same(weights(one), weights(other)) and not other.history.loss
    steps = other.steps(lrs)
    next(steps)
    assert other.groups[0].training
    other.validate()  # a look in eval mode, after which training goes on in its own
    next(steps)
    assert other.groups[0].training
    steps.close()
    assert not other.groups[0].training


@pytest.mark.parametrize("lrs", [[], [math.nan], [-0.1, 0.1], [math.inf], 0.1, [[0.1]]])
def test_a_bad_schedule_gets_a_sentence(lrs):
    with pytest.raises(ValueError, match="A schedule is a list of LRs"):
        small().fit_schedule(lrs)


@pytest.mark.parametrize("name", ["batch_size", "max_grad_norm"])
@pytest.mark.parametrize("value", [0, -4, math.nan])
def test_bad_arguments_get_a_sentence(name, value):
    with pytest.raises(ValueError, match=name):
        small(**{name: value})


def test_half_a_picture_a_batch_gets_a_sentence():
    with pytest.raises(ValueError, match="batch_size"):
        small(batch_size=2.5)


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


@pytest.mark.parametrize("i", [-3, -2, -1])
def test_layer_groups_may_be_counted_from_the_end_as_in_a_list(i):
    learn = small()
    learn.freeze_to(i)
    trains = [all(p.requires_grad for p in group.parameters()) for group in learn.groups]
    assert learn.frozen_to == range(3)[i] and trains == [n >= range(3)[i] for n in range(3)]
    with pytest.raises(ValueError, match="numbers to 2, not -4"):
        learn.freeze_to(-4)


def test_unfreeze_trains_all_and_freeze_the_head():
    learn = small()
    learn.freeze()
    assert [p.requires_grad for p in learn.groups[0].parameters()] == [False] * 6
    learn.unfreeze()
    assert all(p.requires_grad for p in learn.model.parameters())


def test_a_network_of_one_group_has_nothing_to_freeze():
    learn = Learner(nn.Sequential(nn.Flatten(), nn.Linear(768, 3)), coloured())
    with pytest.raises(ValueError, match=r"nothing to freeze.*LayerGroups"):
        learn.freeze()
    with pytest.raises(ValueError, match="numbers to 0, not 1"):
        learn.freeze_to(1)
    with pytest.raises(ValueError, match=r"numbers to 0, not 0\.5"):
        learn.freeze_to(0.5)
    with pytest.raises(ValueError, match=r"not 1\.0"):
        learn.freeze_to(1.0)
    assert all(p.requires_grad for p in learn.model.parameters())


# --- one step -------------------------------------------------------------------------------------


def one_step(learn, lr=0.1):
    """How far one step on all pictures moves each weight, [n]; BatchNorm as in eval mode."""
    learn.optimizer = plain_sgd
    learn._train_mode = learn.model.eval
    inputs, labels = learn.images.train
    before = flat(learn.model.parameters())
    loss = learn._step(learn._new_optimizer([lr] * len(learn.groups)), inputs, labels)
    return flat(learn.model.parameters()) - before, loss.item()


def flat(tensors):
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


@pytest.mark.parametrize("longest", [0.01, 0.1])
def test_a_gradient_that_is_too_long_is_shortened_to_max_grad_norm(longest):
    free, _ = one_step(small())
    clipped, _ = one_step(small(max_grad_norm=longest))
    assert free.norm() > 0.1 * 0.1  # else this would test nothing
    assert clipped.norm().item() == pytest.approx(0.1 * longest, rel=1e-3)
    assert torch.cosine_similarity(free, clipped, dim=0) > 0.9999
    assert torch.equal(one_step(small(max_grad_norm=1e3))[0], free)


def test_a_step_is_the_gradient_of_the_smoothed_loss_and_tells_the_plain_one():
    learn, by_hand = small(), small()
    learn.label_smoothing = 0.4
    inputs, labels = by_hand.images.train
    logits = by_hand.model.eval()(inputs)
    target = 0.6 * F.one_hot(labels, 3) + 0.4 / 3
    (-(target * logits.log_softmax(1)).sum(1)).mean().backward()
    gradient = flat(p.grad for p in by_hand.model.parameters())
    learn.model.eval()
    moved, loss = one_step(learn)
    torch.testing.assert_close(moved, -0.1 * gradient, rtol=1e-3, atol=1e-6)
    assert loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)


def test_a_gradient_that_was_scaled_up_is_clipped_by_its_own_length(monkeypatch):
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=8.0))
    learn = small(max_grad_norm=0.01)
    learn._half = torch.float16  # as on a graphics card without bfloat16
    assert one_step(learn)[0].norm().item() == pytest.approx(0.1 * 0.01, rel=1e-2)


def test_the_loss_of_a_step_keeps_no_activations_in_memory():
    learn = small()
    inputs, labels = learn.images.train
    assert not learn._step(learn._new_optimizer([0.1] * 3), inputs, labels).requires_grad


def forwards(learn):
    """The sizes of the batches that the network is given from here on."""
    sizes = []
    learn.model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    return sizes


def test_large_pictures_go_through_in_parts_that_add_up_to_the_whole(monkeypatch):
    whole, parts = small(), small()
    for learn in (whole, parts):
        learn.model.eval()
    expected, loss = one_step(whole)
    monkeypatch.setattr(memory, "PIXELS", 11 * 16 * 16)
    sizes = forwards(parts)
    found, parts_loss = one_step(parts)
    assert sizes == [10, 10, 10, 9]  # of 39, at most 11 at once
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    assert parts_loss == pytest.approx(loss, rel=1e-5)


def test_where_batchnorm_measures_the_mini_batch_it_goes_through_whole(monkeypatch):
    monkeypatch.setattr(memory, "PIXELS", 11 * 16 * 16)
    learn = small(batch_size=40)
    sizes = forwards(learn)
    next(learn.steps([0.01]))
    assert sizes == [39]


def test_losses_that_are_read_later_are_the_same():
    at_once, later = small(), small()
    at_once.fit(0.02, 2)
    later._reads_each_loss = False  # as on a graphics card
    later.fit(0.02, 2)
    assert later.history.loss == at_once.history.loss and later.history.lr == at_once.history.lr
    said = []
    for learn in (at_once, later):
        with pytest.raises(Diverged) as stopped:
            learn.fit(1e6, 1)
        said.append(str(stopped.value))
    assert said[0] == said[1] and same(weights(at_once), weights(later))


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


def test_a_seed_that_is_not_given_is_zero(monkeypatch):
    monkeypatch.setattr(models, "pretrained", lambda arch, n: models.small_cnn(n, 4))
    images = coloured()
    one, same = (Learner.pretrained("small", images, **seed) for seed in ({}, {"seed": 0}))
    plain = Learner(models.small_cnn(3, 4), images)
    states = [learn.generator.get_state() for learn in (one, same, plain)]
    assert torch.equal(states[0], states[1]) and torch.equal(states[2], states[1])


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
    off = small()
    off.freeze()
    off.fit(1e-2, 2)
    np.testing.assert_allclose(off.history.loss, on, atol=1e-4)


def test_augmentation_waits_and_fit_says_so_once(fresh, capsys):
    fresh.set_data(coloured(how=augment.side_on()))
    fresh.fit(1e-3, 1)
    fresh.fit(1e-3, 1)
    assert capsys.readouterr().out.count("augmentation does nothing") == 1


def test_unfreezing_turns_precompute_off_and_says_so(fresh, capsys):
    fresh.unfreeze()
    assert not fresh.precompute and "precompute is off" in capsys.readouterr().out
    with pytest.raises(ValueError, match="freeze"):
        fresh.precompute = True


def test_precompute_stays_on_while_the_head_trains_and_only_its_end_is_told(fresh, capsys):
    fresh.freeze()
    assert fresh.precompute
    fresh.precompute = False
    fresh.unfreeze()
    assert capsys.readouterr().out == ""


def scale_in_place(learn):
    with torch.no_grad():
        next(learn.groups[0].parameters()).mul_(1.1)


def scale_behind_autograds_back(learn):
    next(learn.groups[0].parameters()).data.mul_(1.1)


def load_others(learn):
    others = models.small_cnn(3, width=4, seed=5).state_dict()
    learn.model.load_state_dict(others, assign=True)


def other_pictures_under_the_same_key(learn):
    train, valid = learn.images.train, learn.images.valid
    darker = Split(train.images // 2, train.labels)
    learn.set_data(
        replace(learn.images, train=darker, valid=Split(valid.images // 2, valid.labels))
    )


def change_pictures_in_place(learn):
    for split in (learn.images.train, learn.images.valid):
        split.images.floor_divide_(2)


def other_layers_with_the_same_weights(learn):
    for parent in list(learn.model[:-1].modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.ReLU | nn.ReLU6):
                setattr(parent, name, nn.Tanh())


@pytest.mark.parametrize(
    "change",
    [other_layers_with_the_same_weights, scale_in_place, scale_behind_autograds_back, load_others,
     other_pictures_under_the_same_key, change_pictures_in_place],
)  # fmt: skip
def test_activations_follow_weights_and_pictures(fresh, change, cache):
    fresh.activations()
    change(fresh)
    for part in ("train", "valid"):
        pictures = getattr(fresh.images, part).images
        with torch.no_grad():
            expected = fresh.model[:-1].eval()(pictures)
        torch.testing.assert_close(fresh.activations()[part], expected, rtol=1e-4, atol=1e-5)


def test_activations_are_computed_once_for_what_stays_the_same(fresh, cache, monkeypatch):
    fresh.activations()
    monkeypatch.setattr(activations, "_write", lambda *_: pytest.fail("computed again"))
    there = fresh.activations()
    assert fresh.activations() is there  # nor looked up on disk
    fresh.fit(1e-3, 2)
    fresh.lr_find(steps=3)
    fresh.validate()
    assert fresh.activations() is there
    again = small()
    again.freeze()
    again._bfloat16 = False
    again.activations()


class Times(nn.Module):
    """Neither its name nor its weights say what it does."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, images):
        return images.flatten(1) * self.factor


def test_activations_that_other_code_has_made_are_not_read(cache):
    def of(factor):
        network = models.LayerGroups(Times(factor), nn.Linear(768, 3))
        learn = Learner(network, coloured(), device="cpu")
        learn.freeze()
        return learn.activations()["train"]

    torch.testing.assert_close(of(2.0), 2 * of(1.0))


def test_a_small_change_is_noticed_in_a_body_of_16_bits_too(cache):
    layer = nn.Linear(768, 4).half()
    nn.init.ones_(layer.weight)  # whose sum, in 16 bits, a small change doesn't change
    body = nn.Sequential(AsFloats(), nn.Flatten(), Halved(), layer)
    learn = Learner(models.LayerGroups(body, nn.Linear(4, 3)), coloured(), device="cpu")
    learn.freeze()
    learn._bfloat16 = False
    before = learn.activations()["train"].clone()
    layer.weight.data[0, 0] += 0.5
    assert not torch.equal(learn.activations()["train"], before)


class Halved(nn.Module):
    def forward(self, inputs):
        return (inputs / 255).half()


def test_activations_of_many_parts_are_in_the_order_of_the_pictures(fresh, cache, monkeypatch):
    monkeypatch.setattr(activations, "BATCH", 7)
    pictures = fresh.images.train.images
    expected = activations.run(fresh._body(), pictures, False)
    torch.testing.assert_close(fresh.activations()["train"], expected, rtol=1e-4, atol=1e-5)


def test_the_bar_of_activations_counts_pictures(fresh, cache, monkeypatch):
    shown = []
    monkeypatch.setattr(progress, "_new_bar", lambda title, total, *_: shown.append(
        Bar(title, total)) or shown[-1])  # fmt: skip
    fresh.activations()
    n = len(fresh.images.train.labels) + len(fresh.images.valid.labels)
    assert [(bar.title, bar.total, bar.done) for bar in shown] == [("activations", n, n)]


def test_activations_are_of_32_bits_whatever_the_body_computes_in():
    body, pictures = nn.Sequential(AsFloats(), nn.Flatten(), nn.Linear(768, 4)), coloured().valid[0]
    exact, rounded = (activations.run(body, pictures, bfloat16) for bfloat16 in (False, True))
    assert exact.dtype == rounded.dtype == torch.float32 and not torch.equal(exact, rounded)


def test_a_body_without_weights_has_activations_too(cache):
    model = models.LayerGroups(nn.Sequential(AsFloats(), nn.Flatten()), nn.Linear(768, 3))
    learn = Learner(model, coloured())
    learn.freeze()
    learn.precompute = True
    learn.fit(1e-5, 1)
    assert torch.equal(learn.activations()["train"], learn.images.train.images.flatten(1).float())


class LooksFirst(nn.Module):
    """Computes by what it sees, which no graph can say."""

    def forward(self, images):
        means = images.float().mean((2, 3))
        return means if means.sum() > 0 else -means


@pytest.mark.parametrize("installed", [True, False])
def test_many_pictures_get_the_same_activations_by_a_graph(fresh, cache, monkeypatch, installed):
    monkeypatch.setattr(activations, "WORTH_A_GRAPH", 0)
    fresh._bfloat16 = False
    if not installed:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    used, pictures = [], fresh.images.train.images
    run = activations.run
    monkeypatch.setattr(activations, "run", lambda *args: used.append(args[1]) or run(*args))
    found = fresh.activations()["train"]
    through_torch = sum(map(len, used))
    # Two pictures for the entry's name, four to compare the graph with.
    assert (through_torch == 6) if installed else (through_torch >= len(pictures))
    expected = run(fresh._body(), pictures, False)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_for_a_few_pictures_no_graph_is_made_which_takes_seconds(fresh, cache, monkeypatch):
    monkeypatch.setattr(activations, "graph", lambda *_: pytest.fail("made a graph"))
    assert len(fresh.activations()["train"]) == len(fresh.images.train.labels)


def test_what_no_graph_can_say_is_left_to_pytorch(monkeypatch):
    pictures = coloured().train.images
    assert activations.graph(LooksFirst(), pictures) is None
    monkeypatch.setattr(activations.onnx_graph, "trace", lambda *_: Wrong())
    monkeypatch.setattr(activations.onnx_graph, "session", lambda _: Wrong())
    assert activations.graph(nn.Sequential(AsFloats(), nn.Flatten()), pictures) is None


class Wrong:
    """A graph, and its session, that answer 1."""

    def SerializeToString(self):
        return b""

    def run(self, _, inputs):
        return [np.ones((len(inputs["images"]), inputs["images"][0].size), np.float32)]


@pytest.mark.parametrize("error, agrees", [(0.0, True), (5e-4, True), (1.5e-3, False)])
def test_a_graph_is_used_where_it_changes_activations_by_less_than_a_thousandth(
    monkeypatch, error, agrees
):
    class Off(Wrong):
        def run(self, _, inputs):
            right = inputs["images"].reshape(len(inputs["images"]), -1)
            return [(right * (1 + error)).astype(np.float32)]

    monkeypatch.setattr(activations.onnx_graph, "trace", lambda *_: Off())
    monkeypatch.setattr(activations.onnx_graph, "session", lambda _: Off())
    made = activations.graph(nn.Sequential(AsFloats(), nn.Flatten()), coloured().train.images)
    assert (made is not None) == agrees


def test_activations_follow_the_size(fresh):
    fresh.set_data(coloured(30, 24))
    assert fresh.activations()["train"].shape == (18, 32)


@pytest.mark.parametrize("error, agrees", [(0.0, True), (0.03, True), (0.08, False)])
def test_bfloat16_is_used_where_it_changes_activations_by_less_than_a_twentieth(
    monkeypatch, error, agrees
):
    class Body(nn.Module):
        def forward(self, images):
            rounded = torch.is_autocast_enabled("cpu")
            return images.float().mean((2, 3)) * (1 + error * rounded)

    pictures = coloured().train.images
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda device: True)
    assert activations.bfloat16_agrees(Body(), pictures) is agrees
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda device: False)
    assert activations.bfloat16_agrees(Body(), pictures) is False


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
    np.testing.assert_allclose(found.lrs, np.geomspace(1e-5, 10, 100)[: len(found.lrs)])
    assert same(weights(learn), before) and torch.equal(learn.generator.get_state(), draws)
    assert len(learn.history.epochs) == 1 and not learn.model.training


def test_the_bar_of_a_sweep_is_told_of_each_step(monkeypatch):
    steps = []
    monkeypatch.setattr(Bar, "step", lambda self, **figures: steps.append(figures))
    with progress.quiet():
        found = small().lr_find([0.01, 0.1, 1], steps=8)
    told = zip(found.losses, found.lrs, strict=True)
    assert [as_words(step) for step in steps] == [f"loss {a:.3f}, LR {b:.1e}" for a, b in told]


def test_after_the_finder_training_goes_on_as_if_it_had_not_been():
    def losses(look):
        learn = small()
        if look:
            learn.lr_find(steps=12)
        learn.fit(0.02, 1)
        return learn.history.loss

    assert losses(True) == losses(False)


# --- endings --------------------------------------------------------------------------------------


def test_divergence_says_where_and_what_to_try_and_puts_the_weights_back():
    learn = small()
    learn.fit(0.01, 1)
    before = weights(learn)
    with pytest.raises(Diverged, match=r"batch \d of epoch 1 of this fit, .*1.0e\+06.*1.0e\+05"):
        learn.fit(1e6, 3)
    assert same(weights(learn), before)
    learn.fit(0.01, 1)  # and it can be used


def test_a_first_loss_that_is_no_number_isnt_the_lrs_fault():
    learn = small()
    with torch.no_grad():
        learn.groups[-1].weight.fill_(math.nan)
    with pytest.raises(Diverged, match=r"nan at the first mini-batch.*the LR has no part in it"):
        learn.fit(0.01, 1)


def test_an_explosion_in_the_very_last_step_is_noticed_too():
    """No mini-batch follows whose loss could show it."""
    learn = small(optimizer=plain_sgd)
    learn.fit(0.01, 1)
    before, epochs = weights(learn), len(learn.history.epochs)
    lrs = [0.01] * (learn.n_batches - 1) + [1e38]
    with pytest.raises(Diverged, match=r"last step, at LR 1.0e\+38, .* is nan.*\(1.0e\+37\)"):
        learn.fit_schedule(lrs)
    assert same(weights(learn), before) and len(learn.history.epochs) == epochs
    assert learn.fit(0.01, 1) is None and math.isfinite(learn.validate()[0])


@pytest.mark.parametrize(
    "losses, exploded",
    [
        ([1.0, 20 * math.log(3) - 0.1], False),  # of guessing, which is more than the first
        ([1.0, 20 * math.log(3) + 0.1], True),
        ([40.0, 790.0], False),
        ([40.0, 810.0], True),
        ([40.0], False),  # before any step
        ([1e-9, 1.0], False),
        ([1.0, math.nan], True),
        ([1.0, math.inf], True),
        ([math.inf], True),
    ],
)
def test_a_loss_has_exploded_when_it_is_twenty_times_the_first_or_that_of_guessing(
    losses, exploded
):
    lrs = [0.1] * len(losses)
    if exploded:
        with pytest.raises(Diverged):
            check_loss(losses, lrs, 10, 3)
    else:
        check_loss(losses, lrs, 10, 3)


def test_the_batch_and_epoch_of_an_explosion_are_counted_from_the_fits_start():
    with pytest.raises(Diverged, match="batch 4 of epoch 1"):
        check_loss([1.0] * 3 + [1e9], [0.1] * 4, 4, 3)
    with pytest.raises(Diverged, match=r"batch 1 of epoch 2 .* LR 2.0e-01.*\(4.0e-02\)"):
        check_loss([1.0] * 4 + [1e9], [0.1, 0.4, 0.3, 0.2, 0.1], 4, 3)


def test_a_network_of_ones_own_may_begin_with_a_large_loss(monkeypatch):
    """It is fed bytes and first guesses wildly, but it learns."""
    torch.manual_seed(0)
    network = nn.Sequential(AsFloats(), nn.Flatten(), nn.Linear(768, 3))
    network[2].weight.data.mul_(10)
    learn = Learner(network, coloured(), optimizer=adamw, batch_size=10)
    learn.fit(0.01, 8)
    assert learn.history.loss[0] > 20 * math.log(3)  # which used to count as an explosion
    assert learn.validate()[1] > 0.9


class AsFloats(nn.Module):
    def forward(self, images):
        return images.float()


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
    assert learn.history.ends == [4, 5 + 4]
    assert learn.plot_lr().get_lines()[0].get_ydata().tolist() == learn.history.lr
    lines = {line.get_label(): line for line in learn.plot_loss().get_lines()}
    marks = [line.get_xdata().tolist() for name, line in lines.items() if "mini" not in name]
    assert marks and all(x == [3, 8] for x in marks)  # where the epochs ended, counted from 0


# --- looking at the result ------------------------------------------------------------------------


def test_an_augmentation_of_ones_own_needs_a_name_and_views_for_tta():
    class Own:
        name = "my own"

        def __call__(self, pictures, generator=None):
            return pictures

    images = coloured()
    with pytest.raises(DataError, match="augment is one of"):
        images.with_augment(lambda pictures, generator=None: pictures)
    learn = small(images=images.with_augment(Own()))
    learn.fit(1e-3, 1)
    with pytest.raises(ValueError, match="an augmentation with views"):
        learn.validate(tta=True)


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


def test_a_view_that_is_surely_wrong_costs_much_and_not_everything():
    learn = small()
    with torch.no_grad():
        learn.model[-1].bias += torch.tensor([1e4, 0, 0])  # the others' probabilities are 0
    loss, accuracy = learn.validate(tta=True)
    assert 0 < accuracy < 1 and 5 < loss < 50


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


@pytest.mark.parametrize(
    ("network", "given"),
    [
        (nn.Linear(3, 2), r"\[10, 2\]"),
        (nn.Sequential(nn.Linear(3, 3), nn.Unflatten(1, (3, 1))), r"\[10, 3, 1\]"),
        (nn.LSTM(3, 3), "tuple"),
    ],
    ids=["fewer outputs than classes", "a map of outputs", "a tuple"],
)
@pytest.mark.parametrize("use", ["fit", "lr_find"])
def test_outputs_that_are_no_logits_for_the_classes_get_a_sentence(network, given, use):
    class Means(nn.Module):
        def forward(self, images):
            return images.float().mean((2, 3)) / 255

    learn = Learner(nn.Sequential(Means(), network), coloured(), batch_size=10)
    call = {"fit": lambda: learn.fit(0.1, 1), "lr_find": learn.lr_find}[use]
    with pytest.raises(ValueError, match=rf"3 classes .* not {given}"):
        call()


@pytest.mark.parametrize("outputs", [2, 4])
def test_validating_a_network_for_other_classes_gets_the_sentence_too(outputs):
    learn = Learner(models.small_cnn(outputs, width=4), coloured())
    pictures = learn.images.valid.images
    for use in (learn.validate, learn.tta, lambda: learn.predict(pictures)):
        with pytest.raises(ValueError, match=r"must give logits \[N, 3\]"):
            use()


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta", "meta:-2", "hpu"])
def test_a_device_that_is_not_here_gets_a_sentence(device):
    with pytest.raises(ValueError, match=f'"cpu".*PyTorch finds no {device}'):
        small(device=device)


def test_a_best_device_that_does_not_work_is_named(monkeypatch):
    monkeypatch.setattr(devices, "best_device", lambda: "cuda:99")
    with pytest.raises(ValueError, match="PyTorch finds no cuda:99"):
        small()


def test_other_sizes_may_follow_but_not_other_classes():
    learn = small()
    learn.set_data(learn.images.resized(24))
    learn.fit(0.01, 1)
    assert learn.size == 24
    both = r"knows the classes class 0, class 1, class 2; these have class 0, class 1\.$"
    with pytest.raises(DataError, match=both):
        learn.set_data(coloured(classes=2))
    with pytest.raises(DataError, match=r"as data\.from_folder reads them, not 'my_pictures'"):
        learn.set_data("my_pictures")


def test_small_sets_are_one_batch_and_batches_differ_in_size_by_one():
    learn = Learner(models.small_cnn(3, 4), coloured(14))
    assert learn.n_batches == 1 and learn.batch_size == 32
    sizes = {len(labels) for _, labels in small(images=coloured(60)).batches()}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("optimizer", "decay", "steps"), [(sgd, 5e-4, 1), (adamw, 0.01, 20), (radam, 0.01, 20)]
)
def test_without_a_gradient_a_step_takes_lr_times_decay_of_a_weight(optimizer, decay, steps):
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.zeros(2, 2)
    made = optimizer([weight], lr=0.1)
    for _ in range(steps):  # of SGD one: there the decay gathers momentum
        made.step()
    torch.testing.assert_close(weight.data, torch.full((2, 2), (1 - 0.1 * decay) ** steps))


def test_sgd_goes_on_without_a_gradient_at_nine_tenths_of_its_speed():
    weight = nn.Parameter(torch.zeros(2, 2))
    made, places = sgd([weight], lr=1e-3), []
    for gradient in (1.0, 0.0, 0.0):
        weight.grad = torch.full((2, 2), gradient)
        made.step()
        places.append(weight[0, 0].item())
    assert np.diff([0, *places]) == pytest.approx([-1e-3, -0.9e-3, -0.81e-3], rel=1e-4)


def adam_by_hand(gradients, lr, decay, rectified):
    """Where a weight of 1 comes to: Adam, with decay beside it, or RAdam."""
    weight, mean, square, most = 1.0, 0.0, 0.0, 2 / (1 - 0.99) - 1
    for i, gradient in enumerate(gradients, 1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
        step, spread = mean / (1 - 0.9**i), math.sqrt(square / (1 - 0.99**i))
        known = most - 2 * i * 0.99**i / (1 - 0.99**i)  # of how many squares the mean is worth
        if rectified and known > 5:
            step *= math.sqrt((known - 4) * (known - 2) * most / (most - 4) / (most - 2) / known)
        step /= 1 if rectified and known <= 5 else spread
        weight -= lr * (decay * weight + step)
    return weight


@pytest.mark.parametrize(("optimizer", "rectified"), [(adamw, False), (radam, True)])
def test_adamw_and_radam_are_the_papers_with_a_memory_of_ten_and_a_hundred_steps(
    optimizer, rectified
):
    weight, gradients = nn.Parameter(torch.ones(2, 2)), [1.0, 3.0, 0.1] * 10
    made = optimizer([weight], lr=0.01)
    for gradient in gradients:
        weight.grad = torch.full((2, 2), gradient)
        made.step()
    expected = adam_by_hand(gradients, 0.01, 0.01, rectified)
    assert weight.tolist() == [pytest.approx([expected] * 2, rel=1e-5)] * 2


def test_each_group_that_trains_needs_an_lr():
    with pytest.raises(ValueError, match="NaN"):
        lr_per_group([math.nan, 1e-3], 2)
    assert lr_per_group([math.nan, 1e-3], 2, frozen_to=1)[1] == 1e-3


def test_gradients_are_scaled_only_where_they_are_of_float16():
    learn = small()
    learn.fit(1e-3, 1)
    assert not learn._scaler.is_enabled()


def test_weight_decay_spares_biases_and_norms():
    learn = small()
    for group in learn._new_optimizer([0.1] * 3).param_groups:
        decayed = group["weight_decay"] > 0
        assert all((p.ndim > 1) == decayed for p in group["params"])
    assert sgd.keywords["weight_decay"] > 0


@pytest.mark.parametrize("make", [lambda pixels: pixels[0], lambda pixels: pixels[:1]])
@pytest.mark.parametrize("tta", [False, True])
def test_one_picture_is_a_batch_of_one(make, tta):
    learn = small(images=coloured(how=augment.side_on()))
    pixels = learn.images.valid.images
    one = learn.predict(make(pixels), tta=tta)
    assert one.shape == (1, 3)
    torch.testing.assert_close(one, learn.predict(pixels, tta=tta)[:1])


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((40, 30, 3), 90, np.uint8)).save(path)
    return path


def test_paths_may_come_in_any_way(photo):
    learn = small()
    expected = learn.predict([photo])
    for given in (photo, str(photo), (photo for _ in range(1)), photo.parent.glob("*.png")):
        assert torch.equal(learn.predict(given), expected)


NO_PICTURES = {
    "floats": lambda path: torch.rand(2, 3, 16, 16),
    "one of floats": lambda path: torch.rand(3, 16, 16),
    "16 bits": lambda path: torch.ones(2, 3, 16, 16, dtype=torch.int16),
    "channels last": lambda path: torch.ones(2, 16, 16, 3, dtype=torch.uint8),
    "PIL": Image.open,
    "a list of PIL": lambda path: [Image.open(path)],
    "array": lambda path: np.asarray(Image.open(path)),
    "bytes": lambda path: path.read_bytes(),
    "a grey one": lambda path: torch.ones(16, 16, dtype=torch.uint8),
    "a row": lambda path: torch.ones(16, dtype=torch.uint8),
    "a video": lambda path: torch.ones(1, 2, 3, 16, 16, dtype=torch.uint8),
    "no pixels": lambda path: torch.ones(1, 3, 0, 0, dtype=torch.uint8),
    "wider than high": lambda path: torch.ones(2, 3, 16, 24, dtype=torch.uint8),
    "a word of numpy's": lambda path: np.array("photo.png"),
    "a number": lambda path: 3,
    "none": lambda path: None,
    "a folder": lambda path: path.parent,
    "a set": lambda path: {path},
    "an address": lambda path: "https://example.org/photo.png",
    "a list of tensors": lambda path: [torch.ones(3, 16, 16, dtype=torch.uint8)],
}


@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_predict_cannot_take_gets_a_sentence(kind, photo):
    with pytest.raises(DataError) as refused:
        small().predict(NO_PICTURES[kind](photo))
    assert "\n" not in str(refused.value) and str(refused.value).endswith(".")


@pytest.mark.parametrize("n", [1, 16])
def test_activations_are_no_pictures_for_a_whole_network(n):
    with pytest.raises(ValueError, match=rf"takes pictures \[N, 3, S, S\], not \[{n}, 16\]"):
        small().predict(torch.rand(n, 16))  # once: probabilities of one picture, 1 px high


def test_a_learner_that_never_had_pictures_predicts_from_tensors(photo):
    learn = Learner(models.small_cnn(3, 4), None)
    assert learn.predict(coloured().train.images[:5]).shape == (5, 3)
    with pytest.raises(DataError, match="size"):
        learn.predict(photo)
    with pytest.raises(ValueError, match="this one has none"):
        learn.predict(coloured().train.images[:5], tta=True)
    with pytest.raises(DataError, match="set_data"):
        learn.lr_find()


def loaded(learn, tmp_path, images=None, **kwargs):
    learn.save(tmp_path / "model.pt")
    return Learner.load(tmp_path / "model.pt", images, **kwargs)


def test_a_learner_without_pictures_says_what_to_do(tmp_path):
    learn = loaded(small(), tmp_path)
    asks = [learn.validate, learn.tta, learn.lr_find, learn.activations, lambda: learn.fit(1e-3, 1)]
    asks += [lambda: learn.fit_schedule([1e-3]), lambda: next(learn.batches())]
    for ask in asks:
        with pytest.raises(DataError, match=r"no pictures.*set_data.*Learner.load"):
            ask()
    learn.set_data(coloured())
    learn.fit(1e-3, 1)


@pytest.mark.parametrize("made", ["small", "pretrained"])
def test_what_is_saved_predicts_the_same(made, tmp_path):
    images = coloured(30, 32)
    learn = small() if made == "small" else Learner.pretrained(PRETRAINED, images)
    learn.fit(1e-2, 1)
    again = loaded(learn, tmp_path)
    pictures = learn.images.valid.images
    assert torch.equal(again.predict(pictures), learn.predict(pictures))
    assert (again.classes, again.size, again.augment) == (learn.classes, learn.size, learn.augment)
    if made == "pretrained":
        assert familiarity(again.model, pictures) == familiarity(learn.model, pictures) > 0.005
        assert again.optimizer is adamw and again.frozen_to == 2 and again.max_grad_norm == 1
    with pytest.raises(DataError, match="knows the classes"):
        Learner.load(tmp_path / "model.pt", coloured(classes=2))


def test_a_loaded_learner_varies_pictures_as_those_it_is_given_say(tmp_path):
    saved = small()
    assert loaded(saved, tmp_path).augment == saved.augment
    others = coloured(size=32, how=augment.symbols())
    learn = loaded(saved, tmp_path, others)
    assert learn.augment == augment.symbols() != saved.augment
    assert learn.images is others and learn.size == 32


@pytest.mark.parametrize("optimizer", [sgd, adamw, radam])
def test_a_loaded_learner_trains_as_the_saved_one_would_have(optimizer, tmp_path):
    learn = small(optimizer=optimizer, max_grad_norm=0.5)
    learn.label_smoothing = 0.2
    learn.freeze_to(1)
    again = loaded(learn, tmp_path, learn.images)
    trains = [[p.requires_grad for p in one.model.parameters()] for one in (learn, again)]
    assert trains[0] == trains[1]
    for trained in (learn, again):
        trained.fit(1e-2, 1)
    assert again.history.loss == learn.history.loss and same(weights(again), weights(learn))
    assert loaded(learn, tmp_path, batch_size=3, max_grad_norm=7).max_grad_norm == 7


def test_an_optimiser_of_ones_own_has_to_be_given_again(tmp_path):
    learn = small(optimizer=plain_sgd)
    again = loaded(learn, tmp_path, learn.images)
    again.validate()
    with pytest.raises(ValueError, match=r"optimiser of your own.*learn\.optimizer"):
        again.fit(1e-2, 1)
    loaded(learn, tmp_path, learn.images, optimizer=plain_sgd).fit(1e-2, 1)


@pytest.mark.parametrize("frozen_to", [1, 2])
def test_gradients_from_before_freezing_dont_count_in_clipping(frozen_to):
    after = []
    for left_over in (None, 100.0):
        learn = small(max_grad_norm=0.1)
        for parameter in learn.groups[0].parameters() if left_over else []:
            parameter.grad = torch.full_like(parameter, left_over)
        learn.freeze_to(frozen_to)
        learn.fit(0.05, 1)
        after.append(weights(learn))
    assert same(*after)


@pytest.mark.parametrize("size", [0, -4, 2.5, "all"])
def test_a_batch_size_set_later_is_looked_at_too(size):
    learn = small()
    with pytest.raises(ValueError, match=f"batch_size is a whole number .* not .?{size}"):
        learn.batch_size = size
    assert learn.batch_size == 10
    learn.batch_size = 15
    learn.set_data(coloured(60))
    assert learn.batch_size == 15 and learn.n_batches == 3
    learn.batch_size = None
    assert learn.batch_size == 32


def test_the_usual_batch_size_depends_on_the_pictures_there_are():
    learn = Learner(models.small_cnn(3, 4), coloured(30))
    assert learn.batch_size == 32
    images = coloured(1000)
    for n, usual in ((499, 32), (500, 64), (600, 64)):
        learn.set_data(images.with_training(range(n)))
        assert learn.batch_size == usual


@pytest.mark.parametrize("seed", [-(2**63), 2**63, 2**64 - 1])
def test_seeds_have_64_bits(seed):
    assert len(small(seed=seed).history.loss) == 0
    for beyond in (-(2**63) - 1, 2**64):
        with pytest.raises(ValueError, match="at most 64 bits"):
            small(seed=beyond)


@pytest.mark.parametrize("lr", [None, "high", [1e-3, None], [[1e-3]], {}, 10**400])
@pytest.mark.parametrize("use", ["fit", "lr_find"])
def test_what_is_no_lr_gets_a_sentence(lr, use):
    learn = small()
    with pytest.raises(ValueError, match="LR"):
        learn.fit(lr, 1) if use == "fit" else learn.lr_find(lr)


def test_seed_and_batch_size_may_be_numbers_of_numpys():
    found = small(seed=np.int64(3), batch_size=np.int64(7)), small(seed=3, batch_size=7)
    for learn in found:
        learn.fit(1e-3, 1)
    assert same(*map(weights, found))
    assert all(type(learn.batch_size) is int for learn in found)


def test_what_the_learner_is_made_of_can_be_read_in_an_afternoon():
    code = (
        "import sys, lessonkit.learner\n"
        "files = {m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'lessonkit'}\n"
        "print(sum(len(open(file, encoding='utf-8').readlines()) for file in files))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 2200
