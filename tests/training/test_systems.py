"""Constraints without an objective: any point that keeps them is an answer."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from grids import grid, write_grid

from xl2torch.cli import main
from xl2torch.errors import ModelError, SelectionError
from xl2torch.gradients.check import check
from xl2torch.model.problem import find_problem
from xl2torch.model.sheet_model import compile
from xl2torch.reports.save import save
from xl2torch.training.fit import fit
from xl2torch.workbook.read.reader import load

CIRCLE = """
    x 1
    y 1
    square =B1^2+B2^2
    gap =B1-B2
    sum =B1+B2
"""
STORED = {
    "adj": "S!$B$1:$B$2", "num": "2", "lhs1": "S!$B$3", "rel1": "2", "rhs1": "25",
    "lhs2": "S!$B$4", "rel2": "2", "rhs2": "1", "neg": "2",
}  # fmt: skip


def solved(folder: Path, *constraints: str, cells: str = CIRCLE, **options: object) -> list[float]:
    model = compile(grid(folder, cells), variables="B1:B2", constraints=constraints)
    result = fit(model, **options)  # type: ignore[arg-type]
    assert result.stop.code == 0, result.message
    return list(model.cell_values().values())


@pytest.mark.parametrize(
    ("constraints", "right"),
    [
        (("B3 = 25", "B4 = 1"), (4, 3)),
        (("B5 = 7", "B4 = 1"), (4, 3)),  # linear
        (("B5 <= 7", "B4 >= 1", "B1:B2 int", "B1 >= 6"), None),  # whole numbers
        (("B1 >= 2", "B2 <= -1"), (2, -1)),  # bounds alone
        (("B3 <= 4", "B5 >= 2.5"), None),
        (("B3 = 2",), (1, 1)),  # kept at the start
    ],
)
def test_all_constraints_are_kept(
    constraints: tuple[str, ...], right: tuple[float, float] | None, tmp_path: Path
) -> None:
    x, y = solved(tmp_path, *constraints)
    if right:
        assert (x, y) == pytest.approx(right, abs=1e-6)
    values = {"B1": x, "B2": y, "B3": x**2 + y**2, "B4": x - y, "B5": x + y}
    for text in constraints:
        cell, relation, limit = [*text.split(), ""][:3]
        if relation == "int" or ":" in cell:
            assert x == round(x) and y == round(y)
            continue
        excess = values[cell] - float(limit)
        assert {"<=": excess <= 1e-6, ">=": excess >= -1e-6, "=": abs(excess) <= 1e-6}[relation]


def test_slsqp_takes_the_nearest_to_the_start(tmp_path: Path) -> None:
    cells = CIRCLE.replace("x 1", "x 3").replace("y 1", "y 0.5")
    found = solved(tmp_path, "B3 = 1", cells=cells, optimizer="slsqp")
    assert found == pytest.approx([0.98639, 0.16440], abs=1e-4)


@pytest.mark.parametrize("constraints", [("B3 <= -1",), ("B5 >= 3", "B5 <= 2"), ("B3=1", "B5=9")])
def test_what_cannot_be_kept_is_said(constraints: tuple[str, ...], tmp_path: Path) -> None:
    model = compile(grid(tmp_path, CIRCLE), variables="B1:B2", constraints=constraints)
    result = fit(model)
    assert result.stop.code == 5
    assert "S!B" in result.message


def test_a_start_that_keeps_all_stays(tmp_path: Path) -> None:
    assert solved(tmp_path, "B5 <= 7", "B1:B2 int") == [1, 1]
    assert solved(tmp_path, "B3 <= 2", "B4 >= 0") == [1, 1]


@pytest.mark.slow
def test_several_starts(tmp_path: Path) -> None:
    x, y = solved(tmp_path, "B3 = 25", "B4 = 1", starts=4, seed=0)
    assert x**2 + y**2 == pytest.approx(25) and x - y == pytest.approx(1)


def test_a_stored_system(tmp_path: Path) -> None:
    path = write_grid(tmp_path / "system.xlsx", CIRCLE, solver=STORED)
    problem = find_problem(load(path))
    assert problem.is_system and problem.goal == "keep the constraints"
    result = fit(compile(load(path)))
    save(result, tmp_path / "out.xlsx", reports="all", store_model=True)
    again = find_problem(load(tmp_path / "out.xlsx"))
    assert again.is_system and len(again.constraints) == 2
    cells = load(tmp_path / "out.xlsx").sheet("S").cells
    assert [cells.value(row, 2) for row in (1, 2, 3, 4)] == pytest.approx([4, 3, 25, 1])


def test_what_is_about_an_objective_is_refused(tmp_path: Path) -> None:
    model = compile(grid(tmp_path, CIRCLE), variables="B1:B2", constraints=["B3 = 25"])
    with pytest.raises(ModelError, match="constraints alone"):
        check(model)
    with pytest.raises(SelectionError, match="leave out `batch_size`"):
        fit(model, batch_size=1)


def test_a_system_needs_constraints_and_no_sense(tmp_path: Path) -> None:
    workbook = grid(tmp_path, CIRCLE)
    with pytest.raises(SelectionError, match="give `objective`"):
        find_problem(workbook, variables="B1:B2")
    with pytest.raises(SelectionError, match="`sense='min'` is about an objective"):
        find_problem(workbook, variables="B1:B2", sense="min", constraints=["B3 = 25"])


def test_the_command_line(tmp_path: Path) -> None:
    path = write_grid(tmp_path / "system.xlsx", CIRCLE, solver=STORED)
    shown = CliRunner().invoke(main, ["inspect", str(path)])
    assert "keep the constraints, there is no objective" in shown.output
    command = ["train", str(path), "-o", str(tmp_path / "o.xlsx"), "--json", "--watch", "B3"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["objective"] is None and report["objective_cell"] is None
    assert report["watched"][0]["after"] == pytest.approx(25)
