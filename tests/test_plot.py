"""The course's pictures: what can't be drawn gets a sentence, and names are no formulas."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lessonkit import plot


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_wall_of_no_pictures_gets_a_sentence():
    with pytest.raises(ValueError, match="no pictures to draw"):
        plot.wall([])
    assert not plt.get_fignums()


def test_a_wall_has_a_place_for_each_picture_under_its_own_name():
    names = ["x$^$.png", "$5 or $6", "three"]
    axes = plot.wall(np.zeros((3, 3, 16, 16), np.uint8), names, columns=2)
    axes[0, 0].figure.canvas.draw()  # a formula that is none is an error here
    assert axes.shape == (2, 2) and [ax.get_title() for ax in axes.flat] == [*names, ""]
    assert [len(ax.images) for ax in axes.flat] == [1, 1, 1, 0]
