"""Patching cells in place: only the bytes that must change do.

Cells are found by their byte offset in the sheet's XML and rewritten alone; attributes, order,
whitespace and extensions around them stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from xl2torch.address import CellAddress, column_letters, column_number
from xl2torch.errors import OutputError
from xl2torch.values import CellValue
from xl2torch.workbook.calc_chain import drop_from_chain
from xl2torch.workbook.ooxml import (
    child_at,
    element_end,
    encoded,
    local,
    name_at,
    parse_xml,
    prefix_at,
    tag_end,
    without_attributes,
)
from xl2torch.workbook.package import Changes
from xl2torch.workbook.reader import Workbook
from xl2torch.workbook.sheet_reader import Sheet


@dataclass(frozen=True)
class CellEdit:
    """What becomes of one cell.

    ``cut``: its formula goes, the value stays alone. ``formula``: its formula is replaced by this
    text, over the range ``array`` where it is an array formula. ``stale``: the cached value is
    dropped, since it would be wrong.
    """

    value: CellValue = None
    cut: bool = False
    formula: str | None = None
    array: str | None = None
    stale: bool = False
    keep_value: bool = False


def patch_cells(
    workbook: Workbook, edits: Mapping[CellAddress, CellEdit], changes: Changes
) -> None:
    """Rewrite cells in their sheets. Formulas that shared a cut formula get their own text."""
    by_sheet: dict[str, dict[tuple[int, int], CellEdit]] = {}
    for cell, edit in edits.items():
        by_sheet.setdefault(cell.sheet, {})[cell.row, cell.column] = edit
    cut: list[CellAddress] = []
    for name, cells in by_sheet.items():
        sheet = workbook.sheet(name)
        removed = {place for place, edit in cells.items() if edit.cut and place in sheet.formula_at}
        cut += [CellAddress(sheet.name, *place) for place in removed]
        cells = {**cells, **_unshared(sheet, removed, cells)}
        changes.parts[sheet.part] = _patch_sheet(changes.part(sheet.part), cells, f"sheet {name!r}")
    if cut:
        drop_from_chain(cut, changes)


def _unshared(
    sheet: Sheet, removed: set[tuple[int, int]], edits: Mapping[tuple[int, int], CellEdit]
) -> dict[tuple[int, int], CellEdit]:
    """Own formulas for cells whose shared formula is stored in a cell that loses it."""
    result: dict[tuple[int, int], CellEdit] = {}
    for formula in sheet.formulas:
        place, base = (formula.row, formula.column), (formula.base_row, formula.base_column)
        if base == place or base not in removed or place in removed:
            continue
        known = edits.get(place)
        if known is None:
            result[place] = CellEdit(formula=formula.own_text, keep_value=True)
        else:
            result[place] = CellEdit(known.value, formula=formula.own_text, stale=known.stale)
    return result


# ---------------------------------------------------------------- cells in a sheet part


@dataclass
class _Row:
    """Number, byte offset, style of the row's own format, (column, offset) of wanted cells."""

    number: int
    start: int
    style: str
    cells: list[tuple[int, int]]


def _patch_sheet(data: bytes, edits: Mapping[tuple[int, int], CellEdit], where: str) -> bytes:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise OutputError(f"{where} is stored as UTF-16, which cannot be patched: save it in Excel")
    rows, sheet_data, styles = _offsets(data, {row for row, _ in edits}, where)
    replacements: list[tuple[int, int, bytes]] = []
    missing: dict[int, list[tuple[int, CellEdit]]] = {}
    by_number = {row.number: row for row in rows}
    for (row, column), edit in sorted(edits.items()):
        offset = dict(by_number[row].cells).get(column) if row in by_number else None
        if offset is None:
            missing.setdefault(row, []).append((column, edit))
        else:
            end = element_end(data, offset)
            replacements.append((offset, end, _rewritten(data[offset:end], edit)))
    prefix = prefix_at(data, sheet_data)
    for row, cells in missing.items():
        known = by_number.get(row)
        fresh = [
            (column, _fresh_cell(row, column, _inherited(known, column, styles), edit, prefix))
            for column, edit in cells
        ]
        replacements += _insertions(data, rows, known, row, fresh, sheet_data, prefix)
    return _replaced(data, replacements)


def _replaced(data: bytes, replacements: list[tuple[int, int, bytes]]) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for start, end, text in sorted(replacements, key=lambda item: (item[0], item[1])):
        pieces += [data[position:start], text]
        position = end
    return b"".join([*pieces, data[position:]])


def _offsets(
    data: bytes, wanted: set[int], where: str
) -> tuple[list[_Row], int, list[tuple[range, str]]]:
    """Rows with the cells of wanted ones, offset of the sheetData element, styles of columns."""
    rows: list[_Row] = []
    found = -1
    parsers: list[Any] = []
    column = number = 0
    inside = ""
    styles: list[tuple[range, str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal found, column, number, inside
        kind = local(tag)
        if kind == "sheetData":
            found, inside = parsers[0].CurrentByteIndex, tag
        elif kind == "col" and found < 0 and "style" in attributes:
            span = range(int(attributes["min"]), int(attributes["max"]) + 1)
            styles.append((span, attributes["style"]))
        elif not inside or tag.rpartition(" ")[0] != inside.rpartition(" ")[0]:
            return  # not a cell: <row> and <c> stand in anchors and charts too
        elif kind == "c":
            reference = attributes.get("r")
            column = column_number(reference.rstrip("0123456789")) if reference else column + 1
            if number in wanted:
                rows[-1].cells.append((column, parsers[0].CurrentByteIndex))
        elif kind == "row":
            number = int(attributes.get("r", number + 1))
            column = 0
            own = attributes.get("customFormat") in ("1", "true")
            style = attributes.get("s", "") if own else ""
            rows.append(_Row(number, parsers[0].CurrentByteIndex, style, []))

    def end(tag: str) -> None:
        nonlocal inside
        if tag == inside:
            inside = ""

    parse_xml(data, start=start, end=end, where=where, parser_out=parsers)
    return rows, found, styles


def _insertions(
    data: bytes, rows: list[_Row], row: _Row | None, number: int,
    fresh: list[tuple[int, bytes]], sheet_data: int, prefix: bytes,
) -> list[tuple[int, int, bytes]]:  # fmt: skip
    """Cells that the file does not have yet, each at its place in the row."""
    if row is not None:
        end = tag_end(data, row.start)
        if data[end - 2 : end] == b"/>":
            closing = b"</" + name_at(data, row.start) + b">"
            body = b">" + b"".join(text for _, text in fresh) + closing
            return [(end - 2, end, body)]
        close = data.rindex(b"</", 0, element_end(data, row.start))
        result = []
        for column, text in fresh:
            place = next((offset for other, offset in row.cells if other > column), close)
            result.append((place, place, text))
        return result
    text = b"".join(text for _, text in fresh)
    element = b'<%srow r="%d">%s</%srow>' % (prefix, number, text, prefix)
    following = next((other.start for other in rows if other.number > number), None)
    if following is not None:
        return [(following, following, element)]
    end = tag_end(data, sheet_data)
    if data[end - 2 : end] == b"/>":
        return [(end - 2, end, b">" + element + b"</" + name_at(data, sheet_data) + b">")]
    close = data.index(b"</" + name_at(data, sheet_data), end)
    return [(close, close, element)]


def _inherited(row: _Row | None, column: int, styles: list[tuple[range, str]]) -> str:
    """Style of a cell that is not stored: its row's, else its column's."""
    if row is not None and row.style:
        return row.style
    return next((style for span, style in styles if column in span), "")


def _fresh_cell(row: int, column: int, style: str, edit: CellEdit, prefix: bytes) -> bytes:
    shown = f' s="{style}"' if style else ""
    start = f'<{prefix.decode()}c r="{column_letters(column)}{row}"{shown}/>'.encode()
    return _rewritten(start, edit)


def _rewritten(cell: bytes, edit: CellEdit) -> bytes:
    """A cell element with its value, and perhaps its formula, replaced."""
    name = name_at(cell, 0)
    prefix = prefix_at(cell, 0)
    head_end = tag_end(cell, 0)
    empty = cell[head_end - 2 : head_end] == b"/>"
    head = cell[: head_end - (2 if empty else 1)]
    inner = b"" if empty else cell[head_end : cell.rindex(b"</")]
    formula = child_at(inner, prefix + b"f")
    value = child_at(inner, prefix + b"v") + child_at(inner, prefix + b"is")
    rest = inner
    for piece in (formula, child_at(inner, prefix + b"v"), child_at(inner, prefix + b"is")):
        rest = rest.replace(piece, b"", 1) if piece else rest
    if edit.cut:
        formula = b""
    elif edit.formula is not None:
        text = escape(edit.formula).encode("ascii", "xmlcharrefreplace")
        kind = f' t="array" ref="{edit.array}"'.encode() if edit.array else b""
        formula = b"<%sf%s>%s</%sf>" % (prefix, kind, text, prefix)
    if not edit.keep_value:
        kind, text = (b"", b"") if edit.stale else encoded(edit.value)
        head = without_attributes(head, b"t", b"vm", *((b"cm",) if edit.cut else ()))
        if kind:
            head += b' t="%s"' % kind
        value = b"<%sv>%s</%sv>" % (prefix, text, prefix) if text or kind else b""
    body = formula + value + rest
    if not body:
        return head + b"/>"
    return head + b">" + body + b"</" + name + b">"
