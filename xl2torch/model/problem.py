"""What is to be optimised: objective cell, variable cells, sense and constraints.

Taken from the Solver model stored in the workbook; what the caller gives overrides it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from xl2torch.cells.address import CellAddress, CellRange, parse_a1, single_cell
from xl2torch.cells.values import display
from xl2torch.errors import FormulaError, ModelError, SelectionError
from xl2torch.excel.registry import FUNCTIONS
from xl2torch.formula.ast import Binary, Error, Opaque, functions_in, walk
from xl2torch.formula.parser import parse
from xl2torch.ir.naming import label
from xl2torch.model.candidates import is_gain, suggestion
from xl2torch.model.wording import FLIPPED, Wanted, as_number, goal, relations
from xl2torch.safety.plain_text import argument
from xl2torch.workbook.read.labels import cells_of_label
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.selection import parse_cell, parse_ranges
from xl2torch.workbook.read.solver_model import (
    Sense,
    SolverModel,
    StoredConstraint,
    solver_models,
    stored_ranges,
)  # fmt: skip


@dataclass(frozen=True)
class RangeLimits:
    """Limits of the variable cells in one range."""

    cells: CellRange
    lower: float
    upper: float


@dataclass(frozen=True)
class Constraint:
    """Cells in a relation to a limit: ``<=``, ``=``, ``>=``, or ``int``, ``bin``, ``dif``.

    ``right`` is a number, or cells (one, or as many as on the left), or the text of a formula
    without its ``=``, of one value for all cells or one for each; for int, bin and dif it means
    nothing. ``bounds`` is what a constraint means that limits variable cells by numbers; others
    have none. ``formula`` is what was asked for where no cell holds its left side: the relation is
    then one of a variable cell, moved to there.
    """

    left: CellRange
    relation: str
    right: float | CellRange | str
    bounds: tuple[RangeLimits, ...] = ()
    formula: str = ""

    def __str__(self) -> str:
        if self.formula:
            return self.formula
        if self.relation in WORDS:
            return f"{self.left} {WORDS[self.relation]}"
        right = f"{self.right:g}" if isinstance(self.right, float) else str(self.right)
        return f"{self.left} {self.relation} {right}"

    def as_option(self, sheet: str = "") -> str:
        """The constraint as one gives it on a command line, from a sheet perhaps."""
        if self.formula:
            return self.formula
        left = on_sheet(self.left, sheet)
        if self.relation in WORDS:
            return f"{left} {self.relation}"
        right = (
            repr(self.right).removesuffix(".0")
            if isinstance(self.right, float)
            else str(self.right)
        )
        if isinstance(self.right, CellRange):
            right = on_sheet(self.right, sheet)
        return f"{left} {self.relation} {right}"


def on_sheet(area: CellRange, sheet: str) -> str:
    """An address as one writes it on a sheet: without its name there."""
    return area.a1 if area.sheet == sheet else str(area)


_MOST_CELLS = 1_000_000
WORDS = {"int": "integer", "bin": "binary", "dif": "AllDifferent"}
"""Solver's words for the relations without a right side."""


@dataclass(frozen=True)
class Problem:
    """An optimisation problem over cells. ``options`` are those of the stored Solver model.

    ``remarks`` say what was made of it where that is not obvious. A system of constraints has no
    objective (sense ``feasible``); its first variable cell stands in that place.
    """

    sheet: str
    objective: CellAddress
    variables: tuple[CellRange, ...]
    sense: Sense
    target: float
    non_negative: bool
    constraints: tuple[Constraint, ...]
    stored: bool
    options: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def is_system(self) -> bool:
        """Whether constraints are to be kept, and nothing else."""
        return self.sense == "feasible"

    @property
    def goal(self) -> str:
        """What is asked of the objective, as one says it: ``minimise Model!B5``."""
        verbs = {"min": "minimise", "max": "maximise", "value": f"reach {self.target:g} in"}
        return "keep the constraints" if self.is_system else f"{verbs[self.sense]} {self.objective}"

    def require_objective(self, what: str) -> None:
        """Raise ModelError where there is none."""
        if self.is_system:
            raise ModelError(f"{what} is about an objective, and the model has constraints alone")

    @property
    def bounds(self) -> tuple[RangeLimits, ...]:
        """Limits of variable cells by numbers; binary ones are between 0 and 1."""
        numeric = [bound for item in self.constraints for bound in item.bounds]
        binary = [
            RangeLimits(item.left, 0.0, 1.0)
            for item in self.constraints if item.relation == "bin"
        ]  # fmt: skip
        return (*numeric, *binary)

    @property
    def general_constraints(self) -> tuple[Constraint, ...]:
        """Constraints of numbers that are more than limits of variable cells."""
        return tuple(
            item for item in self.constraints if not item.bounds and item.relation not in WORDS
        )

    @property
    def bounded_below(self) -> tuple[CellRange, ...]:
        """Cells with a lower limit of their own, in whatever form: a number, a cell, a formula."""
        return tuple(item.left for item in self.constraints if item.relation in (">=", "="))

    @property
    def integer_constraints(self) -> tuple[Constraint, ...]:
        """Constraints to whole numbers: int, bin and dif."""
        return tuple(item for item in self.constraints if item.relation in WORDS)


class SeveralModels(SelectionError):
    """The workbook stores several Solver models and none was chosen."""

    def __init__(self, workbook: Workbook, models: Sequence[SolverModel]) -> None:
        self.models = tuple(models)
        sizes = [len(argument(model.sheet)) for model in models]
        lines = "\n".join(
            f"  `sheet={model.sheet!r}`{' ' * (max(sizes) - size)}  {model.sense} {model.objective}"
            for model, size in zip(models, sizes, strict=True)
        )
        super().__init__(
            f"{workbook.path.name} holds {len(models)} Solver models; choose one:\n{lines}"
        )


def find_problem(
    workbook: Workbook,
    sheet: str | None = None,
    objective: str | None = None,
    variables: str | Sequence[str] | None = None,
    sense: str | None = None,
    constraints: Sequence[str] | None = None,
    non_negative: bool | None = None,
) -> Problem:
    """The problem to solve. ``sense`` is ``min``, ``max`` or ``value=NUMBER``.

    ``constraints`` are texts such as ``B5:B9 <= 100``, ``B14 >= 2*D14`` or ``B5:B9 int``. What is
    given takes the place of that part of the stored model; the rest of it stays. Constraints
    without an objective are a system, any solution of which is an answer.

    Raises SeveralModels, SelectionError (not in the workbook) or ModelError (cannot be trained).
    """
    for option, text in (("objective", objective), ("variables", variables), ("sheet", sheet)):
        if text is not None and not text:
            raise SelectionError(f"`{option}` is empty")
    model = _stored_model(workbook, sheet, objective, complete=bool(objective and variables))
    state: tuple[str, ...] = ()
    own = workbook.remembered
    if model is None and "variables" in own and not (objective or variables):
        objective = next(iter(own.get("objective", ())), None)
        variables = own["variables"]
        state = own.get("state", ())
        sense = sense or next(iter(own.get("sense", ())), None)
        constraints = own.get("constraint", ()) if constraints is None else constraints
        non_negative = bool(own.get("non-negative")) if non_negative is None else non_negative
    name = _sheet_name(workbook, sheet, model, objective, variables)
    system = not objective and _is_system(model, constraints)
    if system and sense is not None:
        raise SelectionError(f"`sense={sense!r}` is about an objective: give `objective`")
    cell = None if system else _objective_cell(workbook, name, model, objective)
    areas = _variable_areas(workbook, name, model, variables)
    chosen, target = _sense(sense, model)
    limits, remarks = _limits(workbook, name, model, constraints, areas, bool(variables))
    if constraints is None and model is not None and (objective or variables):
        remarks.append(_kept(sense, model, limits))
    if sense is None and model is None and cell is not None:
        remarks.append(_gain_remark(workbook, cell))
    if model is not None and model.options.get("eng") == _EVOLUTIONARY:
        remarks.append(
            "the stored model asks for the Evolutionary engine, which works without gradients; "
            "the optimizer that fits the formulas takes its place"
        )
    if cell is not None:
        _check_objective(workbook, cell, areas)
    cell = cell or areas[0].first
    if state and state != (model_state(workbook, cell, areas),):
        raise SelectionError(
            f"{workbook.path.name} remembers that {cell} was the objective by changing "
            f"{', '.join(map(str, areas))}, but its formula or what stands beside these cells has "
            "changed since: rows may have moved. Give `objective` and `variables`"
        )
    stored_sign = model is not None and model.non_negative
    return Problem(
        name,
        cell,
        tuple(areas),
        "feasible" if system else chosen,
        target,
        stored_sign if non_negative is None else non_negative,
        tuple(limits),
        model is not None and not (objective and variables),
        model.options if model else {},
        tuple(filter(None, [_NO_OBJECTIVE * system, *remarks])),
    )


def _sheet_name(
    workbook: Workbook, sheet: str | None, model: SolverModel | None, objective: str | None,
    variables: str | Sequence[str] | None,
) -> str:  # fmt: skip
    """The sheet that is worked on. Raises SelectionError."""
    if sheet:
        return workbook.sheet(sheet).name
    if model is not None:
        return model.sheet
    first = workbook.sheets[0].name
    if objective and "!" in objective:
        return parse_cell(workbook, objective, first).sheet
    if len(workbook.sheets) == 1 or (objective and variables):
        return first
    raise SelectionError(
        f"{workbook.path.name} holds no Solver model: give `objective` and `variables`"
        + _example(workbook, None)
    )


def _objective_cell(
    workbook: Workbook, sheet: str, model: SolverModel | None, given: str | None
) -> CellAddress:
    """The objective: the cell that is given, else the stored one."""
    if given:
        return parse_cell(workbook, given, sheet)
    if model is None:
        raise SelectionError(_missing(workbook, sheet, "objective"))
    ranges = stored_ranges(workbook, model, model.objective, "objective cell")
    if len(ranges) != 1 or ranges[0].size != 1:
        raise ModelError(f"the stored objective {model.objective} is not a single cell")
    return ranges[0].first


def _variable_areas(
    workbook: Workbook, sheet: str, model: SolverModel | None,
    given: str | Sequence[str] | None,
) -> list[CellRange]:  # fmt: skip
    """The ranges of variable cells: those that are given, else the stored ones."""
    if given:
        texts = [given] if isinstance(given, str) else list(given)
        areas = [area for text in texts for area in parse_ranges(workbook, text, sheet)]
    elif model is not None:
        areas = stored_ranges(workbook, model, model.variables, "variable cells")
    else:
        raise SelectionError(_missing(workbook, sheet, "variables"))
    return _each_cell_once(areas)


def _limits(
    workbook: Workbook, sheet: str, model: SolverModel | None, given: Sequence[str] | None,
    areas: list[CellRange], other_variables: bool,
) -> tuple[list[Constraint], list[str]]:  # fmt: skip
    """The constraints: those that are given, else the stored ones; and what is to be said."""
    if given is not None:
        limits = [item for text in given for item in _parsed(workbook, text, sheet, areas)]
        return limits, list(_formulas_without_cells(limits))
    stored = () if model is None else model.constraints
    found = [
        _stored(workbook, model, item, areas, other_variables) for item in stored
        if model is not None
    ]  # fmt: skip
    return [item for item in found if item is not None], []


def _gain_remark(workbook: Workbook, cell: CellAddress) -> str:
    """That an objective whose label sounds like a gain is minimised; '' for others."""
    name = label(workbook, single_cell(cell))
    return f'{cell} {name} is minimised: `sense="max"` maximises it' if is_gain(name) else ""


_EVOLUTIONARY = "3"
_NO_OBJECTIVE = "there is no objective: a point that keeps all constraints is looked for"


def _is_system(model: SolverModel | None, constraints: Sequence[str] | None) -> bool:
    """Whether there are constraints alone, without an objective."""
    if model is None:
        return bool(constraints)
    return not model.objective and bool(model.constraints if constraints is None else constraints)


def _kept(sense: str | None, model: SolverModel, limits: Sequence[Constraint]) -> str:
    """What stays of a stored model of which a part was replaced, in words."""
    goal = f"value={model.target:g}" if model.sense == "value" else model.sense
    parts = [] if sense else [f"`sense={goal!r}`"]
    parts += [str(item) for item in limits]
    if model.non_negative:
        parts.append("Assume Non-Negative")
    if not parts:
        return ""
    shown = "; ".join(parts[:_MOST_NAMED])
    more = f"; and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
    return (
        f"kept of the stored model: {shown}{more} (`sense`, `constraints` and `non_negative` "
        "replace it)"
    )


_MOST_NAMED = 8


def model_state(workbook: Workbook, objective: CellAddress, areas: Sequence[CellRange]) -> str:
    """A fingerprint of the objective's formula and of the labels of all cells: where rows were
    inserted it is another one."""
    found = workbook.sheet(objective.sheet).formula_at.get((objective.row, objective.column))
    labels = [label(workbook, area) for area in (single_cell(objective), *areas)]
    formula = _spelled(found.own_text).replace("_XLFN.", "") if found else ""
    text = repr((formula, labels))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _stored_model(
    workbook: Workbook, sheet: str | None, objective: str | None, complete: bool
) -> SolverModel | None:
    """The model stored in a sheet; the only one where no sheet is named.

    Where objective and variable cells are given too (``complete``), it is that of the objective's
    sheet, if there is one.
    """
    models = solver_models(workbook)
    if complete and sheet is None and objective is not None:
        sheet = parse_cell(workbook, objective, workbook.sheets[0].name).sheet
    if sheet is not None:
        name = workbook.sheet(sheet).name
        return next((model for model in models if model.sheet == name), None)
    if len(models) > 1:
        raise SeveralModels(workbook, models)
    return models[0] if models else None


def _missing(workbook: Workbook, sheet: str, option: str) -> str:
    others = [model.sheet for model in solver_models(workbook)]
    hint = f" (sheets with one: {', '.join(others)})" if others else ""
    return f"sheet {sheet!r} holds no Solver model{hint}: give `{option}`" + _example(
        workbook, sheet
    )


def _example(workbook: Workbook, sheet: str | None) -> str:
    """Options that could be meant, and the command that finds more, in words."""
    example = suggestion(workbook, sheet, ", such as")
    name = argument(workbook.path.name)
    return f"{example}; xl2torch setup {name} looks for what could be meant, and stores it"


def _sense(text: str | None, model: SolverModel | None) -> tuple[Sense, float]:
    if text is None:
        return (model.sense, model.target) if model else ("min", 0.0)
    chosen, target = goal(text)
    return cast(Sense, chosen), target


def _each_cell_once(areas: list[CellRange]) -> list[CellRange]:
    """Ranges in which no cell stands twice: of one that overlaps an earlier one, what is left."""
    kept: list[CellRange] = []
    for area in areas:
        pieces = [area]
        for other in kept:
            pieces = [part for piece in pieces for part in _without(piece, other)]
        kept += pieces
    return kept


def _without(area: CellRange, other: CellRange) -> list[CellRange]:
    """A rectangle without the cells of another, as up to four rectangles."""
    common = area.intersection(other)
    if common is None:
        return [area]
    above = replace(area, bottom=common.top - 1)
    below = replace(area, top=common.bottom + 1)
    beside = replace(area, top=common.top, bottom=common.bottom)
    parts = [
        above, replace(beside, right=common.left - 1), replace(beside, left=common.right + 1),
        below,
    ]  # fmt: skip
    return [part for part in parts if part.top <= part.bottom and part.left <= part.right]


def _check_objective(workbook: Workbook, cell: CellAddress, areas: list[CellRange]) -> None:
    sheet = workbook.sheet(cell.sheet)
    value = sheet.cells.value(cell.row, cell.column)
    if any(area.contains(single_cell(cell)) for area in areas):
        if sheet.has_formula(cell.row, cell.column):
            raise SelectionError(
                f"the objective {cell} is itself a variable cell, and its formula would be lost"
            )
        return  # goal programming and minimax models minimise a variable cell
    if not sheet.has_formula(cell.row, cell.column):
        what = "is blank" if value is None else f"holds the constant {display(value)}"
        if isinstance(value, str):
            what = f"holds the text {value!r}"
        spilled = any(
            f.array
            and f.array[0] <= cell.row <= f.array[2]
            and f.array[1] <= cell.column <= f.array[3]
            for f in sheet.array_formulas
        )
        if not spilled:
            raise ModelError(
                f"the objective {cell} {what}: it has to be a formula that depends on the variables"
                + suggestion(workbook, cell.sheet, ", such as")
            )
    elif isinstance(value, str):
        raise ModelError(f"the objective {cell} is the text {value!r}: it has to be a number")


def _parsed(
    workbook: Workbook, text: str, sheet: str, areas: Sequence[CellRange]
) -> list[Constraint]:
    """Constraints as a user writes them. Raises SelectionError."""
    found: list[Constraint] = []
    for wanted in relations(text):
        sides = [_with_cells(workbook, side, sheet, areas) for side in (wanted.left, wanted.right)]
        wanted = Wanted(sides[0], wanted.relation, sides[1])
        wanted = _cells_first(workbook, wanted, sheet, areas)
        right = wanted.right
        number = as_number(right)
        right = right if number is None else repr(number)
        try:
            left = parse_ranges(workbook, wanted.left, sheet)
        except SelectionError as error:
            if wanted.relation in WORDS or not _FORMULA.search(wanted.left):
                raise SelectionError(f"`constraints={text!r}`: {error}") from None
            left = _cells_with(workbook, wanted.left, sheet)
        if left and left == cells_of_label(workbook, wanted.left, sheet):
            # A label's row may go on behind its variable cells; those alone are meant.
            parts = [area.intersection(item) for item in left for area in areas]
            left = [part for part in parts if part is not None] or left
        if not left:
            found.append(_of_formula(workbook, wanted, right, sheet, areas))
        found += [_constraint(workbook, area, wanted.relation, right, sheet, areas)
                  for area in left]  # fmt: skip
    return found


def _cells_first(
    workbook: Workbook, wanted: Wanted, sheet: str, areas: Sequence[CellRange]
) -> Wanted:
    """D1 >= B1:B2 as B1:B2 <= D1, where the right side is variable cells and the left is none."""
    if wanted.relation in WORDS:
        return wanted
    try:
        left = parse_ranges(workbook, wanted.left, sheet)
        right = parse_ranges(workbook, wanted.right, sheet)
    except SelectionError:
        return wanted
    one, several = len(left) == left[0].size == 1, sum(item.size for item in right) > 1
    chosen = all(any(area.contains(item) for area in areas) for item in right)
    if not (one and several and chosen):
        return wanted
    return Wanted(wanted.right, FLIPPED[wanted.relation], wanted.left)


def _with_cells(workbook: Workbook, text: str, sheet: str, areas: Sequence[CellRange]) -> str:
    """sum(weight) with the variable cells, or the cells, that a label in brackets stands for."""

    def cells(match: re.Match[str]) -> str:
        found = cells_of_label(workbook, match[1], sheet)
        if len(found) != 1 or parse_a1(match[1].strip(), sheet) is not None:
            return match[0]
        parts = [area.intersection(found[0]) for area in areas]
        meant = [part for part in parts if part is not None] or found
        return f"({','.join(on_sheet(part, sheet) for part in meant)})"

    return _IN_BRACKETS.sub(cells, text)


_IN_BRACKETS = re.compile(r"\(\s*([^()]+?)\s*\)")
_FORMULA = re.compile(r"[(+*/^-]")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+%?")


def _cells_with(workbook: Workbook, formula: str, sheet: str) -> list[CellRange]:
    """The first cell of a sheet that holds a formula, however it is spelled."""
    wanted = _spelled(formula)
    for cell in workbook.sheet(sheet).formulas:
        if cell.array is None and _spelled(cell.own_text) == wanted:
            return [CellRange(sheet, cell.row, cell.column, cell.row, cell.column)]
    return []


def _spelled(formula: str) -> str:
    return re.sub(r"[\s$]", "", formula.removeprefix("=")).upper()


def _of_formula(
    workbook: Workbook, wanted: Wanted, right: str, sheet: str, areas: Sequence[CellRange]
) -> Constraint:
    """f <= r where no cell holds f: x <= x + r - f for a variable cell x. Raises SelectionError."""
    left, limit = wanted.left.removeprefix("="), right.removeprefix("=")
    for text in (left, limit):
        _check_formula(workbook, text, areas[0], wanted.relation)
    first = single_cell(areas[0].first)
    moved = f"{first}+({limit})-({left})"
    shown = f"{left} {wanted.relation} {wanted.right}"
    return Constraint(first, wanted.relation, moved, formula=shown)


def _formulas_without_cells(limits: Sequence[Constraint]) -> list[str]:
    """How a report shows what no cell holds, in words."""
    return [
        f"no cell holds the left side of {item.formula}: reports show it as {item.left} "
        f"{item.relation} {item.right}. A cell with that formula reads better"
        for item in limits if item.formula
    ]  # fmt: skip


def _stored(
    workbook: Workbook, model: SolverModel, item: StoredConstraint, areas: Sequence[CellRange],
    others: bool,
) -> Constraint | None:  # fmt: skip
    """A stored constraint. Raises ModelError when a part of it is lost.

    ``others``: other variable cells were given; whole numbers are asked for only among these, so
    there may be nothing left of a constraint.
    """
    left = stored_ranges(workbook, model, item.left, "constraint")
    if len(left) != 1 or item.relation == "?" or "#REF!" in item.right:
        raise ModelError(
            f"the Solver model of sheet {model.sheet!r} has a constraint that is lost: "
            f"{item.left} {item.relation} {item.right}"
        )
    if others and item.relation in WORDS:
        parts = [area.intersection(left[0]) for area in areas]
        whole = [part for part in parts if part is not None]
        return Constraint(whole[0], item.relation, "") if len(whole) == 1 else None
    try:
        return _constraint(workbook, left[0], item.relation, item.right, model.sheet, areas)
    except SelectionError as error:
        raise ModelError(f"the Solver model of sheet {model.sheet!r}: {error}") from None


def _constraint(
    workbook: Workbook, left: CellRange, relation: str, right: str, sheet: str,
    areas: Sequence[CellRange],
) -> Constraint:  # fmt: skip
    if left.size > _MOST_CELLS:
        raise SelectionError(
            f"the constraint on {left} covers {left.size:,} cells, more than {_MOST_CELLS:,}: "
            "give the cells that are used"
        )
    covered = (area.intersection(left) for area in areas)
    within = sum(part.size for part in covered if part) == left.size
    if relation in WORDS:
        if not within:
            raise SelectionError(
                f"the constraint {left} {WORDS[relation]}: only variable cells can be asked to be "
                "that"
            )
        return Constraint(left, relation, "")
    limit = _right_side(workbook, right.removeprefix("="), sheet)
    if isinstance(limit, str) and _DECIMAL_COMMA.fullmatch(limit):
        raise SelectionError(
            f"the constraint {left} {relation} {limit}: write {limit.replace(',', '.')}, with a "
            "point"
        )
    if isinstance(limit, str):
        _check_formula(workbook, limit, left, relation)
    if isinstance(limit, CellRange) and limit.size not in (1, left.size):
        raise SelectionError(
            f"the constraint {left} {relation} {limit}: the right side is one cell, or as many "
            "cells as the left"
        )
    if within:
        return Constraint(left, relation, limit, _bounds(workbook, left, relation, limit, areas))
    return Constraint(left, relation, limit)


def _check_formula(workbook: Workbook, text: str, left: CellRange, relation: str) -> None:
    """Raise SelectionError where the right side is no formula of a number."""
    try:
        tree = parse(text, left.first, workbook)
    except FormulaError as error:
        raise SelectionError(f"the constraint {left} {relation} {text}: {error}") from None
    if isinstance(tree, Binary) and tree.operator in ("<", ">", "=", "<=", ">=", "<>"):
        raise SelectionError(
            f"the constraint {left} {relation} {text} holds two relations: give two constraints"
        )
    unknown = sorted(functions_in(tree) - FUNCTIONS.keys())
    if unknown:
        raise SelectionError(
            f"the constraint {left} {relation} {text}: {unknown[0]} is no function that is known "
            "here; names of functions are those of the English Excel"
        )
    if any(isinstance(part, Error | Opaque) for part in walk(tree)):
        raise SelectionError(
            f"the constraint {left} {relation} {text}: not all in {text!r} is a cell, a range or a "
            "defined name. A label stands alone on a side, and within a formula its cell does"
        )


def _right_side(workbook: Workbook, text: str, sheet: str) -> float | CellRange | str:
    """A number, a range, or else the text of a formula."""
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if math.isfinite(number):
            return number
    try:
        ranges = parse_ranges(workbook, text, sheet)
    except SelectionError:
        return text
    return ranges[0] if len(ranges) == 1 else text


def _bounds(
    workbook: Workbook, left: CellRange, relation: str, right: float | CellRange | str,
    areas: Sequence[CellRange],
) -> tuple[RangeLimits, ...]:  # fmt: skip
    """A constraint as limits of variable cells by numbers; () when it is none."""
    if isinstance(right, str):
        return ()
    if isinstance(right, float):
        return (_bound(left, relation, right),)
    sheet = workbook.sheet(right.sheet)
    stored = [sheet.cells.value(cell.row, cell.column) for cell in right.cells()]
    numbers = [0.0 if number is None else number for number in stored]  # a blank is 0
    fixed = not any(area.intersection(right) for area in areas) and not any(
        sheet.has_formula(cell.row, cell.column) for cell in right.cells()
    )
    if not fixed or not all(isinstance(number, float) for number in numbers):
        return ()
    if right.size == 1:
        return (_bound(left, relation, float(numbers[0])),)  # type: ignore[arg-type]
    return tuple(
        _bound(single_cell(cell), relation, float(number))  # type: ignore[arg-type]
        for cell, number in zip(left.cells(), numbers, strict=True)
    )


def _bound(cells: CellRange, relation: str, limit: float) -> RangeLimits:
    lower = -math.inf if relation == "<=" else limit
    upper = math.inf if relation == ">=" else limit
    return RangeLimits(cells, lower, upper)
