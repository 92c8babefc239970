"""What an answer is worth: judges of numbers, choices and functions, built from a few arguments.

A judge takes the reader's answer and returns a Verdict. An Exercise is a judge with two hints, the
second one stronger. The same answer may be written in many ways: 3, 3.0, [3], "6/2", a NumPy scalar
or a tensor; "about 70%" and "about 70 %"; a list, a tuple, an array, a generator.
"""

import copy
import math
import re
import reprlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from lessonkit.course.exercises import roughly
from lessonkit.course.exercises.roughly import close, kind, one_number, short, with_point

__all__ = [
    "Exercise", "Judge", "Verdict", "choice", "failure", "function", "no_function", "number",
    "plain_words",
]  # fmt: skip


class Verdict(NamedTuple):
    """What an answer is worth: `status` is "waiting", "wrong" or "right"; `message` says why."""

    status: str
    message: str


Judge = Callable[[Any], Verdict]


class Exercise(NamedTuple):
    """A judge, a hint that says where to look, and one that nearly gives the answer away."""

    judge: Judge
    hint: str
    stronger: Callable[[Sequence], str]  # of the wrong answers that were given so far


def number(
    right: float | Callable[[], float],
    why: str,
    within: float | None = None,
    factor: float | None = None,
    between: tuple[float, float] | None = None,
    wrong: dict[float, str] | None = None,
    hint: str = "Not this number. Read the part above once more.",
    percent: bool = False,
) -> Exercise:
    """The answer is one number: `right`, or what `right()` returns when first asked.

    `wrong` gives the hint for each wrong number that a misconception leads to, `hint` that for all
    others. `within` or `factor` say how close is close, as in `roughly`; without either, equal up
    to rounding (1e-6 of the value). Numbers `between` two are right as well. With `percent`,
    `right` is a fraction, and 80 counts as 0.8.
    """
    if within is not None or factor is not None:
        roughly.need_one_tolerance(within, factor)
    solution = cache(right) if callable(right) else lambda: right

    def matches(value: float, expected: float) -> bool:
        if within is None and factor is None:
            return math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-12)
        return close(value, expected, within, factor)

    def judge(answer: Any) -> Verdict:
        value = one_number(_read(answer))
        if value is None:
            wanted = "A single number is wanted here, such as 3 or 1e-2"
            return Verdict("wrong", f"{wanted}; this is {kind(answer)}.")
        if percent and value > 1:
            value /= 100
        near_enough = between and between[0] <= value <= between[1]
        if near_enough or matches(value, solution()):
            return Verdict("right", why)
        known = [guess for guess in wrong or {} if matches(value, guess)]
        nearest = min(known, key=lambda guess: abs(guess - value), default=None)
        return Verdict("wrong", hint if nearest is None else wrong[nearest])

    def stronger(given: Sequence) -> str:
        low, high = (float(f"{solution() * factor:.1g}") for factor in (0.4, 2.2))
        low, high = sorted((low, min(high, 1.0) if percent else high))
        return f"{hint} The answer lies between {short(low)} and {short(high)}."

    return Exercise(judge, hint, stronger)


def _read(answer: Any) -> Any:
    """The number that a text such as "1e-2", "10^-2", "2/8", "60 %" or "30 epochs" stands for.

    So do "about 24", "p = 0.2", "LR 0.2", "2.25×" and "8 in 10". Anything else as it is.
    """
    if isinstance(answer, Decimal):
        return float(answer)
    if not isinstance(answer, str):
        return answer
    text = _with_percent_sign(answer).replace("−", "-").strip()
    text = re.sub(r"(?<=[\w%])\.$", "", text)  # a full stop
    said = r"about\b|around\b|roughly\b|a factor of\b|lr\b"
    text = re.sub(rf"^([a-z]* *=|[a-z]+:|{said}|[~≈×]|x(?= *\d)) *", "", text)
    text = re.sub(r"(?<=\d) *(?:times +)?(?:in|of|out of) +(?=\d)", "/", text)
    text = re.sub(r"(?<=\d) *([a-z]{2,}|[x×])$", "", text)  # a unit, or "times"
    text = with_point(text.replace(" ", ""))
    above, slash, below = text.removesuffix("%").partition("/")
    try:
        value = _power(above) / (_power(below) if slash else 1)
    except (ValueError, ArithmeticError):
        return answer
    return value / 100 if text.endswith("%") else value


def _with_percent_sign(text: str) -> str:
    return re.sub(r"per ?cent", "%", text.casefold())


def _power(text: str) -> float:
    """The number that is written so, or as a power: 10**3, 10^-2; ValueError for any other text."""
    base, sign, exponent = text.replace("**", "^").partition("^")
    return float(base) ** int(exponent) if sign else float(base)


def choice(
    right: str | bool | int,
    options: Sequence[str | bool | int],
    wrong: dict,
    why: str,
    hint: str = "Say of each option what would follow if it were true.",
) -> Exercise:
    """The answer is one of `options`, or words that only one has; case and blanks don't matter.

    More words than an option has will do, too, but none that turn it. `wrong` gives a hint for
    every option but the right one; ValueError if one has none.
    """
    if {right, *wrong} != set(options) or right in wrong:
        raise ValueError("Every option is either right or has a hint in wrong.")
    verdicts = {option: Verdict("wrong", its_hint) for option, its_hint in wrong.items()}
    verdicts[right] = Verdict("right", why)
    listed = ", ".join(repr(option) for option in options)
    unknown = Verdict("wrong", f"Answer with one of these: {listed}.")

    def judge(answer: Any) -> Verdict:
        meant = _meant(answer, options)
        return verdicts[meant[0]] if len(meant) == 1 else unknown

    def stronger(given: Sequence) -> str:
        tried = [option for answer in given for option in _meant(answer, options)]
        left = [option for option in options if option in wrong and option not in tried]
        if not left:
            return "You have tried all of them but one."
        return f"It isn't {left[0]!r}. {wrong[left[0]]}"

    return Exercise(judge, hint, stronger)


_TURNING = {
    "but", "except", "without", "less", "more", "lower", "higher", "below", "above",
}  # fmt: skip


def _meant(answer: Any, options: Sequence) -> list:
    """The options that an answer may stand for: one, if it can be understood."""
    said = _words(answer)
    same = [option for option in options if _words(option) == said]
    if same or not said:
        return same
    part_of_it = [option for option in options if set(said) <= set(_words(option))]
    if part_of_it or re.search(r"\b(not|no|never)\b|n['’]t\b", str(answer).casefold()):
        return part_of_it
    named = [option for option in options if set(_words(option)) <= set(said)]
    return [option for option in named if not _turned(said, _words(option))]


def _turned(said: list[str], option: list[str]) -> bool:
    """Whether words before the option's own make it another: "all but b", "below 70 %"."""
    before = said[: min(said.index(word) for word in option)]
    return not _TURNING.isdisjoint(before)


def _words(option: Any) -> list[str]:
    """The words and numbers in an option: "about 70%" has two, however it is spaced.

    A fraction, such as 0.7, is 70 %; what has a name, such as a preset for augmentation, is that.
    """
    option = _out_of_brackets(option)
    if isinstance(option, np.generic):
        option = option.item()
    number = one_number(_read(option))
    if number is not None:
        return [f"{number * 100 if 0 < number < 1 else number:g}"]
    option = getattr(option, "__name__", getattr(option, "name", option))
    if not isinstance(option, str | bool):
        return []
    text = _with_percent_sign(str(option)).replace("'", "")
    return re.findall(r"\d+(?:\.\d+)?|[^\W\d]+", text)


def function(
    reference: Callable,
    inputs: Sequence,
    why: str,
    wrong: dict[Callable, str] | None = None,
    hint: str = "It runs, but its results are not the right ones yet.",
    atol: float = 1e-8,
) -> Exercise:
    """The answer is a function that returns what `reference` does, for each of `inputs`.

    An input is a tuple of arguments, or a single argument. Results are numbers, sequences, arrays
    or tensors, which may differ by `atol` and 1e-5 of their value, or anything that has `==`. A
    function that agrees on all inputs with one of those in `wrong` gets its hint. What lessonkit
    itself offers is no answer.
    """
    calls = [call if isinstance(call, tuple) else (call,) for call in inputs]

    def agrees(found: list, other: Callable) -> list[bool]:
        results = (other(*copy.deepcopy(call)) for call in calls)
        return [_same(a, b, atol) for a, b in zip(found, results, strict=True)]

    def judge(answer: Any) -> Verdict:
        if refused := _no_own_function(answer):
            return Verdict("wrong", refused)
        found, raised = _results_until_error(answer, calls)
        if raised:
            return Verdict("wrong", raised)
        if all(result is None or result is ... for result in found):
            return Verdict("waiting", "waits for your answer: the function returns nothing yet.")
        agreement = agrees(found, reference)
        if all(agreement):
            return Verdict("right", why)
        for misconception, its_hint in (wrong or {}).items():
            if all(agrees(found, misconception)):
                return Verdict("wrong", its_hint)
        first = agreement.index(False)
        call = _call(answer, calls[first])
        wanted = reference(*copy.deepcopy(calls[first]))
        misshapen = _wrong_shape(found[first], wanted, call)
        return Verdict("wrong", misshapen or f"{hint} One input that shows it: {call}.")

    return Exercise(judge, hint, lambda given: f"{hint} {_example(reference, calls)}")


def no_function(answer: Any) -> str:
    """A sentence for an answer that isn't a function; else an empty one."""
    return "" if callable(answer) else f"A function is wanted here; this is {kind(answer)}."


def failure(error: Exception) -> str:
    """The sentence for an error in which the reader's code has ended."""
    return f"It ends in an error, {_named(error)}"


def _named(error: Exception) -> str:
    kind_of_error = type(error).__name__
    return f"{kind_of_error}: {error}" if str(error) else f"{kind_of_error}."


def _no_own_function(answer: Any) -> str:
    """A sentence for an answer that is no function, or none of the reader's; else an empty one."""
    if refused := no_function(answer):
        return refused
    if str(getattr(answer, "__module__", "")).startswith("lessonkit."):
        ready = f"lessonkit's own {getattr(answer, '__name__', kind(answer))}"
        return f"That is {ready}. Write one yourself, and compare the two."
    return ""


def _example(reference: Callable, calls: list[tuple]) -> str:
    """What the shortest of the calls should return, in a sentence."""
    shortest = min(calls, key=lambda call: len(repr(call)))
    wanted = np.asarray(reference(*copy.deepcopy(shortest)))
    shown = np.array2string(wanted, precision=4, separator=", ", threshold=8)
    arguments = ", ".join(_shown(value) for value in shortest)
    return f"For ({arguments}) it should return {' '.join(shown.split()).rstrip('.')}."


def _results_until_error(answer: Callable, calls: list[tuple]) -> tuple[list, str]:
    """The reader's results, and a sentence if one of the calls ended in an error."""
    found: list = []
    for call in calls:
        try:
            result = answer(*copy.deepcopy(call))  # copies: a function may change its arguments
            found.append(list(result) if isinstance(result, Iterator) else result)
        except Exception as error:  # whatever the reader's code does wrong is what is reported
            problem = f"{_call(answer, call)} ends in an error, {_named(error)}"
            return found, problem.rstrip(".") + "."
    return found, ""


def _call(answer: Callable, arguments: tuple) -> str:
    name = getattr(answer, "__name__", "")
    name = name if name.isidentifier() else "your function"
    return f"{name}({', '.join(_argument(value) for value in arguments)})"


def _argument(value: Any) -> str:
    shape = getattr(value, "shape", ())
    return f"array of shape {list(shape)}" if len(shape) else reprlib.repr(value)


def _shown(value: Any) -> str:
    """An argument as a reader could type it, as long as it isn't too long for that."""
    text = repr(value.tolist() if hasattr(value, "tolist") else value)
    return text if len(text) <= 120 else _argument(value)


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
    except (TypeError, ValueError, OverflowError):
        return None


def _same(found: Any, expected: Any, atol: float) -> bool:
    a, b = _as_array(found), _as_array(expected)
    if b is None:
        return a is None and bool(plain_words(found) == plain_words(expected))
    if a is None:
        return False
    a = _in_shape(a, b)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=atol, equal_nan=True)


def _in_shape(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a`, without brackets around it if it is a single number, and `b` is one."""
    return a.reshape(()) if a.size == 1 and not b.ndim else a


def plain_words(value: Any) -> Any:
    """A text without what doesn't matter, case, blanks and brackets; anything else as it is."""
    value = _out_of_brackets(value.tolist() if hasattr(value, "tolist") else value)
    return " ".join(value.casefold().split()) if isinstance(value, str) else value


def _out_of_brackets(value: Any) -> Any:
    """What is alone in a list or tuple; anything else as it is."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _wrong_shape(found: Any, expected: Any, call: str) -> str:
    """A sentence if the result isn't of the wanted shape, else an empty one."""
    a, b = _as_array(found), _as_array(expected)
    if b is None or (a is not None and _in_shape(a, b).shape == b.shape):
        return ""
    wanted = f"shape {list(b.shape)}" if b.ndim else "a single number"
    if a is not None:
        got = f"shape {list(a.shape)}" if a.ndim else "a single number"
    elif found is None:
        got = "nothing"
    elif isinstance(found, list | tuple) and all(_as_array(part) is not None for part in found):
        got, wanted = "lists of different lengths", f"one list of {wanted} (join them)"
    else:
        got = f"something that isn't numbers ({kind(found)})"
    return f"{call} returns {got}, where {wanted} is wanted."
