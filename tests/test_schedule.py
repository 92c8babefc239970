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


@pytest.mark.parametrize("steps", [2, 4, 5, 6, 10, 37, 100])
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


def test_what_is_not_given_is_what_the_docstrings_say():
    thirds = [1.0] * 4 + [0.1] * 4 + [0.01] * 2
    np.testing.assert_allclose(schedule.step_decay(1.0, 10), thirds)
    np.testing.assert_allclose(schedule.step_decay(1.0, 2), [1.0, 0.1])
    np.testing.assert_allclose(schedule.linear(1.0, 4), [1, 0.75, 0.5, 0.25])
    np.testing.assert_allclose(schedule.cosine(1.0, 3), [1, 0.75, 0.25])
    np.testing.assert_allclose(schedule.sgdr(1.0, 2), [1, 1])
    np.testing.assert_allclose(schedule.sgdr(1.0, 2, 2), [1, 0.5, 1, 0.5])
    np.testing.assert_allclose(schedule.sgdr(1.0, 1, 2, lr_min=0.5), [1, 0.75])
    np.testing.assert_allclose(schedule.triangular(1.0, 4), [0.25, 0.625, 1, 0.625])
    np.testing.assert_allclose(schedule.triangular(0.1, 4), [0.025, 0.0625, 0.1, 0.0625])
    assert (schedule.constant(0.3, 3) == [0.3, 0.3, 0.3]).all()


def test_a_line_goes_from_the_lr_to_its_end():
    np.testing.assert_allclose(schedule.linear(0.5, 5, 0.1), [0.5, 0.42, 0.34, 0.26, 0.18])


@pytest.mark.parametrize(("start_div", "final_div"), [(1, 1), (1, 10), (4, 1), (2, 100)])
def test_one_cycle_starts_and_ends_where_it_is_told_to(start_div, final_div):
    lrs = schedule.one_cycle(0.4, 20, 0.25, start_div, final_div)
    assert lrs[0] == pytest.approx(0.4 / start_div) and lrs[4] == pytest.approx(0.4)
    assert lrs[-1] == pytest.approx(0.4 / start_div / final_div)


@pytest.mark.parametrize("steps", [1, 2, 9, 10])
def test_one_cycle_without_a_step_to_warm_up_in_begins_at_the_top(steps):
    lrs = schedule.one_cycle(0.4, steps, warm_up=0.1)
    assert lrs[0] == pytest.approx(0.4 if steps == 10 else lrs.max())
    assert lrs[-1] == pytest.approx(0.4 / 25 / 1e4)


# --- What is refused ----------------------------------------------------------------------------


def in_each_function(**bad):
    """A call of each function that takes the argument `bad`, all else as it should be."""
    wanted = [
        (schedule.constant, {"steps": 6}),
        (schedule.step_decay, {"steps": 6, "every": 2}),
        (schedule.linear, {"steps": 6, "lr_min": 0.01}),
        (schedule.cosine, {"steps": 6, "lr_min": 0.01}),
        (
            schedule.sgdr,
            {"n_cycle": 2, "cycle_len": 1, "cycle_mult": 2, "steps_per_epoch": 3, "lr_min": 0.01},
        ),
        (schedule.triangular, {"steps": 6, "cycle": 3, "lr_min": 0.01}),
        (schedule.one_cycle, {"steps": 6}),
    ]
    [name] = bad
    fitting = [(f, given) for f, given in wanted if name in given or name == "lr"]
    assert fitting
    return [(function, {"lr": 0.1, **given, **bad}) for function, given in fitting]


COUNTS = ["steps", "every", "n_cycle", "cycle_len", "cycle_mult", "steps_per_epoch", "cycle"]


@pytest.mark.parametrize("count", [0, -1, 1.5, 2.0, None, "3", 10**9])
@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_a_whole_number_of_at_least_one_that_memory_can_hold(name, count):
    if count is None and name in ("every", "cycle"):
        return  # a third of all; all
    for function, others in in_each_function(**{name: count}):
        with pytest.raises(ValueError, match=f"^{name} must be a whole number"):
            function(**others)


@pytest.mark.parametrize("name", COUNTS)
def test_one_is_enough_and_may_be_numpys(name):
    for function, others in in_each_function(**{name: np.int64(1)}):
        lrs = function(**others)
        assert len(lrs) >= 1 and (lrs > 0).all() and (lrs <= 0.1).all()


@pytest.mark.parametrize("lr_min", [-0.001, 0.2, math.nan])
def test_the_lowest_lr_lies_between_zero_and_the_lr(lr_min):
    for function, others in in_each_function(lr_min=lr_min):
        with pytest.raises(ValueError, match="lr_min must lie between"):
            function(**others)


def test_the_lowest_lr_may_be_zero_or_the_lr_itself():
    for function, others in in_each_function(lr_min=0.1):
        np.testing.assert_allclose(function(**others), 0.1)
    for function, others in in_each_function(lr_min=0):
        assert function(**others).min() < 0.06


def test_the_largest_number_of_steps_is_still_allowed(monkeypatch):
    monkeypatch.setattr(schedule, "MOST_STEPS", 7)
    assert len(schedule.constant(0.1, 7)) == len(schedule.sgdr(0.1, 3, cycle_mult=2)) == 7
    with pytest.raises(ValueError, match="a whole number from 1 to 7, not 8"):
        schedule.constant(0.1, 8)
    with pytest.raises(ValueError, match="4 such cycles are more than 7 steps"):
        schedule.sgdr(0.1, 4, 2)


@pytest.mark.parametrize("n_cycle", [28, 15_000, 10**8])
def test_cycles_that_grow_out_of_memory_get_a_sentence(n_cycle):
    sentence = f"^{n_cycle} such cycles are more than 100,000,000 steps"
    with pytest.raises(ValueError, match=sentence):
        schedule.sgdr(0.1, n_cycle, cycle_mult=2)


@pytest.mark.parametrize("lr", ["a lot", None, [0.1]])
def test_an_lr_that_is_no_number_gets_a_sentence(lr):
    for name in ("lr", "lr_min"):
        for function, others in in_each_function(**{name: lr}):
            if not (function is schedule.triangular and name == "lr_min" and lr is None):
                with pytest.raises(ValueError, match="LRs are numbers"):
                    function(**others)


@pytest.mark.parametrize("lr", [0, -0.1, 1e300, math.nan, math.inf])
def test_a_bad_lr_gets_a_sentence(lr):
    for function, others in in_each_function(lr=lr):
        with pytest.raises(ValueError, match="LR must be a positive number"):
            function(**others)


@pytest.mark.parametrize("drop", [0, -0.5, 1.001, math.nan])
def test_a_decay_never_climbs_nor_ends_at_zero(drop):
    with pytest.raises(ValueError, match="drop must be above 0 and at most 1"):
        schedule.step_decay(0.1, 10, drop=drop)


def test_a_drop_of_one_is_none():
    assert (schedule.step_decay(0.1, 10, drop=1) == 0.1).all()


@pytest.mark.parametrize("warm_up", [0, 1, -0.1, 1.5, math.nan])
def test_the_share_of_the_way_up_lies_between_none_and_all(warm_up):
    with pytest.raises(ValueError, match="warm_up is a share"):
        schedule.one_cycle(0.1, 10, warm_up=warm_up)


@pytest.mark.parametrize("name", ["start_div", "final_div"])
@pytest.mark.parametrize("value", [0, 0.5, -2, math.inf, math.nan])
def test_a_cycle_starts_and_ends_below_its_top(name, value):
    with pytest.raises(ValueError, match="can't be divided by"):
        schedule.one_cycle(0.1, 10, **{name: value})


@pytest.mark.parametrize("lrs", [[0.1], (0.01, 0.0), np.float32([0.5, 2.9e38]), [0, 1]])
def test_any_lrs_from_zero_on_are_a_schedule(lrs):
    found = schedule.as_schedule(lrs)
    assert found.dtype == np.float64 and found.tolist() == [float(lr) for lr in lrs]


@pytest.mark.parametrize(
    "lrs",
    [[], 0.1, [[0.1]], [-0.1, 0.1], [math.nan], [math.inf], [3.1e38], [10**400], ["a"], None, {}],
)
def test_what_is_no_list_of_lrs_gets_a_sentence(lrs):
    with pytest.raises(ValueError, match="A schedule is a list of LRs from 0 on"):
        schedule.as_schedule(lrs)
