"""Plain rows, read without the XML parser, are what the parser reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from corpus import CORPUS, SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from packages import parts, write
from packages import sheet as sheet_xml

import xl2torch
from xl2torch.errors import WorkbookError
from xl2torch.workbook.read import sheet_reader
from xl2torch.workbook.read.plain_rows import unread_rows, with_rows
from xl2torch.workbook.read.reader import Workbook, read_again

EXTENSION = "http://schemas.microsoft.com/office/spreadsheetml/2009/9/ac"
PLAIN = [
    '<row r="1"><c r="A1"><v>1</v></c><c r="C1" s="3"><v>-2.5e-3</v></c></row>',
    '<row r="2" spans="1:3" hidden="1"><c r="A2" t="s"><v>0</v></c><c r="B2" s="1"/></row>',
    '<row r="1"><c r="A1" t="b"><v>1</v></c><c r="B1" t="e"><v>#N/A</v></c></row>',
    '<row r="1"><c r="A1" t="str"><f>"a"&amp;"&lt;b&gt;"</f><v>a&lt;b&gt; \u00e9</v></c></row>',
    '<row r="1"><c r="B1"><v>2</v></c></row>\n  <row r="2"><c r="B2"><f>B1*2</f><v>4</v></c></row>',
    '<row r="1"><c r="A1"><f t="shared" ref="A1:A2" si="0">ROW()</f><v>1</v></c></row>'
    '<row r="2"><c r="A2"><f t="shared" si="0"/><v>2</v></c></row>',
    '<row r="1"><c r="A1" cm="1"><f t="array" ref="A1:B1">{1,2}</f><v>1</v></c>'
    '<c r="B1"><v>2</v></c></row>',
    '<row r="1" x14ac:dyDescent="0.25" spans="1:2" hidden="1"><c r="A1"><v>1</v></c></row>'
    '<row r="2" x14ac:dyDescent="0.25"><c r="A2"><v>2</v></c></row>',
    "",
]
UNUSUAL = [
    # What only the parser may read, alone or among plain rows.
    "<row><c><v>1</v></c><c><v>2</v></c></row><row><c><v>3</v></c></row>",
    '<row r="1"><c><v>1</v></c><c r="D1"><v>2</v></c></row>',
    "<row r='3'><c r='A3'><v>1</v></c></row>",
    '<row r="1"><c r="A1" t="inlineStr"><is><t>one</t></is></c></row>'
    '<row r="2"><c r="A2"><v>2</v></c></row>',
    '<row r="1"><c r="A1"><!-- 5 --><v>1</v></c></row>',
    '<!-- <row r="1"><c r="A1"><v>9</v></c></row> --><row r="1"><c r="A1"><v>1</v></c></row>',
    '<row r="1"><c r="A1"><v><![CDATA[1]]></v></c></row>',
    '<row r="1"><c r="A1" t="str"><v>&#65;&#x42;</v></c></row>',
    '<row r="1"><c r="A1" t="str"><v xml:space="preserve"> x </v></c></row>',
    '<row r="1"><c r="A1" t="str"><v>a\r\nb</v></c></row>',
    '<row r="1"><c r="A1"><v>1</v><extLst/></c></row>',
    '<row r="1"/><row r="2"><c r="A2"><v>2</v></c></row>',
    '<row r="1" q:a="1" xmlns:q="urn:other"><c r="A1"><v>1</v></c></row>',
    '<x:row xmlns:x="urn:other" r="1"/><row r="1"><c r="A1"><v>7</v></c></row>',
]
DAMAGED = [
    '<row r="2"><c r="A2"><f t="shared" si="0"/><v>2</v></c></row>'
    '<row r="1"><c r="A1"><f t="shared" ref="A1:A2" si="0">ROW()</f><v>1</v></c></row>',
    '<row r="1"><c r="A1"><v>one</v></c></row>',
    '<row r="1"><c r="A1"><v>1</c></row>',
    '<row r="1"><c r="A1" t="str"><v>&nobody;</v></c></row>',
    '<row r="1"><c r="A1"><f t="shared" si="4"/><v>2</v></c></row>',
    '<row r="1"><c r="A1" t="s"><v>77</v></c></row>',
    '<row r="1"><c r="A1"><v>1</v></c>',
    '<row r="1"><c r="A1" t="str"><v>\x01</v></c></row>',
    '<row r="1" q:a="1"><c r="A1"><v>1</v></c></row>',
    '<row r="1" ht="1" ht="2"><c r="A1"><v>1</v></c></row>',
    '<row r="1"><c r="A1" s="1" s="2" t="str"><v>1</v></c></row>',
]


def book(tmp_path: Path, rows: str) -> Path:
    root = f'<worksheet xmlns:x14ac="{EXTENSION}" '
    data = sheet_xml(rows).replace("<worksheet ", root)
    return write(tmp_path / "rows.xlsx", parts({"S": data}, names=""))


def same(first: Workbook, second: Workbook) -> None:
    """Both hold the same cells, formulas and hidden rows."""
    for one, other in zip(first.sheets, second.sheets, strict=True):
        for fact in ("keys", "numbers", "kinds", "texts"):
            np.testing.assert_array_equal(getattr(one.cells, fact), getattr(other.cells, fact))
        assert sorted(map(repr, one.formulas)) == sorted(map(repr, other.formulas))
        assert one.hidden_rows == other.hidden_rows and one.protected == other.protected


def parsed(path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbook:
    """The workbook as the parser alone reads it."""
    with monkeypatch.context() as patch:
        patch.setattr(sheet_reader, "cut_rows", lambda data: None)
        return xl2torch.load(path)


@pytest.mark.parametrize("rows", [*PLAIN, *UNUSUAL])
def test_rows_are_what_the_parser_reads(
    rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if 't="s"' in rows:
        rows = rows.replace('t="s"><v>0</v>', 't="str"><v>zero</v>')
    path = book(tmp_path, rows)
    same(xl2torch.load(path), parsed(path, monkeypatch))


@pytest.mark.parametrize("rows", PLAIN)
def test_plain_rows_do_not_need_the_parser(rows: str) -> None:
    found: list[object] = []
    left = list(unread_rows(rows.encode(), found.append))
    assert not b"".join(left).strip() and len(found) == rows.count("<row ")


@pytest.mark.parametrize("rows", [*PLAIN, *UNUSUAL])
def test_rows_that_are_left_out_change_no_others(rows: str, tmp_path: Path) -> None:
    if 't="s"' in rows:
        rows = rows.replace('t="s"><v>0</v>', 't="str"><v>zero</v>')
    workbook = xl2torch.load(book(tmp_path, rows))
    (sheet,) = workbook.sheets
    data = workbook.package.part(sheet.part)
    for row in (1, 2, 3):
        cells = read_again(workbook, sheet.name, data, {row})
        for column in (1, 2, 3, 4):
            assert cells.value(row, column) == sheet.cells.value(row, column)


def test_rows_that_nobody_wants_are_left_out() -> None:
    rows = [f'<row r="{row}"><c r="A{row}"><v>{row}</v></c></row>' for row in (1, 2, 3, 4)]
    rows[0] = rows[0].replace("<v>", '<f t="shared" ref="A1:A9" si="0">1</f><v>')
    kept = with_rows(sheet_xml("".join(rows)).encode(), {3})
    assert kept == sheet_xml(rows[0] + rows[2]).encode()


@pytest.mark.parametrize("rows", DAMAGED)
def test_damage_is_told_as_the_parser_tells_it(
    rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = book(tmp_path, rows)
    with pytest.raises(WorkbookError) as ours:
        xl2torch.load(path)
    with pytest.raises(WorkbookError) as parsers:
        parsed(path, monkeypatch)
    assert str(ours.value) == str(parsers.value)


@pytest.mark.parametrize(
    "path", [*SAMPLES, *sorted(CORPUS.glob("*/*.xls?"))[::3]], ids=lambda path: path.name
)
def test_real_workbooks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same(xl2torch.load(path), parsed(path, monkeypatch))


def test_another_encoding_is_left_to_the_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = '<row r="1"><c r="A1" t="str"><v>\u00e9</v></c></row>'
    text = sheet_xml(rows).partition("?>")[2]
    for encoding in ("ISO-8859-1", "UTF-16"):
        data = f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding)
        package = {**parts({"S": ""}, names=""), "xl/worksheets/sheet1.xml": data}
        path = write(tmp_path / "rows.xlsx", package)
        workbook = xl2torch.load(path)
        assert workbook.sheets[0].cells.value(1, 1) == "\u00e9"
        same(workbook, parsed(path, monkeypatch))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 40), st.integers(1, 30),
            st.floats(allow_nan=False, allow_infinity=False)
            | st.text("ab<&>\"' \u00e9", max_size=4),
        ),
        max_size=12, unique_by=lambda cell: cell[:2],
    )
)  # fmt: skip
def test_any_values(cells: list[tuple[int, int, float | str]]) -> None:
    import tempfile
    from xml.sax.saxutils import escape

    from xl2torch.cells.address import column_letters

    rows: dict[int, str] = {}
    for row, column, value in sorted(cells, key=lambda cell: cell[:2]):
        at = f"{column_letters(column)}{row}"
        if isinstance(value, str):
            cell = f'<c r="{at}" t="str"><v>{escape(value)}</v></c>'
        else:
            cell = f'<c r="{at}"><v>{value!r}</v></c>'
        rows[row] = rows.get(row, "") + cell
    data = "".join(f'<row r="{row}">{text}</row>' for row, text in rows.items())
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = book(Path(folder), data)
        same(xl2torch.load(path), parsed(path, patch))
