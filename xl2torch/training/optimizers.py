"""Optimizers by name, all from torch.optim, and how they respect bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
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

    It works on scaled copies of the variables: where the start values are of very different size,
    each is measured in units of its start value, as Solver's automatic scaling does.

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
        self.scales = _scales(parameters)
        self.scaled = [
            nn.Parameter(parameter.detach() / scale)
            for parameter, scale in zip(parameters, self.scales, strict=True)
        ]
        self.fresh = True
        self._active: list[torch.Tensor] | None = None
        self._restart()

    def _restart(self) -> None:
        self.optimizer = torch.optim.LBFGS(
            self.scaled, lr=self.learning_rate, max_iter=1, max_eval=30, history_size=20,
            tolerance_grad=0.0, tolerance_change=0.0, line_search_fn="strong_wolfe",
        )  # fmt: skip
        self.fresh = True

    @torch.no_grad()
    def _to_parameters(self) -> None:
        for parameter, scaled, scale in self._triples():
            parameter.copy_(scaled * scale)

    @torch.no_grad()
    def _to_scaled(self) -> None:
        for parameter, scaled, scale in self._triples():
            scaled.copy_(parameter / scale)

    def _triples(self) -> Iterable[tuple[nn.Parameter, nn.Parameter, torch.Tensor]]:
        return zip(self.parameters, self.scaled, self.scales, strict=True)

    def step(self, evaluate: Evaluate, loss: float) -> None:
        """One iteration. Without progress the curvature history is dropped, and tried once more."""
        before = [parameter.detach().clone() for parameter in self.parameters]
        active = [item.blocked() for item in self.bounded]
        if self._active is not None and not all(map(torch.equal, active, self._active)):
            self._restart()
        self._active = active

        def closure() -> float:
            self._to_parameters()
            beyond = [
                (item.parameter < item.lower) | (item.parameter > item.upper)
                for item in self.bounded
            ]
            for item in self.bounded:
                item.project()
            value = evaluate()
            with torch.no_grad():
                for item, held, outside in zip(self.bounded, active, beyond, strict=True):
                    _gradient(item.parameter)[held | outside] = 0.0
                for parameter, scaled, scale in self._triples():
                    scaled.grad = _gradient(parameter) * scale
            return value

        was_fresh = self.fresh
        self._to_scaled()
        self.optimizer.step(closure)  # type: ignore[no-untyped-call]
        self.fresh = False
        self._to_parameters()
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


_DECADES = 1.0


def _scales(parameters: Sequence[nn.Parameter]) -> list[torch.Tensor]:
    """Units of the variables: 1, or their start values where these are of very different size.

    The measure is the standard deviation of log₁₀|x|: about 0.45 for weights drawn at random,
    however small single ones are; above 1 for quantities in different units.
    """
    sizes = torch.cat([parameter.detach().abs().flatten() for parameter in parameters])
    decades = sizes[sizes > 0].log10()
    if len(decades) < 2 or float(decades.std(correction=0)) <= _DECADES:
        return [torch.ones_like(parameter) for parameter in parameters]
    return [
        torch.where(parameter != 0, parameter.abs(), torch.ones_like(parameter)).detach()
        for parameter in parameters
    ]


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
