"""A cache keyed by content: what is slow to make and quick to read.

Decoded pictures and a network's activations are kept here. An entry is a folder that appears in one
rename, so a process that is killed half-way leaves nothing that a later one could mistake for a
result. Its seal tells later whether the disk still holds what was written, and when it was last
used: beyond a number of bytes, what has gone unused longest is removed.
"""

import errno
import json
import math
import os
import secrets
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import platformdirs
import torch

from lessonkit.files.safe_files import age, last_change, of_user, patiently, remove_leftovers

__all__ = [
    "MOST_BYTES", "Entry", "cache_folder", "cached", "check_room", "clear", "entries",
    "new_array", "read_array", "replace", "whole_entries",
]  # fmt: skip

SEAL = "seal.json"  # in each entry of the cache: what its files' sizes and checksums were
LARGEST_CHECKED = 1_000_000_000  # bytes; checking those takes a quarter of a second
MOST_BYTES = 10_000_000_000  # in all; what has been used within the hour stays all the same
HOUR = 3600.0  # seconds
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, a user's quota, the largest file
UNWRITABLE = FULL | {errno.EIO, errno.EROFS}  # the last is what systems make of a failing disk
ADVICE = "make room, or set LESSONKIT_CACHE to a folder on a larger disk."


def cache_folder() -> Path:
    """Where decoded pictures and activations are kept; LESSONKIT_CACHE puts it elsewhere.

    It may be deleted at any time: everything in it can be made again.
    """
    return of_user(os.environ.get("LESSONKIT_CACHE") or platformdirs.user_cache_path("lessonkit"))


class Entry(NamedTuple):
    """Something kept in the cache: its folder, its size, and when it was last used (Unix time)."""

    folder: Path
    n_bytes: int
    last_used: float


def entries() -> list[Entry]:
    """Every entry of the cache, the one used last at the end.

    So is what a killed process left, unfinished, if it has stayed the same for an hour.
    """
    found = []
    for seal in cache_folder().glob(f"[!.]*/{SEAL}"):
        with suppress(OSError):  # another process may be taking it away
            found.append(Entry(seal.parent, _n_bytes(seal.parent), seal.stat().st_mtime))
    for part in cache_folder().glob(".part-*"):
        with suppress(OSError):
            if age(changed := last_change(part)) > HOUR:
                found.append(Entry(part, _n_bytes(part), changed))
    return sorted(found, key=lambda entry: entry.last_used)


def _n_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def clear(most_bytes: int = 0, unused_for: float = 0.0) -> int:
    """Remove what was used longest ago until at most `most_bytes` are left; returns bytes freed.

    What has been used within the last `unused_for` seconds stays.
    """
    there = entries()
    before = left = sum(entry.n_bytes for entry in there)
    for entry in there:
        if left > most_bytes and age(entry.last_used) >= unused_for:
            left -= entry.n_bytes * _remove(entry.folder)
    return before - left


def _remove(entry: Path) -> bool:
    """Remove an entry, first by a rename; False where a program on Windows has it open."""
    part = entry.with_name(f".part-{secrets.token_hex(8)}")
    try:
        entry.rename(part)
    except OSError:
        return False
    with suppress(OSError):
        part.unlink() if part.is_symlink() or part.is_file() else shutil.rmtree(part)
    return True


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """The folder of cache entry `key`; `build(folder)` fills it the first time.

    Where the cache can't be written or is full, a temporary folder serves instead; an entry that
    the disk has damaged is made anew. Both with a warning.
    """
    for known in whole_entries(key):
        if known.name == key:
            return known

    def named(folder: Path) -> str:
        build(folder)
        return key

    return _make_somewhere(named)


def replace(group: str, build: Callable[[Path], str]) -> Path:
    """Make a new entry, and remove all others whose names begin with `group`.

    `build(folder)` fills it and returns its name, which stands for its content: if there is an
    entry of that name already, it is used instead.
    """
    entry = _make_somewhere(build)
    for other in entry.parent.glob(f"{group}*"):
        if other != entry:
            _remove(other)
    return entry


def whole_entries(group: str) -> list[Path]:
    """The entries whose names begin with `group`; a warning for those that the disk has damaged."""
    found = []
    for parent in (cache_folder(), *([Path(_session.name)] if _session else [])):
        for entry in sorted(parent.glob(f"{group}*")):
            if _is_whole(entry):
                found.append(entry)
                with suppress(OSError):  # on a read-only disk
                    os.utime(entry / SEAL)
            elif os.path.exists(entry / SEAL):
                warnings.warn(f"{entry} in the cache is damaged: it is made anew.", stacklevel=4)
    return found


def _make_somewhere(build: Callable[[Path], str]) -> Path:
    cache = cache_folder()
    parent = _writable_parent(cache)
    try:
        entry = _make(parent, build)
    except _Deleted:
        entry = _make(_writable_parent(cache), build)
    except OSError as error:
        if error.errno not in UNWRITABLE or parent != cache:
            raise
        return _make(_session_folder(cache, error), build)
    clear(MOST_BYTES, HOUR)
    return entry


class _Deleted(Exception):
    """The cache was deleted while an entry was being made, as one may."""


def _make(parent: Path, build: Callable[[Path], str]) -> Path:
    """Build and seal an entry beside its place, then put it there in one rename."""
    remove_leftovers(parent.glob(".part-*"))
    with tempfile.TemporaryDirectory(
        dir=parent, prefix=".part-", ignore_cleanup_errors=True
    ) as part:
        filled = Path(part) / "entry"
        filled.mkdir()
        try:
            return _filled(filled, parent, build)
        except FileNotFoundError as error:
            if filled.exists():
                raise
            raise _Deleted from error


def _filled(filled: Path, parent: Path, build: Callable[[Path], str]) -> Path:
    entry = parent / build(filled)
    sums = {path.name: _checksum(path) for path in filled.iterdir() if path.is_file()}
    (filled / SEAL).write_text(json.dumps(sums), encoding="utf-8")
    if os.path.lexists(entry) and not _is_whole(entry):
        _remove(entry)
    try:
        patiently(lambda: filled.rename(entry))
    except OSError:
        if not _is_whole(entry):  # else another process made the same entry first: use that
            raise
    return entry


def _is_whole(entry: Path) -> bool:
    """Whether an entry is there, and its files are as they were sealed.

    Folders in it aren't sealed: people look into those, and may delete a picture.
    """
    try:
        sums = json.loads((entry / SEAL).read_text(encoding="utf-8"))
        return all(_checksum(entry / name) == known for name, known in sums.items())
    except (OSError, ValueError, AttributeError, RecursionError):  # gone, or no longer JSON
        return False


def _checksum(path: Path) -> list[int]:
    """Size and CRC-32 of a file; of one too large to be read at each start, the size alone."""
    size, checksum = path.stat().st_size, 0
    with path.open("rb") as file:
        while size <= LARGEST_CHECKED and (part := file.read(1 << 20)):
            checksum = zlib.crc32(part, checksum)
    return [size, checksum]


def check_room(folder: Path, n_bytes: int) -> None:
    """OSError where the disk is too full for a file of `n_bytes`.

    To be asked before a file is mapped: on a full disk, writing to one ends Python on the spot.
    """
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise OSError(
            errno.ENOSPC,
            f"{n_bytes / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB free; {ADVICE}",
            str(cache_folder()),
        )


def _writable_parent(cache: Path) -> Path:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache):
            return cache
    except OSError as error:
        return _session_folder(cache, error)


def _session_folder(cache: Path, error: OSError) -> Path:
    """Where this session keeps what the cache can't take because of `error`; with a warning."""
    global _session
    warnings.warn(
        f"The cache {cache} can't be written ({os.strerror(error.errno)}): what is made now is "
        "kept for this session only. Set LESSONKIT_CACHE to a folder of yours with room in it to "
        "change that.",
        stacklevel=5,
    )
    if _session is None:
        _session = tempfile.TemporaryDirectory(prefix="lessonkit-")
    return Path(_session.name)


_session: tempfile.TemporaryDirectory | None = None


def new_array(path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    """A .npy file to be filled, mapped into memory; OSError where the disk has no room for it."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    check_room(path.parent, n_bytes)
    try:
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):  # takes the room now, before another process does
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno not in FULL:
            raise
        reason = f"{n_bytes / 1e6:,.0f} MB don't fit ({error.strerror}); {ADVICE}"
        raise OSError(error.errno, reason, str(cache_folder())) from None
    return array


def read_array(path: Path) -> torch.Tensor:
    """A .npy file as a tensor that stays on disk: pages are read when they are looked at."""
    # "c" (copy on write): a slip that writes into the tensor never reaches the file.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
