"""Questions with radio buttons: the closing quizzes, the clinic's diagnoses, guesses at verdicts.

Most are written in Markdown, to be read and changed like any page of text: a heading asks, the
ticked box is right, and the lines below an option tell whoever chooses it why.

    ## Where does the LR of cosine annealing fall fastest?

    - [ ] At the start.
      There it is flat.
    - [x] In the middle.
      Both ends are flat.
"""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Option", "Question", "Quiz", "read"]


class Option(NamedTuple):
    """A possible answer, and what is said to the reader who chooses it."""

    text: str
    right: bool
    why: str


class Question(NamedTuple):
    """A question with its options, of which one or more are right.

    `code` is shown as code, but for the options beside radio buttons, which take plain text, one
    line each: keep them under 90 characters.
    """

    text: str
    options: list[Option]


def read(file: Path) -> list[Question]:
    """The questions of a Markdown file; ValueError for one without options, or without a reason."""
    questions = []
    for block in re.split(r"^## ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        asked, *parts = re.split(r"^- \[([ x])\] ", block, flags=re.MULTILINE)
        options = []
        for mark, lines in zip(parts[::2], parts[1::2], strict=True):
            text, _, why = lines.partition("\n")
            options.append(Option(text, mark == "x", " ".join(why.split())))
        question = Question(" ".join(asked.split()), options)
        if not options or not all(option.why for option in options):
            raise ValueError(
                f"{file.name}, {question.text!r}: a question has options, each in a line that "
                "begins with - [ ] or - [x], and below each of them the reason."
            )
        questions.append(question)
    return questions


class Quiz:
    """Questions with radio buttons; without a kernel, as text with the answers folded away.

    One that is `silent` keeps what is right to itself, as a test does that is taken again later.
    """

    silent = False

    def __init__(self, name: str, questions: Sequence[Question]):
        import ipywidgets

        self.name, self.questions = name, list(questions)
        self.score = ipywidgets.HTML()
        self.radios, self.answers, parts = [], [], []
        for place, question in enumerate(self.questions, 1):
            radio = ipywidgets.RadioButtons(
                options=[option.text for option in question.options],
                value=None,
                layout=ipywidgets.Layout(width="auto"),
                tooltip=question.text,
            )
            radio.observe(self._explain, names="index")
            self.radios.append(radio)
            self.answers.append(ipywidgets.HTML())
            number = f"{place}. " if len(self.questions) > 1 else ""
            heading = ipywidgets.HTML(f"<b>{number}{_marked(question.text)}</b>")
            parts += [heading, radio, self.answers[-1]]
        self.widget = ipywidgets.VBox([*parts, self.score])

    def _explain(self, change: dict | None = None) -> None:
        right = 0
        for question, radio, answer in zip(self.questions, self.radios, self.answers, strict=True):
            if radio.index is not None:
                chosen = question.options[radio.index]
                right += chosen.right
                said = "Kept." if self.silent else _verdict(chosen)
                answer.value = f'<p role="status">{said}</p>'
        n = len(self.questions)
        if n > 1 and not self.silent:
            self.score.value = f'<p role="status">{right} of {n} right so far.</p>'

    def __repr__(self) -> str:
        n = len(self.questions)
        return f"quiz {self.name}: {n} question{'s' if n != 1 else ''}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        bundle = dict(self.widget._repr_mimebundle_(**kwargs))
        return bundle | {
            "text/plain": repr(self),
            "text/html": _as_page(self.questions, self.silent),
        }


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
        folded = f'<details><summary>Answers</summary><ol type="a">{answers}</ol></details>'
        parts.append(
            f'<p>{_marked(question.text)}</p><ol type="a">{options}</ol>{"" if silent else folded}'
        )
    return parts[0] if len(parts) == 1 else f"<ol><li>{'</li><li>'.join(parts)}</li></ol>"
