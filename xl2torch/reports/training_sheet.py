"""The Training Report: the history, the settings of the run, before and after, and charts."""

from __future__ import annotations

import math
import platform
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import torch

import xl2torch
from xl2torch.cells.address import MAX_ROW, CellAddress, column_letters
from xl2torch.cells.values import CellValue, display
from xl2torch.reports.outcome import ReportContext
from xl2torch.safety.plain_text import without_marks
from xl2torch.training.result import Iteration
from xl2torch.training.settings import Settings
from xl2torch.workbook.write.charts import line_chart
from xl2torch.workbook.write.new_sheet import NewSheet, PlacedChart, Row, StyledValue
from xl2torch.workbook.write.styles import significant

_HEADING = 3
"""Rows that stay in view: title, a blank row, the headings of the tables."""
_FEW_WAYS = 6
"""Columns of the way of variable cells that still fit beside the rest on paper."""
_PAGE, _TAIL = 55, 50
"""Rows on a page, and of the end of a history that is too long for few pages."""
_DECADES = 100.0
_VALIDATION, _GAP = "Validation", "Gap"
_LONGEST_NAME = 22
_CHART_ROWS, _CHART_COLUMNS = 16, 4
Watched = tuple[CellAddress, CellValue, CellValue]
_LINE = 84
"""Characters that the columns of the settings have room for."""
# Excel shows as many digits of a number as its column has room for, here about eight.
_WIDTHS = {"iteration": 10.0, "number": 13.0, "gap": 3.0, "key": 16.0, "name": 34.0}


@dataclass(frozen=True)
class History:
    """Iterations that are written: every n-th, and always the last."""

    kept: tuple[Iteration, ...]
    every: int
    asked: int
    total: int

    @property
    def remark(self) -> str:
        """What is not there, in words; '' when everything is."""
        if self.every == 1:
            return ""
        text = f"every {_ordinal(self.every)} of {self.total:,} iterations"
        if self.every > self.asked:
            text += ": a sheet holds no more rows"
        return text


def thinned(iterations: Sequence[Iteration], every: int = 1) -> History:
    """Every n-th iteration, or fewer where a sheet has not so many rows."""
    most = MAX_ROW - _HEADING - 1
    step = max(every, -(-len(iterations) // most))
    kept = list(iterations[::step])
    if kept and kept[-1] is not iterations[-1]:
        kept.append(iterations[-1])
    return History(tuple(kept), step, every, len(iterations))


def training_sheet(
    outcome: ReportContext, name: str, before_after: Sequence[Watched], every: int = 1
) -> NewSheet:
    """Content of the sheet; ``before_after`` holds the objective and the watched cells.

    The history stands to the left, its headings frozen; beside it settings, cells before and after,
    and charts; then the way of the first variable cells.
    """
    result = outcome.result
    history = thinned(result.iterations, every)
    table = _history(outcome, history)
    side = [*_settings(outcome, history), []]
    side += _before_after(outcome, before_after) if before_after else []
    starts = _starts(outcome)
    ways = _trajectories(outcome, history)
    body = range(_HEADING + 1, _HEADING + 1 + len(history.kept))
    left, middle = len(table[0]), max(len(row) for row in side)
    charts = _charts(outcome, name, history, body, left + middle + 2)
    charts_end = len(side) + len(charts) * (_CHART_ROWS + 1)
    below = [*side, *[[]] * (charts_end - len(side)), *starts] if starts else side
    height = max(len(table), len(below), len(ways))
    rows: list[Row] = [[StyledValue("Training", "title")], []]
    for place in range(height):
        rows.append([
            *_padded(table, place, left), None, *_padded(below, place, middle), None,
            *(ways[place] if place < len(ways) else []),
        ])  # fmt: skip
    placed = [
        PlacedChart(chart, len(side) + _HEADING + number * (_CHART_ROWS + 1), left + 1,
                    _CHART_ROWS, _CHART_COLUMNS)
        for number, chart in enumerate(charts)
    ]  # fmt: skip
    widths = [_WIDTHS["iteration"], *[_WIDTHS["number"]] * (left - 1), _WIDTHS["gap"]]
    widths += [_WIDTHS["key"], _WIDTHS["name"], *[_WIDTHS["number"]] * (middle - 2)]
    widths += [_WIDTHS["gap"], _WIDTHS["iteration"], *[_WIDTHS["number"]] * (len(ways[0]) - 1)]
    printed = _printed(len(rows), len(below) + _HEADING)
    if len(printed) > 1:
        text = f"On paper: the start and the last {_TAIL} iterations. A larger print area has all"
        rows[1] = [StyledValue(text, "note")]
    front = left + 1 + middle if len(ways[0]) > _FEW_WAYS else 0
    return NewSheet(name, rows, widths, placed, _HEADING, printed=printed, printed_columns=front)


def _printed(rows: int, front: int) -> list[tuple[int, int]]:
    """Rows on paper: of a long history its start, beside settings and charts, and its end."""
    first = max(front, _PAGE)
    if rows <= first + 2 * _PAGE:
        return [(1, rows)] if rows > _PAGE else []
    return [(1, first), (rows - _TAIL + 1, rows)]


def _padded(rows: Sequence[Row], place: int, width: int) -> Row:
    row = list(rows[place]) if place < len(rows) else []
    return [*row, *[None] * (width - len(row))]


def _headings(texts: Sequence[str]) -> Row:
    return [StyledValue(text, "header") for text in texts]


def _history(outcome: ReportContext, history: History) -> list[Row]:
    formats = outcome.formats
    names = [outcome.name(cell) or str(cell) for cell in outcome.result.watched]
    rows = [_headings([*_columns(outcome), *names])]
    for item in history.kept:
        row = [_number(number, style) for number, style in _columns(outcome, item).values()]
        for cell, number in zip(outcome.result.watched, item.watched, strict=True):
            row.append(_number(number, "number", formats[cell]))
        rows.append(row)
    return rows


def _columns(outcome: ReportContext, item: Iteration | None = None) -> dict[str, tuple[float, str]]:
    """Headings of the history's columns, with number and style of an iteration in each."""
    item = item or outcome.result.iterations[0]
    found = {
        "Iteration": (float(item.iteration), "count"),
        "Objective": (item.objective, "number"),
        "Gradient norm": (item.gradient_norm, "scientific"),
        "Learning rate": (item.learning_rate, "number"),
        "Seconds": (round(item.seconds, 6), "seconds"),
    }
    if outcome.problem.is_system:
        del found["Objective"], found["Gradient norm"]
    if outcome.problem.general_constraints:
        found["Violation"] = (item.violation, "scientific")
    if outcome.result.validated:
        found[_VALIDATION] = (item.validation, "number")
        found[_GAP] = (item.gap, "number")
    for name, number in zip(outcome.result.metrics, item.metric, strict=False):
        found[_heading(name)] = (number, "number")
    return found


def _heading(metric: str) -> str:
    """The name of a metric as a heading: ``error_rate`` is Error rate."""
    return metric[:1].upper() + metric[1:].replace("_", " ")


def _number(
    number: float, style: str = "number", number_format: int | None = None
) -> StyledValue | None:
    if not math.isfinite(number):
        return None
    code = significant(number) if style == "number" and not number_format else ""
    return StyledValue(number, style, number_format=number_format, code=code)


def _settings(outcome: ReportContext, history: History) -> list[Row]:
    result, problem = outcome.result, outcome.problem
    settings = result.settings
    lines: list[tuple[str, str | float]] = [
        ("Workbook", outcome.workbook.path.name),
        ("Goal", problem.goal),
        ("By changing", ", ".join(area.a1 for area in problem.variables)),
        ("Result", without_marks(result.message)),
        ("Engine", settings.solver),
        ("Chosen", settings.reason or "as asked for"),
        *_options(settings),
        *(("Note", without_marks(remark)) for remark in result.remarks),
        (f"{settings.unit}s".capitalize(), float(result.epochs)),
        ("Seconds", round(result.seconds, 3)),
        ("Made with", f"xl2torch {xl2torch.__version__}, torch {torch.__version__}, "
                      f"Python {platform.python_version()}"),
        ("On", f"{datetime.now():%Y-%m-%d %H:%M}"),
    ]  # fmt: skip
    if history.remark:
        lines.append(("History", history.remark))
    rows = [_headings(["Setting", "Value", "", ""])]
    for key, value in lines:
        if not isinstance(value, str):
            rows.append([StyledValue(key, "key"), StyledValue(value)])
            continue
        first, *rest = textwrap.wrap(value, _LINE, break_on_hyphens=False) or [""]
        rows.append([StyledValue(key, "key"), StyledValue(first)])
        rows += [[None, StyledValue(line)] for line in rest]
    return rows


def _options(settings: Settings) -> list[tuple[str, str | float]]:
    """Options that were given."""
    given: list[tuple[str, str | float]] = [
        (key, value if isinstance(value, float) else str(value))
        for key, value in settings.arguments.items()
    ]
    return given + [(label, _told(value)) for label, value in settings.told.items()]


def _told(value: object) -> str | float:
    """An option's value for people."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return float(value) if isinstance(value, int | float) else str(value)


def _starts(outcome: ReportContext) -> list[Row]:
    """The table of several starts, the best first."""
    ends = outcome.result.ends
    if not ends:
        return []
    sign = -1.0 if outcome.problem.sense == "max" else 1.0
    ordered = sorted(ends, key=lambda item: (max(item.overstep, 1.0), sign * item.end))
    rows: list[Row] = [[], _headings(["Start", "Iterations", "Began at", "Ended at"])]
    for item in ordered:
        rows.append([
            _number(float(item.number), "count"), _number(float(item.iterations), "count"),
            _number(item.start), _number(item.end),
        ])  # fmt: skip
    return rows


def _before_after(outcome: ReportContext, before_after: Sequence[Watched]) -> list[Row]:
    # General for the objective: its digits are what training is about.
    formats = {**outcome.formats, outcome.problem.objective: 0}
    rows = [_headings(["Cell", "Name", "Before", "After"])]
    for cell, before, after in before_after:
        rows.append([
            StyledValue(cell.a1 if cell.sheet == outcome.problem.sheet else str(cell)),
            StyledValue(outcome.name(cell)),
            _shown(before, formats[cell]),
            _shown(after, formats[cell]),
        ])  # fmt: skip
    return rows


def _shown(value: CellValue, number_format: int) -> StyledValue:
    if isinstance(value, bool) or not isinstance(value, float):
        return StyledValue(display(value), "number")
    return StyledValue(value, "number", number_format=number_format)


def _trajectories(outcome: ReportContext, history: History) -> list[Row]:
    names = _names(outcome)
    rows = [_headings(["Iteration", *names])]
    for item in history.kept:
        ways = [_number(number) for number in item.variables]
        rows.append([_number(float(item.iteration), "count"), *ways])
    return rows


def _names(outcome: ReportContext) -> list[str]:
    """Cell and name of the followed variable cells."""
    followed = outcome.result.followed
    return [
        f"{cell.a1} {name}"[:_LONGEST_NAME].strip()
        for cell, name in zip(followed, outcome.names, strict=False)
    ]  # fmt: skip


def _charts(
    outcome: ReportContext, name: str, history: History, rows: range, ways: int
) -> list[bytes]:
    losses = [item.objective for item in history.kept]
    rates = [item.learning_rate for item in history.kept]
    objective = outcome.problem.objective
    loss = outcome.name(objective).rstrip(" :") or str(objective)
    letters = {head: column_letters(place) for place, head in enumerate(_columns(outcome), 1)}
    metrics = [_heading(text) for text in outcome.result.metrics]
    unit = outcome.result.settings.unit

    def chart(title: str, series: dict[str, str], what: str, decades: bool = False) -> bytes:
        return line_chart(
            f"{title} per {unit}", name,
            [(text, letters[head]) for head, text in series.items()], letters["Iteration"], rows,
            what, unit.capitalize(), decades,
        )  # fmt: skip

    found = []
    if outcome.result.validated:
        held = [item.validation for item in history.kept]
        both = {"Objective": "Rows trained on", _VALIDATION: "Rows held back"}
        found.append(chart(loss, both, loss, _spans_decades([*losses, *held])))
        found.append(chart("Gap between the two", {_GAP: _GAP}, _GAP))
    elif not outcome.problem.is_system:
        found.append(chart(loss, {"Objective": loss}, loss, _spans_decades(losses)))
    if metrics:
        found.append(chart(metrics[0], dict(zip(metrics, metrics, strict=True)), metrics[0]))
    rate = {"Learning rate": "Learning rate"}
    if len(set(rates)) > 1:
        found.append(chart("Learning rate", rate, "Learning rate", _spans_decades(rates)))
    names = _names(outcome)
    total = len(outcome.cells)
    what = (
        f"first {len(names)} of {total:,} variable cells"
        if total > len(names)
        else ("variable cells")
    )
    series = [(text, column_letters(ways + 2 + place)) for place, text in enumerate(names)]
    found.append(
        line_chart(
            f"The {what}",
            name,
            series,
            column_letters(ways + 1),
            rows,
            "Value",
            unit.capitalize(),
        )
    )
    return found


def _spans_decades(numbers: Sequence[float]) -> bool:
    """Whether a logarithmic axis shows more."""
    return min(numbers) > 0 and max(numbers) >= _DECADES * min(numbers)


def _ordinal(number: int) -> str:
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{last or 'th'}"
