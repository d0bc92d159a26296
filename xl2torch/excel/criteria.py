"""Criteria of COUNTIF and its kin: ``5``, ``">=2"``, ``"b*"``, ``"<>"``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.arrays.array import (
    Array,
    NotVectorisable,
    Unsupported,
    as_float,
    broadcast_shape,
    check_count,
    choose,
    constant,
    elementwise,
    number_from_text,
    scalar,
    where_constant,
    without_numbers,
)  # fmt: skip
from xl2torch.arrays.dates_in_text import moment_from_text
from xl2torch.arrays.operators import compare, rounded_numbers
from xl2torch.arrays.sample import plain
from xl2torch.cells.values import BLANK, ERRORS, FIRST_ERROR, LOGICAL, NUMBER, TEXT, collated
from xl2torch.safety.limits import MOST_COMPARISONS

Mask = NDArray[np.bool_]
_OPERATOR = re.compile(r"(<=|>=|<>|<|>|=)?(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[..., Any]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, ">": operator.gt,
    "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_OVERHEAD = 10_000
"""Cells that could be compared while another criterion is taken up."""


@dataclass(frozen=True)
class Criterion:
    """A comparison with a number, a logical (as a number), a text, an error or nothing."""

    comparison: str
    kind: int
    number: float = 0.0
    text: str = ""
    bare: bool = False


@dataclass(frozen=True)
class Wildcard:
    """A text with Excel's wildcards as the patterns between its stars.

    Each is looked for where it comes first after the one before: none is ever looked for again, so
    that the time is no more than the lengths' product.
    """

    pieces: tuple[re.Pattern[str], ...]

    def fits(self, text: str) -> bool:
        """Whether it stands for the whole text."""
        first, *others = self.pieces
        if not others:
            return first.fullmatch(text) is not None
        begun = first.match(text)
        *middle, last = others
        end = None if begun is None else _behind(middle, text, begun.end())
        ending = len(text) - _length(last)
        return end is not None and ending >= end and last.match(text, ending) is not None

    def find(self, text: str, start: int) -> int:
        """Where it stands first; -1 where it does not."""
        first, *others = self.pieces
        found = first.search(text, start)
        if found is None or _behind(others, text, found.end()) is None:
            return -1  # further on there would be less room for the others
        return found.start()


def _behind(pieces: Iterable[re.Pattern[str]], text: str, start: int) -> int | None:
    """The end of the last of some pieces, one after the other."""
    for piece in pieces:
        found = piece.search(text, start)
        if found is None:
            return None
        start = found.end()
    return start


def _length(piece: re.Pattern[str]) -> int:
    """Letters that a piece stands for: as many as it has, but for backslashes."""
    return len(re.sub(r"\\(.)", r"\1", piece.pattern, flags=re.DOTALL))


def wildcard(text: str) -> Wildcard:
    """Excel's wildcards: ``*`` any text, ``?`` one character, ``~`` takes the next literally."""
    pieces = [""]
    for piece in re.findall(r"~[*?~]|.", text, re.DOTALL):
        if piece == "*":
            pieces.append("")
        else:
            pieces[-1] += "." if piece == "?" else re.escape(piece[-1])
    return Wildcard(tuple(re.compile(piece, re.DOTALL) for piece in pieces))


def criterion_of(kind: int, number: float, text: str) -> Criterion:
    """The criterion that an argument stands for."""
    if kind in (NUMBER, BLANK):
        return Criterion("=", NUMBER, 0.0 if kind == BLANK else number)
    if kind != TEXT:
        return Criterion("=", kind, number)
    match = _OPERATOR.fullmatch(text)
    assert match is not None
    comparison, operand = match[1] or "=", match[2]
    if not operand:
        return Criterion(comparison, BLANK, bare=match[1] is None)
    if operand.upper() in ("TRUE", "FALSE"):
        return Criterion(comparison, LOGICAL, float(operand.upper() == "TRUE"))
    if operand.upper() in ERRORS:
        return Criterion(comparison, ERRORS[operand.upper()].kind)
    value = number_from_text(operand)
    if value is None:
        value = moment_from_text(operand)
    if value is not None:
        return Criterion(comparison, NUMBER, value)
    return Criterion(comparison, TEXT, text=operand.lower())


def matches(criterion: Criterion, numbers: Any, kinds: Any, texts: Any) -> Mask:
    """Which elements meet a criterion; all arrays have one shape."""
    equal = criterion.comparison in ("=", "<>")
    if criterion.kind == BLANK:
        found = kinds == BLANK
        if criterion.bare:
            found = found | ((kinds == TEXT) & (texts == ""))
        elif not equal:
            found = np.zeros(kinds.shape, dtype=bool)
    elif criterion.kind == TEXT:
        found = _text_matches(criterion, kinds, texts)
    elif criterion.kind >= FIRST_ERROR:
        found = kinds == criterion.kind
    else:
        holds = _COMPARE["=" if equal else criterion.comparison]
        shown = rounded_numbers(numbers, np.asarray(criterion.number))
        with np.errstate(invalid="ignore"):
            found = kinds == criterion.kind
            found = found & holds(numbers if shown is None else shown, criterion.number)
        if equal and criterion.kind == NUMBER and (kinds == TEXT).any():
            found = found | _texts_that_read_as(criterion.number, kinds, texts)
    return ~found if criterion.comparison == "<>" else np.asarray(found)


def _texts_that_read_as(number: float, kinds: Any, texts: Any) -> Mask:
    found = np.zeros(kinds.shape, dtype=bool)
    for place in np.argwhere(kinds == TEXT):
        found[tuple(place)] = number_from_text(texts[tuple(place)]) == number
    return found


def _text_matches(criterion: Criterion, kinds: Any, texts: Any) -> Mask:
    is_text = kinds == TEXT
    if criterion.comparison in ("=", "<>"):
        pattern = wildcard(criterion.text)

        def test(text: str) -> bool:
            return pattern.fits(text.lower())
    else:
        holds = _COMPARE[criterion.comparison]

        def test(text: str) -> bool:
            return bool(holds(collated(text), collated(criterion.text)))

    known = {text: test(text) for text in set(texts[is_text].tolist())}
    found = np.zeros(kinds.shape, dtype=bool)
    found[is_text] = [known[text] for text in texts[is_text].tolist()]
    return found


def check_comparisons(criteria: int, cells: int) -> None:
    """Raise Unsupported where so many criteria for so many cells would take minutes."""
    count = criteria * (_OVERHEAD + cells)
    check_count(count, MOST_COMPARISONS, "comparisons of cells with criteria")


def met(cells: Array, criterion: Array) -> Array:
    """Which cells meet the criterion of their copy: 1 or 0, of shape (R, C, h, w).

    ``criterion`` has one value per copy. Cells or criteria that training changes are compared as
    numbers, without slope.
    """
    try:
        shape = broadcast_shape(cells, criterion)
    except Unsupported:
        if any(math.prod(array.shape[:2]) > 1 for array in (cells, criterion)):
            raise NotVectorisable("a table of conditions too large to hold") from None
        raise
    if criterion.traced:
        return _met_trained_criterion(cells, criterion)
    wanted = _listed(criterion)
    unique = list(dict.fromkeys(wanted))
    check_comparisons(len(unique), math.prod(cells.shape))
    rules = [criterion_of(*key) for key in unique]
    if cells.traced:
        known = dict(zip(unique, rules, strict=True))
        return _met_by_trained(cells, criterion, [known[key] for key in wanted])
    numbers, kinds = cells.numpy(), np.asarray(cells.full_kinds)
    texts = np.asarray(cells.full_texts)
    position = {key: index for index, key in enumerate(unique)}
    which = np.array([position[key] for key in wanted]).reshape(criterion.shape[:2])
    if cells.shape[:2] == (1, 1):
        table = np.stack([matches(rule, numbers[0, 0], kinds[0, 0], texts[0, 0]) for rule in rules])
        return constant(table[which].astype(float))
    result = np.zeros(shape)
    which = np.broadcast_to(which, shape[:2])
    spread = [np.broadcast_to(part, shape) for part in (numbers, kinds, texts)]
    for index, rule in enumerate(rules):
        copies = which == index
        result[copies] = matches(rule, *(part[copies] for part in spread))
    return constant(result)


def _listed(criterion: Array) -> list[tuple[int, float, str]]:
    """Kind, number and text of each copy's criterion."""
    kinds = criterion.full_kinds.reshape(-1).tolist()
    numbers = np.nan_to_num(criterion.numpy()).reshape(-1).tolist()
    return list(zip(kinds, numbers, criterion.full_texts.reshape(-1).tolist(), strict=True))


def _met_trained_criterion(cells: Array, criterion: Array) -> Array:
    """A criterion that training changes is a number; texts that read as it are not looked for."""
    if criterion.kinds is not None:
        raise Unsupported("a criterion that is sometimes a trained number, sometimes not")
    if (cells.full_kinds == TEXT).any():
        raise Unsupported("texts are compared with a criterion that is a trained number")
    if criterion.valid is not None and (
        cells.valid is not None or (cells.full_kinds >= FIRST_ERROR).any()
    ):
        raise Unsupported("errors are compared with a criterion that training may make one")
    numeric = np.asarray(cells.full_kinds == NUMBER)
    return where_constant(numeric, as_float(_compared("=", cells, criterion)), 0.0)


def _met_by_trained(cells: Array, criterion: Array, rules: list[Criterion]) -> Array:
    """Numbers and logicals that training changes are compared; all else is known by its kind.

    ``rules`` has one for each copy of the criterion.
    """

    def by_copy(values: list[Any]) -> NDArray[Any]:
        return np.array(values).reshape(*criterion.shape[:2], 1, 1)

    kinds = np.asarray(cells.full_kinds)
    asked = by_copy([rule.kind for rule in rules])
    result = met(without_numbers(cells), criterion)
    limits = constant(by_copy([rule.number for rule in rules]).astype(float))
    for comparison in dict.fromkeys(rule.comparison for rule in rules):
        here = by_copy([rule.comparison == comparison for rule in rules])
        by_number = (kinds == asked) & np.isin(kinds, (NUMBER, LOGICAL)) & here
        if by_number.any():
            compared = _compared(comparison, cells, limits)
            result = choose(constant(by_number.astype(float)), as_float(compared), result)
    return result


def _compared(comparison: str, cells: Array, limits: Array) -> Array:
    """A comparison of numbers at 15 digits; an element that is an error does not meet it."""
    found = compare("=" if comparison == "<>" else comparison, plain(cells), plain(limits))
    valid, found = found.valid, replace(found, kinds=None, texts=None, valid=None)
    if valid is not None:
        found = elementwise(torch.logical_and, found, valid, keep=True)
    if comparison == "<>":
        found = elementwise(operator.eq, as_float(found), scalar(0.0), keep=True)
    return found
