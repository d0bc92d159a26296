"""From one region's tree to array operations over the whole region."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.arrays import operators
from xl2torch.arrays.array import (
    COLUMN,
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    ExcelError,
    NotVectorisable,
    Shape,
    UnknownFunction,
    Unsupported,
    along,
    blank_as_zero,
    check_count,
    constant,
    first_element,
    pad,
    scalar,
    spread,
    truth,
)  # fmt: skip
from xl2torch.arrays.lifting import computed
from xl2torch.arrays.shapes import column, join
from xl2torch.cells.address import MAX_COLUMN, MAX_ROW, CellRange
from xl2torch.cells.values import BLANK, ERRORS, LOGICAL, NAME, REF, VALUE, kind_of
from xl2torch.errors import FormulaError
from xl2torch.excel import formulas_fallback
from xl2torch.excel.excel_names import known_to_excel
from xl2torch.excel.registry import CALENDAR, FUNCTIONS, Function, IntArray
from xl2torch.formula.ast import (
    ArrayConstant,
    Binary,
    Bound,
    Call,
    Error,
    FunctionName,
    Invoke,
    Local,
    Logical,
    Missing,
    Node,
    Number,
    Opaque,
    Reference,
    Text,
    Unary,
)  # fmt: skip
from xl2torch.formula.parser import parse
from xl2torch.ir.facts import value_of
from xl2torch.ir.trace import Data, Trace, apply, is_traced, take
from xl2torch.lowering.blocks import windows
from xl2torch.lowering.growth import CUMULATIVE, growth_of, running
from xl2torch.lowering.precedents import Sweep, sweep, sweeps, swept_range
from xl2torch.lowering.regions import Region
from xl2torch.safety.limits import CALLS, MOST_CALLS
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.spills import has_room

_BRANCHING = frozenset({"IF"})
_TOTALS = re.compile(r"\b(?:SUBTOTAL|AGGREGATE)\(", re.IGNORECASE)
_MOST_GROWN = 50_000_000
CALC = ERRORS["#CALC!"]
_HINTS = {
    "GETPIVOTDATA": ": in a cell of its own, out of the variable cells' reach, it keeps its value"
}


class Resized(Unsupported):
    """The result of a dynamic array has another size than the range that it spills over."""

    def __init__(self, size: tuple[int, int], before: tuple[int, int]) -> None:
        self.size = size
        super().__init__(
            f"its result has {size[0]}×{size[1]} cells now, the file holds "
            f"{before[0]}×{before[1]}: recalculate it in Excel"
        )


Draw = Callable[[list[int]], Data]
Read = Callable[[CellRange], Array]


@dataclass(frozen=True, eq=False)
class Closure:
    """A LAMBDA with what its names stood for where it was written."""

    names: tuple[str, ...]
    body: Node
    home: Lowering
    required: int


@dataclass(frozen=True, eq=False)
class Thunk:
    """A tree that a name stands for, computed when it is first asked for."""

    node: Node
    home: Lowering
    known: dict[tuple[bool, bool], Array]


@dataclass(frozen=True)
class Omitted:
    """An optional argument of a LAMBDA that was left out."""


Binding = Array | Closure | Thunk | Omitted


@dataclass(frozen=True)
class Lowering:
    """Computes one region; ``read_cells`` gives the values of a rectangle.

    Implements the Context that functions see. ``names`` are those of LET and LAMBDA. ``mapped``:
    the elements of an array stand as copies on the outer axes. ``foreign``: functions that we do
    not have may be computed by another package.
    """

    workbook: Workbook
    source: Region
    read_cells: Read
    trace: Trace | None = None
    intersecting: bool = False
    arrays: bool | None = None
    names: Mapping[str, Binding] = field(default_factory=dict)
    mapped: bool = False
    drawing: Draw | None = None
    foreign: bool = False
    calls: list[Node] = field(default_factory=list)
    """LAMBDAs that were called, on all ways through the formula."""

    @property
    def region(self) -> CellRange:
        """Cells of the region."""
        return self.source.range

    def result(self) -> Array:
        """The region's values, inner shape (height, width) of one copy's spill."""
        source = self.source
        array = self.evaluate(source.tree, source.array)
        array = blank_as_zero(replace(array, from_cells=False, references=None, unsure=False))
        if source.dynamic and array.shape[2:] != (source.height, source.width):
            array = self._spilled(array)
        whole = fitted(array, source.height, source.width) if source.array else None
        array = first_element(array) if whole is None else whole
        return spread(array, (source.rows, source.columns, source.height, source.width))

    def _spilled(self, array: Array) -> Array:
        """A result that has another size than its range: #SPILL! where it has no room."""
        source = self.source
        if source.rows * source.columns > 1:
            raise NotVectorisable("results that spill")
        size: tuple[int, int] = array.shape[2:]
        sheet = self.workbook.sheet(self.region.sheet)
        if not has_room(sheet, self.region.first, size):
            if (source.height, source.width) == (1, 1):
                return scalar(ERRORS["#SPILL!"])
            size = (1, 1)
        raise Resized(size, (source.height, source.width))

    # ------------------------------------------------------------ Context

    @property
    def copies(self) -> tuple[int, int]:
        """How many copies stand below each other and side by side."""
        return self.source.rows, self.source.columns

    @property
    def step(self) -> tuple[int, int]:
        """Rows and columns from one copy to the next."""
        return self.source.row_step, self.source.column_step

    @property
    def is_mapped(self) -> bool:
        """Whether the outer axes hold the elements of an array, inside a LAMBDA."""
        return self.mapped

    @property
    def _whole(self) -> bool:
        """Whether the formula (or this part of it) is evaluated as an array formula."""
        return self.source.array if self.arrays is None else self.arrays

    def evaluate(self, node: Node, array: bool | None = None) -> Array:
        """Value of a tree, in an array formula or with implicit intersection."""
        whole = self._whole if array is None else array
        return replace(self, intersecting=False)._value(node, whole, single=not whole)

    def evaluate_range(self, node: Node) -> Array:
        """Value of a tree that may be a range."""
        return replace(self, intersecting=False)._value(node, self._whole, single=False)

    def evaluate_branch(self, node: Node) -> Array:
        """Value of a tree as the call's own result is wanted."""
        return self._value(node, self._whole, single=self.intersecting)

    def swept(self, reference: Reference) -> CellRange | None:
        """Rectangle that a reference sweeps over all copies."""
        return swept_range(reference, self.source, self.workbook)

    def parse(self, text: str) -> Node | None:
        """Tree of a reference that a text holds; None when it does not parse."""
        try:
            return parse(text, self.region.first, self.workbook)
        except FormulaError:
            return None

    def ignored(
        self, area: CellRange, hidden: bool, filtered: bool, nested: bool
    ) -> NDArray[np.bool_]:
        """Cells in hidden rows, in rows that a filter hides, and with other totals in them."""
        sheet = self.workbook.sheet(area.sheet)
        mask = np.zeros((area.rows, area.columns), dtype=bool)
        for row in sheet.hidden_rows:
            if area.top <= row <= area.bottom and (hidden or (filtered and sheet.is_filtered(row))):
                mask[row - area.top] = True
        if nested:
            for (row, column), cell in sheet.formula_at.items():
                inside = area.top <= row <= area.bottom and area.left <= column <= area.right
                if inside and _TOTALS.search(cell.text):
                    mask[row - area.top, column - area.left] = True
        return mask

    def holds_formula(self, sheet: str, rows: IntArray, columns: IntArray) -> Array:
        """Whether the cells at some rows and columns hold formulas."""
        known = self.workbook.sheet(sheet).formula_at
        rows, columns = np.broadcast_arrays(rows, columns)
        flat = [(int(r), int(c)) in known for r, c in zip(rows.flat, columns.flat, strict=True)]
        kinds = np.full(rows.shape, LOGICAL, dtype=np.uint8)
        return constant(np.array(flat, dtype=float).reshape(rows.shape), kinds)

    def draw(self, shape: Shape) -> Data:
        """Random numbers, drawn by the caller's source."""
        if self.drawing is None:
            raise Unsupported("a random number")
        return self.drawing([size for size in shape if size > 1])

    def clock(self) -> Array:
        """The time is not asked for: such cells keep their stored value."""
        raise Unsupported("the time of the last recalculation")

    # ------------------------------------------------------------ names of LET and LAMBDA

    def resolved(self, node: Node) -> Node:
        """The reference that a name stands for, else the node itself."""
        while isinstance(node, Local):
            binding = self.names.get(node.name)
            if not isinstance(binding, Thunk):
                break
            inner = binding.home.resolved(binding.node)
            if not isinstance(inner, Reference):
                break
            node = inner
        return node

    def is_omitted(self, node: Node) -> bool:
        """Whether a name stands for an argument that was left out."""
        return isinstance(node, Local) and isinstance(self.names.get(node.name), Omitted)

    def let(self, arguments: tuple[Node, ...]) -> Array:
        """Value of LET."""
        return self._with_let(arguments)._value(
            arguments[-1], self._whole, single=self.intersecting
        )

    def _with_let(self, arguments: tuple[Node, ...]) -> Lowering:
        if len(arguments) % 2 == 0:
            raise Unsupported("LET with a name that has no value")
        inside = self
        for name, node in zip(arguments[:-1:2], arguments[1::2], strict=True):
            if not isinstance(name, Local):
                raise Unsupported("LET with something that is no name")
            inside = replace(inside, names={**inside.names, name.name: inside._binding(node)})
        return inside

    def _binding(self, node: Node) -> Binding:
        return self._closure(node) or Thunk(node, self, {})

    def _closure(self, node: Node) -> Closure | None:
        """The function that a tree stands for; None when it is a value."""
        if isinstance(node, Local):
            binding = self.names.get(node.name)
            return binding if isinstance(binding, Closure) else None
        if isinstance(node, Call) and node.function == "LAMBDA":
            *names, body = node.arguments
            known = tuple(name.name for name in names if isinstance(name, Local))
            if len(known) != len(names):
                raise Unsupported("LAMBDA with something that is no name")
            needed = sum(not name.optional for name in names if isinstance(name, Local))
            return Closure(known, body, self, needed)
        if isinstance(node, FunctionName):
            return Closure(("x", "y"), node, self, 1)
        if isinstance(node, Call) and node.function == "LET":
            return self._with_let(node.arguments)._closure(node.arguments[-1])
        if isinstance(node, Invoke):
            self._count(node)
            closure = self._closure(node.callee)
            if closure is None or isinstance(closure.body, FunctionName):
                return None
            bindings = [self._argument(argument) for argument in node.arguments]
            return self._bound(closure, bindings)._closure(closure.body)
        return None

    def _count(self, call: Node) -> None:
        self.calls.append(call)
        check_count(len(self.calls), MOST_CALLS, CALLS)

    def _argument(self, node: Node) -> Binding:
        if isinstance(node, Missing) or self.is_omitted(node):
            return Omitted()
        return self._binding(node)

    def _bound(self, closure: Closure, arguments: Sequence[Binding]) -> Lowering:
        if not closure.required <= len(arguments) <= len(closure.names):
            raise ExcelError(VALUE)
        missing = [Omitted()] * (len(closure.names) - len(arguments))
        bound = dict(zip(closure.names, [*arguments, *missing], strict=True))
        home = closure.home
        return replace(
            home, names={**home.names, **bound}, mapped=self.mapped or home.mapped,
            arrays=self.arrays, intersecting=self.intersecting,
        )  # fmt: skip

    def callee(self, node: Node, mapped: bool = False) -> Callable[..., Array]:
        """The function that a LAMBDA stands for."""
        closure = self._closure(node)
        if closure is None:
            raise ExcelError(VALUE)
        caller = replace(self, mapped=self.mapped or mapped)

        def apply_(*arguments: Array) -> Array:
            self._count(node)
            if isinstance(closure.body, FunctionName):
                return caller._builtin(closure.body.function, arguments)
            if len(arguments) != len(closure.names):
                raise ExcelError(VALUE)
            inside = caller._bound(closure, list(arguments))
            return inside._value(closure.body, self._whole, single=not self._whole)

        return apply_

    def _builtin(self, name: str, arguments: Sequence[Array]) -> Array:
        names = [f"argument {index}" for index in range(len(arguments))]
        inside = replace(self, names=dict(zip(names, arguments, strict=True)))
        call = Call(name, tuple(Local(text) for text in names))
        return inside._value(call, self._whole, single=not self._whole)

    def _invoke(self, node: Invoke, array: bool, single: bool) -> Array:
        self._count(node)
        closure = self._closure(node.callee)
        if closure is None:
            raise Unsupported("a call of something that is no LAMBDA")
        if isinstance(closure.body, FunctionName):
            return self._value(Call(closure.body.function, node.arguments), array, single)
        inside = self._bound(closure, [self._argument(item) for item in node.arguments])
        return inside._value(closure.body, array, single)

    def _local(self, name: str, array: bool, single: bool) -> Array:
        binding = self.names.get(name)
        if isinstance(binding, Array):
            return binding
        if isinstance(binding, Thunk):
            key = (array, single)
            if key not in binding.known:
                binding.known[key] = binding.home._value(binding.node, array, single)
            return binding.known[key]
        if isinstance(binding, Omitted):
            return scalar(None)
        raise ExcelError(CALC if binding else NAME)

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
        return None if cell is None else CellRange(area.sheet, *cell.area)

    def gather(self, sheet: str, rows: IntArray, columns: IntArray) -> Array:
        """Cells at computed rows and columns: an index into the rectangle that holds them all."""
        if self.intersecting:
            rows = _intersect_own_row(rows, HEIGHT, self.region.top, self.source.rows, self.step[0])
            columns = _intersect_own_row(
                columns, WIDTH, self.region.left, self.source.columns, self.step[1]
            )
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
        # Operators go on with ``single``: they intersect ranges even within a function that takes
        # arrays, unless the whole formula is one.
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
            case Local(name):
                return self._local(name, array, single)
            case Invoke():
                return self._invoke(node, array, single)
            case FunctionName():
                return scalar(NAME)
            case Opaque(_, reason):
                raise Unsupported(reason)

    def _chain(self, node: Node, array: bool) -> Array:
        """A chain of binary operators, without recursion on its left side."""
        links: list[Binary] = []
        while isinstance(node, Binary) and not (links and self._is_hoisted(node)):
            links.append(node)
            node = node.left
        result = self._value(node, array, single=True)
        for link in reversed(links):
            right = self._value(link.right, array, single=True)
            result = operators.binary(link.operator, result, right)
        return result

    def _is_hoisted(self, node: Node) -> bool:
        """Whether a part of a formula is computed elsewhere, for all steps of a loop at once."""
        return False

    def _call(self, node: Call, array: bool, single: bool) -> Array:
        function = FUNCTIONS.get(node.function)
        if function is None and self.foreign and formulas_fallback.is_known(node.function):
            values = [self._value(item, array, single=False) for item in node.arguments]
            return formulas_fallback.call(node.function, values)
        if function is None:
            known = (
                "not supported yet" if node.function in known_to_excel() else "not known to Excel"
            )
            hint = _HINTS.get(node.function, "")
            raise UnknownFunction(f"the function {node.function} is {known}{hint}")
        if self.workbook.dates_1904 and (node.function in CALENDAR or _shows_a_date(node)):
            raise Unsupported(f"{node.function} in a workbook that counts its days from 1904")
        arguments = _without_unions(node.arguments) if function.repeats else node.arguments
        if not function.accepts(len(arguments)):
            raise Unsupported(f"{node.function} with {len(arguments)} arguments")
        context = replace(self, intersecting=single and not array, arrays=array)
        try:
            if function.takes_trees:
                return function.compute(context, *arguments)
            chosen: dict[int, Array] = {}
            if node.function in _BRANCHING:
                arguments, chosen[0] = self._taken(node, array)
            growing = [
                isinstance(argument, Reference) and self._grows(argument) for argument in arguments
            ]
            if any(growing) and node.function in CUMULATIVE:
                return self._cumulative(node.function, arguments, growing, array)
            values = [
                chosen[index]
                if index in chosen
                else self._argument_value(argument, function, index, array, single)
                for index, argument in enumerate(arguments)
            ]
            compute = partial(function.compute, context) if function.context else function.compute
            places = [place for place in range(len(values)) if function.letter(place) == "v"]
            return computed(node.function, compute, values, places, function.singly)
        except ExcelError as error:
            if self.mapped or self.source.rows * self.source.columns > 1:
                raise NotVectorisable("an error in some of the copied cells") from None
            return scalar(error.error)

    def _argument_value(
        self, node: Node, function: Function, index: int, array: bool, single: bool
    ) -> Array:
        letter = function.letter(index)
        if isinstance(node, Call) and node.function == "UNION":
            parts = _without_unions((node,))
            pieces = [column(self._value(part, array, single=False)) for part in parts]
            return replace(join(pieces, HEIGHT), from_cells=True)
        node = self.resolved(node)
        if function.grows and letter in "ra" and isinstance(node, Reference) and self._grows(node):
            return self._grown(node)
        return self._value(
            node, array or letter == "a", single=letter == "v" or (letter == "b" and single)
        )

    # ------------------------------------------------------------ ranges that grow

    def _grows(self, reference: Reference) -> bool:
        """Whether the range changes its size from copy to copy."""
        rows, columns = self.copies
        return (rows > 1 and reference.top.relative != reference.bottom.relative) or (
            columns > 1 and reference.left.relative != reference.right.relative
        )

    def _grown(self, reference: Reference) -> Array:
        """The full range per copy; the cells that a copy does not reach are blank."""
        growth = growth_of(reference, self.source, self.workbook)
        if growth is None:
            raise NotVectorisable("a range that grows in two directions")
        whole = replace(self.read_cells(growth.area), from_cells=True)
        copies = len(growth.first)
        if copies * growth.area.size > _MOST_GROWN:
            raise NotVectorisable("a range that grows over too many cells to hold them all")
        kinds = np.where(growth.inside(), whole.full_kinds, BLANK).astype(np.uint8)
        texts = None if whole.texts is None else np.broadcast_to(whole.full_texts, kinds.shape)
        shape: Shape = tuple(kinds.shape)
        return replace(spread(whole, shape), kinds=kinds, texts=texts, from_cells=True)

    def _cumulative(
        self, name: str, arguments: Sequence[Node], growing: Sequence[bool], array: bool
    ) -> Array:
        """SUM, AVERAGE, MAX, MIN, PRODUCT of growing ranges: a running total along them."""
        if name == "AVERAGE":
            parts = [self._cumulative(part, arguments, growing, array) for part in ("SUM", "COUNT")]
            return operators.divide(*parts)
        parts = []
        for index, (argument, grows) in enumerate(zip(arguments, growing, strict=True)):
            if grows:
                assert isinstance(argument, Reference)
                growth = growth_of(argument, self.source, self.workbook)
                if growth is None:
                    raise NotVectorisable("a range that grows in two directions")
                parts.append(running(name, self.read_cells(growth.area), growth))
            else:
                value = self._argument_value(argument, FUNCTIONS[name], index, array, False)
                parts.append(FUNCTIONS[name].compute(value) if name == "COUNT" else value)
        return FUNCTIONS["SUM" if name == "COUNT" else name].compute(*parts)

    def _taken(self, node: Call, array: bool) -> tuple[tuple[Node, ...], Array]:
        """Arguments of IF, and its condition.

        A branch that no cell takes is left out, so it need not be supported.
        """
        test = truth(self._value(node.arguments[0], array, single=True))
        if test.traced or test.kinds is not None or test.shape[HEIGHT] * test.shape[WIDTH] > 1:
            return node.arguments, test
        holds = test.numpy() != 0
        condition, *branches = node.arguments
        if holds.all():
            return (condition, *branches[:1]), test
        if not holds.any() and len(branches) > 1:
            return (condition, Missing(), *branches[1:]), test
        return node.arguments, test

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
                        raise NotVectorisable(
                            "a range that only some of the copied cells stand beside"
                        )
        source = self.source
        top = own_row if tall else reference.top
        left = own_column if wide else reference.left
        return (
            sweep(top, top, area.top, source.row_step, source.rows, MAX_ROW),
            sweep(left, left, area.left, source.column_step, source.columns, MAX_COLUMN),
        )


def _shows_a_date(node: Call) -> bool:
    """Whether TEXT may write a date."""
    if node.function != "TEXT" or len(node.arguments) < 2:
        return False
    pattern = node.arguments[1]
    return not isinstance(pattern, Text) or bool(set(pattern.value.lower()) & set("dmy"))


def _without_unions(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Arguments with unions of references taken apart."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Call) and node.function == "UNION":
            found += _without_unions(node.arguments)
        else:
            found.append(node)
    return tuple(found)


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


def _intersect_own_row(places: IntArray, axis: int, first: int, copies: int, step: int) -> IntArray:
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
    raise NotVectorisable("a range that only some of the copied cells stand beside")


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
        if not index:  # one cell, of which every copy takes the same
            return apply(torch.broadcast_to, data, tuple(keep)), axes
        return apply(take, data, *index), axes
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
