"""Vectors of numbers as functions of cells, and their Jacobian."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.func import functional_call, vmap

from xl2torch.model.sheet_model import SheetModel, largest_tensor

_ELEMENTS = 4_000_000
"""Elements of the largest tensor of all copies together: bounds the memory."""
_AT_ONCE = 1_000_000
"""Elements of a batch of derivatives."""


class VectorFunction:
    """What a module returns, flat, as a function of its parameters in one flat float64 tensor.

    ``shapes`` names the parameters in the order of the flat tensor, with their shapes.
    """

    def __init__(self, module: nn.Module, shapes: Mapping[str, torch.Size]) -> None:
        self.module = module
        self.shapes = dict(shapes)

    def __call__(self, point: torch.Tensor) -> torch.Tensor:
        """The vector at a point."""
        pieces = torch.split(point, [shape.numel() for shape in self.shapes.values()])
        named = {
            name: piece.reshape(shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }
        found: torch.Tensor = functional_call(self.module, named, ())
        return found.reshape(-1)


def range_function(module: nn.Module, count: int) -> VectorFunction:
    """A module of ``compile_range`` as a function of its ``count`` given ranges, in their order."""
    names = [f"given_{number}" for number in range(1, count + 1)]
    return VectorFunction(module, {name: module.get_parameter(name).shape for name in names})


def variable_shapes(model: SheetModel) -> dict[str, torch.Size]:
    """Shapes of the parameters of a model, in the order of its variables."""
    return {variable.name: variable.start.shape for variable in model.variables}


def present_point(model: SheetModel) -> torch.Tensor:
    """All variable cells in one flat tensor, ranges in their order, each by rows."""
    return torch.cat([model.parameter(v).detach().reshape(-1) for v in model.variables])


def variable_limits(model: SheetModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower and upper bounds of all variable cells, flat as a point."""
    return (
        torch.cat([variable.lower.reshape(-1) for variable in model.variables]),
        torch.cat([variable.upper.reshape(-1) for variable in model.variables]),
    )


def copies_at_once(model: SheetModel) -> int:
    """How many copies of a model run together within a bounded memory."""
    return max(1, _ELEMENTS // max(1, largest_tensor(model)))


def values_at(
    function: Callable[[torch.Tensor], torch.Tensor], points: torch.Tensor
) -> torch.Tensor:
    """What a function gives at many points, a point in each row; all of them together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a function without a batching rule is only slower
        try:
            return vmap(function)(points)
        except RuntimeError:  # one that cannot be batched at all
            return torch.stack([function(point) for point in points])


def jacobian(function: Callable[[torch.Tensor], torch.Tensor], point: torch.Tensor) -> torch.Tensor:
    """Derivatives of a vector of m numbers by the n numbers of a point, (m, n).

    By columns where there are more rows, else by rows, many of them in one backward pass.
    """
    start = point.clone().requires_grad_()
    vector = function(start)
    if not vector.requires_grad or not len(vector):
        return torch.zeros(len(vector), len(point), dtype=point.dtype)
    if len(vector) > len(point):
        try:
            return _by_columns(vector, start)
        except RuntimeError:  # a function whose backward pass cannot be differentiated
            vector = function(start)
    size = max(1, _AT_ONCE // max(len(vector), len(point)))
    rows = torch.split(torch.eye(len(vector), dtype=point.dtype), size)
    return torch.cat([batched_gradients(vector, start, weights) for weights in rows])


def _by_columns(vector: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """Jᵀu is linear in u: its derivatives by u are the columns of J.

    (Townsend, A new trick for calculating Jacobian vector products, 2017.) Forward mode would do
    the same; torch needs seconds to load it.
    """
    weights = torch.zeros_like(vector, requires_grad=True)
    (pulled,) = torch.autograd.grad(vector, point, weights, create_graph=True)
    size = max(1, _AT_ONCE // len(vector))
    columns = torch.split(torch.eye(len(point), dtype=point.dtype), size)
    found = torch.cat([batched_gradients(pulled, weights, chosen) for chosen in columns])
    return found.T.detach()


def batched_gradients(
    vector: torch.Tensor, point: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Gradients of several weighted sums of a vector, one for each row of ``weights``."""
    if len(weights) == 1:  # a scalar needs no weights, for which torch loads sympy
        return torch.autograd.grad((vector * weights[0]).sum(), point, retain_graph=True)[0][None]
    try:
        (slopes,) = torch.autograd.grad(
            vector, point, weights, retain_graph=True, is_grads_batched=True
        )
    except RuntimeError:  # a function without a batching rule
        slopes = torch.stack(
            [torch.autograd.grad(vector, point, row, retain_graph=True)[0] for row in weights]
        )
    return slopes
