"""Variable cells that keep their values: for a whole run, or for one of its stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from xl2torch.cells.address import CellRange
from xl2torch.errors import SelectionError
from xl2torch.model.jacobian import present_point
from xl2torch.model.sheet_model import SheetModel, Variable
from xl2torch.training.box import Box
from xl2torch.workbook.read.selection import parse_ranges

_EVERYTHING = "all"


@dataclass(frozen=True)
class Stage:
    """Epochs in which only some variable cells are trained; () are all of them."""

    text: str
    cells: tuple[CellRange, ...]
    epochs: int


def parse_frozen(model: SheetModel, texts: Sequence[str]) -> tuple[CellRange, ...]:
    """Ranges of variable cells. Raises SelectionError where one holds none."""
    found = [
        area
        for text in texts
        for area in parse_ranges(model.compiled.workbook, text, model.problem.sheet)
    ]
    for area in found:
        if not any(area.intersection(variable.cells) for variable in model.variables):
            there = ", ".join(str(variable.cells) for variable in model.variables)
            raise SelectionError(f"{area} holds no variable cell; these are {there}")
    return tuple(found)


def parse_stage(model: SheetModel, text: str) -> Stage:
    """A stage such as ``B24:C26=1`` or ``all=2``. Raises SelectionError."""
    cells, equals, number = text.rpartition("=")
    if not equals or not number.strip().isdigit() or int(number) < 1:
        raise SelectionError(f"the stage {text!r}: give cells and epochs, B24:C26=1 or all=2")
    cells = cells.strip()
    every = cells.lower() == _EVERYTHING
    return Stage(cells, () if every else parse_frozen(model, [cells]), int(number))


def frozen_cells(
    variable: Variable, frozen: Sequence[CellRange], trained: Sequence[CellRange] = ()
) -> torch.Tensor:
    """Which cells of a variable range keep their values, in the shape of the parameter.

    Where some are ``trained``, all others do.
    """
    area = variable.cells
    held = torch.full((area.rows, area.columns), bool(trained))
    for ranges, holds in ((trained, False), (frozen, True)):
        for item in ranges:
            common = item.intersection(area)
            if common is not None:
                held[
                    common.top - area.top : common.bottom - area.top + 1,
                    common.left - area.left : common.right - area.left + 1,
                ] = holds
    return held.reshape(variable.start.shape)


def hold(
    box: Box, model: SheetModel, cells: Sequence[CellRange], trained: Sequence[CellRange] = ()
) -> Box:
    """The box in which variable cells keep their present values, which every optimizer minds.

    Raises SelectionError where such a value is outside its limits.
    """
    masks = [frozen_cells(variable, cells, trained) for variable in model.variables]
    for variable, held in zip(model.variables, masks, strict=True):
        _refuse_outside(variable, held, model.parameter(variable).detach())
    flat = torch.cat([held.reshape(-1) for held in masks])
    return box.holding(flat, present_point(model))


def _refuse_outside(variable: Variable, held: torch.Tensor, present: torch.Tensor) -> None:
    """Raise SelectionError where a value that is to be kept breaks a limit."""
    outside = held & ((present < variable.lower) | (present > variable.upper))
    places = torch.nonzero(outside.reshape(-1)).reshape(-1).tolist()
    if places:
        cell = variable.cells.cells()[places[0]]
        number = float(present.reshape(-1)[places[0]])
        raise SelectionError(
            f"{cell} is {number:g}, outside its limits, and cannot be frozen: change the cell, or "
            "leave it out of `freeze` and `stages`"
        )
