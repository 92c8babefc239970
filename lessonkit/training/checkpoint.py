"""A journal of a training run, so that one that was killed goes on after its last whole epoch.

A recipe is plain code between a few slow calls: `fit` and `lr_find`. The journal writes down, call
by call, what each of them came to. When the run is started again, the same code runs from the top.
A call that the journal knows is answered from it at once, one that was cut off goes on after its
last whole epoch, and from there on all is real again. What comes out is bit for bit what a run in
one go gives, on one machine with the same number of threads. Of several processes (see
lessonkit.training.distributed) the first one writes and reads it for all.

The files hold numbers and no code. Each appears in one rename, and the last one is removed first:
whenever a process is killed, what is there is a journal's beginning.
"""

import importlib.metadata
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lessonkit.files import safe_files
from lessonkit.lr_finder import LRFinderResult
from lessonkit.training import distributed

__all__ = ["Journal", "JournalError"]

VERSION = 1  # to be raised when these files change, or the training loop that they are about


class JournalError(ValueError):
    """A journal that this run can't go on from; the message says why and what to do."""


class Journal:
    """What the calls of one run have come to so far, in the files of `folder`; without, nowhere.

    `run` says what a run that goes on must have in common with the one that began: names and
    values, JSON-able. `seconds` is what the answers from the journal took when they were computed.
    """

    def __init__(self, folder: str | Path | None = None, run: dict | None = None):
        self.folder = None if folder is None else Path(folder)
        self.run = {"journal format": VERSION, "lessonkit": _version(), **(run or {})}
        self.seconds = 0.0
        self._calls = 0  # so far, in this process
        self._full = False

    def exists(self) -> bool:
        """Whether there is something to go on from."""
        return self.folder is not None and self._path(0).is_file()

    def check(self) -> None:
        """JournalError if the journal is damaged or belongs to another run.

        A warning if this machine isn't like the one that began: the last digits may differ.
        """
        paths = self._paths() if self.exists() else []
        for about in [self._read(path)[1] for path in paths]:
            for name, was, now in _differences(about["run"], self.run):
                how = f"was {was} and is {now} now" if len(f"{was}{now}") < 60 else "differs"
                raise JournalError(f"{self.folder} is of another run: {name} {how}. {self._way()}")
        for name, was, now in _differences(about["machine"], _machine()) if paths else []:
            warnings.warn(
                f"{name}: was {was} and is {now} now. Training goes on, but its numbers may differ "
                "in the last digits from those of a run in one go.",
                stacklevel=1,
            )

    def remove(self) -> None:
        """Remove the journal, its last file first."""
        if self.folder is not None and self.folder.is_dir() and distributed.rank() == 0:
            for path in reversed(self._paths()):
                path.unlink()
            for path in self.folder.glob(".*.part"):  # of a process that was killed in writing it
                path.unlink()
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    # --- What the learner asks --------------------------------------------------------------------

    def found(
        self,
        learn: Any,
        optimizer: torch.optim.Optimizer,
        steps: int,
        find: Callable[..., LRFinderResult],
    ) -> LRFinderResult:
        """The result of an LR finder, `find(steps=steps)`, or what it was before."""
        number, call = self._next_call(learn, optimizer, f"lr_find {steps}")
        if known := distributed.first(lambda: self._answer(number, call)):
            return LRFinderResult(np.array(known[1]["lrs"]), np.array(known[1]["losses"]))
        started, result = time.perf_counter(), find(steps=steps)
        about = {"lrs": result.lrs.tolist(), "losses": result.losses.tolist()}
        self._write(number, {}, about | {"call": call, "seconds": time.perf_counter() - started})
        return result

    def epochs(
        self, learn: Any, optimizer: torch.optim.Optimizer, epochs: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Those of a fit's `epochs` [n, batches] that are still to be trained.

        Everything is first brought to where the last whole epoch left it. An epoch is written down
        when the next one is asked for.
        """
        history, done, before = learn.history, 0, 0.0
        start, first_row = len(history.loss), len(history.epochs)
        number, call = self._next_call(learn, optimizer, f"fit {epochs.tolist()}")
        if known := distributed.first(lambda: self._answer(number, call)):
            _restore(learn, optimizer, *known)
            done, before = known[1]["epochs"], known[1]["seconds"]
        started = time.perf_counter()
        for epoch in epochs[done:]:
            yield epoch
            done += 1
            about = {
                "call": call,
                "seconds": before + time.perf_counter() - started,
                "epochs": done,
                "lr": history.lr[start:],
                "loss": history.loss[start:],
                "rows": history.epochs[first_row:],
                "scaler": learn._scaler.state_dict(),
            }
            tensors = _weights(learn) | {"generator": learn.generator.get_state()}
            if done < len(epochs):  # a fit that has ended has no more use for it
                tensors |= _optimizer_tensors(optimizer)
            self._write(number, tensors, about)

    # --- Files ------------------------------------------------------------------------------------

    def _next_call(self, learn: Any, optimizer, what: str) -> tuple[int, str]:
        """The number of this call, and a short name that changes when it asks for anything else."""
        number, self._calls = self._calls, self._calls + 1
        settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
        asked = [what, type(optimizer).__name__, settings, learn.images.key, learn.n_batches]
        asked += [learn.frozen_to, learn.precompute, learn.clip, learn.label_smoothing]
        return number, safe_files.fingerprint(repr(asked), learn.generator.get_state())

    def _answer(self, number: int, call: str) -> tuple[dict[str, Tensor], dict] | None:
        if self.folder is None or not self._path(number).is_file():
            return None
        tensors, about = self._read(self._path(number))
        if about["call"] != call or about["run"] != self.run:
            raise JournalError(
                f"{self.folder} doesn't fit: part {number + 1} of this run asks for something else "
                f"than the run that began, so this is other code or another machine. {self._way()}"
            )
        self.seconds += about["seconds"]
        return tensors, about

    def _read(self, path: Path) -> tuple[dict[str, Tensor], dict]:
        try:
            tensors, about = safe_files.read_tensors(path)
        except safe_files.ModelFileError:
            about = {}
        if "run" not in about:
            raise JournalError(f"{path} is damaged: delete {self.folder} to start anew.")
        return tensors, about

    def _write(self, number: int, tensors: dict[str, Tensor], about: dict) -> None:
        if self.folder is None or self._full or distributed.rank() > 0:
            return
        try:
            self.folder.mkdir(exist_ok=True)
            about |= {"run": self.run, "machine": _machine()}
            safe_files.write_tensors(self._path(number), tensors, about)
        except OSError as error:
            self._full = True  # a gap in the journal would be worse than its end
            warnings.warn(
                f"{self.folder} can't be written ({error.strerror or error}): training goes on, "
                "but if it is stopped, it could only be resumed from before this.",
                stacklevel=2,
            )

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.safetensors"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:04}.safetensors"

    def _way(self) -> str:
        return f"Start as that run was started, or delete {self.folder} to start anew."


def _version() -> str:
    try:
        return importlib.metadata.version("lessonkit")
    except importlib.metadata.PackageNotFoundError:  # run from a folder, not installed
        return "of unknown version"


def _machine() -> dict[str, str | int]:
    """What the last digits of a result depend on."""
    return {
        "PyTorch": torch.__version__,
        "number of threads": torch.get_num_threads(),
        "number of processes": distributed.size(),
        "graphics card": torch.cuda.is_available(),
    }


def _differences(was: dict, now: dict) -> list[tuple]:
    """(name, value then, value now) of what isn't the same."""
    return [(name, was.get(name), now[name]) for name in now if was.get(name) != now[name]]


def _weights(learn: Any) -> dict[str, Tensor]:
    """What training can have changed: the tensors of the groups that aren't frozen."""
    groups = enumerate(learn.groups[learn.frozen_to :], learn.frozen_to)
    return {f"{i}.{name}": t for i, g in groups for name, t in g.state_dict().items()}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers of each parameter, such as momentum."""
    parameters = enumerate(p for group in optimizer.param_groups for p in group["params"])
    return {
        f"optimizer.{i}.{name}": torch.as_tensor(value)
        for i, parameter in parameters
        for name, value in optimizer.state[parameter].items()
        if value is not None
    }


@torch.no_grad()
def _restore(learn: Any, optimizer, tensors: dict[str, Tensor], about: dict) -> None:
    for name, tensor in _weights(learn).items():
        tensor.copy_(tensors[name])
    learn.generator.set_state(tensors["generator"])
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, i, key = name.split(".", 2)
            optimizer.state[parameters[int(i)]][key] = _like(parameters[int(i)], tensor)
    learn._scaler.load_state_dict(about["scaler"])
    learn.history.lr += about["lr"]
    learn.history.loss += about["loss"]
    learn.history.epochs += about["rows"]


def _like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """`tensor`, laid out in memory as `parameter` is, if it has its shape: the bits of sums may
    depend on the layout. Counts of steps are single numbers, and stay on the CPU.
    """
    if tensor.shape != parameter.shape:
        return tensor
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
