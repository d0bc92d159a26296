"""The part of a program that predicts rows: it holds for any rows, not the sheet's alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from xl2torch.errors import Xl2TorchError
from xl2torch.ir.facts import facts
from xl2torch.model.sheet_model import SheetModel, Variable
from xl2torch.rows.prediction import find_outputs

_SAME = 1e-12
_FEWER = (1, 2)


@dataclass(frozen=True)
class RowPart:
    """Nodes from rows of data to the node of the predictions.

    ``rows`` are the data that have a row for each prediction; ``inner`` are all nodes that are
    computed.
    """

    output: fx.Node
    rows: tuple[fx.Node, ...]
    inner: frozenset[fx.Node]


def find_row_part(model: SheetModel, weights: Collection[Variable]) -> RowPart | None:
    """The part that predicts; None where the program has none, or not for any number of rows."""
    try:
        areas = find_outputs(
            model.compiled.workbook, model.compiled.evaluation, model.problem.objective, None
        )
    except Xl2TorchError:
        return None
    nodes = [node for node in model.graph.nodes if facts(node).cells in areas]
    if len(areas) != 1 or len(nodes) != 1 or nodes[0].op != "call_function":
        return None
    (output,), count = nodes, areas[0].rows
    above = _above(output)
    inner = frozenset(node for node in above if node.op == "call_function")
    own = {weight.name for weight in weights}
    rows = tuple(
        node for node in model.graph.nodes
        if node in above and node.op == "get_attr" and str(node.target) not in own
        and _value(model, node).dim() and _value(model, node).shape[0] == count
    )  # fmt: skip
    if any(facts(node).cells is None for node in rows):
        return None  # numbers that were computed of cells are nothing to ask for
    leaks = any(user not in inner for node in inner - {output} for user in node.users)
    others = {node.op for node in above} - {"call_function", "get_attr"}
    if leaks or others or not rows or count < max(_FEWER):
        return None
    found = RowPart(output, rows, inner)
    return found if _holds_for_any(model, found, count) else None


def _above(node: fx.Node) -> set[fx.Node]:
    found, stack = {node}, [node]
    while stack:
        fresh = [item for item in stack.pop().all_input_nodes if item not in found]
        found.update(fresh)
        stack += fresh
    return found


def _value(model: SheetModel, node: fx.Node) -> torch.Tensor:
    value: torch.Tensor = getattr(model, str(node.target))
    return value


@torch.no_grad()
def _holds_for_any(model: SheetModel, part: RowPart, count: int) -> bool:
    """Whether fewer rows have the predictions that they have among all."""
    whole = _computed(model, part, count)
    if whole is None or whole.shape[:1] != (count,):
        return False
    for few in _FEWER:
        found = _computed(model, part, few)
        if found is None or found.shape != (few, *whole.shape[1:]):
            return False
        if not torch.allclose(found, whole[:few], rtol=_SAME, equal_nan=True):
            return False
    return True


def _computed(model: SheetModel, part: RowPart, count: int) -> torch.Tensor | None:
    """The predictions of the first rows; None where they cannot be computed alone."""
    values: dict[fx.Node, Any] = {}
    for node in model.graph.nodes:
        if node.op == "get_attr":
            value = _value(model, node)
            values[node] = value[:count] if node in part.rows else value
        elif node in part.inner:
            arguments = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            try:
                values[node] = node.target(*arguments[0], **arguments[1])
            except (RuntimeError, IndexError, ValueError, TypeError):
                return None
    found: torch.Tensor = values[part.output]
    return found
