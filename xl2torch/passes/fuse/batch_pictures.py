"""Convolutions and pools take a batch: one of a single picture, from the first to the last of them.

Without it, torch would add and drop the batch at each of them.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch.nn.functional import conv2d, max_pool2d, pad

from xl2torch.ir.facts import keep_line, value_of
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    commuted,
    constant_value,
    drop_unused,
    is_call,
    replace,
)


def batch_pictures(graph: fx.Graph) -> fx.Graph:
    """relu(conv2d(x, k)) of channels x becomes squeeze(relu(conv2d(unsqueeze(x, 0), k)), 0)."""
    batches: dict[fx.Node, fx.Node] = {}
    for node in list(graph.nodes):
        with graph.inserting_before(node):
            if is_call(node, conv2d, max_pool2d) and value_of(node.args[0]).dim() == 3:
                source: Any = node.args[0]
                batches[node] = _again(graph, node, _batch(graph, source, batches))
            elif is_call(node, torch.relu, pad) and node.args[0] in batches:
                batches[node] = _again(graph, node, batches[node.args[0]])
            elif is_call(node, operator.mul):
                product = _weighted(graph, node, batches)
                if product is not None:
                    batches[node] = product
            elif is_call(node, torch.sum) and node.args[0] in batches and not node.kwargs:
                replace(node, _again(graph, node, batches[node.args[0]]))
    for node, batch in batches.items():
        others = [user for user in node.users if user not in batches]
        if others:
            with graph.inserting_after(batch):
                picture = add_node(graph, torch.squeeze, batch, 0)
            for user in others:
                user.replace_input_with(node, picture)
    drop_unused(graph)
    return graph


def _again(graph: fx.Graph, node: fx.Node, source: fx.Node) -> fx.Node:
    """The same call with a batch for its picture."""
    made = add_node(graph, node.target, source, *node.args[1:], **node.kwargs)  # type: ignore[arg-type]
    keep_line(node, made)
    return made


def _batch(graph: fx.Graph, source: fx.Node, batches: dict[fx.Node, fx.Node]) -> fx.Node:
    if source in batches:
        return batches[source]
    constant = constant_value(source, graph)
    if constant is None:
        return add_node(graph, torch.unsqueeze, source, 0)
    made = add_constant(graph, constant[None])
    keep_line(source, made)
    return made


def _weighted(graph: fx.Graph, node: fx.Node, batches: dict[fx.Node, fx.Node]) -> fx.Node | None:
    """A product of a batch and constants of the same shape."""
    for factor, picture in commuted(node):
        constant = constant_value(factor, graph)
        if picture in batches and constant is not None and constant.dim() == 3:
            made = add_node(graph, operator.mul, _batch(graph, factor, batches), batches[picture])
            keep_line(node, made)
            return made
    return None
