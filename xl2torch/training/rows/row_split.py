"""Which rows are trained on, and which are held back for validation."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xl2torch.cells.address import CellRange
from xl2torch.cells.values import CellValue, display
from xl2torch.errors import SelectionError
from xl2torch.ir.naming import header
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_ranges

_FORMS = "a fraction such as 0.2, rows such as A500:A715, or a column and its text, Split=valid"


@dataclass(frozen=True, eq=False)
class Split:
    """Numbers of the rows, from 0, in the order of the sheet; ``text`` says it in words."""

    training: torch.Tensor
    validation: torch.Tensor
    text: str = ""

    @property
    def validated(self) -> bool:
        """Whether any row is held back."""
        return bool(len(self.validation))


def split_rows(workbook: Workbook, rows: CellRange, text: str, seed: int) -> Split:
    """The split that a text asks for; '' holds nothing back.

    ``0.2`` draws a fifth of the rows, ``A500:A715`` are rows of the sheet, ``Split=valid`` those
    where the column under the heading Split says valid. Raises SelectionError.
    """
    if not text:
        every = torch.arange(rows.rows)
        return Split(every, every[:0])
    held = torch.zeros(rows.rows, dtype=torch.bool)
    column, equals, value = text.partition("=")
    if equals:
        held = _said_by_column(workbook, rows, column.strip(), value.strip())
        what = f"where {column.strip()} is {value.strip()}"
    elif (fraction := _number(text)) is not None:
        if not 0 < fraction < 1:
            raise SelectionError(f"`validation={text!r}`: a fraction lies between 0 and 1")
        count = round(fraction * rows.rows)
        generator = torch.Generator().manual_seed(seed)
        held[torch.randperm(rows.rows, generator=generator)[:count]] = True
        what = f"{fraction:g} of the rows, drawn with seed {seed}"
    else:
        try:
            areas = parse_ranges(workbook, text, rows.sheet)
        except SelectionError as error:
            raise SelectionError(f"`validation`: {error}: give {_FORMS}") from None
        for area in areas:
            first, last = max(area.top, rows.top), min(area.bottom, rows.bottom)
            if area.sheet != rows.sheet or first > last:
                raise SelectionError(
                    f"`validation={text!r}`: {area} holds none of the rows {rows} that the "
                    "objective is over. Let its formula take in all rows: those held back are "
                    "not trained on"
                )
            held[first - rows.top : last - rows.top + 1] = True
        what = f"the rows of {text}"
    count = int(held.sum())
    if not 0 < count < rows.rows:
        none = "no row" if count == 0 else "no row for training"
        raise SelectionError(f"`validation={text!r}` leaves {none}: give {_FORMS}")
    every = torch.arange(rows.rows)
    return Split(every[~held], every[held], f"{count} of {rows.rows} rows: {what}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _said_by_column(workbook: Workbook, rows: CellRange, name: str, value: str) -> torch.Tensor:
    """Rows in which the column of a heading holds a value."""
    sheet = workbook.sheet(rows.sheet)
    headings: dict[str, int] = {}
    _, last = sheet.cells.extent()
    for column in range(1, last + 1):
        area = CellRange(rows.sheet, rows.top, column, rows.bottom, column)
        headings.setdefault(header(workbook, area).lower(), column)
    found = headings.get(name.lower())
    if not name or found is None:
        there = ", ".join(list(filter(None, headings))[:12])
        raise SelectionError(
            f"`validation={f'{name}={value}'!r}`: no column of {rows.sheet} has the heading "
            f"{name}; there are {there}"
        )
    values = [sheet.cells.value(row, found) for row in range(rows.top, rows.bottom + 1)]
    return torch.tensor([_says(item, value) for item in values])


def _says(cell: CellValue, text: str) -> bool:
    number = _number(text)
    if number is not None and isinstance(cell, float) and not isinstance(cell, bool):
        return cell == number
    return display(cell).strip().lower() == text.lower()
