"""A copied formula means in every cell of its region what it means in that cell alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from cells import Gradient, Value, copied, trained, value, workbook
from hypothesis import given, settings
from hypothesis import strategies as st

from xl2torch.errors import ModelError
from xl2torch.functions.array import Unsupported

DATA = """
0.4  | -1.5 | 2   | 0.3  | 1 | "text" | 3
-0.7 | 0    | 1.2 | -2.5 | 2 |        | TRUE
1.1  | 0.6  | -3  | 0.9  | 3 | 4      | "7"
2.3  | -0.2 | 0.5 | 1.4  | 2 | #N/A   | 1
-1.9 | 1.7  | 0.8 | -0.6 | 1 | 2.5    | FALSE
0.2  | 3    | -1  | 0    | 3 | "b"    |
1.3  | -2   | 0.1 | 2.2  | 2 | 6      | -1
-0.3 | 0.9  | 1.6 | -1.1 | 1 | ""     | 5
"""
VARIABLES = "A1:B8"
FIRST, COPIES = 2, 4
COLUMNS = "ABCDEFG"


@dataclass(frozen=True)
class Line:
    """A row number in a formula: relative to the formula's row, or fixed with ``$``."""

    number: int
    relative: bool

    def at(self, row: int) -> str:
        """As the formula in a row writes it."""
        return str(row + self.number) if self.relative else f"${self.number}"


Piece = str | Line
Formula = tuple[Piece, ...]


Writer = Callable[[int], str]
"""Gives the formula's text for a row."""
REGION = range(FIRST, FIRST + COPIES)


def written(formula: Formula, row: int) -> str:
    """The text of a formula for one row."""
    return "".join(piece.at(row) if isinstance(piece, Line) else piece for piece in formula)


def joined(*parts: Formula | str) -> Formula:
    """Pieces one after the other."""
    return tuple(piece for part in parts for piece in ((part,) if isinstance(part, str) else part))


def lines() -> st.SearchStrategy[Line]:
    """Rows that exist beside every copy."""
    return st.builds(Line, st.integers(-1, 2), st.just(True)) | st.builds(
        Line, st.integers(1, 8), st.just(False)
    )


def columns(letters: str) -> st.SearchStrategy[str]:
    """A column, with or without ``$``."""
    return st.builds("{}{}".format, st.sampled_from(["", "$"]), st.sampled_from(list(letters)))


def cell(letters: str) -> st.SearchStrategy[Formula]:
    """A reference to one cell."""
    return st.builds(lambda column, line: (column, line), columns(letters), lines())


@st.composite
def area(draw: st.DrawFn, letters: str, height: int | None = None, width: int | None = None,
         growing: bool = True) -> Formula:  # fmt: skip
    """A reference to a range of some size, or one that grows as it is copied."""
    first = draw(st.integers(0, len(letters) - (width or 1)))
    last = first + (width or draw(st.integers(1, len(letters) - first))) - 1
    marks = draw(st.sampled_from([("", ""), ("$", "$")]))
    top = draw(lines())
    tall = height or draw(st.integers(1, 3))
    if top.relative:
        bottom = Line(min(top.number + tall - 1, 3), True)
        top = Line(bottom.number - tall + 1, True)
    else:
        bottom = Line(min(top.number + tall - 1, 8), False)
        top = Line(bottom.number - tall + 1, False)
        if growing and height is None and draw(st.booleans()):
            top, bottom = Line(1, False), Line(draw(st.integers(0, 1)), True)
    return (marks[0] + letters[first], top, f":{marks[1]}{letters[last]}", bottom)


def call(name: str, *arguments: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    """A function call."""

    def build(*parts: Formula) -> Formula:
        spaced = [piece for part in parts for piece in (",", *part)]
        return (f"{name}(", *spaced[1:], ")")

    return st.builds(build, *arguments)


def formulas(letters: str) -> st.SearchStrategy[Formula]:
    """Formulas over some columns."""
    numbers = st.sampled_from(["0", "1", "2", "0.5", "3"]).map(lambda text: (text,))
    leaves = cell(letters) | cell(letters) | numbers

    def extend(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
        operator = st.sampled_from(["+", "-", "*", "/", "^", "<", ">", "=", "<>", "<=", ">="])
        elementwise = ["ABS", "EXP", "SIN", "TANH", "LN", "SQRT", "INT", "SIGN", "ATAN", "NOT"]
        totals = ["SUM", "AVERAGE", "MAX", "MIN", "PRODUCT", "SUMSQ", "COUNT", "COUNTA"]
        pairs = ["SUMPRODUCT", "SUMXMY2", "SUMX2MY2", "SUMX2PY2"]
        of_one = st.sampled_from(elementwise).flatmap(lambda name: call(name, inner))
        of_many = st.sampled_from(totals).flatmap(
            lambda name: call(name, area(letters)) | call(name, area(letters), inner)
        )
        of_pairs = st.tuples(st.sampled_from(pairs), st.integers(1, 3), st.integers(1, 2)).flatmap(
            lambda case: call(
                case[0], area(letters, case[1], case[2]), area(letters, case[1], case[2])
            )
        )
        of_two = st.sampled_from(["POWER", "MOD", "ATAN2", "LOG", "ROUND"]).flatmap(
            lambda name: call(name, inner, inner)
        )
        logical = st.sampled_from(["AND", "OR"]).flatmap(
            lambda name: call(name, inner, inner) | call(name, area(letters))
        )
        kinds = ["ISBLANK", "ISNUMBER", "ISTEXT", "ISERROR", "ISLOGICAL", "ISNA"]
        of_kind = st.sampled_from(kinds).flatmap(lambda name: call(name, inner))
        counted = call("COUNTBLANK", area(letters)) | call("COUNT", inner) | call("AVERAGE", inner)
        position = cell("E") | st.sampled_from(["1", "2"]).map(lambda text: (text,))
        looked_up = (
            call("INDEX", area(letters, 3, 1), position)
            | call("INDEX", area(letters, 3, 2), position, st.just(("2",)))
            | call("OFFSET", cell(letters), position, st.just(("0",)))
            | call("SUM", call("OFFSET", cell(letters), st.just(("0",)), st.just(("0",)),
                               st.just(("2",)), st.just(("2",))))
        )  # fmt: skip
        product = call(
            "SUM", call("MMULT", area(letters, 1, 2), call("TRANSPOSE", area(letters, 1, 2)))
        )
        return (
            st.builds(lambda a, o, b: joined("(", a, o, b, ")"), inner, operator, inner)
            | st.builds(lambda a: joined("-", a), inner)
            | of_one
            | of_many
            | of_pairs
            | of_two
            | logical
            | of_kind
            | counted
            | looked_up
            | call("MATCH", cell(letters), area(letters, 3, 1, growing=False), st.just(("0",)))
            | call("IFNA", inner, inner)
            | product
            | call("IF", inner, inner, inner)
            | call("IFERROR", inner, inner)
            | call("MAX", st.just(("0",)), inner)
            | st.builds(lambda a: joined("SUMPRODUCT(--(", a, ">0))"), area(letters))
        )

    return st.recursive(leaves, extend, max_leaves=6)


def cells_with(write: Writer, rows: range) -> dict[str, str]:
    """The formula in column J of some rows."""
    return {f"J{row}": f"={write(row)}" for row in rows}


def shown(write: Writer, row: int, rows: range) -> Value:
    """The value in one row, with copies in ``rows``; a word where there is none."""
    try:
        return value(workbook(DATA, cells_with(write, rows)), f"J{row}")
    except Unsupported:
        return "unsupported"


def learned(write: Writer, row: int, rows: range) -> tuple[float, Gradient] | str:
    """Value and gradient in one row; the kind of error where there is none."""
    cells = {**cells_with(write, rows), "K1": f"=J{row}+0*A1"}
    try:
        return trained(workbook(DATA, cells), "K1", VARIABLES)
    except ModelError as error:
        return type(error).__name__


def alike(got: float, expected: float) -> bool:
    """Equal to rounding; NaN and infinity both say that there is an error."""
    if not math.isfinite(expected):
        return not math.isfinite(got)
    return math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-12)


def check_value(write: Writer, row: int) -> None:
    """The value in a row is the same with and without copies around it."""
    together, alone = shown(write, row, REGION), shown(write, row, range(row, row + 1))
    if isinstance(alone, float) and isinstance(together, float):
        assert alike(together, alone)
    else:
        assert together == alone


def check_gradient(write: Writer, row: int) -> None:
    """So are value and gradient of the trained model, unless the region is refused."""
    together, alone = learned(write, row, REGION), learned(write, row, range(row, row + 1))
    if together == "UnsupportedError":
        return
    if isinstance(together, str) or isinstance(alone, str):
        assert together == alone
        return
    assert alike(together[0], alone[0])
    if math.isfinite(alone[0]):
        assert all(math.isfinite(slope) for slope in alone[1].values())
        assert all(alike(together[1][place], slope) for place, slope in alone[1].items())


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(formula=formulas(COLUMNS), row=st.sampled_from(list(REGION)))
def test_value_in_a_region(formula: Formula, row: int) -> None:
    check_value(partial(written, formula), row)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(formula=formulas(COLUMNS), row=st.sampled_from(list(REGION)))
def test_gradient_in_a_region(formula: Formula, row: int) -> None:
    check_gradient(partial(written, formula), row)


FOUND = """
COUNT(A2>0)
SUM(A2>0,B2>0)
SUM(C2>0,1)
MAX(0,C2>0)
AVERAGE(C2>0)
PRODUCT(3,C2>0)
COUNT(G2&"")
SUM(MMULT(E2:F2,{1;1}))
INDEX($A$1:$A$8,C2)
INDEX($C$1:$C$8,C2)
IF($D2>0,A2/$D2,B2)
IF(D2>0,A2*LN(D2),B2)
IFERROR(A2/(E2-2),B2)
IF(E2=2,0,A2/(E2-2))
IFERROR(LN(C2)*A2,0)
SUMPRODUCT(B2:C2,C2:D2)
SUM(A2:F2)
SUMXMY2(A2:B2,F2:G2)
IF(ISNUMBER(F2),A2*F2,B2)
AND(A2>0,C2>0)
OR(A2>0,C2>0)
A2^B2
C2^A2
ATAN2(C2,A2)
MOD(C2,A2)
SUM($A$1:A2)
MAX(A$1:A2)
"""
"""Formulas in row 2 that once differed, or crashed, in a region."""


@pytest.mark.parametrize("formula", FOUND.strip().split("\n"))
def test_found_before(formula: str) -> None:
    for row in REGION:
        check_value(lambda line: copied(formula, line - FIRST), row)
        check_gradient(lambda line: copied(formula, line - FIRST), row)
