"""What xl2torch understands of a workbook, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import fx

from xl2torch.cells.address import CellRange
from xl2torch.errors import SelectionError, UnsupportedError, Xl2TorchError
from xl2torch.evaluate.verification import foreign, not_of_excel
from xl2torch.excel.registry import FUNCTIONS
from xl2torch.formula.ast import functions_in
from xl2torch.ir.facts import facts, value_of
from xl2torch.ir.naming import identifier, label, line_of
from xl2torch.ir.printing import expression, is_line
from xl2torch.lowering.regions import odd_cells
from xl2torch.lowering.schedule import Evaluation, Unit
from xl2torch.model.problem import Problem, find_problem
from xl2torch.model.sheet_model import SheetModel, as_workbook, compile, compile_problem
from xl2torch.notebook import Report
from xl2torch.safety.limits import within_limits
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.solver_model import SolverModel, solver_models

ODD_CELLS_LISTED = 50
_SHOWN = 5


@within_limits("looking at the workbook")
def inspect(
    workbook: Workbook | str | Path, sheet: str | None = None, problem: Problem | None = None
) -> Report:
    """Describe sheets, formulas and Solver models, each model with its program.

    Args:
        workbook: A workbook, or its path.
        sheet: The sheet to describe, by default all.
        problem: A problem that is shown instead of the stored models; where there are none, the
            model that the workbook remembers is.

    Returns:
        A report as plain data: ``workbook``, ``sheets``, ``models``.

    Raises:
        SelectionError: No such sheet.

    Example:
        >>> xl2torch.inspect("workbooks/line.xlsx")["models"][0]["sense"]
        'min'
    """
    workbook = as_workbook(workbook)
    names = [workbook.sheet(sheet).name] if sheet else [item.name for item in workbook.sheets]
    evaluation = Evaluation(workbook)
    evaluation.compute_all()
    stored = [model for model in solver_models(workbook) if model.sheet in names]
    if problem is None and not stored and not sheet and "variables" in workbook.remembered:
        with suppress(SelectionError):  # of another state of the sheet
            problem = find_problem(workbook)
    if problem is not None:
        models = [_describe_problem(workbook, problem)]
    else:
        models = [_describe_stored(workbook, model) for model in stored]
    return Report({
        "workbook": str(workbook.path),
        "sheets": [_describe_sheet(workbook, name, evaluation) for name in names],
        "models": models,
    })  # fmt: skip


def _describe_sheet(workbook: Workbook, name: str, evaluation: Evaluation) -> dict[str, Any]:
    sheet = workbook.sheet(name)
    units = [unit for unit in evaluation.units(name) if unit.region is not None]
    regions = evaluation.regions[name]
    functions: Counter[str] = Counter()
    for region in regions:
        functions.update(dict.fromkeys(functions_in(region.tree), region.rows * region.columns))
    unsupported = [
        {
            "cells": unit.area.a1,
            "formula": "=" + unit.region.formula,
            "reason": unit.cached_because,
        }
        for unit in units
        if unit.cached_because and unit.region and not foreign(unit)
    ]
    rows, columns = sheet.extent
    return {
        "name": name,
        "rows": rows,
        "columns": columns,
        "formulas": len(sheet.formulas),
        "regions": len(regions),
        "tables": [f"{table.name} {table.range.a1}" for table in sheet.tables],
        "functions": dict(functions.most_common()),
        "not_of_excel": not_of_excel(unit for unit in units if unit.cached_because),
        "unknown_functions": sorted(functions.keys() - FUNCTIONS.keys()),
        "unsupported": unsupported,
        "data_tables": [area.a1 for area in sheet.data_tables],
        "volatile": [unit.area.a1 for unit in units if unit.volatile],
        "odd_cells": [
            {"cell": cell.a1, "note": note}
            for cell, note in odd_cells(sheet, regions)[:ODD_CELLS_LISTED]
        ],
    }


def _describe_stored(workbook: Workbook, stored: SolverModel) -> dict[str, Any]:
    description: dict[str, Any] = {
        "sheet": stored.sheet,
        "objective": stored.objective,
        "sense": _sense(stored) if stored.objective else "feasible",
        "variables": stored.variables,
        "non_negative": stored.non_negative,
        "constraints": [f"{c.left} {c.relation} {c.right}" for c in stored.constraints],
    }
    return _with_program(description, lambda: compile(workbook, stored.sheet))


def _sense(wanted: SolverModel | Problem) -> str:
    return f"value={wanted.target:g}" if wanted.sense == "value" else wanted.sense


def _describe_problem(workbook: Workbook, problem: Problem) -> dict[str, Any]:
    description: dict[str, Any] = {
        "sheet": problem.sheet,
        "objective": "" if problem.is_system else str(problem.objective),
        "sense": _sense(problem),
        "variables": ", ".join(str(area) for area in problem.variables),
        "non_negative": problem.non_negative,
        "constraints": [str(item) for item in problem.constraints],
    }
    return _with_program(description, lambda: compile_problem(workbook, problem))


def _with_program(description: dict[str, Any], make: Callable[[], SheetModel]) -> dict[str, Any]:
    try:
        model = make()
    except UnsupportedError as error:
        cells = [
            {"cell": item.cell, "formula": "=" + item.formula, "reason": item.reason}
            for item in error.cells
        ]
        return {**description, "error": str(error), "unsupported": cells}
    except Xl2TorchError as error:
        return {**description, "error": str(error), "unsupported": []}
    return {**description, **describe_model(model)}


def describe_model(model: SheetModel) -> dict[str, Any]:
    """Variables, constants and the program of a compiled model, in order of evaluation."""
    program = []
    constants = []
    for node in model.graph.nodes:
        cells = facts(node).cells
        if node.op == "get_attr":
            tensor = getattr(model, node.target)
            if not isinstance(tensor, torch.nn.Parameter):
                constants.append(
                    {
                        "name": node.name,
                        "cells": str(cells) if cells else None,
                        "shape": list(tensor.shape),
                    }
                )
        elif is_line(node):
            program += [_part(model, node, *part) for part in facts(node).parts]
            program.append(
                {
                    "name": node.name,
                    "cells": str(cells),
                    "formula": "=" + (facts(node).formula or ""),
                    "torch": expression(node),
                    "shape": list(value_of(node).shape),
                }
            )
    used: set[str] = set()
    notes = _lookup_notes(model)
    steps: dict[str, list[str]] = {}
    evaluation = model.compiled.evaluation
    for unit in evaluation.ancestors(evaluation.overlapping_cell(model.problem.objective)):
        if unit.region is not None:
            used |= functions_in(unit.region.tree)
            if unit.trained:
                _collect_steps(unit, steps)
    notes += [
        f"{_listed(cells)}: {name} moves in steps: no slope comes through it"
        for name, cells in steps.items()
    ]
    notes += [
        f"{area}: random numbers, drawn anew at each training step; the file's draw is kept in it"
        for area in model.drawn
    ]
    notes += _flat_notes(model)
    return {
        "value": float(model().detach()),
        "parameters": [
            {
                "name": variable.name,
                "label": variable.label,
                "cells": str(variable.cells),
                "shape": list(variable.start.shape),
                "lower": _limit(variable.lower),
                "upper": _limit(variable.upper),
            }
            for variable in model.variables
        ],
        "constants": constants,
        "program": program,
        "functions_used": sorted(used),
        "notes": sorted(notes),
        "nodes": len(model.graph.nodes),
        "error": None,
        "unsupported": [],
    }


def _part(model: SheetModel, node: fx.Node, cells: CellRange, formula: str) -> dict[str, Any]:
    """A line of the sheet that the program computes within another."""
    return {
        "name": identifier(label(model.compiled.workbook, cells), cells),
        "cells": str(cells),
        "formula": "=" + (formula or ""),
        "torch": f"(within {node.name})",
        "shape": [size for size in (cells.rows, cells.columns) if size > 1],
    }


def _collect_steps(unit: Unit, steps: dict[str, list[str]]) -> None:
    """Note the functions of a region that move in steps where they read trained values."""
    assert unit.region is not None
    for name in functions_in(unit.region.tree):
        if name in FUNCTIONS and FUNCTIONS[name].gradient == "step":
            steps.setdefault(name, []).append(str(unit.area))


def _listed(cells: list[str]) -> str:
    shown = ", ".join(sorted(cells)[:_SHOWN])
    return f"{shown} and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else shown


def _lookup_notes(model: SheetModel) -> list[str]:
    """Lookups whose place depends on a parameter."""
    found = []
    for node in model.graph.nodes:
        if node.op == "call_function" and node.target is torch.take_along_dim:
            index = node.args[1]
            if isinstance(index, fx.Node) and index.op != "get_attr":
                found.append(
                    f"{line_of(node) or 'the objective'}: which value is looked up depends on the "
                    "variables: piecewise constant in them, exact in the values found"
                )
    return sorted(set(found))


def _flat_notes(model: SheetModel) -> list[str]:
    """Parameters that have no slope at the start point."""
    value = model()
    if not value.requires_grad:
        return []
    parameters = [model.parameter(variable) for variable in model.variables]
    slopes = torch.autograd.grad(value, parameters, allow_unused=True)
    return [
        f"{variable.cells}: no slope at the start point: none of it moves the objective there"
        for variable, slope in zip(model.variables, slopes, strict=True)
        if slope is None or not bool(slope.any())
    ]


def _limit(tensor: torch.Tensor) -> float | None:
    values = set(tensor.reshape(-1).tolist())
    only = values.pop() if len(values) == 1 else None
    return only if only is not None and abs(only) != float("inf") else None
