"""The rows of a sheet as a dataset of torch, with the objective of any of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.utils.data import Dataset

from xl2torch.cells.address import CellAddress, CellRange
from xl2torch.cells.values import NUMBER, CellValue
from xl2torch.errors import ModelError, SelectionError, equals
from xl2torch.ir.facts import facts
from xl2torch.ir.trace import DRAWING
from xl2torch.lowering.precedents import precedents
from xl2torch.lowering.schedule import Evaluation
from xl2torch.rows.prediction import Predictor, longest_block
from xl2torch.rows.row_objective import RowObjective
from xl2torch.rows.row_trials import RowDim

Table = Mapping[str, Sequence[Any]]
_CLOSE, _ROUNDING = 1e-6, 1e-11
_MOST_ALONE = 200
"""Rows that are compared one by one."""
Sample = tuple[torch.Tensor, ...]


class SheetRows(Dataset[Sample]):
    """The rows that an objective is over, as a DataLoader takes them.

    A sample is what the program reads of a row; ``objective(*batch)`` is the objective of a batch
    as the sheet would say it if it had only these rows: a mean is theirs, a sum is theirs, and a
    penalty beside it counts in full. A list, a slice or a tensor of numbers picks a batch at once.
    ``names`` say what the parts of a sample are, by the sheet's headings.
    """

    def __init__(self, rows: RowObjective, columns: Sequence[torch.Tensor] | None = None) -> None:
        self._columns = _own_columns(rows) if columns is None else list(columns)
        self.objective = RowsObjective(rows)
        self.names = tuple(rows.names)
        self.cells = rows.cells
        self.form = rows.form

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: int | slice | Sequence[int] | torch.Tensor) -> Sample:
        picked = torch.arange(len(self))[index]
        return tuple(column[picked] for column in self._columns)

    def column(self, name: str) -> torch.Tensor:
        """One part of all samples, by its name. Raises SelectionError."""
        if name not in self.names:
            raise SelectionError(f"the rows have no {name!r}: they have {', '.join(self.names)}")
        return self._columns[self.names.index(name)]

    def __repr__(self) -> str:
        what = f"a {self.form} {self.cells}, {len(self):,} rows"
        return f"<SheetRows: {what} with {', '.join(self.names)}>"


class RowsObjective(nn.Module):
    """The objective of some rows, with the model's own parameters.

    In training mode random cells are drawn anew at each call, as in the model.
    """

    def __init__(self, rows: RowObjective) -> None:
        super().__init__()
        self._rows = rows
        self._kinds = [kind for _, kind in rows.inputs]
        self._programs: dict[int, fx.GraphModule] = {}
        for name, parameter in rows.module.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.eval()

    def __repr__(self) -> str:
        return f"RowsObjective(a {self._rows.form} {self._rows.cells})"

    def forward(self, *columns: torch.Tensor) -> Any:
        """The objective, a 0-d tensor. ``columns`` are a batch of the dataset, rows first."""
        count = len(columns[0])
        program = self._programs.get(count)
        if program is None:
            program = self._programs[count] = self._rows.program(count)
        if DRAWING in program._buffers:
            program.get_buffer(DRAWING).fill_(self.training)
        pieces = (_as_read(column, kind) for column, kind in zip(columns, self._kinds, strict=True))
        return program(*pieces)


def columns_of(rows: RowObjective, evaluation: Evaluation, table: Table) -> list[torch.Tensor]:
    """What a program reads of each row of a table, whose columns have the sheet's headings.

    The sheet's own formulas stand between; what they compute of all rows of the sheet stays as it
    is. Raises ModelError where that is not possible, SelectionError for rows that do not fit.
    """
    if rows.uneven or len(rows.names) > len(rows.data):
        raise ModelError(
            f"{rows.cells}: its rows count blanks, or have variable cells of their own: what new "
            "rows would be is not known. model.rows() are those of the sheet"
        )
    if bool(rows.left_out.all()):
        raise ModelError(f"{rows.cells}: none of its rows counts in the objective")
    known = {
        name: cells for name, node in rows.data.items() if (cells := facts(node).cells) is not None
    }
    predictor = Predictor(evaluation.workbook, evaluation, list(known.values()))
    found = iter(predictor.predict(table).columns.items())
    count = max(len(values) for values in table.values())
    columns, counted = [], ~rows.left_out
    for name, own in zip(rows.names, _own_columns(rows), strict=True):
        if name in known:
            wide = [next(found) for _ in range(known[name].columns)]
            sheet = torch.from_numpy(evaluation.value(known[name]).numpy()[0, 0].copy())
            if not torch.equal(sheet.reshape(own.shape)[counted], own[counted]):
                raise ModelError(f"{known[name]}: its numbers are not those that the program reads")
            numbers = [[_number(item, value) for value in values] for item, values in wide]
            columns.append(torch.tensor(numbers, dtype=own.dtype).T.reshape(-1, *own.shape[1:]))
            continue
        kept = own[counted]
        if not bool((kept == kept[:1]).all()):
            raise ModelError(
                f"{name} is a number for each row of {rows.cells} that stands in no cell, so new "
                "rows have none"
            )
        columns.append(kept[:1].expand(count, *own.shape[1:]))
    return columns


def check_terms(own: SheetRows, new: SheetRows, table: Table, evaluation: Evaluation) -> None:
    """Compare the objective of a table's rows with what the sheet's formulas say of each of them.

    Two columns that are the same in the sheet are one in the program, and would stay one for new
    rows. Raises ModelError.
    """
    area = longest_block(evaluation, own.cells)
    predicted = Predictor(evaluation.workbook, evaluation, [area]).predict(table).columns.values()
    terms = _totals(np.array([[_number("", value) for value in item] for item in predicted]).T)
    array = evaluation.value(own.cells)
    numbers = np.where(array.full_kinds == NUMBER, array.numpy(), np.nan)
    sheet = _totals(numbers[0, 0])

    mean = own.form.endswith("mean over rows")
    known = _Sums(own, sheet, mean)
    asked = _Sums(new, terms, mean)
    design = np.stack([known.terms, np.ones(len(known.terms))], 1)
    slope, constant = np.linalg.lstsq(design, known.objectives, rcond=None)[0]
    if not (known.fit(slope, constant) and asked.fit(slope, constant)):
        raise ModelError(
            f"what rows add to the objective does not follow from {own.cells} alone, or columns "
            "that are equal in the sheet differ in the frame: train on model.rows(), or write a "
            "loop over model.predictor()"
        )


class _Sums:
    """Objectives of some rows alone and of several, and what their terms come to."""

    def __init__(self, rows: SheetRows, terms: NDArray[np.float64], mean: bool) -> None:
        count = len(rows)
        single = np.unique(np.linspace(0, count - 1, _MOST_ALONE).astype(int))
        parts = [[place] for place in single.tolist()]
        parts += [list(range(0, count, 2)), list(range(count))]
        power = 2 if "root" in rows.form else 1
        together = np.nanmean if mean else np.nansum
        parts = [part for part in parts if not (mean and np.isnan(terms[part]).all())]
        self.terms = np.array([together(terms[part]) for part in parts])
        self.objectives = np.array(
            [float(rows.objective(*rows[part]).detach()) ** power for part in parts]
        )

    def fit(self, slope: float, constant: float) -> bool:
        """Whether the objectives are slope · terms + constant."""
        wanted = slope * self.terms
        found = self.objectives - constant
        least = _ROUNDING * max(float(np.abs(wanted).max(initial=0.0)), abs(constant))
        return bool((np.abs(found - wanted) <= _CLOSE * np.abs(wanted) + least).all())


def require_plain_sum(evaluation: Evaluation, objective: CellAddress, cells: CellRange) -> None:
    """Raise ModelError where an objective reads more columns of the rows than its terms.

    Such a column may say which rows count: what it says of new ones would be lost.
    """
    for unit in evaluation.ancestors(evaluation.overlapping_cell(objective)):
        if unit.region is None or not unit.trained or unit.area.rows > 1:
            continue
        for area in precedents(unit.region, evaluation.workbook, bases=True):
            beside = area.rows == cells.rows or (
                area.sheet == cells.sheet and area.rows > 1
                and area.top <= cells.bottom and area.bottom >= cells.top
            )  # fmt: skip
            weights = all(item.region is None for item in evaluation.overlapping(area))
            given = weights and bool(evaluation.overlapping(area))
            if beside and not given and not cells.contains(area) and not area.contains(cells):
                raise ModelError(
                    f"{unit.area.first}: {equals(unit.region.formula)}: it reads {area} beside "
                    f"{cells}, so what it says of new rows is not known: train on model.rows(), or "
                    "write a loop over model.predictor()"
                )


def _totals(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of rows; NaN for a row without numbers."""
    empty = np.isnan(numbers).all(1)
    totals: NDArray[np.float64] = np.where(empty, np.nan, np.nansum(numbers, 1))
    return totals


def _number(name: str, value: CellValue) -> float:
    if isinstance(value, float | bool):
        return float(value)
    what = "blank" if value is None else f"{value!s}"
    raise SelectionError(f"{name} is {what} in a row: leave such rows out")


def _own_columns(rows: RowObjective) -> list[torch.Tensor]:
    return [_by_rows(tensor, kind) for tensor, kind in rows.inputs]


def _by_rows(tensor: torch.Tensor, kind: RowDim) -> torch.Tensor:
    """A tensor with a row for each row of the sheet."""
    if kind.block > 1:
        tensor = tensor.unflatten(kind.dim, (-1, kind.block))  # type: ignore[no-untyped-call]
    return tensor.movedim(kind.dim, 0)


def _as_read(column: torch.Tensor, kind: RowDim) -> torch.Tensor:
    """Some rows as the program reads them."""
    tensor = column.movedim(0, kind.dim)
    if kind.block > 1:
        tensor = tensor.flatten(kind.dim, kind.dim + 1)
    index = torch.arange(len(column))
    return kind.select(tensor, index) if kind.numbers else tensor
