"""Names from the sheet: a header, a label, a defined name; the address as a last resort."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import takewhile

from torch import fx

from xl2torch.cells.address import CellRange, parse_a1, single_cell, unquote_sheet
from xl2torch.ir.facts import facts
from xl2torch.ir.trace import DRAWING
from xl2torch.workbook.read.reader import Workbook

_REACH = 30
_TITLE_REACH = 4
_JOINED = 6


def label(workbook: Workbook, area: CellRange) -> str:
    """Text that names a rectangle for people, '' when there is none.

    A defined name that means exactly these cells; else the nearest text above a column, or to the
    left of a row or a single cell; else the nearest in the other direction. What stands beyond a
    gap and a number names something else.
    """
    for name in workbook.names:
        if name.name.lower().startswith(("solver_", "_xlnm")):
            continue
        sheet, _, address = name.text.lstrip("=").rpartition("!")
        if unquote_sheet(sheet).lower() != area.sheet.lower():
            continue
        if parse_a1(address, area.sheet) == area:
            return name.name
    cells = workbook.sheet(area.sheet).cells
    above = [(row, area.left) for row in range(area.top - 1, max(area.top - _REACH, 0), -1)]
    beside = [(area.top, column) for column in range(area.left - 1, max(area.left - _REACH, 0), -1)]
    if area.rows > area.columns == 1 and area.rows <= _JOINED:
        # A few labelled cells below each other (m, b): all their labels.
        labels = [cells.value(row, area.left - 1) for row in range(area.top, area.bottom + 1)]
        if area.left > 1 and all(isinstance(text, str) and text.strip() for text in labels):
            return " ".join(str(text).strip() for text in labels)
    near = (above, beside) if area.rows > area.columns else (beside, above)
    if area.columns > 1 and area.columns >= area.rows:
        # What stands to its left beyond other numbers names these, not the block.
        adjacent = _first_text(workbook, area, _until_number(workbook, area, beside))
        title = "" if adjacent else _title(workbook, area)
        if title:
            return title
        near = (beside, above)
    ways = [_same_block(workbook, area, places) for places in near]
    if area.size == 1:
        # Beyond numbers in its row stands a text that names the row of a table beside it.
        ways = [_until_number(workbook, area, beside), *reversed(ways)]
    return next(filter(None, (_first_text(workbook, area, way) for way in ways)), "")


def _same_block(
    workbook: Workbook, area: CellRange, places: Iterable[tuple[int, int]]
) -> Iterable[tuple[int, int]]:
    """Places up to the first number beyond a blank cell: what follows belongs to something else."""
    cells, gap = workbook.sheet(area.sheet).cells, False
    for place in places:
        value = cells.value(*place)
        if gap and isinstance(value, int | float):
            return
        gap = gap or value is None
        yield place


def _until_number(
    workbook: Workbook, area: CellRange, places: Iterable[tuple[int, int]]
) -> Iterable[tuple[int, int]]:
    """Places up to the first that holds a number."""
    cells = workbook.sheet(area.sheet).cells
    return takewhile(lambda place: not isinstance(cells.value(*place), int | float), places)


def _title(workbook: Workbook, area: CellRange) -> str:
    """The text above a row of headers, each of another column of a block; '' where none is."""
    cells = workbook.sheet(area.sheet).cells
    top = area.top - 1
    headers = (
        [cells.value(top, column) for column in range(area.left, area.right + 1)] if top else []
    )
    texts = {text for text in headers if isinstance(text, str) and text.strip()}
    if len(texts) < area.columns or area.columns < 2:
        return ""
    above = ((row, area.left) for row in range(top - 1, max(top - _TITLE_REACH, 0), -1))
    return _first_text(workbook, area, _until_number(workbook, area, above))


def header(workbook: Workbook, area: CellRange) -> str:
    """The nearest text above the first cell of a column, '' when there is none."""
    above = ((row, area.left) for row in range(area.top - 1, max(area.top - _REACH, 0), -1))
    return _first_text(workbook, area, above)


def solver_name(workbook: Workbook, area: CellRange) -> str:
    """Name of a cell in Solver's reports: nearest text to the left, then nearest text above."""
    parts = (_nearest_left(workbook, area), _nearest_above(workbook, area))
    return " ".join(filter(None, parts))


def _nearest_left(workbook: Workbook, area: CellRange) -> str:
    return workbook.sheet(area.sheet).cells.text_left_of(area.top, area.left)


def _nearest_above(workbook: Workbook, area: CellRange) -> str:
    return workbook.sheet(area.sheet).cells.text_above(area.top, area.left)


def _first_text(workbook: Workbook, area: CellRange, places: Iterable[tuple[int, int]]) -> str:
    cells = workbook.sheet(area.sheet).cells
    for row, column in places:
        value = cells.value(row, column)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())
    return ""


def solver_names(workbook: Workbook, area: CellRange) -> list[str]:
    """Solver's names of the cells of a range that holds no text, by rows."""
    corner = single_cell(area.first)
    beside = [_nearest_left(workbook, replace(corner, top=row, bottom=row))
              for row in range(area.top, area.bottom + 1)]  # fmt: skip
    above = [_nearest_above(workbook, replace(corner, left=column, right=column))
             for column in range(area.left, area.right + 1)]  # fmt: skip
    return [" ".join(filter(None, (left, top))) for left in beside for top in above]


def line_of(node: fx.Node) -> CellRange | None:
    """Cells of the line of the program that a node belongs to; None for the objective's own."""
    while facts(node).cells is None and node.users:
        node = next(iter(node.users))
    return facts(node).cells


RESERVED = frozenset(
    {
        "self", "forward", "training", "torch", "code", "graph", "meta", DRAWING, "inf", "nan",
        "device", "nonetype", "pytree", "fx_pytree", "math", "operator", "builtins",
    }
)  # fmt: skip
"""Names that programs use themselves: no label of a sheet becomes one."""


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
