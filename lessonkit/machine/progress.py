"""Progress of something that takes a while: a bar with figures, and a table of the epochs.

Three ways to show it: a widget in a notebook, tqdm in a terminal, and, where nobody watches (a
pipe, a log of automatic tests), lines alone. What a notebook stores is only the title, which is
the same on every machine; seconds appear nowhere but inside the widget. Of work that a cache may
save, it stores nothing: whether that was done must not change what the notebook says.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from lessonkit.machine.bars import Bar, as_words

__all__ = ["bar", "note", "quiet", "say"]

SECONDS_A_LINE = 10.0  # in a terminal, for the epochs within a longer piece of work
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
_outer: ContextVar[Bar | None] = ContextVar("outer", default=None)


@contextmanager
def bar(title: str, total: int, cached: bool = False) -> Iterator[Bar]:
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


def _new_bar(title: str, total: int, cached: bool, outer: Bar | None) -> Bar:
    if _quiet.get():
        return Bar(title, total)
    if _in_notebook():
        from lessonkit.machine import notebook_bar  # and with it widgets: a script needs none

        return notebook_bar.new_bar(title, total, cached, outer)
    return _TerminalBar(title, total, is_inner=outer is not None)


def _in_notebook() -> bool:
    """Is this a Jupyter kernel? IPython is not imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "ZMQInteractiveShell" in [kind.__name__ for kind in type(shell).__mro__]


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
        self.tqdm.set_postfix_str(as_words(figures), refresh=False)
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
            say("   " * (self.is_inner or bool(self.about)) + as_words(self.untold), sys.stderr)
            self.untold, self.told_at = {}, time.monotonic()
