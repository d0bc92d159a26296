"""Formulas that are not in the file, as if they stood in free cells."""

from __future__ import annotations

from dataclasses import replace

from xl2torch.address import CellRange
from xl2torch.errors import SelectionError
from xl2torch.workbook.formula_groups import FormulaCell
from xl2torch.workbook.reader import Workbook

_LAST_ROW, _LAST_COLUMN = 2**20, 2**14


def with_formula(workbook: Workbook, formula: str, beside: CellRange) -> tuple[Workbook, CellRange]:
    """The workbook with a formula in each row of a range, in a free column, and where that is.

    ``formula`` is written for the first row and copied down; for a range of one row it is written
    for the first column and copied to the right, in a free row. Nothing is written to the file.
    """
    sheet = workbook.sheet(beside.sheet)
    rows, columns = sheet.extent
    if beside.rows > 1 or beside.columns == 1:
        free = max(columns, beside.right) + 1
        area = CellRange(sheet.name, beside.top, free, beside.bottom, free)
    else:
        free = max(rows, beside.bottom) + 1
        area = CellRange(sheet.name, free, beside.left, free, beside.right)
    if area.right > _LAST_COLUMN or area.bottom > _LAST_ROW:
        raise SelectionError(f"sheet {sheet.name!r} has no free cells for ={formula}")
    added = tuple(
        FormulaCell(cell.row, cell.column, formula, area.top, area.left, None)
        for cell in area.cells()
    )
    grown = replace(sheet, formulas=(*sheet.formulas, *added))
    sheets = tuple(grown if item is sheet else item for item in workbook.sheets)
    return replace(workbook, sheets=sheets), area
