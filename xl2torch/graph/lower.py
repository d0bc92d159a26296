"""From one region's tree to array operations over the whole region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from xl2torch.address import MAX_COLUMN, MAX_ROW, CellRange
from xl2torch.formula.ast import (
    ArrayConstant,
    Binary,
    Bound,
    Call,
    Error,
    Logical,
    Missing,
    Node,
    Number,
    Opaque,
    Reference,
    Text,
    Unary,
)  # fmt: skip
from xl2torch.functions import operators
from xl2torch.functions.array import (
    COLUMN,
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    Differs,
    ExcelError,
    Shape,
    UnknownFunction,
    Unsupported,
    along,
    blank_as_zero,
    constant,
    first_element,
    pad,
    scalar,
    spread,
    truth,
)  # fmt: skip
from xl2torch.functions.registry import FUNCTIONS, IntArray
from xl2torch.functions.trace import Data, Trace, apply, is_traced, value_of
from xl2torch.graph.blocks import windows
from xl2torch.graph.precedents import Sweep, sweep, sweeps
from xl2torch.graph.regions import Region
from xl2torch.values import REF, VALUE, kind_of
from xl2torch.workbook.reader import Workbook

_BRANCHING = frozenset({"IF"})
Read = Callable[[CellRange], Array]


@dataclass(frozen=True)
class Lowering:
    """Computes one region; ``read_cells`` gives the values of a rectangle.

    Implements the Context that functions see.
    """

    workbook: Workbook
    source: Region
    read_cells: Read
    trace: Trace | None = None
    intersecting: bool = False

    @property
    def region(self) -> CellRange:
        """Cells of the region."""
        return self.source.range

    def result(self) -> Array:
        """The region's values, inner shape (height, width) of one copy's spill."""
        source = self.source
        array = self.evaluate(source.tree, source.array)
        array = blank_as_zero(replace(array, from_cells=False))
        whole = fitted(array, source.height, source.width) if source.array else None
        array = first_element(array) if whole is None else whole
        return spread(array, (source.rows, source.columns, source.height, source.width))

    # ------------------------------------------------------------ Context

    def evaluate(self, node: Node, array: bool | None = None) -> Array:
        """Value of a tree, in an array formula or with implicit intersection."""
        whole = self.source.array if array is None else array
        return replace(self, intersecting=False)._value(node, whole, single=not whole)

    def area(self, reference: Reference) -> tuple[CellRange, bool, bool]:
        """Rectangle that the first copy means; whether it moves by row and by column."""
        try:
            rows, columns = sweeps(reference, self.source, self.workbook)
        except ValueError:
            raise ExcelError(REF) from None
        first = CellRange(
            reference.sheet, rows.start, columns.start,
            rows.start + rows.size - 1, columns.start + columns.size - 1,
        )  # fmt: skip
        return first, rows.moves, columns.moves

    def read(self, area: CellRange) -> Array:
        """Cells of a rectangle, on the two inner axes."""
        return replace(self.read_cells(area), from_cells=True)

    def spill(self, area: CellRange) -> CellRange | None:
        """Spill range of the array formula that begins in a cell."""
        cell = self.workbook.sheet(area.sheet).formula_at.get((area.top, area.left))
        if cell is None or cell.array is None:
            return None
        return CellRange(area.sheet, *cell.array)

    def gather(self, sheet: str, rows: IntArray, columns: IntArray) -> Array:
        """Cells at computed rows and columns: an index into the rectangle that holds them all."""
        if self.intersecting:
            rows = _own(rows, HEIGHT, self.region.top, self.source.rows, self.source.height)
            columns = _own(columns, WIDTH, self.region.left, self.source.columns, self.source.width)
        top, left = int(rows.min()), int(columns.min())
        area = CellRange(sheet, top, left, int(rows.max()), int(columns.max()))
        block = self.read_cells(area)
        shape: Shape = tuple(np.broadcast_shapes(rows.shape, columns.shape))
        down, across = rows - top, columns - left
        kinds = texts = None
        if block.kinds is not None:
            kinds = block.full_kinds[0, 0][down, across]
            texts = block.full_texts[0, 0][down, across]
        data, axes = _indexed(block, down, across)
        valid = None
        if block.valid is not None:
            valid = Array(*_indexed(spread(block.valid, block.shape), down, across), shape)
        return Array(data, axes, shape, kinds, texts, from_cells=True, valid=valid)

    # ------------------------------------------------------------ trees

    def _value(self, node: Node, array: bool, single: bool) -> Array:
        """``single``: one value is wanted, so a range outside array formulas is intersected."""
        match node:
            case Number(value) | Text(value) | Logical(value):
                return scalar(value)
            case Error(error):
                return scalar(error)
            case Missing():
                return scalar(None)
            case ArrayConstant(rows):
                return _array_constant(rows)
            case Reference():
                return self._reference(node, intersect=single and not array)
            case Unary("@", operand):
                return first_element(self._value(operand, False, single=True))
            case Unary(symbol, operand):
                return operators.unary(symbol, self._value(operand, array, single=True))
            case Binary():
                return self._chain(node, array)
            case Call():
                return self._call(node, array, single)
            case Opaque(_, reason):
                raise Unsupported(reason)

    def _chain(self, node: Node, array: bool) -> Array:
        """A chain of binary operators, without recursion on its left side."""
        links: list[Binary] = []
        while isinstance(node, Binary):
            links.append(node)
            node = node.left
        result = self._value(node, array, single=True)
        for link in reversed(links):
            right = self._value(link.right, array, single=True)
            result = operators.binary(link.operator, result, right)
        return result

    def _call(self, node: Call, array: bool, single: bool) -> Array:
        function = FUNCTIONS.get(node.function)
        if function is None:
            raise UnknownFunction(f"the function {node.function} is not supported")
        if not function.accepts(len(node.arguments)):
            raise Unsupported(f"{node.function} with {len(node.arguments)} arguments")
        try:
            if function.takes_trees:
                context = replace(self, intersecting=single and not array)
                return function.compute(context, *node.arguments)
            arguments = node.arguments
            if node.function in _BRANCHING:
                arguments = self._taken(node, array)
            values = []
            for index, argument in enumerate(arguments):
                letter = function.letter(index)
                value = self._value(
                    argument,
                    array or letter == "a",
                    single=letter == "v" or (letter == "b" and single),
                )
                values.append(value)
            return function.compute(*values)
        except ExcelError as error:
            if self.source.rows * self.source.columns > 1:
                raise Differs("an error in some of the copied cells") from None
            return scalar(error.error)

    def _taken(self, node: Call, array: bool) -> tuple[Node, ...]:
        """Arguments of IF; a branch that no cell takes is left out, so it need not be supported."""
        test = truth(self._value(node.arguments[0], array, single=True))
        if test.traced or test.kinds is not None:
            return node.arguments
        holds = test.numpy() != 0
        condition, yes, *no = node.arguments
        if test.shape[HEIGHT] * test.shape[WIDTH] > 1:
            return node.arguments
        if holds.all():
            return (condition, yes)
        if not holds.any() and no:
            return (condition, Missing(), *no)
        return node.arguments

    def _reference(self, reference: Reference, intersect: bool) -> Array:
        try:
            rows, columns = sweeps(reference, self.source, self.workbook)
        except ValueError:
            return scalar(REF)
        if intersect and (rows.size > 1 or columns.size > 1):
            intersected = self._intersected(reference)
            if intersected is None:
                return scalar(VALUE)
            rows, columns = intersected
        area = CellRange(reference.sheet, rows.start, columns.start, rows.end, columns.end)
        array = self.read_cells(area)
        array = _swept(array, HEIGHT, ROW, rows)
        array = _swept(array, WIDTH, COLUMN, columns)
        if self.trace is not None and not is_traced(array.data):
            self.trace.note_origin(value_of(array.data), area)
        return replace(array, from_cells=True)

    def _intersected(self, reference: Reference) -> tuple[Sweep, Sweep] | None:
        """Implicit intersection: the cell of a range in the formula's own row or column."""
        area = self.source.range
        own_row, own_column = Bound(0, True), Bound(0, True)
        tall = reference.top != reference.bottom
        wide = reference.left != reference.right
        for present, first, last, start, end in (
            (tall, reference.top, reference.bottom, area.top, area.bottom),
            (wide, reference.left, reference.right, area.left, area.right),
        ):
            if present:
                for origin in (start, end):
                    if not first.at(origin) <= origin <= last.at(origin):
                        if start == end:
                            return None
                        raise Differs("a range that only some of the copied cells stand beside")
        source = self.source
        top = own_row if tall else reference.top
        left = own_column if wide else reference.left
        return (
            sweep(top, top, area.top, source.height, source.rows, MAX_ROW),
            sweep(left, left, area.left, source.width, source.columns, MAX_COLUMN),
        )


def _swept(array: Array, inner: int, outer: int, sweep_: Sweep) -> Array:
    if not sweep_.moves:
        return array
    return windows(array, inner, outer, sweep_.size, sweep_.step)


def _array_constant(rows: tuple[tuple[Number | Text | Logical | Error, ...], ...]) -> Array:
    shape = (1, 1, len(rows), len(rows[0]))
    values = [item.value for row in rows for item in row]
    numbers = [float(v) if isinstance(v, float | bool) else np.nan for v in values]
    kinds = np.array([kind_of(value) for value in values], dtype=np.uint8)
    texts = np.array([v if isinstance(v, str) else "" for v in values], dtype=object)
    return constant(np.array(numbers).reshape(shape), kinds.reshape(shape), texts.reshape(shape))


def fitted(array: Array, height: int, width: int) -> Array:
    """An array formula's result in its range: repeated, cut off, or filled up with #N/A."""
    for axis, size in ((HEIGHT, height), (WIDTH, width)):
        if array.shape[axis] > size:
            array = along(array, axis, 0, size, 1)
    shape: Shape = (*array.shape[:2], height, width)
    return spread(pad(array, shape), shape)


def _own(places: IntArray, axis: int, first: int, copies: int, step: int) -> IntArray:
    """Implicit intersection of computed rows (or columns) with each copy's own."""
    if places.shape[axis] == 1:
        return places
    shape = [copies if other == axis - HEIGHT else 1 for other in range(4)]
    own = (first + step * np.arange(copies)).reshape(shape)
    inside = (own >= places.min(axis, keepdims=True)) & (own <= places.max(axis, keepdims=True))
    if inside.all():
        return np.asarray(own + np.zeros_like(places.min(axis, keepdims=True)))
    if inside.size == 1:
        raise ExcelError(VALUE)
    raise Differs("a range that only some of the copied cells stand beside")


def _indexed(block: Array, rows: IntArray, columns: IntArray) -> tuple[Data, tuple[int, ...]]:
    """Data of ``block[rows, columns]`` for index arrays of four axes."""
    data = block.data
    row_axes = tuple(axis for axis in range(4) if rows.shape[axis] > 1)
    column_axes = tuple(axis for axis in range(4) if columns.shape[axis] > 1)
    has_rows, has_columns = HEIGHT in block.axes, WIDTH in block.axes
    if set(row_axes) & set(column_axes):
        full_rows, full_columns = np.broadcast_arrays(rows, columns)
        axes = tuple(axis for axis in range(4) if full_rows.shape[axis] > 1)
        keep = [full_rows.shape[axis] for axis in axes]
        index = []
        for axis in block.axes:
            source = full_rows if axis == HEIGHT else full_columns
            index.append(torch.from_numpy(np.ascontiguousarray(source)).reshape(keep))
        if not index:
            return data, ()
        return apply(_take, data, *index), axes
    result_axes: tuple[int, ...] = ()
    for axis in block.axes:
        result_axes += row_axes if axis == HEIGHT else column_axes
    position = 0
    for axis in block.axes:
        indices, named = (rows, row_axes) if axis == HEIGHT else (columns, column_axes)
        flat = indices.reshape(-1)
        length = block.shape[axis]
        if not np.array_equal(flat, np.arange(length)):
            data = apply(torch.index_select, data, position, torch.from_numpy(flat.copy()))
        if len(named) != 1:
            sizes = tuple(indices.shape[item] for item in named)
            data = (
                apply(torch.unflatten, data, position, sizes)
                if named
                else apply(torch.squeeze, data, position)
            )
        position += len(named)
    # An axis along which every index is the same cell has length 1 in the block: repeat it.
    repeated = tuple(
        axis for axis in range(4)
        if (axis in row_axes and not has_rows) or (axis in column_axes and not has_columns)
    )  # fmt: skip
    for axis in repeated:
        size = max(rows.shape[axis], columns.shape[axis])
        data = apply(torch.unsqueeze, data, -1)
        data = apply(torch.repeat_interleave, data, size, dim=-1)
    return data, result_axes + repeated


def _take(data: torch.Tensor, *index: torch.Tensor) -> torch.Tensor:
    """Elements at integer indices, one index tensor per dim."""
    return data[index]
