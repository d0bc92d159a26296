"""Protection is respected: locked cells of protected sheets, workbooks of a fixed structure."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from packages import QUADRATIC, WORKBOOK, Parts, edited, parts, read, rows, sheet, write

import xl2torch
from xl2torch.cells.address import CellRange
from xl2torch.cli import main
from xl2torch.errors import OutputError
from xl2torch.workbook.read.protection import has_locked_structure, locked_ranges
from xl2torch.workbook.read.reader import load

PROTECTED = '<sheetProtection sheet="1" objects="1" scenarios="1"/>'
UNLOCKED = ('numFmtId="2" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>',
            'numFmtId="2" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1">'
            '<protection locked="0"/></xf>')  # fmt: skip


def book(data: str = "", before: str = "", after: str = PROTECTED) -> Parts:
    """The quadratic on a protected sheet; the second cell format is unlocked."""
    contents = parts({"Model": sheet(data or rows(QUADRATIC), before, after)})
    return edited(contents, "xl/styles.xml", UNLOCKED)


def with_format(*cells: str) -> str:
    """The sheet's rows with the unlocked format in some cells."""
    text = rows(QUADRATIC)
    for cell in cells:
        text = text.replace(f'<c r="{cell}"', f'<c r="{cell}" s="1"')
    return text


@pytest.mark.parametrize(
    ("contents", "locked"),
    [
        (book(), True),
        (book(with_format("B1")), True),
        (book(with_format("B1", "B2")), False),
        (book(before='<cols><col min="2" max="2" width="9" style="1"/></cols>'), True),
        (book(after=""), False),
        (book(after='<sheetProtection sheet="0"/>'), False),
    ],
    ids=["all locked", "one unlocked", "unlocked", "column for blank cells", "free", "off"],
)  # fmt: skip
def test_locked_cells(contents: Parts, locked: bool, tmp_path: Path) -> None:
    workbook = load(write(tmp_path / "b.xlsx", contents))
    area = CellRange("Model", 1, 2, 2, 2)
    assert locked_ranges(workbook, [area]) == ([area] if locked else [])


def test_blank_cells_take_the_format_of_their_row_or_column(tmp_path: Path) -> None:
    data = '<row r="1"><c r="A1"><v>1</v></c></row><row r="2" s="1" customFormat="1"/>'
    columns = '<cols><col min="3" max="4" width="9" style="1"/></cols>'
    workbook = load(write(tmp_path / "b.xlsx", book(data, columns)))
    blank = [CellRange("Model", row, column, row, column) for row, column in
             ((1, 2), (2, 2), (1, 3), (3, 4), (3, 5))]  # fmt: skip
    assert locked_ranges(workbook, blank) == [blank[0], blank[4]]


def test_structure(tmp_path: Path) -> None:
    for text, expected in (("", False), ('<workbookProtection lockStructure="1"/>', True),
                           ('<workbookProtection lockWindows="1"/>', False)):  # fmt: skip
        contents = edited(parts(), WORKBOOK, ("<sheets>", f"{text}<sheets>"))
        assert has_locked_structure(load(write(tmp_path / "b.xlsx", contents))) is expected


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.stderr


def test_train_asks_before_it_works(tmp_path: Path) -> None:
    path = write(tmp_path / "b.xlsx", book())
    code, errors = run("train", path)
    assert code == 1 and "the cells Model!B1:B2 are locked" in errors
    assert "--ignore-protection" in errors and not (tmp_path / "b-trained.xlsx").exists()
    code, errors = run("train", path, "--ignore-protection")
    assert code == 0
    after = read(tmp_path / "b-trained.xlsx")["xl/worksheets/sheet1.xml"].decode()
    assert PROTECTED in after and "<v>3</v>" in after  # at its minimum, protected as before


def test_unlocked_variable_cells_are_enough(tmp_path: Path) -> None:
    """Their sheet's other cells stay locked; Excel recalculates these as well."""
    path = write(tmp_path / "b.xlsx", book(with_format("B1", "B2")))
    assert run("train", path)[0] == 0


def test_a_fixed_structure_takes_no_report_sheet(tmp_path: Path) -> None:
    contents = edited(
        parts(), WORKBOOK, ("<sheets>", '<workbookProtection lockStructure="1"/><sheets>')
    )
    path = write(tmp_path / "b.xlsx", contents)
    for command in (("train", path), ("gradcheck", path, "-o", tmp_path / "out.xlsx")):
        code, errors = run(*command)
        assert code == 1 and "the structure of b.xlsx is protected" in errors
        assert run(*command, "--ignore-protection")[0] == 0


def test_the_library_asks_too(tmp_path: Path) -> None:
    model = xl2torch.compile(load(write(tmp_path / "b.xlsx", book())))
    result = xl2torch.fit(model, epochs=3)
    with pytest.raises(OutputError, match="are locked"):
        xl2torch.save(result, tmp_path / "out.xlsx")
    xl2torch.save(result, tmp_path / "out.xlsx", ignore_protection=True)


def test_a_signed_workbook_is_not_changed(tmp_path: Path) -> None:
    contents = {**parts(), "_xmlsignatures/origin.sigs": b""}
    path = write(tmp_path / "b.xlsx", contents)
    assert run("gradcheck", path)[0] == 0
    code, errors = run("train", path, "--ignore-protection")
    assert code == 1 and "b.xlsx is digitally signed" in errors
