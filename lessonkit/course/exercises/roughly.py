"""Measured numbers, printed beside what the course expects of them.

    accuracy 0.874 (expected 0.86 ± 0.04)

The first number is the reader's own. Under test (LESSONKIT_TEST is set, as `make test` does) one
outside its bounds raises Drifted. Elsewhere it is printed, with a question, and the page goes on.
When stored outputs are compared, tools/nbval_sanitize.cfg leaves out the measured number alone, so
nothing else may print a line of this form.
"""

import math
import numbers
import os
import platform
import re
from typing import Any

__all__ = [
    "Drifted", "close", "kind", "need_one_tolerance", "one_number", "roughly", "short",
    "with_point",
]  # fmt: skip

MEASURED_ON = {"x86_64", "amd64"}  # where `make bounds` has been run: not yet on Apple's processors


class Drifted(AssertionError):
    """A measurement is not what the text beside it says."""

    def _render_traceback_(self) -> list[str]:
        return [f"Drifted: {self}"]  # IPython shows this sentence instead of a traceback


def roughly(
    value: Any,
    expected: float,
    within: float | None = None,
    factor: float | None = None,
    what: str = "",
) -> None:
    """Print `value`, a number or an array or tensor with a single one, beside `expected`.

    Close means at most `within` away, or at most `factor` times larger or smaller; give one of the
    two. On a kind of processor on which no bound was measured, twice as much is allowed. Raises
    Drifted under test if `value` isn't close, TypeError if it isn't one number, ValueError unless
    there is one tolerance.
    """
    need_one_tolerance(within, factor)
    measured = one_number(value)
    if measured is None:
        raise TypeError(f"roughly compares single numbers; this is {kind(value)}.")
    bound = f", ×÷ {short(factor)}" if factor else f" ± {short(within)}"
    half_width = abs(expected) * (factor - 1) if factor else within
    counted = isinstance(value.item() if hasattr(value, "item") else value, numbers.Integral)
    number = str(int(measured)) if counted else _as_precise_as(half_width, measured)
    line = f"{what}{' ' if what else ''}{number} (expected {short(expected)}{bound})"
    known = platform.machine().lower() in MEASURED_ON
    allowed = (within, factor) if known else (within and 2 * within, factor and factor**2)
    well = close(measured, expected, *allowed)
    if os.environ.get("LESSONKIT_TEST"):  # nothing but the line itself, whatever the processor
        if not well:
            raise Drifted(f"{line}. In a cell above, or in the training code, something changed.")
        return print(line)
    print(line)
    if not well:
        print("outside what is expected: what did you change?")
    elif not (known or close(measured, expected, within, factor)):
        print(f"(no bound was measured on {platform.machine()} processors: doubled here)")


def need_one_tolerance(within: float | None, factor: float | None) -> None:
    """ValueError unless exactly one is given, and can be one."""
    if (within is None) == (factor is None):
        raise ValueError("Give either within=… or factor=…, and not both.")
    if (within is not None and not within >= 0) or (factor is not None and not factor >= 1):
        raise ValueError("within must not be negative, and factor must be at least 1.")


def close(value: float, expected: float, within: float | None, factor: float | None) -> bool:
    """Whether `value` is within the one tolerance that is given."""
    rounding = 1e-6  # of float32: 0.9 counts as within 0.04 of 0.86
    if factor is not None:
        factor *= 1 + rounding
        if not expected:
            return value == 0  # there is no such factor of 0
        return 1 / factor <= value / expected <= factor  # False for NaN
    return abs(value - expected) <= within + rounding * abs(expected)


def one_number(value: Any) -> float | None:
    """`value` as a float if it is one number, in whatever wrapping, else None."""
    try:
        plain = value.item() if hasattr(value, "item") else value
    except (TypeError, ValueError, RuntimeError):  # NumPy's and torch's for several elements
        return None
    if isinstance(plain, list | tuple) and len(plain) == 1:
        return one_number(plain[0])
    if not isinstance(plain, numbers.Real) or isinstance(plain, bool):
        return None
    try:
        return float(plain)
    except OverflowError:  # a whole number of hundreds of digits
        return None


def with_point(text: str) -> str:
    """A number's text as Python reads it: "0,25" as 0.25, and "1,000", of thousands, as 1000."""
    thousands = r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])"
    text = re.sub(thousands, lambda found: found[0].replace(",", ""), text)
    return text.replace(",", ".")


def kind(value: Any) -> str:
    """What `value` is, in words."""
    value = value.item() if getattr(value, "shape", None) == () else value
    shape = getattr(value, "shape", None)
    if shape is not None and not callable(shape):
        return f"an array of shape {list(shape)}"
    if callable(value):
        return "a function"
    words = {bool: "True or False", str: "a text", list: "a list", tuple: "a tuple", dict: "a dict"}
    return words.get(type(value), f"of type {type(value).__name__}")


def short(value: float) -> str:
    """A number as people write it: 0.86, 3, 1e-5."""
    return _plain_exponent(f"{value:.10g}")


def _as_precise_as(half_width: float, value: float) -> str:
    """`value` with its last digit at a tenth of the bound's first one: 0.874 for ± 0.04.

    Whole numbers are never rounded to tens.
    """
    if not math.isfinite(value) or not half_width:
        return short(value)
    last = min(math.floor(math.log10(half_width)) - 1, 0)
    value = round(value, -last) + 0.0  # + 0.0: no -0.00
    if value and not 1e-3 <= max(abs(value), half_width) < 1e7:
        digits = math.floor(math.log10(abs(value))) - last
        return _plain_exponent(f"{value:.{max(digits, 0)}e}")
    return f"{value:.{-last}f}"


def _plain_exponent(text: str) -> str:
    return re.sub(r"e([+-])0*(\d)", r"e\1\2", text).replace("e+", "e")
