"""The variables that are free to move, as scipy wants them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.training.loss import Loss
from xl2torch.training.steps.scaling import units

Numbers = NDArray[np.float64]


class FreeVariables:
    """Between points, all variable cells, and numbers, those whose bounds leave them room.

    Numbers are measured in ``units`` of their own where ``scaled``. ``start`` is the present point,
    moved into the bounds.
    """

    def __init__(self, loss: Loss, scaled: bool) -> None:
        box = loss.box
        self._base = box.clamp(loss.point)
        self._free = box.free
        base = self._base[self._free]
        self._units = units(base) if scaled else torch.ones_like(base)
        self.start = self.numbers(self._base)
        self.bounds = self.numbers(box.lower), self.numbers(box.upper)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def bounded(self) -> bool:
        """Whether any of them has a bound."""
        return any(bool(np.isfinite(limit).any()) for limit in self.bounds)

    def point(self, numbers: Numbers) -> torch.Tensor:
        """All variable cells; none beyond a bound by rounding."""
        point = self._base.clone()
        within = np.clip(numbers, *self.bounds)
        point[self._free] = torch.from_numpy(within) * self._units
        return point

    def direction(self, numbers: Numbers) -> torch.Tensor:
        """A way among the numbers as one of all variable cells."""
        way = torch.zeros_like(self._base)
        way[self._free] = torch.from_numpy(numbers) * self._units
        return way

    def numbers(self, point: torch.Tensor) -> Numbers:
        """The free ones among all variable cells."""
        return np.asarray((point[self._free] / self._units).numpy())

    def slopes(self, derivatives: torch.Tensor) -> Numbers:
        """Derivatives by all variable cells, last axis, as those by the free ones."""
        return np.asarray((derivatives[..., self._free] * self._units).detach().numpy())
