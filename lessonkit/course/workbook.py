"""The reader's own copy of the notebooks: without outputs, and never overwritten.

`workbook/` lies beside `notebooks/`, and git doesn't see it. Each notebook goes there once, with
every output taken out, so that a guess comes before its result. Later, when the course has a new
edition of a notebook:

- one whose cells the reader hasn't changed is replaced (running it changes no cell);
- one that was changed stays, and the new edition is put beside it, as NN_title.new.ipynb.

`workbook/.editions.json` says what was handed out, {"NN_title.ipynb": fingerprint of the cells}.
"""

import json
import re
from pathlib import Path

from lessonkit.files import safe_files
from lessonkit.files.fingerprint import fingerprint

__all__ = ["NOTEBOOKS", "WORKBOOK", "make"]

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS, WORKBOOK = ROOT / "notebooks", ROOT / "workbook"
EDITIONS = ".editions.json"


def make(notebooks: Path = NOTEBOOKS, workbook: Path = WORKBOOK) -> list[str]:
    """Bring `workbook` up to date; returns a sentence for each file that was made or kept back.

    ValueError if there are no notebooks; OSError, and a whole file, where one can't be written.
    """
    originals = sorted(notebooks.glob("*.ipynb"))
    if not originals:
        raise ValueError(f"There are no notebooks in {notebooks}: run this from the course's copy.")
    workbook.mkdir(parents=True, exist_ok=True)
    editions, said = _read_editions(workbook), []
    for original in originals:
        clean = _without_outputs(original, notebooks, workbook)
        name, newest = original.name, _edition(clean)
        if editions.get(name) == newest and (workbook / name).exists():
            continue
        place = workbook / name
        if not place.exists():
            said.append(f"{name} is new.")
        elif _edition_at(place) == editions.get(name):
            said.append(f"{name} has a new edition.")
        elif _edition_at(place) == newest:  # as where the reader has renamed what was beside it
            editions[name] = newest
            _write_editions(workbook, editions)
            continue
        else:
            place = _beside(workbook, name, newest, editions)
            if place is None:  # has been offered already
                continue
            said.append(f"{name} stays as you changed it; the new edition is {place.name}.")
        with safe_files.atomic_path(place) as part:
            part.write_text(json.dumps(clean, indent=1, ensure_ascii=False) + "\n", "utf-8")
        editions[place.name] = newest
        _write_editions(workbook, editions)
    return said


def _beside(workbook: Path, name: str, newest: str, editions: dict[str, str]) -> Path | None:
    """Where a new edition of a changed notebook goes; None if it has been put there before."""
    number = 1
    while True:
        place = workbook / f"{Path(name).stem}.new{number if number > 1 else ''}.ipynb"
        given = editions.get(place.name)
        if given == newest:
            return None
        if not place.exists() or _edition_at(place) == given:
            return place
        number += 1  # the reader has begun to work in that one, too


def _without_outputs(original: Path, notebooks: Path, workbook: Path) -> dict:
    """The notebook as it goes to the reader: no outputs, and links that work from there."""
    notebook = json.loads(original.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
        else:
            text = _relinked("".join(cell["source"]), notebooks, workbook)
            cell["source"] = text.splitlines(keepends=True)
    return notebook


def _relinked(text: str, notebooks: Path, workbook: Path) -> str:
    """Links to what stays in `notebooks`, such as solutions and pictures, lead there."""
    up = Path("..") / notebooks.name if notebooks.parent == workbook.parent else notebooks

    def relink(match: re.Match) -> str:
        file, anchor = re.match(r"([^#]*)(.*)", match[1]).groups()
        stays = re.match(r"[a-z]+:|\.\./|$", file) or (notebooks / file).parent == notebooks
        return match[0] if stays else f"]({(up / file).as_posix()}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", relink, text)


def _edition(notebook: dict) -> str:
    """A fingerprint of what a reader can change: the kinds and texts of the cells, in order."""
    cells = [[cell["cell_type"], "".join(cell["source"])] for cell in notebook["cells"]]
    return fingerprint(cells)


def _edition_at(place: Path) -> str:
    """The fingerprint of a file, or one that no edition has, so that a damaged file is kept."""
    try:
        return _edition(json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no notebook"


def _read_editions(workbook: Path) -> dict[str, str]:
    """What was handed out; nothing if that isn't known, and then all that differs is kept."""
    try:
        found = json.loads((workbook / EDITIONS).read_text(encoding="utf-8"))
    except (FileNotFoundError, RecursionError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_editions(workbook: Path, editions: dict[str, str]) -> None:
    with safe_files.atomic_path(workbook / EDITIONS) as part:
        part.write_text(json.dumps(editions, indent=1), encoding="utf-8")
