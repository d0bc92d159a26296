"""The cells of a sheet as sorted arrays: what a rectangle holds is one binary search away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from xl2torch.cells.address import MAX_COLUMN, MAX_ROW
from xl2torch.cells.values import BLANK, LOGICAL, NUMBER, TEXT, CellValue, error_of_kind, kind_of

Floats = NDArray[np.float64]
Kinds = NDArray[np.uint8]
Texts = NDArray[np.object_]


@dataclass(frozen=True)
class CellBlock:
    """Values of cells: numbers, kinds and texts, of a rectangle each of shape (rows, columns).

    The texts are read-only where there is none.
    """

    numbers: Floats
    kinds: Kinds
    texts: Texts


_NO_TEXT = np.array("", dtype=object)


_Place = TypeVar("_Place", int, NDArray[np.int64])


def key_of(row: _Place, column: _Place) -> _Place:
    """A cell of a sheet as one number, in the order of rows, then columns."""
    return row * (MAX_COLUMN + 1) + column


def places_of(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the cells with some keys."""
    return np.divmod(keys, MAX_COLUMN + 1)


@dataclass(frozen=True)
class SparseCells:
    """Non-blank cells, sorted by row, then column. Never allocates a sheet's whole dimension."""

    keys: NDArray[np.int64]
    numbers: Floats
    kinds: Kinds
    texts: Texts

    @staticmethod
    def of(rows: Sequence[int], columns: Sequence[int], values: Sequence[CellValue]) -> SparseCells:
        """From parallel lists in any order; of a cell that comes twice the last value counts."""
        count = len(values)
        keys = np.asarray(rows, dtype=np.int64) * (MAX_COLUMN + 1) + np.asarray(
            columns, dtype=np.int64
        )
        kinds = np.full(count, NUMBER, dtype=np.uint8)
        numbers = np.fromiter(
            (value if value.__class__ is float else 0.0 for value in values), float, count
        )
        texts = np.full(count, "", dtype=object)
        for index in [i for i, value in enumerate(values) if value.__class__ is not float]:
            value = values[index]
            kinds[index] = kind_of(value)
            if isinstance(value, float | bool):
                numbers[index] = value
            elif isinstance(value, str):
                texts[index] = value
        numbers[kinds > TEXT] = np.nan
        if not np.all(keys[1:] > keys[:-1]):
            order = np.argsort(keys, kind="stable")
            last = np.append(np.diff(keys[order]) != 0, True)
            order = order[last]
            keys, numbers, kinds, texts = keys[order], numbers[order], kinds[order], texts[order]
        return SparseCells(keys, numbers, kinds, texts)

    def where(self, chosen: NDArray[np.bool_]) -> SparseCells:
        """Some of the cells."""
        return SparseCells(
            self.keys[chosen], self.numbers[chosen], self.kinds[chosen], self.texts[chosen]
        )

    def at(self, keys: NDArray[np.int64]) -> CellBlock:
        """Values of the cells with some keys, in their shape; of blank ones the number is 0."""
        if not len(self.keys):
            return blank_block(*keys.shape)
        index = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.keys[index] == keys
        return CellBlock(
            np.where(found, self.numbers[index], 0.0),
            np.where(found, self.kinds[index], BLANK).astype(np.uint8),
            np.where(found, self.texts[index], ""),
        )

    def block(self, top: int, left: int, bottom: int, right: int) -> CellBlock:
        """Values of a rectangle; blank cells have number 0 and text ''."""
        if bottom - top > right - left:
            return self._by_columns(top, left, bottom, right)
        rows = np.arange(top, bottom + 1, dtype=np.int64)[:, None] * (MAX_COLUMN + 1)
        return self.at(rows + np.arange(left, right + 1, dtype=np.int64))

    def _by_columns(self, top: int, left: int, bottom: int, right: int) -> CellBlock:
        """The same, column by column: each is one run of the cells in the order of columns."""
        shape = (bottom - top + 1, right - left + 1)
        # Columns lie in one piece: they are written, and mostly read, one by one.
        numbers = np.zeros(shape, order="F")
        kinds = np.full(shape, BLANK, dtype=np.uint8, order="F")
        texts = np.broadcast_to(_NO_TEXT, shape)
        down = self.down
        for place in range(shape[1]):
            origin = (left + place) * (MAX_ROW + 1) + top
            start, end = np.searchsorted(down.keys, (origin, origin + shape[0]))
            if start == end:
                continue
            dense = end - start == shape[0]
            at = slice(None) if dense else down.keys[start:end] - origin
            numbers[at, place] = down.numbers[start:end]
            kinds[at, place] = down.kinds[start:end]
            if (down.kinds[start:end] == TEXT).any():
                texts = texts if texts.flags.writeable else texts.copy()
                texts[at, place] = down.texts[start:end]
        return CellBlock(numbers, kinds, texts)

    @cached_property
    def down(self) -> SparseCells:
        """The same cells in the order of columns, then rows, with keys of that order."""
        rows, columns = self.keys // (MAX_COLUMN + 1), self.keys % (MAX_COLUMN + 1)
        keys = columns * (MAX_ROW + 1) + rows
        order = np.argsort(columns.astype(np.uint16), kind="stable")  # 16 bits: a radix sort
        return SparseCells(keys[order], self.numbers[order], self.kinds[order], self.texts[order])

    def value(self, row: int, column: int) -> CellValue:
        """Value of one cell."""
        block = self.block(row, column, row, column)
        return cell_value(block.numbers[0, 0], block.kinds[0, 0], block.texts[0, 0])

    def text_left_of(self, row: int, column: int) -> str:
        """The nearest text to the left of a cell that says anything, its spaces tidied; else ''."""
        origin = row * (MAX_COLUMN + 1)
        return self._last_text(origin, origin + column)

    def text_above(self, row: int, column: int) -> str:
        """The nearest text above a cell that says anything, its spaces tidied; else ''."""
        origin = column * (MAX_ROW + 1)
        return self.down._last_text(origin, origin + row)

    def _last_text(self, first: int, end: int) -> str:
        """The last text of the cells with keys from ``first`` to before ``end``."""
        start, stop = np.searchsorted(self.keys, (first, end))
        for place in np.flatnonzero(self.kinds[start:stop] == TEXT)[::-1]:
            words = str(self.texts[start + place]).split()
            if words:
                return " ".join(words)
        return ""

    def extent(self) -> tuple[int, int]:
        """Last used row and column (0, 0 when empty)."""
        if not len(self.keys):
            return 0, 0
        return int(self.keys[-1] // (MAX_COLUMN + 1)), int((self.keys % (MAX_COLUMN + 1)).max())


def blank_block(*shape: int) -> CellBlock:
    """Blank cells."""
    return CellBlock(
        np.zeros(shape),
        np.full(shape, BLANK, dtype=np.uint8),
        np.full(shape, "", dtype=object),
    )


def cell_value(number: float, kind: int, text: str) -> CellValue:
    """One cell's value from its number, kind and text."""
    if kind == NUMBER:
        return float(number)
    if kind == BLANK:
        return None
    if kind == LOGICAL:
        return bool(number)
    if kind == TEXT:
        return text
    return error_of_kind(int(kind))
