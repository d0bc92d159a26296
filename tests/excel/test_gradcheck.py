"""Every function with a gradient against finite differences: ``gradients.txt``.

A block of that table is a function, its indented lines are formulas.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from cells import copied, value, workbook
from test_function_gradients import COPIES, START, VARIABLES, WEIGHTS, cells_of

import xl2torch
from xl2torch.excel.registry import FUNCTIONS

TABLE = Path(__file__).with_name("gradients.txt")
LEAST = 2
STEPS = "step:"
OPERATORS = {"UNION", "RANGE", "INTERSECTION", "SINGLE", "ANCHORARRAY"}
"""Written as signs: their names need not stand in the formulas."""
ROW_NUMBERS = (1, 2, 3, 4, 1, 2)
LINES = range(1, COPIES + 1)
SPILLS = {f"M{line}:O{line}": f"{{=A{line}:C{line}^2}}" for line in LINES}


@dataclass(frozen=True)
class Row:
    """A formula of the table and the block that it stands in."""

    function: str
    formula: str
    steps: bool


def rows() -> list[Row]:
    """The rows of the table."""
    found: list[Row] = []
    block = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if not text or text == "#" or text.startswith("# "):
            continue
        if not line.startswith(" "):
            block = text
            continue
        function = block.removeprefix(STEPS).strip()
        found.append(Row(function, text, block.startswith(STEPS)))
    return found


ROWS = rows()
SMOOTH = [row for row in ROWS if not row.steps]
STEPPED = [row for row in ROWS if row.steps]


def shown(row: Row) -> str:
    """Name of a row among the test cases."""
    return f"{row.function}-{row.formula}"


def written(row: Row, down: int) -> str:
    """The cell's text in a copy so many rows further down."""
    formula = copied(row.formula, down)
    return formula if formula.startswith("{=") else f"={formula}"


def cells(row: Row, lines: Iterable[int]) -> dict[str, str]:
    """The start values, and the formula in some lines of column H with weights beside it."""
    formulas = {f"H{line}": written(row, line - 1) for line in lines}
    formulas |= {f"I{line}": repr(weight) for line, weight in enumerate(WEIGHTS, start=1)}
    numbers = {f"E{line}": str(number) for line, number in enumerate(ROW_NUMBERS, start=1)}
    return cells_of(START, {**numbers, **SPILLS, **formulas})


def alone(row: Row, line: int) -> float:
    """Value of the formula in one line, the constant evaluation of that cell alone."""
    found = value(workbook("", cells(row, [line])), f"H{line}")
    assert isinstance(found, float | bool), found
    return float(found)


def weighted(row: Row, lines: Iterable[int]) -> float:
    """Weighted sum over some lines, each cell alone."""
    return sum(WEIGHTS[line - 1] * alone(row, line) for line in lines)


def check(cells: dict[str, str], objective: str, expected: float) -> None:
    """Value and gradient of a cell; the gradient must not vanish."""
    model = xl2torch.compile(workbook("", cells), objective=objective, variables=[VARIABLES])
    (variable,) = model.variables

    def value_at(numbers: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.func.functional_call(model, {variable.name: numbers}, ())
        return result

    start = variable.start.clone().requires_grad_()
    result = value_at(start)
    assert result.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    (slopes,) = torch.autograd.grad(result, start)
    assert slopes.count_nonzero() > 0
    assert torch.autograd.gradcheck(value_at, (start,), eps=1e-6, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("row", SMOOTH, ids=shown)
def test_gradient_of_one_cell(row: Row) -> None:
    check(cells(row, [1]), "H1", alone(row, 1))


@pytest.mark.parametrize("row", SMOOTH, ids=shown)
def test_gradient_of_copies(row: Row) -> None:
    """The copies, weighted, are worth what each cell is worth alone; trained and constant."""
    book = {**cells(row, LINES), "J1": f"=SUMPRODUCT(H1:H{COPIES},I1:I{COPIES})"}
    expected = weighted(row, LINES)
    assert value(workbook("", book), "J1") == pytest.approx(expected, rel=1e-12, abs=1e-12)
    check(book, "J1", expected)


@pytest.mark.parametrize("copies", [1, COPIES])
@pytest.mark.parametrize("row", STEPPED, ids=shown)
def test_steps_have_no_gradient(row: Row, copies: int) -> None:
    """The product with a variable is there because a constant is no objective."""
    lines = LINES[:copies]
    objective = f"=SUMPRODUCT(H1:H{copies}*I1:I{copies})+0*A1"
    book = workbook("", {**cells(row, lines), "J1": objective})
    model = xl2torch.compile(book, objective="J1", variables=[VARIABLES])
    result = model()
    assert result.item() == pytest.approx(weighted(row, lines), rel=1e-12, abs=1e-12)
    (slopes,) = torch.autograd.grad(result, model.parameter(model.variables[0]))
    assert slopes.count_nonzero() == 0


@pytest.mark.parametrize("gradient", ["exact", "values", "step"])
def test_every_function_has_rows(gradient: str) -> None:
    found = Counter(
        FUNCTIONS[row.function].compute
        for row in ROWS
        if row.function in FUNCTIONS and row.steps == (gradient == "step")
    )
    least = 1 if gradient == "step" else LEAST
    lacking = {
        name
        for name, function in FUNCTIONS.items()
        if function.gradient == gradient and found[function.compute] < least
    }
    assert lacking == set()


@pytest.mark.parametrize("row", ROWS, ids=shown)
def test_a_row_calls_its_function(row: Row) -> None:
    called = set(re.findall(r"[A-Z][A-Z0-9.]*(?=\()", row.formula))
    if row.function not in OPERATORS:
        wanted = FUNCTIONS[row.function].compute
        assert wanted in {FUNCTIONS[name].compute for name in called}
