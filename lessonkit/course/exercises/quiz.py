"""Numbers that are checked on every machine, exercises that answer back, and closing quizzes.

What a notebook prints here is the same wherever it runs: `roughly` prints its arguments only, and
an exercise its fixed texts, so stored outputs can be compared although measurements vary.

The exercises stand beside this file in notebook_NN.py, built from `number`, `choice` and `function`
below. Each makes a judge: a function that takes the reader's answer and returns a Verdict.
"""

import copy
import html
import importlib
import math
import numbers
import re
import reprlib
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Drifted",
    "Option",
    "Question",
    "Verdict",
    "check",
    "choice",
    "function",
    "judge",
    "multiple_choice",
    "number",
    "roughly",
]

WIDTH = 92  # characters a line


# --- Numbers ------------------------------------------------------------------------------------


class Drifted(AssertionError):
    """A measurement is not what the text beside it says."""

    def _render_traceback_(self) -> list[str]:
        return [f"Drifted: {self}"]  # IPython shows this sentence in place of a traceback


def roughly(
    value: Any,
    expected: float,
    within: float | None = None,
    factor: float | None = None,
    what: str = "",
) -> None:
    """Print `expected`, after making sure that `value` is close to it.

    `value` is a number or an array or tensor with a single one. Close means at most `within` away,
    or at most `factor` times larger or smaller; give one of the two. Raises Drifted, with the
    real value, if it is not close or not a number.
    """
    _need_one_tolerance(within, factor)
    measured = _one_number(value)
    if measured is None:
        raise TypeError(f"roughly compares single numbers; this is {_kind(value)}.")
    name = f"{what} " if what else ""
    bound = f"within a factor of {_short(factor)}" if factor else f"within {_short(within)}"
    if not _close(measured, expected, within, factor):
        raise Drifted(
            f"{name}is {measured:.5g}, where the text says {_short(expected)}, {bound}. "
            "Something that it depends on has changed: in a cell above, or in the training code."
        )
    print(f"{name}≈{_short(expected)}" + (f" ({bound})" if factor else ""))


def _need_one_tolerance(within: float | None, factor: float | None) -> None:
    if (within is None) == (factor is None):
        raise ValueError("Give either within=… or factor=…, and not both.")
    if (within is not None and not within >= 0) or (factor is not None and not factor >= 1):
        raise ValueError("within must not be negative, and factor must be at least 1.")


def _close(value: float, expected: float, within: float | None, factor: float | None) -> bool:
    rounding = 1e-6  # of float32: 0.9 counts as within 0.04 of 0.86
    if factor is not None:
        factor *= 1 + rounding
        return 1 / factor <= value / expected <= factor  # False for NaN
    return abs(value - expected) <= within + rounding * abs(expected)


def _one_number(value: Any) -> float | None:
    """`value` as a float if it is one number, in whatever wrapping, else None."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        return None
    try:
        plain = value.item() if hasattr(value, "item") else value
        return float(plain) if isinstance(plain, numbers.Real) else None
    except (TypeError, ValueError, RuntimeError):  # NumPy's and torch's for several elements
        return None


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None and not callable(shape):
        return f"an array of shape {list(shape)}"
    if callable(value):
        return "a function"
    words = {bool: "True or False", str: "a text", list: "a list", tuple: "a tuple", dict: "a dict"}
    return words.get(type(value), f"of type {type(value).__name__}")


def _short(value: float) -> str:
    return re.sub(r"e([+-])0*(\d)", r"e\1\2", f"{value:.10g}").replace("e+", "e")


# --- Exercises ----------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What an answer is worth: `status` is "waiting", "wrong" or "right"; `message` says why."""

    status: str
    message: str


Judge = Callable[[Any], Verdict]


def check(exercise: str, answer: Any = ...) -> None:
    """Print what the answer to an exercise such as "02.1" is worth, and why.

    `...` and None count as not answered yet. Raises ValueError for an unknown exercise.
    """
    status, message = judge(exercise, answer)
    marks = {"waiting": f"{exercise} ", "wrong": f"✗ {exercise}: ", "right": f"✓ {exercise}: "}
    print(textwrap.fill(marks[status] + message, WIDTH, break_on_hyphens=False))


def judge(exercise: str, answer: Any) -> Verdict:
    """The verdict that `check` prints. Raises ValueError for an unknown exercise."""
    judges = _content(exercise).EXERCISES
    if exercise not in judges:
        raise ValueError(f"There is no exercise {exercise!r}, only {', '.join(sorted(judges))}.")
    if answer is None or answer is ...:
        return Verdict("waiting", "waits for your answer.")
    return judges[exercise](answer)


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


def number(
    right: float | Callable[[], float],
    why: str,
    within: float | None = None,
    factor: float | None = None,
    wrong: dict[float, str] | None = None,
    hint: str = "Not this number. Read the part above once more.",
) -> Judge:
    """The answer is one number: `right`, or what `right()` returns when first asked.

    `wrong` gives the hint for each wrong number that a misconception leads to, `hint` that for all
    others. `within` or `factor` say how close is close, as in `roughly`; without either, equal up
    to rounding (1e-6 of the value).
    """
    if within is not None or factor is not None:
        _need_one_tolerance(within, factor)
    solution = cache(right) if callable(right) else lambda: right

    def matches(value: float, expected: float) -> bool:
        if within is None and factor is None:
            return math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-12)
        return _close(value, expected, within, factor)

    def judge_number(answer: Any) -> Verdict:
        value = _one_number(answer)
        if value is None:
            wanted = "A single number is wanted here, such as 3 or 1e-2"
            return Verdict("wrong", f"{wanted}; this is {_kind(answer)}.")
        if matches(value, solution()):
            return Verdict("right", why)
        known = [guess for guess in wrong or {} if matches(value, guess)]
        nearest = min(known, key=lambda guess: abs(guess - value), default=None)
        return Verdict("wrong", hint if nearest is None else wrong[nearest])

    return judge_number


def choice(
    right: str | bool | int, options: Sequence[str | bool | int], wrong: dict, why: str
) -> Judge:
    """The answer is one of `options`; capitals and blanks around it don't matter.

    `wrong` gives a hint for every option but the right one; ValueError if one has none.
    """
    if {right, *wrong} != set(options) or right in wrong:
        raise ValueError("Every option is either right or has a hint in wrong.")
    verdicts = {_plain(option): Verdict("wrong", hint) for option, hint in wrong.items()}
    verdicts[_plain(right)] = Verdict("right", why)
    listed = ", ".join(repr(option) for option in options)
    unknown = Verdict("wrong", f"Answer with one of these: {listed}.")
    return lambda answer: verdicts.get(_plain(answer), unknown)


def _plain(option: Any) -> str:
    return str(option).strip().casefold() if isinstance(option, str | bool | int) else ""


def function(
    reference: Callable,
    inputs: Sequence,
    why: str,
    wrong: Sequence[tuple[Callable, str]] = (),
    hint: str = "It runs, but its results are not the right ones yet.",
    rtol: float = 1e-5,
) -> Judge:
    """The answer is a function that returns what `reference` does, for each of `inputs`.

    An input is a tuple of arguments, or a single argument. Results are numbers, sequences, arrays
    or tensors, compared with the relative tolerance `rtol`, or anything that has `==`. A function
    that agrees on all inputs with one of the functions in `wrong` gets that one's hint.
    """
    calls = [call if isinstance(call, tuple) else (call,) for call in inputs]

    def agrees(found: list, other: Callable) -> list[bool]:
        results = (other(*copy.deepcopy(call)) for call in calls)
        return [_same(a, b, rtol) for a, b in zip(found, results, strict=True)]

    def judge_function(answer: Any) -> Verdict:
        if not callable(answer):
            return Verdict("wrong", f"A function is wanted here; this is {_kind(answer)}.")
        found, raised = _results_until_error(answer, calls)
        if raised:
            return Verdict("wrong", raised)
        if all(result is None or result is ... for result in found):
            return Verdict("waiting", "waits for your answer: the function returns nothing yet.")
        agreement = agrees(found, reference)
        if all(agreement):
            return Verdict("right", why)
        for misconception, its_hint in wrong:
            if all(agrees(found, misconception)):
                return Verdict("wrong", its_hint)
        first = agreement.index(False)
        call = _call(answer, calls[first])
        wanted = reference(*copy.deepcopy(calls[first]))
        misshapen = _wrong_shape(found[first], wanted, call)
        return Verdict("wrong", misshapen or f"{hint} One input that shows it: {call}.")

    return judge_function


def _results_until_error(answer: Callable, calls: list[tuple]) -> tuple[list, str]:
    """The reader's results, and a sentence if one of the calls ended in an error."""
    found: list = []
    for call in calls:
        try:
            result = answer(*copy.deepcopy(call))  # copies: a function may change its arguments
            found.append(list(result) if isinstance(result, Iterator) else result)
        except Exception as error:  # whatever the reader's code does wrong is what is reported
            problem = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return found, f"{_call(answer, call)} ends in an error, {problem}".rstrip(".") + "."
    return found, ""


def _call(answer: Callable, arguments: tuple) -> str:
    name = getattr(answer, "__name__", "")
    name = name if name.isidentifier() else "your function"
    return f"{name}({', '.join(_argument(value) for value in arguments)})"


def _argument(value: Any) -> str:
    shape = getattr(value, "shape", ())
    return f"array of shape {list(shape)}" if len(shape) else reprlib.repr(value)


def _as_array(value: Any) -> np.ndarray | None:
    """Numbers in any wrapping as a float64 array; None if they are not numbers, or ragged."""
    if isinstance(value, str | bytes | dict | set) or value is None:
        return None
    if hasattr(value, "detach"):  # a torch tensor, on any device and of any precision
        value = value.detach().cpu().double()
    if isinstance(value, list | tuple):
        value = [_as_array(part) for part in value]
        if any(part is None for part in value):
            return None
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _same(found: Any, expected: Any, rtol: float) -> bool:
    a, b = _as_array(found), _as_array(expected)
    if b is None:
        return a is None and bool(found == expected)
    if a is None or a.shape != b.shape:
        return False
    return np.allclose(a, b, rtol=rtol, atol=rtol * 1e-3, equal_nan=True)


def _wrong_shape(found: Any, expected: Any, call: str) -> str:
    """A sentence if the result isn't of the wanted shape, else an empty one."""
    a, b = _as_array(found), _as_array(expected)
    if b is None or (a is not None and a.shape == b.shape):
        return ""
    wanted = f"shape {list(b.shape)}" if b.ndim else "a single number"
    if a is None:
        got = "nothing" if found is None else f"something that isn't numbers ({_kind(found)})"
    else:
        got = f"shape {list(a.shape)}" if a.ndim else "a single number"
    return f"{call} returns {got}, where {wanted} is wanted."


# --- The closing quiz ---------------------------------------------------------------------------


class Option(NamedTuple):
    """A possible answer, and what is said to the reader who chooses it."""

    text: str
    right: bool
    why: str


class Question(NamedTuple):
    """A question with its options, of which one or more are right. `code` marks are shown as such.

    Options are shown on one line each: keep them under 90 characters.
    """

    text: str
    options: list[Option]


class Quiz:
    """Questions with radio buttons; without a kernel, as text with the answers folded away."""

    def __init__(self, name: str, questions: Sequence[Question]):
        import ipywidgets

        self.name, self.questions = name, list(questions)
        self.score = ipywidgets.HTML()
        self.radios, self.answers, parts = [], [], []
        for number, question in enumerate(self.questions, 1):
            radio = ipywidgets.RadioButtons(
                options=[option.text for option in question.options],
                value=None,
                layout=ipywidgets.Layout(width="auto"),
                tooltip=question.text,
            )
            radio.observe(self._explain, names="index")
            self.radios.append(radio)
            self.answers.append(ipywidgets.HTML())
            heading = ipywidgets.HTML(f"<b>{number}. {_marked(question.text)}</b>")
            parts += [heading, radio, self.answers[-1]]
        self.widget = ipywidgets.VBox([*parts, self.score])

    def _explain(self, change: dict | None = None) -> None:
        right = 0
        for question, radio, answer in zip(self.questions, self.radios, self.answers, strict=True):
            if radio.index is not None:
                chosen = question.options[radio.index]
                right += chosen.right
                answer.value = f'<p role="status">{_verdict(chosen)}</p>'
        self.score.value = f'<p role="status">{right} of {len(self.questions)} right so far.</p>'

    def __repr__(self) -> str:
        n = len(self.questions)
        return f"quiz {self.name}: {n} question{'s' if n != 1 else ''}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict:
        bundle = dict(self.widget._repr_mimebundle_(**kwargs))
        return bundle | {"text/plain": repr(self), "text/html": _as_page(self.questions)}


def multiple_choice(notebook: str) -> Quiz:
    """The closing quiz of a notebook, such as "02". Raises ValueError if there is none."""
    questions = getattr(_content(notebook), "QUESTIONS", None)
    if not questions:
        raise ValueError(f"Notebook {notebook} has no quiz.")
    return Quiz(notebook, questions)


def _marked(text: str) -> str:
    """Text as HTML, `code` and *emphasis* included."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"(?<![\w*])\*(\w[^*<]*)\*(?!\w)", r"<em>\1</em>", text)


def _verdict(option: Option) -> str:
    return f"<b>{'✓ Right.' if option.right else '✗ Not so.'}</b> {_marked(option.why)}"


def _as_page(questions: Sequence[Question]) -> str:
    """The quiz for viewers without a kernel."""
    parts = []
    for question in questions:
        options = "".join(f"<li>{_marked(option.text)}</li>" for option in question.options)
        answers = "".join(f"<li>{_verdict(option)}</li>" for option in question.options)
        parts.append(
            f'<li><p>{_marked(question.text)}</p><ol type="a">{options}</ol><details>'
            f'<summary>Answers</summary><ol type="a">{answers}</ol></details></li>'
        )
    return f"<ol>{''.join(parts)}</ol>"
