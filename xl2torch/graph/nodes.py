"""Reading a finished graph: what a node is called, what it was, what depends on what."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import fx
from torch.nn.functional import pad


def node_name(node: object) -> str:
    """Name of the function or method that a node calls; '' for anything else."""
    if not isinstance(node, fx.Node) or node.op not in ("call_function", "call_method"):
        return ""
    return node.target if isinstance(node.target, str) else node.target.__name__


def node_value(node: object) -> torch.Tensor:
    """What a node was when the model was compiled: its shape, and its value where constant."""
    assert isinstance(node, fx.Node)
    value = node.meta["value"]
    assert isinstance(value, torch.Tensor)
    return value


def dependents(graph: fx.Graph, sources: Collection[fx.Node]) -> set[fx.Node]:
    """Some nodes, and all that depend on them."""
    found = set(sources)
    for node in graph.nodes:
        if any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def parameter_nodes(module: fx.GraphModule) -> list[fx.Node]:
    """Nodes that read a parameter of the module."""
    names = {name for name, _ in module.named_parameters()}
    return [n for n in module.graph.nodes if n.op == "get_attr" and n.target in names]


_ELEMENTWISE = (operator.add, operator.sub, operator.mul, operator.pow, operator.neg)


def known_elements(
    item: Any, constant: Callable[[Any], torch.Tensor | None]
) -> torch.Tensor | None:
    """What is known of a node's elements whatever the parameters: NaN where nothing is.

    ``constant`` gives the value of a node that no parameter reaches.
    """
    known: dict[fx.Node, torch.Tensor | None] = {}

    def elements(item: Any) -> torch.Tensor | None:
        if isinstance(item, int | float):
            return torch.tensor(float(item), dtype=torch.float64)
        if not isinstance(item, fx.Node):
            return None
        if item not in known:
            known[item] = computed(item)
        return known[item]

    def computed(item: fx.Node) -> torch.Tensor | None:
        value = constant(item)
        if value is not None:
            return value.to(torch.float64)
        arguments: Any = item.args
        unknown = torch.full_like(node_value(item), torch.nan, dtype=torch.float64)
        if item.op != "call_function":
            return unknown
        if item.target in (torch.masked_fill, torch.where):
            mask_at = 1 if item.target is torch.masked_fill else 0
            mask = constant(arguments[mask_at])
            if mask is None:
                return unknown
            order = (2, 0) if item.target is torch.masked_fill else (1, 2)
            first, second = (elements(arguments[place]) for place in order)
            if first is None or second is None:
                return unknown
            return torch.where(mask, first, second)
        if item.target is pad and len(arguments) == 2:
            inner = elements(arguments[0])
            return unknown if inner is None else pad(inner, arguments[1])
        if item.target is torch.stack:
            pieces = [elements(part) for part in arguments[0]]
            if all(piece is not None for piece in pieces):
                stacked: torch.Tensor = torch.stack(pieces, **item.kwargs)
                return stacked
        if item.target in _ELEMENTWISE:
            operands = [elements(part) for part in arguments]
            if all(operand is not None for operand in operands):
                result: torch.Tensor = item.target(*operands)
                return result
        return unknown

    return elements(item)


def nearest_line(node: fx.Node) -> fx.Node | None:
    """The node itself where it is a line of the sheet, else the nearest one that uses it."""
    seen = [node]
    for item in seen:
        if item.op != "get_attr" and item.meta.get("cells") is not None:
            return item
        seen += [user for user in item.users if user not in seen]
    return None


def copied(module: fx.GraphModule) -> tuple[fx.GraphModule, dict[fx.Node, fx.Node]]:
    """A copy of a module's graph in a module of its own, and the copy of each node."""
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.output(graph.graph_copy(module.graph, copies))
    return with_graph(module, graph), copies


def with_graph(module: fx.GraphModule, graph: fx.Graph) -> fx.GraphModule:
    """A module of another graph, with the data and all parameters of a module."""
    copy = fx.GraphModule(module, graph)
    for name, parameter in module.named_parameters():
        copy.register_parameter(name, parameter)  # GraphModule has only what the graph reads
    return copy
