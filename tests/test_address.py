"""tools/address.py: the place where the course lies, written wherever it is named."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.test_project import ROOT, files
from tools import address as tool

NEW = "/".join(["ada", "my.course-2"])  # not as one word: this file is among those rewritten
PLACES = ["README.md", "CITATION.cff", "notebooks/00_start_here.ipynb", "notebooks/glossary.ipynb"]


@pytest.fixture
def copy(tmp_path):
    """The texts of this project, in a folder that may be changed."""
    for path in files():
        if path.suffix in tool.KINDS:
            there = tmp_path / path.relative_to(ROOT)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, there)
    return tmp_path


def run(folder, *arguments):
    command = [sys.executable, folder / "tools" / "address.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_command_writes_the_address_everywhere_and_another_takes_it_back(copy):
    before, old = contents(copy), tool.address(ROOT)
    done = run(copy, NEW)
    assert done.returncode == 0, done.stderr
    project = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Repository"] == f"https://github.com/{NEW}"
    after = contents(copy)
    for place in PLACES:
        assert NEW.encode() in after[copy / place], place
    assert not [path for path, text in after.items() if old.encode() in text]
    assert run(copy, old).returncode == 0
    assert contents(copy) == before


def test_only_addresses_are_rewritten(copy):
    page = copy / "CONTRIBUTING.md"
    before = page.read_bytes()
    assert run(copy, "lessonkit/course").returncode == 0 and page.read_bytes() == before
    assert run(copy, NEW).returncode == 0 and page.read_bytes() == before
    assert NEW in (copy / "README.md").read_text(encoding="utf-8")


def test_no_file_names_another_address():
    old = tool.address(ROOT)
    for place in PLACES:
        text = (ROOT / place).read_text(encoding="utf-8")
        named = re.findall(
            r"(?:github\.com|colab\.research\.google\.com/github)/([\w.-]+/[\w.-]+)", text
        )
        mine = [
            name.removesuffix(".git") for name in named if name.split("/")[1] == old.split("/")[1]
        ]
        assert mine and set(mine) == {old}, place


def test_what_is_no_address_is_refused_and_nothing_changes(copy):
    before = contents(copy)
    for wrong in ("my-course", "https://github.com/ada/my-course", "ada/", "a b/c"):
        done = run(copy, wrong)
        assert done.returncode == 2 and "ada/my-course" in done.stderr, wrong
        assert "Traceback" not in done.stderr and contents(copy) == before, wrong
