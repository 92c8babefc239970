"""Schedules: equal to torch's own schedulers, to the papers' formulae, and within their bounds."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from lessonkit import schedule

LRS = st.floats(1e-6, 10)
STEPS = st.integers(1, 300)


def by_torch(make, lr, steps):
    """The LR of each of `steps` steps that a scheduler of torch's sets."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler, values = make(optimizer), []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def test_cosine_is_torchs():
    torchs = by_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, 50, eta_min=0.01), 0.3, 50)
    np.testing.assert_allclose(schedule.cosine(0.3, 50, lr_min=0.01), torchs, rtol=1e-9)


def test_step_decay_is_torchs():
    torchs = by_torch(lambda o: lr_scheduler.StepLR(o, 7, gamma=0.2), 0.3, 40)
    np.testing.assert_allclose(schedule.step_decay(0.3, 40, 0.2, every=7), torchs, rtol=1e-9)


@pytest.mark.parametrize("cycle_mult", [1, 2, 3])
def test_sgdr_is_torchs(cycle_mult):
    ours = schedule.sgdr(0.3, 3, cycle_len=2, cycle_mult=cycle_mult, steps_per_epoch=5)
    torchs = by_torch(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 10, cycle_mult), 0.3, len(ours)
    )
    np.testing.assert_allclose(ours, torchs, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("steps", [2, 10, 37, 100])
def test_one_cycle_is_torchs(steps):
    torchs = by_torch(lambda o: lr_scheduler.OneCycleLR(o, 0.3, total_steps=steps), 0.3, steps)
    np.testing.assert_allclose(schedule.one_cycle(0.3, steps), torchs, rtol=1e-6)


def test_triangular_is_torchs():
    torchs = by_torch(
        lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.4, step_size_up=5, cycle_momentum=False), 0.1, 35
    )
    ours = schedule.triangular(0.4, 35, cycle=10, lr_min=0.1)
    np.testing.assert_allclose(ours, torchs, rtol=1e-9)


@given(lr=LRS, cycles=st.integers(1, 4), length=st.integers(1, 3), mult=st.integers(1, 3))
@settings(deadline=None)
def test_sgdr_restarts_where_the_lesson_says(lr, cycles, length, mult):
    per_epoch = 4
    lrs = schedule.sgdr(lr, cycles, length, mult, per_epoch)
    starts = np.cumsum([0] + [length * mult**k * per_epoch for k in range(cycles)])
    assert len(lrs) == starts[-1]
    assert (lrs[starts[:-1]] == lr).all()
    assert set(np.flatnonzero(np.diff(lrs) > 0) + 1) == set(starts[1:-1])


@given(lr=LRS, steps=STEPS, share=st.floats(0, 1))
@settings(deadline=None)
def test_every_schedule_has_its_length_type_and_bounds(lr, steps, share):
    low = lr * share
    for lrs in (
        schedule.constant(lr, steps),
        schedule.step_decay(lr, steps),
        schedule.linear(lr, steps, low),
        schedule.cosine(lr, steps, low),
        schedule.triangular(lr, steps, lr_min=low),
        schedule.one_cycle(lr, steps),
    ):
        assert lrs.shape == (steps,) and lrs.dtype == np.float64
        assert (lrs > 0).all() or low == 0
        assert lrs.max() <= lr * (1 + 1e-12)
    for decay in (schedule.linear, schedule.cosine):
        lrs = decay(lr, steps, low)
        assert lrs[0] == pytest.approx(lr) and lrs[-1] >= low
        assert (np.diff(lrs) <= 1e-15).all()


def test_cosine_is_flat_at_both_ends_and_steepest_in_the_middle():
    falls = -np.diff(schedule.cosine(1.0, 1000))
    assert falls[0] < falls.max() / 100 and falls[-1] < falls.max() / 100
    assert abs(falls.argmax() - 500) <= 1


@pytest.mark.parametrize("lr", [0, -0.1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["constant", "step_decay", "linear", "cosine", "one_cycle"])
def test_a_bad_lr_gets_a_sentence(name, lr):
    with pytest.raises(ValueError, match="LR must be a positive number"):
        getattr(schedule, name)(lr, 10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: schedule.cosine(0.1, 0),
        lambda: schedule.sgdr(0.1, 0),
        lambda: schedule.sgdr(0.1, 1, cycle_len=0),
        lambda: schedule.sgdr(0.1, 2, cycle_mult=1.5),
        lambda: schedule.step_decay(0.1, 10, every=0),
        lambda: schedule.step_decay(0.1, 10, drop=0),
        lambda: schedule.triangular(0.1, 10, cycle=0),
        lambda: schedule.cosine(0.1, 10, lr_min=0.2),
        lambda: schedule.one_cycle(0.1, 10, warm_up=1),
    ],
)
def test_bad_counts_and_shares_are_refused(call):
    with pytest.raises(ValueError, match=r"must|share|lr_min"):
        call()
