"""What only moves elements, and moves them back, or not at all, is dropped."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from xl2torch.graph.passes.rewriting import drop_unused, is_call, replace
from xl2torch.ir.facts import value_of

_IDLE = (
    torch.reshape, torch.broadcast_to, torch.narrow, torch.flatten, torch.unflatten, torch.squeeze,
    torch.Tensor.to,
)  # fmt: skip
"""Functions that change nothing where shape and dtype of the result are those of the operand."""

_BACK: dict[Any, tuple[Any, ...]] = {
    torch.t: (torch.t,),
    torch.squeeze: (torch.unsqueeze,),
    torch.select: (torch.unsqueeze,),
    torch.unsqueeze: (torch.select, torch.squeeze),
}
"""Functions, and what they undo."""


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
    if node.op != "call_function" or not isinstance(inner, fx.Node):
        return None
    if is_call(node, *_IDLE) and _alike(inner, node):
        return inner
    if not is_call(inner, *_BACK.get(node.target, ())):
        return None
    same: Any = inner.args[0]
    whole = node.args[1:2] == inner.args[1:2] and isinstance(same, fx.Node)
    return same if whole and _alike(same, node) else None


def _alike(first: fx.Node, second: fx.Node) -> bool:
    before, after = value_of(first), value_of(second)
    return before.shape == after.shape and before.dtype == after.dtype
