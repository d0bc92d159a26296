"""Derivatives that an author wrote: which cells belong together, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable

import cells
import pytest

import xl2torch
from xl2torch.cells.address import CellRange
from xl2torch.errors import ModelError, SelectionError
from xl2torch.teach.derivatives.pairing import grid, pair
from xl2torch.teach.derivatives.sheet_derivatives import WrittenCheck, check_written
from xl2torch.workbook.read.reader import Workbook

XS = (14, 86, 28, 51, 28, 29, 72, 62, 84, 15)
"""As in a lesson on SGD: x, y, intercept, slope, prediction, squared error, d/db, d/da."""


def sgd(change: Callable[[int], dict[str, str]] = lambda row: {}) -> Workbook:
    """Ten rows of stochastic gradient descent; ``change`` puts other cells into a row."""
    placed = {"C1": "1", "D1": "1", "H1": "0.01", "A2": '"x"', "C2": '"b"', "K2": '"de/db"'}
    for index, x in enumerate(XS):
        row, above = index + 3, index + 2
        placed |= {
            f"A{row}": str(x), f"B{row}": str(2 * x + 30),
            f"C{row}": "=C1" if not index else f"=M{above}",
            f"D{row}": "=D1" if not index else f"=N{above}",
            f"E{row}": f"=C{row}+D{row}*A{row}", f"F{row}": f"=(B{row}-E{row})^2",
            f"K{row}": f"=2*(E{row}-B{row})", f"L{row}": f"=K{row}*A{row}",
            f"M{row}": f"=C{row}-K{row}*0.0001", f"N{row}": f"=D{row}-L{row}*0.0001",
        }  # fmt: skip
        placed |= change(row)
    return cells.workbook(cells=placed)


def found(book: Workbook, against: str = "K3:L12", **options: str) -> WrittenCheck:
    return check_written(book, options.get("of", "F3:F12"), options.get("wrt", "C3:D12"), against)


def test_right_columns_agree_to_the_last_digits() -> None:
    check = found(sgd())
    assert check.ok and check.max_rel_diff < 1e-14
    assert [(line.cells, line.of, line.wrt) for line in check.lines] == [
        ("K3:K12", "F3:F12", "C3:C12"),
        ("L3:L12", "F3:F12", "D3:D12"),
    ]
    assert [line.agreeing for line in check.lines] == [10, 10]
    assert {row.reason for row in check.rows} == {""}


def test_the_derivative_is_that_of_each_row_not_through_earlier_ones() -> None:
    """C and D of a row come from the row before; they are given all the same."""
    row = next(row for row in found(sgd()).rows if row.cell.a1 == "K4")
    assert (row.of, row.wrt.a1) == ("Sheet1!F4", "C4")
    assert row.analytic == row.numeric != 0


Rule = Callable[[int], dict[str, str]]


def in_k(formula: str) -> Rule:
    """A formula down the column K, ``r`` being the row."""
    return lambda r: {f"K{r}": formula.format(r=r)}


def in_l(formula: str) -> Rule:
    return lambda r: {f"L{r}": formula.format(r=r)}


def shifted(r: int) -> dict[str, str]:
    return {f"L{r}": f"=K{r - 1}*A{r - 1}"} if r > 3 else {}


def exchanged(r: int) -> dict[str, str]:
    return {f"K{r}": f"=L{r}*A{r}", f"L{r}": f"=2*(E{r}-B{r})"}


K, L = 0, 1
FAULTS: tuple[tuple[str, Rule, int, str, str], ...] = (
    # name; what is put into the cells; the wrong line; its reason; that of the other line
    ("sign", in_k("=-2*(E{r}-B{r})"), K, "factor: the sign is wrong", "inherited"),
    ("factor", in_l("=2*K{r}*A{r}"), L, "factor: 2 times", ""),
    ("half", in_k("=E{r}-B{r}"), K, "factor: half the derivative", "inherited"),
    ("mean", in_l("=K{r}*A{r}/10"), L, "factor: 1/n times the derivative, n = 10", ""),
    ("constant", in_l("=K{r}*A{r}*3.7"), L, "factor: every row is 3.7 times", ""),
    ("shift", shifted, L, "L4:L12: shift: they hold the derivatives of the row above", ""),
    ("chain", in_l("=K{r}"), L, "missing factor: times A3:A12 (x)", ""),
    ("twice", in_l("=K{r}*A{r}^2"), L, "surplus factor: divided by A3:A12 (x)", ""),
    ("exchange", exchanged, K, "exchange: they are the derivatives with respect to D3:D12",
     "exchange"),
    ("one row", lambda r: {"K7": "=-2*(E7-B7)"}, K, "K7: factor: the sign is wrong",
     "L7: inherited"),
    ("typed", lambda r: {"L5": "12.5"}, L, "L5: typed: a number", ""),
    ("blank", lambda r: {"L6": ""}, L, "L6: no number: the cell is blank", ""),
    ("error", lambda r: {"L12": "=1/0"}, L, "L12: error value: the cell is #DIV/0!", ""),
    ("zero", in_l("=0"), L, "plateau: the cells are 0", ""),
    ("square", in_l("=K{r}*A{r}+E{r}^2"), L, "unexplained", ""),
)  # fmt: skip


@pytest.mark.parametrize(("name", "change", "line", "reason", "other"), FAULTS)
def test_planted_fault(name: str, change: Rule, line: int, reason: str, other: str) -> None:
    check = found(sgd(change))
    assert not check.ok and not check.lines[line].ok
    assert check.lines[line].reason.startswith(reason), check.lines[line].reason
    second = check.lines[1 - line]
    assert second.ok is not bool(other), second
    assert second.reason.startswith(other), second.reason


@pytest.mark.parametrize(
    ("formula", "name"),
    [
        ("=((C{r}+0.01+D{r}*A{r}-B{r})^2-F{r})/0.01", "a forward difference with the step 0.01"),
        ("=((C{r}+$H$1+D{r}*A{r}-B{r})^2-F{r})/$H$1", "a forward difference with the step 0.01"),
        ("=(F{r}-(C{r}-0.1+D{r}*A{r}-B{r})^2)/0.1", "a backward difference with the step 0.1"),
    ],
)
def test_finite_differences_are_recognised(formula: str, name: str) -> None:
    check = found(sgd(lambda r: {f"K{r}": formula.format(r=r)}), "K3:K12", wrt="C3:C12")
    (line,) = check.lines
    assert line.ok and line.agreeing < 10 and check.ok
    assert line.reason.startswith(f"finite difference: {name}; its step explains up to 0.")
    step = 0.1 if "0.1" in name else 0.01
    assert max(row.abs_diff for row in check.rows) == pytest.approx(step, rel=1e-4)


def test_a_central_difference_of_a_cube() -> None:
    lines = [
        f"{x} | =A{r}^3 | =((A{r}+0.5)^3-(A{r}-0.5)^3)/(2*0.5)" for r, x in enumerate((1, 2, 3), 1)
    ]
    (line,) = check_written(cells.workbook("\n".join(lines)), "B1:B3", "A1:A3", "C1:C3").lines
    assert line.ok and "a central difference with the step 0.5" in line.reason


def test_a_formula_that_the_sheet_does_not_hold() -> None:
    check = found(sgd(), of="=(E3-B3)^2")
    assert check.ok and check.lines[0].of == "=(E3-B3)^2"
    assert [row.of for row in check.rows[:2]] == ["=(E3-B3)^2", "=(E4-B4)^2"]
    with pytest.raises(SelectionError, match="E3-B3"):
        found(sgd(), of="=(E3-B3")


@pytest.mark.parametrize(
    "formula", ["=2*A{r}+1", "=2*A{r}-1", "=1", "=2*A{r}-0.5", "=(2*A{r}+1)/1"]
)
def test_a_number_is_no_step_where_nothing_is_divided_by_it(formula: str) -> None:
    lines = [f"{x} | =A{r}^2 | {formula.format(r=r)}" for r, x in enumerate((3, 4, 5, 6), 1)]
    (line,) = check_written(cells.workbook("\n".join(lines)), "B1:B4", "A1:A4", "C1:C4").lines
    assert not line.ok and line.agreeing == 0


def test_a_function_that_is_an_error() -> None:
    book = cells.workbook("1 | =A1/0 | 0\n2 | =A2^2 | 4\n3 | =A3^2 | 6")
    (line,) = check_written(book, "B1:B3", "A1:A3", "C1:C3").lines
    assert line.reason.startswith("C1: error value: the function has no derivative here")


def test_the_mean_that_the_author_forgot() -> None:
    lines = [f"{x} | =A{r}^2 | =2*A{r}" for r, x in enumerate((3, 4, 5, 6), 1)]
    book = cells.workbook("\n".join([*lines, "=AVERAGE(B1:B4)"]))
    (line,) = check_written(book, "A5", "A1:A4", "C1:C4").lines
    assert line.reason.startswith("factor: n = 4 times the derivative: the mean over the cells")


def test_random_numbers_in_the_authors_formulas() -> None:
    book = cells.workbook("1 | =A1^2 | =2*A1*(1+0*RAND())\n2 | =A2^2 | =4")
    (line,) = check_written(book, "B1:B2", "A1:A2", "C1:C2").lines
    assert not line.ok and "C2" not in line.reason


def test_steps_further_away() -> None:
    """The moved point, the function there, and the quotient, each in a column."""
    lines = [f"{x} | =A{r}^2 | =A{r}+0.01 | =C{r}^2 | =(D{r}-B{r})/0.01"
             for r, x in enumerate((3, 4, 5), 1)]  # fmt: skip
    (line,) = check_written(cells.workbook("\n".join(lines)), "B1:B3", "A1:A3", "E1:E3").lines
    assert line.ok and "a forward difference with the step 0.01" in line.reason


def test_a_kink_of_another_row_is_not_this_rows() -> None:
    """ABS bends with the next row's cell, where its slope happens to be 0 at the point."""
    lines = [f"0 | =A{r}+ABS(A{r + 1}) | =1.5" for r in range(1, 6)]
    (line,) = check_written(cells.workbook("\n".join(lines)), "B1:B5", "A1:A5", "C1:C5").lines
    assert line.reason == "factor: every row is 1.5 times the derivative"


def test_curvature_is_no_kink() -> None:
    lines = [f"{x} | =1E9*A{r}^2 | =2E9*A{r}" for r, x in enumerate((1, 2, 3), 1)]
    book = cells.workbook("\n".join([*lines, "1E-7 | =1E9*A4^2 | 0"]))
    (line,) = check_written(book, "B1:B4", "A1:A4", "C1:C4").lines
    assert line.reason.startswith("C4: typed")


def test_columns_beside_that_do_not_matter() -> None:
    """A circle elsewhere on the sheet is nobody's business here."""
    lines = [f"{x} | =A{r}^2 | =-3*A{r} | =E{r} | =D{r}" for r, x in enumerate((3, 4, 5), 1)]
    (line,) = check_written(cells.workbook("\n".join(lines)), "B1:B3", "A1:A3", "C1:C3").lines
    assert line.reason.startswith("factor: every row is -1.5 times")


@pytest.mark.parametrize("against", ["C1:C2,C4:C5", "A8:B8,D8:E8", "A8:B8,A9:B9"])
def test_a_formula_is_not_laid_beside_other_rows(against: str) -> None:
    """It would be that of other rows (columns) than the author's."""
    book = cells.workbook("1 | 2 | 3 | 4 | 5\n6 | 7 | 8 | 9 | 10\n1\n1\n1\n1\n1\n1 | 1 | | 1 | 1")
    wrt = "A1:A2,A4:A5" if against.startswith("C") else "A1:B1,D1:E1"
    with pytest.raises(SelectionError, match="have to stand in the same rows"):
        check_written(book, "=A1^2", wrt, against)


def test_base_ten() -> None:
    """The loss takes LOG, base 10; its derivative was derived for LN."""
    book = cells.workbook("0.2\n0.3\n0.4\n=-LOG(A1)-LOG(A2)-LOG(A3)", {
        "B1": "=-1/A1", "B2": "=-1/A2", "B3": "=-1/A3"})  # fmt: skip
    (line,) = check_written(book, "A4", "A1:A3", "B1:B3").lines
    assert not line.ok and line.reason.startswith("factor: ln 10 = 2.302585 times")
    assert (line.of, line.wrt, line.rows) == ("A4", "A1:A3", 3)


def test_a_jacobian() -> None:
    """Every row by the same parameters, one column of them wrong."""
    placed = {"A1": "2", "A2": "0.5"}
    for row, x in enumerate((1, 2, 3, 4), 4):
        placed |= {
            f"A{row}": str(x), f"B{row}": f"=$A$1*EXP(-$A$2*A{row})",
            f"C{row}": f"=EXP(-$A$2*A{row})", f"D{row}": f"=A{row}*B{row}",
        }  # fmt: skip
    first, second = check_written(cells.workbook(cells=placed), "B4:B7", "A1:A2", "C4:D7").lines
    assert first.ok and first.wrt == "A1"
    assert not second.ok and second.wrt == "A2" and "the sign is wrong" in second.reason


def test_rows_that_meet_are_told_apart() -> None:
    """Two rows read each cell; the derivative of a row by its own cell is that alone."""
    lines = ["3"] + [
        f"{x} | =(A{r}+A{r - 1})^2/2 | =A{r}+A{r - 1}" for r, x in enumerate((1, 4, 1, 5), 2)
    ]
    check = check_written(cells.workbook("\n".join(lines)), "B2:B5", "A2:A5", "C2:C5")
    assert check.ok and check.max_rel_diff < 1e-14


def test_one_formula_for_all_cells() -> None:
    """A loss that the sheet does not hold, and a gradient that stands the other way round."""
    gradient = {"D1": "=2*A1", "E1": "=2*A2", "F1": "=2*A3",
                "D2": "=2*B1", "E2": "=2*B2", "F2": "=2*B3"}  # fmt: skip
    book = cells.workbook("1 | 2\n3 | 4\n5 | 6", gradient)
    check = check_written(book, "=SUM($A$1:$B$3^2)", "A1:B3", "D1:F2")
    (line,) = check.lines
    assert line.ok and line.agreeing == 6 and line.of == "=SUM($A$1:$B$3^2)"
    assert {row.of for row in check.rows} == {"=SUM($A$1:$B$3^2)"}


def test_a_square_block_the_other_way_round() -> None:
    book = cells.workbook("1 | 2 | =2*A1 | =2*A2\n3 | 4 | =2*B1 | =2*B2")
    (line,) = check_written(book, "=SUM($A$1:$B$2^2)", "A1:B2", "C1:D2").lines
    assert not line.ok
    assert line.reason == "D1, C2: transpose: they are the derivatives with rows for columns"


def test_columns_side_by_side_as_well_as_rows() -> None:
    book = cells.workbook("1 | 2 | 3\n=A1^2 | =B1^2 | =C1^2\n=2*A1 | =2*B1 | =-2*C1")
    (line,) = check_written(book, "A2:C2", "A1:C1", "A3:C3").lines
    assert line.reason == "C3: factor: the sign is wrong (−1 times the derivative)"


def test_a_kink_where_the_author_took_the_other_slope() -> None:
    book = cells.workbook("-1 | =MAX(0,A1) | 0\n0 | =MAX(0,A2) | 1\n2 | =MAX(0,A3) | 1")
    (line,) = check_written(book, "B1:B3", "A1:A3", "C1:C3").lines
    assert line.reason == "C2: kink: the slope is 0 to the left and 1 to the right"


def test_steps_have_no_slope() -> None:
    book = cells.workbook("1.2 | =ROUND(A1,0) | 1\n2.3 | =ROUND(A2,0) | 1\n4.4 | =ROUND(A3,0) | 1")
    (line,) = check_written(book, "B1:B3", "A1:A3", "C1:C3").lines
    assert line.reason == "plateau: the slope is 0; ROUND in Sheet1!B1:B3 moves in steps"


def test_the_frame() -> None:
    frame = xl2torch.compare_derivatives(sgd(), "F3:F12", "C3:D12", "K3:L12")
    assert list(frame.columns) == [
        "cell", "label", "of", "wrt", "analytic", "numeric", "abs_diff", "rel_diff", "ok", "reason",
    ]  # fmt: skip
    assert len(frame) == 20 and frame["ok"].all()
    assert [line["cells"] for line in frame.attrs["lines"]] == ["K3:K12", "L3:L12"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"wrt": "C3:D11"}, SelectionError, "which fits neither"),
        ({"wrt": "F3:F12"}, SelectionError, "overlap"),
        ({"of": "F3:F5,F7:F9"}, SelectionError, "`of` has to be one range"),
        ({"against": "K3:K12,K5:K12"}, SelectionError, "given twice"),
        ({"against": "K3:K12,A1:B1"}, SelectionError, "neither the same rows nor the same columns"),
        ({"wrt": "A2:A11", "against": "K3:K12"}, ModelError, "A2 of `wrt` is not a number"),
        ({"wrt": "H1:I1", "of": "F3", "against": "K3:L3"}, ModelError, "does not depend on"),
    ],
)
def test_what_does_not_fit(options: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        found(sgd(), options.pop("against", "K3:L12"), **options)


def ranges(text: str) -> list[CellRange]:
    return [cells.area_of(cells.workbook("1"), part) for part in text.split(",")]


@pytest.mark.parametrize(
    ("of", "wrt", "against", "pairs"),
    [
        ("F1:F2", "C1:D2", "K1:L2", [("K1", "F1", "C1"), ("K2", "F2", "C2"), ("L1", "F1", "D1"),
                                     ("L2", "F2", "D2")]),
        ("A1:B1", "A2:B3", "A5:B6", [("A5", "A1", "A2"), ("B5", "B1", "B2"), ("A6", "A1", "A3"),
                                     ("B6", "B1", "B3")]),
        ("E1", "B1:C2", "H1:I2", [("H1", "E1", "B1"), ("I1", "E1", "C1"), ("H2", "E1", "B2"),
                                  ("I2", "E1", "C2")]),
        ("E1:E2", "B1,B5", "G1:H2", [("G1", "E1", "B1"), ("G2", "E2", "B1"), ("H1", "E1", "B5"),
                                     ("H2", "E2", "B5")]),
        ("A1:B2", "C1:D2", "E1:F2", [("E1", "A1", "C1"), ("E2", "A2", "C2"), ("F1", "B1", "D1"),
                                     ("F2", "B2", "D2")]),
        ("F1:F2", "C1:C2,C1:C2", "K1:K2,M1:M2", [("K1", "F1", "C1"), ("K2", "F2", "C2"),
                                                 ("M1", "F1", "C1"), ("M2", "F2", "C2")]),
    ],
)  # fmt: skip
def test_pairing(of: str, wrt: str, against: str, pairs: list[tuple[str, str, str]]) -> None:
    tables = (
        grid(ranges(of), "of"),
        grid(ranges(wrt), "wrt", repeats=True),
        grid(ranges(against), "against"),
    )
    found_pairs = [
        (tables[2].cells[a].a1, tables[0].cells[o].a1, tables[1].cells[w].a1)
        for line in pair(*tables)
        for a, o, w in zip(line.against, line.of, line.wrt, strict=True)
    ]
    assert found_pairs == pairs
