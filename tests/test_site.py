"""The course as web pages: built from what the notebooks store, read in a browser from disk."""

import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from tests import jupyterlab
from tools import notebooks as tool

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = tool.find([])
DESKTOP, PHONE = {"width": 1300, "height": 900}, {"width": 390, "height": 800}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("sphinx", "myst_nb", "furo")),
        reason="the pages need Sphinx: make installs it, as does pip install -e .[site]",
    ),
]
needs_browser = pytest.mark.skipif(
    not (jupyterlab.CHROMIUM and importlib.util.find_spec("playwright")),
    reason="there is no Chromium, or no playwright, on this machine",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the pages, built as `make site` does, but elsewhere; and what Sphinx said."""
    folder = tmp_path_factory.mktemp("site") / "html"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "site", "."]
    done = subprocess.run([*command, folder], cwd=ROOT, capture_output=True, text=True)
    return folder, done.stderr


@pytest.fixture
def site(built):
    """The folder of the pages."""
    return built[0]


def pages(site):
    return sorted(site.rglob("*.html"))


def page_of(site, notebook):
    return (site / notebook.relative_to(ROOT)).with_suffix(".html")


@cache
def read(page):
    from bs4 import BeautifulSoup  # nbconvert's, so it is always there

    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def words(text):
    return " ".join(text.split())


# What is in the pages


def test_the_pages_are_built_without_a_warning(built):
    assert built[1] == ""


def test_every_notebook_has_a_page_with_its_title(site):
    for path in NOTEBOOKS:
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        assert words(read(page_of(site, path)).h1.find(string=True)) == title.lstrip("# ")


def test_everything_that_a_cell_has_put_out_is_there(site):
    for path in NOTEBOOKS:
        page = read(page_of(site, path))
        said, pictures = words(page.article.get_text()), 0
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                pictures += "image/png" in data
                if not any(kind in data for kind in ("image/png", "text/html")):
                    text = output.get("text") or data.get("text/plain") or output.get("evalue")
                    assert words(text) in said, f"{path.name} lacks {text!r}"
        assert len(page.select(".cell_output img")) == pictures, path.name


def test_the_closing_quiz_can_be_read_with_its_answers(site):
    for path in NOTEBOOKS:
        page = page_of(site, path)
        if re.match(r"\d\d_", path.name) and path.parent.name == "notebooks":
            assert read(page).select(".cell_output details summary"), page.name


def test_every_picture_has_alt_text(site):
    for page in pages(site):
        for picture in read(page).select("article img"):
            alt = picture.get("alt", "")
            assert len(alt.split()) >= 3 and not alt.endswith(".png"), f"{page.name}: {picture}"


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site):
    for page in pages(site):
        elements = read(page).find_all(["a", "img", "link", "script", "iframe"])
        for element in elements:
            address = element.get("src") or element.get("href") or ""
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                assert element.name == "a", f"{page.name} fetches {address}"
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.is_file(), f"{page.name}: {address}"
            anchor = unquote(parts.fragment)
            if anchor and target.suffix == ".html":
                named = read(target).find(id=anchor) or (not parts.path and anchor == "top")
                assert named, f"{page.name}: {address}"


def test_anchors_are_those_of_jupyterlab(site):
    finder = read(page_of(site, ROOT / "notebooks" / "02_the_lr_finder.ipynb"))
    assert "What noise does" in finder.find(id="What-noise-does").parent.get_text()


# In the browser


@pytest.fixture
def page(browser):
    """A page that fails the test if it asks for anything beyond this disk, or has an error."""
    # From disk, search names the pages that it finds, but browsers don't let it fetch excerpts.
    fine = ("file:", "data:", "Failed to fetch")
    page = browser.new_page(viewport=DESKTOP)
    page.set_default_timeout(20_000)
    wrong = []
    page.on("request", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    page.close()
    assert [what for what in wrong if not what.startswith(fine)] == []


BROKEN = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Prose that is wider than the screen although the page doesn't scroll, because it is cut off.
CUT_OFF = """() => [...document.querySelectorAll("article p, article li, article h1, article h2")]
  .filter(e => e.getClientRects().length && !e.closest(".table-wrapper, details"))
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1)
  .map(e => e.textContent)"""


@needs_browser
def test_pages_fit_a_desktop_and_a_phone(site, page):
    for path in [path for path in pages(site) if read(path).article]:  # not what only leads on
        page.goto(path.as_uri())
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            where = f"{path.relative_to(site)} at {size['width']} pixels"
            assert page.evaluate(BROKEN) == [], where
            assert page.evaluate(TOO_WIDE) <= 0, where
            assert page.evaluate(CUT_OFF) == [], where


@needs_browser
def test_search_finds_the_cosine(site, page):
    page.goto((site / "index.html").as_uri())
    page.wait_for_selector(".sidebar-search")  # the first page has led on to the course's own
    page.fill(".sidebar-search", "cosine")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").all_inner_texts()
    assert any("learning rate" in title for title in found), found


# Contrast as in WCAG 2, of each element's text against the first background behind it.
CONTRAST = """(selector) => {
  const parts = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => parts(c).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    const colour = getComputedStyle(e).backgroundColor;
    return (parts(colour)[3] ?? 1) > 0 || !e.parentElement ? colour : behind(e.parentElement);
  };
  return [...document.querySelectorAll(selector)].map(e => {
    const [low, high] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  });
}"""


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_by_day_and_by_night(site, page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(page_of(site, ROOT / "notebooks" / "02_the_lr_finder.ipynb").as_uri())
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark")
    for selector in ("article p", "article p a", "article pre", "article pre span", "summary"):
        contrasts = page.evaluate(CONTRAST, selector)
        assert contrasts and min(contrasts) >= 4.5, f"{selector}: {sorted(contrasts)[:1]}"
