"""Sums of squares that fall apart: many small fits in one sheet, each with cells of its own.

Residuals and variables that never meet are told by the zeros of the Jacobian. Each block has a
damping of its own (Marquardt, SIAM J. Appl. Math. 11, 1963; scaled as Moré does it), but all are
computed together: a column of the Jacobian serves the same variable of every block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.model.jacobian import batched_gradients, jacobian
from xl2torch.training.solvers.scipy_vector import FreeVariables, Numbers

Function = Callable[[torch.Tensor], torch.Tensor]
_MOST_ELEMENTS = 20_000_000
"""Of the Jacobian that is looked at."""
_WIDEST = 20
"""Variables of a block."""
_FEW = 5
_ASIDE = 0.01
_STEPS = 300
_DAMPING, _LESS, _MORE, _MOST_DAMPING = 1e-3, 0.2, 5.0, 1e12
_SMALL_STEP = 1e-11
_SAME = 1e-13
_ROUNDS = 3
_BETTER = 1e-6
_AT_REST = 1e-7
_EVALUATIONS, _LEAST_EVALUATIONS = 3_000, 50
"""Of all residuals for blocks that are gone on with alone, and at least for each."""
_FAR = 1e100


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of variables and residuals that meet with no others.

    ``variables`` are places of free variables, (blocks, width), padded with -1; ``owner`` is the
    block of each residual, -1 for one that no variable moves.
    """

    variables: NDArray[np.int64]
    owner: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.variables)

    @property
    def width(self) -> int:
        """Variables of the widest."""
        return int(self.variables.shape[1])


def find_blocks(residuals: Function, free: FreeVariables) -> Blocks | None:
    """The blocks; None where all is one, or where one is wide."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    with torch.no_grad():
        rows = len(residuals(free.point(free.start)))
    if len(free) < 2 or rows * len(free) > _MOST_ELEMENTS or _is_wide(residuals, free):
        return None
    aside = np.random.default_rng(0).uniform(0.5, 1.0, len(free)) * _ASIDE
    aside *= np.maximum(np.abs(free.start), 1.0)
    meet = np.zeros((rows, len(free)), dtype=bool)
    for numbers in (free.start, np.clip(free.start + aside, *free.bounds)):
        meet |= free.slopes(jacobian(residuals, free.point(numbers))) != 0  # NaN counts as a slope
    row, column = np.nonzero(meet)
    size = rows + len(free)
    links = coo_array((np.ones(len(row)), (row, rows + column)), shape=(size, size))
    _, labels = connected_components(links, directed=False)
    used, blocks = np.unique(labels[rows:], return_inverse=True)
    widths = np.bincount(blocks)
    if len(used) < 2 or widths.max() > _WIDEST:
        return None
    variables = np.full((len(used), widths.max()), -1)
    order = np.argsort(blocks, kind="stable")
    inside = np.arange(len(order)) - (np.cumsum(widths) - widths)[blocks[order]]
    variables[blocks[order], inside] = order
    place = np.searchsorted(used, labels[:rows])
    known = np.take(used, np.minimum(place, len(used) - 1)) == labels[:rows]
    return Blocks(variables, np.where(known & meet.any(axis=1), place, -1))


def _is_wide(residuals: Function, free: FreeVariables) -> bool:
    """Whether one of a few residuals reads more variables than a block has: it is soon told."""
    point = free.point(free.start).requires_grad_()
    found = residuals(point)
    few = torch.linspace(0, len(found) - 1, _FEW).round().long()
    weights = torch.zeros(_FEW, len(found), dtype=found.dtype).scatter_(1, few[:, None], 1.0)
    slopes = batched_gradients(found, point, weights)
    return bool(((free.slopes(slopes) != 0).sum(axis=1) > _WIDEST).any())


def fit_blocks(
    residuals: Function, free: FreeVariables, blocks: Blocks, arrive: Callable[[Numbers], None]
) -> Numbers:
    """The least squares of each block: from the start, then from the answers of other blocks.

    A block that is not at rest then is gone on with alone. ``arrive`` is told of each better point.
    """
    fitting = _Fitting(residuals, free, blocks)
    best = free.start
    costs = first = fitting.costs(best)
    random = np.random.default_rng(0)
    for round_ in range(1 + _ROUNDS):
        start = best
        if round_:  # fits side by side are often alike: the best one's answer, then anybody's
            donors = random.permutation(blocks.count)
            if round_ == 1:
                donors[:] = np.argmin(costs / np.maximum(first, 1e-300))
            start = fitting.from_others(best, donors)
        for numbers, found in fitting.steps(start):
            better = found < costs
            gained = bool((found < costs * (1 - _BETTER)).any())
            best = fitting.chosen(better, numbers, best)
            costs = np.where(better, found, costs)
            if gained:
                arrive(best)
    arrive(best)
    restless = fitting.restless(best)
    for block in restless:
        moved = fitting.alone(block, best, max(_EVALUATIONS // len(restless), _LEAST_EVALUATIONS))
        if fitting.costs(moved)[block] < costs[block]:
            best = moved
            arrive(best)
    return best


class _Fitting:
    """Steps of all blocks together."""

    def __init__(self, residuals: Function, free: FreeVariables, blocks: Blocks) -> None:
        self.residuals = residuals
        self.free = free
        self.blocks = blocks
        self._present = blocks.variables >= 0
        self._places = np.where(self._present, blocks.variables, 0)
        self._rows = np.flatnonzero(blocks.owner >= 0)
        self._owner = blocks.owner[self._rows]
        self._seeds = self._seed_points()

    def _seed_points(self) -> torch.Tensor:
        """One direction for each place in a block: that variable of every block."""
        seeds = np.zeros((self.blocks.width, len(self.free)))
        for place in range(self.blocks.width):
            seeds[place, self.blocks.variables[self._present[:, place], place]] = 1.0
        return torch.stack([self.free.direction(seed) for seed in seeds])

    def costs(self, numbers: Numbers) -> Numbers:
        """The sum of squares of each block; infinite where a residual is an error."""
        with torch.no_grad():
            found = self.residuals(self.free.point(numbers)).numpy()[self._rows]
        with np.errstate(all="ignore"):
            sums = np.bincount(self._owner, found**2, minlength=self.blocks.count)
        return np.where(np.isfinite(sums), sums, np.inf)

    def _columns(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Residuals, and their slopes by the first, second, … variable of their blocks."""
        point = self.free.point(numbers).requires_grad_()
        vector = self.residuals(point)
        weights = torch.zeros_like(vector, requires_grad=True)
        (pulled,) = torch.autograd.grad(vector, point, weights, create_graph=True)
        columns = batched_gradients(pulled, weights, self._seeds)
        slopes = torch.nan_to_num(columns).numpy()[:, self._rows]
        return np.nan_to_num(vector.detach().numpy()[self._rows]), slopes

    def _linearised(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """JᵀJ and Jᵀr of each block."""
        errors, slopes = self._columns(numbers)
        width, count = self.blocks.width, self.blocks.count
        square = np.empty((count, width, width))
        pull = np.empty((count, width))
        for i in range(width):
            pull[:, i] = np.bincount(self._owner, slopes[i] * errors, minlength=count)
            for j in range(i + 1):
                sums = np.bincount(self._owner, slopes[i] * slopes[j], minlength=count)
                square[:, i, j] = square[:, j, i] = sums
        return square, pull

    def restless(self, numbers: Numbers) -> list[int]:
        """Blocks whose residuals some variable could make shorter, to first order."""
        square, pull = self._linearised(numbers)
        sizes = np.sqrt(np.diagonal(square, axis1=1, axis2=2) * self.costs(numbers)[:, None])
        moving = ~self._held(numbers, pull) & (np.abs(pull) > _AT_REST * sizes)
        return list(map(int, np.flatnonzero(moving.any(axis=1))))

    def alone(self, block: int, numbers: Numbers, evaluations: int) -> Numbers:
        """The least squares of one block, by a trust region."""
        from scipy.optimize import least_squares

        places = self.blocks.variables[block][self._present[block]]
        own = self._owner == block

        def moved(part: Numbers) -> Numbers:
            whole = np.array(numbers)
            whole[places] = part
            return whole

        def errors(part: Numbers) -> Numbers:
            with torch.no_grad():
                found = self.residuals(self.free.point(moved(part))).numpy()
            part = found[self._rows][own]
            return np.asarray(np.nan_to_num(part, nan=_FAR, posinf=_FAR, neginf=-_FAR))

        def slopes(part: Numbers) -> Numbers:
            columns = self._columns(moved(part))[1]
            return np.asarray(columns[: len(places), own].T)

        bounds = [limit[places] for limit in self.free.bounds]
        with np.errstate(all="ignore"):
            found = least_squares(
                errors, numbers[places], slopes, bounds, x_scale="jac", xtol=1e-15, ftol=1e-15,
                gtol=1e-15, max_nfev=evaluations,
            )  # fmt: skip
        part: Numbers = np.asarray(found.x)
        return moved(part)

    def _held(self, numbers: Numbers, pull: Numbers) -> NDArray[np.bool_]:
        """Variables that a bound keeps from going further, and places that hold none."""
        lower, upper = (limit[self._places] for limit in self.free.bounds)
        here = numbers[self._places]
        return np.asarray(
            ((here <= lower) & (pull > 0)) | ((here >= upper) & (pull < 0)) | ~self._present
        )

    def chosen(self, some: NDArray[np.bool_], numbers: Numbers, others: Numbers) -> Numbers:
        """The numbers of some blocks, those of a second point for the rest."""
        picked = np.array(others)
        places = self.blocks.variables[some][self._present[some]]
        picked[places] = numbers[places]
        return picked

    def from_others(self, numbers: Numbers, order: NDArray[np.int64]) -> Numbers:
        """Each block with the numbers of another one of the same width."""
        widths = self._present.sum(axis=1)
        alike = widths[order] == widths
        moved = np.array(numbers)
        given = numbers[self._places[order]]
        fits = self._present & alike[:, None]
        moved[self.blocks.variables[fits]] = given[fits]
        return np.clip(moved, *self.free.bounds)

    def steps(self, numbers: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
        """Points on the way from a start, with the costs there, until no block gets better."""
        costs = self.costs(numbers)
        damping = np.full(self.blocks.count, _DAMPING)
        scale = np.zeros((self.blocks.count, self.blocks.width))
        active = np.isfinite(costs) & (costs > 0)
        yield numbers, costs
        square = pull = np.empty(0)
        fresh = True
        for _ in range(_STEPS):
            if not active.any():
                return
            if fresh:
                square, pull = self._linearised(numbers)
                scale = np.maximum(scale, np.diagonal(square, axis1=1, axis2=2))
            step = self._step(numbers, square, pull, scale, damping)
            moved = np.array(numbers)
            moved[self.blocks.variables[self._present]] += step[self._present]
            moved = self.chosen(active, np.clip(moved, *self.free.bounds), numbers)
            found = self.costs(moved)
            better = active & (found < costs)
            sizes = np.abs(numbers[self._places]) + 1e-300
            short = (np.abs(step) <= _SMALL_STEP * sizes).all(axis=1, where=self._present)
            flat = better & (costs - found <= _SAME * costs)
            numbers = self.chosen(better, moved, numbers)
            costs = np.where(better, found, costs)
            damping = np.where(better, damping * _LESS, damping * _MORE)
            active &= ~(short | flat | (damping > _MOST_DAMPING) | (costs == 0))
            fresh = bool(better.any())
            if fresh:
                yield numbers, costs

    def _step(
        self, numbers: Numbers, square: Numbers, pull: Numbers, scale: Numbers, damping: Numbers
    ) -> Numbers:
        """The damped step of each block, in the variables that their bounds let move."""
        held, width = self._held(numbers, pull), self.blocks.width
        system = square + np.eye(width) * (damping[:, None] * np.maximum(scale, 1e-300))[:, None, :]
        system = np.where(held[:, :, None] | held[:, None, :], np.eye(width), system)
        wanted = np.where(held, 0.0, -pull)
        sizes = np.sqrt(np.maximum(np.diagonal(system, axis1=1, axis2=2), 1e-300))
        scaled = system / sizes[:, :, None] / sizes[:, None, :]
        scaled += 1e-15 * np.eye(width)
        with np.errstate(all="ignore"):
            step = np.linalg.solve(scaled, (wanted / sizes)[:, :, None])[:, :, 0] / sizes
        return np.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0)
