"""Logarithms of the logistic and the normal distribution function, in one stable function each."""

from __future__ import annotations

import operator

import torch
from torch import fx
from torch.nn.functional import logsigmoid

from xl2torch.graph.passes.rewriting import add_node, behind, is_call, is_number, negated, replace
from xl2torch.graph.passes.settling import guards_of, settle

_LOGARITHMS = {torch.sigmoid: logsigmoid, torch.special.ndtr: torch.special.log_ndtr}


def recognise_log_sigmoid(graph: fx.Graph) -> fx.Graph:
    """log(sigmoid(x)) becomes logsigmoid(x), log(1 - sigmoid(x)) becomes logsigmoid(-x).

    So does the logarithm of the normal distribution function, which is as symmetric.
    """
    guards: set[fx.Node] = set()
    for node in list(graph.nodes):
        if not is_call(node, torch.log):
            continue
        inner = behind(node.args[0])
        other = is_call(inner, operator.sub) and is_number(inner.args[0], 1.0)
        share = behind(inner.args[1]) if other else inner
        logarithm = next((log for f, log in _LOGARITHMS.items() if is_call(share, f)), None)
        if logarithm is None:
            continue
        with graph.inserting_before(node):
            source = share.args[0]
            result = add_node(graph, logarithm, negated(graph, source) if other else source)
        guards |= guards_of(node, 4)
        replace(node, result)
    settle(graph, guards)
    return graph
