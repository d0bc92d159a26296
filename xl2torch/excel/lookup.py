"""Lookups: a place is found by comparison, then values are taken there.

The place is piecewise constant in what is compared (no slope), the values keep theirs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.arrays.array import (
    COLUMN,
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    ExcelError,
    NotVectorisable,
    Unsupported,
    align,
    all_of,
    along,
    as_float,
    as_numbers,
    broadcast_shape,
    choose,
    constant,
    constant_mask,
    elementwise,
    laid_out,
    left_empty,
    logical,
    merge_errors,
    reduce,
    scalar,
    spread,
    to_int64,
    truth,
    without_numbers,
)  # fmt: skip
from xl2torch.arrays.sample import overlaid, plain
from xl2torch.arrays.shapes import column, join, pick, renamed, resized, unfolded
from xl2torch.cells.values import (
    BLANK,
    FIRST_ERROR,
    LOGICAL,
    NA,
    NUMBER,
    REF,
    TEXT,
    VALUE,
    collated,
    error_of_kind,
)  # fmt: skip
from xl2torch.excel.criteria import wildcard
from xl2torch.excel.logical import replaced_errors
from xl2torch.excel.matrix import transpose
from xl2torch.excel.reference import PLACES, Place, place_of, taken_at, whole_numbers
from xl2torch.excel.registry import Context, family, function
from xl2torch.formula.ast import Node
from xl2torch.ir.ops import Bend, Group, recorded
from xl2torch.ir.trace import apply

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
            hits = (i for i, value in enumerate(listed) if pattern.fits(value))
            hit = next(hits, -1)
            known[text] = -1 if hit < 0 else int(order[hit])
        return np.array([known[text] for text in wanted], dtype=np.int64)
    keys = [[collated(text) for text in texts.tolist()] for texts in (wanted, values)]
    rank = {key: place for place, key in enumerate(sorted({*keys[0], *keys[1]}))}
    ranks = [np.array([rank[key] for key in part], dtype=np.float64) for part in keys]
    found = _sorted_places(ranks[0], ranks[1], mode, search)
    return np.where(found < 0, -1, candidates[found])


def _sorted_places(
    wanted: NDArray[Any], values: NDArray[Any], mode: int, search: str
) -> NDArray[np.int64]:
    mode = EXACT if mode == WILDCARD else mode
    if search in _TRUSTING and mode == _TRUSTING[search][0]:
        keys, places = torch.from_numpy(wanted)[:, None], _TRUSTING[search][1]
        return np.asarray(places(keys, torch.from_numpy(values)).numpy().astype(np.int64) - 1)
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


@recorded(Group.OTHER, bend=Bend.STEP)
def place_by_halves(
    wanted: torch.Tensor, values: torch.Tensor, counted: torch.Tensor | None = None
) -> torch.Tensor:
    """Place of the last value that is not larger, 0 for none, as Excel's binary search finds it.

    It trusts the order: it halves the list until it meets the wanted value, then goes on to the
    last of its equal neighbours. ``wanted`` has shape (…, 1), ``values`` (…, n); those that are not
    ``counted`` are passed over.
    """
    wanted, values, order, size = _candidates(wanted, values, counted)
    low, high = torch.zeros_like(size), size - 1
    for _ in range(values.shape[-1].bit_length()):
        middle = ((low + high) // 2).clamp_min(0)
        value = values.gather(-1, middle)
        going = low <= high
        low = torch.where(going & (value < wanted), middle + 1, low)
        high = torch.where(going & (value > wanted), middle - 1, high)
        met = going & (value == wanted)
        low, high = torch.where(met, middle, low), torch.where(met, middle, high)
    last = high.clamp_min(0)
    ends = _ends_of_runs(values, size)
    met = values.gather(-1, last) == wanted
    last = torch.where(met, ends.gather(-1, last), last)
    return torch.where(high < 0, 0, order.gather(-1, last) + 1)[..., 0].to(torch.float64)


@recorded(Group.OTHER, bend=Bend.STEP)
def place_running_down(
    wanted: torch.Tensor, values: torch.Tensor, counted: torch.Tensor | None = None
) -> torch.Tensor:
    """Place of the last of the values from the start that are not smaller, 0 for none.

    Of equal ones it is the first, as MATCH with -1 reads a list. Shapes as in place_by_halves.
    """
    wanted, values, order, size = _candidates(wanted, values, counted)
    inside = torch.arange(values.shape[-1]) < size
    count = ((values >= wanted) & inside).to(torch.int64).cumprod(-1).sum(-1, keepdim=True)
    equal = (values == wanted) & (torch.arange(values.shape[-1]) < count)
    first = equal.to(torch.int64).argmax(-1, keepdim=True)
    last = torch.where(equal.any(-1, keepdim=True), first, (count - 1).clamp_min(0))
    return torch.where(count > 0, order.gather(-1, last) + 1, 0)[..., 0].to(torch.float64)


def _candidates(
    wanted: torch.Tensor, values: torch.Tensor, counted: torch.Tensor | None
) -> tuple[torch.Tensor, ...]:
    """Wanted values, lists with what counts in front, where that stood, and how many count."""
    if counted is None:
        counted = torch.ones_like(values, dtype=torch.bool)
    whole = torch.zeros_like(wanted).add(values).add(counted)
    counted = counted.expand_as(whole)
    order = torch.sort((~counted).to(torch.int64), dim=-1, stable=True).indices
    values = values.expand_as(whole).gather(-1, order)
    return wanted.expand_as(whole[..., :1]), values, order, counted.sum(-1, keepdim=True)


def _ends_of_runs(values: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """For each element the place of the last of its equal neighbours."""
    places = torch.arange(values.shape[-1]).expand(values.shape)
    last = torch.ones_like(values, dtype=torch.bool)
    last[..., :-1] = values[..., :-1] != values[..., 1:]
    last |= places == size - 1
    ends = torch.where(last, places, values.shape[-1])
    return ends.flip(-1).cummin(-1).values.flip(-1)


_TRUSTING: dict[str, tuple[int, Callable[..., torch.Tensor]]] = {
    SORTED_UP: (BELOW, place_by_halves), SORTED_DOWN: (ABOVE, place_running_down),
}  # fmt: skip
"""The searches that trust a list to be sorted, with the mode that they serve."""


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
            raise NotVectorisable("an array looked up in copied cells")
        height, width = wanted.shape[2:]
        flat = renamed(column(wanted), HEIGHT, ROW)
        found = _trained_position(flat, among, mode, search)
        if found.shape != flat.shape:  # one error for all
            found = choose(constant(np.ones(flat.shape)), found, found)
        return unfolded(renamed(found, ROW, HEIGHT), height, width)
    asked, result = wanted.full_kinds, None
    for kind in np.unique(asked).tolist():
        part = _trained_place(kind, wanted, among, mode, search)
        here = constant((asked == kind).astype(float))
        result = part if result is None else choose(here, part, result)
    assert result is not None
    return result


def _trained_place(kind: int, wanted: Array, among: Array, mode: int, search: str) -> Array:
    """Place of the wanted values of one kind: a text never meets a number, nor TRUE a 1."""
    if kind >= FIRST_ERROR:
        return scalar(error_of_kind(kind))
    if kind not in (NUMBER, LOGICAL):
        return position(without_numbers(wanted), without_numbers(among), mode, search)
    counts = np.asarray(among.full_kinds == kind)
    wanted, list_ = plain(wanted), plain(among)
    if not counts.any():
        return scalar(NA)
    trusting = _TRUSTING.get(search)
    if trusting is None or trusting[0] != mode:
        return _trained_scan(wanted, list_, counts, mode, search)
    if search == SORTED_UP and counts.all() and _is_sorted(list_):
        fits = elementwise(operator.le, list_, wanted, keep=True)
        place = reduce(torch.sum, as_float(fits), (HEIGHT,))
    else:
        place = _searched(trusting[1], wanted, list_, counts)
    found = elementwise(operator.gt, place, scalar(0.0), keep=True)
    safe = apply(torch.clamp, place.data, min=1.0)  # a place of 0 would be the whole column
    return replace(place, data=safe, valid=all_of(wanted.valid, _missing_where_not(found)))


def _is_sorted(list_: Array) -> bool:
    """Whether a list is constant and in ascending order."""
    if list_.traced or list_.valid is not None:
        return False
    return bool((np.diff(logical(list_), axis=HEIGHT) >= 0).all())


def _searched(
    places: Callable[..., torch.Tensor], wanted: Array, list_: Array, counts: Any
) -> Array:
    """A search that trusts the order, with the list on the last dim; errors are passed over."""
    counted = all_of(constant_mask(counts), list_.valid)
    assert counted is not None
    operands = (wanted, list_, counted)
    rest = tuple(axis for axis in (ROW, COLUMN) if any(axis in item.axes for item in operands))
    data = apply(places, *(laid_out(item, (*rest, HEIGHT)) for item in operands))
    return Array(data, rest, resized(broadcast_shape(*operands), HEIGHT, 1))


def _as_mask(array: Array) -> Array:
    return Array(array.data, array.axes, array.shape)


def _missing_where_not(found: Array) -> Array:
    """A mask that says where a search found something; elsewhere it is #N/A."""
    return replace(_as_mask(found), missing=True)


def _trained_scan(wanted: Array, list_: Array, counts: Any, mode: int, search: str) -> Array:
    """Place of the equal, next smaller or next larger number, in any order; errors do not fit."""
    if mode in (EXACT, WILDCARD):
        fits = elementwise(operator.eq, list_, wanted, keep=True)
        score: Array = fits
    elif mode == BELOW:
        fits = elementwise(operator.le, list_, wanted, keep=True)
        score = list_
    else:
        fits = elementwise(operator.ge, list_, wanted, keep=True)
        score = elementwise(operator.neg, list_, keep=True)
    counted = None if counts.all() else constant_mask(counts)
    mask = all_of(_as_mask(fits), counted, list_.valid)
    assert mask is not None
    shape = broadcast_shape(mask, score)
    mask, score = spread(mask, shape), spread(replace(score, valid=None), shape)
    (first, second), axes = align([mask, score])
    kept = apply(torch.where, first, apply(torch.Tensor.to, second, torch.float64), -torch.inf)
    if HEIGHT not in axes:
        place = apply(torch.zeros_like, kept)
        return _placed(place, Array(kept, axes, shape), wanted.valid)
    dim = axes.index(HEIGHT)
    if search == LAST:
        flipped = apply(torch.flip, kept, (dim,))
        index = apply(torch.argmax, flipped, dim=dim)
        place = apply(torch.rsub, index, float(shape[HEIGHT] - 1))
    else:
        place = apply(torch.argmax, kept, dim=dim)
    rest = tuple(axis for axis in axes if axis != HEIGHT)
    best = Array(apply(torch.amax, kept, dim=dim), rest, resized(shape, HEIGHT, 1))
    return _placed(place, best, wanted.valid)


def _placed(place: Any, best: Array, valid: Array | None) -> Array:
    number = apply(torch.add, apply(torch.Tensor.to, place, torch.float64), 1.0)
    found = Array(apply(torch.gt, best.data, -torch.inf), best.axes, best.shape)
    mask = all_of(valid, _missing_where_not(found))
    return Array(number, best.axes, best.shape, valid=mask)


# ---------------------------------------------------------------- what stands there


def taken(values: Array, axis: int, place: Array) -> Array:
    """Values at places along one axis; where the place is an error, so is the value."""
    if place.traced:
        return overlaid(taken_at(values, axis, place), merge_errors(place))
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
        raise NotVectorisable("a way of matching that differs among the copied cells")
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
        raise NotVectorisable("a way of matching that differs among the copied cells")
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
        raise (
            ExcelError(VALUE)
            if number.size == 1
            else NotVectorisable("a column below 1 in some copies")
        )
    if (number > width).any():
        raise ExcelError(REF) if number.size == 1 else NotVectorisable("a column beyond the table")
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
        errors = merge_errors(place)
        known = None if errors is None else constant_mask(errors == NUMBER)
        there = all_of(place.valid, known)
        assert there is not None
        safe = replace(found, kinds=None, valid=all_of(found.valid, there))
        result = choose(there, safe, missing)
        others = None if errors is None else np.where(errors == NA.kind, NUMBER, errors)
        return overlaid(replace(result, valid=all_of(result.valid, wanted.valid)), others)
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
    places = to_int64(np.trunc(np.where(errors, 1.0, number.numpy())))
    if (places < 1).any() or (places > len(choices)).any():
        if number.shape == (1, 1, 1, 1):
            raise ExcelError(VALUE)
        raise NotVectorisable("CHOOSE beyond its values in some of the copied cells")
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
