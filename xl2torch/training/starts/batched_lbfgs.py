"""The loss at many points at once, and L-BFGS whose arithmetic is written for a batch of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from xl2torch.model.jacobian import copies_at_once, values_at
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.box import Box
from xl2torch.training.loss import FAILED, loss_function

_HISTORY = 10
_EVALUATIONS = 20
_DECREASE, _CURVATURE = 1e-4, 0.9
"""The constants of the weak Wolfe conditions."""
_TINY = 1e-300

Points = torch.Tensor
"""One point, all variable cells flat, in each row."""


class LossAtPoints:
    """Losses and gradients of a model at many points: copies of it run together.

    ``penalty`` is added to the losses; it is a function of one point.
    """

    def __init__(
        self, model: SheetModel, box: Box,
        penalty: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:  # fmt: skip
        loss = loss_function(model)

        def one(point: torch.Tensor) -> torch.Tensor:
            value = loss(point)
            return value if penalty is None else value + penalty(point)

        self._one = one
        self._at_once = copies_at_once(model)
        self.box = box

    def __call__(self, points: Points) -> tuple[torch.Tensor, Points]:
        """Losses (FAILED for an error), and gradients."""
        pieces = [self._part(part) for part in torch.split(points, self._at_once)]
        return torch.cat([losses for losses, _ in pieces]), torch.cat([g for _, g in pieces])

    def _part(self, points: Points) -> tuple[torch.Tensor, Points]:
        start = points.detach().requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a function without a batching rule is only slower
            values = values_at(self._one, start)
            (gradients,) = torch.autograd.grad(values.sum(), start)
        good = torch.isfinite(values) & torch.isfinite(gradients).all(1)
        return (
            torch.where(good, values.detach(), FAILED),
            torch.where(good[:, None], gradients, 0.0),
        )

    def project(self, points: Points) -> Points:
        """Points moved into the bounds."""
        return self.box.clamp(points)

    def free(self, points: Points, gradients: Points) -> Points:
        """Gradients, 0 where a bound keeps a variable from going further."""
        held = ((points <= self.box.lower) & (gradients > 0)) | (
            (points >= self.box.upper) & (gradients < 0)
        )
        return gradients.masked_fill(held, 0.0)


@dataclass(eq=False)
class BatchState:
    """Where a batch stands: points, losses, gradients."""

    points: Points
    losses: torch.Tensor
    gradients: Points

    def part(self, chosen: torch.Tensor) -> BatchState:
        """Some of them."""
        return BatchState(self.points[chosen], self.losses[chosen], self.gradients[chosen])


class QuasiNewtonAtPoints:
    """L-BFGS for many points at once, each with its own history and step length.

    Two loops over the history (Nocedal, Updating quasi-Newton matrices with limited storage, 1980);
    the line search brackets the weak Wolfe conditions by doubling and halving, which also ends at
    kinks (Lewis and Overton, Nonsmooth optimization via quasi-Newton methods, 2013).
    """

    def __init__(self, loss: LossAtPoints, state: BatchState) -> None:
        self.loss = loss
        self.state = state
        self._steps: list[Points] = []
        self._changes: list[Points] = []
        self._inverse: list[torch.Tensor] = []

    def keep(self, chosen: torch.Tensor) -> None:
        """Go on with some of the points only."""
        self.state = self.state.part(chosen)
        self._steps = [item[chosen] for item in self._steps]
        self._changes = [item[chosen] for item in self._changes]
        self._inverse = [item[chosen] for item in self._inverse]

    def step(self) -> None:
        """One iteration of every point; one that finds nothing better stays where it is."""
        old = self.state
        gradients = self.loss.free(old.points, old.gradients)
        new = self._searched(old, self._direction(gradients), gradients)
        steps, changes = new.points - old.points, new.gradients - old.gradients
        products = (steps * changes).sum(1)
        sizes = steps.norm(dim=1) * changes.norm(dim=1)
        inverse = torch.where(products > 1e-12 * sizes, 1 / products.clamp_min(_TINY), 0.0)
        for history, item in (
            (self._steps, steps), (self._changes, changes), (self._inverse, inverse)
        ):  # fmt: skip
            history.append(item)
            del history[:-_HISTORY]
        stalled = new.losses >= old.losses
        if bool(stalled.any()):  # a kink, or the end: what was learned of the slopes misleads
            self._inverse = [torch.where(stalled, 0.0, item) for item in self._inverse]
        self.state = new

    def _direction(self, gradients: Points) -> Points:
        found = gradients.clone()
        weights = []
        for step, change, inverse in self._newest_first():
            weight = inverse * (step * found).sum(1)
            weights.append(weight)
            found -= weight[:, None] * change
        plain = 1 / gradients.norm(dim=1).clamp_min(1.0)
        if self._steps:
            curvature = (self._changes[-1] ** 2).sum(1) * self._inverse[-1]
            plain = torch.where(curvature > 0, 1 / curvature.clamp_min(_TINY), plain)
        found *= plain[:, None]
        oldest_first = reversed(list(zip(self._newest_first(), weights, strict=True)))
        for (step, change, inverse), weight in oldest_first:
            found += (weight - inverse * (change * found).sum(1))[:, None] * step
        direction = -torch.where(gradients == 0, 0.0, found)
        uphill = (direction * gradients).sum(1) >= 0
        return torch.where(uphill[:, None], -gradients, direction)

    def _newest_first(self) -> Iterator[tuple[Points, Points, torch.Tensor]]:
        return zip(
            reversed(self._steps), reversed(self._changes), reversed(self._inverse), strict=True
        )

    def _searched(self, old: BatchState, direction: Points, gradients: Points) -> BatchState:
        """The state after a line search of every point along its direction."""
        slopes = (direction * gradients).sum(1)
        count = len(slopes)
        length = torch.ones(count, dtype=slopes.dtype)
        low, high = torch.zeros_like(length), torch.full_like(length, torch.inf)
        best = BatchState(old.points.clone(), old.losses.clone(), old.gradients.clone())
        left = torch.nonzero(slopes < 0).reshape(-1)
        for _ in range(_EVALUATIONS):
            if not len(left):
                break
            points = self.loss.project(old.points[left] + length[left, None] * direction[left])
            losses, found = self.loss(points)
            enough = losses <= old.losses[left] + _DECREASE * length[left] * slopes[left]
            turned = (found * direction[left]).sum(1) >= _CURVATURE * slopes[left]
            better = enough & (losses <= best.losses[left])
            places = left[better]
            best.points[places], best.losses[places] = points[better], losses[better]
            best.gradients[places] = found[better]
            high[left[~enough]] = length[left[~enough]]
            low[left[enough & ~turned]] = length[left[enough & ~turned]]
            left = left[~(enough & turned)]
            open_ended = torch.isinf(high[left])
            length[left] = torch.where(
                open_ended, 2 * length[left], (low[left] + high[left].clamp_max(FAILED)) / 2
            )
        return best
