"""Regions: a copied formula is one rectangle of cells with one tree.

An array formula is a region with its spill rectangle; equal array formulas side by side are one
region. The cost of everything that follows grows with the number of regions, not of cells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from xl2torch.address import CellAddress, CellRange, moved, relative_form
from xl2torch.errors import FormulaError
from xl2torch.formula.ast import Node, Opaque, functions_in
from xl2torch.formula.parser import parse
from xl2torch.functions.registry import VOLATILE
from xl2torch.workbook.reader import FormulaCell, Sheet, Workbook

_THIS_ROW = re.compile(r"#This Row|\[@|@\[", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle filled by copies of one formula.

    ``height`` and ``width`` are the spill size of one copy: 1 and 1 unless it is an array formula.
    ``formula`` is the text in the first cell.
    """

    range: CellRange
    height: int
    width: int
    tree: Node
    array: bool
    formula: str

    @property
    def rows(self) -> int:
        """How many copies stand below each other."""
        return self.range.rows // self.height

    @property
    def columns(self) -> int:
        """How many copies stand side by side."""
        return self.range.columns // self.width

    @property
    def row_step(self) -> int:
        """Rows from one copy to the next below it."""
        return self.height

    @property
    def column_step(self) -> int:
        """Columns from one copy to the next beside it."""
        return self.width

    @cached_property
    def volatile(self) -> bool:
        """Whether the formula itself calls RAND or its kin."""
        return bool(functions_in(self.tree) & VOLATILE)

    def part(self, top: int, left: int, rows: int, columns: int) -> Region:
        """Some of the copies, counted from the first."""
        area = self.range
        row, column = area.top + top * self.height, area.left + left * self.width
        part = CellRange(
            area.sheet, row, column,
            row + rows * self.height - 1, column + columns * self.width - 1,
        )  # fmt: skip
        text = moved(self.formula, row - area.top, column - area.left)
        return replace(self, range=part, formula=text)

    def split(self) -> list[Region]:
        """Its rows, or its cells when it is a single row."""
        if self.rows > 1:
            return [self.part(row, 0, 1, self.columns) for row in range(self.rows)]
        return [self.part(0, column, 1, 1) for column in range(self.columns)]


def find_regions(
    workbook: Workbook, sheet: Sheet, cut: Collection[tuple[int, int]] = ()
) -> list[Region]:
    """Regions of a sheet, in reading order; cells in ``cut`` hold values, not their formulas."""
    groups: dict[tuple[object, ...], list[FormulaCell]] = {}
    row_marks = _TableMarks(workbook)
    keys: dict[tuple[str, int, int], str] = {}
    for cell in sheet.formulas:
        if cut and (cell.row, cell.column) in cut:
            continue
        source = (cell.text, cell.base_row, cell.base_column)
        form = keys.get(source)
        if form is None:
            form = keys[source] = relative_form(*source)
        marks = row_marks.of(sheet.name, cell) if "[" in form and _THIS_ROW.search(form) else ()
        if cell.array is None:
            groups.setdefault((form, marks), []).append(cell)
        else:
            top, left, bottom, right = cell.array
            height, width = bottom - top + 1, right - left + 1
            phase = (top % height, left % width)
            groups.setdefault((form, marks, height, width, phase), []).append(cell)
    regions = [
        region for cells in groups.values() for region in _regions_of(workbook, sheet, cells)
    ]
    return sorted(regions, key=lambda region: (region.range.top, region.range.left))


class _TableMarks:
    """Which tables' data rows a cell stands beside: ``[#This Row]`` means #VALUE! elsewhere."""

    def __init__(self, workbook: Workbook) -> None:
        self.areas = [
            (
                table.range,
                table.range.top + table.header_rows,
                table.range.bottom - table.totals_rows,
            )
            for sheet in workbook.sheets
            for table in sheet.tables
        ]

    def of(self, sheet: str, cell: FormulaCell) -> tuple[object, ...]:
        """Equal for cells in which the same tables' rows are meant."""
        return tuple(
            (
                top <= cell.row <= bottom,
                area.sheet == sheet and area.left <= cell.column <= area.right,
            )
            for area, top, bottom in self.areas
        )


def _regions_of(workbook: Workbook, sheet: Sheet, cells: list[FormulaCell]) -> Iterator[Region]:
    height = width = 1
    array = cells[0].array is not None
    if cells[0].array is not None:
        top, left, bottom, right = cells[0].array
        height, width = bottom - top + 1, right - left + 1
    places = [(cell.column // width, cell.row // height) for cell in cells]
    by_place = dict(zip(places, cells, strict=True))
    tree: Node | None = None
    for column, row, columns, rows in _rectangles(sorted(places)):
        first = by_place[column, row]
        text = moved(first.text, first.row - first.base_row, first.column - first.base_column)
        if tree is None:
            try:
                tree = parse(text, CellAddress(sheet.name, first.row, first.column), workbook)
            except FormulaError as error:
                tree = Opaque(text, f"it does not parse: {error.reason}")
        area = CellRange(
            sheet.name, first.row, first.column,
            first.row + rows * height - 1, first.column + columns * width - 1,
        )  # fmt: skip
        yield Region(area, height, width, tree, array, text)


def _rectangles(places: list[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """Sorted (column, row) places as rectangles (column, row, columns, rows)."""
    runs: list[list[int]] = []
    for column, row in places:
        if runs and runs[-1][0] == column and runs[-1][1] + runs[-1][2] == row:
            runs[-1][2] += 1
        else:
            runs.append([column, row, 1])
    open_: dict[tuple[int, int], list[int]] = {}
    found: list[list[int]] = []
    for column, row, length in runs:
        rectangle = open_.get((row, length))
        if rectangle is not None and rectangle[0] + rectangle[2] == column:
            rectangle[2] += 1
        else:
            rectangle = [column, row, 1, length]
            found.append(rectangle)
            open_[row, length] = rectangle
    return [(column, row, columns, rows) for column, row, columns, rows in found]


def odd_cells(sheet: Sheet, regions: list[Region]) -> list[tuple[CellAddress, str]]:
    """Single cells that break a copied column: a constant or another formula in its middle.

    Each with a sentence. Such a cell is often a slip in the sheet.
    """
    by_bottom: dict[tuple[int, int, int], Region] = {}
    for region in regions:
        by_bottom[region.range.bottom, region.range.left, region.range.right] = region
    found: list[tuple[CellAddress, str]] = []
    for below in regions:
        area = below.range
        above = by_bottom.get((area.top - 2, area.left, area.right))
        if above is None or above is below or above.tree is not below.tree or area.columns > 1:
            continue
        row, column = area.top - 1, area.left
        if above.rows + below.rows < 2:
            continue
        cell = sheet.formula_at.get((row, column))
        address = CellAddress(sheet.name, row, column)
        expected = moved(above.formula, row - above.range.top, 0)
        if cell is None and sheet.cells.value(row, column) is None:
            continue
        if cell is None:
            found.append((address, f"holds a value where the column has ={expected}"))
        else:
            text = moved(cell.text, row - cell.base_row, column - cell.base_column)
            found.append((address, f"has ={text} where the column has ={expected}"))
    return found
