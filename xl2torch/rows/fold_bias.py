"""Layers whose inputs are data, with the bias as the weight of one more input, which is 1.

The weights and the bias of a layer are often one range of the sheet, so one parameter. A product
with all of it needs no parts, and gives the slopes of weights and bias at once.
"""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.nn.functional import linear

from xl2torch.ir.facts import derive
from xl2torch.ir.nodes import copied, parameter_nodes
from xl2torch.ir.rewriting import add_node, drop_unused, is_call, replace


@dataclass(frozen=True)
class _Layer:
    """X @ W + b, or X @ W.T + b: parts of ``parameter`` along ``axis``, the bias first or last."""

    data: fx.Node
    parameter: fx.Node
    axis: int
    bias_first: bool


def with_ones_columns(module: fx.GraphModule) -> tuple[fx.GraphModule, frozenset[str]]:
    """The same program, and the parameters that it computes with faster by columns.

    X @ P[:-1] + P[-1] becomes [X, 1] @ P; X @ P[:, :-1].T + P[:, -1] becomes [X, 1] @ P.T. Only
    where the data X are in no other use. The slopes of a P by rows of inputs are the product of
    tall data and short rows, which is faster where P is laid out by columns, as they are then too.
    """
    new, _ = copied(module)
    parameters = set(parameter_nodes(new))
    layers = {
        node: layer for node in new.graph.nodes if (layer := _layer(node, parameters)) is not None
    }
    by_columns = set()
    for data in dict.fromkeys(layer.data for layer in layers.values()):
        first = {layers[user].bias_first if user in layers else None for user in data.users}
        if first not in ({True}, {False}):
            continue
        wider = _with_ones(new, data, first == {True})
        for user in list(data.users):
            layer = layers[user]
            product = torch.mm if layer.axis == 0 else linear
            with new.graph.inserting_before(user):
                replace(user, add_node(new.graph, product, wider, layer.parameter))
            if layer.axis == 0:
                by_columns.add(str(layer.parameter.target))
    drop_unused(new.graph)
    new.recompile()
    return new, frozenset(by_columns)


def _layer(node: fx.Node, parameters: Collection[fx.Node]) -> _Layer | None:
    """The layer that a node is, where weights and bias fill one parameter."""
    data: Any
    if is_call(node, torch.addmm) and len(node.args) == 3:
        bias, data, weight = node.args
        axis = 0
    elif is_call(node, linear) and len(node.args) == 3:
        data, given, bias = node.args
        weight = _by_inputs(given)
        axis = 1 if weight is given else 0
    else:
        return None
    if data.op != "get_attr" or data in parameters:
        return None
    if not is_call(bias, torch.squeeze) or bias.args[1:] != (axis,):  # type: ignore[union-attr]
        return None
    split, inputs = _part(weight)
    same, place = _part(bias.args[0])  # type: ignore[union-attr]
    if split is None or same is not split or {inputs, place} != {0, 1}:
        return None
    parameter, sizes, along = split.args
    if along != axis or len(sizes) != 2 or parameter not in parameters:
        return None
    return _Layer(data, parameter, axis, place == 0)


def _by_inputs(weight: Any) -> Any:
    """Weights with a row for each input, where a copy has one for each unit."""
    if is_call(weight, torch.clone) and is_call(weight.args[0], torch.t):
        return weight.args[0].args[0]
    return weight


def _part(item: Any) -> tuple[Any, int]:
    """What an item is a part of, and which."""
    if is_call(item, operator.getitem) and is_call(item.args[0], torch.split_with_sizes):
        whole, place = item.args
        return whole, place
    return None, 0


def _with_ones(module: fx.GraphModule, data: fx.Node, first: bool) -> fx.Node:
    """Data with a column of ones, before or behind, as a buffer of the module."""
    value = module.get_buffer(str(data.target))
    ones = value.new_ones(len(value), 1)
    name = f"{data.target}_and_ones"
    wider = torch.cat([ones, value] if first else [value, ones], 1)
    module.register_buffer(name, wider, persistent=False)
    with module.graph.inserting_before(data):
        node = module.graph.get_attr(name)
    derive(data, node, value=wider)
    return node
