"""Notebook 08 on folders of the reader's own kind, of which nobody knows the truth."""

import csv
import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from lessonkit.files import safe_files
from tools import notebooks as tool

pytestmark = pytest.mark.slow

NOTEBOOK = next((tool.ROOT / "notebooks").glob("08_*.ipynb"))
FOLDER_LINE = re.compile(r"^FOLDER = None\b", re.MULTILINE)
TWENTY_MESSES = "range(SEED, SEED + 20)"  # of the course's photos, which nbval compares
BROKEN = ["class 0/cut off.jpg", "class 0/empty.png", "class 1/no picture.jpg"]


def make_folder(root, n_classes, n_each):
    """Small noisy pictures, each class of another colour, some copies, and some broken files."""
    generator = np.random.default_rng(0)
    for k in range(n_classes):
        (root / f"class {k}").mkdir(parents=True)
        for i in range(n_each):
            height, width = generator.integers(30, 60, 2)
            pixels = generator.integers(0, 156, (height, width, 3))
            pixels += (np.array([k & 1, k >> 1 & 1, k >> 2 & 1]) * 80 + k).astype(int)
            Image.fromarray(pixels.astype(np.uint8)).save(root / f"class {k}" / f"{i}.png")
    for name in ("copy 1.png", "copy 2.png"):  # three of a kind
        shutil.copy(root / "class 0" / "0.png", root / "class 0" / name)
    shutil.copy(root / "class 1" / "1.png", root / "class 0" / "also 1.png")
    Image.new("RGB", (40, 40), "red").save(root / BROKEN[0])
    (root / BROKEN[0]).write_bytes((root / BROKEN[0]).read_bytes()[:300])
    (root / BROKEN[1]).write_bytes(b"")
    (root / BROKEN[2]).write_text("Dear Sir or Madam")
    (root / "notes.txt").write_text("Holiday 2018")


def main_path(root, without=()):
    """The notebook up to its exercises, about the folder `root`, without cells of some tags."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    end = next(i for i, c in enumerate(notebook.cells) if "\n## Exercises" in c.source)
    notebook.cells = [
        cell for cell in notebook.cells[:end]
        if cell.cell_type == "code" and not set(cell.metadata.get("tags", [])) & set(without)
    ]  # fmt: skip
    n_found = 0
    for cell in notebook.cells:
        cell.source, n = FOLDER_LINE.subn(f"FOLDER = {str(root)!r}", cell.source)
        cell.source = cell.source.replace(TWENTY_MESSES, "range(SEED, SEED + 2)")
        n_found += n
    assert n_found == 1 and any("range(SEED, SEED + 2)" in c.source for c in notebook.cells) == (
        "course-photos" not in without
    )
    return notebook


def run(root, cache, without):
    """The cells, executed as a reader executes them, and all that they have printed."""
    env = {name: value for name, value in os.environ.items() if name != "LESSONKIT_TEST"}
    env |= {"LESSONKIT_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    done = tool.execute(NOTEBOOK, main_path(root, without), env)
    outputs = [output for cell in done.cells for output in cell.outputs]
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return done, "\n".join(texts)


def contents(root):
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def pictures(done):
    return sum("image/png" in o.get("data", {}) for c in done.cells for o in c.outputs)


DECIDED = {
    "version": 1, "drop": ["class 0/copy 1.png"], "relabel": {"class 0/also 1.png": "class 1"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("n_classes", "n_each", "decided"),
    [(2, 10, None), (3, 12, DECIDED), (10, 16, None)],
    ids=["two classes", "three, and decided another day", "ten"],
)
def test_the_main_path_works_on_any_folder_without_its_truth(n_classes, n_each, decided, tmp_path):
    root, decisions = tmp_path / "my own things", tmp_path / "my own things.cleaning.json"
    make_folder(root, n_classes, n_each)
    before = contents(root)
    if decided:
        decisions.write_text(json.dumps(decided))
    # What is about the course's photos only is the same whatever the folder: once is enough.
    without = ["remove-cell"] + ["course-photos"] * (n_classes != 2)
    done, said = run(root, tmp_path / "cache", without)

    n_pictures = n_classes * n_each + 3
    n_valid, *_, n_valid_cleaned = map(int, re.findall(r"(\d+) validation", said))
    assert f"ImageData: {n_pictures - n_valid} training" in said
    assert f"{n_classes} classes" in said
    assert all(re.search(rf"^{name} is ", said, re.MULTILINE) for name in [*BROKEN, "notes.txt"])
    assert "class 0/0.png = class 0/copy 1.png (exact" in said
    assert "class 0/also 1.png = class 1/1.png (exact" in said
    n_suspects = 3 + min(24, n_pictures // 3)
    to_do = "1 to drop, 1 to relabel" if decided else "0 to drop, 0 to relabel"
    assert f"cleaner: {n_suspects} pictures, {to_do}" in said
    assert "upload: 2 pictures, 1 of them can't be read" in said
    assert pictures(done) == 7 + ("course-photos" not in without)

    assert contents(root) == before
    if decided:  # it stands in the boxes, and holds
        assert f"{decisions.name}: 1 dropped, 1 relabelled" in said
        assert json.loads(decisions.read_text()) == decided
        decisions.unlink()
    beside = {path.name for path in tmp_path.iterdir()} - {"cache"}
    assert beside == {root.name, f"{root.name}.pt", f"{root.name}.answers.csv"}
    _, about = safe_files.read_tensors(tmp_path / f"{root.name}.pt")
    classes = [f"class {k}" for k in range(n_classes)]
    assert about["classes"] == classes
    with (tmp_path / f"{root.name}.answers.csv").open(encoding="utf-8") as file:
        answers = list(csv.DictReader(file))
    assert len(answers) == min(n_valid_cleaned, 30)
    for answer in answers:
        assert Path(answer["path"]).is_file() and answer["class"] in classes

    # Of the reader's own pictures nobody knows what to expect.
    own = [c for c in done.cells if "course-photos" not in c.metadata.get("tags", [])]
    assert not any("expected" in output.get("text", "") for c in own for output in c.outputs)
