"""Saving a result: the user's own workbook, patched, with reports behind its last sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xl2torch.cells.address import CellAddress, single_cell
from xl2torch.errors import ModelError, OutputError, SelectionError, TrainingError
from xl2torch.evaluate.recalculation import Recalculation, recalculate
from xl2torch.gradients.check import check
from xl2torch.model.sheet_model import SheetModel, rounding
from xl2torch.reports.answer import Answer, answer, answer_sheet
from xl2torch.reports.gradient_sheet import gradient_sheets
from xl2torch.reports.kinds import DEFAULT_REPORTS, REPORTS, chosen_reports
from xl2torch.reports.likelihood import is_likelihood, likelihood_sheet
from xl2torch.reports.limits import limits_sheet
from xl2torch.reports.outcome import (
    ReportContext,
    formula_cells,
    recalculated_edits,
    trained_values,
)
from xl2torch.reports.sensitivity import sensitivity_sheet
from xl2torch.reports.statistics import check_residuals, statistics_sheet
from xl2torch.reports.store_model import is_stored, keep_model
from xl2torch.reports.training_sheet import Watched, training_sheet
from xl2torch.safety.limits import within_limits
from xl2torch.training.present import takes_models
from xl2torch.training.result import Result
from xl2torch.workbook.package import Changes
from xl2torch.workbook.read.reader import Workbook, load, read_again
from xl2torch.workbook.read.remembered import Options
from xl2torch.workbook.read.selection import parse_cell
from xl2torch.workbook.sparse_cells import key_of
from xl2torch.workbook.write.new_sheet import NewSheet, add_sheets
from xl2torch.workbook.write.patcher import CellEdit, Edits, Keys, cells_at, patch_cells
from xl2torch.workbook.write.preflight import check_output, check_protection
from xl2torch.workbook.write.remember import remember
from xl2torch.workbook.write.workbook_part import numbered_name, recalculate_on_load

_AGREEMENT = 1e-9


@dataclass(frozen=True)
class Saved:
    """What was written, and where.

    ``rewritten`` are the keys of all cells that were rewritten, by sheet.
    ``reports`` are names of sheets by kind; ``skipped`` says of kinds why they were left out.
    ``answer`` are variable and constrained cells before and after, where all of them are numbers.
    """

    path: Path
    rewritten: Mapping[str, Keys]
    changed_parts: tuple[str, ...]
    added_parts: tuple[str, ...]
    before_after: tuple[Watched, ...]
    stale: Mapping[CellAddress, str]
    reports: Mapping[str, str]
    skipped: Mapping[str, str]
    answer: Answer | None = None

    def __repr__(self) -> str:
        return f"<Saved {self.path.name}: {self.changed_cells:,} cells changed>"

    @property
    def changed_cells(self) -> int:
        """How many cells were rewritten."""
        return sum(map(len, self.rewritten.values()))

    @property
    def cells(self) -> frozenset[CellAddress]:
        """All cells that were rewritten; everything else in their sheets is the same."""
        return frozenset(
            cell for sheet, keys in self.rewritten.items() for cell in cells_at(sheet, keys)
        )


def check_reports(model: SheetModel, reports: Sequence[str]) -> None:
    """Find out before training whether a report makes sense. Raises ModelError."""
    if "statistics" in reports and not is_likelihood(model):
        check_residuals(model)


@within_limits("writing the workbook")
@takes_models
def save(
    result: Result,
    path: str | Path,
    *,
    force: bool = False,
    in_place: bool = False,
    cells: Sequence[CellAddress | str] = (),
    ignore_protection: bool = False,
    reports: str | Sequence[str] = DEFAULT_REPORTS,
    history_every: int = 1,
    store_model: bool | None = None,
    remembered: Options | None = None,
    everything: bool | None = None,
) -> Saved:
    """Write the trained workbook: weights, recalculated values, and reports.

    Everything that did not have to change is byte for byte the input's.

    Args:
        result: What ``fit`` gives; or a model, whose present parameters are written.
        path: The file to write.
        force: Overwrite another file of that name.
        in_place: Overwrite the input itself.
        cells: Cells that are shown before and after, besides the objective and the watched ones.
        ignore_protection: Change locked cells, and add sheets to a protected workbook.
        reports: Of training, answer, sensitivity, limits, statistics and gradients, or ``all`` or
            ``none``; one that cannot be made is left out, and ``skipped`` says why.
        history_every: Write every n-th iteration only.
        store_model: Keep the model for Excel's Solver; by default where its sheet has none.
        remembered: Options that are kept for the next command.
        everything: Recalculate all cells, not only those that depend on the variable cells; by
            default where the file holds no values at all.

    Returns:
        What was written: ``path``, the cells that changed, the reports by kind.

    Raises:
        OutputError: The file cannot be written, or protection forbids it.

    Example:
        >>> result = xl2torch.fit("workbooks/line.xlsx")
        >>> xl2torch.save(result, "line-trained.xlsx")
        <Saved line-trained.xlsx: 7 cells changed>
    """
    if history_every < 1:
        raise SelectionError(f"the history cannot be kept every {history_every} iterations")
    kinds = chosen_reports(reports)
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    workbook = result.model.compiled.workbook
    problem = result.model.problem
    check_output(workbook.path, target, force, in_place)
    check_protection(workbook, problem.variables, ignore_protection, bool(kinds))
    more = [
        parse_cell(workbook, cell, problem.sheet) if isinstance(cell, str) else cell
        for cell in cells
    ]
    if everything is None:
        everything = has_no_values(workbook)
    outcome = ReportContext.of(result, more, everything)
    _check_agreement(result, outcome.recalculation)
    objective = () if problem.is_system else (problem.objective,)
    shown = list(dict.fromkeys([*objective, *result.watched, *more]))
    before = outcome.before(shown)
    try:
        found = answer(outcome)
    except ModelError:  # the report will say which constraint is no number
        found = None
    before_after = tuple((cell, before[cell], outcome.after(cell)) for cell in shown)
    names = {kind: numbered_name(workbook, REPORTS[kind]) for kind in kinds}
    builders: Mapping[str, Callable[[str], list[NewSheet]]] = {
        "training": lambda name: [training_sheet(outcome, name, before_after, history_every)],
        "answer": lambda name: [answer_sheet(outcome, name, found)],
        "sensitivity": lambda name: [sensitivity_sheet(outcome, name)],
        "limits": lambda name: [limits_sheet(outcome, name)],
        "statistics": lambda name: [
            (likelihood_sheet if is_likelihood(result.model) else statistics_sheet)(outcome, name)
        ],
        "gradients": lambda name: gradient_sheets(check(result.model), name, written=True)[0],
    }
    sheets: list[NewSheet] = []
    skipped: dict[str, str] = {}
    for kind, name in names.items():
        try:
            sheets += builders[kind](name)
        except ModelError as error:
            skipped[kind] = str(error)  # the answer is worth more than a report of it
    changes = Changes(workbook.package)
    rewritten = patch_cells(workbook, _edits(outcome, everything), changes)
    add_sheets(sheets, changes)
    if store_model or (store_model is None and not is_stored(workbook, problem)):
        keep_model(workbook, problem, changes, remembered or {}, forced=bool(store_model))
    elif remembered:
        remember(remembered, changes)
    recalculate_on_load(changes)
    if rewritten:
        _read_back(outcome, changes)
    changes.save(target)
    return Saved(
        target, rewritten, changes.changed, changes.added, before_after,
        outcome.recalculation.stale if rewritten else {},
        {kind: name for kind, name in names.items() if kind not in skipped}, skipped, found,
    )  # fmt: skip


def has_no_values(workbook: Workbook) -> bool:
    """Whether no formula of a workbook has a stored value: a program wrote it, not Excel."""
    formulas = 0
    for sheet in workbook.sheets:
        keys = np.array([key_of(cell.row, cell.column) for cell in sheet.formulas], dtype=np.int64)
        formulas += len(keys)
        if np.isin(keys, sheet.cells.keys).any():
            return False
    return formulas > 0


def fill_cached_values(path: str | Path) -> int:
    """Compute every formula of a workbook and store the values in it, as Excel would.

    For files of programs that write formulas alone. Returns the number of cells that changed.
    """
    workbook = load(path)
    changes = Changes(workbook.package)
    edits = recalculated_edits(recalculate(workbook, {}, everything=True))
    rewritten = patch_cells(workbook, edits, changes)
    changes.save(workbook.path)
    return sum(map(len, rewritten.values()))


def _edits(outcome: ReportContext, everything: bool) -> Edits:
    """The variable cells that training moved, and every cell that depends on them."""
    workbook, moved = outcome.workbook, False
    edits = recalculated_edits(outcome.recalculation)
    for area, numbers in trained_values(outcome.result).items():
        sheet = workbook.sheet(area.sheet)
        cells = sheet.cells.block(area.top, area.left, area.bottom, area.right)
        # A blank, a number of 0, stays blank where training did not move it.
        rows, columns = np.nonzero(cells.numbers != numbers)
        edits.put_numbers(area.sheet, rows + area.top, columns + area.left, numbers[rows, columns])
        formulas = formula_cells(workbook, area)
        for cell in formulas:
            number = float(numbers[cell.row - area.top, cell.column - area.left])
            edits.put(cell, CellEdit(number, cut=True))
        moved = moved or bool(len(rows)) or bool(formulas)
    # Else the same numbers, computed again, would differ in the last digit from Excel's.
    return edits if moved or everything else Edits()


def _read_back(outcome: ReportContext, changes: Changes) -> None:
    """See that the answer is where readers of the file look for it. Raises OutputError."""
    workbook, problem = outcome.workbook, outcome.problem
    wanted = dict(trained_values(outcome.result))
    if not problem.is_system:
        goal = np.full((1, 1), outcome.after(problem.objective), dtype=np.float64)
        wanted[single_cell(problem.objective)] = goal
    for name in {area.sheet for area in wanted}:
        areas = [area for area in wanted if area.sheet == name]
        rows = {row for area in areas for row in range(area.top, area.bottom + 1)}
        cells = read_again(workbook, name, changes.part(workbook.sheet(name).part), rows)
        for area in areas:
            held = cells.block(area.top, area.left, area.bottom, area.right).numbers
            if not np.allclose(held, wanted[area], rtol=_AGREEMENT, atol=0.0):
                raise OutputError(
                    f"nothing was written: {area} would not hold what was computed for it. "
                    f"Save {workbook.path.name} in Excel or LibreOffice first, and report this"
                )


def _check_agreement(result: Result, recalculation: Recalculation) -> None:
    """The module and the recalculated sheet have to agree on the objective."""
    value = recalculation.value(result.model.problem.objective)
    allowed = rounding(result.model, _AGREEMENT)
    if isinstance(value, float) and abs(value - result.final) <= allowed * max(1.0, abs(value)):
        return
    raise TrainingError(
        f"at the trained weights the objective {result.model.problem.objective} of the sheet is "
        f"{value}, but the compiled model says {result.final!r}: nothing was written. An error "
        "value here means that training left the range in which the sheet can be computed"
    )
