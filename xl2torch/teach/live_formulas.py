"""Numeric derivatives as formulas: copies of the model, each with one variable cell moved.

Excel then takes the differences itself. A copy holds every formula between the variable cells and
the objective; what else these read, they read from the user's sheet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xl2torch.cells.address import CellAddress, CellRange, single_cell
from xl2torch.cells.values import CellValue
from xl2torch.excel.registry import FUNCTIONS, VOLATILE
from xl2torch.formula.ast import Call, Node, Reference, children, functions_in, walk
from xl2torch.formula.relocation import NotRelocatable, relocated
from xl2torch.gradients.check import GradientCheck
from xl2torch.lowering.blocks import given_numbers
from xl2torch.lowering.regions import Region
from xl2torch.lowering.schedule import Evaluation, Unit
from xl2torch.workbook.ooxml import number_text
from xl2torch.workbook.sparse_cells import cell_value
from xl2torch.workbook.write.new_sheet import NewSheet, StyledValue

MOST_CELLS = 20_000
_MOST_SPACE = 2_000_000
"""Cells of the rectangles around all copies, blank ones included."""
_LAST_ROW = 2**20
_WHERE_IT_STANDS = frozenset(
    {"ROW", "COLUMN", "OFFSET", "INDIRECT", "CELL", "SUBTOTAL", "AGGREGATE", "SHEET", "SHEETS",
     "ISFORMULA", "FORMULATEXT", "GETPIVOTDATA", "INFO"}
)  # fmt: skip
_HEADING = 2
Row = list[StyledValue | None]


class NotLive(Exception):
    """The numeric derivatives cannot be formulas; the message says why."""


@dataclass(frozen=True)
class Copies:
    """A sheet of perturbed copies, and where the objective of each stands.

    ``above`` and ``below`` are references for each checked cell; ``below`` of a forward difference
    is a copy in which nothing is moved.
    """

    sheet: NewSheet
    above: tuple[str, ...]
    below: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    """What a copy holds: formulas, and cells taken over from the user's sheet.

    ``present``: variable cells that do not stand where the file has them, with their numbers.
    """

    sheet: str
    variables: tuple[CellRange, ...]
    regions: tuple[Region, ...]
    mirrored: frozenset[tuple[int, int]]
    present: Mapping[CellAddress, float]
    box: CellRange


def perturbed_copies(
    check: GradientCheck, name: str, steps: Sequence[str], written: bool = False
) -> Copies:
    """Copies of the model for every checked cell, moved by the number that its step cell holds.

    ``name`` is the sheet's, ``steps`` are references to the cells with the steps. ``written``: the
    variable cells of the file will hold the numbers of the model. Raises NotLive.
    """
    plan = _plan(check, written)
    signs = (1, -1) if check.method == "central" else (1,)
    copies = len(signs) * len(check.rows) + (check.method == "forward")
    cells = len(plan.mirrored) + sum(area.size for area in plan.variables)
    cells += sum(region.range.size for region in plan.regions)
    if cells * copies > MOST_CELLS:
        raise NotLive(f"the copies would take more than {MOST_CELLS:,} cells")
    rows_needed = (plan.box.rows + _HEADING) * copies + 2
    if plan.box.rows * plan.box.right * copies > _MOST_SPACE or rows_needed > _LAST_ROW:
        raise NotLive("the cells of the model stand too far apart for copies on one sheet")
    objective = check.model.problem.objective
    title = f"{name}: the model again, with one variable cell moved in each copy"
    note = "The numeric derivatives of the sheet before are computed from these formulas."
    rows: list[Row] = [[StyledValue(title, "title")], [StyledValue(note, "note")]]
    found: dict[int, list[str]] = {1: [], -1: [], 0: []}

    def add(moved: CellAddress | None, step: str, by: float, sign: int) -> None:
        nonlocal rows
        top = len(rows) + _HEADING + 1
        rows += _copy(check, plan, moved, step, by, top)
        cell = CellAddress(name, objective.row + top - plan.box.top, objective.column)
        found[sign].append(str(cell))

    if check.method == "forward":
        add(None, "", 0.0, 0)
    for row, step in zip(check.rows, steps, strict=True):
        for sign in signs:
            add(row.cell, step, sign * row.step, sign)
    below = found[-1] or found[0] * len(check.rows)
    return Copies(NewSheet(name, rows, []), tuple(found[1]), tuple(below))


def _copy(
    check: GradientCheck, plan: _Plan, moved: CellAddress | None, step: str, by: float, top: int
) -> list[Row]:
    """Rows of one copy: a heading, then the box, whose first row is ``top``."""
    down = top - plan.box.top
    values = _values(check, plan, moved, by)
    sign = "+" if by > 0 else "-"
    what = f"{moved.a1} {sign} step" if moved else "nothing moved"
    heading: list[Row] = [[], [StyledValue(f"{what}: {plan.box}", "key")]]
    table: list[Row] = [[None] * plan.box.right for _ in range(plan.box.rows)]

    def put(row: int, column: int, formula: str, array: str | None = None) -> None:
        value = values[row - plan.box.top][column - plan.box.left]
        table[row - plan.box.top][column - 1] = StyledValue(value, "number", formula, array)

    for row, column in plan.mirrored:
        put(row, column, str(CellAddress(plan.sheet, row, column)))
    for area in plan.variables:
        for cell in area.cells():
            suffix = f"{sign}{step}" if cell == moved else ""
            present = plan.present.get(cell)
            start = str(cell) if present is None else number_text(present)
            put(cell.row, cell.column, start + suffix)
    changed = _changed(plan)

    def place(area: CellRange) -> str:
        return _lowered(area, down).a1 if _meets(area, changed) else str(area)

    workbook = check.model.compiled.workbook
    for region in plan.regions:
        for part in _single(region):
            text = relocated(part.formula, plan.sheet, workbook, place)
            area = part.range
            array = None
            if region.array:
                array = _lowered(area, down).a1
                for cell in area.cells()[1:]:
                    value = values[cell.row - plan.box.top][cell.column - plan.box.left]
                    spilled = StyledValue(value, "number")
                    table[cell.row - plan.box.top][cell.column - 1] = spilled
            put(area.top, area.left, text, array)
    return [*heading, *table]


def _values(
    check: GradientCheck, plan: _Plan, moved: CellAddress | None, by: float
) -> list[list[CellValue]]:
    """What the cells of the box show with one cell moved."""
    blocks = []
    for variable in check.model.variables:
        area = variable.cells
        numbers = check.model.parameter(variable).detach().numpy().reshape(area.rows, area.columns)
        numbers = np.array(numbers)
        if moved is not None and area.contains(single_cell(moved)):
            numbers[moved.row - area.top, moved.column - area.left] += by
        blocks.append(given_numbers(area, numbers))
    array = Evaluation(check.model.compiled.workbook, blocks).value(plan.box)
    numbers, kinds, texts = array.numpy()[0, 0], array.full_kinds[0, 0], array.full_texts[0, 0]
    return [
        [
            cell_value(float(numbers[r, c]), int(kinds[r, c]), str(texts[r, c]))
            for c in range(plan.box.columns)
        ]
        for r in range(plan.box.rows)
    ]


# ---------------------------------------------------------------- what has to be copied


def _plan(check: GradientCheck, written: bool) -> _Plan:
    model = check.model
    workbook, evaluation = model.compiled.workbook, model.compiled.evaluation
    units = [
        unit
        for unit in evaluation.ancestors(evaluation.overlapping_cell(model.problem.objective))
        if unit.trained and unit.region is not None
    ]
    regions = tuple(_refused(unit) for unit in sorted(units, key=lambda unit: unit.area))
    variables = tuple(variable.cells for variable in model.variables)
    sheets = {area.sheet for area in variables} | {region.range.sheet for region in regions}
    if len(sheets) > 1:
        raise NotLive(f"the model stands on several sheets ({', '.join(sorted(sheets))})")
    sheet = sheets.pop()
    if sum(region.range.size for region in regions) > MOST_CELLS:
        raise NotLive(f"the model has more than {MOST_CELLS:,} formulas")
    changed = [*variables, *(region.range for region in regions)]
    rows, columns = workbook.sheet(sheet).extent
    used = CellRange(sheet, 1, 1, max(rows, 1), max(columns, 1))
    read: list[CellRange] = []

    def note(area: CellRange) -> str:
        if _meets(area, changed):
            read.append(area)
        return ""

    for region in regions:
        for part in _single(region):
            try:
                relocated(part.formula, sheet, workbook, note)
            except NotRelocatable as reason:
                raise NotLive(f"a formula cannot be copied: {reason}") from None
    areas = [*changed, *dict.fromkeys(read)]
    box = CellRange(
        sheet, min(a.top for a in areas), min(a.left for a in areas),
        max(a.bottom for a in areas), max(a.right for a in areas),
    )  # fmt: skip
    own = {(cell.row, cell.column) for area in changed for cell in area.cells()}
    book = workbook.sheet(sheet)
    spilled = {
        (cell.row, cell.column)
        for formula in book.array_formulas
        if formula.array
        for cell in CellRange(sheet, *formula.array).cells()
    }
    filled = spilled | book.formula_at.keys()
    mirrored = frozenset(
        (cell.row, cell.column)
        for area in dict.fromkeys(read)
        for cell in (area.intersection(used) or single_cell(area.first)).cells()
        if (cell.row, cell.column) not in own
        and ((cell.row, cell.column) in filled
             or book.cells.value(cell.row, cell.column) is not None)
    )  # fmt: skip
    present = {
        cell: number
        for cell, number in model.cell_values().items()
        if not written
        and (cell.row, cell.column) not in filled
        and (book.cells.value(cell.row, cell.column) or 0.0) != number
    }
    return _Plan(sheet, variables, regions, mirrored, present, box)


def _meets(area: CellRange, others: Sequence[CellRange]) -> bool:
    """Whether a range shares a cell with one of others."""
    return any(area.intersection(other) for other in others)


def _lowered(area: CellRange, rows: int) -> CellRange:
    """A range some rows further down."""
    return replace(area, top=area.top + rows, bottom=area.bottom + rows)


def _changed(plan: _Plan) -> list[CellRange]:
    return [*plan.variables, *(region.range for region in plan.regions)]


def _refused(unit: Unit) -> Region:
    """The unit's region, where a copy of it means the same elsewhere."""
    region = unit.region
    assert region is not None
    fixed = functions_in(region.tree) & (_WHERE_IT_STANDS | VOLATILE)
    if fixed:
        raise NotLive(f"{sorted(fixed)[0]} in {unit.area} depends on where it stands")
    if not region.array and _intersects(region.tree):
        raise NotLive(f"the formula in {unit.area} takes one cell of a range by its row")
    if any(_extends(node) for node in walk(region.tree)):
        raise NotLive(f"the sum range in {unit.area} is shorter than the cells that are summed")
    return region


def _extends(node: Node) -> bool:
    """Whether SUMIF or AVERAGEIF takes a sum range of another size than its range."""
    if not isinstance(node, Call) or node.function not in ("SUMIF", "AVERAGEIF"):
        return False
    ranges = [item for item in node.arguments[::2] if isinstance(item, Reference)]
    sizes = {
        (item.bottom.value - item.top.value, item.right.value - item.left.value) for item in ranges
    }
    return len(sizes) > 1


def _intersects(node: Node) -> bool:
    """Whether a range stands where a single value is wanted: implicit intersection."""
    for place, child in enumerate(children(node)):
        if isinstance(child, Reference):
            many = (child.top, child.left) != (child.bottom, child.right)
            if many and _wants_single(node, place):
                return True
        elif _intersects(child):
            return True
    return False


def _wants_single(node: Node, place: int) -> bool:
    """Whether an operator, or an argument of a function, is a single value."""
    if not isinstance(node, Call):
        return True
    function = FUNCTIONS.get(node.function)
    return function is None or function.letter(place) == "v"


def _single(region: Region) -> Iterator[Region]:
    """The copies of a region one by one."""
    for row in range(region.rows):
        for column in range(region.columns):
            yield region.part(row, column, 1, 1)
