"""Several processes that train one network: the same steps, the same weights, one voice."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from lessonkit.learner import Learner
from lessonkit.training import distributed, processes
from tests import ranks
from tests.tiny import creatures_folder

ROOT = Path(__file__).resolve().parent.parent
WELL = ["gradients", "fits", "like_one_process", "resumed", "one_makes_for_all"]
BADLY = {
    "unequal": "failed: other weights",
    "too_small": "failed: A mini-batch of 1 pictures can't be shared by 2 processes",
    "one_raises": "failed: the second one ran out of memory",
    "one_dies": "lost",
}

# Two processes need two graphics cards, or none: so these tests see none.
ON_CPUS = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no fork there"),
]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What each case of tests/ranks.py came to: of both processes, and what they said."""
    folder = tmp_path_factory.mktemp("ranks")
    done = subprocess.run(
        [sys.executable, "-m", "tests.ranks", folder, *WELL, *BADLY],
        cwd=ROOT,
        env={**os.environ, **ON_CPUS},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr

    def case(name):
        results = [json.loads(p.read_text()) for p in sorted((folder / name).glob("[0-9].json"))]
        how = json.loads((folder / name / "ended.json").read_text())
        return results, (folder / name / "said").read_text(), how

    return {name: case(name) for name in [*WELL, *BADLY]}


@pytest.mark.parametrize("name", WELL)
def test_both_end_well_and_the_first_speaks(ended, name):
    results, said, how = ended[name]
    assert how["statuses"] == [0, 0] and len(results) == 2
    assert said.count("said by 0") == 1 and "said by 1" not in said


@pytest.mark.parametrize("rows", [8, 7])
@pytest.mark.parametrize("trains", ["all", "late", "head", "precompute"])
def test_the_gradient_of_a_step_is_that_of_the_joint_batch(ended, trains, rows):
    one, other = (result[f"{trains} {rows}"] for result in ended["gradients"][0])
    assert (one["rows"], other["rows"]) == (4, rows - 4)  # unequal shares too
    assert max(one["error"], other["error"]) < 1e-5
    assert one["loss"] == other["loss"] and one["moved"] and other["moved"]


def test_all_come_to_the_same_weights_losses_and_lr_curves_bit_for_bit(ended):
    one, other = ended["fits"][0]
    for what in ("weights", "loss", "rows", "found"):
        assert one[what] == other[what], what


def test_the_first_ones_statistics_are_kept(ended):
    assert [result["statistics"] for result in ended["fits"][0]] == [[0, 0, 0], [0, 0, 0]]


def test_only_the_first_that_asks_says_why_it_ends(monkeypatch):
    monkeypatch.setattr(processes, "_store", dist.HashStore())
    assert [processes.speaks() for _ in range(3)] == [True, False, False]


def test_who_can_reach_nobody_says_why_itself(monkeypatch):
    def gone(*_):
        raise RuntimeError("Connection reset by peer")

    monkeypatch.setattr(processes, "_store", SimpleNamespace(add=gone))
    assert processes.speaks()


def test_the_others_are_silent_whatever_they_say(told, monkeypatch, capsys):
    monkeypatch.setattr(processes, "rank", lambda: 1)
    with processes.joined():
        print("a file's name may hold bytes that are no text: \udcff")
    assert capsys.readouterr().out == ""


def test_each_process_sees_other_pictures_changed_in_its_own_way(ended):
    one, other = (result["inputs"] for result in ended["fits"][0])
    assert len(one) == len(other) == 4
    assert not set(one) & set(other)


def test_without_chance_two_processes_train_as_one_does(ended, monkeypatch):
    for result in ended["like_one_process"][0]:
        for what, alone in ranks.like_one_process().items():
            np.testing.assert_allclose(result[what], alone, rtol=1e-4, err_msg=what)


def test_the_first_one_writes_checkpoints_and_both_go_on_from_it(ended):
    one, other = ended["resumed"][0]
    assert one["same"] and other["same"]
    assert one["written"] == ["0000.checkpoint"] and not other["written"]


def test_what_is_computed_once_serves_all(ended):
    one, other = ended["one_makes_for_all"][0]
    assert (one["value"], other["value"]) == (0, 0)
    assert (one["made"], other["made"]) == (1, 0)
    assert (one["seen"], other["seen"]) == (False, True)


@pytest.mark.parametrize("name", BADLY)
def test_when_one_fails_or_dies_all_end_within_seconds_with_one_sentence(ended, name):
    _, said, how = ended[name]
    sentences = [line for line in said.splitlines() if line.startswith(("failed", "lost"))]
    assert len(sentences) == 1 and sentences[0].startswith(BADLY[name]), said
    assert "Traceback" not in said
    assert all(how["statuses"]) and how["seconds"] < 20


def test_a_single_process_does_what_it_always_did():
    learn = ranks.learner("side_on")
    assert (distributed.world_size(), distributed.rank()) == (1, 0)
    loss = torch.ones(())
    assert distributed.average(learn.model, loss, 3) is loss
    assert distributed.own_draws(learn.generator) is learn.generator
    with processes.joined():
        assert distributed.first(lambda: 3) == processes.in_turn(lambda: 3) == 3
    assert processes.speaks() and processes.speaks()


def test_each_process_draws_by_itself_and_by_the_seed_alone(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)

    def drawn(rank, seed):
        torch.rand(1)  # what the global generator says has no part in it
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        generator = torch.Generator().manual_seed(seed)
        before = generator.get_state()
        numbers = torch.rand(3, generator=distributed.own_draws(generator)).tolist()
        assert torch.equal(generator.get_state(), before)
        return tuple(numbers)

    one, again = ([drawn(rank, seed) for rank in (0, 1) for seed in range(100)] for _ in range(2))
    assert one == again and len(set(one)) == 200


def test_a_mean_over_processes_counts_each_row_once(monkeypatch):
    network, loss = nn.Linear(3, 2), torch.tensor(2.0)
    network.still = nn.Parameter(torch.zeros(4), requires_grad=False)
    here, there = ([torch.randn(2, 3), torch.randn(2)] for _ in range(2))
    network.weight.grad, network.bias.grad = (gradient.clone() for gradient in here)

    def all_reduce(total):  # with the sums of one process more, of a single row and a loss of 6
        total += torch.cat([*(gradient.flatten() for gradient in there), torch.tensor([6.0, 1.0])])

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    torch.testing.assert_close(distributed.average(network, loss, 3), torch.tensor(3.0))
    for p, mine, other in zip((network.weight, network.bias), here, there, strict=True):
        torch.testing.assert_close(p.grad, (3 * mine + other) / 4)


@pytest.mark.parametrize("local", [None, "0", "1"])
def test_the_first_on_each_machine_makes_what_the_others_wait_for(monkeypatch, local):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if local is not None:
        monkeypatch.setenv("LOCAL_RANK", local)
    happened = []
    monkeypatch.setattr(processes, "world_size", lambda: 2)
    monkeypatch.setattr(processes, "_patient", "for long")
    monkeypatch.setattr(dist, "barrier", lambda group="": happened.append(f"waited {group}"))
    assert processes.in_turn(lambda: happened.append("made") or 3) == 3
    order = ["made", "waited for long"]
    assert happened == (order[::-1] if local == "1" else order)


# --- one process that is told of others -----------------------------------------------------------


@pytest.fixture
def told(monkeypatch):
    """As torchrun starts the second of two; it finds nobody else. How long it would wait."""
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_PORT": "65535"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("_store", "_patient"):
        monkeypatch.setattr(processes, name, None)
    waits = []

    def rendezvous(url, timeout=None):
        waits.append(timeout)
        return iter([(dist.HashStore(), 0, 1)])

    monkeypatch.setattr(dist, "rendezvous", rendezvous)
    stops = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(stop, lambda *_: pytest.fail("not heard")) for stop in stops]
    yield waits
    for stop, handler in zip(stops, before, strict=True):
        signal.signal(stop, handler)
    if dist.is_initialized():
        dist.destroy_process_group()


def test_within_the_block_the_first_speaks_and_hears_and_after_it_all_part(told, capsys):
    heard = signal.getsignal(signal.SIGINT)
    with processes.joined():
        assert dist.is_initialized() and signal.getsignal(signal.SIGINT) is heard
        print("said")
    assert capsys.readouterr().out == "said\n" and told == [processes.TIMEOUT]
    assert not dist.is_initialized()


def test_what_torchrun_sends_when_another_one_has_ended_is_heard_once(told):
    meanwhile = []
    with pytest.raises(processes.Lost), processes.joined():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            meanwhile.append(signal.getsignal(signal.SIGTERM))
    assert meanwhile == [signal.SIG_DFL]  # a second one would end it on the spot
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN  # it is ending already


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("NCCL communicator was aborted"), True),
        (RuntimeError("[pair.cc:525] Connection closed by peer"), True),
        (dist.DistError("broken"), True),
        (RuntimeError("out of memory"), False),
        (ValueError("a connection"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_an_error_in_speaking_to_the_others_means_that_one_is_lost(told, error, lost):
    with pytest.raises(processes.Lost if lost else type(error)) as raised, processes.joined():
        raise error
    assert (raised.value is error) != lost


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORLD_SIZE", "two"), ("WORLD_SIZE", "-2"), ("WORLD_SIZE", "²"), ("RANK", "2"),
        ("RANK", ""), ("LOCAL_RANK", "0.5"), ("MASTER_PORT", "65536"),
    ],
)  # fmt: skip
def test_what_torchrun_cannot_have_set_is_named(told, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"variable {name} is"), processes.joined():
        pytest.fail("joined")
    assert not told


def test_why_nobody_can_be_reached_is_part_of_a_sentence(told, monkeypatch):
    def rendezvous(*_, **__):
        raise dist.DistNetworkError("nobody\n  answers.")

    monkeypatch.setattr(dist, "rendezvous", rendezvous)
    heard = [signal.getsignal(stop) for stop in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(ValueError, match=r"another: nobody answers\. Set GLOO"), processes.joined():
        pytest.fail("joined")
    assert [signal.getsignal(stop) for stop in (signal.SIGINT, signal.SIGTERM)] == heard


# --- torchrun -------------------------------------------------------------------------------------


def torchrun(folder, photos, *more, module="lessonkit"):
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", module, "train", str(photos), "--size", "32", "--report", "r.json", *more],
        cwd=folder,
        env={**os.environ, **ON_CPUS, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def workers(launcher):
    """Process numbers of the trainings that `launcher` has started, by rank."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout
    rows = [line.split() for line in listed.splitlines()[1:]]
    return sorted(int(pid) for pid, parent in rows if int(parent) == launcher.pid)


def files(folder):
    report = json.loads((folder / "r.json").read_text())
    report.pop("seconds")
    for step in report["steps"]:
        step.pop("seconds")
    return (folder / "model.pt").read_bytes(), report


def killed_then_resumed(folder, photos, victim, record, **how):
    """What torchrun said when one of its processes was killed, and when it was started again."""
    process = torchrun(folder, photos, **how)
    deadline = time.monotonic() + 120
    while not (folder / "model.pt.resume" / record).exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(workers(process)[victim], signal.SIGKILL)
    killed = time.monotonic()
    first = process.communicate(timeout=60)[0]
    assert process.returncode != 0 and time.monotonic() - killed < 30
    process = torchrun(folder, photos, "--resume", **how)
    second = process.communicate(timeout=300)[0]
    assert process.returncode == 0, second
    return first, second


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return creatures_folder(tmp_path_factory.mktemp("photos"), 12)


def test_torchrun_says_once_that_one_died_and_resumes(tmp_path, photos):
    first, second = killed_then_resumed(
        tmp_path, photos, 1, "0001.checkpoint", module="tests.small_train"
    )
    assert first.count("another process ended") == 1
    assert "model.pt.resume: the same command with --resume goes on" in first
    ours = first.partition("another process ended")[0]
    assert "Traceback" not in ours  # what follows is torchrun's own report
    assert second.count("The model is in model.pt.") == 1
    assert len(re.findall("^8 train the whole network$", second, re.M)) == 1  # one of them speaks
    assert len(re.findall("^8 train the whole network .+", second, re.M)) == 1  # one table
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "r.json"}
    learn = Learner.load(tmp_path / "model.pt")
    assert learn.classes == files(tmp_path)[1]["classes"]


@pytest.mark.soak
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("record", ["0000.checkpoint", "0001.checkpoint", "0002.checkpoint"])
def test_torchrun_resumed_writes_what_it_would_have_written(tmp_path, photos, victim, record):
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    killed_then_resumed(tmp_path / "killed", photos, victim, record)
    process = torchrun(tmp_path / "whole", photos)
    assert process.communicate(timeout=300) and process.returncode == 0
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
