"""A product with a weight matrix, and a bias, become a linear layer."""

from __future__ import annotations

import operator

import torch
from torch import fx
from torch.nn.functional import linear

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import add_node, commuted, drop_unused, is_call, replace


def recognise_linear(graph: fx.Graph) -> fx.Graph:
    """X @ W.T + b becomes linear(X, W, b), X @ W + b becomes addmm(b, X, W)."""
    for node in list(graph.nodes):
        if is_call(node, torch.matmul) and _is_matrices(node):
            layer = _with_bias(node)
            source, weight = node.args
            with graph.inserting_before(layer[0] if layer else node):
                if is_call(weight, torch.t):
                    inputs = (source, weight.args[0], *(layer[1:] if layer else ()))
                    found = add_node(graph, linear, *inputs)
                elif layer:
                    found = add_node(graph, torch.addmm, layer[1], source, weight)
                else:
                    continue
            replace(layer[0] if layer else node, found)
    drop_unused(graph)
    return graph


def _is_matrices(product: fx.Node) -> bool:
    return all(isinstance(item, fx.Node) and value_of(item).dim() == 2 for item in product.args)


def _with_bias(product: fx.Node) -> tuple[fx.Node, fx.Node] | None:
    """The sum of a product, used nowhere else, and one number per column; and these numbers."""
    if len(product.users) != 1:
        return None
    (user,) = product.users
    if not is_call(user, operator.add):
        return None
    for first, bias in commuted(user):
        if first is not product or not isinstance(bias, fx.Node) or is_call(bias, operator.add):
            continue
        if value_of(bias).shape == value_of(product).shape[1:]:
            return user, bias
    return None
