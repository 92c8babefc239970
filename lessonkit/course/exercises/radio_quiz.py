"""Questions with radio buttons, and the same as a page for readers without a kernel."""

import html
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from lessonkit.course import records
from lessonkit.course.exercises.questions import Option, Question

__all__ = ["ANSWERS", "HERE", "Quiz"]

HERE = Path(__file__).parent
ANSWERS = "<summary>Answers</summary>"  # what opens them, where no JavaScript runs


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
    silent = traitlets.Bool(read_only=True).tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)

    def __init__(self, name: str, questions: Sequence[Question], silent: bool = False):
        self.name, self.questions = name, list(questions)
        self._kept: Callable[[Question, Option], None] = lambda question, option: None
        self.set_trait("silent", silent)
        asked = [_shown(question, silent) for question in self.questions]
        super().__init__(asked=asked, chosen=[None] * len(self.questions))
        # Each choice is a message of its own: of a trait that changes twice while the kernel is
        # busy only the last value would arrive, and not the reader's first choice.
        self.on_msg(lambda quiz, message, buffers: self.choose(**message))

    def choose(self, question: int, option: int) -> None:
        """Choose an option of a question, by their numbers, as a click does."""
        self.chosen = [*self.chosen[:question], option, *self.chosen[question + 1 :]]
        asked = self.questions[question]
        self._kept(asked, asked.options[option])

    def keep(self, name: str, what: str, add: Callable[[Question, Option], dict]) -> None:
        """Have the record `name` become `add(question, option)` whenever an option is chosen.

        `what`, such as "Your answers", is named in `problem` where it can't be written.
        """

        def write(question: Question, option: Option) -> None:
            try:
                records.write(name, add(question, option))
                self.problem = ""
            except OSError as error:
                self.problem = f"{what} can't be kept: {error}"

        self._kept = write

    @traitlets.validate("chosen")
    def _possible(self, proposed: dict[str, Any]) -> list[int | None]:
        ranges = [range(len(question.options)) for question in self.questions]
        chosen = proposed["value"]
        if len(chosen) != len(ranges) or not all(
            option is None or option in options
            for option, options in zip(chosen, ranges, strict=True)
        ):
            raise traitlets.TraitError(
                f"chosen has for each of the {len(ranges)} questions the number of an option, from "
                f"0 on, or None, unlike {chosen}."
            )
        return [None if option is None else int(option) for option in chosen]

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
        folded = f'<details>{ANSWERS}<ol type="a">{answers}</ol></details>'
        parts.append(
            f'<p>{_marked(question.text)}</p><ol type="a">{options}</ol>{"" if silent else folded}'
        )
    return parts[0] if len(parts) == 1 else f"<ol><li>{'</li><li>'.join(parts)}</li></ol>"
