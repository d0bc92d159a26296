"""Dynamic arrays whose result has another size than the file says."""

from pathlib import Path

import packages
import pytest
import torch

from xl2torch.cells.values import CellValue
from xl2torch.evaluate.recalculation import recalculate
from xl2torch.evaluate.verification import verify
from xl2torch.model.sheet_model import compile
from xl2torch.reports.save import fill_cached_values, save
from xl2torch.training.fit import fit
from xl2torch.workbook.read.reader import Workbook, load
from xl2torch.workbook.read.selection import parse_cell, parse_ranges

DATA = """
    A1 3
    A2 1
    A3 2
    A4 9
"""


def write(folder: Path, table: str) -> Path:
    parts = packages.parts({"S": packages.sheet(packages.rows(DATA + table))}, names="")
    return packages.write(folder / "spills.xlsx", parts)


def shown(workbook: Workbook, cells: str, **given: float) -> list[CellValue]:
    """What some cells show when all is computed, errors as their texts."""
    blocks = {
        parse_ranges(workbook, cell, "S")[0]: torch.tensor([[number]]).double().numpy()
        for cell, number in given.items()
    }
    result = recalculate(workbook, blocks, everything=True)
    assert not result.stale
    values = [result.value(parse_cell(workbook, cell, "S")) for cell in cells.split()]
    return [value if value is None or isinstance(value, float) else str(value) for value in values]


@pytest.mark.parametrize(
    ("table", "cells", "right"),
    [
        ("C1 {spill C1 =A1:A3*2} | 0", "C1 C2 C3 C4", [6, 2, 4, None]),
        ("C1 {spill C1 =TRANSPOSE(A1:A3)} | 0", "C1 D1 E1", [3, 1, 2]),
        ("C1 {spill C1 =_xlfn._xlws.SORT(A1:A4)} | 0 \n E1 =SUM(C1:C4)", "C4 E1", [9, 15]),
        ("C1 {spill C1 =A1:A3*2} | 0 \n E1 =SUM(_xlfn.ANCHORARRAY(C1))", "E1", [12]),
        ("E1 =SUM(C1:C9) \n C4 {spill C4 =A1:A3*2} | 0", "E1", [12]),
        # It fills less than before: the rest is blank, whatever the file holds.
        ("C1 {spill C1:C4 =_xlfn._xlws.FILTER(A1:A4,A1:A4<3)} | 3 \n C2 1 \n C3 2 \n C4 9 \n"
         "E1 =COUNT(C1:C4)", "C1 C2 C3 C4 E1", [1, 2, None, None, 2]),
        # One array feeds another.
        ("C1 {spill C1 =_xlfn._xlws.FILTER(A1:A4,A1:A4<9)} | 0 \n"
         "D1 {spill D1 =_xlfn._xlws.SORT(_xlfn.ANCHORARRAY(C1))} | 0 \n"
         "E1 {spill E1 =_xlfn.ANCHORARRAY(D1)^2} | 0", "D1 D2 D3 E3 E4", [1, 2, 3, 9, None]),
        # Something is in the way.
        ("C1 {spill C1 =A1:A3*2} | 0 \n C3 7", "C1 C2 C3", ["#SPILL!", None, 7]),
        ("C1 {spill C1 =A1:A3*2} | 0 \n C3 =A1", "C1 C2 C3", ["#SPILL!", None, 3]),
        ("C1 {spill C1:C2 =A1:A3*2} | 0 \n C2 5 \n C3 7", "C1 C2 C3", ["#SPILL!", None, 7]),
        ("C1 {spill C1 =A1:A3*2} | 0 \n C2 {spill C2 =A1:A2+1} | 0", "C1 C2 C3", ["#SPILL!", 4, 2]),
        ("B2 {spill B2 =A1:A3*{1,2}} | 0 \n C1 {spill C1 =A1:A3*2} | 0",
         "B2 C1 C2 C3 C4", ["#SPILL!", 6, 2, 4, None]),
        ("C1048575 {spill C1048575 =A1:A3*2} | 0", "C1048575", ["#SPILL!"]),
        # A formula of one value has a spill range too: itself. A constant has none.
        ("C1 =A1*2 \n E1 =SUM(_xlfn.ANCHORARRAY(C1))", "E1", [6]),
        ("E1 =SUM(_xlfn.ANCHORARRAY(A1))", "E1", ["#REF!"]),
    ],
)  # fmt: skip
def test_results_fill_the_cells_that_excel_fills(
    table: str, cells: str, right: list[CellValue], tmp_path: Path
) -> None:
    assert shown(load(write(tmp_path, table)), cells) == right


def test_values_that_are_given_change_the_size(tmp_path: Path) -> None:
    table = "C1 {spill C1:C2 =_xlfn._xlws.FILTER(A1:A4,A1:A4<3)} | 1 \n C2 2 \n E1 =SUM(C1:C4) | 3"
    workbook = load(write(tmp_path, table))
    assert shown(workbook, "C2 C3 E1") == [2, None, 3]
    assert shown(workbook, "C1 C2 C3 E1", A4=1.5) == [1, 2, 1.5, 4.5]
    assert shown(workbook, "C1 C2 E1", A2=7) == [2, None, 2]


LINE = """
    B1 2.1
    B2 0.4
    B3 1.2
    B4 99
    D1 0
    D2 0
    F1 {spill F1 =_xlfn._xlws.FILTER(A1:A4,B1:B4<9)*D1+D2} | 0
    H1 {spill H1 =SUM((_xlfn.ANCHORARRAY(F1)-_xlfn._xlws.FILTER(B1:B4,B1:B4<9))^2)} | 0
"""


def test_training_and_saving(tmp_path: Path) -> None:
    model = compile(load(write(tmp_path, LINE)), objective="H1", variables="D1:D2", sense="min")
    result = fit(model)
    assert result.final == pytest.approx(0.00166666666667)
    save(result, tmp_path / "out.xlsx", reports="none")
    written = load(tmp_path / "out.xlsx")
    formulas = written.sheet("S").formula_at
    assert formulas[1, 6].array == (1, 6, 3, 6) and formulas[1, 6].dynamic
    assert shown(written, "D1 F1 F2 F3") == pytest.approx([0.85, 2.08333333, 0.38333333, 1.2333333])
    total = verify(written)["total"]
    assert (total["matched"], total["mismatched"]) == (2, 0)


def test_cells_that_are_no_longer_filled_are_emptied(tmp_path: Path) -> None:
    table = "C1 {spill C1:C4 =_xlfn._xlws.FILTER(A1:A4,A1:A4<3)} | 3 \n C2 1 \n C3 2 \n C4 9"
    path = write(tmp_path, table)
    fill_cached_values(path)
    cells = load(path).sheet("S").cells
    assert [cells.value(row, 3) for row in (1, 2, 3, 4)] == [1, 2, None, None]


def test_verify_says_what_the_formula_fills(tmp_path: Path) -> None:
    report = verify(load(write(tmp_path, "C1 {spill C1 =A1:A3*2} | 6")))
    (case,) = report["total"]["cases"]
    assert (case["computed"], case["cached"]) == ("6, over C1:C3", "6, over C1")
