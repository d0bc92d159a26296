"""Whether a result can be written: found out before the work."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from xl2torch.cells.address import CellRange
from xl2torch.errors import OutputError, SelectionError
from xl2torch.safety.output_file import can_write_into, is_special
from xl2torch.workbook.package import lock_file
from xl2torch.workbook.read.protection import has_locked_structure, locked_ranges
from xl2torch.workbook.read.reader import Workbook


def default_output(path: Path) -> Path:
    """``BOOK-trained`` with the input's suffix, beside the input."""
    return path.with_name(f"{path.stem}-trained{path.suffix}")


def check_output(
    source: Path, target: Path, force: bool = False, in_place: bool = False,
    advice: str = "give `in_place` to overwrite it",
) -> None:  # fmt: skip
    """Find out before the work whether the result can be written.

    ``advice`` is given where the target is the source itself.

    Raises OutputError (exists, folder missing or read-only, open elsewhere) or SelectionError
    (another file type).
    """
    if source.suffix.lower() not in (".xlsx", ".xlsm", ".xltx", ".xltm"):
        raise SelectionError(
            f"{source.name} has to end in .xlsx or .xlsm: Excel does not open a result that is "
            "named otherwise"
        )
    if target.suffix.lower() != source.suffix.lower():
        raise SelectionError(
            f"the output {target.name} has to end in {source.suffix}, as the input does: "
            "the file type does not change"
        )
    check_place(target, force or in_place, [] if in_place else [source], advice)


def check_place(
    target: Path, replaces: bool = False, inputs: Collection[Path] = (),
    advice: str = "give another name",
) -> None:  # fmt: skip
    """Find out whether a file can be written, in the place of another where it ``replaces`` one.

    It is never put in the place of ``inputs``; ``advice`` is given where that was meant.

    Raises OutputError (exists, is an input or no regular file, folder missing or read-only, open
    elsewhere).
    """
    try:
        _check_place(target, replaces, inputs, advice)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}") from None


def _check_place(target: Path, replaces: bool, inputs: Collection[Path], advice: str) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise OutputError(f"the output folder {folder} does not exist")
    if target.is_dir():
        raise OutputError(f"the output {target} is a folder")
    if is_special(target):
        raise OutputError(f"{target} is no regular file: give another name")
    if any(target.exists() and item.exists() and target.samefile(item) for item in inputs):
        raise OutputError(f"{target} is the input itself: {advice}")
    if target.exists() and not replaces:
        raise OutputError(f"{target} exists already: give `force` to overwrite it, or another name")
    lock = lock_file(target)
    if lock is not None:
        raise OutputError(f"{target.name} is open in another program ({lock.name}): close it there")
    blocked = target if target.exists() and not os.access(target, os.W_OK) else folder
    if not os.access(blocked, os.W_OK) or not can_write_into(folder):
        raise OutputError(f"cannot write {target}: {blocked} is read-only")


def check_protection(
    workbook: Workbook,
    areas: Sequence[CellRange] = (),
    ignore: bool = False,
    adds_sheet: bool = True,
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
            "Excel (Review, Unprotect Sheet), or give `ignore_protection`"
        )
    if adds_sheet and has_locked_structure(workbook):
        raise OutputError(
            f"the structure of {workbook.path.name} is protected, so that no sheet may be added: "
            "unprotect it in Excel (Review, Protect Workbook), or give `ignore_protection`"
        )
