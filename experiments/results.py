"""The files of results: one a claim, with what it states, what was tuned, and every run."""

import ast
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from experiments.claim import Claim
from lessonkit.files import safe_files
from lessonkit.machine import hardware

__all__ = ["FOLDER", "fingerprint", "load", "machine", "save", "state", "versions"]

FOLDER = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "timm", "numpy")


def load(number: str) -> dict[str, Any]:
    """What is stored of a claim: "claim", "code", "tuned" and "runs"; empty if nothing is."""
    path = FOLDER / f"{number}.json"
    if not path.exists():
        return {"claim": {}, "code": "", "tuned": None, "runs": []}
    return json.loads(path.read_text(encoding="utf-8"))


def save(number: str, stored: dict[str, Any]) -> None:
    """Write the file anew, all of it or nothing."""
    stored["runs"].sort(key=lambda run: run["seed"])
    FOLDER.mkdir(exist_ok=True)
    with safe_files.atomic_path(FOLDER / f"{number}.json") as path:
        path.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def state(claims: Iterable[Claim]) -> None:
    """Write what each claim states into its file: words may have been mended since its runs."""
    for claim in claims:
        stored = load(claim.number)
        if stored["claim"] != claim.statement():
            save(claim.number, {**stored, "claim": claim.statement()})


def fingerprint(claim: Claim) -> str:
    """Changes when the code of an experiment does: it, and what it imports from this folder.

    Comments, docstrings, import statements and the statement in words may be mended without running
    again. Changes in `lessonkit` aren't noticed here: `make check-claims` runs stored seeds again
    and compares.
    """
    code = "".join(_code(module) for module in _modules(claim.run.__module__))
    return hashlib.sha256(code.encode()).hexdigest()[:12]


def _modules(name: str) -> list[str]:
    """A module of this folder and those that it imports, directly or not, sorted."""
    found, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name in found or name == "experiments.claim":
            continue
        found.add(name)
        for node in ast.walk(ast.parse(_path(name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "experiments":
                waiting += [f"experiments.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "experiments."
            ):
                waiting.append(node.module)
    return sorted(found)


def _path(name: str) -> Path:
    return FOLDER.parent / f"{name.removeprefix('experiments.')}.py"


def _code(name: str) -> str:
    """A module's syntax tree, without docstrings, imports and its statement, `CLAIM`."""
    tree = ast.parse(_path(name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            node.body = [part for part in node.body if not _computes_nothing(part)]
    return _tree(tree)


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


def _computes_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CLAIM"


def machine() -> str:
    """The kind of machine: on another kind, the same seed may give other last digits.

    The processor's name isn't enough: two of one name may have other vector instructions, and
    PyTorch or oneDNN may have been told to use fewer than there are.
    """
    instructions = torch.backends.cpu.get_cpu_capability()
    most = os.environ.get("ONEDNN_MAX_CPU_ISA")
    instructions += f" (oneDNN: {most})" if most else ""
    processor = hardware.describe()["processor"]
    return f"{platform.system()} {platform.machine()}, {processor}, {instructions}"


def versions() -> dict[str, str]:
    """The packages that a run's values depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
