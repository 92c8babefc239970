"""Killed processes, full disks, damaged caches, bad servers: nothing half-written is ever read."""

import contextlib
import errno
import hashlib
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torchvision.datasets
from PIL import Image

from lessonkit import Learner, data, models
from lessonkit.course.datasets import pets
from lessonkit.data import DataError
from lessonkit.files import cache as storage
from lessonkit.files import safe_files
from lessonkit.images import decode, store
from tests import victims
from tests.tiny import coloured
from tests.victims import outcome, start

MOMENTS = {"model": 60}  # up to so many are tried, all of them; of more, some
SOME = 10

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX systems")


@pytest.fixture(autouse=True)
def cache(cache, monkeypatch):
    monkeypatch.setattr(storage, "_session", None)
    monkeypatch.setenv("no_proxy", "*")
    return cache


@pytest.fixture
def root(tmp_path):
    return victims.photos(tmp_path)


def parts(folder):
    """What half-finished work has left."""
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


# --- A server of our own --------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Serves `files`, {name: bytes}; the first request for an archive is answered by `manner`."""

    def __init__(self, files, manner=None):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.manner, self.closing = files, manner, threading.Event()
        self.asked, self.outlasted = 0, False  # how often; whether a client was more patient
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_):
        pass  # clients that go away are what is tested


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        name = self.path[1:]
        content = self.server.files.get(name)
        if self.server.manner and name.startswith("images"):
            self.server.manner(self, content)
        elif content is None:
            self.send_error(404)
        else:
            self.send(content, len(content))

    def send(self, content, length, status=200, **headers):
        self.send_response(status)
        for header, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def packed(folder, *members):
    """A .tar.gz of `folder`, and of `members`, (TarInfo, content)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        if folder:
            tar.add(folder, folder.name)
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def archives(tmp_path):
    """The publishers' two archives: two breeds of five photos."""
    lines, made = [], tmp_path / "made"
    for number, breed in enumerate(victims.BREEDS, 1):
        for i in range(5):
            photo = made / "images" / f"{breed}_{i}.jpg"
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((60, 50), 50 + 10 * i).convert("RGB").save(photo)
            lines.append(f"{breed}_{i} {number} 1 1")
    (made / "annotations").mkdir()
    (made / "annotations" / "trainval.txt").write_text("\n".join(lines))
    return {f"{name}.tar.gz": packed(made / name) for name in ("images", "annotations")}


@pytest.fixture
def serve(archives, tmp_path, monkeypatch):
    """Starts a server instead of the publishers'; `expected` are the files that they promise."""
    servers = []
    monkeypatch.setattr(pets, "BYTES", 1)

    def started(manner=None, expected=archives):
        server = Server(dict(expected), manner)
        servers.append(server)
        resources = [
            (server.url + name, hashlib.md5(content).hexdigest())
            for name, content in expected.items()
        ]
        (tmp_path / "resources.json").write_text(json.dumps(resources))
        monkeypatch.setattr(torchvision.datasets.OxfordIIITPet, "_RESOURCES", tuple(resources))
        return server

    yield started
    for server in servers:
        server.closing.set()
        server.shutdown()
        server.server_close()


# --- Killed at any moment -------------------------------------------------------------------------

WORK = {
    "pictures": (victims.read_pictures, None),
    "activations": (victims.compute_activations, None),
    "model": (victims.save_model, victims.read_model),
    "report": (victims.write_report, victims.read_report),
    "download": (victims.download, None),
}


@pytest.fixture
def prepared(root, serve, tmp_path):
    """All that the kinds of work need: photos, a server, an older model and an older report."""
    serve()
    victims.save_model(tmp_path, seed=0)
    victims.write_report(tmp_path, n=3)
    return tmp_path


def what_it_should_give(work, prepared, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x"
    done = outcome(start(work, shutil.copytree(prepared, elsewhere), mishap=(victims.killed_at, 0)))
    assert done.error is None and not done.warned
    return done


@posix
@pytest.mark.parametrize("kind", WORK)
def test_killed_at_any_moment_the_next_start_works(kind, prepared, tmp_path_factory, monkeypatch):
    work, read = WORK[kind]
    expected = what_it_should_give(work, prepared, tmp_path_factory)
    old = read(prepared) if read else None
    killed, moments = 0, range(1, expected.moments + 1)
    if len(moments) > MOMENTS.get(kind, SOME):
        moments = sorted(random.Random(kind).sample(moments, SOME))
    for moment in moments:
        place = shutil.copytree(prepared, tmp_path_factory.mktemp("killed") / "x")
        died = outcome(start(work, place, mishap=(victims.killed_at, moment)))
        killed += died.exitcode == -9
        if read:
            assert read(place) in (old, expected.answer)
        again = outcome(start(work, place))
        assert (again.answer, again.error, again.warned) == (expected.answer, None, [])
    assert killed >= len(moments) - 2  # threads do things in another order each time


@posix
def test_what_a_killed_process_left_is_removed_a_day_later(root, cache, tmp_path):
    assert outcome(
        start(victims.read_pictures, tmp_path, mishap=victims.killed_while_decoding)
    ).exitcode
    (left,) = cache.iterdir()
    (tmp_path / ".model.pt.0123abcd.part").write_bytes(b"half")
    for make in (lambda: data.from_folder(root, 17), lambda: victims.save_model(tmp_path)):
        make()
    assert left.exists() and (tmp_path / ".model.pt.0123abcd.part").exists()  # still at work?
    long_ago = time.time() - 2 * safe_files.DAY
    for path in (left, *left.rglob("*"), tmp_path / ".model.pt.0123abcd.part"):
        os.utime(path, (long_ago, long_ago))
    for make in (lambda: data.from_folder(root, 18), lambda: victims.save_model(tmp_path)):
        make()
    assert not parts(tmp_path)


# --- Two at once ----------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("kind", WORK)
def test_two_that_start_at_the_same_moment_both_get_all(kind, prepared):
    work, _ = WORK[kind]
    barrier = victims.PROCESSES.Barrier(2)
    both = [start(work, prepared, barrier=barrier) for _ in range(2)]
    first, second = map(outcome, both)
    assert first.error is second.error is None and not first.warned + second.warned
    assert first.answer == second.answer == outcome(start(work, prepared)).answer
    assert not parts(prepared)
    if (prepared / "cache").exists():
        assert len(list((prepared / "cache").iterdir())) == 1


# --- A cache that isn't what was written ----------------------------------------------------------


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    path.write_bytes(content)


DAMAGES = {
    "truncated": truncate,
    "emptied": lambda path: path.write_bytes(b""),
    "a bit flipped": flip,
    "grown": lambda path: path.write_bytes(path.read_bytes() + b"0"),
    "gone": lambda path: path.unlink(),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["images.npy", "index.json"])
def test_a_damaged_cache_is_noticed_and_made_anew(root, cache, tmp_path, name, damage, recwarn):
    whole = victims.read_pictures(tmp_path)
    (entry,) = cache.iterdir()
    DAMAGES[damage](entry / name)
    said = f"{entry.name} in the cache is damaged: it is made anew"
    with pytest.warns(UserWarning, match=said) as warned:
        assert victims.read_pictures(tmp_path) == whole
    assert len(warned) == 1
    recwarn.clear()
    assert victims.read_pictures(tmp_path) == whole and not recwarn
    assert list(cache.iterdir()) == [entry]


def test_damaged_activations_train_nothing_wrong(cache, recwarn):
    def losses():
        learn = Learner(models.small_cnn(3, 8), coloured())
        learn.freeze()
        learn.precompute = True
        learn.fit(0.1, 2)
        return learn.history.loss

    whole = losses()
    (entry,) = cache.iterdir()
    flip(entry / "train.npy")
    assert losses() == whole
    assert [str(w.message) for w in recwarn if "is damaged" in str(w.message)]


def test_what_is_gone_or_of_an_older_lessonkit_is_made_without_a_word(
    root, cache, tmp_path, recwarn
):
    whole = victims.read_pictures(tmp_path)
    (entry,) = cache.iterdir()
    (entry / "seal.json").unlink()  # older ones had none
    assert victims.read_pictures(tmp_path) == whole and (entry / "seal.json").exists()
    shutil.rmtree(cache)
    assert victims.read_pictures(tmp_path) == whole and not recwarn


def test_what_a_file_manager_adds_does_no_harm(root, cache, tmp_path, monkeypatch):
    whole = victims.read_pictures(tmp_path)
    (entry,) = cache.iterdir()
    (entry / ".DS_Store").write_bytes(b"x")
    monkeypatch.setattr(decode, "decode_all", lambda *_: pytest.fail("it was decoded again"))
    assert victims.read_pictures(tmp_path) == whole


def test_a_very_large_entry_is_known_by_its_size_alone(root, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "LARGEST_CHECKED", 100)
    whole = victims.read_pictures(tmp_path)
    (entry,) = cache.iterdir()
    truncate(entry / "images.npy")
    with pytest.warns(UserWarning, match="is damaged"):
        assert victims.read_pictures(tmp_path) == whole


def test_another_format_of_the_cache_is_another_entry(root, cache, tmp_path, monkeypatch):
    whole = victims.read_pictures(tmp_path)
    monkeypatch.setattr(store, "CACHE_VERSION", store.CACHE_VERSION + 1)
    assert victims.read_pictures(tmp_path) == whole
    assert len(list(cache.iterdir())) == 2


# --- Full and read-only disks ---------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, of 200 kB: (folder, a function that makes it read-only)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing may be mounted here")
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    subprocess.run(["umount", "-l", str(folder)], check=True)


KEPT = r"The cache .* can't be written \(.*\): what is made now is kept for this session only"


@posix
@pytest.mark.parametrize("kind", ["pictures", "activations"])
@pytest.mark.parametrize("mishap", [victims.nothing, victims.room_vanishes])
def test_with_a_full_cache_training_goes_on_and_says_so(kind, mishap, root, disk, tmp_path):
    folder, _ = disk
    work, _ = WORK[kind]
    expected = outcome(start(work, tmp_path))
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))
    os.truncate(folder / "filler", (folder / "filler").stat().st_size - 3 * 4096)
    done = outcome(start(work, tmp_path, mishap=mishap, LESSONKIT_CACHE=str(folder)))
    assert done.exitcode == 0, "Python died of it"
    assert (done.answer, done.error) == (expected.answer, None)
    (said,) = done.warned
    assert "No space left on device" in said and "LESSONKIT_CACHE" in said
    assert [path.name for path in folder.iterdir()] == ["filler"]


@posix
def test_a_cache_on_a_read_only_disk_is_used_and_done_without(root, disk, tmp_path):
    folder, make_read_only = disk
    environment = {"LESSONKIT_CACHE": str(folder)}
    whole = outcome(start(victims.read_pictures, tmp_path, **environment)).answer
    (entry,) = folder.iterdir()
    make_read_only()
    there = outcome(start(victims.read_pictures, tmp_path, **environment))
    assert (there.answer, there.warned) == (whole, [])
    absent = outcome(start(victims.compute_activations, tmp_path, **environment))
    (said,) = absent.warned
    assert "Read-only file system" in said and "kept for this session only" in said
    assert absent.answer == outcome(start(victims.compute_activations, tmp_path)).answer
    assert list(folder.iterdir()) == [entry]


def test_with_a_cache_that_cannot_be_written_the_same_is_learnt(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    histories = []
    for place in ("cache", "file"):
        monkeypatch.setenv("LESSONKIT_CACHE", str(tmp_path / place))
        learn = Learner(models.small_cnn(3, 8), coloured())
        learn.freeze()
        learn.precompute = True
        with contextlib.nullcontext() if place == "cache" else pytest.warns(match=KEPT):
            learn.fit(0.1, 2)
        histories.append(learn.history.loss)
    assert histories[0] == histories[1]


@posix
def test_where_no_disk_has_room_one_line_says_so_and_status_2(root, cache, tmp_path):
    done = outcome(start(victims.check, tmp_path, mishap=(victims.no_large_files, 8000)))
    status, said = done.answer
    note, line = said.splitlines()
    assert status == 2 and note.startswith("note: The cache")
    assert line.startswith(f"lessonkit: {cache}: ") and "File too large" in line
    assert "make room, or set LESSONKIT_CACHE to a folder on a larger disk" in line
    assert not parts(tmp_path)


@posix
@pytest.mark.parametrize("kind", ["model", "report"])
def test_a_disk_that_fills_up_costs_no_older_file(kind, prepared):
    work, read = WORK[kind]
    before, names = read(prepared), sorted(prepared.iterdir())
    done = outcome(start(work, prepared, mishap=(victims.no_large_files, 8000)))
    assert done.error[0] == "OSError" and "nothing is half-written" in done.error[1]
    assert "File too large" in done.error[1] and str(prepared) in done.error[1]
    assert read(prepared) == before and sorted(prepared.iterdir()) == names


@pytest.mark.parametrize("kind", ["model", "report"])
def test_a_full_disk_names_the_file_that_could_not_be_written(kind, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, {"model": "write_bytes", "report": "write_text"}[kind], full)
    with pytest.raises(OSError, match="No space left") as refused:
        WORK[kind][0](tmp_path)
    name = {"model": "model.pt", "report": "report.json"}[kind]
    assert refused.value.filename == str(tmp_path / name) and refused.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_a_name_too_long_to_write_is_refused_before_training(tmp_path):
    with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
        safe_files.check_can_write(tmp_path / ("x" * 245 + ".pt"))


def test_a_link_is_refused_before_training_for_what_it_leads_to(tmp_path):
    (tmp_path / "model.pt").symlink_to(tmp_path / "nowhere" / "best.pt")
    with pytest.raises(ValueError, match="nowhere to write best"):
        safe_files.check_can_write(tmp_path / "model.pt")
    (tmp_path / "nowhere").mkdir()
    safe_files.check_can_write(tmp_path / "model.pt")


# --- Downloads ------------------------------------------------------------------------------------


def breaks_off(answer, content):
    answer.send(content[: len(content) // 2], len(content))


def breaks_off_in_a_chunk(answer, content):
    answer.send_response(200)
    answer.send_header("Transfer-Encoding", "chunked")
    answer.end_headers()
    answer.wfile.write(b"%x\r\n" % len(content) + content[:100])


def hangs(answer, _):
    if not answer.server.closing.wait(60):
        answer.server.outlasted = True


def hangs_half_way(answer, content):
    breaks_off(answer, content)
    answer.wfile.flush()
    hangs(answer, content)


def resets(answer, _):
    answer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def other_content(answer, content):
    answer.send(b"x" * len(content), len(content))


def leads_elsewhere(answer, _):
    answer.server.files["other"] = b"not what was promised"
    answer.send(b"", 0, 302, Location="/other")


def leads_round_and_round(answer, _):
    answer.send(b"", 0, 302, Location=f"/images{answer.server.asked}")


def leads_to_a_file_of_this_machine(answer, _):
    answer.send(b"", 0, 302, Location=Path(__file__).as_uri())


def nonsense(answer, _):
    answer.wfile.write(b"\0\1\2 this is no HTTP\r\n\r\n")


def answers(status):
    return lambda answer, _: answer.send_error(status)


MANNERS = {
    "breaks off": breaks_off,
    "breaks off in a chunk": breaks_off_in_a_chunk,
    "hangs": hangs,
    "hangs half-way": hangs_half_way,
    "resets": resets,
    "other content": other_content,
    "leads elsewhere": leads_elsewhere,
    "leads round and round": leads_round_and_round,
    "leads to a file of this machine": leads_to_a_file_of_this_machine,
    "nonsense": nonsense,
    "not found": answers(404),
    "out of order": answers(503),
}


@pytest.mark.parametrize("manner", MANNERS)
def test_whatever_a_server_does_there_is_a_sentence_and_nothing_stays(
    manner, serve, cache, monkeypatch
):
    server = serve(MANNERS[manner])
    sentence = r"can't be downloaded now .*: use data.creatures\(\)"
    with monkeypatch.context() as patch, pytest.raises(DataError, match=sentence):
        patch.setattr(pets, "SECONDS", 0.5)  # for what hangs; an honest server may be slow
        data.pets(16)
    assert not server.outlasted and 0 < server.asked < 100
    assert not list(cache.iterdir()) and socket.getdefaulttimeout() is None
    server.manner = None
    assert data.pets(16).classes == ["Abyssinian", "Great Pyrenees"]


def test_a_picture_taken_out_of_the_download_stays_out(serve, cache):
    server = serve()
    n = len(data.pets(16).train_files)
    server.files.clear()
    next((cache / "pets" / "Abyssinian").iterdir()).unlink()
    images = data.pets(16)
    assert len(images.train_files + images.valid_files) == 9 and n == 8


def climbing(kind, outside):
    """Members of an archive that put a file into `outside`, which is beside the cache."""
    info = tarfile.TarInfo("images/x")
    if kind == "dots":
        return [(tarfile.TarInfo("../" * 8 + str(outside).lstrip("/") + "/evil"), b"evil")]
    if kind == "absolute":
        return [(tarfile.TarInfo(f"{outside}/evil"), b"evil")]
    info.type, info.linkname = tarfile.SYMTYPE, str(outside)
    if kind == "link":
        return [(info, b""), (tarfile.TarInfo("images/x/evil"), b"evil")]
    if kind == "link by dots":
        info.linkname = "../" * 12 + str(outside).lstrip("/")
        return [(info, b""), (tarfile.TarInfo("images/x/evil"), b"evil")]
    info.type, info.linkname = tarfile.LNKTYPE, f"{outside}/secret"
    return [(info, b"")]


@pytest.mark.parametrize("kind", ["dots", "absolute", "link", "link by dots", "hard link"])
def test_an_archive_never_reaches_out_of_its_folder(kind, serve, archives, tmp_path, cache):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    evil = packed(tmp_path / "made" / "images", *climbing(kind, outside))
    serve(expected={**archives, "images.tar.gz": evil})  # with the right sum: the worst case
    with contextlib.suppress(DataError):
        data.pets(16)
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").stat().st_nlink == 1
    assert not [path for path in cache.rglob("*") if path.is_symlink()]


def test_the_programs_own_way_of_unpacking_is_left_as_it_was(serve):
    before = tarfile.TarFile.extraction_filter
    serve()
    pets.pets_folder()
    assert tarfile.TarFile.extraction_filter is before
