"""Sheets of ours: their XML, formats and charts; what has to be registered for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from judges import requires_validator, validation_errors
from packages import CONTENT_TYPES, STYLES, WORKBOOK, Parts, edited, parts, read, write

from xl2torch.cells.values import NA
from xl2torch.errors import OutputError
from xl2torch.workbook.package import Changes
from xl2torch.workbook.read.reader import load
from xl2torch.workbook.write.charts import line_chart
from xl2torch.workbook.write.new_sheet import NewSheet, PlacedChart, StyledValue, add_sheets
from xl2torch.workbook.write.styles import STYLES as NAMES
from xl2torch.workbook.write.workbook_part import numbered_name


def added(tmp_path: Path, *sheets: NewSheet, contents: Parts | None = None) -> Parts:
    """The parts after sheets are added."""
    source, target = tmp_path / "book.xlsx", tmp_path / "new.xlsx"
    workbook = load(write(source, parts() if contents is None else contents))
    changes = Changes(workbook.package)
    add_sheets(sheets, changes)
    changes.save(target)
    return read(target)


def test_values_and_formats(tmp_path: Path) -> None:
    row = [StyledValue("=1+1"), None, StyledValue(2.5, "number", number_format=2),
           StyledValue(True, "text"), StyledValue(NA, "last"), StyledValue(3.0, "number", "A1*2"),
           StyledValue(None, "heading")]  # fmt: skip
    after = added(tmp_path, NewSheet("Report", [[], row], [9.5]))
    sheet = after["xl/worksheets/sheet2.xml"].decode()
    cells = dict(re.findall(r'<c r="([A-Z]2)"(.*?)(?=<c |</row>)', sheet))
    assert 't="inlineStr"' in cells["A2"] and "=1+1" in cells["A2"] and "B2" not in cells
    assert cells["C2"].endswith("><v>2.5</v></c>")
    assert 't="b"><v>1</v>' in cells["D2"] and 't="e"><v>#N/A</v>' in cells["E2"]
    assert "<f>A1*2</f><v>3</v>" in cells["F2"] and cells["G2"].endswith("/>")
    assert '<col min="1" max="1" width="9.5" customWidth="1"/>' in sheet and "<pane" not in sheet
    styles = after["xl/styles.xml"].decode()
    formats = styles.partition("<cellXfs")[2].partition("</cellXfs>")[0]
    xfs: list[str] = re.findall(r"<xf .*?(?:/>|</xf>)", formats)
    assert len(xfs) == int(re.findall(r'count="(\d+)"', formats)[0])

    def xf(cell: str) -> str:
        (index,) = re.findall(r'^ s="(\d+)"', cells[cell])
        return xfs[int(index)]

    assert 'numFmtId="2"' in xf("C2") and 'horizontal="right" indent="1"' in xf("C2")
    assert "applyBorder" in xf("E2") and "applyBorder" not in xf("C2")
    assert '<b/><sz val="11"/><color indexed="18"/><name val="Calibri"/>' in styles


def test_every_style_has_a_format(tmp_path: Path) -> None:
    rows = [[StyledValue("x", name)] for name in NAMES]
    after = added(tmp_path, NewSheet("Report", rows, []))
    indices = re.findall(r' s="(\d+)"', after["xl/worksheets/sheet2.xml"].decode())
    assert len(set(indices)) == len(NAMES)


@pytest.mark.parametrize("part", ["fonts", "fills", "borders", "cellXfs"])
def test_styles_that_lack_a_collection(tmp_path: Path, part: str) -> None:
    """Then the sheet has no formats, and the styles stay as they are."""
    contents = parts()
    styles = re.sub(rf"<{part}.*?</{part}>", "", STYLES).encode()
    contents["xl/styles.xml"] = styles
    after = added(tmp_path, NewSheet("R", [[StyledValue("x")]], []), contents=contents)
    assert after["xl/styles.xml"] == styles
    assert b'<c r="A1" t="inlineStr">' in after["xl/worksheets/sheet2.xml"]


@pytest.mark.parametrize("part", ["fonts", "fills", "borders", "cellXfs"])
def test_styles_with_a_collection_elsewhere(tmp_path: Path, part: str) -> None:
    """What stands within another element is none of the workbook's formats."""
    contents = parts()
    styles = re.sub(rf"<{part}.*?</{part}>", r"<colors>\g<0></colors>", STYLES).encode()
    contents["xl/styles.xml"] = styles
    after = added(tmp_path, NewSheet("R", [[StyledValue("x")]], []), contents=contents)
    assert after["xl/styles.xml"] == styles


FIRST_CODE = '<numFmts count="1"><numFmt formatCode="[>=100]0.0;0.000" numFmtId="164"/></numFmts>'
OWN_CODE = '<numFmts count="1"><numFmt numFmtId="164" formatCode="0"/></numFmts>'


@pytest.mark.parametrize("known", ["", "<numFmts/>", OWN_CODE, FIRST_CODE])
def test_codes_of_number_formats(tmp_path: Path, known: str) -> None:
    contents = parts()
    contents["xl/styles.xml"] = STYLES.replace("<fonts", f"{known}<fonts", 1).encode()
    rows = [[StyledValue(1.5, "number", code=code)] for code in ("0.00", "0.0E+00", "0.00")]
    after = added(tmp_path, NewSheet("R", rows, []), contents=contents)["xl/styles.xml"].decode()
    ours = re.findall(r'<numFmt numFmtId="(\d+)" formatCode="([^"]+)"/>', after)
    formats = ours if known != FIRST_CODE else [*ours, ("164", "0")]
    count = len(formats)
    assert count == 2 + ("164" in known) and f'<numFmts count="{count}">' in after
    assert len({number for number, _ in formats}) == count and after.count("<numFmts") == 1
    used = re.findall(r'<xf numFmtId="(\d+)"', after)
    assert {number for number, code in formats if code != "0"} <= set(used)


def test_an_empty_list_of_sheets_before_the_real_one(tmp_path: Path) -> None:
    contents = edited(parts(), WORKBOOK, ("<sheets>", "<sheets/><sheets>"))
    with pytest.raises(OutputError, match="list of sheets is empty"):
        added(tmp_path, NewSheet("R", [[StyledValue("x")]], []), contents=contents)


def test_styles_with_two_lists_are_damaged(tmp_path: Path) -> None:
    """Readers disagree which one counts."""
    contents = parts()
    twice = '<cellXfs count="1"><xf/></cellXfs></styleSheet>'
    contents["xl/styles.xml"] = STYLES.replace("</styleSheet>", twice).encode()
    with pytest.raises(OutputError, match="two lists of cellXfs"):
        added(tmp_path, NewSheet("R", [[StyledValue("x", "title")]], []), contents=contents)


def test_charts_and_panes(tmp_path: Path) -> None:
    chart = line_chart("T", "It's", [("a", "B"), ("b", "C")], "A", range(4, 9), "y", "x")
    placed = [PlacedChart(chart, 2, 3), PlacedChart(chart, 30, 3, 10, 5)]
    after = added(tmp_path, NewSheet("It's", [[StyledValue(1.0)]], [], placed, frozen=3))
    assert '<pane ySplit="3" topLeftCell="A4"' in after["xl/worksheets/sheet2.xml"].decode()
    drawing = after["xl/drawings/drawing1.xml"].decode()
    assert drawing.count("<xdr:twoCellAnchor>") == 2 and "<xdr:row>40</xdr:row>" in drawing
    assert set(re.findall(r'r:id="(\w+)"', drawing)) == {"rId1", "rId2"}
    rels = after["xl/drawings/_rels/drawing1.xml.rels"].decode()
    assert "charts/chart1.xml" in rels and "charts/chart2.xml" in rels
    text = after["xl/charts/chart1.xml"].decode()
    assert "'It''s'!$C$4:$C$8" in text and "<legend>" in text
    types = after[CONTENT_TYPES].decode()
    for part in ("worksheets/sheet2", "drawings/drawing1", "charts/chart1", "charts/chart2"):
        assert types.count(f'PartName="/xl/{part}.xml"') == 1


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (["Model"], "Answer Report 1"), (["answer report 1"], "Answer Report 2"),
        (["Answer Report 1", "Answer Report 3"], "Answer Report 2"),
        (["Answer Report 12"], "Answer Report 1"),
    ],
)  # fmt: skip
def test_numbered_names(tmp_path: Path, titles: list[str], expected: str) -> None:
    book = write(tmp_path / "b.xlsx", parts(dict.fromkeys(titles, "A1 1"), names=""))
    assert numbered_name(load(book), "Answer Report") == expected


@requires_validator
def test_valid(tmp_path: Path) -> None:
    rows = [[StyledValue(1.0, name), StyledValue("a\nb <&> _x0041_", name)] for name in NAMES]
    chart = line_chart("T", "S 1", [("a", "A")], "A", range(1, 3), "y", "x", logarithmic=True)
    added(
        tmp_path,
        NewSheet("S 1", rows, [5, 9], [PlacedChart(chart, 0, 4)], 1),
        NewSheet("S 2", [], []),
    )
    errors = validation_errors([tmp_path / "book.xlsx", tmp_path / "new.xlsx"])
    assert errors[tmp_path / "new.xlsx"] == errors[tmp_path / "book.xlsx"]
    assert WORKBOOK in read(tmp_path / "new.xlsx")
