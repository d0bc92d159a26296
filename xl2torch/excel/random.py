"""Random numbers. In training mode they are drawn anew at each step, as Excel does."""

from __future__ import annotations

import torch

from xl2torch.arrays.array import DTYPE, Array, Shape, check_size, elementwise, scalar
from xl2torch.excel.dynamic import whole
from xl2torch.excel.registry import Context, function
from xl2torch.ir.ops import Bend, recorded


def _drawn(context: Context, height: int, width: int) -> Array:
    """Uniform numbers in [0, 1), one array per copy."""
    shape: Shape = (*context.copies, height, width)
    axes = tuple(axis for axis in range(4) if shape[axis] > 1)
    return Array(context.draw(shape), axes, shape)


@recorded(bend=Bend.STEP)
def whole_between(share: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """A whole number between two limits, both included, from a share in [0, 1)."""
    first, last = torch.ceil(torch.as_tensor(low)), torch.floor(torch.as_tensor(high))
    return first + torch.floor(share * (last - first + 1))


def number_between(share: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """A number between two limits, from a share in [0, 1)."""
    return torch.as_tensor(low, dtype=DTYPE) + share * (high - low)


@function("RAND", gradient="none", context=True)
def rand(context: Context) -> Array:
    """A random number from 0 to below 1."""
    return _drawn(context, 1, 1)


@function("RANDBETWEEN", "vv", gradient="none", context=True)
def randbetween(context: Context, low: Array, high: Array) -> Array:
    """A random whole number between two limits."""
    return elementwise(whole_between, _drawn(context, 1, 1), low, high)


@function("RANDARRAY", "", "vvvvv", gradient="none", context=True)
def randarray(
    context: Context, rows: Array | None = None, columns: Array | None = None,
    low: Array | None = None, high: Array | None = None, integer: Array | None = None,
) -> Array:  # fmt: skip
    """An array of random numbers."""
    height, width = whole(rows, 1), whole(columns, 1)
    check_size(height, width)
    share = _drawn(context, height, width)
    form = whole_between if whole(integer, 0) else number_between
    return elementwise(form, share, low or scalar(0.0), high or scalar(1.0))


@function("NOW", gradient="none", context=True)
def now(context: Context) -> Array:
    """Date and time of the last recalculation: the stored value is kept."""
    return context.clock()


@function("TODAY", gradient="none", context=True)
def today(context: Context) -> Array:
    """Date of the last recalculation: the stored value is kept."""
    return context.clock()
