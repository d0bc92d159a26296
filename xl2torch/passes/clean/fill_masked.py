"""A constant mask that puts a number in some places fills them; one that changes nothing goes."""

from __future__ import annotations

import torch
from torch import fx

from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.nodes import known_elements
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
    replace,
)


def fill_masked(graph: fx.Graph) -> fx.Graph:
    """where(mask, 0, x) becomes x.masked_fill(mask, 0), or x where that is 0 there already."""
    for node in list(graph.nodes):
        if not is_call(node, torch.where) or facts(node).is_final:
            continue
        mask = constant_value(node.args[0], graph)
        if mask is None:
            continue
        first, second = node.args[1:]
        if isinstance(first, int | float) and isinstance(second, fx.Node):
            source, number, filled = second, float(first), mask
        elif isinstance(second, int | float) and isinstance(first, fx.Node):
            source, number, filled = first, float(second), ~mask
        else:
            continue
        shape = value_of(node).shape
        if value_of(source).shape != shape or constant_value(source, graph) is not None:
            continue
        known = known_elements(source, lambda item: constant_value(item, graph))
        places = filled.expand(shape)
        if known is not None and bool((known.expand(shape)[places] == number).all()):
            replace(node, source)
            continue
        with graph.inserting_before(node):
            wanted = add_constant(graph, filled)
            replace(node, add_node(graph, torch.masked_fill, source, wanted, number))
    drop_unused(graph)
    return graph
