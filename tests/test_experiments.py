"""The ledger stands on runs that were made as it says, and that can be made again."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import __main__ as command_line
from experiments import fingerprints, results, runner
from experiments.claims import CLAIMS
from lessonkit.course.datasets import embedded
from lessonkit.course.measured import ledger

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = [f"{number:02}" for number in range(1, 16)]
RUNNING = [claim for claim in CLAIMS.values() if claim.run]
# Runs that are stale for these reasons fail; for others, "kit" and "pictures", they are warned of.
FAILING = {"code"}


def test_every_claim_of_the_lesson_has_its_rows_with_runs_behind_them():
    assert [number for number in CLAIMS if number != "pool"] == NUMBERS
    for entry in ledger.entries():
        claim = CLAIMS[entry.number]
        least = CLAIMS[claim.runs_from or claim.number].seeds[0]
        assert len(ledger.runs(entry.number)) >= least, f"{entry.number} {entry.name}"
    assert {entry.number for entry in ledger.entries()} == set(NUMBERS)


@pytest.mark.parametrize("claim", RUNNING, ids=lambda claim: claim.number)
def test_what_is_stored_was_run_by_the_code_that_stands_here(claim):
    stored = results.load(claim.number)
    reasons = fingerprints.stale(claim, stored)
    assert not FAILING & set(reasons), f"{reasons}: make claims runs it anew"
    if reasons:
        warning = f"The runs of claim {claim.number} are stale. {' '.join(reasons.values())}"
        warnings.warn(warning, stacklevel=1)
    seeds = [run["seed"] for run in stored["runs"]]
    assert seeds == sorted(set(seeds))
    assert all(run["seconds"] > 0 and run["machine"] and run["versions"] for run in stored["runs"])


def test_code_is_the_same_code_in_every_version_of_python():
    function = "arguments(posonlyargs=[], args=[arg(arg='x')], kwonlyargs=[], kw_defaults=[], "
    function += "defaults=[])"
    returned = "Return(value=Constant(value=None))"
    as_in_311 = f"FunctionDef(name='f', args={function}, body=[{returned}], decorator_list=[])"
    tree = ast.parse("def f(x):\n    return None")
    assert fingerprints._tree(tree) == f"Module(body=[{as_in_311}], type_ignores=[])"


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.number)
def test_a_claim_says_all_that_it_must_and_the_file_says_the_same(claim):
    stated = claim.statement()
    assert json.loads(json.dumps(stated)) == results.load(claim.number)["claim"]
    wanted = ("title", "data", "network", "varies", "fixed", "measure")
    wanted += () if claim.number == "pool" else ("lesson", "hypothesis", "chapters")
    assert all(stated[name] for name in wanted)
    assert all(row["refuted"] and row["delta"] > 0 for row in stated["rows"])


def test_the_table_is_the_one_that_the_stored_runs_give():
    assert ledger.table() in ledger.TABLE.read_text(encoding="utf-8")


def test_every_claim_was_committed_before_its_first_stored_run():
    command = ["git", "rev-parse", "--is-shallow-repository"]
    if _git(command) != "false":
        pytest.skip("needs the repository's whole history")
    for claim in RUNNING:
        name = claim.run.__module__.replace(".", "/") + ".py"
        first = [
            _git(["git", "log", "--diff-filter=A", "--format=%H", "--", path]).splitlines()[-1:]
            for path in (name, f"experiments/results/{claim.number}.json")
        ]
        if not all(first):
            pytest.skip("the results aren't committed yet")
        [stated], [ran] = first
        assert stated != ran, claim.number
        older = ["git", "merge-base", "--is-ancestor", stated, ran]
        assert subprocess.run(older, cwd=ROOT).returncode == 0, claim.number


def _git(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def test_tuning_and_test_tiles_lie_in_other_places_than_those_to_train_on():
    from experiments import material

    tiles, tuning = embedded.earth_tiles(), material._tuning_tiles()
    middles = (tiles.boxes[:, :2] + embedded.TILE // 2) // material.BLOCK
    blocks = [tuple(middle) for middle in middles[~tiles.valid]]
    tuned = {block for block, used in zip(blocks, tuning, strict=True) if used}
    trained = {block for block, used in zip(blocks, tuning, strict=True) if not used}
    tested = {tuple(middle) for middle in middles[tiles.valid]}
    assert not tuned & trained and not tuned & tested and not trained & tested
    assert min(np.bincount(tiles.labels[~tiles.valid][tuning], minlength=8)) >= 5


def test_a_seed_draws_its_own_digits_and_never_one_to_tune_or_test_with():
    from experiments import material

    first, second = (material.digits(seed, 500) for seed in (0, 1))
    assert not first.train.images.equal(second.train.images)
    assert first.valid.images.equal(second.valid.images)
    parts = [first.train, first.valid, material.digits(0, 500, "tuning").valid]
    seen = [{picture.numpy().tobytes() for picture in part.images} for part in parts]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert len(seen[a] & seen[b]) <= 1  # two people may draw the same 1


def _must_be_as_stored(number, lines):
    """Whether what `--check` says of a claim is what it may say on any machine."""
    assert len(lines) == len(CLAIMS[number].rows)
    assert not [line for line in lines if "NOT EQUAL" in line]
    # Seconds of a shared machine may fall outside once; accuracies and the work must not.
    timed = [row.name for row in CLAIMS[number].rows if row.timed]
    outside = [line for line in lines if "OUTSIDE" in line]
    assert not [line for line in outside if not any(f"{name}:" in line for name in timed)]


@pytest.mark.slow
def test_the_command_line_makes_a_run_again_and_finds_what_is_stored():
    command = [sys.executable, "-m", "experiments", "--check", "--claim", "12", "--seeds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("12 seed 1: ")]
    _must_be_as_stored("12", lines)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1000])
def test_a_run_made_again_gives_what_is_stored_and_a_new_one_what_is_expected(seed, cache):
    stored, threads = results.load("11"), torch.get_num_threads()
    try:
        again = runner.one_run("11", seed, stored["tuned"])
    finally:
        torch.set_num_threads(threads)
    lines = [line for line, _ in runner.compared(CLAIMS["11"], stored["runs"], again)]
    _must_be_as_stored("11", lines)


def _run_of_claim_12(seed=0, machine="one, AVX512", torch="2.14.1", difference=0.0):
    values = {name: 1.0 + seed / 100 for row in CLAIMS["12"].rows for name in (row.plus, row.minus)}
    values["with: accuracy"] += difference
    return {"seed": seed, "values": values, "machine": machine, "versions": {"torch": torch}}


@pytest.mark.parametrize(
    ("difference", "elsewhere", "said", "fine"),
    [
        (0.0, {}, "equal", True),
        (0.001, {}, "NOT EQUAL", False),
        (0.001, {"machine": "one, AVX2"}, "inside", True),
        (0.001, {"torch": "2.15.0"}, "inside", True),
        (0.4, {"machine": "one, AVX2"}, "OUTSIDE", False),
    ],
)
def test_equal_bits_are_asked_for_on_the_same_kind_of_machine_only(
    difference, elsewhere, said, fine
):
    runs = [_run_of_claim_12(seed, difference=0.002 * (-1) ** seed) for seed in range(6)]
    again = _run_of_claim_12(0, difference=0.002 + difference, **elsewhere)
    [(line, good)] = [
        (line, good)
        for line, good in runner.compared(CLAIMS["12"], runs, again)
        if line.startswith("accuracy")
    ]
    assert line.split(": ")[-1] == said or f", {said} " in line
    assert good == fine


def test_another_instruction_set_is_another_kind_of_machine(monkeypatch):
    here = results.machine()
    other = "avx2" if "DEFAULT" in here else "default"
    code = "from experiments import results; print(results.machine())"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "ATEN_CPU_CAPABILITY": other},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert len({here, told.stdout.strip(), results.machine()}) == 3


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
def test_a_runner_that_is_told_to_stop_leaves_no_process_behind():
    command = [sys.executable, "-m", "experiments", "--check", "--claim", "02", "--seeds", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    _wait_until(lambda: len(_session_of(process.pid)) > 2)  # the runner, and what it has started
    process.terminate()
    assert "Stopped." in process.communicate(timeout=30)[1].decode()
    assert process.returncode == 130
    _wait_until(lambda: not _session_of(process.pid))


def _session_of(leader):
    """The processes of a session that are alive."""
    listed = subprocess.run(["ps", "-eo", "sid=,pid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [pid for sid, pid, state in rows if sid == str(leader) and not state.startswith("Z")]


def _wait_until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--claim", "77"], "There is no claim 77"),
        (["--claim", "12", "--check"], "Say which seeds"),
    ],
)
def test_a_slip_at_the_command_line_gets_one_sentence(options, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["experiments", *options])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert command_line.main() == 2
    sentence = capsys.readouterr().err
    assert said in sentence and len(sentence.splitlines()) == 1


def test_only_what_is_missing_is_run(monkeypatch, tmp_path):
    claim = CLAIMS["12"]
    done = [{"seed": seed, "values": _equal_values(claim)} for seed in range(claim.seeds[0])]
    stored = {"claim": {}, **fingerprints.of(claim), "tuned": None, "runs": done}
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    results.save("12", stored)
    assert runner.Book([claim], None).next() is None  # all seeds, and nothing varies
    assert runner.Book([claim], [0, 31]).next() == ("12", 31)
    stored["runs"] = done[1:]
    results.save("12", stored)
    assert runner.Book([claim], None).next() == ("12", 0)


def _equal_values(claim):
    return {name: 1.0 for row in claim.rows for name in (row.plus, row.minus) if name}


@pytest.fixture
def changed(monkeypatch, tmp_path):
    """Changes a module for the fingerprints: (its name, what is there, what shall be there)."""
    real, written = fingerprints._path, {}
    monkeypatch.setattr(fingerprints, "_path", lambda name: written.get(name) or real(name))

    def change(name, old, new):
        text = real(name).read_text(encoding="utf-8")
        assert old in text
        written[name] = tmp_path / f"{name}.py"
        written[name].write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


CLAIM_12 = "experiments.claim_12_precompute"


@pytest.mark.parametrize(
    ("module", "old", "new", "stale"),
    [
        (CLAIM_12, "CLAIM = Claim(", "# a word more\nCLAIM = Claim(", {}),
        (CLAIM_12, '"""Precomputed', '"""Or is it? Precomputed', {}),
        (CLAIM_12, "import torch", "import torch\nimport json", {}),
        (CLAIM_12, "LR = 256, 48, 2, 1e-3", "LR = 256, 48, 3, 1e-3", {"code": "own code"}),
        ("experiments.transfer", "ARCH =", "ARCH2 =", {"code": "own code"}),
        ("lessonkit.learner", '"""', '"""More: ', {}),
        ("lessonkit.training.optimizers", "0.9", "0.8", {"kit": "optimizers"}),
        ("lessonkit.images.image_data", "return ", "return not ", {"kit": "image_data"}),
        ("lessonkit.plot", "return ", "return not ", {}),  # pictures of results: no value
        ("lessonkit.recipe", "return ", "return not ", {}),  # nothing that this claim runs
    ],
)
def test_runs_are_stale_when_what_they_stand_on_changes_but_not_its_words(
    module, old, new, stale, changed
):
    claim = CLAIMS["12"]
    stored = fingerprints.of(claim)
    changed(module, old, new)
    reasons = fingerprints.stale(claim, stored)
    assert set(reasons) == set(stale)
    assert all(part in reasons[name] for name, part in stale.items())


def test_a_module_that_has_only_moved_makes_nothing_stale():
    claim = CLAIMS["12"]
    stored = fingerprints.of(claim)
    stored["kit"]["lessonkit.optimisers"] = stored["kit"].pop("lessonkit.training.optimizers")
    assert fingerprints.stale(claim, stored) == {}
    del stored["kit"]["lessonkit.optimisers"]
    assert "lessonkit.training.optimizers" in fingerprints.stale(claim, stored)["kit"]


def test_other_pictures_make_runs_stale_and_runs_without_a_fingerprint_are():
    claim = CLAIMS["05"]
    stored = fingerprints.of(claim)
    assert set(stored["pictures"]) == {"creatures", "digits", "earth"}
    assert set(fingerprints.of(CLAIMS["12"])["pictures"]) == {"digits", "earth"}
    stored["pictures"]["earth"] = "other tiles"
    assert "pictures now: earth" in fingerprints.stale(claim, stored)["pictures"]
    assert set(fingerprints.stale(claim, {})) == {"code", "kit", "pictures"}


def test_of_pictures_each_byte_and_each_name_counts_and_words_do_not(tmp_path):
    def fingerprint(**files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_bytes(content)
        return fingerprints._of_files(folder)

    whole = fingerprint(a_png=b"1", b_jpg=b"2")
    assert whole == fingerprint(b_jpg=b"2", a_png=b"1", CREDITS_csv=b"thanks")
    others = {fingerprint(a_png=b"1", b_jpg=b"3"), fingerprint(a_png=b"12", b_jpg=b"")}
    others |= {fingerprint(a_png=b"1", c_jpg=b"2"), fingerprint(a_png=b"1"), fingerprint()}
    assert len(others | {whole}) == 6


def test_runs_that_are_stale_are_said_to_be_and_made_anew(monkeypatch, tmp_path, capsys):
    claim = CLAIMS["12"]
    done = [{"seed": seed, "values": _equal_values(claim)} for seed in range(claim.seeds[0])]
    stored = {"claim": {}, **fingerprints.of(claim), "tuned": None, "runs": done}
    stored["kit"] = {**stored["kit"], "lessonkit.models": "0123"}
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(runner, "_must_be_committed", lambda claim: None)
    results.save("12", stored)
    book = runner.Book([claim], None)
    assert "12: the stored runs are stale. Other parts of lessonkit now: lessonkit.models." in (
        capsys.readouterr().out
    )
    assert book.next() == ("12", 0)
    assert book.stored["12"]["kit"] == fingerprints.of(claim)["kit"]
