"""Parameters with limits, and how they keep them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


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
