"""Least squares: a trust region with the exact Jacobian, then Gauss-Newton steps until they stall.

scipy's trust region reflective method (Branch, Coleman and Li, SIAM J. Sci. Comput. 21, 1999) comes
near from far away and keeps bounds. A sum of squares is flat at its minimum: what tells the last
digits of the variables is not its value but the size of a Gauss-Newton step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.analysis.residuals import find_residuals, has_kink
from xl2torch.errors import SelectionError
from xl2torch.model.jacobian import jacobian, present_point
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.loss import Loss, distance_to_target
from xl2torch.training.methods import LEAST_SQUARES
from xl2torch.training.record import Record
from xl2torch.training.solvers.constrained import solve_system
from xl2torch.training.solvers.independent_blocks import find_blocks, fit_blocks
from xl2torch.training.solvers.protocol import Choice, Request, Run, ScipySolver, Task, register
from xl2torch.training.solvers.scipy_vector import FreeVariables, Numbers
from xl2torch.training.stopping import Stop, stands_still

_MOST_DENSE = 300
"""Variable cells up to which all are solved for together."""
_FEW = 50
_DETERMINED = 3
_SMALL = 1_000_000
"""Variable cells for which least squares are chosen, and where there are so many residuals for
each; elements of the Jacobian, of which a step costs one."""
_TOLERANCE = 1e-15
_FINISHING_STEPS = 50
_SHRINKS = 0.9
_SAME = 1e-9
_NEAR = 1e-6
_ORTHOGONAL = 1e-6
"""Largest cosine between the residuals and a column of the Jacobian at a solution."""


def solve_least_squares(
    residuals: Callable[[torch.Tensor], torch.Tensor], loss: Loss, record: Record
) -> Stop:
    """Minimise Σr² within bounds, from the present point.

    Where the residuals fall apart into blocks each is solved for itself: a step for all variables
    together costs their number cubed, and ends where one block does not get on.
    """
    from scipy.optimize import least_squares

    free = FreeVariables(loss, scaled=False)
    record.prefer_later()
    squares: list[float] = []

    def function(numbers: Numbers) -> Numbers:
        with torch.no_grad():
            return np.asarray(residuals(free.point(numbers)).numpy())

    def slopes(numbers: Numbers) -> Numbers:
        return free.slopes(torch.nan_to_num(jacobian(residuals, free.point(numbers))))

    def arrive(numbers: Numbers) -> None:
        record.arrive(free.point(numbers))
        record.check()

    def callback(intermediate_result: Any) -> None:
        arrive(intermediate_result.x)
        squares.append(float(intermediate_result.cost))
        if stands_still(squares):
            raise StopIteration  # the last digits are a matter of the finish

    bounds = free.bounds
    blocks = find_blocks(residuals, free)
    if blocks is not None:
        numbers = fit_blocks(residuals, free, blocks, arrive)
        if record.is_gone:
            return Stop(0)
        return _ended(function(numbers), slopes(numbers), numbers, bounds)
    with np.errstate(all="ignore"):
        found = least_squares(
            function, free.start, slopes, bounds, method="trf", x_scale="jac",
            ftol=_TOLERANCE, xtol=_TOLERANCE, gtol=_TOLERANCE, max_nfev=10 * record.left + 10,
            callback=callback,
        )  # fmt: skip
        numbers = _on_bounds(function, slopes, np.asarray(found.x), bounds)
        numbers = _finished(function, slopes, numbers, bounds)
        record.arrive(free.point(numbers))
        return _ended(function(numbers), slopes(numbers), numbers, bounds)


def _on_bounds(
    function: Callable[[Numbers], Numbers], slopes: Callable[[Numbers], Numbers],
    numbers: Numbers, bounds: tuple[Numbers, Numbers],
) -> Numbers:  # fmt: skip
    """The point with variables on the bounds that they are drawn to: the method stays inside."""
    pull = slopes(numbers).T @ function(numbers)
    moved = numbers.copy()
    for bound, outward in ((bounds[0], pull > 0), (bounds[1], pull < 0)):
        size = np.where(np.isfinite(bound), np.maximum(np.abs(bound), 1.0), 0.0)
        near = np.abs(numbers - bound) <= _NEAR * size
        moved = np.where(near & outward, bound, moved)
    return moved


def _held(pull: Numbers, numbers: Numbers, bounds: tuple[Numbers, Numbers]) -> NDArray[np.bool_]:
    """Which variables are at a bound that keeps them from going further."""
    held = ((numbers <= bounds[0]) & (pull > 0)) | ((numbers >= bounds[1]) & (pull < 0))
    return np.asarray(held)


def _finished(
    function: Callable[[Numbers], Numbers], slopes: Callable[[Numbers], Numbers],
    numbers: Numbers, bounds: tuple[Numbers, Numbers],
) -> Numbers:  # fmt: skip
    """Gauss-Newton steps as long as each is shorter than the one before it, or halves the sum.

    A distance to a target shrinks without end, and steps near 0 are as large as the variables.
    """
    errors = function(numbers)
    squares, last = float(errors @ errors), math.inf
    for _ in range(_FINISHING_STEPS):
        here = slopes(numbers)
        moving = ~_held(here.T @ errors, numbers, bounds)
        lengths = np.linalg.norm(here, axis=0)
        scale = np.where(lengths > 0, lengths, 1.0)
        step = np.zeros_like(numbers)
        part = np.linalg.lstsq((here / scale)[:, moving], errors, rcond=None)[0]
        step[moving] = -part / scale[moving]
        size = float(np.max(np.abs(step) / np.maximum(np.abs(numbers), 1e-300), initial=0.0))
        moved = numbers + step
        inside = ((moved >= bounds[0]) & (moved <= bounds[1])).all()
        if not (size > 0 and inside):
            break
        fresh = function(moved)
        total = float(fresh @ fresh)
        shorter = size < _SHRINKS * last and total <= squares * (1 + _SAME)
        if not (shorter or total < squares / 2):
            break
        numbers, errors, squares, last = moved, fresh, min(squares, total), size
    return numbers


def _ended(
    errors: Numbers, slopes: Numbers, numbers: Numbers, bounds: tuple[Numbers, Numbers]
) -> Stop:
    """Whether no variable can make the residuals shorter, to first order and within its bounds."""
    pull = slopes.T @ errors
    held = _held(pull, numbers, bounds)
    sizes = np.linalg.norm(slopes, axis=0) * np.linalg.norm(errors)
    return Stop(0 if bool((np.abs(pull) <= _ORTHOGONAL * sizes)[~held].all()) else 1)


class LeastSquaresSolver(ScipySolver):
    """For sums of squares of smooth residuals, and for constraints without an objective."""

    name = LEAST_SQUARES
    title = "Least squares, exact Jacobian"
    rank = 50
    needs_home = True

    def fits(self, request: Request) -> Choice | None:
        """Few variable cells and no more than residuals, or blocks that never meet."""
        if not request.is_whole:
            return None
        if request.general:
            reason = "the constraints alone: least squares of what is overstepped"
            return Choice(self.name, reason) if request.model.problem.is_system else None
        reason = "" if request.wants_rate or not request.home else _squares(request)
        return Choice(self.name, reason) if reason else None

    def solve(self, task: Task, run: Run) -> Stop:
        """From the present point."""
        if task.model.problem.is_system:
            return solve_system(task.loss, task.constraints, run.record)
        return solve_least_squares(_residuals(task.model), task.loss, run.record)


def _squares(request: Request) -> str:
    """Why least squares fit, in words; '' where they do not."""
    model, count = request.model, request.count
    if model.problem.sense == "value":
        smooth = not any(has_kink(node) for node in model.graph.nodes)
        return "the distance to the target is a single smooth residual" if smooth else ""
    residuals = find_residuals(model)
    if residuals is None or not residuals.smooth:
        return ""
    with torch.no_grad():
        rows = len(residuals.function(present_point(model)))
    what = f"a {residuals.form(rows)} of {rows} smooth residuals, {count} variable cells"
    least = count if count <= _FEW else _DETERMINED * count
    if count <= _MOST_DENSE and least <= rows <= _SMALL // count:
        return what
    blocks = None
    if _FEW < count <= rows:
        blocks = find_blocks(residuals.function, FreeVariables(Loss(model), scaled=False))
    return "" if blocks is None else f"{what} in {blocks.count} blocks that never meet"


def _residuals(model: SheetModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """Residuals of the objective. Raises SelectionError where least squares make no sense."""
    if model.problem.sense == "value":
        return distance_to_target(model)
    found = find_residuals(model)
    if found is None:
        raise SelectionError(
            f"the objective {model.problem.objective} is no sum, mean or root mean of squared "
            "residuals that is to be as small as can be: choose another `optimizer`"
        )
    return found.function


register(LeastSquaresSolver())
