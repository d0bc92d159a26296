"""Lookups: a place is found by comparison, then values are taken there.

The place is piecewise constant in what is compared (no slope), the values keep theirs.
"""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.formula.ast import Node
from xl2torch.functions.array import (
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    Differs,
    ExcelError,
    Unsupported,
    align,
    all_of,
    all_valid,
    along,
    as_numbers,
    both_valid,
    broadcast_shape,
    choose,
    constant,
    constant_mask,
    elementwise,
    left_empty,
    merge_errors,
    numeric_cells,
    reduce,
    scalar,
    spread,
    truth,
    where_constant,
)  # fmt: skip
from xl2torch.functions.criteria import wildcard
from xl2torch.functions.logical import replaced_errors
from xl2torch.functions.matrix import transpose
from xl2torch.functions.reference import PLACES, Place, place_of, taken_at, whole_numbers
from xl2torch.functions.registry import Context, family, function
from xl2torch.functions.sample import overlaid, plain
from xl2torch.functions.shapes import column, join, pick, renamed, resized, unfolded
from xl2torch.functions.trace import apply
from xl2torch.values import BLANK, FIRST_ERROR, NA, NUMBER, REF, TEXT, VALUE, collated

EXACT, BELOW, ABOVE = 0, -1, 1
WILDCARD = 2
"""XMATCH's modes: equal; equal or next smaller; equal or next larger; equal with wildcards."""
SORTED_UP, SORTED_DOWN = "up", "down"
FIRST, LAST = "first", "last"

# ---------------------------------------------------------------- places among constants

Keys = tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.object_]]


def _keys(array: Array) -> Keys:
    """Kinds, numbers and lower-case texts of a column, per copy."""
    kinds = np.asarray(array.full_kinds)
    texts = np.frompyfunc(lambda text: str(text).lower(), 1, 1)(array.full_texts)
    return kinds, array.numpy(), np.asarray(texts, dtype=object)


def _places(wanted: Keys, among: Keys, mode: int, search: str) -> NDArray[np.int64]:
    """Index of each wanted value in one list, -1 where it is not found."""
    kinds, numbers, texts = (part.reshape(-1) for part in wanted)
    list_kinds, list_numbers, list_texts = (part.reshape(-1) for part in among)
    result = np.full(len(kinds), -1, dtype=np.int64)
    for kind in np.unique(kinds[kinds < FIRST_ERROR]):
        asked = np.flatnonzero(kinds == kind)
        candidates = np.flatnonzero(list_kinds == kind)
        if not len(candidates):
            continue
        if kind == BLANK:
            result[asked] = candidates[0] if search != LAST else candidates[-1]
        elif kind == TEXT:
            result[asked] = _text_places(
                texts[asked], list_texts[candidates], candidates, mode, search
            )
        else:
            found = _sorted_places(numbers[asked], list_numbers[candidates], mode, search)
            result[asked] = np.where(found < 0, -1, candidates[found])
    return result


def _text_places(
    wanted: Any, values: Any, candidates: NDArray[np.int64], mode: int, search: str
) -> NDArray[np.int64]:
    if mode == WILDCARD and any(any(mark in text for mark in "*?~") for text in wanted):
        known: dict[str, int] = {}
        order = candidates if search != LAST else candidates[::-1]
        listed = values if search != LAST else values[::-1]
        for text in set(wanted.tolist()):
            pattern = wildcard(text)
            hits = (i for i, value in enumerate(listed) if pattern.fullmatch(value))
            hit = next(hits, -1)
            known[text] = -1 if hit < 0 else int(order[hit])
        return np.array([known[text] for text in wanted], dtype=np.int64)
    key = np.frompyfunc(collated, 1, 1)
    found = _sorted_places(key(wanted), key(values), mode, search)
    return np.where(found < 0, -1, candidates[found])


def _sorted_places(wanted: Any, values: Any, mode: int, search: str) -> NDArray[np.int64]:
    mode = EXACT if mode == WILDCARD else mode
    if search == SORTED_UP and mode == BELOW:
        return _binary(wanted, values)
    if search == SORTED_DOWN and mode == ABOVE:
        return _run_down(wanted, values)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    if mode == EXACT:
        start = np.searchsorted(ordered, wanted, side="left")
        end = np.searchsorted(ordered, wanted, side="right")
        place = start if search != LAST else end - 1
        return np.where(end > start, order[np.clip(place, 0, len(order) - 1)], -1)
    if mode == BELOW:
        end = np.searchsorted(ordered, wanted, side="right")
        hit = end > 0
        key = ordered[np.clip(end - 1, 0, len(order) - 1)]
    else:
        start = np.searchsorted(ordered, wanted, side="left")
        hit = start < len(order)
        key = ordered[np.clip(start, 0, len(order) - 1)]
    place = np.searchsorted(ordered, key, side="left")
    if search == LAST:
        place = np.searchsorted(ordered, key, side="right") - 1
    return np.where(hit, order[place], -1)


def _binary(wanted: Any, values: Any) -> NDArray[np.int64]:
    """Excel's binary search for the last value that is not larger; it trusts the order."""
    low, high = np.zeros(len(wanted), dtype=np.int64), np.full(len(wanted), len(values))
    while (low < high).any():
        middle = (low + high) // 2
        active = low < high
        fits = active & (values[np.minimum(middle, len(values) - 1)] <= wanted)
        low = np.where(fits, middle + 1, low)
        high = np.where(active & ~fits, middle, high)
    return low - 1


def _run_down(wanted: Any, values: Any) -> NDArray[np.int64]:
    """The last of the values from the start that are not smaller, as MATCH -1 reads on."""
    result = np.full(len(wanted), -1, dtype=np.int64)
    for index, value in enumerate(wanted):
        fails = np.flatnonzero(~(values >= value))
        result[index] = (fails[0] if len(fails) else len(values)) - 1
        equal = np.flatnonzero(values[: result[index] + 1] == value)
        if len(equal):
            result[index] = equal[0]
    return result


def position(wanted: Array, among: Array, mode: int, search: str = FIRST) -> Array:
    """Place 1, 2, … of each wanted value in a column (the height axis); #N/A without one.

    A value that training changes is compared as a number.
    """
    if wanted.traced or among.traced:
        return _trained_position(wanted, among, mode, search)
    shape = (*broadcast_shape(wanted, among)[:2], *wanted.shape[2:])
    wanted_keys, among_keys = _keys(wanted), _keys(among)
    if among.shape[:2] == (1, 1):
        found = _places(wanted_keys, among_keys, mode, search).reshape(wanted.shape)
        found = np.broadcast_to(found, shape)
    else:
        found = np.empty(shape, dtype=np.int64)
        for copy in np.ndindex(*shape[:2]):
            one = [part[_copy(part, copy)] for part in (*wanted_keys, *among_keys)]
            found[copy] = _places(
                (one[0], one[1], one[2]), (one[3], one[4], one[5]), mode, search
            ).reshape(shape[2:])
    kinds = np.where(found < 0, NA.kind, NUMBER).astype(np.uint8)
    asked = np.broadcast_to(wanted.full_kinds, shape)
    kinds = np.where(asked >= FIRST_ERROR, asked, kinds)
    return constant(np.where(kinds != NUMBER, np.nan, found + 1.0), kinds)


def _copy(part: NDArray[Any], copy: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(index if size > 1 else 0 for index, size in zip(copy, part.shape, strict=False))


def _trained_position(wanted: Array, among: Array, mode: int, search: str) -> Array:
    if wanted.shape[2:] != (1, 1):
        if wanted.shape[:2] != (1, 1) or among.shape[:2] != (1, 1):
            raise Differs("an array looked up in copied cells")
        height, width = wanted.shape[2:]
        flat = renamed(column(wanted), HEIGHT, ROW)
        return unfolded(renamed(_trained_position(flat, among, mode, search), ROW, HEIGHT),
                        height, width)  # fmt: skip
    wanted = as_numbers(wanted)
    if wanted.kinds is not None and (wanted.kinds != NUMBER).any():
        raise Unsupported("a text or an error is looked up among trained values")
    counts = np.asarray(numeric_cells(among))
    list_ = plain(among)
    if search == SORTED_DOWN:
        if mode == BELOW:
            raise Unsupported("this way of searching among trained values")
        fits = elementwise(operator.ge, list_, wanted, keep=True)
    elif search == SORTED_UP and mode == BELOW:
        fits = elementwise(operator.le, list_, wanted, keep=True)
    else:
        return _trained_scan(wanted, list_, counts, mode, search)
    number = reduce(torch.sum, where_constant(counts, fits, 0.0), (HEIGHT,))
    found = elementwise(operator.gt, number, scalar(0.0), keep=True)
    if not counts.all():
        raise Unsupported("a sorted list of trained values with other cells in it")
    return replace(number, valid=all_of(number.valid, _as_mask(found)))


def _as_mask(array: Array) -> Array:
    return Array(array.data, array.axes, array.shape)


def _trained_scan(wanted: Array, list_: Array, counts: Any, mode: int, search: str) -> Array:
    """Place of the equal, next smaller or next larger number, in any order."""
    if mode in (EXACT, WILDCARD):
        fits = elementwise(operator.eq, list_, wanted, keep=True)
        score: Array = fits
    elif mode == BELOW:
        fits = elementwise(operator.le, list_, wanted, keep=True)
        score = list_
    else:
        fits = elementwise(operator.ge, list_, wanted, keep=True)
        score = elementwise(operator.neg, list_, keep=True)
    mask = fits if counts.all() else elementwise(
        operator.mul, fits, constant(counts.astype(float)), keep=True
    )  # fmt: skip
    shape = broadcast_shape(mask, score)
    mask, score = spread(mask, shape), spread(score, shape)
    (first, second), axes = align([_truth(mask), score])
    kept = apply(torch.where, first, apply(torch.Tensor.to, second, torch.float64), -torch.inf)
    valid = both_valid(mask, score)
    if HEIGHT not in axes:
        place = apply(torch.zeros_like, kept)
        return _placed(place, Array(kept, axes, shape), valid)
    dim = axes.index(HEIGHT)
    if search == LAST:
        flipped = apply(torch.flip, kept, (dim,))
        index = apply(torch.argmax, flipped, dim=dim)
        place = apply(torch.rsub, index, float(shape[HEIGHT] - 1))
    else:
        place = apply(torch.argmax, kept, dim=dim)
    rest = tuple(axis for axis in axes if axis != HEIGHT)
    best = Array(apply(torch.amax, kept, dim=dim), rest, resized(shape, HEIGHT, 1))
    return _placed(place, best, None if valid is None else _all(valid))


def _all(mask: Array) -> Array:
    result = all_valid(replace(mask, valid=mask), (HEIGHT,))
    assert result is not None
    return result


def _truth(array: Array) -> Array:
    return replace(array, data=apply(torch.ne, array.data, 0.0), valid=None)


def _placed(place: Any, best: Array, valid: Array | None) -> Array:
    number = apply(torch.add, apply(torch.Tensor.to, place, torch.float64), 1.0)
    found = Array(apply(torch.gt, best.data, -torch.inf), best.axes, best.shape)
    return Array(number, best.axes, best.shape, valid=all_of(valid, found))


# ---------------------------------------------------------------- what stands there


def taken(values: Array, axis: int, place: Array) -> Array:
    """Values at places along one axis; where the place is an error, so is the value."""
    if place.traced:
        return taken_at(values, axis, place)
    index = np.nan_to_num(place.numpy(), nan=1.0).astype(np.int64) - 1
    found = replace(pick(values, axis, index), from_cells=True)
    if place.kinds is None:
        return found
    kinds = np.where(place.full_kinds >= FIRST_ERROR, place.full_kinds, found.full_kinds)
    if found.traced:
        return replace(found, kinds=kinds.astype(np.uint8))
    bad = np.broadcast_to(place.full_kinds >= FIRST_ERROR, found.shape)
    return constant(
        np.where(bad, np.nan, found.numpy()), np.asarray(kinds, dtype=np.uint8),
        np.array(found.full_texts),
    )  # fmt: skip


def _list(array: Array) -> Array:
    """A row or column as a column; anything else is #N/A."""
    if array.shape[HEIGHT] != 1 and array.shape[WIDTH] != 1:
        raise ExcelError(NA)
    return column(array)


def _mode(array: Array | None, default: int) -> int:
    if array is None or (array.kinds is not None and (array.kinds == BLANK).all()):
        return default
    number = as_numbers(array)
    if number.traced or (number.full_kinds >= FIRST_ERROR).any():
        raise Unsupported("a way of matching that is not constant")
    values = number.numpy()
    if (values != values.flat[0]).any():
        raise Differs("a way of matching that differs among the copied cells")
    return int(np.trunc(values.flat[0]))


def _blank_as_zero(wanted: Array) -> Array:
    if wanted.kinds is None or not (wanted.kinds == BLANK).any():
        return wanted
    return replace(wanted, kinds=np.where(wanted.kinds == BLANK, NUMBER, wanted.kinds))


@function("MATCH", "vr", "v", gradient="step")
def match(wanted: Array, among: Array, kind: Array | None = None) -> Array:
    """Position in a row or column: 1 the last that is not larger, 0 the first equal, -1 the last
    that is not smaller. Without a match it is #N/A."""
    mode = 1 if kind is None else int(np.sign(_mode(kind, 0)))
    return _matched(_blank_as_zero(wanted), _list(among), mode)


def _matched(wanted: Array, among: Array, mode: int) -> Array:
    if mode > 0:
        return position(wanted, among, BELOW, SORTED_UP)
    if mode < 0:
        return position(wanted, among, ABOVE, SORTED_DOWN)
    return position(wanted, among, WILDCARD)


_SEARCHES = {1: FIRST, -1: LAST, 2: FIRST, -2: FIRST}


def _xmatched(wanted: Array, among: Array, mode: Array | None, search: Array | None) -> Array:
    way, how = _mode(search, 1), _mode(mode, 0)
    if way not in _SEARCHES or how not in (EXACT, BELOW, ABOVE, WILDCARD):
        raise ExcelError(VALUE)
    if abs(way) == 2 and how == WILDCARD:
        raise ExcelError(VALUE)
    return position(wanted, among, how, _SEARCHES[way])


@function("XMATCH", "vr", "vv", gradient="step")
def xmatch(
    wanted: Array, among: Array, mode: Array | None = None, search: Array | None = None
) -> Array:
    """Position in a row or column: equal (0), or the next smaller (-1) or larger (1)."""
    if among.shape[HEIGHT] != 1 and among.shape[WIDTH] != 1:
        raise ExcelError(VALUE)
    return _xmatched(wanted, column(among), mode, search)


def _flag(array: Array | None) -> bool:
    if array is None:
        return True
    flag = truth(array)
    if flag.traced or (flag.full_kinds >= FIRST_ERROR).any():
        raise Unsupported("a way of matching that is not constant")
    values = flag.numpy() != 0
    if (values != values.flat[0]).any():
        raise Differs("a way of matching that differs among the copied cells")
    return bool(values.flat[0])


@family({"VLOOKUP": True, "HLOOKUP": False}, "vrv", "v", gradient="values")
def vlookup(
    down: bool, wanted: Array, table: Array, which: Array, approximate: Array | None = None
) -> Array:
    """The value in a column (row) of the table, beside what is found in its first one."""
    table = table if down else transpose(table)
    keys = along(table, WIDTH, 0, 1, 1)
    place = _matched(_blank_as_zero(wanted), keys, 1 if _flag(approximate) else 0)
    if which.traced:
        raise Unsupported("the column looked up in depends on a trained value")
    if which.shape[2:] != (1, 1):
        height, width = which.shape[2:]
        each = [along(column(which), HEIGHT, index, 1, 1) for index in range(height * width)]
        values = [_in_column(table, one, place) for one in each]
        return unfolded(join(values, HEIGHT), height, width)
    return _in_column(table, which, place)


def _in_column(table: Array, which: Array, place: Array) -> Array:
    """Value at a place in one column of a table, for wanted values of any shape."""
    width = table.shape[WIDTH]
    number = whole_numbers(which)
    if (number < 1).any():
        raise ExcelError(VALUE) if number.size == 1 else Differs("a column below 1 in some copies")
    if (number > width).any():
        raise ExcelError(REF) if number.size == 1 else Differs("a column beyond the table")
    values = pick(table, WIDTH, number - 1)
    shape = place.shape
    return unfolded(taken(values, HEIGHT, column(place)), shape[HEIGHT], shape[WIDTH])


@function("LOOKUP", "va", "a", gradient="values")
def lookup(wanted: Array, among: Array, result: Array | None = None) -> Array:
    """The value beside the last one that is not larger; of a table its last column (row)."""
    if result is None and among.shape[HEIGHT] > 1 and among.shape[WIDTH] > 1:
        table = transpose(among) if among.shape[WIDTH] > among.shape[HEIGHT] else among
        keys = along(table, WIDTH, 0, 1, 1)
        values = along(table, WIDTH, table.shape[WIDTH] - 1, 1, 1)
    else:
        keys = _list(among)
        values = keys if result is None else _list(result)
        if values.shape[HEIGHT] != keys.shape[HEIGHT]:
            raise ExcelError(NA)
    place = position(_blank_as_zero(wanted), keys, BELOW, SORTED_UP)
    shape = place.shape
    return unfolded(taken(values, HEIGHT, column(place)), shape[HEIGHT], shape[WIDTH])


@function("XLOOKUP", "vrr", "rvv", gradient="values")
def xlookup(
    wanted: Array, among: Array, result: Array, missing: Array | None = None,
    mode: Array | None = None, search: Array | None = None,
) -> Array:  # fmt: skip
    """The value, row or column beside what is found, or a value for what is not."""
    if among.shape[HEIGHT] != 1 and among.shape[WIDTH] != 1:
        raise ExcelError(VALUE)
    down = among.shape[WIDTH] == 1 and not (
        among.shape[HEIGHT] == 1 and result.shape[WIDTH] == 1 < result.shape[HEIGHT]
    )
    axis = HEIGHT if down else WIDTH
    if among.shape[axis] != result.shape[axis]:
        raise ExcelError(VALUE)
    place = _xmatched(wanted, column(among), mode, search)
    several = place.shape[2:] != (1, 1)
    other = WIDTH if down else HEIGHT
    if several:
        if result.shape[other] > 1:
            # Of several values only the first of each row is shown.
            result = along(result, other, 0, 1, 1)
        shape = place.shape
        found = taken(column(result), HEIGHT, column(place))
        found = unfolded(found, shape[HEIGHT], shape[WIDTH])
    else:
        found = taken(result, axis, place)
    if missing is None or left_empty(missing):
        return found
    if place.traced:
        assert place.valid is not None
        always = constant_mask(np.ones((1, 1, 1, 1), dtype=bool))
        return choose(place.valid, replace(found, valid=found.valid and always), missing)
    return replaced_errors(found, missing, (NA.kind,), where=place)


def _xlookup_place(
    context: Context, wanted: Node, among: Node, result: Node, missing: Node | None = None,
    mode: Node | None = None, search: Node | None = None,
) -> Place:  # fmt: skip
    """The cells that XLOOKUP finds, as a reference: ``XLOOKUP(…):XLOOKUP(…)``."""
    whole = place_of(context, result, "XLOOKUP")
    keys = context.evaluate_range(among)
    options = [None if node is None else context.evaluate(node) for node in (mode, search)]
    found = _xmatched(context.evaluate(wanted), column(keys), *options)
    if found.traced or found.kinds is not None or found.shape[2:] != (1, 1):
        raise Unsupported("a reference to what a trained or failed XLOOKUP finds")
    index = found.numpy().astype(np.int64) - 1
    if keys.shape[WIDTH] == 1:
        return Place(whole.sheet, whole.top + index, whole.left, 1, whole.width)
    return Place(whole.sheet, whole.top, whole.left + index, whole.height, 1)


PLACES["XLOOKUP"] = _xlookup_place


@function("CHOOSE", "nn", repeats=True, gradient="values")
def choose_(context: Context, which: Any, *choices: Any) -> Array:
    """One of several values by its number; a choice that no cell takes is not computed."""
    number = as_numbers(context.evaluate(which))
    if number.traced:
        return _trained_choice(context, number, choices)
    errors = number.full_kinds >= FIRST_ERROR
    places = np.trunc(np.where(errors, 1.0, number.numpy())).astype(np.int64)
    if (places < 1).any() or (places > len(choices)).any():
        if number.shape == (1, 1, 1, 1):
            raise ExcelError(VALUE)
        raise Differs("CHOOSE beyond its values in some of the copied cells")
    result: Array | None = None
    for place in np.unique(places):
        value = context.evaluate_branch(choices[place - 1])
        here = constant((places == place).astype(float))
        result = value if result is None else choose(here, value, result)
    assert result is not None
    return overlaid(result, merge_errors(number))


def _trained_choice(context: Context, number: Array, choices: tuple[Any, ...]) -> Array:
    """Piecewise constant in the number, exact in the values."""
    whole = elementwise(torch.trunc, number, keep=True)
    result = context.evaluate_branch(choices[-1])
    for place in range(len(choices) - 1, 0, -1):
        here = elementwise(operator.eq, whole, scalar(float(place)), keep=True)
        result = choose(here, context.evaluate_branch(choices[place - 1]), result)
    low = elementwise(operator.ge, whole, scalar(1.0), keep=True)
    high = elementwise(operator.le, whole, scalar(float(len(choices))), keep=True)
    mask = all_of(result.valid, _as_mask(low), _as_mask(high))
    return replace(result, valid=mask)
