"""The record of a run: its history, the best point that was met, and the limits that end it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from xl2torch.cells.address import CellAddress
from xl2torch.model.constraints import Constraints
from xl2torch.training.box import gradient_of
from xl2torch.training.diagnosis import error_place
from xl2torch.training.loss import FAILED, Loss
from xl2torch.training.result import TRAJECTORIES, Iteration
from xl2torch.training.stopping import CONVERGENCE, Stop, Stopped, converged, stands_still

_FLAT = 1e-9
"""Relative: near the minimum a sum of squares is as flat as that."""
_APART = 1.2
"""How many times as many iterations lead to the next point of the way that is remembered."""
_GONE = 1e-24
"""Share of a sum of squares at the start that is rounding."""
_NOTHING = 1e-12
"""What is no sum of squares for certain is nothing below this."""
_EXPLODED = 1e12
"""Beside the loss at the start: no way back from there."""


@dataclass(frozen=True)
class RunLimits:
    """What ends a run: iterations, seconds, and the relative change that counts as standing still.

    Where ``solvers_rule`` is set, that change is the user's: Solver's rule with her own number.
    ``patience`` are iterations without a better point.
    """

    epochs: int
    seconds: float = math.inf
    convergence: float = CONVERGENCE
    solvers_rule: bool = False
    patience: int | None = None


class Record:
    """Iterations of a run, whatever engine makes them.

    An engine moves the parameters of the loss and calls ``note``, or ``arrive`` with a point; then
    ``check`` ends the run where a limit is reached.
    """

    def __init__(
        self,
        loss: Loss,
        constraints: Constraints,
        limits: RunLimits,
        watched: Callable[[], tuple[float, ...]] = lambda: (),
        on_iteration: Callable[[Iteration], None] | None = None,
    ) -> None:
        self.loss = loss
        self.constraints = constraints
        self.limits = limits
        self.subproblems = 0
        self._rate: Callable[[], float] = lambda: 1.0
        self._later_wins = False
        self.iterations: list[Iteration] = []
        self.losses: list[float] = []
        self.last = loss.point
        self.best, self.best_objective, self.best_overstep = math.inf, math.nan, math.inf
        self.best_iteration = 0
        self._stage_began = 0
        self.weights: Mapping[str, torch.Tensor] = {}
        self.trail: list[torch.Tensor] = []
        self._last_trail = 0
        self._last_slopes = [torch.full(item.shape, -1.0) for item in loss.parameters]
        self._constrained = bool(constraints.general)
        self.boxed = loss.box.is_finite
        self._watched = watched
        self._on_iteration = on_iteration
        self._began = time.perf_counter()

    @property
    def _recent(self) -> list[float]:
        """Losses since the present stage began."""
        return self.losses[self._stage_began :]

    @property
    def had_gradient(self) -> torch.Tensor:
        """Whether the gradient of a variable cell was ever other than 0, flat."""
        return self.last_gradient >= 0

    @property
    def last_gradient(self) -> torch.Tensor:
        """The last iteration at which the gradient of a variable cell was other than 0, or -1."""
        return torch.cat([last.reshape(-1) for last in self._last_slopes])

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self._began

    @property
    def left(self) -> int:
        """Iterations that may still be made."""
        return max(0, self.limits.epochs - max(0, len(self.iterations) - 1))

    @property
    def seconds_left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.limits.seconds - self.seconds)

    @property
    def feasible(self) -> bool:
        """Whether the best point keeps all constraints."""
        return self.best_overstep <= 1.0

    def begin_stage(self) -> None:
        """Let what ran before be no sign of a standstill, or of waiting for a better point."""
        self._stage_began = len(self.iterations) - 1

    def limit(self, limits: RunLimits) -> None:
        """Let other limits end the run."""
        self.limits = limits

    def follow_rate(self, rate: Callable[[], float]) -> None:
        """Note the learning rate that a function gives."""
        self._rate = rate

    def follow(self, loss: Loss) -> None:
        """Note iterations of another loss of the same variable cells."""
        self.loss = loss

    def prefer_later(self) -> None:
        """Of points whose loss is nearly the same take the later one for the better one."""
        self._later_wins = True

    def note_subproblems(self, count: int) -> None:
        """Count nodes of a search for integers."""
        self.subproblems += count

    def judge_by(self, loss: Loss) -> None:
        """Go to the best point; its objective is from now on that of another loss."""
        self.restore()
        self.loss = loss
        loss.evaluate()
        self.best_objective = loss.objective

    def arrive(self, point: torch.Tensor) -> None:
        """Note the iteration that led to a point. Raises Stopped where it leads nowhere."""
        self.loss.evaluate_at(point)
        self.check_progress()
        self.note()
        self.last = point.clone()

    def note(self) -> Iteration:
        """Note an iteration that led to the present parameters."""
        loss = self.loss
        for parameter, last in zip(loss.parameters, self._last_slopes, strict=True):
            last[gradient_of(parameter).cpu() != 0] = len(self.iterations)
        overstep = violation = 0.0
        if self._constrained:
            overstep, violation = self.constraints.worst_violation(loss.point)
        row = Iteration(
            len(self.iterations), loss.objective, loss.gradient_norm, self._rate(),
            self.seconds, self._watched(),
            tuple(_first_cells(loss)), violation,
            loss.validate(), loss.measure(),
        )  # fmt: skip
        self.iterations.append(row)
        self.losses.append(loss.value)
        score = loss.value if math.isnan(row.validation) else loss.from_objective(row.validation)
        if self._is_better(overstep, score):
            self.keep(overstep, score)
            self._leave_trail()
        if self._on_iteration:
            self._on_iteration(row)
        return row

    def _is_better(self, overstep: float, score: float) -> bool:
        if math.isnan(overstep) or self.loss.failed or math.isnan(score):
            return False
        if max(overstep, 1.0) != max(self.best_overstep, 1.0):
            return overstep < self.best_overstep
        return score < self.best or (
            self._later_wins and score <= self.best + _FLAT * abs(self.best)
        )

    def keep(self, overstep: float, score: float | None = None) -> None:
        """Take the present point for the best; ``score`` is the loss, or that of rows held back."""
        loss = self.loss
        self.best = loss.value if score is None else score
        self.best_objective, self.best_overstep = loss.objective, overstep
        self.best_iteration = max(0, len(self.iterations) - 1)
        self.weights = {
            variable.name: parameter.detach().clone(memory_format=torch.contiguous_format)
            for variable, parameter in zip(loss.model.variables, loss.parameters, strict=True)
        }

    def _leave_trail(self) -> None:
        """Remember the point, the best yet, where the way grew by a fifth since the last one."""
        if len(self.iterations) >= _APART * self._last_trail:
            self.trail.append(self.loss.point)
            self._last_trail = len(self.iterations)

    @property
    def is_gone(self) -> bool:
        """Whether a sum of squares, or the distance to the target, came down to nothing."""
        first = self.losses[0]
        most = math.inf if self.loss.model.problem.sense == "value" else _NOTHING
        return 0 <= self.best <= min(_GONE * max(abs(first), 1.0), most) < first

    def forget_best(self) -> None:
        """Let the next point be the best one."""
        self.best, self.best_objective, self.best_overstep = math.inf, math.nan, math.inf

    @property
    def best_point(self) -> torch.Tensor:
        """The best point that was met, flat."""
        variables = self.loss.model.variables
        return torch.cat([self.weights.get(v.name, v.start).reshape(-1) for v in variables])

    def restore(self) -> None:
        """Go back to the best point."""
        with torch.no_grad():
            for variable in self.loss.model.variables:
                best = self.weights.get(variable.name, variable.start)
                self.loss.model.parameter(variable).copy_(best)

    def converged(self) -> Stop | None:
        """Whether the gradient vanished, or the loss stands still; never where it is drawn."""
        if self.loss.model.drawn:
            return None  # the gradient is that of one draw
        return converged(self._recent, self.loss.steepness, self.limits.convergence)

    def check(self) -> None:
        """End the run where a limit is reached, or where it leads nowhere. Raises Stopped."""
        self.check_progress()
        slow = self.limits.solvers_rule and stands_still(self._recent, self.limits.convergence)
        if slow and self.feasible:
            raise Stopped(Stop(1))
        if len(self.iterations) > self.limits.epochs:
            raise Stopped(Stop(3))
        waited = len(self.iterations) - 1 - max(self.best_iteration, self._stage_began)
        if self.limits.patience is not None and waited >= self.limits.patience:
            raise Stopped(Stop(2, f"It was no better in {waited} iterations after the best, which "
                               f"is number {self.best_iteration}."))  # fmt: skip
        self.check_time()

    def check_time(self) -> None:
        """End the run where the time is over. Raises Stopped."""
        if self.seconds >= self.limits.seconds:
            raise Stopped(Stop(10))

    def check_progress(self) -> None:
        """End the run where the objective is an error or went out of all bounds. Raises Stopped."""
        loss, value = self.loss, self.loss.value
        if math.isnan(loss.objective):
            raise Stopped(Stop(9, error_place(loss.model)))
        size = _EXPLODED * max(abs(self.losses[0]), 1.0)
        if self._constrained or self.boxed:
            size *= _EXPLODED  # a large number may be right
        if abs(value) <= size and value < FAILED:
            return
        if self._constrained and value < FAILED and not (
            self.constraints.worst_violation(loss.point)[0] <= 1.0
        ):  # fmt: skip
            return  # outside the constraints any number can come
        endless = math.inf if loss.model.problem.sense == "max" else -math.inf
        if value < 0 or loss.objective == endless:
            raise Stopped(Stop(4, unbounded(loss.objective, loss.point, self._cells), True))
        raise Stopped(
            Stop(4, f"The objective became {loss.objective:.3g}: try a smaller `lr`, clip the "
                 "gradient (`clip_norm=1`), or choose lbfgs.")
        )  # fmt: skip

    @property
    def _cells(self) -> tuple[CellAddress, ...]:
        return tuple(self.loss.model.cell_values())


def unbounded(objective: float, point: torch.Tensor, cells: tuple[CellAddress, ...]) -> str:
    """Which variable cells ran away with the objective, in words."""
    sizes = point.abs()
    far = [
        str(cell)
        for cell, size in zip(cells, sizes.tolist(), strict=True)
        if size >= float(sizes.max()) * 1e-3
    ]
    names = ", ".join(far[:4]) + (f" and {len(far) - 4} more" if len(far) > 4 else "")
    return (
        f"The objective reached {objective:.3g} and has no limit: {names} can change without end. "
        "Add bounds or a constraint, or another `sense`."
    )


def _first_cells(loss: Loss) -> list[float]:
    """The first variable cells, up to TRAJECTORIES."""
    found: list[float] = []
    for parameter in loss.parameters:
        left = TRAJECTORIES - len(found)
        if not left:
            break
        rows = parameter.detach()[:left] if parameter.dim() else parameter.detach()
        found += rows.reshape(-1)[:left].tolist()
    return found
