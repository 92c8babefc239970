"""Write the address of your copy of the course on GitHub wherever the course names it.

    python tools/address.py ada/my-course

It stands in pyproject.toml, under [project.urls]; README, CITATION.cff and the first cell of each
notebook, which Colab needs, repeat it. The web pages read it there, and show buttons for Colab and
Binder once it is set.
"""

import os
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = {".cff", ".ipynb", ".md", ".py", ".toml", ".yml"}
HOST = "https://github.com/"
REST = rb"(?![\w-])"  # the name ends here


def address(root: Path) -> str:
    """Owner and name of the course as pyproject.toml has them: "ada/my-course"."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"].removeprefix(HOST)


def is_set(where: str) -> bool:
    """Whether an address is more than what the course comes with: a place to put yours."""
    return where.partition("/")[0] != "your-name"


def texts(root: Path) -> list[Path]:
    """The files that may name the address: none in folders whose names begin with . or _."""
    found = []
    for folder, inside, names in os.walk(root):
        inside[:] = [name for name in inside if name == ".github" or name[0] not in "._"]
        found += [Path(folder, name) for name in names if Path(name).suffix in KINDS]
    return found


def replace(root: Path, new: str) -> list[Path]:
    """Put `new` where the old address stands, on GitHub, Colab or Binder; the files this changes.

    Elsewhere the same letters may be something else: a folder of the course, an example.
    """
    old = re.compile(rb"(github\.com/|/github/|/gh/)" + re.escape(address(root)).encode() + REST)
    changed = []
    for path in texts(root):
        text = path.read_bytes()
        moved = old.sub(lambda found: found[1] + new.encode(), text)
        if moved != text:
            path.write_bytes(moved)
            changed.append(path)
    return changed


def main() -> int:
    """The command line; the exit status."""
    new = sys.argv[1] if len(sys.argv) == 2 else ""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", new):
        print(
            "Give the owner and the name of your copy on GitHub, as in:\n"
            "python tools/address.py ada/my-course",
            file=sys.stderr,
        )
        return 2
    for path in replace(ROOT, new):
        print(path.relative_to(ROOT).as_posix())
    return 0


if __name__ == "__main__":
    sys.exit(main())
