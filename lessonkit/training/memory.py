"""What keeps the use of memory small, however large the mini-batch and the number of pictures."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

__all__ = ["all_on", "as_one", "in_parts", "pictures_at_once"]

PIXELS = 2**20  # at once in training: 64 pictures of 128 px, or 20 of 224 px
PREDICTED = 2**18  # pixels at once on a CPU where nothing is kept for a backward pass


def all_on(device: torch.device, inputs: Tensor) -> Tensor:
    """All `inputs` [N, ...] on `device`; left where they are if a graphics card lacks the room.

    As uint8, pictures are small. Copied once an epoch, they are indexed and augmented on the card,
    which never waits for the next mini-batch.
    """
    if device.type == "cuda" and inputs.nbytes > torch.cuda.mem_get_info(device)[0] / 4:
        return inputs
    return inputs.to(device)


def pictures_at_once(network: nn.Module, inputs: Tensor) -> int:
    """How many of a mini-batch's `inputs`, [N, 3, S, S] or activations [N, features], to take.

    What the layers put out is kept for the backward pass: 50 MB for a picture of 224 px in
    EfficientNet-Lite0. The gradients of parts add up to the gradient of the whole, so large
    pictures go through in parts. Not where BatchNorm normalises over the mini-batch: there it is
    always all N.
    """
    parts = math.ceil(inputs[:, 0].numel() / PIXELS) if inputs.ndim == 4 else 1
    if parts == 1 or _normalises_over_the_batch(network):
        return len(inputs)
    return math.ceil(len(inputs) / parts)


def in_parts(inputs: Tensor, most: int, device: torch.device) -> Iterator[Tensor]:
    """`inputs`, [N, 3, S, S] or [N, features], on `device`, at most `most` of them at a time.

    For predictions. On a CPU large pictures go through in smaller parts: a layer's output then fits
    into its caches, and into memory that the process already has. 64 pictures of 224 px take half
    the time in parts of five. A graphics card would only wait more often.
    """
    if inputs.ndim == 4 and device.type == "cpu":
        most = max(1, min(most, PREDICTED // inputs.shape[2:].numel()))
    return (part.to(device) for part in inputs.split(most))


def _normalises_over_the_batch(network: nn.Module) -> bool:
    norms = (m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return any(norm.training for norm in norms)


def as_one(parts: Iterable[Tensor], n: int) -> Tensor:
    """`parts` as one float32 tensor [n, ...] in the CPU's memory; ValueError unless of `n` rows.

    Each is copied as soon as it is made. A list of them, for `torch.cat`, would grow between what
    the network allocates and frees for each batch, and leave holes in memory that nothing fits.
    """
    whole, done = torch.empty(0), 0
    for part in parts:
        if done == 0:
            whole = torch.empty(n, *part.shape[1:])
        if done + len(part) <= n:
            whole[done : done + len(part)] = part
        done += len(part)
    if done != n:
        raise ValueError(f"The network gave {done} rows for {n} inputs: are they what it takes?")
    return whole
