"""How far a coefficient or a limit of a linear program can move before its basis changes.

Solver's Allowable Increase and Decrease, by the ratio tests of the simplex method at the optimal
vertex (Chvátal, Linear Programming, 1983, chapter 10). Rows are taken as further variables, r = Ax.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xl2torch.linear_program import LinearProgram, Numbers

_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Ranging:
    """(increase, decrease) of the cost of each variable, and of the limit of each row."""

    costs: tuple[Numbers, Numbers]
    limits: tuple[Numbers, Numbers]


def ranging(program: LinearProgram, point: Numbers) -> Ranging:
    """Allowable changes at an optimal vertex, infinite where there is no limit."""
    count, width = program.matrix.shape
    values = np.append(point, program.matrix @ point)
    lower = np.append(program.lower, program.least)
    upper = np.append(program.upper, program.most)
    costs = np.append(program.costs, np.zeros(count))
    system = np.hstack([program.matrix, -np.eye(count)])
    basic = _basis(system, values, lower, upper)
    nonbasic = np.setdiff1d(np.arange(width + count), basic)
    # How the basic variables answer to the nonbasic ones, and what these are worth.
    answers = -np.linalg.solve(system[:, basic], system[:, nonbasic])
    reduced = costs[nonbasic] + costs[basic] @ answers
    fixed = lower[nonbasic] == upper[nonbasic]
    at_upper = np.isclose(values[nonbasic], upper[nonbasic]) & ~fixed
    up, down = np.full(width, np.inf), np.full(width, np.inf)
    for place, item in enumerate(nonbasic):
        if item < width:  # it stays at its bound as long as its reduced cost keeps its sign
            room = abs(reduced[place])
            if fixed[place]:
                continue
            (up if at_upper[place] else down)[item] = room
    for place, item in enumerate(basic):
        if item < width:
            moving = ~fixed & (np.abs(answers[place]) > _TINY)
            rises = moving & ((answers[place] < 0) != at_upper)
            falls = moving & ((answers[place] > 0) != at_upper)
            up[item] = np.abs(reduced[rises] / answers[place, rises]).min(initial=np.inf)
            down[item] = np.abs(reduced[falls] / answers[place, falls]).min(initial=np.inf)
    more, less = np.full(count, np.inf), np.full(count, np.inf)
    for row in range(count):
        item = width + row
        if item in nonbasic:
            answer = answers[:, np.flatnonzero(nonbasic == item)[0]]
            more[row] = _room(answer, values[basic], lower[basic], upper[basic])
            less[row] = _room(-answer, values[basic], lower[basic], upper[basic])
        elif np.isfinite(program.most[row]):  # not binding: its limit can come as near as it is
            less[row] = program.most[row] - values[item]
        else:
            more[row] = values[item] - program.least[row]
    return Ranging((up, down), (more, less))


def _basis(system: Numbers, values: Numbers, lower: Numbers, upper: Numbers) -> NDArray[np.intp]:
    """Columns that make a basis: those between their bounds first, then others that fit."""
    from scipy.linalg import qr

    scale = np.maximum(np.abs(values), 1.0)
    inside = (values - lower > _TINY * scale) & (upper - values > _TINY * scale)
    free = np.isneginf(lower) & np.isposinf(upper)
    chosen: list[int] = []
    for group in (np.flatnonzero(inside | free), np.flatnonzero(~(inside | free))):
        left = len(system) - len(chosen)
        if not left or not len(group):
            continue
        columns = system[:, group]
        if chosen:
            taken = system[:, chosen]
            columns = columns - taken @ np.linalg.lstsq(taken, columns, rcond=None)[0]
        factor, order = qr(columns, mode="r", pivoting=True)
        sizes = np.abs(np.diag(np.atleast_2d(factor)[: len(system)]))
        rank = int((sizes > _TINY * max(1.0, float(np.abs(system).max()))).sum())
        chosen += [int(group[place]) for place in order[: min(rank, left)]]
    return np.array(sorted(chosen), dtype=np.intp)


def _room(answer: Numbers, values: Numbers, lower: Numbers, upper: Numbers) -> float:
    """How far basic variables can go in a direction before one of them meets a bound."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(
            answer > _TINY, (upper - values) / answer,
            np.where(answer < -_TINY, (values - lower) / -answer, np.inf),
        )  # fmt: skip
    return max(0.0, float(ratios.min(initial=np.inf)))
