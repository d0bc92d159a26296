"""The numbers that an aggregate function works on: all its arguments in one column."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.arrays.array import (
    HEIGHT,
    Array,
    ExcelError,
    Kinds,
    all_valid,
    as_float,
    as_numbers,
    as_references,
    broadcast_shape,
    constant,
    constant_mask,
    elementwise,
    filled,
    is_typed,
    numeric_cells,
    reduce,
    reduce_errors,
    spread,
    where_constant,
    where_counted,
)  # fmt: skip
from xl2torch.arrays.operators import divide
from xl2torch.arrays.shapes import column, join, reorder
from xl2torch.cells.values import LOGICAL, NA, NUMBER, TEXT
from xl2torch.ir.ops import Bend, Group, recorded
from xl2torch.ir.trace import apply

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """Numbers below each other: ``values`` has shape (R|1, C|1, n, 1).

    Which of them count is known at compile time (``counted``, broadcast to the shape); the others
    are 0. ``errors`` is the first error per copy.
    """

    values: Array
    counted: Mask
    errors: Kinds | None

    @property
    def size(self) -> NDArray[np.float64]:
        """How many numbers count, per copy."""
        full = np.broadcast_to(self.counted, (*self.counted.shape[:2], *self.values.shape[2:]))
        counts: NDArray[np.float64] = full.sum(axis=HEIGHT, keepdims=True).astype(np.float64)
        return counts

    def filled_with(self, number: float) -> Array:
        """The values, with another number where they do not count."""
        return where_constant(self.counted, self.values, number)


def sample(*arrays: Array, every_kind: bool = False) -> Sample:
    """All arguments as one column.

    In cells, text, logicals and blanks do not count (``every_kind``: text counts as 0, a logical
    as 1 or 0); a value typed into the call does.
    """
    columns, masks = [], []
    for array in map(as_references, arrays):
        typed = is_typed(array)
        array = as_numbers(array) if typed else column(array)
        if typed:
            mask = np.ones((1, 1, 1, 1), dtype=bool)
        elif every_kind and array.kinds is not None:
            mask = np.isin(array.full_kinds, (NUMBER, LOGICAL, TEXT))
        else:
            mask = numeric_cells(array)
        columns.append(array)
        masks.append(np.broadcast_to(mask, (*mask.shape[:2], *array.shape[2:])))
    errors = reduce_errors(columns)
    numbers = join([plain(array) for array in columns], HEIGHT)
    rows, columns_ = (max(mask.shape[axis] for mask in masks) for axis in (0, 1))
    counted = np.concatenate(
        [np.broadcast_to(mask, (rows, columns_, *mask.shape[2:])) for mask in masks], axis=HEIGHT
    )
    return _reduced(numbers, counted, errors)


def _reduced(numbers: Array, counted: Mask, errors: Kinds | None) -> Sample:
    """Elements that count in no copy are left out."""
    some = counted.any(axis=(0, 1, 3))
    if numbers.valid is not None:  # an error counts whatever it stands in the place of
        return Sample(where_counted(counted, numbers, 0.0), counted, errors)
    keep = np.flatnonzero(some) if some.any() else np.array([0])
    numbers, counted = reorder(numbers, HEIGHT, keep), counted.take(keep, HEIGHT)
    return Sample(where_constant(counted, numbers, 0.0), counted, errors)


def plain(array: Array) -> Array:
    """The numbers alone; what stands for an error or a text is never NaN."""
    array = as_float(filled(array))
    return replace(array, kinds=None, texts=None, from_cells=False)


def pairs(x: Array, y: Array) -> tuple[Sample, Sample]:
    """Two samples of equal size; a pair of which one is no number does not count.

    Unequal sizes are #N/A.
    """
    x, y = column(x), column(y)
    if x.shape[HEIGHT] != y.shape[HEIGHT]:
        raise ExcelError(NA)
    counted = np.logical_and(*np.broadcast_arrays(_numeric(x), _numeric(y)))
    errors = reduce_errors([x, y])
    return _reduced(plain(x), counted, errors), _reduced(plain(y), counted, errors)


def _numeric(array: Array) -> Mask:
    mask = numeric_cells(array)
    return np.broadcast_to(mask, (*mask.shape[:2], array.shape[HEIGHT], 1))


def overlaid(result: Array, errors: Kinds | None) -> Array:
    """A result with errors put where the operands had some."""
    if errors is None:
        return result
    result = spread(result, broadcast_shape(result, constant_mask(errors != NUMBER)))
    kinds = np.where(errors != NUMBER, errors, np.uint8(NUMBER) if result.kinds is None
                     else result.kinds)  # fmt: skip
    return replace(result, kinds=kinds.astype(np.uint8))


def total(numbers: Array) -> Array:
    """Sum of each copy's column."""
    return reduce(torch.sum, numbers, (HEIGHT,))


def mean(values: Sample) -> Array:
    """Arithmetic mean; of no number it is #DIV/0!."""
    return divide(total(values.values), constant(values.size))


def deviations(values: Sample) -> Array:
    """Each number less the mean, 0 where it does not count.

    The first number is taken off before: so those of equal numbers are exactly 0.
    """
    first = values.values
    if first.shape[HEIGHT] > 1:
        first = reorder(first, HEIGHT, np.array([0]))
    off = replace(values, values=_less(values, first))
    return _less(off, plain(mean(off)))


def _less(values: Sample, number: Array) -> Array:
    """The numbers less another one, 0 where they do not count."""
    differences = elementwise(operator.sub, values.values, number, keep=True)
    return where_constant(values.counted, differences, 0.0)


def product_sum(left: Array, right: Array) -> Array:
    """Sum of the products of two columns."""
    return total(elementwise(operator.mul, left, right, keep=True))


def ordered(values: Sample) -> Array:
    """The numbers in ascending order; what does not count stands last, as infinity."""
    numbers = values.filled_with(np.inf)
    if numbers.shape[HEIGHT] == 1:
        return numbers
    data = apply(sorted_values, numbers.data, dim=numbers.axes.index(HEIGHT))
    whole = all_valid(numbers, (HEIGHT,))
    return replace(numbers, data=data, valid=whole and spread(whole, numbers.shape))


@recorded(Group.ALONG, bend=Bend.KINK)
def sorted_values(data: torch.Tensor, dim: int) -> torch.Tensor:
    """The values of torch.sort, without the indices."""
    return torch.sort(data, dim=dim).values
