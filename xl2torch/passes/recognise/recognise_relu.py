"""``IF(x<0,0,x)`` and its other spellings become ReLU.

Their slopes at exactly 0 differ when taken literally (1, 0 or ½): like torch we choose 0.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from xl2torch.ir.rewriting import (
    add_node,
    commuted,
    drop_unused,
    is_call,
    is_number,
    replace,
)

_ZERO_BRANCH_FIRST = (operator.lt, operator.le)
_ZERO_BRANCH_LAST = (operator.gt, operator.ge)


def recognise_relu(graph: fx.Graph) -> fx.Graph:
    """where(x < 0, 0, x), x * (x > 0) and (x + |x|) / 2 become relu(x)."""
    for node in list(graph.nodes):
        source = _chosen(node) or _masked(node) or _halved(node)
        if source is not None:
            with graph.inserting_before(node):
                relu = add_node(graph, torch.relu, source)
            replace(node, relu)
    drop_unused(graph)
    return graph


def _chosen(node: fx.Node) -> Any:
    """x of where(x < 0, 0, x)."""
    if not is_call(node, torch.where):
        return None
    test: Any = node.args[0]
    first, second = node.args[1:]
    if not is_call(test, *_ZERO_BRANCH_FIRST, *_ZERO_BRANCH_LAST) or test.args[1] != 0:
        return None
    zero, source = (first, second) if test.target in _ZERO_BRANCH_FIRST else (second, first)
    return source if is_number(zero, 0.0) and test.args[0] is source else None


def _masked(node: fx.Node) -> Any:
    """x of x * (x > 0)."""
    if not is_call(node, operator.mul):
        return None
    for source, mask in commuted(node):
        if is_call(mask, torch.Tensor.to):
            test = mask.args[0]
            above = is_call(test, *_ZERO_BRANCH_LAST) and is_number(test.args[1], 0.0)
            if above and test.args[0] is source and isinstance(source, fx.Node):
                return source
    return None


def _halved(node: fx.Node) -> Any:
    """x of (x + |x|) / 2."""
    if is_call(node, operator.truediv):
        total, number = node.args
        half = is_number(number, 2.0)
    elif is_call(node, operator.mul):
        factors = [pair for pair in commuted(node) if is_number(pair[0], 0.5)]
        half, total = bool(factors), factors[0][1] if factors else None
    else:
        return None
    if half and is_call(total, operator.add):
        for source, size in commuted(total):  # type: ignore[arg-type]
            if is_call(size, torch.abs) and size.args[0] is source:
                return source
    return None
