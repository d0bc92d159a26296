"""Where the rows of a table come together on the way to an output, and what has a row for each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from xl2torch.arrays.array import DTYPE
from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.nodes import dependents, known_elements, node_name, parameter_nodes
from xl2torch.ir.ops import Group, in_group
from xl2torch.rows.normalisers import Divisors
from xl2torch.rows.row_trials import RowDim, RowMapping, adds_up, goes_by_rows, size_choices

_SAME = 1e-9
_MOST_TRIES = 200
_ROOT = 0.5


@dataclass(frozen=True, eq=False)
class RowReduction:
    """What a node is of the rows: f·Σ, or f·√Σ for a ``root``; f is None where it is not known.

    ``counts`` are how many numbers each row has, in each sense that a mean of them may have.
    ``sources`` are the nodes that add the rows up, unless that is a mean already; ``outer``: what
    is a root was multiplied afterwards; ``settled``: that it is a sum is beyond doubt.
    """

    root: bool
    mean: bool
    factor: float | None
    counts: tuple[torch.Tensor, ...]
    sources: tuple[fx.Node, ...]
    outer: bool = False
    settled: bool = False


class RowsMix(Exception):
    """Rows mix at a node."""

    def __init__(self, node: fx.Node, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


class RowAnalysis:
    """Walks from the output to where rows come together, and on to the data. Raises RowsMix."""

    def __init__(self, module: fx.GraphModule, cells: CellRange, divisors: Divisors) -> None:
        self.module = module
        self.divisors = divisors
        self.cells = cells
        self.count = cells.rows
        self.found: dict[fx.Node, RowDim] = {}
        self.ways: dict[fx.Node, RowMapping] = {}
        self.means: dict[fx.Node, torch.Tensor] = {}
        self.roots: set[fx.Node] = set()
        self.left_out: torch.Tensor | None = None
        self._weights: list[torch.Tensor] = []
        self.parameters = parameter_nodes(module)
        self.trained = dependents(module.graph, self.parameters)
        self.failed: RowsMix | None = None
        self.totals: dict[fx.Node, RowReduction | None] = {}

    def output(self) -> RowReduction:
        """What the output is of the rows."""
        (last,) = next(node for node in self.module.graph.nodes if node.op == "output").args
        assert isinstance(last, fx.Node)
        try:
            total = self.total(last)
        except RowsMix as mixed:
            raise self.failed or mixed from None
        if total is None:
            raise self.failed or RowsMix(last, "nothing is added up over rows")
        self.check_whole()
        self._check_data(last)
        total = self._divided(last, total)
        if any(source in self.means for source in total.sources):
            raise RowsMix(
                last, "one sum over rows is used twice: divided by their number, and as it is"
            )
        return total

    def _divided(self, last: fx.Node, total: RowReduction) -> RowReduction:
        """The output's total, as a multiple of a mean where its formula divides by a count."""
        if total.mean or total.settled or not total.sources or total.factor in (1.0, -1.0):
            return total
        divisors = self.divisors
        if total.factor is not None and (divisors.counts or divisors.averages):
            return self._settled(last, total)
        partly = divisors.counts and not all(is_even(counts) for counts in total.counts)
        outside = divisors.counts and total.outer and not divisors.rooted
        if divisors.shifted or divisors.others or partly or outside:
            raise RowsMix(last, "a sum over rows is divided by what is no plain count of them")
        if not divisors.counts:
            return total
        return self._as_mean(last, total)

    def _as_mean(
        self, node: fx.Node, total: RowReduction, counts: torch.Tensor | None = None
    ) -> RowReduction:
        """A total as a mean. Raises RowsMix where the same sums are another one's too."""
        if counts is None:
            counts = torch.ones(self.count, dtype=DTYPE)
        for source in total.sources:
            before = self.means.setdefault(source, counts)
            if not torch.equal(before, counts):
                raise RowsMix(node, "a sum over rows is divided by two different counts")
        return replace(total, mean=True, sources=())

    def _settled(self, node: fx.Node, total: RowReduction) -> RowReduction:
        """A total as a sum, or as a multiple of a mean, whichever the numbers of the formula say.

        Raises RowsMix where they do not.
        """
        divisors = self.divisors
        plain = total.settled or total.factor in (1.0, -1.0)
        if not plain and total.factor is not None:
            factor = abs(total.factor) ** (2 if total.root else 1)
            shares = [factor * float(item.sum()) for item in total.counts if is_even(item)]
            counted = divisors.counts and any(
                divisors.explain(share) or _is_one(share * len(total.sources)) for share in shares
            )
            written = divisors.explain(factor)
            doubtful = divisors.shifted or divisors.others or (total.outer and not divisors.rooted)
            if counted and not (doubtful or written):
                return self._as_mean(node, total)
            plain = written and not counted
        if not plain:
            raise RowsMix(node, "a sum over rows is divided by what is no plain count of them")
        return replace(total, factor=None, settled=True)

    def _sum_of(self, parts: list[RowReduction], node: fx.Node) -> RowReduction | None:
        """The sum of totals; a sum that stands beside a mean, or another multiple, is settled."""
        if len(parts) == 2 and (self.divisors.counts or self.divisors.averages):
            first, second = parts
            unlike = first.factor not in (second.factor, -(second.factor or 0.0))
            if first.mean != second.mean or unlike:
                parts = [part if part.mean else self._settled(node, part) for part in parts]
        return _added(parts, node)

    def _check_data(self, last: fx.Node) -> None:
        """Raise RowsMix where what goes through the rows is no data of the sheet."""
        data = [node for node in self.found if node.op == "get_attr"]
        if all(node in self.parameters for node in data):
            raise RowsMix(last, "no data of the sheet are added up row by row")

    def total(self, node: fx.Node) -> RowReduction | None:
        """What a node is of the rows; None where it does not depend on them."""
        if node not in self.totals:
            found = None
            if node.op == "call_function":
                found = self._noted(node, self._together(node) or self._of_totals(node))
            self.totals[node] = found
        return self.totals[node]

    def _noted(self, node: fx.Node, total: RowReduction | None) -> RowReduction | None:
        """A total, as a mean where its factor is one over a count."""
        if total is None or total.mean or total.factor is None or self._is_multiple(node, total):
            return total
        factor = abs(total.factor) ** (2 if total.root else 1)
        columns = [column.of(self.cells) for column in self.divisors.columns]
        weights = [
            numbers
            for numbers in columns
            if numbers is not None and _is_one(factor * float(numbers.sum()))
        ]
        if weights and self.divisors.counts and not is_even(weights[0]):
            raise RowsMix(node, "the number of rows and the sum of their weights are the same")
        for counts in (*weights, *total.counts):
            if _is_one(factor * float(counts.sum())) and self._says(node, counts):
                return self._as_mean(node, total, counts)
        return total

    def _is_multiple(self, node: fx.Node, total: RowReduction) -> bool:
        """Whether a sum is not divided by anything here, or multiplied by a number as written."""
        written = node_name(node) == "mul" and any(
            isinstance(item, int | float) and abs(item) in self.divisors.factors
            for item in node.args
        )
        return written or total.factor in (1.0, -1.0)

    def _says(self, node: fx.Node, counts: torch.Tensor) -> bool:
        """Whether the formula divides by something that may be the sum of these."""
        divisors = self.divisors
        divides = node_name(node) in ("truediv", "div")
        count = float(counts.sum())
        weights = any(counts is item for item in self._weights)
        return (
            (divisors.counts and not weights) or divisors.others or (divisors.averages and divides)
            or any(math.isclose(count, number, rel_tol=_SAME) for number in divisors.numbers)
        )  # fmt: skip

    def _of_totals(self, node: fx.Node) -> RowReduction | None:
        """A node that computes with what has come together already."""
        name = node_name(node)
        first, second, *_ = (*node.args, None, None)
        if name == "where" and _is_guard(node):
            assert isinstance(second, fx.Node)
            total = self.total(second)
            self._guard(first)
            return total
        if isinstance(first, fx.Node):
            if name == "neg":
                return _scaled(self.total(first), -1.0)
            if name == "sqrt" or (name == "pow" and second == _ROOT):
                return _rooted(self.total(first), node)
            if name in ("sum", "mean"):
                shrinks = value_of(first).numel() / value_of(node).numel()
                return _scaled(self.total(first), 1.0 if name == "sum" else 1 / shrinks)
        if name in ("mul", "truediv", "div"):
            return self._product(node, name)
        if name in ("add", "sub"):
            parts = [self.total(item) for item in (first, second) if isinstance(item, fx.Node)]
            return self._sum_of([part for part in parts if part is not None], node)
        if self._depends_on_rows(node):
            raise RowsMix(node, "rows are put together in another way")
        return None

    def _product(self, node: fx.Node, name: str) -> RowReduction | None:
        first, second = node.args
        totals = [
            self.total(item) if isinstance(item, fx.Node) else None for item in (first, second)
        ]
        if totals[0] is not None and totals[1] is not None:
            if name != "mul" and _counts_values(second):
                return replace(totals[0], mean=True, sources=())  # it counts those of some rows
            raise RowsMix(node, "two sums over rows are multiplied or divided")
        if totals[1] is not None and name != "mul":
            raise RowsMix(node, "a number is divided by a sum over rows")
        total, other = (totals[0], second) if totals[0] is not None else (totals[1], first)
        factor = None
        if isinstance(other, int | float):
            factor = float(other)
        elif other not in self.trained and value_of(other).numel() == 1:
            factor = float(value_of(other))
        if factor is not None and name != "mul":
            factor = 1 / factor if factor else None
        return _scaled(total, factor)

    def _depends_on_rows(self, node: fx.Node) -> bool:
        """Whether data of the rows reach a node that is trained."""
        stack, seen = [node], {node}
        while stack:
            item = stack.pop()
            if item in self.found or (
                item.op == "get_attr" and item not in self.parameters and self._is_table(item)
            ):
                return True
            fresh = set(item.all_input_nodes) - seen
            seen |= fresh
            stack += fresh
        return False

    def _is_table(self, node: fx.Node) -> bool:
        cells = facts(node).cells
        return cells is not None and (cells.top, cells.rows) == (self.cells.top, self.count)

    def check_whole(self) -> None:
        """Raise RowsMix where a trained node that is used as a whole depends on the rows."""
        for way in self.ways.values():
            for item, rows in way.operands.items():
                if rows is None and (self._whole_table(item) or (
                    item in self.trained and self._depends_on_rows(item)
                )):  # fmt: skip
                    raise RowsMix(item, "all rows are computed with for each row")

    def _whole_table(self, node: fx.Node) -> bool:
        """Whether a constant holds the numbers of data that have rows."""
        if node.op != "get_attr" or node in self.parameters:
            return False
        numbers = value_of(node).reshape(-1)
        if node in self.found or len(numbers) < self.count:
            return node in self.found
        return any(
            len(numbers) == value_of(item).numel()
            and torch.equal(numbers.sort().values, value_of(item).reshape(-1).sort().values)
            for item in self.found
            if item.op == "get_attr" and item not in self.parameters
        )

    def _guard(self, node: object) -> None:
        """A condition that has to hold in all rows for there to be a value. Raises RowsMix."""
        if not isinstance(node, fx.Node) or not self._depends_on_rows(node):
            return
        if node_name(node) == "logical_and" and not value_of(node).dim():
            for part in node.args:
                self._guard(part)
            return
        if in_group(node, Group.COMPARISON) and not value_of(node).dim():
            for part in node.all_input_nodes:
                self.total(part)  # whether there is any, or whether it has a root
            return
        if node_name(node) != "all" or len(node.args) != 1:
            raise RowsMix(node, "rows are put together in another way")
        (inner,) = node.all_input_nodes
        for rows in self._places(inner):
            if rows is not None and self.has_rows(inner, rows):
                self.ways[node] = RowMapping({inner: rows})
                return
        raise RowsMix(node, "a row is computed from other rows too")

    def _together(self, node: fx.Node) -> RowReduction | None:
        """A node in which rows come together; None where it is none."""
        for operands in self._candidates(node):
            kind = adds_up(node, operands, self.count) if any(operands.values()) else None
            if kind is not None and self._have_rows(operands):
                self.ways[node] = RowMapping(operands)
                if kind[0]:
                    self.roots.add(node)
                return self._counted(node, operands, *kind)
        return None

    def _have_rows(self, operands: Mapping[fx.Node, RowDim | None]) -> bool:
        return all(rows is None or self.has_rows(node, rows) for node, rows in operands.items())

    def has_rows(self, node: fx.Node, rows: RowDim) -> bool:
        """Whether a node has rows there; what it is computed from is then noted."""
        before = dict(self.found), dict(self.ways)
        try:
            self.require(node, rows)
        except RowsMix as mixed:
            self.failed = self.failed or mixed
            self.found, self.ways = before
            return False
        return True

    def _counted(
        self, node: fx.Node, operands: Mapping[fx.Node, RowDim | None], root: bool, mean: bool
    ) -> RowReduction:
        ones = torch.ones(self.count, dtype=DTYPE)
        counts = [ones]
        for item, rows in operands.items():
            if rows is None:
                continue
            value = value_of(item)
            counts.append(ones * (value.numel() / self.count / value_of(node).numel()))
            known = known_elements(
                item, lambda part: None if part in self.trained else value_of(part)
            )
            if item in self.trained and known is not None and bool((known == 0).any()):
                counts.append(rows.sums((known != 0).to(DTYPE)))
            if item not in self.trained and node_name(node) in ("dot", "matmul"):
                counts.append(rows.sums(value.to(DTYPE)))  # the weights of a weighted mean
                self._weights.append(counts[-1])
        out = torch.stack(counts).eq(0).any(0)
        self.left_out = out if self.left_out is None else self.left_out & out
        return RowReduction(
            root, mean, None if mean else 1.0, tuple(counts), () if mean else (node,)
        )

    def require(self, node: fx.Node, rows: RowDim) -> None:
        """Note that a node has rows, and what it is computed from. Raises RowsMix."""
        stack = [(node, rows)]
        while stack:
            item, wanted = stack.pop()
            known = self.found.get(item)
            if known == wanted:
                continue
            if known is not None or not self._fits(item, wanted):
                raise RowsMix(item, "what belongs to a row does not stand in it")
            self.found[item] = wanted
            if item.op == "get_attr":
                continue
            way = self._way(item, wanted)
            if way is None:
                raise RowsMix(*self._culprit(item))
            self.ways[item] = way
            stack += [(part, its) for part, its in way.operands.items() if its is not None]

    def _culprit(self, node: fx.Node) -> tuple[fx.Node, str]:
        """Where rows mix that are not computed one by one, and how."""
        parts = node.all_input_nodes if node_name(node) == "cat" else [node]
        for part in parts:
            inner = part.args[0] if node_name(part) == "getitem" else part
            if isinstance(inner, fx.Node) and inner.op == "call_module":
                return part, "a row is computed from the row before"
        if node_name(node) == "cat":
            return max(parts, key=lambda part: value_of(part).numel()), (
                f"one formula does not stand in all rows{self._odd(node)}"
            )
        return node, "a row is computed from other rows too"

    def _odd(self, node: fx.Node) -> str:
        """Which rows of several pieces have another formula than most, or none, in words."""
        pieces: Any = node.args[0]
        sizes = [value_of(part).shape[0] for part in pieces if value_of(part).dim()]
        if len(sizes) != len(pieces) or sum(sizes) != self.count:
            return ""
        least = sizes.index(min(sizes))
        first = self.cells.top + sum(sizes[:least])
        last = first + sizes[least] - 1
        rows = f"row {first} has" if first == last else f"rows {first} to {last} have"
        return f": {rows} another, or none"

    def _fits(self, node: fx.Node, rows: RowDim) -> bool:
        """Whether the rows of a tensor are rows of the cells that it holds, as far as is known."""
        cells, value = facts(node).cells, facts(node).value
        if cells is None or not isinstance(value, torch.Tensor):
            return True
        if rows.block == 1:
            if tuple(value.shape) == (cells.rows, cells.columns):
                return rows.dim == 0 and cells.rows == self.count
            if tuple(value.shape) == (cells.columns, cells.rows):
                return rows.dim == 1 and cells.rows == self.count
        return bool(cells.rows == self.count)

    def _way(self, node: fx.Node, rows: RowDim) -> RowMapping | None:
        """How a node is computed row by row; None where it is not."""
        if node.target is torch.rand:
            return RowMapping({}, frozenset([rows.dim]))
        inner = node.args[0] if node_name(node) == "getitem" else None
        if isinstance(inner, fx.Node) and not isinstance(facts(inner).value, torch.Tensor):
            return RowMapping({inner: rows})
        for operands in self._candidates(node):
            for sizes in size_choices(node, self.count):
                way = RowMapping(operands, sizes)
                if goes_by_rows(node, way, rows, self.count):
                    return way
        return None

    def _candidates(self, node: fx.Node) -> Iterator[dict[fx.Node, RowDim | None]]:
        """Where the operands of a node may have their rows, the likelier first."""
        choices = [self._places(item) for item in node.all_input_nodes]
        every = itertools.islice(itertools.product(*choices), _MOST_TRIES)
        for chosen in every:
            yield dict(zip(node.all_input_nodes, chosen, strict=True))

    def _places(self, node: fx.Node) -> list[RowDim | None]:
        known = self.found.get(node)
        if known is not None and node.op != "get_attr":
            return [known, None]
        value = facts(node).value
        if not isinstance(value, torch.Tensor):
            parts = [part for part in value or () if isinstance(part, torch.Tensor)]
            if not parts:
                return [None]
            value = parts[0]
        found: list[RowDim | None] = [known] if known else []
        if node.op == "get_attr" and value.dtype == torch.int64:
            found += [
                RowDim(dim, numbers=True)
                for dim, size in enumerate(value.shape)
                if size == self.count and _numbers_rows(value, dim) and not known
            ]
        for exact in (True, False):
            for dim, size in enumerate(value.shape):
                block, rest = divmod(size, self.count)
                rows = RowDim(dim, block)
                if rest == 0 and block > 0 and (block == 1) == exact and rows not in found:
                    found.append(rows)
        return [*found, None]


def _counts_values(node: object) -> bool:
    """Whether a node counts the rows in which something holds."""
    while isinstance(node, fx.Node) and node_name(node) in ("where", "sum", "mul", "to"):
        if node_name(node) == "to":
            inner = node.args[0]
            return isinstance(inner, fx.Node) and value_of(inner).dtype == torch.bool
        node = node.args[1 if node_name(node) == "where" else 0]
    return False


def _numbers_rows(value: torch.Tensor, dim: int) -> bool:
    """Whether a tensor holds 0, 1, ... along a dim."""
    shape = [-1 if place == dim else 1 for place in range(value.dim())]
    numbers = torch.arange(value.shape[dim]).reshape(shape)
    return bool((value == numbers).all())


def _is_guard(node: fx.Node) -> bool:
    """Whether a node is its second argument, or no value at all."""
    other = node.args[2]
    return isinstance(other, float) or node_name(other) == "detach"


def _scaled(total: RowReduction | None, factor: float | None) -> RowReduction | None:
    if total is None:
        return None
    known = total.factor is not None and factor is not None
    return replace(
        total, factor=total.factor * factor if known else None,  # type: ignore[operator]
        outer=total.outer or (total.root and factor != -1.0),
    )  # fmt: skip


def _rooted(total: RowReduction | None, node: fx.Node) -> RowReduction | None:
    if total is None:
        return None
    if total.root:
        raise RowsMix(node, "a root of a root of a sum is taken")
    return replace(
        total, root=True, factor=None if total.factor is None else math.sqrt(abs(total.factor))
    )


def _added(parts: Sequence[RowReduction], node: fx.Node) -> RowReduction | None:
    """The sum of totals."""
    if not parts:
        return None
    first, *others = parts
    if not others:
        return first
    (second,) = others
    if first.root != second.root:
        raise RowsMix(node, "the root of a sum over rows is added to a sum over rows")
    same = first.factor is not None and second.factor in (first.factor, -first.factor)
    plain = not (first.root or first.mean or second.mean)
    common = tuple(a for a in first.counts if any(torch.equal(a, b) for b in second.counts))
    return RowReduction(
        first.root, first.mean and second.mean, first.factor if same and plain else None, common,
        (*first.sources, *second.sources), first.outer or second.outer,
        first.settled or second.settled,
    )  # fmt: skip


def _is_one(share: float) -> bool:
    return math.isclose(share, 1.0, rel_tol=_SAME)


def is_even(counts: torch.Tensor) -> bool:
    """Whether all rows have the same."""
    return bool((counts == counts[0]).all())
