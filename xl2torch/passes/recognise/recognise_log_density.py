"""Logarithms of densities and distribution functions, each in one numerically stable function."""

from __future__ import annotations

import operator

import torch
from torch import fx
from torch.nn.functional import logsigmoid

from xl2torch.excel.distributions import LOG_DENSITIES
from xl2torch.ir.rewriting import add_node, is_call, is_number, negated, replace, strip_guards
from xl2torch.passes.clean.redundant_checks import drop_redundant_checks, guards_of

_SYMMETRIC = {torch.sigmoid: logsigmoid, torch.special.ndtr: torch.special.log_ndtr}


def recognise_log_density(graph: fx.Graph) -> fx.Graph:
    """log(sigmoid(x)) becomes logsigmoid(x), log(1 - sigmoid(x)) becomes logsigmoid(-x).

    So does the normal distribution function, which is as symmetric; the logarithm of a density
    becomes the log density.
    """
    guards: set[fx.Node] = set()
    for node in list(graph.nodes):
        if not is_call(node, torch.log):
            continue
        result = _logarithm(graph, node)
        if result is not None:
            guards |= guards_of(node, 4)
            replace(node, result)
    drop_redundant_checks(graph, guards)
    return graph


def _logarithm(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """The stable function that a logarithm is; None for all others."""
    inner = strip_guards(node.args[0])
    other = is_call(inner, operator.sub) and is_number(inner.args[0], 1.0)
    share = strip_guards(inner.args[1]) if other else inner
    if not isinstance(share, fx.Node) or share.op != "call_function":
        return None
    with graph.inserting_before(node):
        if share.target in _SYMMETRIC:
            source = share.args[0]
            assert isinstance(source, fx.Node)
            found = negated(graph, source) if other else source
            return add_node(graph, _SYMMETRIC[share.target], found)
        logarithm = None if other else LOG_DENSITIES.get(share.target)  # type: ignore[arg-type]
        return None if logarithm is None else add_node(graph, logarithm, *share.args)
