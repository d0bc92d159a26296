"""Training a model: from options to a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from xl2torch.analysis.highs import Progress as Bounding
from xl2torch.analysis.optimality import OPTIMAL
from xl2torch.analysis.residuals import find_residuals
from xl2torch.cells.address import CellAddress, CellRange
from xl2torch.errors import SelectionError
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import present_point, variable_limits
from xl2torch.model.problem import Problem
from xl2torch.model.sheet_model import SheetModel, as_model, refuse_moved, watch
from xl2torch.safety.limits import within_limits
from xl2torch.training.choose_optimizer import Asked, Choice, choose
from xl2torch.training.compilation import compiled_program
from xl2torch.training.diagnosis import (
    blank_data,
    data_scales,
    died,
    google_values,
    on_plateau,
    plateau,
    sheet_error,
    signs,
    undetermined,
    unfelt,
    why_it_stands,
)
from xl2torch.training.epoch_table import EpochTable, in_notebook
from xl2torch.training.freezing import Stage, frozen, parse_frozen, parse_stage
from xl2torch.training.initial_loss import dropout_free, starting_loss
from xl2torch.training.initialization import DRAWN, initialize
from xl2torch.training.loss import Loss, distance_to_target
from xl2torch.training.methods import (
    HIGHS,
    LBFGS,
    LBFGSB,
    LEAST_SQUARES,
    NEWTON,
    SCALED,
    SLSQP,
    TRUST,
    is_first_order,
    torch_optimizers,
)
from xl2torch.training.options import (
    Options,
    check_options,
    settings_of,
    start_count,
    stored_seed,
)
from xl2torch.training.placement import DTYPES
from xl2torch.training.record import Record, RunLimits
from xl2torch.training.result import Iteration, Result, Settings, Start
from xl2torch.training.rows.epochs import Batch, train_in_batches
from xl2torch.training.rows.row_loss import RowLoss
from xl2torch.training.sheet_value import SheetLoss, endless, last_in_sheet
from xl2torch.training.solvers.descent import descend, still_steep
from xl2torch.training.solvers.epigraph import solve_epigraph
from xl2torch.training.solvers.given_optimizer import Given, named
from xl2torch.training.solvers.goal_seek import seek_target
from xl2torch.training.solvers.least_squares import solve_least_squares
from xl2torch.training.solvers.linear import solve_linear
from xl2torch.training.solvers.multistart import draw_starts, polished_count, run_starts
from xl2torch.training.solvers.newton import fits_newton, solve_newton
from xl2torch.training.solvers.nonlinear import (
    missed,
    solve_bounded,
    solve_constrained,
    solve_system,
    unkept,
)
from xl2torch.training.solvers.optimizers import FirstOrder, Stepper, make_stepper
from xl2torch.training.solvers.scaling import scaling_remark
from xl2torch.training.stopping import Stop, Stopped
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_cell

_NEXT = {
    LBFGS: (LBFGSB, TRUST), LBFGSB: (LBFGS, TRUST), SLSQP: (TRUST,), TRUST: (SLSQP,)
}  # fmt: skip
"""Engines that go on where one stands still though the objective has a slope. Where there are only
bounds, and few variable cells, Newton's method is the first of them."""
_CREEPS = 200
"""Iterations after which Newton's method takes over from one that was not asked for."""
_ALIKE = 0.1
"""Share of the starts that has to end at the best point, for it to be likely the best of all."""
_NOTHING = 1e-12
"""Share of the objective by which a better one is none."""
_IN_SHEET = 200
"""Most iterations of a run that stays where the sheet has a value."""


@within_limits("training")
def fit(
    model: SheetModel | Workbook | str | Path,
    optimizer: Given | None = None,
    *,
    lr: float | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    init: str = "present",
    engine: str = "auto",
    arguments: Mapping[str, object] | None = None,
    schedule: str = "",
    clip_norm: float | None = None,
    clip_value: float | None = None,
    max_time: float | None = None,
    convergence: float | None = None,
    starts: int | None = None,
    compile: bool = False,
    device: str = "cpu",
    dtype: str = "float64",
    batch_size: int | None = None,
    shuffle: bool = True,
    validation: str | float = "",
    metric: str = "",
    patience: int | None = None,
    freeze: Sequence[str] = (),
    stages: Sequence[str] = (),
    dropout_off: bool = False,
    tolerance: float | None = None,
    watch_cells: str | Sequence[CellAddress | str] = (),
    on_iteration: Callable[[Iteration], None] | None = None,
    on_batch: Callable[[Batch], None] | None = None,
    on_bound: Callable[[Bounding], None] | None = None,
    progress: bool | None = None,
) -> Result:
    """Train the model, on all its data at once or in batches; it then holds the best point met.

    A workbook, or its path, is compiled first: ``result.model`` is the model. Training goes on from
    the present parameters, unless ``init`` says otherwise: ``file`` (the workbook's values),
    ``normal``, ``uniform`` or ``zeros``.

    ``optimizer``: any of torch.optim by its name in small letters, its class, an optimizer of
    ``model.parameters()`` or a function that makes one; or ``least-squares``, ``l-bfgs-b``,
    ``slsqp``, ``trust-constr``, ``highs`` of scipy; else that of ``choose``, from ``engine`` (auto,
    torch or scipy). ``arguments`` are the optimizer's own (weight_decay, …),
    ``schedule`` a learning-rate schedule of torch with its arguments (``step,step_size=100``),
    ``clip_norm`` and ``clip_value`` limit the gradient.

    ``epochs`` and ``max_time`` (seconds) end the run, ``starts`` are trained together, the present
    point and others drawn at random; all three are taken from the stored Solver model where they
    are None. ``convergence`` is Solver's rule: the run ends when the objective changed by less,
    relative to itself, in each of five iterations. ``compile`` uses torch.compile where that is
    faster, and says so. ``device`` and ``dtype`` are where, and in which precision (float64 or
    float32), objective and gradient are computed; weights and result stay in float64 on the CPU.

    ``batch_size`` makes a step for so many rows of the sheet, in an order that is drawn anew for
    each epoch (``torch.randperm`` of a generator with the seed) unless ``shuffle`` is False; the
    history has a line for each epoch. ``validation`` holds rows back: a fraction, rows
    (``A500:A715``) or a column and its text (``Split=valid``); the best point is then that with the
    least objective of these. ``metric`` is followed on both: ``accuracy``, ``error_rate`` or a
    cell. ``patience`` ends the run, or its stage, after so many iterations without a better point.
    In batches the gradient's norm is that of the last one.

    ``freeze`` are variable cells that keep their values. ``stages`` train some variable cells at a
    time: ``("B24:C26=1", "all=2")`` is one epoch of these, then two of all, each with a new
    optimizer.

    Random numbers that are drawn anew at each step (``seed`` repeats them) count in the gradient;
    the objective that is reported is that of the stored ones, with ``dropout_off`` that without
    their dropout. ``tolerance`` ends a search for whole numbers within that share of the best
    possible objective; 0 goes on to the end. ``on_iteration`` is called after each iteration,
    ``on_batch`` after each batch, ``on_bound`` now and then in a search for whole numbers;
    ``progress`` shows a table of the epochs, by default in notebooks (there with a bar and the
    loss). KeyboardInterrupt ends training and keeps the best point. Raises SelectionError (wrong
    option), ModelError (the model cannot be trained) or TrainingError (the objective is an error at
    the start).
    """
    model = as_model(model)
    name, factory = named(optimizer, lr, dict(arguments or {}))
    options = Options(
        name, engine, lr, arguments or {}, schedule, clip_norm, clip_value, epochs, max_time,
        convergence, starts, seed, init, compile, device, dtype, batch_size, shuffle,
        str(validation), metric, patience, _texts(freeze), _texts(stages), dropout_off, tolerance,
        factory,
    )  # fmt: skip
    check_options(options)
    for what, call in (("iteration", on_iteration), ("batch", on_batch), ("bound", on_bound)):
        if call is not None and not callable(call):
            raise SelectionError(f"on_{what} is a function of one argument, not {call!r}")
    drawing = bool(model.drawn) or options.by_rows or start_count(model.problem, options) > 1
    if seed is None and (drawing or init in DRAWN):
        drawn = int(torch.randint(2**31, ()))  # torch.manual_seed repeats it
        options = replace(options, seed=stored_seed(model.problem) or drawn)
    watch_cells = [watch_cells] if isinstance(watch_cells, str) else watch_cells
    where = options.place.device
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        if options.seed is not None:
            torch.manual_seed(options.seed)
        return _fit(
            model, options, watch_cells, on_iteration, on_batch, on_bound,
            in_notebook() if progress is None else progress,
        )  # fmt: skip


def _fit(
    model: SheetModel, options: Options, watch_cells: Sequence[CellAddress | str],
    on_iteration: Callable[[Iteration], None] | None,
    on_batch: Callable[[Batch], None] | None,
    on_bound: Callable[[Bounding], None] | None, shows: bool,
) -> Result:  # fmt: skip
    refuse_moved(model)
    problem = model.problem
    before = present_point(model)
    constraints = Constraints(model)
    if options.epochs == 0 and not options.optimizer:  # whatever the model asks for
        choice = Choice(LBFGS, "no iteration was asked for")
    else:
        choice = choose(model, constraints, _asked(options))
        choice = replace(choice, optimizer=options.optimizer or choice.optimizer)
    stages = tuple(parse_stage(model, text) for text in options.stages)
    if stages:
        options = replace(options, epochs=sum(stage.epochs for stage in stages))
    settings = settings_of(problem, options, choice)
    cells = tuple(
        parse_cell(model.compiled.workbook, cell, problem.sheet) if isinstance(cell, str) else cell
        for cell in watch_cells
    )
    held = parse_frozen(model, options.freeze)
    initialize(model, options.init, options.seed, held)
    start = float(model.eval()().detach())
    with frozen(model, held):
        refused = _refused(model, constraints, settings, choice) if settings.epochs else None
        loss = starting_loss(model, options, settings, start, refused is None)
        stepper = _stepper(loss, settings)
        if settings.factory is not None and stepper is not None:
            settings = replace(settings, learning_rate=stepper.learning_rate)
        limits = RunLimits(
            settings.epochs, settings.max_time or math.inf, settings.convergence,
            options.convergence is not None, options.patience,
        )  # fmt: skip
        table = _table(settings, on_iteration) if shows else None
        told = on_iteration if table is None else table[1]
        record = Record(loss, constraints, limits, watch(model, cells), told)
        _follow_rate(record, stepper)
        run = _Run(
            loss, constraints, record, settings, stepper, stages, held, on_batch, choice, on_bound
        )
        compiling = ""
        try:
            record.note()
            if options.compile and refused is None:
                compiling = _compile(loss, settings)
            stop = refused or run.solve()
        except Stopped as stopped:
            stop = stopped.stop
        except KeyboardInterrupt:
            stop = Stop(6)
        if settings.epochs and not stop.restored and _is_of_sheet(run, model):
            stop = _kept_in_sheet(run, stop)
        if table is not None:
            table[0].finish()
        remarks = [*problem.remarks, *run.remarks(stop), compiling]
        if settings.starts == 1 < start_count(problem, options):
            remarks.append("the stored model asks for many starts; rows and stages have one")
    if isinstance(loss, RowLoss) or options.dropout_off or loss.model is not model:
        loss, there = Loss(model), loss
        remarks += _computed_again(record, loss, there, settings)
    stop = _judged(record, problem, constraints, stop, settings)
    if stop == Stop(2):
        stop = Stop(2, why_it_stands(constraints, record.best_point))
    if stop.restored:
        loss.move(before)
        loss.evaluate()
        record.keep(constraints.overstep(loss.point)[0])
    else:
        record.restore()
    if not record.weights:  # no point was worth anything
        loss.evaluate()
        record.keep(math.inf)
    return Result(
        model, settings, start, record.best_objective, stop, tuple(record.iterations), cells,
        record.weights, record.seconds, tuple(filter(None, remarks)), run.ends, run.subproblems,
        record.best_iteration,
    )  # fmt: skip


def _table(
    settings: Settings, on_iteration: Callable[[Iteration], None] | None
) -> tuple[EpochTable, Callable[[Iteration], None]]:
    """A table of the run, and what fills it and calls what else is to be called."""
    validated = bool(settings.validation)
    names = (settings.metric, f"valid {settings.metric}")[: 1 + validated]
    metrics = names if settings.metric else ()
    table = EpochTable(settings.epochs, settings.unit, validated, metrics)

    def both(row: Iteration) -> None:
        table(row)
        if on_iteration is not None:
            on_iteration(row)

    return table, both


def _texts(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _asked(options: Options) -> Asked:
    name = options.optimizer if options.factory is None else "sgd"  # it steps along the gradient
    return Asked(
        name or "", options.engine, options.lr, options.place.home, options.by_rows,
        options.batch_size is not None, bool(options.stages),
    )  # fmt: skip


def _computed_again(record: Record, whole: Loss, loss: Loss, settings: Settings) -> list[str]:
    """Go to the best point, whose objective is from now on that of the sheet; both in words."""
    record.restore()
    best, there = record.iterations[record.best_iteration], record.best_objective
    record.loss = whole
    whole.evaluate()
    record.best_objective = whole.objective
    found = []
    if isinstance(loss, RowLoss):
        found += loss.remarks(best)
    if settings.dropout_off:
        where = ", ".join(str(area) for area in dropout_free(whole.model)[1])
        found.append(
            f"dropout is off but in training: {where}. The history and the best point are without "
            "it; the sheet shows what its mask gives"
        )
    if loss.model is not whole.model:
        found.append(
            f"computed in {settings.dtype} on {settings.device}: the objective of the answer is "
            f"{there:.10g} there, {whole.objective:.10g} in float64 on the CPU"
        )
    return found


def _compile(loss: Loss, settings: Settings) -> str:
    """Let the loss compute the objective by torch.compile where that pays; what came of it."""
    if settings.optimizer in (HIGHS, LEAST_SQUARES):
        return f"--compile has no use for {settings.optimizer}"
    if settings.starts > 1:
        return "--compile has no use for many starts, which are one batch already"
    if isinstance(loss, RowLoss):
        return "--compile has no use for --batch-size, --validation and --metric"
    if not settings.epochs:
        return ""
    loss.compiled, remark = compiled_program(loss.model, DTYPES[settings.dtype])
    return remark


class _Run:
    """One run: the engine that was chosen, from one start or from many."""

    def __init__(
        self, loss: Loss, constraints: Constraints, record: Record, settings: Settings,
        stepper: Stepper | None, stages: Sequence[Stage], held: Sequence[CellRange],
        on_batch: Callable[[Batch], None] | None, choice: Choice,
        on_bound: Callable[[Bounding], None] | None,
    ) -> None:  # fmt: skip
        self.loss = loss
        self.constraints = constraints
        self.record = record
        self.settings = settings
        self.stepper = stepper
        self.stages = stages
        self.held = held
        self.on_batch = on_batch
        self.on_bound = on_bound
        self._generator: torch.Generator | None = None
        self.ends: tuple[Start, ...] = ()
        self.subproblems = 0
        self.helpers: list[str] = []
        self.choice = choice

    def solve(self) -> Stop:
        """Run to the end. Raises Stopped."""
        if not self.settings.epochs:
            return Stop(3)
        if self.settings.starts > 1 and self.settings.optimizer != HIGHS:
            return self._many()
        return self._in_stages() if self.stages else self._engine()

    def _in_stages(self) -> Stop:
        """One stage after the other, each with a new optimizer. Raises Stopped."""
        loss, record = self.loss, self.record
        stop = Stop(3)
        made = 0
        for stage in self.stages:
            made += stage.epochs
            record.limits = replace(record.limits, epochs=made)
            with frozen(loss.model, self.held, stage.cells):
                loss.bound()
                loss.evaluate()  # the gradient of the cells of this stage
                self.stepper = _stepper(loss, replace(self.settings, epochs=stage.epochs))
                _follow_rate(record, self.stepper)
                try:
                    stop = self._engine()
                except Stopped as stopped:
                    stop = stopped.stop
                    if stop.code not in (0, 1, 2, 3):  # else the next stage may do more
                        raise
            made = len(record.iterations) - 1
        return stop

    def _many(self) -> Stop:
        """All starts together, then the engine from the best ends."""
        settings, record = self.settings, self.record
        assert settings.seed is not None
        if self.loss.model.drawn:
            raise SelectionError(
                f"--starts needs an objective that does not change: random cells "
                f"{self.loss.model.drawn[0]} are drawn anew at each step"
            )
        points = draw_starts(self.loss, settings.starts, settings.seed)
        found = run_starts(self.loss, self.constraints, record, settings, points)
        self.ends = found.table
        if is_first_order(settings.optimizer):
            return Stop(3)
        stop, reached, winner = Stop(3), record.best, found.order[0] + 1
        ends = found.order[: polished_count(self.constraints)]
        # The file's own start, too: a chosen engine may get on where the batch does not. It has
        # the iterations of one run, as it would alone.
        limits = record.limits
        own = replace(limits, epochs=len(record.iterations) - 1 + settings.epochs)
        begins = [(1, points[0], own)]
        begins += [(place + 1, found.points[place], limits) for place in ends]
        for number, point, limit in begins:
            record.limits = limit
            if not record.left:
                break
            self.loss.move(point)
            self.loss.evaluate()
            self.stepper = _stepper(self.loss, settings)
            try:
                ended = self._engine()
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
        alike = found.reaching(self.loss.of(record.best_objective))
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

    def _engine(self) -> Stop:
        """The engine that was chosen; another one where it stays on a slope. Raises Stopped."""
        name = self.settings.optimizer
        helpers = list(_NEXT.get(name, ()))
        plain = not self.constraints.general and not isinstance(self.loss, RowLoss)
        newton = name in _NEXT and plain and fits_newton(self.loss.model)
        stop = self._begun(name) if newton and not self.choice.asked_for else self._one_engine(name)
        if newton:
            helpers.insert(0, NEWTON)
        for other in helpers:
            if not self._is_short(stop, other):
                break
            before = self.record.best
            self._take(other)
            try:
                stop = self._one_engine(other)
            except Stopped as stopped:
                if stopped.stop.code != 9:
                    raise
            if self.record.best < before:
                self.helpers.append(other)
        if self._misses_target():
            seek_target(self.loss, self.record)
        if stop.code == 0 and self._never_left() and on_plateau(self.loss):
            return Stop(2, "The objective hardly changes around the start values, a plateau: try "
                        "others (--init normal, --starts 20).")  # fmt: skip
        return stop

    def _never_left(self) -> bool:
        """Whether the start is the answer to a question for the least or the largest objective."""
        seeks = self.loss.model.problem.sense in ("min", "max") and not self.constraints.general
        first, best = self.record.losses[0], self.record.best
        held = best >= first - _NOTHING * abs(first)
        return seeks and held and self.settings.optimizer != HIGHS

    def _begun(self, name: str) -> Stop:
        """One engine for some iterations; it goes on only where that is all there is."""
        record = self.record
        limits, few = record.limits, len(record.iterations) - 1 + _CREEPS
        if limits.epochs <= few:
            return self._one_engine(name)
        record.limits = replace(limits, epochs=few)
        try:
            return self._one_engine(name)
        except Stopped as stopped:
            if stopped.stop.code != 3:
                raise
            return Stop(1)
        finally:
            record.limits = limits

    def _is_short(self, stop: Stop, other: str) -> bool:
        """Whether an engine ended where another one is likely to get on."""
        if other == NEWTON:  # it is cheap, and knows an optimum when it is there
            return stop.code in (1, 2) and self._steepness() > OPTIMAL
        return stop.code == 2 and bool(still_steep(self._steepness()))

    def _misses_target(self) -> bool:
        """Whether a value was asked for, without constraints, and is not reached."""
        problem, constraints = self.loss.model.problem, self.constraints
        if problem.sense != "value" or constraints.general or self.settings.optimizer == HIGHS:
            return False
        return not constraints.reaches(self.record.best_objective)

    def _take(self, engine: str) -> None:
        """Make the stepper of an engine that was not asked for, without options of another."""
        own = replace(
            self.settings, optimizer=engine, learning_rate=1.0, arguments={}, schedule="",
            clip_norm=None, clip_value=None,
        )  # fmt: skip
        self.stepper = _stepper(self.loss, own)

    def stay_in_sheet(self, point: torch.Tensor) -> None:
        """Take a point for the best, and from now on an error of the sheet for one."""
        self.record.loss = self.loss = SheetLoss(self.loss.model)
        self.loss.at(point)
        self.record.forget_best()
        self.record.note()

    def solve_in_sheet(self) -> Stop:
        """Go on from the present point. Raises Stopped."""
        record = self.record
        record.limits = replace(record.limits, epochs=len(record.iterations) + _IN_SHEET)
        free = NEWTON if fits_newton(self.loss.model) else LBFGS
        engine = SLSQP if self.constraints.general else free
        self._take(engine)
        return self._one_engine(engine)

    def _steepness(self) -> float:
        """How steep the objective is at the best point, where the loss then is evaluated."""
        loss, record = self.loss, self.record
        record.restore()
        loss.evaluate()
        return 0.0 if record.is_gone else loss.steepness

    def _one_engine(self, name: str) -> Stop:
        """One engine, from the present point. Raises Stopped."""
        loss, record = self.loss, self.record
        record.stage_began = len(record.iterations) - 1  # what ran before may stand still
        if loss.model.problem.is_system and self._is_solved():
            return Stop(0)
        if name == HIGHS:
            stop, self.subproblems = solve_linear(
                loss, self.constraints, record, self.choice.program, self.settings.tolerance,
                self.on_bound,
            )  # fmt: skip
            return stop
        lower, upper = variable_limits(loss.model)
        if bool((lower >= upper).all()):
            return Stop(0, "Every variable cell is held by its bounds.")
        if not self.constraints.general and self.settings.batch_size is None:
            stop_now = record.converged()
            if stop_now is not None:
                return stop_now
        if self.choice.epigraph is not None and name == self.choice.optimizer:
            return solve_epigraph(self.choice.epigraph, loss, self.constraints, record)
        if name == LEAST_SQUARES and loss.model.problem.is_system:
            return solve_system(loss, self.constraints, record)
        if name == LEAST_SQUARES:
            return solve_least_squares(_residuals(loss.model), loss, record)
        if name == NEWTON:
            return solve_newton(loss, record)
        if name == LBFGSB:
            return solve_bounded(loss, record)
        if self.stepper is None:
            return solve_constrained(loss, self.constraints, record, name)
        if isinstance(loss, RowLoss) and loss.in_batches:
            assert isinstance(self.stepper, FirstOrder)
            return train_in_batches(loss, record, self.stepper, self._shuffle(), self.on_batch)
        return descend(loss, record, self.stepper, name)

    def _is_solved(self) -> bool:
        """Whether the present point keeps all constraints, whole numbers and bounds too."""
        point, (lower, upper) = self.loss.point, variable_limits(self.loss.model)
        whole = point[self.constraints.integer]
        inside = bool(((point >= lower) & (point <= upper)).all())
        return self.record.feasible and inside and bool((whole == whole.round()).all())

    def _shuffle(self) -> torch.Generator | None:
        """What draws the order of the rows; one for the whole run."""
        if self._generator is None and self.settings.shuffle:
            self._generator = torch.Generator().manual_seed(self.settings.seed or 0)
        return self._generator

    def remarks(self, stop: Stop) -> list[str]:
        """What was noticed on the way."""
        found = [
            f"{self.settings.optimizer} stood still on a slope; {helper} went on from there"
            for helper in self.helpers
        ]
        if len(self.record.iterations) > 1 and self.settings.optimizer != HIGHS:
            lower, upper = variable_limits(self.loss.model)
            made = len(self.record.iterations) - 1
            found.append(died(self.loss, self.record.last_felt, made))
            found.append(unfelt(self.loss, self.record.felt, lower < upper))
        slopeless = not self.record.iterations[0].gradient_norm
        if stop.code == 0 and slopeless and self._never_left():
            found.append(
                "no variable cell has a slope at the start point: it is an optimum already, or a "
                "plateau or a saddle; other start values (--init normal, --starts 20) tell"
            )
        if stop.code in (0, 1, 14) and not stop.failed:
            found.append(signs(self.loss.model, self.record.best_point))
        first_order = self.settings.optimizer in torch_optimizers()
        if stop.code == 3 and first_order and not self.loss.model.drawn:
            found.append(plateau(self.record.losses))
        model = self.loss.model
        found += [blank_data(model), google_values(model)]
        found.append(data_scales(model) if first_order else "")
        if stop.code in (0, 2) and not stop.failed:
            sheet = self.constraints.model  # in float64, whatever the training is in
            found.append(undetermined(sheet, self.record.best_point.double().cpu()))
        if self.settings.optimizer in SCALED:
            start = torch.cat([item.start.reshape(-1) for item in self.loss.model.variables])
            found.append(scaling_remark(start))
        return [text for text in found if text]


def _judged(
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


def _is_of_sheet(run: _Run, model: SheetModel) -> bool:
    """Whether the objective of the run is the sheet's: all rows, in float64, nothing drawn."""
    loss = run.loss
    plain = type(loss) is Loss and loss.identity is None and loss.model is model
    return plain and not model.drawn and not run.stages


def _kept_in_sheet(run: _Run, stop: Stop) -> Stop:
    """The stop; where the sheet is an error at the best point, that of a run that stays where it
    is none. The record then has the best point there."""
    loss, record = run.loss, run.record
    place = sheet_error(loss.model, record.best_point)
    if place is None:
        return stop
    inside = last_in_sheet(record, loss.model)
    if inside is None:
        return Stop(9, f"It begins in {place}, at the start values too: take others.", True)
    run_away = endless(loss, record.trail[0], record.best_point)
    best = record.best
    run.stay_in_sheet(inside)
    if stop.code in (6, 10):
        return stop  # no more is wanted
    try:
        stop = run.solve_in_sheet()
    except Stopped as stopped:
        stop = stopped.stop
    except KeyboardInterrupt:
        return Stop(6)
    is_target = loss.model.problem.sense == "value"
    reached = is_target and run.constraints.reaches(record.best_objective)
    solved = stop.code == 0 or reached
    if run_away and not solved:
        return Stop(4, run_away)
    if stop.code in (1, 2) and not reached and best < record.best:
        return Stop(2, f"Where it would be better the sheet is an error, which begins in {place}.")
    return stop


def _follow_rate(record: Record, stepper: Stepper | None) -> None:
    """Let the record note the learning rate of a stepper."""
    record.rate = (lambda: 1.0) if stepper is None else (lambda: stepper.learning_rate)


def _stepper(loss: Loss, settings: Settings) -> Stepper | None:
    """The stepper of an optimizer of torch; None for scipy's. Raises SelectionError."""
    if settings.factory is not None or settings.optimizer in torch_optimizers():
        return make_stepper(loss, settings)
    given = [
        name
        for name, value in (
            ("--set", settings.arguments), ("--schedule", settings.schedule),
            ("--clip-norm", settings.clip_norm), ("--clip-value", settings.clip_value),
        ) if value
    ]  # fmt: skip
    if given:
        raise SelectionError(
            f"{settings.optimizer} has no use for {', '.join(given)}: choose an optimizer of "
            "torch, such as --optimizer adam"
        )
    return None


def _residuals(model: SheetModel) -> Callable[[torch.Tensor], torch.Tensor]:
    """Residuals of the objective. Raises SelectionError where least squares make no sense."""
    if model.problem.sense == "value":
        return distance_to_target(model)
    found = find_residuals(model)
    if found is None:
        raise SelectionError(
            f"the objective {model.problem.objective} is no sum, mean or root mean of squared "
            "residuals that is to be as small as can be: choose another --optimizer"
        )
    return found.function


def _refused(
    model: SheetModel, constraints: Constraints, settings: Settings, choice: Choice
) -> Stop | None:
    """What cannot be solved for reasons that are known before the first iteration."""
    problem = model.problem
    lower, upper = variable_limits(model)
    crossed = torch.nonzero(lower > upper).reshape(-1).tolist()
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
            "--starts 1.", True,
        )  # fmt: skip
    hopeless = constraints.hopeless(present_point(model))
    if hopeless:
        texts = "; ".join(limit.text for limit in hopeless[:3])
        return Stop(5, f"No variable cell moves {texts}, which does not hold.", True)
    if choice.nonlinear:
        return Stop(
            7, f"Not linear in the variable cells: {choice.nonlinear}. Choose GRG Nonlinear in "
            "Solver, or give --optimizer slsqp.", True,
        )  # fmt: skip
    return None
