"""Optimisers for layer groups: which weights get which learning rate, and which ones decay."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

__all__ = ["BY_NAME", "adamw", "lr_per_group", "parameter_groups", "radam", "sgd"]

sgd = partial(torch.optim.SGD, momentum=0.9, weight_decay=5e-4)
adamw = partial(torch.optim.AdamW, betas=(0.9, 0.99), weight_decay=0.01)
# Adam's first steps are its roughest: it divides by a mean size hardly measured yet.
# RAdam waits until it has (Liu et al. 2019, arXiv 1908.03265), which serves as a warm-up.
radam = partial(
    torch.optim.RAdam, betas=(0.9, 0.99), weight_decay=0.01, decoupled_weight_decay=True
)
BY_NAME = {"sgd": sgd, "adamw": adamw, "radam": radam}  # what a model's file calls them


def parameter_groups(
    layer_groups: Sequence[nn.Module], lrs: Sequence[float], frozen_to: int = 0
) -> list[dict]:
    """Parameter groups for a torch optimiser, with an "lr" and the number of their "layer_group".

    The layer groups before `frozen_to` get none. Weight decay pulls weights towards zero so that
    the network stays simple; biases and norms have no part in that, so they get groups without it.
    """
    made = []
    for i, (group, lr) in list(enumerate(zip(layer_groups, lrs, strict=True)))[frozen_to:]:
        about = {"lr": lr, "layer_group": i}
        weights = [p for p in group.parameters() if p.ndim > 1]
        others = [p for p in group.parameters() if p.ndim <= 1]
        made += [{"params": others, "weight_decay": 0.0, **about}] if others else []
        made += [{"params": weights, **about}] if weights else []
    return made


def lr_per_group(lr: float | Sequence[float], n: int, frozen_to: int = 0) -> list[float]:
    """One LR for each of `n` layer groups, from one number or `n`; ValueError for a bad one.

    The groups before `frozen_to` don't train: what stands there isn't looked at.
    """
    try:
        lrs = [float(lr)] * n if np.ndim(lr) == 0 else [float(value) for value in lr]
    except (OverflowError, TypeError, ValueError):
        raise ValueError(f"LRs are one number, such as 1e-3, or a list, not {lr!r:.40}.") from None
    if len(lrs) != n:
        raise ValueError(f"Give one LR, or one for each of the {n} layer groups, not {len(lrs)}.")
    for value in lrs[frozen_to:]:
        if math.isnan(value):
            raise ValueError(
                "This LR is NaN: if it is the LR finder's suggestion, its range of LRs was too "
                "short, the loss never rose. Choose one from its curve, such as 1e-3."
            )
        if not 0 < value < 3e38:  # where float32 ends
            raise ValueError(f"An LR must be a positive number such as 1e-3, not {value}.")
    return lrs
