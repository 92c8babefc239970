"""A mini-batch divided among several processes, each of which does some of its rows.

Each process has the whole network and sees, of every mini-batch, its own rows only. Before each
step the gradients are averaged over all rows, so all take the same step and the weights stay equal.
In a single process, the usual case, everything here does nothing. How processes find one another
is in lessonkit.training.processes; SCALING.md says what several of them are worth.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["average", "first", "own_draws", "rank", "same_buffers", "share", "world_size"]

Result = TypeVar("Result")


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0; number 0 speaks and writes for all."""
    return dist.get_rank() if world_size() > 1 else 0


def share(rows: Tensor) -> Tensor:
    """Of a mini-batch's row numbers [n], those of this process; ValueError if one has none."""
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
    """The mean loss over the rows of all processes; `loss` is the mean over this one's `n` rows.

    The gradients of `network` become means over all rows, too. Everything is summed over all
    processes at once, which gives the same bits in each of them.
    """
    if world_size() == 1:
        return loss
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    means = [*gradients, loss, torch.ones_like(loss)]  # the last one becomes the number of rows
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
    """What `make()` returns in the first process, for all of them; only that one calls it."""
    if world_size() == 1:
        return make()
    box = [make() if rank() == 0 else None]
    dist.broadcast_object_list(box, 0)
    return box[0]
