"""Why derivatives that an author wrote differ from the true ones: the evidence for it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from xl2torch.address import CellRange, single_cell
from xl2torch.formula.ast import Number, Reference, walk
from xl2torch.gradients.columns import TOLERANCE, AuthorColumns
from xl2torch.gradients.explanations import Mask, Suspect, explain
from xl2torch.gradients.own_derivatives import Quotient
from xl2torch.gradients.reasons import plateau
from xl2torch.graph.naming import label
from xl2torch.values import BLANK, FIRST_ERROR, LOGICAL, NUMBER, error_of_kind
from xl2torch.workbook.cells import Floats

_COLUMNS_BESIDE = 60
_COUNTS = 12
_STEPS = (1e-12, 1.0)
_KINK_STEP = 1e-6
_KINDS: dict[Quotient, str] = {
    "forward": "a forward difference", "backward": "a backward difference",
    "central": "a central difference",
}  # fmt: skip


def reasons_of(
    columns: AuthorColumns, number: int, step: float | None
) -> tuple[list[str], Mask]:  # fmt: skip
    """A reason for every row of a line that disagrees, and the rows that are fine nevertheless."""
    wrong = columns.wrong[number]
    reasons = [""] * len(wrong)
    fine = np.zeros(len(wrong), dtype=bool)
    unreadable = wrong & np.isnan(columns.written(number))
    for place in np.flatnonzero(unreadable):
        reasons[place] = _unreadable(columns, number, int(place))
    left = wrong & ~unreadable
    if not left.any():
        return reasons, fine
    source = _inherited_from(columns, number, left)
    if source:
        text = f"inherited: they are right as soon as {source}, which they read, is right"
        return [text if left[k] else reasons[k] for k in range(len(wrong))], fine
    for finding in explain(_suspect(columns, number, step), left):
        for place in np.flatnonzero(finding.rows):
            reasons[place] = finding.text
        fine |= finding.rows & finding.fine
        left = left & ~finding.rows
    for place in np.flatnonzero(left):
        reasons[place] = _unexplained(columns, number, int(place))
    return reasons, fine


def _unreadable(columns: AuthorColumns, number: int, place: int) -> str:
    kind = int(columns.kinds[columns.lines[number].against[place]])
    if kind >= FIRST_ERROR:
        return f"error value: the cell is {error_of_kind(kind)}"
    return "no number: the cell is blank" if kind == BLANK else "no number: the cell is a text"


def _inherited_from(columns: AuthorColumns, number: int, wrong: Mask) -> str:
    """Addresses of another wrong line, whose faults explain all of this one's."""
    for other in range(len(columns.lines)):
        if other == number or not columns.wrong[other].any():
            continue
        if not _reads(columns, number, other) or not np.isfinite(columns.true[other]).all():
            continue
        cells = [columns.cells[cell] for cell in columns.lines[other].against.tolist()]
        true = dict(zip(cells, columns.true[other], strict=True))
        mended = columns.with_numbers(
            {area: np.array([true[cell] for cell in area.cells()]) for area in columns.areas(other)}
        )
        own = [mended.value(area).numpy().reshape(-1) for area in columns.areas(number)]
        with np.errstate(invalid="ignore"):
            gap = np.abs(np.concatenate(own) - columns.true[number])
            near = gap <= TOLERANCE * np.abs(columns.true[number])
        if near[wrong].all():
            return ", ".join(area.a1 for area in columns.areas(other))
    return ""


def _reads(columns: AuthorColumns, number: int, other: int) -> bool:
    units = columns.units(number)
    above = columns.cut.ancestors(units) - set(units)
    return bool(above & set(columns.units(other)))


def _suspect(columns: AuthorColumns, number: int, step: float | None) -> Suspect:
    true = columns.true[number]
    exchanged: dict[str, Floats] = {}
    others: dict[str, Floats] = {}
    for other, slopes in enumerate(columns.true):
        if other != number and len(slopes) == len(true):
            kept = exchanged if columns.wrong[other].any() else others
            kept[columns.wrt_text(other)] = slopes
    rows, width = columns.lines[number].shape
    transposed = true.reshape(rows, width).T.reshape(-1) if rows == width > 1 else None
    return Suspect(
        columns.written(number), true, exchanged, others, transposed, _beside(columns, number),
        _counts(columns, number), lambda: _differences(columns, number, step),
    )  # fmt: skip


def _differences(
    columns: AuthorColumns, number: int, step: float | None
) -> Iterator[tuple[str, Floats]]:
    for size in _steps(columns, number, step):
        for kind, words in _KINDS.items():
            quotients = columns.own.quotients(columns.lines[number], kind, size)
            yield f"{words} with the step {size:g}", quotients.numpy()


def _steps(columns: AuthorColumns, number: int, step: float | None) -> list[float]:
    """Numbers that may be the step: in the line's formulas, and in those that these read."""
    units = columns.units(number)
    near = dict.fromkeys([*units, *(read for unit in units for read in unit.reads)])
    found = [] if step is None else [step]
    for unit in near:
        for node in walk(unit.region.tree) if unit.region else ():
            if isinstance(node, Number):
                found.append(node.value)
            elif isinstance(node, Reference):
                found += _fixed_number(columns, node)
    low, high = _STEPS
    return list(dict.fromkeys(abs(size) for size in found if low < abs(size) <= high))


def _fixed_number(columns: AuthorColumns, node: Reference) -> list[float]:
    """The number of a single cell at a fixed place."""
    bounds = (node.top, node.left, node.bottom, node.right)
    if any(bound.relative for bound in bounds):
        return []
    area = CellRange(node.sheet, *(bound.value for bound in bounds))
    if area.size != 1:
        return []
    array = columns.cut.value(area)
    return [float(array.numpy().flat[0])] if int(array.full_kinds.flat[0]) == NUMBER else []


def _beside(columns: AuthorColumns, number: int) -> dict[str, Floats]:
    """Other numbers in the rows (columns) of a line, by their address and label."""
    areas = columns.areas(number)
    if len(areas) != 1 or (areas[0].rows > 1) == (areas[0].columns > 1):
        return {}
    area = areas[0]
    rows, width = columns.workbook.sheet(area.sheet).extent
    found: dict[str, Floats] = {}
    for place in range(1, min(width if area.rows > 1 else rows, _COLUMNS_BESIDE) + 1):
        if area.rows > 1:
            beside = CellRange(area.sheet, area.top, place, area.bottom, place)
        else:
            beside = CellRange(area.sheet, place, area.left, place, area.right)
        if beside == area:
            continue
        array = columns.cut.value(beside)
        numbers = np.where(array.full_kinds <= LOGICAL, array.numpy(), np.nan).reshape(-1)
        if np.isfinite(numbers).any():
            name = label(columns.workbook, beside)
            found[f"{beside.a1} ({name})" if name else beside.a1] = numbers
    return found


def _counts(columns: AuthorColumns, number: int) -> dict[int, str]:
    """How many rows there are, here and on the way to the function."""
    line = columns.lines[number]
    counts = {len(line.of): f"these {len(line.of)} cells"} if line.together else {}
    for unit in columns.function_units:
        for size in (unit.area.rows, unit.area.columns, unit.area.size):
            if size > 1 and len(counts) < _COUNTS:
                counts.setdefault(size, f"the cells {unit.area.a1}")
    return counts


def _unexplained(columns: AuthorColumns, number: int, place: int) -> str:
    true = columns.true[number][place]
    if not math.isfinite(true):
        return "error value: the function has no derivative here"
    kink = _kink(columns, number, place)
    if kink:
        return kink
    if not true:
        function = columns.functions[int(columns.lines[number].of[place])]
        return plateau(columns.cut, columns.of.areas[0], function)
    cell = columns.cells[int(columns.lines[number].against[place])]
    units = columns.cut.overlapping_cell(cell)
    if not any(unit.region and unit.area.contains(single_cell(cell)) for unit in units):
        return "typed: a number, not a formula"
    for unit in columns.cut.ancestors(columns.units(number)):
        if unit.volatile:
            return f"volatile: it depends on {unit.area.a1}, whose stored draw may be older"
    return "unexplained: the formula is not that of the derivative"


def _kink(columns: AuthorColumns, number: int, place: int) -> str:
    """Where the slopes to both sides differ, and the author took another one than torch."""
    line = columns.lines[number]
    step = _KINK_STEP * max(1.0, abs(columns.own.point[int(line.wrt[place])].item()))
    left = float(columns.own.quotients(line, "backward", step)[place])
    right = float(columns.own.quotients(line, "forward", step)[place])
    low, high = min(left, right), max(left, right)
    slack = 1e-4 * max(abs(low), abs(high))
    bends = high - low > 10 * slack
    if not bends or not low - slack <= columns.written(number)[place] <= high + slack:
        return ""
    return f"kink: the slope is {left:.6g} to the left and {right:.6g} to the right"
