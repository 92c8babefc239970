"""Widgets that show what is kept of the reader, and of which a notebook stores a fixed text."""

import html
from collections.abc import Callable
from typing import Any

__all__ = ["Board", "Shown"]


class Shown:
    """A `widget`, and `name`, all that a notebook stores of it: the same whoever has done what."""

    widget: Any
    name: str

    def __repr__(self) -> str:
        return self.name

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        return dict(self.widget._repr_mimebundle_(**kwargs)) | {"text/plain": self.name}


class Board(Shown):
    """What `page()` returns, as HTML, with a button that asks it again."""

    def __init__(self, name: str, page: Callable[[], str], button: str, tooltip: str):
        import ipywidgets

        from lessonkit.course.said import Said

        self.name, self.page = name, page
        self.table = Said()
        asked = ipywidgets.Button(description=button, tooltip=tooltip)
        asked.on_click(self.show)
        self.widget = ipywidgets.VBox([self.table, asked])
        self.show()

    def show(self, button: Any = None) -> None:
        """Read what has been kept, and show it."""
        try:
            page = self.page()
        except OSError as error:
            page = f"What was kept can't be read: {html.escape(str(error))}"
        self.table.value = page
