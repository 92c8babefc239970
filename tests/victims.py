"""Work for a process of its own, which is killed, finds the disk full, or runs twice at once."""

import hashlib
import io
import json
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torchvision.datasets
from PIL import Image
from torch import nn

from lessonkit import Learner, augment, data, models
from lessonkit.__main__ import main
from lessonkit.course.datasets import pets
from lessonkit.files import cache as storage
from lessonkit.files import model_files
from lessonkit.images import decode
from lessonkit.recipe import Report
from lessonkit.training import activations
from tests import tiny
from tests.tiny import coloured

# Every child is a copy of one process that has all this imported: a fiftieth of a second each.
_method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
PROCESSES = multiprocessing.get_context(_method)
if _method == "forkserver":
    PROCESSES.set_forkserver_preload(["tests.victims"])

BREEDS = ["Abyssinian", "great_pyrenees"]
CHANGES_THE_DISK = {
    "open", "write", "flush", "fsync", "close", "truncate", "posix_fallocate", "serialize_file",
    "sendfile", "mkdir", "rename", "replace", "unlink", "remove", "rmdir",
}  # fmt: skip
PATIENCE = 60  # seconds


# --- The work: each function is given a folder to work in, and returns what came of it ------------


def photos(place: Path) -> Path:
    """Two classes of six noisy pictures, and a file that is none."""
    for label in ("one", "two"):
        (place / "photos" / label).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng([i, len(label)]).integers(0, 255, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(place / "photos" / label / f"{i}.png")
    (place / "photos" / "two" / "broken.png").write_bytes(b"x")
    return place / "photos"


def read_pictures(place: Path) -> str:
    images = data.from_folder(place / "photos", 32)
    return _digest(images.train.images, images.valid.images, images.train_files, images.skipped)


def compute_activations(place: Path) -> str:
    images, model = coloured(200), models.small_cnn(3, 4)
    body = nn.Sequential(*model[:-1])
    sets = {"train": images.train.images, "valid": images.valid.images}
    made = activations.cached(body, sets, images.key, False)
    return _digest(made["train"], made["valid"])


def save_model(place: Path, seed: int = 1) -> str:
    model = models.small_cnn(2, 8, seed)
    tiny.save_model(place / "model.pt", model, ["one", "two"], 16, augment.none())
    return read_model(place)


def read_model(place: Path) -> str:
    return _digest(*model_files.read(place / "model.pt")[0].state_dict().values())


def write_report(place: Path, n: int = 500) -> str:
    images = coloured()
    images.skipped.extend([(f"{i}.png", "is empty (0 bytes)") for i in range(n)])
    Report(Learner(models.small_cnn(3, 2), images), bar=None).write(place / "report.json")
    return read_report(place)


def read_report(place: Path) -> str:
    return str(len(json.loads((place / "report.json").read_text(encoding="utf-8"))["skipped"]))


def download(place: Path) -> str:
    """The pets, from the server that `place/resources.json` names."""
    resources = json.loads((place / "resources.json").read_text())
    torchvision.datasets.OxfordIIITPet._RESOURCES = tuple(map(tuple, resources))
    pets.BYTES, pets.SECONDS = 1, 2.0
    return _digest(sorted(path.name for path in pets.pets_folder().rglob("*.jpg")))


def check(place: Path) -> tuple[int, str]:
    """The exit status of `python -m lessonkit check`, and what it said."""
    with redirect_stderr(io.StringIO()) as said:
        return main(["check", str(place / "photos")]), said.getvalue()


def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.contiguous().numpy().tobytes() if hasattr(part, "numpy") else b"")
        digest.update(b"" if hasattr(part, "numpy") else repr(part).encode())
    return digest.hexdigest()


# --- What befalls it ------------------------------------------------------------------------------


def nothing() -> None:
    """Nothing happens."""


def killed_at(number: int) -> None:
    """The process dies at the `number`th moment before or after a call that changes the disk."""

    def count(_: object, event: str, function: object) -> None:
        if event in ("c_call", "c_return") and function.__name__ in CHANGES_THE_DISK:
            moments[0] += 1
            if moments[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)


def killed_while_decoding() -> None:
    """The process dies of the first picture, with a cache entry half made."""
    decode.decode = lambda *_: os.kill(os.getpid(), signal.SIGKILL)


def room_vanishes() -> None:
    """As if another process took the room just after this one saw that there is enough."""
    storage.check_room = lambda *_: None


def no_large_files(most: int) -> None:
    """No file may become larger than `most` bytes, as if the disk ended there."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


moments = [0]  # so far


def start(work: Callable, place: Path, *arguments, mishap=nothing, barrier=None, **environment):
    """The process that does `work` in `place`, started; and what `outcome` needs for its answer."""
    here, there = PROCESSES.Pipe(duplex=False)
    environment = {"LESSONKIT_CACHE": str(place / "cache"), "no_proxy": "*", **environment}
    task = (there, barrier, environment, mishap, work, place, *arguments)
    process = PROCESSES.Process(target=_run, args=task, daemon=True)
    process.start()
    there.close()
    return process, here


def outcome(started, patience: float = PATIENCE) -> SimpleNamespace:
    """`answer` or `error` (type, text), `warned` and `moments`; all None if it was killed."""
    process, pipe = started
    result = SimpleNamespace(answer=None, error=None, warned=None, moments=None)
    try:
        if not pipe.poll(patience):
            process.kill()
            raise TimeoutError(f"no answer within {patience} s")
        result.__dict__.update(pipe.recv())
    except (EOFError, ConnectionResetError):
        pass  # it was killed
    process.join()
    result.exitcode = process.exitcode
    return result


def _run(pipe, barrier, environment, mishap, work, place, *arguments) -> None:
    os.environ.update(environment)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        result = {"answer": None, "error": None}
        if barrier:
            barrier.wait(PATIENCE)
        call, *settings = mishap if isinstance(mishap, tuple) else (mishap,)
        call(*settings)
        try:
            result["answer"] = work(place, *arguments)
        except Exception as error:
            result["error"] = (type(error).__name__, str(error))
        sys.setprofile(None)
    pipe.send({**result, "warned": [str(w.message) for w in warned], "moments": moments[0]})
