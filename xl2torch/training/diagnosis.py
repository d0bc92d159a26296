"""What goes wrong in training, found and put into words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch

from xl2torch.analysis.optimality import optimality
from xl2torch.analysis.residuals import find_residuals, has_kink
from xl2torch.arrays.array import Unsupported
from xl2torch.cells.address import CellAddress, CellRange, single_cell
from xl2torch.cells.values import BLANK, FIRST_ERROR, NUMBER
from xl2torch.errors import Xl2TorchError
from xl2torch.formula.ast import Node, Text, functions_in, walk
from xl2torch.formula.parser import FOREIGN
from xl2torch.lowering.blocks import given_numbers, stored
from xl2torch.lowering.precedents import precedents
from xl2torch.lowering.schedule import Evaluation
from xl2torch.model.constraints import Constraints
from xl2torch.model.jacobian import jacobian, present_point
from xl2torch.model.sheet_model import SheetModel, first_error
from xl2torch.training.box import Box
from xl2torch.training.loss import Loss

_PLATEAU = 1e-4
"""Share of the whole way that is hardly worth the last tenth of the iterations."""
_MOST_NAMED = 6
_WAYS = 4
_TENTH = 0.1
_SAME = 1e-12
_ASIDE = 1e-3
_MOST_TRIED = 20
_FEW_ROWS, _LARGEST = 5, 2_000_000
_ASKS = frozenset({"ISBLANK", "ISNUMBER", "ISTEXT", "COUNT", "COUNTA", "IFERROR", "IFNA"})
_OTHER_SCALE = 1e4
"""From this on the data of two columns are of different size."""
_FLAT = 1e-7
"""Share of the largest singular value from which on a direction has no slope."""
_QUIET = 20
"""Iterations without a slope after which a cell counts as gone."""
_OTHER_SIZES = (10.0, 100.0, 1000.0, 0.1, 0.01, 0.0, -1.0)


def sheet_error(model: SheetModel, point: torch.Tensor) -> str | None:
    """The cell in which an error of the objective begins, as the sheet itself computes it; None
    where the sheet has a value."""
    pieces = torch.split(point, [variable.start.numel() for variable in model.variables])
    given = [
        given_numbers(variable.cells, piece.numpy().reshape(variable.start.shape))
        for variable, piece in zip(model.variables, pieces, strict=True)
    ]
    evaluation = Evaluation(model.compiled.workbook, given)
    area = single_cell(model.problem.objective)
    try:
        kind = int(evaluation.value(area).full_kinds.flat[0])
    except (Xl2TorchError, Unsupported, ArithmeticError):
        return None  # what cannot be computed has a stored value, and verify tells of it
    return first_error(evaluation, area) if kind >= FIRST_ERROR else None


def error_place(model: SheetModel) -> str:
    """Where the error value of the objective begins at the present parameters, in words."""
    place = sheet_error(model, present_point(model))
    if place is None:
        return ""
    return (
        f"It begins in {place}. Bound the variable cells away from there (`constraints`), or try a "
        "smaller `lr`."
    )


def start_to_blame(model: SheetModel) -> str:
    """Where an error of the start begins, and a start value without which there is none, in words;
    '' where the sheet has a value."""
    point = present_point(model)
    place = sheet_error(model, point)
    if place is None:
        return ""
    cells = list(model.cell_values())[:_MOST_TRIED]
    for number, factor in product(range(len(cells)), _OTHER_SIZES):
        moved = point.clone()
        moved[number] = factor * (float(point[number]) or 1.0)
        if sheet_error(model, moved) is None:
            return (
                f"it begins in {place}, and has a value where {cells[number]} is "
                f"{float(moved[number]):g}, not {float(point[number]):g}"
            )
    return f"it begins in {place}"


def zero_gradient_cells(loss: Loss, had_gradient: torch.Tensor, moving: torch.Tensor) -> str:
    """Variable cells whose gradient was 0 all the time, in words; '' where there are none.

    A cell that stood at its optimum from the start has a gradient as soon as it is moved.
    """
    still = moving & ~had_gradient
    if not bool(still.any()) or not bool(had_gradient.any()):
        return ""
    point = loss.point
    loss.evaluate_at(torch.where(still, point + _ASIDE * point.abs().clamp_min(1.0), point))
    still &= loss.gradient == 0
    in_steps = _moves_in_steps(loss, point, still)
    loss.evaluate_at(point)
    cells = [
        cell for cell, feels_not in zip(loss.model.cell_values(), still.tolist(), strict=True)
        if feels_not
    ]  # fmt: skip
    if not cells:
        return ""
    if in_steps:
        return (
            f"the objective moves with {named(cells)} in steps only (a place in a table, a "
            "comparison, a rounding): its gradient is 0 there, and such cells keep their values"
        )
    return (
        f"the objective does not feel {named(cells)}: the gradient there was 0 at every iteration "
        "(a ReLU that is closed for all rows, a weight that is multiplied by 0, or cells that are "
        'not used): try other start values (`init="normal"`, `starts=20`)'
    )


def lost_gradient_cells(loss: Loss, last_gradient: torch.Tensor, made: int) -> str:
    """Variable cells whose gradient became 0 on the way and stayed so, in words."""
    quiet = max(_QUIET, made // 5)
    gone = (last_gradient >= 0) & (last_gradient < made - quiet)
    if not bool(gone.any()) or bool(gone.all()) or not loss.gradient_norm:
        return ""
    cells = [cell for cell, is_gone in zip(loss.model.cell_values(), gone.tolist(), strict=True)
             if is_gone]  # fmt: skip
    since = int(last_gradient[gone].max())
    return (
        f"the objective has not felt {named(cells)} since iteration {since}: a ReLU closed for "
        "all rows in which it counts, or a value went beyond where the sheet looks. A smaller "
        '`lr`, or other start values (`init="normal"`), may keep it alive'
    )


def _moves_in_steps(loss: Loss, point: torch.Tensor, still: torch.Tensor) -> bool:
    """Whether the objective jumps where cells that it does not feel are moved by 1, or as far."""
    loss.evaluate_at(point)
    before = loss.objective
    one, far = torch.ones_like(point), point.abs().clamp_min(1.0)
    for way in (one, -one, far, -far):
        loss.evaluate_at(torch.where(still, point + way, point))
        slope = bool((loss.gradient[still] != 0).any())
        if not loss.failed and not slope and loss.objective != before:
            return True
    return False


def on_plateau(loss: Loss) -> bool:
    """Whether a point without a slope that counts is no optimum: all is flat around it, or it still
    gets better a tenth further on, as EXP(-50) does."""
    box = loss.box
    point, value, slope = loss.point, loss.value, loss.free_gradient
    sizes = _TENTH * torch.where(point == 0, 1.0, point.abs())
    downhill = loss.evaluate_at(box.clamp(point - sizes * slope.sign()))
    generator = torch.Generator().manual_seed(0)
    around = [
        loss.evaluate_at(box.clamp(point + sizes * torch.randn(len(point), generator=generator)))
        for _ in range(_WAYS)
    ]
    loss.evaluate_at(point)
    same = _SAME * abs(value)
    return downhill < value - same or all(abs(there - value) <= same for there in around)


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
        "another `lr`, or other start values (`starts=20`)"
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


def why_it_stands(constraints: Constraints, point: torch.Tensor, box: Box) -> str:
    """Why nothing gets better from a point on, in words."""
    found = optimality(constraints, point, (box.lower, box.upper))
    if found.optimal:
        return "It is an optimum to six digits: no slope is left."
    if any(has_kink(node) for node in constraints.model.graph.nodes):
        return (
            "It is at a kink, where slopes jump (MAX, IF, ABS): the best around here as far as "
            'steps can tell. Others (`starts=20`, `optimizer="adam"`) may be better.'
        )
    return "Any gain that is left is hidden by rounding."


def signs(model: SheetModel, point: torch.Tensor, box: Box) -> str:
    """What Assume Non-Negative did to an answer, or would have done, in words."""
    cells = list(model.cell_values())
    if model.problem.non_negative and len(cells) > 1 and not bool(point.any()):
        return (
            "Assume Non-Negative keeps all variable cells at 0: `non_negative=False` lets them be "
            "negative"
        )
    below = (point < 0) & torch.isinf(box.lower)
    limited = bool(model.problem.general_constraints or model.problem.integer_constraints)
    if not limited or not bool(below.any()):
        return ""
    first = int(torch.nonzero(below)[0])
    return (
        f"{cells[first]} is {float(point[first]):g}: where that makes no sense, "
        "`non_negative=True` keeps variable cells at 0 or above"
    )


def blank_data(model: SheetModel) -> str:
    """Blank cells between the numbers that copied formulas read row by row, in words."""
    found: dict[CellAddress, None] = {}
    for area in _data_columns(model, careless=True):
        kinds = stored(model.compiled.workbook, area).full_kinds[0, 0]
        gaps = np.argwhere(kinds == BLANK)
        if 0 < len(gaps) <= kinds.size * _TENTH:
            cells = (CellAddress(area.sheet, area.top + row, area.left + column)
                     for row, column in gaps.tolist())  # fmt: skip
            found |= dict.fromkeys(cells)
    if not found:
        return ""
    return (
        f"{named(sorted(found))} {'is' if len(found) == 1 else 'are'} blank among the data, and "
        "a blank counts as 0: fill it in, or leave the row out"
    )


def data_scales(model: SheetModel) -> str:
    """Data columns of very different size, in words: steps along the gradient suit but one."""
    sizes: dict[CellRange, float] = {}
    for area in _data_columns(model):
        array = stored(model.compiled.workbook, area)
        numbers = np.abs(array.numpy()[0, 0])[array.full_kinds[0, 0] == NUMBER]
        if (numbers > 0).any():
            sizes[area] = float(np.median(numbers[numbers > 0]))
    if not sizes:
        return ""
    small, large = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
    if sizes[large] < _OTHER_SCALE * sizes[small]:
        return ""
    return (
        f"data of very different size: {small} about {sizes[small]:.1g}, {large} about "
        f"{sizes[large]:.1g}. Bring them to one size in the sheet (another unit), or leave out "
        "`optimizer`: what is chosen then does not mind"
    )


def undetermined(model: SheetModel, point: torch.Tensor) -> str:
    """A few variable cells of which the data determine a combination only, in words."""
    held = model.problem.general_constraints or model.problem.integer_constraints
    if len(point) > _MOST_NAMED or model.drawn or held:
        return ""
    residuals = find_residuals(model)
    if residuals is None:
        return ""
    slopes = jacobian(residuals.function, point)
    lengths = slopes.norm(dim=0)
    known = bool(torch.isfinite(slopes).all()) and bool((lengths > 0).all())
    if not known or len(slopes) < len(point):
        return ""
    _, sizes, directions = torch.linalg.svd(slopes / lengths, full_matrices=False)
    if len(sizes) < 2 or float(sizes[-1]) > _FLAT * float(sizes[0]):
        return ""
    cells = list(model.cell_values())
    mixed = [cells[place] for place in torch.nonzero(directions[-1].abs() > _TENTH).reshape(-1)]
    return (
        f"{named(mixed)} are not determined one by one: at this point the data know a combination "
        "of them only, and other start values may end elsewhere"
    )


def _data_columns(model: SheetModel, careless: bool = False) -> Iterator[CellRange]:
    """Ranges of the workbook's own numbers that trained formulas read row by row.

    ``careless``: only by formulas that do not look whether a cell is blank.
    """
    evaluation, workbook = model.compiled.evaluation, model.compiled.workbook
    roots = evaluation.overlapping(single_cell(model.problem.objective))
    for unit in evaluation.ancestors(roots):
        if not unit.trained or unit.region is None or unit.region.rows < _FEW_ROWS:
            continue
        if careless and _looks_for_blanks(unit.region.tree):
            continue
        for area in precedents(unit.region, workbook):
            by_rows = area.rows == unit.region.rows and area.size <= _LARGEST
            if by_rows and not evaluation.overlapping(area):
                yield area


def _looks_for_blanks(tree: Node) -> bool:
    """Whether a formula asks for blank cells, or catches what they make."""
    return Text("") in walk(tree) or not _ASKS.isdisjoint(functions_in(tree))


def google_values(model: SheetModel) -> str:
    """Cells of Google Sheets' own functions that the objective reads, in words."""
    evaluation = model.compiled.evaluation
    roots = evaluation.overlapping(single_cell(model.problem.objective))
    found = {
        unit.area.first: None
        for unit in sorted(evaluation.ancestors(roots), key=lambda unit: unit.area)
        if unit.region is not None and FOREIGN in functions_in(unit.region.tree)
    }
    if not found:
        return ""
    return (
        f"{named(list(found))}: formulas of Google Sheets, of which the file holds the last values "
        "only: they stay as they are"
    )
