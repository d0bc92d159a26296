"""Neighbouring columns (or rows) with like formulas become one product and one activation.

``relu(X·w₁ + b₁)``, ``relu(X·w₂ + b₂)`` next to each other, with w₁, w₂ consecutive rows (or
columns) of one weight range, are ``relu(X @ W.T + b)``.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import facts, keep_guard, note, note_line, take_line, value_of
from xl2torch.ir.ops import is_elementwise
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    hull,
    is_activation,
    is_call,
    part,
    slices,
    summands,
)


def merge_like_columns(graph: fx.Graph) -> fx.Graph:
    """stack([f(X @ W[0]), f(X @ W[1]), …], dim=1) becomes f(X @ W.T)."""
    merging = _Merging(graph)
    for node in list(graph.nodes):
        if not is_call(node, torch.stack) or len(node.args[0]) < 2:
            continue
        items = list(node.args[0])
        dim = node.kwargs.get("dim", 0)
        shape = value_of(items[0]).shape
        if len(shape) > 1 or any(value_of(item).shape != shape for item in items):
            continue
        with graph.inserting_before(node):
            merged = merging.merged(items, last=dim == len(shape))
        if merged is None:
            continue
        _note_cells(merged, node, items)
        _take_from(graph, merged, items, node, dim)
        node.replace_all_uses_with(merged)
    for node in list(graph.nodes):
        if is_call(node, operator.add) and not any(
            is_call(user, operator.add) for user in node.users
        ):
            _merge_added(graph, merging, summands(node))
    drop_unused(graph)
    return graph


def _merge_added(graph: fx.Graph, merging: _Merging, terms: list[Any]) -> None:
    """Merge units that are added, with weights or without."""
    items = []
    for term in terms:
        parts = term.args if is_call(term, operator.mul) else (term,)
        items += [part for part in parts if is_activation(part)]
    if len(items) < 2 or len(items) != len(terms) or value_of(items[0]).dim() != 1:
        return
    users = {user for item in items for user in item.users}
    order = {node: place for place, node in enumerate(graph.nodes)}
    first = min(users, key=order.__getitem__)
    if any(order[item] > order[first] for item in items) or first.op == "output":
        return
    with graph.inserting_before(first):
        merged = merging.merged(items, last=True)
        if merged is None:
            return
        for place, item in enumerate(items):
            item.replace_all_uses_with(add_node(graph, torch.select, merged, 1, place))


def _note_cells(merged: fx.Node, stack: fx.Node, items: list[fx.Node]) -> None:
    """The cells and the formula of the columns that were merged."""
    take_line(stack, merged)
    note_line(merged, hull(items), facts(items[0]).formula)


def _take_from(
    graph: fx.Graph, merged: fx.Node, items: list[fx.Node], stack: fx.Node, dim: int
) -> None:
    """Let later users of one column read it from the merged columns."""
    order = {node: place for place, node in enumerate(graph.nodes)}
    for place, item in enumerate(items):
        for user in list(item.users):
            if user is not stack and user.op != "output" and order[user] > order[stack]:
                with graph.inserting_before(user):
                    user.replace_input_with(item, add_node(graph, torch.select, merged, dim, place))


class _Merging:
    """Merges like expressions; those that are merged once are used again."""

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = graph
        self.known: dict[tuple[Any, ...], fx.Node] = {}

    def merged(self, items: list[fx.Node], last: bool) -> fx.Node | None:
        """Like calls as one, the new dim last or first; None where they are not alike."""
        first = items[0]
        if not all(is_call(item, first.target) for item in items):  # type: ignore[arg-type]
            return None
        if len(set(items)) < len(items) or any(item.kwargs != first.kwargs for item in items):
            return None
        key = (*items, last)
        if key not in self.known:
            found = self._product(items, last) or self._elementwise(items, last)
            if found is None:
                return None
            keep_guard(first, found)
            cells = hull(items)
            if cells is not None:
                note(found, cells=cells, formula=facts(first).formula)
            self.known[key] = found
        return self.known[key]

    def _product(self, items: list[fx.Node], last: bool) -> fx.Node | None:
        """X @ w₁, X @ w₂, … as X @ W."""
        if not is_call(items[0], torch.matmul):
            return None
        data = items[0].args[0]
        weights: list[Any] = [item.args[1] for item in items]
        if any(item.args[0] is not data for item in items) or value_of(data).dim() != 2:
            return None
        if not all(isinstance(item, fx.Node) and value_of(item).dim() == 1 for item in weights):
            return None
        columns = slices(weights)
        if last and columns is not None and columns[1] == 1:
            matrix = self.joined(weights, last=True)
        else:
            matrix = add_node(self.graph, torch.t, self.joined(weights, last=False))
        product = add_node(self.graph, torch.matmul, data, matrix)
        return product if last else add_node(self.graph, torch.t, product)

    def _elementwise(self, items: list[fx.Node], last: bool) -> fx.Node | None:
        first = items[0]
        if not is_elementwise(first) or first.kwargs:
            return None
        assert callable(first.target)
        shape = value_of(first).shape
        operands = []
        for group in zip(*(item.args for item in items), strict=True):
            operands.append(self._operand(list(group), shape, last))
        if any(operand is None for operand in operands):
            return None
        return add_node(self.graph, first.target, *operands)

    def _operand(self, group: list[Any], shape: torch.Size, last: bool) -> Any:
        """Operands at one place as one that broadcasts; None where that cannot be."""
        if not all(isinstance(item, fx.Node) for item in group):
            if any(isinstance(item, fx.Node) for item in group):
                return None
            return group[0] if all(item == group[0] for item in group) else None
        if any(value_of(item).shape not in (shape, ()) for item in group):
            return None
        inner = value_of(group[0]).shape
        if any(value_of(item).shape != inner for item in group):
            return None
        vector = len(inner) == 1
        if all(item is group[0] for item in group):
            shared = group[0]
            if not (vector and last):
                return shared
            constant = constant_value(shared, self.graph)
            if constant is None:
                return add_node(self.graph, torch.unsqueeze, shared, -1)
            return add_constant(self.graph, constant.unsqueeze(-1))
        merged = self.merged(group, last) or self.joined(group, last)
        if len(shape) == 1 and not vector and not last:
            merged = add_node(self.graph, torch.unsqueeze, merged, -1)
        return merged

    def joined(self, items: list[fx.Node], last: bool) -> fx.Node:
        """Items beside each other along a new dim, the last or the first one."""
        graph, count = self.graph, len(items)
        selected = slices(items)
        if selected is not None and value_of(selected[0]).dim() <= 2:
            matrix, axis = part(graph, *selected, count), selected[1]
            flip = value_of(matrix).dim() == 2 and (axis == 0) is last
            return add_node(graph, torch.t, matrix) if flip else matrix
        like = all(
            is_call(item, torch.narrow, torch.select) and item.target is items[0].target
            and item.args[1:] == items[0].args[1:] and value_of(item.args[0]).dim() == 1
            for item in items
        )  # fmt: skip
        if like:  # the same part of neighbouring rows
            scalars = items[0].target is torch.select
            last = last and not scalars
            inner: list[Any] = [item.args[0] for item in items]
            whole = self.joined(inner, last)
            places = items[0].args[2:]
            return add_node(graph, items[0].target, whole, 0 if last else 1, *places)  # type: ignore[arg-type]
        constants = [constant_value(item, graph) for item in items]
        if all(item is not None for item in constants):
            value = torch.stack([v for v in constants if v is not None], dim=-1 if last else 0)
            node = add_constant(graph, value)
            cells = hull(items)
            if cells is not None:
                note_line(node, cells, None)
            return node
        dim = value_of(items[0]).dim() if last else 0
        return add_node(graph, torch.stack, tuple(items), dim=dim)
