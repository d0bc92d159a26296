"""Models whose formulas are nonlinear in binary cells only, as linear programs.

Any function of a cell that is 0 or 1 is linear between the two: `IF(c=1, …)`, `SUMIF(c, 1, …)`. A
function of two such cells is linear but for their product, which becomes a variable of its own
between limits that leave it no choice (McCormick, Computability of global solutions to factorable
nonconvex programs, 1976). So a sum of such functions is known by what it is at 0, with one variable
at 1, and with two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from torch import fx

from xl2torch.analysis import highs
from xl2torch.analysis.linear_program import LinearProgram, Numbers, assembled
from xl2torch.analysis.linearity import is_linear, operands
from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.nodes import dependents, node_name, parameter_nodes
from xl2torch.ir.ops import Group, find_operator
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import (
    VectorFunction,
    range_function,
    values_at,
    variable_limits,
    variable_shapes,
)

_MOST_CELLS = 1_000
_MOST_PAIRS = 20_000
_MOST_DEGREE = 2
_NONE = -1
"""Stands for no variable."""
_TINY = 1e-12
"""Share of the size of a row at which a coefficient is rounding."""


@dataclass(frozen=True, eq=False)
class BinaryProgram:
    """A linear program whose last variables are ``products`` of two cells each."""

    program: LinearProgram
    products: int


_Cells = tuple[torch.Tensor, torch.Tensor]
"""For each element the places of up to two variables."""


@dataclass(frozen=True, eq=False)
class _Reach:
    """How a node depends on the variables.

    ``degree``: the most variables that meet in a term, ``loose``: the most that are not binary; a
    node is linear in each where the others are held. ``cells``: for each element the variables that
    it depends on, where these are no more than two.
    """

    degree: int
    loose: int
    cells: _Cells | None = None

    @property
    def allowed(self) -> bool:
        """Whether products of two variables, one of them binary, are all that there is."""
        return self.degree <= _MOST_DEGREE and self.loose <= 1


_ANY = _Reach(_MOST_DEGREE + 1, 2)


def binary_program(constraints: Constraints) -> BinaryProgram | None:
    """The linear program that a model is, thanks to its binary cells; None where it is none."""
    model = constraints.model
    lower, upper = variable_limits(model)
    binary = constraints.integer & (lower >= 0) & (upper <= 1)
    if model.drawn or not bool(binary.any()) or len(binary) > _MOST_CELLS:
        return None
    objective = VectorFunction(model.eval(), variable_shapes(model))
    sides = [range_function(module, len(objective.shapes)) for _, module in constraints.modules]
    reaches = [_reach(function, binary) for function in (objective, *sides)]
    if not all(reach.allowed for reach in reaches):
        return None
    joined = any(reach.degree == _MOST_DEGREE for reach in reaches)
    pairs = _pairs(binary) if joined else []
    if len(pairs) > _MOST_PAIRS:
        return None

    def rows(point: torch.Tensor) -> torch.Tensor:
        return torch.cat([objective(point), constraints.general_excess(point)])

    constant, single, joint = _coefficients(rows, len(binary), pairs)
    if not all(np.isfinite(part).all() for part in (constant, single, joint)):
        return None
    used = np.flatnonzero((joint != 0).any(axis=1))
    chosen = [pairs[place] for place in used]
    program = assembled(constraints, np.vstack([single, joint[used]]).T, constant)
    limits = _box(program, {place for pair in chosen for place in pair})
    if not all(np.isfinite(limit[second]) for limit in limits for _, second in chosen):
        return None
    return BinaryProgram(_with_limits(program, chosen, limits), len(chosen))


def _pairs(binary: torch.Tensor) -> list[tuple[int, int]]:
    """Pairs of variables of which the first, at least, is binary."""
    found = combinations(range(len(binary)), 2)
    some = [(i, j) if bool(binary[i]) else (j, i) for i, j in found if bool(binary[i] | binary[j])]
    return some


def _coefficients(
    rows: Callable[[torch.Tensor], torch.Tensor], count: int, pairs: Sequence[tuple[int, int]]
) -> tuple[Numbers, Numbers, Numbers]:
    """What rows are at 0, and their coefficients of each variable and of each product."""
    unit = torch.eye(count, dtype=torch.float64)
    with torch.no_grad():
        at_zero = rows(torch.zeros(count, dtype=torch.float64))
        single = values_at(rows, unit) - at_zero
        joint = torch.zeros(len(pairs), len(at_zero), dtype=torch.float64)
        if pairs:
            first, second = (torch.tensor(side) for side in zip(*pairs, strict=True))
            parts = [values_at(rows, unit[first[part]] + unit[second[part]])
                     for part in torch.split(torch.arange(len(pairs)), count)]  # fmt: skip
            joint = torch.cat(parts) - at_zero - single[first] - single[second]
    size = at_zero.abs() + single.abs().sum(0)
    joint = torch.where(joint.abs() <= _TINY * size, 0.0, joint)
    return at_zero.numpy(), single.numpy(), joint.numpy()


# ---------------------------------------------------------------- products


def _with_limits(
    program: LinearProgram, pairs: Sequence[tuple[int, int]], limits: tuple[Numbers, Numbers]
) -> LinearProgram:
    """The program with limits of the last variables, each of which is a product z = b·x.

    L·b <= z <= U·b, and x − U·(1−b) <= z <= x − L·(1−b), where x is between L and U.
    """
    count, width = len(pairs), len(program.costs)
    matrix, most = np.zeros((4 * count, width)), np.zeros(4 * count)
    for place, (first, second) in enumerate(pairs):
        least, largest = limits[0][second], limits[1][second]
        product, row = width - count + place, 4 * place
        matrix[row, [product, first]] = 1.0, -largest
        matrix[row + 1, [product, first]] = -1.0, least
        matrix[row + 2, [product, second, first]] = 1.0, -1.0, -least
        matrix[row + 3, [product, second, first]] = -1.0, 1.0, largest
        most[row + 2 : row + 4] = -least, largest
    return replace(
        program, matrix=np.vstack([program.matrix, matrix]), most=np.append(program.most, most),
        least=np.append(program.least, np.full(len(matrix), -np.inf)),
    )  # fmt: skip


def _box(program: LinearProgram, places: Collection[int]) -> tuple[Numbers, Numbers]:
    """Bounds of the variables; of some that have none, those that linear constraints leave."""
    lower, upper = program.lower.copy(), program.upper.copy()
    relaxed = replace(program, integer=np.zeros_like(program.integer))
    for place in sorted(places):
        for limits, sign in ((lower, 1.0), (upper, -1.0)):
            if not np.isfinite(limits[place]):
                costs = np.zeros_like(program.costs)
                costs[place] = sign
                found = highs.solve(replace(relaxed, costs=costs))
                if found.status is highs.Status.OPTIMAL and found.point is not None:
                    limits[place] = found.point[place]
    return lower, upper


# ---------------------------------------------------------------- degrees


def _reach(function: VectorFunction, binary: torch.Tensor) -> _Reach:
    """How what a program returns depends on the variables, which its parameters are in turn."""
    module = function.module
    assert isinstance(module, fx.GraphModule)
    starts: dict[str, int] = {}
    place = 0
    for name, shape in function.shapes.items():
        starts[name] = place
        place += shape.numel()
    known: dict[fx.Node, _Reach] = {}
    sources = parameter_nodes(module)
    traced = dependents(module.graph, sources)
    for node in module.graph.nodes:
        if node in sources:
            shape = function.shapes[str(node.target)]
            own = torch.arange(shape.numel()).reshape(shape) + starts[str(node.target)]
            known[node] = _single((own, torch.full_like(own, _NONE)), binary)
        elif node.op == "output":
            last = [known[item] for item in node.all_input_nodes if item in known]
            return last[0] if last else _Reach(0, 0)
        elif node in traced:
            found = _reach_of(module, node, known, traced, binary)
            if not found.allowed:
                return found
            known[node] = found
    return _ANY


def _reach_of(
    module: fx.GraphModule, node: fx.Node, known: dict[fx.Node, _Reach],
    traced: Collection[fx.Node], binary: torch.Tensor,
) -> _Reach:  # fmt: skip
    row = find_operator(node)
    items = {place: item for place, item in enumerate(operands(node.args)) if item in traced}
    moving = [known[item] for item in items.values() if isinstance(item, fx.Node)]
    if row is None:  # a loop
        return _larger(moving, None) if is_linear(module, node, traced) else _ANY
    if row.group is Group.FILL:
        none = torch.full(value_of(node).shape, _NONE)
        return _Reach(0, 0, (none, none))
    cells = None
    moves = row.moves and row.is_linear_in(items.keys())  # and the places are known
    if all(item.cells is not None for item in moving):
        if moves:
            cells = _moved(node, known)
        elif row.is_elementwise:
            cells = _met(node, known)
    if cells is not None and (moves or _is_binary(cells, binary)):
        return _single(cells, binary)
    together = _larger(moving, cells)
    name = row.name
    if is_linear(module, node, traced) or name in ("logical_not", "to"):
        return together
    if row.factors or row.group is Group.LOGICAL:
        return _product(moving, cells)  # so are truth values: a OR b is a + b - a·b
    if name == "square" or (name == "pow" and node.args[1] == 2):
        return _product([together, together], cells)
    if name == "where" and _is_nan(node.args[2]):
        return _larger(moving, cells)  # where it is an error, a coefficient is no number
    if name == "where" and node.args[0] in traced:
        return _product([moving[0], _larger(moving[1:], cells)], cells)
    return _ANY


def _is_nan(item: object) -> bool:
    return isinstance(item, float) and math.isnan(item)


def _single(cells: _Cells, binary: torch.Tensor) -> _Reach:
    """Elements that depend on the variables named alone."""
    degree = 1 if bool((cells[1] == _NONE).all()) else 2
    return _Reach(degree, 0 if _is_binary(cells, binary) else 1, cells)


def _larger(parts: Sequence[_Reach], cells: _Cells | None) -> _Reach:
    """A sum of parts, or one of them."""
    degree = max((part.degree for part in parts), default=0)
    return _Reach(degree, max((part.loose for part in parts), default=0), cells)


def _product(factors: Sequence[_Reach], cells: _Cells | None) -> _Reach:
    return _Reach(sum(item.degree for item in factors), sum(item.loose for item in factors), cells)


def _is_binary(cells: _Cells, binary: torch.Tensor) -> bool:
    places = torch.cat([side[side != _NONE].reshape(-1) for side in cells])
    return bool(binary[places].all())


def _moved(node: fx.Node, known: dict[fx.Node, _Reach]) -> _Cells | None:
    """Where the variables of the elements go; None where that cannot be told."""

    def side(which: int) -> torch.Tensor:
        def of(item: fx.Node) -> torch.Tensor:
            if item in known:
                cells = known[item].cells
                assert cells is not None
                return cells[which]
            value = value_of(item)
            joined = node_name(node) in ("stack", "cat")
            return torch.full(value.shape, _NONE) if joined else value

        arguments = fx.node.map_arg(node.args, of)
        options = fx.node.map_arg(node.kwargs, of)
        return node.target(*arguments, **options)  # type: ignore[operator, no-any-return]

    if not isinstance(facts(node).value, torch.Tensor):
        return None
    try:
        return side(0), side(1)
    except (RuntimeError, TypeError, IndexError):
        return None


def _met(node: fx.Node, known: dict[fx.Node, _Reach]) -> _Cells | None:
    """The variables that meet in each element; None where there are more than two."""
    shape = value_of(node).shape
    sides = []
    for item in node.all_input_nodes:
        if item not in known:
            continue
        cells = known[item].cells
        assert cells is not None
        try:
            sides += [torch.broadcast_to(side, shape) for side in cells]
        except RuntimeError:
            return None
    # The largest two that differ: in descending order, none (-1) comes last.
    found = torch.stack(sides).sort(0, descending=True).values
    first = found[0]
    other = torch.where(found == first, _NONE, found)
    second = other.amax(0)
    third = torch.where(other == second, _NONE, other).amax(0)
    return None if bool((third != _NONE).any()) else (first, second)
