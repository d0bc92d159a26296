"""Newton's method takes over where a quasi-Newton method creeps, and is right from far starts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from grids import write_grid
from scipy.optimize import minimize
from scipy.special import gammaln, log_ndtr

import xl2torch
from xl2torch.model.constraints import Constraints
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.loss import Loss
from xl2torch.training.record import Record, RunLimits
from xl2torch.training.solvers.newton import fits_newton, solve_newton

X = np.array([-7.5, -2.0, -1.25, 0.5, 1.0, 2.5, 4.0, 8.5])
COUNTS = np.array([0, 1, 0, 2, 1, 3, 4, 9])
TIMES = np.array([3.0, 9.5, 1.25, 6.0, 14.0, 2.5, 7.75, 5.0])


def book(path: Path, term: str, data: np.ndarray, scale: float, start: str) -> Path:
    """Data in A and B, the terms in C, their sum in F1, variable cells D1:D2."""
    first, second = start.split()
    lines = [
        f"{float(x * scale)!r} {float(y)!r} ={term.format(r=n)}"
        for n, (x, y) in enumerate(zip(X, data, strict=True), 1)
    ]
    lines[0] += f" {first} . =SUM(C1:C{len(X)})"
    lines[1] += f" {second}"
    return write_grid(path / "book.xlsx", "\n".join(lines))


def compiled(path: Path, sense: str = "max", bounds: str = "") -> SheetModel:
    return xl2torch.compile(
        xl2torch.load(path), objective="F1", variables="D1:D2", sense=sense,
        constraints=[bounds] if bounds else [],
    )  # fmt: skip


def by_newton(model: SheetModel) -> Record:
    loss = Loss(model)
    loss.evaluate()
    record = Record(loss, Constraints(model), RunLimits(1000))
    record.note()
    assert solve_newton(loss, record).code in (0, 1, 2)
    return record


POISSON = "B{r}*($D$1+$D$2*A{r})-EXP($D$1+$D$2*A{r})"
PROBIT = "B{r}*LN(NORMSDIST($D$1+$D$2*A{r}))+(1-B{r})*LN(1-NORMSDIST($D$1+$D$2*A{r}))"
WEIBULL = "LN($D$1/$D$2)+($D$1-1)*LN(B{r}/$D$2)-(B{r}/$D$2)^$D$1"
GAMMA = "LN(GAMMADIST(B{r},$D$1,$D$2,FALSE))"
SOFTPLUS = "B{r}*($D$1+$D$2*A{r})-LN(1+EXP($D$1+$D$2*A{r}))"


def probit(p: np.ndarray, y: np.ndarray, x: np.ndarray) -> float:
    z = p[0] + p[1] * x
    return float((y * log_ndtr(z) + (1 - y) * log_ndtr(-z)).sum())


def poisson(p: np.ndarray, y: np.ndarray, x: np.ndarray) -> float:
    return float((y * (p[0] + p[1] * x) - np.exp(p[0] + p[1] * x)).sum())


def weibull(p: np.ndarray, y: np.ndarray, _: np.ndarray) -> float:
    terms = np.log(p[0] / p[1]) + (p[0] - 1) * np.log(y / p[1]) - (y / p[1]) ** p[0]
    return float(terms.sum())


def gamma(p: np.ndarray, y: np.ndarray, _: np.ndarray) -> float:
    terms = (p[0] - 1) * np.log(y) - y / p[1] - gammaln(p[0]) - p[0] * np.log(p[1])
    return float(terms.sum())


def softplus(p: np.ndarray, y: np.ndarray, x: np.ndarray) -> float:
    z = p[0] + p[1] * x
    return float((y * z - np.logaddexp(0, z)).sum())


MIXED = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0])
CASES = [
    (POISSON, poisson, COUNTS, "0 0"), (POISSON, poisson, COUNTS, "1 30"),
    (PROBIT, probit, MIXED, "0 0"), (PROBIT, probit, MIXED, "1 0"),
    (WEIBULL, weibull, TIMES, "1 1"), (WEIBULL, weibull, TIMES, "5 2"),
    (GAMMA, gamma, TIMES, "1 1"), (GAMMA, gamma, TIMES, "10 0.1"),
    (SOFTPLUS, softplus, MIXED, "0 0"), (SOFTPLUS, softplus, MIXED, "1 50"),
]  # fmt: skip


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("term", "likelihood", "data", "start"), CASES)
def test_likelihoods_from_far_starts_and_in_any_unit(
    term: str, likelihood: object, data: np.ndarray, start: str, scale: float, tmp_path: Path
) -> None:
    assert callable(likelihood)
    first, second = start.split()
    path = book(tmp_path, term, data, scale, f"{first} {float(second) / scale!r}"
                if "A{r}" in term else start)  # fmt: skip
    positive = "D1:D2 >= 0.001" if "A{r}" not in term else ""
    start_at = [0.0, 0.0] if not positive else [math.log(2.0), math.log(5.0)]
    right = minimize(
        lambda q: -likelihood(np.exp(q) if positive else q, data, X), start_at, method="BFGS",
        options={"gtol": 1e-9},
    )  # fmt: skip
    record = by_newton(compiled(path, bounds=positive))
    assert record.best_objective == pytest.approx(-right.fun, rel=1e-8)
    result = xl2torch.fit(compiled(path, bounds=positive))
    assert result.final == pytest.approx(-right.fun, rel=1e-8) and not result.stop.failed


@pytest.mark.parametrize("optimizer", ["lbfgs", "l-bfgs-b", "slsqp", "trust-constr"])
def test_it_helps_an_engine_that_was_asked_for(optimizer: str, tmp_path: Path) -> None:
    path = book(tmp_path, POISSON, COUNTS, 1e3, "1 0.03")  # the start is worth 1E+110
    result = xl2torch.fit(compiled(path), optimizer)
    assert result.final == pytest.approx(by_newton(compiled(path)).best_objective, rel=1e-6)


def test_bounds_are_kept(tmp_path: Path) -> None:
    path = book(tmp_path, POISSON, COUNTS, 1.0, "0 0")
    free = by_newton(compiled(path)).best_point
    record = by_newton(compiled(path, bounds=f"D2 <= {float(free[1]) / 2!r}"))
    assert float(record.best_point[1]) == float(free[1]) / 2
    inside = minimize(
        lambda p: -poisson(np.array([p[0], float(free[1]) / 2]), COUNTS, X), [0.0], method="BFGS"
    )
    assert record.best_objective == pytest.approx(-inside.fun, rel=1e-8)


@pytest.mark.parametrize(
    ("formula", "fits"),
    [("D1^2+D2^2", True), ("MAX(0,D1)+D2^2", False), ("ABS(D1)+D2^2", False)],
)
def test_it_is_for_smooth_objectives(formula: str, fits: bool, tmp_path: Path) -> None:
    path = write_grid(tmp_path / "b.xlsx", f". . . 1 . ={formula}\n. . . 2")
    assert fits_newton(compiled(path, "min")) is fits


def test_a_saddle_is_left(tmp_path: Path) -> None:
    path = write_grid(tmp_path / "b.xlsx", ". . . 1 . =D1^2+D2^4/4-D2^2\n. . . 0.001")
    record = by_newton(compiled(path, "min"))
    assert record.best_objective == pytest.approx(-1.0)
    assert torch.allclose(record.best_point.abs(), torch.tensor([0.0, math.sqrt(2)]).double())


@pytest.mark.parametrize(
    ("formula", "start"),
    [("(1-EXP(-D1*4000))^2", "2"), ("(1-EXP(-D1*40))^2+3", "1"), ("3-1/(1+EXP(-D1))", "-60")],
)
def test_a_plateau_is_no_solution(formula: str, start: str, tmp_path: Path) -> None:
    path = write_grid(tmp_path / "b.xlsx", f". . . {start} . ={formula}\n. . . 0")
    result = xl2torch.fit(compiled(path, "min"), "l-bfgs-b")
    assert result.stop.code == 2 and "a plateau" in result.message
    optimum = write_grid(tmp_path / "o.xlsx", ". . . 2 . =(D1-2)^2+(D2-1)^4+7\n. . . 1")
    assert xl2torch.fit(compiled(optimum, "min"), "l-bfgs-b").stop.code == 0
