"""What is kept on disk: a cache keyed by content, writes that are all or nothing, safe model files.

The cache holds what is slow to make and quick to read: decoded pictures and a network's
activations. An entry is a folder that appears in one rename, so a process that is killed half-way
leaves nothing that a later one could mistake for a result.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

__all__ = [
    "ModelFileError",
    "atomic_path",
    "cache_folder",
    "cached",
    "check_can_write",
    "check_room",
    "fingerprint",
    "read_array",
    "read_tensors",
    "write_tensors",
]


class ModelFileError(ValueError):
    """A model file that can't be used; the message says why."""


def cache_folder() -> Path:
    """Where decoded pictures and activations are kept; LESSONKIT_CACHE puts it elsewhere.

    It may be deleted at any time: everything in it can be made again.
    """
    return Path(os.environ.get("LESSONKIT_CACHE") or platformdirs.user_cache_path("lessonkit"))


def fingerprint(*parts: object) -> str:
    """A short name, 32 hexadecimal digits, that changes whenever one of `parts` does.

    Parts are bytes, tensors, or anything that JSON can write.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]


def cached(key: str, build: Callable[[Path], None]) -> Path:
    """The folder of cache entry `key`; `build(folder)` fills it the first time.

    Where the cache can't be written a temporary folder serves instead, with a warning.
    """
    entry = cache_folder() / key
    for known in (entry, *([Path(_session.name) / key] if _session else [])):
        if known.is_dir():
            return known
    with tempfile.TemporaryDirectory(dir=_writable_parent(entry), prefix=".part-") as part:
        filled = Path(part) / "entry"
        filled.mkdir()
        build(filled)
        entry = entry if Path(part).parent == entry.parent else _session_folder() / key
        try:
            filled.rename(entry)
        except OSError:
            if not entry.is_dir():  # else another process made the same entry first: use that
                raise
    return entry


def check_room(folder: Path, n_bytes: int) -> None:
    """OSError where the disk is too full for a file of `n_bytes`.

    To be asked before a file is mapped: on a full disk, writing to one ends Python on the spot.
    """
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise OSError(
            errno.ENOSPC,
            f"{n_bytes / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free; make room, or set "
            "LESSONKIT_CACHE to a folder on a larger disk.",
            str(cache_folder()),
        )


def _writable_parent(entry: Path) -> Path:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=entry.parent):
            return entry.parent
    except OSError as error:
        warnings.warn(
            f"The cache {entry.parent} can't be written ({error.strerror}): what is made now is "
            "kept for this session only. Set LESSONKIT_CACHE to a folder of yours to change that.",
            stacklevel=4,
        )
        return _session_folder()


def _session_folder() -> Path:
    global _session
    if _session is None:
        _session = tempfile.TemporaryDirectory(prefix="lessonkit-")
    return Path(_session.name)


_session: tempfile.TemporaryDirectory | None = None


def read_array(path: Path) -> torch.Tensor:
    """A .npy file as a tensor that stays on disk: pages are read when they are looked at."""
    # "c" (copy on write): a slip that writes into the tensor never reaches the file.
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def check_can_write(path: Path | str) -> None:
    """ValueError or OSError, with a sentence, unless a file `path` can be written."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a file to write to.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} to write {path.name} into.")
    with tempfile.TemporaryFile(dir=path.parent):
        pass  # OSError where nothing may be written


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A path beside `path` to write to; it takes `path`'s place only when all went well."""
    path = Path(path)
    check_can_write(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_tensors(path: Path | str, tensors: dict[str, torch.Tensor], about: dict) -> None:
    """Write named tensors and a JSON-able description, in the safetensors format: no code in it."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    text = json.dumps(about, sort_keys=True)
    check = fingerprint(text, *[part for name in sorted(tensors) for part in (name, tensors[name])])
    with atomic_path(path) as part:
        save_file(tensors, part, metadata={"about": text, "check": check})


def read_tensors(path: Path | str) -> tuple[dict[str, torch.Tensor], dict]:
    """What `write_tensors` wrote; ModelFileError if it is anything else, or has been altered."""
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"There is no model file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path} is not a model saved by lessonkit, or is damaged ({error}). "
            "Nothing in it was run."
        ) from None
    text = metadata.get("about", "")
    check = fingerprint(text, *[part for name in sorted(tensors) for part in (name, tensors[name])])
    if check != metadata.get("check"):
        raise ModelFileError(f"{path} has been altered since it was saved: train or copy it again.")
    return tensors, json.loads(text)
