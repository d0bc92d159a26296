"""From a graph to a torch module: parameters, data and parts that its nodes name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import fx, nn

from xl2torch.arrays.array import HEIGHT, WIDTH, Array
from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import note
from xl2torch.ir.trace import Trace
from xl2torch.lowering.blocks import Block

_Module = TypeVar("_Module", bound=fx.GraphModule)


def parameter_block(trace: Trace, name: str, area: CellRange, start: torch.Tensor) -> Block:
    """Given cells as a parameter of the trace."""
    node = trace.parameter(name, start)
    note(node, cells=area)
    axes = tuple(axis for axis, size in ((HEIGHT, area.rows), (WIDTH, area.columns)) if size > 1)
    return Block(area, Array(node, axes, (1, 1, area.rows, area.columns)))


def build_module(
    kind: type[_Module], graph: fx.Graph, tensors: Mapping[str, torch.Tensor],
    parameters: Mapping[str, torch.Tensor],
) -> _Module:  # fmt: skip
    """A module from a graph, the tensors that its get_attr nodes name, and start values."""
    root = nn.Module()
    for name, start in parameters.items():
        root.register_parameter(name, nn.Parameter(start.clone()))
    for name, part in getattr(graph, "modules", {}).items():
        root.add_module(name, part)
    for node in graph.nodes:
        if node.op != "get_attr" or node.target in parameters:
            continue
        buffer = tensors[node.target]
        if not hasattr(root, node.name):
            root.register_buffer(node.name, buffer, persistent=False)
        node.target = node.name
    return assembled(kind, root, graph)


def assembled(kind: type[_Module], root: nn.Module, graph: fx.Graph) -> _Module:
    """A module of a graph and of the parameters, data and parts that a root has for it."""
    module = kind(root, graph, "SheetModel")
    # Data are no part of the state: GraphModule forgets that.
    module._non_persistent_buffers_set.update(name for name, _ in module.named_buffers())
    for name, parameter in root.named_parameters(recurse=False):
        module.register_parameter(name, parameter)  # GraphModule has only what the graph reads
    module.eval()
    return module
