"""Cell addresses and ranges, in A1 and R1C1 notation. Rows and columns count from 1."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAX_ROW = 1_048_576
MAX_COLUMN = 16_384

_A1 = re.compile(r"\$?([A-Za-z]{1,3})\$?([0-9]{1,7})")
_PLAIN_SHEET = re.compile(r"[^\W\d][\w.]*")


@lru_cache(maxsize=MAX_COLUMN)
def column_letters(column: int) -> str:
    """Letters of a column number: 28 is ``AB``."""
    letters = ""
    while column:
        column, digit = divmod(column - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


@lru_cache(maxsize=MAX_COLUMN)
def column_number(letters: str) -> int:
    """Number of a column: ``AB`` is 28."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def quote_sheet(sheet: str) -> str:
    """Sheet name as a formula needs it: ``'My sheet'``."""
    looks_like_cell = re.fullmatch(r"[A-Za-z]{1,3}\d+|[Rr]\d*[Cc]\d*", sheet)
    if _PLAIN_SHEET.fullmatch(sheet) and not looks_like_cell:
        return sheet
    return "'" + sheet.replace("'", "''") + "'"


@dataclass(frozen=True, order=True)
class CellAddress:
    """One cell of one sheet."""

    sheet: str
    row: int
    column: int

    @property
    def a1(self) -> str:
        """Address without the sheet: ``B5``."""
        return f"{column_letters(self.column)}{self.row}"

    def __str__(self) -> str:
        return f"{quote_sheet(self.sheet)}!{self.a1}"


@dataclass(frozen=True, order=True)
class CellRange:
    """A rectangle of cells of one sheet, both corners included."""

    sheet: str
    top: int
    left: int
    bottom: int
    right: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.bottom - self.top + 1

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.right - self.left + 1

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.rows * self.columns

    @property
    def first(self) -> CellAddress:
        """Upper left cell."""
        return CellAddress(self.sheet, self.top, self.left)

    @property
    def a1(self) -> str:
        """Range without the sheet: ``B5:E7``, or ``B5`` for one cell."""
        start = f"{column_letters(self.left)}{self.top}"
        if self.size == 1:
            return start
        return f"{start}:{column_letters(self.right)}{self.bottom}"

    def __str__(self) -> str:
        return f"{quote_sheet(self.sheet)}!{self.a1}"

    def cells(self) -> list[CellAddress]:
        """All cells, row by row."""
        return [
            CellAddress(self.sheet, row, column)
            for row in range(self.top, self.bottom + 1)
            for column in range(self.left, self.right + 1)
        ]

    def contains(self, other: CellRange) -> bool:
        """Whether every cell of ``other`` lies in this range."""
        return (
            self.sheet == other.sheet
            and self.top <= other.top
            and self.left <= other.left
            and self.bottom >= other.bottom
            and self.right >= other.right
        )

    def intersection(self, other: CellRange) -> CellRange | None:
        """Cells in both ranges, or None."""
        if self.sheet != other.sheet:
            return None
        top, bottom = max(self.top, other.top), min(self.bottom, other.bottom)
        left, right = max(self.left, other.left), min(self.right, other.right)
        if top > bottom or left > right:
            return None
        return CellRange(self.sheet, top, left, bottom, right)


def single_cell(address: CellAddress) -> CellRange:
    """The range of one cell."""
    return CellRange(address.sheet, address.row, address.column, address.row, address.column)


def parse_a1(text: str, sheet: str) -> CellRange | None:
    """Range from ``B5``, ``$B$5:E7`` (no sheet part); None when it is not an address."""
    start, _, end = text.partition(":")
    first = _A1.fullmatch(start.strip())
    last = _A1.fullmatch(end.strip()) if end else first
    if first is None or last is None:
        return None
    rows = sorted((int(first[2]), int(last[2])))
    columns = sorted((column_number(first[1]), column_number(last[1])))
    if rows[0] < 1 or rows[1] > MAX_ROW or columns[1] > MAX_COLUMN:
        return None
    return CellRange(sheet, rows[0], columns[0], rows[1], columns[1])
