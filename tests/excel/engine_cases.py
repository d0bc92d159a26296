"""Formulas for both engines: every function with trained cells and constants of every kind.

The formulas are those of ``sweep.py``, and of ``EXTRA`` below, with their arguments put in turn by
cells and ranges of the mixed part of the sheet: column N holds trained numbers (the variable cell
is N1), column O constants of every kind, the columns from Q ranges of both, below them the same
ranges as rows, and from row 30 on the rows that copied formulas read.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import sweep

from xl2torch.cells.address import column_letters

VARIABLE = "N1"
TRAINED = """
= | =$N$1 | =-$N$1 | =2*$N$1 | =1/$N$1 | =SQRT($N$1) | =400*$N$1 | =0.1*$N$1 | =$N$1>1
| =IF($N$1>1,$N$1,NA()) | =$N$1+45000 | =1/3*$N$1
"""
"""Column N."""
CONSTANT = """
5 | 0 | -2 | 0.5 | "x" | "5" | TRUE | | #N/A | #DIV/0! | "" | -3.7 | FALSE | 3 | 1
"""
"""Column O."""
RANGES = """
=$N$1     | =-$N$1     | =2*$N$1   |         | 3
=$N$1     | "x"        | 5         | =2*$N$1 | -2
"5"       | =$N$1      | TRUE      |         | 5
=$N$1     | #N/A       | =-$N$1    | 3       | 0
=$N$1     | #DIV/0!    | "x"       | =2*$N$1 | 1
=1/$N$1   | =SQRT($N$1)| 3         | =$N$1   | -1.5
=400*$N$1 | =$N$1      | 10        | 0       | 2
          |            |           | =$N$1   |
=$N$1>1   | =$N$1      | FALSE     | 3       | 0
0.3       | =0.1*$N$1  | =$N$1     | 3       | =0.1*3
=$N$1     | =$N$1+1    | =$N$1+2   | =$N$1+3 | =$N$1+4
=$N$1     | "5"        |           | FALSE   | 5
5         | 1          | 7         | 3       | 9
1         | 3          | 3         | 5       | 9
9         | 5          | 3         | 3       | -1
"a"       | "b"        | "x"       | 3       | 0
"x"       | "5"        | TRUE      |         | 3
1         | #N/A       | 3         | "x"     | 5
"""
"""Each line is a range: a column from Q on, and a row from Q10 on."""
TRAINED_RANGES = 12
SORTED, SOME = 13, 10
"""The ranges that the arguments have that are not put in turn."""
ROWS = """
9 | =$N$1   | 4        | 2 | =$N$1
3 | "5"     |          | 1 | =2*$N$1
1 |         | =-$N$1   | 2 | 3
2 | 2       | =2*$N$1  | 1 | =$N$1
1 | =$N$1   | "x"      | 2 | -1
5 | TRUE    | =$N$1    | 1 | =1/$N$1

9 | =$N$1   | #N/A     | 2 | =$N$1
3 | #DIV/0! | =SQRT($N$1) | 1 | 0
1 |         | =1/$N$1  | 2 | "x"
2 | =400*$N$1 | 10     | 1 | =$N$1
1 | ""      | FALSE    | 2 | "5"
5 | =$N$1>1 | 0        | 1 |
"""
"""Columns N to R from row 40 on: a condition, two cells to choose from, their number, a third."""
FIRST_RANGE, RANGE_ROW, FIRST_ROW = 17, 10, 40
CHOICES = (
    "IF($N{r}>2,$O{r},$P{r})", "CHOOSE($Q{r},$O{r},$P{r})", "IFS($N{r}>2,$O{r},TRUE,$P{r})",
    "SWITCH($Q{r},1,$O{r},2,$P{r})", "INDEX($O{r}:$P{r},$Q{r})", "IF($R{r}>1,$O{r},$P{r})",
    "$O{r}", "OFFSET($N{r},0,$Q{r})", "IFERROR($O{r},$P{r})", "IF($N{r}>2,$O{r})",
)  # fmt: skip
WIDE_CHOICES = (
    "IF($N{r}>2,$O{r},$P{r})", "IF($N{r}>2,$O{r}:$P{r},$P{r}:$R{r})", "$O{r}:$R{r}",
    "CHOOSE($Q{r},$O{r}:$P{r},$R{r})", "IFS($N{r}>2,$O{r},TRUE,$P{r}:$R{r})",
    "SWITCH($Q{r},1,$O{r}:$P{r},2,$P{r})", "IF($R{r}>1,$O{r}:$P{r},$P{r})",
    "IF($N{r}>2,$O{r}:$P{r})", "OFFSET($N{r},0,$Q{r},1,2)",
)  # fmt: skip
COMPUTED = (
    "1/(@>0)", "@*2", "IF(@>0,@)", 'IF(@>0,@,"")', "--(@>1)", "@&\"\"", "IFERROR(@,0)", "@=3",
    "IF(ISNUMBER(@),@,0)", "CHOOSE({1,2},@,@)", "@^0.5", "LN(@)", "-@",
)  # fmt: skip
"""Arrays made of a range: arguments of array formulas."""

EXTRA = """
XLOOKUP : 3 | "x" ; A1:A5 | F1:F5 ; B1:B5
XLOOKUP : 3 | "x" ; A1:A5 | F1:F5 ; B1:B5 ; -9 ; 0 | -1 | 1 | 2
XLOOKUP : 3 ; A1:A5 ; B1:B5 ; -9 ; 0 | -1 | 1 ; 1 | -1 | 2 | -2
XMATCH : 3 | "x" ; A1:A5 | F1:F5
XMATCH : 3 | "x" ; A1:A5 | F1:F5 ; 0 | -1 | 1 | 2
XMATCH : 3 ; A1:A5 ; 0 | -1 | 1 ; 1 | -1 | 2 | -2
MATCH : 3 | "x" ; A1:A5 | F1:F5 ; 1 | 0 | -1
MATCH : 3 ; A1:A5
VLOOKUP : 3 ; A1:B5 ; 2 ; TRUE | FALSE
HLOOKUP : 3 ; A12:E13 ; 2 ; TRUE | FALSE
LOOKUP : 3 ; A1:A5
LOOKUP : 2 ; A1:A5 ; B1:B5
COUNTIF SUMIF AVERAGEIF : A1:A5 ; 3 | "5" | "x" | TRUE | ">0" | "<>0" | "<>x" | ""
    | "=" | "<>" | "=5" | ">=5"
SUMIF AVERAGEIF : A1:A5 ; 3 | ">0" | "<>x" | "=" | "5" ; B1:B5
SUMIFS AVERAGEIFS MAXIFS MINIFS : A1:A5 ; B1:B5 ; 3 | ">0" | "<>x" | "=" | "5" | "<>" | TRUE
COUNTIFS : A1:A5 ; 3 | ">0" | "<>x" | "=" ; B1:B5 ; ">0" | "<5"
COUNTIF : A1:A5 ; ">"&2 | "<>"&0 | "="&3
XOR AND OR : TRUE ; FALSE
XOR AND OR : A1:A5
XOR AND OR : A1:A5 ; TRUE
MAX MIN AVERAGE SUM COUNT COUNTA PRODUCT MEDIAN MAXA MINA AVERAGEA STDEV VAR : 1 ; 2 ; 4
EXP FACT GAMMA FACTDOUBLE SQRT COSH SINH : 800 | 200 | -1
FV : 10 ; 400 ; -100
PMT : 10 ; 400 ; 100
PMT : 0.05 ; 10 ; 1000
^ : -8 ; 1/3
POWER : -8 ; 0.5
= < > <> <= >= : 0.3 ; 3
IF : 1 ; 2 ; 3
IF : 1 ; 2
IFERROR IFNA : 1 ; 2
IFS : TRUE ; 2 ; TRUE ; 3
SWITCH : 1 ; 1 ; 2 ; 3
SWITCH : 3 ; 1 ; 2 ; 3 ; 4 ; 5
CHOOSE : 1 ; 2 ; 3
ISBLANK ISERR ISERROR ISLOGICAL ISNA ISNONTEXT ISNUMBER ISTEXT N T TYPE ERROR.TYPE LEN VALUE : 1
INDEX : A1:A5 ; 2
INDEX : A1:B5 ; 2 ; 1
SUMPRODUCT : A1:A5 ; B1:B5
SUMPRODUCT : A1:A5
RANK LARGE SMALL : 3 ; A1:A5
LARGE SMALL PERCENTILE QUARTILE TRIMMEAN : A1:A5 ; 1
EXACT : "a" ; "b"
& CONCATENATE : 1 ; 2
CONCAT : A1:A5 ; 2
TEXTJOIN : "," ; TRUE ; A1:A5
NOT : TRUE
AGGREGATE : 9 | 4 | 5 | 1 | 2 | 12 | 14 ; 6 | 2 | 0 ; A1:A5 ; 1
SUBTOTAL : 9 | 1 | 2 | 3 | 4 | 5 | 6 ; A1:A5
"""
WRAPPED = """
SUM(FILTER(@,@>1)) | SUM(FILTER(@,@>99,7)) | INDEX(SORT(@),2) | INDEX(SORT(@,1,-1),1)
| INDEX(UNIQUE(@),2) | SUM(TAKE(@,2)) | SUM(DROP(@,1)) | INDEX(SORTBY(@,@),1) | COUNT(TOCOL(@))
| COUNT(TOCOL(@,1)) | COUNT(TOCOL(@,3)) | SUM(TOROW(@,2)) | SUM(VSTACK(@,1)) | SUM(HSTACK(@,1))
| SUM(CHOOSEROWS(@,2,4)) | SUM(EXPAND(@,6,1,0)) | SUM(MAP(@,LAMBDA(x,x*2)))
| COUNT(MAP(@,LAMBDA(x,IF(x>1,x,"")))) | REDUCE(0,@,LAMBDA(a,x,a+x))
| SUM(SCAN(0,@,LAMBDA(a,x,a+x)))
| SUM(BYROW(@,LAMBDA(r,MAX(r)))) | LET(a,SUM(@),a*2) | SUM(TRANSPOSE(@)) | LOOKUP(2,1/(@>0),@)
| SUM(IFERROR(@,0)) | SUM(IF(ISNUMBER(@),@)) | MAX(IF(@>1,@)) | MIN(IF(@>1,@,"")) | SUM(--(@=3))
| SUMPRODUCT(--(@>1),@) | SUMPRODUCT((@>1)*@) | INDEX(@,MATCH(MAX(@),@,0)) | COUNT(1/(@>0))
| SUM(INDEX(@,2):INDEX(@,4)) | SUM(OFFSET(@,1,0,2,1)) | MATCH(TRUE,@>1,0) | MATCH(1,--(@>1),0)
| LOOKUP(9E307,@) | MATCH(9E307,@) | MATCH("zzz",@) | SUM(COUNTIF(@,@)) | SUMPRODUCT(1/COUNTIF(@,@))
| XLOOKUP(TRUE,@>1,@) | AND(@>0) | OR(@>2) | XOR(@>1) | SUM(N(@)) | AVERAGE(IF(@<>0,@))
| SUM(LARGE(@,{1,2}))
| MODE(@) | FREQUENCY(@,3) | IRR(@) | NPV(0.1,@) | ROWS(FILTER(@,@>1)) | SUM(@/COUNT(@)) | SUM(@*@)
| MAX(@*1) | MIN(0,@) | MAX(0,@) | COUNT(@) | COUNTA(@) | COUNTBLANK(@) | SUM(ROUND(@,0))
| SUM(ABS(@))
| SUM(MOD(@,2)) | SUM(@^0.5) | SUM(@^2) | PRODUCT(@) | SUM(EXP(@)) | SUM(LN(@)) | MEDIAN(@)
| LINEST(@)
| ISERROR(SUM(@)) | IFERROR(SUM(@),-9) | SUM(@,"3") | SUM(@,TRUE) | SUM(IF({1,0,1,1,0},@,0))
"""
"""Formulas of one range each, ordinary ones and array formulas."""

LARGE = """
$N$2*1E308 | SUM($N$2*1E308,1E308) | 1E308+$N$2*1E308 | $N$2^800 | POWER(1E200,$N$2) | EXP($N$7)
| SINH($N$7) | COSH($N$7) | FACT($N$7) | GAMMA(-1+0*$N$2) | GAMMA($N$7) | FV($N$2,$N$7,-100)
| PMT($N$2,$N$7,100) | PV(-0.5,$N$7,1) | SUMSQ($N$7,1E200*$N$2) | VAR(1E200,$N$2)
| PRODUCT(1E200,1E200,$N$2)
| COMBIN($N$7,300) | 1E308*$N$2/1E308 | NPV($N$2,1E308,1E308)
| GEOMEAN(1E308,1E308,3+0*$N$2)
| AVERAGE(1E308,1E308,$N$2) | SUMPRODUCT($N$2:$N$3,{1E308;1E308}) | MAX(0,1E308*$N$2)
| ABS(1E308*$N$2)
| TANH($N$7) | 1/(1+EXP(-$N$7)) | 1/(1+EXP($N$7)) | LN(1+EXP($N$7)) | $N$2^(1/3) | (-8)^(1/3)+0*$N$2
| -8^(1/3)+$N$2 | $N$3^0.5 | POWER($N$3,1/3) | POWER($N$3,-2) | 0^$N$2 | $N$2^0 | 0.1*$N$2=0.3
| $N$8=0.3
| $N$8*1>0.3 | 0.3<$N$8 | $N$8-0.3=0 | MATCH(0.3,$N$8:$N$9,0) | COUNTIF($N$8,0.3)
| SWITCH($N$8,0.3,1,2)
"""
"""What is too large, has no value among the reals, or is equal at 15 digits only."""

_RANGE = re.compile(r"([A-Z]+)(\d+):([A-Z]+)(\d+)")
_REFERENCE = re.compile(r'"[^"]*"|(?<![\w$.])([A-Z]{1,2})(\d+)(?![\w(.])')
_OPERATORS = frozenset(["+", "-", "*", "/", "^", "&", "=", "<>", "<", "<=", ">", ">="])


@dataclass(frozen=True)
class Case:
    """A formula; ``{r}`` in it is the row of each copy. ``rows``: where copies stand, if any."""

    function: str
    text: str
    rows: tuple[int, ...] = ()
    array: bool = False


def data_cells() -> dict[str, str]:
    """The cells that the formulas read, by address."""
    cells: dict[str, str] = {}
    for row, line in enumerate(sweep.GRID.removeprefix("\n").splitlines(), start=1):
        for column, item in enumerate(line.split("|"), start=1):
            if text := item.strip():
                cells[f"{column_letters(column)}{row}"] = _quoted(text)
    for letter, table in (("N", TRAINED), ("O", CONSTANT)):
        for row, item in enumerate(table.strip().split("|"), start=1):
            if text := item.strip(" \n="):
                cells[f"{letter}{row}"] = f"={text}" if letter == "N" else text
    for column, line in enumerate(RANGES.strip("\n").splitlines()):
        for row, item in enumerate(line.split("|")):
            if text := item.strip():
                cells[f"{column_letters(FIRST_RANGE + column)}{1 + row}"] = text
                cells[f"{column_letters(FIRST_RANGE + row)}{RANGE_ROW + column}"] = text
    lines = [line for line in ROWS.splitlines() if line]
    for row, line in enumerate(lines, start=FIRST_ROW):
        for column, item in enumerate(line.split("|"), start=14):
            if text := item.strip():
                cells[f"{column_letters(column)}{row}"] = text
    return cells


def _quoted(text: str) -> str:
    if text[0] == "'":
        return f'"{text[1:]}"'
    if text[0] == "#" or text in ("TRUE", "FALSE"):
        return text
    try:
        float(text)
    except ValueError:
        return f'"{text}"'
    return text


def absolute(text: str) -> str:
    """A formula whose references do not move."""
    return _REFERENCE.sub(
        lambda match: match[0] if match[1] is None else f"${match[1]}${match[2]}", text
    )


def column_range(index: int, width: int = 1) -> str:
    """A mixed range, as columns."""
    first = FIRST_RANGE + min(index, len(RANGES.strip().splitlines()) - width)
    return f"${column_letters(first)}$1:${column_letters(first + width - 1)}$5"


def row_range(index: int, height: int = 1) -> str:
    """A mixed range, as rows."""
    first = RANGE_ROW + min(index, len(RANGES.strip().splitlines()) - height)
    last = column_letters(FIRST_RANGE + 4)
    return f"${column_letters(FIRST_RANGE)}${first}:${last}${first + height - 1}"


def range_like(text: str, index: int) -> str:
    """The mixed range of a number, with the direction and the breadth of another range."""
    match = _RANGE.fullmatch(text)
    assert match is not None
    breadth = min(2, ord(match[3][-1]) - ord(match[1][-1]) + 1)
    if int(match[4]) - int(match[2]) < 3 and breadth > 1:
        return row_range(index, min(2, int(match[4]) - int(match[2]) + 1))
    return column_range(index, breadth)


TRAINED_SINGLES = [f"$N${row}" for row in range(1, len(TRAINED.split("|")) + 1)]
CONSTANT_SINGLES = [
    *(f"$O${row}" for row in range(1, len(CONSTANT.split("|")) + 1)),
    '"x"', '"5"', "TRUE", "1/0", "",
]  # fmt: skip


def call(name: str, arguments: Sequence[str]) -> str:
    """The text of a call, or of an operation."""
    return name.join(arguments) if name in _OPERATORS else f"{name}({','.join(arguments)})"


def signatures() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Functions with arguments of cells that do not move; ranges are mixed ones."""
    for table in (EXTRA, sweep.FORMULAS, sweep.OPERATORS):
        seen: set[tuple[str, int, int]] = set()
        for name, combinations in sweep._lines(table):
            for at, arguments in enumerate(combinations):
                limit = 12 if table is EXTRA else 1
                key = (name, len(arguments), at)
                if at < limit and arguments and (table is EXTRA or key not in seen):
                    seen.add(key)
                    yield name, tuple(arguments)


def _base(arguments: Sequence[str], index: int) -> list[str]:
    """Arguments with ranges of five cells, and nothing that moves."""
    return [range_like(text, (index, SORTED, SOME)[min(at, 2)]) if _RANGE.fullmatch(text)
            else absolute(text) for at, text in enumerate(arguments)]  # fmt: skip


def substitutions(arguments: Sequence[str]) -> Iterator[list[str]]:
    """The arguments with a trained one, and a trained one beside a constant of another kind."""
    for at, text in enumerate(arguments):
        base = _base(arguments, SORTED)
        if _RANGE.fullmatch(text):
            choices = [range_like(text, index) for index in range(TRAINED_RANGES)]
        else:
            choices = TRAINED_SINGLES
        for choice in choices:
            yield [*base[:at], choice, *base[at + 1 :]]
    for trained, other in ((i, j) for i in range(len(arguments)) for j in range(len(arguments))):
        if trained == other:
            continue
        base = _base(arguments, SORTED)
        text = arguments[trained]
        base[trained] = range_like(text, SOME) if _RANGE.fullmatch(text) else "$N$2"
        text = arguments[other]
        if _RANGE.fullmatch(text):
            choices = [range_like(text, index) for index in range(len(RANGES.strip().splitlines()))]
        else:
            choices = [*CONSTANT_SINGLES, "$N$5", "$N$6"]
        for choice in choices:
            yield [*base[:other], choice, *base[other + 1 :]]


def _copied(arguments: Sequence[str]) -> Iterator[list[str]]:
    for at, text in enumerate(arguments):
        for choice in WIDE_CHOICES if _RANGE.fullmatch(text) else CHOICES:
            base = _base(arguments, SOME)
            yield [*base[:at], choice, *base[at + 1 :]]


def _chosen(found: list[Case], most: int, seed: str) -> list[Case]:
    if len(found) <= most:
        return found
    return random.Random(seed).sample(found, most)


@cache
def cases(most: int) -> list[Case]:
    """All cases; at most so many of each signature and placement."""
    blocks = (tuple(range(FIRST_ROW, FIRST_ROW + 6)), tuple(range(FIRST_ROW + 6, FIRST_ROW + 12)))
    found: list[Case] = []
    for name, arguments in signatures():
        seed = call(name, arguments)
        alone = [Case(name, call(name, put)) for put in substitutions(arguments)]
        alone = _chosen(alone, most, seed)
        copied = [Case(name, call(name, put), rows)
                  for put in _copied(arguments) for rows in blocks]  # fmt: skip
        copied = _chosen(copied, max(1, most // 4), seed)
        arrays = _chosen(list(_arrays(name, arguments)), max(1, most // 8), seed)
        found += [Case(one.function, text, one.rows, one.array)
                  for one in (*alone, *copied, *arrays) for text in _wrapped(one.text)]  # fmt: skip
    for template in WRAPPED.replace("\n", " ").split(" | "):
        for index in range(TRAINED_RANGES):
            text = template.strip().replace("@", column_range(index))
            for array in (False, True):
                found += [Case(template.strip(), item, (), array) for item in _wrapped(text)]
    for text in LARGE.replace("\n", " ").split(" | "):
        found.append(Case("large", text.strip()))
    return list(dict.fromkeys(found))


def _arrays(name: str, arguments: Sequence[str]) -> Iterator[Case]:
    for at, text in enumerate(arguments):
        if not _RANGE.fullmatch(text):
            continue
        for template in COMPUTED:
            for index in range(TRAINED_RANGES):
                base = _base(arguments, SORTED)
                base[at] = template.replace("@", range_like(text, index))
                yield Case(name, call(name, base), (), True)


def _wrapped(text: str) -> tuple[str, ...]:
    return text, f"IFERROR({text},-9)", f"ISERROR({text})+0"
