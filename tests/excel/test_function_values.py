"""What each function and operator gives, against Excel's documented behaviour."""

from __future__ import annotations

import math

import pytest
from cells import Value, area_of, literal, values, workbook

from xl2torch.arrays.array import Unsupported
from xl2torch.cells.address import column_letters
from xl2torch.cells.values import ErrorValue
from xl2torch.lowering.schedule import Evaluation
from xl2torch.workbook.sparse_cells import cell_value

# Row 2 is the formula's own row, column K its own column. B4 is blank.
GRID = """
1    | 2  | 3   | "apple" | TRUE    | ="" | 25 | 9
4    | 5  | 6   | "Pear"  | FALSE   |     | 38 | 7
-1.5 | 0  | 2.5 | "12"    | #N/A    |     | 40 | 5
10   |    | -4  | "TRUE"  | #DIV/0! |     | 41 | 5
"""
SPILLS = {"M1:M3": "{=A1:A3*2}", "N1:O1": "{={7,8}}"}

CASES = """
operators
    1+2*3                           -> 7
    (1+2)*3                         -> 9
    7-3-2                           -> 2
    16/4/2                          -> 2
    -2^2                            -> 4
    0-2^2                           -> -4
    -A2^2                           -> 16
    2^-1                            -> 0.5
    2^3^2                           -> 64
    2^3%                            -> 1.0210121257071934
    10%^2                           -> 0.01
    -50%                            -> -0.5
    200%%                           -> 0.02
    1-50%                           -> 0.5
    --"3"                           -> 3
    -TRUE                           -> -1
    +TRUE                           -> TRUE
    +"text"                         -> "text"
    -"text"                         -> #VALUE!
    -B4                             -> 0
    +-+3                            -> -3
    E1%                             -> 0.01
    "x"%                            -> #VALUE!
    1+TRUE                          -> 2
    TRUE+TRUE                       -> 2
    E1+E2                           -> 1
    B4+1                            -> 1
    B4*5                            -> 0
    "3"+4                           -> 7
    "3"*"4"                         -> 12
    D3*2                            -> 24
    " 5 "+0                         -> 5
    "1e2"+0                         -> 100
    "5%"+0                          -> 0.05
    "$5"+0                          -> 5
    "-$5"+0                         -> -5
    "(5)"+0                         -> -5
    "1,000"+0                       -> 1000
    "1_000"+0                       -> #VALUE!
    "nan"+0                         -> #VALUE!
    "inf"+0                         -> #VALUE!
    "TRUE"+0                        -> #VALUE!
    ""+1                            -> #VALUE!
    F1+1                            -> #VALUE!
    "abc"+1                         -> #VALUE!
    D1*0                            -> #VALUE!
    1/0                             -> #DIV/0!
    0/0                             -> #DIV/0!
    1/B4                            -> #DIV/0!
    1/FALSE                         -> #DIV/0!
    "x"/0                           -> #VALUE!
    1/"x"                           -> #VALUE!
    0/5                             -> 0
    #N/A+1                          -> #N/A
    E3+E4                           -> #N/A
    E4+E3                           -> #DIV/0!
    1/0+"x"                         -> #DIV/0!
    0^0                             -> #NUM!
    0^-1                            -> #DIV/0!
    B4^2                            -> 0
    5^0                             -> 1
    (-2)^3                          -> -8
    (-2)^-2                         -> 0.25
    (-4)^0.5                        -> #NUM!
    (-8)^(1/3)                      -> -2
    1E308*10                        -> #NUM!
    1E308+1E308                     -> #NUM!
    10^309                          -> #NUM!
    NoSuchName+1                    -> #NAME?
    #REF!+1                         -> #REF!

concatenation
    1&2                             -> "12"
    TRUE&""                         -> "TRUE"
    E2&"!"                          -> "FALSE!"
    0.1&""                          -> "0.1"
    1/3&""                          -> "0.333333333333333"
    0.1+0.2&""                      -> "0.3"
    1000000&""                      -> "1000000"
    -1.5&"x"                        -> "-1.5x"
    -B3&""                          -> "0"
    B4&"x"                          -> "x"
    B4&B4                           -> ""
    "a"&"b"="AB"                    -> TRUE
    "a ""b"" c"&"!"                 -> "a "b" c!"
    1+1&2*3                         -> "26"
    E3&"x"                          -> #N/A
    "x"&E4                          -> #DIV/0!
    {"a","b"}&{1;2}                 -> "a1"

comparisons
    1=1                             -> TRUE
    1<>1                            -> FALSE
    2>=2                            -> TRUE
    2<2                             -> FALSE
    "a"="A"                         -> TRUE
    "a"<"B"                         -> TRUE
    "b">"A"                         -> TRUE
    "a"<"aa"                        -> TRUE
    D1="APPLE"                      -> TRUE
    D1<D2                           -> TRUE
    "1"=1                           -> FALSE
    D3=12                           -> FALSE
    D3>1000                         -> TRUE
    1<"a"                           -> TRUE
    1E+300<""                       -> TRUE
    "z"<FALSE                       -> TRUE
    TRUE>"z"                        -> TRUE
    TRUE>1000                       -> TRUE
    TRUE=1                          -> FALSE
    FALSE=0                         -> FALSE
    E1=TRUE                         -> TRUE
    E1>E2                           -> TRUE
    B4=0                            -> TRUE
    B4=""                           -> TRUE
    B4=FALSE                        -> TRUE
    B4=F2                           -> TRUE
    0=B4                            -> TRUE
    B4<1                            -> TRUE
    B4>-1                           -> TRUE
    B4<-1                           -> FALSE
    B4<"a"                          -> TRUE
    "a">B4                          -> TRUE
    B4<TRUE                         -> TRUE
    F1=""                           -> TRUE
    F1=0                            -> FALSE
    1=1=1                           -> FALSE
    3>2>1                           -> TRUE
    1=2=FALSE                       -> TRUE
    -1<FALSE                        -> TRUE
    E3=1                            -> #N/A
    1=E4                            -> #DIV/0!
    E3=E4                           -> #N/A
    "x"=E3                          -> #N/A
    1+1=2                           -> TRUE
    "a"&"b"="ab"                    -> TRUE

implicit intersection
    A1:A3+1                         -> 5
    A1:A3                           -> 4
    $A$1:$A$3*10                    -> 40
    A:A                             -> 4
    A1:C1                           -> #VALUE!
    A3:A4                           -> #VALUE!
    A1:C3                           -> #VALUE!
    K9:L9                           -> 0
    J9:L9&"x"                       -> "x"
    SQRT(A1:A3)                     -> 2
    IF(A1:A3>2,"big","small")       -> "big"
    IF(TRUE,A1:A3)                  -> 4
    SUM(A1:A3*2)                    -> 8
    OFFSET(A1:A3,0,1)               -> 5
    OFFSET(A1:A3,0,1)*2             -> 10
    OFFSET(A1:C3,1,1)               -> #VALUE!
    INDEX(A1:C3,0,2)                -> 5
    INDEX(A1:C3,0,2)+1              -> 6
    INDEX(A1:C3,2,0)                -> #VALUE!
    SQRT(INDEX(A1:C3,0,1))          -> 2
    M1#+1                           -> 9
    ABS(M1#)                        -> 8

array formulas
    {=A1:A3*2}                      -> {2;8;-3}
    {=A1:B1+A2:A3}                  -> {5,6;-0.5,0.5}
    {=A1:C1*{1;10}}                 -> {1,2,3;10,20,30}
    {=A1:C1+{1,2}}                  -> {2,4,#N/A}
    {=SUM(A1:A3*2)}                 -> 7
    {=IF(A1:A3>0,A1:A3,0)}          -> {1;4;0}
    {=D1:D2&"!"}                    -> {"apple!";"Pear!"}
    {=A1:B1={1,3}}                  -> {TRUE,FALSE}
    {=1/A3:C3}                      -> {-0.6666666666666666,#DIV/0!,0.4}
    {=D1:E2}                        -> {"apple",TRUE;"Pear",FALSE}
    {=A4:B4}                        -> {10,0}
    {=MAX(ABS(A1:A3))}              -> 4
    {=SUM(IF(A1:C3>2,1,0))}         -> 5
    {=SUM(--(A1:A3>0))}             -> 2
    {=IFERROR(1/A3:C3,9)}           -> {-0.6666666666666666,9,0.4}
    {=AVERAGE(IF(A1:A3>0,A1:A3))}   -> 2.5
    {=ROW(A1:A3)*COLUMN(A1:B1)}     -> {1,2;2,4;3,6}
    {=MMULT({1,2;3,4},{1,0;0,1})^2} -> {1,4;9,16}

array constants
    {1,2,3}                         -> 1
    {4;5}+1                         -> 5
    SUM({1,2;3,4})                  -> 10
    SUM({1,2,3}*2)                  -> 12
    SUM({-1,+2})                    -> 1
    SUM({1,2}+{10;20})              -> 66
    SUM({1,2,3}+{1,2})              -> #N/A
    COUNTA({"a",TRUE,#N/A})         -> 3
    SUM({1,#N/A})                   -> #N/A
    MAX({3,9;7,1})                  -> 9

ABS
    ABS(-3)                         -> 3
    ABS(2)                          -> 2
    ABS(TRUE)                       -> 1
    ABS("-4")                       -> 4
    ABS(B4)                         -> 0
    ABS("x")                        -> #VALUE!
    ABS(E3)                         -> #N/A

SIGN
    SIGN(10)                        -> 1
    SIGN(4-4)                       -> 0
    SIGN(-0.00001)                  -> -1
    SIGN(TRUE)                      -> 1
    SIGN("x")                       -> #VALUE!

INT
    INT(8.9)                        -> 8
    INT(-8.9)                       -> -9
    INT(7)                          -> 7
    INT("2.7")                      -> 2
    INT(B4)                         -> 0
    INT(E4)                         -> #DIV/0!

EXP
    EXP(1)                          -> 2.718281828459045
    EXP(2)                          -> 7.38905609893065
    EXP(0)                          -> 1
    EXP(B4)                         -> 1
    EXP(-1000)                      -> 0
    EXP(710)                        -> #NUM!
    EXP("x")                        -> #VALUE!

LN
    LN(86)                          -> 4.454347296253507
    LN(2.7182818)                   -> 0.9999999895305022
    LN(EXP(3))                      -> 3
    LN(0)                           -> #NUM!
    LN(-1)                          -> #NUM!
    LN("1")                         -> 0
    LN(E1)                          -> 0

LOG10
    LOG10(86)                       -> 1.934498451243568
    LOG10(10)                       -> 1
    LOG10(100000)                   -> 5
    LOG10(10^5)                     -> 5
    LOG10(0)                        -> #NUM!
    LOG10(B4)                       -> #NUM!

LOG
    LOG(10)                         -> 1
    LOG(8,2)                        -> 3
    LOG(86,2.7182818)               -> 4.454347342888286
    LOG(1000)                       -> 3
    LOG(0.5,2)                      -> -1
    LOG(0)                          -> #NUM!
    LOG(-1,2)                       -> #NUM!
    LOG(8,1)                        -> #DIV/0!
    LOG(8,0)                        -> #NUM!
    LOG(8,-2)                       -> #NUM!
    LOG("x")                        -> #VALUE!

SQRT
    SQRT(16)                        -> 4
    SQRT(-16)                       -> #NUM!
    SQRT(ABS(-16))                  -> 4
    SQRT(0)                         -> 0
    SQRT("9")                       -> 3
    SQRT(E1)                        -> 1
    SQRT(D1)                        -> #VALUE!

SIN
    SIN(PI()/2)                     -> 1
    SIN(30*PI()/180)                -> 0.5
    SIN(RADIANS(30))                -> 0.5
    SIN(0)                          -> 0
    SIN("x")                        -> #VALUE!

COS
    COS(1.047)                      -> 0.5001710745970701
    COS(60*PI()/180)                -> 0.5
    COS(RADIANS(60))                -> 0.5
    COS(B4)                         -> 1
    COS(E3)                         -> #N/A

TAN
    TAN(0.785)                      -> 0.9992039901050427
    TAN(45*PI()/180)                -> 1
    TAN(0)                          -> 0
    TAN(-0.785)                     -> -0.9992039901050427
    TAN("x")                        -> #VALUE!

ASIN
    ASIN(-0.5)                      -> -0.5235987755982989
    ASIN(1)                         -> 1.5707963267948966
    ASIN(0)                         -> 0
    ASIN(2)                         -> #NUM!
    ASIN(-1.1)                      -> #NUM!

ACOS
    ACOS(-0.5)                      -> 2.0943951023931957
    ACOS(1)                         -> 0
    ACOS(B4)                        -> 1.5707963267948966
    ACOS(-1)                        -> 3.141592653589793
    ACOS(1.1)                       -> #NUM!

ATAN
    ATAN(1)                         -> 0.7853981633974483
    ATAN(0)                         -> 0
    ATAN(-1E+300)                   -> -1.5707963267948966
    ATAN(TRUE)                      -> 0.7853981633974483
    ATAN("x")                       -> #VALUE!

ATAN2
    ATAN2(1,1)                      -> 0.7853981633974483
    ATAN2(-1,-1)                    -> -2.356194490192345
    ATAN2(0,1)                      -> 1.5707963267948966
    ATAN2(1,0)                      -> 0
    ATAN2(-1,0)                     -> 3.141592653589793
    ATAN2(0,0)                      -> #DIV/0!
    ATAN2("x",0)                    -> #VALUE!

SINH
    SINH(1)                         -> 1.1752011936438014
    SINH(-1)                        -> -1.1752011936438014
    SINH(0)                         -> 0
    SINH(1000)                      -> #NUM!
    SINH("x")                       -> #VALUE!

COSH
    COSH(4)                         -> 27.308232836016487
    COSH(EXP(1))                    -> 7.610125138662288
    COSH(0)                         -> 1
    COSH(1000)                      -> #NUM!
    COSH(E3)                        -> #N/A

TANH
    TANH(-2)                        -> -0.9640275800758169
    TANH(0)                         -> 0
    TANH(0.5)                       -> 0.46211715726000973
    TANH(1000)                      -> 1
    TANH("x")                       -> #VALUE!

ASINH
    ASINH(-2.5)                     -> -1.6472311463710958
    ASINH(10)                       -> 2.99822295029797
    ASINH(0)                        -> 0
    ASINH("x")                      -> #VALUE!

ACOSH
    ACOSH(1)                        -> 0
    ACOSH(10)                       -> 2.993222846126381
    ACOSH(0.5)                      -> #NUM!
    ACOSH(-3)                       -> #NUM!
    ACOSH(E1)                       -> 0

ATANH
    ATANH(-0.1)                     -> -0.10033534773107562
    ATANH(0.5)                      -> 0.5493061443340548
    ATANH(0)                        -> 0
    ATANH(1)                        -> #NUM!
    ATANH(-1)                       -> #NUM!
    ATANH(2)                        -> #NUM!

RADIANS
    RADIANS(270)                    -> 4.71238898038469
    RADIANS(0)                      -> 0
    RADIANS(-180)                   -> -3.141592653589793
    RADIANS("x")                    -> #VALUE!

DEGREES
    DEGREES(PI())                   -> 180
    DEGREES(1)                      -> 57.29577951308232
    DEGREES(B4)                     -> 0
    DEGREES("x")                    -> #VALUE!

PI
    PI()                            -> 3.141592653589793
    PI()*2                          -> 6.283185307179586
    PI()/2                          -> 1.5707963267948966
    PI()*(3^2)                      -> 28.274333882308138

POWER
    POWER(5,2)                      -> 25
    POWER(98.6,3.2)                 -> 2401077.2220695773
    POWER(4,5/4)                    -> 5.656854249492381
    POWER("2",3)                    -> 8
    POWER(2,B4)                     -> 1
    POWER(0,0)                      -> #NUM!
    POWER(0,-1)                     -> #DIV/0!
    POWER(-8,1/3)                   -> -2
    POWER(-4,0.5)                   -> #NUM!
    POWER("x",2)                    -> #VALUE!

MOD
    MOD(3,2)                        -> 1
    MOD(-3,2)                       -> 1
    MOD(3,-2)                       -> -1
    MOD(-3,-2)                      -> -1
    MOD(5.5,2)                      -> 1.5
    MOD(-0.5,1)                     -> 0.5
    MOD(B4,3)                       -> 0
    MOD("7",4)                      -> 3
    MOD(5,0)                        -> #DIV/0!
    MOD(5,B4)                       -> #DIV/0!
    MOD("x",0)                      -> #VALUE!
    MOD(E3,0)                       -> #N/A

ROUND
    ROUND(2.5,0)                    -> 3
    ROUND(-2.5,0)                   -> -3
    ROUND(2.15,1)                   -> 2.2
    ROUND(2.149,1)                  -> 2.1
    ROUND(-1.475,2)                 -> -1.48
    ROUND(1.005,2)                  -> 1.01
    ROUND(0.285,2)                  -> 0.29
    ROUND(21.5,-1)                  -> 20
    ROUND(626.3,-3)                 -> 1000
    ROUND(1.98,-1)                  -> 0
    ROUND(-50.55,-2)                -> -100
    ROUND(1234.5678,2.9)            -> 1234.57
    ROUND("2.5",0)                  -> 3
    ROUND(2.5,)                     -> 3
    ROUND(B4,2)                     -> 0
    ROUND(-0.4,0)&""                -> "0"
    ROUND(1E+300,20)                -> 1E+300
    ROUND(5,400)                    -> 5
    ROUND("x",1)                    -> #VALUE!
    ROUND(E4,1)                     -> #DIV/0!

ROUNDDOWN
    ROUNDDOWN(3.2,0)                -> 3
    ROUNDDOWN(76.9,0)               -> 76
    ROUNDDOWN(3.14159,3)            -> 3.141
    ROUNDDOWN(-3.14159,1)           -> -3.1
    ROUNDDOWN(31415.92654,-2)       -> 31400
    ROUNDDOWN(0.29,2)               -> 0.29

ROUNDUP
    ROUNDUP(3.2,0)                  -> 4
    ROUNDUP(76.9,0)                 -> 77
    ROUNDUP(3.14159,3)              -> 3.142
    ROUNDUP(-3.14159,1)             -> -3.2
    ROUNDUP(31415.92654,-2)         -> 31500
    ROUNDUP(1.1,1)                  -> 1.1
    ROUNDUP(0,0)                    -> 0

TRUNC
    TRUNC(8.9)                      -> 8
    TRUNC(-8.9)                     -> -8
    TRUNC(0.45)                     -> 0
    TRUNC(-3.149,2)                 -> -3.14
    TRUNC(31415.92,-2)              -> 31400
    TRUNC("x")                      -> #VALUE!

SUM
    SUM(A1:C1)                      -> 6
    SUM(A1:E2)                      -> 21
    SUM(D1:F2)                      -> 0
    SUM(A4:C4)                      -> 6
    SUM(D3)                         -> 0
    SUM(1,"2",TRUE)                 -> 4
    SUM({1,"2",TRUE})               -> 1
    SUM(1,)                         -> 1
    SUM(A1:A3,10,C1)                -> 16.5
    SUM(A:A)                        -> 13.5
    SUM($1:$1)                      -> 57
    SUM(A1:B2,B2:C3)                -> 25.5
    SUM("x")                        -> #VALUE!
    SUM(E1:E4)                      -> #N/A
    SUM(E4,E3)                      -> #DIV/0!
    SUM(A1:A3)*2                    -> 7

SUMSQ
    SUMSQ(3,4)                      -> 25
    SUMSQ(A1:E1)                    -> 14
    SUMSQ("2",TRUE)                 -> 5
    SUMSQ({3,"4"})                  -> 9
    SUMSQ(D1:D4)                    -> 0
    SUMSQ("x")                      -> #VALUE!
    SUMSQ(E3)                       -> #N/A

PRODUCT
    PRODUCT(A1:C1)                  -> 6
    PRODUCT(A1:E2)                  -> 720
    PRODUCT(2,"3",TRUE)             -> 6
    PRODUCT(A4:C4)                  -> -40
    PRODUCT(A4:C4,2)                -> -80
    PRODUCT(D1:D2)                  -> 0
    PRODUCT(B4)                     -> 0
    PRODUCT(D1:D2,3)                -> 3
    PRODUCT({2,"3",TRUE})           -> 2
    PRODUCT("x")                    -> #VALUE!
    PRODUCT(E3:E4)                  -> #N/A

SUMPRODUCT
    SUMPRODUCT(A1:C1,A2:C2)         -> 32
    SUMPRODUCT(A1:C1)               -> 6
    SUMPRODUCT(A1:D1,A2:D2)         -> 32
    SUMPRODUCT(E1:E2)               -> 0
    SUMPRODUCT(D3:D4,A3:A4)         -> 0
    SUMPRODUCT(A1:A3,B1:B3,C1:C3)   -> 126
    SUMPRODUCT(--(A1:A3>0))         -> 2
    SUMPRODUCT((A1:A3>0)*B1:B3)     -> 7
    SUMPRODUCT(A1:A3*B1:B3)         -> 22
    SUMPRODUCT({1,2;3,4},{1,2;3,4}) -> 30
    SUMPRODUCT(2,3)                 -> 6
    SUMPRODUCT(A1:C3,{1,0,0;0,1,0;0,0,1}) -> 8.5
    SUMPRODUCT(A4:B4,A1:B1)         -> 10
    SUMPRODUCT(A1:A3,A1:B3)         -> #VALUE!
    SUMPRODUCT(A1:A3,A1:C1)         -> #VALUE!
    SUMPRODUCT(D1:D2*1)             -> #VALUE!
    SUMPRODUCT(E3:E4,A1:A2)         -> #N/A

SUMXMY2
    SUMXMY2({2,3,9,1,8,7,5},{6,5,11,7,5,4,4}) -> 79
    SUMXMY2(A1:C1,A2:C2)            -> 27
    SUMXMY2(A4:C4,A1:C1)            -> 130
    SUMXMY2(A1:E1,A2:E2)            -> 27
    SUMXMY2(A1:C1,A2:B2)            -> #N/A
    SUMXMY2(A1:A3,E1:E3)            -> #N/A

SUMX2MY2
    SUMX2MY2({2,3,9,1,8,7,5},{6,5,11,7,5,4,4}) -> -55
    SUMX2MY2(A1:C1,A2:C2)           -> -63
    SUMX2MY2(A4:C4,A1:C1)           -> 106
    SUMX2MY2(A1:E1,A2:E2)           -> -63
    SUMX2MY2(A1:C1,A2:B2)           -> #N/A

SUMX2PY2
    SUMX2PY2({2,3,9,1,8,7,5},{6,5,11,7,5,4,4}) -> 521
    SUMX2PY2(A1:C1,A2:C2)           -> 91
    SUMX2PY2(A4:C4,A1:C1)           -> 126
    SUMX2PY2(A1:E1,A2:E2)           -> 91
    SUMX2PY2(A1:C1,A2:B2)           -> #N/A

MAX
    MAX(A1:E2)                      -> 6
    MAX(A3:C3)                      -> 2.5
    MAX(D1:D2)                      -> 0
    MAX(B4)                         -> 0
    MAX(-5,B4)                      -> -5
    MAX(-5,)                        -> 0
    MAX(-5,TRUE)                    -> 1
    MAX(-5,E1)                      -> -5
    MAX("7",1)                      -> 7
    MAX({1,"9",TRUE})               -> 1
    MAX({-3,-1})                    -> -1
    MAX("x")                        -> #VALUE!
    MAX(A1:E4)                      -> #N/A

MIN
    MIN(A1:E2)                      -> 1
    MIN(A1:C4)                      -> -4
    MIN(D1:D2)                      -> 0
    MIN(5,B4)                       -> 5
    MIN(5,)                         -> 0
    MIN(5,TRUE)                     -> 1
    MIN(5,E2)                       -> 5
    MIN({3,"1",FALSE})              -> 3
    MIN("x",1)                      -> #VALUE!
    MIN(E4,E3)                      -> #DIV/0!

COUNT
    COUNT(A1:C1)                    -> 3
    COUNT(A1:F4)                    -> 11
    COUNT(E1:E4)                    -> 0
    COUNT(1,"2",TRUE,"x")           -> 3
    COUNT(1,)                       -> 2
    COUNT({1,"2",TRUE})             -> 1
    COUNT(B4)                       -> 0
    COUNT(E1)                       -> 0
    COUNT("x")                      -> 0
    COUNT(1/0,1)                    -> 1
    COUNT(#N/A)                     -> 0

COUNTA
    COUNTA(A1:C1)                   -> 3
    COUNTA(A1:F4)                   -> 20
    COUNTA(B4)                      -> 0
    COUNTA("")                      -> 1
    COUNTA(F1)                      -> 1
    COUNTA(F2:F4)                   -> 0
    COUNTA(1/0,"x",)                -> 3
    COUNTA({1,"a",FALSE})           -> 3

COUNTBLANK
    COUNTBLANK(A1:C3)               -> 0
    COUNTBLANK(A4:C4)               -> 1
    COUNTBLANK(F1:F4)               -> 4
    COUNTBLANK(F1)                  -> 1
    COUNTBLANK(E1:E4)               -> 0

AVERAGE
    AVERAGE(A1:C1)                  -> 2
    AVERAGE(A1:E2)                  -> 3.5
    AVERAGE(A4:C4)                  -> 3
    AVERAGE(1,TRUE,"4")             -> 2
    AVERAGE(4,)                     -> 2
    AVERAGE({1,2,TRUE,"9"})         -> 1.5
    AVERAGE(B4)                     -> #DIV/0!
    AVERAGE(D1:D4)                  -> #DIV/0!
    AVERAGE(E1:E2)                  -> #DIV/0!
    AVERAGE("x")                    -> #VALUE!
    AVERAGE(E1:E4)                  -> #N/A

IF
    IF(TRUE,1,2)                    -> 1
    IF(FALSE,1,2)                   -> 2
    IF(TRUE,1)                      -> 1
    IF(FALSE,1)                     -> FALSE
    IF(FALSE,1,)                    -> 0
    IF(TRUE,,5)                     -> 0
    IF(0.5,"yes","no")              -> "yes"
    IF(B4,1,2)                      -> 2
    IF("TRUE",1,2)                  -> 1
    IF("false",1,2)                 -> 2
    IF("x",1,2)                     -> #VALUE!
    IF(E3,1,2)                      -> #N/A
    IF(TRUE,B4)                     -> 0
    IF(TRUE,5,1/0)                  -> 5
    IF(FALSE,1/0,5)                 -> 5
    IF(TRUE,1/0,5)                  -> #DIV/0!
    IF(A1>0,IF(A2>5,1,2),3)         -> 2
    SUM(IF(TRUE,A1:A3,B1:B3))       -> 3.5
    SUM(IF({TRUE,FALSE,TRUE},1,10)) -> 12

IFERROR
    IFERROR(1/0,"bad")              -> "bad"
    IFERROR(210/35,"bad")           -> 6
    IFERROR(E3,7)                   -> 7
    IFERROR("x",7)                  -> "x"
    IFERROR(E3,E4)                  -> #DIV/0!
    IFERROR(SQRT(-1),)              -> 0
    IFERROR(TRUE,1)                 -> TRUE
    IFERROR("x"+1,2)                -> 2

IFNA
    IFNA(#N/A,1)                    -> 1
    IFNA(E3,"none")                 -> "none"
    IFNA(1/0,1)                     -> #DIV/0!
    IFNA(3,1)                       -> 3
    IFNA(MATCH(9,{1,2},0),-1)       -> -1
    IFNA("a",1)                     -> "a"

AND
    AND(TRUE,TRUE)                  -> TRUE
    AND(TRUE,0)                     -> FALSE
    AND(1,2,-1)                     -> TRUE
    AND(E1:E2)                      -> FALSE
    AND(A1:D1)                      -> TRUE
    AND(A3:C3)                      -> FALSE
    AND(A4:C4)                      -> TRUE
    AND(A1:C1>0)                    -> #VALUE!
    AND({1,2}>0)                    -> TRUE
    AND("TRUE",1)                   -> TRUE
    AND("x",TRUE)                   -> #VALUE!
    AND(D1:D2)                      -> #VALUE!
    AND(B4)                         -> #VALUE!
    AND(B4,TRUE)                    -> TRUE
    AND(D1:D2,FALSE)                -> FALSE
    AND(E3,FALSE)                   -> #N/A

OR
    OR(FALSE,TRUE)                  -> TRUE
    OR(FALSE,0)                     -> FALSE
    OR(E1:E2)                       -> TRUE
    OR(B3:C3)                       -> TRUE
    OR(B3,B4)                       -> FALSE
    OR(D1:D2)                       -> #VALUE!
    OR(B4)                          -> #VALUE!
    OR("x",TRUE)                    -> #VALUE!
    OR(TRUE,E3)                     -> #N/A
    OR({0,0;0,1})                   -> TRUE

NOT
    NOT(TRUE)                       -> FALSE
    NOT(0)                          -> TRUE
    NOT(2)                          -> FALSE
    NOT(B4)                         -> TRUE
    NOT("false")                    -> TRUE
    NOT("x")                        -> #VALUE!
    NOT(E3)                         -> #N/A
    NOT(1+1=2)                      -> FALSE

TRUE
    TRUE()                          -> TRUE
    TRUE()+1                        -> 2
    TRUE()=TRUE                     -> TRUE
    IF(TRUE(),1,2)                  -> 1

FALSE
    FALSE()                         -> FALSE
    FALSE()+1                       -> 1
    FALSE()=TRUE                    -> FALSE
    IF(FALSE(),1,2)                 -> 2

NA
    NA()                            -> #N/A
    NA()+1                          -> #N/A
    ISNA(NA())                      -> TRUE
    IFERROR(NA(),3)                 -> 3

ISBLANK
    ISBLANK(B4)                     -> TRUE
    ISBLANK(A1)                     -> FALSE
    ISBLANK("")                     -> FALSE
    ISBLANK(F1)                     -> FALSE
    ISBLANK(E3)                     -> FALSE
    {=ISBLANK(A4:C4)}               -> {FALSE,TRUE,FALSE}

ISNUMBER
    ISNUMBER(A1)                    -> TRUE
    ISNUMBER(D3)                    -> FALSE
    ISNUMBER(B4)                    -> FALSE
    ISNUMBER(E1)                    -> FALSE
    ISNUMBER(E3)                    -> FALSE
    ISNUMBER(B4+0)                  -> TRUE

ISTEXT
    ISTEXT(D1)                      -> TRUE
    ISTEXT(F1)                      -> TRUE
    ISTEXT(B4)                      -> FALSE
    ISTEXT(1)                       -> FALSE
    ISTEXT(1&"")                    -> TRUE

ISNONTEXT
    ISNONTEXT(B4)                   -> TRUE
    ISNONTEXT(D1)                   -> FALSE
    ISNONTEXT(1)                    -> TRUE
    ISNONTEXT(E3)                   -> TRUE

ISLOGICAL
    ISLOGICAL(E1)                   -> TRUE
    ISLOGICAL("TRUE")               -> FALSE
    ISLOGICAL(1=1)                  -> TRUE
    ISLOGICAL(1)                    -> FALSE
    ISLOGICAL(B4)                   -> FALSE

ISERROR
    ISERROR(1/0)                    -> TRUE
    ISERROR(E3)                     -> TRUE
    ISERROR(1)                      -> FALSE
    ISERROR(B4)                     -> FALSE
    ISERROR("x"+1)                  -> TRUE

ISERR
    ISERR(1/0)                      -> TRUE
    ISERR(E3)                       -> FALSE
    ISERR("#REF!")                  -> FALSE
    ISERR(#REF!)                    -> TRUE

ISNA
    ISNA(E3)                        -> TRUE
    ISNA(E4)                        -> FALSE
    ISNA(1)                         -> FALSE
    ISNA("#N/A")                    -> FALSE

ROW
    ROW()                           -> 2
    ROW(C10)                        -> 10
    ROW(A3:B9)                      -> 3
    SUMPRODUCT(ROW(A1:A3))          -> 6
    {=ROW(A5:B6)}                   -> {5;6}

COLUMN
    COLUMN()                        -> 11
    COLUMN(B6)                      -> 2
    COLUMN(C1:E9)                   -> 3
    SUMPRODUCT(COLUMN(A1:C1))       -> 6
    {=COLUMN(AA1:AB2)}              -> {27,28}

ROWS
    ROWS(C1:E4)                     -> 4
    ROWS({1,2,3;4,5,6})             -> 2
    ROWS(A1)                        -> 1
    ROWS(A:A)                       -> 1048576
    ROWS(OFFSET(A1,0,0,3,2))        -> 3

COLUMNS
    COLUMNS(C1:E4)                  -> 3
    COLUMNS({1,2,3;4,5,6})          -> 3
    COLUMNS(A1)                     -> 1
    COLUMNS(1:1)                    -> 16384
    COLUMNS({1,2,3}*2)              -> 3

MATCH
    MATCH(39,G1:G4,1)               -> 2
    MATCH(41,G1:G4,0)               -> 4
    MATCH(40,G1:G4,-1)              -> #N/A
    MATCH(38,G1:G4)                 -> 2
    MATCH(24,G1:G4)                 -> #N/A
    MATCH(100,G1:G4,1)              -> 4
    MATCH(8,H1:H4,-1)               -> 1
    MATCH(7,H1:H4,-1)               -> 2
    MATCH(10,H1:H4,-1)              -> #N/A
    MATCH(1,H1:H4,-1)               -> 4
    MATCH(5,H1:H4,0)                -> 3
    MATCH("PEAR",D1:D4,0)           -> 2
    MATCH("b",{"a","b","c"},0)      -> 2
    MATCH("bb",{"a","b","c"},1)     -> 2
    MATCH("p*",D1:D4,0)             -> 2
    MATCH("?ear",D1:D4,0)           -> 2
    MATCH(2,{1,2,2,2,3},1)          -> 4
    MATCH(3,{1,"a",3,"b",5},1)      -> 3
    MATCH(TRUE,{1,TRUE},0)          -> 2
    MATCH(1,{"1",1},0)              -> 2
    MATCH(B4,{0,1},0)               -> 1
    MATCH(2,{3,2,1},)               -> 2
    MATCH(9,{1,2},0)                -> #N/A
    MATCH(E4,G1:G4,0)               -> #DIV/0!
    MATCH(1,A1:C3,0)                -> #N/A
    MATCH(6,A2:C2,0)                -> 3

INDEX
    INDEX(A1:C3,2,3)                -> 6
    INDEX(A1:C1,2)                  -> 2
    INDEX(A1:A3,3)                  -> -1.5
    INDEX(A1:C3,1.9,2.9)            -> 2
    INDEX(A1:C3,"2",1)              -> 4
    INDEX(A1:C3,TRUE,3)             -> 3
    SUM(INDEX(A1:C3,0,1))           -> 3.5
    SUM(INDEX(A1:C3,2,0))           -> 15
    SUM(INDEX(A1:C3,,2))            -> 7
    SUM(INDEX(A1:C3,0,0))           -> 22
    INDEX(D1:D4,2)                  -> "Pear"
    INDEX(A1:B4,4,2)                -> 0
    INDEX(E1:E4,3)                  -> #N/A
    INDEX(A1:C3,4,1)                -> #REF!
    INDEX(A1:C3,1,4)                -> #REF!
    INDEX(A1:C3,-1,1)               -> #VALUE!
    INDEX(A1:C3,"x",1)              -> #VALUE!
    INDEX(A1:C3,E4,1)               -> #DIV/0!
    INDEX(A1:C3,MATCH(4,A1:A3,0),2) -> 5
    INDEX({1,2;3,4},2,1)            -> 3
    INDEX({5,6,7},2)                -> 6
    {=INDEX(A1:A3*2,2)}             -> 8
    INDEX(A1:C3,2,3,1)              -> 6

OFFSET
    OFFSET(A1,1,1)                  -> 5
    OFFSET(B2,-1,-1)                -> 1
    OFFSET(A1,1,)                   -> 4
    OFFSET(A1,1.9,0)                -> 4
    OFFSET(A1,"1",0)                -> 4
    OFFSET(A1,3,1)                  -> 0
    SUM(OFFSET(A1,0,0,3,1))         -> 3.5
    SUM(OFFSET(A1:C1,1,0))          -> 15
    SUM(OFFSET(A1:C1,1,0,2))        -> 16
    SUM(OFFSET(A1:C1,1,0,,2))       -> 9
    SUM(OFFSET(C3,0,0,-2,-2))       -> 13.5
    OFFSET(A1,-1,0)                 -> #REF!
    OFFSET(A1,0,-1)                 -> #REF!
    OFFSET(A1,1048576,0)            -> #REF!
    OFFSET(A1,0,0,0)                -> #REF!
    OFFSET(A1,"x",0)                -> #VALUE!
    OFFSET(A1,E4,0)                 -> #DIV/0!
    OFFSET(D1,MATCH(38,G1:G4,0)-1,0) -> "Pear"

MMULT
    {=MMULT({1,3;7,2},{2,0;0,2})}   -> {2,6;14,4}
    {=MMULT(A1:C1,A1:C1*0+1)}       -> #VALUE!
    {=MMULT(A1:B2,A2:B3)}           -> {1,5;8.5,20}
    {=MMULT(A1:C1,{1;2;3})}         -> 14
    MMULT(A1:B2,A2:B3)              -> 1
    SUMPRODUCT(MMULT(A1:B2,{1;1}))  -> 12
    MMULT(A4:B4,A1:A2)              -> #VALUE!
    MMULT(C1:D1,A1:A2)              -> #VALUE!

TRANSPOSE
    {=TRANSPOSE(A1:C1)}             -> {1;2;3}
    {=TRANSPOSE(A1:C2)}             -> {1,4;2,5;3,6}
    {=TRANSPOSE(D1:E2)}             -> {"apple","Pear";TRUE,FALSE}
    {=TRANSPOSE(A4:C4)}             -> {10;0;-4}
    {=SUM(TRANSPOSE(A1:A3)*A1:C1)}  -> 4.5
    {=MMULT(TRANSPOSE(A1:A3),B1:B3)} -> 22

SINGLE
    @A1:A3                          -> 4
    @A1:A3+1                        -> 5
    _xlfn.SINGLE(A1:A3)             -> 4
    _xlfn.SINGLE(A1:C1)             -> #VALUE!
    _xlfn.SINGLE({7,8})             -> 7
    {=@A1:A3*{1,2}}                 -> {4,8}

ANCHORARRAY
    SUM(M1#)                        -> 7
    SUM(_xlfn.ANCHORARRAY(M1))      -> 7
    COUNT(M1#)                      -> 3
    ROWS(M1#)                       -> 3
    {=N1#*2}                        -> {14,16}
    SUM(A1#)                        -> #REF!
    SUM(M2#)                        -> #REF!
"""


def rows() -> dict[str, list[tuple[str, str]]]:
    """The table's rows (formula, expected) by heading."""
    found: dict[str, list[tuple[str, str]]] = {}
    heading = ""
    for line in CASES.splitlines():
        if line.startswith(" "):
            formula, _, expected = line.strip().rpartition(" -> ")
            found[heading].append((formula.strip(), expected.strip()))
        elif line:
            heading = line
            found[heading] = []
    return found


def array_of(expected: str) -> list[list[Value]]:
    """Expected cells, from ``{1,2;3,4}`` or a single value."""
    inside = expected[1:-1] if expected.startswith("{") else expected
    lines = inside.split(";") if expected.startswith("{") else [inside]
    cells = [line.split(",") if expected.startswith("{") else [line] for line in lines]
    found = [[literal(cell) for cell in line] for line in cells]
    return [[v.text if isinstance(v, ErrorValue) else v for v in line] for line in found]


def same(got: Value, expected: Value) -> bool:
    """Equal and of the same kind; numbers to twelve digits."""
    if type(got) is not type(expected):
        return False
    if isinstance(got, float) and isinstance(expected, float):
        return math.isclose(got, expected, rel_tol=1e-12, abs_tol=1e-15)
    return got == expected


def parameters() -> list[object]:
    """The table as pytest parameters."""
    return [
        pytest.param(formula, expected, id=f"{heading}-{formula}")
        for heading, cases in rows().items()
        for formula, expected in cases
    ]


@pytest.mark.parametrize(("formula", "expected"), parameters())
def test_value(formula: str, expected: str) -> None:
    wanted = array_of(expected)
    area, text = "K2", f"={formula}"
    if formula.startswith("{="):
        area, text = f"K2:{column_letters(10 + len(wanted[0]))}{1 + len(wanted)}", formula
    got = values(workbook(GRID, {**SPILLS, area: text}), area)
    pairs = [(g, w) for line, want in zip(got, wanted, strict=True)
             for g, w in zip(line, want, strict=True)]  # fmt: skip
    assert all(same(g, w) for g, w in pairs), f"={formula}: {got}, expected {wanted}"


def test_a_formula_as_long_as_excel_allows() -> None:
    """8192 characters: a chain of 2700 terms."""
    formula = "+".join(["A1"] * 2700)
    assert values(workbook("2", {"B1": f"={formula}"}), "B1") == [[5400.0]]


FOREIGN = [
    ("BIN2DEC(1010)", 10.0),
    ('HEX2DEC("FF")', 255.0),
    ("ROMAN(14)", "XIV"),
    ("BITAND(13,7)", 5.0),
    ("SYD(10000,1000,5,1)", 3000.0),
    ("A1+BIN2DEC(11)", 4.0),
    ("BIN2DEC(NA())", "#N/A"),
]


@pytest.mark.parametrize(("formula", "expected"), FOREIGN)
def test_functions_of_another_package(formula: str, expected: Value) -> None:
    """Computed where there is no stored value, and said: verify counts them as unsupported."""
    book = workbook(GRID, {"K2": f"={formula}", "K3": "=K2&K2"})
    evaluation = Evaluation(book)
    array = evaluation.value(area_of(book, "K2"))
    (unit,) = evaluation.overlapping(area_of(book, "K2"))
    assert (
        unit.cached_because is not None
        and "computed by the package formulas" in unit.cached_because
    )
    got = cell_value(array.numpy().item(), int(array.full_kinds.item()), array.full_texts.item())
    assert (got.text if isinstance(got, ErrorValue) else got) == expected


def test_a_name_that_excel_does_not_know_is_told_apart() -> None:
    for formula, words in (("NOSUCH(1)", "not known to Excel"), ("CUBEVALUE(1)", "not supported")):
        with pytest.raises(Unsupported, match=words):
            values(workbook(GRID, {"K2": f"={formula}"}), "K2")
