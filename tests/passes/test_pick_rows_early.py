"""Rows that the objective does not read spoil no gradient."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from grids import grid

import xl2torch


@pytest.mark.parametrize(
    ("formula", "objective", "value", "slope"),
    [
        ("=A{a}*A{a}*10", "=(A1-1)^2", 4.0, 4.0),
        ("=A{a}*A{a}*10", "=(A2-1)^2", 7921.0, 10680.0),
        ("=EXP(A{a})", "=A2", 20.085536923187668, 20.085536923187668),
        ("=A{a}^9", "=A2+0", 19683.0, 59049.0),
        ("=A{a}*A{a}*10", "=SUM(A1:A2)", 93.0, 61.0),
    ],
)
def test_rows_that_overflow_below(
    tmp_path: Path, formula: str, objective: str, value: float, slope: float
) -> None:
    rows = [f"{formula.format(a=row - 1)}" for row in range(2, 16)]
    first = f"3 {objective}"
    model = xl2torch.compile(
        grid(tmp_path, "\n".join([first, *rows])), objective="B1", variables="A1"
    )
    found = model()
    (gradient,) = torch.autograd.grad(found, list(model.parameters()))
    assert found.item() == pytest.approx(value)
    assert gradient.item() == pytest.approx(slope)
