"""The rules of a graph, checked after each pass: position, node and the rule that it breaks."""

from __future__ import annotations

import torch
from torch import fx

from xl2torch.errors import ModelError
from xl2torch.ir.facts import Kind, facts, is_parameter
from xl2torch.ir.ops import find_operator

_KINDS = {
    "get_attr": frozenset({Kind.PARAMETER, Kind.DATA, Kind.SWITCH}),
    "placeholder": frozenset({Kind.INPUT}),
    "call_function": frozenset({Kind.CALL}),
    "call_method": frozenset({Kind.CALL}),
    "call_module": frozenset({Kind.CALL}),
}


def check(graph: fx.Graph, after: str, parameters: frozenset[str] = frozenset()) -> None:
    """Raise ModelError where a node breaks a rule, or one of some parameters is not read any more.

    ``after`` is what was done last: the name of a pass.
    """
    left = set(parameters)
    for place, node in enumerate(graph.nodes):
        if node.op == "output":
            continue
        known = facts(node)
        if known.kind not in _KINDS[node.op]:
            raise _broken(place, node, after, f"it is {known.kind.value}, but a {node.op}")
        if node.op == "call_function" and find_operator(node) is None:
            raise _broken(place, node, after, f"{node.target} stands in no table of operators")
        if not isinstance(known.value, torch.Tensor | tuple | list):
            raise _broken(place, node, after, "its value is not known")
        if known.kind is Kind.PARAMETER:
            left.discard(str(node.target))
    if left:
        raise ModelError(
            f"after {after} nothing reads {', '.join(sorted(left))}: a fault of xl2torch, please "
            "report it"
        )


def parameters_of(graph: fx.Graph) -> frozenset[str]:
    """Names of the parameters that a graph reads."""
    return frozenset(str(node.target) for node in graph.nodes if is_parameter(node))


def _broken(place: int, node: fx.Node, after: str, rule: str) -> ModelError:
    return ModelError(
        f"node {place} ({node.name}) after {after}: {rule}: a fault of xl2torch, please report it"
    )
