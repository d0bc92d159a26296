"""The tree of a formula. Frozen: equal trees are equal keys, so a copied formula is one tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xl2torch.cells.address import MAX_COLUMN, MAX_ROW
from xl2torch.cells.values import ErrorValue


@dataclass(frozen=True)
class Bound:
    """A row or column of a reference: absolute, or an offset from the formula's own cell."""

    value: int
    relative: bool

    def at(self, origin: int) -> int:
        """The row or column meant by a formula at ``origin``."""
        return self.value + origin if self.relative else self.value


@dataclass(frozen=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True)
class Text:
    """A text in quotes."""

    value: str


@dataclass(frozen=True)
class Logical:
    """TRUE or FALSE."""

    value: bool


@dataclass(frozen=True)
class Error:
    """An error literal, or a reference that cannot be resolved."""

    value: ErrorValue


@dataclass(frozen=True)
class Missing:
    """An argument left out: ``IF(A1,,2)``."""


@dataclass(frozen=True)
class ArrayConstant:
    """``{1,2;3,4}``."""

    rows: tuple[tuple[Number | Text | Logical | Error, ...], ...]


@dataclass(frozen=True)
class Reference:
    """A rectangle of cells; the sheet is always resolved."""

    sheet: str
    top: Bound
    left: Bound
    bottom: Bound
    right: Bound

    @property
    def whole_columns(self) -> bool:
        """``A:C``: all rows."""
        return self.top == Bound(1, False) and self.bottom == Bound(MAX_ROW, False)

    @property
    def whole_rows(self) -> bool:
        """``1:3``: all columns."""
        return self.left == Bound(1, False) and self.right == Bound(MAX_COLUMN, False)


@dataclass(frozen=True)
class Unary:
    """Prefix ``-`` and ``+``, postfix ``%``, and ``@`` (implicit intersection)."""

    operator: str
    operand: Node


@dataclass(frozen=True)
class Binary:
    """An operator between two operands."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Call:
    """A function call; the name is in capitals, without ``_xlfn.``."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Local:
    """A name that LET or LAMBDA defines, in lower case; ``[x]`` is an optional parameter."""

    name: str
    optional: bool = False


@dataclass(frozen=True)
class FunctionName:
    """A function without arguments, given to another one: ``BYROW(A1:C2,SUM)``."""

    function: str


@dataclass(frozen=True)
class Invoke:
    """A call of a LAMBDA: in place, by a name of LET, or by a defined name."""

    callee: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Opaque:
    """Something that is not compiled. ``closed``: it reads no cell of this workbook."""

    text: str
    reason: str
    closed: bool = False


Node = (
    Number | Text | Logical | Error | Missing | ArrayConstant | Reference | Unary | Binary | Call
    | Local | FunctionName | Invoke | Opaque
)  # fmt: skip


def children(node: Node) -> tuple[Node, ...]:
    """Direct operands of a node."""
    if isinstance(node, Unary):
        return (node.operand,)
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, Invoke):
        return (node.callee, *node.arguments)
    return ()


def with_children(node: Node, operands: Sequence[Node]) -> Node:
    """The same node with other operands."""
    if isinstance(node, Unary):
        return Unary(node.operator, *operands)
    if isinstance(node, Binary):
        return Binary(node.operator, *operands)
    if isinstance(node, Call):
        return Call(node.function, tuple(operands))
    if isinstance(node, Invoke):
        return Invoke(operands[0], tuple(operands[1:]))
    return node


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, without recursion."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(children(current))


ADDRESS_ONLY = frozenset({"ROW", "COLUMN", "ROWS", "COLUMNS", "AREAS", "ISREF", "ISFORMULA"})
"""Functions that look at a reference's place, not at its cells."""


def functions_in(node: Node) -> set[str]:
    """Names of the functions that a formula calls."""
    return {part.function for part in walk(node) if isinstance(part, Call | FunctionName)}
