"""The LR finder: it gives everything back, works on any torch code, and reads known curves."""

import bisect
import copy
import itertools
import math
import random
from collections import deque
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from lessonkit import lr_find
from lessonkit.lr_finder import SETTLED, LRFinderResult, _to, smooth
from lessonkit.training import optimizers
from lessonkit.training.restored import everything_restored

LRS = np.geomspace(1e-5, 10, 100)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))


def batches(n=5, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n * size, 6, generator=generator)
    labels = inputs[:, :3].argmax(1)
    return list(zip(inputs.split(size), labels.split(size), strict=True))


def warmed_up(optimizer_of):
    """A network and an optimiser that have trained, with state in both, in mixed modes."""
    model = network()
    optimizer = optimizer_of(model.parameters())
    for inputs, targets in batches(2):
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    model[1].eval()
    return model, optimizer


def snapshot(model, optimizer):
    return copy.deepcopy(
        {
            "weights": model.state_dict(),
            "grads": [p.grad for p in model.parameters()],
            "wants grad": [p.requires_grad for p in model.parameters()],
            "modes": [module.training for module in model.modules()],
            "optimizer": optimizer.state_dict(),
            "torch": torch.get_rng_state(),
            "numpy": np.random.get_state(),
            "python": random.getstate(),
        }
    )


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_everything_is_bit_for_bit_as_it_was(name):
    model, optimizer = warmed_up(OPTIMIZERS[name])
    before = snapshot(model, optimizer)
    lr_find(model, optimizer, batches(), F.cross_entropy)
    assert same(snapshot(model, optimizer), before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_everything_is_as_it_was_after_an_error_too(error):
    model, optimizer = warmed_up(OPTIMIZERS["sgd"])
    before, calls = snapshot(model, optimizer), itertools.count()

    def loss(outputs, targets):
        if next(calls) == 7:
            raise error
        return F.cross_entropy(outputs, targets)

    with pytest.raises(error):
        lr_find(model, optimizer, batches(), loss)
    assert same(snapshot(model, optimizer), before)


class Remembers(nn.Module):
    """Keeps state of every kind outside of its buffers, and computes with it."""

    def __init__(self):
        super().__init__()
        self.layer, self.recurrent = nn.Linear(6, 3), nn.Linear(6, 6)
        self.state, self.seen, self.counts = None, [], {"calls": 0}
        self.last, self.numbers = deque(maxlen=3), np.zeros(2)

    def forward(self, inputs):
        before = 0.0 if self.state is None else self.state[0].detach()
        after = self.recurrent(inputs[:1] + before).tanh()
        self.state = (after,)  # its gradient's graph hangs on it
        self.seen.append(float(inputs.mean()))
        self.counts["calls"] += 1
        self.last.append(len(self.seen))
        self.numbers += 1
        weight = 1 + len(self.seen) / 100 + self.counts["calls"] / 50 + sum(self.last) / 1000
        return self.layer(inputs + after) * weight * self.numbers.sum()


class CountsSteps(torch.optim.SGD):
    """Takes shorter steps with time, by a counter of its own."""

    taken = 0

    def step(self, closure=None):
        self.taken += 1
        for group in self.param_groups:
            group["momentum"] = 1 / (1 + self.taken)
        return super().step(closure)


class Counts:
    """A loss that is an object, and weighs by how often it was asked."""

    asked = 0

    def __call__(self, outputs, targets):
        self.asked += 1
        return F.cross_entropy(outputs, targets) / self.asked


class Varied(TensorDataset):
    """A data set that counts, with a list of transforms that draw."""

    calls = 0

    def __getitem__(self, index):
        self.calls += 1
        inputs, target = super().__getitem__(index)
        for generator in self.transforms:
            inputs = inputs + torch.randn(inputs.shape, generator=generator)
        return inputs / self.calls, target


def state_outside_of_torch(sweep, first_epochs):
    """The weights after an epoch of training that followed a sweep, or didn't."""
    torch.manual_seed(0)
    model, loss = Remembers(), Counts()
    loss.asked = 0
    optimizer = CountsSteps(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.taken = 0
    inputs, targets = (torch.cat(part) for part in zip(*batches(), strict=True))
    pictures = Varied(inputs, targets)
    pictures.calls, pictures.transforms = 0, [torch.Generator().manual_seed(i) for i in range(2)]
    loader = DataLoader(pictures, 16)

    def epoch():
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss(model(inputs), targets).backward()
            optimizer.step()

    for _ in range(first_epochs):
        epoch()
    if sweep:
        lr_find(model, optimizer, loader, loss, steps=20)
    epoch()
    return model.state_dict(), model.seen, model.counts, loss.asked, pictures.calls


@pytest.mark.parametrize("first_epochs", [0, 1])
def test_what_models_optimisers_losses_and_data_keep_for_themselves_is_as_it_was(first_epochs):
    assert same(
        state_outside_of_torch(True, first_epochs), state_outside_of_torch(False, first_epochs)
    )


def test_the_sweep_multiplies_and_keeps_the_ratios_between_groups():
    model, seen = network(), []
    optimizer = torch.optim.SGD(
        [
            {"params": model[0].parameters(), "lr": 0.01},
            {"params": model[3].parameters(), "lr": 0.1},
        ]
    )

    def loss(outputs, targets):
        seen.append([group["lr"] for group in optimizer.param_groups])
        return F.cross_entropy(outputs, targets)

    found = lr_find(model, optimizer, batches(), loss, lr_max=0.1, steps=50)
    np.testing.assert_allclose(found.lrs, np.geomspace(1e-5, 0.1, 50))
    np.testing.assert_allclose([last for _, last in seen], found.lrs)
    np.testing.assert_allclose([first / last for first, last in seen], 0.1)


def test_it_works_on_a_regression_with_a_data_loader():
    inputs = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    targets = inputs.sum(1, keepdim=True)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=16, shuffle=True)
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    found = lr_find(model, torch.optim.SGD(model.parameters(), lr=1.0), loader, F.mse_loss)
    assert len(found.lrs) < 100  # it stopped when the loss exploded ...
    assert found.smoothed[-1] > 4 * found.smoothed.min()  # ... to four times its best
    # Full batches would diverge at 2/λ, with λ twice the inputs' largest variance.
    limit = 1 / torch.linalg.eigvalsh(inputs.T @ inputs / 64)[-1].item()
    assert limit / 4 < found.lowest < 5 * limit  # the smoothed curve is late by a factor of 3.5
    assert found.suggestion == found.lowest / 10


def test_three_batches_in_all_are_gone_through_again_and_again():
    model = network()
    found = lr_find(model, OPTIMIZERS["adamw"](model.parameters()), batches(3), F.cross_entropy)
    assert len(found.lrs) > 30 and not found.never_falls


def test_without_a_stop_the_sweep_goes_on_to_its_end():
    model = network()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    assert len(lr_find(model, optimizer, batches(), F.cross_entropy, stop=None).lrs) == 100


def test_an_exhausted_iterator_gets_a_sentence():
    model = network()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    before = snapshot(model, optimizer)
    with pytest.raises(ValueError, match="ran out"):
        lr_find(model, optimizer, iter(batches(3)), F.cross_entropy)
    assert same(snapshot(model, optimizer), before)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 0.1), (1, 1), (-1, 1), (1e-5, float("inf"))])
def test_a_range_that_does_not_rise_is_refused(low, high):
    model = network()
    with pytest.raises(ValueError, match="LR must rise"):
        lr_find(model, OPTIMIZERS["sgd"](model.parameters()), batches(), F.cross_entropy, low, high)


@pytest.mark.parametrize("stop", [1, 0.5, -4.0, math.nan, "4"])
def test_a_loss_explodes_only_above_its_best(stop):
    model = network()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    with pytest.raises(ValueError, match=f"stop, a factor, is above 1, not {stop}"):
        lr_find(model, optimizer, batches(), F.cross_entropy, stop=stop)


def test_a_sweep_of_one_batch_is_one_and_says_nothing():
    model = network()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    found = lr_find(model, optimizer, batches(), F.cross_entropy, steps=1)
    assert found.lrs == [1e-5] and found.losses.shape == (1,) and found.too_short


def test_a_loss_that_is_no_number_from_the_start_gets_a_sentence():
    model = network()
    with pytest.raises(ValueError, match="not a number"):
        lr_find(
            model,
            OPTIMIZERS["sgd"](model.parameters()),
            batches(),
            lambda o, t: F.cross_entropy(o, t) * float("nan"),
        )


def curve(losses):
    return LRFinderResult(LRS[: len(losses)], np.asarray(losses, float))


def valley_shape(noise=0.0, seed=0):
    """Falls from 2.3 to 0.5 around 1e-2 and explodes near 1."""
    decades = np.log10(LRS)
    losses = 2.3 - 1.8 / (1 + np.exp(-4 * (decades + 2))) + np.exp(6 * decades)
    losses += noise * np.random.default_rng(seed).standard_normal(100)
    return losses[losses < 8]


def test_the_rules_on_a_curve_of_the_lessons_shape():
    found = curve(valley_shape())
    assert not found.never_falls
    assert 0.1 < found.lowest < 1 and found.suggestion == pytest.approx(found.lowest / 10)
    assert 5e-3 < found.steepest < 5e-2  # the smoothed curve is late by some batches
    assert found.steepest <= found.improving <= found.lowest
    assert LRS[0] < found.valley < found.lowest


def test_improving_is_the_last_lr_before_the_lowest_with_a_third_of_the_steepest_fall():
    for seed in range(20):
        found = curve(valley_shape(noise=0.1, seed=seed))
        at, lowest = (np.flatnonzero(found.lrs == lr)[0] for lr in (found.improving, found.lowest))
        decades, smoothed = np.log10(found.lrs), found.smoothed
        falls = (smoothed[:-2] - smoothed[2:]) / (decades[2:] - decades[:-2])  # of batch 1 on
        falls = np.r_[(smoothed[0] - smoothed[1]) / (decades[1] - decades[0]), falls]
        enough = falls[: lowest + 1] >= falls[: lowest + 1].max() / 3
        assert enough[at] and not enough[at + 1 :].any()


def test_the_lowest_point_lies_behind_the_first_tenth():
    assert curve(np.linspace(1, 2, 100)).lowest == LRS[10]


@pytest.mark.parametrize("n", [1, 2, 10, 19])
def test_of_fewer_than_20_losses_the_first_is_the_start(n):
    assert curve(np.arange(n, 0, -1)).start == n


def test_where_the_loss_is_zero_throughout_no_lr_is_told():
    found = curve(np.zeros(50))
    assert math.isnan(found.improving) and math.isnan(found.suggestion)


def test_curves_are_told_apart_as_objects():
    one, other = curve([2.0, 1.0]), curve([2.0, 1.0])
    assert one == one and one != other and len({one, other}) == 2


def test_a_curve_is_drawn_on_the_axes_that_are_given():
    found = curve(valley_shape())
    axes = found.plot()
    assert any(np.array_equal(line.get_ydata(), found.smoothed) for line in axes.get_lines())
    assert found.plot(axes) is axes


def test_a_noisy_batch_of_eight_moves_the_suggestion_little():
    exact = curve(valley_shape()).suggestion
    for seed in range(20):
        noisy = curve(valley_shape(noise=0.25, seed=seed)).suggestion
        assert exact / 10 < noisy < exact * 10


def test_an_early_spike_or_a_lucky_first_batch_fools_neither_lowest_nor_suggestion():
    losses, exact = valley_shape(), curve(valley_shape())
    for value in (8.0, 0.01):
        for i in (0, 1, 3):
            changed = losses.copy()
            changed[i] = value
            assert curve(changed).lowest == pytest.approx(exact.lowest, rel=0.5)


def test_a_curve_that_never_falls_is_read_from_where_it_rises():
    losses = np.full(100, 0.4)
    losses[60:] = 0.4 * 1.5 ** np.arange(40)
    found = curve(losses[losses < 10])
    assert found.never_falls and "never falls" in repr(found)
    risen = LRS[np.flatnonzero(found.smoothed > 0.44)[0]]
    assert found.suggestion == pytest.approx(risen / 10)
    assert found.improving == found.suggestion


def valley_as_fastai_states_it(losses):
    """Index into all losses, or None: smoothing, trimming and longest series, each from scratch."""
    smoothed, mean = [], 0.0
    for i, loss in enumerate(losses, 1):
        mean = 0.98 * mean + 0.02 * loss
        smoothed.append(mean / (1 - 0.98**i))
    trimmed = smoothed[10:-5]
    if not trimmed:
        return None
    # The longest strictly falling series that ends at each place, by patience sorting's bisection
    # on the negated values; fastai takes the first place at which the greatest length is reached.
    piles, best, end = [], 0, 0
    for i, value in enumerate(trimmed):
        place = bisect.bisect_left(piles, -value)
        piles[place : place + 1] = [-value]
        if place + 1 > best:
            best, end = place + 1, i
    start = end - best if best > 1 else 0
    third = best / 3
    return 10 + max(0, start + int(third) + int(third / 2))


def test_valley_is_what_fastai_2_computes_on_a_hundred_noisy_curves():
    places = set()
    for seed in range(100):
        losses = valley_shape(noise=0.02 + 0.01 * (seed % 20), seed=seed)
        found, place = curve(losses), valley_as_fastai_states_it(losses)
        assert found.valley == LRS[place]
        places.add(place)
    assert len(places) > 5  # the noise matters


def test_one_bad_batch_early_on_is_not_where_a_curve_that_never_falls_rises():
    losses = np.full(100, 0.4)
    losses[60:] = 0.4 * 1.5 ** np.arange(40)
    losses = losses[losses < 10]
    exact = curve(losses).suggestion
    losses[8] = 1.0
    assert curve(losses).never_falls and exact / 2 < curve(losses).suggestion < exact * 2


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=40))
@example([1.0] * 16)  # one is left
@example([*np.linspace(1, 3, 20)])  # none is lower than one before
@example([*np.linspace(1, 3, 18), 0.1, *np.linspace(3, 4, 8)])  # at most two, far from the start
@settings(deadline=None)
def test_valley_on_any_curve_or_nan_where_too_little_is_left_of_it(losses):
    place = valley_as_fastai_states_it(losses)
    valley = curve(losses).valley
    assert math.isnan(valley) if place is None else valley == LRS[place]


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=60))
@settings(deadline=None)
def test_rules_give_an_lr_of_the_sweep_or_nan_and_smoothing_stays_within_the_losses(losses):
    found = curve(losses)
    for rule in ("lowest", "steepest"):
        assert LRS[0] <= getattr(found, rule) <= LRS[-1]
    for rule in ("improving", "suggestion"):
        lr = getattr(found, rule)
        assert math.isnan(lr) if found.too_short and found.never_falls else True
        assert math.isnan(lr) or LRS[0] / 10 <= lr <= LRS[-1]
    assert math.isnan(found.suggestion) == found.too_short
    smoothed = smooth(np.array(losses))
    assert min(losses) - 1e-9 <= smoothed.min() and smoothed.max() <= max(losses) + 1e-9
    assert smoothed[0] == pytest.approx(losses[0])


# --- a range that was too short -------------------------------------------------------------------


@pytest.mark.parametrize(
    "losses",
    [
        np.linspace(2, 0.1, 100),  # falls to the end
        np.full(100, 0.7),  # neither falls nor rises
        np.r_[np.linspace(2, 0.1, 50), np.linspace(0.1, 0.15, 50)],  # noise at its end, no rise
    ],
)
def test_a_sweep_that_ends_before_the_loss_rises_says_so_and_suggests_nothing(losses):
    found = curve(losses)
    assert found.too_short and math.isnan(found.suggestion)
    assert "range of LRs was too short" in repr(found) and "at 1.0e+01 yet" in repr(found)
    with pytest.raises(ValueError, match="range of LRs was too short"):
        optimizers.lr_per_group(found.suggestion, 3)


def test_a_curve_that_ends_in_infinity_has_risen():
    losses = np.r_[np.linspace(2, 0.1, 60), math.inf]
    found = curve(losses)
    assert not found.too_short and found.suggestion == found.lowest / 10 == LRS[59] / 10
    assert found.steepest < LRS[60]


def test_a_loss_that_overflows_ends_the_sweep_as_infinity():
    model = nn.Linear(6, 3)

    def loss(outputs, targets):
        value = F.cross_entropy(outputs, targets)
        return value if optimizer.param_groups[0]["lr"] < 0.01 else value * float("nan")

    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    found = lr_find(model, optimizer, batches(), loss)
    assert math.isinf(found.losses[-1]) and np.isfinite(found.losses[:-1]).all()
    assert len(found.lrs) == len(found.losses) and not found.too_short


# --- any torch code -------------------------------------------------------------------------------


def test_a_loss_that_is_lower_by_a_constant_is_swept_as_far():
    def sweep(less):
        torch.manual_seed(0)
        model = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        return lr_find(
            model, optimizer, batches(), lambda o, t: F.cross_entropy(o, t) - less, lr_max=1e4
        )

    plain, below = sweep(0), sweep(5)
    n = min(len(plain.losses), len(below.losses))
    assert n > 60  # most of the way to an explosion, though one of them is below zero throughout
    np.testing.assert_allclose(below.losses[:n] + 5, plain.losses[:n], atol=1e-4)
    assert below.losses[-1] > below.losses.min() + 5  # it has exploded


def test_a_loss_that_gets_below_zero_on_the_way_is_swept_to_the_end():
    for seed in range(10):
        torch.manual_seed(seed)
        model = nn.Linear(6, 6)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        data = [(x, x) for x, _ in batches(seed=seed)]
        found = lr_find(model, optimizer, data, lambda o, t: -F.cosine_similarity(o, t).mean())
        assert found.losses.min() < -0.5  # it has learned something


class Two(nn.Module):
    """Adds up what two inputs, by place or by name, come to."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x, y):
        return self.one(x) + self.other(y)


@pytest.mark.parametrize("kind", ["by place", "by name", "targets as a dict"])
def test_several_inputs_are_the_models_arguments(kind):
    torch.manual_seed(0)
    model = Two()
    pairs = [((x, x), t) for x, t in batches()]
    loss = F.cross_entropy
    if kind == "by name":
        pairs = [({"x": x, "y": x}, t) for x, t in batches()]
    if kind == "targets as a dict":
        pairs = [((x, x), {"class": t}) for x, t in batches()]
        loss = lambda o, t: F.cross_entropy(o, t["class"])  # noqa: E731
    found = lr_find(model, torch.optim.SGD(model.parameters(), lr=1.0), pairs, loss)
    assert len(found.losses) > 30 and not found.never_falls


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"image": torch.randn(4, 6), "label": torch.zeros(4, dtype=int)}, "of dict"),
        ((torch.randn(4, 6), torch.zeros(4, dtype=int), ["a.jpg"] * 4), "of 3 parts"),
        (torch.randn(4, 6), "of Tensor"),
    ],
)
def test_batches_of_other_kinds_get_a_sentence_or_a_train_step_of_ones_own(batch, said):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(ValueError, match=f"{said}.*train_step"):
        lr_find(model, optimizer, [batch], F.cross_entropy)
    given = []

    def train_step(*parts):
        given.append(parts)
        return 1.0

    lr_find(model, optimizer, [batch], F.cross_entropy, steps=3, train_step=train_step)
    wanted = batch if isinstance(batch, tuple) else (batch,)
    assert len(given) == 3 and all(parts == wanted for parts in given)


def test_no_batches_at_all_get_another_sentence_than_those_that_ran_out():
    model = nn.Linear(6, 3)
    with pytest.raises(ValueError, match="no batches"):
        lr_find(model, torch.optim.SGD(model.parameters(), lr=1.0), [], F.cross_entropy)


def swept(first, last, warm_up=False):
    """The LRs of two groups at each batch of a sweep of five."""
    model, seen = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 3)), []
    groups = [{"params": model[0].parameters(), "lr": first}]
    groups += [{"params": model[1].parameters(), "lr": last}]
    optimizer = torch.optim.SGD(groups)
    if warm_up:
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: min(1, epoch / 10))

    def step(x, y):
        seen.append([group["lr"] for group in optimizer.param_groups])
        return 1.0

    lr_find(model, optimizer, batches(), F.cross_entropy, steps=5, train_step=step)
    return np.array(seen).T


def test_a_group_of_lr_zero_stays_still_and_a_scheduler_at_zero_keeps_the_ratios():
    wanted = np.geomspace(1e-5, 10, 5)
    for first, last in ((0.0, 0.1), (1e-3, 0.0)):
        lrs = swept(first, last)
        np.testing.assert_allclose(lrs[int(last > 0)], wanted)
        assert (lrs[int(last == 0)] == 0).all()
    np.testing.assert_allclose(swept(1e-3, 1e-2, warm_up=True), [wanted / 10, wanted])
    with pytest.raises(ValueError, match="All LRs"):
        swept(0.0, 0.0)


def test_layers_that_do_not_know_their_size_yet_get_a_sentence():
    model = nn.LazyLinear(3)
    with pytest.raises(ValueError, match="size yet"):
        lr_find(model, torch.optim.SGD(model.parameters(), lr=1.0), batches(), F.cross_entropy)


@pytest.mark.parametrize(("root", "layer"), [(False, False), (True, False), (True, True)])
def test_a_model_in_eval_mode_is_swept_in_train_mode_single_layers_as_they_are(root, layer):
    model, modes = network(), set()
    model.train(root)
    model[2].training = layer
    model[2].register_forward_hook(lambda module, *_: modes.add(module.training))
    lr_find(model, OPTIMIZERS["sgd"](model.parameters()), batches(), F.cross_entropy, steps=3)
    assert modes == {layer or not root}
    assert (model.training, model[2].training) == (root, layer)


# --- a whole training run after a sweep, and one without ------------------------------------------


class Counting(nn.Module):
    """What modules keep beside weights: a replaced buffer, a count, noise of their own."""

    def __init__(self, seed):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.calls, self.seen = 0, None
        self.own = {"noise": torch.Generator().manual_seed(seed)}

    def forward(self, x):
        if self.training:
            self.calls += 1
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            self.seen = x.detach().mean()
            self.last_batch = len(x)  # an attribute that wasn't there before
            x = x + 0.1 / self.calls * torch.randn(x.shape, generator=self.own["noise"])
        return x - self.mean if self.seen is None else x - self.mean + 0.01 * self.seen


class Weighted(nn.Module):
    """A loss with a layer and statistics of its own."""

    def __init__(self):
        super().__init__()
        self.head, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)

    def forward(self, outputs, targets):
        return F.cross_entropy(self.head(self.norm(outputs)), targets) - 1


class Drawn:
    """Batches by lot, from a generator of numpy's that they hold."""

    def __init__(self, seed):
        self.lot = np.random.default_rng(seed)

    def __iter__(self):
        everything = batches()
        return iter([everything[i] for i in self.lot.integers(0, len(everything), 4)])


def loader(kind, seed):
    inputs, labels = (torch.cat(parts) for parts in zip(*batches(), strict=True))
    own = torch.Generator().manual_seed(seed)
    if kind == "drawn by numpy":
        return Drawn(seed)
    if kind == "list":
        return batches()
    if kind == "sampler":
        sampler = RandomSampler(inputs, replacement=True, num_samples=64, generator=own)
        return DataLoader(TensorDataset(inputs, labels), 16, sampler=sampler)
    generator = own if kind == "own generator" else None
    return DataLoader(TensorDataset(inputs, labels), 16, shuffle=True, generator=generator)


class Silent(torch.optim.SGD):
    """An optimiser that hands back no loss, as many people's own do."""

    def step(self, closure=None):
        super().step(closure)


KINDS = {
    "silent": partial(Silent, momentum=0.9),
    "sgd": partial(torch.optim.SGD, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adamw": torch.optim.AdamW,
    "amsgrad": partial(torch.optim.Adam, amsgrad=True),
    "radam": torch.optim.RAdam,
    "rmsprop": partial(torch.optim.RMSprop, centered=True),
    "adagrad": torch.optim.Adagrad,
    "lbfgs": partial(torch.optim.LBFGS, max_iter=3),
}
SETUPS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 99),
        "optimizer": st.sampled_from(list(KINDS)),
        "loader": st.sampled_from(
            ["list", "shuffled", "own generator", "sampler", "drawn by numpy"]
        ),
        "loss": st.sampled_from(["function", "module"]),
        "scheduler": st.booleans(),
        "still": st.booleans(),  # a group of LR 0
        "eval": st.booleans(),
        "trained before": st.integers(0, 2),
    }
)


def run(setup, sweep):
    """Train as `setup` says, with a sweep in the middle or without; all that can be told after."""
    for seed_everything in (torch.manual_seed, np.random.seed, random.seed):
        seed_everything(setup["seed"])
    model = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), Counting(setup["seed"]), nn.Dropout(0.2),
        nn.utils.parametrizations.spectral_norm(nn.Linear(8, 3)),
    )  # fmt: skip
    loss = Weighted() if setup["loss"] == "module" else F.cross_entropy
    groups = [{"params": [*model.parameters()], "lr": 0.01}]
    if setup["optimizer"] != "lbfgs":  # which knows one group only
        groups = [
            {"params": list(layer.parameters()), "lr": 0.01} for layer in (model[0], model[4])
        ]
        groups[0]["lr"] *= not setup["still"]
        groups += (
            [{"params": [*loss.parameters()], "lr": 0.02}] if setup["loss"] == "module" else []
        )
    optimizer = KINDS[setup["optimizer"]](groups)
    scheduler = None
    if setup["scheduler"]:
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: min(1, i / 5))
    data, losses = loader(setup["loader"], setup["seed"]), []

    def epoch():
        model.train()
        for inputs, targets in data:

            def closure(inputs=inputs, targets=targets):
                optimizer.zero_grad()
                value = loss(model(inputs), targets)
                value.backward()
                losses.append(value.item())
                return value

            optimizer.step(closure)
            if scheduler:
                scheduler.step()

    for _ in range(setup["trained before"]):
        epoch()
    model.train(not setup["eval"])
    if sweep:
        lr_find(model, optimizer, data, loss, steps=12)
    was = [module.training for module in model.modules()]
    for _ in range(2):
        epoch()
    kept = model.state_dict(), optimizer.state_dict(), was, torch.get_rng_state()
    beside = loss.state_dict() if setup["loss"] == "module" else {}
    return losses, kept, beside, np.random.get_state(), random.getstate(), vars(model[2])["calls"]


@given(SETUPS)
@settings(max_examples=200 if settings.default.max_examples > 100 else 20)
def test_a_whole_training_run_after_a_sweep_is_bit_for_bit_one_without(setup):
    assert same(run(setup, sweep=True), run(setup, sweep=False))


# --- what of others is put back -------------------------------------------------------------------


class Seen(nn.Module):
    """A network with buffers of odd kinds; one finds its size in the first batch, as observers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 3)
        self.register_buffer("graph", torch.eye(6).to_sparse())
        self.register_buffer("nowhere", torch.zeros(3, device="meta"))
        self.register_buffer("highest", torch.zeros(0))

    def forward(self, inputs):
        self.highest.resize_(6).copy_(inputs.amax(0))
        self.graph.mul_(1.01)
        return self.layer(inputs @ self.graph)


def test_buffers_that_are_sparse_or_find_their_size_are_put_back():
    model = Seen()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    lr_find(model, optimizer, batches(), F.cross_entropy, steps=20)
    assert model.highest.shape == (0,) and optimizer.param_groups[0]["lr"] == 0.1
    assert torch.equal(model.graph.to_dense(), torch.eye(6))


def test_tensors_that_others_hold_too_stay_the_same_ones():
    model, lr = network(), torch.tensor(0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    flat = torch.ones(sum(p.numel() for p in model.parameters()))  # all gradients in one
    sizes = [p.numel() for p in model.parameters()]
    for parameter, part in zip(model.parameters(), flat.split(sizes), strict=True):
        parameter.grad = part.view_as(parameter)

    def step(inputs, targets):
        optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    lr_find(model, optimizer, batches(), F.cross_entropy, steps=20, train_step=step)
    assert optimizer.param_groups[0]["lr"] is lr and lr.item() == pytest.approx(0.1)
    grads = [parameter.grad for parameter in model.parameters()]
    assert grads[1].data_ptr() == flat[sizes[0] :].data_ptr() and (flat == 1).all()


class Asked:
    """A sampler, or a loss, that keeps in attributes of its own how often it was asked."""

    def __init__(self):
        self.turns, self.mean, self.seen = 0, torch.zeros(()), []
        self.pair = torch.zeros(()), np.zeros(2)

    def __call__(self, outputs, targets):
        self.mean += 1
        self.seen.append(1)
        for one in self.pair:
            one += 1
        return F.cross_entropy(outputs, targets)


class Turning(Asked):
    def __iter__(self):
        self.turns += 1
        return iter(np.random.default_rng(self.turns).permutation(30).tolist())

    def __len__(self):
        return 30


class Counted(torch.utils.data.Dataset):
    count = 0

    def __len__(self):
        return 15

    def __getitem__(self, i):
        self.count = self.count + 1
        return torch.ones(6), torch.tensor(i % 3)


def test_what_losses_samplers_and_inner_datasets_count_is_put_back():
    model, loss, sampler, data = network(), Asked(), Turning(), Counted()
    data.count = 7
    loader = DataLoader(torch.utils.data.Subset(data, range(30)), batch_size=10, sampler=sampler)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), loader, loss, steps=20)
    assert (loss.mean, loss.seen, sampler.turns, data.count) == (0, [], 0, 7)
    assert loss.pair[0] == 0 and (loss.pair[1] == 0).all()


def test_the_parts_of_a_concatdataset_are_put_back():
    model, parts = network(), [Counted(), Counted()]
    for part in parts:
        part.count = 7
    loader = DataLoader(torch.utils.data.ConcatDataset(parts), batch_size=10)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), loader, F.cross_entropy, steps=20)
    assert [part.count for part in parts] == [7, 7]


def test_the_parts_of_a_stackdataset_are_put_back():
    class Labels(Counted):
        def __getitem__(self, i):
            return super().__getitem__(i)[1]

    class Inputs(Counted):
        def __getitem__(self, i):
            return super().__getitem__(i)[0]

    model, inputs, labels = network(), Inputs(), Labels()
    inputs.count = labels.count = 7
    counts = []

    def step(batch):
        counts.append((inputs.count, labels.count))
        return F.cross_entropy(model(batch["x"]), batch["y"]).item()

    loader = DataLoader(torch.utils.data.StackDataset(x=inputs, y=labels), batch_size=10)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    lr_find(model, optimizer, loader, F.cross_entropy, steps=20, train_step=step)
    assert counts[0] == (17, 17) and (inputs.count, labels.count) == (7, 7)


@pytest.mark.parametrize("datasets", [None, 3, "names", object(), iter(range(3))])
def test_an_attribute_called_datasets_may_be_anything(datasets):
    class Batches(list):
        pass

    model, given = network(), Batches(batches(3))
    given.datasets = datasets
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), given, F.cross_entropy, steps=12)
    assert given.datasets is datasets
    if hasattr(datasets, "__next__"):
        assert list(datasets) == [0, 1, 2]  # nothing was taken out of it


@pytest.mark.parametrize("steps", [0, -1, 1.5, None, "10"])
def test_steps_are_a_whole_number_of_batches(steps):
    model = network()
    with pytest.raises(ValueError, match=f"whole number of batches, from 1 on, not {steps}"):
        lr_find(
            model, torch.optim.SGD(model.parameters(), 0.1), batches(), F.cross_entropy, steps=steps
        )


def test_an_object_of_ones_own_among_an_optimisers_settings_is_put_back():
    class Warmup:
        steps = 0

    class Warming(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                group["warmup"].steps += 1
            return super().step(closure)

    model, warmup = network(), Warmup()
    warmup.steps = 3
    optimizer = Warming([{"params": list(model.parameters()), "warmup": warmup}], 0.1)
    lr_find(model, optimizer, batches(), F.cross_entropy, steps=20)
    assert optimizer.param_groups[0]["warmup"].steps == 3


class Stubborn:
    """A loss with what can't be written to: an array read from a file, an expanded tensor."""

    def __init__(self):
        self.weights = np.ones(3)
        self.weights.flags.writeable = False
        self.margins, self.calls = torch.tensor(math.nan).expand(3), 0

    def __call__(self, outputs, targets):
        self.calls += 1
        return F.cross_entropy(outputs, targets)


def test_what_cant_be_written_to_is_left_alone_and_all_else_put_back():
    model, loss = network(), Stubborn()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    lr_find(model, optimizer, batches(), loss, steps=20)
    assert same(model.state_dict(), before) and optimizer.param_groups[0]["lr"] == 0.1
    assert loss.calls == 0 and loss.margins.isnan().all() and (loss.weights == 1).all()


@pytest.mark.parametrize("n", [1, 4])
def test_an_expanded_tensor_that_changed_is_put_back(n):
    model = network()
    model.register_buffer("rate", torch.zeros(()).expand(n))
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1)):
        model.rate[:1].fill_(7.0)  # which are all of them
    assert (model.rate == 0).all()


def test_where_one_thing_cant_be_put_back_all_others_are():
    class Locked(dict):
        def update(self, *_):
            raise RuntimeError("locked")

    model, loss = network(), Asked()
    loss.seen, loss.zzz = Locked(), 3
    before = {name: one.clone() for name, one in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with (
        pytest.raises(RuntimeError, match="locked"),
        everything_restored(model, optimizer, loss),
    ):
        for parameter in model.parameters():
            parameter.data.add_(1)
        optimizer.param_groups[0]["lr"], loss.zzz = 10.0, 5
        torch.rand(1)
    assert same(model.state_dict(), before) and optimizer.param_groups[0]["lr"] == 0.1
    assert loss.zzz == 3


class Replacing(nn.Module):
    """A network that gets new weights and a new layer in its forward pass."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, inputs):
        hidden = self.first(inputs)
        self.first.bias = nn.Parameter(self.first.bias + 1)
        self.second = nn.Linear(8, 3)
        return self.second(hidden)


def test_weights_and_layers_that_forward_replaces_are_put_back():
    model = Replacing()
    bias, second = model.first.bias, model.second
    lr_find(
        model, torch.optim.SGD(model.parameters(), 0.1), batches(), F.cross_entropy, steps=12,
        stop=None,
    )  # fmt: skip
    assert model.first.bias is bias and model.second is second


def test_counters_may_be_complex_or_numpys():
    class Counter(Asked):
        calls, phase = np.int64(3), 1j

        def __call__(self, outputs, targets):
            self.calls, self.phase = self.calls + 1, self.phase * 1j
            return F.cross_entropy(outputs, targets)

    model, loss = network(), Counter()
    loss.calls, loss.phase = np.int64(5), 1j
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), batches(), loss, steps=13, stop=None)
    assert (loss.calls, loss.phase) == (5, 1j)


class Mixed:
    """Batches of several loaders in turn."""

    def __init__(self, *loaders):
        self.loaders = loaders

    def __iter__(self):
        return itertools.chain.from_iterable(zip(*self.loaders, strict=True))


def test_loaders_that_a_loader_is_made_of_are_put_back():
    samplers, parts = [Turning(), Turning()], [Counted() for _ in range(150)]
    whole = torch.utils.data.ConcatDataset(parts)  # of more than a short list
    loaders = [
        DataLoader(torch.utils.data.Subset(whole, range(30)), batch_size=10, sampler=sampler)
        for sampler in samplers
    ]
    model, given = network(), Mixed(*loaders)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), given, F.cross_entropy, steps=20)
    assert [s.turns for s in samplers] == [0, 0] and not any(part.count for part in parts)


ORDERS = {
    "a list": list,
    "numpy's numbers": lambda rows: list(np.array(rows)),
    "an array": lambda rows: np.array(rows, np.int32),
    "a tensor": torch.tensor,
}


def shuffle(rows):
    if isinstance(rows, torch.Tensor):
        rows.copy_(rows.flip(0).roll(3))
    else:
        np.random.default_rng(7).shuffle(rows)


@pytest.mark.parametrize("kind", ORDERS)
def test_an_order_that_a_sampler_shuffles_where_it_is_is_put_back(kind):
    class Shuffling:
        def __init__(self):
            self.order, self.left = ORDERS[kind](range(120)), []

        def __iter__(self):
            shuffle(self.order)
            return iter([int(row) for row in self.order])

        def __len__(self):
            return 120

    model, sampler = network(), Shuffling()
    data = [(torch.full((6,), i / 100), i % 3) for i in range(120)]
    given = DataLoader(data, batch_size=10, sampler=sampler)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), given, F.cross_entropy, steps=20)
    assert [int(row) for row in sampler.order] == list(range(120)) and sampler.left == []


def test_an_order_of_batches_is_put_back():
    class Shuffling:
        def __init__(self):
            self.batches = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(40)]

        def __iter__(self):
            shuffle(self.batches)
            self.batches[0].reverse()
            return iter(self.batches)

    model, sampler = network(), Shuffling()
    data = [(torch.full((6,), i / 100), i % 3) for i in range(120)]
    given = DataLoader(data, batch_sampler=sampler)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), given, F.cross_entropy, steps=20)
    assert sampler.batches == Shuffling().batches


class Lazy(torch.utils.data.Dataset):
    """Opens its arrays when it is first asked, as people do with HDF5."""

    def __len__(self):
        return 30

    def __getitem__(self, i):
        if not hasattr(self, "inputs"):
            self.inputs, self.targets = np.ones((30, 6), np.float32), np.arange(30) % 3
        return self.inputs[i], self.targets[i]


class Caching(torch.utils.data.Dataset):
    """Keeps what it has made, with a list of where."""

    def __init__(self):
        self.where, self.items, self.targets = {}, [], [0]

    def __len__(self):
        return 30

    def __getitem__(self, i):
        if i not in self.where:
            self.where[i] = len(self.items)
            self.items.append(torch.full((6,), i / 30))
            self.targets.append(i % 3)
        return self.items[self.where[i]], self.targets[self.where[i] + 1]


@pytest.mark.parametrize("kind", [Lazy, Caching])
def test_what_a_dataset_has_read_stays_with_it(kind):
    """It isn't state: half of it, put back, would no longer fit the other half."""
    model, data = network(), kind()
    given = DataLoader(data, batch_size=10)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), given, F.cross_entropy, steps=12)
    assert len(data.targets) >= 30
    assert [int(target) for _, target in (data[i] for i in range(30))] == [0, 1, 2] * 10


def test_a_list_of_ones_own_keeps_its_count():
    class Counting(list):
        turns = 0

        def __iter__(self):
            self.turns = self.turns + 1
            return super().__iter__()

    model, given = network(), Counting(batches(3))
    given.turns = 4
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), given, F.cross_entropy, steps=12)
    assert given.turns == 4


def test_a_dataset_may_hold_a_class_or_a_module_as_its_loader():
    data = Counted()
    data.loader, data.sampler = Counted, itertools
    model, given = network(), DataLoader(data, batch_size=10)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), given, F.cross_entropy, steps=12)
    assert data.loader is Counted


def test_an_empty_expanded_tensor_is_put_back():
    model = network()
    model.register_buffer("none", torch.zeros(1, 3).expand(0, 3))
    empty = model.none
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1)):
        model.none = torch.ones(2)
    assert model.none is empty and empty.shape == (0, 3) and empty.stride() == (0, 1)


def test_a_model_whose_parametrization_is_removed_can_be_used():
    model = nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1)):
        nn.utils.parametrize.remove_parametrizations(model, "weight")
    assert model(torch.ones(2, 6)).shape == (2, 3)


def test_an_optimiser_of_another_model_is_noticed():
    model, other = network(), network()
    optimizer = torch.optim.SGD(other.parameters(), 0.1)
    with pytest.raises(ValueError, match=r"trains no weight of this model.*model\.parameters\(\)"):
        lr_find(model, optimizer, batches(), F.cross_entropy)
    assert optimizer.param_groups[0]["lr"] == 0.1


class Listed(nn.Module):
    """Its layers lie in a plain list, where torch doesn't find them."""

    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(6, 3)]

    def forward(self, inputs):
        return self.layers[0](inputs)


@pytest.mark.parametrize("what", ["the loss", "a temperature", "an input", "listed layers"])
def test_an_optimiser_may_train_other_things_than_the_model(what):
    model, loss = network(), F.cross_entropy
    trained = torch.ones(6 if what == "an input" else 1, requires_grad=True)
    if what == "the loss":
        loss = Weighted()
        trained = loss.parameters()
    elif what == "a temperature":

        def loss(outputs, targets, temperature=trained):
            return F.cross_entropy(outputs * temperature, targets)
    elif what == "an input":
        model.requires_grad_(False)
        model.register_forward_pre_hook(lambda _, inputs, more=trained: (inputs[0] + more,))
    else:
        model = Listed()
        trained = model.layers[0].parameters()
    trained = [trained] if isinstance(trained, torch.Tensor) else [*trained]
    before = [one.clone() for one in trained]
    found = lr_find(model, torch.optim.SGD(trained, 0.1), batches(), loss, steps=12)
    assert len(found.losses) > 1 and all(map(torch.equal, trained, before))


@pytest.mark.parametrize("returned", [None, [1.0], torch.ones(2), "low"])
def test_a_train_step_that_returns_no_loss_is_noticed(returned):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(ValueError, match="returns a batch's loss, a number, not"):
        lr_find(model, optimizer, batches(), F.cross_entropy, train_step=lambda *batch: returned)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_gradscaler_can_be_put_back():
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
    scaler.scale(torch.ones(()))  # from here on its scale is a tensor
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with everything_restored(model, optimizer, scaler):
        for inputs, targets in batches(2):
            scaler.scale(F.cross_entropy(model(inputs), targets)).backward()
            scaler.step(optimizer)
            scaler.update()
        assert scaler.get_scale() > 1024
    assert scaler.get_scale() == 1024


def test_what_holds_itself_is_gone_through_only_so_deep():
    model = network()
    ring = Asked()
    ring.itself, ring.own = ring, {"noise": torch.Generator().manual_seed(0)}
    before = ring.own["noise"].get_state()
    with everything_restored(model, torch.optim.SGD(model.parameters(), 0.1), ring):
        torch.rand(3, generator=ring.own["noise"])
    assert torch.equal(ring.own["noise"].get_state(), before)


class Lookahead(torch.optim.Optimizer):
    """Steps by another optimiser, and now and then back half the way."""

    def __init__(self, inner):
        super().__init__([p for group in inner.param_groups for p in group["params"]], {})
        self.inner, self.param_groups, self.steps = inner, inner.param_groups, 0

    def step(self, closure=None):
        slow = [p.detach().clone() for group in self.param_groups for p in group["params"]]
        self.inner.step(closure)
        self.steps += 1
        if self.steps % 3 == 0:
            fast = [p for group in self.param_groups for p in group["params"]]
            with torch.no_grad():
                for p, before in zip(fast, slow, strict=True):
                    p.lerp_(before, 0.5)


class InTurn(Lookahead):
    """Two optimisers in a list."""

    def __init__(self, *inner):
        super().__init__(inner[0])
        self.param_groups = [group for one in inner for group in one.param_groups]
        self.all_optimizers = [*inner]
        del self.inner

    def step(self, closure=None):
        with torch.enable_grad():
            closure()
        for one in self.all_optimizers:
            one.step()


@pytest.mark.parametrize("kind", ["one inside", "two in a list"])
def test_an_optimiser_inside_another_is_put_back(kind):
    def trained(sweep):
        model = network()
        halves = (model[0].parameters(), model[3].parameters())
        if kind == "one inside":
            optimizer = Lookahead(torch.optim.Adam(model.parameters(), 0.01))
        else:
            optimizer = InTurn(*(torch.optim.Adam(half, 0.01) for half in halves))

        def epoch():
            for inputs, targets in batches():

                def closure(inputs=inputs, targets=targets):
                    optimizer.zero_grad()
                    loss = F.cross_entropy(model(inputs), targets)
                    loss.backward()
                    return loss

                optimizer.step(closure)

        epoch()
        if sweep:
            lr_find(model, optimizer, batches(), F.cross_entropy, steps=14, stop=None)
        epoch()
        return model.state_dict()

    torch.manual_seed(0)
    assert same(trained(sweep=True), trained(sweep=False))


def test_a_layer_that_thaws_in_the_sweep_is_frozen_again():
    model = network()
    model[0].requires_grad_(False)
    model.register_forward_pre_hook(lambda *_: model[0].requires_grad_(True) and None)
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), batches(), F.cross_entropy, steps=5)
    assert [p.requires_grad for p in model.parameters()] == [False] * 2 + [True] * 4


@pytest.mark.filterwarnings("ignore:.*jit.script.* is deprecated")
def test_a_scripted_model_is_swept_and_put_back():
    model = torch.jit.script(network())
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    before = snapshot(model, optimizer)
    assert len(lr_find(model, optimizer, batches(), F.cross_entropy, steps=12).losses) > 1
    assert same(snapshot(model, optimizer), before)


@pytest.mark.parametrize("way", ["a method", "a partial", "a step's method"])
def test_what_a_loss_keeps_in_its_object_is_put_back(way):
    class Averaged:
        def __init__(self):
            self.mean = 0.0

        def of(self, outputs, targets):
            loss = F.cross_entropy(outputs, targets)
            self.mean = 0.9 * self.mean + 0.1 * loss.item()
            return loss

    def noisy(outputs, targets, draw):
        return F.cross_entropy(outputs + torch.rand(outputs.shape, generator=draw), targets)

    class Trainer(Averaged):
        def step(self, inputs, targets):
            optimizer.zero_grad()
            loss = self.of(model(inputs), targets)
            loss.backward()
            optimizer.step()
            return loss.item()

    model, owner, draw = network(), Averaged(), torch.Generator().manual_seed(0)
    optimizer, state, more = torch.optim.SGD(model.parameters(), 0.1), draw.get_state(), {}
    loss = partial(noisy, draw=draw) if way == "a partial" else owner.of
    if way == "a step's method":
        owner = Trainer()
        more = {"train_step": owner.step}
    lr_find(model, optimizer, batches(), loss, steps=5, **more)
    assert owner.mean == 0.0 and torch.equal(draw.get_state(), state)


@pytest.mark.parametrize("way", ["added", "removed"])
def test_a_groups_coming_or_going_in_the_sweep_is_undone(way):
    model, more = network(), nn.Linear(3, 3)
    halves = [{"params": [*model[i].parameters()]} for i in (0, 3)]
    optimizer = torch.optim.SGD(halves, 0.1, momentum=0.9)

    def step(inputs, targets):
        if way == "added" and len(optimizer.param_groups) == 2:
            optimizer.add_param_group({"params": more.parameters(), "lr": 3.0})
        elif way == "removed":
            del optimizer.param_groups[1:]
        optimizer.zero_grad()
        loss = F.cross_entropy(more(model(inputs)), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    lr_find(model, optimizer, batches(), F.cross_entropy, steps=5, train_step=step)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]
    assert [group["params"] for group in optimizer.param_groups] == [g["params"] for g in halves]


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (nn.CrossEntropyLoss(reduction="none"), r"not tensor\(\[0"),
        (lambda *_: None, "not None"),
        (lambda outputs, targets: F.cross_entropy(outputs, targets).item(), r"not 0\."),
        (lambda outputs, targets: F.cross_entropy(outputs.detach(), targets), r"not tensor\(0"),
    ],
)
def test_a_loss_that_is_no_single_number_with_a_gradient_gets_a_sentence(loss, said):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(ValueError, match=f"loss is one number.*{said}"):
        lr_find(model, optimizer, batches(), loss)


def test_two_batches_are_enough_for_a_slope_and_one_is_not():
    fall = LRFinderResult(LRS[:2], np.array([2.0, 1.0]))
    assert (fall._slopes() < 0).all() and not LRFinderResult(LRS[:1], np.ones(1))._slopes().any()


def test_every_part_of_a_batch_goes_to_the_models_device():
    batch = (torch.ones(1), {"mask": torch.ones(1)}), [torch.ones(1), "a name"]
    ((inputs, more), (targets, name)) = _to(torch.device("meta"), batch)
    assert inputs.is_meta and more["mask"].is_meta and targets.is_meta and name == "a name"


def test_a_curve_begins_with_the_mean_of_its_first_tenth():
    losses = np.ones(100)
    losses[9] = 2.0  # so it begins at 1.1, and 1 is more than 5 % below
    assert not LRFinderResult(LRS, losses).never_falls
    losses[9:11] = 1.0, 2.0
    assert LRFinderResult(LRS, losses).never_falls


@pytest.mark.parametrize("before", [[1.0] * 30, [1.0] * 12 + [0.9**k for k in range(18)]])
def test_it_stops_with_the_first_batch_at_which_the_smoothed_loss_is_four_times_its_lowest(before):
    model, losses = network(), iter(before + [before[-1] * 1.3**k for k in range(60)])
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def step(inputs, targets):
        return next(losses)

    found = lr_find(model, optimizer, batches(), F.cross_entropy, steps=90, train_step=step)
    fourfold = found.smoothed > 4 * np.minimum.accumulate(found.smoothed)
    assert fourfold[-1] and not fourfold[:-1].any()


def test_a_loss_that_falls_below_zero_stops_where_it_is_three_times_its_fall_above_its_best():
    falling, rising = np.linspace(0, -2, 20), np.linspace(-2, 60, 60)
    model, losses = network(), iter([1.0, *[0.0] * 11, *falling, *rising])
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    given = model, optimizer, batches(), F.cross_entropy
    found = lr_find(*given, steps=92, train_step=lambda *_: next(losses))
    best = np.minimum.accumulate(found.smoothed)
    exploded = found.smoothed > best + 3 * (1.0 - best)
    assert exploded[-1] and not exploded[SETTLED:-1].any() and len(found.losses) < 92


# --- people's own optimisers ----------------------------------------------------------------------


class Momentum(torch.optim.Optimizer):
    """An optimiser of one's own: it wants the gradients first, and has no closure."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                before = self.state[p].get("mean", 0)
                self.state[p]["mean"] = 0.9 * before + p.grad
                p -= group["lr"] * self.state[p]["mean"]


class Ignoring(Momentum):
    """Takes a closure and doesn't call it."""

    def step(self, closure=None):
        super().step()


class IgnoringAll(Ignoring):
    """Nor does it mind weights without a gradient."""

    def step(self, closure=None):
        if self.param_groups[0]["params"][0].grad is not None:
            super().step()


class Asking(Momentum):
    """Calls its closure where gradients are switched off."""

    @torch.no_grad()
    def step(self, closure=None):
        if closure is not None:
            closure()
        super().step()


class Perturbing(Momentum):
    """As SAM: gradients first, and again at the weights that these led to."""

    def step(self, closure=None):
        params = self.param_groups[0]["params"]
        gradients = [p.grad * 0.01 for p in params]
        with torch.no_grad():
            torch._foreach_add_(params, gradients)
        closure()
        with torch.no_grad():
            torch._foreach_sub_(params, gradients)
        super().step()


class Clearing(Asking):
    """Leaves no gradients behind."""

    def step(self, closure=None):
        super().step(closure)
        self.zero_grad()


KINDS_OF_ONES_OWN = [Momentum, Ignoring, IgnoringAll, Asking, Perturbing, Clearing]


@pytest.mark.parametrize("kind", KINDS_OF_ONES_OWN)
@pytest.mark.parametrize("first", [0, 2])
def test_optimisers_of_ones_own_are_swept_as_in_a_loop_by_hand_and_put_back(kind, first):
    def trained(sweep):
        model = network()
        optimizer, found = kind(model.parameters()), None

        def train(inputs, targets):
            def backward():
                optimizer.zero_grad()
                loss = F.cross_entropy(model(inputs), targets)
                loss.backward()
                return loss

            loss = backward()
            optimizer.step(*[backward][: kind is Perturbing])
            return loss.item()

        for batch in batches(first):
            train(*batch)
        if sweep:  # by hand, too
            steps = [None, train]
            given = model, optimizer, batches(), F.cross_entropy
            found = [lr_find(*given, steps=12, stop=None, train_step=step) for step in steps]
            assert (found[0].losses == found[1].losses).all() and len(found[0].losses) > 3
        for batch in batches():
            train(*batch)
        return model.state_dict()

    assert same(trained(sweep=True), trained(sweep=False))


def test_what_goes_wrong_in_an_optimisers_step_is_told():
    class Broken(torch.optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("broken")

    model = network()
    with pytest.raises(RuntimeError, match="broken"):
        lr_find(model, Broken(model.parameters(), 0.1), batches(), F.cross_entropy)


def test_groups_without_an_lr_get_a_sentence():
    class Nameless(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"alpha": 0.1})

    model = network()
    with pytest.raises(ValueError, match='group of the optimiser has an "lr"'):
        lr_find(model, Nameless(model.parameters()), batches(), F.cross_entropy)


# --- batches of all kinds -------------------------------------------------------------------------


class Pair(NamedTuple):
    one: torch.Tensor
    other: torch.Tensor


def test_sequences_of_several_lengths_are_swept():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.reader, self.head = nn.GRU(6, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, sequences):
            return self.head(self.reader(sequences)[1][0])

    def together(samples):
        sequences, targets = zip(*samples, strict=True)
        packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
        return packed, torch.tensor(targets)

    torch.manual_seed(0)
    model = Reads()
    given = DataLoader([(torch.randn(n, 6), n % 3) for n in range(1, 30)], 8, collate_fn=together)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    assert len(lr_find(model, optimizer, given, F.cross_entropy, steps=12).losses) > 3


def test_a_namedtuple_of_targets_is_still_one_and_of_inputs_several():
    class Adds(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)

        def forward(self, one, other):
            return self.layer(one + other)

    def loss(outputs, targets):
        return F.cross_entropy(outputs, targets.one) + F.cross_entropy(outputs, targets.other)

    model = Adds()
    given = [(Pair(inputs, inputs), Pair(targets, targets)) for inputs, targets in batches()]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    assert len(lr_find(model, optimizer, given, loss, steps=12).losses) > 3
    moved = _to(torch.device("meta"), given[0])
    assert moved[0].one.is_meta and not given[0][0].one.is_meta


# --- what lies further inside ---------------------------------------------------------------------


class Noise:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, inputs):
        return inputs + 0.1 * torch.from_numpy(self.rng.standard_normal(6)).float()

    def collate(self, samples):
        inputs, targets = torch.utils.data.default_collate(samples)
        return self(inputs), targets


class InTurnAll:
    def __init__(self, *transforms):
        self.transforms = [*transforms]

    def __call__(self, inputs):
        for transform in self.transforms:
            inputs = transform(inputs)
        return inputs


class Transformed(TensorDataset):
    transform = None

    def __getitem__(self, i):
        inputs, target = super().__getitem__(i)
        return inputs if self.transform is None else self.transform(inputs), target


def noisily(rng, samples):
    inputs, targets = torch.utils.data.default_collate(samples)
    return inputs + 0.1 * float(rng.standard_normal()), targets


def data_of(kind):
    inputs, targets = (torch.cat(part) for part in zip(*batches(), strict=True))
    data = Transformed(inputs, targets)
    if kind == "transforms":
        data.transform = InTurnAll(Noise())
        return DataLoader(torch.utils.data.Subset(data, range(64)), 16)
    if kind == "a partial":
        return DataLoader(data, 16, collate_fn=partial(noisily, np.random.default_rng(0)))
    return DataLoader(data, 16, collate_fn=Noise().collate)


@pytest.mark.parametrize("kind", ["transforms", "a partial", "a method"])
def test_training_on_data_that_draw_noise_is_the_same_after_a_sweep(kind):
    def trained(sweep):
        model, data = network(), data_of(kind)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for i in range(3):
            if sweep and i == 1:
                lr_find(model, optimizer, data, F.cross_entropy, steps=12, stop=None)
            for inputs, targets in data:
                optimizer.zero_grad()
                F.cross_entropy(model(inputs), targets).backward()
                optimizer.step()
        return model.state_dict()

    assert same(trained(sweep=True), trained(sweep=False))


def test_a_generator_without_a_state_is_left_alone():
    model, loss = network(), partial(F.cross_entropy)
    model.chance = random.SystemRandom()
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), batches(), loss, steps=12)


def test_labels_stay_with_their_inputs_where_a_loader_shuffles_both():
    class Data:
        def __init__(self):
            self.inputs, self.labels = torch.arange(40.0).repeat(6, 1).T / 40, torch.arange(40) % 3

        def __iter__(self):
            order = torch.randperm(40)
            self.inputs, self.labels = self.inputs[order], self.labels[order]
            return iter([(self.inputs, self.labels)])

    model, data = network(), Data()
    lr_find(model, torch.optim.SGD(model.parameters(), 0.1), data, F.cross_entropy, steps=12)
    assert torch.equal((data.inputs[:, 0] * 40).round().long() % 3, data.labels)


class Around:
    """Steps by an optimiser inside it, and is none."""

    def __init__(self, inner):
        self.optimizer = inner

    @property
    def param_groups(self):
        return self.optimizer.param_groups

    def zero_grad(self):
        self.optimizer.zero_grad()

    def step(self, closure=None):
        return self.optimizer.step(closure)


class Normed:
    """A loss, no module, with a layer in it, or several."""

    def __init__(self, kind):
        layer = nn.BatchNorm1d(3)
        self.layers = {"one": layer, "list": [layer], "dict": {"first": layer}}[kind]

    def __call__(self, outputs, targets):
        held = [*self.layers.values()] if isinstance(self.layers, dict) else self.layers
        layer = held[0] if isinstance(held, list) else held
        return F.cross_entropy(layer.eval()(outputs), targets) + layer.train()(outputs).mean()


class Adversaries:
    """Trains two networks by two optimisers."""

    def __init__(self, model, optimizer):
        self.model, self.other, self.optimizer = model, network(), optimizer
        self.others = [torch.optim.Adam(self.other.parameters(), 0.01)]

    def step(self, inputs, targets):
        for one in (self.optimizer, *self.others):
            one.zero_grad()
        outputs = self.model(inputs) + self.other(inputs)
        loss = F.cross_entropy(outputs, targets)
        loss.backward()
        for one in (self.optimizer, *self.others):
            one.step()
        return loss.item()


@pytest.mark.parametrize("kind", ["around", "loss: one", "loss: list", "loss: dict", "adversaries"])
@pytest.mark.parametrize("first", [0, 1])
def test_training_with_parts_that_lie_in_objects_is_the_same_after_a_sweep(kind, first):
    def trained(sweep):
        torch.manual_seed(0)
        model = network()
        inner = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        optimizer = Around(inner) if kind == "around" else inner
        loss = Normed(kind[6:]) if kind.startswith("loss") else F.cross_entropy
        adversaries, step = Adversaries(model, optimizer), None
        if kind == "adversaries":
            step = adversaries.step
        for i in range(3):
            if sweep and i == first:
                given = model, optimizer, batches(), loss
                lr_find(*given, steps=12, stop=None, train_step=step)
            for inputs, targets in batches():
                if step:
                    step(inputs, targets)
                    continue
                optimizer.zero_grad()
                loss(model(inputs), targets).backward()
                optimizer.step()
        more = loss.__dict__.get("layers", nn.Identity())
        more = [*more.values()] if isinstance(more, dict) else more
        more = (more[0] if isinstance(more, list) else more).state_dict()
        others = adversaries.other.state_dict(), adversaries.others[0].state_dict()
        return model.state_dict(), inner.state_dict(), more, others

    assert same(trained(sweep=True), trained(sweep=False))
