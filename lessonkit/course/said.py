"""Text that changes, and that screen readers read out when it does."""

from pathlib import Path

import anywidget
import traitlets

__all__ = ["Said"]


class Said(anywidget.AnyWidget):
    """`value`, in HTML. That of ipywidgets comes in a new element each time, and isn't read out."""

    _esm = Path(__file__).with_suffix(".js")
    value = traitlets.Unicode().tag(sync=True)
