"""What a formula divides its sums over rows by, as it is written.

In the program a constant is only a number. The formula tells that 1/18 is one over twice the count
of nine rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from xl2torch.cells.address import CellAddress, CellRange
from xl2torch.cells.values import NUMBER
from xl2torch.formula.ast import Binary, Call, Node, Number, Reference, walk
from xl2torch.lowering.schedule import Evaluation
from xl2torch.workbook.read.reader import Workbook

_COUNTS = frozenset({"COUNT", "COUNTA", "ROWS"})
_OTHERS = frozenset(
    {"COUNTIF", "COUNTIFS", "SUM", "SUMIF", "SUMIFS", "SUMPRODUCT", "SUMSQ", "COUNTBLANK",
     "SUBTOTAL"}
)  # fmt: skip
_SAME = 1e-9
_MANY = 50
_AVERAGES = frozenset({"AVERAGE", "AVERAGEA", "AVERAGEIF", "AVERAGEIFS"})


@dataclass(frozen=True, eq=False)
class NumberColumn:
    """A column of the sheet and its numbers, 0 for what is none."""

    cells: CellRange
    numbers: torch.Tensor

    def of(self, rows: CellRange) -> torch.Tensor | None:
        """Take the numbers of some rows; None where it lacks some, or has more elsewhere."""
        first, last = rows.top - self.cells.top, rows.bottom - self.cells.top + 1
        if rows.sheet != self.cells.sheet or first < 0 or last > len(self.numbers):
            return None
        others = (self.numbers[:first], self.numbers[last:])
        return None if any(bool(part.any()) for part in others) else self.numbers[first:last]


@dataclass(frozen=True)
class Divisors:
    """Whether counts of rows are divided by, other totals, or a count less something.

    ``averages``: there are means of ranges; ``numbers``: what is divided by as a number.
    ``rooted``: a count is divided by under a root. ``columns``: those whose sum is divided by.
    ``factors``: the numbers that are written in the formulas, and typed in the cells they read.
    """

    counts: bool = False
    others: bool = False
    shifted: bool = False
    averages: bool = False
    numbers: frozenset[float] = frozenset()
    rooted: bool = False
    columns: tuple[NumberColumn, ...] = ()
    factors: frozenset[float] = frozenset()

    def explain(self, factor: float) -> bool:
        """Whether a factor is made of the numbers of the formulas, not more than two of them."""
        numbers = {1.0, *self.factors} - {0.0}
        others = numbers if len(numbers) < _MANY else {1.0}
        return any(
            math.isclose(abs(factor), abs(made), rel_tol=_SAME)
            for one in numbers
            for other in others
            for made in (one * other, one / other, 1 / (one * other))
        )


def find_divisors(evaluation: Evaluation, cell: CellAddress) -> Divisors:
    """What the formula of a cell, and those of single cells that it reads, divide by."""
    found = Divisors()
    for place, tree in _trees(evaluation, cell):
        written = _numbers(list(walk(tree))) | _stored_numbers(evaluation, tree, place, typed=True)
        found = replace(found, factors=found.factors | written)
        for node in walk(tree):
            if _divides(node):
                assert isinstance(node, Binary)
                below = _inlined(evaluation, node.right, place)
                found = _with(found, [part for _, part in below])
                found = replace(
                    found,
                    numbers=found.numbers | _stored_numbers(evaluation, node.right, place),
                    columns=(*found.columns, *_summed(evaluation.workbook, below)),
                )
            elif isinstance(node, Call) and node.function in _AVERAGES:
                several = found.counts or (node.function == "AVERAGE" and len(node.arguments) > 1)
                found = replace(found, counts=several, averages=True)
            elif _is_root(node):
                below = _inlined(evaluation, node, place)
                rooted = any(_counts(part) for _, part in below if _divides(part))
                found = replace(found, rooted=found.rooted or rooted)
    return found


def _is_root(node: Node) -> bool:
    return (isinstance(node, Call) and node.function == "SQRT") or (
        isinstance(node, Binary) and node.operator == "^"
    )


def _divides(node: Node) -> bool:
    return isinstance(node, Binary) and node.operator == "/"


def _counts(node: Node) -> bool:
    return any(isinstance(part, Call) and part.function in _COUNTS for part in walk(node))


def _with(found: Divisors, nodes: list[Node]) -> Divisors:
    calls = {node.function for node in nodes if isinstance(node, Call)}
    shifted = any(
        _counts(node) and (_is_root(node) or (isinstance(node, Binary) and node.operator in "+-"))
        for node in nodes
    )  # fmt: skip
    counts, others = bool(calls & _COUNTS), bool(calls & _OTHERS)
    return replace(
        found, counts=found.counts or counts, others=found.others or others,
        shifted=found.shifted or shifted, numbers=found.numbers | _numbers(nodes),
    )  # fmt: skip


def _trees(evaluation: Evaluation, cell: CellAddress) -> list[tuple[CellAddress, Node]]:
    """Formulas of a cell and of the single cells that lead to it, with the cells."""
    cells, found = [cell], []
    for place in cells:
        for unit in evaluation.overlapping_cell(place):
            if unit.region is None or unit.region.range.rows > 1:
                continue
            found.append((place, unit.region.tree))
            cells += [item for item in _read(unit.region.tree, place) if item not in cells]
    return found


def _read(tree: Node, origin: CellAddress) -> list[CellAddress]:
    """Single cells that a formula reads."""
    found = []
    for node in walk(tree):
        if isinstance(node, Reference) and not (node.whole_columns or node.whole_rows):
            rows = {node.top.at(origin.row), node.bottom.at(origin.row)}
            columns = {node.left.at(origin.column), node.right.at(origin.column)}
            if len(rows) == len(columns) == 1:
                found.append(CellAddress(node.sheet, rows.pop(), columns.pop()))
    return found


def _inlined(
    evaluation: Evaluation, node: Node, origin: CellAddress
) -> list[tuple[CellAddress, Node]]:
    """A tree's nodes, and those of the formulas that it reads, with the cells they stand in."""
    found = [(origin, part) for part in walk(node)]
    for cell in _read(node, origin):
        for place, tree in _trees(evaluation, cell):
            found += [(place, part) for part in walk(tree)]
    return found


def _summed(workbook: Workbook, nodes: list[tuple[CellAddress, Node]]) -> list[NumberColumn]:
    """Columns that are added up by SUM."""
    found = []
    for origin, node in nodes:
        if not isinstance(node, Call) or node.function != "SUM" or len(node.arguments) != 1:
            continue
        (area,) = node.arguments
        if not isinstance(area, Reference) or area.left != area.right:
            continue
        cells = workbook.sheet(area.sheet).cells
        column = area.left.at(origin.column)
        top, bottom = area.top.at(origin.row), min(area.bottom.at(origin.row), cells.extent()[0])
        if top > bottom:
            continue
        block = cells.block(top, column, bottom, column)
        numbers = np.where(block.kinds == NUMBER, block.numbers, 0.0).reshape(-1)
        whole = CellRange(area.sheet, top, column, bottom, column)
        found.append(NumberColumn(whole, torch.from_numpy(numbers)))
    return found


def _numbers(nodes: list[Node]) -> frozenset[float]:
    return frozenset(node.value for node in nodes if isinstance(node, Number))


def _stored_numbers(
    evaluation: Evaluation, node: Node, origin: CellAddress, typed: bool = False
) -> frozenset[float]:
    """Numbers of the single cells that a formula reads; ``typed``: no results, no variables."""
    found = set()
    for cell in _read(node, origin):
        if typed and evaluation.overlapping_cell(cell):
            continue
        value = evaluation.workbook.sheet(cell.sheet).cells.value(cell.row, cell.column)
        if isinstance(value, float):
            found.add(value)
    return frozenset(found)
