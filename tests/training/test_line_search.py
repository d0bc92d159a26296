"""Likelihoods whose first step leads to an error value: no engine stays at the start."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from grids import write_grid
from scipy.optimize import minimize
from scipy.special import log_expit

import xl2torch

SIGNS = {"max": "", "min": "-"}


@pytest.mark.parametrize(
    ("sense", "total", "optimizer"),
    [*product(("max", "min"), ("SUM", "AVERAGE"), (None, "lbfgs", "slsqp", "l-bfgs-b"))],
)
def test_logit_of_large_numbers(
    tmp_path: Path, sense: str, total: str, optimizer: str | None
) -> None:
    x, y = np.array([80.0, 120, 110, 90]), np.array([0, 1, 0, 1])
    lines = [
        f"{x[n - 1]} {y[n - 1]} =1/(1+EXP(-($F$1+$F$2*A{n}))) =LN(IF(B{n}=1,C{n},1-C{n}))"
        for n in range(1, 5)
    ]
    lines[0] += f" . 0 ={SIGNS[sense]}{total}(D1:D4)"
    lines[1] += " . 0"
    workbook = xl2torch.load(write_grid(tmp_path / "book.xlsx", "\n".join(lines)))
    model = xl2torch.compile(workbook, objective="G1", variables="F1:F2", sense=sense)
    result = xl2torch.fit(model, optimizer)
    right = -2.567813628768 / (4 if total == "AVERAGE" else 1)
    assert abs(result.final) == pytest.approx(-right, rel=1e-7)


@pytest.mark.parametrize("scale", [0.01, 1.0, 80.0, 1000.0])
def test_rates(tmp_path: Path, scale: float) -> None:
    """max n ln b - b Σx: from 1 a step along the gradient makes b negative."""
    x = scale * np.array([0.3, 1.9, 0.7, 1.1, 2.2])
    lines = [f"{value} =LN($D$1)-$D$1*A{n}" for n, value in enumerate(x, 1)]
    lines[0] += " . 1 =SUM(B1:B5)"
    workbook = xl2torch.load(write_grid(tmp_path / "book.xlsx", "\n".join(lines)))
    model = xl2torch.compile(workbook, objective="E1", variables="D1", sense="max")
    result = xl2torch.fit(model)
    (rate,) = model.cell_values().values()
    assert rate == pytest.approx(1 / x.mean(), rel=1e-5)
    assert not result.stop.failed


def test_the_reference_is_right() -> None:
    """The optimum of the logit above, by scipy."""
    x, y = np.array([80.0, 120, 110, 90]), np.array([0, 1, 0, 1])
    found = minimize(
        lambda p: -log_expit(np.where(y == 1, 1, -1) * (p[0] + p[1] * (x - 100))).sum(), [0, 0]
    )
    assert found.fun == pytest.approx(2.567813628768, rel=1e-8)
