"""Statistics that depend on the order of the numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from xl2torch.arrays.array import (
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    ExcelError,
    NotVectorisable,
    Unsupported,
    all_of,
    as_float,
    as_numbers,
    broadcast_shape,
    constant,
    elementwise,
    reduce,
    refuse_errors,
    scalar,
    where_constant,
)  # fmt: skip
from xl2torch.arrays.operators import divide, error_where
from xl2torch.arrays.sample import Sample, ordered, overlaid, plain, sample
from xl2torch.arrays.sample import total as column_total
from xl2torch.arrays.shapes import column, pick, renamed, unfolded
from xl2torch.cells.values import NA, NUM, error_of_kind
from xl2torch.excel.registry import family, function, same_as

_MOST_PLACES = 17
"""More digits than a float has."""

# ---------------------------------------------------------------- the k-th number


def _known(array: Array, what: str) -> Array:
    array = as_numbers(array)
    if array.traced:
        raise Unsupported(f"{what} depends on a trained value")
    return array


def at_rank(numbers: Sample, rank: np.ndarray) -> Array:
    """The number of rank 0, 1, … in ascending order; ranks have shape (R|1, C|1, m, 1)."""
    return pick(ordered(numbers), HEIGHT, np.nan_to_num(rank).astype(np.int64))


def interpolated(numbers: Sample, rank: np.ndarray) -> Array:
    """Linear interpolation between the two neighbours of a fractional rank."""
    rank = np.nan_to_num(rank)
    below = np.floor(rank)
    above = np.minimum(below + 1, np.maximum(numbers.size - 1, 0))
    low = at_rank(numbers, below)
    if (rank == below).all():
        return low
    difference = elementwise(operator.sub, at_rank(numbers, above), low, keep=True)
    share = elementwise(operator.mul, difference, constant(rank - below), keep=True)
    return elementwise(operator.add, low, share, keep=True)


def _chosen(
    array: Array, which: Array, rank_of: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Array:
    """Numbers at the ranks that an argument asks for; a rank of NaN is #NUM!."""
    numbers = sample(array)
    which = _known(which, "the rank")
    wanted = column(which)
    with np.errstate(invalid="ignore", divide="ignore"):
        rank = rank_of(wanted.numpy(), numbers.size)
    rank = np.where((rank < 0) | (rank > numbers.size - 1), np.nan, rank)
    result = overlaid(interpolated(numbers, rank), wanted.kinds)
    missing = np.isnan(rank)
    if missing.any():
        kinds = np.where(missing & (result.full_kinds == 0), NUM.kind, result.full_kinds)
        result = replace(result, kinds=kinds.astype(np.uint8))
        if not result.traced:
            result = error_where(constant(np.nan_to_num(result.numpy())), missing, NUM.kind)
            result = overlaid(result, wanted.kinds)
    result = overlaid(result, numbers.errors)
    return unfolded(result, which.shape[HEIGHT], which.shape[WIDTH])


@family(
    {
        "SMALL": lambda k, n: np.where(k < 1, np.nan, np.ceil(k) - 1),
        "LARGE": lambda k, n: np.where(k < 1, np.nan, n - np.ceil(k)),
        "PERCENTILE.INC": lambda p, n: np.where((p < 0) | (p > 1), np.nan, p * (n - 1)),
        "PERCENTILE.EXC": lambda p, n: np.where((p <= 0) | (p >= 1), np.nan, p * (n + 1) - 1),
        "QUARTILE.INC": lambda q, n: np.where(
            (q < 0) | (q >= 5), np.nan, np.floor(q) / 4 * (n - 1)
        ),
        "QUARTILE.EXC": lambda q, n: np.where(
            (q < 1) | (q >= 4), np.nan, np.floor(q) / 4 * (n + 1) - 1
        ),
    },
    "rv",
    grows=True,
)
def kth(rank_of: Callable[[np.ndarray, np.ndarray], np.ndarray], array: Array, k: Array) -> Array:
    """A number by its rank or share; the rank has to be constant. Outside it is #NUM!."""
    return _chosen(array, k, rank_of)


@function("MEDIAN", "r", repeats=True, grows=True)
def median(*arrays: Array) -> Array:
    """Middle number, or the mean of the two in the middle; of none it is #NUM!."""
    numbers = sample(*arrays)
    result = interpolated(numbers, (numbers.size - 1) / 2)
    return overlaid(_empty(result, numbers), numbers.errors)


def _empty(result: Array, numbers: Sample) -> Array:
    if numbers.size.all():
        return result
    return error_where(constant(np.nan_to_num(result.numpy())), numbers.size == 0, NUM.kind)


@function("TRIMMEAN", "rv", grows=True, singly=True)
def trimmean(array: Array, share: Array) -> Array:
    """Mean without a share of the numbers at both ends; the share has to be constant."""
    numbers = sample(array)
    share = _known(share, "the share cut off")
    if share.kinds is not None:
        raise ExcelError(error_of_kind(int(share.full_kinds.max())))
    cut = share.numpy()
    if (cut < 0).any() or (cut >= 1).any():
        raise ExcelError(NUM)
    ends = np.floor(numbers.size * cut / 2 + 1e-12)
    place = np.arange(numbers.values.shape[HEIGHT]).reshape(1, 1, -1, 1)
    kept = (place >= ends) & (place < numbers.size - ends)
    middle = where_constant(kept, ordered(numbers), 0.0)
    result = divide(column_total(middle), constant(numbers.size - 2 * ends))
    return overlaid(_empty(result, numbers), numbers.errors)


@function("MODE.SNGL", "r", repeats=True, gradient="none")
def mode(*arrays: Array) -> Array:
    """Most frequent number, of several the first; without a repetition it is #N/A."""
    numbers = sample(*arrays)
    if numbers.values.shape[:2] != (1, 1):
        raise NotVectorisable("the most frequent number of ranges that differ among the copies")
    if numbers.errors is not None:
        return overlaid(constant(np.zeros((1, 1, 1, 1))), numbers.errors)
    flat = numbers.values.numpy().reshape(-1)[numbers.counted.reshape(-1)]
    found, first, counts = np.unique(flat, return_index=True, return_counts=True)
    if not len(found) or counts.max() < 2:
        raise ExcelError(NA)
    best = min(first[counts == counts.max()])
    return constant(np.full((1, 1, 1, 1), flat[best]))


# ---------------------------------------------------------------- ranks and shares


def _ahead(x: Array, numbers: Sample, rule: Callable[..., torch.Tensor]) -> Array:
    """How many numbers of each copy's column stand in a relation to x."""
    compared = elementwise(rule, plain(numbers.values), x, keep=True)
    counted = where_constant(numbers.counted, as_float(compared), 0.0)
    return reduce(torch.sum, counted, (HEIGHT,))


def _rank(average: float, x: Array, ref: Array, order: Array | None) -> Array:
    x = as_numbers(x)
    if x.shape[HEIGHT] * x.shape[WIDTH] > 1:
        wide = x.shape
        x = column(x)
        return unfolded(_rank_of_column(average, x, ref, order), wide[HEIGHT], wide[WIDTH])
    return _rank_of_one(average, x, ref, order)


def _rank_of_column(average: float, x: Array, ref: Array, order: Array | None) -> Array:
    if x.shape[:2] != (1, 1):
        raise NotVectorisable("ranks of an array in copied cells")
    return renamed(_rank_of_one(average, renamed(x, HEIGHT, ROW), ref, order), ROW, HEIGHT)


def _rank_of_one(average: float, x: Array, ref: Array, order: Array | None) -> Array:
    numbers = sample(ref)
    ways = np.zeros(1) if order is None else _known(order, "the order").numpy() != 0
    if (ways != ways.flat[0]).any():
        raise NotVectorisable("an order that differs among the copied cells")
    up = bool(ways.flat[0])
    ahead = _ahead(plain(x), numbers, operator.lt if up else operator.gt)
    equal = _ahead(plain(x), numbers, operator.eq)
    ties = elementwise(operator.sub, equal, constant(np.ones((1, 1, 1, 1))), keep=True)
    shift = elementwise(operator.mul, ties, constant(np.full((1, 1, 1, 1), average)), keep=True)
    rank = elementwise(operator.add, ahead, shift, keep=True)
    rank = elementwise(operator.add, rank, constant(np.ones((1, 1, 1, 1))), keep=True)
    if equal.traced:
        among = elementwise(operator.gt, equal, scalar(0.0), keep=True)
        mask = Array(among.data, among.axes, among.shape)
        rank = replace(rank, valid=all_of(rank.valid, mask))
    else:
        rank = error_where(rank, equal.numpy() == 0, NA.kind)
    return overlaid(overlaid(rank, x.kinds), numbers.errors)


@family({"RANK.EQ": 0.0, "RANK.AVG": 0.5}, "vr", "v", gradient="step", grows=True)
def rank(average: float, x: Array, ref: Array, order: Array | None = None) -> Array:
    """Rank among numbers, the largest first unless the order is not 0; not among them is #N/A."""
    refuse_errors(order)
    return _rank(average, x, ref, order)


@family({"PERCENTRANK.INC": 1, "PERCENTRANK.EXC": 0}, "rv", "v", gradient="none")
def percentrank(inclusive: int, array: Array, x: Array, digits: Array | None = None) -> Array:
    """Rank as a share, cut to three digits unless given; outside the numbers it is #N/A."""
    refuse_errors(digits)
    numbers, x = sample(array), as_numbers(x)
    if numbers.values.shape[:2] != (1, 1):
        raise NotVectorisable("ranks in ranges that differ among the copies")
    if numbers.errors is not None:
        return overlaid(constant(np.zeros((1, 1, 1, 1))), numbers.errors)
    flat = np.sort(numbers.values.numpy().reshape(-1)[numbers.counted.reshape(-1)])
    if not len(flat):
        raise ExcelError(NUM)
    places = 3.0 if digits is None else np.floor(_known(digits, "the digits").numpy())
    if (np.asarray(places) < 1).any():
        raise ExcelError(NUM)
    size = len(flat)
    ranks = np.arange(size) / max(size - 1, 1) if inclusive else (np.arange(size) + 1) / (size + 1)
    firsts = np.searchsorted(flat, flat, side="left")
    share = np.interp(x.numpy(), flat, ranks[firsts])
    scale = 10.0 ** np.minimum(places, _MOST_PLACES)
    share = np.floor(share * scale + 1e-9) / scale
    outside = (x.numpy() < flat[0]) | (x.numpy() > flat[-1])
    return overlaid(error_where(constant(np.asarray(share)), outside, NA.kind), x.kinds)


@function("FREQUENCY", "aa", gradient="none")
def frequency(data: Array, bins: Array) -> Array:
    """How many numbers lie in each interval up to a limit, and above the last one."""
    numbers, limits = sample(data), sample(bins)
    if broadcast_shape(numbers.values, limits.values)[:2] != (1, 1):
        raise NotVectorisable("intervals that differ among the copied cells")
    for one in (numbers, limits):
        if one.errors is not None:
            return overlaid(constant(np.zeros((1, 1, 1, 1))), one.errors)
    flat = numbers.values.numpy().reshape(-1)[numbers.counted.reshape(-1)]
    edges = limits.values.numpy().reshape(-1)[limits.counted.reshape(-1)]
    order = np.argsort(edges, kind="stable")
    interval = np.searchsorted(edges[order], flat, side="left")
    counts = np.zeros(len(edges) + 1)
    places = np.append(order, len(edges))
    np.add.at(counts, places[interval], 1)
    return constant(counts.reshape(1, 1, -1, 1))


same_as(
    {
        "PERCENTILE": "PERCENTILE.INC", "QUARTILE": "QUARTILE.INC", "RANK": "RANK.EQ",
        "PERCENTRANK": "PERCENTRANK.INC", "MODE": "MODE.SNGL",
    }
)  # fmt: skip
