"""The text of a formula with other references: what a copy on another sheet has to say."""

from __future__ import annotations

from collections.abc import Callable

from xl2torch.cells.address import CellRange, parse_a1, unquote_sheet
from xl2torch.formula.lexer import Token, tokenize
from xl2torch.workbook.read.reader import Workbook


class NotRelocatable(Exception):
    """The formula names cells in a way that a copy cannot repeat; the message says how."""


def relocated(
    formula: str, sheet: str, workbook: Workbook, place: Callable[[CellRange], str]
) -> str:
    """The formula with every reference written by ``place``.

    ``formula`` is as it reads in its own cell, on ``sheet``. Names of single ranges are resolved.
    Raises NotRelocatable for structured and three-dimensional references, spill ranges (``A1#``),
    computed corners (``A1:INDEX(...)``) and other names.
    """
    tokens = tokenize(formula)
    parts: list[str] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if token.kind in ("sheet", "cell", "columns", "rows"):
            area, position = _reference(formula, tokens, position, sheet)
            parts.append(place(area))
            continue
        if token.kind == "table" or (token.kind == "operator" and token.text == "#"):
            raise NotRelocatable(f"{token.text} in ={formula}")
        if token.kind == "name" and token.text.upper() not in ("TRUE", "FALSE"):
            parts.append(place(_named(formula, token.text, sheet, workbook)))
        elif token.kind == "operator" and token.text == ":":
            raise NotRelocatable(f"a computed range in ={formula}")
        else:
            parts.append(token.text)
        position += 1
    return "".join(parts)


def _reference(
    formula: str, tokens: list[Token], position: int, sheet: str
) -> tuple[CellRange, int]:
    """The reference that begins at a token, and the position behind it."""
    if tokens[position].kind == "sheet":
        prefix = tokens[position].text[:-1]
        sheet = unquote_sheet(prefix)
        position += 1
        if ":" in prefix:  # no sheet's own name holds a colon
            raise NotRelocatable(f"a range over sheets in ={formula}")
    count = 1
    if [t.text if t.kind == "operator" else t.kind for t in tokens[position : position + 3]] == [
        "cell", ":", "cell",
    ]:  # fmt: skip
        count = 3
    text = "".join(token.text for token in tokens[position : position + count])
    area = parse_a1(text, sheet)
    if area is None:
        raise NotRelocatable(f"{text} in ={formula}")
    return area, position + count


def _named(formula: str, name: str, sheet: str, workbook: Workbook) -> CellRange:
    defined = workbook.defined_name(name, sheet)
    if defined is not None:
        prefix, _, address = defined.text.strip().removeprefix("=").rpartition("!")
        area = parse_a1(address, unquote_sheet(prefix) or sheet)
        if area is not None and address.count("$") == 2 * len(address.split(":")):
            return area
    raise NotRelocatable(f"the name {name} in ={formula}")
