"""The objective over two variable cells, all others held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from xl2torch.cells.address import CellAddress
from xl2torch.errors import SelectionError
from xl2torch.model.jacobian import (
    VectorFunction,
    copies_at_once,
    present_point,
    values_at,
    variable_shapes,
)
from xl2torch.model.sheet_model import SheetModel
from xl2torch.workbook.read.selection import parse_ranges

_POINTS = 61
_MARGIN = 0.25

Limits = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Landscape:
    """Objective values (y, x) over the numbers of two cells; NaN where it is an error.

    ``way`` are points (x, y) from the start to the end, one where nothing was trained.
    """

    cells: tuple[CellAddress, CellAddress]
    x: torch.Tensor
    y: torch.Tensor
    values: torch.Tensor
    way: torch.Tensor


def two_cells(model: SheetModel, text: str | None) -> tuple[CellAddress, CellAddress]:
    """The two variable cells of a text, by default the first two. Raises SelectionError."""
    every = list(model.cell_values())
    chosen = every[:2]
    if text is not None:
        areas = parse_ranges(model.compiled.workbook, text, model.problem.sheet)
        chosen = [cell for area in areas for cell in area.cells()]
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        what = "the model has only one" if text is None else f"{text} holds {len(set(chosen))}"
        raise SelectionError(f"two variable cells are wanted, such as `cells='B5,B6'`; {what}")
    for cell in chosen:
        if cell not in every:
            raise SelectionError(f"{cell} is no variable cell")
    return chosen[0], chosen[1]


def landscape(
    model: SheetModel, cells: tuple[CellAddress, CellAddress], way: Sequence[Sequence[float]] = (),
    limits: Sequence[Limits | None] = (None, None),
) -> Landscape:  # fmt: skip
    """The objective around the present point, or around a ``way`` of the two cells.

    ``limits`` of both numbers are by default those of the way, with a margin.
    """
    order = list(model.cell_values())
    places = [order.index(cell) for cell in cells]
    present = present_point(model)
    points = torch.tensor([list(point) for point in way], dtype=torch.float64)
    if not len(points):
        points = present[places].reshape(1, 2)
    x, y = (
        torch.linspace(*(limit or _around(points[:, axis])), _POINTS, dtype=torch.float64)
        for axis, limit in enumerate(limits)
    )
    grid = present.repeat(_POINTS * _POINTS, 1)
    grid[:, places[0]] = x.repeat(_POINTS)
    grid[:, places[1]] = y.repeat_interleave(_POINTS)
    values = objectives(model, grid).reshape(_POINTS, _POINTS)
    return Landscape(cells, x, y, torch.where(torch.isfinite(values), values, torch.nan), points)


@torch.no_grad()
def objectives(model: SheetModel, points: torch.Tensor) -> torch.Tensor:
    """The objective at many points, a point in each row; copies of the model run together."""
    function = VectorFunction(model.eval(), variable_shapes(model))
    parts = torch.split(points, copies_at_once(model))
    return torch.cat([values_at(function, part).reshape(-1) for part in parts])


def _around(numbers: torch.Tensor) -> Limits:
    low, high = float(numbers.min()), float(numbers.max())
    margin = _MARGIN * (high - low) if high > low else max(1.0, abs(low))
    return low - margin, high + margin
