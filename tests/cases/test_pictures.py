"""Single files of other people's: used as a viewer shows them, or named with the true reason."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, features

from lessonkit.course import look
from lessonkit.images import decode, folder
from tests.cases import files

RED, GREEN, BLUE, WHITE = (200, 30, 30), (30, 200, 30), (30, 30, 200), (255, 255, 255)
QUARTERS = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint8).repeat(32, 0).repeat(32, 1)
SIDEWAYS = Image.fromarray(np.rot90(QUARTERS).copy())  # as a camera on its side stores it
RAMP = np.linspace(0, 1, 64)[:, None, None] * np.ones((1, 64, 1))  # black to white


def read(tmp_path, content, name="x.png", size=64):
    (tmp_path / name).write_bytes(content)
    return decode.decode(tmp_path / name, size)


def refused(tmp_path, content, words, name="x.tif"):
    with pytest.raises(decode.Unusable, match=words) as error:
        read(tmp_path, content, name)
    assert not error.value.passing


def shows(square, expected, tolerance=25):
    """Equal away from the middle lines, where resizing and JPEG mix the colours."""
    inner = np.abs(np.arange(64) - 31.5) > 4
    difference = np.asarray(square).astype(int) - np.asarray(expected)
    return np.abs(difference[inner][:, inner]).max() <= tolerance


# --- Turned as the camera says, whatever else its EXIF block holds --------------------------------

UP = (274, 3, 1, 6)
BLOCKS = {
    "plain": files.exif(UP),
    "big-endian": files.exif(UP, order=">"),
    "as a long number": files.exif((274, 4, 1, 6)),
    "as a byte": files.exif((274, 1, 1, b"\6\0\0\0")),
    "as bytes of no type": files.exif((274, 7, 1, b"\6\0\0\0")),
    "a signed altitude": files.exif(UP, (34853, 4, 1, 38))
    + files.exif((6, 10, 1, 56))[14:]
    + struct.pack("<ii", -5, 1),
    "a maker beyond the end": files.exif((271, 2, 500, 0x7FFFFF00), UP),
    "a maker of a billion letters": files.exif((271, 2, 1_000_000_000, 8), UP),
    "a maker of an unknown type": files.exif((271, 99, 1, 0), UP),
    "a fraction of nothing": files.exif((282, 5, 1, 26), UP) + bytes(8),
    "a negative fraction": files.exif(UP, (282, 10, 1, 38)) + struct.pack("<ii", -1, 0),
    "tags out of order": files.exif((306, 2, 4, b"now\0"), UP),
    "said twice that it is one": b"Exif\0\0" + files.exif(UP),
    "an endless list of blocks": files.exif(UP)[:-4] + struct.pack("<I", 8),
    "cut off after the tag": files.exif(UP, (306, 2, 4, b"now\0"))[:-10],
}


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp"])
def test_a_photo_is_turned_upright(tmp_path, name, kind):
    SIDEWAYS.save(tmp_path / name, quality=95, exif=BLOCKS[kind])
    assert shows(decode.decode(tmp_path / name, 64), QUARTERS)
    assert look.sides(tmp_path, [name])[name].turned


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_a_turn_that_there_is_not_is_none(tmp_path, value):
    SIDEWAYS.save(tmp_path / "x.jpg", quality=95, exif=files.exif((274, 3, 1, value)))
    assert shows(decode.decode(tmp_path / "x.jpg", 64), SIDEWAYS)


# --- Greys of more than 8 bits ------------------------------------------------------------------


def grey(white, dtype=np.uint32):
    return (RAMP * white).round().astype(dtype)


GREYS = {
    "12 bits in 16, TIFF": files.tiff(grey(4080), 16),
    "12 bits in 16, PNG": files.png(grey(4095), depth=16),
    "10 bits in 16": files.tiff(grey(1020), 16),
    "14 bits in 16": files.tiff(grey(16300), 16),
    "16 bits": files.tiff(grey(65535), 16),
    "8 bits in 16": files.tiff(grey(255), 16),
    "12 bits, packed": files.tiff(grey(4095), 12),
    "8 bits in 32": files.tiff(grey(255), 32),
    "16 bits in 32": files.tiff(grey(65535), 32),
    "signed, none below zero": files.tiff(grey(4095), 16, sample_format=2),
    "signed, of 16 bits": files.tiff(grey(32767), 16, sample_format=2),
    "31 bits in 32": files.tiff(grey(2**31 - 1), 32),
    "white is zero": files.tiff(65535 - grey(65535), 16, photometric=0),
}


@pytest.mark.parametrize("kind", GREYS)
def test_greys_of_any_depth_keep_their_shades(tmp_path, kind):
    square = read(tmp_path, GREYS[kind], "x.png" if "PNG" in kind else "x.tif")
    assert np.abs(square - RAMP * 255).max() <= 2


def test_a_dark_picture_is_as_dark_as_the_file_says(tmp_path):
    assert read(tmp_path, files.tiff(grey(1000), 12), "x.tif").max() == round(1000 / 4095 * 255)
    assert read(tmp_path, files.tiff(grey(30000), 16), "x.tif").max() == round(30000 / 257)


def colours(white, bands):
    return np.repeat(grey(white), bands, 2)


NO_SHADES = {
    "signed": (files.tiff(RAMP * 2040 - 1000, 16, sample_format=2), "numbers down to -1000"),
    "signed, 32 bits": (files.tiff(RAMP * 200 - 9, 32, sample_format=2), "numbers down to -9"),
    "signed, 8 bits": (files.tiff(RAMP * 200 - 100, 8, sample_format=2), "signed numbers of 8"),
    "beyond what Pillow holds": (files.tiff(grey(2**32 - 1), 32), r"from 2\*\*31 on"),
    "a mask of classes": (files.tiff(grey(5), 16), "nearly black: its numbers end at 5"),
    "12 of 16 bits, colours": (files.tiff(colours(4095, 3), 16), "few of its 16 bits"),
    "12 of 16 bits, PNG": (files.png(colours(4095, 3), depth=16), "few of its 16 bits"),
    "12 of 16 bits, inks": (files.tiff(colours(4095, 4), 16, photometric=5), "few of its 16 bits"),
    "16 bits, band after band": (files.tiff(colours(65535, 3), 16, planar=True), "one after the"),
    "12 of 16 bits and alpha": (files.png(colours(4095, 2), depth=16), "few of its 16 bits"),
    "10 bits, packed": (files.tiff(grey(1023), 10), r"1 band\(s\) of 10 bits"),
    "14 bits, packed": (files.tiff(grey(16383), 14), r"1 band\(s\) of 14 bits"),
    "grey and alpha of 16 bits": (files.tiff(colours(65535, 2), 16, extra=[2]), "2 band"),
    "five bands": (files.tiff(colours(255, 5), extra=[0, 2]), r"5 band\(s\) of 8 bits"),
    "seven bands": (files.tiff(colours(65535, 7), 16, extra=[0] * 4), r"7 band\(s\) of 16 bits"),
}


@pytest.mark.parametrize("kind", NO_SHADES)
def test_what_would_turn_black_or_is_not_read_is_named(tmp_path, kind):
    refused(tmp_path, *NO_SHADES[kind])


# --- A fourth band --------------------------------------------------------------------------------


def with_band(values):
    return np.dstack([QUARTERS, np.broadcast_to(values, (64, 64)).astype(np.uint8)])


def png_of(pixels, mode="RGBA", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode, palette=Image.Palette.ADAPTIVE).save(
        file, "PNG", **options
    )
    return file.getvalue()


INFRARED = np.linspace(20, 230, 64)
OPAQUE = {
    "screen.bmp": files.bmp_with_alpha(with_band(0)),
    "zero.png": png_of(with_band(0)),
    "zero.tif": files.tiff(with_band(0), extra=[2]),
    "palette.png": png_of(QUARTERS, "P", transparency=bytes(256)),
    "bands.tif": files.tiff(with_band(0), extra=[2], planar=True),
    "infrared.tif": files.tiff(with_band(INFRARED)),
    "infrared, other.tif": files.tiff(with_band(INFRARED), extra=[0]),
    "infrared, called alpha.tif": files.tiff(with_band(INFRARED), extra=[2]),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_a_fourth_band_that_is_no_transparency_hides_nothing(tmp_path, name):
    assert shows(read(tmp_path, OPAQUE[name], name), QUARTERS, tolerance=1)


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.bmp"])
def test_real_transparency_becomes_white(tmp_path, name):
    clear = with_band(np.repeat([0, 255], 32)[:, None])
    content = {"x.png": png_of(clear), "x.tif": files.tiff(clear, extra=[2]),
               "x.bmp": files.bmp_with_alpha(clear)}[name]  # fmt: skip
    expected = QUARTERS.copy()
    expected[:32] = 255
    assert shows(read(tmp_path, content, name), expected, tolerance=1)


def test_grey_under_an_alpha_of_zero_is_grey(tmp_path):
    square = read(tmp_path, files.png(np.dstack([grey(255), np.zeros((64, 64, 1), np.uint8)])))
    assert np.abs(square - RAMP * 255).max() <= 2


# --- Parts of a PNG that it isn't shown by --------------------------------------------------------

TWO_MB = zlib.compress(bytes(2_000_000))
SIDE_CHUNKS = {
    "a profile of 2 MB": files.chunk(b"iCCP", b"icc\0\0" + TWO_MB),
    "a text of 2 MB": files.chunk(b"zTXt", b"Comment\0\0" + TWO_MB),
    "a description of 2 MB": files.chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + TWO_MB),
    "a resolution with a wrong sum": files.chunk(b"pHYs", bytes(9), damaged=True),
    "a text with a wrong sum": files.chunk(b"tEXt", b"Author\0x", damaged=True),
    "a text that is no text": files.chunk(b"iTXt", b"\xff\xfe"),
    "an empty profile": files.chunk(b"iCCP", b""),
    "a turn with a wrong sum": files.chunk(b"eXIf", files.exif((274, 3, 1, 6))[6:], damaged=True),
    "a gamma too short": files.chunk(b"gAMA", b"\1"),
    "a resolution too short": files.chunk(b"pHYs", b"\1"),
}


@pytest.mark.parametrize("kind", SIDE_CHUNKS)
def test_a_good_png_is_used_whatever_is_said_beside_it(tmp_path, kind):
    assert shows(read(tmp_path, files.png(QUARTERS, SIDE_CHUNKS[kind])), QUARTERS, tolerance=1)


TURNS = {
    "by EXIF": files.chunk(b"eXIf", files.exif(UP)[6:]),
    **{
        f"by a text called {kind}, as ImageMagick does": files.chunk(
            b"zTXt",
            b"Raw profile type %b\0\0" % kind.encode()
            + zlib.compress(
                b"\nexif\n%8d\n%b\n" % (len(BLOCKS["plain"]), BLOCKS["plain"].hex().encode())
            ),
        )
        for kind in ("exif", "APP1")
    },
}


@pytest.mark.parametrize("kind", TURNS)
def test_it_is_also_turned_upright(tmp_path, kind):
    turn = TURNS[kind]
    stored = files.png(np.rot90(QUARTERS), SIDE_CHUNKS["a text with a wrong sum"], turn)
    assert shows(read(tmp_path, stored), QUARTERS, tolerance=1)


def test_damaged_pixels_of_a_png_are_still_refused(tmp_path):
    good = files.png(QUARTERS)
    place = good.index(b"IDAT") + 12
    bad = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
    refused(tmp_path, bad, "damaged", "x.png")
    refused(tmp_path, good[: len(good) - 40], "damaged", "x.png")


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("side", [64, 200])
def test_a_png_that_ends_in_zeros_is_not_taken_for_a_black_one(tmp_path, share, side):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    good = file.getvalue()
    there = int(share * len(good))
    bad = good[:there] + bytes(len(good) - there)
    refused(tmp_path, bad, "is damaged: a part of its pixels is missing", "x.png")
    assert read(tmp_path, good).std() > 5
    assert read(tmp_path, good[:-12]).std() > 5  # all pixels are there, and no more


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt"])
def test_a_chunk_that_claims_4_gb_takes_no_more_than_there_is(tmp_path, kind):
    good = files.png(QUARTERS, files.chunk(b"tEXt", b"Author\0x"))
    place = good.index(kind) - 4
    tracemalloc.start()
    try:
        bad = good[:place] + b"\xff\xff\xff\0" + good[place + 4 :]
        refused(tmp_path, bad, "damaged", "x.png")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
PREVIEW = io.BytesIO()
NOISE.save(PREVIEW, "JPEG")
BEFORE_THE_PIXELS = {
    "nothing": {},
    "a small picture": {"exif": b"Exif\0\0" + PREVIEW.getvalue()},
    "passes": {"progressive": True},
}


@pytest.mark.parametrize("share", [0.75, 0.95])
@pytest.mark.parametrize("before", BEFORE_THE_PIXELS)
def test_a_jpeg_that_ends_in_zeros_is_not_taken_for_a_grey_one(tmp_path, before, share):
    file = io.BytesIO()
    NOISE.save(file, "JPEG", quality=99, **BEFORE_THE_PIXELS[before])
    good = file.getvalue()
    there = int(share * len(good))
    bad = good[:there] + bytes(len(good) - there)
    refused(tmp_path, bad, "is damaged: a part of its pixels is missing", "x.jpg")
    expected = read(tmp_path, good, "x.jpg")
    filled = b"\xff\xd8\xff" + good[2:]  # as the format allows, before any marker
    for also_good in (good + bytes(999), good + b"a video" * 999 + bytes(99), filled + bytes(99)):
        assert (read(tmp_path, also_good, "x.jpg") == expected).all()


def test_a_webp_that_ends_in_zeros_is_not_taken_for_a_grey_one(tmp_path):
    file = io.BytesIO()
    NOISE.save(file, "WEBP", quality=90)
    good = file.getvalue()
    there = int(0.7 * len(good))
    bad = good[:there] + bytes(len(good) - there)
    refused(tmp_path, bad, "is damaged: a part of its pixels is missing", "x.webp")
    assert (read(tmp_path, good, "x.webp") == read(tmp_path, good + bytes(9999), "x.webp")).all()


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("form", ["AVIF", "HEIF"])
def test_an_avif_or_heic_that_ends_in_zeros_is_not_taken_for_a_whole_one(tmp_path, form, share):
    if form == "HEIF":
        pytest.importorskip("pillow_heif")
    elif not features.check("avif"):
        pytest.skip("this Pillow has no decoder")
    file, name = io.BytesIO(), "x.avif" if form == "AVIF" else "x.heic"
    NOISE.save(file, form, quality=90)
    good = file.getvalue()
    there = int(share * len(good))
    bad = good[:there] + bytes(len(good) - there)
    refused(tmp_path, bad, "is damaged: a part of its pixels is missing", name)
    free = struct.pack(">I", 800) + b"free" + bytes(792)
    for also_good in (good + free, good + bytes(999)):
        assert (read(tmp_path, good, name) == read(tmp_path, also_good, name)).all()


@pytest.mark.parametrize("sides", [(640, 480), (300, 4000)])
def test_a_webp_of_one_shade_is_whole_though_it_ends_in_zeros(tmp_path, sides):
    Image.new("RGB", sides, RED).save(tmp_path / "x.webp", quality=80)
    content = (tmp_path / "x.webp").read_bytes()
    assert content.endswith(bytes(16)) and shows(read(tmp_path, content, "x.webp"), RED)


PNGS = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3),
        (8, 4), (16, 4), (8, 6), (16, 6)]  # fmt: skip


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "colours"), PNGS)
def test_a_png_that_was_ended_early_is_not_taken_for_a_black_one(
    tmp_path, depth, colours, interlaced
):
    """As by a program that ran out of room. Pillow itself notices many of them, but not all."""
    for sides in ((16, 16), (31, 9), (9, 31), (64, 33)):
        for share in (1.0, 0.98, 0.5):
            png = files.noisy_png(*sides, depth, colours, interlaced, share)
            if share == 1:
                read(tmp_path, png, "x.png")
            else:
                refused(tmp_path, png, "is damaged", "x.png")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_a_whole_png_may_end_in_black(tmp_path, mode):
    picture = Image.new("RGB", (50, 50))
    picture.paste("white", (3, 3, 40, 20))
    picture.convert(mode).save(tmp_path / "black.png")
    assert read(tmp_path, (tmp_path / "black.png").read_bytes(), "x.png").max() > 200


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_nothing_at_all_under_an_alpha_of_zero_is_named(tmp_path, kind):
    file = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(file, kind, lossless=True)
    refused(tmp_path, file.getvalue(), "is transparent everywhere", f"x.{kind.lower()}")


def shapes(colour, alpha):
    """Round shapes of one colour, soft at their edges, on a ground that is all transparent."""
    place = np.hypot(*np.meshgrid(*[np.arange(64) % 21 - 10.5] * 2))
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., :3] = colour
    pixels[..., 3] = alpha * np.clip(9 - place, 0, 1)
    return pixels


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("size", [16, 64, 90])
def test_white_shapes_on_a_transparent_ground_are_named(tmp_path, kind, size):
    file = io.BytesIO()
    Image.fromarray(shapes((255, 255, 255), 255)).save(file, kind, lossless=True)
    with pytest.raises(decode.Unusable, match="shows nothing on white"):
        read(tmp_path, file.getvalue(), f"x.{kind.lower()}", size)


@pytest.mark.parametrize("pixels", [shapes((220, 220, 220), 255), shapes((0, 0, 0), 30)])
def test_pale_ones_are_a_picture(tmp_path, pixels):
    assert np.ptp(read(tmp_path, png_of(pixels))) > 25


def test_a_white_picture_without_anything_transparent_is_one(tmp_path):
    assert (read(tmp_path, png_of(np.full((64, 64, 4), 255, np.uint8))) == 255).all()


# --- Formats --------------------------------------------------------------------------------------

KINDS = {
    "a web page": (b"<!DOCTYPE html><html>404</html>", "is a web page, not a picture"),
    "a header alone": (files.PNG + b"x" * 20, "is a PNG that is damaged"),
    "no picture": (b"hello, world", "not a picture in a format read here .JPEG, PNG"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_reason_is_the_true_one(tmp_path, kind):
    refused(tmp_path, *KINDS[kind], "x.jpg")


def test_heic_without_a_decoder_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "SUFFIXES", [".jpg"])
    monkeypatch.setattr(decode, "FORMATS", ["JPEG"])
    heic = b"\0\0\0\x1cftypheic\0\0\0\0mif1heic"
    refused(tmp_path, heic, "pip install pillow-heif, or save such pictures as JPEG", "x.jpg")
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "IMG_0.HEIC").write_bytes(heic)
    with pytest.raises(folder.DataError, match=r"IMG_0.HEIC needs .* pip install pillow-heif"):
        folder.find_pictures(tmp_path)


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_heic_and_avif_are_read_where_a_decoder_is_installed(tmp_path, suffix):
    if suffix == "heic":
        pytest.importorskip("pillow_heif")
    elif not features.check("avif"):
        pytest.skip("this Pillow has no decoder")
    SIDEWAYS.save(tmp_path / f"x.{suffix}", quality=95, exif=BLOCKS["plain"])
    assert f".{suffix}" in decode.SUFFIXES
    square = decode.decode(tmp_path / f"x.{suffix}", 64)
    assert shows(square, QUARTERS, 40)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no decoder")
def test_an_avif_with_an_odd_tag_is_read_and_turned(tmp_path):
    unit = (296, 3, 1, 2)
    SIDEWAYS.save(tmp_path / "x.avif", quality=95, exif=files.exif(UP, unit))
    good = (tmp_path / "x.avif").read_bytes()
    usual, odd = struct.pack("<HH", 296, 3), struct.pack("<HH", 296, 1)  # a byte, not a number
    assert good.count(usual) == 1
    assert shows(read(tmp_path, good.replace(usual, odd), "x.avif"), QUARTERS, 40)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no decoder")
def test_a_damaged_avif_is_an_avif(tmp_path):
    refused(tmp_path, b"\0\0\0\x1cftypavif" + bytes(20), "is an AVIF that is damaged", "x.avif")


def test_bands_that_a_broken_tiff_does_not_tell_are_not_counted(tmp_path):
    content = files.tiff(colours(255, 5), extra=[0, 2])
    n_tags = 5  # up to where the strips are; how many bands there are comes after that
    content = content[:8] + struct.pack("<H", n_tags) + content[10 : 10 + 12 * n_tags] + bytes(99)
    refused(tmp_path, content, "is a TIFF that is damaged, or of a kind that isn't read$")


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_a_damaged_one_is_not_said_to_need_a_decoder_that_is_there(tmp_path, suffix):
    if f".{suffix}" not in decode.SUFFIXES:
        pytest.skip("no decoder")
    SIDEWAYS.save(tmp_path / f"x.{suffix}")
    content = (tmp_path / f"x.{suffix}").read_bytes()
    for n in (12, 40, len(content) // 2, len(content) - 10):
        refused(tmp_path, content[:n], "damaged", f"x.{suffix}")


def test_a_tiff_that_ends_in_zeros_is_not_read_whole_to_find_that_out(tmp_path):
    path = tmp_path / "x.tif"
    Image.fromarray(np.full((64, 64), 130, np.uint8)).save(path)
    with path.open("r+b") as file:
        file.truncate(200_000_000)  # as of a map without data at its end
    tracemalloc.start()
    try:
        assert (decode.decode(path, 32) == 130).all()
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("clear", [0, 1, 2])
def test_of_few_bits_any_grey_may_stand_for_transparent(depth, clear, tmp_path):
    largest = 2**depth - 1
    row = np.arange(64) // 16 % (largest + 1)
    packed = np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, -depth:].ravel())
    chunk = files.chunk(b"tRNS", struct.pack(">H", clear))
    content = files.png_of_rows(np.tile(packed, (64, 1)), 64, chunk, depth=depth)
    expected = np.where(row == clear, 255, row * 255 // largest)
    np.testing.assert_array_equal(read(tmp_path, content)[8, :, 0], expected)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("clear", [0, 1])
def test_a_grey_that_stands_for_transparent_is_white_at_every_depth(depth, clear, tmp_path):
    largest = 2**depth - 1
    grey = np.full((64, 64, 1), largest // 2)
    grey[:, 32:] = clear * largest
    grey[0] = largest  # so that the file's white is there in any case
    chunk = files.chunk(b"tRNS", struct.pack(">H", clear * largest))
    content = files.png(grey, chunk, depth=depth)
    picture = read(tmp_path, content)
    assert abs(int(picture[40, 8, 0]) - 127) < 2 and (picture[40, 40] == 255).all()


def test_a_deep_grey_that_is_all_transparent_stays_as_it_is(tmp_path):
    chunk = files.chunk(b"tRNS", struct.pack(">H", 30_000))
    picture = read(tmp_path, files.png(np.full((64, 64, 1), 30_000), chunk, depth=16))
    assert abs(int(picture[8, 8, 0]) - 30_000 / 257) < 1


@pytest.mark.parametrize("clear", [0, 4096, 65535])
def test_a_number_for_transparent_says_nothing_of_how_many_bits_are_used(clear, tmp_path):
    grey = np.full((64, 64, 1), 2040)
    grey[:, 32:], grey[0] = clear, 4080  # 12 bits
    chunk = files.chunk(b"tRNS", struct.pack(">H", clear))
    picture = read(tmp_path, files.png(grey, chunk, depth=16))
    assert abs(int(picture[40, 8, 0]) - 127) < 2 and (picture[40, 40] == 255).all()


def test_a_bright_dot_makes_no_other_pixel_black(tmp_path):
    grey = np.full((64, 64, 1), 2047)  # of 12 bits
    grey[5, 5] = 65535
    picture = read(tmp_path, files.png(grey, depth=16))
    assert abs(int(picture[40, 40, 0]) - 127) < 2 and picture.max() == 255


def test_a_dark_dot_makes_no_white_page_grey(tmp_path):
    numbers = np.full((64, 64), 3000, np.uint16)  # of 65,535, which is black here
    numbers[5, 5] = 65535
    page = Image.fromarray(numbers)
    page.save(tmp_path / "x.tif", tiffinfo={decode.PHOTOMETRIC: 0})
    assert (decode.decode(tmp_path / "x.tif", 64)[40:] > 240).all()


def test_a_black_drawing_on_a_transparent_ground_of_16_bits_is_read(tmp_path):
    grey = np.zeros((64, 64, 1), int)
    grey[:, 32:] = 65535
    chunk = files.chunk(b"tRNS", b"\xff\xff")
    picture = read(tmp_path, files.png(grey, chunk, depth=16))
    assert (picture[40, 8] == 0).all() and (picture[40, 40] == 255).all()
