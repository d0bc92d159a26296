"""The module that runs one step of a recurrence over all rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import fx, nn


class Recurrence(nn.Module):
    """Runs a step over all rows.

    Inputs: xs (steps first), fixed tensors, what earlier rows begin with, and masks of these.

    Output: per region its cells (steps first), and a mask of those that are no errors, or None.
    """

    def __init__(
        self, body: fx.GraphModule, inputs: Sequence[tuple[str, int]], counts: tuple[int, int],
        starts: Sequence[tuple[int, int]], steps: int, forward: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.body = body
        self.inputs = tuple(inputs)
        self.counts = counts
        self.starts = tuple(starts)
        self.steps = steps
        self.in_order = forward

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Cells and masks of every region."""
        changing, fixed = self.counts
        xs = [x.unbind(0) for x in tensors[:changing]]
        constants = tensors[changing : changing + fixed]
        rest = tensors[changing + fixed :]
        begin = dict(zip(self.starts, rest[: len(self.starts)], strict=True))
        begin_masks = dict(zip(self.starts, rest[len(self.starts) :], strict=True))
        results: list[list[torch.Tensor]] = []
        plan = [self._source(kind, place) for kind, place in self.inputs]
        for number in range(self.steps):
            arguments = []
            for kind, index, offset in plan:
                if kind == "x":
                    arguments.append(xs[index][number])
                elif kind == "fixed":
                    arguments.append(constants[index])
                elif number + offset >= 0:
                    arguments.append(results[number + offset][index])
                elif kind == "earlier":
                    arguments.append(begin[index // 2, number + offset])
                else:
                    arguments.append(begin_masks[index // 2, number + offset])
            results.append(self.body(*arguments))
        found: list[torch.Tensor | None] = []
        for index, first in enumerate(results[0]):
            if first is None:
                found.append(None)
                continue
            column = torch.stack([result[index] for result in results])
            found.append(column if self.in_order else column.flip(0))
        return tuple(found)

    @staticmethod
    def _source(kind: str, place: int) -> tuple[str, int, int]:
        """Kind of an input, its number (among the body's outputs), how many steps ago."""
        word, _, number = kind.partition(" ")
        if word in ("x", "fixed"):
            return word, place, 0
        return word, 2 * int(number) + (word == "mask"), -abs(place)
