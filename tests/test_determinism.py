"""The same seed gives the same run, bit for bit: in Python, on the command line, with any cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lessonkit import Learner, augment, data, eight_steps, models
from tests import small_train
from tests.tiny import coloured, creatures_folder

ROOT = Path(__file__).resolve().parent.parent


def without_seconds(report):
    report.pop("seconds")
    for step in report["steps"]:
        step.pop("seconds")
    return report


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return creatures_folder(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of this file's own, empty at first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LESSONKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Path(os.environ["LESSONKIT_CACHE"])


@pytest.fixture(scope="module")
def report(photos, cache):
    """Of the 8 steps, with nothing in the cache."""
    assert not any(cache.iterdir())
    torch.rand(3)  # the command line's generator is in another state
    with small_train.small():
        return eight_steps(data.from_folder(photos, 32, seed=7), seed=7)


@pytest.mark.slow  # the course's own network: in test_resume.py
def test_a_notebook_and_the_command_line_with_a_full_cache_write_the_same_bytes(
    report, photos, tmp_path
):
    # Another order of dictionaries' keys, another state of all random generators, one process more.
    done = subprocess.run(
        [sys.executable, "-m", "tests.small_train", "train", photos, "--size", "32", "--seed", "7",
         "--report", "there.json"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONHASHSEED": "3",
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        },
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report.learner.save(tmp_path / "here.pt")
    report.write(tmp_path / "here.json")
    assert (tmp_path / "here.pt").read_bytes() == (tmp_path / "model.pt").read_bytes()
    here, there = (json.loads((tmp_path / n).read_text()) for n in ("here.json", "there.json"))
    assert without_seconds(here) == without_seconds(there)


def head_only(batch_size=10):
    learn = Learner(models.small_cnn(3, width=4), coloured(100), batch_size=batch_size)
    learn.freeze()
    learn.precompute = True
    return learn


def test_activations_do_not_depend_on_the_batch_size_of_the_learner_that_asked_first(
    tmp_path, monkeypatch
):
    made = []
    for batch_size in (3, 64):
        monkeypatch.setenv("LESSONKIT_CACHE", str(tmp_path / f"{batch_size}"))
        made.append(head_only(batch_size).activations())
    assert all(torch.equal(made[0][part], made[1][part]) for part in ("train", "valid"))


def test_activations_made_with_another_number_of_threads_are_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSONKIT_CACHE", str(tmp_path))
    head_only().activations()
    head_only().activations()
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 48)
    head_only().activations()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("preset", augment.PRESETS)
def test_every_augmentation_draws_from_the_seed_alone(preset):
    def losses(seed):
        torch.rand(3)
        images = coloured(how=augment.PRESETS[preset]())
        learn = Learner(models.small_cnn(3, width=4), images, seed, batch_size=10)
        learn.fit(0.01, 2)
        return learn.history.loss, learn.validate(tta=True)

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)


def test_a_saved_model_is_the_same_file_every_time(tmp_path):
    learn = Learner(models.small_cnn(3, width=4), coloured())
    for number in range(20):
        learn.save(tmp_path / f"{number}.pt")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
