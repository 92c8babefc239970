"""A folder's pictures, decoded once each and kept on disk, whatever else changes in the folder.

All pictures of one size stand in one file that is mapped into memory: the second start is instant,
and a set may be larger than memory. Where files are new or wanted in another order, that file is
written anew: what is known already is copied.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from lessonkit.files import cache, safe_files
from lessonkit.files.fingerprint import fingerprint
from lessonkit.images import decode
from lessonkit.machine import progress

__all__ = ["Decoded", "read"]

CACHE_VERSION = 11  # to be raised when decoding changes
PIXELS, INDEX = "images.npy", "index.json"
Order = Callable[[dict[str, str]], list[str]]


class Decoded(NamedTuple):
    """Pictures uint8 [N, size, size, 3] in the order asked for, and what became of the files.

    `digests` are equal for equal pixels; `failed` says of each file that gave no picture why.
    """

    pixels: Tensor
    digests: dict[str, str]
    failed: dict[str, str]


class _Kept(NamedTuple):
    """What entries of the cache tell of files, each in the state in which it was read."""

    orders: dict[Path, list[tuple]]  # entry -> whose picture is in each row
    places: dict[tuple, tuple[np.ndarray, int]]
    digests: dict[tuple, str]
    failed: dict[tuple, str]


class _NothingNew(Exception):
    """No picture has come of the new files: the entry that is its argument is the one."""


def read(root: Path, size: int, files: Sequence[str], in_order: Order) -> Decoded:
    """The pictures `files` below `root`, as squares of `size` px.

    `in_order(failed)` says in which order those that can be read are wanted. A reason that may
    pass, such as a drive that was away, is not kept: the next start tries again.
    """
    # By the folder's place, as names, sizes and times may be the same as those of another.
    group = fingerprint(CACHE_VERSION, os.path.realpath(root), size, decode.FORMATS)
    group = f"images-{group[:16]}-"
    states = {file: _state(root, file) for file in files}
    kept = _look_up(group)
    failed = {file: kept.failed[state] for file, state in states.items() if state in kept.failed}
    order = [states[file] for file in in_order(failed)]
    entry = next((entry for entry, there in kept.orders.items() if there == order), None)
    if entry is None:
        try:
            entry = cache.replace(
                group,
                lambda folder: _fill(folder, root, size, states, in_order, kept, failed, group),
            )
        except _NothingNew as known:
            (entry,) = known.args
    digests = {file: kept.digests[state] for file, state in states.items() if file not in failed}
    try:
        return Decoded(cache.read_array(entry / PIXELS), digests, failed)
    except FileNotFoundError:  # another process has put an entry of its own in its place
        return read(root, size, files, in_order)


def _state(root: Path, file: str) -> tuple:
    """What changes when the file does, without reading it."""
    try:
        about = os.stat(safe_files.long_path(root / file))
    except OSError:
        return file, time.time_ns()  # no state that is ever met again
    return file, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _look_up(group: str) -> _Kept:
    kept = _Kept({}, {}, {}, {})
    for entry in cache.whole_entries(group):
        try:
            index = json.loads((entry / INDEX).read_text(encoding="utf-8"))
            pixels = np.load(entry / PIXELS, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:  # another process has just put its own in its place
            continue
        kept.orders[entry] = [tuple(state) for state, _ in index["rows"]]
        kept.places.update((state, (pixels, i)) for i, state in enumerate(kept.orders[entry]))
        kept.digests.update((tuple(state), digest) for state, digest in index["rows"])
        kept.failed.update((tuple(state), why) for state, why in index["failed"])
    return kept


def _fill(
    folder: Path, root: Path, size: int, states: dict[str, tuple], in_order: Order, kept: _Kept,
    failed: dict[str, str], group: str,
) -> str:  # fmt: skip
    """Fill a cache entry and return its name; adds to `kept` and `failed` what comes of new files.

    The entry is images.npy, [N, size, size, 3], and index.json.
    """
    wanted = in_order(failed)  # as if all that are new could be read
    pixels = cache.new_array(folder / PIXELS, np.uint8, (len(wanted) or 1, size, size, 3))
    new = [row for row, file in enumerate(wanted) if states[file] not in kept.places]
    with progress.bar("reading pictures", len(new), cached=True) as bar:
        paths = [root / file for file in wanted]
        reasons = decode.decode_all(paths, size, pixels, new, bar.step)
    for row in new:
        file, why = wanted[row], reasons.get(row)
        if why:
            failed[file] = str(why)
        if why and not why.passing:
            kept.failed[states[file]] = str(why)
        elif not why:
            digest = hashlib.blake2b(pixels[row].tobytes(), digest_size=12)
            kept.digests[states[file]] = digest.hexdigest()

    order = [states[file] for file in in_order(failed)]
    lasting = [(state, kept.failed[state]) for state in states.values() if state in kept.failed]
    name = group + fingerprint(order, lasting)[:16]
    if there := [entry for entry in kept.orders if entry.name == name]:
        del pixels  # closes the file
        raise _NothingNew(there[0])
    for row, file in enumerate(wanted):
        if states[file] in kept.places:
            before, place = kept.places[states[file]]
            pixels[row] = before[place]
    row_of = {states[file]: row for row, file in enumerate(wanted)}
    _rearrange(pixels, [row_of[state] for state in order])
    pixels.flush()
    kept.places.clear()  # closes those files, which Windows doesn't remove before
    index = {"rows": [(state, kept.digests[state]) for state in order], "failed": lasting}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    return name


def _rearrange(pixels: np.ndarray, order: Sequence[int]) -> None:
    """Row i becomes what was row `order[i]`, in place: the disk needn't hold all of it twice."""
    moved: dict[int, int] = {}  # where what was in a row has been swapped to
    for to, row in enumerate(order):
        while row in moved:
            row = moved[row]
        if row != to:
            pixels[[to, row]] = pixels[[row, to]]
            moved[to] = row
