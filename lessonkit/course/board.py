"""A table of what is kept of the reader, which a button brings up to date."""

from collections.abc import Callable
from typing import Any

__all__ = ["Board"]


class Board:
    """What `page()` returns, as HTML, with a button that asks it again; as text, its `name`.

    The text is all that a notebook stores, so that it is the same whoever has done what.
    """

    def __init__(self, name: str, page: Callable[[], str], button: str, tooltip: str):
        import ipywidgets

        self.name, self.page = name, page
        self.table = ipywidgets.HTML()
        asked = ipywidgets.Button(description=button, tooltip=tooltip)
        asked.on_click(self.show)
        self.widget = ipywidgets.VBox([self.table, asked])
        self.show()

    def show(self, button: Any = None) -> None:
        """Read what has been kept, and show it."""
        self.table.value = f'<div role="status">{self.page()}</div>'

    def __repr__(self) -> str:
        return self.name

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        return dict(self.widget._repr_mimebundle_(**kwargs)) | {"text/plain": repr(self)}
