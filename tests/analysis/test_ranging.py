"""Allowable changes of linear programs: inside them the vertex stays, beyond it moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, linprog, milp

from xl2torch.analysis import highs
from xl2torch.analysis.linear_program import LinearProgram
from xl2torch.analysis.ranging import Ranging, ranging


def ranges(program: LinearProgram, point: np.ndarray) -> Ranging:
    """Ranges at the vertex that HiGHS finds, which is the point."""
    found = highs.solve(program)
    assert found.vertex is not None and found.point == pytest.approx(point)
    return ranging(program, point, found.vertex)


def solved(program: LinearProgram) -> tuple[np.ndarray, float]:
    limits = LinearConstraint(program.matrix, program.least, program.most)
    bounds = np.column_stack([program.lower, program.upper])
    found = milp(program.costs, constraints=limits, bounds=(bounds[:, 0], bounds[:, 1]))
    return found.x, np.nan if found.fun is None else found.fun


def random_program(seed: int) -> LinearProgram:
    """A program with a vertex that is not degenerate: its coefficients have no relation."""
    random = np.random.default_rng(seed)
    matrix = random.uniform(0.1, 1.0, (4, 5))
    most = matrix @ random.uniform(0.5, 1.5, 5)
    least = np.where(np.arange(4) == 1, most, -np.inf)
    costs = -random.uniform(0.1, 1.0, 5)
    return LinearProgram(
        costs, matrix, least, most, np.zeros(5), np.full(5, 2.0), np.zeros(5, dtype=bool)
    )


@pytest.mark.parametrize("seed", range(12))
def test_costs_move_as_far_as_told(seed: int) -> None:
    program = random_program(seed)
    point, _ = solved(program)
    up, down = ranges(program, point).costs
    for place in range(5):
        for room, sign in ((up[place], 1.0), (down[place], -1.0)):
            for share, stays in ((0.99, True), (1.01, False)):
                if not np.isfinite(room):
                    continue
                costs = program.costs.copy()
                costs[place] += sign * room * share
                moved, _ = solved(replace(program, costs=costs))
                assert np.allclose(moved, point, atol=1e-7) == stays


@pytest.mark.parametrize("seed", range(12))
def test_limits_move_as_far_as_told(seed: int) -> None:
    """The shadow price holds inside the range, and no longer beyond it."""
    program = random_program(seed)
    point, best = solved(program)
    more, less = ranges(program, point).limits
    for row in range(4):
        for room, sign in ((more[row], 1.0), (less[row], -1.0)):
            if not np.isfinite(room) or room < 1e-6 or program.least[row] == program.most[row]:
                continue

            def change(share: float, row: int = row, step: float = sign * room) -> float:
                most = program.most.copy()
                most[row] += step * share
                least = np.where(np.isfinite(program.least), most, -np.inf)
                return (solved(replace(program, most=most, least=least))[1] - best) / share

            price = change(1e-3)
            assert change(0.99) == pytest.approx(price, abs=1e-6)
            assert change(1.2) != pytest.approx(price, abs=1e-7)


def test_a_known_model() -> None:
    """Hillier and Lieberman's Wyndor Glass: profits 3 (+4.5, -3) and 5 (unlimited, -3)."""
    none = np.full(3, -np.inf)
    program = LinearProgram(
        np.array([-3.0, -5.0]), np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 2.0]]), none,
        np.array([4.0, 12.0, 18.0]), np.zeros(2), np.full(2, np.inf), np.zeros(2, dtype=bool),
    )  # fmt: skip
    assert linprog(program.costs, program.matrix, program.most).x.tolist() == [2.0, 6.0]
    found = ranges(program, np.array([2.0, 6.0]))
    assert found.costs[0].tolist() == [3.0, 3.0]
    assert found.costs[1].tolist() == pytest.approx([4.5, np.inf])
    assert found.limits[0].tolist() == pytest.approx([np.inf, 6.0, 6.0])
    assert found.limits[1].tolist() == pytest.approx([2.0, 6.0, 6.0])
