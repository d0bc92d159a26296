"""A sheet without a model: what it could be about is found, said in errors, and stored."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner
from corpus import CORPUS, SAMPLES, WORKBOOKS, requires_corpus
from grids import grid, write_grid

import xl2torch
from xl2torch.cli import main
from xl2torch.errors import SelectionError
from xl2torch.model.candidates import find_goals
from xl2torch.model.problem import find_problem
from xl2torch.reports.save import fill_cached_values
from xl2torch.workbook.read.solver_model import solver_models

FOUR = "\n".join(
    f"{x} {y} =$B$1/(1+(A{r}/$B$2)^$B$3) =(B{r}-C{r})^2"
    for r, (x, y) in enumerate([(1, 9), (2, 8), (4, 5), (8, 2), (16, 1)], 7)
)
SHEETS = {
    # a sheet; its goal, sense, variable cells and constraints
    "a curve": (
        f"top 10\nhalf 3\nslope 2\nSSE =SUM(D7:D11)\n\ndose seen fit error\n{FOUR}",
        ("B4", "min", ["B1:B3"], []),
    ),
    "a portfolio": (
        "stock share mean\nA 0.5 0.1\nB 0.3 0.07\nC 0.2 0.03\n"
        "total =SUM(B2:B4)\nReturn =SUMPRODUCT(B2:B4,C2:C4)",
        ("B6", "max", ["B2:B4"], ["S!B5 = 1", "S!B2:B4 >= 0"]),
    ),
    "desks": (
        "product desk chair\nunits 0 0\nprice 30 20\nwood 4 3 =SUMPRODUCT(B$2:C$2,B4:C4) <= 240\n"
        "hours 2 1 =SUMPRODUCT(B$2:C$2,B5:C5) <= 100\nProfit =SUMPRODUCT(B2:C2,B3:C3)",
        ("B6", "max", ["B2:C2"],
         ["S!D4 <= F4", "S!D5 <= F5", "S!B2:C2 integer", "S!B2:C2 >= 0"]),
    ),
    "a knapsack": (
        "item a b c\ntake 0 0 0\nvalue 5 4 3\nneeds 2 3 1\n"
        "load =SUMPRODUCT(B2:D2,B4:D4) <= 4\nUtility =SUMPRODUCT(B2:D2,B3:D3)",
        ("B6", "max", ["B2:D2"], ["S!B5 <= D5", "S!B2:D2 binary"]),
    ),
    "a mix with limits beside": (
        "product ale stout\nmake 0 0\nmargin 13 23\n\n. ale stout used available\n"
        "corn 5 15 =SUMPRODUCT(B$2:C$2,B6:C6) 480\nhops 4 4 =SUMPRODUCT(B$2:C$2,B7:C7) 160\n"
        "malt 35 20 =SUMPRODUCT(B$2:C$2,B8:C8) 1190\nProfit =SUMPRODUCT(B2:C2,B3:C3)",
        ("B9", "max", ["B2:C2"], ["S!D6:D8 <= E6:E8"]),
    ),
    "a portfolio with words": (
        "stock share mean Max\nA 0.4 0.1 0.6\nB 0.3 0.07 0.6\nC 0.3 0.03 0.6\n"
        "total =SUM(B2:B4) must_be 1\nReturn =SUMPRODUCT(B2:B4,C2:C4)",
        ("B6", "max", ["B2:B4"], ["S!B5 = D5", "S!B2:B4 >= 0", "S!B2:B4 <= D2:D4"]),
    ),
    "stocks before what is used": (
        "product ale stout\nmake 0 0\nmargin 13 23\n\n. ale stout available used\n"
        "corn 5 15 480 =SUMPRODUCT(B$2:C$2,B6:C6)\nmalt 35 20 1190 =SUMPRODUCT(B$2:C$2,B7:C7)\n"
        "Profit =SUMPRODUCT(B2:C2,B3:C3)",
        ("B8", "max", ["B2:C2"], ["S!E6:E7 <= D6:D7"]),
    ),
    "a diet with needs below": (
        "food bread milk fat vitamins\nbuy 0 0\ncost 2 3.5\nbread . . 3 2\nmilk . . 2 4\n"
        "had . . =SUMPRODUCT($B$2:$C$2,TRANSPOSE(D4:D5)) =SUMPRODUCT($B$2:$C$2,TRANSPOSE(E4:E5))\n"
        "required . . 36 40\nTotal_cost =SUMPRODUCT(B2:C2,B3:C3)",
        ("B8", "min", ["B2:C2"], ["S!D6:E6 >= D7:E7"]),
    ),
}  # fmt: skip


LINE = {
    "Data": "x y fit\n" + "\n".join(
        f"{x} {3 * x + 1} =Model!$B$1*A{x + 1}+Model!$B$2" for x in range(1, 9)
    ),
    "Model": "m 1\nn 0\nSSE =SUMXMY2(Data!B2:B9,Data!C2:C9)\nSST =DEVSQ(Data!B2:B9)\nR2 =1-B3/B4",
}  # fmt: skip
PLAN = """
    cost a b c
    p1 4 6 8
    p2 5 3 7

    ship a b c sent cap
    p1 0 0 0 =SUM(B6:D6) <= 50
    p2 0 0 0 =SUM(B7:D7) <= 60
    Total_cost =SUMPRODUCT(B2:D3,B6:D7)
"""


def test_what_was_seen_is_no_variable(tmp_path: Path) -> None:
    """Data that are read twice, with predictions beside them, and a loss on another sheet."""
    path = write_grid(tmp_path / "b.xlsx", LINE)
    fill_cached_values(path)
    first, *_ = find_goals(xl2torch.load(path))
    assert str(first.objective) == "Model!B3"
    assert [str(area) for area in first.variables] == ["Model!B1:B2"]


def test_of_two_tables_the_plan_is_the_empty_one(tmp_path: Path) -> None:
    first, *_ = find_goals(xl2torch.load(written(tmp_path, PLAN.strip().replace("    ", ""))))
    assert [str(area) for area in first.variables] == ["S!B6:D7"]
    assert first.constraints == ("S!E6 <= G6", "S!E7 <= G7")


@pytest.mark.parametrize(("name", "cells"), [("convolution", ["C5:E7"]), ("dropout", ["D6:K8"])])
def test_targets_and_shares_of_draws_are_no_variables(name: str, cells: list[str]) -> None:
    first, *_ = find_goals(xl2torch.load(WORKBOOKS / f"{name}.xlsx"))
    assert [area.a1 for area in first.variables] == cells


def written(folder: Path, text: str) -> Path:
    path = write_grid(folder / "own sheet.xlsx", text)
    book = openpyxl.load_workbook(path)
    for row in book.worksheets[0].iter_rows():
        for cell in row:
            if cell.value == "must_be":
                cell.value = "must be"
    book.save(path)
    fill_cached_values(path)
    return path


def run(*arguments: object, given: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(item) for item in arguments], input=given)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done.exit_code, done.output


@pytest.mark.parametrize("name", SHEETS)
def test_what_a_sheet_is_about(name: str, tmp_path: Path) -> None:
    text, (cell, sense, variables, constraints) = SHEETS[name]
    goal = find_goals(xl2torch.load(written(tmp_path, text)))[0]
    assert (goal.objective.a1, goal.sense) == (cell, sense)
    assert [area.a1 for area in goal.variables] == variables
    assert list(goal.constraints) == constraints


@pytest.mark.parametrize("name", SHEETS)
def test_it_is_stored_and_trains(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, SHEETS[name][0])
    target = tmp_path / "own sheet-model.xlsx"
    code, output = run("setup", path, "--yes")
    assert code == 0 and f"wrote {target}" in output and "the same by options: " in output
    problem = xl2torch.compile(target).problem
    assert problem.stored and problem.objective.a1 == SHEETS[name][1][0]
    code, output = run("train", target)
    assert code == 0, output


def test_answers_take_the_place_of_what_was_found(tmp_path: Path) -> None:
    path = written(tmp_path, SHEETS["a portfolio"][0])
    code, output = run("setup", path, given="1\nmax\nshare\n0 <= B2:B4 <= 0.6; total = 1\n")
    assert code == 0 and "maximise S!B6 Return" in output
    problem = xl2torch.compile(tmp_path / "own sheet-model.xlsx").problem
    assert [str(item) for item in problem.constraints] == [
        "S!B2:B4 >= 0", "S!B2:B4 <= 0.6", "S!B5 = 1"
    ]  # fmt: skip


def test_a_wrong_answer_is_asked_again(tmp_path: Path) -> None:
    path = written(tmp_path, SHEETS["a portfolio"][0])
    answers = "1\nmax\nshares of all\nnone\nmax\nshare\ntotal = one half\nmax\nshare\ntotal = 1\n"
    code, output = run("setup", path, given=answers)
    assert code == 0 and output.count("Once more, please") == 2
    problem = xl2torch.compile(tmp_path / "own sheet-model.xlsx").problem
    assert [str(item) for item in problem.constraints] == ["S!B5 = 1"]


def test_a_gain_that_is_minimised_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, SHEETS["a portfolio"][0])
    given = {"objective": "B6", "variables": "B2:B4", "constraints": ["B2:B4 >= 0"]}
    words = 'S!B6 Return is minimised: `sense="max"` maximises it'
    assert words in find_problem(xl2torch.load(path), **given).remarks  # type: ignore[arg-type]
    given["sense"] = "min"
    assert find_problem(xl2torch.load(path), **given).remarks == ()  # type: ignore[arg-type]


def test_options_and_json(tmp_path: Path) -> None:
    path = written(tmp_path, SHEETS["a curve"][0])
    before = path.read_bytes()
    code, output = run("setup", path, "--objective", "SSE", "--variables", "B2:B3", "--json")
    report = json.loads(output)
    assert code == 0 and report["variables"] == ["S!B2:B3"] and path.read_bytes() == before
    assert report["command"].endswith("--objective B4 --variables B2:B3")
    assert run("setup", path, "--yes")[0] == 1  # the target is there
    assert run("setup", path, "--yes", "--in-place")[0] == 0 and path.read_bytes() != before


@pytest.mark.parametrize("heading", ["capacity", "stock", "Max_temp", "demand"])
def test_data_beside_predictions_are_no_limits(heading: str, tmp_path: Path) -> None:
    lines = [f"{x} {3 * x} =$G$1*A{r}+$G$2 {x + 5}" for r, x in enumerate(range(1, 9), 2)]
    text = "\n".join([f"x y fit {heading} . slope 1", *lines, "loss =SUMXMY2(B2:B9,C2:C9)"])
    text = text.replace("slope 1", "slope 1", 1)
    first, *_ = find_goals(xl2torch.load(written(tmp_path, text)))
    assert first.objective.a1 == "B10" and first.constraints == ()


def test_the_sense_of_an_objective_that_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, SHEETS["a portfolio"][0])
    code, output = run("setup", path, "--yes", "--objective", "B6", "--json")
    report = json.loads(output)
    assert code == 0 and report["sense"] == "max" and report["variables"] == ["S!B2:B4"]


def test_a_linear_plan_has_solvers_own_lower_bound(tmp_path: Path) -> None:
    path = written(tmp_path, SHEETS["a mix with limits beside"][0])
    code, output = run("setup", path, "--yes")
    assert code == 0 and "kept at 0 or above" in output and output.count("--non-negative") == 1
    assert xl2torch.compile(path.with_name("own sheet-model.xlsx")).problem.non_negative
    code, output = run("setup", path, "--yes", "--any-sign", "--force")
    assert code == 0 and "kept at 0" not in output


def test_what_nothing_limits_is_told(tmp_path: Path) -> None:
    text = "product desk chair\nunits 0 0\nprice 30 20\nProfit =SUMPRODUCT(B2:C2,B3:C3)"
    path = written(tmp_path, text)
    code, output = run("setup", path, "--yes", "-o", tmp_path / "m.xlsx")
    assert code == 0 and "note: nothing limits it: give --constraint" in output
    code, output = run("setup", path, "--yes", "--constraint", "B2:C2 <= 9", "--force")
    assert code == 0 and "nothing limits" not in output


def test_on_standard_output_there_is_no_file_to_train(tmp_path: Path) -> None:
    path = written(tmp_path, SHEETS["a curve"][0])
    done = CliRunner().invoke(main, ["setup", str(path), "--yes", "-o", "-"])
    (target := tmp_path / "copy.xlsx").write_bytes(done.stdout_bytes)
    assert find_problem(xl2torch.load(target)).objective.a1 == "B4"
    assert "train it" not in done.stderr and "wrote standard output" in done.stderr


def test_a_sheet_about_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "1 2\n=A1+B1 x\ny z")
    workbook = xl2torch.load(path)
    assert find_goals(xl2torch.load(written(tmp_path, "1 2\nx y"))) == []
    assert run("setup", write_grid(tmp_path / "n.xlsx", "1 2\nx y"), "--yes")[0] == 2
    with pytest.raises(SelectionError, match="holds no Solver model"):
        find_problem(workbook)


def test_errors_name_what_could_be_meant(tmp_path: Path) -> None:
    """Both options at once, and the command that asks."""
    path = written(tmp_path, SHEETS["a curve"][0])
    code, output = run("train", path)
    assert code == 2 and "give --objective" in output
    assert "such as --objective B4 --variables B1:B3" in output
    assert 'xl2torch setup "own sheet.xlsx"' in output
    with pytest.raises(SelectionError, match="such as `objective='B4'` `variables='B1:B3'`"):
        xl2torch.compile(path, "S")


@requires_corpus
def test_stored_models_would_have_been_found() -> None:
    """As if they were not stored: the objective of nearly all, the cells of most."""
    paths = [*SAMPLES, *(CORPUS / "nist").glob("*_start1.xlsx"), *CORPUS.glob("fastai*/*.xlsx")]
    count = first = cells = 0
    for path in paths:
        workbook = xl2torch.load(path)
        for model in solver_models(workbook):
            wanted = find_problem(workbook, model.sheet)
            goals = find_goals(workbook, model.sheet)
            count += 1
            first += bool(goals) and goals[0].objective == wanted.objective
            found = {cell for goal in goals[:1] for area in goal.variables for cell in area.cells()}
            cells += found == {cell for area in wanted.variables for cell in area.cells()}
    assert count >= 40 and first >= 0.95 * count and cells >= 0.8 * count


def test_labels_decide_what_is_left(tmp_path: Path) -> None:
    """A rate and a price are given, though they are read as weights are."""
    text = "price 3\nw 1\nrate 0.1\nloss =(B1*B2-6)^2+0*B3"
    goal = find_goals(grid(tmp_path, text))[0]
    assert [area.a1 for area in goal.variables] == ["B2"]
