"""What is kept of you, on your own disk: answers, guesses and best scores, as small JSON files.

They lie in your user's data folder, or where LESSONKIT_RECORDS says; never in the cache, which may
be deleted. Nothing leaves the machine. Each file's format stands in the module that writes it:
exercises.json in exercises/solved.py, guesses.json in exercises/guesses.py, diagnoses.json in
clinic/diagnoses.py, twelve_questions.json and challenge.json in the modules of those names.
"""

import inspect
import json
import os
from itertools import count
from pathlib import Path
from typing import Any

import platformdirs

__all__ = ["forget", "path", "read", "write"]


def path(name: str) -> Path:
    """Where the records called `name` are, whether there are any or not."""
    folder = os.environ.get("LESSONKIT_RECORDS") or platformdirs.user_data_path("lessonkit")
    return Path(os.path.expanduser(folder)) / f"{name}.json"


def read(name: str, shape: Any, empty: Any) -> Any:
    """The records called `name`, or `empty` if there are none.

    A file that isn't JSON, or isn't of the `shape`, is renamed, so that nothing is lost, and a
    sentence says so. A shape is a type, a function that says yes or no, [shape of all elements],
    {str: shape of all values}, or {"a": shape, "b": shape}. OSError for a file that may not be read
    or renamed.
    """
    file = path(name)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        whole = _fits(found, shape)
    except FileNotFoundError:
        return empty
    except (ValueError, RecursionError):  # not JSON, or not even text
        whole = False
    if whole:
        return found
    names = (file.with_suffix(f".damaged{number or ''}.json") for number in count())
    aside = next(name for name in names if not name.exists())  # an earlier one stays, too
    os.replace(file, aside)
    print(f"{file.name} can't be read: it is kept as {aside}, and a new one begins.")
    return empty


def _fits(found: Any, shape: Any) -> bool:
    if isinstance(shape, list):
        return isinstance(found, list) and all(_fits(part, shape[0]) for part in found)
    if isinstance(shape, dict):
        if not isinstance(found, dict):
            return False
        kinds = dict.fromkeys(found, shape[str]) if str in shape else shape
        return all(_fits(found.get(key), kind) for key, kind in kinds.items())
    return shape(found) if inspect.isfunction(shape) else isinstance(found, shape)


def write(name: str, records: Any) -> None:
    """Keep `records`, instead of those before; OSError, and no change, where that fails."""
    from lessonkit.files import safe_files  # with torch, which a notebook that only asks can spare

    file = path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(records, indent=1)
    with safe_files.atomic_path(file) as part:
        part.write_text(text, encoding="utf-8")


def forget(name: str) -> None:
    """Delete the records called `name`."""
    path(name).unlink(missing_ok=True)
