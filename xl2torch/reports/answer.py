"""The Answer Report: objective and variables before and after, constraints and their slack.

It also keeps what ``restore`` needs: the original values, and the formulas that stood in variable
cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from xl2torch.cells.address import CellAddress, CellRange
from xl2torch.cells.values import CellValue
from xl2torch.model.problem import WORDS
from xl2torch.reports.kinds import ANSWER
from xl2torch.reports.layout import Line, Shown, report_sheet, table, title, titles
from xl2torch.reports.outcome import ReportContext, formula_cells
from xl2torch.safety.plain_text import without_marks
from xl2torch.workbook.ooxml import number_text
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.write.new_sheet import NewSheet, Row, StyledValue

VARIABLES, ORIGINAL, FORMULA = "Variable Cells", "Original Value", "Original Formula"
"""Headings by which ``restore`` finds its way."""
_GOALS = {"min": "Min", "max": "Max", "value": "Value Of"}
_KINDS = {"int": "Integer", "bin": "Binary", "dif": "AllDiff"}


@dataclass(frozen=True)
class AnswerLine:
    """One cell before and after. ``formula`` is what stood in a variable cell, with its ``=``."""

    cell: CellAddress
    name: str
    original: CellValue
    final: CellValue
    kind: str = "Contin"
    formula: str = ""


@dataclass(frozen=True)
class ConstraintLine:
    """One constrained cell at the solution."""

    cell: CellAddress
    name: str
    value: CellValue
    formula: str
    status: str
    slack: float


@dataclass(frozen=True)
class Answer:
    """The content of an Answer Report. ``integer`` are constraints that hold no number.

    A system of constraints has no objective.
    """

    objective: AnswerLine | None
    variables: tuple[AnswerLine, ...]
    constraints: tuple[ConstraintLine, ...]
    integer: tuple[str, ...]


def answer(outcome: ReportContext) -> Answer:
    """Compare the workbook before and after. Raises ModelError: a constraint cell is no number."""
    problem = outcome.problem
    before = outcome.before([problem.objective, *outcome.cells])
    formulas = _formulas(outcome.workbook, problem.variables)
    kinds = {
        cell: _KINDS[item.relation]
        for item in problem.constraints if item.relation in WORDS for cell in item.left.cells()
    }  # fmt: skip
    objective = AnswerLine(
        problem.objective, outcome.name(problem.objective), before[problem.objective],
        outcome.after(problem.objective),
    ) if not problem.is_system else None  # fmt: skip
    variables = tuple(
        AnswerLine(
            cell, name, before[cell], number, kinds.get(cell, "Contin"), formulas.get(cell, "")
        )
        for cell, name, number in zip(
            outcome.cells, outcome.names, outcome.point.tolist(), strict=True
        )
    )
    integer = tuple(
        f"{item.left.absolute(problem.sheet)}={_KINDS[item.relation]}"
        for item in problem.constraints if item.relation in WORDS
    )  # fmt: skip
    return Answer(objective, variables, tuple(_constraints(outcome)), integer)


def _constraints(outcome: ReportContext) -> list[ConstraintLine]:
    constraints, sheet = outcome.constraints, outcome.problem.sheet
    if not constraints.limits:
        return []
    point = outcome.point
    excess = constraints.excess(point)
    binding = constraints.binding(point).tolist()
    kept = (constraints.violation(point) <= constraints.tolerance(point)).tolist()
    sign = torch.tensor([1.0 if limit.relation == ">=" else -1.0 for limit in constraints.limits])
    slacks = (excess * sign).tolist()
    values = constraints.left(point).tolist()
    found = []
    for place, limit in enumerate(constraints.limits):
        status = "Binding" if binding[place] else "Not Binding" if kept[place] else "Violated"
        slack = slacks[place]
        if binding[place] or (limit.relation == "=" and kept[place]):
            slack = 0.0
        found.append(
            ConstraintLine(
                limit.cell, outcome.name(limit.cell), values[place], limit.formula(sheet), status,
                slack,
            )
        )  # fmt: skip
    return found


def _formulas(workbook: Workbook, areas: tuple[CellRange, ...]) -> dict[CellAddress, str]:
    """Formulas in variable cells, as one would type them; array formulas with their range."""
    found: dict[CellAddress, str] = {}
    for area in areas:
        for cell in formula_cells(workbook, area):
            formula = workbook.sheet(area.sheet).formula_at[cell.row, cell.column]
            if formula.array is None:
                found[cell] = "=" + formula.own_text
            else:
                found[cell] = f"{{={formula.text}}} {CellRange(area.sheet, *formula.array).a1}"
    return found


# ---------------------------------------------------------------- the sheet


def answer_sheet(outcome: ReportContext, name: str, found: Answer | None = None) -> NewSheet:
    """The Answer Report as a sheet, laid out as Solver's. Raises ModelError."""
    found = found or answer(outcome)
    sheet = outcome.problem.sheet
    formats = outcome.formats
    rows = [*titles(ANSWER, outcome), *_run(outcome), [], []]
    if found.objective is None:
        rows += [title("Objective Cell"), [None, StyledValue("NONE", "plain")], [], []]
    else:
        rows += [
            title(f"Objective Cell ({_GOALS[outcome.problem.sense]}{_target(outcome)})"),
            *table([["Cell", "Name", ORIGINAL, "Final Value"]], [
                _line(found.objective, sheet, formats[found.objective.cell])
            ]),
            [], [],
        ]  # fmt: skip
    with_formulas = any(line.formula for line in found.variables)
    heads = ["Cell", "Name", ORIGINAL, "Final Value", "Integer"]
    rows += [
        title(VARIABLES),
        *table([heads + [FORMULA] * with_formulas], [
            [*_line(line, sheet, formats[line.cell]), line.kind, *([line.formula] * with_formulas)]
            for line in found.variables
        ]),
        [], [],
        title("Constraints"),
        *_constraint_table(found, sheet, formats),
    ]  # fmt: skip
    return report_sheet(name, rows)


def _line(line: AnswerLine, sheet: str, number_format: int) -> Line:
    return [
        line.cell.absolute(sheet), line.name, Shown(line.original, number_format),
        Shown(line.final, number_format),
    ]  # fmt: skip


def _constraint_table(found: Answer, sheet: str, formats: Mapping[CellAddress, int]) -> list[Row]:
    if not found.constraints and not found.integer:
        return [[None, StyledValue("NONE", "plain")]]
    lines: list[Line] = [
        [
            line.cell.absolute(sheet), line.name, Shown(line.value, formats[line.cell]),
            line.formula, line.status, Shown(line.slack, formats[line.cell]),
        ]
        for line in found.constraints
    ]  # fmt: skip
    lines += [[text, None, None, None, None, None] for text in found.integer]
    return table([["Cell", "Name", "Cell Value", "Formula", "Status", "Slack"]], lines)


def _target(outcome: ReportContext) -> str:
    problem = outcome.problem
    return f" {problem.target:g}" if problem.sense == "value" else ""


def _run(outcome: ReportContext) -> list[Row]:
    """Rows 4 to 12: the message, the engine, the options."""
    result = outcome.result
    settings = result.settings
    seed = "None" if settings.seed is None else str(settings.seed)
    precision = f"{outcome.constraints.precision:.15f}".rstrip("0").rstrip(".")
    lines = [
        f"Engine: {settings.solver}",
        f"Solution Time: {result.seconds:.3f} Seconds.",
        f"Iterations: {result.epochs} Subproblems: {result.subproblems}",
    ]
    details = [
        f"Max Time {_limit(settings.max_time)},  Iterations {settings.epochs}, "
        f"Precision {precision}",
        f" Convergence {number_text(settings.convergence)}, Population Size {settings.starts}, "
        f"Random Seed {seed}, Derivatives Exact, Learning Rate {settings.lr:g}, "
        f"Start Values {settings.init}",
        " Assume NonNegative" if outcome.problem.non_negative else "",
    ]
    return [
        title(f"Result: {_solvers_spelling(without_marks(result.message))}"),
        title("Solver Engine"),
        *(_indented(line) for line in lines),
        title("Solver Options"),
        *(_indented(line) if line else [] for line in details),
    ]


def _solvers_spelling(message: str) -> str:
    """The report writes it with two blanks and a capital letter, the dialog does not."""
    return message.replace(". All constraints", ".  All Constraints")


def _indented(text: str) -> Row:
    return [None, StyledValue(text, "plain")]


def _limit(seconds: float | None) -> str:
    return "Unlimited" if seconds is None else f"{seconds:g} Seconds"
