"""What a workbook's protection forbids: changing locked cells, adding sheets.

Excel asks no password of a program that writes files; whoever protected a sheet meant something by
it all the same. Cells are locked unless their format says otherwise (ECMA-376, 18.8.33).
"""

from __future__ import annotations

from collections.abc import Iterable

from xl2torch.cells.address import CellRange
from xl2torch.workbook.ooxml import local, parse_xml
from xl2torch.workbook.read.formats import Place, format_indices, unlocked_formats
from xl2torch.workbook.read.reader import Workbook


def locked_ranges(workbook: Workbook, areas: Iterable[CellRange]) -> list[CellRange]:
    """Ranges that hold a locked cell of a protected sheet."""
    guarded = [area for area in areas if workbook.sheet(area.sheet).protected]
    if not guarded:
        return []
    unlocked = unlocked_formats(workbook.package)
    locked: dict[str, set[Place]] = {}
    for name in {area.sheet for area in guarded}:
        places = {
            (cell.row, cell.column)
            for area in guarded if area.sheet == name for cell in area.cells()
        }  # fmt: skip
        part = workbook.sheet(name).part
        indices = format_indices(workbook.package.part(part), places, part)
        locked[name] = {place for place, index in indices.items() if index not in unlocked}
    return [
        area for area in guarded
        if any((cell.row, cell.column) in locked[area.sheet] for cell in area.cells())
    ]  # fmt: skip


def has_locked_structure(workbook: Workbook) -> bool:
    """Whether sheets may not be added, moved or deleted."""
    main = workbook.package.main
    found = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal found
        if local(tag) == "workbookProtection":
            found = attributes.get("lockStructure") in ("1", "true")

    parse_xml(workbook.package.part(main), start=start, where=main)
    return found
