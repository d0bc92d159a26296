"""Why derivatives that an author wrote differ from the true ones: the evidence for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xl2torch.arrays.array import Array, Unsupported
from xl2torch.cells.address import CellRange, single_cell
from xl2torch.cells.values import BLANK, FIRST_ERROR, LOGICAL, NUMBER, error_of_kind
from xl2torch.errors import ModelError
from xl2torch.formula.ast import Binary, Node, Number, Reference, walk
from xl2torch.gradients.reasons import plateau
from xl2torch.ir.naming import label
from xl2torch.lowering.precedents import precedents
from xl2torch.teach.derivatives.derivative_columns import TOLERANCE, SheetDerivatives
from xl2torch.teach.derivatives.explanations import Mask, Suspect, explain
from xl2torch.teach.derivatives.own_derivatives import Quotient
from xl2torch.workbook.sparse_cells import Floats

_COLUMNS_BESIDE = 60
_COUNTS = 12
_STEPS = (1e-15, 0.5)
_DEPTH = 3
"""How many formulas away from the line a step may stand."""
_KINK_STEPS = (1e-6, 1e-8)
"""A kink shows the same two slopes with a longer and a shorter step."""
_KINDS: dict[Quotient, str] = {
    "forward": "a forward difference", "backward": "a backward difference",
    "central": "a central difference",
}  # fmt: skip


def reasons_of(
    columns: SheetDerivatives, number: int, step: float | None
) -> tuple[list[str], Mask]:  # fmt: skip
    """A reason for every row of a line that disagrees, and the rows that are fine nevertheless."""
    wrong = columns.wrong[number]
    reasons = [""] * len(wrong)
    fine = np.zeros(len(wrong), dtype=bool)

    def note(rows: Mask, text: str) -> None:
        for place in np.flatnonzero(rows):
            reasons[place] = text

    unknown = wrong & ~np.isfinite(columns.true[number])
    note(unknown, "error value: the function has no derivative here, or is an error")
    unreadable = wrong & ~unknown & np.isnan(columns.written(number))
    for place in np.flatnonzero(unreadable):
        reasons[place] = _unreadable(columns, number, int(place))
    left = wrong & ~unknown & ~unreadable
    if not left.any():
        return reasons, fine
    source = _inherited_from(columns, number, left)
    if source:
        note(left, f"inherited: they are right as soon as {source}, which they read, is right")
        return reasons, fine
    for row, text in _kinks(columns, number, left).items():
        reasons[row] = text
        left[row] = False
    for finding in explain(_suspect(columns, number, step), left):
        note(finding.rows, finding.text)
        fine |= finding.rows & finding.fine
        left = left & ~finding.rows
    flat = left & (columns.true[number] == 0)
    if flat.any():
        note(flat, _plateau(columns, number))
    rest = left & ~flat
    if rest.any():
        _note_unexplained(columns, number, rest, reasons)
    return reasons, fine


def _unreadable(columns: SheetDerivatives, number: int, place: int) -> str:
    kind = int(columns.kinds[columns.lines[number].against[place]])
    if kind >= FIRST_ERROR:
        return f"error value: the cell is {error_of_kind(kind)}"
    cell = columns.cells[int(columns.lines[number].against[place])]
    if kind == BLANK and columns.workbook.sheet(cell.sheet).has_formula(cell.row, cell.column):
        return "volatile: the file holds no value of this formula: recalculate and save it in Excel"
    return "no number: the cell is blank" if kind == BLANK else "no number: the cell is a text"


def _inherited_from(columns: SheetDerivatives, number: int, wrong: Mask) -> str:
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
            return columns.against_text(other)
    return ""


def _reads(columns: SheetDerivatives, number: int, other: int) -> bool:
    units = columns.units(number)
    above = columns.cut.ancestors(units) - set(units)
    return bool(above & set(columns.units(other)))


def _suspect(columns: SheetDerivatives, number: int, step: float | None) -> Suspect:
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
    columns: SheetDerivatives, number: int, step: float | None
) -> Iterator[tuple[str, Floats]]:
    for size in _steps(columns, number, step):
        for kind, words in _KINDS.items():
            quotients = columns.own.quotients(columns.lines[number], kind, size)
            yield f"{words} with the step {size:g}", quotients.numpy()


def _steps(columns: SheetDerivatives, number: int, step: float | None) -> list[float]:
    """Numbers that may be the step: by which is divided, and which is added to something.

    In the line's formulas, and in those that these read.
    """
    units = columns.units(number)
    near = dict.fromkeys(units)
    for _ in range(_DEPTH):
        near |= dict.fromkeys(read for unit in list(near) for read in unit.reads)
    divisors: set[float] = set()
    added: set[float] = set()
    for unit in near:
        for node in walk(unit.region.tree) if unit.region else ():
            if not isinstance(node, Binary):
                continue
            if node.operator == "/":
                divisors |= _numbers_in(columns, node.right)
            if node.operator in "+-":
                added |= _numbers_in(columns, node.left) | _numbers_in(columns, node.right)
    low, high = _STEPS
    found = [size for size in sorted(divisors & added) if low < size <= high]
    return list(dict.fromkeys([*([] if step is None else [step]), *found]))


def _numbers_in(columns: SheetDerivatives, tree: Node) -> set[float]:
    """The numbers of a tree, those in fixed cells too."""
    found: set[float] = set()
    for node in walk(tree):
        if isinstance(node, Number):
            found.add(abs(node.value))
        elif isinstance(node, Reference):
            found |= {abs(value) for value in _fixed_number(columns, node)}
    return found


def _fixed_number(columns: SheetDerivatives, node: Reference) -> list[float]:
    """The number of a single cell at a fixed place."""
    bounds = (node.top, node.left, node.bottom, node.right)
    if any(bound.relative for bound in bounds):
        return []
    area = CellRange(node.sheet, *(bound.value for bound in bounds))
    if area.size != 1:
        return []
    array = _value(columns, area)
    if array is None:
        return []
    return [float(array.numpy().flat[0])] if int(array.full_kinds.flat[0]) == NUMBER else []


def _beside(columns: SheetDerivatives, number: int) -> dict[str, Floats]:
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
        array = _value(columns, beside)
        if array is None:
            continue
        numbers = np.where(array.full_kinds <= LOGICAL, array.numpy(), np.nan).reshape(-1)
        if np.isfinite(numbers).any():
            name = label(columns.workbook, beside)
            found[f"{beside.a1} ({name})" if name else beside.a1] = numbers
    return found


def _value(columns: SheetDerivatives, area: CellRange) -> Array | None:
    """Values of cells that the check itself does not need; None where there are none."""
    try:
        return columns.cut.value(area)
    except (ModelError, Unsupported):
        return None


def _counts(columns: SheetDerivatives, number: int) -> dict[int, str]:
    """How many rows there are, here and on the way to the function."""
    line = columns.lines[number]
    counts = {len(line.of): f"these {len(line.of)} cells"} if line.together else {}
    areas = [unit.area for unit in columns.function_units]
    for unit in columns.function_units:
        if unit.region is not None:
            areas += precedents(unit.region, columns.workbook)
    for area in areas:
        for size in (area.rows, area.columns, area.size):
            if size > 1 and len(counts) < _COUNTS:
                counts.setdefault(size, f"the cells {columns.text(area)}")
    return counts


def _plateau(columns: SheetDerivatives, number: int) -> str:
    area = columns.of.areas[0]
    return plateau(columns.cut, columns.cut.given, area, f"{columns.of_text(number)} is flat here")


def _note_unexplained(
    columns: SheetDerivatives, number: int, rows: Mask, reasons: list[str]
) -> None:
    """Reasons for rows that no explanation fits: typed, random, or simply another formula."""
    units = columns.units(number)
    text = "unexplained: the formula is not that of the derivative"
    for unit in columns.cut.ancestors(units):
        if unit.volatile:
            where = columns.text(unit.area)
            text = f"volatile: it depends on {where}, whose stored draw may be older"
    for place in np.flatnonzero(rows):
        cell = single_cell(columns.cells[int(columns.lines[number].against[place])])
        doubt = next((why for area, why in columns.doubts.items() if area.contains(cell)), "")
        if doubt:
            reasons[place] = f"volatile: taken as the file holds it, since {doubt}"
        elif not any(unit.region and unit.area.contains(cell) for unit in units):
            reasons[place] = "typed: a number, not a formula"
        else:
            reasons[place] = text


def _kinks(columns: SheetDerivatives, number: int, wrong: Mask) -> dict[int, str]:
    """Rows where the slopes to both sides differ, and the author took another one than torch."""
    line, author = columns.lines[number], columns.written(number)
    scale = columns.own.point.abs().clamp_min(1.0)
    sides = []
    for step in _KINK_STEPS:
        left = columns.own.quotients(line, "backward", step * scale).numpy()
        right = columns.own.quotients(line, "forward", step * scale).numpy()
        sides.append((left, right))
    (left, right), (near_left, near_right) = sides
    with np.errstate(invalid="ignore"):
        gap, near = np.abs(right - left), np.abs(near_right - near_left)
        low, high = np.minimum(left, right), np.maximum(left, right)
        slack = 1e-4 * np.maximum(np.abs(low), np.abs(high))
        bends = (gap > 10 * slack) & (near > 0.9 * gap) & (near < 1.1 * gap)
        chosen = (author >= low - slack) & (author <= high + slack)
    return {
        int(place): f"kink: the slope is {left[place]:.6g} to the left and {right[place]:.6g} to "
        "the right"
        for place in np.flatnonzero(wrong & bends & chosen)
    }
