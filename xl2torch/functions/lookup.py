"""Lookup and reference. What decides *where* to look must be constant; what is found may train."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xl2torch.address import MAX_COLUMN, MAX_ROW
from xl2torch.formula.ast import Missing, Node, Reference
from xl2torch.functions.array import (
    COLUMN,
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    Differs,
    ExcelError,
    Unsupported,
    along,
    as_numbers,
    constant,
)  # fmt: skip
from xl2torch.functions.registry import Context, IntArray, function
from xl2torch.values import BLANK, FIRST_ERROR, NA, NUMBER, REF, TEXT, VALUE, error_of_kind


def _whole(context: Context, node: Node | None, default: int) -> IntArray:
    """A constant whole number per cell of the region, fractions cut off."""
    if node is None or isinstance(node, Missing):
        return np.full((1, 1, 1, 1), default, dtype=np.int64)
    array = as_numbers(context.evaluate(node))
    if array.shape[HEIGHT] != 1 or array.shape[WIDTH] != 1:
        raise Unsupported("an offset that is an array")
    errors = array.full_kinds[array.full_kinds >= FIRST_ERROR]
    if len(errors):
        if array.shape != (1, 1, 1, 1):
            raise Differs("an offset that is an error in some of the copied cells")
        raise ExcelError(error_of_kind(int(errors[0])))
    return np.floor(array.numpy()).astype(np.int64)


def _reference(context: Context, node: Node, what: str) -> tuple[str, IntArray, IntArray, int, int]:
    """First row and column per cell of the region, and the size, of a reference argument."""
    if not isinstance(node, Reference):
        raise Unsupported(f"{what} of something that is not a plain reference")
    area, moves_down, moves_right = context.area(node)
    rows = np.full((1, 1, 1, 1), area.top, dtype=np.int64)
    columns = np.full((1, 1, 1, 1), area.left, dtype=np.int64)
    if moves_down:
        rows = rows + np.arange(context.region.rows).reshape(-1, 1, 1, 1)
    if moves_right:
        columns = columns + np.arange(context.region.columns).reshape(1, -1, 1, 1)
    return area.sheet, rows, columns, area.rows, area.columns


def _size(value: IntArray) -> int:
    if value.min() != value.max():
        raise Differs("a height or width that differs among the copied cells")
    size = int(value.flat[0])
    if size == 0:
        raise ExcelError(REF)
    return size


@function("OFFSET", "nnn", "nn")
def offset(
    context: Context, base: Node, rows: Node, columns: Node,
    height: Node | None = None, width: Node | None = None,
) -> Array:  # fmt: skip
    """A range moved from a reference. With constant arguments it is an index: an embedding."""
    sheet, top, left, base_height, base_width = _reference(context, base, "OFFSET")
    tall = _size(_whole(context, height, base_height))
    wide = _size(_whole(context, width, base_width))
    top = top + _whole(context, rows, 0)
    left = left + _whole(context, columns, 0)
    if tall < 0:
        top, tall = top + tall + 1, -tall
    if wide < 0:
        left, wide = left + wide + 1, -wide
    return _window(context, sheet, top, left, tall, wide)


def _window(
    context: Context, sheet: str, top: IntArray, left: IntArray, tall: int, wide: int
) -> Array:
    if (
        top.min() < 1
        or left.min() < 1
        or top.max() + tall - 1 > MAX_ROW
        or (left.max() + wide - 1 > MAX_COLUMN)
    ):
        if top.size == left.size == 1:
            raise ExcelError(REF)
        raise Differs("some of the copied cells look beyond the sheet (#REF!)")
    return context.gather(
        sheet,
        top + np.arange(tall).reshape(1, 1, -1, 1),
        left + np.arange(wide).reshape(1, 1, 1, -1),
    )


@function("INDEX", "nn", "nn")
def index(
    context: Context, base: Node, row: Node, column: Node | None = None, part: Node | None = None
) -> Array:
    """One cell of a range or array, or a whole row or column of it when the other index is 0."""
    if part is not None and (_whole(context, part, 1) != 1).any():
        raise ExcelError(REF)
    if not isinstance(base, Reference):
        return _element(context, context.evaluate(base, array=True), row, column)
    sheet, top, left, tall, wide = _reference(context, base, "INDEX")
    rows, columns = _whole(context, row, 0), _whole(context, column, 0)
    if column is None:
        if tall == 1:
            rows, columns = np.ones_like(rows), rows
        elif wide == 1:
            columns = np.ones_like(rows)
    if rows.min() < 0 or columns.min() < 0:
        raise ExcelError(VALUE)
    if rows.max() > tall or columns.max() > wide:
        if rows.size == columns.size == 1:
            raise ExcelError(REF)
        raise Differs("some of the copied cells look beyond the range (#REF!)")
    all_rows, all_columns = not rows.any(), not columns.any()
    if (not all_rows and rows.min() == 0) or (not all_columns and columns.min() == 0):
        raise Differs("INDEX with 0 in only some of the copied cells")
    return _window(
        context,
        sheet,
        top if all_rows else top + rows - 1,
        left if all_columns else left + columns - 1,
        tall if all_rows else 1,
        wide if all_columns else 1,
    )


def _element(context: Context, array: Array, row: Node, column: Node | None) -> Array:
    """INDEX into a computed array, at one constant place for all copies."""
    rows, columns = _whole(context, row, 0), _whole(context, column, 0)
    if rows.size > 1 or columns.size > 1:
        raise Differs("INDEX into an array at a place that differs among the copied cells")
    at = [int(rows.flat[0]), int(columns.flat[0])]
    if column is None and array.shape[HEIGHT] == 1:
        at = [1, at[0]]
    for axis, place in zip((HEIGHT, WIDTH), at, strict=True):
        if place < 0:
            raise ExcelError(VALUE)
        if place > array.shape[axis]:
            raise ExcelError(REF)
        if place:
            array = along(array, axis, place - 1, 1, 1)
    return array


@function("ROW", "", "n")
def row(context: Context, node: Node | None = None) -> Array:
    """Row number of a reference, or of the formula's own cell."""
    if node is None:
        return constant(
            np.arange(context.region.top, context.region.bottom + 1.0).reshape(-1, 1, 1, 1)
        )
    _, rows, _, tall, _ = _reference(context, node, "ROW")
    return constant((rows + np.arange(tall).reshape(1, 1, -1, 1)).astype(float))


@function("COLUMN", "", "n")
def column(context: Context, node: Node | None = None) -> Array:
    """Column number of a reference, or of the formula's own cell."""
    if node is None:
        return constant(
            np.arange(context.region.left, context.region.right + 1.0).reshape(1, -1, 1, 1)
        )
    _, _, columns, _, wide = _reference(context, node, "COLUMN")
    return constant((columns + np.arange(wide).reshape(1, 1, 1, -1)).astype(float))


@function("ROWS", "n")
def rows(context: Context, node: Node) -> Array:
    """How many rows a range or array has."""
    if isinstance(node, Reference):
        tall = MAX_ROW if node.whole_columns else _reference(context, node, "ROWS")[3]
        return constant(np.full((1, 1, 1, 1), float(tall)))
    return constant(np.full((1, 1, 1, 1), float(context.evaluate(node, array=True).shape[HEIGHT])))


@function("COLUMNS", "n")
def columns(context: Context, node: Node) -> Array:
    """How many columns a range or array has."""
    if isinstance(node, Reference):
        wide = MAX_COLUMN if node.whole_rows else _reference(context, node, "COLUMNS")[4]
        return constant(np.full((1, 1, 1, 1), float(wide)))
    return constant(np.full((1, 1, 1, 1), float(context.evaluate(node, array=True).shape[WIDTH])))


@function("MATCH", "vr", "v")
def match(wanted: Array, among: Array, kind: Array | None = None) -> Array:
    """Position in a row or column: 1 the last that is not larger, 0 the first equal, -1 the last
    that is not smaller. Without a match it is #N/A."""
    if among.shape[ROW] != 1 or among.shape[COLUMN] != 1:
        raise Differs("MATCH in a range that moves as the formula is copied")
    if among.shape[HEIGHT] != 1 and among.shape[WIDTH] != 1:
        raise ExcelError(NA)
    mode = 1 if kind is None else int(np.sign(kind.numpy().flat[0]))
    numbers, kinds = among.numpy().reshape(-1), among.full_kinds.reshape(-1)
    texts = np.array([str(text).lower() for text in among.full_texts.reshape(-1)], dtype=object)
    result = np.full(wanted.shape, np.nan)
    errors = np.full(wanted.shape, NA.kind, dtype=np.uint8)
    wanted_numbers, wanted_kinds = wanted.numpy(), wanted.full_kinds
    wanted_texts = wanted.full_texts
    for place in np.ndindex(wanted.shape):
        wanted_kind = int(wanted_kinds[place])
        if wanted_kind >= FIRST_ERROR:
            errors[place] = wanted_kind
            continue
        if wanted_kind == BLANK:
            wanted_kind = NUMBER
        same = kinds == wanted_kind
        if wanted_kind == TEXT:
            word = str(wanted_texts[place]).lower()
            if mode == 0 and any(mark in word for mark in "*?~"):
                pattern = wildcard(word)
                hits = np.array([bool(pattern.fullmatch(text)) for text in texts])
                position = _position(hits, True, same, 0)
            else:
                position = _position(texts, word, same, mode)
        else:
            position = _position(numbers, float(wanted_numbers[place]), same, mode)
        if position is not None:
            result[place], errors[place] = position + 1, NUMBER
    return constant(result, errors)


def wildcard(text: str) -> re.Pattern[str]:
    """Excel's wildcards: ``*`` any text, ``?`` one character, ``~`` takes the next literally."""
    pieces = re.findall(r"~[*?~]|.", text, re.DOTALL)
    kinds = {"*": ".*", "?": "."}
    return re.compile("".join(kinds.get(piece) or re.escape(piece[-1]) for piece in pieces), re.S)


def _position(values: NDArray[Any], wanted: object,
              same: NDArray[np.bool_], mode: int) -> int | None:  # fmt: skip
    """Index of the match. Mode 1 is Excel's binary search, which trusts that the list is sorted."""
    if mode == 0:
        found = np.flatnonzero(same & (values == wanted))
        return int(found[0]) if len(found) else None
    candidates = np.flatnonzero(same)
    if not len(candidates):
        return None
    if mode > 0:
        low, high = 0, len(candidates)
        while low < high:
            middle = (low + high) // 2
            if values[candidates[middle]] <= wanted:
                low = middle + 1
            else:
                high = middle
        return int(candidates[low - 1]) if low else None
    fitting = np.flatnonzero(values[candidates] >= wanted)
    run = 0
    while run < len(candidates) and run in fitting:
        run += 1
    return int(candidates[run - 1]) if run else None
