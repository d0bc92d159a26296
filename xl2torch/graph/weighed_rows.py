"""Sums over some of the rows as weighted sums over all: ``FILTER``, or a sum in several pieces."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from xl2torch.graph.nodes import copied, node_name, node_value, parameter_nodes
from xl2torch.graph.passes.rewriting import add_node, drop_unused, is_call, replace


def weigh_rows(module: fx.GraphModule) -> fx.GraphModule:
    """sum(x[places]) becomes w @ x with w how often each place is taken, a mean that over n."""
    new, _ = copied(module)
    parameters = set(parameter_nodes(new))
    for node in list(new.graph.nodes):
        inner: Any = node.args[0] if is_call(node, torch.sum, torch.mean) else None
        if not isinstance(inner, fx.Node) or node.kwargs or len(node.args) != 1:
            continue
        places = _places(inner, new)
        if places is None or inner.args[0] in parameters:
            continue
        source = node_value(inner.args[0])
        weights = torch.bincount(places, minlength=len(source)).to(source.dtype)
        name = f"{inner.name}_weights"
        new.register_buffer(name, weights, persistent=False)
        with new.graph.inserting_before(node):
            taken = new.graph.get_attr(name)
            taken.meta["value"] = weights
            total = add_node(new.graph, torch.matmul, taken, inner.args[0])
            if node.target is torch.mean:
                total = add_node(new.graph, operator.truediv, total, float(len(places)))
            replace(node, total)
    drop_unused(new.graph)
    new.recompile()
    return new


def _places(node: fx.Node, module: fx.GraphModule) -> torch.Tensor | None:
    """Which elements of a vector a node holds; None where it holds something else."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or node_value(node).dim() != 1:
        return None
    if node_name(node) == "narrow" and node_value(source).dim() == 1:
        arguments: Any = node.args
        _, _, start, length = arguments
        return torch.arange(start, start + length)
    if node_name(node) == "index_select" and node_value(source).dim() == 1:
        index = node.args[2]
        buffers = dict(module.named_buffers())
        if isinstance(index, fx.Node) and index.op == "get_attr" and index.target in buffers:
            return buffers[index.target]
    return None
