"""Gradients of functions and operators against central finite differences.

The value at the start point and at the shifted points comes from the constant evaluation, the
gradient from the compiled model: so the two must also agree in the value.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from cells import area_of, copied, trained, value, workbook

from xl2torch.errors import UnsupportedError

VARIABLES = "A1:D6"
START = np.array(
    [
        [0.31, 0.72, 0.55, 0.87],
        [0.64, 0.23, 0.81, 0.46],
        [0.77, 0.58, 0.34, 0.29],
        [0.42, 0.91, 0.68, 0.53],
        [0.85, 0.37, 0.26, 0.74],
        [0.59, 0.66, 0.93, 0.38],
    ]
)
COPIES = 4
WEIGHTS = (1.5, -0.5, 2.0, 0.75)
STEP = 1e-5

SMOOTH = """
A1+B1
A1-B1
A1*B1
A1/B1
3/A1
A1/3
-A1^2
A1^B1
A1^3
A1^0.5
A1^-2
2^A1
(A1-0.6)^2
(A1-2)^3
(A1-2)^-3
A1^2^B1
A1%*B1%
-A1
+A1
A1*B2-$C$1*D1
A1*E1
A1+TRUE*B1
"2"*A1+"3"
EXP(A1)
LN(A1)
LOG(A1)
LOG(A1,2)
LOG(3,A1)
LOG(A1,B1+1)
LOG10(A1)
SQRT(A1)
ABS(A1-0.6)
SIN(A1*3)
COS(A1*3)
TAN(A1)
ATAN(A1*3-1)
ATAN2(A1,B1)
ATAN2(A1-0.6,-B1)
ATAN2(2,A1)
ASIN(A1)
ACOS(A1)
SINH(A1)
COSH(A1-0.6)
TANH(A1)
ASINH(A1-0.6)
ACOSH(A1+1)
ATANH(A1)
RADIANS(A1*90)
DEGREES(A1)
POWER(A1,B1)
POWER(A1,2)
POWER(3,A1)
MOD(A1*7,2)
MOD(-A1*7,2)
MOD(5,A1)
MOD(A1*7,B1)
SUM(A1:D1)
SUM(A1:B2,D1,2)
SUM(A1:$D$6)
SUM($A$1:B1)
SUM(A:A)*B1
SUM(A1:F1)
SUMSQ(A1:C2)
SUMSQ(A1,B1,3)
SUMPRODUCT(A1:D1,A2:D2)
SUMPRODUCT($A$6:$D$6,A1:D1)
SUMPRODUCT(A1:B2,C1:D2,B1:C2)
SUMPRODUCT(A1:D1)
SUMPRODUCT(A1:D1*{1,2,3,4})
SUMPRODUCT((A1:D1>0.5)*A2:D2)
SUMPRODUCT(--(A1:D1>0.5),A1:D1)
SUMPRODUCT(A1:D1^2,EXP(A2:D2))
SUMXMY2(A1:B1,C1:D1)
SUMXMY2(A1:D1,$A$6:$D$6)
SUMXMY2(A1:A3,B1:B3)
SUMX2MY2(A1:B1,C1:D1)
SUMX2PY2(A1:B1,C1:D1)
PRODUCT(A1:D1)
PRODUCT(A1:B2,D1,3)
AVERAGE(A1:D1)
AVERAGE(A1:A3,2,D1)
AVERAGE(A1:F1)
MAX(A1:D1)
MAX(A1,B1)
MAX(A1:B2,0.6)
MAX(0,A1-0.6)
MAX(A1-0.6,0)
MIN(A1:D1)
MIN(A1,0.6)
MIN(0,A1-0.6)
IF(A1>0.6,A1^2,B1*3)
IF(A1>B1,A1,B1)
IF(E1>2,A1,B1)
IF(A1>2,1/0,A1)
IF(A1,B1,C1)
IF(AND(A1>0.5,B1>0.5),A1*2,B1)
IF(OR(A1>0.8,B1>0.8),A1*2,B1)
IF(NOT(A1>0.5),C1,D1)
IF(A1<0.6,0.6,A1)
IF(A1<0.6,,A1)*B1
IFERROR(A1/B1,5)
IFERROR(SQRT(A1-0.6),B1)
IFERROR(LN(A1-0.6),B1^2)
IFERROR(1/0,A1)
IFNA(NA(),A1)
SUM(MMULT(A1:B1,C1:D2))
SUM(MMULT(A1:D1,TRANSPOSE(A2:D2)))
SUM(MMULT(A1:B2,C1:D2)^2)
SUM(MMULT(A1:D1,$A$3:$C$6)*{1,2,3})
SUM(MMULT({1,2},A1:D2)^2)
SUMPRODUCT(TRANSPOSE(A1:C1),A2:A4)
INDEX(A1:D3,2,3)
INDEX($A$1:$D$6,E1,2)
SUM(INDEX(A1:D3,0,2))
SUM(INDEX($A$1:$D$6,E1,0))
INDEX(A1:D1,E1)^2
OFFSET(A1,1,2)
OFFSET($A$1,E1,E1-1)
SUM(OFFSET(A1,0,1,2,3))
SUM(OFFSET($A$1,E1,0,1,4))
SUMPRODUCT(OFFSET($A$1,MATCH(E1,$E$1:$E$6,0)-1,0,1,4),A1:D1)
@$A$1:$A$6*B1
_xlfn.SINGLE($A$1:$A$6)*B1
TRUNC(A1*5)*B1
ROUND(B1*3,0)*A1
INT(A1*5)+B1
SIGN(A1-0.6)*B1
ROUNDUP(A1*7,0)*B1+ROUNDDOWN(A1*7,0)*C1
"""

STEPS = """
ROUND(A1*5,0)
ROUND(A1,1)
ROUNDUP(A1*5,0)
ROUNDDOWN(A1*5,0)
TRUNC(A1*5)
INT(A1*5)
SIGN(A1-0.6)
A1>0.6
A1>=B1
A1=B1
A1<>B1
(A1<B1)*2
IF(A1>0.6,1,0)
IF(A1>0.6,TRUE,FALSE)
NOT(A1>B1)
AND(A1>0.5,B1>0.5)
OR(A1>0.8,B1>0.8)
COUNT(A1:D1)+0*A1
"""

AT_ZERO = """
MAX(0,A1)
MAX(A1,0)
IF(A1<0,0,A1)
IF(A1<=0,0,A1)
IF(A1>0,A1,0)
IF(A1>=0,A1,0)
IF(0>A1,0,A1)
IF(0<A1,A1,0)
IF(A1=0,0,LN(A1))
IF(A1>0,LN(A1),0)
IF(A1>0,SQRT(A1),0)
IF(A1=0,0,1/A1)
IF(A1<>0,3/A1,0)
IF(A1>0,A1^0.5,0)
IF(A1>0,A1^-1,0)
IF(A1=0,0,A1*LN(A1))
IF(A1>0,A1^A1,0)
IF(A1=0,0,LOG10(A1))
IF(A1=0,0,LOG(A1,2))
IF(A1=0,0,MOD(3,A1))
IFERROR(1/A1,0)
IFERROR(LN(A1),0)
IFERROR(LOG10(A1),0)
IFERROR(A1/A1,0)
IFERROR(A1^-1,0)
IFERROR(A1^-0.5,0)
IFERROR(MOD(5,A1),0)
IFERROR(SQRT(A1-1),0)
IFERROR(ASIN(A1-2),0)
IFERROR(ACOSH(A1),0)
IFERROR(ATANH(A1-1),0)
IFERROR(SUM(1/A1,3),0)
IFERROR(SQRT(A1-1)+LN(A1),0)
IFERROR(EXP(1000+A1),0)
ABS(A1)
MAX(0,A1)^2
MAX(-1,A1,0)
MIN(0,A1)
SIGN(A1)
INT(A1+0.5)
A1*ABS(A1)
"""
"""Where the slope at A1 = 0 is 0, and no branch that is not taken sends NaN back."""

BRANCHES = """
IF(A1=0,0,B1*LN(A1))               | 0    2   | 0    0
IF(A1=0,0,B1*(1/A1))               | 0    2   | 0    0
IF(A1>0,B1*SQRT(A1),B1)            | 0    2   | 0    1
IF(A1>0,B1*LN(A1),B1^2)            | -1   2   | 0    4
IF(A1=0,0,A1^2*LN(A1)^2)           | 0    2   | 0    0
IF(A1>30,A1,LN(1+EXP(A1)))         | 800  2   | 1    0
IF(A1<-30,0,1/(1+EXP(-A1)))        | -800 2   | 0    0
IF(B1=2,A1^2,LN(A1-5)*A1)          | 3    2   | 6    0
IFERROR(B1*LN(A1),0)               | 0    2   | 0    0
IFERROR(B1/A1,B1*3)                | 0    2   | 0    3
IFERROR(B1*(1/A1),B1)              | 0    2   | 0    1
IFERROR(B1*EXP(A1),B1)             | 1000 2   | 0    1
IFERROR(A1/$E$1,B1)                | 3    2   | 0    1
IF($E$1=0,B1,A1/$E$1)              | 3    2   | 0    1
IF($E$1=0,B1,A1*LN($E$1))          | 3    2   | 0    1
IF(ISERROR(1/$E$1),B1,A1/$E$1)     | 3    2   | 0    1
IF(A1>0,B1,$E$2)                   | 3    2   | 0    1
IF(A1>0,B1,)                       | 3    2   | 0    1
IF(A1>0,$E$2,B1)                   | 3    2   | 0    0
IF(A1>0,B1,NA())                   | 3    2   | 0    1
IFERROR(3,A1)+B1                   | 3    2   | 0    1
IFERROR($E$3,A1)*B1                | 3    2   | 0    7
MAX(A1,B1)                         | 2    2   | 0.5  0.5
MIN(A1,B1)                         | 2    2   | 0.5  0.5
MAX(A1:B1)                         | 2    2   | 0.5  0.5
PRODUCT(A1:B1)                     | 0    2   | 2    0
PRODUCT(A1:B1)                     | 0    0   | 0    0
A1^0*B1                            | 3    2   | 0    1
A1^1*B1                            | 0    2   | 2    0
(0-1)^B1*A1                        | 3    2   | 1    0
A1^B1                              | -2   2   | -4   0
A1^B1                              | 0    2   | 0    0
IF(ISERROR(LN(A1)),B1,LN(A1))      | 0    2   | 0    1
IF(ISERROR(LN(A1)),B1,LN(A1))      | 4    2   | 0.25 0
IFNA(A1,B1)                        | 4    2   | 1    0
MAX(0,A1>B1)*B1                    | 3    2   | 0    1
(0-A1)^2                           | 0    2   | 0    0
A1^2                               | 0    2   | 0    0
SUM(B1:C1)                         | 3    2   | 0    1
SUMPRODUCT(B1:C1,C1:D1)            | 3    2   | 0    1
SUM(MMULT(B1:C1,TRANSPOSE(A1:B1))) | 3    2   | 2    4
MAX(0,SUM(B1:C1))                  | 3    2   | 0    1
IF(E1=0,B1,A1/E1)+IF(F1=0,0,B1/F1) | 3    2   | 0    1.5
"""
"""Formula, start values of A1 and B1, slopes. C1 is blank-like 1, E1 0, E2 blank, E3 7, F1 2.

Ties and other kinks in it follow torch's rule where the project has no rule of its own.
"""

RUN_TIME_ERRORS = """
1/A1
1/A1+1
0*LN(A1)
(1/A1)^0
1^(1/A1)
A1^-1
A1^0
SQRT(A1-1)
(A1-1)^0.5
LN(A1)
ABS(1/A1)
SIGN(1/A1)
INT(1/A1)
ROUND(1/A1,0)
1/(1/A1)
MOD(3,A1)
ATAN2(A1,A1)
MAX(1/A1,3)
MAX(3,1/A1)
MAX(0,LN(A1))
MIN(LN(A1),3)
SUM(1/A1,2)
SUMPRODUCT(1/A1:B1)
AVERAGE(LN(A1),2)
PRODUCT(1/A1,0)
1/A1=1
LN(A1)<0
--(1/A1>0)
IF(1/A1>0,1,2)
IF(LN(A1),1,2)
IF(A1=0,LN(A1),1)
AND(1/A1>0,B1>0)
OR(1/A1>0,B1>0)
NOT(1/A1)
EXP(A1+1000)
1/EXP(A1+1000)
ATAN(EXP(A1+1000))
TANH(EXP(A1+1000))
IF(EXP(A1+1000)>1,1,2)
"""
"""What is an error at A1 = 0 and B1 = 2: trained, it must not be finite."""


def lines(table: str) -> list[str]:
    """The lines of a table that are not empty, with single spaces."""
    return [" ".join(line.split()) for line in table.split("\n") if line]


def cells_of(numbers: np.ndarray, formulas: dict[str, str]) -> dict[str, str]:
    """The start values, row numbers 1, 2, … in column E, a text in F, and formulas."""
    cells = {f"{'ABCD'[c]}{r + 1}": repr(float(x)) for (r, c), x in np.ndenumerate(numbers)}
    cells |= {f"E{row}": str(row % 4 + 1) for row in range(1, len(numbers) + 1)}
    return cells | {"F1": '"text"', "F2": '"text"'} | formulas


def differences(formulas: dict[str, str], cell: str) -> dict[str, float]:
    """Central finite differences over the variable cells, by the constant evaluation."""
    book = workbook("", cells_of(START, formulas))
    slopes = {}
    cells = area_of(book, VARIABLES).cells()
    for place, address in zip(np.ndindex(START.shape), cells, strict=True):
        ends = []
        for step in (STEP, -STEP):
            numbers = START.copy()
            numbers[place] += step
            end = value(book, cell, {VARIABLES: numbers})
            assert isinstance(end, float)
            ends.append(end)
        slopes[address.a1] = (ends[0] - ends[1]) / (2 * STEP)
    return slopes


def check(formulas: dict[str, str], cell: str) -> None:
    """Value and gradient of a cell, trained against constant."""
    got, gradient = trained(workbook("", cells_of(START, formulas)), cell, VARIABLES)
    expected = value(workbook("", cells_of(START, formulas)), cell)
    assert got == pytest.approx(expected, rel=1e-13, abs=1e-15)
    assert gradient == pytest.approx(differences(formulas, cell), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("formula", lines(SMOOTH))
def test_gradient_of_one_cell(formula: str) -> None:
    check({"H1": f"={formula}"}, "H1")


@pytest.mark.parametrize("formula", lines(SMOOTH))
def test_gradient_of_copies(formula: str) -> None:
    formulas = {f"H{row}": f"={copied(formula, row - 1)}" for row in range(1, COPIES + 1)}
    formulas |= {f"I{row}": repr(weight) for row, weight in enumerate(WEIGHTS, start=1)}
    formulas["J1"] = f"=SUMPRODUCT(H1:H{COPIES},I1:I{COPIES})"
    check(formulas, "J1")


@pytest.mark.parametrize("formula", lines(STEPS))
def test_steps_have_no_gradient(formula: str) -> None:
    one = {"H1": f"={formula}", "J1": "=H1*1"}
    many = {f"H{row}": f"={copied(formula, row - 1)}" for row in range(1, COPIES + 1)}
    many["J1"] = f"=SUMPRODUCT(H1:H{COPIES}*1)"
    for formulas in (one, many):
        book = workbook("", cells_of(START, formulas))
        got, gradient = trained(book, "J1", VARIABLES)
        assert got == value(workbook("", cells_of(START, formulas)), "J1")
        assert set(gradient.values()) == {0.0}


@pytest.mark.parametrize("formula", lines(AT_ZERO))
def test_slope_at_zero(formula: str) -> None:
    book = workbook("", {"A1": "0", "B1": f"={formula}"})
    got, gradient = trained(book, "B1", "A1")
    assert math.isfinite(got)
    assert got == value(book, "B1")
    assert gradient == {"A1": 0.0}


@pytest.mark.parametrize("formula", lines(AT_ZERO))
def test_slope_at_zero_in_copies(formula: str) -> None:
    """Only the second of three copies stands at 0; the others keep their own slopes."""
    cells = {"A1": "-0.5", "A2": "0", "A3": "0.5"}
    column = {f"B{row}": f"={copied(formula, row - 1)}" for row in (1, 2, 3)}
    caught = {f"C{row}": f"=IFERROR(B{row},0)" for row in (1, 2, 3)}
    book = workbook("", {**cells, **column, **caught, "D1": "=SUM(C1:C3)"})
    _, gradient = trained(book, "D1", "A1:A3")
    assert gradient["A2"] == 0.0
    for row in (1, 3):
        alone = workbook("", {f"A{row}": cells[f"A{row}"], f"B{row}": column[f"B{row}"]})
        got, slope = trained(alone, f"B{row}", f"A{row}")
        expected = slope[f"A{row}"] if math.isfinite(got) else 0.0
        assert gradient[f"A{row}"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("line", lines(BRANCHES))
def test_branches_and_edges(line: str) -> None:
    formula, start, slopes = (part.strip() for part in line.split("|"))
    a, b = start.split()
    cells = {"A1": a, "B1": b, "C1": "1", "D1": "0", "E1": "0", "E3": "7", "F1": "2"}
    cells["H1"] = f"={formula}"
    expected = value(workbook("", cells), "H1")
    got, gradient = trained(workbook("", {**cells, "I1": "=H1+0*A1"}), "I1", "A1:B1")
    assert got == pytest.approx(expected, rel=1e-13)
    assert list(gradient.values()) == pytest.approx([float(slope) for slope in slopes.split()])


def test_a_trained_choice_between_a_number_and_a_logical_is_refused() -> None:
    book = workbook("", {"A1": "3", "B1": "2", "H1": "=IF(A1>0,B1,TRUE)"})
    with pytest.raises(UnsupportedError, match=r"Sheet1!H1: =IF\(A1>0,B1,TRUE\)"):
        trained(book, "H1", "A1:B1")


@pytest.mark.parametrize("formula", lines(RUN_TIME_ERRORS))
def test_errors_at_run_time(formula: str) -> None:
    book = workbook("", {"A1": "0", "B1": "2", "C1": f"={formula}"})
    assert isinstance(value(book, "C1"), str)
    assert not math.isfinite(trained(book, "C1", "A1:B1")[0])
