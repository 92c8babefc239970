"""What this machine has, in words, and how fast it trains."""

import os
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from lessonkit.machine.devices import best_device, has_fast_bfloat16

__all__ = ["best_device", "describe", "has_fast_bfloat16", "training_step_seconds"]


def training_step_seconds(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """How long one training step takes: the median of ten, in seconds. The weights change.

    The step is SGD on the cross-entropy, with the model in the mode that it is in. `inputs`
    [N, ...] and `labels` int64 [N] are first copied to the model's device.
    """
    optimizer, seconds = torch.optim.SGD(model.parameters(), lr=0.01), []
    device = next(model.parameters()).device
    inputs, labels = inputs.to(device), labels.to(device)
    for _ in range(11):  # the first one warms up
        start = time.perf_counter()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for a graphics card, which computes while Python goes on
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def describe() -> dict[str, str]:
    """What this machine has, in words: processor, cores, memory, GPU, device, 16-bit numbers."""
    device = torch.device(best_device())
    fast = "fast" if has_fast_bfloat16(device) else "not fast"
    return {
        "processor": _processor(),
        "cores": f"{os.cpu_count()}, of which PyTorch uses {torch.get_num_threads()}",
        "memory": _memory(),
        "graphics card": _graphics_card(device.type),
        "device in use": device.type,
        "bfloat16": f"{fast} on this device",
    }


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    listed = Path("/proc/cpuinfo")  # where Linux lists its processors
    if listed.is_file():
        for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, others lack the names
        return "unknown"
    return f"{size / 2**30:.0f} GiB"


def _graphics_card(device: str) -> str:
    if device != "cuda":
        return "Apple's, in the processor" if device == "mps" else "none that PyTorch can use"
    card = torch.cuda.get_device_properties(0)
    return f"{card.name}, {card.total_memory / 2**30:.0f} GiB"
