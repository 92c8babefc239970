"""Processes that `torchrun` starts side by side: they meet, wait for one another, and end together.

In a process alone, the usual case, everything here does nothing.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from lessonkit.files.fingerprint import fingerprint
from lessonkit.machine import progress
from lessonkit.training.distributed import rank, world_size

__all__ = ["Lost", "check_equal", "in_turn", "is_one_of_several", "joined", "speaks"]

Result = TypeVar("Result")

TIMEOUT = timedelta(minutes=10)  # for another process to get as far as this one: a mini-batch
PATIENCE = timedelta(days=2)  # where the others wait for what one computes for all

_store: dist.Store | None = None
_patient: dist.ProcessGroup | None = None


class Lost(RuntimeError):
    """Another process of this run has ended or can't be reached; this one can't go on alone."""


def is_one_of_several() -> bool:
    """Whether torchrun has started this process beside others, joined or not yet."""
    return _number("WORLD_SIZE", unset="1") > 1


def _number(name: str, most: int = 1_000_000, unset: str = "") -> int:
    """What torchrun has set a variable to; ValueError, naming it, if that can't be right."""
    text = os.environ.get(name) or unset
    if not (text.isdecimal() and int(text) <= most):
        raise ValueError(
            f"The environment variable {name} is {text!r}, not a whole number from 0 to {most}: "
            "let torchrun set it, or unset WORLD_SIZE to train in one process."
        )
    return int(text)


@contextmanager
def joined() -> Iterator[None]:
    """Within the block this process works together with those that torchrun started beside it.

    All but the first are silent there. Raises Lost when another one has ended, and ValueError when
    they can't reach one another.
    """
    if not is_one_of_several():
        yield
        return
    try:
        _join()
    except (RuntimeError, OSError) as error:
        why = " ".join(str(error).split())[:200].rstrip(".")
        raise ValueError(
            f"The processes can't reach one another: {why}. Set GLOO_SOCKET_IFNAME to the network "
            "interface that they share, such as lo or eth0, or give torchrun another --master-port."
        ) from error
    try:
        with open(os.devnull, "w", encoding="utf-8", errors="replace") as nowhere:
            if rank() == 0:
                yield
            else:
                with redirect_stdout(nowhere), progress.quiet():
                    yield
    except BaseException as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending already
        if isinstance(error, RuntimeError) and _is_about_the_others(error):
            raise Lost from error
        raise
    dist.destroy_process_group()


def speaks() -> bool:
    """Whether this process should say why it ends: only the first one that asks should."""
    try:
        return _store is None or _store.add("said", 1) == 1
    except RuntimeError:  # nobody can be reached any more
        return True


def _join() -> None:
    global _store, _patient
    _number("RANK", _number("WORLD_SIZE") - 1)  # the others would wait for it
    _number("MASTER_PORT", 65535)
    cuda, local = torch.cuda.is_available(), _number("LOCAL_RANK", unset="0")
    if cuda and local >= torch.cuda.device_count():
        raise ValueError(f"Give one process to each GPU: there are {torch.cuda.device_count()}.")
    if cuda:
        torch.cuda.set_device(local)  # from here on "cuda" means this one
    stops = (signal.SIGINT, signal.SIGTERM)  # while PyTorch waits, Python doesn't hear of them
    handlers = {stop: signal.signal(stop, signal.SIG_DFL) for stop in stops}
    try:
        _store, number, n = next(dist.rendezvous("env://", timeout=TIMEOUT))
        dist.init_process_group(
            "nccl" if cuda else "gloo", store=_store, rank=number, world_size=n, timeout=TIMEOUT
        )
        _patient = dist.new_group(timeout=PATIENCE, backend="gloo")
    finally:
        for stop, handler in handlers.items():
            signal.signal(stop, handler)
    signal.signal(signal.SIGTERM, _terminated)


def _terminated(*_: object) -> None:
    """What torchrun does to the others when one has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Lost


def _is_about_the_others(error: RuntimeError) -> bool:
    words = ("gloo", "nccl", "connection", "timed out", "timeout", "socket", "peer")
    said = str(error).lower()
    return isinstance(error, Lost | dist.DistError) or any(word in said for word in words)


def in_turn(make: Callable[[], Result]) -> Result:
    """`make()`, in one process of each machine first, so that the others find it in the cache."""
    if world_size() == 1:
        return make()
    goes_first = _number("LOCAL_RANK", unset="0") == 0
    result = make() if goes_first else None
    dist.barrier(group=_patient)
    return result if goes_first else make()


def check_equal(parts: Iterable[object], otherwise: str) -> None:
    """ValueError, saying `otherwise`, unless `parts` are the same in all processes, bit for bit.

    Parts are tensors, or anything that JSON can write.
    """
    if world_size() > 1:
        all_of_them: list[str] = [""] * world_size()
        dist.all_gather_object(all_of_them, fingerprint(*parts))
        if len(set(all_of_them)) > 1:
            raise ValueError(otherwise)
