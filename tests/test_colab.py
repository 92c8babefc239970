"""The first cell of each notebook: it fetches the course on Colab, and does nothing elsewhere."""

import os
import re
import subprocess
import sys
import tomllib

import nbformat
import pytest

from tests.test_notebooks import ROOT
from tools import notebooks as tool

NOTEBOOKS = [path for path in tool.find([]) if path.parent.name == "notebooks"]
ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")

# Packages of the course that Colab's machines have already.
ON_COLAB = {"ipykernel", "ipywidgets", "matplotlib", "numpy", "pillow", "platformdirs", "torch"}
ON_COLAB |= {"scipy", "torchvision", "tqdm", "jupyterlab"}  # the last is what Colab stands in for

# As Colab's Python finds things: google.colab is there and loaded, lessonkit isn't installed.
AS_ON_COLAB = """
import os, subprocess, sys, types
for name in ("google", "google.colab"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["google.colab"].output = types.SimpleNamespace(
    enable_custom_widget_manager=lambda: print("widgets"))
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
sys.path = [place for place in sys.path if place not in ("", {root!r})]
os.environ.pop("PYTHONPATH", None)
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for _ in range(2):  # a cell may be run twice
    assert shell.run_cell({cell!r}).success
look = "import lessonkit; print(lessonkit.__file__)"
assert shell.run_cell(look).success
command = [sys.executable, "-S", "-c", look]  # without the packages that are installed
print(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
print(os.getcwd())
"""


def first_cell(path):
    cells = nbformat.read(path, as_version=4).cells
    return next(cell for cell in cells if cell.cell_type == "code")


CELL = first_cell(NOTEBOOKS[0])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_every_notebook_begins_with_the_same_cell(path):
    cell = first_cell(path)
    assert cell.source == CELL.source
    assert cell.metadata.jupyter.source_hidden and "remove-cell" in cell.metadata.tags
    assert not cell.outputs


def test_it_installs_what_colab_lacks():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.match(r"[\w-]+", line)[0]: line for line in project["dependencies"]}
    installed = " ".join(re.findall(r"pip install -q (.+)", CELL.source)).split()
    assert {re.match(r"[\w-]+", name)[0] for name in installed} == set(needed) - ON_COLAB
    for name in installed:
        if "==" in name:
            assert name in needed.values()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: nothing to clone")
def test_on_colab_it_fetches_the_course_and_makes_it_importable(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    pip = programs / "pip"
    pip.write_text('#!/bin/sh\necho "pip $@" >> pip.log\n')
    pip.chmod(0o755)
    content = tmp_path / "content"
    content.mkdir()
    address = ADDRESS.search(CELL.source)[0]
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_COUNT": "2",  # this checkout takes the place of the address
        "GIT_CONFIG_KEY_0": f"url.{ROOT.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": address,
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": "*",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    program = AS_ON_COLAB.format(root=str(ROOT), cell=CELL.source)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=content,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    course = content / "course"
    widgets, package, of_a_command, folder = done.stdout.splitlines()
    assert widgets == "widgets"
    assert package == of_a_command == str(course / "lessonkit" / "__init__.py")
    assert folder == str(course / "notebooks")
    assert (content / "pip.log").read_text().startswith("pip install -q anywidget")
    assert not done.stderr
