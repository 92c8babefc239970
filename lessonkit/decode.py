"""From a picture file to a square of pixels, and many of them at once, whatever the files hold."""

import os
import queue
import threading
import time
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


class Unusable(ValueError):
    """A file that gives no picture; the message says why."""


def decode(path: Path, size: int) -> np.ndarray:
    """The picture's middle square, uint8 [size, size, 3], turned as its EXIF tag says.

    Transparent parts become white, of an animation the first frame counts. Raises Unusable.
    """
    if not path.is_file():
        raise Unusable("is gone" if not path.exists() else "is not a file")
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check_sides(image.size)
            image.draft("RGB", (size, size))  # a JPEG decodes faster straight to a smaller size
            square = ImageOps.fit(
                ImageOps.exif_transpose(_to_rgb(image)), (size, size), Image.Resampling.LANCZOS
            )
            return np.asarray(square)
    except Unusable:
        raise
    except Image.DecompressionBombError:
        raise Unusable(f"has more than {MAX_PIXELS:,} pixels") from None
    except PermissionError:
        raise Unusable("may not be read: permission denied") from None
    except Exception as error:  # damaged files fail in many ways, in code of many formats
        raise Unusable(_reason(path, error)) from error


def _check_sides(sides: tuple[int, int]) -> None:
    if min(sides) < MIN_SIDE:
        raise Unusable(f"is only {sides[0]} x {sides[1]} pixels")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise Unusable(f"has {sides[0]} x {sides[1]} pixels, more than {MAX_PIXELS:,}")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which `convert` would cut off at 255
        grey = np.asarray(image).astype(np.float32) / 257
        image.load()
        rgb = Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
        rgb.info, rgb._exif = image.info, image.getexif()
        return rgb
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _reason(path: Path, error: Exception) -> str:
    if path.stat().st_size == 0:
        return "is empty (0 bytes)"
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
    finished: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()

    def start() -> _Worker:
        worker = _Worker(jobs, finished, paths, size, out)
        worker.start()
        return worker

    workers = [start() for _ in range(min(os.cpu_count() or 1, len(paths)))]
    reasons: dict[int, str] = {}
    while len(reasons) < len(paths):
        try:
            row, reason = finished.get(timeout=0.2)
        except queue.Empty:
            # A thread can't be stopped from outside: leave it behind and start another.
            for i, worker in enumerate(workers):
                if worker.is_late():
                    finished.put((worker.row, f"took more than {MAX_SECONDS:g} s to decode"))
                    worker.left_behind = True
                    workers[i] = start()
            continue
        if row not in reasons:
            reasons[row] = reason
            done()
    return {row: reason for row, reason in sorted(reasons.items()) if reason}


class _Worker(threading.Thread):
    """Takes rows from `jobs`; puts (row, why it failed, or "") in `finished`."""

    def __init__(self, jobs, finished, paths, size, out):
        super().__init__(daemon=True)
        self.jobs, self.finished, self.paths, self.size, self.out = jobs, finished, paths, size, out
        self.row, self.since, self.left_behind = -1, float("inf"), False

    def run(self) -> None:
        while not self.left_behind:
            try:
                self.row = self.jobs.get_nowait()
            except queue.Empty:
                return
            self.since = time.monotonic()
            reason = ""
            try:
                picture = decode(self.paths[self.row], self.size)
                if not self.left_behind:
                    self.out[self.row] = picture
            except Unusable as error:
                reason = str(error)
            row, self.since = self.row, float("inf")
            self.finished.put((row, reason))

    def is_late(self) -> bool:
        return time.monotonic() - self.since > MAX_SECONDS
