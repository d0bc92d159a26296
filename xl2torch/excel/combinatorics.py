"""Counting, divisors and the gamma function."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import numpy as np
import torch

from xl2torch.arrays import special
from xl2torch.arrays.array import (
    Array,
    ExcelError,
    Unsupported,
    as_numbers,
    as_references,
    constant,
    elementwise,
    is_typed,
    reduce_errors,
)  # fmt: skip
from xl2torch.arrays.operators import error_where, on_domain
from xl2torch.arrays.sample import overlaid
from xl2torch.cells.values import BLANK, NUM, NUMBER, VALUE
from xl2torch.excel.registry import family, function
from xl2torch.ir.ops import Bend, recorded


@recorded()
def gamma_or_nothing(x: torch.Tensor) -> torch.Tensor:
    """Γ(x), which has poles at 0, -1, -2, …: there it is infinite."""
    pole = (x <= 0) & (x == torch.floor(x))
    return torch.where(pole, torch.inf, special.gamma(torch.where(pole, 1.0, x)))


@recorded()
def has_gamma(x: torch.Tensor, most: float) -> torch.Tensor:
    """Where Γ(x) is a number that can be held."""
    return (x <= most) & ((x > 0) | (x != torch.floor(x)))


_LARGEST_GAMMA, _LARGEST_FACTORIAL, _LARGEST_DOUBLE = 171.6243769563027, 170, 300
"""Beyond these the numbers are too large to be held."""


@function("GAMMA", "v")
def gamma(x: Array) -> Array:
    """The gamma function; at 0 and negative whole numbers it is #NUM!."""
    return on_domain(gamma_or_nothing, x, domain=((0, has_gamma, _LARGEST_GAMMA),))


@recorded(bend=Bend.STEP)
def factorial(x: torch.Tensor) -> torch.Tensor:
    """x! of the whole part."""
    return torch.round(special.gamma(torch.floor(x) + 1)).detach()


@recorded(bend=Bend.STEP)
def double_factorial(x: torch.Tensor) -> torch.Tensor:
    """x!! of the whole part."""
    return special.double_factorial(torch.floor(x)).detach()


@family({"FACT": factorial, "FACTDOUBLE": double_factorial}, "v", gradient="step")
def fact(form: Callable[..., torch.Tensor], x: Array) -> Array:
    """Factorial of the whole part; of a negative number #NUM!."""
    least = 0.0 if form is factorial else -1.0
    most = _LARGEST_FACTORIAL if form is factorial else _LARGEST_DOUBLE
    return on_domain(form, x, domain=((0, operator.ge, least), (0, operator.lt, most + 1.0)))


@recorded(bend=Bend.STEP)
def choose_rounded(n: torch.Tensor, k: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Ways to choose k of n, as a whole number."""
    return torch.round(special.binomial(n, k))


@recorded(bend=Bend.STEP)
def arrange(n: torch.Tensor, k: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Ways to choose k of n in order."""
    return torch.round(special.binomial(n, k) * special.gamma(k + 1))


@family({"COMBIN": choose_rounded, "PERMUT": arrange}, "vv", gradient="step")
def combin(form: Callable[..., torch.Tensor], n: Array, k: Array) -> Array:
    """Ways to choose k of n (PERMUT: in order), on whole parts; k > n is #NUM!."""
    n, k = (elementwise(torch.trunc, as_numbers(x), keep=True) for x in (n, k))
    rest = elementwise(operator.sub, n, k, keep=True)
    domain = tuple((position, operator.ge, 0.0) for position in range(3))
    return on_domain(form, n, k, rest, domain=domain)


@recorded(bend=Bend.STEP)
def with_repetition(n: torch.Tensor, k: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    """Ways to choose k of n when each may be taken again; of nothing, nothing in one way."""
    n, k = torch.as_tensor(n), torch.as_tensor(k)
    ways = torch.round(special.binomial(torch.clamp(n + k - 1, min=0.0), k))
    return torch.where(k == 0, 1.0, ways)


@function("COMBINA", "vv", gradient="step")
def combina(n: Array, k: Array) -> Array:
    """Ways to choose k of n with repetitions, on whole parts."""
    n, k = (elementwise(torch.trunc, as_numbers(x), keep=True) for x in (n, k))
    least = elementwise(operator.sub, elementwise(torch.sign, k, keep=True), n, keep=True)
    domain = ((0, operator.ge, 0.0), (1, operator.ge, 0.0), (2, operator.le, 0.0))
    return on_domain(with_repetition, n, k, least, domain=domain)


def _whole_numbers(arrays: tuple[Array, ...]) -> list[list[int]]:
    """The arguments' whole parts, per copy."""
    columns: list[np.ndarray] = []
    for array in map(as_references, arrays):
        array = as_numbers(array) if is_typed(array) else array
        kinds = np.asarray(array.full_kinds)
        if array.traced:
            raise Unsupported("it works on whole numbers, not on trained ones")
        if not np.isin(kinds, (NUMBER, BLANK)).all():
            raise ExcelError(VALUE)
        columns.append(np.where(kinds == BLANK, np.nan, array.numpy()))
    copies = tuple(max(column.shape[axis] for column in columns) for axis in (0, 1))
    flat = [np.broadcast_to(c, (*copies, *c.shape[2:])).reshape(copies[0] * copies[1], -1)
            for c in columns]  # fmt: skip
    table = np.concatenate(flat, axis=1)
    if (table < 0).any():
        raise ExcelError(NUM)
    return [[int(x) for x in row if not np.isnan(x)] for row in table]


@family(
    {
        "GCD": lambda numbers: math.gcd(*numbers),
        "LCM": lambda numbers: math.lcm(*numbers) if numbers else 0,
        "MULTINOMIAL": lambda numbers: _multinomial(numbers),
    },
    "r", repeats=True, gradient="none",
)  # fmt: skip
def of_whole_numbers(combine: Callable[[list[int]], int], *arrays: Array) -> Array:
    """Greatest common divisor, least common multiple, multinomial coefficient of whole parts."""
    errors = reduce_errors(arrays)
    if errors is not None and errors.shape[:2] == (1, 1):
        return overlaid(constant(np.zeros((1, 1, 1, 1))), errors)
    shape = tuple(max(array.shape[axis] for array in arrays) for axis in (0, 1))
    found = np.array([_as_float(combine(numbers)) for numbers in _whole_numbers(arrays)])
    result = constant(np.nan_to_num(found).reshape(*shape, 1, 1))
    return overlaid(error_where(result, np.isnan(found).reshape(*shape, 1, 1), NUM.kind), errors)


def _as_float(number: int) -> float:
    """A whole number as a float; NaN where it is too large for one."""
    try:
        return float(number)
    except OverflowError:
        return math.nan


_LARGEST = 710.0
"""Logarithm of what no float holds."""


def _multinomial(numbers: list[int]) -> int:
    """(a+b+…)!/(a!·b!·…), as a product of binomial coefficients."""
    total = sum(numbers)
    size = math.lgamma(total + 1) - sum(math.lgamma(number + 1) for number in numbers)
    if size > _LARGEST:
        return 10**400  # too large
    found, left = 1, total
    for number in numbers:
        found *= math.comb(left, number)
        left -= number
    return found
