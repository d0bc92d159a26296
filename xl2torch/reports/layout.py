"""How Solver's reports look: a title, headings between two lines, rows with thin ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import xl2torch
from xl2torch.cells.address import MAX_ROW
from xl2torch.cells.values import CellValue
from xl2torch.errors import ModelError
from xl2torch.reports.outcome import ReportContext
from xl2torch.workbook.write.new_sheet import NewSheet, Row, StyledValue

_MARGIN = 2.3  # width of column A, which holds titles alone
_NARROWEST, _WIDEST = 9.0, 50.0
_NUMBER = 15.0  # characters that a number takes


@dataclass(frozen=True)
class Shown:
    """A value with the number format of a cell of the model."""

    value: CellValue
    number_format: int | None = None


Line = Sequence[Shown | CellValue]
GAP = Shown(None, -1)
"""An empty column within a table."""


def titles(report: str, outcome: ReportContext) -> list[Row]:
    """The first three rows of a report."""
    book, sheet = outcome.workbook.path.name, outcome.problem.sheet
    return [
        title(f"xl2torch {xl2torch.__version__} {report}"),
        title(f"Worksheet: [{book}]{sheet}"),
        title(f"Report Created: {datetime.now():%Y-%m-%d %H:%M:%S}"),
    ]


def title(text: str) -> Row:
    """A bold line that begins in column A."""
    return [StyledValue(text, "bold")]


def note(text: str) -> Row:
    """A remark in column B."""
    return [None, StyledValue(text, "note")]


def table(headings: Sequence[Sequence[str | Shown]], lines: Sequence[Line]) -> list[Row]:
    """Headings of one or two rows, then the lines of a table, from column B on."""
    kinds = ["heading"] if len(headings) == 1 else ["heading top", "heading bottom"]
    rows: list[Row] = [
        [None, *(None if text is GAP else StyledValue(_text(text), kind) for text in heading)]
        for heading, kind in zip(headings, kinds, strict=True)
    ]
    for number, line in enumerate(lines, 1):
        kind = "last" if number == len(lines) else "row"
        rows.append([None, *(_cell(item, kind) for item in line)])
    return rows


def _text(item: str | Shown) -> CellValue:
    return item.value if isinstance(item, Shown) else item or None


def _cell(item: Shown | CellValue, kind: str) -> StyledValue | None:
    if item is GAP:
        return None
    value = item.value if isinstance(item, Shown) else item
    number_format = item.number_format if isinstance(item, Shown) else None
    style = f"{kind} number" if isinstance(value, float) else kind
    return StyledValue(value, style, number_format=number_format)


def report_sheet(name: str, rows: Sequence[Row]) -> NewSheet:
    """The sheet, its columns as wide as what they hold. Raises ModelError: too many rows."""
    if len(rows) > MAX_ROW:
        raise ModelError(f"{name} would have {len(rows):,} rows, more than a sheet has")
    widths = [_MARGIN]
    for row in rows:
        for column, item in enumerate(row[1:], 1):
            if len(widths) <= column:
                widths.append(_NARROWEST)
            # What stands alone in a row runs over the cells beside it.
            if item is not None and len(row) > 2:
                widths[column] = min(_WIDEST, max(widths[column], _width(item.value)))
    return NewSheet(name, rows, widths)


def _width(value: CellValue) -> float:
    return len(value) + 2.0 if isinstance(value, str) else _NUMBER
