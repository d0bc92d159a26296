"""Compute equal expressions once."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from xl2torch.ir.rewriting import replace


def share_equal_nodes(graph: fx.Graph) -> fx.Graph:
    """Replace each node by an earlier one with the same operation and operands."""
    seen: dict[Any, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op not in ("call_function", "get_attr") or node.target is torch.rand:
            continue
        key = (node.op, node.target, repr(node.args), repr(sorted(node.kwargs.items())))
        first = seen.setdefault(key, node)
        if first is not node:
            replace(node, first)
            graph.erase_node(node)
    return graph
