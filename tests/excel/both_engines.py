"""Formulas computed by both engines: the sheet with numbers, and the module that is trained."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from cells import SHEET, Value, area_of, workbook
from engine_cases import VARIABLE, Case
from torch import fx

from xl2torch.arrays.array import Array, Unsupported, logical
from xl2torch.cells.address import CellRange, column_letters
from xl2torch.cells.values import FIRST_ERROR, LOGICAL, TEXT, error_of_kind
from xl2torch.errors import Xl2TorchError
from xl2torch.ir.trace import Trace
from xl2torch.lowering.blocks import given_numbers
from xl2torch.lowering.module import build_module, parameter_block
from xl2torch.lowering.schedule import Evaluation
from xl2torch.model.sheet_model import cell_node, flat_numbers
from xl2torch.passes import simplify
from xl2torch.workbook.read.reader import Workbook

FIRST_COLUMN = 60
PER_COLUMN = 200
ALONE_ROW = 100
ERROR = "error"
OVERFLOW = "infinite"
TIDY = 1e-9


@dataclass(frozen=True)
class Unequal:
    """A formula of which the engines say different things at a point."""

    case: Case
    cell: str
    formula: str
    point: float
    sheet: Value
    module: Value


@dataclass
class Outcome:
    """What came out of a comparison; counts are of cells, ``compared`` of cells and points."""

    compared: int = 0
    refused: int = 0
    constant: int = 0
    unknown: int = 0
    formulas: int = 0
    unequal: list[Unequal] = field(default_factory=list)
    crashes: list[tuple[str, str]] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Count another one in."""
        for name in ("compared", "refused", "constant", "unknown", "formulas"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unequal += other.unequal
        self.crashes += other.crashes
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count


@dataclass(frozen=True)
class Placed:
    """A case with the range that it fills."""

    case: Case
    area: CellRange

    def formula(self, row: int) -> str:
        """What stands in a row."""
        text = self.case.text.replace("{r}", str(row))
        return f"{{={text}}}" if self.case.array else f"={text}"


def place(cases: Sequence[Case]) -> list[Placed]:
    """A column for each copied formula, the others below each other."""
    column, at, found = FIRST_COLUMN, 0, []
    for case in cases:
        if case.rows:
            rows = (case.rows[0], case.rows[-1])
            left = column
            column += 1
        else:
            rows = (ALONE_ROW + at % PER_COLUMN,) * 2
            left = FIRST_COLUMN + at // PER_COLUMN
            at += 1
        found.append(Placed(case, CellRange(SHEET, rows[0], left, rows[1], left)))
    return found


def written(placed: Sequence[Placed]) -> dict[str, str]:
    """The formulas by address."""
    return {
        f"{column_letters(item.area.left)}{row}": item.formula(row)
        for item in placed
        for row in range(item.area.top, item.area.bottom + 1)
    }


class Book:
    """Data, the formulas of some cases, and where these stand."""

    def __init__(self, data: Mapping[str, str], cases: Sequence[Case]) -> None:
        self.placed = place(cases)
        self.workbook: Workbook = workbook("", {**data, VARIABLE: "2", **written(self.placed)})
        self.variable = area_of(self.workbook, VARIABLE)
        self.data = area_of(self.workbook, "A1:AZ60")

    def sheet_values(
        self, point: float, skip: Container[CellRange] = frozenset()
    ) -> Iterator[tuple[Placed, Array | str]]:
        """What the sheet shows at a point; a word where it cannot say."""
        given = [given_numbers(self.variable, np.array([point]))]
        evaluation = Evaluation(self.workbook, given)
        evaluation.compute([self.data])
        for item in self.placed:
            if item.area in skip:
                continue
            try:
                array = evaluation.value(item.area)
            except Exception as error:
                yield item, f"crash: {type(error).__name__}: {error}"
                continue
            borrowed = any(unit.cached_because for unit in evaluation.overlapping(item.area))
            yield item, "borrowed" if borrowed else array


class Program:
    """The formulas of a book as one module."""

    def __init__(self, book: Book) -> None:
        self.trace = Trace()
        self.crashes: list[tuple[str, str]] = []
        self.refused: dict[CellRange, str] = {}
        self.constants: dict[CellRange, Array] = {}
        self.outputs: dict[CellRange, fx.Node] = {}
        self.arrays: dict[CellRange, Array] = {}
        start = torch.tensor(2.0, dtype=torch.float64)
        self.start = {"given": start}
        block = parameter_block(self.trace, "given", book.variable, start)
        self.evaluation = Evaluation(book.workbook, [block], self.trace)
        self.evaluation.compute([book.data])
        for item in book.placed:
            self._add(item)

    def _add(self, item: Placed) -> None:
        try:
            self.evaluation.compute([item.area])
            array = self.evaluation.value(item.area)
            node = output_node(self.evaluation, item.area, array)
        except (Unsupported, Xl2TorchError) as error:
            units = self.evaluation.overlapping(item.area)
            self.refused[item.area] = next((u.blocked for u in units if u.blocked), str(error))
        except Exception as error:
            self.crashes.append((item.formula(item.area.top), f"{type(error).__name__}: {error}"))
            self.refused[item.area] = "crash"
        else:
            self.arrays[item.area] = array
            if node is None:
                self.constants[item.area] = array
            else:
                self.outputs[item.area] = node

    def values(self, points: Sequence[float], simplified: bool = True) -> list[list[np.ndarray]]:
        """Numbers of each output at each point."""
        if not self.outputs:
            return [[] for _ in points]
        self.trace.output(tuple(self.outputs.values()))
        graph = simplify(self.trace) if simplified else self.trace
        module = build_module(fx.GraphModule, graph, self.trace.tensors, self.start)
        found = []
        for point in points:
            module.get_parameter("given").data.fill_(point)
            with torch.no_grad():
                found.append([np.array(value.numpy(), ndmin=1) for value in module()])
        return found


def output_node(evaluation: Evaluation, area: CellRange, array: Array) -> fx.Node | None:
    """Numbers of a column of cells; what is no number is NaN. None when it is constant."""
    if not array.traced:
        return None
    if area.size == 1 and int(array.full_kinds.flat[0]) < TEXT:
        return cell_node(evaluation, area.first)
    node = flat_numbers(array)
    assert isinstance(node, fx.Node)
    return node


def shown(kind: int, number: float, text: str) -> Value:
    """A value to compare: numbers, booleans, texts marked as such, and any error as one."""
    if kind >= FIRST_ERROR or math.isnan(number):
        return ERROR
    if math.isinf(number):
        return OVERFLOW
    if kind == TEXT:
        return f'"{text}"'
    return bool(number) if kind == LOGICAL else float(number)


def from_array(array: Array, index: int) -> Value:
    """An element of a constant column."""
    place_ = (0, 0, index, 0)
    number = float(logical(array)[place_])
    return shown(int(array.full_kinds[place_]), number, str(array.full_texts[place_]))


def error_text(array: Array, index: int) -> str:
    """Which error an element is, if it is one."""
    kind = int(array.full_kinds[0, 0, index, 0])
    return error_of_kind(kind).text if kind >= FIRST_ERROR else ""


def alike(one: Value, other: Value) -> bool:
    """Equal to rounding; a logical is not a number."""
    if OVERFLOW in (one, other):
        return {one, other} <= {OVERFLOW, ERROR}
    if type(one) is not type(other):
        return False
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TIDY, abs_tol=1e-12)
    return one == other


def compare(data: Mapping[str, str], cases: Sequence[Case], points: Sequence[float]) -> Outcome:
    """Both engines over some cases. A crash of the whole is looked for in halves."""
    book = Book(data, cases)
    try:
        program = Program(book)
        numbers = program.values(points)
    except Exception as error:
        if len(cases) == 1:
            formula = book.placed[0].formula(book.placed[0].area.top)
            return Outcome(crashes=[(formula, f"whole: {type(error).__name__}: {error}")])
        middle = len(cases) // 2
        outcome = compare(data, cases[:middle], points)
        outcome.add(compare(data, cases[middle:], points))
        return outcome
    outcome = Outcome(formulas=len(cases), crashes=list(program.crashes))
    outcome.refused = sum(area.size for area in program.refused)
    for reason in program.refused.values():
        outcome.reasons[reason] = outcome.reasons.get(reason, 0) + 1
    outcome.constant = sum(area.size for area in program.constants)
    order = {area: at for at, area in enumerate(program.outputs)}
    for index, point in enumerate(points):
        for item, array in book.sheet_values(point, program.refused):
            if isinstance(array, str):
                if array.startswith("crash"):
                    outcome.crashes.append((item.formula(item.area.top), f"sheet {array}"))
                outcome.unknown += item.area.size
                continue
            for row in range(item.area.size):
                sheet = from_array(array, row)
                kind = int(program.arrays[item.area].full_kinds[0, 0, row, 0])
                if item.area in order and kind < TEXT:
                    module = shown(kind, float(numbers[index][order[item.area]][row]), "")
                else:
                    module = from_array(program.arrays[item.area], row)
                outcome.compared += 1
                if not alike(sheet, module):
                    at = item.area.top + row
                    if sheet == ERROR:
                        sheet = error_text(array, row) or ERROR
                    outcome.unequal.append(
                        Unequal(item.case, f"{column_letters(item.area.left)}{at}",
                                item.formula(at), point, sheet, module)
                    )  # fmt: skip
    return outcome


def copied_unlike_alone(
    data: Mapping[str, str], cases: Sequence[Case], point: float
) -> list[Unequal]:
    """Copied formulas that the sheet computes otherwise than each copy alone."""
    copied = [case for case in cases if case.rows]
    together = {
        (item.case, row): from_array(array, row)
        for item, array in Book(data, copied).sheet_values(point)
        if isinstance(array, Array) for row in range(item.area.size)
    }  # fmt: skip
    found = []
    for index in range(max((len(case.rows) for case in copied), default=0)):
        alone = [Case(case.function, case.text.replace("{r}", str(case.rows[index])), (),
                      case.array) for case in copied]  # fmt: skip
        values = Book(data, alone).sheet_values(point)
        for case, (item, array) in zip(copied, values, strict=True):
            if not isinstance(array, Array) or (case, index) not in together:
                continue
            value = from_array(array, 0)
            if not alike(value, together[case, index]):
                found.append(
                    Unequal(case, f"row {case.rows[index]}", item.formula(0), point, value,
                            together[case, index])
                )  # fmt: skip
    return found
