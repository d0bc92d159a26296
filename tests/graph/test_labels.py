"""What a sheet calls its cells changes no program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest
import torch

import xl2torch
from xl2torch.model import SheetModel

LABELS = (
    "Constant", "constant_1", "Constant 2", "constants", "drawing", "given_1", "forward", "self",
    "code", "training", "graph", "class", "relu", "torch", "_recurrence_1", "Δ 🌿", "x" * 200,
)  # fmt: skip


def two_units(path: Path, first: str, second: str) -> SheetModel:
    """Two ReLU units whose weight rows have labels; equal formulas side by side."""
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet["C2"], sheet["C3"] = first, second
    sheet["D2"], sheet["E2"], sheet["D3"], sheet["E3"] = 0.3, -0.2, 0.1, 0.4
    for row in range(6, 16):
        sheet[f"A{row}"], sheet[f"B{row}"], sheet[f"G{row}"] = row * 0.1, 1 - row * 0.07, row * 0.3
        sheet[f"H{row}"] = f"=MAX(0,SUMPRODUCT($A{row}:$B{row},$D$2:$E$2))"
        sheet[f"I{row}"] = f"=MAX(0,SUMPRODUCT($A{row}:$B{row},$D$3:$E$3))"
        sheet[f"J{row}"] = f"=SUM(H{row}:I{row})"
    sheet["L1"] = "=SUMXMY2(J6:J15,G6:G15)"
    book.save(path)
    return xl2torch.compile(xl2torch.load(path), objective="L1", variables=["D2:E2", "D3:E3"])


def chosen_rows(path: Path, label: str) -> SheetModel:
    """A parameter for each row, of which the formulas use some."""
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet["G1"] = label
    for row in range(2, 12):
        sheet[f"A{row}"], sheet[f"B{row}"], sheet[f"G{row}"] = row, 3 + 2 * row, 0.5
        sheet[f"C{row}"] = f"=IF(A{row}>5,2*G{row},0)"
    sheet["L4"] = "=SUMXMY2(B2:B11,C2:C11)"
    book.save(path)
    return xl2torch.compile(xl2torch.load(path), objective="L4", variables="G2:G11")


def program(model: SheetModel) -> list[object]:
    """What is called, in order, the value and the gradients: all but names."""
    value = model()
    slopes = torch.autograd.grad(value, list(model.parameters()))
    calls = [str(node.target) for node in model.graph.nodes if node.op == "call_function"]
    return [calls, value.item(), [slope.tolist() for slope in slopes]]


@pytest.mark.parametrize("label", LABELS)
def test_labels_change_no_program(tmp_path: Path, label: str) -> None:
    path = tmp_path / "book.xlsx"
    assert program(two_units(path, label, label)) == program(two_units(path, "Unit 1", "Unit 2"))
    assert program(chosen_rows(path, label)) == program(chosen_rows(path, "Offset"))
