"""One picture file at a time, however odd: what can be shown is shown the right way up."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from lessonkit.images import decode

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 200, 30), (30, 30, 200), (255, 255, 255)


def quarters(*colours, side=64):
    """Four colours: top left, top right, bottom left, bottom right; uint8 [side, side, 3]."""
    square = np.array(colours, np.uint8).reshape(2, 2, 3)
    return square.repeat(side // 2, 0).repeat(side // 2, 1)


UPRIGHT = quarters(RED, GREEN, BLUE, WHITE)


def sideways(mode="RGB"):
    """The picture as a camera turned to its side stores it, and the EXIF tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return Image.fromarray(np.rot90(UPRIGHT).copy()).convert(mode), exif


def is_close(square, expected, tolerance=25):
    """Equal away from the edges between the quarters, where resizing mixes the colours."""
    edge = np.abs(np.arange(len(square)) - len(square) / 2 + 0.5) < 4
    inner = np.asarray(square)[~edge][:, ~edge].astype(int)
    return np.abs(inner - np.asarray(expected)[~edge][:, ~edge]).max() <= tolerance


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("x.jpg", "RGB"), ("x.jpg", "CMYK"), ("x.webp", "RGB"), ("x.tif", "RGB"),
        ("x.png", "RGBA"), ("x.tif", "RGBA"), ("x.png", "P"),
    ],
)  # fmt: skip
def test_pictures_of_every_kind_are_turned_upright(tmp_path, name, mode):
    image, exif = sideways(mode)
    image.save(tmp_path / name, exif=exif, quality=95)
    assert is_close(decode.decode(tmp_path / name, 64), UPRIGHT, 60 if mode == "P" else 25)


def test_sixteen_bits_of_grey_keep_their_shades_and_their_turn(tmp_path):
    grey = np.linspace(0, 65535, 64)[:, None].repeat(64, 1).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(grey[::-1].copy()).save(tmp_path / "x.png", exif=exif)
    square = decode.decode(tmp_path / "x.png", 64)
    assert np.abs(square[..., 0] - grey / 257).max() <= 1
    assert (square == square[..., :1]).all()


def test_a_palette_of_eight_bits_where_a_tiff_has_sixteen_is_not_black(tmp_path):
    Image.fromarray(UPRIGHT).quantize(4).save(tmp_path / "x.tif")
    file = bytearray((tmp_path / "x.tif").read_bytes())
    with Image.open(tmp_path / "x.tif") as image:
        palette = image.tag_v2[decode.PALETTE]
    sixteen, eight = (np.array(palette) // by for by in (1, 256))
    start = file.index(sixteen.astype("<u2").tobytes())
    file[start : start + 2 * len(eight)] = eight.astype("<u2").tobytes()
    (tmp_path / "x.tif").write_bytes(file)
    assert is_close(decode.decode(tmp_path / "x.tif", 64), UPRIGHT)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_palette_that_a_tiff_does_not_use_changes_nothing(tmp_path, mode):
    picture = Image.fromarray(UPRIGHT).convert(mode)
    picture.save(tmp_path / "x.tif", tiffinfo={decode.PALETTE: (200,) * 768})
    assert is_close(decode.decode(tmp_path / "x.tif", 64), np.asarray(picture.convert("RGB")))


def test_a_photo_with_damaged_exif_is_still_a_photo(tmp_path):
    image, exif = sideways()
    image.save(tmp_path / "x.jpg", exif=exif, quality=95)
    content = (tmp_path / "x.jpg").read_bytes()
    start = content.index(b"Exif\0\0") + 6
    (tmp_path / "x.jpg").write_bytes(content[:start] + b"\xff" * 20 + content[start + 20 :])
    assert is_close(decode.decode(tmp_path / "x.jpg", 64), np.rot90(UPRIGHT))


@pytest.mark.parametrize(("mode", "clear"), [("L", 7), ("RGB", (7, 8, 9)), ("P", 0), ("1", 1)])
def test_a_colour_declared_transparent_becomes_white(tmp_path, mode, clear):
    image = Image.new(mode, (40, 40), clear)
    image.paste(0 if mode == "1" else 99, (0, 0, 20, 40))
    image.save(tmp_path / "x.png", transparency=clear)
    square = decode.decode(tmp_path / "x.png", 16)
    assert (square[:, 10:] == 255).all() and square[:, :6].min() < 255


def test_half_transparent_red_becomes_pink_and_leaves_no_dark_rim(tmp_path):
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((255, 0, 0, 128), (0, 0, 64, 33))
    image.save(tmp_path / "x.png")
    square = decode.decode(tmp_path / "x.png", 16)
    assert np.abs(square[:7].astype(int) - (255, 127, 127)).max() <= 3
    assert square[..., 0].min() >= 250


@pytest.mark.parametrize(("name", "kind"), [("x.webp", "WEBP"), ("x.png", "PNG"), ("x.jpg", "MPO")])
def test_of_several_frames_the_first_counts(tmp_path, name, kind):
    first, second = Image.new("RGB", (40, 40), RED), Image.new("RGB", (40, 40), GREEN)
    first.save(tmp_path / name, kind, save_all=True, append_images=[second], quality=95)
    assert is_close(decode.decode(tmp_path / name, 16), np.full((16, 16, 3), RED))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_an_ordinary_picture_is_its_middle_square_as_pillow_makes_it_small(tmp_path, kind, mode):
    noise = np.random.default_rng(0).integers(0, 256, (96, 150, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path := tmp_path / f"one.{kind}")
    with Image.open(path) as image:
        colours = image.convert("RGB")
    small = colours.resize((64, 64), Image.Resampling.BICUBIC, box=(27, 0, 123, 96))
    expected = np.asarray(small, float)
    assert np.abs(decode.decode(path, 64) - expected).max() <= 1  # rounded once or twice


@pytest.mark.parametrize("sides", [(8, 2000), (2000, 8), (30000, 8), (8, 8)])
def test_of_a_long_picture_the_middle_is_used(tmp_path, sides):
    Image.new("RGB", sides, RED).save(tmp_path / "x.jpg", quality=95)
    assert is_close(decode.decode(tmp_path / "x.jpg", 16), np.full((16, 16, 3), RED))


@pytest.mark.parametrize("sides", [(7, 2000), (1, 1)])
def test_a_picture_too_small_to_show_anything_is_refused(tmp_path, sides):
    Image.new("RGB", sides, RED).save(tmp_path / "x.png")
    with pytest.raises(decode.Unusable, match=f"only {sides[0]} x {sides[1]} pixels"):
        decode.decode(tmp_path / "x.png", 16)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "x.jpg"
    Image.fromarray(noise).save(path, kind)
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    with pytest.raises(decode.Unusable, match=r"damaged|not a picture"):
        decode.decode(path, 16)


def test_measurements_are_not_taken_for_black_pictures(tmp_path):
    Image.fromarray(np.full((40, 40), 0.5, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(decode.Unusable, match="floating-point"):
        decode.decode(tmp_path / "x.tif", 16)


def test_postscript_named_jpg_starts_no_interpreter(tmp_path, monkeypatch):
    def started(*_, **__):
        pytest.fail("a PostScript interpreter was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    Image.new("RGB", (40, 40)).save(tmp_path / "x.jpg", "EPS")
    with pytest.raises(decode.Unusable, match="not a picture in a format read here"):
        decode.decode(tmp_path / "x.jpg", 16)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file"), "is gone"),
        (PermissionError(13, "Permission denied"), "permission denied"),
        (OSError(5, "Input/output error"), "can't be read .Input/output error"),
        (MemoryError(), "more memory than there is"),
    ],
)
def test_errors_of_the_disk_become_sentences(tmp_path, monkeypatch, error, words):
    Image.new("RGB", (40, 40)).save(tmp_path / "x.png")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(decode.Unusable, match=words) as refused:
        decode.decode(tmp_path / "x.png", 16)
    assert refused.value.passing


def test_an_impossible_name_and_a_link_to_itself_become_sentences(tmp_path):
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for path in (tmp_path / ("x" * 300 + ".jpg"), tmp_path / "loop.jpg"):
        with pytest.raises(decode.Unusable, match=r"gone|can't be read"):
            decode.decode(path, 16)


def in_a_new_python(program, path):
    return subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip


def test_pillow_adds_no_warnings_of_its_own(tmp_path):
    Image.new("L", (9500, 9500)).save(tmp_path / "x.png", compress_level=1)
    program = "import sys, pathlib; from lessonkit.images import decode as d; "
    done = in_a_new_python(
        program + "print(d.decode(pathlib.Path(sys.argv[1]), 8).max())", tmp_path / "x.png"
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


MEASURE = """
import resource, sys
from pathlib import Path
from lessonkit.images import decode
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
decode.decode(Path(sys.argv[1]), 64)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="units of ru_maxrss")
def test_a_large_picture_is_in_memory_only_once(tmp_path):
    Image.new("RGB", (6000, 5000), RED).save(tmp_path / "x.png", compress_level=1)
    done = in_a_new_python(MEASURE, tmp_path / "x.png")
    assert int(done.stdout) < 1.5 * 6000 * 5000 * 4 / 1024  # KiB; Pillow takes 4 bytes a pixel


# --- Many files -----------------------------------------------------------------------------------


@pytest.fixture
def shades(tmp_path):
    """Twenty one-coloured pictures, each of its own grey: 10, 20, ... 200."""
    paths = [tmp_path / f"{i}.png" for i in range(20)]
    for i, path in enumerate(paths):
        Image.new("L", (40, 40), 10 * (i + 1)).save(path)
    return paths


def decode_all(paths, done=lambda: None):
    out = np.zeros((len(paths), 8, 8, 3), np.uint8)
    return decode.decode_all(paths, 8, out, range(len(paths)), done), out


def test_every_picture_lands_in_its_row_whatever_lies_between(shades):
    shades[3].write_bytes(b"")
    shades[11].unlink()
    steps = []
    reasons, out = decode_all(shades, lambda: steps.append(1))
    assert list(reasons) == [3, 11] and len(steps) == 20
    for row in set(range(20)) - {3, 11}:
        assert (out[row] == 10 * (row + 1)).all()
    assert decode_all([])[0] == {}


def test_more_late_files_than_threads_hold_nothing_up(shades, monkeypatch):
    honest, late, returned = decode.decode, set(shades[2:10]), threading.Event()
    too_late = []

    def decode_late(path, size):
        if path in late and not returned.wait(60):
            too_late.append(path)
        return honest(path, size)

    monkeypatch.setattr(decode, "MAX_SECONDS", 0.5)
    monkeypatch.setattr(decode, "decode", decode_late)
    reasons, out = decode_all(shades)
    returned.set()  # only now are the late files read
    assert not too_late
    assert list(reasons) == list(range(2, 10))
    assert all("took more than 0.5 s" in str(reason) for reason in reasons.values())
    assert all((out[row] == 10 * (row + 1)).all() for row in (0, 1, *range(10, 20)))


def test_only_a_few_pictures_are_in_memory_at_once(shades, monkeypatch):
    honest, lock, running, most = decode.decode, threading.Lock(), [], []

    def counted(path, size):
        with lock:
            running.append(path)
            most.append(len(running))
        time.sleep(0.01)
        with lock:
            running.remove(path)
        return honest(path, size)

    monkeypatch.setattr(decode, "decode", counted)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    decode_all(shades)
    assert 2 <= max(most) <= decode.MAX_WORKERS


def test_after_ctrl_c_no_further_file_is_opened(shades, monkeypatch):
    honest, opened = decode.decode, []

    def slow(path, size):
        opened.append(path)
        time.sleep(0.02)
        return honest(path, size)

    def ctrl_c():
        raise KeyboardInterrupt

    monkeypatch.setattr(decode, "decode", slow)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(KeyboardInterrupt):
        decode_all(shades, ctrl_c)
    time.sleep(0.3)
    assert len(opened) < 10


@pytest.mark.parametrize("system", ["posix", "nt"])
def test_an_address_is_told_from_a_file_that_is_gone(system, monkeypatch):
    if system == "nt":  # where a long name gets a prefix
        monkeypatch.setattr(decode, "long_path", lambda path: "\\\\?\\C:\\course\\https:\\a.jpg")
    with pytest.raises(decode.Unusable, match="is an address: download the picture"):
        decode.decode(Path("https://host/a.jpg"), 16)
