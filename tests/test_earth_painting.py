"""The painted Earth: which places, what is cut out around them, and how agreement is counted."""

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from lessonkit.course.datasets import earth_painting, embedded


@pytest.fixture
def world():
    """A map of 128 x 256 px whose pixels say where they are, and its climates: land on the left."""
    rows, columns = np.indices((128, 256))
    picture = np.stack([rows, columns, rows * 0], 2).astype(np.uint8)
    climates = np.where(columns < 128, 1 + rows // 64, 0).astype(np.uint8)
    return picture, climates


def test_places_are_a_grid_over_the_land(world):
    places = earth_painting.land(world[1], stride=32)
    assert places.tolist() == [[r, c] for r in (16, 48, 80, 112) for c in (16, 48, 80, 112)]
    assert len(earth_painting.land(world[1], stride=16)) == 4 * len(places)


def test_a_tile_has_its_place_in_the_middle(world):
    cut = earth_painting.tiles(world[0], np.array([[60, 100], [64, 128]]))
    assert cut.shape == (2, 3, 64, 64) and cut.dtype == torch.uint8
    assert cut[:, :2, 32, 32].tolist() == [[60, 100], [64, 128]]
    assert cut[0, 0, :, 0].tolist() == list(range(28, 92))


def test_the_left_and_right_edge_meet_and_at_the_poles_the_tile_moves_in(world):
    cut = earth_painting.tiles(world[0], np.array([[5, 10], [125, 250]]))
    assert cut[0, 1, 0].tolist() == [*range(234, 256), *range(42)]
    assert cut[1, 1, 0].tolist() == [*range(218, 256), *range(26)]
    assert cut[0, 0, :, 0].tolist() == list(range(64))
    assert cut[1, 0, :, 0].tolist() == list(range(64, 128))


def test_painting_goes_batch_by_batch_and_in_order(world):
    places, sizes = earth_painting.land(world[1], stride=8), []

    def predict(batch):
        sizes.append(len(batch))
        return batch[:, :2, 32, 32].float()

    painted = earth_painting.paint(predict, world[0], places, batch=100)
    assert sizes == [100, 100, 56]
    inner = (places[:, 0] >= 32) & (places[:, 0] <= 96)
    assert np.array_equal(painted.numpy()[inner], places[inner])


def test_shares_are_those_of_the_square_that_have_a_climate(world):
    places = np.array([[32, 64], [64, 64], [32, 0], [16, 64], [64, 64], [32, 64]])
    numbers = np.array([1, 1, 1, 1, 2, 2])
    expected = [1, 0.5, 0.5, 1, 0.5, 0]
    np.testing.assert_allclose(earth_painting.shares(world[1], places, numbers), expected)


def test_agreement_counts_places_by_their_weight():
    truth, guess = np.array([0, 1, 2, 2]), np.array([0, 1, 0, 0])
    assert earth_painting.agreement(truth, guess) == 0.5
    assert earth_painting.agreement(truth, guess, np.array([3.0, 3, 1, 1])) == 0.75


def test_areas_shrink_towards_the_poles():
    areas = earth_painting.areas(np.array([[1349, 0], [449, 0], [0, 0], [2699, 0]]))
    np.testing.assert_allclose(areas, [1, 0.5, 0, 0], atol=2e-3)


def test_sets_are_those_of_the_tiles_that_the_course_trains_on():
    tiles = embedded.earth_tiles()
    centres = tiles.boxes[:, [1, 0]] + 32
    expected = np.where(tiles.valid, "validation", "training")
    assert np.array_equal(earth_painting.sets(centres), expected)
    everywhere = earth_painting.sets(earth_painting.land(embedded.earth_map()[1], 64))
    assert set(everywhere) == {"training", "validation", "both"}


def test_validation_pixels_are_whole_blocks_of_15_degrees():
    valid = embedded.validation_pixels()
    assert valid.shape == (2700, 5400) and valid.dtype == bool
    blocks = valid.reshape(12, 225, 24, 225).mean((1, 3))
    assert set(np.unique(blocks)) == {0.0, 1.0}
    assert not np.array_equal(valid, embedded.validation_pixels(seed=0))


def test_a_map_has_the_colours_of_its_climates(world):
    ax = Figure().add_subplot()
    places = np.array([[16, 16], [16, 5360], [2672, 16]])
    earth_painting.draw(ax, places, np.array([0, 2, 7]))
    cells = ax.images[0].get_array()
    names = ["rainforest", "desert", "ice"]
    for (row, column), name in zip(places // 32, names, strict=True):
        colour = matplotlib.colors.to_rgb(earth_painting.COLOURS[name])
        np.testing.assert_allclose(cells[row, column], colour)
    assert list(earth_painting.COLOURS) == embedded.CLIMATES
    assert len(set(earth_painting.COLOURS.values())) == 8


def lightness(colour):
    """WCAG's relative luminance, 0 to 1."""
    red, green, blue = matplotlib.colors.to_rgb(colour)
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("climate", embedded.CLIMATES)
def test_every_land_stands_out_from_the_sea_in_grey(climate):
    land, sea = (lightness(c) for c in (earth_painting.COLOURS[climate], earth_painting.SEA))
    assert (land + 0.05) / (sea + 0.05) >= 3  # what WCAG asks of shapes
