"""What became of a run, in Solver's words: what cannot be solved, and what an answer is worth.

In: a problem before its first iteration, or a run that ended. Out: a ``Stop``, and remarks.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import present_point
from xl2torch.model.problem import Problem
from xl2torch.model.sheet_model import SheetModel
from xl2torch.training.box import Box
from xl2torch.training.diagnosis import (
    blank_data,
    data_scales,
    google_values,
    lost_gradient_cells,
    plateau,
    sheet_error,
    signs,
    undetermined,
    zero_gradient_cells,
)
from xl2torch.training.drive_solvers import Drive
from xl2torch.training.record import Record
from xl2torch.training.settings import Settings
from xl2torch.training.sheet_value import endless, last_in_sheet
from xl2torch.training.solvers.constrained import missed, unkept
from xl2torch.training.solvers.descent import still_steep
from xl2torch.training.solvers.protocol import Choice
from xl2torch.training.steps.scaling import scaling_remark
from xl2torch.training.stopping import Stop, Stopped


def refused(
    model: SheetModel, constraints: Constraints, settings: Settings, choice: Choice, box: Box
) -> Stop | None:
    """What cannot be solved for reasons that are known before the first iteration."""
    problem = model.problem
    lower, upper = box.lower, box.upper
    crossed = torch.nonzero(box.is_crossed).reshape(-1).tolist()
    if crossed:
        cells = list(model.cell_values())
        where = "; ".join(
            f"{cells[place]} is to be at least {lower[place]:g} and at most {upper[place]:g}"
            for place in crossed[:3]
        )
        binary = {
            cell for item in problem.integer_constraints if item.relation == "bin"
            for cell in item.left.cells()
        }  # fmt: skip
        code = 19 if any(cells[place] in binary for place in crossed) else 20
        return Stop(code, f"{where}.", True)
    stored = problem.options.get("msl") == "1" and settings.starts > 1
    open_ended = ~(torch.isfinite(lower) & torch.isfinite(upper))
    if stored and problem.options.get("rbv", "1") == "1" and bool(open_ended.any()):
        cells = list(model.cell_values())
        first = cells[int(torch.nonzero(open_ended)[0])]
        return Stop(
            18, f"{first} has not. Add them, clear Require Bounds on Variables in Solver, or give "
            "`starts=1`.", True,
        )  # fmt: skip
    hopeless = constraints.fixed_violations(present_point(model))
    if hopeless:
        texts = "; ".join(limit.text for limit in hopeless[:3])
        return Stop(5, f"No variable cell moves {texts}, which does not hold.", True)
    if choice.nonlinear:
        return Stop(
            7, f"Not linear in the variable cells: {choice.nonlinear}. Choose GRG Nonlinear in "
            'Solver, or give `optimizer="slsqp"`.', True,
        )  # fmt: skip
    return None


def final_stop(
    record: Record, problem: Problem, constraints: Constraints, stop: Stop, settings: Settings
) -> Stop:
    """The stop, in the light of the best point: it may not keep the constraints."""
    if stop.failed or stop.code == 6 or not settings.epochs:
        return stop
    if not record.feasible and stop.code in (0, 1, 2, 14, 17):
        record.restore()
        return Stop(5, unkept(constraints, record.loss.point), True)
    if not record.feasible:
        detail = stop.detail or "The constraints are not all kept yet."
        return replace(stop, detail=detail, infeasible=True)
    if stop.code in (0, 1) and not record.is_gone:
        record.restore()
        record.loss.evaluate()
        if record.loss.lost_slopes:
            return Stop(2, still_steep(math.inf))
    if problem.is_system and stop.code in (0, 1, 2, 17):
        return Stop(0)
    if problem.sense == "value" and stop.code in (0, 1, 2, 17):
        if not constraints.reaches(record.best_objective):
            return Stop(5, missed(problem.target, record.best_objective))
        return Stop(0) if stop.code != 17 else stop
    return stop


def kept_in_sheet(drive: Drive, stop: Stop) -> Stop:
    """The stop; where the sheet is an error at the best point, that of a run that stays where it
    is none. The record then has the best point there."""
    loss, record = drive.loss, drive.record
    place = sheet_error(loss.model, record.best_point)
    if place is None:
        return stop
    inside = last_in_sheet(record, loss.model)
    if inside is None:
        return Stop(9, f"It begins in {place}, at the start values too: take others.", True)
    run_away = endless(loss, record.trail[0], record.best_point)
    best = record.best
    drive.stay_in_sheet(inside)
    if stop.code in (6, 10):
        return stop  # no more is wanted
    try:
        stop = drive.solve_in_sheet()
    except Stopped as stopped:
        stop = stopped.stop
    except KeyboardInterrupt:
        return Stop(6)
    is_target = loss.model.problem.sense == "value"
    reached = is_target and drive.task.constraints.reaches(record.best_objective)
    solved = stop.code == 0 or reached
    if run_away and not solved:
        return Stop(4, run_away)
    if stop.code in (1, 2) and not reached and best < record.best:
        return Stop(2, f"Where it would be better the sheet is an error, which begins in {place}.")
    return stop


def remarks_of(drive: Drive, stop: Stop) -> list[str]:
    """What was noticed on the way, in words."""
    loss, record, solver = drive.loss, drive.record, drive.solver
    name, model = drive.task.settings.optimizer, drive.loss.model
    found = [
        f"{name} stood still on a slope; {helper} went on from there" for helper in drive.helpers
    ]
    if len(record.iterations) > 1 and solver.iterates:
        made = len(record.iterations) - 1
        found.append(lost_gradient_cells(loss, record.last_gradient, made))
        found.append(zero_gradient_cells(loss, record.had_gradient, loss.box.free))
    slopeless = not record.iterations[0].gradient_norm
    if stop.code == 0 and slopeless and drive.never_left():
        found.append(
            "no variable cell has a slope at the start point: it is an optimum already, or a "
            'plateau or a saddle; other start values (`init="normal"`, `starts=20`) tell'
        )
    if stop.code in (0, 1, 14) and not stop.failed:
        found.append(signs(model, record.best_point, loss.box))
    if stop.code == 3 and solver.has_rate and not model.drawn:
        found.append(plateau(record.losses))
    found += [blank_data(model), google_values(model)]
    found.append(data_scales(model) if solver.has_rate else "")
    if stop.code in (0, 2) and not stop.failed:
        sheet = drive.task.constraints.model  # in float64, whatever the training is in
        found.append(undetermined(sheet, record.best_point.double().cpu()))
    if solver.scales:
        start = torch.cat([item.start.reshape(-1) for item in model.variables])
        found.append(scaling_remark(start))
    return [text for text in found if text]
