"""The Training sheet: settings, before and after, history, and a chart of the loss."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from datetime import datetime

import torch

import xl2torch
from xl2torch.address import CellAddress, column_letters, single_cell
from xl2torch.graph.naming import solver_name
from xl2torch.training.fit import Result
from xl2torch.values import CellValue, display
from xl2torch.workbook.charts import line_chart
from xl2torch.workbook.writer import NewSheet, StyledValue

_GRADIENT_NORM = 2
Row = list[StyledValue | None]


def training_sheet(
    result: Result, name: str, before_after: Sequence[tuple[CellAddress, CellValue, CellValue]]
) -> NewSheet:
    """Content of the sheet; ``before_after`` holds the objective and the watched cells."""
    workbook = result.model.compiled.workbook
    problem = result.model.problem
    goal = {"min": "minimise", "max": "maximise", "value": f"reach {problem.target:g}"}
    settings: list[tuple[str, str | float]] = [
        ("Workbook", workbook.path.name),
        ("Goal", f"{goal[problem.sense]} {problem.objective}"),
        ("By changing", ", ".join(area.a1 for area in problem.variables)),
        ("Result", result.message),
        ("Optimizer", result.settings.optimizer),
        ("Learning rate", result.settings.learning_rate),
        ("Start values", result.settings.init),
        ("Seed", "none" if result.settings.seed is None else float(result.settings.seed)),
        ("Iterations", float(result.epochs)),
        ("Seconds", round(result.seconds, 3)),
        ("Made with", f"xl2torch {xl2torch.__version__}, torch {torch.__version__}, "
                      f"Python {platform.python_version()}"),
        ("On", datetime.now().strftime("%Y-%m-%d %H:%M")),
    ]  # fmt: skip
    rows: list[Row] = [[StyledValue("Training", "title")], []]
    rows += [[StyledValue(key, "key"), StyledValue(value, "text")] for key, value in settings]
    rows += [[], [StyledValue(text, "header") for text in ("Cell", "Name", "Before", "After")]]
    for cell, before, after in before_after:
        rows.append(
            [
                StyledValue(cell.a1 if cell.sheet == problem.sheet else str(cell)),
                StyledValue(solver_name(workbook, single_cell(cell))),
                _shown(before),
                _shown(after),
            ]
        )
    while len(rows) < 20:
        rows.append([])
    heads = ["Iteration", "Objective", "Gradient norm", "Learning rate", "Seconds"]
    heads += [solver_name(workbook, single_cell(cell)) or str(cell) for cell in result.watched]
    rows.append([StyledValue(head, "header") for head in heads])
    first = len(rows) + 1
    for item in result.iterations:
        numbers = (
            item.iteration, item.objective, item.gradient_norm, item.learning_rate,
            round(item.seconds, 6), *item.watched,
        )  # fmt: skip
        rows.append(
            [
                StyledValue(number, "scientific" if column == _GRADIENT_NORM else "number")
                if math.isfinite(number)
                else None
                for column, number in enumerate(numbers)
            ]
        )
    losses = [item.objective for item in result.iterations]
    title = solver_name(workbook, single_cell(problem.objective)) or str(problem.objective)
    chart = line_chart(
        f"{title} per iteration", name, losses, column_letters(2), column_letters(1), first,
        title, "Iteration",
    )  # fmt: skip
    widths = [15, 26, 22, 22, 14] + [22] * len(result.watched)
    return NewSheet(name, rows, widths, chart, (0, len(widths) + 1))


def _shown(value: CellValue) -> StyledValue:
    if isinstance(value, bool) or not isinstance(value, float):
        return StyledValue(display(value), "number")
    return StyledValue(value, "number")
