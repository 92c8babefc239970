"""Beside the course: the glossary is in order, and the page for teachers lists all notebooks."""

import re
from pathlib import Path

import nbformat
import pytest

from tools import notebooks as tool

ROOT = Path(__file__).resolve().parent.parent
COURSE = [path for path in tool.find([]) if re.match(r"\d\d_.*(?<!_solutions)$", path.stem)]
GLOSSARY = ROOT / "notebooks" / "glossary.ipynb"


CELLS = nbformat.read(GLOSSARY, as_version=4).cells
TEXT = "\n\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")


def entries():
    """Word -> what stands below it."""
    parts = re.split(r"^### (.+)$", re.sub(r"^## .+$", "", TEXT, flags=re.MULTILINE), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


ENTRIES = entries()


def test_words_are_in_alphabetical_order():
    assert len(ENTRIES) > 60
    assert list(ENTRIES) == sorted(ENTRIES, key=str.casefold)


def test_every_word_stands_under_the_letters_it_begins_with():
    letters = None
    for depth, heading in re.findall(r"^(###?) (.+)$", TEXT, re.MULTILINE):
        if depth == "##":
            letters = re.fullmatch(r"([A-Z])–([A-Z])", heading)
        else:
            assert letters[1] <= heading[0].upper() <= letters[2], heading


@pytest.mark.parametrize("word", ENTRIES)
def test_a_word_has_a_short_explanation_and_a_place_where_it_is_met(word):
    explanation = ENTRIES[word].strip().split("\n\n")[0]
    assert len(explanation.split()) <= 70
    assert re.search(r"\]\((\d\d_\w+\.ipynb|#)", ENTRIES[word]), "no link"


def test_the_overview_names_every_word_once():
    assert sorted(re.findall(r"\[([^\]]+)\]\(#", CELLS[0].source)) == sorted(ENTRIES)


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.name)
def test_the_page_for_teachers_lists_every_notebook(path):
    assert f"](notebooks/{path.name})" in (ROOT / "TEACHERS.md").read_text(encoding="utf-8")


def test_links_in_the_page_for_teachers_lead_somewhere():
    for target in re.findall(r"\]\(([^)\s#]+)", (ROOT / "TEACHERS.md").read_text(encoding="utf-8")):
        assert re.match(r"[a-z]+:", target) or (ROOT / target).exists(), target


def test_every_word_is_linked_from_a_notebook_or_from_another_word():
    cells = [cell for path in COURSE for cell in nbformat.read(path, as_version=4).cells]
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    linked = set(re.findall(r"\]\(glossary\.ipynb#([^)]+)\)", text))
    linked |= {word for text in ENTRIES.values() for word in re.findall(r"\]\(#([^)]+)\)", text)}
    assert {word.replace(" ", "-") for word in ENTRIES} <= linked
