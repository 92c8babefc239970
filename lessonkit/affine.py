"""Flips, turns, rotation, zoom and shift of a whole batch, as one table of affine matrices."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["affine", "move"]


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
    """Look up float pictures [N, 3, S, S] through affine matrices [N, 2, 3].

    What lies outside the picture is its mirror image: black corners would be a clue to learn.
    """
    grid = F.affine_grid(matrices, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
