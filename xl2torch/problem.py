"""What is to be optimised: objective cell, variable cells, sense and bounds.

Taken from the Solver model stored in the workbook; what the caller gives overrides it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xl2torch.address import CellAddress, CellRange
from xl2torch.errors import ModelError, SelectionError
from xl2torch.values import ErrorValue, display
from xl2torch.workbook.reader import Workbook
from xl2torch.workbook.selection import parse_cell, parse_ranges
from xl2torch.workbook.solver_model import (
    Sense,
    SolverModel,
    StoredConstraint,
    solver_models,
    stored_ranges,
)  # fmt: skip


@dataclass(frozen=True)
class Bound:
    """Limits of the variable cells in one range."""

    cells: CellRange
    lower: float
    upper: float


@dataclass(frozen=True)
class Problem:
    """An optimisation problem over cells."""

    sheet: str
    objective: CellAddress
    variables: tuple[CellRange, ...]
    sense: Sense
    target: float
    non_negative: bool
    bounds: tuple[Bound, ...]
    stored: bool


class SeveralModels(SelectionError):
    """The workbook stores several Solver models and none was chosen."""

    def __init__(self, workbook: Workbook, models: Sequence[SolverModel]) -> None:
        self.models = tuple(models)
        names = [_shell_quoted(model.sheet) for model in models]
        width = max(map(len, names))
        lines = "\n".join(
            f"  --sheet {name:{width}}  {model.sense} {model.objective}"
            for name, model in zip(names, models, strict=True)
        )
        super().__init__(
            f"{workbook.path.name} holds {len(models)} Solver models; choose one:\n{lines}"
        )


def _shell_quoted(name: str) -> str:
    return f'"{name}"' if " " in name or "'" in name else name


def find_problem(
    workbook: Workbook,
    sheet: str | None = None,
    objective: str | None = None,
    variables: str | Sequence[str] | None = None,
    sense: str | None = None,
) -> Problem:
    """The problem to solve. ``sense`` is ``min``, ``max`` or ``value=NUMBER``.

    Raises SeveralModels, SelectionError (not in the workbook) or ModelError (cannot be trained).
    """
    for option, text in (("objective", objective), ("variables", variables), ("sheet", sheet)):
        if text is not None and not text:
            raise SelectionError(f"--{option} is empty")
    model = _stored_model(workbook, sheet, overridden=bool(objective and variables))
    name = workbook.sheet(sheet).name if sheet else model.sheet if model else None
    if name is None:
        if objective and "!" in objective:
            name = parse_cell(workbook, objective, workbook.sheets[0].name).sheet
        elif len(workbook.sheets) == 1 or (objective and variables):
            name = workbook.sheets[0].name
        else:
            raise SelectionError(
                f"{workbook.path.name} holds no Solver model: give --objective and --variables"
            )
    overridden = bool(variables)
    if model is not None and not overridden and model.options.get("eng") == "3":
        raise ModelError(
            f"the Solver model of sheet {model.sheet!r} asks for the Evolutionary engine, which "
            "works without gradients: choose GRG Nonlinear in Solver, or give --objective and "
            "--variables"
        )
    if objective:
        cell = parse_cell(workbook, objective, name)
    elif model:
        ranges = stored_ranges(workbook, model, model.objective, "objective cell")
        if len(ranges) != 1 or ranges[0].size != 1:
            raise ModelError(f"the stored objective {model.objective} is not a single cell")
        cell = ranges[0].first
    else:
        raise SelectionError(_missing(workbook, name, "objective"))
    if variables:
        texts = [variables] if isinstance(variables, str) else list(variables)
        areas = [area for text in texts for area in parse_ranges(workbook, text, name)]
    elif model:
        areas = stored_ranges(workbook, model, model.variables, "variable cells")
    else:
        raise SelectionError(_missing(workbook, name, "variables"))
    areas = _disjoint(areas)
    chosen, target = _sense(sense, model)
    bounds = () if overridden or model is None else tuple(
        bound for item in model.constraints for bound in _bounds(workbook, model, item, areas)
    )  # fmt: skip
    _check_objective(workbook, cell, areas)
    return Problem(
        name,
        cell,
        tuple(areas),
        chosen,
        target,
        model.non_negative if model and not overridden else False,
        bounds,
        model is not None and not (objective and variables),
    )


def _stored_model(workbook: Workbook, sheet: str | None, overridden: bool) -> SolverModel | None:
    models = solver_models(workbook)
    if sheet is not None:
        name = workbook.sheet(sheet).name
        return next((model for model in models if model.sheet == name), None)
    if overridden or not models:
        return None if overridden or not models else models[0]
    if len(models) > 1:
        raise SeveralModels(workbook, models)
    return models[0]


def _missing(workbook: Workbook, sheet: str, option: str) -> str:
    others = [model.sheet for model in solver_models(workbook)]
    hint = f" (sheets with one: {', '.join(others)})" if others else ""
    return f"sheet {sheet!r} holds no Solver model{hint}: give --{option}"


def _sense(text: str | None, model: SolverModel | None) -> tuple[Sense, float]:
    if text is None:
        return (model.sense, model.target) if model else ("min", 0.0)
    if text == "min":
        return "min", 0.0
    if text == "max":
        return "max", 0.0
    name, _, number = text.partition("=")
    try:
        if name == "value" and math.isfinite(float(number)):
            return "value", float(number)
    except ValueError:
        pass
    raise SelectionError(f"--sense {text!r}: it is min, max or value=NUMBER")


def _disjoint(areas: list[CellRange]) -> list[CellRange]:
    """Ranges without doubles. Raises SelectionError when two overlap in part."""
    kept: list[CellRange] = []
    for area in areas:
        if any(other.contains(area) for other in kept):
            continue
        for other in kept:
            if other.intersection(area):
                raise SelectionError(f"the variable ranges {other} and {area} overlap")
        kept.append(area)
    return kept


def _check_objective(workbook: Workbook, cell: CellAddress, areas: list[CellRange]) -> None:
    sheet = workbook.sheet(cell.sheet)
    value = sheet.cells.value(cell.row, cell.column)
    if not sheet.has_formula(cell.row, cell.column):
        what = "is blank" if value is None else f"holds the constant {display(value)}"
        if isinstance(value, str):
            what = f"holds the text {value!r}"
        spilled = any(
            f.array
            and f.array[0] <= cell.row <= f.array[2]
            and f.array[1] <= cell.column <= f.array[3]
            for f in sheet.array_formulas
        )
        if not spilled:
            raise ModelError(
                f"the objective {cell} {what}: it has to be a formula that depends on the variables"
            )
    elif isinstance(value, str):
        raise ModelError(f"the objective {cell} is the text {value!r}: it has to be a number")
    elif isinstance(value, ErrorValue):
        raise ModelError(
            f"the objective {cell} is the error {value}: mend the formula or its inputs first"
        )
    for area in areas:
        if area.contains(CellRange(cell.sheet, cell.row, cell.column, cell.row, cell.column)):
            raise SelectionError(f"the objective {cell} is itself a variable cell")


def _bounds(
    workbook: Workbook, model: SolverModel, constraint: StoredConstraint, areas: list[CellRange]
) -> list[Bound]:
    """A stored constraint as bounds of variable cells. Raises ModelError when it is none."""
    text = f"{constraint.left} {constraint.relation} {constraint.right}"
    refused = ModelError(
        f"the Solver model of sheet {model.sheet!r} has the constraint {text}. Only bounds of "
        "variable cells by a number are kept so far: give --objective and --variables to train "
        "without the stored constraints"
    )
    if constraint.relation not in ("<=", ">="):
        raise refused
    cells = stored_ranges(workbook, model, constraint.left, "constraint")
    if not all(any(area.contains(cell) for area in areas) for cell in cells):
        raise refused
    try:
        limit = float(constraint.right.removeprefix("="))
    except ValueError:
        try:
            limit_cell = parse_cell(workbook, constraint.right, model.sheet)
        except SelectionError:
            raise refused from None
        sheet = workbook.sheet(limit_cell.sheet)
        value = sheet.cells.value(limit_cell.row, limit_cell.column)
        if not isinstance(value, float) or sheet.has_formula(limit_cell.row, limit_cell.column):
            raise refused from None
        limit = value
    upper = constraint.relation == "<="
    return [
        Bound(cell, -math.inf if upper else limit, limit if upper else math.inf) for cell in cells
    ]
