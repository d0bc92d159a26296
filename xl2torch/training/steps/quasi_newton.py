"""torch.optim.LBFGS one iteration at a time, with bounds and units."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from xl2torch.training.box import Bounded, gradient_of
from xl2torch.training.loss import Evaluated, Loss
from xl2torch.training.steps.scaling import units

_SHORTENINGS = 40
_REMEMBERED = 8
"""Points of a line search: torch's asks again for the first, and we for the one that it takes."""
_SHORTER = 0.25


class _Lbfgs(torch.optim.LBFGS):
    """torch's, made without loading torch's compiler, which takes a second."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        plain = torch.optim.Optimizer.add_param_group
        getattr(plain, "__wrapped__", plain)(self, param_group)


class QuasiNewton:
    """torch.optim.LBFGS with a strong Wolfe line search, one iteration at a time.

    It works on scaled copies of the variables: where the start values are of very different size,
    each is measured in units of its start value, as Solver's automatic scaling does.

    With bounds: variables that a bound blocks are held there (their gradient is masked), the others
    move along the projected path, and the curvature history is dropped when that set changes. (The
    idea of an active set in projected quasi-Newton methods: Bertsekas, SIAM J. Control Optim. 20,
    1982.)
    """

    def __init__(self, loss: Loss, lr: float, arguments: Mapping[str, Any]) -> None:
        self.loss = loss
        self.parameters: Sequence[nn.Parameter] = loss.parameters
        self.bounded: Sequence[Bounded] = loss.bounded
        self.learning_rate = lr
        self.arguments = dict(arguments)
        sizes = [parameter.numel() for parameter in self.parameters]
        self.scales = [
            unit.reshape(parameter.shape)
            for unit, parameter in zip(
                torch.split(units(loss.point), sizes), self.parameters, strict=True
            )
        ]
        self.scaled = [
            nn.Parameter(parameter.detach() / scale)
            for parameter, scale in zip(self.parameters, self.scales, strict=True)
        ]
        self.fresh = True
        self._active: list[torch.Tensor] | None = None
        self._known: deque[Evaluated] = deque(maxlen=_REMEMBERED)
        self._restart()

    def _restart(self) -> None:
        options: dict[str, Any] = {"max_eval": 30, "history_size": 20} | self.arguments
        self.optimizer = _Lbfgs(
            self.scaled, lr=self.learning_rate, max_iter=1, tolerance_grad=0.0,
            tolerance_change=0.0, line_search_fn="strong_wolfe", **options,
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

    def _first_rate(self) -> float:
        """A learning rate whose first step, along the gradient, leads to no error value.

        torch's line search cannot come back from one: it would take the tiniest step, or none.
        """
        loss, rate, point = self.loss, self.learning_rate, self.loss.point
        slopes = [gradient_of(parameter) * scale for parameter, _, scale in self._triples()]
        size = float(sum(slope.abs().sum() for slope in slopes))
        if not 0 < size < math.inf:
            return rate
        way = torch.cat([
            (slope * scale).reshape(-1) for slope, scale in zip(slopes, self.scales, strict=True)
        ])  # fmt: skip
        length = min(1.0, 1.0 / size)
        for _ in range(_SHORTENINGS):
            loss.move(point - rate * length * way)
            for item in self.bounded:
                item.project()
            if loss.has_value():
                break
            rate *= _SHORTER
        loss.move(point)  # its gradients are still there
        return rate

    def _evaluate(self) -> float:
        """The loss at the present parameters, with its gradient; a point is evaluated once."""
        loss, point = self.loss, self.loss.point
        known = next((item for item in self._known if torch.equal(item.point, point)), None)
        if known is not None:
            loss.recall(known)
        else:
            loss.evaluate()
            if not loss.model.drawn:  # else it is another one each time
                self._known.append(loss.evaluated())
        return loss.value

    def step(self) -> None:
        """One iteration. Without progress the curvature history is dropped, and tried once more."""
        value = self.loss.value
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
            found = self._evaluate()
            with torch.no_grad():
                for item, held, outside in zip(self.bounded, active, beyond, strict=True):
                    gradient_of(item.parameter)[held | outside] = 0.0
                for parameter, scaled, scale in self._triples():
                    scaled.grad = gradient_of(parameter) * scale
            return found

        was_fresh = self.fresh
        self._to_scaled()
        self.optimizer.param_groups[0]["lr"] = self._first_rate() if was_fresh else (
            self.learning_rate
        )  # fmt: skip
        self.optimizer.step(closure)  # type: ignore[no-untyped-call]
        self.fresh = False
        self._to_parameters()
        for item in self.bounded:
            item.project()
        if not self._evaluate() < value:
            with torch.no_grad():
                for parameter, old in zip(self.parameters, before, strict=True):
                    parameter.copy_(old)
            self._evaluate()
            self._restart()
            if not was_fresh:
                self.step()
