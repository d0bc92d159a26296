"""Many small fits in one sheet: each is solved as if it stood alone."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grids import grid
from numpy.typing import NDArray
from scipy.optimize import least_squares

from xl2torch.model.sheet_model import SheetModel, compile
from xl2torch.training.fit import fit
from xl2torch.training.methods import LEAST_SQUARES

X = np.array([0.5, 1.0, 2.0, 3.5, 5.0, 8.0])


def curves(
    folder: Path, formula: str, start: list[Any], observed: NDArray[np.float64]
) -> SheetModel:
    """A column for each curve, from C on: start values, data, and residuals; A1 sums the squares.

    ``formula`` of ``{p1}``, ``{p2}``, … and ``{x}``; their starts are numbers, or one for each.
    """
    count, size = len(observed), len(start)
    letters = [chr(67 + number) for number in range(count)]
    last = chr(66 + count)
    top = size + 2
    starts = [value if isinstance(value, list) else [value] * count for value in start]
    lines = [" ".join([".", ".", *map(repr, values)]) for values in starts]
    lines.append(".")
    for row, x in enumerate(X, top):
        lines.append(
            " ".join([repr(float(x)), ".", *(repr(float(y[row - top])) for y in observed)])
        )
    for row in range(top, top + len(X)):
        names = {f"p{n + 1}": f"{{c}}${n + 1}" for n in range(size)} | {"x": f"$A{row}"}
        cells = [f"={c}{row}-(" + formula.format(**names).format(c=c) + ")" for c in letters]
        lines.append(" ".join([".", ".", *cells]))
    first, end = top + len(X), top + 2 * len(X) - 1
    lines[0] = f"=SUMSQ(C{first}:{last}{end})" + lines[0][1:]
    book = grid(folder, "\n".join(lines))
    return compile(book, objective="A1", variables=f"C1:{last}{size}")


def data(count: int) -> NDArray[np.float64]:
    random = np.random.default_rng(3)
    height, rate = random.uniform(1, 9, count), random.uniform(0.1, 0.6, count)
    exact = height[:, None] * np.exp(-rate[:, None] * X)
    return np.asarray(np.round(exact + random.normal(0, 0.05, exact.shape), 4))


def test_each_curve_is_fitted_as_if_alone(tmp_path: Path) -> None:
    observed = data(22)
    model = curves(tmp_path, "{p1}*EXP(-{p2}*{x})", [1.0, 1.0], observed)
    right = sum(
        2 * least_squares(lambda p, y=y: p[0] * np.exp(-p[1] * X) - y, (1, 1), xtol=1e-14).cost
        for y in observed
    )
    result = fit(model)
    assert result.settings.optimizer == LEAST_SQUARES
    assert result.stop.code == 0
    assert result.final == pytest.approx(right, rel=1e-9)


def test_more_cells_than_residuals_allow_together(tmp_path: Path) -> None:
    observed = data(20)
    model = curves(tmp_path, "{p1}*EXP(-{p2}*{x})+{p3}", [1.0, 1.0, 0.0], observed)
    result = fit(model)  # 60 cells, 120 residuals
    assert "20 blocks that never meet" in result.settings.reason
    assert result.stop.code == 0


def test_a_block_that_is_lost_begins_where_another_ended(tmp_path: Path) -> None:
    """From 1 all curves end in a worse valley; one that starts near its best shows the others."""
    observed = 5 * np.sin(np.outer([2.0, 2.1, 1.9], X))
    lost = fit(curves(tmp_path, "{p1}*SIN({p2}*{x})", [1.0, 1.0], observed))
    helped = fit(curves(tmp_path, "{p1}*SIN({p2}*{x})", [1.0, [2.05, 1.0, 1.0]], observed))
    assert helped.final < 1e-15 < lost.final


def test_bounds_hold_in_blocks(tmp_path: Path) -> None:
    observed = data(3)
    observed[1] = -observed[1]
    book = curves(tmp_path, "{p1}*EXP(-{p2}*{x})", [1.0, 1.0], observed).compiled.workbook
    model = compile(book, objective="A1", variables="C1:E2", non_negative=True)
    result = fit(model)
    weights = result.weights[model.variables[0].name]
    assert bool((weights >= 0).all()) and float(weights[0, 1]) == 0
    alone = [
        2 * least_squares(lambda p, y=y: p[0] * np.exp(-p[1] * X) - y, (1, 1), bounds=(0, math.inf),
                          xtol=1e-14, ftol=1e-14, gtol=1e-14).cost
        for y in observed
    ]  # fmt: skip
    assert result.final == pytest.approx(sum(alone), rel=1e-7)


@pytest.mark.slow
def test_many_goal_seeks(tmp_path: Path) -> None:
    count = 400
    lines = [f"1 =A{r}^3+{r % 7 + 1}*A{r} {5 + r % 11}" for r in range(1, count + 1)]
    lines[0] += f" =SUMXMY2(B1:B{count},C1:C{count})"
    model = compile(grid(tmp_path, "\n".join(lines)), objective="D1", variables=f"A1:A{count}")
    result = fit(model)
    assert f"{count} blocks" in result.settings.reason and result.stop.code == 0
    assert result.final < 1e-20


@pytest.mark.parametrize(
    ("formula", "target", "start", "right"),
    [
        ("1E-13*EXP(A1)-1", 0, 0.01, 13 * math.log(10)),  # no slope to speak of at the start
        ("1/A1-3", 0, 1e6, 1 / 3),
        ("LN(A1)", -20, 5, math.exp(-20)),
        ("A1^9", 1e-18, 5, 0.01),
        ("EXP(0-A1^2)", 0.5, 20, math.sqrt(math.log(2))),
    ],
)
def test_a_target_that_is_far_away(
    formula: str, target: float, start: float, right: float, tmp_path: Path
) -> None:
    book = grid(tmp_path, f"{start!r} ={formula}")
    model = compile(book, objective="B1", variables="A1", sense=f"value={target!r}")
    result = fit(model)
    assert result.stop.code == 0
    assert abs(result.weights[model.variables[0].name].item()) == pytest.approx(right, rel=1e-5)


def test_a_target_that_there_is_none_of(tmp_path: Path) -> None:
    model = compile(grid(tmp_path, "1 =A1^2+3"), objective="B1", variables="A1", sense="value=2")
    assert fit(model).stop.code == 5
