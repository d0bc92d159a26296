"""Neighbouring columns with like formulas become one product.

``Lin1 = X·w₁``, ``Lin2 = X·w₂`` next to each other, with w₁ and w₂ consecutive rows (or columns) of
one weight range, are ``X @ W.T`` (or ``X @ W``).
"""

from __future__ import annotations

import torch
from torch import fx


def merge_like_columns(graph: fx.Graph) -> fx.Graph:
    """stack([X @ W[0], X @ W[1], …], dim=1) becomes X @ W.T."""
    for node in list(graph.nodes):
        if node.op != "call_function" or node.target is not torch.stack:
            continue
        if node.kwargs.get("dim") != 1:
            continue
        weights = _consecutive_weights(node)
        if weights is None:
            continue
        data, matrix, dim, start, count = weights
        with graph.inserting_before(node):
            if count != matrix.meta["value"].shape[dim]:
                matrix = _call(graph, torch.narrow, matrix, dim, start, count)
            if dim == 0:
                matrix = _call(graph, torch.t, matrix)
            product = _call(graph, torch.matmul, data, matrix)
        for fact in ("cells", "formula"):
            if fact in node.meta:
                product.meta[fact] = node.meta[fact]
        product.meta.setdefault("cells", _hull(node))
        product.meta.setdefault("formula", node.args[0][0].meta.get("formula"))
        node.replace_all_uses_with(product)
        graph.erase_node(node)
    return graph


def _call(graph: fx.Graph, function: object, *arguments: object) -> fx.Node:
    node = graph.call_function(function, arguments)  # type: ignore[arg-type]
    values = [a.meta["value"] if isinstance(a, fx.Node) else a for a in arguments]
    node.meta["value"] = function(*values)  # type: ignore[operator]
    return node


def _consecutive_weights(
    stack: fx.Node,
) -> tuple[fx.Node, fx.Node, int, int, int] | None:
    """(X, W, dim, first index, count) when the stack is X times consecutive slices of W."""
    columns = stack.args[0]
    assert isinstance(columns, tuple | list)
    found: list[tuple[fx.Node, fx.Node, int, int]] = []
    for column in columns:
        if not isinstance(column, fx.Node) or column.target is not torch.matmul:
            return None
        data, weight = column.args
        if not isinstance(data, fx.Node) or not isinstance(weight, fx.Node):
            return None
        if weight.target is not torch.select or data.meta["value"].dim() != 2:
            return None
        matrix, dim, index = weight.args
        if not isinstance(matrix, fx.Node) or matrix.meta["value"].dim() != 2:
            return None
        assert isinstance(dim, int) and isinstance(index, int)
        found.append((data, matrix, dim, index))
    first = found[0]
    for offset, item in enumerate(found):
        if item != (first[0], first[1], first[2], first[3] + offset):
            return None
    return (*first, len(found))


def _hull(stack: fx.Node) -> object:
    """Rectangle of the stacked columns."""
    from dataclasses import replace

    areas = [column.meta.get("cells") for column in stack.args[0]]  # type: ignore[union-attr]
    if any(area is None for area in areas):
        return None
    return replace(areas[0], right=areas[-1].right)  # type: ignore[type-var,union-attr]
