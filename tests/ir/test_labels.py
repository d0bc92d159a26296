"""What a sheet calls its cells changes no program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openpyxl
import pytest
import torch
from corpus import CORPUS, WORKBOOKS
from grids import grid

import xl2torch
from xl2torch.ir.naming import label
from xl2torch.model.sheet_model import SheetModel
from xl2torch.workbook.read.selection import parse_ranges
from xl2torch.workbook.read.solver_model import solver_models

TITANIC = CORPUS / "fastai-2022" / "titanic.xlsx"
COLLAB = CORPUS / "fastai-2022" / "collab_filter.xlsx"

LABELS = (
    "Constant", "constant_1", "Constant 2", "constants", "drawing", "given_1", "forward", "self",
    "code", "training", "graph", "class", "relu", "torch", "_recurrence_1", "Δ 🌿", "x" * 200,
    "lambda", "None", "True", "print", "input", "output", "parameters", "weight", "meta", "facts",
    "call_function", "get_attr", "matmul", "a.b.c", "1st", "", " ", "it's \"x\"", "$\\alpha$",
    "\u202eabc", "مرحبا", "sum_2", "_", "state_dict",
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


def stored_models() -> list[tuple[Path, str]]:
    """The models of the sample workbooks, and of public ones where they are at hand."""
    paths = [path for path in sorted(WORKBOOKS.glob("*.xlsx")) if "trained" not in path.stem]
    paths += [path for path in (TITANIC, COLLAB) if path.exists()]
    return [(path, found.sheet) for path in paths for found in solver_models(xl2torch.load(path))]


@pytest.mark.parametrize(
    ("path", "sheet", "few"),
    [pytest.param(path, sheet, LABELS[place::len(MODELS)], id=f"{path.stem}-{sheet}")
     for MODELS in [stored_models()] for place, (path, sheet) in enumerate(MODELS)],
)  # fmt: skip
def test_labels_change_no_program_of_a_workbook(
    path: Path, sheet: str, few: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    workbook = xl2torch.load(path)
    usual = program(xl2torch.compile(workbook, sheet))
    for text in (*few, "Constant", "drawing"):
        monkeypatch.setattr("xl2torch.model.sheet_model.label", lambda *_, text=text: text)
        assert program(xl2torch.compile(workbook, sheet)) == usual, text


NAMED = [
    # rows of a sheet, cells to name, their label
    ("loss 5", "B1", "loss"),
    ("loss . 5", "C1", "loss"),
    # A row of a table beside the objective is not its name; the text above it is.
    (". . . likelihood\nHerons 3 5 7", "D2", "likelihood"),
    (". . . . likelihood\nHerons 3 5 . 7", "E2", "likelihood"),
    ("Herons 3 5 7", "D1", "Herons"),  # what else
    # A column's header may stand beyond its start value, not beyond another value and a gap.
    ("x\n1\n2\n3", "A3:A4", "x"),
    ("x\n.\n2\n3", "A3:A4", "x"),
    ("accuracy\n0.9\n.\n-1\n-2", "A4:A5", ""),
    ("name accuracy\n. 0.9\n. .\n. -1\n. -2", "B4:B5", ""),
]


@pytest.mark.parametrize(("rows", "cells", "expected"), NAMED)
def test_what_a_rectangle_is_called(rows: str, cells: str, expected: str, tmp_path: Path) -> None:
    book = grid(tmp_path, rows)
    assert label(book, parse_ranges(book, cells, "S")[0]) == expected
