"""What the benchmarks store and say; their measurements are those of `make bench`."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.tiny import coloured

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def peers(monkeypatch, tmp_path):
    """benchmarks/peers.py, which writes its files into an empty folder."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import peers
    import side_by_side

    readme = tmp_path / "README.md"
    readme.write_text(f"Before.\n{peers.BEGIN}\n<!-- end -->\nAfter.\n")
    monkeypatch.setattr(peers, "HERE", tmp_path)
    monkeypatch.setattr(side_by_side, "README", readme)
    return peers


def measured(peers, monkeypatch, machine, **milliseconds):
    """Store a row for each of `milliseconds`, as if `machine` had taken them; the tables."""
    monkeypatch.setattr(peers, "machine", lambda packages: machine)
    rows = [peers.Row(what, {"lessonkit": ms, "other": 2.0}) for what, ms in milliseconds.items()]
    peers.store(rows)
    text = (peers.HERE / "README.md").read_text()
    assert text.startswith("Before.") and text.endswith("After.\n")
    return [line for line in text.splitlines() if line.startswith(("P", "| a", "| b"))]


def test_a_row_is_replaced_and_other_rows_of_the_same_machine_stay(peers, monkeypatch):
    measured(peers, monkeypatch, "P, AVX512, one thread; torch 2", a=1, b=1)
    _, a, b = measured(peers, monkeypatch, "P, AVX512, one thread; torch 2", a=4)
    assert a.startswith("| a | 4 |") and b.startswith("| b | 1 |")


def test_what_was_stored_as_one_record_is_read(peers, monkeypatch):
    machine = "P, AVX512, one thread; torch 2"
    rows = [peers.Row("a", {"lessonkit": 3.0, "other": 2.0})._asdict()]
    (peers.HERE / "peers.json").write_text(json.dumps({"machine": machine, "rows": rows}))
    assert [line[:9] for line in measured(peers, monkeypatch, machine, b=1)[1:]] == [
        "| a | 3 |",
        "| b | 1 |",
    ]


def test_another_kind_of_processor_gets_a_table_of_its_own(peers, monkeypatch):
    measured(peers, monkeypatch, "P, AVX512, one thread; torch 2", a=1)
    said = measured(peers, monkeypatch, "P, AVX2, one thread; torch 2", a=3)
    assert [line[:9] for line in said] == ["P, AVX512", "| a | 1 |", "P, AVX2, ", "| a | 3 |"]


def test_a_table_has_no_rows_of_other_versions(peers, monkeypatch):
    measured(peers, monkeypatch, "P, AVX512, one thread; torch 2", a=1, b=1)
    said = measured(peers, monkeypatch, "P, AVX512, one thread; torch 3", a=1)
    assert len(said) == 2 and said[0].endswith("torch 3")


def test_the_machine_is_named_with_threads_and_versions(peers):
    said = peers.machine(["torch"], threads=1)
    assert "one thread; Python 3." in said and f"torch {version('torch')}" in said
    assert torch.backends.cpu.get_cpu_capability() in said


def test_what_is_not_installed_is_named_and_loses_no_measurement(peers):
    assert peers.machine(["torch", "no-such-thing"]).endswith(", no no-such-thing")


@pytest.mark.parametrize(("said", "status"), [("missed: a\n0 of 1", 1), ("1 of 1", 0)])
def test_a_recipe_that_misses_a_bound_ends_with_an_error(
    said, status, peers, monkeypatch, tmp_path
):
    import recipe  # beside peers

    monkeypatch.setattr("sys.argv", ["recipe.py", "--splits=0", f"--json={tmp_path / 'x.json'}"])
    monkeypatch.setattr(recipe, "summary", lambda rows: f"{said} bounds hold")
    assert recipe.main() == status


@pytest.fixture
def recipe_on(peers, monkeypatch, tmp_path):
    """A function that starts the benchmark of the recipe with another `run`; returns its rows."""
    import recipe  # beside peers

    pictures = replace(coloured(), test=coloured().valid)
    monkeypatch.setattr(recipe, "sets", lambda photos: {"made up": lambda size: pictures})
    monkeypatch.setattr(recipe, "three_sets", lambda name, images, split, most: images)
    file = tmp_path / "x.json"

    def start(run, *arguments):
        monkeypatch.setattr("sys.argv", ["recipe.py", f"--json={file}", *arguments])
        monkeypatch.setattr(recipe, "run", run)
        status = recipe.main()
        return status, json.loads(file.read_text(encoding="utf-8"))

    return start


def test_a_run_that_crashes_is_counted_and_ends_nothing(recipe_on, capsys):
    def crashes(*_):
        raise RuntimeError("singular")

    status, [row] = recipe_on(crashes, "--splits=1")
    assert status == 1 and row["crash"] == "RuntimeError: singular"
    assert "missed: made up 96 px" in capsys.readouterr().out


def test_a_run_with_sweeps_replaces_the_one_without_and_is_shown(recipe_on, capsys):
    asked = []

    def runs(images, split, cycles, sweeps):
        asked.append((split, sweeps))
        row = {"steps": {3: 0.5, 4: 0.5, 8: 0.75}, "tta": 0.75, "seconds": 1.0}
        row["logistic regression"] = 0.5
        if sweeps:
            row["heads"], row["step 8"] = {1e-3: 0.5, 1e-2: 0.625}, {"its own": 0.75, "a third": 0}
        return row

    recipe_on(runs, "--splits=2")
    status, rows = recipe_on(runs, "--splits=1", "--sweeps")
    assert status == 0 and sorted((row["split"], row["sweeps"]) for row in rows) == [
        (0, True), (1, False),
    ]  # fmt: skip
    assert "| 0.500 | 0.625 at 0.01 | 0.750 | 0.750 at its own |" in capsys.readouterr().out

    def crashes(*_):
        raise RuntimeError("full")

    recipe_on(crashes, "--splits=2", "--sweeps")  # of split 1 what was measured stays
    _, rows = recipe_on(runs, "--splits=2")  # nothing is left to do
    assert sum("crash" in row for row in rows) == 1 and sum("steps" in row for row in rows) == 2
    assert asked == [(0, False), (1, False), (0, True)]


def test_the_least_time_of_a_step_counts_its_multiplications(peers, monkeypatch):
    monkeypatch.setattr(peers, "multiply_adds_a_ms", lambda: 1.0)
    network = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 2))
    forward = 3 * (5 * 7 + 7 * 2)
    # Back to each layer's weights, and to the numbers between the two.
    assert peers.least_of_step(network, torch.ones(3, 5)) == 2 * forward + 3 * 7 * 2
    assert peers.least_of_body(224) == peers.MULTIPLY_ADDS == 4 * peers.least_of_body(112)


@pytest.mark.skipif(os.name == "nt", reason="there the commands are typed, without make")
def test_one_missed_target_keeps_no_other_benchmark_from_running(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "benchmarks").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "benchmarks" / f"{name}.py").touch()
    stand_in = f"VENV_PYTHON=sh -c 'echo ran $$0; [ $$0 != {Path('benchmarks', 'b.py')} ]'"
    made = [f"-o{name}" for name in (".venv/.ready-bench", ".venv/.ready-test", ".venv/.ready")]
    for place in made:
        Path(tmp_path, place[2:]).parent.mkdir(exist_ok=True)
        Path(tmp_path, place[2:]).touch()
    command = ["make", *made, "bench", stand_in]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    ran = [line for line in done.stdout.splitlines() if line.startswith("ran")]
    assert ran == [f"ran benchmarks/{name}.py" for name in ("a", "b", "c")]
    assert done.returncode and "something failed: benchmarks/b.py\n" in done.stderr
