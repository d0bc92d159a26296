"""The value of one variable cell with which the objective reaches its target, as by Goal Seek."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from xl2torch.training.loss import Loss, distance_to_target
from xl2torch.training.record import Record
from xl2torch.training.solvers.scipy_vector import FreeVariables

_NEAREST, _WIDER, _RINGS = 1e-3, 2.0, 60
"""The first distance from the start, relative to it, how it grows, and how often."""


def seek_target(loss: Loss, record: Record) -> None:
    """Look further and further away for two points with the target between them, and bisect.

    For an objective of one variable cell whose slope at the start says nothing of where it goes.
    """
    from scipy.optimize import brentq

    free = FreeVariables(loss, scaled=False)
    if len(free) != 1:
        return
    lower, upper = (float(limit[0]) for limit in free.bounds)
    distance = distance_to_target(loss.model)

    def point(number: float) -> torch.Tensor:
        return free.point(np.array([number]))

    @torch.no_grad()
    def excess(number: float) -> float:
        record.check_time()
        return float(distance(point(number)))

    between = _bracket(excess, float(free.start[0]), lower, upper)
    if between is not None:
        root = brentq(excess, *between, xtol=1e-300, rtol=1e-15, maxiter=500)
        record.arrive(point(float(root)))


def _bracket(
    excess: Callable[[float], float], start: float, lower: float, upper: float
) -> tuple[float, float] | None:
    """Two neighbouring points between which the sign changes; an error value ends its side."""
    here = excess(start)
    ends = {side: (start, here) for side in (1.0, -1.0)}
    for side, number in _points(start, lower, upper):
        before, known = ends.get(side, (math.nan, math.nan))
        found = excess(number) if side in ends else math.nan
        if not math.isfinite(found):
            ends.pop(side, None)
        elif found * known <= 0 and before != number:
            return min(before, number), max(before, number)
        else:
            ends[side] = number, found
    return None


def _points(start: float, lower: float, upper: float) -> Iterator[tuple[float, float]]:
    """Points to both sides, within the bounds, each further away than the last."""
    size = _NEAREST * max(abs(start), 1.0)
    for ring in range(_RINGS):
        for side in (1.0, -1.0):
            yield side, min(max(start + side * size * _WIDER**ring, lower), upper)
