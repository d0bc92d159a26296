"""The limits of the variable cells: a value that stages and freezing make, and solvers keep."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from xl2torch.model.jacobian import variable_limits
from xl2torch.model.sheet_model import SheetModel


@dataclass(frozen=True, eq=False)
class Box:
    """Lower and upper limits of all variable cells, flat as a point; infinite where there is none.

    A cell that is held has one number as both.
    """

    lower: torch.Tensor
    upper: torch.Tensor

    @classmethod
    def of(cls, model: SheetModel) -> Box:
        """The limits that the model's problem sets."""
        return cls(*variable_limits(model))

    @property
    def free(self) -> torch.Tensor:
        """Which cells have room to move."""
        return self.lower < self.upper

    @property
    def is_crossed(self) -> torch.Tensor:
        """Which cells have a lower limit above the upper one."""
        return self.lower > self.upper

    @property
    def is_finite(self) -> bool:
        """Whether every cell has both limits."""
        return bool(torch.isfinite(self.lower).all() and torch.isfinite(self.upper).all())

    def holding(self, held: torch.Tensor, point: torch.Tensor) -> Box:
        """The box in which some cells keep the values that they have at a point."""
        return Box(
            torch.where(held, point, self.lower), torch.where(held, point, self.upper)
        )  # fmt: skip

    def clamp(self, points: torch.Tensor) -> torch.Tensor:
        """Points, one or one in each row, moved into the box."""
        return torch.minimum(torch.maximum(points, self.lower), self.upper)

    def contains(self, point: torch.Tensor) -> bool:
        """Whether a point keeps all limits."""
        return bool(((point >= self.lower) & (point <= self.upper)).all())

    def pieces(self, model: SheetModel) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Lower and upper limits of each parameter, in its shape."""
        shapes = [variable.start.shape for variable in model.variables]
        sizes = [shape.numel() for shape in shapes]
        pairs = zip(torch.split(self.lower, sizes), torch.split(self.upper, sizes), strict=True)
        return [
            (low.reshape(shape), high.reshape(shape))
            for (low, high), shape in zip(pairs, shapes, strict=True)
        ]


@dataclass(frozen=True)
class Bounded:
    """A parameter with its limits."""

    parameter: nn.Parameter
    lower: torch.Tensor
    upper: torch.Tensor

    @torch.no_grad()
    def project(self) -> None:
        """Move values that left their limits back to the limit."""
        self.parameter.clamp_(self.lower, self.upper)

    @torch.no_grad()
    def blocked(self) -> torch.Tensor:
        """Elements at a limit whose descent direction points beyond it."""
        gradient = gradient_of(self.parameter)
        at_lower = (self.parameter <= self.lower) & (gradient > 0)
        at_upper = (self.parameter >= self.upper) & (gradient < 0)
        return at_lower | at_upper


def gradient_of(parameter: nn.Parameter) -> torch.Tensor:
    """The gradient in a parameter; it is made where there is none."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
