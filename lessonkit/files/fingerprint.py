"""Short names that stand for contents."""

import hashlib
import json

import torch

__all__ = ["fingerprint"]


def fingerprint(*parts: object) -> str:
    """A short name, 32 hexadecimal digits, for the contents of `parts`, in their order.

    Parts are bytes, tensors, or anything that JSON can write; TypeError for anything else.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            digest.update(f"{part.dtype} {list(part.shape)} ".encode())
            part = part.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]
