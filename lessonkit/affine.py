"""Flips, turns, rotation, zoom and shift of a whole batch, as one table of affine matrices."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["affine", "in_blocks", "move", "to_uint8"]

PIXELS = 2**16  # for each thread at once: 4 pictures of 128 px, 800 kB as floats


def affine(
    mirror: bool | Tensor = False,
    quarter_turns: int | Tensor = 0,
    degrees: float | Tensor = 0.0,
    zoom: float | Tensor = 1.0,
    right: float | Tensor = 0.0,
    down: float | Tensor = 0.0,
) -> Tensor:
    """Matrices [N, 2, 3] from output to input coordinates, which run from -1 to 1 on both axes.

    Each argument is a number or a tensor [N]. `right` and `down` are shares of the side.
    """
    # `atleast_1d` and broadcasting let one function serve a single view and a random batch.
    values = [mirror, quarter_turns, degrees, zoom, right, down]
    values = [torch.atleast_1d(torch.as_tensor(v, dtype=torch.float32)) for v in values]
    mirror, quarter_turns, degrees, zoom, right, down = torch.broadcast_tensors(*values)
    angle = torch.deg2rad(degrees) + quarter_turns * (math.pi / 2)
    side = 1 - 2 * mirror  # -1 mirrors the x axis
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = [torch.stack([side * cos, -side * sin, -2 * right], 1)]
    rows += [torch.stack([sin, cos, -2 * down], 1)]
    return torch.stack(rows, 1)


def move(pixels: Tensor, matrices: Tensor) -> Tensor:
    """Look up pictures [N, 3, S, S] through affine matrices [N, 2, 3]; gives floats.

    What lies outside the picture is its mirror image: black corners would be a clue to learn.
    """
    grid = _grid(matrices, pixels.shape[-1])
    return F.grid_sample(pixels.float(), grid, padding_mode="reflection", align_corners=False)


def _grid(matrices: Tensor, side: int) -> Tensor:
    """Where each output pixel is looked up, [N, side, side, 2]: what `F.affine_grid` gives.

    That one multiplies matrices of three columns, which takes half as long as the looking up. The
    terms are added in the same order as there, so that they give the same last digits.
    """
    ahead = torch.linspace(-1, 1, side, device=matrices.device) * (side - 1) / side
    along_x, along_y, shift = matrices[..., None, None].unbind(2)  # each [N, 2, 1, 1]
    return (along_x * ahead + along_y * ahead[:, None] + shift).permute(0, 2, 3, 1)


def to_uint8(pixels: Tensor) -> Tensor:
    """Floats as whole numbers from 0 to 255, uint8; `pixels` themselves are rounded on the way."""
    # By way of int16: PyTorch's direct way isn't vectorised, and takes several times as long.
    return pixels.round_().clamp_(0, 255).to(torch.int16).to(torch.uint8)


def in_blocks(change: Callable[..., Tensor], images: Tensor, *draws: Tensor) -> Tensor:
    """`change(images, *draws)` of pictures [N, 3, S, S], on a CPU a few pictures at a time.

    Row i of each of `draws` [N, ...] is for picture i. As floats, a whole batch fits no cache, and
    the system has to be asked for its memory in each step anew.
    """
    n = 1
    if images.device.type == "cpu" and len(images):
        at_once = torch.get_num_threads() * max(1, PIXELS // images[0, 0].numel())
        n = math.ceil(len(images) / at_once)
    tensors = images, *(drawn.to(images.device) for drawn in draws)
    parts = zip(*(tensor.tensor_split(n) for tensor in tensors), strict=True)
    return torch.cat([change(*part) for part in parts])
