"""What `predict` may be given, as a batch of pictures; what would give wrong answers is refused."""

import os
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lessonkit.files.safe_files import of_user
from lessonkit.images.image_data import DataError, check_size

__all__ = ["as_pictures", "read_pictures"]


def as_pictures(given: Any, size: int) -> Tensor:
    """uint8 pictures [N, 3, S, S], from such ones, or from paths of picture files at `size` px.

    A single picture [3, S, S] or path gives N = 1. Activations [N, features] pass, for a network
    that is a head and nothing else. Raises DataError, which says what to do, for all else.
    """
    if isinstance(given, Tensor):
        return _checked(given[None] if given.ndim == 3 else given)
    # A set has no order, in which the answers could come.
    is_one = isinstance(given, str | bytes | Set) or not isinstance(given, Iterable)
    paths = [given] if is_one or getattr(given, "ndim", 1) == 0 else list(given)
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise DataError(
                "Give paths of picture files, in a list, or uint8 pictures [N, 3, S, S] as one "
                f"tensor (torch.stack makes it), not something of type {type(path).__name__}."
            )
    if not size:
        raise DataError(
            "This learner has had no pictures, so that nobody knows the size its network wants: "
            "give it some by learn.set_data(images), or give uint8 pictures [N, 3, S, S]."
        )
    return read_pictures(paths, size)


def _checked(pictures: Tensor) -> Tensor:
    activations = pictures.ndim == 2 and pictures.is_floating_point()
    square = pictures.ndim == 4 and 0 < pictures.shape[2] == pictures.shape[3]
    pixels = square and pictures.shape[1] == 3 and pictures.dtype == torch.uint8
    if not (pixels or activations):
        kind = str(pictures.dtype).removeprefix("torch.")
        raise DataError(
            f"Pictures are uint8, 0 to 255, [N, 3, S, S], not {kind} {list(pictures.shape)}; "
            "floats from 0 to 1 become so by (255 * pictures).round().to(torch.uint8)."
        )
    return pictures


def read_pictures(paths: Sequence[str | Path], size: int) -> Tensor:
    """Picture files as uint8 [N, 3, size, size]; DataError for one that gives no picture."""
    from lessonkit.images import decode  # and with it Pillow: tensors don't need it

    if isinstance(paths, str | Path):  # else each letter would be taken for a path
        paths = [paths]
    squares = np.empty((len(paths), check_size(size), size, 3), np.uint8)
    for square, path in zip(squares, paths, strict=True):
        try:
            square[:] = decode.decode(of_user(path), size)
        except decode.Unusable as error:
            raise DataError(f"{path} {error}.") from None
    return torch.from_numpy(squares).permute(0, 3, 1, 2)
