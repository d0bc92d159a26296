"""The root of a sum or a mean of squares becomes a norm.

Both have the slope 0 where all squares are 0: what guards the root at 0 is not needed.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import fx
from torch.linalg import vector_norm
from torch.nn.functional import mse_loss

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import add_node, is_call, is_number, replace, strip_guards
from xl2torch.passes.clean.redundant_checks import drop_redundant_checks, guards_of


def recognise_norm(graph: fx.Graph) -> fx.Graph:
    """sqrt(mse_loss(a, b)) becomes vector_norm(a - b) / sqrt(n)."""
    guards: set[fx.Node] = set()
    for node in list(graph.nodes):
        root = is_call(node, torch.sqrt) or (
            is_call(node, operator.pow) and is_number(node.args[1], 0.5)
        )
        if not root:
            continue
        total, divisor = strip_guards(node.args[0]), 1.0
        while is_call(total, operator.truediv) and isinstance(total.args[1], int | float):
            divisor *= total.args[1]
            total = total.args[0]
        if divisor <= 0:
            continue
        with graph.inserting_before(node):
            if is_call(total, mse_loss):
                if total.kwargs.get("reduction", "mean") == "mean":
                    divisor *= value_of(total.args[0]).numel()
                difference = add_node(graph, operator.sub, *total.args)
            elif is_call(total, torch.sum) and not total.kwargs:
                root_of = _squared(graph, total.args[0])
                if root_of is None:
                    continue
                difference = root_of
            else:
                continue
            norm = add_node(graph, vector_norm, difference)
            if divisor != 1:
                norm = add_node(graph, operator.truediv, norm, math.sqrt(divisor))
        guards |= guards_of(node, 2)
        replace(node, norm)
    drop_redundant_checks(graph, guards)
    return graph


def _squared(graph: fx.Graph, item: Any) -> fx.Node | None:
    """What is squared; a mask that leaves out squares leaves out what is squared."""
    if is_call(item, torch.masked_fill) and is_number(item.args[2], 0.0):
        inner = _squared(graph, item.args[0])
        return None if inner is None else add_node(graph, item.target, inner, *item.args[1:])
    if is_call(item, operator.pow) and is_number(item.args[1], 2.0):
        found: fx.Node = item.args[0]
        return found
    return None
