"""Progress of something that takes a while: a bar with figures, and a table of the epochs.

Three ways to show it: a widget in a notebook, tqdm in a terminal, and, where nobody watches (a
pipe, a log of automatic tests), lines alone. What a notebook stores is only the title, which is
the same on every machine; seconds appear nowhere but inside the widget. Of work that a cache may
save, it stores nothing: whether that was done must not change what the notebook says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from lessonkit.machine import bars
from lessonkit.machine.bars import Bar, say

__all__ = ["bar", "note", "quiet", "say"]

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


def note(text: str) -> None:
    """Say what concerns the caller of a single call, and is of no use within another one's bar."""
    if _outer.get() is None:
        say(text)


def _new_bar(title: str, total: int, cached: bool, outer: Bar | None) -> Bar:
    if _quiet.get():
        return Bar(title, total)
    if bars.in_notebook():
        from lessonkit.machine import notebook_bar  # and with it widgets: a script needs none

        return notebook_bar.new_bar(title, total, cached, outer)
    from lessonkit.machine import terminal_bar

    return terminal_bar.new_bar(title, total, is_inner=outer is not None)
