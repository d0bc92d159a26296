"""Computed references that are plain ones: ``OFFSET(D3,-1,0)`` copied down is the cell above.

OFFSET, INDEX and INDIRECT whose places are known and move as a reference does, by one cell from
copy to copy, are written as that reference. Then it is known which rows a formula needs.
"""

from __future__ import annotations

import numpy as np

from xl2torch.arrays.array import ExcelError, Unsupported
from xl2torch.cells.address import MAX_COLUMN, MAX_ROW
from xl2torch.excel.reference import Place, place_of
from xl2torch.excel.registry import IntArray
from xl2torch.formula.ast import Bound, Call, Node, Reference, children, walk, with_children
from xl2torch.lowering.lower import Lowering
from xl2torch.lowering.precedents import SplitRegion

_COMPUTED = frozenset({"OFFSET", "INDEX", "INDIRECT", "RANGE"})


def with_plain_places(lowering: Lowering) -> Node:
    """The tree of a region; the same object where no computed reference is a plain one."""
    tree = lowering.source.tree
    made: dict[int, Node] = {}
    found = False
    for node in reversed(list(walk(tree))):
        plain = None
        if isinstance(node, Call) and node.function in _COMPUTED:
            try:
                plain = _reference(place_of(lowering, node, node.function), lowering)
            except (Unsupported, ExcelError, SplitRegion):
                plain = None
        found = found or plain is not None
        made[id(node)] = plain or with_children(node, [made[id(item)] for item in children(node)])
    return made[id(tree)] if found else tree


def _reference(place: Place, lowering: Lowering) -> Reference | None:
    """The reference that means a place in every copy; None when there is none."""
    area, (down, across), (rows, columns) = lowering.region, lowering.step, lowering.copies
    if place.top.min() < 1 or place.left.min() < 1:
        return None
    if place.top.max() + place.height - 1 > MAX_ROW:
        return None
    if place.left.max() + place.width - 1 > MAX_COLUMN:
        return None
    shape = (rows, columns, 1, 1)
    top = _bound(np.broadcast_to(place.top, shape)[:, :, 0, 0], area.top, down)
    left = _bound(np.broadcast_to(place.left, shape)[:, :, 0, 0].T, area.left, across)
    if top is None or left is None:
        return None
    bottom = Bound(top.value + place.height - 1, top.relative)
    right = Bound(left.value + place.width - 1, left.relative)
    return Reference(place.sheet, top, left, bottom, right)


def _bound(places: IntArray, origin: int, step: int) -> Bound | None:
    """The row (or column) of a table of places: its own axis first."""
    line = places[:, 0]
    if (places != line[:, None]).any():
        return None
    if len(line) == 1 or (np.diff(line) == step).all():
        return Bound(int(line[0]) - origin, True)
    return Bound(int(line[0]), False) if (line == line[0]).all() else None
