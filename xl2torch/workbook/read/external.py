"""Links to other workbooks: the values that the file keeps of them (ECMA-376 part 1, 18.14)."""

from __future__ import annotations

from xl2torch.cells.address import column_number
from xl2torch.cells.values import ERRORS, VALUE, CellValue
from xl2torch.workbook.ooxml import local, parse_xml, unescape
from xl2torch.workbook.package import Package


def read_external_link(
    package: Package, part: str
) -> list[tuple[str, list[int], list[int], list[CellValue]]]:
    """Sheets of one linked workbook: name, and rows, columns and values of the cells kept."""
    names: list[str] = []
    sheets: list[tuple[str, list[int], list[int], list[CellValue]]] = []
    place: dict[str, str] = {}
    pieces: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        kind = local(tag)
        if kind == "sheetName":
            names.append(attributes["val"])
            sheets.append((attributes["val"], [], [], []))
        elif kind == "sheetData":
            place["sheet"] = attributes["sheetId"]
        elif kind == "cell":
            place.update(r=attributes["r"], t=attributes.get("t", "n"))
            pieces.clear()

    def end(tag: str) -> None:
        if local(tag) != "cell" or not pieces:
            return
        text = "".join(pieces)
        letters = place["r"].rstrip("0123456789")
        _, rows, columns, values = sheets[int(place["sheet"])]
        rows.append(int(place["r"][len(letters) :]))
        columns.append(column_number(letters))
        values.append(_value(place["t"], text))

    def text(data: str) -> None:
        pieces.append(data)

    parse_xml(
        package.part(part), start=start, end=end, text=text, where=f"{package.path.name}: {part}"
    )
    return sheets


def _value(kind: str, text: str) -> CellValue:
    if kind == "str":
        return unescape(text)
    if kind == "b":
        return text in ("1", "true")
    return ERRORS.get(text, VALUE) if kind == "e" else float(text)
