"""The logarithm of a softmax, or of some of its elements, in one numerically stable function."""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import value_of
from xl2torch.ir.ops import find_operator
from xl2torch.ir.rewriting import (
    add_node,
    constant_value,
    is_call,
    replace,
    strip_guards,
)
from xl2torch.passes.clean.redundant_checks import drop_redundant_checks, guards_of
from xl2torch.passes.recognise.recognise_softmax import without_shift

_LOGARITHMS = {torch.log: 1.0, torch.log10: math.log(10)}


def recognise_log_softmax(graph: fx.Graph) -> fx.Graph:
    """log(softmax(x)) and x - log(sum(exp(x))) become log_softmax(x)."""
    guards: set[fx.Node] = set()
    for node in list(graph.nodes):
        with graph.inserting_before(node):
            found = _logarithm(node, graph) or _difference(node, graph)
        if found is None:
            continue
        guards |= guards_of(node)
        replace(node, found)
    drop_redundant_checks(graph, guards)
    return graph


def _logarithm(node: fx.Node, graph: fx.Graph) -> fx.Node | None:
    """log_softmax(x) of log(softmax(x)), and of the logarithm of elements picked from it."""
    if not is_call(node, *_LOGARITHMS):
        return None
    picks: list[fx.Node] = []
    inner = strip_guards(node.args[0])
    while (chosen := _picked(inner, graph)) is not None:
        picks.append(inner)
        inner = strip_guards(chosen)
    if not is_call(inner, torch.softmax):
        return None
    result = add_node(graph, torch.log_softmax, inner.args[0], **inner.kwargs)
    for pick in reversed(picks):
        if pick.target is torch.sum:
            result = add_node(graph, operator.mul, _weights(pick.args[0], graph), result)
            result = add_node(graph, torch.sum, result, **pick.kwargs)
        else:
            result = add_node(graph, pick.target, result, *pick.args[1:], **pick.kwargs)  # type: ignore[arg-type]
    base = _LOGARITHMS[node.target]  # type: ignore[index]
    return result if base == 1 else add_node(graph, operator.truediv, result, base)


def _picked(node: Any, graph: fx.Graph) -> fx.Node | None:
    """The node from which another picks elements, by place or as a sum weighted 0 and one 1."""
    row = find_operator(node)
    if row is not None and row.moves and row.addends == (0,):
        found: fx.Node = node.args[0]
        return found
    if not is_call(node, torch.sum) or node.kwargs.get("dim") not in (1, (1,), -1):
        return None
    product = node.args[0]
    weights = _weights(product, graph)
    if weights is None:
        return None
    value = constant_value(weights, graph)
    assert value is not None
    one_hot = bool(((value == 0) | (value == 1)).all()) and bool((value.sum(-1) == 1).all())
    if not one_hot or value.dim() != 2:
        return None
    return next(item for item in product.args if item is not weights)  # type: ignore[no-any-return]


def _weights(product: Any, graph: fx.Graph) -> Any:
    """The constant factor of a product."""
    if not is_call(product, operator.mul):
        return None
    found = [item for item in product.args if constant_value(item, graph) is not None]
    return found[0] if found else None


def _difference(node: fx.Node, graph: fx.Graph) -> fx.Node | None:
    """log_softmax(x) of x - log(sum(exp(x)))."""
    if not is_call(node, operator.sub):
        return None
    source, logarithm = node.args
    unsqueezed = None
    if is_call(logarithm, torch.unsqueeze):
        unsqueezed = logarithm.args[1]  # type: ignore[union-attr]
        logarithm = logarithm.args[0]  # type: ignore[union-attr]
    if not is_call(logarithm, torch.log):
        return None
    total = strip_guards(logarithm.args[0])  # type: ignore[union-attr]
    if not is_call(total, torch.sum):
        return None
    exponential = strip_guards(total.args[0])
    if not is_call(exponential, torch.exp) or strip_guards(exponential.args[0]) is not source:
        return None
    dim = total.kwargs.get("dim", 0)
    dim = dim[0] if isinstance(dim, tuple) and len(dim) == 1 else dim
    if unsqueezed != dim and not (unsqueezed is None and dim == 0):
        return None
    if not total.kwargs and value_of(source).dim() != 1:
        return None
    return add_node(graph, torch.log_softmax, without_shift(source, dim), dim=dim)
