"""What a workbook's protection forbids: changing locked cells, adding sheets.

Excel asks no password of a program that writes files; whoever protected a sheet meant something by
it all the same. Cells are locked unless their format says otherwise (ECMA-376, 18.8.33).
"""

from __future__ import annotations

from collections.abc import Iterable

from xl2torch.address import CellRange, column_number
from xl2torch.workbook.package import Package, local, parse_xml
from xl2torch.workbook.reader import Workbook


def locked_ranges(workbook: Workbook, areas: Iterable[CellRange]) -> list[CellRange]:
    """Ranges that hold a locked cell of a protected sheet."""
    found = []
    unlocked: set[int] | None = None
    for area in areas:
        sheet = workbook.sheet(area.sheet)
        if not sheet.protected:
            continue
        if unlocked is None:
            unlocked = _unlocked_formats(workbook.package)
        formats = _formats(workbook.package.part(sheet.part), area)
        if any(formats.get((cell.row, cell.column), 0) not in unlocked for cell in area.cells()):
            found.append(area)
    return found


def has_locked_structure(workbook: Workbook) -> bool:
    """Whether sheets may not be added, moved or deleted."""
    main = workbook.package.related("", "officeDocument") or ""
    found = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal found
        if local(tag) == "workbookProtection":
            found = attributes.get("lockStructure") in ("1", "true")

    parse_xml(workbook.package.part(main), start=start, where=main)
    return found


def _formats(data: bytes, area: CellRange) -> dict[tuple[int, int], int]:
    """Index of the format of each cell of a range: its own, its row's or its column's."""
    columns: dict[int, int] = {}
    rows: dict[int, int] = {}
    cells: dict[tuple[int, int], int] = {}
    row = column = 0
    inside = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal row, column, inside
        kind = local(tag)
        if kind == "sheetData":
            inside = True
        elif kind == "col" and not inside and "style" in attributes:
            first, last = int(attributes["min"]), int(attributes["max"])
            for place in range(max(first, area.left), min(last, area.right) + 1):
                columns[place] = int(attributes["style"])
        elif not inside:
            return
        elif kind == "c":
            reference = attributes.get("r")
            column = column_number(reference.rstrip("0123456789")) if reference else column + 1
            if area.contains(CellRange(area.sheet, row, column, row, column)):
                cells[row, column] = int(attributes.get("s", 0))
        elif kind == "row":
            row, column = int(attributes.get("r", row + 1)), 0
            if attributes.get("customFormat") in ("1", "true"):
                rows[row] = int(attributes.get("s", 0))

    def end(tag: str) -> None:
        nonlocal inside
        inside = inside and local(tag) != "sheetData"

    parse_xml(data, start=start, end=end, where=f"sheet {area.sheet!r}")
    return {
        (cell.row, cell.column): cells.get(
            (cell.row, cell.column), rows.get(cell.row, columns.get(cell.column, 0))
        )
        for cell in area.cells()
    }


def _unlocked_formats(package: Package) -> set[int]:
    """Indices of the cell formats that are not locked."""
    main = package.related("", "officeDocument") or ""
    part = package.related(main, "styles")
    if part is None:
        return set()
    found: set[int] = set()
    index = -1
    inside = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal index, inside
        kind = local(tag)
        if kind == "cellXfs":
            inside = True
        elif inside and kind == "xf":
            index += 1
        elif inside and kind == "protection" and attributes.get("locked") in ("0", "false"):
            found.add(index)

    def end(tag: str) -> None:
        nonlocal inside
        inside = inside and local(tag) != "cellXfs"

    parse_xml(package.part(part), start=start, end=end, where=part)
    return found
