"""Weights with a row per input, in a large product, are laid out with a row per unit first.

The copy is small beside the product; the slopes of such a layout are the product of short rows and
tall data, which the linear algebra libraries compute a fifth faster than its transpose.
"""

from __future__ import annotations

import torch
from torch import fx
from torch.nn.functional import linear

from xl2torch.graph.passes.rewriting import add_node, drop_unused, is_call, replace, value_of

_LARGE = 10_000_000
"""Multiplications, from which the copy does not count."""


def transpose_weights(graph: fx.Graph) -> fx.Graph:
    """addmm(b, X, W) becomes linear(X, W.T.contiguous(), b) where the product is large."""
    for node in list(graph.nodes):
        if not is_call(node, torch.addmm):
            continue
        bias, source, weight = node.args
        rows, inputs = value_of(source).shape
        if rows * inputs * value_of(weight).shape[1] < _LARGE or rows < inputs:
            continue
        with graph.inserting_before(node):
            turned = add_node(graph, torch.t, weight)
            layout = add_node(graph, torch.clone, turned, memory_format=torch.contiguous_format)
            replace(node, add_node(graph, linear, source, layout, bias))
    drop_unused(graph)
    return graph
