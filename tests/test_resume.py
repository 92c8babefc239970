"""Training that is stopped or killed, at whatever moment, and goes on as if it had not been."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lessonkit import Learner, augment, data, eight_steps, models
from lessonkit.__main__ import main
from lessonkit.files import safe_files
from lessonkit.training import checkpoint as checkpoints
from lessonkit.training import distributed
from lessonkit.training.checkpoint import Checkpoint, CheckpointError
from lessonkit.training.history import Diverged, Interrupted
from lessonkit.training.optimizers import adamw, radam, sgd
from tests import small_train
from tests.tiny import coloured, creatures_folder

ROOT = Path(__file__).resolve().parent.parent
posix = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL and no fork there")


class Killed(BaseException):
    """As sudden as SIGKILL, for tests in one process: no handler in the code under test sees it."""


def learner(checkpoint=None, seed=0):
    images = coloured(36, 16, how=augment.side_on())
    model = models.small_cnn(3, width=4)
    return Learner(model, images, seed, batch_size=10, checkpoint=checkpoint)


def recipe(learn):
    """Everything that a recipe may do between its calls: freeze, choose, compare and put back."""
    learn.freeze()
    lr = min(learn.lr_find(steps=6).lowest / 10, 0.01)
    learn.fit(lr, 2)
    learn.unfreeze()
    learn.optimizer = partial(adamw, lr=0.1)
    learn.fit([1e-3, 2e-3, 4e-3], 2, cycle_len=1)
    best = {name: tensor.clone() for name, tensor in learn.model.state_dict().items()}
    with pytest.raises(Diverged):
        learn.fit(1e9, 2)
    learn.optimizer = radam
    learn.lr_find([0.1, 0.1, 1], steps=6)
    learn.freeze_to(1)
    learn.fit([0, 1e-3, 1e-3], 1, cycle_len=3)
    if learn.validate()[0] > 1e9:
        learn.model.load_state_dict(best)
    learn.optimizer = sgd
    learn.fit(1e-3, 1)
    return learn


def outcome(learn):
    """All that training leaves behind, but for seconds."""
    epochs = [{k: v for k, v in row.items() if k != "seconds"} for row in learn.history.epochs]
    weights = {name: tensor.tolist() for name, tensor in learn.model.state_dict().items()}
    state = learn.generator.get_state().tolist()
    return learn.history.lr, learn.history.loss, epochs, weights, state


@pytest.fixture(scope="module")
def uninterrupted():
    return outcome(recipe(learner()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The checkpoint of a run that has come to its end."""
    folder = tmp_path_factory.mktemp("whole") / "checkpoint"
    recipe(learner(Checkpoint(folder)))
    return folder


# --- killed, in one process -----------------------------------------------------------------------


class Floats(nn.Module):
    """A network that takes pictures as numbers from 0 to 1."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, images):
        return self.body(images.float() / 255)


def killed_at(call, method, monkeypatch):
    """`method` of Learner kills when it is called for the `call`-th time."""
    original, calls = getattr(Learner, method), []

    def until(self, *args):
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return original(self, *args)

    monkeypatch.setattr(Learner, method, until)


def run_killed(folder, call, method="_step"):
    """Whether the recipe came to its end before it was killed."""
    with pytest.MonkeyPatch.context() as patch:
        killed_at(call, method, patch)
        try:
            recipe(learner(Checkpoint(folder)))
        except Killed:
            return False
    return True


def assert_goes_on_where_it_was_killed(train, folder):
    """Killed before its third epoch and started again, `train(checkpoint)` ends as in one go."""
    with pytest.MonkeyPatch.context() as patch:
        killed_at(3, "_train_epoch", patch)
        with pytest.raises(Killed):
            train(Checkpoint(folder))
    assert train(Checkpoint(folder)) == train(None)


@pytest.mark.parametrize("batch", [1, 8, 9, 10, 13, 16, 20, 28, 31, 36])  # of 38
def test_killed_at_any_batch_a_run_ends_as_if_it_had_not_been(tmp_path, uninterrupted, batch):
    folder = tmp_path / "checkpoint"
    assert not run_killed(folder, batch)
    assert outcome(recipe(learner(Checkpoint(folder)))) == uninterrupted


@pytest.mark.parametrize("every", [18, 21])  # the finders' 12 batches run each time anew
def test_killed_again_and_again_a_run_ends_as_if_it_had_not_been(tmp_path, uninterrupted, every):
    folder, starts = tmp_path / "checkpoint", 1
    while not run_killed(folder, every):
        starts += 1
        assert starts < 20
    assert starts > 2
    assert outcome(recipe(learner(Checkpoint(folder)))) == uninterrupted  # answered, all of it


@pytest.mark.parametrize("write", [1, 2, 3, 7])
@pytest.mark.parametrize("moment", ["half-written", "before it has its name", "after"])
def test_killed_while_writing_a_run_ends_as_if_it_had_not_been(
    tmp_path, uninterrupted, monkeypatch, moment, write
):
    folder, replace, writes = tmp_path / "checkpoint", os.replace, []

    def killed(source, target):
        writes.append(target)
        if len(writes) == write:
            if moment == "half-written":
                os.truncate(source, 100)
            if moment == "after":
                replace(source, target)
            # A killed process removes nothing: the half-written file stays.
            monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        recipe(learner(Checkpoint(folder)))
    monkeypatch.undo()
    checkpoint = Checkpoint(folder)
    checkpoint.check()
    assert outcome(recipe(learner(checkpoint))) == uninterrupted
    checkpoint.remove()
    assert not folder.exists()


def test_a_run_that_has_ended_is_not_trained_again(tmp_path, whole, uninterrupted, monkeypatch):
    folder = shutil.copytree(whole, tmp_path / "checkpoint")
    steps = []
    step = Learner._step
    monkeypatch.setattr(Learner, "_step", lambda *args: steps.append(1) or step(*args))
    checkpoint = Checkpoint(folder)
    assert outcome(recipe(learner(checkpoint))) == uninterrupted
    assert len(steps) <= 12 + 3  # the finders', and those of the fit that diverges
    assert checkpoint.seconds > 0


def test_the_seconds_of_epochs_that_need_no_training_again_are_kept(tmp_path):
    began = time.perf_counter()
    learner(Checkpoint(tmp_path / "checkpoint")).fit(1e-3, 2)
    took, again = time.perf_counter() - began, Checkpoint(tmp_path / "checkpoint")
    learner(again).fit(1e-3, 2)
    assert 0 < again.seconds <= took


def test_of_several_processes_only_the_first_writes_and_removes(tmp_path, monkeypatch):
    first, second = Checkpoint(tmp_path / "first"), Checkpoint(tmp_path / "second")
    learner(first).fit(1e-3, 1)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    learner(second).fit(1e-3, 1)
    first.remove()
    assert first.exists() and not second.folder.exists()


def test_without_a_checkpoint_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    learner().fit(1e-3, 1)
    assert not list(tmp_path.iterdir())


def test_a_network_of_ones_own_with_single_numbers_as_weights_goes_on_too(tmp_path):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale, self.shift = nn.Parameter(torch.tensor(0.1)), nn.Parameter(torch.zeros(1))
            self.register_buffer("seen", torch.tensor(0))

        def forward(self, images):
            self.seen += 1
            return images.float().mean((2, 3)) * self.scale + self.shift

    def run(checkpoint):
        learn = Learner(Scaled(), coloured(), optimizer=adamw, checkpoint=checkpoint)
        learn.fit(0.01, 4)
        return outcome(learn)

    assert_goes_on_where_it_was_killed(run, tmp_path / "checkpoint")


def test_dropout_goes_on_with_the_draws_that_it_would_have_had(tmp_path):
    def run(checkpoint):
        torch.manual_seed(5)
        body = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.LazyLinear(3))
        body(torch.zeros(1, 3, 16, 16))
        learn = Learner(Floats(body), coloured(36, 16), optimizer=adamw, checkpoint=checkpoint)
        learn.fit(0.01, 4)
        return outcome(learn)

    assert_goes_on_where_it_was_killed(run, tmp_path / "checkpoint")


def test_draws_on_apples_chip_go_on_too(tmp_path, monkeypatch):
    first, again = (learner(Checkpoint(tmp_path / "checkpoint")) for _ in range(2))  # without one
    chip = [torch.tensor([1], dtype=torch.uint8)]
    there = cache(lambda: True)  # torch wants one with a cache
    monkeypatch.setattr(torch.backends.mps, "is_available", there)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: chip[-1])
    monkeypatch.setattr(torch.mps, "set_rng_state", chip.append)
    first.fit(1e-3, 1)
    chip.append(torch.tensor([2], dtype=torch.uint8))  # as in a process that begins anew
    again.fit(1e-3, 1)
    assert chip[-1].tolist() == [1]


class Darker:
    def __call__(self, images, generator=None):
        return images // 2


@pytest.mark.parametrize("make", [Darker, lambda: Darker().__call__, lambda: lambda x, _: x // 2])
def test_an_augmentation_of_ones_own_goes_on_too(tmp_path, make):
    made = []  # none goes, so that each has a place in memory of its own

    def run(checkpoint):
        learn = learner(checkpoint)
        made.append(make())
        learn.augment = made[-1]
        learn.fit(1e-3, 3)
        return outcome(learn)

    assert_goes_on_where_it_was_killed(run, tmp_path / "checkpoint")


def test_weights_that_are_tied_go_on_tied(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight

        def forward(self, images):
            return self.second(self.first(images.float().mean((2, 3)) / 255).relu())

    def run(checkpoint):
        torch.manual_seed(0)
        learn = Learner(Tied(), coloured(), optimizer=adamw, checkpoint=checkpoint)
        learn.fit(0.01, 3)
        assert learn.model.second.weight is learn.model.first.weight
        return outcome(learn)

    assert_goes_on_where_it_was_killed(run, tmp_path / "checkpoint")


# --- stopped by hand ------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", range(1, 10))
@pytest.mark.parametrize("checkpoint", [False, True])
def test_stopped_at_any_batch_the_learner_can_be_used_and_trained_on(tmp_path, batch, checkpoint):
    learn = learner(Checkpoint(tmp_path / "checkpoint") if checkpoint else None)
    with pytest.MonkeyPatch.context() as patch:
        original, calls = Learner._step, []

        def step(*args):
            calls.append(1)
            if len(calls) == batch:
                raise KeyboardInterrupt
            return original(*args)

        patch.setattr(Learner, "_step", step)
        with pytest.raises(Interrupted, match="history so far is kept"):
            learn.fit(0.01, 3)
    assert len(learn.history.loss) == len(learn.history.lr) == batch - 1
    assert len(learn.history.epochs) == (batch - 1) // learn.n_batches
    assert not any(module.training for module in learn.model.modules())
    assert all(tensor.isfinite().all() for tensor in learn.model.state_dict().values())
    learn.save(tmp_path / "model.pt")
    pictures = learn.images.valid.images
    again = Learner.load(tmp_path / "model.pt")
    assert torch.equal(again.predict(pictures), learn.predict(pictures))
    learn.fit(0.01, 1)
    assert len(learn.history.loss) == batch - 1 + learn.n_batches


# --- checkpoints that do not fit ------------------------------------------------------------------


def refused(checkpoint, words):
    with pytest.raises(CheckpointError, match=words) as error:
        checkpoint.check()
    text = str(error.value)
    assert str(checkpoint.folder) in text and "delete" in text and "\n" not in text


def test_a_checkpoint_of_another_run_is_refused_with_what_differs(tmp_path):
    run = {"seed": 0, "pictures": "a" * 32}
    checkpoint = Checkpoint(tmp_path / "checkpoint", run)
    learner(checkpoint).fit(1e-3, 1)
    Checkpoint(checkpoint.folder, run).check()
    refused(Checkpoint(checkpoint.folder, run | {"seed": 1}), "seed was 0 and is 1 now")
    refused(Checkpoint(checkpoint.folder, run | {"pictures": "b" * 32}), "pictures differs")


def test_lrs_of_other_last_digits_are_the_same_fit(tmp_path):
    def fitted(lr, smoothing):
        learn = learner(Checkpoint(tmp_path / "ck"))
        learn.label_smoothing = smoothing
        learn.fit(lr, 2)
        return len(learn.history.epochs)

    assert fitted(1.2312e-3, 0.041931) == 2
    assert fitted(1.2312e-3 * (1 + 1e-7), 0.041931 * (1 - 1e-7)) == 2
    with pytest.raises(CheckpointError, match="something else"):
        fitted(1.3e-3, 0.041931)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    learner(Checkpoint(tmp_path / "ck")).fit(1e-3, 1)
    wider = Learner(
        models.small_cnn(3, width=8), learner().images, 0, batch_size=10,
        checkpoint=Checkpoint(tmp_path / "ck"),
    )  # fmt: skip
    with pytest.raises(CheckpointError, match="else"):
        wider.fit(1e-3, 1)


def test_a_head_goes_on_only_on_the_frozen_body_that_it_began_on(tmp_path):
    def head(seed):
        learn = learner(Checkpoint(tmp_path / "ck"))
        learn.model.load_state_dict(models.small_cnn(3, width=4, seed=seed).state_dict())
        learn.freeze()
        learn.fit(1e-3, 1)

    head(0)
    head(0)
    with pytest.raises(CheckpointError, match="something else"):
        head(1)


def test_schedules_that_differ_in_the_middle_are_different():
    learn = learner()
    optimizer = sgd(learn.model.parameters(), lr=0.1)
    even = np.full((3000, 1), 0.1)  # so long that numpy would print dots for most of it
    dented = even.copy()
    dented[1500] = 0.01
    one, other = (checkpoints._what(learn, optimizer, [lrs]) for lrs in (even, dented))
    assert one != other


@pytest.mark.parametrize("run", [{"folder": Path("photos")}, {"lr": np.float64(0.1)}])
def test_what_could_not_be_read_again_is_not_written(tmp_path, run):
    with pytest.raises(CheckpointError, match=r"make it str\(...\) or float\(...\)"):
        learner(Checkpoint(tmp_path / "ck", run)).fit(1e-3, 1)
    assert not (tmp_path / "ck").exists()


def test_a_checkpoint_of_other_code_is_refused(tmp_path):
    learner(Checkpoint(tmp_path / "checkpoint")).fit(1e-3, 1)
    with pytest.raises(CheckpointError, match="other code"):
        learner(Checkpoint(tmp_path / "checkpoint")).fit(2e-3, 1)
    with pytest.raises(CheckpointError, match="other code"):
        learner(Checkpoint(tmp_path / "checkpoint"), seed=1).fit(1e-3, 1)
    learn = learner(Checkpoint(tmp_path / "checkpoint"))
    learn.label_smoothing = 0.1
    with pytest.raises(CheckpointError, match="other code"):
        learn.fit(1e-3, 1)
    learn = learner(Checkpoint(tmp_path / "checkpoint"))
    learn.augment = augment.top_down()
    with pytest.raises(CheckpointError, match="other code, other settings"):
        learn.fit(1e-3, 1)
    assert not learn.history.loss and not learn.model.training


@pytest.mark.parametrize("part", [0, 3])
@pytest.mark.parametrize("harm", ["a bit", "the end", "everything", "another format", "objects"])
def test_a_damaged_checkpoint_is_refused_before_anything_is_trained(tmp_path, whole, harm, part):
    folder = shutil.copytree(whole, tmp_path / "checkpoint")
    path = sorted(folder.iterdir())[min(part, len(list(folder.iterdir())) - 1)]
    content = bytearray(path.read_bytes())
    if harm == "a bit":
        content[-3] ^= 4
    elif harm == "the end":
        del content[len(content) // 2 :]
    elif harm == "everything":
        content.clear()
    path.write_bytes(content)
    if harm == "another format":
        safe_files.write_tensors(path, {}, {})
    if harm == "objects":  # which would run code, well signed
        torch.save({"run": Path()}, path)
        path.write_bytes(hashlib.sha256(path.read_bytes()).digest() + path.read_bytes())
    refused(Checkpoint(folder), "damaged|another run")


def test_a_checkpoint_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch, uninterrupted):
    folder, replace, calls = tmp_path / "checkpoint", os.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=r"written \(No space left[^\]]*\): training goes on"):
        assert outcome(recipe(learner(Checkpoint(folder)))) == uninterrupted
    assert len(calls) == 4  # and no gap
    monkeypatch.undo()
    assert outcome(recipe(learner(Checkpoint(folder)))) == uninterrupted


def test_another_number_of_threads_is_told(tmp_path, monkeypatch):
    learner(Checkpoint(tmp_path / "checkpoint")).fit(1e-3, 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 48)
    with pytest.warns(UserWarning, match="number of threads: was .* and is 48 now"):
        Checkpoint(tmp_path / "checkpoint").check()


def test_what_began_on_a_processor_goes_on_where_gradients_are_scaled(tmp_path):
    learner(Checkpoint(tmp_path)).fit(1e-3, 1)
    learn = learner(Checkpoint(tmp_path))
    learn._half = torch.float16  # as on a graphics card without bfloat16
    learn.fit(1e-3, 1)
    assert learn._scaler.is_enabled() and len(learn.history.epochs) == 1


def test_the_scale_of_gradients_goes_on_too(tmp_path, monkeypatch):
    growing = partial(torch.amp.GradScaler, init_scale=8.0, growth_interval=1)
    monkeypatch.setattr(torch.amp, "GradScaler", growing)
    scales = []
    for _ in range(2):  # the second time the fit has been done
        learn = learner(Checkpoint(tmp_path))
        learn._half = torch.float16
        learn.fit(1e-3, 1)
        scales.append(learn._scaler.get_scale())
    assert scales[0] == scales[1] != 8


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return creatures_folder(tmp_path_factory.mktemp("photos"), 10)


@pytest.fixture
def begun(photos, tmp_path, monkeypatch):
    """Arguments of a `train` that Ctrl-C has stopped in its first step."""
    monkeypatch.chdir(tmp_path)

    def stopped(images, arch, seed, checkpoint, **_):
        learner(checkpoint).fit(1e-3, 1)
        raise KeyboardInterrupt

    monkeypatch.setattr("lessonkit.recipe.eight_steps", stopped)
    arguments = ["train", str(photos), "--size", "32"]
    assert main(arguments) == 130
    return arguments


def test_ctrl_c_says_how_to_go_on(begun, capsys):
    assert main([*begun, "--resume"]) == 130
    err = capsys.readouterr().err
    assert "Stopped" in err and "--resume" in err and "model.pt.resume" in err
    assert [path.name for path in Path().iterdir()] == ["model.pt.resume"]


def test_going_on_replaces_no_report_that_was_not_asked_for_before(begun, capsys):
    Path("mine.json").write_text("mine", encoding="utf-8")
    assert main([*begun, "--resume", "--report", "mine.json"]) == 2
    assert "mine.json exists" in capsys.readouterr().err


def test_without_resume_a_checkpoint_is_neither_used_nor_lost(begun, capsys):
    before = {path: path.read_bytes() for path in Path("model.pt.resume").iterdir()}
    capsys.readouterr()
    assert main(begun) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1 and "--resume" in err and "delete" in err and not out
    assert {path: path.read_bytes() for path in Path("model.pt.resume").iterdir()} == before
    assert main([*begun, "--resume"]) == 130


def test_a_run_whose_first_fit_diverged_at_once_is_there_to_go_on_from(tmp_path):
    kept = Checkpoint(tmp_path / "checkpoint")
    learn = learner(kept)
    with pytest.raises(Diverged):
        learn.fit(1e9, 1)
    learn.fit(1e-3, 1)
    assert [path.name for path in kept.folder.iterdir()] == ["0001.checkpoint"]
    assert Checkpoint(kept.folder).exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (["--size", "48"], "size was 32 and is 48 now"),
        (["--seed", "1"], "seed was 0 and is 1 now"),
        (["--augment", "none"], "augment was side_on and is none now"),
        (["--arch", "resnet18"], "arch was tf_efficientnet_lite0 and is resnet18 now"),
        ([], "pictures differs"),
    ],
)
def test_resuming_another_run_costs_one_line_and_status_2(begun, photos, capsys, changed, words):
    capsys.readouterr()
    if not changed:  # another picture of the same name
        first, second, *_ = sorted(photos.glob("bird/*"))
        shutil.copy(second, first)
    assert main([*begun, *changed, "--resume"]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "lessonkit:" in line]
    assert len(lines) == 1 and words in lines[0] and "delete" in lines[0]
    assert Path("model.pt.resume").is_dir()


def test_a_disk_that_is_full_at_the_end_says_how_to_go_on(begun, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "model.pt")

    monkeypatch.setattr("lessonkit.recipe.eight_steps", full)
    capsys.readouterr()
    assert main([*begun, "--resume"]) == 2
    err = capsys.readouterr().err
    assert "No space" in err and "what was done is in model.pt.resume" in err and "--resume" in err


SHORT = {
    "of a card": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "of a processor": RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    "of Python": MemoryError(),
}


@pytest.mark.parametrize("kind", SHORT)
def test_a_full_memory_says_how_to_go_on(begun, monkeypatch, capsys, kind):
    def full(*_, **__):
        raise SHORT[kind]

    monkeypatch.setattr("lessonkit.recipe.eight_steps", full)
    capsys.readouterr()
    assert main([*begun, "--resume"]) == 1
    err = capsys.readouterr().err
    assert "what was done is in model.pt.resume" in err
    assert "memory is full: close other programs, or train with a smaller --size." in err


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_checkpoint_among_the_pictures_is_taken_for_no_class(begun, photos, wrapped, capsys):
    shutil.copytree(photos, "pets/inner" if wrapped else "pets")
    os.chdir("pets")
    arguments = ["train", ".", "--size", "32"]
    assert main(arguments) == 130 and Path(".model.pt.resume").is_dir()
    before = capsys.readouterr().out
    assert main([*arguments, "--resume"]) == 130
    now = capsys.readouterr()
    assert now.out == before and ".resume gives no picture" not in now.err


def test_resume_with_nothing_to_resume_says_so_and_begins(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("model.pt.resume").mkdir()
    Path("model.pt.resume", ".0000.checkpoint.99.part").write_bytes(b"x")  # killed at once

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lessonkit.recipe.eight_steps", stopped)
    assert main(["train", str(photos), "--size", "32", "--resume"]) == 130
    err = capsys.readouterr().err
    assert "from the beginning" in err and "Nothing was written" in err
    assert not list(tmp_path.iterdir())


# --- real processes, really killed ----------------------------------------------------------------

# Starts `train` in a fork of its own, so that torch is imported once, and kills it: after so many
# seconds, or as soon as the checkpoint has a file of this name: one that is half-written.
KILLER = """
    import json, os, pathlib, signal, sys, time
    import timm, torch, torch._dynamo
    from lessonkit.__main__ import main
    from tests import small_train

    arguments, (kills, fewer) = sys.argv[1:-1], json.loads(sys.argv[-1])
    if fewer:
        small_train.fewer()
    checkpoint = pathlib.Path("model.pt.resume")
    for kill in kills:
        if (pid := os.fork()) == 0:
            os._exit(main([*arguments, "--resume"]))
        started, due = time.monotonic(), False
        while not due:
            time.sleep(0.001)
            waited = time.monotonic() - started
            due = any(checkpoint.glob(kill)) if isinstance(kill, str) else waited > kill
            if os.waitpid(pid, os.WNOHANG)[0]:
                sys.exit(0 if pathlib.Path("model.pt").exists() else 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        print("killed")
    sys.exit(main([*arguments, "--resume"]))
"""


def outcome_of(folder):
    """The model's bytes, the report without its seconds, and the seconds."""
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    seconds = report.pop("seconds"), [step.pop("seconds") for step in report["steps"]]
    return (folder / "model.pt").read_bytes(), report, seconds


def written_in_one_go(photos, tmp_path_factory, steps):
    """What a notebook writes that nothing stops; with nothing in the cache, which is full then."""
    folder = tmp_path_factory.mktemp("one")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LESSONKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        with steps():
            report = eight_steps(data.from_folder(photos, 32))
        report.learner.save(folder / "model.pt")
        report.write(folder / "report.json")
        yield outcome_of(folder)


@pytest.fixture(scope="module")
def in_one_go(photos, tmp_path_factory):
    yield from written_in_one_go(photos, tmp_path_factory, nullcontext)


@pytest.fixture(scope="module")
def in_one_short_go(photos, tmp_path_factory):
    yield from written_in_one_go(photos, tmp_path_factory, small_train.fewer)


def moments(draw, in_one_go, n):
    """`n` times to kill at, seconds: before a run on this machine can have come to its end."""
    seconds = in_one_go[2][0]
    return [draw.uniform(0.1, 0.8) * seconds for _ in range(n)]


def killed_and_resumed(folder, photos, kills, fewer=False):
    arguments = ["train", str(photos), "--size", "32", "--report", "report.json"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLER), *arguments, json.dumps([kills, fewer])],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "3",
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "killed" in done.stdout or not kills
    # Killed while it wrote model.pt, a process leaves a part, which is removed when a day old.
    names = {path.name for path in folder.iterdir() if not path.match(".model.pt.*.part")}
    assert names == {"model.pt", "report.json"}
    return outcome_of(folder)


@pytest.mark.slow
def test_the_command_line_also_killed_writes_a_notebooks_bytes(tmp_path, photos, in_one_short_go):
    kills = [".0000.*.part", *moments(random.Random(0), in_one_short_go, 1), ".0002.*.part"]
    kills = [] if sys.platform == "win32" else kills  # which has no SIGKILL
    model, report, (seconds, steps) = killed_and_resumed(tmp_path, photos, kills, fewer=True)
    assert report == in_one_short_go[1]
    assert model == in_one_short_go[0]
    assert seconds >= sum(steps) > 0


@posix
@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_process_killed_ten_times_is_resumed_bit_for_bit(tmp_path, photos, in_one_go, seed):
    draw = random.Random(seed)
    names = [f".000{draw.randrange(4)}.*.part" for _ in range(5)]
    kills = draw.sample([*names, *moments(draw, in_one_go, 5)], 10)
    model, report, _ = killed_and_resumed(tmp_path, photos, kills)
    assert report == in_one_go[1] and model == in_one_go[0]
