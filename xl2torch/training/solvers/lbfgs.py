"""torch's L-BFGS, an iteration at a time, with an active set of bounds: what is chosen last."""

from __future__ import annotations

from xl2torch.training.methods import LBFGS, LBFGSB, TRUST
from xl2torch.training.solvers.descent import descend
from xl2torch.training.solvers.first_order import FirstOrderSolver
from xl2torch.training.solvers.protocol import Choice, Request, Run, Task, register
from xl2torch.training.stopping import Stop


class LbfgsSolver(FirstOrderSolver):
    """L-BFGS of torch."""

    rank = 90
    steps_batches = False
    scales = True
    successors: tuple[str, ...] = (LBFGSB, TRUST)
    most_iterations = 2000

    def __init__(self) -> None:
        super().__init__(LBFGS)
        self.title = "L-BFGS"

    def fits(self, request: Request) -> Choice | None:
        """Whatever nothing else is for."""
        if not request.is_whole:
            reason = "a step for all rows that are trained on"
        elif request.of_torch:
            reason = "torch was asked for, and the objective is smooth or nearly so"
        elif request.wants_rate:
            reason = "a learning rate was given"
        else:
            reason = f"an objective of {request.count} variable cells without constraints"
        return Choice(LBFGS, reason)

    def solve(self, task: Task, run: Run) -> Stop:
        """Until the gradient vanishes, or a line search finds nothing better."""
        return descend(task.loss, run.record, task.stepper, ends_where_stalled=True)


register(LbfgsSolver())
