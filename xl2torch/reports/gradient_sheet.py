"""The Gradient Check sheet: both derivatives of every cell, their difference, and a chart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from xl2torch.cells.address import CellAddress, column_letters, quote_sheet, single_cell
from xl2torch.errors import OutputError
from xl2torch.gradients.check import Comparison, GradientCheck
from xl2torch.ir.naming import solver_name
from xl2torch.reports.kinds import GRADIENTS
from xl2torch.teach.derivatives.sheet_derivatives import WrittenCell, WrittenCheck
from xl2torch.teach.live_formulas import Copies, NotLive, perturbed_copies
from xl2torch.workbook.package import Changes
from xl2torch.workbook.write.charts import scatter_chart
from xl2torch.workbook.write.new_sheet import NewSheet, PlacedChart, Row, StyledValue, add_sheets
from xl2torch.workbook.write.preflight import check_output, check_protection
from xl2torch.workbook.write.workbook_part import numbered_name, recalculate_on_load

_WIDTHS = (16, 24, 22, 22, 22, 13, 13, 13, 12, 60)
_CHART_PLACE = (0, 5)
_CHART_ROWS = 19
_REASON = 80
_LARGEST = "$C$10"
"""Where the heading holds the largest derivative of the model."""
_MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class SavedCheck:
    """What was written. ``not_live`` says why numeric derivatives are no formulas, where so."""

    path: Path
    sheet: str
    not_live: str


def save_gradient_check(
    check: GradientCheck | WrittenCheck, path: str | Path, *, force: bool = False,
    ignore_protection: bool = False,
) -> SavedCheck:  # fmt: skip
    """Write a copy of the workbook with a Gradient Check sheet; nothing else in it changes.

    Where the model is small its numeric derivatives are formulas, with perturbed copies of the
    model on a second sheet. Raises OutputError.
    """
    target = Path(path)
    if target.is_symlink():
        target = target.resolve()
    workbook = check.workbook
    check_output(workbook.path, target, force, advice="give another -o")
    check_protection(workbook, ignore=ignore_protection)
    if len(check.rows) > _MOST_ROWS:
        raise OutputError(f"{len(check.rows):,} cells are more than a sheet has rows")
    name = numbered_name(workbook, GRADIENTS)
    live = ""
    if isinstance(check, WrittenCheck):
        sheets = [_written_sheet(check, name)]
    else:
        sheets, live = gradient_sheets(check, name)
    changes = Changes(workbook.package)
    add_sheets(sheets, changes)
    recalculate_on_load(changes)
    changes.save(target)
    return SavedCheck(target, name, live)


# ---------------------------------------------------------------- variable cells


def gradient_sheets(
    check: GradientCheck, name: str, written: bool = False
) -> tuple[list[NewSheet], str]:
    """The sheet, and one with perturbed copies of the model where that is possible, else why not.

    ``written``: the variable cells of the file will hold the numbers of the model.
    """
    heading = _heading(check)
    first = len(heading) + 2
    quoted = quote_sheet(name)
    steps = [f"{quoted}!$F${first + place}" for place in range(len(check.rows))]
    copies_name = numbered_name(check.workbook, f"{GRADIENTS} Copies")
    try:
        copies: Copies | None = perturbed_copies(check, copies_name, steps, written)
        why = ""
    except NotLive as reason:
        copies, why = None, str(reason)
    heads = ("Cell", "Name", "Value", "Analytic", "Numeric", "Step", "Difference", "Relative",
             "Verdict", "Why")  # fmt: skip
    rows: list[Row] = [*heading, [StyledValue(head, "header") for head in heads]]
    for place, row in enumerate(check.rows):
        rows.append(_line(check, row, first + place, copies, place))
    chart = _chart(name, first, len(check.rows), "Analytic derivative", "Numeric derivative")
    sheet = NewSheet(name, rows, _WIDTHS, [chart])
    return [sheet, *([copies.sheet] if copies else [])], why


def _heading(check: GradientCheck) -> list[Row]:
    objective, cost = check.model.problem.objective, check.cost
    title = solver_name(check.workbook, single_cell(objective))
    agree = sum(row.ok for row in check.rows)
    lines: list[tuple[str, str | float]] = [
        ("Objective", f"{objective} {title}".strip()),
        ("Value", check.value),
        ("Numeric", f"{check.method} differences, step {check.step:.6g}"),
        ("Step", check.step_rule.partition(" (")[0]),
        ("Source", check.step_rule.partition(" (")[2].rstrip(")") or "the step was given"),
        ("Agreement", f"{agree} of {len(check.rows)} cells"),
        ("Largest relative difference", check.max_rel_diff),
        ("Largest derivative", check.largest),
        ("Solver, forward", f"{cost.forward:,} recalculations for one gradient: "
                            f"{cost.forward_seconds * 1e3:.3g} ms at the speed of this program"),
        ("Solver, central", f"{cost.central:,} recalculations: "
                            f"{cost.central_seconds * 1e3:.3g} ms at that speed"),
        ("Autograd", "one forward and one backward pass: "
                     f"{cost.backward_seconds * 1e3:.3g} ms"),
    ]  # fmt: skip
    rows: list[Row] = [[StyledValue("Gradient Check", "title")], []]
    rows += [[StyledValue(key, "key"), None, StyledValue(value, "text")] for key, value in lines]
    assert lines[int(_LARGEST.split("$")[2]) - 3][0] == "Largest derivative"
    return _beside_chart(rows)


def _beside_chart(rows: list[Row]) -> list[Row]:
    """Rows to the left of the chart, filled up to its height."""
    return [*rows, *([[]] * (_CHART_ROWS - len(rows)))]


def _line(
    check: GradientCheck, row: Comparison, number: int, copies: Copies | None, place: int,
) -> Row:  # fmt: skip
    """One variable cell; the numbers that Excel can compute are formulas."""
    numeric = difference = relative = None
    if copies is not None:
        width = f"2*F{number}" if check.method == "central" else f"F{number}"
        numeric = f"({copies.above[place]}-{copies.below[place]})/({width})"
        difference = f"ABS(D{number}-E{number})"
        largest = f"MAX(ABS(D{number}),ABS(E{number}),{_LARGEST})"
        relative = f"IF(G{number}=0,0,G{number}/{largest})"
    return [
        StyledValue(_address(row.cell, check.model.problem.sheet)),
        StyledValue(row.label),
        StyledValue(row.value, "number"),
        StyledValue(row.analytic, "number"),
        StyledValue(row.numeric, "number", numeric),
        StyledValue(row.step, "scientific"),
        StyledValue(row.abs_diff, "scientific", difference),
        StyledValue(row.rel_diff, "scientific", relative),
        *_verdict(row.ok, row.reason),
    ]


def _verdict(ok: bool, reason: str) -> list[StyledValue]:
    return [
        StyledValue("ok", "verdict") if ok else StyledValue("differs", "alert"),
        StyledValue(reason),
    ]


def _address(cell: CellAddress, sheet: str) -> str:
    return cell.a1 if cell.sheet == sheet else str(cell)


def _chart(name: str, first: int, count: int, x_title: str, y_title: str) -> PlacedChart:
    chart = scatter_chart(
        "Equal derivatives lie on the diagonal", name, column_letters(4), column_letters(5), first,
        first + count - 1, x_title, y_title,
    )  # fmt: skip
    return PlacedChart(chart, *_CHART_PLACE)


# ---------------------------------------------------------------- columns of the author


def _written_sheet(check: WrittenCheck, name: str) -> NewSheet:
    rows: list[Row] = [
        [StyledValue("Gradient Check", "title")],
        [StyledValue("Derivatives in the sheet, beside exact ones", "note")],
        [],
        [StyledValue(head, "header") for head in
         ("Cells", "Name", "Derivative of", "With respect to", "Agree")],
    ]  # fmt: skip
    for line in check.lines:
        agree = f"{line.agreeing} of {line.rows}"
        texts = (line.cells, line.label, line.of, line.wrt, agree)
        rows.append([StyledValue(text) for text in texts])
        rows += [[None, StyledValue(text, "note")] for text in wrap(line.reason, _REASON)]
    heads = ("Cell", "Name", "Derivative of", "Exact", "In the sheet", "By", "Difference",
             "Relative", "Verdict", "Why")  # fmt: skip
    rows = [*_beside_chart(rows), [StyledValue(head, "header") for head in heads]]
    first = len(rows) + 1
    for number, row in enumerate(check.rows, first):
        rows.append(_written_line(row, number))
    chart = _chart(name, first, len(check.rows), "Exact derivative", "Derivative in the sheet")
    return NewSheet(name, rows, _WIDTHS, [chart])


def _written_line(row: WrittenCell, number: int) -> Row:
    sheet = row.cell.sheet
    return [
        StyledValue(_address(row.cell, sheet)),
        StyledValue(row.label),
        StyledValue(row.of if row.of.startswith("=") else row.of.rpartition("!")[2]),
        StyledValue(row.analytic, "number"),
        StyledValue(row.numeric, "number", str(row.cell)),
        StyledValue(_address(row.wrt, sheet), "verdict"),
        StyledValue(row.abs_diff, "scientific", f"ABS(D{number}-E{number})"),
        StyledValue(row.rel_diff, "scientific"),
        *_verdict(row.ok, row.reason),
    ]
