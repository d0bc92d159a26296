"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import islice
from typing import TYPE_CHECKING

import torch

from xl2torch.address import CellAddress
from xl2torch.errors import ModelError, SelectionError, TrainingError
from xl2torch.jacobian import present_point, variable_limits
from xl2torch.model import SheetModel, watch
from xl2torch.problem import Problem
from xl2torch.residuals import Residuals, find_residuals
from xl2torch.training.initialization import initialize
from xl2torch.training.least_squares import solve_least_squares
from xl2torch.training.optimizers import Bounded, make_stepper
from xl2torch.training.stopping import Stop, converged
from xl2torch.workbook.selection import parse_cell

if TYPE_CHECKING:
    import pandas

_STEEP = 1.0
_NOTHING = 1e-24
_FLAT = 1e-9
_FEW = 50
"""Variable cells for which least squares are chosen: a step costs a Jacobian."""
_ENGINES = {"lbfgs": "L-BFGS", "sgd": "SGD", "momentum": "SGD with momentum", "adam": "Adam"}
_LEAST_SQUARES = "least-squares"
TRAJECTORIES = 12
"""How many variable cells are followed through a run."""
EPOCHS = {"lbfgs": 2000, "sgd": 1000, "momentum": 1000, "adam": 1000, "least-squares": 2000}


@dataclass(frozen=True)
class Iteration:
    """One line of the history; ``variables`` are the first cells, up to TRAJECTORIES of them."""

    iteration: int
    objective: float
    gradient_norm: float
    learning_rate: float
    seconds: float
    watched: tuple[float, ...]
    variables: tuple[float, ...] = ()


@dataclass(frozen=True)
class Settings:
    """How a run was made: enough to repeat it."""

    optimizer: str
    learning_rate: float
    epochs: int
    seed: int | None
    init: str

    @property
    def engine(self) -> str:
        """The optimizer by its full name, and what it is from."""
        if self.optimizer == _LEAST_SQUARES:
            return f"Least squares, exact Jacobian (scipy {metadata.version('scipy')})"
        return f"{_ENGINES[self.optimizer]} (torch {torch.__version__})"


@dataclass(frozen=True)
class Result:
    """Outcome of a run. The model holds ``weights``, the best point that was met."""

    model: SheetModel
    settings: Settings
    start: float
    final: float
    stop: Stop
    iterations: tuple[Iteration, ...]
    watched: tuple[CellAddress, ...]
    weights: Mapping[str, torch.Tensor]
    seconds: float

    def __repr__(self) -> str:
        return (
            f"<Result {self.model.problem.objective}: {self.start:g} -> {self.final:g} in "
            f"{self.epochs} iterations. {self.message}>"
        )

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
        """One row per iteration; row 0 is the start point. Watched cells are columns by address."""
        import pandas

        columns = ["iteration", "objective", "gradient_norm", "learning_rate", "seconds"]
        rows = [
            (row.iteration, row.objective, row.gradient_norm, row.learning_rate, row.seconds,
             *row.watched)
            for row in self.iterations
        ]  # fmt: skip
        return pandas.DataFrame(rows, columns=[*columns, *(str(cell) for cell in self.watched)])

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


def fit(
    model: SheetModel,
    optimizer: str | None = None,
    *,
    lr: float | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    init: str = "file",
    watch_cells: Sequence[CellAddress | str] = (),
    on_iteration: Callable[[Iteration], None] | None = None,
) -> Result:
    """Train the model on all its data at once; afterwards it holds the best point that was met.

    The optimizer is that of ``default_optimizer`` unless another is named. Random numbers that are
    drawn anew at each step (``seed`` repeats them) count in the gradient; the objective that is
    reported is that of the stored ones. ``on_iteration`` is called after each iteration;
    KeyboardInterrupt ends training and keeps the best point. Raises SelectionError (wrong option),
    ModelError (variables do not move the objective) or TrainingError (the objective is an error at
    the start).
    """
    optimizer = optimizer or default_optimizer(model, lr)
    seed = torch.seed() % 2**31 if seed is None and model.drawn else seed
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        return _fit(model, optimizer, lr, epochs, seed, init, watch_cells, on_iteration)


def _fit(
    model: SheetModel, optimizer: str, lr: float | None, epochs: int | None, seed: int | None,
    init: str, watch_cells: Sequence[CellAddress | str],
    on_iteration: Callable[[Iteration], None] | None,
) -> Result:  # fmt: skip
    problem = model.problem
    start = float(model.eval()().detach())
    initialize(model, init, seed)
    bounded = [
        Bounded(model.parameter(variable), variable.lower, variable.upper)
        for variable in model.variables
        if variable.bounded
    ]
    limit = EPOCHS.get(optimizer, 0) if epochs is None else epochs
    for item in bounded if limit else ():  # without an iteration the point is what it is
        item.project()
    parameters = [model.parameter(variable) for variable in model.variables]
    residuals = _residuals(model, lr) if optimizer == _LEAST_SQUARES else None
    stepper = None if residuals else make_stepper(optimizer, lr, parameters, bounded)
    rate = 1.0 if stepper is None else stepper.learning_rate
    if limit:
        _refuse_constraints(problem)
    if limit < 0:
        raise SelectionError(f"the number of epochs cannot be {limit}")
    workbook = model.compiled.workbook
    cells = tuple(
        parse_cell(workbook, cell, problem.sheet) if isinstance(cell, str) else cell
        for cell in watch_cells
    )
    watched = watch(model, cells)
    objective = math.nan

    def loss_of(value: torch.Tensor) -> torch.Tensor:
        if problem.sense == "max":
            return -value
        return (value - problem.target) ** 2 if problem.sense == "value" else value

    def has_converged() -> Stop | None:
        if model.drawn:
            return None  # the gradient is that of one draw
        return converged(losses, _scaled_gradient(parameters, bounded, loss))

    def evaluate() -> float:
        """Loss to be minimised at the present point; gradients are left in the parameters."""
        nonlocal objective
        for parameter in parameters:
            parameter.grad = None
        value = model.train(bool(model.drawn))()
        objective = float(value.detach())
        loss = loss_of(value)
        if math.isfinite(objective) and loss.requires_grad:
            torch.autograd.backward(loss)
        if not all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in parameters):
            for parameter in parameters:
                gradient = torch.zeros_like(parameter)
                if parameter.grad is not None and math.isfinite(objective):
                    gradient = torch.nan_to_num(parameter.grad, 0.0, 0.0, 0.0)
                parameter.grad = gradient
        if model.drawn:
            with torch.no_grad():
                value = model.eval()()
            objective, loss = float(value), loss_of(value)
        return float(loss.detach()) if math.isfinite(objective) else 1e300

    loss = evaluate()
    if not math.isfinite(objective):
        raise TrainingError(
            f"the objective {problem.objective} is an error value at the start point: "
            "choose other start values (--init)"
        )
    _refuse_flat(model, parameters, evaluate)
    loss = evaluate()
    began = time.perf_counter()
    iterations: list[Iteration] = []
    losses: list[float] = []
    best, best_objective = math.inf, objective
    weights: dict[str, torch.Tensor] = {}

    heads = _first_cells(parameters)

    def followed() -> tuple[float, ...]:
        return tuple(x for head in heads for x in head.tolist())

    def note(iteration: int) -> None:
        nonlocal best, best_objective, weights
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in parameters if p.grad is not None))
        row = Iteration(
            iteration,
            objective,
            norm,
            rate if stepper is None else stepper.learning_rate,
            time.perf_counter() - began,
            watched(),
            followed(),
        )
        iterations.append(row)
        losses.append(loss)
        # Near the minimum a sum of squares is flat: there the later point is the better one.
        if loss < best or (residuals is not None and loss <= best * (1 + _FLAT)):
            best, best_objective = loss, objective
            weights = {v.name: model.parameter(v).detach().clone() for v in model.variables}
        if on_iteration:
            on_iteration(row)

    def arrive(point: torch.Tensor) -> None:
        """Note an iteration that another engine has made."""
        nonlocal loss
        pieces = torch.split(point, [p.numel() for p in parameters])
        with torch.no_grad():
            for parameter, piece in zip(parameters, pieces, strict=True):
                parameter.copy_(piece.reshape(parameter.shape))
        loss = evaluate()
        note(len(losses))

    stop: Stop | None = None
    try:
        note(0)
        stop = has_converged()
        if residuals is not None and stop is None and limit:
            stop = solve_least_squares(
                residuals.function, present_point(model), *variable_limits(model), limit, arrive
            )
        while stepper is not None and stop is None and len(losses) <= limit:
            stepper.step(evaluate, loss)
            loss = evaluate()
            if (
                not math.isfinite(objective)
                or loss >= 1e300
                or abs(loss) > 1e12 * _scale(losses[0])
            ):
                advice = "add bounds or another --sense" if loss < 0 else "try a smaller --lr"
                stop = Stop(4, f"The objective became {objective:.3g}: {advice}.")
                break
            stalled = optimizer == "lbfgs" and loss >= losses[-1]
            note(len(losses))
            stop = has_converged()
            if stop is None and stalled and 0 <= best <= _NOTHING * _scale(losses[0]) < losses[0]:
                stop = Stop(0)  # the sum of squares, or the distance to the target, is gone
            if stop is None and stalled:
                stop = Stop(2, _still_steep(_scaled_gradient(parameters, bounded, loss)))
    except KeyboardInterrupt:
        stop = Stop(6)
    with torch.no_grad():
        for variable in model.variables:
            model.parameter(variable).copy_(weights.get(variable.name, variable.start))
    settings = Settings(optimizer, rate, limit, seed, init)
    return Result(
        model, settings, start, best_objective, stop or Stop(3), tuple(iterations),
        cells, weights, time.perf_counter() - began,
    )  # fmt: skip


def default_optimizer(model: SheetModel, lr: float | None = None) -> str:
    """What is used where nothing is asked for.

    Adam where random numbers are drawn anew at each step; least squares where the objective is a
    sum, mean or root mean of squares, the residuals are smooth (no ReLU on the way to them), and
    the variable cells are few and no more than the residuals; else, or where a learning rate is
    given, L-BFGS.
    """
    if model.drawn:
        return "adam"
    count = sum(variable.cells.size for variable in model.variables)
    if lr or count > _FEW or model.problem.sense == "value":
        return "lbfgs"
    residuals = find_residuals(model)
    if residuals is None or not residuals.smooth:
        return "lbfgs"
    with torch.no_grad():
        determined = len(residuals.function(present_point(model))) >= count
    return _LEAST_SQUARES if determined else "lbfgs"


def _residuals(model: SheetModel, lr: float | None) -> Residuals:
    """Residuals of the objective. Raises SelectionError where least squares make no sense."""
    if lr is not None:
        raise SelectionError("least-squares has no learning rate: leave out --lr")
    found = None if model.drawn or model.problem.sense == "value" else find_residuals(model)
    if found is None:
        raise SelectionError(
            f"the objective {model.problem.objective} is no sum, mean or root mean of squared "
            "residuals that is to be as small as can be: choose another --optimizer"
        )
    return found


def _first_cells(parameters: Sequence[torch.nn.Parameter]) -> list[torch.Tensor]:
    """Views of the first variable cells, up to TRAJECTORIES."""
    heads: list[torch.Tensor] = []
    left = TRAJECTORIES
    for parameter in parameters:
        heads.append(parameter.detach().reshape(-1)[:left])
        left -= len(heads[-1])
    return heads


def _refuse_constraints(problem: Problem) -> None:
    """Raise ModelError where constraints cannot be kept."""
    refused = problem.general_constraints
    if not refused:
        return
    lines = "\n".join(f"  {item}" for item in refused)
    raise ModelError(
        f"the model of sheet {problem.sheet!r} has constraints that are more than bounds of "
        f"variable cells by a number; these are not kept so far:\n{lines}\n"
        "Leave them out of --constraint (stored ones: give --objective and --variables), or give "
        "--epochs 0 for reports of the present point"
    )


def _still_steep(gradient: float) -> str:
    if gradient < _STEEP:
        return ""
    return (
        "The gradient is still large, so this is hardly the optimum: try other start values, "
        "--optimizer adam, or variables of like size."
    )


def _scale(value: float) -> float:
    return max(abs(value), 1.0)


def _scaled_gradient(
    parameters: Sequence[torch.nn.Parameter], bounded: Sequence[Bounded], loss: float
) -> float:
    held = {id(item.parameter): item.blocked() for item in bounded}
    largest = 0.0
    for parameter in parameters:
        if parameter.grad is None or not parameter.numel():
            continue
        scaled = parameter.grad.abs() * parameter.detach().abs().clamp_min(1.0)
        if id(parameter) in held:
            scaled = scaled.masked_fill(held[id(parameter)], 0.0)
        largest = max(largest, float(scaled.max()))
    return largest / max(abs(loss), 1e-12)


def _refuse_flat(
    model: SheetModel, parameters: Sequence[torch.nn.Parameter], evaluate: Callable[[], float]
) -> None:
    """Raise ModelError when the objective does not move with the variables, or only in steps."""

    def has_slope() -> bool:
        return any(bool(p.grad.any()) for p in parameters if p.grad is not None)

    if has_slope():
        return
    value = float(model().detach())
    saved = [parameter.detach().clone() for parameter in parameters]
    generator = torch.Generator().manual_seed(0)
    moved = slope = False
    for size in (1e-3, 0.1, 1.0, 10.0):
        with torch.no_grad():
            for parameter, old in zip(parameters, saved, strict=True):
                noise = torch.randn(old.shape, generator=generator, dtype=old.dtype)
                parameter.copy_(old + size * noise)
        evaluate()
        after = float(model().detach())
        moved = moved or (math.isfinite(after) and after != value)
        slope = slope or has_slope()
    with torch.no_grad():
        for parameter, old in zip(parameters, saved, strict=True):
            parameter.copy_(old)
    if moved and not slope:
        raise ModelError(
            f"the objective {model.problem.objective} changes only in steps (comparisons, ROUND "
            "and the like): its gradient is 0 everywhere. Choose a smooth objective, such as a "
            "mean squared error, and watch this one with --watch"
        )
    if not moved:
        raise ModelError(
            f"the objective {model.problem.objective} is {value:g} whatever the variable cells are "
            "(its gradient is 0 everywhere): there is nothing to train. Choose another objective"
        )
