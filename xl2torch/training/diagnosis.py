"""What goes wrong in training, found and put into words."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from xl2torch.address import CellAddress, single_cell
from xl2torch.errors import Xl2TorchError
from xl2torch.graph.blocks import given_numbers
from xl2torch.graph.schedule import Evaluation
from xl2torch.model import SheetModel, first_error
from xl2torch.training.loss import Loss

_PLATEAU = 1e-4
"""Share of the whole way that is hardly worth the last tenth of the iterations."""
_MOST_NAMED = 6
_ASIDE = 1e-3


def error_place(model: SheetModel) -> str:
    """Where the error value of the objective begins at the present parameters, in words."""
    given = [
        given_numbers(variable.cells, model.parameter(variable).detach().numpy())
        for variable in model.variables
    ]
    evaluation = Evaluation(model.compiled.workbook, given)
    area = single_cell(model.problem.objective)
    try:
        evaluation.value(area)
        place = first_error(evaluation, area)
    except (Xl2TorchError, ArithmeticError):
        return ""
    if place == str(area):
        return f"It is in {place}."
    return (
        f"It begins in {place}. Bound the variable cells away from there (--constraint), or try a "
        "smaller --lr."
    )


def unfelt(loss: Loss, felt: torch.Tensor, moving: torch.Tensor) -> str:
    """Variable cells whose gradient was 0 all the time, in words; '' where there are none.

    A cell that stood at its optimum from the start has a gradient as soon as it is moved.
    """
    still = moving & ~felt
    if not bool(still.any()) or not bool(felt.any()):
        return ""
    point = loss.point
    loss.at(torch.where(still, point + _ASIDE * point.abs().clamp_min(1.0), point))
    still &= loss.gradient == 0
    loss.at(point)
    cells = [
        cell for cell, feels_not in zip(loss.model.cell_values(), still.tolist(), strict=True)
        if feels_not
    ]  # fmt: skip
    if not cells:
        return ""
    return (
        f"the objective does not feel {named(cells)}: the gradient there was 0 at every iteration "
        "(a ReLU that is closed for all rows, a weight that is multiplied by 0, or cells that are "
        "not used): try other start values (--init normal, --starts 20)"
    )


def plateau(losses: Sequence[float]) -> str:
    """That the loss hardly moved any more when the iterations ran out; '' where it did."""
    tenth = len(losses) // 10
    if tenth < 5:
        return ""
    way = abs(losses[0] - losses[-1])
    late = abs(losses[-tenth] - losses[-1])
    if late > _PLATEAU * max(way, abs(losses[-1])):
        return ""
    return (
        f"a plateau: the last {tenth} iterations changed the objective by {late:.2g}; try lbfgs, "
        "another --lr, or other start values (--starts 20)"
    )


def named(cells: Sequence[CellAddress]) -> str:
    """Cells in words: neighbours in a row or column as a range, and not too many."""
    runs: list[list[CellAddress]] = []
    for cell in cells:
        last = runs[-1][-1] if runs else None
        follows = last is not None and last.sheet == cell.sheet and (
            (last.row == cell.row and last.column + 1 == cell.column)
            or (last.column == cell.column and last.row + 1 == cell.row)
        )  # fmt: skip
        if follows:
            runs[-1].append(cell)
        else:
            runs.append([cell])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}:{run[-1].a1}" for run in runs]
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more
