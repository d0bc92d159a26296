"""Sums over sliding windows times a kernel become convolutions.

``SUM(A1:C3*$X$1:$Z$3)`` copied over a picture is ``conv2d(picture, kernel)``.
"""

from __future__ import annotations

import operator

import torch
from torch import fx
from torch.nn.functional import conv2d

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
    replace,
    windows_of,
)


def _channel(graph: fx.Graph, picture: fx.Node) -> fx.Node:
    """A picture as the only channel of a tensor."""
    constant = constant_value(picture, graph)
    if constant is None:
        return add_node(graph, torch.unsqueeze, picture, 0)
    return add_constant(graph, constant[None])


def recognise_convolution(graph: fx.Graph) -> fx.Graph:
    """sum(windows(x) * k, (2, 3)) becomes conv2d(x, k)."""
    for node in list(graph.nodes):
        if not is_call(node, torch.sum) or node.kwargs.get("dim") != (2, 3):
            continue
        (product,) = node.args
        if not is_call(product, operator.mul) or len(product.users) != 1:
            continue
        for picture, kernel in (product.args, reversed(product.args)):
            if not isinstance(kernel, fx.Node) or value_of(kernel).dim() != 2:
                continue
            with graph.inserting_before(node):
                windows = windows_of(picture, graph)
                if windows is None or windows.size != tuple(value_of(kernel).shape):
                    continue
                source = _channel(graph, windows.source)
                weight = add_node(graph, torch.reshape, kernel, (1, 1, *windows.size))
                result = add_node(graph, conv2d, source, weight, stride=windows.step)
                replace(node, add_node(graph, torch.select, result, 0, 0))
            break
    drop_unused(graph)
    return graph
