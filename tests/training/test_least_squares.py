"""Least squares: NIST's certified parameters, bounds, limits of iterations, when it is chosen."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from corpus import CORPUS, WORKBOOKS, requires_corpus
from judges import cached_values
from packages import parts, write
from solver_books import model_book

import xl2torch
from xl2torch.errors import SelectionError
from xl2torch.model.constraints import Constraints
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.choose_optimizer import choose
from xl2torch.training.options import FitOptions
from xl2torch.training.solvers.protocol import Request
from xl2torch.workbook.read.reader import load

CERTIFIED = CORPUS / "nist" / "certified.json"
DATASETS = list(json.loads(CERTIFIED.read_text(encoding="utf-8"))) if CERTIFIED.exists() else []
SOLVED, MEAN = 4.0, 10.7


def digits(found: list[float], certified: list[float]) -> float:
    """LRE: −log10 of the largest relative error, cut to 0..11 (excel-solver.md, section 4)."""
    worst = max(abs(b - c) / abs(c) for b, c in zip(found, certified, strict=True))
    return min(11.0, max(0.0, -math.log10(max(worst, 1e-300))))


@pytest.mark.slow
@requires_corpus
def test_nist_with_default_options(tmp_path: Path) -> None:
    """All 54 workbooks as they are; what counts is what stands in the workbook that is written."""
    truth = json.loads(CERTIFIED.read_text(encoding="utf-8"))
    scores = {}
    for name in DATASETS:
        for start in (1, 2):
            book = CORPUS / "nist" / f"{name}_start{start}.xlsx"
            result = xl2torch.fit(xl2torch.compile(load(book)))
            assert result.settings.optimizer == "least-squares"
            xl2torch.save(result, tmp_path / "out.xlsx", force=True)
            cells = cached_values(tmp_path / "out.xlsx")
            places = [(c.sheet, c.a1) for v in result.model.variables for c in v.cells.cells()]
            numbers = [float(cells[place]) for place in places]
            scores[name, start] = digits(numbers, truth[name]["certified"])
    assert len(scores) == 54
    assert {run for run, score in scores.items() if score < SOLVED} == set()
    assert sum(scores.values()) / len(scores) >= MEAN


def line_book(folder: Path, constraints: list[tuple[str, str, str]]) -> Path:
    table = "A1 1\nB1 2\nA2 2\nB2 4.1\nA3 3\nB3 5.9\nA4 4\nB4 8.2\nD1 1\nD2 1\n"
    table += "D4 =SUMPRODUCT((B1:B4-D1-D2*A1:A4)^2) | 1"
    return model_book(folder / "b.xlsx", table, "$D$4", "$D$1:$D$2", constraints)


@pytest.mark.parametrize(
    "constraints",
    [
        [], [("$D$1", "3", "0.5")], [("$D$1", "2", "0.5")], [("$D$1:$D$2", "1", "1.5")],
        [("$D$1", "1", "0.25"), ("$D$2", "1", "3")],
    ],
)  # fmt: skip
def test_bounds(tmp_path: Path, constraints: list[tuple[str, str, str]]) -> None:
    """The same as L-BFGS finds."""
    book = line_book(tmp_path, constraints)
    result = xl2torch.fit(xl2torch.compile(load(book)))
    other = xl2torch.fit(xl2torch.compile(load(book)), "lbfgs")
    assert (result.settings.optimizer, result.stop.code) == ("least-squares", 0)
    found = list(result.model.cell_values().values())
    assert found == pytest.approx(list(other.model.cell_values().values()), abs=1e-6)
    assert result.final <= other.final + 1e-12


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_the_limit_of_iterations(limit: int) -> None:
    model = xl2torch.compile(load(WORKBOOKS / "survival.xlsx"))
    result = xl2torch.fit(model, "least-squares", epochs=limit)
    assert result.epochs == limit and result.stop.code == 3
    assert len(result.history) == limit + 1 and result.final < result.start


def test_an_interrupt_keeps_the_best() -> None:
    model = xl2torch.compile(load(WORKBOOKS / "survival.xlsx"))

    def interrupt(row: object) -> None:
        if getattr(row, "iteration", 0) == 3:
            raise KeyboardInterrupt

    result = xl2torch.fit(model, "least-squares", on_iteration=interrupt)
    assert result.stop.code == 6 and result.epochs == 3 and result.final < result.start


def test_a_perfect_fit_is_found() -> None:
    result = xl2torch.fit(xl2torch.compile(load(WORKBOOKS / "line.xlsx")))
    assert result.settings.optimizer == "least-squares"
    assert result.final < 1e-25 and result.stop.code == 0


def chosen(model: SheetModel) -> str:
    """The optimizer for a model where nothing is asked for."""
    return choose(Request(model, Constraints(model), FitOptions())).optimizer


@pytest.mark.parametrize(
    ("table", "sense", "expected"),
    [
        ("B1 5\nB2 1\nB3 =(B1-1)^2+(B2-2)^2+3 | 20", None, "least-squares"),
        ("B1 5\nB2 1\nB3 =(B1-1)^2+B2^4 | 17", None, "lbfgs"),
        ("B1 5\nB2 1\nB3 =(MAX(0,B1)-1)^2+(B2-2)^2 | 17", None, "lbfgs"),
        ("B1 5\nB2 1\nB3 =SQRT(((B1-1)^2+(B2-2)^2)/2) | 2.9", None, "least-squares"),
        ("B1 5\nB2 1\nB3 =(B1-B2)^2 | 16", None, "lbfgs"),  # one residual, two variables
        ("B1 5\nB2 1\nB3 =(B1-1)^2+(B2-2)^2 | 17", "value=4", "least-squares"),
        ("B1 5\nB2 1\nB3 =3-(B1-1)^2-(B2-2)^2 | -14", "max", "least-squares"),
        ("B1 5\nB2 1\nB3 =3-(B1-1)^2-(B2-2)^2 | -14", "min", "lbfgs"),
        ("B1 5\nB2 1\nB4 =RAND() | 0.5\nB3 =(B1-B4)^2+(B2-2)^2 | 17", None, "adam"),
    ],
)
def test_when_it_is_chosen(tmp_path: Path, table: str, sense: str | None, expected: str) -> None:
    workbook = load(write(tmp_path / "b.xlsx", parts(table)))
    assert chosen(xl2torch.compile(workbook, sense=sense)) == expected


def test_many_variables_are_for_lbfgs(tmp_path: Path) -> None:
    table = "".join(f"A{row} 1\n" for row in range(1, 52))
    table += "B3 =SUMSQ(A1:A51)+SUM(A1:A51)^2 | 2652"
    workbook = load(write(tmp_path / "b.xlsx", parts(table, names="")))
    for last, expected in ((50, "least-squares"), (51, "lbfgs")):
        model = xl2torch.compile(workbook, objective="B3", variables=f"A1:A{last}")
        assert chosen(model) == expected


def test_where_it_makes_no_sense(tmp_path: Path) -> None:
    table = "B1 5\nB2 1\nB3 =(B1-1)^2+B2^4 | 17"
    model = xl2torch.compile(load(write(tmp_path / "b.xlsx", parts(table))))
    with pytest.raises(SelectionError, match="no sum, mean or root mean of squared"):
        xl2torch.fit(model, "least-squares")
    good = xl2torch.compile(load(WORKBOOKS / "line.xlsx"))
    with pytest.raises(SelectionError, match="no learning rate"):
        xl2torch.fit(good, "least-squares", lr=0.1)
    assert xl2torch.fit(good, lr=0.5).settings.optimizer == "lbfgs"
