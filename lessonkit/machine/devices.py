"""What to compute on, and whether half the bits make it faster."""

import os

import torch

__all__ = ["best_device", "chosen", "half_type", "has_fast_bfloat16"]


def best_device() -> str:
    """The fastest of what is there: "cuda" (NVIDIA or AMD), "mps" (Apple) or "cpu".

    Never "mps" for one of several processes: torch.distributed can't exchange its tensors.
    """
    if torch.cuda.is_available():
        return "cuda"
    alone = os.environ.get("WORLD_SIZE", "1") == "1"  # which torchrun sets
    return "mps" if alone and torch.backends.mps.is_available() else "cpu"


def chosen(device: str | torch.device | None) -> torch.device:
    """`device`, or the best one if none is given; ValueError where PyTorch can't compute on it."""
    wanted = best_device() if device is None else device
    try:
        chosen = torch.device(wanted)
        torch.empty(1, device=chosen).item()
        return chosen
    except (AssertionError, ImportError, RuntimeError, TypeError) as error:
        raise ValueError(
            f'device is "cuda", "mps" or "cpu", and one that works here; PyTorch finds no {wanted}.'
        ) from error


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the chip itself multiplies bfloat16 numbers; elsewhere they only cost time.

    False where ONEDNN_MAX_CPU_ISA forbids a processor's newer instructions, as for a comparison,
    and on "mps".
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu" or os.environ.get("ONEDNN_MAX_CPU_ISA"):
        return False
    chip, in_use = torch.cpu.get_capabilities(), torch.backends.cpu.get_cpu_capability()
    return "AVX512" in in_use and bool(chip.get("avx512_bf16") or chip.get("amx_bf16"))


def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type to train with: on CUDA only, as CPUs train more slowly with it.

    bfloat16 where the chip has it; float16 on older GPUs, whose gradients must then be scaled.
    """
    if device.type != "cuda":
        return None
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float16
