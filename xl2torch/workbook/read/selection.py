"""Ranges as people name them: ``B5:E7``, ``'My sheet'!$B$5``, ``lr``, several by comma."""

from __future__ import annotations

import re

from xl2torch.cells.address import CellAddress, CellRange, parse_a1, unquote_sheet
from xl2torch.errors import SelectionError
from xl2torch.safety.plain_text import meant
from xl2torch.workbook.read.labels import cells_of_label, label_key, labels
from xl2torch.workbook.read.reader import Workbook

_MOST_NAMED = 6
_PIECE = re.compile(r"\s*(?:(?P<sheet>'(?:[^']|'')*'|[^'!,;]+)!)?(?P<area>[^!,;]+?)\s*(?:[,;]|$)")
_TABLE_COLUMN = re.compile(r"(?P<table>[^\[\]]+)\[(?P<column>[^\[\]]*)\]")


def parse_ranges(workbook: Workbook, text: str, sheet: str) -> list[CellRange]:
    """Ranges of a comma-separated list; an address without a sheet is on ``sheet``.

    Raises SelectionError when a piece is neither an address nor a defined name of a range.
    """
    text = text.strip().removeprefix("=")
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    ranges: list[CellRange] = []
    position = 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None:
            raise SelectionError(f"{text!r} is not a cell, a range or a defined name")
        ranges += _piece(workbook, match["sheet"], match["area"], sheet)
        position = match.end()
    if not ranges:
        raise SelectionError("an empty range was given")
    return ranges


def parse_cell(workbook: Workbook, text: str, sheet: str) -> CellAddress:
    """One cell. Raises SelectionError when the text names none, or several."""
    ranges = parse_ranges(workbook, text, sheet)
    if len(ranges) != 1 or ranges[0].size != 1:
        remedy = f": put =SUM({ranges[0].a1}), or what is meant, into one" * (len(ranges) == 1)
        raise SelectionError(f"{text!r} is not a single cell{remedy}")
    return ranges[0].first


def _piece(workbook: Workbook, prefix: str | None, area: str, sheet: str) -> list[CellRange]:
    if prefix:
        sheet = workbook.sheet(unquote_sheet(prefix.strip())).name
    found = parse_a1(area, sheet)
    if found is not None:
        return [found]
    name = workbook.defined_name(area, sheet)
    if name is not None:
        try:
            return parse_ranges(workbook, name.text, name.sheet or sheet)
        except RecursionError:
            raise SelectionError(f"the name {area} refers to itself") from None
    column = _TABLE_COLUMN.fullmatch(area)
    table = workbook.table(column["table"] if column else area)
    if table is not None:
        top, bottom = table.range.top + table.header_rows, table.range.bottom - table.totals_rows
        left, right = table.range.left, table.range.right
        if column:
            names = [name.lower() for name in table.columns]
            if column["column"].lower() not in names:
                raise SelectionError(f"table {table.name} has no column {column['column']!r}")
            left = right = left + names.index(column["column"].lower())
        return [CellRange(table.range.sheet, top, left, bottom, right)]
    labelled = cells_of_label(workbook, area, sheet)
    if len(labelled) > 1:
        places = ", ".join(str(place) for place in labelled[:_MOST_NAMED])
        raise SelectionError(f"{area!r} stands beside several cells: say which, {places}")
    if labelled:
        return labelled
    raise SelectionError(_unknown(workbook, area))


def _unknown(workbook: Workbook, area: str) -> str:
    """That a text names no cells, with the name that may have been meant."""
    text = f"{area!r} is not a cell, a range, a defined name or a label of {workbook.path.name}"
    if parse_a1(area.replace(" ", ""), "S") is not None:
        return f"{text}: leave out the spaces"
    known = labels(workbook)
    if label_key(area) in map(label_key, known):
        return f"{area!r} is not a cell but a label, and no number follows it in its row or column"
    names = [name.name for name in workbook.names if not name.name.startswith(("_", "solver_"))]
    return text + meant(area, [*known, *names])
