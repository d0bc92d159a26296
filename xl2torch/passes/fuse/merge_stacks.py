"""Whole tensors of one shape, put together step by step, are stacked at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import (
    add_node,
    drop_unused,
    is_call,
    keeps_elements,
    replace,
)


def merge_stacks(graph: fx.Graph) -> fx.Graph:
    """cat([unsqueeze(stack([a, b]), 0), …]) becomes stack([a, b, …]).reshape(…)."""
    for node in list(graph.nodes):
        if not is_call(node, torch.cat, torch.stack) or node.kwargs.get("dim", 0) != 0:
            continue
        leaves = _leaves(node)
        if len(leaves) < 2 or leaves == list(node.args[0]):
            continue
        shapes = {tuple(value_of(leaf).shape) for leaf in leaves}
        if len(shapes) != 1 or len(set(leaves)) < len(leaves):
            continue
        with graph.inserting_before(node):
            stacked = add_node(graph, torch.stack, tuple(leaves))
            shape = tuple(value_of(node).shape)
            if shape != tuple(value_of(stacked).shape):
                stacked = add_node(graph, torch.reshape, stacked, shape)
            replace(node, stacked)
    drop_unused(graph)
    return graph


def _leaves(node: Any) -> list[fx.Node]:
    """Tensors whose elements, one tensor after the other, are the elements of a node."""
    if keeps_elements(node):
        return _leaves(node.args[0])
    if is_call(node, torch.cat, torch.stack) and node.kwargs.get("dim", 0) == 0:
        return [leaf for item in node.args[0] for leaf in _leaves(item)]
    return [node]
