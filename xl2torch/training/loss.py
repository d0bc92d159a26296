"""The loss: what is as small as can be where the goal is reached, with its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from xl2torch.jacobian import VectorFunction, present_point, variable_shapes
from xl2torch.model import SheetModel
from xl2torch.problem import Problem
from xl2torch.training.bounded import Bounded, gradient_of

FAILED = 1e300
"""Stands for the loss where the objective is an error."""


def loss_of(problem: Problem) -> Callable[[torch.Tensor], torch.Tensor]:
    """The loss as a function of the objective: itself, minus it, or its distance to the target."""
    if problem.sense == "max":
        return torch.neg
    if problem.sense == "value":
        return lambda value: (value - problem.target) ** 2
    return lambda value: value


def distance_to_target(model: SheetModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """Objective minus its target, as a function of all variable cells."""
    function = VectorFunction(model.eval(), variable_shapes(model))
    target = model.problem.target
    return lambda point: function(point) - target


class Differentiated(NamedTuple):
    """Objective, loss, and the gradient of the loss by each parameter, at one point."""

    objective: torch.Tensor
    loss: torch.Tensor
    gradients: Sequence[torch.Tensor]


class Loss:
    """The loss of a model at its parameters, and at any point.

    ``objective`` and ``value`` are objective and loss where it was evaluated last; gradients are
    then in the parameters. ``compiled`` computes all of them, where it is there. With random
    cells the gradient is that of a fresh draw, the objective that of the stored one.
    """

    def __init__(self, model: SheetModel) -> None:
        self.model = model
        self.parameters = [model.parameter(variable) for variable in model.variables]
        self.bounded = [
            Bounded(model.parameter(variable), variable.lower, variable.upper)
            for variable in model.variables
            if variable.bounded
        ]
        self.compiled: Callable[[], Differentiated] | None = None
        self.objective = math.nan
        self.value = math.nan
        self._of = loss_of(model.problem)
        self._point: torch.Tensor | None = None

    @property
    def failed(self) -> bool:
        """Whether the objective is an error, or no finite number."""
        return not math.isfinite(self.objective)

    def evaluate(self) -> float:
        """Loss at the present parameters, FAILED for an error."""
        self._point = None
        for parameter in self.parameters:
            parameter.grad = None
        loss = self._differentiate()
        for parameter in self.parameters:
            if parameter.grad is None or self.failed:
                parameter.grad = torch.zeros_like(parameter)
            elif not bool(torch.isfinite(parameter.grad).all()):
                parameter.grad = torch.nan_to_num(parameter.grad, 0.0, 0.0, 0.0)
        if self.model.drawn:
            with torch.no_grad():
                value = self.model.eval()()
            self.objective, loss = float(value), self._of(value)
        self.value = FAILED if self.failed else float(loss.detach())
        return self.value

    def _differentiate(self) -> torch.Tensor:
        """Loss at the present parameters; objective and gradients are kept."""
        if self.compiled is not None:
            found = self.compiled()
            self.objective = float(found.objective)
            for parameter, gradient in zip(self.parameters, found.gradients, strict=True):
                parameter.grad = gradient
            return found.loss
        value = self.model.train(bool(self.model.drawn))()
        self.objective = float(value.detach())
        loss = self._of(value)
        if not self.failed and loss.requires_grad:
            torch.autograd.backward(loss)
        return loss

    @property
    def point(self) -> torch.Tensor:
        """The present parameters, flat."""
        return present_point(self.model)

    @torch.no_grad()
    def move(self, point: torch.Tensor) -> None:
        """Set the parameters."""
        pieces = torch.split(point, [parameter.numel() for parameter in self.parameters])
        for parameter, piece in zip(self.parameters, pieces, strict=True):
            parameter.copy_(piece.reshape(parameter.shape))

    def at(self, point: torch.Tensor) -> float:
        """Loss at a point; what it was evaluated at last costs nothing."""
        if self._point is None or not torch.equal(point, self._point):
            self.move(point)
            self.evaluate()
            self._point = point.clone()
        return self.value

    @property
    def gradient(self) -> torch.Tensor:
        """Gradient where it was evaluated last, flat."""
        return torch.cat([gradient_of(parameter).reshape(-1) for parameter in self.parameters])

    @property
    def free_gradient(self) -> torch.Tensor:
        """The gradient, 0 where a bound keeps a variable from going further."""
        held = {id(item.parameter): item.blocked() for item in self.bounded}
        pieces = []
        for parameter in self.parameters:
            gradient = gradient_of(parameter)
            if id(parameter) in held:
                gradient = gradient.masked_fill(held[id(parameter)], 0.0)
            pieces.append(gradient.reshape(-1))
        return torch.cat(pieces)

    @property
    def steepness(self) -> float:
        """Largest |∂f/∂x|·max(|x|, 1) of variables that are free to move, relative to |f|."""
        scaled = self.free_gradient.abs() * self.point.abs().clamp_min(1.0)
        return float(scaled.max()) / max(abs(self.value), 1e-12) if len(scaled) else 0.0
