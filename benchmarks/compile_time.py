"""Compile time of titanic, sheet nnet, as it is and with 100 times the rows, beyond reading.

    python benchmarks/compile_time.py CORPUS [--times 100] [--json]

The larger workbook is written to a temporary file (formulas shared per column, as Excel does) and
read again; reading is timed apart. One column reads the table of another sheet; here it reads this
sheet's own, which holds the same.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import xl2torch
from xl2torch.cells.address import column_letters, moved
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.sheet_reader import Sheet, Table

FIRST, LAST = 4, 715
SHEET = "nnet"


def _cell(sheet: Sheet, row: int, column: int, target: int, formulas: dict[int, str]) -> str:
    """XML of one cell, copied to another row."""
    name = f"{column_letters(column)}{target}"
    value = sheet.cells.value(row, column)
    formula = sheet.formula_at.get((row, column))
    text, written = "", ""
    if formula is not None:
        written = moved(formula.text, row - formula.base_row, column - formula.base_column)
        written = re.sub(r"\bTable\w+\[", f"{sheet.tables[0].name}[", written)
    if formula is not None and FIRST <= row <= LAST:
        if target == FIRST:
            formulas[column] = written
            span = f"{name}:{column_letters(column)}{formulas[0]}"
            text = f'<f t="shared" ref="{span}" si="{column}">{escape(written)}</f>'
        else:
            text = f'<f t="shared" si="{column}"/>'
    elif formula is not None:
        text = f"<f>{escape(written)}</f>"
    if isinstance(value, bool | float):
        return f'<c r="{name}">{text}<v>{float(value)!r}</v></c>'
    if isinstance(value, str):
        return f'<c r="{name}" t="str">{text}<v>{escape(value)}</v></c>'
    return f'<c r="{name}">{text}</c>' if text else ""


def write_larger(workbook: Workbook, times: int, path: Path) -> None:
    """The sheet with its data rows repeated, as an .xlsx without styles."""
    sheet = workbook.sheet(SHEET)
    count = LAST - FIRST + 1
    bottom = FIRST + count * times - 1
    formulas = {0: str(bottom)}
    columns = range(1, sheet.extent[1] + 1)
    lines = []
    for target in range(1, bottom + 1):
        row = target if target <= LAST else FIRST + (target - FIRST) % count
        cells = "".join(_cell(sheet, row, column, target, formulas) for column in columns)
        lines.append(f'<row r="{target}">{cells}</row>')
    body = "".join(lines).replace(f"AH{LAST})", f"AH{bottom})")
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    doc = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    names = "".join(
        f'<definedName name="{name.name}" localSheetId="0">{escape(name.text)}</definedName>'
        for name in workbook.names
        if name.sheet == SHEET
    )
    tables = [_larger(table, bottom) for table in sheet.tables]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType='
            '"application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{doc}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{doc}"><sheets><sheet name="{SHEET}" sheetId="1" '
            f'r:id="r1"/></sheets><definedNames>{names}</definedNames></workbook>',
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{doc}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        file.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
        )
        relations = "".join(
            f'<Relationship Id="t{index}" Type="{doc}/table" Target="../tables/t{index}.xml"/>'
            for index in range(len(tables))
        )
        file.writestr(
            "xl/worksheets/_rels/sheet1.xml.rels",
            f'<Relationships xmlns="{package}/relationships">{relations}</Relationships>',
        )
        for index, table in enumerate(tables):
            file.writestr(f"xl/tables/t{index}.xml", table.replace("MAIN", main))


def _larger(table: Table, bottom: int) -> str:
    area = re.sub(rf"{LAST}$", str(bottom), table.range.a1)
    columns = "".join(f'<tableColumn id="{i + 1}" name="{escape(name)}"/>'
                      for i, name in enumerate(table.columns))  # fmt: skip
    return (
        f'<table xmlns="MAIN" id="1" displayName="{table.name}" ref="{area}" '
        f'headerRowCount="{table.header_rows}"><tableColumns>{columns}</tableColumns></table>'
    )


def timed(path: Path, rounds: int) -> tuple[float, float, int]:
    """Seconds to read, median seconds to compile, and the number of graph nodes."""
    began = time.perf_counter()
    xl2torch.load(path)
    reading = time.perf_counter() - began
    times = []
    nodes = 0
    for _ in range(rounds):
        workbook = xl2torch.load(path)
        began = time.perf_counter()
        model = xl2torch.compile(workbook, SHEET)
        times.append(time.perf_counter() - began)
        nodes = len(model.graph.nodes)
    return reading, statistics.median(times), nodes


def main() -> None:
    """Print both compile times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    source = options.corpus / "fastai-2022" / "titanic.xlsx"
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "once.xlsx", Path(folder) / "many.xlsx"]
        workbook = xl2torch.load(source)
        write_larger(workbook, 1, paths[0])
        write_larger(workbook, options.times, paths[1])
        xl2torch.compile(workbook, SHEET)  # the first compilation imports parts of torch
        once, many = timed(paths[0], 5), timed(paths[1], 3)
    ratio = many[1] / once[1]
    if options.json:
        print(json.dumps({"once": once, "many": many, "ratio": ratio}))
        return
    print(f"{'rows':>10}{'read s':>10}{'compile s':>12}{'nodes':>8}")
    for label, (reading, compiling, nodes) in (("×1", once), (f"×{options.times}", many)):
        print(f"{label:>10}{reading:10.3f}{compiling:12.4f}{nodes:8}")
    print(f"ratio of compile times: {ratio:.2f}")


if __name__ == "__main__":
    main()
