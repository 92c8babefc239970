"""The training code of the course: schedules, the LR finder, augmentation, and the 8 steps.

Learner, eight_steps and lr_find are loaded when they are first asked for, so that
`import lessonkit` stays quick.
"""

import importlib
from typing import Any

__all__ = ["Learner", "eight_steps", "lr_find"]

_HOME = {"Learner": "learner", "eight_steps": "recipe", "lr_find": "lr_finder"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"lessonkit has no {name!r}")
    return getattr(importlib.import_module(f"lessonkit.{_HOME[name]}"), name)
