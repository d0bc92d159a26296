"""What passes share: adding a node with its value, reading shapes, windows and slices."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import fx

from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import facts, is_constant, keep_line, note, value_of
from xl2torch.ir.ops import Group, find_operator, in_group
from xl2torch.ir.trace import Trace


def add_node(
    graph: fx.Graph, function: Callable[..., Any], *arguments: Any, **options: Any
) -> fx.Node:
    """A call of a torch function, with its value at the start point."""
    node = graph.call_function(function, arguments, options)
    concrete = fx.node.map_arg(arguments, lambda item: facts(item).value)
    note(node, value=function(*concrete, **options))
    return node


def add_constant(graph: fx.Graph, value: torch.Tensor) -> fx.Node:
    """A constant buffer."""
    assert isinstance(graph, Trace)
    return graph.constant(value)


def drop_unused(graph: fx.Graph) -> None:
    """Remove nodes that nothing uses; a loop and a random number have no other effect."""
    for node in reversed(graph.nodes):  # torch's own way checks the whole graph each time
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)


def is_call(item: Any, *functions: Callable[..., Any]) -> bool:
    """Whether a node calls one of some functions."""
    return isinstance(item, fx.Node) and item.op == "call_function" and item.target in functions


def is_activation(item: Any) -> bool:
    """Whether a node is a function of one number, element by element, without options."""
    return in_group(item, Group.ELEMENTWISE) and len(item.args) == 1 and not item.kwargs


def keeps_elements(item: Any) -> bool:
    """Whether a node holds the elements of its operand in their order, each once."""
    row = find_operator(item)
    if row is None or not row.keeps_order or not isinstance(item.args[0], fx.Node):
        return False
    return value_of(item.args[0]).numel() == value_of(item).numel()


def constant_value(item: Any, graph: fx.Graph) -> torch.Tensor | None:
    """Value of a constant buffer; None for anything else."""
    return value_of(item) if is_constant(item) else None


def replace(old: fx.Node, new: fx.Node) -> None:
    """Put a node in the place of another, with its cells and formula."""
    keep_line(old, new)
    old.replace_all_uses_with(new)


class Windows(NamedTuple):
    """Windows that slide over a matrix: (rows, columns, height, width) of the source."""

    source: fx.Node
    size: tuple[int, int]
    step: tuple[int, int]


def windows_of(item: Any, graph: fx.Graph) -> Windows | None:
    """The matrix whose windows a node holds; None when it holds no windows."""
    if is_call(item, torch.Tensor.unfold):
        inner, dim, width, across = item.args
        if dim == 1 and is_call(inner, torch.Tensor.unfold) and inner.args[1] == 0:
            source, _, height, down = inner.args
            if value_of(source).dim() == 2:
                return Windows(source, (height, width), (down, across))
        return None
    folded = constant_value(item, graph)
    if folded is None or folded.dim() != 4:
        return None
    matrix = _matrix_of_windows(folded)
    if matrix is None:
        return None
    return Windows(add_constant(graph, matrix), tuple(folded.shape[2:]), (1, 1))  # type: ignore[arg-type]


def _matrix_of_windows(windows: torch.Tensor) -> torch.Tensor | None:
    """The matrix over which constant windows slide one by one; None when they do not."""
    rows, columns, height, width = windows.shape
    if min(rows, columns) < 2 or height * width < 2:
        return None
    matrix = windows.new_zeros(rows + height - 1, columns + width - 1)
    for i in range(height):
        for j in range(width):
            matrix[i : i + rows, j : j + columns] = windows[:, :, i, j]
    again = matrix.unfold(0, height, 1).unfold(1, width, 1)
    return matrix if torch.equal(again, windows) else None


def strip_guards(item: Any) -> Any:
    """What a guard protects: the operand itself, where its function has a value."""
    while isinstance(item, fx.Node) and facts(item).protects:
        item = item.args[1]
    return item


def is_number(item: Any, number: float) -> bool:
    """Whether an operand is a number that is written into the code."""
    return isinstance(item, int | float) and not isinstance(item, bool) and item == number


def commuted(node: fx.Node) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The two operands in either order."""
    first, second = node.args
    return (first, second), (second, first)


def negated(graph: fx.Graph, item: fx.Node) -> fx.Node:
    """-x, without a double sign."""
    if is_call(item, operator.neg):
        return item.args[0]  # type: ignore[return-value]
    if is_call(item, operator.sub) and all(isinstance(part, fx.Node) for part in item.args):
        return add_node(graph, operator.sub, item.args[1], item.args[0])
    if is_call(item, operator.mul):
        for factor, other in commuted(item):
            if is_number(factor, -1.0):
                return other  # type: ignore[no-any-return]
    return add_node(graph, operator.neg, item)


def same_items(items: Sequence[Any]) -> bool:
    """Whether all items are one and the same."""
    return all(item is items[0] or item == items[0] for item in items)


def summands(node: Any) -> list[Any]:
    """The terms of a sum."""
    if is_call(node, operator.add):
        return [*summands(node.args[0]), *summands(node.args[1])]
    return [node]


def hull(items: list[fx.Node]) -> CellRange | None:
    """Rectangle of neighbouring columns or rows; None where they are no rectangle."""
    areas = [facts(item).cells for item in items]
    if any(area is None for area in areas):
        return None
    whole: CellRange = areas[0]  # type: ignore[assignment]
    for area in areas[1:]:
        assert area is not None
        if area == dataclasses.replace(whole, left=whole.right + 1, right=area.right):
            whole = dataclasses.replace(whole, right=area.right)
        elif area == dataclasses.replace(whole, top=whole.bottom + 1, bottom=area.bottom):
            whole = dataclasses.replace(whole, bottom=area.bottom)
        else:
            return None
    return whole


def slices(items: list[Any]) -> tuple[fx.Node, int, int] | None:
    """(matrix, axis, first) when the items are two or more consecutive slices of one node."""
    if len(items) < 2 or not all(is_call(item, torch.select) for item in items):
        return None
    matrix, axis, start = items[0].args
    for place, item in enumerate(items):
        if item.args[0] is not matrix or item.args[1:] != (axis, start + place):
            return None
    return matrix, axis, start


def part(graph: fx.Graph, matrix: fx.Node, axis: int, start: int, count: int) -> fx.Node:
    """Some consecutive slices of a node; the node itself where they are all."""
    if count == value_of(matrix).shape[axis]:
        return matrix
    return add_node(graph, torch.narrow, matrix, axis, start, count)
