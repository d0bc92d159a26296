"""The table of Excel functions. A new function is one decorated Python function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xl2torch.arrays.array import Array, Shape
from xl2torch.cells.address import CellRange
from xl2torch.formula.ast import Node, Reference
from xl2torch.ir.trace import Data

IntArray = NDArray[np.int64]

CALENDAR = frozenset(
    {"DATE", "YEAR", "MONTH", "DAY", "WEEKDAY", "WEEKNUM", "ISOWEEKNUM", "EDATE", "EOMONTH",
     "DAYS360", "YEARFRAC", "DATEDIF", "NETWORKDAYS", "WORKDAY", "DATEVALUE"}
)  # fmt: skip
"""Functions that know on which day the serial number of a date begins to count."""
VOLATILE = frozenset({"RAND", "RANDBETWEEN", "RANDARRAY", "NOW", "TODAY"})
"""Functions whose cells keep their cached value: Excel draws them anew at each recalculation."""


class Context(Protocol):
    """What a function may ask of the formula that it stands in."""

    @property
    def region(self) -> CellRange:
        """Cells that the formula was copied over."""

    @property
    def copies(self) -> tuple[int, int]:
        """How many copies stand below each other and side by side."""

    @property
    def step(self) -> tuple[int, int]:
        """Rows and columns from one copy to the next."""

    @property
    def is_mapped(self) -> bool:
        """Whether the outer axes hold the elements of an array, inside a LAMBDA."""

    def evaluate(self, node: Node, array: bool | None = None) -> Array:
        """Value of an argument; ``array`` True evaluates it as an array formula."""

    def evaluate_range(self, node: Node) -> Array:
        """Value of an argument that may be a range, which is not intersected."""

    def evaluate_branch(self, node: Node) -> Array:
        """Value of an argument as the call's own result is wanted."""

    def area(self, reference: Reference) -> tuple[CellRange, bool, bool]:
        """Rectangle of a reference for the region's first cell; whether it moves by row, column."""

    def swept(self, reference: Reference) -> CellRange | None:
        """Rectangle that a reference sweeps over all copies."""

    def spill(self, area: CellRange) -> CellRange | None:
        """Range of the array formula whose first cell is ``area``; None if there is none."""

    def gather(self, sheet: str, rows: IntArray, columns: IntArray) -> Array:
        """Cells at computed rows and columns, both of four axes and broadcast together.

        Where the formula wants a single value, several cells are intersected with its own row and
        column.
        """

    def parse(self, text: str) -> Node | None:
        """Tree of a reference that a text holds; None when it does not parse."""

    def resolved(self, node: Node) -> Node:
        """The reference that a name of LET or LAMBDA stands for, else the node itself."""

    def let(self, arguments: tuple[Node, ...]) -> Array:
        """Value of LET: names and values in turn, then the result."""

    def callee(self, node: Node, mapped: bool = False) -> Callable[..., Array]:
        """The function that a LAMBDA, or a name of one, stands for.

        ``mapped``: its arguments are copies on the outer axes; an error of the whole is Differs.
        """

    def is_omitted(self, node: Node) -> bool:
        """Whether a name stands for an argument of the LAMBDA that was left out."""

    def ignored(
        self, area: CellRange, hidden: bool, filtered: bool, nested: bool
    ) -> NDArray[np.bool_]:
        """Cells in hidden rows, in rows that a filter hides, and with other totals in them."""

    def holds_formula(self, sheet: str, rows: IntArray, columns: IntArray) -> Array:
        """Whether the cells at some rows and columns hold formulas."""

    def draw(self, shape: Shape) -> Data:
        """Random numbers from 0 to below 1, of the shape without its lengths of 1."""

    def clock(self) -> Array:
        """Time of the recalculation; raises Unsupported."""


@dataclass(frozen=True)
class Function:
    """An Excel function.

    ``arguments`` has one letter each: ``v`` a single value (a range is intersected with the
    formula's row or column, unless in an array formula), ``r`` a range or array as it is, ``a``
    evaluated as in an array formula, ``b`` a branch (as the call's own result is wanted), ``n`` the
    unevaluated tree, with the context put first.

    ``gradient`` says what flows back: ``exact``; ``step`` (0, the function moves in steps);
    ``values`` (through the values looked up, the place is piecewise constant); ``none`` (its
    arguments have to be constant). ``grows``: a range that grows as it is copied may be given as
    the full range in which the cells that a copy does not reach are blank. ``context``: the context
    comes first though no argument is a tree. ``singly``: single values have to be one each; for
    an array of them it is computed for each element.
    """

    name: str
    compute: Callable[..., Array]
    arguments: str
    optional: str
    repeats: bool
    gradient: str
    grows: bool
    context: bool
    singly: bool

    @property
    def letters(self) -> str:
        """Letters of all arguments."""
        return self.arguments + self.optional

    def letter(self, index: int) -> str:
        """Letter of an argument; the last one stands for all that follow where it repeats."""
        return self.letters[min(index, len(self.letters) - 1)]

    def accepts(self, count: int) -> bool:
        """Whether the function takes this number of arguments."""
        most = len(self.arguments) + len(self.optional)
        return count >= len(self.arguments) and (self.repeats or count <= most)

    @property
    def takes_trees(self) -> bool:
        """Whether it wants unevaluated arguments and the context."""
        return "n" in self.arguments + self.optional


FUNCTIONS: dict[str, Function] = {}
GRADIENTS = ("exact", "step", "values", "none")


def function(
    name: str, arguments: str = "", optional: str = "", repeats: bool = False,
    gradient: str = "exact", grows: bool = False, context: bool = False, singly: bool = False,
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:  # fmt: skip
    """Register an Excel function. Raises ValueError when the name is taken."""

    def register(compute: Callable[..., Array]) -> Callable[..., Array]:
        if name in FUNCTIONS:
            raise ValueError(f"the Excel function {name} is defined twice")
        if gradient not in GRADIENTS:
            raise ValueError(f"{name}: the gradient is one of {', '.join(GRADIENTS)}")
        FUNCTIONS[name] = Function(
            name, compute, arguments, optional, repeats, gradient, grows, context, singly
        )
        return compute

    return register


def family(
    table: dict[str, Any], arguments: str, optional: str = "", repeats: bool = False,
    gradient: str = "exact", grows: bool = False, singly: bool = False,
) -> Callable[[Callable[..., Array]], Callable[..., Array]]:  # fmt: skip
    """Register one implementation under several names, each with its own first argument."""

    def register(compute: Callable[..., Array]) -> Callable[..., Array]:
        for name, detail in table.items():

            def bound(*operands: Any, _detail: Any = detail) -> Array:
                return compute(_detail, *operands)

            bound.__doc__ = compute.__doc__
            function(
                name, arguments, optional, repeats, gradient, grows, singly=singly
            )(bound)  # fmt: skip
        return compute

    return register


def same_as(names: dict[str, str]) -> None:
    """Register older or longer names of functions: ``{"STDEV": "STDEV.S"}``."""
    for name, model in names.items():
        known = FUNCTIONS[model]
        function(
            name, known.arguments, known.optional, known.repeats, known.gradient, known.grows,
            singly=known.singly,
        )(known.compute)  # fmt: skip
