"""The answer is one of the sheet: where a cell overflows, training does not go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from grids import write_grid
from scipy.optimize import minimize
from scipy.special import log_expit

import xl2torch
from xl2torch.errors import TrainingError
from xl2torch.training.result import Result


def fitted(path: Path, grid: str, objective: str, variables: str, sense: str) -> Result:
    workbook = xl2torch.load(write_grid(path / "book.xlsx", grid))
    result = xl2torch.fit(
        xl2torch.compile(workbook, objective=objective, variables=variables, sense=sense)
    )
    xl2torch.save(result, path / "out.xlsx")  # the recalculated sheet has to agree
    return result


def logit(y: list[int], rows: int) -> str:
    """A likelihood of rows x = 1, 2, …; LN(1-p) is an error where p rounds to 1."""
    lines = [
        f"{n} {y[n - 1]} =1/(1+EXP(-($F$1+$F$2*A{n}))) =B{n}*LN(C{n})+(1-B{n})*LN(1-C{n})"
        for n in range(1, rows + 1)
    ]
    lines[0] += f" . 0 =SUM(D1:D{rows})"
    lines[1] += " . 0"
    return "\n".join(lines)


@pytest.mark.slow
def test_separable_data_have_no_optimum(tmp_path: Path) -> None:
    result = fitted(tmp_path, logit([0] * 6 + [1] * 6, 12), "G1", "F1:F2", "max")
    assert result.stop.code == 4 and "S!F1:F2 run away" in result.stop.detail
    assert result.stop.failed and "LN(1-C" in result.stop.detail
    assert -0.1 < result.final < -0.01  # beyond it LN(1-C12) is an error


def test_ordinary_data_have_one(tmp_path: Path) -> None:
    y = [0, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1]
    result = fitted(tmp_path, logit(y, 12), "G1", "F1:F2", "max")
    signs = np.where(np.array(y) == 1, 1, -1)
    right = minimize(
        lambda p: -log_expit(signs * (p[0] + p[1] * np.arange(1, 13))).sum(), [0.0, 0.0]
    )
    assert not result.stop.failed and result.final == pytest.approx(-right.fun, rel=1e-8)


def test_a_way_round_the_overflow_is_found(tmp_path: Path) -> None:
    """Sigmoids in a row, far from 0.5 at the start; EXP beyond 709.78 is #NUM! in the sheet."""
    grid = """
        20 -60 20 =A1+A3 =1/(1+EXP(-D3))
        -60 20 20 =1/(1+EXP(-D1)) =D2*C1+E1*C2+C3
        20 20 -10 =B1+B3 =1/(1+EXP(-E2))
    """
    result = fitted(tmp_path, grid, "E3", "A1:C3", "value=0.5")
    assert result.final == pytest.approx(0.5, abs=1e-6)


def test_an_error_at_the_start_is_told(tmp_path: Path) -> None:
    """1-p is 0 at the start in the sheet, though the compiled model has a value there."""
    path = write_grid(tmp_path / "book.xlsx", "600 =1/(1+EXP(-A1)) =1*LN(B1)+(1-1)*LN(1-B1)")
    workbook = xl2torch.load(path)
    try:
        result = xl2torch.fit(
            xl2torch.compile(workbook, objective="C1", variables="A1", sense="max")
        )
    except xl2torch.errors.Xl2TorchError as error:
        assert "C1" in str(error)
    else:
        assert result.stop.failed and "C1" in result.stop.detail


LIFE = """
    410 F =IF(B1="F",LN(WEIBULL(A1,$F$1,$F$2,FALSE)),LN(1-WEIBULL(A1,$F$1,$F$2,TRUE))) . . 1
    990 F =IF(B2="F",LN(WEIBULL(A2,$F$1,$F$2,FALSE)),LN(1-WEIBULL(A2,$F$1,$F$2,TRUE))) . . 1
    1000 S =IF(B3="F",LN(WEIBULL(A3,$F$1,$F$2,FALSE)),LN(1-WEIBULL(A3,$F$1,$F$2,TRUE))) =SUM(C1:C3)
"""


@pytest.mark.parametrize(
    ("grid", "objective", "variables", "begins", "blamed"),
    [
        (LIFE, "D3", "F1:F2", 'S!C2: =IF(B2="F",LN(WEIBULL(A2,', "where S!F1 is 0.1, not 1"),
        ("1 =LN(A1-5) =B1+1", "C1", "A1", "S!B1: =LN(A1-5)", "where S!A1 is 10, not 1"),
        ("4 0 =1/B1 =C1*A1", "D1", "A1:B1", "S!C1: =1/B1", "where S!B1 is 10, not 0"),
        ("4 2 =SQRT(A1-5) =C1*B1", "D1", "A1:B1", "S!C1: =SQRT(A1-5)", "where S!A1 is 40, not 4"),
        ("1\n1 =LN(A1-2)\n3 =LN(A2-2)\n. =SUM(B2:B3)", "B4", "A1:A2", "S!B2: =LN(A1-2)", ""),
        ("1 =EXP(900*A1) =1/B1", "C1", "A1", "S!B1: =EXP(900*A1)", "where S!A1 is 0.1, not 1"),
    ],
)  # fmt: skip
def test_the_start_value_to_blame_is_named(
    tmp_path: Path, grid: str, objective: str, variables: str, begins: str, blamed: str
) -> None:
    workbook = xl2torch.load(write_grid(tmp_path / "book.xlsx", grid))
    model = xl2torch.compile(workbook, objective=objective, variables=variables, sense="max")
    with pytest.raises(TrainingError) as found:
        xl2torch.fit(model)
    assert f"it begins in {begins}" in str(found.value) and blamed in str(found.value)


@pytest.mark.slow
def test_options_of_another_optimizer_do_not_matter_then(tmp_path: Path) -> None:
    """Adam with a schedule and arguments of its own runs off; L-BFGS goes on in its place."""
    workbook = xl2torch.load(write_grid(tmp_path / "book.xlsx", logit([0] * 6 + [1] * 6, 12)))
    model = xl2torch.compile(workbook, objective="G1", variables="F1:F2", sense="max")
    result = xl2torch.fit(
        model, "adam", lr=5.0, epochs=400, arguments={"weight_decay": 0.0},
        schedule="step,step_size=100", clip_norm=50.0,
    )  # fmt: skip
    assert result.stop.code in (3, 4)
    xl2torch.save(result, tmp_path / "out.xlsx")


@pytest.mark.slow
def test_an_optimum_where_the_sheet_is_an_error_is_told(tmp_path: Path) -> None:
    """1-NORMSDIST(9) is 0: LN has no value, though the likelihood has its optimum beyond it."""
    x = [(-5, 0), (-4, 1), (-3, 0), (-1, 0), (1, 1), (3, 0), (4, 1), (400, 1)]
    lines = [
        f"{a} {y} =$F$1+$F$2*A{n} =B{n}*LN(NORMSDIST(C{n}))+(1-B{n})*LN(1-NORMSDIST(C{n}))"
        for n, (a, y) in enumerate(x, 1)
    ]
    lines[0] += " . 0 =SUM(D1:D8)"
    lines[1] += " . 0"
    result = fitted(tmp_path, "\n".join(lines), "G1", "F1:F2", "max")
    assert result.stop.code == 2 and "begins in S!D8" in result.message
    assert result.start < result.final < -3.5
