"""Patching a workbook's parts in place: only the bytes that must change do.

Cells are found by their byte offset in the sheet's XML and rewritten alone; attributes, order,
whitespace and extensions around them stay as they are.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from xl2torch.address import CellAddress, column_letters, column_number, moved
from xl2torch.errors import OutputError
from xl2torch.values import CellValue, ErrorValue
from xl2torch.workbook.package import (
    MAIN,
    PACKAGE_RELATIONSHIPS,
    RELATIONSHIPS,
    STRICT,
    Package,
    local,
    parse_xml,
    relationships_part,
)  # fmt: skip
from xl2torch.workbook.reader import Sheet, Workbook

_CONTENT_TYPES = "[Content_Types].xml"
_SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml."
_SCIENTIFIC = 11  # the built-in number format 0.00E+00
_CALC_AFTER = ("definedNames", "externalReferences", "functionGroups", "sheets")


@dataclass(frozen=True)
class CellEdit:
    """What becomes of one cell.

    ``cut``: its formula goes, the value stays alone. ``formula``: its formula is replaced by this
    text. ``stale``: the cached value is dropped, since it would be wrong.
    """

    value: CellValue = None
    cut: bool = False
    formula: str | None = None
    stale: bool = False
    keep_value: bool = False


@dataclass(frozen=True)
class StyledValue:
    """A cell of a new sheet.

    Styles are title, header, key, text, number, scientific, note, verdict, alert. ``value`` is
    never taken for a formula; ``formula`` is one (without its ``=``), with ``value`` as its cached
    value. ``array`` is the range of an array formula, ``B9:E9``.
    """

    value: CellValue
    style: str = "text"
    formula: str | None = None
    array: str | None = None


@dataclass(frozen=True)
class NewSheet:
    """A sheet to be added last."""

    name: str
    rows: Sequence[Sequence[StyledValue | None]]
    widths: Sequence[float]
    chart: bytes | None = None
    chart_anchor: tuple[int, int] = (0, 5)


@dataclass
class Changes:
    """Parts that differ from the package's, and parts that are dropped."""

    parts: dict[str, bytes] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)


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
        data = changes.parts.get(sheet.part, workbook.package.part(sheet.part))
        changes.parts[sheet.part] = _patch_sheet(data, cells, f"sheet {name!r}")
    if cut:
        _patch_calc_chain(workbook, cut, changes)


def _unshared(
    sheet: Sheet, removed: set[tuple[int, int]], edits: Mapping[tuple[int, int], CellEdit]
) -> dict[tuple[int, int], CellEdit]:
    """Own formulas for cells whose shared formula is stored in a cell that loses it."""
    result: dict[tuple[int, int], CellEdit] = {}
    for formula in sheet.formulas:
        place, base = (formula.row, formula.column), (formula.base_row, formula.base_column)
        if base == place or base not in removed or place in removed:
            continue
        text = moved(formula.text, place[0] - base[0], place[1] - base[1])
        known = edits.get(place)
        if known is None:
            result[place] = CellEdit(formula=text, keep_value=True)
        else:
            result[place] = CellEdit(known.value, formula=text, stale=known.stale)
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
            end = _element_end(data, offset)
            replacements.append((offset, end, _rewritten(data[offset:end], edit)))
    prefix = _prefix(data, sheet_data)
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


def _tag_end(data: bytes, start: int) -> int:
    """Offset just behind the tag that begins at ``start``; quotes may hold '>'."""
    match = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>").match(data, start)
    assert match is not None
    return match.end()


def _name_at(data: bytes, start: int) -> bytes:
    match = re.compile(rb"<([^\s/>]+)").match(data, start)
    assert match is not None
    return match[1]


def _element_end(data: bytes, start: int) -> int:
    """Offset behind an element that holds none of its own name (a cell, a row)."""
    end = _tag_end(data, start)
    if data[end - 2 : end] == b"/>":
        return end
    closing = re.compile(rb"</" + re.escape(_name_at(data, start)) + rb"\s*>").search(data, end)
    assert closing is not None
    return closing.end()


def _prefix(data: bytes, start: int) -> bytes:
    name = _name_at(data, start)
    return name[: name.index(b":") + 1] if b":" in name else b""


def _insertions(
    data: bytes, rows: list[_Row], row: _Row | None, number: int,
    fresh: list[tuple[int, bytes]], sheet_data: int, prefix: bytes,
) -> list[tuple[int, int, bytes]]:  # fmt: skip
    """Cells that the file does not have yet, each at its place in the row."""
    if row is not None:
        end = _tag_end(data, row.start)
        if data[end - 2 : end] == b"/>":
            closing = b"</" + _name_at(data, row.start) + b">"
            body = b">" + b"".join(text for _, text in fresh) + closing
            return [(end - 2, end, body)]
        close = data.rindex(b"</", 0, _element_end(data, row.start))
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
    end = _tag_end(data, sheet_data)
    if data[end - 2 : end] == b"/>":
        return [(end - 2, end, b">" + element + b"</" + _name_at(data, sheet_data) + b">")]
    close = data.index(b"</" + _name_at(data, sheet_data), end)
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


_ATTRIBUTE = re.compile(rb"""\s+([\w:.-]+)\s*=\s*("[^"]*"|'[^']*')""")


def _rewritten(cell: bytes, edit: CellEdit) -> bytes:
    """A cell element with its value, and perhaps its formula, replaced."""
    name = _name_at(cell, 0)
    prefix = _prefix(cell, 0)
    head_end = _tag_end(cell, 0)
    empty = cell[head_end - 2 : head_end] == b"/>"
    head = cell[: head_end - (2 if empty else 1)]
    inner = b"" if empty else cell[head_end : cell.rindex(b"</")]
    formula = _child(inner, prefix + b"f")
    value = _child(inner, prefix + b"v") + _child(inner, prefix + b"is")
    rest = inner
    for piece in (formula, _child(inner, prefix + b"v"), _child(inner, prefix + b"is")):
        rest = rest.replace(piece, b"", 1) if piece else rest
    if edit.cut:
        formula = b""
    elif edit.formula is not None:
        text = escape(edit.formula).encode("ascii", "xmlcharrefreplace")
        formula = b"<%sf>%s</%sf>" % (prefix, text, prefix)
    if not edit.keep_value:
        kind, text = (b"", b"") if edit.stale else _encoded(edit.value)
        head = _without(head, b"t", b"vm", *((b"cm",) if edit.cut else ()))
        if kind:
            head += b' t="%s"' % kind
        value = b"<%sv>%s</%sv>" % (prefix, text, prefix) if text or kind else b""
    body = formula + value + rest
    if not body:
        return head + b"/>"
    return head + b">" + body + b"</" + name + b">"


def _child(inner: bytes, name: bytes) -> bytes:
    match = re.search(rb"<" + re.escape(name) + rb"(?=[\s/>])", inner)
    return inner[match.start() : _element_end(inner, match.start())] if match else b""


def _without(head: bytes, *names: bytes) -> bytes:
    return _ATTRIBUTE.sub(lambda match: b"" if match[1] in names else match[0], head)


def number_text(number: float) -> str:
    """Shortest text that reads back as the same float; whole numbers without a point."""
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return repr(float(number)).replace("e", "E")


def _encoded(value: CellValue) -> tuple[bytes, bytes]:
    """Cell type and content of <v>; in ASCII, which is right in whatever encoding the part has."""
    if value is None:
        return b"", b""
    if isinstance(value, bool):
        return b"b", b"1" if value else b"0"
    if isinstance(value, str):
        return b"str", xml_text(value).encode("ascii", "xmlcharrefreplace")
    if isinstance(value, ErrorValue):
        return b"e", escape(value.text).encode()
    if not math.isfinite(value):
        return b"e", b"#NUM!"
    return b"", number_text(value).encode()


_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def xml_text(text: str) -> str:
    """Text for XML, control characters as OOXML escapes them."""
    text = re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", text)
    return escape(_FORBIDDEN.sub(lambda match: f"_x{ord(match[0]):04X}_", text))


# ---------------------------------------------------------------- the calculation chain


def _patch_calc_chain(workbook: Workbook, cut: Sequence[CellAddress], changes: Changes) -> None:
    main = workbook.package.related("", "officeDocument") or ""
    part = workbook.package.related(main, "calcChain")
    if part is None or part not in workbook.package.parts:
        return
    ids = _sheet_ids(workbook.package.part(main))
    gone = {(ids[cell.sheet], cell.a1) for cell in cut}
    data = workbook.package.part(part)
    sheet_id = ""
    pending = ""
    kept = 0

    def keep(match: re.Match[bytes]) -> bytes:
        nonlocal sheet_id, pending, kept
        entry = match[0]
        attributes = {key: value[1:-1].decode() for key, value in _ATTRIBUTE.findall(entry)}
        explicit = attributes.get(b"i")
        sheet_id = explicit or sheet_id
        if (sheet_id, attributes.get(b"r", "")) in gone:
            pending = sheet_id
            return b""
        kept += 1
        if pending and explicit is None:
            entry = re.sub(rb"\s*(/?>)", rb' i="%s"\1' % sheet_id.encode(), entry, count=1)
        pending = ""
        return entry

    patched = re.sub(rb"<(?:\w+:)?c\s[^>]*?(?:/>|>\s*</(?:\w+:)?c\s*>)", keep, data)
    if kept:
        changes.parts[part] = patched
        return
    changes.removed.add(part)
    relations = relationships_part(main)
    _drop(
        workbook.package,
        relations,
        rb"<(?:\w+:)?Relationship\s[^>]*/calcChain[\"'][^>]*/>",
        changes,
    )
    name = re.escape("/" + part).encode()
    _drop(
        workbook.package,
        _CONTENT_TYPES,
        rb"<(?:\w+:)?Override\s[^>]*" + name + rb"[^>]*/>",
        changes,
    )


def _drop(package: Package, part: str, pattern: bytes, changes: Changes) -> None:
    data = changes.parts.get(part, package.part(part))
    changes.parts[part] = re.sub(pattern, b"", data)


def _sheet_ids(data: bytes) -> dict[str, str]:
    ids: dict[str, str] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if local(tag) == "sheet":
            ids[attributes["name"]] = attributes["sheetId"]

    parse_xml(data, start=start, where="the workbook part")
    return ids


# ---------------------------------------------------------------- the workbook part


def recalculate_on_load(package: Package, changes: Changes) -> None:
    """Ask the next program that opens the file for a full recalculation."""
    part = package.related("", "officeDocument") or ""
    data = changes.parts.get(part, package.part(part))
    match = re.search(rb"<(?:\w+:)?calcPr(?=[\s/>])", data)
    if match:
        end = _tag_end(data, match.start())
        tag = _without(data[match.start() : end], b"fullCalcOnLoad")
        at = len(match[0])
        tag = tag[:at] + b' fullCalcOnLoad="1"' + tag[at:]
        changes.parts[part] = data[: match.start()] + tag + data[end:]
        return
    for name in _CALC_AFTER:
        # Closed or empty: <definedNames/> stands before calcPr as well.
        pattern = rb"</(?P<p>(?:\w+:)?)%s\s*>|<(?P<q>(?:\w+:)?)%s(?:\s[^>]*)?/>"
        closing = re.search(pattern % (name.encode(), name.encode()), data)
        if closing:
            tag = b'<%scalcPr fullCalcOnLoad="1"/>' % (closing["p"] or closing["q"] or b"")
            changes.parts[part] = data[: closing.end()] + tag + data[closing.end() :]
            return
    raise OutputError("the workbook part has no list of sheets")


def free_sheet_name(workbook: Workbook, wanted: str) -> str:
    """The name, or the name with the next free number behind it."""
    taken = {name.lower() for name in workbook.sheet_order}
    candidate, number = wanted, 2
    while candidate.lower() in taken:
        candidate, number = f"{wanted} {number}", number + 1
    return candidate


def add_sheets(workbook: Workbook, sheets: Sequence[NewSheet], changes: Changes) -> list[str]:
    """Add sheets behind the last one, with their charts. Returns the names of the new parts."""
    main = workbook.package.related("", "officeDocument") or ""
    styles = _add_styles(workbook.package, main, changes)
    added = [
        part for sheet in sheets
        for part in _add_sheet(workbook.package, main, sheet, styles, changes)
    ]  # fmt: skip
    if workbook.package.is_strict:
        for part in added:
            changes.parts[part] = _strict(changes.parts[part])
    return added


def _strict(data: bytes) -> bytes:
    """XML of ours in the namespaces of Strict Open XML."""
    for usual, strict in STRICT.items():
        for end in (b'"', b"/"):
            data = data.replace(b'"' + usual.encode() + end, b'"' + strict.encode() + end)
    return data


def _add_sheet(
    package: Package, main: str, sheet: NewSheet, styles: Mapping[str, int], changes: Changes
) -> list[str]:
    folder = posixpath.dirname(main)
    part = _free_part(package, changes, posixpath.join(folder, "worksheets/sheet{}.xml"))
    added = [part]
    overrides = {part: _SPREADSHEET + "worksheet+xml"}
    drawing_id = ""
    if sheet.chart is not None:
        drawing = _free_part(package, changes, posixpath.join(folder, "drawings/drawing{}.xml"))
        chart = _free_part(package, changes, posixpath.join(folder, "charts/chart{}.xml"))
        added += [drawing, chart]
        drawing_id = "rId1"
        office = "application/vnd.openxmlformats-officedocument."
        overrides[drawing] = office + "drawing+xml"
        overrides[chart] = office + "drawingml.chart+xml"
        changes.parts[drawing] = _drawing(sheet.chart_anchor)
        changes.parts[chart] = sheet.chart
        for source, target, kind in ((part, drawing, "drawing"), (drawing, chart, "chart")):
            rels = relationships_part(source)
            changes.parts[rels] = _relationships([("rId1", kind, target, source)])
            added.append(rels)
    changes.parts[part] = _sheet_xml(sheet, styles, drawing_id)
    _add_to_workbook(package, main, part, sheet.name, changes)
    _add_overrides(package, overrides, changes)
    return added


def _free_part(package: Package, changes: Changes, pattern: str) -> str:
    taken = {name.lower() for name in (*package.parts, *changes.parts)}
    number = 1
    while pattern.format(number).lower() in taken:
        number += 1
    return pattern.format(number)


def _relationships(entries: Sequence[tuple[str, str, str, str]]) -> bytes:
    lines = "".join(
        f'<Relationship Id="{identifier}" Type="{RELATIONSHIPS}/{kind}" '
        f'Target="{posixpath.relpath(target, posixpath.dirname(source))}"/>'
        for identifier, kind, target, source in entries
    )
    return _xml(f'<Relationships xmlns="{PACKAGE_RELATIONSHIPS}">{lines}</Relationships>')


def _xml(body: str) -> bytes:
    return ('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + body).encode()


def _add_to_workbook(package: Package, main: str, part: str, name: str, changes: Changes) -> None:
    office = STRICT[RELATIONSHIPS] if package.is_strict else RELATIONSHIPS
    rels = relationships_part(main)
    data = changes.parts.get(rels, package.part(rels))
    ids = set(re.findall(rb"""\sId\s*=\s*["']([^"']*)["']""", data))
    number = 1
    while f"rId{number}".encode() in ids:
        number += 1
    target = posixpath.relpath(part, posixpath.dirname(main))
    closing = re.search(rb"</((?:\w+:)?)Relationships\s*>", data)
    if closing is None:
        raise OutputError(f"the part {rels} is damaged")
    entry = b'<%sRelationship Id="rId%d" Type="%s/worksheet" Target="%s"/>' % (
        closing[1], number, office.encode(), target.encode(),
    )  # fmt: skip
    changes.parts[rels] = data[: closing.start()] + entry + data[closing.start() :]

    data = changes.parts.get(main, package.part(main))
    sheet_id = max(int(value) for value in _sheet_ids(data).values()) + 1
    closing = re.search(rb"</((?:\w+:)?)sheets\s*>", data)
    if closing is None:
        raise OutputError("the workbook part has no list of sheets")
    element = (
        f'<{closing[1].decode()}sheet xmlns:r="{office}" name={quoteattr(name)} '
        f'sheetId="{sheet_id}" r:id="rId{number}"/>'
    )
    bound = re.search(
        rb"""xmlns:(\w+)\s*=\s*["']""" + re.escape(office.encode()) + rb"""["']""",
        data[: data.find(b">", data.find(b"workbook"))],
    )
    if bound:
        short = f' {bound[1].decode()}:id="rId{number}"'
        element = element.replace(f' xmlns:r="{office}"', "")
        element = element.replace(f' r:id="rId{number}"', short)
    changes.parts[main] = data[: closing.start()] + element.encode() + data[closing.start() :]


def _add_overrides(package: Package, overrides: Mapping[str, str], changes: Changes) -> None:
    data = changes.parts.get(_CONTENT_TYPES, package.part(_CONTENT_TYPES))
    closing = re.search(rb"</((?:\w+:)?)Types\s*>", data)
    if closing is None:
        raise OutputError(f"the part {_CONTENT_TYPES} is damaged")
    entries = b"".join(
        b'<%sOverride PartName="/%s" ContentType="%s"/>'
        % (closing[1], name.encode(), kind.encode())
        for name, kind in overrides.items()
    )
    changes.parts[_CONTENT_TYPES] = data[: closing.start()] + entries + data[closing.start() :]


# ---------------------------------------------------------------- styles and the new sheet


def _add_styles(package: Package, main: str, changes: Changes) -> dict[str, int]:
    """Indices of cell formats for a report, appended to the workbook's own styles."""
    part = package.related(main, "styles")
    if part is None:
        return {}
    data = changes.parts.get(part, package.part(part))
    font = re.search(rb"<((?:\w+:)?)font>(.*?)</(?:\w+:)?font>", data, re.DOTALL)
    if font is None or b"cellXfs" not in data:
        return {}
    p = font[1]
    bold = _font(p, font[2], [b"<%sb/>" % p])
    large = _font(p, font[2], [b"<%sb/>" % p, b'<%ssz val="14"/>' % p])
    gray = _font(p, font[2], [b'<%scolor rgb="FF7F7F7F"/>' % p])
    red = _font(p, font[2], [b"<%sb/>" % p, b'<%scolor rgb="FFC00000"/>' % p])
    fill = (
        b'<%sfill><%spatternFill patternType="solid">'
        b'<%sfgColor theme="4" tint="0.79998168889431442"/><%sbgColor indexed="64"/>'
        b"</%spatternFill></%sfill>"
    ) % ((p,) * 6)
    data, fonts = _append(data, b"fonts", [bold, large, gray, red])
    data, fills = _append(data, b"fills", [fill])

    def xf(font_id: int, fill_id: int, align: bytes = b"", number_format: int = 0) -> bytes:
        head = (
            b'<%sxf numFmtId="%d" fontId="%d" fillId="%d" borderId="0" xfId="0" applyFont="1"'
            b' applyFill="1"'
        ) % (p, number_format, font_id, fill_id)
        if number_format:
            head += b' applyNumberFormat="1"'
        if not align:
            return head + b"/>"
        return head + b' applyAlignment="1"><%salignment horizontal="%s"/></%sxf>' % (p, align, p)

    formats = {
        "title": xf(fonts + 1, 0),
        "header": xf(fonts, fills, b"center"),
        "key": xf(fonts, 0),
        "text": xf(0, 0, b"left"),
        "number": xf(0, 0, b"right"),
        "scientific": xf(0, 0, b"right", _SCIENTIFIC),
        "note": xf(fonts + 2, 0),
        "verdict": xf(0, 0, b"center"),
        "alert": xf(fonts + 3, 0, b"center"),
    }
    data, first = _append(data, b"cellXfs", list(formats.values()))
    changes.parts[part] = data
    return {name: first + index for index, name in enumerate(formats)}


_FONT_ORDER = (
    b"b", b"i", b"strike", b"condense", b"extend", b"outline", b"shadow", b"u", b"vertAlign",
    b"sz", b"color", b"name", b"family", b"charset", b"scheme",
)  # fmt: skip


def _font(prefix: bytes, base: bytes, changed: Sequence[bytes]) -> bytes:
    """The workbook's own font with some properties changed, in the order of the schema."""
    properties = {_name_at(item, 0).rpartition(b":")[2]: item
                  for item in re.findall(rb"<[^>]*/>", base)}  # fmt: skip
    for name in (b"b", b"i", b"strike", b"u"):
        properties.pop(name, None)
    properties |= {_name_at(item, 0).rpartition(b":")[2]: item for item in changed}
    body = b"".join(properties[name] for name in _FONT_ORDER if name in properties)
    return b"<%sfont>%s</%sfont>" % (prefix, body, prefix)


def _append(data: bytes, collection: bytes, elements: Sequence[bytes]) -> tuple[bytes, int]:
    """Append elements to a counted collection; returns the index of the first."""
    opening = re.search(rb"<(?:\w+:)?" + collection + rb"(?=[\s>])[^>]*>", data)
    if opening is None:
        raise OutputError(f"the styles have no {collection.decode()}")
    closing = re.search(rb"</(?:\w+:)?" + collection + rb"\s*>", data[opening.end() :])
    if closing is None:
        raise OutputError(f"the styles have an empty {collection.decode()}")
    end = opening.end() + closing.start()
    child = {b"fonts": b"font", b"fills": b"fill", b"cellXfs": b"xf"}[collection]
    count = len(re.findall(rb"<(?:\w+:)?" + child + rb"(?=[\s/>])", data[opening.end() : end]))
    tag = re.sub(rb"""(\scount\s*=\s*["'])\d+""", rb"\g<1>%d" % (count + len(elements)), opening[0])
    return data[: opening.start()] + tag + data[opening.end() : end] + b"".join(elements) + data[
        end:
    ], count


def _sheet_xml(sheet: NewSheet, styles: Mapping[str, int], drawing_id: str) -> bytes:
    columns = "".join(
        f'<col min="{index}" max="{index}" width="{width}" customWidth="1"/>'
        for index, width in enumerate(sheet.widths, 1)
    )
    columns = f"<cols>{columns}</cols>" if columns else ""
    rows = []
    for number, row in enumerate(sheet.rows, 1):
        cells = "".join(
            _new_cell(f"{column_letters(column)}{number}", item, styles)
            for column, item in enumerate(row, 1)
            if item is not None and (item.value is not None or item.formula is not None)
        )
        if cells:
            rows.append(f'<row r="{number}">{cells}</row>')
    drawing = f'<drawing r:id="{drawing_id}"/>' if drawing_id else ""
    return _xml(
        f'<worksheet xmlns="{MAIN}" xmlns:r="{RELATIONSHIPS}">'
        '<sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        '<sheetViews><sheetView showGridLines="0" workbookViewId="0"/></sheetViews>'
        f'<sheetFormatPr defaultRowHeight="15"/>{columns}'
        f"<sheetData>{''.join(rows)}</sheetData>"
        '<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/>'
        f'<pageSetup orientation="landscape" fitToHeight="0"/>{drawing}</worksheet>'
    )


def _new_cell(reference: str, item: StyledValue, styles: Mapping[str, int]) -> str:
    style = f' s="{styles[item.style]}"' if item.style in styles else ""
    if item.formula is None and isinstance(item.value, str):
        text = xml_text(item.value)
        inline = f'<is><t xml:space="preserve">{text}</t></is>'
        return f'<c r="{reference}"{style} t="inlineStr">{inline}</c>'
    kind, cached = (part.decode() for part in _encoded(item.value))
    kind = f' t="{kind}"' if kind else ""
    cached = f"<v>{cached}</v>" if cached else ""
    if item.formula is None:
        return f'<c r="{reference}"{style}{kind}>{cached}</c>'
    array = f' t="array" ref="{item.array}"' if item.array else ""
    # A formula's text is not escaped as a cell's is: _x0041_ in it means what it says.
    formula = escape(_FORBIDDEN.sub("", item.formula))
    return f'<c r="{reference}"{style}{kind}><f{array}>{formula}</f>{cached}</c>'


def _drawing(anchor: tuple[int, int]) -> bytes:
    """A drawing that holds one chart, its upper left corner at (row, column)."""
    row, column = anchor
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"
    main = "http://schemas.openxmlformats.org/drawingml/2006/main"
    chart = "http://schemas.openxmlformats.org/drawingml/2006/chart"
    return _xml(
        f'<xdr:wsDr xmlns:xdr="{drawing}" xmlns:a="{main}"><xdr:twoCellAnchor>'
        f"<xdr:from><xdr:col>{column}</xdr:col><xdr:colOff>0</xdr:colOff>"
        f"<xdr:row>{row}</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:from>"
        f"<xdr:to><xdr:col>{column + 9}</xdr:col><xdr:colOff>0</xdr:colOff>"
        f"<xdr:row>{row + 18}</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:to>"
        '<xdr:graphicFrame macro=""><xdr:nvGraphicFramePr><xdr:cNvPr id="2" name="Chart"/>'
        "<xdr:cNvGraphicFramePr/></xdr:nvGraphicFramePr><xdr:xfrm>"
        '<a:off x="0" y="0"/><a:ext cx="0" cy="0"/></xdr:xfrm><a:graphic>'
        f'<a:graphicData uri="{chart}"><c:chart xmlns:c="{chart}" xmlns:r="{RELATIONSHIPS}" '
        'r:id="rId1"/></a:graphicData></a:graphic></xdr:graphicFrame><xdr:clientData/>'
        "</xdr:twoCellAnchor></xdr:wsDr>"
    )
