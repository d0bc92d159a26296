"""Small workbooks from text grids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import openpyxl
import torch
from openpyxl.workbook.defined_name import DefinedName

from xl2torch.model.sheet_model import SheetModel
from xl2torch.workbook.read.reader import Workbook, load


def typed(text: str) -> str | float | bool | None:
    """A cell's content: a formula, a number, TRUE or FALSE, a text, blank for '.'."""
    if text == ".":
        return None
    if text in ("TRUE", "FALSE"):
        return text == "TRUE"
    try:
        return float(text)
    except ValueError:
        return text


def write_grid(
    path: Path,
    grids: str | Mapping[str, str],
    names: Mapping[str, str] | None = None,
    solver: Mapping[str, str] | None = None,
) -> Path:
    """An .xlsx from text: a line per row, cells separated by blanks, '.' is a blank cell.

    ``grids`` by sheet name; a bare text is the sheet S. ``solver`` are solver_* names of the first
    sheet.
    """
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, grid in ({"S": grids} if isinstance(grids, str) else grids).items():
        sheet = book.create_sheet(title)
        lines = [line for line in grid.strip().splitlines()]
        for row, line in enumerate(lines, 1):
            for column, text in enumerate(line.split(), 1):
                sheet.cell(row, column, typed(text))
    for name, target in (names or {}).items():
        book.defined_names[name] = DefinedName(name, attr_text=target)
    for name, value in (solver or {}).items():
        key = f"solver_{name}"
        book.worksheets[0].defined_names[key] = DefinedName(key, attr_text=value, hidden=True)
    book.save(path)
    return path


def grid(tmp_path: Path, grids: str | Mapping[str, str], **options: Mapping[str, str]) -> Workbook:
    """The same, read by xl2torch."""
    return load(write_grid(tmp_path / "grid.xlsx", grids, **options))


def results(model: SheetModel) -> list[torch.Tensor]:
    """Objective and gradients at the start point and elsewhere, in this order."""
    found = []
    for step in (0.0, 1.3):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(step)
        loss = model()
        found += [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]
    return found
