"""The words of the format: namespaces, XML in and out, and tags found by their byte offset."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape

from xl2torch.cells.values import CellValue, ErrorValue
from xl2torch.errors import WorkbookError

CONTENT_TYPES = "[Content_Types].xml"
SPREADSHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml."
RELATIONSHIPS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = {
    MAIN: "http://purl.oclc.org/ooxml/spreadsheetml/main",
    RELATIONSHIPS: "http://purl.oclc.org/ooxml/officeDocument/relationships",
    "http://schemas.openxmlformats.org/drawingml/2006/main":
        "http://purl.oclc.org/ooxml/drawingml/main",
    "http://schemas.openxmlformats.org/drawingml/2006/chart":
        "http://purl.oclc.org/ooxml/drawingml/chart",
    "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing":
        "http://purl.oclc.org/ooxml/drawingml/spreadsheetDrawing",
}  # fmt: skip
"""Namespaces of Strict Open XML (ISO/IEC 29500 part 1) for those of the usual Transitional form."""


# ---------------------------------------------------------------- reading


def parse_xml(
    data: bytes,
    *,
    start: Any = None,
    end: Any = None,
    text: Any = None,
    where: str,
    parser_out: list[Any] | None = None,
) -> None:
    """Feed XML to handlers ``start(tag, attributes)``, ``end(tag)``, ``text(data)``.

    Tags keep their prefix off. ``parser_out`` receives the parser before it starts, for its
    ``CurrentByteIndex``. Raises WorkbookError on malformed XML and on any DOCTYPE.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.ordered_attributes = False
    if parser_out is not None:
        parser_out.append(parser)

    def doctype(*_: Any) -> None:
        raise WorkbookError(f"{where} holds a DOCTYPE, which no workbook needs: refused")

    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    try:
        parser.Parse(data, True)
    except KeyError as error:
        raise WorkbookError(f"{where} is damaged: {error} is missing") from None
    except (expat.ExpatError, ValueError, TypeError, StopIteration, LookupError) as error:
        raise WorkbookError(f"{where} is damaged: {error}") from None
    finally:
        # Handlers know the parser and it knows them: its buffers would outlive the call.
        parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = None
        parser.StartDoctypeDeclHandler = None


_UTF_16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"<\0": "utf-16-le",
           b"\0<": "utf-16-be"}  # fmt: skip
_DECLARATION = re.compile(r"^\ufeff?\s*<\?xml[^>]*\?>")


def in_bytes(data: bytes, where: str) -> bytes:
    """XML in an encoding in which tags are ASCII: UTF-16 becomes UTF-8. Raises WorkbookError."""
    encoding = _UTF_16.get(data[:2])
    if encoding is None:
        return data
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise WorkbookError(f"{where} is damaged: {error.reason}") from None
    return xml_part(_DECLARATION.sub("", text).lstrip("\ufeff"))


def local(tag: str) -> str:
    """Tag or attribute name without its namespace."""
    return tag.rpartition(" ")[2]


_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def unescape(text: str) -> str:
    """Undo OOXML's ``_x000D_`` escapes (ECMA-376 part 1, 22.9.2.19)."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


# ---------------------------------------------------------------- tags in the bytes of a part


ATTRIBUTE = re.compile(rb"""\s+([\w:.-]+)\s*=\s*("[^"]*"|'[^']*')""")


_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_NAME = re.compile(rb"<([^\s/>]+)")


def tag_end(data: bytes, start: int) -> int:
    """Offset just behind the tag that begins at ``start``; quotes may hold '>'."""
    match = _TAG.match(data, start)
    if match is None:
        raise ValueError("a tag without an end")
    return match.end()


def name_at(data: bytes, start: int) -> bytes:
    """Name, with its prefix, of the tag that begins at ``start``."""
    match = _NAME.match(data, start)
    assert match is not None
    return match[1]


def element_end(data: bytes, start: int) -> int:
    """Offset behind an element that holds none of its own name (a cell, a row)."""
    end = tag_end(data, start)
    if data[end - 2 : end] == b"/>":
        return end
    closing = _closing(name_at(data, start)).search(data, end)
    if closing is None:
        raise ValueError("an element without an end")
    return closing.end()


@cache
def _closing(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"</" + re.escape(name) + rb"\s*>")


def prefix_at(data: bytes, start: int) -> bytes:
    """Prefix, with its colon, of the tag that begins at ``start``; empty where it has none."""
    name = name_at(data, start)
    return name[: name.index(b":") + 1] if b":" in name else b""


@dataclass(frozen=True)
class Element:
    """An element of a part, by its name without prefix and its byte offsets."""

    name: str
    start: int
    end: int


def top_elements(data: bytes, where: str) -> list[Element]:
    """The children of the root element, in their order."""
    return _elements_at(data, 2, where)


def _elements_at(data: bytes, level: int, where: str) -> list[Element]:
    """The elements of one level; the root is level 1."""
    found: list[Element] = []
    parsers: list[Any] = []
    depth = begun = 0

    def start(tag: str, _: dict[str, str]) -> None:
        nonlocal depth, begun
        depth += 1
        if depth == level:
            begun = parsers[0].CurrentByteIndex

    def end(tag: str) -> None:
        nonlocal depth
        if depth == level:
            head = tag_end(data, begun)
            empty = data[head - 2 : head] == b"/>"
            last = head if empty else tag_end(data, parsers[0].CurrentByteIndex)
            found.append(Element(local(tag), begun, last))
        depth -= 1

    parse_xml(data, start=start, end=end, where=where, parser_out=parsers)
    return found


def appended(data: bytes, elements: Sequence[str], where: str) -> bytes:
    """A part with more elements, given without prefix and ``<``, at the end of its root."""
    (root,) = _elements_at(data, 1, where)
    prefix = prefix_at(data, root.start)
    fresh = b"".join(b"<" + prefix + ascii_bytes(element) for element in elements)
    head = tag_end(data, root.start)
    if head == root.end:
        close = b"</" + name_at(data, root.start) + b">"
        return data[: head - 2] + b">" + fresh + close + data[head:]
    closed = data.rindex(b"</", root.start, root.end)
    return data[:closed] + fresh + data[closed:]


def ascii_bytes(text: str) -> bytes:
    """Right in whatever encoding a part has."""
    return text.encode("ascii", "xmlcharrefreplace")


def without_attributes(head: bytes, *names: bytes) -> bytes:
    """A tag without some of its attributes."""
    return ATTRIBUTE.sub(lambda match: b"" if match[1] in names else match[0], head)


# ---------------------------------------------------------------- writing


def number_text(number: float) -> str:
    """Shortest text that reads back as the same float; whole numbers without a point."""
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return repr(float(number)).replace("e", "E")


def encoded(value: CellValue) -> tuple[bytes, bytes]:
    """Cell type and content of <v>; in ASCII, which is right in whatever encoding the part has."""
    if value is None:
        return b"", b""
    if isinstance(value, bool):
        return b"b", b"1" if value else b"0"
    if isinstance(value, str):
        return b"str", ascii_bytes(xml_text(value))
    if isinstance(value, ErrorValue):
        return b"e", escape(value.text).encode()
    if not math.isfinite(value):
        return b"e", b"#NUM!"
    return b"", number_text(value).encode()


CONTROL = re.compile("[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")


def xml_text(text: str) -> str:
    """Text for XML, control characters as OOXML escapes them."""
    text = re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", text)
    return escape(CONTROL.sub(lambda match: f"_x{ord(match[0]):04X}_", text))


def xml_part(body: str) -> bytes:
    """A part of ours."""
    return ('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + body).encode()
