"""What is known of a node of the graph: one typed record, and the only way to it.

Passes make new nodes of old ones. What a node is, which cells it computes and whose guard it is
are facts of it: nothing is told from a node's name, which may come from a label of the sheet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import torch
from torch import fx

from xl2torch.cells.address import CellRange

_KEY = "facts"


class Kind(Enum):
    """What a node is."""

    PARAMETER = "parameter"
    """It reads variable cells."""
    DATA = "data"
    """It reads numbers that no variable cell reaches."""
    SWITCH = "switch"
    """It says whether random numbers are drawn anew."""
    INPUT = "input"
    """An argument of the program."""
    CALL = "call"
    """It is computed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a node.

    ``value`` is what it was when it was made, at the start point: a tensor, or the tuple of a call
    that gives several. It serves for shapes, labels and checks, never for a decision about the
    graph. ``cells`` and ``formula`` are the line of the sheet that it computes, ``parts`` the
    lines that it computes on the way. ``guard`` says that the node keeps an operand within the
    domain of a function, and is True where torch's function has its natural limit outside;
    ``is_edge``: it does so at the edge of a domain. ``is_final``: it puts the error value where
    the objective has none.
    """

    kind: Kind = Kind.CALL
    value: Any = None
    cells: CellRange | None = None
    formula: str | None = None
    parts: tuple[tuple[CellRange, str], ...] = ()
    guard: bool | None = None
    is_edge: bool = False
    is_final: bool = False

    @property
    def is_guard(self) -> bool:
        """Whether it keeps an operand within a domain."""
        return self.guard is not None

    @property
    def protects(self) -> bool:
        """Whether its operand is a function's, changed only where that has no value."""
        return self.is_guard or self.is_edge


_NOTHING = Facts()


def facts(node: fx.Node) -> Facts:
    """What is known of a node; nothing of one that no trace and no pass has made."""
    found: Facts = node.meta.get(_KEY, _NOTHING)
    return found


def note(node: fx.Node, **known: Any) -> None:
    """Set some facts of a node, by their names."""
    node.meta[_KEY] = replace(facts(node), **known)


def note_line(node: fx.Node, cells: CellRange | None, formula: str | None) -> None:
    """Let a node compute a line of the sheet, where it computes none yet."""
    known = facts(node)
    note(
        node,
        cells=cells if known.cells is None else known.cells,
        formula=formula if known.formula is None else known.formula,
    )


def keep_line(old: fx.Node, new: fx.Node) -> None:
    """Give a node the cells and the formula of another, where it has none of its own."""
    note_line(new, facts(old).cells, facts(old).formula)


def take_line(old: fx.Node, new: fx.Node) -> None:
    """Give a node the cells and the formula of another, in place of its own."""
    known, line = facts(new), facts(old)
    note(
        new,
        cells=known.cells if line.cells is None else line.cells,
        formula=known.formula if line.formula is None else line.formula,
    )


def keep_guard(old: fx.Node, new: fx.Node) -> None:
    """Let a node be the guard, or the edge of a domain, that another is."""
    known = facts(old)
    if known.is_guard:
        note(new, guard=known.guard)
    if known.is_edge:
        note(new, is_edge=True)


def derive(old: fx.Node, new: fx.Node, **changes: Any) -> None:
    """Give a node all facts of another, but for some."""
    new.meta[_KEY] = replace(facts(old), **changes)


def value_of(item: object) -> torch.Tensor:
    """An operand as a tensor: what a node was when it was made, a tensor itself."""
    value = facts(item).value if isinstance(item, fx.Node) else item
    assert isinstance(value, torch.Tensor), f"{item}: no tensor is known of it"
    return value


def is_parameter(item: object) -> bool:
    """Whether an operand is a node that reads variable cells."""
    return isinstance(item, fx.Node) and facts(item).kind is Kind.PARAMETER


def is_constant(item: object) -> bool:
    """Whether an operand is a node that reads numbers which no variable cell reaches."""
    return isinstance(item, fx.Node) and facts(item).kind is Kind.DATA
