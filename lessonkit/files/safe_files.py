"""Files that are whole or not there: writes that are all or nothing, tensors without code."""

import glob
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lessonkit.files.fingerprint import fingerprint

__all__ = [
    "ModelFileError", "age", "atomic_path", "check_can_write", "last_change", "long_path",
    "of_user", "patiently", "read_tensors", "remove_leftovers", "write_tensors",
]  # fmt: skip

DAY = 24 * 3600.0  # seconds


class ModelFileError(ValueError):
    """A model file that can't be used; the message says why."""


def of_user(path: Path | str) -> Path:
    """A path as a person types it: `~` is their home, as in a shell."""
    return Path(os.path.expanduser(path))


def long_path(path: Path | str) -> str:
    """The path in a form that Windows also opens where it is longer than 260 characters."""
    if os.name != "nt":
        return str(path)
    full = os.path.abspath(path)
    if full.startswith("\\\\?\\"):
        return full
    return f"\\\\?\\UNC{full[1:]}" if full.startswith("\\\\") else f"\\\\?\\{full}"


def patiently(move: Callable[[], object]) -> object:
    """`move()`, tried again for a second: on Windows a virus scanner may be looking at the file."""
    for seconds in (0.05, 0.1, 0.2, 0.3, 0.35):
        try:
            return move()
        except PermissionError:
            time.sleep(seconds)
    return move()


def check_can_write(path: Path | str) -> None:
    """ValueError or OSError, with a sentence, unless a file `path`, or what it links to, can be."""
    is_folder, path = os.fspath(path).endswith(("/", os.sep)), _target(path)
    if is_folder or path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a file to write to.")
    if path.exists() and not path.is_file():  # such as /dev/null, which a file would replace
        raise ValueError(f"{path} is no ordinary file: give the name of one to write to.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} to write {path.name} into.")
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".part"):
            pass
    except OSError as error:  # nothing may be written there, or the name is too long
        raise OSError(error.errno, error.strerror, str(path)) from None


def _target(path: Path | str) -> Path:
    """What is to be written: what a link leads to, anything else as the person names it."""
    path = of_user(path)
    return Path(os.path.realpath(path)) if path.is_symlink() else path


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A path beside `path` to write to; it takes `path`'s place only when all went well.

    OSError, with a sentence, where that fails: what stood at `path` is still there. ValueError if
    `path` is a folder, no ordinary file, or in a folder that doesn't exist. A link stays: what it
    leads to is written.
    """
    check_can_write(path)
    path = _target(path)
    remove_leftovers(path.parent.glob(f".{glob.escape(path.name)}.*.part"))
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())  # else a power cut might leave the new name and no content
        if path.exists():
            shutil.copymode(path, part)  # what only its owner may read stays so
        patiently(lambda: os.replace(part, path))
    except OSError as error:
        reason = (
            f"{error.strerror or error}; nothing is half-written, what was there before still is. "
            "Make room, or write to another place"
        )
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def remove_leftovers(parts: Iterable[Path]) -> None:
    """Remove what killed processes left half-written: unfinished, and unchanged for a day."""
    for part in parts:
        with suppress(OSError):  # another process may be removing it too
            if age(last_change(part)) > DAY:
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def last_change(path: Path) -> float:
    """The moment (Unix time) at which a file, or anything in a folder, was changed last."""
    return max(one.stat().st_mtime for one in (path, *path.rglob("*")))


def age(moment: float) -> float:
    """Seconds since a moment; or until then, where a clock was wrong and it is still to come."""
    return abs(time.time() - moment)


def write_tensors(path: Path | str, tensors: dict[str, torch.Tensor], about: dict) -> None:
    """Write named tensors, and a description for JSON, in the safetensors format: no code in it."""
    # Copies, as tied weights share their memory, which the format refuses.
    tensors = {
        name: t.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, t in tensors.items()
    }
    # Numbers may be numpy's or torch's, which JSON can't write.
    text = json.dumps(about, sort_keys=True, default=lambda number: number.item())
    check = fingerprint(text, *[part for name in sorted(tensors) for part in (name, tensors[name])])
    with atomic_path(path) as part:
        # One entry, as the order of several would differ from one process to the next. Not its own
        # function for files, whose errors say in their text only what is wrong with the disk.
        part.write_bytes(save(tensors, {"lessonkit": f"{check} {text}"}))


def read_tensors(path: Path | str) -> tuple[dict[str, torch.Tensor], dict]:
    """What `write_tensors` wrote; ModelFileError if it is anything else, or has been altered."""
    path = of_user(path)
    if not os.path.isfile(path):  # which takes names that no file can have, too
        other = ": that is a folder or a device" if os.path.exists(path) else ""
        raise ModelFileError(f"There is no model file {path}{other}.")
    try:
        path.open("rb").close()
    except OSError as error:  # safetensors would say that it isn't there
        raise ModelFileError(f"{path} can't be read: {error.strerror}.") from None
    try:
        os.fspath(path).encode()  # as safetensors will
    except UnicodeEncodeError:
        raise ModelFileError(f"{path} has a name that isn't UTF-8: rename it.") from None
    try:
        with safe_open(path, framework="pt") as file:
            check, _, text = (file.metadata() or {}).get("lessonkit", "").partition(" ")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(
            f"{path} is not a model saved by lessonkit, or is damaged ({error}). "
            "Nothing in it was run."
        ) from None
    if not check:
        raise ModelFileError(f"{path} is not a model saved by lessonkit.")
    parts = [part for name in sorted(tensors) for part in (name, tensors[name])]
    if check != fingerprint(text, *parts):
        raise ModelFileError(
            f"{path} has been altered since it was saved, or is of an older lessonkit: copy it "
            "again, or train again."
        )
    try:
        return tensors, json.loads(text)
    except (ValueError, RecursionError):  # the check is no secret: anyone can make a right one
        raise ModelFileError(f"{path} describes itself in a way that can't be read.") from None
