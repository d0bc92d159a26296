"""Leave out rows that the output does not use: the data are cut, and all that hangs on them.

``AVERAGE(F2:F500)`` over formulas that stand down to row 800 has its test rows below; they are no
rows of the objective.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import fx

from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import derive, facts, note, value_of
from xl2torch.ir.lines import note_part_of_line
from xl2torch.ir.nodes import copied, node_name
from xl2torch.ir.rewriting import drop_unused
from xl2torch.rows.normalisers import Divisors
from xl2torch.rows.row_search import RowAnalysis, RowsMix
from xl2torch.rows.row_trials import RowDim, resized


def only_needed_rows(module: fx.GraphModule) -> fx.GraphModule:
    """The same program without the rows that the output does not need; itself where it needs all.

    One line of the sheet after the other of which only a part is used.
    """
    for node in module.graph.nodes:
        source = node.args[0] if node_name(node) == "narrow" else None
        if not isinstance(source, fx.Node) or not _is_cut(source, node.args[1:]):
            continue
        cells = facts(source).cells
        assert cells is not None
        search = RowAnalysis(module, cells, Divisors())
        try:
            search.require(source, RowDim(node.args[1]))
            for other in module.graph.nodes:  # such as whether the rows have values
                if _is_part(other, node.args[1:]) and _is_as_long(other.args[0], source, node):
                    search.has_rows(other.args[0], RowDim(node.args[1]))
            search.check_whole()
        except RowsMix:
            continue
        if _is_closed(search, node.args[1:]):
            return only_needed_rows(_of_some_rows(module, search, node.args[1:]))
    return module


def _is_cut(source: fx.Node, part: tuple[Any, ...]) -> bool:
    """Whether one part of the rows of a line of the sheet is all that is used of it."""
    cells, value = facts(source).cells, facts(source).value
    if source.op != "call_function" or cells is None or not isinstance(value, torch.Tensor):
        return False
    whole = value.shape[part[0]] == cells.rows
    return whole and all(_is_part(user, part) for user in source.users)


def _is_as_long(one: Any, other: fx.Node, part: fx.Node) -> bool:
    dim: Any = part.args[1]
    shapes = [value_of(node).shape for node in (one, other)]
    return all(len(shape) > dim for shape in shapes) and shapes[0][dim] == shapes[1][dim]


def _is_closed(search: RowAnalysis, part: tuple[Any, ...]) -> bool:
    """Whether what is computed for the rows is used for nothing else; data may be.

    A parameter with an element for each row is not taken apart.
    """
    found = search.found
    return not any(node in found for node in search.parameters) and all(
        user in found or _is_part(user, part)
        for node in found
        if node.op != "get_attr"
        for user in node.users
    )


def _is_part(node: fx.Node, part: tuple[Any, ...]) -> bool:
    return node_name(node) == "narrow" and node.args[1:] == part


def _of_some_rows(
    module: fx.GraphModule, search: RowAnalysis, part: tuple[Any, ...]
) -> fx.GraphModule:
    """A program that computes a part of the rows that were found."""
    new, copies = copied(module)
    _, start, length = part
    index = torch.arange(start, start + length)
    for node, rows in search.found.items():
        copy = copies[node]
        if node.op == "get_attr":
            name = f"{node.target}_rows_{start}_to_{start + length}"
            data = new.get_buffer(str(node.target))
            new.register_buffer(name, rows.select(data, index), persistent=False)
            with new.graph.inserting_after(copy):
                chosen = new.graph.get_attr(name)
            derive(copy, chosen)
            for user in node.users:
                if user in search.found:
                    copies[user].replace_input_with(copy, chosen)
            copy = chosen
        elif search.ways[node].sizes:
            sizes = search.ways[node].sizes
            copy.args = resized(copy.args, sizes, search.count, length, lambda item: item)
        _note(copy, rows, search.cells, index)
    for node in search.found:
        for user in node.users:
            if node.op != "get_attr" and _is_part(user, part):
                copies[user].replace_all_uses_with(copies[node])
    drop_unused(new.graph)
    new.recompile()
    return new


def _note(node: fx.Node, rows: RowDim, whole: CellRange, index: torch.Tensor) -> None:
    """Let the facts of a node be those of some of the rows."""
    known = facts(node)
    if isinstance(known.value, torch.Tensor):
        value: Any = rows.select(known.value, index)
    else:
        value = tuple(item if item is None else rows.select(item, index) for item in known.value)
    parts = tuple((_narrowed(cells, whole, index), text) for cells, text in known.parts)
    note(node, value=value, parts=parts)
    if known.cells is not None:
        note_part_of_line(node, _narrowed(known.cells, whole, index), node)


def _narrowed(cells: CellRange, whole: CellRange, index: torch.Tensor) -> CellRange:
    if cells.rows != whole.rows:
        return cells
    top = cells.top + int(index[0])
    return replace(cells, top=top, bottom=top + len(index) - 1)
