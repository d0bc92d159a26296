"""What a workbook remembers of a model beyond Solver's names: a custom XML part of our own.

It holds options by name, texts as they were given on a command line. What is read of it is taken
for no more than such options.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from xl2torch.errors import WorkbookError
from xl2torch.workbook.ooxml import appended, ascii_bytes, local, parse_xml
from xl2torch.workbook.package import Changes, Package, relationships_part
from xl2torch.workbook.workbook_part import add_content_types

NAMESPACE = "urn:xl2torch:model"
_TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/customXml"
_MOST, _LONGEST = 1_000, 8_192

Options = Mapping[str, tuple[str, ...]]


def read_remembered(package: Package) -> Options:
    """Options by name; none where the workbook has no such part, or one that is damaged."""
    part = _part_of(package)
    if part is None:
        return {}
    found: dict[str, list[str]] = {}
    pieces: list[str] = []
    name = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal name
        name = attributes.get("name", "") if local(tag) == "option" else ""
        pieces.clear()

    def end(tag: str) -> None:
        text = "".join(pieces)
        if local(tag) == "option" and name and len(found) < _MOST and len(text) <= _LONGEST:
            found.setdefault(name, []).append(text)

    try:
        parse_xml(package.part(part), start=start, end=end, text=pieces.append, where=part)
    except WorkbookError:
        return {}  # it is worth less than the workbook
    return {key: tuple(values[:_MOST]) for key, values in found.items()}


def remember(options: Options, changes: Changes) -> None:
    """Keep options in the workbook, in the place of those that it has."""
    package = changes.package
    lines = [
        f"<option name={quoteattr(name)}>{escape(text)}</option>"
        for name, texts in options.items() for text in texts
    ]  # fmt: skip
    data = ascii_bytes(f'<xl2torch xmlns="{NAMESPACE}">{"".join(lines)}</xl2torch>')
    part = _part_of(package)
    if part is not None:
        changes.parts[part] = data
        return
    if not options:
        return
    part = changes.free_name("customXml/item{}.xml")
    changes.parts[part] = data
    rels = relationships_part(package.main)
    known = changes.part(rels)
    number = 1
    while f'"rIdXl2torch{number}"'.encode() in known:
        number += 1
    entry = f'Relationship Id="rIdXl2torch{number}" Type="{_TYPE}" Target="/{part}"/>'
    changes.parts[rels] = appended(known, [entry], rels)
    add_content_types({part: "application/xml"}, changes)


def _part_of(package: Package) -> str | None:
    """The part of ours, by its namespace."""
    mark = NAMESPACE.encode()
    for relation in package.relationships(package.main):
        if relation.type.endswith("/customXml"):
            stored = package.stored_name(relation.target)
            if stored is not None and mark in package.parts[stored][:200]:
                return stored
    return None
