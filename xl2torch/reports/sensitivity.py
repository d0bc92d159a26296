"""The Sensitivity Report: reduced gradients of variables, Lagrange multipliers of constraints.

Both are plain derivatives of the best objective, by a bound of a variable that is at it, or by the
right side of a constraint; whether the objective is minimised or maximised changes no sign. They
solve ∇f = Aᵀλ in the variables that are at no bound, A the gradients of the binding constraints
(the Karush-Kuhn-Tucker conditions: Nocedal and Wright, Numerical Optimization, 2006, 12.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from xl2torch.address import CellAddress
from xl2torch.constraints import Constraints
from xl2torch.jacobian import VectorFunction, jacobian, variable_shapes
from xl2torch.reports.kinds import SENSITIVITY
from xl2torch.reports.layout import Shown, note, report_sheet, table, title, titles
from xl2torch.reports.outcome import Outcome
from xl2torch.workbook.new_sheet import NewSheet, StyledValue

OPTIMAL = 1e-6
"""Largest slope along a free variable, times its size and relative to the objective, at which a
point counts as optimal."""


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
    model, point, constraints = outcome.result.model, outcome.point, outcome.constraints
    model.eval()
    objective = VectorFunction(model, variable_shapes(model))
    value = float(objective(point).detach())
    gradient = jacobian(objective, point)[0].numpy()
    at_bound = _at_bound(outcome)
    general = list(constraints.general)
    slopes = constraints.slopes(point).numpy()[general] if general else np.zeros((0, len(point)))
    binding = constraints.binding(point).numpy()[general].astype(bool)
    multipliers = np.zeros(len(general))
    reached = outcome.problem.sense == "value" and math.isclose(
        value, outcome.problem.target, rel_tol=constraints.precision, abs_tol=constraints.precision
    )
    unique = True
    if reached:  # whatever moves a little, the objective can be brought back to its target
        gradient = np.zeros_like(gradient)
    elif binding.any():
        free = slopes[np.ix_(binding, ~at_bound)]
        multipliers[binding] = _multipliers(
            free, gradient[~at_bound], _signs(outcome, constraints, general, value)[binding]
        )
        unique = int(np.linalg.matrix_rank(free)) == len(free)
    reduced = gradient - slopes.T @ multipliers
    left = np.abs(reduced) * np.maximum(np.abs(point.numpy()), 1.0) / max(abs(value), 1.0)
    steep = left > OPTIMAL
    wrong = np.where(at_bound, steep & _points_inside(outcome, reduced, value), steep)
    optimal = not (wrong & (not reached)).any()
    reduced = np.where(~at_bound & (left <= OPTIMAL), 0.0, reduced)
    values = constraints.left(point).detach().tolist()
    return Sensitivity(
        tuple(
            SensitivityLine(*line)
            for line in zip(
                outcome.cells, outcome.names, point.tolist(), reduced.tolist(), strict=True
            )
        ),
        tuple(
            SensitivityLine(
                constraints.limits[place].cell, outcome.name(constraints.limits[place].cell),
                values[place], float(multiplier),
            )
            for place, multiplier in zip(general, multipliers, strict=True)
        ),
        optimal,
        unique,
    )  # fmt: skip


def _at_bound(outcome: Outcome) -> np.ndarray:
    """Which variable cells are at a bound."""
    found = torch.zeros(len(outcome.point), dtype=torch.bool)
    for limit in outcome.limits:
        allowance = outcome.constraints.precision * limit.abs().clamp_min(1.0)
        found |= torch.isfinite(limit) & ((outcome.point - limit).abs() <= allowance)
    return found.numpy()


def _points_inside(outcome: Outcome, reduced: np.ndarray, value: float) -> np.ndarray:
    """For each variable at a bound, whether the objective gets better on the way inside."""
    lower, upper = outcome.limits
    downhill = (-1.0 if _goes_down(outcome, value) else 1.0) * reduced
    inside_up = (outcome.point - lower).abs() <= (outcome.point - upper).abs()
    away = np.where(inside_up.numpy(), downhill > 0, downhill < 0)
    return np.asarray(away & (lower < upper).numpy())


def _goes_down(outcome: Outcome, value: float) -> bool:
    """Whether a lower objective is a better one."""
    problem = outcome.problem
    return problem.sense == "min" or (problem.sense == "value" and value > problem.target)


def _signs(
    outcome: Outcome, constraints: Constraints, general: list[int], value: float
) -> np.ndarray:
    """The sign that each multiplier can have at an optimum; 0 for any."""
    signs = {"<=": -1.0, ">=": 1.0, "=": 0.0}
    found = [signs[constraints.limits[place].relation] for place in general]
    return np.array(found) * (1.0 if _goes_down(outcome, value) else -1.0)


def _multipliers(slopes: np.ndarray, gradient: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """λ with the signs asked for that makes Aᵀλ nearest to the gradient."""
    from scipy.optimize import lsq_linear

    if not slopes.shape[1]:
        return np.zeros(len(slopes))
    lower = np.where(signs > 0, 0.0, -np.inf)
    upper = np.where(signs < 0, 0.0, np.inf)
    scale = np.maximum(np.linalg.norm(slopes, axis=1), 1e-300)
    found = lsq_linear(slopes.T / scale, gradient, (lower, upper), method="bvls").x
    return np.asarray(found / scale)


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
