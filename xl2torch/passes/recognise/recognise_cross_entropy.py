"""Cross-entropy, from logistic units with two classes or from a softmax with several."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, logsigmoid

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
    negated,
    replace,
)
from xl2torch.ir.trace import take

Term = tuple[torch.Tensor, fx.Node]
_DEEP = 20
"""Operators within each other in a cross-entropy, however it is spelled."""


def recognise_cross_entropy(graph: fx.Graph) -> fx.Graph:
    """-(y·logsigmoid(x) + (1 - y)·logsigmoid(-x)) and -sum(y·log_softmax(x)) by their names."""
    for node in reversed(list(graph.nodes)):  # the whole of an expression before its parts
        if not node.users:
            continue
        with graph.inserting_before(node):
            found = _binary(node, graph) or _several(node, graph)
        if found is not None:
            replace(node, found)
    drop_unused(graph)
    return graph


def _terms(item: Any, graph: fx.Graph, deep: int = _DEEP) -> list[Term] | None:
    """A sum of nodes with constant coefficients; None where it is something else, or a long one."""
    if not isinstance(item, fx.Node) or item.op != "call_function" or not deep:
        return None
    if is_call(item, operator.neg):
        inner = _terms(item.args[0], graph, deep - 1)
        return None if inner is None else [(-weight, node) for weight, node in inner]
    if is_call(item, operator.add, operator.sub):
        first, second = (_terms(part, graph, deep - 1) for part in item.args)
        if first is None or second is None:
            return None
        sign = -1 if item.target is operator.sub else 1
        return [*first, *((sign * weight, node) for weight, node in second)]
    if is_call(item, operator.mul):
        for factor, other in (item.args, tuple(reversed(item.args))):
            value = constant_value(factor, graph)
            if isinstance(factor, int | float):
                value = torch.tensor(float(factor), dtype=torch.float64)
            inner = None if value is None else _terms(other, graph, deep - 1)
            if value is not None and inner is not None:
                return [(weight * value, node) for weight, node in inner]
        return None
    # IF(label, log p, log q) with constant labels is label·log p + (1 − label)·log q.
    if is_call(item, torch.where):
        mask = constant_value(item.args[0], graph)
        branches = [_terms(part, graph, deep - 1) for part in item.args[1:]]
        if mask is None or branches[0] is None or branches[1] is None:
            return None
        chosen = mask.to(torch.float64)
        return [
            *((weight * chosen, node) for weight, node in branches[0]),
            *((weight * (1 - chosen), node) for weight, node in branches[1]),
        ]
    return [(torch.ones((), dtype=torch.float64), item)]


def _binary(node: fx.Node, graph: fx.Graph) -> fx.Node | None:
    """Cross-entropy of each row, with the probability sigmoid(x) and the constants y."""
    if not is_call(node, operator.neg, operator.add, operator.sub, torch.where):
        return None
    terms = _terms(node, graph)
    if terms is None or not all(is_call(inner, logsigmoid) for _, inner in terms):
        return None
    sources = [inner.args[0] for _, inner in terms]
    source = next((item for item in sources if not is_call(item, operator.neg)), sources[0])
    positive = negative = torch.zeros((), dtype=torch.float64)
    for weight, inner in terms:
        if inner.args[0] is source:
            positive = positive + weight
        elif _is_opposite(inner.args[0], source):
            negative = negative + weight
        else:
            return None
    total = positive + negative
    sign = -1.0 if bool((total == -1).all()) else 1.0
    target = sign * positive + 0.0  # no negative zeros: it is the sheet's own column again
    if not bool((sign * total == 1).all()) or bool(((target < 0) | (target > 1)).any()):
        return None
    assert isinstance(source, fx.Node)
    if value_of(source).shape != value_of(node).shape:
        return None
    observed = add_constant(graph, target.expand(value_of(node).shape).contiguous())
    result = add_node(graph, binary_cross_entropy_with_logits, source, observed, reduction="none")
    return result if sign < 0 else add_node(graph, operator.neg, result)


def _is_opposite(item: Any, source: Any) -> bool:
    if is_call(item, operator.neg):
        return bool(item.args[0] is source)
    if is_call(item, operator.sub) and is_call(source, operator.sub):
        return bool(item.args == tuple(reversed(source.args)))
    return bool(is_call(source, operator.neg) and source.args[0] is item)


def _several(node: fx.Node, graph: fx.Graph) -> fx.Node | None:
    """Cross-entropy of each row, with the probabilities softmax(x)."""
    if is_call(node, torch.sum):
        return _weighted(node, graph)
    picked = _picked_class(node, graph)
    if picked is None:
        return None
    logits, classes = picked
    target = add_constant(graph, classes)
    return negated(graph, add_node(graph, cross_entropy, logits, target, reduction="none"))


def _weighted(node: fx.Node, graph: fx.Graph) -> fx.Node | None:
    """sum(y·log_softmax(x)) by rows or over all; rows of the constants y are ≥ 0 and sum to 1."""
    dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    if dim not in (None, 1, (1,), -1, (-1,), (0, 1)) or node.kwargs.get("keepdim"):
        return None
    reduction = "sum" if dim in (None, (0, 1)) else "none"
    terms = _terms(node.args[0], graph)
    if terms is None or len(terms) != 1 or not is_call(terms[0][1], torch.log_softmax):
        return None
    weight, inner = terms[0]
    logits = inner.args[0]
    shape = value_of(inner).shape
    assert isinstance(logits, fx.Node)
    if len(shape) != 2 or inner.kwargs.get("dim") not in (1, -1) or weight.dim() == 0:
        return None
    sign = -1.0 if bool((weight <= 0).all()) else 1.0
    target = (sign * weight + 0.0).expand(shape)
    rows = target.sum(1)
    if bool((target < 0).any()) or not bool((rows - 1).abs().max() < 1e-12):
        return None
    if bool(((target == 0) | (target == 1)).all()):
        target = target.argmax(1)
    observed = add_constant(graph, target.contiguous())
    result = add_node(graph, cross_entropy, logits, observed, reduction=reduction)
    return result if sign < 0 else negated(graph, result)


def _picked_class(node: Any, graph: fx.Graph) -> tuple[fx.Node, torch.Tensor] | None:
    """(x, classes) of log_softmax(x) at one constant class per row."""
    if is_call(node, take) and len(node.args) == 3:
        inner, rows, classes = node.args[0], *(constant_value(i, graph) for i in node.args[1:])
    elif is_call(node, torch.squeeze) and is_call(node.args[0], torch.take_along_dim):
        inner, index = node.args[0].args[:2]
        classes = constant_value(index, graph)
        rows = None if classes is None else torch.arange(len(classes))
        classes = None if classes is None or classes.dim() != 2 else classes[:, 0]
    else:
        return None
    if not is_call(inner, torch.log_softmax) or rows is None or classes is None:
        return None
    logits = inner.args[0]
    shape = value_of(inner).shape
    if len(shape) != 2 or inner.kwargs.get("dim") not in (1, -1) or classes.dim() != 1:
        return None
    if not torch.equal(rows.reshape(-1), torch.arange(shape[0])):
        return None
    return logits, classes.to(torch.int64)
