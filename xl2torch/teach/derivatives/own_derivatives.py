"""Derivatives of each element by its own cell: entries of a Jacobian, without the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import fx

from xl2torch.gradients.difference import over_copies
from xl2torch.model.jacobian import batched_gradients, range_function
from xl2torch.teach.derivatives.pairing import DerivativeLine

Quotient = Literal["forward", "backward", "central"]
_AT_ONCE = 1_000_000
"""Elements of a batch of gradients."""
_SAME = 1e-9


class OwnDerivatives:
    """A vector of cells as a function of other cells.

    ``module`` gives the vector; its parameters are ``given_1``, … with the numbers ``starts``.
    """

    def __init__(self, module: fx.GraphModule, starts: Sequence[torch.Tensor]) -> None:
        self.vector = range_function(module, len(starts))
        self.point = torch.cat([start.reshape(-1) for start in starts])
        with torch.no_grad():
            self.values = self.vector(self.point)

    def derivatives(self, lines: Sequence[DerivativeLine]) -> list[torch.Tensor]:
        """The derivatives that each line asks for, by autograd."""
        point = self.point.clone().requires_grad_()
        vector = self.vector(point)
        if not vector.requires_grad:
            return [torch.zeros(len(line.of), dtype=torch.float64) for line in lines]
        if len(vector) == 1:
            (slopes,) = torch.autograd.grad(vector.sum(), point)
            return [slopes[torch.from_numpy(line.wrt)] for line in lines]
        owner = self._owners(lines)
        if owner is not None and self._independent(point, vector, owner):
            (slopes,) = torch.autograd.grad(vector.sum(), point)
            return [slopes[torch.from_numpy(line.wrt)] for line in lines]
        return self._entries(point, vector, lines)

    def quotients(
        self, line: DerivativeLine, kind: Quotient, step: float | torch.Tensor
    ) -> torch.Tensor:
        """Difference quotients with one step, or with one for each given cell.

        Rows that do not meet are moved at once.
        """
        steps = torch.as_tensor(step, dtype=torch.float64).expand(len(self.point))
        index, element = torch.from_numpy(line.wrt), torch.from_numpy(line.of)
        owner = self._owners([line]) if line.together else None
        moves = torch.zeros(len(self.point), dtype=torch.float64)
        moves[index] = steps[index]
        places = (self.point, self.point + moves, self.point - moves)
        if owner is not None and all(self._meets_nothing(owner, place) for place in places):
            moved = index[None, :]
            group = torch.zeros_like(index)
        else:
            single, group = torch.unique(index, return_inverse=True)
            moved = single[:, None]
        found = torch.empty(len(index), dtype=torch.float64)
        size = max(1, _AT_ONCE // max(len(self.values), len(self.point)))
        for part in torch.split(torch.arange(len(moved)), size):
            moves = torch.zeros(len(part), len(self.point), dtype=torch.float64)
            moves.scatter_(1, moved[part], steps[moved[part]])
            above = self._at(moves) if kind != "backward" else self.values.expand(len(part), -1)
            below = self._at(-moves) if kind != "forward" else self.values.expand(len(part), -1)
            here = (group >= part[0]) & (group <= part[-1])
            found[here] = (above - below)[group[here] - part[0], element[here]]
        return found / (steps[index] * (2 if kind == "central" else 1))

    def _at(self, moves: torch.Tensor) -> torch.Tensor:
        return over_copies(self.vector, self.point + moves)

    def _meets_nothing(self, owner: torch.Tensor, place: torch.Tensor) -> bool:
        point = place.clone().requires_grad_()
        vector = self.vector(point)
        return vector.requires_grad and self._independent(point, vector, owner)

    def _owners(self, lines: Sequence[DerivativeLine]) -> torch.Tensor | None:
        """The element that each given cell belongs to, -1 for none; None when one has several."""
        owner = torch.full((len(self.point),), -1)
        for line in lines:
            index, element = torch.from_numpy(line.wrt), torch.from_numpy(line.of)
            known = owner[index]
            if bool(((known >= 0) & (known != element)).any()) or not line.together:
                return None
            owner[index] = element
        return owner

    def _independent(
        self, point: torch.Tensor, vector: torch.Tensor, owner: torch.Tensor
    ) -> bool:  # fmt: skip
        """Whether every given cell reaches its own element alone.

        The gradient of a sum with random weights then is that of the plain sum, times these.
        """
        generator = torch.Generator().manual_seed(0)
        (plain,) = torch.autograd.grad(vector.sum(), point, retain_graph=True)
        used = owner >= 0
        for _ in range(2):
            weights = 1 + torch.rand(len(vector), generator=generator, dtype=torch.float64)
            (weighted,) = torch.autograd.grad((weights * vector).sum(), point, retain_graph=True)
            expected = weights[owner.clamp_min(0)] * plain
            gap = (weighted - expected).abs()[used]
            if bool((gap > _SAME * expected.abs()[used]).any()):
                return False
        return True

    def _entries(
        self, point: torch.Tensor, vector: torch.Tensor, lines: Sequence[DerivativeLine]
    ) -> list[torch.Tensor]:
        """Rows of the Jacobian, many at once, of which the wanted entries are kept."""
        count = len(vector)
        found = [torch.zeros(len(line.of), dtype=torch.float64) for line in lines]
        size = max(1, _AT_ONCE // max(count, len(point)))
        for rows in torch.split(torch.arange(count), size):
            chosen = torch.zeros(len(rows), count, dtype=torch.float64)
            chosen[torch.arange(len(rows)), rows] = 1.0
            slopes = batched_gradients(vector, point, chosen)
            for line, result in zip(lines, found, strict=True):
                index, element = torch.from_numpy(line.wrt), torch.from_numpy(line.of)
                here = (element >= rows[0]) & (element <= rows[-1])
                result[here] = slopes[element[here] - rows[0], index[here]]
        return found
