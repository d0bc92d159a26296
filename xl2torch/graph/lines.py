"""Lines of the sheet that the program computes within others, once it is simplified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import fx

from xl2torch.address import CellRange


@dataclass(frozen=True)
class Line:
    """A region of the sheet: its cells, its formula, and the cells of the lines that use it."""

    cells: CellRange
    formula: str
    used_by: tuple[CellRange, ...]


def part_of_line(meta: dict[str, Any], cells: CellRange) -> dict[str, Any]:
    """The cells of a part of a line, with the formula of its first cell."""
    from openpyxl.formula.translate import Translator

    formula = meta.get("formula")
    whole: CellRange = meta["cells"]
    if formula and cells.first != whole.first:
        moved = Translator(f"={formula}", origin=whole.first.a1)
        formula = moved.translate_formula(cells.first.a1).removeprefix("=")
    return {"cells": cells} if formula is None else {"cells": cells, "formula": formula}


def lines_of(graph: fx.Graph) -> list[Line]:
    """Lines of a graph as it was recorded, in the order of evaluation."""
    found = []
    for node in graph.nodes:
        if node.op == "call_function" and node.meta.get("cells") is not None:
            formula = node.meta.get("formula") or ""
            found.append(Line(node.meta["cells"], formula, tuple(_users(node))))
    return found


def _users(node: fx.Node) -> list[CellRange]:
    """The nearest lines that use a node."""
    found: dict[CellRange, None] = {}
    seen = set(node.users)
    stack = list(node.users)
    while stack:
        user = stack.pop()
        cells = user.meta.get("cells")
        if cells is not None:
            found[cells] = None
            continue
        fresh = set(user.users) - seen
        seen |= fresh
        stack += fresh
    return list(found)


def note_parts(graph: fx.Graph, lines: list[Line]) -> None:
    """Note in ``meta["parts"]`` of each line the lines (cells, formula) that vanished into it."""
    kept = [n for n in graph.nodes if n.op == "call_function" and n.meta.get("cells") is not None]
    homes: dict[CellRange, fx.Node] = {}
    parts: dict[fx.Node, list[tuple[CellRange, str]]] = {}
    for line in reversed(lines):
        home = next((node for node in kept if node.meta["cells"].contains(line.cells)), None)
        if home is None:
            home = next((homes[user] for user in line.used_by if user in homes), None)
            if home is not None:
                parts.setdefault(home, []).insert(0, (line.cells, line.formula))
        if home is not None:
            homes[line.cells] = home
    for node, found in parts.items():
        node.meta["parts"] = tuple(found)
