"""Guesses: typed before a cell is run, shown beside what it measures.

    loss = quiz.guess("01.loss", "The loss after two epochs at LR 0.1?")   # in a cell of its own
    loss

    loss.beside(measured)                                                  # under the picture

Both are widgets whose stored text is fixed, so a notebook is the same whatever anybody guesses.
Guesses are kept in the reader's records as they were typed: {"01.loss": "0.5", ...}.
"""

import html
import math
from typing import Any

from lessonkit.course import records
from lessonkit.course.board import Shown
from lessonkit.course.exercises.roughly import one_number, with_point

__all__ = ["Beside", "Guess", "guess"]

NAME = "guesses"


class Guess(Shown):
    """A question with a field for a number."""

    def __init__(self, name: str, question: str):
        import ipywidgets

        from lessonkit.course.said import Said

        self.key, self.name = name, f"your guess: {question}"
        # A label that is seen: a tooltip alone is no name for everybody.
        self.field = ipywidgets.Text(
            description="number", placeholder="then Enter", tooltip=question,
            continuous_update=False, style={"description_width": "initial"},
            layout={"width": "auto", "max_width": "26em"},
        )  # fmt: skip
        self.note = Said()
        kept = ""
        try:
            kept = _read().get(name, "")
        except OSError as error:
            self.note.value = f"Your guesses can't be read: {html.escape(str(error))}"
        if _number(kept) is not None:
            self.field.value = kept
        self.field.observe(self._keep, names="value")
        title = ipywidgets.HTML(f"<b>Your guess:</b> {html.escape(question)}")
        self.widget = ipywidgets.VBox([title, self.field, self.note])

    @property
    def value(self) -> float | None:
        """The number that was typed; None if there is none."""
        return _number(self.field.value)

    def beside(self, measured: Any) -> "Beside":
        """A line with the guess and what was `measured`; it follows when the guess is changed."""
        return Beside(self, measured)

    def _keep(self, change: dict) -> None:
        wrong = self.field.value.strip() and self.value is None
        self.note.value = "That is no number: write it like 0.3 or 1e-2." if wrong else ""
        if wrong:  # an earlier guess stays
            return
        try:
            records.write(NAME, _read() | {self.key: self.field.value})
        except OSError as error:
            self.note.value = f"Your guess can't be kept: {html.escape(str(error))}"


class Beside(Shown):
    """What was measured, beside what was guessed."""

    name = "your guess beside what was measured"

    def __init__(self, guess: Guess, measured: Any):
        import ipywidgets

        from lessonkit.course.said import Said

        self.guess, self.measured = guess, one_number(measured)
        self.line = Said()
        self.widget = ipywidgets.VBox([self.line])
        guess.field.observe(self._show, names="value")
        self._show()

    def _show(self, change: dict | None = None) -> None:
        guessed, measured = self.guess.value, self.measured
        shown = f"{measured:.3g}"
        if guessed is None:
            text = f"Measured: <b>{shown}</b>. (No guess yet: it can still be typed above.)"
        else:
            how = _how(guessed, measured)
            text = f"You guessed <b>{guessed:g}</b>, measured: <b>{shown}</b>. {how}"
        self.line.value = f"<p>{text}</p>"


def guess(name: str, question: str) -> Guess:
    """A field to type a number into; what was typed is kept.

    `name` is the notebook's number and a word, such as "01.loss", and occurs once in the course.
    """
    return Guess(name, question)


def _how(guessed: float, measured: float) -> str:
    if math.isnan(measured):
        return ""
    if guessed == measured:
        return "✓"
    if min(guessed, measured) > 0:
        ratio = max(guessed, measured) / min(guessed, measured)
        times = f"{ratio:.2g} times" if ratio < 99.5 else "far"
        way = "high" if guessed > measured else "low"
        return "Close." if ratio < 1.1 else f"{times} too {way}.".capitalize()
    return f"Off by {abs(guessed - measured):.2g}."


def _read() -> dict[str, str]:
    return records.read(NAME, {str: str}, {})


def _number(text: str) -> float | None:
    try:
        number = float(with_point(text.strip()))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
