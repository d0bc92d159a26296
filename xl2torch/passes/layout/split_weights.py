"""Parts of one weight range that do not overlap are split off at once.

Backward, the slopes of all parts are put together once, not each padded with zeros and added.
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import torch
from torch import fx

from xl2torch.ir.facts import is_constant, value_of
from xl2torch.ir.rewriting import add_node, drop_unused, is_call, replace


class _Slice(NamedTuple):
    start: int
    size: int
    node: fx.Node


def split_weights(graph: fx.Graph) -> fx.Graph:
    """w[:2] and w[2] of a vector w of three become split(w, (2, 1))."""
    for node in list(graph.nodes):
        if node.op != "get_attr" or is_constant(node):
            continue
        found = _parts(node)
        if found is None:
            continue
        axis, parts = found
        with graph.inserting_after(node):
            pieces = add_node(
                graph, torch.split_with_sizes, node, tuple(part.size for part in parts), axis
            )
        after = pieces
        for place, part in enumerate(parts):
            with graph.inserting_after(after):
                piece = after = add_node(graph, operator.getitem, pieces, place)
            if is_call(part.node, torch.select):
                with graph.inserting_after(after):
                    piece = after = add_node(graph, torch.squeeze, piece, axis)
            replace(part.node, piece)
    drop_unused(graph)
    return graph


def _parts(node: fx.Node) -> tuple[int, list[_Slice]] | None:
    """Axis and parts, in order, where all uses of a node are two or more parts that fill it."""
    parts: list[_Slice] = []
    axes: set[Any] = set()
    for user in node.users:
        if is_call(user, torch.narrow):
            _, axis, start, size = user.args
        elif is_call(user, torch.select):
            _, axis, start = user.args
            size = 1
        else:
            return None
        axes.add(axis)
        parts.append(_Slice(start, size, user))  # type: ignore[arg-type]
    parts.sort()
    ends = [0, *(part.start + part.size for part in parts)]
    if len(parts) < 2 or len(axes) != 1 or [part.start for part in parts] != ends[:-1]:
        return None
    (axis,) = axes
    return (axis, parts) if ends[-1] == value_of(node).shape[axis] else None
