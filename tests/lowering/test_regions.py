"""Which cells become one region, and how regions that need themselves are ordered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from grids import grid, write_grid

import xl2torch
from xl2torch.errors import CircularReferenceError
from xl2torch.lowering.regions import find_regions, odd_cells
from xl2torch.workbook.read.reader import Workbook

REGIONS = [
    # grid, its regions
    ("1 =A1*2\n2 =A2*2\n3 =A3*2", ["B1:B3"]),
    ("1 =A1*2\n2 =A2*3\n3 =A3*2", ["B1", "B2", "B3"]),
    ("1 2 =A1+1 =B1+1\n3 4 =A2+1 =B2+1", ["C1:D2"]),
    ("1 =$A$1+1 =$A$1+1 =A1+1", ["B1:C1", "D1"]),
    ("=R1 =R1", ["A1", "B1"]),
    ("=SUM($A$5:$A$9) . =SUM($A$5:$A$9)", ["A1", "C1"]),
    ("=1 =1\n=1 =1\n=1 .", ["A1:A3", "B1:B2"]),
]


APART = [
    # cells that stand apart, with blank cells between them, are one region
    ("1 =MAX(A1:A2) . =A1\n2\n3 =MAX(A3:A4)\n4\n5 =MAX(A5:A6)\n6\n7 =MAX(A7:A8)", "B1:B7", 2, 1),
    ("1 2 3 4 5 6 7 8\n=SUM(A1:B1) . =SUM(C1:D1) . =SUM(E1:F1) . =SUM(G1:H1)", "A2:G2", 1, 2),
    (
        "\n".join("1 2 3 4" + (f" =MAX(A{r}:B{r + 1}) . =MAX(C{r}:D{r + 1})" if r % 2 else "")
                  for r in range(1, 9)),
        "E1:G7", 2, 2,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "area", "down", "across"), APART)
def test_cells_apart(text: str, area: str, down: int, across: int, tmp_path: Path) -> None:
    workbook = grid(tmp_path, text)
    regions = find_regions(workbook, workbook.sheets[0])
    (region,) = [region for region in regions if region.has_gaps]
    assert (region.range.a1, region.row_step, region.column_step) == (area, down, across)
    assert len(region.cells()) == region.rows * region.columns
    again = [part.range.a1 for row in region.split() for part in (row.split() if row.rows
             * row.columns > 1 else [row])]  # fmt: skip
    assert sorted(again) == sorted(cell.a1 for cell in region.cells())


def test_what_stands_between_keeps_cells_single(tmp_path: Path) -> None:
    text = "1 =MAX(A1:A2)\n2 7\n3 =MAX(A3:A4)\n4\n5 =MAX(A5:A6)\n6\n7 =MAX(A7:A8)"
    assert areas(grid(tmp_path, text)) == ["B1", "B3", "B5", "B7"]


def areas(workbook: Workbook) -> list[str]:
    sheet = workbook.sheets[0]
    return [region.range.a1 for region in find_regions(workbook, sheet)]


@pytest.mark.parametrize(("text", "expected"), REGIONS)
def test_regions(text: str, expected: list[str], tmp_path: Path) -> None:
    assert areas(grid(tmp_path, text)) == expected


def test_cut_cells_leave_the_region(tmp_path: Path) -> None:
    workbook = grid(tmp_path, "1 =A1*2\n2 =A2*2\n3 =A3*2")
    regions = find_regions(workbook, workbook.sheets[0], {(2, 2)})
    assert [region.range.a1 for region in regions] == ["B1", "B3"]


def test_odd_cell_in_a_copied_column(tmp_path: Path) -> None:
    text = "\n".join(f"{row} =A{row}*2" if row != 3 else "3 =A3*3" for row in range(1, 6))
    workbook = grid(tmp_path, text)
    sheet = workbook.sheets[0]
    found = odd_cells(sheet, find_regions(workbook, sheet))
    assert [(cell.a1, note) for cell, note in found] == [
        ("B3", "has =A3*3 where the column has =A3*2")
    ]


def value(workbook: Workbook, cell: str) -> float:
    from xl2torch.workbook.read.selection import parse_cell

    result = xl2torch.recalculate(workbook, {}).value(parse_cell(workbook, cell, "S"))
    assert isinstance(result, float)
    return result


RECURRENCES = [
    # running total, growing range, two columns that need each other, leftwards, upwards
    ("1 =A1\n2 =B1+A2\n3 =B2+A3\n4 =B3+A4", "B4", 10.0),
    ("1 =SUM(A$1:A1)\n2 =SUM(A$1:A2)\n3 =SUM(A$1:A3)", "B3", 6.0),
    ("1 =A1+1 =B1*2\n1 =C1+1 =B2*2\n1 =C2+1 =B3*2", "C3", 22.0),
    ("=B1+1 =C1+1 =D1+1 5", "A1", 8.0),
    ("=A2*2\n=A3*2\n=A4*2\n3", "A1", 24.0),
]


@pytest.mark.parametrize(("text", "cell", "expected"), RECURRENCES)
def test_recurrences(text: str, cell: str, expected: float, tmp_path: Path) -> None:
    assert value(grid(tmp_path, text), cell) == expected


def test_recurrence_has_a_gradient(tmp_path: Path) -> None:
    """x, x², x³ …: the objective x⁵ has slope 5x⁴."""
    workbook = grid(tmp_path, "2 1\n. =B1*$A$1\n. =B2*$A$1\n. =B3*$A$1\n. =B4*$A$1\n. =B5*$A$1")
    model = xl2torch.compile(workbook, objective="B6", variables="A1")
    loss = model()
    loss.backward()
    (parameter,) = model.parameters()
    assert loss.item() == 32.0 and parameter.grad is not None and parameter.grad.item() == 80.0


def test_long_chain_needs_no_recursion(tmp_path: Path) -> None:
    rows = ["1 =A1", *(f"1 =B{row - 1}+A{row}" for row in range(2, 3001))]
    workbook = grid(tmp_path, "\n".join(rows))
    began = time.perf_counter()
    assert value(workbook, "B3000") == 3000.0
    assert time.perf_counter() - began < 60


CIRCLES = [
    ("=A1+1", ["S!A1"]),
    ("=B1 =A1", ["S!A1", "S!B1"]),
    ("=B1 =C1 =A1", ["S!A1", "S!B1", "S!C1"]),
]


@pytest.mark.parametrize(("text", "cells"), CIRCLES)
def test_circles_are_named(text: str, cells: list[str], tmp_path: Path) -> None:
    workbook = grid(tmp_path, text + "\n=A1*A3\n1")
    with pytest.raises(CircularReferenceError) as caught:
        xl2torch.compile(workbook, objective="A2", variables="A3")
    assert sorted(caught.value.cells) == cells


def test_a_circle_elsewhere_does_not_stop_the_rest(tmp_path: Path) -> None:
    workbook = grid(tmp_path, "=B1 =A1\n3 =A2*2")
    assert value(workbook, "B2") == 6.0


def test_compile_time_grows_with_formulas_not_rows(tmp_path: Path) -> None:
    """The graph of 2,000 rows has the nodes of 20 rows."""
    counts = []
    for rows in (20, 2000):
        lines = [f"{row} =A{row}*$C$1+$C$2 {1 if row < 3 else '.'} =(B{row}-A{row})^2"
                 for row in range(1, rows + 1)]  # fmt: skip
        lines[0] += f" =SUM(D1:D{rows})"
        path = write_grid(tmp_path / f"{rows}.xlsx", "\n".join(lines))
        model = xl2torch.compile(xl2torch.load(path), objective="E1", variables="C1:C2")
        counts.append(len(model.graph.nodes))
    assert counts[0] == counts[1]
