"""Dropout as sheets write it: a mask of random cells over a trained value."""

from __future__ import annotations

import math
from typing import Any

from torch import fx

from xl2torch.cells.address import CellRange
from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.nodes import copied, dependents, nearest_line, node_name, parameter_nodes
from xl2torch.ir.ops import Group, in_group
from xl2torch.ir.trace import DRAWING

_SAME = 1e-9


def without_dropout(module: fx.GraphModule) -> tuple[fx.GraphModule, tuple[CellRange, ...]]:
    """A copy of a program in which dropout is the identity, as torch's is in evaluation.

    With the cells that were recognised: ``x·mask`` whose mask is 0 or one other number, or
    ``IF(mask, x, 0)``; where the sheet divides what it keeps by the share that is kept, that goes
    too.
    """
    copy, copies = copied(module)
    drawn = dependents(module.graph, [n for n in module.graph.nodes if n.target == DRAWING])
    trained = dependents(module.graph, parameter_nodes(module))
    found: dict[CellRange, None] = {}
    for node in module.graph.nodes:
        kept = _kept(node, drawn - trained, trained)
        if kept is None:
            continue
        copies[node].replace_all_uses_with(copies[kept])
        copies[node] = copies[kept]
        scaled = _rescaled(node)
        if scaled is not None:
            copies[scaled].replace_all_uses_with(copies[_factor(scaled)[1]])
        line = nearest_line(node)
        if line is not None:
            cells = facts(line).cells
            assert cells is not None
            found[cells] = None
    copy.graph.eliminate_dead_code()
    copy.recompile()
    return copy, tuple(found)


def _kept(node: fx.Node, masks: set[fx.Node], trained: set[fx.Node]) -> fx.Node | None:
    """What a node keeps some of; None where it is no dropout."""
    if node_name(node) == "mul":
        for inner, mask in (node.args, tuple(reversed(node.args))):
            if mask in masks and inner in trained and _is_mask(mask):
                assert isinstance(inner, fx.Node)
                return inner
    outer, chosen = _factor(node)
    masked = _chosen(chosen, masks, trained)
    if masked is None:
        return None
    scales = _scales(chosen.args[0])
    if outer != 1.0:
        return masked if _is_among(outer, scales) else None
    inner_factor, value = _factor(masked)
    return value if _is_among(inner_factor, scales) else masked


def _rescaled(node: fx.Node) -> fx.Node | None:
    """The product after a mask of 0 and 1 that divides by the share that is kept."""
    if node_name(node) != "mul":
        return None
    mask = next((item for item in node.args if _random(item)), None)
    if mask is None or not set(value_of(mask).reshape(-1).tolist()) <= {0.0, 1.0}:
        return None
    scales = _scales(mask)
    place = node
    while len(place.users) == 1:
        (place,) = place.users
        if node_name(place) not in ("mul", "truediv"):
            return None
        if _is_among(_factor(place)[0], scales):
            return place
    return None


def _random(item: object) -> bool:
    """Whether random numbers that are compared with something lead to a node."""
    return isinstance(item, fx.Node) and bool(_scales(item))


def _is_mask(node: object) -> bool:
    """Whether it is 0 or one other number, as a comparison of random numbers has it."""
    if not _random(node):
        return False
    return len({value for value in value_of(node).reshape(-1).tolist() if value}) <= 1


def _chosen(node: fx.Node, masks: set[fx.Node], trained: set[fx.Node]) -> fx.Node | None:
    """x of IF(mask, x, 0) or IF(mask, 0, x)."""
    if node_name(node) != "where" or node.args[0] not in masks:
        return None
    for value, other in (node.args[1:], tuple(reversed(node.args[1:]))):
        if isinstance(value, fx.Node) and value in trained and _is_zero(other):
            return value
    return None


def _is_zero(item: Any) -> bool:
    if isinstance(item, fx.Node):
        return item.op == "get_attr" and not bool(value_of(item).any())
    return bool(item == 0.0)


def _factor(node: fx.Node) -> tuple[float, fx.Node]:
    """A node as a number times another; 1 times itself where it is no such product."""
    if node_name(node) in ("mul", "truediv"):
        first, second = node.args
        if isinstance(first, fx.Node) and isinstance(second, float) and second:
            return (second if node_name(node) == "mul" else 1 / second), first
        if isinstance(second, fx.Node) and isinstance(first, float) and node_name(node) == "mul":
            return first, second
    return 1.0, node


def _scales(condition: object) -> list[float]:
    """One over the share that may be kept, from the numbers that random ones are compared with."""
    found: list[float] = []
    stack = [condition]
    while stack:
        node = stack.pop()
        if not isinstance(node, fx.Node):
            continue
        if in_group(node, Group.COMPARISON):
            for item in node.args:
                if isinstance(item, float) and 0 < item < 1:
                    found += [1 / item, 1 / (1 - item)]
        stack += node.all_input_nodes
    return found


def _is_among(number: float, scales: list[float]) -> bool:
    return any(math.isclose(number, scale, rel_tol=_SAME) for scale in scales)
