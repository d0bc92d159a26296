"""Builds moons.xlsx: a neural network that tells two crescents of points apart."""

from pathlib import Path

import _workbook as wb
import numpy as np

POINTS = 300
UNITS = 8
FIRST = 16  # first row of the points
HIDDEN = "DEFGHIJK"  # a column for each unit; its weights stand above it, in rows 6 to 9


def points() -> list[tuple[float, float, int]]:
    """x1, x2 and class of two crescents that reach into each other, with noise."""
    random = np.random.default_rng(2024)
    angle = random.uniform(0, np.pi, POINTS)
    label = random.integers(0, 2, POINTS)
    x = np.where(label, 1 - np.cos(angle), np.cos(angle)) + random.normal(0, 0.3, POINTS)
    y = np.where(label, 0.5 - np.sin(angle), np.sin(angle)) + random.normal(0, 0.3, POINTS)
    return [
        (round(float(a), 3), round(float(b), 3), int(c))
        for a, b, c in zip(x, y, label, strict=True)
    ]


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("Two moons")
    wb.heading(
        sheet,
        "Two moons: which crescent is a point on?",
        [
            f"{POINTS} synthetic points. {UNITS} ReLU units, a logistic output, cross-entropy.",
            "Excel: Data > Solver > Solve (the model is stored)."
            "  xl2torch: xl2torch train moons.xlsx",
        ],
    )
    random = np.random.default_rng(7)
    for row, name in enumerate(("w1", "w2", "Bias", "Output"), start=6):
        wb.label(sheet, f"C{row}", name, "right")
        for column in HIDDEN:
            wb.variable(sheet, f"{column}{row}", round(float(random.normal(0, 0.7)), 3))
    for place, column in enumerate(HIDDEN, start=1):
        wb.label(sheet, f"{column}5", f"Unit {place}", "right")
    wb.label(sheet, "L5", "Output bias", "right")
    wb.variable(sheet, "L9", 0.0)
    last = FIRST + POINTS - 1
    wb.label(sheet, "A6", "Loss")
    wb.objective(sheet, "B6", f"=AVERAGE(N{FIRST}:N{last})")
    wb.label(sheet, "A7", "Accuracy")
    wb.result(sheet, "B7", f"=AVERAGE(O{FIRST}:O{last})", "0.0%")
    wb.legend(sheet, "D", 11)
    formats = {"x1": "0.000", "x2": "0.000", "Moon": "0"}
    formats |= {f"h{place}": "0.000" for place in range(1, UNITS + 1)}
    formats |= {"Logit": "0.000", "Pred": "0.000", "Loss": "0.0000", "Correct": "0"}
    wb.table(
        sheet,
        FIRST - 1,
        formats,
        [
            (
                *point,
                *(f"=MAX(0,{u}$6*$A{row}+{u}$7*$B{row}+{u}$8)" for u in HIDDEN),
                f"=SUMPRODUCT(D{row}:K{row},$D$9:$K$9)+$L$9",
                f"=1/(1+EXP(-L{row}))",
                f"=-(C{row}*LN(M{row})+(1-C{row})*LN(1-M{row}))",
                f"=IF((M{row}>=0.5)=(C{row}=1),1,0)",
            )
            for row, point in enumerate(points(), start=FIRST)
        ],
    )
    wb.widths(sheet, {"ABCDEFGHIJKMNO": 10, "L": 12})
    wb.store_solver_model(sheet, "B6", ["D6:K9", "L9"])
    wb.save(book, path)


if __name__ == "__main__":
    build(Path(__file__).with_name("moons.xlsx"))
