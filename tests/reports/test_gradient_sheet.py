"""The Gradient Check sheet, and that Excel's own arithmetic gives its numeric column."""

from __future__ import annotations

import zipfile
from pathlib import Path

import openpyxl
import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus
from grids import write_grid
from judges import (
    cached_values,
    recalculate_with_libreoffice,
    requires_libreoffice,
    requires_validator,
    validation_errors,
)  # fmt: skip

import xl2torch
from xl2torch.errors import OutputError, SelectionError
from xl2torch.gradients.check import GradientCheck, check
from xl2torch.reports.gradient_sheet import save_gradient_check
from xl2torch.reports.save import fill_cached_values
from xl2torch.teach.derivatives.sheet_derivatives import check_written

FIRST = 21


def checked(path: Path, *model: str) -> GradientCheck:
    return check(xl2torch.compile(xl2torch.load(path), *model))


def small(folder: Path, text: str, objective: str, variables: str) -> GradientCheck:
    book = write_grid(folder / "book.xlsx", text)
    fill_cached_values(book)
    return check(xl2torch.compile(xl2torch.load(book), None, objective, variables.split(",")))


def test_both_columns_and_the_difference(tmp_path: Path) -> None:
    found = checked(WORKBOOKS / "quadratic.xlsx")
    saved = save_gradient_check(found, tmp_path / "out.xlsx")
    assert (saved.sheet, saved.not_live) == ("Gradient Check 1", "")
    cells = cached_values(tmp_path / "out.xlsx")
    for row, item in enumerate(found.rows, FIRST):
        shown = [cells["Gradient Check 1", f"{column}{row}"] for column in "ACDEFGHI"]
        assert shown == [
            item.cell.a1, item.value, item.analytic, item.numeric, item.step, item.abs_diff,
            item.rel_diff, "ok",
        ]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "out.xlsx") as archive:
        charts = [archive.read(name).decode() for name in archive.namelist() if "/charts/" in name]
    last = FIRST + len(found.rows) - 1
    (chart,) = [text for text in charts if "scatterChart" in text and "Gradient Check 1" in text]
    assert f"$D${FIRST}:$D${last}" in chart and f"$E${FIRST}:$E${last}" in chart


def test_nothing_else_changes(tmp_path: Path) -> None:
    source = WORKBOOKS / "line.xlsx"
    save_gradient_check(checked(source), tmp_path / "out.xlsx")
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(tmp_path / "out.xlsx") as after:
        changed = {name for name in before.namelist() if before.read(name) != after.read(name)}
    assert changed == {
        "[Content_Types].xml", "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml",
    }  # fmt: skip


LIVE = (
    # sheet; objective; variables; what it shows
    ("1 2 =A1^2*B1+3 =C1*2", "D1", "A1:B1"),
    ("0.5 0.25 0.125\n=MAX(0,A1) =MAX(0,B1) =MAX(0,C1)\n=SUMPRODUCT(A1:C1,A2:C2)", "A3", "A1:C1"),
    ("1 2 3\n4 5 6\n=SUM(A1:C2)^2/$B$2", "A3", "A1:B1"),
    ('2 3 big\n=IF(A1>B1,A1^3,A1*B1) =IF(C1="big",A2^2,0)', "B2", "A1:B1"),
    ("1 2 =ROWS(A1:A9)*A1+SUMPRODUCT(A1:B1,A1:B1)", "C1", "A1:B1"),
    ("1 2 =COUNT(A1:B6)*A1+INDEX(A1:B4,1,2)^2", "C1", "A1:B1"),
    ("1 2\n=A1+B1\n=A2+B1\n=A3*A2+B1", "A4", "A1,B1"),
)


@requires_libreoffice
@pytest.mark.parametrize(("text", "objective", "variables"), LIVE)
def test_libreoffice_takes_the_same_differences(
    text: str, objective: str, variables: str, tmp_path: Path
) -> None:
    found = small(tmp_path, text, objective, variables)
    assert not save_gradient_check(found, tmp_path / "out.xlsx").not_live
    _same_numbers(found, tmp_path / "out.xlsx", tmp_path / "recalculated")


@requires_libreoffice
@pytest.mark.parametrize("name", ["line", "quadratic"])
def test_libreoffice_agrees_on_the_samples(name: str, tmp_path: Path) -> None:
    found = checked(WORKBOOKS / f"{name}.xlsx")
    assert not save_gradient_check(found, tmp_path / "out.xlsx").not_live
    _same_numbers(found, tmp_path / "out.xlsx", tmp_path / "recalculated")


@pytest.mark.slow
@requires_corpus
@requires_libreoffice
def test_array_formulas_are_live_as_well(tmp_path: Path) -> None:
    book = xl2torch.load(CORPUS / "fastai-2017" / "layers_example.xlsx")
    found = check(xl2torch.compile(book, "fixed", "E32", ["B14:D17"]))
    assert not save_gradient_check(found, tmp_path / "out.xlsx").not_live
    _same_numbers(found, tmp_path / "out.xlsx", tmp_path / "recalculated")


def _same_numbers(found: GradientCheck, path: Path, folder: Path) -> None:
    folder.mkdir()
    ours, theirs = cached_values(path), cached_values(recalculate_with_libreoffice(path, folder))
    largest = max(abs(row.analytic) for row in found.rows)
    for row, item in enumerate(found.rows, FIRST):
        number = theirs["Gradient Check 1", f"E{row}"]
        assert number == pytest.approx(item.numeric, abs=1e-7 * largest)
    copies = {place: value for place, value in ours.items() if "Copies" in place[0]}
    assert len(copies) > 2 * len(found.rows)
    for place, value in copies.items():
        other = theirs.get(place)
        assert other == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("text", "objective", "variables", "why"),
    [
        ("1 =A1*ROW()", "B1", "A1", "ROW in S!B1 depends on where it stands"),
        ("1 =SUM(OFFSET(A1,0,0,1,1))", "B1", "A1", "OFFSET in S!B1"),
        ("1 2 =SUM(A1:INDEX(A1:B1,2))", "C1", "A1", "a computed range in"),
        ("1 2 =AGGREGATE(9,5,A1:B1)", "C1", "A1", "AGGREGATE in S!C1"),
        ("1 2\n=ABS(A1:B1)", "A2", "A1", "takes one cell of a range by its row"),
        ('1 0\nx y\n=SUMIF(A2:B2,"x",A1)', "A3", "A1", "the sum range in S!A3 is shorter"),
    ],
)
def test_where_a_copy_would_mean_something_else(
    text: str, objective: str, variables: str, why: str, tmp_path: Path
) -> None:
    saved = save_gradient_check(small(tmp_path, text, objective, variables), tmp_path / "o.xlsx")
    assert why in saved.not_live
    cells = cached_values(tmp_path / "o.xlsx")
    assert not [place for place in cells if "Copies" in place[0]]
    assert cells["Gradient Check 1", f"E{FIRST}"] == pytest.approx(1.0)


@requires_libreoffice
def test_cells_without_a_stored_value_are_copied_too(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "book.xlsx", "2 3 =2+3 =SUM(A1:C1)^2")  # nothing is computed yet
    found = check(xl2torch.compile(xl2torch.load(book), None, "D1", ["A1:B1"]))
    assert not save_gradient_check(found, tmp_path / "out.xlsx").not_live
    _same_numbers(found, tmp_path / "out.xlsx", tmp_path / "recalculated")


@requires_libreoffice
def test_a_forward_difference_has_a_copy_in_which_nothing_moves(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    made.worksheets[0]["A1"], made.worksheets[0]["C1"] = 2, "=AVERAGE(A1:B1)*A1"
    made.save(tmp_path / "book.xlsx")  # B1 is blank: in the copies it is a number
    model = xl2torch.compile(xl2torch.load(tmp_path / "book.xlsx"), None, "C1", ["A1:B1"])
    found = check(model, method="forward")
    save_gradient_check(found, tmp_path / "out.xlsx")
    _same_numbers(found, tmp_path / "out.xlsx", tmp_path / "recalculated")


@requires_libreoffice
def test_the_copies_stand_where_the_model_stands(tmp_path: Path) -> None:
    """After training the file's numbers are others than the model's."""
    book = write_grid(tmp_path / "book.xlsx", "1 2 =A1^2+B1^3")
    model = xl2torch.compile(xl2torch.load(book), None, "C1", ["A1:B1"])
    with torch.no_grad():
        next(iter(model.parameters())).add_(1.0)
    found = check(model)
    assert [row.analytic for row in found.rows] == [4.0, 27.0]
    save_gradient_check(found, tmp_path / "out.xlsx")
    _same_numbers(found, tmp_path / "out.xlsx", tmp_path / "recalculated")


@requires_libreoffice
@pytest.mark.parametrize("name", ["line", "quadratic"])
def test_with_the_answer_in_the_same_file(tmp_path: Path, name: str) -> None:
    """Train writes the weights and the sheet: the copies read the weights that are written."""
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(WORKBOOKS / f"{name}.xlsx")), epochs=2)
    saved = xl2torch.save(result, tmp_path / "out.xlsx", reports="training,gradients")
    assert saved.reports["gradients"] == "Gradient Check 1"
    _same_numbers(check(result.model), tmp_path / "out.xlsx", tmp_path / "recalculated")


def test_far_cells_are_not_copied(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    made.worksheets[0]["A1"], made.worksheets[0]["CV20000"] = 2, "=A1^2"
    made.save(tmp_path / "book.xlsx")
    model = xl2torch.compile(xl2torch.load(tmp_path / "book.xlsx"), None, "CV20000", ["A1"])
    saved = save_gradient_check(check(model), tmp_path / "out.xlsx")
    assert "too far apart" in saved.not_live
    with zipfile.ZipFile(tmp_path / "out.xlsx") as archive:
        texts = [archive.read(name) for name in archive.namelist() if "worksheets/" in name]
    assert not any(b"<cols></cols>" in text or b"<cols/>" in text for text in texts)


def test_sheets_without_widths_have_no_columns(tmp_path: Path) -> None:
    save_gradient_check(checked(WORKBOOKS / "line.xlsx"), tmp_path / "out.xlsx")
    with zipfile.ZipFile(tmp_path / "out.xlsx") as archive:
        texts = [archive.read(name) for name in archive.namelist() if "worksheets/" in name]
    assert any(b"nothing" in text or b"one variable cell moved" in text for text in texts)
    assert not any(b"<cols></cols>" in text for text in texts)


def test_large_models_hold_numbers(tmp_path: Path) -> None:
    saved = save_gradient_check(checked(WORKBOOKS / "survival.xlsx"), tmp_path / "out.xlsx")
    assert saved.not_live == "the copies would take more than 20,000 cells"


def test_a_second_check_takes_the_next_name(tmp_path: Path) -> None:
    save_gradient_check(checked(WORKBOOKS / "line.xlsx"), tmp_path / "one.xlsx")
    saved = save_gradient_check(checked(tmp_path / "one.xlsx"), tmp_path / "two.xlsx")
    assert saved.sheet == "Gradient Check 2"
    names = {sheet for sheet, _ in cached_values(tmp_path / "two.xlsx")}
    assert {"Gradient Check 1", "Gradient Check Copies 1", "Gradient Check Copies 2"} <= names


def test_columns_of_the_author(tmp_path: Path) -> None:
    text = "3 =A1^2 =2*A1\n4 =A2^2 =-2*A2\n5 =A3^2 =2*A3"
    book = write_grid(tmp_path / "book.xlsx", text)
    found = check_written(xl2torch.load(book), "B1:B3", "A1:A3", "C1:C3")
    save_gradient_check(found, tmp_path / "out.xlsx")
    cells = cached_values(tmp_path / "out.xlsx")
    rows = [[cells["Gradient Check 1", f"{column}{row}"] for column in "ACDEFGI"]
            for row in range(FIRST - 0, FIRST + 3)]  # fmt: skip
    assert rows == [
        ["C1", "B1", 6.0, 6.0, "A1", 0.0, "ok"],
        ["C2", "B2", 8.0, -8.0, "A2", 16.0, "differs"],
        ["C3", "B3", 10.0, 10.0, "A3", 0.0, "ok"],
    ]


def test_text_of_the_sheet_is_never_a_formula(tmp_path: Path) -> None:
    """A label that begins with = stays a text in the report."""
    made = openpyxl.Workbook()
    sheet = made.worksheets[0]
    for cell, value in (("A1", "=1+1"), ("B1", 3), ("C1", "=B1^2")):
        sheet[cell] = value
    sheet["A1"].data_type = "s"
    book = tmp_path / "book.xlsx"
    made.save(book)
    found = check(xl2torch.compile(xl2torch.load(book), None, "C1", "B1"))
    save_gradient_check(found, tmp_path / "out.xlsx")
    assert cached_values(tmp_path / "out.xlsx")["Gradient Check 1", f"B{FIRST}"] == "=1+1"


def test_where_it_cannot_be_written(tmp_path: Path) -> None:
    found = checked(WORKBOOKS / "line.xlsx")
    with pytest.raises(SelectionError, match=r"has to end in \.xlsx"):
        save_gradient_check(found, tmp_path / "out.csv")
    (tmp_path / "out.xlsx").touch()
    with pytest.raises(OutputError, match="exists already"):
        save_gradient_check(found, tmp_path / "out.xlsx")
    save_gradient_check(found, tmp_path / "out.xlsx", force=True)


@requires_validator
def test_the_file_has_no_new_fault(tmp_path: Path) -> None:
    """Nothing that the validator did not say of the source (openpyxl's order in fonts)."""
    sources = [WORKBOOKS / f"{name}.xlsx" for name in ("line", "survival")]
    results = [tmp_path / source.name for source in sources]
    for source, result in zip(sources, results, strict=True):
        save_gradient_check(checked(source), result)
    errors = validation_errors([*sources, *results])
    for source, result in zip(sources, results, strict=True):
        assert set(errors[result]) <= set(errors[source])
