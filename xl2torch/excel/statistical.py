"""Statistics: counts, averages, spread and shape of samples."""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from xl2torch.arrays.array import (
    INNER,
    Array,
    as_float,
    as_numbers,
    as_references,
    constant,
    elementwise,
    is_typed,
    numeric_cells,
    reduce,
    reduce_errors,
    scalar,
    where_constant,
)  # fmt: skip
from xl2torch.arrays.operators import divide, error_where, on_domain
from xl2torch.arrays.sample import (
    Sample,
    deviations,
    mean,
    overlaid,
    pairs,
    plain,
    product_sum,
    sample,
)  # fmt: skip
from xl2torch.arrays.sample import total as column_total
from xl2torch.cells.values import BLANK, DIV0, NUM, NUMBER, TEXT, ErrorValue
from xl2torch.excel.mathematical import square, square_root, total
from xl2torch.excel.registry import family, function, same_as
from xl2torch.ir.ops import recorded

# ---------------------------------------------------------------- counts and averages


def how_many(arrays: tuple[Array, ...]) -> Array:
    """How many numbers SUM would add: known at compile time, per cell of the region."""
    count = np.zeros((1, 1, 1, 1))
    for array in map(as_references, arrays):
        mask = numeric_cells(as_numbers(array) if is_typed(array) else array)
        full = np.broadcast_to(mask, (*mask.shape[:2], *array.shape[2:]))
        count = count + full.sum(axis=INNER, keepdims=True)
    return constant(count)


@function("COUNT", "r", repeats=True, gradient="step", grows=True)
def count(*arrays: Array) -> Array:
    """How many numbers there are; errors are none."""
    if not any(array.valid is not None for array in arrays):
        return how_many(arrays)
    parts = [_valid_numbers(array) for array in arrays]
    return total(tuple(replace(part, from_cells=True) for part in parts))


def _valid_numbers(array: Array) -> Array:
    """1 for each number that is no error, 0 elsewhere."""
    numeric = np.broadcast_to(numeric_cells(array), array.shape).astype(float)
    if array.valid is None:
        return constant(numeric)
    return elementwise(operator.mul, as_float(array.valid), constant(numeric), keep=True)


@function("COUNTA", "r", repeats=True, gradient="step", grows=True)
def counta(*arrays: Array) -> Array:
    """How many cells are not blank."""
    total_count = np.zeros((1, 1, 1, 1))
    for array in map(as_references, arrays):
        kinds = np.asarray(array.full_kinds)
        filled = (kinds != BLANK) | is_typed(array)
        total_count = total_count + filled.sum(axis=INNER, keepdims=True)
    return constant(total_count)


@function("COUNTBLANK", "r", gradient="step")
def countblank(array: Array) -> Array:
    """How many cells are blank or hold an empty text."""
    kinds = np.asarray(array.full_kinds)
    empty = (kinds == BLANK) | ((kinds == TEXT) & (array.full_texts == ""))
    return constant(empty.sum(axis=INNER, keepdims=True).astype(float))


@function("AVERAGE", "r", repeats=True, grows=True)
def average(*arrays: Array) -> Array:
    """Mean of all numbers; #DIV/0! when there is none."""
    if len(arrays) == 1 and arrays[0].kinds is None:
        dense = arrays[0]
        if all(axis in dense.axes for axis in INNER if dense.shape[axis] > 1) and dense.axes:
            return reduce(torch.mean, dense, INNER)
    return divide(total(arrays), how_many(arrays))


@function("AVERAGEA", "r", repeats=True, grows=True)
def averagea(*arrays: Array) -> Array:
    """Mean in which a text counts as 0 and a logical as 1 or 0."""
    numbers = sample(*arrays, every_kind=True)
    return overlaid(mean(numbers), numbers.errors)


# ---------------------------------------------------------------- spread


def sum_of_squares(numbers: Sample) -> Array:
    """Sum of the squared deviations from the mean."""
    return column_total(square(deviations(numbers)))


def variance(numbers: Sample, less: int) -> Array:
    """Squared deviations over n - less; without enough numbers it is #DIV/0!."""
    degrees = constant(np.maximum(numbers.size - less, 0.0))
    return divide(sum_of_squares(numbers), degrees)


def where_empty(result: Array, numbers: Sample, error: ErrorValue) -> Array:
    """A result that is an error in the copies that have no number at all."""
    if numbers.size.all():
        return result
    empty = np.broadcast_to(numbers.size == 0, result.shape)
    kinds = np.where(empty, np.uint8(NUMBER), result.full_kinds)
    return error_where(constant(np.nan_to_num(result.numpy()), kinds), empty, error.kind)


_DIVISORS = {"VAR.S": (1, False), "VAR.P": (0, False), "VARA": (1, True), "VARPA": (0, True)}
_DEVIATIONS = {
    "STDEV.S": (1, False), "STDEV.P": (0, False), "STDEVA": (1, True), "STDEVPA": (0, True),
}  # fmt: skip


@family(_DIVISORS, "r", repeats=True, grows=True)
def var(rule: tuple[int, bool], *arrays: Array) -> Array:
    """Variance: of a sample (S) or a population (P); the A forms count text and logicals."""
    less, every_kind = rule
    numbers = sample(*arrays, every_kind=every_kind)
    return overlaid(variance(numbers, less), numbers.errors)


@family(_DEVIATIONS, "r", repeats=True, grows=True)
def stdev(rule: tuple[int, bool], *arrays: Array) -> Array:
    """Standard deviation: the root of the variance of the same form."""
    less, every_kind = rule
    numbers = sample(*arrays, every_kind=every_kind)
    return overlaid(square_root(variance(numbers, less)), numbers.errors)


@function("DEVSQ", "r", repeats=True, grows=True)
def devsq(*arrays: Array) -> Array:
    """Sum of the squared deviations from the mean."""
    numbers = sample(*arrays)
    return overlaid(where_empty(sum_of_squares(numbers), numbers, NUM), numbers.errors)


@function("AVEDEV", "r", repeats=True, grows=True)
def avedev(*arrays: Array) -> Array:
    """Mean absolute deviation from the mean."""
    numbers = sample(*arrays)
    distances = elementwise(torch.abs, deviations(numbers), keep=True)
    result = divide(column_total(distances), constant(numbers.size))
    return overlaid(where_empty(result, numbers, NUM), numbers.errors)


def _positive(numbers: Sample) -> Array:
    """Values with 1 where they do not count."""
    return numbers.filled_with(1.0)


@function("GEOMEAN", "r", repeats=True, grows=True)
def geomean(*arrays: Array) -> Array:
    """Geometric mean; a number that is not positive makes it #NUM!."""
    numbers = sample(*arrays)
    logarithms = on_domain(torch.log, _positive(numbers), domain=((0, operator.gt, 0.0),))
    middle = divide(_summed(logarithms), constant(numbers.size))
    result = elementwise(torch.exp, middle)
    return overlaid(where_empty(result, numbers, NUM), numbers.errors)


@function("HARMEAN", "r", repeats=True, grows=True)
def harmean(*arrays: Array) -> Array:
    """Harmonic mean; a number that is not positive makes it #NUM!."""
    numbers = sample(*arrays)
    inverses = on_domain(torch.reciprocal, _positive(numbers), domain=((0, operator.gt, 0.0),))
    shares = where_constant(numbers.counted, inverses, 0.0)
    shares = shares if inverses.kinds is None else overlaid(shares, inverses.kinds)
    result = divide(constant(numbers.size), _summed(shares))
    return overlaid(where_empty(result, numbers, NUM), numbers.errors)


def _summed(array: Array) -> Array:
    """Sum of each copy's column; an error in it makes the sum that error."""
    return overlaid(column_total(plain(array)), reduce_errors([array]))


def _moment(numbers: Sample, order: int, less: int, least: int) -> Array:
    """Sum of the powers of the deviations in standard deviations.

    Without spread, or with fewer than ``least`` numbers, it is #DIV/0!.
    """
    ratios = divide(deviations(numbers), square_root(variance(numbers, less)))
    powers = elementwise(operator.pow, ratios, scalar(float(order)), keep=True)
    result = _summed(overlaid(where_constant(numbers.counted, plain(powers), 0.0), powers.kinds))
    few = numbers.size < least
    if few.any():
        kinds = np.where(few, DIV0.kind, result.full_kinds).astype(np.uint8)
        result = replace(result, kinds=kinds)
    return result


def _scaled(array: Array, factor: Any, shift: Any = 0.0) -> Array:
    """factor · array - shift, for factors per copy."""
    product = elementwise(operator.mul, array, constant(np.nan_to_num(factor)), keep=True)
    shift = np.nan_to_num(shift + 0 * factor)
    return elementwise(operator.sub, product, constant(shift), keep=True)


def _size(numbers: Sample, least: int) -> Any:
    """How many numbers there are, NaN where there are fewer than ``least``."""
    return np.where(numbers.size < least, np.nan, numbers.size)


@function("SKEW", "r", repeats=True, grows=True)
def skew(*arrays: Array) -> Array:
    """Skewness of a sample; fewer than three numbers or no spread is #DIV/0!."""
    numbers = sample(*arrays)
    n = _size(numbers, 3)
    return overlaid(_scaled(_moment(numbers, 3, 1, 3), n / ((n - 1) * (n - 2))), numbers.errors)


@function("SKEW.P", "r", repeats=True, grows=True)
def skew_p(*arrays: Array) -> Array:
    """Skewness of a population; fewer than three numbers or no spread is #DIV/0!."""
    numbers = sample(*arrays)
    return overlaid(_scaled(_moment(numbers, 3, 0, 3), 1 / _size(numbers, 3)), numbers.errors)


@function("KURT", "r", repeats=True, grows=True)
def kurt(*arrays: Array) -> Array:
    """Excess kurtosis of a sample; fewer than four numbers or no spread is #DIV/0!."""
    numbers = sample(*arrays)
    n = _size(numbers, 4)
    factor = n * (n + 1) / ((n - 1) * (n - 2) * (n - 3))
    shift = 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))
    return overlaid(_scaled(_moment(numbers, 4, 1, 4), factor, shift), numbers.errors)


@function("STANDARDIZE", "vvv")
def standardize(x: Array, middle: Array, scale: Array) -> Array:
    """(x - mean) / standard deviation; the latter has to be positive."""
    return on_domain(standard_score, x, middle, scale, domain=((2, operator.gt, 0.0),))


@recorded()
def standard_score(x: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Distance from the mean in standard deviations."""
    return (x - mean) / scale


# ---------------------------------------------------------------- two samples


def comoment(x: Sample, y: Sample) -> Array:
    """Sum of the products of the deviations."""
    return product_sum(deviations(x), deviations(y))


@family({"COVARIANCE.P": 0, "COVARIANCE.S": 1}, "aa")
def covariance(less: int, x: Array, y: Array) -> Array:
    """Covariance of a population (P) or a sample (S)."""
    first, second = pairs(x, y)
    degrees = constant(np.maximum(first.size - less, 0.0))
    result = divide(comoment(first, second), degrees)
    return overlaid(result, first.errors)


def correlation(first: Sample, second: Sample) -> Array:
    """Pearson's coefficient; without spread it is #DIV/0!."""
    spread = elementwise(operator.mul, sum_of_squares(first), sum_of_squares(second), keep=True)
    return divide(comoment(first, second), square_root(spread))


@function("CORREL", "aa")
def correl(x: Array, y: Array) -> Array:
    """Pearson's correlation coefficient."""
    first, second = pairs(x, y)
    return overlaid(correlation(first, second), first.errors)


@function("RSQ", "aa")
def rsq(y: Array, x: Array) -> Array:
    """Square of Pearson's correlation coefficient."""
    return square(correl(x, y))


same_as(
    {
        "STDEV": "STDEV.S", "STDEVP": "STDEV.P", "VAR": "VAR.S", "VARP": "VAR.P",
        "COVAR": "COVARIANCE.P", "PEARSON": "CORREL",
    }
)  # fmt: skip
