"""Objectives over rows: what is found, what is refused, and the program for some of the rows.

The judge of the program for some rows is the workbook that holds only these.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from corpus import CORPUS, WORKBOOKS, requires_corpus
from grids import grid

import xl2torch
from xl2torch.errors import ModelError
from xl2torch.model.sheet_model import SheetModel
from xl2torch.rows.row_objective import RowObjective

X = (0.5, -1.25, 2.0, 0.75, -0.5, 1.5, 3.0, -2.0, 0.25)
Y = (1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0)
Z = (1, 3, 2, 1, 2, 3, 1, 2, 3)
TOP = 3


def book(tmp_path: Path, row: str, objective: str, rows: Sequence[int]) -> SheetModel:
    """A sheet whose rows hold x, y, z, a copied formula and more; ``{last}`` is the last row.

    Variables are F1:H1, and F2:H2 a table of numbers that rows look things up in.
    """
    last = TOP + len(rows) - 1
    lines = [f"{objective.format(last=last)} . . . . 0.3 -0.2 0.5", ". . . . . 0.1 0.2 0.4"]
    for place, number in enumerate(rows, TOP):
        data = f"{X[number]} {Y[number]} {Z[number]}"
        lines.append(f"{data} {row.format(r=place, above=place - 1, last=last)}")
    sheet = grid(tmp_path, "\n".join(lines))
    return xl2torch.compile(sheet, objective="A1", variables="F1:H1", sense="min")


def for_rows(found: RowObjective, rows: Sequence[int]) -> torch.Tensor:
    index = torch.tensor(rows)
    given = [place.select(tensor, index) for tensor, place in found.inputs]
    value: torch.Tensor = found.program(len(rows))(*given)
    return value


LINE = "=($F$1*A{r}+$G$1-B{r})^2"
SEPARABLE = [
    # formula of each row, objective, form
    (LINE, "=SUM(D3:D{last})", "sum over rows"),
    (LINE, "=SUM(D3:D{last})/COUNT(D3:D{last})", "mean over rows"),
    (LINE, "=AVERAGE(D3:D{last})", "mean over rows"),
    (LINE, "=SQRT(AVERAGE(D3:D{last}))", "root of the mean over rows"),
    (LINE, "=SQRT(SUM(D3:D{last}))", "root of the sum over rows"),
    (LINE, "=AVERAGE(D3:D{last})+0.1*SUMSQ(F1:H1)", "mean over rows"),
    (LINE, "=0.5*SUM(D3:D{last})", "sum over rows"),
    (LINE, "=-SUM(D3:D{last})/ROWS(D3:D{last})", "mean over rows"),
    ("=$F$1*A{r}+$G$1", "=SUMXMY2(D3:D{last},B3:B{last})", "sum over rows"),
    ("=$F$1*A{r}+$G$1", "=SQRT(SUMXMY2(D3:D{last},B3:B{last})/ROWS(B3:B{last}))",
     "root of the mean over rows"),
    ("=$F$1*A{r}+$G$1", "=SUMPRODUCT((D3:D{last}-B3:B{last})^2)/ROWS(B3:B{last})",
     "mean over rows"),
    ("=$F$1*A{r}+$G$1", "=SUMPRODUCT(D3:D{last},C3:C{last})/SUM(C3:C{last})", "mean over rows"),
    ("=IF(B{r}=1,($F$1*A{r}+$G$1)^2,0)", "=SUM(D3:D{last})/SUM(B3:B{last})", "mean over rows"),
    ("=-(B{r}*LN(1/(1+EXP(-$F$1*A{r})))+(1-B{r})*LN(1-1/(1+EXP(-$F$1*A{r}))))",
     "=AVERAGE(D3:D{last})", "mean over rows"),
    ("=INDEX($F$1:$H$1,C{r})*A{r}^2", "=AVERAGE(D3:D{last})", "mean over rows"),
    ("=INDEX($F$2:$H$2,C{r})*$F$1*A{r}", "=SUM(D3:D{last})", "sum over rows"),
    ("=MAX(0,$F$1*A{r})+MAX(0,$G$1*B{r})", "=AVERAGE(D3:D{last})", "mean over rows"),
    ("=(B{r}-$F$1/(A{r}+$G$1+10))^2", "=SUM(D3:D{last})", "sum over rows"),
    ("=SUMPRODUCT(A{r}:C{r},$F$1:$H$1)^2", "=AVERAGE(D3:D{last})", "mean over rows"),
    ("=EXP($F$1*A{r})*$G$1^2", "=SUM(D3:D{last})/7", "sum over rows"),
    (LINE, "=SUM(D3:D{last})/(2*COUNT(D3:D{last}))", "mean over rows"),
    (LINE, "=1/(2*COUNT(A3:A{last}))*SUM(D3:D{last})", "mean over rows"),
    (LINE, "=100*SUM(D3:D{last})/ROWS(D3:D{last})", "mean over rows"),
    (LINE, "=SUM(D3:D{last})*EXP($F$1)/COUNT(D3:D{last})", "mean over rows"),
    (LINE, "=(SUM(D3:D{last})+COUNT(D3:D{last})*0.1*SUMSQ(F1:H1))/COUNT(D3:D{last})",
     "mean over rows"),
    (LINE, "=SUM(D3:D{last})/COUNT(D3:D{last})+2*SUM(D3:D{last})/COUNT(A3:A{last})",
     "mean over rows"),
    (LINE, "=AVERAGE(D3:D{last},D3:D{last})", "mean over rows"),
    (LINE, "=SQRT(SUM(D3:D{last})/(2*COUNT(D3:D{last})))", "root of the mean over rows"),
    (LINE, "=0.5*SUM(D3:D{last})+10*SUMSQ(F1:H1)", "sum over rows"),
    ("=LN(EXP($F$1*A{r})+3)", "=SUM(D3:D{last})/COUNT(D3:D{last})", "mean over rows"),
    ("=TANH($F$1*A{r})*C{r}", "=SQRT(SUMSQ(D3:D{last}))", "root of the sum over rows"),
    (LINE, "=SUM(D:D)", "sum over rows"),
    (LINE, "=AVERAGE(D:D)", "mean over rows"),
    (LINE, "=SUM(D:D)/COUNT(D:D)", "mean over rows"),
    (LINE, "=SQRT(AVERAGE(D2:D40))", "root of the mean over rows"),
    (LINE, "=SUM(D3:D40)/COUNT(B3:B40)", "mean over rows"),
    (LINE, "=SUMPRODUCT(D:D,C:C)/SUM(C:C)", "mean over rows"),
    (LINE, "=SUMPRODUCT((B2:B40=0)*D2:D40)", "sum over rows"),
    (LINE, "=SUMIF(B:B,0,D:D)", "sum over rows"),
    (LINE, "=SUM(FILTER(D3:D{last},B3:B{last}=0))", "sum over rows"),
    (LINE, "=AVERAGE(FILTER(D3:D{last},B3:B{last}=0))", "mean over rows"),
    ("=EXP($F$1*A{r})", "=AVERAGE(FILTER(D3:D{last},B3:B{last}=0))", "mean over rows"),
    (LINE, "=SUM(FILTER(D2:D{last},C2:C{last}>0))", "sum over rows"),
    (LINE, "=SUM(D3:D4)+SUM(D5:D{last})", "sum over rows"),
    (LINE, "=AVERAGE(D3:D4,D5:D{last})", "mean over rows"),
    ("=$F$1*A{r}+$G$1", "=SUMXMY2(D3:D40,B3:B40)", "sum over rows"),
    ("=$F$1*A{r}+$G$1", "=SUMPRODUCT((D2:D40-B2:B40)^2)/COUNT(B2:B40)", "mean over rows"),
    ("=$F$1*A{r} =$G$1*B{r}", "=SUM(D:E)", "sum over rows"),
    ("=IF(B{r}=1,($F$1*A{r}+$G$1)^2,0)", "=AVERAGE(D:D)", "mean over rows"),
    ("=C{r}*($F$1*A{r}-B{r})^2", "=SUM(D3:D{last})/SUM(C3:C{last})", "mean over rows"),
    # rows that can be errors
    ("=EXP($F$1)*A{r}", "=SUM(D3:D{last})/COUNT(D3:D{last})", "mean over rows"),
    ("=EXP($F$1)*A{r}", "=SUM(D3:D20)/COUNT(D3:D20)", "mean over rows"),
    ("=EXP($F$1)*A{r}", "=SUM(D:D)/COUNT(D:D)", "mean over rows"),
    ("=(1/(1+EXP(-$F$1*A{r}))-B{r})^2", "=AVERAGE(D:D)", "mean over rows"),
    ("=LN(EXP($F$1*A{r})+3)", "=AVERAGE(D2:D99)", "mean over rows"),
    ("=SQRT(EXP($F$1*A{r}))/(C{r}+$G$1^2)", "=SUM(D1:D99)", "sum over rows"),
    ("=-(B{r}*LN(1/(1+EXP(-$F$1*A{r})))+(1-B{r})*LN(1-1/(1+EXP(-$F$1*A{r}))))", "=SUMIF(C:C,1,D:D)",
     "sum over rows"),
    # a sum beside a mean
    (LINE, "=SUM(D3:D{last})/COUNT(D3:D{last})+SUMPRODUCT(D3:D{last},C3:C{last})", "sum over rows"),
    (LINE + " =$F$1*A{r}", "=SUM(D3:D{last})/COUNT(D3:D{last})+0.1*SUM(E3:E{last})",
     "sum over rows"),
    (LINE + " =$F$1*A{r}", "=SUM(D3:D{last})/(2*COUNT(D3:D{last}))+3*SUM(E3:E{last})",
     "sum over rows"),
    ("=C{r}*($F$1*A{r}-B{r})^2", "=SQRT(SUM(D:D)/SUM(C:C))", "root of the mean over rows"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "objective", "form"), SEPARABLE)
def test_some_rows_are_the_sheet_of_these_rows(
    row: str, objective: str, form: str, tmp_path: Path
) -> None:
    model = book(tmp_path, row, objective, range(9))
    found = model.row_objective()
    assert (found.form, found.cells.top, found.count) == (form, TOP, 9)
    assert found.is_sum == ("sum" in form)
    assert for_rows(found, range(9)).item() == pytest.approx(model().item(), rel=1e-14)
    for rows in ([2, 0, 5, 7], [8, 1, 3, 4, 6], [3], [5, 0, 1, 2, 8, 7, 6, 4, 3]):
        if "SUM(B3" in objective and sum(Y[number] for number in rows) == 0:
            continue  # the mean of no number
        if "FILTER" in objective and all(Y[number] for number in rows):
            continue  # the sheet has nothing to add up
        if "D5" in objective and len(rows) < 3:
            continue  # the second piece is above the first
        alone = book(tmp_path, row, objective, rows)
        assert for_rows(found, rows).item() == pytest.approx(alone().item(), rel=1e-12)


@pytest.mark.parametrize(("row", "objective", "form"), SEPARABLE)
def test_gradient_for_some_rows(row: str, objective: str, form: str, tmp_path: Path) -> None:
    rows = [2, 1, 5, 7]
    model = book(tmp_path, row, objective, range(9))
    torch.autograd.backward(for_rows(model.row_objective(), rows))
    alone = book(tmp_path, row, objective, rows)
    alone().backward()
    (ours,), (theirs,) = model.parameters(), alone.parameters()
    assert ours.grad is not None and theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-12, atol=1e-14)


NEEDED = [
    # formula of each row, objective of some rows, and that of all
    (LINE, "=AVERAGE(D5:D9)", "=AVERAGE(D3:D{last})"),
    (LINE, "=SQRT(SUM(D5:D9)/ROWS(D5:D9))", "=SQRT(SUM(D3:D{last})/ROWS(D3:D{last}))"),
    ("=$F$1*A{r}+$G$1", "=SUMXMY2(D5:D9,B5:B9)", "=SUMXMY2(D3:D{last},B3:B{last})"),
    ("=INDEX($F$2:$H$2,C{r})*$F$1*A{r}", "=SUM(D5:D9)", "=SUM(D3:D{last})"),
    ("=LN(1+EXP($F$1*A{r}))", "=AVERAGE(D5:D9)", "=AVERAGE(D3:D{last})"),
    ("=SQRT($F$1*A{r}+3)/(C{r}+$G$1)", "=SUM(D5:D9)/COUNT(D5:D9)", "=AVERAGE(D3:D{last})"),
    ("=SUMPRODUCT(A{r}:C{r},$F$1:$H$1) =MAX(0,D{r})^2", "=AVERAGE(E5:E9)", "=AVERAGE(E3:E{last})"),
    # the data are used as a whole elsewhere, and two lines are cut
    (LINE, "=AVERAGE(D5:D9)+SUM(A3:A11)*$F$1^2", "=AVERAGE(D3:D{last})+6*0.5^2*0+$F$1^2*4.25"),
    ("=$F$1*A{r} =$G$1*A{r}-B{r}", "=SUMXMY2(D5:D9,E5:E9)", "=SUMXMY2(D3:D{last},E3:E{last})"),
]


@pytest.mark.parametrize(("row", "some", "objective"), NEEDED)
def test_rows_below_and_above_are_no_rows_of_it(
    row: str, some: str, objective: str, tmp_path: Path
) -> None:
    model = book(tmp_path, row, some, range(9))
    found = model.row_objective()
    assert (found.cells.top, found.count) == (5, 5)
    assert for_rows(found, range(5)).item() == pytest.approx(model().item(), rel=1e-14)
    for rows in ([4, 0, 2], [1, 3], [4]):
        alone = book(tmp_path, row, objective, [number + 2 for number in rows])
        assert for_rows(found, rows).item() == pytest.approx(alone().item(), rel=1e-12)


MIXED = [
    # what a sum is divided by is not the number of the rows
    (LINE, "=SUM(D:D)/COUNTA(D1:D11,D3:D4)", "A1"),
    (LINE, "=SUM(D3:D40)/ROWS(D3:D40)", "A1"),
    (LINE, "=AVERAGE(D3:D{last},$H$1)", "A1"),
    (LINE, "=SUM(D3:D{last})/SQRT(COUNT(D3:D{last}))", "A1"),
    (LINE, "=SUM(D3:D{last})/COUNT(D3:D{last})^2", "A1"),
    (LINE, "=SUM(D3:D{last})/(COUNT(D3:D{last})+1)", "A1"),
    (LINE, "=SUM(D3:D{last})/COUNT(D3:D{last})+SUM(D3:D{last})/(COUNT(D3:D{last})-2)", "A1"),
    # formula of each row, objective, the cell that is named
    ("=$F$1*A{r}+N(D{above})", "=SUM(D3:D{last})", "D"),  # a running total
    ("=SUM($A$3:A{r})*$F$1", "=AVERAGE(D3:D{last})", ""),  # of data: folded, so no mixing
    ("=$F$1*A{r}", "=SUM(D3:D{last})*MAX(D3:D{last})", "A1"),
    ("=$F$1*A{r}", "=MAX(D3:D{last})", "A1"),
    ("=$F$1*A{r}+$G$1", "=SUMSQ(D3:D{last})/SUM(D3:D{last})", "A1"),
    ("=$F$1*A{r}+$G$1", "=STDEV(D3:D{last})", "A1"),
    ("=($F$1*A{r})^2", "=SUMXMY2(D3:D8,D4:D9)", "A1"),
    ("=($F$1*A{r}-AVERAGE($A$3:$A$11)*$G$1)^2", "=SUM(D3:D{last})", ""),
    (LINE, "=SUM(D3:D{last})/(ROWS(D3:D{last})-1)", "A1"),
    (LINE, "=AVERAGE(D3:D7)*AVERAGE(D8:D11)", "A1"),
    (LINE, "=MAX(D:D)", "A1"),
    ("=EXP($F$1*A{r}) =LN(D{r}/SUM($D$3:$D$11))", "=SUM(E3:E7)", "E3:E11"),
    (LINE + " =D{r}^2", "=AVERAGE(E5:E9)+MAX(D3:D11)", "A1"),  # D is used as a whole too
    ("=$F$1*A{r}+N(D{above})", "=SUM(D3:D7)", "A1"),
    (LINE, "=SQRT(SUM(D3:D{last}))/ROWS(D3:D{last})", "A1"),
    ("=C{r}*($F$1*A{r}-B{r})^2", "=SUM(D3:D{last})/(SUM(C3:C{last})-1)", "A1"),
    ("=C{r}*($F$1*A{r}-B{r})^2", "=0.5*SUM(D3:D{last})/SUM(C3:C{last})", "A1"),
    (
        "=C{r}*($F$1*A{r}-B{r})^2",
        "=SUM(D3:D{last})/SUM(C3:C{last})+SUM(D3:D{last})/COUNT(C3:C{last})",
        "A1",
    ),
    ("=$F$1*A{r}", "=STDEV(D3:D{last})+0.1*SUMSQ(F1:H1)", "A1"),
    ("=$F$1*A{r}", "=SUMPRODUCT((A3:A{last}*$F$1-TRANSPOSE(A3:A{last}))^2)", "A1"),
    ("=EXP($F$1*A{r}) =LN(D{r}/SUM($D$3:$D${last}))", "=SUM(E3:E{last})", "E3:E11"),
]


@pytest.mark.parametrize(("row", "objective", "cell"), MIXED)
def test_rows_that_mix_are_refused_with_the_cell(
    row: str, objective: str, cell: str, tmp_path: Path
) -> None:
    model = book(tmp_path, row, objective, range(9))
    if not cell:
        assert for_rows(model.row_objective(), range(9)).item() == model().item()
        return
    with pytest.raises(ModelError, match=f"in S!{cell}.*leave out `batch_size`"):
        model.row_objective()


DOUBTFUL = [
    # numbers that may be counts, sums beside means, the same sum twice
    "=SUM(D3:D{last})/COUNT(D3:D{last})+0.2*SUM(D3:D{last})",
    "=SUM(D3:D{last})+0.5*SUM(D3:D{last})/COUNT(D3:D{last})",
    "=SUM(D3:D{last})+SUM(D3:D{last})/COUNT(D3:D{last})",
    "=SUM(D3:D{last})/11+0.1*SUM(D3:D{last})/COUNT(D3:D{last})",
    "=0.4*SUM(D3:D{last})+1/(2*COUNT(D3:D{last}))*SUM(D3:D{last})",
    "=(SUM(D3:D{last})+SUM(D3:D{last}))/COUNT(A3:A{last})+0.5*SUM(D3:D{last},D3:D{last})",
    "=SUM(D:D)/COUNT(D:D)+0.2*SUM(E:E)",
    "=(SUM(D:D)+SUM(E:E))/COUNT(A3:A{last})+0.1*SUM(E:E)",
    "=(SUM(D3:D{last})+SUM(E3:E{last}))/COUNT(A3:A{last})",
    "=(SUM(D3:D{last})-SUM(E3:E{last}))/COUNT(A3:A{last})",
    "=SUMPRODUCT(D3:D{last},C3:C{last})+0.5*SUMPRODUCT(E3:E{last},C3:C{last})/COUNT(C3:C{last})",
    "=SUMIF(C3:C{last},2,D3:D{last})/COUNT(C3:C{last})",
    "=SUMIF(C3:C{last},2,D3:D{last})+0.5*SUM(E3:E{last})/ROWS(E3:E{last})",
    "=SUMIF(C:C,2,D:D)+SUM(E:E)",
    "=3*SUM(D3:D{last})+0*SUMSQ(F1:H1)/2",
    "=SUM(D3:D{last})/COUNT(D3:D{last})+0.01*SUMSQ(F1:H1)",
    "=0.1*SUM(D3:D{last})/COUNT(D3:D{last})",
    "=SUM(D3:D{last})/(2*ROWS(D3:D{last}))",
    "=AVERAGE(D3:D{last})+0.1*SUM(E3:E{last})",
    "=AVERAGE(D3:D{last})-0.5*AVERAGE(E3:E{last})",
]


@pytest.mark.parametrize(
    "row", [LINE + " =$G$1*A{r}", "=EXP($F$1*A{r}) =-LN(D{r}/(D{r}+EXP($G$1)))"]
)
@pytest.mark.parametrize("objective", DOUBTFUL)
def test_right_or_refused(row: str, objective: str, tmp_path: Path) -> None:
    """For two to nine rows, with numbers in the formulas that are counts of some of them."""
    found_some = False
    for count in range(2, 10):
        model = book(tmp_path, row, objective, range(count))
        try:
            found = model.row_objective()
        except ModelError:
            continue
        found_some = True
        for rows in ([1], [0, 1], list(range(1, count))):
            alone = book(tmp_path, row, objective, rows)
            assert for_rows(found, rows).item() == pytest.approx(alone().item(), rel=1e-12), count
    assert found_some or "+" in objective  # what is one sum is found


def test_the_row_with_another_formula_is_named(tmp_path: Path) -> None:
    odd = "=2*($B$1*A6-B6)^2"
    lines = ["=AVERAGE(D3:D12) 0.3", "x y"]
    lines += [f"{row} {row % 2} . {odd if row == 6 else f'=($B$1*A{row}-B{row})^2'}"
              for row in range(3, 13)]  # fmt: skip
    sheet = grid(tmp_path, "\n".join(lines))
    model = xl2torch.compile(sheet, objective="A1", variables="B1", sense="min")
    with pytest.raises(ModelError, match=r"in S!D7:D12 .* row 6 has another, or none"):
        model.row_objective()


@pytest.mark.parametrize("above", ["0", "7"])
def test_a_number_above_is_no_row(above: str, tmp_path: Path) -> None:
    lines = [f"=AVERAGE(D:D) 0.3 . {above}", "x y"]
    lines += [f"{row} {row % 2} . =($B$1*A{row}-B{row})^2" for row in range(3, 9)]
    sheet = grid(tmp_path, "\n".join(lines))
    model = xl2torch.compile(sheet, objective="A1", variables="B1", sense="min")
    with pytest.raises(ModelError, match="S!A1"):
        model.row_objective()


def test_rows_without_any_of_a_mean_add_nothing_to_it(tmp_path: Path) -> None:
    found = book(tmp_path, LINE, "=AVERAGE(D3:D7)+AVERAGE(D8:D11)", range(9)).row_objective()
    first = book(tmp_path, LINE, "=AVERAGE(D3:D11)", range(9)).row_objective()
    assert not torch.isnan(for_rows(found, [0, 1]))
    assert for_rows(found, [0, 1]).item() == pytest.approx(for_rows(first, [0, 1]).item())
    assert for_rows(found, [1, 6, 0]).item() == pytest.approx(
        for_rows(first, [0, 1]).item() + for_rows(first, [6]).item()
    )


def test_subtotals_over_neighbours_are_refused(tmp_path: Path) -> None:
    row = "=($F$1*A{r}-B{r})^2 =SUBTOTAL(9,D{r}:D{above})"
    model = book(tmp_path, row, "=AVERAGE(E3:E{last})", range(9))
    with pytest.raises(ModelError, match="in S!E3:E11"):
        model.row_objective()


def test_a_target_that_adds_up_to_the_divisor_is_no_weight(tmp_path: Path) -> None:
    """Two ones among the labels, and half the sum of squares: that is a sum, no mean."""
    rows = [0, 1, 2, 4]
    model = book(tmp_path, "=$F$1*A{r}", "=SUMXMY2(D3:D{last},B3:B{last})/2", rows)
    assert sum(Y[number] for number in rows) == 2
    found = model.row_objective()
    assert found.form == "sum over rows"
    alone = book(tmp_path, "=$F$1*A{r}", "=SUMXMY2(D3:D{last},B3:B{last})/2", [1, 4])
    assert for_rows(found, [1, 3]).item() == pytest.approx(alone().item(), rel=1e-12)


def test_one_tenth_of_ten_rows_is_a_sum(tmp_path: Path) -> None:
    found = book(tmp_path, LINE, "=0.125*SUM(D3:D{last})", range(8)).row_objective()
    assert found.form == "sum over rows"
    for divisor in ("8", "ROWS(D3:D{last})", "$H$2"):
        objective = f"=SUM(D3:D{{last}})/{divisor}"
        found = book(tmp_path, LINE, objective, range(8)).row_objective()
        assert found.form == ("sum over rows" if "H" in divisor else "mean over rows")


def test_sums_over_as_many_rows(tmp_path: Path) -> None:
    """The penalty is there once."""
    objective = "=SUM(D3:D{last})+10*SUMSQ(F1:H1)"
    found = book(tmp_path, LINE, objective, range(9)).row_objective()
    given = [place.select(tensor, torch.tensor([1, 2, 5])) for tensor, place in found.inputs]
    penalty = 10 * (0.3**2 + 0.2**2 + 0.5**2)
    plain, scaled = found.program(3)(*given).item(), found.program(3, 6)(*given).item()
    assert scaled - penalty == pytest.approx(2 * (plain - penalty))


@pytest.mark.parametrize("pick", [
    "INDEX(I{r}:K{r},C{r})", "CHOOSE(C{r},I{r},J{r},K{r})",
    "SUMPRODUCT(I{r}:K{r},--(C{r}=$M$1:$O$1))",
    "INDEX(E{r}:G{r},C{r})/SUM(E{r}:G{r})",
])  # fmt: skip
def test_softmax_with_class_numbers(pick: str, tmp_path: Path) -> None:
    """The guard of the logarithm has rows too, made of constants."""

    def made(rows: Sequence[int]) -> SheetModel:
        last = TOP + len(rows) - 1
        lines = [f"=AVERAGE(L3:L{last}) . . 0.3 -0.2 0.5", "."]
        for place, number in enumerate(rows, TOP):
            cells = [repr(X[number]), ".", str(Z[number]), "."]
            cells += [f"=EXP({c}$1*$A{place})" for c in "DEF"]
            cells += [f"={c}{place}/SUM($E{place}:$G{place})" for c in "EFG"]
            cells = cells[:4] + cells[4:7] + ["."] + cells[7:] + [f"=-LN({pick.format(r=place)})"]
            lines.append(" ".join(cells))
        lines[0] += " . . . . . . 1 2 3"
        return xl2torch.compile(
            grid(tmp_path, "\n".join(lines)), objective="A1", variables="D1:F1", sense="min"
        )

    found = made(range(9)).row_objective()
    for rows in ([2, 0, 5, 7], [3, 1], range(9)):
        assert for_rows(found, rows).item() == pytest.approx(made(rows)().item(), rel=1e-12)


def test_one_row_is_no_table(tmp_path: Path) -> None:
    sheet = grid(tmp_path, "=SUMSQ(A2:C2)*D2 2\n1 2 3 0.5")
    model = xl2torch.compile(sheet, objective="A1", variables="D2", sense="min")
    with pytest.raises(ModelError, match="nothing that it reads has several rows"):
        model.row_objective()


def test_samples_across_are_refused(tmp_path: Path) -> None:
    lines = ["=AVERAGE(A4:E4) 0.5", "1 2 3 4 5", "2 4 6 8 9"]
    lines.append(" ".join(f"=($B$1*{c}2-{c}3)^2" for c in "ABCDE"))
    model = xl2torch.compile(
        grid(tmp_path, "\n".join(lines)), objective="A1", variables="B1", sense="min"
    )
    with pytest.raises(ModelError, match="S!A1"):
        model.row_objective()


@pytest.mark.parametrize("name", ["survival", "quadratic", "line"])
def test_samples(name: str) -> None:
    model = xl2torch.compile(xl2torch.load(WORKBOOKS / f"{name}.xlsx"))
    found = model.row_objective()
    assert found.form == "mean over rows"
    assert for_rows(found, range(found.count)).item() == model().item()


CORPUS_MODELS = [
    ("fastai-2022/titanic.xlsx", "mmult", "mean over rows", (4, 715)),
    ("fastai-2022/titanic.xlsx", "nnet", "mean over rows", (4, 715)),
    ("fastai-2022/titanic.xlsx", "linear", "mean over rows", (4, 715)),
    ("fastai-2022/collab_filter.xlsx", "dotprod", "root of the mean over rows", (25, 39)),
    ("fastai-2022/collab_filter.xlsx", "movielens_emb", "root of the mean over rows", (3, 208)),
    ("fastai-2022/collab_filter.xlsx", "bias", "root of the mean over rows", (26, 40)),
    ("fastai-2017/collab_filter.xlsx", "dotprod", "root of the mean over rows", (25, 39)),
    ("fastai-2017/collab_filter.xlsx", "movielens_emb", "root of the mean over rows", (3, 208)),
    ("fastai-2017/collab_filter.xlsx", "bias", "root of the sum over rows", (26, 40)),
]


@requires_corpus
@pytest.mark.parametrize(("name", "sheet", "form", "rows"), CORPUS_MODELS)
def test_corpus_models(name: str, sheet: str, form: str, rows: tuple[int, int]) -> None:
    model = xl2torch.compile(xl2torch.load(CORPUS / name), sheet)
    found = model.row_objective()
    assert (found.form, (found.cells.top, found.cells.bottom)) == (form, rows)
    assert for_rows(found, range(found.count)).item() == model().item()
    _parts_put_together(model, found)


@requires_corpus
@pytest.mark.parametrize("path", sorted((CORPUS / "nist").glob("*_start1.xlsx")), ids=str)
def test_nist_models(path: Path) -> None:
    model = xl2torch.compile(xl2torch.load(path))
    found = model.row_objective()
    assert found.form == "sum over rows"
    _parts_put_together(model, found)


def _parts_put_together(model: SheetModel, found: RowObjective) -> None:
    """Sums of two parts of the rows, or of their squares, are the whole."""
    order = torch.randperm(found.count, generator=torch.Generator().manual_seed(1)).tolist()
    parts = [order[: found.count // 3], order[found.count // 3 :]]
    power = 2 if found.form.startswith("root") else 1
    values = [for_rows(found, part).item() ** power for part in parts]
    whole = model().item() ** power
    if found.is_sum:
        assert sum(values) == pytest.approx(whole, rel=1e-10)
    else:
        assert min(values) <= whole <= max(values)
