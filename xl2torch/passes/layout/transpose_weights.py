"""Weights with a row per input, in a large product, are laid out with a row per unit first.

The copy is small beside the product; the slopes of such a layout are the product of short rows and
tall data, which the linear algebra libraries compute a fifth faster than its transpose.
"""

from __future__ import annotations

import torch
from torch import fx
from torch.nn.functional import linear

from xl2torch.ir.facts import derive, value_of
from xl2torch.ir.rewriting import add_node, drop_unused, is_call, replace

_LARGE = 10_000_000
"""Multiplications, from which the copy does not count."""


def transpose_weights(graph: fx.Graph) -> fx.Graph:
    """addmm(b, X, W) becomes linear(X, W.T.contiguous(), b) where the product is large."""
    for node in list(graph.nodes):
        if not is_call(node, torch.addmm):
            continue
        bias, source, weight = node.args
        if not _is_worth_it(value_of(source).shape[0], value_of(weight)):
            continue
        with graph.inserting_before(node):
            turned = add_node(graph, torch.t, weight)
            layout = add_node(graph, torch.clone, turned, memory_format=torch.contiguous_format)
            replace(node, add_node(graph, linear, source, layout, bias))
    drop_unused(graph)
    return graph


def undo_transpose_weights(graph: fx.Graph, share: float) -> fx.Graph:
    """What ``transpose_weights`` did, undone where it does not pay for a ``share`` of the rows."""
    for node in list(graph.nodes):
        if not is_call(node, linear) or len(node.args) != 3:
            continue
        source, layout, bias = node.args
        if not (is_call(layout, torch.clone) and is_call(layout.args[0], torch.t)):
            continue
        weight = layout.args[0].args[0]
        if _is_worth_it(value_of(node).shape[0] * share, value_of(weight)):
            continue
        with graph.inserting_before(node):
            product = graph.call_function(torch.addmm, (bias, source, weight))
        derive(node, product)
        node.replace_all_uses_with(product)
    drop_unused(graph)
    return graph


def _is_worth_it(rows: float, weight: torch.Tensor) -> bool:
    inputs, units = weight.shape
    return rows * inputs * units >= _LARGE and rows >= inputs
