"""Why a numeric derivative differs from the analytic one, in words.

A reason begins with its kind: kink, step function, lookup, truncation, cancellation, plateau, error
value, infinite slope, or unexplained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from xl2torch.address import CellRange
from xl2torch.formula.ast import functions_in
from xl2torch.functions.registry import FUNCTIONS
from xl2torch.gradients.crossings import Crossing, crossings
from xl2torch.gradients.difference import Cells, Differences, differences
from xl2torch.graph.schedule import Evaluation
from xl2torch.model import SheetModel

_LADDER = (1e-1, 1e-2, 1e-3, 1e-4, 1e1, 1e2, 1e3, 1e4, 1e6)
_MUCH_NEARER = 0.1
_SHOWN = 2


@dataclass(frozen=True)
class Doubt:
    """One variable cell with its analytic derivative."""

    model: SheetModel
    cells: Cells
    analytic: float


def reason_of(doubt: Doubt, found: Differences) -> str:
    """Why the derivatives of a cell differ, in words."""
    if not math.isfinite(doubt.analytic):
        return "infinite slope: the analytic derivative has no value here, as that of SQRT at 0"
    at, step = found.at.item(), found.step.item()
    if not bool(found.finite):
        one_side = math.isfinite(found.below.item()) or math.isfinite(found.above.item())
        end = at + step if math.isfinite(found.below.item()) else at - step
        edge = ", so the cell stands at the edge of what can be computed" if one_side else ""
        return f"error value: the objective is an error at {end:.10g}, one step away{edge}"
    crossed = _crossed(doubt, found)
    if crossed:
        return _crossing_text(crossed, found)
    return _step_text(doubt, found)


def _crossed(doubt: Doubt, found: Differences) -> list[Crossing]:
    step = found.step.item()
    below = 0.0 if found.method == "forward" else -step
    return crossings(doubt.model, _moved(doubt, below), _moved(doubt, step))


def _moved(doubt: Doubt, by: float) -> Mapping[str, torch.Tensor]:
    """Parameters of the model with the cell moved."""
    variable = doubt.model.variables[int(doubt.cells.ranges)]
    values = doubt.model.parameter(variable).detach().clone()
    values.view(-1)[int(doubt.cells.places)] += by
    return {variable.name: values}


def _crossing_text(crossed: list[Crossing], found: Differences) -> str:
    kinds = [crossing.kind for crossing in crossed]
    kind = next((kind for kind in ("step function", "lookup") if kind in kinds), "kink")
    shown = [str(crossing) for crossing in crossed if crossing.kind == kind]
    where = "; ".join(shown[:_SHOWN]) + (" and more" if len(shown) > _SHOWN else "")
    step = f"within one step of {found.step.item():.3g}"
    if kind == "kink":
        sides = f"{found.left.item():.6g} to the left, {found.right.item():.6g} to the right"
        return f"kink: {where} bends {step}; the slope is {sides}"
    if kind == "lookup":
        return f"lookup: {where} finds another value {step}"
    return f"step function: {where} jumps {step}; its slope is 0 elsewhere"


def _step_text(doubt: Doubt, found: Differences) -> str:
    step, gap = found.step.item(), abs(doubt.analytic - found.quotient.item())
    factors = torch.tensor(_LADDER, dtype=torch.float64)
    steps = factors * step
    cells = Cells(doubt.cells.ranges.expand(len(steps)), doubt.cells.places.expand(len(steps)))
    others = differences(doubt.model, cells, found.method, steps)
    gaps = (others.quotient - doubt.analytic).abs().nan_to_num(math.inf)
    nearest = int(gaps.argmin())
    if gaps[nearest] <= _MUCH_NEARER * gap:
        better = f"at {steps[nearest].item():.3g} the difference is {gaps[nearest].item():.3g}"
        if factors[nearest] < 1:
            return f"truncation: the step {step:.3g} is too large; {better}"
        return f"cancellation: the step {step:.3g} is too small; {better}"
    if not bool((found.above != found.middle) | (found.below != found.middle)):
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


def plateau(evaluation: Evaluation, area: CellRange, name: str) -> str:
    """Why some cells, called ``name``, do not move: steps on the way, or a flat branch."""
    for unit in sorted(evaluation.ancestors(evaluation.overlapping(area)), key=lambda u: u.area):
        if unit.region is None or not unit.trained:
            continue
        names = functions_in(unit.region.tree)
        steps = sorted(n for n in names if n in FUNCTIONS and FUNCTIONS[n].gradient == "step")
        if steps:
            return f"plateau: the slope is 0; {', '.join(steps)} in {unit.area} moves in steps"
    return f"plateau: the slope is 0; {name} does not move with this cell"
