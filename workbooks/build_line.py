"""Builds line.xlsx: a straight line through two points."""

from pathlib import Path

import _workbook as wb

POINTS = [(1, 3), (2, 5)]
FIRST = 11  # first row of the points


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("A straight line")
    wb.heading(
        sheet,
        "A straight line: y = m·x + b",
        [
            "Find the slope m and the intercept b for which the line meets both points.",
            "Excel: Data > Solver > Solve (the model is stored)."
            "  xl2torch: xl2torch train line.xlsx",
        ],
    )
    last = FIRST + len(POINTS) - 1
    wb.label(sheet, "A5", "m")
    wb.variable(sheet, "B5", -1)
    wb.label(sheet, "A6", "b")
    wb.variable(sheet, "B6", 5)
    wb.label(sheet, "A8", "Loss (MSE)")
    wb.objective(sheet, "B8", f"=AVERAGE(D{FIRST}:D{last})")
    wb.legend(sheet, "D", 5)
    wb.table(
        sheet,
        FIRST - 1,
        {"x": "0", "y": "0", "Prediction": "0.000", "Error²": "0.0000"},
        [
            (x, y, f"=$B$5*A{row}+$B$6", f"=(C{row}-B{row})^2")
            for row, (x, y) in enumerate(POINTS, start=FIRST)
        ],
    )
    wb.widths(sheet, {"ABCD": 13, "E": 34})
    wb.store_solver_model(sheet, "B8", ["B5:B6"])
    wb.save(book, path)


if __name__ == "__main__":
    build(Path(__file__).with_name("line.xlsx"))
