"""Workbooks that hold what real files hold, made by an independent writer (XlsxWriter).

Each has the same model, a line through eight points fitted by its squared errors, on sheet Model:
variable cells B1:B2, objective B3. Cached values are those of the formulas. ``BOOKS`` have features
that XlsxWriter writes; ``VARIANTS`` change the package of one of them as other programs would.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import xlsxwriter
from packages import HEAD, MAIN, OFFICE, Parts, read, write

X = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
Y = [2.9, 5.2, 6.8, 9.1, 11.2, 12.9, 15.1, 16.8]
SLOPE, INTERCEPT = 1.5, 0.5
FIRST = 6
Book = Any  # XlsxWriter has no types of its own
Sheet = Any

NAMES = {
    "solver_adj": "Model!$B$1:$B$2", "solver_neg": "2", "solver_num": "0",
    "solver_opt": "Model!$B$3", "solver_typ": "2",
}  # fmt: skip


def png(width: int = 8, height: int = 8) -> bytes:
    """A grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + b"\x80" * width for _ in range(height))
    pieces = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in pieces)


def write_model(book: Book, sheet: Sheet) -> None:
    """The model: a formula per point, the loss, and what depends on it."""
    predicted = [SLOPE * x + INTERCEPT for x in X]
    errors = [(p - y) ** 2 for p, y in zip(predicted, Y, strict=True)]
    loss = sum(errors)
    sheet.write("A1", "slope")
    sheet.write("B1", SLOPE)
    sheet.write("A2", "intercept")
    sheet.write("B2", INTERCEPT)
    sheet.write("A3", "loss")
    last = FIRST + len(X) - 1
    sheet.write_formula("B3", f"=SUM(D{FIRST}:D{last})", None, loss)
    sheet.write("A5", "x")
    sheet.write("B5", "y")
    sheet.write("C5", "predicted")
    sheet.write("D5", "squared error")
    for number, (x, y, p, e) in enumerate(zip(X, Y, predicted, errors, strict=True), FIRST):
        sheet.write(f"A{number}", x)
        sheet.write(f"B{number}", y)
        sheet.write_formula(f"C{number}", f"=$B$1*A{number}+$B$2", None, p)
        sheet.write_formula(f"D{number}", f"=(C{number}-B{number})^2", None, e)
    sheet.write_formula("F1", '=IF(B3<1,"good","poor")', None, "good" if loss < 1 else "poor")
    sheet.write_formula("F2", "=B3>1", None, loss > 1)
    sheet.write_formula("F3", "=SQRT(1.6-B1)", None, (1.6 - SLOPE) ** 0.5)


# ---------------------------------------------------------------- what XlsxWriter writes


def charts(book: Book, sheet: Sheet) -> None:
    for kind, place in (("scatter", "H2"), ("column", "H20")):
        chart = book.add_chart({"type": kind})
        chart.add_series({
            "name": "=Model!$C$5", "categories": "=Model!$A$6:$A$13",
            "values": "=Model!$C$6:$C$13", "trendline": {"type": "linear"},
        })  # fmt: skip
        chart.set_title({"name": "Fit"})
        sheet.insert_chart(place, chart)
    page = book.add_chartsheet("Chart page")
    line = book.add_chart({"type": "line"})
    line.add_series({"values": "=Model!$D$6:$D$13"})
    page.set_chart(line)


def pictures(book: Book, sheet: Sheet) -> None:
    picture = {"image_data": BytesIO(png())}
    sheet.insert_image("H2", "grey.png", picture)
    sheet.insert_textbox("H8", "What the fit says", {"fill": {"color": "#DDEEFF"}})
    sheet.set_background(BytesIO(png(16, 16)))
    sheet.set_header("&L&G", {"image_left": "grey.png", "image_data_left": BytesIO(png(4, 4))})


def controls(book: Book, sheet: Sheet) -> None:
    sheet.insert_button("H2", {"macro": "Run", "caption": "Run"})
    sheet.insert_button("H6", {"caption": "Stop"})
    sheet.insert_checkbox("H9", True)
    book.add_vba_project(BytesIO(bytes(range(256)) * 8), is_stream=True)


def notes(book: Book, sheet: Sheet) -> None:
    sheet.write_comment("B1", "the slope", {"author": "Ada", "visible": True})
    sheet.write_comment("B3", "minimise this")
    sheet.write_url("H1", "https://example.com/?a=1&b=2", string="more")
    sheet.write_url("H2", "internal:Model!B3")
    bold, red = book.add_format({"bold": True}), book.add_format({"font_color": "red"})
    sheet.write_rich_string("H3", "not ", bold, "bold", " but ", red, "red")


def tables(book: Book, sheet: Sheet) -> None:
    data = [("a", 1.0), ("b", 2.0), ("c", 4.0)]
    sheet.add_table("H5:J9", {
        "data": data, "name": "Extra", "total_row": True,
        "columns": [
            {"header": "kind", "total_string": "Total"},
            {"header": "size", "total_function": "sum", "total_value": 7.0},
            {"header": "scaled", "formula": "=[@size]*Model!$B$1", "total_function": "sum"},
        ],
    })  # fmt: skip
    for row, (_, size) in enumerate(data, 6):
        sheet.write_formula(f"J{row}", "=Extra[[#This Row],[size]]*Model!$B$1", None, size * SLOPE)
    sheet.write_formula("J9", "=SUBTOTAL(109,Extra[scaled])", None, 7.0 * SLOPE)


def formats(book: Book, sheet: Sheet) -> None:
    sheet.conditional_format("D6:D13", {"type": "data_bar", "data_bar_2010": True})
    sheet.conditional_format("C6:C13", {"type": "icon_set", "icon_style": "3_arrows"})
    pink = book.add_format({"bg_color": "#FFC7CE"})
    rule = {"type": "cell", "criteria": ">", "value": 5, "format": pink}
    sheet.conditional_format("C6:C13", rule)
    sheet.data_validation("B1:B2", {"validate": "decimal", "criteria": "between", "minimum": -99,
                                    "maximum": 99, "input_message": "a number"})  # fmt: skip
    sheet.add_sparkline("E6", {"range": "Model!A6:D6", "markers": True})
    sheet.set_column("A:A", 14, book.add_format({"italic": True, "num_format": "0.000"}))
    sheet.set_row(0, 22, book.add_format({"border": 1}))
    sheet.merge_range("H1:I2", "merged", book.add_format({"align": "center"}))
    sheet.ignore_errors({"number_stored_as_text": "A1:F20"})
    sheet.write_string("H5", "007")


def views(book: Book, sheet: Sheet) -> None:
    sheet.autofilter("A5:D13")
    sheet.filter_column("A", "x > 1")
    sheet.set_row(5, options={"hidden": True})
    for row in range(15, 18):
        sheet.set_row(row, options={"level": 1, "hidden": True})
    sheet.freeze_panes(5, 1)
    sheet.print_area("A1:F13")
    sheet.repeat_rows(4)
    sheet.set_footer("&P of &N")
    sheet.set_h_pagebreaks([9])
    book.set_custom_property("Checked", True)
    book.set_properties({"title": "A line", "author": "Ada"})
    book.define_name("Slope", "=Model!$B$1")


def sheets(book: Book, sheet: Sheet) -> None:
    hidden = book.add_worksheet("Hidden")
    hidden.hide()
    hidden.write_formula("A1", "=Model!B3*2", None, 2 * _loss())
    very = book.add_worksheet("It's & <odd>")
    very.very_hidden()
    very.write_formula("A1", "=Hidden!A1+1", None, 2 * _loss() + 1)
    locked = book.add_worksheet("Locked")
    locked.protect("secret")
    locked.write_formula("A1", "=Model!B1", None, SLOPE)
    locked.write("A2", "constant")


def arrays(book: Book, sheet: Sheet) -> None:
    values = [SLOPE * x for x in X]
    sheet.write_array_formula("H6:H13", "{=A6:A13*B1}", None, values[0])
    for row, value in enumerate(values[1:], FIRST + 1):
        sheet.write_number(f"H{row}", value)
    sheet.write_dynamic_array_formula("J6:J13", "=B2+A6:A13", None, INTERCEPT + X[0])
    for row, x in enumerate(X[1:], FIRST + 1):
        sheet.write_number(f"J{row}", INTERCEPT + x)
    sheet.write_formula("L6", "=RAND()*B1", None, 0.25)
    sheet.write_formula("L7", "=L6*0", None, 0.0)
    sheet.write_formula("L8", "=VLOOKUP(ROUND(B1,0),A6:B13,2,FALSE)", None, Y[1])


def dates(book: Book, sheet: Sheet) -> None:
    import datetime

    style = book.add_format({"num_format": "d mmm yyyy"})
    sheet.write_datetime("H1", datetime.datetime(2020, 2, 29), style)
    sheet.write_formula("H2", "=YEAR(H1)+ROUND(B1,0)", None, 2022.0)


Feature = Callable[[Book, Sheet], None]
BOOKS: dict[str, tuple[Feature, dict[str, Any], str]] = {
    "charts": (charts, {}, ".xlsx"), "pictures": (pictures, {}, ".xlsx"),
    "controls": (controls, {}, ".xlsm"), "notes": (notes, {}, ".xlsx"),
    "tables": (tables, {}, ".xlsx"), "formats": (formats, {}, ".xlsx"),
    "views": (views, {}, ".xlsx"), "sheets": (sheets, {}, ".xlsx"),
    "arrays": (arrays, {}, ".xlsx"), "dates of 1904": (dates, {"date_1904": True}, ".xlsx"),
    "inline strings": (lambda book, sheet: None, {"constant_memory": True}, ".xlsx"),
}  # fmt: skip


def make_book(name: str, folder: Path) -> Path:
    """One of BOOKS, with its stored Solver model."""
    feature, options, suffix = BOOKS[name]
    path = folder / (name.replace(" ", "_") + suffix)
    book = xlsxwriter.Workbook(str(path), options)
    sheet = book.add_worksheet("Model")
    if name == "inline strings":
        # In this mode rows have to be written in order.
        _write_in_order(sheet)
    else:
        write_model(book, sheet)
    feature(book, sheet)
    book.close()
    return with_solver_names(path)


def with_solver_names(path: Path) -> Path:
    """Add the hidden names, which XlsxWriter does not write."""
    contents = read(path)
    names = "".join(
        f'<definedName name="{name}" localSheetId="0" hidden="1">{text}</definedName>'
        for name, text in NAMES.items()
    ).encode()
    workbook = contents["xl/workbook.xml"]
    if b"</definedNames>" in workbook:
        workbook = workbook.replace(b"</definedNames>", names + b"</definedNames>")
    else:
        workbook = workbook.replace(
            b"<calcPr", b"<definedNames>" + names + b"</definedNames><calcPr"
        )
    return write(path, {**contents, "xl/workbook.xml": workbook})


class _Kept:
    """Takes the calls of write_model and plays them back row by row."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str, tuple[Any, ...]]] = []

    def __getattr__(self, method: str) -> Callable[..., None]:
        def keep(place: str, *arguments: Any) -> None:
            self.calls.append((int(re.sub(r"\D", "", place)), method, (place, *arguments)))

        return keep


def _write_in_order(sheet: Sheet) -> None:
    kept = _Kept()
    write_model(None, kept)
    for _, method, arguments in sorted(kept.calls, key=lambda call: (call[0], call[2][0])):
        getattr(sheet, method)(*arguments)


def _loss() -> float:
    return sum((SLOPE * x + INTERCEPT - y) ** 2 for x, y in zip(X, Y, strict=True))


# ---------------------------------------------------------------- what other programs do

SHEET = "xl/worksheets/sheet1.xml"
SHEET_RELS = "xl/worksheets/_rels/sheet1.xml.rels"


def _edit(contents: Parts, part: str, *changes: tuple[str, str]) -> Parts:
    text = contents[part].decode()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return {**contents, part: text.encode()}


def _related(contents: Parts, rels: str, kind: str, target: str, identifier: str) -> Parts:
    data = contents.get(rels, (
        HEAD + '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        "</Relationships>"
    ).encode()).decode()  # fmt: skip
    entry = f'<Relationship Id="{identifier}" Type="{kind}" Target="{target}"/>'
    return {**contents, rels: data.replace("</Relationships>", entry + "</Relationships>").encode()}


def _typed(contents: Parts, part: str, kind: str) -> Parts:
    return _edit(
        contents, "[Content_Types].xml",
        ("</Types>", f'<Override PartName="/{part}" ContentType="{kind}"/></Types>'),
    )  # fmt: skip


def absolute_targets(contents: Parts) -> Parts:
    """Relationship targets from the root, as some programs write them."""
    rels = contents["xl/_rels/workbook.xml.rels"].decode()
    rels = re.sub(r'Target="(?!/)', 'Target="/xl/', rels)
    return {**contents, "xl/_rels/workbook.xml.rels": rels.encode()}


def unusual_order(contents: Parts) -> Parts:
    """Content types last, sheets first."""
    return {name: contents[name] for name in sorted(contents, reverse=True)}


def unknown_parts(contents: Parts) -> Parts:
    """Parts and relationships that nobody has seen."""
    found = contents | {
        "customXml/item1.xml": b"<?xml version='1.0'?>\r\n<a   b = 'c'\t/>\r\n",
        "xl/future/thing1.bin": bytes(range(256)),
        "xl/worksheets/empty.xml": b"",
    }
    found = _related(found, "_rels/.rels", f"{OFFICE}/customXml", "customXml/item1.xml", "rIdX")
    found = _related(
        found, SHEET_RELS, "http://example.com/2031/thing", "../future/thing1.bin", "q"
    )
    return _typed(found, "xl/future/thing1.bin", "application/x-thing")


def external_link(contents: Parts) -> Parts:
    """A link to another workbook, with its cached values, and a cell that reads it."""
    link = (
        f'{HEAD}<externalLink xmlns="{MAIN}"><externalBook xmlns:r="{OFFICE}" r:id="rId1">'
        '<sheetNames><sheetName val="Rates"/></sheetNames><sheetDataSet><sheetData sheetId="0">'
        '<row r="1"><cell r="A1"><v>4</v></cell></row></sheetData></sheetDataSet></externalBook>'
        "</externalLink>"
    )
    rels = (
        f'{HEAD}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{OFFICE}/externalLinkPath" Target="rates.xlsx" '
        'TargetMode="External"/></Relationships>'
    )
    found = contents | {
        "xl/externalLinks/externalLink1.xml": link.encode(),
        "xl/externalLinks/_rels/externalLink1.xml.rels": rels.encode(),
    }
    found = _related(found, "xl/_rels/workbook.xml.rels", f"{OFFICE}/externalLink",
                     "externalLinks/externalLink1.xml", "rId77")  # fmt: skip
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.externalLink+xml"
    found = _typed(found, "xl/externalLinks/externalLink1.xml", kind)
    found = _edit(found, "xl/workbook.xml", (
        "<definedNames>",
        '<externalReferences><externalReference r:id="rId77"/></externalReferences><definedNames>',
    ))  # fmt: skip
    cell = '<c r="F4"><f>[1]Rates!$A$1*B1</f><v>6</v></c>'
    return _edit(found, SHEET, ('<row r="5"', f'<row r="4">{cell}</row><row r="5"'))


def extensions(contents: Parts) -> Parts:
    """Alternate content and an extension of a namespace of the future."""
    extra = (
        '<extLst><ext uri="{11111111-2222-3333-4444-555555555555}" xmlns:zz="urn:zz">'
        "<zz:c r='B1'>  <![CDATA[<v>9</v>]]>\r\n</zz:c></ext></extLst>"
    )
    return _edit(contents, SHEET, (
        "<pageMargins",
        '<!-- B1 --><?mso-thing "B1"?><pageMargins',
    ), ("</worksheet>", extra + "</worksheet>"))  # fmt: skip


def confusing_extensions(contents: Parts) -> Parts:
    """Extensions that look like the real thing, and comments that hold tags."""
    rows = '<row r="1"><c r="B1"><v>77</v></c></row>'
    ext = (
        '<extLst><ext uri="{11111111-2222-3333-4444-555555555555}" xmlns:q="urn:q">'
        f"<q:sheetData>{rows.replace('<', '<q:').replace('<q:/', '</q:')}</q:sheetData>{rows}"
        "</ext></extLst>"
    )
    found = _edit(contents, SHEET, ("</worksheet>", f"{ext}<!-- </sheetData> --></worksheet>"))
    found = _edit(found, "xl/workbook.xml", (
        "<sheets>", "<!-- <calcPr/></sheets></definedNames> --><sheets>",
    ), ("</workbook>",
        '<extLst><ext uri="{11111111-2222-3333-4444-555555555556}" xmlns:q="urn:q">'
        '<q:definedNames><q:definedName name="solver_opt">Model!$A$1</q:definedName>'
        '</q:definedNames><q:sheet name="n"/><q:calcPr iterate="1"/></ext></extLst></workbook>',
    ))  # fmt: skip
    return _edit(found, "[Content_Types].xml", ("</Types>", "<!-- </Types> --></Types>"))


def types_by_override(contents: Parts) -> Parts:
    """Content types of relationship parts one by one, as some PHP programs write them."""
    text = contents["[Content_Types].xml"].decode()
    text = re.sub(r'<Default Extension="rels"[^>]*/>', "", text)
    kind = "application/vnd.openxmlformats-package.relationships+xml"
    entries = "".join(
        f'<Override PartName="/{name}" ContentType="{kind}"/>'
        for name in contents if name.endswith(".rels")
    )  # fmt: skip
    text = text.replace("</Types>", entries + "</Types>")
    return {**contents, "[Content_Types].xml": text.encode()}


def expanded_chain(contents: Parts) -> Parts:
    """A chain that loses all its cells, its entries elsewhere written with an end tag."""
    found = _edit(contents, SHEET, (
        '<c r="B1"><v>1.5</v></c>', '<c r="B1"><f>1+0.5</f><v>1.5</v></c>',
    ))  # fmt: skip
    chain = f'{HEAD}<calcChain xmlns="{MAIN}"><c r="B1" i="1"></c></calcChain>'
    found = found | {"xl/calcChain.xml": chain.encode()}
    found = _related(found, "xl/_rels/workbook.xml.rels", f"{OFFICE}/calcChain", "calcChain.xml",
                     "rId78")  # fmt: skip
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.calcChain+xml"
    found = _typed(found, "xl/calcChain.xml", kind)
    for part, tag in (("xl/_rels/workbook.xml.rels", "Relationship"),
                      ("[Content_Types].xml", "Override")):  # fmt: skip
        text = re.sub(rf"<({tag} [^>]*)/>", rf"<\1></{tag}>", found[part].decode())
        found[part] = text.encode()
    return found


def pretty_printed(contents: Parts) -> Parts:
    """Line ends between elements, single quotes, rows and cells without their places."""
    text = contents[SHEET].decode()
    text = text.replace("<row ", "\r\n  <row ").replace("<c ", "\r\n    <c ")
    text = re.sub(r'<row r="\d+" spans="([^"]*)"', r"<row spans='\1'", text)
    text = re.sub(r'<c r="([A-Z]+\d+)"', r"<c r='\1' ", text)
    text, count = re.subn(r"(?=<row[^>]*>\s*<c r='A5')", "<row r='4'/>\r\n  ", text)
    assert count == 1  # there is no row 4
    return {**contents, SHEET: text.encode()}


def prefixed(contents: Parts) -> Parts:
    """The main namespace under a prefix, as some .NET programs write it."""
    found = dict(contents)
    for part in (SHEET, "xl/workbook.xml"):
        text = found[part].decode()
        text = re.sub(r"<(/?)(?![?!])(\w)", r"<\1x:\2", text)
        found[part] = text.replace("xmlns=", "xmlns:x=").encode()
    return found


def byte_order_mark(contents: Parts) -> Parts:
    return {**contents, SHEET: b"\xef\xbb\xbf" + contents[SHEET]}


def formula_variables(contents: Parts) -> Parts:
    """A variable cell that holds a formula, and one that shares it with cells that do not move."""
    return _edit(
        contents, SHEET,
        ('<c r="B1"><v>1.5</v></c>',
         '<c r="B1"><f t="shared" ref="B1:D1" si="9">1+0.5</f><v>1.5</v></c><c r="C1">'
         '<f t="shared" si="9"/><v>1.5</v></c><c r="D1"><f t="shared" si="9"/><v>1.5</v></c>'),
        ('<c r="B2"><v>0.5</v></c>', '<c r="B2" s="0"><f>B9*0+0.5</f><v>0.5</v></c>'),
    )  # fmt: skip


def blank_variables(contents: Parts) -> Parts:
    """A variable cell that is not there, and one that is formatted alone."""
    text = contents[SHEET].decode()
    text = text.replace('<c r="B1"><v>1.5</v></c>', "").replace(
        '<c r="B2"><v>0.5</v></c>', '<c r="B2" s="0"/>'
    )
    values = {f"C{row}": 0.0 for row, _ in enumerate(Y, FIRST)}
    values |= {f"D{row}": y * y for row, y in enumerate(Y, FIRST)}
    values |= {"B3": sum(y * y for y in Y), "F3": 1.6**0.5}
    for cell, value in values.items():
        text = re.sub(rf'(<c r="{cell}"[^>]*><f>[^<]*</f><v>)[^<]*', rf"\g<1>{value!r}", text)
    return {**contents, SHEET: text.encode()}


def calculation_chain(contents: Parts) -> Parts:
    """The order in which Excel last computed the cells."""
    cells = re.findall(r'<c r="([A-Z]+\d+)"[^>]*><f', contents[SHEET].decode())
    chain = "".join(f'<c r="{cell}" i="1"/>' for cell in cells)
    found = contents | {
        "xl/calcChain.xml": f'{HEAD}<calcChain xmlns="{MAIN}">{chain}</calcChain>'.encode()
    }
    found = _related(found, "xl/_rels/workbook.xml.rels", f"{OFFICE}/calcChain", "calcChain.xml",
                     "rId78")  # fmt: skip
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.calcChain+xml"
    return _typed(found, "xl/calcChain.xml", kind)


def pivot(contents: Parts) -> Parts:
    """A pivot table on a sheet of its own, with its cache."""
    spreadsheet = "application/vnd.openxmlformats-officedocument.spreadsheetml."
    cache = (
        f'{HEAD}<pivotCacheDefinition xmlns="{MAIN}" xmlns:r="{OFFICE}" r:id="rId1" '
        'recordCount="1"><cacheSource type="worksheet">'
        '<worksheetSource ref="A5:B13" sheet="Model"/></cacheSource>'
        '<cacheFields count="2"><cacheField name="x" numFmtId="0"><sharedItems '
        'containsSemiMixedTypes="0" containsString="0" containsNumber="1" containsInteger="1" '
        'minValue="1" maxValue="1" count="1"><n v="1"/></sharedItems></cacheField>'
        '<cacheField name="y" numFmtId="0"><sharedItems containsSemiMixedTypes="0" '
        'containsString="0" containsNumber="1" minValue="2.9" maxValue="2.9"/></cacheField>'
        "</cacheFields></pivotCacheDefinition>"
    )
    records = (
        f'{HEAD}<pivotCacheRecords xmlns="{MAIN}" count="1"><r><x v="0"/><n v="2.9"/></r>'
        "</pivotCacheRecords>"
    )
    table = (
        f'{HEAD}<pivotTableDefinition xmlns="{MAIN}" name="Pivot" cacheId="3" dataCaption="Values">'
        '<location ref="H20:I22" firstHeaderRow="1" firstDataRow="1" firstDataCol="1"/>'
        '<pivotFields count="2"><pivotField axis="axisRow" showAll="0"><items count="2">'
        '<item x="0"/><item t="default"/></items></pivotField><pivotField dataField="1" '
        'showAll="0"/></pivotFields><rowFields count="1"><field x="0"/></rowFields>'
        '<rowItems count="2"><i><x/></i><i t="grand"><x/></i></rowItems>'
        '<colItems count="1"><i/></colItems>'
        '<dataFields count="1"><dataField name="Sum of y" fld="1"/></dataFields>'
        "</pivotTableDefinition>"
    )
    found = contents | {
        "xl/pivotCache/pivotCacheDefinition1.xml": cache.encode(),
        "xl/pivotCache/pivotCacheRecords1.xml": records.encode(),
        "xl/pivotTables/pivotTable1.xml": table.encode(),
    }
    related = [
        ("xl/_rels/workbook.xml.rels", "pivotCacheDefinition",
         "pivotCache/pivotCacheDefinition1.xml", "rId79"),
        ("xl/pivotCache/_rels/pivotCacheDefinition1.xml.rels", "pivotCacheRecords",
         "pivotCacheRecords1.xml", "rId1"),
        ("xl/pivotTables/_rels/pivotTable1.xml.rels", "pivotCacheDefinition",
         "../pivotCache/pivotCacheDefinition1.xml", "rId1"),
        (SHEET_RELS, "pivotTable", "../pivotTables/pivotTable1.xml", "rId79"),
    ]  # fmt: skip
    for rels, kind, target, identifier in related:
        found = _related(found, rels, f"{OFFICE}/{kind}", target, identifier)
    for part, kind in (
        ("pivotCache/pivotCacheDefinition1", "pivotCacheDefinition"),
        ("pivotCache/pivotCacheRecords1", "pivotCacheRecords"),
        ("pivotTables/pivotTable1", "pivotTable"),
    ):
        found = _typed(found, f"xl/{part}.xml", f"{spreadsheet}{kind}+xml")
    workbook = found["xl/workbook.xml"].decode()
    workbook = re.sub(
        r"(<calcPr[^>]*/>)", r'\1<pivotCaches><pivotCache cacheId="3" r:id="rId79"/></pivotCaches>',
        workbook,
    )  # fmt: skip
    return found | {"xl/workbook.xml": workbook.encode()}


VARIANTS: dict[str, Callable[[Parts], Parts]] = {
    change.__name__: change
    for change in (
        absolute_targets, unusual_order, unknown_parts, external_link, extensions, pretty_printed,
        prefixed, byte_order_mark, formula_variables, blank_variables, calculation_chain, pivot,
        confusing_extensions, types_by_override, expanded_chain,
    )
}  # fmt: skip


def make_variant(name: str, folder: Path) -> Path:
    """The book with charts, its package changed."""
    (folder / name).mkdir()
    source = make_book("charts", folder / name)
    path = folder / f"{name}.xlsx"
    stored = zipfile.ZIP_STORED if name == "unusual_order" else zipfile.ZIP_DEFLATED
    return write(path, VARIANTS[name](read(source)), stored)
