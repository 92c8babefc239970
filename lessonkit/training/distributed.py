"""Training in several processes, each with a share of every mini-batch; `torchrun` starts them.

Each process has the whole network and sees, of every mini-batch, its own rows only. Before each
step the gradients are averaged over all rows, so all take the same step and the weights stay equal.
In a single process, the usual case, everything here does nothing. SCALING.md says what several
processes are worth.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lessonkit.files import safe_files
from lessonkit.machine import progress

__all__ = [
    "Lost", "average", "check_equal", "first", "in_turn", "is_one_of_several", "joined",
    "own_draws", "rank", "same_buffers", "share", "speaks", "world_size",
]  # fmt: skip

Result = TypeVar("Result")

TIMEOUT = timedelta(minutes=10)  # for another process to arrive where this one is: a mini-batch
PATIENCE = timedelta(days=2)  # where the others wait for what one computes for all

_store: dist.Store | None = None
_patient: dist.ProcessGroup | None = None


class Lost(RuntimeError):
    """Another process of this run has ended or can't be reached; this one can't go on alone."""


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0; number 0 speaks and writes for all."""
    return dist.get_rank() if world_size() > 1 else 0


def is_one_of_several() -> bool:
    """Whether torchrun has started this process beside others, joined or not yet."""
    return int(os.environ.get("WORLD_SIZE") or "1") > 1


@contextmanager
def joined() -> Iterator[None]:
    """Within the block this process works together with those that torchrun started beside it.

    All but the first are silent there. Raises Lost when another one has ended.
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
        with open(os.devnull, "w") as nowhere:
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
    """Whether this process should say why it ends: the first of all that asks, nobody else."""
    try:
        return _store is None or _store.add("said", 1) == 1
    except RuntimeError:  # nobody can be reached any more
        return True


def _join() -> None:
    global _store, _patient
    cuda, local = torch.cuda.is_available(), int(os.environ.get("LOCAL_RANK", "0"))
    if cuda and local >= torch.cuda.device_count():
        raise ValueError(f"Give one process to each GPU: there are {torch.cuda.device_count()}.")
    if cuda:
        torch.cuda.set_device(local)  # from here on "cuda" means this one
    _store, number, n = next(dist.rendezvous("env://", timeout=TIMEOUT))
    dist.init_process_group(
        "nccl" if cuda else "gloo", store=_store, rank=number, world_size=n, timeout=TIMEOUT
    )
    _patient = dist.new_group(timeout=PATIENCE, backend="gloo")
    signal.signal(signal.SIGTERM, _terminated)


def _terminated(*_: object) -> None:
    """What torchrun does to the others when one has ended."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Lost


def _is_about_the_others(error: RuntimeError) -> bool:
    words = ("gloo", "nccl", "connection", "timed out", "timeout", "socket", "peer")
    said = str(error).lower()
    return isinstance(error, Lost | dist.DistError) or any(word in said for word in words)


# --- The learner's part ---------------------------------------------------------------------------


def share(rows: Tensor) -> Tensor:
    """Of a mini-batch's row numbers [n], those that this process is to do."""
    if len(rows) < world_size():
        raise ValueError(
            f"A mini-batch of {len(rows)} pictures can't be shared by {world_size()} processes: "
            "start fewer."
        )
    return rows[rank() :: world_size()]


def own_draws(generator: torch.Generator) -> torch.Generator:
    """A generator for this process's augmentation; `generator` stays the same in all of them."""
    if world_size() == 1:
        return generator
    seed = int(torch.randint(2**48, (), generator=generator.clone_state()))
    return torch.Generator().manual_seed(seed + rank())


def average(network: nn.Module, loss: Tensor, n: int) -> Tensor:
    """The mean loss over the rows of all processes, of which this one's is over `n` of them.

    The gradients become means over all rows, too: one sum over all processes, of everything at
    once. That gives the same bits in each of them.
    """
    if world_size() == 1:
        return loss
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    means = [*gradients, loss, torch.ones_like(loss)]  # of the last one only the rows' number stays
    total = n * torch.cat([tensor.flatten() for tensor in means])
    dist.all_reduce(total)
    *parts, loss, _ = (total / total[-1]).split([tensor.numel() for tensor in means])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return loss.squeeze()


def same_buffers(network: nn.Module) -> None:
    """Give all processes the first one's buffers, such as BatchNorm's running statistics.

    In training each normalises by its own rows; the first one's statistics are kept.
    """
    if world_size() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def first(make: Callable[[], Result]) -> Result:
    """What `make()` returns in the first process, in all of them; only that one calls it."""
    if world_size() == 1:
        return make()
    box = [make() if rank() == 0 else None]
    dist.broadcast_object_list(box, 0)
    return box[0]


def in_turn(make: Callable[[], Result]) -> Result:
    """`make()`, on each machine in one process first, so that the others find it in the cache."""
    if world_size() == 1:
        return make()
    goes_first = os.environ.get("LOCAL_RANK", "0") == "0"
    result = make() if goes_first else None
    dist.barrier(group=_patient)
    return result if goes_first else make()


def check_equal(parts: Iterable[object], otherwise: str) -> None:
    """ValueError, saying `otherwise`, unless `parts` are the same in all processes, bit for bit.

    Parts are tensors, or anything that JSON can write.
    """
    if world_size() > 1:
        all_of_them: list[str] = [""] * world_size()
        dist.all_gather_object(all_of_them, safe_files.fingerprint(*parts))
        if len(set(all_of_them)) > 1:
            raise ValueError(otherwise)
