"""One run: the solver that was chosen, in stages or from many starts, and those that take over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from xl2torch.analysis.optimality import OPTIMAL
from xl2torch.cells.address import CellRange
from xl2torch.errors import SelectionError
from xl2torch.training.box import Box
from xl2torch.training.diagnosis import on_plateau
from xl2torch.training.freezing import Stage, hold
from xl2torch.training.loss import Loss
from xl2torch.training.methods import LBFGS, NEWTON, SLSQP
from xl2torch.training.record import Record
from xl2torch.training.result import Start
from xl2torch.training.sheet_value import SheetLoss
from xl2torch.training.solvers.descent import still_steep
from xl2torch.training.solvers.goal_seek import seek_target
from xl2torch.training.solvers.newton import fits_newton
from xl2torch.training.solvers.protocol import Run, Solver, Task, find_solver
from xl2torch.training.starts.multistart import draw_starts, polished_count, run_starts
from xl2torch.training.stopping import Stop, Stopped

_CREEPS = 200
"""Iterations after which Newton's method takes over from one that was not asked for."""
_ALIKE = 0.1
"""Share of the starts that has to end at the best point, for it to be likely the best of all."""
_NOTHING = 1e-12
"""Share of the objective by which a better one is none."""
_IN_SHEET = 200
"""Most iterations of a run that stays where the sheet has a value."""


class Drive:
    """A run of a task: what is solved, by which solvers, and what came of it.

    ``helpers`` are solvers that went on where the chosen one stood still, ``ends`` the table of
    several starts.
    """

    def __init__(
        self, task: Task, run: Run, stages: Sequence[Stage] = (), held: Sequence[CellRange] = (),
    ) -> None:  # fmt: skip
        self.task = task
        self.run = run
        self.stages = stages
        self.ends: tuple[Start, ...] = ()
        self.helpers: list[str] = []
        self._held = held

    @property
    def loss(self) -> Loss:
        """The loss that is minimised."""
        return self.task.loss

    @property
    def record(self) -> Record:
        """What was noted on the way."""
        return self.run.record

    @property
    def solver(self) -> Solver:
        """The solver that was chosen."""
        return find_solver(self.task.settings.optimizer)

    def solve(self) -> Stop:
        """Run to the end. Raises Stopped."""
        if not self.task.settings.epochs:
            return Stop(3)
        if self.task.settings.starts > 1 and self.solver.iterates:
            return self._from_many_starts()
        return self._in_stages() if self.stages else self._with_helpers(self.task)

    def _in_stages(self) -> Stop:
        """One stage after the other, each with a new optimizer. Raises Stopped."""
        task, record, model = self.task, self.record, self.loss.model
        stop, made = Stop(3), 0
        try:
            for stage in self.stages:
                made += stage.epochs
                record.limit(replace(record.limits, epochs=made))
                loss = task.loss.within(hold(Box.of(model), model, self._held, stage.cells))
                record.follow(loss)
                loss.evaluate()  # the gradient of the cells of this stage
                self.task = task.of(loss, epochs=stage.epochs)
                try:
                    stop = self._with_helpers(self.task)
                except Stopped as stopped:
                    stop = stopped.stop
                    if stop.code not in (0, 1, 2, 3):  # else the next stage may do more
                        raise
                made = len(record.iterations) - 1
        finally:
            self.task = task
            record.follow(task.loss)
        return stop

    def _from_many_starts(self) -> Stop:
        """All starts together, then the solver from the best ends."""
        task, record, settings = self.task, self.record, self.task.settings
        assert settings.seed is not None
        if task.model.drawn:
            raise SelectionError(
                f"`starts` needs an objective that does not change: random cells "
                f"{task.model.drawn[0]} are drawn anew at each step"
            )
        points = draw_starts(task.loss, settings.starts, settings.seed)
        found = run_starts(task, record, points)
        self.ends = found.table
        if self.solver.steps_batches:
            return Stop(3)
        stop, reached, winner = Stop(3), record.best, found.order[0] + 1
        ends = found.order[: polished_count(task.constraints)]
        # The file's own start, too: a chosen solver may get on where the batch does not. It has
        # the iterations of one run, as it would alone.
        limits = record.limits
        own = replace(limits, epochs=len(record.iterations) - 1 + settings.epochs)
        begins = [(1, points[0], own)]
        begins += [(place + 1, found.points[place], limits) for place in ends]
        for number, point, limit in begins:
            record.limit(limit)
            if not record.left:
                break
            task.loss.move(point)
            task.loss.evaluate()
            self.task = task.of(task.loss)
            try:
                ended = self._with_helpers(self.task)
            except Stopped as stopped:
                ended = stopped.stop
                if ended.code in (6, 10):
                    return ended
            if record.best < reached:
                stop, reached, winner = ended, record.best, number
            elif number == winner:
                stop = ended
        if not record.feasible or stop.failed:
            return stop
        alike = found.reaching(task.loss.from_objective(record.best_objective))
        best = f"{settings.starts} starts; the best was start {winner}"
        many = alike >= _ALIKE * settings.starts
        if many and record.boxed:
            return Stop(17, f"{best}.")
        why = (
            "Starts are drawn near 0 where a variable cell has no bounds; with bounds on all of "
            "them more can be said"
            if many
            else "Other starts may find a better one"
        )
        return replace(
            stop, detail=f"{best}, and {alike} of them ended there. {why}. {stop.detail}".strip()
        )

    def _with_helpers(self, task: Task) -> Stop:
        """The solver of a task; another one where it stays on a slope. Raises Stopped."""
        solver = find_solver(task.settings.optimizer)
        successors = list(solver.successors)
        alone = not task.constraints.general and task.loss.is_sheets
        newton = bool(successors) and alone and fits_newton(task.model)
        begin = self._begun if newton and not task.choice.asked_for else self._by_one
        stop = begin(task)
        for name in [NEWTON] * newton + successors:
            if not self._is_short(stop, name):
                break
            before = self.record.best
            try:
                stop = self._by_one(task.handed_to(name))
            except Stopped as stopped:
                if stopped.stop.code != 9:
                    raise
            if self.record.best < before:
                self.helpers.append(name)
        if self._misses_target():
            seek_target(task.loss, self.record)
        if stop.code == 0 and self.never_left() and on_plateau(task.loss):
            return Stop(2, "The objective hardly changes around the start values, a plateau: try "
                        'others (`init="normal"`, `starts=20`).')  # fmt: skip
        return stop

    def never_left(self) -> bool:
        """Whether the start is the answer to a question for the least or the largest objective."""
        seeks = (
            self.loss.model.problem.sense in ("min", "max") and not self.task.constraints.general
        )
        first, best = self.record.losses[0], self.record.best
        held = best >= first - _NOTHING * abs(first)
        return seeks and held and self.solver.iterates

    def _begun(self, task: Task) -> Stop:
        """A solver for some iterations; it goes on only where that is all there is."""
        record = self.record
        limits, few = record.limits, len(record.iterations) - 1 + _CREEPS
        if limits.epochs <= few:
            return self._by_one(task)
        record.limit(replace(limits, epochs=few))
        try:
            return self._by_one(task)
        except Stopped as stopped:
            if stopped.stop.code != 3:
                raise
            return Stop(1)
        finally:
            record.limit(limits)

    def _is_short(self, stop: Stop, successor: str) -> bool:
        """Whether a solver ended where another one is likely to get on."""
        if successor == NEWTON:  # it is cheap, and knows an optimum when it is there
            return stop.code in (1, 2) and self._steepness() > OPTIMAL
        return stop.code == 2 and bool(still_steep(self._steepness()))

    def _misses_target(self) -> bool:
        """Whether a value was asked for, without constraints, and is not reached."""
        problem, constraints = self.loss.model.problem, self.task.constraints
        if problem.sense != "value" or constraints.general or not self.solver.iterates:
            return False
        return not constraints.reaches(self.record.best_objective)

    def stay_in_sheet(self, point: torch.Tensor) -> None:
        """Take a point for the best, and from now on an error of the sheet for one."""
        loss = SheetLoss(self.loss.model, box=self.loss.box)
        self.record.follow(loss)
        self.task = replace(self.task, loss=loss)
        loss.evaluate_at(point)
        self.record.forget_best()
        self.record.note()

    def solve_in_sheet(self) -> Stop:
        """Go on from the present point. Raises Stopped."""
        record = self.record
        record.limit(replace(record.limits, epochs=len(record.iterations) + _IN_SHEET))
        free = NEWTON if fits_newton(self.loss.model) else LBFGS
        return self._by_one(self.task.handed_to(SLSQP if self.task.constraints.general else free))

    def _steepness(self) -> float:
        """How steep the objective is at the best point, where the loss then is evaluated."""
        loss, record = self.loss, self.record
        record.restore()
        loss.evaluate()
        return 0.0 if record.is_gone else loss.steepness

    def _by_one(self, task: Task) -> Stop:
        """One solver, from the present point. Raises Stopped."""
        loss, record = task.loss, self.record
        solver = find_solver(task.settings.optimizer)
        record.begin_stage()  # what ran before may stand still
        record.follow_rate(
            (lambda: task.stepper.learning_rate) if solver.has_rate else (lambda: 1.0)
        )
        if task.model.problem.is_system and self._is_solved(task):
            return Stop(0)
        if solver.iterates and not bool(loss.box.free.any()):
            return Stop(0, "Every variable cell is held by its bounds.")
        if solver.iterates and not task.constraints.general and not loss.in_batches:
            stop_now = record.converged()
            if stop_now is not None:
                return stop_now
        return solver.solve(task, self.run)

    def _is_solved(self, task: Task) -> bool:
        """Whether the present point keeps all constraints, whole numbers and bounds too."""
        point = task.loss.point
        whole = point[task.constraints.integer]
        inside = task.box.contains(point)
        return self.record.feasible and inside and bool((whole == whole.round()).all())
