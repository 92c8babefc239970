"""Everything as it was: what the LR finder, whose training is only a trial, leaves behind.

A whole training after a sweep is to be the very one that it would have been without: weights,
modes, momentum, counters, and what every random generator draws next.
"""

import copy
import itertools
import random
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from numbers import Integral
from types import MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["everything_restored"]

SIMPLE = (bool, int, float, complex, str, type(None), np.generic)
VALUES = (*SIMPLE, Tensor, np.ndarray, list, tuple, dict, set, deque)  # and what is made of them
LONGEST = 100  # a list with more, or a dict with half as many, is data, not state
# Containers that torch itself looks after: hooks, parameters, parts.
OF_TORCH = {name for name, value in vars(nn.Module()).items() if isinstance(value, dict | set)}
OTHERS = (type, ModuleType, MethodType, partial, Tensor, nn.Module)  # attributes, but no loader
HOLDING = ("loader", "dataset", "sampler", "batch_sampler", "loaders", "datasets", "samplers", "dl")
WEAK = (weakref.ProxyType, weakref.CallableProxyType)  # a dead one can't even be looked at
MOST = 100_000  # objects among which generators are looked for
TRAINS = (torch.optim.Optimizer, nn.Module, LRScheduler, torch.amp.GradScaler)  # in attributes


@contextmanager
def everything_restored(model: nn.Module, optimizer: Any, *others: Any) -> Iterator[None]:
    """On leaving, `model`, `optimizer` and all random generators are bit for bit as on entering.

    Also after an error. That covers parameters, gradients and buffers, replaced ones too; each
    module's mode and other plain attributes, such as counters; settings, state and attributes of
    the optimiser; attributes of `others`, such as a loss; networks, optimisers, schedulers and
    scalers in attributes of these; simple ones that loaders, samplers and datasets have, and
    samplers' orders of rows; all random generators in these and of Python, numpy and torch. Not
    covered: what functions and objects of one's own keep elsewhere, lists of over 100, dicts of
    over 50, rows that a loader shuffles itself, its workers and running iterators. ValueError for
    layers that lack their size.
    """
    everyone = _with_those_inside([optimizer, *others])
    optimizers = [one for one in everyone if isinstance(one, torch.optim.Optimizer)]
    nets = [one for one in (model, *everyone) if isinstance(one, nn.Module)]
    modules = list(dict.fromkeys(part for net in nets for part in net.modules()))
    sources = [*_sources(everyone)]
    ways_back = [
        *_keep_parameters(modules, [optimizer, *optimizers]),
        *_keep_attributes(modules, everyone, sources),
        *itertools.chain(*map(_keep_optimizer, optimizers)),
        *_generators([*everyone, *(kept for kept, _ in sources), *modules]),
        *_keep_randomness(),
    ]
    with ExitStack() as stack:  # goes all the ways back, also where one of them fails
        for put_back in reversed(ways_back):
            stack.callback(put_back)
        yield


def _with_those_inside(found: list) -> list:
    """`found`, and what these use: Lookahead's inner optimiser, a method's object, and so on."""
    for one in found:  # which grows meanwhile
        inside = [*_held_by(one)] if isinstance(one, partial | MethodType) else []
        if isinstance(one, torch.optim.Optimizer):  # its settings may be objects of one's own
            settings = [value for group in one.param_groups for value in group.values()]
            inside += [value for value in settings if type(value) not in WEAK and _is_own(value)]
        if _is_own(one):
            held = [part for name, value in vars(one).items() for part in _each(value, name)]
            inside += [part for part in held if isinstance(part, TRAINS)]
        found += [part for part in inside if not any(part is known for known in found)]
    return found


def _held_by(one: Any) -> Iterable:
    """What is called, and with what; what a short container has in it; an object's attributes."""
    if isinstance(one, partial):
        return one.func, *one.args, *one.keywords.values()
    if isinstance(one, MethodType):
        return (one.__self__,)
    if isinstance(one, list | tuple | dict) and len(one) <= LONGEST:  # of transforms, say
        return one.values() if isinstance(one, dict) else one
    return getattr(one, "__dict__", {}).values()


def _keep_parameters(modules: list[nn.Module], optimizers: list) -> Iterator[Callable]:
    """What puts back each parameter's value and gradient, and each module's parts."""
    held = [p for module in modules for p in module._parameters.values() if p is not None]
    trained = [p for one in optimizers for group in one.param_groups for p in group["params"]]
    parameters = list(dict.fromkeys([*held, *trained]))
    buffers = [buffer for module in modules for buffer in module._buffers.values()]
    if any(map(nn.parameter.is_lazy, [*parameters, *buffers])):
        raise ValueError("Some layers don't know their size yet: call the model on a batch first.")
    for parameter in parameters:
        yield partial(_write_back, parameter, parameter.detach().clone())
        yield partial(parameter.requires_grad_, parameter.requires_grad)
        yield _keep(partial(setattr, parameter), "grad", parameter.grad)
    for module in modules:
        parts = dict(module._parameters), dict(module._modules)  # forward may replace some
        yield partial(_put_back_parts, module, type(module), *parts)


def _put_back_parts(module: nn.Module, kind: type, *parts: dict) -> None:
    # Else a parametrization was removed, and no way leads back; TorchScript replaces no parts.
    if type(module) is kind and not isinstance(module, torch.jit.ScriptModule):
        for held, before in zip((module._parameters, module._modules), parts, strict=True):
            held.clear()
            held.update(before)


def _keep_attributes(modules: list, others: list, sources: list) -> Iterator[Callable]:
    """For each plain attribute or buffer, what puts it back; and what takes away new ones."""
    holders = [(kept, _is_value) for module in modules for kept in (vars(module), module._buffers)]
    holders += [(vars(one), _is_value) for one in others if _is_own(one)]
    for kept, is_state in [*holders, *sources]:
        known = {name for name in {*kept.keys()} - OF_TORCH if is_state(kept[name])}
        yield partial(_take_away_new, kept, is_state, known)
        yield from (_keep(kept.__setitem__, name, kept[name]) for name in known)


def _take_away_new(kept: dict, is_state: Callable, known: set[str]) -> None:
    for name in {*kept.keys()} - OF_TORCH - known:
        if is_state(kept[name]):
            del kept[name]


def _keep(hold: Callable, name: str, value: Any) -> Callable:
    copied = _copy_of(value)
    return lambda: hold(name, _as_it_was(value, copied))


def _sources(others: list) -> Iterator[tuple[dict, Callable]]:
    """The attributes of loaders, datasets, samplers and those that they hold; which of them count.

    Of data only simple values: how often it was asked, not what it holds. A sampler may have an
    order of rows, too.
    """
    found, seen = [(one, "") for one in others], set()
    for one, name in found:  # which grows meanwhile
        if _is_source(one) and id(one) not in seen:
            seen.add(id(one))
            yield vars(one), _is_order if "sampler" in name else _is_simple
            found += [(held, n) for n in HOLDING for held in _each(vars(one).get(n), n)]


def _is_source(one: Any) -> bool:
    """Whether it gives batches, samples or rows: a loader, a dataset or a sampler."""
    gives = hasattr(one, "__iter__") or hasattr(one, "__getitem__")
    return gives and hasattr(one, "__dict__") and not isinstance(one, OTHERS)


def _is_own(one: Any) -> bool:
    """Whether it is another object with attributes: an optimiser, a loss, who trains."""
    return hasattr(one, "__dict__") and not (isinstance(one, OTHERS) or _is_source(one))


def _each(held: Any, name: str) -> list:
    """`held` itself, or its parts, if the `name` of the attribute says that there are several."""
    parts = [held]
    if type(held) not in WEAK and isinstance(held, list | tuple | dict) and name.endswith("s"):
        parts = held.values() if isinstance(held, dict) else held
    return [part for part in parts if type(part) not in WEAK]


def _keep_optimizer(optimizer: torch.optim.Optimizer) -> Iterator[Callable]:
    """What puts back an optimiser's settings and state."""
    groups = [*optimizer.param_groups]
    # The keys must stay the very parameters: a copy of them would belong to nobody.
    state = {p: copy.deepcopy(values) for p, values in optimizer.state.items()}

    def put_back() -> None:
        optimizer.param_groups[:] = groups
        optimizer.state.clear()
        optimizer.state.update(state)

    yield put_back
    for group in groups:
        yield partial(_take_away_new, group, lambda value: True, {*group})
        for one in group.items():
            if one[0] != "params":  # a layer, a lock: these stay the objects that they are
                put = _keep if _is_value(one[1]) else partial
                yield put(group.__setitem__, *one)


def _keep_randomness() -> Iterator[Callable]:
    """What puts back the random state of torch (CPU, CUDA, MPS), numpy and Python."""
    yield partial(torch.set_rng_state, torch.get_rng_state())
    yield partial(np.random.set_state, np.random.get_state())
    yield partial(random.setstate, random.getstate())
    if torch.cuda.is_available():
        yield partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
    if torch.backends.mps.is_available():
        yield partial(torch.mps.set_rng_state, torch.mps.get_rng_state())


def _is_simple(value: Any) -> bool:
    return type(value) not in WEAK and isinstance(value, SIMPLE)


def _is_order(value: Any) -> bool:
    """Whether it is simple, or numbers of rows in an order; in batches, too."""
    if type(value) in WEAK:
        return False
    if isinstance(value, list):
        return all(isinstance(part, Integral | list) and _is_order(part) for part in value)
    is_array = isinstance(value, np.ndarray | Tensor)
    return _is_simple(value) or (is_array and "int" in str(value.dtype))


def _copy_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    return tuple(map(_copy_of, value)) if isinstance(value, tuple) else copy.deepcopy(value)


def _as_it_was(value: Any, copied: Any) -> Any:
    """`value` itself, since others may hold it too, filled with what it held when it was copied."""
    if isinstance(value, Tensor):
        _write_back(value, copied)
    elif isinstance(value, tuple):
        for one, other in zip(value, copied, strict=True):
            _as_it_was(one, other)
    elif isinstance(value, np.ndarray) and value.flags.writeable:
        value[...] = copied
    elif isinstance(value, list | dict | set | deque):
        value.clear()
        (value.extend if isinstance(value, list | deque) else value.update)(copied)
    return value


def _is_value(value: Any) -> bool:
    """False for parameters, which must stay the same objects, modules, functions, generators."""
    if type(value) in WEAK:
        return False
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple | set | deque):
        tensors = [one for one in value if issubclass(type(one), Tensor)]
        owned = not any(isinstance(one, nn.Parameter) for one in tensors)
        owned &= isinstance(value, tuple) or all(one.is_leaf for one in tensors)
        return len(value) <= LONGEST and owned and all(map(_is_value, value))
    return isinstance(value, VALUES)


@torch.no_grad()
def _write_back(tensor: Tensor, value: Tensor) -> None:
    if tensor.shape != value.shape:  # as of observers, which find it out in training
        tensor.resize_(value.shape)
    for dim, step in enumerate(tensor.stride() if tensor.layout == torch.strided else ()):
        if step == 0 and tensor.shape[dim]:  # expanded: the same number again and again
            tensor, value = tensor.narrow(dim, 0, 1), value.narrow(dim, 0, 1)
    if tensor.layout != torch.strided or tensor.is_meta or not torch.equal(tensor, value):
        tensor.copy_(value)


def _generators(found: list) -> Iterator[Callable]:
    """For each random generator that these hold, such as a sampler's, what puts back its state."""
    seen = set()
    for one in itertools.islice(found, MOST):  # it grows meanwhile, but not without an end
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Generator | np.random.RandomState):
            yield partial(one.set_state, one.get_state())
        elif isinstance(one, random.Random) and not isinstance(one, random.SystemRandom):
            yield partial(one.setstate, one.getstate())
        elif isinstance(one, np.random.Generator):
            yield partial(setattr, one.bit_generator, "state", one.bit_generator.state)
        elif not isinstance(one, type | ModuleType):
            held = [part for part in _held_by(one) if type(part) not in WEAK]
            found += [part for part in held if not isinstance(part, SIMPLE)]
