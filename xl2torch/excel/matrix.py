"""Matrix functions and dynamic-array operators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from xl2torch.arrays.array import (
    DTYPE,
    HEIGHT,
    INNER,
    WIDTH,
    Array,
    ExcelError,
    NotVectorisable,
    Shape,
    Unsupported,
    all_of,
    all_valid,
    as_numbers,
    check_size,
    constant,
    contract,
    first_element,
    logical,
    reduce_errors,
)  # fmt: skip
from xl2torch.arrays.operators import error_where
from xl2torch.arrays.shapes import from_full, full_data
from xl2torch.cells.values import NUM, NUMBER, REF, VALUE, error_of_kind
from xl2torch.excel.registry import Context, function
from xl2torch.formula.ast import Node, Reference
from xl2torch.ir.ops import Group, recorded
from xl2torch.ir.trace import Data, apply


def _matrix(array: Array) -> Array:
    """Only numbers make a matrix: an error is that error, anything else #VALUE!."""
    errors = reduce_errors([array])
    if errors is not None:
        if errors.size > 1:
            raise NotVectorisable("an error in the matrices of some copied cells")
        raise ExcelError(error_of_kind(int(errors.flat[0])))
    if array.kinds is not None and (array.kinds != NUMBER).any():
        raise ExcelError(VALUE)
    return replace(array, kinds=None, texts=None)


@function("MMULT", "aa")
def mmult(left: Array, right: Array) -> Array:
    """Matrix product."""
    return contract(_matrix(left), _matrix(right), WIDTH, HEIGHT)


@function("TRANSPOSE", "a", gradient="values")
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


def _square(array: Array) -> tuple[Data, int]:
    """The last two dims as a square matrix, all four dims."""
    matrix = _matrix(array)
    if matrix.shape[HEIGHT] != matrix.shape[WIDTH]:
        raise ExcelError(VALUE)
    return full_data(matrix), matrix.shape[HEIGHT]


@function("MDETERM", "a")
def mdeterm(array: Array) -> Array:
    """Determinant of a square matrix."""
    data, _ = _square(array)
    result = from_full(apply(torch.linalg.det, data), (*array.shape[:2], 1, 1))
    return replace(result, valid=all_valid(array, INNER))


@recorded(Group.OTHER)
def is_singular(matrix: torch.Tensor) -> torch.Tensor:
    """Whether a matrix has no inverse in its precision, shape (R, C, 1, 1)."""
    rtol = max(1e-15, torch.finfo(matrix.dtype).eps)
    rank: torch.Tensor = torch.linalg.matrix_rank(matrix.detach(), rtol=rtol)
    return (rank < matrix.shape[-1])[..., None, None]


@function("MINVERSE", "a")
def minverse(array: Array) -> Array:
    """Inverse of a square matrix; a singular one is #NUM!."""
    data, size = _square(array)
    shape: Shape = (*array.shape[:2], size, size)
    singular = apply(is_singular, data)
    unit = torch.eye(size, dtype=DTYPE)
    inverse = apply(torch.linalg.inv, apply(torch.where, singular, unit, data))
    result = from_full(inverse, shape)
    outer = (*array.shape[:2], 1, 1)
    mask = from_full(apply(torch.logical_not, singular), outer)
    if result.traced:
        return replace(result, valid=all_of(all_valid(array, INNER), mask))
    return error_where(result, ~(logical(mask) != 0), NUM.kind)


@function("MUNIT", "v", gradient="none")
def munit(size: Array) -> Array:
    """Unit matrix."""
    number = as_numbers(size)
    if number.traced or number.numpy().size > 1:
        raise Unsupported("a size that is not one constant")
    if number.kinds is not None:
        raise ExcelError(error_of_kind(int(number.full_kinds.flat[0])))
    count = int(np.trunc(number.numpy().flat[0]))
    if count < 1:
        raise ExcelError(VALUE)
    check_size(count, count)
    return constant(np.eye(count)[None, None])


@function("SINGLE", "n", gradient="values")
def single(context: Context, node: Node) -> Array:
    """``@``: a range is intersected with the formula's row or column, an array's first element."""
    node = context.resolved(node)
    if isinstance(node, Reference):
        return context.evaluate(node, array=False)
    return first_element(context.evaluate(node))


@function("ANCHORARRAY", "n", gradient="values")
def anchorarray(context: Context, node: Node) -> Array:
    """``A1#``: the range that the array formula in A1 spills over."""
    if not isinstance(node, Reference):
        raise Unsupported("the # operator on something that is not a cell")
    area, moves_down, moves_right = context.area(node)
    if (moves_down and context.region.rows > 1) or (moves_right and context.region.columns > 1):
        raise NotVectorisable("the # operator on a cell that moves as the formula is copied")
    spilled = context.spill(area)
    if spilled is None:
        raise ExcelError(REF)
    rows = np.arange(spilled.top, spilled.bottom + 1).reshape(1, 1, -1, 1)
    columns = np.arange(spilled.left, spilled.right + 1).reshape(1, 1, 1, -1)
    return context.gather(spilled.sheet, rows, columns)
