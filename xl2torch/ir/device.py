"""Where a program computes, and in which precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn


def retarget_constants(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Let the numbers that programs make themselves be on a device, floating ones in a precision.

    Tensors of the module stay where they are: ``Module.to`` moves these.
    """
    for part in module.modules():
        if isinstance(part, fx.GraphModule) and _follow(part.graph, device, dtype):
            part.recompile()


def _follow(graph: fx.Graph, device: torch.device, dtype: torch.dtype) -> bool:
    def replaced(item: Any) -> Any:
        floating = isinstance(item, torch.dtype) and item.is_floating_point
        return dtype if floating else item

    changed = False
    for node in graph.nodes:
        if node.op not in ("call_function", "call_method"):
            continue
        before = node.args, node.kwargs
        node.args = fx.node.map_aggregate(node.args, replaced)
        kwargs = fx.node.map_aggregate(node.kwargs, replaced)
        makes = node.op == "call_function" and not node.all_input_nodes
        node.kwargs = {**kwargs, "device": device} if makes else kwargs
        changed = changed or before != (node.args, node.kwargs)
    return changed


def placed_graph(module: fx.GraphModule, device: torch.device, dtype: torch.dtype) -> fx.Graph:
    """The program with its parameters sent to a device at each call, its result brought back."""
    names = {name for name, _ in module.named_parameters()}
    graph = fx.Graph()
    result = graph.graph_copy(module.graph, {})
    for node in list(graph.nodes):
        if node.op == "get_attr" and node.target in names:
            with graph.inserting_after(node):
                sent = graph.call_function(torch.Tensor.to, (node, device, dtype))
            node.replace_all_uses_with(sent)
            sent.args = (node, device, dtype)
    _follow(graph, device, dtype)
    back = (torch.device("cpu"), torch.float64)
    graph.output(graph.call_function(torch.Tensor.to, (result, *back)))
    return graph
