"""What this machine computes on, how fast, and whether half the bits make it faster."""

import os
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = [
    "best_device",
    "describe",
    "half_type",
    "has_fast_bfloat16",
    "training_step_seconds",
]


def best_device() -> str:
    """The fastest of what is there: "cuda" (NVIDIA or AMD), "mps" (Apple) or "cpu".

    Not "mps" for one of several processes: Apple's has nothing by which they could exchange sums.
    """
    if torch.cuda.is_available():
        return "cuda"
    alone = os.environ.get("WORLD_SIZE", "1") == "1"  # which torchrun sets
    return "mps" if alone and torch.backends.mps.is_available() else "cpu"


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the chip itself multiplies bfloat16 numbers; on others they only cost time."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    chip = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(chip.get("avx512_bf16") or chip.get("amx_bf16"))


def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type to train with: on CUDA only, as CPUs train more slowly with it.

    bfloat16 where the chip has it; float16 on older GPUs, whose gradients must then be scaled.
    """
    if device.type != "cuda":
        return None
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float16


def training_step_seconds(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """How long one training step takes: the median of ten, in seconds. The weights change.

    It takes place where the `model` is; `inputs` and `labels` are copied there first.
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
