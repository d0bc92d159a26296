"""Reading: what other programs may write, and what a sheet's XML may look like."""

import json
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from packages import (
    MAIN,
    OFFICE,
    SHEET1,
    WORKBOOK,
    WORKBOOK_RELS,
    Parts,
    edited,
    parts,
    relationships,
    sheet,
    write,
)

from xl2torch.cells.address import CellAddress, CellRange, column_number, parse_a1
from xl2torch.cells.values import DIV0, ERRORS, NA, CellValue
from xl2torch.cli import main
from xl2torch.errors import SelectionError, WorkbookError
from xl2torch.evaluate.recalculation import recalculate
from xl2torch.evaluate.verification import verify
from xl2torch.workbook.read.reader import DefinedName, Workbook, load
from xl2torch.workbook.read.selection import parse_ranges
from xl2torch.workbook.read.sheet_reader import Sheet, Table


def opened(tmp_path: Path, contents: Parts) -> Workbook:
    """A workbook of these parts, read."""
    return load(write(tmp_path / "book.xlsx", contents))


def value(found: Sheet, a1: str) -> CellValue:
    """A cell's value."""
    place = at(a1)
    return found.cells.value(place.row, place.column)


def at(a1: str) -> CellAddress:
    """A cell's address."""
    area = parse_a1(a1, "")
    assert area is not None
    return area.first


def first_sheet(tmp_path: Path, data: str, strings: str | None = None) -> Sheet:
    """The sheet with this content of sheetData."""
    contents = parts({"Data": sheet(data)}, names="", strings=strings)
    return opened(tmp_path, contents).sheet("Data")


STRINGS = (
    "<si><t>plain</t></si>"
    "<si><r><t>rich </t></r><r><rPr><b/></rPr><t>text</t></r></si>"
    "<si><t>漢字</t><rPh sb='0' eb='2'><t>かんじ</t></rPh><phoneticPr fontId='1'/></si>"
    "<si><t>a_x000D_b_x005F_x000D_</t></si>"
    "<si><t xml:space='preserve'> spaces </t></si>"
    "<si><t/></si>"
    "<si/>"
    "<si><t>&lt;&amp;&gt; &#x1F600;</t></si>"
    "<si><t><![CDATA[<cdata>]]></t></si>"
)

CELLS: dict[str, tuple[str, CellValue]] = {
    # case: the cell's XML, its value
    "number": ("<c r='A1'><v>1.5</v></c>", 1.5),
    "number of type n": ("<c r='A1' t='n'><v>1.5</v></c>", 1.5),
    "number with an exponent": ("<c r='A1'><v>-1.5E-300</v></c>", -1.5e-300),
    "number of 17 digits": ("<c r='A1'><v>0.10000000000000001</v></c>", 0.1),
    "number between spaces": ("<c r='A1'><v> 2\n</v></c>", 2.0),
    "logical": ("<c r='A1' t='b'><v>1</v></c>", True),
    "false": ("<c r='A1' t='b'><v>0</v></c>", False),
    "error": ("<c r='A1' t='e'><v>#DIV/0!</v></c>", DIV0),
    "formula with an error": ("<c r='A1' t='e'><f>NA()</f><v>#N/A</v></c>", NA),
    "formula with a text": ("<c r='A1' t='str'><f>1</f><v>five</v></c>", "five"),
    "formula with an empty text": ("<c r='A1' t='str'><f>1</f><v></v></c>", ""),
    "formula with an empty text, short": ("<c r='A1' t='str'><f>1</f><v/></c>", ""),
    "formula with an escape": ("<c r='A1' t='str'><f>1</f><v>a_x000A_b</v></c>", "a\nb"),
    "formula that begins with =": ("<c r='A1' t='str'><v>=1+1</v></c>", "=1+1"),
    "formula without a value": ("<c r='A1'><f>1+1</f></c>", None),
    "date": ("<c r='A1' t='d'><v>2024-01-01</v></c>", 45292.0),
    "date and time": ("<c r='A1' t='d'><v>2024-01-01T06:00:00</v></c>", 45292.25),
    "date and time of Greenwich": ("<c r='A1' t='d'><v>2024-01-01T06:00:00Z</v></c>", 45292.25),
    "date and time of another zone": (
        "<c r='A1' t='d'><v>2024-01-01T06:00:00+00:00</v></c>", 45292.25),
    "inline string": ("<c r='A1' t='inlineStr'><is><t>five</t></is></c>", "five"),
    "inline rich string": (
        "<c r='A1' t='inlineStr'><is><r><t>fi</t></r><r><rPr><b/></rPr><t>ve</t></r></is></c>",
        "five"),
    "inline string with a reading": (
        "<c r='A1' t='inlineStr'><is><t>漢字</t><rPh sb='0' eb='2'><t>かんじ</t></rPh></is></c>",
        "漢字"),
    "inline string with an escape": (
        "<c r='A1' t='inlineStr'><is><t>a_x000D_</t></is></c>", "a\r"),
    "shared string": ("<c r='A1' t='s'><v>0</v></c>", "plain"),
    "shared rich string": ("<c r='A1' t='s'><v>1</v></c>", "rich text"),
    "shared string with a reading": ("<c r='A1' t='s'><v>2</v></c>", "漢字"),
    "shared string with escapes": ("<c r='A1' t='s'><v>3</v></c>", "a\rb_x000D_"),
    "shared string with spaces": ("<c r='A1' t='s'><v>4</v></c>", " spaces "),
    "empty shared string": ("<c r='A1' t='s'><v>5</v></c>", ""),
    "shared string without a text": ("<c r='A1' t='s'><v>6</v></c>", ""),
    "shared string with entities": ("<c r='A1' t='s'><v>7</v></c>", "<&> 😀"),
    "shared string in CDATA": ("<c r='A1' t='s'><v>8</v></c>", "<cdata>"),
    "formatted blank": ("<c r='A1' s='1'/>", None),
    "empty value": ("<c r='A1'><v/></c>", None),
    "with an extension": (
        "<c r='A1'><v>3</v><extLst><ext uri='x'><x:v xmlns:x='y'>9</x:v></ext></extLst></c>", 3.0),
    "in CDATA": ("<c r='A1'><v><![CDATA[4]]></v></c>", 4.0),
}  # fmt: skip


@pytest.mark.parametrize(("xml", "expected"), CELLS.values(), ids=CELLS)
def test_values(tmp_path: Path, xml: str, expected: CellValue) -> None:
    found = value(first_sheet(tmp_path, f"<row r='1'>{xml}</row>", STRINGS), "A1")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("xml", "expected"), CELLS.values(), ids=CELLS)
def test_values_with_prefixes(tmp_path: Path, xml: str, expected: CellValue) -> None:
    """The main namespace bound to a prefix, as some programs write it."""
    contents = prefixed(parts({"Data": sheet(f"<row r='1'>{xml}</row>")}, "", STRINGS), SHEET1)
    assert value(opened(tmp_path, contents).sheet("Data"), "A1") == expected


def prefixed(contents: Parts, *names: str) -> Parts:
    """Parts with the main namespace under the prefix ``x``."""
    changed = dict(contents)
    for name in names:
        text = contents[name].decode().replace(f'xmlns="{MAIN}"', f'xmlns:x="{MAIN}"')
        text = text.replace("xmlns:x='y'", "xmlns:y='y'").replace("x:v", "y:v")
        changed[name] = re.sub(r"<(/?)(?=[A-Za-z]+[\s/>])", r"<\1x:", text).encode()
    return changed


def test_a_workbook_with_prefixes(tmp_path: Path) -> None:
    contents = parts(strings=STRINGS)
    names = (SHEET1, WORKBOOK, "xl/sharedStrings.xml")
    book = opened(tmp_path, prefixed(contents, *names))
    plain = load(write(tmp_path / "plain.xlsx", contents))
    assert book.names == plain.names
    assert book.sheet("Model").formulas == plain.sheet("Model").formulas
    assert value(book.sheet("Model"), "B1") == 5.0


def test_cells_without_addresses(tmp_path: Path) -> None:
    """The r attributes of rows and cells may be missing: each is the next one."""
    data = (
        "<row><c><v>1</v></c><c><v>2</v></c><c r='E1'><v>5</v></c><c><v>6</v></c></row>"
        "<row><c><f>A1</f><v>1</v></c></row><row r='7'><c r='B7'><v>7</v></c></row><row>"
        "<c><v>8</v></c></row>"
    )
    found = first_sheet(tmp_path, data)
    expected = {"A1": 1, "B1": 2, "E1": 5, "F1": 6, "A2": 1, "B7": 7, "A8": 8}
    assert {a1: value(found, a1) for a1 in expected} == expected
    assert value(found, "C1") is None
    assert (found.formulas[0].row, found.formulas[0].column) == (2, 1)
    assert found.extent == (8, 6)


ONE = "<row r='2'><c r='B2'><v>1</v></c></row>"
DAMAGED = {
    "rows out of order": f"{ONE}<row r='1'><c r='A1'><v>2</v></c></row>",
    "a row twice": f"{ONE}<row r='2'><c r='C2'><v>2</v></c></row>",
    "cells out of order": "<row r='3'><c r='C3'><v>33</v></c><c r='A3'><v>31</v></c></row>",
    "a cell twice": "<row r='1'><c r='A1'><v>1</v></c><c r='A1'><v>2</v></c></row>",
    "a blank cell twice": "<row r='1'><c r='A1' s='1'/><c r='A1'><v>2</v></c></row>",
    "a cell of another row": "<row r='1'><c r='A2'><v>1</v></c></row>",
    "a column beyond XFD": "<row r='1'><c r='XFE1'><v>1</v></c></row>",
    "a row beyond the last": "<row r='1048577'><c r='A1048577'><v>1</v></c></row>",
    "row 0": "<row r='0'><c r='A0'><v>1</v></c></row>",
    "a row of 64 bits": "<row r='99999999999999999999'><c><v>5</v></c></row>",
    "an absolute reference": "<row r='9'><c r='$B$9'><f>B1+1</f><v>5</v></c></row>",
    "no reference": "<row r='1'><c r='inlineStr'><v>1</v></c></row>",
    "a number that is none": "<row r='1'><c r='A1'><v>nan</v></c></row>",
    "an infinite number": "<row r='1'><c r='A1'><v>1e999</v></c></row>",
    "a number of Python": "<row r='1'><c r='A1'><v>1_000</v></c></row>",
    "other digits": "<row r='1'><c r='A1'><v>\u0663</v></c></row>",
    "a string of other digits": "<row r='1'><c r='A1' t='s'><v>\u0660</v></c></row>",
    "a string before the first": "<row r='1'><c r='A1' t='s'><v>-1</v></c></row>",
    "a value in a value": "<row r='1'><c r='A1'><v>3<v>7</v></v></c></row>",
    "a cell in a formula": "<row r='1'><c r='A1'><f>1<c r='B1'/></f><v>7</v></c></row>",
}  # fmt: skip


@pytest.mark.parametrize("quote", "'\"")
@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_excel_would_not_read_is_called_damaged(data: str, quote: str, tmp_path: Path) -> None:
    """In the plain spelling, which has a way of its own, and in another one."""
    with pytest.raises(WorkbookError, match="damaged"):
        first_sheet(tmp_path, data.replace("'", quote))


@pytest.mark.parametrize("area", ["", "A1:A2", "B2:B3", "A1:XFD1048576"])
def test_an_array_formula_whose_range_begins_elsewhere_is_damaged(
    area: str, tmp_path: Path
) -> None:
    data = f"<row r='1'><c r='B1'><f t='array' ref='{area}'>A1:A2*2</f><v>1</v></c></row>"
    with pytest.raises(WorkbookError, match=r"damaged: .*array formula"):
        first_sheet(tmp_path, data)


def test_shared_formulas(tmp_path: Path) -> None:
    data = (
        "<row r='1'><c r='B1'><f t='shared' ref='B1:B3' si='0'>A1*$A$1+LOG10(A1)</f><v>1</v></c>"
        "<c r='D1'><f t='shared' ref='D1:D2' si='1'>\"A1\"</f><v>0</v></c></row>"
        "<row r='2'><c r='B2'><f t='shared' si='0'/><v>2</v></c>"
        "<c r='D2'><f t='shared' si='1'></f><v>0</v></c></row>"
        "<row r='3'><c r='B3'><f>A3+1</f><v>3</v></c></row>"
        "<row r='4'><c r='B4'><f t='shared' ref='B4' si='0'>A4-1</f><v>4</v></c></row>"
        "<row r='5'><c r='B5'><f t='shared' si='0'/><v>5</v></c></row>"
    )
    found = first_sheet(tmp_path, data).formula_at
    bases = {place: (cell.text, cell.base_row, cell.base_column) for place, cell in found.items()}
    assert bases == {
        (1, 2): ("A1*$A$1+LOG10(A1)", 1, 2),
        (2, 2): ("A1*$A$1+LOG10(A1)", 1, 2),
        (1, 4): ('"A1"', 1, 4),
        (2, 4): ('"A1"', 1, 4),
        (3, 2): ("A3+1", 3, 2),
        (4, 2): ("A4-1", 4, 2),
        (5, 2): ("A4-1", 4, 2),
    }


def test_array_formulas(tmp_path: Path) -> None:
    data = (
        "<row r='1'><c r='A1' cm='1'><f t='array' ref='A1:B2'>C1:D2</f><v>1</v></c>"
        "<c r='B1'><v>2</v></c></row>"
        "<row r='4'><c r='A4'><f t='array' ref='A4'>SUM(C1:D2)</f><v>1</v></c></row>"
    )
    found = first_sheet(tmp_path, data).formula_at
    assert {place: cell.array for place, cell in found.items()} == {
        (1, 1): (1, 1, 2, 2),
        (4, 1): (4, 1, 4, 1),
    }


def test_a_data_table_keeps_its_values(tmp_path: Path) -> None:
    data = "<row r='1'><c r='A1'><f t='dataTable' ref='A1:A2' dt2D='0' r1='C1'/><v>5</v></c></row>"
    found = first_sheet(tmp_path, data)
    assert (found.formulas, value(found, "A1")) == ((), 5.0)


def test_the_last_cell_of_a_sheet(tmp_path: Path) -> None:
    """A cell at the far end costs one cell."""
    data = (
        "<row r='1'><c r='A1'><v>1</v></c></row>"
        "<row r='1048576'><c r='XFD1048576'><f>A1+1</f><v>2</v></c></row>"
    )
    began = time.perf_counter()
    found = first_sheet(tmp_path, data)
    assert found.extent == (1_048_576, 16_384)
    assert value(found, "XFD1048576") == 2.0
    assert len(found.cells.keys) == 2
    assert time.perf_counter() - began < 2


def test_the_last_cell_of_a_sheet_is_cheap_everywhere(tmp_path: Path) -> None:
    """So do whole columns and rows over it."""
    cells = "A1 1\nB1 =SUM(C:C) | 3\nB2 =SUM(3:4) | 2\nC1 3\nXFD1048576 7\nA4 2"
    began = time.perf_counter()
    path = write(tmp_path / "book.xlsx", parts(cells, names=""))
    result = CliRunner().invoke(main, ["verify", str(path), "--json"])
    assert json.loads(result.output)["total"]["matched"] == 2
    assert time.perf_counter() - began < 20


def test_chart_sheets_count_in_the_sheet_order(tmp_path: Path) -> None:
    """localSheetId counts all sheets of the workbook part, chart sheets too."""
    contents = parts({"First": "A1 1", "Chart": "A1 1", "Model": "A1 5\nB1 =A1^2 | 25"}, names=(
        '<definedName name="solver_opt" localSheetId="2">Model!$B$1</definedName>'
        '<definedName name="solver_adj" localSheetId="2">Model!$A$1</definedName>'
        '<definedName name="x" localSheetId="0">First!$A$1</definedName>'
        '<definedName name="x">Model!$A$1</definedName>'
        '<definedName name="lost" localSheetId="7">Model!$A$1</definedName>'
    ))  # fmt: skip
    contents = edited(
        contents, WORKBOOK_RELS,
        (f'{OFFICE}/worksheet" Target="worksheets/sheet2.xml"',
         f'{OFFICE}/chartsheet" Target="chartsheets/sheet1.xml"'),
    )  # fmt: skip
    contents["xl/chartsheets/sheet1.xml"] = f'<chartsheet xmlns="{MAIN}"/>'.encode()
    book = opened(tmp_path, contents)
    assert book.sheet_order == ("First", "Chart", "Model")
    assert [found.name for found in book.sheets] == ["First", "Model"]
    assert DefinedName("solver_opt", "Model!$B$1", "Model") in book.names
    assert book.defined_name("X", "first") == DefinedName("x", "First!$A$1", "First")
    assert book.defined_name("X", "Model") == DefinedName("x", "Model!$A$1", None)
    assert book.defined_name("lost", "Model") is None
    with pytest.raises(SelectionError, match="no worksheet named 'Chart'"):
        book.sheet("Chart")


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_hidden_sheets_are_read(tmp_path: Path, state: str) -> None:
    contents = parts({"Model": "A1 1", "Secret": "A1 2"}, names="")
    contents = edited(contents, WORKBOOK, ('name="Secret"', f'state="{state}" name="Secret"'))
    assert value(opened(tmp_path, contents).sheet("secret"), "A1") == 2.0


def test_the_order_of_parts_does_not_matter(tmp_path: Path) -> None:
    contents = parts(strings=STRINGS)
    backwards = {name: contents[name] for name in reversed(contents)}
    book = opened(tmp_path, backwards)
    assert value(book.sheet("Model"), "B1") == 5.0
    assert len(book.names) == 5


TARGETS = {
    "relative": ("worksheets/sheet1.xml", SHEET1),
    "absolute": ("/xl/worksheets/sheet1.xml", SHEET1),
    "through the folder above": ("../xl/worksheets/sheet1.xml", SHEET1),
    "with a dot": ("./worksheets/sheet1.xml", SHEET1),
    "another case": ("Worksheets/Sheet1.xml", SHEET1),
    "outside xl": ("/sheets/data.xml", "sheets/data.xml"),
    "with an escaped space": ("worksheets/my%20sheet.xml", "xl/worksheets/my sheet.xml"),
    "with a space": ("worksheets/my sheet.xml", "xl/worksheets/my sheet.xml"),
}


@pytest.mark.parametrize(("target", "part"), TARGETS.values(), ids=TARGETS)
def test_relationship_targets(tmp_path: Path, target: str, part: str) -> None:
    contents = edited(parts(), WORKBOOK_RELS, ("worksheets/sheet1.xml", target))
    contents[part] = contents.pop(SHEET1)
    assert value(opened(tmp_path, contents).sheet("Model"), "B1") == 5.0


def test_an_absolute_target_of_the_workbook(tmp_path: Path) -> None:
    contents = edited(parts(), "_rels/.rels", ('"xl/workbook.xml"', '"/xl/workbook.xml"'))
    assert value(opened(tmp_path, contents).sheet("Model"), "B1") == 5.0


def test_strict_workbooks(tmp_path: Path) -> None:
    """ISO strict files use other namespaces."""
    strict = "http://purl.oclc.org/ooxml/"
    contents = {
        name: data.replace(OFFICE.encode(), f"{strict}officeDocument/relationships".encode())
        .replace(MAIN.encode(), f"{strict}spreadsheetml/main".encode())
        for name, data in parts(strings=STRINGS).items()
    }  # fmt: skip
    book = opened(tmp_path, contents)
    assert value(book.sheet("Model"), "B1") == 5.0
    assert len(book.names) == 5


def with_table(**attributes: str) -> Parts:
    """A sheet with a table in A2:B6."""
    extra = "".join(f' {key}="{text}"' for key, text in attributes.items())
    table = (
        f'<table xmlns="{MAIN}" id="1" name="T" displayName="Sales" ref="A2:B6"{extra}>'
        '<tableColumns count="2"><tableColumn id="1" name="Region"/>'
        '<tableColumn id="2" name="Net_x000a_price"/></tableColumns></table>'
    )
    rels = relationships([("rId1", "table", "../tables/table1.xml"), ("rId2", "comments", "x.xml")])
    return parts(
        "A2 'Region\nB2 'Net\nA3 'N\nB3 1\nA4 'S\nB4 2\nA5 'W\nB5 3\nA6 'Total\nB6 =SUM(B3:B5) | 6",
        names="",
        extra={"xl/worksheets/_rels/sheet1.xml.rels": rels, "xl/tables/table1.xml": table},
    )


@pytest.mark.parametrize(
    ("attributes", "header", "totals", "body"),
    [
        ({}, 1, 0, "B3:B6"),
        ({"totalsRowCount": "1"}, 1, 1, "B3:B5"),
        ({"totalsRowShown": "0"}, 1, 0, "B3:B6"),
        ({"headerRowCount": "0"}, 0, 0, "B2:B6"),
    ],
)
def test_tables(
    tmp_path: Path, attributes: dict[str, str], header: int, totals: int, body: str
) -> None:
    book = opened(tmp_path, with_table(**attributes))
    area = CellRange("Model", 2, 1, 6, 2)
    expected = Table("Sales", area, ("Region", "Net\nprice"), header, totals)
    assert book.table("sales") == expected
    ranges = parse_ranges(book, "Sales[net\nprice]", "Model")
    assert [found.a1 for found in ranges] == [body]


def test_sheet_properties(tmp_path: Path) -> None:
    contents = parts(
        {"Model": sheet("<row r='1'/>", after='<sheetProtection sheet="1"/>'), "Free": "A1 1"},
        names="", calc='<calcPr iterate="1" iterateCount="50"/>',
    )  # fmt: skip
    book = opened(tmp_path, contents)
    assert [found.protected for found in book.sheets] == [True, False]
    assert book.iterates
    assert book.sheet("Model").extent == (0, 0)


ANCHORED = (
    "<controls xmlns:xdr='d'><control shapeId='1' r:id='rId1' name='Button 1'><controlPr><anchor>"
    "<from><xdr:col>1</xdr:col><xdr:row>4</xdr:row></from>"
    "<to><xdr:col>3</xdr:col><xdr:row>6</xdr:row></to></anchor></controlPr></control></controls>"
    "<extLst><ext uri='x' xmlns:xm='m'><xm:f>A1</xm:f></ext></extLst>"
)


def test_other_elements_with_the_same_names(tmp_path: Path) -> None:
    """Anchors of controls have rows, extensions may have anything: only sheetData counts."""
    text = sheet("<row r='1'><c r='A1'><v>1</v></c></row>", after=ANCHORED)
    found = opened(tmp_path, parts({"Data": text}, names="")).sheet("Data")
    assert (value(found, "A1"), len(found.cells.keys), found.formulas) == (1.0, 1, ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    named = encoding.removesuffix("-sig").upper().replace("LATIN-1", "ISO-8859-1")
    text = sheet("<row r='1'><c r='A1' t='str'><v>é</v></c></row>")
    text = text.replace('encoding="UTF-8"', f'encoding="{named}"')
    contents = parts({"Data": ""}, names="") | {SHEET1: text.encode(encoding)}
    assert value(opened(tmp_path, contents).sheet("Data"), "A1") == "é"


def test_column_numbers() -> None:
    assert [column_number(letters) for letters in ("A", "Z", "AA", "XFD")] == [1, 26, 27, 16384]


# ---------------------------------------------------------------- what formulas ask of the file


def shown(workbook: Workbook, cell: str) -> CellValue:
    """What a cell of the first sheet shows when it is recomputed."""
    place = at(cell)
    address = CellAddress(workbook.sheets[0].name, place.row, place.column)
    return recalculate(workbook, {}).value(address)


HIDDEN = (
    "<row r='1'><c r='A1'><v>1</v></c><c r='B1'><f>SUBTOTAL(9,A1:A4)</f></c></row>"
    "<row r='2' hidden='1'><c r='A2'><v>2</v></c><c r='B2'><f>SUBTOTAL(109,A1:A4)</f></c></row>"
    "<row r='3'><c r='A3'><v>4</v></c><c r='B3'><f>AGGREGATE(9,5,A1:A4)</f></c></row>"
    "<row r='4'><c r='A4'><v>8</v></c><c r='B4'><f>AGGREGATE(9,4,A1:A4)</f></c></row>"
)


def test_hidden_rows(tmp_path: Path) -> None:
    workbook = opened(tmp_path, parts({"Data": sheet(HIDDEN)}, names=""))
    assert workbook.sheets[0].hidden_rows == {2}
    assert [shown(workbook, f"B{row}") for row in range(1, 5)] == [15.0, 13.0, 13.0, 15.0]


def test_rows_that_a_filter_hides(tmp_path: Path) -> None:
    contents = parts({"Data": sheet(HIDDEN)}, names="")
    mark = b"<autoFilter ref='A1:A4'><filterColumn colId='0'/></autoFilter></worksheet>"
    contents[SHEET1] = contents[SHEET1].replace(b"</worksheet>", mark)
    workbook = opened(tmp_path, contents)
    assert workbook.sheets[0].is_filtered(2)
    assert [shown(workbook, f"B{row}") for row in range(1, 5)] == [13.0, 13.0, 13.0, 15.0]


LINK = (
    f"<externalLink xmlns='{MAIN}' xmlns:r='{OFFICE}'><externalBook r:id='rId1'>"
    "<sheetNames><sheetName val='Rates 2024'/><sheetName val='Empty'/></sheetNames>"
    "<sheetDataSet><sheetData sheetId='0'><row r='1'><cell r='A1'><v>2.5</v></cell>"
    "<cell r='B1' t='str'><v>kg</v></cell><cell r='C1' t='b'><v>1</v></cell>"
    "<cell r='D1' t='e'><v>#N/A</v></cell></row></sheetData>"
    "<sheetData sheetId='1' refreshError='1'/></sheetDataSet></externalBook></externalLink>"
)
LINKED = "".join(
    f"<row r='{row}'><c r='A{row}'><f>{formula}</f></c></row>"
    for row, formula in enumerate(
        ("'[1]Rates 2024'!A1*2", "'[1]Rates 2024'!B1", "SUM('[1]Rates 2024'!A1:C1)",
         "'[1]Rates 2024'!D1", "[1]Empty!A1+1", "[2]Gone!A1"),
        start=1,
    )
)  # fmt: skip


def test_links_to_other_workbooks_by_their_cached_values(tmp_path: Path) -> None:
    contents = parts({"Data": sheet(LINKED)}, names="<externalReferences/>")
    contents[WORKBOOK] = contents[WORKBOOK].replace(
        b"<externalReferences/>",
        b"",
    ).replace(b"</sheets>", b"</sheets><externalReferences><externalReference r:id='rId77'/>"
              b"</externalReferences>")  # fmt: skip
    contents[WORKBOOK_RELS] = contents[WORKBOOK_RELS].replace(
        b"</Relationships>",
        f"<Relationship Id='rId77' Type='{OFFICE}/externalLink' "
        "Target='externalLinks/externalLink1.xml'/></Relationships>".encode(),
    )
    contents["xl/externalLinks/externalLink1.xml"] = LINK.encode()
    workbook = opened(tmp_path, contents)
    assert [found.name for found in workbook.external] == ["[1]Rates 2024", "[1]Empty"]
    found = [shown(workbook, f"A{row}") for row in range(1, 6)]
    assert found == [5.0, "kg", 2.5, NA, 1.0]
    report = verify(workbook)
    assert report["total"]["unsupported"] == 1  # of [2]Gone the file keeps nothing


def test_a_damaged_link_is_an_error(tmp_path: Path) -> None:
    contents = parts({"Data": sheet(LINKED)}, names="")
    contents[WORKBOOK] = contents[WORKBOOK].replace(
        b"</sheets>", b"</sheets><externalReferences><externalReference r:id='rId77'/>"
        b"</externalReferences>")  # fmt: skip
    contents[WORKBOOK_RELS] = contents[WORKBOOK_RELS].replace(
        b"</Relationships>",
        f"<Relationship Id='rId77' Type='{OFFICE}/externalLink' Target='link.xml'/>"
        "</Relationships>".encode(),
    )
    contents["xl/link.xml"] = LINK.replace("<v>2.5</v>", "<v>x</v>").encode()
    with pytest.raises(WorkbookError, match="damaged"):
        opened(tmp_path, contents)


DYNAMIC = [
    # range of the result in the file, what stands in the way, what A1 shows
    ("A1:A3", "", 1.0),
    ("A1", "<row r='2'><c r='A2'><v>7</v></c></row>", ERRORS["#SPILL!"]),
]


@pytest.mark.parametrize(("area", "more", "expected"), DYNAMIC)
def test_results_that_spill(area: str, more: str, expected: CellValue, tmp_path: Path) -> None:
    cell = f"<c r='A1' cm='1'><f t='array' ref='{area}'>_xlfn.SEQUENCE(3)</f><v>1</v></c>"
    contents = parts({"Data": sheet(f"<row r='1'>{cell}</row>{more}")}, names="")
    assert shown(opened(tmp_path, contents), "A1") == expected


def test_a_result_of_another_size_is_not_cut_off(tmp_path: Path) -> None:
    cell = "<c r='A1' cm='1'><f t='array' ref='A1:A2'>_xlfn.SEQUENCE(3)</f><v>1</v></c>"
    workbook = opened(tmp_path, parts({"Data": sheet(f"<row r='1'>{cell}</row>")}, names=""))
    total = verify(workbook)["total"]
    assert (total["matched"], total["mismatched"]) == (0, 1)
    assert total["cases"][0]["computed"] == "1, over A1:A3"


def test_a_chosen_range_is_fitted(tmp_path: Path) -> None:
    cell = "<c r='A1'><f t='array' ref='A1:A2'>_xlfn.SEQUENCE(3)</f><v>1</v></c>"
    workbook = opened(tmp_path, parts({"Data": sheet(f"<row r='1'>{cell}</row>")}, names=""))
    assert [shown(workbook, "A1"), shown(workbook, "A2")] == [1.0, 2.0]


def test_what_google_sheets_writes(tmp_path: Path) -> None:
    formula = "IFERROR(__xludf.DUMMYFUNCTION(&quot;GOOGLEFINANCE(1)&quot;),42)"
    data = f"<row r='1'><c r='A1'><f>{formula}</f><v>42</v></c></row>"
    workbook = opened(tmp_path, parts({"Data": sheet(data)}, names=""))
    assert shown(workbook, "A1") == 42.0
    assert verify(workbook)["total"]["matched"] == 1


def test_a_what_if_table_is_values(tmp_path: Path) -> None:
    data = (
        "<row r='1'><c r='A1'><v>2</v></c><c r='B1'><f>A1*10</f><v>20</v></c></row>"
        "<row r='2'><c r='A2'><v>3</v></c><c r='B2'><f t='dataTable' ref='B2:B3' dt2D='0' "
        "dtr='0' r1='A1'/><v>30</v></c><c r='C2'><f>SUM(B2:B3)</f><v>70</v></c></row>"
        "<row r='3'><c r='A3'><v>4</v></c><c r='B3'><v>40</v></c></row>"
    )
    workbook = opened(tmp_path, parts({"Data": sheet(data)}, names=""))
    assert shown(workbook, "C2") == 70.0
    assert [area.a1 for area in workbook.sheets[0].data_tables] == ["B2:B3"]


def test_dates_counted_from_1904(tmp_path: Path) -> None:
    """Functions of the calendar keep Excel's value there: ours count from 1900."""
    table = 'A1 42428\nB1 =YEAR(A1) | 2020\nB2 =TEXT(A1,"yyyy") | \'2020\nB3 =A1+1 | 42429'
    contents = parts(table, names="")
    workbook = contents[WORKBOOK].replace(b"<sheets>", b'<workbookPr date1904="1"/><sheets>')
    book = load(write(tmp_path / "book.xlsx", {**contents, WORKBOOK: workbook}))
    assert book.dates_1904 and not load(write(tmp_path / "b.xlsx", contents)).dates_1904
    total = verify(book)["total"]
    assert (total["mismatched"], total["unsupported"], total["matched"]) == (0, 2, 1)


RICH = "http://schemas.microsoft.com/office/spreadsheetml/2017/richdata"
RICH_PARTS = {
    # The records of values do not stand in the order of the rich values.
    "xl/metadata.xml": f"<metadata xmlns='{MAIN}' xmlns:r='{RICH}'><metadataTypes count='2'>"
    "<metadataType name='XLDAPR'/><metadataType name='XLRICHVALUE'/></metadataTypes>"
    "<futureMetadata name='XLDAPR'><bk/></futureMetadata><futureMetadata name='XLRICHVALUE'>"
    "<bk><extLst><ext><r:rvb i='3'/></ext></extLst></bk>"
    "<bk><extLst><ext><r:rvb i='0'/></ext></extLst></bk>"
    "<bk><extLst><ext><r:rvb i='1'/></ext></extLst></bk>"
    "<bk><extLst><ext><r:rvb i='2'/></ext></extLst></bk></futureMetadata>"
    "<cellMetadata><bk><rc t='1' v='0'/></bk></cellMetadata><valueMetadata>"
    "<bk><rc t='2' v='1'/></bk><bk><rc t='2' v='2'/></bk><bk><rc t='2' v='3'/></bk>"
    "<bk><rc t='1' v='0'/></bk><bk><rc t='2' v='0'/></bk></valueMetadata></metadata>",
    "xl/richData/rdrichvalue.xml": f"<rvData xmlns='{RICH}'>"
    "<rv s='1'><v>0</v><v>8</v><v>2</v></rv><rv s='0'><v>13</v></rv>"
    "<rv s='2'><v>8</v></rv><rv s='0'><v>99</v></rv></rvData>",
    "xl/richData/rdrichvaluestructure.xml": f"<rvStructures xmlns='{RICH}'>"
    "<s t='_error'><k n='errorType' t='i'/></s><s t='_error'><k n='colOffset' t='i'/>"
    "<k n='errorType' t='i'/><k n='subType' t='i'/></s>"
    "<s t='_localImage'><k n='errorType' t='i'/></s></rvStructures>",
}
RICH_KINDS = {
    "metadata.xml": "sheetMetadata",
    "richData/rdrichvalue.xml": "rdRichValue",
    "richData/rdrichvaluestructure.xml": "rdRichValueStructure",
}


def rich_book(folder: Path, rows: str) -> Workbook:
    contents = parts({"Data": sheet(rows)}, names="", extra=RICH_PARTS)
    links = "".join(
        f"<Relationship Id='m{n}' Type='http://x/{kind}' Target='{target}'/>"
        for n, (target, kind) in enumerate(RICH_KINDS.items())
    )
    return opened(
        folder, edited(contents, WORKBOOK_RELS, ("</Relationships>", links + "</Relationships>"))
    )


@pytest.mark.parametrize(
    ("vm", "right"),
    [
        ("1", "#SPILL!"),
        ("2", "#CALC!"),
        ("3", "#VALUE!"),  # a picture
        ("4", "#VALUE!"),  # a record of another type
        ("5", "#VALUE!"),  # a number that stands for no error
        ("6", "#VALUE!"),  # a record that there is not
        ("x", "#VALUE!"),
    ],
)
def test_errors_that_are_rich_values(vm: str, right: str, tmp_path: Path) -> None:
    row = f"<row r='1'><c r='A1' t='e' vm='{vm}'><v>#VALUE!</v></c></row>"
    assert value(rich_book(tmp_path, row).sheet("Data"), "A1") == ERRORS[right]


def test_a_stored_spill_error_is_matched(tmp_path: Path) -> None:
    row = (
        "<row r='1'><c r='A1' t='e' cm='1' vm='1'><f t='array' ref='A1'>_xlfn.SEQUENCE(2)</f>"
        "<v>#VALUE!</v></c></row><row r='2'><c r='A2'><v>5</v></c></row>"
    )
    assert verify(rich_book(tmp_path, row))["total"]["matched"] == 1


@pytest.mark.parametrize(
    ("formula", "stored", "matched"),
    [
        ("1/4", "0.25", 1),
        ("1/4", "2.5E-1", 1),
        ("1/4", "0.26", 0),
        ("1/4", "a quarter", 0),
        ('"0.25"', "0.25", 1),
        ("1/3", "0.333333333333333", 1),
    ],
)
def test_numbers_that_are_stored_as_texts(
    formula: str, stored: str, matched: int, tmp_path: Path
) -> None:
    row = f"<row r='1'><c r='A1' t='str'><f>{formula}</f><v>{stored}</v></c></row>"
    workbook = opened(tmp_path, parts({"Data": sheet(row)}, names=""))
    assert verify(workbook)["total"]["matched"] == matched


@pytest.mark.parametrize("number", ["", "b", "-1", "=1", "\u0663", "9" * 30])
def test_a_sheet_whose_number_is_none(number: str, tmp_path: Path) -> None:
    """It is told when the file is read, not when it is written after an hour of training."""
    contents = edited(parts(), WORKBOOK, ('sheetId="1"', f'sheetId="{number}"'))
    with pytest.raises(WorkbookError, match="damaged"):
        load(write(tmp_path / "b.xlsx", contents))


@pytest.mark.parametrize("quote", "'\"")
def test_what_looks_like_a_cell_before_the_rows_is_none(quote: str, tmp_path: Path) -> None:
    stray = "<c r='C6'><f>B1*2</f><v>3</v></c>".replace("'", quote)
    data = "<row r='1'><c r='A1'><f>1+1</f><v>2</v></c></row>".replace("'", quote)
    contents = {**parts(), SHEET1: sheet(data, before=stray).encode()}
    found = load(write(tmp_path / "b.xlsx", contents)).sheets[0]
    assert found.extent == (1, 1) and len(found.formulas) == 1
