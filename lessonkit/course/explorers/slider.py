"""A slider for pictures that Python draws."""

from pathlib import Path
from typing import Any

import anywidget
import traitlets

__all__ = ["Slider"]


class Slider(anywidget.AnyWidget):
    """A number from `min` to `max`, in steps of `step`; whole numbers stay whole.

    It is the browser's own slider: unlike the one of ipywidgets it has a name, its `description`,
    for those who can't see it. A value outside the range is moved to its nearer end.
    """

    _esm = Path(__file__).with_name("slider.js")
    value = traitlets.Union([traitlets.Int(), traitlets.Float()]).tag(sync=True)
    min = traitlets.Union([traitlets.Int(), traitlets.Float()]).tag(sync=True)
    max = traitlets.Union([traitlets.Int(100), traitlets.Float()]).tag(sync=True)
    step = traitlets.Union([traitlets.Int(1), traitlets.Float()]).tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)

    @traitlets.validate("value")
    def _within(self, proposed: dict[str, Any]) -> float:
        return min(max(proposed["value"], self.min), self.max)

    @traitlets.observe("min", "max")
    def _follow_the_range(self, change: dict[str, Any]) -> None:
        self.value = self.value  # which _within looks at anew
