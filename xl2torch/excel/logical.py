"""Logical functions. A branch that is not taken sends back no gradient, not even NaN."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from xl2torch.arrays.array import (
    INNER,
    Array,
    Kinds,
    Unsupported,
    all_valid,
    as_float,
    as_kind,
    as_references,
    broadcast_shape,
    choose,
    constant,
    defused,
    elementwise,
    is_typed,
    pad,
    reduce,
    reduce_errors,
    scalar,
    truth,
    where_counted,
)  # fmt: skip
from xl2torch.arrays.operators import compare
from xl2torch.arrays.sample import plain
from xl2torch.cells.values import FIRST_ERROR, LOGICAL, NA, NUMBER, VALUE
from xl2torch.excel.registry import Context, function
from xl2torch.ir.trace import apply


@function("IF", "v", "bb")
def if_(condition: Array, yes: Array | None = None, no: Array | None = None) -> Array:
    """One of two values; an omitted one is FALSE, an empty one 0."""
    return choose(
        truth(condition),
        scalar(True) if yes is None else yes,
        scalar(False) if no is None else no,
    )


@function("TRUE", gradient="none")
def true() -> Array:
    """TRUE."""
    return scalar(True)


@function("FALSE", gradient="none")
def false() -> Array:
    """FALSE."""
    return scalar(False)


@function("NOT", "v", gradient="step")
def not_(value: Array) -> Array:
    """The opposite truth value."""
    flipped = elementwise(operator.eq, truth(value), scalar(0.0), keep=True)
    return as_kind(_settled(flipped), LOGICAL)


def _settled(array: Array) -> Array:
    """Constant truth values as numbers; a traced one stays a mask, which IF uses as it is."""
    return array if array.traced else as_float(array)


def _combined(arrays: tuple[Array, ...], rule: Callable[..., Any]) -> Array:
    """AND, OR over everything that is a number or a logical; nothing of the kind is #VALUE!."""
    result: Array | None = None
    arrays = tuple(truth(a) if is_typed(a) else a for a in map(as_references, arrays))
    errors = reduce_errors(arrays)
    some: Any = np.zeros((1, 1, 1, 1), dtype=bool)
    for array in arrays:
        some = some | _counts(array)
        array = _counted(array, 1.0 if rule is torch.all else 0.0)
        test = apply(operator.ne, array.data, 0.0)
        dims = [dim for dim, axis in enumerate(array.axes) if axis in INNER]
        kept = tuple(axis for axis in array.axes if axis not in INNER)
        for dim in reversed(dims):
            test = apply(rule, test, dim=dim)
        valid = all_valid(array, INNER)
        part = Array(test, kept, (*array.shape[:2], 1, 1), valid=valid)
        both = torch.logical_and if rule is torch.all else torch.logical_or
        result = part if result is None else elementwise(both, result, part, keep=True)
    assert result is not None
    result = replace(result, kinds=_errors_or_nothing(errors, some))
    return as_kind(_settled(result), LOGICAL)


def _counted(array: Array, neutral: float) -> Array:
    """The numbers of an array, with a neutral one in the place of what is no number or logical."""
    counts = np.isin(array.full_kinds, (NUMBER, LOGICAL))
    return where_counted(counts, plain(array), neutral)


def _counts(array: Array) -> Any:
    """In which copies there is a number or a logical."""
    if array.kinds is None:
        return np.ones((1, 1, 1, 1), dtype=bool)
    return np.isin(array.kinds, (NUMBER, LOGICAL)).any(axis=INNER, keepdims=True)


def _errors_or_nothing(errors: Kinds | None, some: Any) -> Kinds | None:
    """The errors met, and #VALUE! in the copies in which nothing counts."""
    if errors is None and some.all():
        return None
    found = np.uint8(NUMBER) if errors is None else errors
    return np.where((found == NUMBER) & ~some, VALUE.kind, found).astype(np.uint8)


@function("AND", "r", repeats=True, gradient="step")
def and_(*arrays: Array) -> Array:
    """Whether all are true."""
    return _combined(arrays, torch.all)


@function("OR", "r", repeats=True, gradient="step")
def or_(*arrays: Array) -> Array:
    """Whether any is true."""
    return _combined(arrays, torch.any)


def replaced_errors(
    value: Array, alternative: Array, kinds: tuple[int, ...] | None, where: Array | None = None
) -> Array:
    """Replace errors: constant ones by their kind (all when None), trained ones by the mask.

    ``where``: the array whose errors are meant, unless the value itself.
    """
    shape = broadcast_shape(value, alternative)
    value, alternative = pad(value, shape), pad(alternative, shape)
    if value.valid is not None and kinds == (NA.kind,) and value.valid.missing is None:
        raise Unsupported("whether the error that a trained value becomes is #N/A")
    if value.valid is not None and (kinds is None or value.valid.missing):
        safe = defused(value)
        assert safe.valid is not None
        return choose(safe.valid, replace(safe, valid=None), alternative)
    tested = (where or value).full_kinds
    errors = tested >= FIRST_ERROR if kinds is None else np.isin(tested, kinds)
    if not errors.any():
        return choose(constant(np.ones(shape)), value, alternative)
    return choose(constant(np.broadcast_to(~errors, shape).astype(float)), value, alternative)


@function("IFERROR", "bb")
def iferror(value: Array, alternative: Array) -> Array:
    """The value, or the alternative where it is an error."""
    return replaced_errors(value, alternative, None)


@function("IFNA", "bb")
def ifna(value: Array, alternative: Array) -> Array:
    """The value, or the alternative where it is #N/A."""
    return replaced_errors(value, alternative, (NA.kind,))


@function("XOR", "r", repeats=True, gradient="step")
def xor(*arrays: Array) -> Array:
    """Whether an odd number is true."""
    arrays = tuple(truth(a) if is_typed(a) else a for a in map(as_references, arrays))
    errors = reduce_errors(arrays)
    total = scalar(0.0)
    some: Any = np.zeros((1, 1, 1, 1), dtype=bool)
    for array in arrays:
        some = some | _counts(array)
        test = elementwise(operator.ne, _counted(array, 0.0), scalar(0.0), keep=True)
        total = elementwise(operator.add, total, reduce(torch.sum, as_float(test)), keep=True)
    odd = elementwise(torch.remainder, total, scalar(2.0), keep=True)
    result = as_float(elementwise(operator.ne, odd, scalar(0.0), keep=True))
    return as_kind(replace(result, kinds=_errors_or_nothing(errors, some)), LOGICAL)


def _pairs(arguments: tuple[Any, ...]) -> tuple[list[tuple[Any, Any]], Any]:
    """Tests with their values, and what is left over."""
    pairs = list(zip(arguments[::2], arguments[1::2], strict=False))
    return pairs, arguments[-1] if len(arguments) % 2 else None


def _first_that_holds(
    context: Context, cases: Sequence[tuple[Callable[[], Array], Any]], otherwise: Any
) -> Array:
    """Value of the first case whose test holds; later cases are not computed when one is certain.

    ``otherwise``: the tree used when none holds; None is #N/A.
    """
    tests: list[tuple[Array, Array]] = []
    last: Array | None = None
    for make, branch in cases:
        test = make()
        known = not test.traced and test.kinds is None and test.valid is None
        if known and not (test.numpy() != 0).any():
            continue
        value = context.evaluate_branch(branch)
        if known and (test.numpy() != 0).all():
            last = value
            break
        tests.append((test, value))
    if last is None:
        last = scalar(NA) if otherwise is None else context.evaluate_branch(otherwise)
    for test, value in reversed(tests):
        last = choose(test, value, last)
    return last


def _truth_of(context: Context, test: Any) -> Array:
    return truth(context.evaluate(test))


def _equals(context: Context, value: Array, case: Any) -> Array:
    return truth(compare("=", value, context.evaluate(case)))


@function("IFS", "nn", repeats=True)
def ifs(context: Context, *arguments: Any) -> Array:
    """The value behind the first test that holds; none is #N/A."""
    if len(arguments) % 2:
        raise Unsupported("IFS with a test that has no value")
    pairs, _ = _pairs(arguments)
    cases = [(partial(_truth_of, context, test), value) for test, value in pairs]
    return _first_that_holds(context, cases, None)


@function("SWITCH", "nnn", repeats=True)
def switch(context: Context, subject: Any, *arguments: Any) -> Array:
    """The value behind the first case that equals the subject, else the default or #N/A."""
    value = context.evaluate(subject)
    pairs, otherwise = _pairs(arguments)
    cases = [(partial(_equals, context, value, case), result) for case, result in pairs]
    return _first_that_holds(context, cases, otherwise)
