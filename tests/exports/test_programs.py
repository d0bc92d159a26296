"""Predictions and weights out of the sheet: ONNX, pt2, safetensors; explained side by side."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus
from openpyxl import Workbook as Book
from safetensors import safe_open

import xl2torch
from xl2torch.errors import ModelError, SelectionError, WorkbookError
from xl2torch.exports.explanation import explanation

TITANIC = CORPUS / "fastai-2022" / "titanic.xlsx"
SURVIVAL = WORKBOOKS / "survival.xlsx"


@pytest.mark.slow
def test_onnx_has_the_sheets_names_and_any_number_of_rows(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = xl2torch.compile(xl2torch.load(SURVIVAL))
    done = xl2torch.export(model, tmp_path / "survival.onnx")
    assert done.inputs == {"age": "Age", "ismale": "IsMale", "class_": "Class"}
    assert done.outputs == ("pred",)
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == ["age", "ismale", "class_"]
    assert session.get_inputs()[0].shape == ["rows"]
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["objective"] == "Model!C6" and metadata["workbook"] == "survival.xlsx"
    rows = model.predictor().rows
    fed = {name: value[7:9].numpy() for name, value in rows.inputs.items()}
    assert session.run(None, fed)[0] == pytest.approx(rows.expected[0][7:9].numpy(), rel=1e-12)


@requires_corpus
@pytest.mark.parametrize("sheet", ["nnet", "mmult", "linear"])
def test_pt2_of_titanic(sheet: str, tmp_path: Path) -> None:
    """Raw numbers are inputs; of text columns it is what the formulas make of them."""
    model = xl2torch.compile(xl2torch.load(TITANIC), sheet)
    done = xl2torch.export(model, tmp_path / "titanic.pt2")
    assert set(done.inputs.values()) == {
        "Pclass", "Age", "Fare", "SibSp", "Parch", "Embark_S", "Embark_C", "Male"
    }  # fmt: skip
    assert done.notes == ("Ones is 1 in every row of the sheet: a constant",)
    rows = model.predictor().rows
    program = torch.export.load(done.path).module()
    for count in (3, 712):
        found = program(*(value[:count] for value in rows.inputs.values()))[0]
        torch.testing.assert_close(found, rows.expected[0][:count], rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@requires_corpus
def test_onnx_of_titanic(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    done = xl2torch.export(xl2torch.compile(xl2torch.load(TITANIC), "nnet"), tmp_path / "t.onnx")
    assert done.outputs == ("preds",) and done.path.stat().st_size > 1000


def test_weights_come_back(tmp_path: Path) -> None:
    workbook = xl2torch.load(SURVIVAL)
    model = xl2torch.compile(workbook)
    xl2torch.fit(model, epochs=5)
    done = xl2torch.export(model, tmp_path / "weights.safetensors")
    with safe_open(done.path, "pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["ranges"]) == {"unit_1": "Model!F6:I8", "output": "Model!M6:P6"}
    assert metadata["workbook_sha256"] == hashlib.sha256(SURVIVAL.read_bytes()).hexdigest()
    assert float(metadata["objective_value"]) == model().detach().item()
    fresh = xl2torch.compile(workbook)
    xl2torch.load_weights(fresh, done.path)
    assert torch.equal(fresh(), model())
    other = xl2torch.compile(xl2torch.load(WORKBOOKS / "line.xlsx"))
    with pytest.raises(SelectionError, match="holds the weights"):
        xl2torch.load_weights(other, done.path)
    with pytest.raises(WorkbookError, match="cannot be read as safetensors"):
        xl2torch.load_weights(other, SURVIVAL)


def book(
    tmp_path: Path, formula: str, cells: Mapping[str, str] | None = None
) -> xl2torch.SheetModel:
    """Five rows x, y in A3:B7; predictions in C, squared errors in D, the objective is D1."""
    made = Book()
    sheet = made.worksheets[0]
    sheet["A1"], sheet["B1"], sheet["D1"] = 0.5, -0.25, "=SUM(D3:D7)"
    for column, text in enumerate(["x", "y", "p", "error"], 1):
        sheet.cell(2, column, text)
    for row in range(3, 8):
        sheet.cell(row, 1, float(row * row - 9))
        sheet.cell(row, 2, float(row % 3))
        sheet.cell(row, 3, "=" + formula.replace("#", str(row)))
        sheet.cell(row, 4, f"=(C{row}-B{row})^2")
    for place, text in (cells or {}).items():
        sheet[place] = text
    path = tmp_path / "rows.xlsx"
    made.save(path)
    return xl2torch.compile(xl2torch.load(path), objective="D1", variables="A1:B1")


FORMULAS = [
    "$A$1*A#+$B$1",
    "IF(A#>10,$A$1*A#,$B$1)",
    "$A$1/(A#-8)+$B$1",
    "1/(1+EXP(-$A$1*A#))",
    "LN($A$1*A#)+$B$1",
    "MAX(0,$A$1*A#-3,$B$1)",
    "0.1*$A$1*A#+LOG10(A#+1.1)",
    "$A$1*A#/MAX($A$3:$A$7)",
]


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_row_formulas(formula: str, kind: str, tmp_path: Path) -> None:
    """The export checks itself against the sheet, for all rows and for a few."""
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    if formula.startswith("LN"):  # the first row is an error: so is the objective
        formula = formula.replace("A#)", "(A#+1))")
    done = xl2torch.export(book(tmp_path, formula), tmp_path / f"rows.{kind}")
    assert list(done.inputs) == ["x"] and done.outputs == ("p",)


def test_rows_that_need_others_are_refused(tmp_path: Path) -> None:
    model = book(tmp_path, "$A$1*A#+N(C2)*0+$B$1*ROW()")
    with pytest.raises(ModelError):
        xl2torch.export(model, tmp_path / "rows.pt2")
    assert not (tmp_path / "rows.pt2").exists()


MIXED = [
    '=$A$1*A#+$B$1*(E#="m")',
    '=IF(E#="m",$A$1,$B$1)*A#',
    "=$A$1*A#+INDEX($A$1:$B$1,MATCH(E#,$F$3:$F$4,0))",
]


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
@pytest.mark.parametrize("formula", MIXED)
def test_text_and_weights_in_one_formula_are_refused(
    formula: str, kind: str, tmp_path: Path
) -> None:
    """Else the column of predictions would be its own input, whatever the weights."""
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    cells = {f"E{row}": "mf"[row % 2] for row in range(3, 8)} | {"E2": "sex", "F3": "m", "F4": "f"}
    model = book(tmp_path, formula[1:], cells)
    with pytest.raises(ModelError, match=r"C3:C7 reads text and weights in one formula"):
        xl2torch.export(model, tmp_path / f"rows.{kind}")


def test_explanation_sets_formula_and_line_side_by_side() -> None:
    text = explanation(xl2torch.compile(xl2torch.load(SURVIVAL)))
    assert "| Model!M12:O311 | `=MAX(0,J12)` | `relu1 = relu(lin1)` |" in text
    assert "| Model!Q12:Q311 | `=(P12-E12)^2` | `error2: within the next line` |" in text
    assert "| `SUMPRODUCT`, `MMULT` | matrix product `@` |" in text
    assert "| Solve | `optimizer.step()`, again and again |" in text
    assert "softmax" not in text
