"""What every way to show progress has in common: where it is, in a notebook or not, and figures."""

import sys
from typing import Any, TextIO

__all__ = ["Bar", "as_cell", "as_heading", "as_words", "in_notebook", "say"]


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


def say(text: str, file: TextIO | None = None) -> None:
    """Print a sentence, above the bars if there are any."""
    if in_notebook():
        print(text, file=file)
    else:
        from tqdm import tqdm

        tqdm.write(text, file=file)


def in_notebook() -> bool:
    """Is this a Jupyter kernel? IPython is not imported to find out."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "ZMQInteractiveShell" in [kind.__name__ for kind in type(shell).__mro__]


def as_words(figures: dict[str, Any]) -> str:
    """All in a line: "loss 0.512, LR 1.0e-02"."""
    return ", ".join(f"{as_heading(name)} {as_cell(name, one)}" for name, one in figures.items())


def as_heading(name: str) -> str:
    """As people write it: "LR" for "lr", "train loss" for "train_loss"."""
    return "LR" if name == "lr" else name.replace("_", " ")


def as_cell(name: str, value: Any) -> str:
    """A value as text; what it measures decides the digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1e}" if name == "lr" else f"{value:.{1 if name == 'seconds' else 3}f}"
