"""Difference quotients of an objective: many perturbed copies of the model at once.

The default steps are ε^(1/3) for central and ε^(1/2) for forward differences (Nocedal & Wright,
Numerical Optimization, 2nd ed., section 8.1) times max(1, |x|), the usual guess of a variable's
scale (Dennis & Schnabel, Numerical Methods for Unconstrained Optimization, section 5.4). Where the
objective is so curved that such a step is too long, it is shortened, as long as rounding allows;
the balance of the two errors is that of Gill, Murray, Saunders & Wright, Computing
forward-difference intervals for numerical optimization, SIAM J. Sci. Stat. Comput. 4 (1983).
``with_noise``, ``settled`` and ``lengthened`` look closer at cells about which there is doubt. How
long a step becomes does not depend on the analytic gradient. Default steps are powers of two, so
that x ± step is exact.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch.func import functional_call, vmap

from xl2torch.model.sheet_model import SheetModel, Variable, largest_tensor

Method = Literal["central", "forward"]
EPSILON = torch.finfo(torch.float64).eps
RELATIVE_STEP: dict[Method, float] = {"central": EPSILON ** (1 / 3), "forward": EPSILON**0.5}
STEP_RULE: dict[Method, str] = {
    "central": "ε^(1/3)·max(1, |x|), rounded to a power of 2, shorter where the objective is "
    "strongly curved (Nocedal & Wright, Numerical Optimization, section 8.1)",
    "forward": "ε^(1/2)·max(1, |x|), rounded to a power of 2, shorter where the objective is "
    "strongly curved (Nocedal & Wright, Numerical Optimization, section 8.1)",
}
_CURVATURE: dict[Method, float] = {"central": 1e-4, "forward": 1e-6}
"""Longest step: half its second difference beside the largest slope of the model."""
_ROUNDING: dict[Method, float] = {"central": 1e-8, "forward": 1e-6}
"""Shortest step: the rounding error that it brings beside the largest slope of the model."""
_EXPLAINED: dict[Method, float] = {"central": 1e-4, "forward": 1.1}
"""Truncation error beside the curvature: a forward difference is off by the curvature itself."""
_ROUNDS = 12
_SHORTEST = 2.0**-36
"""Of the first step: what is still curved with that is a kink."""
_SHORTEST_TO_ERROR = 2.0**-10
"""Of the first step: what is still an error with that is the edge of the domain."""
_RESOLUTION = 16 * EPSILON
"""Of |x|: shorter steps would vanish beside it."""
_SHORTER = (1e-3, 0.1)
"""Least and most that a step becomes shorter in one round."""
_STILL = 1e-7
"""Relative change of a quotient that has settled."""
_SHRINKS = 0.3
"""What an eighth of the step has to leave of an error that is due to it."""
_LONGER = (8.0, 64.0, 512.0, 4096.0)
"""Steps that are tried where rounding is felt, beside the first."""
_NOISE_POINTS = 9
_NOISE_ORDERS = (4, 7)
_NOISE_STEP = 2.0**-10
_LOUDEST = 1e-3
"""For the noise: points and orders of the table of differences, distance of the points beside the
step, most of the objective that can be rounding."""
_ELEMENTS = 2_000_000
"""Elements of the largest tensor of all copies together: bounds the memory."""


@dataclass(frozen=True)
class VariableIndex:
    """Some variable cells: for each the number of its range, and its place in the parameter."""

    ranges: torch.Tensor
    places: torch.Tensor

    def __len__(self) -> int:
        return len(self.ranges)

    def __getitem__(self, chosen: torch.Tensor) -> VariableIndex:
        return VariableIndex(self.ranges[chosen], self.places[chosen])


@dataclass(frozen=True)
class Differences:
    """The objective around variable cells: one element per cell.

    ``above`` and ``below`` are the objective at ``at`` ± ``step``, ``middle`` that at ``at``.
    ``noise`` is the rounding error of the objective, ε·|f| as long as nothing else is known.
    """

    method: Method
    at: torch.Tensor
    step: torch.Tensor
    above: torch.Tensor
    middle: torch.Tensor
    below: torch.Tensor
    noise: torch.Tensor

    def __getitem__(self, chosen: torch.Tensor) -> Differences:
        return self._map(lambda name: getattr(self, name)[chosen])

    def replaced(self, where: torch.Tensor, fresh: Differences) -> Differences:
        """These, with those of the chosen cells replaced."""

        def merged(name: str) -> torch.Tensor:
            values: torch.Tensor = getattr(self, name).clone()
            values[where] = getattr(fresh, name)
            return values

        return self._map(merged)

    def where(self, condition: torch.Tensor, others: Differences) -> Differences:
        """These where the condition holds, elsewhere the others."""
        return self._map(
            lambda name: torch.where(condition, getattr(self, name), getattr(others, name))
        )

    def _map(self, change: Callable[[str], torch.Tensor]) -> Differences:
        names = ("at", "step", "above", "middle", "below", "noise")
        return Differences(self.method, *(change(name) for name in names))

    @property
    def right(self) -> torch.Tensor:
        """Slope to the right: the forward quotient."""
        return (self.above - self.middle) / ((self.at + self.step) - self.at)

    @property
    def left(self) -> torch.Tensor:
        """Slope to the left: the backward quotient."""
        return (self.middle - self.below) / (self.at - (self.at - self.step))

    @property
    def quotient(self) -> torch.Tensor:
        """The numeric derivative. The width is that of the numbers really used."""
        if self.method == "forward":
            return self.right
        return (self.above - self.below) / ((self.at + self.step) - (self.at - self.step))

    @property
    def rounding(self) -> torch.Tensor:
        """What rounding the objective explains: ε·|f|/step, or more where more is known."""
        return self.noise / self.step

    @property
    def curvature(self) -> torch.Tensor:
        """Half the second difference over the step: how much the slope changes in a step."""
        return (self.above + self.below - 2 * self.middle).abs() / (2 * self.step)

    @property
    def truncation(self) -> torch.Tensor:
        """What the curvature within a step explains."""
        return _EXPLAINED[self.method] * self.curvature

    @property
    def size(self) -> torch.Tensor:
        """Largest |f| of the three points."""
        return torch.maximum(torch.maximum(self.above.abs(), self.below.abs()), self.middle.abs())

    @property
    def flat(self) -> torch.Tensor:
        """Where the objective does not move within a step."""
        return (self.above == self.middle) & (self.below == self.middle)

    @property
    def finite(self) -> torch.Tensor:
        """Where no perturbed objective is an error."""
        return torch.isfinite(self.above) & torch.isfinite(self.below)


def all_cells(model: SheetModel) -> VariableIndex:
    """Every variable cell of a model."""
    sizes = [variable.cells.size for variable in model.variables]
    ranges = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    places = torch.cat([torch.arange(size) for size in sizes])
    return VariableIndex(ranges, places)


def present_values(model: SheetModel, cells: VariableIndex) -> torch.Tensor:
    """The numbers in some variable cells."""
    values = torch.empty(len(cells), dtype=torch.float64)
    for chosen, variable in _by_range(model, cells):
        values[chosen] = model.parameter(variable).detach().reshape(-1)[cells.places[chosen]]
    return values


def differences(
    model: SheetModel, cells: VariableIndex, method: Method, steps: torch.Tensor,
    done: Callable[[int], None] | None = None,
) -> Differences:  # fmt: skip
    """The objective around some cells, each moved by its own step.

    ``done`` is called with the number of cells that have just been computed.
    """
    above, middle, below = (torch.empty(len(cells), dtype=torch.float64) for _ in range(3))
    limit = _copies_at_once(model)
    for group, variable in _by_range(model, cells):
        base = model.parameter(variable).detach()
        for chosen in torch.split(group, limit):
            index = torch.arange(len(chosen))
            moves = torch.zeros(len(chosen), base.numel(), dtype=torch.float64)
            moves[index, cells.places[chosen]] = steps[chosen]
            flat = base.reshape(1, -1)
            copies = torch.cat([flat, flat + moves, flat - moves])
            values = _objectives(model, variable, copies.reshape(-1, *base.shape))
            middle[chosen] = values[0]
            above[chosen], below[chosen] = values[1:].chunk(2)
            if done:
                done(len(chosen))
    at = present_values(model, cells)
    found = Differences(method, at, steps, above, middle, below, torch.zeros_like(above))
    return replace(found, noise=EPSILON * found.size)


def default_differences(
    model: SheetModel,
    cells: VariableIndex,
    method: Method,
    done: Callable[[int], None] | None = None,
) -> Differences:
    """Differences with the default steps; see the module docstring."""
    at = present_values(model, cells)
    steps = 2 * _power_of_two(RELATIVE_STEP[method] * at.abs().clamp_min(1.0))
    return _shortened(model, cells, differences(model, cells, method, steps, done))


def _power_of_two(steps: torch.Tensor) -> torch.Tensor:
    """The power of two at or below: x ± step then is exact, and so is the width."""
    return torch.exp2(torch.floor(torch.log2(steps)))


def _shortened(model: SheetModel, cells: VariableIndex, first: Differences) -> Differences:
    """Shorter steps where the objective is curved within a step, or an error at its ends.

    Where no step is short enough, at a kink or a jump or the edge of the domain, the first one
    stays.
    """
    method, found = first.method, first
    resolution = _RESOLUTION * torch.where(first.at == 0, 1.0, first.at.abs())
    for _ in range(_ROUNDS):
        scale = _largest_slope(found)
        excess = found.curvature / (_CURVATURE[method] * scale)
        factor = (1 / excess).clamp(*_SHORTER).nan_to_num(_SHORTER[1])
        factor = torch.where(found.finite, factor, _SHORTER[1])
        bearable = found.rounding / factor <= _ROUNDING[method] * found.curvature.clamp_min(scale)
        wanted = ~found.finite | ((excess > 1) & bearable)
        least = torch.where(found.finite, _SHORTEST, _SHORTEST_TO_ERROR) * first.step
        steps = _power_of_two(found.step * factor)
        again = wanted & (steps >= torch.maximum(least, resolution))
        if not bool(again.any()):
            break
        found = found.replaced(again, differences(model, cells[again], method, steps[again]))
    return found.where(~wanted, first)


def with_noise(model: SheetModel, cells: VariableIndex, found: Differences) -> Differences:
    """The same with the rounding error of the objective measured, where it is more than ε·|f|.

    From high differences of the objective at close points, in which what is smooth cancels and
    rounding stays (Hamming, Introduction to Applied Numerical Analysis, section 6.3; Moré & Wild,
    Estimating computational noise, SIAM J. Sci. Comput. 33, 2011). The least of both sides and two
    orders, so that neither a jump at the point nor curvature counts; what is large beside the
    objective is no rounding either.
    """
    textbook = RELATIVE_STEP["central"] * found.at.abs().clamp_min(1.0)
    noise = found.noise
    for step in (found.step, textbook):
        distance = torch.maximum(_NOISE_STEP * step, _RESOLUTION * found.at.abs())
        measured = 2 * _noise(model, cells, distance)
        credible = measured <= _LOUDEST * found.size
        noise = torch.where(credible, torch.maximum(noise, measured), noise)
    return replace(found, noise=noise)


def _noise(model: SheetModel, cells: VariableIndex, distance: torch.Tensor) -> torch.Tensor:
    """Standard deviation of the rounding error, from points at a distance."""
    repeated = VariableIndex(cells.ranges.repeat(_NOISE_POINTS), cells.places.repeat(_NOISE_POINTS))
    places = torch.arange(1, _NOISE_POINTS + 1, dtype=torch.float64)
    near = differences(model, repeated, "central", (places[:, None] * distance).reshape(-1))
    found = torch.full((len(cells),), math.inf, dtype=torch.float64)
    for values in (near.above, near.below):
        for order in _NOISE_ORDERS:
            table = values.reshape(_NOISE_POINTS, len(cells)).diff(n=order, dim=0)
            deviation = ((table**2).mean(0) / math.comb(2 * order, order)).sqrt()
            found = torch.minimum(found, deviation.nan_to_num(math.inf))
    return found.nan_to_num(0.0, 0.0, 0.0)


def settled(model: SheetModel, cells: VariableIndex, first: Differences) -> Differences:
    """Shorter steps where the quotient still changes with them, until it does no more.

    At an inflection the curvature does not show that a step is too long. Where the quotient does
    not settle the first step stays.
    """
    found = first
    open_ = torch.ones(len(cells), dtype=torch.bool)
    calm = torch.zeros(len(cells), dtype=torch.bool)
    for _ in range(_ROUNDS // 2):
        steps = _power_of_two(found.step[open_] / 8)
        fresh = found.replaced(open_, differences(model, cells[open_], first.method, steps))
        fresh = replace(fresh, noise=first.noise)
        change = (fresh.quotient - found.quotient).abs()
        still = change <= torch.maximum(_STILL * found.quotient.abs(), fresh.rounding)
        calm |= open_ & still
        open_ = open_ & ~still & fresh.finite
        found = fresh.where(open_, found)
        if not bool(open_.any()):
            break
    return found.where(calm, first)


def vanishing(
    model: SheetModel, cells: VariableIndex, found: Differences, analytic: torch.Tensor
) -> torch.Tensor:
    """Where the difference from the analytic derivative goes away with the step.

    So it does at the point itself, whatever the relative difference says: at an optimum both
    derivatives are next to nothing. Either the difference shrinks twice as it should, or it is far
    below the curvature, which shrinks: at a kink or a jump neither does.
    """
    shorter, shortest = (differences(model, cells, found.method, found.step / n) for n in (8, 64))
    gaps = [(analytic - each.quotient).abs() for each in (found, shorter, shortest)]
    shrinks = (gaps[1] <= _SHRINKS * gaps[0]) & (gaps[2] <= _SHRINKS * gaps[1])
    smooth = shorter.curvature <= _SHRINKS * found.curvature + shorter.rounding
    explained = gaps[0] <= found.truncation + found.rounding
    return shrinks | (smooth & explained & (found.curvature > 0))


def lengthened(model: SheetModel, cells: VariableIndex, first: Differences) -> Differences:
    """Longer steps where rounding is felt and the quotient stays the same.

    A step is taken when one eight times as long gives the same within rounding: then its truncation
    error, a sixty-fourth of the other's, is far below its rounding error.
    """
    count = len(_LONGER)
    repeated = VariableIndex(cells.ranges.repeat(count), cells.places.repeat(count))
    steps = (torch.tensor(_LONGER, dtype=torch.float64)[:, None] * first.step).reshape(-1)
    others = differences(model, repeated, first.method, steps)
    parts = torch.arange(len(steps)).reshape(count, len(cells)).unbind(0)
    noise = first.noise
    ladder = [first, *(replace(others[part], noise=noise) for part in parts)]
    found, open_ = first, torch.ones(len(cells), dtype=torch.bool)
    for shorter, longer in pairwise(ladder):
        same = (longer.quotient - shorter.quotient).abs() <= 2 * shorter.rounding
        open_ = open_ & longer.finite & same
        found = shorter.where(open_, found)
    return found


def _largest_slope(found: Differences) -> float:
    """Largest slope of the cells whose slope is known: a jump gives none."""
    slopes = found.quotient.abs()
    finite = torch.isfinite(slopes)
    smooth = finite & (found.curvature <= slopes)
    known = slopes[smooth if bool(smooth.any()) else finite]
    return float(known.max()) if len(known) else 1.0


def _by_range(model: SheetModel, cells: VariableIndex) -> Iterator[tuple[torch.Tensor, Variable]]:
    """Indices of the cells of each variable range that occurs."""
    for number, variable in enumerate(model.variables):
        chosen = torch.nonzero(cells.ranges == number).reshape(-1)
        if len(chosen):
            yield chosen, variable


def _copies_at_once(model: SheetModel) -> int:
    return max(1, _ELEMENTS // max(largest_tensor(model), 1))


def _objectives(model: SheetModel, variable: Variable, copies: torch.Tensor) -> torch.Tensor:
    """Objective of copies of the model that differ in one parameter."""

    def objective(values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = functional_call(model, {variable.name: values}, ())
        return found

    return over_copies(objective, copies)


@torch.no_grad()
def over_copies(
    function: Callable[[torch.Tensor], torch.Tensor], copies: torch.Tensor
) -> torch.Tensor:
    """Results of a function for all copies (first dim), computed together where torch can."""
    with warnings.catch_warnings():
        # Some functions have no batching rule: torch then loops over the copies itself.
        warnings.simplefilter("ignore", UserWarning)
        try:
            return vmap(function, randomness="different")(copies)
        except RuntimeError:
            return torch.stack([function(values) for values in copies])
