"""The reader's own copy of the notebooks: made once, brought up to date, never overwritten."""

import json
import re
import subprocess

import pytest

from lessonkit.__main__ import main
from lessonkit.course import workbook
from tools.notebooks import ROOT

NAME = "02_the_lr_finder.ipynb"


def cell(source, kind="code", output="0.5"):
    if kind == "markdown":
        return {"cell_type": kind, "metadata": {}, "source": source.splitlines(keepends=True)}
    shown = {"output_type": "stream", "name": "stdout", "text": [output]}
    return {
        "cell_type": kind,
        "metadata": {},
        "execution_count": 3,
        "outputs": [shown],
        "source": source.splitlines(keepends=True),
    }


def write(path, *sources, **options):
    cells = [cell(source, **options) for source in sources]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook), encoding="utf-8")


def sources(path):
    return ["".join(c["source"]) for c in json.loads(path.read_text(encoding="utf-8"))["cells"]]


@pytest.fixture
def course(tmp_path):
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks" / NAME, "guess = ...", "train()")
    write(tmp_path / "notebooks" / "glossary.ipynb", "words")
    return tmp_path


def make(course):
    return workbook.make(course / "notebooks", course / "workbook")


def files(course):
    return {path.name for path in (course / "workbook").iterdir() if not path.name.startswith(".")}


def run_it(path):
    """As JupyterLab does: outputs, counts and metadata change, sources don't."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["language_info"] = {"version": "3.12"}
    for number, one in enumerate(notebook["cells"]):
        one["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["mine"]}]
        one["execution_count"] = number
    path.write_text(json.dumps(notebook), encoding="utf-8")


def answer(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][0]["source"] = ["guess = 0.3"]
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_it_has_every_notebook_without_outputs(course):
    said = make(course)
    assert said == [f"{NAME} is new.", "glossary.ipynb is new."]
    assert files(course) == {NAME, "glossary.ipynb"}
    notebook = json.loads((course / "workbook" / NAME).read_text(encoding="utf-8"))
    assert [one["outputs"] for one in notebook["cells"]] == [[], []]
    assert [one["execution_count"] for one in notebook["cells"]] == [None, None]
    assert sources(course / "workbook" / NAME) == ["guess = ...", "train()"]


def test_made_again_nothing_happens(course):
    make(course)
    answer(course / "workbook" / NAME)
    before = (course / "workbook" / NAME).read_bytes()
    assert make(course) == []
    assert (course / "workbook" / NAME).read_bytes() == before and len(files(course)) == 2


def test_stopped_on_the_way_it_says_that_what_was_made_stays(course, monkeypatch, capsys):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(workbook, "make", stopped)
    assert main(["workbook"]) == 130
    assert "What was made stays" in capsys.readouterr().err


def test_a_notebook_that_was_only_run_is_replaced_by_a_newer_edition(course):
    make(course)
    run_it(course / "workbook" / NAME)
    assert make(course) == []  # its outputs stay as long as there is nothing newer
    assert "mine" in (course / "workbook" / NAME).read_text(encoding="utf-8")
    write(course / "notebooks" / NAME, "guess = ...", "train(better)")
    assert make(course) == [f"{NAME} has a new edition."]
    assert sources(course / "workbook" / NAME) == ["guess = ...", "train(better)"]


def test_only_new_outputs_are_no_new_edition(course):
    make(course)
    write(course / "notebooks" / NAME, "guess = ...", "train()", output="0.7")
    assert make(course) == []


def test_beside_one_that_the_reader_changed_the_newer_edition_is_offered(course):
    make(course)
    answer(course / "workbook" / NAME)
    write(course / "notebooks" / NAME, "guess = ...", "train(better)")
    said = make(course)
    beside = course / "workbook" / "02_the_lr_finder.new.ipynb"
    assert said == [f"{NAME} stays as you changed it; the new edition is {beside.name}."]
    assert sources(course / "workbook" / NAME) == ["guess = 0.3", "train()"]
    assert sources(beside) == ["guess = ...", "train(better)"]
    assert make(course) == []
    beside.unlink()
    assert make(course) == []  # it was offered
    write(course / "notebooks" / NAME, "guess = ...", "train(best)")
    make(course)
    assert sources(beside) == ["guess = ...", "train(best)"]
    answer(beside)  # the reader goes on in the new one
    write(course / "notebooks" / NAME, "guess = ...", "train(anew)")
    make(course)
    assert sources(beside) == ["guess = 0.3", "train(best)"]
    assert sources(course / "workbook" / "02_the_lr_finder.new2.ipynb")[1] == "train(anew)"
    assert sources(course / "workbook" / NAME) == ["guess = 0.3", "train()"]


def test_a_new_edition_that_the_reader_has_put_in_the_old_ones_place_keeps_its_outputs(course):
    make(course)
    answer(course / "workbook" / NAME)
    write(course / "notebooks" / NAME, "guess = ...", "train(better)")
    make(course)
    beside = course / "workbook" / "02_the_lr_finder.new.ipynb"
    run_it(beside)
    beside.replace(course / "workbook" / NAME)
    assert make(course) == []
    assert "mine" in (course / "workbook" / NAME).read_text(encoding="utf-8")
    write(course / "notebooks" / NAME, "guess = ...", "train(best)")
    assert make(course) == [f"{NAME} has a new edition."]


def test_what_the_reader_deleted_is_made_again(course):
    make(course)
    (course / "workbook" / NAME).unlink()
    assert make(course) == [f"{NAME} is new."]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cells": 3}', '{"cells": [{}]}'])
def test_what_cannot_be_read_is_kept(course, damage):
    make(course)
    (course / "workbook" / NAME).write_text(damage, encoding="utf-8")
    write(course / "notebooks" / NAME, "guess = ...", "train(better)")
    make(course)
    assert (course / "workbook" / NAME).read_text(encoding="utf-8") == damage
    assert sources(course / "workbook" / "02_the_lr_finder.new.ipynb")[1] == "train(better)"


@pytest.mark.parametrize("damage", ["", "[]", None])
def test_without_the_list_of_editions_nothing_is_overwritten(course, damage):
    make(course)
    answer(course / "workbook" / NAME)
    editions = course / "workbook" / workbook.EDITIONS
    editions.unlink() if damage is None else editions.write_text(damage, encoding="utf-8")
    write(course / "notebooks" / NAME, "guess = ...", "train(better)")
    make(course)
    assert sources(course / "workbook" / NAME) == ["guess = 0.3", "train()"]
    assert sources(course / "workbook" / "glossary.ipynb") == ["words"]
    assert make(course) == []


def test_a_full_disk_leaves_what_was_there(course, monkeypatch):
    make(course)
    before = (course / "workbook" / NAME).read_bytes()
    write(course / "notebooks" / NAME, "guess = ...", "train(better)")

    def full(*_, **__):
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", full)
        with pytest.raises(OSError, match="no space left"):
            make(course)
    assert (course / "workbook" / NAME).read_bytes() == before
    assert files(course) == {NAME, "glossary.ipynb"}
    assert make(course) == [f"{NAME} has a new edition."]


def test_without_notebooks_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="There are no notebooks in"):
        workbook.make(tmp_path, tmp_path / "workbook")


# The course's own


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The real course's copy, where it would lie."""
    place = tmp_path_factory.mktemp("course")
    (place / "notebooks").symlink_to(ROOT / "notebooks")
    for name in ("data", "experiments", "site", "README.md", "TEACHERS.md"):
        (place / name).symlink_to(ROOT / name)
    workbook.make(place / "notebooks", place / "workbook")
    return place / "workbook"


def test_the_reader_gets_the_whole_course(own):
    given = {path.name for path in own.glob("*.ipynb")}
    assert given == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_every_link_leads_somewhere(own):
    n_links = 0
    for path in own.glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        prose = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if not re.match(r"[a-z]+:", target):
                file = target.partition("#")[0]
                assert not file or (own / file).exists(), f"{path.name}: {target}"
                n_links += "solutions" in target
    assert n_links >= 11


def test_the_commands_say_where_it_is_and_what_is_solved(own, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(workbook, "WORKBOOK", own)
    monkeypatch.setattr(workbook.make, "__defaults__", (own.parent / "notebooks", own))
    assert main(["workbook"]) == 0
    assert capsys.readouterr().out == f"Your copy of the notebooks is {own}.\n"
    monkeypatch.setenv("LESSONKIT_RECORDS", str(tmp_path))
    assert main(["progress"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"\b0 of \d\d+ solved", said) and f"\nKept in {tmp_path}" in said
    ignored = subprocess.run(["git", "check-ignore", "-q", "workbook/x"], cwd=ROOT)
    assert ignored.returncode == 0
