"""Pictures that are steered, and the ball in the bowl."""

import base64
import io
import json
import warnings

import ipywidgets as widgets
import numpy as np
import pytest
import torch
import traitlets
from matplotlib.figure import Figure
from PIL import Image

from lessonkit import plot
from lessonkit.course import explorers as explore
from lessonkit.lr_finder import LRFinderResult


def still(figure):
    """The still picture of an explorer."""
    return Image.open(io.BytesIO(figure.png()))


# --- Gradient descent ---------------------------------------------------------------------------


@pytest.mark.parametrize("curvature", [0.5, 2.0])
@pytest.mark.parametrize("lr", [0.1, 0.5, 0.99, 1.2])
def test_on_a_bowl_each_step_multiplies_the_distance(lr, curvature):
    path = explore.descend(lambda x: curvature * x, 3.0, lr, 12)
    assert path.dtype == np.float64 and path.shape == (13,)
    np.testing.assert_allclose(path, 3.0 * (1 - lr * curvature) ** np.arange(13), rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_it_goes_where_torch_goes(momentum):
    x = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.05, momentum=momentum)
    positions = [x.item()]
    for _ in range(25):
        optimizer.zero_grad()
        (x**4 / 4 - x**2).backward()
        optimizer.step()
        positions.append(x.item())
    path = explore.descend(lambda x: x**3 - 2 * x, 1.5, 0.05, 25, momentum)
    np.testing.assert_allclose(path, positions, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_ball_diverges_exactly_above_two_over_the_curvature(momentum):
    limit = 2 * (1 + momentum) / 4.0
    below, above = (
        np.abs(explore.descend(lambda x: 4.0 * x, 1.0, lr, 4000, momentum))
        for lr in (0.99 * limit, 1.01 * limit)
    )
    assert below[-1] < 1e-3 and above[-1] > 1e3


def test_running_out_of_numbers_is_no_accident():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = explore.descend(lambda x: x**3, 10.0, 1.0, 50)
    assert np.isinf(path[-1]) and np.isfinite(path[1])
    first = int(np.isinf(path).argmax())
    assert np.isinf(path[first:]).all() and np.isfinite(path[:first]).all()


# --- LiveFigure ---------------------------------------------------------------------------------


@pytest.fixture
def live():
    def draw(ax, slope, shown):
        ax.plot([0, 1], [0, slope if shown else 0])
        if slope == 4:
            raise ZeroDivisionError("four is too steep")
        return f"A line of slope {slope:g} < 5"

    controls = {
        "slope": explore.Slider(value=1, max=4, step=0.5, description="slope"),
        "shown": widgets.Checkbox(value=True, description="shown"),
    }
    return explore.LiveFigure("line", controls, draw, size=(5, 3))


def test_the_picture_follows_the_controls_and_reset_puts_them_back(live):
    first = live.image.value
    live.controls["slope"].value = 2
    second = live.image.value
    assert second != first and "A line of slope 2" in live.caption.value
    live.controls["shown"].value = False
    assert live.image.value not in (first, second)
    live.reset()
    assert live.values == {"slope": 1, "shown": True}
    assert live.image.value == first and live.alt == "A line of slope 1 < 5"


def test_the_picture_is_drawn_once_for_controls_that_move_together(live):
    drawn, draw = [], live.draw
    live.draw = lambda ax, **values: drawn.append(values) or draw(ax, **values)
    live.put(slope=2, shown=False)
    assert drawn == [{"slope": 2, "shown": False}]
    live.put(slope=2, shown=False)
    live.reset()
    assert drawn[1:] == [{"slope": 1, "shown": True}]
    with pytest.raises(traitlets.TraitError):
        live.put(slope="steep")
    live.controls["slope"].value = 3
    assert len(drawn) == 3


def test_the_reset_button_resets(live):
    buttons = [child for child in live.children[0].children if isinstance(child, widgets.Button)]
    live.controls["slope"].value = 2
    (button,) = buttons
    button.click()
    assert live.values["slope"] == 1


def test_a_slider_stays_within_its_range_and_whole_numbers_stay_whole():
    slider = explore.Slider(value=7, min=2, max=9)
    slider.value = 12
    assert slider.value == 9 and isinstance(slider.value, int)
    slider.max = 5
    assert slider.value == 5
    slider.min, slider.value = 0.5, -1
    assert slider.value == 0.5
    slider.value = np.float32(0.75)
    assert slider.value == 0.75 and type(slider.value) is float
    for number in (np.nan, np.inf, "3", None):
        with pytest.raises(traitlets.TraitError, match="value is a number"):
            slider.value = number
    assert slider.value == 0.75


def test_as_text_it_states_its_values(live):
    live.controls["slope"].value = 2.5
    data, _ = live._repr_mimebundle_()
    assert data["text/plain"] == "line: slope=2.5 shown=True"


def test_static_viewers_get_the_picture_and_its_description(live):
    data, metadata = live._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    image = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert image.size == (500, 300)
    assert metadata == {"image/png": {"alt": "A line of slope 1 < 5"}}
    assert "1 &lt; 5" in live.caption.value


def test_the_layout_stays_where_it_was(live):
    before = live.axes[0].get_position().bounds
    live.controls["slope"].value = 3
    assert live.axes[0].get_position().bounds == before


def test_an_error_in_drawing_is_shown_beside_the_picture(live):
    with pytest.raises(ZeroDivisionError):
        live.controls["slope"].value = 4
    assert "four is too steep" in live.caption.value
    live.reset()
    assert "slope 1" in live.caption.value


# --- Explorers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [explore.descent, explore.schedules, explore.restarts])
def test_a_notebook_stores_text_a_still_picture_and_its_description(make):
    figure = make()
    data, metadata = figure._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert data["text/plain"] == repr(figure) and metadata == {"image/png": {"alt": figure.alt}}
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size == still(figure).size


def test_the_still_picture_carries_the_explorer():
    figure = explore.descent(momentum=0.5)
    figure.values = figure.values | {"start": 1.5}  # as a slider does
    carried = json.loads(still(figure).text["explorer"])
    assert carried == figure.state() == {
        "name": "descent",
        "controls": figure.controls,
        "first": {"learning_rate": 0.5, "momentum": 0.5, "start": 1.5, "curvature": 1.0},
        "data": {},
    }  # fmt: skip
    assert repr(figure) == "descent: learning_rate=0.5 momentum=0.5 start=1.5 curvature=1"
    assert figure.first["start"] == 4


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: explore.descent(learning_rate=9), "learning_rate lies between 0.05 and 4.5, not"),
        (lambda: explore.schedules("cosin"), "kind is one of constant, .*, not 'cosin'"),
        (lambda: explore.schedules(lr=3.0), "lr lies between 0.0001 and 1, not at 3.0"),
        (lambda: explore.schedules(lr="high"), "lr is a number, not 'high'"),
        (lambda: explore.restarts(n_cycle=2.5), "n_cycle is a whole number, not 2.5"),
        (lambda: explore.restarts("hot"), "how is one of .*, not 'hot'"),
        (lambda: explore.ledger(notebook="99"), "notebook is one of all, 01, .*, not '99'"),
    ],
)
def test_a_value_that_a_control_cannot_have_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_descent_says_what_the_bowl_does():
    figure = explore.descent()
    assert repr(figure) == "descent: learning_rate=0.5 momentum=0 start=4 curvature=1"
    assert still(figure).size == (900, 360)
    assert "2/λ = 2: LR 0.5 converges." in figure.alt
    first = figure.png()
    for values, told in [
        ({"learning_rate": 1.0}, "2/λ = 2: LR 1 converges in one step."),
        ({"learning_rate": 1.9}, "2/λ = 2: LR 1.9 converges, zigzag."),
        ({"learning_rate": 2.0}, "2/λ = 2: LR 2 bounces forever."),
        ({"learning_rate": 2.1}, "2/λ = 2: LR 2.1 diverges."),
        ({"momentum": 0.5}, "2(1 + 0.5)/λ = 3: LR 2.1 converges."),
        ({"curvature": 4.0}, "2(1 + 0.5)/λ = 0.75: LR 2.1 diverges."),
        ({"start": 0.0}, "After 30 steps it is at 0, where the loss is 0."),
    ]:
        figure.values = figure.values | values
        assert told in figure.alt
    assert figure.png() != first


def draw_at_all_ends(figure):
    """Tell and draw the explorer with each control at both of its ends, or at each option."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for control in figure.controls:
            ends = control.get("options") or [control.get("min", False), control.get("max", True)]
            for end in [10.0**x for x in ends] if control.get("log") else ends:
                values = figure.first | {control["name"]: end}
                assert figure.tell(**values)
                axes = Figure().subplots(1, figure.columns)
                figure.draw(axes, **values)


def test_what_numpy_and_torch_count_with_are_values_too():
    explorer = explore.descent(learning_rate=np.float32(0.5), momentum=torch.tensor(0.5))
    assert explorer._repr_mimebundle_() and "momentum=0.5" in repr(explorer)
    assert explore.schedules(steps_per_epoch=np.int64(5))._repr_mimebundle_()


def test_all_of_descents_controls_can_be_drawn_at_their_ends():
    draw_at_all_ends(explore.descent())


@pytest.fixture
def found():
    lrs = np.geomspace(1e-5, 2, 90)
    return LRFinderResult(lrs, 2.3 - 1.5 / (1 + (0.01 / lrs) ** 2) + np.exp(lrs * 3) - 1)


def test_pick_lr_trains_once_for_each_lr(found):
    asked = []

    def train(lr):
        asked.append(lr)
        return np.r_[2.3, np.full(300, 5 * lr)]

    figure = explore.pick_lr(found, train)
    [control] = figure.controls
    assert repr(figure) == "pick_lr: learning_rate=0.01"
    assert asked == [0.01] and control["settle"]  # it trains when the slider is let go
    figure.values = {"learning_rate": 0.1}
    assert figure.alt == "At LR 1.0e-01 the loss goes from 2.30 to 0.5 in 301 steps."
    assert [run["lr"] for run in figure.data["runs"]] == [0.01, 0.1]
    figure.values = {"learning_rate": 0.01}
    figure.values = {"learning_rate": 0.1}
    still(figure)
    assert asked == [0.01, 0.1]


def test_pick_lr_can_have_runs_ready_for_a_page_that_trains_none(found):
    asked = []
    figure = explore.pick_lr(found, lambda lr: asked.append(lr) or np.ones(5), ready=[1e-3, 1])
    assert asked == [1e-3, 1, 0.01]
    assert [run["lr"] for run in figure.state()["data"]["runs"]] == asked


def test_an_error_of_the_readers_own_function_is_told_below_the_picture(found):
    def train(lr):
        if lr > 1:
            raise ValueError("no such luck")
        return np.ones(5)

    figure = explore.pick_lr(found, train)
    with pytest.raises(ValueError, match="no such luck"):
        figure.values = {"learning_rate": 2.0}
    assert figure.data["problem"] == "This could not be computed: no such luck"
    figure.values = {"learning_rate": 0.01}
    assert not figure.data["problem"]


def test_pick_lr_leaves_out_a_rule_that_a_short_sweep_has_no_answer_to():
    short = LRFinderResult(np.geomspace(1e-5, 1e-4, 12), np.linspace(2.3, 2.2, 12))
    figure = explore.pick_lr(short, lambda lr: np.ones(5))
    rules = figure.state()["data"]["found"]["rules"]
    assert set(rules) < set(plot.RULES)
    json.loads(json.dumps(figure.state(), allow_nan=False))  # browsers read no NaN
    still(figure)


def test_pick_lr_shows_a_training_that_explodes(found):
    losses = np.array([2.3, 40.0, 1e30, np.inf, np.nan, np.nan])
    figure = explore.pick_lr(found, lambda lr: losses, learning_rate=10.0)
    assert figure.alt == "At LR 1.0e+01 the loss is no longer a number after 3 steps."
    assert still(figure).size == (900, 360)
    [run] = json.loads(json.dumps(figure.data["runs"], allow_nan=False))
    assert run["losses"] == [2.3, 40.0, 1e30, None, None, None]
