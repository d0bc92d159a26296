"""Workbooks in memory from text grids, and what one of their cells is.

A grid is text: rows are lines, cells are separated by ``|``, and the first cell is A1. A cell is a
number, TRUE, FALSE, an error, ``=formula``, ``"text"`` or nothing. Cells can also be put one by
one, by address: ``{"D1:D3": "{=TRANSPOSE(A1:C1)}"}`` is an array formula and its spill range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

import xl2torch
from xl2torch.arrays.array import Array, Unsupported, logical
from xl2torch.cells.address import CellRange, column_letters, parse_a1
from xl2torch.cells.values import ERRORS, CellValue, ErrorValue
from xl2torch.lowering.blocks import Block
from xl2torch.lowering.schedule import Evaluation
from xl2torch.workbook.formula_groups import FormulaCell
from xl2torch.workbook.package import Package
from xl2torch.workbook.read.reader import DefinedName, Workbook
from xl2torch.workbook.read.sheet_reader import Sheet, Table
from xl2torch.workbook.sparse_cells import SparseCells, cell_value

Value = float | bool | str | None
"""What a cell shows; an error is its text."""
Gradient = dict[str, float]
"""Slope of the objective by address of the variable cell."""
SHEET = "Sheet1"


def literal(text: str) -> CellValue:
    """The constant that a cell's text stands for."""
    if text in ("TRUE", "FALSE"):
        return text == "TRUE"
    if text in ERRORS:
        return ERRORS[text]
    if text.startswith('"'):
        return text[1:-1]
    return float(text) if text else None


def on_grid(grid: str) -> dict[str, str]:
    """The cells of a grid by address, blank ones left out."""
    lines = [line for line in grid.splitlines() if line.strip()]
    return {
        f"{column_letters(column)}{row}": cell.strip()
        for row, line in enumerate(lines, start=1)
        for column, cell in enumerate(line.split("|"), start=1)
        if cell.strip()
    }


def sheet(name: str, cells: Mapping[str, str], tables: Sequence[Table] = ()) -> Sheet:
    """A sheet from cell texts by address."""
    formulas: list[FormulaCell] = []
    places: list[tuple[int, int]] = []
    values: list[CellValue] = []
    for address, text in cells.items():
        area = parse_a1(address, name)
        assert area is not None, address
        if text.startswith(("=", "{=")):
            spill = (area.top, area.left, area.bottom, area.right) if text[0] == "{" else None
            formula = text.removeprefix("{").removeprefix("=")
            formula = formula.removesuffix("}") if spill else formula
            formulas.append(FormulaCell(area.top, area.left, formula, area.top, area.left, spill))
            continue
        value = literal(text)
        for cell in area.cells() if value is not None else ():
            places.append((cell.row, cell.column))
            values.append(value)
    rows, columns = [row for row, _ in places], [column for _, column in places]
    stored = SparseCells.of(rows, columns, values)
    return Sheet(name, f"{name}.xml", stored, tuple(formulas), tuple(tables), False)


def book(*sheets: Sheet, names: Sequence[DefinedName] = ()) -> Workbook:
    """A workbook of sheets."""
    order = tuple(each.name for each in sheets)
    return Workbook(Package(Path("memory.xlsx"), {}, ()), sheets, order, tuple(names), False)


def workbook(grid: str = "", cells: Mapping[str, str] | None = None) -> Workbook:
    """A workbook with one sheet."""
    return book(sheet(SHEET, {**on_grid(grid), **(cells or {})}))


def area_of(workbook: Workbook, text: str) -> CellRange:
    """A range of the first sheet."""
    area = parse_a1(text, workbook.sheets[0].name)
    assert area is not None, text
    return area


def values(
    workbook: Workbook, area: str, given: Mapping[str, np.ndarray] | None = None
) -> list[list[Value]]:
    """What the cells of a range show; ``given`` puts numbers over some cells.

    Raises Unsupported where the evaluation took a cached value, of which there are none here.
    """
    blocks = [_block(area_of(workbook, text), numbers) for text, numbers in (given or {}).items()]
    evaluation = Evaluation(workbook, blocks)
    array = evaluation.value(area_of(workbook, area))
    for unit in evaluation.all_units():
        if unit.cached_because:
            raise Unsupported(f"{unit.area}: {unit.cached_because}")
    return [[_shown(array, row, column) for column in range(array.shape[3])]
            for row in range(array.shape[2])]  # fmt: skip


def value(workbook: Workbook, cell: str, given: Mapping[str, np.ndarray] | None = None) -> Value:
    """What one cell shows."""
    return values(workbook, cell, given)[0][0]


def trained(workbook: Workbook, cell: str, variables: str) -> tuple[float, Gradient]:
    """Value of a cell and its gradient with respect to variable cells, as training sees them."""
    model = xl2torch.compile(workbook, objective=cell, variables=variables.split(","))
    result = model()
    if result.requires_grad:
        result.backward()
    gradient: Gradient = {}
    for variable in model.variables:
        slopes = model.parameter(variable).grad
        flat = [0.0] * variable.cells.size if slopes is None else slopes.reshape(-1).tolist()
        gradient |= {place.a1: x for place, x in zip(variable.cells.cells(), flat, strict=True)}
    return float(result.detach()), gradient


def copied(formula: str, rows: int) -> str:
    """A formula as it reads ``rows`` further down. A rule of its own: it judges the package's."""

    def down(match: re.Match[str]) -> str:
        return match[0] if match[2] is None else f"{match[1]}{int(match[2]) + rows}"

    return re.sub(r'"[^"]*"|(?<![\w$.])(\$?[A-Z]{1,2})(\d+)(?![\w(])', down, formula)


def _block(area: CellRange, numbers: np.ndarray) -> Block:
    tensor = torch.as_tensor(numbers, dtype=torch.float64)
    tensor = tensor.reshape([size for size in (area.rows, area.columns) if size > 1])
    axes = tuple(axis for axis, size in ((2, area.rows), (3, area.columns)) if size > 1)
    return Block(area, Array(tensor, axes, (1, 1, area.rows, area.columns)))


def _shown(array: Array, row: int, column: int) -> Value:
    place = (0, 0, row, column)
    shown = cell_value(
        float(logical(array)[place]), int(array.full_kinds[place]), str(array.full_texts[place])
    )
    return shown.text if isinstance(shown, ErrorValue) else shown
