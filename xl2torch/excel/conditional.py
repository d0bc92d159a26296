"""Sums, counts, averages and extremes of the cells that meet criteria."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from xl2torch.arrays.array import (
    HEIGHT,
    INNER,
    WIDTH,
    Array,
    ExcelError,
    Kinds,
    Unsupported,
    all_of,
    all_valid,
    along,
    broadcast_shape,
    constant,
    defused,
    elementwise,
    numeric_cells,
    reduce,
    reduce_errors,
    scalar,
    sum_of_products,
    where_constant,
)  # fmt: skip
from xl2torch.arrays.operators import divide
from xl2torch.arrays.sample import overlaid, plain
from xl2torch.arrays.shapes import join
from xl2torch.cells.values import FIRST_ERROR, VALUE
from xl2torch.excel.criteria import check_comparisons, met
from xl2torch.excel.mathematical import raw_reduce
from xl2torch.excel.registry import Context, family, function
from xl2torch.formula.ast import Bound, Missing, Node, Reference

Finish = Callable[[Array | None, Array], Array]
"""What is made of the values (None: only counted) and the mask of cells that count."""


# ---------------------------------------------------------------- what is made of the cells


def _numeric(values: Array, mask: Array) -> Array:
    """The mask without the cells that hold no number."""
    numeric = np.asarray(numeric_cells(values))
    return mask if numeric.all() else elementwise(
        operator.mul, mask, constant(numeric.astype(float)), keep=True
    )  # fmt: skip


def _errors(values: Array, mask: Array) -> Kinds | None:
    """First error among the cells that count."""
    if mask.traced or values.kinds is None or not (values.kinds >= FIRST_ERROR).any():
        return None
    kinds = np.where(mask.numpy() != 0, values.kinds, 0).astype(np.uint8)
    return reduce_errors([replace(mask, kinds=kinds)])


def _sum(values: Array | None, mask: Array) -> Array:
    assert values is not None
    values = defused(values) if mask.traced else values
    numbers = where_constant(np.asarray(numeric_cells(values)), plain(values), 0.0)
    valid, numbers = numbers.valid, replace(numbers, valid=None)
    shape = broadcast_shape(numbers, mask)
    if numbers.shape[2:] == mask.shape[2:] == shape[2:]:
        result = sum_of_products(mask, numbers)
    else:
        result = reduce(torch.sum, elementwise(operator.mul, mask, numbers, keep=True))
    if valid is not None:  # an error where the mask is 0 is no matter
        unmet = elementwise(operator.eq, replace(mask, valid=None), scalar(0.0), keep=True)
        kept = elementwise(torch.logical_or, unmet, valid, keep=True)
        result = replace(result, valid=all_of(result.valid, all_valid(
            replace(kept, valid=kept), INNER
        )))  # fmt: skip
    return overlaid(result, _errors(values, mask))


def _count(values: Array | None, mask: Array) -> Array:
    return reduce(torch.sum, mask)


def _average(values: Array | None, mask: Array) -> Array:
    assert values is not None
    return divide(_sum(values, mask), reduce(torch.sum, _numeric(values, mask)))


def _extreme(largest: bool) -> Finish:
    worst = -np.inf if largest else np.inf

    def finish(values: Array | None, mask: Array) -> Array:
        assert values is not None
        counted = _numeric(values, mask)
        if counted.traced:
            raise Unsupported("a trained value decides which cells MAXIFS or MINIFS looks at")
        kept = where_constant(counted.numpy() != 0, plain(values), worst)
        best = raw_reduce(torch.amax if largest else torch.amin, kept, None)
        some = (counted.numpy() != 0).any(axis=INNER, keepdims=True)
        return overlaid(where_constant(some, best, 0.0), _errors(values, mask))

    return finish


# ---------------------------------------------------------------- the functions


def _over_criteria(
    finish: Finish, values: Array | None, conditions: list[tuple[Array, Array]]
) -> Array:
    """The result, an array where the criteria are arrays."""
    sizes = [criterion.shape[2:] for _, criterion in conditions]
    height, width = max(size[0] for size in sizes), max(size[1] for size in sizes)
    if height * width > 1:
        check_comparisons(height * width, max(math.prod(cells.shape) for cells, _ in conditions))
    rows = []
    for row in range(height):
        line = []
        for column in range(width):
            masks = [met(cells, _element(one, row, column)) for cells, one in conditions]
            line.append(_finished(finish, values, _joined_masks(masks)))
        rows.append(join(line, WIDTH))
    return join(rows, HEIGHT)


def _joined_masks(masks: list[Array]) -> list[Array]:
    """Masks multiplied, as far as that takes no more room than one of them does."""
    found: list[Array] = []
    for mask in masks:
        for place, other in enumerate(found):
            if broadcast_shape(mask, other) in (mask.shape, other.shape):
                found[place] = elementwise(operator.mul, other, mask, keep=True)
                break
        else:
            found.append(mask)
    return found


def _finished(finish: Finish, values: Array | None, masks: list[Array]) -> Array:
    """What is made of the cells that meet all conditions.

    Of a table, with one condition by its rows and one by its columns, a sum is a matrix product:
    no mask of all cells of the table is made.
    """
    plain_sum = finish is _count or (
        finish is _sum and values is not None and values.kinds is None and values.valid is None
    )
    if len(masks) == 2 and plain_sum and not any(m.valid is not None for m in masks):
        first, second = masks
        if values is not None and finish is _sum:
            first = elementwise(operator.mul, first, values, keep=True)
        return sum_of_products(first, second)
    whole, *rest = masks
    for mask in rest:
        whole = elementwise(operator.mul, whole, mask, keep=True)
    return finish(values, whole)


def _element(array: Array, row: int, column: int) -> Array:
    if row >= array.shape[HEIGHT] > 1 or column >= array.shape[WIDTH] > 1:
        raise Unsupported("arrays of criteria of unequal size")
    return along(along(array, HEIGHT, row, 1, 1), WIDTH, column, 1, 1)


@function("COUNTIF", "rv", gradient="step")
def countif(cells: Array, criterion: Array) -> Array:
    """How many cells meet a criterion."""
    return _over_criteria(_count, None, [(cells, criterion)])


@family({"SUMIF": _sum, "AVERAGEIF": _average}, "nn", "n")
def sumif(
    finish: Finish, context: Context, cells: Node, criterion: Node, values: Node | None = None
) -> Array:
    """Sum (mean) of the cells beside those that meet a criterion, or of these themselves.

    Only the first cell of the values counts: they have the size of the cells tested.
    """
    cells = context.resolved(cells)
    tested = context.evaluate_range(cells)
    if values is None or isinstance(values, Missing):
        wanted = tested
    else:
        values = context.resolved(values)
        if isinstance(cells, Reference) and isinstance(values, Reference):
            values = _same_size(values, cells)
        wanted = context.evaluate_range(values)
        if wanted.shape[2:] != tested.shape[2:]:
            raise Unsupported("values of another size than the cells that are tested")
    return _over_criteria(finish, wanted, [(tested, context.evaluate(criterion))])


def _same_size(values: Reference, cells: Reference) -> Reference:
    """The values' first cell with the size of the tested range."""

    def end(start: Bound, first: Bound, last: Bound) -> Bound:
        if first.relative != last.relative:
            raise Unsupported("a range that grows beside the values of SUMIF")
        return Bound(start.value + last.value - first.value, start.relative)

    if values.whole_columns and cells.whole_columns:
        bottom = values.bottom
    else:
        bottom = end(values.top, cells.top, cells.bottom)
    if values.whole_rows and cells.whole_rows:
        right = values.right
    else:
        right = end(values.left, cells.left, cells.right)
    return replace(values, bottom=bottom, right=right)


def _paired(
    arguments: tuple[Array, ...], size: tuple[int, ...] | None
) -> list[tuple[Array, Array]]:
    """Ranges with their criteria; ranges of unequal size are #VALUE!."""
    if len(arguments) % 2:
        raise Unsupported("a range without its criterion")
    conditions = list(zip(arguments[::2], arguments[1::2], strict=True))
    size = size or conditions[0][0].shape[2:]
    if any(cells.shape[2:] != size for cells, _ in conditions):
        raise ExcelError(VALUE)
    return conditions


@function("COUNTIFS", "rr", repeats=True, gradient="step")
def countifs(*arguments: Array) -> Array:
    """How many rows meet all criteria."""
    return _over_criteria(_count, None, _paired(arguments, None))


@family(
    {
        "SUMIFS": _sum, "AVERAGEIFS": _average, "MAXIFS": _extreme(True),
        "MINIFS": _extreme(False),
    },
    "rrr",
    repeats=True,
)  # fmt: skip
def sumifs(finish: Finish, values: Array, *arguments: Array) -> Array:
    """Sum (mean, largest, smallest) of the values whose row meets all criteria."""
    return _over_criteria(finish, values, _paired(arguments, values.shape[2:]))
