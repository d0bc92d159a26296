"""Optimizers by name, all from torch.optim, and how they respect bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from xl2torch.errors import SelectionError

Evaluate = Callable[[], float]
"""Computes the loss at the present parameters and leaves the gradients in them."""


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
        gradient = _gradient(self.parameter)
        at_lower = (self.parameter <= self.lower) & (gradient > 0)
        at_upper = (self.parameter >= self.upper) & (gradient < 0)
        return at_lower | at_upper


class Stepper(Protocol):
    """Makes one iteration; gradients of the present point are in the parameters."""

    def step(self, evaluate: Evaluate, loss: float) -> None:
        """Change the parameters, within their limits."""

    @property
    def learning_rate(self) -> float:
        """Learning rate in force."""


class FirstOrder:
    """sgd, momentum, adam: a step along the gradient, then projection on the bounds."""

    def __init__(self, optimizer: torch.optim.Optimizer, bounded: Sequence[Bounded]) -> None:
        self.optimizer = optimizer
        self.bounded = bounded

    @property
    def learning_rate(self) -> float:
        """Learning rate in force."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self, evaluate: Evaluate, loss: float) -> None:
        """One optimizer step."""
        self.optimizer.step()
        for item in self.bounded:
            item.project()


class QuasiNewton:
    """torch.optim.LBFGS with a strong Wolfe line search, one iteration at a time.

    With bounds: variables that a bound blocks are held there (their gradient is masked), the others
    move along the projected path, and the curvature history is dropped when that set changes. (The
    idea of an active set in projected quasi-Newton methods: Bertsekas, SIAM J. Control Optim. 20,
    1982.)
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], bounded: Sequence[Bounded], lr: float
    ) -> None:
        self.parameters = parameters
        self.bounded = bounded
        self.learning_rate = lr
        self.fresh = True
        self._active: list[torch.Tensor] | None = None
        self._restart()

    def _restart(self) -> None:
        self.optimizer = torch.optim.LBFGS(
            self.parameters, lr=self.learning_rate, max_iter=1, max_eval=30, history_size=20,
            tolerance_grad=0.0, tolerance_change=0.0, line_search_fn="strong_wolfe",
        )  # fmt: skip
        self.fresh = True

    def step(self, evaluate: Evaluate, loss: float) -> None:
        """One iteration. Without progress the curvature history is dropped, and tried once more."""
        before = [parameter.detach().clone() for parameter in self.parameters]
        active = [item.blocked() for item in self.bounded]
        if self._active is not None and not all(map(torch.equal, active, self._active)):
            self._restart()
        self._active = active

        def closure() -> float:
            outside = [
                (item.parameter < item.lower) | (item.parameter > item.upper)
                for item in self.bounded
            ]
            kept = [item.parameter.detach().clone() for item in self.bounded]
            for item in self.bounded:
                item.project()
            value = evaluate()
            with torch.no_grad():
                for item, held, beyond, saved in zip(
                    self.bounded, active, outside, kept, strict=True
                ):
                    _gradient(item.parameter)[held | beyond] = 0.0
                    item.parameter.copy_(saved)
            return value

        was_fresh = self.fresh
        self.optimizer.step(closure)  # type: ignore[no-untyped-call]
        self.fresh = False
        for item in self.bounded:
            item.project()
        if not evaluate() < loss:
            with torch.no_grad():
                for parameter, old in zip(self.parameters, before, strict=True):
                    parameter.copy_(old)
            evaluate()
            self._restart()
            if not was_fresh:
                self.step(evaluate, loss)


def _gradient(parameter: nn.Parameter) -> torch.Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


LEARNING_RATES = {"lbfgs": 1.0, "sgd": 0.01, "momentum": 0.01, "adam": 0.01}


def make_stepper(
    name: str, lr: float | None, parameters: Sequence[nn.Parameter], bounded: Sequence[Bounded]
) -> Stepper:
    """An optimizer by name. Raises SelectionError."""
    if name not in LEARNING_RATES:
        raise SelectionError(f"no optimizer {name!r}; there are {', '.join(LEARNING_RATES)}")
    rate = LEARNING_RATES[name] if lr is None else lr
    if not 0 < rate < math.inf:
        raise SelectionError(f"the learning rate has to be a number above 0, not {rate}")
    if name == "lbfgs":
        return QuasiNewton(parameters, bounded, rate)
    if name == "adam":
        return FirstOrder(torch.optim.Adam(parameters, lr=rate), bounded)
    momentum = 0.9 if name == "momentum" else 0.0
    return FirstOrder(torch.optim.SGD(parameters, lr=rate, momentum=momentum), bounded)
