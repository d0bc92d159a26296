"""Constraints that are more than bounds: what SLSQP and trust-constr have in common.

Variables, objective and constraints are scaled at the start point, as Solver's automatic scaling
does it. Where a method ends, it is begun again with the scales of that point, until that brings
nothing more. A point that keeps all
constraints is looked for by least squares of what is overstepped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from xl2torch.analysis.linearity import nonlinear_node
from xl2torch.analysis.optimality import optimality
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import jacobian
from xl2torch.training.loss import Loss, distance_to_target
from xl2torch.training.record import Record
from xl2torch.training.solvers.scaled_objective import scaled_objective
from xl2torch.training.solvers.scipy_vector import FreeVariables, Numbers
from xl2torch.training.stopping import Stop, Stopped

_RESTARTS = 10
_FAR = 1e10
"""Stands for the scaled excess of a constraint where it is an error."""
_BETTER = 1e-12
_AS_GOOD = 1e-5
_DEPENDENT = 1e-10
_SEARCHES = 8
"""Points from which a feasible one is looked for."""
_TOLERANCE = 1e-14

Goal = Callable[[Numbers], tuple[float, Numbers]]
"""What is as small as can be, and its gradient."""


@dataclass(frozen=True, eq=False)
class ConstraintRows:
    """The limits that are no mere bounds, scaled, as functions of the free variables.

    Equal ones are 0 where they are kept, the others not below 0.
    """

    constraints: Constraints
    free: FreeVariables
    equal: np.ndarray
    signs: np.ndarray
    sizes: np.ndarray
    target: Callable[[torch.Tensor], torch.Tensor] | None
    chosen: np.ndarray
    constant: torch.Tensor | None = None
    """The slopes by all variable cells, where all constraints are linear."""

    def excess(self, point: torch.Tensor) -> torch.Tensor:
        found = self.constraints.general_excess(point)
        if self.target is not None:
            found = torch.cat([found, self.target(point).reshape(1)])
        return found[self.chosen]

    def values(self, numbers: Numbers) -> Numbers:
        with torch.no_grad():
            found = self.excess(self.free.point(numbers)).numpy()
        return np.asarray(np.nan_to_num(self.signs * found / self.sizes, nan=-_FAR))

    def slopes(self, numbers: Numbers) -> Numbers:
        if self.constant is None:
            found = jacobian(self.excess, self.free.point(numbers))
        else:
            found = self.constant[self.chosen]
        found = torch.nan_to_num(found)
        return np.asarray((self.signs / self.sizes)[:, None] * self.free.slopes(found))


Method = Callable[[Goal, ConstraintRows, Record], None]
"""One run of a method of scipy from the present point; it notes its iterations and its end."""


def _constant_slopes(loss: Loss, constraints: Constraints) -> torch.Tensor | None:
    """Slopes that are the same everywhere; None where a constraint is not linear."""
    if loss.model.problem.sense == "value":
        return None
    if any(nonlinear_node(module) is not None for _, module in constraints.modules):
        return None
    return constraints.general_slopes(loss.point)


def _rows(
    loss: Loss, constraints: Constraints, free: FreeVariables, constant: torch.Tensor | None
) -> ConstraintRows:
    problem = loss.model.problem
    target = None
    relations = [constraints.limits[place].relation for place in constraints.general]
    if problem.sense == "value":
        relations.append("=")
        target = distance_to_target(loss.model)
    signs = np.array([-1.0 if relation == "<=" else 1.0 for relation in relations])
    equal = np.array([relation == "=" for relation in relations], dtype=bool)
    ones = np.ones(len(relations))
    every = np.arange(len(equal))
    rows = ConstraintRows(constraints, free, equal, signs, ones, target, every, constant)
    chosen = _independent(rows)
    rows = replace(
        rows, equal=equal[chosen], signs=signs[chosen], sizes=ones[chosen], chosen=chosen
    )
    steep = np.linalg.norm(rows.slopes(free.start), axis=1)
    sizes = np.where((steep > 0) & np.isfinite(steep), steep, 1.0)
    return replace(rows, sizes=sizes)


def _independent(rows: ConstraintRows) -> np.ndarray:
    """Rows without equal ones that others imply: row and column sums of a transport, say.

    Those depend on the others by derivatives and value, at the start and at another point.
    """
    from scipy.linalg import qr

    equal = np.flatnonzero(rows.equal)
    if len(equal) < 2:
        return np.arange(len(rows.equal))
    free = rows.free
    aside = np.random.default_rng(0).uniform(0.01, 0.1, len(free)) * np.maximum(
        np.abs(free.start), 1.0
    )
    parts = []
    for numbers in (free.start, np.clip(free.start + aside, *free.bounds)):
        parts += [rows.slopes(numbers)[equal], rows.values(numbers)[equal, None]]
    stacked = np.hstack(parts)
    sizes = np.linalg.norm(stacked, axis=1, keepdims=True)
    factor, order = qr((stacked / np.where(sizes > 0, sizes, 1.0)).T, mode="r", pivoting=True)
    rank = int((np.abs(np.diag(factor)) > _DEPENDENT).sum())
    return np.sort(np.append(np.flatnonzero(~rows.equal), equal[order[:rank]]))


def _nearest(
    free: FreeVariables, begin: torch.Tensor
) -> Callable[[Numbers], tuple[float, Numbers]]:
    """Among all points that reach the target, or keep the constraints, the nearest to the start."""
    start = free.numbers(begin)

    def function(numbers: Numbers) -> tuple[float, Numbers]:
        away = numbers - start
        return float(away @ away) / 2, away

    return function


def solve_constrained(
    loss: Loss, constraints: Constraints, record: Record, method: Method
) -> Stop:  # fmt: skip
    """As small as can be where all constraints are kept."""
    is_target = loss.model.problem.sense == "value"
    any_will_do = is_target or loss.model.problem.is_system
    begin, constant = loss.point, _constant_slopes(loss, constraints)
    searched, last = False, math.inf
    for _ in range(_RESTARTS):
        free = FreeVariables(loss, scaled=True)
        rows = _rows(loss, constraints, free, constant)
        goal = _nearest(free, begin) if any_will_do else scaled_objective(loss, free)
        try:
            method(goal, rows, record)
        except Stopped as stopped:
            if stopped.stop.code not in (4, 9) or stopped.stop.restored:
                raise
            # Far away and not downhill, or an error value: it goes on from the best point.
            record.restore()
            loss.evaluate()
        overstep = constraints.worst_violation(loss.point)[0]
        if overstep <= 1.0:
            # A point before it may be better only because it oversteps a limit a little more.
            worse = loss.value - record.best
            if worse <= 0 or (worse <= _AS_GOOD * abs(record.best) and not is_target):
                record.keep(overstep)
            if abs(loss.value - last) <= _BETTER * max(abs(last), 1e-300):
                break
            last = loss.value
        elif not searched and _find_feasible(loss, constraints, record, constant):
            searched = True
        elif record.feasible:
            break
        else:
            return _infeasible(loss, constraints, record)
    record.restore()
    loss.evaluate()
    found = optimality(constraints, loss.point, (loss.box.lower, loss.box.upper))
    if is_target and not constraints.reaches(loss.objective):
        return Stop(5, missed(loss.model.problem.target, loss.objective))
    if found.optimal:
        return Stop(0)
    return Stop(2, "The optimality conditions do not hold to six digits: a kink, or constraints "
                "that depend on each other, may be the reason.")  # fmt: skip


def solve_system(loss: Loss, constraints: Constraints, record: Record) -> Stop:
    """A point that keeps all constraints, by least squares of what is overstepped."""
    if record.feasible:
        return Stop(0)
    constant = _constant_slopes(loss, constraints)
    if not _find_feasible(loss, constraints, record, constant):
        return _infeasible(loss, constraints, record)
    return Stop(0)


def end_at(record: Record, point: torch.Tensor) -> None:
    """Note the point where a method ends, unless it was noted already."""
    if not torch.equal(point, record.last):
        record.arrive(point)
    else:
        record.loss.evaluate_at(point)


def _find_feasible(
    loss: Loss, constraints: Constraints, record: Record, constant: torch.Tensor | None
) -> bool:
    """Move to a point that keeps the constraints, near or far; False where none was found."""
    from scipy.optimize import least_squares

    free = FreeVariables(loss, scaled=True)
    rows = _rows(loss, constraints, free, constant)
    random = np.random.default_rng(0)

    def beyond(numbers: Numbers) -> Numbers:
        record.check_time()
        found = rows.values(numbers)
        return np.where(rows.equal, found, np.minimum(found, 0.0))

    def slopes(numbers: Numbers) -> Numbers:
        active = rows.equal | (rows.values(numbers) < 0)
        return rows.slopes(numbers) * active[:, None]

    best: tuple[float, torch.Tensor] | None = None
    for trial in range(_SEARCHES):
        spread = np.maximum(np.abs(free.start), 1.0) * random.uniform(-2, 2, len(free))
        start = np.clip(free.start + (spread if trial else 0.0), *free.bounds)
        with np.errstate(all="ignore"):
            found = least_squares(
                beyond, start, slopes, free.bounds, x_scale="jac", xtol=_TOLERANCE,
                ftol=_TOLERANCE, gtol=_TOLERANCE, max_nfev=500,
            )  # fmt: skip
        point = free.point(np.asarray(found.x))
        overstep = constraints.worst_violation(point)[0]
        if best is None or overstep < best[0]:
            best = overstep, point
        if overstep <= 1.0:
            break
    assert best is not None
    loss.evaluate_at(best[1])
    if not loss.failed:
        record.note()
    return best[0] <= 1.0 and not loss.failed


def _infeasible(loss: Loss, constraints: Constraints, record: Record) -> Stop:
    """Which constraints are not kept at the best point that was found."""
    record.restore()
    loss.evaluate()
    broken = unkept(constraints, loss.point)
    return Stop(5, broken or missed(loss.model.problem.target, loss.objective), bool(broken))


def unkept(constraints: Constraints, point: torch.Tensor) -> str:
    """Constraints that are overstepped at a point, in words; '' for none."""
    if not constraints.limits:
        return ""
    with torch.no_grad():
        kept = constraints.violation(point) <= constraints.tolerance(point)
        excess = constraints.excess(point).abs().tolist()
    broken = [
        f"{limit.text} (by {excess[place]:.3g})"
        for place, limit in enumerate(constraints.limits) if not bool(kept[place])
    ]  # fmt: skip
    if not broken:
        return ""
    named = "; ".join(broken[:6]) + (f"; and {len(broken) - 6} more" if len(broken) > 6 else "")
    return f"Where the others are kept, these are not: {named}. Loosen or drop one of them."


def missed(target: float, objective: float) -> str:
    """That the target was not reached, in words."""
    return (
        f"The objective does not reach {target:g}; the nearest that was met, {objective:.10g}, is "
        'kept. Try other start values (`starts=20`), or `sense="min"`.'
    )
