"""Formulas that are alike but for the cells and literals in them, computed together.

A network written out by hand, or a search for a word in each cell, has thousands of formulas and no
copies, and each would be parsed and computed for itself. With marks in the place of cells, numbers
and texts most of them are one formula: it is parsed once, and computed once for all cells whose
operands are known, as a LAMBDA is over an array. For numbers only: a trace keeps formulas apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xl2torch.arrays.array import Array, ExcelError, Shape, Unsupported, constant
from xl2torch.cells.address import MAX_COLUMN, MAX_ROW, CellAddress, CellRange, column_number
from xl2torch.cells.values import NUMBER, TEXT
from xl2torch.errors import FormulaError
from xl2torch.excel.registry import FUNCTIONS
from xl2torch.formula.ast import (
    Call,
    FunctionName,
    Local,
    Node,
    Opaque,
    Reference,
    children,
    walk,
    with_children,
)
from xl2torch.formula.parser import parse
from xl2torch.lowering.lower import Lowering
from xl2torch.lowering.precedents import SplitRegion
from xl2torch.lowering.regions import Parsed, Region
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.sheet_reader import Sheet
from xl2torch.workbook.sparse_cells import key_of

_FEWEST = 32
"""Formulas below which a family is not worth it."""
_DRY, _MOST_DRY = 8, 20
"""So few formulas are ready at a time, so often, and the family is given up: it is a chain."""
_TEXT, _CELL, _NUMBER = "\x01", "\x02", "\x03"
_HOLE = re.compile(
    r'"(?:[^"]|"")*"'
    r"|\$?([A-Z]{1,3})\$?([1-9]\d*)(?![\w(.!:])"
    r"|(?<![\w$.\x01-\x03])\d+(?:\.\d*)?(?:E[+-]?\d+)?(?![\w(.!:])"
)
_UNFIT = re.compile(r"['\[{:#@!]")
"""Other sheets, tables, arrays, ranges: their references are no single cells of this sheet."""
_MARKERS = 1_000_000


@dataclass(frozen=True, eq=False)
class Family:
    """Formulas that are alike: a tree with names for what differs.

    ``cells`` are the codes of the cells that they stand in, (n,). Of each name ``holes`` has what
    the formulas have there: codes of cells, numbers, or texts.
    """

    tree: Node
    cells: NDArray[np.int64]
    holes: tuple[NDArray[Any], ...]

    @property
    def reads(self) -> NDArray[np.int64]:
        """Codes of the cells that each formula reads, (n, cells)."""
        columns = [hole for hole in self.holes if hole.dtype == np.int64]
        return np.stack(columns, 1) if columns else np.empty((len(self.cells), 0), dtype=np.int64)


def find_families(workbook: Workbook, sheet: Sheet, regions: Iterable[Region]) -> list[Family]:
    """The families among formulas that stand alone in their sheet."""
    alike: dict[str, tuple[list[int], list[list[Any]]]] = {}
    single = [region for region in regions if region.range.size == 1 and not region.array]
    if len(single) < _FEWEST:
        return []
    columns: dict[str, int] = {}
    for region in single:
        text = region.formula
        if _UNFIT.search(text) and _UNFIT.search(re.sub('"[^"]*"', "", text)):
            continue
        holes: list[Any] = []
        form = _HOLE.sub(lambda match, found=holes: _mark(match, found, columns), text)  # type: ignore[misc]
        cells, every = alike.setdefault(form, ([], []))
        cells.append(key_of(region.range.top, region.range.left))
        every.append(holes)
    found = []
    for form, (cells, every) in alike.items():
        tree = _tree_of(form, workbook, sheet) if len(cells) >= _FEWEST else None
        if tree is not None:
            marks = [mark for mark in form if mark in (_TEXT, _CELL, _NUMBER)]
            columns_ = zip(marks, zip(*every, strict=True), strict=True)
            arrays = tuple(np.array(values, dtype=_TYPES[mark]) for mark, values in columns_)
            found.append(Family(tree, np.array(cells, dtype=np.int64), arrays))
    return found


_TYPES: dict[str, Any] = {_TEXT: object, _CELL: np.int64, _NUMBER: np.float64}


def _mark(match: re.Match[str], holes: list[Any], columns: dict[str, int]) -> str:
    """The mark for a literal or a cell, which is noted."""
    text = match[0]
    if text[0] == '"':
        holes.append(text[1:-1].replace('""', '"'))
        return _TEXT
    if match[1]:
        column = columns.get(match[1]) or columns.setdefault(match[1], column_number(match[1]))
        if column > MAX_COLUMN or int(match[2]) > MAX_ROW:
            return text  # a name, such as YTD2024
        holes.append(key_of(int(match[2]), column))
        return _CELL
    holes.append(float(text))
    return _NUMBER


def _tree_of(form: str, workbook: Workbook, sheet: Sheet) -> Node | None:
    """The tree of a marked formula, with names in the marked places; None where it is no family.

    What a function sees of its arguments must be their values alone.
    """
    pieces = re.split(f"[{_TEXT}{_CELL}{_NUMBER}]", form)
    text = pieces[0] + "".join(
        f"$XFD${_MARKERS + place}{piece}" for place, piece in enumerate(pieces[1:])
    )
    try:
        tree = parse(text, CellAddress(sheet.name, 1, 1), workbook)
    except FormulaError:
        return None
    made: dict[int, Node] = {}
    for node in reversed(list(walk(tree))):
        if isinstance(node, Reference):
            place = node.top.value - _MARKERS
            if not 0 <= place < len(pieces) or node.top != node.bottom or node.left != node.right:
                return None  # of a name
            made[id(node)] = Local(_name(place))
            continue
        if isinstance(node, Opaque | FunctionName | Local):
            return None
        if isinstance(node, Call):
            function = FUNCTIONS.get(node.function)
            if function is None or function.context or "n" in function.letters:
                return None
        made[id(node)] = with_children(node, [made[id(child)] for child in children(node)])
    return made[id(tree)]


def _name(place: int) -> str:
    return f"hole {place}"


Gather = Callable[[NDArray[np.int64]], Array]
"""The values of cells with some codes, each a copy of its own."""


def compute_members(
    workbook: Workbook, sheet: str, family: Family, chosen: NDArray[np.int64], gather: Gather
) -> Array | None:
    """Values of some members of a family, (n, 1, 1, 1); None where each has to go alone."""
    count = len(chosen)
    shape: Shape = (count, 1, 1, 1)
    names = {}
    for place, hole in enumerate(family.holes):
        values = hole[chosen]
        if hole.dtype == np.int64:
            array = replace(gather(values), from_cells=True)
        elif hole.dtype == np.float64:
            array = constant(values.reshape(shape))
        else:
            kinds = np.full(shape, TEXT, dtype=np.uint8)
            array = constant(np.zeros(shape), kinds, values.reshape(shape))
        names[_name(place)] = array
    area = CellRange(sheet, 1, 1, count, 1)
    region = Region(area, 1, 1, Parsed.of(family.tree), False, "")

    def nothing(_: CellRange) -> Array:
        raise Unsupported("a member of a family reads no cell by its address")

    lowering = Lowering(workbook, region, nothing, names=names, mapped=True)
    try:
        return lowering.result()
    except (Unsupported, ExcelError, SplitRegion):
        return None


class Board:
    """Values of the cells of a sheet that families read, as they become known."""

    def __init__(self, sheet: Sheet, families: Sequence[Family]) -> None:
        reads = [family.reads.reshape(-1) for family in families]
        own = [family.cells for family in families]
        self.codes = np.unique(np.concatenate([*reads, *own]))
        found = sheet.cells.at(self.codes)
        self.numbers, self.kinds, self.texts = found.numbers, found.kinds, found.texts
        self.known = np.ones(len(self.codes), dtype=bool)

    def places(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of cells on the board."""
        return np.searchsorted(self.codes, codes)

    def gather(self, codes: NDArray[np.int64]) -> Array:
        """The values of cells, each a copy of its own."""
        places, shape = self.places(codes), (len(codes), 1, 1, 1)
        return constant(
            self.numbers[places].reshape(shape), self.kinds[places].reshape(shape),
            self.texts[places].reshape(shape),
        )  # fmt: skip

    def put(self, places: NDArray[np.int64], values: Array) -> None:
        """Values that became known."""
        self.numbers[places] = np.broadcast_to(values.numpy(), values.shape).reshape(-1)
        self.kinds[places] = values.full_kinds.reshape(-1)
        if values.texts is not None and (values.full_kinds == TEXT).any():
            self.texts[places] = values.full_texts.reshape(-1)
        self.known[places] = True


def taken_apart(values: Array) -> list[Array]:
    """The values of copies below each other, one by one."""
    count = values.shape[0]
    shape: Shape = (1, 1, 1, 1)
    data = values.data.reshape(-1).expand(count).unbind()  # type: ignore[union-attr]
    if values.kinds is None:
        return [Array(item, (), shape) for item in data]
    kinds, texts = values.full_kinds, values.full_texts
    plain = (kinds == NUMBER).reshape(-1).tolist()
    return [
        Array(item, (), shape) if plain[n] else
        Array(item, (), shape, kinds[n : n + 1], texts[n : n + 1])
        for n, item in enumerate(data)
    ]  # fmt: skip


class FamilyProgress:
    """Which members of a family are left, and whether it is worth going on."""

    def __init__(self, family: Family, board: Board) -> None:
        self.family = family
        self.reads = board.places(family.reads)
        self.own = board.places(family.cells)
        self.left = np.ones(len(family.cells), dtype=bool)
        self.given_up = False
        self._dry = 0

    def wanted(self, board: Board) -> list[int]:
        """Places on the board that its members still wait for."""
        reads = np.unique(self.reads[self.left])
        found: list[int] = reads[~board.known[reads]].tolist()
        return found

    def ready(self, board: Board) -> NDArray[np.int64]:
        """Members whose operands are all known."""
        left = np.flatnonzero(self.left)
        found = left[board.known[self.reads[left]].all(axis=1)]
        self._dry += len(found) <= _DRY < len(left)
        self.given_up = self.given_up or self._dry > _MOST_DRY
        return found
