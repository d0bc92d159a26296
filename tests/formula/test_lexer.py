"""Text work on formulas: tokens, the key that all copies share, and copying."""

from __future__ import annotations

import pytest

from xl2torch.cells.address import moved, relative_form
from xl2torch.errors import FormulaError
from xl2torch.formula.lexer import tokenize

# formula | rows down, columns right | as Excel copies it
COPIES = """
A1                            | 1 1  | B2
$A$1                          | 1 1  | $A$1
$A1                           | 1 1  | $A2
A$1                           | 1 1  | B$1
A1                            | 0 0  | A1
B2                            | -1 -1 | A1
Z9                            | 1 1  | AA10
ZZ99                          | 1 1  | AAA100
A1:B2                         | 2 0  | A3:B4
$A$1:A5                       | 1 0  | $A$1:A6
A$1:$B2                       | 3 1  | B$1:$B5
A:A                           | 5 1  | B:B
$A:B                          | 5 1  | $A:C
1:1                           | 2 5  | 3:3
$1:2                          | 1 0  | $1:3
SUM(A1:A3)*B$1                | 1 1  | SUM(B2:B4)*C$1
LOG10(A1)                     | 1 0  | LOG10(A2)
ATAN2(A1,B1)                  | 1 0  | ATAN2(A2,B2)
SUMX2MY2(A1:A2,B1:B2)         | 1 0  | SUMX2MY2(A2:A3,B2:B3)
_xlfn.BITAND(A1,1)            | 1 0  | _xlfn.BITAND(A2,1)
LOG10+A1                      | 1 0  | LOG11+A2
A1B                           | 1 1  | A1B
A1B+A1                        | 1 1  | A1B+B2
Q1_total*A1                   | 1 0  | Q1_total*A2
x.A1                          | 1 0  | x.A1
A1.x                          | 1 0  | A1.x
_A1                           | 1 0  | _A1
Rate*A1                       | 1 0  | Rate*A2
YTD2024*A1                    | 1 0  | YTD2024*A2
AA2000000*A1                  | 1 0  | AA2000000*A2
"A1"&A1                       | 1 0  | "A1"&A2
"a ""A1"" A1"&A1              | 1 0  | "a ""A1"" A1"&A2
'A1'!A1                       | 1 1  | 'A1'!B2
'It''s A1'!A1                 | 1 1  | 'It''s A1'!B2
Sheet1!A1:B2                  | 1 1  | Sheet1!B2:C3
Sheet1:Sheet3!A1              | 1 1  | Sheet1:Sheet3!B2
Jan:Mar!A1                    | 1 1  | Jan:Mar!B2
[1]Sheet1!A1                  | 1 1  | [1]Sheet1!B2
Sales[A1]+A1                  | 1 1  | Sales[A1]+B2
Sales[[#This Row],[A1]:[B2]]  | 1 1  | Sales[[#This Row],[A1]:[B2]]
Sales[@A1]*A1                 | 1 0  | Sales[@A1]*A2
Sales[a']A1]&A1               | 1 0  | Sales[a']A1]&A2
[@[A1 b]]+A1                  | 1 0  | [@[A1 b]]+A2
1E5+A1                        | 1 0  | 1E5+A2
1.5E-3*A1                     | 1 0  | 1.5E-3*A2
2*A1%                         | 1 0  | 2*A2%
-A1^2                         | 1 0  | -A2^2
@A1:A3                        | 1 0  | @A2:A4
A1#                           | 1 0  | A2#
{1,2;3,4}*A1                  | 1 0  | {1,2;3,4}*A2
#REF!+A1                      | 1 0  | #REF!+A2
A1                            | -1 0 | #REF!
A1                            | 0 -1 | #REF!
A1048576                      | 1 0  | #REF!
XFD1                          | 0 1  | #REF!
SUM(A1:A3)                    | -1 0 | SUM(#REF!)
"""

# Formulas in the cell D10; their copies must have the same key, other formulas another one.
KEYED = """
A1+B10*$C$3
$A1:A$5
SUM(A:A)/SUM(1:1)
SUM($A:B)+SUM($1:3)
LOG10(D9)+LOG10
IF(C10="A1",C9,'A1'!C9)
Sales[A1]*C10
'It''s 1'!$B$2:C7
YTD2024*C10
"""

DIFFERENT = """
A1 | A2
A1 | $A$1
A1 | $A1
A1 | A$1
$A1 | A$1
A:A | B:B
A:A | $A:A
1:1 | 2:2
A1:A3 | A1:A4
"A1" | "A2"
'A1'!A1 | 'A2'!A1
Sales[A1] | Sales[A2]
A1B | A2B
LOG10(1) | LOG11(1)
A1+1 | A1+2
"""

TOKENS = """
1+2                | number operator number
-1.5E-3%           | operator number operator
.5<=5.             | number operator number
"a""b"&""          | string operator string
SUM(A1:B2,3)       | function cell operator cell operator number operator
LOG10(1)           | function number operator
A:A                | columns
1:3                | rows
$A1:A$1            | cell operator cell
'It''s'!A1         | sheet cell
Sheet1!Rate        | sheet name
[1]Sheet1!A1       | sheet cell
Sales[[#All],[A]]  | table
[@A]               | table
Rate_2.x           | name
A1B                | name
#N/A+#DIV/0!       | error operator error
{1;2}              | operator number operator number operator
A1#                | cell operator
TRUE<>FALSE        | name operator name
A1 B1              | cell space cell
"""


def lines(table: str) -> list[tuple[str, ...]]:
    """The rows of a table, cut at ``|``."""
    return [tuple(cell.strip() for cell in line.split("|")) for line in table.split("\n") if line]


@pytest.mark.parametrize(("formula", "by", "expected"), lines(COPIES))
def test_moved(formula: str, by: str, expected: str) -> None:
    rows, columns = (int(number) for number in by.split())
    assert moved(formula, rows, columns) == expected


@pytest.mark.parametrize(("formula",), lines(KEYED))
def test_copies_share_their_key(formula: str) -> None:
    key = relative_form(formula, 10, 4)
    for rows, columns in ((1, 0), (0, 1), (7, 3), (100, 30)):
        copy = moved(formula, rows, columns)
        assert relative_form(copy, 10 + rows, 4 + columns) == key
        if copy != formula:
            assert relative_form(formula, 10 + rows, 4 + columns) != key


@pytest.mark.parametrize(("first", "second"), lines(DIFFERENT))
def test_different_formulas_have_different_keys(first: str, second: str) -> None:
    assert relative_form(first, 5, 5) != relative_form(second, 5, 5)


@pytest.mark.parametrize(("formula", "kinds"), lines(TOKENS))
def test_tokens(formula: str, kinds: str) -> None:
    tokens = tokenize(formula)
    assert [token.kind for token in tokens] == kinds.split()
    assert "".join(token.text for token in tokens) == formula
    assert all(formula.startswith(token.text, token.position) for token in tokens)


@pytest.mark.parametrize(("formula", "position"), [('1+"abc', 2), ("A1~2", 2), ("1+'x", 2)])
def test_what_is_no_token(formula: str, position: int) -> None:
    with pytest.raises(FormulaError) as caught:
        tokenize(formula)
    assert caught.value.position == position
