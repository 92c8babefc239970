"""Augmentation: what changes, what never does, and that one pass treats each picture on its own."""

import dataclasses
import math
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import functional as reference

from lessonkit import augment
from lessonkit.augment import affine, move


def pictures(n=8, size=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, size, size), generator=generator).to(torch.uint8)


def draw(preset, images, seed=0):
    return preset(images, torch.Generator().manual_seed(seed))


def test_none_is_the_identity():
    images = pictures()
    assert augment.none()(images) is images


@given(
    preset=st.sampled_from(list(augment.PRESETS)),
    n=st.integers(1, 5),
    size=st.integers(8, 40),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=40)
def test_shape_type_and_repeatability(preset, n, size, seed):
    images, before = pictures(n, size), torch.get_rng_state()
    once = draw(augment.PRESETS[preset](), images, seed)
    assert once.shape == images.shape and once.dtype == torch.uint8
    assert torch.equal(once, draw(augment.PRESETS[preset](), images, seed))
    assert torch.equal(torch.get_rng_state(), before)  # no hidden draw
    assert torch.equal(images, pictures(n, size))  # the originals stay


def test_copies_of_one_picture_are_changed_differently():
    images = pictures(1).expand(8, -1, -1, -1)
    changed = draw(augment.side_on(), images)
    assert len({picture.numpy().tobytes() for picture in changed}) == 8


def test_top_down_gives_exactly_the_eight_flips_and_quarter_turns():
    image = pictures(1)
    turned = [torch.rot90(image, k, (2, 3)) for k in range(4)]
    eight = {t.numpy().tobytes() for t in turned + [t.flip(3) for t in turned]}
    assert {view.numpy().tobytes() for view in augment.top_down().views(image)} == eight
    drawn = draw(augment.top_down(), image.expand(200, -1, -1, -1))
    assert {picture.contiguous().numpy().tobytes() for picture in drawn} == eight


def test_from_above_each_of_the_eight_is_as_likely():
    image = pictures(1)
    drawn = draw(augment.top_down(), image.expand(400, -1, -1, -1))
    counts = Counter(picture.contiguous().numpy().tobytes() for picture in drawn)
    assert len(counts) == 8 and min(counts.values()) > 30 and max(counts.values()) < 70


def test_the_mirror_is_exact_and_its_own_inverse():
    images = pictures(2)
    matrix = affine(mirror=True).expand(2, 2, 3)
    mirrored = move(images.float(), matrix)
    assert torch.allclose(mirrored, images.flip(3).float(), atol=1e-3)
    assert torch.allclose(move(mirrored, matrix), images.float(), atol=1e-3)


def left_and_upper_brightness(images):
    grey = images.float().mean(1)
    middle = grey.shape[-1] // 2
    left = grey[:, :, :middle].mean((1, 2)) - grey[:, :, middle:].mean((1, 2))
    upper = grey[:, :middle].mean((1, 2)) - grey[:, middle:].mean((1, 2))
    return left, upper


def test_only_presets_that_may_flip_do():
    bright_corner = torch.zeros(200, 3, 20, 20, dtype=torch.uint8)
    bright_corner[:, :, :10, :10] = 255
    left, upper = left_and_upper_brightness(draw(augment.symbols(), bright_corner))
    assert (left > 0).all() and (upper > 0).all()  # a 6 stays a 6
    left, upper = left_and_upper_brightness(draw(augment.side_on(), bright_corner))
    assert 60 < (left > 0).sum() < 140 and (upper > 0).all()  # mirrored, never upside down
    left, upper = left_and_upper_brightness(draw(augment.top_down(), bright_corner))
    assert 60 < (left > 0).sum() < 140 and 60 < (upper > 0).sum() < 140


def test_top_down_keeps_every_pixels_colour():
    images = pictures(4)
    changed = draw(augment.top_down(), images)
    for before, after in zip(images, changed, strict=True):
        assert torch.equal(before.flatten(1).sort(1).values, after.flatten(1).sort(1).values)


def test_lighting_stays_within_its_bounds():
    grey = torch.full((300, 3, 8, 8), 128, dtype=torch.uint8)
    means = draw(augment.side_on(1.0), grey).float().mean((1, 2, 3))
    assert (means - 128).abs().max() <= 255 * 0.05 + 1
    assert means.std() > 2


def test_brightness_is_a_fraction_of_255():
    black = torch.zeros(300, 3, 4, 4, dtype=torch.uint8)  # of one colour: contrast changes nothing
    lit = draw(augment.Augment("light", lighting=0.9), black).float()[:, 0, 0, 0]
    brightness = torch.rand(2, 300, generator=torch.Generator().manual_seed(0))[0] * 2 - 1
    assert (lit - (255 * 0.9 * brightness).clamp_min(0)).abs().max() <= 0.501


@pytest.mark.parametrize(("degrees", "zoom"), [(10, 1.0), (-7, 1.0), (0, 1.1), (5, 1.2)])
def test_rotation_and_zoom_are_torchvisions(degrees, zoom):
    smooth = torch.nn.functional.interpolate(pictures(1, 6).float(), 48, mode="bicubic")
    ours = move(smooth, affine(degrees=float(degrees), zoom=zoom))
    theirs = reference.affine(  # whose angle is clockwise
        smooth, -degrees, [0, 0], zoom, [0.0], reference.InterpolationMode.BILINEAR
    )
    middle = (..., slice(12, 36), slice(12, 36))  # the corners are filled in differently
    assert (ours - theirs)[middle].abs().max() < 1.0


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_quarter_turns_are_counter_clockwise_and_come_after_the_mirror(turns, mirror):
    images = pictures(1)
    expected = torch.rot90(images.flip(3) if mirror else images, turns, (2, 3))
    moved = move(images.float(), affine(mirror=mirror, quarter_turns=turns))
    assert torch.equal(moved.round().to(torch.uint8), expected)


def test_zoom_enlarges():
    spot = torch.zeros(1, 3, 40, 40)
    spot[..., 18:22, 18:22] = 255
    assert move(spot, affine(zoom=2.0)).sum() > 3 * spot.sum()


@pytest.mark.parametrize(
    "first",
    [{}, {"mirror": True}, {"quarter_turns": 1}, {"quarter_turns": 3, "mirror": True},
     {"zoom": 1.5}, {"degrees": 30.0, "zoom": 1.2, "mirror": True}],
)  # fmt: skip
def test_shift_moves_right_and_down_by_shares_of_the_side_whatever_came_before(first):
    spot = torch.zeros(1, 3, 41, 41)
    spot[..., 20, 20] = 255  # the middle, which nothing but the shift moves
    moved = move(spot, affine(right=10 / 41, down=-4 / 41, **first))[0, 0]
    row, column = np.unravel_index(int(moved.argmax()), moved.shape)
    assert (row, column) == (16, 30)


def test_contrast_stretches_around_each_pictures_own_mean():
    # 100 pixels of 40 and 100 of 60: mean 50, so contrast moves both by the same amount.
    images = torch.full((64, 3, 20, 20), 40, dtype=torch.uint8)
    images[:, :, 10:] = 60
    lit = draw(augment.Augment("light", lighting=0.3), images).float()
    low, high = lit[:, 0, 0, 0], lit[:, 0, 19, 0]
    brightness, contrast = (low + high) / 2 - 50, (high - low) / 20
    inside = (low > 0) & (high < 255)
    assert inside.sum() > 20
    draws = torch.rand(2, 64, generator=torch.Generator().manual_seed(0)).T * 2 - 1
    assert (brightness - 255 * 0.3 * draws[:, 0])[inside].abs().max() <= 1
    assert (contrast - (1 + 0.3 * draws[:, 1]))[inside].abs().max() <= 0.06


@pytest.mark.parametrize("preset", augment.PRESETS)
@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(4, 3, 32, 48, dtype=torch.uint8), torch.rand(4, 3, 32, 32),
        torch.zeros(3, 32, 32, dtype=torch.uint8), torch.zeros(4, 1, 32, 32, dtype=torch.uint8),
        torch.zeros(4, 32, 32, 3, dtype=torch.uint8), np.zeros((4, 3, 32, 32), np.uint8), [1, 2],
    ],
    ids=["wide", "floats", "one", "grey", "channels last", "numpy", "list"],
)  # fmt: skip
def test_other_shapes_and_types_are_refused_by_a_sentence(preset, images):
    for change in (augment.PRESETS[preset](), lambda x: list(augment.PRESETS[preset]().views(x))):
        with pytest.raises(ValueError, match=r"uint8 pictures \[N, 3, S, S\], not "):
            change(images)


@pytest.mark.parametrize(("preset", "n"), [("side_on", 4), ("top_down", 8), ("symbols", 2)])
def test_views_begin_with_the_original_and_are_fixed(preset, n):
    images = pictures()
    views = list(augment.PRESETS[preset]().views(images))
    assert len(views) == n and torch.equal(views[0], images)
    again = augment.PRESETS[preset]().views(images)
    assert all(torch.equal(a, b) for a, b in zip(views, again, strict=True))
    assert len({v.contiguous().numpy().tobytes() for v in views}) == n


def test_views_from_the_side_are_mirrored_and_never_upside_down():
    images = pictures()
    plain, mirrored, larger, larger_mirrored = augment.side_on().views(images)
    assert torch.equal(mirrored, images.flip(3)) and torch.equal(plain, images)
    assert torch.equal(larger_mirrored, larger.flip(3))
    enlarged = move(images.float(), affine(zoom=1.1).expand(8, 2, 3))
    assert torch.equal(larger, enlarged.round().byte())


def test_with_half_turns_the_second_view_is_upside_down():
    images = pictures()
    views = list(augment.Augment("half", half_turns=True).views(images))
    assert len(views) == 2 and torch.equal(views[0], images)
    assert torch.equal(views[1], torch.rot90(images, 2, (2, 3)))


@pytest.mark.parametrize("max_zoom", [0.9, 5, float("nan")])
def test_a_senseless_zoom_is_refused(max_zoom):
    with pytest.raises(ValueError, match="max_zoom"):
        augment.side_on(max_zoom)


@pytest.mark.parametrize("preset", augment.PRESETS)
def test_a_picture_changes_the_same_however_many_are_changed_at_once(preset, monkeypatch):
    images, preset = pictures(9), augment.PRESETS[preset]()
    monkeypatch.setattr("lessonkit.augment.PIXELS", 2**30)
    changed, views = draw(preset, images), list(preset.views(images))
    monkeypatch.setattr("lessonkit.augment.PIXELS", 1)
    assert torch.equal(changed, draw(preset, images))
    assert all(map(torch.equal, views, preset.views(images)))


@pytest.mark.parametrize(("side", "at_once"), [(128, 4), (64, 16), (300, 1)])
def test_each_thread_has_a_few_pictures_at_once(side, at_once, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    sizes = []
    images = torch.zeros(4 * at_once, 3, side, side, dtype=torch.uint8)
    augment.in_blocks(lambda block: sizes.append(len(block)) or block, images)
    assert sizes == [2 * at_once] * 2


@pytest.mark.parametrize("preset", augment.PRESETS)
def test_no_pictures_are_changed_into_none(preset):
    none, preset = pictures(0), augment.PRESETS[preset]()
    assert {changed.shape for changed in (preset(none), *preset.views(none))} == {none.shape}


@pytest.mark.parametrize("preset", augment.PRESETS)
def test_pictures_are_changed_where_they_lie(preset):
    there, preset = pictures().to("meta"), augment.PRESETS[preset]()
    for changed in (preset(there), *preset.views(there)):
        assert changed.is_meta and changed.shape == there.shape and changed.dtype == torch.uint8


def test_looking_pixels_up_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        move(pictures(1).float(), affine(degrees=3.0))


@pytest.mark.parametrize(
    "given",
    [
        {"zoom": np.float64(1.5)}, {"degrees": torch.ones(2).double()},
        {"mirror": torch.tensor([True])},
    ],
)  # fmt: skip
def test_matrices_are_float32_whatever_they_are_made_of(given):
    assert affine(**given).dtype == torch.float32


@pytest.mark.parametrize("size", [8, 33, 128])
def test_pixels_are_looked_up_where_torch_says(size):
    matrices = affine(degrees=torch.arange(-9.0, 9), zoom=1.1, right=0.05, down=-0.02)
    images = pictures(18, size).float()
    grid = torch.nn.functional.affine_grid(matrices, list(images.shape), align_corners=False)
    expected = torch.nn.functional.grid_sample(
        images, grid, padding_mode="reflection", align_corners=False
    )
    assert torch.allclose(move(images, matrices), expected, atol=0.05)


def test_a_preset_is_changed_by_replacing_it_only():
    preset = augment.side_on()  # a checkpoint knows its run by it
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset.mirror = False
    assert not dataclasses.replace(preset, mirror=False).mirror and preset.mirror


@pytest.mark.parametrize(
    "change",
    [
        {"mirror": True}, {"turns": True}, {"half_turns": True}, {"degrees": 10.0},
        {"max_zoom": 1.5}, {"shift": 0.2}, {"lighting": 0.2},
    ],
)  # fmt: skip
def test_each_change_works_without_the_others(change):
    changed = draw(augment.Augment("one", **change), pictures())
    assert not torch.equal(changed, pictures())


@pytest.mark.parametrize("preset", ["side_on", "symbols"])
@pytest.mark.parametrize("axis", [2, 3])
def test_photos_and_symbols_are_moved_by_a_twentieth_at_most(preset, axis):
    line = torch.zeros(300, 3, 100, 100, dtype=torch.uint8)
    line.select(axis, 50).fill_(255)
    moving = {"mirror": False, "degrees": 0.0, "max_zoom": 1.0, "lighting": 0.0}
    moved = draw(dataclasses.replace(augment.PRESETS[preset](), **moving), line)
    far = moved[:, 0].select(4 - axis, 50).float().argmax(1) - 50
    assert -5 <= far.min() <= -4 and 4 <= far.max() <= 5


@pytest.mark.parametrize("preset", ["side_on", "symbols"])
def test_photos_and_symbols_are_turned_by_ten_degrees_and_enlarged_by_a_tenth_at_most(preset):
    spot = torch.zeros(300, 3, 121, 121, dtype=torch.uint8)
    spot[:, :, 60, 110] = 255
    turning = {"mirror": False, "shift": 0.0, "lighting": 0.0}
    moved = draw(dataclasses.replace(augment.PRESETS[preset](), **turning), spot)[:, 0]
    down, right = np.array(np.unravel_index(moved.flatten(1).argmax(1).numpy(), (121, 121))) - 60.0
    degrees, zoom = np.degrees(np.arctan2(down, right)), np.hypot(down, right) / 50
    assert -11 < degrees.min() < -9 and 9 < degrees.max() < 11
    assert 0.98 < zoom.min() < 1.02 and 1.08 < zoom.max() < 1.12


def test_photos_from_the_side_are_enlarged_by_a_tenth_at_most_unless_asked():
    assert augment.side_on() == augment.side_on(1.1)
    assert [augment.side_on(zoom).max_zoom for zoom in (1, 4)] == [1, 4]


def test_half_turns_leave_a_picture_as_it_is_or_turn_it_upside_down():
    image = pictures(1)
    drawn = draw(augment.Augment("half", half_turns=True), image.expand(200, -1, -1, -1))
    same = (drawn == image).flatten(1).all(1)
    upside_down = (drawn == torch.rot90(image, 2, (2, 3))).flatten(1).all(1)
    assert (same | upside_down).all() and 70 < same.sum() < 130


@pytest.mark.parametrize(
    "change",
    [
        {"mirror": 0.5}, {"turns": "yes"}, {"half_turns": None}, {"lighting": math.nan},
        {"degrees": math.inf}, {"shift": "0.1"}, {"max_zoom": 0}, {"max_zoom": -1.0},
    ],
)  # fmt: skip
def test_amounts_that_make_no_sense_are_named(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} (is True or False|can't be)"):
        augment.Augment("one", **change)


def test_amounts_may_be_numpys():
    numpys = augment.Augment("one", mirror=np.bool_(True), degrees=np.float64(10), shift=0)
    own = augment.Augment("one", mirror=True, degrees=10.0)
    assert torch.equal(draw(numpys, pictures()), draw(own, pictures()))
