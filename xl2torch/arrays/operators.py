"""Excel's operators: ``+ - * / ^ & = <> < > <= >=``, prefix ``-`` and postfix ``%``."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from xl2torch.arrays.array import (
    DTYPE,
    Array,
    Kinds,
    Shape,
    Texts,
    Unsupported,
    align,
    all_of,
    as_float,
    as_kind,
    as_numbers,
    both_valid,
    broadcast_shape,
    choose,
    constant,
    elementwise,
    filled,
    logical,
    merge_errors,
    pad,
    scalar,
    where,
)  # fmt: skip
from xl2torch.cells.values import (
    BLANK,
    DIV0,
    FIRST_ERROR,
    LOGICAL,
    NUM,
    NUMBER,
    TEXT,
    VALUE,
    ErrorValue,
    collated,
    display,
    error_of_kind,
)  # fmt: skip
from xl2torch.ir.facts import note, value_of
from xl2torch.ir.ops import Bend, recorded
from xl2torch.ir.trace import Data, apply, is_drawn, is_traced
from xl2torch.safety.limits import MOST_LETTERS

_COMPARISONS: dict[str, Callable[..., Any]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, ">": operator.gt,
    "<=": operator.le, ">=": operator.ge,
}  # fmt: skip


def binary(symbol: str, left: Array, right: Array) -> Array:
    """A binary operator on two arrays."""
    if symbol in _COMPARISONS:
        return compare(symbol, left, right)
    if symbol == "&":
        return concatenate(left, right)
    if symbol == "+":
        return elementwise(operator.add, left, right)
    if symbol == "-":
        return elementwise(operator.sub, left, right)
    if symbol == "*":
        return elementwise(operator.mul, left, right)
    if symbol == "/":
        return divide(left, right)
    if symbol == "^":
        return power(left, right)
    raise Unsupported(f"the operator {symbol}")


def unary(symbol: str, operand: Array) -> Array:
    """A prefix or postfix operator."""
    if symbol == "-":
        return elementwise(operator.neg, operand)
    if symbol == "%":
        return elementwise(operator.truediv, operand, scalar(100.0))
    return operand  # a leading + changes nothing, not even a text


def divide(left: Array, right: Array) -> Array:
    """Division; by zero it is #DIV/0!."""
    left, right = as_numbers(left), as_numbers(right)
    if right.traced:
        return guarded(operator.truediv, left, right, valid=lambda _, b: apply(operator.ne, b, 0.0))
    zeros = (right.numpy() == 0) & (right.full_kinds == NUMBER)
    if zeros.any():
        kinds = np.where(zeros, DIV0.kind, right.full_kinds).astype(np.uint8)
        right = constant(np.where(zeros, np.nan, right.numpy()), kinds)
    return elementwise(operator.truediv, left, right, keep=True)


def power(left: Array, right: Array) -> Array:
    """``^``: 0^0 is #NUM!, 0 to a negative power #DIV/0!, a root of a negative number #NUM!."""
    left, right = as_numbers(left), as_numbers(right)
    shape = broadcast_shape(left, right)
    left, right = pad(left, shape), pad(right, shape)
    if left.traced or right.traced:
        return _traced_power(left, right)
    base, exponent = np.broadcast_arrays(left.numpy(), right.numpy())
    result = elementwise(_power_with_odd_roots, left, right, keep=True)
    undefined = (base == 0) & (exponent <= 0)
    if not undefined.any():
        return result
    kinds = np.where(exponent < 0, DIV0.kind, NUM.kind)
    kinds = np.where(undefined, kinds, result.full_kinds).astype(np.uint8)
    return constant(np.where(undefined, np.nan, result.numpy()), kinds)


def _power_with_odd_roots(base: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """Excel takes odd roots of negative numbers: (-8)^(1/3) is -2."""
    result = torch.pow(base, exponent)
    degree = 1 / exponent
    odd = (base < 0) & (degree.round() == degree) & (degree.remainder(2) == 1)
    return torch.where(odd, -torch.pow(base.abs(), exponent), result)


def _traced_power(base: Array, exponent: Array) -> Array:
    # torch.pow, not **: the printed code of a negative number to a power would read -(1.0 ** x).
    if not base.traced and (base.numpy() > 0).all():
        return elementwise(torch.pow, base, exponent, keep=True)
    if exponent.traced:
        return guarded(_power_of_any_sign, base, exponent, valid=_power_is_defined, natural=False)
    exponents = exponent.numpy()
    whole = exponents == np.round(exponents)
    if (whole & (exponents >= 1)).all():
        return elementwise(operator.pow, base, exponent, keep=True)
    if whole.all():
        return guarded(
            operator.pow, base, exponent,
            valid=lambda x, _: apply(operator.ne, x, 0.0), natural=bool((exponents < 0).all()),
        )  # fmt: skip
    odd = _odd_roots(exponents)
    if (exponents > 0).all() and odd.all():
        return guarded(
            odd_root, base, exponent, valid=lambda x, _: apply(torch.isfinite, x),
            smooth=lambda x, _: apply(operator.ne, x, 0.0),
        )  # fmt: skip
    if (whole | odd).any():  # each copy has its own domain
        return guarded(_power_of_any_sign, base, exponent, valid=_power_is_defined, natural=False)
    if (exponents > 0).all():
        return guarded(operator.pow, base, exponent, valid=is_not_negative, smooth=is_positive)
    return guarded(operator.pow, base, exponent, valid=is_positive)


def _odd_roots(exponents: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which exponents are 1/3, 1/5, …: of these roots Excel takes those of negative numbers too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = np.abs(1 / exponents)
        odd = (np.round(degrees) == degrees) & (degrees % 2 == 1) & (degrees > 1)
    return np.asarray(odd)


@recorded()
def odd_root(base: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """A root of odd degree, negative for negative numbers."""
    return torch.sign(base) * torch.abs(base) ** exponent


@recorded()
def has_real_power(exponent: torch.Tensor) -> torch.Tensor:
    """For which exponents a negative number has a power: whole ones and odd roots."""
    degree = 1 / torch.where(exponent == 0, 1.0, exponent)
    odd = (degree == torch.round(degree)) & (torch.abs(degree) % 2 == 1)
    return odd | (exponent == torch.round(exponent))


def _power_is_defined(base: Data, exponent: Data) -> Data:
    """A positive base, a negative one to a whole number, or 0 to a positive number."""
    whole = apply(has_real_power, exponent)
    negative = apply(torch.logical_and, apply(torch.lt, base, 0.0), whole)
    zero = apply(torch.logical_and, apply(torch.eq, base, 0.0), apply(operator.gt, exponent, 0.0))
    edge = apply(torch.logical_or, negative, zero)
    return apply(torch.logical_or, apply(torch.gt, base, 0.0), edge)


@recorded()
def _power_of_any_sign(base: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    """Power whose slope by the exponent is 0 where the base is not positive."""
    base = torch.as_tensor(base, dtype=DTYPE)
    exponent = torch.where(base > 0, exponent, exponent.detach())
    base = torch.where((base != 0) | (exponent >= 1), base, base.detach())
    root = (base < 0) & (exponent != torch.round(exponent))
    of_negative = -(torch.where(root, -base, 1.0) ** exponent)
    return torch.where(root, of_negative, torch.pow(torch.where(root, 1.0, base), exponent))


def is_positive(x: Data, *_: Data) -> Data:
    """Where a logarithm or a root is smooth."""
    return apply(operator.gt, x, 0.0)


def is_not_negative(x: Data, *_: Data) -> Data:
    """Where a root has a value."""
    return apply(operator.ge, x, 0.0)


def guarded(
    function: Callable[..., Any],
    *operands: Array,
    valid: Callable[..., Data],
    smooth: Callable[..., Data] | None = None,
    stand_in: float = 1.0,
    natural: bool = True,
    everything: bool = False,
) -> Array:
    """A traced function that has a value only where ``valid`` holds.

    Elsewhere it is an error: trained operands are replaced by a finite stand-in, and the result's
    mask says so. ``smooth``: where the slope is finite; at the edge of the domain (the root of 0)
    the value stays and the slope is 0. ``natural``: left alone, the function itself would give NaN
    or infinity there. ``everything``: constant operands too are replaced where ``valid`` fails.
    """
    shape = broadcast_shape(*operands)
    padded = [pad(operand, shape) for operand in operands]
    kinds = merge_errors(*padded)
    padded = [filled(operand) for operand in padded]
    data, axes = align(padded)
    condition = valid(*data)
    for index, item in enumerate(data):
        if isinstance(item, fx.Node) or everything:
            safe = where(condition, item, torch.tensor(stand_in, dtype=DTYPE))
            if isinstance(safe, fx.Node):
                note(safe, guard=natural)
            data[index] = safe
    if smooth is not None:
        inside = smooth(*data)
        for index, item in enumerate(data):
            if isinstance(item, fx.Node):
                edge = where(inside, item, apply(torch.detach, item))
                assert isinstance(edge, fx.Node)
                note(edge, is_edge=True)
                data[index] = edge
    own = replace(_as_mask(condition, axes, shape), missing=False)
    mask = all_of(both_valid(*padded), own)
    return Array(apply(function, *data), axes, shape, kinds, valid=mask)


def _as_mask(condition: Data, axes: tuple[int, ...], shape: Shape) -> Array:
    """A condition on some of the operands as a mask over all."""
    sizes = tuple(shape[axis] for axis in axes)
    if tuple(value_of(condition).shape) != sizes:
        condition = apply(torch.broadcast_to, condition, sizes)
    return Array(condition, axes, shape)


Condition = tuple[int, Callable[..., Any], float]
"""Position of an operand, a comparison, a limit."""


def on_domain(
    function: Callable[..., Any],
    *operands: Array,
    domain: tuple[Condition, ...] = (),
    smooth: tuple[Condition, ...] = (),
    error: ErrorValue = NUM,
    stand_in: float = 1.0,
) -> Array:
    """A function that has a value only where all conditions hold; elsewhere it is ``error``.

    ``smooth``: where the slope is finite. ``stand_in`` satisfies all conditions for every operand.
    """
    numbers = [as_numbers(operand) for operand in operands]
    shape = broadcast_shape(*numbers)
    numbers = [pad(number, shape) for number in numbers]
    if any(number.traced for number in numbers):
        if not domain:
            return elementwise(function, *numbers, keep=True)
        return guarded(
            function, *(filled(number) for number in numbers),
            valid=_all_hold(domain), smooth=_all_hold(smooth) if smooth else None,
            stand_in=stand_in, natural=False, everything=True,
        )  # fmt: skip
    result = elementwise(function, *numbers, keep=True, error=error)
    if not domain:
        return result
    data, axes = align(numbers)
    holds = _as_mask(_all_hold(domain)(*data), axes, shape)
    return error_where(result, logical(holds) == 0, error.kind)


def _all_hold(conditions: tuple[Condition, ...]) -> Callable[..., Data]:
    def holds(*data: Data) -> Data:
        result: Data | None = None
        for position, comparison, limit in conditions:
            one = apply(comparison, data[position], limit)
            result = one if result is None else apply(torch.logical_and, result, one)
        assert result is not None
        return result

    return holds


def error_where(array: Array, mask: Any, kind: int) -> Array:
    """A constant array with an error put where the mask holds and no error stands yet."""
    fresh = np.broadcast_to(mask, array.shape) & (array.full_kinds < FIRST_ERROR)
    if not fresh.any():
        return array
    kinds = np.where(fresh, kind, array.full_kinds).astype(np.uint8)
    return constant(np.where(fresh, np.nan, array.numpy()), kinds, np.array(array.full_texts))


# ---------------------------------------------------------------- comparison and text


def compare(symbol: str, left: Array, right: Array) -> Array:
    """A comparison: numbers below texts below logicals; texts without regard to case."""
    function = _COMPARISONS[symbol]
    shape = broadcast_shape(left, right)
    left, right = pad(left, shape), pad(right, shape)
    left = _rounded_together(left, right)
    if _plain(left) and _plain(right):
        (a, b), axes = align([as_float(left), as_float(right)])
        if not is_traced(a) and is_traced(b) and value_of(a).dim() == 0:
            mirrored = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(symbol, symbol)
            function, a, b = _COMPARISONS[mirrored], b, a
        kinds, valid = merge_errors(left, right), both_valid(left, right)
        return _as_logical(Array(apply(function, a, b), axes, shape, kinds, valid=valid))
    kinds_left, kinds_right = np.broadcast_arrays(left.full_kinds, right.full_kinds)
    rank_left, rank_right = _rank(kinds_left, kinds_right), _rank(kinds_right, kinds_left)
    numbers_left = np.broadcast_to(logical(left), shape)
    numbers_right = np.broadcast_to(logical(right), shape)
    by_number = (rank_left == rank_right) & (rank_left != TEXT)
    outcome = function(rank_left, rank_right)
    outcome = np.where(by_number, function(numbers_left, numbers_right), outcome)
    both_texts = (rank_left == TEXT) & (rank_right == TEXT)
    if both_texts.any():
        outcome = np.where(both_texts, _compared_texts(function, left, right, shape), outcome)
    kinds = np.full(shape, LOGICAL, dtype=np.uint8)
    for errors in (kinds_right, kinds_left):
        kinds = np.where(errors >= FIRST_ERROR, errors, kinds).astype(np.uint8)
    if (left.traced or right.traced) and by_number.any():
        (a, b), axes = align([as_float(filled(left)), as_float(filled(right))])
        compared = Array(apply(function, a, b), axes, shape, valid=both_valid(left, right))
        if not by_number.all():  # what compares by its class is known whatever the numbers are
            known = constant(np.where(by_number, 0.0, outcome).astype(float))
            compared = choose(constant(by_number.astype(float)), compared, known)
        return replace(compared, kinds=kinds, texts=None)
    return constant(np.where(kinds >= FIRST_ERROR, np.nan, outcome), kinds)


def _compared_texts(
    function: Callable[..., Any], left: Array, right: Array, shape: Shape
) -> NDArray[np.bool_]:
    """A comparison of texts, element by element."""
    one = left if right.texts is None or right.texts.size > 1 else right
    many = right if one is left else left
    if function in (operator.eq, operator.ne) and one.texts is not None and one.texts.size == 1:
        texts = np.asarray("" if many.texts is None else many.texts, dtype=object)
        key = collated(one.texts.item())
        equal = np.zeros(texts.shape, dtype=bool)
        for spelling in set(texts.reshape(-1).tolist()):
            if collated(spelling) == key:
                equal |= texts == spelling
        return np.broadcast_to(equal if function is operator.eq else ~equal, shape)
    return np.asarray(function(_folded(left, shape), _folded(right, shape)).astype(bool))


def _rounded_together(left: Array, right: Array) -> Array:
    """The left side, made equal to the right where both show the same 15 digits, as in Excel."""
    if _is_mask(left) or _is_mask(right):
        return left
    if left.traced or right.traced:
        if _is_zero(left) or _is_zero(right):
            return left  # only 0 shows as 0
        if is_drawn(left.data) or is_drawn(right.data):
            return left  # the last digits of a draw are no matter
        (a, b), axes = align([as_float(filled(left)), as_float(filled(right))])
        return replace(
            left, data=apply(rounded_to, a, b), axes=axes, shape=broadcast_shape(left, right),
            valid=both_valid(left, right),
        )  # fmt: skip
    numbers = rounded_numbers(left.numpy(), right.numpy())
    if numbers is None:
        return left
    shape = numbers.shape
    return constant(
        numbers, np.broadcast_to(left.full_kinds, shape).copy(),
        np.broadcast_to(left.full_texts, shape).copy(),
    )  # fmt: skip


def rounded_numbers(
    left: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Numbers made equal to others where both show the same 15 digits; None where none do."""
    one, other = np.broadcast_arrays(left, right)
    with np.errstate(invalid="ignore"):
        close = (one != other) & (np.abs(one - other) <= 1e-14 * np.abs(other))
    if not close.any():
        return None
    numbers = np.array(one)
    for place in np.argwhere(close):
        at = tuple(place)
        if f"{one[at]:.15g}" == f"{other[at]:.15g}":
            numbers[at] = other[at]
    return numbers


@recorded(bend=Bend.STEP)
def rounded_to(number: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A number, or the other one where both show the same 15 digits; without slope."""
    number = torch.as_tensor(number, dtype=DTYPE).detach()
    other = torch.as_tensor(other, dtype=DTYPE).detach()
    size = torch.where(other == 0, 1.0, torch.abs(other))
    unit = 10.0 ** (torch.floor(torch.log10(size)) - 14)
    same = torch.round(number / unit) == torch.round(other / unit)
    return torch.where(same, other, number)


def _is_zero(array: Array) -> bool:
    return not array.traced and bool((logical(array) == 0).all())


def _is_mask(array: Array) -> bool:
    return value_of(array.data).dtype == torch.bool


def _plain(array: Array) -> bool:
    """Whether there are neither texts nor logicals: these compare by class, not by number."""
    return array.kinds is None or not np.isin(array.kinds, (TEXT, LOGICAL)).any()


def _rank(kinds: Kinds, others: Kinds) -> Kinds:
    """Class of a value in comparisons; a blank takes the other side's class."""
    ranks = np.where(kinds == BLANK, np.where(others == BLANK, NUMBER, others), kinds)
    order = np.array([0, 0, 5, 3], dtype=np.uint8)  # number < text (3) < logical
    known = np.minimum(ranks, 3)
    return np.where(ranks >= FIRST_ERROR, 0, order[known]).astype(np.uint8)


def _folded(array: Array, shape: tuple[int, ...]) -> Texts:
    texts = np.asarray("" if array.texts is None else array.texts, dtype=object)
    flat = texts.reshape(-1).tolist()
    known = {text: collated(text) for text in set(flat)}
    folded = np.array([known[text] for text in flat], dtype=object).reshape(texts.shape)
    return np.broadcast_to(folded, shape)


def _as_logical(array: Array) -> Array:
    if array.traced:
        return as_kind(array, LOGICAL)
    numbers = logical(array)
    kinds = np.full(array.shape, LOGICAL, dtype=np.uint8)
    if array.kinds is not None:
        kinds = np.where(array.full_kinds >= FIRST_ERROR, array.full_kinds, kinds)
    return constant(np.where(kinds >= FIRST_ERROR, np.nan, numbers), kinds)


def texts_of(array: Array) -> Texts:
    """Each element as the text that ``&`` makes of it. Raises Unsupported when traced."""
    numbers, kinds, texts = array.numpy(), array.full_kinds, array.full_texts
    result = np.empty(array.shape, dtype=object)
    for place in np.ndindex(array.shape):
        kind = int(kinds[place])
        if kind == TEXT:
            result[place] = texts[place]
        elif kind == BLANK:
            result[place] = ""
        elif kind == LOGICAL:
            result[place] = "TRUE" if numbers[place] else "FALSE"
        elif kind >= FIRST_ERROR:
            result[place] = str(error_of_kind(kind))
        else:
            result[place] = number_text(float(numbers[place]))
    return result


def number_text(number: float) -> str:
    """A number as Excel's General format writes it into a text (15 significant digits)."""
    text = display(number + 0.0 if number else 0.0)
    mantissa, mark, exponent = text.partition("e")
    if not mark:
        return text
    if -10 < int(exponent) < 0:
        return f"{number:.{14 - int(exponent)}f}".rstrip("0")
    if 0 < int(exponent) < 21:
        return f"{number:.0f}"
    return f"{mantissa}E{int(exponent):+03d}"


def concatenate(left: Array, right: Array) -> Array:
    """``&``: texts joined."""
    shape = broadcast_shape(left, right)
    left, right = pad(left, shape), pad(right, shape)
    before, after = texts_of(left), texts_of(right)
    kinds = np.full(shape, TEXT, dtype=np.uint8)
    lengths = [np.vectorize(len, otypes=[np.int64])(part) for part in (before, after)]
    if int(lengths[0].max()) + int(lengths[1].max()) > MOST_LETTERS:
        long = np.broadcast_to(lengths[0] + lengths[1] > MOST_LETTERS, shape)
        kinds[long] = VALUE.kind
        before = np.where(long, "", before)
        after = np.where(long, "", after)
    joined = np.broadcast_to(before, shape) + np.broadcast_to(after, shape)
    errors = merge_errors(left, right)
    if errors is not None:
        kinds = np.where(errors != NUMBER, errors, kinds).astype(np.uint8)
    return constant(np.zeros(shape), kinds, joined)
