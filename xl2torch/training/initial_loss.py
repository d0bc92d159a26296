"""The loss at the start point: where it is computed, over which rows, if it can be trained."""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import fx

from xl2torch.analysis.dropout import without_dropout
from xl2torch.cells.address import CellRange
from xl2torch.errors import ModelError, SelectionError, TrainingError, first_line
from xl2torch.model.sheet_model import SheetModel
from xl2torch.rows.fold_bias import with_ones_columns
from xl2torch.rows.row_objective import RowObjective
from xl2torch.training.box import Box
from xl2torch.training.diagnosis import start_to_blame
from xl2torch.training.loss import Loss
from xl2torch.training.placement import Placement
from xl2torch.training.rows.metrics import find_metric
from xl2torch.training.rows.row_loss import Metric, RowLoss
from xl2torch.training.rows.row_split import split_rows
from xl2torch.training.settings import Settings


def starting_loss(
    model: SheetModel, settings: Settings, box: Box, start: float, moves: bool, steps: bool
) -> Loss:
    """The loss at the start point, within the box where it ``moves``.

    It is tried whether it has a slope where the solver makes ``steps``. Raises TrainingError,
    ModelError, SelectionError.
    """
    place = Placement.of(settings)
    identity = dropout_free(model)[0] if settings.dropout_off else None
    loss = Loss(_placed(model, place), identity and place.program(identity), box)
    for item in loss.bounded if settings.epochs and moves else ():
        item.project()  # without an iteration the point is what it is
    loss.evaluate()
    _check_precision(model, loss, start, place)
    if loss.failed:
        where = start_to_blame(model)
        raise TrainingError(
            f"the objective {model.problem.objective} is an error value at the start point"
            f"{': ' if where else ''}{where}. Choose other start values (`init`)"
        )
    if steps and settings.epochs and not model.problem.is_system:
        _refuse_flat(loss)
        loss.evaluate()
    if not settings.by_rows:
        return loss
    faster, by_columns = with_ones_columns(model)
    rows = model.row_objective(faster)
    split = split_rows(model.compiled.workbook, rows.cells, settings.validation, settings.seed or 0)
    metric = None
    if settings.metric:
        metric = find_metric(model, settings.metric, settings.dropout_off)
        _check_metric(metric, rows)
    kept = None if identity is None else model.row_objective(identity)
    by_rows = RowLoss(
        loss.model, rows, split, settings.batch_size, metric, place, kept, by_columns, box
    )
    by_rows.evaluate()
    if split.validated and not math.isfinite(by_rows.validate()):
        raise SelectionError(
            f"`validation={settings.validation!r}`: the objective of the rows held back is no "
            "number"
        )
    if by_rows.failed:
        raise TrainingError(
            f"the objective {model.problem.objective} of the rows that are trained on is an error "
            "value at the start point"
        )
    return by_rows


def _check_metric(metric: Metric, rows: RowObjective) -> None:
    """Raise SelectionError where a metric is about other rows than the objective."""
    if not metric.rows.shares_rows(rows):
        raise SelectionError(
            f"`metric={metric.name!r}` is about the rows {metric.rows.cells}, the objective about "
            f"{rows.cells}. A cell that is about other rows can be watched: `watch_cells`"
        )
    if metric.of_labels and bool(rows.left_out.any()):
        raise SelectionError(
            f"`metric={metric.name!r}` is about all rows {rows.cells}, but some of them are "
            "left out of the objective. Name a cell that counts those that matter as `metric`"
        )


def dropout_free(model: SheetModel) -> tuple[fx.GraphModule, tuple[CellRange, ...]]:
    """The program without dropout, and where that is. Raises SelectionError where none is."""
    identity, cells = without_dropout(model)
    if not cells:
        drawn = ", ".join(str(area) for area in model.drawn) or "there are no random cells"
        raise SelectionError(
            "`dropout_off`: no dropout is recognised on the way to "
            f"{model.problem.objective} ({drawn}); it is a value times a mask of 0 and another "
            "number, or IF(mask, value, 0)"
        )
    return identity, cells


def _placed(model: SheetModel, place: Placement) -> SheetModel:
    """The model where it is to be computed. Raises SelectionError where it cannot be."""
    if place.is_default:
        return model
    try:
        moved = place.program(model)
        moved()
    except (RuntimeError, TypeError) as error:  # out of memory, or a function it does not have
        raise SelectionError(
            f"the model cannot be computed in {place}: "
            f'{first_line(error)}. Leave out `device` and `dtype`, or try `dtype="float32"`'
        ) from None
    return moved


def _check_precision(model: SheetModel, loss: Loss, start: float, place: Placement) -> None:
    """Raise TrainingError where numbers of the model are no numbers, or 0, in the precision."""
    if loss.model is model:
        return
    at_home = Loss(model)
    at_home.evaluate()
    slope = bool(at_home.gradient.any())
    loss.evaluate()
    if (loss.failed and not at_home.failed) or (slope and not bool(loss.gradient.any())):
        raise TrainingError(
            f"{place} cannot hold the numbers of the model: the "
            f"objective {model.problem.objective} is {loss.objective:g} there, and "
            f"{start:g} in float64, or its gradient is 0. Leave out `dtype`, or scale the model"
        )


def _refuse_flat(loss: Loss) -> None:
    """Raise ModelError when the objective does not move with the variables, or only in steps.

    Cells that are held by their limits are no matter.
    """
    model, parameters = loss.model, loss.parameters
    if not bool(loss.box.free.any()):
        return
    free = torch.split(loss.box.free, [item.numel() for item in parameters])

    def has_slope() -> bool:
        return any(bool(p.grad.any()) for p in parameters if p.grad is not None)

    if has_slope():
        return
    value = float(model().detach())
    saved = [parameter.detach().clone() for parameter in parameters]
    generator = torch.Generator().manual_seed(0)
    moved = slope = False
    for size, share in product((1e-3, 0.1, 1.0, 10.0), (1.0, 0.01)):  # EXP(-4000) is flat
        with torch.no_grad():
            for parameter, old, moves in zip(parameters, saved, free, strict=True):
                noise = torch.randn(old.shape, generator=generator, dtype=old.dtype)
                there = share * (old + size * noise)
                parameter.copy_(torch.where(moves.reshape(old.shape), there, old))
        loss.evaluate()
        after = float(model().detach())
        moved = moved or (math.isfinite(after) and after != value)
        slope = slope or has_slope()
    with torch.no_grad():
        for parameter, old in zip(parameters, saved, strict=True):
            parameter.copy_(old)
    if moved and not slope:
        raise ModelError(
            f"the objective {model.problem.objective} changes only in steps (comparisons, ROUND "
            "and the like): its gradient is 0 everywhere. Choose a smooth objective, such as a "
            "mean squared error, and watch this one with `watch_cells`"
        )
    if not moved:
        raise ModelError(
            f"the objective {model.problem.objective} is {value:g} whatever the variable cells are "
            "(its gradient is 0 everywhere): there is nothing to train. Choose another objective"
        )
