"""Metrics beside the loss: a cell of the sheet, or how many rows are classified rightly."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from xl2torch.analysis.dropout import without_dropout
from xl2torch.arrays.array import DTYPE
from xl2torch.errors import SelectionError
from xl2torch.ir.facts import value_of
from xl2torch.ir.nodes import dependents, node_name, parameter_nodes
from xl2torch.ir.rewriting import add_node
from xl2torch.model.sheet_model import SheetModel, cell_program
from xl2torch.rows.normalisers import find_divisors
from xl2torch.rows.prune_rows import only_needed_rows
from xl2torch.rows.row_objective import find_row_objective
from xl2torch.training.rows.row_loss import Metric
from xl2torch.workbook.read.selection import parse_cell

ACCURACY, ERROR_RATE = "accuracy", "error_rate"
_MIDDLE = 0.5
_REMEDY = "Name a cell that is a sum or mean over rows as `metric`"


def find_metric(model: SheetModel, text: str, dropout_off: bool = False) -> Metric:
    """The metric by its name, ``accuracy``, ``error_rate``, or a cell; without dropout perhaps.

    Raises SelectionError where it is no number over rows.
    """
    name = text.strip().lower()
    if name in (ACCURACY, ERROR_RATE):
        module = _classified(model, operator.eq if name == ACCURACY else operator.ne)
        program: fx.GraphModule = without_dropout(module)[0] if dropout_off else module
        return Metric(name, find_row_objective(program, name, _REMEDY), of_labels=True)
    try:
        cell = parse_cell(model.compiled.workbook, text, model.problem.sheet)
    except SelectionError as error:
        raise SelectionError(
            f"`metric`: {error}; there are {ACCURACY}, {ERROR_RATE}, and cells"
        ) from None
    found = cell_program(model, cell)
    if found is None:
        raise SelectionError(f"the `metric` {cell} does not depend on the variable cells")
    program = without_dropout(found)[0] if dropout_off else found
    divisors = find_divisors(model.compiled.evaluation, cell)
    rows = find_row_objective(program, f"the metric {cell}", _REMEDY, divisors)
    return Metric(str(cell), rows)


def _classified(model: SheetModel, compare: Callable[[Any, Any], Any]) -> fx.GraphModule:
    """The share of rows whose class compares so with the label. Raises SelectionError."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    needed = only_needed_rows(model)
    graph.graph_copy(needed.graph, copies)
    trained = dependents(needed.graph, parameter_nodes(needed))
    pairs = [
        found
        for node in needed.graph.nodes
        if (found := _classes(graph, node, copies, trained)) is not None
    ]
    if len(pairs) > 1:
        raise SelectionError(
            f"there are several labels on the way to {model.problem.objective}. {_REMEDY}"
        )
    if not pairs:
        raise SelectionError(
            f"no labels were found on the way to {model.problem.objective}: classes are 0 and 1, "
            f"or a column for each class. {_REMEDY}"
        )
    right = add_node(graph, torch.Tensor.to, add_node(graph, compare, *pairs[0]), DTYPE)
    graph.output(add_node(graph, torch.mean, right))
    graph.eliminate_dead_code()
    return fx.GraphModule(needed, graph)


def _classes(
    graph: fx.Graph, node: fx.Node, copies: dict[fx.Node, fx.Node], trained: set[fx.Node]
) -> tuple[fx.Node, fx.Node] | None:
    """Predicted class and label of each row, where a node compares the two."""
    name = node_name(node)
    if name not in ("cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "sub"):
        return None
    first, second = node.args[:2]
    if not isinstance(first, fx.Node) or not isinstance(second, fx.Node):
        return None
    predicted, label = (first, second) if first in trained else (second, first)
    if label in trained or predicted not in trained:
        return None
    observed, at_most = value_of(label), _MIDDLE
    scores, known = copies[predicted], copies[label]
    if name == "binary_cross_entropy_with_logits":
        at_most = 0.0  # a probability of one half
    if observed.dim() == 2 and observed.shape == value_of(predicted).shape:
        if bool((observed.sum(1) - 1).abs().max() > 1e-12) or observed.shape[1] == 1:
            return None
        return add_node(graph, torch.argmax, scores, 1), add_node(graph, torch.argmax, known, 1)
    if name == "cross_entropy":
        return add_node(graph, torch.argmax, scores, 1), known
    if not bool(((observed == 0) | (observed == 1)).all()):
        return None
    if observed.shape != value_of(predicted).shape:
        return None
    return (
        add_node(graph, operator.gt, scores, at_most),
        add_node(graph, operator.gt, known, _MIDDLE),
    )
