"""L-BFGS-B of scipy: what is chosen where variable cells have bounds."""

from __future__ import annotations

from xl2torch.training.methods import LBFGS, LBFGSB, TRUST
from xl2torch.training.solvers.bounded import of_result, solve_bounded
from xl2torch.training.solvers.protocol import Choice, Request, Run, ScipySolver, Task, register
from xl2torch.training.stopping import Stop


class BoundedLbfgsSolver(ScipySolver):
    """L-BFGS within bounds."""

    name = LBFGSB
    title = "L-BFGS-B"
    rank = 60
    scales = True
    successors: tuple[str, ...] = (LBFGS, TRUST)

    def fits(self, request: Request) -> Choice | None:
        """Bounds, or whatever else is left to scipy."""
        scipys = request.of_scipy
        if not request.is_whole or request.wants_rate or not (request.has_bounds or scipys):
            return None
        bounds = "bounds on variable cells"
        return Choice(self.name, bounds if request.has_bounds else "scipy was asked for")

    def solve(self, task: Task, run: Run) -> Stop:
        """From the present point."""
        left = run.record.left
        options = {"maxcor": 20, "ftol": 0.0, "gtol": 0.0, "maxls": 40,
                   "maxiter": left + 1, "maxfun": 100 * left + 100}  # fmt: skip
        return solve_bounded(task.loss, run.record, "L-BFGS-B", options, of_result)


register(BoundedLbfgsSolver())
