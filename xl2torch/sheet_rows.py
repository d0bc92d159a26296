"""The rows of a sheet as a dataset of torch, with the objective of any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.utils.data import Dataset

from xl2torch.errors import SelectionError
from xl2torch.functions.trace import DRAWING
from xl2torch.graph.row_objective import RowObjective
from xl2torch.graph.row_trials import Rows

Sample = tuple[torch.Tensor, ...]


class SheetRows(Dataset[Sample]):
    """The rows that an objective is over, as a DataLoader takes them.

    A sample is what the program reads of a row; ``objective(*batch)`` is the objective of a batch
    as the sheet would say it if it had only these rows: a mean is theirs, a sum is theirs, and a
    penalty beside it counts in full. A list, a slice or a tensor of numbers picks a batch at once.
    ``names`` say what the parts of a sample are, by the sheet's headings.
    """

    def __init__(self, rows: RowObjective) -> None:
        self._rows = rows
        self._columns = [_by_rows(tensor, kind) for tensor, kind in rows.inputs]
        self.objective = RowsObjective(rows)
        self.names = tuple(rows.names)
        self.cells = rows.cells
        self.form = rows.form

    def __len__(self) -> int:
        return self._rows.count

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


def _by_rows(tensor: torch.Tensor, kind: Rows) -> torch.Tensor:
    """A tensor with a row for each row of the sheet."""
    if kind.block > 1:
        tensor = tensor.unflatten(kind.dim, (-1, kind.block))  # type: ignore[no-untyped-call]
    return tensor.movedim(kind.dim, 0)


def _as_read(column: torch.Tensor, kind: Rows) -> torch.Tensor:
    """Some rows as the program reads them."""
    tensor = column.movedim(0, kind.dim)
    if kind.block > 1:
        tensor = tensor.flatten(kind.dim, kind.dim + 1)
    index = torch.arange(len(column))
    return kind.select(tensor, index) if kind.numbers else tensor
