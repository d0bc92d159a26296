"""Slopes of logarithms of quotients, where the quotient's own are too small for a number."""

from pathlib import Path

import pytest
import torch
from grids import grid

from xl2torch.model.sheet_model import SheetModel, compile
from xl2torch.training.fit import fit


def slopes(folder: Path, formula: str, first: float, second: float = 1.0) -> list[float]:
    lines = f"a {first}\nb {second}\nloss ={formula}"
    model = compile(grid(folder, lines), objective="B3", variables="B1:B2")
    (gradient,) = torch.autograd.grad(model(), [model.parameter(v) for v in model.variables])
    return list(gradient.tolist())


@pytest.mark.parametrize("at", [0.5, 40.0, 300.0, 416.0, 700.0])
@pytest.mark.parametrize(
    ("formula", "slope"),
    [
        ("-LN(1/(1+EXP(B1)+EXP(B2)))", lambda a, b: a.exp() / (1 + a.exp() + b.exp())),
        ("-LN(EXP(B2)/(EXP(B1)+EXP(B2)+3))", lambda a, b: a.exp() / (a.exp() + b.exp() + 3)),
        ("LN(5/(2+EXP(B1)*EXP(B2)))", lambda a, b: -1 / (1 + 2 * (-a - b).exp())),
        ("LN(EXP(B1)/(1+EXP(B2)))", lambda a, b: torch.ones_like(a)),
        ("LN(1/(1+EXP(-B1)+EXP(-B2)))", lambda a, b: 1 / (1 + a.exp() + (a - b).exp())),
    ],
)  # fmt: skip
def test_slopes_far_out(formula: str, slope: object, at: float, tmp_path: Path) -> None:
    a, b = torch.tensor([at], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    right = float(slope(a, b))  # type: ignore[operator]
    assert slopes(tmp_path, formula, at)[0] == pytest.approx(right, rel=1e-9)


def test_an_error_stays_one(tmp_path: Path) -> None:
    lines = "a 0.5\nb 1\nloss =IFERROR(LN(B2/(1-EXP(B1))),7)+B2^2"
    model: SheetModel = compile(grid(tmp_path, lines), objective="B3", variables="B1:B2")
    assert float(model().detach()) == 8
    (gradient,) = torch.autograd.grad(model(), [model.parameter(v) for v in model.variables])
    assert gradient.tolist() == [0, 2]


def test_training_comes_back_from_far_out(tmp_path: Path) -> None:
    ends = []
    for start in (1, 400):
        lines = f"a {start}\nb 1\nloss =-LN(1/(1+EXP(B1)+EXP(B2)))+0.01*B1^2+B2^2"
        model = compile(grid(tmp_path, lines), objective="B3", variables="B1:B2", sense="min")
        ends.append(fit(model).final)
    assert ends[0] == pytest.approx(ends[1], rel=1e-9)
