"""The explorer of transforms: what it shows is what it says."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import augment
from lessonkit.course import explorers as explore
from tests.test_explore import draw_at_all_ends
from tests.tiny import coloured


@pytest.fixture
def images():
    return coloured(n=18, size=20, how=augment.symbols())


def sure_of(number):
    """A network that takes every picture for the same class."""

    def predict(pictures):
        assert pictures.dtype == torch.uint8 and pictures.shape == (8, 3, 20, 20)
        return torch.nn.functional.one_hot(torch.full((8,), number), 3).float()

    return predict


def test_flips_and_turns_only_move_pixels(images):
    image = images.valid.images[0]
    itself, mirror, quarter, half, *_ = explore.transformed(image)
    assert torch.equal(itself, image)
    assert torch.equal(mirror, image.flip(2)) and torch.equal(half, image.flip(1, 2))
    turned = [image.rot90(k, (1, 2)) for k in (1, 3)]
    assert any(torch.equal(quarter, one) for one in turned)


def test_at_zero_strength_nothing_changes(images):
    image = images.valid.images[1]
    same = explore.transformed(image, degrees=0, zoom=1, shift=0, light=0)
    assert same.dtype == torch.uint8 and same.shape == (8, 3, 20, 20)
    for i in (0, 4, 5, 6, 7):
        assert torch.equal(same[i], image)


def test_each_strength_changes_its_own_picture_only(images):
    image = images.valid.images[2]
    before = explore.transformed(image)
    for number, changed in enumerate(
        [{"degrees": 90.0}, {"zoom": 2.0}, {"shift": 0.3}, {"light": -0.4}], start=4
    ):
        after = explore.transformed(image, **changed)
        differ = [i for i in range(8) if not torch.equal(before[i], after[i])]
        assert differ == [number]
    assert explore.transformed(image, light=-0.4)[7].float().mean() < image.float().mean()


def move(figure, **values):
    """As the page does it when a control moves."""
    figure.values = figure.values | values


def test_it_says_what_a_preset_allows(images):
    figure = explore.augmentations(images, picture=2)
    assert repr(figure) == (
        "augmentations: picture=2 preset=symbols degrees=10 zoom=1.1 shift=0.05 light=0.05"
    )
    assert "symbols allows rotate, zoom, shift." in figure.alt
    move(figure, degrees=15)
    assert "symbols allows zoom, shift." in figure.alt
    move(figure, preset="top_down")
    assert "top_down allows mirror, quarter turn, half turn." in figure.alt
    move(figure, degrees=-90)
    assert "top_down allows mirror, quarter turn, half turn, rotate." in figure.alt
    move(figure, preset="none")
    assert "none allows none of them." in figure.alt
    move(figure, preset="side_on", degrees=10)
    assert "side_on allows mirror, rotate, zoom, shift, light." in figure.alt


def test_it_says_what_a_network_takes_them_for(images):
    truth = int(images.valid.labels[4])
    right = explore.augmentations(images, sure_of(truth), picture=4)
    wrong = explore.augmentations(images, sure_of((truth + 1) % 3), picture=4)
    name = images.classes[truth]
    assert f"The network says {name} to 8 of the 8." in right.alt
    assert f"The network says {name} to 0 of the 8." in wrong.alt


def test_the_network_is_asked_anew_when_a_control_moves(images):
    figure = explore.augmentations(images, sure_of(1), picture=0)
    move(figure, zoom=1.5, picture=3)
    asked = figure.data["asked"]
    assert asked["values"] == {"picture": 3, "degrees": 10, "zoom": 1.5, "shift": 0.05,
                               "light": 0.05}  # fmt: skip
    assert asked["guesses"] == [(images.classes[1], 1.0)] * 8


def test_the_pictures_around_the_chosen_one_are_at_hand(images):
    n = len(images.valid.labels)
    for chosen in (0, n // 2, n - 1):
        figure = explore.augmentations(images, picture=chosen)
        shown = figure.data["pictures"]
        assert str(chosen) in shown and len(shown) == min(8, n)
        for number, about in shown.items():
            assert about["truth"] == images.classes[images.valid.labels[int(number)]]
            content = base64.b64decode(about["address"].removeprefix("data:image/webp;base64,"))
            pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
            expected = images.valid.images[int(number)].permute(1, 2, 0).numpy()
            np.testing.assert_array_equal(pixels, expected)


def test_a_mixture_without_a_name_starts_at_none(images):
    own = images.with_augment(augment.Augment("my own", mirror=True))
    assert explore.augmentations(own).values["preset"] == "none"


def test_all_controls_can_be_drawn_at_their_ends(images):
    figure = explore.augmentations(images, sure_of(0))
    draw_at_all_ends(figure)
    assert Image.open(io.BytesIO(figure.png())).size == (1000, 210)
