"""The Limits Report: how far each variable can go, the others fixed, and the objective there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from xl2torch.cells.address import CellAddress
from xl2torch.cells.values import NA, CellValue
from xl2torch.gradients.difference import over_copies
from xl2torch.model.jacobian import VectorFunction, variable_shapes
from xl2torch.reports.kinds import LIMITS
from xl2torch.reports.layout import GAP, Line, Shown, note, report_sheet, table, titles
from xl2torch.reports.outcome import ReportContext
from xl2torch.workbook.write.new_sheet import NewSheet

_SHORTEST, _LONGEST, _PARTS = -40, 50, 8
"""Powers of two, times the size of a variable: steps at which the constraints are looked at, each
doubling in eight parts. A forbidden interval between two of them is not seen."""
_HALVINGS = 60
_ROUNDING = 1e-12
"""Relative to its limit: what a constraint may be overstepped by."""
_AT_ONCE = 2_000_000
"""Numbers in the copies of all variable cells that are computed together."""

_NOTHING = 1e-12
"""What an engine leaves of a variable that it means to be 0: no measure of a step."""


@dataclass(frozen=True)
class LimitLine:
    """A variable, its lowest and highest value, and the objective there; infinite: no limit."""

    cell: CellAddress
    name: str
    value: float
    lower: float
    at_lower: float
    upper: float
    at_upper: float


@dataclass(frozen=True)
class Limits:
    """The content of a Limits Report; without limits where the point is not ``feasible``."""

    objective: CellAddress
    name: str
    value: float
    variables: tuple[LimitLine, ...]
    feasible: bool


def limits(outcome: ReportContext) -> Limits:
    """The smallest and largest value of each variable that keeps all constraints.

    The others stay where they are; a limit is where a constraint is first overstepped on the way.
    """
    model, point = outcome.result.model, outcome.point
    outcome.problem.require_objective("the Limits Report")
    model.eval()
    objective = VectorFunction(model, variable_shapes(model))
    lower, upper = outcome.limits
    with torch.no_grad():
        broken = outcome.constraints.violation(point) > outcome.constraints.tolerance(point)
    feasible = not bool(broken.any())
    if not feasible:
        lower, upper = torch.full_like(lower, -math.inf), torch.full_like(upper, math.inf)
    elif outcome.constraints.general:
        lower, upper = _reached(outcome, lower, -1.0), _reached(outcome, upper, 1.0)
    ends = []
    for limit in (lower, upper):
        found = torch.full_like(limit, math.nan)
        for places in _parts(torch.nonzero(torch.isfinite(limit)).reshape(-1), len(point)):
            copies = _moved(point, places, limit[places])
            with torch.no_grad():
                found[places] = over_copies(objective, copies).reshape(-1)
        ends.append(found)
    lines = zip(
        outcome.cells, outcome.names, point.tolist(), lower.tolist(), ends[0].tolist(),
        upper.tolist(), ends[1].tolist(), strict=True,
    )  # fmt: skip
    cell = outcome.problem.objective
    value = float(objective(point).detach())
    found_lines = tuple(LimitLine(*line) for line in lines)
    return Limits(cell, outcome.name(cell), value, found_lines, feasible)


def _parts(places: torch.Tensor, width: int) -> list[torch.Tensor]:
    """Places in parts whose copies of all variable cells are bounded."""
    if not len(places):
        return []
    return list(torch.split(places, max(1, _AT_ONCE // width)))


def _moved(point: torch.Tensor, places: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Copies of a point, in each of which one element is replaced."""
    copies = point.repeat(len(places), 1)
    copies[torch.arange(len(places)), places] = values
    return copies


def _reached(outcome: ReportContext, bound: torch.Tensor, sign: float) -> torch.Tensor:
    """Where each variable ends in one direction: its bound, or the first constraint on the way.

    Steps grow until a constraint is overstepped; the last of them is then halved.
    """
    point, constraints = outcome.point, outcome.constraints
    general = torch.tensor(constraints.general)
    with torch.no_grad():
        size = constraints.right(point)[general].abs().clamp_min(1.0)
        allowed = torch.maximum(_ROUNDING * size, constraints.violation(point)[general])

    def broken(position: torch.Tensor) -> torch.Tensor:
        excess = constraints.violation(position)[general]
        return ((excess > allowed) | torch.isnan(excess)).any()

    def keeps(places: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        kept = [
            ~over_copies(broken, _moved(point, places[part], values[part]))
            for part in _parts(torch.arange(len(places)), len(point))
        ]
        return torch.cat(kept)

    everywhere = torch.arange(len(point))
    inner, outer = point.clone(), torch.full_like(point, sign * math.inf)
    scale = torch.where(point.abs() <= _NOTHING, 1.0, point.abs())
    searching = torch.ones(len(point), dtype=torch.bool)
    for part in range(_SHORTEST * _PARTS, _LONGEST * _PARTS):
        places = everywhere[searching]
        if not len(places):
            break
        values = point[places] + sign * scale[places] * 2.0 ** (part / _PARTS)
        values = values.minimum(bound[places]) if sign > 0 else values.maximum(bound[places])
        kept = keeps(places, values)
        inner[places[kept]] = values[kept]
        outer[places[~kept]] = values[~kept]
        searching[places] = kept & (values != bound[places])
    ended = torch.isfinite(outer)
    for _ in range(_HALVINGS):
        places = everywhere[ended]
        if not len(places):
            break
        middle = (inner[places] + outer[places]) / 2
        kept = keeps(places, middle)
        inner[places[kept]] = middle[kept]
        outer[places[~kept]] = middle[~kept]
    return torch.where(ended | (inner == bound), inner, sign * math.inf)


# ---------------------------------------------------------------- the sheet


def limits_sheet(outcome: ReportContext, name: str) -> NewSheet:
    """The Limits Report as a sheet, laid out as Solver's."""
    found = limits(outcome)
    sheet = outcome.problem.sheet
    formats = outcome.formats
    money = formats[found.objective]
    rows = [*titles(LIMITS, outcome), [], []]
    rows += table(
        [["", "Objective", ""], ["Cell", "Name", "Value"]],
        [[found.objective.absolute(sheet), found.name, Shown(found.value, money)]],
    )
    lines: list[Line] = [
        [
            line.cell.absolute(sheet), line.name, Shown(line.value, formats[line.cell]), GAP,
            Shown(_end(line.lower), formats[line.cell]), Shown(_end(line.at_lower), money), GAP,
            Shown(_end(line.upper), formats[line.cell]), Shown(_end(line.at_upper), money),
        ]
        for line in found.variables
    ]  # fmt: skip
    rows += [[], [], *table(
        [
            ["", "Variable", "", GAP, "Lower", "Objective", GAP, "Upper", "Objective"],
            ["Cell", "Name", "Value", GAP, "Limit", "Result", GAP, "Limit", "Result"],
        ],
        lines,
    )]  # fmt: skip
    if not found.feasible:
        rows += [[], note("The point breaks a constraint: see the Answer Report.")]
    return report_sheet(name, rows)


def _end(number: float) -> CellValue:
    return number if math.isfinite(number) else NA
