"""Rows or columns of blank cells beside a picture are padding."""

from __future__ import annotations

import torch
from torch import fx
from torch.nn.functional import pad

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import add_node, constant_value, drop_unused, is_call, replace


def recognise_pad(graph: fx.Graph) -> fx.Graph:
    """cat([x, zeros], dim=-1) becomes pad(x, (0, n))."""
    for node in list(graph.nodes):
        if not is_call(node, torch.cat) or len(node.args[0]) < 2:
            continue
        dim = node.kwargs.get("dim", 0)
        zeros = [constant_value(item, graph) for item in node.args[0]]
        moving = [place for place, item in enumerate(zeros) if item is None or bool(item.any())]
        if len(moving) != 1:
            continue
        (place,) = moving
        source = node.args[0][place]
        sizes = [value_of(item).shape[dim] for item in node.args[0]]
        widths = [0, 0] * (value_of(node).dim() - dim)
        widths[-2:] = sum(sizes[:place]), sum(sizes[place + 1 :])
        with graph.inserting_before(node):
            replace(node, add_node(graph, pad, source, tuple(widths)))
    drop_unused(graph)
    return graph
