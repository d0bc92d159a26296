"""Native Excel charts; openpyxl's chart model writes their XML."""

from __future__ import annotations

from collections.abc import Sequence

from xl2torch.address import quote_sheet


def line_chart(
    title: str, sheet: str, values: Sequence[float], column: str, labels: str, first_row: int,
    y_title: str, x_title: str,
) -> bytes:  # fmt: skip
    """Line chart of one column of numbers; a logarithmic axis where they span two decades.

    ``values`` stand in ``column`` from ``first_row`` on, their labels in the column ``labels``.
    """
    from openpyxl.chart import LineChart
    from openpyxl.chart.data_source import AxDataSource, NumDataSource, NumRef
    from openpyxl.chart.marker import Marker
    from openpyxl.chart.series import Series, SeriesLabel
    from openpyxl.chart.shapes import GraphicalProperties
    from openpyxl.drawing.line import LineProperties
    from openpyxl.xml.functions import tostring

    last_row = first_row + len(values) - 1
    name = quote_sheet(sheet)

    def cells(letter: str) -> NumRef:
        return NumRef(f=f"{name}!${letter}${first_row}:${letter}${last_row}")

    chart = LineChart()
    chart.title = title
    chart.legend = None
    series = Series(idx=0, order=0, tx=SeriesLabel(v=y_title))
    series.val = NumDataSource(numRef=cells(column))
    series.cat = AxDataSource(numRef=cells(labels))
    series.smooth = False
    series.marker = Marker(symbol="none")
    series.spPr = GraphicalProperties(ln=LineProperties(w=22225))
    chart.series.append(series)
    chart.y_axis.title, chart.x_axis.title = y_title, x_title
    for title_ in (chart.title, chart.x_axis.title, chart.y_axis.title):
        assert title_ is not None
        title_.overlay = False  # else recent versions of Excel draw it over the plot
    chart.y_axis.delete = chart.x_axis.delete = False
    chart.x_axis.tickLblPos = "low"
    every = max(1, len(values) // 10)
    chart.x_axis.tickLblSkip = chart.x_axis.tickMarkSkip = every  # type: ignore[attr-defined]
    if min(values) > 0 and max(values) >= 100 * min(values):
        chart.y_axis.scaling.logBase = 10
        chart.y_axis.number_format = "0E+00"
    body = tostring(chart._write())  # type: ignore[attr-defined]
    head = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return head + (body.encode() if isinstance(body, str) else body)
