"""Which optimizer a sheet's descent is, found from its numbers.

The numbers tell the roles: a gradient is a column that autograd of the error gives too, a state is
one that is a constant times itself in the row before plus a constant times the gradient (or its
square), a rule is one whose steps are a constant times what it says. What a row has else is a slip.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from xl2torch.errors import ModelError
from xl2torch.teach.replay.descent import Descent, DescentWeight
from xl2torch.teach.replay.gradient import STEPS_CLOSE, Gradients, constant_rate

_MOST = 0.8
"""Of the rows: those that do as the others, so that what others do is a slip."""


@dataclass(frozen=True)
class State:
    """A running mean down a column: decay·before + share·gradient (or its square)."""

    column: int
    decay: float
    share: float
    start: float
    slips: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """How a weight is changed: a rate times its gradient or mean, over a root perhaps.

    ``rate_cells`` say where the rate is from. ``earlier``: the root is that of the row before;
    ``corrected``: mean and root are divided by 1 - decay^t (Kingma and Ba, Adam, 2015).
    """

    rate: float
    rate_cells: str
    mean: State | None
    square: State | None
    earlier: bool
    corrected: bool
    slips: tuple[int, ...]

    @property
    def kind(self) -> tuple[bool, ...]:
        """What it has: a mean, a root, one of the row before, corrections."""
        return self.mean is not None, self.square is not None, self.earlier, self.corrected


def find_steps(descent: Descent, gradients: Gradients) -> tuple[Step, ...]:
    """The step of each weight. Raises ModelError where none is recognised, or several differ."""
    steps = []
    for weight, gradient in zip(descent.weights, gradients.slopes, strict=True):
        step = _step(descent, weight, gradient)
        if step is None:
            raise ModelError(
                f"{descent.area(weight.new_column)} ({descent.shown(weight.new_column)}): the "
                f"rule that changes {weight.name} is none of those known: a rate times the "
                "gradient, times a running mean of it, or either over the root of a running mean "
                "of its squares"
            )
        steps.append(step)
    if len({step.kind for step in steps}) > 1:
        names = ", ".join(weight.name for weight in descent.weights)
        raise ModelError(f"the weights {names} of sheet {descent.sheet} follow different rules")
    return tuple(steps)


def _step(descent: Descent, weight: DescentWeight, gradient: torch.Tensor) -> Step | None:
    """The first rule, the simplest first, that the steps of a weight follow."""
    means = [None, *_states(descent, gradient)]
    squares = [None, *_states(descent, gradient**2)]
    for square, mean in itertools.product(squares, means):
        for earlier, corrected in _variants(mean, square):
            direction = gradient if mean is None else _values(descent, mean, False, corrected)
            if square is not None:
                direction = direction / _values(descent, square, earlier, corrected).sqrt()
            found = constant_rate(weight.steps, direction, weight.values)
            if found is None:
                continue
            rate, slips = found
            exact, cells = _from_cells(descent, weight.new_column, rate)
            return Step(exact, cells, mean, square, earlier, corrected, slips)
    return None


def _variants(mean: State | None, square: State | None) -> list[tuple[bool, bool]]:
    """Whether the root is of the row before, and whether for the start from 0 is corrected."""
    if square is None:
        return [(False, False)]
    begun = square.start or (mean is not None and mean.start) or square.decay == 1
    return [(False, False), (True, False), *([] if begun else [(False, True)])]


def _values(descent: Descent, state: State, earlier: bool, corrected: bool) -> torch.Tensor:
    values = descent.columns[state.column]
    if earlier:
        values = torch.cat([values.new_tensor([descent.before[state.column]]), values[:-1]])
    if corrected:
        values = values / (1 - state.decay ** torch.arange(1.0, len(values) + 1).to(values))
    return values


def _states(descent: Descent, inputs: torch.Tensor) -> Iterator[State]:
    """Columns that are a running mean, or a running sum, of the inputs."""
    for column, values in descent.columns.items():
        start = descent.before[column]
        begun = start == start
        before = torch.cat([values.new_tensor([start if begun else 0.0]), values[:-1]])
        fitted = _fitted(values, before, inputs)
        if fitted is None:
            continue
        constants = descent.constants(column)
        decay = _nearest(fitted[0], constants)
        share = _nearest(fitted[1], constants)
        expected = decay * before + share * inputs
        wrong = ~torch.isclose(expected, values, rtol=STEPS_CLOSE, atol=1e-12)
        slips = torch.nonzero(wrong).reshape(-1).tolist()
        if len(slips) <= (1 - _MOST) * len(values) and share > 0 and 0 < decay <= 1:
            yield State(column, decay, share, start if begun else 0.0, tuple(slips))


def _fitted(
    values: torch.Tensor, before: torch.Tensor, inputs: torch.Tensor
) -> tuple[float, float] | None:
    """Decay and share, as most pairs of rows have them."""
    system = torch.stack([before, inputs], 1)
    pairs = torch.stack([system[:-1], system[1:]], 1)
    targets = torch.stack([values[:-1], values[1:]], 1)
    usable = torch.linalg.det(pairs).abs() > 1e-9 * pairs.flatten(1).norm(dim=1) ** 2
    if not bool(usable.any()):
        return None
    found = torch.linalg.solve(pairs[usable], targets[usable]).median(0).values
    return (float(found[0]), float(found[1])) if bool(torch.isfinite(found).all()) else None


def _nearest(number: float, constants: Mapping[str, float]) -> float:
    """The cell's number that one is nearly, else itself to nine digits, where 0 and 1 are exact."""
    for value in (*constants.values(), 1.0):
        if abs(value - number) <= STEPS_CLOSE * abs(value):
            return value
    return float(f"{number:.9g}")


def _from_cells(descent: Descent, column: int, rate: float) -> tuple[float, str]:
    """The rate as the sheet's cells give it exactly, and these cells."""
    cells = descent.constants(column)
    names = list(cells)
    choices: list[tuple[float, str]] = [(cells[name], name) for name in names]
    for first, second in itertools.permutations(names, 2):
        if cells[second]:
            choices.append((cells[first] / cells[second], f"{first}/{second}"))
        choices.append((cells[first] * cells[second], f"{first}*{second}"))
    used = len(names)
    choices.sort(key=lambda choice: abs(_count(choice[1], names) - used))  # all that it reads
    for value, text in choices:
        if abs(value - rate) <= STEPS_CLOSE * abs(rate):
            return value, text
    return rate, ""


def _count(text: str, names: Sequence[str]) -> int:
    return sum(part in names for part in text.replace("*", "/").split("/"))
