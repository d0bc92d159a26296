"""Writing: only what must change does, and what comes out is a sound workbook."""

import os
import random
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import openpyxl
import pytest
from judges import (
    cached_values,
    recalculate_with_libreoffice,
    requires_libreoffice,
    requires_validator,
    validation_errors,
)
from openpyxl.formula.translate import Translator
from packages import (
    CALC_CHAIN,
    CONTENT_TYPES,
    MAIN,
    OFFICE,
    QUADRATIC,
    SHEET1,
    WORKBOOK,
    WORKBOOK_RELS,
    Parts,
    edited,
    parts,
    read,
    relationships,
    rows,
    sheet,
    solver,
    write,
)

import xl2torch
from xl2torch.cells.address import CellAddress, parse_a1
from xl2torch.cells.values import DIV0, CellValue
from xl2torch.errors import OutputError
from xl2torch.workbook.package import Changes, save_package
from xl2torch.workbook.read.reader import load
from xl2torch.workbook.write.patcher import CellEdit, Edits, patch_cells

SHEET2 = "xl/worksheets/sheet2.xml"
CHART1, DRAWING1 = "xl/charts/chart1.xml", "xl/drawings/drawing1.xml"
EXPECTED_CHANGES = {SHEET1, WORKBOOK, WORKBOOK_RELS, CONTENT_TYPES, "xl/styles.xml"}


def at(a1: str, title: str = "Model") -> CellAddress:
    """A cell's address."""
    area = parse_a1(a1, title)
    assert area is not None
    return area.first


def patched(tmp_path: Path, contents: Parts, edits: Mapping[str, CellEdit | float]) -> Parts:
    """The parts after some cells of sheet Model are rewritten and the package is saved."""
    source, target = tmp_path / "book.xlsx", tmp_path / "new.xlsx"
    workbook = load(write(source, contents))
    changes = Changes(workbook.package)
    wanted = Edits()
    for a1, edit in edits.items():
        wanted.put(at(a1), edit if isinstance(edit, CellEdit) else CellEdit(float(edit)))
    patch_cells(workbook, wanted, changes)
    save_package(workbook.package, changes.parts, changes.removed, target)
    return read(target)


def trained(source: Path, target: Path, force: bool = False, in_place: bool = False) -> Parts:
    """The parts of the result of training the stored model."""
    model = xl2torch.compile(load(source))
    result = xl2torch.fit(model)
    xl2torch.save(result, target, force=force, in_place=in_place, reports="training")
    return read(target)


def values(contents: Parts, title: str, path: Path) -> dict[str, CellValue]:
    """All values of a sheet, as the file has them."""
    found = load(write(path, contents)).sheet(title)
    bottom, right = found.extent
    block = [
        CellAddress(title, row, column)
        for row in range(1, bottom + 1)
        for column in range(1, right + 1)
    ]
    return {cell.a1: found.cells.value(cell.row, cell.column) for cell in block}


# ---------------------------------------------------------------- cells

EXT = "<extLst><ext uri='{X}'><y xmlns='z'>1</y></ext></extLst>"
CUT = CellEdit(2.0, cut=True)
STALE = CellEdit(stale=True)

# case: (content of sheetData, edits, content of sheetData afterwards)
PATCHES: dict[str, tuple[str, Mapping[str, CellEdit | float], str]] = {
    "value": (
        '<row r="1"><c r="A1" s="3"><v>1</v></c><c r="B1"><v>9</v></c></row>', {"A1": 2.5},
        '<row r="1"><c r="A1" s="3"><v>2.5</v></c><c r="B1"><v>9</v></c></row>'),
    "formula stays": (
        '<row r="1"><c r="A1" s="3"><f>B1+1</f><v>1</v></c></row>', {"A1": 2},
        '<row r="1"><c r="A1" s="3"><f>B1+1</f><v>2</v></c></row>'),
    "formula without a value": (
        '<row r="1"><c r="A1"><f>B1+1</f></c></row>', {"A1": 2},
        '<row r="1"><c r="A1"><f>B1+1</f><v>2</v></c></row>'),
    "formula with attributes": (
        '<row r="1"><c r="A1"><f ca="1">RAND()</f><v>1</v></c></row>', {"A1": 2},
        '<row r="1"><c r="A1"><f ca="1">RAND()</f><v>2</v></c></row>'),
    "formula is cut": (
        '<row r="1"><c r="A1" s="3"><f>B1+1</f><v>1</v></c></row>', {"A1": CUT},
        '<row r="1"><c r="A1" s="3"><v>2</v></c></row>'),
    "empty formula element is cut": (
        '<row r="1"><c r="A1" s="3"><f/><v>1</v></c></row>', {"A1": CUT},
        '<row r="1"><c r="A1" s="3"><v>2</v></c></row>'),
    "stale value": (
        '<row r="1"><c r="A1" s="3" t="str"><f>B1</f><v>x</v></c></row>', {"A1": STALE},
        '<row r="1"><c r="A1" s="3"><f>B1</f></c></row>'),
    "formatted blank": (
        '<row r="1"><c r="A1" s="3"/></row>', {"A1": 2},
        '<row r="1"><c r="A1" s="3"><v>2</v></c></row>'),
    "formatted blank with a space": (
        '<row r="1"><c r="A1" s="3" /></row>', {"A1": 2},
        '<row r="1"><c r="A1" s="3" ><v>2</v></c></row>'),
    "number for a shared string": (
        '<row r="1"><c r="A1" s="3" t="s"><v>0</v></c></row>', {"A1": 2},
        '<row r="1"><c r="A1" s="3"><v>2</v></c></row>'),
    "number for an inline string": (
        '<row r="1"><c r="A1" t="inlineStr" s="3"><is><t>v</t></is></c></row>', {"A1": 2},
        '<row r="1"><c r="A1" s="3"><v>2</v></c></row>'),
    "logical": (
        '<row r="1"><c r="A1"><f>B1</f><v>1</v></c></row>', {"A1": CellEdit(True)},
        '<row r="1"><c r="A1" t="b"><f>B1</f><v>1</v></c></row>'),
    "error": (
        '<row r="1"><c r="A1" t="b"><f>B1</f><v>1</v></c></row>', {"A1": CellEdit(DIV0)},
        '<row r="1"><c r="A1" t="e"><f>B1</f><v>#DIV/0!</v></c></row>'),
    "text": (
        '<row r="1"><c r="A1"><f>B1</f><v>1</v></c></row>', {"A1": CellEdit("<&> é")},
        '<row r="1"><c r="A1" t="str"><f>B1</f><v>&lt;&amp;&gt; &#233;</v></c></row>'),
    "text that looks like a formula": (
        '<row r="1"><c r="A1"><f>B1</f><v>1</v></c></row>', {"A1": CellEdit("=1+1")},
        '<row r="1"><c r="A1" t="str"><f>B1</f><v>=1+1</v></c></row>'),
    "empty text": (
        '<row r="1"><c r="A1"><f>B1</f><v>1</v></c></row>', {"A1": CellEdit("")},
        '<row r="1"><c r="A1" t="str"><f>B1</f><v></v></c></row>'),
    "extension list": (
        f'<row r="1"><c r="A1"><f>B1</f><v>1</v>{EXT}</c></row>', {"A1": CUT},
        f'<row r="1"><c r="A1"><v>2</v>{EXT}</c></row>'),
    "metadata of a kept formula": (
        '<row r="1"><c r="A1" cm="1" vm="1"><f t="array" ref="A1">B1</f><v>1</v></c></row>',
        {"A1": 2}, '<row r="1"><c r="A1" cm="1"><f t="array" ref="A1">B1</f><v>2</v></c></row>'),
    "metadata of a cut formula": (
        '<row r="1"><c r="A1" cm="1" vm="1" s="3"><f t="array" ref="A1">B1</f><v>1</v></c></row>',
        {"A1": CUT}, '<row r="1"><c r="A1" s="3"><v>2</v></c></row>'),
    "phonetic flag": (
        '<row r="1"><c r="A1" ph="1"><v>1</v></c></row>', {"A1": 2},
        '<row r="1"><c r="A1" ph="1"><v>2</v></c></row>'),
    "single quotes": (
        "<row r='1'><c t='s' r='A1' s='3'><v>0</v></c></row>", {"A1": 2},
        "<row r='1'><c r='A1' s='3'><v>2</v></c></row>"),
    "line ends and indents": (
        '\r\n\t<row r="1">\r\n\t\t<c r="A1"><v>1</v></c>\r\n\t\t<c r="B1"/>\r\n\t</row>\r\n',
        {"A1": 2},
        '\r\n\t<row r="1">\r\n\t\t<c r="A1"><v>2</v></c>\r\n\t\t<c r="B1"/>\r\n\t</row>\r\n'),
    "space inside tags": (
        '<row r="1"><c\n r = "A1"\ts="3" ><v >1</v ></c ><c r="B1"/></row >', {"A1": 2},
        '<row r="1"><c\n r = "A1"\ts="3" ><v>2</v></c><c r="B1"/></row >'),
    "comments and instructions": (
        '<!-- <c r="A1"> --><row r="1"><?x <c?><c r="A1"><v>1</v></c></row>', {"A1": 2},
        '<!-- <c r="A1"> --><row r="1"><?x <c?><c r="A1"><v>2</v></c></row>'),
    "attribute with a bracket": (
        '<row r="1" y:n="a>b" xmlns:y="z"><c r="A1" y:n="/>"><v>1</v></c></row>', {"A1": 2},
        '<row r="1" y:n="a>b" xmlns:y="z"><c r="A1" y:n="/>"><v>2</v></c></row>'),
    "no addresses": (
        "<row><c/><c><v>1</v></c></row><row><c><v>3</v></c></row>", {"B1": 2, "A2": 4},
        "<row><c/><c><v>2</v></c></row><row><c><v>4</v></c></row>"),
    "lower case address": (
        '<row r="1"><c r="a1"><v>1</v></c></row>', {"A1": 2},
        '<row r="1"><c r="a1"><v>2</v></c></row>'),
    "neighbours with longer names": (
        '<row r="11"><c r="A11"><v>1</v></c><c r="AA11"><v>1</v></c></row>', {"AA11": 2},
        '<row r="11"><c r="A11"><v>1</v></c><c r="AA11"><v>2</v></c></row>'),
    "new cells in a row": (
        '<row r="1" spans="2:4"><c r="B1"/><c r="D1"/></row>',
        {"A1": 1, "C1": 2, "E1": 3, "F1": 4},
        '<row r="1" spans="2:4"><c r="A1"><v>1</v></c><c r="B1"/><c r="C1"><v>2</v></c>'
        '<c r="D1"/><c r="E1"><v>3</v></c><c r="F1"><v>4</v></c></row>'),
    "new cell in a row with a space at its end": (
        '<row r="1"><c r="A1"/></row ><row r="2"/>', {"B1": 1},
        '<row r="1"><c r="A1"/><c r="B1"><v>1</v></c></row ><row r="2"/>'),
    "new cell in an empty row": (
        '<row r="1" ht="30" customHeight="1"/><row r="2"></row>', {"B1": 1, "C2": 2},
        '<row r="1" ht="30" customHeight="1"><c r="B1"><v>1</v></c></row>'
        '<row r="2"><c r="C2"><v>2</v></c></row>'),
    "new rows": (
        '<row r="2"><c r="A2"/></row><row r="4"/>', {"A1": 1, "A3": 2, "B3": 3, "A5": 4, "A9": 5},
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="A2"/></row>'
        '<row r="3"><c r="A3"><v>2</v></c><c r="B3"><v>3</v></c></row><row r="4"/>'
        '<row r="5"><c r="A5"><v>4</v></c></row><row r="9"><c r="A9"><v>5</v></c></row>'),
    "new row in an empty sheet": (
        "", {"B2": 1}, '<row r="2"><c r="B2"><v>1</v></c></row>'),
    "new row behind rows without numbers": (
        "<row><c/></row><row/>", {"A3": 1, "B2": 2},
        '<row><c/></row><row><c r="B2"><v>2</v></c></row><row r="3"><c r="A3"><v>1</v></c></row>'),
}  # fmt: skip


@pytest.mark.parametrize("case", PATCHES)
def test_cells(tmp_path: Path, case: str) -> None:
    before, edits, after = PATCHES[case]
    contents = parts({"Model": sheet(before)}, strings="<si><t>x</t></si>")
    got = patched(tmp_path, contents, edits)
    assert got[SHEET1].decode() == sheet(after)
    assert {name for name in got if got[name] != contents[name]} <= {SHEET1, CALC_CHAIN}
    assert list(got) == list(contents)


@pytest.mark.parametrize("case", PATCHES)
def test_cells_with_prefixes(tmp_path: Path, case: str) -> None:
    before, edits, after = (
        sheet(item) if isinstance(item, str) else item for item in PATCHES[case]
    )
    assert isinstance(before, str) and isinstance(after, str) and isinstance(edits, Mapping)
    contents = parts({"Model": prefixed(before)}, strings="<si><t>x</t></si>")
    got = patched(tmp_path, contents, edits)
    assert got[SHEET1].decode() == prefixed(after)


def prefixed(text: str) -> str:
    """XML with the main namespace under the prefix ``x``."""
    text = text.replace(f'xmlns="{MAIN}"', f'xmlns:x="{MAIN}"')
    pieces = re.split(r"(<!--.*?-->|<\?.*?\?>|<y .*?</y>)", text)
    return "".join(
        piece if piece.startswith(("<!", "<?", "<y ")) else re.sub(r"<(/?)(?=\w)", r"<\1x:", piece)
        for piece in pieces
    )


@pytest.mark.parametrize("empty", ["<sheetData/>", "<sheetData />", "<sheetData></sheetData>"])
def test_an_empty_sheet(tmp_path: Path, empty: str) -> None:
    text = sheet("").replace("<sheetData></sheetData>", f'<dimension ref="A1"/>{empty}<x/>')
    got = patched(tmp_path, parts({"Model": text}), {"B2": 1})[SHEET1].decode()
    row = '<sheetData><row r="2"><c r="B2"><v>1</v></c></row></sheetData>'
    assert got.replace("<sheetData >", "<sheetData>") == text.replace(empty, row)


ANCHORED = (
    "<controls><control shapeId='1' r:id='rId1' name='Button 1'><controlPr><anchor>"
    "<from><d:col>1</d:col><d:row>4</d:row></from><to><d:col>3</d:col><d:row>6</d:row></to>"
    "</anchor></controlPr></control></controls>"
).replace("<controls>", "<controls xmlns:d='http://schemas.openxmlformats.org/drawingml/2006/"
          "spreadsheetDrawing'>")  # fmt: skip


@pytest.mark.parametrize(
    "cell",
    [
        '<c r="A1"><!-- <v>0</v> --><v>1</v></c>',
        '<c r="A1" t="str"><f>B1</f><v><![CDATA[</c></v><v>]]></v></c>',
    ],
)
def test_cells_that_hide_tags_are_refused(tmp_path: Path, cell: str) -> None:
    contents = parts({"Model": sheet(f'<row r="1">{cell}</row>')}, names="")
    with pytest.raises(OutputError, match="the cell A1 is written with a comment or CDATA"):
        patched(tmp_path, contents, {"A1": 2})


@pytest.mark.parametrize("a1", ["B2", "B3", "B1000"])
def test_new_rows_before_controls(tmp_path: Path, a1: str) -> None:
    """The anchor of a control holds elements named row; they are none of the sheet's."""
    row = f'<row r="{a1[1:]}"><c r="{a1}"><v>7</v></c></row>'
    first = '<row r="1"><c r="A1"/></row>'
    contents = parts({"Model": sheet(first, after=ANCHORED)})
    got = patched(tmp_path, contents, {a1: 7})[SHEET1].decode()
    assert got == sheet(first + row, after=ANCHORED)


@pytest.mark.parametrize(
    "text",
    [
        "plain", "=1+1", "<a>&\"'", "漢字 😀", "two\nlines", "a\rb", "tab\t", "_x000D_", "__x0041_",
        "\x01\x1f", " spaces ", "￾",
    ],
)  # fmt: skip
def test_texts_read_back(tmp_path: Path, text: str) -> None:
    contents = parts("A1 =B1 | 1")
    got = patched(tmp_path, contents, {"A1": CellEdit(text)})
    assert values(got, "Model", tmp_path / "again.xlsx")["A1"] == text
    assert b"<f>B1</f>" in got[SHEET1]


@pytest.mark.parametrize(
    "number",
    [0.0, 1.0, -2.0, 0.1, 1 / 3, 1e15, 123456789012345.0, 1e16, 1e22, 5e-324, -1e-300, 2.0**53,
     1.7976931348623157e308],
)  # fmt: skip
def test_numbers_read_back(tmp_path: Path, number: float) -> None:
    got = patched(tmp_path, parts("A1 5"), {"A1": number})
    assert values(got, "Model", tmp_path / "again.xlsx")["A1"] == number
    written = re.search(rb"<v>([^<]*)</v>", got[SHEET1])
    assert written and re.fullmatch(rb"-?\d+(\.\d+)?(E[-+]?\d+)?", written[1])


def test_not_finite_is_an_error(tmp_path: Path) -> None:
    got = patched(tmp_path, parts("A1 5\nB1 5"), {"A1": float("inf"), "B1": float("nan")})
    assert got[SHEET1].count(b't="e"><v>#NUM!</v>') == 2


def test_a_byte_order_mark(tmp_path: Path) -> None:
    text = sheet("<row r='1'><c r='A1'><v>1</v></c></row>")
    contents = parts({"Model": ""}) | {SHEET1: text.encode("utf-8-sig")}
    got = patched(tmp_path, contents, {"A1": 2, "B1": 3})[SHEET1]
    expected = text.replace("<v>1</v></c>", '<v>2</v></c><c r="B1"><v>3</v></c>')
    assert got == expected.encode("utf-8-sig")


def test_another_encoding(tmp_path: Path) -> None:
    text = sheet("<row r='1'><c r='A1' t='str'><v>é</v></c><c r='B1'><f>A1</f></c></row>")
    text = text.replace("UTF-8", "ISO-8859-1")
    contents = parts({"Model": ""}) | {SHEET1: text.encode("latin-1")}
    got = patched(tmp_path, contents, {"B1": CellEdit("ü")})
    found = values(got, "Model", tmp_path / "again.xlsx")
    assert (found["A1"], found["B1"]) == ("é", "ü")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_becomes_utf_8(encoding: str, tmp_path: Path) -> None:
    """Nobody patches it; what is not changed stays what it is."""
    text = sheet("<row r='1'><c r='A1'><v>1</v></c><c r='B1' t='str'><v>é</v></c></row>")
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    data = (mark + text.replace("UTF-8", "UTF-16")).encode(encoding)
    contents = parts({"Model": ""}) | {SHEET1: data}
    got = patched(tmp_path, contents, {"A1": 2})
    found = values(got, "Model", tmp_path / "again.xlsx")
    assert (found["A1"], found["B1"]) == (2, "é") and b"UTF-8" in got[SHEET1][:60]
    assert patched(tmp_path, contents, {})[SHEET1] == data


@pytest.mark.parametrize("seed", range(20))
def test_everything_around_the_cells_stays(tmp_path: Path, seed: int) -> None:
    """Random sheets, random edits: without the edited cells both files are the same text."""
    draw = random.Random(seed)
    numbers = sorted(draw.sample(range(1, 30), 8))
    space = draw.choice(["", "\n", "\r\n  "])
    lines, places = [], []
    for row in numbers:
        cells = []
        for column in sorted(draw.sample("ABCDEFGH", draw.randint(0, 6))):
            places.append(f"{column}{row}")
            kind = draw.choice(
                ["<v>1</v>", "<f>$Z$1*2</f><v>1</v>", "", f"<v>3</v>{EXT}", "<f>Z1</f>"]
            )
            cells.append(f'<c r="{column}{row}" s="{draw.randint(0, 1)}">{kind}</c>')
        lines.append(f'<row r="{row}" ht="{row}">{space.join(cells)}</row>')
    before = sheet(space + space.join(lines) + space)
    chosen = draw.sample(places, min(6, len(places)))
    fresh = {f"{draw.choice('ABCDEFGHIJ')}{draw.randint(1, 31)}" for _ in range(6)} - set(places)
    numbers_of = {a1: draw.random() for a1 in [*chosen, *fresh]}
    edits = {a1: CellEdit(number, cut=draw.random() < 0.5) for a1, number in numbers_of.items()}
    contents = parts({"Model": before}, chain='<c r="Z9" i="1"/>')
    got = patched(tmp_path, contents, edits)
    after = got[SHEET1].decode()
    assert without(after, set(edits)) == without(before, set(edits))
    found = values(got, "Model", tmp_path / "again.xlsx")
    assert {a1: found[a1] for a1 in edits} == numbers_of
    places_after = re.findall(r'<c r="([A-Z]+)(\d+)"', after)
    order = [(int(number), letters) for letters, number in places_after]
    assert order == sorted(order)


def without(text: str, cells: set[str]) -> str:
    """XML with some cells, and rows that are then empty and bear no attribute, cut out."""
    text = re.sub(r'<c r="(\w+)"(?:[^>]*/>|.*?</c>)', lambda m: "" if m[1] in cells else m[0], text)
    return re.sub(r'<row r="\d+"></row>', "", text)


# ---------------------------------------------------------------- formulas that share


SHARED = """
<row r="1"><c r="A1"><v>1</v></c>
<c r="B1"><f t="shared" ref="B1:B4" si="0">{formula}</f><v>1</v></c>
<c r="C1"><f t="shared" ref="C1:C2" si="1">B1</f><v>1</v></c></row>
<row r="2"><c r="A2"><v>2</v></c><c r="B2"><f t="shared" si="0"/><v>2</v></c>
<c r="C2"><f t="shared" si="1"/><v>1</v></c></row>
<row r="3"><c r="A3"><v>3</v></c><c r="B3" s="1" t="str"><f t="shared" si="0"/><v>3</v></c></row>
<row r="4"><c r="A4"><v>4</v></c><c r="B4"><f t="shared" si="0"/><v>4</v></c></row>
"""

FORMULAS = [
    "A1*2", "A1+$A$1+A$1+$A1", 'IF(A1>1,"A1 & B2",A1&"<"&A2)', "SUM(A1:A2)", "SUM($A$1:A1)",
    "SUM(A:A)+SUM(1:1)+SUM($A:$A)+SUM($1:$1)", "LOG10(A1)+ATAN2(A1,2)", "'A1'!A1+'It''s A1'!$A$1",
    "Sheet1!A1", "[1]Sheet1!A1", "Tab1[[#This Row],[A1]]+A1", "total_A1+A1.b+A1", "1E5+A1",
    "{1,2}*A1", "IF(A1=#REF!,#N/A,A1)", "_xlfn.XLOOKUP(A1,A1:A2,B$1:B$2)",
]  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_shared_formula_loses_its_first_cell(tmp_path: Path, formula: str) -> None:
    """The others of the group keep their formula, each written out; the next group stays."""
    text = sheet(SHARED.format(formula=formula.replace("&", "&amp;").replace("<", "&lt;")))
    chain = "".join(f'<c r="B{n}" i="1"/>' for n in range(1, 5))
    contents = parts({"Model": text, "Sheet1": "A1 1", "A1": "A1 1", "It's A1": "A1 1"},
                     chain=chain)  # fmt: skip
    got = patched(tmp_path, contents, {"B1": CUT, "B3": CellEdit("new"), "B4": STALE})
    root = ElementTree.fromstring(got[SHEET1])
    formulas = {
        item.attrib["r"]: item.findtext(f"{{{MAIN}}}f") for item in root.iter(f"{{{MAIN}}}c")
    }
    for number in (2, 3, 4):
        expected = Translator(f"={formula}", "B1").translate_formula(f"B{number}")
        assert formulas[f"B{number}"] == expected[1:]
    assert formulas["B1"] is None
    assert b't="shared" si="0"' not in got[SHEET1]
    assert b'<f t="shared" ref="C1:C2" si="1">B1</f>' in got[SHEET1]
    found = values(got, "Model", tmp_path / "again.xlsx")
    assert [found[f"B{number}"] for number in (1, 2, 3, 4)] == [2.0, 2.0, "new", None]
    assert re.findall(rb'r="(\w+)"', got[CALC_CHAIN]) == [b"B2", b"B3", b"B4"]


def test_a_shared_formula_loses_another_cell(tmp_path: Path) -> None:
    text = sheet(SHARED.format(formula="A1*2"))
    got = patched(tmp_path, parts({"Model": text}), {"B2": CUT})[SHEET1].decode()
    old = '<c r="B2"><f t="shared" si="0"/><v>2</v></c>'
    assert got == text.replace(old, '<c r="B2"><v>2</v></c>')


def test_a_shared_formula_loses_all_cells(tmp_path: Path) -> None:
    text = sheet(SHARED.format(formula="A1*2"))
    edits = {f"B{number}": CUT for number in range(1, 5)}
    got = patched(tmp_path, parts({"Model": text}), edits)[SHEET1].decode()
    assert got.count("<f ") == 2
    assert got.count("<v>2</v>") == text.count("<v>2</v>") + 3


# ---------------------------------------------------------------- the calculation chain

CHAINS: dict[str, tuple[str, str, str | None]] = {
    # case: the chain, the cells of sheet Model (sheetId 2) that are cut, the chain afterwards
    "one of several": ('<c r="A1" i="2"/><c r="B1" i="2"/>', "A1", '<c r="B1" i="2"/>'),
    "inherited sheet, first entry cut": (
        '<c r="A1" i="2" l="1"/><c r="B1"/><c r="C1"/>', "A1", '<c r="B1" i="2"/><c r="C1"/>'),
    "inherited sheet, another cut": (
        '<c r="A1" i="2"/><c r="B1"/><c r="C1" s="1"/>', "B1",
        '<c r="A1" i="2"/><c r="C1" s="1" i="2"/>'),
    "inherited sheet, two cut": (
        '<c r="A1" i="2"/><c r="B1"/><c r="C1"/>', "A1 B1", '<c r="C1" i="2"/>'),
    "same cell of another sheet": (
        '<c r="A1" i="1"/><c r="B1"/><c r="A1" i="2"/><c r="C1" i="1"/>', "A1 B1",
        '<c r="A1" i="1"/><c r="B1"/><c r="C1" i="1"/>'),
    "sheet changes behind the cut": (
        '<c r="A1" i="2"/><c r="A1" i="1"/><c r="B1"/>', "A1", '<c r="A1" i="1"/><c r="B1"/>'),
    "single quotes and spaces": ("<c  i='2' r='A1' /><c r='B1' />", "A1", "<c r='B1' i=\"2\"/>"),
    "long elements": ('<c r="A1" i="2"></c><c r="B1" i="2"></c>', "A1", '<c r="B1" i="2"></c>'),
    "becomes empty": ('<c r="A1" i="2"/><c r="B1"/>', "A1 B1", None),
    "array formula": ('<c r="A1" i="2" a="1"/><c r="C1" i="2"/>', "A1", '<c r="C1" i="2"/>'),
}  # fmt: skip


@pytest.mark.parametrize("case", CHAINS)
def test_calculation_chain(tmp_path: Path, case: str) -> None:
    chain, cut, expected = CHAINS[case]
    data = "A1 =D1 | 1\nB1 =D1 | 1\nC1 =D1 | 1"
    contents = parts({"Other": data, "Model": data}, chain=chain)
    got = patched(tmp_path, contents, dict.fromkeys(cut.split(), CUT))
    if expected is not None:
        assert got[CALC_CHAIN].decode() == contents[CALC_CHAIN].decode().replace(chain, expected)
        assert {name for name in got if got[name] != contents[name]} == {SHEET2, CALC_CHAIN}
        return
    assert set(contents) - set(got) == {CALC_CHAIN}
    assert {name for name in got if got[name] != contents[name]} == {
        SHEET2, CONTENT_TYPES, WORKBOOK_RELS,
    }  # fmt: skip
    for name in (CONTENT_TYPES, WORKBOOK_RELS):
        assert b"calcChain" not in got[name]
        assert len(ElementTree.fromstring(got[name])) == (
            len(ElementTree.fromstring(contents[name])) - 1
        )


def test_no_formula_is_cut_and_the_chain_stays(tmp_path: Path) -> None:
    contents = parts("A1 1\nB1 =A1 | 1", chain='<c r="B1" i="1"/>')
    got = patched(tmp_path, contents, {"A1": CUT, "B1": CellEdit(2.0)})
    assert got[CALC_CHAIN] == contents[CALC_CHAIN]


# ---------------------------------------------------------------- names of parts


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("/xl/worksheets/sheet1.xml", SHEET1),
        ("../xl/worksheets/./sheet1.xml", SHEET1),
        ("/data.xml", "data.xml"),
        ("Worksheets/Sheet1.xml", SHEET1),
    ],
)
def test_unusual_part_names(tmp_path: Path, target: str, part: str) -> None:
    """A part is replaced under the name it has in the zip."""
    contents = edited(parts(), WORKBOOK_RELS, ("worksheets/sheet1.xml", target))
    contents[part] = contents.pop(SHEET1)
    got = patched(tmp_path, contents, {"B1": 1})
    assert list(got) == list(contents)
    assert b'<c r="B1"><v>1</v></c>' in got[part]


def test_a_chain_in_another_case(tmp_path: Path) -> None:
    contents = edited(
        parts("A1 =B1 | 1", chain='<c r="A1" i="1"/>'),
        WORKBOOK_RELS, ('"calcChain.xml"', '"CalcChain.xml"'),
    )  # fmt: skip
    assert CALC_CHAIN not in patched(tmp_path, contents, {"A1": CUT})


# ---------------------------------------------------------------- the whole result

BINARY = bytes(range(256)) * 40
OTHER_PARTS: dict[str, str | bytes] = {
    "xl/vbaProject.bin": BINARY,
    "xl/media/image1.png": b"\x89PNG\r\n\x1a\n" + BINARY,
    "customXml/item1.xml": b"<?xml version='1.0'?>\r\n<a   b = 'c'\t/>\r\n",
    "xl/printerSettings/printerSettings1.bin": b"\0" * 10,
    "docProps/app.xml": b"<Properties><TitlesOfParts/></Properties>",
    "xl/worksheets/_rels/sheet1.xml.rels": relationships([]),
    "xl/empty.xml": b"",
}


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """The quadratic with parts that are none of our business."""
    contents = parts({"Model": QUADRATIC, "Other": "A1 7"}, extra=OTHER_PARTS)
    return write(tmp_path / "book.xlsx", contents)


def test_all_other_parts_are_the_same(book: Path) -> None:
    before = read(book)
    after = trained(book, book.with_name("new.xlsx"))
    assert {name for name in before if before[name] != after[name]} == EXPECTED_CHANGES
    assert set(after) - set(before) == {
        "xl/worksheets/sheet3.xml", "xl/worksheets/_rels/sheet3.xml.rels", DRAWING1,
        "xl/drawings/_rels/drawing1.xml.rels",
        *(f"xl/charts/chart{number}.xml" for number in (1, 2)),
    }  # fmt: skip
    assert list(after)[: len(before)] == list(before)


def test_the_answer(book: Path) -> None:
    found = values(trained(book, book.with_name("new.xlsx")), "Model", book.with_name("x.xlsx"))
    assert [found[a1] for a1 in ("B1", "B2", "B3")] == pytest.approx([1, 2, 3])


def test_the_input_is_not_touched(book: Path) -> None:
    before = book.read_bytes()
    trained(book, book.with_name("new.xlsx"))
    assert book.read_bytes() == before
    assert sorted(path.name for path in book.parent.iterdir()) == ["book.xlsx", "new.xlsx"]


def test_twice_the_same_input_gives_the_same_cells(book: Path) -> None:
    first = trained(book, book.with_name("one.xlsx"))
    second = trained(book, book.with_name("two.xlsx"))
    assert first[SHEET1] == second[SHEET1]
    assert list(first) == list(second)


def test_a_result_can_be_trained_again(book: Path) -> None:
    """The report sheets are numbered, the chart and drawing parts get free names."""
    first, second = book.with_name("one.xlsx"), book.with_name("two.xlsx")
    trained(book, first)
    once = read(first)
    twice = trained(first, second)
    assert load(second).sheet_order == ("Model", "Other", "Training Report 1", "Training Report 2")
    added = set(twice) - set(once)
    assert {"xl/charts/chart4.xml", "xl/drawings/drawing2.xml", "xl/worksheets/sheet4.xml"} <= added
    assert all(twice[name] == once[name] for name in once if "sheet3" in name or "chart" in name)
    openpyxl.load_workbook(second).close()


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (["Model"], "Training Report 1"),
        (["Model", "Training Report 1"], "Training Report 2"),
        (["Model", "training report 1"], "Training Report 2"),
        (["Model", "Training Report 1", "TRAINING REPORT 2"], "Training Report 3"),
        (["Model", "Training Report 2"], "Training Report 1"),
    ],
)
def test_the_name_of_the_report(tmp_path: Path, titles: list[str], expected: str) -> None:
    contents = parts({title: QUADRATIC if title == "Model" else "A1 1" for title in titles})
    trained(write(tmp_path / "book.xlsx", contents), tmp_path / "new.xlsx")
    assert load(tmp_path / "new.xlsx").sheet_order == (*titles, expected)


def test_the_name_of_a_hidden_report(tmp_path: Path) -> None:
    """A chart sheet or a hidden sheet takes its name too."""
    contents = parts({"Model": QUADRATIC, "Training Report 1": "A1 1", "Training Report 2": "A1 1"})
    contents = edited(
        contents, WORKBOOK_RELS,
        (f'{OFFICE}/worksheet" Target="worksheets/sheet2.xml"',
         f'{OFFICE}/chartsheet" Target="worksheets/sheet2.xml"'),
    )  # fmt: skip
    title = 'name="Training Report 2"'
    contents = edited(contents, WORKBOOK, (title, f'state="hidden" {title}'))
    trained(write(tmp_path / "book.xlsx", contents), tmp_path / "new.xlsx")
    assert load(tmp_path / "new.xlsx").sheet_order[-1] == "Training Report 3"


CALC: dict[str, tuple[str, str]] = {
    # case: what stands behind the sheets in the workbook part, and what stands there afterwards
    "plain": ('<calcPr calcId="191029"/>', '<calcPr fullCalcOnLoad="1" calcId="191029"/>'),
    "bare": ("<calcPr/>", '<calcPr fullCalcOnLoad="1"/>'),
    "long": ("<calcPr></calcPr>", '<calcPr fullCalcOnLoad="1"></calcPr>'),
    "set already": ('<calcPr fullCalcOnLoad="1"/>', '<calcPr fullCalcOnLoad="1"/>'),
    "switched off": (
        "<calcPr fullCalcOnLoad='0' calcMode=\"manual\"/>",
        '<calcPr fullCalcOnLoad="1" calcMode="manual"/>'),
    "none": ("", '<calcPr fullCalcOnLoad="1"/>'),
    "none, before the rest": (
        '<oleSize ref="A1"/>', '<calcPr fullCalcOnLoad="1"/><oleSize ref="A1"/>'),
}  # fmt: skip


@pytest.mark.parametrize("case", CALC)
@pytest.mark.parametrize("prefix", ["", "x:"])
def test_full_calculation_on_load(tmp_path: Path, case: str, prefix: str) -> None:
    before, after = CALC[case]
    contents = parts(calc=before)
    if prefix:
        contents[WORKBOOK] = prefixed(contents[WORKBOOK].decode()).encode()
        before, after = prefixed(before), prefixed(after)
    got = trained(write(tmp_path / "book.xlsx", contents), tmp_path / "new.xlsx")
    text = got[WORKBOOK].decode()
    assert text.endswith(f"</{prefix}definedNames>{after}</{prefix}workbook>")
    entry = re.search(rf'<{prefix}sheet name="Training Report 1" sheetId="2" r:id="(\w+)"/>', text)
    assert entry and f'Id="{entry[1]}"' in got[WORKBOOK_RELS].decode()


@pytest.mark.parametrize(
    "before",
    [
        "<definedNames/>",
        '<functionGroups builtInGroupCount="17"/>',
        '<externalReferences><externalReference r:id="rId7"/></externalReferences><definedNames/>',
    ],
)
def test_calc_properties_in_the_schema_order(tmp_path: Path, before: str) -> None:
    contents = parts(QUADRATIC, names="", calc=before)
    source = write(tmp_path / "book.xlsx", contents)
    model = xl2torch.compile(load(source), objective="B3", variables="B1:B2")
    xl2torch.save(xl2torch.fit(model), tmp_path / "new.xlsx", store_model=False)
    text = read(tmp_path / "new.xlsx")[WORKBOOK].decode()
    assert text.endswith(f'{before}<calcPr fullCalcOnLoad="1"/></workbook>')


def test_a_workbook_without_styles(tmp_path: Path) -> None:
    contents = parts()
    del contents["xl/styles.xml"]
    contents[WORKBOOK_RELS] = re.sub(
        rb'<Relationship Id="rId90"[^>]*/>', b"", contents[WORKBOOK_RELS]
    )
    contents[CONTENT_TYPES] = re.sub(
        rb'<Override PartName="/xl/styles.xml"[^>]*/>', b"", contents[CONTENT_TYPES]
    )
    trained(write(tmp_path / "book.xlsx", contents), tmp_path / "new.xlsx")
    openpyxl.load_workbook(tmp_path / "new.xlsx").close()


@pytest.mark.parametrize(
    "change",
    [
        ("<fonts count=\"1\">", "<fonts count='1' x:known='1' xmlns:x='y'>"),
        ("<fonts count=\"1\">", "<fonts>"),
        ('<font><sz val="11"/><name val="Calibri"/><family val="2"/></font>', "<font/>"),
        ('<cellXfs count="2">', "<cellXfs>"),
        ("<fills count=\"2\">", "<fills >"),
    ],
    ids=lambda change: change[1],
)  # fmt: skip
def test_unusual_styles(tmp_path: Path, change: tuple[str, str]) -> None:
    """The formats that were there keep their index, and the report's cells have one that exists."""
    contents = edited(parts(), "xl/styles.xml", change)
    got = trained(write(tmp_path / "book.xlsx", contents), tmp_path / "new.xlsx")
    styles = ElementTree.fromstring(got["xl/styles.xml"])
    space = f"{{{MAIN}}}"
    for name in ("fonts", "fills", "cellXfs"):
        found = styles.find(space + name)
        assert found is not None
        assert found.get("count") in (None, str(len(found)))
    formats = styles.findall(f"{space}cellXfs/{space}xf")
    assert formats[1].get("numFmtId") == "2"
    fonts = len(styles.findall(f"{space}fonts/{space}font"))
    assert all(int(item.attrib["fontId"]) < fonts for item in formats)
    report = ElementTree.fromstring(got[SHEET2])
    used = {int(item.get("s", "0")) for item in report.iter(f"{space}c")}
    assert max(used) < len(formats)


LABELS = """
    A1 '=cmd|' /C calc'!A0
    B1 5
    A2 '+1+1
    B2 -4
    A3 '=1+1
    B3 =(B1-1)^2+(B2-2)^2+3 | 55
    C3 =A3&B1 | '=1+15
"""


def test_texts_are_never_formulas(tmp_path: Path) -> None:
    """Labels that begin with = go into the report and its chart as texts."""
    source = write(tmp_path / "book.xlsx", parts(LABELS.replace("|' /C", "'' /C")))
    got = trained(source, tmp_path / "new.xlsx")
    assert b"<f>" not in got[SHEET2] and b"<f " not in got[SHEET2]
    assert b'<c r="C3" t="str"><f>A3&amp;B1</f><v>=1+11</v></c>' in got[SHEET1]
    book = openpyxl.load_workbook(tmp_path / "new.xlsx")
    report = book["Training Report 1"]
    assert all(cell.data_type != "f" for row in report.iter_rows() for cell in row)
    texts = [cell.value for row in report.iter_rows() for cell in row]
    assert any(isinstance(text, str) and "=1+1" in text for text in texts)
    chart = got[CHART1].decode()
    assert re.findall(r"<(?:\w+:)?f>([^<]*)<", chart) == [
        item
        for item in re.findall(r"<(?:\w+:)?f>([^<]*)<", chart)
        if item.startswith("'Training Report 1'!")
    ]


def test_variables_with_formulas(tmp_path: Path) -> None:
    """A variable cell that held a formula holds the answer, and is gone from the chain."""
    cells = QUADRATIC.replace("B1 5", "B1 =2+3 | 5")
    chain = '<c r="B1" i="1" l="1"/><c r="B3"/>'
    source = write(tmp_path / "book.xlsx", parts(cells, chain=chain))
    got = trained(source, tmp_path / "new.xlsx")
    assert got[SHEET1].count(b"<f>") == 1
    assert values(got, "Model", tmp_path / "x.xlsx")["B1"] == pytest.approx(1)
    assert got[CALC_CHAIN].endswith(b'"><c r="B3" i="1"/></calcChain>')


def test_blank_variables(tmp_path: Path) -> None:
    """Blank variable cells, one in a row of its own and one beside others."""
    cells = "C5 =(D5-1)^2+(D9-2)^2+3 | 8"
    names = solver("$C$5", "$D$5,$D$9")
    source = write(tmp_path / "book.xlsx", parts(cells, names=names))
    got = trained(source, tmp_path / "new.xlsx")
    found = values(got, "Model", tmp_path / "x.xlsx")
    assert [found[a1] for a1 in ("D5", "D9", "C5")] == pytest.approx([1, 2, 3])
    assert re.findall(rb'r="(\w+)"', got[SHEET1]) == [b"5", b"C5", b"D5", b"9", b"D9"]


def test_variables_that_were_an_array_formula(tmp_path: Path) -> None:
    cells = "A1 9\nB1 {B1:B2 =A1:A2+1} | 10\nB2 1\nB3 =(B1-1)^2+(B2-2)^2+3 | 85"
    chain = '<c r="B3" i="1"/><c r="B1" i="1" a="1"/>'
    source = write(tmp_path / "book.xlsx", parts(cells, chain=chain))
    got = trained(source, tmp_path / "new.xlsx")
    assert got[SHEET1].count(b"<f") == 1
    assert got[CALC_CHAIN].count(b"<c ") == 1
    found = values(got, "Model", tmp_path / "x.xlsx")
    assert [found[a1] for a1 in ("B1", "B2", "B3")] == pytest.approx([1, 2, 3])


# ---------------------------------------------------------------- atomic, in place


class Stop(BaseException):
    """Something that nobody catches, as a power cut would be."""


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), Stop()])
@pytest.mark.parametrize("step", ["writestr", "replace", "chmod"])
def test_an_error_while_writing_leaves_the_old_file(
    book: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, step: str
) -> None:
    target = book.with_name("new.xlsx")
    target.write_bytes(b"old")
    calls = 0

    def fails(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        if step != "writestr" or calls == 5:
            raise error

    workbook = load(book)
    place = zipfile.ZipFile if step == "writestr" else os
    with monkeypatch.context() as patch:
        patch.setattr(place, step, fails)
        expected = OutputError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected):
            save_package(workbook.package, {}, set(), target)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in book.parent.iterdir()) == ["book.xlsx", "new.xlsx"]


def test_a_target_that_is_open_elsewhere(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows refuses to replace a file that another program holds."""

    def refused(*_: object) -> None:
        raise PermissionError(13, "Access is denied")

    workbook = load(book)
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(OutputError, match="open in another program"):
        save_package(workbook.package, {}, set(), book)
    assert [path.name for path in book.parent.iterdir()] == ["book.xlsx"]


def test_in_place(book: Path) -> None:
    before = read(book)
    book.chmod(0o640)
    after = trained(book, book, in_place=True)
    assert {name for name in before if before[name] != after[name]} == EXPECTED_CHANGES
    assert [path.name for path in book.parent.iterdir()] == ["book.xlsx"]
    assert book.stat().st_mode & 0o777 == 0o640


def test_in_place_through_a_link(book: Path) -> None:
    """The workbook behind a symbolic link is written, and the link stays one."""
    link = book.with_name("link.xlsx")
    try:
        link.symlink_to(book)
    except OSError:
        pytest.skip("symbolic links are not allowed here")
    trained(link, link, in_place=True)
    assert link.is_symlink()
    assert load(book).sheet_order[-1] == "Training Report 1"


def test_zip_properties_are_kept(book: Path) -> None:
    """Order, times and compression of the entries."""
    source = book.with_name("stored.xlsx")
    with zipfile.ZipFile(source, "w") as archive:
        for number, (name, data) in enumerate(read(book).items()):
            info = zipfile.ZipInfo(name, (2001 + number, 2, 3, 4, 6, 8))
            info.compress_type = zipfile.ZIP_STORED if number % 2 else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
        archive.writestr(zipfile.ZipInfo("folder/"), b"")
    trained(source, book.with_name("new.xlsx"))
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(book.with_name("new.xlsx")) as new:
        assert new.testzip() is None
        for entry in old.infolist():
            kept = new.getinfo(entry.filename)
            assert (kept.date_time, kept.compress_type) == (entry.date_time, entry.compress_type)


# ---------------------------------------------------------------- other programs


@pytest.fixture
def rich_book(tmp_path: Path) -> Path:
    """A model with all that the writer touches: shared formulas, a chain, arrays, blanks."""
    data = (
        '<row r="1"><c r="A1"><v>1</v></c><c r="B1"><f t="shared" ref="B1:B4" si="0">A1*2</f>'
        '<v>2</v></c><c r="C1"><f>B1*$E$1+$E$2</f><v>0</v></c></row>'
        + "".join(
            f'<row r="{n}"><c r="A{n}"><v>{n}</v></c><c r="B{n}"><f t="shared" si="0"/>'
            f'<v>{2 * n}</v></c><c r="C{n}"><f>B{n}*$E$1+$E$2</f><v>0</v></c></row>'
            for n in range(2, 5)
        )
        + '<row r="6"><c r="C6"><f>SUMPRODUCT((C1:C4-A1:A4-1)^2)+B1^2</f><v>58</v></c>'
        '<c r="D6" t="str"><f>IF(C6&lt;1,"good","bad")</f><v>bad</v></c></row>'
    )
    chain = "".join(f'<c r="{a1}" i="1"/>' for a1 in
                    ("B1", "B2", "B3", "B4", "C1", "C2", "C3", "C4", "C6", "D6"))  # fmt: skip
    names = solver("$C$6", "$B$1,$E$1:$E$2")
    return write(tmp_path / "book.xlsx", parts({"Model": sheet(data)}, names=names, chain=chain))


def test_openpyxl_opens_the_result(rich_book: Path) -> None:
    target = rich_book.with_name("new.xlsx")
    trained(rich_book, target)
    book = openpyxl.load_workbook(target)
    assert book.sheetnames == ["Model", "Training Report 1"]
    assert book["Model"]["B1"].data_type == "n"
    assert [book["Model"][f"B{n}"].value for n in (2, 3, 4)] == ["=A2*2", "=A3*2", "=A4*2"]
    assert book.calculation.fullCalcOnLoad
    cached = openpyxl.load_workbook(target, data_only=True)
    assert cached["Model"]["D6"].value == "good"


@requires_libreoffice
def test_libreoffice_agrees_with_the_result(rich_book: Path) -> None:
    target = rich_book.with_name("new.xlsx")
    trained(rich_book, target)
    ours = cached_values(target)
    theirs = cached_values(recalculate_with_libreoffice(target, rich_book.parent))
    assert ours.keys() == theirs.keys()
    for place, number in ours.items():
        other = theirs[place]
        if isinstance(number, float):
            assert other == pytest.approx(number, rel=1e-9, abs=1e-12), place
        else:
            assert other == number, place


@requires_validator
def test_the_validator_finds_nothing_new(rich_book: Path, book: Path) -> None:
    plain = write(book.with_name("plain.xlsx"), parts({"Model": QUADRATIC, "Other": "A1 7"}))
    labels = write(book.with_name("labels.xlsx"), parts(LABELS))
    emptied = write(
        book.with_name("emptied.xlsx"),
        parts("B1 =5 | 5\nA2 1\nB2 1\nC2 {C2:C3 =A2} | 1\nC3 1", chain='<c r="B1" i="1"/>'),
    )
    pairs = []
    for source in (rich_book, plain, labels):
        target = source.with_name(f"{source.stem}-new.xlsx")
        trained(source, target)
        again = source.with_name(f"{source.stem}-again.xlsx")
        trained(target, again)
        pairs += [(source, target), (source, again)]
    got = patched(book.parent, read(emptied), {"B1": CUT, "D9": 1})
    pairs.append((emptied, write(book.with_name("emptied-new.xlsx"), got)))
    errors = validation_errors([path for pair in pairs for path in pair])
    for source, target in pairs:
        assert [error for error in errors[target] if error not in errors[source]] == []


def test_rows_helper() -> None:
    """The table notation of these tests."""
    assert rows("A2 =B1<1 | TRUE\nA1 'x\nB1") == (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>x</t></is></c><c r="B1" s="1"/></row>'
        '<row r="2"><c r="A2" t="b"><f>B1&lt;1</f><v>1</v></c></row>'
    )
