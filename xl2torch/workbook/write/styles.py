"""Cell formats of new sheets, appended to the workbook's own styles.

Fonts are variants of the workbook's first one, fills take its theme's colours. Headings look as
those of Solver's reports: bold, centred, dark blue (indexed colour 18) between two lines.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xl2torch.errors import OutputError
from xl2torch.workbook.ooxml import name_at, top_elements
from xl2torch.workbook.package import Changes

_GENERAL = 0
_HUNDREDTHS, _THOUSANDS, _SCIENTIFIC = 2, 3, 11
"""Built-in number formats: 0.00, #,##0 and 0.00E+00."""


@dataclass(frozen=True)
class Style:
    """How a cell looks: names of a font, a fill and a border, an alignment, a number format.

    ``indent`` is the distance to the side that it is aligned to, in characters.
    """

    font: str = "plain"
    fill: str = "none"
    border: str = "none"
    align: str = ""
    number_format: int = _GENERAL
    indent: int = 0
    wrap: bool = False


STYLES: Mapping[str, Style] = {
    "title": Style("large"),
    "bold": Style("bold"),
    "plain": Style(),
    "header": Style("bold", fill="theme", align="center", wrap=True),
    "key": Style("bold"),
    "text": Style(align="left"),
    "number": Style(align="right", indent=1),
    "count": Style(align="right", number_format=_THOUSANDS, indent=1),
    "seconds": Style(align="right", number_format=_HUNDREDTHS, indent=1),
    "scientific": Style(align="right", number_format=_SCIENTIFIC, indent=1),
    "note": Style("gray"),
    "verdict": Style(align="center"),
    "alert": Style("red", align="center"),
    "heading": Style("heading", border="heading", align="center"),
    "heading top": Style("heading", border="above", align="center"),
    "heading bottom": Style("heading", border="below", align="center"),
    "row": Style(border="row"),
    "row number": Style(border="row", align="right", indent=1),
    "last": Style(border="below"),
    "last number": Style(border="below", align="right", indent=1),
}
"""Formats by the names that reports use."""

_FONTS: Mapping[str, Sequence[bytes]] = {
    "bold": (b"<%sb/>",),
    "large": (b"<%sb/>", b'<%ssz val="14"/>'),
    "gray": (b'<%scolor rgb="FF7F7F7F"/>',),
    "red": (b"<%sb/>", b'<%scolor rgb="FFC00000"/>'),
    "heading": (b"<%sb/>", b'<%scolor indexed="18"/>'),
}
_BORDERS = {
    "heading": (b"medium", b"medium"),
    "above": (b"medium", b""),
    "below": (b"", b"medium"),
    "row": (b"", b"thin"),
}
_PROPERTY = re.compile(rb"(<([^\s/>]+)[^>]*?(?:/>|>\s*</\2\s*>))")
_COLLECTIONS = {b"fonts": b"font", b"fills": b"fill", b"borders": b"border", b"cellXfs": b"xf"}
_CHILDREN = {**_COLLECTIONS, b"numFmts": b"numFmt"}
_LAST_BUILT_IN = 163
"""The last number format that is none of the workbook's own."""
_FONT_ORDER = (
    b"b", b"i", b"strike", b"condense", b"extend", b"outline", b"shadow", b"u", b"vertAlign",
    b"sz", b"color", b"name", b"family", b"charset", b"scheme",
)  # fmt: skip


@dataclass(frozen=True)
class StyleKey:
    """A style by name; its number format replaced by one of the workbook's, or by a ``code``."""

    name: str
    number_format: int | None = None
    code: str = ""


def add_styles(wanted: Iterable[StyleKey], changes: Changes) -> dict[StyleKey, int]:
    """Indices of cell formats; empty where the workbook has no styles to add to."""
    part = changes.package.related(changes.package.main, "styles")
    if part is None:
        return {}
    data = changes.part(part)
    font = re.search(rb"<((?:[\w.-]+:)?)font>(.*?)</(?:[\w.-]+:)?font>", data, re.DOTALL)
    elements = reversed(top_elements(data, part))  # of two of a name the first counts here
    lists = {element.name.encode(): element.start for element in elements}
    openings = {name: _opening(data, name) for name in _COLLECTIONS}
    if font is None or any(
        opening is None or opening.start() != lists.get(name) for name, opening in openings.items()
    ):
        return {}
    p = font[1]
    data, first = _append(data, b"fonts", [_font(p, font[2], kind) for kind in _FONTS.values()])
    fonts = {"plain": 0} | {name: first + place for place, name in enumerate(_FONTS)}
    data, fill = _append(data, b"fills", [_theme_fill(p)])
    data, first = _append(data, b"borders", [_border(p, *sides) for sides in _BORDERS.values()])
    borders = {"none": 0} | {name: first + place for place, name in enumerate(_BORDERS)}
    keys = sorted(set(wanted), key=lambda key: (key.name, key.number_format or 0, key.code))
    data, codes = _with_codes(data, p, sorted({key.code for key in keys} - {""}))
    formats = []
    for key in keys:
        style = STYLES[key.name]
        number = style.number_format if key.number_format is None else key.number_format
        number = codes.get(key.code, number)
        fill_id = fill if style.fill == "theme" else 0
        places = (fonts[style.font], fill_id, borders[style.border])
        formats.append(_xf(p, *places, number, style))
    data, first = _append(data, b"cellXfs", formats)
    changes.parts[part] = data
    return {key: first + place for place, key in enumerate(keys)}


def significant(number: float, digits: int = 6) -> str:
    """The code of a format that shows so many digits of a number; '' where it has no more.

    >>> significant(1979.428717), significant(0.25), significant(1.234567e-9)
    ('0.00', '', '0.00000E+00')
    """
    rounded = float(f"{number:.{digits}g}")
    if rounded == number:
        return ""
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    if 0 <= places < 2 * digits:
        return f"0.{'0' * places}" if places else "0"
    return f"0.{'0' * (digits - 1)}E+00"


def _with_codes(data: bytes, p: bytes, codes: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    """Styles with some codes of number formats, and their ids."""
    if not codes:
        return data, {}
    known = re.findall(rb"""\snumFmtId\s*=\s*["'](\d+)""", data)
    first = max([_LAST_BUILT_IN, *map(int, known)]) + 1
    ids = {code: first + place for place, code in enumerate(codes)}
    elements = [
        b'<%snumFmt numFmtId="%d" formatCode="%s"/>' % (p, number, code.encode())
        for code, number in ids.items()
    ]
    if _opening(data, b"numFmts") is None:
        whole = b'<%snumFmts count="0"></%snumFmts>' % (p, p)
        data, empty = re.subn(rb"<(?:[\w.-]+:)?numFmts[^>]*/>", whole, data, count=1)
        fonts = _opening(data, b"fonts")
        if not empty and fonts is not None:
            data = data[: fonts.start()] + whole + data[fonts.start() :]
    return _append(data, b"numFmts", elements)[0], ids


def _xf(p: bytes, font: int, fill: int, border: int, number_format: int, style: Style) -> bytes:
    head = (
        b'<%sxf numFmtId="%d" fontId="%d" fillId="%d" borderId="%d" xfId="0" applyFont="1"'
        b' applyFill="1"'
    ) % (p, number_format, font, fill, border)
    if number_format:
        head += b' applyNumberFormat="1"'
    if border:
        head += b' applyBorder="1"'
    if not style.align:
        return head + b"/>"
    indent = b' indent="%d"' % style.indent if style.indent else b""
    indent += b' wrapText="1"' if style.wrap else b""
    tail = b' applyAlignment="1"><%salignment horizontal="%s"%s/></%sxf>'
    return head + tail % (p, style.align.encode(), indent, p)


def _font(prefix: bytes, base: bytes, changed: Sequence[bytes]) -> bytes:
    """The workbook's own font with some properties changed, in the order of the schema."""
    properties = {_property(item): item for item, _ in _PROPERTY.findall(base)}
    for name in (b"b", b"i", b"strike", b"u"):
        properties.pop(name, None)
    properties |= {_property(item): item for item in (kind % prefix for kind in changed)}
    body = b"".join(properties[name] for name in _FONT_ORDER if name in properties)
    return b"<%sfont>%s</%sfont>" % (prefix, body, prefix)


def _property(item: bytes) -> bytes:
    return name_at(item, 0).rpartition(b":")[2]


def _theme_fill(p: bytes) -> bytes:
    return (
        b'<%sfill><%spatternFill patternType="solid">'
        b'<%sfgColor theme="4" tint="0.79998168889431442"/><%sbgColor indexed="64"/>'
        b"</%spatternFill></%sfill>"
    ) % ((p,) * 6)


def _border(p: bytes, top: bytes, bottom: bytes) -> bytes:
    def side(name: bytes, style: bytes) -> bytes:
        if not style:
            return b"<%s%s/>" % (p, name)
        tag = p + name
        return b'<%s style="%s"><%scolor indexed="64"/></%s>' % (tag, style, p, tag)

    sides = side(b"left", b"") + side(b"right", b"") + side(b"top", top) + side(b"bottom", bottom)
    return b"<%sborder>%s%s</%sborder>" % (p, sides, side(b"diagonal", b""), p)


def _opening(data: bytes, collection: bytes) -> re.Match[bytes] | None:
    return re.search(rb"<(?:[\w.-]+:)?" + collection + rb"(?=[\s>])[^>]*(?<!/)>", data)


def _append(data: bytes, collection: bytes, elements: Sequence[bytes]) -> tuple[bytes, int]:
    """Append elements to a counted collection; returns the index of the first."""
    opening = _opening(data, collection)
    assert opening is not None
    if _opening(data[opening.end() :], collection) is not None:
        raise OutputError(f"the styles are damaged: they have two lists of {collection.decode()}")
    closing = re.search(rb"</(?:[\w.-]+:)?" + collection + rb"\s*>", data[opening.end() :])
    if closing is None:
        raise OutputError(f"the styles have no end of their {collection.decode()}")
    end = opening.end() + closing.start()
    child = _CHILDREN[collection]
    count = len(re.findall(rb"<(?:[\w.-]+:)?" + child + rb"(?=[\s/>])", data[opening.end() : end]))
    tag = re.sub(rb"""(\scount\s*=\s*["'])\d+""", rb"\g<1>%d" % (count + len(elements)), opening[0])
    head = data[: opening.start()] + tag + data[opening.end() : end]
    return head + b"".join(elements) + data[end:], count
