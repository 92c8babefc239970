"""From a picture file to a square of pixels, and many of them at once, whatever the files hold."""

import os
import queue
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

__all__ = ["Unusable", "decode", "decode_all"]

# A fixed list: Pillow also opens PostScript and others that run programs to be decoded.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
Image.init()  # Pillow knows most formats only after this
MAX_PIXELS = 100_000_000  # larger ones would fill the memory: decompression bombs
MIN_SIDE = 8  # pixels; smaller pictures show nothing
MAX_SECONDS = 10.0  # a file that takes longer is left out
MAX_WORKERS = 4  # each may hold a picture of MAX_PIXELS, 400 MB
# Of large pictures and damaged EXIF tags, without naming the file; both are dealt with here.
warnings.filterwarnings("ignore", module="PIL")


class Unusable(ValueError):
    """A file that gives no picture; the message says why."""


def decode(path: Path, size: int) -> np.ndarray:
    """The picture's middle square, uint8 [size, size, 3], turned as its EXIF tag says.

    Transparent parts become white, of an animation the first frame counts. Raises Unusable.
    """
    try:
        if not path.is_file():
            raise Unusable("is not a file" if path.exists() else "is gone, or never was there")
        if path.stat().st_size == 0:
            raise Unusable("is empty (0 bytes)")
        with Image.open(path, formats=FORMATS) as image:
            _check_sides(image.size)
            image.draft("RGB", (size, size))  # a JPEG decodes faster straight to a smaller size
            # Small first: what follows then costs next to nothing, however large the picture.
            # Bicubic, as the pretrained networks were trained. Lanczos looks at twice the pixels.
            square = ImageOps.fit(_mixable(image), (size, size), Image.Resampling.BICUBIC)
            return np.asarray(_to_rgb(_upright(square)))
    except Unusable:
        raise
    except Image.DecompressionBombError:
        raise Unusable(f"has more than {MAX_PIXELS:,} pixels") from None
    except PermissionError:
        raise Unusable("may not be read: permission denied") from None
    except Exception as error:  # damaged files fail in many ways, in code of many formats
        raise Unusable(_reason(error)) from error


def _check_sides(sides: tuple[int, int]) -> None:
    if min(sides) < MIN_SIDE:
        raise Unusable(f"is only {sides[0]} x {sides[1]} pixels")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise Unusable(f"has {sides[0]} x {sides[1]} pixels, more than {MAX_PIXELS:,}")


def _mixable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose pixels may be averaged, unlike the numbers of a palette."""
    if image.mode == "F":
        raise Unusable("holds measurements (floating-point numbers), not colours")
    if image.mode.startswith("I"):  # 16 bits of grey, which other modes would cut off at 255
        return image.convert("F")
    mode = "RGBA" if image.has_transparency_data else "L" if image.mode == "L" else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF tag says; as it is where the tag is damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # in the pixels there is nothing wrong
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        image = Image.fromarray((np.asarray(image) / 257).round().clip(0, 255).astype(np.uint8))
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is gone, or never was there"
    if isinstance(error, OSError) and error.errno:  # from the disk, not from Pillow
        return f"can't be read ({error.strerror})"
    if isinstance(error, Image.UnidentifiedImageError):
        return "is not a picture in a format read here (JPEG, PNG, WebP, GIF, BMP, TIFF)"
    return f"is damaged ({error})"


def decode_all(
    paths: Sequence[Path], size: int, out: np.ndarray, done: Callable[[], None]
) -> dict[int, str]:
    """Decode `paths` into `out`, uint8 [N, size, size, 3]; the rows that failed, and why.

    `done()` is called after each file. Threads suffice: Pillow decodes outside Python's lock.
    """
    jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
    for row in range(len(paths)):
        jobs.put(row)
    finished: queue.SimpleQueue[tuple[int, np.ndarray | str]] = queue.SimpleQueue()

    def start() -> _Worker:
        worker = _Worker(jobs, finished, paths, size)
        worker.start()
        return worker

    workers = [start() for _ in range(min(os.cpu_count() or 1, MAX_WORKERS, len(paths)))]
    reasons: dict[int, str] = {}
    try:
        while len(reasons) < len(paths):
            # A thread can't be stopped from outside: leave a late one behind and start another.
            for i, worker in enumerate(workers):
                row = worker.row  # before asking, as meanwhile it may go on to another row
                if worker.is_late():
                    finished.put((row, f"took more than {MAX_SECONDS:g} s to decode"))
                    worker.left_behind = True
                    workers[i] = start()
            try:
                row, result = finished.get(timeout=0.2)
            except queue.Empty:
                continue
            if row in reasons:  # it came after all, too late
                continue
            if isinstance(result, str):
                reasons[row] = result
            else:
                reasons[row], out[row] = "", result
            done()
    finally:
        for worker in workers:  # after Ctrl-C they would go on to the last file
            worker.left_behind = True
    return {row: reason for row, reason in sorted(reasons.items()) if reason}


class _Worker(threading.Thread):
    """Takes rows from `jobs`; puts (row, its picture or why there is none) in `finished`."""

    def __init__(self, jobs, finished, paths, size):
        super().__init__(daemon=True)
        self.jobs, self.finished, self.paths, self.size = jobs, finished, paths, size
        self.row, self.since, self.left_behind = -1, float("inf"), False

    def run(self) -> None:
        while not self.left_behind:
            try:
                self.row = self.jobs.get_nowait()
            except queue.Empty:
                return
            self.since = time.monotonic()
            try:
                result = decode(self.paths[self.row], self.size)
            except Unusable as error:
                result = str(error)
            self.since = float("inf")
            self.finished.put((self.row, result))

    def is_late(self) -> bool:
        return time.monotonic() - self.since > MAX_SECONDS
