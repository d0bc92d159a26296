"""An array where a function wants a single value: its result has one value for each element."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from random import Random

import pytest
from cells import Value, values, workbook
from tables import ROWS, Row, split

from xl2torch.arrays.array import Unsupported
from xl2torch.errors import UnsupportedError
from xl2torch.excel.registry import FUNCTIONS

_CALL = re.compile(r"([A-Z0-9.]+)\(([^()]*)\)")
_LITERAL = re.compile(r'-?\d+(\.\d+)?(E[-+]?\d+)?|TRUE|FALSE|"[^"{}]*"')
_MOST = 3
SEVERAL = {
    "DROP", "EXPAND", "LINEST", "LOGEST", "GROWTH", "TREND", "MUNIT", "SEQUENCE", "TAKE",
    "TEXTSPLIT", "TOCOL", "TOROW", "UNIQUE", "WRAPCOLS", "WRAPROWS", "RANDARRAY", "SORT",
}  # fmt: skip
"""Where each value would give several cells they are refused."""


def calls() -> dict[str, list[tuple[Row, list[str]]]]:
    """Rows of the tables that are one call, with its arguments, by function."""
    found = defaultdict(list)
    for row in (row for rows in ROWS.values() for row in rows):
        call = _CALL.fullmatch(row.formula)
        if call and call[1] in FUNCTIONS and "{" not in call[2] and FUNCTIONS[call[1]].letters:
            found[call[1]].append((row, split(call[2], ",")))
    return found


CALLS = calls()


def shown(row: Row, formula: str, area: str) -> list[Value] | None:
    """What a formula shows; None where it is not supported."""
    try:
        table = values(workbook(row.grid, {area: f"{{={formula}}}"}), area)
    except (Unsupported, UnsupportedError):
        return None
    return [value for line in table for value in line]


def cases(name: str) -> list[tuple[Row, str, list[str], list[str]]]:
    """Calls with three values for one argument, as a column and as a row; and those alone."""
    function, random, found = FUNCTIONS[name], Random(name), []
    for row, arguments in CALLS[name]:
        alone = all(
            _LITERAL.fullmatch(text) for place, text in enumerate(arguments)
            if function.letter(place) == "v"
        )  # fmt: skip
        for place, text in enumerate(arguments):
            others = [
                other[place] for _, other in CALLS[name]
                if len(other) > place and _LITERAL.fullmatch(other[place])
                and other[place] != text and other[place].startswith('"') == text.startswith('"')
            ]  # fmt: skip
            if not alone or function.letter(place) != "v" or not others:
                continue
            three = [text, random.choice(others), random.choice(others)]

            def call(given: str, place: int = place, arguments: list[str] = arguments) -> str:
                return f"{name}({','.join([*arguments[:place], given, *arguments[place + 1 :]])})"

            arrays = [call(f"{{{sign.join(three)}}}") for sign in ";,"]
            found.append((row, text, [call(item) for item in three], arrays))
    random.shuffle(found)
    return found[:_MOST]


@pytest.mark.parametrize("name", sorted(name for name in CALLS if cases(name)))
def test_each_element_is_what_it_is_alone(name: str) -> None:
    for row, _, singles, (column, line) in cases(name):
        alone = [shown(row, formula, "Z1") for formula in singles]
        if any(item is None for item in alone):
            continue
        for formula, area in ((column, "Z1:Z3"), (line, "Z1:AB1")):
            found = shown(row, formula, area)
            if name in SEVERAL and found is None:
                continue
            assert found is not None, f"{formula} is not supported, {singles} are"
            for got, wanted in zip(found, alone, strict=True):
                assert wanted is not None
                assert _same(got, wanted[0]), f"{formula}: {found}, alone {alone}"


def _same(got: Value, wanted: Value) -> bool:
    if isinstance(got, float) and isinstance(wanted, float):
        return math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return got == wanted


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [
        ("NPV({0;0.1},{100,110})", [210.0, 100 / 1.1 + 110 / 1.21]),
        ("TRIMMEAN({1,2,3,10},{0;0.5})", [4.0, 2.5]),
        ("SERIESSUM({1;2},0,1,{1,1,1})", [3.0, 7.0]),
        ("VLOOKUP(2,{1,10;2,20},{2;3},FALSE)", [20.0, "#REF!"]),
        ("MATCH(2,{1,2,3},{0;1})", [2.0, 2.0]),
        ("NORM.S.DIST(0,{TRUE;FALSE})", [0.5, 1 / math.sqrt(2 * math.pi)]),
    ],
)  # fmt: skip
def test_values_of_arrays(formula: str, wanted: list[Value]) -> None:
    found = shown(Row("", "1", formula, "", True), formula, "Z1:Z2")
    assert found is not None
    assert all(_same(got, value) for got, value in zip(found, wanted, strict=True)), found
