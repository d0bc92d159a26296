"""Arrays as a region sees them, and the few operations from which Excel's functions are built.

Every expression in a region of R rows and C columns is an array with four logical axes
(R|1, C|1, h|1, w|1): which cell of the region, and the Excel array inside that cell. The tensor
holds only the axes longer than 1, in any order; ``axes`` names them. So a column of 712 scalar
cells is a vector, a weight row is a vector, and their table of products a matrix: no reshape ever
has to be undone.

Kinds and texts (blank, logical, text, error) are decided by constants and kept apart in numpy
arrays that broadcast to the logical shape; None means that every element is a number.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from xl2torch.arrays.dates_in_text import moment_from_text
from xl2torch.cells.values import (
    BLANK,
    FIRST_ERROR,
    LOGICAL,
    NA,
    NUM,
    NUMBER,
    TEXT,
    VALUE,
    CellValue,
    ErrorValue,
    error_of_kind,
    kind_of,
)  # fmt: skip
from xl2torch.ir.facts import value_of
from xl2torch.ir.trace import Data, apply, as_constant, is_traced
from xl2torch.safety.limits import MOST_ELEMENTS, beyond

ROW, COLUMN, HEIGHT, WIDTH = range(4)
INNER = (HEIGHT, WIDTH)
_INNER_PRODUCT = 4
_FAR = 2.0**62
Shape = tuple[int, int, int, int]
Kinds = NDArray[np.uint8]
Texts = NDArray[np.object_]
DTYPE = torch.float64


class Unsupported(Exception):
    """This formula cannot be computed with what is known; the message says why."""


def check_size(*sizes: int) -> None:
    """Raise Unsupported where an array of some sizes is larger than a workbook may ask for."""
    check_count(math.prod(sizes), MOST_ELEMENTS, "elements of an array")


def check_count(count: int, limit: int, what: str) -> None:
    """Raise Unsupported where a formula asks for more of something than a limit."""
    if count > limit:
        raise Unsupported(beyond(count, limit, what))


class UnknownFunction(Unsupported):
    """A function that there is not: no use in trying the copies one by one."""


class NotVectorisable(Unsupported):
    """The copies of a formula have to be computed one by one."""


class ExcelError(Exception):
    """The whole formula is this error value."""

    def __init__(self, error: ErrorValue) -> None:
        super().__init__(error.text)
        self.error = error


@dataclass(frozen=True, eq=False)
class Array:
    """Data with named axes; see the module docstring.

    ``from_cells`` tells a reference from a computed value: SUM skips text in cells only. Where IF
    and its kin hand on a reference in some copies only, ``references`` says in which. ``unsure``:
    a trained value decides what kind of cell is referred to, of which the numbers say nothing.
    ``valid`` is a mask, broadcast to the shape, of what a trained value may turn into an error:
    where it is False, the number is a finite stand-in, so that no NaN can come back through it.
    None means that nothing can fail. ``missing``, of such a mask: whether the error is #N/A; None
    where that is not known.
    """

    data: Data
    axes: tuple[int, ...]
    shape: Shape
    kinds: Kinds | None = None
    texts: Texts | None = None
    from_cells: bool = False
    valid: Array | None = None
    references: NDArray[np.bool_] | None = None
    unsure: bool = False
    missing: bool | None = None

    @property
    def traced(self) -> bool:
        """Whether a parameter is in it."""
        return is_traced(self.data)

    @property
    def full_kinds(self) -> Kinds:
        """Kinds at the full logical shape."""
        kinds = np.uint8(NUMBER) if self.kinds is None else self.kinds
        return np.broadcast_to(np.asarray(kinds, dtype=np.uint8), self.shape)

    @property
    def full_texts(self) -> Texts:
        """Texts at the full logical shape."""
        texts = np.asarray("", dtype=object) if self.texts is None else self.texts
        return np.broadcast_to(texts, self.shape)

    def numpy(self) -> NDArray[np.float64]:
        """Numbers at the full logical shape. Raises Unsupported when traced."""
        if self.traced:
            raise Unsupported("it would have to know a value that training changes")
        return logical(self)


def logical(array: Array) -> NDArray[np.float64]:
    """Numbers at the logical shape; of a traced array those of the start point."""
    order = sorted(range(len(array.axes)), key=lambda dim: array.axes[dim])
    tensor = value_of(array.data).detach().permute(order)
    shape = [size if axis in array.axes else 1 for axis, size in enumerate(array.shape)]
    numbers: NDArray[np.float64] = tensor.to(DTYPE).numpy().reshape(shape)
    return np.broadcast_to(numbers, array.shape)


def constant(
    numbers: NDArray[np.float64], kinds: Kinds | None = None, texts: Texts | None = None
) -> Array:
    """Array from 4-D numpy data."""
    shape: Shape = tuple(numbers.shape)
    axes = tuple(axis for axis in range(4) if shape[axis] != 1)
    data = torch.tensor(np.ascontiguousarray(numbers), dtype=DTYPE)
    data = data.reshape([shape[axis] for axis in axes])
    if kinds is not None and not kinds.any():
        kinds = None
    if kinds is None or not (kinds == TEXT).any():
        texts = None
    return Array(data, axes, shape, kinds, texts)


def scalar(value: CellValue) -> Array:
    """A single value."""
    kind = kind_of(value)
    number = float(value) if isinstance(value, float | bool | int) else 0.0
    if kind >= FIRST_ERROR:
        number = np.nan
    texts = np.full((1, 1, 1, 1), value, dtype=object) if kind == TEXT else None
    kinds = np.full((1, 1, 1, 1), kind, dtype=np.uint8) if kind else None
    return Array(torch.tensor(number, dtype=DTYPE), (), (1, 1, 1, 1), kinds, texts)


# ---------------------------------------------------------------- coercion

_NUMBER_TEXT = re.compile(
    r"(?P<open>\()?\s*(?P<sign>[+-])?\s*\$?\s*"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)"
    r"\s*(?P<percent>%)?\s*(?P<close>\))?"
)


_MIXED_FRACTION = re.compile(r"([+-]?)([0-9]{1,15}) +([0-9]{1,15})/([0-9]{1,15})")


def number_from_text(text: str) -> float | None:
    """Number that Excel reads from a text, dates and times included; None when it shows none."""
    mixed = _MIXED_FRACTION.fullmatch(text.strip())
    if mixed is not None and int(mixed[4]):
        number = int(mixed[2]) + int(mixed[3]) / int(mixed[4])
        return -number if mixed[1] == "-" else number
    match = _NUMBER_TEXT.fullmatch(text.strip())
    if match is None or bool(match["open"]) != bool(match["close"]):
        return moment_from_text(text)
    number = float(match["digits"].replace(",", ""))
    if math.isinf(number):
        return None  # a text like any other
    if match["percent"]:
        number /= 100
    return -number if match["sign"] == "-" or match["open"] else number


def as_numbers(array: Array) -> Array:
    """What an operator makes of its operand: blank 0, TRUE 1, text its number or #VALUE!."""
    kinds = array.kinds
    if kinds is None:
        return array if not _is_boolean(array) else as_float(array)
    array = as_float(array)
    if not (kinds == TEXT).any():
        errors = np.where(kinds >= FIRST_ERROR, kinds, NUMBER).astype(np.uint8)
        return replace(array, kinds=errors if errors.any() else None, texts=None)
    numbers = np.array(logical(array))
    full, texts = np.array(array.full_kinds), array.full_texts
    errors = np.where(full >= FIRST_ERROR, full, NUMBER).astype(np.uint8)
    for index in np.argwhere(full == TEXT):
        place = tuple(index)
        number = number_from_text(texts[place])
        if number is None:
            errors[place] = VALUE.kind
            numbers[place] = np.nan
        else:
            if array.traced:
                raise Unsupported("text that reads as a number stands among trained values")
            numbers[place] = number
    if array.traced:
        return replace(array, kinds=errors, texts=None)
    return constant(numbers, errors)


def _is_boolean(array: Array) -> bool:
    return value_of(array.data).dtype == torch.bool


def as_float(array: Array) -> Array:
    """Truth values as 1 and 0; numbers as they are."""
    if _is_boolean(array):
        return replace(array, data=apply(torch.Tensor.to, array.data, DTYPE))
    return array


def to_int64(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers as such; those that no place on a sheet can be stay far away."""
    return np.asarray(np.clip(numbers, -_FAR, _FAR).astype(np.int64))


def merge_errors(*arrays: Array) -> Kinds | None:
    """Kinds of an elementwise result: the first operand's error wins; the rest are numbers."""
    merged: Kinds | None = None
    for array in arrays:
        if array.kinds is None:
            continue
        errors = np.where(array.kinds >= FIRST_ERROR, array.kinds, NUMBER).astype(np.uint8)
        if errors.any():
            merged = errors if merged is None else np.where(merged != NUMBER, merged, errors)
    return merged


# ---------------------------------------------------------------- errors known at run time


def all_of(*masks: Array | None) -> Array | None:
    """Where all masks hold; None is one that holds everywhere."""
    result: Array | None = None
    for mask in masks:
        if mask is not None and mask is not result:
            if result is None:
                result = mask
                continue
            missing = result.missing if result.missing == mask.missing else None
            result = replace(_mask(torch.logical_and, result, mask), missing=missing)
    return result


def both_valid(*arrays: Array) -> Array | None:
    """Where all operands are valid."""
    return all_of(*(array.valid for array in arrays))


def all_valid(array: Array, axes: tuple[int, ...]) -> Array | None:
    """Where a reduction over some axes meets only valid elements."""
    mask = array.valid
    if mask is None:
        return None
    data = mask.data
    for dim in reversed([dim for dim, axis in enumerate(mask.axes) if axis in axes]):
        data = apply(torch.all, data, dim=dim)
    kept = tuple(axis for axis in mask.axes if axis not in axes)
    shape: Shape = tuple(  # type: ignore[assignment]
        1 if axis in axes else size for axis, size in enumerate(mask.shape)
    )
    return Array(data, kept, shape, missing=mask.missing)


def constant_mask(mask: NDArray[np.bool_]) -> Array:
    """A mask that is known at compile time."""
    shape: Shape = tuple(mask.shape)
    axes = tuple(axis for axis in range(4) if shape[axis] != 1)
    data = torch.from_numpy(np.ascontiguousarray(mask)).reshape([shape[axis] for axis in axes])
    return Array(data, axes, shape)


def _mask(function: Callable[..., Any], *masks: Array) -> Array:
    data, axes = align(masks)
    return Array(apply(function, *data), axes, broadcast_shape(*masks))


def filled(array: Array) -> Array:
    """A constant with 1 where it is an error: NaN would spoil the gradient of its neighbours."""
    if array.traced or array.kinds is None or not (array.kinds >= FIRST_ERROR).any():
        return array
    numbers = np.where(array.full_kinds >= FIRST_ERROR, 1.0, array.numpy())
    kinds = np.array(array.full_kinds)
    return constant(numbers, kinds, np.array(array.full_texts))


def defused(array: Array) -> Array:
    """Constant errors as elements that are not valid, so that a trained condition may choose."""
    if array.kinds is None or not (array.kinds >= FIRST_ERROR).any():
        return array
    errors = array.kinds >= FIRST_ERROR
    found = set(np.unique(array.kinds[errors]).tolist())
    missing = True if found == {NA.kind} else None if NA.kind in found else False
    valid = all_of(replace(constant_mask(~errors), missing=missing), array.valid)
    kinds = np.where(errors, NUMBER, array.kinds).astype(np.uint8)
    plain = replace(array, kinds=None, texts=None, valid=None)
    numbers = where_constant(np.asarray(~errors), plain, 0.0)
    return replace(numbers, kinds=kinds if kinds.any() else None, texts=array.texts, valid=valid)


# ---------------------------------------------------------------- alignment


def broadcast_shape(*arrays: Array) -> Shape:
    """Common logical shape; Excel pads the shorter of two unequal lengths with #N/A."""
    shape: Shape = tuple(  # type: ignore[assignment]
        max(array.shape[axis] for array in arrays) for axis in range(4)
    )
    check_size(*shape)
    return shape


def together(*arrays: Array) -> list[NDArray[Any]]:
    """Numbers of constant arrays in their common shape; what one of them lacks is #N/A."""
    shape = broadcast_shape(*arrays)
    return list(np.broadcast_arrays(*(pad(array, shape).numpy() for array in arrays)))


def pad(array: Array, shape: Shape) -> Array:
    """Extend lengths that are neither 1 nor the wanted one with #N/A."""
    if all(size in (1, want) for size, want in zip(array.shape, shape, strict=True)):
        return array
    if array.traced:
        raise Unsupported("ranges of unequal size meet")
    target = tuple(1 if size == 1 else want for size, want in zip(array.shape, shape, strict=True))
    numbers = np.full(target, np.nan)
    kinds = np.full(target, NA.kind, dtype=np.uint8)
    texts = np.full(target, "", dtype=object)
    inner = tuple(slice(0, size) for size in array.shape)
    numbers[inner], kinds[inner], texts[inner] = (
        array.numpy(), array.full_kinds, array.full_texts,
    )  # fmt: skip
    return constant(numbers, kinds, texts)


def align(arrays: Sequence[Array]) -> tuple[list[Data], tuple[int, ...]]:
    """Data whose dims broadcast against each other, and the axes of the result."""
    order = list(max(arrays, key=lambda array: len(array.axes)).axes)
    for array in arrays:
        for axis in array.axes:
            if axis not in order:
                order.append(axis)
                order.sort()
    return [_spread(array, tuple(order)) for array in arrays], tuple(order)


def _spread(array: Array, order: tuple[int, ...]) -> Data:
    """Permute to ``order`` and put length 1 where an axis is absent, leading ones left out."""
    present = [axis for axis in order if axis in array.axes]
    return laid_out(array, order[order.index(present[0]) :] if present else ())


def laid_out(array: Array, axes: tuple[int, ...]) -> Data:
    """Data with a dim for each of some axes, of length 1 where the array lacks one."""
    present = tuple(axis for axis in axes if axis in array.axes)
    data = permuted(array.data, array.axes, present)
    for dim, axis in enumerate(axes):
        if axis not in present:
            data = apply(torch.unsqueeze, data, dim)
    return data


def permuted(data: Data, axes: tuple[int, ...], order: tuple[int, ...]) -> Data:
    """Data with its dims in another order of axes."""
    if axes == order:
        return data
    if len(order) == 2:
        return apply(torch.t, data)
    return apply(torch.permute, data, tuple(axes.index(axis) for axis in order))


def elementwise(
    function: Callable[..., Any], *operands: Array, error: ErrorValue = NUM, keep: bool = False
) -> Array:
    """A number function applied element by element.

    Operands are coerced to numbers. Of constants, a result that is not finite is ``error``; of
    traced data the operands' masks are joined. ``keep``: operands are numbers already.
    """
    numbers = list(operands) if keep else [as_numbers(operand) for operand in operands]
    shape = broadcast_shape(*numbers)
    numbers = [pad(number, shape) for number in numbers]
    kinds = merge_errors(*numbers)
    if any(number.traced for number in numbers):
        numbers = [filled(number) for number in numbers]
    data, axes = align(numbers)
    result = Array(apply(function, *data), axes, shape, kinds, valid=both_valid(*numbers))
    return result if result.traced else checked(result, error)


def checked(array: Array, error: ErrorValue = NUM) -> Array:
    """Constant array in which every value that is not finite is an error."""
    tensor = value_of(array.data)
    if tensor.dtype == torch.bool or bool(torch.isfinite(tensor).all()):
        return array
    kinds = np.array(array.full_kinds)
    fresh = ~np.isfinite(logical(array)) & (kinds < FIRST_ERROR)
    kinds[fresh] = error.kind
    numbers = np.where(kinds >= FIRST_ERROR, np.nan, logical(array))
    return constant(numbers, kinds)


def as_kind(array: Array, kind: int) -> Array:
    """The same data, all elements but errors of one kind."""
    kinds = np.full((1, 1, 1, 1), kind, dtype=np.uint8)
    if array.kinds is not None:
        kinds = np.where(array.kinds >= FIRST_ERROR, array.kinds, kinds).astype(np.uint8)
    return replace(array, kinds=kinds, texts=None)


# ---------------------------------------------------------------- reduction


def reduce_errors(arrays: Sequence[Array], axes: tuple[int, ...] = INNER) -> Kinds | None:
    """First error of each cell's arrays, in reading order; None when there is none."""
    merged: Kinds | None = None
    for array in arrays:
        if array.kinds is None or not (array.kinds >= FIRST_ERROR).any():
            continue
        kinds = np.broadcast_to(
            array.kinds,
            tuple(max(n, m) for n, m in zip(array.kinds.shape, _only(array, axes), strict=True)),
        )
        rest = [axis for axis in range(4) if axis not in axes]
        flat = np.transpose(kinds, [*rest, *axes]).reshape(*(kinds.shape[a] for a in rest), -1)
        errors = flat >= FIRST_ERROR
        first = np.take_along_axis(flat, errors.argmax(-1)[..., None], -1)[..., 0]
        found = np.where(errors.any(-1), first, NUMBER).astype(np.uint8)
        found = np.expand_dims(found, axes)
        merged = found if merged is None else np.where(merged != NUMBER, merged, found)
    return merged


def refuse_errors(*arrays: Array | None) -> None:
    """Raise the first error among some arguments, of which the whole result is one."""
    errors = reduce_errors([as_numbers(array) for array in arrays if array is not None])
    if errors is not None:
        raise (
            ExcelError(error_of_kind(int(errors.flat[0])))
            if errors.size == 1
            else NotVectorisable("an error in some of the copied cells")
        )


def _only(array: Array, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(array.shape[axis] if axis in axes else 1 for axis in range(4))


def reduce(
    function: Callable[..., Any], array: Array, axes: tuple[int, ...] = INNER,
    kinds: Kinds | None = None,
) -> Array:  # fmt: skip
    """Reduce the inner axes with a torch function that takes ``dim`` (sum, amax, …)."""
    dims = tuple(dim for dim, axis in enumerate(array.axes) if axis in axes)
    kept = tuple(axis for axis in array.axes if axis not in axes)
    shape: Shape = tuple(  # type: ignore[assignment]
        1 if axis in axes else size for axis, size in enumerate(array.shape)
    )
    if not dims:
        data = array.data
    elif not kept and function in (torch.sum, torch.mean, torch.prod):
        data = apply(function, array.data)
    else:
        data = apply(function, array.data, dim=dims if len(dims) > 1 else dims[0])
    result = Array(data, kept, shape, kinds, valid=all_valid(array, axes))
    return result if result.traced else checked(result)


def where_constant(mask: NDArray[np.bool_], array: Array, otherwise: float) -> Array:
    """Keep elements where the constant mask holds, else a number."""
    if mask.all():
        return array
    shape: Shape = tuple(max(n, m) for n, m in zip(array.shape, mask.shape, strict=True))
    chosen = constant(mask.astype(float))
    (condition, data), axes = align([chosen, as_float(array)])
    condition = apply(torch.Tensor.to, condition, torch.bool)
    data = apply(torch.where, condition, data, otherwise)
    valid = array.valid
    if valid is not None:
        valid = _mask(torch.logical_or, valid, constant_mask(~mask))
    return Array(data, axes, shape, valid=valid)


def without_numbers(array: Array) -> Array:
    """Kinds and texts alone, which are known whatever training does; every number is 0."""
    kinds = None if array.kinds is None else np.array(array.full_kinds)
    return constant(np.zeros(array.shape), kinds, np.array(array.full_texts))


def where_counted(mask: NDArray[np.bool_], array: Array, otherwise: float) -> Array:
    """Numbers that count, another one elsewhere; what training makes an error stays one."""
    return replace(where_constant(mask, array, otherwise), valid=array.valid)


def is_typed(array: Array) -> bool:
    """Whether an argument is a single value written into the call, not read from cells."""
    return not array.from_cells and array.shape[2:] == (1, 1)


def left_empty(array: Array | None) -> bool:
    """Whether an optional argument is not given, or left empty between two commas."""
    if array is None:
        return True
    blank = array.kinds is not None and bool((array.kinds == BLANK).all())
    return blank and not array.from_cells


def numeric_cells(array: Array) -> NDArray[np.bool_]:
    """Which elements an aggregate function counts: numbers; in cells neither text nor logical."""
    if array.kinds is None:
        return np.ones((1, 1, 1, 1), dtype=bool)
    return np.asarray(array.kinds == NUMBER)


def along(array: Array, axis: int, start: int, count: int, step: int) -> Array:
    """Elements start, start+step, … along one axis."""
    size = array.shape[axis]
    if size == 1 or (start == 0 and count == size and step == 1):
        return array
    dim = array.axes.index(axis)
    piece = _piece(array.data, dim, start, count) if step == 1 else None
    if piece is not None:
        data, offset, taken_apart = piece
        axes = tuple(item for item in array.axes if item != axis) if taken_apart else array.axes
        part = _with_length(array, axis, start, count, axes, data, offset)
        if part is not None:
            return part
    shape: Shape = tuple(  # type: ignore[assignment]
        count if position == axis else length for position, length in enumerate(array.shape)
    )
    axes = array.axes
    if count == 1:
        data = apply(torch.select, array.data, dim, start)
        axes = tuple(item for item in axes if item != axis)
    elif step == 1:
        data = apply(torch.narrow, array.data, dim, start, count)
    else:
        index = torch.arange(start, start + (count - 1) * step + 1, step)
        data = apply(torch.index_select, array.data, dim, index)

    def pick(part: np.ndarray | None) -> np.ndarray | None:
        if part is None or part.shape[axis] == 1:
            return part
        selection = [slice(None)] * 4
        selection[axis] = slice(start, start + (count - 1) * step + 1, step)
        return part[tuple(selection)]

    kinds = pick(array.kinds)
    if kinds is not None and not kinds.any():
        kinds = None
    texts = pick(array.texts) if kinds is not None else None
    valid = None if array.valid is None else along(array.valid, axis, start, count, step)
    return Array(data, axes, shape, kinds, texts, valid=valid, missing=array.missing)


def _piece(data: Data, dim: int, start: int, count: int) -> tuple[Data, int, bool] | None:
    """The tensor of a concatenation in which some elements lie, where they begin in it, and whether
    it lacks that dim; None when they lie in several, or there is no concatenation."""
    if not isinstance(data, fx.Node) or data.op != "call_function":
        return None
    if data.kwargs.get("dim") != dim:
        return None
    if data.target is torch.stack and count == 1:
        return as_constant(data.args[0][start]), 0, True  # type: ignore[index]
    if data.target is not torch.cat:
        return None
    for piece in data.args[0]:  # type: ignore[union-attr]
        size = value_of(piece).shape[dim]
        if start < size:
            return (as_constant(piece), start, False) if start + count <= size else None
        start -= size
    return None


def _with_length(
    array: Array, axis: int, start: int, count: int, axes: tuple[int, ...], data: Data, offset: int
) -> Array | None:
    """Elements of an array as a part of one of the tensors that it was joined from."""
    whole = value_of(data)
    if axis in axes:
        dim = axes.index(axis)
        if count == 1:
            data = apply(torch.select, data, dim, offset)
            axes = tuple(item for item in axes if item != axis)
        elif count != whole.shape[dim]:
            data = apply(torch.narrow, data, dim, offset, count)
    index = np.arange(start, start + count)
    kinds = None if array.kinds is None else np.asarray(array.full_kinds).take(index, axis)
    texts = None
    if kinds is not None and kinds.any() and array.texts is not None:
        texts = np.asarray(array.full_texts).take(index, axis)
    kinds = kinds if kinds is not None and kinds.any() else None
    shape: Shape = (*array.shape[:axis], count, *array.shape[axis + 1 :])  # type: ignore[assignment]
    valid = None if array.valid is None else along(array.valid, axis, start, count, 1)
    return Array(data, axes, shape, kinds, texts, valid=valid, missing=array.missing)


def first_element(array: Array) -> Array:
    """The upper left element of each cell's array."""
    return along(along(array, HEIGHT, 0, 1, 1), WIDTH, 0, 1, 1)


def spread(array: Array, shape: Shape) -> Array:
    """The array at its full logical shape: what is equal everywhere is repeated."""
    data, axes = array.data, array.axes
    for axis in range(4):
        if array.shape[axis] < shape[axis]:
            data = apply(torch.unsqueeze, data, -1)
            data = apply(torch.repeat_interleave, data, shape[axis], dim=-1)
            axes = (*axes, axis)
    return replace(array, data=data, axes=axes, shape=shape)


# ---------------------------------------------------------------- products


def contract(left: Array, right: Array, left_axis: int, right_axis: int) -> Array:
    """Matrix product over one axis of each: sums left[…k…] · right[…k…]; other axes broadcast.

    Both are numbers without errors. What remains of the left's inner axes is the height, of the
    right's the width.
    """
    length = left.shape[left_axis]
    if right.shape[right_axis] != length:
        raise ExcelError(VALUE)
    result: list[int] = [max(left.shape[axis], right.shape[axis]) for axis in (ROW, COLUMN)]
    result += [
        1 if left_axis == HEIGHT else left.shape[HEIGHT],
        1 if right_axis == WIDTH else right.shape[WIDTH],
    ]
    shape: Shape = tuple(result)  # type: ignore[assignment]
    check_size(*shape)
    a = tuple(_INNER_PRODUCT if axis == left_axis else axis for axis in left.axes)
    b = tuple(_INNER_PRODUCT if axis == right_axis else axis for axis in right.axes)
    data, axes = _product_sum(left.data, a, right.data, b)
    valid = all_of(all_valid(left, (left_axis,)), all_valid(right, (right_axis,)))
    outcome = Array(data, axes, shape, valid=valid)
    return outcome if outcome.traced else checked(outcome)


def _product_sum(
    a: Data, a_axes: tuple[int, ...], b: Data, b_axes: tuple[int, ...]
) -> tuple[Data, tuple[int, ...]]:
    """Sum over the axis ``_INNER_PRODUCT`` of a product, as a matrix product where it is one."""
    k = _INNER_PRODUCT
    a_rest = tuple(axis for axis in a_axes if axis != k)
    b_rest = tuple(axis for axis in b_axes if axis != k)
    if k not in a_axes:
        left, right = Array(a, a_axes, (1, 1, 1, 1)), Array(b, b_axes, (1, 1, 1, 1))
        (x, y), axes = align([left, right])
        return apply(operator.mul, x, y), axes
    if not set(a_rest) & set(b_rest) and len(a_rest) <= 1 and len(b_rest) <= 1:
        a = permuted(a, a_axes, (*a_rest, k))
        b = permuted(b, b_axes, (k, *b_rest))
        return apply(torch.matmul, a, b), (*a_rest, *b_rest)
    axes = tuple(sorted({*a_rest, *b_rest}))
    letters = "rchwk"
    equation = (
        "".join(letters[axis] for axis in a_axes)
        + ","
        + "".join(letters[axis] for axis in b_axes)
        + "->"
        + "".join(letters[axis] for axis in axes)
    )
    return apply(torch.einsum, equation, a, b), axes


def sum_of_products(left: Array, right: Array) -> Array:
    """Sum over both inner axes of left · right, equal shapes, numbers without errors."""
    summed = [axis for axis in INNER if left.shape[axis] > 1]
    shared = (set(left.axes) & set(right.axes)) - set(summed)
    if len(summed) == 1 and not shared:
        axis = summed[0]
        a = tuple(_INNER_PRODUCT if item == axis else item for item in left.axes)
        b = tuple(_INNER_PRODUCT if item == axis else item for item in right.axes)
        data, axes = _product_sum(left.data, a, right.data, b)
        shape: Shape = (*broadcast_shape(left, right)[:2], 1, 1)
        valid = all_of(all_valid(left, INNER), all_valid(right, INNER))
        outcome = Array(data, axes, shape, valid=valid)
        return outcome if outcome.traced else checked(outcome)
    return reduce(torch.sum, elementwise(operator.mul, left, right, keep=True))


# ---------------------------------------------------------------- choice


def choose(condition: Array, yes: Array, no: Array) -> Array:
    """IF on arrays: condition is numeric or logical without texts.

    A constant condition that is the same everywhere takes one branch only. Kinds of the branches
    may differ only where the condition is constant: a trained condition cannot change a kind.
    """
    single = condition.shape[2:] == (1, 1)
    if not condition.traced and condition.kinds is None:
        truth = condition.numpy() != 0
        for branch, taken in ((yes, truth.all()), (no, not truth.any())):
            if taken:
                shape = broadcast_shape(condition, branch)
                if not single:
                    shape = broadcast_shape(condition, yes, no)
                return _expanded(pad(branch, shape), shape)
    if single and yes.shape[2:] != no.shape[2:]:
        if condition.traced:
            raise Unsupported("a trained value decides how large a result is")
        if condition.shape == (1, 1, 1, 1):
            return condition  # an error: else one of the branches was taken
        raise NotVectorisable("results of unequal size in the copied cells")
    shape = broadcast_shape(condition, yes, no)
    condition, yes, no = pad(condition, shape), pad(yes, shape), pad(no, shape)
    references = _references(condition, yes, no) if single else None
    unsure = single and _is_unsure(condition, yes, no)
    if condition.traced:
        yes, no = defused(blank_as_zero(yes)), defused(blank_as_zero(no))
    kinds, texts = _chosen_kinds(condition, yes, no, shape)
    boolean = (
        condition
        if _is_boolean(condition)
        else replace(condition, data=apply(torch.ne, condition.data, 0.0))
    )
    if condition.traced or yes.traced or no.traced:
        yes, no = filled(yes), filled(no)
    data, axes = align([boolean, as_float(yes), as_float(no)])
    valid = condition.valid
    if yes.valid is not None or no.valid is not None:
        always = constant_mask(np.ones((1, 1, 1, 1), dtype=bool))
        test = Array(boolean.data, boolean.axes, boolean.shape)
        branch = _mask(torch.where, test, yes.valid or always, no.valid or always)
        known = {mask.missing for mask in (yes.valid, no.valid) if mask is not None}
        valid = all_of(valid, replace(branch, missing=known.pop() if len(known) == 1 else None))
    everywhere = references is not None and bool(references.all())
    return Array(
        where(*data), axes, shape, kinds, texts, everywhere, valid,
        None if everywhere else references, unsure,
    )  # fmt: skip


def _references(condition: Array, yes: Array, no: Array) -> NDArray[np.bool_] | None:
    """In which copies a choice hands on a reference; None where in none."""
    first, second = (
        np.asarray(item.from_cells).reshape(1, 1, 1, 1)
        if item.references is None else item.references for item in (yes, no)
    )  # fmt: skip
    found = first & second if condition.traced else np.where(
        condition.numpy() != 0, first, second
    )  # fmt: skip
    return found if found.any() else None


def _is_unsure(condition: Array, yes: Array, no: Array) -> bool:
    """Whether a trained value decides if a blank cell is referred to, or if it is a cell at all."""
    if yes.unsure or no.unsure:
        return True
    if not condition.traced or (yes.kinds is None and no.kinds is None):
        return False
    if not (yes.from_cells or no.from_cells):
        return False
    same = (np.asarray(yes.full_kinds) == no.full_kinds).all()
    return not (same and yes.from_cells == no.from_cells)


def as_references(array: Array) -> Array:
    """What an aggregate function takes: values among references as the numbers that they count as.

    Raises Unsupported where it is not known which cells are referred to.
    """
    if array.unsure:
        raise Unsupported("a trained value decides whether a blank or other cell is referred to")
    if array.references is None:
        return array
    numbers = as_numbers(replace(array, references=None))
    chosen = choose(constant(array.references.astype(float)), array, numbers)
    return replace(chosen, from_cells=True, references=None)


def where(test: Data, first: Data, second: Data) -> Data:
    """torch.where in float64 also when both branches are single constants."""
    numbers = [None if is_traced(x) or value_of(x).dim() else value_of(x).item()
               for x in (first, second)]  # fmt: skip
    if not is_traced(test) or None in numbers:
        return apply(torch.where, test, first, second)
    as_float = apply(torch.Tensor.to, test, DTYPE)
    if numbers == [1.0, 0.0]:
        return as_float
    return apply(torch.where, test, apply(torch.full_like, as_float, numbers[0]), second)


def _expanded(array: Array, shape: Shape) -> Array:
    """The branch itself; Excel's array has the shape of condition and branches together."""
    missing = [axis for axis in range(4) if array.shape[axis] == 1 and shape[axis] > 1]
    if not missing:
        return array
    (data, _), axes = align([array, constant(np.zeros(shape))])
    sizes = [shape[axis] for axis in axes]
    spread_out = apply(torch.broadcast_to, data, tuple(sizes))
    inner = any(axis in INNER for axis in missing)
    return replace(
        array, data=spread_out, axes=axes, shape=shape,
        from_cells=array.from_cells and not inner,
    )  # fmt: skip


def _chosen_kinds(
    condition: Array, yes: Array, no: Array, shape: Shape
) -> tuple[Kinds | None, Texts | None]:
    errors = merge_errors(condition)
    if yes.kinds is None and no.kinds is None and errors is None:
        return None, None
    if condition.traced:
        same = (np.asarray(yes.full_kinds) == no.full_kinds).all()
        if not same or yes.texts is not no.texts:
            raise Unsupported(
                "a trained value decides whether a cell is a number, a text, a blank or an error"
            )
        if errors is None:
            return yes.kinds, yes.texts
        plain = np.uint8(NUMBER) if yes.kinds is None else yes.kinds
        return np.where(errors != NUMBER, errors, plain).astype(np.uint8), yes.texts
    truth = np.broadcast_to(condition.numpy() != 0, shape)
    kinds = np.where(
        truth, np.broadcast_to(yes.full_kinds, shape), np.broadcast_to(no.full_kinds, shape)
    )
    texts = np.where(
        truth, np.broadcast_to(yes.full_texts, shape), np.broadcast_to(no.full_texts, shape)
    )
    if errors is not None:
        kinds = np.where(np.broadcast_to(errors, shape) != NUMBER, errors, kinds)
    return kinds.astype(np.uint8), texts


def truth(array: Array) -> Array:
    """A condition: numbers and logicals; text other than TRUE and FALSE is #VALUE!."""
    if array.kinds is not None and (array.kinds == TEXT).any():
        kinds, texts = np.array(array.full_kinds), array.full_texts
        numbers = np.array(array.numpy())
        for index in np.argwhere(kinds == TEXT):
            place = tuple(index)
            word = texts[place].strip().upper()
            if word in ("TRUE", "FALSE"):
                kinds[place], numbers[place] = LOGICAL, word == "TRUE"
        array = constant(numbers, kinds, texts)
    if _is_boolean(array):
        return array if array.kinds is None else replace(array, kinds=merge_errors(array))
    return as_numbers(array)


def blank_as_zero(array: Array) -> Array:
    """What a formula that only refers to a cell shows: a blank becomes 0."""
    if array.kinds is None or not (array.kinds == BLANK).any():
        return array
    return replace(array, kinds=np.where(array.kinds == BLANK, NUMBER, array.kinds))
