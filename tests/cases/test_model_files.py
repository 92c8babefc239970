"""Models read from and written to places of many kinds."""

import math
import os
import sys

import pytest
from safetensors.torch import save_file

from lessonkit import Learner, models
from lessonkit.augment import Augment
from lessonkit.files import safe_files
from lessonkit.files.fingerprint import fingerprint
from lessonkit.training.checkpoint import Checkpoint
from tests.tiny import coloured


def small():
    return Learner(models.small_cnn(3, 4), coloured(), device="cpu")


def test_the_home_folder_may_be_written_as_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path.parent)
    small().save("~/m.pt")
    assert (tmp_path / "m.pt").is_file() and not os.path.exists("~")
    assert Learner.load("~/m.pt", device="cpu").size == 16
    assert Checkpoint("~/kept").folder == tmp_path / "kept"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("exists", [True, False])
def test_what_a_link_leads_to_is_written_and_the_link_stays(exists, tmp_path):
    far, link = tmp_path / "large disk" / "m.pt", tmp_path / "m.pt"
    far.parent.mkdir()
    if exists:
        far.write_bytes(b"an older model")
    link.symlink_to(far)
    small().save(link)
    assert link.is_symlink() and not far.is_symlink() and len(list(tmp_path.iterdir())) == 2
    assert Learner.load(far, device="cpu").classes == coloured().classes


@pytest.mark.skipif(sys.platform == "win32", reason="no such devices there")
@pytest.mark.parametrize("path", [".", "/dev/null"])
def test_what_is_no_file_is_not_said_to_be_missing(path):
    with pytest.raises(safe_files.ModelFileError, match="that is a folder or a device"):
        Learner.load(path)
    with pytest.raises(safe_files.ModelFileError, match=r"There is no model file nowhere\.pt\.$"):
        Learner.load("nowhere.pt")


def test_a_learner_that_never_had_pictures_says_why_it_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match=r"no classes yet: learn\.set_data"):
        Learner(models.small_cnn(3, 4), None, device="cpu").save(tmp_path / "m.pt")
    assert not list(tmp_path.iterdir())


WRONG = {
    "frozen_to": ["a", None, 1.5, -1, 3],
    "batch_size": ["8", 0, 2.5],
    "max_grad_norm": ["a", 0, -1, []],  # 0 was taken for "no limit"
    "label_smoothing": ["a", None, -1, 1.5],
    "classes": [None, "abc", [[], [], []], ["a", "a", "b"], {"a": 1, "b": 2, "c": 3}],
    "size": [None, "16", 0],
    "augment": [
        None,
        {"name": "x", "degrees": "a"},
        {"name": "x", "degrees": math.nan},
        {"name": 1},
        {"degrees": 1.0},
    ],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_forged_settings_are_refused_when_the_file_is_read(name, value, tmp_path):
    file = tmp_path / "m.pt"
    small().save(file)
    tensors, about = safe_files.read_tensors(file)
    safe_files.write_tensors(file, tensors, about | {name: value})
    with pytest.raises(safe_files.ModelFileError, match="can't be rebuilt"):
        Learner.load(file, device="cpu")


def test_a_turn_the_other_way_round_can_be_saved(tmp_path):
    learn = small()
    learn.augment = Augment("turned", degrees=-10.0)
    learn.save(tmp_path / "m.pt")
    assert Learner.load(tmp_path / "m.pt", device="cpu").augment == learn.augment


def test_what_could_never_be_read_is_not_written(tmp_path):
    learn = small()
    learn.label_smoothing = 2
    with pytest.raises(ValueError, match="can't be right, set them anew: label_smoothing"):
        learn.save(tmp_path / "m.pt")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("text", ["not JSON", "[" * 100_000])
def test_a_description_that_is_no_json_is_refused(text, tmp_path):
    check = fingerprint(text)
    save_file({}, tmp_path / "m.pt", metadata={"lessonkit": f"{check} {text}"})
    with pytest.raises(safe_files.ModelFileError, match="can't be read"):
        Learner.load(tmp_path / "m.pt", device="cpu")
