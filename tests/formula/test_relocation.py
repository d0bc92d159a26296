"""Formulas as copies on another sheet have to read."""

from __future__ import annotations

import cells
import pytest

from xl2torch.cells.address import CellRange
from xl2torch.formula.relocation import NotRelocatable, relocated
from xl2torch.workbook.read.reader import DefinedName


def moved(area: CellRange) -> str:
    """Cells of Sheet1 ten rows down, without a sheet; others by their full address."""
    if area.sheet != "Sheet1":
        return str(area)
    return CellRange(area.sheet, area.top + 10, area.left, area.bottom + 10, area.right).a1


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("A1+$B$2*C3:D4", "A11+B12*C13:D14"),
        ("SUM( A1:A3 , 2 )&\"A1\"", "SUM( A11:A13 , 2 )&\"A1\""),
        ("'Other sheet'!A1+Other!B2:C3+Sheet1!D4", "'Other sheet'!A1+Other!B2:C3+D14"),
        ("LOG10(A1)+LOG(B2,10)", "LOG10(A11)+LOG(B12,10)"),
        ("IF(A1>TRUE,#N/A,-1.5E-3)", "IF(A11>TRUE,#N/A,-1.5E-3)"),
        ("rate*A1", "B15*A11"),
        ("_xlfn.NORM.S.INV(A1)^2%", "_xlfn.NORM.S.INV(A11)^2%"),
    ],
)  # fmt: skip
def test_references_are_written_anew(formula: str, expected: str) -> None:
    book = cells.book(
        cells.sheet("Sheet1", {"A1": "1"}), cells.sheet("Other", {"A1": "1"}),
        names=[DefinedName("rate", "Sheet1!$B$5", None)],
    )  # fmt: skip
    assert relocated(formula, "Sheet1", book, moved) == expected


@pytest.mark.parametrize(
    ("formula", "names"),
    [
        ("SUM(Table1[x])", "Table1[x]"),
        ("SUM(A1#)", "#"),
        ("SUM(A1:INDEX(B1:B9,2))", "a computed range"),
        ("SUM(One:Three!A1)", "a range over sheets"),
        ("rate*A1", "the name rate"),
    ],
)
def test_what_a_copy_cannot_repeat(formula: str, names: str) -> None:
    with pytest.raises(NotRelocatable, match=names.replace("[", r"\[")):
        relocated(formula, "Sheet1", cells.workbook("1"), moved)
