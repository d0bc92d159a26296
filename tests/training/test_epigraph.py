"""Maxima and absolute values of nonlinear formulas: the valley of a kink is no end."""

from pathlib import Path

import numpy as np
import pytest
from grids import grid
from scipy.optimize import minimize

from xl2torch.model.sheet_model import SheetModel, compile
from xl2torch.training.fit import fit
from xl2torch.training.methods import SLSQP
from xl2torch.training.solvers.epigraph import find_epigraph

X = np.array([0.3, 0.8, 1.4, 2.1, 3.0, 4.2])
Y = np.array([2.5, 1.9, 1.75, 0.7, 0.5, 0.2])


def decay(folder: Path, objective: str, error: str = "ABS({gap})", **options: object) -> SheetModel:
    """y against a·EXP(-b·x): errors in D3:D8."""
    lines = [f"1 1 {objective} =A1+B1", "."]
    for row, (x, y) in enumerate(zip(X, Y, strict=True), 3):
        gap = f"B{row}-$A$1*EXP(-$B$1*A{row})"
        lines.append(f"{x} {y} . ={error.format(gap=gap)}")
    book = grid(folder, "\n".join(lines))
    return compile(book, objective="C1", variables="A1:B1", **options)  # type: ignore[arg-type]


def gaps(p: np.ndarray) -> np.ndarray:
    return np.asarray(Y - p[0] * np.exp(-p[1] * X))


def least_of_maxima() -> float:
    limits = [{"type": "ineq", "fun": lambda w, s=s: w[2] + s * gaps(w)} for s in (-1, 1)]
    best = (
        minimize(
            lambda w: w[2],
            [*start, 3.0],
            constraints=limits,
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 500},
        )
        for start in ((1, 1), (3, 0.7))
    )
    return min(float(np.abs(gaps(found.x)).max()) for found in best)  # fmt: skip


def least_of_sums(free: float = 0.0) -> float:
    count = len(X)
    limits = [{"type": "ineq", "fun": lambda w, s=s: w[2:] + free + s * gaps(w)} for s in (-1, 1)]
    bounds = [(None, None)] * 2 + [(0, None)] * count
    best = (
        minimize(lambda w: w[2:].sum(), [*start, *[3.0] * count], constraints=limits, bounds=bounds,
                 method="SLSQP", options={"ftol": 1e-15, "maxiter": 500})
        for start in ((1, 1), (3, 0.7))
    )  # fmt: skip
    return min(float(np.maximum(np.abs(gaps(found.x)) - free, 0).sum()) for found in best)


@pytest.mark.parametrize(
    ("objective", "error", "right"),
    [
        ("=MAX(D3:D8)", "ABS({gap})", least_of_maxima),
        ("=SUM(D3:D8)", "ABS({gap})", least_of_sums),
        ("=AVERAGE(D3:D8)", "ABS({gap})", lambda: least_of_sums() / 6),
        ("=SUM(D3:D8)", "MAX({gap},-({gap}))", least_of_sums),
        ("=SUM(D3:D8)", "MAX(0,ABS({gap})-0.05)", lambda: least_of_sums(0.05)),
    ],
)
def test_the_least_that_there_is(objective: str, error: str, right: object, tmp_path: Path) -> None:
    model = decay(tmp_path, objective, error, sense="min")
    result = fit(model)
    assert result.settings.optimizer == SLSQP and "absolute values" in result.settings.reason
    assert result.stop.code == 0
    assert result.final == pytest.approx(right(), rel=1e-6)  # type: ignore[operator]


def test_a_maximum_of_the_least_distance(tmp_path: Path) -> None:
    result = fit(decay(tmp_path, "=-MAX(D3:D8)", sense="max"))
    assert result.stop.code == 0 and -result.final == pytest.approx(least_of_maxima(), rel=1e-6)


def test_bounds_and_constraints_are_kept(tmp_path: Path) -> None:
    free = fit(decay(tmp_path, "=MAX(D3:D8)", sense="min")).final
    held = fit(decay(tmp_path, "=MAX(D3:D8)", sense="min", constraints=["A1 <= 2.4"]))
    joined = fit(decay(tmp_path, "=MAX(D3:D8)", sense="min", constraints=["D1 <= 2.9"]))
    assert held.stop.code == 0 and next(iter(held.model.cell_values().values())) <= 2.4
    assert free < held.final < 0.5
    assert free < joined.final < 0.5 and sum(joined.model.cell_values().values()) <= 2.9 + 1e-6


def test_other_kinks_are_left_to_other_engines(tmp_path: Path) -> None:
    """A concave kink, steps, a ReLU inside of a squared error."""
    for objective, error in (
        ("=SUM(D3:D8)", "-ABS({gap})"),
        ("=(MAX(D3:D8)-1)^2", "ABS({gap})"),  # it may want the maximum larger
        ("=SUM(D3:D8)", "ROUND({gap},1)^2"),
        ("=SUMXMY2(D3:D8,B3:B8)", "MAX(0,{gap})"),
    ):
        assert find_epigraph(decay(tmp_path, objective, error, sense="min")) is None
