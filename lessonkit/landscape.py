"""Looking at the minimum that training found: how sharply does the loss curve around it?"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["largest_curvature"]


def largest_curvature(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    steps: int = 50,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> float:
    """λ: the largest eigenvalue, by size, of the loss's second derivatives by the weights.

    By power iteration: multiplied by the matrix of second derivatives again and again, a random
    direction turns towards the one that curves most. The product is the derivative of
    gradient · direction (Pearlmutter 1994), so the matrix is never written down. It stops when λ
    changes by less than `tolerance` of itself, or after `steps` products. Gradient descent on
    these `inputs` and `targets` is stable around a minimum up to an LR of 2/λ (Cohen et al. 2021,
    arXiv 2103.00065). The model keeps its mode: call `eval()` first for fixed BatchNorm.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
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
