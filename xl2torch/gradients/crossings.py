"""What changes its branch between two points: kinks, steps and lookups, with their cells.

The program is run at both points. A maximum, an absolute value, a comparison or a rounded number
between whose results something discrete has changed is a crossing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import fx
from torch.overrides import TorchFunctionMode

from xl2torch.cells.address import CellAddress, CellRange, single_cell
from xl2torch.formula.ast import functions_in
from xl2torch.ir.naming import line_of
from xl2torch.ir.ops import Bend, operator_named
from xl2torch.model.sheet_model import SheetModel

Kind = Literal["kink", "step function", "lookup"]
_MOST = 5
_LOOKUPS = frozenset(
    {"VLOOKUP", "HLOOKUP", "LOOKUP", "XLOOKUP", "MATCH", "XMATCH", "INDEX", "CHOOSE", "OFFSET"}
)


@dataclass(frozen=True)
class Crossing:
    """Cells whose branch changes, and the formula of the first."""

    kind: Kind
    cells: CellRange
    formula: str

    def __str__(self) -> str:
        return f"{self.cells} ={self.formula}" if self.formula else str(self.cells)


def crossings(
    model: SheetModel, first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]
) -> list[Crossing]:
    """What changes between two points, given as parameters by name, in order of evaluation."""
    before, after = _states(model, first), _states(model, second)
    if len(before) != len(after):
        return []  # a loop of another length: nothing to compare
    found: dict[tuple[Kind, CellRange], Crossing] = {}
    for old, new in zip(before, after, strict=True):
        if old.value.shape != new.value.shape or bool((old.value == new.value).all()):
            continue
        area = line_of(old.node) or single_cell(model.problem.objective)
        cells = _changed_cells(area, old.value != new.value)
        formula, functions = _formula(model, cells)
        kind: Kind = "lookup" if functions & _LOOKUPS else old.kind
        found.setdefault((kind, cells), Crossing(kind, cells, formula))
    return list(found.values())[:_MOST]


def _formula(model: SheetModel, cells: CellRange) -> tuple[str, set[str]]:
    """The formula of the first cell, and the functions that it calls."""
    units = model.compiled.evaluation.overlapping(single_cell(cells.first))
    for unit in units:
        if unit.region is not None:
            region = unit.region
            row = min((cells.top - unit.area.top) // region.row_step, region.rows - 1)
            column = min((cells.left - unit.area.left) // region.column_step, region.columns - 1)
            return region.part(row, column, 1, 1).formula, functions_in(region.tree)
    return "", set()


def _changed_cells(area: CellRange, changed: torch.Tensor) -> CellRange:
    """The one cell whose state changed, where it can be told; else the whole line."""
    shape = [size for size in (area.rows, area.columns) if size > 1]
    if changed.dim() == 2 and list(changed.shape) == shape[::-1]:
        if shape[0] == shape[1]:
            return area  # which axis is which cannot be told
        changed = changed.t()
    if list(changed.shape) != shape or int(changed.sum()) != 1:
        return area
    row, column = divmod(int(changed.reshape(-1).to(torch.uint8).argmax()), area.columns)
    return single_cell(CellAddress(area.sheet, area.top + row, area.left + column))


@dataclass(frozen=True)
class _Discrete:
    """What is discrete about one result."""

    node: fx.Node
    kind: Kind
    value: torch.Tensor


def _states(model: SheetModel, parameters: Mapping[str, torch.Tensor]) -> list[_Discrete]:
    interpreter = _Interpreter(model, parameters)
    with torch.no_grad():
        interpreter.run()
    return interpreter.states


class _Interpreter(fx.Interpreter):
    """Runs the program at other parameters and keeps what is discrete, inside of loops too."""

    def __init__(self, model: SheetModel, parameters: Mapping[str, torch.Tensor]) -> None:
        super().__init__(model)
        self.parameters = parameters
        self.states: list[_Discrete] = []

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A parameter of the point, or a buffer of the model."""
        if target in self.parameters:
            return self.parameters[target]
        return super().get_attr(target, args, kwargs)

    def run_node(self, n: fx.Node) -> Any:
        """The node's value."""
        with _Recorder(n, self.states):
            return super().run_node(n)


class _Recorder(TorchFunctionMode):
    def __init__(self, node: fx.Node, states: list[_Discrete]) -> None:
        super().__init__()
        self.node = node
        self.states = states

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        row = operator_named(getattr(func, "__name__", "").strip("_"))
        if row is not None and row.branch is not None:
            kind: Kind = "kink" if row.bend is Bend.KINK else "step function"
            self._note(kind, row.branch(result, *args, **kwargs))
        else:
            for part in result if isinstance(result, tuple) else (result,):
                if isinstance(part, torch.Tensor) and not part.is_floating_point():
                    self._note("step function" if part.dtype == torch.bool else "lookup", part)
        return result

    def _note(self, kind: Kind, value: torch.Tensor) -> None:
        self.states.append(_Discrete(self.node, kind, value))
