"""A cache keyed by content: what is slow to make and quick to read.

Decoded pictures and a network's activations are kept here. An entry is a folder that appears in one
rename, so a process that is killed half-way leaves nothing that a later one could mistake for a
result. Its seal tells later whether the disk still holds what was written.
"""

import errno
import json
import math
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import platformdirs
import torch

from lessonkit.files.safe_files import remove_leftovers

__all__ = [
    "Entry", "cache_folder", "cached", "check_room", "clear", "entries", "new_array", "read_array",
]  # fmt: skip

SEAL = "seal.json"  # in each entry of the cache: what its files' sizes and checksums were
LARGEST_CHECKED = 1_000_000_000  # bytes; checking those takes a quarter of a second
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, a user's share, the largest file
ADVICE = "make room, or set LESSONKIT_CACHE to a folder on a larger disk."


def cache_folder() -> Path:
    """Where decoded pictures and activations are kept; LESSONKIT_CACHE puts it elsewhere.

    It may be deleted at any time: everything in it can be made again.
    """
    return Path(os.environ.get("LESSONKIT_CACHE") or platformdirs.user_cache_path("lessonkit"))


class Entry(NamedTuple):
    """Something kept in the cache: its folder, and its size on disk."""

    folder: Path
    n_bytes: int


def entries() -> list[Entry]:
    """All that is kept in the cache."""
    found = sorted(seal.parent for seal in cache_folder().glob(f"*/{SEAL}"))
    return [
        Entry(one, sum(f.stat().st_size for f in one.rglob("*") if f.is_file())) for one in found
    ]


def clear() -> int:
    """Take everything away; returns how many bytes that were."""
    there = entries()
    for entry in there:
        (entry.folder / SEAL).unlink()  # first, so that nothing half-removed looks whole
        shutil.rmtree(entry.folder)
    return sum(entry.n_bytes for entry in there)


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """The folder of cache entry `key`; `build(folder)` fills it the first time.

    Where the cache can't be written or is full, a temporary folder serves instead; an entry that
    the disk has damaged is made anew. Both with a warning.
    """
    entry = cache_folder() / key
    for known in (entry, *([Path(_session.name) / key] if _session else [])):
        if _is_whole(known):
            return known
    if os.path.exists(entry / SEAL):
        warnings.warn(f"{entry} in the cache is damaged: it is made anew.", stacklevel=3)
    parent = _writable_parent(entry)
    try:
        return _make(parent / key, build)
    except OSError as error:
        if error.errno not in FULL or parent != entry.parent:
            raise
        _warn_of_session(entry.parent, error)
        return _make(_session_folder() / key, build)


def _make(entry: Path, build: Callable[[Path], None]) -> Path:
    """Build and seal an entry beside its place, then put it there in one rename."""
    remove_leftovers(entry.parent.glob(".part-*"))
    with tempfile.TemporaryDirectory(dir=entry.parent, prefix=".part-") as part:
        filled = Path(part) / "entry"
        filled.mkdir()
        build(filled)
        sums = {path.name: _checksum(path) for path in filled.iterdir() if path.is_file()}
        (filled / SEAL).write_text(json.dumps(sums))
        if entry.is_dir() and not _is_whole(entry):
            shutil.rmtree(entry)
        try:
            filled.rename(entry)
        except OSError:
            if not _is_whole(entry):  # else another process made the same entry first: use that
                raise
    return entry


def _is_whole(entry: Path) -> bool:
    """Whether an entry is there, and its files are as they were sealed.

    Folders in it aren't sealed: people look into those, and may take a picture away.
    """
    try:
        sums = json.loads((entry / SEAL).read_text())
        return all(_checksum(entry / name) == known for name, known in sums.items())
    except (OSError, ValueError, AttributeError):  # gone, unreadable, or no longer JSON
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
            f"{n_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free; {ADVICE}",
            str(cache_folder()),
        )


def _writable_parent(entry: Path) -> Path:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=entry.parent):
            return entry.parent
    except OSError as error:
        _warn_of_session(entry.parent, error)
        return _session_folder()


def _warn_of_session(cache: Path, error: OSError) -> None:
    warnings.warn(
        f"The cache {cache} can't be written ({os.strerror(error.errno)}): what is made now is "
        "kept for this session only. Set LESSONKIT_CACHE to a folder of yours with room in it to "
        "change that.",
        stacklevel=4,
    )


def _session_folder() -> Path:
    global _session
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
        reason = f"{n_bytes / 1e9:.1f} GB don't fit ({error.strerror}); {ADVICE}"
        raise OSError(error.errno, reason, str(cache_folder())) from None
    return array


def read_array(path: Path) -> torch.Tensor:
    """A .npy file as a tensor that stays on disk: pages are read when they are looked at."""
    # "c" (copy on write): a slip that writes into the tensor never reaches the file.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
