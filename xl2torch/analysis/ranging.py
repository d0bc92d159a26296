"""How far a coefficient or a limit of a linear program can move before its basis changes.

Solver's Allowable Increase and Decrease, by the ratio tests of the simplex method at the optimal
basis (Chvátal, Linear Programming, 1983, chapter 10). Rows are taken as further variables, r = Ax.
Where a vertex is degenerate it has several bases: the ranges are those of one, so never too wide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xl2torch.analysis.highs import Vertex
from xl2torch.analysis.linear_program import LinearProgram, Numbers

_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Ranging:
    """(increase, decrease) of the cost of each variable, and of the limit of each row."""

    costs: tuple[Numbers, Numbers]
    limits: tuple[Numbers, Numbers]


def ranging(program: LinearProgram, point: Numbers, vertex: Vertex) -> Ranging:
    """Allowable changes at an optimal vertex with its basis, infinite where there is no limit."""
    count, width = program.matrix.shape
    values = np.append(point, program.matrix @ point)
    lower = np.append(program.lower, program.least)
    upper = np.append(program.upper, program.most)
    costs = np.append(program.costs, np.zeros(count))
    system = np.hstack([program.matrix, -np.eye(count)])
    basic, nonbasic = np.flatnonzero(vertex.basic), np.flatnonzero(~vertex.basic)
    # How the basic variables answer to the nonbasic ones, and what these are worth.
    answers = -np.linalg.solve(system[:, basic], system[:, nonbasic])
    reduced = costs[nonbasic] + costs[basic] @ answers
    fixed = lower[nonbasic] == upper[nonbasic]
    free = np.isneginf(lower[nonbasic]) & np.isposinf(upper[nonbasic])
    at_upper = vertex.at_upper[nonbasic] & ~fixed
    # What a nonbasic variable may do: go up from its lower bound, down from its upper one.
    goes_up, goes_down = ~fixed & (~at_upper | free), ~fixed & (at_upper | free)
    up, down = np.full(width, np.inf), np.full(width, np.inf)
    for place, item in enumerate(nonbasic):
        if item < width:  # it stays at its bound as long as its reduced cost keeps its sign
            room = abs(reduced[place])
            if goes_up[place]:
                down[item] = room
            if goes_down[place]:
                up[item] = room
    for place, item in enumerate(basic):
        if item < width:
            falls = answers[place] < -_TINY
            rises = answers[place] > _TINY
            cheaper = (rises & goes_up) | (falls & goes_down)
            dearer = (falls & goes_up) | (rises & goes_down)
            up[item] = _least_ratio(reduced, answers[place], dearer)
            down[item] = _least_ratio(reduced, answers[place], cheaper)
    more, less = np.full(count, np.inf), np.full(count, np.inf)
    for row in range(count):
        item = width + row
        if not vertex.basic[item]:
            answer = answers[:, np.flatnonzero(nonbasic == item)[0]]
            more[row] = _room(answer, values[basic], lower[basic], upper[basic])
            less[row] = _room(-answer, values[basic], lower[basic], upper[basic])
        elif program.least[row] == program.most[row]:  # others imply it: it cannot move alone
            more[row] = less[row] = 0.0
        elif np.isfinite(program.most[row]):  # not binding: its limit can come as near as it is
            less[row] = max(0.0, program.most[row] - values[item])
        else:
            more[row] = max(0.0, values[item] - program.least[row])
    return Ranging((up, down), (more, less))


def _least_ratio(reduced: Numbers, answers: Numbers, where: NDArray[np.bool_]) -> float:
    """How far a cost can move before the first reduced cost changes its sign."""
    return float(np.abs(reduced[where] / answers[where]).min(initial=np.inf))


def _room(answer: Numbers, values: Numbers, lower: Numbers, upper: Numbers) -> float:
    """How far basic variables can go in a direction before one of them meets a bound."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(
            answer > _TINY, (upper - values) / answer,
            np.where(answer < -_TINY, (values - lower) / -answer, np.inf),
        )  # fmt: skip
    return max(0.0, float(ratios.min(initial=np.inf)))
