"""The files of results: one a claim, with what it states, what was tuned, and every run."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from experiments.claim import Claim
from lessonkit.course import hardware
from lessonkit.files import safe_files

__all__ = ["FOLDER", "load", "machine", "save", "state", "versions"]

FOLDER = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "timm", "numpy")


def load(number: str) -> dict[str, Any]:
    """What is stored of a claim: "claim", "tuned", "runs" and their fingerprints."""
    path = FOLDER / f"{number}.json"
    if not path.exists():
        return {"claim": {}, "tuned": None, "runs": []}
    return json.loads(path.read_text(encoding="utf-8"))


def save(number: str, stored: dict[str, Any]) -> None:
    """Write the file anew, all of it or nothing."""
    stored["runs"].sort(key=lambda run: run["seed"])
    FOLDER.mkdir(exist_ok=True)
    with safe_files.atomic_path(FOLDER / f"{number}.json") as path:
        path.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def state(claims: Iterable[Claim]) -> None:
    """Write what each of these claims states into its file: words may have changed since its runs.

    Only of claims whose runs were made by the code that is here: others state what they ran.
    """
    for claim in claims:
        stored = load(claim.number)
        if stored["claim"] != claim.statement():
            save(claim.number, {**stored, "claim": claim.statement()})


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
    """Three of the packages that a run's values depend on; Pillow and scipy aren't recorded."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
