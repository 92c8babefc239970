"""What a notebook asks for as `quiz`: checked numbers, guesses, exercises, and the closing quiz.

    quiz.roughly(accuracy, 0.86, within=0.04, what="accuracy")   what was measured, what is expected
    quiz.guess("01.loss", "The loss after two epochs?")          a guess, to be typed
    quiz.check("02.1", answer)   quiz.hint("02.1")               an exercise that answers back
    quiz.multiple_choice("02")                                   the closing quiz
    quiz.progress()                                              what the reader has solved

The exercises stand beside this file in notebook_NN.py, built from `number`, `choice`, `function`
and `training`. Each has a judge: a function that takes the reader's answer and returns a Verdict.
The closing quizzes stand beside them, in notebook_NN.md.
"""

import importlib
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

from lessonkit.course.board import Board
from lessonkit.course.exercises import questions, solved
from lessonkit.course.exercises.guesses import guess
from lessonkit.course.exercises.judges import Exercise, Judge, Verdict, choice, function, number
from lessonkit.course.exercises.questions import Option, Question
from lessonkit.course.exercises.roughly import Drifted, roughly

__all__ = [
    "Drifted", "Exercise", "Judge", "Option", "Question", "Verdict", "all_exercises",
    "check", "choice", "closing_questions", "function", "guess", "hint", "judge", "multiple_choice",
    "number", "progress", "roughly",
]  # fmt: skip

HERE = Path(__file__).parent
WIDTH = 92  # characters a line

_misses: dict[str, list[Any]] = {}  # wrong answers in this session, by exercise
_hinted: set[str] = set()  # exercises whose first hint was asked for


# --- Exercises ----------------------------------------------------------------------------------


def check(exercise: str, answer: Any = ...) -> None:
    """Print what the answer to an exercise such as "02.1" is worth, and why; and keep it.

    `...` and None count as not answered yet. From the second wrong answer on, a stronger hint
    follows. Raises ValueError for an unknown exercise.
    """
    status, message = judge(exercise, answer)
    marks = {"waiting": f"{exercise} ", "wrong": f"✗ {exercise}: ", "right": f"✓ {exercise}: "}
    _say(marks[status] + message)
    if status == "waiting":
        return
    if status == "wrong":
        misses = _misses.setdefault(exercise, [])
        misses.append(answer)
        if len(misses) > 1:
            _say(f"Hint: {_exercise(exercise).stronger(misses)}")
    try:
        solved.record(exercise, answer, status == "right")
    except OSError as error:
        _say(f"(Your answer can't be kept: {error})")


def hint(exercise: str) -> None:
    """Print a hint for an exercise; asked a second time, a stronger one."""
    found = _exercise(exercise)
    again = exercise in _hinted
    _say(f"Hint: {found.stronger(_misses.get(exercise, [])) if again else found.hint}")
    _hinted.add(exercise)


def judge(exercise: str, answer: Any) -> Verdict:
    """The verdict that `check` prints. Raises ValueError for an unknown exercise."""
    found = _exercise(exercise)
    if answer is None or answer is ...:
        return Verdict("waiting", "waits for your answer.")
    return found.judge(answer)


def all_exercises() -> dict[str, list[str]]:
    """The names of all exercises, by notebook: {"00": ["00.1", ...], ...}."""
    numbers = sorted(path.stem[-2:] for path in HERE.glob("notebook_*.py"))
    return {number: sorted(_content(number).EXERCISES) for number in numbers}


def progress() -> Board:
    """What the reader has solved, as a table that a button brings up to date."""

    def page() -> str:
        return f"<pre>{solved.table(all_exercises())}</pre>"

    return Board("exercises: what you have solved", page, "Show", "What you have solved so far")


def _say(text: str) -> None:
    print(textwrap.fill(text, WIDTH, break_on_hyphens=False))


def _exercise(name: str) -> Exercise:
    exercises = _content(name).EXERCISES
    if name not in exercises:
        raise ValueError(f"There is no exercise {name!r}, only {', '.join(sorted(exercises))}.")
    return exercises[name]


def _content(name: str) -> ModuleType:
    """The exercise file of the notebook that `name`, such as "02" or "02.1", begins with."""
    if not isinstance(name, str) or not re.match(r"\d\d(\.|$)", name):
        raise ValueError(f'A notebook\'s name here is "02", an exercise\'s "02.1", not {name!r}.')
    module = f"lessonkit.course.exercises.notebook_{name[:2]}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"There is no notebook {name[:2]} with exercises.") from None


# --- The closing quiz ---------------------------------------------------------------------------


def multiple_choice(notebook: str, silent: bool = False) -> Any:
    """The closing quiz of a notebook, such as "02": a `radio_quiz.Quiz`, `silent` or not.

    Raises ValueError if there is none.
    """
    from lessonkit.course.exercises.radio_quiz import Quiz  # exercises need no widgets

    return Quiz(notebook, closing_questions(notebook), silent)


def closing_questions(notebook: str) -> list[questions.Question]:
    """What the closing quiz of a notebook asks; ValueError if there is none."""
    file = HERE / f"notebook_{notebook}.md"
    if not file.is_file():
        raise ValueError(f"Notebook {notebook} has no quiz.")
    return questions.read(file)
