"""The workbook part: its sheets, defined names and calculation properties; each one element."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from xl2torch.errors import OutputError
from xl2torch.workbook.ooxml import (
    ATTRIBUTE,
    CONTENT_TYPES,
    RELATIONSHIPS,
    STRICT,
    Element,
    appended,
    ascii_bytes,
    name_at,
    parse_xml,
    prefix_at,
    tag_end,
    top_elements,
    without_attributes,
)
from xl2torch.workbook.package import Changes, relationships_part

if TYPE_CHECKING:
    from xl2torch.workbook.read.reader import Workbook

_WHERE = "the workbook part"
_RELATIONSHIPS_TYPE = "application/vnd.openxmlformats-package.relationships+xml"
_NAMES_AFTER = ("externalReferences", "functionGroups", "sheets")
_CALC_AFTER = ("definedNames", *_NAMES_AFTER)


def sheet_ids(data: bytes) -> dict[str, str]:
    """The sheetId of every sheet."""
    ids: dict[str, str] = {}
    main = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal main
        main = main or tag.removesuffix("workbook")
        if tag == main + "sheet":
            ids[attributes["name"]] = attributes["sheetId"]

    parse_xml(data, start=start, where=_WHERE)
    return ids


def numbered_name(workbook: Workbook, wanted: str) -> str:
    """A name for a new sheet, as Solver numbers its reports: ``Answer Report 1``, ``... 2``."""
    taken = {name.lower() for name in workbook.sheet_order}
    number = 1
    while f"{wanted} {number}".lower() in taken:
        number += 1
    return f"{wanted} {number}"


def recalculate_on_load(changes: Changes) -> None:
    """Ask the next program that opens the file for a full recalculation."""
    main = changes.package.main
    data = changes.part(main)
    for element in top_elements(data, _WHERE):
        if element.name == "calcPr":
            end = tag_end(data, element.start)
            tag = without_attributes(data[element.start : end], b"fullCalcOnLoad")
            at = 1 + len(name_at(data, element.start))
            tag = tag[:at] + b' fullCalcOnLoad="1"' + tag[at:]
            changes.parts[main] = data[: element.start] + tag + data[end:]
            return
    _insert(changes, _CALC_AFTER, lambda prefix: b'<%scalcPr fullCalcOnLoad="1"/>' % prefix)


def register_sheet(part: str, name: str, changes: Changes) -> int:
    """Make a worksheet part the last sheet of the workbook; returns its place, from 0."""
    package, main = changes.package, changes.package.main
    office = STRICT[RELATIONSHIPS] if package.is_strict else RELATIONSHIPS
    rels = relationships_part(main)
    data = changes.part(rels)
    ids = set(re.findall(rb"""\sId\s*=\s*["']([^"']*)["']""", data))
    number = 1
    while f"rId{number}".encode() in ids:
        number += 1
    target = posixpath.relpath(part, posixpath.dirname(main))
    entry = f'Relationship Id="rId{number}" Type="{office}/worksheet" Target="{target}"/>'
    changes.parts[rels] = appended(data, [entry], rels)
    data = changes.part(main)
    sheets = next((e for e in top_elements(data, _WHERE) if e.name == "sheets"), None)
    if sheets is None or data[sheets.start : sheets.end].endswith(b"/>"):
        raise OutputError("the workbook is damaged: its first list of sheets is empty")
    known = sheet_ids(data)
    sheet_id = max(map(int, known.values())) + 1
    # The prefix that the part gives to the namespace of relationships; our own where it has none.
    bound = re.search(
        rb"""xmlns:([\w.-]+)\s*=\s*["']""" + re.escape(office.encode()) + rb"""["']""",
        data[: sheets.start],
    )
    prefix = bound[1].decode() if bound else "r"
    declared = "" if bound else f'xmlns:r="{office}" '
    element = (
        f"<{prefix_at(data, sheets.start).decode()}sheet {declared}name={quoteattr(name)} "
        f'sheetId="{sheet_id}" {prefix}:id="rId{number}"/>'
    )
    close = data.rindex(b"</", sheets.start, sheets.end)
    changes.parts[main] = data[:close] + ascii_bytes(element) + data[close:]
    return len(known)


def add_content_types(kinds: Mapping[str, str], changes: Changes) -> None:
    """Content types of new parts, by part name, and of .rels parts where there is none yet."""
    entries = [
        f'Override PartName="/{part}" ContentType="{kind}"/>' for part, kind in kinds.items()
    ]
    data = changes.part(CONTENT_TYPES)
    if b"rels" not in (
        _attribute(data, e, b"Extension") for e in top_elements(data, CONTENT_TYPES)
    ):
        entries.append(f'Default Extension="rels" ContentType="{_RELATIONSHIPS_TYPE}"/>')
    changes.parts[CONTENT_TYPES] = appended(data, entries, CONTENT_TYPES)


def remove_part(part: str, source: str, changes: Changes) -> None:
    """Leave a part out, with its content type and the relationship that ``source`` has to it."""
    changes.removed.add(part)
    rels = relationships_part(source)
    wanted = {
        relation.id.encode()
        for relation in changes.package.relationships(source) if relation.target == part
    }  # fmt: skip
    name = ("/" + part).lower().encode()
    for other, fact, values in (
        (rels, b"Id", wanted), (CONTENT_TYPES, b"PartName", {name}),
    ):  # fmt: skip
        data = changes.part(other)
        for element in reversed(top_elements(data, other)):
            value = _attribute(data, element, fact)
            if (value.lower() if fact == b"PartName" else value) in values:
                data = data[: element.start] + data[element.end :]
        changes.parts[other] = data


def _attribute(data: bytes, element: Element, name: bytes) -> bytes:
    head = data[element.start : tag_end(data, element.start)]
    return next((value[1:-1] for key, value in ATTRIBUTE.findall(head) if key == name), b"")


def replace_names(
    index: int, prefix: str, names: Mapping[str, str], changes: Changes, hidden: bool = True
) -> None:
    """Names of one sheet, in place of all its names that begin with ``prefix``.

    ``index`` counts sheets from 0 in the order of the workbook; ``names`` are texts by name.
    """
    hiding = b' hidden="1"' if hidden else b""
    main = changes.package.main
    data = changes.part(main)
    old = next((e for e in top_elements(data, _WHERE) if e.name == "definedNames"), None)
    kept = b""
    if old is not None:
        head = tag_end(data, old.start)
        inner = b"" if head == old.end else data[head : data.rindex(b"</", head, old.end)]
        kept = _DEFINED_NAME.sub(
            lambda match: b"" if _is_local(match[0], index, prefix) else match[0], inner
        )

    def element(namespace: bytes) -> bytes:
        tag = namespace + b"definedName"
        added = b"".join(
            b'<%s name="%s" localSheetId="%d"%s>%s</%s>'
            % (tag, name.encode(), index, hiding, ascii_bytes(escape(text)), tag)
            for name, text in names.items()
        )
        return b"<%ss>%s%s</%ss>" % (tag, kept, added, tag)

    if old is None:
        _insert(changes, _NAMES_AFTER, element)
    else:
        fresh = element(prefix_at(data, old.start))
        changes.parts[main] = data[: old.start] + fresh + data[old.end :]


_DEFINED_NAME = re.compile(
    rb"<((?:[\w.-]+:)?definedName)(?=[\s/>])(?:[^>\"']|\"[^\"]*\"|'[^']*')*?"
    rb"(?:/>|>.*?</\1\s*>)",
    re.DOTALL,
)


def _is_local(element: bytes, index: int, prefix: str) -> bool:
    head = element[: tag_end(element, 0)]
    attributes = {key: value[1:-1].decode() for key, value in ATTRIBUTE.findall(head)}
    named = attributes.get(b"name", "").lower().startswith(prefix)
    return named and attributes.get(b"localSheetId") == str(index)


def _insert(changes: Changes, after: tuple[str, ...], element: Callable[[bytes], bytes]) -> None:
    """Put an element behind the first of some that is there; it is given their prefix."""
    main = changes.package.main
    data = changes.part(main)
    present: dict[str, Element] = {e.name: e for e in top_elements(data, _WHERE)}
    for name in after:
        if name in present:
            at = present[name].end
            fresh = element(prefix_at(data, present[name].start))
            changes.parts[main] = data[:at] + fresh + data[at:]
            return
    raise OutputError("the workbook part has no list of sheets")
