"""TNC of scipy, a truncated Newton method (Nash, SIAM J. Numer. Anal. 21, 1984), within bounds.

Nothing chooses it but its name.
"""

from __future__ import annotations

from xl2torch.training.solvers.bounded import solve_bounded
from xl2torch.training.solvers.protocol import Run, ScipySolver, Task, register
from xl2torch.training.stopping import Stop


class TncSolver(ScipySolver):
    """Newton's method, its steps found by conjugate gradients."""

    name = "tnc"
    title = "Truncated Newton"
    scales = True
    successors: tuple[str, ...] = ("l-bfgs-b",)

    def solve(self, task: Task, run: Run) -> Stop:
        """From the present point."""
        options = {"ftol": 0.0, "gtol": 0.0, "xtol": 0.0, "maxfun": 100 * run.record.left + 100}
        return solve_bounded(task.loss, run.record, "TNC", options, lambda note: note)


register(TncSolver())
