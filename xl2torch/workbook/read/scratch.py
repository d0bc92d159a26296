"""Formulas that are not in the file, as if they stood in free cells."""

from __future__ import annotations

from dataclasses import replace

from xl2torch.cells.address import CellRange, relative_form, single_cell
from xl2torch.errors import SelectionError
from xl2torch.workbook.formula_groups import FormulaCell
from xl2torch.workbook.read.reader import Workbook

_LAST_ROW, _LAST_COLUMN = 2**20, 2**14


def with_formula(workbook: Workbook, formula: str, beside: CellRange) -> tuple[Workbook, CellRange]:
    """The workbook with a formula in free cells, and where these are; the file stays as it is.

    The formula is an array formula. It is written for the first row of the range ``beside`` and
    copied down; for a range of one row it is written for the first column and copied to the right.
    When all its references are absolute it stands in one cell.
    """
    sheet = workbook.sheet(beside.sheet)
    rows, columns = sheet.extent
    down = beside.rows > 1 or beside.columns == 1
    free = max(columns, beside.right) + 1 if down else max(rows, beside.bottom) + 1
    if down:
        area = CellRange(sheet.name, beside.top, free, beside.bottom, free)
    else:
        area = CellRange(sheet.name, free, beside.left, free, beside.right)
    if relative_form(formula, 1, 1) == relative_form(formula, 2, 2):
        area = single_cell(area.first)
    if area.right > _LAST_COLUMN or area.bottom > _LAST_ROW:
        raise SelectionError(f"sheet {sheet.name!r} has no free cells for ={formula}")
    copies = tuple(
        FormulaCell(
            cell.row, cell.column, formula, area.top, area.left,
            (cell.row, cell.column, cell.row, cell.column),
        )
        for cell in area.cells()
    )  # fmt: skip
    return _added(workbook, area.sheet, copies), area


def with_array_formula(
    workbook: Workbook, formula: str, like: CellRange
) -> tuple[Workbook, CellRange]:
    """The workbook with an array formula over free cells, as many as a range has, and where.

    One value fills all of them.
    """
    sheet = workbook.sheet(like.sheet)
    free = max(sheet.extent[1], like.right) + 1
    area = replace(like, left=free, right=free + like.columns - 1)
    if area.right > _LAST_COLUMN:
        raise SelectionError(f"sheet {sheet.name!r} has no free cells for ={formula}")
    whole = FormulaCell(
        area.top, area.left, formula, area.top, area.left,
        (area.top, area.left, area.bottom, area.right),
    )  # fmt: skip
    return _added(workbook, sheet.name, (whole,)), area


def _added(workbook: Workbook, name: str, formulas: tuple[FormulaCell, ...]) -> Workbook:
    sheet = workbook.sheet(name)
    grown = replace(sheet, formulas=(*sheet.formulas, *formulas))
    sheets = tuple(grown if item is sheet else item for item in workbook.sheets)
    return replace(workbook, sheets=sheets)
