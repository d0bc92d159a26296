"""A workbook with thousands of formulas: every function crossed with arguments of many kinds.

The tables below have one line per signature: names, ``:``, then the arguments with ``;`` between
them and ``|`` between the values that one argument takes. ``$name`` stands for a list of ``LISTS``;
an indented line continues the one above.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from openpyxl import Workbook
from openpyxl.utils import FORMULAE, get_column_letter
from openpyxl.worksheet.formula import ArrayFormula

SHEET = "Sweep"
SPILL = 3
"""Rows and columns of an array formula; what it does not fill is #N/A."""
FIRST_ROW = 31
CONTINUED = "\n    "
MOST = 10
"""Combinations of a line beyond those that change one argument alone."""

GRID = """
3    | -2    | 4     | apple       | 45000    | 1  | 0.01 | 5       | 0  | TRUE  | 44197 | -1000
1.5  | 0     |       | Banana      | 44197    | 2  | 0.1  | #N/A    | 1  | FALSE | 44300 | 200
7    | 5.5   | apple | cherry pie  | 43831    | 3  | 0.25 | #DIV/0! | 2  | TRUE  | 44500 | 300
2    | -7.25 | x y   | apple       | 45351    | 5  | 0.5  | 2       | 3  | TRUE  | 44600 | 250
9.25 | 3     | 2.5   | a*b         | 36526.75 | 8  | 0.75 | #VALUE! | 4  | FALSE | 44800 | 400
4    | 1     | '5    | '10         | 45657    | 13 | 0.9  | -1      | 5  | FALSE | 45000 | 150
4    | -0.5  | -1    | Äpfel       | 44926    | 21 | 0.95 | #NUM!   | 6  | TRUE  | 45100 | -50
0.5  | 8     | 12    | ' two  w.   | 44985.25 | 34 | 0.99 | 4       | 8  | TRUE  | 45200 | 75
6    | 2     |       | BANANA      | 61       | 55 | 0.3  | 3       | 10 | FALSE | 45250 | 20
10   | -4    | 3     | '2024-01-15 | 45107    | 89 | 0.6  | 8       | 12 | TRUE  | 45300 | 10

1    | 2     | 4     | 8           | 16       | 32
a    | b     | c     | d           | e        | f
10   | -20   | 30.5  | -40         | 50       | 60

2    | -1    | 0.5   |             | 1        | 2  | 0
0    | 3     | 1     |             | 0.25     | -1 | 4
4    | 1     | -2    |             | 3        | 1  | 1
"""
"""The cells from A1 on; ``'`` begins a text that looks like something else."""

LISTS = {
    "x": '2 | 0.5 | -1.5 | 0 | 1 | 3.7 | 25 | A2 | B4 | C2 | J1 | C6 | D1 | H2 | "5" | TRUE | ""',
    "few": "2 | 0.5 | -1.5 | 0 | A2 | B4 | C2 | D1",
    "whole": "3 | 0 | 1 | -2 | 5.9 | I5 | C2 | C6 | D1",
    "p": "0.5 | 0.05 | 0.975 | 0.0001 | 0 | 1 | -0.1 | 1.1 | G1 | G9 | D1",
    "share": "0.5 | 0.1 | 0.9 | G3 | 1 | 0",
    "positive": "2 | 0.5 | 7.3 | A5 | 0 | -1",
    "degrees": "5 | 1 | 2.7 | 30 | I4 | 0",
    "logical": "TRUE | FALSE | 1 | 0 | C2",
    "r": "A1:A10 | B1:B10 | C1:C10 | A1:C10 | F1:G5 | C2:C3 | C2 | A1:A1 | H1:H4 | {1,2;4,8}",
    "numbers": "A1:A10 | B1:B10 | C1:C10 | F1:F10 | A1:C10 | C2:C3 | H1:H3 | {3,1,2,2}",
    "ys": "A1:A10 | B1:B10 | F1:F10 | A1:A3 | C1:C10",
    "xs": "B1:B10 | I1:I10 | F1:F10 | C1:C10 | B1:B3 | {1,2,3}",
    "criterion": '">2" | "<=0" | "<>4" | 4 | "4" | "=4" | "apple" | "a*" | "<>apple" | "?????" '
    '| TRUE | "" | "<>" | ">b" | "~*" | "a~*b" | C2 | D2',
    "test": '">1" | "<=4" | "<>4" | A6 | "a*" | "=" | 5',
    "text": 'D1 | D3 | D8 | "The quick brown fox" | "" | A2 | C2 | "ÄÖ ü" | H3 | 1234.5',
    "date": 'E1 | E4 | E5 | E6 | E9 | 45350 | "2023-12-31" | 1000 | D1 | -1',
    "day": "E1 | E4 | E6 | 36526 | 43890 | 44620.9 | 45291",
    "time": '0.5 | 0.75 | 0.999 | E5 | E8 | 45000.0123 | "13:45:30" | D1 | 0',
    "any": 'A1 | C2 | C3 | J1 | C6 | H2 | H3 | 5 | "x" | TRUE | 1/0 | NA() | "" | A1:A3',
    "rate": "0.05 | 0 | 0.1/12 | G2 | -0.02",
    "periods": "10 | 1 | 24.5 | I9 | 120",
    "money": "1000 | -500 | A10 | 0",
    "search": "5 | 1 | 89 | 4 | 0.5 | 100 | F4 | D1 | C2",
}  # fmt: skip

FORMULAS = """
ABS ACOS ACOSH ACOT ACOTH ASIN ASINH ATAN ATANH COS COSH COT COTH CSC CSCH DEGREES : $x
ERF ERF.PRECISE ERFC ERFC.PRECISE EVEN EXP FISHER FISHERINV GAMMA GAMMALN : $x
GAMMALN.PRECISE GAUSS INT LN LOG LOG10 N NORMSDIST NOT ODD PHI : $x
RADIANS SEC SECH SIGN SIN SINH SQRT SQRTPI TAN TANH TRUNC : $x
ISEVEN ISODD : 2 | -1.5 | 0 | 3.7 | -3 | A2 | B4 | C2 | C6 | D1 | H2 | "5"
FACT FACTDOUBLE : $whole | 10 | 20 | 170 | 171 | 7
NORMSINV NORM.S.INV : $p
ATAN2 : $few ; $few
ERF : $few ; 1 | -0.5 | C2
POWER : $few ; 2 | 0.5 | -1 | 0 | B4
MOD QUOTIENT : 7 | -7 | 7.5 | B4 | C2 | D1 ; 3 | -3 | 0.5 | 0 | A2
LOG : 8 | 0.5 | 100 | A5 | 0 | -1 ; 2 | 10 | 0.5 | 1 | 0 | A1
ROUND ROUNDUP ROUNDDOWN : 2.345 | -2.345 | 1234.5678 | 0.5 | B4 | C2 | D1 ; 0 | 1 | 2 | -2 | 1.9
TRUNC : 2.345 | -2.345 | 1234.5678 | B4 ; 0 | 1 | -2
CEILING FLOOR : 7.3 | -7.3 | 0 | B4 | 10 | C2 ; 2 | -2 | 0.5 | 0 | A2
CEILING.MATH FLOOR.MATH : 7.3 | -7.3 | B4 | 0 | C2 | D1
CEILING.MATH FLOOR.MATH : 7.3 | -7.3 | B4 | 0 ; 2 | -2 | 0.5 ; 0 | 1 | -1
CEILING.PRECISE FLOOR.PRECISE ISO.CEILING : 7.3 | -7.3 | B4 | 0 | C2 | D1
CEILING.PRECISE FLOOR.PRECISE ISO.CEILING : 7.3 | -7.3 | B4 | 0 | D1 ; 2 | -2 | 0.5 | 0
MROUND : 7.3 | -7.3 | 10 | B4 | D1 ; 2 | -2 | 3 | 0
CEILING.PRECISE FLOOR.PRECISE ISO.CEILING MROUND : D1 | H2 ; 0 | 2
COMBIN COMBINA PERMUT : 8 | 5.9 | 30 | I8 | D1 ; 3 | 0 | 1 | 8 | 2.7 | -1
COMBINA : 2 | 0 ; 1 | 3
COMBIN PERMUT : 0 | 2 ; 0 | 1 | 3
GCD LCM : 12 | 18.9 | 0 | I8 | -4 | D1 ; 8 | 5 | I9 | C2
GCD LCM MULTINOMIAL : I2:I5 | I1:I4 | F2:F5 | {6,4;10,2} | I3
MULTINOMIAL : 2 | 3.9 | 0 | I3 | -1 | D1 ; 3 | 1 | C2
SERIESSUM : 2 | 0.5 | 0 | -1 ; 0 | 1 ; 1 | 2 ; A1:A4 | B1:B3 | {1,-1,2}
PI TRUE FALSE NA :
SUM AVERAGE COUNT COUNTA MAX MIN PRODUCT SUMSQ MAXA MINA AVERAGEA : $r
STDEV STDEV.S STDEVP STDEV.P VAR VAR.S VARP VAR.P STDEVA STDEVPA VARA VARPA : $r
SUM AVERAGE COUNT COUNTA MAX MIN PRODUCT SUMSQ : $r ; 2 | "3" | TRUE | D1 | H2 | J1:J3 | C6 | J1
MAXA MINA AVERAGEA STDEV STDEV.S STDEVP STDEV.P VAR VAR.S VARP VAR.P : $r ; 2 | TRUE | J1:J3 | "x"
STDEVA STDEVPA VARA VARPA : $r ; 2 | "3" | TRUE | D1 | H2 | J1:J3 | C6
MEDIAN AVEDEV DEVSQ GEOMEAN HARMEAN KURT MODE MODE.SNGL SKEW SKEW.P : $numbers
MEDIAN AVEDEV DEVSQ GEOMEAN HARMEAN KURT MODE MODE.SNGL SKEW SKEW.P : 2 | A1 | C2 ; 5 | A3 ; 2
    | A6:A7
COUNTBLANK : A1:A10 | C1:C10 | C2 | D1:D10 | H1:H6 | C2:C3 | A1:J10 | C11
AND OR XOR : $logical ; TRUE | FALSE | J1:J4 | J2 | H2
AND OR XOR : J1:J10 | J1:J2 | A1:A10 | C1:C10 | H1:H3 | D1:D2 | C2:C3 | {1,0}
LARGE SMALL : A1:A10 | B1:B10 | C1:C10 | H1:H3 | {5,3,9} ; 1 | 2 | 3 | 10 | 0 | 11
PERCENTILE PERCENTILE.INC PERCENTILE.EXC : $numbers ; $share
QUARTILE QUARTILE.INC QUARTILE.EXC : $numbers ; 1 | 2 | 3 | 0 | 4 | 5 | 1.9
PERCENTRANK PERCENTRANK.INC PERCENTRANK.EXC : A1:A10 | B1:B10 | F1:F10 | C1:C10 ; 3 | 4 | 2.2
    | 0.5 | 100
PERCENTRANK PERCENTRANK.INC PERCENTRANK.EXC : A1:A10 | F1:F10 ; 4 | 6.7 ; 1 | 2 | 5 | 0
RANK RANK.EQ RANK.AVG : A1 | 4 | A10 | 100 | B1 ; A1:A10 | B1:B10 | C1:C10
RANK RANK.EQ RANK.AVG : A1 | 4 | A10 | 5 ; A1:A10 | B1:B10 ; 0 | 1
TRIMMEAN : $numbers ; 0.2 | 0 | 0.5 | 0.9 | 1
CORREL PEARSON RSQ COVAR COVARIANCE.P COVARIANCE.S SLOPE INTERCEPT STEYX : $ys ; $xs
SUMX2MY2 SUMX2PY2 SUMXMY2 : $ys ; $xs
FORECAST FORECAST.LINEAR : 3 | B4 | D1 ; $ys ; $xs
SUMPRODUCT : $ys ; $xs
SUMPRODUCT : A1:A10 | A1:A10*B1:B10 | (A1:A10>3)*F1:F10 | --(C1:C10=4) | H1:H3 | {1,2,3}
    | (D1:D10="apple")*A1:A10
BETA.DIST : 0.4 | G3 | 0 | 1 | 1.5 ; 2 | 0.5 | 8 | 0 ; 3 | 0.7 ; TRUE | FALSE
BETA.DIST : 3 | 4.5 ; 2 | 5 ; 3 | 0.7 ; TRUE | FALSE ; 1 | 3 ; 6 | 5
BETA.INV BETAINV : $p ; 2 | 0.5 | 8 | 0 ; 3 | 0.7
BETA.INV BETAINV : 0.3 | 0.8 ; 2 ; 3 | 5 ; 1 | -1 ; 6 | 1
BINOM.DIST BINOMDIST : 3 | 0 | 10 | 3.8 | 11 | -1 ; 10 | 12.5 ; 0.3 | G4 | 0 | 1 ; TRUE | FALSE
CHIDIST CHISQ.DIST.RT : $positive | 30 ; $degrees
CHISQ.DIST : $positive | 30 ; $degrees ; TRUE | FALSE
CHIINV CHISQ.INV CHISQ.INV.RT : $p ; $degrees
CONFIDENCE CONFIDENCE.NORM CONFIDENCE.T : 0.05 | 0.5 | G2 | 0 | 1 ; 2 | 0.5 | 0 ; 10 | 1 | 25.9
    | 0
EXPON.DIST EXPONDIST : $positive ; 1 | 0.5 | 3 | 0 ; TRUE | FALSE
F.DIST : $positive ; 4 | 1 | 10.9 | 0 ; 7 | 2 | 0 ; TRUE | FALSE
F.DIST.RT FDIST : $positive ; 4 | 1 | 10.9 | 0 ; 7 | 2 | 0
F.INV F.INV.RT FINV : $p ; 4 | 1 | 10.9 ; 7 | 2 | 30
GAMMA.DIST GAMMADIST : $positive ; 2 | 0.5 | 9 | 0 ; 1 | 3 | 0 ; TRUE | FALSE
GAMMA.INV GAMMAINV : $p ; 2 | 0.5 | 9 | 0 ; 1 | 3
LOGNORM.DIST : $positive ; 0 | 1.5 ; 1 | 0.4 | 0 ; TRUE | FALSE
LOGNORMDIST : $positive ; 0 | 1.5 ; 1 | 0.4 | 0
LOGINV LOGNORM.INV : $p ; 0 | 1.5 ; 1 | 0.4 | 0
NORM.DIST NORMDIST : $few ; 0 | 1.5 ; 1 | 0.4 | 0 | -1 ; TRUE | FALSE
NORM.INV NORMINV : $p ; 0 | 1.5 ; 1 | 0.4 | 0
NORM.S.DIST : $few ; TRUE | FALSE
POISSON POISSON.DIST : 3 | 0 | 7.9 | -1 | I5 ; 2.5 | 0.3 | 0 | -1 | 40 ; TRUE | FALSE
STANDARDIZE : $few ; 1 | B1 ; 2 | 0.5 | 0 | -1
T.DIST : $few ; $degrees ; TRUE | FALSE
T.DIST.2T T.DIST.RT : $few ; $degrees
TDIST : $positive ; $degrees ; 1 | 2 | 3
T.INV T.INV.2T TINV : $p ; $degrees
WEIBULL WEIBULL.DIST : $positive ; 2 | 0.5 | 0 ; 1 | 3 | 0 ; TRUE | FALSE
EFFECT NOMINAL : 0.05 | 0.1 | 1 | 0 | -1 | G3 | D1 ; 12 | 4 | 1 | 2.9 | 0
FV PV : $rate ; $periods ; -100 | 50
FV PV : $rate ; 10 | 24.5 ; -100 ; $money ; 0 | 1
PMT : $rate ; $periods ; $money
PMT : $rate ; 10 | 24.5 ; 1000 ; $money ; 0 | 1
IPMT PPMT : $rate ; 1 | 2 | 10 | 11 | 0 ; 10 | 12 ; $money
IPMT PPMT : $rate ; 1 | 3 ; 10 ; 1000 ; 0 | 500 ; 0 | 1
NPER : $rate ; -100 | 90 ; $money ; 0 | 2000 ; 0 | 1
RATE : 10 | 24 | 1 ; -150 | -110 | 60 ; 1000 | 900 | -500 ; 0 | 100 ; 0 | 1
SLN : 1000 | A10 | 0 | -50 ; 100 | 0 ; 5 | 10.5 | 0 | -2
NPV : $rate ; L1:L6 | A1:A4 | C1:C10 | -100 | H1:H3 ; 50 | B3
IRR : L1:L6 | L1:L5 | {-100,60,60} | A1:A4 | {-5;3;1;0.5}
IRR : L1:L6 | {-100,60,60} | {-100,30,30,30,30} ; 0.1 | 0.3 | 0
XNPV : 0.05 | 0.2 | G3 | 0.01 ; L1:L6 | L1:L10 ; K1:K6 | K1:K10
MIRR : L1:L6 | L1:L5 | L1:L10 ; 0.1 | 0.05 | 0 ; 0.12 | 0.02 | B2
XIRR : L1:L6 | L1:L5 | L1:L10 | A1:A6 ; K1:K6 | K1:K5 | K1:K10
XIRR : L1:L6 | L1:L10 ; K1:K6 | K1:K10 ; 0.1 | 0.3 | 0.05
DATE : 2024 | 1999 | 2023.9 | 124 | 9999 | -1 ; 2 | 14 | 0 | -3 | 12.9 ; 29 | 1 | 0 | 31 | -40
TIME : 12 | 0 | 23.9 | 25 | -1 | I5 ; 30 | 0 | 90 | -5 ; 15 | 0 | 59.9 | 3700
DAY MONTH YEAR ISOWEEKNUM WEEKDAY WEEKNUM : $date
HOUR MINUTE SECOND : $time
WEEKDAY WEEKNUM : $day ; 1 | 2 | 11 | 14 | 17 | 21 | 9
WEEKDAY : $day ; 3 | 12 | 13 | 15 | 16 | 0
DATEDIF : E2 | 43830 | E5 | 44255 | 45600 ; E1 | E4 | 45657 ; "Y" | "M" | "D" | "YM" | "YD"
    | "MD" | "x"
DATEVALUE : "2024-02-29" | "2023-12-31" | "1999-01-01" | D10 | D1 | "2024-02-30" | "1/2/2020"
    | "2020-05-06 12:30" | ""
DAYS : $day | "2024-03-01" ; E2 | 43830 | "2023-01-01" | D1
DAYS360 : $day ; E2 | 43861 | 45657
DAYS360 : E4 | 43890 | 44620 ; 45657 | 45382
DAYS360 : $day ; E2 | 43861 | 45657 ; TRUE | FALSE
EDATE EOMONTH : $day ; 1 | -1 | 12 | 0 | 1.9 | -14 | D1
NETWORKDAYS : E2 | 45000 | 45657 | E5 ; E1 | E4 | 45003 | 43000
NETWORKDAYS : E2 | 45000 ; E1 | E4 ; E1:E8 | 44200 | K1:K10
WORKDAY : $day ; 1 | 10 | -5 | 0 | 250 | 3.9
WORKDAY : 44195 | 45000 ; 5 | -10 | 40 ; E1:E8 | 44200
YEARFRAC : $day ; E2 | 43861 | 45657
YEARFRAC : $day ; E2 | 43861 | 45657 | 44255 ; 0 | 1 | 2 | 3 | 4 | 5
LEN LOWER UPPER PROPER TRIM CLEAN T CODE UNICODE VALUE : $text
VALUE : "12" | " 3.5 " | "1e3" | "-7" | "50%" | "1,234" | "(5)" | "$3" | "12:00" | "2024-01-15"
    | "abc" | "TRUE"
NUMBERVALUE : "12" | " 3 .5 " | "1e3" | "50%" | "5%%" | "abc" | "" | A2
NUMBERVALUE : "1.234,5" | "7,25" | "1,2,3" | "-4" ; "," ; "." | " "
LEFT RIGHT : $text
LEFT RIGHT : $text ; 1 | 0 | 3 | 100 | 2.9 | -1
MID : $text ; 1 | 3 | 100 | 0 | 2.9 ; 2 | 0 | 100 | -1
REPLACE : $text ; 1 | 3 | 100 | 0 ; 2 | 0 | 100 ; "xy" | "" | A2
REPT : $text ; 2 | 0 | 3.9 | -1
SUBSTITUTE : "banana" | D2 | D3 | A2 | "aaa" ; "a" | "an" | "" | "." ; "o" | "" | D1
SUBSTITUTE : "banana" | D2 | "aaa" ; "a" | "an" ; "o" | "" ; 1 | 2 | 5 | 0
CONCATENATE : $text | TRUE ; "-" | B4 | C2 | TRUE | 0.1
CONCAT : $text | A1:A3 | C1:C5 | D1:D3 ; "-" | B4 | C2 | J1:J2
TEXTJOIN : "," | "" | "; " | D1 ; TRUE | FALSE ; A1:A4 | C1:C5 | D1:D3 | "x" | H1:H3 ; "end"
    | C2 | ""
EXACT : "apple" | D1 | A1 | C2 | TRUE ; D1 | "Apple" | D4 | 3 | "" | "TRUE"
FIND SEARCH : "a" | "an" | "N" | "" | "z" | "." ; "banana" | D2 | D3 | A2 | ""
FIND SEARCH : "a" | "an" | "" ; "banana" | D2 ; 1 | 2 | 3 | 0 | 7 | 10
SEARCH : "b*n" | "?n" | "~*" | "a~*b" | "n?n" ; "banana" | D5 | D2
CHAR UNICHAR : 65 | 97 | 33 | 126 | 233 | 65.9 | 0 | 256 | -1 | D1 | C6
UNICHAR : 8364 | 937 | 128512
FIXED : 1234.567 | -1234.567 | 0.5 | A2 | B4 | 1000000 | D1
FIXED : 1234.567 | -1234.567 | 0.5 | 1000000 ; 0 | 1 | 3 | -2
FIXED : 1234.567 | -1234.567 | 0.5 ; 1 | 0 | -1 ; TRUE | FALSE
TEXT : 1234.567 | -0.5 | 0 | A2 ; "0" | "0.00" | "#,##0" | "#,##0.0" | "0%" | "0.0%"
    | "0.00E+00" | "#.##" | "000" | "+0;-0"
TEXT : 45351.75 | E1 | 36526 ; "yyyy-mm-dd" | "d/m/yy" | "hh:mm" | "mmm d" | "dddd"
    | "yyyy-mm-dd hh:mm:ss" | "h AM/PM"
ISBLANK ISERR ISERROR ISLOGICAL ISNA ISNONTEXT ISNUMBER ISTEXT : $any
TYPE : A1 | C2 | C3 | J1 | C6 | H2 | 5 | "x" | TRUE | 1/0
ERROR.TYPE : H2 | H3 | H5 | H7 | NA() | 1/0 | A1 | "x" | C2 | SQRT(-1)
ISREF : A1 | A1:B2 | 5 | "A1" | A1+1 | INDIRECT("B2") | OFFSET(A1,1,1) | INDEX(A1:A3,2)
ISFORMULA : A1 | C2 | D1 | A31 | B31 | C40 | H2 | B45
IF : $any ; 1 | "yes" | C2 | H2 ; 0 | "no" | A1
IF : $logical | A1>B1 | D1="APPLE" ; 1 | "yes" | C2 | H2
IFERROR IFNA : $any | SQRT(-1) | MATCH(99,A1:A3,0) ; "other" | 0 | H3 | C2
IFS : A1>2 | FALSE | C2 | H2 ; 1 | "one" ; TRUE | B2 | A2<2 ; 2 | D1
SWITCH : 2 | 1 | "b" | A4 | D1 | C2 | 9 ; 1 | "apple" | 0 ; "first" | A1 ; 2 | "B" ; "second"
    | B4 ; "else" | H2
CHOOSE : 1 | 2 | 3 | 2.9 | 0 | 4 | A2 | D1 | TRUE ; "one" | A1 ; B1 | "two" ; C2 | H2
COUNTIF : A1:A10 | C1:C10 | D1:D10 | H1:H10 | J1:J10 | A1:C10 ; $criterion
COUNTIFS : A1:A10 | C1:C10 | D1:D10 ; $test ; B1:B10 | J1:J10 ; ">0" | TRUE | "<>0"
SUMIF AVERAGEIF : A1:A10 | C1:C10 | D1:D10 | J1:J10 ; $criterion
SUMIF AVERAGEIF : A1:A10 | C1:C10 | D1:D10 | J1:J10 ; $criterion ; B1:B10 | F1 | C1:C10
SUMIFS AVERAGEIFS MAXIFS MINIFS : B1:B10 | F1:F10 | C1:C10 ; A1:A10 | C1:C10 | D1:D10 ; $test
SUMIFS AVERAGEIFS MAXIFS MINIFS : F1:F10 ; A1:A10 | D1:D10 ; $test ; B1:B10 | J1:J10 ; ">0" | TRUE
SUBTOTAL : 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 101 | 109 | 12 | 0 ; A1:A10 | C1:C10
    | H1:H3
AGGREGATE : 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 ; 4 | 6 | 0 | 2 | 3 ; A1:A10
    | C1:C10 | H1:H10
AGGREGATE : 14 | 15 | 16 | 17 | 18 | 19 ; 4 | 6 | 2 ; A1:A10 | H1:H10 ; 1 | 2 | 3
VLOOKUP : $search ; F1:I10 | F1:F10 ; 1 | 2 | 4 | 5 | 0
VLOOKUP : $search | "apple" | "a*" ; F1:I10 | D1:F10 | A1:C10 ; 1 | 2 | 3 ; FALSE | 0
VLOOKUP : $search ; F1:I10 ; 2 | 4 ; TRUE
HLOOKUP : 4 | 5 | 0 | 100 | A12 | "c" ; A12:F14 ; 1 | 2 | 3 | 4 | 0
HLOOKUP : 4 | 5 | "c" | "B" | "?" | 8 ; A12:F14 | A13:F14 ; 1 | 2 ; FALSE
LOOKUP : $search ; F1:F10 | F1:I10 | F1:G10
LOOKUP : $search | "cherry" ; F1:F10 ; A1:A10 | D1:D10
LOOKUP : "c" | "cc" | "" | "z" | 4 | 9 ; A13:F13 | A12:F12 ; A14:F14 | A12:F12
MATCH : $search ; F1:F10 | A12:F12
MATCH : $search | "apple" | "BANANA" | "c*" | "~*" | "a~*b" | TRUE ; A1:A10 | D1:D10 | C1:C10 ; 0
MATCH : 50 | 3 | 1 | 0 | 100 ; {89,55,34,3,1} | {9;7;3} ; -1
INDEX : A1:C10 | F1:H3 ; 1 | 2 | 10 | 11 | 2.9 | -1 ; 1 | 2 | 3 | 4
INDEX : A1:A10 | A12:F12 | {4,5,6} ; 1 | 3 | 10 | 11 | C3
INDEX : A1:C10 ; 2 | 0 ; 0 | 3
SUM : INDEX(A1:C10,0,2) | INDEX(A1:C10,3,0) | OFFSET(A1,0,0,4,1) | INDIRECT("A1:A3")
    | A1:INDEX(A1:A10,4) | (A1:A3,B1:B2)
OFFSET : A1 | B3 ; 0 | 2 | 9 | -5 ; 0 | 1 | 3 | -4
SUM : OFFSET(A1,1,0,3,2) | OFFSET(B5,-2,0,2,1) | OFFSET(A1:B2,1,1) | OFFSET(C10,0,0,-3,-2)
INDIRECT : "A1" | "B"&4 | "$C$5" | "Sweep!D2" | "R2C1" | "" | D1 | "A0"
INDIRECT : "A1" | "R2C1" | "R4C2" ; TRUE | FALSE
ADDRESS : 1 | 5 | 100 | 2.9 | 0 ; 1 | 27 | 703 | 16384 | 0
ADDRESS : 3 | 10 ; 2 | 28 ; 1 | 2 | 3 | 4 ; TRUE | FALSE
ADDRESS : 3 ; 2 ; 1 | 4 ; TRUE ; "Data" | "My sheet"
ROW COLUMN : A1 | C7 | A5:B9 | XFD1 | INDEX(A1:C10,3,2) | OFFSET(A1,3,4) | INDIRECT("B9")
ROW COLUMN :
ROWS COLUMNS : A1 | A1:C10 | B:B | 3:7 | {1,2;3,4;5,6} | A1:A1 | INDEX(A1:C10,0,1)
    | OFFSET(A1,0,0,3,2)
AREAS : A1 | A1:C10 | (A1,B2) | (A1:A3,C1:C3,E5) | A:A | ((A1,A1)) | INDIRECT("A1")
    | OFFSET(A1,1,1)
MDETERM : A16:C18 | E16:G18 | A16:B17 | {1,2;3,4} | A1:B3 | C1:D2 | F1 | {2,4;1,2}
SUM : MMULT(A16:C18,E16:G18) | MINVERSE(A16:C18) | TRANSPOSE(A1:C2) | LINEST(A1:A10,B1:B10)
"""

OPERATORS = """
+ - * / ^ & : $few | "5" | J1 | H2 ; 2 | -3 | 0 | B4 | C2 | C6 | D1 | TRUE
= <> < <= > >= : A1 | C2 | J1 | C6 | D1 | D2 | D7 | "5" | H2 | 0.1+0.2 ; 3 | 0 | "" | "APPLE"
    | "b" | TRUE | "5" | 0.3 | C2
"""

OTHER = """
-A1 | -C2 | -C6 | -D1 | --"5" | -TRUE | +D1 | A1% | -A1% | -2^2 | 2^-1 | -A2^2 | 2^3^2 | 2-3-4
    | 16/4/2 | 50%+1 | 10%% | 1-1=0 | 2*3^2 | 1+2&3 | "a"&1+1 | 1<2=TRUE | -1^2*3 | 5&"%"
    | 1=1=1 | (A1+B1)*C1 | A1:A1+1 | A1:A3*2 | SUM(A1:A3 A2:B3) | "a"="A" | ""=0 | FALSE=0
    | C2=0 | C2="" | C2=FALSE | 1E3+1 | .5*2 | 1E-7&"" | 1/3&"" | 100000000000*10&""
    | 0.1+0.2=0.3 | D7>"b" | D7<"b" | 0.1+0.2>0.3
    | 10.5-10=0.5 | 1/3*3=1 | -0&""
"""

ARRAYS = """
TRANSPOSE : A1:C2 | A12:F12 | {1,2;3,4} | C1:C5
MMULT : A16:C18 | E16:G18 | {1,0,0;0,2,0;0,0,3} ; E16:G18 | A16:C18
MINVERSE : A16:C18 | E16:G18 | {2,1;1,3} | A16:B17
MUNIT : 1 | 2 | 3 | 4
LINEST LOGEST : A1:A10 | F1:F10 ; B1:B10 | I1:I10 | A1:B10^2 ; TRUE | FALSE ; FALSE | TRUE
LINEST LOGEST : A1:A10 | F1:F10
TREND GROWTH : A1:A10 | F1:F10 ; I1:I10 | B1:B10
TREND GROWTH : A1:A10 | F1:F10 ; I1:I10 ; I1:I3 | {20;25} ; TRUE | FALSE
FREQUENCY : A1:A10 | B1:B10 | C1:C10 ; F1:F4 | {2;5} | B1:B3
ROW : A1:A4
COLUMN : A1:C1
INDEX : A1:C10 ; 0 ; 2
IF : A1:A4>2 | C1:C5 | J1:J3 ; A1:A3 | 1 | B1:C4 ; 0 | "no"
ABS INT SIGN ISNUMBER LEN N : B1:B5 | C1:C5 | A1:B3
ROUND POWER MOD : A1:A4 | B1:B3 | {1.25,2.5} ; 1 | {1,2} | F1:F3
LARGE SMALL : A1:A10 ; {1;2;3} | F1:F3
"""

_NAME = re.compile(r"[A-Z][A-Z0-9.]*(?=\()")


@dataclass(frozen=True)
class Formula:
    """A formula of the sweep, with the range that it fills."""

    function: str
    text: str
    row: int
    column: int
    rows: int = 1
    columns: int = 1
    array: bool = False

    @property
    def cells(self) -> list[str]:
        """The addresses of its cells."""
        return [f"{get_column_letter(column)}{row}"
                for row in range(self.row, self.row + self.rows)
                for column in range(self.column, self.column + self.columns)]  # fmt: skip


def _alternatives(argument: str) -> list[str]:
    values: list[str] = []
    for value in argument.split(" | "):
        value = value.strip()
        values += _alternatives(LISTS[value[1:]]) if value[:1] == "$" else [value]
    return values


def _crossed(arguments: Sequence[list[str]]) -> list[tuple[str, ...]]:
    """The first values with each other value in turn, then some of all combinations."""
    first = tuple(values[0] for values in arguments)
    chosen = [(*first[:at], value, *first[at + 1 :])
              for at, values in enumerate(arguments) for value in values]  # fmt: skip
    every = list(itertools.product(*arguments))
    step = max(1, len(every) // MOST)
    step += 1 - step % 2  # an odd stride meets all values of a last argument of two
    return list(dict.fromkeys([*chosen, *every[::step]]))


def _lines(table: str) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    for line in table.replace(CONTINUED, " ").strip().splitlines():
        names, _, rest = line.partition(" :")
        arguments = [_alternatives(part) for part in rest.strip().split(" ; ") if part]
        for name in names.split():
            yield name, _crossed(arguments)


def _calls(table: str) -> Iterator[tuple[str, str]]:
    for name, combinations in _lines(table):
        for values in combinations:
            yield name, f"{name}({','.join(values)})"


def texts() -> dict[str, list[str]]:
    """The formulas without ``=`` of each function, each once; operators by their sign."""
    found: dict[str, dict[str, None]] = {}
    for name, text in _calls(FORMULAS):
        found.setdefault(name, {})[text] = None
    for sign, combinations in _lines(OPERATORS):
        for left, right in combinations:
            found.setdefault(sign, {})[f"{left}{sign}{right}"] = None
    others = (item.strip() for item in OTHER.replace(CONTINUED, " ").split(" | "))
    found["operators"] = dict.fromkeys(others)
    return {name: list(formulas) for name, formulas in found.items()}


def formulas() -> list[Formula]:
    """All formulas at their places: a row for each function, below these the array formulas."""
    placed: list[Formula] = []
    row = FIRST_ROW
    for name, found in texts().items():
        placed += [Formula(name, text, row, column) for column, text in enumerate(found, start=2)]
        row += 1
    for name, group in itertools.groupby(_calls(ARRAYS), key=lambda call: call[0]):
        for at, (_, text) in enumerate(group):
            placed.append(Formula(name, text, row, 2 + at * SPILL, SPILL, SPILL, array=True))
        row += SPILL
    return placed


def in_file(text: str) -> str:
    """A formula as a file holds it: functions that came after Excel 2007 have a prefix."""
    return _NAME.sub(lambda name: name[0] if name[0] in FORMULAE else f"_xlfn.{name[0]}", text)


def write(path: Path) -> list[Formula]:
    """Write the workbook and return its formulas."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = SHEET
    for row, line in enumerate(GRID.removeprefix("\n").splitlines(), start=1):
        for column, text in enumerate(line.split("|"), start=1):
            if text.strip():
                sheet.cell(row, column, _constant(text.strip()))
    placed = formulas()
    for formula in placed:
        sheet.cell(formula.row, 1, f"'{formula.function}")
        text = "=" + in_file(formula.text)
        area = f"{formula.cells[0]}:{formula.cells[-1]}"
        cell = sheet.cell(formula.row, formula.column)
        cell.value = ArrayFormula(area, text) if formula.array else text
    book.save(path)
    return placed


def _constant(text: str) -> str | float | bool:
    if text in ("TRUE", "FALSE"):
        return text == "TRUE"
    if text[0] == "'":
        return text[1:]
    try:
        return float(text)
    except ValueError:
        return text
