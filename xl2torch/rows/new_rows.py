"""A sheet's row formulas, applied to new rows.

A formula that was copied down is lowered again with as many copies as there are new rows. They
stand far below the last row that a sheet can have: what a relative reference reads there is new
data, what any other reference reads is the sheet's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from dataclasses import dataclass

from xl2torch.arrays.array import Array, ExcelError, Unsupported, scalar, spread
from xl2torch.cells.address import MAX_ROW, CellRange
from xl2torch.errors import ModelError, equals
from xl2torch.excel.registry import FUNCTIONS
from xl2torch.formula.ast import Binary, Bound, Call, Node, Reference, Unary, walk
from xl2torch.ir.trace import Trace
from xl2torch.lowering.blocks import Block, placed, read
from xl2torch.lowering.lower import Lowering
from xl2torch.lowering.precedents import SplitRegion, swept_range
from xl2torch.lowering.regions import Region
from xl2torch.lowering.schedule import Evaluation, Unit

NEW_ROWS = 2 * MAX_ROW
_HALFWAY = NEW_ROWS - MAX_ROW // 2


@dataclass(frozen=True, order=True)
class Column:
    """A column of a sheet, in the rows of its table."""

    sheet: str
    top: int
    bottom: int
    column: int

    @property
    def cells(self) -> CellRange:
        """Its cells in the sheet."""
        return CellRange(self.sheet, self.top, self.column, self.bottom, self.column)


class _Missing(Exception):
    def __init__(self, columns: list[Column]) -> None:
        self.columns = columns


class RowProgram:
    """What the columns of ``outputs`` compute from the data columns of their rows.

    Raises ModelError where a row cannot be computed on its own.
    """

    def __init__(self, evaluation: Evaluation, outputs: CellRange) -> None:
        self.evaluation = evaluation
        self.outputs = outputs
        self._formulas: dict[Column, Region | None] = {}
        self.reads: dict[Column, set[Column]] = {}
        self._shifts: dict[str, int] = {outputs.sheet: 0}

    def output_columns(self) -> list[Column]:
        """The columns of the outputs."""
        places = range(self.outputs.left, self.outputs.right + 1)
        return [self._column(self.outputs.sheet, 0, place) for place in places]

    def compute(
        self, data: Callable[[Column], Array], count: int, trace: Trace | None = None,
        given: Collection[Column] = (),
    ) -> Array:  # fmt: skip
        """Values of the outputs for ``count`` rows: (1, 1, rows, columns).

        ``data`` gives the new rows (1, 1, rows, 1) of a column that holds no formula, and of
        those ``given`` whatever they hold.
        """
        blocks: dict[Column, Block] = {}
        wanted = self.output_columns()
        stack = list(reversed(wanted))
        path: list[Column] = []
        while stack:
            column = stack[-1]
            if column in blocks:
                stack.pop()
                if path and path[-1] == column:
                    path.pop()
                continue
            region = None if column in given else self._formula(column)
            if region is None:
                blocks[column] = Block(self._placed(column, count), data(column))
                continue
            if not path or path[-1] != column:
                path.append(column)
            try:
                blocks.update(self._lowered(region, column, count, blocks, trace))
            except _Missing as needed:
                if any(item in path for item in needed.columns):
                    raise self._refused(region, "it depends on itself, row after row") from None
                stack += needed.columns
        area = dataclasses.replace(self.outputs, top=NEW_ROWS, bottom=NEW_ROWS + count - 1)
        return read(self.evaluation.workbook, [blocks[column] for column in wanted], area)

    def _lowered(
        self, region: Region, column: Column, count: int, blocks: dict[Column, Block],
        trace: Trace | None,
    ) -> dict[Column, Block]:  # fmt: skip
        """Blocks of all columns of a region."""
        first = self._placed(column, count)
        area = dataclasses.replace(first, left=region.range.left, right=region.range.right)
        copies = dataclasses.replace(region, range=area)
        if region.height > 1:
            tree = self._by_rows(region.tree, region, count)
            copies = dataclasses.replace(copies, height=count).with_tree(tree)

        columns = [
            dataclasses.replace(column, column=place) for place in range(area.left, area.right + 1)
        ]
        reads: set[Column] = set()
        self.reads.update(dict.fromkeys(columns, reads))

        def read_cells(wanted: CellRange) -> Array:
            if wanted.bottom < _HALFWAY:
                return self.evaluation.value(wanted)
            found = self._columns(wanted, count, region)
            reads.update(found)
            absent = [item for item in found if item not in blocks]
            if absent:
                raise _Missing(absent)
            return read(self.evaluation.workbook, [blocks[item] for item in found], wanted)

        lowering = Lowering(self.evaluation.workbook, copies, read_cells, trace)
        size = (copies.rows, copies.columns, copies.height, copies.width)
        try:
            array = lowering.result()
        except ExcelError as error:
            array = spread(scalar(error.error), size)
        except (Unsupported, SplitRegion) as reason:
            raise self._refused(region, str(reason) or "its range grows with the rows") from None
        block = Block(area, placed(array, copies.height, copies.width))
        return dict.fromkeys(columns, block)

    def _by_rows(self, node: Node, region: Region, count: int, own: bool = True) -> Node:
        """An array formula over all rows as one over the new rows.

        Ranges that it computes with row by row (``own``) become the new rows; what it reads as a
        whole (in ``MAX(G4:G715)``) stays the sheet's.
        """
        if isinstance(node, Reference):
            start, end = (bound.at(region.range.top) for bound in (node.top, node.bottom))
            if own and end - start + 1 == region.height:
                start += NEW_ROWS - self.outputs.top
                end = start + count - 1
            return dataclasses.replace(node, top=Bound(start, False), bottom=Bound(end, False))
        if isinstance(node, Unary):
            own = own and node.operator != "@"
            return Unary(node.operator, self._by_rows(node.operand, region, count, own))
        if isinstance(node, Binary):
            left, right = (
                self._by_rows(part, region, count, own) for part in (node.left, node.right)
            )
            return dataclasses.replace(node, left=left, right=right)
        if isinstance(node, Call):
            rowwise = [
                own and _is_rowwise(node.function, place) for place in range(len(node.arguments))
            ]
            arguments = tuple(
                self._by_rows(part, region, count, inner)
                for part, inner in zip(node.arguments, rowwise, strict=True)
            )
            return dataclasses.replace(node, arguments=arguments)
        return node

    def _column(self, sheet: str, shift: int, column: int) -> Column:
        return Column(sheet, self.outputs.top + shift, self.outputs.bottom + shift, column)

    def _placed(self, column: Column, count: int) -> CellRange:
        """Where the new rows of a column stand."""
        top = NEW_ROWS + column.top - self.outputs.top
        return CellRange(column.sheet, top, column.column, top + count - 1, column.column)

    def _columns(self, wanted: CellRange, count: int, reader: Region) -> list[Column]:
        """Columns that new rows read, each in its own row."""
        shift = wanted.top - NEW_ROWS
        if self._shifts.setdefault(wanted.sheet, shift) != shift or wanted.rows != count:
            raise self._refused(reader, "it reads other rows than its own")
        return [
            self._column(wanted.sheet, shift, place)
            for place in range(wanted.left, wanted.right + 1)
        ]

    def _formula(self, column: Column) -> Region | None:
        """The formula of a column; None for data."""
        if column not in self._formulas:
            self._formulas[column] = self._find_formula(column)
        return self._formulas[column]

    def _find_formula(self, column: Column) -> Region | None:
        units = self.evaluation.overlapping(column.cells)
        if not units:
            return None
        if any(unit.region is None for unit in units):
            raise ModelError(
                f"{column.cells} holds variable cells: new rows have none of their own"
            )
        region = units[0].region
        assert region is not None
        if len(units) > 1 or not (
            region.range.top <= column.top and region.range.bottom >= column.bottom
        ):
            places = ", ".join(str(unit.area) for unit in units[:5])
            raise ModelError(
                f"{column.cells} is not one formula copied down ({places}): new rows cannot be "
                "computed"
            )
        if region.height == 1 and region.row_step == 1:
            return region
        if region.rows == 1 and (region.range.top, region.range.bottom) == (
            column.top, column.bottom
        ):  # fmt: skip
            return region
        raise self._refused(region, "one array formula stands for several rows")

    def _refused(self, region: Region, reason: str) -> ModelError:
        return ModelError(
            f"{region.range.first}: {equals(region.formula)}: a row cannot be computed on its own: "
            f"{reason}"
        )


def like_blocks(evaluation: Evaluation, area: CellRange) -> list[CellRange]:
    """Blocks of the same columns whose rows are computed as those of ``area``, itself among them.

    A blank row, or a heading, parts a table whose formulas were copied down past it.
    """
    columns = dataclasses.replace(area, top=1, bottom=MAX_ROW)
    found = [unit.area.intersection(columns) for unit in evaluation.overlapping(columns)]
    others = [block for block in found if block is not None and not block.intersection(area)]
    return [area, *(block for block in others if _are_like(evaluation, area, block))]


def _are_like(evaluation: Evaluation, first: CellRange, second: CellRange) -> bool:
    """Whether the formulas of two blocks, and those that they read row by row, are the same."""
    seen: set[tuple[CellRange, CellRange]] = set()
    stack = [(first, second)]
    while stack:
        pair = stack.pop()
        if pair in seen:
            continue
        seen.add(pair)
        one, other = pair
        ours, theirs = evaluation.overlapping(one), evaluation.overlapping(other)
        if [_formula_of(unit, one) for unit in ours] != [_formula_of(u, other) for u in theirs]:
            return False
        for unit in ours:
            if unit.region is None:
                return False
            for node in walk(unit.region.tree):  # what stands still is the same for both
                if isinstance(node, Reference) and node.top.relative:
                    swept = swept_range(node, unit.region, evaluation.workbook)
                    if swept is None or not node.bottom.relative:
                        return False
                    stack.append((_read_by(node, swept, one), _read_by(node, swept, other)))
    return True


def _read_by(node: Reference, swept: CellRange, block: CellRange) -> CellRange:
    """What the rows of a block read by a reference."""
    rows = sorted((node.top.at(block.top), node.bottom.at(block.bottom)))
    return dataclasses.replace(swept, top=rows[0], bottom=rows[1])


def _formula_of(unit: Unit, area: CellRange) -> tuple[object, ...]:
    """What a unit computes in a block, wherever the block stands."""
    region = unit.region
    if region is None or region.height > 1 or region.row_step > 1 or unit.area.top > area.top:
        return (unit,)
    whole = unit.area.bottom >= area.bottom
    return (region.tree, unit.area.left, unit.area.right, region.width, whole)


def _is_rowwise(function: str, place: int) -> bool:
    """Whether each row of a function's result comes from the same row of an argument."""
    if function == "MMULT":
        return place == 0
    return function in FUNCTIONS and FUNCTIONS[function].letter(place) in ("v", "b")
