"""Matrix functions and dynamic-array operators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xl2torch.formula.ast import Node, Reference
from xl2torch.functions.array import (
    HEIGHT,
    WIDTH,
    Array,
    ExcelError,
    Unsupported,
    contract,
    first_element,
    reduce_errors,
)  # fmt: skip
from xl2torch.functions.registry import Context, function
from xl2torch.values import NUMBER, REF, VALUE


def _matrix(array: Array) -> Array:
    """Only numbers make a matrix; anything else in it is #VALUE!."""
    errors = reduce_errors([array])
    if errors is not None or (array.kinds is not None and (array.kinds != NUMBER).any()):
        raise ExcelError(VALUE)
    return replace(array, kinds=None, texts=None)


@function("MMULT", "aa")
def mmult(left: Array, right: Array) -> Array:
    """Matrix product."""
    return contract(_matrix(left), _matrix(right), WIDTH, HEIGHT)


@function("TRANSPOSE", "a")
def transpose(array: Array) -> Array:
    """Rows become columns: no data moves, the axes change names."""
    renamed = {HEIGHT: WIDTH, WIDTH: HEIGHT}
    rows, columns, height, width = array.shape
    return Array(
        array.data,
        tuple(renamed.get(axis, axis) for axis in array.axes),
        (rows, columns, width, height),
        None if array.kinds is None else array.kinds.swapaxes(HEIGHT, WIDTH),
        None if array.texts is None else array.texts.swapaxes(HEIGHT, WIDTH),
        valid=None if array.valid is None else transpose(array.valid),
    )


@function("SINGLE", "n")
def single(context: Context, node: Node) -> Array:
    """``@``: a range is intersected with the formula's row or column, an array's first element."""
    if isinstance(node, Reference):
        return context.evaluate(node, array=False)
    return first_element(context.evaluate(node))


@function("ANCHORARRAY", "n")
def anchorarray(context: Context, node: Node) -> Array:
    """``A1#``: the range that the array formula in A1 spills over."""
    if not isinstance(node, Reference):
        raise Unsupported("the # operator on something that is not a cell")
    area, moves_down, moves_right = context.area(node)
    if (moves_down and context.region.rows > 1) or (moves_right and context.region.columns > 1):
        raise Unsupported("the # operator on a cell that moves as the formula is copied")
    spilled = context.spill(area)
    if spilled is None:
        raise ExcelError(REF)
    rows = np.arange(spilled.top, spilled.bottom + 1).reshape(1, 1, -1, 1)
    columns = np.arange(spilled.left, spilled.right + 1).reshape(1, 1, 1, -1)
    return context.gather(spilled.sheet, rows, columns)
