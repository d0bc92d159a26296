"""Predictions for new rows: the sheet's own formulas say what they are."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import openpyxl
import pandas
import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus
from openpyxl import Workbook as Book

import xl2torch
from xl2torch.cells.address import moved
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.sheet_model import SheetModel

TITANIC = CORPUS / "fastai-2022" / "titanic.xlsx"


@requires_corpus
@pytest.mark.parametrize(
    ("sheet", "name", "column"),
    [("nnet", "Preds", 33), ("mmult", "Preds", 26), ("linear", "Linear", 29)],
)
def test_raw_rows_of_titanic(sheet: str, name: str, column: int) -> None:
    """712 of the 891 raw rows stand in the model's sheet, with Excel's own predictions."""
    workbook = xl2torch.load(TITANIC)
    raw = pandas.read_excel(TITANIC, sheet_name="all_rows")
    found = xl2torch.compile(workbook, sheet).predict(raw)
    assert list(found.columns) == [*raw.columns, name] and len(found) == 891
    known = found[raw.Age.notna() & raw.Embarked.notna()][name].to_numpy()
    cached = workbook.sheet(sheet).cells.block(4, column, 715, column).numbers[:, 0]
    assert known == pytest.approx(cached, rel=1e-12, abs=1e-12)
    assert "Ones is 1 in every row of the sheet: taken as that" in found.attrs["notes"]


def book(tmp_path: Path, formulas: Mapping[str, str | float], rows: int = 6) -> SheetModel:
    """Six houses: size, kind, day; formulas of row 5 are copied down; the objective is K1."""
    made = Book()
    sheet = made.worksheets[0]
    sheet["A1"], sheet["B1"], sheet["C1"], sheet["D1"] = 0.5, -0.25, 2.0, 0.1
    for number, text in enumerate(["Size", "Kind", "Built", "Price"], 1):
        sheet.cell(4, number, text)
    for place in range(rows):
        row = 5 + place
        sheet.cell(row, 1, 10.0 * place + 3)
        sheet.cell(row, 2, "flat" if place % 2 else "house")
        sheet.cell(row, 3, datetime.date(2020, 1, 1 + place))
        sheet.cell(row, 4, 7.0 + place * place)
        for column, formula in formulas.items():
            if column.isalpha() and isinstance(formula, str):
                sheet[f"{column}{row}"] = "=" + moved(formula.removeprefix("="), place, 0)
    for cell, formula in formulas.items():
        if not cell.isalpha():
            sheet[cell] = formula
    for column, text in zip("EFGH", ["Scaled", "IsFlat", "Estimate", "Error"], strict=True):
        sheet[f"{column}4"] = text
    path = tmp_path / "houses.xlsx"
    made.save(path)
    return xl2torch.compile(xl2torch.load(path), objective="K1", variables="A1:D1")


HOUSES = {
    "E": "=A5/MAX($A$5:$A$10)",
    "F": '=IF(B5="flat",1,0)',
    "G": "=$A$1*E5+$B$1*F5+$C$1*(C5>$M$1)+$D$1",
    "H": "=(G5-D5)^2",
    "K1": "=AVERAGE(H5:H10)",
    "M1": "=DATE(2020,1,3)",
}


def test_what_the_sheet_computes_over_its_rows_stays_the_sheets(tmp_path: Path) -> None:
    model = book(tmp_path, HOUSES)
    new = pandas.DataFrame(
        {
            "size": [106.0, 0.0],
            " KIND": ["flat", "house"],
            "Built": [datetime.datetime(2021, 1, 1), datetime.datetime(2019, 1, 1)],
        }
    )
    found = model.predict(new)
    assert found["Estimate"].tolist() == pytest.approx([0.5 * 2 - 0.25 + 2 + 0.1, 0.1])


def test_present_weights_are_used(tmp_path: Path) -> None:
    model = book(tmp_path, HOUSES)
    new = pandas.DataFrame({"Size": [53.0], "Kind": ["house"], "Built": [0]})
    before = model.predict(new)["Estimate"][0]
    xl2torch.fit(model)
    assert model.predict(new)["Estimate"][0] != pytest.approx(before)


@pytest.mark.parametrize(
    "changes",
    [
        {"K1": '=AVERAGEIFS(H5:H10,B5:B10,"flat")+0.1*SUMIF(B5:B10,"house",H5:H10)'},
        {"H": '=IF(D5="",0,(G5-D5)^2)', "K1": "=SUM(H5:H10)/COUNT(D5:D10)"},
        {"K1": "=SUMPRODUCT(H5:H10,--(D5:D10>8))"},
        {"H": '=MAX(0,1-IF(B5="flat",1,-1)*G5)'},
        {"H": "=ABS(G5-D5)", "K1": "=SUMPRODUCT((G5:G10-D5:D10)^2)"},
    ],
)
def test_errors_are_no_predictions(changes: dict[str, str], tmp_path: Path) -> None:
    """Also where the loss reads observed data or labels beside them."""
    model = book(tmp_path, {**HOUSES, **changes})
    frame = pandas.DataFrame(
        {"Size": [20.0], "Kind": ["flat"], "Built": [datetime.date(2020, 1, 2)]}
    )
    assert list(model.predict(frame).columns)[-1] == "Estimate"


def test_other_outputs(tmp_path: Path) -> None:
    model = book(tmp_path, HOUSES)
    new = pandas.DataFrame({"Size": [106.0], "Kind": ["flat"], "Built": [0]})
    found = model.predict(new, outputs="E5:F10")
    assert found[["Scaled", "IsFlat"]].to_numpy().tolist() == [[2.0, 1.0]]
    with pytest.raises(SelectionError, match="same rows"):
        model.predict(new, outputs="E5:E10,F5:F9")


def test_missing_and_unfit_columns_are_all_named(tmp_path: Path) -> None:
    model = book(tmp_path, HOUSES)
    with pytest.raises(SelectionError, match=r"no column Kind, Built\. It has: Size"):
        model.predict(pandas.DataFrame({"Size": [1.0]}))
    wrong = pandas.DataFrame({"Size": [1.0, "big"], "Kind": [3, 4], "Built": [0, 0]})
    with pytest.raises(SelectionError) as raised:
        model.predict(wrong)
    assert "column Size, row 2: 'big', where the sheet's column holds numbers" in str(raised.value)
    assert "column Kind, row 1: 3.0, where the sheet's column holds text" in str(raised.value)


def test_a_column_that_never_changes_may_be_missing(tmp_path: Path) -> None:
    ones: dict[str, str | float] = {f"L{row}": 1.0 for row in range(5, 11)}
    model = book(tmp_path, {**HOUSES, "G": "=$A$1*E5+$D$1*L5", **ones})
    found = model.predict(pandas.DataFrame({"Size": [53.0]}))
    assert found["Estimate"].tolist() == pytest.approx([0.5 + 0.1])


def test_blanks_and_errors_are_told(tmp_path: Path) -> None:
    model = book(tmp_path, {**HOUSES, "G": "=$A$1/A5+$D$1"})
    found = model.predict(pandas.DataFrame({"Size": [None, 2.0]}))
    assert found["Estimate"].isna().tolist() == [True, False]
    notes = " ".join(found.attrs["notes"])
    assert "Size is blank in 1 of 2 rows" in notes and "1 of 2 rows give an error" in notes


REFUSED = [
    # formula of the prediction, what is said
    ("=$A$1*E5+N(G4)", "other rows than its own"),
    ("=$A$1*E5+$D$1*N(A4)", "other rows than its own"),
    ("=$A$1*E5+$D$1*SUM(A$5:A5)", "a row cannot be computed on its own"),
    ("=$A$1*E5+$D$1*ROW()", "on its own than in the sheet"),
]


@pytest.mark.parametrize(("formula", "message"), REFUSED)
def test_rows_that_need_others_are_refused(formula: str, message: str, tmp_path: Path) -> None:
    model = book(tmp_path, {**HOUSES, "G": formula})
    with pytest.raises(ModelError, match=message):
        model.predict(pandas.DataFrame({"Size": [1.0], "Kind": ["flat"], "Built": [0]}))


def test_no_rows_and_no_column_of_predictions(tmp_path: Path) -> None:
    model = book(tmp_path, HOUSES)
    empty = pandas.DataFrame({"Size": [], "Kind": [], "Built": []})
    assert model.predict(empty)["Estimate"].tolist() == []
    model = book(tmp_path, {**HOUSES, "K1": "=A1^2+B1^2+C1^2+D1^2"})
    with pytest.raises(SelectionError, match="`outputs="):
        model.predict(empty)


def test_survival_predicts_its_own_rows() -> None:
    workbook = xl2torch.load(WORKBOOKS / "survival.xlsx")
    block = workbook.sheet("Model").cells.block(12, 2, 311, 4).numbers
    frame = pandas.DataFrame(block, columns=["Age", "IsMale", "Class"])
    found = xl2torch.compile(workbook).predict(frame)
    cached = workbook.sheet("Model").cells.block(12, 16, 311, 16).numbers[:, 0]
    assert found.iloc[:, -1].to_numpy() == pytest.approx(cached, rel=1e-12)


def parted(tmp_path: Path, below: str = "=$E$1*A{row}+$E$2") -> SheetModel:
    """A copied column with a blank row between; ``below`` is its formula behind the gap."""
    made = Book()
    sheet = made.worksheets[0]
    for column, text in zip("ABCD", ["x", "y", "forecast", "error"], strict=True):
        sheet[f"{column}1"] = text
    for row in [*range(2, 6), *range(7, 14)]:
        sheet[f"A{row}"], sheet[f"B{row}"] = float(row), 2.0 * row + 1
        sheet[f"C{row}"] = (below if row > 6 else "=$E$1*A{row}+$E$2").format(row=row)
        sheet[f"D{row}"] = f"=(C{row}-B{row})^2"
    sheet["E1"], sheet["E2"], sheet["F1"] = 3.0, 4.0, "=SUM(D2:D13)"
    made.save(path := tmp_path / "parted.xlsx")
    return xl2torch.compile(path, objective="F1", variables="E1:E2")


@pytest.mark.parametrize("outputs", [None, "C2:C13", "C2:C5", "C7:C13"])
def test_a_blank_row_parts_no_table(tmp_path: Path, outputs: str | None) -> None:
    model = parted(tmp_path)
    found = model.predict({"x": [1.0, 100.0]}, outputs)
    assert found.forecast.tolist() == [7.0, 304.0]
    assert model.predictor(outputs)(torch.tensor([1.0])).item() == 7.0


def test_blocks_of_other_formulas_are_no_table(tmp_path: Path) -> None:
    model = parted(tmp_path, "=$E$1*A{row}-$E$2")
    with pytest.raises(ModelError, match=r"C2:C13 is not one formula copied down"):
        model.predict({"x": [1.0]}, "C2:C13")
    assert model.predict({"x": [1.0]}, "C7:C13").iloc[0, 1] == -1.0


def test_blocks_of_other_formulas_ask_for_one(tmp_path: Path) -> None:
    model = parted(tmp_path, "=$E$1*A{row}-$E$2")
    words = r"stand in parted!C2:C5|stand in Sheet!C2:C5 and in Sheet!C7:C13, .* name one of them"
    with pytest.raises(SelectionError, match=words):
        model.predict({"x": [1.0]})


def test_equal_headings_of_other_columns_are_told(tmp_path: Path) -> None:
    made = Book()
    sheet = made.worksheets[0]
    for column, text in zip("ABCDE", ["x", "x", "y", "fit", "error"], strict=True):
        sheet[f"{column}1"] = text
    for row in range(2, 8):
        sheet[f"A{row}"], sheet[f"B{row}"], sheet[f"C{row}"] = row, row * row, 3 * row
        sheet[f"D{row}"], sheet[f"E{row}"] = f"=$G$1*A{row}+$G$2*B{row}", f"=(C{row}-D{row})^2"
    sheet["G1"], sheet["G2"], sheet["H1"] = 1, 0, "=SUM(E2:E7)"
    made.save(path := tmp_path / "twice.xlsx")
    model = xl2torch.compile(path, objective="H1", variables="G1:G2")
    with pytest.raises(ModelError, match="both headed 'x' and hold other values"):
        model.predict({"x": [1.0]})


def test_a_column_is_constant_only_if_all_blocks_say_so(tmp_path: Path) -> None:
    parted(tmp_path)
    sheet = openpyxl.load_workbook(tmp_path / "parted.xlsx")
    for row in range(7, 14):
        sheet.worksheets[0][f"A{row}"] = 1.0
    sheet.save(tmp_path / "parted.xlsx")
    model = xl2torch.compile(tmp_path / "parted.xlsx", objective="F1", variables="E1:E2")
    with pytest.raises(SelectionError, match="the data has no column x"):
        model.predict({"other": [1.0]})
