"""What a sheet without a Solver model could be about: its loss, its weights, its limits.

A weight is a number that formulas read from a fixed place ($B$1, or the one cell of a formula that
was not copied); what they read row by row is data. A limit stands beside a sign, ``used <= had``,
or is a sum of weights that makes one. Words of labels decide between what is left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from xl2torch.cells.address import MAX_COLUMN, CellAddress, CellRange, single_cell
from xl2torch.cells.values import BLANK, NUMBER, TEXT
from xl2torch.errors import Xl2TorchError
from xl2torch.excel.registry import VOLATILE
from xl2torch.formula.ast import Call, Node, Reference, walk
from xl2torch.ir.naming import header, label
from xl2torch.lowering.blocks import stored
from xl2torch.lowering.precedents import SplitRegion, sweeps, swept_range
from xl2torch.lowering.regions import Region
from xl2torch.lowering.schedule import Evaluation, Unit
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.sparse_cells import places_of

_LOSS = re.compile(
    r"\b(loss|error|mse|rmse|mae|sse|ssr|rss|sum of squares|squared|residual|cost|risk|variance|"
    r"deviation|entropy|objective|distance|penalty|nll|chi|fehler|kosten)",
    re.IGNORECASE)  # fmt: skip
_GAIN = re.compile(
    r"\b(profit|revenue|return|utility|likelihood|log ?lik|sharpe|value of|total value|income|"
    r"margin|yield|gain|score|contribution|reach|gewinn|ertrag|deckungsbeitrag)",
    re.IGNORECASE)  # fmt: skip
_CHOSEN = re.compile(
    r"\b(weight|w\d*|coef|slope|intercept|bias|param|alpha|beta|gamma|theta|lambda|share|alloc|"
    r"units?|quantity|quantities|amount|produce|make|ship|take|decision|pack|choose|chosen|"
    r"select|x\d*|m|b|a|c|k|kernel|filter|embedding|unit)\b", re.IGNORECASE)  # fmt: skip
_SETTING = re.compile(
    r"\b((learning|interest|tax|discount|dropout) rate|lr|epsilon|eps|momentum|n|count|rows|"
    r"days?|steps?|seed|dropout)\b", re.IGNORECASE)  # fmt: skip
_GIVEN = re.compile(
    r"\b(price|cost|profit per|value|available|capacity|limit|max|min|demand|supply|budget|rate|"
    r"total|data|count|n|rows|needs?|per unit|return|tax|days?|year|date|age|learning rate|"
    r"lr|epsilon|eps)\b", re.IGNORECASE)  # fmt: skip
_COMPARING = frozenset({"SUMXMY2", "CORREL", "PEARSON", "RSQ", "STEYX"})
_SIGNS = {
    "<=": "<=", "≤": "<=", "=<": "<=", "at most": "<=", "max": "<=", "up to": "<=",
    ">=": ">=", "≥": ">=", "=>": ">=", "at least": ">=", "min": ">=",
    "=": "=", "must be": "=", "equals": "=", "has to be": "=",
}  # fmt: skip
_LIMITS = {
    "<=": re.compile(
        r"\b(available|capacity|cap|limit|budget|at most|max(imum)?|supply|stock)\b",
        re.IGNORECASE),
    ">=": re.compile(
        r"\b(demand(ed)?|require(d|ment)?|at least|min(imum)?|needed|needs?)\b", re.IGNORECASE),
}  # fmt: skip
_WHOLE = re.compile(r"\b(whole|integer|units|trucks|people|desks|items)\b", re.IGNORECASE)
_BINARY = re.compile(r"\b(take|pack|yes/no|0/1|binary|chosen|choose|open)\b", re.IGNORECASE)
_MOST_WEIGHTS = 100_000
_FURTHEST_LIMIT = 4
"""Columns between what is used and its limit."""
_MOST, _LONG, _SIGN, _SAMPLES, _FEWEST_ROWS = 5, 3, 10, 5, 3


@dataclass(frozen=True)
class Goal:
    """A cell that could be the objective, with what would be changed, and limits of it."""

    objective: CellAddress
    label: str
    sense: str
    value: float
    variables: tuple[CellRange, ...]
    labels: tuple[str, ...]
    constraints: tuple[str, ...] = ()


def find_goals(workbook: Workbook, sheet: str | None = None) -> list[Goal]:
    """Cells that could be an objective, the likeliest first; of one sheet, where it is given."""
    evaluation, read = _formulas(workbook)
    found: list[tuple[float, Goal]] = []
    for unit in read:
        if unit.area.size != 1 or (sheet is not None and unit.area.sheet != sheet):
            continue
        goal = _goal(workbook, evaluation, unit, read)
        if goal is not None:
            found.append(goal)
    return [goal for _, goal in sorted(found, key=lambda item: -item[0])[:_MOST]]


def find_goal(workbook: Workbook, objective: CellAddress) -> Goal | None:
    """What a cell could be as the objective; None where nothing could be changed."""
    evaluation, read = _formulas(workbook)
    for unit in evaluation.overlapping_cell(objective):
        found = _goal(workbook, evaluation, unit, read) if unit in read else None
        if found is not None and unit.area.size == 1:
            return found[1]
    return None


def _formulas(workbook: Workbook) -> tuple[Evaluation, dict[Unit, list[_Reading]]]:
    """The computed workbook, and what each of its formulas reads."""
    evaluation = Evaluation(workbook)
    evaluation.compute_all()
    units = (unit for unit in evaluation.all_units() if unit.region is not None)
    return evaluation, {unit: _reads(unit, workbook) for unit in units}


def is_gain(text: str) -> bool:
    """Whether a label names what people want much of."""
    return bool(_GAIN.search(text)) and not _LOSS.search(text)


def suggestion(workbook: Workbook, sheet: str | None, words: str) -> str:
    """The likeliest goal as options, behind some words; '' where there is none."""
    try:
        goals = find_goals(workbook, sheet)
    except Xl2TorchError:
        return ""  # what it is asked for is to be told, not this
    if not goals:
        return ""
    first = goals[0]
    own = first.objective.sheet
    areas = ",".join(area.a1 if area.sheet == own else str(area) for area in first.variables)
    where = "" if own == workbook.sheets[0].name else f"`sheet={own!r}` "
    return f"{words} {where}`objective={first.objective.a1!r}` `variables={areas!r}`"


@dataclass(frozen=True)
class _Reading:
    """Cells that a unit reads: where they are ``fixed``, the same for all copies."""

    cells: CellRange
    fixed: bool


def _reads(unit: Unit, workbook: Workbook) -> list[_Reading]:
    region = unit.region
    assert region is not None
    found = []
    for node in walk(region.tree):
        if not isinstance(node, Reference):
            continue
        try:
            rows, columns = sweeps(node, region, workbook)
        except (SplitRegion, ValueError):
            continue
        cells = CellRange(node.sheet, rows.start, columns.start, rows.end, columns.end)
        moves = rows.moves + columns.moves
        # Of copies over rows and columns, a table of less than half their number is a factor.
        factor = moves == 1 and rows.copies > 1 < columns.copies
        factor = factor and 2 * cells.size <= unit.area.size
        if rows.moves and rows.copies > _LONG * columns.copies:
            factor = False  # a long table: its rows are samples
        found.append(_Reading(cells, not moves or factor))
    return found


def _goal(
    workbook: Workbook, evaluation: Evaluation, unit: Unit, read: dict[Unit, list[_Reading]]
) -> tuple[float, Goal] | None:
    array = stored(workbook, unit.area) if unit.block is None else unit.block.array
    if unit.cached_because or bool((array.full_kinds != NUMBER).any()):
        return None
    reached = [item for item in evaluation.ancestors([unit]) if item in read]
    weights = _weights(workbook, evaluation, unit, reached, read)
    if not weights:
        return None
    text = label(workbook, unit.area)
    loss, gain = bool(_LOSS.search(text)), bool(_GAIN.search(text))
    readers = [item for item in read if item is not unit and any(
        reading.cells.intersection(unit.area) for reading in read[item])]  # fmt: skip
    score = 4.0 * (loss or gain) + 2.0 * (not readers) + min(len(reached), 20) / 10
    sense = "max" if is_gain(text) else "min"
    goal = Goal(
        unit.area.first, text, sense, float(array.numpy().flat[0]), tuple(weights),
        tuple(label(workbook, area) for area in weights),
    )  # fmt: skip
    return score, replace(goal, constraints=tuple(_limits(workbook, evaluation, goal, read)))


# ---------------------------------------------------------------- weights


def _weights(
    workbook: Workbook, evaluation: Evaluation, unit: Unit, reached: list[Unit],
    read: dict[Unit, list[_Reading]],
) -> list[CellRange]:  # fmt: skip
    """Ranges of numbers that could be changed, in the order of the sheet."""
    votes: Counter[CellRange] = Counter()
    copied: set[CellRange] = set()
    moving: list[CellRange] = []
    for item in reached:
        copies = item.region is not None and item.area.size > 1
        for reading in read[item]:
            if not reading.fixed:
                moving.append(reading.cells)
                continue
            for area in _numbers(workbook, evaluation, reading.cells):
                votes[area] += 2 if copies else 1
                copied |= {area} if copies else set()
    for item in read:  # limits use what is chosen, too
        if item not in reached:
            for reading in read[item]:
                if reading.fixed or item.area.size == 1:
                    for area in _numbers(workbook, evaluation, reading.cells):
                        if area in votes:
                            votes[area] += 1
    merged = _without_parts(votes)
    scores = {}
    given_cells = [area for item in reached for area in _given(workbook, evaluation, item)]
    for area in merged:
        if area.size > _MOST_WEIGHTS or any(
            part.intersection(area) for part in [*moving, *given_cells]
        ):
            continue
        text = label(workbook, area)
        often = merged[area] > 1 or max(merged.values()) == 1
        votes_of = merged[area] if often else 0  # what is read once, beside what is read twice
        given = _SETTING if any(area.contains(part) for part in copied) else _GIVEN
        is_given = bool(given.search(text)) and not _is_intercept(workbook, area, text)
        scores[area] = votes_of + 3 * bool(_CHOSEN.search(text)) - 3 * is_given
    found = [area for area, score in scores.items() if score >= 1]
    empty = {(area.rows, area.columns) for area in found if _is_empty(workbook, area)}
    joined = _joined(sorted(
        area for area in found
        if (area.rows, area.columns) not in empty or _is_empty(workbook, area)
    ))  # fmt: skip
    return [
        area
        for area in joined
        if not _is_column_of_data(evaluation, area) or _CHOSEN.search(label(workbook, area))
    ]


def _given(workbook: Workbook, evaluation: Evaluation, unit: Unit) -> Iterable[CellRange]:
    """Cells that a formula compares computed ones with, and those that say how it draws."""
    region = unit.region
    assert region is not None
    parts = list(walk(region.tree))
    if any(isinstance(part, Call) and part.function in VOLATILE for part in parts):
        yield from _areas(workbook, region, parts)
    for part in parts:
        if isinstance(part, Call) and part.function in _COMPARING:
            sides = _areas(workbook, region, part.arguments)
            computed = [bool(evaluation.overlapping(side)) for side in sides]
            if any(computed):
                yield from sides


def _areas(workbook: Workbook, region: Region, nodes: Iterable[Node]) -> list[CellRange]:
    """Cells of the references among some nodes."""
    found = (swept_range(node, region, workbook) for node in nodes if isinstance(node, Reference))
    return [area for area in found if area is not None]


def _is_column_of_data(evaluation: Evaluation, area: CellRange) -> bool:
    """Whether formulas stand beside each row of a range, as predictions beside what was seen."""
    return (
        area.columns == 1
        and area.rows >= _SAMPLES
        and any(
            unit.region is not None
            and unit.area.top <= area.top
            and unit.area.bottom >= area.bottom
            for unit in evaluation.overlapping(replace(area, left=1, right=MAX_COLUMN))
        )
    )


def _is_intercept(workbook: Workbook, area: CellRange, text: str) -> bool:
    """Whether a cell n is that of m·x + n, not a number of rows."""
    value = _value(workbook, area.first)
    return text.strip().lower() == "n" and not (value >= _FEWEST_ROWS and value == int(value))


def _is_empty(workbook: Workbook, area: CellRange) -> bool:
    """Whether a range of several cells holds nothing but 0, as a plan before it is made."""
    return area.size > 1 and not bool(stored(workbook, area).numpy().any())


def _joined(areas: list[CellRange]) -> list[CellRange]:
    """Ranges that touch, and fill a rectangle together, as one: below each other, then beside."""
    below = sorted(areas, key=lambda item: (item.sheet, item.left, item.right, item.top))
    columns = _merged(below, lambda one, two: (
        (one.sheet, one.left, one.right) == (two.sheet, two.left, two.right)
        and two.top == one.bottom + 1
    ))  # fmt: skip
    beside = sorted(columns, key=lambda item: (item.sheet, item.top, item.bottom, item.left))
    return sorted(_merged(beside, lambda one, two: (
        (one.sheet, one.top, one.bottom) == (two.sheet, two.top, two.bottom)
        and two.left == one.right + 1
    )))  # fmt: skip


def _merged(
    areas: list[CellRange], touch: Callable[[CellRange, CellRange], bool]
) -> list[CellRange]:
    found: list[CellRange] = []
    for area in areas:
        if found and touch(found[-1], area):
            found[-1] = replace(found[-1], bottom=area.bottom, right=area.right)
        else:
            found.append(area)
    return found


def _numbers(workbook: Workbook, evaluation: Evaluation, area: CellRange) -> list[CellRange]:
    """A range that holds numbers alone, none of which is computed; its row and column labels and
    headings left out."""
    last_row, last_column = workbook.sheet(area.sheet).extent
    area = replace(area, bottom=min(area.bottom, last_row), right=min(area.right, last_column))
    if area.bottom < area.top or area.right < area.left or evaluation.overlapping(area):
        return []
    kinds = stored(workbook, area).full_kinds[0, 0]
    return [area] if bool(((kinds == NUMBER) | (kinds == BLANK)).all()) and bool(
        (kinds == NUMBER).any()) else []  # fmt: skip


def _without_parts(votes: Counter[CellRange]) -> Counter[CellRange]:
    """Ranges that lie in larger ones give their votes to these."""
    merged: Counter[CellRange] = Counter()
    for area in sorted(votes, key=lambda item: -item.size):
        host = next((other for other in merged if other.contains(area)), area)
        merged[host] += votes[area]
    return merged


# ---------------------------------------------------------------- limits


def _limits(
    workbook: Workbook, evaluation: Evaluation, goal: Goal, read: dict[Unit, list[_Reading]]
) -> Iterable[str]:
    """Constraints that the sheet shows."""
    sheet = workbook.sheet(goal.objective.sheet)
    claimed: list[CellRange] = []
    signed: set[CellAddress] = set()
    for place, text in _texts(workbook, goal.objective.sheet):
        sign = _SIGNS.get(text.strip().lower())
        left = CellAddress(sheet.name, place.row, place.column - 1)
        right = CellAddress(sheet.name, place.row, place.column + 1)
        if sign is None or place.column < 2:
            continue
        chosen = any(area.contains(single_cell(left)) for area in goal.variables)
        if chosen or (_is_formula(workbook, left) and _is_number(workbook, right)):
            claimed.append(single_cell(right))
            signed.add(left)
            yield f"{left} {sign} {right.a1}"
            if sign == "=" and abs(_value(workbook, right) - 1.0) < 1e-6:
                for unit in evaluation.overlapping_cell(left):
                    yield from _shares(goal, unit, read.get(unit, []))
    # What the objective is computed of is no use of a limit: predictions stand beside data.
    above = set(evaluation.ancestors(evaluation.overlapping_cell(goal.objective)))
    used = [*goal.variables, *(
        unit.area for unit, readings in read.items() if unit not in above and any(
            item.cells.intersection(area) for item in readings for area in goal.variables)
    )]  # fmt: skip
    beside = [item for area in used for item in _limits_beside(workbook, evaluation, area, read)]
    for _, area, sign, limit in sorted(beside):
        if not any(limit.intersection(other) for other in claimed):
            claimed.append(limit)
            yield f"{area} {sign} {limit.a1}"
    for unit, readings in read.items():
        shares = _shares(goal, unit, readings) if unit.area.size == 1 else []
        total = unit.area.first
        if shares and total not in signed and abs(_value(workbook, total) - 1.0) < 1e-6:
            yield f"{total} = 1"
            yield from shares
    for area, text in zip(goal.variables, goal.labels, strict=True):
        if _BINARY.search(text) and goal.sense == "max":
            yield f"{area} binary"
        elif _WHOLE.search(text) and goal.sense == "max":
            yield f"{area} integer"
            yield f"{area} >= 0"


def _shares(goal: Goal, unit: Unit, readings: list[_Reading]) -> list[str]:
    """That what a cell adds up are no negative numbers, where these are variables."""
    if len(readings) != 1 or not _is_sum(unit):
        return []
    return [f"{area} >= 0" for area in goal.variables if area == readings[0].cells]


def _limits_beside(
    workbook: Workbook, evaluation: Evaluation, area: CellRange, read: dict[Unit, list[_Reading]]
) -> Iterable[tuple[int, CellRange, str, CellRange]]:
    """Limits in numbers that no formula reads, with a heading that says so: used | available.

    Each with its distance, what it limits, and the sign between them.
    """
    for right, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        for step in range(1, _FURTHEST_LIMIT + 1):
            place = replace(
                area, left=area.left + step * right, right=area.right + step * right,
                top=area.top + step * down, bottom=area.bottom + step * down,
            )  # fmt: skip
            wide = (area.columns if right else area.rows) > 1
            if wide or place.right > MAX_COLUMN or min(place.left, place.top) < 1:
                break
            if not _numbers(workbook, evaluation, place) or any(
                item.cells.intersection(place) for readings in read.values() for item in readings
            ):
                continue
            text = header(workbook, place) if right else label(workbook, place)
            signs = [sign for sign, words in _LIMITS.items() if words.search(text)]
            if len(signs) == 1:
                yield step, area, signs[0], place


def _is_sum(unit: Unit) -> bool:
    assert unit.region is not None
    tree = unit.region.tree
    return isinstance(tree, Call) and tree.function == "SUM"


def _texts(workbook: Workbook, name: str) -> Iterable[tuple[CellAddress, str]]:
    """Texts as short as a sign, with their cells."""
    cells = workbook.sheet(name).cells
    for index in (cells.kinds == TEXT).nonzero()[0]:
        text = str(cells.texts[index])
        if len(text) <= _SIGN:
            row, column = places_of(cells.keys[index])
            yield CellAddress(name, int(row), int(column)), text


def _value(workbook: Workbook, cell: CellAddress) -> float:
    value = workbook.sheet(cell.sheet).cells.value(cell.row, cell.column)
    return value if isinstance(value, float) else float("nan")


def _is_number(workbook: Workbook, cell: CellAddress) -> bool:
    return _value(workbook, cell) == _value(workbook, cell)


def _is_formula(workbook: Workbook, cell: CellAddress) -> bool:
    return (cell.row, cell.column) in workbook.sheet(cell.sheet).formula_at


def goal_lines(goals: Iterable[Goal]) -> list[list[str]]:
    """Goals as lines of a table: what is asked, the value now, what would be changed."""
    verbs = {"min": "minimise", "max": "maximise"}
    return [
        [f"{verbs[goal.sense]} {goal.objective} {goal.label}".strip(), f"{goal.value:.6g}",
         ", ".join(f"{area} {text}".strip() for area, text in
                   zip(goal.variables, goal.labels, strict=True))]
        for goal in goals
    ]  # fmt: skip
