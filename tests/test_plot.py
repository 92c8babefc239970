"""The course's pictures: what can't be drawn gets a sentence, and names are no formulas."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lessonkit import plot
from lessonkit.lr_finder import LRFinderResult


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_wall_of_no_pictures_gets_a_sentence():
    with pytest.raises(ValueError, match="no pictures to draw"):
        plot.wall([])
    assert not plt.get_fignums()


def test_a_sweep_that_explodes_at_once_can_be_drawn():
    losses = np.array([0.3, np.inf])
    found = LRFinderResult(np.array([1e30, 1e33]), losses)
    assert np.isfinite(plot.lr_finder(found).get_ylim()).all()


def test_a_row_of_a_confusion_matrix_is_a_true_class():
    labels, predicted = [0, 0, 0, 1, 2, 2], [0, 1, 1, 1, 0, 2]
    ax = plot.confusion(labels, predicted, ["cat", "dog", "fox"])
    shown = {text.get_position()[::-1]: text.get_text() for text in ax.texts}  # row, column
    assert {place: text for place, text in shown.items() if text} == {
        (0, 0): "1", (0, 1): "2", (1, 1): "1", (2, 0): "1", (2, 2): "1",
    }  # fmt: skip
    assert ax.images[0].get_array()[0].tolist() == [1 / 3, 2 / 3, 0]
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("true class", "predicted")
    for axis in (ax.xaxis, ax.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == ["cat", "dog", "fox"]


def test_a_wall_has_a_place_for_each_picture_under_its_own_name():
    names = ["x$^$.png", "$5 or $6", "caf\udce9.png"]  # the last as Python reads one in Latin-1
    axes = plot.wall(np.zeros((3, 3, 16, 16), np.uint8), np.array(names), columns=2)
    axes[0, 0].figure.canvas.draw()  # a formula that is none is an error here
    shown = [*names[:2], "caf\\udce9.png", ""]
    assert axes.shape == (2, 2) and [ax.get_title() for ax in axes.flat] == shown
    assert [len(ax.images) for ax in axes.flat] == [1, 1, 1, 0]
