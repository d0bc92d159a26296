"""Arrays cut, joined and reordered along one of their named axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.arrays.array import (
    COLUMN,
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    NotVectorisable,
    Shape,
    Unsupported,
    as_float,
    constant_mask,
    filled,
    permuted,
    spread,
)  # fmt: skip
from xl2torch.ir.facts import value_of
from xl2torch.ir.trace import Data, apply

Ints = NDArray[np.int64]


def with_shape(shape: Sequence[int], **sizes: int) -> Shape:
    """A shape with some lengths replaced: ``rows``, ``columns``, ``height``, ``width``."""
    names = ("rows", "columns", "height", "width")
    return tuple(sizes.get(name, size) for name, size in zip(names, shape, strict=True))  # type: ignore[return-value]


def resized(shape: Shape, axis: int, size: int) -> Shape:
    """The shape with another length along one axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])  # type: ignore[return-value]


def renamed(array: Array, old: int, new: int) -> Array:
    """The same data with one axis under another name (of length 1 before)."""
    return Array(
        array.data,
        tuple(new if axis == old else axis for axis in array.axes),
        resized(resized(array.shape, new, array.shape[old]), old, 1),
        None if array.kinds is None else array.kinds.swapaxes(old, new),
        None if array.texts is None else array.texts.swapaxes(old, new),
        array.from_cells,
        None if array.valid is None else renamed(array.valid, old, new),
    )


def _with_parts(
    array: Array, shape: Shape, axes: tuple[int, ...], data: Callable[[Data], Data],
    part: Callable[[Any], Any],
) -> Array:  # fmt: skip
    """The same rearrangement of the numbers, kinds, texts and the mask; all of full shape."""
    valid = None
    if array.valid is not None:
        mask = spread(array.valid, array.shape)
        valid = Array(data(permuted(mask.data, mask.axes, array.axes)), axes, shape)
    kinds = None if array.kinds is None else part(array.full_kinds)
    if kinds is not None and not kinds.any():
        kinds = None
    texts = None if array.texts is None or kinds is None else part(array.full_texts)
    return Array(data(array.data), axes, shape, kinds, texts, array.from_cells, valid)


def column(array: Array, by_columns: bool = False) -> Array:
    """All elements below each other, read row by row (or column by column)."""
    rows, columns, height, width = array.shape
    if width == 1:
        return array
    if height == 1:
        return renamed(array, WIDTH, HEIGHT)
    order = (WIDTH, HEIGHT) if by_columns else (HEIGHT, WIDTH)
    outer = tuple(axis for axis in array.axes if axis in (ROW, COLUMN))

    def flat(data: Data) -> Data:
        data = permuted(data, array.axes, (*outer, *order))
        return apply(torch.flatten, data, len(outer), len(outer) + 1)

    def flat_part(part: NDArray[Any]) -> NDArray[Any]:
        part = part.swapaxes(HEIGHT, WIDTH) if by_columns else part
        return part.reshape(*part.shape[:2], -1, 1)

    shape: Shape = (rows, columns, height * width, 1)
    return _with_parts(array, shape, (*outer, HEIGHT), flat, flat_part)


def unfolded(array: Array, height: int, width: int) -> Array:
    """A column cut into rows of ``width``: the opposite of ``column``."""
    rows, columns, length, _ = array.shape
    assert length == height * width
    if width == 1:
        return array
    if height == 1:
        return renamed(array, HEIGHT, WIDTH)
    at = array.axes.index(HEIGHT)
    axes = (*array.axes[: at + 1], WIDTH, *array.axes[at + 1 :])
    shape: Shape = (rows, columns, height, width)
    return _with_parts(
        array, shape, axes,
        lambda data: apply(torch.unflatten, data, at, (height, width)),
        lambda part: part.reshape(*part.shape[:2], height, width),
    )  # fmt: skip


def reorder(array: Array, axis: int, index: Ints) -> Array:
    """Elements at constant positions along one axis, the same in every copy."""
    size = array.shape[axis]
    if np.array_equal(index, np.arange(size)):
        return array
    if size == 1:
        return spread(array, resized(array.shape, axis, len(index)))
    dim = array.axes.index(axis)
    if len(index) == 1:
        axes = tuple(item for item in array.axes if item != axis)

        def data(part: Data) -> Data:
            return apply(torch.select, part, dim, int(index[0]))
    else:
        axes = array.axes

        def data(part: Data) -> Data:
            return apply(torch.index_select, part, dim, torch.from_numpy(index.astype(np.int64)))

    shape = resized(array.shape, axis, len(index))
    return _with_parts(array, shape, axes, data, lambda part: part.take(index, axis))


def pick(array: Array, axis: int, index: Ints) -> Array:
    """Elements at constant positions along one axis that may differ among the copies.

    ``index`` has four axes: its length along ``axis`` is the result's, the other inner axis is 1.
    """
    if index.shape[ROW] == 1 and index.shape[COLUMN] == 1:
        return reorder(array, axis, index.reshape(-1))
    position = torch.from_numpy(np.ascontiguousarray(index))
    return pick_traced(array, axis, position, tuple(index.shape))


def pick_traced(array: Array, axis: int, index: Data, index_shape: tuple[int, ...]) -> Array:
    """The same for an index of which training may decide; it has all four dims."""
    shape: Shape = tuple(  # type: ignore[assignment]
        index_shape[item] if item == axis else max(array.shape[item], index_shape[item])
        for item in range(4)
    )
    outer = with_shape(array.shape, rows=shape[ROW], columns=shape[COLUMN])
    array = spread(array, outer)
    axes = tuple(item for item in range(4) if array.shape[item] > 1 or item == axis)
    full = tuple(shape[item] for item in axes)
    lengths = [1 if item not in axes else index_shape[item] for item in range(4)]
    position = apply(torch.reshape, index, tuple(lengths[item] for item in axes))
    position = apply(torch.broadcast_to, position, full)
    dim = axes.index(axis)

    def gathered(data: Data) -> Data:
        order = tuple(sorted(array.axes))
        data = permuted(data, array.axes, order)
        if axis not in array.axes:
            data = apply(torch.unsqueeze, data, dim)
        data = apply(torch.take_along_dim, data, position, dim=dim)
        return data if shape[axis] > 1 else apply(torch.squeeze, data, dim)

    kept = tuple(item for item in axes if item != axis or shape[axis] > 1)
    kinds = texts = None
    if array.kinds is not None:
        if isinstance(index, torch.fx.Node):
            raise Unsupported("a trained value decides between numbers, texts, blanks or errors")
        where = np.broadcast_to(index.numpy(), shape)
        kinds = np.take_along_axis(np.asarray(array.full_kinds), where, axis)
        texts = np.take_along_axis(np.asarray(array.full_texts), where, axis)
        kinds = kinds if kinds.any() else None
        texts = texts if kinds is not None and array.texts is not None else None
    valid = None
    if array.valid is not None:
        mask = spread(array.valid, array.shape)
        valid = Array(gathered(permuted(mask.data, mask.axes, array.axes)), kept, shape)
    return Array(gathered(array.data), kept, shape, kinds, texts, array.from_cells, valid)


def join(pieces: Sequence[Array], axis: int) -> Array:
    """Arrays joined along an inner axis; the copies of each are brought together first."""
    if len(pieces) == 1:
        return pieces[0]
    if any(piece.traced for piece in pieces):
        pieces = [filled(piece) for piece in pieces]
    rows, columns = (max(piece.shape[item] for piece in pieces) for item in (ROW, COLUMN))
    pieces = [spread(p, with_shape(p.shape, rows=rows, columns=columns)) for p in pieces]
    other = HEIGHT if axis == WIDTH else WIDTH
    shape = resized(pieces[0].shape, axis, sum(piece.shape[axis] for piece in pieces))
    order = tuple(item for item in range(4) if shape[item] > 1 or item == axis)
    assert len({piece.shape[other] for piece in pieces}) == 1
    dim = order.index(axis)
    masks = all(value_of(piece.data).dtype == torch.bool for piece in pieces)

    def data_of(piece: Array) -> Data:
        piece = piece if masks else as_float(piece)
        present = tuple(item for item in order if item in piece.axes)
        return permuted(piece.data, piece.axes, present)

    if all(piece.shape[axis] == 1 for piece in pieces):
        joined = apply(torch.stack, tuple(data_of(piece) for piece in pieces), dim=dim)
    else:
        joined = apply(
            torch.cat,
            tuple(
                data_of(p) if axis in p.axes else apply(torch.unsqueeze, data_of(p), dim)
                for p in pieces
            ),
            dim=dim,
        )
    kinds = texts = None
    if any(piece.kinds is not None for piece in pieces):
        kinds = np.concatenate([piece.full_kinds for piece in pieces], axis=axis)
        texts = np.concatenate([piece.full_texts for piece in pieces], axis=axis)
    valid = None
    if any(piece.valid is not None for piece in pieces):
        always = constant_mask(np.ones((1, 1, 1, 1), dtype=bool))
        valid = join([spread(piece.valid or always, piece.shape) for piece in pieces], axis)
    return Array(joined, order, shape, kinds, texts, valid=valid)


def one_copy(*arrays: Array) -> None:
    """Raises Differs unless the arrays are the same in all copies of the formula."""
    if any(array.shape[ROW] * array.shape[COLUMN] > 1 for array in arrays):
        raise NotVectorisable("a result whose size or order differs among the copied cells")


def scalars(array: Array) -> Array:
    """The array with every inner element as a copy of its own: inner axes become outer ones."""
    assert array.shape[:2] == (1, 1)
    return renamed(renamed(array, HEIGHT, ROW), WIDTH, COLUMN)


def full_data(array: Array) -> Data:
    """The numbers with all four dims."""
    array = as_float(spread(array, array.shape))
    order = tuple(sorted(array.axes))
    data = permuted(array.data, array.axes, order)
    for axis in range(4):
        if axis not in order:
            data = apply(torch.unsqueeze, data, axis)
    return data


def from_full(data: Data, shape: Shape, valid: Array | None = None) -> Array:
    """The opposite: dims of length 1 are dropped."""
    axes = tuple(axis for axis in range(4) if shape[axis] > 1)
    if len(axes) < 4:
        data = apply(torch.reshape, data, tuple(shape[axis] for axis in axes))
    return Array(data, axes, shape, valid=valid)
