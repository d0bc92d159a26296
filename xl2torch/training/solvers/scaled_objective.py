"""The loss as scipy's methods want it: scaled at the start, with an error value moderately bad."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xl2torch.training.loss import Loss
from xl2torch.training.solvers.scipy_vector import FreeVariables, Numbers

_WORSE = 10.0
"""Added to the scaled objective at the start, it stands for an error: a line search turns round
there, and finds its way back by interpolation."""
_SHORTENINGS = 30
_LARGER = 10.0
_FLAT_OBJECTIVE = 1e-3


def scaled_objective(loss: Loss, free: FreeVariables) -> Callable[[Numbers], tuple[float, Numbers]]:
    """Scaled loss and its gradient, as a function of the free variables."""
    size = _size(loss, free)
    worse = loss.value / size + _WORSE

    def function(numbers: Numbers) -> tuple[float, Numbers]:
        value = loss.evaluate_at(free.point(numbers))
        if loss.failed:
            return worse, np.zeros(len(free))
        return value / size, free.slopes(loss.gradient) / size

    return function


def _size(loss: Loss, free: FreeVariables) -> float:
    """What the objective is measured in: its value, or its steepness where it is near 0.

    Larger where a first step down the gradient would lead to an error value.
    """
    size = max(abs(loss.value), float(loss.gradient.norm()) * _FLAT_OBJECTIVE) or 1.0
    begin, way = free.start, free.slopes(loss.gradient)
    point = loss.point
    for _ in range(_SHORTENINGS):
        loss.move(free.point(begin - way / size))
        if loss.has_value():
            break
        size *= _LARGER
    loss.move(point)
    return size
