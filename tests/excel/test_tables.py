"""Every function against values from Excel's documentation and other independent sources."""

from __future__ import annotations

from collections import Counter

import pytest
from cells import values, workbook
from tables import ROWS, Row
from test_function_values import rows as older_rows

from xl2torch.cells.address import column_letters
from xl2torch.excel.registry import FUNCTIONS

LEAST = 5
NOT_TYPED = {"UNION", "RANGE", "INTERSECTION", "SINGLE", "ANCHORARRAY", "DUMMYFUNCTION"}
"""Operators, and what only files write: these have rows in test_function_values."""
DRAWN = {"RAND", "RANDBETWEEN", "RANDARRAY", "NOW", "TODAY"}
"""No value to expect: tests/training/test_random.py."""
_FIRST = 26


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=f"{table}-{number}-{row.formula}")
     for table, found in ROWS.items() for number, row in enumerate(found)],
)  # fmt: skip
def test_value(row: Row) -> None:
    wanted = row.wanted
    area = f"Z1:{column_letters(_FIRST + len(wanted[0]) - 1)}{len(wanted)}"
    got = values(workbook(row.grid, {area: f"{{={row.formula}}}"}), area)
    pairs = [(g, w) for line, want in zip(got, wanted, strict=True)
             for g, w in zip(line, want, strict=True)]  # fmt: skip
    assert all(row.agrees(g, w) for g, w in pairs), f"={row.formula}: {got}, expected {wanted}"


def test_every_function_has_rows() -> None:
    count = Counter(row.function for found in ROWS.values() for row in found)
    count.update({name: len(found) for name, found in older_rows().items()})
    covered = {FUNCTIONS[name].compute for name in FUNCTIONS if count[name] >= LEAST}
    lacking = {name for name, function in FUNCTIONS.items() if function.compute not in covered}
    assert lacking - NOT_TYPED - DRAWN == set()
