"""Programs that are linear in their parameters, recognised from the graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import fx

from xl2torch.errors import equals
from xl2torch.ir.facts import facts
from xl2torch.ir.loop import Recurrence
from xl2torch.ir.nodes import dependents, parameter_nodes
from xl2torch.ir.ops import find_operator


def nonlinear_node(module: fx.GraphModule) -> fx.Node | None:
    """The first node that is not linear in the parameters; None where the whole program is."""
    return _nonlinear(module, module.graph, parameter_nodes(module))


def nonlinear_place(module: fx.GraphModule) -> str | None:
    """Cells and formula of the first node that is not linear; None where the program is linear."""
    node = nonlinear_node(module)
    if node is None:
        return None
    for other in _onwards(node):
        if facts(other).cells is not None:
            formula = facts(other).formula
            return f"{facts(other).cells}" + (f": {equals(formula)}" if formula else "")
    return "a formula between the variable cells and the objective"


def _onwards(node: fx.Node) -> list[fx.Node]:
    """A node, and what is made of it, nearest first."""
    found, seen = [node], {node}
    for item in found:
        fresh = [user for user in item.users if user not in seen]
        found += fresh
        seen.update(fresh)
    return found


def _nonlinear(
    module: torch.nn.Module, graph: fx.Graph, sources: Collection[fx.Node]
) -> fx.Node | None:
    traced = dependents(graph, sources)
    for node in graph.nodes:
        if node not in traced or node.op not in ("call_function", "call_method", "call_module"):
            continue
        if not is_linear(module, node, traced):
            found: fx.Node = node
            return found
    return None


def is_linear(module: torch.nn.Module, node: fx.Node, traced: Collection[fx.Node]) -> bool:
    """Whether a node is linear in its operands that are ``traced``."""
    if node.op == "call_module":
        return _is_linear_recurrence(module.get_submodule(str(node.target)), node, traced)
    row, value = find_operator(node), facts(node).value
    moving = [place for place, operand in enumerate(operands(node.args)) if operand in traced]
    if row is None or (isinstance(value, torch.Tensor) and not value.is_floating_point()):
        return False
    return row.is_linear_in(moving)


def operands(arguments: Sequence[object]) -> list[object]:
    """Operands one by one; those of a list are apart."""
    found: list[object] = []
    for item in arguments:
        found += item if isinstance(item, list | tuple) else [item]
    return found


def _is_linear_recurrence(
    module: torch.nn.Module, node: fx.Node, traced: Collection[fx.Node]
) -> bool:
    """Whether a step is linear in its inputs that depend on parameters and in earlier results."""
    if not isinstance(module, Recurrence):
        return False
    changing = module.counts[0]
    sources = []
    holders = [item for item in module.body.graph.nodes if item.op == "placeholder"]
    for holder, (kind, place) in zip(holders, module.inputs, strict=True):
        if kind in ("x", "fixed"):
            operand = node.args[place if kind == "x" else changing + place]
            if operand in traced:
                sources.append(holder)
        else:
            sources.append(holder)
    return _nonlinear(module.body, module.body.graph, sources) is None
