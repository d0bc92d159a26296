"""Tables of formulas with what Excel shows for them; ``tables/*.txt``.

A file has blocks: a name at the start of a line, its rows indented. The block ``grid`` sets the
cells for the blocks that follow (lines are rows, ``|`` between cells, the first is A1). Every other
block is a function; a row is ``FORMULA -> VALUE``, or ``~>`` where the source rounds the value. The
formula is an array formula in Z1; ``{1,2;3,4}`` is a value that spills.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cells import Value, literal

from xl2torch.cells.values import ErrorValue

FOLDER = Path(__file__).with_name("tables")
_ROW = re.compile(r"(?P<formula>.*\S)\s+(?P<arrow>->|~>)\s+(?P<expected>\S.*)")
_SHOWN = re.compile(r"-?\d*\.?(\d*)(?:[eE]([+-]?\d+))?")


@dataclass(frozen=True)
class Row:
    """A formula and what its cell (or its spill) shows."""

    function: str
    grid: str
    formula: str
    expected: str
    exact: bool

    @property
    def wanted(self) -> list[list[Value]]:
        """The expected cells."""
        if not self.expected.startswith("{"):
            return [[_value(self.expected)]]
        lines = split(self.expected[1:-1], ";")
        return [[_value(text) for text in split(line, ",")] for line in lines]

    def agrees(self, got: Value, wanted: Value) -> bool:
        """Same kind, and equal to 1e-9 relative or to the digits that the source shows."""
        if type(got) is not type(wanted):
            return False
        if not isinstance(got, float) or not isinstance(wanted, float):
            return got == wanted
        if self.exact:
            return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12)
        shown = _SHOWN.fullmatch(self.expected)
        assert shown is not None, self.expected
        return abs(got - wanted) <= 0.5000001 * 10.0 ** (int(shown[2] or 0) - len(shown[1]))


def split(text: str, separator: str) -> list[str]:
    """The parts of a text between separators that stand outside quotes."""
    parts, quoted = [""], False
    for character in text:
        quoted ^= character == '"'
        if character == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _value(text: str) -> Value:
    text = text.strip()
    if text.startswith('"'):
        return text[1:-1].replace('""', '"')
    value = literal(text)
    return value.text if isinstance(value, ErrorValue) else value


def rows(path: Path) -> Iterator[Row]:
    """The rows of one table."""
    function, grid = "", ""
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        plain = line.strip()
        if not plain or plain == "#" or plain.startswith("# "):
            continue
        if not line.startswith(" "):
            grid = "\n".join(lines) if function == "grid" else grid
            function, lines = plain, []
        elif function == "grid":
            lines.append(line)
        else:
            match = _ROW.fullmatch(plain)
            assert match is not None, f"{path.name}: {plain}"
            exact = match["arrow"] == "->"
            yield Row(function, grid, match["formula"], match["expected"], exact)


ROWS = {path.stem: list(rows(path)) for path in sorted(FOLDER.glob("*.txt"))}
