"""The table of Excel functions. A new function is one decorated Python function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xl2torch.address import CellRange
from xl2torch.formula.ast import Node, Reference
from xl2torch.functions.array import Array

IntArray = NDArray[np.int64]

VOLATILE = frozenset({"RAND", "RANDBETWEEN", "RANDARRAY", "NOW", "TODAY"})
"""Functions whose cells keep their cached value: Excel draws them anew at each recalculation."""


class Context(Protocol):
    """What a function may ask of the formula that it stands in."""

    @property
    def region(self) -> CellRange:
        """Cells that the formula was copied over."""

    def evaluate(self, node: Node, array: bool | None = None) -> Array:
        """Value of an argument; ``array`` True evaluates it as an array formula."""

    def read(self, area: CellRange) -> Array:
        """Cells of a fixed rectangle, on the two inner axes."""

    def area(self, reference: Reference) -> tuple[CellRange, bool, bool]:
        """Rectangle of a reference for the region's first cell; whether it moves by row, column."""

    def spill(self, area: CellRange) -> CellRange | None:
        """Range of the array formula whose first cell is ``area``; None if there is none."""

    def gather(self, sheet: str, rows: IntArray, columns: IntArray) -> Array:
        """Cells at computed rows and columns, both of four axes and broadcast together.

        Where the formula wants a single value, several cells are intersected with its own row and
        column.
        """


@dataclass(frozen=True)
class Function:
    """An Excel function.

    ``arguments`` has one letter each: ``v`` a single value (a range is intersected with the
    formula's row or column, unless in an array formula), ``r`` a range or array as it is, ``a``
    evaluated as in an array formula, ``b`` a branch (as the call's own result is wanted), ``n`` the
    unevaluated tree, with the context put first.
    """

    name: str
    compute: Callable[..., Array]
    arguments: str
    optional: str
    repeats: bool

    def letter(self, index: int) -> str:
        """Letter of an argument; the last one stands for all that follow where it repeats."""
        letters = self.arguments + self.optional
        return letters[min(index, len(letters) - 1)]

    def accepts(self, count: int) -> bool:
        """Whether the function takes this number of arguments."""
        most = len(self.arguments) + len(self.optional)
        return count >= len(self.arguments) and (self.repeats or count <= most)

    @property
    def takes_trees(self) -> bool:
        """Whether it wants unevaluated arguments and the context."""
        return "n" in self.arguments + self.optional


FUNCTIONS: dict[str, Function] = {}


def function(
    name: str, arguments: str = "", optional: str = "", repeats: bool = False
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Register an Excel function. Raises ValueError when the name is taken."""

    def register(compute: Callable[..., Array]) -> Callable[..., Array]:
        if name in FUNCTIONS:
            raise ValueError(f"the Excel function {name} is defined twice")
        FUNCTIONS[name] = Function(name, compute, arguments, optional, repeats)
        return compute

    return register


def family(
    table: dict[str, Any], arguments: str
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Register one implementation under several names, each with its own first argument."""

    def register(compute: Callable[..., Array]) -> Callable[..., Array]:
        for name, detail in table.items():

            def bound(*operands: Array, _detail: Any = detail) -> Array:
                return compute(_detail, *operands)

            bound.__doc__ = compute.__doc__
            function(name, arguments)(bound)
        return compute

    return register
