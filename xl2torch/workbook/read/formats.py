"""How the cells of a workbook are formatted: number formats, and whether they are locked."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from xl2torch.cells.address import CellAddress, column_number
from xl2torch.workbook.ooxml import local, parse_xml
from xl2torch.workbook.package import Package
from xl2torch.workbook.read.plain_rows import with_rows
from xl2torch.workbook.read.reader import Workbook

Place = tuple[int, int]


def number_formats(workbook: Workbook, cells: Iterable[CellAddress]) -> dict[CellAddress, int]:
    """Number format (numFmtId) of cells: General is 0."""
    by_sheet: dict[str, set[Place]] = {}
    wanted = list(cells)
    for cell in wanted:
        by_sheet.setdefault(cell.sheet, set()).add((cell.row, cell.column))
    formats = _cell_formats(workbook.package, "numFmtId")
    found: dict[CellAddress, int] = {}
    for name, places in by_sheet.items():
        part = workbook.sheet(name).part
        for place, index in format_indices(workbook.package.part(part), places, part).items():
            number = formats[index] if index < len(formats) else "0"
            found[CellAddress(name, *place)] = int(number) if number.isdecimal() else 0
    return {cell: found[cell] for cell in wanted}


def unlocked_formats(package: Package) -> set[int]:
    """Indices of the cell formats that are not locked (ECMA-376, 18.8.33)."""
    return {
        index
        for index, locked in enumerate(_cell_formats(package, "locked", "1"))
        if locked in ("0", "false")
    }


def format_indices(data: bytes, places: Collection[Place], where: str) -> dict[Place, int]:
    """Index of the format of cells of a sheet part: their own, their row's or their column's."""
    wanted = set(places)
    wanted_rows = {row for row, _ in wanted}
    columns: list[tuple[int, int, int]] = []
    rows: dict[int, int] = {}
    cells: dict[Place, int] = {}
    row = column = 0
    inside = here = False

    # A cell without an element has the format of its row where that has one, else its column's.
    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal row, column, inside, here
        if here and tag.endswith(" c"):
            reference = attributes.get("r")
            column = column_number(reference.rstrip("0123456789")) if reference else column + 1
            if (row, column) in wanted:
                cells[row, column] = int(attributes.get("s", 0))
            return
        kind = local(tag)
        if kind == "row" and inside:
            row, column = int(attributes.get("r", row + 1)), 0
            here = row in wanted_rows
            if attributes.get("customFormat") in ("1", "true"):
                rows[row] = int(attributes.get("s", 0))
        elif kind == "sheetData":
            inside = True
        elif kind == "col" and not inside and "style" in attributes:
            style = int(attributes["style"])
            columns.append((int(attributes["min"]), int(attributes["max"]), style))

    def end(tag: str) -> None:
        nonlocal inside, here
        if local(tag) == "sheetData":
            inside = here = False

    parse_xml(with_rows(data, wanted_rows), start=start, end=end, where=where)

    def inherited(place: Place) -> int:
        if place[0] in rows:
            return rows[place[0]]
        return next((s for first, last, s in columns if first <= place[1] <= last), 0)

    return {place: cells[place] if place in cells else inherited(place) for place in wanted}


def _cell_formats(package: Package, fact: str, default: str = "0") -> list[str]:
    """One attribute of every cell format, of the format itself or its protection."""
    part = package.related(package.main, "styles")
    if part is None:
        return []
    found: list[str] = []
    inside = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        kind = local(tag)
        if kind == "cellXfs":
            inside = True
        elif inside and kind == "xf":
            found.append(attributes.get(fact, default))
        elif inside and kind == "protection":
            found[-1] = attributes.get(fact, found[-1])

    def end(tag: str) -> None:
        nonlocal inside
        inside = inside and local(tag) != "cellXfs"

    parse_xml(package.part(part), start=start, end=end, where=part)
    return found
