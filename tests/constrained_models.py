"""Constrained models with known answers, as tables.

Nonlinear ones: Hock and Schittkowski, Test Examples for Nonlinear Programming Codes, 1981, by
number. Variable cells are x1, x2, … in column B from row 1 on, the objective is in D1, constraints
in D2, D3, … are held against 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from solver_books import model_book

LE, EQ, GE, INT, BIN = "1", "2", "3", "4", "5"
MIN, MAX, VALUE = 2, 1, 3


@dataclass(frozen=True)
class Known:
    """A model and its answer. ``multipliers`` are those of the constraints, in their order."""

    name: str
    start: tuple[float, ...]
    objective: str
    best: float
    formulas: tuple[tuple[str, str, float], ...] = ()
    bounds: tuple[tuple[str, str, str], ...] = ()
    sense: int = MIN
    code: int = 0
    point: tuple[float, ...] = ()
    multipliers: tuple[float, ...] = ()
    extra: tuple[tuple[str, str], ...] = (("neg", "1"),)

    def book(self, folder: Path) -> Path:
        """The workbook, with the model stored as Solver stores it."""
        lines = [f"A{n} 'x{n}\nB{n} {value!r}" for n, value in enumerate(self.start, 1)]
        lines.append(f"C1 'objective\nD1 ={self.objective}")
        constraints = []
        for n, (formula, relation, right) in enumerate(self.formulas, 2):
            lines.append(f"C{n} 'limit {n - 1}\nD{n} ={formula}")
            constraints.append((f"$D${n}", relation, f"{right!r}"))
        texts = {INT: '"integer"', BIN: '"binary"'}
        constraints += [(a, r, texts.get(r, b)) for a, r, b in self.bounds]
        names = f"$B$1:$B${len(self.start)}"
        return model_book(
            folder / "model.xlsx", "\n".join(lines), "$D$1", names, constraints, self.sense,
            dict(self.extra),
        )  # fmt: skip


FREE = (("neg", "2"),)
REDUNDANT = Known(
    "transport of squares", (2.5,) * 4, "(B1-4)^2+(B2-1)^2+B3^2+(B4-3)^2", 2.0,
    (("B1+B2", EQ, 5), ("B3+B4", EQ, 5), ("B1+B3", EQ, 5), ("B2+B4", EQ, 5)), point=(4, 1, 1, 4),
)  # fmt: skip
"""One of four sums follows from the others, as in every transport model."""
HOCK_SCHITTKOWSKI = (
    Known("6", (-1.2, 1), "(1-B1)^2", 0.0, (("10*(B2-B1^2)", EQ, 0),), extra=FREE, point=(1, 1)),
    Known("7", (2, 2), "LN(1+B1^2)-B2", -(3**0.5), (("(1+B1^2)^2+B2^2-4", EQ, 0),), extra=FREE),
    Known("10", (-10, 10), "B1-B2", -1.0, (("-3*B1^2+2*B1*B2-B2^2+1", GE, 0),), extra=FREE,
          point=(0, 1)),
    Known("14", (2, 2), "(B1-2)^2+(B2-1)^2", 9 - 2.875 * 7**0.5,
          (("B1-2*B2+1", EQ, 0), ("-(B1^2)/4-B2^2+1", GE, 0)), extra=FREE,
          multipliers=(-1.5944836, 1.8465914)),
    Known("24", (1, 0.5), "((B1-3)^2-9)*B2^3/(27*SQRT(3))", -1.0,
          (("B1/SQRT(3)-B2", GE, 0), ("B1+SQRT(3)*B2", GE, 0), ("-B1-SQRT(3)*B2+6", GE, 0)),
          point=(3, 3**0.5)),
    Known("28", (-4, 1, 1), "(B1+B2)^2+(B2+B3)^2", 0.0, (("B1+2*B2+3*B3-1", EQ, 0),), extra=FREE,
          point=(0.5, -0.5, 0.5)),
    Known("35", (0.5, 0.5, 0.5),
          "9-8*B1-6*B2-4*B3+2*B1^2+2*B2^2+B3^2+2*B1*B2+2*B1*B3", 1 / 9,
          (("3-B1-B2-2*B3", GE, 0),), point=(4 / 3, 7 / 9, 4 / 9), multipliers=(2 / 9,)),
    Known("39", (2, 2, 2, 2), "-B1", -1.0,
          (("B2-B1^3-B3^2", EQ, 0), ("B1^2-B2-B4^2", EQ, 0)), extra=FREE),
    Known("40", (0.8, 0.8, 0.8, 0.8), "-B1*B2*B3*B4", -0.25,
          (("B1^3+B2^2-1", EQ, 0), ("B1^2*B4-B3", EQ, 0), ("B4^2-B2", EQ, 0)), extra=FREE),
    Known("43", (0, 0, 0, 0),
          "B1^2+B2^2+2*B3^2+B4^2-5*B1-5*B2-21*B3+7*B4", -44.0,
          (("8-SUMSQ(B1:B4)-B1+B2-B3+B4", GE, 0), ("10-B1^2-2*B2^2-B3^2-2*B4^2+B1+B4", GE, 0),
           ("5-2*B1^2-B2^2-B3^2-2*B1+B2+B4", GE, 0)), extra=FREE, point=(0, 1, 2, -1),
          multipliers=(1, 0, 2)),
    Known("65", (-5, 5, 0), "(B1-B2)^2+(B1+B2-10)^2/9+(B3-5)^2", 0.9535288567,
          (("48-SUMSQ(B1:B3)", GE, 0),),
          (("$B$1:$B$2", LE, "4.5"), ("$B$1:$B$2", GE, "-4.5"), ("$B$3", LE, "5"),
           ("$B$3", GE, "-5")), extra=FREE),
    Known("71", (1, 5, 5, 1), "B1*B4*(B1+B2+B3)+B3", 17.0140173,
          (("PRODUCT(B1:B4)", GE, 25), ("SUMSQ(B1:B4)", EQ, 40)),
          (("$B$1:$B$4", GE, "1"), ("$B$1:$B$4", LE, "5")),
          multipliers=(0.55229366, -0.16146857)),
    Known("76", (0.5, 0.5, 0.5, 0.5),
          "B1^2+0.5*B2^2+B3^2+0.5*B4^2-B1*B3+B3*B4-B1-3*B2+B3-B4", -4.681818181818182,
          (("5-B1-2*B2-B3-B4", GE, 0), ("4-3*B1-B2-2*B3+B4", GE, 0), ("B2+4*B3-1.5", GE, 0))),
    Known("80", (-2, 2, 2, -1, -1), "EXP(PRODUCT(B1:B5))", 0.0539498478,
          (("SUMSQ(B1:B5)-10", EQ, 0), ("B2*B3-5*B4*B5", EQ, 0), ("B1^3+B2^3+1", EQ, 0)),
          (("$B$1:$B$2", LE, "2.3"), ("$B$1:$B$2", GE, "-2.3"), ("$B$3:$B$5", LE, "3.2"),
           ("$B$3:$B$5", GE, "-3.2")), extra=FREE),
    Known("100", (1, 2, 0, 4, 0, 1, 1),
          "(B1-10)^2+5*(B2-12)^2+B3^4+3*(B4-11)^2+10*B5^6+7*B6^2+B7^4-4*B6*B7-10*B6-8*B7",
          680.6300573,
          (("127-2*B1^2-3*B2^4-B3-4*B4^2-5*B5", GE, 0), ("282-7*B1-3*B2-10*B3^2-B4+B5", GE, 0),
           ("196-23*B1-B2^2-6*B6^2+8*B7", GE, 0),
           ("-4*B1^2-B2^2+3*B1*B2-2*B3^2-5*B6+11*B7", GE, 0)), extra=FREE),
)  # fmt: skip
LINEAR = (
    # Hillier and Lieberman's Wyndor Glass: doors and windows of three plants.
    Known("mix of products", (0, 0), "3*B1+5*B2", 36.0,
          (("B1", LE, 4), ("2*B2", LE, 12), ("3*B1+2*B2", LE, 18)), sense=MAX, point=(2, 6),
          multipliers=(0, 1.5, 1)),
    # Two works, three markets: Dantzig's transport problem, 153.675 thousand dollars.
    Known("transport", (0,) * 6,
          "(2.5*B1+1.7*B2+1.8*B3+2.5*B4+1.8*B5+1.4*B6)*0.09", 153.675,
          (("SUM(B1:B3)", LE, 350), ("SUM(B4:B6)", LE, 600), ("B1+B4", GE, 325),
           ("B2+B5", GE, 300), ("B3+B6", GE, 275))),
    Known("free and equal", (0, 0, 0), "B1+2*B2+3.5*B3", 2.5,
          (("B1+B2+B3", EQ, 2), ("B1-B3", LE, 1), ("B3", GE, -1)),
          (("$B$2", GE, "0"),), extra=FREE, code=0, point=(0, 3, -1)),
    Known("costs of different size", (0, 0, 0), "100000000*B1+5*B2+B3", 100000005.0,
          (("B1", LE, 1), ("B2+B3", LE, 1)), sense=MAX, point=(1, 1, 0)),
    Known("a large objective", (0, 0), "1E13*B1+B2", 5e13, (("B1+B2", LE, 5),), sense=MAX,
          point=(5, 0)),
    Known("infeasible", (1, 1), "B1+B2", math.nan,
          (("B1+B2", GE, 10), ("B1-B2", LE, 3), ("2*B1+2*B2", LE, 12)), code=5),
    Known("unbounded", (1, 1), "B1+B2", math.nan, (("B1-B2", LE, 3),), sense=MAX, code=4),
)  # fmt: skip
INTEGER = (
    Known("two whole numbers", (0, 0), "5*B1+4*B2", 20.0,
          (("6*B1+4*B2", LE, 24), ("B1+2*B2", LE, 6)), (("$B$1:$B$2", INT, ""),), MAX,
          point=(4, 0)),
    # The start is the better solution without integers: no answer.
    Known("from the relaxation", (2.5, 0), "B1+B2", 3.0, (("2*B1+B2", GE, 5),),
          (("$B$1:$B$2", INT, ""),)),
    Known("mixed", (0, 0, 0), "2*B1+3*B2+B3", 10.7,
          (("B1+B2+B3", LE, 4.7), ("B2", LE, 2.5), ("B1-B2", LE, 1.5)),
          (("$B$1:$B$2", INT, ""),), MAX),
    Known("assignment", (0,) * 9, "9*B1+2*B2+7*B3+6*B4+4*B5+3*B6+5*B7+8*B8+1*B9", 9.0,
          (("B1+B2+B3", EQ, 1), ("B4+B5+B6", EQ, 1), ("B7+B8+B9", EQ, 1), ("B1+B4+B7", EQ, 1),
           ("B2+B5+B8", EQ, 1), ("B3+B6+B9", EQ, 1)), (("$B$1:$B$9", BIN, ""),)),
    # Values 10, 13, 18, 31, 7, 15 and weights 2, 3, 4, 5, 1, 4 in a sack for 10.
    Known("knapsack", (0,) * 6, "10*B1+13*B2+18*B3+31*B4+7*B5+15*B6", 56.0,
          (("2*B1+3*B2+4*B3+5*B4+B5+4*B6", LE, 10),), (("$B$1:$B$6", BIN, ""),), MAX,
          point=(0, 0, 1, 1, 1, 0)),
)  # fmt: skip
VALUE_OF = (
    Known("rate of a loan", (0.01,), "1000*B1/(1-(1+B1)^-12)", 100.0, sense=VALUE,
          extra=(*FREE, ("val", "100"))),
    Known("value within a limit", (1, 1), "B1^2+B2^2", 25.0, (("B1+B2", EQ, 7),), sense=VALUE,
          extra=(*FREE, ("val", "25"))),
)  # fmt: skip
