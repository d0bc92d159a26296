"""A copied formula means in every cell of its region what it means in that cell alone."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from cells import Gradient, Value, copied, trained, value, values, workbook
from hypothesis import given, settings
from hypothesis import strategies as st

from xl2torch.arrays.array import Unsupported
from xl2torch.errors import ModelError

DATA = """
0.4  | -1.5 | 2   | 0.3  | 1 | "text" | 3     | 1  | "pear"
-0.7 | 0    | 1.2 | -2.5 | 2 |        | TRUE  | 2  | "Apple"
1.1  | 0.6  | -3  | 0.9  | 3 | 4      | "7"   | 2  | "fig"
2.3  | -0.2 | 0.5 | 1.4  | 2 | #N/A   | 1     | 3  | "pear"
-1.9 | 1.7  | 0.8 | -0.6 | 1 | 2.5    | FALSE | 5  | "a*b"
0.2  | 3    | -1  | 0    | 3 | "b"    |       | 8  | ""
1.3  | -2   | 0.1 | 2.2  | 2 | 6      | -1    | 8  | "7.5"
-0.3 | 0.9  | 1.6 | -1.1 | 1 | ""     | 5     | 13 | "fig tree"
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
"""Gives what is entered in a row."""
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


TEMPLATES = {
    "statistics": """
        VAR.S|STDEV.P|VAR.P|STDEV.S|MEDIAN|GEOMEAN|HARMEAN|DEVSQ|AVEDEV|SKEW|SKEW.P|KURT(area)
        VAR.S|STDEV.P|MEDIAN|GEOMEAN|DEVSQ|AVEDEV|SKEW|MODE(area,any)
        VARPA|STDEVA|MAXA|MINA|AVERAGEA(area,any)
        LARGE|SMALL(area,rank)
        PERCENTILE|PERCENTILE.EXC|TRIMMEAN(area,share)
        QUARTILE(area,rank)
        RANK.EQ|RANK.AVG(cell,area,number)
        RANK.EQ|PERCENTRANK(cell,area)
        PERCENTRANK.INC(area,any)
        CORREL|SLOPE|INTERCEPT|RSQ|COVARIANCE.S|COVARIANCE.P|STEYX(column,column)
        FORECAST.LINEAR(any,column,column)
        STANDARDIZE(any,any,positive)
        CONFIDENCE.NORM|CONFIDENCE.T(share,positive,count)
    """,
    "distributions": """
        NORM.DIST(any,any,positive,truth)
        NORM.S.DIST(any,truth)
        EXPON.DIST|T.DIST|CHISQ.DIST(any,positive,truth)
        GAMMA.DIST|BETA.DIST|WEIBULL.DIST|F.DIST|LOGNORM.DIST(any,positive,positive,truth)
        T.DIST.2T|T.DIST.RT|CHISQ.DIST.RT|T.INV|CHISQ.INV|CHISQ.INV.RT|T.INV.2T(any,positive)
        BINOM.DIST(code,count,any,truth)
        POISSON.DIST(code,any,truth)
        NORM.S.INV|GAMMA|GAMMALN|ERF|ERFC|PHI|GAUSS|FISHER|NORM.S.INV(any)
        NORM.INV|GAMMA.INV|BETA.INV|LOGNORM.INV|F.INV|F.DIST.RT(any,positive,positive)
    """,
    "conditional sums": """
        COUNTIF(area,test)
        COUNTIFS(column,test,column,test)
        SUMIF|AVERAGEIF(area,test)
        SUMIF|AVERAGEIF(column,test,column)
        SUMIFS|AVERAGEIFS|MAXIFS|MINIFS(column,column,test)
        SUMIFS|MAXIFS(column,column,test,column,test)
    """,
    "lookups": """
        VLOOKUP(key,table,code,truth)
        VLOOKUP(key,table,code)
        HLOOKUP(key,area,code,truth)
        XLOOKUP(key,column,column)
        XLOOKUP(key,column,column,any,mode)
        XLOOKUP(any,sorted,values,any,mode,search)
        SUM(XLOOKUP(key,column,wide))
        XMATCH|MATCH(key,column,mode)
        MATCH(any,sorted)
        LOOKUP(any,sorted)
        LOOKUP(any,sorted,values)
        LOOKUP(key,column,column)
        LOOKUP(2,1/(column>0),column)
        CHOOSE(code,any,any,any)
        CHOOSE(any,any,any)
        SUM(CHOOSE(code,area,area))
        INDEX(column,MATCH(key,column,0))
        INDEX(table,MATCH(key,keys,0),code)
        INDEX(area,code,code)
        SUM(INDEX(area,0,code))
        SUM(INDEX(area,code,0))
        SUM(cell:INDEX(column,code))
        INDIRECT("A"&code)
        SUM(OFFSET(cell,0,0,code,1))
        SUM(OFFSET(cell,code,0))
    """,
    "logical": """
        IFS(any>any,any,any,any)
        IFS(any>0,any,TRUE,any)
        SWITCH(code,1,any,2,any)
        SWITCH(any,any,any,any)
        SWITCH(TRUE,any>0,any,any<any,any,any)
        XOR|AND|OR(any,any)
        XOR|AND|OR(area>number)
        IF(any>any,any)
        IFERROR|IFNA(any,area)
        SUM(IF(area>0,area,any))
        SUM(IFERROR(area/area,any))
    """,
    "rounding": """
        MROUND|CEILING|FLOOR|CEILING.MATH|FLOOR.MATH|CEILING.PRECISE|QUOTIENT|MOD(any,step)
        ROUND|ROUNDUP|ROUNDDOWN|TRUNC(any,digits)
        EVEN|ODD|INT|TRUNC|FACT(any)
        COMBIN|PERMUT(any,code)
        GCD|LCM(code,code)
    """,
    "totals of arrays": """
        SUM|MAX|AVERAGE|COUNT|PRODUCT|MEDIAN|COUNTA|VAR.P|ROWS(array)
        SUM|MIN|AVERAGE(array,array)
        SUMPRODUCT(array)
        SUMPRODUCT(array*any)
        SUMPRODUCT(array>any)
        SUMPRODUCT(--(column>0),column)
        SUMPRODUCT(column*column)
        SUMPRODUCT((column=key)*column)
        SUMPRODUCT(HSTACK|VSTACK(column,column),HSTACK|VSTACK(column,column))
        INDEX(array,code)
        INDEX(array,1,code)
        LARGE|SMALL(array,rank)
        SUMPRODUCT(SEQUENCE(count)*any)
        SUM(SEQUENCE(count,2,any,any))
        SUM(MINVERSE(square))
        SUM(MMULT(MINVERSE(square),square))
        MDETERM(square)
        INDEX(LINEST(column,column),code)
        INDEX(LINEST(column,wide),code)
        INDEX(LINEST(column,column,truth,TRUE),code,code)
        SUM(TREND|GROWTH(column,column,column))
        SUM(FREQUENCY(area,column))
        TEXTJOIN(",",TRUE,array)
    """,
    "functions": """
        LET(x,any,x*x+any)
        LET(x,any,y,x+any,IF(y>x,y*x,x))
        LET(x,area,SUM(x)*MAX(x))
        LET(x,array,SUM(x*x,any))
        LAMBDA(x,y,x*y+any)(any,any)
        LAMBDA(x,body)(any)
        LET(f,LAMBDA(x,body),f(any)+f(any))
        SUM(MAP(area,LAMBDA(x,body)))
        SUM(MAP(column,column,LAMBDA(x,y,x*y+any)))
        SUM(BYROW|BYCOL(area,LAMBDA(x,SUM|MAX|AVERAGE|PRODUCT|COUNT(x))))
        SUM(BYROW|BYCOL(area,LAMBDA(x,SUM(x)*any)))
        REDUCE(any,area,LAMBDA(y,x,y+body))
        REDUCE(any,area,LAMBDA(y,x,IF(x>y,x,y)))
        SUM(SCAN(any,area,LAMBDA(y,x,y*0.5+body)))
        SUM(MAKEARRAY(2,code,LAMBDA(x,y,x*y*any)))
    """,
    "totals": """
        SUBTOTAL(total,area)
        SUBTOTAL(total,area,area)
        AGGREGATE(total,6,area)
        AGGREGATE(order,6,area,rank)
        AGGREGATE(order,6,area/any,rank)
        AGGREGATE(order,6,column/(column>0),rank)
    """,
    "text": """
        LEFT|RIGHT|REPT(word,code)
        LEN|VALUE|UPPER|TRIM|PROPER|T|CODE|NUMBERVALUE|LOWER(word)
        word&word
        word&any
        LEN(TEXT(number,format))
        TEXT(cell,format)
        VALUE(word&code)
        MID(word,code,code)
        FIND|SEARCH(word,word)
        SUBSTITUTE(word,word,word)
        REPLACE(word,code,code,word)
        EXACT(word,word)
        CONCAT(words)
        TEXTJOIN("-",truth,words)
        word=word
        word<any
        IF(word=word,any,any)
    """,
    "dates": """
        DATE(2024,any,31)
        DATE(2024,code,code)
        YEAR|MONTH|DAY|WEEKDAY|WEEKNUM|ISOWEEKNUM(day)
        EDATE|EOMONTH|WORKDAY(day,code)
        DATEDIF(day,day,"md")
        YEARFRAC(day,day,code)
        NETWORKDAYS|DAYS|DAYS360(day,day)
        HOUR|MINUTE|SECOND(any)
        TIME(code,code,any)
    """,
    "information": """
        ISEVEN|ISODD|ISERR|ISNONTEXT|N|TYPE|ERROR.TYPE|T|ISNUMBER|ISBLANK(cell)
        ISEVEN|ISODD|ISERR|ISNONTEXT|N|TYPE|ERROR.TYPE|ISREF(any)
        ROW|ROWS|COLUMNS|COLUMN(area)
        SUM(ROW(area)*any)
        NA()
        IFERROR(NA(),any)
        ROW()*any
    """,
    "payments": """
        NPV(any,area)
        NPV(any,any,any)
        PMT|PV|FV|NPER(any,count,any)
        PMT(any,count,any,any,truth)
        IPMT|PPMT(any,code,count,any)
        SLN(any,any,any)
        EFFECT|NOMINAL(any,count)
        IRR(area)
        RATE(count,any,any)
        SERIESSUM(any,1,1,area)
    """,
}
"""Formulas, a line each: ``|`` separates names, a longer word in small letters a part."""

ARRAYS = """
    array
    SORT|UNIQUE|TRANSPOSE|TOCOL|TOROW(array)
    SORT(array,1,order)
    SORTBY(column,column)
    SORTBY(column,column,-1)
    FILTER(column,column>0)
    FILTER(column,column>any,any)
    FILTER(wide,column=key)
    TAKE|DROP(array,order)
    CHOOSECOLS|CHOOSEROWS(array,order)
    HSTACK|VSTACK(array,any)
    HSTACK|VSTACK(array,array)
    WRAPROWS|WRAPCOLS(column,2,any)
    EXPAND(array,3,3,any)
    IF(array>0,array,any)
    IFERROR(array/any,any)
    array*any
    array+array
    -array
    ABS|EXP|LN|SQRT(array)
    MAP(array,LAMBDA(x,body))
    SCAN(0,array,LAMBDA(y,x,y+x))
    {1,2,3}
    {1;2}*any
    UNIQUE(keys)
    SEQUENCE(code)
    MMULT(wide,square)
    MUNIT(2)
    TEXTSPLIT("1,2",",")
    ROW(area)
    LET(x,array,x*any)
    INDEX(array,0,1)
    XLOOKUP(column,keys,values,0)
    VLOOKUP(column,table,2,FALSE)
    LINEST(column,column)
    FREQUENCY(column,{0,1})
"""

BODIES = """
    x
    x*any
    x/any
    IF(x>0,x,any)
    MAX(x,any)
    SUM(x,cell)
    IFERROR(LN(x),any)
    SUM(area)*x
    N(x)^2
    EXP(x)
    ISNUMBER(x)
    SUMIF(area,">"&x)
    INDEX(area,x)
"""

CONSTANTS = {
    "number": "0 1 2 0.5 -1",
    "share": "0 0.25 0.5 0.9 1",
    "truth": "TRUE FALSE",
    "digits": "0 1 2 -1",
    "count": "2 3 5",
    "mode": "0 1 -1",
    "search": "1 -1 2 -2",
    "order": "1 -1 2",
    "total": "1 2 3 4 5 6 7 8 9 10 11 101 109 12 13",
    "format": '"0.00" "0%" "#,##0.0" "yyyy-mm-dd" "General"',
}

PIECE = re.compile(r'"[^"]*"|[A-Z][A-Z0-9.|]*|[a-z]{3,}|[a-z]|[^"A-Za-z]+')


def lines_of(text: str) -> list[str]:
    """The lines of a text block."""
    return [line.strip() for line in text.splitlines() if line.strip()]


@dataclass(frozen=True)
class Rows:
    """The rows that the columns in one template share, so that they have equal size."""

    height: int
    relative: bool
    end: int | None = None
    """Of rows that grow: their last one."""

    def starts(self) -> st.SearchStrategy[int]:
        """First rows."""
        if self.relative:
            return st.integers(-1, 4 - self.height)
        return st.integers(1, 9 - self.height)

    def area(self, first: str, last: str, start: int) -> Formula:
        """A range between two columns."""
        if self.end is not None:
            return (first, Line(1, False), f":{last}", Line(self.end, True))
        bottom = Line(start + self.height - 1, self.relative)
        return (first, Line(start, self.relative), f":{last}", bottom)


GROWING = [Rows(1, True, end) for end in (-1, 0, 0, 1)]
STILL = [Rows(height, relative) for height in (1, 2, 3, 3) for relative in (True, False)]
ROWS = st.sampled_from([*GROWING, *STILL, Rows(8, False)])


@st.composite
def block(draw: st.DrawFn, rows: Rows, letters: str, width: int) -> Formula:
    """A range of a template's rows."""
    first = draw(st.integers(0, len(letters) - width))
    mark = draw(st.sampled_from(["", "$"]))
    start = draw(rows.starts())
    return rows.area(mark + letters[first], mark + letters[first + width - 1], start)


def constants(*texts: str) -> st.SearchStrategy[Formula]:
    """One of some constants."""
    return st.sampled_from(texts).map(lambda text: (text,))


Parts = dict[str, Callable[[Rows], st.SearchStrategy[Formula]]]


def parts_of(letters: str, inner: st.SearchStrategy[Formula]) -> Parts:
    """What the words in templates stand for."""
    code = constants("1", "2", "3") | cell("E")
    days = st.builds(lambda part: joined("(45000+", part, "*9)"), cell("CE"))
    against = st.sampled_from(['">"&', '"<="&', '"<>"&'])
    compared = st.builds(lambda text, part: joined(text, part), against, cell("CEH" + letters))
    tests = constants('">0"', '"<=1"', '"<>2"', "1", '"text"', '"*i*"', '""', '"="', '"<>"')
    always: dict[str, st.SearchStrategy[Formula]] = {
        "any": inner,
        "cell": cell(letters),
        "area": area(letters),
        "positive": constants("0.5", "1", "2", "3") | call("EXP", inner),
        "rank": code,
        "code": code,
        "key": cell("EHI" + letters) | constants("2", "5", '"fig"', '"p*"') | inner,
        "step": constants("0.5", "2", "-1", "0.1") | inner,
        "word": cell("FGI") | cell("EI") | constants('"a"', '""', '"p"', '"1"'),
        "words": area("FGI") | area("EFGHI"),
        "day": days | constants("45351", "44957"),
        "test": tests | cell("CEFGHI") | compared,
        "square": area("ABCDE", 2, 2),
        "sorted": constants("$H$1:$H$8", "H$1:H$5"),
        "values": constants("$A$1:$A$8", "B$1:B$8", "$C$1:$C$8"),
        **{name: constants(*text.split(" ")) for name, text in CONSTANTS.items()},
    }
    parts: Parts = {name: partial(_always, part) for name, part in always.items()}
    parts["column"] = lambda rows: block(rows, letters + "HI", 1)
    parts["keys"] = lambda rows: block(rows, "EHI", 1)
    parts["wide"] = lambda rows: block(rows, letters, 2)
    parts["table"] = lambda rows: block(rows, "EFGHI", 3) | block(rows, letters, 2)
    parts["body"] = partial(_always, templates(BODIES, dict(parts)))
    once: Parts = {**parts, "array": partial(_always, area(letters))}
    twice: Parts = {**parts, "array": partial(_always, templates(ARRAYS, once))}
    parts["array"] = partial(_always, templates(ARRAYS, once) | templates(ARRAYS, twice))
    return parts


def _always(part: st.SearchStrategy[Formula], rows: Rows) -> st.SearchStrategy[Formula]:
    """A part that does not depend on the rows."""
    return part


@st.composite
def templates(draw: st.DrawFn, text: str, parts: Parts) -> Formula:
    """One of the templates, filled in."""
    line = draw(st.sampled_from(lines_of(text)))
    rows = draw(ROWS)
    pieces: list[Piece] = []
    for token in PIECE.findall(line):
        if token in parts:
            pieces += draw(parts[token](rows))
        else:
            pieces.append(draw(st.sampled_from(token.split("|"))))
    return tuple(pieces)


def on_topics(letters: str, inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    """A formula from one of the templates."""
    parts = parts_of(letters, inner)
    return st.one_of(*(templates(text, parts) for text in TEMPLATES.values()))


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
            | on_topics(letters, inner)
        )

    return st.recursive(leaves, extend, max_leaves=6)


def entered(letters: str) -> st.SearchStrategy[Formula]:
    """What is entered into a cell: a formula, or one of these as an array formula."""
    simple = cell(letters) | cell(letters) | area(letters) | constants("0", "1", "2", "0.5", "-1")
    some = st.one_of(formulas(letters), on_topics(letters, simple), on_topics("AB", simple))
    return st.builds(
        lambda formula, array: joined("{=", formula, "}") if array else joined("=", formula),
        some, st.sampled_from([False, False, True]),
    )  # fmt: skip


def cells_with(write: Writer, rows: range) -> dict[str, str]:
    """The formula in column J of some rows."""
    return {f"J{row}": write(row) for row in rows}


@dataclass(frozen=True)
class Surroundings:
    """The data, the rows that the copies fill, and the variable cells."""

    data: str
    region: range
    variables: str


SHORT = Surroundings(DATA, REGION, VARIABLES)
LONG = Surroundings(DATA * 13, range(FIRST, FIRST + 100), "A1:B104")


def shown(write: Writer, row: int, rows: range, data: str = DATA) -> Value:
    """The value in one row, with copies in ``rows``; a word where there is none."""
    try:
        return value(workbook(data, cells_with(write, rows)), f"J{row}")
    except Unsupported:
        return "unsupported"


def learned(
    write: Writer, row: int, rows: range, around: Surroundings = SHORT
) -> tuple[float, Gradient] | str:
    """Value and gradient in one row; the kind of error where there is none."""
    cells = {**cells_with(write, rows), "K1": f"=J{row}+0*A1"}
    try:
        return trained(workbook(around.data, cells), "K1", around.variables)
    except ModelError as error:
        return type(error).__name__


def alike(got: float, expected: float) -> bool:
    """Equal to rounding; NaN and infinity both say that there is an error."""
    if not math.isfinite(expected):
        return not math.isfinite(got)
    return math.isclose(got, expected, rel_tol=1e-9, abs_tol=1e-12)


def check_value(write: Writer, row: int, around: Surroundings = SHORT) -> None:
    """The value in a row is the same with and without copies around it."""
    together = shown(write, row, around.region, around.data)
    alone = shown(write, row, range(row, row + 1), around.data)
    if isinstance(alone, float) and isinstance(together, float):
        assert alike(together, alone)
    else:
        assert together == alone


def check_gradient(write: Writer, row: int, around: Surroundings = SHORT) -> None:
    """So are value and gradient of the trained model, unless the region is refused."""
    together = learned(write, row, around.region, around)
    alone = learned(write, row, range(row, row + 1), around)
    if together == "UnsupportedError":
        return
    if isinstance(together, str) or isinstance(alone, str):
        assert together == alone
        return
    assert alike(together[0], alone[0])
    if math.isfinite(alone[0]):
        assert all(math.isfinite(slope) for slope in alone[1].values())
        assert all(alike(together[1][place], slope) for place, slope in alone[1].items())


def check_training(write: Writer, row: int) -> None:
    """Training sees the number that the sheet shows, and an error can be caught."""
    for text in (f"=J{row}+0*A1", f"=IFERROR(J{row},7)+A1"):
        sheet = workbook(DATA, {**cells_with(write, range(row, row + 1)), "K1": text})
        try:
            got, gradient = trained(sheet, "K1", VARIABLES)
            expected = value(sheet, "K1")
        except (ModelError, Unsupported):
            continue
        assert alike(got, expected if isinstance(expected, float) else math.nan)
        if math.isfinite(got):
            assert all(math.isfinite(slope) for slope in gradient.values())


@pytest.mark.slow
@settings(max_examples=800, deadline=None, derandomize=True, database=None)
@given(formula=entered(COLUMNS), row=st.sampled_from(list(REGION)))
def test_value_in_a_region(formula: Formula, row: int) -> None:
    check_value(partial(written, formula), row)


@pytest.mark.slow
@settings(max_examples=350, deadline=None, derandomize=True, database=None)
@given(formula=entered(COLUMNS), row=st.sampled_from(list(REGION)))
def test_gradient_in_a_region(formula: Formula, row: int) -> None:
    check_gradient(partial(written, formula), row)


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(formula=entered(COLUMNS), row=st.sampled_from([2, 3, 50, 101]))
def test_in_a_region_of_a_hundred_rows(formula: Formula, row: int) -> None:
    check_value(partial(written, formula), row, LONG)
    check_gradient(partial(written, formula), row, LONG)


@pytest.mark.slow
@settings(max_examples=250, deadline=None, derandomize=True, database=None)
@given(formula=entered(COLUMNS), row=st.sampled_from(list(REGION)))
def test_value_in_training(formula: Formula, row: int) -> None:
    check_training(partial(written, formula), row)


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
OR(F2)
XOR(F2)
SUM(IF(D2>0,A2:C2,E2))
SUM(IF(A2>0,A2:C2,E2))
MAXIFS(H$8,B$6,"<>"&C2)
{=INDEX(E$3:E$5,E2:F2)}
IFERROR(F2/A2,1)
IFERROR(A2^F2,1)
IFERROR(ATAN2(F2,A2),1)
IFERROR(MOD(F2,A2),1)
SUM(IFERROR(A2:B2/B2,1))
LOOKUP(9,H$1:H$8,C$1:C$5)
PMT(B4,2,A2)
NPER(B5,5,C3)
POISSON.DIST(1,B2,FALSE)
GAMMA.DIST(B2,2,1,FALSE)
CHISQ.DIST(B2,2,FALSE)
CHISQ.DIST(B2,1,TRUE)
BETA.DIST(B2,1,1,FALSE)
F.DIST(B2,2,2,FALSE)
"""
"""Formulas in row 2 that once differed, or crashed, in a region."""


FOUND_IN_TRAINING = """
MATCH(A2,$E$1:$E$8,0)
LOOKUP(B2,$H$1:$H$5)
XLOOKUP(A2,$E$1:$E$3,$B$1:$B$3)
CHOOSE(A2,B2,C2)
INDEX($E$1:$E$8,A2)
INDEX(C$1:C$8,ABS(A2))
RANK.EQ(B2,A$1:A$8)
MROUND(A2,0.5)
XOR(F2,A2)
XOR(AVERAGEIFS(E2:E3,F2:F3,"zz"),A2)
SWITCH(A2,F2,1,2)
SWITCH(F2,A2,1,2)
SUM(IF(A2>0,A2:C2,E2))
COUNT(LN(A2))
A2^(1/3)
PMT(-1,3,A2,1,TRUE)
PV(-1,3,A2)
NPER(B5,5,C3)
IPMT(B4,1,2,A2)
IF(F2+A2>0,1,2)
IFS(PERCENTILE.EXC(B2:B3,0.25)>0,D2,TRUE,2)
ROUNDUP(A3,2)
ROUNDDOWN(A4+A5,1)
LOOKUP(EXP(B6),$H$1:$H$8,A$1:A$5)
SUM(GROWTH(B2:B4,C2:C4))
LOGEST(A2:A4)
"""
"""Formulas in row 2 whose value, or whose error, was another one in training."""


def entry(formula: str) -> Writer:
    """What is entered for a formula in row 2."""
    text = formula if formula.startswith("{") else f"={formula}"
    return lambda row: copied(text, row - FIRST)


@pytest.mark.parametrize("formula", lines_of(FOUND))
def test_found_before(formula: str) -> None:
    for row in REGION:
        check_value(entry(formula), row)
        check_gradient(entry(formula), row)


@pytest.mark.parametrize("formula", lines_of(FOUND_IN_TRAINING))
def test_found_in_training(formula: str) -> None:
    for row in REGION:
        check_training(entry(formula), row)


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        ("GEOMEAN", ["#NUM!", "#NUM!", 4.0, "#NUM!", "#NUM!"]),
        ("HARMEAN", ["#NUM!", "#NUM!", 4.0, "#NUM!", "#NUM!"]),
        ("DEVSQ", [0.0, "#NUM!", 0.0, 0.0, "#NUM!"]),
        ("AVEDEV", [0.0, "#NUM!", 0.0, 0.0, "#NUM!"]),
    ],
)
def test_a_copy_without_numbers_spoils_no_other(function: str, shown: list[object]) -> None:
    grid = '0 |\n"abc" |\n4 |\n-1 |\n'
    cells = {f"B{row}": f"={function}(A{row})" for row in range(1, 6)}
    assert [line[0] for line in values(workbook(grid, cells), "B1:B5")] == shown
