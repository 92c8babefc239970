"""A bar in a notebook: a widget with seconds, figures and the table of the epochs.

As text, which a notebook stores, it is its title; or nothing, for work that a cache may save.
"""

import html
import time
from typing import Any

import ipywidgets
from IPython.display import display

from lessonkit.machine.bars import Bar, as_cell, as_heading, as_words

__all__ = ["new_bar"]

UPDATES_PER_SECOND = 10


def new_bar(title: str, total: int, cached: bool, outer: Bar | None) -> Bar:
    """A widget for `total` steps; inside the `outer` one's block a few words in that one."""
    if isinstance(outer, _NotebookBar):
        return _InnerBar(title, total, outer)
    return _NotebookBar(title, total, cached)


class _NotebookBar(Bar):
    """A widget with a bar, seconds and the table; as text it is its title, or nothing if cached."""

    def __init__(self, title: str, total: int, cached: bool):
        super().__init__(title, total)
        self.inner, self.rows = "", []
        self.started = time.monotonic()
        self.widget = ipywidgets.HTML()
        self.show("running")
        shown = dict(self.widget._repr_mimebundle_())
        del shown["text/plain"]
        display(shown if cached else shown | {"text/plain": title}, raw=True)

    def step(self, n: int = 1, **figures: float) -> None:
        super().step(n, **figures)
        if time.monotonic() - self.shown_at >= 1 / UPDATES_PER_SECOND:
            self.show("running")

    def row(self, row: dict[str, Any]) -> None:
        self.rows.append({"step": self.about} | row if self.about else row)
        self.show("running")

    def show(self, state: str) -> None:
        self.shown_at = time.monotonic()
        seconds = f"{self.shown_at - self.started:.1f} s"
        line, value = f"done in {seconds}", self.total
        if state != "done":
            stopped, value = "stopped after " * (state == "stopped"), self.done
            told = [as_words(self.figures), self.about, self.inner]
            line = f"{stopped}{self.done} of {self.total} steps, {seconds}"
            line = " · ".join([line, *filter(None, told)])
        title = html.escape(self.title)
        meter = f'<progress aria-label="{title}" max="{self.total}" value="{value}"></progress>'
        words = f"<div>{title} {meter} {html.escape(line)}</div>"
        self.widget.value = words + (_table(self.rows) if self.rows else "")


class _InnerBar(Bar):
    """A few words within another bar's widget."""

    def __init__(self, title: str, total: int, outer: _NotebookBar):
        super().__init__(title, total)
        self.outer = outer

    def step(self, n: int = 1, **figures: float) -> None:
        super().step(n, **figures)
        self.outer.inner = f"{self.title}, {self.done} of {self.total}"
        self.outer.step(0)

    def show(self, state: str) -> None:
        self.outer.inner = ""


def _table(rows: list[dict]) -> str:
    style = ' style="text-align: right; padding: 0 0.8em"'
    names = [html.escape(as_heading(name)) for name in rows[0]]
    head = "".join(f'<th scope="col"{style}>{name}</th>' for name in names)
    lines = [[html.escape(as_cell(name, value)) for name, value in row.items()] for row in rows]
    body = "".join(f"<tr><td{style}>{f'</td><td{style}>'.join(line)}</td></tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
