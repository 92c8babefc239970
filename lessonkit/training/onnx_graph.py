"""A network as a graph of ONNX's standard operations, and onnxruntime to run it on a processor.

The graph is known before a picture goes through it, so neighbouring operations become one: a
convolution with its activation, mostly. That takes about half of PyTorch's time.
"""

import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:  # needed only where a graph is made
    import onnx
    import onnxruntime

__all__ = ["missing", "pictures", "session", "trace"]

PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # of the extra "export"


def missing() -> str | None:
    """The first of PACKAGES that isn't installed, or None."""
    return next((name for name in PACKAGES if not importlib.util.find_spec(name)), None)


def pictures(n: int, size: int) -> Tensor:
    """Noise, uint8 [n, 3, size, size], to try a graph on."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)


def trace(network: nn.Module, size: int, output: str) -> "onnx.ModelProto":
    """A network that is in eval mode and on the CPU, as ONNX's ModelProto.

    From "images", uint8 [N, 3, size, size] with N free, to `output`, float32 [N, ...]. Raises
    whatever PyTorch's exporter raises at what it can't translate.
    """
    with _quiet():
        program = torch.onnx.export(
            network,
            (pictures(2, size),),  # two, as the exporter would take a single one for a constant
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=[output],
            dynamic_shapes=({0: torch.export.Dim("N")},),
        )
    graph = program.model_proto
    _forget_where_it_was_made(graph)
    return graph


def _forget_where_it_was_made(graph) -> None:
    """Remove stack traces: they name folders of this machine, and nobody needs them to compute."""
    parts = [graph, graph.graph, *graph.graph.node, *graph.graph.value_info, *graph.functions]
    parts += [*graph.graph.initializer, *graph.graph.input, *graph.graph.output]
    parts += [node for function in graph.functions for node in function.node]
    for part in parts:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def session(contents: bytes) -> "onnxruntime.InferenceSession":
    """onnxruntime's session for a serialised graph, on as many threads as PyTorch uses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(contents, options, ["CPUExecutionProvider"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide from the user what the exporter says about its own steps."""
    before, said = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(said), redirect_stderr(said):
            yield
    finally:
        logging.disable(before)
