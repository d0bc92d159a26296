"""``1/(1+EXP(-x))`` and its other spellings become the logistic function.

``EXP`` is #NUM! beyond 709; the function itself has a value there, and so has the program.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from xl2torch.ir.rewriting import (
    add_node,
    commuted,
    is_call,
    is_number,
    negated,
    replace,
    strip_guards,
)
from xl2torch.passes.clean.redundant_checks import drop_redundant_checks, guards_of


def recognise_sigmoid(graph: fx.Graph) -> fx.Graph:
    """1 / (1 + exp(-x)) and exp(x) / (1 + exp(x)) become sigmoid(x)."""
    guards: set[fx.Node] = set()
    for node in list(graph.nodes):
        found = _logistic(node)
        if found is None:
            continue
        power, inverted = found
        with graph.inserting_before(node):
            source = negated(graph, power) if inverted else power
            sigmoid = add_node(graph, torch.sigmoid, source)
        guards |= guards_of(node)
        replace(node, sigmoid)
    drop_redundant_checks(graph, guards)
    return graph


def _logistic(node: fx.Node) -> tuple[fx.Node, bool] | None:
    """(y, inverted): y is the operand of exp; inverted where the node is sigmoid(-y)."""
    numerator: Any = 1.0
    if is_call(node, operator.pow) and is_number(node.args[1], -1.0):
        denominator = strip_guards(node.args[0])
    elif is_call(node, operator.truediv):
        numerator, denominator = strip_guards(node.args[0]), strip_guards(node.args[1])
    else:
        return None
    exponential = _beside_one(denominator)
    if exponential is None:
        return None
    if is_number(numerator, 1.0):
        return strip_guards(exponential.args[0]), True
    return (strip_guards(exponential.args[0]), False) if numerator is exponential else None


def _beside_one(node: Any) -> fx.Node | None:
    """exp(y) of 1 + exp(y)."""
    if is_call(node, operator.add):
        for one, other in commuted(node):
            if is_number(one, 1.0) and is_call(strip_guards(other), torch.exp):
                found: fx.Node = strip_guards(other)
                return found
    return None
