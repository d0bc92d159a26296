"""From formula text to trees: precedence, references, names, tables, and what does not parse."""

from __future__ import annotations

from pathlib import Path

import pytest

from xl2torch.cells.address import CellAddress, column_letters, parse_a1
from xl2torch.errors import FormulaError
from xl2torch.formula.ast import (
    ArrayConstant,
    Binary,
    Bound,
    Call,
    Error,
    FunctionName,
    Invoke,
    Local,
    Logical,
    Missing,
    Node,
    Number,
    Opaque,
    Reference,
    Text,
    Unary,
)
from xl2torch.formula.parser import parse
from xl2torch.workbook.package import Package
from xl2torch.workbook.read.reader import DefinedName, Workbook
from xl2torch.workbook.read.sheet_reader import Sheet, Table
from xl2torch.workbook.sparse_cells import SparseCells

# name | range | header rows | totals rows | columns; sheet in front of the range
TABLES = """
Sales | Sheet1!E2:H6   | 1 | 1 | Qty, Unit Price, a]b#, It's
Bare  | My sheet!A1:B3 | 0 | 0 | x, y
"""
SHEETS = ("Sheet1", "My sheet", "O'Brien", "2024", "Données")
# name | text | sheet, for names of sheet scope
NAMES = """
Rate    | Sheet1!$A$1             |
Rate    | 'My sheet'!$B$2         | My sheet
Local   | Sheet1!$B$1             | Sheet1
Below   | Sheet1!A2               |
Half    | 0.5                     |
Twice   | SUM(Sheet1!$A$1:$A$3)*2 |
Nested  | Twice+Half              |
Self    | Self+1                  |
Broken  | 1+                      |
Block   | Sheet1!$A$1:$B$5        |
YTD2024 | Sheet1!$C$1             |
My.Name | TRUE                    |
Größe   | 7                       |
"""

# All in the cell J4 of Sheet1 unless the section says another cell.
CASES = """
precedence
    1+2*3            -> (+ 1 (* 2 3))
    (1+2)*3          -> (* (+ 1 2) 3)
    1-2-3            -> (- (- 1 2) 3)
    1-2+3            -> (+ (- 1 2) 3)
    1/2/3            -> (/ (/ 1 2) 3)
    2*3/4            -> (/ (* 2 3) 4)
    2^3^2            -> (^ (^ 2 3) 2)
    -2^2             -> (^ (- 2) 2)
    2^-1             -> (^ 2 (- 1))
    -2^-2            -> (^ (- 2) (- 2))
    2^-3^2           -> (^ (^ 2 (- 3)) 2)
    2*3^2            -> (* 2 (^ 3 2))
    -2*3             -> (* (- 2) 3)
    2*-3             -> (* 2 (- 3))
    1--1             -> (- 1 (- 1))
    --1              -> (- (- 1))
    +1               -> (+ 1)
    -+1              -> (- (+ 1))
    5%               -> (% 5)
    5%%              -> (% (% 5))
    2^3%             -> (^ 2 (% 3))
    2%^3             -> (^ (% 2) 3)
    1+5%             -> (+ 1 (% 5))
    2*5%*3           -> (* (* 2 (% 5)) 3)
    1+2&3            -> (& (+ 1 2) 3)
    1&2+3            -> (& 1 (+ 2 3))
    1&2&3            -> (& (& 1 2) 3)
    1&2=12           -> (= (& 1 2) 12)
    1<2=TRUE         -> (= (< 1 2) TRUE)
    1+1<>2*3         -> (<> (+ 1 1) (* 2 3))
    1>=2             -> (>= 1 2)
    1<=2             -> (<= 1 2)
    @A1+1            -> (+ (@ A1) 1)
    -@A1:A3          -> (- (@ A1:A3))
    A1#*2            -> (* ANCHORARRAY(A1) 2)
    (A1)             -> A1
    ((1))            -> 1
    " 1 " & 2        -> (& " 1 " 2)
    1 + 2 * 3        -> (+ 1 (* 2 3))

literals
    1.5E3            -> 1500
    1e-2             -> 0.01
    .5               -> 0.5
    5.               -> 5
    "a""b"           -> "a"b"
    ""               -> ""
    "A1:B2"          -> "A1:B2"
    TRUE             -> TRUE
    false            -> FALSE
    TRUE()           -> TRUE()
    #N/A             -> #N/A
    #DIV/0!          -> #DIV/0!
    #VALUE!          -> #VALUE!
    #REF!            -> #REF!
    #NAME?           -> #NAME?
    #NUM!            -> #NUM!
    #NULL!           -> #NULL!
    1+#N/A           -> (+ 1 #N/A)
    IF(#REF!>1,#N/A) -> IF((> #REF! 1), #N/A)
    {1,2;3,4}        -> {1,2;3,4}
    {1}              -> {1}
    {-1,+2,"a",TRUE,#N/A} -> {-1,2,"a",TRUE,#N/A}
    { 1 , 2 ; 3 , 4 } -> {1,2;3,4}
    {1;2}*{3,4}      -> (* {1;2} {3,4})

calls
    SUM(A1,2)        -> SUM(A1, 2)
    sum(a1)          -> SUM(A1)
    SUM( A1 , 2 )    -> SUM(A1, 2)
    PI()             -> PI()
    IF(A1,,2)        -> IF(A1, _, 2)
    IF(,)            -> IF(_, _)
    SUM(1,)          -> SUM(1, _)
    SUM((1+2),3)     -> SUM((+ 1 2), 3)
    IF(A1>0,-A1,A1%) -> IF((> A1 0), (- A1), (% A1))
    NORM.DIST(1,0,1,TRUE) -> NORM.DIST(1, 0, 1, TRUE)
    LOG10(A1)        -> LOG10(A1)
    ATAN2(1,2)       -> ATAN2(1, 2)
    _xlfn.SINGLE(A1) -> SINGLE(A1)
    _xlfn._xlws.SORT(A1:A3) -> SORT(A1:A3)
    SUM(MAX(1,2),MIN(3)) -> SUM(MAX(1, 2), MIN(3))

LET and LAMBDA
    LET(x,1,x+1)                     -> LET(x, 1, (+ x 1))
    _xlfn.LET(_xlpm.x,A1,_xlpm.x*2)  -> LET(x, A1, (* x 2))
    LET(x,1,y,x,x+y)                 -> LET(x, 1, y, x, (+ x y))
    LET(X,1,x)                       -> LET(x, 1, x)
    LET(x,x,x)                       -> LET(x, #NAME?, x)
    LAMBDA(x,[y],x+y)                -> LAMBDA(x, [y], (+ x y))
    LAMBDA(x,x)(2)                   -> <LAMBDA(x, x)>(2)
    LAMBDA(x,LAMBDA(y,x+y))(1)(2)    -> <<LAMBDA(x, LAMBDA(y, (+ x y)))>(1)>(2)
    LET(f,LAMBDA(x,x),f(3))          -> LET(f, LAMBDA(x, x), <f>(3))
    MAP(A1:A2,LAMBDA(a,a*2))         -> MAP(A1:A2, LAMBDA(a, (* a 2)))
    BYROW(A1:B2,SUM)                 -> BYROW(A1:B2, SUM())
    BYROW(A1:B2,_xleta.SUM)          -> BYROW(A1:B2, SUM())
    IFERROR(__xludf.DUMMYFUNCTION("x"),1) -> IFERROR(DUMMYFUNCTION("x"), 1)
    __xludf.DUMMYFUNCTION("SPLIT(A1,""/"")*B2") -> DUMMYFUNCTION("SPLIT(A1,"/")*B2", B2, A1)
    DUMMYFUNCTION("A1 ! B2")         -> DUMMYFUNCTION("A1 ! B2", B2, A1)
    DUMMYFUNCTION("A1:B+SUM(C2:D4)") -> DUMMYFUNCTION("A1:B+SUM(C2:D4)", C2:D4, A1)
    DUMMYFUNCTION()                  -> DUMMYFUNCTION()

references
    A1               -> A1
    $A$1             -> $A$1
    A$1              -> A$1
    $A1              -> $A1
    a1               -> A1
    A1:B2            -> A1:B2
    B2:A1            -> A1:B2
    A2:B1            -> A1:B2
    $A$1:B2          -> $A$1:B2
    A1 : B2          -> A1:B2
    A:C              -> A$1:C$1048576
    $C:$A            -> $A$1:$C$1048576
    2:3              -> $A2:$XFD3
    LOG10            -> LOG10
    XFD1048576       -> XFD1048576
    Sheet1!A1        -> A1
    sheet1!A1        -> A1
    'My sheet'!A1    -> 'My sheet'!A1
    'My sheet'!A1:$B$2 -> 'My sheet'!A1:$B$2
    'My sheet'!A:A   -> 'My sheet'!A$1:A$1048576
    'My sheet'!A1:'My sheet'!B2 -> 'My sheet'!A1:B2
    'O''Brien'!A1    -> 'O'Brien'!A1
    '2024'!A1        -> '2024'!A1
    Données!A1       -> 'Données'!A1
    'My sheet'!A1+A1 -> (+ 'My sheet'!A1 A1)
    Nope!A1          -> #REF!
    Sheet1!#REF!     -> #REF!
    'My sheet'!#REF! -> #REF!
    Sheet1:Données!A1 -> ?Sheet1:Données!A1
    [1]Sheet1!A1     -> ?[1]Sheet1!A1
    '[Book 2.xlsx]Sheet1'!A1 -> ?'[Book 2.xlsx]Sheet1'!A1
    A1:INDEX(B1:B3,2) -> RANGE(A1, INDEX(B1:B3, 2))
    INDEX(A1:A3,1):A9 -> RANGE(INDEX(A1:A3, 1), A9)
    A1:B2 B1:C3      -> INTERSECTION(A1:B2, B1:C3)
    SUM(A:A 2:3)     -> SUM(INTERSECTION(A$1:A$1048576, $A2:$XFD3))
    (A1,B2)          -> UNION(A1, B2)
    SUM((A1,B2),C3)  -> SUM(UNION(A1, B2), C3)
    A1:B2:C3         -> A1:C3
    (A1:B5):C1       -> A1:C5
    Block:$C$1       -> $A$1:$C$5

names
    Rate             -> $A$1
    RATE*2           -> (* $A$1 2)
    Local            -> $B$1
    Sheet1!Rate      -> $A$1
    'My sheet'!Rate  -> 'My sheet'!$B$2
    Sheet1!Local     -> $B$1
    memory.xlsx!Rate -> $A$1
    Half^2           -> (^ 0.5 2)
    Twice            -> (* SUM($A$1:$A$3) 2)
    Twice^2          -> (^ (* SUM($A$1:$A$3) 2) 2)
    Nested           -> (+ (* SUM($A$1:$A$3) 2) 0.5)
    Below            -> J5
    My.Name          -> TRUE
    Größe            -> 7
    YTD2024          -> $C$1
    Nope             -> #NAME?
    A1B              -> #NAME?
    XFE1             -> #NAME?
    A1048577         -> #NAME?
    Broken           -> ?Broken
    SUM(Rate,Half)   -> SUM($A$1, 0.5)

names seen from 'My sheet'!C3
    Rate             -> $B$2
    Local            -> #NAME?
    Sheet1!Local     -> 'Sheet1'!$B$1
    Sheet1!Rate      -> 'Sheet1'!$A$1

tables
    Sales            -> $E$3:$H$5
    Sales[]          -> $E$3:$H$5
    Sales[Qty]       -> $E$3:$E$5
    sales[qty]       -> $E$3:$E$5
    Sales[Unit Price] -> $F$3:$F$5
    Sales[[Unit Price]] -> $F$3:$F$5
    Sales[a']b'#]    -> $G$3:$G$5
    Sales[It''s]     -> $H$3:$H$5
    Sales[[It''s]]   -> $H$3:$H$5
    Sales[#All]      -> $E$2:$H$6
    Sales[#Data]     -> $E$3:$H$5
    Sales[#Headers]  -> $E$2:$H$2
    Sales[#Totals]   -> $E$6:$H$6
    Sales[#This Row] -> $E4:$H4
    Sales[@]         -> $E4:$H4
    Sales[@Qty]      -> $E4
    Sales[@[Unit Price]] -> $F4
    Sales[@[a']b'#]] -> $G4
    Sales[@[Qty]:[a']b'#]] -> $E4:$G4
    Sales[[#This Row],[Qty]] -> $E4
    Sales[[#this row],[Qty]] -> $E4
    Sales[[#This Row],[Qty]:[Unit Price]] -> $E4:$F4
    Sales[[#This Row], [Unit Price]] -> $F4
    Sales[ [#This Row], [Qty] ] -> $E4
    Sales[[Qty]:[Unit Price]] -> $E$3:$F$5
    Sales[[Unit Price]:[Qty]] -> $E$3:$F$5
    Sales[[Qty] : [Unit Price]] -> $E$3:$F$5
    Sales[[#All],[Qty]] -> $E$2:$E$6
    Sales[[#All],[Qty]:[Unit Price]] -> $E$2:$F$6
    Sales[[#Headers],[Unit Price]] -> $F$2
    Sales[[#Totals],[Unit Price]] -> $F$6
    Sales[[#Data],[Qty]] -> $E$3:$E$5
    Sales[[#Headers],[#Data],[Qty]] -> $E$2:$E$5
    Sales[[#Data],[#Totals],[Qty]] -> $E$3:$E$6
    SUM(Sales[Qty])*2 -> (* SUM($E$3:$E$5) 2)
    Sales[Qty]*Sales[Unit Price] -> (* $E$3:$E$5 $F$3:$F$5)
    Bare             -> 'My sheet'!$A$1:$B$3
    Bare[y]          -> 'My sheet'!$B$1:$B$3
    Bare[#All]       -> 'My sheet'!$A$1:$B$3
    Bare[#Headers]   -> #REF!
    Bare[#Totals]    -> #REF!
    Bare[@x]         -> #VALUE!
    Sales[Nope]      -> #REF!
    Nope[Qty]        -> #REF!

tables seen from Sheet1!H4
    [@Qty]           -> $E4
    [@[Unit Price]]  -> $F4
    [@It''s]         -> $H4
    [Qty]            -> $E$3:$E$5
    [@]              -> $E4:$H4
    [[#This Row],[Qty]] -> $E4
    [[#Totals],[Qty]] -> $E$6
    [#Headers]       -> $E$2:$H$2
    [@Qty]*[@[Unit Price]] -> (* $E4 $F4)

tables seen from Sheet1!J2
    Sales[@Qty]      -> #VALUE!
    Sales[Qty]       -> $E$3:$E$5

tables seen from Sheet1!J6
    Sales[@Qty]      -> #VALUE!
"""

# formula | position of the culprit
ERRORS = """
1+          | 2
*2          | 0
1**2        | 2
(1+2        | 4
SUM(1       | 5
SUM(1,2))   | 8
)           | 0
1 2         | 2
A1 2        | 3
1+"abc      | 2
A1:         | 3
Sheet1!     | 7
Sheet1!2    | 7
{1,2;3}     | 7
{A1}        | 3
{1+1}       | 2
{}          | 1
{1,2        | 4
1+~         | 2
,1          | 0
1,2         | 1
A1 +        | 4
"""


def table_of(line: str) -> Table:
    """A table from a line of TABLES."""
    name, place, header, totals, columns = (cell.strip() for cell in line.split("|"))
    sheet, _, cells = place.partition("!")
    area = parse_a1(cells, sheet)
    assert area is not None
    names = tuple(column.strip() for column in columns.split(","))
    return Table(name, area, names, int(header), int(totals))


def named(line: str) -> DefinedName:
    """A defined name from a line of NAMES."""
    name, text, sheet = (cell.strip() for cell in line.split("|"))
    return DefinedName(name, text, sheet or None)


def lines(text: str) -> list[str]:
    """Lines that are not empty."""
    return [line for line in text.split("\n") if line.strip()]


def workbook() -> Workbook:
    """Empty sheets with the tables and names above."""
    tables = [table_of(line) for line in lines(TABLES)]
    empty = SparseCells.of([], [], [])
    sheets = tuple(
        Sheet(name, name, empty, (), tuple(t for t in tables if t.range.sheet == name), False)
        for name in SHEETS
    )
    names = tuple(named(line) for line in lines(NAMES))
    return Workbook(Package(Path("memory.xlsx"), {}, ()), sheets, SHEETS, names, False)


BOOK = workbook()


def drawn(node: Node, cell: CellAddress) -> str:
    """A tree as text: operators first, references in A1 notation as ``cell`` means them."""
    match node:
        case Number(number):
            return f"{number:g}"
        case Text(text):
            return f'"{text}"'
        case Logical(truth):
            return str(truth).upper()
        case Error(error):
            return str(error)
        case Missing():
            return "_"
        case ArrayConstant(rows):
            return "{" + ";".join(",".join(drawn(x, cell) for x in row) for row in rows) + "}"
        case Reference():
            return drawn_reference(node, cell)
        case Unary(symbol, operand):
            return f"({symbol} {drawn(operand, cell)})"
        case Binary(symbol, left, right):
            return f"({symbol} {drawn(left, cell)} {drawn(right, cell)})"
        case Call(name, arguments):
            return f"{name}({', '.join(drawn(argument, cell) for argument in arguments)})"
        case Local(name, optional):
            return f"[{name}]" if optional else name
        case FunctionName(name):
            return f"{name}()"
        case Invoke(callee, arguments):
            inside = ", ".join(drawn(argument, cell) for argument in arguments)
            return f"<{drawn(callee, cell)}>({inside})"
        case Opaque(text, _):
            return f"?{text}"


def drawn_reference(node: Reference, cell: CellAddress) -> str:
    """A reference; the sheet only where it is another one."""

    def corner(row: Bound, column: Bound) -> str:
        across = column_letters(column.at(cell.column))
        marks = ("" if bound.relative else "$" for bound in (column, row))
        return f"{next(marks)}{across}{next(marks)}{row.at(cell.row)}"

    first, last = corner(node.top, node.left), corner(node.bottom, node.right)
    sheet = "" if node.sheet == cell.sheet else f"'{node.sheet}'!"
    return f"{sheet}{first}" if first == last else f"{sheet}{first}:{last}"


def parameters() -> list[object]:
    """The rows of CASES as pytest parameters: formula, cell, expected."""
    found: list[object] = []
    heading = cell = ""
    for line in lines(CASES):
        if not line.startswith(" "):
            heading = line
            cell = line.partition(" seen from ")[2] or "Sheet1!J4"
            continue
        formula, _, expected = (part.strip() for part in line.partition(" -> "))
        found.append(pytest.param(formula, cell, expected, id=f"{heading}-{formula}"))
    return found


@pytest.mark.parametrize(("formula", "cell", "expected"), parameters())
def test_tree(formula: str, cell: str, expected: str) -> None:
    sheet, _, place = cell.replace("'", "").partition("!")
    area = parse_a1(place, sheet)
    assert area is not None
    assert drawn(parse(formula, area.first, BOOK), area.first) == expected


@pytest.mark.parametrize("line", lines(ERRORS))
def test_error_and_its_position(line: str) -> None:
    formula, position = (part.strip() for part in line.rsplit("|", 1))
    with pytest.raises(FormulaError) as caught:
        parse(formula, CellAddress("Sheet1", 4, 10), BOOK)
    assert (caught.value.formula, caught.value.position) == (formula, int(position))
    culprit = str(caught.value).splitlines()
    assert culprit[-1].index("^") == culprit[-2].index("=") + 1 + int(position)


def test_a_name_that_refers_to_itself() -> None:
    tree = drawn(parse("Self", CellAddress("Sheet1", 1, 1), BOOK), CellAddress("Sheet1", 1, 1))
    assert "?Self" in tree


@pytest.mark.parametrize("formula", ["(" * 5000 + "1" + ")" * 5000, "-" * 5000 + "1"])
def test_too_deep(formula: str) -> None:
    with pytest.raises(FormulaError, match="nested too deeply"):
        parse(formula, CellAddress("Sheet1", 1, 1), BOOK)


def test_sixty_four_levels_are_allowed() -> None:
    """Excel's own limit of nesting."""
    formula = "IF(A1," * 63 + "1" + ")" * 63
    tree: Node = parse(formula, CellAddress("Sheet1", 1, 1), BOOK)
    for _ in range(63):
        assert isinstance(tree, Call)
        tree = tree.arguments[1]
    assert tree == Number(1.0)


def test_copies_have_equal_trees() -> None:
    first = parse("SUM(A1:$B$2)*C$1", CellAddress("Sheet1", 1, 4), BOOK)
    second = parse("SUM(B3:$B$2)*D$1", CellAddress("Sheet1", 3, 5), BOOK)
    assert first == second
    assert hash(first) == hash(second)
