"""Constraints as users write them and as Solver stores them."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path

import pytest
from grids import write_grid
from packages import WORKBOOK, parts, solver, write
from solver_books import HS71, HS71_CONSTRAINTS, hs71, model_book

import xl2torch
from xl2torch.cells.address import CellRange, parse_a1
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.problem import Problem, find_problem
from xl2torch.workbook.read.reader import load

TABLE = """
    B1 5
    B2 -4
    B3 =(B1-1)^2+(B2-2)^2 | 52
    B4 =B1+B2 | 1
    D1 3
    D2 4
    D3 =D1*2 | 6
    D4 'text
"""


def problem(tmp_path: Path, *constraints: str) -> Problem:
    workbook = load(write(tmp_path / "b.xlsx", parts(TABLE)))
    return find_problem(workbook, constraints=constraints)


def area(a1: str) -> CellRange:
    found = parse_a1(a1, "Model")
    assert found
    return found


@pytest.mark.parametrize(
    ("text", "left", "relation", "right", "bounds"),
    [
        ("B1:B2 <= 100", "B1:B2", "<=", 100.0, [("B1:B2", -inf, 100)]),
        ("B1>=-1e-3", "B1", ">=", -1e-3, [("B1", -1e-3, inf)]),
        ("B1 = 3", "B1", "=", 3.0, [("B1", 3, 3)]),
        ("Model!$B$1 <= Model!$D$1", "B1", "<=", "D1", [("B1", -inf, 3)]),
        ("B1:B2 <= D1:D2", "B1:B2", "<=", "D1:D2", [("B1", -inf, 3), ("B2", -inf, 4)]),
        ("'Model'!B1:B2 =< D1", "B1:B2", "<=", "D1", [("B1:B2", -inf, 3)]),
        ("B1 => 2", "B1", ">=", 2.0, [("B1", 2, inf)]),
        ("B1 <= D3", "B1", "<=", "D3", []),
        ("B1 <= B2", "B1", "<=", "B2", []),
        ("B4 <= 10", "B4", "<=", 10.0, []),
        ("B4 >= 2*D1-1", "B4", ">=", "2*D1-1", []),
        ("B1:B2 int", "B1:B2", "int", "", []),
        ("B1 binary", "B1", "bin", "", []),
        ("B1:B2 AllDifferent", "B1:B2", "dif", "", []),
    ],
)
def test_what_users_write(
    tmp_path: Path, text: str, left: str, relation: str, right: str | float,
    bounds: list[tuple[str, float, float]],
) -> None:  # fmt: skip
    (found,) = problem(tmp_path, text).constraints
    ranges = ("D1", "D1:D2", "D3", "B2")
    expected = area(right) if isinstance(right, str) and right in ranges else right
    assert (found.left, found.relation, found.right) == (area(left), relation, expected)
    assert [(b.cells.a1, b.lower, b.upper) for b in found.bounds] == bounds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("B1", "it is CELLS <= LIMIT"),
        ("<= 3", "it is CELLS <= LIMIT"),
        ("B1 < 3", "it is CELLS <= LIMIT"),
        ("B1 odd", "it is CELLS <= LIMIT"),
        ("B1 <> 3", "the limit itself is allowed"),
        ("1 <= 2 <= 3", "holds two relations"),
        ("nowhere <= 3", "'nowhere' is not a cell"),
        ("B1:B2 <= D1:D3", "one cell, or as many cells as the left"),
        ("B1 >= 2 <= 5", "holds two relations"),
        ("B1 <= 2*(", "the constraint Model!B1 <= 2"),
        ("A1:XFD1048576 <= 5", "covers 17,179,869,184 cells"),
        ("B1: <= 5", "'B1:' is not a cell"),
        ("B1 <= limit integer", "not all in 'limit integer' is a cell"),
        ("sum(weights of all) = 1", "not all in .* A label stands alone"),
        ("B1 + nothing <= 1", "not all in 'B1 [+] nothing' is a cell"),
        ("B1 <= [Book9.xlsx]Sheet1!A1", "not all in .* is a cell"),
        ("B1 <= summe(B1:B2)", "SUMME is no function that is known here"),
        ("B1 >= 0,05", "write 0.05, with a point"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SelectionError, match=words):
        problem(tmp_path, text)


def test_a_limit_that_is_no_formula_is_refused(tmp_path: Path) -> None:
    workbook = load(write(tmp_path / "b.xlsx", parts(TABLE)))
    with pytest.raises(SelectionError, match=r"Model!B4 <= ten"):
        xl2torch.compile(workbook, constraints=["B4 <= ten"])


def test_a_limit_that_stands_first(tmp_path: Path) -> None:
    (found,) = problem(tmp_path, "D1 >= B1:B2").constraints
    assert str(found) == "Model!B1:B2 <= Model!D1" and len(found.bounds) == 1


def test_a_label_without_a_number_is_told(tmp_path: Path) -> None:
    workbook = load(write_grid(tmp_path / "b.xlsx", "SSE . . . . =B2^2\nx 1"))
    with pytest.raises(SelectionError, match="'SSE' is not a cell but a label, and no number"):
        find_problem(workbook, objective="SSE", variables="B2")


@pytest.mark.parametrize(
    ("table", "cell"),
    [
        ("SSE . . =B2^2\nx 1", "D1"),
        ("SSE . . . =B2^2\nx 1", "E1"),
        ("SSE . 3\n=B2^2 1", "A2"),  # what stands right below is nearer
        ("SSE text =B2^2\n. 1\nSSE =B2^2", "B3"),  # a text between belongs to another
    ],
)
def test_a_label_with_blank_cells_before_its_number(tmp_path: Path, table: str, cell: str) -> None:
    workbook = load(write_grid(tmp_path / "b.xlsx", table))
    assert find_problem(workbook, objective="SSE", variables="B2").objective.a1 == cell


def test_a_label_in_brackets_means_its_cells(tmp_path: Path) -> None:
    table = "stock weight\na 0.5 0.3\nb 0.5 0.1\ntotal =SUM(B2:B3)\ngain =SUMPRODUCT(B2:B3,C2:C3)"
    workbook = load(write_grid(tmp_path / "b.xlsx", table))
    found = find_problem(
        workbook, objective="gain", variables="weight", constraints=["sum(Weight) = 1"]
    )
    assert [str(item) for item in found.constraints] == ["S!B4 = 1"]


def test_a_label_means_its_variable_cells_alone(tmp_path: Path) -> None:
    table = "m 1 7\nsse =(B1-C1)^2"
    workbook = load(write_grid(tmp_path / "b.xlsx", table))
    found = find_problem(workbook, objective="B2", variables="B1", constraints=["m >= 0"])
    assert [str(item) for item in found.constraints] == ["S!B1 >= 0"]
    assert len(found.bounds) == 1


def test_flags_take_the_place_of_what_is_stored(tmp_path: Path) -> None:
    workbook = load(hs71(tmp_path))
    stored = find_problem(workbook)
    assert [str(item) for item in stored.constraints] == [
        "Model!B8 >= Model!B10", "Model!B9 = 40", "Model!B2:B5 <= 5", "Model!B2:B5 >= 1",
    ]  # fmt: skip
    assert len(stored.general_constraints) == 2 and len(stored.bounds) == 2
    changed = find_problem(workbook, constraints=["B2:B5 >= 0"], non_negative=True)
    assert [str(item) for item in changed.constraints] == ["Model!B2:B5 >= 0"]
    assert changed.non_negative and not stored.non_negative
    assert find_problem(workbook, constraints=[]).constraints == ()


@pytest.mark.parametrize(
    "given", [{"variables": "B2"}, {"objective": "B9"}, {"objective": "B9", "variables": "B2"}]
)
def test_what_is_not_replaced_stays(tmp_path: Path, given: dict[str, str]) -> None:
    workbook = load(model_book(tmp_path / "b.xlsx", HS71, "$B$7", "$B$2:$B$5", HS71_CONSTRAINTS, 1,
                               {"neg": "1"}))  # fmt: skip
    stored, found = (
        find_problem(workbook),
        find_problem(workbook, objective=given.get("objective"), variables=given.get("variables")),
    )
    assert [str(item) for item in found.constraints] == [str(item) for item in stored.constraints]
    assert (found.sense, found.non_negative) == ("max", True)
    (remark,) = found.remarks
    assert "`sense='max'`; Model!B8 >= Model!B10; Model!B9 = 40" in remark


def test_whole_numbers_are_asked_only_of_variable_cells(tmp_path: Path) -> None:
    constraints = [("$B$1", "4", "integer"), ("$B$2", "5", "binary")]
    book = model_book(tmp_path / "b.xlsx", TABLE, "$B$3", "$B$1:$B$2", constraints)
    kept = find_problem(load(book), variables="B2")
    assert [str(item) for item in kept.constraints] == ["Model!B2 binary"]


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        ("B1:B2,B2:B3", "B1:B2 B3"),
        ("B1:D1,C1:E1", "B1:D1 E1"),
        ("B2:C3,A1:D4", "B2:C3 A1:D1 A2:A3 D2:D3 A4:D4"),
        ("B1,B1:B2,B1:C2", "B1 B2 C1 C2"),
        ("A1:C1,B1", "A1:C1"),
    ],
)
def test_a_cell_is_a_variable_once(tmp_path: Path, given: str, cells: str) -> None:
    workbook = load(write(tmp_path / "b.xlsx", parts(TABLE + "F9 =A1+B1 | 0")))
    found = find_problem(workbook, objective="F9", variables=given)
    assert [item.a1 for item in found.variables] == cells.split()


LOWER = """
    B1 4
    C1 5
    B2 0
    C2 0
    F1 -1
    B5 =SUMPRODUCT(B1:C1,B2:C2) | 0
"""


@pytest.mark.parametrize(
    ("limits", "constraints", "least"),
    [
        ("B4 -3\nC4 -1", [("$B$2:$C$2", "3", "Model!$B$4:$C$4")], -17),
        ("B4 =F1-2 | -3\nC4 =B4+2 | -1", [("$B$2:$C$2", "3", "Model!$B$4:$C$4")], -17),
        ("B4 -3\nC4 -1\nD4 0", [("$B$2:$D$2", "3", "Model!$B$4:$D$4")], -17),
        ("B4 =SUM(F1,-2) | -3", [("$B$2", "3", "Model!$B$4")], -12),
        ("B4 1", [("$B$2:$C$2", "3", "Model!$F$1*3")], -27),
        ("B4 =F1 | -1", [("$B$2", "3", "Model!$B$4"), ("$C$2", "3", "-1")], -9),
        ("B4 =F1 | -1", [("$B$2", "1", "9"), ("$C$2", "3", "Model!$B$4")], -5),
        ("B4 5", [("$B$2", "1", "9")], 0),
    ],
)
def test_a_lower_bound_in_any_form_replaces_non_negativity(
    tmp_path: Path, limits: str, constraints: list[tuple[str, str, str]], least: float
) -> None:
    book = model_book(tmp_path / "b.xlsx", LOWER + limits, "$B$5", "$B$2:$C$2", constraints, 2,
                      {"neg": "1"})  # fmt: skip
    assert xl2torch.fit(xl2torch.compile(load(book))).final == pytest.approx(least)


def test_the_objective_may_be_a_variable_cell(tmp_path: Path) -> None:
    """Minimax: the least t that is above x+1, 2-x and 3-2x is 5/3, at x = 2/3."""
    table = "A1 0\nB1 0\nC1 =A1+1 | 1\nC2 =2-A1 | 2\nC3 =3-2*A1 | 3"
    book = model_book(tmp_path / "b.xlsx", table, "$B$1", "$A$1:$B$1",
                      [("$C$1:$C$3", "1", "Model!$B$1")], 2, {"neg": "2"})  # fmt: skip
    result = xl2torch.fit(xl2torch.compile(load(book)))
    assert result.final == pytest.approx(5 / 3)
    assert xl2torch.save(result, tmp_path / "out.xlsx").path.exists()


def test_non_negative_or_not(tmp_path: Path) -> None:
    table = TABLE.replace("(B2-2)", "(B2+2)")
    workbook = load(write(tmp_path / "b.xlsx", parts(table)))
    for flag, end in ((True, 0.0), (False, -2.0), (None, -2.0)):
        result = xl2torch.fit(xl2torch.compile(workbook, non_negative=flag))
        assert list(result.model.cell_values().values()) == pytest.approx([1.0, end])


def test_bounds_by_flags_are_kept_in_training(tmp_path: Path) -> None:
    workbook = load(write(tmp_path / "b.xlsx", parts(TABLE)))
    model = xl2torch.compile(workbook, constraints=["B1:B2 <= D1:D2", "B1 >= 2", "B2 = 1.5"])
    result = xl2torch.fit(model)
    assert list(result.model.cell_values().values()) == pytest.approx([2.0, 1.5])


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (("$B$4", "9", "3"), "has a constraint that is lost: Model!"),
        (("$B$4", "1", "#REF!"), "has a constraint that is lost: Model!"),
        (("$B$1:$B$2", "1", "Model!$D$1:$D$3"), "as many cells as the left"),
    ],
)
def test_stored_constraints_that_are_lost(
    tmp_path: Path, constraint: tuple[str, str, str], words: str
) -> None:
    book = model_book(tmp_path / "b.xlsx", TABLE, "$B$3", "$B$1:$B$2", [constraint])
    with pytest.raises(ModelError, match=words.replace("$", r"\$")):
        find_problem(load(book))


@pytest.mark.parametrize("text", ["nan", "1e999", "-inf", "many"])
@pytest.mark.parametrize("name", ["num", "val"])
def test_numbers_of_a_stored_model_that_are_none(tmp_path: Path, name: str, text: str) -> None:
    contents = parts(TABLE, names=solver() + solver_name("val", "0"))
    workbook = contents[WORKBOOK].decode()
    workbook = re.sub(rf'(name="solver_{name}"[^>]*>)[^<]*', rf"\g<1>{text}", workbook)
    book = write(tmp_path / "b.xlsx", {**contents, WORKBOOK: workbook.encode()})
    with pytest.raises(ModelError, match=f"damaged: solver_{name} is '{re.escape(text)}'"):
        find_problem(load(book))


def test_more_constraints_than_there_are(tmp_path: Path) -> None:
    names = solver().replace(">0<", ">2000000000<")
    assert (
        find_problem(load(write(tmp_path / "b.xlsx", parts(TABLE, names=names)))).constraints == ()
    )


def solver_name(name: str, text: str) -> str:
    return f'<definedName name="solver_{name}" localSheetId="0" hidden="1">{text}</definedName>'


def test_names_that_refer_to_each_other(tmp_path: Path) -> None:
    names = '<definedName name="aa">bb</definedName><definedName name="bb">aa</definedName>'
    workbook = load(write(tmp_path / "b.xlsx", parts(TABLE, names=names + solver())))
    with pytest.raises(SelectionError, match="refers to itself"):
        find_problem(workbook, variables="aa")


def test_bounds_over_several_areas(tmp_path: Path) -> None:
    """Variables stored one by one, a constraint on all of them; a limit in a blank cell is 0."""
    constraints = [("$B$1:$B$2", "3", "Model!$E$9")]
    book = model_book(tmp_path / "b.xlsx", TABLE, "$B$3", "$B$1,$B$2", constraints)
    (bound,) = find_problem(load(book)).bounds
    assert (bound.cells.a1, bound.lower) == ("B1:B2", 0.0)


def test_a_constrained_model_can_be_looked_at(tmp_path: Path) -> None:
    """An optimizer that cannot keep constraints says so; derivatives and reports do not mind."""
    model = xl2torch.compile(load(hs71(tmp_path)))
    assert xl2torch.gradcheck(model)["ok"].all()
    with pytest.raises(SelectionError, match="keeps bounds of variable cells, but no constraints"):
        xl2torch.fit(model, "adam")
    assert xl2torch.fit(model, epochs=0).final == pytest.approx(17.0140172891)
