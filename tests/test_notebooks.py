"""What a notebook must keep to beyond running without a change, which nbval checks."""

import ast
import copy
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_notebook
from nbval.plugin import get_sanitize_patterns

from tools import notebooks as tool
from tools.bounds import LINE, stated

ROOT = Path(__file__).resolve().parent.parent
ALL = tool.find([])
BESIDE = {"glossary.ipynb"}  # no lesson: it has no number, no exercises and no solutions
COURSE = [path for path in ALL if path.parent.name == "notebooks" and path.name not in BESIDE]
HEADINGS = [
    "## What you will be able to do",
    "## Exercises",
    "## Summary",
    "## Since 2018",
    "## Sources",
]
MARKER = re.compile(r"nbval[-_](ignore[-_]output|skip)", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w./:])/(?:work|root|home|tmp|Users|usr|opt|var)/|\b[A-Z]:\\")
LARGEST_WITHIN, LARGEST_FACTOR = 0.05, 1.5


@cache
def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code" and cell.source.strip()]


def markdown(path):
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def tags(cell):
    return set(cell.metadata.get("tags", []))


def calls(cell, name):
    """Every call of `name` or `something.name` in a cell, magics allowed."""
    tree = ast.parse(TransformerManager().transform_cell(cell.source))
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "id", None) or getattr(node.func, "attr", None)) == name
    ]


def has_picture(cell):
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def is_not_compared(cell):
    return bool(MARKER.search(cell.source) or any(MARKER.fullmatch(tag) for tag in tags(cell)))


def name_of(path):
    return path.relative_to(ROOT / "notebooks").as_posix()


every_notebook = pytest.mark.parametrize("path", ALL, ids=name_of)
every_course_notebook = pytest.mark.parametrize("path", COURSE, ids=name_of)


def test_the_course_has_notebooks_each_with_its_own_number():
    assert COURSE
    for path in COURSE:
        assert re.fullmatch(r"\d\d_[a-z0-9_]+", path.stem), f"{path.name}: name it NN_title.ipynb"
    numbers = [path.name[:2] for path in COURSE]
    assert len(numbers) == len(set(numbers))


@every_course_notebook
def test_a_notebook_has_solutions(path):
    solutions = [p for p in ALL if p.parent.name == "solutions" and p.name[:2] == path.name[:2]]
    assert solutions, f"no notebook in notebooks/solutions begins with {path.name[:2]}"


@every_notebook
def test_stored_outputs_are_those_of_one_run_from_top_to_bottom(path):
    # nbval passes a notebook that was never executed: this doesn't.
    cells = code_cells(path)
    assert cells
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@every_notebook
def test_no_errors_warnings_or_machine_paths_are_stored(path):
    for number, cell in enumerate(code_cells(path), start=1):
        for output in cell.outputs:
            where = f"code cell {number}"
            if "raises-exception" not in tags(cell):
                assert output.output_type != "error", f"{where}: {output.get('evalue')}"
            assert output.get("name") != "stderr", f"{where} wrote to stderr: {output.get('text')}"
            data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
            text = f"{output.get('text', '')}{output.get('evalue', '')}{data}"
            assert not MACHINE_PATH.search(text), f"{where} shows a path of one machine: {text}"
    assert "widgets" not in read(path).metadata, "stored widget state hides pictures"


@every_notebook
def test_files_are_in_the_form_that_make_notebooks_writes(path):
    notebook = nbformat.from_dict(read(path))
    assert tool.changes(read(path), tool.normalise(notebook)) == []


@every_course_notebook
def test_title_and_headings(path):
    lines = [line.strip() for line in markdown(path).splitlines()]
    titles = [line for line in lines if line.startswith("# ")]
    assert titles, "no title"
    assert re.fullmatch(rf"# {path.name[:2]} · \S.*", titles[0]), titles[0]
    places = {heading: lines.index(heading) if heading in lines else None for heading in HEADINGS}
    missing = [heading for heading, place in places.items() if place is None]
    assert not missing


@every_course_notebook
def test_exercises_and_quiz(path):
    number, cells = path.name[:2], code_cells(path)
    checks = [call for cell in cells for call in calls(cell, "check")]
    names = {call.args[0].value for call in checks if isinstance(call.args[0], ast.Constant)}
    names = {name for name in names if str(name).startswith(f"{number}.")}
    assert len(names) >= 3, f"exercises checked: {sorted(names)}"
    if number == "00":  # whose quiz tells nothing: 10 asks it again
        assert [cell.source for cell in cells].count("twelve_questions.first()") == 1
        return
    quizzes = [call for cell in cells for call in calls(cell, "multiple_choice")]
    assert [call.args[0].value for call in quizzes] == [number]


@every_notebook
def test_every_picture_has_alt_text(path):
    for number, cell in enumerate(code_cells(path), start=1):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                assert len(alt.split()) >= 3, f"code cell {number}: no alt text that says anything"
    assert not re.search(r"!\[\s*\]\(", markdown(path)), "a picture in the prose without alt text"


@every_notebook
def test_nine_cells_in_ten_are_compared_and_the_others_say_why_not(path):
    cells = code_cells(path)
    ignored = [cell for cell in cells if is_not_compared(cell)]
    assert len(ignored) <= 0.1 * len(cells)
    for cell in ignored:
        comments = [line for line in cell.source.splitlines() if line.lstrip().startswith("#")]
        reasons = [line for line in comments if not MARKER.search(line)]
        assert reasons, f"a comment must say why this isn't compared:\n{cell.source}"


@every_notebook
def test_roughly_is_never_so_wide_that_it_says_nothing(path):
    for cell in code_cells(path):
        for call in calls(cell, "roughly"):
            bounds = {k.arg: k.value for k in call.keywords if k.arg in ("within", "factor")}
            text = ast.unparse(call)
            assert bounds, f"{text}: state within= or factor="
            for name, node in bounds.items():
                assert isinstance(node, ast.Constant), f"{text}: write {name} as a number"
                largest = LARGEST_WITHIN if name == "within" else LARGEST_FACTOR
                assert 0 < node.value <= largest, f"{text}: {name} is over {largest}"


@every_notebook
def test_every_stored_number_lies_within_its_own_bounds(path):
    for line in stated(read(path)):
        assert line.holds(line.measured), f"code cell {line.cell}: {line.what} {line.measured}"


@every_notebook
def test_only_roughly_says_what_was_expected(path):
    # nbval doesn't compare the number before "(expected": nobody else may print one there.
    for number, cell in enumerate(code_cells(path), start=1):
        shown = [output for output in cell.outputs if "(expected " in str(output)]
        assert "(expected " not in cell.source.replace("# (expected ", ""), f"code cell {number}"
        assert not shown or calls(cell, "roughly"), f"code cell {number}"
        for output in shown:
            lines = [line for line in output.get("text", "").splitlines() if "(expected " in line]
            assert output.get("name") == "stdout" and lines, f"code cell {number}"
            assert all(LINE.fullmatch(line) for line in lines), f"code cell {number}: {lines}"


def test_nothing_else_in_the_course_says_what_was_expected():
    for path in (ROOT / "lessonkit").rglob("*.py"):
        if path.name != "roughly.py":
            assert "(expected " not in path.read_text(encoding="utf-8"), path


def test_nbval_reads_the_rule_and_leaves_out_the_measured_number_alone():
    rules = get_sanitize_patterns(tool.SANITIZE.read_text(encoding="ascii"))
    assert len(rules) == 1  # a bare "replace:" or a blank line in between, and nbval reads none
    [(pattern, replacement)] = rules
    for text, kept in [
        ("accuracy 0.874 (expected 0.86 ± 0.04)\n", "accuracy # (expected 0.86 ± 0.04)\n"),
        ("-1.5e-7 (expected -1e-7, ×÷ 1.2)", "# (expected -1e-7, ×÷ 1.2)"),
        ("3 of 4: 7 (expected 7 ± 1)\n2 left\n", "3 of 4: # (expected 7 ± 1)\n2 left\n"),
        ("accuracy 0.874 (expected soon)", None),
        ("accuracy 0.874 (expected 0.86 ± 0.04) or so", None),
        ("a0.874 (expected 0.86 ± 0.04)", None),
        ("0.874", None),
    ]:
        sanitised = re.sub(pattern, replacement, text)
        assert sanitised == (kept or text).replace("#", "MEASURED"), text


def test_pytest_finds_the_rule_wherever_it_is_started(tmp_path):
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:], plugins=[type('P', (), {"
    code += "'pytest_sessionstart': lambda self, session: print('RULES',"
    code += " session.config.option.nbval_sanitize_with)})()]))"
    command = [sys.executable, "-c", code, "--nbval", "--collect-only", "-q"]
    target = str(ROOT / "tests" / "test_schedule.py")
    done = subprocess.run(
        [*command, target], cwd=tmp_path, capture_output=True, text=True, env=clean_environment()
    )
    assert f"RULES {tool.SANITIZE}" in done.stdout, done.stdout + done.stderr


@every_course_notebook
def test_every_measured_picture_comes_with_a_checked_fact(path):
    cells = code_cells(path)
    for number, cell in enumerate(cells, start=1):
        if has_picture(cell) and "illustration" not in tags(cell):
            facts = [
                call for near in cells[number - 1 : number + 1] for call in calls(near, "roughly")
            ]
            assert facts, (
                f"code cell {number} draws a measurement, but neither it nor the next cell states "
                'by roughly what it shows (no measurement? Tag it "illustration")'
            )


@every_notebook
def test_links_within_the_course_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", markdown(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), f"link to {target}"
        if anchor and linked.suffix == ".ipynb":
            headings = re.findall(r"^#+ +(.+?)\s*$", markdown(linked), flags=re.MULTILINE)
            assert anchor in [heading.replace(" ", "-") for heading in headings], (
                f"link to {target}"
            )


# What nbval compares, and what tools/notebooks.py writes


def clean_environment():
    """This process's variables without pytest's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def nbval(path):
    """Compare a notebook as `make test` does: (all well, what pytest printed)."""
    command = [sys.executable, "-m", "pytest", "--nbval", "-p", "no:cacheprovider", "-q"]
    command += ["-c", str(ROOT / "pyproject.toml"), f"--rootdir={path.parent}", str(path)]
    command += [f"--nbval-sanitize-with={tool.SANITIZE}"]  # conftest.py isn't above this notebook
    clean = clean_environment()
    done = subprocess.run(command, cwd=path.parent, env=clean, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # neither: pytest was misused
    return done.returncode == 0, done.stdout


def stored_text(cell):
    """The first output of a cell that nbval compares, None if there is none."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if output.output_type == "stream" or ("text/plain" in data and "image/png" not in data):
            return output
    return None


def alter(cell):
    """Change one stored text of a cell."""
    output = stored_text(cell)
    if output.output_type == "stream":
        output.text = "altered " + output.text
    else:
        output.data["text/plain"] = "altered"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the small notebook is: one of its cells asks whether its kernel started there."""
    return tmp_path_factory.mktemp("small")


@pytest.fixture
def small(folder):
    """A notebook with a stream in pieces, a value, a picture, a widget and an expected error."""
    sources = [
        "print('one')\nimport sys; sys.stdout.flush()\nprint('two')",
        "6 * 7",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "import ipywidgets\nipywidgets.IntSlider()",
        "1 / 0",
        "import os\nos.path.samefile('.', '" + folder.as_posix() + "')",
        "from lessonkit import quiz\n"
        "quiz.roughly(0.86 + 0.01 * (os.getpid() % 4 - 1.5), 0.86, within=0.04, what='accuracy')\n"
        "print('done')",
    ]
    cells = [new_code_cell(source) for source in sources]
    cells[2].metadata["alt"] = "a line that rises from 1 to 2"
    cells[4].metadata["tags"] = ["raises-exception"]
    path = folder / "small.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.fixture(scope="module")
def executed_once(folder):
    return {}


@pytest.fixture
def executed(small, executed_once):
    """The small notebook as it is after one execution, to change and to write."""
    if not executed_once:
        executed_once["notebook"] = tool.execute(small)
    return copy.deepcopy(executed_once["notebook"])


def test_two_executions_write_the_same_bytes(small, executed):
    written = []
    for notebook in (executed, tool.execute(small)):
        tool.write(notebook, small)
        written.append(small.read_bytes())
    measured = re.compile(rb"accuracy [\d.]+ ")  # by the process's number: as on another machine
    assert measured.sub(b"", written[0]) == measured.sub(b"", written[1])
    cells = nbformat.read(small, as_version=4).cells
    stream, value, picture, widget, error, place, number = cells
    assert number.outputs[0].text.endswith(" (expected 0.86 ± 0.04)\ndone\n")
    assert [output.text for output in stream.outputs] == ["one\ntwo\n"]
    assert value.outputs[0].data["text/plain"] == "42"
    assert picture.outputs[0].metadata["image/png"]["alt"] == "a line that rises from 1 to 2"
    assert widget.outputs[0].data[tool.WIDGET]["model_id"] == f"{1:032x}"
    assert error.outputs[0].traceback == ["ZeroDivisionError: division by zero"]
    assert place.outputs[0].data["text/plain"] == "True"  # kernels start where the notebook is
    assert [path.name for path in small.parent.iterdir()] == ["small.ipynb"]
    well, said = nbval(small)
    assert well, said


MEASURED = [  # what is altered in the line, into what, and whether that is another machine's
    (r"accuracy [\d.]+", "accuracy 0.834", True),
    (r"accuracy [\d.]+", "accuracy", False),
    (r"accuracy", "loss", False),
    (r"0\.86 ±", "0.87 ±", False),
    (r"± 0\.04", "± 0.05", False),
    (r"done", "done.", False),
]


@pytest.fixture
def failed(small, executed, executed_once):
    """The numbers of cells that nbval finds to differ: from 1 on MEASURED, then two texts."""
    if "failed" not in executed_once:
        texts, (defined, measured) = executed.cells[:2], executed.cells[5:7]
        executed.cells = [defined]
        for number, (old, new, _) in enumerate(MEASURED, 1):
            cell = copy.deepcopy(measured)
            cell.id = f"altered-{number}"
            output = stored_text(cell)
            output.text, n = re.subn(old, new, output.text)
            assert n == 1
            executed.cells.append(cell)
        for cell in texts:
            alter(cell)
        executed.cells += texts
        tool.write(executed, small)
        said = nbval(small)[1]
        found = re.findall(r"^FAILED .*Cell (\d+)", said, re.MULTILINE)
        executed_once["failed"] = set(map(int, found)), said
    return executed_once["failed"]


def test_of_a_measured_line_nbval_compares_all_but_the_number(failed):
    numbers, said = failed
    differ = {number for number, (*_, well) in enumerate(MEASURED, 1) if not well}
    assert {number for number in numbers if number <= len(MEASURED)} == differ, said


def test_each_altered_text_makes_the_comparison_fail(failed):
    numbers, said = failed
    assert {number for number in numbers if number > len(MEASURED)} == {7, 8}, said


def test_a_failing_cell_leaves_the_file_alone(small, monkeypatch):
    notebook = nbformat.read(small, as_version=4)
    notebook.cells = [notebook.cells[0], notebook.cells[4]]
    notebook.cells[1].metadata["tags"] = []
    nbformat.write(notebook, small)
    before = small.read_bytes()
    monkeypatch.setattr(tool, "ROOT", small.parent)
    line, well = tool.update(small, check=False)
    assert not well
    assert "small.ipynb" in line and "ZeroDivisionError" in line
    assert small.read_bytes() == before


def test_check_writes_nothing_and_says_what_would_change(small, executed, monkeypatch):
    monkeypatch.setattr(tool, "ROOT", small.parent)
    now = copy.deepcopy(executed)
    monkeypatch.setattr(tool, "execute", lambda path: now)
    executed.cells[2].outputs[0].data["image/png"] = "AAAA"
    output = executed.cells[6].outputs[0]
    output.text = re.sub(r"accuracy [\d.]+", "accuracy 0.831", output.text)
    tool.write(executed, small)
    line, well = tool.update(small, check=True)
    assert well and "cell 3 (picture)" in line  # it may show seconds: no failure
    assert "cell 7 (measured)" in line  # nor is another machine's number
    alter(executed.cells[1])
    tool.write(executed, small)
    before = small.read_bytes()
    line, well = tool.update(small, check=True)
    assert not well and "cell 2 (text)" in line
    assert small.read_bytes() == before


@pytest.mark.slow
def test_an_altered_copy_of_a_real_notebook_fails(tmp_path):
    # Up to its first text, before any training, is enough: all others are compared in the same way.
    [path] = [path for path in COURSE if path.name.startswith("04")]
    notebook = nbformat.from_dict(read(path))
    first = next(i for i, cell in enumerate(notebook.cells) if stored_text(cell))
    alter(notebook.cells[first])
    notebook.cells = notebook.cells[: first + 1]
    altered = tmp_path / path.name
    tool.write(notebook, altered)
    well, said = nbval(altered)
    assert not well
    assert "1 failed" in said
