"""The notebooks as a reader meets them: in JupyterLab, in a browser, with the keyboard."""

import ast
import re
import symtable

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image

from tests import jupyterlab
from tests.test_exercises import answers
from tests.test_javascript import NAMES
from tools import notebooks as tool

ROOT = tool.ROOT
COURSE = [path for path in tool.find([]) if re.match(r"\d\d_", path.name)]
COURSE = [path for path in COURSE if path.parent.name == "notebooks"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not jupyterlab.CHROMIUM, reason="there is no Chromium on this machine"),
]


# --- The part of a notebook that its explorers need ---------------------------------------------


def tree(cell):
    return ast.parse(TransformerManager().transform_cell(cell.source))


def names(cell):
    """Of a notebook's names: those a cell reads, in functions too, those it makes and imports."""
    reads, makes, imports = set(), set(), set()
    tables = [symtable.symtable(TransformerManager().transform_cell(cell.source), "", "exec")]
    for table in tables:
        tables += table.get_children()
        of_the_notebook = table.get_type() == "module"
        for symbol in table.get_symbols():
            name = symbol.get_name()
            if symbol.is_referenced() and (of_the_notebook or symbol.is_global()):
                reads.add(name)
            if of_the_notebook and (symbol.is_assigned() or symbol.is_imported()):
                makes.add(name)
            if of_the_notebook and symbol.is_imported():
                imports.add(name)
    return reads, makes, imports


def commanded(cell):
    """The objects that a cell tells to do something: learn.fit(...), whose result nobody takes."""
    calls = [node.value for node in ast.walk(tree(cell)) if isinstance(node, ast.Expr)]
    owners = [call.func.value for call in calls if hasattr(getattr(call, "func", None), "value")]
    return {owner.id for owner in owners if isinstance(owner, ast.Name)}


def shown(cell):
    """The function of `explore` whose widget a cell shows with its last line, if it shows one."""
    body = tree(cell).body
    if not body or not isinstance(body[-1], ast.Expr):
        return None
    last = body[-1].value
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(last):
            last = node.value
    called = ast.unparse(last.func) if isinstance(last, ast.Call) else ""
    return called if called.startswith("explore.") else None


def is_asked(cell, exercise):
    """Whether a cell is the exercise that will be answered, or the closing quiz."""
    asked = rf'^(quiz\.(check\("{re.escape(exercise)}"|multiple_choice\()|twelve_questions\.first)'
    return bool(re.search(asked, cell.source, re.MULTILINE))


def needed(cells, exercise):
    """The code cells that explorers, an exercise and the quiz need: they, and what they build upon.

    Other exercises, and the training that leads to them, have been run by nbval. A cell that both
    makes a name and reads it is taken to read what it has made: x = f(x) would miss its x.
    """
    imported = set().union(*(names(cell)[2] for cell in cells))
    wanted, kept = set(), []
    for cell in reversed(cells):
        reads, makes, _ = names(cell)
        changes = commanded(cell) - imported
        if shown(cell) or is_asked(cell, exercise) or wanted & (makes | changes):
            kept.append(cell)
            wanted = (wanted | reads) - (makes - changes)
    return kept[::-1]


OTHER_WIDGETS = {"explore.cleaner", "explore.upload", "explore.guesses"}  # with buttons
DRAWN_BY_PYTHON = {"explore.LiveFigure", "explore.click_map"}


def explorers(path):
    """The explorers of a notebook: those that Python draws, and those that the page does."""
    cells = nbformat.read(path, as_version=4).cells
    widgets = [shown(cell) for cell in cells if cell.cell_type == "code"]
    widgets = [widget for widget in widgets if widget and widget not in OTHER_WIDGETS]
    by_python = [widget for widget in widgets if widget in DRAWN_BY_PYTHON]
    return by_python, [widget for widget in widgets if widget not in DRAWN_BY_PYTHON]


# What the networks have learned isn't looked at here, and nbval has compared it.
BRIEFLY = """
import os
import warnings
from lessonkit.learner import Learner
os.environ.pop("LESSONKIT_TEST", None)  # quiz.roughly asks, and doesn't raise
warnings.filterwarnings("ignore", "constrained_layout")  # accuracies that no picture was made for
fit = Learner._follow
Learner._follow = lambda learn, shape, lrs: fit(learn, shape[:3], lrs)
"""


def shortened(path):
    """The notebook with all its prose, and of its code what explorers and an exercise need.

    Every fit ends after three mini-batches.
    """
    notebook = nbformat.read(path, as_version=4)
    exercise = typed_answers(path.name[:2])[0]
    kept = needed([cell for cell in notebook.cells if cell.cell_type == "code"], exercise)
    notebook.cells = [c for c in notebook.cells if c.cell_type != "code" or c in kept]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.cells.insert(0, nbformat.v4.new_code_cell(BRIEFLY))
    return notebook


def test_what_is_left_out_is_not_needed():
    sources = [
        "import numpy as np\nfrom lessonkit import explore, quiz",
        "x = np.ones(3)",
        "unused = 1",
        "learn = f(unused)",
        "learn.fit(1)",
        "learn = f(x)",
        "learn.fit(1)",
        "loss = learn.validate()",
        "def score(unused):\n    return learn, np.log(unused)",
        "print(unused)",
        "explore.schedules(score)",
        "desk = explore.cleaner(root, learn)\ndesk",
        "desk",
        'quiz.check("01.1", unused)',
        'quiz.check("01.2", learn)',
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kept = [cell.source for cell in needed(cells, "01.2")]
    assert kept == [sources[i] for i in (0, 1, 5, 6, 8, 10, 11, 14)]


# --- In the browser -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """A page with JupyterLab on the notebooks, loaded once for all tests; what is wrong in it."""
    folder, scratch = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyter")
    for path in COURSE:
        tool.write(shortened(path), folder / path.name)
    tool.write(every_widget(), folder / "every.ipynb")
    page, wrong = browser.new_page(viewport={"width": 1300, "height": 950}), []
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url))
    with jupyterlab.server(folder, scratch) as address:
        jupyterlab.open_lab(page, address)
        yield page, wrong
        page.close()


@pytest.fixture
def page(lab):
    """JupyterLab's page. No error may be raised in it, and nothing asked of other machines."""
    page, wrong = lab
    yield page
    page.evaluate(THEME, "JupyterLab Light")
    at_home = ("http://127.0.0.1", "data:", "blob:", "ws:")
    found = [what for what in wrong if not what.startswith(at_home)]
    wrong.clear()
    assert found == []


def move_explorer(page, explorer):
    """Move an explorer's first slider by keyboard, and wait until the explorer looks different."""
    handle = explorer.element_handle()
    slider = explorer.locator("input[type=range]:visible").first
    slider.scroll_into_view_if_needed()
    slider.focus()
    for key in ("ArrowRight", "ArrowLeft"):
        before = explorer.inner_text()
        page.keyboard.press(key)
        changed = "([explorer, before]) => explorer.innerText !== before"
        page.wait_for_function(changed, arg=[handle, before], timeout=60_000)


def guess_by_keyboard(page, asked, score):
    """Choose the second answer of a quiz's second question, then its first, and read the reply."""
    second = asked.get_by_role("group").nth(1)
    second.get_by_role("radio").nth(1).focus()
    page.keyboard.press("Space")
    second.get_by_text("✓ Right. Measured:").wait_for()
    page.keyboard.press("ArrowUp")  # goes there, and chooses nothing
    second.get_by_text("✓ Right. Measured:").wait_for()
    page.keyboard.press("Space")
    second.get_by_text("✗ Not so. Measured:").wait_for()
    assert second.get_by_text("✓ Right.").count() == 0
    asked.get_by_text(score).wait_for()


def pictures(page):
    """The images of the explorers that Python draws, in order."""
    return page.locator(".jp-OutputArea-output img.widget-image").all()


def sliders(image):
    """The sliders that belong to an explorer's image."""
    box = image.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][1]")
    return box.locator("input[type=range]:visible").all()


def press(page, key, image):
    """Press a key, and wait until the picture has changed."""
    before = image.get_attribute("src")
    page.keyboard.press(key)
    wait_for_change(page, image, before)


def wait_for_change(page, image, before):
    page.wait_for_function(
        "([image, before]) => image.src !== before",
        arg=[image.element_handle(), before],
        timeout=60_000,
    )


def write_answer(page, exercise, text):
    """Replace the answer in a `quiz.check` cell, run the cell, and return what it says."""
    cell = page.locator(".jp-CodeCell", has_text=f'quiz.check("{exercise}"').first
    cell.locator(".cm-content").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(f'quiz.check("{exercise}", {text})')
    jupyterlab.run(page, "notebook:run-cell")
    return cell.locator(".jp-OutputArea-output").first.inner_text()


# Where every exercise asks for a function: (name, right, wrong) as a reader would write them.
OVERLAP = "a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]"
WRITTEN = {
    "10": (
        "10.3",
        f"lambda train, valid: [any({OVERLAP} for a in train) for b in valid]",
        "lambda train, valid: [False for b in valid]",
    )
}


def typed_answers(number):
    """Of a notebook's exercises one with a value for an answer, or else one that is written out."""
    given = answers(number)
    for name, right in given.RIGHT.items():
        wrong = given.WRONG[name][0][0]
        if isinstance(right, int | float | str) and isinstance(wrong, int | float | str):
            return name, repr(right), repr(wrong)
    return WRITTEN[number]


def wait_for_text(page, text):
    page.get_by_text(text).first.wait_for(timeout=60_000)


def decide_about_a_picture(page):
    first = page.get_by_role("combobox", name=re.compile(r"\.jpg$")).first  # a picture's path
    first.select_option("drop")
    page.get_by_role("button", name="Save decisions").click()
    wait_for_text(page, re.compile(r"^Saved in my_pictures\.cleaning\.json: \d+ dropped"))


def upload_pictures(page, folder):
    good, broken = folder / "a reddish square.bmp", folder / "broken.jpg"
    Image.new("RGB", (2000, 2000), "firebrick").save(good)  # 12 MB: Jupyter's messages end at 10
    broken.write_text("no picture")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files([good, broken])
    wait_for_text(page, re.compile(r"^a reddish square\.bmp: (bird|mammal), \d+%"))
    wait_for_text(page, re.compile(r"^broken\.jpg "))


def click_on_greenland(page):
    """The map is the left three quarters of the last picture; Greenland is up in the middle."""
    image = pictures(page)[-1]
    image.scroll_into_view_if_needed()
    box, before = image.bounding_box(), image.get_attribute("src")
    image.click(position={"x": 0.326 * box["width"], "y": 0.15 * box["height"]})
    wait_for_change(page, image, before)
    wait_for_text(page, "the map says ice.")


@pytest.mark.parametrize("path", COURSE, ids=lambda path: path.name)
def test_a_notebook_can_be_run_moved_and_answered(path, page, tmp_path):
    jupyterlab.open_notebook(page, path.name)
    jupyterlab.run(page)
    assert page.evaluate(jupyterlab.BAD_OUTPUTS) == []

    by_python, by_page = explorers(path)
    alive = page.locator(".jp-OutputArea-output .explorer").all()
    assert len(alive) == len(by_page)
    for explorer in alive:
        move_explorer(page, explorer)

    images = pictures(page)
    assert len(images) == len(by_python)
    for image in images:
        handles = sliders(image)
        assert handles, "an explorer without a slider"
        handles[0].scroll_into_view_if_needed()
        handles[0].focus()
        press(page, "ArrowRight", image)
        press(page, "ArrowLeft", image)

    if path.name.startswith("08"):
        decide_about_a_picture(page)
        upload_pictures(page, tmp_path)
        click_on_greenland(page)

    exercise, right, wrong = typed_answers(path.name[:2])
    assert f"✓ {exercise}" in write_answer(page, exercise, right)
    assert f"✗ {exercise}" in write_answer(page, exercise, wrong)
    assert page.evaluate(jupyterlab.BAD_OUTPUTS) == []
    if by_python:  # all other kinds of widgets are looked at below, once
        assert faults_by_day_and_by_night(page, WIDGETS) == []


EVERY = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.every_explorer import every_explorer

every = every_explorer()
"""


# Widgets that the notebooks above leave out, as training leads to them.
QUESTIONS = [
    "from lessonkit import explore, quiz\nfrom lessonkit.course import twelve_questions\n"
    "from lessonkit.course.clinic import diagnoses",
    "asked = explore.guesses([('07', 'constant', 'A cosine?'), ('06', 'tiles', 'TTA?')])\nasked",
    "asked",  # once more
    "silent = twelve_questions.first()\nsilent",
    "number = quiz.guess('a number', 'How many?')\nnumber",
    "number.beside(3.0)",
    "quiz.progress()",
    "diagnoses.diagnose(1)",
    "diagnoses.score()",
    "twelve_questions.compare()",
]


def every_widget():
    """A notebook that shows them all."""
    sources = [EVERY, *(f"every[{name!r}]" for name in NAMES), *QUESTIONS]
    told = "asked.chosen, asked.problem = [1, 0], 'Alas.'\n"
    told += "silent.problem = 'No room.' if any(n is not None for n in silent.chosen) else ''\n"
    told += "print('Python:', *every.values(), len(every['schedules'].lrs), sep='\\n')"
    sources.append(told)
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    return tool.normalise(nbformat.v4.new_notebook(cells=cells))


THEME = "(name) => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
OPENED = f"{jupyterlab.NOTEBOOK}?.context.path"
WIDGETS = ".jp-OutputArea-output:has(.jupyter-widgets, .explorer, .quiz)"


def faults_by_day_and_by_night(page, within):
    """What axe takes seriously in JupyterLab's light theme, and of the dark one's colours."""
    found = jupyterlab.faults(page, within)
    page.evaluate(THEME, "JupyterLab Dark")
    page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    found += jupyterlab.faults(page, within, runOnly=["color-contrast"])
    return found


def run_every_widget(page):
    """Show the notebook that has them all, run: as the test before has left it, if one has."""
    if page.evaluate(OPENED) != "every.ipynb":
        jupyterlab.open_notebook(page, "every.ipynb")
        jupyterlab.run(page)
    assert page.evaluate(jupyterlab.BAD_OUTPUTS) == []


def test_axe_finds_nothing_serious_on_widgets_by_day_or_by_night(page):
    run_every_widget(page)
    assert page.locator(".jp-OutputArea-output .explorer").count() == len(NAMES)
    assert page.locator(WIDGETS).count() == len(NAMES) + len(QUESTIONS) - 1
    assert faults_by_day_and_by_night(page, WIDGETS) == []


def test_python_knows_where_every_slider_stands(page):
    run_every_widget(page)
    alive = page.locator(".jp-OutputArea-output .explorer").all()
    assert len(alive) == len(NAMES)
    in_parts = page.locator(".explorer .picture[role=group]")  # read one by one, others as a whole
    assert in_parts.count() == len({"augmentations", "ledger"})
    for explorer in alive:
        move_explorer(page, explorer)
    schedules = page.locator(".explorer", has_text="highest learning rate")
    schedules.get_by_label("epochs", exact=True).press("ArrowRight")
    descent = page.locator(".explorer", has_text="momentum")
    descent.get_by_label("momentum", exact=True).press("ArrowRight")
    shown, again = page.locator(".quiz", has_text="A cosine?").all()
    guess_by_keyboard(page, shown, "0 of 2 right so far.")
    second = again.get_by_role("group").nth(1)  # the same quiz, shown twice
    second.get_by_text("✗ Not so. Measured:").wait_for()
    shown.get_by_role("radio").first.check()
    silent = page.locator(".quiz", has_text="Which number is 1e-2?").first
    silent.get_by_role("radio").first.check()
    silent.get_by_text("Your first choice is kept.").wait_for()
    beside = page.get_by_role("status").filter(has_text="No guess yet").element_handle()
    page.get_by_placeholder("then Enter").fill("6")
    page.keyboard.press("Enter")  # a new text in the same element, which is read out
    heard = "place => place.isConnected && place.innerText.includes('2 times too high')"
    page.wait_for_function(heard, arg=beside)
    page.locator(".jp-CodeCell").last.locator(".cm-content").click()
    jupyterlab.run(page, "notebook:run-cell")
    said = page.locator(".jp-CodeCell").last.locator(".jp-OutputArea-output").inner_text()
    assert "schedules: kind=cosine lr=0.1 epochs=8" in said and said.split()[-1] == "400"
    assert "descent: learning_rate=0.5 momentum=0.05" in said
    for one in (shown, again):  # what Python sets
        assert one.get_by_role("radio").nth(1).is_checked()
        assert one.get_by_role("status").all_inner_texts()[-1] == "Alas."
    silent.get_by_text("No room.").wait_for()
    assert silent.get_by_text("is kept.").count() == 0
    assert silent.get_by_text("right so far").count() == 0
