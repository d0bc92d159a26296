"""Dynamic arrays that spill over other cells than the file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from xl2torch.cells.address import MAX_COLUMN, MAX_ROW, CellAddress, CellRange
from xl2torch.cells.values import BLANK
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.sheet_reader import Sheet
from xl2torch.workbook.sparse_cells import places_of

Size = tuple[int, int]
"""Height and width."""


def spills(workbook: Workbook) -> list[CellRange]:
    """The ranges of all dynamic arrays."""
    return [
        CellRange(sheet.name, *formula.area)
        for sheet in workbook.sheets
        for formula in sheet.array_formulas
        if formula.dynamic
    ]


def has_room(sheet: Sheet, first: CellAddress, size: Size) -> bool:
    """Whether a formula can spill: no other formula, table or value is in its way."""
    area = _spilled(first, size)
    if area.bottom > MAX_ROW or area.right > MAX_COLUMN:
        return False
    own = CellRange(sheet.name, *sheet.formula_at[first.row, first.column].area)
    kinds = sheet.cells.block(area.top, area.left, area.bottom, area.right).kinds.copy()
    before = area.intersection(own)
    if before is not None:
        bottom, right = before.bottom - area.top, before.right - area.left
        kinds[before.top - area.top : bottom + 1, before.left - area.left : right + 1] = BLANK
    if (kinds != BLANK).any() or any(table.range.intersection(area) for table in sheet.tables):
        return False
    for group in sheet.groups:
        rows, columns = group.rows, group.columns
        here = (rows <= area.bottom) & (rows + group.height > area.top)
        here &= (columns <= area.right) & (columns + group.width > area.left)
        if (here & ((rows != first.row) | (columns != first.column))).any():
            return False
    return True


def resized(workbook: Workbook, sizes: Mapping[CellAddress, Size]) -> Workbook:
    """The workbook with some array formulas over ranges of other sizes.

    What they spilled before is taken out of the cells. A formula without room keeps its first cell
    alone. The file's own ranges stay known, as ``stored_ranges`` of the sheet.
    """
    by_sheet: dict[str, dict[CellAddress, Size]] = {}
    for cell, size in sorted(sizes.items()):
        by_sheet.setdefault(cell.sheet, {})[cell] = size
    return replace(
        workbook,
        sheets=tuple(
            _resized(sheet, by_sheet[sheet.name]) if sheet.name in by_sheet else sheet
            for sheet in workbook.sheets
        ),
    )


def _resized(sheet: Sheet, sizes: Mapping[CellAddress, Size]) -> Sheet:
    old = {(cell.row, cell.column): sheet.formula_at[cell.row, cell.column].area for cell in sizes}
    rows, columns = places_of(sheet.cells.keys)
    gone = np.zeros(len(rows), dtype=bool)
    for top, left, bottom, right in old.values():
        inside = (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)
        gone |= inside & ((rows != top) | (columns != left))
    alone = {
        place: formula._replace(array=(*place, *place))
        for place, formula in sheet.formula_at.items() if place in old
    }  # fmt: skip
    bare = replace(
        sheet, cells=sheet.cells.where(~gone), stored_ranges={**old, **sheet.stored_ranges},
        formulas=tuple(alone.get((f.row, f.column), f) for f in sheet.formulas),
    )  # fmt: skip
    taken: list[CellRange] = []
    for cell, size in sizes.items():
        area = _spilled(cell, size)
        if has_room(bare, cell, size) and not any(area.intersection(other) for other in taken):
            taken.append(area)
            place = cell.row, cell.column
            alone[place] = alone[place]._replace(array=(*place, area.bottom, area.right))
    return replace(bare, formulas=tuple(alone.get((f.row, f.column), f) for f in bare.formulas))


def _spilled(first: CellAddress, size: Size) -> CellRange:
    bottom, right = first.row + size[0] - 1, first.column + size[1] - 1
    return CellRange(first.sheet, first.row, first.column, bottom, right)
