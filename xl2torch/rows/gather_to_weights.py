"""Sums over some of the rows as weighted sums over all: ``FILTER``, or a sum in several pieces."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx
from torch.nn.functional import pad

from xl2torch.ir.facts import note, value_of
from xl2torch.ir.nodes import copied, node_name, parameter_nodes
from xl2torch.ir.rewriting import add_node, drop_unused, is_call, replace


def weigh_rows(module: fx.GraphModule) -> fx.GraphModule:
    """Write sum(x[places]) as w @ x, where w counts how often each place is taken.

    A mean over n places becomes w @ x / n, and all(x[places]) becomes all(x | others).
    """
    new, _ = copied(module)
    parameters = set(parameter_nodes(new))
    for node in list(new.graph.nodes):
        every = is_call(node, torch.all)
        inner: Any = node.args[0] if every or is_call(node, torch.sum, torch.mean) else None
        if not isinstance(inner, fx.Node) or len(node.args) != 1 or (node.kwargs and not every):
            continue
        source, places = _taken(inner, new)
        if source is None or source in parameters:
            continue
        value = value_of(source)
        counts = torch.bincount(places, minlength=len(value))
        weights = counts == 0 if every else counts.to(value.dtype)
        name = f"{inner.name}_weights"
        new.register_buffer(name, weights, persistent=False)
        with new.graph.inserting_before(node):
            weigh = new.graph.get_attr(name)
            note(weigh, value=weights)
            function = torch.logical_or if every else torch.matmul
            total = add_node(new.graph, function, weigh, source)
            if every:
                total = add_node(new.graph, torch.all, total, **node.kwargs)
            if node.target is torch.mean:
                total = add_node(new.graph, operator.truediv, total, float(len(places)))
            replace(node, total)
    drop_unused(new.graph)
    new.recompile()
    return new


_NOTHING = torch.zeros(0, dtype=torch.int64)


def _taken(node: fx.Node, module: fx.GraphModule) -> tuple[fx.Node | None, torch.Tensor]:
    """The vector of which a node holds some elements, and their places; None for other nodes."""
    arguments: Any = node.args
    if node_name(node) not in ("narrow", "index_select") or value_of(node).dim() != 1:
        return None, _NOTHING
    source = arguments[0]
    if node_name(node) == "narrow":
        places = torch.arange(arguments[2], arguments[2] + arguments[3])
    else:
        index = arguments[2]
        buffers = dict(module.named_buffers())
        if not isinstance(index, fx.Node) or index.target not in buffers:
            return None, _NOTHING
        places = buffers[str(index.target)]
    if is_call(source, pad) and len(source.args) == 2 and not source.kwargs:
        source, (before, *_) = source.args
        places = places - before
        if int(places.min()) < 0 or int(places.max()) >= len(value_of(source)):
            return None, _NOTHING
    return source, places
