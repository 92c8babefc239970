"""The LR finder: it gives everything back, works on any torch code, and reads known curves."""

import copy
import itertools
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lessonkit import lr_find
from lessonkit.lr_finder import LRFinderResult, smooth

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


def test_an_exhausted_iterator_gets_a_sentence():
    model = network()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    before = snapshot(model, optimizer)
    with pytest.raises(ValueError, match="ran out"):
        lr_find(model, optimizer, iter(batches(3)), F.cross_entropy)
    assert same(snapshot(model, optimizer), before)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 0.1), (-1, 1), (1e-5, float("inf"))])
def test_a_range_that_does_not_rise_is_refused(low, high):
    model = network()
    with pytest.raises(ValueError, match="LR must rise"):
        lr_find(model, OPTIMIZERS["sgd"](model.parameters()), batches(), F.cross_entropy, low, high)


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


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=9))
@settings(deadline=None)
def test_valley_is_the_middle_of_a_longest_fall(losses):
    found = curve(losses)
    smoothed, longest = found.smoothed, 0
    for size in range(1, len(losses) + 1):
        for rows in itertools.combinations(range(len(losses)), size):
            if all(np.diff(smoothed[list(rows)]) < 0):
                longest = size
    ends = {
        (rows[0], rows[-1])
        for rows in itertools.combinations(range(len(losses)), longest)
        if all(np.diff(smoothed[list(rows)]) < 0)
    }
    middles = [LRS[first + (last - first) // 2] for first, last in ends]
    assert any(found.valley == middle for middle in middles)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=60))
@settings(deadline=None)
def test_rules_always_give_an_lr_of_the_sweep_and_smoothing_stays_within_the_losses(losses):
    found = curve(losses)
    for rule in ("lowest", "improving", "steepest", "valley", "suggestion"):
        assert LRS[0] / 10 <= getattr(found, rule) <= LRS[-1]
    smoothed = smooth(np.array(losses))
    assert min(losses) - 1e-9 <= smoothed.min() and smoothed.max() <= max(losses) + 1e-9
    assert smoothed[0] == pytest.approx(losses[0])
