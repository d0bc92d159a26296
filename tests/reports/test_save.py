"""What the written workbook holds: weights, refreshed values, the Training sheet."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

import pytest
from corpus import WORKBOOKS
from grids import grid, write_grid
from judges import cached_values
from packages import SHEET1, read, write

import xl2torch
from xl2torch.cells.address import CellAddress
from xl2torch.errors import OutputError
from xl2torch.reports import layout
from xl2torch.reports.outcome import ReportContext
from xl2torch.reports.save import fill_cached_values
from xl2torch.workbook.write.patcher import CellEdit, Edits


def test_dependents_of_all_kinds_are_refreshed(tmp_path: Path) -> None:
    """Numbers, texts, logicals, errors and arrays that depend on the trained cell."""
    text = '1 =(A1-4)^2 =A1>3 =IF(A1>3,"big","small") =1/(B1+0) =A1&"!" =ROUND(A1,0)'
    book = write_grid(tmp_path / "b.xlsx", text)
    fill_cached_values(book)
    before = cached_values(book)
    assert (before["S", "C1"], before["S", "D1"]) == (False, "small")
    model = xl2torch.compile(xl2torch.load(book), objective="B1", variables="A1")
    saved = xl2torch.save(xl2torch.fit(model), tmp_path / "out.xlsx")
    after = cached_values(tmp_path / "out.xlsx")
    assert after["S", "A1"] == pytest.approx(4.0)
    assert (after["S", "C1"], after["S", "D1"], after["S", "G1"]) == (True, "big", 4.0)
    assert after["S", "E1"] == "#DIV/0!" or isinstance(after["S", "E1"], float)
    assert str(after["S", "F1"]).endswith("!") and not saved.stale


def test_cells_that_cannot_be_recomputed_lose_their_old_value(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "1 =(A1-4)^2 =BESSELJ(A1,0) =C1+1 =BESSELJ(1,0)")
    parts = read(book)
    for formula, value in (("BESSELJ(A1,0)", "0.7"), ("C1+1", "1.7"), ("BESSELJ(1,0)", "0.7")):
        empty = re.compile(rf"(<f>{re.escape(formula)}</f>)<v ?/?>(</v>)?".encode())
        text = rb"\1<v>%s</v>" % value.encode()
        parts[SHEET1], count = empty.subn(text, parts[SHEET1])
        assert count == 1
    write(book, parts)
    model = xl2torch.compile(xl2torch.load(book), objective="B1", variables="A1")
    saved = xl2torch.save(xl2torch.fit(model), tmp_path / "out.xlsx")
    after = cached_values(tmp_path / "out.xlsx")
    assert {cell.a1 for cell in saved.stale} == {"C1", "D1"}
    assert ("S", "C1") not in after and ("S", "D1") not in after
    assert after["S", "E1"] == 0.7


def test_second_training_sheet_is_numbered(tmp_path: Path) -> None:
    path = WORKBOOKS / "line.xlsx"
    for number in (1, 2, 3):
        out = tmp_path / f"{number}.xlsx"
        xl2torch.save(xl2torch.fit(xl2torch.compile(xl2torch.load(path)), epochs=1), out)
        path = out
    assert xl2torch.load(path).sheet_order == (
        "Model", *(f"{kind} Report {n}" for n in (1, 2, 3) for kind in ("Training", "Answer")),
    )  # fmt: skip
    assert xl2torch.verify(xl2torch.load(path))["total"]["mismatched"] == 0


def test_what_did_not_move_is_not_written(tmp_path: Path) -> None:
    """Excel's last digits stay where the numbers are the same."""
    book = WORKBOOKS / "survival.xlsx"
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(book)), epochs=0)
    saved = xl2torch.save(result, tmp_path / "out.xlsx", reports="none")
    assert saved.changed_cells == 0
    with zipfile.ZipFile(book) as before, zipfile.ZipFile(tmp_path / "out.xlsx") as after:
        changed = {n for n in before.namelist() if before.read(n) != after.read(n)}
    assert changed == {"xl/workbook.xml"}  # it asks for a recalculation


@pytest.mark.parametrize(
    "cell",
    ["=RAND()*A1", "=TODAY()-2+A1", '="trained "&TEXT(NOW(),"yyyy")&B1', "=A1*0.5+RAND()",
     "=LET(x,RAND(),x*A1)", "=RANDBETWEEN(1,9)+B1"],
)  # fmt: skip
def test_volatile_cells_beside_the_model_keep_their_value(tmp_path: Path, cell: str) -> None:
    book = write_grid(tmp_path / "b.xlsx", f"1 =(A1-4)^2 {cell.replace(' ', '_')} =C1 =A1*2")
    model = xl2torch.compile(xl2torch.load(book), objective="B1", variables="A1")
    contents = read(book)
    pattern = rb'(<c r="[CD]1"[^>]*><f>[^<]*</f>)<v ?/?>(</v>)?'
    contents[SHEET1] = re.sub(pattern, rb"\1<v>0.25</v>", contents[SHEET1])
    write(book, contents)
    model = xl2torch.compile(xl2torch.load(book), objective="B1", variables="A1")
    saved = xl2torch.save(xl2torch.fit(model), tmp_path / "out.xlsx")
    after = cached_values(tmp_path / "out.xlsx")
    assert (after["S", "C1"], after["S", "D1"]) == (0.25, 0.25) and not saved.stale
    assert after["S", "E1"] == pytest.approx(8.0)


def test_a_random_cell_without_a_value_makes_its_readers_stale(tmp_path: Path) -> None:
    book = write_grid(tmp_path / "b.xlsx", "1 =(A1-4)^2 =RAND() =C1*A1")
    model = xl2torch.compile(xl2torch.load(book), objective="B1", variables="A1")
    saved = xl2torch.save(xl2torch.fit(model), tmp_path / "out.xlsx")
    assert [cell.a1 for cell in saved.stale] == ["D1"]


def test_a_report_that_no_sheet_holds_costs_not_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_ROW", 20)
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(WORKBOOKS / "line.xlsx")))
    saved = xl2torch.save(result, tmp_path / "out.xlsx")
    assert (
        list(saved.reports) == ["training"] and "more than a sheet has" in saved.skipped["answer"]
    )
    assert xl2torch.load(tmp_path / "out.xlsx").sheet_order[-1] == "Training Report 1"


@pytest.mark.parametrize("column", [1, 2])
def test_an_answer_that_readers_would_not_find_is_not_written(
    column: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sheet is read again before it is written; here the weight, or the loss, is lost."""
    model = xl2torch.compile(grid(tmp_path, "1 =(A1-4)^2+1"), objective="B1", variables="A1")
    saving = sys.modules[fill_cached_values.__module__]  # the package has a function of its name
    result, real = xl2torch.fit(model), saving._edits

    def losing(outcome: ReportContext, everything: bool) -> Edits:
        edits: Edits = real(outcome, everything)
        edits.put(CellAddress("S", 1, column), CellEdit(stale=True))
        return edits

    monkeypatch.setattr(saving, "_edits", losing)
    with pytest.raises(OutputError, match="nothing was written"):
        xl2torch.save(result, tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()


def test_disagreement_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    model = xl2torch.compile(grid(tmp_path, "1 =(A1-4)^2+1"), objective="B1", variables="A1")
    wrong = dataclasses.replace(xl2torch.fit(model), final=1.5)
    with pytest.raises(xl2torch.errors.TrainingError, match="nothing was written"):
        xl2torch.save(wrong, tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()
