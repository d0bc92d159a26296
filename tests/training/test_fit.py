"""The training loop: senses, bounds, stopping, divergence, gradients against differences."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from corpus import WORKBOOKS
from grids import grid

import xl2torch
from xl2torch.cells.address import CellAddress
from xl2torch.errors import ModelError, SelectionError, TrainingError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.stopping import WINDOW, converged
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_cell


def model(
    tmp_path: Path, text: str, objective: str, variables: str, sense: str = "min"
) -> SheetModel:
    return xl2torch.compile(
        grid(tmp_path, text), objective=objective, variables=variables, sense=sense
    )


@pytest.mark.parametrize("optimizer", ["lbfgs", "sgd", "momentum", "adam"])
def test_each_optimizer_finds_a_simple_minimum(optimizer: str, tmp_path: Path) -> None:
    result = xl2torch.fit(
        model(tmp_path, "1 2 =(A1-3)^2+2*(B1+1)^2", "C1", "A1:B1"), optimizer, lr=0.1, epochs=500
    )
    assert result.final == pytest.approx(0.0, abs=1e-6)
    assert result.settings.optimizer == optimizer


def test_rosenbrock_to_the_last_digits(tmp_path: Path) -> None:
    result = xl2torch.fit(model(tmp_path, "-1.2 1 =100*(B1-A1^2)^2+(1-A1)^2", "C1", "A1:B1"))
    assert result.weights["a1_b1"].tolist() == pytest.approx([1.0, 1.0], abs=1e-9)


def test_variables_of_very_different_size(tmp_path: Path) -> None:
    """Minimise (1e6·x - 3)² + (1e-6·y - 2)² from x = 1e-6, y = 1e6."""
    compiled = model(tmp_path, "1E-6 1E6 =(A1*1E6-3)^2+(B1/1E6-2)^2", "C1", "A1:B1")
    result = xl2torch.fit(compiled)
    assert result.weights["a1_b1"].tolist() == pytest.approx([3e-6, 2e6], rel=1e-6)
    assert result.epochs < 30


def test_one_step_of_gradient_descent_is_exact(tmp_path: Path) -> None:
    result = xl2torch.fit(model(tmp_path, "5 =A1^2", "B1", "A1"), "sgd", lr=0.1, epochs=1)
    assert result.weights["a1"].item() == 5 - 0.1 * 10
    assert [row.objective for row in result.iterations] == [25.0, 16.0]
    assert result.stop.code == 3 and result.epochs == 1


def test_divergence_keeps_the_best_point(tmp_path: Path) -> None:
    result = xl2torch.fit(model(tmp_path, "1 =A1^2+A1^4", "B1", "A1"), "sgd", lr=10.0, epochs=100)
    assert result.stop.code == 4 and "`lr`" in result.message
    assert result.final == min(row.objective for row in result.iterations) <= 2.0
    assert all(math.isfinite(row.objective) for row in result.iterations)


def test_error_at_the_start_is_an_error(tmp_path: Path) -> None:
    compiled = model(tmp_path, "4 =SQRT(A1)+LN(A1)", "B1", "A1")
    with pytest.raises(TrainingError, match="error value at the start"):
        xl2torch.fit(compiled, init="zeros")


def test_flat_objective_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="whatever the variable cells are"):
        xl2torch.fit(model(tmp_path, "1 =ROUND(A1,-9)*0", "B1", "A1"))


@pytest.mark.parametrize("formula", ["=ROUND(A1,0)^2", "=IF(A1>0,1,2)", "=COUNT(A1)+SIGN(A1)"])
def test_an_objective_that_changes_only_in_steps(formula: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="changes only in steps"):
        xl2torch.fit(model(tmp_path, f"1 {formula}", "B1", "A1"))


def test_cells_to_watch_may_be_texts(tmp_path: Path) -> None:
    result = xl2torch.fit(model(tmp_path, "1 =A1^2 =A1*3", "B1", "A1"), watch_cells=["C1"])
    assert result.history["S!C1"].iloc[0] == 3.0
    assert repr(result).startswith("<Result S!B1: 1 -> ")


def test_a_stationary_start_is_not_flat(tmp_path: Path) -> None:
    result = xl2torch.fit(model(tmp_path, "0 =A1^2", "B1", "A1"))
    assert result.stop.code == 0 and result.epochs == 0 and result.final == 0.0


def test_unknown_options() -> None:
    compiled = xl2torch.compile(xl2torch.load(WORKBOOKS / "line.xlsx"))
    for options in ({"optimizer": "newton"}, {"init": "ones"}, {"lr": -1.0}):
        with pytest.raises(SelectionError):
            xl2torch.fit(compiled, **options)


def test_history_has_watched_cells() -> None:
    workbook = xl2torch.load(WORKBOOKS / "line.xlsx")
    compiled = xl2torch.compile(workbook)
    cells = [parse(workbook, text) for text in ("B5", "B6", "A11")]
    history = xl2torch.fit(compiled, "sgd", lr=0.1, epochs=2, watch_cells=cells).history
    assert list(history.columns) == [
        "iteration", "objective", "gradient_norm", "learning_rate", "seconds",
        "Model!B5", "Model!B6", "Model!A11",
    ]  # fmt: skip
    assert history["Model!B5"].tolist()[:2] == pytest.approx([-1.0, -0.7])
    assert history["Model!A11"].tolist() == [1.0, 1.0, 1.0]


def parse(workbook: Workbook, text: str) -> CellAddress:
    return parse_cell(workbook, text, "Model")


def test_stop_rules() -> None:
    assert converged([1.0], 1e-10) is not None
    assert converged([1.0], 1e-3) is None
    still = converged([2.0, *[1.0] * (WINDOW + 1)], 1e-3)
    assert still is not None and still.code == 1
    assert converged([2.0, *[1.0] * WINDOW], 1e-3) is None


@pytest.mark.parametrize("name", ["line", "quadratic", "survival"])
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    compiled = xl2torch.compile(xl2torch.load(WORKBOOKS / f"{name}.xlsx"))
    compiled().backward()
    for parameter in compiled.parameters():
        assert parameter.grad is not None
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for index in range(flat.numel()):
            values = []
            for step in (1e-6, -2e-6):
                flat[index] += step
                values.append(compiled().item())
            flat[index] += 1e-6
            assert gradient[index].item() == pytest.approx(
                (values[0] - values[1]) / 2e-6, rel=1e-6, abs=1e-8
            )


def test_bounds_hold_at_every_iteration(tmp_path: Path) -> None:
    """Minimise (x-y)² + (x+y-1)² with x, y ≥ 0, starting outside: the answer is inside."""
    solver = {"opt": "S!$C$1", "adj": "S!$A$1:$B$1", "typ": "2", "neg": "1"}
    workbook = grid(tmp_path, "-3 4 =(A1-B1)^2+(A1+B1-1)^2", solver=solver)
    compiled = xl2torch.compile(workbook)
    seen: list[float] = []
    result = xl2torch.fit(
        compiled,
        on_iteration=lambda _: seen.append(min(p.min().item() for p in compiled.parameters())),
    )
    assert min(seen) >= 0
    assert result.start == 49.0
    assert result.weights["a1_b1"].tolist() == pytest.approx([0.5, 0.5], abs=1e-7)


def test_parameters_are_double_and_named() -> None:
    compiled = xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))
    shapes = {name: tuple(p.shape) for name, p in compiled.named_parameters()}
    assert shapes == {"unit_1": (3, 4), "output": (4,)}
    assert all(p.dtype == torch.float64 for p in compiled.parameters())
    assert "torch.relu(lin1)" in compiled.code
