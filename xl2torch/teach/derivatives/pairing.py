"""Which cell an author's derivative belongs to: of which cell, with respect to which.

of F4:F32, wrt C4:D32, against K4:L32: row by row (or column by column)
of E32, wrt B24:C26, against H24:I26: one cell, by each of several; a block of 2×3
                                               cells for 3×2 is their transpose
of B31:C31, wrt B28:C28, against B40:C40: cell by cell
of E4:E40, wrt B1:B3, against G4:I40: a Jacobian: every row by the same cells
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xl2torch.cells.address import CellAddress, CellRange
from xl2torch.errors import SelectionError

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Ranges side by side, or below each other, as one table; ``index`` numbers all cells."""

    areas: tuple[CellRange, ...]
    index: Indices

    @cached_property
    def cells(self) -> list[CellAddress]:
        """Every cell, in the order of the numbers."""
        return [cell for area in self.areas for cell in area.cells()]

    @property
    def text(self) -> str:
        """The addresses."""
        return ", ".join(area.a1 for area in self.areas)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.index.shape[0], self.index.shape[1]


@dataclass(frozen=True)
class DerivativeLine:
    """A column, row or block of derivatives: numbers of the author's cells, and whose they are.

    ``shape`` is that of the author's cells where they are a block, by rows.
    """

    against: Indices
    of: Indices
    wrt: Indices
    shape: tuple[int, int]

    @cached_property
    def together(self) -> bool:
        """Whether every element has a variable and a function of its own."""
        return len(set(self.wrt.tolist())) == len(set(self.of.tolist())) == len(self.wrt)


def grid(areas: Sequence[CellRange], option: str, repeats: bool = False) -> Grid:
    """Join ranges to a table; with ``repeats`` a range may be given twice.

    Raises SelectionError when they do not fit or overlap.
    """
    parts: list[Indices] = []
    known: dict[CellRange, Indices] = {}
    for area in areas:
        whole = next((other for other in known if other.contains(area)), None)
        if whole is not None and repeats:
            top, left = area.top - whole.top, area.left - whole.left
            parts.append(known[whole][top : top + area.rows, left : left + area.columns])
            continue
        if any(area.intersection(other) for other in known):
            raise SelectionError(f"`{option}`: {area.a1} is given twice")
        offset = sum(other.size for other in known)
        known[area] = offset + np.arange(area.size).reshape(area.rows, area.columns)
        parts.append(known[area])
    if len({area.rows for area in areas}) == 1:
        return Grid(tuple(known), np.hstack(parts))
    if len({area.columns for area in areas}) == 1:
        return Grid(tuple(known), np.vstack(parts))
    raise SelectionError(f"`{option}`: the ranges have neither the same rows nor the same columns")


def pair(of: Grid, wrt: Grid, against: Grid, name: str = "") -> list[DerivativeLine]:
    """Lines of the author's cells with theirs; ``name`` is what ``of`` says, for messages.

    Raises SelectionError when the shapes do not fit.
    """
    rows, columns = against.shape
    if of.index.size == 1 and wrt.shape == against.shape:
        return [_line(np.zeros_like(against.index), wrt.index, against.index, against.shape)]
    if of.index.size == 1 and wrt.shape == (columns, rows):
        return [_line(np.zeros_like(against.index), wrt.index.T, against.index, against.shape)]
    if wrt.shape == against.shape and of.shape == (rows, 1):
        return _by_columns(np.repeat(of.index, columns, axis=1), wrt.index, against.index)
    if wrt.shape == against.shape and of.shape == (1, columns):
        of_rows = np.repeat(of.index, rows, axis=0)
        return _by_columns(of_rows.T, wrt.index.T, against.index.T)
    if of.shape == wrt.shape == against.shape:
        return _by_columns(of.index, wrt.index, against.index)
    every = wrt.index.reshape(-1)
    if of.shape == (rows, 1) and len(every) == columns:
        of_columns = np.repeat(of.index, columns, axis=1)
        return _by_columns(of_columns, np.tile(every, (rows, 1)), against.index)
    if of.shape == (1, columns) and len(every) == rows:
        of_columns = np.repeat(of.index.T, rows, axis=1)
        return _by_columns(of_columns, np.tile(every, (columns, 1)), against.index.T)
    raise SelectionError(
        f"`against={against.text!r}` is {rows}×{columns} cells, which fits neither "
        f"`of={name or of.text!r}` ({_size(of)}) with `wrt={wrt.text!r}` ({_size(wrt)}) row by "
        "row, nor cell by cell: the derivatives of R rows by k cells are R×k cells, those of one "
        "cell have the shape of `wrt`"
    )


def _size(table: Grid) -> str:
    return "×".join(map(str, table.shape))


def _line(
    of: Indices, wrt: Indices, against: Indices, shape: tuple[int, int] | None = None
) -> DerivativeLine:
    size = (against.size, 1)
    return DerivativeLine(against.reshape(-1), of.reshape(-1), wrt.reshape(-1), shape or size)


def _by_columns(of: Indices, wrt: Indices, against: Indices) -> list[DerivativeLine]:
    return [_line(of[:, k], wrt[:, k], against[:, k]) for k in range(against.shape[1])]
