"""Many starts at once: the batch is what single runs are, bounds and constraints hold."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from corpus import CORPUS, requires_corpus
from grids import grid

import xl2torch
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.box import Box
from xl2torch.training.loss import Loss
from xl2torch.training.starts.batched_lbfgs import LossAtPoints
from xl2torch.training.starts.multistart import draw_starts

WAVES = "1 2 =SIN(3*A1)+A1^2/10+COS(2*B1)+B1^2/20"
"""Many valleys; the lowest is at (-0.513…, 1.5…)."""


def waves(tmp_path: Path, constraints: list[str] | None = None, sense: str = "min") -> SheetModel:
    formula = WAVES if sense == "min" else WAVES.replace("=", "=-(") + ")"
    return xl2torch.compile(
        grid(tmp_path, f"{formula} =A1+B1"), objective="C1", variables="A1:B1", sense=sense,
        constraints=constraints,
    )  # fmt: skip


def lowest(least_sum: float = -1e9) -> float:
    axis = torch.linspace(-6, 6, 4001, dtype=torch.float64)
    x, y = torch.meshgrid(axis, axis, indexing="ij")
    values = torch.sin(3 * x) + x**2 / 10 + torch.cos(2 * y) + y**2 / 20
    return float(values[x + y >= least_sum].min())


def test_losses_and_gradients_are_those_of_single_points(tmp_path: Path) -> None:
    model = waves(tmp_path)
    points = torch.randn(7, 2, dtype=torch.float64)
    losses, gradients = LossAtPoints(model, Box.of(model))(points)
    loss = Loss(model)
    for point, value, gradient in zip(points, losses, gradients, strict=True):
        assert loss.evaluate_at(point) == pytest.approx(float(value), rel=1e-14)
        assert loss.gradient.tolist() == pytest.approx(gradient.tolist(), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["lbfgs", "l-bfgs-b", "adam"])
@pytest.mark.parametrize("sense", ["min", "max"])
def test_the_lowest_valley_is_found(optimizer: str, sense: str, tmp_path: Path) -> None:
    model = waves(tmp_path, ["A1:B1 <= 6", "A1:B1 >= -6"], sense)
    lr = 0.1 if optimizer == "adam" else None
    result = xl2torch.fit(model, optimizer, starts=60, seed=1, epochs=300, lr=lr)
    sign = 1 if sense == "min" else -1
    assert result.final == pytest.approx(sign * lowest(), abs=1e-4)
    assert len(result.ends) == 60 and result.settings.starts == 60
    assert min(sign * item.end for item in result.ends) == pytest.approx(
        sign * result.final, abs=1e-6
    )
    assert list(result.starts.columns) == ["number", "start", "end", "iterations", "overstep"]


@pytest.mark.slow
def test_constraints_are_kept(tmp_path: Path) -> None:
    model = waves(tmp_path, ["D1 >= 4", "A1:B1 <= 6", "A1:B1 >= -6"])
    result = xl2torch.fit(model, starts=40, seed=2)
    assert result.stop.code == 17
    assert sum(model.cell_values().values()) >= 4 - 1e-5
    assert result.final == pytest.approx(lowest(4.0), abs=1e-3)


def test_ends_near_the_constraints_are_brought_there(tmp_path: Path) -> None:
    """Greatest (x-1)² + (y-2)² where x + y <= 9, both not below 0: 68 at (9, 0)."""
    model = xl2torch.compile(
        grid(tmp_path, "3 2 =(A1-1)^2+(B1-2)^2 =A1+B1"), objective="C1", variables="A1:B1",
        sense="max", constraints=["D1 <= 9"], non_negative=True,
    )  # fmt: skip
    assert xl2torch.fit(model, starts=10, seed=1).final == pytest.approx(68.0, rel=1e-6)


def test_a_seed_repeats_a_run(tmp_path: Path) -> None:
    runs = [xl2torch.fit(waves(tmp_path), starts=10, seed=5) for _ in range(2)]
    assert [item.end for item in runs[0].ends] == [item.end for item in runs[1].ends]
    chosen = xl2torch.fit(waves(tmp_path), starts=10)
    assert chosen.settings.seed is not None


def test_starts_are_within_bounds_and_begin_with_the_present_point(tmp_path: Path) -> None:
    model = waves(tmp_path, ["A1 >= 3", "A1 <= 4", "B1 >= 10"])
    loss = Loss(model)
    points = draw_starts(loss, 500, 0)
    assert points[0].tolist() == [1.0, 2.0]
    assert points[1:, 0].min() >= 3 and points[1:, 0].max() <= 4
    assert points[1:, 1].min() >= 10 and points[1:, 1].max() <= 12
    free = draw_starts(Loss(waves(tmp_path)), 500, 0)[1:]
    assert -1 <= free.min() < -0.9 and 0.9 < free.max() <= 1


@requires_corpus
def test_titanic_gets_below_what_solver_left() -> None:
    model = xl2torch.compile(xl2torch.load(CORPUS / "fastai-2022" / "titanic.xlsx"), "mmult")
    result = xl2torch.fit(model, starts=20, seed=3, epochs=100)
    assert result.final < 0.1425 < result.start


def test_the_start_of_the_file_is_among_the_candidates(tmp_path: Path) -> None:
    """A dose-response curve: from the file's start least squares get there, drawn starts do not."""
    y = [7.0, 8.0, 9.6, 19.5, 40.4, 69.0, 88.8, 94.7, 97.5, 97.3]
    rows = [
        f"{-9 + 0.5 * n} {value} =$D$2+($D$1-$D$2)/(1+10^(($D$3-A{n + 1})*$D$4))"
        for n, value in enumerate(y)
    ]
    rows = [f"{row} 1" if n < 4 else row for n, row in enumerate(rows)]
    rows[0] += " =SUMXMY2(B1:B10,C1:C10)"
    model = xl2torch.compile(grid(tmp_path, "\n".join(rows)), objective="E1", variables="D1:D4")
    alone = xl2torch.fit(model).final
    model = xl2torch.compile(grid(tmp_path, "\n".join(rows)), objective="E1", variables="D1:D4")
    result = xl2torch.fit(model, starts=20, seed=1)
    assert result.final <= alone * (1 + 1e-9) and alone < 3
    assert result.stop.code != 17  # hardly any start ended there


@pytest.mark.slow
def test_the_start_of_the_file_has_the_iterations_of_a_run(tmp_path: Path) -> None:
    """-(x)^2 is positive in Excel: a long valley, in which more iterations lead further."""
    bell = [(n / 2, round(40 * math.exp(-(((n / 2 - 2) / 1.2) ** 2)), 4)) for n in range(1, 9)]
    rows = [f"{x} {y} =$D$1*EXP(-((A{n}-$D$2)/$D$3)^2)" for n, (x, y) in enumerate(bell, 1)]
    rows = [f"{row} 1" if n < 3 else row for n, row in enumerate(rows)]
    rows[0] += " =SUMXMY2(B1:B8,C1:C8)"
    ends = []
    for starts in (1, 3):
        model = xl2torch.compile(grid(tmp_path, "\n".join(rows)), objective="E1", variables="D1:D3")
        ends.append(xl2torch.fit(model, starts=starts, seed=1, epochs=400).final)
    assert ends[1] <= ends[0] * (1 + 1e-12)
