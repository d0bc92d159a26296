"""Linear models, with or without integers, by HiGHS.

(Huangfu and Hall, Parallelizing the dual revised simplex method, Math. Prog. Comp. 10, 2018.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from xl2torch.constraints import Constraints
from xl2torch.linear_program import LinearProgram, Numbers, linear_program
from xl2torch.training.choice import integer_tolerance
from xl2torch.training.diagnosis import named
from xl2torch.training.loss import Loss
from xl2torch.training.record import Record
from xl2torch.training.stopping import Stop
from xl2torch.workbook.solver_model import number_option

_OPTIMAL, _LIMIT, _INFEASIBLE, _UNBOUNDED, _OTHER = 0, 1, 2, 3, 4
"""scipy's codes of what became of a linear program."""
_EXACT_GAP = 1e-9
_UNLIMITED = 2**31 - 1
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class _Solution:
    code: int
    point: Numbers | None
    nodes: int = 0
    gap: float = 0.0
    prices: Numbers | None = None


def solve_linear(loss: Loss, constraints: Constraints, record: Record) -> tuple[Stop, int]:
    """Solve, note the answer, and say how many subproblems there were."""
    program = linear_program(constraints, loss.point)
    options = loss.model.problem.options
    gap = integer_tolerance(options)
    nodes = number_option(options, "nod", np.inf)
    found = _solve(program, gap, record.seconds_left, nodes)
    if found.point is not None:
        loss.at(torch.from_numpy(_rounded(program, found.point, record)))
        record.note()
        # A start that is no whole number may be lower: it is no answer.
        record.keep(constraints.overstep(loss.point)[0])
    escape = "" if found.code in (_OPTIMAL, _LIMIT, _INFEASIBLE) else _escape(program, constraints)
    if found.code == _INFEASIBLE:
        return Stop(5, _conflict(program, constraints), True), found.nodes
    if escape:
        return Stop(4, escape, True), found.nodes
    if found.code == _LIMIT:
        out_of_time = record.seconds_left == 0
        kept = record.feasible
        detail = "" if kept else "No point that keeps all constraints was met."
        return Stop(10 if out_of_time else 16 if program.integer.any() else 3, detail), found.nodes
    if found.code != _OPTIMAL:
        return Stop(2, "HiGHS ended without an answer: the coefficients may be too far apart in "
                    "size."), found.nodes  # fmt: skip
    if found.gap > _EXACT_GAP:
        return Stop(14, f"The best possible objective is at most {found.gap:.2%} better."), (
            found.nodes
        )
    return Stop(0), found.nodes


def _with(program: LinearProgram, **changes: Any) -> LinearProgram:
    return LinearProgram(**(vars(program) | changes))


def _sizes(program: LinearProgram) -> tuple[Numbers, Numbers]:
    """Units of rows and columns, powers of two, that bring coefficients and costs near 1."""
    matrix = np.abs(np.vstack([program.matrix, program.costs]))
    columns = np.ones(matrix.shape[1])
    rows = np.ones(matrix.shape[0])
    for _ in range(3):
        rows = _middle(matrix / columns, 1)
        columns = np.where(program.integer, 1.0, _middle(matrix / rows[:, None], 0))
    return rows[:-1], columns


def _middle(matrix: Numbers, axis: int) -> Numbers:
    """Geometric mean of the smallest and the largest number, rounded to a power of two; else 1."""
    if not matrix.size:
        return np.ones(matrix.shape[1 - axis])
    largest = matrix.max(axis)
    smallest = np.where(matrix > 0, matrix, np.inf).min(axis)
    some = largest > 0
    logs = np.log2(np.where(some, largest, 1.0)) + np.log2(np.where(some, smallest, 1.0))
    return np.asarray(2.0 ** np.round(logs / 2))


def _solve(program: LinearProgram, gap: float, seconds: float, nodes: float) -> _Solution:
    """HiGHS by scipy: the simplex method, or branch and bound where there are integers."""
    from scipy.optimize import Bounds, LinearConstraint, linprog, milp

    rows, columns = _sizes(program)
    matrix = program.matrix / rows[:, None] / columns
    least, most = program.least / rows, program.most / rows
    lower, upper = program.lower * columns, program.upper * columns
    costs = program.costs / columns
    # HiGHS's tolerances are absolute: costs are made larger, never smaller.
    largest = float(np.abs(costs).max(initial=0.0))
    size = largest if 0 < largest < 1 else 1.0
    if program.integer.any():
        options: dict[str, float] = {"mip_rel_gap": gap}
        if np.isfinite(seconds):
            options["time_limit"] = seconds
        if nodes < _UNLIMITED:
            options["node_limit"] = int(nodes)
        whole = milp(
            costs / size, integrality=program.integer.astype(int), bounds=Bounds(lower, upper),
            constraints=LinearConstraint(matrix, least, most) if len(matrix) else None,
            options=options,
        )  # fmt: skip
        point = None if whole.x is None else np.asarray(whole.x) / columns
        # A limit of nodes is among what scipy calls other reasons.
        stopped = whole.status == _OTHER and nodes < _UNLIMITED
        return _Solution(
            _LIMIT if stopped else int(whole.status), point,
            int(whole.get("mip_node_count") or 0),
            float(whole.get("mip_gap") or 0.0),
        )  # fmt: skip
    equal = least == most
    above, below = np.isfinite(most) & ~equal, np.isfinite(least) & ~equal
    options = {"time_limit": seconds} if np.isfinite(seconds) else {}
    found = linprog(
        costs / size, np.vstack([matrix[above], -matrix[below]]),
        np.append(most[above], -least[below]), matrix[equal], most[equal],
        np.column_stack([lower, upper]), method="highs-ds", options=options,
    )  # fmt: skip
    if found.x is None:
        return _Solution(int(found.status), None)
    prices = np.zeros(len(matrix))
    prices[equal] = found.eqlin.marginals
    prices[above] += found.ineqlin.marginals[: above.sum()]
    prices[below] -= found.ineqlin.marginals[above.sum() :]
    return _Solution(int(found.status), np.asarray(found.x) / columns, prices=prices)


def _rounded(program: LinearProgram, point: Numbers, record: Record) -> Numbers:
    """Integers without the rounding of the method, the other variables once more with these."""
    point = np.clip(point, program.lower, program.upper)
    if not program.integer.any():
        return point
    whole = np.round(point)
    fixed = _with(
        program, lower=np.where(program.integer, whole, program.lower),
        upper=np.where(program.integer, whole, program.upper),
        integer=np.zeros_like(program.integer),
    )  # fmt: skip
    if program.integer.all():
        return whole
    again = _solve(fixed, 0.0, max(record.seconds_left, 1.0), np.inf)
    return point if again.point is None else np.where(program.integer, whole, again.point)


def _conflict(program: LinearProgram, constraints: Constraints) -> str:
    """Constraints that cannot be kept together.

    Each is allowed to be overstepped at a price; those with a price of their own at the least total
    are the ones that meet (Farkas' lemma).
    """
    count, width = program.matrix.shape
    elastic = LinearProgram(
        np.append(np.zeros(width), np.ones(2 * count)),
        np.hstack([program.matrix, np.eye(count), -np.eye(count)]), program.least, program.most,
        np.append(program.lower, np.zeros(2 * count)),
        np.append(program.upper, np.full(2 * count, np.inf)),
        np.zeros(width + 2 * count, dtype=bool),
    )  # fmt: skip
    found = _solve(elastic, 0.0, np.inf, np.inf)
    if found.point is None or found.prices is None:
        return ""
    slack = found.point[width:].reshape(2, count).sum(0)
    if slack.max(initial=0.0) <= _TINY:
        return "Without the integer constraints all others could be kept: loosen these, or a limit."
    meeting = np.flatnonzero(np.abs(found.prices) > _TINY)
    limits = [constraints.limits[place] for place in constraints.general]
    names = [
        limits[row].text if row < len(limits) else "the target of the objective" for row in meeting
    ]
    if len(names) == 1:
        return f"This cannot be kept within the bounds of the variable cells: {names[0]}."
    return f"These cannot be kept together: {'; '.join(names[:8])}. Loosen or drop one of them."


def _escape(program: LinearProgram, constraints: Constraints) -> str:
    """Which variable cells can change without end while the objective gets better; '' for none.

    A direction in which all limits are kept for ever, and the objective falls, proves it; and that
    some point keeps the limits.
    """
    if _solve(_with(program, costs=np.zeros_like(program.costs)), 0.0, np.inf, np.inf).code:
        return ""
    ray = LinearProgram(
        program.costs, program.matrix, np.where(np.isfinite(program.least), 0.0, -np.inf),
        np.where(np.isfinite(program.most), 0.0, np.inf),
        np.where(np.isfinite(program.lower), 0.0, -1.0),
        np.where(np.isfinite(program.upper), 0.0, 1.0), np.zeros_like(program.integer),
    )  # fmt: skip
    found = _solve(ray, 0.0, np.inf, np.inf)
    cells = list(constraints.model.cell_values())
    point = np.zeros(len(cells)) if found.point is None else found.point
    if program.costs @ point >= 0:
        return ""
    matters = (program.costs != 0) | (program.matrix != 0).any(0)
    names = named([cells[place] for place in np.flatnonzero(matters & (np.abs(point) > _TINY))])
    return (
        f"The objective has no limit: {names} can change without end. "
        "Add bounds or a constraint, or another --sense."
    )
