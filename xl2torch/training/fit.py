"""Training a model: from options to a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import torch

from xl2torch.analysis.highs import Progress as Bounding
from xl2torch.cells.address import CellAddress
from xl2torch.errors import SelectionError
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import present_point
from xl2torch.model.sheet_model import SheetModel, as_model, refuse_moved, watch
from xl2torch.safety.limits import within_limits
from xl2torch.training.box import Box
from xl2torch.training.choose_optimizer import choose, reserved_names
from xl2torch.training.compilation import compiled_program
from xl2torch.training.diagnosis import why_it_stands
from xl2torch.training.drive_solvers import Drive
from xl2torch.training.epoch_table import EpochTable, in_notebook
from xl2torch.training.freezing import hold, parse_frozen, parse_stage
from xl2torch.training.given_optimizer import Factory, Given, named
from xl2torch.training.initial_loss import dropout_free, starting_loss
from xl2torch.training.initialization import DRAWN, initialize
from xl2torch.training.loss import Loss
from xl2torch.training.methods import LBFGS
from xl2torch.training.options import FitKeywords, FitOptions, fit_options, help_text
from xl2torch.training.placement import Placement
from xl2torch.training.record import Record, RunLimits
from xl2torch.training.result import Iteration, Result
from xl2torch.training.rows.epochs import Batch
from xl2torch.training.settings import Settings
from xl2torch.training.solvers.protocol import (
    Choice,
    Request,
    Run,
    Task,
    find_solver,
)
from xl2torch.training.stopping import Stop, Stopped
from xl2torch.training.stored_options import settings_of, start_count, stored_seed
from xl2torch.training.verdict import final_stop, kept_in_sheet, refused, remarks_of
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_cell


@dataclass(frozen=True)
class Listeners:
    """Whom a run tells: of each iteration, each batch, and a bound of a search for integers."""

    on_iteration: Callable[[Iteration], None] | None = None
    on_batch: Callable[[Batch], None] | None = None
    on_bound: Callable[[Bounding], None] | None = None

    def check(self) -> None:
        """Raise SelectionError for what cannot be told."""
        for name, call in vars(self).items():
            if call is not None and not callable(call):
                raise SelectionError(f"{name} is a function of one argument, not {call!r}")


@within_limits("training")
def fit(
    model: SheetModel | Workbook | str | Path,
    optimizer: Given | None = None,
    *,
    watch_cells: str | Sequence[CellAddress | str] = (),
    on_iteration: Callable[[Iteration], None] | None = None,
    on_batch: Callable[[Batch], None] | None = None,
    on_bound: Callable[[Bounding], None] | None = None,
    progress: bool | None = None,
    options: FitOptions | None = None,
    **given: Unpack[FitKeywords],
) -> Result:
    """Train a model, on all its data at once or in batches; it then holds the best point met.

    Training goes on from the present parameters. KeyboardInterrupt ends it and keeps the best
    point. Random numbers that are drawn anew at each step count in the gradient; the objective that
    is reported is that of the stored ones.

    Args:
        model: A compiled model; a workbook, or its path, is compiled first (``result.model``).
        optimizer: Any of torch.optim by its name in small letters, its class, an optimizer of
            ``model.parameters()`` or a function that makes one; or a solver of scipy by its name;
            else what fits the model.
        watch_cells: Cells whose values the history has, too.
        on_iteration: Called after each iteration.
        on_batch: Called after each batch.
        on_bound: Called now and then in a search for whole numbers.
        progress: Whether a table of the epochs is shown, by default in notebooks (there with a bar
            and the loss).
        options: The options below as one value; keywords come first.
        given: {options}

    Returns:
        The result: ``weights`` as float64 tensors in the shape of the parameters, ``history`` with
        a row for each iteration, ``message`` in Solver's words.

    Raises:
        SelectionError: A wrong option.
        ModelError: The model cannot be trained.
        TrainingError: The objective is an error at the start.

    Example:
        >>> import xl2torch
        >>> result = xl2torch.fit("workbooks/line.xlsx")
        >>> result.message
        'Solver found a solution. All constraints and optimality conditions are satisfied.'
    """
    model = as_model(model)
    known = fit_options(options, given)
    if optimizer is None:
        optimizer = known.optimizer
    name, factory = named(optimizer, known.lr, dict(known.arguments), reserved_names())
    known = replace(known, optimizer=name)
    listeners = Listeners(on_iteration, on_batch, on_bound)
    listeners.check()
    place = Placement.of(known)
    drawing = bool(model.drawn) or known.by_rows or start_count(model.problem, known) > 1
    if known.seed is None and (drawing or known.init in DRAWN):
        drawn = int(torch.randint(2**31, ()))  # torch.manual_seed repeats it
        known = replace(known, seed=stored_seed(model.problem) or drawn)
    watch_cells = [watch_cells] if isinstance(watch_cells, str) else watch_cells
    where = place.device
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        if known.seed is not None:
            torch.manual_seed(known.seed)
        shows = in_notebook() if progress is None else progress
        return _fit(model, known, factory, watch_cells, listeners, shows)


fit.__doc__ = (fit.__doc__ or "").replace(
    "{options}", help_text(indent=12, skip="optimizer").lstrip()
)


def _fit(
    model: SheetModel, options: FitOptions, factory: Factory | None,
    watch_cells: Sequence[CellAddress | str], listeners: Listeners, shows: bool,
) -> Result:  # fmt: skip
    refuse_moved(model)
    problem = model.problem
    before = present_point(model)
    constraints = Constraints(model)
    choice = _chosen(
        Request(model, constraints, options, Placement.of(options).is_default), factory
    )
    stages = tuple(parse_stage(model, text) for text in options.stages)
    if stages:
        options = replace(options, epochs=sum(stage.epochs for stage in stages))
    settings = settings_of(problem, options, choice, factory)
    cells = tuple(
        parse_cell(model.compiled.workbook, cell, problem.sheet) if isinstance(cell, str) else cell
        for cell in watch_cells
    )
    held = parse_frozen(model, options.freeze)
    initialize(model, options.init, options.seed, held)
    start = float(model.eval()().detach())
    box = hold(Box.of(model), model, held)
    solver = find_solver(settings.optimizer)
    barred = refused(model, constraints, settings, choice, box) if settings.epochs else None
    loss = starting_loss(model, settings, box, start, barred is None, solver.iterates)
    task = Task(loss, constraints, settings, choice)
    solver.check(task)
    limits = RunLimits(
        settings.epochs, settings.max_time or math.inf, settings.convergence,
        options.convergence is not None, options.patience,
    )  # fmt: skip
    table = _table(settings, listeners.on_iteration) if shows else None
    told = listeners.on_iteration if table is None else table[1]
    record = Record(loss, constraints, limits, watch(model, cells), told)
    if solver.has_rate:
        record.follow_rate(lambda: task.stepper.learning_rate)
    run = Run(record, _shuffle(settings), listeners.on_batch, listeners.on_bound)
    drive = Drive(task, run, stages, held)
    compiling = ""
    try:
        record.note()
        if options.compile and barred is None:
            compiling = _compile(task)
        stop = barred or drive.solve()
    except Stopped as stopped:
        stop = stopped.stop
    except KeyboardInterrupt:
        stop = Stop(6)
    if settings.epochs and not stop.restored and _is_of_sheet(drive, model):
        stop = kept_in_sheet(drive, stop)
    if table is not None:
        table[0].finish()
    remarks = [*problem.remarks, *remarks_of(drive, stop), compiling]
    if settings.starts == 1 < start_count(problem, options):
        remarks.append("the stored model asks for many starts; rows and stages have one")
    loss = drive.loss
    if not loss.is_sheets or options.dropout_off or loss.model is not model:
        whole = Loss(model)
        remarks += _report_whole(record, whole, loss, settings)
        loss = whole
    stop = final_stop(record, problem, constraints, stop, settings)
    if stop == Stop(2):
        stop = Stop(2, why_it_stands(constraints, record.best_point, Box.of(model)))
    if stop.restored:
        loss.move(before)
        loss.evaluate()
        record.keep(constraints.worst_violation(loss.point)[0])
    else:
        record.restore()
    if not record.weights:  # no point was worth anything
        loss.evaluate()
        record.keep(math.inf)
    if factory is not None:
        settings = replace(settings, lr=record.iterations[0].learning_rate)
    return Result(
        model=model, settings=settings, start=start, final=record.best_objective, stop=stop,
        iterations=tuple(record.iterations), watched=cells, weights=record.weights,
        seconds=record.seconds, remarks=tuple(filter(None, remarks)), ends=drive.ends,
        subproblems=record.subproblems, best=record.best_iteration,
    )  # fmt: skip


def _chosen(request: Request, factory: Factory | None) -> Choice:
    """The solver. One that Python gave is asked as any that steps along the gradient is."""
    options = request.options
    if options.epochs == 0 and not options.optimizer:  # whatever the model asks for
        return Choice(LBFGS, "no iteration was asked for")
    if factory is None:
        return choose(request)
    name = options.optimizer or ""
    choice = choose(replace(request, options=replace(options, optimizer="sgd")))
    return replace(choice, optimizer=name)


def _table(
    settings: Settings, on_iteration: Callable[[Iteration], None] | None
) -> tuple[EpochTable, Callable[[Iteration], None]]:
    """A table of the run, and what fills it and calls what else is to be called."""
    metrics = tuple(name.replace("validation ", "valid ") for name in settings.metrics)
    table = EpochTable(settings.epochs, settings.unit, bool(settings.validation), metrics)

    def both(row: Iteration) -> None:
        table(row)
        if on_iteration is not None:
            on_iteration(row)

    return table, both


def _shuffle(settings: Settings) -> torch.Generator | None:
    """What draws the order of the rows; one for the whole run."""
    return torch.Generator().manual_seed(settings.seed or 0) if settings.shuffle else None


def _is_of_sheet(drive: Drive, model: SheetModel) -> bool:
    """Whether the objective of the run is the sheet's: all rows, in float64, nothing drawn."""
    loss = drive.loss
    plain = loss.is_sheets and loss.identity is None and loss.model is model
    return plain and not model.drawn and not drive.stages


def _report_whole(record: Record, whole: Loss, loss: Loss, settings: Settings) -> list[str]:
    """Go to the best point, and tell its objective on the whole sheet; what differs, in words."""
    best, there = record.iterations[record.best_iteration], record.best_objective
    record.judge_by(whole)
    found = loss.remarks(best)
    if settings.dropout_off:
        where = ", ".join(str(area) for area in dropout_free(whole.model)[1])
        found.append(
            f"dropout is off but in training: {where}. The history and the best point are without "
            "it; the sheet shows what its mask gives"
        )
    if loss.model is not whole.model:
        found.append(
            f"computed in {Placement.of(settings)}: the objective of the answer is "
            f"{there:.10g} there, {whole.objective:.10g} in float64 on the CPU"
        )
    return found


def _compile(task: Task) -> str:
    """Let the loss compute the objective by torch.compile where that pays; what came of it."""
    settings = task.settings
    if find_solver(settings.optimizer).needs_home:
        return f"`compile` has no use for {settings.optimizer}"
    if settings.starts > 1:
        return "`compile` has no use for many starts, which are one batch already"
    if not task.loss.is_sheets:
        return "`compile` has no use for `batch_size`, `validation` and `metric`"
    if not settings.epochs:
        return ""
    program, remark = compiled_program(task.loss.model, Placement.of(settings).dtype)
    task.loss.compute_by(program)
    return remark
