"""Blank cells between the cells of a region need not be multiplied.

The 2×2 maxima of a picture stand at every second row and column; what reads them as a dense range
multiplies the blank cells between them by 0. Only the cells themselves are kept.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import keep_line, value_of
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
    replace,
)


def drop_gaps(graph: fx.Graph) -> fx.Graph:
    """sum(c * where(mask, kron(x, cell), 0)) becomes sum(c[::2, ::2] * x)."""
    for node in list(graph.nodes):
        if not is_call(node, torch.sum) or node.kwargs:
            continue
        (product,) = node.args
        if not is_call(product, operator.mul):
            continue
        for factor, spaced in (product.args, reversed(product.args)):
            constant = constant_value(factor, graph)
            found = _cells(spaced, graph)
            if constant is None or found is None or constant.shape != value_of(spaced).shape:
                continue
            cells, steps = found
            picked = constant
            for dim, step in enumerate(steps):
                picked = picked.index_select(dim, torch.arange(0, picked.shape[dim], step))
            with graph.inserting_before(node):
                kept = add_constant(graph, picked)
                if isinstance(factor, fx.Node):
                    keep_line(factor, kept)
                replace(
                    node, add_node(graph, torch.sum, add_node(graph, operator.mul, kept, cells))
                )
            break
    drop_unused(graph)
    return graph


def _cells(node: Any, graph: fx.Graph) -> tuple[fx.Node, tuple[int, ...]] | None:
    """The cells without gaps, and their distances, behind a node that is 0 in the gaps."""
    if is_call(node, torch.where) and node.args[2] == 0.0:
        if constant_value(node.args[0], graph) is None:
            return None
        mask, inside = value_of(node.args[0]), node.args[1]
        found = _cells(inside, graph)
        if found is None:
            return None
        steps = found[1]
        at_cells = mask.broadcast_to(value_of(inside).shape)
        for dim, step in enumerate(steps):
            at_cells = at_cells.index_select(dim, torch.arange(0, at_cells.shape[dim], step))
        return found if bool(at_cells.all()) else None
    while is_call(node, torch.narrow) and node.args[2] == 0:
        node = node.args[0]
    if not is_call(node, torch.kron):
        return None
    cells, cell = node.args
    unit = constant_value(cell, graph)
    return None if unit is None else (cells, tuple(unit.shape))
