"""Builds two_neurons.xlsx: one neuron after another, without and with a ReLU between them."""

from pathlib import Path

import _workbook as wb
from openpyxl import Workbook

FIRST = 14  # first row of the points
POINTS = [(x, 2 * x + 30) for x in range(1, 21)]
START = {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.5}
SHEETS = {
    "Linear": ("c·(a·x + b) + d", "=$B$5*A{row}+$B$6"),
    "ReLU": ("c·max(0, a·x + b) + d", "=MAX(0,$B$5*A{row}+$B$6)"),
}


def add_model(book: Workbook, name: str, formula: str, neuron: str) -> None:
    """A sheet with the weights, the loss and the points."""
    sheet = wb.add_sheet(book, name)
    wb.heading(
        sheet,
        f"Two neurons: y = {formula}",
        [
            "The points lie on 2x + 30. The second neuron reads what the first one says.",
            "Excel: Data > Solver > Solve (the model is stored)."
            f"  xl2torch: xl2torch train two_neurons.xlsx --sheet {name}",
        ],
    )
    for row, (weight, value) in enumerate(START.items(), start=5):
        wb.label(sheet, f"A{row}", weight)
        wb.variable(sheet, f"B{row}", value)
    last = FIRST + len(POINTS) - 1
    wb.label(sheet, "A10", "Loss (MSE)")
    wb.objective(sheet, "B10", f"=AVERAGE(E{FIRST}:E{last})")
    wb.legend(sheet, "D", 5)
    wb.table(
        sheet,
        FIRST - 1,
        {"x": "0", "y": "0", "Neuron 1": "0.000", "Prediction": "0.000", "Error²": "0.0000"},
        [
            (x, y, neuron.format(row=row), f"=$B$7*C{row}+$B$8", f"=(D{row}-B{row})^2")
            for row, (x, y) in enumerate(POINTS, start=FIRST)
        ],
    )
    wb.widths(sheet, {"ABCD": 13, "E": 36})
    wb.store_solver_model(sheet, "B10", ["B5:B8"])


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("Two neurons")
    book.remove(sheet)
    for name, (formula, neuron) in SHEETS.items():
        add_model(book, name, formula, neuron)
    wb.save(book, path)


if __name__ == "__main__":
    build(Path(__file__).with_name("two_neurons.xlsx"))
