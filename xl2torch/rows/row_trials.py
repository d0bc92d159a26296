"""Whether a node is computed row by row, and how rows add up in one: both are tried out.

Whether a node has a row for each row of the sheet is not read off a list of functions: a node that
gives for some rows, in another order and some of them twice, what it gives for all rows and then
those, computes each row on its own. One that is additive over parts of the rows, or the mean of
such parts, or the root of either, is where the rows come together.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import value_of

_SAME = 1e-9
_PARTS = (3, 4)
"""Rows of two parts: together they show how a node adds up."""
_RANGES = ((0.1, 0.9), (1.1, 3.0), (-0.9, 0.9))
"""Random numbers of such a size are tried; not every function has a value for all of them."""


@dataclass(frozen=True)
class RowDim:
    """The dim of a tensor that goes through the rows, ``block`` elements for each.

    ``numbers``: it holds the numbers of the rows, which are 0, 1, ... whichever rows they are.
    """

    dim: int
    block: int = 1
    numbers: bool = False

    def select(self, tensor: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Some rows."""
        if self.numbers:
            return self._numbers(tensor, len(index))
        if self.block == 1:
            return tensor.index_select(self.dim, index)
        return self._parted(tensor).index_select(self.dim, index).flatten(self.dim, self.dim + 1)

    def sums(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of each row."""
        return self._parted(tensor).movedim(self.dim, 0).flatten(1).sum(1)

    def _parted(self, tensor: torch.Tensor) -> torch.Tensor:
        parted: torch.Tensor = tensor.unflatten(self.dim, (-1, self.block))  # type: ignore[no-untyped-call]
        return parted

    def split(self, tensor: torch.Tensor, count: int) -> Sequence[torch.Tensor]:
        """Views of ``count`` rows each, the last of what is left."""
        pieces = torch.split(tensor, count * self.block, self.dim)
        if self.numbers:
            return [self._numbers(tensor, piece.shape[self.dim]) for piece in pieces]
        return pieces

    def _numbers(self, tensor: torch.Tensor, count: int) -> torch.Tensor:
        first = tensor.narrow(self.dim, 0, 1)
        shape = [-1 if place == self.dim else 1 for place in range(tensor.dim())]
        return first + torch.arange(count, device=tensor.device).reshape(shape)


@dataclass(frozen=True)
class RowMapping:
    """How a node is computed for some rows: where its operands have them.

    ``sizes`` are the places of numbers among its arguments that grow with the rows.
    """

    operands: Mapping[fx.Node, RowDim | None]
    sizes: frozenset[int] = frozenset()


def _call(
    node: fx.Node, values: Mapping[fx.Node, Any], sizes: frozenset[int], old: int, new: int
) -> Any:
    """What a node gives for some values of its operands."""
    args = resized(node.args, sizes, old, new, values.__getitem__)
    kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
    function: Any = node.target
    if node.op == "call_module":
        assert node.graph.owning_module is not None
        # Not the module itself, which prints where it fails: what does not fit is only a trial.
        function = node.graph.owning_module.get_submodule(str(node.target)).forward
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def resized(
    args: Any, sizes: frozenset[int], old: int, new: int, operand: Callable[[fx.Node], Any]
) -> Any:
    """Arguments with other operands, and with the sizes at some places for ``new`` rows."""
    places = itertools.count()

    def changed(item: Any) -> Any:
        place = next(places)
        if isinstance(item, fx.Node):
            return operand(item)
        return item // old * new if place in sizes else item

    return fx.node.map_aggregate(args, changed)


def size_places(args: Any, count: int) -> list[int]:
    """Places of whole numbers that may be sizes which grow with the rows."""
    items: list[Any] = []
    fx.node.map_aggregate(args, items.append)
    return [
        place for place, item in enumerate(items)
        if isinstance(item, int) and not isinstance(item, bool) and item > 0 and item % count == 0
    ]  # fmt: skip


def size_choices(node: fx.Node, count: int) -> list[frozenset[int]]:
    places = size_places(node.args, count)
    choices = [frozenset[int](), frozenset(places), *(frozenset([place]) for place in places)]
    return list(dict.fromkeys(choices))


def _drawn(
    operands: Mapping[fx.Node, RowDim | None], low: float, high: float
) -> dict[fx.Node, Any]:
    """Random values of operands; whole numbers and truth values are those of the sheet."""
    generator = torch.Generator().manual_seed(1)

    def drawn(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            numbers = torch.rand(value.shape, generator=generator, dtype=value.dtype)
            return low + (high - low) * numbers
        if isinstance(value, tuple | list):
            return tuple(drawn(item) for item in value)
        return value

    return {node: drawn(value_of(node)) for node in operands}


def _trials(operands: Mapping[fx.Node, RowDim | None]) -> Iterator[dict[fx.Node, Any]]:
    yield {node: value_of(node) for node in operands}
    for low, high in _RANGES:
        yield _drawn(operands, low, high)


def _chosen(
    operands: Mapping[fx.Node, RowDim | None], values: Mapping[fx.Node, Any], index: torch.Tensor
) -> dict[fx.Node, Any]:
    """Values of operands for some rows."""
    found = {}
    for node, rows in operands.items():
        value = values[node]
        if rows is not None:
            many = isinstance(value, tuple | list)
            value = (
                tuple(rows.select(item, index) for item in value)
                if many
                else rows.select(value, index)
            )
        found[node] = value
    return found


def _some_rows(count: int, several: int) -> torch.Tensor:
    """Numbers of rows in no order, some of them twice where there are not so many."""
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(count, generator=generator)
    return order.repeat(-(-several // count))[:several]


@torch.no_grad()
def goes_by_rows(node: fx.Node, way: RowMapping, rows: RowDim, count: int) -> bool:
    """Try whether choosing rows before the node gives what choosing them after it does."""
    index = _some_rows(count, count + 1)
    seen = False
    for values in _trials(way.operands):
        try:
            whole = _call(node, values, frozenset(), count, count)
            part = _call(node, _chosen(way.operands, values, index), way.sizes, count, len(index))
            for one, other in zip(_flat(whole), _flat(part), strict=True):
                if not _same(rows.select(one, index), other):
                    return False
                seen = seen or not one.is_floating_point() or bool(one.isfinite().any())
        except (RuntimeError, IndexError, TypeError, ValueError):
            return False
    return seen


def _flat(value: Any) -> list[torch.Tensor]:
    return (
        [value] if isinstance(value, torch.Tensor) else [item for item in value if item is not None]
    )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.allclose(one, other, rtol=_SAME, atol=1e-12, equal_nan=True)


@torch.no_grad()
def adds_up(
    node: fx.Node, operands: Mapping[fx.Node, RowDim | None], count: int
) -> tuple[bool, bool] | None:
    """How rows come together in a node: whether as a root, and whether as a mean; None if not."""
    every = _some_rows(count, sum(_PARTS))
    pieces = (every[: _PARTS[0]], every[_PARTS[0] :], every)
    kinds = set(itertools.product((False, True), (False, True)))
    for low, high in _RANGES:
        values = _drawn(operands, low, high)
        try:
            one, two, both = (
                _call(node, _chosen(operands, values, piece), frozenset(), count, len(piece))
                for piece in pieces
            )
        except (RuntimeError, IndexError, TypeError, ValueError):
            return None
        if not isinstance(both, torch.Tensor) or not both.is_floating_point():
            return None
        for root, mean in tuple(kinds):
            power = 2 if root else 1
            sizes = (*_PARTS, sum(_PARTS)) if mean else (1, 1, 1)
            a, b, c = (
                size * part**power for size, part in zip(sizes, (one, two, both), strict=True)
            )
            if a.shape != c.shape or b.shape != c.shape or not _same(a + b, c):
                kinds.discard((root, mean))
    return kinds.pop() if len(kinds) == 1 else None
