"""Logical functions. A branch that is not taken sends back no gradient, not even NaN."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from xl2torch.functions.array import (
    INNER,
    Array,
    ExcelError,
    Unsupported,
    all_valid,
    as_float,
    as_kind,
    broadcast_shape,
    choose,
    constant,
    defused,
    elementwise,
    is_typed,
    pad,
    reduce_errors,
    scalar,
    truth,
)  # fmt: skip
from xl2torch.functions.registry import function
from xl2torch.functions.trace import apply
from xl2torch.values import FIRST_ERROR, LOGICAL, NA, NUMBER, VALUE


@function("IF", "v", "bb")
def if_(condition: Array, yes: Array | None = None, no: Array | None = None) -> Array:
    """One of two values; an omitted one is FALSE, an empty one 0."""
    return choose(
        truth(condition),
        scalar(True) if yes is None else yes,
        scalar(False) if no is None else no,
    )


@function("TRUE")
def true() -> Array:
    """TRUE."""
    return scalar(True)


@function("FALSE")
def false() -> Array:
    """FALSE."""
    return scalar(False)


@function("NOT", "v")
def not_(value: Array) -> Array:
    """The opposite truth value."""
    flipped = elementwise(operator.eq, truth(value), scalar(0.0), keep=True)
    return as_kind(_settled(flipped), LOGICAL)


def _settled(array: Array) -> Array:
    """Constant truth values as numbers; a traced one stays a mask, which IF uses as it is."""
    return array if array.traced else as_float(array)


def _combined(arrays: tuple[Array, ...], rule: Callable[..., Any]) -> Array:
    """AND, OR over everything that is a number or a logical; nothing of the kind is #VALUE!."""
    result: Array | None = None
    arrays = tuple(truth(array) if is_typed(array) else array for array in arrays)
    errors = reduce_errors(arrays)
    some = False
    for array in arrays:
        some = some or array.kinds is None or bool(np.isin(array.kinds, (NUMBER, LOGICAL)).any())
        if array.kinds is not None and not array.traced:
            mask = np.isin(array.full_kinds, (NUMBER, LOGICAL))
            neutral = 1.0 if rule is torch.all else 0.0
            array = constant(np.where(mask, array.numpy(), neutral))
        elif array.kinds is not None and not np.isin(array.kinds, (NUMBER, LOGICAL)).all():
            raise Unsupported("AND or OR over a range that mixes trained and other cells")
        test = apply(operator.ne, array.data, 0.0)
        dims = [dim for dim, axis in enumerate(array.axes) if axis in INNER]
        kept = tuple(axis for axis in array.axes if axis not in INNER)
        for dim in reversed(dims):
            test = apply(rule, test, dim=dim)
        valid = all_valid(array, INNER)
        part = Array(test, kept, (*array.shape[:2], 1, 1), valid=valid)
        both = torch.logical_and if rule is torch.all else torch.logical_or
        result = part if result is None else elementwise(both, result, part, keep=True)
    if result is None or not some:
        raise ExcelError(VALUE)
    result = result if errors is None else replace(result, kinds=errors)
    return as_kind(_settled(result), LOGICAL)


@function("AND", "r", repeats=True)
def and_(*arrays: Array) -> Array:
    """Whether all are true."""
    return _combined(arrays, torch.all)


@function("OR", "r", repeats=True)
def or_(*arrays: Array) -> Array:
    """Whether any is true."""
    return _combined(arrays, torch.any)


def _caught(value: Array, alternative: Array, kinds: tuple[int, ...] | None) -> Array:
    """Replace errors: constant ones by their kind, those of trained values by the mask."""
    shape = broadcast_shape(value, alternative)
    value, alternative = pad(value, shape), pad(alternative, shape)
    if value.valid is not None and kinds is None:
        safe = defused(value)
        assert safe.valid is not None
        return choose(safe.valid, replace(safe, valid=None), alternative)
    errors = value.full_kinds >= FIRST_ERROR if kinds is None else np.isin(value.full_kinds, kinds)
    if not errors.any():
        return choose(scalar(True), value, alternative)
    return choose(constant((~errors).astype(float)), value, alternative)


@function("IFERROR", "bb")
def iferror(value: Array, alternative: Array) -> Array:
    """The value, or the alternative where it is an error."""
    return _caught(value, alternative, None)


@function("IFNA", "bb")
def ifna(value: Array, alternative: Array) -> Array:
    """The value, or the alternative where it is #N/A."""
    return _caught(value, alternative, (NA.kind,))
