"""From a picture file to a square of pixels, and many of them at once, whatever the files hold."""

import io
import logging
import os
import queue
import re
import sys
import threading
import time
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, features

from lessonkit.files.safe_files import long_path

__all__ = ["FORMATS", "Unusable", "decode", "decode_all", "orientation"]

# A fixed list: Pillow also opens PostScript and others that run programs to be decoded.
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
SUFFIXES = [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"]
if features.check("avif"):
    FORMATS, SUFFIXES = [*FORMATS, "AVIF"], [*SUFFIXES, ".avif"]
# The extra "heic": photos as iPhones keep them. Where it isn't installed, or its library doesn't
# load, such photos are left out with HEIC_ADVICE.
with suppress(ImportError):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    FORMATS, SUFFIXES = [*FORMATS, "HEIF"], [*SUFFIXES, ".heic", ".heif"]
HEIC = (".heic", ".heif", ".avif")
HEIC_ADVICE = (
    f"needs another decoder: {sys.executable} -m pip install pillow-heif, or save such pictures "
    "as JPEG"
)
Image.init()  # Pillow knows most formats only after this
MAX_PIXELS = 100_000_000  # larger ones would fill the memory: decompression bombs
MIN_SIDE = 8  # pixels; smaller pictures show nothing
MAX_SECONDS = 10.0  # a file that takes longer is left out
STANDSTILL = 2.0  # seconds without a look at the clock: the whole process stood still, as on Ctrl-Z
MAX_WORKERS = 4  # each may hold a picture of MAX_PIXELS, 400 MB; a PNG that ends in black twice
# Pillow warns of large pictures and damaged EXIF tags without naming the file; decode deals with
# both.
warnings.filterwarnings("ignore", module="PIL")
logging.getLogger("PIL").addHandler(logging.NullHandler())

# Tags of TIFF and EXIF.
ORIENTATION, BITS, PHOTOMETRIC, BANDS, EXTRA, PLANAR, FORMAT = 274, 258, 262, 277, 338, 284, 339
PALETTE = 320
MOST_OF_FEW = {"L;2": 3, "L;4": 15}  # the largest number of a PNG's greys of 2 or 4 bits
WIDTHS = {1: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4}  # bytes of a whole number, by its EXIF type
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF's orientations as Image.Transpose
NO_MEMORY = ("out of memory", "decoder error -9")  # said by Pillow, without a MemoryError
UNKNOWN = ("support", "cannot handle", "not available", "decoder error")  # said by Pillow
PNG = b"\x89PNG\r\n\x1a\n"
CUT_OFF = "is damaged: a part of its pixels is missing"
NEEDED = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}  # chunks that a PNG is shown by
# Chunks that say which way is up; ImageMagick writes it in a text.
TURNING = (b"eXIf", *(b"%bXtRaw profile type %b\0" % (kind, name)
                      for kind in (b"zT", b"tE") for name in (b"exif", b"APP1")))  # fmt: skip
JPEG = b"\xff\xd8\xff"
EXIF_TAGS = re.compile(rb"(II\*\0\x08\0{3}|MM\0\*\0{3}\x08)..", re.DOTALL)  # to their number
BRANDS = dict.fromkeys((b"avif", b"avis"), "AVIF")
BRANDS |= dict.fromkeys((b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"), "HEIF")


class Unusable(ValueError):
    """A file that gives no picture; the message says why.

    `passing` where a later try may succeed: the drive was away, memory short, the file locked.
    """

    def __init__(self, why: str, passing: bool = False):
        super().__init__(why)
        self.passing = passing


def decode(path: Path, size: int) -> np.ndarray:
    """The picture's middle square, uint8 [size, size, 3], turned as its EXIF tag says.

    Transparent parts become white, of an animation the first frame counts. Raises Unusable.
    """
    try:
        given, path = str(path), Path(long_path(path))
        if not path.is_file():
            if path.is_symlink() and not path.exists():
                raise Unusable("is a link to a file that is gone, or never was there", True)
            if re.match(r"(https?|ftp|file|s3|gs):[/\\]", given):
                raise Unusable("is an address: download the picture, and give the file's path")
            gone = not path.exists()
            raise Unusable("is gone, or never was there" if gone else "is not a file", gone)
        if path.stat().st_size == 0:
            raise Unusable("is empty (0 bytes)")
        if not _is_whole(path):
            raise Unusable(CUT_OFF)
        try:
            return _decode(path, size)
        except (SyntaxError, ValueError, OSError) as error:
            # Browsers show a PNG whose text or colour profile is damaged or large, and an AVIF with
            # an odd EXIF tag; Pillow doesn't.
            if isinstance(error, Unusable) or _is_of_the_machine(error):
                raise
            if not (rest := _without_extras(path)):
                raise
            return _decode(rest, size)
    except Unusable:
        raise
    except Image.DecompressionBombError:
        raise Unusable(f"has more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # damaged files fail in many ways, in code of many formats
        try:
            why = _reason(error, path)
        except OSError as later:  # the drive went away while the reason was looked for
            error, why = later, _reason(later, path)
        raise Unusable(why, _is_of_the_machine(error)) from error


def _decode(file: Path | BinaryIO, size: int) -> np.ndarray:
    with Image.open(file, formats=FORMATS) as image:
        _check_header(image)
        image.draft("RGB", (size, size))  # a JPEG decodes faster straight to a smaller size
        # Small first: what follows then costs next to nothing, however large the picture.
        # Bicubic, as the pretrained networks were trained. Lanczos looks at twice the pixels.
        mixable = _mixable(image)
        if image.format == "PNG" and _lacks_rows(file, image):
            raise Unusable(CUT_OFF)
        if is_deep := mixable.mode == "F":
            clear = _is_clear(image, mixable)
            black, white = _black_and_white(image, mixable, clear)
            if clear is not None:
                mixable = Image.fromarray(np.where(clear, np.float32(white), mixable))
        square = ImageOps.fit(mixable, (size, size), Image.Resampling.BICUBIC)
        if is_deep:
            shades = (np.asarray(square) - black) / ((white - black) / 255)
            square = Image.fromarray(shades.round().clip(0, 255).astype(np.uint8))
        if (turn := TURNS.get(orientation(image))) is not None:
            square = square.transpose(turn)
        if square.mode == "RGBA":
            has_shapes = len(set(square.getextrema()[3])) == 2
            square = Image.alpha_composite(Image.new("RGBA", square.size, "white"), square)
            # In white, or nearly, as rounding makes it, which only alpha sets off.
            if has_shapes and all(high - low <= 2 for low, high in square.getextrema()):
                raise Unusable("shows nothing on white, which its transparent parts become")
        return np.asarray(square.convert("RGB"))


def _check_header(image: Image.Image) -> None:
    """Raise Unusable for a picture too small or too large, or a TIFF that Pillow would misread."""
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise Unusable(f"is only {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise Unusable(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}")
    tags = getattr(image, "tag_v2", {})
    bits, is_raw = tags.get(BITS, (1,))[0], any(tile[0] == "raw" for tile in image.tile)
    if tags.get(PLANAR) == 2 and bits > 8 and is_raw:
        raise Unusable(f"holds bands of {bits} bits one after the other, which isn't read")
    if bits == 8 and _is_signed(image):
        raise Unusable("holds signed numbers of 8 bits: measurements, not shades of grey")


def _is_signed(image: Image.Image) -> bool:
    return 2 in getattr(image, "tag_v2", {}).get(FORMAT, ())


def _mixable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose pixels may be averaged, unlike the numbers of a palette."""
    if image.mode == "F":
        raise Unusable("holds measurements (floating-point numbers), not colours")
    if image.mode.startswith("I"):  # more than 8 bits of grey, which other modes would cut off
        return image.convert("F")
    palette = getattr(image, "tag_v2", {}).get(PALETTE, (256,))
    # Of 8 bits, not of 16 as the format says: Pillow would make it black.
    if image.mode == "P" and max(palette) < 256:
        image.putpalette(bytes(palette), "RGB;L")
    is_cut = any(";16" in str(tile) for tile in image.tile)  # Pillow drops the lower 8 bits
    most = MOST_OF_FEW.get(str(image.tile[0][3])) if image.tile else None
    if most and isinstance(image.info.get("transparency"), int):
        # Pillow stretches the pixels to 255, but not the number that stands for transparent.
        image.info["transparency"] *= 255 // most
    mode = "RGBA" if image.has_transparency_data else "L" if image.mode == "L" else "RGB"
    mixable = image if image.mode == mode else image.convert(mode)
    if mode == "RGBA" and not _is_transparency(image, mixable.getchannel("A").histogram()):
        *colours, alpha = mixable.getextrema()
        if alpha == (0, 0) and all(low == high for low, high in colours):
            raise Unusable("is transparent everywhere, without a picture underneath")
        mixable = mixable.convert("RGB")
    colours = image if image.mode == "CMYK" else mixable.convert("RGB")
    if is_cut and max(high for _, high in colours.getextrema()) < 64:
        raise Unusable("is nearly of one shade, as it uses few of its 16 bits: save it with 8 bits")
    return mixable


def _black_and_white(
    image: Image.Image, numbers: Image.Image, clear: np.ndarray | None
) -> tuple[float, float]:
    """Which of the `numbers` of a picture with more than 8 bits of grey are black and white.

    Cameras and scanners often write 10, 12 or 14 bits into 16: white is what the file says, or
    else the end of the smallest of these ranges that holds all numbers, but for those that are
    `clear`: such a number is often beyond the others. What is not clear may be a black drawing.
    Nor do a few bright dots, one in a thousand, make all the rest black.
    """
    low, high = numbers.getextrema()
    shown = np.asarray(numbers)
    if clear is not None:
        shown = shown[~clear]
        high = float(shown.max())
    high = min(high, 2**31 - 1)  # the largest number that Pillow has, which has been rounded up
    if low < 0 and not _is_signed(image):
        raise Unusable("holds numbers of 32 bits from 2**31 on, which aren't read")
    if low < 0:
        raise Unusable(f"holds numbers down to {low:.0f}: measurements, not shades of grey")
    tags = getattr(image, "tag_v2", {})
    said = tags.get(BITS, (16,))[0]
    depths = [said] if said < 16 else [8, 10, 12, 14, *range(15 if _is_signed(image) else 16, 32)]

    def end_of_range(number: float) -> float:
        return 2.0 ** next(depth for depth in depths if number < 2**depth) - 1

    white = end_of_range(high)
    if high < white / 16 and clear is None:
        raise Unusable(f"is nearly black: its numbers end at {high:.0f} of {white:.0f}")
    if tags.get(PHOTOMETRIC) == 0:  # the highest number is black: a few dark dots are a drawing
        return white, 0.0
    is_bright = shown >= white / 16
    if is_bright.mean() < 0.001:
        white = end_of_range(shown.max(where=~is_bright, initial=0.0))
    return 0.0, white


def _is_clear(image: Image.Image, numbers: Image.Image) -> np.ndarray | None:
    """Where a PNG says that one of the `numbers` stands for transparent, which becomes white.

    Pillow does so with 8 bits only. None where it is no number or all: nothing would be left.
    """
    number = image.info.get("transparency")
    if image.format != "PNG" or not isinstance(number, int):
        return None
    clear = np.asarray(numbers) == number
    return clear if clear.any() and not clear.all() else None


def _is_transparency(image: Image.Image, counts: list[int]) -> bool:
    """Whether alpha, with `counts` of its values from 0 to 255, says what is transparent.

    Not where it is zero everywhere. In a TIFF a fourth band may be anything, such as infrared, even
    where it is called alpha: there, most of it must be quite clear or quite opaque, unless the
    colours are stored multiplied by it.
    """
    is_clear = counts[0] == sum(counts)
    if image.format != "TIFF":
        return not is_clear
    if image.tag_v2.get(EXTRA) == (1,):
        if is_clear:  # the colours are gone
            raise Unusable("is transparent everywhere")
        return True
    return not is_clear and 2 * (counts[0] + counts[255]) >= sum(counts)


def orientation(image: Image.Image) -> int:
    """How a picture is to be turned, 1 to 8, as its EXIF tag says; 1 without a tag."""
    try:
        if hasattr(image, "tag_v2"):
            value = image.tag_v2.get(ORIENTATION)
        else:
            text = image.info.get("Raw profile type APP1", "")
            block = image.info.get("exif") or bytes.fromhex("".join(text.split("\n")[3:]))
            # In text or XMP, and of odd types, Pillow finds it, if it isn't held up before.
            value = _orientation_in(block) or image.getexif().get(ORIENTATION)
        value = int(value[0] if isinstance(value, tuple) else value or 1)
    except Exception:  # in the pixels there is nothing wrong
        return 1
    return value if value in range(1, 9) else 1


def _orientation_in(exif: bytes) -> int:
    """The tag in an EXIF block, else 0; whatever other tags hold, which may be damaged."""
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "little", b"MM": "big"}.get(exif[:2])
    if order is None:
        return 0

    def number(place: int, width: int) -> int:
        return int.from_bytes(exif[place : place + width], order)

    first = number(4, 4)
    for tag in range(first + 2, min(first + 2 + 12 * number(first, 2), len(exif)), 12):
        if number(tag, 2) == ORIENTATION:
            return number(tag + 8, WIDTHS.get(number(tag + 2, 2), 0))
    return 0


def _is_whole(path: Path) -> bool:
    """False for a PNG, JPEG, WebP, AVIF or HEIC whose end is missing, as of a broken download.

    If room had been made for all, zeros fill it: Pillow, which checks no sums, shows black or grey.
    """
    for kind, _, is_right in _chunks(path):
        if kind == b"IEND":
            return True
        if not kind.isalpha() or (kind == b"IDAT" and not is_right):
            return False
    with path.open("rb") as file:
        file.seek(-min(16, file.seek(0, os.SEEK_END)), os.SEEK_END)
        if any(file.read()):
            return True
        file.seek(0)
        start = file.read(12)
        if not (start.startswith(JPEG) or start[4:8] == b"ftyp" or start[8:] == b"WEBP"):
            return True  # of a TIFF without an end there may be gigabytes
        content = start + file.read()
    if content.startswith(JPEG):
        return content.find(b"\xff\xd9", _start_of_pixels(content)) >= 0
    if content[4:8] == b"ftyp":
        return _last_box(content) != b"mdat"  # a box of free space may well be zeros
    length = 8 + int.from_bytes(content[4:8], "little")  # a good one's last 5% may be zeros
    return any(content[length * 3 // 4 : length])


def _last_box(content: bytes) -> bytes:
    """The kind of the last of the boxes that an AVIF or HEIC is made of: pixels are in "mdat"."""
    place, kind = 0, b""
    while place + 8 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4]), content[place + 4 : place + 8]
        if length == 1:  # it stands in 64 bits behind the kind
            length = int.from_bytes(content[place + 8 : place + 16])
        place += max(length, 8) if length else len(content)  # 0: up to the end
    return kind


def _start_of_pixels(jpeg: bytes) -> int:
    """After all that comes before, such as a small picture with an end of its own; 0 if unclear."""
    place = 2
    while jpeg[place : place + 1] == b"\xff" and jpeg[place + 1 : place + 2] != b"\xda":
        is_filling = jpeg[place + 1 : place + 2] == b"\xff"
        place += 1 if is_filling else 2 + int.from_bytes(jpeg[place + 2 : place + 4])
    return place if jpeg[place : place + 2] == b"\xff\xda" else 0


def _lacks_rows(file: Path | BinaryIO, image: Image.Image) -> bool:
    """Whether a PNG, decoded as `image`, was ended, checksums and all, before its last row.

    Pillow leaves black what is missing after a whole row: decoded into another colour, it differs.
    """
    end = (0, image.height - 2, *image.size)  # two rows, as it may be interlaced
    shown = image.crop(end)
    if all(row.any() for row in np.asarray(shown)):
        return False
    with Image.open(file, formats=["PNG"]) as again:
        again.im = Image.new(again.mode, again.size, 1).im
        return again.crop(end).tobytes() != shown.tobytes()


def _without_extras(path: Path) -> BinaryIO | None:
    """Of a PNG what is needed to show it upright; an AVIF without EXIF tags. None for others.

    How an AVIF is turned, it says outside of them, too.
    """
    if chunks := list(_chunks(path)):
        kept = [
            chunk for kind, chunk, is_right in chunks
            if kind in NEEDED or (is_right and chunk[4:].startswith(TURNING))
        ]  # fmt: skip
        return io.BytesIO(b"".join([PNG, *kept]))
    with path.open("rb") as file:
        start = file.read(12)
        is_avif = start[4:8] == b"ftyp" and BRANDS.get(start[8:]) == "AVIF"
        return io.BytesIO(EXIF_TAGS.sub(rb"\1\0\0", start + file.read())) if is_avif else None


def _chunks(file: Path | BinaryIO) -> Iterator[tuple[bytes, bytes, bool]]:
    """Of each of a PNG's chunks its kind, all its bytes, and whether its checksum is right."""
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as opened:
        end = opened.seek(0, os.SEEK_END)
        opened.seek(0)
        if opened.read(8) != PNG:
            return
        while len(header := opened.read(8)) == 8:
            # A damaged one may claim 4 GB, which Python would make room for.
            claimed, left = int.from_bytes(header[:4]) + 4, end - opened.tell()
            chunk = header + opened.read(min(claimed, left))
            yield chunk[4:8], chunk, zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])


def _is_of_the_machine(error: Exception) -> bool:
    """Whether an error is the disk's or the memory's, and not the file's."""
    return bool(getattr(error, "errno", None)) or _is_short_of_memory(error)


def _is_short_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in NO_MEMORY)


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return "is gone, or never was there"
    if isinstance(error, PermissionError):
        return "may not be read: permission denied"
    if _is_short_of_memory(error):
        return "needs more memory than there is"
    if _is_of_the_machine(error):  # from the disk, not from Pillow
        return f"can't be read ({error.strerror})"
    if isinstance(error, Image.UnidentifiedImageError):
        return _reason_of_its_kind(path)
    said = " ".join(str(error).split()) or type(error).__name__
    may_be_good = any(word in said.lower() for word in UNKNOWN)
    return f"is damaged{', or of a kind that is not read' if may_be_good else ''} ({said})"


def _reason_of_its_kind(path: Path) -> str:
    """Why Pillow doesn't know a file, by how it begins."""
    with path.open("rb") as file:
        start = file.read(32)
        if start[4:8] == b"ftyp":  # HEIC or AVIF, or a video
            kind = BRANDS.get(start[8:12])
        else:
            kind = next((kind for kind in FORMATS if Image.OPEN[kind][1](start)), None)
        if kind in FORMATS:
            bands = _bands(file) if kind == "TIFF" else ""
            named = f"an {kind}" if kind == "AVIF" else f"a {kind}"
            return f"is {named} that is damaged, or of a kind that isn't read{bands}"
    if kind:
        return HEIC_ADVICE
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page, not a picture: download it again"
    return f"is not a picture in a format read here ({', '.join(FORMATS)})"


def _bands(file: BinaryIO) -> str:
    """How many bands a TIFF has, and of how many bits, as far as it says."""
    try:
        file.seek(0)
        tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
        return f" ({tags[BANDS]} band(s) of {tags[BITS][0]} bits)"
    except Exception:  # it is damaged, then
        return ""


def decode_all(
    paths: Sequence[Path], size: int, out: np.ndarray, rows: Sequence[int], done: Callable[[], None]
) -> dict[int, Unusable]:
    """Decode `paths[row]` into `out[row]`, uint8 [N, size, size, 3], for each of `rows`.

    Returns why, for each row that fails. `done()` is called after each file. Threads suffice:
    Pillow decodes outside Python's lock.
    """
    jobs = deque(rows)
    finished: queue.SimpleQueue[tuple[int, np.ndarray | Unusable]] = queue.SimpleQueue()
    begin = partial(_Worker, jobs, finished, paths, size)
    looked = time.monotonic()
    workers = [begin() for _ in range(min(os.cpu_count() or 1, MAX_WORKERS, len(rows)))]
    failed: dict[int, Unusable | None] = {}
    try:
        while len(failed) < len(rows):
            before, looked = looked, time.monotonic()
            # A thread can't be stopped from outside: leave a late one behind and start another.
            for i, worker in enumerate(workers):
                row = worker.row  # before asking, as meanwhile it may go on to another row
                if looked - before > STANDSTILL:
                    worker.since += looked - before
                if looked - worker.since > MAX_SECONDS:
                    late = Unusable(f"took more than {MAX_SECONDS:g} s to decode", passing=True)
                    finished.put((row, late))
                    worker.left_behind = True
                    workers[i] = begin()
            try:
                row, result = finished.get(timeout=0.2)
            except queue.Empty:
                continue
            if row in failed:  # it came after all, too late
                continue
            failed[row] = result if isinstance(result, Unusable) else None
            if failed[row] is None:
                out[row] = result
            done()
    finally:
        for worker in workers:  # after Ctrl-C they would go on to the last file
            worker.left_behind = True
    return {row: why for row, why in sorted(failed.items()) if why}


class _Worker(threading.Thread):
    """Takes rows from `jobs`; puts (row, its picture or why there is none) in `finished`."""

    def __init__(self, jobs, finished, paths, size):
        super().__init__(daemon=True)
        self.jobs, self.finished, self.paths, self.size = jobs, finished, paths, size
        self.row, self.since, self.left_behind = -1, float("inf"), False
        self.start()

    def run(self) -> None:
        while not self.left_behind:
            try:
                self.row = self.jobs.popleft()
            except IndexError:
                return
            self.since = time.monotonic()
            try:
                result = decode(self.paths[self.row], self.size)
            except Unusable as error:
                result = error.with_traceback(None)  # which would hold on to what was decoded
            self.since = float("inf")
            self.finished.put((self.row, result))
