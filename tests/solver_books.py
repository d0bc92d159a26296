"""Models with stored Solver models and known answers, and what a report sheet shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judges import cached_values
from packages import parts, solver, write

import xl2torch
from xl2torch.cells.address import column_letters
from xl2torch.training.result import Result

HS71 = """
    A2 'x1
    B2 1
    A3 'x2
    B3 4.742999643577
    A4 'x3
    B4 3.821149978927
    A5 'x4
    B5 1.379408293208
    A7 'cost
    B7 =B2*B5*(B2+B3+B4)+B4 | 17.0140172891
    A8 'product
    B8 =B2*B3*B4*B5 | 25
    A9 'squares
    B9 =SUMSQ(B2:B5) | 40
    A10 'least
    B10 25
    B1 'value
"""
"""Hock and Schittkowski's problem 71 at its optimum, 17.0140173."""
HS71_CONSTRAINTS = (
    ("$B$8", "3", "Model!$B$10"), ("$B$9", "2", "40"), ("$B$2:$B$5", "1", "5"),
    ("$B$2:$B$5", "3", "1"),
)  # fmt: skip


def model_book(
    path: Path, table: str, objective: str, variables: str,
    constraints: Sequence[tuple[str, str, str]] = (), sense: int = 2,
    options: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """A workbook of one sheet, Model, with a stored Solver model."""
    names = solver(objective, variables, sense=sense, constraints=constraints, options=options)
    return write(path, parts(table, names=names))


def hs71(folder: Path) -> Path:
    """Problem 71 with its constraints stored."""
    return model_book(folder / "hs71.xlsx", HS71, "$B$7", "$B$2:$B$5", HS71_CONSTRAINTS)


def standing(path: Path) -> Result:
    """The result of no iteration: reports are then of the present point."""
    return xl2torch.fit(xl2torch.compile(xl2torch.load(path)), epochs=0)


def shown(path: Path, title: str) -> list[list[Any]]:
    """All rows of a sheet, from A1 on; blank cells at the end of a row are left out."""
    sheet = xl2torch.load(path).sheet(title)
    rows, columns = sheet.extent
    values = cached_values(path)
    table = []
    for row in range(1, rows + 1):
        line = [
            values.get((title, f"{column_letters(column)}{row}"))
            for column in range(1, columns + 1)
        ]
        while line and line[-1] is None:
            line.pop()
        table.append(line)
    return table


def below(rows: list[list[Any]], title: str, headings: int = 1) -> list[list[Any]]:
    """The lines of the table under a title in column A, without column A."""
    first = next(n for n, row in enumerate(rows) if row[:1] == [title]) + 1 + headings
    found = []
    for row in rows[first:]:
        if len(row) < 2:
            break
        found.append(row[1:])
    return found
