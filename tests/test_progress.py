"""Progress bars: in a terminal, in a log that nobody watches, and in a notebook."""

import io
import json
import re
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest

from lessonkit.machine import bars, notebook_bar, progress, terminal_bar
from tools.notebooks import SANITIZE, execute, write

ROW = {"epoch": 1, "lr": 0.01, "train_loss": 0.6931, "accuracy": 0.8125, "seconds": 12.34}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def train(epochs=2, batches=3):
    with progress.bar("fit: 2 epochs", epochs * batches) as bar:
        for epoch in range(1, epochs + 1):
            for batch in range(batches):
                bar.step(loss=1 / (batch + 1), lr=1e-2)
            bar.row(ROW | {"epoch": epoch})
    return bar


@pytest.fixture
def in_notebook(monkeypatch):
    """Bars think that they are in a notebook; what they would display is returned as a list."""
    displayed = []
    monkeypatch.setattr(bars, "in_notebook", lambda: True)
    monkeypatch.setattr(notebook_bar, "display", lambda data, raw: displayed.append(data))
    return displayed


# --- Terminal -----------------------------------------------------------------------------------


def test_a_log_gets_the_rows_and_no_bar(capsys):
    train()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"epoch {epoch}, LR 1.0e-02, train loss 0.693, accuracy 0.812, seconds 12.3"
        for epoch in (1, 2)
    ]
    with progress.bar("lr_find", 10) as bar:
        bar.step()
    assert capsys.readouterr() == ("", "")


def recipe(epochs=30):
    """A longer piece of work in two stages, the second of which trains."""
    with progress.bar("2 steps", 2) as bar:
        bar.stage("1 look")
        progress.note("Use look.off() to leave this out.")
        bar.row({"accuracy": 0.5})
        bar.step()
        bar.stage("2 train")
        train(epochs)
        progress.say("That was hard.")
        bar.row({"accuracy": 0.75})
        bar.step()
    return bar


RECIPE = """\
1 look
   accuracy 0.500
2 train
   epoch 30, LR 1.0e-02, train loss 0.693, accuracy 0.812, seconds 12.3
   accuracy 0.750
"""


def test_a_log_names_a_step_before_what_it_does_and_shows_one_line_of_a_fit(capsys):
    recipe()
    assert capsys.readouterr() == ("That was hard.\n", RECIPE)
    progress.note("This one is for you.")
    assert capsys.readouterr() == ("This one is for you.\n", "")


def test_a_long_fit_within_a_longer_piece_of_work_shows_that_it_lives(capsys, monkeypatch):
    monkeypatch.setattr(terminal_bar, "SECONDS_A_LINE", 0.0)
    recipe(4)
    assert [line for line in capsys.readouterr().err.splitlines() if "epoch" in line] == [
        f"   epoch {epoch}, LR 1.0e-02, train loss 0.693, accuracy 0.812, seconds 12.3"
        for epoch in range(1, 5)
    ]


def on_screen(written):
    """The lines that a terminal without wrapping shows in the end."""
    lines, row, column = [[]], 0, 0
    for part in re.split(r"(\n|\r|\x1b\[A)", written):
        if part == "\n":
            row, column = row + 1, 0
            lines += [[]] * (row == len(lines))
        elif part == "\r":
            column = 0
        elif part == "\x1b[A":
            row -= 1
        else:
            line = lines[row] = lines[row] + [" "] * (column - len(lines[row]))
            line[column : column + len(part)] = part
            column += len(part)
    return "\n".join("".join(line).rstrip() for line in lines)


def test_no_sentence_is_written_into_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)  # as in a window that shows both
    recipe()
    written = terminal.getvalue()
    assert "2 steps:  50%" in written and "fit: 2 epochs:   0%" in written
    assert on_screen(written) == RECIPE.replace(
        "   accuracy 0.75", "That was hard.\n   accuracy 0.75"
    )


def test_a_terminal_shows_bar_and_rows(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train()
    shown = terminal.getvalue()
    assert "fit: 2 epochs:   0%" in shown
    assert "LR 1.0e-02, train loss 0.693" in shown
    assert shown.endswith("\r")  # the bar has gone, the rows stay


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("out of memory")])
def test_an_early_end_is_told_and_the_error_goes_on(error, capsys):
    with pytest.raises((KeyboardInterrupt, RuntimeError)), progress.bar("fit: 1 epoch", 20) as bar:
        bar.step(12)
        raise error
    assert capsys.readouterr().err == "fit: 1 epoch: stopped after 12 of 20 steps\n"


def test_quiet_silences_everything_inside_and_nothing_after(capsys, in_notebook, monkeypatch):
    with progress.quiet():
        train()
        with progress.quiet():
            train()
        train()
        monkeypatch.setattr(bars, "in_notebook", lambda: False)
        train()
    assert capsys.readouterr() == ("", "") and in_notebook == []
    with pytest.raises(RuntimeError), progress.quiet():
        raise RuntimeError
    train()
    assert "accuracy" in capsys.readouterr().err


# --- Notebook -----------------------------------------------------------------------------------


def test_a_notebook_shows_one_widget_that_reads_as_its_title(in_notebook, capsys):
    bar = train()
    assert len(in_notebook) == 1
    assert in_notebook[0]["text/plain"] == "fit: 2 epochs"
    assert "application/vnd.jupyter.widget-view+json" in in_notebook[0]
    assert capsys.readouterr() == ("", "")
    page = bar.widget.value
    assert "done in" in page and 'max="6" value="6"' in page
    assert page.count("<tr>") == 3 and "0.812" in page and "train loss" in page


def test_work_that_a_cache_may_save_leaves_no_text(in_notebook):
    with progress.bar("reading pictures", 5, cached=True) as bar:
        bar.step(5)
    assert "reading pictures" in bar.widget.value
    assert list(in_notebook[0]) == ["application/vnd.jupyter.widget-view+json"]


def test_a_bar_that_needs_fewer_steps_than_said_ends_full(in_notebook):
    with progress.bar("lr_find: up to 100 batches", 100) as bar:
        bar.step(63)
    assert "done in" in bar.widget.value and 'max="100" value="100"' in bar.widget.value


def test_a_notebook_bar_shows_figures_and_where_it_was_stopped(in_notebook):
    with pytest.raises(KeyboardInterrupt), progress.bar("fit: <1> epoch", 20) as bar:
        bar.step(12, loss=0.5, lr=0.01)
        raise KeyboardInterrupt
    assert "stopped after 12 of 20 steps" in bar.widget.value
    assert "loss 0.500, LR 1.0e-02" in bar.widget.value
    assert "fit: &lt;1&gt; epoch" in bar.widget.value


def test_a_bar_within_another_is_shown_in_its_widget(in_notebook):
    with progress.bar("2 steps", 2) as outer:
        outer.stage("train <it>")
        with progress.bar("fit: 1 epoch", 20) as inner:
            outer.shown_at = 0.0
            inner.step(7)
            assert "· train &lt;it&gt; · fit: 1 epoch, 7 of 20" in outer.widget.value
        outer.row({"accuracy": 0.75})
        assert "<th" in outer.widget.value and ">step<" in outer.widget.value
        assert "fit: 1 epoch" not in outer.widget.value
    assert len(in_notebook) == 1


def test_a_notebook_bar_is_updated_ten_times_a_second_at_most(in_notebook, monkeypatch):
    now, pages = [100.0], []
    monkeypatch.setattr(notebook_bar, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with progress.bar("fit", 10_000) as bar:
        bar.widget.observe(pages.append, names="value")
        for _ in range(35):
            now[0] += 0.0101
            bar.step()
        assert len(pages) == 3


CELLS = [
    """
import sys, time
from types import ModuleType
from lessonkit import progress, quiz
from lessonkit.course.exercises import radio_quiz
with progress.bar("fit: 2 epochs", 20) as bar:
    for step in range(20):
        time.sleep(0.01)
        bar.step(loss=time.time())
    bar.row({"epoch": 1, "seconds": time.time()})
""",
    """
with progress.bar("fit: 1 epoch", 20) as bar:
    bar.step(loss=time.time())
    raise KeyboardInterrupt
""",
    """
exercises = sys.modules["lessonkit.course.exercises.notebook_99"] = ModuleType("notebook_99")
exercises.EXERCISES = {"99.1": quiz.number(7, "1 + 2 + 4.")}
how_many = [quiz.Question("How many?", [quiz.Option("7", True, "1 + 2 + 4.")])]
quiz.check("99.1", 7)
quiz.roughly(0.9 + time.time() % 0.01, 0.9, within=0.01, what="accuracy")
""",
    "radio_quiz.Quiz('99', how_many)",
    """
from pathlib import Path
if not Path("cached").exists():
    with progress.bar("reading pictures", 2, cached=True) as bar:
        bar.step(2)
    Path("cached").touch()
print("2 pictures")
""",
]


def nbval(path):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbval",
            "--nbval-current-env",
            "-q",
            path.name,
            f"--nbval-sanitize-with={SANITIZE}",
        ],
        cwd=path.parent,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_what_a_notebook_stores_is_the_same_each_time_and_compared(tmp_path):
    path = tmp_path / "99_bars.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    notebook.cells[1].metadata.tags = ["raises-exception"]
    write(notebook, path)
    write(execute(path), path)
    stored = path.read_text(encoding="utf-8")
    texts = [
        "".join(output.get("data", {}).get("text/plain", output.get("text", "")))
        for cell in json.loads(stored)["cells"]
        for output in cell["outputs"]
    ]
    texts[3] = re.sub(r"0\.9[01]\d", "0.9??", texts[3])
    answered = "✓ 99.1: 1 + 2 + 4.\naccuracy 0.9?? (expected 0.9 ± 0.01)\n"
    assert texts == ["fit: 2 epochs", "fit: 1 epoch", "", answered, "quiz 99: 1 question",
                     "2 pictures\n"]  # fmt: skip
    for cache in ("full", "empty"):
        if cache == "empty":
            (tmp_path / "cached").unlink()
        run = nbval(path)
        assert run.returncode == 0 and "5 passed" in run.stdout, run.stdout
    for told, changed in [("fit: 2 epochs", "fit: 3 epochs"), ("1 question", "2 questions")]:
        assert stored.count(f'{told}"\n') == 1
        stored = stored.replace(f'{told}"\n', f'{changed}"\n')
    path.write_text(stored, encoding="utf-8")
    run = nbval(path)
    found = re.findall(r"^FAILED .*Cell (\d+)", run.stdout, re.MULTILINE)
    assert run.returncode == 1 and found == ["0", "3"], run.stdout
