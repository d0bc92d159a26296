"""Both sides of constraints as functions of all variable cells."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from grids import grid
from packages import parts, write
from solver_books import hs71

import xl2torch
from xl2torch.errors import ModelError
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import present_point
from xl2torch.model.sheet_model import compile
from xl2torch.workbook.read.reader import load

TABLE = """
    B1 5
    B2 -4
    B3 =B1^2+B2^2 | 41
    B4 =B1*B2 | -20
    B5 =B1-B2 | 9
    D1 3
    D2 =B2*2 | -8
    D3 'text
"""


def constraints(tmp_path: Path, *texts: str) -> tuple[Constraints, torch.Tensor]:
    model = xl2torch.compile(
        load(write(tmp_path / "b.xlsx", parts(TABLE))), constraints=list(texts)
    )
    return Constraints(model), present_point(model)


def test_sides(tmp_path: Path) -> None:
    found, point = constraints(
        tmp_path, "B4:B5 <= 100", "B1:B2 >= -9", "B5 >= D2", "B4 = 2*D1+B1", "B4:B5 <= D1:D2"
    )
    assert [limit.formula("Model") for limit in found.limits] == [
        "$B$4<=100", "$B$5<=100", "$B$5>=$D$2", "$B$4=2*D1+B1", "$B$4<=$D$1", "$B$5<=$D$2",
        "$B$1>=-9", "$B$2>=-9",
    ]  # fmt: skip
    assert found.left(point).tolist() == [-20, 9, 9, -20, -20, 9, 5, -4]
    assert found.right(point).tolist() == [100, 100, -8, 11, 3, -8, -9, -9]
    assert found.violation(point).tolist() == [0, 0, 0, 31, 0, 17, 0, 0]
    assert found.general == (0, 1, 2, 3, 4, 5)


def test_slopes_are_the_derivatives(tmp_path: Path) -> None:
    found, point = constraints(tmp_path, "B4:B5 <= 100", "B5 >= D2", "B4 = 2*D1+B1*B1", "B1 <= 9")
    step = 1e-6
    numeric = torch.stack(
        [
            (found.excess(point + step * way) - found.excess(point - step * way)) / (2 * step)
            for way in torch.eye(2, dtype=torch.float64)
        ],
        dim=1,
    )
    assert torch.allclose(found.slopes(point), numeric, atol=1e-8)


def test_constants_on_both_sides(tmp_path: Path) -> None:
    found, point = constraints(tmp_path, "D1 <= 4", "D1 >= 2*D1")
    assert found.excess(point).tolist() == [-1, -3]
    assert found.slopes(point).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("text", ["D3 <= 4", "B4 <= D3"])
def test_texts_are_no_numbers(tmp_path: Path, text: str) -> None:
    found, point = constraints(tmp_path, text)
    with pytest.raises(ModelError, match="Model!D3 hold a text or an error"):
        found.excess(point)


def test_precision_is_the_stored_one(tmp_path: Path) -> None:
    found = Constraints(xl2torch.compile(load(hs71(tmp_path))))
    assert found.precision == 1e-6
    without = xl2torch.compile(load(hs71(tmp_path)), constraints=[])
    assert Constraints(without).limits == ()


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("B1:B2 <= 2*D1", [8, 8]),  # as in Solver: a formula is one value
        ("B1:B2 <= 2*$D$1", [8, 8]),
        ("B1:B2 <= SUM(D1:D2)", [9, 9]),
        ("B1:B2 <= 2*D1:D2", [8, 10]),
        ("B1:C1 <= D1+1", [5, 5]),
        ("B1:C2 <= D1:E2*2", [8, 12, 10, 14]),
    ],
)
def test_what_a_formula_on_the_right_means(text: str, right: list[float], tmp_path: Path) -> None:
    book = grid(tmp_path, ". 1 1 4 6\n. 1 1 5 7\n=SUM(B1:C2)")
    model = compile(book, objective="A3", variables="B1:C2", constraints=[text])
    point = torch.ones(4, dtype=torch.float64)
    assert Constraints(model).right(point).tolist() == right
