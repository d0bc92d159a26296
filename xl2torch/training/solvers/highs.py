"""Linear models, with or without integers, by HiGHS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from xl2torch.analysis import highs
from xl2torch.analysis.binary_program import binary_program
from xl2torch.analysis.highs import Status
from xl2torch.analysis.linear_program import LinearProgram, Numbers, linear_program
from xl2torch.analysis.piecewise_linear import piecewise_linear
from xl2torch.cells.address import CellAddress
from xl2torch.errors import ModelError, SelectionError
from xl2torch.model.constraints import Constraints
from xl2torch.training.box import Box
from xl2torch.training.diagnosis import named
from xl2torch.training.methods import HIGHS
from xl2torch.training.record import Record
from xl2torch.training.solvers.protocol import (
    Choice,
    Request,
    Run,
    SolverBase,
    Task,
    register,
)
from xl2torch.training.stopping import Stop
from xl2torch.workbook.read.solver_model import number_option

_EXACT_GAP = 1e-9
_ENOUGH, _LONG = 0.01, 30.0
"""Excel's default integer tolerance, and the seconds after which it ends a run that nobody asked
to be exact."""
_TINY = 1e-9
_SIMPLEX = "2"
_EXACT_TOLERANCES = (0.01, 0.05)
"""What Excel stores as the integer tolerance where nobody chose one."""


class HighsSolver(SolverBase):
    """For linear models, and those that are linear but for kinks or binary cells."""

    name = HIGHS
    title = "Linear programming, HiGHS"
    library = "highspy"
    rank = 10
    keeps_constraints = True
    needs_steady = True
    needs_home = True
    iterates = False

    def fits(self, request: Request) -> Choice | None:
        """Whatever is linear, if need be with further variables. Raises ModelError, SelectionError
        for integers in a model that is none."""
        if not request.is_whole:
            return None
        wants = self._wants_simplex(request)
        if not (request.integers or wants or self._may_be_linear(request)):
            return None
        place = request.nonlinearity
        if place is None:
            return self._chosen(request, "objective and constraints are linear")
        piecewise = piecewise_linear(request.model, request.constraints)
        if piecewise is not None:
            count = len(piecewise.costs) - request.count
            reason = (
                f"{count} absolute values or maxima of linear formulas: a linear program with "
                f"{'a variable' if count == 1 else 'variables'} for them"
            )
            return self._chosen(request, reason, piecewise)
        binary = binary_program(request.constraints) if request.integers else None
        if binary is not None:
            more = f", a variable for each of {binary.products} products" if binary.products else ""
            reason = f"functions of binary cells are linear{more}"
            return self._chosen(request, reason, binary.program)
        if request.integers:
            raise ModelError(
                f"integers in a nonlinear model are not supported: {place} is not linear in the "
                "variable cells. Leave the integer constraints out of `constraints`, or make the "
                "model linear"
            )
        if request.options.optimizer == self.name:
            raise SelectionError(f"highs is for linear models: {place} is not linear")
        return Choice(self.name, "the stored model asks for Simplex LP", place) if wants else None

    def asked(self, request: Request) -> Choice:
        """As asked for, where the model is linear."""
        found = self.fits(request)
        assert found is not None, "a linear model that was not looked at"
        return found

    def solve(self, task: Task, run: Run) -> Stop:
        """At once."""
        return solve_linear(task, run)

    def _wants_simplex(self, request: Request) -> bool:
        """Whether the stored model asks for it, and nobody for another."""
        options = request.options
        stored = request.model.problem.options.get("eng") == _SIMPLEX
        return stored and not options.optimizer and not request.of_torch

    def _may_be_linear(self, request: Request) -> bool:
        """Whether a linear model would be solved as one."""
        options = request.options
        if options.optimizer:
            return options.optimizer == self.name
        plain_value = request.model.problem.sense == "value" and not request.general
        free = not (request.of_torch or request.has_rate)
        return request.home and free and not plain_value

    def _chosen(self, request: Request, reason: str, plan: LinearProgram | None = None) -> Choice:
        """The choice. Raises SelectionError where another one was asked for integers."""
        options = request.options
        other = request.integers and options.optimizer not in (None, "", self.name)
        if request.of_torch or other:
            raise SelectionError(
                "the model is linear with integers: only highs keeps these; leave out `optimizer` "
                "and `engine`"
            )
        if options.optimizer == self.name:
            return Choice(self.name, "as asked for", plan=plan, asked_for=True)
        count = sum(item.left.size for item in request.model.problem.integer_constraints)
        plain = plan is None and request.integers
        return Choice(self.name, f"{reason}, {count} integer cells" if plain else reason, plan=plan)


def solve_linear(task: Task, run: Run) -> Stop:
    """Solve, and note the answer and how many subproblems there were."""
    loss, constraints, record = task.loss, task.constraints, run.record
    plan = task.choice.plan
    program = plan if isinstance(plan, LinearProgram) else linear_program(constraints, loss.point)
    program = _within(program, task.box)
    options = task.model.problem.options
    tolerance = task.settings.tolerance
    gap = integer_tolerance(options) if tolerance is None else tolerance
    nodes = number_option(options, "nod", np.inf)
    stored = number_option(options, "tol", _ENOUGH)
    exact = gap or tolerance is not None or stored == 0  # somebody chose it
    patience = None if exact else highs.Patience(_ENOUGH, _LONG)
    report = run.on_bound and _in_cells(run.on_bound, task.model.problem.sense)
    found = highs.solve(program, gap, record.seconds_left, nodes, report, patience)
    if found.point is not None and found.status is not Status.UNBOUNDED:
        cells = len(loss.point)  # further variables are those of absolute values and maxima
        loss.evaluate_at(torch.from_numpy(_rounded(program, found.point, record)[:cells]))
        record.note()
        # A start that is no whole number may be lower: it is no answer.
        record.keep(constraints.worst_violation(loss.point)[0])
    record.note_subproblems(found.nodes)
    return _stop(found, program, constraints, record)


def _within(program: LinearProgram, box: Box) -> LinearProgram:
    """A program whose variable cells keep the limits of a box, too."""
    cells = len(box.lower)
    lower, upper = program.lower.copy(), program.upper.copy()
    lower[:cells] = np.maximum(lower[:cells], box.lower.numpy())
    upper[:cells] = np.minimum(upper[:cells], box.upper.numpy())
    return replace(program, lower=lower, upper=upper)


def integer_tolerance(options: Mapping[str, str]) -> float:
    """The integer tolerance that somebody chose; 0 where it is Excel's default."""
    stored = number_option(options, "tol", 0.0)
    return 0.0 if stored in _EXACT_TOLERANCES else stored


def _in_cells(
    on_bound: Callable[[highs.Progress], None], sense: str
) -> Callable[[highs.Progress], None]:
    """Reports with the objective of the sheet."""
    sign = -1.0 if sense == "max" else 1.0

    def report(found: highs.Progress) -> None:
        on_bound(highs.Progress(sign * found.objective, sign * found.bound, found.nodes))

    return report


def _stop(
    found: highs.Solution, program: LinearProgram, constraints: Constraints, record: Record
) -> Stop:
    """What Solver would say of what became of a linear program."""
    none = "" if record.feasible else "No point that keeps all constraints was met."
    match found.status:
        case Status.INFEASIBLE:
            return Stop(5, _conflict(program, constraints), True)
        case Status.INTERRUPTED:
            return Stop(6, none)
        case Status.LIMIT:
            out_of_time = record.seconds_left == 0
            return Stop(10 if out_of_time else 16 if program.integer.any() else 3, none)
        case Status.OPTIMAL:
            if found.gap <= _EXACT_GAP:
                return Stop(0)
            return Stop(14, f"The best possible objective is at most {found.gap:.2%} better: "
                        "`tolerance=0`, or Solver's Integer Optimality 0, goes on.")  # fmt: skip
        case _:
            if escape := _escape(program, constraints):
                return Stop(4, escape, True)
            if _is_infeasible(program):
                return Stop(5, _conflict(program, constraints), True)
            return Stop(2, "HiGHS ended without an answer: the coefficients may be too far apart "
                        "in size.")  # fmt: skip


def _is_infeasible(program: LinearProgram) -> bool:
    whatever = replace(program, costs=np.zeros_like(program.costs))
    return highs.solve(whatever).status is Status.INFEASIBLE


def _rounded(program: LinearProgram, point: Numbers, record: Record) -> Numbers:
    """Integers without the rounding of the method, the other variables once more with these."""
    point = np.clip(point, program.lower, program.upper)
    if not program.integer.any():
        return point
    whole = np.round(point)
    fixed = replace(
        program, lower=np.where(program.integer, whole, program.lower),
        upper=np.where(program.integer, whole, program.upper),
        integer=np.zeros_like(program.integer),
    )  # fmt: skip
    if program.integer.all():
        return whole
    again = highs.solve(fixed, seconds=max(record.seconds_left, 1.0))
    return point if again.point is None else np.where(program.integer, whole, again.point)


def _conflict(program: LinearProgram, constraints: Constraints) -> str:
    """Constraints that cannot be kept together.

    Each is allowed to be overstepped at a price; those with a price of their own at the least total
    are the ones that meet (Farkas' lemma).
    """
    count, width = program.matrix.shape
    elastic = LinearProgram(
        np.append(np.zeros(width), np.ones(2 * count)),
        np.hstack([program.matrix, np.eye(count), -np.eye(count)]), program.least, program.most,
        np.append(program.lower, np.zeros(2 * count)),
        np.append(program.upper, np.full(2 * count, np.inf)),
        np.zeros(width + 2 * count, dtype=bool),
    )  # fmt: skip
    found = highs.solve(elastic)
    if found.point is None or found.vertex is None:
        return ""
    slack = found.point[width:].reshape(2, count).sum(0)
    if slack.max(initial=0.0) <= _TINY:
        return "Without the integer constraints all others could be kept: loosen these, or a limit."
    meeting = np.flatnonzero(np.abs(found.vertex.prices) > _TINY)
    limits = [constraints.limits[place] for place in constraints.general]
    target = "the target of the objective"
    names = [
        limits[row].text if row < len(limits) else target for row in meeting.tolist()
        if row < len(limits) or constraints.model.problem.sense == "value"
    ]  # fmt: skip
    signs = _signs_that_meet(program, found.vertex.reduced[:width], constraints)
    if signs:
        names.append(f"{named(signs)} >= 0 (Make Unconstrained Variables Non-Negative)")
    if len(names) == 1:
        return f"This cannot be kept within the bounds of the variable cells: {names[0]}."
    return f"These cannot be kept together: {'; '.join(names[:8])}. Loosen or drop one of them."


def _signs_that_meet(
    program: LinearProgram, reduced: Numbers, constraints: Constraints
) -> list[CellAddress]:
    """Variable cells that a conflict keeps at 0 by Assume Non-Negative alone."""
    model = constraints.model
    if not model.problem.non_negative:
        return []
    bounded = {cell for cells in model.problem.bounded_below for cell in cells.cells()}
    held = (reduced > _TINY) & (program.lower == 0)
    return [
        cell for cell, meets in zip(model.cell_values(), held.tolist(), strict=False)
        if meets and cell not in bounded
    ]  # fmt: skip


def _escape(program: LinearProgram, constraints: Constraints) -> str:
    """Which variable cells can change without end while the objective gets better; '' for none.

    A direction in which all limits are kept for ever, and the objective falls, proves it; and that
    some point keeps the limits.
    """
    whatever = replace(program, costs=np.zeros_like(program.costs))
    if highs.solve(whatever).status is not Status.OPTIMAL:
        return ""
    ray = LinearProgram(
        program.costs, program.matrix, np.where(np.isfinite(program.least), 0.0, -np.inf),
        np.where(np.isfinite(program.most), 0.0, np.inf),
        np.where(np.isfinite(program.lower), 0.0, -1.0),
        np.where(np.isfinite(program.upper), 0.0, 1.0), np.zeros_like(program.integer),
    )  # fmt: skip
    found = highs.solve(ray)
    cells = list(constraints.model.cell_values())
    point = np.zeros(len(program.costs)) if found.point is None else found.point
    if program.costs @ point >= 0:
        return ""
    matters = (program.costs != 0) | (program.matrix != 0).any(0)
    far = np.flatnonzero(matters & (np.abs(point) > _TINY)).tolist()
    names = named([cells[place] for place in far if place < len(cells)])
    return (
        f"The objective has no limit: {names} can change without end. "
        "Add bounds or a constraint, or another `sense`."
    )


register(HighsSolver())
