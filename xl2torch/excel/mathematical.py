"""Math and trigonometry: elementwise functions, sums and sums of products."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from xl2torch.arrays.array import (
    HEIGHT,
    INNER,
    Array,
    ExcelError,
    NotVectorisable,
    align,
    all_valid,
    as_float,
    as_numbers,
    as_references,
    both_valid,
    broadcast_shape,
    constant,
    elementwise,
    filled,
    is_typed,
    merge_errors,
    numeric_cells,
    reduce,
    reduce_errors,
    refuse_errors,
    scalar,
    sum_of_products,
    together,
    where,
    where_constant,
    where_counted,
)  # fmt: skip
from xl2torch.arrays.operators import (
    Condition,
    divide,
    error_where,
    guarded,
    is_not_negative,
    is_positive,
    on_domain,
    power,
)
from xl2torch.arrays.shapes import column
from xl2torch.cells.values import DIV0, LOGICAL, NA, NUMBER, TEXT, VALUE, error_of_kind
from xl2torch.excel.registry import family, function
from xl2torch.ir.ops import Bend, recorded
from xl2torch.ir.trace import Data, apply

# ---------------------------------------------------------------- elementwise


def _above(limit: float) -> Callable[..., Data]:
    return lambda x, *_: apply(operator.gt, x, limit)


def _from(limit: float) -> Callable[..., Data]:
    return lambda x, *_: apply(operator.ge, x, limit)


def _below(limit: float) -> Callable[..., Data]:
    return lambda x, *_: apply(operator.lt, x, limit)


def _inside(limit: float) -> Callable[..., Data]:
    return lambda x, *_: apply(operator.lt, apply(torch.abs, x), limit)


def _up_to(limit: float) -> Callable[..., Data]:
    return lambda x, *_: apply(operator.le, apply(torch.abs, x), limit)


def _beyond(limit: float) -> Callable[..., Data]:
    return lambda x, *_: apply(operator.gt, apply(torch.abs, x), limit)


@recorded()
def log_of_quotient(
    quotient: torch.Tensor, above: torch.Tensor, below: torch.Tensor
) -> torch.Tensor:
    """LN(quotient), with the slopes of LN(above) - LN(below).

    Those of the quotient are too small for a number long before its logarithm is.
    """
    value = torch.log(quotient.detach())
    above, below = (torch.as_tensor(x, dtype=value.dtype) for x in (above, below))
    inside = (above > 0) & (below > 0)
    apart = torch.log(torch.where(inside, above, 1.0)) - torch.log(torch.where(inside, below, 1.0))
    outside = torch.log(torch.where(inside, 1.0, quotient))
    return torch.where(inside, value + (apart - apart.detach()), outside)


@recorded()
def secant(x: torch.Tensor) -> torch.Tensor:
    """1 / cos x."""
    return 1 / torch.cos(x)


@recorded()
def hyperbolic_secant(x: torch.Tensor) -> torch.Tensor:
    """1 / cosh x."""
    return 1 / torch.cosh(x)


@recorded()
def inverse_cot(x: torch.Tensor) -> torch.Tensor:
    """Inverse cotangent, between 0 and π."""
    return torch.pi / 2 - torch.atan(x)


@recorded()
def inverse_coth(x: torch.Tensor) -> torch.Tensor:
    """Inverse hyperbolic cotangent."""
    return torch.atanh(1 / x)


@recorded()
def root_of_pi(x: torch.Tensor) -> torch.Tensor:
    """√(πx)."""
    return torch.sqrt(torch.pi * x)


@recorded()
def cotangent(x: torch.Tensor) -> torch.Tensor:
    """1 / tan x."""
    return 1 / torch.tan(x)


@recorded()
def cosecant(x: torch.Tensor) -> torch.Tensor:
    """1 / sin x."""
    return 1 / torch.sin(x)


@recorded()
def hyperbolic_cotangent(x: torch.Tensor) -> torch.Tensor:
    """1 / tanh x."""
    return 1 / torch.tanh(x)


@recorded()
def hyperbolic_cosecant(x: torch.Tensor) -> torch.Tensor:
    """1 / sinh x."""
    return 1 / torch.sinh(x)


@family(
    {
        "ABS": torch.abs,
        "SIN": torch.sin, "COS": torch.cos, "TAN": torch.tan, "ATAN": torch.atan,
        "TANH": torch.tanh, "ASINH": torch.asinh, "ACOT": inverse_cot,
        "SECH": hyperbolic_secant,
        "RADIANS": torch.deg2rad, "DEGREES": torch.rad2deg,
    },
    "v",
)  # fmt: skip
def _everywhere(torch_function: Callable[..., Any], x: Array) -> Array:
    """Elementwise function, defined everywhere."""
    return elementwise(torch_function, x)


@family({"SIGN": torch.sign, "INT": torch.floor}, "v", gradient="step")
def _in_steps(torch_function: Callable[..., Any], x: Array) -> Array:
    """Elementwise step function, defined everywhere."""
    return elementwise(torch_function, x)


_LN = (torch.log, is_positive, None, 1.0)
_SQRT = (torch.sqrt, is_not_negative, is_positive, 1.0)
_LOG10 = (torch.log10, is_positive, None, 1.0)
_OVERFLOW = 709.782712893384  # ln of the largest double: EXP beyond it is #NUM!


@family(
    {
        "LN": _LN,
        "LOG10": _LOG10,
        "SQRT": _SQRT,
        "EXP": (torch.exp, _below(_OVERFLOW), None, 0.0),
        "SINH": (torch.sinh, _inside(_OVERFLOW), None, 0.0),
        "COSH": (torch.cosh, _inside(_OVERFLOW), None, 0.0),
        "ACOSH": (torch.acosh, _from(1.0), _above(1.0), 1.0),
        "ASIN": (torch.asin, _up_to(1.0), _inside(1.0), 0.0),
        "ACOS": (torch.acos, _up_to(1.0), _inside(1.0), 0.0),
        "ATANH": (torch.atanh, _inside(1.0), None, 0.0),
        "ACOTH": (inverse_coth, _beyond(1.0), None, 2.0),
        "SQRTPI": (root_of_pi, is_not_negative, is_positive, 1.0),
    },
    "v",
)
def on_a_domain(rule: tuple[Any, Any, Any, float], x: Array) -> Array:
    """Elementwise function; outside its domain it is #NUM!.

    ``rule``: the torch function, where it is defined, where it is smooth, a stand-in elsewhere.
    """
    torch_function, valid, smooth, stand_in = rule
    x = as_numbers(x)
    if not x.traced:
        return elementwise(torch_function, x)
    return guarded(torch_function, x, valid=valid, smooth=smooth, stand_in=stand_in)


_NOT_ZERO: tuple[Condition, ...] = ((0, operator.ne, 0.0),)
_LIMIT = float(2**27)
_ANGLE: tuple[Condition, ...] = ((0, operator.lt, _LIMIT), (0, operator.gt, -_LIMIT))


@family(
    {
        "COT": cotangent, "CSC": cosecant, "COTH": hyperbolic_cotangent,
        "CSCH": hyperbolic_cosecant,
    },
    "v",
)  # fmt: skip
def _of_not_zero(torch_function: Callable[..., Any], x: Array) -> Array:
    """Reciprocal of a function that is 0 at 0; there it is #DIV/0!."""
    angle = secant_angle(x) if torch_function in (cotangent, cosecant) else x
    return on_domain(torch_function, angle, domain=_NOT_ZERO, error=DIV0)


def secant_angle(x: Array) -> Array:
    """An angle; from 2^27 on it is #NUM!."""
    return on_domain(unchanged, x, domain=_ANGLE)


@recorded(addends=(0,))
def unchanged(x: torch.Tensor) -> torch.Tensor:
    """The number itself."""
    return x + 0.0


@function("SEC", "v")
def sec(x: Array) -> Array:
    """Secant of an angle below 2^27."""
    return on_domain(secant, x, domain=_ANGLE)


@family({"GAMMALN": torch.lgamma, "GAMMALN.PRECISE": torch.lgamma}, "v")
def gammaln(torch_function: Callable[..., Any], x: Array) -> Array:
    """Logarithm of the gamma function, for x > 0."""
    return on_domain(torch_function, x, domain=((0, operator.gt, 0.0),))


def square_root(x: Array) -> Array:
    """√x; its slope at 0 is 0."""
    return on_a_domain(_SQRT, x)


@function("LOG", "v", "v")
def log(x: Array, base: Array | None = None) -> Array:
    """Logarithm, base 10 unless given."""
    if base is None:
        return on_a_domain(_LOG10, x)
    return divide(on_a_domain(_LN, x), on_a_domain(_LN, base))


@function("POWER", "vv")
def _power(base: Array, exponent: Array) -> Array:
    """Power, as the operator ^."""
    return power(base, exponent)


@function("PI")
def pi() -> Array:
    """The number π."""
    return scalar(math.pi)


def _not_both_zero(y: Data, x: Data) -> Data:
    sides = (apply(operator.ne, side, 0.0) for side in (x, y))
    return apply(torch.logical_or, *sides)


@function("ATAN2", "vv")
def atan2(x: Array, y: Array) -> Array:
    """Angle of a point; Excel takes x first. (0, 0) is #DIV/0!."""
    x, y = as_numbers(x), as_numbers(y)
    if x.traced or y.traced:
        return guarded(torch.atan2, y, x, valid=_not_both_zero, natural=False)
    origin = np.logical_and(*(numbers == 0 for numbers in together(x, y)))
    result = elementwise(torch.atan2, y, x, keep=True)
    return error_where(result, origin, DIV0.kind)


@recorded(bend=Bend.STEP)
def modulo(number: torch.Tensor, divisor: torch.Tensor) -> torch.Tensor:
    """n - d·INT(n/d), as Excel's documentation defines it."""
    return number - divisor * torch.floor(number / divisor)


@function("MOD", "vv")
def mod(number: Array, divisor: Array) -> Array:
    """Remainder with the sign of the divisor; by zero it is #DIV/0!."""
    number, divisor = as_numbers(number), as_numbers(divisor)
    if divisor.traced:
        # As Excel defines it; torch.remainder has no derivative by the divisor.
        whole = elementwise(torch.floor, divide(number, divisor), keep=True)
        multiple = elementwise(operator.mul, divisor, whole, keep=True)
        return elementwise(operator.sub, number, multiple, keep=True)
    zeros = divisor.numpy() == 0
    return elementwise(modulo, number, error_where(divisor, zeros, DIV0.kind), keep=True)


# ---------------------------------------------------------------- sums


def counted(array: Array) -> Array:
    """An aggregate function's argument as numbers, 0 where it does not count.

    In cells, text, logicals and blanks do not count; a value typed into the call does.
    """
    array = as_references(array)
    if is_typed(array):
        return as_numbers(array)
    numbers = where_counted(numeric_cells(array), array, 0.0)
    return replace(numbers, kinds=merge_errors(array), texts=None)


def total(arrays: tuple[Array, ...], transform: Callable[[Array], Array] | None = None) -> Array:
    """Sum over all arguments, each optionally transformed first."""
    result: Array | None = None
    for array in arrays:
        numbers = counted(array)
        kinds = reduce_errors([numbers])
        numbers = transform(numbers) if transform else numbers
        part = reduce(torch.sum, replace(numbers, kinds=None), INNER, kinds)
        result = part if result is None else elementwise(operator.add, result, part, keep=True)
    assert result is not None
    return result


@function("SUM", "r", repeats=True, grows=True)
def sum_(*arrays: Array) -> Array:
    """Sum of all numbers."""
    return total(arrays)


@function("SUMSQ", "r", repeats=True, grows=True)
def sumsq(*arrays: Array) -> Array:
    """Sum of squares."""
    return total(arrays, square)


def square(array: Array) -> Array:
    """x²."""
    return elementwise(operator.pow, array, scalar(2.0), keep=True)


@function("PRODUCT", "r", repeats=True, grows=True)
def product(*arrays: Array) -> Array:
    """Product of all numbers; cells that are no numbers count as 1."""
    result: Array | None = None
    some: Any = np.zeros((1, 1, 1, 1), dtype=bool)
    for array in map(as_references, arrays):
        typed = is_typed(array)
        numbers = as_numbers(array) if typed else where_counted(numeric_cells(array), array, 1.0)
        some = some | (True if typed else numeric_cells(array).any(axis=INNER, keepdims=True))
        kinds = reduce_errors([numbers if typed else array])
        dims = [axis for axis in INNER if numbers.shape[axis] > 1]
        part = replace(numbers, kinds=None)
        for axis in dims:
            part = reduce(torch.prod, part, (axis,))
        part = replace(part, kinds=kinds)
        result = part if result is None else elementwise(operator.mul, result, part, keep=True)
    assert result is not None
    if some.all():
        return result
    kinds = result.kinds
    return replace(where_constant(some, replace(result, kinds=None), 0.0), kinds=kinds)


@function("SUMPRODUCT", "a", repeats=True)
def sumproduct(first: Array, *others: Array) -> Array:
    """Sum of products of ranges of equal size; what is no number counts as 0."""
    arrays = [first, *others]
    if len({array.shape[2:] for array in arrays}) != 1:
        raise ExcelError(VALUE)
    errors = reduce_errors(arrays)
    numbers = [
        replace(where_counted(numeric_cells(array), array, 0.0), kinds=None) for array in arrays
    ]
    while len(numbers) > 2:
        # Constants first: their product is folded before training.
        numbers.sort(key=lambda array: array.traced)
        numbers[:2] = [elementwise(operator.mul, numbers[0], numbers[1], keep=True)]
    if len(numbers) == 1:
        return reduce(torch.sum, numbers[0], INNER, errors)
    result = sum_of_products(numbers[0], numbers[1])
    return result if errors is None else replace(result, kinds=errors)


@family(
    {
        "SUMXMY2": lambda x, y: square(elementwise(operator.sub, x, y, keep=True)),
        "SUMX2MY2": lambda x, y: elementwise(operator.sub, square(x), square(y), keep=True),
        "SUMX2PY2": lambda x, y: elementwise(operator.add, square(x), square(y), keep=True),
    },
    "aa",
)
def _over_pairs(combine: Callable[[Array, Array], Array], x: Array, y: Array) -> Array:
    """Sum over pairs; a pair of which one is no number is skipped. Unequal sizes are #N/A."""
    if x.shape[2:] != y.shape[2:]:
        raise ExcelError(NA)
    shape = broadcast_shape(x, y)
    pairs = np.logical_and(
        np.broadcast_to(numeric_cells(x), shape), np.broadcast_to(numeric_cells(y), shape)
    )
    errors = reduce_errors([x, y])
    x, y = (replace(filled(side), kinds=None, texts=None) for side in (x, y))
    terms = combine(x, y)
    return reduce(torch.sum, where_constant(pairs, terms, 0.0), INNER, errors)


# ---------------------------------------------------------------- largest and smallest


@function("MAX", "r", repeats=True, grows=True)
def max_(*arrays: Array) -> Array:
    """Largest number."""
    return extreme(True, arrays)


@function("MIN", "r", repeats=True, grows=True)
def min_(*arrays: Array) -> Array:
    """Smallest number."""
    return extreme(False, arrays)


def extreme(largest: bool, arrays: tuple[Array, ...]) -> Array:
    """MAX or MIN of all numbers, 0 when there is none. Trained values that tie share the slope."""
    worst = -math.inf if largest else math.inf
    parts: list[Array] = []
    seen: Any = np.zeros((1, 1, 1, 1), dtype=bool)
    for array in map(as_references, arrays):
        typed = is_typed(array)
        numbers = as_numbers(array) if typed else array
        mask = np.ones((1, 1, 1, 1), dtype=bool) if typed else numeric_cells(array)
        seen = seen | np.broadcast_to(mask, (*mask.shape[:2], *array.shape[2:])).any(
            axis=INNER, keepdims=True
        )
        kept = where_counted(mask, replace(numbers, kinds=None, texts=None), worst)
        kinds = reduce_errors([numbers])
        function_ = torch.amax if largest else torch.amin
        parts.append(raw_reduce(function_, kept, kinds))
    result = parts[0]
    for part in parts[1:]:
        result = _larger(result, part, largest)
    empty = ~np.broadcast_to(seen, (*seen.shape[:2], 1, 1))
    if not empty.any():
        return result
    kinds = result.kinds
    return replace(where_constant(~empty, replace(result, kinds=None), 0.0), kinds=kinds)


def raw_reduce(torch_function: Callable[..., Any], array: Array, kinds: Any) -> Array:
    """Reduce the inner axes; infinity stays what it is, where ``reduce`` takes it for an error."""
    dims = tuple(dim for dim, axis in enumerate(array.axes) if axis in INNER)
    if not dims:
        return replace(array, kinds=kinds)
    kept = tuple(axis for axis in array.axes if axis not in INNER)
    shape = (*array.shape[:2], 1, 1)
    data = apply(torch_function, array.data, dim=dims)
    return Array(data, kept, shape, kinds, valid=all_valid(array, INNER))


def _larger(left: Array, right: Array, largest: bool) -> Array:
    """Larger (or smaller) of two; MAX(0, x) is ReLU with torch's slope 0 at 0."""
    shape = broadcast_shape(left, right)
    kinds, valid = merge_errors(left, right), both_valid(left, right)
    if right.traced and not left.traced:
        left, right = right, left
    (a, b), axes = align([left, right])
    zero = not right.traced and right.shape == (1, 1, 1, 1) and right.numpy().item() == 0
    if left.traced and zero and largest and kinds is None:
        data = apply(torch.relu, a)
    elif left.traced and not right.traced:
        beyond = apply(operator.gt if largest else operator.lt, a, b)
        data = where(beyond, a, b)
    else:
        data = apply(torch.maximum if largest else torch.minimum, a, b)
    return Array(data, axes, shape, kinds, valid=valid)


@family({"MAXA": True, "MINA": False}, "r", repeats=True, grows=True)
def maxa(largest: bool, *arrays: Array) -> Array:
    """Largest (smallest) value; in cells a text counts as 0, a logical as 1 or 0."""
    return extreme(largest, tuple(_with_every_kind(array) for array in arrays))


def _with_every_kind(array: Array) -> Array:
    array = as_references(array)
    if array.kinds is None or is_typed(array):
        return array
    kinds = np.where(np.isin(array.kinds, (LOGICAL, TEXT)), NUMBER, array.kinds)
    return replace(as_float(array), kinds=kinds.astype(np.uint8), texts=None)


@function("SERIESSUM", "vvvr", singly=True)
def seriessum(x: Array, first: Array, step: Array, coefficients: Array) -> Array:
    """Sum of a power series."""
    terms = column(coefficients)
    refuse_errors(x, first, step)
    errors = reduce_errors([terms])
    if errors is not None:
        raise (
            ExcelError(error_of_kind(int(errors.flat[0])))
            if errors.size == 1
            else NotVectorisable("x")
        )
    if terms.kinds is not None and (terms.kinds != NUMBER).any():
        raise ExcelError(VALUE)
    places = constant(np.arange(float(terms.shape[HEIGHT])).reshape(1, 1, -1, 1))
    steps = elementwise(operator.mul, places, step)
    exponents = elementwise(operator.add, steps, first)
    return sum_of_products(power(x, exponents), replace(terms, kinds=None))
