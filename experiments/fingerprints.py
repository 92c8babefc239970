"""What a claim's runs stand on, as fingerprints: when one changes, the stored runs are stale.

"code" is the experiment: its module and those that it imports from this folder. "kit" is what they
import from `lessonkit`, and what that imports in turn, a fingerprint for each module, so that one
can say which has changed; what no value hangs on (LEFT_OUT) may change freely. "pictures" are the
data sets that they name, also those not shipped. Comments, docstrings, import statements, a
module's name and all that `CLAIM` states, δ and kinds of rows included (git shows when), may change
without new runs; words in a module's functions may not.
"""

import ast
import hashlib
import importlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from experiments import material
from experiments.claim import Claim
from lessonkit.course.datasets import cells
from lessonkit.data import DataError

__all__ = ["REASONS", "fingerprint", "of", "stale"]

REASONS = {"code", "kit", "pictures"}  # what may have changed

ROOT = Path(__file__).resolve().parent.parent
# No value depends on them: what a claim must state, pictures of results, progress bars, remarks on
# pictures, where files are kept, and how they are read, since an ordinary picture is read as Pillow
# reads it, which is tested by itself. How a folder is sorted and split does count.
LEFT_OUT = {
    "experiments.claim",
    "lessonkit.plot",
    "lessonkit.machine.bars",
    "lessonkit.machine.notebook_bar",
    "lessonkit.machine.progress",
    "lessonkit.machine.terminal_bar",
    "lessonkit.training.processes",
    "lessonkit.course.datasets.pets",
    "lessonkit.images.cleaning",
    "lessonkit.images.decode",
    "lessonkit.images.remarks",
    "lessonkit.images.store",
    "lessonkit.files.cache",
    "lessonkit.files.model_files",
    "lessonkit.files.safe_files",
}


def of(claim: Claim) -> dict[str, Any]:
    """All that is stored with a claim's runs: {"code": ..., "kit": {...}, "pictures": {...}}."""
    return {"code": fingerprint(claim), "kit": _kit(claim), "pictures": _pictures(claim)}


def stale(claim: Claim, stored: dict[str, Any]) -> dict[str, str]:
    """Why the runs in `stored` aren't those that would be made now: by "code", "kit", "pictures".

    Each reason is a sentence; runs that nothing was stored of are stale as well.
    """
    reasons, now = {}, of(claim)
    if stored.get("code") != now["code"]:
        reasons["code"] = "The experiment's own code has changed."
    for name, what in (("kit", "of lessonkit"), ("pictures", "of the pictures")):
        then = stored.get(name)
        if then is None:
            reasons[name] = f"Nothing is known {what} that they were made with."
            continue
        # A module that has only moved has its old fingerprint under another name.
        here = {key: value for key, value in now[name].items() if value}
        new = sorted(key for key, value in here.items() if value not in then.values())
        known = {
            key: value
            for key, value in then.items()
            if now[name].get(key, True) and key not in LEFT_OUT
        }
        gone = sorted(key for key, value in known.items() if value not in here.values())
        if new or gone:
            changed = ", ".join(dict.fromkeys([*new, *gone]))
            reasons[name] = f"Other parts {what} now: {changed}."
    return reasons


def fingerprint(claim: Claim) -> str:
    """Of an experiment's code: its module and those that it imports from this folder."""
    return _short("".join(_read(_path(name)).code for name in _experiment(claim)))


def _kit(claim: Claim) -> dict[str, str]:
    """Module of `lessonkit` -> fingerprint, of all that a claim's runs load."""
    found = _reached(claim.run.__module__)
    kit = [name for name in found if name.startswith("lessonkit")]
    return {name: _short(_read(_path(name)).code) for name in kit}


# Where the pictures lie that `material` gives under each name.
FOLDERS = {
    "tiles": lambda: ROOT / "data" / "earth",
    "digits": lambda: ROOT / "data" / "digits",
    "cells": lambda: cells.cell_labels().files[0].parent,
    "trash": material.trash_folder,
}


def _pictures(claim: Claim) -> dict[str, str | None]:
    """Name of a data set -> fingerprint of its files, of those that an experiment names.

    None for a set that isn't on this machine.
    """
    modules = [name for name in _experiment(claim) if name != material.__name__]
    named = set().union(*(_read(_path(name)).names for name in modules))
    return {name: _fingerprint_of(name) for name in FOLDERS if name in named}


def _fingerprint_of(name: str) -> str | None:
    try:
        return _of_files(FOLDERS[name]())
    except DataError:
        return None


@cache
def _of_files(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix in (".jpg", ".png"):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _short(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:12]


# --- Which modules --------------------------------------------------------------------------------


def _experiment(claim: Claim) -> list[str]:
    """A claim's module and those of this folder that it imports, directly or not, sorted."""
    return [name for name in _reached(claim.run.__module__) if name.startswith("experiments")]


def _reached(start: str) -> list[str]:
    """A module and all of the course's that are loaded for it, sorted by name."""
    found, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name not in found | LEFT_OUT:
            found.add(name)
            waiting += [_module_of(*wanted) for wanted in _read(_path(name)).imported]
    return sorted(found)


def _module_of(module: str, name: str) -> str:
    """Where `name` of a `module` is: a module itself, or in that one, or in one it leads on to."""
    if name and _path(f"{module}.{name}").exists():
        return f"{module}.{name}"
    if module == "lessonkit" and name:  # `from lessonkit import Learner`
        led_to = getattr(importlib.import_module(module), name)
        return getattr(led_to, "__module__", None) or led_to.__name__
    return module


def _path(name: str) -> Path:
    """The file of a module; for a package, that of its own code."""
    path = ROOT / Path(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


# --- What of their code ---------------------------------------------------------------------------


class _Read(NamedTuple):
    """What is read in a module: its code, the names in it, and what it imports of the course."""

    code: str
    names: frozenset[str]
    imported: list[tuple[str, str]]  # module and name, "" for a whole module


def _read(path: Path) -> _Read:
    return _understood(path.read_text(encoding="utf-8"))


@cache
def _understood(source: str) -> _Read:
    tree, names, imported = ast.parse(source), set(), []
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.Import):
            imported += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported += [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Name | ast.Attribute):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            node.body = [part for part in node.body if not _is_words(part)]
    ours = [pair for pair in imported if pair[0].split(".")[0] in ("experiments", "lessonkit")]
    return _Read(_tree(tree), frozenset(names), ours)


def _tree(part: Any) -> str:
    """A syntax tree as `ast.dump` of Python 3.11 writes it: newer ones omit fields and add some."""
    if isinstance(part, list):
        return f"[{', '.join(map(_tree, part))}]"
    if not isinstance(part, ast.AST):
        return repr(part)
    kept = [
        f"{name}={_tree(value)}"
        for name, value in ast.iter_fields(part)
        if name != "type_params" and (value is not None or getattr(type(part), name, 0) is not None)
    ]
    return f"{type(part).__name__}({', '.join(kept)})"


def _is_words(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, an import, or what the claim states."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CLAIM"
