"""The schedule explorer: what it draws and offers is what `lessonkit.schedule` returns."""

import io
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lessonkit import schedule
from lessonkit.course import explorers as explore
from tests.test_javascript import settings

KINDS = ["constant", "step decay", "linear", "cosine", "sgdr", "triangular", "one cycle"]


@pytest.fixture
def figure():
    return explore.schedules()


def move(figure, **values):
    """As the page does it when a control moves."""
    figure.values = figure.values | values


def lines(figure):
    """The drawn schedules by name."""
    ax = Figure().subplots()
    figure.draw(ax, **figure.values)
    return {line.get_label(): line.get_ydata() for line in ax.lines if line.get_label() in KINDS}


def test_it_begins_with_a_cosine_among_all_others(figure):
    assert repr(figure) == (
        "schedules: kind=cosine lr=0.1 epochs=7 floor=0 others=True log_scale=False step=200"
    )
    assert figure.alt == (
        "schedule.cosine(0.1, steps=350, lr_min=0): 7 epochs of 50 mini-batches. "
        "At step 200, in epoch 5, the LR is 0.0389."
    )
    assert sorted(lines(figure)) == sorted(KINDS)
    assert Image.open(io.BytesIO(figure.png())).size == (900, 340)


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
        move(figure, kind=kind)
        told = repr(figure).replace(kind, "kind").split()[1:]
        assert {value.split("=")[0] for value in told} == always | own


def test_sgdr_counts_its_epochs(figure):
    move(figure, kind="sgdr")
    assert "1 + 2 + 4 = 7 epochs" in figure.alt
    move(figure, cycle_len=2)
    assert "2 + 4 + 8 = 14 epochs" in figure.alt
    move(figure, n_cycle=1)
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
def test_it_offers_draws_and_names_what_the_schedule_returns(figure, kind, values, made):
    move(figure, kind=kind, **values, step=77)
    np.testing.assert_array_equal(figure.lrs, made)
    np.testing.assert_array_equal(lines(figure)[kind], made)
    assert figure.alt.endswith(f"At step 77, in epoch 2, the LR is {made[77]:.3g}.")
    # The caption's call can be copied into a cell.
    assert len(eval(figure.alt.split(": ")[0], {"schedule": schedule})) == len(made)


def test_the_step_stays_within_the_schedule(figure):
    move(figure, step=349, epochs=2)
    assert "At step 99, in epoch 2" in figure.alt
    assert explore.schedules(steps_per_epoch=10).values["step"] == 69


def test_the_others_can_be_left_out(figure):
    move(figure, others=False)
    assert list(lines(figure)) == ["cosine"]


def test_it_can_be_drawn_wherever_its_controls_stand(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in settings(figure, 40):
            figure.values = values
            assert len(lines(figure)[values["kind"]]) == len(figure.lrs)
