"""What may be wrong with each patient of the clinic, and the sign that speaks for or against it.

All stand in suspects.md, to be read, like the patients themselves, after you have made your own
diagnosis. Of each patient the first diagnosis is kept, in diagnoses.json on the reader's disk:
{patient's number: the option chosen, in words}.
"""

import html
from pathlib import Path

from lessonkit.course import records
from lessonkit.course.board import Board
from lessonkit.course.clinic.patients import checked
from lessonkit.course.exercises import questions
from lessonkit.course.exercises.questions import Option, Question
from lessonkit.course.exercises.radio_quiz import Quiz

__all__ = ["SUSPECTS", "diagnose", "first_diagnoses", "forget", "score"]

NAME = "diagnoses"

QUESTIONS = dict(enumerate(questions.read(Path(__file__).with_name("suspects.md")), 1))
SUSPECTS = {number: question.options for number, question in QUESTIONS.items()}


def diagnose(number: int) -> Quiz:
    """What is wrong with patient `number`? Ask, and say which sign speaks for or against it.

    Raises ValueError for a patient that there isn't.
    """
    asked = Quiz(f"patient {checked(number)}", [QUESTIONS[number]])

    def with_choice(question: Question, option: Option) -> dict[str, str]:
        return {str(number): option.text} | _read()  # the first diagnosis stays

    asked.keep(NAME, "Your diagnosis", with_choice)
    return asked


def first_diagnoses() -> dict[int, tuple[str, bool]]:
    """Of each patient that was diagnosed, the first diagnosis, and whether it was right."""
    found, kept = {}, _read()
    for number, options in SUSPECTS.items():
        right = {option.text: option.right for option in options}
        if (text := kept.get(str(number))) in right:
            found[number] = text, right[text]
    return found


def forget() -> None:
    """Delete all that was kept, to begin the clinic anew."""
    records.forget(NAME)


def score() -> Board:
    """A widget with your first diagnosis of each patient, and how many of them were right."""
    return Board("your diagnoses, counted", _page, "Count", "Count your diagnoses so far")


def _read() -> dict[str, str]:
    return records.read(NAME, {str: str}, {})


def _page() -> str:
    found = first_diagnoses()
    lines = [
        f'<tr><th scope="row">patient {n}</th><td>{html.escape(text)}</td>'
        f"<td>{'✓' if right else '✗'}</td></tr>"
        for n, (text, right) in found.items()
    ]
    said = f"{sum(right for _, right in found.values())} of {len(SUSPECTS)} right at the first go"
    left = len(SUSPECTS) - len(found)
    said += f", {left} not diagnosed yet." if left else "."
    return f"<p><b>{said}</b></p><table>{''.join(lines)}</table>"
