"""Reading a finished graph: what a node is called, what it was, what depends on what."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import fx


def node_name(node: object) -> str:
    """Name of the function or method that a node calls; '' for anything else."""
    if not isinstance(node, fx.Node) or node.op not in ("call_function", "call_method"):
        return ""
    return node.target if isinstance(node.target, str) else node.target.__name__


def node_value(node: object) -> torch.Tensor:
    """What a node was when the model was compiled: its shape, and its value where constant."""
    assert isinstance(node, fx.Node)
    value = node.meta["value"]
    assert isinstance(value, torch.Tensor)
    return value


def dependents(graph: fx.Graph, sources: Collection[fx.Node]) -> set[fx.Node]:
    """Some nodes, and all that depend on them."""
    found = set(sources)
    for node in graph.nodes:
        if any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def parameter_nodes(module: fx.GraphModule) -> list[fx.Node]:
    """Nodes that read a parameter of the module."""
    names = {name for name, _ in module.named_parameters()}
    return [n for n in module.graph.nodes if n.op == "get_attr" and n.target in names]
