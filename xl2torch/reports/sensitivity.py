"""The Sensitivity Report: reduced gradients of variables, Lagrange multipliers of constraints."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from xl2torch.analysis import highs
from xl2torch.analysis.linear_program import linear_program
from xl2torch.analysis.linearity import nonlinear_place
from xl2torch.analysis.optimality import Optimality, optimality
from xl2torch.analysis.ranging import ranging
from xl2torch.cells.address import CellAddress
from xl2torch.errors import ModelError
from xl2torch.reports.kinds import SENSITIVITY
from xl2torch.reports.layout import Shown, note, report_sheet, table, title, titles
from xl2torch.reports.outcome import ReportContext
from xl2torch.training.methods import HIGHS
from xl2torch.workbook.write.new_sheet import NewSheet, StyledValue

_ROUNDING = 1e-12


@dataclass(frozen=True)
class SensitivityLine:
    """A variable and its reduced gradient, or a constrained cell and its Lagrange multiplier.

    For a linear model these are reduced cost and shadow price; then ``coefficient`` is that of the
    objective, or the right side, and it can move by ``increase`` and ``decrease`` before the basis
    changes.
    """

    cell: CellAddress
    name: str
    value: float
    derivative: float
    coefficient: float | None = None
    increase: float | None = None
    decrease: float | None = None


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


def sensitivity(outcome: ReportContext) -> Sensitivity:
    """Derivatives of the best objective at the result. Raises ModelError."""
    outcome.problem.require_objective("sensitivity")
    point, constraints = outcome.point, outcome.constraints
    if bool(constraints.integer.any()):
        raise ModelError("with integer constraints there are no multipliers, as in Solver")
    if outcome.result.stop.code == 5:
        raise ModelError("there is no feasible point whose multipliers could be told")
    found = optimality(constraints, point)
    values = constraints.left(point).detach().tolist()
    more = None
    is_linear = nonlinear_place(outcome.result.model) is None
    if outcome.result.settings.optimizer == HIGHS and is_linear:
        found, more = _of_linear_program(outcome, found)
    variables = [
        SensitivityLine(*line)
        for line in zip(
            outcome.cells, outcome.names, point.tolist(), found.reduced.tolist(), strict=True
        )
    ]
    limits = [
        SensitivityLine(
            constraints.limits[place].cell, outcome.name(constraints.limits[place].cell),
            values[place], float(multiplier),
        )
        for place, multiplier in zip(constraints.general, found.multipliers, strict=True)
    ]  # fmt: skip
    if more is not None:
        variables = [_extended(*pair) for pair in zip(variables, more[0], strict=True)]
        limits = [_extended(*pair) for pair in zip(limits, more[1], strict=True)]
    return Sensitivity(tuple(variables), tuple(limits), found.optimal, found.unique)


_Moves = tuple[float, float, float]
"""A coefficient, its allowable increase and decrease."""


def _extended(line: SensitivityLine, moves: _Moves) -> SensitivityLine:
    coefficient, increase, decrease = moves
    return replace(line, coefficient=coefficient, increase=increase, decrease=decrease)


def _of_linear_program(
    outcome: ReportContext, found: Optimality
) -> tuple[Optimality, tuple[list[_Moves], list[_Moves]] | None]:
    """Reduced costs and shadow prices of an optimal basis, and how far coefficients can move.

    At a degenerate vertex several prices solve ∇f = Aᵀλ; those of a basis have the right signs.
    """
    if outcome.problem.sense in ("value", "feasible") or outcome.result.stop.code != 0:
        return found, None
    program, point = linear_program(outcome.constraints, outcome.point), outcome.point.numpy()
    vertex = highs.solve(program).vertex
    if vertex is None:
        return found, None
    sign = -1.0 if outcome.problem.sense == "max" else 1.0
    prices = _without_rounding(sign * vertex.prices, program.costs)
    reduced = _without_rounding(sign * vertex.reduced, program.costs)
    ranges = ranging(program, point, vertex)
    up, down = ranges.costs if sign > 0 else ranges.costs[::-1]
    rights = np.where(np.isfinite(program.most), program.most, program.least)
    return (
        replace(found, reduced=reduced, multipliers=prices, optimal=True),
        (
            list(zip((sign * program.costs).tolist(), up.tolist(), down.tolist(), strict=True)),
            list(zip(rights.tolist(), *(side.tolist() for side in ranges.limits), strict=True)),
        ),
    )


def _without_rounding(values: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Numbers that are nothing beside the costs are 0."""
    return np.where(np.abs(values) <= _ROUNDING * np.abs(costs).max(initial=0.0), 0.0, values)


# ---------------------------------------------------------------- the sheet


_HEADS = (
    [["", "", "Final", "Reduced"], ["Cell", "Name", "Value", "Gradient"]],
    [["", "", "Final", "Lagrange"], ["Cell", "Name", "Value", "Multiplier"]],
)
_SIMPLEX_HEADS = (
    [["", "", "Final", "Reduced", "Objective", "Allowable", "Allowable"],
     ["Cell", "Name", "Value", "Cost", "Coefficient", "Increase", "Decrease"]],
    [["", "", "Final", "Shadow", "Constraint", "Allowable", "Allowable"],
     ["Cell", "Name", "Value", "Price", "R.H. Side", "Increase", "Decrease"]],
)  # fmt: skip
_NO_LIMIT = 1e30
"""How Solver writes that there is none."""


def _moves(item: SensitivityLine) -> list[float]:
    """The further columns of a linear model."""
    assert item.coefficient is not None and item.increase is not None and item.decrease is not None
    return [item.coefficient, min(item.increase, _NO_LIMIT), min(item.decrease, _NO_LIMIT)]


def sensitivity_sheet(outcome: ReportContext, name: str) -> NewSheet:
    """The Sensitivity Report as a sheet, laid out as Solver's."""
    found = sensitivity(outcome)
    sheet = outcome.problem.sheet
    formats = outcome.formats

    linear = any(item.coefficient is not None for item in found.variables)

    def lines(items: tuple[SensitivityLine, ...]) -> list[list[Shown | str | float]]:
        return [
            [
                item.cell.absolute(sheet), item.name, Shown(item.value, formats[item.cell]),
                item.derivative, *(_moves(item) if linear else []),
            ]
            for item in items
        ]  # fmt: skip

    rows = [*titles(SENSITIVITY, outcome), [], []]
    rows += [title("Variable Cells")]
    rows += [*table(_SIMPLEX_HEADS[0] if linear else _HEADS[0], lines(found.variables)), []]
    rows += [title("Constraints")]
    if found.constraints:
        rows += table(_SIMPLEX_HEADS[1] if linear else _HEADS[1], lines(found.constraints))
    else:
        rows.append([None, StyledValue("NONE", "plain")])
    if not found.optimal:
        text = "The point is not optimal, or stands on a kink (xl2torch gradcheck tells which):"
        rows += [[], note(text), note("the objective still has a slope along some variable.")]
    if not found.unique:
        rows += [[], note("Binding constraints depend on each other: these multipliers are one "
                          "choice of several.")]  # fmt: skip
    return report_sheet(name, rows)
