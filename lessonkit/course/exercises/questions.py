"""Questions with several answers: the closing quizzes, the clinic's diagnoses, guesses at verdicts.

Most are written in Markdown, to be read and changed like any page of text: a heading asks, the
ticked box is right, and the lines below an option tell whoever chooses it why.

    ## Where does the LR of cosine annealing fall fastest?

    - [ ] At the start.
      There it is flat.
    - [x] In the middle.
      Both ends are flat.
"""

import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["Option", "Question", "read"]


class Option(NamedTuple):
    """A possible answer, and what is said to the reader who chooses it."""

    text: str
    right: bool
    why: str


class Question(NamedTuple):
    """A question with its options, of which one or more are right.

    All of them may have `code` and *emphasis*.
    """

    text: str
    options: list[Option]


def read(file: Path) -> list[Question]:
    """The questions of a Markdown file; ValueError without options, reasons, or a right one."""
    questions = []
    for block in re.split(r"^## ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        asked, *parts = re.split(r"^- \[([ xX])\] ", block, flags=re.MULTILINE)
        options = []
        for mark, lines in zip(parts[::2], parts[1::2], strict=True):
            text, _, why = lines.partition("\n")
            options.append(Option(text, mark in "xX", " ".join(why.split())))
        question = Question(" ".join(asked.split()), options)
        if not options or not all(option.why for option in options):
            raise ValueError(
                f"{file.name}, {question.text!r}: a question has options, each in a line that "
                "begins with - [ ] or - [x], and below each of them the reason."
            )
        if not any(option.right for option in options):
            raise ValueError(f"{file.name}, {question.text!r}: no box is ticked, as - [x].")
        questions.append(question)
    return questions
