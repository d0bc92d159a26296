"""Arrays where a function wants single values: Excel then computes it for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

from xl2torch.arrays.array import (
    COLUMN,
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    ExcelError,
    NotVectorisable,
    Unsupported,
    along,
    broadcast_shape,
    pad,
    scalar,
)
from xl2torch.arrays.shapes import join
from xl2torch.safety.limits import MOST_LIFTED, MOST_TRACED_LIFTED, beyond

_FAULTS = (
    ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError, ArithmeticError,
    RuntimeError,
)  # fmt: skip
"""What no function means to raise."""


def computed(
    name: str, compute: Callable[..., Array], values: Sequence[Array], single: Sequence[int],
    singly: bool,
) -> Array:  # fmt: skip
    """A function of some values, of which those at the places ``single`` are to be single ones.

    Where these are arrays it is computed for all elements at once, unless it has to be ``singly``,
    or fails at once: one element may be an error and another none. Raises ExcelError, Unsupported.
    """
    places = [place for place in single if _count(values[place]) > 1]
    if places and singly:
        return _for_each(name, compute, values, places)
    try:
        return _guarded(name, compute, values)
    except (ExcelError, Unsupported) as error:
        copied = isinstance(error, NotVectorisable) and any(map(_is_copied, values))
        if not places or copied:
            raise
        try:
            return _for_each(name, compute, values, places)
        except Unsupported:
            if isinstance(error, ExcelError):
                raise
            raise error from None


def _count(array: Array) -> int:
    return array.shape[HEIGHT] * array.shape[WIDTH]


def _is_copied(array: Array) -> bool:
    return array.shape[ROW] * array.shape[COLUMN] > 1


def _guarded(name: str, compute: Callable[..., Array], values: Sequence[Array]) -> Array:
    try:
        return compute(*values)
    except _FAULTS as fault:
        if isinstance(fault, RecursionError) or "allocate" in str(fault):
            raise
        raise Unsupported(
            f"{name} of these arguments: a fault of xl2torch, please report it ({fault})"
        ) from fault


def _for_each(
    name: str, compute: Callable[..., Array], values: Sequence[Array], places: Sequence[int]
) -> Array:
    """The function for each element of the arrays at some places."""
    shape = broadcast_shape(*(values[place] for place in places))
    height, width = shape[HEIGHT], shape[WIDTH]
    limit = MOST_TRACED_LIFTED if any(value.traced for value in values) else MOST_LIFTED
    if height * width > limit:
        what = f"values for which {name} is computed one by one"
        raise Unsupported(beyond(height * width, limit, what))
    whole = {
        place: pad(values[place], (*values[place].shape[:2], height, width)) for place in places
    }
    found: list[list[Array]] = [[] for _ in range(height)]
    for row, column in product(range(height), range(width)):
        part = list(values)
        for place, array in whole.items():
            element = along(array, HEIGHT, row, 1, 1)
            part[place] = replace(along(element, WIDTH, column, 1, 1), from_cells=False)
        try:
            result = _guarded(name, compute, part)
        except ExcelError as error:
            if any(map(_is_copied, part)):
                raise NotVectorisable("an error in some of the copied cells") from None
            result = scalar(error.error)
        if _count(result) > 1:
            raise Unsupported(f"{name} gives several cells for each of several values")
        found[row].append(result)
    return join([join(line, WIDTH) for line in found], HEIGHT)
