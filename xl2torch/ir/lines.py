"""Lines of the sheet that the program computes within others, once it is simplified."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import facts, note


@dataclass(frozen=True)
class Line:
    """A region of the sheet: its cells, its formula, and the cells of the lines that use it."""

    cells: CellRange
    formula: str
    used_by: tuple[CellRange, ...]


def note_part_of_line(line: fx.Node, cells: CellRange, node: fx.Node) -> None:
    """Let a node compute some cells of a line, by the formula of the first of them."""
    from openpyxl.formula.translate import Translator

    formula, whole = facts(line).formula, facts(line).cells
    assert whole is not None
    if formula and cells.first != whole.first:
        moved = Translator(f"={formula}", origin=whole.first.a1)
        formula = moved.translate_formula(cells.first.a1).removeprefix("=")
    note(node, cells=cells, formula=facts(node).formula if formula is None else formula)


def lines_of(graph: fx.Graph) -> list[Line]:
    """Lines of a graph as it was recorded, in the order of evaluation."""
    found = []
    for node in graph.nodes:
        cells = facts(node).cells
        if node.op == "call_function" and cells is not None:
            found.append(Line(cells, facts(node).formula or "", tuple(_users(node))))
    return found


def _users(node: fx.Node) -> list[CellRange]:
    """The nearest lines that use a node."""
    found: dict[CellRange, None] = {}
    seen = set(node.users)
    stack = list(node.users)
    while stack:
        user = stack.pop()
        cells = facts(user).cells
        if cells is not None:
            found[cells] = None
            continue
        fresh = set(user.users) - seen
        seen |= fresh
        stack += fresh
    return list(found)


def note_parts(graph: fx.Graph, lines: list[Line]) -> None:
    """Note of each line the parts, lines (cells, formula) that vanished into it."""
    kept = [
        (node, cells) for node in graph.nodes
        if node.op == "call_function" and (cells := facts(node).cells) is not None
    ]  # fmt: skip
    homes: dict[CellRange, fx.Node] = {}
    parts: dict[fx.Node, list[tuple[CellRange, str]]] = {}
    for line in reversed(lines):
        home = next((node for node, cells in kept if cells.contains(line.cells)), None)
        if home is None:
            home = next((homes[user] for user in line.used_by if user in homes), None)
            if home is not None:
                parts.setdefault(home, []).insert(0, (line.cells, line.formula))
        if home is not None:
            homes[line.cells] = home
    for node, found in parts.items():
        note(node, parts=tuple(found))
