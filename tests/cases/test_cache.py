"""Decoded once, whatever else changes; and nothing is kept that was only the machine's trouble."""

import builtins
import errno
import ntpath
import os
import shutil
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lessonkit import data
from lessonkit.files import cache as storage
from lessonkit.files import safe_files
from lessonkit.images import cleaning, decode, store
from tests.cases.test_folders import fill

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def root(tmp_path):
    return fill(tmp_path / "photos", "cats", "dogs", n=10)


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that have been decoded."""
    names, honest = [], decode.decode
    monkeypatch.setattr(decode, "decode", lambda *a: names.append(a[0].name) or honest(*a))
    return names


def fresh(root, size=16, seed=0):
    """What is read without anything in the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LESSONKIT_CACHE", str(root.parent / f"fresh{time.time_ns()}"))
        return data.from_folder(root, size, seed=seed)


def assert_same(images, other):
    assert (images.train_files, images.valid_files) == (other.train_files, other.valid_files)
    assert torch.equal(images.train.images, other.train.images)
    assert torch.equal(images.valid.images, other.valid.images)
    assert torch.equal(images.train.labels, other.train.labels)
    assert (images.key, images.skipped) == (other.key, other.skipped)


# --- What is decoded ------------------------------------------------------------------------------


def test_one_new_file_a_day_costs_one_decoding_a_day_and_no_room(root, cache, decoded):
    data.from_folder(root, 16)
    for day in range(4):
        decoded.clear()
        fill(root, "cats", n=1, start=100 + day)
        images = data.from_folder(root, 16)
        assert decoded == [f"{100 + day}.png"] and len(list(cache.iterdir())) == 1
    assert_same(images, fresh(root))


def test_seeds_sets_and_decisions_cost_no_decoding(root, cache, decoded):
    data.from_folder(root, 16)
    decoded.clear()
    for seed in (1, 2, 0):
        images = data.from_folder(root, 16, seed=seed)
    cleaning.write(root, cleaning.Cleaning(("cats/1.png",), {"dogs/2.png": "cats"}))
    cleaned = data.from_folder(root, 16)
    again = data.from_folder(root, 16, clean=False)
    assert not decoded and len(list(cache.iterdir())) == 1
    assert_same(images, again)
    assert_same(cleaned, fresh(root))


def test_a_file_that_goes_leaves_its_neighbours_where_they_belong(root, decoded):
    data.from_folder(root, 16)
    for number in (3, 7):
        (root / "dogs" / f"{number}.png").unlink()
    (root / "cats" / "0.png").write_bytes(b"no picture")
    decoded.clear()
    images = data.from_folder(root, 16)
    assert decoded == ["0.png"]
    assert_same(images, fresh(root))
    assert_same(images, data.from_folder(root, 16))


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_rows_are_rearranged_in_place(n):
    rng = np.random.default_rng(n)
    for _ in range(50):
        order = rng.permutation(n)[: rng.integers(0, n + 1)]
        rows = np.arange(n).reshape(n, 1, 1, 1)
        store._rearrange(rows, order.tolist())
        assert rows[: len(order)].ravel().tolist() == order.tolist()


# --- Whose picture it is --------------------------------------------------------------------------


def twin_sets(tmp_path):
    """Two sets with the same names, sizes and times, and other pictures."""
    for name, level in (("a", 10), ("b", 200)):
        for label in ("cats", "dogs"):
            (tmp_path / name / label).mkdir(parents=True)
            for i in range(5):
                file = tmp_path / name / label / f"{i}.bmp"
                Image.new("L", (20, 20), level).save(file)
                os.utime(file, (1, 1))
    return tmp_path / "a", tmp_path / "b"


def test_two_sets_that_look_the_same_from_outside_are_never_mixed_up(tmp_path):
    a, b = twin_sets(tmp_path)
    assert (data.from_folder(a, 16).train.images == 10).all()
    assert (data.from_folder(b, 16).train.images == 200).all()
    a.rename(tmp_path / "c")
    b.rename(a)  # another set in the place of the first
    assert (data.from_folder(a, 16).train.images == 200).all()


def test_the_key_is_that_of_the_pixels(root, tmp_path):
    images = data.from_folder(root, 16)
    other = shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copyfile)  # other times
    assert data.from_folder(other, 16).key == images.key
    keys = {images.key, data.from_folder(root, 16, seed=1).key, data.from_folder(root, 17).key}
    Image.new("L", (20, 20), 3).save(root / "cats" / "1.png")
    assert len(keys | {data.from_folder(root, 16).key}) == 4


# --- What passes ----------------------------------------------------------------------------------

TROUBLE = {
    "drive away": OSError(errno.EIO, "Input/output error"),
    "time out": OSError(errno.ETIMEDOUT, "Connection timed out"),
    "locked": PermissionError(errno.EACCES, "Permission denied"),
    "no memory": MemoryError(),
    "no memory, as Pillow says it": OSError("out of memory error when reading image file"),
    "no memory, as of a TIFF": OSError("decoder error -9"),
}


@pytest.mark.parametrize("kind", TROUBLE)
def test_what_was_only_the_machines_trouble_is_forgotten(root, kind, monkeypatch, decoded):
    opened = builtins.open

    def away(path, *args, **kwargs):
        if str(path).endswith(("cats/1.png", "dogs/2.png")):
            raise TROUBLE[kind]
        return opened(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", away)
        for _ in range(2):
            decoded.clear()
            images = data.from_folder(root, 16)
            assert [path for path, _ in images.skipped] == ["cats/1.png", "dogs/2.png"]
    assert sorted(decoded) == ["1.png", "2.png"]  # the second time, only these
    assert_same(data.from_folder(root, 16), fresh(root))


def test_a_drive_that_leaves_while_the_reason_is_looked_for_is_forgotten_too(root, monkeypatch):
    (root / "cats" / "1.png").write_bytes(b"no picture")

    def away(path):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(decode, "_reason_of_its_kind", away)
        skipped = data.from_folder(root, 16).skipped
        assert skipped == [("cats/1.png", "can't be read (Input/output error)")]
    ((_, why),) = data.from_folder(root, 16).skipped
    assert why.startswith("is not a picture")


def test_a_process_that_stood_still_takes_no_file_for_a_slow_one(root, monkeypatch):
    """As after Ctrl-Z: everybody's clock goes on, and nobody has worked."""
    honest, clock = decode.decode, SimpleNamespace(gone=0.0, looks=0)

    def monotonic():
        clock.looks += threading.current_thread() is threading.main_thread()
        return time.monotonic() + clock.gone

    monkeypatch.setattr(decode, "time", SimpleNamespace(monotonic=monotonic))

    def stopped(path, size):
        if path.name == "3.png":
            clock.gone += 100
            enough, ends = clock.looks + 2, time.monotonic() + 20
            while clock.looks < enough and time.monotonic() < ends:
                time.sleep(0.01)
        return honest(path, size)

    monkeypatch.setattr(decode, "decode", stopped)
    assert data.from_folder(root, 16).skipped == []


# --- What goes ------------------------------------------------------------------------------------


def entry(name, n_bytes, age=0.0):
    folder = storage.cached(name, lambda folder: (folder / "x").write_bytes(bytes(n_bytes)))
    os.utime(folder / storage.SEAL, (time.time() - age,) * 2)
    return folder


def test_beyond_the_limit_what_was_used_longest_ago_goes(cache, monkeypatch):
    old, unused, new = (
        entry(name, 1200, age) for name, age in (("a", 9e5), ("b", 8e5), ("c", 9e3))
    )
    storage.cached("a", lambda _: pytest.fail("made again"))  # so it is used after b
    monkeypatch.setattr(storage, "MOST_BYTES", 3000)
    last = entry("d", 100)
    assert [e.folder for e in storage.entries()] == [new, old, last] and not unused.exists()
    assert len(list(cache.iterdir())) == 3


def test_what_is_in_use_stays_however_large(cache, monkeypatch):
    monkeypatch.setattr(storage, "MOST_BYTES", 10)
    both = {entry("a", 1000), entry("b", 1000)}
    assert {e.folder for e in storage.entries()} == both


@pytest.mark.parametrize("clock", [-1e8, 1e8])
def test_what_was_used_while_a_clock_was_wrong_goes_too(clock, cache, monkeypatch):
    odd = entry("a", 1000, age=clock)
    monkeypatch.setattr(storage, "MOST_BYTES", 10)
    new = entry("b", 10)
    assert [e.folder for e in storage.entries()] == [new] and not odd.exists()
    n_bytes = sum(e.n_bytes for e in storage.entries())
    os.utime(new / storage.SEAL, (time.time() + 1e8,) * 2)
    assert storage.clear() == n_bytes and list(cache.iterdir()) == []


def test_what_a_process_left_while_the_clock_was_wrong_is_removed(cache):
    left = cache / ".part-left"
    left.mkdir(parents=True)
    os.utime(left, (time.time() + 1e8,) * 2)
    entry("a", 10)
    assert not left.exists()


# --- What stands in the way -----------------------------------------------------------------------


def a_file(place):
    place.write_text("x")


def a_link_to_nothing(place):
    place.symlink_to(place.parent / "nowhere")


def a_file_in_it(place):
    place.mkdir()
    (place / storage.SEAL).write_text("[" * 100_000)


@pytest.mark.parametrize("instead", [a_file, a_link_to_nothing, a_file_in_it, Path.mkdir])
def test_what_is_no_entry_is_replaced(root, cache, instead):
    before = data.from_folder(root, 16)
    (entry,) = cache.iterdir()
    shutil.rmtree(entry)
    instead(entry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are called damaged
        assert_same(data.from_folder(root, 16), before)
    assert [path.name for path in cache.iterdir()] == [entry.name]
    assert [e.folder for e in storage.entries()] == [entry]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_fails_half_way_costs_one_session_the_cache(root, cache, number, monkeypatch):
    honest = Path.write_text

    def failing(path, *args, **kwargs):
        if cache in path.parents:
            raise OSError(number, os.strerror(number), str(path))
        return honest(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.warns(UserWarning, match="can't be written.*kept for this session only"):
        images = data.from_folder(root, 16)
    assert len(images.train.labels) == 16 and list(cache.iterdir()) == []


def test_the_cache_can_be_looked_at_and_cleared(root, cache):
    images = data.from_folder(root, 16)
    (cache / "notes.txt").write_text("a person's")
    (there,) = storage.entries()
    assert there.folder.name.startswith("images-") and there.n_bytes > 20 * 16 * 16 * 3
    assert storage.clear() == there.n_bytes and storage.entries() == []
    assert [path.name for path in cache.iterdir()] == ["notes.txt"]
    assert images.train.images.float().mean() > 0  # what is open stays readable
    assert storage.clear() == 0


# --- Windows, imitated ----------------------------------------------------------------------------


def test_a_file_that_a_virus_scanner_looks_at_is_tried_again(cache, tmp_path, monkeypatch):
    honest, tries = Path.rename, []

    def busy(self, target):
        tries.append(target)
        if len(tries) < 3:
            raise PermissionError(13, "The process cannot access the file")
        return honest(self, target)

    monkeypatch.setattr(Path, "rename", busy)
    assert entry("a", 10).exists() and len(tries) == 3

    replaced, tries = os.replace, []
    monkeypatch.setattr(
        os, "replace", lambda *a: tries.append(a) or (busy_once(tries), replaced(*a))
    )
    with safe_files.atomic_path(tmp_path / "model") as part:
        part.write_text("x")
    assert (tmp_path / "model").read_text() == "x" and len(tries) == 2


def busy_once(tries):
    if len(tries) < 2:
        raise PermissionError(13, "The process cannot access the file")


def test_no_mapped_file_is_open_when_entries_are_put_in_place_or_taken_away(root, monkeypatch):
    """Windows refuses to rename or to remove a folder with a file that is mapped into memory."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("no list of what is mapped")
    honest, moved = Path.rename, []

    def rename(self, target):
        moved.append(self.name)
        assert f"{self}/" not in maps.read_text(), f"{self} is still mapped"
        return honest(self, target)

    data.from_folder(root, 16)
    fill(root, "cats", n=2, start=50)
    monkeypatch.setattr(Path, "rename", rename)
    data.from_folder(root, 16)
    assert len(moved) == 2


def test_paths_of_any_length_are_opened_on_windows(monkeypatch):
    monkeypatch.setattr(ntpath, "abspath", lambda path: str(path), raising=True)
    monkeypatch.setattr(safe_files, "os", SimpleNamespace(name="nt", path=ntpath))
    deep = "C:\\" + "folder\\" * 50 + "x.png"
    assert safe_files.long_path(deep) == "\\\\?\\" + deep
    assert safe_files.long_path("\\\\?\\" + deep) == "\\\\?\\" + deep
    assert safe_files.long_path("\\\\server\\share\\x") == "\\\\?\\UNC\\server\\share\\x"


def test_an_entry_that_goes_while_a_file_is_tried_again_is_made_anew(root, cache, monkeypatch):
    (root / "cats" / "slow.jpg").write_bytes(b"")

    def late(*a, **more):
        rows = honest(*a, **more)
        return {row: decode.Unusable("took too long", passing=True) for row in rows}

    honest = decode.decode_all
    monkeypatch.setattr(decode, "decode_all", late)
    expected = data.from_folder(root, 16)

    def late_while_another_clears(*a, **more):
        storage.clear()
        return late(*a, **more)

    monkeypatch.setattr(decode, "decode_all", late_while_another_clears)
    again = data.from_folder(root, 16)
    monkeypatch.setattr(decode, "decode_all", late)
    assert_same(again, expected)
    assert_same(data.from_folder(root, 16), expected)
    with monkeypatch.context() as patch:  # a cache that can't be written any more
        full = OSError(errno.ENOSPC, "")
        patch.setattr(storage, "_writable_parent", lambda c: storage._session_folder(c, full))
        assert_same(data.from_folder(root, 16), expected)
