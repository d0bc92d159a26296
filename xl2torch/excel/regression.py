"""Straight lines and multiple linear regression, by QR decomposition."""

from __future__ import annotations

import operator
from dataclasses import replace

import numpy as np
import torch

from xl2torch.arrays.array import (
    HEIGHT,
    INNER,
    WIDTH,
    Array,
    ExcelError,
    Unsupported,
    all_of,
    all_valid,
    as_numbers,
    constant,
    elementwise,
    left_empty,
    scalar,
    truth,
)  # fmt: skip
from xl2torch.arrays.operators import divide, on_domain
from xl2torch.arrays.sample import (
    Sample,
    mean,
    overlaid,
    pairs,
    plain,
)
from xl2torch.arrays.shapes import (
    column,
    from_full,
    full_data,
    join,
    one_copy,
    reorder,
    unfolded,
)
from xl2torch.cells.values import NA, NUM, NUMBER, REF, VALUE
from xl2torch.excel.mathematical import square_root
from xl2torch.excel.matrix import transpose
from xl2torch.excel.registry import family, function, same_as
from xl2torch.excel.statistical import comoment, sum_of_squares
from xl2torch.ir.facts import value_of
from xl2torch.ir.ops import Group, recorded
from xl2torch.ir.trace import Data, apply

# ---------------------------------------------------------------- one variable


def _times(left: Array, right: Array) -> Array:
    return elementwise(operator.mul, left, right, keep=True)


def _less(left: Array, right: Array) -> Array:
    return elementwise(operator.sub, left, right, keep=True)


def line(y: Sample, x: Sample) -> tuple[Array, Array]:
    """Slope and intercept of the least-squares line; without spread in x #DIV/0!."""
    steepness = divide(comoment(x, y), sum_of_squares(x))
    return steepness, _less(mean(y), _times(steepness, mean(x)))


@function("SLOPE", "aa")
def slope(y: Array, x: Array) -> Array:
    """Slope of the regression line."""
    first, second = pairs(y, x)
    return overlaid(line(first, second)[0], first.errors)


@function("INTERCEPT", "aa")
def intercept(y: Array, x: Array) -> Array:
    """Where the regression line crosses x = 0."""
    first, second = pairs(y, x)
    return overlaid(line(first, second)[1], first.errors)


@function("STEYX", "aa")
def steyx(y: Array, x: Array) -> Array:
    """Standard error of the y predicted by the regression line; of fewer than three #DIV/0!."""
    first, second = pairs(y, x)
    both = comoment(first, second)
    explained = divide(_times(both, both), sum_of_squares(second))
    rest = _less(sum_of_squares(first), explained)
    degrees = constant(np.maximum(first.size - 2, 0.0))
    if not rest.traced:
        # Rounding may leave a perfect fit just below 0.
        rest = replace(constant(np.maximum(plain(rest).numpy(), 0.0)), kinds=rest.kinds)
    return overlaid(square_root(divide(rest, degrees)), first.errors)


@function("FORECAST.LINEAR", "vaa")
def forecast(at: Array, y: Array, x: Array) -> Array:
    """The regression line's value at x."""
    first, second = pairs(y, x)
    steepness, start = line(first, second)
    value = elementwise(operator.add, start, _times(steepness, as_numbers(at)), keep=True)
    return overlaid(value, first.errors)


# ---------------------------------------------------------------- several variables


def _numbers(array: Array) -> Array:
    """A matrix of numbers; anything else in it is #VALUE!."""
    if array.kinds is not None and (array.kinds != NUMBER).any():
        raise ExcelError(VALUE)
    return replace(array, kinds=None, texts=None, from_cells=False)


def _flag(value: Array | None) -> bool:
    if value is None or left_empty(value):
        return True
    flag = truth(value)
    if flag.traced:
        raise Unsupported("a trained value decides how the regression is made")
    return bool((flag.numpy() != 0).all())


def _design(y: Array, x: Array | None) -> tuple[Array, Array, bool]:
    """y as a column, the variables as columns, and whether the data lie in a row."""
    y = _numbers(y)
    if x is None or left_empty(x):
        count = y.shape[HEIGHT] * y.shape[WIDTH]
        counted = np.arange(1.0, count + 1).reshape(1, 1, y.shape[HEIGHT], y.shape[WIDTH])
        x = constant(counted)
    x = _numbers(x)
    one_copy(y, x)
    if x.shape[2:] == y.shape[2:]:
        return column(y), column(x), y.shape[HEIGHT] == 1 and y.shape[WIDTH] > 1
    if y.shape[WIDTH] == 1 and x.shape[HEIGHT] == y.shape[HEIGHT]:
        return y, x, False
    if y.shape[HEIGHT] == 1 and x.shape[WIDTH] == y.shape[WIDTH]:
        return column(y), transpose(x), True
    raise ExcelError(REF)


def _with_ones(x: Array, intercept_wanted: bool) -> Array:
    ones = constant(np.full((1, 1, x.shape[HEIGHT], 1), 1.0 if intercept_wanted else 0.0))
    return join([x, ones], WIDTH) if intercept_wanted else x


@recorded(Group.OTHER)
def least_squares(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Coefficients of the least-squares fit y ≈ x·b, by QR: x is (n, p), y is (n, 1)."""
    q, r = torch.linalg.qr(x)
    found: torch.Tensor = torch.linalg.solve_triangular(r, q.transpose(-2, -1) @ y, upper=True)
    return found


def _solve(y: Array, x: Array) -> Data:
    design = _matrix(x)
    columns = value_of(design).shape[-1]
    if value_of(design).shape[-2] < columns:
        raise Unsupported("a regression with fewer data than coefficients")
    if int(torch.linalg.matrix_rank(value_of(design).detach())) < columns:
        raise Unsupported("a regression whose variables depend on each other")
    return apply(least_squares, design, _matrix(y))


def _matrix(array: Array) -> Data:
    rows, columns = array.shape[2:]
    return apply(torch.reshape, full_data(array), (rows, columns))


def _coefficients(y: Array, x: Array, intercept_wanted: bool) -> Array:
    """Coefficients in Excel's order: the last variable first, the intercept last."""
    data = _solve(y, _with_ones(x, intercept_wanted))
    count = x.shape[WIDTH]
    fitted = from_full(data, (1, 1, count + intercept_wanted, 1))
    order = [*range(count - 1, -1, -1)]
    found = reorder(fitted, HEIGHT, np.array([*order, count] if intercept_wanted else order))
    if not intercept_wanted:
        found = join([found, scalar(0.0)], HEIGHT)
    return transpose(found)


def _statistics(y: Array, x: Array, intercept_wanted: bool, found: Array) -> Array:
    """The five rows of LINEST: coefficients, errors, R² and error of y, F and degrees, sums."""
    if any(array.traced for array in (y, x, found)):
        raise Unsupported("the statistics of a regression of trained values")
    design = _with_ones(x, intercept_wanted)
    matrix, data = design.numpy()[0, 0], y.numpy()[0, 0]
    beta = found.numpy()[0, 0, 0]
    count = x.shape[WIDTH]
    in_order = (
        np.append(beta[:count][::-1], beta[count:]) if intercept_wanted else beta[:count][::-1]
    )
    residual = data[:, 0] - matrix @ in_order
    degrees = len(data) - matrix.shape[1]
    rest = float(residual @ residual)
    centred = data[:, 0] - data.mean() if intercept_wanted else data[:, 0]
    whole = float(centred @ centred)
    explained = whole - rest
    rows, width = 5, count + 1
    table = np.full((rows, width), np.nan)
    kinds = np.full((rows, width), NA.kind, dtype=np.uint8)

    def put(row: int, place: int, value: float, error: int = NUMBER) -> None:
        table[row, place], kinds[row, place] = value, error

    for place in range(width):
        put(0, place, beta[place])
    _, r = np.linalg.qr(matrix)
    inverse = np.linalg.inv(r)
    variances = (inverse**2).sum(axis=1)
    deviation = np.sqrt(rest / degrees) if degrees > 0 else 0.0
    errors = np.sqrt(variances) * deviation
    order = [*range(count - 1, -1, -1), *([count] if intercept_wanted else [])]
    for place, which in enumerate(order):
        put(1, place, float(errors[which]))
    put(2, 0, explained / whole if whole else 1.0)
    put(2, 1, float(deviation))
    if degrees > 0 and rest > 0:
        put(3, 0, explained / count / (rest / degrees))
    else:
        put(3, 0, np.nan, NUM.kind)
    put(3, 1, float(degrees))
    put(4, 0, explained)
    put(4, 1, rest)
    return constant(table[None, None], kinds[None, None])


_LINE: dict[str, bool] = {"LINEST": False, "LOGEST": True}
_CURVE: dict[str, bool] = {"TREND": False, "GROWTH": True}


def _logarithm(y: Array) -> Array:
    logarithms = on_domain(torch.log, _numbers(y), domain=((0, operator.gt, 0.0),))
    if logarithms.kinds is not None and (logarithms.kinds != NUMBER).any():
        raise ExcelError(NUM)
    return logarithms


def _where_valid(result: Array, *arrays: Array) -> Array:
    """A result that is no error only where no number of some arrays is one."""
    return replace(result, valid=all_of(*(all_valid(array, INNER) for array in arrays)))


@family(_LINE, "a", "avv", singly=True)
def linest(
    exponential: bool, y: Array, x: Array | None = None, with_intercept: Array | None = None,
    statistics: Array | None = None,
) -> Array:  # fmt: skip
    """Coefficients of a linear (LOGEST: exponential) regression, with statistics when asked for."""
    target, design, _ = _design(_logarithm(y) if exponential else y, x)
    intercept_wanted = _flag(with_intercept)
    found = _where_valid(_coefficients(target, design, intercept_wanted), target, design)
    if statistics is not None and _flag(statistics):
        table = _statistics(target, design, intercept_wanted, found)
        if not exponential:
            return table
        numbers, kinds = np.array(table.numpy()), np.array(table.full_kinds)
        numbers[0, 0, 0] = np.exp(numbers[0, 0, 0])
        return constant(numbers, kinds)
    return elementwise(torch.exp, found, keep=True) if exponential else found


@family(_CURVE, "a", "aav", singly=True)
def trend(
    exponential: bool, y: Array, x: Array | None = None, new: Array | None = None,
    with_intercept: Array | None = None,
) -> Array:  # fmt: skip
    """Values of a linear (GROWTH: exponential) regression at new places, else at the data's."""
    x = None if left_empty(x) else x
    new = None if left_empty(new) else new
    original = y if x is None else x
    target, design, lying = _design(_logarithm(y) if exponential else y, x)
    intercept_wanted = _flag(with_intercept)
    data = _solve(target, _with_ones(design, intercept_wanted))
    single = design.shape[WIDTH] == 1
    if new is None:
        places, shape = design, original.shape
        shape = y.shape if x is None or not single else original.shape
    else:
        new = _numbers(new)
        one_copy(new)
        shape = new.shape
        places = column(new) if single else transpose(new) if lying else new
        if places.shape[WIDTH] != design.shape[WIDTH]:
            raise ExcelError(REF)
    values = apply(torch.matmul, _matrix(_with_ones(places, intercept_wanted)), data)
    values = apply(torch.exp, values) if exponential else values
    count = places.shape[HEIGHT]
    result = _where_valid(from_full(values, (1, 1, count, 1)), target, design, places)
    if single:
        return unfolded(result, shape[HEIGHT], shape[WIDTH])
    return transpose(result) if lying else result


same_as({"FORECAST": "FORECAST.LINEAR"})
