"""Tables in files: what predictions are made from, and what they are written to."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xl2torch.cells.values import CellValue, ErrorValue
from xl2torch.errors import SelectionError, WorkbookError
from xl2torch.exports.atomic_write import atomic_write
from xl2torch.safety.plain_text import harmless_cell
from xl2torch.workbook.read.reader import load
from xl2torch.workbook.sparse_cells import cell_value, key_of, places_of

KINDS = (".csv", ".parquet", ".xlsx", ".xlsm")


def read_table(path: Path, sheet: str | None = None) -> tuple[dict[str, list[Any]], bool]:
    """Columns of a table by header, and whether its values are texts (CSV).

    The header of a sheet is its first row that is not blank. Raises SelectionError or
    WorkbookError.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise SelectionError(f"{path.name}: data come from a file that ends in .csv, .parquet or "
                             ".xlsx")  # fmt: skip
    if sheet is not None and kind in (".csv", ".parquet"):
        raise SelectionError(f"`data_sheet` is for workbooks; {path.name} has no sheets")
    if not path.is_file():
        raise WorkbookError(f"{path} does not exist, or is no file")
    try:
        if kind == ".csv":
            return _read_csv(path), True
        if kind == ".parquet":
            return _read_parquet(path), False
    except (OSError, ValueError, csv.Error) as error:
        raise WorkbookError(f"{path.name} cannot be read: {error}") from None
    return _read_sheet(path, sheet), False


def _read_csv(path: Path) -> dict[str, list[Any]]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        dialect: Any = csv.Sniffer().sniff(text.partition("\n")[0] + "\n", ",;\t")
    except csv.Error:
        dialect = csv.excel
    lines = [line for line in csv.reader(io.StringIO(text, newline=""), dialect) if line]
    if not lines:
        raise ValueError("it is empty")
    names = lines[0]
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(names):
            raise ValueError(f"line {number} has {len(line)} values, the header has {len(names)}")
    return _by_name(names, lines[1:])


def _read_parquet(path: Path) -> dict[str, list[Any]]:
    import pandas

    try:
        frame = pandas.read_parquet(path)
    except ImportError:
        raise SelectionError(
            f"{path.name}: reading parquet needs the package pyarrow: pip install pyarrow"
        ) from None
    return {str(name): frame[name].tolist() for name in frame.columns}


def _read_sheet(path: Path, name: str | None) -> dict[str, list[Any]]:
    workbook = load(path)
    sheet = workbook.sheet(name) if name else workbook.sheets[0]
    rows, columns = places_of(sheet.cells.keys)
    if not len(rows):
        raise SelectionError(f"sheet {sheet.name!r} of {path.name} is empty")
    kept = columns[rows == rows[0]]
    found = sheet.cells.at(key_of(np.unique(rows)[:, None], kept))
    names, *lines = [
        [cell_value(*cell) for cell in zip(*line, strict=True)]
        for line in zip(
            found.numbers.tolist(), found.kinds.tolist(), found.texts.tolist(), strict=True
        )
    ]
    return _by_name(
        [str(name) for name in names], [[_plain(value) for value in line] for line in lines]
    )


def _plain(value: CellValue) -> Any:
    return str(value) if isinstance(value, ErrorValue) else value


def _by_name(names: Sequence[str], lines: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise SelectionError(f"the data has several columns named {', '.join(double)}")
    return {name: [line[place] for line in lines] for place, name in enumerate(names)}


def typed(table: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """A table of texts with numbers in the columns that hold nothing else."""
    return {name: _numbers(values) for name, values in table.items()}


def _numbers(values: Sequence[Any]) -> list[Any]:
    try:
        return [None if value == "" else float(value) for value in values]
    except ValueError:
        return list(values)


def write_table(
    table: Mapping[str, Sequence[Any]], path: Path, force: bool = False,
    given: Collection[str] = (), inputs: Collection[Path] = (),
) -> None:  # fmt: skip
    """Write columns as CSV, parquet or a sheet. Text is never written as a formula, but for columns
    that are ``given``: they stay what they are. No file among the ``inputs`` is replaced.

    Raises OutputError or SelectionError.
    """
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet", ".xlsx"):
        raise SelectionError(f"{path.name}: write to a file that ends in .csv, .parquet or .xlsx")
    with atomic_write(path, force, inputs) as partial:
        if kind == ".csv":
            partial.write_bytes(_spelled(as_csv(table, given)).encode())
        elif kind == ".parquet":
            _write_parquet(table, partial)
        else:
            _write_sheet(table, partial)


def as_csv(table: Mapping[str, Sequence[Any]], given: Collection[str] = ()) -> str:
    """The table as text, numbers with all their digits, blanks and errors empty.

    Columns that are ``given`` stay what they are; no other text is a formula for a spreadsheet.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    own = [name not in given for name in table]
    writer.writerow([_harmless(name, ours) for name, ours in zip(table, own, strict=True)])
    for row in zip(*table.values(), strict=True):
        writer.writerow(
            [_harmless(_text(value), ours) for value, ours in zip(row, own, strict=True)]
        )
    return stream.getvalue()


def _harmless(text: str, ours: bool) -> str:
    return harmless_cell(text) if ours else text


def _text(value: Any) -> str:
    if value is None or isinstance(value, ErrorValue):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value) if isinstance(value, float) else str(value)


def _spelled(value: Any) -> Any:
    """The same, half a character (LEFT of an emoji) spelled out: no file can hold it."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "backslashreplace").decode()


def _as_in_xml(value: Any) -> Any:
    """A text with control characters as Excel writes them, ``_x001B_``: XML has none."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if not isinstance(value, str):
        return value
    return ILLEGAL_CHARACTERS_RE.sub(lambda found: f"_x{ord(found[0]):04X}_", _spelled(value))


def _write_parquet(table: Mapping[str, Sequence[Any]], path: Path) -> None:
    import pandas

    plain = {
        _spelled(name): [None if isinstance(v, ErrorValue) else _spelled(v) for v in values]
        for name, values in table.items()
    }
    try:
        pandas.DataFrame(plain).to_parquet(path)
    except ImportError:
        raise SelectionError(
            f"{path.name}: writing parquet needs the package pyarrow: pip install pyarrow"
        ) from None


def _write_sheet(table: Mapping[str, Sequence[Any]], path: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Predictions")

    def cell(value: Any) -> Any:
        made = WriteOnlyCell(sheet, None)
        if isinstance(value, ErrorValue):
            made.value, made.data_type = str(value), "e"
        else:
            made.value = _as_in_xml(value)
            if isinstance(value, str):
                made.data_type = "s"  # also where it begins with "="
        return made

    sheet.append([cell(name) for name in table])
    for row in zip(*table.values(), strict=True):
        sheet.append([cell(value) for value in row])
    book.save(path)
