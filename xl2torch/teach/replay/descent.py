"""A sheet that writes gradient descent down its rows: a step of every weight in each row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from xl2torch.arrays.array import DTYPE, Unsupported
from xl2torch.cells.address import CellAddress, CellRange, column_letters
from xl2torch.cells.values import BLANK, NUMBER
from xl2torch.errors import ModelError
from xl2torch.formula.ast import Bound, Node, Number, Reference, walk
from xl2torch.ir.naming import header
from xl2torch.lowering.blocks import stored
from xl2torch.lowering.regions import Region
from xl2torch.lowering.schedule import Evaluation
from xl2torch.workbook.read.reader import Workbook

_MOST = 0.8
"""Of the rows have the link: what others hold is a slip."""
_FEWEST = 3
"""Rows below which nothing can be recognised."""
_MOST_TABLES = 5
"""Tables of columns that hold their own next value, of which the longest are looked at."""


@dataclass(frozen=True, eq=False)
class DescentWeight:
    """A weight: its column, the column of its next value, and what the sheet holds in both.

    Where a column holds its own next value (``C5: =C4-rate*E4``), ``shift`` and ``new_shift`` say
    how far below the row of the error the weight and its next value stand.
    """

    name: str
    column: int
    new_column: int
    values: torch.Tensor
    new_values: torch.Tensor
    shift: int = 0
    new_shift: int = 0

    @property
    def is_own(self) -> bool:
        """Whether its next value stands in its own column."""
        return self.column == self.new_column

    @property
    def in_column(self) -> torch.Tensor:
        """The values that stand in its column."""
        return torch.cat([self.values, self.new_values[-1:]]) if self.is_own else self.values

    @property
    def steps(self) -> torch.Tensor:
        """What each row takes away from the weight."""
        return self.values - self.new_values


@dataclass(frozen=True, eq=False)
class Descent:
    """The rows of a descent, its weights, and the numbers of all other columns.

    ``before`` are the numbers in the row above the first, NaN where there are none.
    """

    evaluation: Evaluation
    sheet: str
    top: int
    bottom: int
    weights: tuple[DescentWeight, ...]
    columns: dict[int, torch.Tensor]
    before: dict[int, float]

    @property
    def workbook(self) -> Workbook:
        """The workbook."""
        return self.evaluation.workbook

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.bottom - self.top + 1

    def area(self, column: int) -> CellRange:
        """The cells of a column."""
        return CellRange(self.sheet, self.top, column, self.bottom, column)

    def cell(self, place: int, column: int) -> CellAddress:
        """A cell by the number of its row, from 0."""
        return CellAddress(self.sheet, self.top + place, column)

    def weight_area(self, weight: DescentWeight) -> CellRange:
        """The cells of a weight, to the last of its values that stands in its own column."""
        return CellRange(
            self.sheet, self.top + weight.shift, weight.column, self.bottom + weight.new_shift,
            weight.column,
        )  # fmt: skip

    def new_cell(self, place: int, weight: DescentWeight) -> CellAddress:
        """The cell of a weight's next value by the number of its row, from 0."""
        return self.cell(place + weight.new_shift, weight.new_column)

    def label(self, column: int) -> str:
        """Heading and letter of a column."""
        name = header(self.workbook, self.area(column))
        return f"{name} (column {column_letters(column)})" if name else column_letters(column)

    def region(self, place: int, column: int) -> Region | None:
        """The copied formula that a cell holds; None where it holds none."""
        units = self.evaluation.overlapping_cell(self.cell(place, column))
        return units[0].region if units else None

    def common_region(self, column: int) -> Region | None:
        """The formula that most cells of a column hold."""
        if column not in self._common:
            self._common[column] = self._find_common(column)
        return self._common[column]

    @cached_property
    def _common(self) -> dict[int, Region | None]:
        return {}

    def _find_common(self, column: int) -> Region | None:
        regions = [self.region(place, column) for place in range(self.rows)]
        found = [region for region in regions if region is not None]
        counts = Counter(region.tree for region in found)
        if not counts:
            return None
        ((most, _),) = counts.most_common(1)
        return next(region for region in found if region.tree == most)

    def is_common(self, place: int, column: int) -> bool:
        """Whether a cell holds the formula that most cells of its column hold."""
        own, common = self.region(place, column), self.common_region(column)
        return own is not None and common is not None and own.tree == common.tree

    def shown(self, column: int) -> str:
        """The formula that most cells of a column hold, with a cell that holds it."""
        region = self.common_region(column)
        if region is None:
            return "numbers"
        return f"{region.range.first.a1}: ={region.formula}"

    def constants(self, column: int) -> dict[str, float]:
        """Cells outside the rows, and numbers, in the formula of a column, in its order."""
        region = self.common_region(column)
        found: dict[str, float] = {}
        for item in () if region is None else reversed(list(walk(region.tree))):
            if isinstance(item, Number):
                found[f"{item.value:.15g}"] = item.value
            if not isinstance(item, Reference) or item.top.relative or item.top != item.bottom:
                continue
            place = item.left.at(column)
            area = CellRange(item.sheet, item.top.value, place, item.top.value, place)
            array = self.evaluation.value(area)
            if int(array.full_kinds.flat[0]) == NUMBER:
                name = area.first.a1 if item.sheet == self.sheet else str(area.first)
                found[name] = float(array.numpy().flat[0])
        return found


def find_descents(workbook: Workbook, sheet: str) -> list[Descent]:
    """What may be a descent in a sheet, likelier ones first.

    A weight is a column whose cells read another column in the row above (``C5: =N4``), or are
    their own column in the row above less a step (``C5: =C4-rate*E4``).
    """
    evaluation = Evaluation(workbook)
    tables: dict[tuple[int, int], list[_Link]] = {}
    for (column, new), rows in _links(evaluation, sheet).items():
        table = min(rows) - 1, max(rows)
        reads = _reads(evaluation, sheet, table, new, column)
        if len(rows) >= _FEWEST and len(rows) >= _MOST * (table[1] - table[0]) and reads:
            tables.setdefault(table, []).append(_Link(column, new))
    own = _own_links(evaluation, sheet)
    found = []
    if tables:
        (top, bottom), links = max(tables.items(), key=lambda item: item[0][1] - item[0][0])
        found.append(_descent(evaluation, sheet, top, bottom, sorted(links)))
    for (first, last), columns in own.items():
        # The error stands beside the weight that it is of, or in the row of the next one.
        beside = [_Link(column, column, 0, 1) for column in columns]
        below = [_Link(column, column, -1, 0) for column in columns]
        found.append(_descent(evaluation, sheet, first - 1, last - 1, beside))
        found.append(_descent(evaluation, sheet, first, last, below))
    return [descent for descent in found if descent is not None]


class _Link(NamedTuple):
    """The column of a weight, that of its next value, and how far below the error they stand."""

    column: int
    new_column: int
    shift: int = 0
    new_shift: int = 0


def _descent(
    evaluation: Evaluation, sheet: str, top: int, bottom: int, links: Sequence[_Link]
) -> Descent | None:
    """The descent with these weights; None where they do not hold numbers in every row."""
    numbers = dict(_numbers(evaluation, sheet, top, bottom))
    weights = []
    for link in links:
        values = _of_column(evaluation, sheet, link.column, top + link.shift, bottom + link.shift)
        new_values = _of_column(
            evaluation, sheet, link.new_column, top + link.new_shift, bottom + link.new_shift
        )
        if values is None or new_values is None:
            continue
        area = CellRange(sheet, top, link.column, bottom, link.column)
        name = header(evaluation.workbook, area) or column_letters(link.column)
        weights.append(
            DescentWeight(
                name, link.column, link.new_column, values, new_values, link.shift, link.new_shift
            )
        )
    if not weights or (len(weights) < len(links) and not weights[0].is_own):
        return None
    taken = {item for weight in weights for item in (weight.column, weight.new_column)}
    own = taken if not weights[0].is_own else set()
    columns = {column: values for column, values in numbers.items() if column not in own}
    above = {column: _number_above(evaluation, sheet, top, column) for column in columns}
    return Descent(evaluation, sheet, top, bottom, tuple(weights), columns, above)


def _own_links(evaluation: Evaluation, sheet: str) -> dict[tuple[int, int], list[int]]:
    """Columns whose cells read their own column in the row above, by first and last row."""
    rows: dict[int, set[int]] = {}
    for unit in evaluation.units(sheet):
        region = unit.region
        if region is not None and any(_is_above(node, region) for node in walk(region.tree)):
            for column in range(region.range.left, region.range.right + 1):
                own = range(region.range.top, region.range.bottom + 1)
                rows.setdefault(column, set()).update(own)
    found: dict[tuple[int, int], list[int]] = {}
    for column, places in rows.items():
        first, last = min(places), max(places)
        if first > 1 and len(places) >= max(_FEWEST, _MOST * (last - first + 1)):
            found.setdefault((first, last), []).append(column)
    return dict(sorted(found.items(), key=lambda item: item[0][0] - item[0][1])[:_MOST_TABLES])


def _is_above(node: Node, region: Region) -> bool:
    return (
        isinstance(node, Reference) and node.sheet == region.range.sheet
        and node.top == node.bottom == Bound(-1, True) and node.left == node.right == Bound(0, True)
    )  # fmt: skip


def _links(evaluation: Evaluation, sheet: str) -> dict[tuple[int, int], list[int]]:
    """Rows whose cell in a column reads another column in the row above, by the two columns."""
    links: dict[tuple[int, int], list[int]] = {}
    for unit in evaluation.units(sheet):
        region = unit.region
        shift = None if region is None else _next_column(region)
        if region is None or shift is None:
            continue
        for column in range(region.range.left, region.range.right + 1):
            rows = range(region.range.top, region.range.bottom + 1)
            links.setdefault((column, column + shift), []).extend(rows)
    return links


def _reads(
    evaluation: Evaluation, sheet: str, rows: tuple[int, int], column: int, weight: int
) -> bool:
    """Whether the formulas of a column read the weight of their own row, as a new weight's do."""
    for unit in evaluation.overlapping(CellRange(sheet, rows[0], column, rows[1], column)):
        region = unit.region
        for node in () if region is None else walk(region.tree):
            if (
                isinstance(node, Reference) and node.sheet == sheet and node.top == Bound(0, True)
                and node.left.at(column) == weight
            ):  # fmt: skip
                return True
    return False


def _number_above(evaluation: Evaluation, sheet: str, top: int, column: int) -> float:
    """The number in the row above the first; NaN where there is none."""
    if top == 1:
        return math.nan
    try:
        array = evaluation.value(CellRange(sheet, top - 1, column, top - 1, column))
    except (Unsupported, ModelError):
        return math.nan
    return float(array.numpy().flat[0]) if array.full_kinds.flat[0] == NUMBER else math.nan


def _next_column(region: Region) -> int | None:
    """How far to the right the formula reads, where it is a cell in the row above."""
    tree = region.tree
    if not isinstance(tree, Reference) or tree.sheet != region.range.sheet:
        return None
    if tree.top != tree.bottom or tree.left != tree.right:
        return None
    if not (tree.top.relative and tree.left.relative) or tree.top.value != -1:
        return None
    return tree.left.value or None


def _numbers(
    evaluation: Evaluation, sheet: str, top: int, bottom: int
) -> Iterator[tuple[int, torch.Tensor]]:
    """Columns that hold a number in every row."""
    _, last = evaluation.workbook.sheet(sheet).extent
    for column in range(1, last + 1):
        values = _of_column(evaluation, sheet, column, top, bottom)
        if values is not None:
            yield column, values


def _of_column(
    evaluation: Evaluation, sheet: str, column: int, top: int, bottom: int
) -> torch.Tensor | None:
    """What the file holds in a column, else what we compute; None where not all are numbers."""
    area = CellRange(sheet, top, column, bottom, column)
    array = stored(evaluation.workbook, area)
    if set(np.unique(array.full_kinds)) != {NUMBER}:
        if (array.full_kinds == BLANK).all() and not evaluation.overlapping(area):
            return None
        try:
            array = evaluation.value(area)
        except (Unsupported, ModelError):
            return None
        if set(np.unique(array.full_kinds)) != {NUMBER}:
            return None
    return torch.tensor(array.numpy().reshape(-1), dtype=DTYPE)
