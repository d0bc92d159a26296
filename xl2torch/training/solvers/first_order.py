"""Optimizers of torch.optim that step along the gradient, on all rows or in mini-batches."""

from __future__ import annotations

from xl2torch.training.methods import ADAM, LBFGS, torch_optimizers
from xl2torch.training.rows.epochs import train_in_batches
from xl2torch.training.rows.row_loss import RowLoss
from xl2torch.training.solvers.descent import descend
from xl2torch.training.solvers.protocol import Choice, Request, Run, SolverBase, Task, register
from xl2torch.training.steps.optimizers import FirstOrder
from xl2torch.training.stopping import Stop

_TITLES = {"momentum": "SGD with momentum"}


class FirstOrderSolver(SolverBase):
    """One of torch.optim, by its name in small letters."""

    library = "torch"
    rank = 20
    steps_rows = True
    steps_batches = True
    has_rate = True
    most_iterations = 1000

    def __init__(self, name: str) -> None:
        self.name = name
        self.title = _TITLES.get(name, torch_optimizers()[name].__name__)

    def fits(self, request: Request) -> Choice | None:
        """Adam, where the objective is another one at each step."""
        if self.name != ADAM:
            return None
        if request.options.batch_size is not None:
            return Choice(ADAM, "a step for each batch")
        if request.model.drawn:
            return Choice(ADAM, "random cells are drawn anew at each step")
        return None

    def check(self, task: Task) -> None:
        """Make the optimizer."""
        _ = task.stepper

    def solve(self, task: Task, run: Run) -> Stop:
        """Step after step, or epoch after epoch."""
        loss, stepper = task.loss, task.stepper
        if isinstance(loss, RowLoss) and loss.in_batches:
            assert isinstance(stepper, FirstOrder)
            return train_in_batches(loss, run.record, stepper, run.shuffle, run.on_batch)
        return descend(loss, run.record, stepper)


for _name in torch_optimizers():
    if _name != LBFGS:
        register(FirstOrderSolver(_name))
