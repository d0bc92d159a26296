"""Rows of a sheet as programs write them by the million, read without an event per tag.

A row is plain when it consists of cells whose reference comes first, with a formula and a value at
most, in UTF-8 and without anything that XML allows beyond that. What is not plain is left to the
XML parser, which also reads all that stands around the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from itertools import pairwise
from typing import NamedTuple
from xml.sax.saxutils import unescape as unescape_xml

from xl2torch.cells.address import MAX_ROW

_OPEN, _CLOSE = b"<sheetData>", b"</sheetData>"
_TEXT = r"[^<\x00-\x08\x0b-\x1f]*"
_ATTRIBUTES = r'((?: [A-Za-z0-9]+="[^"<>&\x00-\x1f]*")*)'
_ROW_ATTRIBUTES = _ATTRIBUTES.replace("[A-Za-z0-9]+", "(?:[A-Za-z0-9]+:)?[A-Za-z0-9]+")
_ROW = re.compile(r'\s*<row r="([1-9][0-9]{0,6})"' + _ROW_ATTRIBUTES + r"\s*>")
_NUMBERED = re.compile(rb'\s*<row r="([0-9]+)"')
_WHOLE = re.compile("[0-9]{1,10}")
_CELL = re.compile(
    r'(<c r="([A-Z]{1,3})([0-9]{1,7})"' + _ATTRIBUTES + r"(?:/>|>"
    r"(?:(<f)" + _ATTRIBUTES + r"(?:/>|>(" + _TEXT + r")</f>))?"
    r"(?:<v>(" + _TEXT + r")</v>)?</c>))"
)  # fmt: skip
_ATTRIBUTE = re.compile(r' ([A-Za-z0-9:]+)="([^"]*)"')
_NAMESPACE = re.compile(rb"\sxmlns:([A-Za-z0-9]+)\s*=")
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)")
_QUOTES = {"&quot;": '"', "&apos;": "'"}
_ENCODING = re.compile(rb"""encoding\s*=\s*["']([^"']*)["']""")

Attributes = dict[str, str]


Match = tuple[str, str, str, str, str, str, str, str]
"""Whole text of a cell, letters and digits of its reference, its attributes; whether it has a
formula, that one's attributes and text; value text."""


class PlainRow(NamedTuple):
    """A row: its number, the text of its attributes and its cells; ``escaped``: texts may be so."""

    number: int
    attributes: str
    cells: list[Match]
    escaped: bool


class SheetData(NamedTuple):
    """The bytes of a sheet cut into what stands around its rows, and the rows."""

    before: bytes
    rows: bytes
    after: bytes


def cut_rows(data: bytes) -> SheetData | None:
    """A sheet's rows, without the tags around them; None where only the parser can tell."""
    declared = _ENCODING.search(data[:200].partition(b"?>")[0])
    if declared is not None and declared[1].lower() != b"utf-8":
        return None
    start = data.find(_OPEN)
    end = data.find(_CLOSE, start)
    if start < 0 or end < 0 or b"<!" in data[:start]:
        return None
    start += len(_OPEN)
    return SheetData(data[:start], data[start:end], data[end:])


def unread_rows(rows: bytes, read: Callable[[PlainRow], None]) -> Iterator[bytes]:
    """Hand plain rows on, and give back the others for the parser.

    Raises ValueError where the place of a row depends on the rows before it, or where rows are
    out of order.
    """
    last = 0
    ordered: list[str] = []
    for piece in _pieces(rows):
        found = _plain_row(piece, ordered)
        if found is None and not piece.strip():
            yield piece
            continue
        number = _number(piece) if found is None else found.number
        if not last < number <= MAX_ROW:
            raise ValueError(f"row {number} stands after row {last}")
        last = number
        if found is not None:
            read(found)
        else:
            yield piece


def with_rows(data: bytes, wanted: Container[int]) -> bytes:
    """A sheet part without rows that are not wanted, as far as they can be told from the others.

    Rows in which a formula for other cells begins stay.
    """
    cut = cut_rows(data)
    if cut is None:
        return data
    kept = []
    for piece in _pieces(cut.rows):
        numbered = _NUMBERED.match(piece)
        if numbered is None and piece.strip():
            return data
        several = piece.count(b"<row") > 1
        if numbered is None or several or int(numbered[1]) in wanted or b" ref=" in piece:
            kept.append(piece)
    return b"".join((cut.before, *kept, cut.after))


def _pieces(rows: bytes) -> Iterator[bytes]:
    """What ends with the end of a row each, and what stands behind the last."""
    start = 0
    while start < len(rows):
        end = rows.find(b"</row>", start)
        piece = rows[start : end + 6] if end >= 0 else rows[start:]
        start += len(piece)
        yield piece


def _number(piece: bytes) -> int:
    numbered = _NUMBERED.match(piece)
    if numbered is None:
        raise ValueError("a row without a number")
    return whole_number(numbered[1].decode())


def _plain_row(piece: bytes, ordered: list[str]) -> PlainRow | None:
    """A row, None where it is not plain; ``ordered`` are the columns of the last row, in order."""
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return None
    head = _ROW.match(text)
    escaped = "&" in text
    if head is None or "\r" in text or (escaped and _ENTITY.search(text)):
        return None
    cells: list[Match] = _CELL.findall(text, head.end())
    length = sum([len(cell[0]) for cell in cells])
    digits = head[1]
    if head.end() + length + len("</row>") != len(text):
        return None
    if any([cell[2] != digits for cell in cells]):
        return None
    columns = [cell[1] for cell in cells]
    if columns != ordered:
        keys = [(len(letters), letters) for letters in columns]
        if any(first >= second for first, second in pairwise(keys)):
            raise ValueError(f"the cells of row {digits} are out of order")
        ordered[:] = columns
    if ("_" in text or not text.isascii()) and any(
        ["_" in cell[7] or not cell[7].isascii() for cell in cells if ' t="' not in cell[3]]
    ):
        return None  # float would take 1_000 for a number
    return PlainRow(int(digits), head[2], cells, escaped)


def whole_number(text: str) -> int:
    """A whole number in plain digits. Raises ValueError."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text[:20]!r} is no whole number")
    return int(text)


def attributes_of(text: str, prefixes: frozenset[str]) -> Attributes:
    """Attributes by name. Raises ValueError where only the parser can tell what is wrong."""
    found = _ATTRIBUTE.findall(text)
    attributes = dict(found)
    spaces = {name.partition(":")[0] for name in attributes if ":" in name}
    if len(attributes) < len(found) or not spaces <= prefixes:
        raise ValueError("an attribute is there twice, or of an unknown namespace")
    return attributes


def prefixes_of(before: bytes) -> frozenset[str]:
    """Prefixes of the namespaces that a sheet declares before its rows."""
    return frozenset(prefix.decode() for prefix in _NAMESPACE.findall(before))


def unescaped(text: str) -> str:
    """A text without XML's entities."""
    return unescape_xml(text, _QUOTES) if "&" in text else text
