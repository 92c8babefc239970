"""What a frozen body makes of pictures: computed once, without gradients, and kept in the cache.

A frozen body gives the same activations for the same pictures in every epoch. So they are computed
once, and the head trains on them in milliseconds: the lesson's `precompute=True`.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lessonkit.files import cache
from lessonkit.files.fingerprint import fingerprint
from lessonkit.machine import devices, progress
from lessonkit.training import distributed, onnx_graph, processes
from lessonkit.training.memory import in_parts

__all__ = ["bfloat16_agrees", "cached", "graph", "of", "run", "use_bfloat16"]

BATCH = 64  # at most, whatever the learner's: with the batch size, last digits may change
WORTH_A_GRAPH = 2**25  # pixels, such as 2,048 pictures of 128 px: making a graph takes seconds
GRAPH_TOLERANCE = 1e-3  # for each activation, plus as much of its size: usual are 1e-5
TOLERANCE = 0.05  # of the activations' norm: bfloat16 keeps 8 bits, and a deep body adds up


def of(learn: Any) -> dict[str, Tensor]:
    """A learner's "train" and "valid" activations, by its frozen body as it is now.

    Float32 [N, features] each. Asked again for the same weights and pictures, it does no work.
    """
    body, images = learn._body(), learn.images
    sets = {"train": images.train.images, "valid": images.valid.images}
    now = _glance(body, sets)
    if learn._activations[0] is not images or learn._activations[1] != now:
        learn._activations = images, now, cached(body, sets, images.key, use_bfloat16(learn))
    return learn._activations[2]


@torch.no_grad()
def _glance(body: nn.Module, images: dict[str, Tensor]) -> list:
    """What changes as soon as layers, weights or pictures do, found in milliseconds.

    Of weights their sums, too: a change through `.data` leaves no other trace.
    """
    weights = [*body.state_dict().values()]
    sums = [tensor.float().sum() for tensor in weights]
    sums = torch.stack(sums).tolist() if sums else []
    return [repr(body), sums, [tensor._version for tensor in (*weights, *images.values())]]


def use_bfloat16(learn: Any) -> bool:
    """Whether a learner's frozen body may compute in bfloat16: asked once, in one process."""
    if learn._bfloat16 is None:
        sample = learn.images.valid.images[:16].to(learn.device)
        learn._bfloat16 = distributed.first(lambda: bfloat16_agrees(learn._body(), sample))
    return learn._bfloat16


@torch.no_grad()
def run(body: nn.Module, images: Tensor, bfloat16: bool) -> Tensor:
    """Activations float32 [N, features] of uint8 pictures [N, 3, S, S], in eval mode."""
    body.eval()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
        return body(images).float()


def bfloat16_agrees(body: nn.Module, images: Tensor) -> bool:
    """Whether bfloat16 is fast here and changes the activations of a few `images` by under 5 %."""
    if not devices.has_fast_bfloat16(images.device):
        return False
    exact, rounded = run(body, images, False), run(body, images, True)
    return bool((rounded - exact).norm() < TOLERANCE * exact.norm())


def cached(
    body: nn.Module, images: dict[str, Tensor], key: str, bfloat16: bool
) -> dict[str, Tensor]:
    """Activations float32 [N, features] of each set in `images`, uint8 [N, 3, S, S].

    `key` is that of the pictures, to which a checksum of each set is added. The entry in the cache
    is for these pictures, layers and weights only, and for this type of device and number of
    threads, which may change the last digits. On a CPU many pictures go through onnxruntime where
    it is installed, which takes half the time.
    """
    weights = list(body.state_dict().values())
    # What code makes of two pictures: of edited code neither weights nor names of layers tell.
    made = run(body, next(iter(images.values()))[:2].to(_device(body)), False)
    contents = [_checksum(pictures) for pictures in images.values()]
    n_pixels = sum(pictures[:, 0].numel() for pictures in images.values())
    exact_on_cpu = _device(body).type == "cpu" and not bfloat16
    as_graph = exact_on_cpu and n_pixels >= WORTH_A_GRAPH and not onnx_graph.missing()
    how = _device(body).type, bfloat16, torch.get_num_threads(), as_graph
    name = f"activations-{fingerprint(key, contents, how, repr(body), made, *weights)}"

    def build(folder: Path) -> None:
        with progress.bar("activations", sum(map(len, images.values())), cached=True) as bar:
            compute = graph(body, next(iter(images.values()))[:4]) if as_graph else None
            compute = compute or (lambda pictures: run(body, pictures, bfloat16))
            for part, pictures in images.items():
                _write(folder / f"{part}.npy", compute, pictures, _device(body), bar)

    entry = processes.in_turn(lambda: cache.cached(name, build))
    return {part: cache.read_array(entry / f"{part}.npy") for part in images}


def graph(body: nn.Module, sample: Tensor) -> Callable[[Tensor], Tensor] | None:
    """What `run` does, by onnxruntime; None if that fails or gives other activations of `sample`.

    `sample` is a few pictures, uint8 [N, 3, S, S], of the size that all have.
    """
    expected = run(body, sample, False)

    def compute(pictures: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": pictures.numpy()})[0])

    try:
        traced = onnx_graph.trace(body, sample.shape[-1], "activations")
        session = onnx_graph.session(traced.SerializeToString())
        found = compute(sample)
    except Exception:  # exporter and runtime fail in many ways; PyTorch itself can do it
        return None
    agrees = torch.allclose(found, expected, GRAPH_TOLERANCE, GRAPH_TOLERANCE)
    return compute if agrees else None


def _device(body: nn.Module) -> torch.device:
    return next((t.device for t in body.state_dict().values()), torch.device("cpu"))


def _checksum(pictures: Tensor) -> int:
    """CRC-32 of pictures, a few at a time: all of them needn't fit into memory."""
    checksum = 0
    for part in pictures.split(BATCH):
        checksum = zlib.crc32(part.cpu().contiguous().numpy(), checksum)
    return checksum


def _write(
    path: Path, compute: Callable[[Tensor], Tensor], pictures: Tensor, device: torch.device, bar
) -> None:
    array, start = None, 0
    for part in in_parts(pictures, BATCH, device):
        rows = compute(part).cpu().numpy()
        if array is None:  # a file, not memory: a large set's activations needn't fit into it
            shape = (len(pictures), *rows.shape[1:])
            array = cache.new_array(path, np.float32, shape)
        array[start : start + len(rows)] = rows
        start += len(rows)
        bar.step(len(rows))
    array.flush()
