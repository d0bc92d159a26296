"""Analytic against numeric derivatives of the objective, one line per variable cell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from xl2torch.cells.address import CellAddress, single_cell
from xl2torch.errors import ModelError, SelectionError
from xl2torch.gradients.difference import (
    EPSILON,
    RELATIVE_STEP,
    STEP_RULE,
    Differences,
    Method,
    VariableIndex,
    all_cells,
    default_differences,
    differences,
    lengthened,
    settled,
    vanishing,
    with_noise,
)  # fmt: skip
from xl2torch.gradients.reasons import Doubt, plateau_of, reason_of
from xl2torch.ir.naming import solver_name, solver_names
from xl2torch.model.sheet_model import SheetModel, refuse_moved
from xl2torch.safety.limits import within_limits
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_cell

if TYPE_CHECKING:
    import pandas

TOLERANCE: dict[Method, float] = {"central": 1e-6, "forward": 1e-4}
"""Largest relative difference that counts as agreement."""
_TIMING = 0.05
_EXAMINED = 100
_NEAR = 0.1
"""Of the tolerance: nearer than that a cell is not looked at again."""


@dataclass(frozen=True)
class Comparison:
    """Two derivatives of one cell.

    ``label`` and ``reason`` may be empty. ``step`` is the step of the numeric derivative.
    """

    cell: CellAddress
    label: str
    value: float
    analytic: float
    numeric: float
    abs_diff: float
    rel_diff: float
    step: float
    ok: bool
    reason: str


@dataclass(frozen=True)
class SolverCost:
    """What one gradient costs.

    Solver recalculates the sheet once per variable cell for forward differences, twice for central
    ones; the analytic gradient is one forward and one backward pass. Seconds of the recalculations
    are those of our forward pass, one after the other.
    """

    forward: int
    central: int
    forward_seconds: float
    central_seconds: float
    backward_seconds: float


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """The outcome. ``step`` is the one asked for, or the default relative step of the method.

    ``largest`` is the largest |a| of the whole model, checked or not.
    """

    model: SheetModel
    value: float
    method: Method
    step: float
    step_rule: str
    rows: tuple[Comparison, ...]
    largest: float

    @cached_property
    def cost(self) -> SolverCost:
        """What one gradient costs; the times are measured when this is first asked for."""
        return _cost(self.model)

    @property
    def workbook(self) -> Workbook:
        """The workbook that the model is from."""
        return self.model.compiled.workbook

    @property
    def max_rel_diff(self) -> float:
        """Largest relative difference."""
        return max((row.rel_diff for row in self.rows), default=0.0)

    @property
    def ok(self) -> bool:
        """Whether all cells agree."""
        return all(row.ok for row in self.rows)

    @property
    def worst_first(self) -> list[Comparison]:
        """Lines that do not agree, then the others; the largest relative difference first."""
        return sorted(self.rows, key=lambda row: (row.ok, -row.rel_diff))

    @property
    def report(self) -> dict[str, Any]:
        """The outcome as plain data, worst cells first."""
        objective = self.model.problem.objective
        return {
            "workbook": str(self.workbook.path),
            "sheet": self.model.problem.sheet,
            "objective": str(objective),
            "label": solver_name(self.workbook, single_cell(objective)),
            "value": self.value,
            "method": self.method,
            "step": self.step,
            "step_rule": self.step_rule,
            "variables": [{**vars(row), "cell": str(row.cell)} for row in self.worst_first],
            "max_rel_diff": self.max_rel_diff,
            "ok": self.ok,
            "solver": vars(self.cost),
        }


@within_limits("the check of gradients")
def gradcheck(
    model: SheetModel, *, method: Method = "central", step: float | None = None,
    cells: Iterable[CellAddress | str] | None = None,
) -> pandas.DataFrame:  # fmt: skip
    """Compare the analytic derivative of each variable cell with a numeric one, where it stands.

    Args:
        model: A compiled model.
        method: ``central``, ``forward`` or ``richardson`` differences, or the ``complex`` step.
        step: The step of the differences, in the unit of the cell; chosen by curvature where None.
        cells: Variable cells that are checked instead of all, as addresses or texts.

    Returns:
        One row per cell, worst first: cell, label, value, analytic, numeric (both in the unit of
        the objective per unit of the cell), abs_diff, rel_diff, step, ok, reason. ``attrs`` holds
        objective, value, method, step and max_rel_diff.

    Raises:
        SelectionError: A cell that is no variable cell, or a wrong method or step.
        ModelError: The objective is an error at the present point.

    Example:
        >>> model = xl2torch.compile("workbooks/line.xlsx")
        >>> xl2torch.gradcheck(model)["ok"].all()
        np.True_
    """
    import pandas

    found = check(model, method=method, step=step, cells=cells)
    frame = pandas.DataFrame([vars(row) for row in found.worst_first])
    frame["cell"] = frame["cell"].map(str)
    frame.attrs = {
        "objective": str(model.problem.objective),
        "value": found.value,
        "method": method,
        "step": found.step,
        "max_rel_diff": found.max_rel_diff,
    }
    return frame


def check(
    model: SheetModel, *, method: Method = "central", step: float | None = None,
    cells: Iterable[CellAddress | str] | None = None, done: Callable[[int], None] | None = None,
) -> GradientCheck:  # fmt: skip
    """Compare analytic with numeric derivatives; see ``gradcheck``.

    The relative difference is |a−n| / max(|a|, |n|, largest |a| of the model), and 0/0 is 0. A cell
    agrees when it is within the method's TOLERANCE, or when rounding explains it: ε·|f|/step, or
    what rounding inside of the formulas is measured to be. With default steps it also agrees where
    the difference goes away with the step, as at an optimum, where both are next to nothing.
    ``done`` is called with numbers of cells as they are computed. Cells of random numbers keep
    their draw. Raises SelectionError (not a variable cell, no step) or ModelError (the objective is
    an error value at the present point).
    """
    if method not in RELATIVE_STEP:
        raise SelectionError(f"the method {method!r} is neither central nor forward")
    if step is not None and not (math.isfinite(step) and step > 0):
        raise SelectionError(f"the step {step:g} has to be above 0")
    model.problem.require_objective("a gradient check")
    was_training = model.training
    model.eval()
    try:
        return _check(model, method, step, _chosen(model, cells), done)
    finally:
        model.train(was_training)


def _check(
    model: SheetModel, method: Method, step: float | None, cells: VariableIndex,
    done: Callable[[int], None] | None,
) -> GradientCheck:  # fmt: skip
    refuse_moved(model)
    value = float(model().detach())
    if not math.isfinite(value):
        raise ModelError(
            f"the objective {model.problem.objective} is an error value at the present point: "
            "there are no derivatives to compare. Choose other values of the variable cells"
        )
    whole = _analytic(model)
    starts = torch.tensor([0, *(v.cells.size for v in model.variables)]).cumsum(0)
    analytic = whole[starts[cells.ranges] + cells.places]
    finite = whole[torch.isfinite(whole)].abs()
    largest = float(finite.max()) if len(finite) else 0.0
    if step is None:
        numbers = default_differences(model, cells, method, done)
        numbers, excused = _looked_at_closely(model, cells, numbers, analytic, largest)
    else:
        steps = torch.full((len(cells),), step, dtype=torch.float64)
        numbers = differences(model, cells, method, steps, done)
        excused = torch.zeros(len(cells), dtype=torch.bool)
    return GradientCheck(
        model, value, method, RELATIVE_STEP[method] if step is None else step,
        STEP_RULE[method] if step is None else "as asked for",
        tuple(_compare(model, cells, analytic, numbers, largest, excused)), largest,
    )  # fmt: skip


def relative_error(analytic: torch.Tensor, other: torch.Tensor, largest: float) -> torch.Tensor:
    """|a−n| / max(|a|, |n|, largest); 0 where both are 0, infinity where one is no number."""
    distance = (analytic - other).abs()
    size = torch.maximum(analytic.abs(), other.abs()).clamp_min(largest)
    found = torch.where(distance == 0, 0.0, distance / size)
    return found.nan_to_num(math.inf, math.inf, math.inf)


def _looked_at_closely(
    model: SheetModel,
    cells: VariableIndex,
    found: Differences,
    analytic: torch.Tensor,
    largest: float,
) -> tuple[Differences, torch.Tensor]:
    """Rounding measured, and other steps, for the cells whose quotient is not near.

    Shorter steps, until the quotient settles, before a cell is said to differ; longer ones where
    rounding would be the excuse. Also the cells that agree in the limit of short steps, or whose
    slope no number of 64 bits can show.
    """
    ratio = relative_error(analytic, found.quotient, largest)
    far, near = ratio > TOLERANCE[found.method], ratio > _NEAR * TOLERANCE[found.method]
    unseen = analytic.abs() * found.step <= EPSILON * found.middle.abs().clamp_min(1.0)
    excused = far & found.flat & unseen
    if bool(far.any()):
        found = found.replaced(far, with_noise(model, cells[far], found[far]))
    rounded = near & ((analytic - found.quotient).abs() <= found.rounding)
    if bool(rounded.any()):
        longer = lengthened(model, cells[rounded], found[rounded])
        found = found.replaced(rounded, longer)
    wrong = far & ~rounded & ~excused
    if bool(wrong.any()):
        first = found
        found = found.replaced(wrong, settled(model, cells[wrong], found[wrong]))
        still = relative_error(analytic, found.quotient, largest) > TOLERANCE[found.method]
        doubtful = wrong & still & first.finite & torch.isfinite(analytic)
        goes = vanishing(model, cells[doubtful], first[doubtful], analytic[doubtful])
        excused[doubtful] = goes
        found = first.where(excused & doubtful, found)
    return found, excused


def _compare(
    model: SheetModel, cells: VariableIndex, analytic: torch.Tensor, numbers: Differences,
    largest: float, excused: torch.Tensor,
) -> list[Comparison]:  # fmt: skip
    numeric = numbers.quotient
    distance = (analytic - numeric).abs()
    ratio = relative_error(analytic, numeric, largest)
    agrees = (ratio <= TOLERANCE[numbers.method]) | (distance <= numbers.rounding) | excused
    places = [list(variable.cells.cells()) for variable in model.variables]
    labels = [solver_names(model.compiled.workbook, variable.cells) for variable in model.variables]
    reasons = _reasons(model, cells, analytic, numbers, agrees, ratio)
    columns = (
        cells.ranges.tolist(), cells.places.tolist(), numbers.at.tolist(), analytic.tolist(),
        numeric.tolist(), distance.tolist(), ratio.tolist(), numbers.step.tolist(),
        agrees.tolist(), reasons,
    )  # fmt: skip
    return [
        Comparison(places[number][place], labels[number][place], *rest)
        for number, place, *rest in zip(*columns, strict=True)
    ]


def _reasons(
    model: SheetModel, cells: VariableIndex, analytic: torch.Tensor, numbers: Differences,
    agrees: torch.Tensor, ratio: torch.Tensor,
) -> list[str]:  # fmt: skip
    """A reason for each cell that differs, or of which little is known though it agrees."""
    reasons = [""] * len(cells)
    still = agrees & (analytic == 0) & (numbers.quotient == 0)
    moveless = numbers.flat
    flat = still & moveless
    far = agrees & (ratio > TOLERANCE[numbers.method])
    plateaus = {}
    for index in torch.nonzero(still | far).reshape(-1).tolist():
        if flat[index]:
            number = int(cells.ranges[index])
            if number not in plateaus:
                plateaus[number] = plateau_of(model, model.variables[number])
            reasons[index] = plateaus[number]
        elif still[index]:
            reasons[index] = (
                "stationary: the slope is 0, though the objective is not flat here: a minimum, a "
                "maximum, or a kink with opposite slopes"
            )
        elif moveless[index]:
            reasons[index] = "rounding: so small a slope does not show in the objective"
        elif numbers.rounding[index] < numbers.curvature[index]:
            reasons[index] = "truncation: the difference goes away with the step"
        else:
            reasons[index] = (
                f"rounding: up to {float(numbers.rounding[index]):.2g} is explained by it, so the "
                "numeric derivative says little here"
            )
    wrong = torch.nonzero(~agrees).reshape(-1)
    wrong = wrong[torch.argsort(ratio[wrong], descending=True)]
    for rank, index in enumerate(wrong.tolist()):
        if rank >= _EXAMINED:
            reasons[index] = f"not examined: only the {_EXAMINED} worst cells are"
            continue
        one = torch.tensor([index])
        doubt = Doubt(model, cells[one], float(analytic[index]))
        reasons[index] = reason_of(doubt, numbers[one])
    return reasons


def _analytic(model: SheetModel) -> torch.Tensor:
    """Derivative by every variable cell, by autograd."""
    parameters = [model.parameter(variable) for variable in model.variables]
    value = model()
    slopes: Iterable[torch.Tensor | None] = [None] * len(parameters)
    if value.requires_grad:
        slopes = torch.autograd.grad(value, parameters, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(parameter) if slope is None else slope).detach().reshape(-1)
            for parameter, slope in zip(parameters, slopes, strict=True)
        ]
    )


def _chosen(model: SheetModel, wanted: Iterable[CellAddress | str] | None) -> VariableIndex:
    everything = all_cells(model)
    if wanted is None:
        return everything
    workbook, sheet = model.compiled.workbook, model.problem.sheet
    places = {cell: index for index, cell in enumerate(model.cell_values())}
    cells = dict.fromkeys(
        cell if isinstance(cell, CellAddress) else parse_cell(workbook, cell, sheet)
        for cell in wanted
    )
    unknown = [str(cell) for cell in cells if cell not in places]
    if unknown:
        raise SelectionError(f"{', '.join(unknown[:5])}: no variable cell of the model")
    if not cells:
        raise SelectionError("no variable cell was chosen")
    return everything[torch.tensor([places[cell] for cell in cells])]


def _cost(model: SheetModel) -> SolverCost:
    count = sum(variable.cells.size for variable in model.variables)

    def forward() -> None:
        with torch.no_grad():
            model()

    once = _seconds(forward)
    return SolverCost(
        count, 2 * count, once * count, once * 2 * count, _seconds(lambda: _analytic(model))
    )


def _seconds(work: Callable[[], Any]) -> float:
    """Shortest time of a few repetitions."""
    best, spent = math.inf, 0.0
    while spent < _TIMING:
        began = time.perf_counter()
        work()
        taken = time.perf_counter() - began
        best, spent = min(best, taken), spent + taken
    return best
