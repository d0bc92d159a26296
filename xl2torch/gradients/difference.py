"""Difference quotients of an objective: many perturbed copies of the model at once.

The default steps follow Nocedal & Wright, Numerical Optimization, 2nd ed., section 8.1. Where the
objective is so curved that such a step is too long, it is shortened, as long as rounding allows;
the balance of the two errors is that of Gill, Murray, Saunders & Wright, Computing
forward-difference intervals for numerical optimization, SIAM J. Sci. Stat. Comput. 4 (1983).
``settled`` and ``lengthened`` look closer at cells about which there is doubt. How long a step
becomes does not depend on the analytic gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch.func import functional_call, vmap

from xl2torch.model import SheetModel, Variable

Method = Literal["central", "forward"]
EPSILON = torch.finfo(torch.float64).eps
RELATIVE_STEP: dict[Method, float] = {"central": EPSILON ** (1 / 3), "forward": EPSILON**0.5}
STEP_RULE: dict[Method, str] = {
    "central": "ε^(1/3)·max(1, |x|), shortened where the objective is strongly curved "
    "(Nocedal & Wright, Numerical Optimization, section 8.1)",
    "forward": "ε^(1/2)·max(1, |x|), shortened where the objective is strongly curved "
    "(Nocedal & Wright, Numerical Optimization, section 8.1)",
}
_CURVATURE: dict[Method, float] = {"central": 1e-4, "forward": 1e-6}
"""Longest step: half its second difference beside the largest slope of the model."""
_ROUNDING: dict[Method, float] = {"central": 1e-8, "forward": 1e-6}
"""Shortest step: the rounding error that it brings beside the largest slope of the model."""
_ROUNDS = 12
_SHORTEST = 1e-11
"""Of the textbooks' step: what is still curved with that is a kink."""
_STILL = 1e-7
_LONGER = (10.0, 100.0, 1e3, 1e4)
_SHORTER = (1e-3, 0.1)
_ELEMENTS = 2_000_000
"""Elements of the largest tensor of all copies together: bounds the memory."""


@dataclass(frozen=True)
class Cells:
    """Some variable cells: for each the number of its range, and its place in the parameter."""

    ranges: torch.Tensor
    places: torch.Tensor

    def __len__(self) -> int:
        return len(self.ranges)

    def __getitem__(self, chosen: torch.Tensor) -> Cells:
        return Cells(self.ranges[chosen], self.places[chosen])


@dataclass(frozen=True)
class Differences:
    """The objective around variable cells: one element per cell.

    ``above`` and ``below`` are the objective at ``at`` ± ``step``, ``middle`` that at ``at``.
    """

    method: Method
    at: torch.Tensor
    step: torch.Tensor
    above: torch.Tensor
    middle: torch.Tensor
    below: torch.Tensor

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
        names = ("at", "step", "above", "middle", "below")
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
        """What rounding the objective explains: ε·|f|/step."""
        size = torch.maximum(torch.maximum(self.above.abs(), self.below.abs()), self.middle.abs())
        return EPSILON * size / self.step

    @property
    def curvature(self) -> torch.Tensor:
        """Half the second difference over the step: how much the slope changes in a step."""
        return (self.above + self.below - 2 * self.middle).abs() / (2 * self.step)

    @property
    def finite(self) -> torch.Tensor:
        """Where no perturbed objective is an error."""
        return torch.isfinite(self.above) & torch.isfinite(self.below)


def all_cells(model: SheetModel) -> Cells:
    """Every variable cell of a model."""
    sizes = [variable.cells.size for variable in model.variables]
    ranges = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    places = torch.cat([torch.arange(size) for size in sizes])
    return Cells(ranges, places)


def present_values(model: SheetModel, cells: Cells) -> torch.Tensor:
    """The numbers in some variable cells."""
    values = torch.empty(len(cells), dtype=torch.float64)
    for chosen, variable in _by_range(model, cells):
        values[chosen] = model.parameter(variable).detach().reshape(-1)[cells.places[chosen]]
    return values


def differences(
    model: SheetModel, cells: Cells, method: Method, steps: torch.Tensor,
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
    return Differences(method, present_values(model, cells), steps, above, middle, below)


def default_differences(
    model: SheetModel, cells: Cells, method: Method, done: Callable[[int], None] | None = None
) -> Differences:
    """Differences with the default steps; see the module docstring."""
    at = present_values(model, cells)
    steps = RELATIVE_STEP[method] * at.abs().clamp_min(1.0)
    return _shortened(model, cells, differences(model, cells, method, steps, done))


def _shortened(model: SheetModel, cells: Cells, first: Differences) -> Differences:
    """Shorter steps where the objective is curved within a step, or an error at its ends.

    Where no step is short enough, at a kink or a jump, the first one stays.
    """
    method, found = first.method, first
    shortest = _SHORTEST * first.step
    for _ in range(_ROUNDS):
        scale = _largest_slope(found)
        excess = found.curvature / (_CURVATURE[method] * scale)
        factor = (1 / excess).clamp(*_SHORTER).nan_to_num(_SHORTER[1])
        bearable = found.rounding / factor <= _ROUNDING[method] * scale
        wanted = ~found.finite | ((excess > 1) & bearable)
        again = wanted & (found.step * factor >= shortest)
        if not bool(again.any()):
            break
        steps = found.step[again] * factor[again]
        found = found.replaced(again, differences(model, cells[again], method, steps))
    return found.where(~wanted, first)


def settled(model: SheetModel, cells: Cells, first: Differences) -> Differences:
    """Shorter steps where the quotient still changes with them, until it does no more.

    At an inflection the curvature does not show that a step is too long. Where the quotient does
    not settle the first step stays.
    """
    found = first
    open_ = torch.ones(len(cells), dtype=torch.bool)
    calm = torch.zeros(len(cells), dtype=torch.bool)
    for _ in range(_ROUNDS // 2):
        steps = found.step[open_] / 10
        fresh = found.replaced(open_, differences(model, cells[open_], first.method, steps))
        change = (fresh.quotient - found.quotient).abs()
        still = change <= torch.maximum(_STILL * found.quotient.abs(), fresh.rounding)
        calm |= open_ & still
        open_ = open_ & ~still & fresh.finite
        found = fresh.where(open_, found)
        if not bool(open_.any()):
            break
    return found.where(calm, first)


def lengthened(model: SheetModel, cells: Cells, first: Differences) -> Differences:
    """Longer steps where rounding is felt and the quotient stays the same.

    A step is taken when one ten times as long gives the same within rounding: then its truncation
    error, a hundredth of the other's, is far below its rounding error.
    """
    count = len(_LONGER)
    repeated = Cells(cells.ranges.repeat(count), cells.places.repeat(count))
    steps = (torch.tensor(_LONGER, dtype=torch.float64)[:, None] * first.step).reshape(-1)
    others = differences(model, repeated, first.method, steps)
    ladder = [first, *(others[part] for part in torch.arange(len(steps)).split(len(cells)))]  # type: ignore[no-untyped-call]
    found, open_ = first, torch.ones(len(cells), dtype=torch.bool)
    for shorter, longer in pairwise(ladder):
        same = (longer.quotient - shorter.quotient).abs() <= 2 * shorter.rounding
        open_ = open_ & longer.finite & same
        found = shorter.where(open_, found)
    return found


def _largest_slope(found: Differences) -> float:
    slopes = found.quotient.abs()
    slopes = slopes[torch.isfinite(slopes)]
    return float(slopes.max()) if len(slopes) else 1.0


def _by_range(model: SheetModel, cells: Cells) -> Iterator[tuple[torch.Tensor, Variable]]:
    """Indices of the cells of each variable range that occurs."""
    for number, variable in enumerate(model.variables):
        chosen = torch.nonzero(cells.ranges == number).reshape(-1)
        if len(chosen):
            yield chosen, variable


def _copies_at_once(model: SheetModel) -> int:
    values = [node.meta.get("value") for node in model.graph.nodes]
    largest = max((v.numel() for v in values if isinstance(v, torch.Tensor)), default=1)
    return max(1, _ELEMENTS // max(largest, 1))


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
