"""--store-model: Solver's own hidden names, so that its dialog opens with the model."""

from __future__ import annotations

import re
from pathlib import Path

import openpyxl
import pytest
from judges import requires_validator, validation_errors
from packages import QUADRATIC, WORKBOOK, parts, read, solver, write
from solver_books import hs71

import xl2torch
from xl2torch.errors import SelectionError
from xl2torch.model.problem import Problem, find_problem
from xl2torch.reports.store_model import solver_model_names
from xl2torch.workbook.read.reader import load

TABLE = QUADRATIC + "\nB4 =B1+B2 | 1\nD1 3\nD2 4"


def stored(book: Path, target: Path, **choice: object) -> dict[str, str]:
    """Names of the result, of all sheets, hidden ones only."""
    model = xl2torch.compile(load(book), **choice)  # type: ignore[arg-type]
    xl2torch.save(xl2torch.fit(model, epochs=0), target, store_model=True, force=True)
    text = read(target)[WORKBOOK].decode()
    found = re.findall(
        r'<definedName name="(solver_\w+)" localSheetId="(\d)" hidden="1">([^<]*)<', text
    )
    assert len({(name, sheet) for name, sheet, _ in found}) == len(found)
    return {name.removeprefix("solver_"): value for name, _, value in found}


def same(first: Problem, second: Problem) -> None:
    for fact in (
        "sheet",
        "objective",
        "variables",
        "sense",
        "target",
        "non_negative",
        "constraints",
    ):
        assert getattr(first, fact) == getattr(second, fact), fact


FLAGS = {
    "objective": "B3", "variables": "B1:B2", "sense": "max", "non_negative": True,
    "constraints": ["B4 <= 10", "B1:B2 <= D1:D2", "B4 >= 2*D1-D2", "B1 = 3", "B1:B2 int"],
}  # fmt: skip


def test_names_of_flags(tmp_path: Path) -> None:
    book = write(tmp_path / "b.xlsx", parts(TABLE, names=""))
    names = stored(book, tmp_path / "out.xlsx", **FLAGS)
    assert len(names) == 27 + 3 * 5
    assert names["opt"] == "Model!$B$3" and names["adj"] == "Model!$B$1:$B$2"
    assert (names["typ"], names["neg"], names["num"], names["ver"]) == ("1", "1", "5", "3")
    assert [(names[f"lhs{n}"], names[f"rel{n}"], names[f"rhs{n}"]) for n in range(1, 6)] == [
        ("Model!$B$4", "1", "10"), ("Model!$B$1:$B$2", "1", "Model!$D$1:$D$2"),
        ("Model!$B$4", "3", "2*Model!$D$1-Model!$D$2"), ("Model!$B$1", "2", "3"),
        ("Model!$B$1:$B$2", "4", '"integer"'),
    ]  # fmt: skip
    assert names["itr"] == "2147483647" and names["pre"] == "0.000001"


def test_the_stored_model_reads_back(tmp_path: Path) -> None:
    book = write(tmp_path / "b.xlsx", parts(TABLE, names=""))
    asked = find_problem(
        load(book), None, "B3", "B1:B2", "value=9", ["B4 <= 10", "B1:B2 <= D1:D2", "B2 >= -7"], True
    )
    stored(book, tmp_path / "out.xlsx", objective="B3", variables="B1:B2", sense="value=9",
           constraints=["B4 <= 10", "B1:B2 <= D1:D2", "B2 >= -7"], non_negative=True)  # fmt: skip
    same(asked, find_problem(load(tmp_path / "out.xlsx")))


def test_a_model_that_is_stored_keeps_its_options(tmp_path: Path) -> None:
    """hs71 again: the same names, one set of them; options such as the precision stay."""
    book = hs71(tmp_path)
    contents = read(book)
    more = '<definedName name="solver_pre" localSheetId="0" hidden="1">0.001</definedName>'
    other = (
        '<definedName name="solver_pre" localSheetId="7">0.5</definedName>'
        '<definedName name="solver_x">1</definedName>'
    )
    contents[WORKBOOK] = contents[WORKBOOK].replace(
        b"</definedNames>", (more + other + "</definedNames>").encode()
    )
    write(book, contents)
    names = stored(book, tmp_path / "out.xlsx")
    assert names["pre"] == "0.001" and names["num"] == "4" and names["lhs4"] == "Model!$B$2:$B$5"
    same(find_problem(load(book)), find_problem(load(tmp_path / "out.xlsx")))
    assert other.encode() in read(tmp_path / "out.xlsx")[WORKBOOK]


def test_other_sheets_keep_theirs(tmp_path: Path) -> None:
    names = solver() + solver(index=1, title="Other")
    book = write(tmp_path / "b.xlsx", parts({"Model": TABLE, "Other": TABLE}, names=names))
    stored(book, tmp_path / "out.xlsx", sheet="Model", variables="B1")
    text = read(tmp_path / "out.xlsx")[WORKBOOK].decode()
    assert text.count('localSheetId="1"') == 5 and "Other!$B$1:$B$2" in text
    assert find_problem(load(tmp_path / "out.xlsx"), "Model").variables[0].a1 == "B1"
    assert find_problem(load(tmp_path / "out.xlsx"), "Other").variables[0].a1 == "B1:B2"


def test_without_the_option_names_stay(tmp_path: Path) -> None:
    book = write(tmp_path / "b.xlsx", parts(TABLE))
    model = xl2torch.compile(load(book), variables="B1")
    xl2torch.save(xl2torch.fit(model), tmp_path / "out.xlsx")
    names = re.compile(rb"<definedNames>.*</definedNames>")
    before, after = (names.findall(read(p)[WORKBOOK]) for p in (book, tmp_path / "out.xlsx"))
    assert before == after


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"variables": "Other!B1"}, "on one sheet"),
        ({"constraints": ["Other!B1 <= 3"]}, "on one sheet"),
        ({"constraints": ["B4 <= SUM(A1#)"]}, "cannot be stored"),
        ({"constraints": ["B1:B2 <= 2*D1:D2"]}, "a value for each of the cells"),
    ],
)  # fmt: skip
def test_models_that_solver_cannot_hold(
    tmp_path: Path, choice: dict[str, object], words: str
) -> None:
    tables = {"Model": TABLE.replace("(B1-1)", "(Other!B1+B1-1)"), "Other": "B1 3"}
    workbook = load(write(tmp_path / "b.xlsx", parts(tables, names="")))
    asked = {"objective": "Model!B3", "variables": "Model!B1:B2"} | choice
    problem = find_problem(workbook, **asked)  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match=words):
        solver_model_names(workbook, problem)


def test_names_around_stay(tmp_path: Path) -> None:
    """A name of Solver's that is empty, a user's name behind it, a comment between them."""
    rest = '<definedName name="Keep">Model!$A$1</definedName><!-- a comment -->'
    empty = '<definedName name="solver_foo" localSheetId="0" hidden="1"/>'
    book = write(tmp_path / "b.xlsx", parts(TABLE, names=empty + rest + solver()))
    stored(book, tmp_path / "out.xlsx")
    text = read(tmp_path / "out.xlsx")[WORKBOOK].decode()
    assert rest in text and "solver_foo" not in text and text.count("solver_opt") == 1


def test_openpyxl_reads_the_names(tmp_path: Path) -> None:
    book = write(tmp_path / "b.xlsx", parts(TABLE, names=""))
    stored(book, tmp_path / "out.xlsx", **FLAGS)
    names = openpyxl.load_workbook(tmp_path / "out.xlsx")["Model"].defined_names
    assert names["solver_opt"].attr_text == "Model!$B$3" and names["solver_opt"].hidden


@requires_validator
def test_the_file_is_valid(tmp_path: Path) -> None:
    plain = write(tmp_path / "b.xlsx", parts(TABLE, names=""))
    stored(plain, tmp_path / "one.xlsx", **FLAGS)
    stored(hs71(tmp_path), tmp_path / "two.xlsx")
    errors = validation_errors([plain, tmp_path / "one.xlsx", tmp_path / "two.xlsx"])
    for result in ("one.xlsx", "two.xlsx"):
        assert set(errors[tmp_path / result]) <= set(errors[plain])
