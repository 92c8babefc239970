"""A reader's messy folder: what can't be used is named with its reason, everything else is used."""

import os
import shutil
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import augment, data
from lessonkit.data import DataError
from lessonkit.images import decode
from lessonkit.images import folder as folder_module

RED, GREEN = (200, 30, 30), (30, 200, 30)

pytestmark = pytest.mark.usefixtures("cache")


def photo(path, colour, size=(40, 30), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes with six good photos each."""
    root = tmp_path / "photos"
    for i in range(6):
        photo(root / "red" / f"{i}.png", RED)
        photo(root / "green" / f"{i}.png", GREEN)
    return root


def is_colour(square, colour, tolerance=25):
    return np.abs(np.asarray(square).reshape(-1, 3).astype(int) - colour).max() <= tolerance


def bomb(path):
    """A valid PNG header of 20,000 x 20,000 pixels, and hardly any data."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def truncated(path):
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:1500])


BAD = {
    "empty": (lambda p: p.write_bytes(b""), "empty"),
    "truncated": (truncated, "damaged"),
    "text": (lambda p: p.write_text("not a picture"), "not a picture"),
    "bomb": (bomb, "more than 100,000,000"),
    "one pixel": (lambda p: Image.new("RGB", (1, 1)).save(p, "PNG"), "only 1 x 1"),
    "postscript": (lambda p: Image.new("RGB", (40, 40)).save(p, "EPS"), "not a picture"),
    "pipe": (lambda p: os.mkfifo(p), "not a file"),
    "dangling link": (lambda p: p.symlink_to("nowhere.jpg"), "gone"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_and_the_good_ones_are_used(folder, kind):
    make, why = BAD[kind]
    make(folder / "red" / "2b.jpg")  # sorted between good ones
    images = data.from_folder(folder, size=16)
    assert [path for path, _ in images.skipped] == ["red/2b.jpg"]
    assert why in images.skipped[0][1]
    assert len(images.train.labels) + len(images.valid.labels) == 12
    for split in (images.train, images.valid):
        for square, label in zip(split.images, split.labels, strict=True):
            colour = RED if images.classes[label] == "red" else GREEN
            assert is_colour(square.permute(1, 2, 0), colour)


def grey_and_alpha(path):
    alpha = Image.new("L", (40, 40), 255)
    Image.merge("LA", (Image.new("L", (40, 40), 90), alpha)).save(path)


def transparent_palette(path):
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((200, 30, 30, 255), (0, 0, 40, 20))
    image.quantize().save(path, "PNG")


GOOD = {
    "cmyk.jpg": (lambda p: photo(p, RED, mode="CMYK"), RED),
    "palette.png": (lambda p: photo(p, RED, mode="P"), RED),
    "palette.gif": (lambda p: photo(p, RED, mode="P"), RED),
    "one bit.png": (lambda p: photo(p, (255, 255, 255), mode="1"), (255, 255, 255)),
    "grey.jpg": (lambda p: photo(p, (90, 90, 90), mode="L"), (90, 90, 90)),
    "grey and alpha.png": (grey_and_alpha, (90, 90, 90)),
    "sixteen bits.png": (
        lambda p: Image.fromarray(np.full((40, 40), 90 * 257, np.uint16)).save(p),
        (90, 90, 90),
    ),
    "png named.jpg": (lambda p: photo(p, RED, format="PNG"), RED),
    "webp.webp": (lambda p: photo(p, RED, lossless=True), RED),
    "tiff.TIF": (lambda p: photo(p, RED, format="TIFF"), RED),
    "wide.png": (lambda p: photo(p, RED, size=(2000, 8)), RED),
    "animated.gif": (
        lambda p: Image.new("RGB", (40, 40), RED).save(
            p, save_all=True, append_images=[Image.new("RGB", (40, 40), GREEN)]
        ),
        RED,
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_unusual_but_good_files_are_used(tmp_path, name):
    make, colour = GOOD[name]
    make(tmp_path / name)
    assert is_colour(decode.decode(tmp_path / name, 16), colour)


def test_transparent_parts_become_white(tmp_path):
    transparent_palette(tmp_path / "x.png")
    square = decode.decode(tmp_path / "x.png", 16)
    assert is_colour(square[:6], RED) and is_colour(square[-6:], (255, 255, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_as_the_camera_says(tmp_path, orientation):
    upright = np.zeros((32, 32, 3), np.uint8)
    upright[:16, :16], upright[:16, 16:], upright[16:, :16] = RED, GREEN, (30, 30, 200)
    stored = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2), 6: np.rot90,
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2), 8: lambda a: np.rot90(a, 3),
    }[orientation](upright)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "x.png", exif=exif)
    assert np.abs(decode.decode(tmp_path / "x.png", 32).astype(int) - upright).max() < 20


def test_a_file_that_takes_too_long_is_left_out(folder, monkeypatch):
    honest, returned, too_late = decode.decode, threading.Event(), []

    def slow(path, size):
        is_slow = path.name == "3.png" and path.parent.name == "red"
        if is_slow and not returned.wait(60):
            too_late.append(path)
        return honest(path, size)

    monkeypatch.setattr(decode, "decode", slow)
    monkeypatch.setattr(decode, "MAX_SECONDS", 0.5)
    images = data.from_folder(folder, size=17)
    returned.set()  # only now is the slow file read
    assert not too_late
    assert images.skipped == [("red/3.png", "took more than 0.5 s to decode")]


def test_what_may_not_be_read_and_what_has_vanished_is_named(folder, monkeypatch):
    opened = Image.open

    def forbidden(path, *args, **kwargs):
        if path.name == "1.png":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Image, "open", forbidden)
    found = folder_module._find

    def then_one_vanishes(root, seed):
        result = found(root, seed)
        (root / "green" / "4.png").unlink(missing_ok=True)
        return result

    monkeypatch.setattr(folder_module, "_find", then_one_vanishes)
    images = data.from_folder(folder, size=18)
    reasons = dict(images.skipped)
    assert set(reasons) == {"red/1.png", "green/1.png", "green/4.png"}
    assert "permission" in reasons["red/1.png"] and "gone" in reasons["green/4.png"]


def test_system_files_are_ignored_and_others_listed(folder):
    for name in (".DS_Store", "Thumbs.db", "red/._0.png", "__MACOSX/x.png", "red/desktop.ini"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "red" / "notes.txt").write_text("x")
    photo(folder / "loose.png", RED)
    images = data.from_folder(folder, size=16)
    assert [path for path, _ in images.skipped] == ["loose.png", "red/notes.txt"]
    assert images.classes == ["green", "red"]


def test_names_may_be_in_any_script_and_folders_nested(tmp_path):
    for name in ("Bär/größer/a b.PNG", "Bär/1.png", "Bär/2.png", "猫/😺/深い/x.png", "猫/y.png"):
        photo(tmp_path / name, RED)
    images = data.from_folder(tmp_path, size=16)
    assert images.classes == ["Bär", "猫"] and not images.skipped
    assert len(images.train_files) + len(images.valid_files) == 5


@pytest.mark.parametrize("name", ["valid", "val", "validation"])
def test_a_split_that_is_there_is_used(folder, tmp_path, name):
    split = tmp_path / "split"
    shutil.copytree(folder, split / "train")
    shutil.copytree(folder / "red", split / name / "red")
    shutil.copytree(folder / "green", split / name / "green" / "deeper")
    images = data.from_folder(split, size=16)
    assert (len(images.train.labels), len(images.valid.labels)) == (12, 12)
    assert all(path.startswith(f"{name}/") for path in images.valid_files)


def test_the_split_is_drawn_by_the_seed_a_fifth_of_each_class(tmp_path):
    for i in range(20):
        photo(tmp_path / "photos" / "a" / f"{i}.png", RED)
        photo(tmp_path / "photos" / "b" / f"{i}.png", GREEN)
    one, same, other = (data.from_folder(tmp_path / "photos", size=16, seed=s) for s in (0, 0, 1))
    assert one.valid_files == same.valid_files != other.valid_files
    assert torch.bincount(one.valid.labels).tolist() == [4, 4]
    assert not set(one.valid_files) & set(one.train_files)
    larger = one.with_augment(augment.none()).resized(24)
    assert larger.valid_files == one.valid_files and larger.augment == augment.none()
    assert larger.train.images.shape[-1] == 24


def test_the_second_start_decodes_nothing_and_a_changed_file_is_decoded_again(folder, monkeypatch):
    data.from_folder(folder, size=20)
    calls, honest = [], decode.decode
    monkeypatch.setattr(decode, "decode", lambda p, s: calls.append(p) or honest(p, s))
    data.from_folder(folder, size=20)
    assert not calls
    photo(folder / "red" / "0.png", GREEN, size=(50, 50))
    data.from_folder(folder, size=20)
    assert [path.name for path in calls] == ["0.png"]


def one_class(root):
    shutil.rmtree(root / "green")


def all_broken(root):
    for path in (root / "green").iterdir():
        path.write_bytes(b"")


def only_valid(root):
    shutil.move(root, root.with_name("x"))
    shutil.copytree(root.with_name("x") / "red", root / "train" / "red")
    shutil.copytree(root.with_name("x"), root / "train")
    photo(root / "valid" / "blue" / "x.png", RED)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one_class, "two classes or more.*only red"),
        (all_broken, r"two classes or more.*green/0.png is empty"),
        (lambda root: [shutil.rmtree(root), root.mkdir()], "no pictures in class folders"),
        (shutil.rmtree, "There is no folder"),
        (lambda root: [shutil.rmtree(root), root.write_text("x")], "There is no folder"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_gets_one_sentence(folder, change, words):
    change(folder)
    with pytest.raises(DataError, match=words):
        data.from_folder(folder, size=16)


def test_a_class_only_in_the_validation_set_is_an_error(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "split" / "train")
    photo(tmp_path / "split" / "valid" / "blue" / "x.png", RED)
    with pytest.raises(DataError, match="blue has pictures for validation, none for training"):
        data.from_folder(tmp_path / "split", size=16)


def test_a_class_with_one_picture_trains_with_a_warning(folder):
    photo(folder / "blue" / "x.png", (30, 30, 200))
    with pytest.warns(UserWarning, match="Class blue .* none for validation"):
        images = data.from_folder(folder, size=16)
    assert "blue" in images.classes


@pytest.mark.parametrize("size", [1, 0, -5, 1.5, 5000])
def test_a_senseless_size_is_refused(folder, size):
    with pytest.raises(DataError, match="from 16 to 1024"):
        data.from_folder(folder, size=size)
