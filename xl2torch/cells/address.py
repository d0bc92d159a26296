"""Cell addresses and ranges, in A1 and R1C1 notation. Rows and columns count from 1.

A copied formula has one relative form: ``relative_form`` gives the key by which a sheet's formulas
are grouped before any is parsed. It runs once per formula cell, so it is one regular expression and
no tree; a tokenizer takes about thirty times as long.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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


def unquote_sheet(text: str) -> str:
    """A sheet name without the quotes that formulas put around it."""
    quoted = len(text) > 1 and text.startswith("'") and text.endswith("'")
    return text[1:-1].replace("''", "'") if quoted else text


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

    def absolute(self, sheet: str) -> str:
        """``$B$5`` as seen from its own sheet, ``Data!$B$5`` from another."""
        return _seen_from(sheet, self.sheet, f"${column_letters(self.column)}${self.row}")

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

    def absolute(self, sheet: str) -> str:
        """``$B$5:$E$7`` as seen from its own sheet, ``Data!$B$5:$E$7`` from another."""
        start = f"${column_letters(self.left)}${self.top}"
        end = f":${column_letters(self.right)}${self.bottom}" if self.size > 1 else ""
        return _seen_from(sheet, self.sheet, start + end)

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


def _seen_from(sheet: str, own: str, text: str) -> str:
    return text if sheet == own else f"{quote_sheet(own)}!{text}"


def single_cell(address: CellAddress) -> CellRange:
    """The range of one cell."""
    return CellRange(address.sheet, address.row, address.column, address.row, address.column)


def parse_a1(text: str, sheet: str) -> CellRange | None:
    """Range from ``B5``, ``$B$5:E7`` (no sheet part); None when it is not an address."""
    start, colon, end = text.partition(":")
    first = _A1.fullmatch(start.strip())
    last = _A1.fullmatch(end.strip()) if colon else first
    if first is None or last is None:
        return None
    rows = sorted((int(first[2]), int(last[2])))
    columns = sorted((column_number(first[1]), column_number(last[1])))
    if rows[0] < 1 or rows[1] > MAX_ROW or columns[1] > MAX_COLUMN:
        return None
    return CellRange(sheet, rows[0], columns[0], rows[1], columns[1])


# ---------------------------------------------------------------- references in formula text

_REFERENCES = re.compile(
    r'"(?:[^"]|"")*"'  # a text
    r"|'(?:[^']|'')*'"  # a quoted sheet name
    r"|\[(?:[^\[\]']|'.|\[(?:[^\[\]']|'.)*\])*\]"  # a structured reference's brackets
    r"|(?P<cell>(\$?)([A-Za-z]{1,3})(\$?)([0-9]{1,7})(?![\w(.!\[\\?]))"
    r"|(?P<columns>(\$?)([A-Za-z]{1,3}):(\$?)([A-Za-z]{1,3})(?![\w(.!\[\\?]))"
    r"|(?P<rows>(\$?)([0-9]{1,7}):(\$?)([0-9]{1,7})(?![\w.]))"
    r"|[\w.\\?]+"
)


def _rewrite(
    formula: str, row: Callable[[bool, int], str], column: Callable[[bool, int], str],
    reversed_order: bool = False,
) -> str:  # fmt: skip
    def replace(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "cell":
            if column_number(match[3]) > MAX_COLUMN or not 1 <= int(match[5]) <= MAX_ROW:
                return match.group()  # a name, such as YTD2024
            _, column_mark, letters, row_mark, digits = match.group(1, 2, 3, 4, 5)
            first = column(bool(column_mark), column_number(letters))
            second = row(bool(row_mark), int(digits))
            return second + first if reversed_order else first + second
        if kind == "columns":
            mark, start, end_mark, end = match.group(7, 8, 9, 10)
            return (
                column(bool(mark), column_number(start))
                + ":"
                + column(bool(end_mark), column_number(end))
            )
        if kind == "rows":
            mark, start, end_mark, end = match.group(12, 13, 14, 15)
            return row(bool(mark), int(start)) + ":" + row(bool(end_mark), int(end))
        return match.group()

    return _REFERENCES.sub(replace, formula)


def relative_form(formula: str, row: int, column: int) -> str:
    """R1C1 form of a formula written for the cell (row, column): a key, equal for all copies."""
    return _rewrite(
        formula,
        lambda absolute, value: f"R{value}" if absolute else f"R[{value - row}]",
        lambda absolute, value: f"C{value}" if absolute else f"C[{value - column}]",
        reversed_order=True,
    )


def split_at_rows(formula: str) -> tuple[list[str], list[int]]:
    """A formula cut at the numbers of its relative rows: the texts around these, and the numbers.

    >>> split_at_rows("=A2*$B$1")
    (['=A', '*$B$1'], [2])
    """
    texts, rows, begin = [], [], 0
    for match in _REFERENCES.finditer(formula):
        if match.lastgroup == "cell":
            beyond = column_number(match[3]) > MAX_COLUMN or not 1 <= int(match[5]) <= MAX_ROW
            spans = [] if match[4] or beyond else [match.span(5)]
        elif match.lastgroup == "rows":
            spans = [match.span(place) for place, mark in ((13, 12), (15, 14)) if not match[mark]]
        else:
            continue
        for start, end in spans:
            texts.append(formula[begin:start])
            rows.append(int(formula[start:end]))
            begin = end
    return [*texts, formula[begin:]], rows


_LOST = "\x00"


def moved(formula: str, rows: int, columns: int) -> str:
    """The formula as Excel copies it, ``rows`` down and ``columns`` to the right."""
    if not rows and not columns:
        return formula

    def row(absolute: bool, value: int) -> str:
        if absolute:
            return f"${value}"
        return str(value + rows) if 1 <= value + rows <= MAX_ROW else _LOST

    def column(absolute: bool, value: int) -> str:
        if absolute:
            return f"${column_letters(value)}"
        inside = 1 <= value + columns <= MAX_COLUMN
        return column_letters(value + columns) if inside else _LOST

    return re.sub(rf"[$:\w{_LOST}]*{_LOST}[$:\w{_LOST}]*", "#REF!", _rewrite(formula, row, column))
