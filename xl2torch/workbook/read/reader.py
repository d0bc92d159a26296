"""From a workbook file to plain data: sheets, defined names, links to other workbooks."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from xl2torch.errors import SelectionError, WorkbookError
from xl2torch.safety.limits import within_limits
from xl2torch.safety.plain_text import meant
from xl2torch.workbook.ooxml import local, parse_xml, unescape
from xl2torch.workbook.package import Package, read_package, read_stream
from xl2torch.workbook.read.external import read_external_link
from xl2torch.workbook.read.plain_rows import whole_number, with_rows
from xl2torch.workbook.read.remembered import Options, read_remembered
from xl2torch.workbook.read.rich_errors import read_rich_errors
from xl2torch.workbook.read.sheet_reader import Sheet, Table, read_sheet
from xl2torch.workbook.sparse_cells import SparseCells


@dataclass(frozen=True)
class DefinedName:
    """A defined name; ``sheet`` is None for workbook scope."""

    name: str
    text: str
    sheet: str | None


@dataclass(frozen=True, eq=False)
class Workbook:
    """What a workbook file holds, in the file's order of sheets (chart sheets left out).

    Args:
        package: The parts of the file, as bytes.
        sheets: Sheets with cells, formulas, tables and merged areas.
        sheet_order: Names of all sheets, those of charts too.
        names: Defined names with their scope.
        iterates: Whether the workbook computes circular references by iteration.
        external: Sheets of linked workbooks, named as formulas do: ``[1]Sheet1``.
        dates_1904: Whether days are counted from 1904, as Excel for the Mac once did.
        as_displayed: Whether Excel rounds each value to what its cell shows; we do not.
        shared_strings: Texts that cells share.
        remembered: Options that a trained workbook keeps for the next run.

    Raises:
        SelectionError: From ``sheet(name)``, where there is no such sheet.

    Example:
        >>> workbook = xl2torch.load("workbooks/line.xlsx")
        >>> workbook.sheet("Model").cells.value(11, 2)
        3.0
    """

    package: Package
    sheets: tuple[Sheet, ...]
    sheet_order: tuple[str, ...]
    names: tuple[DefinedName, ...]
    iterates: bool
    external: tuple[Sheet, ...] = ()
    dates_1904: bool = False
    as_displayed: bool = False
    shared_strings: list[str] = field(default_factory=list, repr=False)
    remembered: Options = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        return f"<Workbook {self.path.name}: {', '.join(sheet.name for sheet in self.sheets)}>"

    @property
    def path(self) -> Path:
        """The file that was read."""
        return self.package.path

    def sheet(self, name: str) -> Sheet:
        """Sheet by name, case ignored as Excel does. Raises SelectionError."""
        found = self.find_sheet(name)
        if found is None:
            sheets = ", ".join(sheet.name for sheet in self.sheets)
            raise SelectionError(
                f"{self.path.name} has no worksheet named {name!r}"
                f"{meant(name, [sheet.name for sheet in self.sheets])}. It has: {sheets}"
            )
        return found

    def find_sheet(self, name: str) -> Sheet | None:
        """Sheet by name, or None."""
        return self._by_name.get(name.lower())

    def table(self, name: str) -> Table | None:
        """Table by name, case ignored."""
        return self._tables.get(name.lower())

    def defined_name(self, name: str, sheet: str) -> DefinedName | None:
        """Defined name as seen from a sheet: sheet scope is nearer than workbook scope."""
        key = name.lower()
        return self._names.get((key, sheet.lower())) or self._names.get((key, None))

    @cached_property
    def _by_name(self) -> dict[str, Sheet]:
        return {sheet.name.lower(): sheet for sheet in (*self.sheets, *self.external)}

    @cached_property
    def _tables(self) -> dict[str, Table]:
        return {table.name.lower(): table for sheet in self.sheets for table in sheet.tables}

    @cached_property
    def _names(self) -> dict[tuple[str, str | None], DefinedName]:
        return {
            (name.name.lower(), name.sheet.lower() if name.sheet else None): name
            for name in self.names
        }


@within_limits("reading the workbook")
def load(path: str | Path | BinaryIO) -> Workbook:
    """Read an .xlsx or .xlsm workbook.

    Args:
        path: Its path, or an open binary file, which is read from its beginning.

    Returns:
        Sheets with formulas and cached values, names, tables, and the Solver models stored in it.

    Raises:
        WorkbookError: It is no workbook, is damaged, or asks for more than a workbook may.

    Example:
        >>> xl2torch.load("workbooks/line.xlsx")
        <Workbook line.xlsx: Model>
    """
    package = read_package(Path(path)) if isinstance(path, str | Path) else read_stream(path)
    main = package.related("", "officeDocument")
    if main is not None and main.lower().endswith(".bin"):
        raise WorkbookError(
            f"{package.path.name} is a binary .xlsb workbook: save it as .xlsx in Excel"
        )
    if main is None:
        raise WorkbookError(f"{package.path.name} is a zip file, but not an Excel workbook")
    book = _read_workbook_part(package, main)
    strings_part = package.related(main, "sharedStrings")
    strings = _read_shared_strings(package, strings_part) if strings_part else []
    rich_errors = read_rich_errors(package, main)
    targets = {relation.id: relation for relation in package.relationships(main)}
    sheets = []
    for name, relation_id in book.sheets:
        relation = targets.get(relation_id)
        if relation is None:
            raise WorkbookError(f"{package.path.name} is damaged: sheet {name!r} has no part")
        if relation.type.endswith("/worksheet"):
            sheets.append(
                read_sheet(package, name, relation.target, strings, book.dates_1904, rich_errors)
            )
    if not sheets:
        raise WorkbookError(f"{package.path.name} holds no worksheet")
    order = tuple(name for name, _ in book.sheets)
    scoped = tuple(
        DefinedName(name, text, order[scope] if scope is not None else None)
        for name, text, scope in book.names
        if scope is None or scope < len(order)
    )
    for sheet in sheets:
        # These look at every cell and formula once: they belong to reading.
        _ = sheet.array_formulas, sheet.cells.down
        for group in sheet.groups:
            _ = group.bounds, group.rectangles
    parts = [targets[link].target for link in book.links if link in targets]
    links = tuple(_read_links(package, parts))
    return Workbook(
        package,
        tuple(sheets),
        order,
        scoped,
        book.iterates,
        links,
        book.dates_1904,
        book.as_displayed,
        strings,
        read_remembered(package),
    )


def read_again(workbook: Workbook, name: str, data: bytes, rows: Container[int]) -> SparseCells:
    """Cells of some rows of a sheet, at least, as they are read where its part has other content.

    Raises WorkbookError.
    """
    package, part = workbook.package, workbook.sheet(name).part
    parts = {**package.parts, part: with_rows(data, rows)}
    written = Package(package.path, parts, package.infos)
    return read_sheet(written, name, part, workbook.shared_strings, workbook.dates_1904).cells


def _read_links(package: Package, parts: list[str]) -> Iterator[Sheet]:
    """What the file keeps of other workbooks; a link of another kind has no sheets."""
    for number, part in enumerate(parts, start=1):
        try:
            found = read_external_link(package, part)
        except (ValueError, IndexError, KeyError) as error:
            raise WorkbookError(f"{package.path.name} is damaged: {part}: {error}") from None
        for name, rows, columns, values in found:
            cells = SparseCells.of(rows, columns, values)
            yield Sheet(f"[{number}]{name}", part, cells, (), (), False)


@dataclass
class _WorkbookPart:
    """Sheets by relationship, defined names with their scope, links, and two settings."""

    sheets: list[tuple[str, str]] = field(default_factory=list)
    names: list[tuple[str, str, int | None]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    iterates: bool = False
    dates_1904: bool = False
    as_displayed: bool = False


def _read_workbook_part(package: Package, part: str) -> _WorkbookPart:
    found = _WorkbookPart()
    current: dict[str, str] = {}
    texts: list[str] = []
    main = ""

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal main
        main = main or tag.removesuffix("workbook")
        if not tag.startswith(main):
            return  # an extension
        kind = local(tag)
        if kind == "sheet":
            relation = next(value for key, value in attributes.items() if key.endswith(" id"))
            whole_number(attributes["sheetId"])
            found.sheets.append((attributes["name"], relation))
        elif kind == "externalReference":
            link = next(value for key, value in attributes.items() if key.endswith(" id"))
            found.links.append(link)
        elif kind == "definedName":
            current.update(attributes)
            texts.clear()
        elif kind == "calcPr":
            found.iterates = attributes.get("iterate") in ("1", "true")
            found.as_displayed = attributes.get("fullPrecision") in ("0", "false")
        elif kind == "workbookPr":
            found.dates_1904 = attributes.get("date1904") in ("1", "true")

    def end(tag: str) -> None:
        if tag == main + "definedName":
            scope = current.get("localSheetId")
            text = "".join(texts)
            found.names.append((current["name"], text, int(scope) if scope else None))
            current.clear()

    parse_xml(
        package.part(part), start=start, end=end, text=texts.append,
        where=f"{package.path.name}: {part}",
    )  # fmt: skip
    return found


def _read_shared_strings(package: Package, part: str) -> list[str]:
    strings: list[str] = []
    pieces: list[str] = []
    open_tags: list[str] = []

    def start(tag: str, _: dict[str, str]) -> None:
        open_tags.append(local(tag))

    def end(tag: str) -> None:
        open_tags.pop()
        if local(tag) == "si":
            strings.append(unescape("".join(pieces)))
            pieces.clear()

    def text(data: str) -> None:
        if open_tags[-1] == "t" and "rPh" not in open_tags:
            pieces.append(data)

    parse_xml(
        package.part(part), start=start, end=end, text=text, where=f"{package.path.name}: {part}"
    )
    return strings
