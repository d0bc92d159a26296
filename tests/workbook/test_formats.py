"""Formats of cells: their own, their row's, their column's."""

from __future__ import annotations

from pathlib import Path

from packages import edited, parts, sheet, write

from xl2torch.cells.address import CellAddress
from xl2torch.workbook.read.formats import format_indices, number_formats, unlocked_formats
from xl2torch.workbook.read.reader import load

SHEET = sheet(
    '<row r="1"><c r="A1" s="1"><v>1</v></c><c r="B1"><v>1</v></c></row>'
    '<row r="3" s="1" customFormat="1"><c r="A3" s="0"><v>1</v></c></row>'
    '<row r="4" s="1"><c r="A4"><v>1</v></c></row>',
    before='<cols><col min="3" max="5" width="9" style="1"/></cols>',
    after="<extLst><ext uri='{X}'><c r='A1' s='7'/></ext></extLst>",
)  # fmt: skip


def test_own_row_and_column() -> None:
    places = {
        (1, 1): 1,
        (1, 2): 0,
        (1, 4): 1,
        (3, 1): 0,
        (3, 2): 1,
        (4, 1): 0,
        (4, 2): 0,
        (9, 9): 0,
    }
    assert format_indices(SHEET.encode(), places, "a test") == places


def test_number_formats_of_cells(tmp_path: Path) -> None:
    book = load(write(tmp_path / "b.xlsx", parts({"Model": SHEET, "Other": "A1 5"})))
    cells = [CellAddress("Model", 1, 1), CellAddress("Other", 1, 1), CellAddress("Model", 3, 7)]
    assert number_formats(book, cells) == {cells[0]: 2, cells[1]: 0, cells[2]: 2}
    assert number_formats(book, []) == {}


def test_a_format_without_a_number_is_general(tmp_path: Path) -> None:
    contents = edited(parts({"Model": SHEET}), "xl/styles.xml", ('numFmtId="2"', 'numFmtId="#N/A"'))
    cell = CellAddress("Model", 1, 1)
    assert number_formats(load(write(tmp_path / "b.xlsx", contents)), [cell]) == {cell: 0}


def test_formats_that_are_not_there(tmp_path: Path) -> None:
    text = SHEET.replace('<c r="A1" s="1">', '<c r="A1" s="99">')
    book = load(write(tmp_path / "b.xlsx", parts({"Model": text})))
    assert number_formats(book, [CellAddress("Model", 1, 1)]) == {CellAddress("Model", 1, 1): 0}


def test_unlocked(tmp_path: Path) -> None:
    contents = parts()
    styles = contents["xl/styles.xml"].replace(
        b'applyNumberFormat="1"/>', b'applyNumberFormat="1"><protection locked="0"/></xf>', 1
    )
    book = load(write(tmp_path / "b.xlsx", contents | {"xl/styles.xml": styles}))
    assert unlocked_formats(book.package) == {1}
    assert unlocked_formats(load(write(tmp_path / "c.xlsx", contents)).package) == set()
