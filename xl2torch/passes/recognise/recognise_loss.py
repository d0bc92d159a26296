"""Means and sums of squares and of cross-entropies become the loss functions of torch.nn."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
)

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import add_node, drop_unused, is_call, is_number, replace

_REDUCTIONS = {torch.mean: "mean", torch.sum: "sum"}


def recognise_loss(graph: fx.Graph) -> fx.Graph:
    """mean((a - b)²) becomes mse_loss(a, b); a mean of cross-entropies is a part of theirs."""
    for node in list(graph.nodes):
        if not is_call(node, *_REDUCTIONS) or node.kwargs or len(node.args) != 1:
            continue
        reduction = _REDUCTIONS[node.target]
        options = {} if reduction == "mean" else {"reduction": reduction}
        inner = node.args[0]
        with graph.inserting_before(node):
            if is_call(inner, binary_cross_entropy_with_logits, cross_entropy):
                assert isinstance(inner, fx.Node)
                loss = add_node(graph, inner.target, *inner.args, **options)  # type: ignore[arg-type]
            else:
                difference = squared_difference(inner)
                if difference is None:
                    continue
                loss = add_node(graph, mse_loss, *difference, **options)
        replace(node, loss)
    drop_unused(graph)
    return graph


def squared_difference(node: Any) -> tuple[fx.Node, fx.Node] | None:
    """(a, b) of (a - b)², what is constant last."""
    if not is_call(node, operator.pow) or not is_number(node.args[1], 2.0):
        return None
    difference = node.args[0]
    if not is_call(difference, operator.sub):
        return None
    first, second = difference.args
    if not (isinstance(first, fx.Node) and isinstance(second, fx.Node)):
        return None
    if value_of(first).shape != value_of(second).shape or not value_of(first).dim():
        return None
    return (second, first) if first.op == "get_attr" else (first, second)
