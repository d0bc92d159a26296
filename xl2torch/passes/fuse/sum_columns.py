"""Columns of one matrix that are added, plainly or with weights, are its sum or a product."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import note_line, value_of
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    commuted,
    constant_value,
    drop_unused,
    hull,
    is_call,
    part,
    replace,
    slices,
    summands,
)


def sum_columns(graph: fx.Graph) -> fx.Graph:
    """x[:, 0] + x[:, 1] becomes sum(x, dim=1), x[:, 0]·w[0] + x[:, 1]·w[1] becomes x @ w."""
    for node in list(graph.nodes):
        if not is_call(node, operator.add) or any(
            is_call(user, operator.add) for user in node.users
        ):
            continue
        _sum_within(graph, node)
    drop_unused(graph)
    return graph


def _sum_within(graph: fx.Graph, root: fx.Node) -> None:
    """Replace the longest part of a chain of sums, read from its left, that is such a sum."""
    chain = [root]
    while is_call(chain[-1].args[0], operator.add):
        chain.append(chain[-1].args[0])  # type: ignore[arg-type]
    for link in chain:
        terms = summands(link)
        found = _plain(graph, link, terms) or _weighted(graph, link, terms)
        if found is not None:
            replace(link, found)
            return


def _plain(graph: fx.Graph, link: fx.Node, terms: list[Any]) -> fx.Node | None:
    found = slices(terms)
    if found is None or found[1] != 1 or value_of(found[0]).dim() != 2:
        return None
    with graph.inserting_before(link):
        matrix = part(graph, *found, len(terms))
        return add_node(graph, torch.sum, matrix, dim=1)


def _weighted(graph: fx.Graph, link: fx.Node, terms: list[Any]) -> fx.Node | None:
    if not all(is_call(term, operator.mul) for term in terms):
        return None
    columns, weights = [], []
    for term in terms:
        for first, second in commuted(term):
            if not (isinstance(first, fx.Node) and isinstance(second, fx.Node)):
                continue
            if value_of(first).dim() == 1 and value_of(second).dim() == 0:
                columns.append(first)
                weights.append(second)
    vector = slices(weights)
    if len(columns) != len(terms) or vector is None or value_of(vector[0]).dim() != 1:
        return None
    with graph.inserting_before(link):
        matrix = _columns(graph, columns)
        if matrix is None:
            return None
        return add_node(graph, torch.matmul, matrix, part(graph, *vector, len(terms)))


def _columns(graph: fx.Graph, columns: list[fx.Node]) -> fx.Node | None:
    """Columns of one matrix, or of constants that stand side by side, as one node."""
    found = slices(columns)
    if found is not None:
        whole = found[1] == 1 and value_of(found[0]).dim() == 2
        return part(graph, *found, len(columns)) if whole else None
    constants = [constant_value(column, graph) for column in columns]
    cells = hull(columns)
    if cells is None or cells.columns != len(columns) or any(item is None for item in constants):
        return None
    node = add_constant(graph, torch.stack([v for v in constants if v is not None], dim=1))
    note_line(node, cells, None)
    return node
