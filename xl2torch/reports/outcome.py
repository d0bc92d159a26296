"""A result beside its workbook: what cells hold before and after, and how they are formatted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from xl2torch.address import CellAddress, CellRange, single_cell
from xl2torch.constraints import Constraints
from xl2torch.graph.naming import solver_name, solver_names
from xl2torch.jacobian import present_point
from xl2torch.problem import Problem
from xl2torch.recalculation import Recalculation, recalculate
from xl2torch.training.fit import Result
from xl2torch.values import CellValue
from xl2torch.workbook.cells import Floats
from xl2torch.workbook.formats import number_formats
from xl2torch.workbook.reader import Workbook


@dataclass(frozen=True, eq=False)
class Outcome:
    """A result, and the workbook recalculated with its weights."""

    result: Result
    recalculation: Recalculation

    @staticmethod
    def of(result: Result) -> Outcome:
        """Recalculate the workbook of a result."""
        return Outcome(result, recalculate(result.model.compiled.workbook, trained_values(result)))

    @property
    def workbook(self) -> Workbook:
        """The workbook as it was read."""
        return self.result.model.compiled.workbook

    @property
    def problem(self) -> Problem:
        """What was solved."""
        return self.result.model.problem

    @cached_property
    def point(self) -> torch.Tensor:
        """All variable cells of the result, flat."""
        return present_point(self.result.model)

    @cached_property
    def cells(self) -> tuple[CellAddress, ...]:
        """All variable cells, in the order of ``point``."""
        areas = [variable.cells for variable in self.result.model.variables]
        return tuple(cell for area in areas for cell in area.cells())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Solver's names of all variable cells."""
        areas = [variable.cells for variable in self.result.model.variables]
        return tuple(name for area in areas for name in solver_names(self.workbook, area))

    @cached_property
    def limits(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lower and upper bounds of all variable cells, flat."""
        variables = self.result.model.variables
        return (
            torch.cat([variable.lower.reshape(-1) for variable in variables]),
            torch.cat([variable.upper.reshape(-1) for variable in variables]),
        )

    @cached_property
    def constraints(self) -> Constraints:
        """The constraints of the model."""
        return Constraints(self.result.model)

    def name(self, cell: CellAddress) -> str:
        """Solver's name of a cell."""
        return solver_name(self.workbook, single_cell(cell))

    def before(self, cells: Sequence[CellAddress]) -> dict[CellAddress, CellValue]:
        """Values in the file, recomputed where a formula has none."""
        book = self.workbook
        values = {cell: book.sheet(cell.sheet).cells.value(cell.row, cell.column) for cell in cells}
        missing = [
            cell for cell, value in values.items()
            if value is None and (cell.row, cell.column) in book.sheet(cell.sheet).formula_at
        ]  # fmt: skip
        if missing:
            untouched = recalculate(book, {})
            values.update({cell: untouched.value(cell) for cell in missing})
        return values

    def after(self, cell: CellAddress) -> CellValue:
        """Value with the weights of the result."""
        return self.recalculation.value(cell)

    def formats(self, cells: Iterable[CellAddress]) -> dict[CellAddress, int]:
        """Number formats of cells."""
        return number_formats(self.workbook, cells)


def trained_values(result: Result) -> Mapping[CellRange, Floats]:
    """Numbers of every variable range, in the range's shape."""
    return {
        variable.cells: result.weights[variable.name].numpy().reshape(
            variable.cells.rows, variable.cells.columns
        )
        for variable in result.model.variables
    }  # fmt: skip
