"""Reading a finished graph: what a node is called, what it was, what depends on what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import fx
from torch.nn.functional import pad

from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.ops import Group, find_operator, operator_of


def node_name(node: object) -> str:
    """Name of the function or method that a node calls; '' for anything else."""
    if not isinstance(node, fx.Node) or node.op not in ("call_function", "call_method"):
        return ""
    return node.target if isinstance(node.target, str) else node.target.__name__


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


_Item = TypeVar("_Item", bound=Hashable)


def operands_first(last: _Item, operands: Callable[[_Item], Iterable[_Item]]) -> Iterator[_Item]:
    """An item after all that it is computed from, each once; without recursion, however deep."""
    stack, seen = [(last, iter(operands(last)))], {last}
    while stack:
        item, rest = stack[-1]
        fresh = next((part for part in rest if part not in seen), None)
        if fresh is None:
            stack.pop()
            yield item
        else:
            seen.add(fresh)
            stack.append((fresh, iter(operands(fresh))))


def known_elements(
    item: Any, constant: Callable[[Any], torch.Tensor | None]
) -> torch.Tensor | None:
    """What is known of a node's elements whatever the parameters: NaN where nothing is.

    ``constant`` gives the value of a node that no parameter reaches. Where all elements are the
    same the result may be smaller than the node: it broadcasts.
    """
    known: dict[fx.Node, torch.Tensor] = {}

    def elements(item: Any) -> torch.Tensor | None:
        if isinstance(item, int | float):
            return torch.tensor(float(item), dtype=torch.float64)
        return known.get(item) if isinstance(item, fx.Node) else None

    def computed(item: fx.Node) -> torch.Tensor:
        value = constant(item)
        if value is not None:
            return value.to(torch.float64)
        parts: list[Any] = [elements(part) for part in _known_by(item)]
        if parts and all(part is not None for part in parts):
            arguments: Any = item.args
            if item.target is torch.masked_fill or item.target is torch.where:
                mask = constant(arguments[1 if item.target is torch.masked_fill else 0])
                if mask is not None:
                    return torch.where(mask, parts[0], parts[1])
            elif item.target is torch.stack:
                pieces = map(_spread, parts, arguments[0])
                stacked: torch.Tensor = torch.stack(list(pieces), **item.kwargs)
                return stacked
            elif item.target is torch.cat:
                pieces = map(_spread, parts, arguments[0])
                joined: torch.Tensor = torch.cat(list(pieces), **item.kwargs)
                return joined
            elif item.target is torch.Tensor.to:
                whole: torch.Tensor = parts[0]
                return whole
            elif (decided := operator_of(item).absorbing) is not None:
                either = torch.maximum if decided else torch.minimum
                # NaN is what may be either: it stays where the other operand does not decide.
                first, second = (_spread(part, item) for part in parts)
                known_so = (first == decided) | (second == decided)
                return torch.where(known_so, decided, either(first, second))
            elif item.target is pad:
                padded: torch.Tensor = pad(_spread(parts[0], arguments[0]), arguments[1])
                return padded
            else:
                result: torch.Tensor = item.target(*parts)  # type: ignore[operator]
                return result
        return torch.full_like(value_of(item), torch.nan, dtype=torch.float64)

    def operands(item: fx.Node) -> Iterator[fx.Node]:
        if constant(item) is not None:
            return iter(())
        return (part for part in _known_by(item) if isinstance(part, fx.Node))

    if isinstance(item, fx.Node):
        for node in operands_first(item, operands):
            known[node] = computed(node)
    return elements(item)


def _spread(known: torch.Tensor, item: fx.Node) -> torch.Tensor:
    return known.expand(value_of(item).shape)


def _known_by(item: fx.Node) -> list[Any]:
    """The operands from which the elements of a node can be known; none for other functions."""
    arguments: Any = item.args
    if item.op != "call_function":
        return []
    if item.target is torch.masked_fill:
        return [arguments[2], arguments[0]]
    if item.target is torch.where:
        return list(arguments[1:])
    if item.target in (torch.stack, torch.cat):
        return list(arguments[0])
    if item.target is torch.Tensor.to:
        return [arguments[0]]
    if item.target is pad and len(arguments) == 2 and not item.kwargs:
        return [arguments[0]]
    row = find_operator(item)
    if row is None:
        return []
    total = row.group is Group.ARITHMETIC and row.name != "truediv"  # what is divided by 0 is none
    return list(arguments) if total or row.absorbing is not None else []


def nearest_line(node: fx.Node) -> fx.Node | None:
    """The node itself where it is a line of the sheet, else the nearest one that uses it."""
    seen = [node]
    for item in seen:
        if item.op != "get_attr" and facts(item).cells is not None:
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
