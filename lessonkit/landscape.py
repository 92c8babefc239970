"""Looking at the minimum that training found: slices through the loss around it, and its curvature.

A network's loss is a landscape over all its weights, far too many directions to draw. A slice shows
the loss along one or two of them. In every function `loss(outputs, targets)` is a mean over
pictures, and a model in eval mode stays as it is, bit for bit. Call `eval()` first: in train mode
BatchNorm would normalise by these pictures, and change its stored statistics. `inputs` [N, ...] are
what the model takes, `targets` [N] what the loss does; both are copied to where the weights are. A
direction names all of the model's parameters, else KeyError, and has their shapes.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["interpolate", "largest_curvature", "random_direction", "slice_1d", "slice_2d"]

Loss = Callable[[Tensor, Tensor], Tensor]


def random_direction(model: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """A random direction in weight space, by parameter name: each filter as long as the model's.

    Multiply one layer by ten, divide the next by ten, and a ReLU network computes the same; but a
    step of a fixed length now changes it more, so it looks sharper than it did. *Filter
    normalisation* (Li et al. 2018, arXiv 1712.09913) undoes that: each filter (row of a weight) of
    the direction gets the length of the model's own, and biases and norms don't move. The same
    seed draws the same direction, but for those lengths, for all networks of the same shapes.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = {}
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        direction[name] = _as_long_as(drawn, weight.detach()) if weight.ndim > 1 else drawn.mul_(0)
    return direction


def _as_long_as(drawn: Tensor, weight: Tensor) -> Tensor:
    """`drawn`, each of its filters (all but the first axis) stretched to the length in `weight`."""
    axes = tuple(range(1, weight.ndim))
    lengths = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
    return drawn * (lengths / torch.linalg.vector_norm(drawn, dim=axes, keepdim=True))


def slice_1d(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    direction: dict[str, Tensor],
    distances: Sequence[float],
) -> np.ndarray:
    """The loss at the model's weights plus each of `distances` times `direction`: float64 [n]."""
    # No step is made along the second direction, so it may be any.
    return slice_2d(model, loss, inputs, targets, direction, direction, distances, [0.0])[0]


@torch.no_grad()
def slice_2d(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    across: dict[str, Tensor],
    up: dict[str, Tensor],
    distances: Sequence[float],
    distances_up: Sequence[float] | None = None,
) -> np.ndarray:
    """The loss over a plane through the model's weights, as float64 [n up, n across].

    The directions are those of `random_direction`, or any others; `distances` are for both, unless
    `distances_up` are given. Distance 1 along a random direction is as far as the weights are long.
    """
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    inputs, targets = _beside(weights.values(), inputs, targets)
    distances_up = distances if distances_up is None else distances_up
    losses = np.empty((len(distances_up), len(distances)))
    for row, b in enumerate(distances_up):
        for column, a in enumerate(distances):
            moved = {name: w + a * across[name] + b * up[name] for name, w in weights.items()}
            losses[row, column] = loss(functional_call(model, moved, (inputs,)), targets).item()
    return losses


@torch.no_grad()
def interpolate(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    start: dict[str, Tensor],
    end: dict[str, Tensor],
    shares: Sequence[float],
) -> np.ndarray:
    """The loss on the straight line between two trained networks' `state_dict`s: float64 [n].

    `shares` says how far along: 0 is `start`, 1 is `end`, other values look beyond them (Goodfellow
    et al. 2014, arXiv 1412.6544). BatchNorm's statistics are mixed like weights.
    """
    inputs, targets = _beside(start.values(), inputs, targets)
    losses = []
    for share in shares:
        mixed = {
            name: torch.lerp(value, end[name], share) if value.is_floating_point() else value
            for name, value in start.items()
        }
        # Not tied anew: `mixed` has a value for each name, and those of tied weights are equal.
        outputs = functional_call(model, mixed, (inputs,), tie_weights=False)
        losses.append(loss(outputs, targets).item())
    return np.array(losses)


def largest_curvature(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    steps: int = 50,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> float:
    """λ: the largest eigenvalue, in magnitude, of the loss's matrix of second derivatives.

    By power iteration: multiplied by the matrix of second derivatives again and again, a random
    direction turns towards the one that curves most. The product is the derivative of
    gradient · direction (Pearlmutter 1994), so the matrix is never written down. It stops when λ
    changes by less than `tolerance` of itself, or after `steps` products. Gradient descent on
    these `inputs` and `targets` is stable around a minimum up to an LR of 2/λ (Cohen et al. 2021,
    arXiv 2103.00065). Away from one, λ may be negative. Only weights that require gradients count;
    each of them must take part in the loss. ValueError if there are none.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("All weights are frozen: the loss has no curvature along any of them.")
    inputs, targets = _beside(parameters, inputs, targets)
    value = loss(model(inputs), targets)
    gradient = torch.autograd.grad(value, parameters, create_graph=True)
    generator = torch.Generator().manual_seed(seed)
    direction = [torch.randn(p.shape, generator=generator).to(p) for p in parameters]
    curvature = 0.0
    for _ in range(steps):
        length = torch.sqrt(sum((d**2).sum() for d in direction))
        direction = [d / length for d in direction]
        product = torch.autograd.grad(gradient, parameters, direction, retain_graph=True)
        before = curvature
        curvature = sum((p * d).sum() for p, d in zip(product, direction, strict=True)).item()
        if abs(curvature - before) <= tolerance * abs(curvature):
            break
        direction = [p.detach() for p in product]
    return curvature


def _beside(weights: Iterable[Tensor], *tensors: Tensor) -> list[Tensor]:
    """`tensors`, which may be in the CPU's memory, on the device where the `weights` are."""
    device = next(iter(weights)).device
    return [tensor.to(device) for tensor in tensors]
