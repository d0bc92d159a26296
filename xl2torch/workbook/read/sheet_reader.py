"""One pass over a sheet's XML: formulas, cached values, shared formulas and array ranges together.

openpyxl is not used here: its full mode refuses some real workbooks, its read-only mode knows
neither tables nor spill ranges.
"""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np

from xl2torch.cells.address import (
    MAX_COLUMN,
    MAX_ROW,
    CellRange,
    column_letters,
    column_number,
    parse_a1,
)
from xl2torch.cells.values import ERRORS, NUMBER, VALUE, CellValue, ErrorValue
from xl2torch.errors import WorkbookError
from xl2torch.safety.limits import MOST_FORMULA_LETTERS
from xl2torch.workbook.formula_groups import FormulaCell, FormulaGroup, Rectangle, grouped
from xl2torch.workbook.ooxml import local, parse_xml, unescape
from xl2torch.workbook.package import Package
from xl2torch.workbook.read.plain_rows import (
    Attributes,
    PlainRow,
    SheetData,
    attributes_of,
    cut_rows,
    prefixes_of,
    unescaped,
    unread_rows,
    whole_number,
)
from xl2torch.workbook.sparse_cells import SparseCells


@dataclass(frozen=True)
class Table:
    """A table (list object): its whole range and its column names."""

    name: str
    range: CellRange
    columns: tuple[str, ...]
    header_rows: int
    totals_rows: int


@dataclass(frozen=True, eq=False)
class Sheet:
    """One worksheet.

    ``stored_ranges`` are the file's ranges of array formulas that have another range here, by
    their first cells.
    """

    name: str
    part: str
    cells: SparseCells
    formulas: tuple[FormulaCell, ...]
    tables: tuple[Table, ...]
    protected: bool
    hidden_rows: frozenset[int] = frozenset()
    filters: tuple[Rectangle, ...] = ()
    data_tables: tuple[CellRange, ...] = ()
    stored_ranges: Mapping[tuple[int, int], Rectangle] = field(default_factory=dict)

    def is_filtered(self, row: int) -> bool:
        """Whether a hidden row is hidden by a filter."""
        return any(top < row <= bottom for top, _, bottom, _ in self.filters)

    def __repr__(self) -> str:
        return f"<Sheet {self.name}: {len(self.formulas)} formulas>"

    @cached_property
    def extent(self) -> tuple[int, int]:
        """Last row and column that hold anything; blank and merely formatted cells do not count."""
        row, column = self.cells.extent()
        for group in self.groups:
            row = max(row, int(group.rows.max()) + group.height - 1)
            column = max(column, int(group.columns.max()) + group.width - 1)
        return row, column

    @cached_property
    def groups(self) -> tuple[FormulaGroup, ...]:
        """Formulas grouped by what they are copies of."""
        return grouped(self.formulas)

    def has_formula(self, row: int, column: int) -> bool:
        """Whether a cell holds a formula."""
        return any(((g.rows == row) & (g.columns == column)).any() for g in self.groups)

    @cached_property
    def array_formulas(self) -> tuple[FormulaCell, ...]:
        """Array formulas: those with a range of their own."""
        return tuple(formula for formula in self.formulas if formula.array is not None)

    @cached_property
    def formula_at(self) -> Mapping[tuple[int, int], FormulaCell]:
        """Formulas by (row, column)."""
        return {(formula.row, formula.column): formula for formula in self.formulas}


_NONE: Mapping[int, ErrorValue] = {}
_LETTERS = re.compile("[A-Z]{1,3}")
_PREFIX = re.compile(r"_xl\w{1,4}\.")
_COUNT = re.compile("[0-9]{1,7}")
_CELLS = frozenset({"row", "c", "v", "f", "t", "rPh"})


def read_sheet(
    package: Package, name: str, part: str, strings: list[str], dates_1904: bool = False,
    rich_errors: Mapping[int, ErrorValue] = _NONE,
) -> Sheet:  # fmt: skip
    """A worksheet. Raises WorkbookError.

    ``strings`` are the workbook's shared strings, ``rich_errors`` its errors by ``vm``.
    """
    source = (package, name, part, strings, dates_1904, rich_errors)
    with _without_garbage_collection():
        cut = cut_rows(package.part(part))
        if cut is not None:
            # Where that fails the parser says what is wrong, or reads what is only unusual.
            with contextlib.suppress(WorkbookError):
                return _read(*source, cut)
        return _read(*source, None)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Millions of small objects are made and none of them in a circle: do not look for any."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(
    package: Package, name: str, part: str, strings: list[str], dates_1904: bool,
    rich_errors: Mapping[int, ErrorValue], cut: SheetData | None,
) -> Sheet:  # fmt: skip
    """The worksheet; where its rows are cut out, plain ones are read without the parser."""
    first_day = datetime(1904, 1, 1) if dates_1904 else datetime(1899, 12, 30)
    rows: list[int] = []
    columns: list[int] = []
    values: list[CellValue] = []
    formulas: list[FormulaCell] = []
    shared: dict[str, tuple[str, int, int]] = {}
    where = f"{package.path.name}: sheet {name!r}"
    columns_of: dict[str, int] = {}
    hidden_rows: set[int] = set()
    filters: list[Rectangle] = []
    data_tables: list[CellRange] = []
    filtered: Rectangle | None = None

    row = column = 0
    cell_type = rich = digits = ""
    formula: dict[str, str] | None = None
    formula_text = value_text = ""
    pieces: list[str] = []
    collecting = protected = phonetic = dynamic = finished = begun = valued = False
    main = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal row, column, cell_type, formula, collecting, formula_text, value_text, protected
        nonlocal rich, main, phonetic, filtered, dynamic, begun, valued, digits
        namespace, _, kind = tag.rpartition(" ")
        if namespace != main:
            if kind != "worksheet":
                return
            main = namespace
        if (finished or not begun) and kind in _CELLS:
            return  # an extension that looks like cells
        if kind == "sheetData":
            if begun:
                raise ValueError("it has two tables of cells")
            begun = True
            return
        if collecting and kind in _CELLS:
            raise ValueError(f"<{kind}> within the value of a cell in row {row}")
        if kind == "c":
            reference = attributes.get("r")
            before = column
            if reference:
                letters = reference.rstrip("0123456789")
                column = columns_of.get(letters) or columns_of.setdefault(letters, _column(letters))
                if reference[len(letters) :] != digits:
                    raise ValueError(f"the cell {reference} is in row {row}")
            else:
                column += 1
            if not before < column <= MAX_COLUMN:
                raise ValueError(f"the cell {reference or column} of row {row} is out of order")
            cell_type = attributes.get("t", "n")
            dynamic, rich = "cm" in attributes, attributes.get("vm", "")
            formula = None
            formula_text = value_text = ""
            valued = False
        elif kind == "v":
            if valued:
                raise ValueError(f"a cell in row {row} has two values")
            collecting = valued = True
        elif kind == "t":
            collecting = not phonetic
        elif kind == "f":
            if formula is not None:
                raise ValueError(f"a cell in row {row} has two formulas")
            formula = attributes
            collecting = True
        elif kind == "row":
            number = attributes.get("r")
            last, row = row, row + 1 if number is None else whole_number(number)
            if not last < row <= MAX_ROW:
                raise ValueError(f"row {row} stands after row {last}")
            column, digits = 0, str(row)
            if attributes.get("hidden") in ("1", "true"):
                hidden_rows.add(row)
        elif kind == "rPh":
            phonetic = True
        elif kind == "autoFilter":
            filtered = _corners(attributes.get("ref", ""), name)
        elif kind == "filterColumn" and filtered is not None:
            filters.append(filtered)
        elif kind == "sheetProtection":
            protected = attributes.get("sheet") in ("1", "true")

    def end(tag: str) -> None:
        nonlocal collecting, formula_text, value_text, phonetic, finished
        if phonetic:
            phonetic = not tag.endswith(" rPh")
        elif collecting:
            kind = tag.rpartition(" ")[2]
            if kind == "v":
                value_text = "".join(pieces)
            elif kind == "f":
                formula_text = "".join(pieces)
            elif kind == "t" and cell_type == "inlineStr":
                value_text += "".join(pieces)
            pieces.clear()
            collecting = False
        elif tag.endswith(" c") and tag.startswith(main):
            if begun and not finished:
                finish_cell()
        elif tag.endswith(" sheetData") and tag.startswith(main):
            finished = True

    def text(data: str) -> None:
        if collecting:
            pieces.append(data)

    def finish_cell() -> None:
        if formula is not None:
            if len(formula_text) > MOST_FORMULA_LETTERS:
                letters = len(_PREFIX.sub("", formula_text))
                if letters > MOST_FORMULA_LETTERS:
                    raise ValueError(f"a formula in row {row} has {letters:,} letters")
            note_formula(formula)
        if cell_type == "n":
            if value_text:
                rows.append(row)
                columns.append(column)
                if "_" in value_text or not value_text.isascii():
                    raise ValueError(f"{value_text[:20]!r} is no number")
                values.append(float(value_text))  # it reads 1_000 and other digits, too
            return
        value = _typed_value(cell_type, value_text, strings, first_day)
        if rich and cell_type == "e" and rich.isdigit():
            value = rich_errors.get(int(rich), value)
        if value is not None:
            rows.append(row)
            columns.append(column)
            values.append(value)

    def note_formula(attributes: dict[str, str]) -> None:
        kind = attributes.get("t", "normal")
        if kind == "array":
            area = parse_a1(attributes.get("ref", ""), name)
            if area is None:
                raise WorkbookError(f"{where} is damaged: an array formula has no range")
            if (area.top, area.left) != (row, column):
                raise WorkbookError(
                    f"{where} is damaged: the array formula in {column_letters(column)}{row} "
                    f"has the range {area.a1}, which begins elsewhere"
                )
            array = (area.top, area.left, area.bottom, area.right)
            formulas.append(FormulaCell(row, column, formula_text, row, column, array, dynamic))
        elif kind == "shared" and not formula_text:
            group = shared.get(attributes.get("si", ""))
            if group is None:
                raise WorkbookError(f"{where} is damaged: a shared formula has no first cell")
            formulas.append(FormulaCell(row, column, *group, None))
        elif kind == "dataTable":
            area = parse_a1(attributes.get("ref", ""), name)
            if area is not None:
                data_tables.append(area)
        elif formula_text:
            if kind == "shared":
                shared[attributes.get("si", "")] = (formula_text, row, column)
            formulas.append(FormulaCell(row, column, formula_text, row, column, None))

    known: dict[str, Attributes] = {}
    prefixes = prefixes_of(b"" if cut is None else cut.before)

    def attributes(text: str) -> Attributes:
        found = known.get(text)
        if found is None:
            found = known[text] = attributes_of(text, prefixes)
        return found

    def read_row(found: PlainRow) -> None:
        nonlocal row, column, cell_type, rich, formula, formula_text, value_text, dynamic
        row = found.number
        if found.attributes and attributes(found.attributes).get("hidden") in ("1", "true"):
            hidden_rows.add(row)
        for _, letters, _, own, has_formula, inside, text_, value in found.cells:
            column = columns_of.get(letters) or columns_of.setdefault(letters, _column(letters))
            if not own and not has_formula:
                if value:
                    rows.append(row)
                    columns.append(column)
                    values.append(float(value))
                continue
            if not own and inside and not text_ and value:
                follower = attributes(inside)
                source = shared.get(follower.get("si", ""))
                if source is not None and follower.get("t") == "shared":
                    formulas.append(FormulaCell(row, column, *source, None))
                    rows.append(row)
                    columns.append(column)
                    values.append(float(value))
                    continue
            facts = attributes(own)
            cell_type = facts.get("t", "n")
            dynamic, rich = "cm" in facts, facts.get("vm", "")
            formula = attributes(inside) if has_formula else None
            formula_text = unescaped(text_) if found.escaped else text_
            value_text = unescaped(value) if found.escaped else value
            finish_cell()

    try:
        if cut is None:
            data = package.part(part)
        else:
            left = list(unread_rows(cut.rows, read_row))
            data = b"".join((cut.before, *left, cut.after))
            row = 0
        parse_xml(data, start=start, end=end, text=text, where=where)
        cells = SparseCells.of(rows, columns, values)
        if not np.isfinite(cells.numbers[cells.kinds == NUMBER]).all():
            raise ValueError("a number is not finite")
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise WorkbookError(f"{where} is damaged: {error}") from None
    if cut is not None and not begun:
        raise WorkbookError(f"{where}: what looks like its rows is something else")
    tables = tuple(
        _read_table(package, name, relation.target, filters)
        for relation in package.relationships(part)
        if relation.type.endswith("/table")
    )
    return Sheet(
        name, part, cells, tuple(formulas), tables, protected,
        frozenset(hidden_rows), tuple(filters), tuple(data_tables),
    )  # fmt: skip


def _column(letters: str) -> int:
    """Number of a column. Raises ValueError beyond XFD, or where it is none."""
    found = column_number(letters) if _LETTERS.fullmatch(letters.upper()) else 0
    if not 0 < found <= MAX_COLUMN:
        raise ValueError(f"{letters!r} is no column")
    return found


def _corners(reference: str, sheet: str) -> Rectangle | None:
    area = parse_a1(reference, sheet)
    return None if area is None else (area.top, area.left, area.bottom, area.right)


def _typed_value(cell_type: str, text: str, strings: list[str], first_day: datetime) -> CellValue:
    if cell_type == "inlineStr":
        return unescape(text)
    if cell_type == "str":
        return unescape(text)
    if not text:
        return None
    if cell_type == "s":
        if not (text.isascii() and text.isdecimal()):
            raise ValueError(f"{text[:20]!r} is no string's number")
        return strings[int(text)]
    if cell_type == "b":
        return text in ("1", "true")
    if cell_type == "e":
        return ERRORS.get(text, VALUE)
    if cell_type == "d":
        moment = datetime.fromisoformat(text).replace(tzinfo=None)
        return (moment - first_day).total_seconds() / 86400
    return None


def _read_table(package: Package, sheet: str, part: str, filters: list[Rectangle]) -> Table:
    """A table; a filter that is at work in it is added to ``filters``."""
    head: dict[str, str] = {}
    columns: list[str] = []
    filtered: Rectangle | None = None

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal filtered
        kind = local(tag)
        if kind == "table":
            head.update(attributes)
        elif kind == "tableColumn":
            columns.append(unescape(attributes["name"]))
        elif kind == "autoFilter":
            filtered = _corners(attributes.get("ref", ""), sheet)
        elif kind == "filterColumn" and filtered is not None:
            filters.append(filtered)

    parse_xml(package.part(part), start=start, where=f"{package.path.name}: {part}")
    area = parse_a1(head.get("ref", ""), sheet)
    name = head.get("displayName") or head.get("name")
    rows = [head.get("headerRowCount", "1"), head.get("totalsRowCount", "0")]
    if area is None or name is None or not all(_COUNT.fullmatch(count) for count in rows):
        raise WorkbookError(f"{package.path.name} is damaged: {part} is no table")
    return Table(name, area, tuple(columns), int(rows[0]), int(rows[1]))
