"""The error that a descent goes down, and the columns of its gradients, found by autograd."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from xl2torch.address import CellAddress
from xl2torch.errors import ModelError
from xl2torch.functions.array import HEIGHT, Array, ExcelError, Unsupported, permuted, spread
from xl2torch.functions.trace import Trace, apply
from xl2torch.graph.blocks import Block
from xl2torch.graph.naming import identifier, unique
from xl2torch.graph.passes import simplify
from xl2torch.graph.precedents import GrowingRange
from xl2torch.graph.row_objective import RowObjective, find_row_objective
from xl2torch.graph.schedule import Evaluation
from xl2torch.model import build_module
from xl2torch.replay.descent import Descent

_CLOSE = 1e-7
_MOST = 0.8
_HALF = 0.5


@dataclass(frozen=True)
class Error:
    """The error of a row: a column, or the square of one less another; half of it perhaps."""

    column: int
    observed: int | None = None
    factor: float = 1.0

    def text(self, descent: Descent) -> str:
        """It in words."""
        name = descent.label(self.column)
        if self.observed is not None:
            name = f"({name} - {descent.label(self.observed)})²"
        return name if self.factor == 1 else f"half of {name}"


@dataclass(frozen=True)
class Gradients:
    """The error, and the column that holds its gradient for each weight."""

    error: Error
    columns: tuple[int, ...]


def find_gradients(descent: Descent) -> Gradients:
    """The error whose gradients the sheet holds. Raises ModelError where none is found."""
    for error in _errors(descent):
        slopes = _slopes(descent, error)
        columns = [_holding(descent, slope) for slope in slopes]
        if slopes and all(column is not None for column in columns):
            return Gradients(error, tuple(column for column in columns if column is not None))
    raise ModelError(
        f"no columns of sheet {descent.sheet} are the gradients of an error (a column, or the "
        "square of a prediction less what was observed) for each weight: "
        f"{', '.join(weight.name for weight in descent.weights)}"
    )


def row_error(descent: Descent, error: Error) -> RowObjective:
    """The mean error over the rows, with one parameter for each weight.

    Raises ModelError where it cannot be computed row by row.
    """
    trace = Trace()
    starts = {
        name: weight.values[0].clone()
        for name, weight in zip(parameter_names(descent), descent.weights, strict=True)
    }
    given = []
    for (name, start), weight in zip(starts.items(), descent.weights, strict=True):
        area = descent.area(weight.column)
        node = trace.parameter(name, start)
        node.meta["cells"] = area
        given.append(Block(area, Array(node, (), (1, 1, descent.rows, 1))))
    data = _error(descent, error, Evaluation(descent.workbook, given, trace))
    if not isinstance(data, fx.Node):
        raise ModelError(f"the error {error.text(descent)} does not depend on the weights")
    mean = apply(torch.mean, data)
    trace.output(mean)
    module = build_module(fx.GraphModule, simplify(trace), trace.tensors, starts)
    return find_row_objective(module, f"the error {error.text(descent)}", "Name another --sheet")


def parameter_names(descent: Descent) -> list[str]:
    """Names of the parameters, from the headings of the weights."""
    taken = {"self", "forward"}
    return [
        unique(identifier(weight.name, descent.area(weight.column)), taken)
        for weight in descent.weights
    ]


def _errors(descent: Descent) -> Iterator[Error]:
    """What may be the error, likelier ones first."""
    trained = [column for column in descent.columns if _is_trained(descent, column)]
    constant = [column for column in descent.columns if column not in trained]
    for factor in (1.0, _HALF):
        for column in trained:
            yield Error(column, factor=factor)
        for column in trained:
            for observed in constant:
                yield Error(column, observed, factor)


def _is_trained(descent: Descent, column: int) -> bool:
    """Whether the formula of a column depends on the weights of its row."""
    region = descent.common_region(column)
    return region is not None and bool(_slopes(descent, Error(column)))


def _slopes(descent: Descent, error: Error) -> list[torch.Tensor]:
    """Gradient of the error of each row by the weights of that row; [] where there is none."""
    trace = Trace()
    given, parameters = [], {}
    for place, weight in enumerate(descent.weights):
        area = descent.area(weight.column)
        name = f"weight_{place}"
        parameters[name] = weight.values
        node = trace.parameter(name, weight.values)
        given.append(Block(area, Array(node, (HEIGHT,), (1, 1, descent.rows, 1))))
    try:
        data = _error(descent, error, Evaluation(descent.workbook, given, trace))
    except (Unsupported, ExcelError, GrowingRange, ModelError):
        return []
    if not isinstance(data, fx.Node):
        return []
    trace.output(data)
    module = build_module(fx.GraphModule, trace, trace.tensors, parameters)
    value: Any = module()
    slopes = torch.autograd.grad(value.sum(), list(module.parameters()), allow_unused=True)
    return [
        torch.zeros_like(weight.values) if slope is None else slope
        for slope, weight in zip(slopes, descent.weights, strict=True)
    ]


def _error(descent: Descent, error: Error, evaluation: Evaluation) -> fx.Node | torch.Tensor:
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
    for slope, column in zip(_slopes(descent, gradients.error), gradients.columns, strict=True):
        same = torch.isclose(descent.columns[column], slope, rtol=_CLOSE, atol=1e-9)
        found += [
            descent.cell(place, column) for place in torch.nonzero(~same).reshape(-1).tolist()
        ]
    return found
