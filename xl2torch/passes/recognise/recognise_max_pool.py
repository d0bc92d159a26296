"""The largest of neighbouring cells, copied over a picture, becomes max-pooling.

Blank cells beyond the picture's edge do not count, in Excel as in ``ceil_mode``. Of equal values
the first has the slope, as in torch.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx
from torch.nn.functional import max_pool2d

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import (
    Windows,
    add_node,
    constant_value,
    drop_unused,
    is_call,
    replace,
    windows_of,
)


def recognise_max_pool(graph: fx.Graph) -> fx.Graph:
    """amax(windows(x), (2, 3)) becomes max_pool2d(x)."""
    for node in list(graph.nodes):
        if not is_call(node, torch.amax) or node.kwargs.get("dim") != (2, 3):
            continue
        inside: Any = node.args[0]
        with graph.inserting_before(node):
            found = _pooled(inside, graph)
            if found is None:
                continue
            source, size, step, ceil = found
            options = {"ceil_mode": True} if ceil else {}
            picture = add_node(graph, torch.unsqueeze, source, 0)
            pooled = add_node(graph, max_pool2d, picture, size, step, **options)
            if value_of(pooled).shape[1:] != value_of(node).shape:
                continue
            replace(node, add_node(graph, torch.select, pooled, 0, 0))
    drop_unused(graph)
    return graph


def _pooled(
    node: Any, graph: fx.Graph
) -> tuple[fx.Node, tuple[int, int], tuple[int, int], bool] | None:
    """Picture, window size, step, and whether windows reach over the edge."""
    windows = windows_of(node, graph)
    if windows is not None:
        return windows.source, windows.size, windows.step, False
    if not is_call(node, torch.where):
        return None
    mask, inside, otherwise = node.args
    counted = constant_value(mask, graph)
    windows = windows_of(inside, graph)
    if counted is None or windows is None or otherwise != -math.inf:
        return None
    edge = _without_edge(windows, counted, graph)
    return None if edge is None else (edge, windows.size, windows.step, True)


def _without_edge(windows: Windows, counted: torch.Tensor, graph: fx.Graph) -> fx.Node | None:
    """The picture without the constant rows or columns at its end, when just these do not count."""
    picture: Any = windows.source
    shape = value_of(windows.source).shape
    while is_call(picture, torch.cat) and len(picture.args[0]) == 2:
        inner, added = picture.args[0]
        if constant_value(added, graph) is None or not isinstance(inner, fx.Node):
            break
        picture = inner
    rows, columns = value_of(picture).shape
    inside = torch.zeros(shape, dtype=torch.bool)
    inside[:rows, :columns] = True
    expected = inside.unfold(0, windows.size[0], windows.step[0])
    expected = expected.unfold(1, windows.size[1], windows.step[1])
    same = torch.equal(torch.broadcast_to(counted, expected.shape), expected)
    return picture if same and picture is not windows.source else None
