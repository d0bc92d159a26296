"""Functions of binary cells: the best of all points, against looking at every one."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from grids import grid

from xl2torch.errors import ModelError
from xl2torch.model.sheet_model import compile
from xl2torch.training.fit import fit
from xl2torch.training.methods import HIGHS
from xl2torch.training.result import Result

BAG = """
    0 1 0 1 0
    3 5 2 4 1
    7 9 3 8 -2
    0 4 . . .
    {} {} . . .
"""
"""Chosen items, their weights and values; a quantity and its most; objective, constrained cell."""
WEIGHT = "=SUMIF(A1:E1,1,A2:E2)"
VALUES, WEIGHTS = (7, 9, 3, 8, -2), (3, 5, 2, 4, 1)


def weight(*chosen: int) -> float:
    return sum(w * c for w, c in zip(WEIGHTS, chosen, strict=True))


def worth(*chosen: int) -> float:
    return sum(v * c for v, c in zip(VALUES, chosen, strict=True))


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("=SUMIF(A1:E1,1,A3:E3)", worth),
        ('=SUMIF(A1:E1,"=0",A3:E3)', lambda *c: sum(VALUES) - worth(*c)),
        ('=SUMIFS(A3:E3,A1:E1,">0")', worth),
        ('=COUNTIF(A1:E1,"=1")', lambda *c: sum(c)),
        ("=SUMPRODUCT(--(A1:E1=1),A3:E3)", worth),
        ("=IF(A1=1,7,2)+IF(B1=1,9,5)", lambda a, b, c, d, e: (7 if a else 2) + (9 if b else 5)),
        ("=A1*B1*12+C1*D1*4+E1", lambda a, b, c, d, e: a * b * 12 + c * d * 4 + e),
        ("=IF(AND(A1=1,B1=1),10,C1)", None),
        ("=IF(AND(A1=1,B1=1),10,1)", lambda a, b, c, d, e: 10 if a and b else 1),
        ("=IF(OR(A1=1,B1=1),10,1)+C1", lambda a, b, c, d, e: (10 if a or b else 1) + c),
        ("=MAX(A1,B1)*5-MIN(C1,D1)", lambda a, b, c, d, e: max(a, b) * 5 - min(c, d)),
        ("=ABS(A1-B1)*3+EXP(C1)", lambda a, b, c, d, e: abs(a - b) * 3 + 2.718281828459045**c),
        ("=9-(SUM(A1:E1)-2)^2", lambda *c: 9 - (sum(c) - 2) ** 2),
        ("=IF(A1<>B1,4,0)+2^C1", lambda a, b, c, d, e: (4 if a != b else 0) + 2**c),
        ("=CHOOSE(A1+1,2,8)+SUMSQ(A1:E1)", lambda *c: (8 if c[0] else 2) + sum(c)),
        ("=INDEX(A3:D3,1,1+A1+2*B1)+C1", None),
        ("=INDEX(A3:D3,1,1+A1+2*B1)*2", None),
    ],
)  # fmt: skip
def test_the_best_of_all_points(
    formula: str, value: Callable[..., float] | None, tmp_path: Path
) -> None:
    book = grid(tmp_path, BAG.format(formula, WEIGHT))

    def trained(sense: str) -> Result:
        limits = ["A1:E1 bin", "B5 <= 9"]
        return fit(compile(book, None, "A5", "A1:E1", sense=sense, constraints=limits))

    if value is None:  # three cells meet in one term
        with pytest.raises(ModelError, match="integers in a nonlinear model"):
            trained("max")
        return
    for sense, best in (("max", max), ("min", min)):
        points = (p for p in product((0, 1), repeat=5) if weight(*p) <= 9)
        result = trained(sense)
        assert result.settings.optimizer == HIGHS and "binary cells" in result.settings.reason
        assert result.stop.code == 0
        assert result.final == pytest.approx(best(value(*p) for p in points))


@pytest.mark.parametrize(
    ("formula", "limits", "best"),
    [
        ("=3*A4*A1-5*A1", ["A4 <= 4", "A4 >= 0"], 7),
        ("=IF(A1=1,A4,6-A4)", ["A4 <= 4", "A4 >= 0"], 6),
        ("=A4-A4*B1", ["A4 <= 2.5", "A4 >= -1", "A4 int"], 2),
        ("=A4*A1", ["A4 + B4 <= 9", "A4 >= -2"], 5),  # the constraints bound it
    ],
)
def test_products_with_other_cells(
    formula: str, limits: list[str], best: float, tmp_path: Path
) -> None:
    book = grid(tmp_path, BAG.format(formula, "=A4+B4"))
    constraints = ["A1:B1 bin", *(limit.replace("A4 + B4", "B5") for limit in limits)]
    model = compile(
        book, objective="A5", variables=["A1:B1", "A4"], sense="max", constraints=constraints
    )
    result = fit(model)
    assert result.stop.code == 0
    assert result.final == pytest.approx(best)


@pytest.mark.parametrize(
    ("formula", "cells"),
    [
        ("=A4^2-A1", ["A1 bin", "A4 <= 4", "A4 >= 0"]),  # a square of a cell that is not binary
        ("=A4*A1", ["A1 bin"]),  # a factor without limits
        ("=1/A1+A4", ["A1 bin", "A4 <= 4", "A4 >= 0"]),  # an error at 0
        ("=IF(SUM(A1:E1)>=2,1,0)+A4", ["A1:E1 bin", "A4 <= 4", "A4 >= 0"]),
        ("=SIN(A4)+A1", ["A1 bin", "A4 <= 4", "A4 >= 0"]),
    ],
)
def test_what_is_no_linear_program(formula: str, cells: list[str], tmp_path: Path) -> None:
    book = grid(tmp_path, BAG.format(formula, WEIGHT))
    model = compile(book, objective="A5", variables=["A1:E1", "A4"], sense="max", constraints=cells)
    with pytest.raises(ModelError, match="integers in a nonlinear model"):
        fit(model)


def test_a_constraint_of_binary_cells_that_cannot_be_kept(tmp_path: Path) -> None:
    book = grid(tmp_path, BAG.format("=SUM(A1:E1)", "=A1*B1+C1*D1"))
    model = compile(
        book, objective="A5", variables="A1:E1", constraints=["A1:E1 bin", "B5 >= 3"], sense="min"
    )
    result = fit(model)
    assert result.stop.code == 5
    assert "S!B5 >= 3" in result.message
