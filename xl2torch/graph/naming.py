"""Names from the sheet: a header, a label, a defined name; the address as a last resort."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator

from xl2torch.address import CellRange, parse_a1
from xl2torch.workbook.reader import Workbook

_REACH = 30
_JOINED = 6


def label(workbook: Workbook, area: CellRange) -> str:
    """Text that names a rectangle for people, '' when there is none.

    A defined name that means exactly these cells; else the nearest text above a column, or to the
    left of a row or a single cell; else the nearest in the other direction.
    """
    for name in workbook.names:
        if name.name.lower().startswith(("solver_", "_xlnm")):
            continue
        sheet, _, address = name.text.lstrip("=").rpartition("!")
        if sheet.strip("'").replace("''", "'").lower() != area.sheet.lower():
            continue
        if parse_a1(address, area.sheet) == area:
            return name.name
    cells = workbook.sheet(area.sheet).cells

    def first_text(places: Iterator[tuple[int, int]]) -> str:
        for row, column in places:
            value = cells.value(row, column)
            if isinstance(value, str) and value.strip():
                return " ".join(value.split())
        return ""

    above = ((row, area.left) for row in range(area.top - 1, max(area.top - _REACH, 0), -1))
    beside = ((area.top, column) for column in range(area.left - 1, max(area.left - _REACH, 0), -1))
    if area.rows > area.columns == 1 and area.rows <= _JOINED:
        # A few labelled cells below each other (m, b): all their labels.
        labels = [cells.value(row, area.left - 1) for row in range(area.top, area.bottom + 1)]
        if area.left > 1 and all(isinstance(text, str) and text.strip() for text in labels):
            return " ".join(str(text).strip() for text in labels)
    if area.rows > area.columns:
        return first_text(above) or first_text(beside)
    return first_text(beside) or first_text(above)


def solver_name(workbook: Workbook, area: CellRange) -> str:
    """Name of a cell in Solver's reports: nearest text to the left, then nearest text above."""
    cells = workbook.sheet(area.sheet).cells
    parts = []
    for places in (
        [(area.top, column) for column in range(area.left - 1, 0, -1)],
        [(row, area.left) for row in range(area.top - 1, 0, -1)],
    ):
        for row, column in places:
            value = cells.value(row, column)
            if isinstance(value, str) and value.strip():
                parts.append(" ".join(value.split()))
                break
    return " ".join(parts)


def identifier(text: str, area: CellRange) -> str:
    """A valid Python name from a label; from the address when the label has no letter."""
    plain = re.sub(r"\W+", "_", text.replace("²", "2"), flags=re.ASCII).strip("_").lower()
    if not re.search(r"[a-z]", plain) or len(plain) > 40:
        return area.a1.replace(":", "_").lower()
    if plain[0].isdigit():
        plain = "_" + plain
    return plain + "_" if keyword.iskeyword(plain) else plain


def unique(name: str, taken: set[str]) -> str:
    """The name, numbered when it is taken; adds it to ``taken``."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken.add(candidate)
    return candidate
