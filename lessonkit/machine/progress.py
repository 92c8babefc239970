"""Progress of something that takes a while: a bar with figures, and a table of the epochs.

Three ways to show it: a widget in a notebook, tqdm in a terminal, and, where nobody watches (a
pipe, a log of automatic tests), lines alone. What a notebook stores is only the title, which is
the same on every machine; seconds appear nowhere but inside the widget. Of work that a cache may
save, it stores nothing: whether that was done must not change what the notebook says.
"""

import html
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

__all__ = ["bar", "note", "quiet", "say"]

UPDATES_PER_SECOND = 10
SECONDS_A_LINE = 10.0  # in a terminal, for the epochs within a longer piece of work
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_outer: ContextVar["Bar | None"] = ContextVar("outer", default=None)


@contextmanager
def bar(title: str, total: int, cached: bool = False) -> Iterator["Bar"]:
    """Show how far something of `total` steps is, while the `with` block runs.

    `cached` work is done the first time only: its title isn't stored in a notebook. The block gets
    an object with `step(n=1, **figures)`, such as step(loss=0.5, lr=1e-2); with `stage(name)`,
    which says what comes next; and with `row(dict)`, which adds a line to the table below. Ended by
    an error or Ctrl-C, it says so. A bar inside another one's block is a few words in that one's
    widget, or a second bar in the terminal, which keeps its last row and few others.
    """
    outer = _outer.get()
    shown = _new_bar(title, total, cached, outer)
    token = _outer.set(outer or shown)
    try:
        yield shown
    except BaseException:
        shown.show("stopped")
        raise
    else:
        shown.show("done")
    finally:
        _outer.reset(token)


@contextmanager
def quiet() -> Iterator[None]:
    """Show no bars and no tables while the `with` block runs."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def say(text: str, file: TextIO | None = None) -> None:
    """Print a sentence, above the bars if there are any."""
    if _in_notebook():
        print(text, file=file)
    else:
        from tqdm import tqdm

        tqdm.write(text, file=file)


def note(text: str) -> None:
    """Say what concerns the caller of a single call, and is of no use within another one's bar."""
    if _outer.get() is None:
        say(text)


def _new_bar(title: str, total: int, cached: bool, outer: "Bar | None") -> "Bar":
    if _quiet.get():
        return Bar(title, total)
    if isinstance(outer, _NotebookBar):
        return _InnerBar(title, total, outer)
    if _in_notebook():
        return _NotebookBar(title, total, cached)
    return _TerminalBar(title, total, is_inner=outer is not None)


def _in_notebook() -> bool:
    """Is this a Jupyter kernel? IPython is not imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "ZMQInteractiveShell" in [kind.__name__ for kind in type(shell).__mro__]


class Bar:
    """Shows nothing; the ways to show something build on it."""

    def __init__(self, title: str, total: int):
        self.title, self.total, self.done, self.about = title, total, 0, ""
        self.figures: dict[str, float] = {}

    def step(self, n: int = 1, **figures: float) -> None:
        """`n` more steps are done; `figures` are shown beside the bar."""
        self.done, self.figures = self.done + n, figures

    def stage(self, name: str) -> None:
        """What follows is about `name`."""
        self.about = name

    def row(self, row: dict[str, Any]) -> None:
        """Add a line to the table; its keys are the columns."""

    def show(self, state: str) -> None:
        """Show that it is "done" or "stopped", at the end; or still "running"."""


class _TerminalBar(Bar):
    """A tqdm bar if a terminal shows it, and lines for a log, all on stderr."""

    def __init__(self, title: str, total: int, is_inner: bool):
        from tqdm import tqdm

        super().__init__(title, total)
        self.is_inner, self.untold, self.told_at = is_inner, {}, time.monotonic()
        watched = sys.stderr.isatty()
        self.tqdm = tqdm(total=total, desc=title, file=sys.stderr, leave=False, disable=not watched)

    def step(self, n: int = 1, **figures: float) -> None:
        super().step(n, **figures)
        self.tqdm.set_postfix_str(_words(figures), refresh=False)
        self.tqdm.update(n)

    def stage(self, name: str) -> None:
        super().stage(name)
        say(name, sys.stderr)

    def row(self, row: dict[str, Any]) -> None:
        self.untold = row
        if not self.is_inner or time.monotonic() - self.told_at >= SECONDS_A_LINE:
            self._tell()

    def show(self, state: str) -> None:
        self.tqdm.close()
        self._tell()
        if state == "stopped":
            say(f"{self.title}: stopped after {self.done} of {self.total} steps", sys.stderr)

    def _tell(self) -> None:
        if self.untold:
            say("   " * (self.is_inner or bool(self.about)) + _words(self.untold), sys.stderr)
            self.untold, self.told_at = {}, time.monotonic()


class _NotebookBar(Bar):
    """A widget with a bar, seconds and the table; as text it is its title, or nothing if cached."""

    def __init__(self, title: str, total: int, cached: bool = False):
        import ipywidgets
        from IPython.display import display

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
            told = [_words(self.figures), self.about, self.inner]
            line = f"{stopped}{self.done} of {self.total} steps, {seconds}"
            line = " · ".join([line, *filter(None, told)])
        meter = f'<progress max="{self.total}" value="{value}"></progress>'
        words = f"<div>{html.escape(self.title)} {meter} {html.escape(line)}</div>"
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


def _words(figures: dict[str, Any]) -> str:
    return ", ".join(f"{_heading(name)} {_cell(name, value)}" for name, value in figures.items())


def _heading(name: str) -> str:
    """As people write it: "LR" for "lr", "train loss" for "train_loss"."""
    return "LR" if name == "lr" else name.replace("_", " ")


def _cell(name: str, value: Any) -> str:
    """A value as text; what it measures decides the digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1e}" if name == "lr" else f"{value:.{1 if name == 'seconds' else 3}f}"


def _table(rows: list[dict]) -> str:
    style = ' style="text-align: right; padding: 0 0.8em"'
    head = "".join(f'<th scope="col"{style}>{html.escape(_heading(name))}</th>' for name in rows[0])
    lines = [[html.escape(_cell(name, value)) for name, value in row.items()] for row in rows]
    body = "".join(f"<tr><td{style}>{f'</td><td{style}>'.join(line)}</td></tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
