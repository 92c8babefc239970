"""The training code of the course: schedules, the LR finder, augmentation, and the 8 steps.

The lesson files are in this folder, one idea each; the folders below hold what they build on, and
`course/` what belongs to the course, not to training: data sets, explorers, exercises, the clinic,
the ledger. Each is loaded when it is first asked for, so that `import lessonkit` stays quick.
"""

import importlib.util
from typing import Any

__all__ = ["Learner", "eight_steps", "lr_find"]

_FUNCTIONS = {"Learner": "learner", "eight_steps": "recipe", "lr_find": "lr_finder"}
# What notebooks ask for by its short name: `from lessonkit import quiz`.
_FOLDERS = {
    "images": "cleaning",
    "machine": "progress",
    "files": "safe_files",
    "course": "challenge hardware look twelve_questions",
    "course.datasets": "earth_painting embedded",
    "course.exercises": "quiz",
    "course.clinic": "diagnoses",
    "course.measured": "forest ledger",
}
_MODULES = {name: f"{folder}.{name}" for folder in _FOLDERS for name in _FOLDERS[folder].split()}
_MODULES |= {"explore": "course.explorers", "clinic": "course.clinic.patients"}


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"lessonkit.{_FUNCTIONS[name]}"), name)
    if name in _MODULES or importlib.util.find_spec(f"lessonkit.{name}"):  # or a lesson file
        return importlib.import_module(f"lessonkit.{_MODULES.get(name, name)}")
    raise AttributeError(f"lessonkit has no {name!r}")
