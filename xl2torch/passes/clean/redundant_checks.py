"""Checks for errors that a recognised function does not need."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import facts, take_line, value_of
from xl2torch.ir.ops import find_operator
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
)


def guards_of(node: fx.Node, depth: int = 8) -> set[fx.Node]:
    """Guards within an expression."""
    seen = level = {node}
    for _ in range(depth):
        level = {inner for item in level for inner in item.all_input_nodes} - seen
        seen = seen | level
    return {item for item in seen if facts(item).is_guard}


def drop_redundant_checks(graph: fx.Graph, guards: Iterable[fx.Node]) -> None:
    """Drop the checks of guards that are not used any more.

    ``EXP(x)`` is #NUM! beyond 709, but the logistic function that was recognised around it is not.
    A check stays where something else than the objective's own error hangs on it (IFERROR), or
    where the function that it guards is still computed.
    """
    masks = {guard: guard.args[0] for guard in guards}
    while masks:
        drop_unused(graph)
        alive = set(graph.nodes)
        settled = [guard for guard in masks if guard not in alive]
        if not settled:
            return  # a check that goes may be the last to need the function of another guard
        for mask in {masks.pop(guard) for guard in settled}:
            if isinstance(mask, fx.Node) and mask in alive and _only_reports(mask):
                true = add_constant(graph, torch.ones_like(value_of(mask)))
                mask.replace_all_uses_with(true)
        _fold_true(graph)


def _only_reports(mask: fx.Node) -> bool:
    """Whether a check goes nowhere but into the objective's own."""
    stack = [(user, mask) for user in mask.users]
    while stack:
        node, source = stack.pop()
        if facts(node).is_final:
            continue
        if not _is_check(node) or source not in _masks(node):
            return False
        if not _passes_on(node):
            return False
        stack += [(user, node) for user in node.users]
    return True


def _is_check(node: fx.Node) -> bool:
    """Whether a node is true or false, and no number; a loop is several nodes at once."""
    value = facts(node).value
    return isinstance(value, torch.Tensor) and value.dtype == torch.bool


def _fold_true(graph: fx.Graph) -> None:
    """Drop what is checked anyway: constants that are true everywhere."""
    true: set[fx.Node] = set()
    for node in list(graph.nodes):
        if _is_true(node, graph):
            true.add(node)
        elif facts(node).is_final:
            if node.args[0] in true:
                _drop_final(node)
        elif node.op == "call_function" and _is_check(node):
            masks = _masks(node)
            if masks and all(item in true for item in masks) and _passes_on(node):
                true.add(node)
            elif is_call(node, torch.logical_and) and true & set(masks):
                (other,) = (item for item in masks if item not in true)
                with graph.inserting_before(node):
                    node.replace_all_uses_with(_spread(graph, other, value_of(node).shape))
    drop_unused(graph)
    for node in true & set(graph.nodes):
        if node.op == "call_function":
            with graph.inserting_before(node):
                constant = add_constant(graph, torch.ones_like(value_of(node)))
            node.replace_all_uses_with(constant)


def _masks(node: fx.Node) -> list[Any]:
    """The checks that a node hands on: of a choice both branches."""
    inputs = node.args[1:] if is_call(node, torch.where) else node.all_input_nodes
    return [i for i in inputs if isinstance(i, fx.Node) and _is_check(i)]


def _is_true(node: fx.Node, graph: fx.Graph) -> bool:
    constant = constant_value(node, graph)
    return constant is not None and constant.dtype == torch.bool and bool(constant.all())


def _passes_on(node: fx.Node) -> bool:
    """Whether a node only hands a check on, on the way to the objective's own."""
    row = find_operator(node)
    return row is not None and (row.moves or row.keeps_true)


def _spread(graph: fx.Graph, item: object, shape: torch.Size) -> fx.Node:
    assert isinstance(item, fx.Node)
    if value_of(item).shape == shape:
        return item
    return add_node(graph, torch.broadcast_to, item, tuple(shape))


def _drop_final(final: fx.Node) -> None:
    """The objective without its check."""
    objective = final.args[1]
    assert isinstance(objective, fx.Node) and math.isnan(final.args[2])  # type: ignore[arg-type]
    take_line(final, objective)
    final.replace_all_uses_with(objective)
