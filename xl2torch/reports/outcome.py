"""A result beside its workbook: what cells hold before and after, and how they are formatted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from xl2torch.cells.address import CellAddress, CellRange, single_cell
from xl2torch.cells.values import NUMBER, CellValue
from xl2torch.evaluate.recalculation import Recalculation, recalculate
from xl2torch.ir.naming import solver_name, solver_names
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import present_point, variable_limits
from xl2torch.model.problem import Problem
from xl2torch.training.result import Result
from xl2torch.workbook.read.formats import number_formats
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.sparse_cells import Floats
from xl2torch.workbook.write.patcher import CellEdit, Edits


@dataclass(frozen=True, eq=False)
class ReportContext:
    """A result, and the workbook recalculated with its weights."""

    result: Result
    recalculation: Recalculation
    more: tuple[CellAddress, ...] = ()

    @staticmethod
    def of(
        result: Result, more: Iterable[CellAddress] = (), everything: bool = False
    ) -> ReportContext:
        """Recalculate the workbook of a result; ``more`` cells are to be shown, too.

        ``everything``: also cells that the variable cells do not reach.
        """
        workbook = result.model.compiled.workbook
        recalculation = recalculate(workbook, trained_values(result), everything)
        return ReportContext(result, recalculation, tuple(more))

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
        return tuple(self.result.model.cell_values())

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Solver's names of all variable cells."""
        areas = [variable.cells for variable in self.result.model.variables]
        return tuple(name for area in areas for name in solver_names(self.workbook, area))

    @cached_property
    def limits(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lower and upper bounds of all variable cells, flat."""
        return variable_limits(self.result.model)

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
        values.update({cell: self._untouched.value(cell) for cell in missing})
        return values

    @cached_property
    def _untouched(self) -> Recalculation:
        return recalculate(self.workbook, {})

    def after(self, cell: CellAddress) -> CellValue:
        """Value with the weights of the result."""
        return self.recalculation.value(cell)

    @cached_property
    def formats(self) -> Mapping[CellAddress, int]:
        """Number formats of the objective, the variable, watched and constrained cells."""
        shown = (self.problem.objective, *self.cells, *self.result.watched, *self.more)
        limited = (limit.cell for limit in self.constraints.limits)
        return number_formats(self.workbook, dict.fromkeys([*shown, *limited]))


def trained_values(result: Result) -> Mapping[CellRange, Floats]:
    """Numbers of every variable range, in the range's shape."""
    return {
        variable.cells: result.weights[variable.name].numpy().reshape(
            variable.cells.rows, variable.cells.columns
        )
        for variable in result.model.variables
    }  # fmt: skip


def recalculated_edits(recalculation: Recalculation) -> Edits:
    """New cached values, and none in cells whose value is stale."""
    edits = Edits()
    for part in recalculation.differences:
        plain = part.kinds == NUMBER
        edits.put_numbers(part.sheet, part.rows[plain], part.columns[plain], part.numbers[plain])
        for cell, value in part.where(~plain).cells():
            edits.put(cell, CellEdit(value))
    for cell in recalculation.stale:
        edits.put(cell, CellEdit(stale=True))
    filled = {cell for area in recalculation.resized for cell in area.cells()}
    for area in recalculation.resized:
        _resize(edits, recalculation, area, filled)
    return edits


def _resize(
    edits: Edits, recalculation: Recalculation, area: CellRange, filled: Collection[CellAddress]
) -> None:
    """Give an array formula the range that it fills, and empty what it filled before."""
    first, sheet = area.first, recalculation.evaluation.workbook.sheet(area.sheet)
    place = first.row, first.column
    value, text = recalculation.value(first), sheet.formula_at[place].text
    edits.put(first, CellEdit(value, formula=text, array=area.a1))
    for cell in CellRange(area.sheet, *sheet.stored_ranges[place]).cells():
        if cell not in filled and sheet.cells.value(cell.row, cell.column) is None:
            edits.put(cell, CellEdit())


def formula_cells(workbook: Workbook, area: CellRange) -> list[CellAddress]:
    """Cells of a range that hold formulas."""
    sheet = workbook.sheet(area.sheet)
    if not sheet.formulas:
        return []
    return [cell for cell in area.cells() if (cell.row, cell.column) in sheet.formula_at]
