"""Pictures side by side that are treated alike become the channels of one tensor."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx
from torch.nn.functional import conv2d, max_pool2d

from xl2torch.ir.facts import facts, note, value_of
from xl2torch.ir.rewriting import (
    add_constant,
    add_node,
    constant_value,
    drop_unused,
    is_activation,
    is_call,
    replace,
    same_items,
    summands,
)
from xl2torch.ir.share_equal_nodes import share_equal_nodes


def merge_channels(graph: fx.Graph) -> fx.Graph:
    """Convolutions of several inputs, or into several outputs, become one; so does what follows."""
    _merge_inputs(graph)
    share_equal_nodes(graph)
    _merge_outputs(graph)
    _lift_stacks(graph)
    _merge_dots(graph)
    drop_unused(graph)
    return graph


def _single_convolution(item: Any) -> fx.Node | None:
    """The convolution whose only channel a node is."""
    if is_call(item, torch.select) and item.args[1:] == (0, 0) and is_call(item.args[0], conv2d):
        convolution = item.args[0]
        return convolution if value_of(convolution).shape[0] == 1 else None
    return None


def _merge_inputs(graph: fx.Graph) -> None:
    """conv2d(x, j) + conv2d(y, k) becomes conv2d([x, y], [j, k])."""
    for node in reversed(list(graph.nodes)):
        terms = summands(node)
        found = [_single_convolution(term) for term in terms]
        convolutions = [item for item in found if item is not None]
        if len(terms) < 2 or len(convolutions) != len(terms):
            continue
        if not same_items([item.kwargs for item in convolutions]):
            continue
        pictures = [_picture(item.args[0], graph) for item in convolutions]
        kernels = [_kernel(item.args[1]) for item in convolutions]
        if None in pictures or None in kernels:
            continue
        if not same_items([value_of(item).shape for item in pictures]):
            continue
        if not same_items([value_of(item).shape for item in kernels]):
            continue
        with graph.inserting_before(node):
            source = _joined(graph, pictures)
            weight = add_node(graph, torch.stack, tuple(kernels))
            weight = add_node(graph, torch.unsqueeze, weight, 0)
            result = add_node(graph, conv2d, source, weight, **convolutions[0].kwargs)
            replace(node, add_node(graph, torch.select, result, 0, 0))


def _picture(item: Any, graph: fx.Graph) -> Any:
    """The matrix that a convolution takes as its only channel."""
    constant = constant_value(item, graph)
    if constant is not None:
        return add_constant(graph, constant[0]) if constant.shape[0] == 1 else None
    return item.args[0] if is_call(item, torch.unsqueeze) and item.args[1] == 0 else None


def _kernel(item: Any) -> Any:
    """The matrix that a convolution takes as its kernel."""
    return item.args[0] if is_call(item, torch.reshape) else None


def _merge_outputs(graph: fx.Graph) -> None:
    """conv2d(x, j) and conv2d(x, k) become the channels of conv2d(x, [j, k])."""
    groups: dict[Any, list[fx.Node]] = {}
    for node in graph.nodes:
        if is_call(node, conv2d) and value_of(node).shape[0] == 1:
            options = tuple(sorted(node.kwargs.items()))
            key = (node.args[0], value_of(node.args[1]).shape, options)
            groups.setdefault(key, []).append(node)
    for group in groups.values():
        if len(group) < 2 or not all(_selected(user) for node in group for user in node.users):
            continue
        last = group[-1]
        earlier = set(group[:-1])
        order = {node: place for place, node in enumerate(graph.nodes)}
        first_use = min(order[user] for node in earlier for user in node.users)
        if not _movable(last, order, first_use):
            continue
        anchor = min((user for node in earlier for user in node.users), key=order.__getitem__)
        with graph.inserting_before(anchor):
            weights = [_copied(graph, node.args[1], order, first_use) for node in group]
            weight = add_node(graph, torch.cat, tuple(weights))
            result = add_node(graph, conv2d, last.args[0], weight, **last.kwargs)
        for channel, node in enumerate(group):
            for user in list(node.users):
                with graph.inserting_before(user if order[user] > first_use else anchor):
                    replace(user, add_node(graph, torch.select, result, 0, channel))
    drop_unused(graph)


def _selected(user: fx.Node) -> bool:
    return is_call(user, torch.select) and user.args[1:] == (0, 0)


def _movable(node: fx.Node, order: dict[fx.Node, int], place: int) -> bool:
    """Whether a convolution's weight can be computed before a place."""
    source, weight = node.args[0], node.args[1]
    if not isinstance(source, fx.Node) or not isinstance(weight, fx.Node):
        return False
    early = source.op == "get_attr" or order[source] < place
    return early and _from_parameters(weight, order, place)


def _from_parameters(item: fx.Node, order: dict[fx.Node, int], place: int) -> bool:
    if item.op == "get_attr" or order.get(item, place) < place:
        return True
    shaping = (torch.reshape, torch.unsqueeze, torch.stack)
    return is_call(item, *shaping) and all(
        _from_parameters(inner, order, place) for inner in item.all_input_nodes
    )


def _copied(graph: fx.Graph, item: Any, order: dict[fx.Node, int], place: int) -> Any:
    """The node, or a copy of it before a place."""
    if item.op == "get_attr" or order.get(item, place) < place:
        return item
    known = {inner: _copied(graph, inner, order, place) for inner in item.all_input_nodes}
    copy = graph.node_copy(item, known.__getitem__)
    note(copy, value=facts(item).value)
    return copy


def _lift_stacks(graph: fx.Graph) -> None:
    """Channels taken apart and put together again stay together."""
    for node in list(graph.nodes):
        if is_call(node, torch.stack) and not node.kwargs:
            with graph.inserting_before(node):
                lifted = _lifted(graph, list(node.args[0]))
            if lifted is not None:
                replace(node, lifted)


def _merge_dots(graph: fx.Graph) -> None:
    """sum(c * x[0]) + sum(d * x[1]) becomes sum([c, d] * x)."""
    for node in reversed(list(graph.nodes)):
        terms = summands(node)
        if len(terms) < 2:
            continue
        dots = [_dot(term, graph) for term in terms]
        found = [dot for dot in dots if dot is not None]
        if len(found) != len(terms):
            continue
        if not same_items([value_of(values).shape for _, values in found]):
            continue
        with graph.inserting_before(node):
            joined = _lifted(graph, [values for _, values in found])
            if joined is None:
                continue
            weights = torch.stack([value_of(weight) for weight, _ in found])
            constant = add_constant(graph, weights)
            product = add_node(graph, operator.mul, constant, joined)
            replace(node, add_node(graph, torch.sum, product))


def _dot(term: Any, graph: fx.Graph) -> tuple[fx.Node, fx.Node] | None:
    """Constant weights and values of a sum of products."""
    if not is_call(term, torch.sum) or term.kwargs or not is_call(term.args[0], operator.mul):
        return None
    weight, values = term.args[0].args
    if constant_value(weight, graph) is None or not isinstance(values, fx.Node):
        return None
    return weight, values


def _joined(graph: fx.Graph, items: Sequence[fx.Node]) -> fx.Node:
    """Pictures as the channels of one tensor."""
    constants = [constant_value(item, graph) for item in items]
    known = [constant for constant in constants if constant is not None]
    if len(known) == len(items):
        return add_constant(graph, torch.stack(known))
    lifted = _lifted(graph, items)
    return add_node(graph, torch.stack, tuple(items)) if lifted is None else lifted


def _lifted(graph: fx.Graph, items: Sequence[Any]) -> fx.Node | None:
    """A tensor whose channels are the items, made before they were taken apart; else None."""
    if not all(isinstance(item, fx.Node) and item.op == "call_function" for item in items):
        return None
    if not same_items([item.target for item in items]):
        return None
    if items[0].target is torch.select:
        return _lifted_channels(graph, items)
    if all(is_activation(item) for item in items):
        inner = _lifted(graph, [item.args[0] for item in items])
        return None if inner is None else add_node(graph, items[0].target, inner)
    if items[0].target is torch.cat:
        return _lifted_edges(graph, items)
    return None


def _lifted_channels(graph: fx.Graph, items: Sequence[fx.Node]) -> fx.Node | None:
    """All channels of a tensor in order, or the only channels of equal max-pools."""
    sources: list[Any] = [item.args[0] for item in items]
    places: list[Any] = [item.args[1:] for item in items]
    if same_items(sources) and value_of(sources[0]).shape[0] == len(items):
        in_order = places == [(0, index) for index in range(len(items))]
        return sources[0] if in_order else None
    if not all(is_call(source, max_pool2d) for source in sources) or not same_items(places):
        return None
    pictures = [_picture(source.args[0], graph) for source in sources]
    options = [(source.args[1:], source.kwargs) for source in sources]
    inner = None if None in pictures or not same_items(options) else _lifted(graph, pictures)
    if inner is None:
        return None
    arguments, named = options[0]
    return add_node(graph, max_pool2d, inner, *arguments, **named)


def _lifted_edges(graph: fx.Graph, items: Sequence[fx.Node]) -> fx.Node | None:
    """Channels to each of which the same constant rows or columns are added."""
    pieces: list[Any] = [item.args[0] for item in items]
    dims: list[Any] = [item.kwargs.get("dim") for item in items]
    if any(len(piece) != 2 for piece in pieces) or not same_items(dims):
        return None
    added = [piece[1] for piece in pieces]
    constant = constant_value(added[0], graph)
    if constant is None or not same_items(added):
        return None
    inner = _lifted(graph, [piece[0] for piece in pieces])
    if inner is None:
        return None
    many = add_constant(graph, torch.stack([constant] * len(items)))
    return add_node(graph, torch.cat, (inner, many), dim=dims[0] + 1)
