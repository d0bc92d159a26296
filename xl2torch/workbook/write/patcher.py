"""Patching cells in place: only the bytes that must change do.

One pass over a sheet's XML copies what stands between the cells and rewrites cells on the way;
attributes, order, whitespace and extensions around them stay as they are. Numbers that change are
kept as arrays, so that memory grows with the part, not with Python objects for cells.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from xl2torch.cells.address import MAX_COLUMN, CellAddress, column_letters, column_number
from xl2torch.cells.values import CellValue
from xl2torch.errors import OutputError
from xl2torch.workbook.ooxml import (
    ascii_bytes,
    element_end,
    encoded,
    local,
    name_at,
    number_text,
    parse_xml,
    prefix_at,
    tag_end,
    without_attributes,
)
from xl2torch.workbook.package import Changes
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.sheet_reader import Sheet
from xl2torch.workbook.write.calc_chain import drop_from_chain

Keys = NDArray[np.int64]
"""Places of cells in their order in a sheet: row · _WIDTH + column."""
_WIDTH = MAX_COLUMN + 1
_NONE_LEFT = 2**62


@dataclass(frozen=True, slots=True)
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


class Edits:
    """Edits of many cells, by sheet. Of two edits of a cell one by ``put`` counts."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[tuple[Keys, NDArray[np.float64]]]] = {}
        self._others: dict[str, dict[int, CellEdit]] = {}

    def put(self, cell: CellAddress, edit: CellEdit) -> None:
        """An edit of any kind."""
        self._others.setdefault(cell.sheet, {})[cell.row * _WIDTH + cell.column] = edit

    def put_numbers(
        self, sheet: str, rows: NDArray[np.int64], columns: NDArray[np.int64],
        numbers: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """New numbers of many cells; their formulas stay."""
        self._numbers.setdefault(sheet, []).append((rows * _WIDTH + columns, numbers))

    def by_sheet(self) -> dict[str, _SheetEdits]:
        """The edits of each sheet."""
        names = dict.fromkeys([*self._numbers, *self._others])
        return {name: self._of(name) for name in names}

    def _of(self, name: str) -> _SheetEdits:
        others = self._others.get(name, {})
        pieces = [
            *self._numbers.get(name, []),
            (np.fromiter(others, np.int64, len(others)), np.zeros(len(others))),
        ]
        keys = np.concatenate([keys for keys, _ in pieces])
        numbers = np.concatenate([numbers for _, numbers in pieces])
        keys, first = np.unique(keys, return_index=True)
        return _SheetEdits(keys, numbers[first], others)


@dataclass(frozen=True)
class _SheetEdits:
    """Edits of one sheet in the order of its cells; ``others`` are more than a number, by key."""

    keys: Keys
    numbers: NDArray[np.float64]
    others: Mapping[int, CellEdit]

    def at(self, index: int, key: int) -> CellEdit:
        edit = self.others.get(key)
        return CellEdit(float(self.numbers[index])) if edit is None else edit

    def with_others(self, more: Mapping[int, CellEdit]) -> _SheetEdits:
        keys = np.union1d(self.keys, np.fromiter(more, np.int64, len(more)))
        numbers = np.zeros(len(keys))
        numbers[np.searchsorted(keys, self.keys)] = self.numbers
        return _SheetEdits(keys, numbers, {**self.others, **more})


def cells_at(sheet: str, keys: Keys) -> list[CellAddress]:
    """The cells with some keys."""
    rows, columns = np.divmod(keys, _WIDTH)
    return [
        CellAddress(sheet, row, column)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    ]


def patch_cells(workbook: Workbook, edits: Edits, changes: Changes) -> dict[str, Keys]:
    """Rewrite cells in their sheets; returns the keys of those that were rewritten, by sheet.

    Formulas that shared a cut formula get their own text: these are more than the edits.
    """
    cut: list[CellAddress] = []
    rewritten: dict[str, Keys] = {}
    for name, wanted in edits.by_sheet().items():
        sheet = workbook.sheet(name)
        removed = {
            (key // _WIDTH, key % _WIDTH) for key, edit in wanted.others.items() if edit.cut
        }  # fmt: skip
        removed &= sheet.formula_at.keys() if removed else set()
        cut += [CellAddress(sheet.name, *place) for place in removed]
        if removed:
            wanted = wanted.with_others(_unshared(sheet, removed, wanted))
        rewritten[sheet.name] = wanted.keys
        changes.parts[sheet.part] = _patched(changes.part(sheet.part), wanted, f"sheet {name!r}")
    if cut:
        drop_from_chain(cut, changes)
    return rewritten


def _unshared(
    sheet: Sheet, removed: set[tuple[int, int]], edits: _SheetEdits
) -> dict[int, CellEdit]:
    """Own formulas for cells whose shared formula is stored in a cell that loses it."""
    result: dict[int, CellEdit] = {}
    for formula in sheet.formulas:
        place, base = (formula.row, formula.column), (formula.base_row, formula.base_column)
        if base == place or base not in removed or place in removed:
            continue
        key = place[0] * _WIDTH + place[1]
        index = int(np.searchsorted(edits.keys, key))
        if index < len(edits.keys) and edits.keys[index] == key:
            known = edits.at(index, key)
            result[key] = CellEdit(known.value, formula=formula.own_text, stale=known.stale)
        else:
            result[key] = CellEdit(formula=formula.own_text, keep_value=True)
    return result


# ---------------------------------------------------------------- cells in a sheet part


def _patched(data: bytes, edits: _SheetEdits, where: str) -> bytes:
    """A sheet part with its cells rewritten, and cells that it does not have put in."""
    writer = _SheetWriter(data, edits)
    parsers: list[Any] = []
    styles: list[tuple[range, str]] = []
    sheet_data = row_tag = cell_tag = ""
    row = column = 0
    row_style = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal sheet_data, row_tag, cell_tag, row, column, row_style
        if tag == cell_tag:
            reference = attributes.get("r")
            column = column_number(reference.rstrip("0123456789")) if reference else column + 1
            key = row * _WIDTH + column
            if writer.next <= key:
                at = parsers[0].CurrentByteIndex
                writer.insert_cells(key, at, row_style, styles)
                if writer.next == key:
                    writer.rewrite(at)
        elif tag == row_tag:
            row, column = int(attributes.get("r", row + 1)), 0
            own = attributes.get("customFormat") in ("1", "true")
            row_style = attributes.get("s", "") if own else ""
            if writer.next < (row + 1) * _WIDTH:
                writer.open_row(row, parsers[0].CurrentByteIndex, styles)
        elif not sheet_data and local(tag) == "sheetData":
            sheet_data = tag
            namespace = tag.removesuffix("sheetData")
            row_tag, cell_tag = namespace + "row", namespace + "c"
            writer.open_sheet_data(parsers[0].CurrentByteIndex)
        elif not sheet_data and local(tag) == "col" and "style" in attributes:
            span = range(int(attributes["min"]), int(attributes["max"]) + 1)
            styles.append((span, attributes["style"]))

    def end(tag: str) -> None:
        nonlocal row_tag, cell_tag
        if tag == row_tag:
            if writer.next < (row + 1) * _WIDTH:
                writer.close_row(row, parsers[0].CurrentByteIndex, row_style, styles)
        elif tag == sheet_data:
            writer.close_sheet_data(parsers[0].CurrentByteIndex, styles)
            row_tag = cell_tag = " "  # <row> and <c> stand in anchors and charts too

    parse_xml(data, start=start, end=end, where=where, parser_out=parsers)
    return writer.finished()


class _SheetWriter:
    """The new part as it grows. ``next`` is the key of the next edit that is not made yet."""

    def __init__(self, data: bytes, edits: _SheetEdits) -> None:
        self.data = data
        self.edits = edits
        self.out = BytesIO()
        self.position = 0
        self.prefix = b""
        self.sheet_data = self.row = 0
        self.index = -1
        self.next = 0
        self._advance()

    def _advance(self) -> None:
        self.index += 1
        left = self.index < len(self.edits.keys)
        self.next = int(self.edits.keys[self.index]) if left else _NONE_LEFT

    def _copy_to(self, offset: int) -> None:
        self.out.write(memoryview(self.data)[self.position : offset])
        self.position = offset

    def rewrite(self, at: int) -> None:
        """Rewrite the cell that begins at an offset: it is the next edit's."""
        if self.next not in self.edits.others:
            plain, number = _PLAIN.match(self.data, at), float(self.edits.numbers[self.index])
            if plain is not None and math.isfinite(number):
                self._copy_to(plain.start(3))
                self.out.write(number_text(number).encode())
                self.position = plain.end(3)
                self._advance()
                return
        try:
            end = element_end(self.data, at)
            if _HIDDEN.search(self.data, at, end):
                raise ValueError
        except ValueError:
            row, column = divmod(self.next, _WIDTH)
            raise OutputError(
                f"the cell {column_letters(column)}{row} is written with a comment or CDATA that "
                "holds tags: save the workbook in Excel or LibreOffice first"
            ) from None
        self._copy_to(at)
        self.out.write(_rewritten(self.data[at:end], self.edits.at(self.index, self.next)))
        self.position = end
        self._advance()

    def insert_cells(
        self, before: int, at: int, row_style: str, styles: Sequence[tuple[range, str]]
    ) -> None:
        """Put in the cells before a key that the row does not have."""
        if self.next < before:
            self._copy_to(at)
            self.out.write(self._fresh_cells(before, row_style, styles))

    def open_sheet_data(self, at: int) -> None:
        """Note where the rows begin."""
        self.sheet_data, self.prefix = at, prefix_at(self.data, at)

    def open_row(self, row: int, at: int, styles: Sequence[tuple[range, str]]) -> None:
        """Put in the rows that are missing before a row."""
        self.row = at
        if self.next < row * _WIDTH:
            self._copy_to(at)
            self.out.write(self._fresh_rows(row * _WIDTH, styles))

    def close_row(
        self, row: int, at: int, row_style: str, styles: Sequence[tuple[range, str]]
    ) -> None:
        """Put in the cells that are missing at the end of a row."""
        self._close(self.row, at, self._fresh_cells((row + 1) * _WIDTH, row_style, styles))

    def close_sheet_data(self, at: int, styles: Sequence[tuple[range, str]]) -> None:
        """Put in the rows that are missing at the end."""
        if self.next < _NONE_LEFT:
            self._close(self.sheet_data, at, self._fresh_rows(_NONE_LEFT, styles))

    def _close(self, start: int, at: int, content: bytes) -> None:
        """Content before the end of an element that starts at an offset, even of an empty one."""
        head = tag_end(self.data, start)
        if self.data[head - 2 : head] == b"/>":
            self._copy_to(head - 2)
            self.out.write(b">" + content + b"</" + name_at(self.data, start) + b">")
            self.position = head
        else:
            self._copy_to(at)
            self.out.write(content)

    def _fresh_cells(
        self, before: int, row_style: str, styles: Sequence[tuple[range, str]]
    ) -> bytes:
        cells = []
        while self.next < before:
            row, column = divmod(self.next, _WIDTH)
            # The style of a cell that is not stored is its row's, else its column's.
            style = row_style or next((style for span, style in styles if column in span), "")
            shown = f' s="{style}"' if style else ""
            place = f"{column_letters(column)}{row}"
            start = f'<{self.prefix.decode()}c r="{place}"{shown}/>'
            cells.append(_rewritten(start.encode(), self.edits.at(self.index, self.next)))
            self._advance()
        return b"".join(cells)

    def _fresh_rows(self, before: int, styles: Sequence[tuple[range, str]]) -> bytes:
        rows = []
        while self.next < before:
            row = self.next // _WIDTH
            cells = self._fresh_cells((row + 1) * _WIDTH, "", styles)
            rows.append(b'<%srow r="%d">%s</%srow>' % (self.prefix, row, cells, self.prefix))
        return b"".join(rows)

    def finished(self) -> bytes:
        """The part."""
        self._copy_to(len(self.data))
        return self.out.getvalue()


_HIDDEN = re.compile(rb"<!--|<!\[CDATA\[[^\]]*<")
# A cell that holds a number, which is nearly all that changes: its formula, if any, and <v>.
_PLAIN = re.compile(
    rb"<((?:[\w.-]+:)?)c(?:\s+(?!(?:t|vm)\s*=)[\w:.-]+=\"[^\"]*\")*>"
    rb"(<\1f(?:\s[^>]*)?(?:/>|>[^<]*</\1f>))?<\1v>([^<]+)</\1v></\1c>"
)


def _rewritten(cell: bytes, edit: CellEdit) -> bytes:
    """A cell element with its value, and perhaps its formula, replaced."""
    name = name_at(cell, 0)
    prefix = name[:-1]
    head_end = tag_end(cell, 0)
    empty = cell[head_end - 2 : head_end] == b"/>"
    head = cell[: head_end - (2 if empty else 1)]
    inner = b"" if empty else cell[head_end : cell.rindex(b"</")]
    found: dict[bytes, bytes] = {}
    for match in _content(prefix).finditer(inner):
        found.setdefault(match[1], match[0])
    formula = found.get(prefix + b"f", b"")
    value = found.get(prefix + b"v", b"") + found.get(prefix + b"is", b"")
    rest = inner
    for piece in found.values():
        rest = rest.replace(piece, b"", 1)
    if edit.cut:
        formula = b""
    elif edit.formula is not None:
        text = ascii_bytes(escape(edit.formula))
        kind = f' t="array" ref="{edit.array}"'.encode() if edit.array else b""
        formula = b"<%sf%s>%s</%sf>" % (prefix, kind, text, prefix)
    if not edit.keep_value:
        kind, text = (b"", b"") if edit.stale else encoded(edit.value)
        head = without_attributes(head, b"t", b"vm", *((b"cm",) if edit.cut else ()))
        if kind:
            head += b' t="%s"' % kind
        kept = b' xml:space="preserve"' if text != text.strip() else b""
        value = b"<%sv%s>%s</%sv>" % (prefix, kept, text, prefix) if text or kind else b""
    body = formula + value + rest
    if not body:
        return head + b"/>"
    return head + b">" + body + b"</" + name + b">"


@cache
def _content(prefix: bytes) -> re.Pattern[bytes]:
    """Formula, value and inline string of a cell."""
    names = b"|".join(re.escape(prefix + name) for name in (b"f", b"v", b"is"))
    tag = rb"<(%s)(?=[\s/>])(?:[^>\"']|\"[^\"]*\"|'[^']*')*?" % names
    return re.compile(tag + rb"(?:/>|>.*?</\1\s*>)", re.DOTALL)
