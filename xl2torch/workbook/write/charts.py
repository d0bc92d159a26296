"""Native Excel charts; openpyxl's chart model writes their XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xl2torch.cells.address import quote_sheet
from xl2torch.safety.plain_text import plain

if TYPE_CHECKING:
    from openpyxl.chart._chart import ChartBase
    from openpyxl.chart.data_source import NumRef
    from openpyxl.chart.legend import Legend

_POINT = 6
_LONGEST_TITLE = 255  # characters
_WIDTH = 22225  # of a line, in English metric units: 1.75 points


def line_chart(
    title: str, sheet: str, series: Sequence[tuple[str, str]], labels: str, rows: range,
    y_title: str, x_title: str, logarithmic: bool = False,
) -> bytes:  # fmt: skip
    """Lines over the rows of a sheet; a legend where there are several.

    ``series`` are (name, column), the texts under the axis stand in the column ``labels``.
    """
    from openpyxl.chart import LineChart
    from openpyxl.chart.data_source import AxDataSource, NumDataSource
    from openpyxl.chart.legend import Legend
    from openpyxl.chart.marker import Marker
    from openpyxl.chart.series import Series, SeriesLabel
    from openpyxl.chart.shapes import GraphicalProperties
    from openpyxl.drawing.line import LineProperties

    chart = LineChart()
    for number, (name, column) in enumerate(series):
        line = Series(idx=number, order=number, tx=SeriesLabel(v=_title(name)))
        line.val = NumDataSource(numRef=_cells(sheet, column, rows[0], rows[-1]))
        line.cat = AxDataSource(numRef=_cells(sheet, labels, rows[0], rows[-1]))
        line.smooth = False
        line.marker = Marker(symbol="none")
        line.spPr = GraphicalProperties(ln=LineProperties(w=_WIDTH))
        chart.series.append(line)
    chart.y_axis.number_format = "General"  # not that of the cells, which show six digits
    every = max(1, len(rows) // 10)
    chart.x_axis.tickLblSkip = chart.x_axis.tickMarkSkip = every  # type: ignore[attr-defined]
    if logarithmic:
        chart.y_axis.scaling.logBase = 10
        chart.y_axis.number_format = "0E+00"
    return _finished(
        chart, title, x_title, y_title, Legend(legendPos="r") if len(series) > 1 else None
    )


def scatter_chart(
    title: str, sheet: str, x_column: str, y_column: str, first_row: int, last_row: int,
    x_title: str, y_title: str,
) -> bytes:  # fmt: skip
    """Points of two columns against each other, and the diagonal, where equal numbers lie."""
    from openpyxl.chart import ScatterChart
    from openpyxl.chart.data_source import AxDataSource, NumDataSource
    from openpyxl.chart.marker import Marker
    from openpyxl.chart.series import SeriesLabel, XYSeries
    from openpyxl.chart.shapes import GraphicalProperties
    from openpyxl.drawing.colors import ColorChoice, SchemeColor
    from openpyxl.drawing.line import LineProperties

    accent = ColorChoice(schemeClr=SchemeColor(val="accent1"))  # type: ignore[arg-type]
    grey = ColorChoice(srgbClr="7F7F7F")  # type: ignore[arg-type]
    chart = ScatterChart()
    chart.style = None
    chart.scatterStyle = "lineMarker"
    horizontal = _cells(sheet, x_column, first_row, last_row)
    diagonal = XYSeries(idx=0, order=0, tx=SeriesLabel(v=_title(x_title)))
    points = XYSeries(idx=1, order=1, tx=SeriesLabel(v=_title(y_title)))
    for series, vertical in (
        (diagonal, horizontal), (points, _cells(sheet, y_column, first_row, last_row)),
    ):  # fmt: skip
        series.xVal = AxDataSource(numRef=horizontal)
        series.yVal = NumDataSource(numRef=vertical)
        chart.series.append(series)
    diagonal.marker = Marker(symbol="none")
    diagonal.spPr = GraphicalProperties(ln=LineProperties(w=9525, solidFill=grey))
    points.marker = Marker(symbol="circle", size=_POINT)
    points.marker.spPr = GraphicalProperties(solidFill=accent)
    points.spPr = GraphicalProperties(ln=LineProperties(noFill=True))
    chart.x_axis.axPos = "b"
    return _finished(chart, title, x_title, y_title)


def _title(text: str) -> str:
    return plain(text)[:_LONGEST_TITLE]


def _cells(sheet: str, column: str, first_row: int, last_row: int) -> NumRef:
    from openpyxl.chart.data_source import NumRef

    return NumRef(f=f"{quote_sheet(sheet)}!${column}${first_row}:${column}${last_row}")


def _finished(
    chart: ChartBase, title: str, x_title: str, y_title: str, legend: Legend | None = None
) -> bytes:
    """The chart's XML, with its titles."""
    from openpyxl.xml.functions import tostring

    x_axis, y_axis = chart.x_axis, chart.y_axis  # type: ignore[attr-defined]
    chart.title = _title(title)
    chart.legend = legend
    y_axis.title, x_axis.title = _title(y_title), _title(x_title)
    for item in (chart.title, x_axis.title, y_axis.title):
        assert item is not None
        item.overlay = False  # else recent versions of Excel draw it over the plot
    y_axis.delete = x_axis.delete = False
    x_axis.tickLblPos = y_axis.tickLblPos = "low"
    body = tostring(chart._write())  # type: ignore[attr-defined]
    head = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return head + (body.encode() if isinstance(body, str) else body)
