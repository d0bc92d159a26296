"""``EXP(x)/SUM(EXP(x))`` becomes softmax; subtracting the row's maximum first changes nothing.

``EXP`` is #NUM! beyond 709; the function itself has a value there, and so has the program.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import add_node, is_call, replace, strip_guards
from xl2torch.passes.clean.redundant_checks import drop_redundant_checks, guards_of


def recognise_softmax(graph: fx.Graph) -> fx.Graph:
    """exp(x) / sum(exp(x)) becomes softmax(x)."""
    guards: set[fx.Node] = set()
    for node in list(graph.nodes):
        if not is_call(node, operator.truediv):
            continue
        exponential = strip_guards(node.args[0])
        if not is_call(exponential, torch.exp):
            continue
        dim = summed_dim(strip_guards(node.args[1]), exponential)
        if dim is None:
            continue
        with graph.inserting_before(node):
            source = without_shift(strip_guards(exponential.args[0]), dim)
            result = add_node(graph, torch.softmax, source, dim=dim)
        guards |= guards_of(node)
        replace(node, result)
    drop_redundant_checks(graph, guards)
    return graph


def summed_dim(total: Any, terms: fx.Node) -> int | None:
    """The dim over which a node is the sum of some terms, and broadcasts against them."""
    dims = value_of(terms).dim()
    unsqueezed = None
    if is_call(total, torch.unsqueeze):
        unsqueezed = total.args[1] % dims if dims else None
        total = strip_guards(total.args[0])
    if not is_call(total, torch.sum) or strip_guards(total.args[0]) is not terms:
        return None
    if set(total.kwargs) - {"dim"}:
        return None
    dim = total.kwargs.get("dim", 0 if dims == 1 else None)
    if isinstance(dim, tuple) and len(dim) == 1:
        dim = dim[0]
    if not isinstance(dim, int):
        return None
    # Without an axis of length 1 in its place, a sum broadcasts along the first axis only.
    return dim if unsqueezed == dim or (unsqueezed is None and dim == 0) else None


def without_shift(item: Any, dim: int) -> Any:
    """x of x - c, where c is the same along a dim: softmax(x - c) is softmax(x)."""
    if not is_call(item, operator.sub) or not isinstance(item.args[0], fx.Node):
        return item
    first, second = item.args
    shape = value_of(item).shape
    if value_of(first).shape != shape:
        return item
    if not isinstance(second, fx.Node):
        return first
    padded = (1,) * (len(shape) - value_of(second).dim()) + tuple(value_of(second).shape)
    return first if padded[dim] == 1 else item
