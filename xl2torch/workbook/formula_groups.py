"""The formulas of a sheet grouped by what they are copies of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xl2torch.cells.address import MAX_ROW, moved, relative_form, split_at_rows

Rectangle = tuple[int, int, int, int]
"""top, left, bottom, right."""


class FormulaCell(NamedTuple):
    """A formula as the file stores it.

    ``text`` is written for the cell (base_row, base_column), which for a shared formula is the
    group's first cell. ``array`` is the range of an array formula, else None. ``dynamic``: that
    range is the size of the result, which spills; else it was chosen, and the result is fitted.
    """

    row: int
    column: int
    text: str
    base_row: int
    base_column: int
    array: Rectangle | None
    dynamic: bool = False

    @property
    def own_text(self) -> str:
        """The formula as written for its own cell."""
        return moved(self.text, self.row - self.base_row, self.column - self.base_column)

    @property
    def area(self) -> Rectangle:
        """The cells that it fills."""
        return self.array or (self.row, self.column, self.row, self.column)


@dataclass(frozen=True, eq=False)
class FormulaGroup:
    """Copies of one formula: equal in R1C1 form, array formulas also in the size of their range.

    ``text`` is written for the cell (base_row, base_column); ``rows`` and ``columns`` are the
    places of the copies. ``height`` and ``width`` are the size of an array formula's range.
    """

    text: str
    base_row: int
    base_column: int
    array: bool
    dynamic: bool
    height: int
    width: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    @cached_property
    def bounds(self) -> Rectangle:
        """The rectangle around the places."""
        rows, columns = self.rows, self.columns
        if len(rows) == 1:
            return (row := int(rows[0])), (column := int(columns[0])), row, column
        return int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())

    @cached_property
    def rectangles(self) -> tuple[tuple[int, int, int, int], ...]:
        """The places as rectangles, in units of the size of an array formula's range."""
        if len(self.rows) == 1:
            return ((int(self.columns[0]) // self.width, int(self.rows[0]) // self.height, 1, 1),)
        return tuple(rectangles(self.columns // self.width, self.rows // self.height))


def rectangles(
    columns: NDArray[np.int64], rows: NDArray[np.int64]
) -> list[tuple[int, int, int, int]]:
    """Places as rectangles (column, row, columns, rows), in the order of columns."""
    if not len(rows):
        return []
    codes = columns * (MAX_ROW + 1) + rows
    if (np.diff(codes) < 0).any():
        order = np.argsort(codes)
        columns, rows = columns[order], rows[order]
    breaks = (np.diff(columns) != 0) | (np.diff(rows) != 1)
    starts = np.append(0, np.flatnonzero(breaks) + 1)
    lengths = np.diff(np.append(starts, len(rows)))
    open_: dict[tuple[int, int], list[int]] = {}
    found: list[list[int]] = []
    runs = (columns[starts].tolist(), rows[starts].tolist(), lengths.tolist())
    for column, row, length in zip(*runs, strict=True):
        rectangle = open_.get((row, length))
        if rectangle is not None and rectangle[0] + rectangle[2] == column:
            rectangle[2] += 1
        else:
            rectangle = [column, row, 1, length]
            found.append(rectangle)
            open_[row, length] = rectangle
    return [(column, row, columns, rows) for column, row, columns, rows in found]


class _Above:
    """The last formula of a column, cut at its rows: most formulas are the one above, moved down.

    To move it and compare is ten times as fast as to read the references of the next.
    """

    def __init__(self) -> None:
        self.form = ""
        self.row = 0
        self.texts: list[str] = []
        self.rows: list[int] = []
        self.misses = 0

    def form_of(self, text: str, row: int, column: int) -> str:
        """The R1C1 form of a formula in the column."""
        if self.misses > _MOST_MISSES:
            return relative_form(text, row, column)
        if self.texts and self._moved(row - self.row) == text:
            self.misses = 0
            return self.form
        self.misses += bool(self.texts)
        self.form, self.row = relative_form(text, row, column), row
        self.texts, self.rows = split_at_rows(text)
        return self.form

    def _moved(self, down: int) -> str | None:
        """The formula so many rows below; None where a reference leaves the sheet."""
        rows = [row + down for row in self.rows]
        if rows and not (min(rows) >= 1 and max(rows) <= MAX_ROW):
            return None
        pieces = [text for pair in zip(self.texts, map(str, rows), strict=False) for text in pair]
        return "".join([*pieces, self.texts[-1]])


_MOST_MISSES = 20
"""After so many formulas that were others, a column is one in which each is another."""


def grouped(formulas: Iterable[FormulaCell]) -> tuple[FormulaGroup, ...]:
    """Groups in the order of their first formula."""
    keys: dict[tuple[str, int, int], str] = {}
    above: dict[int, _Above] = {}
    groups: dict[object, tuple[FormulaCell, list[int], list[int]]] = {}
    for cell in formulas:
        row, column, text, base_row, base_column, array, dynamic = cell
        source = (text, base_row, base_column)
        form = keys.get(source)
        if form is None:
            column_above = above.setdefault(base_column, _Above())
            form = column_above.form_of(text, base_row, base_column)
            if (row, column) != (base_row, base_column):  # others of a shared group may follow
                keys[source] = form
        key: object = form
        if array is not None:
            top, left, bottom, right = array
            height, width = bottom - top + 1, right - left + 1
            key = (form, height, width, top % height, left % width, dynamic)
        group = groups.get(key)
        if group is None:
            groups[key] = (cell, [row], [column])
        else:
            group[1].append(row)
            group[2].append(column)
    return tuple(_group(*parts) for parts in groups.values())


def _group(first: FormulaCell, rows: list[int], columns: list[int]) -> FormulaGroup:
    height = width = 1
    if first.array is not None:
        top, left, bottom, right = first.array
        height, width = bottom - top + 1, right - left + 1
    return FormulaGroup(
        first.text, first.base_row, first.base_column, first.array is not None, first.dynamic,
        height, width,
        np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64),
    )  # fmt: skip
