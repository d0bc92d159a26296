"""Sums over more cells than there are numbers: ``SUM(F:F)``, a range with its heading, blank rows.

The blank cells at its ends, which are 0 whatever the variable cells are, are not computed with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import fx
from torch.nn.functional import pad

from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import facts, keep_guard, value_of
from xl2torch.ir.lines import note_part_of_line
from xl2torch.ir.nodes import known_elements, operands_first
from xl2torch.ir.ops import is_elementwise
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    commuted,
    constant_value,
    drop_unused,
    is_call,
    replace,
)


class _Part(NamedTuple):
    """What is kept of a node: elements ``start`` to ``end`` along a dim, counted from the last.

    The last dim is -1, so that it is the same dim in operands that broadcast.
    """

    node: fx.Node
    dim: int
    start: int
    end: int


def trim_sums(graph: fx.Graph) -> fx.Graph:
    """sum(where(m, pad(x, (2, 5)), 0)) becomes sum(x) where m leaves all of x.

    So does the question whether a condition holds in all cells.
    """
    for node in list(graph.nodes):
        operands = _put_together(node)
        neutral = 1.0 if is_call(node, torch.all) else 0.0
        for dim in _dims(operands):
            found = _kept(operands, dim, neutral, graph)
            if found is not None:
                with graph.inserting_before(node):
                    operands = [_trimmed(_Part(item, dim, *found), graph) for item in operands]
        if operands != _put_together(node):
            with graph.inserting_before(node):
                replace(node, add_node(graph, node.target, *operands, **node.kwargs))
    drop_unused(graph)
    return graph


def _put_together(node: fx.Node) -> list[Any]:
    """Name the tensors whose elements a node adds up, multiplies and adds up, or tests together."""
    operands = list(node.args)
    if is_call(node, torch.sum) and not node.kwargs and len(operands) == 1:
        return operands
    if is_call(node, torch.matmul) and all(value_of(item).dim() == 1 for item in operands):
        return operands
    if is_call(node, torch.all) and len(operands) == 1 and value_of(operands[0]).dim() == 1:
        return operands
    return []


def _dims(operands: list[Any]) -> range:
    return range(-max((value_of(item).dim() for item in operands), default=0), 0)


def _kept(operands: list[Any], dim: int, neutral: float, graph: fx.Graph) -> tuple[int, int] | None:
    """What the padding leaves along a dim, where all beyond is neutral; None where that is all.

    Cells with formulas are kept, though some of them may be 0: they are rows.
    """
    size = value_of(operands[0]).shape[dim]
    first, last = size, 0
    for part in (part for item in operands for part in operands_first(_whole(item, dim), _parts)):
        for start, end in _moving(part, graph):
            first, last = min(first, start), max(last, end)
    if first >= last or (first, last) == (0, size):
        return None
    product = torch.ones((), dtype=torch.float64)
    for item in operands:
        known = known_elements(item, lambda part: constant_value(part, graph))
        assert known is not None
        product = product * known
    if product.dim() < -dim or product.shape[dim] != size:
        return None
    others = [place for place in range(-product.dim(), 0) if place != dim]
    counts = (product != neutral).sum(others) if others else product != neutral
    places = torch.nonzero(counts).reshape(-1)
    if len(places):
        first, last = min(first, int(places[0])), max(last, int(places[-1]) + 1)
    return None if (first, last) == (0, size) else (first, last)


def _moving(part: _Part, graph: fx.Graph) -> Iterator[tuple[int, int]]:
    """Where what is padded, or stands beside constants, begins and ends along a dim."""
    node, dim, _, size = part
    if is_call(node, pad):
        before = _width(node, dim)
        yield before, before + value_of(node.args[0]).shape[dim]
    elif is_call(node, torch.cat):
        arguments: Any = node.args
        if node.kwargs.get("dim", 0) != value_of(node).dim() + dim:
            yield 0, size
            return
        start = 0
        for piece in arguments[0]:
            end = start + value_of(piece).shape[dim]
            if constant_value(piece, graph) is None:
                yield start, end
            start = end


def _whole(node: fx.Node, dim: int) -> _Part:
    return _Part(node, dim, 0, value_of(node).shape[dim])


def _parts(part: _Part) -> Iterator[_Part]:
    """The parts of its operands from which a part of a node is computed."""
    node, dim, _, _ = part
    size = value_of(node).shape[dim]
    operands: list[Any] = []
    if is_call(node, torch.stack):
        stacked: Any = node.kwargs.get("dim", 0)
        place = dim + value_of(node).dim()
        if place == stacked:
            return
        dim = place - int(place > stacked) - (value_of(node).dim() - 1)
        operands = list(node.args[0])  # type: ignore[arg-type]
    elif is_elementwise(node) and not node.kwargs:
        operands = list(node.all_input_nodes)
    for item in operands:
        shape = value_of(item).shape
        if len(shape) >= -dim and shape[dim] == size:
            yield part._replace(node=item, dim=dim)


def _trimmed(last: _Part, graph: fx.Graph) -> fx.Node:
    """A node computed for a part of its elements."""
    if (last.start, last.end) == (0, value_of(last.node).shape[last.dim]):
        return last.node
    made: dict[_Part, fx.Node] = {}
    for part in operands_first(last, _parts):
        found = made[part] = _cut(part, made, graph)
        if found.target is part.node.target:
            keep_guard(part.node, found)
        cells = _cells(part)
        if cells is not None and facts(found).cells is None:
            note_part_of_line(part.node, cells, found)
    return made[last]


def _cut(part: _Part, made: dict[_Part, fx.Node], graph: fx.Graph) -> fx.Node:
    node, dim, start, end = part
    value = value_of(node)
    place = value.dim() + dim
    arguments: Any = node.args
    if constant_value(node, graph) is not None:
        return add_constant(graph, value.narrow(place, start, end - start))
    if is_call(node, pad) and len(arguments) == 2 and not node.kwargs:
        source, widths = arguments[0], list(arguments[1])
        before, size = _width(node, dim), value_of(source).shape[dim]
        if before <= start and end <= before + size:
            widths[2 * (-dim - 1) : 2 * -dim] = [0, 0]
            if (start - before, end - before) != (0, size):
                source = add_node(graph, torch.narrow, source, place, start - before, end - start)
            return add_node(graph, pad, source, tuple(widths)) if any(widths) else source
    if is_call(node, torch.cat) and node.kwargs.get("dim", 0) == place:
        first = 0
        for piece in arguments[0]:
            size = value_of(piece).shape[place]
            if first <= start and end <= first + size:
                return _trimmed(_Part(piece, dim, start - first, end - first), graph)
            first += size
    # What is left is elementwise: it is computed of operands that were cut already.
    parts = {item.node: made[item] for item in _parts(part)}
    if not parts:
        return add_node(graph, torch.narrow, node, place, start, end - start)
    if is_call(node, torch.stack):
        return add_node(graph, torch.stack, [parts[item] for item in arguments[0]], **node.kwargs)
    new = [parts.get(item, item) if isinstance(item, fx.Node) else item for item in arguments]
    if is_call(node, torch.where) and isinstance(new[1], fx.Node):
        mask = constant_value(new[0], graph)
        if mask is not None and bool(mask.all()) and mask.shape == value_of(new[1]).shape:
            return new[1]
    if is_call(node, torch.logical_or, torch.logical_and):
        for one, other in commuted(node):
            mask = constant_value(parts.get(one), graph)
            idle = float(is_call(node, torch.logical_and))
            if mask is not None and bool((mask == idle).all()) and other in parts:
                return parts[other]
    return add_node(graph, node.target, *new)  # type: ignore[arg-type]


def _width(padded: fx.Node, dim: int) -> int:
    """How many elements of padding stand before the first, along a dim."""
    widths: Any = padded.args[1]
    place = 2 * (-dim - 1)
    return int(widths[place]) if place < len(widths) else 0


def _cells(part: _Part) -> CellRange | None:
    """The cells of a part of a node that holds a range of the sheet; None where it holds none."""
    cells: CellRange | None = facts(part.node).cells
    if cells is None:
        return None
    shape = tuple(value_of(part.node).shape)
    place = len(shape) + part.dim
    if shape in ((cells.rows,), (cells.rows, cells.columns)) and place == 0:
        return dataclasses.replace(
            cells, top=cells.top + part.start, bottom=cells.top + part.end - 1
        )
    if shape in ((cells.columns,), (cells.rows, cells.columns)):
        return dataclasses.replace(
            cells, left=cells.left + part.start, right=cells.left + part.end - 1
        )
    return None
