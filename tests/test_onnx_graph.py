"""A network as a graph: it says nothing of where it was made, and neither does its making."""

import logging
import sys
import warnings

import onnx
import torch
from torch import nn

from lessonkit.training import onnx_graph


class Talks(nn.Module):
    """A network that says in every way when it is called."""

    def forward(self, images):
        for stream in (sys.stdout, sys.stderr):
            print("called", file=stream)
        logging.getLogger("talks").critical("called")
        warnings.warn("called", stacklevel=1)
        return images.float().mean((2, 3))


def about_itself(message):
    """The fields, of a graph and all its parts, that only say where a part comes from."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            yield field.full_name
        for part in value if hasattr(value, "__len__") else [value]:
            if hasattr(part, "ListFields"):
                yield from about_itself(part)


def test_a_graph_says_nothing_of_where_it_was_made_nor_does_its_making(
    monkeypatch, capfd, caplog, recwarn
):
    monkeypatch.setattr(logging.root.manager, "disable", logging.DEBUG)
    graph = onnx_graph.trace(nn.Sequential(Talks(), nn.Linear(3, 2)).eval(), 8, "logits")
    assert logging.root.manager.disable == logging.DEBUG
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list and all(said.levelno < logging.WARNING for said in caplog.records)
    assert len(graph.graph.node) > 2 and not [*about_itself(graph)]


def test_every_part_of_a_graph_forgets_where_it_was_made():
    model = onnx.ModelProto()
    function, graph = model.functions.add(), model.graph
    parts = [model, graph, graph.node.add(), graph.value_info.add(), graph.initializer.add()]
    parts += [graph.input.add(), graph.output.add(), function, function.node.add()]
    for part in parts:
        part.doc_string, part.metadata_props.add().value = (
            "where/it/was/made.py",
            "where/it/was/made",
        )
    graph.node[0].name = "layer"
    assert len([*about_itself(model)]) == 2 * len(parts)
    onnx_graph._forget_where_it_was_made(model)
    assert not [*about_itself(model)] and graph.node[0].name == "layer"


def test_the_noise_that_a_graph_is_tried_on_takes_no_draws_from_others():
    before = torch.get_rng_state()
    one, other = onnx_graph.pictures(2, 8), onnx_graph.pictures(2, 8)
    assert torch.equal(one, other) and torch.equal(torch.get_rng_state(), before)
    assert one.shape == (2, 3, 8, 8) and one.dtype == torch.uint8
