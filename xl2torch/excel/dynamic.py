"""Dynamic arrays: arrays joined, cut, sorted and filtered.

The order and the size of a result are decided by constants (SORT: also by trained values); the
values keep their slopes.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from xl2torch.arrays.array import (
    HEIGHT,
    WIDTH,
    Array,
    ExcelError,
    NotVectorisable,
    Shape,
    Unsupported,
    as_numbers,
    check_size,
    constant,
    elementwise,
    logical,
    scalar,
    spread,
    truth,
)  # fmt: skip
from xl2torch.arrays.sample import plain
from xl2torch.arrays.shapes import (
    Ints,
    column,
    full_data,
    join,
    one_copy,
    pick_traced,
    reorder,
    resized,
    unfolded,
)
from xl2torch.cells.values import (
    BLANK,
    ERRORS,
    FIRST_ERROR,
    LOGICAL,
    NA,
    NUM,
    NUMBER,
    TEXT,
    VALUE,
    collated,
    error_of_kind,
)  # fmt: skip
from xl2torch.excel.matrix import transpose
from xl2torch.excel.registry import family, function
from xl2torch.excel.text import from_values
from xl2torch.ir.trace import apply

CALC = ERRORS["#CALC!"]


def whole(array: Array | None, default: int) -> int:
    """A constant whole number, the same in all copies; blank or left out it is the default."""
    if array is None or (array.kinds is not None and (array.kinds == BLANK).all()):
        return default
    array = as_numbers(array)
    if array.traced:
        raise Unsupported("a trained value decides the size or the order of an array")
    if array.kinds is not None:
        raise ExcelError(error_of_kind(int(array.full_kinds.max())))
    numbers = array.numpy()
    if numbers.size > 1 and (numbers != numbers.flat[0]).any():
        raise NotVectorisable("arrays whose size differs among the copied cells")
    return int(np.trunc(numbers.flat[0]))


# ---------------------------------------------------------------- joined and cut


def _padded(array: Array, axis: int, size: int, filler: Array | None = None) -> Array:
    """The array with a filler (#N/A unless given) up to a length."""
    missing = size - array.shape[axis]
    if not missing:
        return array
    one = from_values([NA], (1, 1, 1, 1)) if filler is None else filler
    shape: Shape = resized((*one.shape[:2], *array.shape[2:]), axis, missing)
    return join([array, spread(one, shape)], axis)


@family({"HSTACK": WIDTH, "VSTACK": HEIGHT}, "a", repeats=True, gradient="values")
def hstack(axis: int, *arrays: Array) -> Array:
    """Arrays side by side (below each other); shorter ones are filled up with #N/A."""
    other = HEIGHT if axis == WIDTH else WIDTH
    size = max(array.shape[other] for array in arrays)
    return join([_padded(array, other, size) for array in arrays], axis)


@family({"TOCOL": False, "TOROW": True}, "a", "vv", gradient="values", singly=True)
def tocol(
    lying: bool, array: Array, skip: Array | None = None, by_column: Array | None = None
) -> Array:
    """All elements in one column (row); blanks (1), errors (2) or both (3) are left out."""
    flat = column(array, by_columns=bool(whole(by_column, 0)))
    left_out = whole(skip, 0)
    if not 0 <= left_out <= 3:
        raise ExcelError(VALUE)
    if left_out:
        one_copy(flat)
        kinds = flat.full_kinds.reshape(-1)
        drop = np.zeros(len(kinds), dtype=bool)
        drop |= (kinds == BLANK) & bool(left_out & 1)
        drop |= (kinds >= FIRST_ERROR) & bool(left_out & 2)
        if left_out & 2 and flat.valid is not None:
            raise Unsupported("errors of trained values are left out")
        flat = _kept(flat, HEIGHT, np.flatnonzero(~drop))
    return transpose(flat) if lying else flat


def _kept(array: Array, axis: int, index: Ints) -> Array:
    if not len(index):
        raise ExcelError(CALC)
    return reorder(array, axis, index)


@family({"WRAPROWS": False, "WRAPCOLS": True}, "av", "v", gradient="values")
def wraprows(by_columns: bool, array: Array, count: Array, filler: Array | None = None) -> Array:
    """A row or column cut into rows (columns) of a length."""
    if array.shape[HEIGHT] > 1 and array.shape[WIDTH] > 1:
        raise ExcelError(VALUE)
    width = whole(count, 0)
    if width < 1:
        raise ExcelError(NUM)
    flat = column(array)
    width = min(width, flat.shape[HEIGHT]) if width > flat.shape[HEIGHT] else width
    height = -(-flat.shape[HEIGHT] // width)
    table = unfolded(_padded(flat, HEIGHT, height * width, filler), height, width)
    return transpose(table) if by_columns else table


@family({"TAKE": True, "DROP": False}, "av", "v", gradient="values")
def take(keep: bool, array: Array, rows: Array, columns: Array | None = None) -> Array:
    """The first rows and columns, or the last ones where the number is negative (DROP: without)."""
    for axis, count in ((HEIGHT, rows), (WIDTH, columns)):
        size = array.shape[axis]
        number = whole(count, size if keep else 0)
        if keep:
            index = np.arange(size)[:number] if number >= 0 else np.arange(size)[number:]
        else:
            index = np.arange(size)[number:] if number >= 0 else np.arange(size)[:number]
        array = _kept(array, axis, index)
    return array


@family({"CHOOSEROWS": HEIGHT, "CHOOSECOLS": WIDTH}, "aa", repeats=True, gradient="values")
def chooserows(axis: int, array: Array, *places: Array) -> Array:
    """Some rows (columns) by number, counted from the end where it is negative."""
    one_copy(*places)
    size = array.shape[axis]
    index: list[int] = []
    for place in places:
        numbers = as_numbers(place)
        if numbers.kinds is not None:
            raise ExcelError(error_of_kind(int(numbers.full_kinds.max())))
        index += [int(np.trunc(number)) for number in numbers.numpy().reshape(-1)]
    if any(not 1 <= abs(number) <= size for number in index):
        raise ExcelError(VALUE)
    return reorder(array, axis, np.array([n - 1 if n > 0 else size + n for n in index]))


@function("EXPAND", "av", "vv", gradient="values")
def expand(
    array: Array, rows: Array, columns: Array | None = None, filler: Array | None = None
) -> Array:
    """An array filled up to a size with #N/A or another value."""
    for axis, count in ((HEIGHT, rows), (WIDTH, columns)):
        size = whole(count, array.shape[axis])
        if size < array.shape[axis]:
            raise ExcelError(VALUE)
        check_size(size, array.shape[WIDTH if axis == HEIGHT else HEIGHT])
        array = _padded(array, axis, size, filler)
    return array


@function("SEQUENCE", "v", "vvv")
def sequence(
    rows: Array, columns: Array | None = None, start: Array | None = None, step: Array | None = None
) -> Array:
    """Numbers counted row by row."""
    height, width = whole(rows, 1), whole(columns, 1)
    if height < 0 or width < 0:
        raise ExcelError(VALUE)
    if not height or not width:
        raise ExcelError(CALC)
    check_size(height, width)
    counted = constant(np.arange(float(height * width)).reshape(1, 1, height, width))
    first = scalar(1.0) if _omitted(start) else start
    stride = scalar(1.0) if _omitted(step) else step
    assert first is not None and stride is not None
    return elementwise(operator.add, elementwise(operator.mul, counted, stride), first)


def _omitted(array: Array | None) -> bool:
    return array is None or (array.kinds is not None and bool((array.kinds == BLANK).all())
                             and not array.from_cells)  # fmt: skip


# ---------------------------------------------------------------- filtered, sorted, unique


@function("FILTER", "aa", "a", gradient="values")
def filter_(array: Array, include: Array, otherwise: Array | None = None) -> Array:
    """The rows (columns) for which a constant condition holds."""
    one_copy(include)
    condition = truth(include)
    if condition.traced:
        raise Unsupported("a trained value decides the size of an array")
    errors = condition.full_kinds[condition.full_kinds >= FIRST_ERROR]
    if len(errors):
        raise ExcelError(error_of_kind(int(errors.flat[0])))
    holds = condition.numpy().reshape(condition.shape[2:]) != 0
    if holds.shape == (array.shape[HEIGHT], 1):
        axis, index = HEIGHT, np.flatnonzero(holds[:, 0])
    elif holds.shape == (1, array.shape[WIDTH]):
        axis, index = WIDTH, np.flatnonzero(holds[0])
    else:
        raise ExcelError(VALUE)
    if not len(index):
        if otherwise is None:
            raise ExcelError(CALC)
        return otherwise
    return reorder(array, axis, index)


def _order_keys(kinds: Any, numbers: Any, texts: Any, descending: bool) -> list[Any]:
    """Sort keys: numbers, texts, logicals, errors, and blanks always last."""
    ranks = {NUMBER: 0, TEXT: 1, LOGICAL: 2}
    keys: list[Any] = []
    for kind, number, text in zip(kinds.tolist(), numbers.tolist(), texts.tolist(), strict=True):
        rank = ranks.get(kind, 3)
        if kind == BLANK:
            rank = -1 if descending else 4
        keys.append((rank, number if rank in (0, 2) else 0.0, collated(text) if rank == 1 else ""))
    return keys


def _sorted_index(keys: Sequence[tuple[Array, int]]) -> Ints:
    """Stable order by several constant columns, the first one first."""
    size = keys[0][0].shape[HEIGHT]
    index = list(range(size))
    for key, direction in reversed(keys):
        kinds = np.asarray(key.full_kinds).reshape(-1)
        values = _order_keys(
            kinds, key.numpy().reshape(-1), np.asarray(key.full_texts).reshape(-1), direction < 0
        )
        index.sort(key=values.__getitem__, reverse=direction < 0)
    return np.array(index, dtype=np.int64)


def _direction(array: Array | None) -> list[int]:
    if array is None or (array.kinds is not None and (array.kinds == BLANK).all()):
        return [1]
    numbers = as_numbers(array)
    if numbers.traced or numbers.kinds is not None:
        raise ExcelError(VALUE)
    one_copy(numbers)
    found = [int(np.trunc(number)) for number in numbers.numpy().reshape(-1)]
    if any(number not in (1, -1) for number in found):
        raise ExcelError(VALUE)
    return found


def _by_trained_key(array: Array, key: Array, direction: int) -> Array:
    """Rows in the order of a trained column, in every copy."""
    if key.kinds is not None and (key.kinds != NUMBER).any():
        raise Unsupported("trained values are sorted among texts or blanks")
    if key.valid is not None:
        raise Unsupported("trained values that may be errors are sorted")
    index = apply(torch.argsort, full_data(plain(key)), dim=HEIGHT, descending=direction < 0,
                  stable=True)  # fmt: skip
    return pick_traced(array, HEIGHT, index, key.shape)


def _ordered(array: Array, keys: list[tuple[Array, int]]) -> Array:
    if any(key.traced for key, _ in keys):
        if len(keys) > 1:
            raise Unsupported("a sort by several columns of which one is trained")
        return _by_trained_key(array, *keys[0])
    one_copy(*(key for key, _ in keys))
    return reorder(array, HEIGHT, _sorted_index(keys))


@function("SORT", "a", "aav", gradient="values")
def sort(
    array: Array, which: Array | None = None, order: Array | None = None,
    by_column: Array | None = None,
) -> Array:  # fmt: skip
    """Rows (columns) in the order of one or several of their columns (rows)."""
    if whole(by_column, 0):
        return transpose(sort(transpose(array), which, order))
    places = [1]
    if which is not None and not (which.kinds is not None and (which.kinds == BLANK).all()):
        numbers = as_numbers(which)
        one_copy(numbers)
        if numbers.kinds is not None:
            raise ExcelError(VALUE)
        places = [int(np.trunc(number)) for number in numbers.numpy().reshape(-1)]
    directions = _direction(order)
    if len(directions) == 1:
        directions = directions * len(places)
    if len(directions) != len(places) or any(not 1 <= p <= array.shape[WIDTH] for p in places):
        raise ExcelError(VALUE)
    keys = [
        (reorder(array, WIDTH, np.array([place - 1])), direction)
        for place, direction in zip(places, directions, strict=True)
    ]
    return _ordered(array, keys)


@function("SORTBY", "aa", "a", repeats=True, gradient="values")
def sortby(array: Array, *arguments: Array) -> Array:
    """Rows or columns in the order of other rows or columns."""
    keys: list[tuple[Array, int]] = []
    lying = False
    index = 0
    while index < len(arguments):
        key = arguments[index]
        direction = 1
        if index + 1 < len(arguments):
            direction = _direction(arguments[index + 1])[0]
        index += 2
        if key.shape[2:] == (array.shape[HEIGHT], 1) and not lying:
            keys.append((key, direction))
        elif key.shape[2:] == (1, array.shape[WIDTH]):
            lying = True
            keys.append((transpose(key), direction))
        else:
            raise ExcelError(VALUE)
    if lying:
        return transpose(_ordered(transpose(array), keys))
    return _ordered(array, keys)


@function("UNIQUE", "a", "vv", gradient="none")
def unique(array: Array, by_column: Array | None = None, once: Array | None = None) -> Array:
    """Different rows (columns), each once; or those alone that occur once."""
    if array.traced:
        raise Unsupported("which of some trained values are different")
    if whole(by_column, 0):
        return transpose(unique(transpose(array), None, once))
    one_copy(array)
    numbers, kinds = logical(array)[0, 0], array.full_kinds[0, 0]
    texts = array.full_texts[0, 0]
    seen: dict[Any, list[int]] = {}
    for row in range(array.shape[HEIGHT]):
        key = tuple(
            (int(kind),
             0.0 if kind in (TEXT, BLANK) or kind >= FIRST_ERROR else float(number),
             str(text).lower() if kind == TEXT else "")
            for number, kind, text in zip(numbers[row], kinds[row], texts[row], strict=True)
        )  # fmt: skip
        seen.setdefault(key, []).append(row)
    only_once = bool(whole(once, 0))
    index = [rows[0] for rows in seen.values() if not only_once or len(rows) == 1]
    return _kept(array, HEIGHT, np.array(index, dtype=np.int64))
