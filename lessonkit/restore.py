"""Put a network and its optimiser back as they were, bit for bit."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

__all__ = ["everything_restored"]


@contextmanager
def everything_restored(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """On leaving, `model`, `optimizer` and all random generators are bit for bit as on entering.

    That is: parameters, buffers, gradients, every module's mode, the optimiser's settings and
    state, and the random state of Python, numpy and torch; also after an error.
    """
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    modes = {module: module.training for module in model.modules()}
    gradients = {p: None if p.grad is None else p.grad.clone() for p in model.parameters()}
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    groups = copy.deepcopy(groups)
    # The keys must stay the very parameters: a copy of them would belong to nobody.
    state = {p: copy.deepcopy(values) for p, values in optimizer.state.items()}
    randomness = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        for module, training in modes.items():
            module.training = training
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        for group, settings in zip(optimizer.param_groups, groups, strict=True):
            group.update(settings)
        optimizer.state.clear()
        optimizer.state.update(state)
        torch.set_rng_state(randomness[0])
        np.random.set_state(randomness[1])
        random.setstate(randomness[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
