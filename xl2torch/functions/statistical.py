"""Statistics: counts and averages."""

from __future__ import annotations

import numpy as np
import torch

from xl2torch.functions.array import (
    INNER,
    Array,
    as_numbers,
    constant,
    is_typed,
    numeric_cells,
    reduce,
)  # fmt: skip
from xl2torch.functions.mathematical import total
from xl2torch.functions.operators import divide
from xl2torch.functions.registry import function
from xl2torch.values import BLANK, TEXT


def how_many(arrays: tuple[Array, ...]) -> Array:
    """How many numbers SUM would add: known at compile time, per cell of the region."""
    count = np.zeros((1, 1, 1, 1))
    for array in arrays:
        mask = numeric_cells(as_numbers(array) if is_typed(array) else array)
        full = np.broadcast_to(mask, (*mask.shape[:2], *array.shape[2:]))
        count = count + full.sum(axis=INNER, keepdims=True)
    return constant(count)


@function("COUNT", "r", repeats=True)
def count(*arrays: Array) -> Array:
    """How many numbers there are."""
    return how_many(arrays)


@function("COUNTA", "r", repeats=True)
def counta(*arrays: Array) -> Array:
    """How many cells are not blank."""
    total_count = np.zeros((1, 1, 1, 1))
    for array in arrays:
        kinds = np.asarray(array.full_kinds)
        filled = (kinds != BLANK) | is_typed(array)
        total_count = total_count + filled.sum(axis=INNER, keepdims=True)
    return constant(total_count)


@function("COUNTBLANK", "r")
def countblank(array: Array) -> Array:
    """How many cells are blank or hold an empty text."""
    kinds = np.asarray(array.full_kinds)
    empty = (kinds == BLANK) | ((kinds == TEXT) & (array.full_texts == ""))
    return constant(empty.sum(axis=INNER, keepdims=True).astype(float))


@function("AVERAGE", "r", repeats=True)
def average(*arrays: Array) -> Array:
    """Mean of all numbers; #DIV/0! when there is none."""
    if len(arrays) == 1 and arrays[0].kinds is None:
        dense = arrays[0]
        if all(axis in dense.axes for axis in INNER if dense.shape[axis] > 1) and dense.axes:
            return reduce(torch.mean, dense, INNER)
    return divide(total(arrays), how_many(arrays))
