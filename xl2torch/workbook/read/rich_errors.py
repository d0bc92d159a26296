"""Errors that files keep as rich values, with #VALUE! in their place for older programs.

A cell's ``vm`` counts the records of valueMetadata from 1; one leads to a block of futureMetadata,
that to a rich value, and its structure says which number is the error's ([MS-XLSX] 2.3.6).
"""

from __future__ import annotations

from collections.abc import Mapping

from xl2torch.cells.values import ERRORS, ErrorValue
from xl2torch.errors import WorkbookError
from xl2torch.workbook.ooxml import local, parse_xml
from xl2torch.workbook.package import Package

_TYPES = {
    1: "#DIV/0!", 2: "#VALUE!", 3: "#REF!", 4: "#NAME?", 5: "#NUM!", 6: "#N/A",
    8: "#SPILL!", 9: "#CONNECT!", 10: "#BLOCKED!", 11: "#UNKNOWN!", 12: "#FIELD!", 13: "#CALC!",
}  # fmt: skip


def read_rich_errors(package: Package, main: str) -> Mapping[int, ErrorValue]:
    """Errors by ``vm``. What is no error, or not to be understood, is left out."""
    metadata = package.related(main, "sheetMetadata")
    found: dict[int, ErrorValue] = {}
    if metadata is None:
        return found
    try:
        values = package.related(main, "rdRichValue")
        structures = package.related(main, "rdRichValueStructure")
        if values and structures:
            errors = _errors(package, values, _structures(package, structures))
            for number, index in enumerate(_value_indices(package, metadata), start=1):
                if index in errors:
                    found[number] = errors[index]
    except (WorkbookError, ValueError, KeyError, IndexError):
        return {}  # the stand-in stays
    return found


def _value_indices(package: Package, part: str) -> list[int | None]:
    """Which rich value each record of valueMetadata leads to."""
    types: list[str] = []
    blocks: list[int | None] = []
    records: list[tuple[int, int] | None] = []
    inside = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        kind = local(tag)
        if kind == "metadataType":
            types.append(attributes["name"])
        elif kind == "futureMetadata":
            inside = attributes["name"]
        elif kind in ("cellMetadata", "valueMetadata"):
            inside = kind
        elif kind == "bk" and inside == "XLRICHVALUE":
            blocks.append(None)
        elif kind == "bk" and inside == "valueMetadata":
            records.append(None)
        elif kind == "rvb" and inside == "XLRICHVALUE":
            blocks[-1] = int(attributes["i"])
        elif kind == "rc" and inside == "valueMetadata":
            records[-1] = (int(attributes["t"]), int(attributes["v"]))

    parse_xml(package.part(part), start=start, where=part)
    return [
        blocks[record[1]] if record and types[record[0] - 1] == "XLRICHVALUE" else None
        for record in records
    ]


def _structures(package: Package, part: str) -> list[list[str]]:
    """The keys of each structure; those of structures that are no errors do not matter."""
    found: list[list[str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if local(tag) == "s":
            found.append([])
            is_error.append(attributes.get("t") == "_error")
        elif local(tag) == "k" and is_error[-1]:
            found[-1].append(attributes["n"])

    is_error: list[bool] = []
    parse_xml(package.part(part), start=start, where=part)
    return found


def _errors(package: Package, part: str, structures: list[list[str]]) -> dict[int, ErrorValue]:
    """The rich values that are errors, by their places."""
    values: list[tuple[int, list[str]]] = []
    pieces: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if local(tag) == "rv":
            values.append((int(attributes["s"]), []))
        pieces.clear()

    def end(tag: str) -> None:
        if local(tag) == "v":
            values[-1][1].append("".join(pieces))

    parse_xml(package.part(part), start=start, end=end, text=pieces.append, where=part)
    found: dict[int, ErrorValue] = {}
    for index, (structure, fields) in enumerate(values):
        facts = dict(zip(structures[structure], fields, strict=False))
        name = _TYPES.get(int(facts.get("errorType", "-1")))
        if name is not None:
            found[index] = ERRORS[name]
    return found
