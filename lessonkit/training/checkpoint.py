"""Checkpoints of a training run, so that one that was killed goes on after its last whole epoch.

A recipe is plain code around a few calls of `fit`. Each of them has a file, written anew after each
epoch. When the run is started again, the same code runs from the top: a fit whose file is there
goes on after its last whole epoch, without any training if that was the last one. What comes out is
bit for bit what an uninterrupted run gives, on one machine with the same number of threads, also
where the network draws random numbers of torch's, as dropout does. Of several processes (see
lessonkit.training.distributed) the first one writes and reads for all.

A file appears in one rename, and reading it runs no code.
"""

import hashlib
import importlib.metadata
import io
import pickle
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.backends import mps

from lessonkit.files import safe_files
from lessonkit.files.fingerprint import fingerprint
from lessonkit.training import distributed
from lessonkit.training.history import History

__all__ = ["Checkpoint", "CheckpointError"]

VERSION = 5  # to be raised when these files change, or the training loop does
DIGEST = 32  # bytes at a file's start: SHA-256 of what follows


class CheckpointError(ValueError):
    """A checkpoint that this run can't go on from; the message says why and what to do."""


class Checkpoint:
    """What the fits of one run have come to so far, in the files of `folder`.

    `run`, names and values, says what a run that goes on must have in common with the one that
    began. `seconds` is how long the epochs took that needn't be trained again.
    """

    def __init__(self, folder: str | Path, run: dict | None = None):
        self.folder = safe_files.of_user(folder)
        installed = importlib.metadata.distributions(name="lessonkit")  # none, if run from a folder
        version = next((one.version for one in installed), "unknown")
        self.run = {"checkpoint format": VERSION, "lessonkit": version, **(run or {})}
        self.seconds = 0.0
        self._fits = 0  # so far, in this process
        self._full = False

    def exists(self) -> bool:
        """Whether there is something to go on from."""
        return bool(self._paths())  # the first fit may have diverged before it had one

    def check(self) -> None:
        """CheckpointError if a file is damaged or belongs to another run.

        A warning if this machine isn't like the one that began: the last digits may differ.
        """
        for state in [self._read(path) for path in self._paths()]:
            for name, was, now in _differences(state["run"], self.run):
                how = f"was {was} and is {now} now" if len(f"{was}{now}") < 60 else "differs"
                raise CheckpointError(f"{self.folder} is of another run: {name} {how}. {self._way}")
            for name, was, now in _differences(state["machine"], _machine()):
                warnings.warn(
                    f"{name}: was {was} and is {now} now. Training goes on, but its numbers may "
                    "differ in the last digits from those of a run in one go.",
                    stacklevel=1,
                )

    def remove(self) -> None:
        """Remove the files, the last one first: stopped half-way, it leaves a valid beginning."""
        if self.folder.is_dir() and distributed.rank() == 0:
            for path in [*reversed(self._paths()), *self.folder.glob(".*.part")]:
                path.unlink()
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def remaining(self, learn: Any, optimizer: Any, epochs: list[np.ndarray]) -> Iterator:
        """Those of a fit's `epochs` that are still to be trained, each an array of [batches].

        Everything is first brought to where the last whole epoch left it. An epoch is written down
        when the next one is asked for. Raises CheckpointError if the file is of another fit.
        """
        path, self._fits = self.folder / f"{self._fits:04}.checkpoint", self._fits + 1
        fit, done, before = _what(learn, optimizer, epochs), 0, 0.0
        if known := distributed.first(lambda: self._known(path, fit)):
            _restore(learn, optimizer, known)
            done, before = known["done"], known["seconds"]
            self.seconds += before
        started = time.perf_counter()
        for epoch in epochs[done:]:
            yield epoch
            done += 1
            state = {"fit": fit, "done": done, "seconds": before + time.perf_counter() - started}
            self._write(path, state | _state(learn, optimizer))

    # --- Files ------------------------------------------------------------------------------------

    def _known(self, path: Path, fit: str) -> dict | None:
        if not path.is_file():
            return None
        state = self._read(path)
        if state["fit"] != fit or state["run"] != self.run:
            raise CheckpointError(
                f"{self.folder} doesn't fit: part {int(path.stem) + 1} of this run asks for "
                "something else than the run that began, so this is other code, other settings or "
                f"another machine. {self._way}"
            )
        return state

    def _read(self, path: Path) -> dict:
        content = path.read_bytes()
        with suppress(pickle.UnpicklingError):  # of objects, for which code would have to be run
            if hashlib.sha256(content[DIGEST:]).digest() == content[:DIGEST]:
                return _loaded(content[DIGEST:])
        raise CheckpointError(f"{path} is damaged: delete {self.folder} to start anew.")

    def _write(self, path: Path, state: dict) -> None:
        if self._full or distributed.rank() > 0:
            return
        file = io.BytesIO()
        torch.save(state | {"run": self.run, "machine": _machine()}, file)
        if not path.exists():  # once a fit: later epochs hold the same kinds of things
            _check_can_be_read(file.getbuffer())
        try:
            self.folder.mkdir(exist_ok=True)
            with safe_files.atomic_path(path) as part:
                part.write_bytes(hashlib.sha256(file.getbuffer()).digest() + file.getbuffer())
        except OSError as error:
            self._full = True  # a gap would be worse than an end
            warnings.warn(
                f"{self.folder} can't be written ({error.strerror or error}): training goes on, "
                "but if it is stopped, it could only be resumed from before this.",
                stacklevel=2,
            )

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.checkpoint"))

    @property
    def _way(self) -> str:
        return f"Start as that run was started, or delete {self.folder} to start anew."


def _loaded(content: Any) -> dict:
    """What `torch.save` has written, as bytes; pickle.UnpicklingError if that takes other code."""
    return torch.load(io.BytesIO(content), "cpu", weights_only=True)


def _check_can_be_read(content: Any) -> None:
    try:
        _loaded(content)
    except pickle.UnpicklingError as error:  # better now than when it is to be resumed
        raise CheckpointError(
            "A checkpoint holds tensors, plain numbers and text, but `run` or the optimiser's "
            "settings hold something else, such as a Path or one of numpy's numbers: make it "
            "str(...) or float(...)."
        ) from error


def _what(learn: Any, optimizer: Any, epochs: list[np.ndarray]) -> str:
    """A short name for a fit: it changes with all that decides the outcome but trained weights."""
    settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    asked = [type(optimizer).__name__, settings, [epoch.tolist() for epoch in epochs]]
    asked += [learn.images.key, learn.augment, learn.n_batches, learn.frozen_to, learn.precompute]
    asked += [learn.max_grad_norm, learn.label_smoothing]
    asked.append(learn.model)  # its layers, not its weights
    # Where an augmentation of one's own lies in memory is another place in each process, and
    # another number of threads gives LR ratios other last digits.
    text = re.sub(" at 0x[0-9a-fA-F]+", "", repr(asked))
    text = re.sub(r"\d+\.\d+(e[+-]?\d+)?", lambda number: f"{float(number[0]):.3e}", text)
    frozen = [t for group in learn.groups[: learn.frozen_to] for t in group.state_dict().values()]
    return fingerprint(text, learn.generator.get_state(), *frozen)


def _state(learn: Any, optimizer: Any) -> dict:
    """All that an epoch can have changed."""
    return {
        "weights": [group.state_dict() for group in learn.groups[learn.frozen_to :]],
        "optimizer": optimizer.state_dict(),
        "scaler": learn._scaler.state_dict(),
        "generator": learn.generator.get_state(),
        "history": asdict(learn.history),
        "random": torch.get_rng_state(),
        "random on cards": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "random on Apple's": torch.mps.get_rng_state() if mps.is_available() else None,
    }


def _restore(learn: Any, optimizer: Any, state: dict) -> None:
    for group, weights in zip(learn.groups[learn.frozen_to :], state["weights"], strict=True):
        group.load_state_dict(weights)
    optimizer.load_state_dict(state["optimizer"])
    if state["scaler"]:  # empty where nothing had to be scaled, as on a processor
        learn._scaler.load_state_dict(state["scaler"])
    learn.generator.set_state(state["generator"])
    learn.history = History(**state["history"])
    torch.set_rng_state(state["random"])
    if len(state["random on cards"]) == torch.cuda.device_count():  # else it is another machine
        torch.cuda.set_rng_state_all(state["random on cards"])
    if mps.is_available() and state["random on Apple's"] is not None:
        torch.mps.set_rng_state(state["random on Apple's"])


def _machine() -> dict[str, str | int]:
    """What the last digits of a result depend on."""
    return {
        "PyTorch": str(torch.__version__),
        "number of threads": torch.get_num_threads(),
        "number of processes": distributed.world_size(),
        "graphics card": torch.cuda.is_available(),
    }


def _differences(was: dict, now: dict) -> list[tuple]:
    """(name, value then, value now) of what isn't the same."""
    return [(name, was.get(name), now[name]) for name in now if was.get(name) != now[name]]
