"""The loss: what is as small as can be where the goal is reached, with its gradient."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
from torch import fx
from torch.nn.utils import get_total_norm

from xl2torch.model.jacobian import VectorFunction, present_point, variable_shapes
from xl2torch.model.problem import Problem
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.box import Bounded, Box, gradient_of
from xl2torch.training.result import Iteration

FAILED = 1e300
"""Stands for the loss where the objective is an error."""


def loss_of(problem: Problem) -> Callable[[torch.Tensor], torch.Tensor]:
    """The loss as a function of the objective: itself, minus it, or its distance to the target.

    Without an objective it is 0.
    """
    if problem.sense == "max":
        return torch.neg
    if problem.is_system:
        return lambda value: 0.0 * value
    if problem.sense == "value":
        return lambda value: (value - problem.target) ** 2
    return lambda value: value


def loss_function(model: SheetModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """The loss as a function of all variable cells, flat."""
    function, loss = VectorFunction(model.eval(), variable_shapes(model)), loss_of(model.problem)
    return lambda point: loss(function(point)).reshape(())


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


class Evaluated(NamedTuple):
    """What a loss is at a point: its value, the objective, and the gradient by each parameter."""

    point: torch.Tensor
    value: float
    objective: float
    gradients: Sequence[torch.Tensor]
    lost_slopes: bool


class Loss:
    """The loss of a model at its parameters, and at any point.

    ``objective`` and ``value`` are objective and loss where it was evaluated last; gradients are
    then in the parameters. The program of ``compute_by`` computes all of
    them, where it is there. With random
    cells the gradient is that of a fresh draw, the objective that of the stored one, or of
    ``identity``, the program without dropout.
    """

    is_sheets = True
    """Whether it is the loss of all rows of the sheet."""
    in_batches = False
    """Whether a step is over some of the rows."""

    def __init__(
        self, model: SheetModel, identity: fx.GraphModule | None = None, box: Box | None = None
    ) -> None:
        self.model = model
        self.identity = identity
        self.parameters = [model.parameter(variable) for variable in model.variables]
        self._keep_within(Box.of(model) if box is None else box)
        self._compiled: Callable[[], Differentiated] | None = None
        self.objective = math.nan
        self.value = math.nan
        self.lost_slopes = False
        """Whether some slopes where it was evaluated last are no numbers, though it has a value."""
        self._of = loss_of(model.problem)
        self._point: torch.Tensor | None = None

    def within(self, box: Box) -> Self:
        """The same loss, of the same parameters, within other limits."""
        other = copy.copy(self)
        other._keep_within(box)
        return other

    def compute_by(self, program: Callable[[], Differentiated] | None) -> None:
        """Let a program compute objective, loss and gradient at the present parameters."""
        self._compiled = program

    def _keep_within(self, box: Box) -> None:
        self.box = box
        self.bounded = [
            Bounded(parameter, lower, upper)
            for parameter, (lower, upper) in zip(
                self.parameters, box.pieces(self.model), strict=True
            )
            if bool((torch.isfinite(lower) | torch.isfinite(upper)).any())
        ]
        fixed = [(item.parameter, item.lower == item.upper) for item in self.bounded]
        self._fixed = [(parameter, mask) for parameter, mask in fixed if bool(mask.any())]

    def from_objective(self, objective: float) -> float:
        """The loss that an objective is."""
        return float(self._of(torch.tensor(objective, dtype=torch.float64)))

    @property
    def failed(self) -> bool:
        """Whether the objective is an error, or no finite number."""
        return not math.isfinite(self.objective)

    def output(self, drawing: bool) -> torch.Tensor:
        """The objective at the present parameters; ``drawing``: random cells are drawn anew."""
        self.model.train(drawing)  # what is random in ``identity`` asks the model
        program = self.model if drawing or self.identity is None else self.identity
        value: torch.Tensor = program()
        return value

    @torch.no_grad()
    def has_value(self) -> bool:
        """Whether the objective is a finite number at the present parameters."""
        return math.isfinite(float(self.output(drawing=False)))

    def evaluate(self) -> float:
        """Loss at the present parameters, FAILED for an error."""
        self._point = None
        self.forget_gradients()
        loss = self._differentiate()
        self.mend_gradients()
        if self.model.drawn:
            with torch.no_grad():
                value = self.output(drawing=False)
            self.objective, loss = float(value), self._of(value)
        return self._noted(loss)

    def evaluated(self) -> Evaluated:
        """What it is where it was evaluated last, which is the present point."""
        gradients = [gradient_of(parameter).clone() for parameter in self.parameters]
        return Evaluated(self.point, self.value, self.objective, gradients, self.lost_slopes)

    def recall(self, known: Evaluated) -> None:
        """Be as it was when it was evaluated at the present point."""
        self._point = None
        self.value, self.objective = known.value, known.objective
        self.lost_slopes = known.lost_slopes
        for parameter, gradient in zip(self.parameters, known.gradients, strict=True):
            parameter.grad = gradient.clone()

    def _noted(self, loss: torch.Tensor) -> float:
        self.value = FAILED if self.failed else float(loss.detach())
        return self.value

    def forget_gradients(self) -> None:
        """Let the parameters have no gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def mend_gradients(self) -> None:
        """Let gradients be numbers: 0 where there are none, and for what cannot move."""
        self.lost_slopes = False
        for parameter in self.parameters:
            if parameter.grad is None or self.failed:
                parameter.grad = torch.zeros_like(parameter)
            elif not math.isfinite(float(parameter.grad.sum())):  # one pass, not five
                parameter.grad = torch.nan_to_num(parameter.grad, 0.0, 0.0, 0.0)
                self.lost_slopes = True
        for parameter, mask in self._fixed:
            gradient_of(parameter).masked_fill_(mask, 0.0)

    def validate(self) -> float:
        """The objective of rows that were held back; NaN where there are none."""
        return math.nan

    def measure(self) -> tuple[float, ...]:
        """A metric on the rows that are trained on and on those that were held back."""
        return ()

    def remarks(self, best: Iteration) -> list[str]:
        """What the rows are and what was done with them, in words; ``best`` is the answer."""
        return []

    def _differentiate(self) -> torch.Tensor:
        """Loss at the present parameters; objective and gradients are kept."""
        if self._compiled is not None:
            found = self._compiled()
            self.objective = float(found.objective)
            for parameter, gradient in zip(self.parameters, found.gradients, strict=True):
                parameter.grad = gradient
            return found.loss
        return self._backward(self.output(bool(self.model.drawn)))

    def _backward(self, value: torch.Tensor) -> torch.Tensor:
        """Loss of an objective; its gradient goes to the parameters."""
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

    def evaluate_at(self, point: torch.Tensor) -> float:
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
    def gradient_norm(self) -> float:
        """Euclidean norm of the gradient where it was evaluated last."""
        return float(get_total_norm([gradient_of(parameter) for parameter in self.parameters]))

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
        """Largest |∂f/∂x|·max(|x|, 1) of variables that are free to move, relative to |f|; infinite
        where some of these slopes are not known."""
        if self.lost_slopes:
            return math.inf
        scaled = self.free_gradient.abs() * self.point.abs().clamp_min(1.0)
        return float(scaled.max()) / max(abs(self.value), 1e-12) if len(scaled) else 0.0
