"""Recompute every formula cell and compare with the value that the file holds."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xl2torch.arrays.array import Array
from xl2torch.cells.address import CellAddress, CellRange
from xl2torch.cells.values import BLANK, FIRST_ERROR, NUMBER, TEXT, display
from xl2torch.excel.excel_names import known_to_excel
from xl2torch.excel.registry import FUNCTIONS
from xl2torch.formula.ast import functions_in
from xl2torch.ir.facts import value_of
from xl2torch.lowering.schedule import Evaluation, Unit
from xl2torch.model.sheet_model import as_workbook
from xl2torch.notebook import Report
from xl2torch.safety.limits import within_limits
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.sparse_cells import CellBlock, Kinds, cell_value, key_of

RELATIVE, ABSOLUTE = 1e-9, 1e-12
_SHOWN = 20
_COUNTS = (
    "cells", "compared", "matched", "mismatched", "volatile", "uncached", "unsupported",
)  # fmt: skip


@within_limits("verifying the workbook")
def verify(workbook: Workbook | str | Path, sheet: str | None = None) -> Report:
    """Compare what formulas give with the values that Excel left in the file.

    A cell fed by a cached value that could not be computed counts as unsupported: a cache compared
    with itself proves nothing. Numbers match within 1e-9 relative or 1e-12 absolute.

    Args:
        workbook: A workbook, or its path.
        sheet: The sheet to compare, by default all.

    Returns:
        Counts of formula cells, in total and per sheet, with the first cases that differ.

    Raises:
        SelectionError: No such sheet.

    Example:
        >>> total = xl2torch.verify("workbooks/line.xlsx")["total"]
        >>> total["matched"], total["mismatched"]
        (5, 0)
    """
    workbook = as_workbook(workbook)
    began = time.perf_counter()
    names = [workbook.sheet(sheet).name] if sheet else [item.name for item in workbook.sheets]
    evaluation = Evaluation(workbook)
    evaluation.compute_all()
    cached_because = {unit for unit in evaluation.all_units() if unit.cached_because}
    tainted = cached_because | evaluation.descendants(cached_because)
    reports = {name: _verify_sheet(workbook, name, evaluation, tainted) for name in names}
    functions: Counter[str] = Counter()
    for report in reports.values():
        functions.update(report["functions"])
    total: dict[str, Any] = {
        key: sum(report[key] for report in reports.values()) for key in _COUNTS
    }
    total["functions"] = dict(functions.most_common())
    total["seconds"] = round(time.perf_counter() - began, 3)
    total["not_of_excel"] = not_of_excel(
        unit for name in names for unit in evaluation.units(name) if unit in tainted
    )
    cases = [case for report in reports.values() for case in report["cases"]]
    total["cases"] = sorted(cases, key=lambda case: case["kind"] != "mismatch")[:_SHOWN]
    return Report({"workbook": str(workbook.path), "total": total, "sheets": reports})


def _verify_sheet(
    workbook: Workbook, name: str, evaluation: Evaluation, tainted: set[Unit]
) -> dict[str, Any]:
    counts = dict.fromkeys(_COUNTS, 0)
    functions: Counter[str] = Counter()
    unsupported: list[dict[str, Any]] = []
    cases: list[dict[str, Any]] = []
    units = [unit for unit in evaluation.units(name) if unit.region is not None]
    plain = [unit for unit in units if not unit.volatile and unit not in tainted]
    compared = dict(zip(plain, _compared(workbook, name, plain), strict=True))
    for unit in units:
        region = unit.region
        assert region is not None
        cells = region.rows * region.columns
        counts["cells"] += cells
        if unit.volatile:
            counts["volatile"] += cells
            continue
        if unit in tainted:
            counts["unsupported"] += cells
            unknown = functions_in(region.tree) - FUNCTIONS.keys()
            functions.update(dict.fromkeys(unknown, cells))
            if unit.cached_because and not foreign(unit) and len(unsupported) < _SHOWN:
                unsupported.append(
                    _case(unit, 0, 0, None, None, f"unsupported: {unit.cached_because}")
                )
            continue
        has_cache, matches = compared[unit]
        counts["uncached"] += int((~has_cache).sum())
        counts["compared"] += int(has_cache.sum())
        counts["matched"] += int((has_cache & matches).sum())
        wrong = has_cache & ~matches
        counts["mismatched"] += int(wrong.sum())
        for row, column in np.argwhere(wrong)[: _SHOWN - len(cases)]:
            top, left = row * region.row_step, column * region.column_step
            cached = workbook.sheet(name).cells.value(
                region.range.top + top, region.range.left + left
            )
            cases.append(_case(unit, top, left, _computed(unit, top, left), cached, "mismatch"))
            stored_range = evaluation.workbook.sheet(name).stored_ranges.get(_place(unit))
            if stored_range:
                cases[-1]["computed"] += f", over {unit.area.a1}"
                cases[-1]["cached"] = f"{display(cached)}, over {CellRange(name, *stored_range).a1}"
    return {**counts, "functions": dict(functions), "cases": [*cases, *unsupported]}


def _place(unit: Unit) -> tuple[int, int]:
    return unit.area.top, unit.area.left


def foreign(unit: Unit) -> list[str]:
    """Functions of a formula that Excel does not have, such as those of VBA."""
    if unit.region is None:
        return []
    return sorted(functions_in(unit.region.tree) - FUNCTIONS.keys() - known_to_excel())


def not_of_excel(units: Iterable[Unit]) -> dict[str, dict[str, Any]]:
    """These functions, each with how many formula cells call it, and the first of them."""
    found: dict[str, dict[str, Any]] = {}
    for unit in units:
        for function in foreign(unit):
            assert unit.region is not None
            item = found.setdefault(function, {"cells": 0, "first": str(unit.area.first)})
            item["cells"] += unit.region.rows * unit.region.columns
    return found


Flags = NDArray[np.bool_]


def _compared(workbook: Workbook, name: str, units: Sequence[Unit]) -> Iterator[tuple[Any, Any]]:
    """Of each unit, per copy of its formula: is there a cached value, and is it the computed one.

    Units of one cell, of which there can be very many, are compared all together.
    """
    single = [unit for unit in units if unit.area.size == 1]
    cached = workbook.sheet(name).cells.at(
        np.array([key_of(unit.area.top, unit.area.left) for unit in single], dtype=np.int64)
    )
    values = _of_cells([unit.block.array for unit in single if unit.block])
    matches = _matches(values, cached)
    present = (cached.kinds != BLANK) | matches
    alone = dict(zip(single, zip(present, matches, strict=True), strict=True))
    for unit in units:
        if unit in alone:
            yield tuple(flag.reshape(1, 1) for flag in alone[unit])
        else:
            yield _compare(workbook, unit)


def _of_cells(arrays: Sequence[Array]) -> CellBlock:
    """Values of arrays of one element each."""
    kinds = [NUMBER if a.kinds is None else int(a.kinds.flat[0]) for a in arrays]
    texts = ["" if a.texts is None else str(a.texts.flat[0]) for a in arrays]
    return CellBlock(
        np.array([float(value_of(a.data)) for a in arrays]), np.array(kinds, dtype=np.uint8),
        np.array(texts, dtype=object),
    )  # fmt: skip


def _compare(workbook: Workbook, unit: Unit) -> tuple[Any, Any]:
    """Per copy of the formula: is there a cached value, and do all cells of its spill match."""
    assert unit.block is not None and unit.region is not None
    region, area, array = unit.region, unit.area, unit.block.array
    cached = workbook.sheet(area.sheet).cells.block(area.top, area.left, area.bottom, area.right)
    values = CellBlock(array.numpy()[0, 0], array.full_kinds[0, 0], array.full_texts[0, 0])
    match = region.copies_of(_matches(values, cached)).all(axis=(1, 3))
    present = (region.copies_of(cached.kinds) != BLANK).any(axis=(1, 3)) | match
    return present, match


def _matches(values: CellBlock, cached: CellBlock) -> Flags:
    """Which values are those that the file holds."""
    cached = _with_numbers(cached, values.kinds)
    numbers, kinds, texts = values.numbers, values.kinds, values.texts
    with np.errstate(invalid="ignore"):
        distance = np.abs(numbers - cached.numbers)
        close = distance <= np.maximum(RELATIVE * np.abs(cached.numbers), ABSOLUTE)
    # A cached empty text is stored as no value by some programs.
    empty = (cached.kinds == BLANK) & (kinds == TEXT) & (texts == "")
    numeric = (kinds == NUMBER) & (cached.kinds == NUMBER) & close
    same_kind = kinds == cached.kinds
    other = same_kind & (kinds != NUMBER) & np.where(kinds == TEXT, texts == cached.texts, True)
    logicals = np.where(same_kind & (kinds < FIRST_ERROR), close, True)
    return np.asarray(numeric | (other & logicals) | empty)


def _with_numbers(cached: CellBlock, kinds: Kinds) -> CellBlock:
    """The cached values, with the numbers that some programs store as texts (``t="str"``)."""
    places = np.argwhere((cached.kinds == TEXT) & (kinds == NUMBER))
    if not len(places):
        return cached
    numbers, found = cached.numbers.copy(), cached.kinds.copy()
    for place in map(tuple, places.tolist()):
        with contextlib.suppress(ValueError):
            numbers[place] = float(cached.texts[place])
            found[place] = NUMBER
    return CellBlock(numbers, found, cached.texts)


def _computed(unit: Unit, row: int, column: int) -> str:
    assert unit.block is not None
    array = unit.block.array
    value = cell_value(
        float(array.numpy()[0, 0, row, column]),
        int(array.full_kinds[0, 0, row, column]),
        str(array.full_texts[0, 0, row, column]),
    )
    return display(value)


def _case(
    unit: Unit, row: int, column: int, computed: str | None, cached: Any, kind: str
) -> dict[str, Any]:
    assert unit.region is not None
    place = CellAddress(unit.area.sheet, unit.area.top + int(row), unit.area.left + int(column))
    region = unit.region
    part = region.part(int(row) // region.row_step, int(column) // region.column_step, 1, 1)
    return {
        "sheet": place.sheet,
        "cell": place.a1,
        "formula": "=" + part.formula,
        "computed": computed,
        "cached": None if cached is None else display(cached),
        "kind": kind,
    }
