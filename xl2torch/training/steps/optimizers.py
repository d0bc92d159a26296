"""Optimizers of torch.optim by name, with their arguments and schedules."""

from __future__ import annotations

import inspect
import math
from typing import Any, Protocol

import torch

from xl2torch.errors import SelectionError
from xl2torch.training.arguments import checked, reworded
from xl2torch.training.loss import Loss
from xl2torch.training.methods import LBFGS, torch_optimizers
from xl2torch.training.settings import Settings
from xl2torch.training.steps.quasi_newton import QuasiNewton
from xl2torch.training.steps.schedules import Scheduler, make_schedule

_LEAST_RATE = 0.01
"""torch's own default rate is for large networks where it is below this."""
_OWN = frozenset({"params", "lr", "maximize", "differentiable", "capturable"})
_LBFGS_ARGUMENTS = ("history_size", "max_eval")


class Stepper(Protocol):
    """Makes one iteration; gradients of the present point are in the parameters."""

    def step(self) -> None:
        """Change the parameters, within their limits, and evaluate the loss there."""

    @property
    def learning_rate(self) -> float:
        """Learning rate in force."""


class FirstOrder:
    """A step along the gradient, then projection on the bounds."""

    def __init__(
        self, loss: Loss, optimizer: torch.optim.Optimizer, schedule: Scheduler | None,
        settings: Settings,
    ) -> None:  # fmt: skip
        self.loss = loss
        self.optimizer = optimizer
        self.schedule = schedule
        self.clip_norm = settings.clip_norm
        self.clip_value = settings.clip_value
        self.name = settings.optimizer
        self.schedule_name = settings.schedule

    @property
    def learning_rate(self) -> float:
        """Learning rate in force."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self) -> None:
        """One optimizer step, and one of the schedule."""
        self.update()
        self.loss.evaluate()
        self.advance()

    def update(self) -> None:
        """Change the parameters by the gradients that are in them, within their limits."""
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.loss.parameters, self.clip_norm)
        if self.clip_value is not None:
            torch.nn.utils.clip_grad_value_(self.loss.parameters, self.clip_value)
        with reworded(f"the optimizer {self.name}"):
            self.optimizer.step()
        for item in self.loss.bounded:
            item.project()

    def advance(self) -> None:
        """One step of the schedule."""
        with reworded(f"the schedule {self.schedule_name}"):
            if isinstance(self.schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
                self.schedule.step(self.loss.value)
            elif self.schedule is not None:
                self.schedule.step()


def default_rate(optimizer: str) -> float:
    """Learning rate where none is given: torch's own, but not below 0.01; 1 for L-BFGS."""
    kind = torch_optimizers().get(optimizer)
    if kind is None or optimizer == LBFGS:
        return 1.0
    return max(_LEAST_RATE, float(inspect.signature(kind).parameters["lr"].default))


def make_stepper(loss: Loss, settings: Settings) -> Stepper:
    """The stepper of an optimizer of torch. Raises SelectionError."""
    rate = settings.lr
    if not 0 < rate < math.inf:
        raise SelectionError(f"the learning rate has to be a number above 0, not {rate}")
    if settings.optimizer == LBFGS and settings.factory is None:
        return _quasi_newton(loss, settings)
    optimizer = make_optimizer(loss.parameters, settings)
    schedule = None
    if settings.schedule:
        schedule = make_schedule(settings.schedule, optimizer, settings.epochs)
    return FirstOrder(loss, optimizer, schedule, settings)


def make_optimizer(parameters: Any, settings: Settings) -> torch.optim.Optimizer:
    """An optimizer of torch over some parameters. Raises SelectionError."""
    if settings.factory is not None:
        return settings.factory(parameters)
    name, given = settings.optimizer, dict(settings.arguments)
    kind = torch_optimizers()[name]
    own: dict[str, Any] = {"momentum": 0.9} if name == "momentum" else {}
    if "fused" in inspect.signature(kind).parameters and not {"fused", "foreach"} & given.keys():
        own["fused"] = True  # one call for all parameters, not some for each
    made: torch.optim.Optimizer = checked(
        f"the optimizer {name}", kind, _OWN,
        lambda: kind(parameters, lr=settings.lr, **(own | given)), given,  # type: ignore[call-arg]
    )  # fmt: skip
    return made


def _quasi_newton(loss: Loss, settings: Settings) -> QuasiNewton:
    unknown = [name for name in settings.arguments if name not in _LBFGS_ARGUMENTS]
    if unknown:
        raise SelectionError(
            f"lbfgs has no argument {', '.join(unknown)} here; it has {', '.join(_LBFGS_ARGUMENTS)}"
        )
    for name, value in settings.arguments.items():
        if not isinstance(value, int) or value < 1:
            raise SelectionError(f"lbfgs: {name} is a whole number above 0, not {value}")
    if settings.schedule or settings.clip_norm is not None or settings.clip_value is not None:
        raise SelectionError(
            "lbfgs finds its own steps: leave out schedule and clipping, or choose another "
            "`optimizer`, such as adam"
        )
    return QuasiNewton(loss, settings.lr, settings.arguments)
