"""The derivatives that an author wrote, beside the true ones: numbers, cells, agreement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from xl2torch.arrays.array import Array, constant
from xl2torch.cells.address import CellAddress, CellRange, moved, single_cell
from xl2torch.cells.values import BLANK, FIRST_ERROR, TEXT
from xl2torch.errors import CircularReferenceError, ModelError, UnsupportedError
from xl2torch.ir.naming import solver_names
from xl2torch.lowering.blocks import Block, stored
from xl2torch.lowering.schedule import Evaluation, Unit
from xl2torch.model.sheet_model import compile_range, supported_value
from xl2torch.teach.derivatives.explanations import Mask
from xl2torch.teach.derivatives.own_derivatives import OwnDerivatives
from xl2torch.teach.derivatives.pairing import DerivativeLine, Grid
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.sparse_cells import Floats

TOLERANCE = 1e-6
"""Largest relative difference that counts as agreement."""
_SMALL = 1e-6


@dataclass(frozen=True, eq=False)
class SheetDerivatives:
    """Derivatives in cells, and what they are the derivatives of.

    ``function`` is the formula that ``of`` holds where the sheet itself does not hold it, written
    for the first of the cells; else it is empty. Its members raise ModelError or UnsupportedError.
    """

    workbook: Workbook
    of: Grid
    wrt: Grid
    against: Grid
    lines: Sequence[DerivativeLine]
    function: str = ""

    @cached_property
    def _held(self) -> list[tuple[Array, str]]:
        """For each of the author's ranges its values, and why they are the file's, if they are."""
        found = []
        for area in self.against.areas:
            try:
                found.append((supported_value(self.cut, area), ""))
            except UnsupportedError as error:  # it draws random numbers, or has an unknown function
                found.append((stored(self.workbook, area), error.cells[0].reason))
        return found

    @cached_property
    def kinds(self) -> np.ndarray:
        """What the author's cells hold, by number."""
        return np.concatenate([array.full_kinds.reshape(-1) for array, _ in self._held])

    @cached_property
    def author(self) -> Floats:
        """The author's numbers, by number; NaN where the cell holds none."""
        readable = (self.kinds < FIRST_ERROR) & (self.kinds != TEXT) & (self.kinds != BLANK)
        numbers = np.concatenate([array.numpy().reshape(-1) for array, _ in self._held])
        return np.where(readable, numbers, np.nan)

    @property
    def doubts(self) -> dict[CellRange, str]:
        """The author's ranges that are taken as the file holds them, and why."""
        whys = (why for _, why in self._held)
        return {area: why for area, why in zip(self.against.areas, whys, strict=True) if why}

    @cached_property
    def given(self) -> dict[CellRange, Floats]:
        """Numbers of the cells by which is differentiated, from their formulas."""
        base = Evaluation(self.workbook)
        found = {}
        for area in self.wrt.areas:
            try:
                array = supported_value(base, area)
            except CircularReferenceError:
                array = stored(self.workbook, area)  # what Excel left in the circle
                if (array.full_kinds == BLANK).any():
                    raise
            bad = (array.full_kinds == TEXT) | (array.full_kinds >= FIRST_ERROR)
            if bad.any():
                cell = area.cells()[int(np.flatnonzero(bad.reshape(-1))[0])]
                raise ModelError(f"the cell {cell} of `wrt` is not a number")
            found[area] = np.array(array.numpy(), dtype=float).reshape(-1)
        return found

    @cached_property
    def cut(self) -> Evaluation:
        """The workbook with the cells of ``wrt`` given, whatever formulas they hold."""
        return self.with_numbers({})

    def with_numbers(self, numbers: dict[CellRange, Floats]) -> Evaluation:
        """The workbook with the cells of ``wrt`` given, and some others."""
        items = [*self.given.items(), *numbers.items()]
        return Evaluation(self.workbook, [Block(area, _array(area, n)) for area, n in items])

    @cached_property
    def own(self) -> OwnDerivatives:
        """The function's derivatives."""
        starts = {area: torch.from_numpy(numbers) for area, numbers in self.given.items()}
        module = compile_range(self.workbook, self.of.areas[0], starts)
        if module is None:
            what = f"={self.function}" if self.function else str(self.of.areas[0])
            raise ModelError(
                f"{what} does not depend on the cells {self.wrt.text}: there are no derivatives"
            )
        return OwnDerivatives(module, list(starts.values()))

    @cached_property
    def true(self) -> list[Floats]:
        """The derivatives of every line by autograd; NaN where the function is an error."""
        fails = ~torch.isfinite(self.own.values)
        return [
            slopes.masked_fill(fails[torch.from_numpy(line.of)], math.nan).numpy()
            for line, slopes in zip(self.lines, self.own.derivatives(self.lines), strict=True)
        ]

    def written(self, number: int) -> Floats:
        """The author's numbers of a line; NaN where the cell holds none."""
        numbers: Floats = self.author[self.lines[number].against]
        return numbers

    # ------------------------------------------------------------ agreement

    def relative(self, number: int) -> Floats:
        """Relative differences of a line, as ``written.check_written`` takes them."""
        true, author = self.true[number], self.written(number)
        with np.errstate(invalid="ignore"):
            largest = np.nanmax(np.abs(true), initial=0.0)
            size = np.maximum(np.maximum(np.abs(true), np.abs(author)), _SMALL * largest)
            found = np.where(true == author, 0.0, np.abs(true - author) / size)
        return np.where(np.isfinite(found), found, math.inf)

    @cached_property
    def wrong(self) -> list[Mask]:
        """For every line, which rows do not agree."""
        return [np.asarray(self.relative(k) > TOLERANCE) for k in range(len(self.lines))]

    # ------------------------------------------------------------ cells

    @cached_property
    def cells(self) -> list[CellAddress]:
        """The author's cells, by number."""
        return self.against.cells

    @cached_property
    def labels(self) -> list[str]:
        """Solver's names of the author's cells, by number."""
        return [name for area in self.against.areas for name in solver_names(self.workbook, area)]

    def areas(self, number: int) -> list[CellRange]:
        """The author's cells of a line as ranges."""
        return self._areas[number]

    @cached_property
    def _areas(self) -> list[list[CellRange]]:
        return [self._areas_of(line) for line in self.lines]

    def _areas_of(self, line: DerivativeLine) -> list[CellRange]:
        cells = [self.cells[cell] for cell in line.against.tolist()]
        found = []
        for area in self.against.areas:
            inside = [cell for cell in cells if area.contains(single_cell(cell))]
            if inside:
                rows, columns = [c.row for c in inside], [c.column for c in inside]
                found.append(
                    CellRange(area.sheet, min(rows), min(columns), max(rows), max(columns))
                )
        return found

    def units(self, number: int) -> list[Unit]:
        """The regions that hold a line."""
        return [unit for area in self.areas(number) for unit in self.cut.overlapping(area)]

    @cached_property
    def function_units(self) -> list[Unit]:
        """The regions between the given cells and the function, and all else that it reads."""
        ancestors = self.cut.ancestors(self.cut.overlapping(self.of.areas[0]))
        return sorted(ancestors, key=lambda unit: unit.area)

    @cached_property
    def functions(self) -> list[str]:
        """What is differentiated, by number: a cell, or the formula of its row."""
        first = self.of.cells[0]
        if not self.function:
            return [str(cell) for cell in self.of.cells]
        return [
            "=" + moved(self.function, cell.row - first.row, cell.column - first.column)
            for cell in self.of.cells
        ]

    def text(self, area: CellRange) -> str:
        """The address, with its sheet where that is not the function's."""
        return area.a1 if area.sheet == self.of.areas[0].sheet else str(area)

    def of_text(self, number: int) -> str:
        """The function of a line in short."""
        if self.function:
            return f"={self.function}"
        return ", ".join(self.text(area) for area in ranges(self.of.cells, self.lines[number].of))

    def wrt_text(self, number: int) -> str:
        """The cells of a line by which is differentiated."""
        areas = ranges(self.wrt.cells, self.lines[number].wrt)
        return ", ".join(self.text(area) for area in areas)

    def against_text(self, number: int) -> str:
        """The author's cells of a line."""
        return ", ".join(self.text(area) for area in self.areas(number))


def _array(area: CellRange, numbers: Floats) -> Array:
    return constant(numbers.reshape(1, 1, area.rows, area.columns))


def ranges(cells: Sequence[CellAddress], chosen: np.ndarray) -> list[CellRange]:
    """Some cells as ranges."""
    order = sorted({cells[index] for index in chosen.tolist()}, key=lambda c: (c.column, c.row))
    first, last = order[0], order[-1]
    if len(order) == (last.row - first.row + 1) * (last.column - first.column + 1):
        return [CellRange(first.sheet, first.row, first.column, last.row, last.column)]
    columns: list[list[CellAddress]] = []
    for cell in order:
        before = columns[-1][-1] if columns else None
        if before and before.column == cell.column and before.row + 1 == cell.row:
            columns[-1].append(cell)
        else:
            columns.append([cell])
    return [
        CellRange(part[0].sheet, part[0].row, part[0].column, part[-1].row, part[-1].column)
        for part in columns
    ]
