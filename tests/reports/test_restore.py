"""Undo: training and restoring leaves the workbook's cells as they were."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from corpus import CORPUS, WORKBOOKS, requires_corpus
from judges import cached_values
from packages import CALC_CHAIN, QUADRATIC, SHEET1, parts, read, rows, sheet, solver, write

import xl2torch
from xl2torch.errors import OutputError, SelectionError
from xl2torch.workbook.read.reader import load


def there_and_back(book: Path, folder: Path, **choice: object) -> Path:
    """Train, save, restore."""
    model = xl2torch.compile(load(book), **choice)  # type: ignore[arg-type]
    trained, restored = folder / f"trained{book.suffix}", folder / f"restored{book.suffix}"
    xl2torch.save(xl2torch.fit(model), trained, force=True)
    xl2torch.restore(trained, restored, force=True)
    return restored


def same_cells(before: Path, after: Path, tolerance: float = 1e-12) -> None:
    """Every value and every formula of the sheets of ``before``."""
    old, new = cached_values(before), cached_values(after)
    titles = {place[0] for place in old}
    assert {place for place in new if place[0] in titles} == set(old)
    for place, value in old.items():
        if isinstance(value, float):
            assert new[place] == pytest.approx(value, rel=tolerance, abs=tolerance), place
        else:
            assert new[place] == value, place
    for one in load(before).sheets:
        other = load(after).sheet(one.name)
        assert {
            (f.row, f.column): (f.own_text, f.array) for f in one.formulas
        } == {(f.row, f.column): (f.own_text, f.array) for f in other.formulas}  # fmt: skip


@pytest.mark.parametrize("name", ["line", "quadratic", "survival"])
def test_samples(tmp_path: Path, name: str) -> None:
    book = WORKBOOKS / f"{name}.xlsx"
    same_cells(book, there_and_back(book, tmp_path))


@pytest.mark.slow
@requires_corpus
@pytest.mark.parametrize(
    ("book", "sheet_name"),
    [("fastai-2022/titanic.xlsx", "mmult"), ("fastai-2017/layers_example.xlsx", "random")],
)
def test_corpus(tmp_path: Path, book: str, sheet_name: str) -> None:
    same_cells(CORPUS / book, there_and_back(CORPUS / book, tmp_path, sheet=sheet_name))


KINDS = {
    # variable cells: what they hold
    "formula": "B1 =2+3 | 5\nB2 -4",
    "blank": "B1 5\nC1 =COUNT(B1:B2) | 1",
    "logical": "B1 TRUE\nB2 -4",
    "formatted blank": "B1\nB2 -4\nC1 =ISBLANK(B1) | TRUE",
    "array formula": "A9 7\nB1 {B1:B2 =A9:A10*2} | 14\nB2 0",
    "dependents of kinds": 'B1 5\nB2 -4\nC1 =IF(B1>3,"big","small") | \'big\nC2 =1/(B1-1) | 0.25\n'
    "C4 =B1>3 | TRUE",
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_variable_cells(tmp_path: Path, kind: str) -> None:
    table = KINDS[kind] + "\nB3 =(B1-1)^2+(B2-2)^2+3 | 0"
    book = write(tmp_path / "book.xlsx", parts(table))
    from xl2torch.reports.save import fill_cached_values

    fill_cached_values(book)
    same_cells(book, there_and_back(book, tmp_path))


def test_shared_formulas_come_back(tmp_path: Path) -> None:
    data = (
        '<row r="1"><c r="A1"><v>1</v></c><c r="B1"><f t="shared" ref="B1:B2" si="0">A1*2</f>'
        '<v>2</v></c></row><row r="2"><c r="A2"><v>4</v></c><c r="B2"><f t="shared" si="0"/>'
        '<v>8</v></c></row><row r="3"><c r="B3"><f>(B1-1)^2+(B2-2)^2+3</f><v>40</v></c></row>'
    )
    chain = "".join(f'<c r="{a1}" i="1"/>' for a1 in ("B1", "B2", "B3"))
    book = write(tmp_path / "book.xlsx", parts({"Model": sheet(data)}, solver(), chain=chain))
    restored = there_and_back(book, tmp_path)
    same_cells(book, restored)
    assert CALC_CHAIN in read(restored)


def test_only_cells_of_the_model_change(tmp_path: Path) -> None:
    """All other parts stay as training left them, reports too."""
    book = write(tmp_path / "book.xlsx", parts())
    before = read(book)
    restored = read(there_and_back(book, tmp_path))
    trained = read(tmp_path / "trained.xlsx")
    assert {name for name in trained if trained[name] != restored[name]} == {SHEET1}
    assert restored[SHEET1] == before[SHEET1]


def test_the_last_report_counts_unless_another_is_named(tmp_path: Path) -> None:
    book = write(tmp_path / "0.xlsx", parts())
    for number in range(2):
        model = xl2torch.compile(load(tmp_path / f"{number}.xlsx"))
        xl2torch.save(xl2torch.fit(model, epochs=1), tmp_path / f"{number + 1}.xlsx")
    values = {}
    for report in (None, "Answer Report 1", "answer report 2"):
        xl2torch.restore(tmp_path / "2.xlsx", tmp_path / "out.xlsx", report=report, force=True)
        values[report] = cached_values(tmp_path / "out.xlsx")["Model", "B1"]
    once = cached_values(tmp_path / "1.xlsx")["Model", "B1"]
    assert values == {
        None: once, "Answer Report 1": cached_values(book)["Model", "B1"], "answer report 2": once,
    }  # fmt: skip


def test_in_place(tmp_path: Path) -> None:
    book = write(tmp_path / "book.xlsx", parts())
    result = xl2torch.fit(xl2torch.compile(load(book)))
    xl2torch.save(result, book, in_place=True)
    with pytest.raises(OutputError, match="is the input itself"):
        xl2torch.restore(book, book)
    xl2torch.restore(book, book, in_place=True)
    assert cached_values(book)["Model", "B1"] == 5.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("Worksheet: [", "Blatt: ["), "is no Answer Report of xl2torch"),
        (lambda text: text.replace("Variable Cells", "Cells"), "is no Answer Report of xl2torch"),
        (lambda text: text.replace("Original Value", "Value"), "has lost the heading"),
        (lambda text: text.replace("]Model", "]Gone"), "no worksheet named 'Gone'"),
        (lambda text: text.replace("$B$1", "here"), "'here' is not a cell"),
        (lambda text: text.replace("=2+3", "=cmd|' /C calc'!A0"), "cannot be put back"),
    ],
)
def test_reports_that_cannot_be_read(tmp_path: Path, change: object, words: str) -> None:
    table = QUADRATIC.replace("B1 5", "B1 =2+3 | 5")
    book = write(tmp_path / "book.xlsx", parts(table))
    xl2torch.save(xl2torch.fit(xl2torch.compile(load(book))), tmp_path / "trained.xlsx")
    contents = read(tmp_path / "trained.xlsx")
    report = "xl/worksheets/sheet3.xml"
    contents[report] = change(contents[report].decode()).encode()  # type: ignore[operator]
    damaged = write(tmp_path / "damaged.xlsx", contents)
    with pytest.raises(SelectionError, match=re.escape(words)):
        xl2torch.restore(damaged, tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx").exists()


def test_without_a_report(tmp_path: Path) -> None:
    book = write(tmp_path / "book.xlsx", parts())
    with pytest.raises(SelectionError, match="has no Answer Report: there is nothing to restore"):
        xl2torch.restore(book, tmp_path / "out.xlsx")


def test_locked_cells_stay_locked(tmp_path: Path) -> None:
    text = sheet(rows(QUADRATIC), after='<sheetProtection sheet="1"/>')
    book = write(tmp_path / "book.xlsx", parts({"Model": text}))
    result = xl2torch.fit(xl2torch.compile(load(book)))
    xl2torch.save(result, tmp_path / "trained.xlsx", ignore_protection=True)
    with pytest.raises(OutputError, match="Model!B1:B2 are locked"):
        xl2torch.restore(tmp_path / "trained.xlsx", tmp_path / "out.xlsx")
    xl2torch.restore(tmp_path / "trained.xlsx", tmp_path / "out.xlsx", ignore_protection=True)
    same_cells(book, tmp_path / "out.xlsx")
