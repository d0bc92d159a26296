"""Layers whose bias is the weight of a column of ones: same numbers, whole parameters."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from grids import grid

import xl2torch
from xl2torch.ir.nodes import node_name, parameter_nodes
from xl2torch.model.sheet_model import SheetModel
from xl2torch.rows.fold_bias import with_ones_columns
from xl2torch.rows.row_objective import find_row_objective

ROWS = range(6, 15)
BY_INPUTS = "MMULT($A{r}:$C{r},{u}$1:{u}$3)+{u}$4"
BIAS_FIRST = "MMULT($A{r}:$C{r},{u}$2:{u}$4)+{u}$1"
BY_UNITS = "SUMPRODUCT($A{r}:$C{r},$F${n}:$H${n})+$I${n}"
FORMS = [
    (BY_INPUTS, "F1:G4", "mm"), (BIAS_FIRST, "F1:G4", "mm"), (BY_UNITS, "F1:I2", "linear"),
]  # fmt: skip


def layer(tmp_path: Path, formula: str, variables: str, target: str = "D{r}") -> SheetModel:
    """Two ReLU units of three inputs; the error is that of their sum beside a target."""
    lines = [f"=AVERAGE(L{ROWS[0]}:L{ROWS[-1]}) . . . . 0.3 -0.2 0.5 0.1"]
    lines += [". . . . . 0.7 0.4 -0.6 0.2", ". . . . . -0.1 0.8", ". . . . . 0.25 -0.35", "."]
    for row in ROWS:
        data = " ".join(f"{((row * k * 7) % 11) / 5 - 1:.1f}" for k in (1, 2, 3, 4))
        units = [
            f"=MAX(0,{formula.format(r=row, u=unit, n=number)})"
            for number, unit in enumerate("FG", 1)
        ]
        error = f"=(J{row}+K{row}-{target.format(r=row)})^2"
        lines.append(f"{data} . . . . . {units[0]} {units[1]} {error}")
    return xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables=variables, sense="min"
    )


def slopes(module: torch.nn.Module, *rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    loss = module(*rows)
    (parameter,) = module.parameters()
    return loss.detach(), torch.autograd.grad(loss, parameter)[0]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(("formula", "variables", "product"), FORMS)
def test_the_parameter_is_taken_whole(
    formula: str, variables: str, product: str, large: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if large:
        monkeypatch.setattr(sys.modules["xl2torch.passes.layout.transpose_weights"], "_LARGE", 0)
    model = layer(tmp_path, formula, variables)
    found, by_columns = with_ones_columns(model)
    (parameter,) = parameter_nodes(found)
    assert [node_name(user) for user in parameter.users] == [product]
    assert by_columns == ({parameter.target} if product == "mm" else set())
    torch.testing.assert_close(slopes(found), slopes(model), rtol=1e-14, atol=1e-14)
    rows = find_row_objective(found, "the objective")
    index = torch.tensor([7, 0, 3, 4])
    taken = [kind.select(tensor, index) for tensor, kind in rows.inputs]
    plain = find_row_objective(model, "the objective")
    parts = [kind.select(tensor, index) for tensor, kind in plain.inputs]
    torch.testing.assert_close(
        slopes(rows.program(4), *taken), slopes(plain.program(4), *parts), rtol=1e-13, atol=1e-13
    )


def test_data_in_another_use_stay_as_they_are(tmp_path: Path) -> None:
    model = layer(tmp_path, BY_INPUTS, "F1:G4", "SUM(A{r}:C{r})*F$1")
    found, by_columns = with_ones_columns(model)
    assert not by_columns
    assert "and_ones" not in found.code
    torch.testing.assert_close(slopes(found), slopes(model), rtol=0, atol=0)
