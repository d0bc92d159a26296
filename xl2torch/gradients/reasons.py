"""Why a numeric derivative differs from the analytic one, in words.

A reason begins with its kind: kink, step function, lookup, truncation, cancellation, plateau, error
value, infinite slope, or unexplained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch.func import functional_call

from xl2torch.cells.address import CellRange, single_cell
from xl2torch.excel.registry import FUNCTIONS
from xl2torch.formula.ast import functions_in
from xl2torch.gradients.crossings import Crossing, crossings
from xl2torch.gradients.difference import Differences, VariableIndex, differences
from xl2torch.lowering.schedule import Evaluation, Unit
from xl2torch.model.sheet_model import SheetModel, Variable

_LADDER = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e1, 1e2, 1e3, 1e4, 1e6)
_MUCH_NEARER = 0.1
_SHOWN = 2


@dataclass(frozen=True)
class Doubt:
    """One variable cell with its analytic derivative."""

    model: SheetModel
    cells: VariableIndex
    analytic: float


def reason_of(doubt: Doubt, found: Differences) -> str:
    """Why the derivatives of a cell differ, in words."""
    if not math.isfinite(doubt.analytic):
        return "infinite slope: the analytic derivative has no value here, as that of SQRT at 0"
    at, step = found.at.item(), found.step.item()
    if at + step == at or at - step == at:
        return f"cancellation: the step {step:.3g} vanishes beside the value {at:.10g}"
    if not bool(found.finite):
        one_side = math.isfinite(found.below.item()) or math.isfinite(found.above.item())
        end = at + step if math.isfinite(found.below.item()) else at - step
        edge = ", so the cell stands at the edge of what can be computed" if one_side else ""
        return f"error value: the objective is an error at {end:.10g}, one step away{edge}"
    crossed = _crossed(doubt, found)
    if crossed:
        return _crossing_text(doubt, crossed, found)
    return _step_text(doubt, found)


def _crossed(doubt: Doubt, found: Differences) -> list[Crossing]:
    """What changes on the way from one end of the step over the point to the other."""
    step = found.step.item()
    found_above = crossings(doubt.model, _moved(doubt, 0.0), _moved(doubt, step))
    if found.method == "forward":
        return found_above
    below = crossings(doubt.model, _moved(doubt, -step), _moved(doubt, 0.0))
    return list(dict.fromkeys([*below, *found_above]))


def _moved(doubt: Doubt, by: float) -> Mapping[str, torch.Tensor]:
    """Parameters of the model with the cell moved."""
    variable = doubt.model.variables[int(doubt.cells.ranges)]
    values = doubt.model.parameter(variable).detach().clone()
    values.view(-1)[int(doubt.cells.places)] += by
    return {variable.name: values}


def _crossing_text(doubt: Doubt, crossed: list[Crossing], found: Differences) -> str:
    step = f"within one step of {found.step.item():.3g}"
    kinds = {crossing.kind for crossing in crossed}
    if _is_continuous(doubt, found):
        kind = "kink"
        sides = f"{found.left.item():.6g} to the left, {found.right.item():.6g} to the right"
        said = f"bends {step}; the slope is {sides}"
    elif "lookup" in kinds:
        kind, said = "lookup", f"finds another value {step}"
    else:
        kind, said = "step function", f"jumps {step}"
    shown = [str(item) for item in crossed if item.kind == kind] or [str(item) for item in crossed]
    where = "; ".join(shown[:_SHOWN]) + (" and more" if len(shown) > _SHOWN else "")
    return f"{kind}: {where} {said}"


def _is_continuous(doubt: Doubt, found: Differences) -> bool:
    """Whether the objective bends in the step but does not jump.

    Then it rises on both sides as the slopes at the point and at the end allow.
    """
    step = found.step.item()
    sides = [(found.right.item(), step)]
    if found.method == "central":
        sides.append((found.left.item(), -step))
    here = _slope(doubt, 0.0)
    for quotient, by in sides:
        low, high = sorted((here, _slope(doubt, by)))
        slack = 1e-3 * max(abs(low), abs(high), 1e-12) + 2 * found.rounding.item()
        if not low - slack <= quotient <= high + slack:
            return False
    return True


def _slope(doubt: Doubt, by: float) -> float:
    """Derivative of the objective by the cell, with the cell moved."""
    ((name, values),) = _moved(doubt, by).items()
    values = values.requires_grad_()
    objective = functional_call(doubt.model, {name: values}, ())
    if not objective.requires_grad:
        return 0.0
    (slope,) = torch.autograd.grad(objective, values, allow_unused=True)
    return 0.0 if slope is None else float(slope.reshape(-1)[int(doubt.cells.places)])


def _step_text(doubt: Doubt, found: Differences) -> str:
    step, gap = found.step.item(), abs(doubt.analytic - found.quotient.item())
    factors = torch.tensor(_LADDER, dtype=torch.float64)
    steps = factors * step
    cells = VariableIndex(
        doubt.cells.ranges.expand(len(steps)), doubt.cells.places.expand(len(steps))
    )
    others = differences(doubt.model, cells, found.method, steps)
    gaps = (others.quotient - doubt.analytic).abs().nan_to_num(math.inf)
    nearest = int(gaps.argmin())
    if gaps[nearest] <= _MUCH_NEARER * gap:
        better = f"at {steps[nearest].item():.3g} the difference is {gaps[nearest].item():.3g}"
        if factors[nearest] < 1:
            return f"truncation: the step {step:.3g} is too large; {better}"
        return f"cancellation: the step {step:.3g} is too small; {better}"
    if found.rounding.item() >= gap:
        return f"cancellation: rounding explains {found.rounding.item():.3g} at this step"
    if bool(found.flat):
        return "plateau: the objective does not move within a step"
    central = replace(others, method="central").quotient
    best = (central - doubt.analytic).abs().nan_to_num(math.inf).min().item()
    if found.method == "forward" and best <= _MUCH_NEARER * gap:
        return (
            "truncation: the slope is so small beside the curvature, as near an optimum, that no "
            f"step of a forward difference shows it; a central one is off by {best:.3g}"
        )
    return (
        "unexplained: the two differ at every step. This may be a fault in xl2torch: please report "
        "the formulas"
    )


def plateau_of(model: SheetModel, variable: Variable) -> str:
    """Why the objective does not move with cells of a variable range."""
    evaluation, objective = model.compiled.evaluation, model.problem.objective
    given = [unit for unit in evaluation.given if unit.area == variable.cells]
    flat = f"{objective} does not move with this cell"
    return plateau(evaluation, given, single_cell(objective), flat)


def plateau(evaluation: Evaluation, given: Iterable[Unit], area: CellRange, flat: str) -> str:
    """Why some cells do not move with given ones: steps on the way, or else ``flat``."""
    between = evaluation.descendants(given)
    between &= evaluation.ancestors(evaluation.overlapping(area))
    for unit in sorted(between, key=lambda unit: unit.area):
        if unit.region is None:
            continue
        names = functions_in(unit.region.tree)
        steps = sorted(n for n in names if n in FUNCTIONS and FUNCTIONS[n].gradient == "step")
        if steps:
            return f"plateau: the slope is 0; {', '.join(steps)} in {unit.area} moves in steps"
    return f"plateau: the slope is 0; {flat}"
