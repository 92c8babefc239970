"""A bar in a terminal, by tqdm; where nobody watches, as in a log, only lines for the epochs."""

import sys
import time
from typing import Any

from tqdm import tqdm

from lessonkit.machine.bars import Bar, as_words, say

__all__ = ["new_bar"]

SECONDS_A_LINE = 10.0  # for the epochs within a longer piece of work


def new_bar(title: str, total: int, is_inner: bool) -> Bar:
    """A bar for `total` steps; `is_inner` if it is shown within another one's block."""
    return _TerminalBar(title, total, is_inner)


class _TerminalBar(Bar):
    """A tqdm bar if a terminal shows it, and lines for a log, all on stderr."""

    def __init__(self, title: str, total: int, is_inner: bool):
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
