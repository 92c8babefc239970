"""The schedule explorer: what it draws is what `lessonkit.schedule` returns."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from lessonkit import schedule
from lessonkit.course import explorers as explore

KINDS = ["constant", "step decay", "linear", "cosine", "sgdr", "triangular", "one cycle"]


@pytest.fixture
def figure():
    return explore.schedules()


def on_show(figure):
    return {name for name, c in figure.controls.items() if c.layout.display != "none"}


def lines(figure):
    """The drawn schedules by name, each as its mini-batches and LRs."""
    return {
        line.get_label(): line.get_data()
        for line in figure.axes.get_lines()
        if line.get_label() in KINDS
    }


def test_it_begins_with_a_cosine_among_all_others(figure):
    assert repr(figure) == (
        "schedules: kind=cosine lr=0.1 epochs=7 floor=0 others=True log_scale=False step=200"
    )
    assert figure.alt == (
        "schedule.cosine(0.1, steps=350, lr_min=0): 7 epochs of 50 mini-batches. "
        "At step 200, in epoch 5, the LR is 0.0389."
    )
    assert list(lines(figure)) == KINDS
    assert Image.open(io.BytesIO(figure.image.value)).size == (900, 340)


def test_only_the_parameters_of_the_chosen_kind_are_on_show(figure):
    always = {"kind", "lr", "others", "log_scale", "step"}
    for kind, own in {
        "constant": {"epochs"},
        "step decay": {"epochs", "drop", "every"},
        "linear": {"epochs", "floor"},
        "sgdr": {"n_cycle", "cycle_len", "cycle_mult", "floor"},
        "triangular": {"epochs", "cycle", "floor"},
        "one cycle": {"epochs", "warm_up", "start_div", "final_div"},
    }.items():
        figure.controls["kind"].value = kind
        assert on_show(figure) == always | own
        assert "cycle_mult" in repr(figure) or kind != "sgdr"


def test_sgdr_counts_its_epochs(figure):
    figure.controls["kind"].value = "sgdr"
    assert "1 + 2 + 4 = 7 epochs" in figure.alt and "1 + 2 + 4" in figure.axes.get_title()
    figure.controls["cycle_len"].value = 2
    assert "2 + 4 + 8 = 14 epochs" in figure.alt
    figure.controls["n_cycle"].value = 1
    assert ": 2 epochs of" in figure.alt


@pytest.mark.parametrize(
    ("kind", "values", "made"),
    [
        ("cosine", {"floor": 0.5}, schedule.cosine(0.1, 350, lr_min=0.05)),
        ("linear", {"epochs": 4}, schedule.linear(0.1, 200)),
        ("step decay", {"drop": 0.5, "every": 2}, schedule.step_decay(0.1, 350, 0.5, 100)),
        ("sgdr", {"cycle_mult": 1}, schedule.sgdr(0.1, 3, 1, 1, 50)),
        ("triangular", {"cycle": 4}, schedule.triangular(0.1, 350, 200, 0)),
        ("one cycle", {"warm_up": 0.5}, schedule.one_cycle(0.1, 350, 0.5)),
        ("constant", {"lr": 0.01}, schedule.constant(0.01, 350)),
    ],
)
def test_it_draws_and_names_what_the_schedule_returns(figure, kind, values, made):
    figure.controls["kind"].value = kind
    for name, value in values.items():
        figure.controls[name].value = value
    batches, lrs = lines(figure)[kind]
    assert len(batches) == len(made)
    np.testing.assert_allclose(lrs, made)
    figure.controls["step"].value = 77
    assert figure.alt.endswith(f"At step 77, in epoch 2, the LR is {made[77]:.3g}.")
    # The caption's call can be copied into a cell.
    assert len(eval(figure.alt.split(": ")[0], {"schedule": schedule})) == len(made)


def test_the_step_stays_within_the_schedule(figure):
    step = figure.controls["step"]
    step.value = step.max
    assert step.value == 349
    figure.controls["epochs"].value = 2
    assert (step.value, step.max) == (99, 99)
    assert "At step 99, in epoch 2" in figure.alt
    figure.reset()
    assert (step.value, step.max) == (200, 349)


def test_the_others_can_be_left_out(figure):
    figure.controls["others"].value = False
    assert list(lines(figure)) == ["cosine"]


def test_all_controls_can_be_drawn_at_their_ends(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for log_scale in (False, True):
            figure.controls["log_scale"].value = log_scale
            for kind in KINDS:
                figure.controls["kind"].value = kind
                for name in sorted(on_show(figure) - {"kind", "others", "log_scale"}):
                    control = figure.controls[name]
                    low, high = control.min, control.max
                    if name in ("lr", "final_div"):
                        low, high = 10**low, 10**high
                    for end in (low, high):
                        control.value = end
                        assert figure.values[name] == end
                        assert figure.alt.startswith("schedule."), figure.caption.value
        figure.reset()
    assert figure.values["kind"] == "cosine" and "drawn" not in figure.caption.value
