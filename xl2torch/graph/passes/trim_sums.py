"""Sums over more cells than there are numbers: ``SUM(F:F)``, a range with its heading, blank rows.

What is 0 at the ends whatever the variable cells are is not computed.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import fx
from torch.nn.functional import pad

from xl2torch.graph.nodes import known_elements
from xl2torch.graph.passes.rewriting import (
    ELEMENTWISE,
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
    replace,
    value_of,
)


class _Ends(NamedTuple):
    """Elements ``start`` to ``end`` of an axis of ``size``; the last axis is -1."""

    axis: int
    size: int
    start: int
    end: int


def trim_sums(graph: fx.Graph) -> fx.Graph:
    """sum(where(m, pad(x, (2, 5)), 0)) becomes sum(x) where m leaves all of x."""
    for node in list(graph.nodes):
        operands = _summed(node)
        if not operands or not any(_is_padded(item) for item in operands):
            continue
        for ends in _ends(operands, graph):
            with graph.inserting_before(node):
                operands = [_trimmed(item, ends, graph) for item in operands]
        if operands != _summed(node):
            with graph.inserting_before(node):
                replace(node, add_node(graph, node.target, *operands))
    drop_unused(graph)
    return graph


def _summed(node: fx.Node) -> list[Any]:
    """What a node adds up the elements of, or of whose product; nothing for another node."""
    if is_call(node, torch.sum) and not node.kwargs and len(node.args) == 1:
        return list(node.args)
    if is_call(node, torch.matmul) and all(value_of(item).dim() == 1 for item in node.args):
        return list(node.args)
    return []


def _is_padded(item: Any) -> bool:
    """Whether there is padding behind functions of single elements."""
    stack, seen = [item], {item}
    while stack:
        node = stack.pop()
        if is_call(node, pad):
            return True
        if is_call(node, torch.stack, *ELEMENTWISE):
            fresh = set(node.all_input_nodes) - seen
            seen |= fresh
            stack += fresh
    return False


def _ends(operands: list[Any], graph: fx.Graph) -> list[_Ends]:
    """Where the first and the last element is, along each axis, that may be other than 0."""
    product = torch.ones((), dtype=torch.float64)
    for item in operands:
        known = known_elements(item, lambda part: constant_value(part, graph))
        assert known is not None
        product = product * known
    found = []
    for axis in range(-product.dim(), 0):
        others = [dim for dim in range(-product.dim(), 0) if dim != axis]
        counts = product != 0
        places = torch.nonzero(counts.sum(others) if others else counts).reshape(-1)
        size = product.shape[axis]
        if len(places) > 0:
            start, end = int(places[0]), int(places[-1]) + 1
            if (start, end) != (0, size):
                found.append(_Ends(axis, size, start, end))
    return found


def _trimmed(item: Any, ends: _Ends, graph: fx.Graph) -> Any:
    """An operand without its ends; what is the same along the axis stays as it is."""
    if not isinstance(item, fx.Node):
        return item
    value = value_of(item)
    none = (ends.start, ends.end) == (0, ends.size)
    if none or value.dim() < -ends.axis or value.shape[ends.axis] != ends.size:
        return item
    axis = value.dim() + ends.axis
    if constant_value(item, graph) is not None:
        kept = add_constant(graph, value.narrow(axis, ends.start, ends.end - ends.start))
        _note_cells(item, kept, axis, ends)
        return kept
    found = _inside(item, axis, ends, graph)
    if found is not None:
        return found
    return add_node(graph, torch.narrow, item, axis, ends.start, ends.end - ends.start)


def _inside(item: fx.Node, axis: int, ends: _Ends, graph: fx.Graph) -> fx.Node | None:
    """A node computed without its ends; None where it has to be computed whole."""
    arguments: Any = item.args
    dim: Any = item.kwargs.get("dim", 0)
    if is_call(item, pad) and len(arguments) == 2:
        return _unpadded(arguments[0], arguments[1], ends, graph)
    if is_call(item, torch.cat) and dim == axis:
        first = 0
        for piece in arguments[0]:
            size = value_of(piece).shape[axis]
            if first <= ends.start and ends.end <= first + size:
                inner = _Ends(ends.axis, size, ends.start - first, ends.end - first)
                return _trimmed(piece, inner, graph)  # type: ignore[no-any-return]
            first += size
    if is_call(item, torch.stack) and dim != axis:
        inner = ends._replace(axis=axis - (axis > dim) - (value_of(item).dim() - 1))
        pieces = [_trimmed(piece, inner, graph) for piece in arguments[0]]
        return add_node(graph, torch.stack, pieces, dim=dim)
    if is_call(item, *ELEMENTWISE) and not item.kwargs:
        parts = [_trimmed(part, ends, graph) for part in arguments]
        return _unmasked(item, parts, graph) or add_node(graph, item.target, *parts)  # type: ignore[arg-type]
    return None


def _unmasked(item: fx.Node, parts: list[Any], graph: fx.Graph) -> fx.Node | None:
    """What where(mask, x, 0) chooses, where the mask leaves all of it."""
    if not is_call(item, torch.where) or not isinstance(parts[1], fx.Node):
        return None
    mask = constant_value(parts[0], graph)
    if mask is None or not bool(mask.all()):
        return None
    return parts[1] if mask.shape == value_of(parts[1]).shape else None


def _unpadded(
    source: fx.Node, padding: tuple[int, ...], ends: _Ends, graph: fx.Graph
) -> fx.Node | None:
    """A part of what is padded; None where some of the padding is wanted."""
    widths = list(padding)
    place = 2 * (-ends.axis - 1)
    before = widths[place] if place < len(widths) else 0
    size = value_of(source).shape[ends.axis]
    start, end = ends.start - before, ends.end - before
    if start < 0 or end > size:
        return None
    widths[place : place + 2] = [0, 0]
    if (start, end) != (0, size):
        axis = value_of(source).dim() + ends.axis
        source = add_node(graph, torch.narrow, source, axis, start, end - start)
    return add_node(graph, pad, source, tuple(widths)) if any(widths) else source


def _note_cells(old: fx.Node, new: fx.Node, axis: int, ends: _Ends) -> None:
    """Give data without their ends the cells that are left."""
    cells = old.meta.get("cells")
    if cells is None:
        return
    shape = tuple(value_of(old).shape)
    if shape in ((cells.rows,), (cells.rows, cells.columns)) and axis == 0:
        new.meta.setdefault("cells", dataclasses.replace(
            cells, top=cells.top + ends.start, bottom=cells.top + ends.end - 1
        ))  # fmt: skip
    elif shape in ((cells.columns,), (cells.rows, cells.columns)):
        new.meta.setdefault("cells", dataclasses.replace(
            cells, left=cells.left + ends.start, right=cells.left + ends.end - 1
        ))  # fmt: skip
