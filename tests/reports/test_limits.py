"""The Limits Report: how far each variable can go by itself."""

from __future__ import annotations

from math import inf, nan, sqrt
from pathlib import Path

import pytest
from solver_books import hs71, model_book, shown, standing

import xl2torch
from xl2torch.reports.limits import LimitLine, limits
from xl2torch.reports.outcome import ReportContext

TITLE = "Limits Report 1"


def ends(line: LimitLine) -> list[float]:
    return [line.lower, line.at_lower, line.upper, line.at_upper]


def test_bounds_and_none(tmp_path: Path) -> None:
    book = model_book(
        tmp_path / "b.xlsx", "B1 1\nB2 7\nB3 =(B1-3)^2+(B2-7)^2 | 4", "$B$3", "$B$1:$B$2",
        [("$B$1", "1", "2"), ("$B$1", "3", "-1")],
    )  # fmt: skip
    found = limits(ReportContext.of(standing(book)))
    assert [ends(line) for line in found.variables] == [
        [-1, 16, 2, 1], pytest.approx([-inf, nan, inf, nan], nan_ok=True),
    ]  # fmt: skip


def test_constraints_on_the_way(tmp_path: Path) -> None:
    """x + y <= 5 and x² >= 1 from (2, 1): x from 1 to 4, y from below to 3."""
    table = "B1 2\nB2 1\nB3 =B1*B2 | 2\nB4 =B1+B2 | 3\nB5 =B1^2 | 4"
    constraints = [("$B$4", "1", "5"), ("$B$5", "3", "1")]
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1:$B$2", constraints)
    first, second = limits(ReportContext.of(standing(book))).variables
    assert ends(first) == pytest.approx([1, 1, 4, 4], rel=1e-9)
    assert ends(second) == pytest.approx([-inf, nan, 3, 6], rel=1e-9, nan_ok=True)


def test_a_bound_before_a_constraint(tmp_path: Path) -> None:
    table = "B1 0\nB3 =B1*1 | 0\nB4 =B1^2 | 0"
    constraints = [("$B$4", "1", "16"), ("$B$1", "1", "3")]
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1", constraints, 1)
    (line,) = limits(ReportContext.of(standing(book))).variables
    assert ends(line) == pytest.approx([-4, -4, 3, 3], rel=1e-9)


def test_an_equality_leaves_no_room(tmp_path: Path) -> None:
    """HS71: the sum of squares is given, so that no variable moves alone."""
    for line in limits(ReportContext.of(standing(hs71(tmp_path)))).variables:
        assert [line.lower, line.upper] == pytest.approx([line.value, line.value], rel=1e-6)


def test_where_the_constraint_is_an_error(tmp_path: Path) -> None:
    """SQRT(x) has no value below 0: that ends the way."""
    table = "B1 4\nB3 =B1*2 | 8\nB4 =SQRT(B1) | 2"
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1", [("$B$4", "1", "5")])
    (line,) = limits(ReportContext.of(standing(book))).variables
    assert ends(line) == pytest.approx([0, 0, 25, 50], abs=1e-9)


def test_the_sheet_is_laid_out_as_solvers(tmp_path: Path) -> None:
    book = model_book(
        tmp_path / "b.xlsx", "A1 'x\nB1 1\nA2 'y\nB2 2\nA3 'cost\nB3 =B1^2+B2 | 3", "$B$3",
        "$B$1:$B$2", [("$B$1", "1", "2"), ("$B$1", "3", "0")],
    )  # fmt: skip
    xl2torch.save(standing(book), tmp_path / "out.xlsx", reports="limits")
    rows = shown(tmp_path / "out.xlsx", TITLE)
    assert rows[5:8] == [
        [None, None, "Objective"], [None, "Cell", "Name", "Value"], [None, "$B$3", "cost", 3.0],
    ]  # fmt: skip
    assert rows[10:] == [
        [None, None, "Variable", None, None, "Lower", "Objective", None, "Upper", "Objective"],
        [None, "Cell", "Name", "Value", None, "Limit", "Result", None, "Limit", "Result"],
        [None, "$B$1", "x", 1.0, None, 0.0, 2.0, None, 2.0, 6.0],
        [None, "$B$2", "y", 2.0, None, "#N/A", "#N/A", None, "#N/A", "#N/A"],
    ]
    assert list(xl2torch.report(standing(book), "limits")["variables"]["upper"]) == [2.0, inf]


@pytest.mark.parametrize(("middle", "room", "end"), [(2.5, 0.1, 2.4), (100.0, 2.0, 98.0)])
def test_a_forbidden_interval_on_the_way(
    tmp_path: Path, middle: float, room: float, end: float
) -> None:
    table = f"B1 1\nB3 =B1*1 | 1\nB4 =(B1-{middle})^2 | 1"
    constraints = [("$B$4", "3", str(room**2))]
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1", constraints, 1)
    (line,) = limits(ReportContext.of(standing(book))).variables
    assert line.upper == pytest.approx(end) and line.lower == -inf


def test_a_point_that_breaks_a_constraint_has_no_limits(tmp_path: Path) -> None:
    table = "B1 1\nB3 =B1*1 | 1\nB4 =B1^2 | 1"
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1", [("$B$4", "3", "4")], 1)
    found = limits(ReportContext.of(standing(book)))
    assert not found.feasible and (found.variables[0].lower, found.variables[0].upper) == (
        -inf,
        inf,
    )
    xl2torch.save(standing(book), tmp_path / "out.xlsx", reports="limits")
    assert "breaks a constraint" in str(shown(tmp_path / "out.xlsx", TITLE)[-1][1])


def test_the_circle(tmp_path: Path) -> None:
    table = "B1 0.6\nB2 0\nB3 =B1+B2 | 0.6\nB4 =SUMSQ(B1:B2) | 0.36"
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1:$B$2", [("$B$4", "1", "1")], 1)
    first, second = limits(ReportContext.of(standing(book))).variables
    assert [first.lower, first.upper] == pytest.approx([-1, 1], rel=1e-9)
    assert [second.lower, second.upper] == pytest.approx([-sqrt(0.64), sqrt(0.64)], rel=1e-9)
