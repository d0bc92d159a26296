"""Bounds and nothing more: what L-BFGS-B and TNC of scipy have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xl2torch.training.loss import Loss
from xl2torch.training.record import Record
from xl2torch.training.solvers.descent import still_steep
from xl2torch.training.solvers.scaled_objective import scaled_objective
from xl2torch.training.solvers.scipy_vector import FreeVariables, Numbers
from xl2torch.training.stopping import Stop, Stopped

_BETTER = 1e-12


def solve_bounded(
    loss: Loss, record: Record, method: str, options: Mapping[str, object],
    callback: Callable[[Callable[[Numbers], None]], Callable[..., None]],
) -> Stop:  # fmt: skip
    """As small as can be within bounds.

    A method that ends begins again with the scales of its end, until that brings nothing more.
    ``callback`` makes of what notes a point that which the method calls after an iteration.
    """
    from scipy.optimize import minimize

    while True:
        before = loss.value
        free = FreeVariables(loss, scaled=True)

        with np.errstate(all="ignore"):
            found = minimize(
                scaled_objective(loss, free), free.start, jac=True, method=method,
                bounds=np.transpose(free.bounds), callback=callback(_noting(record, free)),
                options=dict(options),
            )  # fmt: skip
        loss.evaluate_at(free.point(found.x))
        stop = record.converged()
        if stop is not None:
            return stop
        if record.is_gone:
            return Stop(0)
        if not loss.value < before - _BETTER * abs(before):
            return Stop(2, still_steep(loss.steepness))


def _noting(record: Record, free: FreeVariables) -> Callable[[Numbers], None]:
    """What notes an iteration, and ends the run where nothing more is to be gained."""

    def arrive(numbers: Numbers) -> None:
        record.arrive(free.point(numbers))
        stop = record.converged()
        if stop is not None:
            raise Stopped(stop)
        record.check()

    return arrive


def of_result(note: Callable[[Numbers], None]) -> Callable[..., None]:
    """For methods that call back with an ``intermediate_result``."""

    def call(intermediate_result: Any) -> None:
        note(intermediate_result.x)

    return call
