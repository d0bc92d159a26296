"""Rectangles of computed or trained cells, and cutting other rectangles out of them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

import numpy as np
import torch

from xl2torch.arrays.array import (
    COLUMN,
    DTYPE,
    HEIGHT,
    ROW,
    WIDTH,
    Array,
    Shape,
    Unsupported,
    along,
    as_float,
    constant,
    permuted,
    spread,
    where_constant,
)  # fmt: skip
from xl2torch.arrays.shapes import join, renamed
from xl2torch.cells.address import CellRange
from xl2torch.cells.values import BLANK
from xl2torch.ir.trace import apply
from xl2torch.safety.limits import MOST_CELLS
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.sparse_cells import CellBlock, Floats


@dataclass(frozen=True, eq=False)
class Block:
    """Values of a rectangle; the array's rows are its height axis, its columns the width axis."""

    area: CellRange
    array: Array


def given_numbers(area: CellRange, numbers: Floats) -> Block:
    """Numbers, in any shape of the rectangle, that take the place of what its cells hold."""
    values = np.array(numbers, dtype=float).reshape(1, 1, area.rows, area.columns)
    return Block(area, constant(values))


def stored(workbook: Workbook, area: CellRange) -> Array:
    """The values that the file holds for a rectangle: constants and cached results."""
    if area.size > MOST_CELLS:
        raise Unsupported(f"the range {area} has {area.size:,} cells, too many to hold")
    cells = workbook.sheet(area.sheet).cells.block(area.top, area.left, area.bottom, area.right)
    return from_cells(cells)


def from_cells(cells: CellBlock) -> Array:
    """Array of a rectangle of cells."""
    return constant(cells.numbers[None, None], cells.kinds[None, None], cells.texts[None, None])


def cut(block: Block, area: CellRange) -> Array:
    """Part of a block. Raises Unsupported where it has other cells than its place says."""
    if block.array.shape[2:] != (block.area.rows, block.area.columns):
        raise Unsupported("it reads a range of rows, and the rows around a new one are not known")
    array = along(block.array, HEIGHT, area.top - block.area.top, area.rows, 1)
    return along(array, WIDTH, area.left - block.area.left, area.columns, 1)


def read(workbook: Workbook, blocks: list[Block], area: CellRange) -> Array:
    """Values of a rectangle: cut out of the blocks that overlap it, stored cells elsewhere."""
    for block in blocks:
        if block.area.contains(area):
            return cut(block, area)
    if not any(block.array.traced for block in blocks):
        return _overlaid(workbook, blocks, area)
    by_column = _stripes(blocks, area, WIDTH)
    by_row = _stripes(blocks, area, HEIGHT)
    axis, stripes = (WIDTH, by_column) if len(by_column) <= len(by_row) else (HEIGHT, by_row)
    if len(stripes) == 1:
        axis, stripes = (WIDTH, by_column) if axis == HEIGHT else (HEIGHT, by_row)
    pieces = []
    for stripe, inside in zip(stripes, _by_stripe(blocks, stripes, axis), strict=True):
        pieces.append(read(workbook, inside, stripe) if inside else stored(workbook, stripe))
    return join(pieces, axis)


def _by_stripe(blocks: list[Block], stripes: list[CellRange], axis: int) -> list[list[Block]]:
    """The blocks that reach into each stripe."""
    start, end = ("left", "right") if axis == WIDTH else ("top", "bottom")
    begins = [getattr(stripe, start) for stripe in stripes]
    found: list[list[Block]] = [[] for _ in stripes]
    for block in blocks:
        first = max(bisect_right(begins, getattr(block.area, start)) - 1, 0)
        last = bisect_right(begins, getattr(block.area, end))
        for place in range(first, last):
            if block.area.intersection(stripes[place]):
                found[place].append(block)
    return found


def _overlaid(workbook: Workbook, blocks: list[Block], area: CellRange) -> Array:
    base = workbook.sheet(area.sheet).cells.block(area.top, area.left, area.bottom, area.right)
    if not blocks:
        return from_cells(base)
    if not base.texts.flags.writeable and any(block.array.texts is not None for block in blocks):
        base = replace(base, texts=base.texts.copy())
    for block in blocks:
        common = block.area.intersection(area)
        if common is None:
            continue
        part = cut(block, common)
        place = np.s_[
            common.top - area.top : common.bottom - area.top + 1,
            common.left - area.left : common.right - area.left + 1,
        ]
        base.numbers[place] = part.numpy()[0, 0]
        base.kinds[place] = part.full_kinds[0, 0]
        if base.texts.flags.writeable:
            base.texts[place] = part.full_texts[0, 0]
    return from_cells(base)


def _stripes(blocks: list[Block], area: CellRange, axis: int) -> list[CellRange]:
    """The area cut at every edge of a block along one axis."""
    edges: set[int] = set()
    for block in blocks:
        if axis == WIDTH:
            edges |= {block.area.left, block.area.right + 1}
        else:
            edges |= {block.area.top, block.area.bottom + 1}
    first, last = (area.left, area.right) if axis == WIDTH else (area.top, area.bottom)
    starts = sorted({first} | {edge for edge in edges if first < edge <= last})
    ends = [*(start - 1 for start in starts[1:]), last]
    if axis == WIDTH:
        return [
            CellRange(area.sheet, area.top, start, area.bottom, end)
            for start, end in zip(starts, ends, strict=True)
        ]
    return [
        CellRange(area.sheet, start, area.left, end, area.right)
        for start, end in zip(starts, ends, strict=True)
    ]


def windows(array: Array, axis: int, new: int, size: int, step: int) -> Array:
    """Sliding windows along ``axis``; the windows are numbered along the axis ``new``."""
    length = array.shape[axis]
    if size == 1:
        return renamed(along(array, axis, 0, (length - 1) // step + 1, step), axis, new)
    count = (length - size) // step + 1
    dim = array.axes.index(axis)
    data = apply(torch.Tensor.unfold, array.data, dim, size, step)
    axes = (*(new if item == axis else item for item in array.axes), axis)
    shape = list(array.shape)
    shape[new], shape[axis] = count, size

    def slide(part: np.ndarray | None) -> np.ndarray | None:
        if part is None or part.shape[axis] == 1:
            return part
        view = np.lib.stride_tricks.sliding_window_view(part, size, axis=axis)
        view = view[tuple(slice(None, None, step) if i == axis else slice(None) for i in range(5))]
        return _settle(view, axis, new)

    valid = None
    if array.valid is not None:
        valid = windows(spread(array.valid, array.shape), axis, new, size, step)
    size_of: Shape = tuple(shape)  # type: ignore[assignment]
    return Array(data, axes, size_of, slide(array.kinds), slide(array.texts), valid=valid)


def _settle(view: np.ndarray, axis: int, new: int) -> np.ndarray:
    """From (…axis: window number…, last: inside the window) to four axes."""
    moved = np.moveaxis(view, axis, 0)  # window number first, then the other three, then inside
    rest = [item for item in range(4) if item != axis]
    moved = moved.take(0, axis=1 + rest.index(new))  # the axis `new` had length 1
    rest.remove(new)
    order = sorted(range(4), key=lambda position: [new, *rest, axis][position])
    return np.asarray(moved.transpose(order))


def with_gaps(array: Array, row_step: int, column_step: int) -> Array:
    """A rectangle whose rows and columns stand apart, with blank cells between them."""
    rows, columns = array.shape[HEIGHT], array.shape[WIDTH]
    row_step, column_step = row_step if rows > 1 else 1, column_step if columns > 1 else 1
    shape: Shape = (1, 1, (rows - 1) * row_step + 1, (columns - 1) * column_step + 1)
    kinds = np.full(shape, BLANK, dtype=np.uint8)
    kinds[:, :, ::row_step, ::column_step] = array.full_kinds
    texts = None
    if array.texts is not None:
        texts = np.full(shape, "", dtype=object)
        texts[:, :, ::row_step, ::column_step] = array.full_texts
    if not array.traced:
        numbers = np.zeros(shape)
        numbers[:, :, ::row_step, ::column_step] = array.numpy()
        return constant(numbers, kinds, texts)
    array = as_float(array)
    axes = tuple(sorted(array.axes))
    cell = torch.zeros([{HEIGHT: row_step, WIDTH: column_step}[axis] for axis in axes], dtype=DTYPE)
    cell.view(-1)[0] = 1.0
    data = apply(torch.kron, permuted(array.data, array.axes, axes), cell)
    for dim, axis in enumerate(axes):
        data = apply(torch.narrow, data, dim, 0, shape[axis])
    valid = None
    if array.valid is not None:
        mask = with_gaps(as_float(spread(array.valid, array.shape)), row_step, column_step)
        full = np.zeros(shape, dtype=bool)
        full[:, :, ::row_step, ::column_step] = True
        valid = Array(apply(torch.ne, where_constant(full, mask, 1.0).data, 0.0), axes, shape)
    return Array(data, axes, shape, kinds, texts, valid=valid)


def placed(array: Array, height: int, width: int) -> Array:
    """A region's array as its rectangle: copies below each other become rows.

    The array has inner shape (height, width).
    """
    rows, columns = array.shape[ROW], array.shape[COLUMN]
    data, axes = array.data, array.axes
    shape: Shape = (1, 1, rows * height, columns * width)
    for outer, inner in ((ROW, HEIGHT), (COLUMN, WIDTH)):
        if outer in axes and inner in axes:
            rest = [axis for axis in axes if axis not in (outer, inner)]
            order = tuple([outer, inner, *rest] if outer == ROW else [*rest, outer, inner])
            data = permuted(data, axes, order)
            at = order.index(outer)
            data = apply(torch.flatten, data, at, at + 1)
            axes = tuple(axis for axis in order if axis != outer)
        else:
            axes = tuple(inner if axis == outer else axis for axis in axes)

    def flat(part: np.ndarray) -> np.ndarray:
        full = np.broadcast_to(part, (rows, columns, height, width))
        return full.transpose(0, 2, 1, 3).reshape(shape)

    kinds = None if array.kinds is None else flat(array.kinds)
    texts = None if array.texts is None else flat(array.texts)
    valid = None
    if array.valid is not None:
        valid = placed(spread(array.valid, array.shape), height, width)
    return Array(data, axes, shape, kinds, texts, valid=valid)
