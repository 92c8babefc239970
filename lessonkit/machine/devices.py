"""What to compute on, and whether half the bits make it faster."""

import os

import torch

__all__ = ["best_device", "half_type", "has_fast_bfloat16"]


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
