"""How the figures of a training are written: in a line of words, or in the cells of a table."""

from typing import Any

__all__ = ["as_cell", "as_heading", "as_words"]


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
