"""Multistart: many start points trained together as a batch, the best of them handed on.

Elementwise optimizers of torch serve as they are, on all starts in one tensor; for all others the
batch is trained by L-BFGS. With constraints that are more than bounds a quadratic penalty that
grows (Nocedal and Wright, Numerical Optimization, 2006, 17.1) leads each start near to a point that
keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from xl2torch.errors import SelectionError
from xl2torch.model.constraints import Constraints
from xl2torch.training.loss import FAILED, Loss
from xl2torch.training.methods import LBFGS, NOT_ELEMENTWISE
from xl2torch.training.record import Record
from xl2torch.training.result import Start
from xl2torch.training.settings import Settings
from xl2torch.training.solvers.protocol import Task, find_solver
from xl2torch.training.starts.batched_lbfgs import (
    BatchState,
    LossAtPoints,
    Points,
    QuasiNewtonAtPoints,
)
from xl2torch.training.steps.optimizers import make_optimizer
from xl2torch.training.steps.schedules import make_schedule
from xl2torch.training.stopping import GRADIENT_TOLERANCE

_STANDSTILL = 1e-9
"""Relative change of the loss that counts as none."""
_PENALTIES = (10.0, 1e2, 1e3, 1e4)
"""Weights of what is overstepped, one round of the batch for each."""
_LARGE = 10.0
"""Start values beyond this are of another order of magnitude than 1."""
_STILL = 10
"""Iterations without a change after which a start has ended."""
_NEAR = 1e4
"""Allowances by which an end of a penalty may overstep a limit: an engine brings it there."""
_NEARLY = 1e-3
_MOST_POLISHED = 3
"""Ends that are brought to the constraints one by one."""


@dataclass(frozen=True, eq=False)
class Ends:
    """Where starts ended: the best first among ``order``."""

    table: tuple[Start, ...]
    points: Points
    order: tuple[int, ...]
    losses: tuple[float, ...]

    def reaching(self, loss: float) -> int:
        """How many starts ended at a loss, or nearly so."""
        near = _NEARLY * max(abs(loss), _NEARLY)
        return sum(abs(end - loss) <= near for end in self.losses)


def draw_starts(loss: Loss, count: int, seed: int) -> Points:
    """Start points, the present one first.

    Uniform within the bounds; a variable without both is drawn from (−1, 1), or up to 2 beyond its
    one bound, times its range's largest start value where that is another order of magnitude.
    """
    model = loss.model
    generator = torch.Generator().manual_seed(seed)
    pieces = []
    for variable, limits in zip(model.variables, loss.box.pieces(model), strict=True):
        largest = float(variable.start.abs().max())
        size = largest if largest > _LARGE or 0 < largest < 1 / _LARGE else 1.0
        lower, upper = (limit.reshape(-1) for limit in limits)
        has_lower, has_upper = torch.isfinite(lower), torch.isfinite(upper)
        low = torch.where(has_lower, lower, torch.where(has_upper, upper - 2 * size, -size))
        high = torch.where(has_upper, upper, torch.where(has_lower, lower + 2 * size, size))
        share = torch.rand(count - 1, len(low), generator=generator, dtype=torch.float64)
        pieces.append(low + share * (high - low))
    return torch.cat([loss.point[None], torch.cat(pieces, 1)])


def run_starts(task: Task, record: Record, points: Points) -> Ends:
    """Train all starts together; the record follows the best of them."""
    loss, constraints, settings = task.loss, task.constraints, task.settings
    model = loss.model
    first = LossAtPoints(model, loss.box)
    points = first.project(points)
    begun = first(points)[0]
    if constraints.general:
        points, steps = _with_penalties(loss, constraints, record, settings, points)
    else:
        points, steps = _trained(first, points, settings, record, record.left)
    losses = first(points)[0]
    oversteps = [constraints.worst_violation(point)[0] for point in points]
    keys = [
        (max(_NEAR, over if over == over else FAILED), value)
        for over, value in zip(oversteps, losses.tolist(), strict=True)
    ]
    order = tuple(sorted(range(len(keys)), key=keys.__getitem__))
    objective = _objectives(loss)
    table = tuple(
        Start(number + 1, objective(start), objective(end), int(count), over)
        for number, (start, end, count, over) in enumerate(
            zip(begun.tolist(), losses.tolist(), steps.tolist(), oversteps, strict=True)
        )
    )
    return Ends(table, points, order, tuple(losses.tolist()))


def polished_count(constraints: Constraints) -> int:
    """How many of the best ends an engine goes on with."""
    return _MOST_POLISHED if constraints.general else 1


def _objectives(loss: Loss) -> Callable[[float], float]:
    """The objective of a loss; for value of: the distance to the target; 0 where there is none."""
    if loss.model.problem.sense == "max":
        return lambda value: -value
    if loss.model.problem.sense == "value":
        return lambda value: value**0.5
    return lambda value: value


def _trained(
    batch: LossAtPoints, points: Points, settings: Settings, record: Record, limit: int,
) -> tuple[Points, torch.Tensor]:  # fmt: skip
    if find_solver(settings.optimizer).steps_batches:
        return _first_order(batch, points, settings, record, limit)
    return _quasi_newton(batch, points, record, limit)


def _quasi_newton(
    batch: LossAtPoints, points: Points, record: Record, limit: int
) -> tuple[Points, torch.Tensor]:
    """L-BFGS of all starts; those that have ended leave the batch."""
    points = points.clone()
    running = torch.arange(len(points))
    steps = torch.zeros(len(points), dtype=torch.int64)
    still = torch.zeros(len(points), dtype=torch.int64)
    solver = QuasiNewtonAtPoints(batch, BatchState(points, *batch(points)))
    for _ in range(limit):
        before = solver.state.losses
        solver.step()
        state = solver.state
        points[running] = state.points
        steps[running] += 1
        _follow(record, state.points, state.losses)
        change = (before - state.losses).abs()
        scale = state.losses.abs().clamp_min(1e-300)
        still[running] = torch.where(change <= _STANDSTILL * scale, still[running] + 1, 0)
        steep = batch.free(state.points, state.gradients).abs() * state.points.abs().clamp_min(1)
        flat = steep.amax(1) <= GRADIENT_TOLERANCE * state.losses.abs().clamp_min(1e-12)
        going = ~flat & (still[running] < _STILL) & (state.losses < FAILED)
        if not bool(going.any()):
            break
        if not bool(going.all()):
            running = running[going]
            solver.keep(going)
    return points, steps


def _first_order(
    batch: LossAtPoints, points: Points, settings: Settings, record: Record, limit: int
) -> tuple[Points, torch.Tensor]:
    """An elementwise optimizer of torch: all starts are one parameter."""
    if settings.optimizer in NOT_ELEMENTWISE:
        raise SelectionError(f"`starts` and {settings.optimizer} do not go together")
    parameter = torch.nn.Parameter(points.clone())
    optimizer = make_optimizer([parameter], settings)
    schedule = None
    if settings.schedule:
        if settings.schedule.lower().startswith("reduce"):
            raise SelectionError(
                f"`starts` and the schedule {settings.schedule} do not go together"
            )
        schedule = make_schedule(settings.schedule, optimizer, settings.epochs)
    losses, gradients = batch(parameter.detach())
    ends, lowest = points.clone(), losses.clone()
    for _ in range(limit):
        parameter.grad = _clipped(gradients, settings)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        with torch.no_grad():
            parameter.copy_(batch.project(parameter))
        losses, gradients = batch(parameter.detach())
        better = losses < lowest
        ends[better], lowest[better] = parameter.detach()[better], losses[better]
        _follow(record, parameter.detach(), losses)
    return ends, torch.full((len(points),), limit, dtype=torch.int64)


def _clipped(gradients: Points, settings: Settings) -> Points:
    if settings.clip_norm is not None:
        norms = gradients.norm(dim=1, keepdim=True)
        gradients = gradients * (settings.clip_norm / norms.clamp_min(1e-300)).clamp_max(1.0)
    if settings.clip_value is not None:
        gradients = gradients.clamp(-settings.clip_value, settings.clip_value)
    return gradients


def _follow(record: Record, points: Points, losses: torch.Tensor) -> None:
    """Note the best of all starts as this iteration's point."""
    if float(losses.min()) >= FAILED:
        return
    record.arrive(points[int(losses.argmin())])
    record.check_time()


def _with_penalties(
    loss: Loss, constraints: Constraints, record: Record, settings: Settings, points: Points
) -> tuple[Points, torch.Tensor]:
    """Starts that are led near to the constraints, by weights that grow from round to round."""
    general = list(constraints.general)
    equal = torch.tensor([constraints.limits[place].relation == "=" for place in general])
    signs = torch.tensor(
        [-1.0 if constraints.limits[place].relation == ">=" else 1.0 for place in general],
        dtype=torch.float64,
    )
    sizes = constraints.general_slopes(loss.point).norm(dim=1)
    sizes = torch.where((sizes > 0) & torch.isfinite(sizes), sizes, 1.0)
    size = max(abs(loss.value), 1e-12)
    steps = torch.zeros(len(points), dtype=torch.int64)
    rounds = replace(settings, optimizer=LBFGS)
    for weight in _PENALTIES:

        def penalty(point: torch.Tensor, weight: float = weight) -> torch.Tensor:
            excess = constraints.general_excess(point) * signs / sizes
            beyond = torch.where(equal, excess, excess.clamp_min(0.0))
            return weight * size * (beyond**2).sum()

        batch = LossAtPoints(loss.model, loss.box, penalty)
        limit = max(1, record.left // (2 * len(_PENALTIES)))
        points, more = _trained(batch, points, rounds, record, limit)
        steps += more
    return points, steps
