"""Learners with arguments and attributes that make no sense: a sentence before anything is lost."""

import math

import pytest

from lessonkit import Learner, augment, data, models
from lessonkit.images.image_data import DataError
from tests.tiny import coloured


def small(**more):
    return Learner(models.small_cnn(3, 4), coloured(), device="cpu", **more)


@pytest.mark.parametrize("varied", [lambda x, _: x.float() / 255, lambda x, _: x[:1]])
def test_an_augmentation_that_gives_other_pictures_is_refused(varied):
    learn = small()
    learn.augment = varied
    with pytest.raises(ValueError, match="An augmentation gives back"):  # it trained on black
        learn.fit(1e-3, 1)


@pytest.mark.parametrize("smoothing", [-1, math.nan, 2, "a", None])
def test_label_smoothing_is_a_fraction(smoothing):
    learn = small()
    learn.label_smoothing = smoothing
    with pytest.raises(ValueError, match="label_smoothing is a fraction"):
        learn.fit(1e-3, 1)


@pytest.mark.parametrize("seed", [1.5, None, "a", 2**64])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ValueError, match="seed is a whole number"):
        small(seed=seed)


@pytest.mark.parametrize("norm", [None, "1", 0])
def test_a_gradient_norm_is_a_length(norm):
    with pytest.raises(ValueError, match="max_grad_norm is a length"):
        small(max_grad_norm=norm)


def test_a_learner_that_had_no_pictures_says_so_of_paths(tmp_path):
    learn = Learner(models.small_cnn(3, 4), None, device="cpu")
    with pytest.raises(DataError, match="has had no pictures"):
        learn.predict(tmp_path / "x.png")


@pytest.mark.parametrize("given", ["side_on", augment.side_on])
def test_an_augmentation_is_one_and_not_its_name(given, tmp_path):
    with pytest.raises(DataError, match=r"augment is one of lessonkit\.augment"):
        data.from_folder(tmp_path, 16, given)
