"""A trained model as an ONNX file, which runs without PyTorch and without this package.

ONNX (onnx.ai) describes a network as a graph of standard operations; onnxruntime and others run it
on servers, on phones and in browsers. Scaling and normalising are in the file, as in our networks.
"""

import copy
import json
import sys
from pathlib import Path

import torch
from torch import nn

from lessonkit.files import model_files, safe_files
from lessonkit.learner import Learner
from lessonkit.training import onnx_graph

__all__ = ["to_onnx"]

TOLERANCE = 1e-4  # between the probabilities of the file and those of the network


def to_onnx(learn: Learner, path: str | Path) -> None:
    """Write the network as ONNX: "images", uint8 RGB [N, 3, S, S], to "probabilities".

    N is free and S is `learn.size`; probabilities are float32 [N, classes]. The file's metadata
    holds `classes` (a JSON list, in the order of the probabilities), `size` (S, px) and a
    `description`. Before the file takes its place, onnxruntime has run it on the CPU and given the
    network's own probabilities within 1e-4.
    Raises ValueError where packages are missing or the network can't be expressed in ONNX, or for a
    learner that never had pictures, and OSError where the file can't be written.
    """
    model_files.check_classes(learn)
    safe_files.check_can_write(path)
    if package := onnx_graph.missing():
        raise ValueError(
            f"Exporting needs the package {package}: in the folder of the course, run "
            f'{sys.executable} -m pip install -e ".[export]" -c constraints.txt'
        )
    network = nn.Sequential(copy.deepcopy(learn.model).cpu(), nn.Softmax(1)).eval()
    try:
        graph = onnx_graph.trace(network, learn.size, "probabilities")
    except Exception as error:  # the exporter stops at what it can't translate in many ways
        why = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"This network can't be expressed in ONNX ({why}). Nothing was written."
        ) from error
    _describe(graph, learn)
    contents = graph.SerializeToString()
    _check_agreement(contents, network, learn.size)
    with safe_files.atomic_path(path) as part:
        part.write_bytes(contents)


def _describe(graph, learn: Learner) -> None:
    import onnx

    size, n_classes = learn.size, len(learn.classes)
    facts = {
        "classes": json.dumps(learn.classes),
        "size": str(size),
        "description": f"Image classifier trained with lessonkit: images, uint8 RGB [N, 3, {size}, "
        f"{size}], to probabilities, float32 [N, {n_classes}].",
    }
    onnx.helper.set_model_props(graph, facts)


def _check_agreement(contents: bytes, network: nn.Module, size: int) -> None:
    session = onnx_graph.session(contents)
    for n in (1, 3):
        pictures = onnx_graph.pictures(n, size)
        (found,) = session.run(["probabilities"], {"images": pictures.numpy()})
        with torch.no_grad():
            expected = network(pictures)
        difference = (torch.from_numpy(found) - expected).abs().max().item()
        if not difference <= TOLERANCE:
            raise ValueError(
                f"The ONNX file would give other probabilities, by up to {difference:.1g}, with "
                "these versions of torch, onnxscript and onnxruntime. Nothing was written."
            )
