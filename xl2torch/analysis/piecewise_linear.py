"""Objectives of absolute values and maxima of linear formulas, as linear programs.

Each such value becomes a variable of its own that is not below what it is the largest of; where the
objective only gets worse as it grows, the least objective has it there (the epigraph form: Boyd and
Vandenberghe, Convex Optimization, 2004, 4.3). Least absolute deviations, minimax and quantile
losses are of this kind.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from xl2torch.analysis.linear_program import LinearProgram, linear_program
from xl2torch.analysis.linearity import nonlinear_node, nonlinear_place
from xl2torch.ir.facts import note, value_of
from xl2torch.ir.nodes import copied, dependents, node_name, parameter_nodes
from xl2torch.ir.rewriting import add_node
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import VectorFunction, jacobian
from xl2torch.model.sheet_model import SheetModel

_MOST_KINKS = 5_000
_MOST_ELEMENTS = 20_000_000
_TINY = 1e-12
_LARGER, _SMALLER = (operator.gt, operator.ge), (operator.lt, operator.le)


@dataclass(frozen=True)
class Kink:
    """A node that is the largest (``sign`` 1) or smallest (-1) of some operands, element by
    element; along ``dim`` where there is one."""

    node: fx.Node
    sign: int
    operands: tuple[Any, ...]
    dim: Any = None


def piecewise_linear(model: SheetModel, constraints: Constraints) -> LinearProgram | None:
    """The linear program of an objective whose only kinks are convex; None where it is none.

    Its variables are the variable cells, then one for each kink.
    """
    if model.problem.sense in ("value", "feasible") or model.drawn:
        return None
    if any(nonlinear_place(module) is not None for _, module in constraints.modules):
        return None
    kinks = find_kinks(model)
    count = sum(value_of(kink.node).numel() for kink in kinks)
    if not kinks or count > _MOST_KINKS:
        return None
    module, shapes, signs = without_kinks(model, kinks)
    if nonlinear_node(module) is not None:
        return None
    function = VectorFunction(module, shapes)
    origin = torch.zeros(sum(shape.numel() for shape in shapes.values()), dtype=torch.float64)
    with torch.no_grad():
        rows = len(function(origin))
    if rows * len(origin) > _MOST_ELEMENTS:
        return None
    slopes, constants = jacobian(function, origin).numpy(), function(origin).detach().numpy()
    width = len(origin) - count
    sense = -1.0 if model.problem.sense == "max" else 1.0
    costs, matrix, most = sense * slopes[0], slopes[1:], -constants[1:]
    if not is_tight(costs, matrix, signs, width):
        return None
    joined = _joined(linear_program(constraints, origin[:width]), costs, matrix, most, count)
    return replace(joined, constant=sense * float(constants[0]))


def find_kinks(model: SheetModel) -> list[Kink]:
    """The kinks that depend on variable cells, in order."""
    moving = dependents(model.graph, parameter_nodes(model))
    found = (_kink(node) for node in model.graph.nodes if node in moving)
    return [kink for kink in found if kink is not None]


def _kink(node: fx.Node) -> Kink | None:
    name = node_name(node)
    if name == "abs":
        return Kink(node, 1, (node.args[0], _Negative(node.args[0])))
    if name == "relu":
        return Kink(node, 1, (node.args[0], 0.0))
    if name in ("maximum", "minimum"):
        return Kink(node, 1 if name == "maximum" else -1, tuple(node.args))
    if name in ("amax", "amin"):
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        return Kink(node, 1 if name == "amax" else -1, (node.args[0],), dim)
    if name == "where":
        return _chosen(node)
    return None


@dataclass(frozen=True)
class _Negative:
    """An operand with its sign turned."""

    operand: Any


def _chosen(node: fx.Node) -> Kink | None:
    """where(a > b, a, b), where(a > b, a - b, b - a), however they are spelled."""
    test, yes, no = node.args
    if not isinstance(test, fx.Node) or test.target not in (*_LARGER, *_SMALLER):
        return None
    left, right = test.args
    if node_name(left) == "rounded_to":
        left = left.args[0]  # type: ignore[union-attr]
    sign = 1 if test.target in _LARGER else -1
    above, below = _multiple(yes, left, right), _multiple(no, left, right)
    if above is not None and below is not None:
        return Kink(node, sign if above > below else -sign, (yes, no))
    if _same(left, yes) and _same(right, no):
        return Kink(node, sign, (yes, no))
    if _same(left, no) and _same(right, yes):
        return Kink(node, -sign, (yes, no))
    return None


def _multiple(item: Any, left: Any, right: Any) -> float | None:
    """How many times the difference of two operands another one is; None where it is none."""
    if isinstance(item, int | float):
        return 0.0 if item == 0 else None
    if item is left and _same(right, 0.0):
        return 1.0
    name = node_name(item)
    if name == "sub":
        for sign, (first, second) in ((1.0, (left, right)), (-1.0, (right, left))):
            if _same(item.args[0], first) and _same(item.args[1], second):
                return sign
    if name == "neg":
        inner = _multiple(item.args[0], left, right)
        return None if inner is None else -inner
    if name == "mul":
        for factor, other in (item.args, item.args[::-1]):
            inner = _multiple(other, left, right)
            if isinstance(factor, int | float) and inner is not None:
                return factor * inner
    return None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, fx.Node) or isinstance(other, fx.Node):
        return one is other
    return bool(one == other)


def without_kinks(
    model: SheetModel, kinks: list[Kink]
) -> tuple[fx.GraphModule, dict[str, torch.Size], np.ndarray]:
    """The program with kinks as parameters of its own: it gives the objective, then what is not
    to be above 0. Shapes of its parameters, and the sign of each element of a kink."""
    module, copies = copied(model)
    graph = module.graph
    shapes = {v.name: torch.Size(v.start.shape) for v in model.variables}
    signs: list[float] = []
    limits: list[fx.Node] = []
    (output,) = (node for node in graph.nodes if node.op == "output")
    for number, kink in enumerate(kinks, 1):
        name, value = f"_kink_{number}", value_of(kink.node)  # no label becomes that
        module.register_parameter(name, nn.Parameter(torch.zeros_like(value)))
        shapes[name] = value.shape
        signs += [float(kink.sign)] * value.numel()
        copy = copies[kink.node]
        with graph.inserting_before(copy):
            holder = graph.get_attr(name)
        note(holder, value=value)
        copy.replace_all_uses_with(holder)
        copies[kink.node] = holder  # where it is an operand of a later one
        with graph.inserting_before(output):
            limits += [_limit(graph, kink, holder, copies, item) for item in kink.operands]
    objective = output.args[0]
    with graph.inserting_before(output):
        flat = [add_node(graph, torch.reshape, item, (-1,)) for item in (objective, *limits)]
        output.args = (add_node(graph, torch.cat, flat),)
    graph.eliminate_dead_code()
    module.recompile()
    return module, shapes, np.array(signs)


def _limit(
    graph: fx.Graph, kink: Kink, holder: fx.Node, copies: dict[fx.Node, fx.Node], item: Any
) -> fx.Node:
    """What is not above 0: an operand less the largest, or the smallest less an operand."""
    sign = kink.sign
    if isinstance(item, _Negative):
        negative = add_node(graph, operator.neg, copies[item.operand])
        return add_node(graph, operator.sub, negative, holder)
    own = copies[item] if isinstance(item, fx.Node) else item
    bound = holder
    if kink.dim is not None:
        dims = kink.dim if isinstance(kink.dim, list | tuple) else [kink.dim]
        total = value_of(item).dim()
        for dim in sorted(dim % total for dim in dims):
            bound = add_node(graph, torch.unsqueeze, bound, dim)
    elif kink.node.target in (torch.amax, torch.amin) and value_of(item).dim():
        bound = add_node(graph, torch.reshape, bound, (1,) * value_of(item).dim())
    first, second = (own, bound) if sign > 0 else (bound, own)
    return add_node(graph, operator.sub, first, second)


def is_tight(costs: np.ndarray, matrix: np.ndarray, signs: np.ndarray, width: int) -> bool:
    """Whether the objective, and every other kink, only gets worse as a kink is not what it is.

    A row has -1 for its own kink (1 for a smallest one); all else it has of kinks has to pull them
    the other way.
    """
    outward = costs[width:] * signs
    if (outward < -_TINY).any():
        return False
    pulls = matrix[:, width:] * signs
    return int((pulls < -_TINY).sum()) == len(matrix)


def _joined(
    program: LinearProgram, costs: np.ndarray, matrix: np.ndarray, most: np.ndarray, count: int
) -> LinearProgram:
    """The constraints of a model beside those of its kinks."""
    beside = np.zeros((len(program.matrix), count))
    free = np.full(count, np.inf)
    return LinearProgram(
        costs, np.vstack([np.hstack([program.matrix, beside]), matrix]),
        np.append(program.least, np.full(len(matrix), -np.inf)), np.append(program.most, most),
        np.append(program.lower, -free), np.append(program.upper, free),
        np.append(program.integer, np.zeros(count, dtype=bool)),
    )  # fmt: skip
