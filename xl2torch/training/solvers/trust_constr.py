"""trust-constr of scipy: constraints with many variable cells."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from xl2torch.training.methods import SLSQP, TRUST
from xl2torch.training.record import Record
from xl2torch.training.solvers.constrained import ConstraintRows, Goal, end_at, solve_constrained
from xl2torch.training.solvers.protocol import Choice, Request, Run, ScipySolver, Task, register
from xl2torch.training.solvers.scipy_vector import Numbers
from xl2torch.training.solvers.slsqp import constraints_in_words
from xl2torch.training.stopping import Stop


class TrustConstrSolver(ScipySolver):
    """A trust region with an interior point."""

    name = TRUST
    title = "Trust region, constrained"
    rank = 40
    keeps_constraints = True
    scales = True
    successors: tuple[str, ...] = (SLSQP,)

    def fits(self, request: Request) -> Choice | None:
        """Constraints with more variable cells than SLSQP is for."""
        if not request.is_whole or not request.general or request.model.problem.is_system:
            return None
        reason = f"{constraints_in_words(request)}, {request.count} variable cells"
        return Choice(self.name, reason)

    def solve(self, task: Task, run: Run) -> Stop:
        """From the present point."""
        return solve_constrained(task.loss, task.constraints, run.record, _trust_region)


def _trust_region(goal: Goal, rows: ConstraintRows, record: Record) -> None:
    """One run of the method."""
    from scipy.optimize import BFGS, Bounds, NonlinearConstraint, minimize

    free = rows.free
    upper = np.where(rows.equal, 0.0, np.inf)
    limits = NonlinearConstraint(rows.values, 0.0, upper, jac=rows.slopes, hess=BFGS())

    def arrive(numbers: Numbers, state: Any) -> None:
        record.arrive(free.point(numbers))
        record.check()

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a step without curvature is no matter
        found = minimize(
            goal, free.start, jac=True, hess=BFGS(), method="trust-constr",
            bounds=Bounds(*free.bounds) if free.bounded else None,
            constraints=limits if len(rows.equal) else (),
            callback=arrive,
            options={"gtol": 1e-10, "xtol": 1e-12, "barrier_tol": 1e-10,
                     "maxiter": record.left + 1},
        )  # fmt: skip
    end_at(record, free.point(np.asarray(found.x)))


register(TrustConstrSolver())
