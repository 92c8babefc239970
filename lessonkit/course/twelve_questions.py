"""The test of the whole course, taken twice: before the first notebook and after the last one.

The questions stand with notebook 00. What is right is told only the second time: else that would
measure how well you remember being told. Of each question your first choice is kept, on your disk
only, in twelve_questions.json: {"first": {question: the option chosen}, "again": {...}}, in words.
"""

from typing import Any

from lessonkit.course import records
from lessonkit.course.board import Board
from lessonkit.course.exercises import quiz
from lessonkit.course.exercises.questions import Option, Question
from lessonkit.course.exercises.radio_quiz import Quiz

__all__ = ["TOPICS", "again", "compare", "first", "forget", "results"]

TOPICS = [
    "notation of learning rates",
    "a learning rate too high",
    "the LR finder",
    "reading the finder's curve",
    "after unfreezing",
    "augmenting digits",
    "augmenting satellite tiles",
    "precompute",
    "earlier layers",
    "annealing",
    "cycles",
    "test-time augmentation",
]
NAME = "twelve_questions"
TIMES = ("first", "again")  # in notebook 00, in notebook 10


def first() -> Quiz:
    """The test as notebook 00 has it, when nobody is told what is right.

    The first choice in each question is kept as it is made, and stays; `forget()` starts anew.
    """
    return _remembered("first")


def again() -> Quiz:
    """The same questions once more, for notebook 10, with the answers."""
    return _remembered("again")


def _remembered(time: str) -> Quiz:
    asked = quiz.multiple_choice("00", silent=time == "first")

    def with_choice(question: Question, option: Option) -> dict:
        kept = _read()
        kept.setdefault(time, {}).setdefault(question.text, option.text)
        return kept

    asked.keep(NAME, "Your answers", with_choice)
    return asked


def results() -> list[dict[str, Any]]:
    """For each question its "topic", and under "first" and "again" whether it was answered rightly.

    True, False, or None where no answer was kept.
    """
    kept, table = _read(), []
    for topic, question in zip(TOPICS, quiz.closing_questions("00"), strict=True):
        right = {option.text: option.right for option in question.options}
        chosen = {time: kept.get(time, {}).get(question.text) for time in TIMES}
        table.append({"topic": topic} | {time: right.get(chosen[time]) for time in TIMES})
    return table


def forget() -> None:
    """Delete all that was kept."""
    records.forget(NAME)


def compare() -> Board:
    """A widget with what you answered in notebook 00 and in notebook 10, by topic."""
    name = "the twelve questions, then and now"
    return Board(name, _page, "Compare", "Show what you have answered so far")


def _read() -> dict[str, dict[str, str]]:
    return records.read(NAME, {str: {str: str}}, {})


def _page() -> str:
    table = results()
    words = {True: "✓ right", False: "✗ wrong", None: "no answer", "kept": "kept"}
    lines = []
    for row in table:
        if row["again"] is None and row["first"] is not None:
            row["first"] = "kept"  # whether it was right would tell what is
        cells = "".join(f"<td>{words[row[time]]}</td>" for time in TIMES)
        lines.append(f'<tr><th scope="row">{row["topic"]}</th>{cells}</tr>')
    told = [[row[time] for row in table if row[time] in (True, False)] for time in TIMES]
    sums = [f"{sum(answers)} of {len(answers)}" if answers else "–" for answers in told]
    last = "".join(f"<td><b>{text}</b></td>" for text in sums)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("topic", "notebook 00", "now"))
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}"
        f'<tr><th scope="row">right</th>{last}</tr></tbody></table>'
    )
