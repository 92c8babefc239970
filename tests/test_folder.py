"""What is found in a folder, how it is split, and what is kept of it for the second start."""

import os
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import augment, data
from lessonkit.data import DataError
from lessonkit.images import as_pictures as pictures
from lessonkit.images import cleaning, decode, folder

SHADES = {"dark": 40, "light": 220}


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def root(tmp_path):
    """Two classes of ten grey pictures."""
    return fill(tmp_path / "photos", *SHADES)


def fill(root, *classes, n=10):
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(n):
            Image.new("L", (20, 20), SHADES.get(name, 128)).save(root / name / f"{i}.png")
    return root


def count_decoded(monkeypatch):
    decoded, honest = [], decode.decode
    monkeypatch.setattr(decode, "decode", lambda *a: decoded.append(a[0].name) or honest(*a))
    return decoded


def test_without_a_validation_folder_a_fifth_of_train_is_drawn(root, tmp_path):
    split = tmp_path / "split"
    shutil.copytree(root, split / "train")
    images = data.from_folder(split, size=16)
    assert torch.bincount(images.train.labels).tolist() == [8, 8]
    assert torch.bincount(images.valid.labels).tolist() == [2, 2]
    assert all(path.startswith("train/") for path in images.valid_files + images.train_files)


def test_labels_pixels_and_files_belong_together(root):
    (root / "dark" / "3b.png").write_bytes(b"")
    images = data.from_folder(root, size=16)
    for split, files in (
        (images.train, images.train_files),
        (images.valid, images.valid_files),
    ):
        assert len(split.images) == len(split.labels) == len(files)
        for square, label, file in zip(split.images, split.labels, files, strict=True):
            name = images.classes[label]
            assert file.startswith(f"{name}/") and (square == SHADES[name]).all()


def test_other_seeds_draw_other_pictures_and_resizing_keeps_them(root):
    drawn = {tuple(data.from_folder(root, 16, seed=seed).valid_files) for seed in range(5)}
    assert len(drawn) >= 4
    images = data.from_folder(root, 16, augment.symbols(), seed=3)
    larger = images.resized(32)
    assert larger.valid_files == images.valid_files and larger.train_files == images.train_files
    assert larger.size == 32 and larger.augment == augment.symbols()


def test_part_of_the_training_set_is_another_set_and_stays_so_at_other_sizes(root):
    images = data.from_folder(root, 16)
    half = images.with_training(slice(None, None, 2))
    assert torch.equal(half.train.images, images.train.images[::2])
    assert torch.equal(half.train.labels, images.train.labels[::2])
    assert half.train_files == images.train_files[::2]
    assert torch.equal(half.valid.images, images.valid.images)
    assert half.key != images.key != images.with_training([0, 1]).key
    assert half.resized(32).train_files == half.train_files and half.resized(32).size == 32
    assert half.with_training([1]).train_files == images.train_files[2:3]
    for none in ([], slice(0), np.zeros(len(images.train.labels), bool)):
        with pytest.raises(DataError, match="No training picture is left"):
            images.with_training(none)
    assert images.with_training((0, 2)).train_files == images.with_training([0, 2]).train_files
    for wrong in ([999], [0.5], [True, False], [[0, 1]], [0, [1]], ["0"], 3):
        with pytest.raises(DataError, match="rows are numbers of pictures, from 0 to"):
            images.with_training(wrong)


@pytest.mark.parametrize("how", ["one dropped", "one more"])
def test_rows_never_come_to_mean_other_pictures(root, tmp_path, how):
    for part in ("train", "valid"):
        shutil.copytree(root, tmp_path / "split" / part)
    images = data.from_folder(tmp_path / "split", 16)
    chosen = images.with_training([0, 1, 4, 5])
    if how == "one dropped":
        cleaning.write(tmp_path / "split", cleaning.Cleaning(drop=(images.train_files[0],)))
    else:
        first = tmp_path / "split" / images.train_files[0]
        shutil.copy(first, first.with_name("00 new.png"))
    with pytest.raises(DataError, match="Training pictures have come or gone"):
        chosen.resized(24)


@pytest.mark.parametrize("of", [lambda one: one, lambda one: one.with_hold_out(0.4)])
def test_where_the_folder_has_changed_another_size_mixes_no_sets(root, of):
    images = of(data.from_folder(root, 16))
    name = images.classes[0]
    shutil.copy(next((root / name).iterdir()), root / name / "00 new.png")
    with pytest.raises(DataError, match="would be in another set"):
        images.resized(24)
    (root / name / "00 new.png").unlink()
    assert images.resized(24).train_files == images.train_files


def test_where_pictures_are_dropped_and_no_other_one_moves_another_size_is_made(root):
    images = data.from_folder(root, 16)
    cleaning.write(root, cleaning.Cleaning(drop=(images.train_files[0],)))
    assert images.resized(24).train_files == images.train_files[1:]


def test_the_way_to_a_folder_may_lead_through_a_link_and_back(root):
    inside = root.parent / "far" / "deep"
    inside.mkdir(parents=True)
    shutil.copytree(root, inside.parent / "photos")
    (root.parent / "link").symlink_to(inside)
    images = data.from_folder(f"{root.parent}/link/../photos", 16)
    assert images.resized(24).train_files == images.train_files


def test_another_size_is_of_the_same_folder_wherever_one_has_gone(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root.parent)
    images = data.from_folder(root.name, 16)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert images.resized(24).train_files == images.train_files


@pytest.mark.parametrize("path", [5, None, b"photos", ["photos"]])
def test_what_is_no_path_gets_a_sentence(path):
    with pytest.raises(DataError, match="the name of a folder"):
        data.from_folder(path)


def test_an_empty_path_is_not_the_current_folder(root, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(DataError, match="Which folder"):
        data.from_folder("", 16)
    assert data.from_folder(".", 16).classes == data.from_folder(root, 16).classes


def test_sets_without_one_to_train_on_are_not_taken_for_classes(tmp_path):
    for name in ("val", "Testing"):
        fill(tmp_path / "photos" / name, *SHADES)
    with pytest.raises(DataError, match="holds Testing and val, and no train"):
        folder.find_pictures(tmp_path / "photos")


def test_a_class_may_be_called_test_beside_others(tmp_path):
    found, _ = folder.find_pictures(fill(tmp_path / "photos", "control", "test"))
    assert {picture.label for picture in found} == {"control", "test"}


def test_a_folder_that_is_not_used_is_named(root, tmp_path):
    split = tmp_path / "split"
    for name in ("train", "valid", "models", "validation", "__MACOSX"):
        shutil.copytree(root, split / name)
    images = data.from_folder(split, size=16)
    assert [path for path, _ in images.skipped] == ["models", "validation"]
    assert images.skipped[0][1] == "is not used: pictures come from train and valid"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_to_folders_are_named_and_loops_end(root, tmp_path):
    fill(tmp_path / "elsewhere", "x")
    (root / "linked").symlink_to(tmp_path / "elsewhere" / "x")
    (root / "dark" / "again").symlink_to(root)
    (root / "dark" / "one.png").symlink_to(root / "dark" / "1.png")  # to a file: a picture
    with pytest.warns(UserWarning, match="linked of .* links are not followed"):
        images = data.from_folder(root, size=16)
    assert [path for path, _ in images.skipped] == ["dark/again", "linked"]
    assert all("links are not followed" in why for _, why in images.skipped)
    assert len(images.train.labels) + len(images.valid.labels) == 21


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere forbid such names")
def test_names_may_hold_line_breaks_and_bytes_that_are_no_text(root):
    shutil.copy(root / "dark" / "1.png", root / "dark" / "line\nbreak.png")
    (root / "dark" / os.fsdecode(b"bad\xff.png")).write_bytes(b"x")
    images = data.from_folder(root, size=16)
    assert "dark/line\nbreak.png" in images.train_files + images.valid_files
    assert [os.fsencode(path) for path, _ in images.skipped] == [b"dark/bad\xff.png"]


def test_suffixes_may_be_written_in_any_case(root):
    for i, suffix in enumerate((".PNG", ".Png", ".JPG", ".JPEG", ".Tiff", ".GIF", ".WebP", ".BMP")):
        Image.new("L", (20, 20), 40).save(root / "dark" / f"new{i}{suffix}")
    assert not data.from_folder(root, size=16).skipped


def test_a_folder_that_may_not_be_opened_is_named(root, monkeypatch):
    honest = os.scandir

    def scandir(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return honest(path)

    (root / "dark" / "secret").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    images = data.from_folder(root, size=16)
    assert images.skipped == [("dark/secret", "is a folder that may not be opened")]


def test_a_class_without_validation_pictures_is_warned_of(root, tmp_path):
    split = tmp_path / "split"
    shutil.copytree(root, split / "train")
    shutil.copytree(root / "dark", split / "valid" / "dark")
    with pytest.warns(UserWarning, match="Class light .* none for validation"):
        images = data.from_folder(split, size=16)
    assert images.classes == ["dark", "light"]


def test_a_class_whose_training_pictures_are_all_broken_names_them(root, tmp_path):
    split = tmp_path / "split"
    shutil.copytree(root, split / "train")
    shutil.copytree(root, split / "valid")
    fill(split / "valid", "third")
    fill(split / "train", "third", n=1)
    (split / "train" / "third" / "0.png").write_text("x")
    with pytest.raises(DataError, match=r"third has .* none for training.*train/third/0.png is"):
        data.from_folder(split, size=16)


@pytest.mark.parametrize("how", ["broken", "empty", "dropped"])
def test_a_class_to_test_on_that_none_is_trained_on_is_named(root, tmp_path, how):
    split = tmp_path / "split"
    shutil.copytree(root, split / "train")
    fill(split / "test", "third")
    fill(split / "train", "third", n=1)
    if how == "empty":
        (split / "train" / "third" / "0.png").unlink()
    if how == "broken":
        (split / "train" / "third" / "0.png").write_text("x")
    if how == "dropped":
        cleaning.write(split, cleaning.Cleaning(drop=("train/third/0.png",)))
    with pytest.raises(DataError, match="third has pictures for testing, none for training"):
        data.from_folder(split, size=16)


@pytest.mark.parametrize("size", [float("nan"), float("inf"), "big", None, 15, 1025, 64.5])
def test_a_size_that_is_none_is_refused_by_a_sentence(root, size):
    with pytest.raises(DataError, match="from 16 to 1024"):
        data.from_folder(root, size=size)


def test_a_size_may_be_a_number_of_numpys(root):
    assert data.from_folder(root, size=np.int64(16)).key == data.from_folder(root, size=16).key


# --- The second start -----------------------------------------------------------------------------


def test_only_a_change_of_the_files_makes_them_be_decoded_again(root, tmp_path, monkeypatch):
    decoded = count_decoded(monkeypatch)

    def n_decoded(place):
        decoded.clear()
        data.from_folder(place, size=16)
        return len(decoded)

    assert n_decoded(root) == 20
    assert n_decoded(root) == 0
    assert (
        n_decoded(shutil.copytree(root, tmp_path / "copy")) == 20
    )  # another set, for all one knows
    os.utime(root / "dark" / "1.png", (1, 1))
    assert n_decoded(root) == 1
    (root / "dark" / "1.png").rename(root / "dark" / "one.png")
    assert n_decoded(root) == 1
    (root / "dark" / "one.png").unlink()
    assert n_decoded(root) == 0


def test_what_was_left_out_is_still_named_at_the_second_start(root):
    (root / "dark" / "x.jpg").write_bytes(b"")
    first, second = (data.from_folder(root, size=16) for _ in range(2))
    assert first.skipped == second.skipped == [("dark/x.jpg", "is empty (0 bytes)")]
    assert torch.equal(first.train.images, second.train.images)


def test_stopped_half_way_nothing_stays_and_the_next_start_is_whole(root, cache, monkeypatch):
    def ctrl_c(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(decode, "decode_all", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            data.from_folder(root, size=16)
    assert not list(cache.iterdir())
    assert len(data.from_folder(root, size=16).train.labels) == 16


def test_a_full_disk_is_noticed_before_python_dies_of_it(root, cache, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="LESSONKIT_CACHE to a folder on a larger disk"):
        data.from_folder(root, size=16)
    assert not list(cache.iterdir())


def test_writing_into_the_pixels_does_not_reach_the_cache(root):
    images = data.from_folder(root, size=16)
    before = images.train.images.clone()
    images.train.images.zero_()
    assert torch.equal(data.from_folder(root, size=16).train.images, before)


# --- Single pictures ------------------------------------------------------------------------------


def test_single_pictures_are_read_in_order_from_one_path_or_many(root):
    dark, light = root / "dark" / "1.png", root / "light" / "1.png"
    both = pictures.read_pictures([dark, str(light)], 16)
    assert both.shape == (2, 3, 16, 16) and both.dtype == torch.uint8
    assert both.amax((1, 2, 3)).tolist() == [40, 220]
    assert torch.equal(pictures.read_pictures(str(dark), 16), both[:1])
    assert pictures.read_pictures([], 16).shape == (0, 3, 16, 16)


def test_a_single_picture_that_is_none_is_named(root):
    with pytest.raises(DataError, match=r"nowhere.png is gone, or never was there"):
        pictures.read_pictures([root / "dark" / "1.png", root / "nowhere.png"], 16)
