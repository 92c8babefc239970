"""Questions with radio buttons, and the same as a page for readers without a kernel."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from lessonkit.course.exercises.questions import Option, Question

__all__ = ["ANSWERS", "HERE", "Quiz"]

HERE = Path(__file__).parent
ANSWERS = "Answers"  # what opens them, where no JavaScript runs


class Quiz(anywidget.AnyWidget):
    """Questions with radio buttons, each choice answered at once, with the reason.

    `chosen` has for each question the number of the option chosen, or None. One that is `silent`
    keeps what is right to itself, as a test does that is taken again later. `problem`, a sentence,
    is shown below. Without a kernel it is text with the answers folded away, which the course's web
    pages make a quiz again (site/quizzes.py).
    """

    _esm = HERE / "quiz.js"
    _css = HERE / "quiz.css"
    asked = traitlets.List().tag(sync=True)  # what the JavaScript shows
    chosen = traitlets.List().tag(sync=True)
    silent = traitlets.Bool(False).tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)

    def __init__(self, name: str, questions: Sequence[Question]):
        self.name, self.questions = name, list(questions)
        super().__init__(chosen=[None] * len(self.questions))
        self._ask()

    @traitlets.observe("silent")
    def _ask(self, change: dict | None = None) -> None:
        self.asked = [_shown(question, self.silent) for question in self.questions]

    def __repr__(self) -> str:
        n = len(self.questions)
        return f"quiz {self.name}: {n} question{'s' if n != 1 else ''}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        bundle = super()._repr_mimebundle_(**kwargs)
        bundle = dict(bundle[0] if isinstance(bundle, tuple) else bundle or {})
        return bundle | {
            "text/plain": repr(self),
            "text/html": _as_page(self.questions, self.silent),
        }


def _shown(question: Question, silent: bool) -> dict[str, Any]:
    """A question as the JavaScript shows it, in HTML; a silent quiz's doesn't say what is right."""
    options = [
        {"text": _marked(option.text)}
        | ({} if silent else {"right": option.right, "said": _verdict(option)})
        for option in question.options
    ]
    return {"text": _marked(question.text), "options": options}


def _marked(text: str) -> str:
    """Text as HTML, `code` and *emphasis* included."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"(?<![\w*])\*(\w[^*<]*)\*(?!\w)", r"<em>\1</em>", text)


def _verdict(option: Option) -> str:
    return f"<b>{'✓ Right.' if option.right else '✗ Not so.'}</b> {_marked(option.why)}"


def _as_page(questions: Sequence[Question], silent: bool) -> str:
    """The quiz for viewers without a kernel."""
    parts = []
    for question in questions:
        options = "".join(f"<li>{_marked(option.text)}</li>" for option in question.options)
        answers = "".join(f"<li>{_verdict(option)}</li>" for option in question.options)
        folded = f'<details><summary>{ANSWERS}</summary><ol type="a">{answers}</ol></details>'
        parts.append(
            f'<p>{_marked(question.text)}</p><ol type="a">{options}</ol>{"" if silent else folded}'
        )
    return parts[0] if len(parts) == 1 else f"<ol><li>{'</li><li>'.join(parts)}</li></ol>"
