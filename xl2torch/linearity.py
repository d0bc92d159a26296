"""Programs that are linear in their parameters, recognised from the graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import fx

from xl2torch.errors import equals
from xl2torch.graph.loop import Recurrence
from xl2torch.graph.nodes import dependents, node_name, parameter_nodes
from xl2torch.ir.facts import facts, value_of

MOVES = frozenset(
    {"reshape", "view", "select", "narrow", "squeeze", "unsqueeze", "flatten", "unflatten",
     "permute", "transpose", "t", "flip", "stack", "cat", "repeat_interleave", "broadcast_to",
     "expand", "getitem", "roll", "movedim", "clone", "contiguous", "diagonal"}
)  # fmt: skip
"""What puts elements elsewhere."""
_TOGETHER = MOVES | {
    "unfold", "sum", "mean", "cumsum", "neg", "pos", "pad", "split_with_sizes", "tril", "triu",
    "add", "sub", "rsub",
}  # fmt: skip
"""Linear in all operands together."""
_AFFINE = {"linear": (0, 1), "addmm": (1, 2), "embedding": (1,)}
"""Places of the factors of a product; what else there is, is added or an index."""
_PICKS = frozenset({"masked_fill", "index_select", "take_along_dim", "gather", "truediv", "div"})
"""Linear in the first operand, where the others are constant."""
_PRODUCTS = frozenset({"mul", "matmul", "dot", "mv", "mm", "bmm", "einsum", "kron", "conv2d"})
"""Linear in one operand, where the others are constant."""


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
    name = node_name(node)
    given = operands(node.args)
    moving = [place for place, operand in enumerate(given) if operand in traced]
    if name == "to":
        return value_of(node).is_floating_point()
    if name == "where":
        return given[0] not in traced
    if name in _PICKS:
        return moving == [0]
    if name in _AFFINE:
        return sum(place in moving for place in _AFFINE[name]) <= 1
    return name in _TOGETHER or (name in _PRODUCTS and len(moving) == 1)


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
