"""The Answer Report: Solver's layout and wording, and what it says of HS71."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from corpus import WORKBOOKS
from packages import edited, parts, read, solver, write
from solver_books import below, hs71, model_book, shown, standing

import xl2torch

TITLE = "Answer Report 1"


def saved(path: Path, result: xl2torch.Result, title: str = TITLE) -> list[list[Any]]:
    xl2torch.save(result, path, reports="answer", force=True)
    return shown(path, title)


def test_layout_is_solvers(tmp_path: Path) -> None:
    """Rows and columns as excel-solver.md, section 3.1, gives them."""
    rows = saved(tmp_path / "out.xlsx", standing(hs71(tmp_path)))
    column_a = {number: row[0] for number, row in enumerate(rows, 1) if row and row[0] is not None}
    created = str(column_a.pop(3))
    assert re.fullmatch(r"Report Created: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", created)
    assert column_a == {
        1: f"xl2torch {xl2torch.__version__} Answer Report", 2: "Worksheet: [hs71.xlsx]Model",
        4: "Result: Stop chosen when the maximum iteration limit was reached.", 5: "Solver Engine",
        9: "Solver Options", 15: "Objective Cell (Min)", 20: "Variable Cells", 28: "Constraints",
    }  # fmt: skip
    assert str(rows[5][1]).startswith("Engine: L-BFGS (torch ")
    assert re.fullmatch(r"Solution Time: \d+\.\d{3} Seconds\.", str(rows[6][1]))
    assert rows[7][1] == "Iterations: 0 Subproblems: 0"
    assert str(rows[9][1]).startswith("Max Time Unlimited,  Iterations 0, Precision 0.000001")
    assert str(rows[10][1]).startswith(" Convergence 1E-12")
    assert rows[15] == [None, "Cell", "Name", "Original Value", "Final Value"]
    assert rows[16][1:3] == ["$B$7", "cost value"]
    assert rows[20] == [None, "Cell", "Name", "Original Value", "Final Value", "Integer"]
    assert [row[1:3] for row in rows[21:25]] == [
        ["$B$2", "x1 value"], ["$B$3", "x2 value"], ["$B$4", "x3 value"], ["$B$5", "x4 value"],
    ]  # fmt: skip
    assert rows[28] == [None, "Cell", "Name", "Cell Value", "Formula", "Status", "Slack"]


def test_constraints_of_hs71(tmp_path: Path) -> None:
    """Ranges are expanded, bounds of variables come after the others."""
    lines = below(saved(tmp_path / "out.xlsx", standing(hs71(tmp_path))), "Constraints")
    assert [line[3:5] for line in lines] == [
        ["$B$8>=$B$10", "Binding"], ["$B$9=40", "Binding"],
        ["$B$2<=5", "Not Binding"], ["$B$3<=5", "Not Binding"], ["$B$4<=5", "Not Binding"],
        ["$B$5<=5", "Not Binding"], ["$B$2>=1", "Binding"], ["$B$3>=1", "Not Binding"],
        ["$B$4>=1", "Not Binding"], ["$B$5>=1", "Not Binding"],
    ]  # fmt: skip
    assert [line[5] for line in lines] == pytest.approx(
        [0, 0, 4, 0.257000356, 1.178850021, 3.620591707, 0, 3.742999644, 2.821149979, 0.379408293]
    )
    assert lines[0][:3] == ["$B$8", "product value", pytest.approx(25.0)]


@pytest.mark.parametrize(
    ("relation", "right", "status", "slack"),
    [
        ("1", "7", "Not Binding", 2.0), ("1", "5.0000001", "Binding", 0.0),
        ("3", "2", "Not Binding", 3.0), ("3", "7", "Violated", -2.0), ("1", "4", "Violated", -1.0),
        ("2", "5", "Binding", 0.0), ("2", "6", "Violated", 1.0),
        ("1", "2*Model!$B$1", "Not Binding", 5.0),
        ("3", "=Model!$B$1-Model!$A$3", "Binding", 0.0),
    ],
)  # fmt: skip
def test_status_and_slack(
    tmp_path: Path, relation: str, right: str, status: str, slack: float
) -> None:
    table = "B1 5\nA2 3\nB2 =B1 | 5\nB3 =B1^2 | 25"
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1", [("$B$2", relation, right)])
    (line,) = below(saved(tmp_path / "out.xlsx", standing(book)), "Constraints")
    assert line[4:] == [status, pytest.approx(slack)]
    assert line[3] == f"$B$2{ {'1': '<=', '2': '=', '3': '>='}[relation] }{right.lstrip('=')}"


def test_without_constraints_it_says_none(tmp_path: Path) -> None:
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(WORKBOOKS / "line.xlsx")))
    rows = saved(tmp_path / "out.xlsx", result)
    assert rows[-2:] == [["Constraints"], [None, "NONE"]]


def test_integer_constraints_are_named(tmp_path: Path) -> None:
    table = "B1 5\nB2 1\nB3 =B1^2+B2 | 26"
    constraints = [("$B$1", "4", '"integer"'), ("$B$2", "5", '"binary"')]
    book = model_book(tmp_path / "b.xlsx", table, "$B$3", "$B$1:$B$2", constraints)
    rows = saved(tmp_path / "out.xlsx", standing(book))
    assert below(rows, "Constraints") == [["$B$1=Integer"], ["$B$2=Binary"]]
    assert [line[4] for line in below(rows, "Variable Cells")] == ["Integer", "Binary"]


def test_before_and_after_and_names(tmp_path: Path) -> None:
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(WORKBOOKS / "survival.xlsx")), epochs=3)
    rows = saved(tmp_path / "out.xlsx", result)
    (objective,) = below(rows, "Objective Cell (Min)")
    assert objective == ["$C$6", "Loss (MSE)", pytest.approx(result.start), result.final]
    variables = below(rows, "Variable Cells")
    assert variables[1] == [
        "$G$6", "Unit 1 Male", 0.5, result.weights["unit_1"][0, 1].item(), "Contin",
    ]  # fmt: skip
    assert len(variables) == 16


def test_number_formats_are_the_models(tmp_path: Path) -> None:
    contents = parts("B1 5\nB2 -4\nB3 =B1^2+B2^2 | 41")
    contents = edited(
        contents, "xl/worksheets/sheet1.xml", ('<c r="B3">', '<c r="B3" s="1">'),
    )  # fmt: skip
    book = write(tmp_path / "b.xlsx", contents)
    saved(tmp_path / "out.xlsx", xl2torch.fit(xl2torch.compile(xl2torch.load(book))))
    after = read(tmp_path / "out.xlsx")
    sheet = after["xl/worksheets/sheet2.xml"].decode()
    formats: list[str] = re.findall(
        r"<xf numFmtId=\"(\d+)\"",
        after["xl/styles.xml"].decode().partition("<cellXfs")[2].partition("</cellXfs>")[0],
    )

    def number_format(a1: str) -> str:
        found = re.search(rf'<c r="{a1}" s="(\d+)"', sheet)
        assert found
        return formats[int(found[1])]

    assert [number_format(a1) for a1 in ("D17", "E17", "D22", "E22")] == ["2", "2", "0", "0"]


def test_formulas_of_variable_cells_are_kept_as_texts(tmp_path: Path) -> None:
    table = "A1 3\nB1 =A1+2 | 5\nB2 {B2:C2 =A1:B1*2} | 6\nC2 10\nB3 =B1^2+B2^2+C2^2 | 161"
    names = solver("$B$3", "$B$1,$B$2:$C$2")
    book = write(tmp_path / "b.xlsx", parts(table, names=names))
    rows = saved(tmp_path / "out.xlsx", xl2torch.fit(xl2torch.compile(xl2torch.load(book))))
    variables = below(rows, "Variable Cells")
    assert [line[2] for line in variables] == [5.0, 6.0, 10.0]
    assert [line[5] if len(line) > 5 else "" for line in variables] == [
        "=A1+2", "{=A1:B1*2} B2:C2", "",
    ]  # fmt: skip
    assert not xl2torch.load(tmp_path / "out.xlsx").sheet(TITLE).formulas


def test_value_of_names_its_target(tmp_path: Path) -> None:
    workbook = xl2torch.load(model_book(tmp_path / "b.xlsx", "B1 5\nB3 =B1^2 | 25", "$B$3", "$B$1"))
    model = xl2torch.compile(workbook, sense="value=9")
    rows = saved(tmp_path / "out.xlsx", xl2torch.fit(model))
    (line,) = below(rows, "Objective Cell (Value Of 9)")
    assert line[3] == pytest.approx(9.0)


def test_the_message_is_spelled_as_in_solvers_report(tmp_path: Path) -> None:
    result = xl2torch.fit(xl2torch.compile(xl2torch.load(WORKBOOKS / "quadratic.xlsx")))
    rows = saved(tmp_path / "out.xlsx", result)
    assert str(rows[3][0]).endswith(".  All Constraints and optimality conditions are satisfied.")


def test_the_same_as_frames(tmp_path: Path) -> None:
    frames = xl2torch.report(standing(hs71(tmp_path)), "answer")
    assert list(frames) == ["objective", "variables", "constraints"]
    assert list(frames["constraints"]["status"][:3]) == ["Binding", "Binding", "Not Binding"]
    assert list(frames["variables"]["cell"]) == [f"Model!B{row}" for row in (2, 3, 4, 5)]
    assert frames["objective"]["final"][0] == pytest.approx(17.0140172891)
