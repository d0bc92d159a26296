"""Guards against errors that nothing catches are dropped: NaN and infinity say the same.

A guarded function (``1/x``, ``LN(x)``) computes with a stand-in where it has no value, and a mask
says where. Only IFERROR, IF and their kin need that. Where the mask goes nowhere but to the
objective, and everything on the way hands NaN and infinity on, the plain function is enough.
"""

from __future__ import annotations

import torch
from torch import fx

from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.ops import find_operator
from xl2torch.ir.rewriting import drop_unused, replace


def drop_unused_guards(graph: fx.Graph) -> fx.Graph:
    """Replace guards by their operands when only the objective's own check uses the masks."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    final = output.args[0]
    if not isinstance(final, fx.Node) or not facts(final).is_final:
        return graph
    drop_unused(graph)
    guards = [node for node in graph.nodes if facts(node).is_guard]
    if not all(facts(guard).guard for guard in guards):
        return graph
    masks = _masks(final, guards)
    if not _sources(_masks(final, [])) <= _sources(_masks(final, guards, only_guards=True)):
        return graph  # something else than a guarded function can fail, a lookup for instance
    if any(source.op == "call_module" for mask in masks for source in mask.all_input_nodes):
        return graph  # guards inside a loop stay
    reached = all(set(mask.users) <= {*masks, *guards, final} for mask in masks)
    if not reached or not all(_hands_on(guard, final) for guard in guards):
        return graph
    for guard in guards:
        operand = guard.args[1]
        assert isinstance(operand, fx.Node)
        guard.replace_all_uses_with(operand)
    objective = final.args[1]
    assert isinstance(objective, fx.Node)
    replace(final, objective)
    return graph


def _sources(masks: set[fx.Node]) -> set[fx.Node]:
    """Masks that are made from numbers, not from other masks."""
    return {mask for mask in masks if not any(source in masks for source in mask.all_input_nodes)}


def _masks(final: fx.Node, guards: list[fx.Node], only_guards: bool = False) -> set[fx.Node]:
    """Boolean nodes behind the final check and the guards."""
    found: set[fx.Node] = set()
    stack = [node.args[0] for node in (*(() if only_guards else (final,)), *guards)]
    while stack:
        node = stack.pop()
        if not isinstance(node, fx.Node) or node in found or node.op != "call_function":
            continue
        if value_of(node).dtype == torch.bool:
            found.add(node)
            stack.extend(node.all_input_nodes)
    return found


def _guarded_functions(guard: fx.Node) -> set[fx.Node]:
    """What a guard protects, behind the stop of an infinite slope at the domain's edge."""
    found: set[fx.Node] = set()
    stack = list(guard.users)
    while stack:
        node = stack.pop()
        edge = facts(node).is_edge or node.target is torch.detach
        if edge or value_of(node).dtype == torch.bool:
            stack.extend(node.users)
        else:
            found.add(node)
    return found


def _hands_on(guard: fx.Node, final: fx.Node) -> bool:
    """Whether what is not finite behind a guard reaches the objective on every way."""
    stack = [user for function in _guarded_functions(guard) for user in function.users]
    seen: set[fx.Node] = set()
    while stack:
        node = stack.pop()
        if node in seen or node is final:
            continue
        seen.add(node)
        row = find_operator(node)
        if row is None or not row.spreads_in(node):
            return False
        stack.extend(node.users)
    return True
