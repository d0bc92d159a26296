"""SLSQP of scipy: constraints that are more than bounds, and kinks in their epigraph form.

Kraft, A software package for sequential quadratic programming, 1988.
"""

from __future__ import annotations

import numpy as np

from xl2torch.training.methods import SLSQP, TRUST
from xl2torch.training.record import Record
from xl2torch.training.solvers.constrained import ConstraintRows, Goal, end_at, solve_constrained
from xl2torch.training.solvers.epigraph import Epigraph, find_epigraph, solve_epigraph
from xl2torch.training.solvers.protocol import Choice, Request, Run, ScipySolver, Task, register
from xl2torch.training.solvers.scipy_vector import Numbers
from xl2torch.training.stopping import Stop

_MOST_VARIABLES = 500
"""Variable cells for which it is chosen: a step costs their number cubed."""
_TOLERANCE = 1e-14


class SlsqpSolver(ScipySolver):
    """Sequential quadratic programming."""

    name = SLSQP
    title = "SLSQP"
    rank = 30
    keeps_constraints = True
    scales = True
    successors: tuple[str, ...] = (TRUST,)

    def fits(self, request: Request) -> Choice | None:
        """Absolute values and maxima; constraints, where there are not too many variable cells."""
        if not request.is_whole:
            return None
        alone = request.home and not request.has_rate
        epigraph = find_epigraph(request.model) if alone else None
        if epigraph is not None:
            reason = (
                f"{epigraph.count} absolute values or maxima, each a variable with limits of its "
                "own"
            )
            return Choice(self.name, reason, plan=epigraph)
        general = request.general
        if not general or request.model.problem.is_system or request.count > _MOST_VARIABLES:
            return None
        return Choice(self.name, constraints_in_words(request))

    def solve(self, task: Task, run: Run) -> Stop:
        """From the present point."""
        plan = task.choice.plan
        if isinstance(plan, Epigraph):
            return solve_epigraph(plan, task.loss, task.constraints, run.record)
        return solve_constrained(task.loss, task.constraints, run.record, _slsqp)


def constraints_in_words(request: Request) -> str:
    """How many constraints are more than bounds."""
    count = len(request.general)
    what = f"{count} constraints that are" if count > 1 else "a constraint that is"
    return f"{what} more than bounds"


def _slsqp(goal: Goal, rows: ConstraintRows, record: Record) -> None:
    """One run of the method."""
    from scipy.optimize import minimize

    free = rows.free
    kinds = [("eq", rows.equal), ("ineq", ~rows.equal)]
    limits = [
        {
            "type": kind,
            "fun": lambda x, chosen=chosen: rows.values(x)[chosen],
            "jac": lambda x, chosen=chosen: rows.slopes(x)[chosen],
        }
        for kind, chosen in kinds if chosen.any()
    ]  # fmt: skip

    def arrive(numbers: Numbers) -> None:
        record.arrive(free.point(numbers))
        record.check()

    with np.errstate(all="ignore"):
        found = minimize(
            goal, free.start, jac=True, method="SLSQP", bounds=np.transpose(free.bounds),
            constraints=limits, callback=arrive,
            options={"ftol": _TOLERANCE, "maxiter": record.left + 1},
        )  # fmt: skip
    end_at(record, free.point(np.asarray(found.x)))


register(SlsqpSolver())
