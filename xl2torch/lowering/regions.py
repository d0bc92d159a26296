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

import numpy as np
from numpy.typing import NDArray

from xl2torch.cells.address import MAX_COLUMN, CellAddress, CellRange, moved
from xl2torch.cells.values import BLANK
from xl2torch.errors import FormulaError
from xl2torch.excel.registry import VOLATILE
from xl2torch.formula.ast import Node, Opaque, functions_in
from xl2torch.formula.parser import parse
from xl2torch.workbook.formula_groups import FormulaGroup, rectangles
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.sheet_reader import Sheet

Places = NDArray[np.int64]
_FEW = 4
_LARGE = 20_000_000
_THIS_ROW = re.compile(r"#This Row|\[@|@\[", re.IGNORECASE)


class Parsed:
    """A formula's tree, parsed when it is first asked for."""

    def __init__(self, text: str, cell: CellAddress, workbook: Workbook) -> None:
        self._source: tuple[str, CellAddress, Workbook] | None = (text, cell, workbook)
        self._tree: Node | None = None

    @classmethod
    def of(cls, tree: Node) -> Parsed:
        """A tree that is known."""
        found = cls.__new__(cls)
        found._source, found._tree = None, tree
        return found

    @property
    def tree(self) -> Node:
        """The tree; one that says why where the formula does not parse."""
        if self._tree is None:
            assert self._source is not None
            try:
                self._tree = parse(*self._source)
            except FormulaError as error:
                self._tree = Opaque(self._source[0], f"it does not parse: {error.reason}")
            self._source = None
        return self._tree


@dataclass(frozen=True, eq=False)
class Region:
    """A rectangle filled by copies of one formula.

    ``height`` and ``width`` are the spill size of one copy: 1 and 1 unless it is an array formula.
    ``row_step`` and ``column_step`` lead from one copy to the next: larger than the size where the
    copies stand apart, with blank cells between them (a 2×2 max-pool). ``dynamic``: the
    size is that of the result, which spills. ``formula`` is the text in the first cell.
    """

    range: CellRange
    height: int
    width: int
    parsed: Parsed
    array: bool
    formula: str
    row_step: int = 1
    column_step: int = 1
    dynamic: bool = False

    @property
    def tree(self) -> Node:
        """The formula's tree."""
        return self.parsed.tree

    def with_tree(self, tree: Node) -> Region:
        """The region with another formula that means the same."""
        return replace(self, parsed=Parsed.of(tree))

    @property
    def rows(self) -> int:
        """How many copies stand below each other."""
        return (self.range.rows - self.height) // self.row_step + 1

    @property
    def columns(self) -> int:
        """How many copies stand side by side."""
        return (self.range.columns - self.width) // self.column_step + 1

    @property
    def has_gaps(self) -> bool:
        """Whether there are blank cells between the copies."""
        return (self.rows > 1 and self.row_step > self.height) or (
            self.columns > 1 and self.column_step > self.width
        )

    def cells(self) -> list[CellAddress]:
        """All cells that the formula fills."""
        if not self.has_gaps:
            return self.range.cells()
        return [
            CellAddress(self.range.sheet, row, column)
            for row in range(self.range.top, self.range.bottom + 1, self.row_step)
            for column in range(self.range.left, self.range.right + 1, self.column_step)
        ]

    def copies_of(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Values over the range as (copies down, height, copies across, width)."""
        if self.has_gaps:
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
    regions: list[Region] = []
    removed = np.array(sorted(cut), dtype=np.int64).reshape(-1, 2)
    for group in sheet.groups:
        rows, columns = group.rows, group.columns
        top, left, bottom, right = group.bounds
        near = (removed >= (top, left)).all(axis=1) & (removed <= (bottom, right)).all(axis=1)
        if near.any():
            keep = ~np.isin(_codes(rows, columns), _codes(removed[near, 0], removed[near, 1]))
            rows, columns = rows[keep], columns[keep]
        marks = None
        if "[" in group.text and _THIS_ROW.search(group.text):
            marks = _table_marks(workbook, sheet.name, group, rows, columns)
        if marks is None and len(rows) == len(group.rows):
            regions += _regions_of(workbook, sheet, group, list(group.rectangles), cut)
            continue
        for mark in np.unique(np.zeros(len(rows)) if marks is None else marks):
            here = np.ones(len(rows), dtype=bool) if marks is None else marks == mark
            found = rectangles(columns[here] // group.width, rows[here] // group.height)
            regions += _regions_of(workbook, sheet, group, found, cut)
    return sorted(regions, key=lambda region: (region.range.top, region.range.left))


def _codes(rows: Places, columns: Places) -> Places:
    return rows * (MAX_COLUMN + 1) + columns


def _table_marks(
    workbook: Workbook, sheet: str, group: FormulaGroup, rows: Places, columns: Places
) -> Places | None:
    """Equal for cells in which ``[#This Row]`` means the same tables' rows: elsewhere #VALUE!.

    None when it means the same in all of them.
    """
    marks: Places | None = None
    first_row, first_column, last_row, last_column = group.bounds
    for table in (table for each in workbook.sheets for table in each.tables):
        area = table.range
        top, bottom = area.top + table.header_rows, area.bottom - table.totals_rows
        same_rows = last_row < top or first_row > bottom or (top <= first_row <= last_row <= bottom)
        same_columns = area.sheet != sheet or (
            last_column < area.left or first_column > area.right
            or area.left <= first_column <= last_column <= area.right
        )  # fmt: skip
        if same_rows and same_columns:
            continue
        beside = (rows >= top) & (rows <= bottom)
        inside = (columns >= area.left) & (columns <= area.right) & (area.sheet == sheet)
        codes = (0 if marks is None else marks * 4) + beside * 2 + inside
        _, marks = np.unique(codes, return_inverse=True)
    return marks


def _regions_of(
    workbook: Workbook, sheet: Sheet, group: FormulaGroup, found: list[tuple[int, int, int, int]],
    cut: Collection[tuple[int, int]],
) -> Iterator[Region]:  # fmt: skip
    height, width = group.height, group.width
    parsed: Parsed | None = None
    lattices = [Lattice(*rectangle, 1, 1) for rectangle in found]
    if height == width == 1:
        lattices = list(_joined_apart(sheet, lattices, cut))
    offset_row, offset_column = group.bounds[0] % height, group.bounds[1] % width
    for column, row, across_count, down_count, down, across in lattices:
        first_row, first_column = row * height + offset_row, column * width + offset_column
        text = moved(group.text, first_row - group.base_row, first_column - group.base_column)
        if parsed is None:
            parsed = Parsed(text, CellAddress(sheet.name, first_row, first_column), workbook)
        area = CellRange(
            sheet.name, first_row, first_column,
            first_row + (down_count - 1) * down * height + height - 1,
            first_column + (across_count - 1) * across * width + width - 1,
        )  # fmt: skip
        yield Region(
            area, height, width, parsed, group.array, text, down * height, across * width,
            group.dynamic,
        )  # fmt: skip


class Lattice(NamedTuple):
    """A rectangle of places, or places at every ``down``-th row and ``across``-th column."""

    column: int
    row: int
    columns: int
    rows: int
    down: int
    across: int


def _joined_apart(
    sheet: Sheet, lattices: list[Lattice], cut: Collection[tuple[int, int]]
) -> Iterator[Lattice]:
    """Single cells at equal distances, with blank cells between them, as one lattice."""
    single = sorted((r.column, r.row) for r in lattices if r.rows == r.columns == 1)
    yield from (r for r in lattices if r.rows > 1 or r.columns > 1)
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
    if any(found.row <= row <= bottom and found.column <= column <= right for row, column in cut):
        return False
    count = 0
    for group in sheet.groups:
        here = (group.rows + group.height > found.row) & (group.rows <= bottom)
        here &= (group.columns + group.width > found.column) & (group.columns <= right)
        count += int(here.sum())
    return count == found.rows * found.columns


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
