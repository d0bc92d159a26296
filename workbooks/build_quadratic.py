"""Builds quadratic.xlsx: a parabola fitted to noisy points, with a chart."""

from pathlib import Path

import _workbook as wb
import numpy as np
from openpyxl.chart import Reference, ScatterChart, Series
from openpyxl.chart.axis import ChartLines
from openpyxl.chart.legend import Legend
from openpyxl.chart.shapes import GraphicalProperties
from openpyxl.chart.title import Title, title_maker
from openpyxl.drawing.line import LineProperties
from openpyxl.worksheet.worksheet import Worksheet

TRUE = (3.0, 2.0, 1.0)  # a, b, c that the points were made with
START = (0.5, -1.0, 0.0)
NOISE = 0.3
BLUE, ORANGE, GREY = "2E75B6", "C55A11", "D9D9D9"
FIRST = 12  # first row of the points


def points() -> list[tuple[float, float]]:
    """21 points of the parabola from -2 to 2, each with a little noise."""
    x = np.linspace(-2, 2, 21)
    y = np.polyval(TRUE, x) + np.random.default_rng(1).normal(0, NOISE, x.size)
    return [(round(float(u), 3), round(float(v), 3)) for u, v in zip(x, y, strict=True)]


def caption(text: str) -> Title:
    """A title beside the plot, not over it."""
    title = title_maker(text)
    title.overlay = False
    return title


def add_chart(sheet: Worksheet, at: str, last: int) -> None:
    """The points as dots, the prediction as a curve."""
    x = Reference(sheet, min_col=1, min_row=FIRST, max_row=last)
    dots, curve = (
        Series(
            Reference(sheet, min_col=column, min_row=FIRST - 1, max_row=last),
            x,
            title_from_data=True,
        )
        for column in (2, 3)
    )
    dots.marker.symbol = "circle"
    dots.marker.size = 7
    dots.marker.graphicalProperties.solidFill = BLUE
    dots.marker.graphicalProperties.line.solidFill = BLUE
    dots.graphicalProperties.line.noFill = True
    curve.marker.symbol = "none"
    curve.graphicalProperties.line.solidFill = ORANGE
    curve.graphicalProperties.line.width = 28575
    curve.smooth = True

    chart = ScatterChart(scatterStyle="lineMarker")
    chart.series += [dots, curve]
    chart.width, chart.height = 17, 10.5
    chart.legend = Legend("b")
    chart.roundedCorners = False
    chart.x_axis.axPos = "b"
    for axis, text in ((chart.x_axis, "x"), (chart.y_axis, "y")):
        axis.title = caption(text)
        axis.delete = False
        axis.tickLblPos = "low"
        axis.number_format = "0"
    chart.x_axis.scaling.min, chart.x_axis.scaling.max = -2, 2
    chart.x_axis.number_format = "0.0"
    chart.x_axis.majorGridlines = None
    chart.y_axis.majorGridlines = ChartLines(GraphicalProperties(ln=LineProperties(solidFill=GREY)))
    chart.y_axis.crosses = "min"
    sheet.add_chart(chart, at)


def build(path: Path) -> None:
    book, sheet = wb.new_workbook("A parabola")
    wb.heading(
        sheet,
        "A parabola: y = a·x² + b·x + c",
        [
            "Find a, b and c for which the curve fits the points. They were made with a = 3, b = 2,"
            " c = 1 and a little noise.",
            "Excel: Data > Solver > Solve (the model is stored)."
            "  xl2torch: xl2torch train quadratic.xlsx",
        ],
    )
    data = points()
    last = FIRST + len(data) - 1
    for row, (name, value) in enumerate(zip("abc", START, strict=True), start=5):
        wb.label(sheet, f"A{row}", name)
        wb.variable(sheet, f"B{row}", value)
    wb.label(sheet, "A9", "Loss (MSE)")
    wb.objective(sheet, "B9", f"=AVERAGE(D{FIRST}:D{last})")
    wb.legend(sheet, "F", 5)
    wb.table(
        sheet,
        FIRST - 1,
        {"x": "0.0", "y": "0.000", "Prediction": "0.000", "Error²": "0.0000"},
        [
            (x, y, f"=$B$5*A{row}^2+$B$6*A{row}+$B$7", f"=(C{row}-B{row})^2")
            for row, (x, y) in enumerate(data, start=FIRST)
        ],
    )
    wb.widths(sheet, {"ABCD": 13, "E": 3, "F": 13})
    add_chart(sheet, f"F{FIRST - 1}", last)
    wb.store_solver_model(sheet, "B9", ["B5:B7"])
    wb.save(book, path)


if __name__ == "__main__":
    build(Path(__file__).with_name("quadratic.xlsx"))
