"""``SUM(x)/N`` becomes a mean; a sign inside a mean or a sum moves out of it, and two cancel."""

from __future__ import annotations

import operator

import torch
from torch import fx

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import add_node, drop_unused, is_call, negated, replace


def recognise_mean(graph: fx.Graph) -> fx.Graph:
    """sum(x) / n becomes mean(x), mean(-x) becomes -mean(x)."""
    for node in list(graph.nodes):
        if is_call(node, operator.neg) and is_call(node.args[0], operator.neg):
            replace(node, node.args[0].args[0])
            continue
        if is_call(node, operator.truediv) and is_call(node.args[0], torch.sum):
            total, count = node.args
            size = value_of(total.args[0]).numel() / max(value_of(total).numel(), 1)
            if isinstance(count, int | float) and count == size:
                with graph.inserting_before(node):
                    mean = add_node(graph, torch.mean, *total.args, **total.kwargs)
                replace(node, mean)
                node = mean
        if is_call(node, torch.mean, torch.sum) and is_call(node.args[0], operator.neg):
            if len(node.args[0].users) > 1:
                continue
            with graph.inserting_before(node):
                inner = add_node(graph, node.target, node.args[0].args[0], **node.kwargs)
                replace(node, negated(graph, inner))
    drop_unused(graph)
    return graph
