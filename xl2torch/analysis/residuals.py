"""Objectives that are a sum, mean or root mean of squared residuals, found in the program.

The residuals are the nodes that are squared; sums, means, constant factors, weights and masks
around them are looked through.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.loop import Recurrence
from xl2torch.ir.nodes import dependents, known_elements, node_name, parameter_nodes
from xl2torch.ir.ops import Bend, find_operator
from xl2torch.model.jacobian import VectorFunction, variable_shapes
from xl2torch.model.sheet_model import SheetModel

_ROOT = 0.5
_NORM = "linalg_vector_norm"


@dataclass(frozen=True, eq=False)
class Residuals:
    """Residuals r of an objective f·Σr², or √(f·Σr²) where it has a ``root``; f is ``factor``.

    ``function`` gives them as a function of all variable cells. ``observed`` are the constants that
    a residual is the distance to, where every one is such a distance and none has a weight; the
    model then says observed + ``sign``·residual. They
    are ``smooth`` where nothing on the way to them has a kink or a step.
    """

    function: Callable[[torch.Tensor], torch.Tensor]
    factor: float
    root: bool
    observed: torch.Tensor | None
    sign: torch.Tensor | None
    smooth: bool

    def form(self, count: int) -> str:
        """What the objective is, in words; ``count`` is the number of residuals."""
        if math.isclose(self.factor * count, 1.0, rel_tol=1e-9) and count > 1:
            what = "mean"
        else:
            what = "sum" if self.factor == 1 else f"{self.factor:.6g} times the sum"
        return f"{'root of the ' if self.root else ''}{what} of squares"


@dataclass(frozen=True, eq=False)
class _Term:
    """Squares of a node's elements (``minus`` those of another), each ``weight`` times.

    Those that ``mask`` leaves out are not among them.
    """

    node: fx.Node
    minus: fx.Node | None
    weight: float
    weights: torch.Tensor | None
    mask: torch.Tensor | None


class _NoSquares(Exception):
    pass


def find_residuals(model: SheetModel) -> Residuals | None:
    """Residuals of the objective; None when it is no sum of squares."""
    search = _Search(model)
    output = next(node for node in model.graph.nodes if node.op == "output").args[0]
    assert isinstance(output, fx.Node)
    try:
        node, factor = search.unwrapped(output), 1.0
        if node_name(node) == "truediv" and node_name(node.args[0]) == _NORM:
            divisor = node.args[1]
            if isinstance(divisor, float):
                node, factor = search.unwrapped(node.args[0]), divisor**-2
        root = node_name(node) in ("sqrt", _NORM) or (
            node_name(node) == "pow" and bool(node.args[1] == _ROOT)
        )
        if node_name(node) == _NORM:
            search.squares(node.args[0], factor, None)
        else:
            if root:
                node = search.unwrapped(node.args[0], under_root=True)
            search.visit(node, factor, None, None)
    except _NoSquares:
        return None
    weights = {term.weight for term in search.terms}
    if not weights or min(weights) * max(weights) <= 0 or (root and search.offset):
        return None
    if (min(weights) < 0 and model.problem.sense != "max") or (
        min(weights) > 0 and (model.problem.sense == "max")
    ):
        return None  # squares as large as can be are no fit
    return _assembled(model, search.terms, root)


class _Search:
    """Walks from the objective to what is squared. Raises _NoSquares."""

    def __init__(self, model: SheetModel) -> None:
        self.terms: list[_Term] = []
        self.offset = False
        self.traced = dependents(model.graph, parameter_nodes(model))

    def unwrapped(self, node: object, under_root: bool = False) -> fx.Node:
        """A node without what only guards it: a domain, a slope at the edge of one.

        ``under_root``: a stand-in for numbers below 0, which no sum of squares is.
        """
        while node_name(node) == "where":
            assert isinstance(node, fx.Node)
            condition, inner, other = node.args
            detached = node_name(other) == "detach" and other.args[0] is inner  # type: ignore[union-attr]
            outside = isinstance(other, float) and math.isnan(other)
            domain = (
                under_root
                and node_name(condition) in ("ge", "gt")
                and condition.args == (inner, 0.0)  # type: ignore[union-attr]
                and other == 1.0
            )
            if not (detached or outside or domain or self._is_nan(other)):
                break
            node = inner
        if not isinstance(node, fx.Node):
            raise _NoSquares
        return node

    def _is_nan(self, item: object) -> bool:
        if item in self.traced or not isinstance(item, fx.Node):
            return False
        return bool(torch.isnan(value_of(item)).all())

    def visit(
        self, item: object, weight: float, weights: torch.Tensor | None, mask: torch.Tensor | None
    ) -> None:
        """Note the squares that the sum of a node's elements consists of."""
        if item not in self.traced:
            self.offset = True
            return
        node = self.unwrapped(item)
        name, size = node_name(node), value_of(node).numel()
        first = node.args[0] if node.args else None
        second = node.args[1] if len(node.args) > 1 else None
        plain = weights is None and mask is None
        # Squares first, then what adds them up, then what scales or masks them: each case hands on
        # the weights that the elements have in the sum so far.
        if name in ("pow", "square") and (name == "square" or second == 2):
            self._note(first, weight, weights, mask)
        elif name == "mse_loss" and plain:
            mean = node.kwargs.get("reduction", "mean") == "mean"
            terms = value_of(first).numel() if mean else 1
            self._note(first, weight / terms, None, None, second)
        elif name in ("mul", "dot", "matmul") and first is second:
            if name == "matmul" and value_of(node).dim():
                raise _NoSquares
            self._note(first, weight, weights, mask)
        elif name in ("matmul", "dot") and plain and self._weigh(first, second, weight):
            pass
        elif name in ("sum", "mean") and plain and first in self.traced:
            count = value_of(first).numel() / size
            self.visit(first, weight / (count if name == "mean" else 1), None, None)
        elif name == "neg":
            self.visit(first, -weight, weights, mask)
        elif name in ("add", "sub"):
            for part, sign in ((first, 1), (second, 1 if name == "add" else -1)):
                if part in self.traced and value_of(part).shape != value_of(node).shape:
                    raise _NoSquares
                self.visit(part, sign * weight, weights, mask)
        elif name in ("mul", "truediv", "div"):
            self._scaled(name, first, second, weight, weights, mask)
        elif name == "masked_fill" and plain and node.args[2] == 0 and second not in self.traced:
            self.visit(first, weight, None, ~value_of(second))
        elif name == "where" and second in self.traced and node.args[2] == 0:
            if first in self.traced or mask is not None:
                raise _NoSquares
            self.visit(second, weight, weights, value_of(first))
        else:
            raise _NoSquares

    def _weigh(self, first: object, second: object, weight: float) -> bool:
        """Whether it is a scalar product of squares with constant weights; then note them."""
        if first in self.traced and second in self.traced:
            return False
        inner, other = (first, second) if first in self.traced else (second, first)
        factors = value_of(other)
        if factors.dim() != 1 or value_of(inner).dim() != 1 or bool((factors < 0).any()):
            return False
        self.visit(inner, weight, factors, None)
        return True

    def _scaled(
        self, name: str, first: object, second: object, weight: float,
        weights: torch.Tensor | None, mask: torch.Tensor | None,
    ) -> None:  # fmt: skip
        if first in self.traced and second in self.traced:
            raise _NoSquares
        inner, other = (first, second) if first in self.traced else (second, first)
        factor = (
            value_of(other)
            if isinstance(other, fx.Node)
            else torch.tensor(other, dtype=torch.float64)
        )
        if name != "mul":
            if inner is not first:
                raise _NoSquares
            factor = 1 / factor
        if factor.numel() == 1:
            self.visit(inner, weight * float(factor), weights, mask)
        elif weights is None and bool((factor >= 0).all()):
            self.visit(inner, weight, factor, mask)
        else:
            raise _NoSquares

    def _without_zeros(
        self, node: fx.Node, minus: fx.Node | None, mask: torch.Tensor | None
    ) -> torch.Tensor | None:
        """The mask, without what is 0 whatever the parameters: nothing is observed there."""
        known = [
            known_elements(item, lambda part: None if part in self.traced else value_of(part))
            for item in (node, 0.0 if minus is None else minus)
        ]
        if known[0] is None or known[1] is None:
            return mask
        zero = known[0] == known[1]
        if not bool(zero.any()):
            return mask
        return ~zero if mask is None else mask & ~zero

    def squares(self, node: object, weight: float, mask: torch.Tensor | None) -> None:
        """Note the squares of a node's elements."""
        if node_name(node) == "masked_fill" and mask is None and isinstance(node, fx.Node):
            inner, left_out, number = node.args
            if number == 0 and left_out not in self.traced:
                self.squares(inner, weight, ~value_of(left_out))
                return
        self._note(node, weight, None, mask)

    def _note(
        self, node: object, weight: float, weights: torch.Tensor | None,
        mask: torch.Tensor | None, minus: object = None,
    ) -> None:  # fmt: skip
        if not isinstance(node, fx.Node) or not weight:
            raise _NoSquares
        shape = value_of(node).shape
        for item in (weights, mask):
            if item is not None and np.broadcast_shapes(item.shape, shape) != tuple(shape):
                raise _NoSquares
        other = minus if isinstance(minus, fx.Node) else None
        mask = self._without_zeros(node, other, mask)
        self.terms.append(_Term(node, other, weight, weights, mask))


def _assembled(model: SheetModel, terms: list[_Term], root: bool) -> Residuals:
    """One vector of all residuals, those that a mask leaves out left out."""
    weights = {term.weight for term in terms}
    factor = weights.pop() if len(weights) == 1 else math.copysign(1.0, terms[0].weight)
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.graph_copy(model.graph, copies)
    flat = []
    for term in terms:
        residual = copies[term.node]
        if term.minus is not None:
            residual = graph.call_function(operator.sub, (residual, copies[term.minus]))
        flat.append(graph.call_function(torch.reshape, (residual, (-1,))))
    graph.output(graph.call_function(torch.cat, (flat,)))
    module = fx.GraphModule(model, graph)
    module.graph.eliminate_dead_code()
    module.recompile()
    kept = torch.cat([_spread(term.mask, term.node) for term in terms]).to(torch.bool)
    scale = torch.cat(
        [
            (_spread(term.weights, term.node) * (term.weight / factor)).sqrt().to(torch.float64)
            for term in terms
        ]
    )[kept]
    shapes = {n: s for n, s in variable_shapes(model).items()}
    vector = VectorFunction(module, shapes)
    whole, weighted = bool(kept.all()), bool((scale != 1).any())
    index = torch.nonzero(kept).reshape(-1)

    def function(point: torch.Tensor) -> torch.Tensor:
        found = vector(point)
        found = found if whole else found[index]
        return found * scale if weighted else found

    observed = [_observed(term) for term in terms]
    known = sign = None
    if not weighted and all(item is not None for item in observed):
        known = torch.cat([item for item, _ in filter(None, observed)])[kept]
        sign = torch.cat([item for _, item in filter(None, observed)])[kept]
    smooth = not any(has_kink(node) for node in graph.nodes)
    return Residuals(function, factor, root, known, sign, smooth)


def has_kink(node: fx.Node) -> bool:
    """Whether a node bends or jumps, in one of its steps where it is a loop.

    A choice does, unless its test is constant or it guards a domain; so does a test that is
    counted with, as 1 or 0.
    """
    if node.op == "call_module":
        assert node.graph.owning_module is not None
        loop = node.graph.owning_module.get_submodule(str(node.target))
        return isinstance(loop, Recurrence) and any(map(has_kink, loop.body.graph.nodes))
    row = find_operator(node)
    if row is None:
        return node.op == "call_function"
    if row.bend is Bend.CHOICE:
        test = node.args[0 if row.name == "where" else 1]
        return not (_is_read(test) or facts(node).protects or facts(node).is_final)
    if row.name == "to":
        source = node.args[0]
        return value_of(source).dtype == torch.bool and not _is_read(source)
    return row.bend is not Bend.SMOOTH


def _is_read(item: object) -> bool:
    """Whether a node reads data, a parameter or an operand of a loop: it computes nothing."""
    return isinstance(item, fx.Node) and item.op in ("get_attr", "placeholder")


def _spread(item: torch.Tensor | None, node: fx.Node) -> torch.Tensor:
    """A constant in the flat shape of a node; 1 where there is none."""
    shape = value_of(node).shape
    if item is None:
        return torch.ones(shape.numel(), dtype=torch.float64)
    return item.expand(shape).reshape(-1)


def _observed(term: _Term) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Find the observed data of a residual, and its sign: 1 in model - data, -1 in data - model."""
    if term.minus is None and node_name(term.node) != "sub":
        return None
    shape = value_of(term.node).shape
    operands = term.node.args if term.minus is None else (term.node, term.minus)
    ones = torch.ones(shape.numel(), dtype=torch.float64)
    for item, sign in zip(operands, (-1, 1), strict=False):
        if isinstance(item, fx.Node) and item.op == "get_attr" and not _is_parameter(item):
            return value_of(item).to(torch.float64).expand(shape).reshape(-1), sign * ones
        if isinstance(item, int | float):
            return ones * float(item), sign * ones
    return None


def _is_parameter(node: fx.Node) -> bool:
    module = node.graph.owning_module
    return module is not None and node.target in dict(module.named_parameters())
