"""Newton's method with the exact Hessian, for few variable cells.

It goes on where a quasi-Newton method creeps: variables of very different size, and likelihoods
whose optimum is far off or nowhere. Units of the variables make no difference to it. Curvature
counts by its size, whatever its sign, so that a step always leads downhill (Dauphin and others,
Identifying and attacking the saddle point problem, 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from xl2torch.analysis.residuals import has_kink
from xl2torch.model.jacobian import jacobian
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.loss import Loss, loss_function
from xl2torch.training.methods import NEWTON
from xl2torch.training.record import Record
from xl2torch.training.solvers.protocol import Run, ScipySolver, Task, register
from xl2torch.training.stopping import Stop

_MOST_VARIABLES = 100
"""A step costs as many gradients as there are variable cells."""
_MOST_STEPS = 500
_LEAST_CURVATURES = [10.0**power for power in range(-10, 12, 3)]
"""Beside that along the variables themselves; less counts as this. More of it is a shorter step,
which turns towards the gradient."""
_LENGTHS = [0.25**power for power in range(16)]
_LONGEST = 10.0
"""A step may promise to make the loss better by as many times as it is large, or the terms of it
that are linear in the variables."""
_DECREASE = 1e-4
_APART = 1e-6
"""Share of a variable's size for a difference quotient."""


def fits_newton(model: SheetModel) -> bool:
    """Whether the Hessian of a model is there, and is cheap."""
    few = sum(variable.cells.size for variable in model.variables) <= _MOST_VARIABLES
    smooth = not any(has_kink(node) for node in model.graph.nodes)
    return few and smooth and not model.drawn and model.problem.sense in ("min", "max")


def solve_newton(loss: Loss, record: Record) -> Stop:
    """As small as can be within bounds, from the present point. Raises Stopped."""
    gradient = _gradient_of(loss.model)
    box = loss.box
    loss.evaluate_at(box.clamp(loss.point))
    for _ in range(_MOST_STEPS):
        stop = record.converged()
        if stop is not None:
            return stop
        point, value, slope = loss.point, loss.value, loss.free_gradient
        if not bool(slope.any()):
            return Stop(2)  # some slopes are no numbers
        size = abs(value) + float((slope * point).abs().sum())
        for step in _steps(_hessian(gradient, point), slope):
            longest = min(1.0, _LONGEST * size / float(-slope @ step)) if size else 1.0
            for length in _LENGTHS:
                moved = box.clamp(point + length * longest * step)
                wanted = _DECREASE * float(slope @ (moved - point))
                loss.evaluate_at(moved)
                if not loss.failed and loss.value <= value + wanted:
                    break
            if not loss.failed and loss.value < value:
                break
        else:
            loss.evaluate_at(point)
            return Stop(2)
        record.arrive(moved)
        record.check()
    return Stop(2)


def _gradient_of(model: SheetModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """The gradient of the loss as a function of all variable cells that can be differentiated."""
    loss = loss_function(model)

    def gradient(point: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.autograd.grad(loss(point), point, create_graph=True)[0]
        return found

    return gradient


def _hessian(gradient: Callable[[torch.Tensor], torch.Tensor], point: torch.Tensor) -> torch.Tensor:
    """Second derivatives; where they overflow, differences of the gradient; 0 where it does too."""
    found = jacobian(gradient, point)
    if bool(torch.isfinite(found).all()):
        return found
    sizes = _APART * torch.where(point == 0, 1.0, point.abs())
    rows = []
    for move in torch.diag(sizes):
        ends = [gradient((point + way).requires_grad_()).detach() for way in (move, -move)]
        rows.append((ends[0] - ends[1]) / (2 * move.sum()))
    return torch.nan_to_num(torch.stack(rows), 0.0, 0.0, 0.0)


def _steps(curvature: torch.Tensor, slope: torch.Tensor) -> Iterator[torch.Tensor]:
    """−|H|⁻¹g with the least curvature that counts, then with ever more of it.

    H is measured in units in which its diagonal is 1; variables without a slope stay.
    """
    free = slope != 0
    curvature = curvature[free][:, free]
    sizes = curvature.diagonal().abs().sqrt()
    units = torch.where(sizes > 0, 1 / sizes, 1.0)
    values, ways = torch.linalg.eigh(units[:, None] * (curvature + curvature.T) / 2 * units)
    pull = ways.T @ (units * slope[free])
    for least in _LEAST_CURVATURES:
        step = torch.zeros_like(slope)
        step[free] = -units * (ways @ (pull / values.abs().clamp_min(least)))
        yield step


class NewtonSolver(ScipySolver):
    """It takes over where another one creeps, and is not chosen by name."""

    name = NEWTON
    title = "Newton, exact Hessian"
    library = "torch"

    def solve(self, task: Task, run: Run) -> Stop:
        """As small as can be within bounds."""
        return solve_newton(task.loss, run.record)


register(NewtonSolver())
