"""Rows of a copied formula that nothing reads are not computed.

Their numbers would be no matter, but their slopes are: 0 times infinity is no number, so a row that
overflows would spoil the gradient of its neighbours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import facts, keep_guard, note, value_of
from xl2torch.ir.loop import Recurrence
from xl2torch.ir.ops import is_elementwise
from xl2torch.ir.rewriting import (
    add_node,
    drop_unused,
    is_call,
    replace,
)  # fmt: skip
from xl2torch.ir.trace import Trace


def pick_rows_early(graph: fx.Graph) -> fx.Graph:
    """(a + b)[i] becomes a[i] + b[i], cat(a, b)[i] one of them; a loop ends with what is used.

    Several rows are picked early only where others have no finite numbers: that a formula goes on
    below is a fact that mini-batches ask for.
    """
    for node in reversed(list(graph.nodes)):
        if node._erased or not node.users:
            continue
        several = is_call(node, torch.narrow) and not _is_finite(node.args[0])
        if several or is_call(node, torch.select):
            _pick_early(graph, node)
    drop_unused(graph)
    _shorten_loops(graph)
    return graph


def _is_finite(item: Any) -> bool:
    value = facts(item).value
    return not isinstance(value, torch.Tensor) or bool(torch.isfinite(value).all())


def _pick_early(graph: fx.Graph, node: fx.Node) -> None:
    """Pick from the operands of a node of which nothing else is used, and so on."""
    source: Any = node.args[0]
    if not isinstance(source, fx.Node) or len(source.users) > 1:
        return
    dim = int(node.args[1])  # type: ignore[arg-type]
    new: fx.Node | None = None
    with graph.inserting_before(node):
        if is_call(source, torch.cat, torch.stack) and source.kwargs.get("dim", 0) == dim:
            new = _piece(graph, source, node)
        elif is_elementwise(source) and not source.kwargs:
            operands = [_picked(graph, item, source, node) for item in source.args]
            if all(item is not None for item in operands):
                new = add_node(graph, source.target, *operands)  # type: ignore[arg-type]
                keep_guard(source, new)
    if new is None:
        return
    replace(node, new)
    graph.erase_node(node)
    graph.erase_node(source)  # else it would count among the users of its operands
    for item in new.args if new.op == "call_function" else ():
        if is_call(item, torch.select, torch.narrow):
            _pick_early(graph, item)  # type: ignore[arg-type]
    if is_call(new, torch.select, torch.narrow):
        _pick_early(graph, new)


def _picked(graph: fx.Graph, item: Any, source: fx.Node, node: fx.Node) -> Any:
    """The same rows of an operand; None where it is not as tall as the result."""
    if not isinstance(item, fx.Node):
        return item
    shape, whole = value_of(item).shape, value_of(source).shape
    dim = int(node.args[1])  # type: ignore[arg-type]
    if len(shape) < len(whole) - dim:
        return item  # it has no rows
    if shape != whole:
        return None
    return add_node(graph, node.target, item, *node.args[1:])  # type: ignore[arg-type]


def _piece(graph: fx.Graph, source: fx.Node, node: fx.Node) -> fx.Node | None:
    """The rows as a part of one of the tensors that were joined; None where they are of several."""
    dim, start = int(node.args[1]), int(node.args[2])  # type: ignore[arg-type]
    pieces: Any = source.args[0]
    if is_call(source, torch.stack):
        found: fx.Node | None = pieces[start] if is_call(node, torch.select) else None
        return found
    count = 1 if is_call(node, torch.select) else int(node.args[3])  # type: ignore[arg-type]
    for piece in pieces:
        size = value_of(piece).shape[dim]
        if start < size:
            if start + count > size:
                return None
            if is_call(piece, torch.unsqueeze) and is_call(node, torch.select):
                return piece.args[0] if piece.args[1] == dim else None
            return add_node(graph, node.target, piece, dim, start, *node.args[3:])  # type: ignore[arg-type]
        start -= size
    return None


def _shorten_loops(graph: fx.Graph) -> None:
    """Let a loop end with the last row that is used."""
    if not isinstance(graph, Trace):
        return
    for node in graph.nodes:
        if node.op != "call_module":
            continue
        loop = graph.modules.get(str(node.target))
        if isinstance(loop, Recurrence) and loop.in_order:
            rows = max((_rows_used(column) for column in node.users), default=loop.steps)
            if rows < loop.steps:
                loop.steps = rows
                values = facts(node).value
                note(node, value=tuple(item if item is None else item[:rows] for item in values))
                for column in node.users:
                    note(column, value=value_of(column)[:rows])


def _rows_used(column: fx.Node) -> int:
    """How many rows from the first on hold all that is used of a column."""
    whole: int = value_of(column).shape[0]
    ends = []
    for user in column.users:
        if is_call(user, torch.select) and user.args[1] == 0:
            ends.append(int(user.args[2]) + 1)  # type: ignore[arg-type]
        elif is_call(user, torch.narrow) and user.args[1] == 0:
            ends.append(int(user.args[2]) + int(user.args[3]))  # type: ignore[arg-type]
        else:
            return whole
    return max(ends, default=1)
