"""Cells by the words that stand beside them: the numbers to the right of a label, or below it."""

from __future__ import annotations

from xl2torch.cells.address import CellRange
from xl2torch.cells.values import NUMBER, TEXT
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.sheet_reader import Sheet
from xl2torch.workbook.sparse_cells import places_of

_MOST = 200_000
"""Cells of a run beside a label."""
_MOST_LABELS, _LONGEST = 10_000, 60
_FURTHEST = 3
"""Most blank cells between a label and its numbers."""


def cells_of_label(workbook: Workbook, label: str, sheet: str) -> list[CellRange]:
    """Runs of numbers and formulas beside a label, on a sheet, or where it has none on all.

    The label's capitals and outer spaces do not matter, nor a colon or an equals sign behind it.
    """
    wanted = label_key(label)
    own = _on_sheet(workbook.sheet(sheet), wanted)
    if own or not wanted:
        return own
    return [area for item in workbook.sheets for area in _on_sheet(item, wanted)]


def labels(workbook: Workbook) -> list[str]:
    """Texts of a workbook's cells that may be labels, as they are spelled."""
    found: dict[str, str] = {}
    for sheet in workbook.sheets:
        for text in sheet.cells.texts[sheet.cells.kinds == TEXT][:_MOST_LABELS]:
            found.setdefault(label_key(str(text)), _spelled(str(text)))
    return [text for text in found.values() if 0 < len(text) <= _LONGEST]


def label_key(text: str) -> str:
    """What two spellings of one label share."""
    return _spelled(text).casefold()


def _spelled(text: str) -> str:
    return " ".join(text.split()).rstrip(":=").strip()


def _on_sheet(sheet: Sheet, wanted: str) -> list[CellRange]:
    cells = sheet.cells
    texts = (cells.kinds == TEXT).nonzero()[0]
    found = [index for index in texts if label_key(str(cells.texts[index])) == wanted]
    rows, columns = places_of(cells.keys[found])
    places = zip(rows.tolist(), columns.tolist(), strict=True)
    areas = [_beside(sheet, row, column) for row, column in places]
    return [area for area in areas if area is not None]


def _beside(sheet: Sheet, row: int, column: int) -> CellRange | None:
    """The numbers that follow a label in its row; where there are none, in its column; else
    those in its row behind a few blank cells."""
    blank = 0
    while blank < _FURTHEST and not _holds(sheet, row, column + 1 + blank):
        blank += 1
    for down, right in [(0, 1), (1, 0), (0, 1 + blank)]:
        top, left = row + down, column + right
        more = _run(sheet, top, left, down, 1 - down) - 1
        if more >= 0:
            return CellRange(sheet.name, top, left, top + more * down, left + more * (1 - down))
    return None


def _holds(sheet: Sheet, row: int, column: int) -> bool:
    """Whether anything stands in a cell."""
    return (row, column) in sheet.formula_at or sheet.cells.value(row, column) is not None


def _run(sheet: Sheet, row: int, column: int, down: int, right: int) -> int:
    """How many cells in a line hold numbers, or all of them formulas."""
    count, first = 0, _kind(sheet, row, column)
    while first and count < _MOST and _kind(sheet, row + count * down,
                                            column + count * right) == first:  # fmt: skip
        count += 1
    return count


def _kind(sheet: Sheet, row: int, column: int) -> str:
    """Whether a cell holds a formula, or a number; '' for anything else."""
    if (row, column) in sheet.formula_at:
        return "formula"
    return "number" if sheet.cells.block(row, column, row, column).kinds[0, 0] == NUMBER else ""
