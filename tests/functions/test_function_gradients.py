"""Gradients of functions and operators against central finite differences.

The value at the start point and at the shifted points comes from the constant evaluation, the
gradient from the compiled model: so the two must also agree in the value.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from cells import area_of, copied, trained, value, workbook

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

KNOWN_WRONG: dict[str, str] = {}
"""Rows that do not hold yet, each with what stands in the way."""
KNOWN_WRONG_COPIES: dict[str, str] = {}
"""The same, where only the copied formula is wrong."""


def parameters(table: str, *wrong: dict[str, str]) -> list[object]:
    """The lines of a table as pytest parameters."""
    reasons = {formula: reason for each in wrong for formula, reason in each.items()}
    return [
        pytest.param(
            formula,
            id=formula,
            marks=[pytest.mark.xfail(strict=True, reason=reasons[formula])]
            if formula in reasons
            else [],
        )
        for formula in table.split("\n")
        if formula
    ]


def cells_of(numbers: np.ndarray, formulas: dict[str, str]) -> dict[str, str]:
    """The start values, row numbers 1, 2, … in column E, a text in F, and formulas."""
    cells = {f"{'ABCD'[c]}{r + 1}": repr(float(x)) for (r, c), x in np.ndenumerate(numbers)}
    cells |= {f"E{row}": str(row % 4 + 1) for row in range(1, len(numbers) + 1)}
    return cells | {"F1": '"text"', "F2": '"text"'} | formulas


def differences(formulas: dict[str, str], cell: str) -> dict[str, float]:
    """Central finite differences over the variable cells, by the constant evaluation."""
    book = workbook("", cells_of(START, formulas))
    slopes = {}
    for place, address in zip(np.ndindex(START.shape), area_of(book, VARIABLES).cells(), strict=True):
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


@pytest.mark.parametrize("formula", parameters(SMOOTH, KNOWN_WRONG))
def test_gradient_of_one_cell(formula: str) -> None:
    check({"H1": f"={formula}"}, "H1")


@pytest.mark.parametrize("formula", parameters(SMOOTH, KNOWN_WRONG, KNOWN_WRONG_COPIES))
def test_gradient_of_copies(formula: str) -> None:
    formulas = {f"H{row}": f"={copied(formula, row - 1)}" for row in range(1, COPIES + 1)}
    formulas |= {f"I{row}": repr(weight) for row, weight in enumerate(WEIGHTS, start=1)}
    formulas["J1"] = f"=SUMPRODUCT(H1:H{COPIES},I1:I{COPIES})"
    check(formulas, "J1")


@pytest.mark.parametrize("formula", parameters(STEPS, KNOWN_WRONG))
def test_steps_have_no_gradient(formula: str) -> None:
    one = {"H1": f"={formula}", "J1": "=H1*1"}
    many = {f"H{row}": f"={copied(formula, row - 1)}" for row in range(1, COPIES + 1)}
    many["J1"] = f"=SUMPRODUCT(H1:H{COPIES}*1)"
    for formulas in (one, many):
        book = workbook("", cells_of(START, formulas))
        got, gradient = trained(book, "J1", VARIABLES)
        assert got == value(workbook("", cells_of(START, formulas)), "J1")
        assert set(gradient.values()) == {0.0}


@pytest.mark.parametrize("formula", parameters(AT_ZERO, KNOWN_WRONG))
def test_slope_at_zero(formula: str) -> None:
    book = workbook("", {"A1": "0", "B1": f"={formula}"})
    got, gradient = trained(book, "B1", "A1")
    assert math.isfinite(got)
    assert got == value(book, "B1")
    assert gradient == {"A1": 0.0}


@pytest.mark.parametrize("formula", parameters(AT_ZERO, KNOWN_WRONG))
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
