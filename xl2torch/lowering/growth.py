"""Ranges that grow as they are copied: ``SUM($A$1:A5)`` down a column is a running total."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from xl2torch.arrays.array import (
    COLUMN,
    HEIGHT,
    INNER,
    ROW,
    WIDTH,
    Array,
    Kinds,
    NotVectorisable,
    all_valid,
    constant,
    numeric_cells,
    reduce_errors,
    where_constant,
)  # fmt: skip
from xl2torch.arrays.sample import plain
from xl2torch.arrays.shapes import renamed, reorder
from xl2torch.cells.address import CellRange
from xl2torch.cells.values import BLANK, FIRST_ERROR, NUMBER
from xl2torch.formula.ast import Bound, Reference
from xl2torch.ir.ops import Bend, Group, recorded
from xl2torch.ir.trace import Data, apply
from xl2torch.lowering.precedents import swept_range
from xl2torch.lowering.regions import Region
from xl2torch.workbook.read.reader import Workbook


@dataclass(frozen=True)
class Growth:
    """A range per copy: places ``first`` to ``last`` (from 0) along one axis of an area."""

    area: CellRange
    axis: int
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def outer(self) -> int:
        """The axis of the copies."""
        return ROW if self.axis == HEIGHT else COLUMN

    def inside(self) -> NDArray[np.bool_]:
        """Which cells of the area belong to each copy, of four axes."""
        size = self.area.rows if self.axis == HEIGHT else self.area.columns
        shape, copies = [1, 1, 1, 1], [1, 1, 1, 1]
        shape[self.axis], copies[self.outer] = size, len(self.first)
        place = np.arange(size).reshape(shape)
        return np.asarray(
            (place >= self.first.reshape(copies)) & (place <= self.last.reshape(copies))
        )


def growth_of(reference: Reference, region: Region, workbook: Workbook) -> Growth | None:
    """How a range grows; None when it grows or moves in both directions."""
    area = swept_range(reference, region, workbook)
    if area is None:
        raise NotVectorisable("a range that leaves the sheet in some of the copied cells")
    down = region.rows > 1 and reference.top.relative != reference.bottom.relative
    across = region.columns > 1 and reference.left.relative != reference.right.relative
    if down == across:
        return None
    if down and region.columns > 1 and reference.left.relative:
        return None
    if across and region.rows > 1 and reference.top.relative:
        return None
    if down:
        bounds, origin = (reference.top, reference.bottom), region.range.top
        start, step, copies, axis = area.top, region.row_step, region.rows, HEIGHT
    else:
        bounds, origin = (reference.left, reference.right), region.range.left
        start, step, copies, axis = area.left, region.column_step, region.columns, WIDTH
    places = np.array([[_at(bound, origin + step * copy) - start for bound in bounds]
                       for copy in range(copies)])  # fmt: skip
    return Growth(area, axis, places.min(axis=1), places.max(axis=1))


def _at(bound: Bound, origin: int) -> int:
    return bound.at(origin)


# ---------------------------------------------------------------- running totals


@recorded(Group.ALONG, bend=Bend.KINK)
def running_largest(data: torch.Tensor, dim: int) -> torch.Tensor:
    """Largest number so far."""
    return torch.cummax(data, dim=dim).values


@recorded(Group.ALONG, bend=Bend.KINK)
def running_smallest(data: torch.Tensor, dim: int) -> torch.Tensor:
    """Smallest number so far."""
    return torch.cummin(data, dim=dim).values


@dataclass(frozen=True)
class _Rule:
    """A reduction over the other axis, its running form, and what no number counts as."""

    reduce: Callable[..., torch.Tensor]
    run: Callable[..., torch.Tensor]
    neutral: float


CUMULATIVE = {
    "SUM": _Rule(torch.sum, torch.cumsum, 0.0),
    "COUNT": _Rule(torch.sum, torch.cumsum, 0.0),
    "AVERAGE": _Rule(torch.sum, torch.cumsum, 0.0),
    "PRODUCT": _Rule(torch.prod, torch.cumprod, 1.0),
    "MAX": _Rule(torch.amax, running_largest, -np.inf),
    "MIN": _Rule(torch.amin, running_smallest, np.inf),
}


def running(name: str, whole: Array, growth: Growth) -> Array:
    """The function's value per copy, as cells: blank where it has met no number."""
    prefix = bool((growth.first == 0).all())
    if not prefix and not (growth.last == growth.last[0]).all():
        raise NotVectorisable("a range that grows at both ends")
    ends = growth.last if prefix else growth.first
    rule = CUMULATIVE[name]
    counted = np.broadcast_to(numeric_cells(whole), (1, 1, *whole.shape[2:]))
    errors = _first_errors(whole, growth, prefix)
    if name == "COUNT":
        numbers, errors = constant(counted.astype(float)), None
    else:
        numbers = where_constant(counted, plain(whole), rule.neutral)
    other = WIDTH if growth.axis == HEIGHT else HEIGHT
    if other in numbers.axes:
        dim = numbers.axes.index(other)
        numbers = Array(
            apply(rule.reduce, numbers.data, dim=dim),
            tuple(axis for axis in numbers.axes if axis != other),
            (1, 1, *(1 if axis == other else numbers.shape[axis] for axis in INNER)),  # type: ignore[arg-type]
            valid=all_valid(numbers, (other,)),
        )
    run = replace(numbers, data=_along(numbers, growth.axis, rule.run, prefix), valid=None)
    if numbers.valid is not None:
        mask = numbers.valid
        whole_mask = _along(mask, growth.axis, _all_so_far, prefix)
        run = replace(run, valid=replace(mask, data=whole_mask))
    found = renamed(reorder(run, growth.axis, ends), growth.axis, growth.outer)
    some = counted.any(axis=other, keepdims=True)
    met = np.cumsum(some if prefix else np.flip(some, growth.axis), axis=growth.axis)
    met = met if prefix else np.flip(met, growth.axis)
    none = np.swapaxes(np.take(met, ends, axis=growth.axis) == 0, growth.axis, growth.outer)
    kinds = np.where(none, BLANK, NUMBER) if name != "COUNT" else np.zeros_like(none, dtype=int)
    if errors is not None:
        met_errors = np.swapaxes(np.take(errors, ends, axis=growth.axis), growth.axis, growth.outer)
        kinds = np.where(met_errors != NUMBER, met_errors, kinds)
    if not found.traced:
        numbers_ = np.where(kinds >= FIRST_ERROR, np.nan, np.where(none, 0.0, found.numpy()))
        return replace(constant(numbers_, kinds.astype(np.uint8)), from_cells=True)
    found = where_constant(~none, found, 0.0)
    return replace(found, kinds=kinds.astype(np.uint8) if kinds.any() else None, from_cells=True)


@recorded(Group.ALONG, keeps_true=True)
def _all_so_far(data: torch.Tensor, dim: int) -> torch.Tensor:
    """Whether a mask has held everywhere so far."""
    return torch.cumprod(data.to(torch.uint8), dim=dim) != 0


def _along(array: Array, axis: int, run: Callable[..., torch.Tensor], prefix: bool) -> Data:
    if axis not in array.axes:
        return array.data
    dim = array.axes.index(axis)
    if prefix:
        return apply(run, array.data, dim=dim)
    flipped = apply(torch.flip, array.data, (dim,))
    return apply(torch.flip, apply(run, flipped, dim=dim), (dim,))


def _first_errors(whole: Array, growth: Growth, prefix: bool) -> Kinds | None:
    """First error met from the range's start, for each end of the range."""
    other = WIDTH if growth.axis == HEIGHT else HEIGHT
    found = reduce_errors([whole], (other,))
    if found is None:
        return None
    size = growth.area.rows if growth.axis == HEIGHT else growth.area.columns
    shape = [1, 1, 1, 1]
    shape[growth.axis] = size
    flat = np.broadcast_to(found, shape).reshape(-1).copy()
    order = range(1, size) if prefix else range(size - 2, -1, -1)
    for place in order:
        before = flat[place - 1] if prefix else flat[place + 1]
        if prefix:
            flat[place] = before if before != NUMBER else flat[place]
        elif flat[place] == NUMBER:
            flat[place] = before
    return flat.reshape(shape).astype(np.uint8)
