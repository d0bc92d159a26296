"""The error that a descent goes down, and the columns of its gradients, found by autograd."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import fx, nn
from torch.func import functional_call

from xl2torch.arrays.array import HEIGHT, Array, ExcelError, Unsupported, permuted, spread
from xl2torch.cells.address import CellAddress
from xl2torch.errors import ModelError
from xl2torch.ir.facts import note
from xl2torch.ir.naming import RESERVED, identifier, unique
from xl2torch.ir.trace import Trace, apply
from xl2torch.lowering.blocks import Block
from xl2torch.lowering.module import build_module
from xl2torch.lowering.precedents import SplitRegion
from xl2torch.lowering.schedule import Evaluation
from xl2torch.passes import simplify
from xl2torch.rows.row_objective import find_row_objective
from xl2torch.teach.replay.descent import Descent

_CLOSE = 1e-7
_MOST = 0.8
_HALF = 0.5
STEPS_CLOSE = 1e-6


@dataclass(frozen=True)
class RowError:
    """The error of a row: a column, or the square of one less another; half of it perhaps."""

    column: int
    observed: int | None = None
    factor: float = 1.0

    def text(self, descent: Descent) -> str:
        """It in words."""
        name = descent.label(self.column)
        if self.observed is not None:
            name = f"({name} - {descent.label(self.observed)})²"
        return {1.0: name, _HALF: f"half of {name}"}.get(self.factor, f"minus {name}")


@dataclass(frozen=True, eq=False)
class Gradients:
    """The error, its gradient for each weight, and the column that holds it.

    None: no column does, the formula of the next weight holds it itself.
    """

    error: RowError
    slopes: tuple[torch.Tensor, ...]
    columns: tuple[int | None, ...]


def find_gradients(descent: Descent) -> Iterator[tuple[Descent, Gradients]]:
    """Errors whose gradients the sheet holds, each with the weights that it has; likelier first."""
    others = []
    for error in _errors(descent):
        kept, found = descent, _gradients(descent, error)
        if found is not None and descent.weights[0].is_own:
            # A counter, or data that follow a rule, read their own column too.
            chosen = [place for place in range(len(found.slopes)) if _fits(descent, found, place)]
            if len(chosen) < len(found.slopes):
                kept = replace(descent, weights=tuple(descent.weights[n] for n in chosen))
                found = _gradients(kept, error) if chosen else None
        if found is None or not all(bool(slope.any()) for slope in found.slopes):
            continue
        if kept.weights[0].is_own and not _is_curved(kept, error):
            continue  # a stock less what is taken from it, beside its worth
        if None in found.columns:
            others.append((kept, found))
        else:
            yield kept, found
    for kept, found in others:
        if all(_fits(kept, found, place) for place in range(len(found.slopes))):
            yield kept, found


def _is_curved(descent: Descent, error: RowError) -> bool:
    """Whether the slopes of an error change with the weights: else it has no minimum."""
    module = _error_module(descent, error)
    assert module is not None
    value: Any = module()
    parameters = list(module.parameters())
    slopes = torch.autograd.grad(value.sum(), parameters, create_graph=True, allow_unused=True)
    felt = [slope.sum() for slope in slopes if slope is not None and slope.requires_grad]
    if not felt:
        return False
    bends = torch.autograd.grad(torch.stack(felt).sum(), parameters, allow_unused=True)
    return any(bend is not None and bool((bend != 0).any()) for bend in bends)


def _gradients(descent: Descent, error: RowError) -> Gradients | None:
    slopes = _slopes(descent, error)
    columns = tuple(_holding(descent, slope) for slope in slopes)
    return Gradients(error, tuple(slopes), columns) if slopes else None


def _fits(descent: Descent, found: Gradients, place: int) -> bool:
    """Whether the sheet holds the gradient of a weight: in a column, or in its steps.

    Equal steps along equal slopes are those of a counter.
    """
    weight, slope = descent.weights[place], found.slopes[place]
    some = slope[slope != 0]
    if weight.is_own and torch.allclose(some, some[:1]):
        return False
    return found.columns[place] is not None or (
        constant_rate(weight.steps, slope, weight.values) is not None
    )


def constant_rate(
    steps: torch.Tensor, direction: torch.Tensor, size: torch.Tensor
) -> tuple[float, tuple[int, ...]] | None:
    """Rate of steps along directions, and the rows that have another; None where most do."""
    usable = torch.isfinite(direction) & (direction != 0)
    if int(usable.sum()) < 2:
        return None
    rate = float((steps[usable] / direction[usable]).median())
    if not rate > 0:
        return None
    # A step is a difference of weights: it is as exact as these are.
    allowed = STEPS_CLOSE * (rate * direction).abs() + 1e-13 * size.abs()
    wrong = ~((steps - rate * direction).abs() <= allowed)
    slips_ = tuple(torch.nonzero(wrong).reshape(-1).tolist())
    return None if len(slips_) > (1 - _MOST) * len(steps) else (rate, slips_)


@dataclass(frozen=True, eq=False)
class ErrorSteps:
    """The errors that the steps go down, one after the other, as functions of the parameters.

    There is a parameter for each weight.
    """

    parameters: tuple[nn.Parameter, ...]
    errors: tuple[Callable[[], torch.Tensor], ...]


def error_steps(descent: Descent, error: RowError) -> ErrorSteps:
    """The error of each row. Raises ModelError where it cannot be computed row by row."""
    if descent.weights[0].is_own:
        return _picked_errors(descent, error)
    trace = Trace()
    starts = {
        name: weight.values[0].clone()
        for name, weight in zip(parameter_names(descent), descent.weights, strict=True)
    }
    given = []
    for (name, start), weight in zip(starts.items(), descent.weights, strict=True):
        area = descent.weight_area(weight)
        node = trace.parameter(name, start)
        note(node, cells=area)
        given.append(Block(area, Array(node, (), (1, 1, area.rows, 1))))
    data = _error(descent, error, Evaluation(descent.workbook, given, trace))
    if not isinstance(data, fx.Node):
        raise ModelError(f"the error {error.text(descent)} does not depend on the weights")
    trace.output(apply(torch.mean, data))
    module = build_module(fx.GraphModule, simplify(trace), trace.tensors, starts)
    rows = find_row_objective(module, f"the error {error.text(descent)}", "Name another `sheet`")
    program = rows.program(1)
    batches = zip(*(place.split(tensor, 1) for tensor, place in rows.inputs), strict=True)
    return ErrorSteps(
        tuple(program.get_parameter(name) for name in starts),
        tuple(partial(program, *pieces) for pieces in batches),
    )


def _picked_errors(descent: Descent, error: RowError) -> ErrorSteps:
    """The error of each row, picked from those of all: rows of such a sheet are iterations."""
    module = _error_module(descent, error)
    assert module is not None
    parameters = tuple(nn.Parameter(weight.values[0].clone()) for weight in descent.weights)
    columns = [weight.in_column for weight in descent.weights]

    def of_row(place: int) -> torch.Tensor:
        here = torch.arange(len(columns[0])) == place
        moved = {
            f"weight_{number}": torch.where(here, parameter, column)
            for number, (parameter, column) in enumerate(zip(parameters, columns, strict=True))
        }
        found: torch.Tensor = functional_call(module, moved, ())
        return found[place]

    return ErrorSteps(parameters, tuple(partial(of_row, row) for row in range(descent.rows)))


def parameter_names(descent: Descent) -> list[str]:
    """Names of the parameters, from the headings of the weights."""
    taken = set(RESERVED)
    return [
        unique(identifier(weight.name, descent.area(weight.column)), taken)
        for weight in descent.weights
    ]


def _errors(descent: Descent) -> Iterator[RowError]:
    """What may be the error, likelier ones first."""
    own = {weight.column for weight in descent.weights if weight.is_own}  # no error of itself
    trained = [
        column for column in descent.columns
        if column not in own and _is_trained(descent, column)
    ]  # fmt: skip
    constant = [column for column in descent.columns if column not in own.union(trained)]
    for factor in (1.0, _HALF, -1.0):
        for column in trained:
            yield RowError(column, factor=factor)
        for column in trained:
            for observed in constant:
                yield RowError(column, observed, factor)


def _is_trained(descent: Descent, column: int) -> bool:
    """Whether the formula of a column depends on the weights of its row."""
    region = descent.common_region(column)
    return region is not None and bool(_slopes(descent, RowError(column)))


def _slopes(descent: Descent, error: RowError) -> list[torch.Tensor]:
    """Gradient of the error of each row by the weights of that row; [] where there is none."""
    module = _error_module(descent, error)
    if module is None:
        return []
    value: Any = module()
    parameters = list(module.parameters())
    aligned = [True] * len(parameters)
    if descent.weights[0].is_own:
        aligned = _of_own_rows(value, parameters)
    slopes = torch.autograd.grad(value.sum(), parameters, allow_unused=True)
    return [
        torch.zeros_like(weight.values) if slope is None or not own else slope[: descent.rows]
        for slope, weight, own in zip(slopes, descent.weights, aligned, strict=True)
    ]


def _of_own_rows(value: torch.Tensor, parameters: Sequence[torch.Tensor]) -> list[bool]:
    """Of which weights the first and the last error read the value of their own row alone."""
    found = [True] * len(parameters)
    for place in (0, len(value) - 1):
        slopes = torch.autograd.grad(value[place], parameters, allow_unused=True, retain_graph=True)
        for number, slope in enumerate(slopes):
            if slope is not None and bool((torch.nonzero(slope) != place).any()):
                found[number] = False
    return found


def _error_module(descent: Descent, error: RowError) -> fx.GraphModule | None:
    """The errors of all rows as a module, its parameters the columns of the weights."""
    trace = Trace()
    given, parameters = [], {}
    for place, weight in enumerate(descent.weights):
        area = descent.weight_area(weight)
        name = f"weight_{place}"
        parameters[name] = weight.in_column
        node = trace.parameter(name, weight.in_column)
        given.append(Block(area, Array(node, (HEIGHT,), (1, 1, area.rows, 1))))
    try:
        data = _error(descent, error, Evaluation(descent.workbook, given, trace))
    except (Unsupported, ExcelError, SplitRegion, ModelError):
        return None
    if not isinstance(data, fx.Node):
        return None
    trace.output(data)
    return build_module(fx.GraphModule, trace, trace.tensors, parameters)


def _error(descent: Descent, error: RowError, evaluation: Evaluation) -> fx.Node | torch.Tensor:
    """The error of each row."""
    data = _column(evaluation, descent, error.column)
    if error.observed is not None:
        difference = apply(torch.sub, data, _column(evaluation, descent, error.observed))
        data = apply(torch.mul, difference, difference)
    return data if error.factor == 1 else apply(torch.mul, data, error.factor)


def _column(evaluation: Evaluation, descent: Descent, column: int) -> fx.Node | torch.Tensor:
    array = evaluation.value(descent.area(column))
    if HEIGHT not in array.axes or array.shape != (1, 1, descent.rows, 1):
        raise Unsupported("it has no number in each row")
    data = permuted(array.data, array.axes, (HEIGHT,))
    if array.valid is not None:
        valid = spread(array.valid, array.shape)
        data = apply(torch.where, permuted(valid.data, valid.axes, (HEIGHT,)), data, math.nan)
    return data


def _holding(descent: Descent, slope: torch.Tensor) -> int | None:
    """The column that holds a gradient; a few rows may be slips."""
    if not bool(slope.any()):
        return None
    for column, values in descent.columns.items():
        same = torch.isclose(values, slope, rtol=_CLOSE, atol=1e-9)
        if float(same.to(torch.float64).mean()) >= _MOST:
            return column
    return None


def slips(descent: Descent, gradients: Gradients) -> list[CellAddress]:
    """Cells that should hold a gradient and hold something else."""
    found = []
    for slope, column in zip(gradients.slopes, gradients.columns, strict=True):
        if column is None:
            continue
        same = torch.isclose(descent.columns[column], slope, rtol=_CLOSE, atol=1e-9)
        found += [
            descent.cell(place, column) for place in torch.nonzero(~same).reshape(-1).tolist()
        ]
    return found
