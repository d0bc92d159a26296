"""The Sensitivity Report: signs and values against known optima and against moved limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpus import WORKBOOKS
from solver_books import HS71_CONSTRAINTS, below, hs71, model_book, shown, standing

import xl2torch
from xl2torch.reports.outcome import ReportContext
from xl2torch.reports.sensitivity import sensitivity

TITLE = "Sensitivity Report 1"


def test_hs71(tmp_path: Path) -> None:
    """excel-solver.md, 3.2: 1.08787 for x1, 0.55229 and -0.16147 for the constraints."""
    found = sensitivity(ReportContext.of(standing(hs71(tmp_path))))
    assert [line.derivative for line in found.variables] == pytest.approx(
        [1.08787, 0, 0, 0], abs=1e-4
    )
    assert [line.derivative for line in found.constraints] == pytest.approx(
        [0.55229, -0.16147], abs=1e-5
    )
    assert found.optimal and found.unique


def test_the_sheet_is_laid_out_as_solvers(tmp_path: Path) -> None:
    xl2torch.save(standing(hs71(tmp_path)), tmp_path / "out.xlsx", reports="sensitivity")
    rows = shown(tmp_path / "out.xlsx", TITLE)
    assert rows[0] == [f"xl2torch {xl2torch.__version__} Sensitivity Report"]
    assert rows[5:8] == [
        ["Variable Cells"], [None, None, None, "Final", "Reduced"],
        [None, "Cell", "Name", "Value", "Gradient"],
    ]  # fmt: skip
    assert rows[13:16] == [
        ["Constraints"], [None, None, None, "Final", "Lagrange"],
        [None, "Cell", "Name", "Value", "Multiplier"],
    ]  # fmt: skip
    assert below(rows, "Variable Cells", 2)[0] == [
        "$B$2", "x1 value", 1.0, pytest.approx(1.08787, abs=1e-4),
    ]  # fmt: skip
    assert [line[0] for line in below(rows, "Constraints", 2)] == ["$B$8", "$B$9"]
    assert len(rows) == 18  # and no remark


QUADRATIC = "B1 {0}\nB2 {1}\nB3 =(B1-3)^2+2*(B2-4)^2 | 0\nB4 =B1+B2 | {2}\nB5 =B1*B2 | 1"


@pytest.mark.parametrize("sense", ["2", "1"])
def test_against_moved_limits(tmp_path: Path, sense: str) -> None:
    """min (x-3)²+2(y-4)², x+y <= 4 and its mirror image: the derivative by the limit, 4."""

    def best(limit: float) -> tuple[float, float, float]:
        # Lagrange: 2(x-3) = 4(y-4), x+y = limit
        y = (2 * (limit - 3) + 16) / 6
        return limit - y, y, (limit - y - 3) ** 2 + 2 * (y - 4) ** 2

    x, y, _ = best(4.0)
    table = QUADRATIC.format(x, y, 4)
    sign = 1.0 if sense == "2" else -1.0
    if sense == "1":
        table = table.replace("=(B1-3)^2+2*(B2-4)^2", "=-(B1-3)^2-2*(B2-4)^2").replace(
            "=-(B1-3)^2", "=0-(B1-3)^2"
        )
    book = model_book(
        tmp_path / "b.xlsx", table, "$B$3", "$B$1:$B$2", [("$B$4", "1", "4"), ("$B$5", "1", "1e6")],
        int(sense),
    )  # fmt: skip
    found = sensitivity(ReportContext.of(standing(book)))
    step = 1e-4
    moved = sign * (best(4 + step)[2] - best(4 - step)[2]) / (2 * step)
    assert [line.derivative for line in found.constraints] == pytest.approx([moved, 0.0])
    assert [line.derivative for line in found.variables] == [0.0, 0.0]
    assert found.optimal


def test_a_linear_program_has_its_duals(tmp_path: Path) -> None:
    """max 3x+5y, x <= 4, 2y <= 12, 3x+2y <= 18 (Hillier and Lieberman): duals 0, 1.5, 1."""
    table = "B1 2\nB2 6\nB3 =3*B1+5*B2 | 36\nB4 =B1*1 | 2\nB5 =2*B2 | 12\nB6 =3*B1+2*B2 | 18"
    constraints = [("$B$4", "1", "4"), ("$B$5", "1", "12"), ("$B$6", "1", "18")]
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1:$B$2", constraints, 1)
    found = sensitivity(ReportContext.of(standing(book)))
    assert [line.derivative for line in found.constraints] == pytest.approx([0, 1.5, 1])
    assert [line.value for line in found.constraints] == [2, 12, 18]


def test_a_variable_at_its_bound(tmp_path: Path) -> None:
    """min (x-3)²: x <= 1 costs 4 less for each unit that it is lifted."""
    book = model_book(
        tmp_path / "b.xlsx", "B1 1\nB2 7\nB3 =(B1-3)^2+(B2-7)^2 | 4", "$B$3", "$B$1:$B$2",
        [("$B$1", "1", "1"), ("$B$2", "3", "0")],
    )  # fmt: skip
    found = sensitivity(ReportContext.of(standing(book)))
    assert [line.derivative for line in found.variables] == [-4.0, 0.0]
    assert found.constraints == ()


def test_a_point_that_is_not_optimal_is_told(tmp_path: Path) -> None:
    book = model_book(tmp_path / "b.xlsx", "B1 5\nB3 =(B1-3)^2 | 4", "$B$3", "$B$1")
    found = sensitivity(ReportContext.of(standing(book)))
    assert [line.derivative for line in found.variables] == [4.0] and not found.optimal
    xl2torch.save(standing(book), tmp_path / "out.xlsx", reports="sensitivity")
    assert "not optimal" in str(shown(tmp_path / "out.xlsx", TITLE)[-2][1])


@pytest.mark.parametrize(
    ("objective", "sense", "bounds", "optimal"),
    [
        ("=3*B1", "2", ("1", "1"), False),  # min, at its upper bound: down is the way inside
        ("=3*B1", "2", ("3", "1"), True),
        ("=3*B1", "1", ("3", "1"), False),
        ("=3*B1", "1", ("1", "1"), True),
        ("=3*B1", "1", ("2", "1"), True),  # an equality holds it from both sides
        ("=3*B1", "2", ("2", "1"), True),
    ],
)
def test_a_bound_that_holds_nothing_back(
    tmp_path: Path, objective: str, sense: str, bounds: tuple[str, str], optimal: bool
) -> None:
    book = model_book(tmp_path / "b.xlsx", f"B1 1\nB3 {objective} | 3", "$B$3", "$B$1",
                      [("$B$1", *bounds)], int(sense))  # fmt: skip
    found = sensitivity(ReportContext.of(standing(book)))
    assert found.optimal is optimal
    assert found.variables[0].derivative == 3.0


def test_constraints_that_depend_on_each_other_are_told(tmp_path: Path) -> None:
    table = "B1 2\nB2 2\nB3 =B1^2+B2^2 | 8\nB4 =B1+B2 | 4\nB5 =2*B1+2*B2 | 8"
    constraints = [("$B$4", "3", "4"), ("$B$5", "3", "8")]
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1:$B$2", constraints)
    found = sensitivity(ReportContext.of(standing(book)))
    assert not found.unique and found.optimal
    first, second = (line.derivative for line in found.constraints)
    assert first + 2 * second == pytest.approx(4.0) and first >= 0 and second >= 0


def test_a_binding_constraint_that_holds_nothing_back(tmp_path: Path) -> None:
    """At x = 1 the optimum is reached by itself: the multiplier is 0, not negative."""
    book = model_book(tmp_path / "b.xlsx", "B1 1\nB2 =B1*2 | 2\nB3 =(B1-1)^2 | 0", "$B$3", "$B$1",
                      [("$B$2", "1", "2")])  # fmt: skip
    found = sensitivity(ReportContext.of(standing(book)))
    assert [line.derivative for line in found.constraints] == [0.0]


def test_a_target_that_is_reached_has_no_price(tmp_path: Path) -> None:
    book = model_book(tmp_path / "b.xlsx", "B1 3\nB3 =B1^2 | 9", "$B$3", "$B$1", sense=3)
    model = xl2torch.compile(xl2torch.load(book), sense="value=9")
    found = sensitivity(ReportContext.of(xl2torch.fit(model)))
    assert [line.derivative for line in found.variables] == [0.0] and found.optimal


def test_least_squares_have_no_slope_left(tmp_path: Path) -> None:
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(WORKBOOKS / "quadratic.xlsx")))
    frames = xl2torch.report(result, "sensitivity")
    assert (frames["variables"]["derivative"] == 0).all() and frames["constraints"].empty


def test_moving_the_stored_limits_of_hs71(tmp_path: Path) -> None:
    """The multipliers predict the optimum of a neighbouring problem (scipy's SLSQP)."""
    from scipy.optimize import minimize

    def best(product: float, squares: float) -> float:
        found = minimize(
            lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2], [1, 4.7, 3.8, 1.4],
            method="SLSQP", bounds=[(1, 5)] * 4, options={"ftol": 1e-14},
            constraints=[
                {"type": "ineq", "fun": lambda x: np.prod(x) - product},
                {"type": "eq", "fun": lambda x: (x**2).sum() - squares},
            ],
        )  # fmt: skip
        return float(found.fun)

    assert len(HS71_CONSTRAINTS) == 4
    found = sensitivity(ReportContext.of(standing(hs71(tmp_path)))).constraints
    step = 1e-3
    moved = [
        (best(25 + step, 40) - best(25 - step, 40)) / (2 * step),
        (best(25, 40 + step) - best(25, 40 - step)) / (2 * step),
    ]
    assert [line.derivative for line in found] == pytest.approx(moved, abs=1e-4)


@pytest.mark.parametrize("seed", range(25))
def test_prices_of_a_transport_model_are_dual_feasible(tmp_path: Path, seed: int) -> None:
    """Supplies and demands that balance make it degenerate: u <= 0, v >= 0, c - u - v >= 0."""
    random = np.random.default_rng(seed)
    costs = random.integers(1, 10, (3, 3))
    demand = 10 * random.integers(1, 4, 3)
    supply = np.array([*demand[:2], demand[2]])[random.permutation(3)]
    lines = [f"{'BCD'[j]}{2 + i} 0" for i in range(3) for j in range(3)]
    lines += [f"{'BCD'[j]}{6 + i} {costs[i, j]}" for i in range(3) for j in range(3)]
    lines += [f"F{2 + i} =SUM(B{2 + i}:D{2 + i}) | 0" for i in range(3)]
    lines += [f"{c}5 =SUM({c}2:{c}4) | 0" for c in "BCD"]
    lines += [f"G{2 + i} {supply[i]}" for i in range(3)]
    lines += [f"{'BCD'[j]}9 {demand[j]}" for j in range(3)]
    lines += ["B10 =SUMPRODUCT(B2:D4,B6:D8) | 0"]
    book = model_book(
        tmp_path / "b.xlsx", "\n".join(lines), "$B$10", "$B$2:$D$4",
        [("$F$2:$F$4", "1", "Model!$G$2:$G$4"), ("$B$5:$D$5", "3", "Model!$B$9:$D$9")], 2,
        {"neg": "1"},
    )  # fmt: skip
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(book)))
    found = sensitivity(ReportContext.of(result))
    prices = np.array([line.derivative for line in found.constraints])
    reduced = np.array([line.derivative for line in found.variables]).reshape(3, 3)
    assert found.optimal
    assert (prices[:3] <= 1e-9).all() and (prices[3:] >= -1e-9).all() and (reduced >= -1e-9).all()
    assert reduced == pytest.approx(costs - prices[:3, None] - prices[None, 3:])
    assert prices @ np.append(supply, demand) == pytest.approx(result.final)
    ranges = np.array([[line.increase, line.decrease] for line in found.variables])
    assert (ranges[reduced.reshape(-1) > 1e-9, 1] <= reduced[reduced > 1e-9] + 1e-9).all()
