"""Logarithms of a quotient of exponentials: slopes that do not underflow."""

from __future__ import annotations

import operator

import torch
from torch import fx

from xl2torch.excel.mathematical import log_of_quotient
from xl2torch.ir.rewriting import add_node, drop_unused, is_call, replace, strip_guards

_DEEP = 8
"""Nodes between an exponential and the quotient."""


def log_quotients(graph: fx.Graph) -> fx.Graph:
    """log(a/b) keeps its value and takes the slopes of log(a) - log(b)."""
    for node in list(graph.nodes):
        if not is_call(node, torch.log):
            continue
        quotient = strip_guards(node.args[0])
        if is_call(quotient, operator.truediv) and _has_exponential(quotient.args[1]):
            with graph.inserting_before(node):
                operands = (node.args[0], *quotient.args)
                replace(node, add_node(graph, log_of_quotient, *operands))
    drop_unused(graph)
    return graph


def _has_exponential(item: object) -> bool:
    """Whether a number comes from an exponential of something that is trained."""
    nearest = [item]
    for _ in range(_DEEP):
        nodes = [other for other in nearest if isinstance(other, fx.Node)]
        if any(is_call(other, torch.exp) for other in nodes):
            return True
        nearest = [source for other in nodes for source in other.all_input_nodes]
    return False
