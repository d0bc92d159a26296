"""Rows of a weight matrix looked up by constant places are an embedding."""

from __future__ import annotations

import torch
from torch import fx
from torch.nn.functional import embedding

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import add_node, constant_value, is_call, replace


def recognise_embedding(graph: fx.Graph) -> fx.Graph:
    """index_select(W, 0, places) becomes embedding(places, W)."""
    for node in list(graph.nodes):
        if not is_call(node, torch.index_select) or node.args[1] != 0:
            continue
        weight, _, places = node.args
        if value_of(weight).dim() != 2 or constant_value(places, graph) is None:
            continue
        if constant_value(weight, graph) is not None:
            continue
        with graph.inserting_before(node):
            found = add_node(graph, embedding, places, weight)
        replace(node, found)
    return graph
