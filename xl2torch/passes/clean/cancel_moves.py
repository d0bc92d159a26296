"""What only moves elements, and moves them back, or not at all, is dropped."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from xl2torch.ir.facts import value_of
from xl2torch.ir.rewriting import drop_unused, is_call, keeps_elements, replace


def cancel_moves(graph: fx.Graph) -> fx.Graph:
    """squeeze(unsqueeze(x, 0), 0), t(t(x)) and reshape(x, x.shape) become x."""
    for node in list(graph.nodes):
        source = _unmoved(node)
        if source is not None:
            replace(node, source)
    drop_unused(graph)
    return graph


def _unmoved(node: fx.Node) -> fx.Node | None:
    """The node that another is, element by element."""
    inner: Any = node.args[0] if node.args else None
    if not isinstance(inner, fx.Node):
        return None
    if (is_call(node, torch.Tensor.to) or keeps_elements(node)) and _alike(inner, node):
        return inner
    turned = is_call(node, torch.t) and is_call(inner, torch.t)
    if turned or (keeps_elements(node) and keeps_elements(inner)):
        same: Any = inner.args[0]
        return same if isinstance(same, fx.Node) and _alike(same, node) else None
    return None


def _alike(first: fx.Node, second: fx.Node) -> bool:
    before, after = value_of(first), value_of(second)
    return before.shape == after.shape and before.dtype == after.dtype
