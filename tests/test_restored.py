"""A training after a sweep is the one without, also where much else takes part in it.

What torch's own models, optimisers and loaders keep is in test_lr_finder.py.
"""

import random
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader

from lessonkit import Learner, augment, lr_find, models
from lessonkit.training.restored import _sources, everything_restored
from tests.test_lr_finder import (
    Asked,
    Counted,
    InTurnAll,
    Mixed,
    Noise,
    Transformed,
    Turning,
    batches,
    network,
)
from tests.tiny import coloured


class Trains:
    """Trains a network in its own way; what it needs for that is in attributes."""

    def __init__(self, kind):
        self.model = network()
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1, momentum=0.9)
        self.weights = [nn.Parameter(torch.zeros(())) for _ in range(2)]
        self.of_weights = torch.optim.SGD(self.weights, 0.1)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=3)
        self.schedule = {
            "cosine": lambda one: lr_scheduler.CosineAnnealingLR(one, 20),
            "sequence": lambda one: lr_scheduler.SequentialLR(
                one, [lr_scheduler.ConstantLR(one), lr_scheduler.ExponentialLR(one, 0.9)], [5]
            ),
        }.get(kind, lambda one: lr_scheduler.ConstantLR(one, 1.0))(self.optimizer)

    def step(self, inputs, targets):
        for one in (self.optimizer, self.of_weights):
            one.zero_grad()
        loss = F.cross_entropy(self.model(inputs), targets)
        first, second = self.weights
        self.scaler.scale(loss * (-first).exp() + first + second**2 - second).backward()
        for one in (self.optimizer, self.of_weights):
            self.scaler.step(one)
        self.scaler.update()
        self.schedule.step()
        return loss.item()


@pytest.mark.parametrize("kind", ["constant", "cosine", "sequence"])
@pytest.mark.parametrize("first", [0, 1])
def test_schedulers_scalers_and_weights_of_a_trainer_are_as_they_were(kind, first):
    def trained(sweep):
        trainer, lrs = Trains(kind), []
        for i in range(3):
            if sweep and i == first:
                given = trainer.model, trainer.optimizer, batches(), None
                lr_find(*given, steps=12, stop=None, train_step=trainer.step)
            for batch in batches():
                trainer.step(*batch)
                lrs.append(trainer.optimizer.param_groups[0]["lr"])
        weights = [one.tolist() for one in (*trainer.model.parameters(), *trainer.weights)]
        return weights, lrs, trainer.scaler.get_scale()

    assert trained(sweep=True) == trained(sweep=False)


class CountsInItsGroups(torch.optim.SGD):
    """As timm's LAMB and Adan, it has a count in each group, from its first step on."""

    def step(self, closure=None):
        for group in self.param_groups:
            group["step"] = group.get("step", 0) + 1
        return super().step(closure)


@pytest.mark.parametrize("first", [0, 1])
def test_a_setting_that_comes_with_the_first_step_is_as_it_was(first):
    model = network()
    optimizer = CountsInItsGroups(model.parameters(), 0.1)
    for _ in range(first):
        optimizer.step()
    before = dict(optimizer.param_groups[0])
    lr_find(model, optimizer, batches(), F.cross_entropy, steps=12)
    assert optimizer.param_groups[0].keys() == before.keys()
    assert optimizer.param_groups[0].get("step") == before.get("step")


def test_settings_that_are_no_numbers_stay_the_same_objects():
    model = network()
    layers = {"layer": model[0], "layers": [model[1]], "anchors": [model[0].weight]}
    others = {"lock": threading.Lock(), "own": SimpleNamespace(steps=3)}
    group = {"params": model.parameters(), **layers, **others}
    optimizer = torch.optim.SGD([group], 0.1)
    with everything_restored(model, optimizer):
        optimizer.param_groups[0]["own"].steps += 1
        optimizer.param_groups[0]["lock"] = None
    for name, value in (layers | others).items():
        assert optimizer.param_groups[0][name] is value
    assert others["own"].steps == 3


def test_what_does_not_fit_into_memory_ends_the_sweep_before_it_begins():
    model = network()
    model.register_buffer("wide", torch.zeros(1).expand(2**44))
    with pytest.raises(RuntimeError, match="memory"):
        lr_find(model, torch.optim.SGD(model.parameters(), 0.1), batches(), F.cross_entropy)


def test_what_points_to_things_that_are_gone_is_left_alone():
    gone = InTurnAll()
    trainer = Trains("constant")
    trainer.owner, trainer.owners = weakref.proxy(gone), [weakref.proxy(gone)]
    trainer.model.owner, trainer.optimizer.param_groups[0]["owner"] = [trainer.owner] * 2
    samples, sampler = Transformed(*map(torch.cat, zip(*batches(), strict=True))), Turning()
    samples.owner = sampler.owner = trainer.owner
    del gone
    given = trainer.model, trainer.optimizer, DataLoader(samples, 15, sampler=sampler), None
    assert len(lr_find(*given, steps=12, stop=None, train_step=trainer.step).losses) == 12


def test_lazy_buffers_get_the_sentence_of_lazy_weights():
    model = nn.Sequential(nn.Linear(6, 8), nn.LazyBatchNorm1d(affine=False), nn.Linear(8, 3))
    optimizer = torch.optim.SGD([*model[0].parameters(), *model[2].parameters()], 0.1)
    with pytest.raises(ValueError, match="size yet"):
        lr_find(model, optimizer, batches(), F.cross_entropy)


def test_results_that_a_loss_collects_are_left_alone():
    loss, model = Asked(), network()
    result = next(iter(model.parameters())).sum()  # has a history, so it can't be copied
    loss.results, loss.seen = [result], [0]
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1), loss):
        loss.seen[0] = 1
    assert loss.results == [result] and loss.seen == [0]


def test_lists_are_put_back_and_gone_through_if_they_have_at_most_a_hundred_parts():
    loss, noise = Asked(), Noise()
    loss.seen, loss.more, loss.all = [0] * 100, [0] * 101, InTurnAll(*[noise] * 100)
    model, before = network(), noise.rng.bit_generator.state
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1), loss):
        loss.seen[0] = loss.more[0] = 1
        noise(torch.zeros(6))
    assert (loss.seen[0], loss.more[0]) == (0, 1) and noise.rng.bit_generator.state == before


def test_what_a_sampler_has_read_stays_with_it():
    class Reading:
        def __init__(self):
            self.names, self.rows = ["0.png"], {"0.png": 0}

        def __iter__(self):
            for i in range(len(self.names), 30):
                self.rows[f"{i}.png"] = len(self.names)
                self.names.append(f"{i}.png")
            return iter(range(30))

        def __len__(self):
            return 30

    samples, sampler = Transformed(*map(torch.cat, zip(*batches(), strict=True))), Reading()
    model, data = network(), DataLoader(samples, 15, sampler=sampler)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), data, F.cross_entropy, steps=4)
    assert {name: row for row, name in enumerate(sampler.names)} == sampler.rows
    assert len(sampler.rows) == 30


def test_what_two_loaders_share_is_kept_once():
    data = Counted()
    held = [kept for kept, _ in _sources([Mixed(DataLoader(data), DataLoader(data))])]
    assert sum(kept is vars(data) for kept in held) == 1


DRAWS = {
    "Python's": (random.Random(0), lambda one: one.random()),
    "numpy's": (np.random.default_rng(0), lambda one: one.random()),
    "numpy's older one": (np.random.RandomState(0), lambda one: one.random_sample()),
    "torch's": (torch.Generator(), lambda one: torch.rand((), generator=one).item()),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_generators_of_any_kind_are_as_they_were(kind):
    model, loss = network(), Asked()
    loss.own, draw = DRAWS[kind]
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1), loss):
        drawn = draw(loss.own), draw(loss.own)
    assert (draw(loss.own), draw(loss.own)) == drawn


def test_what_many_hold_is_gone_through_once():
    noise = Noise()
    model, all_of_it, before = network(), noise, noise.rng.bit_generator.state
    for _ in range(20):  # by a million ways one comes to the noise
        all_of_it = InTurnAll(all_of_it, all_of_it)
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1), all_of_it):
        noise(torch.zeros(6))
    assert noise.rng.bit_generator.state == before


class Wrapped:
    def __init__(self, loader):
        self.dl = loader

    def __iter__(self):
        return iter(self.dl)


@pytest.mark.parametrize("depth", [1, 3, 9])
def test_generators_are_as_they_were_however_deep_they_lie(depth):
    samples = Transformed(*map(torch.cat, zip(*batches(), strict=True)))
    samples.transform = Noise()
    for _ in range(depth):
        samples.transform = InTurnAll(samples.transform)
    model, data = network(), Wrapped(DataLoader(samples, 8))
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1), data):
        drawn = [inputs.tolist() for inputs, _ in data]
    assert [inputs.tolist() for inputs, _ in data] == drawn


class Noisy(augment.Augment):
    """An augmentation with a generator of its own, instead of the learner's."""

    rng = None

    def __call__(self, images, generator=None):
        own = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
        return super().__call__(images, own)


def test_a_network_of_many_layers_keeps_no_generator_from_being_put_back():
    many = nn.ModuleList(nn.Identity() for _ in range(10_000))
    model = nn.Sequential(models.small_cnn(3, width=2), nn.Identity())
    model[1].many = many
    learn = Learner(model, coloured(), device="cpu")
    before = learn.generator.get_state()
    learn.lr_find(steps=2)
    assert torch.equal(learn.generator.get_state(), before)


def test_an_augmentations_own_generator_is_as_it_was_after_the_learners_sweep():
    def trained(sweep):
        how = Noisy("noisy", mirror=True)
        object.__setattr__(how, "rng", np.random.default_rng(0))
        images = coloured().with_augment(how)
        learn = Learner(models.small_cnn(len(images.classes), width=2), images, device="cpu")
        learn.fit(1e-2, 1)
        if sweep:
            learn.lr_find(steps=5)
        learn.fit(1e-2, 1)
        return learn.history.loss

    assert trained(sweep=True) == trained(sweep=False)
