"""What a workbook remembers of a model beyond Solver's names, read: a custom XML part of our own.

It holds options by name, texts as they were given on a command line. What is read of it is taken
for no more than such options.
"""

from __future__ import annotations

from collections.abc import Mapping

from xl2torch.errors import WorkbookError
from xl2torch.workbook.ooxml import local, parse_xml
from xl2torch.workbook.package import Package

NAMESPACE = "urn:xl2torch:model"
_MOST, _LONGEST = 1_000, 8_192

Options = Mapping[str, tuple[str, ...]]


def read_remembered(package: Package) -> Options:
    """Options by name; none where the workbook has no such part, or one that is damaged."""
    part = remembered_part(package)
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


def remembered_part(package: Package) -> str | None:
    """The part of ours, by its namespace."""
    mark = NAMESPACE.encode()
    for relation in package.relationships(package.main):
        if relation.type.endswith("/customXml"):
            stored = package.stored_name(relation.target)
            if stored is not None and mark in package.parts[stored][:200]:
                return stored
    return None
