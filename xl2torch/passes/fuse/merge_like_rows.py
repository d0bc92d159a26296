"""Join the parts of a column that a row without the formula cuts in two.

A blank row, a heading or a number between the rows of a table parts its columns in two. What stands
in the row is put back in its place; its data are those of the row below, so that every function has
a value there.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import fx

from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import facts, keep_guard, keep_line, note, note_line, value_of
from xl2torch.ir.ops import is_elementwise
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
    replace,
)


class _Piece(NamedTuple):
    """A piece of a column: its rows, and its constant where it is one."""

    node: fx.Node
    rows: int
    constant: torch.Tensor | None


def merge_like_rows(graph: fx.Graph) -> fx.Graph:
    """cat([f(x[:6]), c, f(x[7:])]) becomes where(mask, f(x), c)."""
    known: dict[tuple[fx.Node, ...], fx.Node | None] = {}
    for node in list(graph.nodes):
        if not is_call(node, torch.cat) or node.kwargs.get("dim", 0) != 0:
            continue
        arguments: Any = node.args[0]
        pieces = [
            _Piece(item, value_of(item).shape[0], constant_value(item, graph)) for item in arguments
        ]
        moving = [place for place, piece in enumerate(pieces) if piece.constant is None]
        if len(moving) < 2 or any(pieces[place].rows < 2 for place in moving):
            continue
        first, last = moving[0], moving[-1] + 1
        with graph.inserting_before(node):
            merged = _RowMerging(graph, pieces[first:last], known).column()
            if merged is None:
                continue
            around = [*arguments[:first], merged, *arguments[last:]]
            whole = merged if len(around) == 1 else add_node(graph, torch.cat, around, dim=0)
        replace(node, whole)
    drop_unused(graph)
    return graph


class _RowMerging:
    """Pieces of a column, the first and the last computed, as one."""

    def __init__(
        self, graph: fx.Graph, pieces: list[_Piece],
        known: dict[tuple[fx.Node, ...], fx.Node | None],
    ) -> None:  # fmt: skip
        self.graph = graph
        self.pieces = pieces
        self.known = known
        self.computed = [piece for piece in pieces if piece.constant is None]

    def column(self) -> fx.Node | None:
        """The column; None where its formulas are not alike."""
        merged = self._merged([piece.node for piece in self.computed])
        if merged is None:
            return None
        value = value_of(merged)
        held, constants = [], []
        for piece in self.pieces:
            shape = (piece.rows, *value.shape[1:])
            held.append(torch.full(shape, piece.constant is None))
            numbers = torch.zeros(shape, dtype=value.dtype)
            constants.append(numbers if piece.constant is None else piece.constant.expand(shape))
        mask, other = torch.cat(held), torch.cat(constants)
        if bool(mask.all()):
            return merged
        beside: Any = 0.0 if not bool(other.any()) else add_constant(self.graph, other)
        if value.dtype == torch.bool:
            beside = add_constant(self.graph, other)
        return add_node(self.graph, torch.where, add_constant(self.graph, mask), merged, beside)

    def _merged(self, items: list[fx.Node]) -> fx.Node | None:
        """Like nodes, one for each computed piece, as one for all rows."""
        key = (*items, *(piece.node for piece in self.pieces if piece.constant is not None))
        if key not in self.known:
            self.known[key] = self._constants(items) or self._calls(items)
        return self.known[key]

    def _constants(self, items: list[fx.Node]) -> fx.Node | None:
        """The data of all rows."""
        values = [constant_value(item, self.graph) for item in items]
        rows: list[torch.Tensor] = []
        missing = 0
        data = iter(values)
        for piece in self.pieces:
            if piece.constant is not None:
                missing += piece.rows
                continue
            value = next(data)
            if value is None or not value.dim() or len(value) != piece.rows:
                return None
            rows += [value[:1]] * missing + [value]
            missing = 0
        if len({value.shape[1:] for value in rows}) > 1:
            return None
        found = add_constant(self.graph, torch.cat(rows))
        if (cells := self._hull(items)) is not None:
            note_line(found, cells, None)
        return found

    def _calls(self, items: list[fx.Node]) -> fx.Node | None:
        first = items[0]
        rows = is_call(first, torch.sum, torch.mean, torch.matmul)
        if not (rows or is_elementwise(first)):
            return None
        if any(
            item.op != first.op or item.target is not first.target
            or item.kwargs != first.kwargs or len(item.args) != len(first.args)
            for item in items
        ):  # fmt: skip
            return None
        if rows and not self._by_rows(items):
            return None
        operands = []
        for place, parts in enumerate(zip(*(item.args for item in items), strict=True)):
            operand = self._operand(items, list(parts), rows and place > 0)
            if operand is None:
                return None
            operands.append(operand)
        found = add_node(self.graph, first.target, *operands, **first.kwargs)  # type: ignore[arg-type]
        keep_guard(first, found)
        cells = self._hull(items)
        if cells is not None:
            note(found, cells=cells)
            keep_line(first, found)
        return found

    def _by_rows(self, items: list[fx.Node]) -> bool:
        """Whether sums go along the rows, and products are of rows and a matrix."""
        if is_call(items[0], torch.matmul):
            return all(value_of(item.args[0]).dim() == 2 for item in items)
        dim = items[0].kwargs.get("dim")
        return dim in (1, -1) and all(value_of(item.args[0]).dim() == 2 for item in items)

    def _operand(self, items: list[fx.Node], parts: list[Any], whole: bool) -> Any:
        """One operand of all rows; None where it is not alike."""
        first = parts[0]
        if not isinstance(first, fx.Node):
            return first if all(type(p) is type(first) and p == first for p in parts) else None
        if not all(isinstance(part, fx.Node) for part in parts):
            return None
        has_rows = not whole and all(
            value_of(part).dim() and value_of(part).dim() >= value_of(item).dim()
            and value_of(part).shape[0] == piece.rows
            for part, item, piece in zip(parts, items, self.computed, strict=True)
        )  # fmt: skip
        if has_rows:
            return self._merged(parts)
        return first if all(part is first for part in parts) else None

    def _hull(self, items: list[fx.Node]) -> CellRange | None:
        """The cells of all pieces and what is between them; None where they are no column."""
        areas = [facts(item).cells for item in items]
        if any(area is None for area in areas):
            return None
        top, bottom = areas[0], areas[-1]
        rows = sum(piece.rows for piece in self.pieces)
        assert isinstance(top, CellRange) and isinstance(bottom, CellRange)
        whole = dataclasses.replace(top, bottom=bottom.bottom)
        same = (top.sheet, top.left, top.right) == (bottom.sheet, bottom.left, bottom.right)
        return whole if same and whole.rows == rows else None
