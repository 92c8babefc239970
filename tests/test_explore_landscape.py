"""The ball between two pits, and the two explorers of landscapes."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import schedule
from lessonkit.course import explorers as explore
from lessonkit.course.explorers.loss_surface import two_pits_slope
from tests.test_explore import draw_at_all_ends


def bottom(start):
    """Where the ball comes to rest when it rolls down slowly."""
    return explore.roll(start, schedule.constant(0.02, 3000))[-1]


def curvature(x, h=1e-4):
    return (two_pits_slope(x + h) - two_pits_slope(x - h)) / (2 * h)


# --- The ball -----------------------------------------------------------------------------------


def test_the_slope_is_the_derivative():
    x, h = np.linspace(-4, 4, 161), 1e-6
    measured = (explore.two_pits(x + h) - explore.two_pits(x - h)) / (2 * h)
    np.testing.assert_allclose(two_pits_slope(x), measured, atol=1e-7)


def test_the_pits_are_equally_deep_and_one_is_much_narrower():
    narrow, wide = bottom(-1.6), bottom(1.0)
    assert explore.two_pits(narrow) == pytest.approx(explore.two_pits(wide), abs=1e-4)
    assert curvature(narrow) == pytest.approx(45, rel=0.01)
    assert curvature(wide) == pytest.approx(1.65, rel=0.01)


def test_the_ball_goes_where_torch_goes_with_the_same_learning_rates():
    lrs = schedule.sgdr(0.3, 2, 1, 2, steps_per_epoch=10)
    x = torch.tensor(-2.5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.1)
    places = [x.item()]
    for lr in lrs:
        optimizer.param_groups[0]["lr"] = lr
        x.grad = torch.tensor(float(two_pits_slope(x.item())), dtype=torch.float64)
        optimizer.step()
        places.append(x.item())
    np.testing.assert_allclose(explore.roll(-2.5, lrs), places, rtol=1e-12)


def test_several_balls_roll_as_each_would_alone():
    lrs, starts = schedule.cosine(0.1, 30), np.array([-3.0, -1.4, 0.0, 2.0])
    together = explore.roll(starts, lrs)
    assert together.shape == (31, 4)
    for i, start in enumerate(starts):
        np.testing.assert_array_equal(together[:, i], explore.roll(start, lrs))


@pytest.mark.parametrize(("share", "rests"), [(0.97, True), (1.03, False)])
def test_it_comes_to_rest_in_the_narrow_pit_exactly_below_two_over_its_curvature(share, rests):
    lr = share * 2 / curvature(bottom(-1.6))
    last = explore.roll(-1.5, schedule.constant(lr, 2000))[-10:]
    assert (np.ptp(last) < 1e-6) == rests
    assert (np.abs(last + 1.5) < 0.3).all()


# --- The two explorers --------------------------------------------------------------------------


def move(figure, **values):
    """As the page does it when a control moves."""
    figure.values = figure.values | values


def test_restarts_says_where_the_ball_ends():
    figure = explore.restarts()
    assert repr(figure) == (
        "restarts: how=sgdr learning_rate=0.2 start=-1.5 n_cycle=3 cycle_len=1 cycle_mult=2"
    )
    assert Image.open(io.BytesIO(figure.png())).size == (1100, 340)
    assert figure.alt == "sgdr, LR 0.2: the ball starts at -1.5 and rests in the wide pit."
    for values, told in [
        ({"n_cycle": 1}, "rests in the narrow pit"),
        ({"n_cycle": 3, "how": "constant, LR / 20"}, "rests in the narrow pit"),
        ({"how": "constant", "learning_rate": 0.1}, "still moves in the narrow pit"),
        ({"how": "constant", "learning_rate": 1.4}, "still moves in the wide pit"),
        ({"how": "cosine", "start": 3.0}, "rests in the wide pit"),
        ({"how": "constant, LR / 20", "learning_rate": 0.02, "start": 4.0}, "on its way"),
        ({"learning_rate": 0.2, "start": 0.0}, "still moves in the wide pit"),  # slow, half-way
    ]:
        move(figure, **values)
        assert told in figure.alt


@pytest.fixture
def planes():
    a, b = np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21))
    return {"round": 0.1 + a**2 + b**2, "long": 0.2 + a**2 + 25 * b**2}


def test_landscape_tells_the_loss_where_the_cross_hair_is(planes):
    figure = explore.landscape(planes, np.linspace(-1, 1, 21))
    assert repr(figure) == "landscape: network=round a=0 b=0"
    assert figure.alt == "round: at a = 0, b = 0 the loss is 0.1."
    move(figure, a=0.5)
    assert figure.alt == "round: at a = 0.5, b = 0 the loss is 0.35."
    move(figure, network="long", b=-1.0)
    assert figure.alt == "long: at a = 0.5, b = -1 the loss is 25."


def test_all_controls_can_be_drawn_at_their_ends(planes):
    draw_at_all_ends(explore.restarts())
    draw_at_all_ends(explore.landscape(planes, np.linspace(-1, 1, 21)))
    draw_at_all_ends(explore.landscape({"flat": np.ones((5, 5))}, np.linspace(-1, 1, 5)))
