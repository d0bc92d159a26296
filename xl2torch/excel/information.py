"""Information about values."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from xl2torch.arrays.array import (
    Array,
    ExcelError,
    Kinds,
    Unsupported,
    as_float,
    as_kind,
    as_numbers,
    choose,
    constant,
    elementwise,
    scalar,
    where_constant,
)
from xl2torch.cells.values import (
    BLANK,
    DIV0,
    ERRORS,
    FIRST_ERROR,
    LOGICAL,
    NA,
    NAME,
    NUMBER,
    TEXT,
    VALUE,
)
from xl2torch.excel.registry import family, function
from xl2torch.safety.plain_text import short


@family(
    {
        "ISBLANK": lambda kinds: kinds == BLANK,
        "ISNUMBER": lambda kinds: kinds == NUMBER,
        "ISTEXT": lambda kinds: kinds == TEXT,
        "ISNONTEXT": lambda kinds: kinds != TEXT,
        "ISLOGICAL": lambda kinds: kinds == LOGICAL,
        "ISERROR": lambda kinds: kinds >= FIRST_ERROR,
        "ISERR": lambda kinds: (kinds >= FIRST_ERROR) & (kinds != NA.kind),
        "ISNA": lambda kinds: kinds == NA.kind,
    },
    "v",
    gradient="step",
)
def is_of_kind(test: Callable[[Kinds], Kinds], value: Array) -> Array:
    """Whether a value is of a kind: decided by kinds alone, so by constants."""
    kinds = np.full(value.shape, LOGICAL, dtype=np.uint8)
    if value.valid is not None:
        missing, other = test(np.array([NA.kind, DIV0.kind], dtype=np.uint8)).astype(bool).tolist()
        if missing != other and value.valid.missing is None:
            raise Unsupported("whether the error that a trained value becomes is #N/A")
        as_error = scalar(missing if value.valid.missing else other)
        plain = constant(test(value.full_kinds).astype(float), kinds)
        return choose(value.valid, plain, as_error)
    return constant(test(value.full_kinds).astype(float), kinds)


@function("NA", gradient="none")
def na() -> Array:
    """#N/A."""
    kinds = np.full((1, 1, 1, 1), NA.kind, dtype=np.uint8)
    return constant(np.full((1, 1, 1, 1), np.nan), kinds)


@function("N", "v")
def n(value: Array) -> Array:
    """A number as it is, a logical as 1 or 0, a text as 0."""
    if value.kinds is None or not (value.kinds == TEXT).any():
        return as_numbers(value)
    numbers = where_constant(np.asarray(value.kinds != TEXT), as_float(value), 0.0)
    kinds = np.where(value.kinds >= FIRST_ERROR, value.kinds, NUMBER).astype(np.uint8)
    return replace(numbers, kinds=kinds if kinds.any() else None)


_TYPES = {NUMBER: 1.0, BLANK: 1.0, TEXT: 2.0, LOGICAL: 4.0}


@function("TYPE", "r", gradient="none")
def type_(value: Array) -> Array:
    """Kind of a value: 1 number, 2 text, 4 logical, 16 error, 64 array."""
    if value.shape[2:] != (1, 1):
        return scalar(64.0)
    if value.valid is not None:
        raise Unsupported("a trained value decides whether it is a number or an error")
    kinds = value.full_kinds
    found = np.select([kinds == kind for kind in _TYPES], list(_TYPES.values()), 16.0)
    return constant(found)


_ERROR_TYPES = {
    "#NULL!": 1, "#DIV/0!": 2, "#VALUE!": 3, "#REF!": 4, "#NAME?": 5, "#NUM!": 6, "#N/A": 7,
    "#GETTING_DATA": 8, "#SPILL!": 9, "#CONNECT!": 10, "#BLOCKED!": 11, "#UNKNOWN!": 12,
    "#FIELD!": 13, "#CALC!": 14,
}  # fmt: skip


@function("ERROR.TYPE", "v", gradient="none")
def error_type(value: Array) -> Array:
    """Number of an error; of anything else #N/A."""
    if value.valid is not None:
        raise Unsupported("which error a trained value becomes is not known")
    kinds = value.full_kinds
    numbers, errors = np.full(kinds.shape, np.nan), np.full(kinds.shape, NA.kind, dtype=np.uint8)
    for text, number in _ERROR_TYPES.items():
        here = kinds == ERRORS[text].kind
        numbers[here], errors[here] = number, NUMBER
    return constant(numbers, errors)


@family({"ISEVEN": 0.0, "ISODD": 1.0}, "v", gradient="step")
def iseven(rest: float, value: Array) -> Array:
    """Whether the whole part is even (odd); of a logical it is #VALUE!."""
    if value.kinds is not None and (value.kinds == LOGICAL).any():
        kinds = np.where(value.full_kinds == LOGICAL, VALUE.kind, value.full_kinds)
        value = replace(value, kinds=kinds.astype(np.uint8))
    whole = elementwise(torch.trunc, value)
    halves = elementwise(torch.remainder, whole, scalar(2.0), keep=True)
    return as_kind(as_float(elementwise(operator.eq, halves, scalar(rest), keep=True)), LOGICAL)


_SHOWN = 60


@function("DUMMYFUNCTION", "r", repeats=True, gradient="none")
def dummyfunction(text: Array, *cells: Array) -> Array:
    """What Google Sheets writes for its own functions: #NAME?, caught by the IFERROR around it.

    ``cells`` are those that its formula reads: its last value would not follow trained ones.
    """
    if any(cell.traced for cell in cells):
        formula = short(str(text.full_texts.flat[0]), _SHOWN)
        raise Unsupported(
            f"it is a formula of Google Sheets, {formula}, of which the file holds the last value "
            "only: write it in Excel's functions"
        )
    raise ExcelError(NAME)
