"""Recalculating a workbook: what every formula cell shows, given new values in some cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xl2torch.arrays.array import Array
from xl2torch.cells.address import CellAddress, CellRange, single_cell
from xl2torch.cells.values import BLANK, CellValue
from xl2torch.lowering.blocks import Block, from_cells, given_numbers, stored
from xl2torch.lowering.schedule import Evaluation, Unit
from xl2torch.model.sheet_model import as_workbook
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.sparse_cells import CellBlock, Floats, cell_value


@dataclass(frozen=True, eq=False)
class ChangedCells:
    """Cells of one sheet whose value is new: places, numbers, and kinds and texts as in cells."""

    sheet: str
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    numbers: Floats
    kinds: NDArray[np.uint8]
    texts: NDArray[np.object_]

    def where(self, chosen: NDArray[np.bool_]) -> ChangedCells:
        """Some of them."""
        return ChangedCells(
            self.sheet, self.rows[chosen], self.columns[chosen], self.numbers[chosen],
            self.kinds[chosen], self.texts[chosen],
        )  # fmt: skip

    def cells(self) -> Iterator[tuple[CellAddress, CellValue]]:
        """Each cell with its new value."""
        parts = (self.rows, self.columns, self.numbers, self.kinds, self.texts)
        for row, column, number, kind, text in zip(*(p.tolist() for p in parts), strict=True):
            yield CellAddress(self.sheet, row, column), cell_value(number, kind, text)


@dataclass(frozen=True)
class Recalculation:
    """Outcome of a recalculation.

    ``differences`` are formula and spilled cells whose value is new. ``stale`` are formula cells
    that depend on the new values but could not be recomputed, each with the reason. ``resized``
    are the ranges of recomputed array formulas that have another range in the file.
    """

    differences: Sequence[ChangedCells]
    stale: Mapping[CellAddress, str]
    evaluation: Evaluation
    resized: Sequence[CellRange] = ()

    @property
    def changed(self) -> dict[CellAddress, CellValue]:
        """The differences cell by cell."""
        return dict(item for part in self.differences for item in part.cells())

    def value(self, cell: CellAddress) -> CellValue:
        """Value of any cell."""
        array = self.evaluation.value(single_cell(cell))
        return cell_value(
            float(array.numpy().flat[0]),
            int(array.full_kinds.flat[0]),
            str(array.full_texts.flat[0]),
        )


def recalculate(
    workbook: Workbook | str | Path,
    given: Mapping[CellRange, Floats | CellBlock],
    everything: bool = False,
) -> Recalculation:
    """Compute what every formula cell shows with other numbers in some ranges.

    Cells that call RAND or its kin keep their cached value, as do cells that nothing given reaches.

    Args:
        workbook: A workbook, or its path.
        given: Values by range: float64 arrays of shape (rows, columns), or blocks of any kind.
        everything: Compute all cells anew.

    Returns:
        The cells whose value is new, those that could not be computed, each with the reason.

    Raises:
        WorkbookError: A path that leads to no workbook.

    Example:
        >>> import numpy as np
        >>> model = xl2torch.compile("workbooks/line.xlsx")
        >>> given = {model.variables[0].cells: np.array([[2.0], [1.0]])}
        >>> done = xl2torch.recalculate("workbooks/line.xlsx", given)
        >>> new = {str(cell): value for part in done.differences for cell, value in part.cells()}
        >>> new["Model!B8"]
        0.0
    """
    blocks = [Block(area, _array(area, values)) for area, values in given.items()]
    evaluation = Evaluation(as_workbook(workbook), blocks)
    if everything:
        evaluation.compute_all()
    else:
        evaluation.compute_reached()
    workbook = evaluation.workbook
    differences: list[ChangedCells] = []
    resized: list[CellRange] = []
    stale: dict[CellAddress, str] = {}
    if everything:
        reached = {unit for unit in evaluation.all_units() if unit.region and not unit.volatile}
    else:
        reached = evaluation.descendants(evaluation.given)
    doubtful = {unit for unit in reached if unit.cached_because} | _never_drawn(
        workbook, evaluation
    )
    doubtful |= evaluation.descendants(doubtful) & reached
    for unit in reached:
        if unit in doubtful:
            for cell in unit.region.cells() if unit.region else ():
                stale[cell] = (
                    unit.cached_because or "it depends on a cell that cannot be recomputed"
                )
        else:
            differences.append(_differences(workbook, unit))
            first = unit.area.first
            if (first.row, first.column) in workbook.sheet(first.sheet).stored_ranges:
                resized.append(unit.area)
    return Recalculation(differences, stale, evaluation, resized)


def _never_drawn(workbook: Workbook, evaluation: Evaluation) -> set[Unit]:
    """Random cells without a stored value: a blank there would count as 0."""
    return {
        unit for unit in evaluation.all_units()
        if unit.volatile and (stored(workbook, unit.area).full_kinds == BLANK).all()
    }  # fmt: skip


def _array(area: CellRange, values: Floats | CellBlock) -> Array:
    if isinstance(values, CellBlock):
        return from_cells(values)
    return given_numbers(area, values).array


def _differences(workbook: Workbook, unit: Unit) -> ChangedCells:
    """Cells of a unit whose value is not the cached one."""
    assert unit.block is not None
    area, array = unit.area, unit.block.array
    cached = workbook.sheet(area.sheet).cells.block(area.top, area.left, area.bottom, area.right)
    numbers, kinds, texts = array.numpy()[0, 0], array.full_kinds[0, 0], array.full_texts[0, 0]
    same_number = (numbers == cached.numbers) | (np.isnan(numbers) & np.isnan(cached.numbers))
    changed = ~((kinds == cached.kinds) & same_number & (texts == cached.texts))
    rows, columns = np.nonzero(changed)
    return ChangedCells(
        area.sheet, rows + area.top, columns + area.left, numbers[changed], kinds[changed],
        texts[changed],
    )  # fmt: skip
