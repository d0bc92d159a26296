"""What the sample workbooks share: their looks, the stored Solver model, saving."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from openpyxl import Workbook
from openpyxl.cell.cell import Cell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import absolute_coordinate
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.writer.excel import ExcelWriter

from xl2torch.reports.save import fill_cached_values
from xl2torch.workbook.package import Changes
from xl2torch.workbook.read.reader import load
from xl2torch.workbook.read.selection import parse_cell
from xl2torch.workbook.write.patcher import Edits, patch_cells

DATE = datetime(2024, 1, 1)

NAVY = "1F3864"
GREY = "7F7F7F"
font = partial(Font, name="Calibri", size=11)

VARIABLE = PatternFill("solid", fgColor="FFF2CC")
OBJECTIVE = PatternFill("solid", fgColor="C6E0B4")
HEADER = PatternFill("solid", fgColor=NAVY)
GROUP = PatternFill("solid", fgColor="D9E2F3")

LINE = Side(style="thin", color="BFBFBF")
BOX = Border(left=LINE, right=LINE, top=LINE, bottom=LINE)
GAP = Border(left=Side(style="thick", color="FFFFFF"))
UNDERLINE = Border(bottom=Side(style="hair", color="BFBFBF"))

# All that Excel 2010 and later stores beside the objective and the variable cells:
# minimise, GRG Nonlinear, no constraints, variables of either sign; the rest at default.
SOLVER_OPTIONS: dict[str, str] = {
    "cvg": "0.0001",
    "drv": "1",
    "eng": "1",
    "est": "1",
    "itr": "2147483647",
    "mip": "2147483647",
    "mni": "30",
    "mrt": "0.075",
    "msl": "2",
    "neg": "2",
    "nod": "2147483647",
    "num": "0",
    "nwt": "1",
    "pre": "0.000001",
    "rbv": "1",
    "rlx": "2",
    "rsd": "0",
    "scl": "1",
    "sho": "2",
    "ssz": "100",
    "tim": "2147483647",
    "tol": "0.01",
    "typ": "2",
    "val": "0",
    "ver": "3",
}


def new_workbook(title: str) -> tuple[Workbook, Worksheet]:
    """An empty workbook with one sheet, 'Model'."""
    workbook = Workbook()
    workbook.properties.title = title
    workbook.properties.creator = "xl2torch"
    workbook.properties.created = DATE
    workbook.properties.modified = DATE
    workbook.remove(workbook.worksheets[0])
    return workbook, add_sheet(workbook, "Model")


def add_sheet(workbook: Workbook, name: str) -> Worksheet:
    """A sheet without gridlines, printed landscape on the width of one page."""
    sheet: Worksheet = workbook.create_sheet(name)
    sheet.sheet_view.showGridLines = False
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = 9  # A4
    sheet.page_setup.fitToWidth = 1
    sheet.page_setup.fitToHeight = 0
    sheet.print_options.horizontalCentered = True
    footer = sheet.oddFooter
    assert footer is not None
    footer.center.text = "&A, page &P of &N"
    return sheet


def put(sheet: Worksheet, at: str, value: str | float) -> Cell:
    """Write a value or a formula and give back its cell."""
    cell = sheet[at]
    assert isinstance(cell, Cell)
    cell.value = value
    return cell


def heading(sheet: Worksheet, title: str, notes: Sequence[str]) -> None:
    """The title in A1 and the notes below it."""
    put(sheet, "A1", title).font = font(size=16, bold=True, color=NAVY)
    sheet.row_dimensions[1].height = 24
    for row, note in enumerate(notes, start=2):
        put(sheet, f"A{row}", note).font = font(color=GREY)


def label(sheet: Worksheet, at: str, text: str, align: str = "left") -> None:
    """A bold name beside or above cells."""
    cell = put(sheet, at, text)
    cell.font = font(bold=True, color=NAVY)
    cell.alignment = Alignment(horizontal=align)


def variable(sheet: Worksheet, at: str, value: float) -> None:
    """A cell that training may change."""
    cell = result(sheet, at, value, "0.000")
    cell.font = font(color="0000FF")
    cell.fill = VARIABLE


def objective(sheet: Worksheet, at: str, formula: str) -> None:
    """The cell that training makes as small as possible."""
    cell = result(sheet, at, formula, "0.0000")
    cell.fill = OBJECTIVE


def result(sheet: Worksheet, at: str, value: str | float, number_format: str) -> Cell:
    """A boxed number."""
    cell = put(sheet, at, value)
    cell.number_format = number_format
    cell.font = font(bold=True)
    cell.border = BOX
    return cell


def legend(sheet: Worksheet, column: str, row: int) -> None:
    """What the two colours mean: two swatches, the text in the next column."""
    texts = {
        "variable cell (training changes it)": VARIABLE,
        "objective (made as small as possible)": OBJECTIVE,
    }
    for offset, (text, fill) in enumerate(texts.items()):
        swatch = sheet[f"{column}{row + offset}"]
        swatch.fill = fill
        swatch.border = BOX
        note = swatch.offset(column=1)
        note.value = text
        note.font = font(color=GREY)
        note.alignment = Alignment(horizontal="left", indent=1)


def group(sheet: Worksheet, row: int, first: str, last: str, text: str) -> None:
    """A band over several columns, its text centred without merging cells."""
    for cell in sheet[f"{first}{row}:{last}{row}"][0]:
        cell.fill = GROUP
        cell.alignment = Alignment(horizontal="centerContinuous")
    label(sheet, f"{first}{row}", text, "centerContinuous")
    sheet[f"{first}{row}"].border = GAP


def table(
    sheet: Worksheet,
    row: int,
    formats: Mapping[str, str],
    rows: Sequence[Sequence[str | float]],
) -> None:
    """A table from column A on; `formats` has the number format of each heading."""
    for column, text in enumerate(formats, start=1):
        cell = sheet.cell(row, column, text)
        cell.font = font(bold=True, color="FFFFFF")
        cell.fill = HEADER
        cell.alignment = Alignment(horizontal="right", vertical="center")
    sheet.row_dimensions[row].height = 20
    for number, values in enumerate(rows, start=row + 1):
        for column, (value, number_format) in enumerate(
            zip(values, formats.values(), strict=True), start=1
        ):
            cell = sheet.cell(number, column, value)
            cell.number_format = number_format
            cell.border = UNDERLINE
    sheet.freeze_panes = f"A{row + 1}"
    sheet.print_title_rows = f"{row}:{row}"


def widths(sheet: Worksheet, columns: Mapping[str, float]) -> None:
    """Column widths in characters; a key may name several columns, as 'ABC'."""
    for letters, width in columns.items():
        for letter in letters:
            sheet.column_dimensions[letter].width = width


def store_solver_model(sheet: Worksheet, objective: str, variables: Sequence[str]) -> None:
    """Store 'minimise `objective` by changing `variables`' as Excel's Solver does."""

    def reference(cells: str) -> str:
        return f"{sheet.title}!{absolute_coordinate(cells)}"

    model = SOLVER_OPTIONS | {
        "opt": reference(objective),
        "adj": ",".join(map(reference, variables)),
    }
    for key, value in sorted(model.items()):
        name = f"solver_{key}"
        sheet.defined_names[name] = DefinedName(name, attr_text=value, hidden=True)


def save(workbook: Workbook, path: Path, drawn: Mapping[str, float] | None = None) -> None:
    """Write the workbook, byte for byte the same each time.

    openpyxl stores formulas without their values: xl2torch computes and adds them, but for cells of
    the first sheet that are ``drawn`` at random.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        ExcelWriter(workbook, archive).write_data()
    with (
        zipfile.ZipFile(buffer) as archive,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as output,
    ):
        for name in archive.namelist():  # a new ZipInfo carries no time of day
            output.writestr(zipfile.ZipInfo(name), archive.read(name), zipfile.ZIP_DEFLATED)
    if drawn:
        _store(path, drawn)
    fill_cached_values(path)


def _store(path: Path, numbers: Mapping[str, float]) -> None:
    """Store values of formula cells of the first sheet."""
    book = load(path)
    sheet = book.sheets[0].name
    cells = [parse_cell(book, text, sheet) for text in numbers]
    edits = Edits()
    edits.put_numbers(
        sheet, np.array([cell.row for cell in cells]), np.array([cell.column for cell in cells]),
        np.array(list(numbers.values())),
    )  # fmt: skip
    changes = Changes(book.package)
    patch_cells(book, edits, changes)
    changes.save(path)
