"""Dropout of random cells: what is recognised, and the program without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from grids import grid

import xl2torch
from xl2torch.analysis.dropout import without_dropout
from xl2torch.cells.values import CellValue
from xl2torch.model.sheet_model import SheetModel
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.sparse_cells import SparseCells

KEPT = (1, 0, 1, 1, 0, 1)
ROWS = range(3, 9)


def book(tmp_path: Path, mask: str, masked: str, kept: float) -> SheetModel:
    """Rows of x, y, a ReLU unit, its mask, the masked unit and the error; B1:C1 are trained."""
    lines = ["=AVERAGE(F3:F8) 0.5 0.3", ". . ."]
    for row in ROWS:
        cells = (mask.format(r=row), masked.format(r=row))
        lines.append(
            f"{row * 0.3 - 0.5:.2f} {row % 3} =MAX(0,$B$1*A{row}) {cells[0]} {cells[1]} "
            f"=(E{row}*$C$1-B{row})^2"
        )
    workbook = with_values(
        grid(tmp_path, "\n".join(lines)),
        {(row, 4): kept * keeps for row, keeps in zip(ROWS, KEPT, strict=True)},
    )
    return xl2torch.compile(workbook, objective="A1", variables="B1:C1", sense="min")


def with_values(workbook: Workbook, values: dict[tuple[int, int], CellValue]) -> Workbook:
    """Values that Excel would have stored for random cells."""
    (sheet,) = workbook.sheets
    cells = sheet.cells
    last_row, last_column = cells.extent()
    every = {
        (row, column): cells.value(row, column)
        for row in range(1, last_row + 1)
        for column in range(1, last_column + 1)
        if cells.value(row, column) is not None
    } | values
    places = sorted(every)
    object.__setattr__(
        sheet, "cells",
        SparseCells.of([p[0] for p in places], [p[1] for p in places], [every[p] for p in places]),
    )  # fmt: skip
    return workbook


def identity_loss(model: SheetModel) -> float:
    a, c = model.get_parameter("b1_c1").tolist()
    errors = [(max(0.0, a * (row * 0.3 - 0.5)) * c - row % 3) ** 2 for row in ROWS]
    return float(sum(errors) / len(errors))


MASKS = [
    ("=IF(RAND()<0.2,0,1)", "=C{r}*D{r}", 1.0),
    ("=(RAND()>0.2)/0.8", "=D{r}*C{r}", 1.25),
    ("=RAND()", "=(D{r}>0.2)*C{r}/0.8", 0.9),
    ("=IF(RAND()<0.5,0,1)", "=D{r}*C{r}*2", 1.0),
    ("=RAND()", "=IF(D{r}<0.2,0,C{r})", 0.9),
    ("=RAND()", "=IF(D{r}<0.2,0,C{r}/0.8)", 0.9),
    ("=RAND()", "=IF(D{r}>0.2,C{r},0)*1.25", 0.9),
    ("=RAND()", "=IF(D{r}>0.2,C{r},0)/0.8", 0.9),
    ("=IF(RAND()>0.21,1,0)", "=IF(D{r}=0,0,C{r})", 1.0),
]


@pytest.mark.parametrize(("mask", "masked", "kept"), MASKS)
def test_dropout_is_the_identity(mask: str, masked: str, kept: float, tmp_path: Path) -> None:
    model = book(tmp_path, mask, masked, kept)
    program, cells = without_dropout(model)
    assert [area.a1 for area in cells] == ["E3:E8"]
    assert program().item() == pytest.approx(identity_loss(model), rel=1e-14)
    assert model().item() != pytest.approx(program().item())
    assert "drawing" not in program.code


NO_MASKS = [
    ("=RAND()", "=C{r}*D{r}"),  # noise
    ("=RAND()", "=C{r}+D{r}"),
    ("=RAND()", "=IF(D{r}<0.2,1,C{r})"),  # another value, not nothing
]


@pytest.mark.parametrize(("mask", "masked"), NO_MASKS)
def test_other_random_cells_are_no_dropout(mask: str, masked: str, tmp_path: Path) -> None:
    (sheet_values,) = [(0.1, 0.4, 0.9, 0.3, 0.6, 0.2)]
    model = book(tmp_path, mask, masked, 1.0)
    workbook = with_values(
        model.compiled.workbook,
        {(row, 4): value for row, value in zip(ROWS, sheet_values, strict=True)},
    )
    noisy = xl2torch.compile(workbook, objective="A1", variables="B1:C1", sense="min")
    program, cells = without_dropout(noisy)
    assert not cells and torch.equal(program(), noisy())


def test_it_keeps_another_factor(tmp_path: Path) -> None:
    model = book(tmp_path, "=RAND()", "=IF(D{r}<0.2,0,C{r}*3)", 0.9)
    program, _ = without_dropout(model)
    a, c = model.get_parameter("b1_c1").tolist()
    errors = [(3 * max(0.0, a * (row * 0.3 - 0.5)) * c - row % 3) ** 2 for row in ROWS]
    assert program().item() == pytest.approx(sum(errors) / len(errors), rel=1e-14)
