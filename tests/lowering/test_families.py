"""Formulas that are alike are computed together: with the same values as each alone."""

from __future__ import annotations

import random
from itertools import groupby, pairwise
from operator import attrgetter

import numpy as np
import pytest
from cells import book, sheet, workbook
from tables import ROWS

from xl2torch.cells.address import CellRange
from xl2torch.evaluate.recalculation import Recalculation, recalculate
from xl2torch.lowering import families, schedule
from xl2torch.lowering.schedule import Evaluation
from xl2torch.workbook.read.reader import DefinedName, Workbook

SHEET = "Sheet1"


def shown(made: Workbook, monkeypatch: pytest.MonkeyPatch, alone: bool) -> dict[str, object]:
    """What every formula cell shows, or why it has no value of its own."""
    with monkeypatch.context() as patch:
        if alone:
            patch.setattr(schedule, "find_families", lambda *_: [])
        else:
            patch.setattr(families, "_FEWEST", 2)
        evaluation = Evaluation(made)
        evaluation.compute_all()
    found: dict[str, object] = {}
    result = Recalculation([], {}, evaluation)
    for unit in evaluation.units(SHEET):
        for cell in unit.area.cells():
            value = result.value(cell)
            found[cell.a1] = unit.cached_because or (
                value if isinstance(value, float) else str(value)
            )
    return found


GRIDS = [
    (table, number, list(rows))
    for table, found in ROWS.items()
    for number, (_, rows) in enumerate(groupby(found, attrgetter("grid")))
]


@pytest.mark.parametrize(
    ("table", "number"), [(table, number) for table, number, _ in GRIDS], ids=str
)
def test_every_formula_of_the_tables(
    table: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rows,) = (rows for name, n, rows in GRIDS if (name, n) == (table, number))
    formulas = {f"Z{row}": f"={item.formula}" for row, item in enumerate(rows, 1)}
    made = workbook(rows[0].grid, formulas)
    together = shown(made, monkeypatch, alone=False)
    assert together == shown(made, monkeypatch, alone=True)
    assert len(together) >= len(rows)


GRID = """
    1 | -2.5 | "a b" | TRUE | #N/A |  | "7" | 3
"""
FORMS = [
    "{a}+{b}*{n}", "{a}^{n}-{b}/{n}", "IF({a}>{b},{n},{a})", 'IF({a}="a b",{t},{b})', "{a}&{t}",
    'IFERROR(1/{a},{n})', "SUM({a},{b},{n})", "MAX({a},{b})", 'ISNUMBER(SEARCH({t},{a}))',
    "ROUND({a},{n})", "AND({a}>0,{b}<{n})", "COUNT({a},{b})", "MID({a},{n},2)", "-{a}%", "{a}={b}",
    "IF({a},{b},{t})", "AVERAGE({a},{b})", "LEN({a})+{n}", "LOG10(ABS({a})+{n})", "ATAN2({a},{b})",
    "NOT({a})", "EXP({a})-1E-3*{n}", "IFNA({a},{t})", "CONCATENATE({a},{t},{b})", "ISBLANK({a})",
    # These see more than values, and go alone.
    "ROW({a})+{n}", "OFFSET({a},0,0)", "INDEX({a},1)", "SUMIF({a},{n})", "CELL(\"row\",{a})",
    "SUM($A$1:$C$1)+{b}", "{a}+Sheet1!{b}", "CHOOSE({n},{a},{b})",
]  # fmt: skip


def generated(seed: int, count: int) -> Workbook:
    """Formulas of a few forms, in any order, some of which read others."""
    draw = random.Random(seed)
    forms = draw.sample(FORMS, 8)
    constants = [f"{letter}1" for letter in "ABCDEFGH"]
    cells: dict[str, str] = {}
    places = [f"{letter}{row}" for row in range(3, 3 + count // 8) for letter in "JKLMNOPQ"]
    draw.shuffle(places)
    known = list(constants)
    for place in places:
        a, b = (draw.choice([item, f"${item[0]}${item[1:]}"]) for item in draw.choices(known, k=2))
        text = draw.choice(['"a"', '"A B"', '""', '"say ""x"" (1:2)"'])
        number = draw.choice(["1", "2", "0.5", "3E2", "1.5E-3"])
        cells[place] = "=" + draw.choice(forms).format(a=a, b=b, n=number, t=text)
        if draw.random() < 0.3:
            known.append(place)
    return workbook(GRID, cells)


@pytest.mark.parametrize("seed", range(40))
def test_generated_sheets(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = generated(seed, 160)
    together, alone = (shown(made, monkeypatch, flag) for flag in (False, True))
    assert together.keys() == alone.keys()
    for cell, value in alone.items():
        found = together[cell]
        if isinstance(value, float) and isinstance(found, float):
            assert found == pytest.approx(value, rel=1e-12, nan_ok=True), cell
        else:
            assert found == value, cell


def test_a_family_is_one_lowering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of distinct products is computed at once, and so is the next, which reads it."""
    cells = {f"A{row}": str(row) for row in range(1, 101)}
    cells |= {f"B{row}": f"=A{row}*A{101 - row % 50}+{row}" for row in range(1, 101)}
    cells |= {f"C{row}": f"=B{(7 * row) % 100 + 1}*B{row}+{row}" for row in range(1, 101)}
    calls: list[int] = []
    compute = families.compute_members

    def counted(*arguments: object) -> object:
        calls.append(len(arguments[3]))  # type: ignore[arg-type]
        return compute(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(schedule, "compute_members", counted)
    evaluation = Evaluation(workbook("", cells))
    evaluation.compute_all()
    assert sum(calls) == 200 and len(calls) <= 3


def test_names_that_look_like_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {"A1": "5"} | {f"B{row}": f"=A1*YTD2024+DAY20240101*{row}" for row in range(1, 41)}
    names = [DefinedName("YTD2024", "7", None), DefinedName("DAY20240101", "Sheet1!$A$1", None)]
    made = book(sheet(SHEET, cells), names=names)
    evaluation = Evaluation(made)
    assert evaluation.value(CellRange(SHEET, 3, 2, 3, 2)).numpy().item() == 50


def test_cells_in_a_circle_keep_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {f"H{row}": f"=H{row + 1}+{row}" for row in range(1, 41)} | {"H41": "=H20+1"}
    made = workbook("", cells)
    assert shown(made, monkeypatch, alone=False) == shown(made, monkeypatch, alone=True)


def test_a_chain_is_no_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell waits for another: they go one by one, and are right."""
    order = list(range(1, 200))
    random.Random(0).shuffle(order)
    cells = {f"B{order[0]}": "=1+1"}
    for before, after in pairwise(order):
        cells[f"B{after}"] = f"=B{before}+{after}"
    last = recalculate(workbook("", cells), {}, everything=True)
    assert last.value(CellRange(SHEET, order[-1], 2, order[-1], 2).first) == 2 + sum(order[1:])


def test_given_cells_reach_their_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = {f"A{row}": str(row) for row in range(1, 41)}
    cells |= {f"B{row}": f"=A{41 - row}*2+{row}" for row in range(1, 41)}
    area = CellRange(SHEET, 1, 1, 2, 1)
    result = recalculate(workbook("", cells), {area: np.array([[10.0], [20.0]])})
    assert set(result.changed) == {CellRange(SHEET, row, 2, row, 2).first for row in (39, 40)}
    assert result.value(CellRange(SHEET, 40, 2, 40, 2).first) == 60.0
