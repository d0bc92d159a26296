"""Rows without the formula between rows with it: one formula, the same numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from grids import grid, results

import xl2torch
from xl2torch import passes
from xl2torch.model.sheet_model import SheetModel
from xl2torch.passes.fuse.merge_like_rows import merge_like_rows

ROWS = range(3, 15)
FORMULAS = [
    "=($G$1*A{r}+$H$1-B{r})^2",
    "=(1/(1+EXP(-$G$1*A{r}-$H$1))-B{r})^2",
    "=LN(EXP($G$1*A{r})+B{r}+2)",
    "=SUMPRODUCT(A{r}:B{r},$G$1:$H$1)^2",
    "=MAX(0,$G$1*A{r})+MAX(0,$H$1*B{r})",
    "=IF(B{r}>0,$G$1,$H$1)*A{r}^2",
]
GAPS = [{7: "."}, {7: "text"}, {7: "3"}, {7: ".", 8: "."}, {6: ".", 10: "text"}, {5: "2", 6: "."}]
OBJECTIVES = ["=SUM(D3:D14)", "=AVERAGE(D3:D14)", "=AVERAGE(D:D)", "=SUMSQ(D2:D20)"]


def book(
    tmp_path: Path, formula: str, gaps: dict[int, str], objective: str = "=AVERAGE(D3:D14)"
) -> SheetModel:
    """x and y in A and B; the formula in D but for the gaps."""
    lines = [f"{objective} . . . . . 0.3 -0.2", "x y . error"]
    for row in ROWS:
        cell = gaps.get(row, formula.format(r=row))
        lines.append(f"{(row * 7 % 11) / 5 - 1:.1f} {row % 3} . {cell}")
    return xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="G1:H1", sense="min"
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("gaps", GAPS, ids=str)
@pytest.mark.parametrize("formula", FORMULAS)
def test_the_same_as_pieces(
    formula: str, gaps: dict[int, str], objective: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    merged = book(tmp_path, formula, gaps, objective)
    assert "cat(" not in merged.code
    others = tuple(run for run in passes.PASSES if run is not merge_like_rows)
    monkeypatch.setattr(passes, "PASSES", others)
    pieces = book(tmp_path, formula, gaps, objective)
    assert "cat(" in pieces.code
    torch.testing.assert_close(results(merged), results(pieces), rtol=1e-13, atol=1e-13)


def test_another_formula_is_another(tmp_path: Path) -> None:
    model = book(tmp_path, FORMULAS[0], {7: ".", 10: "=$G$1*A10", 11: "=$G$1*A11"})
    assert "cat(" in model.code


@pytest.mark.parametrize("gap", [".", "text", "3"])
def test_batches_over_a_gap(gap: str, tmp_path: Path) -> None:
    found = book(tmp_path, FORMULAS[0], {7: gap}).row_objective()
    assert (found.form, found.cells.top, found.count) == ("mean over rows", 3, 12)
    for rows in ([0, 3, 5], [4, 11, 2], [1], list(range(12))):
        index = torch.tensor(rows)
        taken = [kind.select(tensor, index) for tensor, kind in found.inputs]
        x = torch.tensor([(row * 7 % 11) / 5 - 1 for row in ROWS], dtype=torch.float64)
        y = torch.tensor([row % 3 for row in ROWS])
        errors = (0.3 * x - 0.2 - y) ** 2
        errors[4] = 3.0
        counted = errors[[row for row in rows if row != 4 or gap == "3"]]
        value = found.program(len(rows))(*taken)
        assert value.item() == pytest.approx(counted.mean().item(), rel=1e-12)
