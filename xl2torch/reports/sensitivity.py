"""The Sensitivity Report: reduced gradients of variables, Lagrange multipliers of constraints."""

from __future__ import annotations

from dataclasses import dataclass

from xl2torch.address import CellAddress
from xl2torch.optimality import optimality
from xl2torch.reports.kinds import SENSITIVITY
from xl2torch.reports.layout import Shown, note, report_sheet, table, title, titles
from xl2torch.reports.outcome import Outcome
from xl2torch.workbook.new_sheet import NewSheet, StyledValue


@dataclass(frozen=True)
class SensitivityLine:
    """A variable and its reduced gradient, or a constrained cell and its Lagrange multiplier."""

    cell: CellAddress
    name: str
    value: float
    derivative: float


@dataclass(frozen=True)
class Sensitivity:
    """The content of a Sensitivity Report.

    Where the point is not ``optimal``, the reduced gradient of a variable that is at no bound is
    the slope that is left. Multipliers are not ``unique`` where binding constraints depend on each
    other.
    """

    variables: tuple[SensitivityLine, ...]
    constraints: tuple[SensitivityLine, ...]
    optimal: bool
    unique: bool


def sensitivity(outcome: Outcome) -> Sensitivity:
    """Derivatives of the best objective at the result. Raises ModelError."""
    point, constraints = outcome.point, outcome.constraints
    found = optimality(constraints, point)
    values = constraints.left(point).detach().tolist()
    return Sensitivity(
        tuple(
            SensitivityLine(*line)
            for line in zip(
                outcome.cells, outcome.names, point.tolist(), found.reduced.tolist(), strict=True
            )
        ),
        tuple(
            SensitivityLine(
                constraints.limits[place].cell, outcome.name(constraints.limits[place].cell),
                values[place], float(multiplier),
            )
            for place, multiplier in zip(constraints.general, found.multipliers, strict=True)
        ),
        found.optimal,
        found.unique,
    )  # fmt: skip


# ---------------------------------------------------------------- the sheet


def sensitivity_sheet(outcome: Outcome, name: str) -> NewSheet:
    """The Sensitivity Report as a sheet, laid out as Solver's."""
    found = sensitivity(outcome)
    sheet = outcome.problem.sheet
    formats = outcome.formats

    def lines(items: tuple[SensitivityLine, ...]) -> list[list[Shown | str | float]]:
        return [
            [
                item.cell.absolute(sheet), item.name, Shown(item.value, formats[item.cell]),
                item.derivative,
            ]
            for item in items
        ]  # fmt: skip

    rows = [*titles(SENSITIVITY, outcome), [], []]
    heads = [["", "", "Final", "Reduced"], ["Cell", "Name", "Value", "Gradient"]]
    rows += [title("Variable Cells"), *table(heads, lines(found.variables)), []]
    rows += [title("Constraints")]
    if found.constraints:
        heads = [["", "", "Final", "Lagrange"], ["Cell", "Name", "Value", "Multiplier"]]
        rows += table(heads, lines(found.constraints))
    else:
        rows.append([None, StyledValue("NONE", "plain")])
    if not found.optimal:
        text = "The point is not optimal, or stands on a kink (xl2torch gradcheck tells which):"
        rows += [[], note(text), note("the objective still has a slope along some variable.")]
    if not found.unique:
        rows += [[], note("Binding constraints depend on each other: these multipliers are one "
                          "choice of several.")]  # fmt: skip
    return report_sheet(name, rows)
