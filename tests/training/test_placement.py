"""--device and --dtype: where objective and gradient are computed; weights stay where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest
import torch
from corpus import WORKBOOKS

import xl2torch
from xl2torch.errors import SelectionError, TrainingError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.placement import Placement

CPU, SINGLE = torch.device("cpu"), torch.float32


def survival() -> SheetModel:
    return xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx"))


def made(folder: Path, formula: str, **cells: Any) -> SheetModel:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for place, value in {"A1": 0.5, "A2": -1.5, "B1": formula, **cells}.items():
        sheet[place] = value
    book.save(folder / "made.xlsx")
    return xl2torch.compile(xl2torch.load(folder / "made.xlsx"), objective="B1", variables="A1:A2")


def test_parameters_are_shared_and_data_are_not() -> None:
    model = survival()
    single = Placement(CPU, SINGLE).program(model)
    assert {id(p) for p in single.parameters()} == {id(p) for p in model.parameters()}
    assert all(b.dtype != torch.float64 for b in single.buffers())
    assert all(b.dtype != torch.float32 for b in model.buffers())
    value = single()
    value.backward()
    assert value.dtype == torch.float64
    for parameter in model.parameters():
        assert parameter.grad is not None and parameter.grad.dtype == torch.float64


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs", "l-bfgs-b", None])
def test_training_in_single_precision(optimizer: str | None) -> None:
    """The way of the objective is float32's, what is reported of the answer is float64's."""
    model = survival()
    result = xl2torch.fit(model, optimizer, epochs=40, dtype="float32")
    assert result.final == float(model().detach()) < 0.2
    assert result.final == float(survival_at(result).detach())
    shown = [row.objective for row in result.iterations]
    assert all(value == float(torch.tensor(value, dtype=SINGLE)) for value in shown)
    assert any("computed in float32 on cpu" in text for text in result.remarks)
    assert result.settings.optimizer != "least-squares"


def survival_at(result: xl2torch.Result) -> torch.Tensor:
    model = survival()
    model.load_state_dict(dict(result.weights))
    value: torch.Tensor = model()
    return value


def test_many_starts_in_single_precision() -> None:
    result = xl2torch.fit(survival(), dtype="float32", starts=3, seed=1, epochs=30)
    assert len(result.ends) == 3 and result.final == float(result.model().detach())


def test_a_loop_down_the_rows_is_placed(tmp_path: Path) -> None:
    cells = {f"C{row}": f"=C{row - 1}*$A$1+$A$2" for row in range(2, 40)}
    model = made(tmp_path, "=SUM(C1:C39)", C1=1.0, **cells)
    single = Placement(CPU, SINGLE).program(model)
    assert any(True for _ in single.children())
    torch.testing.assert_close(single(), model(), rtol=1e-6, atol=0)
    torch.testing.assert_close(model(), made(tmp_path, "=SUM(C1:C39)", C1=1.0, **cells)())


def test_functions_of_scipy_keep_the_precision(tmp_path: Path) -> None:
    model = made(tmp_path, "=GAMMA.DIST(A1+2,A2+3,1,TRUE)+BETA.DIST(A1,2,3,TRUE)")
    torch.testing.assert_close(Placement(CPU, SINGLE).program(model)(), model(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "quatsch"}, "`device='quatsch'` is not there"),
        ({"device": "meta"}, "computes nothing"),
        ({"dtype": "float8"}, "no `dtype='float8'`; there are float64, float32"),
        ({"dtype": "float32", "optimizer": "least-squares"}, "computes in float64 on the CPU"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        xl2torch.fit(survival(), **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(SelectionError, match=r"`device='cuda'` is not there .*; there is"):
        xl2torch.fit(survival(), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_on_a_gpu(dtype: str) -> None:
    model = survival()
    on_gpu = Placement(torch.device("cuda"), getattr(torch, dtype)).program(model)
    torch.testing.assert_close(on_gpu(), model(), rtol=1e-6, atol=0)
    result = xl2torch.fit(model, device="cuda", dtype=dtype, epochs=50)
    assert result.final == float(model().detach()) < 0.2


def test_what_single_precision_cannot_hold(tmp_path: Path) -> None:
    for formula in ("=(A1^2+A2^2)*1E40", "=(A1^2+A2^2)*1E-50"):
        model = made(tmp_path, formula)
        with pytest.raises(TrainingError, match="float32 on cpu cannot hold"):
            xl2torch.fit(model, "adam", dtype="float32", epochs=3)


def test_a_linear_model_in_single_precision(tmp_path: Path) -> None:
    """HiGHS computes in float64: it is not chosen, and refused where it is asked for."""
    path = tmp_path / "made.xlsx"
    made(tmp_path, "=A1+2*A2")
    model = xl2torch.compile(
        xl2torch.load(path), objective="B1", variables="A1:A2",
        constraints=["A1:A2 >= -3"],
    )  # fmt: skip
    assert xl2torch.fit(model).settings.optimizer == "highs"
    result = xl2torch.fit(model, dtype="float32")
    assert result.settings.optimizer == "l-bfgs-b" and result.final == -9
    with pytest.raises(SelectionError, match="highs computes in float64"):
        xl2torch.fit(model, "highs", dtype="float32")


def test_a_moved_model_is_refused(tmp_path: Path) -> None:
    """Its data have lost digits: nothing is reported or written of it."""
    model = survival().to(torch.float32)
    assert float(model().detach()) == pytest.approx(0.29790555203125, rel=1e-6)
    with pytest.raises(SelectionError, match="was moved to float32 on cpu"):
        xl2torch.fit(model)
    with pytest.raises(SelectionError, match="was moved"):
        xl2torch.gradcheck(model)
    with pytest.raises(SelectionError, match="was moved"):
        xl2torch.export(model, tmp_path / "model.py")
    with pytest.raises(SelectionError, match="was moved to float32"):
        xl2torch.fit(model.double())
    assert xl2torch.fit(survival().to("cpu").double(), epochs=1).epochs == 1
