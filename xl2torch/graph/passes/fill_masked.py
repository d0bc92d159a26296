"""A constant mask that puts a number in some places fills them; one that changes nothing goes."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from xl2torch.graph.passes.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_call,
    replace,
    value_of,
)

_ELEMENTWISE = (operator.add, operator.sub, operator.mul, operator.pow, operator.neg)


def fill_masked(graph: fx.Graph) -> fx.Graph:
    """where(mask, 0, x) becomes x.masked_fill(mask, 0), or x where that is 0 there already."""
    for node in list(graph.nodes):
        if not is_call(node, torch.where) or "final" in node.meta:
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
        known = _known(source, graph)
        places = filled.expand(shape)
        if known is not None and bool((known.expand(shape)[places] == number).all()):
            replace(node, source)
            continue
        with graph.inserting_before(node):
            wanted = add_constant(graph, filled)
            replace(node, add_node(graph, torch.masked_fill, source, wanted, number))
    drop_unused(graph)
    return graph


def _known(item: Any, graph: fx.Graph) -> torch.Tensor | None:
    """What is known of a node's elements whatever the parameters: NaN where nothing is."""
    if isinstance(item, int | float):
        return torch.tensor(float(item), dtype=torch.float64)
    constant = constant_value(item, graph)
    if constant is not None:
        return constant.to(torch.float64)
    if is_call(item, torch.masked_fill):
        source = _unknown(item.args[0])
        mask = constant_value(item.args[1], graph)
        return None if mask is None else source.masked_fill(mask, item.args[2])
    if is_call(item, torch.where):
        mask = constant_value(item.args[0], graph)
        first, second = (_known(part, graph) for part in item.args[1:])
        if mask is None or first is None or second is None:
            return None
        return torch.where(mask, first, second)
    if is_call(item, *_ELEMENTWISE):
        operands = [_known(part, graph) for part in item.args]
        if any(operand is None for operand in operands):
            return None
        result: torch.Tensor = item.target(*operands)
        return result
    return _unknown(item) if isinstance(item, fx.Node) else None


def _unknown(item: Any) -> torch.Tensor:
    return torch.full_like(value_of(item), torch.nan, dtype=torch.float64)
