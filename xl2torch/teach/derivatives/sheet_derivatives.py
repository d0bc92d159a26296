"""Derivative columns that the author of a sheet wrote, against autograd of each row's own cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xl2torch.cells.address import CellAddress, CellRange, single_cell
from xl2torch.errors import FormulaError, SelectionError
from xl2torch.formula.parser import parse
from xl2torch.ir.naming import label, solver_name
from xl2torch.model.sheet_model import as_workbook
from xl2torch.teach.derivatives.column_reasons import reasons_of
from xl2torch.teach.derivatives.derivative_columns import SheetDerivatives
from xl2torch.teach.derivatives.explanations import runs
from xl2torch.teach.derivatives.pairing import Grid, grid, pair
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.scratch import with_formula
from xl2torch.workbook.read.selection import parse_ranges

if TYPE_CHECKING:
    import pandas


_REASONS = 8
"""Reasons that the summary of a line tells."""


@dataclass(frozen=True)
class WrittenCell:
    """One derivative of the author's (``numeric``) beside autograd's (``analytic``).

    ``of`` is a cell, or the formula of that row.
    """

    cell: CellAddress
    label: str
    of: str
    wrt: CellAddress
    analytic: float
    numeric: float
    abs_diff: float
    rel_diff: float
    ok: bool
    reason: str


@dataclass(frozen=True)
class WrittenLine:
    """A column (or row, or block) of the author's derivatives.

    ``ok`` also where finite differences are as far off as their step explains: ``reason`` says how
    far. ``agreeing`` counts the rows that agree without such an explanation.
    """

    cells: str
    label: str
    of: str
    wrt: str
    rows: int
    agreeing: int
    max_rel_diff: float
    ok: bool
    reason: str


@dataclass(frozen=True)
class WrittenCheck:
    """The outcome: one line per column, one row per cell; ``function`` is what ``of`` says."""

    workbook: Workbook
    function: str
    lines: tuple[WrittenLine, ...]
    rows: tuple[WrittenCell, ...]

    @property
    def max_rel_diff(self) -> float:
        """Largest relative difference of all cells."""
        return max((row.rel_diff for row in self.rows), default=0.0)

    @property
    def ok(self) -> bool:
        """Whether every column agrees, or is a finite difference that its step explains."""
        return all(line.ok for line in self.lines)

    @property
    def worst_first(self) -> list[WrittenCell]:
        """Cells that do not agree, then the others; the largest relative difference first."""
        return sorted(self.rows, key=lambda row: (row.ok, -row.rel_diff))

    @property
    def report(self) -> dict[str, Any]:
        """The outcome as plain data, worst cells first."""
        return {
            "workbook": str(self.workbook.path),
            "objective": self.function,
            "method": "written",
            "columns": [vars(line) for line in self.lines],
            "variables": [
                {**vars(row), "cell": str(row.cell), "wrt": str(row.wrt)}
                for row in self.worst_first
            ],
            "max_rel_diff": self.max_rel_diff,
            "ok": self.ok,
        }


def compare_derivatives(
    workbook: Workbook | str | Path, of: str, wrt: str, against: str, *, sheet: str | None = None,
    step: float | None = None,
) -> pandas.DataFrame:  # fmt: skip
    """Compare derivatives that a sheet holds with exact ones.

    Args:
        workbook: A workbook, or its path.
        of: The cells that are differentiated, ``"F4:F32"``, or a formula, ``"=(E4-B4)^2"``.
        wrt: The cells that they are differentiated with respect to.
        against: The cells that hold the derivatives; ``pairing`` says which shapes fit.
        sheet: The sheet, where the workbook has several.
        step: A step that is tried where a column may be a finite difference.

    Returns:
        One row per cell, worst first: cell, label, of, wrt, analytic, numeric, abs_diff, rel_diff,
        ok, reason. ``attrs["lines"]`` tells column by column what was found.

    Raises:
        SelectionError: Ranges that do not fit each other.
        ModelError: A given cell is no number.
        UnsupportedError: A formula on the way is not supported.

    Example:
        >>> import openpyxl
        >>> book = openpyxl.Workbook()
        >>> for row in ([1, "=A1^2", "=2*A1"], [2, "=A2^2", "=2*A2"], [3, "=A3^2", "=3*A3"]):
        ...     book.active.append(row)
        >>> book.save("squares.xlsx")
        >>> frame = xl2torch.compare_derivatives("squares.xlsx", "B1:B3", "A1:A3", "C1:C3")
        >>> frame[~frame["ok"]]["cell"].tolist()
        ['Sheet!C3']
    """
    import pandas

    found = check_written(as_workbook(workbook), of, wrt, against, sheet=sheet, step=step)
    frame = pandas.DataFrame([vars(row) for row in found.worst_first])
    for name in ("cell", "wrt"):
        frame[name] = frame[name].map(str)
    frame.attrs = {
        "lines": [vars(line) for line in found.lines],
        "max_rel_diff": found.max_rel_diff,
    }
    return frame


def check_written(
    workbook: Workbook, of: str, wrt: str, against: str, *, sheet: str | None = None,
    step: float | None = None,
) -> WrittenCheck:  # fmt: skip
    """Compare derivatives that a sheet holds with autograd's.

    The cells ``wrt`` are taken as given, whatever formulas they hold, so a derivative is that of
    each row's own cell, not through earlier rows. ``of`` may also be a formula that the sheet does
    not hold: ``=(E4-B4)^2`` is written for the first row of ``against`` and copied down; one with
    absolute references only, ``=SUM($F$4:$F$9)``, is one for all. All values are recomputed from
    the formulas. The relative difference of a cell is |a−n| / max(|a|, |n|), where numbers below a
    millionth of the column's largest count as that. ``step`` is tried besides the numbers in the
    formulas where a column may be a finite difference.

    Raises SelectionError (ranges that do not fit each other), ModelError (a given cell is no
    number, nothing depends on the given cells) or UnsupportedError.
    """
    if step is not None and not (math.isfinite(step) and step > 0):
        raise SelectionError(f"the step {step:g} has to be above 0")
    name = workbook.sheet(sheet).name if sheet else _sheet_of(workbook, against)
    wrt_grid = grid(parse_ranges(workbook, wrt, name), "wrt", repeats=True)
    against_grid = grid(parse_ranges(workbook, against, name), "against")
    book, area, function = _function_cells(workbook, of, name, against_grid)
    of_grid = grid([area], "of")
    _refuse_overlap(of_grid, wrt_grid)
    _refuse_overlap(against_grid, wrt_grid)
    lines = pair(of_grid, wrt_grid, against_grid, of)
    columns = SheetDerivatives(book, of_grid, wrt_grid, against_grid, lines, function)
    found = [_checked(columns, number, step) for number in range(len(lines))]
    rows = [row for _, cells in found for row in cells]
    return WrittenCheck(workbook, of, tuple(line for line, _ in found), tuple(rows))


def _function_cells(
    workbook: Workbook, of: str, sheet: str, against: Grid
) -> tuple[Workbook, CellRange, str]:
    """The cells that are differentiated: those of the sheet, or of a formula beside the rows."""
    areas = _ranges(workbook, of, sheet)
    if areas is None or (of.startswith("=") and areas[0].size == 1):
        return _formula_cells(workbook, of.removeprefix("="), against)
    if len(areas) != 1:
        raise SelectionError("`of` has to be one range, or a formula")
    return workbook, areas[0], ""


def _ranges(workbook: Workbook, of: str, sheet: str) -> list[CellRange] | None:
    """Ranges, or None where it is a formula."""
    try:
        return parse_ranges(workbook, of, sheet)
    except SelectionError:
        if not of.startswith("="):
            raise
    return None


def _formula_cells(
    workbook: Workbook, formula: str, against: Grid
) -> tuple[Workbook, CellRange, str]:
    first = against.areas[0]
    rows, columns = against.shape
    same_rows = rows > 1 and all(area.top == first.top for area in against.areas)
    if not same_rows and len(against.areas) > 1:
        raise SelectionError(
            "`against`: with a formula in `of` the ranges have to stand in the same rows; check "
            "the others on their own"
        )
    bottom, right = first.top + rows - 1, first.left + columns - 1
    area = CellRange(first.sheet, first.top, first.left, bottom, right)
    try:
        parse(formula, area.first, workbook)
    except FormulaError as error:
        raise SelectionError(f"`of`: {error}") from None
    book, cells = with_formula(workbook, formula, area)
    return book, cells, formula


def _sheet_of(workbook: Workbook, text: str) -> str:
    if "!" in text:
        return parse_ranges(workbook, text, workbook.sheets[0].name)[0].sheet
    if len(workbook.sheets) == 1:
        return workbook.sheets[0].name
    names = ", ".join(sheet.name for sheet in workbook.sheets)
    raise SelectionError(f"{workbook.path.name} has several sheets: give `sheet` ({names})")


def _refuse_overlap(table: Grid, wrt: Grid) -> None:
    for area in table.areas:
        for given in wrt.areas:
            if area.intersection(given):
                raise SelectionError(f"{area.a1} and `wrt={given.a1!r}` overlap")


def _checked(
    columns: SheetDerivatives, number: int, step: float | None
) -> tuple[WrittenLine, list[WrittenCell]]:
    """A line and its cells."""
    line, relative, wrong = columns.lines[number], columns.relative(number), columns.wrong[number]
    reasons, fine = reasons_of(columns, number, step)
    ok = ~wrong | fine
    numbers = zip(
        columns.true[number].tolist(), columns.written(number).tolist(), relative.tolist(),
        ok.tolist(), reasons, strict=True,
    )  # fmt: skip
    rows = []
    names = dict(zip(columns.cells, columns.labels, strict=True))
    for place, (true, written, share, fits, reason) in enumerate(numbers):
        cell = columns.cells[int(line.against[place])]
        rows.append(
            WrittenCell(
                cell, names[cell],
                columns.functions[int(line.of[place])], columns.wrt.cells[int(line.wrt[place])],
                true, written, abs(true - written), share, fits, reason,
            )
        )  # fmt: skip
    areas = columns.areas(number)
    summary = WrittenLine(
        columns.against_text(number),
        ", ".join(filter(None, (_label(columns.workbook, area) for area in areas))),
        columns.of_text(number), columns.wrt_text(number), len(ok), int((~wrong).sum()),
        float(relative.max(initial=0.0)), bool(ok.all()), _summary(rows),
    )  # fmt: skip
    return summary, rows


def _label(workbook: Workbook, area: CellRange) -> str:
    if min(area.rows, area.columns) > 1:
        return solver_name(workbook, single_cell(area.first))
    return label(workbook, area)


def _summary(rows: Sequence[WrittenCell]) -> str:
    """The reasons of a line, each with the rows that it holds for."""
    reasons = [row.reason for row in rows]
    kept = list(dict.fromkeys(filter(None, reasons)))
    if len(kept) == 1 and all(row.reason or not row.analytic for row in rows):
        return kept[0]  # where the derivative is 0, a factor does not show
    cells = [row.cell for row in rows]
    places = {text: np.array([reason == text for reason in reasons]) for text in kept[:_REASONS]}
    told = [f"{runs(cells, chosen)}: {text}" for text, chosen in places.items()]
    if len(kept) > _REASONS:
        told.append(f"and {len(kept) - _REASONS:,} more")
    return "; ".join(told)
