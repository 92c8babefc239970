"""A slider for pictures that Python draws."""

import math
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import anywidget
import traitlets

__all__ = ["Slider"]


class Number(traitlets.TraitType):
    """A finite number: whole ones stay whole, and numpy's become Python's."""

    def validate(self, slider: Any, number: Any) -> float:
        """The number that is kept; TraitError for anything else."""
        if not (isinstance(number, Real) and math.isfinite(number)):
            raise traitlets.TraitError(f"A slider's {self.name} is a number, not {number!r}.")
        return int(number) if isinstance(number, Integral) else float(number)


class Slider(anywidget.AnyWidget):
    """A number from `min` to `max`, in steps of `step`; whole numbers stay whole.

    It is the browser's own slider: unlike the one of ipywidgets it has a name, its `description`,
    for those who can't see it. A value outside the range is moved to its nearer end.
    """

    _esm = Path(__file__).with_name("slider.js")
    value = Number(0).tag(sync=True)
    min = Number(0).tag(sync=True)
    max = Number(100).tag(sync=True)
    step = Number(1).tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)

    @traitlets.validate("value")
    def _within(self, proposed: dict[str, Any]) -> float:
        return min(max(proposed["value"], self.min), self.max)

    @traitlets.observe("min", "max")
    def _follow_the_range(self, change: dict[str, Any]) -> None:
        self.value = self.value  # which _within looks at anew
