"""New worksheets: values, formulas, formats and charts of ours, added behind the last sheet."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from xl2torch.cells.address import column_letters, quote_sheet
from xl2torch.cells.values import CellValue
from xl2torch.workbook.ooxml import (
    CONTROL,
    MAIN,
    PACKAGE_RELATIONSHIPS,
    RELATIONSHIPS,
    SPREADSHEET_TYPE,
    STRICT,
    encoded,
    xml_part,
    xml_text,
)
from xl2torch.workbook.package import Changes, relationships_part
from xl2torch.workbook.write.styles import StyleKey, add_styles
from xl2torch.workbook.write.workbook_part import add_content_types, register_sheet, replace_names

_LONGEST_TEXT = 32_767  # characters that a cell holds
_LONG_HEADING = 12
_PIXEL = 9525
"""English Metric Units in a pixel, of which there are 96 in an inch."""
_OFFICE_TYPE = "application/vnd.openxmlformats-officedocument."


@dataclass(frozen=True)
class StyledValue:
    """A cell of a new sheet.

    ``style`` is a name in ``styles.STYLES``; ``number_format`` one of the workbook's own, instead
    of the style's, ``code`` the code of one. ``value`` is never taken for a formula; ``formula`` is
    one (without its ``=``), with ``value`` as its cached value. ``array`` is the range of an array
    formula, ``B9:E9``.
    """

    value: CellValue
    style: str = "text"
    formula: str | None = None
    array: str | None = None
    number_format: int | None = None
    code: str = ""

    @property
    def key(self) -> StyleKey:
        """The format that it needs."""
        return StyleKey(self.style, self.number_format, self.code)


Row = Sequence[StyledValue | None]


@dataclass(frozen=True)
class PlacedChart:
    """A chart's XML and where it stands: its first row and column from 0, and its size in cells."""

    xml: bytes
    row: int
    column: int
    rows: int = 18
    columns: int = 9


@dataclass(frozen=True)
class PlacedPicture:
    """A PNG picture and where it stands, its first row and column from 0, its size in pixels."""

    png: bytes
    row: int
    column: int
    width: int
    height: int
    title: str = ""


@dataclass(frozen=True)
class NewSheet:
    """A sheet to be added last. The first ``frozen`` rows stay in view.

    ``printed`` are the rows that are printed, first and last of each part; () for all. Of these
    rows ``printed_columns`` are printed; 0 for all.
    """

    name: str
    rows: Sequence[Row]
    widths: Sequence[float]
    charts: Sequence[PlacedChart] = ()
    frozen: int = 0
    pictures: Sequence[PlacedPicture] = ()
    printed: Sequence[tuple[int, int]] = ()
    printed_columns: int = 0


def add_sheets(sheets: Sequence[NewSheet], changes: Changes) -> None:
    """Add sheets behind the last one, with their charts."""
    if not sheets:
        return
    before = set(changes.added)
    wanted = {item.key for sheet in sheets for row in sheet.rows for item in row if item}
    styles = add_styles(wanted, changes)
    for sheet in sheets:
        _add_sheet(sheet, styles, changes)
    if changes.package.is_strict:
        for part in (name for name in set(changes.added) - before if not name.endswith(".png")):
            changes.parts[part] = _strict(changes.parts[part])


def _strict(data: bytes) -> bytes:
    """XML of ours in the namespaces of Strict Open XML."""
    for usual, strict in STRICT.items():
        for end in (b'"', b"/"):
            data = data.replace(b'"' + usual.encode() + end, b'"' + strict.encode() + end)
    return data


def _add_sheet(sheet: NewSheet, styles: Mapping[StyleKey, int], changes: Changes) -> None:
    folder = posixpath.dirname(changes.package.main)
    part = changes.free_name(posixpath.join(folder, "worksheets/sheet{}.xml"))
    changes.parts[part] = _sheet_xml(sheet, styles)
    add_content_types({part: SPREADSHEET_TYPE + "worksheet+xml"}, changes)
    if sheet.charts or sheet.pictures:
        drawing = _add_drawing(folder, sheet, changes)
        _relate(part, {"rId1": ("drawing", drawing)}, changes)
    index = register_sheet(part, sheet.name, changes)
    if sheet.printed:
        name = quote_sheet(sheet.name)
        last = column_letters(sheet.printed_columns or len(sheet.widths))
        areas = [f"{name}!$A${first}:${last}${end}" for first, end in sheet.printed]
        names = {"_xlnm.Print_Area": ",".join(areas)}
        if sheet.frozen:
            names["_xlnm.Print_Titles"] = f"{name}!$1:${sheet.frozen}"
        replace_names(index, "_xlnm.print", names, changes, hidden=False)


def _add_drawing(folder: str, sheet: NewSheet, changes: Changes) -> str:
    """A drawing part that holds charts and pictures."""
    drawing = changes.free_name(posixpath.join(folder, "drawings/drawing{}.xml"))
    changes.parts[drawing] = _drawing(sheet)
    add_content_types({drawing: _OFFICE_TYPE + "drawing+xml"}, changes)
    related = {}
    for number, chart in enumerate(sheet.charts, 1):
        part = changes.free_name(posixpath.join(folder, "charts/chart{}.xml"))
        changes.parts[part] = chart.xml
        add_content_types({part: _OFFICE_TYPE + "drawingml.chart+xml"}, changes)
        related[f"rId{number}"] = ("chart", part)
    for number, picture in enumerate(sheet.pictures, len(sheet.charts) + 1):
        part = changes.free_name(posixpath.join(folder, "media/image{}.png"))
        changes.parts[part] = picture.png
        add_content_types({part: "image/png"}, changes)
        related[f"rId{number}"] = ("image", part)
    _relate(drawing, related, changes)
    return drawing


def _relate(source: str, targets: Mapping[str, tuple[str, str]], changes: Changes) -> None:
    """Relationships of a new part: (last word of the type, target) by id."""
    lines = "".join(
        f'<Relationship Id="{identifier}" Type="{RELATIONSHIPS}/{kind}" '
        f'Target="{posixpath.relpath(target, posixpath.dirname(source))}"/>'
        for identifier, (kind, target) in targets.items()
    )
    changes.parts[relationships_part(source)] = xml_part(
        f'<Relationships xmlns="{PACKAGE_RELATIONSHIPS}">{lines}</Relationships>'
    )


def _sheet_xml(sheet: NewSheet, styles: Mapping[StyleKey, int]) -> bytes:
    columns = "".join(
        f'<col min="{index}" max="{index}" width="{width}" customWidth="1"/>'
        for index, width in enumerate(sheet.widths, 1)
    )
    columns = f"<cols>{columns}</cols>" if columns else ""
    drawing = '<drawing r:id="rId1"/>' if sheet.charts or sheet.pictures else ""
    return xml_part(
        f'<worksheet xmlns="{MAIN}" xmlns:r="{RELATIONSHIPS}">'
        '<sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
        f'<sheetViews><sheetView showGridLines="0" workbookViewId="0">{_pane(sheet.frozen)}'
        "</sheetView></sheetViews>"
        f'<sheetFormatPr defaultRowHeight="15"/>{columns}'
        f"<sheetData>{''.join(_rows(sheet, styles))}</sheetData>"
        '<pageMargins left="0.7" right="0.7" top="0.75" bottom="0.75" header="0.3" footer="0.3"/>'
        f'<pageSetup orientation="landscape" fitToHeight="0"/>{drawing}</worksheet>'
    )


def _pane(frozen: int) -> str:
    if not frozen:
        return ""
    return (
        f'<pane ySplit="{frozen}" topLeftCell="A{frozen + 1}" activePane="bottomLeft" '
        'state="frozen"/><selection pane="bottomLeft"/>'
    )


def _rows(sheet: NewSheet, styles: Mapping[StyleKey, int]) -> list[str]:
    rows = []
    for number, row in enumerate(sheet.rows, 1):
        cells = "".join(
            _cell(f"{column_letters(column)}{number}", item, styles)
            for column, item in enumerate(row, 1)
            if item is not None
        )
        if cells:
            height = ' ht="30" customHeight="1"' if any(map(_is_long, row)) else ""
            rows.append(f'<row r="{number}"{height}>{cells}</row>')
    return rows


def _is_long(item: StyledValue | None) -> bool:
    """Whether a heading takes two lines."""
    text = item.value if item is not None and item.style == "header" else None
    return isinstance(text, str) and len(text) > _LONG_HEADING


def _cell(reference: str, item: StyledValue, styles: Mapping[StyleKey, int]) -> str:
    index = styles.get(item.key)
    style = f' s="{index}"' if index is not None else ""
    if item.formula is None and isinstance(item.value, str):
        text = xml_text(item.value[:_LONGEST_TEXT])
        inline = f'<is><t xml:space="preserve">{text}</t></is>'
        return f'<c r="{reference}"{style} t="inlineStr">{inline}</c>'
    kind, cached = (part.decode() for part in encoded(item.value))
    kind = f' t="{kind}"' if kind else ""
    cached = f"<v>{cached}</v>" if cached else ""
    if item.formula is None:
        if not cached:
            return f'<c r="{reference}"{style}/>' if style else ""
        return f'<c r="{reference}"{style}{kind}>{cached}</c>'
    array = f' t="array" ref="{item.array}"' if item.array else ""
    # A formula's text is not escaped as a cell's is: _x0041_ in it means what it says.
    formula = escape(CONTROL.sub("", item.formula))
    return f'<c r="{reference}"{style}{kind}><f{array}>{formula}</f>{cached}</c>'


def _drawing(sheet: NewSheet) -> bytes:
    drawing = "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"
    main = "http://schemas.openxmlformats.org/drawingml/2006/main"
    chart = "http://schemas.openxmlformats.org/drawingml/2006/chart"
    anchors = "".join(
        "<xdr:twoCellAnchor>"
        f"<xdr:from><xdr:col>{place.column}</xdr:col><xdr:colOff>0</xdr:colOff>"
        f"<xdr:row>{place.row}</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:from>"
        f"<xdr:to><xdr:col>{place.column + place.columns}</xdr:col><xdr:colOff>0</xdr:colOff>"
        f"<xdr:row>{place.row + place.rows}</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:to>"
        '<xdr:graphicFrame macro=""><xdr:nvGraphicFramePr>'
        f'<xdr:cNvPr id="{number + 1}" name="Chart {number}"/>'
        "<xdr:cNvGraphicFramePr/></xdr:nvGraphicFramePr><xdr:xfrm>"
        '<a:off x="0" y="0"/><a:ext cx="0" cy="0"/></xdr:xfrm><a:graphic>'
        f'<a:graphicData uri="{chart}"><c:chart xmlns:c="{chart}" xmlns:r="{RELATIONSHIPS}" '
        f'r:id="rId{number}"/></a:graphicData></a:graphic></xdr:graphicFrame><xdr:clientData/>'
        "</xdr:twoCellAnchor>"
        for number, place in enumerate(sheet.charts, 1)
    )
    anchors += "".join(
        _picture(picture, number)
        for number, picture in enumerate(sheet.pictures, len(sheet.charts) + 1)
    )
    return xml_part(f'<xdr:wsDr xmlns:xdr="{drawing}" xmlns:a="{main}">{anchors}</xdr:wsDr>')


def _picture(place: PlacedPicture, number: int) -> str:
    return (
        "<xdr:oneCellAnchor>"
        f"<xdr:from><xdr:col>{place.column}</xdr:col><xdr:colOff>0</xdr:colOff>"
        f"<xdr:row>{place.row}</xdr:row><xdr:rowOff>0</xdr:rowOff></xdr:from>"
        f'<xdr:ext cx="{place.width * _PIXEL}" cy="{place.height * _PIXEL}"/><xdr:pic><xdr:nvPicPr>'
        f'<xdr:cNvPr id="{number + 1}" name="Picture {number}" descr={quoteattr(place.title)}/>'
        '<xdr:cNvPicPr><a:picLocks noChangeAspect="1"/></xdr:cNvPicPr></xdr:nvPicPr><xdr:blipFill>'
        f'<a:blip xmlns:r="{RELATIONSHIPS}" r:embed="rId{number}"/>'
        "<a:stretch><a:fillRect/></a:stretch></xdr:blipFill><xdr:spPr>"
        f'<a:xfrm><a:off x="0" y="0"/><a:ext cx="{place.width * _PIXEL}" '
        f'cy="{place.height * _PIXEL}"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom>'
        "</xdr:spPr></xdr:pic><xdr:clientData/></xdr:oneCellAnchor>"
    )
