"""Stored Solver models as Excel, LibreOffice and OpenSolver spell them."""

from __future__ import annotations

from pathlib import Path

import pytest
from packages import parts, solver, write

import xl2torch
from xl2torch.model.problem import Problem, find_problem

TABLE = "B1 1\nB2 2\nB3 =3*B1+B2 | 5\nB4 =B1+B2 | 3\nB5 =B1-B2 | -1"
LIMITS = [("$B$4", "1", "10"), ("$B$5", "1", "2"), ("$B$1", "4", "")]


def problem(folder: Path, **options: str) -> Problem:
    names = solver(sense=1, constraints=LIMITS, options=options)
    return find_problem(xl2torch.load(write(folder / "b.xlsx", parts(TABLE, names=names))))


@pytest.mark.parametrize(
    ("options", "constraints"),
    [
        ({"num": "3"}, 3),
        ({"num": "2"}, 2),  # what is beyond the count is left over
        ({"num": ""}, 3),  # LibreOffice counts the names
        ({"num": "1", "int": "1"}, 2),  # all variable cells whole numbers
    ],
)
def test_how_constraints_are_counted(
    options: dict[str, str], constraints: int, tmp_path: Path
) -> None:
    assert len(problem(tmp_path, **options).constraints) == constraints


def test_areas_by_semicolon(tmp_path: Path) -> None:
    found = problem(tmp_path, adj="Model!$B$1;Model!$B$2")
    assert [area.a1 for area in found.variables] == ["B1", "B2"]


@pytest.mark.parametrize(
    ("options", "engine"),
    [
        ({"lo_eng": '"com.sun.star.comp.Calc.SwarmSolver"', "eng": "1"}, "1"),
        ({"lo_eng": '"com.sun.star.comp.Calc.CoinMPSolver"', "eng": "2"}, "2"),
        ({"lo_eng": '"com.sun.star.comp.Calc.NLPSolver.DEPSSolverImpl"', "eng": "3"}, "1"),
        ({"lin": "1"}, "2"),  # Solver 2007
    ],
)
def test_engines_of_others(options: dict[str, str], engine: str, tmp_path: Path) -> None:
    assert problem(tmp_path, **options).options["eng"] == engine


@pytest.mark.parametrize(("text", "expected"), [("TRUE", True), ("2", False), ("1", True)])
def test_non_negative(text: str, expected: bool, tmp_path: Path) -> None:
    assert problem(tmp_path, neg=text).non_negative is expected


def test_a_model_of_libreoffice_is_solved(tmp_path: Path) -> None:
    """Greatest 3x + y where x + y <= 10, x - y <= 2, x whole: x = 6, y = 4."""
    names = solver(
        sense=1, constraints=LIMITS,
        options={"num": "", "lo_eng": '"com.sun.star.comp.Calc.LpsolveSolver"', "neg": "1"},
    )  # fmt: skip
    model = xl2torch.compile(xl2torch.load(write(tmp_path / "b.xlsx", parts(TABLE, names=names))))
    result = xl2torch.fit(model)
    assert result.settings.optimizer == "highs" and result.stop.code == 0
    assert list(model.cell_values().values()) == pytest.approx([6.0, 4.0])
