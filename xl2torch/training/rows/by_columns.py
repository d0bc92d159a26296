"""Parameters laid out by columns for as long as they are trained in batches.

The order of the numbers in memory is no matter for what is computed, only for how fast. torch's
fused optimizers, elementwise ones, copy what is not in the order of rows: they are given the
transposed parameter, which is the same memory in the order of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn


class Transposed(NamedTuple):
    """A parameter by columns and its transpose, which the optimizer changes, in one memory."""

    parameter: nn.Parameter
    transpose: nn.Parameter

    def pass_gradient(self) -> None:
        """Give the transpose the gradient of the parameter."""
        gradient = self.parameter.grad
        self.transpose.grad = None if gradient is None else gradient.t().contiguous()


@contextmanager
def by_columns(
    parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer
) -> Iterator[list[Transposed]]:
    """Lay out some parameters of an optimizer by columns, and by rows again at the end.

    Gradients come to the parameters as ever; of those that are handed out they have to be passed on
    before each step of the optimizer.
    """
    exchanged: list[Transposed] = []
    try:
        for parameter in parameters:
            transpose = parameter.detach().t().contiguous()
            parameter.data = transpose.t()
            if optimizer.defaults.get("fused"):
                exchanged.append(Transposed(parameter, nn.Parameter(transpose)))
                _exchange(optimizer, *exchanged[-1])
        yield exchanged
    finally:
        for pair in exchanged:
            _exchange(optimizer, pair.transpose, pair.parameter)
        for parameter in parameters:
            parameter.data = parameter.detach().contiguous()
            if parameter.grad is not None:
                parameter.grad = parameter.grad.contiguous()


def _exchange(optimizer: torch.optim.Optimizer, old: nn.Parameter, new: nn.Parameter) -> None:
    for group in optimizer.param_groups:
        group["params"] = [new if item is old else item for item in group["params"]]
