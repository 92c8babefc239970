"""The data that comes with the course: what the notebooks say of it is so."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lessonkit import data
from lessonkit.course.datasets import embedded

DATA = Path(__file__).resolve().parent.parent / "data"
FREE = {"PD", "CC0", "CC-BY", "CC-BY-SA-2.5", "CC-BY-SA-3.0", "GPL-2.0"}


@pytest.fixture(scope="module")
def tiles():
    return embedded.earth_tiles()


def test_no_validation_tile_shares_a_pixel_with_a_training_tile(tiles):
    painted = np.zeros((2700, 5400), bool)
    for left, top, right, bottom in tiles.boxes[~tiles.valid]:
        painted[top:bottom, left:right] = True
    for left, top, right, bottom in tiles.boxes[tiles.valid]:
        assert not painted[top:bottom, left:right].any()
    assert (tiles.nearest_km[tiles.valid] > 0).all()


def test_every_climate_has_tiles_enough_in_both_sets(tiles):
    train = np.bincount(tiles.labels[~tiles.valid], minlength=8)
    valid = np.bincount(tiles.labels[tiles.valid], minlength=8)
    assert (valid >= 25).all() and (valid <= 120).all()
    assert (train >= 100).all() and (train <= 400).all()


def test_a_tiles_label_is_what_the_map_says_of_its_pixels(tiles):
    picture, climates = embedded.earth_map()
    for i in range(0, len(tiles.labels), 37):
        left, top, right, bottom = tiles.boxes[i]
        assert (climates[top:bottom, left:right] == tiles.labels[i] + 1).mean() >= 0.8
        assert np.array_equal(tiles.images[i], picture[top:bottom, left:right])


@pytest.mark.parametrize(
    ("latitude", "longitude", "climate"),
    [
        (23, 10, "desert"),  # the Sahara
        (-3, -65, "rainforest"),  # the Amazon
        (-80, 60, "ice"),  # Antarctica
        (62, 95, "boreal"),  # Siberia
        (48, 2, "temperate"),  # Paris
        (48, 65, "steppe"),  # Kazakhstan
        (33, 90, "tundra"),  # the highlands of Tibet
        (8, 20, "savanna"),  # Central Africa
    ],
)
def test_places_have_the_climate_that_an_atlas_gives_them(latitude, longitude, climate):
    row, column = int((90 - latitude) * 15), int((longitude + 180) * 15)
    number = embedded.earth_map()[1][row, column]
    assert embedded.CLIMATES[number - 1] == climate


def test_the_split_is_the_same_every_time(tiles):
    again = embedded.earth_tiles()
    assert np.array_equal(again.boxes, tiles.boxes) and np.array_equal(again.valid, tiles.valid)
    assert not np.array_equal(embedded.earth_tiles(seed=0).boxes, tiles.boxes)


def test_earth_at_another_size_is_the_same_tiles():
    small, large = data.earth(32), data.earth(64)
    assert np.array_equal(small.train.labels, large.train.labels)
    halved = large.train.images[:50].float().unflatten(2, (32, 2)).unflatten(4, (32, 2))
    difference = halved.mean((3, 5)) - small.train.images[:50].float()
    assert difference.abs().mean() < 8  # two ways of halving, the same tiles


def test_digits_are_500_of_each_and_look_like_digits():
    images, labels = embedded.digit_images()
    assert images.shape == (5000, 28, 28) and (np.bincount(labels) == 500).all()
    flat = images.reshape(5000, -1).astype(float)
    means = np.stack([flat[labels == digit][::2].mean(0) for digit in range(10)])
    nearest = ((flat[1::2, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == labels[1::2]).mean() > 0.75


def test_every_creature_has_a_credit_and_a_free_licence():
    with (DATA / "creatures" / "CREDITS.csv").open(encoding="utf-8") as file:
        credits = {row["file"]: row for row in csv.DictReader(file)}
    photos = {p.relative_to(DATA / "creatures").as_posix() for p in DATA.glob("creatures/*/*.jpg")}
    assert photos == set(credits) and len(photos) > 80
    for row in credits.values():
        assert row["licence"] in FREE and row["author"] and row["title"] and row["source"]


def test_creatures_open_as_photos_of_a_usable_size():
    for path in DATA.glob("creatures/*/*.jpg"):
        with Image.open(path) as photo:
            photo.load()
            assert photo.mode == "RGB" and 75 <= min(photo.size) <= max(photo.size) <= 256


def test_the_readme_speaks_of_every_data_set_and_of_the_weights():
    text = (DATA / "README.md").read_text(encoding="utf-8")
    for name in ("earth", "digits", "creatures", "pets", "efficientnet-lite0", "build.py"):
        assert name in text


def test_without_the_data_folder_a_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(
        embedded, "__file__", str(tmp_path / "lessonkit" / "course" / "datasets" / "embedded.py")
    )
    with pytest.raises(FileNotFoundError, match="clone"):
        embedded.creatures_folder()
