"""The objective as the sheet itself computes it, error values and all.

A recognised function has a value where its spelling in cells overflows: EXP(800) is #NUM!, the
sigmoid that it stands in is 1. Training goes by the program; its answer has to be one of the sheet.
"""

from __future__ import annotations

import math

import torch

from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.diagnosis import named, sheet_error
from xl2torch.training.loss import Loss
from xl2torch.training.record import Record

_FURTHER = 2.0
"""How far beyond the best point the objective is looked at, to tell whether it has an optimum."""
_LARGE = 1e-3


class SheetLoss(Loss):
    """The loss of a model that is an error wherever the sheet is one."""

    def has_value(self) -> bool:
        """Whether the sheet has a value, too, at the present parameters."""
        return super().has_value() and sheet_error(self.model, self.point) is None

    def _differentiate(self) -> torch.Tensor:
        loss = super()._differentiate()
        if sheet_error(self.model, self.point) is not None:
            self.objective = math.nan
        return loss


def last_in_sheet(record: Record, model: SheetModel) -> torch.Tensor | None:
    """The last point of the way at which the sheet has a value; None where it has none at all."""
    trail = record.trail
    if trail and sheet_error(model, trail[0]) is None:
        low, high = 0, len(trail)
        while high - low > 1:
            middle = (low + high) // 2
            fits = sheet_error(model, trail[middle]) is None
            low, high = (middle, high) if fits else (low, middle)
        return trail[low]
    return next((point for point in reversed(trail) if sheet_error(model, point) is None), None)


def endless(loss: Loss, start: torch.Tensor, far: torch.Tensor) -> str:
    """That the objective gets better without end from a start to a far point, and which cells run
    away with it, in words; '' where it does not."""
    there = loss.evaluate_at(far)
    ways = [
        way for way in (far - start, far)
        if loss.evaluate_at(far + (_FURTHER - 1) * way) <= there < loss.evaluate_at(start)
    ]  # fmt: skip
    if not ways:
        return ""
    sizes = ways[0].abs()
    run_away = (sizes >= _LARGE * float(sizes.max())).tolist()
    cells = [cell for cell, runs in zip(loss.model.cell_values(), run_away, strict=True) if runs]
    place = sheet_error(loss.model, far)
    return (
        f"It gets better without end as {named(cells)} run away; beyond the point that is kept the "
        f"sheet is an error, which begins in {place}. Add bounds or a penalty."
    )
