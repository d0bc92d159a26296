"""Undo: the original values, and the formulas that stood in variable cells, put back.

An Answer Report keeps them: texts, never run, that are read again here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xl2torch.cells.address import CellAddress, CellRange, parse_a1
from xl2torch.cells.values import CellValue
from xl2torch.errors import FormulaError, SelectionError
from xl2torch.evaluate.recalculation import recalculate
from xl2torch.formula.parser import parse
from xl2torch.reports.answer import FORMULA, ORIGINAL, VARIABLES
from xl2torch.reports.kinds import ANSWER
from xl2torch.reports.outcome import recalculated_edits
from xl2torch.workbook.formula_groups import rectangles
from xl2torch.workbook.package import Changes
from xl2torch.workbook.read.reader import Workbook, load
from xl2torch.workbook.read.selection import parse_cell
from xl2torch.workbook.read.sheet_reader import Sheet
from xl2torch.workbook.sparse_cells import CellBlock, SparseCells
from xl2torch.workbook.write.patcher import CellEdit, patch_cells
from xl2torch.workbook.write.preflight import check_output, check_protection
from xl2torch.workbook.write.workbook_part import recalculate_on_load

_NUMBERED = re.compile(re.escape(ANSWER) + r" (\d+)", re.IGNORECASE)
_WORKSHEET = re.compile(r"Worksheet: \[.*\]([^\]]+)")
_ARRAY = re.compile(r"\{=(.*)\} ([A-Z]+[0-9]+(?::[A-Z]+[0-9]+)?)", re.DOTALL)


@dataclass(frozen=True)
class Original:
    """What a variable cell held: a value, or a formula with its ``=`` and its last value."""

    cell: CellAddress
    value: CellValue
    formula: str


@dataclass(frozen=True)
class Restored:
    """What was put back. ``stale`` are cells that lost their value: they cannot be recomputed."""

    path: Path
    report: str
    variables: int
    formulas: int
    changed_cells: int
    stale: Mapping[CellAddress, str]


def default_restored(path: Path) -> Path:
    """``BOOK-restored`` with the input's suffix, beside the input."""
    return path.with_name(f"{path.stem}-restored{path.suffix}")


def restore(
    book: str | Path | Workbook,
    path: str | Path,
    *,
    report: str | None = None,
    force: bool = False,
    in_place: bool = False,
    ignore_protection: bool = False,
) -> Restored:
    """Write a copy of a trained workbook with its variable cells as they were.

    They are read from an Answer Report. Reports stay. Array formulas come back over the range they
    had.

    Args:
        book: The trained workbook, or its path.
        path: The file to write.
        report: The name of the Answer Report, by default the last one.
        force: Overwrite another file of that name.
        in_place: Overwrite the input itself.
        ignore_protection: Change locked cells, too.

    Returns:
        What was put back: the report, how many variable cells and formulas.

    Raises:
        SelectionError: No such report, or one that cannot be read.
        OutputError: The file cannot be written.

    Example:
        >>> saved = xl2torch.save(xl2torch.fit("workbooks/line.xlsx"), "line-trained.xlsx")
        >>> xl2torch.restore("line-trained.xlsx", "line-restored.xlsx").variables
        2
    """
    workbook = book if isinstance(book, Workbook) else load(book)
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    check_output(workbook.path, target, force, in_place)
    sheet = _report(workbook, report)
    originals = list(_originals(workbook, sheet))
    given = _blocks(originals)
    check_protection(workbook, list(given), ignore_protection, adds_sheet=False)
    recalculation = recalculate(workbook, given)
    edits = recalculated_edits(recalculation)
    for item in originals:
        if _differs(workbook, item):
            edits.put(item.cell, _edit(workbook, item))
    changes = Changes(workbook.package)
    rewritten = patch_cells(workbook, edits, changes)
    recalculate_on_load(changes)
    changes.save(target)
    return Restored(
        target, sheet.name, len(originals), sum(bool(item.formula) for item in originals),
        sum(map(len, rewritten.values())), recalculation.stale,
    )  # fmt: skip


def _report(workbook: Workbook, wanted: str | None) -> Sheet:
    """The Answer Report of that name, or the last."""
    reports = [
        (int(match[1]), sheet)
        for sheet in workbook.sheets if (match := _NUMBERED.fullmatch(sheet.name))
    ]  # fmt: skip
    if wanted is not None:
        found = workbook.find_sheet(wanted)
        if found is None:
            names = ", ".join(sheet.name for _, sheet in sorted(reports, key=lambda r: r[0]))
            raise SelectionError(
                f"{workbook.path.name} has no report {wanted!r}; there is: {names or 'none'}"
            )
        return found
    if not reports:
        raise SelectionError(
            f"{workbook.path.name} has no {ANSWER}: there is nothing to restore from"
        )
    return max(reports, key=lambda item: item[0])[1]


def _originals(workbook: Workbook, report: Sheet) -> Iterator[Original]:
    """The lines of the table of variable cells."""
    cells = report.cells
    last, _ = report.extent
    titles = {cells.value(row, 1): row for row in range(1, last + 1)}
    worksheet = next(
        (match[1] for text in titles if isinstance(text, str) and
         (match := _WORKSHEET.fullmatch(text))), None,
    )  # fmt: skip
    if worksheet is None or VARIABLES not in titles:
        raise SelectionError(f"the sheet {report.name!r} is no {ANSWER} of xl2torch")
    heading = titles[VARIABLES] + 1
    columns = {cells.value(heading, column): column for column in range(2, 9)}
    if "Cell" not in columns or ORIGINAL not in columns:
        raise SelectionError(f"the sheet {report.name!r} has lost the heading of {VARIABLES}")
    name = workbook.sheet(worksheet).name
    row = heading + 1
    while isinstance(text := cells.value(row, columns["Cell"]), str):
        formula = cells.value(row, columns[FORMULA]) if FORMULA in columns else None
        yield Original(
            parse_cell(workbook, text, name),
            cells.value(row, columns[ORIGINAL]),
            formula if isinstance(formula, str) else "",
        )
        row += 1


def _blocks(originals: list[Original]) -> dict[CellRange, CellBlock]:
    """The original values as rectangles."""
    found: dict[CellRange, CellBlock] = {}
    for name in {item.cell.sheet for item in originals}:
        own = [item for item in originals if item.cell.sheet == name]
        rows = [item.cell.row for item in own]
        columns = [item.cell.column for item in own]
        cells = SparseCells.of(rows, columns, [item.value for item in own])
        places = rectangles(np.array(columns, dtype=np.int64), np.array(rows, dtype=np.int64))
        for left, top, width, height in places:
            area = CellRange(name, top, left, top + height - 1, left + width - 1)
            found[area] = cells.block(area.top, area.left, area.bottom, area.right)
    return found


def _differs(workbook: Workbook, item: Original) -> bool:
    sheet = workbook.sheet(item.cell.sheet)
    present = sheet.cells.value(item.cell.row, item.cell.column)
    return bool(item.formula) or present != item.value or type(present) is not type(item.value)


def _edit(workbook: Workbook, item: Original) -> CellEdit:
    if not item.formula:
        return CellEdit(item.value, cut=True)
    array = _ARRAY.fullmatch(item.formula)
    text = array[1] if array else item.formula.removeprefix("=")
    try:
        parse(text, item.cell, workbook)  # what is no formula is not written as one
    except FormulaError as error:
        raise SelectionError(f"the formula of {item.cell} cannot be put back. {error}") from None
    if array is None:
        return CellEdit(item.value, formula=text)
    area = parse_a1(array[2], item.cell.sheet)
    if area is None:
        raise SelectionError(f"the formula {item.formula} in the report has no range")
    if area.first != item.cell:
        return CellEdit(item.value, cut=True)  # the formula stands in the first cell
    return CellEdit(item.value, formula=text, array=array[2])
