"""What this machine computes on, how fast, and whether half the bits make it faster."""

import statistics
import time

import torch
from torch import Tensor, nn

__all__ = ["best_device", "has_fast_bfloat16", "half_type", "training_step_seconds"]


def best_device() -> str:
    """The fastest of what is there: "cuda" (NVIDIA or AMD), "mps" (Apple) or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


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
    """How long one training step takes: the median of ten, in seconds. The weights change."""
    optimizer, seconds = torch.optim.SGD(model.parameters(), lr=0.01), []
    for _ in range(11):  # the first one warms up
        start = time.perf_counter()
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])
