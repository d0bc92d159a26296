"""Saving a result: the user's own workbook, patched."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xl2torch.address import CellAddress, CellRange
from xl2torch.errors import OutputError, SelectionError, TrainingError
from xl2torch.recalculation import Recalculation, recalculate
from xl2torch.reports.training_sheet import training_sheet
from xl2torch.training.fit import Result
from xl2torch.values import CellValue
from xl2torch.workbook.cells import Floats
from xl2torch.workbook.package import lock_file, save_package
from xl2torch.workbook.protection import has_locked_structure, locked_ranges
from xl2torch.workbook.reader import Workbook, load
from xl2torch.workbook.selection import parse_cell
from xl2torch.workbook.writer import (
    CellEdit,
    Changes,
    add_sheets,
    free_sheet_name,
    patch_cells,
    recalculate_on_load,
)  # fmt: skip

_AGREEMENT = 1e-9


@dataclass(frozen=True)
class Saved:
    """What was written, and where."""

    path: Path
    changed_cells: int
    changed_parts: tuple[str, ...]
    added_parts: tuple[str, ...]
    before_after: tuple[tuple[CellAddress, CellValue, CellValue], ...]
    stale: Mapping[CellAddress, str]


def default_output(path: Path) -> Path:
    """``BOOK-trained`` with the input's suffix, beside the input."""
    return path.with_name(f"{path.stem}-trained{path.suffix}")


def check_output(
    source: Path, target: Path, force: bool = False, in_place: bool = False,
    advice: str = "give --in-place to overwrite it",
) -> None:  # fmt: skip
    """Find out before the work whether the result can be written.

    ``advice`` is given where the target is the source itself.

    Raises OutputError (exists, folder missing or read-only, open elsewhere) or SelectionError
    (another file type).
    """
    if target.suffix.lower() != source.suffix.lower():
        raise SelectionError(
            f"the output {target.name} has to end in {source.suffix}, as the input does: "
            "the file type does not change"
        )
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"the output folder {folder} does not exist")
    if target.is_dir():
        raise OutputError(f"the output {target} is a folder")
    if target.exists() and source.exists() and target.samefile(source) and not in_place:
        raise OutputError(f"{target} is the input itself: {advice}")
    if target.exists() and not force and not in_place:
        raise OutputError(f"{target} exists already: give --force to overwrite it, or another -o")
    lock = lock_file(target)
    if lock is not None:
        raise OutputError(f"{target.name} is open in another program ({lock.name}): close it there")
    blocked = target if target.exists() and not os.access(target, os.W_OK) else folder
    if not os.access(blocked, os.W_OK) or not _writable(folder):
        raise OutputError(f"cannot write {target}: {blocked} is read-only")


def check_protection(
    workbook: Workbook, areas: Sequence[CellRange] = (), ignore: bool = False
) -> None:
    """Find out whether protection allows to change some ranges and to add a sheet.

    A digital signature cannot be ignored: it would be wrong afterwards. Raises OutputError.
    """
    if workbook.package.is_signed:
        raise OutputError(
            f"{workbook.path.name} is digitally signed, and any change breaks the signature: "
            "remove it in Excel (File, Info, View Signatures), or work on an unsigned copy"
        )
    if ignore:
        return
    locked = locked_ranges(workbook, areas)
    if locked:
        names = ", ".join(str(area) for area in locked)
        raise OutputError(
            f"the cells {names} are locked, and their sheet is protected: unprotect the sheet in "
            "Excel (Review, Unprotect Sheet), or give --ignore-protection"
        )
    if has_locked_structure(workbook):
        raise OutputError(
            f"the structure of {workbook.path.name} is protected, so that no sheet may be added: "
            "unprotect it in Excel (Review, Protect Workbook), or give --ignore-protection"
        )


def _writable(folder: Path) -> bool:
    probe = folder / f".xl2torch-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def trained_values(result: Result) -> dict[CellRange, Floats]:
    """Numbers of every variable range, in the range's shape."""
    return {
        variable.cells: result.weights[variable.name].numpy().reshape(
            variable.cells.rows, variable.cells.columns
        )
        for variable in result.model.variables
    }  # fmt: skip


def save(
    result: Result,
    path: str | Path,
    *,
    force: bool = False,
    in_place: bool = False,
    cells: Sequence[CellAddress | str] = (),
    ignore_protection: bool = False,
) -> Saved:
    """Write the trained workbook: weights, recalculated values, and a Training sheet.

    ``cells`` are shown before and after, besides the objective and the watched ones. Everything
    that did not have to change is byte for byte the input's. ``force`` overwrites another file,
    ``in_place`` the input itself; ``ignore_protection`` changes locked cells too. Raises
    OutputError.
    """
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    workbook = result.model.compiled.workbook
    check_output(workbook.path, target, force, in_place)
    check_protection(workbook, result.model.problem.variables, ignore_protection)
    recalculation = recalculate(workbook, trained_values(result))
    _check_agreement(result, recalculation)
    problem = result.model.problem
    more = [
        parse_cell(workbook, cell, problem.sheet) if isinstance(cell, str) else cell
        for cell in cells
    ]
    shown = dict.fromkeys([problem.objective, *result.watched, *more])
    before = _stored_values(workbook, list(shown))
    before_after = tuple((cell, before[cell], recalculation.value(cell)) for cell in shown)
    changes = Changes()
    edits = _edits(workbook, result, recalculation)
    patch_cells(workbook, edits, changes)
    name = free_sheet_name(workbook, "Training")
    added = add_sheets(workbook, [training_sheet(result, name, before_after)], changes)
    recalculate_on_load(workbook.package, changes)
    save_package(workbook.package, changes.parts, changes.removed, target)
    changed = tuple(sorted((set(changes.parts) - set(added)) | changes.removed))
    return Saved(
        target, len(edits), changed, tuple(sorted(added)), before_after, recalculation.stale
    )


def fill_cached_values(path: str | Path) -> int:
    """Compute every formula of a workbook and store the values in it, as Excel would.

    For files of programs that write formulas alone. Returns the number of cells that changed.
    """
    workbook = load(path)
    recalculation = recalculate(workbook, {}, everything=True)
    changes = Changes()
    edits = {cell: CellEdit(value) for cell, value in recalculation.changed.items()}
    patch_cells(workbook, edits, changes)
    save_package(workbook.package, changes.parts, changes.removed, workbook.path)
    return len(edits)


def _stored_values(
    workbook: Workbook, cells: Sequence[CellAddress]
) -> dict[CellAddress, CellValue]:
    """Values before training: the file's, recomputed where the file has none."""
    values = {cell: workbook.sheet(cell.sheet).cells.value(cell.row, cell.column) for cell in cells}
    if any(value is None for value in values.values()):
        untouched = recalculate(workbook, {})
        values = {
            cell: untouched.value(cell) if value is None else value
            for cell, value in values.items()
        }
    return values


def _edits(
    workbook: Workbook, result: Result, recalculation: Recalculation
) -> dict[CellAddress, CellEdit]:
    edits: dict[CellAddress, CellEdit] = {}
    for area, numbers in trained_values(result).items():
        sheet = workbook.sheet(area.sheet)
        for cell, number in zip(area.cells(), numbers.reshape(-1).tolist(), strict=True):
            has_formula = (cell.row, cell.column) in sheet.formula_at
            before = sheet.cells.value(cell.row, cell.column)
            untouched = before is None and number == 0  # a blank that training did not move
            if has_formula or (before != number and not untouched):
                edits[cell] = CellEdit(number, cut=True)
    for cell, value in recalculation.changed.items():
        edits[cell] = CellEdit(value)
    for cell in recalculation.stale:
        edits[cell] = CellEdit(stale=True)
    return edits


def _check_agreement(result: Result, recalculation: Recalculation) -> None:
    """The module and the recalculated sheet have to agree on the objective."""
    value = recalculation.value(result.model.problem.objective)
    if isinstance(value, float) and abs(value - result.final) <= _AGREEMENT * max(1.0, abs(value)):
        return
    raise TrainingError(
        f"at the trained weights the objective {result.model.problem.objective} of the sheet is "
        f"{value}, but the compiled model says {result.final!r}: nothing was written. An error "
        "value here means that training left the range in which the sheet can be computed"
    )
