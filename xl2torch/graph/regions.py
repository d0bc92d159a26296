"""Regions: a copied formula is one rectangle of cells with one tree.

An array formula is a region with its spill rectangle; equal array formulas side by side are one
region. The cost of everything that follows grows with the number of regions, not of cells.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from numpy.typing import NDArray

from xl2torch.address import CellAddress, CellRange, moved, relative_form
from xl2torch.errors import FormulaError
from xl2torch.formula.ast import Node, Opaque, functions_in
from xl2torch.formula.parser import parse
from xl2torch.functions.registry import VOLATILE
from xl2torch.values import BLANK
from xl2torch.workbook.reader import FormulaCell, Sheet, Workbook

_FEW = 4
_LARGE = 20_000_000
_THIS_ROW = re.compile(r"#This Row|\[@|@\[", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle filled by copies of one formula.

    ``height`` and ``width`` are the spill size of one copy: 1 and 1 unless it is an array formula.
    ``row_step`` and ``column_step`` lead from one copy to the next: larger than the size where the
    copies stand apart, with blank cells between them (a 2×2 max-pool). ``formula`` is the text in
    the first cell.
    """

    range: CellRange
    height: int
    width: int
    tree: Node
    array: bool
    formula: str
    row_step: int = 1
    column_step: int = 1

    @property
    def rows(self) -> int:
        """How many copies stand below each other."""
        return (self.range.rows - self.height) // self.row_step + 1

    @property
    def columns(self) -> int:
        """How many copies stand side by side."""
        return (self.range.columns - self.width) // self.column_step + 1

    @property
    def apart(self) -> bool:
        """Whether there are blank cells between the copies."""
        return (self.rows > 1 and self.row_step > self.height) or (
            self.columns > 1 and self.column_step > self.width
        )

    def cells(self) -> list[CellAddress]:
        """All cells that the formula fills."""
        if not self.apart:
            return self.range.cells()
        return [
            CellAddress(self.range.sheet, row, column)
            for row in range(self.range.top, self.range.bottom + 1, self.row_step)
            for column in range(self.range.left, self.range.right + 1, self.column_step)
        ]

    def copies_of(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Values over the range as (copies down, height, copies across, width)."""
        if self.apart:
            cells = cells[:: self.row_step, :: self.column_step]
        return cells.reshape(self.rows, self.height, self.columns, self.width)

    @cached_property
    def volatile(self) -> bool:
        """Whether the formula itself calls RAND or its kin."""
        return bool(functions_in(self.tree) & VOLATILE)

    def part(self, top: int, left: int, rows: int, columns: int) -> Region:
        """Some of the copies, counted from the first."""
        area = self.range
        row, column = area.top + top * self.row_step, area.left + left * self.column_step
        part = CellRange(
            area.sheet, row, column,
            row + (rows - 1) * self.row_step + self.height - 1,
            column + (columns - 1) * self.column_step + self.width - 1,
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
        region for cells in groups.values() for region in _regions_of(workbook, sheet, cells, cut)
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


def _regions_of(
    workbook: Workbook, sheet: Sheet, cells: list[FormulaCell], cut: Collection[tuple[int, int]]
) -> Iterator[Region]:
    height = width = 1
    array = cells[0].array is not None
    if cells[0].array is not None:
        top, left, bottom, right = cells[0].array
        height, width = bottom - top + 1, right - left + 1
    places = [(cell.column // width, cell.row // height) for cell in cells]
    by_place = dict(zip(places, cells, strict=True))
    tree: Node | None = None
    rectangles = [Lattice(*found, 1, 1) for found in _rectangles(sorted(places))]
    if height == width == 1:
        rectangles = list(_joined_apart(sheet, rectangles, cut))
    for column, row, columns, rows, down, across in rectangles:
        first = by_place[column, row]
        text = moved(first.text, first.row - first.base_row, first.column - first.base_column)
        if tree is None:
            try:
                tree = parse(text, CellAddress(sheet.name, first.row, first.column), workbook)
            except FormulaError as error:
                tree = Opaque(text, f"it does not parse: {error.reason}")
        area = CellRange(
            sheet.name, first.row, first.column,
            first.row + (rows - 1) * down * height + height - 1,
            first.column + (columns - 1) * across * width + width - 1,
        )  # fmt: skip
        yield Region(area, height, width, tree, array, text, down * height, across * width)


class Lattice(NamedTuple):
    """A rectangle of places, or places at every ``down``-th row and ``across``-th column."""

    column: int
    row: int
    columns: int
    rows: int
    down: int
    across: int


def _joined_apart(
    sheet: Sheet, rectangles: list[Lattice], cut: Collection[tuple[int, int]]
) -> Iterator[Lattice]:
    """Single cells at equal distances, with blank cells between them, as one lattice."""
    single = sorted((r.column, r.row) for r in rectangles if r.rows == r.columns == 1)
    yield from (r for r in rectangles if r.rows > 1 or r.columns > 1)
    if len(single) < _FEW:
        yield from (Lattice(column, row, 1, 1, 1, 1) for column, row in single)
        return
    by_row = sorted((row, column) for column, row in single)
    lines = [(row, *run) for row, run in _spaced_runs(by_row)]
    groups: dict[tuple[int, int, int], list[int]] = {}
    for row, column, count, step in lines:
        groups.setdefault((column, count, step), []).append(row)
    for (column, count, across), rows in groups.items():
        for _, (row, length, down) in _spaced_runs([(0, row) for row in rows]):
            found = Lattice(column, row, count, length, down, across)
            if _blank_between(sheet, found, cut):
                yield found
                continue
            for place in range(count * length):
                y, x = row + place // count * down, column + place % count * across
                yield Lattice(x, y, 1, 1, 1, 1)


def _spaced_runs(places: list[tuple[int, int]]) -> list[tuple[int, tuple[int, int, int]]]:
    """(line, place) pairs as runs of equal distance: line, (first place, count, distance)."""
    found: list[tuple[int, tuple[int, int, int]]] = []
    for line, group in groupby(places, key=itemgetter(0)):
        line_places = [place for _, place in group]
        start = 0
        while start < len(line_places):
            end = start + 1
            step = 1
            if end < len(line_places):
                step = line_places[end] - line_places[start]
                while end < len(line_places) and line_places[end] - line_places[end - 1] == step:
                    end += 1
            found.append((line, (line_places[start], end - start, step if end - start > 1 else 1)))
            start = end
    return found


def _blank_between(sheet: Sheet, found: Lattice, cut: Collection[tuple[int, int]]) -> bool:
    """Whether nothing stands between the cells of a lattice."""
    if found.rows == found.columns == 1:
        return True
    bottom = found.row + (found.rows - 1) * found.down
    right = found.column + (found.columns - 1) * found.across
    if (bottom - found.row + 1) * (right - found.column + 1) > _LARGE:
        return False
    kinds = sheet.cells.block(found.row, found.column, bottom, right).kinds.copy()
    kinds[:: found.down, :: found.across] = BLANK
    if (kinds != BLANK).any():
        return False
    occupied = {*cut, *sheet.formula_at}
    inside = sum(
        found.row <= row <= bottom and found.column <= column <= right for row, column in occupied
    )
    spilled = any(
        f.array and f.array[0] <= bottom and f.array[2] >= found.row
        and f.array[1] <= right and f.array[3] >= found.column
        for f in sheet.formulas
    )  # fmt: skip
    return inside == found.rows * found.columns and not spilled


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
