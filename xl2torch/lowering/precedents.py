"""Which cells a region reads, found between rectangles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from xl2torch.cells.address import MAX_COLUMN, MAX_ROW, CellRange
from xl2torch.formula.ast import (
    ADDRESS_ONLY,
    Bound,
    Call,
    Node,
    Opaque,
    Reference,
    children,
    walk,
)
from xl2torch.lowering.regions import Region
from xl2torch.workbook.read.reader import Workbook

COMPUTED_TARGET = frozenset({"OFFSET", "INDEX"})
"""Functions whose first argument is only a place; what they read is known when they run."""


_SMALL = 16
"""Most cells of a rectangle that is found by its cells."""


@dataclass(frozen=True)
class Sweep:
    """Rows (or columns) that a reference reads as its formula is copied.

    ``start`` and ``size`` for the first copy; ``moves`` by ``step`` from copy to copy.
    """

    start: int
    size: int
    moves: bool
    step: int
    copies: int

    @property
    def end(self) -> int:
        """Last row (or column) that any copy reads."""
        return self.start + self.size - 1 + (self.copies - 1) * self.step * self.moves


class SplitRegion(Exception):
    """A range whose size changes as it is copied, such as ``$A$1:A5``."""


def sweep(first: Bound, last: Bound, origin: int, step: int, copies: int, limit: int) -> Sweep:
    """Sweep of one dimension. Raises GrowingRange, or ValueError when it leaves the sheet."""
    if first.relative != last.relative and copies > 1:
        raise SplitRegion
    start, end = sorted((first.at(origin), last.at(origin)))
    result = Sweep(start, end - start + 1, first.relative and copies > 1, step, copies)
    if start < 1 or result.end > limit:
        raise ValueError("the reference leaves the sheet (#REF!)")
    return result


def sweeps(reference: Reference, region: Region, workbook: Workbook) -> tuple[Sweep, Sweep]:
    """Row sweep and column sweep of a reference; whole columns are cut to the used range."""
    area = region.range
    sheet = workbook.sheet(reference.sheet)
    last_row, last_column = sheet.extent
    top, bottom, left, right = reference.top, reference.bottom, reference.left, reference.right
    if reference.whole_columns:
        bottom = Bound(max(last_row, 1), False)
    if reference.whole_rows:
        right = Bound(max(last_column, 1), False)
    last = MAX_ROW if area.bottom <= MAX_ROW else 4 * MAX_ROW  # new rows stand beyond all others
    rows = sweep(top, bottom, area.top, region.row_step, region.rows, last)
    columns = sweep(left, right, area.left, region.column_step, region.columns, MAX_COLUMN)
    return rows, columns


def swept_range(reference: Reference, region: Region, workbook: Workbook) -> CellRange | None:
    """All cells that a reference reads over the whole region; None when it leaves the sheet."""
    try:
        rows, columns = sweeps(reference, region, workbook)
        return CellRange(reference.sheet, rows.start, columns.start, rows.end, columns.end)
    except ValueError:
        return None
    except SplitRegion:
        area = region.range
        corners = [
            (bound.at(origin))
            for bound in (reference.top, reference.bottom)
            for origin in (area.top, area.bottom)
        ]
        sides = [
            (bound.at(origin))
            for bound in (reference.left, reference.right)
            for origin in (area.left, area.right)
        ]
        if min(corners) < 1 or min(sides) < 1:
            return None
        return CellRange(reference.sheet, min(corners), min(sides), max(corners), max(sides))


def precedents(region: Region, workbook: Workbook, bases: bool = False) -> list[CellRange]:
    """Rectangles that a region is known to read before it runs.

    ``bases``: also the ranges into which INDEX looks, of which it need not read all.
    """
    found: list[CellRange] = []
    stack: list[Node] = [region.tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Reference):
            area = swept_range(node, region, workbook)
            if area is not None:
                found.append(area)
        elif isinstance(node, Call) and node.function in ADDRESS_ONLY:
            continue
        elif isinstance(node, Call) and node.function in COMPUTED_TARGET and not bases:
            stack.extend(node.arguments[1:])
        else:
            stack.extend(children(node))
    return found


def unknowable(node: Node) -> bool:
    """Whether a formula that cannot be computed may read cells that its text does not show."""
    for part in walk(node):
        if isinstance(part, Opaque) and not part.closed:
            return True
        if isinstance(part, Call) and part.function in ("INDIRECT", "OFFSET", "RANGE"):
            return True
    return False


class RectangleIndex:
    """Rectangles of one sheet, searched by overlap: small ones are found by their cells."""

    def __init__(self, areas: list[CellRange]) -> None:
        corners = [(area.top, area.left, area.bottom, area.right) for area in areas]
        self.corners = np.array(corners, dtype=np.int64).reshape(-1, 4).T
        self.large = np.array([i for i, area in enumerate(areas) if area.size > _SMALL], dtype=int)
        self.by_cell: dict[tuple[int, int], list[int]] = {}
        for index, area in enumerate(areas):
            if area.size <= _SMALL:
                for cell in _cells_of(area):
                    self.by_cell.setdefault(cell, []).append(index)

    def overlapping(self, area: CellRange) -> list[int]:
        """Indices of the rectangles that share a cell with ``area``, in their order."""
        if area.size > _SMALL:
            return self._among(area, np.arange(self.corners.shape[1]))
        found = {index for cell in _cells_of(area) for index in self.by_cell.get(cell, ())}
        if len(self.large):
            found.update(self._among(area, self.large))
        return sorted(found)

    def _among(self, area: CellRange, indices: NDArray[np.int64]) -> list[int]:
        top, left, bottom, right = self.corners[:, indices]
        hits = (
            (top <= area.bottom)
            & (bottom >= area.top)
            & (left <= area.right)
            & (right >= area.left)
        )
        found: list[int] = indices[hits].tolist()
        return found


def _cells_of(area: CellRange) -> Iterator[tuple[int, int]]:
    return product(range(area.top, area.bottom + 1), range(area.left, area.right + 1))
