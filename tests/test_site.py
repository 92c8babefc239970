"""The course as web pages: built from what the notebooks store, read in a browser from disk."""

import re
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

from tests.jupyterlab import faults, needs_browser, needs_sphinx
from tools import notebooks as tool

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = tool.find([])
DESKTOP, PHONE = {"width": 1400, "height": 900}, {"width": 360, "height": 800}

pytestmark = [pytest.mark.slow, needs_sphinx]


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


def has_a_quiz(path):
    """Whether a notebook has a quiz that tells what is right; 00's doesn't, as 10 asks it again."""
    return re.match(r"(?!00)\d\d_", path.name) and path.parent.name == "notebooks"


def test_the_closing_quiz_can_be_read_with_its_answers_without_javascript(site):
    for path in NOTEBOOKS:
        page = read(page_of(site, path))
        loaded = [script["src"] for script in page.select("script[src]") if "quiz" in script["src"]]
        assert bool(loaded) == bool(has_a_quiz(path)), path.name
        if loaded:
            assert page.select(".cell_output details summary"), path.name
            assert page.select(".cell_output ~ .asking, .cell_output .asking"), path.name


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


def test_a_notebook_can_be_downloaded_from_its_page(site):
    for path in NOTEBOOKS:
        [button] = read(page_of(site, path)).select(".notebook-buttons a[download]")
        there = page_of(site, path).parent / unquote(button["href"])
        assert there.read_bytes() == path.read_bytes()


def test_colab_and_binder_have_buttons_once_an_address_is_set(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "site"))
    from jupyter_pages import buttons

    page = "notebooks/02_the_lr_finder"
    assert [text for text, _ in buttons(page, "your-name/any")] == ["Download this notebook"]
    _, (_, colab), (_, binder) = buttons(page, "ada/my-course")
    assert colab.endswith("/github/ada/my-course/blob/main/notebooks/02_the_lr_finder.ipynb")
    assert "/gh/ada/my-course/main" in binder and binder.endswith("/02_the_lr_finder.ipynb")
    assert buttons("README", "ada/my-course") == []


def test_the_home_page_names_every_notebook_with_its_minutes(site):
    home = read(site / "site" / "index.html")
    assert home.select("article img")
    minutes = 0
    for path in NOTEBOOKS:
        if re.match(r"\d\d_", path.name) and path.parent.name == "notebooks":
            [row] = [row for row in home.select("article tr") if path.stem in str(row)]
            minutes += int(row.select("td")[1].get_text())
    assert minutes == 450  # seven and a half hours, as README, TEACHERS and this page say


def test_what_moves_in_a_notebook_is_marked_as_living_or_still(site):
    marks = {}
    for path in NOTEBOOKS:
        found = read(page_of(site, path)).select("article .living, article .still")
        marks[path.stem] = [mark["class"][0] for mark in found]
    assert marks["00_start_here"][-1] == "still"  # the twelve questions
    assert marks["01_the_learning_rate"] == ["living"]
    assert marks["06_transfer_learning"] == ["still"]
    assert marks["08_your_own_images"] == ["still"] * 3  # cards, upload, map; no quiz
    for path in NOTEBOOKS:
        page = read(page_of(site, path))
        for place in page.select(".explorer-place"):
            assert place.find_next_sibling(class_="living"), path.name
        assert len(page.select(".explorer-place")) == marks[path.stem].count("living"), path.name


def test_public_functions_are_on_the_page_of_functions(site):
    from lessonkit import Learner, schedule

    page = read(site / "site" / "api.html")
    headings = {words(heading.find(string=True)) for heading in page.select("h3, h4")}
    said = words(page.article.get_text())
    for name in schedule.__all__:
        assert f"schedule.{name}" in headings
        assert words(getattr(schedule, name).__doc__.splitlines()[0]).replace("`", "") in said
    methods = [name for name, method in vars(Learner).items() if callable(method)]
    for name in [name for name in methods if not name.startswith("_")]:
        assert f"Learner.{name}" in headings
    assert {"Learner", "eight_steps", "lr_find", "data.from_folder", "quiz.roughly"} <= headings


def test_the_ledger_has_a_table_for_each_claim_and_loses_no_row(site):
    ledger = (ROOT / "experiments" / "LEDGER.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in ledger.splitlines() if line.startswith("| [")]
    page = read(site / "experiments" / "LEDGER.html")
    assert len(page.select("article table")) == len({row[0] for row in rows})
    shown = [row.select("td") for row in page.select("article tbody tr")]
    straight = str.maketrans("’", "'")
    names = [words(cells[0].get_text()).translate(straight) for cells in shown]
    assert names == [row[1] for row in rows]
    assert [words(cells[-1].get_text()) for cells in shown] == [row[-1] for row in rows]


# In the browser


@contextmanager
def opened(browser):
    """A page; on leaving, AssertionError if it asked for anything beyond this disk, or failed."""
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


@pytest.fixture
def page(browser):
    with opened(browser) as page:
        yield page


BROKEN = "[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Prose that is wider than the screen although the page doesn't scroll, because it is cut off.
CUT_OFF = """() => [...document.querySelectorAll("article p, article li, article h1, article h2")]
  .filter(e => e.getClientRects().length && !e.closest(".table-wrapper, details"))
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1)
  .map(e => e.textContent)"""

# Code that is wider than its box, and so scrolls sideways.
SIDEWAYS = """() => [...document.querySelectorAll("article pre")]
  .filter(pre => pre.scrollWidth > pre.clientWidth).map(pre => pre.textContent)"""


# axe knows most of what WCAG 2.2 AA asks for. Colours of code are the same everywhere and looked at
# on one page (below), so that here a piece of code is one text, not thousands of coloured ones.
ONE_TEXT = """document.querySelectorAll(".highlight pre")
  .forEach(pre => pre.replaceChildren(pre.textContent))"""
# Marks one text of each kind: its tag, class, colour and size, its parent, and what lies behind it.
# By day axe has looked at each for itself; the dark changes colours, and of all alike alike.
ONE_OF_A_KIND = """() => { const seen = new Set();
  for (const e of document.querySelectorAll("body *")) {
    const text = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
    if (!(text || e.matches("input, select, textarea")) || !e.checkVisibility()) continue;
    const own = getComputedStyle(e), parent = e.parentElement;
    const kind = [e.tagName, e.className, parent.tagName, parent.className, own.color,
      own.fontSize, own.fontWeight];
    for (let at = e; at; at = at.parentElement) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(at);
      const behind = backgroundColor + backgroundImage + opacity;
      if (behind !== "rgba(0, 0, 0, 0)none1") kind.push(behind);
    }
    if (!seen.has(kind.join())) e.dataset.kind = seen.add(kind.join()).size;
  } }"""
# What is folded away axe doesn't see, such as a quiz's answers.
UNFOLD = "document.querySelectorAll('details').forEach(folded => { folded.open = true; })"


@pytest.fixture(scope="module")
def found(built, browser):
    """What doesn't fit on each page and what axe finds there, both by where; opened once."""
    unfit, serious = {}, {}
    whole = [path for path in pages(built[0]) if read(path).article]  # not what only leads on
    with opened(browser) as page:
        for path in whole:
            name = path.relative_to(built[0])
            page.emulate_media(color_scheme="light")
            page.goto(path.as_uri())
            for size in (PHONE, DESKTOP):
                page.set_viewport_size(size)
                wrong = [page.evaluate(BROKEN), page.evaluate(CUT_OFF)]
                wrong.append(max(0, page.evaluate(TOO_WIDE)))
                unfit[f"{name} at {size['width']} pixels"] = wrong
            unfit[f"{name}: code"] = [page.evaluate(SIDEWAYS)]
            page.evaluate(ONE_TEXT)
            page.evaluate(UNFOLD)
            serious[f"{name}"] = faults(page)
            page.emulate_media(color_scheme="dark")  # that changes colours, and nothing else
            page.evaluate(ONE_OF_A_KIND)
            serious[f"{name} in the dark"] = faults(page, "[data-kind]", runOnly=["color-contrast"])
    return unfit, serious


@needs_browser
def test_pages_fit_a_desktop_and_a_phone(found):
    assert len(found[0]) > 3 * len(NOTEBOOKS)
    assert {where: wrong for where, wrong in found[0].items() if any(wrong)} == {}


@needs_browser
def test_axe_finds_nothing_serious_by_day_or_by_night(found):
    assert len(found[1]) > 2 * len(NOTEBOOKS)
    assert {where: wrong for where, wrong in found[1].items() if wrong} == {}


@needs_browser
def test_code_is_copied_by_a_button(site, page):
    page.add_init_script("""Object.defineProperty(navigator, "clipboard",
      {value: {writeText: async (text) => { window.copied = text; }}})""")
    page.goto((site / "README.html").as_uri())
    button = page.locator("button.copy").first
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("window.copied")
    assert "\nmake lab" in page.evaluate("window.copied")
    assert button.inner_text() == "Copied"


@needs_browser
def test_a_picture_is_enlarged_and_put_back(site, page):
    page.set_viewport_size(PHONE)
    page.goto(page_of(site, ROOT / "notebooks" / "10_the_clinic.ipynb").as_uri())
    button = page.locator("button.enlarge").first
    small = button.locator("img").bounding_box()["width"]
    button.focus()
    page.keyboard.press("Enter")
    large = page.locator("dialog.picture img")
    assert large.bounding_box()["width"] > 1.5 * small
    assert large.get_attribute("alt") == button.locator("img").get_attribute("alt")
    page.keyboard.press("Escape")
    assert page.locator("dialog").count() == 0
    assert page.evaluate("document.activeElement.className") == "enlarge"


@needs_browser
def test_a_quiz_answers_on_the_page(site, page):
    for path in filter(has_a_quiz, NOTEBOOKS):
        folded = read(page_of(site, path)).select(".cell_output details")
        page.goto(page_of(site, path).as_uri())
        groups = page.locator(".quiz").get_by_role("group").all()
        assert len(groups) == len(folded), path.name
        assert page.locator(".cell_output details:has-text('Answers')").count() == 0
        for group, answers in zip(groups, folded, strict=True):
            said = [words(answer.get_text()) for answer in answers.select("li")]
            choices = group.get_by_role("radio").all()
            assert len(choices) == len(said) >= 2
            for choice, text in list(zip(choices, said, strict=True))[-2:]:
                choice.focus()
                page.keyboard.press("Space")
                assert words(group.get_by_role("status").inner_text()) == text


@needs_browser
def test_a_quiz_counts_what_is_right(site, page):
    page.goto(page_of(site, ROOT / "notebooks" / "09_the_lesson_measured.ipynb").as_uri())
    asked = page.locator(".quiz", has_text="Seven cycles with restarts")
    for group in asked.get_by_role("group").all():  # of all eight, that it does not hold
        group.get_by_label("does not hold here").check()
    right = asked.get_by_text("✓ Right.").count()
    assert 0 < right < 8 and asked.get_by_text(f"{right} of 8 right so far.").is_visible()


@needs_browser
def test_the_verdict_is_seen_at_every_width(site, page):
    page.goto((site / "experiments" / "LEDGER.html").as_uri())
    for width in (360, 800, 1100, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        for cells in page.locator("article tbody tr").all()[::20]:
            box = cells.locator("td").last.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, width


@needs_browser
def test_a_narrow_ledger_names_no_column_that_a_row_leaves_empty(site, page):
    page.set_viewport_size(PHONE)
    page.goto((site / "experiments" / "LEDGER.html").as_uri())
    assert "" in page.locator("article tbody td").all_inner_texts()
    assert "" not in page.locator("article tbody td:visible").all_inner_texts()


SGDR = ROOT / "notebooks" / "05_sgd_with_restarts.ipynb"
PLACE = "document.querySelector('[data-explorer=restarts]').getBoundingClientRect().top"


@needs_browser
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_address_leads_to_its_explorer_and_a_reload_to_where_one_was(site, page, size):
    page.set_viewport_size(size)
    page.goto(f"{page_of(site, SGDR).as_uri()}#restarts:how=cosine")
    page.wait_for_function(f"{PLACE} < 100")
    bar = page.locator(".mobile-header").bounding_box()  # on a phone only, above everything
    assert page.evaluate(PLACE) >= (bar["height"] if bar else 0)
    if size is DESKTOP:  # "follow the ball in the right-hand picture", the text says
        panels = page.locator("[data-explorer=restarts] .panel").all()
        assert len({panel.bounding_box()["y"] for panel in panels}) == 1 and len(panels) == 3
    page.evaluate("window.scrollTo({top: 300, behavior: 'instant'})")
    page.reload()
    page.evaluate("new Promise((done) => setTimeout(done))")  # after what waits for the load
    page.wait_for_function("Math.abs(scrollY - 300) < 5")
    assert page.evaluate(PLACE) > size["height"]


@needs_browser
def test_the_bar_of_a_phone_hides_nothing_that_the_keyboard_reaches(site, page):
    page.set_viewport_size(PHONE)
    page.emulate_media(reduced_motion="reduce")
    page.goto(page_of(site, SGDR).as_uri())
    page.locator("[data-explorer=restarts] input[type=range]").first.focus()
    bar = page.locator(".mobile-header").bounding_box()["height"]
    for _ in range(20):
        page.keyboard.press("Shift+Tab")
        assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= bar


@needs_browser
def test_on_paper_code_is_whole_and_nothing_can_be_pressed(site, page):
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 1000})
    page.goto(page_of(site, SGDR).as_uri())
    assert page.evaluate(SIDEWAYS) == []
    assert page.locator("article input[type=range]:visible, .buttons > :visible").count() == 0
    assert page.locator(".notebook-buttons:visible, article button.copy:visible").count() == 0


@needs_browser
def test_search_finds_the_cosine(site, page):
    page.goto((site / "index.html").as_uri())
    page.wait_for_selector(".sidebar-search")  # the first page has led on to the course's own
    page.fill(".sidebar-search", "cosine")
    page.keyboard.press("Enter")
    page.get_by_text("Search finished").wait_for()
    assert "04 · Annealing" in page.locator("#search-results li a").all_inner_texts()[:3]
    page.fill(".sidebar-search", "zyzzyva")
    page.keyboard.press("Enter")
    page.get_by_text("did not match any").wait_for()
    assert page.locator("#search-results li").count() == 0


# Contrast as in WCAG 2, of each element's text against the first background behind it.
CONTRAST = """(selector) => {
  const parts = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => parts(c).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const known = new Map();  // thousands of pieces of code lie on the same background
  const behind = e => {
    if (known.has(e)) return known.get(e);
    const colour = getComputedStyle(e).backgroundColor;
    const own = (parts(colour)[3] ?? 1) > 0 || !e.parentElement;
    known.set(e, own ? colour : behind(e.parentElement));
    return known.get(e);
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
    for selector in ("article p", "article p a", "article pre", "article pre span", ".quiz label"):
        contrasts = page.evaluate(CONTRAST, selector)
        assert contrasts and min(contrasts) >= 4.5, f"{selector}: {sorted(contrasts)[:1]}"
