"""The constraints of a model: both sides of each, as functions of all variable cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import fx

from xl2torch.cells.address import CellAddress, CellRange
from xl2torch.cells.values import FIRST_ERROR, TEXT
from xl2torch.errors import ModelError
from xl2torch.lowering.blocks import given_numbers
from xl2torch.lowering.schedule import Evaluation
from xl2torch.model.jacobian import jacobian, range_function
from xl2torch.model.problem import WORDS, Constraint
from xl2torch.model.sheet_model import SheetModel, compile_range, supported_value
from xl2torch.workbook.read.reader import Workbook
from xl2torch.workbook.read.scratch import with_array_formula
from xl2torch.workbook.read.solver_model import number_option

PRECISION = 1e-6
"""Solver's default: how far, relative to its limit, a cell may be from it and still keep it."""


@dataclass(frozen=True)
class Side:
    """One side of a constraint as a function of all variable cells.

    ``module`` is the program behind it; None where it is constant, or variable cells themselves.
    """

    function: Callable[[torch.Tensor], torch.Tensor]
    module: fx.GraphModule | None = None

    def __call__(self, point: torch.Tensor) -> torch.Tensor:
        """The values at a point."""
        return self.function(point)


@dataclass(frozen=True)
class Limit:
    """One cell of a constraint, in relation to its right side, which is shown as ``right``."""

    cell: CellAddress
    relation: str
    right: str
    constraint: Constraint

    @property
    def text(self) -> str:
        """In words of a formula: ``Model!B14 >= $D$14``."""
        return f"{self.cell} {self.relation} {self.right}"

    def formula(self, sheet: str) -> str:
        """As Solver's reports write it: ``$B$14>=$D$14``."""
        return f"{self.cell.absolute(sheet)}{self.relation}{self.right}"


class Constraints:
    """The constraints of a model that limit a number, cell by cell; bounds last, as in Solver."""

    def __init__(self, model: SheetModel) -> None:
        problem = model.problem
        numeric = [item for item in problem.constraints if item.relation not in WORDS]
        self.model = model
        self._ordered = sorted(numeric, key=lambda item: bool(item.bounds))
        self.limits = tuple(
            limit for item in self._ordered for limit in _limits(item, problem.sheet)
        )
        self.precision = number_option(problem.options, "pre", PRECISION)

    @cached_property
    def _sides(self) -> list[tuple[Side, Side]]:
        if not self._ordered:
            return []
        places = {cell: n for n, cell in enumerate(self.model.cell_values())}
        return [
            _bound_sides(item, places) if item.bounds else (
                _left(self.model, item), _right(self.model, item)
            )
            for item in self._ordered
        ]  # fmt: skip

    @property
    def modules(self) -> Iterator[tuple[Constraint, fx.GraphModule]]:
        """The programs behind the constraints that are no mere bounds."""
        for item, sides in zip(self._ordered, self._sides, strict=True):
            for side in sides:
                if side.module is not None:
                    yield item, side.module

    @cached_property
    def integer(self) -> torch.Tensor:
        """Which variable cells have to be whole numbers, flat as a point."""
        problem = self.model.problem
        # rlx 1: Ignore Integer Constraints.
        kept = () if problem.options.get("rlx") == "1" else problem.integer_constraints
        whole = {cell for item in kept for cell in item.left.cells()}
        if not whole:
            every = sum(parameter.numel() for parameter in self.model.parameters())
            return torch.zeros(every, dtype=torch.bool)  # a hundred thousand cells take their time
        return torch.tensor([cell in whole for cell in self.model.cell_values()])

    @cached_property
    def general(self) -> tuple[int, ...]:
        """Places of the limits that are no mere bounds of variable cells."""
        return tuple(n for n, limit in enumerate(self.limits) if not limit.constraint.bounds)

    def left(self, point: torch.Tensor) -> torch.Tensor:
        """Values of the constrained cells."""
        return self._joined([left(point) for left, _ in self._sides])

    def right(self, point: torch.Tensor) -> torch.Tensor:
        """Values of what they are held against."""
        values = [right(point) for _, right in self._sides]
        return self._joined([
            value.expand(item.left.size) if value.numel() == 1 else value
            for value, item in zip(values, self._ordered, strict=True)
        ])  # fmt: skip

    def excess(self, point: torch.Tensor) -> torch.Tensor:
        """Left minus right side."""
        return self.left(point) - self.right(point)

    def slopes(self, point: torch.Tensor) -> torch.Tensor:
        """Derivatives of left minus right by all variable cells, (limits, cells)."""
        return jacobian(self.excess, point)

    def general_excess(self, point: torch.Tensor) -> torch.Tensor:
        """Left minus right side of the limits that are no mere bounds."""
        sides = zip(self._ordered, self._sides, strict=True)
        return self._joined([
            left(point) - right(point) for item, (left, right) in sides if not item.bounds
        ])  # fmt: skip

    def general_slopes(self, point: torch.Tensor) -> torch.Tensor:
        """Derivatives of these by all variable cells, (limits, cells)."""
        return jacobian(self.general_excess, point)

    def reaches(self, objective: float) -> bool:
        """Whether an objective is at its target, within the precision."""
        return math.isclose(
            objective, self.model.problem.target, rel_tol=self.precision, abs_tol=self.precision
        )

    def tolerance(self, point: torch.Tensor) -> torch.Tensor:
        """How far from its limit a cell may be and still keep it."""
        return self.precision * self.right(point).abs().clamp_min(1.0)

    def violation(self, point: torch.Tensor) -> torch.Tensor:
        """By how much each limit is overstepped; 0 where it is kept."""
        excess = self.excess(point)
        signs = torch.tensor([_SIGNS[limit.relation] for limit in self.limits])
        return torch.where(signs == 0, excess.abs(), (excess * signs).clamp_min(0.0))

    def fixed_violations(self, point: torch.Tensor) -> list[Limit]:
        """Limits that are overstepped and that no variable cell can move."""
        fixed: list[bool] = []
        for item, (left, right) in zip(self._ordered, self._sides, strict=True):
            moves = bool(item.bounds) or left.module is not None or right.module is not None
            fixed += [not moves] * item.left.size
        if not any(fixed):
            return []
        kept = self.violation(point) <= self.tolerance(point)
        rows = zip(self.limits, fixed, kept.tolist(), strict=True)
        return [limit for limit, still, good in rows if still and not good]

    def worst_violation(self, point: torch.Tensor) -> tuple[float, float]:
        """How far a point is beyond its worst limit: in allowances, and as a number; bounds apart.

        Up to 1 allowance all limits are kept. NaN where a constrained cell is an error.
        """
        general = list(self.general)
        if not general:
            return 0.0, 0.0
        with torch.no_grad():
            violation = self.violation(point)[general]
            share = violation / self.tolerance(point)[general]
        if bool(share.isnan().any()):
            return math.nan, math.nan
        return float(share.max()), float(violation.max())

    def binding(self, point: torch.Tensor) -> torch.Tensor:
        """Which limits are reached, within the precision."""
        return self.excess(point).abs() <= self.tolerance(point)

    def _joined(self, pieces: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(pieces) if pieces else torch.zeros(0, dtype=torch.float64)


_SIGNS = {"<=": 1.0, ">=": -1.0, "=": 0.0}


def _limits(constraint: Constraint, sheet: str) -> list[Limit]:
    right = constraint.right
    cells = constraint.left.cells()
    if isinstance(right, CellRange):
        texts = [cell.absolute(sheet) for cell in right.cells()]
        texts = texts * len(cells) if len(texts) == 1 else texts
    else:
        texts = [f"{right:.15g}" if isinstance(right, float) else right] * len(cells)
    return [
        Limit(cell, constraint.relation, text, constraint)
        for cell, text in zip(cells, texts, strict=True)
    ]


def _bound_sides(constraint: Constraint, places: Mapping[CellAddress, int]) -> tuple[Side, Side]:
    """A bound of variable cells: their numbers, and those that they are held against."""
    index = torch.tensor([places[cell] for cell in constraint.left.cells()])
    limits = [b.upper if constraint.relation == "<=" else b.lower for b in constraint.bounds]
    right = torch.tensor(limits, dtype=torch.float64)
    return Side(lambda point: point[index]), Side(lambda point: right)


def _left(model: SheetModel, constraint: Constraint) -> Side:
    return _side(model, model.compiled.workbook, constraint.left, constraint)


def _right(model: SheetModel, constraint: Constraint) -> Side:
    right = constraint.right
    workbook = model.compiled.workbook
    if isinstance(right, float):
        number = torch.tensor([right], dtype=torch.float64)
        return Side(lambda point: number)
    if isinstance(right, CellRange):
        return _side(model, workbook, right, constraint)
    extended, area = with_array_formula(workbook, right, constraint.left)
    return _side(model, extended, area, constraint)


def _side(model: SheetModel, workbook: Workbook, area: CellRange, constraint: Constraint) -> Side:
    """A range as a function of the variable cells. Raises ModelError where it is no number."""
    given = {v.cells: model.parameter(v).detach() for v in model.variables}
    module = compile_range(workbook, area, given)
    if module is not None:
        return Side(range_function(module, len(given)), module)
    blocks = [given_numbers(cells, numbers.numpy()) for cells, numbers in given.items()]
    array = supported_value(Evaluation(workbook, blocks), area)
    kinds = array.full_kinds[0, 0]
    if ((kinds >= FIRST_ERROR) | (kinds == TEXT)).any():
        if workbook is not model.compiled.workbook:  # a formula, computed in a scratch cell
            raise ModelError(f"the constraint {constraint}: its right side is a text or an error")
        raise ModelError(
            f"the constraint {constraint}: the cells {area} hold a text or an error, not numbers"
        )
    numbers = torch.from_numpy(np.array(array.numpy()[0, 0], dtype=float).reshape(-1))
    return Side(lambda point: numbers)
