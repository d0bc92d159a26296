"""A model in the words that people use: goals, constraints, labels in the place of cells."""

from __future__ import annotations

from pathlib import Path

import pytest
from grids import grid

import xl2torch
from xl2torch.errors import SelectionError
from xl2torch.model.problem import find_problem
from xl2torch.model.wording import Wanted, as_number, goal, relations

GOALS = [
    ("min", ("min", 0.0)), ("Minimise", ("min", 0.0)), ("maximize", ("max", 0.0)),
    ("maximum", ("max", 0.0)), ("value=3", ("value", 3.0)), ("value of 1e3", ("value", 1000.0)),
    ("target 5%", ("value", 0.05)), ("reach -2", ("value", -2.0)),
]  # fmt: skip
RELATIONS = [
    ("B2 <= 3", ["B2 <= 3"]), ("B2≤3", ["B2 <= 3"]), ("B2 =< 3", ["B2 <= 3"]),
    ("B2 ≥ 40%", ["B2 >= 40%"]), ("B2 == C2", ["B2 = C2"]), ("3 >= B2", ["B2 <= 3"]),
    ("0 <= B2:B6 <= 0.4", ["B2:B6 >= 0", "B2:B6 <= 0.4"]),
    ("10 >= B2:B6 >= 1", ["B2:B6 <= 10", "B2:B6 >= 1"]),
    ("sum(B2:B6)=1", ["sum(B2:B6) = 1"]), ("'a <= b'!B2 <= 3", ["'a <= b'!B2 <= 3"]),
    ("B2:B6 integer", ["B2:B6 int"]), ("B2:B6 is integer", ["B2:B6 int"]),
    ("B2:B6 = binary", ["B2:B6 bin"]), ("B2:B6 are binary", ["B2:B6 bin"]),
    ("B2:B6 0/1", ["B2:B6 bin"]), ("units whole", ["units int"]), ("B2:B6 bin", ["B2:B6 bin"]),
    ("B2:B6 alldifferent", ["B2:B6 dif"]), ("B2:B6,D2 int", ["B2:B6,D2 int"]),
]  # fmt: skip
WRONG = ["value", "smaller", "value=B2", "value=inf", ""]
MEANINGLESS = ["B2", "B2 <", "<= 3", "B2 < 3", "B2 <> 3", "1 <= B2 >= 3", "B2 <= 3 <= 5", ""]

PORTFOLIO = """
weights . . target 0.5
stocks 0.2 . 2 x
bonds 0.3 .
cash 0.5 . .
return =3*B2+2*B3+B4 . total =SUM(B2:B4)
""".strip()


@pytest.mark.parametrize(("text", "meant"), GOALS)
def test_goals(text: str, meant: tuple[str, float]) -> None:
    assert goal(text) == meant


@pytest.mark.parametrize(("text", "meant"), RELATIONS)
def test_relations(text: str, meant: list[str]) -> None:
    assert [f"{w.left} {w.relation} {w.right}".strip() for w in relations(text)] == meant


@pytest.mark.parametrize("text", WRONG)
def test_goals_that_are_none(text: str) -> None:
    with pytest.raises(SelectionError, match="it is min, max or value=NUMBER"):
        goal(text)


@pytest.mark.parametrize("text", MEANINGLESS)
def test_relations_that_are_none(text: str) -> None:
    with pytest.raises(SelectionError):
        relations(text)


def test_numbers_and_what_is_none() -> None:
    assert [as_number(text) for text in ("3", "-.5", "1e3", "40 %")] == [3.0, -0.5, 1000.0, 0.4]
    assert [as_number(text) for text in ("B2", "nan", "inf", "1_000", "0x10", "")] == [None] * 6
    assert Wanted("B2", "<=", "3").right == "3"


def test_labels_stand_for_the_numbers_beside_them(tmp_path: Path) -> None:
    problem = find_problem(
        grid(tmp_path, PORTFOLIO), objective="Return:", variables="stocks, bonds,cash",
        sense="maximise", constraints=["0 <= B2:B4 <= 40%", "total = 1", "stocks integer"],
    )  # fmt: skip
    assert str(problem.objective) == "S!B5" and problem.sense == "max"
    assert [area.a1 for area in problem.variables] == ["B2", "B3", "B4"]
    assert [str(item) for item in problem.constraints] == [
        "S!B2:B4 >= 0", "S!B2:B4 <= 0.4", "S!E5 = 1", "S!B2 integer"
    ]  # fmt: skip


def test_a_label_above_a_column(tmp_path: Path) -> None:
    text = "w loss\n1 =SUMSQ(A2:A4)\n2 .\n3 ."
    model = xl2torch.compile(grid(tmp_path, text), objective="B2", variables="W")
    assert [str(item.cells) for item in model.variables] == ["S!A2:A4"]


def test_a_label_that_stands_twice_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="stands beside several cells: say which, S!B1, S!B2"):
        find_problem(grid(tmp_path, "x 1\nx 2\n=B1^2"), objective="A3", variables="x")


@pytest.mark.parametrize("held", [True, False])
def test_a_formula_on_the_left(held: bool, tmp_path: Path) -> None:
    """In its own cell where one holds it; else it is kept all the same, and said."""
    formula = "sum( $B$2:$B$4 )" if held else "B2+2*B3"
    book = grid(tmp_path, PORTFOLIO)
    problem = find_problem(book, None, "B5", "B2:B4", "max", [f"{formula}<=1", "B2:B4 >= 0.1"])
    first = problem.constraints[0]
    assert str(first.left) == ("S!E5" if held else "S!B2")
    assert any("no cell holds" in remark for remark in problem.remarks) is not held
    model = xl2torch.compile(
        book, objective="B5", variables="B2:B4", sense="max",
        constraints=[f"{formula}<=1", "0.1 <= B2:B4 <= 2"],
    )  # fmt: skip
    result = xl2torch.fit(model)
    b2, b3, b4 = model.cell_values().values()
    wanted = (0.8, 0.1, 0.1) if held else (0.8, 0.1, 2.0)
    assert not result.stop.failed and (b2, b3, b4) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [("B 5", "leave out the spaces"), ("retrun", "or a label of"), ("Nowhere!B5", "no worksheet")],
)
def test_what_was_meant_is_said(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match=words):
        find_problem(grid(tmp_path, PORTFOLIO), objective=text, variables="B2:B4")
