"""Every spelling of a function on a sheet becomes the torch function of that name.

The value and the gradient are those of the program without any pass: the passes are judged by what
the formulas mean.
"""

from __future__ import annotations

import operator
from typing import Any

import pytest
import torch
from cells import SHEET, trained, workbook
from torch.linalg import vector_norm
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    embedding,
    linear,
    logsigmoid,
    mse_loss,
)

import xl2torch
from xl2torch.cells.address import moved, parse_a1
from xl2torch.workbook.read.reader import Workbook

DATA = """
 0.5 -1.2  0 1 0 0  1
 1.5  0.3  1 0 1 0  2
-0.7  0.9  1 0 0 1  3
 0.1  2.2  0 1 0 0  1
-1.1 -0.4  1 0 0 1  3
 0.9  1.7  0 0 1 0  2
"""
WEIGHTS = {
    "J1": "0.3", "K1": "-0.2", "L1": "0.1", "J2": "-0.4", "K2": "0.6", "L2": "-0.3",
    "J3": "0.25", "K3": "0.15", "L3": "-0.55",
}  # fmt: skip
LINEAR = "SUMPRODUCT($A1:$B1,$J$1:$K$1)+$L$1"
UNITS = {
    column: f"SUMPRODUCT($A1:$B1,$J${row}:$K${row})+$L${row}" for row, column in enumerate("NOP", 1)
}


def copies(formulas: dict[str, str]) -> dict[str, str]:
    """Formulas for rows 1 to 6, by column; a key that is a cell is a single formula."""
    cells = {}
    for place, formula in formulas.items():
        single = place[-1].isdigit()
        area = parse_a1(place if single else f"{place}1:{place}6", SHEET)
        assert area is not None
        for cell in area.cells():
            cells[cell.a1] = "=" + moved(formula, cell.row - area.top, 0)
    return cells


def book(formulas: dict[str, str]) -> Workbook:
    """Six rows of data in A:G, nine weights in J1:L3, and formulas."""
    data = {
        f"{'ABCDEFG'[column]}{row}": text
        for row, line in enumerate(DATA.strip().splitlines(), 1)
        for column, text in enumerate(line.split())
    }
    return workbook("", {**data, **WEIGHTS, **copies(formulas)})


def units(activation: str) -> dict[str, str]:
    """Three neighbouring columns of units with an activation."""
    return {column: activation.replace("x", f"({text})") for column, text in UNITS.items()}


MEAN = "AVERAGE(X1:X6)"
SOFTMAX = {
    **units("x"),
    **{column: f"EXP({'NOP'['QRS'.index(column)]}1)" for column in "QRS"},
    **{column: f"{'QRS'['TUV'.index(column)]}1/SUM($Q1:$S1)" for column in "TUV"},
}
SHIFTED = {
    **units("x"),
    **{column: f"EXP({'NOP'['QRS'.index(column)]}1-MAX($N1:$P1))" for column in "QRS"},
    **{column: f"{'QRS'['TUV'.index(column)]}1/SUM($Q1:$S1)" for column in "TUV"},
}
LOGISTIC = {"N": LINEAR, "O": "1/(1+EXP(-N1))"}

SPELLINGS: list[tuple[str, dict[str, str], set[Any], int]] = [
    # what, formulas with the objective in Z1, functions that must be called, and how often any is
    ("relu", {"N": f"MAX(0,{LINEAR})", "Z1": "SUM(N1:N6)"}, {torch.relu}, 7),
    ("relu", {"N": f"MAX({LINEAR},0)", "Z1": "SUM(N1:N6)"}, {torch.relu}, 7),
    ("relu", {"N": LINEAR, "O": "IF(N1<0,0,N1)", "Z1": "SUM(O1:O6)"}, {torch.relu}, 7),
    ("relu", {"N": LINEAR, "O": "IF(N1>0,N1,0)", "Z1": "SUM(O1:O6)"}, {torch.relu}, 7),
    ("relu", {"N": LINEAR, "O": "N1*(N1>0)", "Z1": "SUM(O1:O6)"}, {torch.relu}, 7),
    ("relu", {"N": LINEAR, "O": "(N1+ABS(N1))/2", "Z1": "SUM(O1:O6)"}, {torch.relu}, 7),
    ("sigmoid", {**LOGISTIC, "Z1": "SUM(O1:O6)"}, {torch.sigmoid}, 7),
    ("sigmoid", {"N": LINEAR, "O": "1/(EXP(-N1)+1)", "Z1": "SUM(O1:O6)"}, {torch.sigmoid}, 7),
    ("sigmoid", {"N": LINEAR, "O": "(1+EXP(-N1))^-1", "Z1": "SUM(O1:O6)"}, {torch.sigmoid}, 7),
    ("sigmoid", {"N": LINEAR, "O": "1/(1+EXP(-1*N1))", "Z1": "SUM(O1:O6)"}, {torch.sigmoid}, 7),
    (
        "sigmoid",
        {"N": LINEAR, "O": "EXP(N1)/(1+EXP(N1))", "Z1": "SUM(O1:O6)"},
        {torch.sigmoid},
        7,
    ),
    (
        "sigmoid in three cells",
        {"N": LINEAR, "O": "EXP(-N1)", "P": "1+O1", "Q": "1/P1", "Z1": "SUM(Q1:Q6)"},
        {torch.sigmoid},
        7,
    ),
    ("layer", {**units("MAX(0,x)"), "Z1": "SUMSQ(N1:P6)"}, {linear, torch.relu}, 7),
    ("layer", {**units("TANH(x)"), "Z1": "SUMSQ(N1:P6)"}, {linear, torch.tanh}, 7),
    ("layer", {**units("1/(1+EXP(-x))"), "Z1": "SUMSQ(N1:P6)"}, {linear, torch.sigmoid}, 7),
    (
        "layer, products written out",
        {
            **{c: f"TANH($A1*$J${r}+$B1*$K${r}+$L${r})" for r, c in enumerate("NOP", 1)},
            "Z1": "SUMSQ(N1:P6)",
        },
        {linear, torch.tanh},
        7,
    ),
    (
        "sum of columns",
        {**units("MAX(0,x)"), "X": "N1+O1+P1", "Z1": "SUMSQ(X1:X6)"},
        {linear, torch.relu, torch.sum},
        8,
    ),
    ("softmax", {**SOFTMAX, "Z1": "SUMSQ(T1:V6)"}, {linear, torch.softmax}, 7),
    ("softmax", {**SHIFTED, "Z1": "SUMSQ(T1:V6)"}, {linear, torch.softmax}, 7),
    ("mean squared error", {"N": LINEAR, "X": "(N1-C1)^2", "Z1": MEAN}, {mse_loss}, 6),
    ("mean squared error", {"N": LINEAR, "X": "(C1-N1)^2", "Z1": "SUM(X1:X6)/6"}, {mse_loss}, 6),
    (
        "mean squared error",
        {"N": LINEAR, "Z1": "SUMXMY2(N1:N6,C1:C6)/COUNT(C1:C6)"},
        {mse_loss},
        6,
    ),
    ("root mean square", {"N": LINEAR, "X": "(N1-C1)^2", "Z1": f"SQRT({MEAN})"}, {vector_norm}, 8),
    ("root of a sum", {"N": LINEAR, "Z1": "SQRT(SUMXMY2(N1:N6,C1:C6))"}, {vector_norm}, 7),
    (
        "binary cross-entropy",
        {**LOGISTIC, "X": "-(C1*LN(O1)+(1-C1)*LN(1-O1))", "Z1": MEAN},
        {binary_cross_entropy_with_logits},
        6,
    ),
    (
        "binary cross-entropy",
        {**LOGISTIC, "X": "-C1*LN(O1)-(1-C1)*LN(1-O1)", "Z1": MEAN},
        {binary_cross_entropy_with_logits},
        6,
    ),
    (
        "binary cross-entropy",
        {**LOGISTIC, "X": "C1*LN(O1)+(1-C1)*LN(1-O1)", "Z1": f"-{MEAN}"},
        {binary_cross_entropy_with_logits},
        6,
    ),
    (
        "binary cross-entropy",
        {**LOGISTIC, "X": "IF(C1=1,-LN(O1),-LN(1-O1))", "Z1": MEAN},
        {binary_cross_entropy_with_logits},
        6,
    ),
    ("log of a sigmoid", {**LOGISTIC, "X": "LN(O1)", "Z1": MEAN}, {logsigmoid}, 7),
    (
        "cross-entropy of one-hot classes",
        {**SOFTMAX, "X": "-SUMPRODUCT(D1:F1,LN(T1:V1))", "Z1": MEAN},
        {linear, cross_entropy},
        5,
    ),
    (
        "cross-entropy of one-hot classes",
        {**SOFTMAX, "X": "-LN(SUMPRODUCT(D1:F1,T1:V1))", "Z1": MEAN},
        {linear, cross_entropy},
        5,
    ),
    (
        "cross-entropy of numbered classes",
        {**SOFTMAX, "X": "-LN(INDEX(T1:V1,G1))", "Z1": MEAN},
        {linear, cross_entropy},
        5,
    ),
    (
        "cross-entropy of numbered classes",
        {**SHIFTED, "X": "-LN(INDEX(T1:V1,G1))", "Z1": MEAN},
        {linear, cross_entropy},
        5,
    ),
    (
        "cross-entropy of all rows in one cell",
        {**SOFTMAX, "Z1": "-SUMPRODUCT(D1:F6,LN(T1:V6))"},
        {linear, cross_entropy},
        4,
    ),
    (
        "cross-entropy of all rows in one cell",
        {**SOFTMAX, "Z1": "-SUMPRODUCT(D1:F6*LN(T1:V6))/COUNT(G1:G6)"},
        {linear, cross_entropy},
        5,
    ),
    (
        "embedding",
        {"N": "SUMPRODUCT(INDEX($J$1:$L$3,$G1,0),INDEX($J$1:$L$3,4-$G1,0))", "Z1": "SUM(N1:N6)"},
        {embedding},
        6,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("formulas", "calls", "most"),
    [pytest.param(*rest, id=f"{name}-{number}") for number, (name, *rest) in enumerate(SPELLINGS)],
)
def test_spellings(
    formulas: dict[str, str], calls: set[Any], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = book(formulas)
    model = xl2torch.compile(sheet, objective="Z1", variables="J1:L3")
    called = [
        node.target
        for node in model.graph.nodes
        if node.op == "call_function" and node.target is not operator.getitem
    ]
    assert calls <= set(called), called
    assert len(called) <= most, called
    got, gradient = trained(sheet, "Z1", "J1:L3")
    monkeypatch.setattr("xl2torch.passes.PASSES", ())
    expected, slopes = trained(sheet, "Z1", "J1:L3")
    assert got == pytest.approx(expected, rel=1e-12)
    assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-12)


CAUGHT = [
    # An error that the sheet catches, or a function that is no other's spelling, stays what it is.
    {"N": LINEAR, "O": "IFERROR(1/(1+EXP(-800*N1)),5)", "Z1": "SUM(O1:O6)"},
    {"N": LINEAR, "O": "1/(2+EXP(-N1))", "Z1": "SUM(O1:O6)"},
    {"N": LINEAR, "O": "2/(1+EXP(-N1))", "Z1": "SUM(O1:O6)"},
    {**SOFTMAX, "T": "Q1/SUM($Q1:$R1)", "Z1": "SUMSQ(T1:V6)"},
    {**SOFTMAX, "T": "Q1/SUM(Q$1:Q$6)", "U": "R1/SUM(R$1:R$6)", "Z1": "SUMSQ(T1:U6)"},
    {**LOGISTIC, "X": "-(C1*LN(O1)+(2-C1)*LN(1-O1))", "Z1": MEAN},
    {**LOGISTIC, "X": "-(A1*LN(O1)+(1-A1)*LN(1-O1))", "Z1": MEAN},
    {"N": LINEAR, "X": "(N1-C1)^2", "Z1": "SUM(X1:X6)/5"},
    {"N": LINEAR, "X": "(N1-$C$1)^2", "Z1": MEAN},
    {**SOFTMAX, "X": "-SUMPRODUCT(A1:C1,LN(T1:V1))", "Z1": MEAN},
    {**units("MAX(0,x)"), "X": "N1+O1", "Y": "P1+2*N1", "Z1": "SUMXMY2(X1:X6,Y1:Y6)"},
    {"N": "MAX(0,$A1*$J$1)", "O": "TANH($A1*$J$2)", "P": "MAX(0,$A1*$J$3)", "Z1": "SUMSQ(N1:P6)"},
]


@pytest.mark.parametrize("formulas", CAUGHT)
def test_other_formulas_keep_their_meaning(
    formulas: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = book(formulas)
    got, gradient = trained(sheet, "Z1", "J1:L3")
    monkeypatch.setattr("xl2torch.passes.PASSES", ())
    expected, slopes = trained(sheet, "Z1", "J1:L3")
    assert got == pytest.approx(expected, rel=1e-12)
    assert gradient == pytest.approx(slopes, rel=1e-9, abs=1e-12)


def test_an_overflow_that_is_caught_counts() -> None:
    """EXP beyond 709 is #NUM! for IFERROR, whatever the logistic function says."""
    sheet = book({"N": "IFERROR(1/(1+EXP(1000*$J$1)),5)", "Z1": "SUM(N1:N6)"})
    model = xl2torch.compile(sheet, objective="Z1", variables="J1:L3")
    with torch.no_grad():
        model.parameter(model.variables[0])[0, 0] = 0.9
    assert float(model().detach()) == 30.0


def test_an_overflow_that_is_not_caught_is_the_limit() -> None:
    """The functions that are recognised have a value where the sheet's spelling overflows."""
    sheet = book({**LOGISTIC, "X": "-(C1*LN(O1)+(1-C1)*LN(1-O1))", "Z1": MEAN})
    model = xl2torch.compile(sheet, objective="Z1", variables="J1:L3")
    with torch.no_grad():
        model.parameter(model.variables[0]).fill_(1000.0)
    loss = model().detach()
    assert torch.isfinite(loss) and float(loss) > 100
