"""Least absolute deviations, minimax and their kin are linear programs, judged by scipy's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from grids import write_grid
from scipy.optimize import linprog

import xl2torch
from xl2torch.training.result import Result

SPELLINGS = {
    "deviations": ("=ABS(C{r})", "=SUM(D1:D{n})"),
    "mean": ("=IF(C{r}>0,C{r},-C{r})", "=AVERAGE(D1:D{n})"),
    "mean the other way": ("=IF(C{r}<0,-C{r},C{r})", "=AVERAGE(D1:D{n})"),
    "minimax": ("=ABS(C{r})", "=MAX(D1:D{n})"),
    "two-sided": ("=MAX(C{r},-C{r})", "=SUM(D1:D{n})"),
    "quantile": ("=MAX(0.3*C{r},-0.7*C{r})", "=SUM(D1:D{n})"),
    "quantile by IF": ("=IF(C{r}>=0,0.3*C{r},-0.7*C{r})", "=SUM(D1:D{n})"),
    "mean of differences": ("=IF(B{r}>=E{r},B{r}-E{r},E{r}-B{r})", "=AVERAGE(D1:D{n})"),
    "quantile of differences": (
        "=IF(B{r}>E{r},0.3*(B{r}-E{r}),0.7*(E{r}-B{r}))", "=SUM(D1:D{n})"
    ),
    "largest fall": ("=MAX(0,C{r})", "=SUM(D1:D{n})+0.5*MAX(C1:C{n})-0.5*MIN(C1:C{n})"),
}  # fmt: skip


def data(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=int(random.integers(5, 20))).round(3)
    return x, (2 * x + 1 + random.normal(size=len(x))).round(3)


def fitted(
    folder: Path, seed: int, spelling: str, sense: str = "min",
    constraints: list[str] | None = None,
) -> Result:  # fmt: skip
    """A line through points: residuals in C, what is made of each in D."""
    x, y = data(seed)
    form, total = SPELLINGS[spelling]
    total = f"=-({total[1:]})" if sense == "max" else total
    rows = [
        f"{x[r - 1]} {y[r - 1]} =B{r}-$F$1-$F$2*A{r} {form.format(r=r)} =$F$1+$F$2*A{r}"
        for r in range(1, len(x) + 1)
    ]
    rows[0] += f" 0 {total.format(n=len(x))}"
    rows[1] += " 0"
    workbook = xl2torch.load(write_grid(folder / "b.xlsx", "\n".join(rows)))
    model = xl2torch.compile(
        workbook, objective="G1", variables="F1:F2", sense=sense, constraints=constraints
    )
    return xl2torch.fit(model)


def least(seed: int, up: float, down: float, largest: bool = False) -> float:
    """Least sum, or largest, of up·r where r > 0 and down·|r| elsewhere."""
    x, y = data(seed)
    count = 1 if largest else len(x)
    design = np.column_stack([np.ones(len(x)), x])
    own = np.ones((len(x), 1)) if largest else np.eye(len(x))
    found = linprog(
        np.append(np.zeros(2), np.ones(count)),
        np.vstack([np.hstack([-up * design, -own]), np.hstack([down * design, -own])]),
        np.append(-up * y, down * y), bounds=[(None, None)] * (2 + count),
    )  # fmt: skip
    return float(found.fun)


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("spelling", "up", "down", "largest"),
    [
        ("deviations", 1, 1, False), ("mean", 1, 1, False), ("mean the other way", 1, 1, False),
        ("minimax", 1, 1, True), ("two-sided", 1, 1, False), ("quantile", 0.3, 0.7, False),
        ("quantile by IF", 0.3, 0.7, False), ("mean of differences", 1, 1, False),
        ("quantile of differences", 0.3, 0.7, False),
    ],
)  # fmt: skip
def test_the_least_is_reached(
    tmp_path: Path, spelling: str, up: float, down: float, largest: bool, seed: int, sense: str
) -> None:
    result = fitted(tmp_path, seed, spelling, sense)
    right = least(seed, up, down, largest) / (len(data(seed)[0]) if "mean" in spelling else 1)
    assert abs(result.final) == pytest.approx(right, rel=1e-8)
    assert result.settings.optimizer == "highs" and result.stop.code == 0
    assert "absolute values or maxima" in result.settings.reason


def test_constraints_are_kept(tmp_path: Path) -> None:
    result = fitted(tmp_path, 3, "deviations", constraints=["F1 >= 3", "F2 <= 1"])
    first, second = result.model.cell_values().values()
    assert first >= 3 - 1e-9 and second <= 1 + 1e-9 and result.settings.optimizer == "highs"


def test_whole_numbers_are_kept(tmp_path: Path) -> None:
    result = fitted(tmp_path, 4, "deviations", constraints=["F1:F2 int"])
    x, y = data(4)
    grid = [abs(y - a - b * x).sum() for a in range(-5, 8) for b in range(-5, 8)]
    assert result.final == pytest.approx(min(grid))


def test_what_is_not_convex_is_left_to_others(tmp_path: Path) -> None:
    """One of the absolute values is wanted large: no linear program gives it."""
    workbook = xl2torch.load(write_grid(tmp_path / "b.xlsx", "0.3 =ABS(A1-1)-2*ABS(A1) =B1"))
    model = xl2torch.compile(
        workbook, objective="C1", variables="A1", sense="min", constraints=["A1 <= 2", "A1 >= -2"]
    )
    assert xl2torch.fit(model).settings.optimizer != "highs"


def test_several_kinks_in_one_another(tmp_path: Path) -> None:
    result = fitted(tmp_path, 5, "largest fall")
    assert result.settings.optimizer == "highs"
    x, y = data(5)
    best = min(
        (r := y - a - b * x).clip(0).sum() + 0.5 * r.max() - 0.5 * r.min()
        for a in np.linspace(-3, 6, 91) for b in np.linspace(-1, 5, 61)
    )  # fmt: skip
    assert result.final <= best + 1e-9
