"""Progress of something that takes a while: a bar with figures, and a table of the epochs.

Three ways to show it: a widget in a notebook, tqdm in a terminal, and, where nobody watches (a
pipe, a log of automatic tests), the table alone. What a notebook stores is only the title, which
is the same on every machine; seconds appear nowhere but inside the widget. Of work that a cache
may save, it stores nothing: whether that was done must not change what the notebook says.
"""

import html
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["bar", "quiet"]

UPDATES_PER_SECOND = 10
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_outer: ContextVar["_NotebookBar | None"] = ContextVar("outer", default=None)


@contextmanager
def bar(title: str, total: int, cached: bool = False) -> Iterator["Bar"]:
    """Show how far something of `total` steps is, while the `with` block runs.

    `cached` work is done the first time only: its title isn't stored in a notebook.

    The block gets an object with `step(n=1, **figures)`, such as step(loss=0.5, lr=1e-2), and
    `row(dict)`, which adds a line to the table below. Ended by an error or Ctrl-C, it says so.
    In a notebook a bar inside another one's block is shown within that one.
    """
    shown = _new_bar(title, total, cached)
    token = _outer.set(shown) if isinstance(shown, _NotebookBar) else None
    try:
        yield shown
    except BaseException:
        shown.close("stopped")
        raise
    else:
        shown.close("done")
    finally:
        if token:
            _outer.reset(token)


@contextmanager
def quiet() -> Iterator[None]:
    """Show no bars and no tables while the `with` block runs."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _new_bar(title: str, total: int, cached: bool) -> "Bar":
    if _quiet.get():
        return Bar(title, total)
    if not _in_notebook():
        return _TerminalBar(title, total)
    outer = _outer.get()
    return _InnerBar(title, total, outer) if outer else _NotebookBar(title, total, cached)


def _in_notebook() -> bool:
    """Is this a Jupyter kernel? IPython is not imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "ZMQInteractiveShell" in [kind.__name__ for kind in type(shell).__mro__]


class Bar:
    """Shows nothing; the ways to show something build on it."""

    def __init__(self, title: str, total: int):
        self.title, self.total, self.done = title, total, 0
        self.figures: dict[str, str] = {}

    def step(self, n: int = 1, **figures: float) -> None:
        """`n` more steps are done; `figures` are shown beside the bar."""
        self.done += n
        self.figures = {name: _cell(name, value) for name, value in figures.items()}

    def row(self, row: dict[str, Any]) -> None:
        """Add a line to the table; its keys are the columns."""

    def close(self, ending: str) -> None:
        """The last state that is shown: `ending` is "done" or "stopped"."""


class _TerminalBar(Bar):
    """A tqdm bar if a terminal shows it, and lines of a table, all on stderr."""

    def __init__(self, title: str, total: int):
        from tqdm import tqdm

        super().__init__(title, total)
        self.rows = 0
        watched = sys.stderr.isatty()
        self.tqdm = tqdm(total=total, desc=title, file=sys.stderr, leave=False, disable=not watched)

    def step(self, n: int = 1, **figures: float) -> None:
        super().step(n, **figures)
        self.tqdm.set_postfix(self.figures, refresh=False)
        self.tqdm.update(n)

    def row(self, row: dict[str, Any]) -> None:
        if not self.rows:
            self._write("  ".join(f"{_heading(name):>10}" for name in row))
        self.rows += 1
        self._write("  ".join(f"{_cell(name, value):>10}" for name, value in row.items()))

    def close(self, ending: str) -> None:
        self.tqdm.close()
        if ending == "stopped":
            self._write(f"{self.title}: stopped after {self.done} of {self.total} steps")

    def _write(self, line: str) -> None:
        self.tqdm.write(line, file=sys.stderr)


class _NotebookBar(Bar):
    """A widget with a bar, seconds and the table; as text it is its title, or nothing if cached."""

    def __init__(self, title: str, total: int, cached: bool = False):
        import ipywidgets
        from IPython.display import display

        super().__init__(title, total)
        self.detail = ""
        self.rows: list[dict] = []
        self.started = self.shown_at = time.monotonic()
        self.widget = ipywidgets.HTML(self._page("running"))
        shown = dict(self.widget._repr_mimebundle_())
        del shown["text/plain"]
        display(shown if cached else shown | {"text/plain": title}, raw=True)

    def step(self, n: int = 1, **figures: float) -> None:
        super().step(n, **figures)
        if time.monotonic() - self.shown_at >= 1 / UPDATES_PER_SECOND:
            self._update("running")

    def row(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self._update("running")

    def close(self, ending: str) -> None:
        self._update(ending)

    def _update(self, state: str) -> None:
        self.shown_at = time.monotonic()
        self.widget.value = self._page(state)

    def _page(self, state: str) -> str:
        seconds = f"{time.monotonic() - self.started:.1f} s"
        if state == "done":
            line = f"done in {seconds}"
        else:
            figures = "".join(f", {_heading(k)} {v}" for k, v in self.figures.items())
            stopped = "stopped after " if state == "stopped" else ""
            line = f"{stopped}{self.done} of {self.total} steps, {seconds}{figures}"
            line += f" · {html.escape(self.detail)}" if self.detail else ""
        value = self.total if state == "done" else self.done
        meter = f'<progress max="{self.total}" value="{value}"></progress>'
        return f"<div>{html.escape(self.title)} {meter} {line}</div>{_table(self.rows)}"


class _InnerBar(Bar):
    """A line within another bar's widget."""

    def __init__(self, title: str, total: int, outer: _NotebookBar):
        super().__init__(title, total)
        self.outer = outer

    def step(self, n: int = 1, **figures: float) -> None:
        super().step(n, **figures)
        self.outer.detail = f"{self.title}, {self.done} of {self.total}"
        self.outer.step(0)

    def close(self, ending: str) -> None:
        self.outer.detail = ""


def _heading(name: str) -> str:
    """A column's name, as people write it: "LR" for "lr", "train loss" for "train_loss"."""
    return "LR" if name == "lr" else name.replace("_", " ")


def _cell(name: str, value: Any) -> str:
    """A value as text; what it measures decides the digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1e}" if name == "lr" else f"{value:.{1 if name == 'seconds' else 3}f}"


def _table(rows: list[dict]) -> str:
    if not rows:
        return ""
    style = ' style="text-align: right; padding: 0 0.8em"'
    head = "".join(f'<th scope="col"{style}>{html.escape(_heading(name))}</th>' for name in rows[0])
    body = ""
    for row in rows:
        cells = (html.escape(_cell(name, value)) for name, value in row.items())
        body += "<tr>" + "".join(f"<td{style}>{text}</td>" for text in cells) + "</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
