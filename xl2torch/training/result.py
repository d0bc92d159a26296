"""What a run of training gives: history, settings, message, weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch

from xl2torch.cells.address import CellAddress
from xl2torch.model.sheet_model import SheetModel
from xl2torch.notebook import html_table
from xl2torch.training.settings import Settings
from xl2torch.training.stopping import Stop

if TYPE_CHECKING:
    import pandas

TRAJECTORIES = 12
"""How many variable cells are followed through a run."""


@dataclass(frozen=True)
class Iteration:
    """One line of the history; ``variables`` are the first cells, up to TRAJECTORIES of them.

    ``violation`` is the largest amount by which a constraint is overstepped, bounds left out.
    ``validation`` is the objective of the rows held back (NaN without), ``metric`` the metric of
    the rows trained on and of these.
    """

    iteration: int
    objective: float
    gradient_norm: float
    learning_rate: float
    seconds: float
    watched: tuple[float, ...]
    variables: tuple[float, ...] = ()
    violation: float = 0.0
    validation: float = math.nan
    metric: tuple[float, ...] = ()

    @property
    def gap(self) -> float:
        """Objective of the rows held back less that of the rows trained on."""
        return self.validation - self.objective


@dataclass(frozen=True)
class Start:
    """One of several starts: objective where it began and where it ended, and in how many steps.

    ``overstep``: how far it ended beyond a limit, in allowances; up to 1 all limits are kept. For
    value of, the objective's distance to its target stands for the objective.
    """

    number: int
    start: float
    end: float
    iterations: int
    overstep: float = 0.0


@dataclass(frozen=True, eq=False)
class Result:
    """Outcome of a run. The model holds ``weights``, the best point that was met.

    Args:
        model: The trained model.
        settings: The options of the run with everything decided, and the reason for the optimizer.
        start: The objective at the start point, in the unit of its cell.
        final: The objective at the best point.
        stop: Why the run ended: Solver's code and message.
        iterations: A line for each iteration, the start point first.
        watched: The cells whose values the lines have.
        weights: The best parameters by name, float64, in the parameters' shapes.
        seconds: How long it took.
        remarks: What was noticed on the way, in words.
        ends: The table of several starts.
        subproblems: Nodes of a search for whole numbers.
        best: The iteration that is the answer.

    Raises:
        KeyError: From ``weights``, for a name that is none of a parameter.

    Example:
        >>> result = xl2torch.fit("workbooks/line.xlsx")
        >>> result.weights["m_b"].round(decimals=9).tolist()
        [2.0, 1.0]
        >>> len(result.history) == result.epochs + 1
        True
    """

    model: SheetModel
    settings: Settings
    start: float
    final: float
    stop: Stop
    iterations: tuple[Iteration, ...]
    watched: tuple[CellAddress, ...]
    weights: Mapping[str, torch.Tensor]
    seconds: float
    remarks: tuple[str, ...] = ()
    ends: tuple[Start, ...] = ()
    subproblems: int = 0
    best: int = 0

    def __repr__(self) -> str:
        return (
            f"<Result {self.model.problem.objective}: {self.start:g} -> {self.final:g} in "
            f"{self.epochs} iterations. {self.message}>"
        )

    def _repr_html_(self) -> str:
        objective = self.model.problem.objective
        facts = [
            (str(objective), f"{self.start:.8g} -> {self.final:.8g}"), ("message", self.message),
            ("optimizer", self.settings.solver), (f"{self.settings.unit}s", str(self.epochs)),
            *(("note", remark) for remark in self.remarks),
        ]  # fmt: skip
        weights = [
            (f"{cell}", float(number))
            for variable in self.model.variables
            for cell, number in zip(
                variable.cells.cells(), self.weights[variable.name].reshape(-1).tolist(),
                strict=True,
            )
        ]  # fmt: skip
        return html_table(["", ""], facts) + html_table(["variable cell", "value"], weights)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the weights of the result for a while, where it went on since."""
        parameters = {item.name: self.model.parameter(item) for item in self.model.variables}
        present = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        try:
            for name, parameter in parameters.items():
                parameter.data.copy_(self.weights[name])
            yield
        finally:
            for name, parameter in parameters.items():
                parameter.data.copy_(present[name])

    @property
    def message(self) -> str:
        """Why training ended, in Solver's words."""
        return self.stop.message

    @property
    def epochs(self) -> int:
        """Iterations made."""
        return self.iterations[-1].iteration if self.iterations else 0

    @property
    def history(self) -> pandas.DataFrame:
        """One row per iteration; row 0 is the start point. Watched cells are columns by address.

        With constraints that are more than bounds, ``violation`` is a column too. With rows held
        back there are ``validation`` and its ``gap`` to the objective; with a metric its values on
        the rows trained on and, as ``validation accuracy``, on those.
        """
        import pandas

        columns = ["iteration", "objective", "gradient_norm", "learning_rate", "seconds"]
        constrained = bool(self.model.problem.general_constraints)
        columns += ["violation"] * constrained
        columns += ["validation", "gap"] * self.validated
        rows = [
            (row.iteration, row.objective, row.gradient_norm, row.learning_rate, row.seconds,
             *([row.violation] * constrained), *((row.validation, row.gap) * self.validated),
             *row.metric[: len(self.metrics)], *row.watched)
            for row in self.iterations
        ]  # fmt: skip
        columns += [*self.metrics, *(str(cell) for cell in self.watched)]
        return pandas.DataFrame(rows, columns=columns)

    @property
    def validated(self) -> bool:
        """Whether rows were held back for validation."""
        return bool(self.settings.validation)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metric on the rows trained on, and on those held back."""
        return self.settings.metrics

    @property
    def followed(self) -> tuple[CellAddress, ...]:
        """The variable cells whose way is kept: the first TRAJECTORIES."""
        cells = (cell for variable in self.model.variables for cell in variable.cells.cells())
        return tuple(islice(cells, TRAJECTORIES))

    @property
    def trajectories(self) -> pandas.DataFrame:
        """Values of the followed variable cells, one row per iteration, columns by address."""
        import pandas

        rows = [row.variables for row in self.iterations]
        return pandas.DataFrame(rows, columns=[str(cell) for cell in self.followed])

    @property
    def starts(self) -> pandas.DataFrame:
        """The table of several starts: where each began and ended."""
        import pandas

        return pandas.DataFrame([vars(item) for item in self.ends])
