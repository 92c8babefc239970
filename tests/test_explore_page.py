"""Explorers on a page without a kernel, opened from disk: every one of them can be moved there."""

import base64
import io
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from tests.every_explorer import every_explorer
from tests.jupyterlab import needs_browser, needs_sphinx
from tests.test_javascript import NAMES

ROOT = Path(__file__).resolve().parent.parent
DESKTOP, PHONE = {"width": 1300, "height": 900}, {"width": 360, "height": 740}

pytestmark = [pytest.mark.slow, needs_sphinx]


@pytest.fixture(scope="module")
def site():
    """site/explorers.py, which makes the places for explorers on a page."""
    sys.path.append(str(ROOT / "site"))
    import explorers

    return explorers


@pytest.fixture(scope="module")
def figures():
    return every_explorer()


@pytest.fixture(scope="module")
def address(site, figures, tmp_path_factory):
    """A page with one explorer of each kind, as the site's pages have them."""
    file = tmp_path_factory.mktemp("page") / "explorers.html"
    states = [site.stored(figure.png()) for figure in figures.values()]
    file.write_text(site.page(states), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def page(browser):
    """A page that fails the test if it asks for anything beyond this disk, or has an error."""
    page = browser.new_page(viewport=DESKTOP)
    page.set_default_timeout(20_000)
    wrong = []
    page.on("request", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    yield page
    page.close()
    assert [what for what in wrong if not what.startswith(("file:", "data:"))] == []


def place(page, name):
    return page.locator(f"[data-explorer={name}]")


def told(page, name):
    return place(page, name).locator(".told").inner_text()


def test_each_explorer_has_a_script(site, figures):
    assert site.NAMES == NAMES == sorted(figures)


def test_only_explorers_pictures_come_alive(site, figures):
    file = io.BytesIO()
    Image.new("RGB", (5, 5)).save(file, "PNG")
    assert site.stored(file.getvalue()) is None
    figure = figures["descent"]
    assert site.stored(figure.png()) == figure.state()


def test_what_a_page_is_given_cannot_end_its_script_early(site):
    before, after = site.place_for({"name": "descent", "data": "</script><script>alert(1)"})
    assert before.count("</script>") == 1 and after == "</div>"


def test_a_stored_picture_keeps_its_place_and_its_alt_text(site, figures, monkeypatch):
    from docutils import nodes

    picture = nodes.image(alt="a ball in a bowl")
    monkeypatch.setattr(site, "render_image", lambda self, data: [picture])

    class Stored:
        mime_type = "image/png"
        content = base64.b64encode(figures["descent"].png()).decode()

    before, shown, after = site.render_image_or_explorer(None, Stored)
    assert shown is picture and before["explorer"] == "descent" and "</div>" in after.astext()
    Stored.content = "not a picture"
    assert site.render_image_or_explorer(None, Stored) == [picture]


CONF = f"""
import sys
sys.path.append({str(ROOT / "site")!r})
extensions = ["myst_nb", "jupyter_pages", "explorers"]
nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_ipywidgets_js = {{}}
html_theme = "furo"
"""


@pytest.fixture(scope="module")
def built(figures, tmp_path_factory):
    """The pages that Sphinx makes of a notebook with two explorers, and of a text without any."""
    source, html = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("html")
    (source / "conf.py").write_text(CONF)
    cells = [nbformat.v4.new_markdown_cell("# Two explorers")]
    for name in ("descent", "restarts"):
        data, metadata = figures[name]._repr_mimebundle_()
        output = nbformat.v4.new_output("execute_result", data, metadata=metadata)
        cells.append(nbformat.v4.new_code_cell(f"explore.{name}()", outputs=[output]))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), source / "index.ipynb")
    (source / "plain.md").write_text("# Nothing that moves\n")
    command = [sys.executable, "-m", "sphinx", "-q", source, html]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return html


def test_a_page_loads_the_scripts_of_its_explorers_only(built):
    page = (built / "index.html").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"explorers/{name}.js" in page] == ["descent", "restarts"]
    assert page.count("<img") >= 2 and 'alt="2/λ = 2: LR 0.5 converges.' in page
    assert "explorers/" not in (built / "plain.html").read_text(encoding="utf-8")


@needs_browser
def test_a_notebooks_page_has_its_explorers_alive(built, page, figures):
    page.goto((built / "index.html").as_uri())
    for name in ("descent", "restarts"):
        assert told(page, name) == figures[name].alt
        place(page, name).get_by_role("button", name="Step").click()
        assert "Step 0" in told(page, name)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_explorer_can_be_moved_by_keyboard(address, page, figures, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    for name in figures:
        start = told(page, name)
        slider = place(page, name).locator("input[type=range]:visible").first
        slider.focus()
        # Which way is not to matter, as a slider may stand at its end.
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        moved = told(page, name)
        assert moved != start, name
        place(page, name).get_by_role("button", name="Reset").click()
        assert told(page, name) == start, name


@needs_browser
def test_the_sentence_and_the_values_are_those_of_python(address, page, figures):
    page.goto(address)
    for name, figure in figures.items():
        assert told(page, name).startswith(figure.alt), name
        for control in figure.controls:
            if control["kind"] == "slider":
                slider = place(page, name).get_by_label(control["label"], exact=True)
                number = slider.get_attribute("aria-valuetext").split()[0].replace("−", "-")
                value = figure.values[control["name"]] * (100 if control.get("percent") else 1)
                assert float(number) == pytest.approx(value, rel=0.05), (name, control["name"])


@needs_browser
def test_a_ball_runs_and_steps(address, page):
    page.goto(address)
    for name, start in (("descent", "Step 0: the ball is at 4"), ("restarts", "Step 0 of 140")):
        end = told(page, name)
        place(page, name).get_by_role("button", name="Step").click()
        assert start in told(page, name)
        place(page, name).get_by_role("button", name="Step").click()
        assert "Step 1" in told(page, name)
        place(page, name).get_by_role("button", name="Run").click()
        place(page, name).get_by_role("button", name="Stop").wait_for()
        place(page, name).get_by_text(end).wait_for()
        place(page, name).get_by_role("button", name="Run").wait_for()


@needs_browser
@pytest.mark.parametrize("name", ["descent", "restarts"])
def test_a_run_stopped_at_once_stands_at_its_start(address, page, name):
    page.goto(address)
    # Both in one turn: a busy machine takes some steps between two clicks of a mouse.
    place(page, name).get_by_role("button", name="Run").evaluate(
        "it => { it.click(); it.click(); }"
    )
    place(page, name).get_by_role("button", name="Run").wait_for()
    assert re.search(r"Step 0\b", told(page, name)) and "inf" not in told(page, name)


@needs_browser
def test_who_wants_no_motion_gets_none(address, page):
    page.emulate_media(reduced_motion="reduce")
    page.goto(address)
    end = told(page, "restarts")
    place(page, "restarts").get_by_role("button", name="Step").click()
    place(page, "restarts").get_by_role("button", name="Run").click()
    assert told(page, "restarts") == end


@needs_browser
def test_a_setting_can_be_shared(address, page):
    page.goto(address)
    place(page, "schedules").locator("select").select_option("sgdr")
    slider = place(page, "descent").locator("input[type=range]").first
    slider.press("ArrowRight")
    shared, said = page.url, [told(page, name) for name in ("schedules", "descent")]
    assert shared.endswith("#schedules:kind=sgdr;descent:learning_rate=0.55")
    page.goto("about:blank")
    page.goto(shared)
    assert [told(page, name) for name in ("schedules", "descent")] == said
    page.goto("about:blank")
    before, after = shared.split("#")
    page.goto(f"{before}#{after.replace(':', '%3A').replace('=', '%3D')}")
    assert [told(page, name) for name in ("schedules", "descent")] == said  # sent by a program
    # Whatever else stands there is left out, and what no slider can have is cut.
    page.goto("about:blank")
    page.goto(f"{address}#descent:momentum=7;restarts:how=%3Cb%3E&start=x&nothing=1;what:ever")
    assert "2(1 + 0.95)/λ" in told(page, "descent")
    assert told(page, "restarts").startswith("sgdr, LR 0.2: the ball starts at -1.5")


@needs_browser
def test_schedules_hands_over_the_line_of_python(address, page):
    page.goto(address)
    here = place(page, "schedules")
    here.get_by_role("button", name="restarts, 1 + 2 + 4").click()
    assert here.locator("pre").inner_text().splitlines() == [
        "lrs = schedule.sgdr(0.1, n_cycle=3, cycle_len=1, cycle_mult=2, steps_per_epoch=50, "
        "lr_min=0)",
        "learn.fit(0.1, 3, cycle_len=1, cycle_mult=2)",
    ]
    assert "3 cosine cycles of 1, 2, 4 epochs. Good:" in here.locator(".comment").inner_text()
    here.get_by_role("button", name="one cycle", exact=True).click()
    lines = here.locator("pre").inner_text().splitlines()
    assert lines[0].startswith("lrs = schedule.one_cycle(0.1, steps=350, warm_up=0.3")
    assert lines[1:] == ["learn.fit_schedule(lrs)"]


@needs_browser
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_controls_have_room_and_nothing_is_cut_off(address, page, size):
    page.set_viewport_size(size)
    page.goto(address)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    sliders = page.locator("input[type=range]:visible").all()
    panels = page.locator(".panel > svg").all()
    assert len(sliders) >= 20 and len(panels) >= 10
    assert all(slider.bounding_box()["width"] >= 150 for slider in sliders)
    assert all(panel.bounding_box()["width"] >= 240 for panel in panels)
    tiles = page.locator(".tiles figure").all()
    rows = Counter(tile.bounding_box()["y"] for tile in tiles)
    assert len(set(rows.values())) == 1  # the last row is full, too


@needs_browser
def test_a_click_moves_to_a_place(address, page):
    page.goto(address)
    plane = place(page, "landscape").locator("svg").first
    plane.scroll_into_view_if_needed()
    before = told(page, "landscape")
    plane.click(position={"x": 100, "y": 80})
    assert told(page, "landscape") != before
    row = place(page, "ledger").locator("svg").first
    row.scroll_into_view_if_needed()
    row.click(position={"x": 200, "y": 28 + 17 * 4 + 8})
    assert "row=5" in page.url


WIDGET = """async ([code, values, rest]) => {
  const widget = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  const [heard, sent] = [[], []];
  const model = {
    state: { ...rest, values },
    get: (name) => model.state[name],
    set: (name, value) => { model.state[name] = value; heard.forEach((act) => act()); },
    on: (_, act) => heard.push(act),
    off: () => {},
    save_changes: () => sent.push(model.state.values),
  };
  const views = [0, 1].map(() => document.body.appendChild(document.createElement("div")));
  views.forEach((el) => widget.default.render({ model, el }));
  const drawn = views.map(() => 0);
  views.forEach((el, i) => {
    const picture = el.querySelector(".picture");
    Object.defineProperty(picture, "innerHTML", { set() { drawn[i] += 1; } });
  });
  const slider = views[0].querySelector("input[type=range]");
  slider.value = slider.max;
  slider.dispatchEvent(new Event("input"));
  Object.assign(window, { drawn, sent });
}"""


@needs_browser
@pytest.mark.parametrize("name", ["descent", "restarts"])
def test_a_widget_draws_each_change_once_in_all_its_views(page, figures, name):
    """Its model tells it of its own change, too."""
    state = figures[name].state()
    rest = {key: state[key] for key in ("controls", "first", "data")}
    page.evaluate(WIDGET, [figures[name]._esm, state["first"], rest])
    page.wait_for_function("sent.length")
    page.evaluate("new Promise((done) => setTimeout(() => setTimeout(done)))")  # nor once more
    assert page.evaluate("[drawn, sent.length]") == [[1, 1], 1]
