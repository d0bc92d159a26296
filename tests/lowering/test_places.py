"""Computed references to the rows above are recurrences, as plain ones are."""

from __future__ import annotations

from pathlib import Path

import pytest
from grids import grid

import xl2torch
from xl2torch.cells.address import single_cell
from xl2torch.errors import CircularReferenceError, Xl2TorchError
from xl2torch.lowering.schedule import Evaluation
from xl2torch.workbook.read.selection import parse_cell

ROWS = 400
SPELLINGS = [
    "OFFSET(A{r},-1,0)", "OFFSET(B{r},-1,-1)", 'INDIRECT("A"&ROW()-1)', "INDEX(A:A,ROW()-1)",
    "INDEX(A$1:A$400,ROW()-1)", "OFFSET($A$1,ROW()-2,0)", 'INDIRECT("R[-1]C",FALSE)',
    "SUM(OFFSET(A{r},-1,0))", "INDIRECT(ADDRESS(ROW()-1,1))",
]  # fmt: skip


@pytest.mark.parametrize("above", SPELLINGS)
@pytest.mark.parametrize("rows", [6, ROWS])
def test_the_row_above(tmp_path: Path, above: str, rows: int) -> None:
    """A register: each row is half of the one above, and 1."""
    lines = [f"={above.format(r=row)}*0.5+1" for row in range(2, rows + 1)]
    workbook = grid(tmp_path, "\n".join(["3", *lines]))
    evaluation = Evaluation(workbook)
    value = 3.0
    for _ in lines:
        value = value * 0.5 + 1
    last = single_cell(parse_cell(workbook, f"A{rows}", "S"))
    assert evaluation.value(last).numpy().item() == value
    if rows == ROWS:
        assert len([unit for unit in evaluation.units("S") if unit.region is not None]) == 1


def test_a_trained_register_has_its_gradient(tmp_path: Path) -> None:
    lines = [f"=OFFSET(A{row},-1,0)*0.5+1" for row in range(2, 20)]
    workbook = grid(tmp_path, "\n".join(["3", *lines]))
    model = xl2torch.compile(workbook, objective="A19", variables="A1")
    model().backward()
    (parameter,) = model.parameters()
    assert parameter.grad is not None and parameter.grad.item() == 0.5**18


@pytest.mark.parametrize(
    "formula",
    [
        "=OFFSET(A2,0,0)+1", "=SUM(OFFSET(A2,0,-0,1,2))", '=INDIRECT("A2")+1',
        "=SUM(INDEX(A2:C2,1,0))",
    ],
)  # fmt: skip
def test_a_cell_that_reads_itself_is_a_circle(tmp_path: Path, formula: str) -> None:
    workbook = grid(tmp_path, f"1\n{formula}")
    with pytest.raises((CircularReferenceError, Xl2TorchError)):
        Evaluation(workbook).compute([single_cell(parse_cell(workbook, "A2", "S"))])
