"""Small .xlsx packages built from text, and edited at zip level.

A sheet is a table of one cell per line:

    A1 5            a number                B1 =A1*2 | 10    a formula and its cached value
    A2 'words       a text                  B2 {C1:C2 =A1:A2} | 1   an array formula
    A3 TRUE         a logical               B3 #N/A          an error
    A4              a formatted blank cell     D1 {spill D1 =A1:A2}   a dynamic array
"""

import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
SHEET_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml."
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

CONTENT_TYPES = "[Content_Types].xml"
WORKBOOK = "xl/workbook.xml"
WORKBOOK_RELS = "xl/_rels/workbook.xml.rels"
SHEET1 = "xl/worksheets/sheet1.xml"
CALC_CHAIN = "xl/calcChain.xml"

STYLES = (
    HEAD + f'<styleSheet xmlns="{MAIN}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/>'
    '<family val="2"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/>'
    '</fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border>'
    "<left/><right/><top/><bottom/><diagonal/></border></borders>"
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="2" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/>'
    "</cellStyles></styleSheet>"
)

QUADRATIC = """
    A1 'x
    B1 5
    A2 'y
    B2 -4
    A3 'loss
    B3 =(B1-1)^2+(B2-2)^2+3 | 55
"""
"""A model with its minimum, 3, at B1 = 1 and B2 = 2."""

Parts = dict[str, bytes]


def cell(line: str) -> str:
    """One cell's XML from one line of a table."""
    reference, _, content = line.strip().partition(" ")
    content, bar, cached = content.strip().rpartition(" | ")
    if not bar:
        content, cached = cached, ""
    formula = ""
    array = re.fullmatch(r"\{(spill )?(\S+) =(.*)\}", content)
    if array:
        formula = f'<f t="array" ref="{array[2]}">{escape(array[3])}</f>'
    elif content.startswith("="):
        formula = f"<f>{escape(content[1:])}</f>"
    kind, value = _value(cached if formula else content, bool(formula))
    head = f'<c r="{reference}"{" s=" + quoteattr("1") if not content else ""}{kind}'
    if array and array[1]:
        head += ' cm="1"'
    return f"{head}>{formula}{value}</c>" if formula or value else f"{head}/>"


def _value(text: str, computed: bool) -> tuple[str, str]:
    if text.startswith("'"):
        if computed:
            return ' t="str"', f"<v>{escape(text[1:])}</v>"
        return ' t="inlineStr"', f"<is><t>{escape(text[1:])}</t></is>"
    if text in ("TRUE", "FALSE"):
        return ' t="b"', f"<v>{int(text == 'TRUE')}</v>"
    if text.startswith("#"):
        return ' t="e"', f"<v>{text}</v>"
    return "", f"<v>{text}</v>" if text else ""


def rows(table: str) -> str:
    """The rows of a table of cells."""
    by_row: dict[int, list[str]] = {}
    for line in filter(str.strip, table.splitlines()):
        number = re.match(r"\s*[A-Z]+(\d+)", line)
        assert number, line
        by_row.setdefault(int(number[1]), []).append(line)
    return "".join(
        f'<row r="{number}">{"".join(map(cell, sorted(lines, key=_column)))}</row>'
        for number, lines in sorted(by_row.items())
    )


def _column(line: str) -> tuple[int, str]:
    letters = re.match(r"\s*([A-Z]+)", line)
    assert letters, line
    return len(letters[1]), letters[1]


def sheet(data: str, before: str = "", after: str = "") -> str:
    """A worksheet part; ``data`` is the content of its sheetData."""
    return (
        f'{HEAD}<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}">{before}'
        f"<sheetData>{data}</sheetData>{after}</worksheet>"
    )


def solver(
    objective: str = "$B$3", variables: str = "$B$1:$B$2", index: int = 0, sense: int = 2,
    title: str = "Model", constraints: Sequence[tuple[str, str, str]] = (),
    options: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Defined names of a stored Solver model; an empty text leaves a name out.

    ``constraints`` are (left, code of the relation, right), as stored but without the sheet of the
    left side; ``options`` are other names, without ``solver_``.
    """
    area = ",".join(f"{title}!{piece}" for piece in variables.split(",")) if variables else ""
    names = {
        "adj": area, "neg": "2", "num": str(len(constraints)),
        "opt": f"{title}!{objective}" if objective else "", "typ": str(sense),
    }  # fmt: skip
    for number, (left, relation, right) in enumerate(constraints, 1):
        names |= {
            f"lhs{number}": f"{title}!{left}", f"rel{number}": relation, f"rhs{number}": right,
        }  # fmt: skip
    names |= options or {}
    return "".join(
        f'<definedName name="solver_{key}" localSheetId="{index}" hidden="1">{escape(text)}'
        "</definedName>"
        for key, text in names.items()
        if text
    )


def relationships(entries: Iterable[tuple[str, str, str]]) -> str:
    """A .rels part of (id, last word of the type, target)."""
    lines = "".join(
        f'<Relationship Id="{name}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for name, kind, target in entries
    )
    return f'{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{lines}</Relationships>'


def parts(
    sheets: Mapping[str, str] | str = QUADRATIC,
    names: str | None = None,
    strings: str | None = None,
    chain: str | None = None,
    calc: str = '<calcPr calcId="191029"/>',
    extra: Mapping[str, str | bytes] | None = None,
) -> Parts:
    """The parts of a workbook.

    ``sheets`` are whole worksheet parts, or tables, by name (a table alone is sheet Model);
    ``names`` the XML of the defined names, by default a Solver model where sheet Model has B3.
    """
    if isinstance(sheets, str):
        sheets = {"Model": sheets}
    if names is None:
        names = solver()
    related = [
        (f"rId{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(sheets) + 1)
    ]
    related.append(("rId90", "styles", "styles.xml"))
    types = {f"xl/worksheets/sheet{n}.xml": "worksheet" for n in range(1, len(sheets) + 1)}
    types |= {WORKBOOK: "sheet.main", "xl/styles.xml": "styles"}
    found: dict[str, str | bytes] = {}
    if strings is not None:
        related.append(("rId91", "sharedStrings", "sharedStrings.xml"))
        types["xl/sharedStrings.xml"] = "sharedStrings"
        found["xl/sharedStrings.xml"] = f'{HEAD}<sst xmlns="{MAIN}">{strings}</sst>'
    if chain is not None:
        related.append(("rId92", "calcChain", "calcChain.xml"))
        types[CALC_CHAIN] = "calcChain"
        found[CALC_CHAIN] = f'{HEAD}<calcChain xmlns="{MAIN}">{chain}</calcChain>'
    entries = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="rId{n}"/>'
        for n, name in enumerate(sheets, 1)
    )
    defined = f"<definedNames>{names}</definedNames>" if names else ""
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{SHEET_TYPE}{kind}+xml"/>'
        for name, kind in types.items()
    )
    head: dict[str, str | bytes] = {
        CONTENT_TYPES: f'{HEAD}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="bin" ContentType="application/octet-stream"/>'
        '<Default Extension="png" ContentType="image/png"/>'
        f"{overrides}</Types>",
        "_rels/.rels": relationships([("rId1", "officeDocument", "xl/workbook.xml")]),
        WORKBOOK: f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{entries}</sheets>'
        f"{defined}{calc}</workbook>",
        WORKBOOK_RELS: relationships(related),
        "xl/styles.xml": STYLES,
    }
    for n, text in enumerate(sheets.values(), 1):
        found[f"xl/worksheets/sheet{n}.xml"] = text if "<" in text else sheet(rows(text))
    return {
        name: text.encode() if isinstance(text, str) else text
        for name, text in (head | found | dict(extra or {})).items()
    }


def write(
    path: Path, contents: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    """A zip of parts, in their order."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def read(path: Path) -> Parts:
    """All parts of a zip, in their order."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def edited(contents: Mapping[str, bytes], part: str, *changes: tuple[str, str]) -> Parts:
    """The parts with texts of one of them replaced; each text has to be there once."""
    data = contents[part].decode()
    for old, new in changes:
        assert data.count(old) == 1, f"{old!r} is in {part} {data.count(old)} times"
        data = data.replace(old, new)
    return {**contents, part: data.encode()}


def rewritten(path: Path, target: Path, change: Callable[[Parts], Parts]) -> Path:
    """A copy of a package with its parts changed."""
    return write(target, change(read(path)))
