"""Pictures drawn again and again look as if each had been drawn alone."""

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from lessonkit.course.explorers import quick_canvas
from lessonkit.course.explorers.quick_canvas import QuickCanvas


def lines(ax, slope=1.0, scale="linear", names=("a", "b", "c")):
    ax.plot([1, 2, 3], [slope, 2 * slope, 9], "o-", label=f"slope {slope}")
    ax.axhline(slope, linestyle=":")
    ax.set(xlabel="x", ylabel="y", ylim=(0.5, 10), yscale=scale, title=f"slope {slope}")
    ax.set_xticks([1, 2, 3], names)
    ax.legend(loc="upper left")


def picture(ax, scale="linear"):
    ax.imshow(np.arange(12).reshape(3, 4), cmap="gray")
    ax.set_axis_off()


def bars(ax, highest=4.0):
    ax.barh(["one", "two"], [1, highest])
    ax.invert_yaxis()


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def figure():
    made = Figure(figsize=(5, 3), dpi=100, layout="constrained")
    return made, made.subplots()


def alone(draw, **values):
    """What matplotlib draws without any of this, as RGB."""
    made, ax = figure()
    draw(ax, **values)
    canvas = FigureCanvasAgg(made)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


@pytest.mark.parametrize("draw", [lines, picture, bars])
def test_a_first_picture_is_what_matplotlib_draws(draw):
    made, ax = figure()
    draw(ax)
    drawn, expected = pixels(QuickCanvas(made).png()), alone(draw)
    assert drawn.shape == expected.shape == (300, 500, 3)
    # A line may cover a spine that matplotlib would have drawn over it: a few pixels.
    assert (drawn != expected).any(-1).mean() < 0.005


@pytest.mark.parametrize(
    ("draw", "steps"),
    [
        (lines, [{"slope": 2.0}, {"scale": "log"}, {"names": ("d", "e", "f")}, {}]),
        (bars, [{"highest": 9.0}, {"highest": 2.0}, {}]),
    ],
)
def test_a_later_picture_shows_nothing_of_the_ones_before(draw, steps):
    made, ax = figure()
    canvas = QuickCanvas(made)
    draw(ax)
    first = canvas.png()
    for values in steps:
        canvas.empty()
        draw(ax, **values)
        last = canvas.png()
    assert values == {} and last == first


def test_ticks_and_labels_are_drawn_again_only_when_they_change(monkeypatch):
    drawn = []
    original = QuickCanvas._draw_frames
    monkeypatch.setattr(
        quick_canvas.QuickCanvas, "_draw_frames", lambda self: drawn.append(1) or original(self)
    )
    made, ax = figure()
    canvas = QuickCanvas(made)
    for slope in (1.0, 2.0, 3.0):
        canvas.empty()
        lines(ax, slope)
        canvas.png()
    assert len(drawn) == 1
    ax.set_ylim(0, 20)
    canvas.png()
    assert len(drawn) == 2


def test_what_is_kept_stays_and_is_not_drawn_again():
    made, ax = figure()
    canvas = QuickCanvas(made)
    ax.axhspan(2, 3, color="0.8")
    canvas.keep()
    pictures = []
    for slope in (1.0, 2.0, 1.0):
        canvas.empty()
        lines(ax, slope)
        pictures.append(canvas.png())
    assert pictures[0] == pictures[2] != pictures[1]

    def both(ax):
        ax.axhspan(2, 3, color="0.8")
        lines(ax)

    assert (pixels(pictures[0]) != alone(both)).any(-1).mean() < 0.005


def test_titles_stay_above_the_axes():
    made, ax = figure()
    lines(ax)
    QuickCanvas(made).png()
    assert ax.title.get_position() == (0.5, 1.0) and ax.title.get_alpha() is None
