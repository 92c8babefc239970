"""The ledger stands on runs that were made as it says, and that can be made again."""

import ast
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import __main__ as command_line
from experiments import claim_20_cycles_again as claim_20
from experiments import fingerprints, material, results, runner, table, training, transfer
from experiments.claims import CLAIMS
from lessonkit.course.datasets import embedded
from lessonkit.course.measured import ledger
from lessonkit.data import DataError, Split

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = [f"{number:02}" for number in range(1, 21)]
RUNNING = [claim for claim in CLAIMS.values() if claim.run]


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
    assert not reasons, f"{reasons}: make claims runs it anew"
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
def test_a_claim_says_all_that_it_must(claim):
    stated = claim.statement()
    wanted = ("title", "data", "network", "varies", "fixed", "measure")
    wanted += () if claim.number == "pool" else ("lesson", "hypothesis", "chapters")
    assert all(stated[name] for name in wanted)
    assert all(row["refuted"] and row["delta"] > 0 for row in stated["rows"])
    assert claim.seeds[0] >= 5 and len({row.name for row in claim.rows}) == len(claim.rows)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.number)
def test_the_file_of_results_states_what_the_claim_does(claim):
    stated = json.loads(json.dumps(claim.statement()))
    assert stated == results.load(claim.number)["claim"], "make claims writes it"


def test_what_is_stated_already_is_not_written_again(monkeypatch):
    monkeypatch.setattr(results, "save", lambda number, stored: pytest.fail(f"{number} is written"))
    results.state(RUNNING)


def test_the_table_is_the_one_that_the_stored_runs_give():
    stored = table.TABLE.read_text(encoding="utf-8")
    assert table.table() in stored and table.undecided() in stored


def test_what_one_claim_left_open_another_asks_of_runs_that_it_does_not_share():
    before = {run["seed"] for run in results.load("14")["runs"]}
    again = [claim_20.FIRST + run["seed"] for run in results.load("20")["runs"]]
    assert len(again) == CLAIMS["20"].seeds[1] and not before & set(again)
    [told] = [line for line in table.undecided().splitlines() if "14, cells, 8 cycles" in line]
    answer = ledger.entry("20", "cells, cycles").verdict
    assert told.endswith(f"claim 20 asks again, with new runs: {answer}.")


def test_every_claim_was_committed_before_its_first_stored_run():
    command = ["git", "rev-parse", "--is-shallow-repository"]
    if _git(command) != "false":
        pytest.skip("needs the repository's whole history")
    for claim in CLAIMS.values():
        [name] = [
            path.relative_to(ROOT).as_posix()
            for pattern in (f"claim_{claim.number}_*.py", f"{claim.number}.py")
            for path in (ROOT / "experiments").glob(pattern)
        ]
        first = [
            _git(["git", "log", "--diff-filter=A", "--format=%H", "--", path]).splitlines()[-1:]
            for path in (name, f"experiments/results/{claim.number}.json")
        ]
        if not first[1]:
            continue  # not run yet
        [stated], [ran] = first
        assert stated != ran, claim.number
        older = ["git", "merge-base", "--is-ancestor", stated, ran]
        assert subprocess.run(older, cwd=ROOT).returncode == 0, claim.number


def _git(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def test_tuning_and_test_tiles_lie_in_other_places_than_those_to_train_on():
    tiles, tuning = embedded.earth_tiles(), material._tuning_tiles()
    middles = (tiles.boxes[:, :2] + embedded.TILE // 2) // material.BLOCK
    blocks = [tuple(middle) for middle in middles[~tiles.valid]]
    tuned = {block for block, used in zip(blocks, tuning, strict=True) if used}
    trained = {block for block, used in zip(blocks, tuning, strict=True) if not used}
    tested = {tuple(middle) for middle in middles[tiles.valid]}
    assert not tuned & trained and not tuned & tested and not trained & tested
    assert min(np.bincount(tiles.labels[~tiles.valid][tuning], minlength=8)) >= 5


def test_a_seed_draws_its_own_digits_and_never_one_to_tune_or_test_with():
    first, second = (material.digits(seed, 500) for seed in (0, 1))
    assert not first.train.images.equal(second.train.images)
    assert first.valid.images.equal(second.valid.images)
    parts = [first.train, first.valid, material.digits(0, 500, "tuning").valid]
    seen = [{picture.numpy().tobytes() for picture in part.images} for part in parts]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert len(seen[a] & seen[b]) <= 1  # two people may draw the same 1


def test_a_seed_draws_its_own_cells_and_tunes_with_others():
    first, second = (material.cells(seed, 100, size=16) for seed in (0, 1))
    parts = [first.train, first.valid, material.cells(0, 100, "tuning", 16).valid]
    assert [len(part.labels) for part in parts] == [100, material.TEST, material.TUNING]
    assert not first.train.images.equal(second.train.images)
    assert not first.valid.images.equal(second.valid.images)
    seen = [{picture.numpy().tobytes() for picture in part.images} for part in parts]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert len(seen[a] & seen[b]) <= 2  # two cells of 16 px may look alike


def test_places_are_blocks_of_the_map_and_their_mean_is_that_of_all_tiles():
    sizes = material.place_sizes()
    right = torch.rand(sum(sizes), generator=torch.Generator().manual_seed(0)) < 0.7
    shares = material.by_place(right)
    assert len(sizes) == len(shares) > 20 and min(sizes) > 0
    assert np.average(shares, weights=sizes) == pytest.approx(right.float().mean().item())
    tiles = embedded.earth_tiles()
    middles = (tiles.boxes[tiles.valid][:, :2] + embedded.TILE // 2) // material.BLOCK
    assert len(sizes) == len({tuple(middle) for middle in middles})


def test_new_statistics_are_those_of_the_pictures_and_leave_the_network_alone():
    images = material.digits(0, 128)
    model = training.train(images, [0.1] * 8, 0).model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    anew = training.with_new_statistics(model, images.train.images)
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())
    first = next(part for part in anew.modules() if isinstance(part, torch.nn.BatchNorm2d))
    with torch.no_grad():
        seen = anew[0][1][0](anew[0][0](images.train.images))
    assert first.running_mean == pytest.approx(seen.mean((0, 2, 3)), abs=1e-3)
    weights = [name for name, _ in model.named_parameters()]
    assert all(anew.state_dict()[name].equal(before[name]) for name in weights)


def test_a_converged_head_is_where_its_loss_is_lowest():
    generator = torch.Generator().manual_seed(0)
    found, labels = torch.randn(60, 5, generator=generator), torch.arange(60) % 3
    images = replace(
        material.digits(0, 60), train=Split(found[:30], labels[:30]), classes=["a"] * 3
    )
    head = transfer.converged_head(images, found)
    loss = torch.nn.functional.cross_entropy(head(found), labels[:30].repeat(2))
    penalty = transfer.L2 * head.weight.square().sum()
    gradients = torch.autograd.grad(loss + penalty, head.parameters())
    assert max(part.abs().max().item() for part in gradients) < 1e-4


def _must_be_as_stored(number, lines):
    """Whether what `--check` says of a claim is what it may say on any machine."""
    assert len(lines) == len(CLAIMS[number].rows)
    assert not [line for line in lines if "NOT EQUAL" in line]
    # Seconds of a shared machine may fall outside once; accuracies and the work must not.
    timed = [row.name for row in CLAIMS[number].rows if row.timed]
    outside = [line for line in lines if "OUTSIDE" in line]
    assert not [line for line in outside if not any(f"{name}:" in line for name in timed)]


@pytest.fixture
def check(monkeypatch, capsys, cache):
    """Runs `--check` of a claim and a seed: its exit status, and the lines on the claim's rows."""

    def checked(number, seed):
        options = ["--check", "--claim", number, "--seeds", str(seed)]
        monkeypatch.setattr(sys, "argv", ["experiments", *options])
        status, said = command_line.main(), capsys.readouterr().out.splitlines()
        return status, [line for line in said if line.startswith(f"{number} seed {seed}: ")]

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    threads = torch.get_num_threads()
    yield checked
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_the_command_line_makes_a_run_again_and_finds_what_is_stored(check):
    status, lines = check("12", 1)
    _must_be_as_stored("12", lines)
    assert status == any("OUTSIDE" in line for line in lines)


@pytest.mark.parametrize(("stored", "status"), [(1.0, 0), (1.001, 1)])
def test_the_command_line_fails_where_a_stored_value_is_another(stored, status, shelf, check):
    runner.run_missing(runner.Book([CLAIMS["12"]], None), minutes=1)
    kept = results.load("12")
    kept["runs"][1]["values"]["with: accuracy"] = [stored, stored]
    results.save("12", kept)
    told, lines = check("12", 1)
    assert told == status == sum("NOT EQUAL" in line for line in lines)


@pytest.mark.slow
def test_a_run_made_again_gives_what_is_stored_and_a_new_one_what_is_expected(check):
    here = {"machine": results.machine(), "versions": results.versions()}
    is_alike = runner._made_alike(results.load("11")["runs"][0], here)
    for seed in [0, 1000] if is_alike else [1000]:  # elsewhere 0 would be a new one, too
        _, lines = check("11", seed)
        _must_be_as_stored("11", lines)


def _run_of_claim_12(seed=0, machine="one, AVX512", torch="2.14.1", difference=0.0):
    values = _equal_values(CLAIMS["12"])
    values["with: accuracy"] = [1.0 + difference, 1.0 + difference]
    return {"seed": seed, "values": values, "machine": machine, "versions": {"torch": torch}}


def _accuracy_compared(runs, again):
    """What `--check` says of claim 12's accuracy: the line, and whether it is as it must be."""
    compared = runner.compared(CLAIMS["12"], runs, again)
    [found] = [(line, good) for line, good in compared if line.startswith("accuracy")]
    return found


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
    line, good = _accuracy_compared(runs, again)
    assert line.split(": ")[-1] == said or f", {said} " in line
    assert good == fine


@pytest.mark.parametrize(("now", "said"), [(4e-5, "inside"), (2e-4, "OUTSIDE")])
def test_where_all_stored_runs_are_equal_only_what_is_shown_counts(now, said):
    runs = [_run_of_claim_12(seed, difference=0.0) for seed in range(6)]
    line, _ = _accuracy_compared(runs, _run_of_claim_12(9, difference=now, machine="one, AVX2"))
    assert f", {said} +0.0000 to +0.0000" in line


@pytest.mark.parametrize(("now", "said"), [(0.4 + 4e-5, ": equal"), (0.4 + 2e-4, ", OUTSIDE ")])
def test_a_run_far_from_the_others_may_be_made_again_elsewhere(now, said):
    runs = [_run_of_claim_12(seed, difference=0.4 * (seed == 0)) for seed in range(6)]
    line, good = _accuracy_compared(runs, _run_of_claim_12(0, difference=now, machine="one, AVX2"))
    assert said in line and good == (said == ": equal")


def test_correlations_over_networks_are_compared_too():
    runs = results.load("pool")["runs"]
    readers = [claim for claim in CLAIMS.values() if claim.runs_from == "pool"]
    lines = dict(runner.compared(CLAIMS["pool"], runs, runs[0]))
    assert len(lines) == sum(len(claim.rows) for claim in readers) and all(lines.values())
    sharper = {
        name: 2 * x if name == "high: sharpness" else x for name, x in runs[0]["values"].items()
    }
    found = dict(runner.compared(CLAIMS["pool"], runs, runs[0] | {"values": sharper}))
    assert [line for line, good in found.items() if not good and line.startswith("sharpness: ")]


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
def test_a_runner_that_is_told_to_stop_says_so():
    command = [sys.executable, "-m", "experiments", "--check", "--claim", "02", "--seeds", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, **pipes)
    assert any("is running" in line for line in process.stdout)
    process.terminate()
    assert "Stopped." in process.communicate(timeout=60)[1]
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--claim", "77"], "There is no claim 77"),
        (["--claim", "12", "--check"], "Say which seeds"),
        (["--claim", "12", "--seeds", "0", "--renew"], "--renew goes with --check"),
    ],
)
def test_a_slip_at_the_command_line_gets_one_sentence(options, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["experiments", *options])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert command_line.main() == 2
    sentence = capsys.readouterr().err
    assert said in sentence and len(sentence.splitlines()) == 1


def test_all_claims_together_stay_within_the_budget():
    assert sum(claim.minutes for claim in RUNNING) <= 60 * table.HOURS


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """A place for results, where runs take no time: a list of those that were made."""
    made = []

    def one_run(number, seed, tuned):
        made.append(seed)
        values = _equal_values(CLAIMS[number])
        return {"seed": seed, "values": values, "seconds": 60.0, "versions": {}, "machine": ""}

    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(runner, "_must_be_committed", lambda claim: None)
    monkeypatch.setattr(runner, "one_run", one_run)
    return made


def test_a_runner_that_was_stopped_goes_on_with_the_next_run(shelf, monkeypatch):
    claim, stopping = CLAIMS["12"], runner.one_run

    def stopped_at_2(number, seed, tuned):
        if seed == 2:
            raise KeyboardInterrupt
        return stopping(number, seed, tuned)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, "one_run", stopped_at_2)
        runner.run_missing(runner.Book([claim], None), minutes=1)
    assert [run["seed"] for run in results.load("12")["runs"]] == shelf == [0, 1]
    runner.run_missing(runner.Book([claim], None), minutes=1)
    assert shelf == list(range(claim.seeds[0]))  # none again, and no more: nothing varies


@pytest.mark.parametrize("spread", [0.0, 0.001, 1.0])
def test_seeds_follow_the_width_of_the_interval_and_end_with_the_budget(spread, shelf, monkeypatch):
    claim, plain = replace(CLAIMS["12"], seeds=(5, 40), minutes=30.0), runner.one_run

    def varying(number, seed, tuned):
        run = plain(number, seed, tuned)
        run["values"]["with: accuracy"] = [0.5 + 9.0 + spread * (-1) ** seed] * 2  # large, or not
        return run

    monkeypatch.setattr(runner, "one_run", varying)
    runner.run_missing(runner.Book([claim], None), minutes=1)
    row = claim.statement()["rows"][1]
    narrow = table.half_width(row, results.load("12")["runs"]) <= table.HALF
    assert len(shelf) == {0.0: 5, 1.0: 31}.get(spread, len(shelf))  # a minute each, 30 are over
    assert narrow == (spread < 1.0)


def test_a_claim_without_its_pictures_is_left_out_in_a_sentence(shelf, monkeypatch, capsys):
    monkeypatch.delenv(material.PHOTOS, raising=False)
    fake = runner.one_run

    def without_trash(number, seed, tuned):
        return CLAIMS[number].run(seed, tuned) if number == "15" else fake(number, seed, tuned)

    monkeypatch.setattr(runner, "one_run", without_trash)
    runner.run_missing(runner.Book([CLAIMS["15"], CLAIMS["12"]], None), minutes=1)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("15: ")]
    assert len(said) == 1 and "--photos" in said[0] and "data/README.md" in said[0]
    assert len(shelf) == CLAIMS["12"].seeds[0] and not results.load("15")["runs"]


@pytest.mark.parametrize("equal", [True, False])
def test_stale_runs_are_renewed_only_by_one_that_gives_the_same_values(shelf, monkeypatch, equal):
    claim, same = CLAIMS["12"], runner.one_run
    runner.run_missing(runner.Book([claim], None), minutes=1)
    stored = results.load("12")
    results.save("12", stored | {"code": "of before"})

    def other(number, seed, tuned):
        run = same(number, seed, tuned)
        values = run["values"] | {"with: accuracy": 1.000001}
        return run if equal else run | {"values": values}

    monkeypatch.setattr(runner, "one_run", other)
    runner.check([claim], [0], renew=False)
    assert fingerprints.stale(claim, results.load("12"))
    runner.check([claim], [0], renew=True)
    assert bool(fingerprints.stale(claim, results.load("12"))) == (not equal)
    assert results.load("12")["runs"] == stored["runs"]


def test_a_claim_without_runs_is_not_checked(shelf):
    with pytest.raises(runner.Stop, match="Nothing is stored of claim 12"):
        runner.check([CLAIMS["12"]], [0])


def test_photos_in_a_folder_that_lacks_a_class_are_refused(monkeypatch, tmp_path):
    (tmp_path / "trash" / "glass").mkdir(parents=True)
    monkeypatch.setenv(material.PHOTOS, str(tmp_path))
    with pytest.raises(DataError, match="has no folders cardboard"):
        material.trash_folder()


def test_only_what_is_missing_is_run(monkeypatch, tmp_path):
    claim = CLAIMS["12"]
    values = _equal_values(claim)
    done = [{"seed": seed, "values": values, "seconds": 1.0} for seed in range(claim.seeds[0])]
    stored = {"claim": {}, **fingerprints.of(claim), "tuned": None, "runs": done}
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    results.save("12", stored)
    assert runner.Book([claim], None).next() is None  # all seeds, and nothing varies
    assert runner.Book([claim], [0, 31]).next() == ("12", 31)
    stored["runs"] = done[1:]
    results.save("12", stored)
    assert runner.Book([claim], None).next() == ("12", 0)


def _equal_values(claim):
    values = {"places": [3, 5]}
    for row in claim.rows:
        values |= {name: [1.0, 1.0] if row.places else 1.0 for name in (row.plus, row.minus)}
    return values


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
        ("lessonkit.files.cache", "return ", "return not ", {}),
        ("lessonkit.images.decode", "return ", "return not ", {}),  # tested against Pillow
        ("lessonkit.images.folder", "return ", "return not ", {"kit": "folder"}),
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
    assert set(stored["pictures"]) == {"digits", "tiles", "trash"}
    assert set(fingerprints.of(CLAIMS["12"])["pictures"]) == {"tiles"}
    stored["pictures"]["tiles"] = "other tiles"
    assert "pictures now: tiles" in fingerprints.stale(claim, stored)["pictures"]
    assert set(fingerprints.stale(claim, {})) == fingerprints.REASONS


def test_pictures_that_are_not_here_make_nothing_stale_and_others_do(monkeypatch, tmp_path):
    claim, known = CLAIMS["15"], {}
    monkeypatch.setattr(fingerprints, "_of_files", lambda folder: known.get(folder.name, "here"))
    monkeypatch.setitem(fingerprints.FOLDERS, "trash", lambda: tmp_path / "trash")
    stored = fingerprints.of(claim)
    assert stored["pictures"]["trash"] == "here"
    known["trash"] = "others"
    assert "now: trash." in fingerprints.stale(claim, stored)["pictures"]
    monkeypatch.setitem(fingerprints.FOLDERS, "trash", material.trash_folder)
    monkeypatch.delenv(material.PHOTOS, raising=False)
    assert fingerprints.of(claim)["pictures"]["trash"] is None
    assert fingerprints.stale(claim, stored) == {}


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
