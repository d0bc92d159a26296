"""Recalculating a workbook: what every formula cell shows, given new values in some cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from xl2torch.address import CellAddress, CellRange, single_cell
from xl2torch.functions.array import Array, constant
from xl2torch.graph.blocks import Block, from_cells
from xl2torch.graph.schedule import Evaluation, Unit
from xl2torch.values import CellValue
from xl2torch.workbook.cells import CellBlock, Floats, cell_value
from xl2torch.workbook.reader import Workbook


@dataclass(frozen=True)
class Recalculation:
    """Outcome of a recalculation.

    ``changed`` are formula and spilled cells whose value is new. ``stale`` are formula cells that
    depend on the new values but could not be recomputed, each with the reason.
    """

    changed: Mapping[CellAddress, CellValue]
    stale: Mapping[CellAddress, str]
    evaluation: Evaluation

    def value(self, cell: CellAddress) -> CellValue:
        """Value of any cell."""
        array = self.evaluation.value(single_cell(cell))
        return cell_value(
            float(array.numpy().flat[0]),
            int(array.full_kinds.flat[0]),
            str(array.full_texts.flat[0]),
        )


def recalculate(
    workbook: Workbook, given: Mapping[CellRange, Floats | CellBlock], everything: bool = False
) -> Recalculation:
    """Recalculate with numbers, or values of any kind, put into some ranges.

    Cells that call RAND or its kin keep their cached value, as do cells that nothing given reaches,
    unless ``everything`` is asked for.
    """
    blocks = [Block(area, _array(area, values)) for area, values in given.items()]
    evaluation = Evaluation(workbook, blocks)
    evaluation.compute_all()
    changed: dict[CellAddress, CellValue] = {}
    stale: dict[CellAddress, str] = {}
    if everything:
        reached = {unit for unit in evaluation.all_units() if unit.region and not unit.volatile}
    else:
        reached = evaluation.descendants(evaluation.given)
    doubtful = {unit for unit in reached if unit.borrowed}
    doubtful |= evaluation.descendants(doubtful) & reached
    for unit in reached:
        if unit in doubtful:
            for cell in unit.region.cells() if unit.region else ():
                stale[cell] = unit.borrowed or "it depends on a cell that cannot be recomputed"
        else:
            changed.update(_differences(workbook, unit))
    return Recalculation(changed, stale, evaluation)


def _array(area: CellRange, values: Floats | CellBlock) -> Array:
    if isinstance(values, CellBlock):
        return from_cells(values)
    return constant(np.asarray(values, dtype=float).reshape(1, 1, area.rows, area.columns))


def _differences(workbook: Workbook, unit: Unit) -> Iterator[tuple[CellAddress, CellValue]]:
    """Cells of a unit whose value is not the cached one."""
    assert unit.block is not None
    area, array = unit.area, unit.block.array
    cached = workbook.sheet(area.sheet).cells.block(area.top, area.left, area.bottom, area.right)
    numbers, kinds, texts = array.numpy()[0, 0], array.full_kinds[0, 0], array.full_texts[0, 0]
    same_number = (numbers == cached.numbers) | (np.isnan(numbers) & np.isnan(cached.numbers))
    same = (kinds == cached.kinds) & same_number & (texts == cached.texts)
    for row, column in np.argwhere(~same):
        place = CellAddress(area.sheet, area.top + int(row), area.left + int(column))
        yield (
            place,
            cell_value(
                float(numbers[row, column]), int(kinds[row, column]), str(texts[row, column])
            ),
        )
