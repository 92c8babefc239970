"""The cache and model files: all or nothing, and never any code."""

import os
import pickle
import shutil
import threading
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lessonkit import Learner, augment, models
from lessonkit.data import DataError
from lessonkit.files import cache as storage
from lessonkit.files import model_files, safe_files
from lessonkit.files.fingerprint import fingerprint
from lessonkit.files.safe_files import ModelFileError
from tests.tiny import coloured

pytestmark = pytest.mark.usefixtures("cache")


def test_an_entry_is_built_once_and_found_again(cache):
    builds = []

    def build(folder):
        builds.append(1)
        (folder / "x").write_text("made")

    for _ in range(2):
        assert (storage.cached("key", build) / "x").read_text() == "made"
    assert len(builds) == 1 and [p.name for p in cache.iterdir()] == ["key"]


def test_a_cache_that_is_deleted_while_an_entry_is_made_gets_it_all_the_same(cache):
    builds = []

    def build(folder):
        builds.append(1)
        (folder / "x").write_text("made")
        if len(builds) == 1:
            shutil.rmtree(cache)

    assert (storage.cached("key", build) / "x").read_text() == "made"
    assert len(builds) == 2


def test_a_file_that_is_missing_for_a_build_is_told_at_once(cache):
    builds = []

    def build(folder):
        builds.append(1)
        (folder / "nowhere").read_text()

    with pytest.raises(FileNotFoundError, match="nowhere"):
        storage.cached("key", build)
    assert len(builds) == 1


@pytest.mark.parametrize("hours", [0.5, 2])
def test_what_a_killed_process_left_an_hour_ago_is_counted_and_cleared(cache, hours):
    part = cache / ".part-x" / "entry"
    part.mkdir(parents=True)
    (part / "train.npy").write_bytes(bytes(1000))
    moment = time.time() - hours * 3600
    for path in (part / "train.npy", part, part.parent):
        os.utime(path, (moment, moment))
    n_bytes = 1000 if hours > 1 else 0
    assert sum(entry.n_bytes for entry in storage.entries()) == n_bytes
    assert storage.clear() == n_bytes and part.exists() == (hours < 1)


def test_an_entry_that_is_half_removed_is_counted_once(cache):
    folder = storage.cached("key", lambda folder: (folder / "a").write_bytes(bytes(10)))
    half = folder.rename(folder.with_name(".part-x"))
    moment = time.time() - 2 * 3600
    for path in (*half.iterdir(), half):
        os.utime(path, (moment, moment))
    assert [entry.folder for entry in storage.entries()] == [half]


def test_a_build_that_fails_leaves_nothing(cache):
    def build(folder):
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        storage.cached("key", build)
    assert not list(cache.iterdir())


def test_two_at_once_make_one_entry(cache):
    entries, together = [], threading.Barrier(2)

    def build(folder):
        together.wait(60)
        time.sleep(0.05)
        (folder / "x").write_text("made")

    def work():
        entries.append(storage.cached("key", build))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entries == [cache / "key"] * 2 and [p.name for p in cache.iterdir()] == ["key"]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LESSONKIT_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="can't be written"):
        entry = storage.cached("key", lambda folder: (folder / "x").write_text("made"))
    assert (entry / "x").read_text() == "made"


def test_fingerprints_differ_whenever_a_part_does():
    tensor = torch.arange(6.0)
    parts = [
        (tensor,),
        (tensor + 1,),
        (tensor, 1),
        ("a", "b"),
        ("ab",),
        (b"ab",),
        (1, "2"),
        ("1", 2),
    ]
    assert len({fingerprint(*p) for p in parts}) == len(parts)
    assert fingerprint(tensor) == fingerprint(torch.arange(6.0))


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), safe_files.atomic_path(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.glob(".file*")) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_file_that_only_its_owner_may_read_stays_so(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o600)
    with safe_files.atomic_path(path) as part:
        part.write_text("new")
    assert path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o600


def test_tensors_come_back_as_they_were(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.tensor([1, 2])}
    safe_files.write_tensors(tmp_path / "m", tensors, {"classes": ["ü", "b"]})
    again, about = safe_files.read_tensors(tmp_path / "m")
    assert about == {"classes": ["ü", "b"]}
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def malicious(path):
    torch.save({"model": Malicious(path.with_name("harm"))}, path)


def plain_pickle(path):
    path.write_bytes(pickle.dumps(Malicious(path.with_name("harm"))))


def saved(path):
    Learner(models.small_cnn(3, 4), coloured()).save(path)


def truncated(path):
    saved(path)
    path.write_bytes(path.read_bytes()[:-100])


def altered(path):
    saved(path)
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(bytes(content))


def foreign(path):
    save_file({"x": torch.zeros(2)}, path)


BAD = {
    "malicious": (malicious, "not a model saved by lessonkit"),
    "pickle": (plain_pickle, "not a model saved by lessonkit"),
    "text": (lambda path: path.write_text("hello"), "not a model"),
    "empty": (lambda path: path.write_bytes(b""), "not a model"),
    "folder": (lambda path: path.mkdir(), "no model file"),
    "missing": (lambda path: None, "no model file"),
    "truncated": (truncated, "damaged"),
    "altered": (altered, "altered"),
    "foreign": (foreign, "not a model"),
}


@pytest.mark.parametrize("kind", BAD)
def test_any_other_file_is_refused_by_a_sentence_and_runs_no_code(tmp_path, kind):
    make, words = BAD[kind]
    make(tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match=words):
        Learner.load(tmp_path / "model.pt")
    assert not (tmp_path / "harm").exists()


def test_a_model_whose_name_is_no_text_is_not_called_damaged(tmp_path):
    path = tmp_path / "m\udcff.pt"
    try:
        safe_files.write_tensors(path, {"x": torch.zeros(2)}, {})
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(ModelFileError, match="has a name that isn't UTF-8: rename it"):
        safe_files.read_tensors(path)


def test_weights_that_are_no_numbers_are_neither_saved_nor_read(tmp_path):
    images = coloured()
    learn, path = Learner(models.small_cnn(len(images.classes)), images), tmp_path / "model.pt"
    learn.save(path)
    tensors, about = safe_files.read_tensors(path)
    name = next(name for name in tensors if name.endswith("weight"))
    safe_files.write_tensors(path, tensors | {name: tensors[name] / 0}, about)
    with pytest.raises(ModelFileError, match=f"weights {name} aren't all numbers"):
        Learner.load(path)
    path.unlink()
    with torch.no_grad():
        next(learn.model.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match=r"^The weights .* aren't all numbers"):
        learn.save(path)
    assert not path.exists()


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def denied(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    saved(tmp_path / "model.pt")
    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(ModelFileError, match=r"model\.pt can't be read: Permission denied\.$"):
        Learner.load(tmp_path / "model.pt")


def test_a_file_of_another_version_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "VERSION", 99)
    saved(tmp_path / "model.pt")
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match=r"format 99.*train again"):
        Learner.load(tmp_path / "model.pt")


def test_without_a_cache_an_entry_is_still_made_only_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LESSONKIT_CACHE", str(tmp_path / "file"))
    builds = []
    with pytest.warns(UserWarning, match="LESSONKIT_CACHE") as said:
        for _ in range(2):
            storage.cached("once a session", lambda folder: builds.append(folder))
    assert len(builds) == len(said) == 1


def test_a_disk_without_room_is_told_before_writing(tmp_path):
    storage.check_room(tmp_path, 1000)
    with pytest.raises(OSError, match=r"MB are needed.*LESSONKIT_CACHE"):
        storage.check_room(tmp_path, 10**18)


@pytest.mark.parametrize(("where", "words"), [("nowhere/m.pt", "no folder"), (".", "is a folder")])
def test_a_model_that_has_nowhere_to_go_gets_a_sentence(tmp_path, where, words):
    with pytest.raises(ValueError, match=words):
        saved(tmp_path / where)
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_not_from_here_is_not_saved(tmp_path):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(3))
    with pytest.raises(ValueError, match="Only networks from"):
        Learner(network, coloured()).save(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def with_another_activation(model):
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, torch.nn.ReLU):
                setattr(parent, name, torch.nn.Tanh())


def with_dropout(model):
    model[2] = torch.nn.Sequential(torch.nn.Dropout(0.3), model[2])


@pytest.mark.parametrize("change", [with_another_activation, with_dropout])
def test_a_network_whose_layers_were_changed_is_not_saved_as_what_it_was(tmp_path, change):
    model = models.small_cnn(3, width=4)
    before = repr(model)
    change(model)
    assert repr(model) != before
    with pytest.raises(ValueError, match="with the layers they were made with"):
        Learner(model, coloured(), device="cpu").save(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_a_network_for_another_number_of_classes_is_not_saved(tmp_path):
    learn = Learner(models.small_cnn(4, width=4), coloured(), device="cpu")
    with pytest.raises(ValueError, match="4 outputs, and there are 3 classes"):
        learn.save(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_an_augmentation_of_ones_own_is_not_saved_as_another(tmp_path):
    class Darker(augment.Augment):
        pass

    learn = Learner(models.small_cnn(3, 4), coloured())
    learn.augment = Darker("darker")
    with pytest.raises(ValueError, match="augmentation of your own"):
        learn.save(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_numbers_may_be_of_numpy_or_torch(tmp_path):
    learn = Learner(models.small_cnn(3, 4), coloured(), batch_size=np.int64(8))
    learn.label_smoothing, learn.max_grad_norm = np.float32(0.5), torch.tensor(2.0)
    learn.save(tmp_path / "model.pt")
    again = Learner.load(tmp_path / "model.pt")
    assert (again._batch_size, again.label_smoothing, again.max_grad_norm) == (8, 0.5, 2.0)


def test_a_model_of_other_classes_is_not_trained_on(tmp_path):
    saved(tmp_path / "model.pt")
    with pytest.raises(DataError, match="class 0, class 1, class 2; these have class 0, "):
        Learner.load(tmp_path / "model.pt", coloured(classes=2))


WELL_SIGNED = {
    "no description": {},
    "a list": [1],
    "unknown maker": {"version": 2, "model": {"made_by": "os.system"}},
    "unknown network": {"version": 2, "model": {"made_by": "pretrained", "arch": "x"}},
    "other shapes": {"version": 2, "model": {"made_by": "small_cnn", "n_classes": 7}},
    "other options": {"version": 2, "model": {"made_by": "small_cnn", "n_classes": 3, "depth": 9}},
}  # fmt: skip


@pytest.mark.parametrize("kind", WELL_SIGNED)
def test_a_file_whose_description_makes_no_network_is_refused(tmp_path, kind):
    safe_files.write_tensors(tmp_path / "m.pt", {"x": torch.zeros(2)}, WELL_SIGNED[kind])
    with pytest.raises(ModelFileError, match=r"train again|lessonkit reads format") as refused:
        Learner.load(tmp_path / "m.pt")
    assert "\n" not in str(refused.value)
