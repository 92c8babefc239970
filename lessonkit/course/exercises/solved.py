"""Which exercises the reader has solved, in how many tries, and with what answer.

They are kept on the reader's own disk, in the file that `where()` names, one entry an exercise:

    {"02.1": {"tries": 2, "solved": "2026-11-27T14:03:00+00:00", "answer": "0.01"}, ...}

`tries` counts the answers given up to the first right one, that one included; answers given later
count no more. `solved` is when it came (UTC, ISO 8601), or null as long as none has. `answer` is
the text of the right answer, or of the last wrong one: a value as Python writes it, a function as
its source, cut off after 4,000 characters. A missing exercise has had no answer.
"""

import inspect
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lessonkit.course import records

__all__ = ["read", "record", "table", "where"]

NAME = "exercises"
LONGEST = 4000  # characters of an answer that are kept


def where() -> Path:
    """The file that holds the reader's answers."""
    return records.path(NAME)


def record(exercise: str, answer: Any, right: bool) -> None:
    """Keep one more answer; OSError where that fails. Solutions that are run don't count."""
    notebook = Path(os.environ.get("JPY_SESSION_NAME", ""))  # set by JupyterLab
    if "solutions" in (notebook.parent.name, Path.cwd().name):  # where others start the kernel
        return
    kept = read()
    entry = kept.setdefault(exercise, {"tries": 0, "solved": None, "answer": ""})
    if entry["solved"]:
        return
    now = datetime.now(UTC).isoformat(timespec="seconds")
    kept[exercise] = {
        "tries": entry["tries"] + 1,
        "solved": now if right else None,
        "answer": _as_text(answer),
    }
    records.write(NAME, kept)


def read() -> dict[str, dict[str, Any]]:
    """All entries, by exercise."""
    entry = {"tries": int, "solved": str | None, "answer": str}
    return records.read(NAME, {str: entry}, {})


def _as_text(answer: Any) -> str:
    try:
        text = inspect.getsource(answer) if callable(answer) else repr(answer)
    except (OSError, TypeError):  # made where no source is kept, or built in
        text = repr(answer)
    return text[:LONGEST]


def table(exercises: dict[str, list[str]]) -> str:
    """One line a notebook, a mark for each of its exercises: ✓ solved, ✗ tried, · not yet.

    `exercises` are the names of all there are, by notebook.
    """
    kept, lines, n_solved = read(), [], 0
    for notebook, names in exercises.items():
        marks = []
        for name in names:
            entry = kept.get(name)
            n_solved += bool(entry and entry["solved"])
            mark = "·" if not entry else "✓" if entry["solved"] else "✗"
            tries = f" ({entry['tries']})" if entry and entry["tries"] > 1 else ""
            marks.append(f"{mark} {name}{tries}".ljust(12))
        lines.append(f"{notebook}   {''.join(marks)}".rstrip())
    n = sum(map(len, exercises.values()))
    last = f"{n_solved} of {n} solved. (In brackets: tries, if more than one.)"
    return "\n".join([*lines, last])
